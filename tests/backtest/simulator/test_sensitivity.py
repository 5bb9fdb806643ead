"""Other volatility and wider spreads move quotes as they should, and a result with them."""

from __future__ import annotations

import pytest

from backtest.simulator.changed_market import ChangedMarket, QuoteChange
from backtest.simulator.exits import CallStyle
from backtest.simulator.sensitivity import Case, SensitivityRow, sensitivity_rows
from backtest.simulator.simulation import CoveredCallSimulator, NamedPolicy, Period
from paper_exchange.market.market import Quote
from paper_exchange.setups import simulated_setup
from tests.backtest.simulator.runs import a_config, days_later


def pairs(change: QuoteChange) -> list[tuple[Quote, Quote]]:
    """Quotes of a market before and after, those with both sides."""
    market = simulated_setup(1, {"BTC": 1.0, "ETH": 10.0}).exchange.market
    found = zip(market.quotes("BTC"), ChangedMarket(market, change).quotes("BTC"), strict=True)
    return [(a, b) for a, b in found if a.bid_coin and a.ask_coin and b.bid_coin and b.ask_coin]


def test_higher_volatility_makes_no_option_cheaper() -> None:
    for before, after in pairs(QuoteChange(iv_factor=1.1)):
        assert after.mark_coin >= before.mark_coin
        assert after.mark_iv_fraction == pytest.approx(1.1 * before.mark_iv_fraction)


def test_twice_the_spread_is_twice_as_wide_up_to_a_tick_a_side_and_leaves_the_mark() -> None:
    for before, after in pairs(QuoteChange(spread_factor=2.0)):
        width = (after.ask_coin or 0.0) - (after.bid_coin or 0.0)
        assert width >= 2.0 * ((before.ask_coin or 0.0) - (before.bid_coin or 0.0)) - 1e-9
        assert after.mark_coin == before.mark_coin


def test_no_change_changes_no_mark() -> None:
    assert all(after.mark_coin == before.mark_coin for before, after in pairs(QuoteChange()))


def test_the_table_has_every_change_for_every_coin_and_fees_cost() -> None:
    case = Case(a_config(fills="touch"), simulated_setup, NamedPolicy("p", CallStyle(0.2)), Period(end=days_later(4.0)))
    result = CoveredCallSimulator(case.config, case.make_setup, case.policy, case.period).run()
    rows = list(sensitivity_rows(case, result, lambda _, simulator: simulator.run()))
    found = {(row.what, row.coin): row for row in rows}
    assert len(rows) == len(found) == 2 * 6
    for coin in ("BTC", "ETH"):
        assert change(found, "no fees, same trades", coin) > 0.0
        assert change(found, "spreads twice as wide", coin) < 0.0


def change(found: dict[tuple[str, str], SensitivityRow], what: str, coin: str) -> float:
    return found[what, coin].change_coin
