"""The five things that can be downloaded: their columns, files, cells and the distance of their rows.

A cell is what is fetched, written and noted as one: a stretch of time on a fixed grid, so that a later run with other
dates finds the same cells. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from backtest.download import paging, rows
from backtest.download.paging import Fetcher, Span
from backtest.download.rows import Row
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, from_ms, to_ms

# Below the 5,001 candles and about 900 hours of DVOL that one answer holds.
CANDLES_A_CELL = 4_000
DVOL_HOURS_A_CELL = 800
DVOL_BEGAN_MS = 1_616_544_000_000  # 2021-03-24: nothing older exists, for no coin
SETTLED_AFTER_MS = 8 * HOUR_MS  # a day's delivery price is known at 08:00 UTC
COINS = ("BTC", "ETH")


@dataclass(frozen=True)
class Dataset:
    """`key` is the column that makes a row one and by which files are sorted; all ISO times sort as text.

    `step_ms` is the distance of rows where none may be missing, `silence_ms` the longest that is usual where rows come
    as they like; both 0: gaps cannot be told. Without `cell_ms` the whole is one cell. Joined: cells end in one file.
    """

    name: str
    columns: tuple[str, ...]
    fetch: Fetcher
    file_name: str
    key: int = 0
    cell_ms: int | None = None
    step_ms: int = 0
    silence_ms: int = 0
    known_after_ms: int = 0
    began_ms: int = 0

    @property
    def is_joined(self) -> bool:
        return self.cell_ms is not None and "{cell}" not in self.file_name

    def cells(self, span: Span) -> Iterator[tuple[str, Span]]:
        """Names and spans of the cells that cover a span, oldest first; those at its ends are cut to it."""
        if self.cell_ms is None:
            yield "all", Span(0, span.end_ms)
            return
        first_ms = max(span.start_ms, self.began_ms)
        for number in range(first_ms // self.cell_ms, math.ceil(span.end_ms / self.cell_ms)):
            start_ms = number * self.cell_ms
            cell = Span(max(start_ms, first_ms), min(start_ms + self.cell_ms, span.end_ms))
            if cell.start_ms < cell.end_ms:
                yield f"{from_ms(start_ms):%Y-%m-%d}", cell

    def time_ms(self, row: Row) -> int:
        """When a row begins."""
        if row[0].isdecimal():
            return int(row[0])
        moment = datetime.fromisoformat(row[0])
        return to_ms(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


ALL_DATASETS = (
    Dataset(
        name="candles",
        columns=rows.CANDLE_COLUMNS,
        fetch=paging.fetch_candles,
        file_name="{coin}_1h.csv",
        cell_ms=CANDLES_A_CELL * HOUR_MS,
        step_ms=HOUR_MS,
    ),
    Dataset(
        name="dvol",
        columns=rows.DVOL_COLUMNS,
        fetch=paging.fetch_dvol,
        file_name="{coin}_1h.csv",
        cell_ms=DVOL_HOURS_A_CELL * HOUR_MS,
        step_ms=HOUR_MS,
        began_ms=DVOL_BEGAN_MS,
    ),
    Dataset(
        name="delivery_prices",
        columns=rows.PRICE_COLUMNS,
        fetch=paging.fetch_delivery_prices,
        file_name="{coin}_delivery_prices.csv",
        step_ms=DAY_MS,
        known_after_ms=SETTLED_AFTER_MS,
    ),
    Dataset(
        name="instruments",
        columns=rows.INSTRUMENT_COLUMNS,
        fetch=paging.fetch_instruments,
        file_name="{coin}_instruments.csv",
    ),
    Dataset(
        name="trades",
        columns=rows.TRADE_COLUMNS,
        fetch=paging.fetch_trades,
        file_name="{coin}_{cell}.csv.gz",
        key=1,
        cell_ms=DAY_MS,
        silence_ms=6 * HOUR_MS,
    ),
)
DATASETS = {dataset.name: dataset for dataset in ALL_DATASETS}
