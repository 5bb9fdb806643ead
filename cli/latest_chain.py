"""Keeps the chains of the last state beside the account: `latest_chain_<coin>.jsonl.gz`, each replaced whole.

In: the agent's memory of its last look. Out: files in the data folder that the dashboard, and `--recording`, can read.
A by-product: what the disk does not take is not kept, and stops nothing. Talks to the disk.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from core.log_lines.latest_chain import chain_record
from core.market_context import CoinData

QUICK = 1  # a chain shrinks to a fifth; the best level takes ten times as long for a sixth


def keep_latest_chains(folder: Path, coins: Sequence[CoinData], seen_at: datetime) -> None:
    """Put the chains of a state in the place of those before; a reader finds the old file or the new one."""
    for coin in coins:
        text = json.dumps(chain_record(coin, seen_at), allow_nan=False, separators=(",", ":")) + "\n"
        with suppress(OSError):
            _replace(folder / f"latest_chain_{coin.underlying}.jsonl.gz", gzip.compress(text.encode(), QUICK, mtime=0))


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
