"""Where a line's whole option chain can still be found: the agent's latest ones, or recorded ones; None else.

In: the data folder, a coin, the time of a state. Out: a SeenChain, as a decision saw it or (recorded within a minute)
nearly so, with words about which. Never raises for what a file holds. Reads files.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from core.log_lines.latest_chain import coin_data_of, to_ms
from core.log_lines.old_lines import json_object
from core.market_context import CoinData
from dashboard.log_index.files import stamp_of
from deribit.symbols import parse_symbol
from models import UNDERLYINGS, OptionInstrument
from paper_exchange.market.market import MIN_TRADE_AMOUNT, TICK_SIZE, TICK_STEPS
from paper_exchange.recorded.files import RecordHead, RecordingError, RecordReader, scan_recording

NEAR_MS = 60_000
LARGEST_LATEST_BYTES = 20_000_000


@dataclass(frozen=True)
class SeenChain:
    """A chain, and whether it is the very one of the line."""

    coin: CoinData
    is_exact: bool
    source: str


def chain_of_line(data_dir: Path, coin: str, at: datetime) -> SeenChain | None:
    """The chain of a coin at the time of a state."""
    latest = data_dir / f"latest_chain_{coin}.jsonl.gz"
    found = _latest(latest, stamp_of(latest)) if latest.exists() else None
    if found is not None and found[0] == to_ms(at):
        return SeenChain(found[1], True, "the agent's latest chain, the very one it decided on")
    return _recorded(data_dir / "chains", coin, at)


@lru_cache(maxsize=4)
def _latest(path: Path, stamp: str) -> tuple[int, CoinData] | None:  # noqa: ARG001 - the stamp is part of the key
    try:
        with gzip.open(path) as file:
            record = json_object(file.read(LARGEST_LATEST_BYTES)) or {}
        return int(record["recorded_at"]), coin_data_of(record, usual_terms)
    except (OSError, EOFError, zlib.error, KeyError, TypeError, ValueError):
        return None  # another version's, or not a chain at all


def _recorded(folder: Path, coin: str, at: datetime) -> SeenChain | None:
    """The recorded snapshot nearest to the time, where one is near enough."""
    names = (f"{coin}_{at:%Y-%m-%d}.jsonl*", f"{coin}_{at:%Y-%m}.jsonl*")
    heads = [head for name in names for path in folder.glob(name) for head in _heads(path, stamp_of(path))]
    near = min(heads, key=lambda head: abs(head.recorded_at_ms - to_ms(at)), default=None)
    if near is None or abs(near.recorded_at_ms - to_ms(at)) > NEAR_MS:
        return None
    try:
        read = coin_data_of(RecordReader().read(near), usual_terms)
    except (RecordingError, KeyError, TypeError, ValueError):
        return None
    seconds = abs(near.recorded_at_ms - to_ms(at)) / 1000.0
    return SeenChain(read, seconds < 1.0, f"the chain recorded {seconds:.0f} s from this line")


@lru_cache(maxsize=64)
def _heads(path: Path, stamp: str) -> tuple[RecordHead, ...]:  # noqa: ARG001 - the stamp is part of the key
    try:
        return tuple(scan_recording(path))
    except RecordingError:
        return ()


def usual_terms(symbol: str) -> OptionInstrument | None:
    """An option by its name, with Deribit's usual ticks; None for what is no inverse option of a coin we trade."""
    parts = parse_symbol(symbol)
    if parts.expiry is None or parts.strike_usd is None or parts.option_type is None:
        return None
    coin = next((coin for coin in UNDERLYINGS if coin == parts.underlying), None)
    if coin is None:
        return None
    return OptionInstrument(
        symbol=symbol,
        underlying=coin,
        strike=parts.strike_usd,
        expiry=parts.expiry,
        option_type=parts.option_type,
        contract_size_coin=1.0,
        min_trade_amount_coin=MIN_TRADE_AMOUNT[coin],
        tick_size_coin=TICK_SIZE,
        tick_steps=TICK_STEPS,
    )
