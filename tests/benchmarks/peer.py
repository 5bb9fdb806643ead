"""A peer's vectorised backtest on the same recorded rows, as a yardstick: python tests/benchmarks/peer.py CHAINS

Run by hand in an environment of its own (pip install optopsy==2.2.0), never in the test run: it needs nothing of this
project. In: the recorded chains, whole (a file a coin and month). Out: a line each for reading the rows and for the
backtest, in CPU seconds. It answers another question than ours: what every call would have made until its last
quote, without account, margin, orders or settlement; so the figure says what pandas costs on these rows, no more.
Prices of quotes are multiplied by the index, since the peer knows no options priced in coin.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import process_time
from typing import Any

import optopsy  # type: ignore[import-not-found, unused-ignore]
import pandas as pd

HOLD = {"max_entry_dte": 35, "exit_dte": 1, "raw": True}


def main(folder: Path) -> None:
    started = process_time()
    rows = pd.DataFrame(rows_of(folder))
    read = process_time()
    trades = optopsy.short_calls(rows, **HOLD)
    done = process_time()
    print(f"reading {len(rows):,} calls: {read - started:.1f} s CPU")
    print(f"optopsy.short_calls: {done - read:.1f} s CPU, {len(trades):,} calls sold and followed")
    print(
        f"{len(trades) / (done - read):,.0f} a CPU-second without reading, {len(trades) / (done - started):,.0f} with"
    )


def rows_of(folder: Path) -> Iterator[dict[str, object]]:
    """One call of one snapshot a row, as the peer wants it; the last snapshot of a day stands for the day."""
    for path in sorted(folder.glob("*.jsonl.gz")):
        newest: dict[str, dict[str, Any]] = {}
        with gzip.open(path, "rt") as lines:
            for line in lines:
                snapshot = json.loads(line)
                newest[f"{datetime.fromtimestamp(snapshot['recorded_at'] / 1000.0, UTC):%Y-%m-%d}"] = snapshot
        for day, snapshot in newest.items():
            yield from _calls(day, snapshot)


def _calls(day: str, snapshot: dict[str, Any]) -> Iterator[dict[str, object]]:
    index_usd: float = snapshot["index_price"]
    for quote in snapshot["book_summaries"]:
        coin, expiry, strike, kind = quote["instrument_name"].split("-")
        if kind == "C" and quote["bid_price"] and quote["ask_price"]:
            yield {
                "underlying_symbol": coin,
                "underlying_price": index_usd,
                "option_type": "call",
                "expiration": datetime.strptime(expiry, "%d%b%y"),  # noqa: DTZ007 - the peer knows no time zones
                "quote_date": datetime.fromisoformat(day),
                "strike": float(strike),
                "bid": quote["bid_price"] * index_usd,
                "ask": quote["ask_price"] * index_usd,
            }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
