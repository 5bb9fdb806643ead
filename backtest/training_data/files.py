"""Rows as files: a CSV, a JSONL with the same rows in full, and the card that says what stands in them.

In: Rows, the folder. Out: `decisions.csv`, `decisions.jsonl`, `README.md`. Writes disk.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.environment.actions import ACTION_COUNT
from backtest.environment.observation import columns
from backtest.replay.text import action_words
from backtest.training_data.rows import Row

TABLE, LINES, CARD = "decisions.csv", "decisions.jsonl", "README.md"


@dataclass(frozen=True)
class Source:
    """Where rows come from: a log, the states read, the rows made of them, whether its settings are known."""

    name: str
    states: int
    rows: int
    files: Mapping[str, str]  # name and SHA-256
    unknown_settings: tuple[str, ...]
    policies: tuple[str, ...]


def write_data(rows: Sequence[Row], sources: Sequence[Source], folder: Path) -> list[Path]:
    """The three files; the card last, with the hashes of the other two."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, [name for name, _ in table_columns()])
        writer.writeheader()
        writer.writerows(map(_flat, rows))
    with (folder / LINES).open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(_nested(row), allow_nan=False) + "\n" for row in rows)
    hashes = {name: sha256_of(folder / name) for name in (TABLE, LINES)}
    (folder / CARD).write_text("\n".join(_card(rows, sources, hashes)) + "\n", encoding="utf-8")
    return [folder / name for name in (TABLE, LINES, CARD)]


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def table_columns() -> Iterator[tuple[str, str]]:
    """Name and meaning of every column of the CSV file."""
    yield "source", "the log it comes from"
    yield "run_id", "the run; runs of one source are episodes of their own"
    yield "iteration", "the line of the run"
    yield "timestamp", "UTC"
    yield from ((name, f"{unit}, {low:g} to {high:g}") for name, unit, low, high in columns())
    for number in range(ACTION_COUNT):
        yield f"allowed_{number}", "1 where the risk engine allows the action of this number, else 0"
        yield f"probability_{number}", "with which it was to happen; NaN where not logged or not allowed"
        yield f"counterfactual_usd_{number}", "USD it would have made by settlement; NaN where not known or not allowed"
    yield "chosen", "number of the policy's action; -1 where it has none"
    yield "is_blocked", "1 where the risk engine refused the policy's action, and nothing was done"
    yield "reward_usd", "USD over holding up to next_timestamp; NaN where no later state was read"
    yield "next_timestamp", "UTC, of the next decision point of the run, else of its last state"
    yield "terminated", "1 where the account is worth nothing then"
    yield "truncated", "1 in the last row of a run: the log ends"


def _flat(row: Row) -> dict[str, Any]:
    offered = {action.number: action for action in row.offered}
    actions: dict[str, Any] = {}
    for number in range(ACTION_COUNT):
        action = offered.get(number)
        actions[f"allowed_{number}"] = int(action is not None)
        actions[f"probability_{number}"] = math.nan if action is None else action.probability
        actions[f"counterfactual_usd_{number}"] = math.nan if action is None else action.counterfactual_usd
    features = dict(zip((name for name, *_ in columns()), row.observation, strict=True))
    return _said(row) | features | actions


def _nested(row: Row) -> dict[str, Any]:
    """JSON has no NaN: what is not known is null."""
    actions = [
        {
            "number": offered.number,
            "action": action_words(offered.action),
            "probability": _known(offered.probability),
            "counterfactual_usd": _known(offered.counterfactual_usd),
        }
        for offered in row.offered
    ]
    said = _said(row) | {"reward_usd": _known(row.reward_usd)}
    observations = {"observation": row.observation, "next_observation": row.next_observation}
    return said | observations | {"actions": actions}


def _said(row: Row) -> dict[str, Any]:
    return {
        "source": row.source,
        "run_id": row.run_id,
        "iteration": row.iteration,
        "timestamp": row.timestamp.isoformat(),
        "chosen": row.chosen,
        "is_blocked": int(row.is_blocked),
        "reward_usd": row.reward_usd,
        "next_timestamp": None if row.next_timestamp is None else row.next_timestamp.isoformat(),
        "terminated": int(row.terminated),
        "truncated": int(row.truncated),
    }


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number


# --- the card -----------------------------------------------------------------------------------------------


def _card(rows: Sequence[Row], sources: Sequence[Source], hashes: Mapping[str, str]) -> Iterator[str]:
    offered = [action for row in rows for action in row.offered]
    priced = [action for action in offered if not math.isnan(action.counterfactual_usd)]
    drawn = [action for action in offered if not math.isnan(action.probability)]
    yield "# Decisions of the covered-call agent"
    yield ""
    yield f"{len(rows)} decision points (states with more than one action that the risk engine allows),"
    yield f"{len(offered)} actions. The probability is known of {len(drawn)} of them, what it would have made by"
    yield f"settlement of {len(priced)}."
    yield ""
    yield "Probabilities are those of what happens: exploration draws from what the risk engine allows, and where it"
    yield "has refused the policy's action (`is_blocked`) doing nothing has 1. Older logs drew before it had looked."
    yield "A counterfactual counts an action by itself, against holding on to what is held: a sale at the bid, a"
    yield "buy-back at the ask, fees, payoff at the delivery price; doing nothing is 0. USD are at the spot of the"
    yield "decision. Features that are not known are 0 (the columns say which range each is cut to)."
    yield "Actions: `python -m pydoc backtest.environment.actions` says what each number is."
    yield ""
    yield "| file | SHA-256 |"
    yield "|---|---|"
    yield from (f"| {name} | {digest} |" for name, digest in hashes.items())
    yield ""
    yield "`decisions.jsonl` has the same rows, with `observation` and `next_observation` in the order of the columns"
    yield "below, the allowed `actions` in words, and null where the table has NaN. `minari/` is there where Minari was"
    yield "installed: episodes of steps, with mask, probabilities and counterfactuals in `infos`."
    yield ""
    yield "## Sources"
    for source in sources:
        yield from _source_lines(source)
    yield ""
    yield "## Columns of decisions.csv"
    yield ""
    yield "| column | meaning, unit, range |"
    yield "|---|---|"
    yield from (f"| {name} | {meaning} |" for name, meaning in table_columns())


def _source_lines(source: Source) -> Iterator[str]:
    yield ""
    yield f"### {source.name}"
    yield ""
    yield f"{source.states} states, {source.rows} decision points; decided by {', '.join(source.policies)}."
    if source.unknown_settings:
        runs = ", ".join(source.unknown_settings)
        yield f"Decided with settings that are not those of today, so sizes and masks may be others: {runs}."
    yield ""
    yield "| log file | SHA-256 |"
    yield "|---|---|"
    yield from (f"| {name} | {digest} |" for name, digest in source.files.items())
