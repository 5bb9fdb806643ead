"""The quotes of a whole chain as columns, and as a sequence of Quote whose rows are made when one is looked at.

In: columns (coin, USD, fractions; NaN where nobody shows a side), and how to make one row. Out: both views of the same
quotes. An iteration reads the columns of five hundred options and the rows of two or three. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.chain import Quotes
from core.columns import Times, above_zero
from paper_exchange.market.made_rows import MadeRows
from paper_exchange.market.market import Mark, Quote


@dataclass(frozen=True, eq=False)
class QuoteColumns(MadeRows[Quote]):
    """`row_of` has the row of each name, `make_row` the quote of a row."""

    columns: Quotes
    row_of: Mapping[str, int]
    make_row: Callable[[int], Quote]

    def __len__(self) -> int:
        return len(self.columns)

    def find(self, name: str) -> Quote | None:
        """The quote of one option, None where the chain does not show it."""
        row = self.row_of.get(name)
        return None if row is None else self.row(row)

    def find_mark(self, name: str) -> Mark | None:
        """The mark of one option, None where the chain does not show it."""
        row, shown = self.row_of.get(name), self.columns
        if row is None:
            return None
        figures = shown.mark_price_coin[row], shown.mark_iv_fraction[row], shown.underlying_price_usd[row]
        return Mark(*map(float, figures))

    def without(self, names: Collection[str]) -> QuoteColumns:
        """The other options."""
        if not names:
            return self
        left = self.columns.without(names)
        rows = [self.row_of[name] for name in left.symbols]
        row_of = {name: row for row, name in enumerate(left.symbols)}
        return QuoteColumns(left, row_of, lambda row: self.row(rows[row]))


def columns_of(shown: Sequence[Quote]) -> Quotes:
    """The columns of any quotes: their own, or put together row by row."""
    if isinstance(shown, QuoteColumns):
        return shown.columns
    return Quotes(
        symbols=tuple(quote.name for quote in shown),
        bid_price_coin=above_zero(np.array([quote.bid_coin for quote in shown], dtype=np.float64)),
        ask_price_coin=above_zero(np.array([quote.ask_coin for quote in shown], dtype=np.float64)),
        mark_price_coin=np.array([quote.mark_coin for quote in shown], dtype=np.float64),
        mark_iv_fraction=np.array([quote.mark_iv_fraction for quote in shown], dtype=np.float64),
        underlying_price_usd=np.array([quote.underlying_price_usd for quote in shown], dtype=np.float64),
        quoted_at=np.array([quote.timestamp_ms for quote in shown], dtype="datetime64[ms]").astype("datetime64[us]"),
    )


def all_quoted_at(at_ms: int, count: int) -> Times:
    """The column of times of a chain that was made at one moment."""
    return np.full(count, np.datetime64(at_ms, "ms").astype("datetime64[us]"))
