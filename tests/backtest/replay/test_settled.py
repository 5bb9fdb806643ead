"""What an action would have made by settlement, against sums worked out by hand."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from backtest.replay.logged import Log, Point
from backtest.replay.settled import SettlementPrices, made_by_settlement, prices_of_runs, settlement_prices
from core.log_lines.decision_lines import LoggedDecision
from models import ActionType, AgentState, ProposedAction
from tests.builders.results import a_booking
from tests.builders.states import (
    EXPIRY,
    a_candidate,
    a_closing,
    a_market,
    a_portfolio,
    a_roll,
    a_short_call,
    a_state,
    an_opening,
)

SOLD = a_candidate(strike=100_000.0, bid_price_coin=0.01)
HELD = a_short_call(strike=90_000.0, ask_price_coin=0.02)
NOTHING = ProposedAction(type=ActionType.DO_NOTHING, reason="a test says so")
STATE = a_state(candidates=(SOLD,), portfolio=a_portfolio(positions=(HELD,)))


def prices(usd: float) -> SettlementPrices:
    return SettlementPrices({("BTC", SOLD.expiry): usd, ("BTC", HELD.expiry): usd})


@pytest.mark.parametrize(
    ("settled_at_usd", "coin"),
    [
        (100_000.0, 0.1 * 0.01 - 0.1 * 0.0003),  # at the strike it expires worthless
        (80_000.0, 0.1 * 0.01 - 0.1 * 0.0003),
        (125_000.0, 0.1 * 0.01 - 0.1 * 0.0003 - 0.1 * 0.2 - 0.1 * 0.00015),
        (100_100.1001001001, 0.1 * 0.01 - 0.1 * 0.0003 - 0.1 * 0.001 - 0.1 * 0.125 * 0.001),  # the cap of the fee
    ],
)
def test_a_sale_makes_its_bid_less_fee_payoff_and_delivery_fee(settled_at_usd: float, coin: float) -> None:
    assert made_by_settlement(STATE, an_opening(SOLD, 0.1), prices(settled_at_usd)) == pytest.approx(coin, abs=1e-12)


def test_a_buy_back_costs_the_ask_and_its_fee_and_saves_payoff_and_delivery_fee() -> None:
    worthless = made_by_settlement(STATE, a_closing(HELD, 0.1), prices(80_000.0))
    assert worthless == pytest.approx(-0.1 * 0.02 - 0.1 * 0.0003)
    saved = made_by_settlement(STATE, a_closing(HELD, 0.1), prices(120_000.0))
    assert saved == pytest.approx(0.1 * 0.25 + 0.1 * 0.00015 - 0.1 * 0.02 - 0.1 * 0.0003)


def test_a_roll_is_a_buy_back_and_a_sale_and_nothing_is_nothing() -> None:
    at = prices(120_000.0)
    parts = [made_by_settlement(STATE, action, at) for action in (a_closing(HELD, 0.1), an_opening(SOLD, 0.1))]
    assert made_by_settlement(STATE, a_roll(HELD, SOLD, 0.1), at) == pytest.approx(math.fsum(parts))
    assert made_by_settlement(STATE, NOTHING, SettlementPrices()) == 0.0


def test_without_a_price_or_for_a_call_the_state_does_not_show_it_is_not_known() -> None:
    unseen = an_opening(SOLD, 0.1).model_copy(update={"symbol": "BTC-30JAN26-77000-C"})
    assert math.isnan(made_by_settlement(STATE, an_opening(SOLD, 0.1), SettlementPrices()))
    assert math.isnan(made_by_settlement(STATE, unseen, prices(80_000.0)))


# --- prices ---------------------------------------------------------------------------------------------------


def a_point(minutes_before: float, spot_usd: float, run_id: str = "r", market: str = "", seed: int = 0) -> Point:
    at = EXPIRY - timedelta(minutes=minutes_before)
    state: AgentState = a_state(timestamp=at, markets=(a_market(spot_usd=spot_usd),), seed=seed)
    decision = LoggedDecision(
        run_id=run_id, iteration=1, timestamp=at, market=market, agent_state=state, proposed_action=NOTHING
    )
    return Point(decision, state)


def test_a_delivery_of_any_call_tells_the_price_of_all_calls_of_its_coin_and_expiry() -> None:
    delivery = a_booking("delivery", "BTC-16JAN26-77000-C", 260, 0.0, index_price_usd=91_234.5)
    found = settlement_prices([delivery], [], {})
    assert found.of("BTC", delivery.booked_at) == 91_234.5
    assert math.isnan(found.of("ETH", delivery.booked_at))


def test_the_spots_of_the_last_half_hour_are_averaged_where_there_are_three_of_them() -> None:
    points = [a_point(31.0, 1.0), a_point(30.0, 90_000.0), a_point(15.0, 90_300.0), a_point(5.0, 90_600.0)]
    assert settlement_prices([], points, {}).of("BTC", EXPIRY) == pytest.approx(90_300.0)
    assert math.isnan(settlement_prices([], points[:3], {}).of("BTC", EXPIRY))
    assert math.isnan(settlement_prices([], [*points[:3], a_point(0.0, 90_600.0)], {}).of("BTC", EXPIRY))


def test_what_the_exchange_has_booked_wins_over_a_file_and_over_spots() -> None:
    delivery = a_booking("delivery", "BTC-16JAN26-77000-C", 260, 0.0, index_price_usd=91_234.5)
    points = [a_point(minutes, 90_000.0) for minutes in (20.0, 10.0, 5.0)]
    both = settlement_prices([delivery], points, {("BTC", delivery.booked_at): 92_000.0})
    assert both.of("BTC", delivery.booked_at) == 91_234.5


@pytest.mark.parametrize(
    ("market", "seed", "is_known"), [("simulated", 2, False), ("simulated", 1, True), ("testnet", 2, True)]
)
def test_runs_know_of_each_other_what_their_market_settled_at_and_nothing_of_another_simulated_market(
    market: str, seed: int, is_known: bool
) -> None:
    delivery = a_booking("delivery", "BTC-16JAN26-77000-C", 260, 0.0, index_price_usd=91_234.5)
    first = a_point(600.0, 90_000.0, "first", market, 1)
    other = a_point(600.0, 90_000.0, "other", market, seed)
    found = prices_of_runs(Log([first, other], ledgers={"first": [delivery]}), {})
    assert found.of(first).of("BTC", delivery.booked_at) == 91_234.5
    assert math.isnan(found.of(other).of("BTC", delivery.booked_at)) is not is_known


def test_a_file_of_prices_tells_every_run() -> None:
    points = [a_point(600.0, 90_000.0, "first", "simulated", 1), a_point(600.0, 90_000.0, "other", "simulated", 2)]
    found = prices_of_runs(Log(points), {("BTC", EXPIRY): 92_000.0})
    assert {found.of(point).of("BTC", EXPIRY) for point in points} == {92_000.0}
