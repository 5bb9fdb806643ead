"""The client: what goes over the wire, what is retried, and that an order leaves once, after its line, or not at all.

respx stands for the network where the wire itself matters; everywhere else the paper exchange answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from config import AgentConfig
from deribit.error_codes import TOKEN_CODES
from deribit.wire import network_transport
from deribit_client import DeribitClient
from logging_utils import read_records
from models import (
    AuthenticationError,
    DeribitConnectionError,
    GatewayError,
    InvalidReplyError,
    Order,
    OrderRequest,
    RateLimitError,
    RequestRefusedError,
    SendOutcome,
    WrongEnvironmentError,
)
from orders.order_log import OrderLogFile
from paper_exchange.market.clocks import SimulatedClock
from paper_exchange.server import PaperServer
from paper_exchange.transport import PaperTransport
from tests.builders.agent import Desk, an_order_request, scripted_desk
from tests.builders.configs import a_config, agent_config
from tests.builders.disks import disk_full, faulty_disk
from tests.builders.paper import CALL, PUT, START, ScriptedMarket, exchange_on, market_with
from tests.builders.states import an_order
from tests.builders.wire import (
    Fault,
    Wire,
    answer_lost,
    answered,
    envelope,
    lost_on_the_way,
    meanwhile,
    refused,
    reply_changed,
    result_of,
)

BASE = "https://test.deribit.com/api/v2"
ID, SECRET, TOKEN = "made-up-id-5521", "made-up-secret-9937", "made-up-token-7713"
START_MS = 1_767_614_400_000
READ, SELL = "private/get_positions", "private/sell"
Reply = Callable[[httpx.Request], httpx.Response]


def says(result: object, **members: object) -> Reply:
    return lambda request: httpx.Response(200, json=envelope(request, result=result, **members))


@pytest.fixture
def network() -> Iterator[respx.MockRouter]:
    """A network with Deribit's testnet in it, where logging in works and nothing else does yet."""
    with respx.mock(base_url=BASE, assert_all_called=False) as router:
        token = {"access_token": TOKEN, "expires_in": 900, "scope": "trade:read_write account:read"}
        router.post("/public/auth", name="login").mock(side_effect=says(token))
        yield router


def a_client(folder: Path, config: AgentConfig | None = None) -> DeribitClient:
    """A client on the real network transport, which respx stands behind."""
    clock = SimulatedClock(START)
    order_log = OrderLogFile(folder / "logs", clock, "test-0001")
    settings = agent_config(folder) if config is None else config
    return DeribitClient(settings, clock=clock, order_log=order_log, credentials=(ID, SECRET))


def an_order_reply(**changes: Any) -> dict[str, Any]:
    order = {
        "order_id": "1",
        "label": "cc-260105120000-abcdef-sell",
        "instrument_name": CALL,
        "direction": "sell",
        "amount": 1.0,
        "filled_amount": 0.0,
        "average_price": 0.0,
        "price": 0.02,
        "order_state": "open",
        "creation_timestamp": START_MS,
    }
    return {"order": {**order, **changes}, "trades": []}


def body_of(route: respx.Route) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(route.calls.last.request.content)
    return body


# --- the wire format --------------------------------------------------------------------------


def test_a_public_read_is_a_json_rpc_post_without_credentials(tmp_path: Path, network: respx.MockRouter) -> None:
    route = network.post("/public/get_index_price").mock(side_effect=says({"index_price": 90_000.0}))
    assert a_client(tmp_path).get_index_price("BTC") == 90_000.0
    assert body_of(route) == {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "public/get_index_price",
        "params": {"index_name": "btc_usd"},
    }
    assert "authorization" not in route.calls.last.request.headers


def test_logging_in_asks_for_no_more_rights_than_the_agent_uses(tmp_path: Path, network: respx.MockRouter) -> None:
    network.post(f"/{READ}").mock(side_effect=says([]))
    a_client(tmp_path).get_positions()
    assert body_of(network["login"])["params"] == {
        "grant_type": "client_credentials",
        "client_id": ID,
        "client_secret": SECRET,
        "scope": "session:covered-call trade:read_write account:read wallet:none",
    }


def test_a_private_read_carries_the_token(tmp_path: Path, network: respx.MockRouter) -> None:
    route = network.post(f"/{READ}").mock(side_effect=says([]))
    a_client(tmp_path).get_positions()
    assert route.calls.last.request.headers["authorization"] == f"Bearer {TOKEN}"


def test_cookies_are_neither_kept_nor_sent(tmp_path: Path, network: respx.MockRouter) -> None:
    def wants_to_be_remembered(request: httpx.Request) -> httpx.Response:
        reply: httpx.Response = says([])(request)
        reply.headers["set-cookie"] = "who=me; Path=/"
        return reply

    route = network.post(f"/{READ}").mock(side_effect=wants_to_be_remembered)
    client = a_client(tmp_path)
    client.get_positions()
    client.get_positions()
    assert "cookie" not in route.calls.last.request.headers


def test_an_order_is_a_limit_order_for_the_day_with_label_and_deadline(
    tmp_path: Path, network: respx.MockRouter
) -> None:
    route = network.post(f"/{SELL}").mock(side_effect=says(an_order_reply()))
    receipt = a_client(tmp_path).place_limit_order(an_order_request())
    assert receipt.outcome == SendOutcome.ACCEPTED
    assert body_of(route)["params"] == {
        "instrument_name": CALL,
        "amount": 1.0,
        "type": "limit",
        "price": 0.02,
        "label": "cc-260105120000-abcdef-sell",
        "time_in_force": "good_til_day",
        "post_only": False,
        "reject_post_only": False,
        "reduce_only": False,
        "valid_until": START_MS + 10_000,
    }


