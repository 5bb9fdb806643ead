"""What is listed on the simulated market, hour by hour, for one coin.

In: the hour and spot in USD, in order, none left out. Out: a sheet an expiry, the earliest first; of one option its
Listing. A strike once listed stays until it expires; spot moving adds strikes. Expired sheets are remembered for a
while. No clock of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np

from paper_exchange.market.clocks import HOUR_MS
from paper_exchange.market.expiries import MarketSize, StrikeGrid, listed_expiries, settlement_period
from paper_exchange.market.market import MIN_TRADE_AMOUNT, Listing
from paper_exchange.market.names import option_names
from paper_exchange.simulated.process import FloatArray


@dataclass(frozen=True, eq=False)
class ExpirySheet:
    """What is listed of one expiry: strikes rising; two names a strike, call before put.

    `listed_at_ms` says of each strike since when.
    """

    currency: str
    expires_at_ms: int
    strikes_usd: FloatArray
    names: tuple[str, ...]
    listed_at_ms: Mapping[float, int]

    def listing(self, name: str) -> Listing:
        """One of `names`."""
        place = self.names.index(name)
        strike_usd = float(self.strikes_usd[place // 2])
        return Listing(
            name=name,
            currency=self.currency,
            strike_usd=strike_usd,
            expires_at_ms=self.expires_at_ms,
            is_call=place % 2 == 0,
            created_at_ms=self.listed_at_ms[strike_usd],
            settlement_period=settlement_period(self.expires_at_ms),
            min_trade_amount=MIN_TRADE_AMOUNT[self.currency],
        )


class ListingBoard:
    """Grows by `observe`."""

    def __init__(self, currency: str, size: MarketSize) -> None:
        self._currency = currency
        self._size = size
        self._expiries: dict[int, _Expiry] = {}  # by their time, the earliest first
        self._over: list[ExpirySheet] = []  # expired, and remembered
        self._live: tuple[ExpirySheet, ...] | None = None
        self._quiet_until_ms, self._quiet_usd = 0, (0.0, 0.0)  # while so, an hour changes nothing

    @property
    def live(self) -> tuple[ExpirySheet, ...]:
        """What could be traded at the last hour observed, the earliest expiry first; made where somebody looks."""
        if self._live is None:
            self._live = tuple([expiry.sheet for expiry in self._expiries.values()])
        return self._live

    def observe(self, hour_number: int, spot_usd: float) -> None:
        """Lists what is new at this hour and takes off what has expired."""
        at_ms = hour_number * HOUR_MS
        if at_ms >= self._quiet_until_ms:
            self._turn(at_ms, spot_usd)
        elif self._quiet_usd[0] <= spot_usd <= self._quiet_usd[1]:
            return
        expiries = self._expiries.values()
        for expiry in expiries:
            expiry.observe(at_ms, spot_usd)
        self._live = None
        self._quiet_usd = max(one.low_usd for one in expiries), min(one.high_usd for one in expiries)

    def _turn(self, at_ms: int, spot_usd: float) -> None:
        """Goes on to the expiries listed now; until the nearest one comes, no other is: there always is a nearest."""
        expired = [expires_at_ms for expires_at_ms in self._expiries if expires_at_ms <= at_ms]
        self._over += [self._expiries.pop(expires_at_ms).sheet for expires_at_ms in expired]
        for expires_at_ms in listed_expiries(at_ms, self._size):
            if expires_at_ms not in self._expiries:
                grid = StrikeGrid(expires_at_ms, at_ms, spot_usd, self._size.strikes_per_side)
                self._expiries[expires_at_ms] = _Expiry(self._currency, expires_at_ms, grid)
        self._expiries = dict(sorted(self._expiries.items()))
        self._quiet_until_ms = next(iter(self._expiries))

    def find(self, name: str) -> Listing | None:
        """A listing, expired ones included while they are remembered."""
        return next((sheet.listing(name) for sheet in (*self.live, *self._over) if name in sheet.names), None)

    def forget_expired_before(self, hour_number: int) -> None:
        """Lets go of listings that expired before this hour."""
        while self._over and self._over[0].expires_at_ms < hour_number * HOUR_MS:
            del self._over[0]


class _Expiry:
    """One expiry: its grid, what is listed so far, and the span of spot that it was listed for."""

    def __init__(self, currency: str, expires_at_ms: int, grid: StrikeGrid) -> None:
        self._currency, self._expires_at_ms, self._grid = currency, expires_at_ms, grid
        self._listed_at_ms: dict[float, int] = {}  # by strike
        self._names: dict[float, tuple[str, str]] = {}  # of call and put by strike
        self._sheet: ExpirySheet | None = None
        self.low_usd = float("inf")
        self.high_usd = 0.0

    @property
    def sheet(self) -> ExpirySheet:
        """The same until a strike is added."""
        if self._sheet is None:
            strikes_usd = sorted(self._names)
            names = tuple(chain.from_iterable(map(self._names.__getitem__, strikes_usd)))
            listed_at_ms = self._listed_at_ms
            self._sheet = ExpirySheet(self._currency, self._expires_at_ms, np.array(strikes_usd), names, listed_at_ms)
        return self._sheet

    def observe(self, at_ms: int, spot_usd: float) -> None:
        """Only a new high or low of spot can add anything."""
        if self.low_usd <= spot_usd <= self.high_usd:
            return
        self.low_usd = min(self.low_usd, spot_usd)
        self.high_usd = max(self.high_usd, spot_usd)
        for strike_usd in self._grid.strikes_beside(spot_usd):
            if strike_usd not in self._names:
                self._names[strike_usd] = option_names(self._currency, self._expires_at_ms, strike_usd)
                self._listed_at_ms[strike_usd] = at_ms
                self._sheet = None
