"""What may never stand in a file or on a console, and how files must be kept (I15 I17 I21 I23).

In: a View. Out: a line for each breach. Lines that the schedule itself destroyed are not in the trace's list of
unreadable ones. Reads file modes, otherwise pure.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import NoReturn
from urllib.parse import quote

from tests.campaign.checks.joins import View

LOGS = ("orders-", "decisions-")
RUN_CANARY_LETTERS = 8
PIECE_LETTERS, PIECE_STEP = 4, 5  # every 8 letters in a row hold one whole piece of 4 that begins at a multiple of 5


def lines_parse(view: View) -> Iterator[str]:
    """I15: every line is JSON, without NaN or infinity."""
    for line in view.trace.unparsable_lines:
        yield f"a line does not parse: {line[:80]!r}"
    for name, content in view.trace.raw_files.items():
        if name.endswith(".jsonl") and (b"NaN" in content or b"Infinity" in content):
            yield from (f"{name}: {problem}" for problem in _constants(content))


def _constants(content: bytes) -> Iterator[str]:
    for number, line in enumerate(content.splitlines(), 1):
        if b"NaN" in line or b"Infinity" in line:
            try:
                json.loads(line, parse_constant=_refuse)
            except _NotANumberError as error:
                yield f"line {number} holds {error}"
            except ValueError:
                continue  # does not parse at all: stands in the trace's own list


class _NotANumberError(Exception):
    pass


def _refuse(constant: str) -> NoReturn:
    raise _NotANumberError(constant)


def append_only(view: View) -> Iterator[str]:
    """I17: whole lines never change once they are written; exempt where somebody took a file away (D05, D11)."""
    if any(row in ("D05", "D11") for _, _, row in view.trace.disk_faults):
        return
    for name in view.trace.rewritten_files:
        yield f"{name}: whole lines changed after they were written"


def files_are_private(view: View) -> Iterator[str]:
    """I23: the logs, and what was set aside of them, can be read by their owner only."""
    for path in sorted(view.trace.folder.rglob("*-*.*")):
        mode = path.stat().st_mode & 0o777
        if path.name.startswith(LOGS) and mode & 0o077:
            yield f"{path.name} has mode {mode:o}"


# --- secrets ---------------------------------------------------------------------------------------------


def secrets_stay_secret(view: View) -> Iterator[str]:
    """I21: id, secret and tokens are in no file and on no console, raw or encoded, nor 8 letters of a secret."""
    texts = dict(view.trace.raw_files)
    for life in view.trace.lives:
        texts[f"the output of life {life.number}"] = life.output.encode(errors="replace")
        texts[f"the error of life {life.number}"] = (life.error or "").encode(errors="replace")
    wholes, secrets = _canaries(view)
    forms = sorted({form for value in wholes for form in _forms(value)})
    for name, content in texts.items():
        if any(form in content for form in forms):
            yield f"{name} holds a credential"
        for secret in sorted(secrets):
            if _holds_a_run(content, secret):
                yield f"{name} holds {RUN_CANARY_LETTERS} letters of a secret in a row"


def _canaries(view: View) -> tuple[set[str], set[str]]:
    """What must never be seen: whole credentials and tokens, and secrets of which no part may be seen."""
    wholes, secrets = set(view.trace.secrets), set(view.trace.secrets)
    for call in view.trace.calls:
        if call.method == "public/auth":
            secrets.add(str(call.params.get("client_secret", "")))
            token = (call.answered or {}).get("result") or {}
            names = {str(call.params.get("client_id", "")), str(call.params.get("client_secret", ""))}
            wholes |= names | {str(token.get(name, "")) for name in ("access_token", "refresh_token")}
    return {it for it in wholes if len(it) >= 6}, {it for it in secrets if len(it) >= RUN_CANARY_LETTERS}


def _forms(value: str) -> Iterator[bytes]:
    yield value.encode()
    yield quote(value, safe="").encode()
    yield json.dumps(value)[1:-1].encode()
    yield base64.b64encode(value.encode()).rstrip(b"=")


def _holds_a_run(content: bytes, secret: str) -> bool:
    letters = secret.encode()
    pieces = (letters[at : at + PIECE_LETTERS] for at in range(0, len(letters) - PIECE_LETTERS + 1, PIECE_STEP))
    if not any(piece in content for piece in pieces):
        return False
    runs = (letters[at : at + RUN_CANARY_LETTERS] for at in range(len(letters) - RUN_CANARY_LETTERS + 1))
    # A made-up secret may hold a word that stands elsewhere by right; a run with a digit in it is nobody's word.
    return any(run in content for run in runs if any(chr(letter).isdigit() for letter in run))
