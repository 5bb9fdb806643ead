"""What a step earned: in coin, in USD, or over holding the coins.

In: what the account was worth at the start, before and after a step. Out: one number. Equities in coin, by coin;
spots in USD. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from models import AgentState

RewardKind = Literal["coin", "usd", "excess"]


@dataclass(frozen=True)
class Worth:
    """Equity (coin) and spot (USD) of each coin that is traded."""

    equity_coin: Mapping[str, float]
    spot_usd: Mapping[str, float]

    @property
    def value_usd(self) -> float:
        return self.value_usd_of(self.equity_coin)

    def value_usd_of(self, coins: Mapping[str, float]) -> float:
        """What these amounts would be worth at these spots."""
        return math.fsum(coins[coin] * spot for coin, spot in self.spot_usd.items())

    @property
    def base_spot_usd(self) -> float:
        """Spot of the first coin, BTC where it is traded: what an amount over both coins is counted in."""
        return next(iter(self.spot_usd.values()))


def worth_of(state: AgentState) -> Worth:
    """The coins of a state's markets; a coin without an account counts as none held."""
    accounts = {market.underlying: state.account(market.underlying) for market in state.markets}
    return Worth(
        {coin: 0.0 if account is None else account.equity_coin for coin, account in accounts.items()},
        {market.underlying: market.spot_usd for market in state.markets},
    )


def reward(kind: RewardKind, start: Worth, before: Worth, after: Worth) -> float:
    """`coin`: change of both equities, counted in the first coin. `usd`: change of value. `excess`: the same, less what
    the coins of the start would have gained if nothing was sold; the rewards of an episode add up to its excess.
    """
    if kind == "usd":
        return after.value_usd - before.value_usd
    if kind == "excess":
        return _excess_usd(start, after) - _excess_usd(start, before)
    changes = {coin: after.equity_coin[coin] - before.equity_coin[coin] for coin in after.equity_coin}
    return after.value_usd_of(changes) / after.base_spot_usd


def _excess_usd(start: Worth, now: Worth) -> float:
    return now.value_usd - now.value_usd_of(start.equity_coin)
