"""Candles and delivery prices that go with a recording.

In: CSV files (or .csv.gz), or folders of them. Candles: open_time,open,high,low,close,volume, hourly, the coin from
the file name (BTC_..., ETH_...). Delivery prices: date,price or date,proxy_twap or Index name,Date,Delivery price.
Times: ISO, UTC where it does not say, or digits in seconds, milliseconds, microseconds or nanoseconds since 1970.
Out: bars and prices in USD. Reads disk; a damaged file is a RecordingError with its line.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from paper_exchange.market.clocks import DAY_MS, HOUR_MS, from_ms, to_ms
from paper_exchange.market.market import Bar, DeliveryPrice
from paper_exchange.market.names import EXPIRY_HOUR_UTC
from paper_exchange.recorded.files import COINS, EARLIEST_MS, LATEST_MS, RecordingError, say, visible_files

SUFFIXES = (".csv", ".csv.gz")
CANDLE_PRICES = ("open", "high", "low", "close")
PRICE_COLUMNS = ("price", "Delivery price", "proxy_twap")
# Exports differ in their unit of time. From 2009 to 2100 the four ranges of digits do not touch.
UNITS_PER_MS = (0.001, 1, 1_000, 1_000_000)
HISTORY_MS = 60 * DAY_MS  # volatility before the first snapshot is read from candles this old

DeliveryKey = tuple[str, int]  # coin, expiry in ms


def read_candles(source: Path) -> dict[str, list[Bar]]:
    """Hourly candles by coin, oldest first, without duplicates."""
    bars: dict[str, dict[int, Bar]] = {coin: {} for coin in COINS}
    for path in _files(source):
        coin = _coin_of(path.name)
        if coin is None:
            raise RecordingError(f"{path}: the name does not start with BTC_ or ETH_")
        sound = _all_at_once(path)
        read = (_candle(row, place) for place, row in _rows(path)) if sound is None else sound
        bars[coin].update((bar.opened_at_ms, bar) for bar in read)
    return {coin: [found[opened_at_ms] for opened_at_ms in sorted(found)] for coin, found in bars.items()}


def _all_at_once(path: Path) -> list[Bar] | None:
    """A file's candles column by column, a third of the time; None where a row is off: row by row names its line."""
    names, *rows = [*csv.reader(io.StringIO(_text(path)))] or [[]]
    if {*map(len, rows)} != {len(names)}:
        return None
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    try:
        prices = [np.array(columns[name], dtype=np.float64) for name in CANDLE_PRICES]
        times_ms = [_read_time_ms(text.strip()) for text in columns["open_time"]]
        volumes = [float(text) if text else 0.0 for text in columns.get("volume", [""] * len(rows))]
    except (KeyError, ValueError):
        return None
    opened, high, low, closed = prices
    are_prices = all(bool(((column > 0.0) & (column < math.inf)).all()) for column in prices)
    are_prices = are_prices and bool(((low <= np.minimum(opened, closed)) & (high >= np.maximum(opened, closed))).all())
    times = [time_ms for time_ms in times_ms if time_ms is not None and EARLIEST_MS <= time_ms <= LATEST_MS]
    if not are_prices or len(times) < len(times_ms):
        return None
    return [*map(Bar, times, *(column.tolist() for column in prices), volumes)]


def _candle(row: dict[str, str], place: str) -> Bar:
    opened, high, low, closed = (_price(row, name, place) for name in CANDLE_PRICES)
    if not low <= min(opened, closed) <= max(opened, closed) <= high:
        raise RecordingError(
            f"{place}: open {opened:g} and close {closed:g} do not lie from low {low:g} to high {high:g}"
        )
    return Bar(_time_ms(row, "open_time", place), opened, high, low, closed, _volume(row, place))


def read_delivery_prices(source: Path) -> dict[DeliveryKey, DeliveryPrice]:
    """Settlement prices by coin and expiry; a real price wins over a proxy."""
    prices: dict[DeliveryKey, DeliveryPrice] = {}
    for path in _files(source):
        for place, row in _rows(path):
            key, price = _delivery_price(row, path, place)
            known = prices.get(key)
            if known is None or known.is_approximate:
                prices[key] = price
    return prices


