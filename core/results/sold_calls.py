"""A call that was sold, from its first sale until none of it is left, and the chain that rolls make of calls. Pure.

In: figures in coin, costs negative; the call book (call_book.py) finds them in a ledger. Out: SoldCall, CallChain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Exit = Literal["open", "bought_back", "rolled", "expired", "settled"]  # settled: in the money, at its expiry


@dataclass(frozen=True)
class SoldCall:
    """A call sold. `size_coin` is what was sold of it in all, `open_coin` what is still sold.

    `opened_at` and `premium_coin` are None where it was held before the log began. `slippage_coin` is the sale's
    against the mid at the decision, bad is negative. `open_value_coin`: what is left of it at the last mark, None where
    no state has shown it. In USD each amount counts at the index of its own moment.
    """

    chain_id: str
    leg: int
    currency: str
    symbol: str
    opened_at: datetime | None
    closed_at: datetime | None = None
    exit: Exit = "open"
    size_coin: float = 0.0
    open_coin: float = 0.0
    entry_delta: float | None = None
    entry_days: float | None = None
    entry_spread_pct: float | None = None
    slippage_coin: float | None = None
    premium_coin: float | None = 0.0
    bought_back_coin: float = 0.0
    settled_coin: float = 0.0
    fees_coin: float = 0.0
    open_value_coin: float | None = 0.0
    booked_usd: float | None = 0.0
    open_value_usd: float | None = 0.0

    @property
    def pnl_coin(self) -> float | None:
        """Premium less all that it cost, what is open at its last mark; None where a part is not known."""
        if self.premium_coin is None or self.open_value_coin is None:
            return None
        parts = (self.premium_coin, self.bought_back_coin, self.settled_coin, self.fees_coin, self.open_value_coin)
        return math.fsum(parts)

    @property
    def pnl_usd(self) -> float | None:
        """The same in USD, each amount at the index when it was booked."""
        if self.pnl_coin is None or self.booked_usd is None or self.open_value_usd is None:
            return None
        return self.booked_usd + self.open_value_usd


@dataclass(frozen=True)
class CallChain:
    """A sale and its rolls, leg by leg."""

    chain_id: str
    currency: str
    legs: tuple[SoldCall, ...]

    @property
    def opened_at(self) -> datetime | None:
        return self.legs[0].opened_at

    @property
    def closed_at(self) -> datetime | None:
        """None while any of its calls is open."""
        ends = [leg.closed_at for leg in self.legs if leg.closed_at is not None]
        return max(ends) if len(ends) == len(self.legs) else None

    @property
    def exit(self) -> Exit:
        """How its last call ended."""
        return self.legs[-1].exit

    @property
    def rolls(self) -> int:
        return len(self.legs) - 1

    @property
    def pnl_coin(self) -> float | None:
        return _sum_if_known(leg.pnl_coin for leg in self.legs)

    @property
    def pnl_usd(self) -> float | None:
        return _sum_if_known(leg.pnl_usd for leg in self.legs)


def chains_of(calls: Iterable[SoldCall]) -> tuple[CallChain, ...]:
    """Chains in the order of their opening."""
    legs: dict[str, list[SoldCall]] = {}
    for call in calls:
        legs.setdefault(call.chain_id, []).append(call)
    return tuple(CallChain(name, found[0].currency, tuple(found)) for name, found in legs.items())


def _sum_if_known(parts: Iterable[float | None]) -> float | None:
    known = list(parts)
    return None if None in known else math.fsum(part for part in known if part is not None)
