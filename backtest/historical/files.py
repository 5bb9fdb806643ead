"""Reads what a historical market is made of: candles, DVOL, delivery prices.

In: files or folders (CSV, also .gz) whose names start with BTC_ or ETH_. DVOL: a time column (date, timestamp or
open_time; ISO, or numbers in s, ms or us) and a close (close or dvol) in percent; hours and days are told apart by
their spacing. Out: bars and prices. Reads disk; what cannot be used is a RecordingError that names the file.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backtest.surface.conditions import CoinHistory
from backtest.surface.known import TimeArray
from backtest.surface.observed import OptionTrades
from paper_exchange.market.clocks import DAY_MS, HOUR_MS
from paper_exchange.market.market import Bar, DeliveryPrice
from paper_exchange.market.names import parse_option_name
from paper_exchange.recorded.files import COINS, EARLIEST_MS, LATEST_MS, RecordingError
from paper_exchange.recorded.tables import DeliveryKey, read_candles, read_delivery_prices
from policies.garbage import no_garbage

TRADE_COLUMNS = ("timestamp", "instrument_name", "iv", "index_price")
TIME_COLUMNS = ("date", "timestamp", "open_time", "time")
CLOSE_COLUMNS = ("close", "dvol", "dvol_close")
MOST_PCT = 1000.0
MS_PER_UNIT = ((1e3, 1e11), (1.0, 1e14), (1e-3, 1e17), (1e-6, 1e20))  # s, ms, us, ns, and how large each gets


@dataclass(frozen=True)
class HistoryData:
    """All coins' data, oldest first; DVOL in percent by coin and bar width in ms."""

    candles: dict[str, list[Bar]]
    dvol: dict[tuple[str, int], list[Bar]]
    delivery_prices: dict[DeliveryKey, DeliveryPrice] = field(default_factory=dict)
    _histories: dict[str, CoinHistory] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def coins(self) -> tuple[str, ...]:
        """Those with candles and DVOL."""
        return tuple(coin for coin in COINS if self.candles.get(coin) and (self.hours(coin) or self.days(coin)))

    def hours(self, coin: str) -> list[Bar]:
        """Hourly DVOL."""
        return self.dvol.get((coin, HOUR_MS), [])

    def days(self, coin: str) -> list[Bar]:
        """Daily DVOL."""
        return self.dvol.get((coin, DAY_MS), [])

    def history(self, coin: str) -> CoinHistory:
        """As what was known when; one for all runs on these data, of which each takes tens of megabytes."""
        if coin not in self._histories:
            self._histories[coin] = CoinHistory(self.candles.get(coin, []), self.hours(coin), self.days(coin))
        return self._histories[coin]

    def cut_at(self, at_ms: int) -> HistoryData:
        """Only what had ended by then: a market on this must show the same up to then."""
        candles = {coin: _ended(bars, HOUR_MS, at_ms) for coin, bars in self.candles.items()}
        dvol = {(coin, width): _ended(bars, width, at_ms) for (coin, width), bars in self.dvol.items()}
        prices = {key: price for key, price in self.delivery_prices.items() if key[1] <= at_ms}
        return HistoryData(candles, dvol, prices)


def _ended(bars: list[Bar], width_ms: int, at_ms: int) -> list[Bar]:
    return [bar for bar in bars if bar.opened_at_ms + width_ms <= at_ms]


@no_garbage()
def read_history(candles: Path, dvol: Path, delivery_prices: Path | None = None) -> HistoryData:
    """Everything there is in these files or folders. Raises RecordingError."""
    prices = read_delivery_prices(delivery_prices) if delivery_prices is not None else {}
    data = HistoryData(read_candles(candles), read_dvol(dvol), prices)
    if not data.coins:
        raise RecordingError(f"no coin has both candles ({candles}) and DVOL ({dvol})")
    return data


def read_dvol(source: Path) -> dict[tuple[str, int], list[Bar]]:
    """DVOL bars by coin and width; of a bar found twice the last stands."""
    found: dict[tuple[str, int], dict[int, Bar]] = {}
    for path in _files(source):
        coin = next((coin for coin in COINS if path.name.upper().startswith(f"{coin}_")), None)
        if coin is not None:
            width_ms, bars = _read_file(path)
            found.setdefault((coin, width_ms), {}).update({bar.opened_at_ms: bar for bar in bars})
    if not found:
        raise RecordingError(f"{source}: no DVOL file there (BTC_*.csv, ETH_*.csv, also .gz)")
    return {key: [bars[opened] for opened in sorted(bars)] for key, bars in found.items()}


