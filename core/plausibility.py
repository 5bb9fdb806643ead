"""What was seen before, to notice what cannot be: a price that leaps, positions that vanish. Pure.

In: markets, positions and accounts as they were read. Out: reasons not to believe them yet. A leap is believed once a
second reading confirms it; a call that is gone although it has not expired is believed at the second iteration.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from models import ROUNDING, AgentState, CoinAccount, MarketSnapshot, RawPosition

MAX_SPOT_RATIO = 1.2  # between two iterations
MAX_IV_RATIO = 2.0
MAX_GAP = timedelta(hours=1)  # after a longer pause a leap is no surprise


@dataclass
class LastSeen:
    """The last readings that were believed; `doubted` those that were not, yet. Sizes in coin, by symbol."""

    figures: dict[str, tuple[float, datetime]] = field(default_factory=dict)
    doubted: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)
    expiries: dict[str, datetime] = field(default_factory=dict)
    missing: str | None = None

    # --- prices -----------------------------------------------------------------

    def doubts_about(self, markets: Sequence[MarketSnapshot], now: datetime) -> Iterator[str]:
        """Spots and volatilities that leapt since the last reading; nothing about one that leapt there twice."""
        for name, value, max_ratio in _figures(markets):
            yield from self._doubt(name, value, max_ratio, now)

    def _doubt(self, name: str, value: float, max_ratio: float, now: datetime) -> Iterator[str]:
        before, seen_at = self.figures.get(name, (None, now))
        doubted = self.doubted.pop(name, None)
        is_first = before is None or now - seen_at > MAX_GAP
        if is_first or _is_near(value, before, max_ratio) or _is_near(value, doubted, max_ratio):
            self.figures[name] = (value, now)
            return
        self.doubted[name] = value
        yield f"{name} jumped from {before:g} to {value:g}: ignored until a second reading confirms it"

    def remember_markets(self, markets: Sequence[MarketSnapshot], now: datetime) -> None:
        """Take readings over without a doubt: an earlier run has believed them."""
        for name, value, _ in _figures(markets):
            self.figures[name] = (value, now)

    # --- positions --------------------------------------------------------------

    def missing_from(
        self, positions: Sequence[RawPosition], accounts: Sequence[CoinAccount], now: datetime
    ) -> str | None:
        """What should be among the positions and is not: a call sold earlier, or any option behind a value."""
        sizes = {held.symbol: held.size for held in positions}
        for symbol, size in self.sizes.items():
            expiry = self.expiries.get(symbol)
            if size < 0.0 and (expiry is None or expiry > now) and sizes.get(symbol, 0.0) > size + ROUNDING:
                return f"{symbol} was {size:g} and is {sizes.get(symbol, 0.0):g}, although we bought nothing back"
        for account in accounts:
            options = (held for held in positions if held.kind == "option")
            has_some = any(held.parts.underlying == account.currency for held in options)
            if abs(account.options_value_coin) > ROUNDING and not has_some:
                return f"the {account.currency} account has options in its value, but lists no position"
        return None

    def believes(self, problem: str | None) -> bool:
        """Whether positions can be used: nothing is missing, or the same was missing in the iteration before."""
        is_believed = problem is None or problem == self.missing
        self.missing = problem
        return is_believed

    def remember_state(self, state: AgentState) -> None:
        """What is held, and when it expires: before that it cannot go by itself."""
        held = state.portfolio.positions
        self.sizes = {one.symbol: -one.size if one.side == "short" else one.size for one in held}
        self.expiries = {one.symbol: one.expiry for one in held}

    def expect_less_of(self, symbol: str) -> None:
        """An order of ours in this option ended: what is gone of it may be gone for a reason."""
        self.sizes.pop(symbol, None)


def _figures(markets: Sequence[MarketSnapshot]) -> Iterator[tuple[str, float, float]]:
    """What is watched: name, value, and the greatest ratio between two readings."""
    for market in markets:
        yield f"{market.underlying} spot", market.spot_usd, MAX_SPOT_RATIO
        if market.atm_iv_fraction is not None:
            yield f"{market.underlying} IV", market.atm_iv_fraction, MAX_IV_RATIO


def _is_near(value: float, before: float | None, max_ratio: float) -> bool:
    return before is not None and before / max_ratio <= value <= before * max_ratio
