"""The wire: whose time it is, how many requests an iteration may make, and what a reply can do to a connection."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest

from deribit.clocks import ServerClock, SystemClock
from deribit.error_codes import TOKEN_CODES
from deribit.wire import MAX_REQUESTS, network_transport
from deribit_client import DeribitClient
from models import (
    DeribitConnectionError,
    ForeignReplyError,
    InvalidReplyError,
    RequestBudgetError,
    SendOutcome,
    WrongEnvironmentError,
)
from paper_exchange.market.clocks import SimulatedClock
from tests.builders.agent import ScriptedDesk, an_order_request, scripted_desk
from tests.builders.configs import a_config
from tests.builders.paper import START
from tests.builders.states import an_order
from tests.builders.wire import Answer, Fault, answered, envelope, lost_on_the_way, refused, reply_changed

READ, SELL, CANCEL = "private/get_positions", "private/sell", "private/cancel"
TIME = "public/get_time"
BEFORE_AND_AT_THE_LIMIT = [-60.0, -59.9, 0.0, 59.9, 60.0]
BEYOND_THE_LIMIT = [-86_400.0, -60.1, 60.1, 3_600.0]


# --- the exchange's time ------------------------------------------------------------------------


def heard_at_start(clock: SimulatedClock) -> ServerClock:
    server = ServerClock(clock)
    server.hear(START)
    return server


def seconds_after_start(moment: datetime) -> float:
    return (moment - START).total_seconds()


def test_the_system_clock_tells_utc_and_a_stopped_one_does_not_sleep() -> None:
    clock = SystemClock()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert not clock.is_stopped
    clock.stop()
    clock.sleep(3_600.0)
    assert (clock.wait_for_next(3_600.0), clock.is_stopped) == (False, True)


def slept_lines(stop_at_line: int | None = None) -> int | None:
    """How many lines of Python a sleep passes where `stop` comes before one of them; None: it never ended."""
    clock, lines = SystemClock(), 0

    def traced(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        if (event, lines) == ("line", stop_at_line):
            clock.stop()
        return traced

    def sleep() -> None:
        sys.settrace(traced)
        clock.sleep(0.01)

    thread = threading.Thread(target=sleep, daemon=True)
    thread.start()
    thread.join(10.0)
    return None if thread.is_alive() else lines


def test_a_signal_between_any_two_lines_of_a_sleep_ends_it() -> None:
    lines = slept_lines()
    assert lines is not None
    assert [line for line in range(1, lines + 1) if slept_lines(stop_at_line=line) is None] == []


def test_until_the_exchange_was_heard_the_local_time_counts() -> None:
    clock = SimulatedClock(START)
    server = ServerClock(clock)
    clock.sleep(7.0)
    assert seconds_after_start(server.now()) == 7.0


@pytest.mark.parametrize("seconds", [-86_400.0, -600.0, 600.0, 86_400.0])
def test_the_first_time_heard_is_taken_however_wrong_the_local_clock_is(seconds: float) -> None:
    clock = SimulatedClock(START)
    server = ServerClock(clock)
    server.hear(START + timedelta(seconds=seconds))
    clock.sleep(5.0)
    assert seconds_after_start(server.now()) == seconds + 5.0


@pytest.mark.parametrize("seconds", BEFORE_AND_AT_THE_LIMIT)
def test_a_small_difference_is_taken_over_at_once(seconds: float) -> None:
    clock = SimulatedClock(START)
    server = heard_at_start(clock)
    clock.sleep(100.0)
    server.hear(START + timedelta(seconds=100.0 + seconds))
    assert seconds_after_start(server.now()) == pytest.approx(100.0 + seconds)


@pytest.mark.parametrize("seconds", BEYOND_THE_LIMIT)
def test_a_jump_is_not_believed_until_a_second_reply_confirms_it(seconds: float) -> None:
    clock = SimulatedClock(START)
    server = heard_at_start(clock)
    with pytest.raises(InvalidReplyError, match="ignored until a second reply"):
        server.hear(START + timedelta(seconds=seconds))
    assert seconds_after_start(server.now()) == 0.0
    clock.sleep(2.0)
    server.hear(START + timedelta(seconds=seconds + 2.0))
    assert seconds_after_start(server.now()) == seconds + 2.0


def test_two_different_jumps_confirm_nothing() -> None:
    server = heard_at_start(SimulatedClock(START))
    for seconds in (3_600.0, 7_200.0, 3_600.0, -3_600.0):
        with pytest.raises(InvalidReplyError, match="ignored until a second reply"):
            server.hear(START + timedelta(seconds=seconds))
    assert seconds_after_start(server.now()) == 0.0


def test_a_reply_with_the_old_time_in_between_makes_a_jump_doubtful_again() -> None:
    server = heard_at_start(SimulatedClock(START))
    for _ in range(3):
        with pytest.raises(InvalidReplyError):
            server.hear(START + timedelta(hours=1))
        server.hear(START + timedelta(seconds=1))
    assert seconds_after_start(server.now()) == 1.0


class SteppingClock(SimulatedClock):
    """A local clock that is set back or forth while its monotonic time goes on."""

    step = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.step


@pytest.mark.parametrize("hours", [-24.0, -1.0, 1.0, 24.0])
def test_steps_of_the_local_clock_do_not_move_the_exchanges_time(hours: float) -> None:
    clock = SteppingClock(START)
    server = heard_at_start(clock)
    clock.sleep(10.0)
    clock.step = timedelta(hours=hours)
    assert seconds_after_start(server.now()) == 10.0
    server.hear(START + timedelta(seconds=10.0))


def with_time(seconds: float) -> Fault:
    """The exchange's own answer, stamped so many seconds after START."""
    stamp_us = round((START.timestamp() + seconds) * 1_000_000)
    return reply_changed(lambda reply: reply.update(usOut=stamp_us))


