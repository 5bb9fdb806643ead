"""--check --with-order: one order's whole life on an exchange on this machine, and every way in which it can end early.

The real command line and httpx client over a socket; whatever happens, no order of ours is left behind unnamed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.locks import take_account_lock
from config import load_config
from core.log_lines.order_events import Halted
from logging_utils import read_records
from models import Clock
from orders.order_log import OrderLogFile
from orders.order_trial import OrderTrial
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from tests.builders.agent import Ended, folders, run_main
from tests.builders.configs import KEY
from tests.builders.paper import CALL, START, ScriptedMarket, market_with, place
from tests.campaign.live.bent_server import Bend, BentServer, Handler, cut_off, plain

OURS = "cc-260105120000-abcdef-sell"
STEPS = ["locks", "none rests", "trading", "test call", "sell", "edit", "look-up", "cancel", "bookings"]
NO_ANSWER = cut_off(0.0)


@pytest.fixture
def market() -> ScriptedMarket:
    return market_with()


@pytest.fixture
def server(market: ScriptedMarket, monkeypatch: pytest.MonkeyPatch) -> Iterator[BentServer]:
    with serving(market, monkeypatch) as running:
        yield running


@contextmanager
def serving(market: ScriptedMarket, monkeypatch: pytest.MonkeyPatch, **coins: float) -> Iterator[BentServer]:
    """An exchange on this machine, and settings that lead to it."""
    account = PaperAccount(market, coins or {"BTC": 10.0, "ETH": 100.0})
    account.advance()
    with BentServer(PaperExchange(market, account)).running() as server:
        monkeypatch.setenv("DERIBIT_BASE_URL", server.url)
        monkeypatch.setenv("DERIBIT_CLIENT_ID", KEY[0])
        monkeypatch.setenv("DERIBIT_CLIENT_SECRET", KEY[1])
        yield server


def checked(folder: Path, server: BentServer) -> Ended:
    def shared_clock() -> Clock:
        return server.exchange.market.clock

    return run_main("--check", "--with-order", *folders(folder), clock=shared_clock)


def order_lines(ended: Ended) -> dict[str, str]:
    """The lines about the test order, by their name."""
    names = (*STEPS, "left over", "test order", "settings")
    lines = ended.out.splitlines()
    return {name: line for line in lines for name in names if line[6:18].strip() == name}


def verdicts(ended: Ended) -> dict[str, str]:
    return {name: line.split()[0] for name, line in order_lines(ended).items() if name != "settings"}


def nothing_rests(server: BentServer) -> bool:
    return list(server.exchange.account.open_orders()) == []


def moves_of(server: BentServer) -> list[str]:
    """The requests that move an order."""
    moving = ("private/buy", "private/sell", "private/edit", "private/cancel")
    return [asked.method.removeprefix("private/") for asked in server.asked_for(*moving)]


def after_the_answer(happens: Callable[[], object]) -> Bend:
    """Something happens before the answer arrives."""

    def bend(handler: Handler, status: int, reply: bytes) -> None:
        happens()
        plain(handler, status, reply)

    return bend


def after_the_answer_is_lost(happens: Callable[[], object]) -> Bend:
    """Something happens, and no answer arrives."""

    def bend(handler: Handler, status: int, reply: bytes) -> None:
        happens()
        NO_ANSWER(handler, status, reply)

    return bend


# --- as it should be ------------------------------------------------------------------------------


def test_an_order_lives_through_all_its_steps_and_leaves_nothing(tmp_path: Path, server: BentServer) -> None:
    ended = checked(tmp_path, server)
    assert (ended.code, ended.err) == (0, "")
    assert list(verdicts(ended).items()) == [(name, "ok") for name in [*STEPS, "left over"]]
    assert moves_of(server) == ["sell", "edit", "cancel"]
    assert nothing_rests(server)
    assert max(map(len, ended.out.splitlines()[-len(STEPS) - 1 :])) <= 80


def test_it_is_the_smallest_sale_at_the_top_of_the_band_and_takes_nothing(tmp_path: Path, server: BentServer) -> None:
    checked(tmp_path, server)
    (sale,) = [asked.params for asked in server.asked_for("private/sell")]
    wanted = {"amount": 0.1, "price": 0.046, "post_only": True, "reject_post_only": True, "reduce_only": False}
    assert {name: sale[name] for name in wanted} == wanted
    (edit,) = [asked.params for asked in server.asked_for("private/edit")]
    assert (edit["price"], edit["post_only"]) == (0.0455, True)


def test_every_step_of_it_stands_in_the_order_log(tmp_path: Path, server: BentServer) -> None:
    checked(tmp_path, server)
    lines = read_records(tmp_path / "logs" / "orders-*.jsonl")
    assert [line["event"] for line in lines] == ["intent", "outcome", "edit", "closed"]
    assert len({line["label"] for line in lines}) == 1


def test_the_next_run_starts_as_if_nothing_had_been(tmp_path: Path, server: BentServer) -> None:
    checked(tmp_path, server)
    again = checked(tmp_path, server)
    assert again.code == 0
    assert nothing_rests(server)


# --- where no order is sent -------------------------------------------------------------------------


def assert_refused(ended: Ended, server: BentServer, step: str, *words: str, code: int = 1) -> None:
    lines = order_lines(ended)
    assert ended.code == code
    assert lines[step].startswith("FAIL")
    text = " ".join(ended.out.split())
    assert [word for word in words if word not in text] == []
    assert moves_of(server) == []


def test_none_is_sent_while_the_kill_file_is_there(tmp_path: Path, server: BentServer) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "KILL").touch()
    assert_refused(checked(tmp_path, server), server, "sell", "not_sent: the kill file exists")


def test_none_is_sent_without_coins_to_cover_it(
    tmp_path: Path, market: ScriptedMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(market, monkeypatch, BTC=0.09, ETH=0.0) as server:
        assert_refused(checked(tmp_path, server), server, "test call", "BTC: no 0.1 free coins", "ETH: no call")


def test_one_is_sent_where_the_coins_just_cover_it(
    tmp_path: Path, market: ScriptedMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(market, monkeypatch, BTC=0.1, ETH=0.0) as server:
        assert checked(tmp_path, server).code == 0


def test_none_is_sent_while_one_of_ours_rests_and_that_one_is_left_alone(tmp_path: Path, server: BentServer) -> None:
    place(server.exchange.account, "sell", 0.1, 0.03, label=OURS)
    assert_refused(checked(tmp_path, server), server, "none rests", f"{OURS} may rest", "run the agent once")
    assert not nothing_rests(server)


def test_a_halted_agent_sends_none(tmp_path: Path, server: BentServer) -> None:
    log = OrderLogFile(tmp_path / "logs", server.exchange.market.clock, "loopback-1", "loopback")
    log.note(Halted(why="a test says so", at=START).as_line())
    assert_refused(checked(tmp_path, server), server, "test order", "halted: a test says so", code=6)


def test_an_agent_that_may_only_reduce_sends_none(tmp_path: Path, server: BentServer) -> None:
    account = server.exchange.account
    place(account, "sell", 1.0, 0.02)
    account.state.balances_coin["BTC"] = 0.5
    assert_refused(checked(tmp_path, server), server, "trading", "REDUCING: uncovered: 1 BTC of calls are sold")


def test_none_is_sent_around_the_settlement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    market = ScriptedMarket(datetime(2026, 1, 5, 7, 56, tzinfo=UTC))
    market.show(CALL, 0.02, 0.021)
    with serving(market, monkeypatch) as server:
        assert_refused(checked(tmp_path, server), server, "test call", "no orders from 07:55 to 08:05 UTC")


def test_none_is_sent_where_no_band_goes_up_to_twice_the_mark(
    tmp_path: Path, market: ScriptedMarket, server: BentServer
) -> None:
    market.show(CALL, 0.02, 0.021, min_price_coin=0.005, max_price_coin=0.04)
    assert_refused(checked(tmp_path, server), server, "test call", "no call whose max_price allows 2 times its mark")


def test_none_is_sent_beside_an_agent_that_trades_the_account(tmp_path: Path, server: BentServer) -> None:
    lock = take_account_lock(load_config())
    try:
        assert_refused(checked(tmp_path, server), server, "test order", "another agent is trading this account", code=3)
    finally:
        lock.release()


def test_none_is_sent_when_the_check_has_found_a_fault(tmp_path: Path, server: BentServer) -> None:
    server.bend("public/status", *[NO_ANSWER] * 3)
    assert_refused(checked(tmp_path, server), server, "test order", "mend the lines above first")


@pytest.mark.parametrize(
    "arguments", [("--dry-run",), ("--market", "simulated"), ("--market", "recorded", "--recording", "chains")]
)
def test_the_option_is_refused_where_the_account_is_on_paper(arguments: tuple[str, ...]) -> None:
    ended = run_main("--check", "--with-order", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "testnet or this machine's own exchange" in " ".join(ended.err.split())


def test_a_dry_run_of_the_settings_is_no_place_for_it_either(
    tmp_path: Path, server: BentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_DRY_RUN", "true")
    assert_refused(checked(tmp_path, server), server, "settings", "not to a dry run", code=2)


def test_the_option_goes_with_check_alone() -> None:
    ended = run_main("--with-order")
    assert (ended.code, "goes with --check" in " ".join(ended.err.split())) == (2, True)


# --- where something goes wrong on the way ------------------------------------------------------------


def test_a_sale_whose_answer_is_lost_is_found_and_taken_back(tmp_path: Path, server: BentServer) -> None:
    server.bend("private/sell", NO_ANSWER)
    ended = checked(tmp_path, server)
    assert ended.code == 1
    assert verdicts(ended) == {**dict.fromkeys(STEPS[:4], "ok"), "sell": "FAIL", "left over": "ok"}
    assert (moves_of(server), nothing_rests(server)) == (["sell", "cancel"], True)
    assert read_records(tmp_path / "logs" / "orders-*.jsonl")[-1]["event"] == "closed"


def test_a_sale_that_nobody_can_say_anything_about_is_named(tmp_path: Path, server: BentServer) -> None:
    def go_silent() -> None:
        for method in ("private/get_open_orders", "private/get_order_state_by_label"):
            server.bend(method, *[NO_ANSWER] * 30)

    server.bend("private/sell", after_the_answer_is_lost(go_silent))
    ended = checked(tmp_path, server)
    label = server.asked_for("private/sell")[0].params["label"]
    assert ended.code == 1
    assert f"{label} may rest" in " ".join(ended.out.split())


def test_an_edit_that_is_refused_ends_the_check_and_the_order(
    tmp_path: Path, market: ScriptedMarket, server: BentServer
) -> None:
    def band_narrows() -> None:
        market.show(CALL, 0.02, 0.021, min_price_coin=0.005, max_price_coin=0.045)

    server.bend("private/sell", after_the_answer(band_narrows))
    ended = checked(tmp_path, server)
    assert verdicts(ended) == {**dict.fromkeys(STEPS[:5], "ok"), "edit": "FAIL", "left over": "ok"}
    assert "10007 price_too_high" in order_lines(ended)["edit"]
    assert (ended.code, moves_of(server), nothing_rests(server)) == (1, ["sell", "edit", "cancel"], True)


def test_a_cancel_whose_answer_is_lost_is_looked_up(tmp_path: Path, server: BentServer) -> None:
    server.bend("private/cancel", NO_ANSWER)
    ended = checked(tmp_path, server)
    assert (ended.code, set(verdicts(ended).values())) == (0, {"ok"})
    assert nothing_rests(server)


def test_an_order_that_is_bought_is_no_success(tmp_path: Path, market: ScriptedMarket, server: BentServer) -> None:
    server.bend("private/edit", after_the_answer(lambda: market.show(CALL, 0.046, 0.047)))
    ended = checked(tmp_path, server)
    assert ended.code == 1
    assert "FAIL" in verdicts(ended).values()
    assert verdicts(ended)["left over"] == "ok"


def test_ctrl_c_in_the_middle_takes_the_order_back(tmp_path: Path, server: BentServer) -> None:
    server.bend("private/sell", after_the_answer(lambda: os.kill(os.getpid(), signal.SIGINT)))
    ended = checked(tmp_path, server)
    assert (ended.code, "the check was stopped" in ended.out) == (1, True)
    assert verdicts(ended)["left over"] == "ok"
    assert nothing_rests(server)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_whatever_breaks_off_a_step_the_order_is_taken_back(
    tmp_path: Path, server: BentServer, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def broken(_: OrderTrial) -> str:
        raise error

    monkeypatch.setattr(OrderTrial, "look_up", broken)
    with suppress(RuntimeError):
        checked(tmp_path, server)
    assert (moves_of(server), nothing_rests(server)) == (["sell", "edit", "cancel"], True)
