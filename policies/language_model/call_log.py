"""`model_calls/YYYY-MM-DD.jsonl` in the log folder: every call to a model, written before it is made, and what it cost.

In: a log folder, the time of a state. Out: how many calls and tokens that day has had, and until when the endpoint
asked to be left alone. The budget is counted from this file, so that it holds over restarts and kills: a call whose
line cannot be written is not made. Times are those of the states. Talks to the disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Spent:
    """What a day has had so far. `wait_until`: a time in ISO, maybe of the day before; empty where nobody asked."""

    calls: int = 0
    tokens: int = 0
    wait_until: str = ""


def spent_on(folder: Path, at: datetime) -> Spent:
    """The day of `at`; raises OSError where a file is there and cannot be read."""
    rows, yesterday = _rows(folder, at), _rows(folder, at - timedelta(days=1))  # nobody may ask for more than a day
    return Spent(
        calls=len([row for row in rows if row.get("model_call") == "asked"]),
        tokens=sum(_whole(row.get("tokens")) for row in rows),
        wait_until=max((str(row.get("wait_until", "")) for row in (*rows, *yesterday)), default=""),
    )


def _rows(folder: Path, at: datetime) -> list[dict[str, Any]]:
    path = _path(folder, at)
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [row for line in lines if (row := _row(line)) is not None]


def note_asked(folder: Path, at: datetime, prompt_hash: str) -> None:
    """Raises OSError where the disk refuses: then the call is not made."""
    _append(folder, at, {"model_call": "asked", "at": at.isoformat(), "prompt_hash": prompt_hash})


def note_answered(folder: Path, at: datetime, prompt_hash: str, tokens: int, wait_seconds: float | None) -> None:
    """What it cost; `wait_seconds` from the state's time on nothing is asked."""
    row: dict[str, Any] = {"model_call": "answered", "at": at.isoformat(), "prompt_hash": prompt_hash, "tokens": tokens}
    if wait_seconds is not None:
        row["wait_until"] = (at + timedelta(seconds=wait_seconds)).isoformat()
    _append(folder, at, row)


def _append(folder: Path, at: datetime, row: Mapping[str, Any]) -> None:
    """The newline first as well: a line that a kill has torn stands alone."""
    path = _path(folder, at)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        text = f"\n{json.dumps(row)}\n".encode()
        if os.write(handle, text) != len(text):
            raise OSError("the disk is full")
    finally:
        os.close(handle)


def _path(folder: Path, at: datetime) -> Path:
    return folder / "model_calls" / f"{at:%Y-%m-%d}.jsonl"


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _whole(value: object) -> int:
    return value if type(value) is int else 0
