"""The client: what goes over the wire, what is retried, and that an order leaves once, after its line, or not at all.

respx stands for the network where the wire itself matters; everywhere else the paper exchange answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

import deribit_client
from config import AgentConfig
from deribit_client import DeribitClient, network_transport
from logging_utils import OrderLogFile, read_records
from models import (
    AuthenticationError,
    DeribitConnectionError,
    InvalidReplyError,
    Order,
    RateLimitError,
    RequestRefusedError,
    SendOutcome,
    WrongEnvironmentError,
)
from paper_exchange.clocks import SimulatedClock
from paper_exchange.server import PaperServer
from paper_exchange.transport import PaperTransport
from tests.agent_builders import (
    Fault,
    Wire,
    agent_config,
    an_order_request,
    answer_lost,
    answered,
    disk_full,
    envelope,
    lost_on_the_way,
    refused,
    reply_changed,
    result_of,
    scripted_desk,
)
from tests.builders import a_config, an_order
from tests.paper_builders import CALL, START, exchange_on, market_with

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
    client.place_limit_order(an_order_request())
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
    assert desk.client.take_calls()[-1].attempts == 3


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

    desk.wire.disturb("public/get_time", lambda request, answer: httpx.Response(200, stream=Dripping()))
    with pytest.raises(InvalidReplyError, match="too slow"):
        desk.client.get_time()
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
        (answered(429, b"slow down"), SendOutcome.REJECTED),
        (answered(401, b"who are you"), SendOutcome.REJECTED),
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
    (intent,) = desk.order_log.unresolved()
    assert intent["label"] == an_order_request().label


@pytest.mark.parametrize("fault", [answer_lost(), lost_on_the_way(), answered(502, b""), refused(10009)])
def test_cancels_and_edits_are_sent_once_too(tmp_path: Path, fault: Fault) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb("private/cancel", fault)
    desk.wire.disturb("private/edit", fault)
    assert desk.client.cancel_order("1").outcome != SendOutcome.ACCEPTED
    assert desk.client.edit_order(an_order(), 0.02).outcome != SendOutcome.ACCEPTED
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
    assert "no line, no order" in (receipt.error or "")


def test_with_a_full_disk_nothing_is_sent(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    with disk_full(tmp_path / "logs" / "orders-2026-01-05.jsonl"):
        receipt = desk.client.place_limit_order(an_order_request())
    assert (receipt.outcome, desk.wire.sent) == (SendOutcome.NOT_SENT, [])
    assert "No space left" in (receipt.error or "")


def test_a_disk_that_fills_up_while_an_order_is_out_does_not_hide_what_became_of_it(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    log = tmp_path / "logs" / "orders-2026-01-05.jsonl"

    def fill_the_disk(reply: dict[str, Any]) -> None:
        log.rename(tmp_path / "kept.jsonl")
        log.symlink_to("/dev/full")

    desk.wire.disturb(SELL, reply_changed(fill_the_disk))
    receipt = desk.client.place_limit_order(an_order_request())
    assert receipt.outcome == SendOutcome.ACCEPTED
    assert any("No space left" in call.outcome for call in desk.client.take_calls())
    assert len(desk.order_log.unresolved()) == 1


def test_while_the_kill_file_exists_nothing_is_sent(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.config.risk.kill_file.touch()
    receipt = desk.client.place_limit_order(an_order_request())
    assert (receipt.outcome, desk.wire.sent, desk.order_lines()) == (SendOutcome.NOT_SENT, [], [])
    desk.config.risk.kill_file.unlink()
    assert desk.client.place_limit_order(an_order_request()).outcome == SendOutcome.ACCEPTED


def test_a_kill_file_that_is_a_folder_counts(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.config.risk.kill_file.mkdir()
    assert desk.client.place_limit_order(an_order_request()).outcome == SendOutcome.NOT_SENT


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
    receipt = client.edit_order(order, 0.025)
    assert receipt.order == order.model_copy(update={"price_coin": 0.025})


def test_a_cancelled_order_is_gone_and_cannot_be_cancelled_again(tmp_path: Path) -> None:
    client = scripted_desk(tmp_path).client
    order = a_resting_order(client)
    first, second = client.cancel_order(order.order_id), client.cancel_order(order.order_id)
    assert first.order is not None
    assert (first.outcome, first.order.is_live) == (SendOutcome.ACCEPTED, False)
    assert (second.outcome, "11044" in (second.error or "")) == (SendOutcome.REJECTED, True)


def test_cancel_all_counts_what_it_cancelled(tmp_path: Path) -> None:
    client = scripted_desk(tmp_path).client
    a_resting_order(client)
    a_resting_order(client, price=0.031)
    assert client.cancel_all() == 2
    assert client.get_open_orders() == ()


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


@pytest.mark.parametrize("fault", [refused(13009, "unauthorized"), refused(10000), answered(401, b"who are you")])
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
def test_a_redirect_is_refused_and_never_followed(tmp_path: Path, network: respx.MockRouter, status: int) -> None:
    elsewhere = network.post("https://www.deribit.com/api/v2/public/get_time").mock(side_effect=says(1))
    moved = httpx.Response(status, headers={"location": "https://www.deribit.com/api/v2/public/get_time"})
    network.post("/public/get_time").mock(return_value=moved)
    with pytest.raises(WrongEnvironmentError, match="redirect"):
        a_client(tmp_path).get_time()
    assert not elsewhere.called


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
    network.post(f"/{READ}").mock(return_value=httpx.Response(400, json={"error": {"code": 13021, "message": "no"}}))
    network.post(f"/{SELL}").mock(side_effect=httpx.ReadTimeout)
    with pytest.raises(RequestRefusedError) as refusal:
        client.get_positions()
    receipt = client.place_limit_order(an_order_request())
    network["login"].mock(return_value=httpx.Response(400, json={"error": {"code": 13004, "message": "no"}}))
    with pytest.raises(AuthenticationError) as wrong_key:
        client.authenticate()
    lines = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    shown = [client, config, config.deribit, refusal.value, wrong_key.value, receipt, client.take_calls(), lines]
    told = "".join(f"{thing!r}{thing}" for thing in shown) + config.model_dump_json()
    assert not [secret for secret in (ID, SECRET, TOKEN) if secret in told]


def test_the_system_clock_tells_utc_and_a_stopped_one_does_not_sleep() -> None:
    clock = deribit_client.SystemClock()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    clock.stop()
    clock.sleep(3_600.0)
    assert not clock.wait_for_next(3_600.0)


def test_secrets_that_a_server_echoes_are_taken_out_of_the_error(network: respx.MockRouter, tmp_path: Path) -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        error = {"code": 10001, "message": f"what is {SECRET}", "data": {"reason": f"{ID} and {TOKEN}"}}
        return httpx.Response(400, json={"jsonrpc": "2.0", "id": json.loads(request.content)["id"], "error": error})

    network.post("/private/get_positions").mock(side_effect=echo)
    client = a_client(tmp_path)
    with pytest.raises(RequestRefusedError) as caught:
        client.get_positions()
    shown = f"{caught.value} {vars(caught.value)} {client.take_calls()} {vars(client)}"
    assert all(secret not in shown for secret in (ID, SECRET, TOKEN))
