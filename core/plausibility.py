"""Earlier readings, to notice implausible changes: a price that jumps, positions that vanish. Pure.

In: markets, positions and accounts as they were read. Out: reasons not to believe them yet. A leap is believed once a
second reading confirms it; a call that is gone although it has not expired is believed at the second iteration.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from models import ROUNDING, AgentState, CoinAccount, MarketSnapshot, RawPosition

MAX_SPOT_RATIO = 1.2  # between two iterations
MAX_IV_RATIO = 2.0
MAX_GAP = timedelta(hours=1)  # after a longer pause a leap is no surprise, if the forward went along
MAX_SPOT_TO_FORWARD = 1.5  # forwards of testnet have stood 25 % off the index


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
        """Spots and volatilities that jumped since the last reading; a second reading that confirms it is accepted."""
        for figure in _figures(markets):
            yield from self._doubt(figure, now)

    def _doubt(self, figure: _Figure, now: datetime) -> Iterator[str]:
        before, seen_at = self.figures.get(figure.name, (None, now))
        doubted = self.doubted.pop(figure.name, None)
        if before is None or now - seen_at > MAX_GAP:
            problem = _against_forward(figure)
        elif _is_near(figure.value, before, figure.max_ratio):
            problem = None
        else:
            problem = f"jumped from {before:g} to {figure.value:g}"
        if problem is None or _is_near(figure.value, doubted, figure.max_ratio):
            self.figures[figure.name] = (figure.value, now)
            return
        self.doubted[figure.name] = figure.value
        yield f"{figure.name} {problem}: ignored until a second reading confirms it"

    def remember_markets(self, markets: Sequence[MarketSnapshot], now: datetime) -> None:
        """Take readings over without a doubt: an earlier run has believed them."""
        for figure in _figures(markets):
            self.figures[figure.name] = (figure.value, now)

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

    def expect_smaller_position(self, symbol: str) -> None:
        """An order of ours in this option ended: what is gone of it may be gone for a reason."""
        self.sizes.pop(symbol, None)


class _Figure(NamedTuple):
    """What is watched: the greatest ratio between two readings, and for a spot its forward of the same moment."""

    name: str
    value: float
    max_ratio: float
    forward: float | None = None


def _figures(markets: Sequence[MarketSnapshot]) -> Iterator[_Figure]:
    for market in markets:
        yield _Figure(f"{market.underlying} spot", market.spot_usd, MAX_SPOT_RATIO, market.forward_usd)
        if market.atm_iv_fraction is not None:
            yield _Figure(f"{market.underlying} IV", market.atm_iv_fraction, MAX_IV_RATIO)


def _against_forward(figure: _Figure) -> str | None:
    """What a reading without a recent one before it is held against."""
    if figure.forward is None or _is_near(figure.value, figure.forward, MAX_SPOT_TO_FORWARD):
        return None
    return f"is {figure.value:g} while its forward is {figure.forward:g}"


def _is_near(value: float, before: float | None, max_ratio: float) -> bool:
    return before is not None and before / max_ratio <= value <= before * max_ratio
