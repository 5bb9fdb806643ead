"""The calls that insights are about, from a log or from the tables of a backtest.

In: SoldCalls, or a trades.csv. Out: CallRows that have ended, oldest first; USD at the index of each moment. A call
whose result is not known is left out. Reads disk.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from core.results.sold_calls import SoldCall


@dataclass(frozen=True)
class CallRow:
    """A call that has ended: what it was sold at, what it came to."""

    currency: str
    opened_at: datetime
    exit: str
    result_usd: float
    delta: float | None = None
    days: float | None = None


def rows_of_log(calls: Iterable[SoldCall]) -> list[CallRow]:
    rows = [
        CallRow(call.currency, call.opened_at, call.exit, call.pnl_usd, call.entry_delta, call.entry_days)
        for call in calls
        if call.closed_at is not None and call.opened_at is not None and call.pnl_usd is not None
    ]
    return sorted(rows, key=lambda row: row.opened_at)


def rows_of_run(path: Path) -> list[CallRow]:
    """Of a run's trades.csv; nothing where it cannot be read."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            found = [_row(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return sorted((row for row in found if row is not None), key=lambda row: row.opened_at)


def _row(row: dict[str, str]) -> CallRow | None:
    if not (row["closed_at"] and row["opened_at"] and row["pnl_usd"]):
        return None
    delta, days = (float(row[name]) if row[name] else None for name in ("entry_delta", "entry_days"))
    opened_at = datetime.fromisoformat(row["opened_at"])
    return CallRow(row["currency"], opened_at, row["exit"], float(row["pnl_usd"]), delta, days)
