"""What a market lists of one coin as columns, and as a sequence of Listing whose rows are made when one is looked at.

In: names and terms (strikes in USD), and how to make one row. Out: both views of the same options, all of them live.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.chain import Terms
from paper_exchange.market.made_rows import MadeRows
from paper_exchange.market.market import Listing


@dataclass(frozen=True, eq=False)
class ListingColumns(MadeRows[Listing]):
    """`row_of` has the row of each name, `make_row` the listing of a row."""

    names: tuple[str, ...]
    row_of: Mapping[str, int]
    terms: Terms
    make_row: Callable[[int], Listing]

    def __len__(self) -> int:
        return len(self.names)