def test_a_read_whose_time_jumps_is_asked_again_and_believed_when_the_answer_says_the_same(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.get_time()
    desk.wire.disturb(TIME, with_time(3_600.0), with_time(3_600.0))
    desk.client.get_time()
    assert desk.wire.methods() == [TIME] * 3
    assert seconds_after_start(desk.client.server_now()) == pytest.approx(3_600.0, abs=2.0)


def test_an_order_whose_answer_comes_with_a_time_that_jumps_is_of_unknown_fate(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.get_time()
    desk.wire.disturb(SELL, with_time(3_600.0))
    assert desk.client.place_limit_order(an_order_request()).outcome == SendOutcome.UNKNOWN


@pytest.mark.parametrize("stamp", [None, "soon", 1.5, [], {}])
def test_an_answer_without_a_usable_time_leaves_the_time_as_it_was(tmp_path: Path, stamp: object) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.get_time()
    desk.wire.disturb(TIME, reply_changed(lambda reply: reply.update(usOut=stamp)))
    assert desk.client.get_time() == START
    assert desk.client.server_now() == START


@pytest.mark.parametrize("stamp", [-1, 10**30])
def test_an_answer_with_an_absurd_time_is_asked_for_again(tmp_path: Path, stamp: int) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(TIME, reply_changed(lambda reply: reply.update(usOut=stamp)))
    desk.client.get_time()
    assert desk.wire.methods() == [TIME] * 2
    assert abs((desk.client.server_now() - desk.clock.now()).total_seconds()) < 0.001


# --- how many requests ------------------------------------------------------------------------------


def ask(desk: ScriptedDesk, times: int) -> None:
    for _ in range(times):
        desk.client.get_time()


def test_an_iteration_makes_no_more_than_sixty_requests_some_of_them_kept_for_what_must_follow_a_trade(
    tmp_path: Path,
) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.begin_iteration()
    desk.client.authenticate()
    ask(desk, 43)
    with pytest.raises(RequestBudgetError, match="60 requests"):
        desk.client.get_time()
    assert len(desk.wire.sent) == 44
    for _ in range(10):
        desk.client.get_account_summaries()
    with pytest.raises(RequestBudgetError):
        desk.client.get_account_summaries()
    for _ in range(10):
        desk.client.cancel_order("1")
    assert len(desk.wire.sent) == MAX_REQUESTS == 60
    assert desk.client.requests_made == 60


def test_attempts_of_a_read_count_one_by_one_and_stop_at_the_limit(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.begin_iteration()
    ask(desk, 43)
    desk.wire.disturb(TIME, *[answered(502, b"")] * 3)
    with pytest.raises(RequestBudgetError):
        desk.client.get_time()
    assert len(desk.wire.sent) == 44


def test_an_order_that_finds_no_request_left_is_surely_not_sent(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.begin_iteration()
    desk.client.authenticate()
    ask(desk, 43)
    assert desk.client.place_limit_order(an_order_request()).outcome == SendOutcome.NOT_SENT
    assert desk.client.edit_order(an_order(), 0.02, desk.clock.now()).outcome == SendOutcome.NOT_SENT
    assert desk.wire.methods(SELL, "private/edit") == []


def test_the_requests_kept_for_orders_suffice_where_the_token_has_to_be_renewed_first(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.begin_iteration()
    order = desk.client.place_limit_order(an_order_request(price_coin=0.03)).order
    assert order is not None
    desk.wire.disturb(TIME, *[refused(13009, "unauthorized")])
    ask(desk, 31)
    assert desk.client.cancel_order(order.order_id).outcome == SendOutcome.ACCEPTED
    assert desk.account.open_orders() == []


def test_the_next_iteration_has_all_its_requests_again_and_between_two_nobody_counts(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.begin_iteration()
    ask(desk, 34)
    desk.client.end_iteration()
    ask(desk, 50)
    desk.client.begin_iteration()
    ask(desk, 34)
    assert len(desk.wire.sent) == 34 + 50 + 34


def test_the_calls_of_an_iteration_are_given_out_once(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.begin_iteration()
    ask(desk, 2)
    assert [call.method for call in desk.client.end_iteration()] == [TIME, TIME]
    desk.client.begin_iteration()
    assert (desk.client.end_iteration(), desk.client.requests_made) == ((), 0)


# --- the token in public ------------------------------------------------------------------------


def tokens_sent(desk: ScriptedDesk, method: str) -> list[bool]:
    """Whether each request of this method carried a token."""
    return ["authorization" in call.headers for call in desk.wire.sent if call.method == method]


def test_public_calls_carry_the_token_once_there_is_one_and_a_login_never_does(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.get_time()
    desk.client.authenticate()
    desk.client.get_time()
    desk.client.authenticate()
    assert (tokens_sent(desk, TIME), tokens_sent(desk, "public/auth")) == ([False, True], [False, False])


@pytest.mark.parametrize(("seconds", "is_sent"), [(839.0, True), (840.0, False), (841.0, False)])
def test_a_token_that_is_about_to_end_is_not_sent_in_public(tmp_path: Path, seconds: float, is_sent: bool) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.authenticate()
    desk.clock.sleep(seconds)
    desk.client.get_time()
    assert tokens_sent(desk, TIME) == [is_sent]


@pytest.mark.parametrize("code", sorted(TOKEN_CODES))
def test_a_public_call_refused_for_its_token_is_asked_without_and_needs_no_login(tmp_path: Path, code: int) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.authenticate()
    desk.wire.disturb(TIME, refused(code))
    ask(desk, 2)
    assert tokens_sent(desk, TIME) == [True, False, False]
    assert desk.wire.methods("public/auth") == ["public/auth"]


def test_whoever_says_it_is_not_testnet_is_told_the_token_no_more(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.authenticate()
    desk.wire.disturb(TIME, *[reply_changed(lambda reply: reply.update(testnet=False))] * 2)
    for _ in range(2):
        with pytest.raises(WrongEnvironmentError):
            desk.client.get_time()
    assert tokens_sent(desk, TIME) == [True, False]


# --- failures nobody thought of -------------------------------------------------------------------------


class NeverSeenBeforeError(Exception):
    """No error of httpx's and none of ours."""


def breaks_with(error: Exception) -> Fault:
    def fault(request: httpx.Request, answer: Answer) -> httpx.Response:
        raise error

    return fault


NEW_FAILURES = [NeverSeenBeforeError("x"), OSError("x"), ValueError("x"), MemoryError(), httpx.DecodingError("x")]


@pytest.mark.parametrize("error", NEW_FAILURES)
def test_a_new_kind_of_failure_is_a_failed_read_that_is_tried_again(tmp_path: Path, error: Exception) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(TIME, *[breaks_with(error)] * 2)
    desk.client.get_time()
    assert len(desk.wire.sent) == 3
    desk.wire.disturb(TIME, *[breaks_with(error)] * 3)
    with pytest.raises(DeribitConnectionError, match=type(error).__name__):
        desk.client.get_time()


@pytest.mark.parametrize("error", NEW_FAILURES)
def test_a_new_kind_of_failure_leaves_an_order_of_unknown_fate(tmp_path: Path, error: Exception) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(SELL, breaks_with(error))
    assert desk.client.place_limit_order(an_order_request()).outcome == SendOutcome.UNKNOWN
    assert desk.wire.methods(SELL) == [SELL]
    assert len(desk.order_log.unresolved()) == 1


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("too deep"), KeyError("x"), AttributeError("x")])
def test_whatever_a_reply_makes_its_reader_raise_the_reply_is_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    desk = scripted_desk(tmp_path)

    def read(_: object) -> float:
        raise error

    monkeypatch.setattr("deribit_client.replies.read_index_price", read)
    with pytest.raises(InvalidReplyError, match=type(error).__name__):
        desk.client.get_index_price("BTC")
    assert desk.wire.methods() == ["public/get_index_price"] * 3


@pytest.mark.parametrize("method", [TIME, SELL])
def test_an_error_that_is_meant_to_end_the_process_passes(tmp_path: Path, method: str) -> None:
    desk = scripted_desk(tmp_path)

    def interrupted(request: httpx.Request, answer: Answer) -> httpx.Response:
        raise KeyboardInterrupt

    desk.wire.disturb(method, interrupted)
    with pytest.raises(KeyboardInterrupt):
        desk.client.get_time() if method == TIME else desk.client.place_limit_order(an_order_request())


@pytest.mark.parametrize("attempts", [1, 2])
def test_pauses_between_attempts_are_about_half_a_second_and_a_second(tmp_path: Path, attempts: int) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(TIME, *[lost_on_the_way()] * attempts)
    desk.client.get_time()
    shortest, longest = ((0.375, 0.625), (1.125, 1.875))[attempts - 1]
    assert shortest <= (desk.clock.now() - START).total_seconds() <= longest


# --- a connection that is out of step -----------------------------------------------------------------


@dataclass
class OutOfStep:
    """A server whose first `foreign` answers belong to other requests; it notes which connection asked what."""

    url: str
    asked: list[tuple[int, int]]

    @property
    def connections(self) -> list[int]:
        return [port for port, _ in self.asked]


@contextmanager
def server_out_of_step(foreign: int) -> Iterator[OutOfStep]:
    asked: list[tuple[int, int]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append((self.client_address[1], request["id"]))
            shown_id = request["id"] + (1_000 if len(asked) <= foreign else 0)
            reply = {"jsonrpc": "2.0", "id": shown_id, "testnet": True, "result": round(START.timestamp() * 1000)}
            content = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """The tests' output stays clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield OutOfStep(f"http://127.0.0.1:{server.server_address[1]}", asked)
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def client_of(server: OutOfStep) -> Iterator[DeribitClient]:
    config = a_config(deribit={"base_url": server.url})
    client = DeribitClient(config, transport=network_transport(), clock=SimulatedClock(START))
    try:
        yield client
    finally:
        client.close()


def test_an_answer_to_another_request_is_thrown_away_and_asked_again_on_a_new_connection() -> None:
    with server_out_of_step(foreign=1) as server, client_of(server) as client:
        assert client.get_time() == START
        assert [request_id for _, request_id in server.asked] == [1, 2]
        assert len(set(server.connections)) == 2


def test_answers_that_never_fit_are_an_error_after_three_connections() -> None:
    with server_out_of_step(foreign=3) as server, client_of(server) as client:
        with pytest.raises(ForeignReplyError):
            client.get_time()
        assert len(set(server.connections)) == 3


def test_as_long_as_answers_fit_one_connection_serves_all_requests() -> None:
    with server_out_of_step(foreign=0) as server, client_of(server) as client:
        for _ in range(5):
            client.get_time()
        assert len(set(server.connections)) == 1


# --- replies that are no JSON-RPC at all ------------------------------------------------------------------


BENT: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "key_twice": lambda reply: b'{"id": %d, "result": 1, "result": 2}' % reply["id"],
    "nan": lambda reply: b'{"id": %d, "result": NaN}' % reply["id"],
    "deep": lambda reply: b'{"id": %d, "result": %s}' % (reply["id"], b"[" * 10_000),
    "both": lambda reply: b'{"id": %d, "result": 1, "error": {"code": 10009, "message": "x"}}' % reply["id"],
    "neither": lambda reply: b'{"id": %d}' % reply["id"],
}


def bent(make: Callable[[dict[str, Any]], bytes]) -> Fault:
    return lambda request, answer: httpx.Response(200, content=make(envelope(request)))


@pytest.mark.parametrize("make", BENT.values(), ids=list(BENT))
def test_a_reply_that_means_nothing_certain_is_never_used(
    tmp_path: Path, make: Callable[[dict[str, Any]], bytes]
) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(READ, *[bent(make)] * 3)
    desk.wire.disturb(SELL, bent(make))
    with pytest.raises(InvalidReplyError):
        desk.client.get_positions()
    assert desk.client.place_limit_order(an_order_request()).outcome == SendOutcome.UNKNOWN
