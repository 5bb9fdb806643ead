"""Prompts and replies on disk, each once, under a hash of everything that determines the reply.

In: a folder, an endpoint and the body of a request. Out: what the reply said, and the seconds it took. With it a
decision can be made again for nothing, to the same letter. The reply is kept as it was read, not its bytes: an endpoint
may echo the key it was sent. Talks to the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from policies.language_model.reply import Reading


def request_hash(base_url: str, body: Mapping[str, Any]) -> str:
    """The same for the same question to the same endpoint, and for no other."""
    text = json.dumps({"base_url": base_url, "body": body}, sort_keys=True)
    return f"q-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def kept_reply(folder: Path, name: str) -> tuple[Reading, float] | None:
    """What it said, and the seconds it took; None where it was never asked, or where the file cannot be read."""
    try:
        kept = json.loads(_path(folder, name).read_bytes())
        return Reading(**kept["reply"]), float(kept["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_reply(
    folder: Path, name: str, base_url: str, body: Mapping[str, Any], reading: Reading, seconds: float
) -> None:
    """In one step, so that no half of a file is ever read. A disk that refuses costs the replay, not the decision."""
    path = _path(folder, name)
    text = {"base_url": base_url, "request": body, "reply": asdict(reading), "seconds": seconds}
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(text) + "\n", encoding="utf-8")
        temporary.replace(path)


def _path(folder: Path, name: str) -> Path:
    return folder / name[2:4] / f"{name}.json"
