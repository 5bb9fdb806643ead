"""Transport rows that need real sockets: certificates, bodies cut off, dripped, huge or packed wrongly, wrong ids,
redirects, proxies, connections that end between two requests, and replies with fields that nobody has met.

In: a seed, an empty folder. Out: nothing, or an AssertionError. Each row runs the agent's own client over the real
network transport against a BentServer on this machine.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import random
import shutil
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest

from cli import assembly, policy_file
from models import DeribitError, SendOutcome
from tests.builders.clocks import LeapClock
from tests.builders.configs import KEY, loose_config
from tests.builders.paper import START
from tests.campaign.live import bent_server
from tests.campaign.live.bent_server import Bend
from tests.campaign.live.certificates import Certificates, make_certificates, openssl_is_here
from tests.campaign.live.wire_bench import LABEL, POLICY, SPEED, Bench, bench, ends_with

READS = ("public/get_time", "public/get_index_price", "private/get_open_orders", "private/get_positions")


# --- what all the bent replies have in common ---------------------------------------------------------------


def _bent_read(place: Bench, dice: random.Random, bend: Bend, times: int) -> str:
    """A read whose first replies are bent: asked again, right in the end, at most three times on the wire."""
    place.authenticate()
    method = dice.choice(READS)
    expected = place.ask(method)
    asked_before = len(place.server.asked_for(method))
    place.server.bend(method, *[bend] * times)
    if times >= 3:
        with pytest.raises(DeribitError) as given_up:
            place.ask(method)
        assert given_up.value.exit_code is None
    else:
        answer = place.ask(method)
        assert method == "public/get_time" or answer == expected
    assert len(place.server.asked_for(method)) - asked_before == min(times + 1, 3)
    return method


def _bent_order(place: Bench, bend: Bend) -> None:
    """An order whose reply is bent: sent once, of unknown fate, not sent again, found once it can be looked up."""
    place.authenticate()
    place.server.bend("private/sell", bend)
    receipt = place.sell()
    assert receipt.outcome == SendOutcome.UNKNOWN, receipt
    assert len(place.server.asked_for("private/sell")) == 1
    assert [order.label for order in place.account.open_orders()] == [LABEL]
    assert [order.label for order in place.agent.order_log.unresolved()] == [LABEL]
    _assert_found_later(place)


def _assert_found_later(place: Bench) -> None:
    """The agent's next iterations find the order, take it back and never send it again."""
    place.leap(20.0)
    place.agent.policy = policy_file.load_policy("tests.campaign.world.quiet_policy")[0]
    assert ends_with(place.agent) is None
    assert place.agent.order_log.unresolved() == ()
    assert place.account.open_orders() == []
    assert len(place.server.asked_for("private/sell")) == 1
    outcomes = [line["outcome"] for line in place.order_lines("outcome")]
    assert outcomes[-1] == "resolved_present", outcomes


def _bent_both(seed: int, folder: Path, bend: Bend) -> None:
    dice = random.Random(seed)
    with bench(folder / "read") as place:
        _bent_read(place, dice, bend, times=1 + seed % 3)
    with bench(folder / "order") as place:
        _bent_order(place, bend)


# --- the rows ----------------------------------------------------------------------------------------------


def row_t04(seed: int, folder: Path) -> None:
    """A certificate that is expired, for another name, or signed by nobody: code 5, no request, no plain text."""
    if not openssl_is_here():
        _t04_without_openssl(seed, folder)
        return
    made = _certificates()
    name = ("expired", "misnamed", "selfsigned")[seed % 3]
    with _trusted(made), bench(folder / "bad", made.server_context(name)) as place:
        assert ends_with(place.agent) == 5
        assert place.server.asked == []
    with _trusted(made), bench(folder / "good", made.server_context("good")) as place:
        assert place.ask("public/get_time") is not None  # or else nothing above would mean anything


