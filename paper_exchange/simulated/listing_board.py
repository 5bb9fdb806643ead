"""What is listed on the simulated market, hour by hour, for one coin.

In: the hour and spot in USD, in order, none left out. Out: listings, sorted by expiry, strike, call before put. A
strike once listed stays until it expires; spot moving adds strikes. Expired listings are remembered for a while.
No clock of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from paper_exchange.market.clocks import HOUR_MS
from paper_exchange.market.expiries import MarketSize, StrikeGrid, listed_expiries, settlement_period
from paper_exchange.market.market import MIN_TRADE_AMOUNT, Listing
from paper_exchange.market.names import option_name


@dataclass(frozen=True, eq=False)
class ExpirySheet:
    """What is listed of one expiry: strikes rising; two listings a strike, call before put."""

    expires_at_ms: int
    strikes_usd: tuple[float, ...]
    listings: tuple[Listing, ...]
    names: tuple[str, ...]


class ListingBoard:
    """Grows by `observe`; `live` is the same tuple until something changes."""

    def __init__(self, currency: str, size: MarketSize) -> None:
        self._currency = currency
        self._size = size
        self._expiries: dict[int, _Expiry] = {}
        self._by_name: dict[str, Listing] = {}
        self._names: dict[int, list[str]] = {}  # of _by_name, by expiry
        self._live: tuple[ExpirySheet, ...] | None = None
        self._quiet_until_ms, self._quiet_usd = 0, (0.0, 0.0)  # while so, an hour changes nothing

    @property
    def live(self) -> tuple[ExpirySheet, ...]:
        """What could be traded at the last hour observed, the earliest expiry first."""
        if self._live is None:
            self._live = tuple([self._expiries[expires_at_ms].sheet for expires_at_ms in sorted(self._expiries)])
        return self._live

    def observe(self, hour_number: int, spot_usd: float) -> None:
        """Lists what is new at this hour and takes off what has expired."""
        at_ms = hour_number * HOUR_MS
        if at_ms < self._quiet_until_ms and self._quiet_usd[0] <= spot_usd <= self._quiet_usd[1]:
            return
        expired = [expires_at_ms for expires_at_ms in self._expiries if expires_at_ms <= at_ms]
        for expires_at_ms in expired:
            del self._expiries[expires_at_ms]
        for expires_at_ms in listed_expiries(at_ms, self._size):
            if expires_at_ms not in self._expiries:
                grid = StrikeGrid(expires_at_ms, at_ms, spot_usd, self._size.strikes_per_side)
                self._expiries[expires_at_ms] = _Expiry(self._currency, expires_at_ms, grid)
        added = [self._remember(expiry.observe(at_ms, spot_usd)) for expiry in self._expiries.values()]
        if expired or any(added):
            self._live = None
        expiries = self._expiries.values()
        self._quiet_until_ms = min(self._expiries)  # until then no other expiry is listed: the nearest one always is
        self._quiet_usd = max(one.low_usd for one in expiries), min(one.high_usd for one in expiries)

    def find(self, name: str) -> Listing | None:
        """A listing, expired ones included while they are remembered."""
        return self._by_name.get(name)

    def forget_expired_before(self, hour_number: int) -> None:
        """Lets go of listings that expired before this hour."""
        limit_ms = hour_number * HOUR_MS
        for expires_at_ms in [expiry for expiry in self._names if expiry < limit_ms]:
            for name in self._names.pop(expires_at_ms):
                del self._by_name[name]

    def _remember(self, listings: Iterable[Listing]) -> bool:
        """Whether there is any."""
        is_any = False
        for listing in listings:
            is_any = True
            self._by_name[listing.name] = listing
            self._names.setdefault(listing.expires_at_ms, []).append(listing.name)
        return is_any


class _Expiry:
    """One expiry: its grid, what is listed so far, and the span of spot that it was listed for."""

    def __init__(self, currency: str, expires_at_ms: int, grid: StrikeGrid) -> None:
        self._currency, self._expires_at_ms, self._grid = currency, expires_at_ms, grid
        self._around: tuple[float, ...] = ()  # what was listed around the spot that came last
        self._pairs: dict[float, tuple[Listing, Listing]] = {}  # call and put by strike
        self.low_usd = float("inf")
        self.high_usd = 0.0
        self.sheet = ExpirySheet(expires_at_ms, (), (), ())

    def observe(self, at_ms: int, spot_usd: float) -> list[Listing]:
        """What is added; only a new high or low of spot can bring anything."""
        if self.low_usd <= spot_usd <= self.high_usd:
            return []
        self.low_usd = min(self.low_usd, spot_usd)
        self.high_usd = max(self.high_usd, spot_usd)
        before, self._around = self._around, self._grid.strikes(spot_usd)
        new = [] if self._around is before else [strike for strike in self._around if strike not in self._pairs]
        if not new:
            return []
        for strike_usd in new:
            self._pairs[strike_usd] = self._listing(at_ms, strike_usd, True), self._listing(at_ms, strike_usd, False)
        strikes_usd = tuple(sorted(self._pairs))
        listings = tuple([listing for strike_usd in strikes_usd for listing in self._pairs[strike_usd]])
        self.sheet = ExpirySheet(self._expires_at_ms, strikes_usd, listings, tuple([one.name for one in listings]))
        return [listing for strike_usd in new for listing in self._pairs[strike_usd]]

    def _listing(self, at_ms: int, strike_usd: float, is_call: bool) -> Listing:
        return Listing(
            name=option_name(self._currency, self._expires_at_ms, strike_usd, is_call),
            currency=self._currency,
            strike_usd=strike_usd,
            expires_at_ms=self._expires_at_ms,
            is_call=is_call,
            created_at_ms=at_ms,
            settlement_period=settlement_period(self._expires_at_ms),
            min_trade_amount=MIN_TRADE_AMOUNT[self._currency],
        )
