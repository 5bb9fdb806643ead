"""Recorded chains as columns of calls, to fit on and to judge with.

In: recorded chain files (as `--record-chains` writes them). Out: one entry a call that has a mark and some life left:
times in ms, USD, coin, fractions. Reads disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from backtest.surface.known import BoolArray, FloatArray, TimeArray
from backtest.surface.shape import Options, call_prices
from paper_exchange.market.clocks import DAY_MS, from_ms
from paper_exchange.market.names import parse_option_name
from paper_exchange.recorded.files import RecordReader, scan_recording

COLUMNS = 9


@dataclass(frozen=True, slots=True)
class ChainRows:
    """Calls of one coin, by snapshot; NaN where nobody quotes."""

    at_ms: TimeArray
    index_usd: FloatArray
    expires_at_ms: FloatArray
    strikes_usd: FloatArray
    forwards_usd: FloatArray
    mark_iv_fraction: FloatArray
    mark_coin: FloatArray
    bid_coin: FloatArray
    ask_coin: FloatArray
    call_delta: FloatArray

    def __len__(self) -> int:
        return len(self.at_ms)

    @property
    def days(self) -> FloatArray:
        """Days to expiry."""
        days: FloatArray = (self.expires_at_ms - self.at_ms) / DAY_MS
        return days

    @property
    def mid_coin(self) -> FloatArray:
        """Middle of bid and ask, NaN without both."""
        mid: FloatArray = 0.5 * (self.bid_coin + self.ask_coin)
        return mid

    @property
    def options(self) -> Options:
        """For the formulas."""
        return Options(self.forwards_usd, self.strikes_usd, self.expires_at_ms)

    @property
    def months(self) -> list[str]:
        """YYYY-MM of each row."""
        names = {day: f"{from_ms(day * DAY_MS):%Y-%m}" for day in np.unique(self.at_ms // DAY_MS).tolist()}
        return [names[day] for day in (self.at_ms // DAY_MS).tolist()]

    def where(self, chosen: BoolArray) -> ChainRows:
        """The rows that are chosen."""
        return ChainRows(**{column.name: getattr(self, column.name)[chosen] for column in fields(self)})


def read_chain_rows(sources: Iterable[Path], coin: str) -> ChainRows:
    """All calls of a coin in these files or folders. Raises RecordingError."""
    reader = RecordReader()
    rows: list[tuple[float, ...]] = []
    for source in sources:
        for head in scan_recording(source):
            if head.currency == coin:
                found = _rows_of(reader.read(head), coin)
                rows.extend((head.recorded_at_ms, head.index_price_usd, *row) for row in found)
    table = np.array(rows, dtype=np.float64).reshape(-1, COLUMNS)
    options = Options(table[:, 4], table[:, 3], table[:, 2])
    _, deltas = call_prices(options, table[:, 5], table[:, 0])
    at_ms, (index, expiry, strike, forward, iv, mark, bid, ask) = table[:, 0].astype(np.int64), table[:, 1:].T
    return ChainRows(at_ms, index, expiry, strike, forward, iv, mark, bid, ask, deltas)


def _rows_of(record: dict[str, Any], coin: str) -> Iterable[tuple[float, ...]]:
    """Expiry, strike, forward, mark volatility, mark, bid, ask of the calls that are priced and alive."""
    for row in record["book_summaries"]:
        parts = parse_option_name(row["instrument_name"])
        if parts is None or parts.currency != coin or not parts.is_call:
            continue
        iv_pct, forward, mark = row.get("mark_iv"), row.get("underlying_price"), row.get("mark_price")
        if not iv_pct or not forward or mark is None or parts.expires_at_ms <= record["recorded_at"]:
            continue
        sides = (float(row.get(side) or np.nan) for side in ("bid_price", "ask_price"))
        yield (parts.expires_at_ms, parts.strike_usd, forward, iv_pct / 100.0, mark, *sides)
