"""One recorded snapshot as listings and quotes.

In: a parsed line of a recording (rows of public/get_book_summary_by_currency; premiums in coin, volatility in
percent). Out: Listing and Quote objects (fractions, ms). An empty side is null or 0 in the file and None here; sizes
are not recorded. Rows that are not plain inverse options, or have no mark, are skipped. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from paper_exchange.market.expiries import settlement_period
from paper_exchange.market.market import MIN_TRADE_AMOUNT, Listing, Quote
from paper_exchange.market.names import OptionParts, expiry_code, parse_option_name
from paper_exchange.recorded.files import RecordHead, row_number


@dataclass(frozen=True, slots=True)
class RecordedChain:
    """All options of one coin at one recorded moment, by name."""

    listings: dict[str, Listing]
    quotes: dict[str, Quote]


def parse_chain(record: dict[str, Any], head: RecordHead, listed_at_ms: int) -> RecordedChain:
    """Listings and quotes of one line; `listed_at_ms` stands for the listing time, which is not recorded."""
    listings: dict[str, Listing] = {}
    quotes: dict[str, Quote] = {}
    for row in record["book_summaries"]:
        name = str(row.get("instrument_name"))
        parts = parse_option_name(name)
        if parts is None or parts.currency != head.currency:
            continue
        quote = _quote(name, parts, row, head)
        if quote is not None:
            listings[name] = listing_of(name, parts, listed_at_ms)
            quotes[name] = quote
    return RecordedChain(listings, quotes)


def listing_of(name: str, parts: OptionParts, listed_at_ms: int) -> Listing:
    """A listing from a name alone, with Deribit's usual ticks and steps."""
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


def _quote(name: str, parts: OptionParts, row: dict[str, Any], head: RecordHead) -> Quote | None:
    mark_coin = row_number(row, "mark_price", head.place)
    iv_pct = row_number(row, "mark_iv", head.place)
    underlying_price_usd = row_number(row, "underlying_price", head.place)
    if mark_coin is None or iv_pct is None or underlying_price_usd is None:
        return None
    return Quote(
        name=name,
        bid_coin=_positive(row, "bid_price", head),
        ask_coin=_positive(row, "ask_price", head),
        bid_amount=None,
        ask_amount=None,
        mark_coin=mark_coin,
        mark_iv_fraction=iv_pct / 100.0,
        underlying_price_usd=underlying_price_usd,
        underlying_index=row.get("underlying_index") or f"SYN.{parts.currency}-{expiry_code(parts.expires_at_ms)}",
        timestamp_ms=head.recorded_at_ms,
        open_interest=row_number(row, "open_interest", head.place) or 0.0,
        volume=row_number(row, "volume", head.place) or 0.0,
        last_coin=_positive(row, "last", head),
    )


def _positive(row: dict[str, Any], field: str, head: RecordHead) -> float | None:
    value = row_number(row, field, head.place)
    return value if value is not None and value > 0.0 else None
