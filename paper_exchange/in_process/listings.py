"""What a market lists, as the agent's own list of instruments, made anew only where something has changed.

In: a market, a coin. Out: core.chain's Listing, the same object while the same options are listed. A market that has
its listings as columns hands them on, and an instrument is made where one is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from core.chain import NOTHING_LISTED, Listing, listing_of
from models import OptionInstrument
from paper_exchange.in_process.readings import instrument_of
from paper_exchange.market import lookup
from paper_exchange.market.clocks import now_ms
from paper_exchange.market.listing_columns import ListingColumns
from paper_exchange.market.market import Market


class ListingMemory:
    """What one client has been shown last, by coin."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._last: dict[str, Listing] = {}

    def listing(self, currency: str) -> Listing:
        """All that is live now."""
        listed, before = self._market.listings(currency), self._last.get(currency, NOTHING_LISTED)
        if isinstance(listed, ListingColumns):
            found = before if listed.names is before.symbols else _shown(listed)
        else:
            found = listing_of(self._row_by_row(currency, before), before)
        self._last[currency] = found
        return found

    def _row_by_row(self, currency: str, before: Listing) -> dict[str, OptionInstrument]:
        live, at_ms, known = lookup.live_listings(self._market, currency), now_ms(self._market.clock), before.by_symbol
        return {one.name: known.get(one.name) or instrument_of(one, at_ms) for one in live}


def _shown(listed: ListingColumns) -> Listing:
    return Listing(listed.names, listed.row_of, _Instruments(listed), listed.terms)


class _Instruments(Mapping[str, OptionInstrument]):
    """By symbol; each is made once."""

    def __init__(self, listed: ListingColumns) -> None:
        self._listed = listed
        self._made: dict[str, OptionInstrument] = {}

    def __getitem__(self, symbol: str) -> OptionInstrument:
        if symbol not in self._made:
            listing = self._listed[self._listed.row_of[symbol]]
            self._made[symbol] = instrument_of(listing, listing.created_at_ms)  # all of them are live
        return self._made[symbol]

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._listed.row_of

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed.names)

    def __len__(self) -> int:
        return len(self._listed)
