"""The end of a schedule: the agent's files are read into the trace, and a hash is made of all that happened.

In: the folder of the logs, what the disk did to them. Out: parsed lines, lines that do not parse, files that were
rewritten (I17), rare states that were reached, a SHA-256 that is the same whenever the same schedule runs again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from tests.campaign.faults.disk import FaultyDisk
from tests.campaign.world.trace import Trace

MODEL_CACHE = "data/model_cache"  # below the folder of a schedule
OWN_DAMAGE = b"\x00" * 8  # what a corrupted line begins with (D07)


@dataclass
class FileWatch:
    """Whether whole lines, once written, stay as they are. Looked at after every life, before anybody else touches."""

    folder: Path
    _known: dict[str, bytes] = field(default_factory=dict)

    def look(self, trace: Trace) -> None:
        for path in self._files():
            content = path.read_bytes()
            if not content.startswith(self._known.get(path.name, b"")):
                trace.rewritten_files.append(path.name)

    def forget(self) -> None:
        """Take what is there now as the beginning; what was done to it in between was not the agent."""
        self._known = {path.name: _whole_lines(path.read_bytes()) for path in self._files()}

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*.jsonl") if path.is_file())


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def finish(trace: Trace, disk: FaultyDisk, files: FileWatch) -> None:
    """Read everything that is left."""
    for path in sorted(disk.folder.glob("*")):
        if path.is_file():
            trace.raw_files[path.name] = path.read_bytes()
    for path in sorted((*disk.folder.glob("model_calls/*"), *(trace.folder / MODEL_CACHE).rglob("*.json"))):
        trace.raw_files[str(path.relative_to(trace.folder))] = path.read_bytes()
    trace.files_gone = list(disk.destroyed)
    trace.decisions = _lines(trace, "decisions-")
    trace.order_lines = _lines(trace, "orders-")
    _note_rare_states(trace)


def _lines(trace: Trace, prefix: str) -> list[dict[str, Any]]:
    found = []
    for name, content in trace.raw_files.items():
        if not (name.startswith(prefix) and name.endswith(".jsonl")):
            continue
        for line in content.split(b"\n")[:-1]:
            if line.startswith(OWN_DAMAGE):
                continue
            try:
                found.append(from_json(line, allow_inf_nan=False))
            except ValueError:
                trace.unparsable_lines.append(f"{name}: {line[:200]!r}")
        if content and not content.endswith(b"\n"):
            trace.unparsable_lines.append(f"{name}: torn end {content[-80:]!r}")
    return found


def _note_rare_states(trace: Trace) -> None:
    if any(name.endswith(".torn") for name in trace.raw_files):
        trace.reached.add("torn tail healed")
    if any("_2.jsonl" in name for name in trace.raw_files):
        trace.reached.add("log given up for a new one")
    trace.reached |= {str(line.get("trading_state", "")).lower() for line in trace.decisions} & {"reducing", "halted"}
    legs = [
        leg for line in trace.decisions for leg in line["executed_action"]["legs"] if line["action_type"][:4] == "ROLL"
    ]
    if legs:
        trace.reached.add("roll started")
    if any(leg["direction"] == "sell" and leg["filled_coin"] > 0.0 for leg in legs):
        trace.reached.add("roll finished")
    outcomes = {str(line.get("outcome")) for line in trace.order_lines}
    trace.reached |= {f"order {outcome}" for outcome in outcomes - {"None"}}


def fingerprint(trace: Trace) -> str:
    """SHA-256 of the ledger and of every file of the agent."""
    digest = hashlib.sha256()
    for point in trace.points:
        digest.update(repr(point.event).encode())
    for name, content in sorted(trace.raw_files.items()):
        digest.update(name.encode() + b"\0" + content.replace(str(trace.folder).encode(), b"<folder>") + b"\0")
    return digest.hexdigest()
