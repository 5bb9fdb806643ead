"""What Deribit's history replies hold, as rows of text that stand in the files as they are.

In: results in Deribit's JSON. Out: rows by the key that makes them one: time in ms, trade id, date or name. Times are
ISO in UTC, but of trades milliseconds; prices of options in coin, all others in USD, volatilities in percent: what the
exchange sent, checked and not converted. Anything else raises InvalidReplyError. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from core.text import quotable
from deribit.replies import Row as Reply
from deribit.replies import finite
from deribit.replies import rows as objects
from models import InvalidReplyError
from paper_exchange.market.clocks import from_ms
from paper_exchange.recorded.files import EARLIEST_MS, LATEST_MS

Row = tuple[str, ...]

BAR_COLUMNS = ("open", "high", "low", "close")
CANDLE_COLUMNS = ("open_time", *BAR_COLUMNS, "volume")
DVOL_COLUMNS = ("timestamp", *BAR_COLUMNS)
PRICE_COLUMNS = ("date", "price")
INSTRUMENT_COLUMNS = (
    *("instrument_name", "option_type", "creation_time", "expiration_time"),
    *("strike", "tick_size", "min_trade_amount", "settlement_period"),
)
TRADE_COLUMNS = (
    *("timestamp", "trade_id", "trade_seq", "instrument_name", "direction"),
    *("price", "amount", "iv", "mark_price", "index_price"),
)


class Trade(NamedTuple):
    """One trade: when, which, and its row."""

    time_ms: int
    trade_id: str
    row: Row


def read_candles(result: object) -> dict[int, Row]:
    """Candles by the time they opened."""
    reply = Reply(result)
    if reply.get("status") == "no_data":
        return {}
    columns = [_list(reply.need(name)) for name in ("ticks", *BAR_COLUMNS, "volume")]
    if len({len(column) for column in columns}) != 1:
        raise InvalidReplyError("candles: columns of different lengths")
    return {time_ms(tick): (iso(tick), *_texts(values)) for tick, *values in zip(*columns, strict=True)}


def read_dvol(result: object) -> dict[int, Row]:
    """Bars of the volatility index by the time they opened."""
    bars = [_list(bar) for bar in _list(Reply(result).need("data"))]
    if any(len(bar) != 1 + len(BAR_COLUMNS) for bar in bars):
        raise InvalidReplyError("DVOL: a bar is not time, open, high, low, close")
    return {time_ms(opened): (iso(opened), *_texts(values)) for opened, *values in bars}


def read_trades(result: object) -> list[Trade]:
    """Trades in the order they came; newest first is refused, because such a page hides what lies before it."""
    trades = [_trade(row) for row in Reply(result).rows("trades")]
    if len(trades) > 0 and trades[0].time_ms > trades[-1].time_ms:
        raise InvalidReplyError("trades: newest first, asked for oldest first")
    return trades


def _trade(row: Reply) -> Trade:
    traded_ms, trade_id = time_ms(row.need("timestamp")), _word(row.need("trade_id"))
    words = (str(whole(row.need("trade_seq"))), _word(row.need("instrument_name")), _word(row.need("direction")))
    needed = _texts(row.need(name) for name in ("price", "amount"))
    # Old trades lack the mark, some the volatility: an empty field, never 0.
    optional = ("" if value is None else repr(value) for value in map(row.number, ("iv", "mark_price", "index_price")))
    return Trade(traded_ms, trade_id, (str(traded_ms), trade_id, *words, *needed, *optional))


def read_delivery_prices(result: object) -> list[Row]:
    """Dates and delivery prices, newest first as they come."""
    found = Reply(result).rows("data")
    return [(_date(row.need("date")), *_texts([row.need("delivery_price")])) for row in found]


def read_instruments(result: object) -> list[Row]:
    """Options alone: combos carry other kinds."""
    return [_instrument(row) for row in objects(result) if row.get("kind", "option") == "option"]


def _instrument(row: Reply) -> Row:
    times = (iso(row.need(key)) for key in ("creation_timestamp", "expiration_timestamp"))
    sizes = _texts(row.need(key) for key in ("strike", "tick_size", "min_trade_amount"))
    names = (_word(row.need("instrument_name")), _word(row.need("option_type")))
    return (*names, *times, *sizes, _word(row.get("settlement_period", "")))


# --- single values ------------------------------------------------------------------------------------


def time_ms(value: object) -> int:
    """Milliseconds of the years 2009 to 2100; seconds and microseconds are refused, not guessed."""
    found = whole(value)
    if not EARLIEST_MS <= found <= LATEST_MS:
        raise InvalidReplyError(f"{found} is not a time in milliseconds")
    return found


def iso(value: object) -> str:
    """Milliseconds as the time pandas reads with its zone."""
    return f"{from_ms(time_ms(value)):%Y-%m-%d %H:%M:%S+00:00}"


def whole(value: object) -> int:
    """A JSON number without a fraction."""
    if type(value) is not int:
        raise InvalidReplyError(f"{quotable(value, 40)!r} is not a whole number")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidReplyError("a list was expected in the reply")
    return value


def _texts(values: Iterable[object]) -> Row:
    return tuple(repr(finite(value)) for value in values)


def _word(value: object) -> str:
    """A name or an id: nothing that would break a line of CSV or be a formula in a spreadsheet."""
    text = str(value)
    if len(text) > 64 or not all(sign.isalnum() or sign in "-_." for sign in text) or text.startswith("-"):
        raise InvalidReplyError(f"{quotable(text, 40)!r} is not a name")
    return text


def _date(value: object) -> str:
    text = _word(value)
    if len(text) != 10 or text[4] + text[7] != "--":
        raise InvalidReplyError(f"{quotable(text, 40)!r} is not a date")
    return text