def _t04_without_openssl(seed: int, folder: Path) -> None:
    """The same error as httpx hands it on, where no certificate can be made."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("made up", request=request) from ssl.SSLCertVerificationError("made up")

    config = loose_config("https://127.0.0.1:9", folder, POLICY)
    agent = assembly.assemble_agent(config, httpx.MockTransport(refuse), LeapClock(START, SPEED))
    assert ends_with(agent) == 5


_made: list[Certificates] = []


def _certificates() -> Certificates:
    """Made once a process, gone with it: nine calls of openssl."""
    if not _made:
        atexit.register(forget_certificates)
        _made.append(make_certificates(Path(tempfile.mkdtemp(prefix="certificates-")) / "made-up"))
    return _made[0]


def forget_certificates() -> None:
    """Remove the files of the certificates."""
    while _made:
        shutil.rmtree(_made.pop().folder.parent)


@contextmanager
def _trusted(made: Certificates) -> Iterator[None]:
    """httpx takes its authorities from certifi: for a moment there is only ours."""
    with patch("certifi.where", lambda: str(made.authority)):
        yield


def row_t11(seed: int, folder: Path) -> None:
    """Part of a body, then the connection is closed."""
    _bent_both(seed, folder, bent_server.cut_off(share=(seed % 10) / 10.0))


def row_t12(seed: int, folder: Path) -> None:
    """A body that drips: no single wait is long, all together it is given up at the deadline."""
    seconds_per_byte = 0.008 + 0.001 * (seed % 5)
    started = time.monotonic()
    with bench(folder) as place:
        _bent_order(place, bent_server.dripped(seconds_per_byte))
        order_seconds = (time.monotonic() - started) * SPEED
        assert order_seconds < 60.0, "the reply was waited for to its end"
    with bench(folder / "read") as place:
        _bent_read(place, random.Random(seed), bent_server.dripped(seconds_per_byte), times=1)


def row_t13(seed: int, folder: Path) -> None:
    """A hundred megabytes, plain or packed into a few: never read beyond five."""
    bend = bent_server.followed_by(100) if seed % 2 else bent_server.bomb(100)
    _bent_both(seed, folder, bend)


def row_t14(seed: int, folder: Path) -> None:
    """gzip that is none."""
    _bent_both(seed, folder, bent_server.badly_packed)


def row_t21(seed: int, folder: Path) -> None:
    """The reply to another request: not believed, and the next one goes over a new connection."""
    bend = bent_server.for_another_request(offset=(-1, 1, -7)[seed % 3])
    with bench(folder / "read") as place:
        method = _bent_read(place, random.Random(seed), bend, times=1)
        before, after = [asked.connection for asked in place.server.asked_for(method)][-2:]
        assert before != after, "asked again on the connection that is out of step"
    with bench(folder / "order") as place:
        _bent_order(place, bend)


def row_t23(seed: int, folder: Path) -> None:
    """A redirect is never followed: an error on the same host, the end of the process where it leads elsewhere."""
    status = (301, 302, 307, 308)[seed % 4]
    with bench(folder / "same") as place:
        _bent_order(place, bent_server.redirected(status, f"{place.server.url}/api/v2/private/buy"))
    with bent_server.lonely_port() as (port, visitors), bench(folder / "other") as place:
        elsewhere = f"http://localhost:{port}/api/v2/private/get_open_orders"
        place.server.bend("private/get_open_orders", bent_server.redirected(status, elsewhere))
        assert ends_with(place.agent) == 5
        assert visitors() == 0
        assert len(place.server.asked_for("private/get_open_orders")) == 1


def row_t24(seed: int, folder: Path) -> None:
    """Proxies in the environment are not used; a client that did use them would be seen."""
    with bent_server.lonely_port() as (port, visitors):
        proxy = f"http://127.0.0.1:{port}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
        nowhere = dict.fromkeys(("NO_PROXY", "no_proxy"), "")
        with patch.dict(os.environ, dict.fromkeys(names, proxy) | nowhere), bench(folder) as place:
            assert ends_with(place.agent) is None
            assert len(place.server.asked) > 5
            assert visitors() == 0
            _assert_a_proxy_would_be_seen(place.server.url, visitors)


def _assert_a_proxy_would_be_seen(url: str, visitors: Callable[[], int]) -> None:
    try:
        httpx.get(url, trust_env=True, timeout=0.05)
    except httpx.HTTPError:
        assert visitors() == 1
    else:
        raise AssertionError("the proxy of the environment does not work in this test")


def row_t25(seed: int, folder: Path) -> None:
    """The server drops the idle connection: the next request, a read or an order, opens another and is sent once."""
    dice = random.Random(seed)
    method = dice.choice(READS)
    with bench(folder) as place:
        place.ask(method)
        place.server.bend(method, bent_server.then_closed)
        place.ask(method)
        time.sleep(0.002 * (seed % 3))
        receipt = place.sell()
        assert receipt.outcome == SendOutcome.ACCEPTED, receipt
        assert [order.label for order in place.account.open_orders()] == [LABEL]
        assert len(place.server.asked_for("private/sell")) == 1
        first, last = place.server.asked_for(method)[-1], place.server.asked_for("private/sell")[0]
        assert first.connection != last.connection


def row_x42(seed: int, folder: Path) -> None:
    """Fields that nobody has met: the reply is used, each field is said once, the reply is kept without the key."""
    method, name = READS[1:][seed % 3], f"made_up_{seed}"
    said = io.StringIO()
    with bench(folder) as place, redirect_stderr(said):
        place.sell()
        expected = place.ask(method)
        place.server.bend(method, *[bent_server.with_unknown_fields(name, f"Bearer {KEY[1]}")] * 2)
        assert [place.ask(method), place.ask(method)] == [expected, expected]
        kept = sorted((place.agent.config.run.data_dir / "unexpected").iterdir())
    fields = {field for path in kept for field in json.loads(path.read_text())["unexpected"]}
    assert fields == {name, f"envelope.{name}"}, fields
    assert all(said.getvalue().count(f"unexpected field {field}\n") == 1 for field in fields), said.getvalue()
    assert KEY[1] not in said.getvalue() + "".join(path.read_text() for path in kept)


WIRE_SCENARIOS: dict[str, Callable[[int, Path], None]] = {
    "T04": row_t04,
    "T11": row_t11,
    "T12": row_t12,
    "T13": row_t13,
    "T14": row_t14,
    "T21": row_t21,
    "T23": row_t23,
    "T24": row_t24,
    "T25": row_t25,
    "X42": row_x42,
}
