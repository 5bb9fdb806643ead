"""The four ways out of a call: held, taken as profit, rolled for profit, rolled when due and in the money."""

from __future__ import annotations

import pytest

from backtest.simulator.exits import CallStyle, ExitStyle
from core.results.sold_calls import CallChain
from tests.backtest.simulator.runs import a_config, a_simulation

ENDINGS = {
    ExitStyle.HOLD: set[str](),
    ExitStyle.TAKE_PROFIT: {"bought_back"},
    ExitStyle.TAKE_PROFIT_AND_ROLL: {"bought_back", "rolled"},  # bought back where there is nothing to roll to
    ExitStyle.ROLL: {"rolled"},
}


def chains_of(policy: CallStyle, days: float = 25.0) -> list[CallChain]:
    result = a_simulation(policy, days=days, config=a_config(fills="touch")).run()
    return [chain for coin in result.coins for chain in coin.chains]


@pytest.mark.parametrize("style", list(ExitStyle))
def test_each_style_ends_calls_in_its_own_way(style: ExitStyle) -> None:
    policy = CallStyle(0.25, style, take_profit_pct=50.0, roll_days=3.0, least_roll_credit_coin=None)
    exits = {leg.exit for chain in chains_of(policy) for leg in chain.legs}
    assert exits - {"open", "expired", "settled"} == ENDINGS[style]


def roll_credits_coin(least_coin: float | None) -> list[float]:
    """What each roll brought a contract, in coin."""
    policy = CallStyle(0.25, ExitStyle.ROLL, roll_days=3.0, least_roll_credit_coin=least_coin)
    legs = [pair for chain in chains_of(policy, 45.0) for pair in zip(chain.legs, chain.legs[1:], strict=False)]
    return [((after.premium_coin or 0.0) + before.bought_back_coin) / after.size_coin for before, after in legs]


def test_a_roll_for_credit_only_never_pays() -> None:
    assert min(roll_credits_coin(None)) < 0.0
    assert all(credit >= -1e-9 for credit in roll_credits_coin(0.0))


def test_a_roll_with_a_floor_pays_no_more_than_that() -> None:
    assert all(credit >= -0.002 - 1e-9 for credit in roll_credits_coin(-0.002))
