"""The first decision in which two runs differ.

In: two folders of runs (their decisions.csv), or decisions. Out: a Difference, None where there is none. Decisions of
the same moment are held against each other: what was decided, not the words. Reads disk.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from backtest.simulator.result import Decision
from models import ConfigurationError

NO_DECISION = "no decision"


@dataclass(frozen=True)
class DecidedAt:
    """A decision as text: its time (ISO), what was decided, why."""

    at: str
    what: str
    reason: str


@dataclass(frozen=True)
class Difference:
    """The first moment at which two runs part, how many decisions were equal before it, and what each one did."""

    at: str
    equal_before: int
    first: DecidedAt
    second: DecidedAt


def first_difference(first: Iterable[DecidedAt], second: Iterable[DecidedAt]) -> Difference | None:
    """A moment at which only one run decided counts as a difference too."""
    ones, others = {row.at: row for row in first}, {row.at: row for row in second}
    for number, at in enumerate(sorted(ones.keys() | others.keys())):
        one, other = (found.get(at, DecidedAt(at, NO_DECISION, "")) for found in (ones, others))
        if one.what != other.what:
            return Difference(at, number, one, other)
    return None


def decided(decisions: Iterable[Decision]) -> list[DecidedAt]:
    """Of a result."""
    return [
        DecidedAt(one.at.isoformat(), _what(one.action_type, one.symbol, one.new_symbol, f"{one.size:g}"), one.reason)
        for one in decisions
    ]


def read_decided(folder: Path) -> list[DecidedAt]:
    """Of a run on disk; raises ConfigurationError."""
    path = folder / "decisions.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_read(row) for row in csv.DictReader(file)]
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError):
        raise ConfigurationError(f"{path} is not the table of a run, or was cut off") from None


def difference_lines(found: Difference | None, names: tuple[str, str]) -> list[str]:
    """Sentences about it."""
    if found is None:
        return [f"{names[0]} and {names[1]}: every decision is the same"]
    before = f"{found.equal_before} decisions are the same, then they" if found.equal_before else "they"
    return [
        f"{before} part at {found.at[:19].replace('T', ' ')} UTC",
        f"{names[0]}: {found.first.what}: {found.first.reason}".rstrip(": "),
        f"{names[1]}: {found.second.what}: {found.second.reason}".rstrip(": "),
    ]


def _read(row: dict[str, str]) -> DecidedAt:
    size = f"{float(row['size']):g}"
    return DecidedAt(
        row["at"].replace(" ", "T"), _what(row["action_type"], row["symbol"], row["new_symbol"], size), row["reason"]
    )


def _what(action_type: str, symbol: str | None, new_symbol: str | None, size: str) -> str:
    target = " to ".join(name for name in (symbol, new_symbol) if name)
    return f"{action_type} {size} {target}" if target else action_type