def read_trades(source: Path, coin: str) -> OptionTrades:
    """Option trades as the download writes them (timestamp in any unit, instrument_name, iv in percent, index_price).

    Rows without a volatility, of other coins or of anything but options are left out.
    """
    found = (_read_trade(row) for path in _files(source) if _names(path, coin) for row in _rows_of(path))
    rows = sorted(row for row in found if row is not None)
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    at_ms, index, strikes, expiries, volatility = table.T
    return OptionTrades(at_ms.astype(np.int64), index, strikes, expiries, volatility)


def _names(path: Path, coin: str) -> bool:
    return path.name.upper().startswith(f"{coin}_")


def _rows_of(path: Path) -> list[dict[Hashable, Any]]:
    table = _table_of(path)
    missing = [name for name in TRADE_COLUMNS if name not in table]
    if missing:
        raise RecordingError(f"{path}: cannot be read as option trades: there is no column {missing[0]}")
    table = table[list(TRADE_COLUMNS)].assign(timestamp=_times_ms(table["timestamp"], path))
    for name in ("iv", "index_price"):
        table[name] = pd.to_numeric(table[name], errors="coerce")
    return table.to_dict("records")


def _table_of(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, encoding="utf-8-sig")
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise RecordingError(f"{path}: cannot be read: {error}") from error


def _read_trade(row: dict[Hashable, Any]) -> tuple[float, ...] | None:
    parts = parse_option_name(str(row["instrument_name"]))
    usable = parts is not None and row["iv"] > 0.0 and row["index_price"] > 0.0
    if parts is None or not usable:
        return None
    index_usd, volatility = float(row["index_price"]), row["iv"] / 100.0
    return float(row["timestamp"]), index_usd, parts.strike_usd, float(parts.expires_at_ms), volatility


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    return sorted(path for path in source.rglob("*") if path.name.endswith((".csv", ".csv.gz")) and path.is_file())


def _read_file(path: Path) -> tuple[int, list[Bar]]:
    table = _table_of(path)
    time_column = next((name for name in TIME_COLUMNS if name in table), None)
    close_column = next((name for name in CLOSE_COLUMNS if name in table), None)
    if time_column is None or close_column is None or len(table) == 0:
        raise RecordingError(f"{path}: wanted rows with a time (date, timestamp) and a close (close, dvol)")
    opened = _times_ms(table[time_column], path)
    closes = pd.to_numeric(table[close_column], errors="coerce").to_numpy(dtype=np.float64)
    if not bool(np.all((closes > 0.0) & (closes < MOST_PCT))):
        raise RecordingError(f"{path}: a close is not a percentage between 0 and {MOST_PCT:.0f}")
    return _width_ms(opened, path), [Bar(at, *(close,) * 4) for at, close in zip(opened.tolist(), closes, strict=True)]


def _times_ms(column: pd.Series[Any], path: Path) -> TimeArray:
    """ISO times (UTC where they do not say), or numbers whose size tells their unit."""
    try:
        if not pd.api.types.is_numeric_dtype(column):
            moments = pd.to_datetime(column, utc=True).dt.as_unit("ms")
            times_ms = np.asarray(moments.astype("int64"), dtype=np.float64)
        else:
            numbers = column.to_numpy(dtype=np.float64)
            times_ms = np.round(
                numbers * next((factor for factor, below in MS_PER_UNIT if float(numbers[0]) < below), 1.0)
            )
    except (ValueError, IndexError) as error:
        raise RecordingError(f"{path}: a time cannot be read: {error}") from error
    odd = np.flatnonzero(~((times_ms >= EARLIEST_MS) & (times_ms <= LATEST_MS)))
    if len(odd) > 0:
        raise RecordingError(f"{path}, line {odd[0] + 2}: not a time between 2009 and 2100")
    return times_ms.astype(np.int64)


def _width_ms(opened_ms: TimeArray, path: Path) -> int:
    """Hours or days, by the usual distance of two rows."""
    usual = float(np.median(np.diff(np.sort(opened_ms)))) if len(opened_ms) > 1 else float(DAY_MS)
    width_ms = HOUR_MS if abs(usual - HOUR_MS) < HOUR_MS / 2 else DAY_MS
    if abs(usual - width_ms) > width_ms / 2:
        raise RecordingError(f"{path}: rows are neither an hour nor a day apart")
    return width_ms
