"""A key that must be seen nowhere: the search finds it in every disguise, and no run of the agent leaves it anywhere.

`python -m tests.campaign.canary` makes all the runs; here is one of each kind.
"""

from __future__ import annotations

import base64
import copy
import json
import pickle
import ssl
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from config import DeribitConfig
from deribit_client import DeribitClient
from models import AgentError
from paper_exchange.market.clocks import SimulatedClock
from tests.builders.agent import an_order_request, run_main
from tests.builders.configs import agent_config
from tests.builders.paper import RECORDED, START
from tests.builders.wire import Answer, Wire
from tests.campaign.canary.canary import CANARY, CREDENTIALS, RUN_LETTERS, find_canary, find_in_folder
from tests.campaign.canary.canary_runs import (
    ECHOED_METHODS,
    ECHOES,
    LEAKY_POLICIES,
    WRONG_KEY,
    Setting,
    all_settings,
    run_with_canary,
)
from tests.campaign.fuzz.world import SmallWorld

SECRETS = {name: value for name, value in CANARY.named().items() if name != "client_id"}


# --- the search can find something ----------------------------------------------------------------


DISGUISES: dict[str, Callable[[str], str]] = {
    "as it is": lambda secret: secret,
    "in small letters": str.lower,
    "in capitals": str.upper,
    "URL-encoded": lambda secret: quote(secret, safe=""),
    "URL-encoded to the last letter": lambda secret: "".join(f"%{ord(letter):02x}" for letter in secret),
    "URL-encoded twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "JSON-escaped": lambda secret: json.dumps(secret).replace("/", "\\/"),
    "JSON-escaped to the last letter": lambda secret: "".join(f"\\u{ord(letter):04x}" for letter in secret),
    "JSON in JSON": lambda secret: json.dumps(json.dumps(secret).replace("/", "\\/")),
    "as bytes are shown": lambda secret: repr(secret.encode()),
    "as bytes are shown, in hexadecimal": lambda secret: "".join(f"\\x{ord(letter):02x}" for letter in secret),
    "in base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "in base64 behind one letter": lambda secret: base64.b64encode(f"a{secret}z".encode()).decode(),
    "in base64 behind two letters": lambda secret: base64.b64encode(f"ab{secret}z".encode()).decode(),
    "in base64 for URLs": lambda secret: base64.urlsafe_b64encode(f"id:{secret}".encode()).decode(),
    "in base64, URL-encoded": lambda secret: quote(base64.b64encode(secret.encode()).decode(), safe=""),
    "in base64, JSON-escaped": lambda secret: base64.b64encode(secret.encode()).decode().replace("/", "\\/"),
}


@pytest.mark.parametrize("name", CANARY.named())
@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_planted_secret_is_found_in_every_disguise(name: str, disguise: str) -> None:
    planted = DISGUISES[disguise](CANARY.named()[name])
    found = find_canary(f'{{"error": "before {planted} after"}}'.encode())
    assert [what for what in found if what.startswith(name)]


@pytest.mark.parametrize("name", SECRETS)
def test_every_run_of_eight_letters_is_found_and_none_of_seven(name: str) -> None:
    secret = SECRETS[name].partition(".")[2] or SECRETS[name]
    for at in range(len(secret) - RUN_LETTERS + 1):
        assert find_canary(f"[{secret[at : at + RUN_LETTERS]}]".encode()) == [name], at
        assert find_canary(f"[{secret[at : at + RUN_LETTERS - 1]}]".encode()) == [], at


@pytest.mark.parametrize("name", SECRETS)
def test_a_piece_of_a_secret_is_found_in_base64(name: str) -> None:
    piece = SECRETS[name][-20:-8].encode()
    for before in range(3):
        assert find_canary(base64.b64encode(b"x" * before + piece)) == [f"{name} (base64)"]


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert find_canary(b"") == []
    assert find_canary(bytes(range(256)) * 40) == []
    for path in RECORDED.glob("*result.json"):
        assert find_canary(path.read_bytes()) == []


def test_a_folder_is_searched_with_all_its_files_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "deep" / CANARY.client_id).mkdir(parents=True)
    (tmp_path / "deep" / "orders.jsonl").write_text(json.dumps({"a": CANARY.client_secret[3:12]}))
    (tmp_path / "clean.txt").write_text("nothing")
    assert find_in_folder(tmp_path) == [f"{CANARY.client_id}: client_id", "orders.jsonl: client_secret"]


