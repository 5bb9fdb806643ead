"""Planning an order: which legs an action has, and which prices are tried for each, first to last."""

from __future__ import annotations

from typing import Any

import pytest

from config import AgentConfig
from models import ActionType, Direction, ProposedAction, Ticker
from orders.order_planning import plan_orders, price_ladder, start_price
from tests.builders.agent import NEXT_CALL, closing, opening, rolling
from tests.builders.configs import a_config
from tests.builders.paper import CALL, START
from tests.builders.states import a_candidate, a_short_call, a_state, an_instrument

# --- the legs ----------------------------------------------------------------------------------------


def test_no_leg_is_larger_than_max_order_size() -> None:
    config = a_config(btc={"max_order_size": 0.5})
    (leg,) = plan_orders(opening(size=2.0), None, config, "1")
    assert leg.amount_coin == 0.5


def test_a_roll_buys_back_before_it_sells_and_other_actions_have_one_leg() -> None:
    legs = {
        action.type: [(leg.direction, leg.symbol) for leg in plan_orders(action, None, a_config(), "1")]
        for action in (opening(), closing(), rolling())
    }
    assert legs == {
        ActionType.OPEN_COVERED_CALL: [("sell", CALL)],
        ActionType.CLOSE_COVERED_CALL: [("buy", CALL)],
        ActionType.ROLL_COVERED_CALL: [("buy", CALL), ("sell", NEXT_CALL)],
    }


def test_doing_nothing_has_no_leg() -> None:
    nothing = ProposedAction(type=ActionType.DO_NOTHING, reason="a test says so")
    assert plan_orders(nothing, a_state(), a_config(), "1") == ()


def test_every_leg_has_a_label_of_its_own_made_from_the_decision() -> None:
    labels = [leg.label for leg in plan_orders(rolling(), None, a_config(), "260105120000-abc123")]
    assert labels == ["cc-260105120000-abc123-buy", "cc-260105120000-abc123-sell"]


@pytest.mark.parametrize(
    ("bid", "ask", "mid"),
    [(0.01, 0.03, 0.02), (None, 0.03, 0.025), (0.01, None, 0.025), (None, None, 0.025)],
)
def test_a_leg_remembers_the_mid_it_was_decided_on_or_the_mark_where_a_side_is_missing(
    bid: float | None, ask: float | None, mid: float
) -> None:
    held = a_short_call(symbol=CALL, bid_price_coin=bid, ask_price_coin=ask, mark_price_coin=0.025)
    (leg,) = plan_orders(closing(), a_state(positions=(held,)), a_config(), "1")
    assert leg.decision_mid_coin == pytest.approx(mid)


def test_a_sale_remembers_the_mid_of_its_candidate() -> None:
    call = a_candidate(symbol=CALL, bid_price_coin=0.02, ask_price_coin=0.022)
    (leg,) = plan_orders(opening(), a_state(candidates=(call,)), a_config(), "1")
    assert leg.decision_mid_coin == pytest.approx(0.021)


@pytest.mark.parametrize("state", [None, a_state(candidates=())])
def test_without_a_quote_at_the_decision_there_is_no_mid(state: Any) -> None:
    (leg,) = plan_orders(opening(), state, a_config(), "1")
    assert leg.decision_mid_coin is None


# --- the prices ---------------------------------------------------------------------------------------


def a_ticker(bid: float | None, ask: float | None, mark: float, **fields: Any) -> Ticker:
    known = {"bid_price_coin": bid, "ask_price_coin": ask, "mark_price_coin": mark}
    empty = dict.fromkeys(
        ("bid_amount_coin", "ask_amount_coin", "last_price_coin", "min_price_coin", "max_price_coin"), None
    )
    frame = {"symbol": CALL, "quoted_at": START, "state": "open", "index_price_usd": 90_000.0}
    return Ticker(**{**frame, **empty, **known, **fields})


def ladder(direction: Direction, ticker: Ticker, config: AgentConfig | None = None) -> tuple[float, ...]:
    return price_ladder(direction, ticker, an_instrument(), a_config() if config is None else config)


