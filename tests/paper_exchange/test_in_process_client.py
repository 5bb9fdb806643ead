"""The client in process by itself: what comes before an order holds without a wire too; the command line uses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.chain import Terms, listing_of
from models import LogWriteError, OrderLog, RequestRefusedError, SendOutcome
from orders.order_log import OrderMemory
from paper_exchange.account.account import PaperAccount
from paper_exchange.in_process.client import InProcessClient
from paper_exchange.market.clocks import DAY_MS, SimulatedClock, to_ms
from paper_exchange.market.market import Market
from paper_exchange.simulated.market import SimulatedMarket
from tests.backtest.surface.histories import START as HISTORY_START
from tests.backtest.surface.histories import a_history, a_market
from tests.builders.agent import an_order_request, decision_lines, run_main, scripted_desk, simulated_run
from tests.builders.configs import a_config
from tests.builders.paper import START, ScriptedMarket, market_with
from tests.builders.two_clients import ONLY_ON_A_WIRE, KeptLines

MOST_AGE = timedelta(seconds=a_config().risk.max_quote_age_seconds)


class FullDisk(OrderMemory):
    """An order log that takes nothing."""

    def write(self, record: Mapping[str, Any]) -> None:
        raise LogWriteError("no space left")


def account_on(market: ScriptedMarket | None = None) -> PaperAccount:
    return PaperAccount(market_with() if market is None else market, {"BTC": 10.0, "ETH": 100.0})


def client_of(
    account: PaperAccount, order_log: OrderLog | None = None, kill_note: str | None = None
) -> InProcessClient:
    return InProcessClient(account, a_config(), order_log or OrderMemory(), lambda: kill_note)


# --- instruments ----------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: SimulatedMarket(3, SimulatedClock(START)), a_market])
def test_a_list_in_columns_says_what_its_instruments_say_one_by_one(make: Callable[[], Market]) -> None:
    market = make()
    client = client_of(PaperAccount(market, {"BTC": 10.0}))
    for _ in range(5):
        shown = client.get_instruments("BTC")
        terms, by_rows = shown.terms, listing_of(dict(shown.by_symbol)).terms
        for column in fields(Terms):
            of_columns, of_rows = getattr(terms, column.name), getattr(by_rows, column.name)
            np.testing.assert_array_equal(of_columns, of_rows, strict=column.name != "steps")
        assert client.get_instruments("BTC") is shown
        market.clock.sleep(21_600.0)
    assert client.get_instruments("BTC") is not shown


def test_dvol_is_the_newest_known_of_the_span_where_the_last_hour_shows_none() -> None:
    history, known_until_ms = a_history(), to_ms(HISTORY_START) - 5 * DAY_MS
    bars = {key: [bar for bar in bars if bar.opened_at_ms < known_until_ms] for key, bars in history.dvol.items()}
    client = client_of(PaperAccount(a_market(replace(history, dvol=bars)), {"BTC": 10.0}))
    now = client.clock.now()
    assert client.get_dvol("BTC", now - timedelta(hours=1), now) is None
    assert client.get_dvol("BTC", now - timedelta(days=10), now) is not None


# --- orders -------------------------------------------------------------------------


def test_an_order_is_in_the_log_before_it_is_on_the_book() -> None:
    class LooksAtTheBook(OrderMemory):
        trades_at_intent: int | None = None

        def write(self, record: Mapping[str, Any]) -> None:
            self.trades_at_intent = len(account.state.trades)
            super().write(record)

    account, order_log = account_on(), LooksAtTheBook()
    receipt = client_of(account, order_log).place_limit_order(an_order_request())
    assert receipt.outcome == SendOutcome.ACCEPTED
    assert (order_log.trades_at_intent, len(account.state.trades)) == (0, 1)


def test_intent_and_outcome_are_two_lines() -> None:
    order_log = KeptLines()
    client_of(account_on(), order_log).place_limit_order(an_order_request())
    assert [line["event"] for line in order_log.lines] == ["intent", "outcome"]


def test_an_order_that_cannot_be_logged_is_not_sent() -> None:
    account = account_on()
    receipt = client_of(account, FullDisk()).place_limit_order(an_order_request())
    assert (receipt.outcome, receipt.error) == (SendOutcome.NOT_SENT, "no space left")
    assert account.revision == 0


def test_without_an_order_log_nothing_is_sent() -> None:
    client = InProcessClient(account_on(), a_config(), None, lambda: None)
    assert client.place_limit_order(an_order_request()).outcome == SendOutcome.NOT_SENT


def test_the_kill_file_stops_orders_and_new_prices() -> None:
    account = account_on()
    resting = client_of(account).place_limit_order(an_order_request(price_coin=0.03)).order
    assert resting is not None
    stopped = client_of(account, kill_note="stop")
    receipts = (stopped.place_limit_order(an_order_request()), stopped.edit_order(resting, 0.04, START))
    assert [(receipt.outcome, receipt.error) for receipt in receipts] == 2 * [("not_sent", "the kill file exists")]


@pytest.mark.parametrize(
    ("age", "outcome"),
    [(MOST_AGE, SendOutcome.ACCEPTED), (MOST_AGE + timedelta(milliseconds=1), SendOutcome.NOT_SENT)],
)
def test_an_order_on_an_old_quote_is_not_sent(age: timedelta, outcome: SendOutcome) -> None:
    receipt = client_of(account_on()).place_limit_order(an_order_request(quoted_at=START - age))
    assert receipt.outcome == outcome


@pytest.mark.parametrize(("extra", "outcome"), [(0.0, SendOutcome.ACCEPTED), (0.1, SendOutcome.NOT_SENT)])
def test_an_order_above_the_greatest_size_is_not_sent(extra: float, outcome: SendOutcome) -> None:
    most = a_config().btc.max_order_size
    receipt = client_of(account_on()).place_limit_order(an_order_request(amount_coin=most + extra))
    assert receipt.outcome == outcome


def test_a_third_order_of_an_iteration_is_not_sent() -> None:
    client = client_of(account_on())
    client.begin_iteration()
    receipts = [client.place_limit_order(an_order_request(amount_coin=0.1)) for _ in range(3)]
    assert [receipt.outcome for receipt in receipts] == ["accepted", "accepted", "not_sent"]


def test_what_the_exchange_refuses_is_definitely_refused_in_its_words() -> None:
    receipt = client_of(account_on()).place_limit_order(an_order_request(direction="buy", reduce_only=True))
    assert (receipt.outcome, receipt.refusal_code) == (SendOutcome.REJECTED, 11030)
    with pytest.raises(RequestRefusedError, match="public/ticker was refused: 13020 not_found"):
        client_of(account_on()).get_ticker("BTC-1JAN20-1-C")


def test_an_order_of_another_hand_is_ours_only_where_our_log_knows_its_label() -> None:
    account, order_log = account_on(), OrderMemory()
    for log, label in ((OrderMemory(), "a-persons"), (order_log, "an-old-form-of-ours")):
        client_of(account, log).place_limit_order(an_order_request(label=label, price_coin=0.03, amount_coin=0.1))
    shown = client_of(account, order_log).get_open_orders()
    assert [order.is_in_order_log for order in shown] == [False, True]


@pytest.mark.parametrize(("bid", "outcome"), [(None, SendOutcome.ACCEPTED), (0.02, SendOutcome.REJECTED)])
def test_an_order_that_only_makes_is_the_same_through_either_client(
    tmp_path: Path, bid: float | None, outcome: SendOutcome
) -> None:
    request = an_order_request(post_only=True)
    process = client_of(account_on(market_with(bid=bid)))
    wire = scripted_desk(tmp_path, market_with(bid=bid)).client
    receipts = [client.place_limit_order(request) for client in (process, wire)]
    assert receipts[0] == receipts[1]
    assert receipts[0].outcome == outcome
    moved = [client.edit_order(order, 0.025, START) for client in (process, wire) for order in client.get_open_orders()]
    assert [receipt.outcome for receipt in moved] == (2 * ["accepted"] if bid is None else [])
    assert len({receipt.model_dump_json() for receipt in moved}) <= 1


# --- the command line ------------------------------------------------------------------


def test_a_simulated_run_logs_the_same_on_the_wire_and_in_process(tmp_path: Path) -> None:
    run = ("--iterations", "4", "--interval", "21600")
    assert simulated_run(tmp_path / "process", *run).code == 0
    assert simulated_run(tmp_path / "wire", *run, "--wire").code == 0
    process, wire = decision_lines(tmp_path / "process"), decision_lines(tmp_path / "wire")
    assert {line[name] for line in process for name in ONLY_ON_A_WIRE} == {None}
    assert all(line["request_count"] > 0 for line in wire)
    assert [without_wire(line) for line in process] == [without_wire(line) for line in wire]


def without_wire(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in ONLY_ON_A_WIRE}


def test_the_wire_is_a_choice_only_where_there_is_another_way() -> None:
    ended = run_main("--dry-run", "--wire")
    assert (ended.code, "--wire goes with --market" in ended.err) == (2, True)
