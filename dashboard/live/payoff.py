"""What the sold calls of a coin come to at their expiry, and today, at any price: against holding the coins. Pure.

In: calls sold (size in coin, strike in USD, premium after fees in coin), a price in USD. Out: the value of the coins
that stand behind them, with the calls, in coin; times the price it is USD. Source: an inverse call pays
max(0, 1 - K / S) coin; before its expiry it is worth Black-76 at its mark IV, the forward moving with the price.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core.pricing import black76_price_coin, normal_cdf, payoff_coin, years_between
from core.results.sold_calls import SoldCall
from models import AgentState, OptionPosition


@dataclass(frozen=True)
class ShortCall:
    """A call sold. `net_premium_coin` is what it brought after fees; `years` and `iv_fraction` are what is left."""

    symbol: str
    size_coin: float
    strike_usd: float
    expiry: datetime
    net_premium_coin: float
    iv_fraction: float | None
    years: float
    mark_price_coin: float
    forward_per_spot: float = 1.0

    def at_expiry_coin(self, price_usd: float) -> float:
        """The coins behind it and what it made."""
        return self.size_coin * (1.0 - payoff_coin(price_usd, self.strike_usd)) + self.net_premium_coin

    def today_coin(self, price_usd: float) -> float | None:
        """The same if it were bought back now at its model price."""
        if self.iv_fraction is None:
            return None
        forward_usd = price_usd * self.forward_per_spot
        worth = black76_price_coin(forward_usd, self.strike_usd, self.iv_fraction, self.years)
        return self.size_coin * (1.0 - worth) + self.net_premium_coin

    def called_away_fraction(self, spot_usd: float) -> float | None:
        """The odds of ending in the money that its mark IV implies: N(d2)."""
        if self.iv_fraction is None or self.years <= 0.0 or self.iv_fraction <= 0.0:
            return None
        spread = self.iv_fraction * math.sqrt(self.years)
        d2 = math.log(spot_usd * self.forward_per_spot / self.strike_usd) / spread - 0.5 * spread
        return float(normal_cdf(d2))

    @property
    def even_with_holding_usd(self) -> float | None:
        """The price at expiry above which holding would have been better."""
        per_coin = self.net_premium_coin / self.size_coin
        return self.strike_usd / (1.0 - per_coin) if per_coin < 1.0 else None


def short_calls(state: AgentState, coin: str, calls: Sequence[SoldCall], now: datetime) -> list[ShortCall]:
    """The calls of a coin that are sold now, the first to expire first."""
    found = [(held, _call_of(held, calls)) for held in state.portfolio.positions if _is_ours(held, coin)]
    forward = state.market(coin)
    ratio = 1.0 if forward is None or forward.forward_usd is None else forward.forward_usd / forward.spot_usd
    made = [
        ShortCall(
            symbol=held.symbol,
            size_coin=held.size,
            strike_usd=held.strike,
            expiry=held.expiry,
            net_premium_coin=_net_premium(held, call),
            iv_fraction=held.mark_iv_fraction,
            years=max(0.0, years_between(now, held.expiry)),
            mark_price_coin=held.mark_price_coin,
            forward_per_spot=ratio,
        )
        for held, call in found
    ]
    return sorted(made, key=lambda call: call.expiry)


def _is_ours(held: OptionPosition, coin: str) -> bool:
    return held.is_short_call and held.underlying == coin


def _call_of(held: OptionPosition, calls: Sequence[SoldCall]) -> SoldCall | None:
    return next((call for call in reversed(calls) if call.symbol == held.symbol and call.closed_at is None), None)


def _net_premium(held: OptionPosition, call: SoldCall | None) -> float:
    """As booked; of a call that was held before the log began, at the exchange's average price."""
    if call is None or call.premium_coin is None or not call.size_coin:
        return held.avg_price * held.size
    return (call.premium_coin + call.fees_coin) * held.size / call.size_coin
