"""What came of the lab's runs: an index that can be sorted and filtered, two beside each other, a sweep as a heat map.

In: the folders of jobs. Out: rows. Figures are those of summary.json and trials.jsonl, with the source of their quotes
beside them: USD over holding, coin, fractions. Reads disk; a summary is read once, until its file changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboard.lab.jobs import Jobs

MOST_CELLS = 400


@dataclass(frozen=True)
class RunRow:
    """One run. None where its summary does not say."""

    name: str
    policy: str
    kind: str
    source: str
    rung: str
    fills: str
    days: float | None
    net_usd: float | None
    net_btc: float | None
    net_eth: float | None
    sold: int | None
    rolls: int | None
    drawdown_fraction: float | None


SORTED_BY = ("name", "policy", "source", "net_usd", "net_btc", "net_eth", "sold", "rolls", "drawdown_fraction")


@dataclass
class Archive:
    """The summaries below the lab's folder, kept by the time of their file."""

    jobs: Jobs
    _kept: dict[str, tuple[int, RunRow]] = field(default_factory=dict)

    def rows(self, sort: str = "name", words: str = "") -> list[RunRow]:
        """The runs whose name, policy or source holds the words; the largest or newest first."""
        key = sort if sort in SORTED_BY else "name"
        found = [row for row in self._all() if words.lower() in f"{row.name} {row.policy} {row.source}".lower()]
        known = [row for row in found if getattr(row, key) is not None]
        return sorted(known, key=lambda row: getattr(row, key), reverse=True) + [
            row for row in found if row not in known
        ]

    def _all(self) -> Iterable[RunRow]:
        for name in self.jobs.names():
            path = self.jobs.folder / name / "results" / "summary.json"
            try:
                changed = path.stat().st_mtime_ns
            except OSError:
                continue
            kept = self._kept.get(name)
            if kept is None or kept[0] != changed:
                row = _row(name, summary(path))
                self._kept[name] = kept = (changed, row)
            yield kept[1]


def summary(path: Path) -> dict[str, Any]:
    """A summary as it stands; empty where it cannot be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _row(name: str, found: Mapping[str, Any]) -> RunRow:
    coins, source = found.get("coins") or {}, found.get("source")
    is_sweep, about = not isinstance(source, dict), source if isinstance(source, dict) else {}
    return RunRow(
        name=name,
        policy=str(found.get("policy", "sweep" if is_sweep else "?")),
        kind="sweep" if is_sweep else "run",
        source=str(about.get("kind", source)),
        rung=str(about.get("rung", "")),
        fills=str(found.get("fills", "")),
        days=None,
        net_usd=found.get("net_usd"),
        net_btc=_net(coins, "BTC"),
        net_eth=_net(coins, "ETH"),
        sold=_sum(coins, "sold"),
        rolls=_sum(coins, "rolls"),
        drawdown_fraction=max((one.get("drawdown_fraction") or 0.0 for one in coins.values()), default=None),
    )


def _net(coins: Mapping[str, Any], coin: str) -> float | None:
    found = coins.get(coin)
    return None if found is None else found["coin"]["net_coin"]


def _sum(coins: Mapping[str, Any], name: str) -> int | None:
    return sum(int(one.get(name) or 0) for one in coins.values()) if coins else None


def beside(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Every figure of two summaries, by its path, where either has it; in the order of the first."""
    one, other = dict(_flat(first)), dict(_flat(second))
    return [(name, one.get(name), other.get(name)) for name in dict.fromkeys([*one, *other])]


def _flat(found: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in found.items():
        if name in ("warnings", "compared_with", "sensitivity"):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name} ")
        elif not isinstance(value, list):
            yield f"{before}{name}", value


@dataclass(frozen=True)
class HeatMap:
    """Trials of a sweep over one or two settings: `cells` by (row, column), USD over holding."""

    row_name: str
    column_name: str
    rows: list[str]
    columns: list[str]
    cells: Mapping[tuple[str, str], float]
    overfitting: float | None
    source: str
    why_luck: list[str]

    def shade(self, row: str, column: str) -> int:
        """0 (worst) to 9 (best) of all trials."""
        value, values = self.cells.get((row, column)), sorted(self.cells.values())
        if value is None or values[0] == values[-1]:
            return 0
        return min(9, int(10.0 * (value - values[0]) / (values[-1] - values[0])))


def heat_map(folder: Path) -> HeatMap | None:
    """Of the sweep in a folder; None where there is none, or it varies no setting."""
    trials = [one for one in _trials(folder / "trials.jsonl") if not one.get("is_random") and one.get("values")]
    names = list(dict.fromkeys(name for one in trials for name in one["values"]))
    if not trials or len(names) > 2 or len(trials) > MOST_CELLS:
        return None
    column, row = names[0], names[1] if len(names) > 1 else ""
    cells = {(one["values"].get(row, ""), one["values"].get(column, "")): one.get("net_usd", 0.0) for one in trials}
    found = summary(folder / "summary.json")
    return HeatMap(
        row_name=row,
        column_name=column,
        rows=_in_order({place[0] for place in cells}),
        columns=_in_order({place[1] for place in cells}),
        cells=cells,
        overfitting=found.get("overfitting_probability"),
        source=str(found.get("source")),
        why_luck=[str(why) for why in found.get("why_luck") or ()],
    )


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
