"""What a chain's reply means, as columns: bytes in, Quotes of core/chain.py out, with the units of deribit/replies.py.

An empty side (null or 0.0) is NaN, percent IV a fraction, milliseconds UTC times. Text where a number belongs, NaN and
infinity raise InvalidReplyError. Pure: no network, no disk, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import NoneType
from typing import Any

import numpy as np

from core.chain import Quotes
from core.columns import Floats, Times
from deribit.replies import finite, utc_from_ms
from models import InvalidReplyError


def read_quotes(result: object) -> Quotes:
    """A whole chain in one pass, column by column: there are two thousand rows in every iteration."""
    if not isinstance(result, list):
        raise InvalidReplyError("a list was expected in the reply")
    if not _types_of(result) <= {dict}:
        raise InvalidReplyError("an object was expected in every row of the chain")
    symbols = tuple(row.get("instrument_name") for row in result)
    if not _types_of(symbols) <= {str}:
        raise InvalidReplyError("a row of the chain has no instrument_name")
    return Quotes(
        symbols=symbols,
        bid_price_coin=_quoted_column(result, "bid_price"),
        ask_price_coin=_quoted_column(result, "ask_price"),
        mark_price_coin=_quoted_column(result, "mark_price"),
        mark_iv_fraction=_quoted_column(result, "mark_iv") / 100.0,
        underlying_price_usd=_quoted_column(result, "underlying_price"),
        quoted_at=_time_column(result, "creation_timestamp"),
    )


def _types_of(values: Iterable[object]) -> set[type]:
    return set(map(type, values))


def _quoted_column(chain: list[dict[str, Any]], key: str) -> Floats:
    """Numbers above zero, NaN for null and 0.0; raises InvalidReplyError on anything else."""
    values = [row.get(key) for row in chain]
    if not _types_of(values) <= {float, NoneType}:
        values = [None if value is None else finite(value) for value in values]
    column = np.array(values, dtype=np.float64)
    if np.count_nonzero(np.isfinite(column)) + values.count(None) < len(values):
        raise InvalidReplyError(f"a row of the chain has a {key} that is not a finite number")
    return np.where(column > 0.0, column, np.nan)


def _time_column(chain: list[dict[str, Any]], key: str) -> Times:
    values = [row.get(key) for row in chain]
    if not _types_of(values) <= {int, NoneType}:
        raise InvalidReplyError(f"a row of the chain has a {key} that is not a time in milliseconds")
    for milliseconds in set(values) - {None}:  # one or two: all rows of a chain were made at the same time
        utc_from_ms(milliseconds)
    return np.array(values, dtype="datetime64[ms]").astype("datetime64[us]")
