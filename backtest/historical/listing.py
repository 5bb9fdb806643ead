"""What was listed, hour by hour: Deribit's expiry calendar and a strike grid around the spot of that day.

In: the coin's history (index and DVOL as known at each hour). Out: calls as columns, by expiry and strike; a strike
once listed stays until it expires. Puts are left out: nobody here trades them, and they would double the work. The grid
reaches further in volatile times: 2021 listed strikes that 2026 does not. No clock of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import numpy as np

from backtest.surface.conditions import OLDEST_HOUR_MS, CoinHistory
from backtest.surface.known import FloatArray, TimeArray
from backtest.surface.model import Expiries
from backtest.surface.spread import tick_columns, tick_era
from core.chain import Terms
from paper_exchange.market.clocks import HOUR_MS
from paper_exchange.market.expiries import DEFAULT_SIZE, MarketSize, StrikeGrid, listed_expiries, settlement_period
from paper_exchange.market.listing_columns import ListingColumns, usual_terms
from paper_exchange.market.market import MIN_TRADE_AMOUNT, Listing
from paper_exchange.market.names import option_name

USUAL_DVOL = 0.45  # the grids of expiries.py were measured at this volatility
MOST_STRIKES_PER_SIDE = 30
LOOK_BACK_HOURS = 60 * 24  # what was listed earlier has expired, or has been listed again as spot moved
REMEMBER_EXPIRED_MS = 10 * 24 * HOUR_MS


@dataclass(frozen=True, slots=True, eq=False)
class ListedCalls:
    """All calls of one coin that could be traded at an hour, by expiry and strike."""

    listings: ListingColumns
    strikes_usd: FloatArray
    expiries: Expiries

    def __len__(self) -> int:
        return len(self.listings)


class CallBoard:
    """Grows hour by hour; `live` is the same object until something changes."""

    def __init__(self, currency: str, history: CoinHistory, start_ms: int, size: MarketSize = DEFAULT_SIZE) -> None:
        """Begins LOOK_BACK_HOURS before the start, so that older listings are there too."""
        self._currency, self._history, self._size = currency, history, size
        self._sheets: dict[int, _Sheet] = {}
        self._sheet_of: dict[str, _Sheet] = {}  # by name, those included that are over
        self._over: list[_Sheet] = []  # expired, and remembered
        self._observed_ms = (start_ms // HOUR_MS - LOOK_BACK_HOURS) * HOUR_MS
        self._calendar: tuple[int, ...] = ()  # listed expiries, those included that wait for an index
        self._seen = NOTHING_SEEN  # of the spots that every sheet has seen
        self._live: ListedCalls | None = None

    @property
    def live(self) -> ListedCalls:
        """What could be traded at the last hour observed."""
        if self._live is None:
            self._live = _joined(
                self._currency, [self._sheets[expires_at_ms] for expires_at_ms in sorted(self._sheets)]
            )
        return self._live

    def find(self, name: str) -> Listing | None:
        """A listing, expired ones included while they are remembered."""
        sheet = self._sheet_of.get(name)
        return None if sheet is None else sheet.listing(name)

    def observe_until(self, at_ms: int) -> None:
        """Looks at every full hour since the last look; hours without an index list nothing new."""
        for hour_ms in range(self._observed_ms + HOUR_MS, at_ms + 1, HOUR_MS):
            self._observed_ms = hour_ms
            spot_usd = self._history.index.newest(hour_ms, OLDEST_HOUR_MS)
            if not self._calendar or hour_ms >= self._calendar[0]:  # it moves when its nearest expiry is over
                self._take_off_expired(hour_ms)
                self._calendar = listed_expiries(hour_ms, self._size)
            if spot_usd > 0.0:
                self._list_new(hour_ms, spot_usd)

    def _take_off_expired(self, at_ms: int) -> None:
        expired = sorted(expires_at_ms for expires_at_ms in self._sheets if expires_at_ms <= at_ms)
        for expires_at_ms in expired:
            self._over.append(self._sheets.pop(expires_at_ms))
        if expired:
            self._live = None
            self._forget_before(at_ms - REMEMBER_EXPIRED_MS)

    def _list_new(self, at_ms: int, spot_usd: float) -> None:
        """Most hours bring nothing: the calendar moves once a day, a strike comes with a new high or low."""
        new = [expires_at_ms for expires_at_ms in self._calendar if expires_at_ms not in self._sheets]
        for expires_at_ms in new:
            grid = StrikeGrid(expires_at_ms, at_ms, spot_usd, self._strikes_per_side(at_ms))
            self._sheets[expires_at_ms] = _Sheet(self._currency, expires_at_ms, grid)
        if new or not self._seen.holds(spot_usd):
            self._list_around(at_ms, spot_usd)

    def _list_around(self, at_ms: int, spot_usd: float) -> None:
        for sheet in self._sheets.values():
            new = sheet.list_around(spot_usd, at_ms)
            if new:
                self._sheet_of.update(dict.fromkeys(new, sheet))
                self._live = None
        lows, highs = zip(*(sheet.seen for sheet in self._sheets.values()), strict=True)
        self._seen = _Span(max(lows), min(highs))

    def _strikes_per_side(self, at_ms: int) -> int:
        dvol = self._history.dvol_now(at_ms)[0]
        wanted = round(self._size.strikes_per_side * dvol / USUAL_DVOL) if dvol > 0.0 else 0
        return max(self._size.strikes_per_side, min(wanted, MOST_STRIKES_PER_SIDE))

    def _forget_before(self, limit_ms: int) -> None:
        while self._over and self._over[0].expires_at_ms < limit_ms:
            for name in self._over.pop(0).calls.names:
                del self._sheet_of[name]


class _Span(NamedTuple):
    """From the lowest to the highest of some prices, USD."""

    low_usd: float
    high_usd: float

    def holds(self, spot_usd: float) -> bool:
        return self.low_usd <= spot_usd <= self.high_usd


NOTHING_SEEN = _Span(float("inf"), 0.0)


class _Calls(NamedTuple):
    """The calls of one expiry, strikes rising; `listed_at_ms`: since when."""

    names: tuple[str, ...]
    strikes_usd: FloatArray
    listed_at_ms: TimeArray


NO_CALLS = _Calls((), np.array([], dtype=np.float64), np.array([], dtype=np.int64))


class _Sheet:
    """One expiry: its grid, the calls listed so far, and where spot has been.

    Only a spot outside what it has seen can bring new strikes.
    """

    def __init__(self, currency: str, expires_at_ms: int, grid: StrikeGrid) -> None:
        self.expires_at_ms = expires_at_ms
        self.seen = NOTHING_SEEN
        self._currency, self._grid = currency, grid
        self._listed: dict[float, tuple[str, int]] = {}  # name and since when, by strike
        self._calls = NO_CALLS

    def list_around(self, spot_usd: float, at_ms: int) -> list[str]:
        """Names of calls that are new."""
        if self.seen.holds(spot_usd):
            return []
        self.seen = _Span(min(self.seen.low_usd, spot_usd), max(self.seen.high_usd, spot_usd))
        strikes_usd = [strike for strike in self._grid.strikes_beside(spot_usd) if strike not in self._listed]
        names = [option_name(self._currency, self.expires_at_ms, strike, is_call=True) for strike in strikes_usd]
        self._listed.update(zip(strikes_usd, [(name, at_ms) for name in names], strict=True))
        return names

    @property
    def calls(self) -> _Calls:
        """The same object until a strike is added."""
        if len(self._calls.names) != len(self._listed):
            strikes_usd = sorted(self._listed)
            names, listed_at_ms = zip(*map(self._listed.__getitem__, strikes_usd), strict=True)
            self._calls = _Calls(names, np.array(strikes_usd), np.array(listed_at_ms, dtype=np.int64))
        return self._calls

    def listing(self, name: str) -> Listing:
        """One of its calls."""
        row = self.calls.names.index(name)
        listed_at_ms = int(self.calls.listed_at_ms[row])
        era = tick_era(listed_at_ms)
        return Listing(
            name=name,
            currency=self._currency,
            strike_usd=float(self.calls.strikes_usd[row]),
            expires_at_ms=self.expires_at_ms,
            is_call=True,
            created_at_ms=listed_at_ms,
            settlement_period=settlement_period(self.expires_at_ms),
            min_trade_amount=MIN_TRADE_AMOUNT[self._currency],
            tick_size=era.fine,
            tick_steps=era.steps,
        )


def _joined(currency: str, sheets: Sequence[_Sheet]) -> ListedCalls:
    names, strikes_usd, listed_at_ms = zip(NO_CALLS, *(sheet.calls for sheet in sheets), strict=True)
    all_names, all_strikes_usd = tuple(chain.from_iterable(names)), np.concatenate(strikes_usd)
    expiries = Expiries(
        np.array([sheet.expires_at_ms for sheet in sheets], dtype=np.float64),
        np.repeat(np.arange(len(sheets)), np.array([len(sheet.calls.names) for sheet in sheets], dtype=np.int64)),
    )
    listings = ListingColumns(
        names=all_names,
        row_of=dict(zip(all_names, range(len(all_names)), strict=True)),
        terms=_terms(currency, all_strikes_usd, expiries.of_rows, np.concatenate(listed_at_ms)),
        make_row=lambda row: sheets[expiries.rows[row]].listing(all_names[row]),
    )
    return ListedCalls(listings, all_strikes_usd, expiries)


def _terms(currency: str, strikes_usd: FloatArray, expires_at_ms: FloatArray, listed_at_ms: TimeArray) -> Terms:
    """With the ticks of the time when each was listed."""
    count, ticks = len(strikes_usd), tick_columns(listed_at_ms)
    least_coin = np.full(count, MIN_TRADE_AMOUNT[currency])
    usual = usual_terms(np.ones(count, dtype=np.bool_), strikes_usd, expires_at_ms, least_coin)
    return replace(usual, tick_size_coin=ticks.fine, steps=((ticks.above, ticks.wide),))