def test_a_run_that_leaks_is_found_out(tmp_path: Path) -> None:
    tells_all = (
        "import logging, os\n"
        "def decide_action(state, config):\n"
        "    secret = os.environ['DERIBIT_CLIENT_SECRET']\n"
        "    print(secret)\n"
        "    logging.getLogger('mine').debug(secret)\n"
        "    raise RuntimeError(secret)\n"
    )
    found = run_with_canary(tmp_path / "told", Setting(("--once",), policy=tells_all)).found
    assert {what.partition(":")[0].partition("-20")[0] for what in found} == {"stdout", "log records"}


# --- runs -----------------------------------------------------------------------------------------------


def test_a_normal_run_trades_and_leaves_no_trace_of_the_key(tmp_path: Path) -> None:
    left = run_with_canary(tmp_path / "run", Setting())
    assert left.found == []
    assert left.ended.code == 0
    assert "filled" in left.ended.out
    status = run_main("--status", "--log-dir", tmp_path / "run" / "logs", "--data-dir", tmp_path / "run" / "data")
    assert (status.code, find_canary((status.out + status.err).encode())) == (0, [])


def test_every_detail_of_the_connection_can_be_logged(tmp_path: Path) -> None:
    left = run_with_canary(tmp_path / "run", Setting(talkative=("httpx", "httpcore")))
    assert "send_request_body.complete" in left.log_records
    assert left.found == []


