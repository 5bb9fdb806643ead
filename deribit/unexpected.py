"""Replies that are not what was expected, kept for a bug report: which field, of which method, and the reply itself.

In: the result of a reply, and what is wrong with it. Out: a line for a person, once per method and field of a run, and
`<method>-<time>.json` in the folder (mode 0600, at most MOST_FILES of MOST_BYTES) with everything masked in it that
could be a secret or a person's. Writes files; no fault of the disk gets out of here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from core.text import plain_ascii, quotable
from deribit.known_fields import unexpected_fields
from deribit.symbols import kind_of
from models import Clock

MOST_FILES = 20
MOST_BYTES = 64_000
MOST_REPORTS = 100  # of one run: a server may make up names without end
MOST_ROWS = 10
MOST_DEPTH = 8
LINE_LETTERS = 78
NAME_LETTERS = 60
UNREADABLE = "could not be read"
NEVER_SAVED = ("public/auth",)  # hardly anything in it but tokens
# Fields about a person or a connection, whatever their value looks like.
PERSONAL = re.compile(r"user|mail|address|secret|token|password|phone|referrer|uuid|name$|_id$|^(id|ip|sid|label)$")
HARMLESS_NAMES = ("instrument_name", "index_name")
# Words of small letters, currencies, numbers of the size of a price, or nothing at all.
WORDS = re.compile(r"[a-z]{1,16}([ _][a-z]{1,16})*|[A-Z]{2,5}|-?\d{1,9}(\.\d{1,12})?|", re.ASCII)

Mask = Callable[[str], str]
Result = TypeVar("Result")


class UnexpectedReplies:
    """What one run has met that it did not expect. `tell` is given each line for a person."""

    def __init__(self, folder: Path, clock: Clock, tell: Callable[[str], None]) -> None:
        self._folder, self._clock, self._tell = folder, clock, tell
        self._reported: set[tuple[str, str]] = set()

    def read(self, method: str, result: Any, reader: Callable[[Any], Result], without_secrets: Mask) -> Result:
        """What the reader makes of a result; unknown fields are reported, and one that cannot be read is kept."""
        self.look_at(method, result, without_secrets)
        try:
            return reader(result)
        except Exception:
            self.note_unreadable(method, result, without_secrets)
            raise

    def look_at(self, method: str, result: object, without_secrets: Mask) -> None:
        """Report the fields of a result that nobody here has met."""
        self._report(method, unexpected_fields(method, result), result, without_secrets)

    def look_at_envelope(self, method: str, unknown: Mapping[str, object], without_secrets: Mask) -> None:
        """Report what stands beside a result under names that nobody here has met; the result has its own table."""
        self._report(method, sorted(f"envelope.{name}" for name in unknown), unknown, without_secrets)

    def _report(self, method: str, fields: Iterable[str], shown: object, without_secrets: Mask) -> None:
        new = self._not_yet_reported(method, fields)
        for field in new:
            self._say(f"{method}: unexpected field {_name_shown(field, without_secrets)}")
        if new:
            self._save(method, new, shown, without_secrets)

    def note_unreadable(self, method: str, result: object, without_secrets: Mask) -> None:
        """Keep a reply that could not be read; the error of the request says why."""
        if self._not_yet_reported(method, (UNREADABLE,)):
            self._save(method, [UNREADABLE], result, without_secrets)

    def _not_yet_reported(self, method: str, fields: Iterable[str]) -> list[str]:
        new = [field for field in fields if (method, field) not in self._reported]
        new = new[: MOST_REPORTS - len(self._reported)]
        self._reported |= {(method, field) for field in new}
        return new

    def _save(self, method: str, problems: list[str], result: object, without_secrets: Mask) -> None:
        """Neither a disk nor an odd value may cost an iteration."""
        if method in NEVER_SAVED:
            return
        now = self._clock.now()
        path = self._folder / f"{method.replace('/', '_')}-{now:%Y%m%dT%H%M%S%f}.json"
        about = {
            "method": method,
            "received_at": now.isoformat(),
            "unexpected": [_name_shown(problem, without_secrets) for problem in problems],
        }
        with suppress(OSError, ValueError):
            self._folder.mkdir(parents=True, exist_ok=True)
            if len(list(self._folder.iterdir())) < MOST_FILES:
                _write_new(path, _report_text(about, redacted(result, without_secrets)))
                self._say(f"kept for a bug report: {self._folder.name}/{path.name}")

    def _say(self, text: str) -> None:
        self._tell(plain_ascii(text, LINE_LETTERS))


def _report_text(about: Mapping[str, object], result: object) -> str:
    text = json.dumps({**about, "result": result}, indent=1)
    if len(text) <= MOST_BYTES:
        return text
    return json.dumps({**about, "result": f"left out, it has {len(text)} letters"}, indent=1)


def _write_new(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)


def redacted(value: object, without_secrets: Mask, depth: int = 0) -> object:
    """A reply as it can be shown to others: numbers, words and instruments stay, all other text is masked.

    So is every value whose field is about a person. `without_secrets` takes out of a text what is known to be secret.
    Of a list one row of each shape is kept, the rarest first.
    """
    if depth > MOST_DEPTH:
        return "***"
    if isinstance(value, dict):
        return {
            _name_shown(name, without_secrets): _value_shown(name, inside, without_secrets, depth)
            for name, inside in value.items()
        }
    if isinstance(value, list):
        return [redacted(row, without_secrets, depth + 1) for row in _one_of_each_shape(value)]
    return _text_shown(value, without_secrets) if isinstance(value, str) else value


def _value_shown(name: str, value: object, without_secrets: Mask, depth: int) -> object:
    is_personal = name not in HARMLESS_NAMES and PERSONAL.search(name.lower()) is not None
    return "***" if is_personal else redacted(value, without_secrets, depth + 1)


def _text_shown(text: str, without_secrets: Mask) -> str:
    is_harmless = WORDS.fullmatch(text) is not None or kind_of(text) in ("option", "future")
    return without_secrets(text) if is_harmless else "***"


def _name_shown(name: str, without_secrets: Mask) -> str:
    return plain_ascii(quotable(without_secrets(name)), NAME_LETTERS)


def _one_of_each_shape(rows: list[object]) -> list[object]:
    """Rows of the same names and types tell the same; the one that is wrong is not like the others."""
    by_shape: dict[object, list[object]] = {}
    for row in rows:
        by_shape.setdefault(_shape(row), []).append(row)
    return [alike[0] for alike in sorted(by_shape.values(), key=len)][:MOST_ROWS]


def _shape(row: object) -> object:
    return frozenset((name, type(value)) for name, value in row.items()) if isinstance(row, dict) else type(row)
