"""The kill file: while it lies there, no order leaves. Its first words are the reason that the log gives.

In: its path, or the settings that say where it may lie. Out: a note, None where there is no such file. Talks to disk.
"""

from __future__ import annotations

import os
from pathlib import Path

from config import AgentConfig

KILL_NOTE_LETTERS = 200


def kill_note_of(config: AgentConfig) -> str | None:
    """What a kill file says, None where there is none. One that cannot be looked at counts as there."""
    for place in config.kill_files:
        note = read_kill_note(place)
        if note is not None:
            return note if place == config.risk.kill_file else f"{note} (in {place.parent})".strip()
    return None


def read_kill_note(kill_file: Path) -> str | None:
    """The first words of the kill file, None where there is none. One that cannot be looked at counts as there."""
    try:
        os.lstat(kill_file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"its folder cannot be read: {error.strerror}"
    if not kill_file.is_file():
        return "it is not a plain file"
    try:
        with kill_file.open("rb") as file:
            return file.read(KILL_NOTE_LETTERS).decode(errors="replace").strip()
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
