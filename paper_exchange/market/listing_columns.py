"""What a market lists of one coin as columns, and as a sequence of Listing whose rows are made when one is looked at.

In: names and terms (strikes in USD), and how to make one row. Out: both views of the same options, all of them live.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.chain import Terms
from core.columns import Bools, Floats, Integers
from paper_exchange.market.made_rows import MadeRows
from paper_exchange.market.market import TICK_SIZE, TICK_STEPS, Listing


@dataclass(frozen=True, eq=False)
class ListingColumns(MadeRows[Listing]):
    """`row_of` has the row of each name, `make_row` the listing of a row."""

    names: tuple[str, ...]
    row_of: Mapping[str, int]
    terms: Terms
    make_row: Callable[[int], Listing]

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def first_expiry_ms(self) -> int:
        """The earliest one; 0 where nothing is listed."""
        return int(self.terms.expiry.min().astype("datetime64[ms]").astype(np.int64)) if self.names else 0

    def without(self, names: Collection[str]) -> ListingColumns:
        """The other options."""
        if not names:
            return self
        rows = [row for row, name in enumerate(self.names) if name not in names]
        left = tuple([self.names[row] for row in rows])
        row_of = dict(zip(left, range(len(left)), strict=True))
        terms = self.terms.take(np.array(rows, dtype=np.int64))
        return ListingColumns(left, row_of, terms, lambda row: self.row(rows[row]))


def usual_terms(
    are_calls: Bools, strikes_usd: Floats, expires_at_ms: Floats | Integers, least_amounts_coin: Floats
) -> Terms:
    """Of options with Deribit's usual ticks; all of them are open, and for one coin a contract."""
    count = len(strikes_usd)
    is_so = np.ones(count, dtype=np.bool_)
    return Terms(
        is_listed=is_so,
        is_call=are_calls,
        is_tradable=is_so,
        strike_usd=strikes_usd,
        expiry=expires_at_ms.astype("datetime64[ms]").astype("datetime64[us]"),
        min_trade_amount_coin=least_amounts_coin,
        tick_size_coin=np.full(count, TICK_SIZE),
        steps=tuple([(np.full(count, above_coin), np.full(count, tick_coin)) for above_coin, tick_coin in TICK_STEPS]),
    )
