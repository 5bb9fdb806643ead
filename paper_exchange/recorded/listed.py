"""What recorded snapshots list, as columns: of an option its name says all.

In: the names of one coin's options, snapshot after snapshot. Out: ListingColumns with Deribit's usual ticks and steps
(strikes in USD, times in ms). A name is parsed once; listing times are not recorded, one stands for all. Pure.
"""

from __future__ import annotations

from itertools import filterfalse

import numpy as np

from core.columns import Floats
from paper_exchange.market.expiries import settlement_period
from paper_exchange.market.listing_columns import ListingColumns, usual_terms
from paper_exchange.market.market import MIN_TRADE_AMOUNT, Listing
from paper_exchange.market.names import OptionParts, parse_option_name


class ListedNames:
    """The options of one coin that were shown so far. `listed_at_ms` stands for their listing times."""

    def __init__(self, listed_at_ms: int) -> None:
        self._listed_at_ms = listed_at_ms
        self._place_of: dict[str, int] = {}
        self._parts: list[OptionParts] = []
        self._table: Floats = np.empty((4, 0))  # whether it is a call, strike, expiry, least amount: a column a name
        self._last = self._columns(())

    def listings(self, names: tuple[str, ...]) -> ListingColumns:
        """Those of one snapshot, names of this coin's options; one after the other often shows the same."""
        if names != self._last.names:
            self._learn([*filterfalse(self._place_of.__contains__, names)])
            self._last = self._columns(names)
        return self._last

    def _learn(self, names: list[str]) -> None:
        parts = [*filter(None, map(parse_option_name, names))]
        self._place_of.update(zip(names, range(len(self._parts), len(self._parts) + len(parts)), strict=True))
        self._parts += parts
        new = [(one.is_call, one.strike_usd, one.expires_at_ms, MIN_TRADE_AMOUNT[one.currency]) for one in parts]
        self._table = np.concatenate((self._table, np.array(new, dtype=np.float64).reshape(-1, 4).T), axis=1)

    def _columns(self, names: tuple[str, ...]) -> ListingColumns:
        parts, listed_at_ms = self._parts, self._listed_at_ms
        places = np.fromiter(map(self._place_of.__getitem__, names), dtype=np.int64, count=len(names))
        are_calls, *terms = self._table[:, places]
        return ListingColumns(
            names=names,
            row_of=dict(zip(names, range(len(names)), strict=True)),
            terms=usual_terms(are_calls > 0.0, *terms),
            make_row=lambda row: _listing(names[row], parts[places[row]], listed_at_ms),
        )


def listing_of(name: str, listed_at_ms: int) -> Listing | None:
    """A listing from a name alone, with Deribit's usual ticks and steps; None for what is no inverse option."""
    parts = parse_option_name(name)
    return None if parts is None else _listing(name, parts, listed_at_ms)


def _listing(name: str, parts: OptionParts, listed_at_ms: int) -> Listing:
    return Listing(
        name=name,
        currency=parts.currency,
        strike_usd=parts.strike_usd,
        expires_at_ms=parts.expires_at_ms,
        is_call=parts.is_call,
        created_at_ms=listed_at_ms,
        settlement_period=settlement_period(parts.expires_at_ms),
        min_trade_amount=MIN_TRADE_AMOUNT[parts.currency],
    )
