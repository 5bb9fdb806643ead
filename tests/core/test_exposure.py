"""What an account is exposed to: calls sold and on offer, margin, and what is so wrong that nothing may be sold."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from core.exposure import coin_risk, expiry_exposures, margin_used_pct, order_size_problem, order_takes, restrictions
from models import CoinAccount, TradingState
from state_builder import assemble_state
from tests.builders.configs import a_config
from tests.builders.states import (
    EXPIRY,
    LATER_EXPIRY,
    a_portfolio,
    a_raw_position,
    a_raw_state,
    a_short_call,
    an_account,
    an_instrument,
    an_order,
    symbol_of,
)

OTHER_STRIKE = 120_000.0


def wrong_with(**fields: Any) -> list[str]:
    """The names of what is wrong with an account."""
    portfolio = a_portfolio(**fields)
    risks = tuple(coin_risk(account, portfolio) for account in portfolio.accounts)
    return [problem.rule for problem in restrictions(portfolio, risks)]


# --- what is wrong with the account itself -----------------------------------------------------------


def test_an_account_in_good_order_is_not_restricted() -> None:
    assert wrong_with(positions=(a_short_call(size=1.0),), open_orders=(an_order(),)) == []


@pytest.mark.parametrize(("coins", "problems"), [(1.5, []), (1.0, []), (0.999, ["uncovered"]), (0.0, ["uncovered"])])
def test_calls_without_coins_behind_them_restrict_the_account(coins: float, problems: list[str]) -> None:
    held = a_short_call(size=0.4), a_short_call(size=0.6, expiry=LATER_EXPIRY)
    assert wrong_with(positions=held, accounts=(an_account(coins=coins),)) == problems


@pytest.mark.parametrize(("mark", "problems"), [(0.05, []), (0.1, []), (0.101, ["uncovered"])])
def test_what_a_put_sold_may_cost_is_taken_off_the_coins(mark: float, problems: list[str]) -> None:
    put = a_short_call(option_type="put", symbol=symbol_of(kind="P"), size=1.0, mark_price_coin=mark)
    accounts = (an_account(coins=1.0),)
    assert wrong_with(positions=(a_short_call(size=0.9), put), accounts=accounts) == problems


@pytest.mark.parametrize(
    ("symbol", "direction", "takes_btc", "takes_eth"),
    [
        ("BTC-16JAN26-110000-C", "sell", 0.7, 0.0),
        ("BTC-16JAN26-110000-C", "buy", 0.0, 0.0),
        ("BTC_USDC-16JAN26-110000-C", "sell", 0.7, 0.0),
        ("BTC-CS-9JAN26-95000_99000", "sell", 0.7, 0.0),
        ("BTC-CS-9JAN26-95000_99000", "buy", 0.7, 0.0),
        ("ETH-STRG-9JAN26-3000_4000", "sell", 0.0, 0.7),
        ("BTC-PERPETUAL", "sell", 0.0, 0.0),
        ("BTC_USDC-PERPETUAL", "sell", 0.0, 0.0),
        ("BTC-27MAR26", "sell", 0.0, 0.0),
        ("BTC_USDC", "sell", 0.0, 0.0),
        ("SOL_USDC-16JAN26-200-C", "sell", 0.0, 0.0),
        ("BTC-SOMETHING", "sell", 1e9, 0.0),
        ("NEW-THING", "buy", 1e9, 1e9),
        ("", "sell", 1e9, 1e9),
    ],
)
def test_what_is_not_surely_harmless_takes_room(
    symbol: str, direction: Any, takes_btc: float, takes_eth: float
) -> None:
    order = an_order(amount_coin=1.0, filled_amount_coin=0.3, direction=direction).model_copy(update={"symbol": symbol})
    taken = [order_takes(order, coin, ()) for coin in ("BTC", "ETH")]
    assert taken == pytest.approx([takes_btc, takes_eth])


def test_a_reduce_only_sell_takes_nothing_where_the_call_is_held_long() -> None:
    order = an_order(amount_coin=1.0, reduce_only=True)
    assert order_takes(order, "BTC", {order.symbol}) == 0.0
    assert order_takes(order, "BTC", ()) == 1.0
    assert order_takes(an_order(amount_coin=1.0), "BTC", {order.symbol}) == 1.0


@pytest.mark.parametrize("change", [{"side": "long"}, {"option_type": "put"}, {"underlying": "ETH"}])
def test_only_sold_calls_of_the_coin_itself_need_its_coins(change: dict[str, Any]) -> None:
    held = a_short_call(size=5.0, **change) if "underlying" not in change else a_short_call("ETH", size=5.0)
    assert wrong_with(positions=(held,)) == []


def test_a_sum_that_only_rounding_puts_above_the_coins_is_covered() -> None:
    held = a_short_call(size=0.1), a_short_call(size=0.2, expiry=LATER_EXPIRY)
    assert wrong_with(positions=held, accounts=(an_account(coins=0.3),)) == []


@pytest.mark.parametrize(
    ("maintenance", "balance", "problems"),
    [(0.4, 0.5, []), (0.5, 0.5, []), (0.51, 0.5, ["margin_call"]), (0.01, -0.2, ["margin_call"]), (0.0, -0.2, [])],
)
def test_an_account_below_its_maintenance_margin_is_restricted(
    maintenance: float, balance: float, problems: list[str]
) -> None:
    account = an_account(maintenance_margin_coin=maintenance, margin_balance_coin=balance)
    assert wrong_with(accounts=(account,)) == problems


def test_one_coin_of_a_cross_margin_account_says_nothing_about_a_margin_call() -> None:
    account = an_account(is_cross_margin=True, maintenance_margin_coin=0.5, margin_balance_coin=0.1)
    assert wrong_with(accounts=(account,)) == []


@pytest.mark.parametrize(("is_liquidation", "problems"), [(True, ["liquidation"]), (False, [])])
def test_an_order_by_which_the_exchange_liquidates_restricts_the_account(
    is_liquidation: bool, problems: list[str]
) -> None:
    assert wrong_with(open_orders=(an_order(is_liquidation=is_liquidation, label="", direction="buy"),)) == problems


def test_everything_that_is_wrong_is_listed() -> None:
    account = an_account(coins=0.1, maintenance_margin_coin=0.2)
    found = wrong_with(
        positions=(a_short_call(size=1.0),), accounts=(account,), open_orders=(an_order(is_liquidation=True),)
    )
    assert found == ["uncovered", "margin_call", "liquidation"]


@pytest.mark.parametrize(("coins", "state"), [(1.0, TradingState.ACTIVE), (0.4, TradingState.REDUCING)])
def test_a_restricted_account_makes_a_state_in_which_the_agent_only_reduces(coins: float, state: TradingState) -> None:
    accounts = (an_account("BTC", coins=coins), an_account("ETH"))
    found = assemble_state(a_raw_state(positions=(a_raw_position(size=-0.5),), accounts=accounts), a_config())
    assert found.trading_state == state
    assert tuple(map(str, found.restrictions)) == (
        () if state == TradingState.ACTIVE else ("uncovered: 0.5 BTC of calls are sold, 0.4 coins are held",)
    )


# --- margin in use ---------------------------------------------------------------------------------------


def test_margin_used_is_initial_margin_over_margin_balance() -> None:
    assert margin_used_pct(an_account(initial_margin_coin=0.25, margin_balance_coin=0.8)) == 31.25


@pytest.mark.parametrize(
    ("account", "used_pct"),
    [
        (an_account(initial_margin_coin=0.0), 0.0),
        (an_account(initial_margin_coin=0.5, margin_balance_coin=0.5), 100.0),
        (an_account(margin_balance_coin=0.0), None),
        (an_account(margin_balance_coin=-0.1), None),
        (an_account(is_cross_margin=True), None),
        (an_account(is_cross_margin=True, total_initial_margin_usd=5.0, total_margin_balance_usd=20.0), 25.0),
    ],
)
def test_margin_without_a_balance_behind_it_is_not_known(account: CoinAccount, used_pct: float | None) -> None:
    assert margin_used_pct(account) == used_pct


# --- what the figures of a state are made of -------------------------------------------------------------


def test_short_calls_sells_on_offer_and_delta_of_one_coin_are_added_up() -> None:
    positions = (
        a_short_call(size=0.3, delta=-0.06),
        a_short_call(size=0.2, strike=OTHER_STRIKE, delta=-0.02),
        a_short_call(side="long", size=0.1, delta=0.05, strike=130_000.0),
        a_short_call("ETH", size=4.0, delta=-1.0),
    )
    orders = (
        an_order(amount_coin=0.3, filled_amount_coin=0.1),
        an_order(direction="buy"),
        an_order(order_state="cancelled"),
        an_order(symbol_of("ETH"), amount_coin=2.0),
    )
    risk = coin_risk(an_account(), a_portfolio(positions=positions, open_orders=orders))
    assert risk.short_calls_coin == pytest.approx(0.5)
    assert risk.resting_sells_coin == pytest.approx(0.2)
    assert risk.net_delta == pytest.approx(-0.03)
    assert risk.room_coin == pytest.approx(0.3)


def test_exposure_is_listed_by_coin_and_expiry_with_offers_and_without_puts() -> None:
    positions = (a_short_call(size=0.2), a_short_call(size=0.1, strike=OTHER_STRIKE), a_short_call("ETH", size=3.0))
    put = an_instrument(option_type="put")
    listed = {option.symbol: option for option in (an_instrument(), put)}
    portfolio = a_portfolio(positions=positions, open_orders=(an_order(), an_order(put.symbol)))
    found = [(row.underlying, row.expiry, row.short_calls_coin) for row in expiry_exposures(portfolio, listed)]
    assert found == [("BTC", EXPIRY, pytest.approx(0.4)), ("ETH", EXPIRY, 3.0)]


def test_exposure_of_an_expiry_counts_what_is_left_of_an_offer() -> None:
    option = an_instrument()
    offers = (
        an_order(amount_coin=0.5, filled_amount_coin=0.2),
        an_order(amount_coin=0.5, order_state="cancelled"),
        an_order(amount_coin=0.5, direction="buy"),
        an_order(symbol_of(expiry=EXPIRY + timedelta(days=365)), amount_coin=0.5),
    )
    (row,) = expiry_exposures(a_portfolio(open_orders=offers), {option.symbol: option})
    assert row.short_calls_coin == pytest.approx(0.3)


# --- the size of an order --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "is_too_large"), [(0.2, False), (0.3, False), (0.1 + 0.2, False), (0.31, True), (math.nan, True)]
)
def test_an_order_is_no_larger_than_the_largest_allowed_whatever_float_dust_is_on_it(
    size: float, is_too_large: bool
) -> None:
    problem = order_size_problem(size, 0.3)
    assert (problem is not None) == is_too_large
