"""One recorded snapshot as listings and quotes.

In: a parsed line of a recording (rows of public/get_book_summary_by_currency; premiums in coin, volatility in
percent). Out: listings, and quotes as columns (fractions, ms). An empty side is null or 0 in the file and NaN here;
sizes are not recorded. Rows that are not plain inverse options, or have no mark, are skipped. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from types import NoneType
from typing import Any

import numpy as np

from core.chain import Quotes, number_or_none
from core.columns import Floats, Integers
from paper_exchange.market.expiries import settlement_period
from paper_exchange.market.market import MIN_TRADE_AMOUNT, Listing, Quote
from paper_exchange.market.names import expiry_code, parse_option_name
from paper_exchange.market.quote_columns import QuoteColumns, all_quoted_at
from paper_exchange.recorded.files import RecordHead, row_number

Row = dict[str, Any]
MARK_FIELDS = ("mark_price", "mark_iv", "underlying_price")
FIELDS = ("bid_price", "ask_price", *MARK_FIELDS)


@dataclass(frozen=True, slots=True)
class RecordedChain:
    """All options of one coin at one recorded moment."""

    listings: dict[str, Listing]
    quotes: QuoteColumns

    def quotes_after(self, at_ms: int) -> QuoteColumns:
        """Those of options that expire later."""
        return self.quotes.without([name for name, listing in self.listings.items() if listing.expires_at_ms <= at_ms])


def parse_chain(record: Row, head: RecordHead, listed_at_ms: int) -> RecordedChain:
    """Listings and quotes of one line; `listed_at_ms` stands for the listing time, which is not recorded."""
    rows: list[Row] = []
    listings: list[Listing] = []
    for row in record["book_summaries"]:
        listing = listing_of(str(row.get("instrument_name")), listed_at_ms)
        if listing is not None and listing.currency == head.currency:
            rows.append(row)
            listings.append(listing)
    columns = _columns(rows, head)
    are_marked = np.flatnonzero(np.isfinite([columns[field] for field in MARK_FIELDS]).all(axis=0))
    shown = [*{listings[row].name: row for row in are_marked.tolist()}.values()]  # the last row of a name counts
    quotes = _quotes(
        [listings[row] for row in shown], [rows[row] for row in shown], columns, np.array(shown, int), head
    )
    return RecordedChain({listings[row].name: listings[row] for row in shown}, quotes)


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


def _quotes(
    listings: Sequence[Listing], rows: Sequence[Row], columns: dict[str, Floats], shown_rows: Integers, head: RecordHead
) -> QuoteColumns:
    bid, ask, mark, mark_iv, forward_usd = (columns[field][shown_rows] for field in FIELDS)
    shown = Quotes(
        symbols=tuple([listing.name for listing in listings]),
        bid_price_coin=_positive(bid),
        ask_price_coin=_positive(ask),
        mark_price_coin=mark,
        mark_iv_fraction=mark_iv / 100.0,
        underlying_price_usd=forward_usd,
        quoted_at=all_quoted_at(head.recorded_at_ms, len(rows)),
    )

    def quote(number: int) -> Quote:
        listing, row = listings[number], rows[number]
        synthetic = f"SYN.{listing.currency}-{expiry_code(listing.expires_at_ms)}"
        last_coin = row_number(row, "last", head.place)
        return Quote(
            name=listing.name,
            bid_coin=number_or_none(shown.bid_price_coin[number]),
            ask_coin=number_or_none(shown.ask_price_coin[number]),
            bid_amount=None,
            ask_amount=None,
            mark_coin=float(shown.mark_price_coin[number]),
            mark_iv_fraction=float(shown.mark_iv_fraction[number]),
            underlying_price_usd=float(shown.underlying_price_usd[number]),
            underlying_index=row.get("underlying_index") or synthetic,
            timestamp_ms=head.recorded_at_ms,
            open_interest=row_number(row, "open_interest", head.place) or 0.0,
            volume=row_number(row, "volume", head.place) or 0.0,
            last_coin=last_coin if last_coin is not None and last_coin > 0.0 else None,
        )

    return QuoteColumns(shown, {name: number for number, name in enumerate(shown.symbols)}, quote)


def _columns(rows: Sequence[Row], head: RecordHead) -> dict[str, Floats]:
    """FIELDS of all rows, NaN where one is missing, null or not finite."""
    try:
        values = [*zip(*map(itemgetter(*FIELDS), rows), strict=True)]
    except KeyError:  # a field is left out somewhere
        values = [tuple([row.get(field) for row in rows]) for field in FIELDS]
    return {
        field: _column(field, column, rows, head)
        for field, column in zip(FIELDS, values or [()] * len(FIELDS), strict=True)
    }


def _column(field: str, values: Sequence[object], rows: Sequence[Row], head: RecordHead) -> Floats:
    if not set(map(type, values)) <= {float, NoneType}:
        values = [row_number(row, field, head.place) for row in rows]
    column = np.array(values, dtype=np.float64)
    return np.where(np.isfinite(column), column, np.nan)


def _positive(column: Floats) -> Floats:
    return np.where(column > 0.0, column, np.nan)
