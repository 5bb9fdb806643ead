"""A coin's whole chain as one line, in the layout of a recorded chain: what the agent keeps of its last look. Pure.

In: CoinData as a decision saw it. Out: the JSON object of a snapshot (recorded_at in ms, index_price in USD, rows as
Deribit's book summaries: premiums in coin, volatility in percent), each row with its quote's time and its terms; and
such an object read again, from an older recording too, whose rows have no terms: `usual_terms` knows them by the name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from core.chain import chain_of, listing_of, quotes_of
from core.market_context import Closes, CoinData
from deribit.vocabulary import OptionInstrument, OptionQuote

UsualTerms = Callable[[str], OptionInstrument | None]


def chain_record(coin: CoinData, seen_at: datetime) -> dict[str, Any]:
    """What was seen of a coin at the time of a state."""
    return {
        "recorded_at": to_ms(seen_at),
        "currency": coin.underlying,
        "index_price": coin.spot_usd,
        "book_summaries": [_row(quote, coin.instruments.get(quote.symbol)) for quote in coin.chain.quotes.rows()],
    }


def _row(quote: OptionQuote, option: OptionInstrument | None) -> dict[str, Any]:
    iv = quote.mark_iv_fraction
    row = {
        "instrument_name": quote.symbol,
        "underlying_price": quote.underlying_price_usd,
        "bid_price": quote.bid_price_coin,
        "ask_price": quote.ask_price_coin,
        "mark_price": quote.mark_price_coin,
        "mark_iv": None if iv is None else 100.0 * iv,
        "quoted_at": None if quote.quoted_at is None else to_ms(quote.quoted_at),
    }
    if option is None:
        return row
    least = {"min_trade_amount": option.min_trade_amount_coin, "is_tradable": option.is_tradable}
    return row | {"tick_size": option.tick_size_coin, "tick_steps": option.tick_steps} | least


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970, as an exchange counts."""
    return round(moment.timestamp() * 1000.0)


def coin_data_of(record: Mapping[str, Any], usual_terms: UsualTerms) -> CoinData:
    """A snapshot as a decision would see it, without past prices; KeyError, TypeError, ValueError where it is none."""
    seen_at = datetime.fromtimestamp(record["recorded_at"] / 1000.0, UTC)
    rows = list(record["book_summaries"])
    quotes = quotes_of(_quote(row, seen_at) for row in rows)
    listed = {option.symbol: option for option in _instruments(rows, usual_terms)}
    spot_usd = float(record["index_price"])
    return CoinData(record["currency"], spot_usd, chain_of(quotes, listing_of(listed)), Closes(()), None)


def _quote(row: Mapping[str, Any], seen_at: datetime) -> OptionQuote:
    iv, at_ms = row["mark_iv"], row.get("quoted_at")
    return OptionQuote(
        row["instrument_name"],
        row["bid_price"] or None,  # nobody quotes: null, or 0.0 in older rows
        row["ask_price"] or None,
        row["mark_price"],
        None if iv is None else iv / 100.0,
        row["underlying_price"],
        seen_at if at_ms is None else datetime.fromtimestamp(at_ms / 1000.0, UTC),
    )


def _instruments(rows: list[Mapping[str, Any]], usual_terms: UsualTerms) -> Iterator[OptionInstrument]:
    for row in rows:
        usual = usual_terms(row["instrument_name"])
        if usual is not None and "tick_size" in row:
            steps = tuple((float(above), float(tick)) for above, tick in row["tick_steps"])
            own = {"tick_size_coin": row["tick_size"], "tick_steps": steps, "is_tradable": row["is_tradable"]}
            yield usual.model_copy(update=own | {"min_trade_amount_coin": row["min_trade_amount"]})
        elif usual is not None:
            yield usual
