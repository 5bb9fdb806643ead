"""The trials of a sweep as a heat map over two of its settings.

In: the folder of a sweep, the two settings that are to be its axes. Out: a HeatMap: USD over holding by row and column;
where other settings were varied too, a cell is the mean of its trials, with the least and the greatest. Reads disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard.lab.archive import summary

MOST_CELLS = 400


@dataclass(frozen=True)
class Cell:
    """The trials of one row and column."""

    results_usd: tuple[float, ...]

    @property
    def mean_usd(self) -> float:
        return sum(self.results_usd) / len(self.results_usd)


@dataclass(frozen=True)
class HeatMap:
    """`settings`: all that were varied. `row_name` is empty where only one was."""

    settings: tuple[str, ...]
    row_name: str
    column_name: str
    rows: list[str]
    columns: list[str]
    cells: Mapping[tuple[str, str], Cell]
    overfitting: float | None
    source: str
    why_luck: list[str]

    @property
    def is_averaged(self) -> bool:
        """Whether a cell stands for several trials."""
        return any(len(cell.results_usd) > 1 for cell in self.cells.values())

    def shade(self, row: str, column: str) -> int:
        """0 (worst) to 9 (best) of all cells."""
        cell, values = self.cells.get((row, column)), sorted(cell.mean_usd for cell in self.cells.values())
        if cell is None or values[0] == values[-1]:
            return 0
        return min(9, int(10.0 * (cell.mean_usd - values[0]) / (values[-1] - values[0])))


def heat_map(folder: Path, row: str = "", column: str = "") -> HeatMap | None:
    """Of the sweep in a folder, over the two settings asked for, else its first two; None where it varies none."""
    trials = [one for one in _trials(folder / "trials.jsonl") if not one.get("is_random") and one.get("values")]
    names = list(dict.fromkeys(name for one in trials for name in one["values"]))
    if not trials:
        return None
    column, row = _axes(names, row, column)
    cells = _cells(trials, row, column)
    if len(cells) > MOST_CELLS:
        return None
    found = summary(folder / "summary.json")
    return HeatMap(
        settings=tuple(names),
        row_name=row,
        column_name=column,
        rows=_in_order({place[0] for place in cells}),
        columns=_in_order({place[1] for place in cells}),
        cells=cells,
        overfitting=found.get("overfitting_probability"),
        source=str(found.get("source")),
        why_luck=[str(why) for why in found.get("why_luck") or ()],
    )


def _axes(names: Sequence[str], row: str, column: str) -> tuple[str, str]:
    """Column and row: those that were asked for where they were varied, else the first that are left."""
    column = column if column in names else next(name for name in names if name != row or len(names) == 1)
    row = row if row in names and row != column else next((name for name in names if name != column), "")
    return column, row


def _cells(trials: Iterable[Mapping[str, Any]], row: str, column: str) -> dict[tuple[str, str], Cell]:
    """A trial that failed has no result, and is left out."""
    found: dict[tuple[str, str], list[float]] = {}
    for one in trials:
        result = one.get("net_usd")
        if isinstance(result, int | float):
            values = one["values"]
            found.setdefault((str(values.get(row, "")), str(values.get(column, ""))), []).append(float(result))
    return {place: Cell(tuple(results)) for place, results in found.items()}


def _trials(path: Path) -> Iterable[dict[str, Any]]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _in_order(values: set[str]) -> list[str]:
    try:
        return sorted(values, key=float)
    except ValueError:
        return sorted(values)