def test_a_buy_back_goes_to_private_buy_and_may_only_reduce(tmp_path: Path, network: respx.MockRouter) -> None:
    route = network.post("/private/buy").mock(side_effect=says(an_order_reply(direction="buy")))
    a_client(tmp_path).place_limit_order(an_order_request(direction="buy", reduce_only=True))
    assert body_of(route)["params"]["reduce_only"] is True


# --- time --------------------------------------------------------------------------------------


def test_server_time_follows_the_exchanges_own_clock(tmp_path: Path, network: respx.MockRouter) -> None:
    ahead_us = (START_MS + 3_600_000) * 1_000
    network.post("/public/get_index_price").mock(side_effect=says({"index_price": 1.0}, usOut=ahead_us))
    client = a_client(tmp_path)
    client.get_index_price("BTC")
    client.clock.sleep(5.0)
    assert client.server_now() == START + timedelta(hours=1, seconds=5)


def test_an_order_lapses_ten_seconds_after_it_left_by_the_exchanges_clock(
    tmp_path: Path, network: respx.MockRouter
) -> None:
    ahead_us = (START_MS - 600_000) * 1_000
    network.post("/public/status").mock(side_effect=says({"locked": "false"}, usOut=ahead_us))
    route = network.post(f"/{SELL}").mock(side_effect=says(an_order_reply()))
    client = a_client(tmp_path)
    client.get_locked_status()
    client.place_limit_order(an_order_request(quoted_at=client.server_now()))
    assert body_of(route)["params"]["valid_until"] == START_MS - 600_000 + 10_000


def test_a_reply_without_time_leaves_the_local_clock_in_charge(tmp_path: Path, network: respx.MockRouter) -> None:
    network.post("/public/get_time").mock(side_effect=says(START_MS + 5))
    client = a_client(tmp_path)
    assert client.get_time() == START + timedelta(milliseconds=5)
    assert client.server_now() == START


# --- reads: errors and retries --------------------------------------------------------------------