def _delivery_price(row: dict[str, str], path: Path, place: str) -> tuple[DeliveryKey, DeliveryPrice]:
    coin = _coin_of(row.get("Index name") or path.name)
    column = next((name for name in PRICE_COLUMNS if name in row), None)
    if coin is None or column is None:
        raise RecordingError(f"{place}: coin or price column not found; wanted one of {', '.join(PRICE_COLUMNS)}")
    midnight_ms = _time_ms(row, "date" if "date" in row else "Date", place)
    price = DeliveryPrice(_price(row, column, place), is_approximate=column == "proxy_twap")
    return (coin, midnight_ms + EXPIRY_HOUR_UTC * HOUR_MS), price


def _coin_of(text: str) -> str | None:
    return next((coin for coin in COINS if text.upper().startswith(f"{coin}_")), None)


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    found = visible_files(source, SUFFIXES)
    if len(found) == 0:
        raise RecordingError(f"{source}: no .csv or .csv.gz file there")
    return found


def check_overlap(source: Path, candles: dict[str, list[Bar]], spans_ms: dict[str, tuple[int, int]]) -> None:
    """Raise RecordingError where not one candle is of use to the recorded span (first and last time) of a coin."""
    given = {coin: bars for coin, bars in candles.items() if len(bars) > 0 and coin in spans_ms}
    if len(given) == 0:
        raise RecordingError(f"{source}: candles of none of the recorded coins ({', '.join(spans_ms)})")
    for coin, bars in given.items():
        first_ms, last_ms = spans_ms[coin]
        if not any(first_ms - HISTORY_MS <= bar.opened_at_ms <= last_ms for bar in bars):
            raise RecordingError(
                f"{source}: no {coin} candle overlaps the recording: candles {_days(bars[0], bars[-1])}, "
                f"recording {_day(first_ms)} to {_day(last_ms)}"
            )


def _days(first: Bar, last: Bar) -> str:
    return f"{_day(first.opened_at_ms)} to {_day(last.opened_at_ms)}"


def _day(at_ms: int) -> str:
    return f"{from_ms(at_ms):%Y-%m-%d}"


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows by column name, each with its place for error messages; a last one that was cut is left out, with a word."""
    text = _text(path)
    reader = csv.DictReader(io.StringIO(text))
    columns = reader.fieldnames or ()
    if len(columns) < 2:
        found = columns[0] if columns else "nothing"
        raise RecordingError(f"{path}, line 1: columns are separated by commas, found: {found}")
    lines = text.count("\n") + 1  # the last one has no end
    for row in reader:
        place, given = f"{path}, line {reader.line_num}", [value for value in row.values() if value is not None]
        if len(given) == len(row):
            yield place, row
        elif reader.line_num == lines:
            say(f"{place}: unfinished last row left out")
        else:
            raise RecordingError(f"{place}: {len(given)} columns where the heading has {len(columns)}")


def _text(path: Path) -> str:
    """Excel puts a byte order mark in front."""
    try:
        packed = path.read_bytes()
        return (gzip.decompress(packed) if path.name.endswith(".gz") else packed).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: cannot be read: {error}") from error


def _price(row: dict[str, str], column: str, place: str) -> float:
    price = _float(row, column, place)
    if not 0.0 < price < math.inf:
        raise RecordingError(f"{place}: {column} is not a positive number")
    return price


def _volume(row: dict[str, str], place: str) -> float:
    return _float(row, "volume", place) if row.get("volume") else 0.0


def _float(row: dict[str, str], column: str, place: str) -> float:
    try:
        return float(row[column])
    except (KeyError, TypeError, ValueError):
        raise RecordingError(f"{place}: {column} is missing or not a number") from None


def _time_ms(row: dict[str, str], column: str, place: str) -> int:
    """A time between 2009 and 2100, whatever way it is written."""
    text = (row.get(column) or "").strip()
    time_ms = _read_time_ms(text)
    if time_ms is None:
        columns = ", ".join(str(name) for name in row)
        raise RecordingError(f"{place}: {column} is missing or not a time; columns found: {columns}")
    if not EARLIEST_MS <= time_ms <= LATEST_MS:
        raise RecordingError(f"{place}: {column} {text} is not a time between 2009 and 2100")
    return time_ms


def _read_time_ms(text: str) -> int | None:
    return _digits_ms(text) if text.isdecimal() else _iso_ms(text)


def _digits_ms(text: str) -> int:
    """Milliseconds of a count since 1970 in the unit that puts it between 2009 and 2100; else as it stands."""
    digits = int(text)
    fitting = (int(digits / unit) for unit in UNITS_PER_MS if EARLIEST_MS <= digits / unit <= LATEST_MS)
    return next(fitting, digits)


def _iso_ms(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return to_ms(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
