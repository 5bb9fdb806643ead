"""What the killed agents wrote: every line parses, none is ever changed, and every order has its beginning and its end.

In: the log folder, again and again (only what is new is read), and at the end what the exchange accepted. Out:
violations in words. A torn last line is allowed until the next life has set it aside. Reads files, writes none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Written here once more, and not taken from the agent: the check must not inherit its mistakes.
TERMINAL_OUTCOMES = frozenset({"accepted", "rejected", "not_sent", "resolved_absent", "resolved_present"})
OUTCOMES_OF_REAL_ORDERS = frozenset({"accepted", "resolved_present"})


@dataclass
class WatchedFile:
    """One log file, as far as it has been read: whole lines only."""

    path: Path
    read_bytes: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    torn_tail: bytes = b""


class LogWatch:
    """All `.jsonl` files of a log folder over many lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, WatchedFile] = {}
        self.violations: list[str] = []
        self.unparsable = 0
        self.lines: Counter[str] = Counter()  # by "orders" and "decisions"
        self.order_lines: list[dict[str, Any]] = []
        self.iterations = 0
        self.halted = 0
        self.errors: Counter[str] = Counter()

    def look(self) -> list[dict[str, Any]]:
        """Read what is new in every file; the new order lines."""
        before = len(self.order_lines)
        for path in sorted(self._folder.glob("*.jsonl")):
            self._look_at(self._files.setdefault(path, WatchedFile(path)))
        return self.order_lines[before:]

    def torn_files(self) -> list[str]:
        """Names of the files that end inside a line."""
        return [file.path.name for file in self._files.values() if file.torn_tail]

    def newest_change_ns(self, prefix: str) -> int:
        """When a file of this kind was last written, in nanoseconds since 1970; 0 where there is none."""
        return max((path.stat().st_mtime_ns for path in self._folder.glob(f"{prefix}-*.jsonl")), default=0)

    def check_prefixes(self) -> None:
        """I17: what had been read as whole lines is still there, byte for byte."""
        for file in self._files.values():
            now = hashlib.sha256(file.path.read_bytes()[: file.read_bytes]).hexdigest()
            if now != file.digest.hexdigest():
                self.violations.append(f"I17: whole lines of {file.path.name} were changed")

    def _look_at(self, file: WatchedFile) -> None:
        with file.path.open("rb") as opened:
            opened.seek(file.read_bytes)
            new = opened.read()
        whole = new.rfind(b"\n") + 1
        for line in new[:whole].splitlines():
            self._take(file.path, line)
        file.digest.update(new[:whole])
        file.read_bytes += whole
        file.torn_tail = new[whole:]

    def _take(self, path: Path, line: bytes) -> None:
        kind = path.name.partition("-")[0]
        self.lines[kind] += 1
        try:
            record = json.loads(line, parse_constant=_refuse)
        except ValueError:
            self.unparsable += 1
            self.violations.append(f"I15: a line of {path.name} does not parse: {line[:60]!r} ... {line[-60:]!r}")
            return
        if kind == "orders":
            self.order_lines.append(record)
        elif kind == "decisions":
            self.iterations += 1
            self.halted += record.get("trading_state") == "HALTED"
            if record.get("error"):
                last_line = str(record["error"]).strip().splitlines()[-1]
                self.errors[re.sub(r"[\w.-]*\d[\w.-]*", "#", last_line)[:80]] += 1  # names and figures left out


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# --- ledger x order log, when all is over -----------------------------------------------------------------


def join_problems(order_lines: list[dict[str, Any]], accepted: Mapping[str, int]) -> list[str]:
    """Every intent ends exactly once (I11), as what really happened (I16), and no label is used twice (I7).

    A kill between the mark of the account and the intent leaves an order that the mark alone knows of. It never left;
    the next run takes it over as unknown, and it ends like an intent.
    """
    intents = Counter(str(line["label"]) for line in order_lines if line.get("event") == "intent")
    ends = _ends(order_lines)
    problems = [f"I7: {count} intents under the label {label}" for label, count in intents.items() if count > 1]
    taken_over = {str(line["label"]) for line in order_lines if line.get("outcome") == "unknown"} - set(intents)
    for label in (*intents, *sorted(taken_over)):
        found = ends.get(label, [])
        if len(found) != 1:
            problems.append(f"I11: {label} has {len(found)} terminal lines {found}")
        elif (label in accepted) != (found[0] in OUTCOMES_OF_REAL_ORDERS):
            problems.append(f"I16: {label} is {found[0]} in the log, accepted {accepted.get(label, 0)} times in truth")
    problems += [f"I16: {label} was accepted and stands in no log" for label in accepted if label not in intents]
    problems += [f"I11: {label} ends without having begun" for label in ends if label not in {*intents, *taken_over}]
    return problems


def _ends(order_lines: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The terminal outcomes of each label."""
    ends: dict[str, list[str]] = {}
    for line in order_lines:
        if line.get("event") == "outcome" and line.get("outcome") in TERMINAL_OUTCOMES:
            ends.setdefault(str(line["label"]), []).append(str(line["outcome"]))
    return ends