@pytest.mark.parametrize(("arguments", "code"), [((), 4), (("--check",), 1)])
def test_a_key_that_is_not_accepted_is_not_shown(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    left = run_with_canary(tmp_path / "run", Setting(arguments or ("--once",), credentials=WRONG_KEY))
    assert (left.ended.code != 0, left.found) == (True, [])
    assert "13004" in left.ended.out + left.ended.err


@pytest.mark.parametrize(("place", "what"), zip(ECHOES, cycle(ECHOED_METHODS), strict=False))
def test_a_server_that_sends_the_key_back_does_not_get_it_logged(tmp_path: Path, place: str, what: str) -> None:
    setting = Setting(("--iterations", "2"), echo=place, echoed=ECHOED_METHODS[what])
    left = run_with_canary(tmp_path / "run", setting)
    assert left.echoes > 0
    assert left.found == []


@pytest.mark.parametrize("place", ["in the message of an error", "in the place of a number", "in a redirect's host"])
def test_the_check_does_not_show_what_a_server_sends_back(tmp_path: Path, place: str) -> None:
    left = run_with_canary(tmp_path / "run", all_settings()[f"check echoed {place}"])
    assert left.echoes > 0
    assert left.found == []


@pytest.mark.parametrize("what", LEAKY_POLICIES)
def test_a_policy_that_tells_what_it_knows_does_not_know_the_key(tmp_path: Path, what: str) -> None:
    left = run_with_canary(tmp_path / "run", Setting(("--iterations", "2"), policy=LEAKY_POLICIES[what]))
    assert left.asked > 0
    assert left.found == []


# --- errors from inside httpx ------------------------------------------------------------------------------


def _with_cause(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


FAILURES: dict[str, Callable[[str], Exception]] = {
    "connect": httpx.ConnectError,
    "read": httpx.ReadError,
    "protocol": httpx.RemoteProtocolError,
    "packing": httpx.DecodingError,
    "address": httpx.InvalidURL,
    "stream": httpx.StreamError,
    "system": lambda text: OSError(5, text, text),
    "text": lambda text: UnicodeDecodeError("utf-8", text.encode(), 0, 1, text),
    "anything": ValueError,
    "a cause": lambda text: _with_cause(httpx.ConnectError("made up"), OSError(text)),
    "certificate": lambda text: _with_cause(httpx.ConnectError(text), ssl.SSLCertVerificationError(1, text)),
}
CALLS: dict[str, Callable[[DeribitClient], object]] = {
    "login": lambda client: client.authenticate(),
    "read": lambda client: client.get_positions(),
    "order": lambda client: client.place_limit_order(an_order_request()),
}


@dataclass(frozen=True)
class Failing:
    """Raises an error that holds the request's body and its token; logging in works where it is not the point."""

    error: Callable[[str], Exception]
    login_works: bool
    before: int = 0

    def __call__(self, request: httpx.Request, answer: Answer) -> httpx.Response:
        if self.login_works and request.url.path.endswith("auth"):
            token = {"access_token": CANARY.access_token, "expires_in": 900, "scope": "trade:read_write"}
            return httpx.Response(200, json={"result": token, "testnet": True})
        raise self.error("-" * self.before + request.headers.get("authorization", "") + request.read().decode())


def printed(error: BaseException) -> str:
    """An error as Python and the agent print it."""
    return " ".join([*traceback.format_exception(error), repr(error), str(error), repr(error.args), repr(vars(error))])


def chain(error: BaseException | None) -> str:
    """What an error came from, as a tool might print it that does not care for `from None`."""
    if error is None:
        return ""
    return f"{error!r} {error.args} " + chain(error.__cause__) + chain(error.__context__)


def client_at(failing: Failing, folder: Path) -> DeribitClient:
    config = agent_config(folder, deribit=dict(zip(("client_id", "client_secret"), CREDENTIALS, strict=True)))
    return DeribitClient(config, transport=Wire(always=failing), clock=SimulatedClock(START), order_log=KeptLines())


class KeptLines:
    """An order log in memory."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, record: Any) -> None:
        self.lines.append(json.dumps(dict(record), default=str))

    def note(self, record: Any) -> str | None:
        self.write(record)
        return None

    def knows(self, label: str) -> bool:
        return False


def error_of(call: Callable[[DeribitClient], object], client: DeribitClient) -> tuple[str, AgentError | None]:
    """What a failing call returned and wrote, and the error it raised."""
    told, raised = "", None
    try:
        told = repr(call(client))
    except AgentError as error:
        raised = error
    return told + repr(client.end_iteration()), raised


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("failure", FAILURES)
def test_an_error_that_holds_the_request_is_not_shown(tmp_path: Path, failure: str, what: str) -> None:
    for before in (0, 60, 120, 150, 180, 195):  # texts are shortened: not into a piece of the secret
        client = client_at(Failing(FAILURES[failure], what != "login", before), tmp_path)
        told, error = error_of(CALLS[what], client)
        assert find_canary((told + ("" if error is None else printed(error))).encode()) == [], before


@pytest.mark.parametrize("what", ["login", "read"])
@pytest.mark.parametrize("failure", FAILURES)
def test_an_error_that_holds_the_request_does_not_hang_on_to_ours(tmp_path: Path, failure: str, what: str) -> None:
    client = client_at(Failing(FAILURES[failure], what != "login"), tmp_path)
    _, error = error_of(CALLS[what], client)
    assert error is not None
    assert find_canary(chain(error).encode()) == []


# --- objects -------------------------------------------------------------------------------------------------


def dumped(value: Any, depth: int = 4) -> Iterator[str]:
    """What a curious debugger prints: the object, its attributes, theirs. Not of the exchange, which knows the key."""
    if type(value).__module__.startswith(("tests.", "paper_exchange.")):
        return
    yield f"{value!r} {value}"
    if depth == 0 or isinstance(value, SecretStr | str | bytes | int | float | type):
        return
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
    for part in (*parts, *getattr(value, "__dict__", {}).values()):
        yield from dumped(part, depth - 1)


def test_client_settings_and_agent_do_not_show_the_key_whoever_asks(tmp_path: Path) -> None:
    world = SmallWorld(tmp_path, Random(1))
    world.iterate(None)  # so that there is a token
    agent = world.agent
    keyed = agent_config(tmp_path, deribit=dict(zip(("client_id", "client_secret"), CREDENTIALS, strict=True)))
    for thing in (agent, agent.client, agent.config, keyed, keyed.deribit, agent.recorder.run, agent.order_log):
        told = " ".join(dumped(thing))
        assert find_canary(told.encode("utf-8", errors="replace")) == []
        assert "Authorization" not in told
    world.close()


@pytest.mark.parametrize(
    "show", [repr, str, vars, dict, copy.deepcopy, BaseModel.model_dump, BaseModel.model_dump_json]
)
def test_settings_can_be_shown_in_every_way(tmp_path: Path, show: Callable[[Any], object]) -> None:
    keyed = agent_config(tmp_path, deribit=dict(zip(("client_id", "client_secret"), CREDENTIALS, strict=True)))
    assert find_canary(f"{show(keyed)} {show(keyed.deribit)}".encode()) == []


def test_a_client_cannot_be_packed_up_and_taken_along(tmp_path: Path) -> None:
    client = client_at(Failing(httpx.ReadError, True), tmp_path)
    try:
        packed = pickle.dumps(client)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        packed = printed(error).encode()
    assert find_canary(packed) == []


@pytest.mark.parametrize("field", ["timeout_seconds", "base_url", "nonsense"])
def test_pydantic_does_not_quote_the_key_in_its_complaints(field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DeribitConfig.model_validate(
            {"client_id": CREDENTIALS[0], "client_secret": CREDENTIALS[1], field: CREDENTIALS[1]}
        )
    assert find_canary(f"{caught.value} {caught.value!r}".encode()) == []
