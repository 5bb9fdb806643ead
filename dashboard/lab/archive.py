"""What came of the lab's runs: an index that can be sorted and filtered, two beside each other, the chains of one.

In: the folders of jobs. Out: rows. Figures are those of summary.json and chains.csv, with the source of their quotes
beside them: USD over holding, coin, fractions. Reads disk; a summary is read once, until its file changes.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboard.lab.jobs import Jobs


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


# Fields of a RunRow, and what the page calls them.
SORTED_BY = {
    "name": "run",
    "policy": "policy",
    "source": "quotes",
    "net_usd": "USD over holding",
    "net_btc": "BTC",
    "net_eth": "ETH",
    "sold": "sold",
    "rolls": "rolls",
    "drawdown_fraction": "drawdown",
}


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
        unknown = [row for row in found if getattr(row, key) is None]
        return sorted(known, key=lambda row: getattr(row, key), reverse=True) + unknown

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
class ChainRow:
    """A sale with its rolls. None where its result or its end is not known."""

    currency: str
    calls: str
    opened: str
    closed: str
    exit: str
    rolls: int
    pnl_coin: float | None
    pnl_usd: float | None


def chains_of_run(path: Path) -> list[ChainRow]:
    """Of a run's chains.csv, in the order of their opening; nothing where it cannot be read."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_chain(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _chain(row: Mapping[str, str]) -> ChainRow:
    coin, usd = (float(row[name]) if row[name] else None for name in ("pnl_coin", "pnl_usd"))
    opened, closed = (row[name][:16] for name in ("opened_at", "closed_at"))
    return ChainRow(row["currency"], row["symbols"], opened, closed, row["exit"], int(row["rolls"]), coin, usd)
