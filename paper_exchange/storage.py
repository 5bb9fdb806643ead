"""The paper account's file: read whole or not at all, replaced in one step.

In and out: a path and a PaperAccount. Writes a temporary file in the same folder, syncs it to disk and renames it
over the old one, so that a crash leaves either the old account or the new one. Talks to the disk only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from paper_exchange.account.account import PaperAccount
from paper_exchange.market.market import Market


class PaperAccountFileError(Exception):
    """The file is there but does not hold an account. Nothing is made up in its place: a person must decide."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} does not hold a paper account: {why}. Repair it, or move it away to start anew.")
        self.path = path
        self.why = why


def load_account(path: Path, market: Market, balances_coin: Mapping[str, float] | None = None) -> PaperAccount:
    """The account in the file, a fresh one with these balances where no file exists yet.

    Raises PaperAccountFileError for a file that is truncated, not JSON or not an account.
    """
    if not path.exists():
        return PaperAccount(market, balances_coin)
    try:
        return PaperAccount.from_json(market, _read_json(path))
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PaperAccountFileError(path, f"{where}: {first['msg']}") from None


def save_account(path: Path, account: PaperAccount) -> None:
    """Replace the file by the account as it is now. Raises OSError when the disk refuses."""
    text = json.dumps(account.to_json(), allow_nan=False, separators=(",", ":"))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as problem:
        raise PaperAccountFileError(path, str(problem)) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _sync_folder(folder: Path) -> None:
    # Without this a power cut can undo the rename although the file itself was synced.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
