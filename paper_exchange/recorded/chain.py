"""One recorded snapshot as columns, and as listings and quotes.

In: a parsed line of a recording (rows of public/get_book_summary_by_currency; premiums in coin, volatility in
percent). Out: SnapshotColumns, which can be kept on disk (columns_file.py); from them listings, and quotes (fractions,
ms). An empty side is null or 0 in the file and NaN here; sizes are not recorded. Rows that are not plain inverse
options, or have no mark, are skipped. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from core.chain import Quotes, number_or_none
from core.columns import Floats, above_zero
from paper_exchange.market.expiries import settlement_period
from paper_exchange.market.market import MIN_TRADE_AMOUNT, Listing, Quote
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


class Listed(NamedTuple):
    """What follows from the names of a snapshot alone."""

    listings: dict[str, Listing]
    row_of: dict[str, int]
    first_expiry_ms: int


@dataclass(frozen=True, slots=True)
class RecordedChain:
    """All options of one coin at one recorded moment."""

    listed: Listed
    quotes: QuoteColumns

    def listings_after(self, at_ms: int) -> list[Listing]:
        """Those that expire later."""
        listings = [*self.listed.listings.values()]
        if self.listed.first_expiry_ms > at_ms:
            return listings
        return [listing for listing in listings if listing.expires_at_ms > at_ms]

    def quotes_after(self, at_ms: int) -> QuoteColumns:
        """Those of options that expire later."""
        if self.listed.first_expiry_ms > at_ms:
            return self.quotes
        return self.quotes.without({name for name, one in self.listed.listings.items() if one.expires_at_ms <= at_ms})


def snapshot_columns(record: Row, head: RecordHead) -> SnapshotColumns:
    """One line as columns; of several rows of one name the last counts."""
    rows = _rows_of(record["book_summaries"], head.currency)
    names, underlyings, *values = _columns(rows)
    figures = _figures(values, rows, head)
    are_marked = np.flatnonzero(np.isfinite(figures[[FIELDS.index(field) for field in MARK_FIELDS]]).all(axis=0))
    shown = [*{names[row]: row for row in are_marked.tolist()}.values()]
    return SnapshotColumns(
        names=tuple([names[row] for row in shown]),
        figures=figures[:, np.array(shown, dtype=np.int64)],
        underlying_indexes=[str(underlyings[row] or "") for row in shown],
    )


def _rows_of(rows: list[Row], currency: str) -> list[Row]:
    """Those of one coin's options: nearly always all of them."""
    coins = [*map(_coin_of, [str(row.get("instrument_name")) for row in rows])]
    if coins.count(currency) == len(rows):
        return rows
    return [row for row, coin in zip(rows, coins, strict=True) if coin == currency]


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


def chain_at(columns: SnapshotColumns, head: RecordHead, listed_at_ms: int) -> RecordedChain:
    """Listings and quotes of a snapshot; `listed_at_ms` stands for the listing time, which is not recorded."""
    listed = _listed(columns.names, listed_at_ms)
    return RecordedChain(listed, _quotes(columns, listed, head))


@lru_cache(maxsize=8)
def _listed(names: tuple[str, ...], listed_at_ms: int) -> Listed:
    """Snapshot after snapshot often shows the same options."""
    listings = {name: listing for name in names if (listing := listing_of(name, listed_at_ms)) is not None}
    row_of = dict(zip(names, range(len(names)), strict=True))
    return Listed(listings, row_of, min((one.expires_at_ms for one in listings.values()), default=0))


@lru_cache(maxsize=8192)
def listing_of(name: str, listed_at_ms: int) -> Listing | None:
    """A listing from a name alone, with Deribit's usual ticks and steps; None for what is no inverse option."""
    parts = parse_option_name(name)
    if parts is None:
        return None
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


def _quotes(columns: SnapshotColumns, listed: Listed, head: RecordHead) -> QuoteColumns:
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

    @cache
    def quote(number: int) -> Quote:
        listing = listed.listings[columns.names[number]]
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

    return QuoteColumns(shown, listed.row_of, quote)
