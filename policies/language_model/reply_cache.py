"""Prompts and replies on disk, each once, under a hash of everything that determines the reply.

In: a folder, an endpoint and the body of a request. Out: the reply that was given, with the seconds it took. With it a
decision can be made again for nothing, to the same letter. The key is not part of what is kept. Talks to the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from policies.language_model.request import RawReply


def request_hash(base_url: str, body: Mapping[str, Any]) -> str:
    """The same for the same question to the same endpoint, and for no other."""
    text = json.dumps({"base_url": base_url, "body": body}, sort_keys=True)
    return f"q-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def kept_reply(folder: Path, name: str) -> RawReply | None:
    """None where it was never asked, or where the file cannot be read."""
    try:
        kept = json.loads(_path(folder, name).read_bytes())
        return RawReply(str(kept["reply"]).encode(), float(kept["seconds"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_reply(folder: Path, name: str, base_url: str, body: Mapping[str, Any], reply: RawReply) -> None:
    """In one step, so that no half of a file is ever read. A disk that refuses costs the replay, not the decision."""
    path = _path(folder, name)
    text = {"base_url": base_url, "request": body, "reply": reply.content.decode(errors="replace")}
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({**text, "seconds": reply.seconds}) + "\n", encoding="utf-8")
        temporary.replace(path)


def _path(folder: Path, name: str) -> Path:
    return folder / name[2:4] / f"{name}.json"
