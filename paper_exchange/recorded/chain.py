"""One recorded snapshot as columns, and as quotes beside what it lists.

In: a parsed line of a recording (rows of public/get_book_summary_by_currency; premiums in coin, volatility in
percent). Out: SnapshotColumns, which can be kept on disk (columns_file.py); from them, and what their names list
(listed.py), a RecordedChain (fractions, ms). An empty side is null or 0 in the file and NaN here; sizes are not
recorded. Rows that are not plain inverse options, or have no mark, are skipped. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, compress
from operator import itemgetter
from typing import Any

import numpy as np

from core.chain import Quotes, number_or_none
from core.columns import Floats, above_zero
from paper_exchange.market.listing_columns import ListingColumns
from paper_exchange.market.market import Quote
from paper_exchange.market.names import expiry_code, parse_option_name
from paper_exchange.market.quote_columns import QuoteColumns, all_quoted_at
from paper_exchange.recorded.files import RecordHead, are_numbers, row_number

Row = dict[str, Any]
MARK_FIELDS = ("mark_price", "mark_iv", "underlying_price")
FIELDS = ("bid_price", "ask_price", *MARK_FIELDS, "last", "open_interest", "volume")


@dataclass(frozen=True, slots=True, eq=False)
class SnapshotColumns:
    """The options of one line: `figures` has a row for each of FIELDS, NaN where it is missing or not finite.

    `underlying_indexes`: the name of each option's forward, empty where the line does not say.
    """

    names: tuple[str, ...]
    figures: Floats
    underlying_indexes: Sequence[str]


@dataclass(frozen=True, slots=True)
class RecordedChain:
    """All options of one coin at one recorded moment."""

    listings: ListingColumns
    quotes: QuoteColumns

    def listings_after(self, at_ms: int) -> ListingColumns:
        """Those that expire later."""
        return self.listings.without(self._over(at_ms))

    def quotes_after(self, at_ms: int) -> QuoteColumns:
        """Those of options that expire later."""
        return self.quotes.without(self._over(at_ms))

    def _over(self, at_ms: int) -> set[str]:
        if self.listings.first_expiry_ms > at_ms:
            return set()
        return {*compress(self.listings.names, self.listings.terms.expiry <= np.datetime64(at_ms, "ms"))}


def snapshot_columns(record: Row, head: RecordHead) -> SnapshotColumns:
    """One line as columns; of several rows of one name the last counts."""
    rows = record["book_summaries"]
    columns = _columns(rows)
    are_usual = _are_one_coins(tuple(map(str, columns[0])), head.currency)
    if not are_usual:
        rows = [row for row in rows if _coin_of(str(row.get("instrument_name"))) == head.currency]
        columns = _columns(rows)
    names, underlyings, *values = columns
    figures = _figures(values, rows, head)
    texts = [str(text or "") for text in underlyings]
    is_marked = np.isfinite(figures[[FIELDS.index(field) for field in MARK_FIELDS]]).all(axis=0)
    if are_usual and is_marked.all():
        return SnapshotColumns(tuple(names), figures, texts)
    shown = [*{names[row]: row for row in np.flatnonzero(is_marked).tolist()}.values()]
    return SnapshotColumns(
        names=tuple([names[row] for row in shown]),
        figures=figures[:, np.array(shown, dtype=np.int64)],
        underlying_indexes=[texts[row] for row in shown],
    )


@lru_cache(maxsize=8)
def _are_one_coins(names: tuple[str, ...], currency: str) -> bool:
    """Whether these are all options of this coin, and each is there once: nearly always."""
    return len({*names}) == len(names) and {*map(_coin_of, names)} <= {currency}


@lru_cache(maxsize=8192)
def _coin_of(name: str) -> str | None:
    """None for what is no plain inverse option."""
    parts = parse_option_name(name)
    return None if parts is None else parts.currency


def _columns(rows: Sequence[Row]) -> list[Sequence[Any]]:
    """Names, underlying indexes and FIELDS as they stand there, None for what is left out somewhere."""
    wanted = ("instrument_name", "underlying_index", *FIELDS)
    everywhere = [field for field in wanted if rows and field in rows[0]]
    found: dict[str, Sequence[Any]] = {}
    if len(everywhere) > 1:  # of a single one itemgetter makes no tuples
        with suppress(KeyError):  # a row lacks what the first one has
            found = dict(zip(everywhere, zip(*map(itemgetter(*everywhere), rows), strict=True), strict=True))
    return [found.get(field) or [row.get(field) for row in rows] for field in wanted]


def _figures(values: Sequence[Sequence[Any]], rows: Sequence[Row], head: RecordHead) -> Floats:
    """FIELDS of all rows, one after the other, NaN for what is no finite number."""
    if not are_numbers(chain.from_iterable(values)):
        values = [[row_number(row, field, head.place) for row in rows] for field in FIELDS]
    figures = np.array(values, dtype=np.float64).reshape(len(FIELDS), len(rows))
    return np.where(np.isfinite(figures), figures, np.nan)


def chain_at(columns: SnapshotColumns, head: RecordHead, listings: ListingColumns) -> RecordedChain:
    """A snapshot's quotes, beside the listings that its names stand for."""
    return RecordedChain(listings, _quotes(columns, listings, head))


def _quotes(columns: SnapshotColumns, listings: ListingColumns, head: RecordHead) -> QuoteColumns:
    bid, ask, mark, mark_iv, forward_usd, last, open_interest, volume = columns.figures
    shown = Quotes(
        symbols=columns.names,
        bid_price_coin=above_zero(bid),
        ask_price_coin=above_zero(ask),
        mark_price_coin=mark,
        mark_iv_fraction=mark_iv / 100.0,
        underlying_price_usd=forward_usd,
        quoted_at=all_quoted_at(head.recorded_at_ms, len(columns.names)),
    )

    def quote(number: int) -> Quote:
        listing = listings[number]
        synthetic = f"SYN.{listing.currency}-{expiry_code(listing.expires_at_ms)}"
        last_coin = number_or_none(last[number])
        return Quote(
            name=listing.name,
            bid_coin=number_or_none(shown.bid_price_coin[number]),
            ask_coin=number_or_none(shown.ask_price_coin[number]),
            bid_amount=None,
            ask_amount=None,
            mark_coin=float(shown.mark_price_coin[number]),
            mark_iv_fraction=float(shown.mark_iv_fraction[number]),
            underlying_price_usd=float(shown.underlying_price_usd[number]),
            underlying_index=columns.underlying_indexes[number] or synthetic,
            timestamp_ms=head.recorded_at_ms,
            open_interest=number_or_none(open_interest[number]) or 0.0,
            volume=number_or_none(volume[number]) or 0.0,
            last_coin=last_coin if last_coin is not None and last_coin > 0.0 else None,
        )

    return QuoteColumns(shown, listings.row_of, quote)