@pytest.mark.parametrize(
    ("last", "start"),
    [(None, 1 / 32), (3 / 128, 3 / 128), (5 / 128, 5 / 128), (0.0234, 1 / 32), (0.0391, 1 / 32)],
)
def test_where_a_side_is_missing_the_last_trade_counts_only_within_25_percent_of_the_mark(
    last: float | None, start: float
) -> None:
    assert start_price(a_ticker(None, 0.04, 1 / 32, last_price_coin=last), collar_pct=25.0) == start
    assert start_price(a_ticker(0.01, None, 1 / 32, last_price_coin=last), collar_pct=25.0) == start


def test_with_both_sides_the_last_trade_does_not_matter() -> None:
    assert start_price(a_ticker(0.019, 0.021, 0.02, last_price_coin=0.0205), collar_pct=25.0) == 0.02


def test_a_cheap_option_may_give_up_two_ticks_where_the_percentage_is_less_than_a_tick() -> None:
    assert ladder("sell", a_ticker(None, 0.0012, 0.0010))[-1] == 0.0008
    assert ladder("buy", a_ticker(0.0008, None, 0.0010))[-1] == 0.0012


def test_a_sale_never_asks_less_than_one_tick() -> None:
    assert ladder("sell", a_ticker(None, None, 0.0001))[-1] == 0.0001


@pytest.mark.parametrize(("steps", "prices"), [(1, (0.02, 0.017)), (2, (0.02, 0.017)), (3, (0.02, 0.0185, 0.017))])
def test_the_number_of_prices_is_a_setting(steps: int, prices: tuple[float, ...]) -> None:
    config = a_config(run={"order_price_steps": steps})
    assert ladder("sell", a_ticker(0.01, 0.03, 0.02), config) == prices


def test_without_concession_an_order_moves_two_ticks_only() -> None:
    config = a_config(run={"order_concession_pct": 0.0})
    assert ladder("sell", a_ticker(0.01, 0.03, 0.02), config) == (0.02, 0.0195, 0.019)


def test_prices_stay_inside_the_exchanges_band() -> None:
    band = {"min_price_coin": 0.019, "max_price_coin": 0.0215}
    assert ladder("sell", a_ticker(0.01, 0.03, 0.02, **band)) == (0.02, 0.0195, 0.019)
    assert ladder("buy", a_ticker(0.01, 0.03, 0.02, **band)) == (0.02, 0.0205, 0.021, 0.0215)


def test_the_first_price_is_inside_the_band_too_where_mid_is_not() -> None:
    band = {"min_price_coin": 0.0001, "max_price_coin": 0.0175}
    assert ladder("buy", a_ticker(0.0001, 0.05, 0.0002, **band))[0] <= 0.0175
    assert ladder("sell", a_ticker(0.0001, 0.05, 0.0002, **band))[0] <= 0.0175


@pytest.mark.parametrize(
    ("bid", "ask", "mark", "ceiling"),
    [
        (0.01, 0.40, 0.012, 0.015),
        (0.0465, 0.4135, 0.0468, 0.0585),
        (0.02, 0.04, 0.02, 0.025),
        (0.0001, 0.05, 0.0002, 0.0004),  # two ticks: a quarter of the mark would be less than one
    ],
)
def test_no_buy_back_costs_more_than_the_collar_allows_however_wide_the_book(
    bid: float, ask: float, mark: float, ceiling: float
) -> None:
    assert max(ladder("buy", a_ticker(bid, ask, mark))) == ceiling


@pytest.mark.parametrize(
    ("bid", "ask", "mark", "floor"),
    [(0.01, 0.02, 0.02, 0.015), (0.001, 0.03, 0.024, 0.018), (None, 0.0003, 0.0004, 0.0002)],
)
def test_no_sale_asks_less_than_the_collar_allows_however_low_the_book(
    bid: float | None, ask: float, mark: float, floor: float
) -> None:
    assert min(ladder("sell", a_ticker(bid, ask, mark))) == floor
