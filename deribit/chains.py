"""What a chain's reply means, as columns: bytes in, Quotes of core/chain.py out, with the units of deribit/replies.py.

An empty side (null or 0.0) is NaN, percent IV a fraction, milliseconds UTC times. Text where a number belongs, NaN and
infinity raise InvalidReplyError. Pure: no network, no disk, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from types import NoneType
from typing import Any

import numpy as np

from core.chain import Quotes
from core.columns import Floats, Times, above_zero
from deribit.replies import finite, utc_from_ms
from models import InvalidReplyError

FIELDS = (
    *("instrument_name", "bid_price", "ask_price", "mark_price", "mark_iv", "underlying_price"),
    "creation_timestamp",
)


def read_quotes(result: object) -> Quotes:
    """A whole chain in one pass, column by column: there are two thousand rows in every iteration."""
    if not isinstance(result, list):
        raise InvalidReplyError("a list was expected in the reply")
    if not _types_of(result) <= {dict}:
        raise InvalidReplyError("an object was expected in every row of the chain")
    symbols, bids, asks, marks, mark_ivs, forwards, times = _columns(result)
    if not _types_of(symbols) <= {str}:
        raise InvalidReplyError("a row of the chain has no instrument_name")
    return Quotes(
        symbols=symbols,
        bid_price_coin=_quoted_column("bid_price", bids),
        ask_price_coin=_quoted_column("ask_price", asks),
        mark_price_coin=_quoted_column("mark_price", marks),
        mark_iv_fraction=_quoted_column("mark_iv", mark_ivs) / 100.0,
        underlying_price_usd=_quoted_column("underlying_price", forwards),
        quoted_at=_time_column("creation_timestamp", times),
    )


def _columns(chain: list[dict[str, Any]]) -> Sequence[tuple[Any, ...]]:
    """FIELDS of all rows, None where one is left out."""
    try:
        return [*zip(*map(itemgetter(*FIELDS), chain), strict=True)] or [()] * len(FIELDS)
    except KeyError:
        return [tuple([row.get(field) for row in chain]) for field in FIELDS]


def _types_of(values: Iterable[object]) -> set[type]:
    return set(map(type, values))


def _quoted_column(field: str, values: Sequence[Any]) -> Floats:
    """Numbers above zero, NaN for null and 0.0; raises InvalidReplyError on anything else."""
    if not _types_of(values) <= {float, NoneType}:
        values = [None if value is None else finite(value) for value in values]
    column = np.array(values, dtype=np.float64)
    if np.count_nonzero(np.isfinite(column)) + values.count(None) < len(values):
        raise InvalidReplyError(f"a row of the chain has a {field} that is not a finite number")
    return above_zero(column)


def _time_column(field: str, values: Sequence[Any]) -> Times:
    if not _types_of(values) <= {int, NoneType}:
        raise InvalidReplyError(f"a row of the chain has a {field} that is not a time in milliseconds")
    different = set(values)  # one or two: all rows of a chain were made at the same time
    for milliseconds in different - {None}:
        utc_from_ms(milliseconds)
    of_each = values if len(different) > 1 else [*different]
    column = np.array(of_each, dtype="datetime64[ms]").astype("datetime64[us]")
    return column if len(different) > 1 else np.full(len(values), column)
