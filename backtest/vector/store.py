"""Keeps a bank on disk, so that it is built once: data/vector/bank-<hash>.npz.

In: settings, seeds, steps, a folder. Out: a Bank, read or built and written. The hash covers the settings, the seeds
and the code that the bank is made by, so that a file never outlives a change of either. Reads and writes disk.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from backtest.vector.bank import Bank
from backtest.vector.building import build_bank
from config import PROJECT_FOLDER, AgentConfig

MADE_BY = ("*.py", "core/**/*.py", "deribit/*.py", "orders/*.py", "paper_exchange/**/*.py", "backtest/environment/*.py")
BUILDERS = (
    "backtest/env_simulator.py",
    *(f"backtest/vector/{name}.py" for name in ("bank", "building", "offers", "paths")),
)
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
MANY_STEPS = 1_000  # from here on a person waits for the bank and wants to know why


def bank_of(
    config: AgentConfig, seeds: tuple[int, ...], steps: int, step_hours: float, folder: Path | None = None
) -> Bank:
    """The bank, from `folder` (data/vector unless given) where it is there."""
    folder = config.run.data_dir / "vector" if folder is None else folder
    path = folder / f"bank-{_digest(config, seeds, steps, step_hours)}.npz"
    found = _read(path)
    if found is not None:
        return found
    if len(seeds) * steps >= MANY_STEPS:
        sys.stderr.write(f"working out {len(seeds)} markets of {steps} steps, once: {path}\n")
    bank = build_bank(config, seeds, steps, step_hours)
    _write(path, bank)
    return bank


def _digest(config: AgentConfig, seeds: tuple[int, ...], steps: int, step_hours: float) -> str:
    digest = hashlib.sha256(f"{seeds} {steps} {step_hours}".encode())
    for section in (config.risk, config.btc, config.eth, config.run):
        digest.update(section.model_dump_json(exclude={"log_dir", "data_dir", "kill_file"}).encode())
    for path in _sources():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    for pattern in (*MADE_BY, *BUILDERS):
        yield from sorted(PROJECT_FOLDER.glob(pattern))


def _read(path: Path) -> Bank | None:
    """None where there is no file, or one that is not whole: then it is built again."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as columns:
            return Bank(**{field.name: columns[field.name] for field in fields(Bank)})
    except UNREADABLE:
        return None


def _write(path: Path, bank: Bank) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with unfinished.open("wb") as file:
        np.savez(file, **asdict(bank))
    unfinished.replace(path)
