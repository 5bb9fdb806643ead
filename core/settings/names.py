"""Names of settings as they stand in `.env` and in the environment, and the sentences about wrong ones.

In: text or names, and the settings there are. Out: the text of each setting, and one sentence a problem. A value is
shown only where it cannot be a secret. Pure.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterable, Mapping, Sequence

from dotenv.parser import Binding, parse_stream

SECRET_WORDS = ("SECRET", "KEY", "TOKEN", "CLIENT", "PASS")
MAX_SHOWN_LENGTH = 100
# How other programs call Deribit's two halves of a key.
NAMES_ELSEWHERE = {
    "DERIBIT_API_KEY": "DERIBIT_CLIENT_ID",
    "DERIBIT_ACCESS_KEY": "DERIBIT_CLIENT_ID",
    "DERIBIT_KEY": "DERIBIT_CLIENT_ID",
    "DERIBIT_API_SECRET": "DERIBIT_CLIENT_SECRET",
    "DERIBIT_ACCESS_SECRET": "DERIBIT_CLIENT_SECRET",
    "DERIBIT_SECRET_KEY": "DERIBIT_CLIENT_SECRET",
    "DERIBIT_SECRET": "DERIBIT_CLIENT_SECRET",
}
NEAR_TAIL = 0.75  # AGENT_LOG_LEVEL is 0.5 from AGENT_LOG_DIR, RISK_MAX_MARGIN 0.83 from RISK_MAX_MARGIN_PCT
NEAR_SECTION = 0.7  # RIKS is 0.75 from RISK
TELLING_LENGTH = 6  # AGENT_INTERVAL is ours, AGENT_LOG may be anybody's


def entries_of(text: str, source: str) -> tuple[dict[str, str], list[str], list[str]]:
    """The NAME=VALUE lines of a file; names that stand twice; lines that cannot be read, whose text may be a secret."""
    lines = list(parse_stream(io.StringIO(text)))
    broken = [
        f"{source}, line {line.original.line}: not of the form NAME=VALUE (is a quote not closed?)"
        for line in lines
        if _is_broken(line)
    ]
    entries = [(line.key.upper(), line.value) for line in lines if line.key is not None and line.value is not None]
    names = [name for name, _ in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    return dict(entries), [f"{name} appears more than once in {source}: keep one" for name in twice], broken


def _is_broken(line: Binding) -> bool:
    return line.error or (line.key is not None and line.value is None)


def unknown_in_file(entries: Mapping[str, str], valid: Sequence[str], source: str) -> list[str]:
    """One sentence for each name that is no setting: a file of settings is meant for us."""
    return [
        f"{name}={'(value not shown)' if may_be_secret(name) else repr(value)} in {source}: unknown setting; "
        f"the nearest valid name is {meant_name(name, valid)}"
        for name, value in entries.items()
        if name not in valid
    ]


def unknown_in_environment(names: Iterable[str], valid: Sequence[str]) -> tuple[list[str], list[str]]:
    """Sentences about names that must be misspelt settings, and about those of other programs, which are ignored."""
    sections = {name.partition("_")[0] for name in valid}
    unknown = sorted(name for name in names if name.upper() not in valid and "_" in name)
    misspelt, ignored = [], []
    for name in unknown:
        nearest = f"the nearest valid name is {meant_name(name.upper(), valid)}"
        if _is_meant_as_a_setting(name.upper(), valid):
            misspelt.append(f"{name} in the environment: unknown setting; {nearest}")
        elif name.partition("_")[0] in sections:
            hint = f"; {nearest}" if name in NAMES_ELSEWHERE else ""
            ignored.append(f"{name} in the environment is not a setting of this agent: ignored{hint}")
    return misspelt, ignored


def meant_name(name: str, valid: Iterable[str]) -> str:
    """The setting that was probably meant: what other programs call by this name, or the name that looks most alike."""
    return NAMES_ELSEWHERE.get(name) or difflib.get_close_matches(name, list(valid), 1, 0.0)[0]


def _is_meant_as_a_setting(name: str, valid: Iterable[str]) -> bool:
    """Whether a name in the environment can only be a misspelt setting: a section, and nearly one of its names."""
    if name in NAMES_ELSEWHERE:
        return False
    section, _, tail = name.partition("_")
    return any(_is_misspelt(section, tail, *setting.split("_", 1)) for setting in valid)


def _is_misspelt(section: str, tail: str, valid_section: str, valid_tail: str) -> bool:
    if section != valid_section:
        return tail == valid_tail and _likeness(section, valid_section) >= NEAR_SECTION
    is_part_of_it = len(tail) >= TELLING_LENGTH and set(tail.split("_")) <= set(valid_tail.split("_"))
    return is_part_of_it or _likeness(tail, valid_tail) >= NEAR_TAIL


def _likeness(text: str, other: str) -> float:
    return difflib.SequenceMatcher(None, text, other).ratio()


def may_be_secret(name: str) -> bool:
    """Whether a variable of this name could hold something that must not be shown."""
    return name.upper().startswith("DERIBIT") or any(word in name.upper() for word in SECRET_WORDS)


def shown_value(name: str, value: object) -> str:
    """`=value` as it was given; nothing where it may be secret, such as a URL with credentials in it."""
    text = "" if value is None else f"={value!r}"
    is_hidden = (may_be_secret(name) and not name.endswith(("_URL", "_SECONDS"))) or "@" in text
    return "" if is_hidden else text[:MAX_SHOWN_LENGTH]