def test_http_400_with_a_json_body_is_deribits_normal_way_to_refuse(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    with pytest.raises(RequestRefusedError) as caught:
        desk.client.get_ticker("BTC-NOTAREAL")
    refusal = caught.value
    assert (refusal.code, refusal.reason) == (-32602, "instrument_name: wrong format")
    assert desk.wire.methods() == ["public/ticker"]


TRANSIENT: tuple[Fault, ...] = (
    lost_on_the_way(httpx.ConnectError),
    lost_on_the_way(httpx.ConnectTimeout),
    lost_on_the_way(httpx.PoolTimeout),
    answer_lost(httpx.ReadTimeout),
    answer_lost(httpx.ReadError),
    answer_lost(httpx.WriteError),
    answer_lost(httpx.RemoteProtocolError),
    answered(502, b"<html>Bad Gateway</html>"),
    answered(200, b"<html>maintenance</html>"),
    answered(200, b""),
    answered(200, b"[]"),
    answered(200, b'{"jsonrpc": "2.0", "resu'),
    answered(200, b'{"jsonrpc": "2.0", "id": 999, "result": []}'),
    refused(10040, "retry"),
    refused(11094, "internal_server_error"),
)


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_read_is_asked_again_after_a_transient_fault(tmp_path: Path, fault: Fault) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(READ, fault, fault)
    assert desk.client.get_positions() == ()
    assert desk.wire.methods(READ) == [READ] * 3
    assert desk.client.end_iteration()[-1].attempts == 3


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_read_is_given_up_after_the_third_attempt(tmp_path: Path, fault: Fault) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(READ, fault, fault, fault)
    with pytest.raises((DeribitConnectionError, InvalidReplyError, RequestRefusedError)):
        desk.client.get_positions()
    assert desk.wire.methods(READ) == [READ] * 3


@pytest.mark.parametrize("code", [-32602, 10004, 10028, 13021])
def test_a_read_that_is_refused_for_good_is_not_asked_again(tmp_path: Path, code: int) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(READ, refused(code))
    with pytest.raises((RequestRefusedError, RateLimitError)):
        desk.client.get_positions()
    assert desk.wire.methods(READ) == [READ]


@pytest.mark.parametrize(("seconds", "attempts"), [(19.0, 2), (21.0, 1)])
def test_a_read_is_not_asked_again_once_twenty_seconds_have_passed(
    tmp_path: Path, seconds: float, attempts: int
) -> None:
    desk = scripted_desk(tmp_path)

    def slow(request: httpx.Request, answer: Callable[[], httpx.Response]) -> httpx.Response:
        desk.clock.sleep(seconds)
        raise httpx.ReadTimeout("made up", request=request)

    desk.wire.disturb("public/get_time", slow, slow, slow)
    with pytest.raises(DeribitConnectionError):
        desk.client.get_time()
    assert len(desk.wire.sent) == attempts


def test_http_429_without_a_body_is_a_rate_limit(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(READ, answered(429, b"slow down"))
    with pytest.raises(RateLimitError):
        desk.client.get_positions()
    assert desk.wire.methods(READ) == [READ]


@pytest.mark.parametrize("status", [401, 403, 405, 451])
@pytest.mark.parametrize("body", [b"", b"<html>blocked</html>", b'{"message": "Forbidden"}'])
def test_a_gateways_refusal_is_not_asked_again_and_says_nothing_about_the_key(
    tmp_path: Path, status: int, body: bytes
) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(READ, answered(status, body))
    with pytest.raises(GatewayError, match=f"HTTP {status}: blocked before Deribit's API .*nothing about your key"):
        desk.client.get_positions()
    assert desk.wire.methods(READ) == [READ]


@pytest.mark.parametrize(("size", "is_read"), [(5_000_000, True), (5_000_001, False)])
def test_a_reply_above_five_million_bytes_is_not_read(tmp_path: Path, size: int, is_read: bool) -> None:
    desk = scripted_desk(tmp_path)
    reply = b'{"jsonrpc": "2.0", "result": 1767614400000}'
    desk.wire.disturb("public/get_time", *[answered(200, reply + b" " * (size - len(reply)))] * 3)
    if is_read:
        assert desk.client.get_time() == START
        return
    with pytest.raises(InvalidReplyError, match="too large"):
        desk.client.get_time()


def test_a_reply_that_only_drips_is_given_up(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)

    class Dripping(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(1_000):
                desk.clock.sleep(0.1)
                yield b" "

    desk.wire.disturb("public/get_time", *[lambda request, answer: httpx.Response(200, stream=Dripping())] * 3)
    with pytest.raises(InvalidReplyError, match="too slow"):
        desk.client.get_time()
    assert len(desk.wire.sent) == 2  # ten seconds each
    assert desk.clock.now() - START < timedelta(seconds=21)


# --- an order is put on the wire once -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (answer_lost(httpx.ReadTimeout), SendOutcome.UNKNOWN),
        (answer_lost(httpx.ReadError), SendOutcome.UNKNOWN),
        (answer_lost(httpx.RemoteProtocolError), SendOutcome.UNKNOWN),
        (lost_on_the_way(httpx.WriteError), SendOutcome.UNKNOWN),
        (lost_on_the_way(httpx.WriteTimeout), SendOutcome.UNKNOWN),
        (answered(502, b"<html>Bad Gateway</html>"), SendOutcome.UNKNOWN),
        (answered(200, b"<html>maintenance</html>"), SendOutcome.UNKNOWN),
        (answered(200, b""), SendOutcome.UNKNOWN),
        (answered(200, b'{"jsonrpc": "2.0", "resu'), SendOutcome.UNKNOWN),
        (answered(200, b'{"result": {}, "error": {"code": 1}}'), SendOutcome.UNKNOWN),
        (answered(200, b'{"id": 999, "result": {}}'), SendOutcome.UNKNOWN),
        (result_of({"order": {"order_id": "1"}, "trades": []}), SendOutcome.UNKNOWN),
        (result_of(an_order_reply(amount=int("9" * 400))), SendOutcome.UNKNOWN),
        (refused(13888, "timed_out"), SendOutcome.UNKNOWN),
        (refused(10050, "lock_time_exceeded"), SendOutcome.UNKNOWN),
        (refused(10001, "error"), SendOutcome.UNKNOWN),
        (refused(11094, "internal_server_error"), SendOutcome.UNKNOWN),
        (lost_on_the_way(httpx.ConnectError), SendOutcome.NOT_SENT),
        (lost_on_the_way(httpx.ConnectTimeout), SendOutcome.NOT_SENT),
        (lost_on_the_way(httpx.PoolTimeout), SendOutcome.NOT_SENT),
        (refused(10009, "not_enough_funds"), SendOutcome.REJECTED),
        (refused(10005, "price_too_low 0.0005"), SendOutcome.REJECTED),
        (refused(10028, "too_many_requests"), SendOutcome.REJECTED),
        (refused(10041, "settlement_in_progress"), SendOutcome.REJECTED),
        (refused(13009, "unauthorized"), SendOutcome.REJECTED),
        (refused(-32602, "Invalid params"), SendOutcome.REJECTED),
        (answered(429, b"slow down"), SendOutcome.UNKNOWN),
        (answered(401, b"who are you"), SendOutcome.UNKNOWN),
        (answered(403, b'{"message": "Forbidden"}'), SendOutcome.UNKNOWN),
        (answered(403, b'{"error": {"code": 13009, "message": "unauthorized"}}'), SendOutcome.UNKNOWN),
        (answered(405, b"<html>Not Allowed</html>"), SendOutcome.UNKNOWN),
        (answered(451, b""), SendOutcome.UNKNOWN),
        (result_of(an_order_reply(order_state="rejected")), SendOutcome.REJECTED),
        (result_of(an_order_reply(order_state="speed_bumped")), SendOutcome.ACCEPTED),
    ],
)
def test_an_order_is_sent_once_whatever_happens_and_only_what_is_sure_is_called_sure(
    tmp_path: Path, fault: Fault, outcome: SendOutcome
) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(SELL, fault)
    receipt = desk.client.place_limit_order(an_order_request())
    assert receipt.outcome == outcome
    assert desk.wire.methods(SELL) == [SELL]
    assert [line["event"] for line in desk.order_lines()] == ["intent", "outcome"]
    assert desk.order_lines()[-1]["outcome"] == outcome


def test_an_order_whose_answer_was_lost_stays_an_open_question_in_the_log(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(SELL, answer_lost())
    desk.client.place_limit_order(an_order_request())
    assert desk.account.state.size_of(CALL) == -1.0
    (order,) = desk.order_log.unresolved()
    assert order.label == an_order_request().label


@pytest.mark.parametrize("fault", [answer_lost(), lost_on_the_way(), answered(502, b""), refused(10009)])
def test_cancels_and_edits_are_sent_once_too(tmp_path: Path, fault: Fault) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb("private/cancel", fault)
    desk.wire.disturb("private/edit", fault)
    assert desk.client.cancel_order("1").outcome != SendOutcome.ACCEPTED
    assert desk.client.edit_order(an_order(), 0.02, desk.clock.now()).outcome != SendOutcome.ACCEPTED
    assert desk.wire.methods("private/cancel", "private/edit") == ["private/cancel", "private/edit"]


def test_an_order_that_cannot_log_in_is_not_sent(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb("public/auth", lost_on_the_way())
    assert desk.client.place_limit_order(an_order_request()).outcome == SendOutcome.NOT_SENT
    assert desk.wire.methods(SELL) == []


# --- no line, no order ------------------------------------------------------------------------------------


def test_the_line_of_an_order_is_on_disk_before_the_order_leaves(tmp_path: Path, network: respx.MockRouter) -> None:
    seen: list[dict[str, Any]] = []

    def look_at_the_log(request: httpx.Request) -> httpx.Response:
        seen.extend(read_records(tmp_path / "logs" / "orders-*.jsonl"))
        return says(an_order_reply())(request)

    network.post(f"/{SELL}").mock(side_effect=look_at_the_log)
    a_client(tmp_path).place_limit_order(an_order_request())
    (line,) = seen
    assert (line["event"], line["label"]) == ("intent", an_order_request().label)
    assert (line["symbol"], line["amount_coin"], line["price_coin"]) == (CALL, 1.0, 0.02)
    assert line["valid_until"] == START_MS + 10_000


def test_without_an_order_log_nothing_is_sent() -> None:
    wire = Wire(PaperTransport(exchange_on(market_with())))
    client = DeribitClient(a_config(), transport=wire, clock=SimulatedClock(START), credentials=(ID, SECRET))
    receipt = client.place_limit_order(an_order_request())
    assert (receipt.outcome, wire.sent) == (SendOutcome.NOT_SENT, [])
    assert "there is no order log" in (receipt.error or "")


def test_with_a_full_disk_nothing_is_sent(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    with disk_full(tmp_path / "logs" / "orders-2026-01-05.jsonl"):
        receipt = desk.client.place_limit_order(an_order_request())
    assert (receipt.outcome, desk.wire.methods(SELL)) == (SendOutcome.NOT_SENT, [])
    assert "No space left" in (receipt.error or "")
    assert (desk.order_lines(), desk.order_log.unresolved()) == ([], ())


def test_a_disk_that_fills_up_while_an_order_is_out_does_not_hide_what_became_of_it(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    full = ExitStack()
    fill = meanwhile(lambda: full.enter_context(disk_full(tmp_path / "logs" / "orders-2026-01-05.jsonl")))
    desk.wire.disturb(SELL, fill)
    with full:
        receipt = desk.client.place_limit_order(an_order_request())
        assert receipt.outcome == SendOutcome.ACCEPTED
        assert any("No space left" in call.outcome for call in desk.client.end_iteration())
        assert [line["event"] for line in desk.order_lines()] == ["intent"]
    desk.order_log.write_kept()
    assert [line["event"] for line in desk.order_lines()] == ["intent", "outcome"]


def test_while_the_kill_file_exists_nothing_is_sent(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.config.risk.kill_file.touch()
    receipt = desk.client.place_limit_order(an_order_request())
    assert (receipt.outcome, desk.wire.sent, desk.order_lines()) == (SendOutcome.NOT_SENT, [], [])
    desk.config.risk.kill_file.unlink()
    assert desk.client.place_limit_order(an_order_request()).outcome == SendOutcome.ACCEPTED


@pytest.mark.parametrize(
    ("make", "note"),
    [
        (lambda path: path.write_text("  expiry day\n"), "expiry day"),
        (lambda path: path.touch(), ""),
        (lambda path: path.write_bytes(b"x" * 10_000), "x" * 200),
        (lambda path: path.write_bytes(b"\xff"), "\ufffd"),
        (lambda path: path.mkdir(), "it is not a plain file"),
        (lambda path: path.symlink_to("nowhere"), "it is not a plain file"),
        (lambda path: path.symlink_to("/dev/null"), "it is not a plain file"),
        (lambda path: path.symlink_to(path.name), "it is not a plain file"),
    ],
)
def test_whatever_stands_at_the_kill_files_place_stops_every_order(
    tmp_path: Path, make: Callable[[Path], object], note: str
) -> None:
    desk = scripted_desk(tmp_path)
    make(desk.config.risk.kill_file)
    assert desk.client.kill_note() == note
    assert desk.client.place_limit_order(an_order_request()).outcome == SendOutcome.NOT_SENT
    assert desk.client.edit_order(an_order(), 0.02, desk.clock.now()).outcome == SendOutcome.NOT_SENT
    assert desk.wire.sent == []


def test_a_file_called_kill_in_the_data_folder_stops_every_order_too_and_says_where_it_is(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    assert desk.client.kill_note() is None
    data_dir = desk.config.run.data_dir
    data_dir.mkdir(exist_ok=True)
    (data_dir / "KILL").write_text("expiry day")
    assert desk.client.kill_note() == f"expiry day (in {data_dir})"
    assert_not_sent(desk, "the kill file exists", an_order_request())


def test_a_kill_file_that_cannot_be_looked_at_counts_as_there(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path, risk={"kill_file": tmp_path / ("x" * 300)})
    assert "its folder cannot be read" in (desk.client.kill_note() or "")
    assert desk.client.place_limit_order(an_order_request()).outcome == SendOutcome.NOT_SENT


@pytest.mark.parametrize("place", ["KILL", "no-such-folder/KILL"])
def test_a_kill_file_that_is_surely_not_there_stops_nothing(tmp_path: Path, place: str) -> None:
    desk = scripted_desk(tmp_path, risk={"kill_file": tmp_path / place})
    assert desk.client.kill_note() is None
    assert desk.client.place_limit_order(an_order_request()).outcome == SendOutcome.ACCEPTED


# --- the last look, before the line is written and after it ---------------------------------------------------


def assert_not_sent(desk: Desk, why: str, request: OrderRequest, lines: tuple[str, ...] = ()) -> None:
    receipt = desk.client.place_limit_order(request)
    assert receipt.outcome == SendOutcome.NOT_SENT
    assert why in (receipt.error or "")
    assert desk.wire.methods(SELL, "private/buy") == []
    assert tuple(line.get("outcome", line["event"]) for line in desk.order_lines()) == lines
    assert desk.order_log.unresolved() == desk.order_log.unclosed() == ()


WRITTEN = ("intent", "not_sent")


def test_a_kill_file_that_appears_while_the_line_is_written_stops_the_order(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    with faulty_disk(write=lambda path: desk.config.risk.kill_file.touch()):
        assert_not_sent(desk, "the kill file exists", an_order_request(), WRITTEN)


@pytest.mark.parametrize(("seconds", "is_sent"), [(0.0, True), (9.9, True), (10.0, False), (30.0, False)])
def test_an_order_whose_line_took_longer_than_its_deadline_is_not_sent(
    tmp_path: Path, seconds: float, is_sent: bool
) -> None:
    desk = scripted_desk(tmp_path)
    slow_once = [seconds]
    with faulty_disk(fsync=lambda path: desk.clock.sleep(slow_once.pop() if slow_once else 0.0)):
        if is_sent:
            assert desk.client.place_limit_order(an_order_request()).outcome == SendOutcome.ACCEPTED
        else:
            assert_not_sent(desk, "deadline passed", an_order_request(), WRITTEN)


def test_a_quote_that_grows_old_while_the_line_is_written_stops_the_order(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.clock.sleep(118.0)
    with faulty_disk(fsync=lambda path: desk.clock.sleep(3.0)):
        assert_not_sent(desk, "s old, at most 120 s allowed", an_order_request(), WRITTEN)


def test_a_settlement_window_that_begins_while_the_line_is_written_stops_the_order(tmp_path: Path) -> None:
    market = ScriptedMarket(datetime(2026, 1, 7, 7, 54, 48, tzinfo=UTC))
    market.show(CALL, 0.02, 0.021)
    desk = scripted_desk(tmp_path, market)
    request = an_order_request(quoted_at=desk.clock.now())
    with faulty_disk(fsync=lambda path: desk.clock.sleep(2.0)):
        assert_not_sent(desk, "no orders from 07:55 to 08:05 UTC", request, WRITTEN)


@pytest.mark.parametrize(
    ("clock_time", "is_sent"), [("07:54:49", True), ("07:54:50", False), ("08:04:59", False), ("08:05:00", True)]
)
def test_no_order_and_no_new_price_leaves_that_may_arrive_in_the_settlement_window(
    tmp_path: Path, clock_time: str, is_sent: bool
) -> None:
    market = ScriptedMarket(datetime.fromisoformat(f"2026-01-07T{clock_time}+00:00"))
    market.show(CALL, 0.02, 0.021)
    desk = scripted_desk(tmp_path, market)
    receipt = desk.client.place_limit_order(an_order_request(quoted_at=desk.clock.now(), price_coin=0.03))
    order = receipt.order or an_order()
    assert (receipt.outcome == SendOutcome.ACCEPTED) is is_sent
    assert (desk.client.edit_order(order, 0.025, desk.clock.now()).outcome == SendOutcome.ACCEPTED) is is_sent


@pytest.mark.parametrize(
    ("age_seconds", "is_sent"), [(0.0, True), (120.0, True), (120.5, False), (-120.0, True), (-120.5, False)]
)
def test_no_order_leaves_on_a_quote_that_is_too_old_or_from_the_future(
    tmp_path: Path, age_seconds: float, is_sent: bool
) -> None:
    desk = scripted_desk(tmp_path)
    request = an_order_request(quoted_at=START - timedelta(seconds=age_seconds))
    if is_sent:
        assert desk.client.place_limit_order(request).outcome == SendOutcome.ACCEPTED
    else:
        assert_not_sent(desk, "s old, at most 120 s allowed", request)


@pytest.mark.parametrize(
    "symbol",
    [
        PUT,
        "BTC-PERPETUAL",
        "BTC-16JAN26",
        "SOL-16JAN26-100-C",
        "BTC_USDC-16JAN26-100000-C",
        "btc-16JAN26-100000-C",
        "BTC-16JAN26-100000-c",
        "",
    ],
)
def test_only_calls_on_btc_and_eth_are_ever_ordered(tmp_path: Path, symbol: str) -> None:
    assert_not_sent(scripted_desk(tmp_path), "is not a call on BTC or ETH", an_order_request(symbol))


def test_a_buy_that_could_open_a_position_is_not_sent(tmp_path: Path) -> None:
    assert_not_sent(scripted_desk(tmp_path), "must be reduce-only", an_order_request(direction="buy"))


def numbered(number: int) -> OrderRequest:
    return an_order_request(label=f"cc-260105120000-abcdef-{number}", amount_coin=0.1)


def test_two_orders_leave_in_an_iteration_and_a_third_does_not(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    for _ in range(2):
        desk.client.begin_iteration()
        outcomes = [desk.client.place_limit_order(numbered(number)).outcome for number in range(3)]
        assert outcomes == [SendOutcome.ACCEPTED, SendOutcome.ACCEPTED, SendOutcome.NOT_SENT]
        desk.client.end_iteration()
    assert len(desk.wire.methods(SELL)) == 4


def test_an_order_that_did_not_leave_does_not_count(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.begin_iteration()
    desk.client.place_limit_order(an_order_request(PUT))
    outcomes = [desk.client.place_limit_order(numbered(number)).outcome for number in range(2)]
    assert outcomes == [SendOutcome.ACCEPTED] * 2


def test_an_order_of_unknown_fate_counts_as_one_that_left(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.begin_iteration()
    desk.wire.disturb(SELL, answer_lost(), answer_lost())
    outcomes = [desk.client.place_limit_order(numbered(number)).outcome for number in range(3)]
    assert outcomes == [SendOutcome.UNKNOWN, SendOutcome.UNKNOWN, SendOutcome.NOT_SENT]


@pytest.mark.parametrize(
    ("scope", "may_trade"),
    [
        ("account:read trade:read_write", True),
        ("account:read trade:read", False),
        ("account:read", False),
        ("trade:read_write_later", False),
    ],
)
def test_a_key_without_the_right_to_trade_reads_on_and_sends_no_order(
    tmp_path: Path, scope: str, may_trade: bool
) -> None:
    desk = scripted_desk(tmp_path)
    token = {"access_token": TOKEN, "expires_in": 900, "scope": scope}
    desk.wire.disturb("public/auth", result_of(token))
    desk.wire.disturb(READ, result_of([]))
    assert desk.client.get_positions() == ()
    assert desk.client.may_trade is may_trade
    if not may_trade:
        assert_not_sent(desk, "it lacks trade:read_write", an_order_request())


def test_a_key_that_turns_out_to_have_no_right_to_trade_sends_not_even_its_first_order(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb("public/auth", result_of({"access_token": TOKEN, "expires_in": 900, "scope": "account:read"}))
    assert_not_sent(desk, "it lacks trade:read_write", an_order_request(), WRITTEN)


def test_a_new_price_is_written_down_before_it_leaves(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    order = a_resting_order(desk.client)
    with disk_full(tmp_path / "logs" / "orders-2026-01-05.jsonl"):
        assert desk.client.edit_order(order, 0.025, desk.clock.now()).outcome == SendOutcome.NOT_SENT
    assert desk.wire.methods("private/edit") == []
    assert desk.client.edit_order(order, 0.025, desk.clock.now()).outcome == SendOutcome.ACCEPTED
    edit = desk.order_lines()[-1]
    assert (edit["event"], edit["label"], edit["price"]) == ("edit", order.label, 0.025)


def test_a_new_price_gets_its_last_look_after_its_line_too(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    order = a_resting_order(desk.client)
    with faulty_disk(fsync=lambda path: desk.config.risk.kill_file.touch()):
        assert desk.client.edit_order(order, 0.025, desk.clock.now()).outcome == SendOutcome.NOT_SENT
    assert desk.wire.methods("private/edit") == []


def test_a_new_price_does_not_leave_into_a_settlement_window_that_began_while_its_line_was_written(
    tmp_path: Path,
) -> None:
    market = ScriptedMarket(datetime(2026, 1, 7, 7, 54, 40, tzinfo=UTC))
    market.show(CALL, 0.02, 0.021)
    desk = scripted_desk(tmp_path, market)
    receipt = desk.client.place_limit_order(an_order_request(quoted_at=desk.clock.now(), price_coin=0.03))
    assert receipt.order is not None
    with faulty_disk(fsync=lambda path: desk.clock.sleep(30.0)):
        assert desk.client.edit_order(receipt.order, 0.025, desk.clock.now()).outcome == SendOutcome.NOT_SENT
    assert desk.wire.methods("private/edit") == []


@pytest.mark.parametrize(("filled", "is_busy"), [(0.0, False), (0.4, True)])
def test_the_end_of_an_order_is_written_down_with_what_was_filled(tmp_path: Path, filled: float, is_busy: bool) -> None:
    desk = scripted_desk(tmp_path)
    order = a_resting_order(desk.client)
    assert [found.label for found in desk.order_log.unclosed()] == [order.label]
    desk.client.note_closed(order.model_copy(update={"order_state": "cancelled", "filled_amount_coin": filled}))
    assert desk.order_log.unclosed() == ()
    assert desk.order_log.busy_symbols(desk.clock.now()) == ((CALL,) if is_busy else ())
    last = desk.order_lines()[-1]
    assert (last["event"], last["order_state"], last["filled_amount_coin"]) == ("closed", "cancelled", filled)


@pytest.mark.parametrize(
    ("amount", "outcome"),
    [(0.9, SendOutcome.ACCEPTED), (1.0, SendOutcome.ACCEPTED), (1.1, SendOutcome.NOT_SENT)],
)
def test_no_order_is_larger_than_max_order_size(tmp_path: Path, amount: float, outcome: SendOutcome) -> None:
    desk = scripted_desk(tmp_path, btc={"max_order_size": 1.0})
    assert desk.client.place_limit_order(an_order_request(amount_coin=amount)).outcome == outcome
    assert len(desk.wire.methods(SELL)) == (outcome == SendOutcome.ACCEPTED)


# --- orders at the paper exchange ----------------------------------------------------------------------------


def a_resting_order(desk_client: DeribitClient, price: float = 0.03) -> Order:
    receipt = desk_client.place_limit_order(an_order_request(price_coin=price))
    assert receipt.order is not None
    return receipt.order


def test_a_sale_at_the_bid_is_filled_and_its_trades_can_be_read(tmp_path: Path) -> None:
    client = scripted_desk(tmp_path).client
    receipt = client.place_limit_order(an_order_request())
    assert receipt.order is not None
    assert (receipt.order.order_state, receipt.order.filled_amount_coin) == ("filled", 1.0)
    (trade,) = client.get_trades_of_order(receipt.order.order_id)
    assert (trade, trade.price_coin, trade.fee_coin) == (receipt.trades[0], 0.02, 0.0003)


def test_a_resting_order_is_found_by_id_by_label_and_among_the_open_ones(tmp_path: Path) -> None:
    client = scripted_desk(tmp_path).client
    order = a_resting_order(client)
    assert client.get_open_orders() == (order,)
    assert client.get_order_state(order.order_id) == order
    assert client.get_orders_by_label("BTC", order.label) == (order,)
    assert client.get_orders_by_label("BTC", "another") == ()


def test_an_edit_moves_the_price_and_keeps_the_order(tmp_path: Path) -> None:
    client = scripted_desk(tmp_path).client
    order = a_resting_order(client)
    receipt = client.edit_order(order, 0.025, START)
    assert receipt.order == order.model_copy(update={"price_coin": 0.025})


@pytest.mark.parametrize(
    ("direction", "said", "sent"),
    [("sell", False, False), ("sell", None, False), ("buy", True, True), ("buy", None, True)],
)
def test_an_edit_says_that_it_may_take_and_whether_it_only_reduces(
    tmp_path: Path, direction: str, said: bool | None, sent: bool
) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.edit_order(an_order(direction=direction, reduce_only=said), 0.025, START)
    (params,) = desk.wire.params("private/edit")
    assert (params["post_only"], params["reduce_only"]) == (False, sent)


@pytest.mark.parametrize("code", sorted(TOKEN_CODES))
def test_a_cancel_that_lost_its_token_is_asked_again_after_a_new_login(tmp_path: Path, code: int) -> None:
    desk = scripted_desk(tmp_path)
    order = a_resting_order(desk.client)
    desk.wire.disturb("private/cancel", refused(code))
    assert desk.client.cancel_order(order.order_id).outcome == SendOutcome.ACCEPTED
    assert desk.account.open_orders() == []
    assert desk.wire.methods()[-3:] == ["private/cancel", "public/auth", "private/cancel"]


def test_a_cancel_whose_new_token_is_not_accepted_either_is_given_up(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    order = a_resting_order(desk.client)
    desk.wire.disturb("private/cancel", *[refused(13009, "unauthorized")] * 2)
    assert desk.client.cancel_order(order.order_id).outcome == SendOutcome.REJECTED
    assert len(desk.wire.methods("private/cancel")) == 2


def test_a_cancelled_order_is_gone_and_cannot_be_cancelled_again(tmp_path: Path) -> None:
    client = scripted_desk(tmp_path).client
    order = a_resting_order(client)
    first, second = client.cancel_order(order.order_id), client.cancel_order(order.order_id)
    assert first.order is not None
    assert (first.outcome, first.order.is_live) == (SendOutcome.ACCEPTED, False)
    assert (second.outcome, "11044" in (second.error or "")) == (SendOutcome.REJECTED, True)


def test_margins_ledger_and_account_are_read(tmp_path: Path) -> None:
    client = scripted_desk(tmp_path).client
    client.place_limit_order(an_order_request())
    margins = client.get_margins(CALL, 1.0, 0.02)
    (entry,) = client.get_transaction_log("BTC", START - timedelta(hours=1), START)
    account = client.get_account_summary("BTC")
    assert margins.sell_coin > 0.1
    assert (entry.entry_type, entry.change_coin, entry.balance_coin) == ("trade", 0.0197, 10.0197)
    assert (account, account.balance_coin) == (client.get_account_summaries()[0], 10.0197)


# --- who we are and where -----------------------------------------------------------------------------------


def test_one_login_serves_many_requests(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    for _ in range(5):
        desk.client.get_positions()
    assert desk.wire.methods("public/auth") == ["public/auth"]


@pytest.mark.parametrize(("seconds", "logins"), [(839.0, 1), (840.0, 2), (841.0, 2)])
def test_the_token_is_renewed_a_minute_before_it_ends(tmp_path: Path, seconds: float, logins: int) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.get_positions()
    desk.clock.sleep(seconds)
    desk.client.get_positions()
    assert len(desk.wire.methods("public/auth")) == logins


@pytest.mark.parametrize("fault", [refused(13009, "unauthorized"), refused(10000)])
def test_a_token_that_is_not_accepted_is_replaced_once_and_the_read_goes_on(tmp_path: Path, fault: Fault) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.get_positions()
    desk.wire.disturb(READ, fault)
    assert desk.client.get_positions() == ()
    assert desk.wire.methods("public/auth", READ) == ["public/auth", READ, READ, "public/auth", READ]


def test_an_order_refused_for_its_token_is_not_repeated_but_the_next_request_logs_in(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(SELL, refused(13009, "unauthorized"))
    assert desk.client.place_limit_order(an_order_request()).outcome == SendOutcome.REJECTED
    desk.client.get_positions()
    assert desk.wire.methods("public/auth", SELL, READ) == ["public/auth", SELL, "public/auth", READ]


def a_client_with_key(wire: Wire, client_id: str, client_secret: str) -> DeribitClient:
    return DeribitClient(
        a_config(), transport=wire, clock=SimulatedClock(START), credentials=(client_id, client_secret)
    )


def test_a_wrong_key_is_tried_once_and_ends_the_process_with_code_4() -> None:
    wire = Wire(PaperTransport(exchange_on(market_with(), credentials=("right-id", "right-secret"))))
    with pytest.raises(AuthenticationError, match="does not accept this key") as caught:
        a_client_with_key(wire, "right-id", "wrong-secret").get_positions()
    assert caught.value.exit_code == 4
    assert wire.methods() == ["public/auth"]


def test_the_right_key_is_accepted() -> None:
    wire = Wire(PaperTransport(exchange_on(market_with(), credentials=("right-id", "right-secret"))))
    assert a_client_with_key(wire, "right-id", "right-secret").get_positions() == ()


def test_without_a_key_nothing_is_asked() -> None:
    wire = Wire(PaperTransport(exchange_on(market_with())))
    with pytest.raises(AuthenticationError, match="DERIBIT_CLIENT_ID and DERIBIT_CLIENT_SECRET are not set"):
        a_client_with_key(wire, "", "").get_positions()
    assert wire.sent == []


def test_a_key_that_may_withdraw_is_refused(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    token = {"access_token": TOKEN, "expires_in": 900, "scope": "account:read trade:read_write wallet:read_write"}
    desk.wire.disturb("public/auth", result_of(token))
    with pytest.raises(AuthenticationError, match="may withdraw"):
        desk.client.get_positions()


def not_testnet(reply: dict[str, Any]) -> None:
    reply["testnet"] = False


def test_a_reply_that_says_it_is_not_testnet_ends_the_process_with_code_5(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb("public/get_time", reply_changed(not_testnet))
    with pytest.raises(WrongEnvironmentError, match="not testnet") as caught:
        desk.client.get_time()
    assert caught.value.exit_code == 5
    assert desk.wire.methods() == ["public/get_time"]


def test_a_refusal_that_says_it_is_not_testnet_ends_the_process_too(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    error = b'{"jsonrpc": "2.0", "error": {"code": 10004, "message": "order_not_found"}, "testnet": false}'
    desk.wire.disturb("private/get_order_state", answered(400, error))
    with pytest.raises(WrongEnvironmentError, match="not testnet"):
        desk.client.get_order_state("1")


def test_an_order_answered_by_another_environment_ends_the_process(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(SELL, reply_changed(not_testnet))
    with pytest.raises(WrongEnvironmentError):
        desk.client.place_limit_order(an_order_request())
    assert len(desk.order_log.unresolved()) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_another_host_is_never_followed_and_ends_the_process(
    tmp_path: Path, network: respx.MockRouter, status: int
) -> None:
    elsewhere = network.post("https://www.deribit.com/api/v2/public/get_time").mock(side_effect=says(1))
    moved = httpx.Response(status, headers={"location": "https://www.deribit.com/api/v2/public/get_time"})
    network.post("/public/get_time").mock(return_value=moved)
    with pytest.raises(WrongEnvironmentError, match="redirect to www"):
        a_client(tmp_path).get_time()
    assert not elsewhere.called


def test_a_redirect_on_the_same_host_is_a_failed_read_and_not_followed_either(
    tmp_path: Path, network: respx.MockRouter
) -> None:
    elsewhere = network.post("/public/elsewhere").mock(side_effect=says(1))
    moved = httpx.Response(302, headers={"location": "/api/v2/public/elsewhere"})
    asked = network.post("/public/get_time").mock(return_value=moved)
    with pytest.raises(InvalidReplyError, match="redirect"):
        a_client(tmp_path).get_time()
    assert (asked.call_count, elsewhere.called) == (3, False)


@pytest.mark.parametrize("location", ["https://test.deribit.com/elsewhere", "http://test.deribit.com:80/x"])
def test_an_order_that_is_redirected_on_the_same_host_is_of_unknown_fate(tmp_path: Path, location: str) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(SELL, lambda request, answer: httpx.Response(307, headers={"location": location}))
    assert desk.client.place_limit_order(an_order_request()).outcome == SendOutcome.UNKNOWN
    assert desk.wire.methods(SELL) == [SELL]


def test_an_order_that_is_redirected_to_another_host_stays_an_open_question(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    moved = httpx.Response(307, headers={"location": "https://example.org/api/v2/private/sell"})
    desk.wire.disturb(SELL, lambda request, answer: moved)
    with pytest.raises(WrongEnvironmentError):
        desk.client.place_limit_order(an_order_request())
    assert len(desk.order_log.unresolved()) == 1


def pointed_at(url: str) -> AgentConfig:
    """Settings with a URL that load_config would never let through."""
    config = a_config()
    return config.model_copy(update={"deribit": config.deribit.model_copy(update={"base_url": url})})


@pytest.mark.parametrize(
    "url",
    [
        "https://www.deribit.com",
        "https://deribit.com",
        "http://test.deribit.com",
        "https://test.deribit.com.example.org",
        "https://127.0.0.1.example.org",
        "http://10.0.0.1",
    ],
)
def test_no_request_leaves_for_any_other_host(url: str) -> None:
    reached: list[httpx.Request] = []
    transport = httpx.MockTransport(lambda request: reached.append(request) or httpx.Response(500))  # type: ignore[func-returns-value]
    client = DeribitClient(pointed_at(url), transport=transport, clock=SimulatedClock(START))
    with pytest.raises(WrongEnvironmentError, match="only testnet and this machine"):
        client.get_time()
    assert reached == []


@pytest.mark.parametrize(
    "url", ["https://test.deribit.com", "http://127.0.0.1:8700", "http://localhost:8700", "http://[::1]:8700"]
)
def test_testnet_and_this_machine_are_asked(url: str) -> None:
    transport = httpx.MockTransport(says(START_MS))
    client = DeribitClient(pointed_at(url), transport=transport, clock=SimulatedClock(START))
    assert client.get_time() == START


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server = PaperServer(exchange_on(market_with()))
    server.start()
    try:
        client = DeribitClient(pointed_at(server.url), transport=network_transport(), clock=SimulatedClock(START))
        assert client.get_time() == START
    finally:
        client.close()
        server.stop()


# --- secrets ----------------------------------------------------------------------------------------------------


def test_secrets_appear_in_no_repr_no_error_no_call_and_no_line(tmp_path: Path, network: respx.MockRouter) -> None:
    config = agent_config(tmp_path, deribit={"client_id": ID, "client_secret": SECRET})
    client = a_client(tmp_path, config)
    network.post(f"/{READ}").mock(
        return_value=httpx.Response(400, json={"jsonrpc": "2.0", "error": {"code": 13021, "message": "no"}})
    )
    network.post(f"/{SELL}").mock(side_effect=httpx.ReadTimeout)
    with pytest.raises(RequestRefusedError) as refusal:
        client.get_positions()
    receipt = client.place_limit_order(an_order_request())
    network["login"].mock(
        return_value=httpx.Response(400, json={"jsonrpc": "2.0", "error": {"code": 13004, "message": "no"}})
    )
    with pytest.raises(AuthenticationError) as wrong_key:
        client.authenticate()
    lines = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    shown = [client, config, config.deribit, refusal.value, wrong_key.value, receipt, client.end_iteration(), lines]
    told = "".join(f"{thing!r}{thing}" for thing in shown) + config.model_dump_json()
    assert not [secret for secret in (ID, SECRET, TOKEN) if secret in told]


def test_secrets_that_a_server_echoes_are_taken_out_of_the_error(network: respx.MockRouter, tmp_path: Path) -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        error = {"code": 10001, "message": f"what is {SECRET}", "data": {"reason": f"{ID} and {TOKEN}"}}
        return httpx.Response(400, json={"jsonrpc": "2.0", "id": json.loads(request.content)["id"], "error": error})

    network.post("/private/get_positions").mock(side_effect=echo)
    client = a_client(tmp_path)
    with pytest.raises(RequestRefusedError) as caught:
        client.get_positions()
    shown = f"{caught.value} {vars(caught.value)} {client.end_iteration()} {vars(client)}"
    assert all(secret not in shown for secret in (ID, SECRET, TOKEN))
