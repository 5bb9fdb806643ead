"""What is listed on the simulated market, hour by hour, for one coin.

In: the hour and spot in USD, in order, none left out. Out: listings, sorted by expiry, strike, call before put. A
strike once listed stays until it expires; spot moving adds strikes. Expired listings are remembered for a while.
No clock of its own.
"""

from __future__ import annotations

from paper_exchange.market.clocks import HOUR_MS
from paper_exchange.market.expiries import MarketSize, StrikeGrid, listed_expiries, settlement_period
from paper_exchange.market.market import MIN_TRADE_AMOUNT, Listing
from paper_exchange.market.names import option_name

_Place = tuple[int, float, bool]


class ListingBoard:
    """Grows by `observe`; `live` is the same tuple until something changes."""

    def __init__(self, currency: str, size: MarketSize) -> None:
        self._currency = currency
        self._size = size
        self._sheets: dict[int, _Sheet] = {}
        self._by_name: dict[str, Listing] = {}
        self._names: dict[int, list[str]] = {}  # of _by_name, by expiry
        self._in_order: list[tuple[_Place, Listing]] = []
        self._observed_ms = 0
        self._live: tuple[Listing, ...] | None = None
        self._quiet_until_ms, self._quiet_usd = 0, (0.0, 0.0)  # while so, an hour changes nothing

    @property
    def live(self) -> tuple[Listing, ...]:
        """What could be traded at the last hour observed."""
        if self._live is None:
            self._in_order = [place for place in self._in_order if place[1].expires_at_ms > self._observed_ms]
            self._in_order.sort()  # nearly in order already: what is new stands at the end
            self._live = tuple([listing for _, listing in self._in_order])
        return self._live

    def observe(self, hour_number: int, spot_usd: float) -> None:
        """Lists what is new at this hour and takes off what has expired."""
        at_ms = self._observed_ms = hour_number * HOUR_MS
        if at_ms < self._quiet_until_ms and self._quiet_usd[0] <= spot_usd <= self._quiet_usd[1]:
            return
        expired = [expires_at_ms for expires_at_ms in self._sheets if expires_at_ms <= at_ms]
        for expires_at_ms in expired:
            del self._sheets[expires_at_ms]
        added = [self._list_strikes(expiry, at_ms, spot_usd) for expiry in self._expiries(at_ms)]
        if expired or any(added):
            self._live = None
        sheets = self._sheets.values()
        self._quiet_until_ms = min(self._sheets)  # until then no other expiry is listed: the nearest one always is
        self._quiet_usd = max(sheet.low_usd for sheet in sheets), min(sheet.high_usd for sheet in sheets)

    def find(self, name: str) -> Listing | None:
        """A listing, expired ones included while they are remembered."""
        return self._by_name.get(name)

    def forget_expired_before(self, hour_number: int) -> None:
        """Lets go of listings that expired before this hour."""
        limit_ms = hour_number * HOUR_MS
        for expires_at_ms in [expiry for expiry in self._names if expiry < limit_ms]:
            for name in self._names.pop(expires_at_ms):
                del self._by_name[name]

    def _expiries(self, at_ms: int) -> list[int]:
        return sorted({*self._sheets, *listed_expiries(at_ms, self._size)})

    def _list_strikes(self, expires_at_ms: int, at_ms: int, spot_usd: float) -> bool:
        sheet = self._sheets.get(expires_at_ms)
        if sheet is None:
            sheet = _Sheet(StrikeGrid(expires_at_ms, at_ms, spot_usd, self._size.strikes_per_side))
            self._sheets[expires_at_ms] = sheet
        new_strikes = sheet.new_strikes(spot_usd)
        for strike_usd in new_strikes:
            for is_call in (True, False):
                listing = self._listing(expires_at_ms, at_ms, strike_usd, is_call)
                self._by_name[listing.name] = listing
                self._in_order.append((_place(listing), listing))
                self._names.setdefault(expires_at_ms, []).append(listing.name)
        return len(new_strikes) > 0

    def _listing(self, expires_at_ms: int, at_ms: int, strike_usd: float, is_call: bool) -> Listing:
        return Listing(
            name=option_name(self._currency, expires_at_ms, strike_usd, is_call),
            currency=self._currency,
            strike_usd=strike_usd,
            expires_at_ms=expires_at_ms,
            is_call=is_call,
            created_at_ms=at_ms,
            settlement_period=settlement_period(expires_at_ms),
            min_trade_amount=MIN_TRADE_AMOUNT[self._currency],
        )


class _Sheet:
    """One expiry: its grid, the strikes listed so far, and the span of spot that they were listed for."""

    def __init__(self, grid: StrikeGrid) -> None:
        self._grid = grid
        self._listed: set[float] = set()
        self.low_usd = float("inf")
        self.high_usd = 0.0

    def new_strikes(self, spot_usd: float) -> list[float]:
        """Strikes to add; only a new high or low of spot can bring any."""
        if self.low_usd <= spot_usd <= self.high_usd:
            return []
        self.low_usd = min(self.low_usd, spot_usd)
        self.high_usd = max(self.high_usd, spot_usd)
        added = [strike for strike in self._grid.strikes(spot_usd) if strike not in self._listed]
        self._listed.update(added)
        return added


def _place(listing: Listing) -> _Place:
    """Where a listing stands in the chain; no two share a place."""
    return listing.expires_at_ms, listing.strike_usd, not listing.is_call
