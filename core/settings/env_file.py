"""`.env` read once: the text of each setting, and a sentence for every line that is wrong.

In: a path, the names of the settings there are, those of keys. Out: texts by name, or ConfigurationError where nothing
can be made of the file. The one file of core that reads a disk: config, which everything stands on, is built from it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from core.settings import names, texts
from models import ConfigurationError

ENCODING = "utf-8-sig"  # some editors begin a file with a byte order mark
MAX_BYTES = 100_000


def read_env_file(
    env_file: Path, setting_names: Sequence[str], secret_names: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """The settings in a file, and what is wrong with its other lines; raises where a line cannot be read at all.

    Nobody else may be able to read a file with one of `secret_names` in it.
    """
    if not env_file.exists():
        return {}, []
    source = env_file.name
    entries, twice, broken = names.entries_of(_text_of(env_file), source)
    problems = names.unknown_in_file(entries, setting_names, source) + twice
    if set(secret_names) & set(entries) and os.name != "nt" and env_file.stat().st_mode & 0o077:
        problems += [f"other users of this machine can read the secret in {source}: chmod 600 {source}"]
    if broken:  # nothing is made of such a file: a switch that was meant to be set could be in that line
        raise ConfigurationError("\n".join(broken + problems))
    return {name: text for name, text in entries.items() if name in setting_names}, problems


def _text_of(env_file: Path) -> str:
    """Raises ConfigurationError where it is no text file of a sensible size."""
    if env_file.is_dir():
        raise ConfigurationError(f"{env_file.name} is a folder; settings are read from a file of that name")
    if not env_file.is_file():
        raise ConfigurationError(f"{env_file.name} is not a file")
    if env_file.stat().st_size > MAX_BYTES:
        raise ConfigurationError(f"{env_file.name} is larger than {MAX_BYTES} bytes")
    try:
        return env_file.read_text(encoding=ENCODING)
    except UnicodeDecodeError:
        problem = texts.not_utf8(env_file.read_bytes())
        raise ConfigurationError(f"{env_file.name} is not UTF-8 ({problem})") from None
    except OSError as error:
        raise ConfigurationError(f"{env_file.name} cannot be read: {error.strerror}") from None
