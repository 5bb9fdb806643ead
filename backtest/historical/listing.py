"""What was listed, hour by hour: Deribit's expiry calendar and a strike grid around the spot of that day.

In: the coin's history (index and DVOL as known at each hour). Out: calls as columns, by expiry and strike; a strike
once listed stays until it expires. Puts are left out: nobody here trades them, and they would double the work. The grid
reaches further in volatile times: 2021 listed strikes that 2026 does not. No clock of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np

from backtest.surface.conditions import OLDEST_HOUR_MS, CoinHistory
from backtest.surface.known import FloatArray
from backtest.surface.spread import TickEra, tick_era
from paper_exchange.market.clocks import HOUR_MS
from paper_exchange.market.expiries import DEFAULT_SIZE, MarketSize, StrikeGrid, listed_expiries, settlement_period
from paper_exchange.market.market import MIN_TRADE_AMOUNT, Listing
from paper_exchange.market.names import option_name

USUAL_DVOL = 0.45  # the grids of expiries.py were measured at this volatility
MOST_STRIKES_PER_SIDE = 30
LOOK_BACK_HOURS = 60 * 24  # what was listed earlier has expired, or has been listed again as spot moved
REMEMBER_EXPIRED_MS = 10 * 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class ListedCalls:
    """All calls of one coin that could be traded at an hour, one entry a call."""

    listings: tuple[Listing, ...]
    strikes_usd: FloatArray
    expires_at_ms: FloatArray
    names: tuple[str, ...]
    row_by_name: dict[str, int]

    def __len__(self) -> int:
        return len(self.listings)


class CallBoard:
    """Grows hour by hour; `live` is the same object until something changes."""

    def __init__(self, currency: str, history: CoinHistory, start_ms: int, size: MarketSize = DEFAULT_SIZE) -> None:
        """Begins LOOK_BACK_HOURS before the start, so that older listings are there too."""
        self._currency, self._history, self._size = currency, history, size
        self._sheets: dict[int, _Sheet] = {}
        self._known: dict[str, Listing] = {}
        self._over: list[_Sheet] = []  # expired, and remembered
        self._observed_ms = (start_ms // HOUR_MS - LOOK_BACK_HOURS) * HOUR_MS
        self._calendar: tuple[int, ...] = ()  # listed expiries, those included that wait for an index
        self._seen = NOTHING_SEEN  # of the spots that every sheet has seen
        self._live: ListedCalls | None = None

    @property
    def live(self) -> ListedCalls:
        """What could be traded at the last hour observed."""
        if self._live is None:
            self._live = _joined([self._sheets[expires_at_ms].calls for expires_at_ms in sorted(self._sheets)])
        return self._live

    def find(self, name: str) -> Listing | None:
        """A listing, expired ones included while they are remembered."""
        return self._known.get(name)

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
            self._sheets[expires_at_ms] = _Sheet(expires_at_ms, at_ms, spot_usd, self._strikes_per_side(at_ms))
        if new or not self._seen.holds(spot_usd):
            self._list_around(at_ms, spot_usd)

    def _list_around(self, at_ms: int, spot_usd: float) -> None:
        era = tick_era(at_ms)
        for expires_at_ms, sheet in self._sheets.items():
            low_usd, high_usd = sheet.seen
            if low_usd <= spot_usd <= high_usd:
                continue
            for strike_usd in sheet.new_strikes(spot_usd):
                listing = self._listing(expires_at_ms, strike_usd, at_ms, era)
                sheet.listed[strike_usd] = self._known[listing.name] = listing
                self._live = None
        lows, highs = zip(*(sheet.seen for sheet in self._sheets.values()), strict=True)
        self._seen = _Span(max(lows), min(highs))

    def _strikes_per_side(self, at_ms: int) -> int:
        dvol = self._history.dvol_now(at_ms)[0]
        wanted = round(self._size.strikes_per_side * dvol / USUAL_DVOL) if dvol > 0.0 else 0
        return max(self._size.strikes_per_side, min(wanted, MOST_STRIKES_PER_SIDE))

    def _listing(self, expires_at_ms: int, strike_usd: float, at_ms: int, era: TickEra) -> Listing:
        return Listing(
            name=option_name(self._currency, expires_at_ms, strike_usd, is_call=True),
            currency=self._currency,
            strike_usd=strike_usd,
            expires_at_ms=expires_at_ms,
            is_call=True,
            created_at_ms=at_ms,
            settlement_period=settlement_period(expires_at_ms),
            min_trade_amount=MIN_TRADE_AMOUNT[self._currency],
            tick_size=era.fine,
            tick_steps=era.steps,
        )

    def _forget_before(self, limit_ms: int) -> None:
        while self._over and self._over[0].expires_at_ms < limit_ms:
            for listing in self._over.pop(0).listed.values():
                del self._known[listing.name]


class _Span(NamedTuple):
    """From the lowest to the highest of some prices, USD."""

    low_usd: float
    high_usd: float

    def holds(self, spot_usd: float) -> bool:
        return self.low_usd <= spot_usd <= self.high_usd


NOTHING_SEEN = _Span(float("inf"), 0.0)


class _Sheet:
    """One expiry: its grid, the strikes listed so far, and where spot has been.

    Only a spot outside what it has seen can bring new strikes.
    """

    def __init__(self, expires_at_ms: int, listed_at_ms: int, spot_usd: float, strikes_per_side: int) -> None:
        self.expires_at_ms = expires_at_ms
        self.listed: dict[float, Listing] = {}
        self._calls: _Calls = _calls_of([])
        self._grid = StrikeGrid(expires_at_ms, listed_at_ms, spot_usd, strikes_per_side)
        self.seen = NOTHING_SEEN

    def new_strikes(self, spot_usd: float) -> list[float]:
        """Strikes to add around this spot."""
        self.seen = _Span(min(self.seen.low_usd, spot_usd), max(self.seen.high_usd, spot_usd))
        return [strike for strike in self._grid.strikes_beside(spot_usd) if strike not in self.listed]

    @property
    def calls(self) -> _Calls:
        """By strike; the same object until a strike is added."""
        if len(self._calls.listings) != len(self.listed):
            self._calls = _calls_of([self.listed[strike_usd] for strike_usd in sorted(self.listed)])
        return self._calls


class _Calls(NamedTuple):
    """The calls of one expiry, as they stand in the columns of all."""

    listings: tuple[Listing, ...]
    names: tuple[str, ...]
    strikes_usd: FloatArray
    expires_at_ms: FloatArray


def _calls_of(listings: Sequence[Listing]) -> _Calls:
    return _Calls(
        tuple(listings),
        tuple([listing.name for listing in listings]),
        np.array([listing.strike_usd for listing in listings], dtype=np.float64),
        np.array([listing.expires_at_ms for listing in listings], dtype=np.float64),
    )


def _joined(expiries: Sequence[_Calls]) -> ListedCalls:
    listings, names, strikes_usd, expires_at_ms = zip(_calls_of([]), *expiries, strict=True)
    all_names = tuple(chain.from_iterable(names))
    return ListedCalls(
        listings=tuple(chain.from_iterable(listings)),
        strikes_usd=np.concatenate(strikes_usd),
        expires_at_ms=np.concatenate(expires_at_ms),
        names=all_names,
        row_by_name=dict(zip(all_names, range(len(all_names)), strict=True)),
    )
