"""Rows of the log as tables: columns that pandas can work with at once. Pure.

In: rows as mappings, the columns that are known. Out: DataFrames, figures of a state as flat columns. Shares are
fractions and amounts in coin, as the log has them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MARKET_FIGURES = {"atm_iv": "atm_iv_fraction", "rv": "rv_fraction", "iv_rv": "iv_rv_ratio"}
RISK_FIGURES = {"short_calls": "short_calls_coin", "margin_pct": "margin_used_pct", "net_delta": "net_delta"}
STATE_FIGURES = [f"{name}_{coin}" for coin in ("btc", "eth") for name in (*MARKET_FIGURES, *RISK_FIGURES)]


def frame_of(rows: Iterable[Mapping[str, Any]], known: list[str], wanted: Sequence[str] | None) -> pd.DataFrame:
    """Rows as columns, without a dict for each: the known ones always, others as they turn up.

    Only those wanted, where any are named; KeyError for one that no row has.
    """
    columns: dict[str, list[Any]] = {name: [] for name in (known if wanted is None else wanted)}
    count = 0
    for count, row in enumerate(rows, 1):
        for name in row.keys() - columns.keys() if wanted is None else ():
            columns[name] = [None] * (count - 1)
        for name, values in columns.items():
            value = row.get(name)
            values.append(sys.intern(value) if type(value) is str else value)
    names = {*known, *STATE_FIGURES, "reason"}
    strange = [name for name, values in columns.items() if name not in names and not any(v is not None for v in values)]
    if wanted is not None and strange:
        raise KeyError(f"no log has the column {strange[0]}: known are {', '.join(sorted(names))}")
    frame: pd.DataFrame = pandas_module().DataFrame(columns)
    return frame


def frame_with_times(rows: Iterable[Mapping[str, Any]], columns: list[str], times: Sequence[str]) -> pd.DataFrame:
    """Rows as just these columns: times in UTC, figures as floats."""
    frame = frame_of(rows, columns, columns)
    for name in times:
        frame[name] = pandas_module().to_datetime(frame[name], utc=True)
    numbers = [name for name in columns if name.endswith(("_coin", "_usd", "_delta", "_days", "_pct"))]
    return frame.astype(dict.fromkeys(numbers, float))


def state_figures(state: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a row of its own has of each coin of a logged state."""
    figures: dict[str, Any] = {}
    for part, names in (("markets", MARKET_FIGURES), ("risks", RISK_FIGURES)):
        for row in (state or {}).get(part) or ():
            coin = str(row.get("underlying")).lower()
            figures |= {f"{name}_{coin}": row.get(source) for name, source in names.items()}
    return figures


def times_of(texts: pd.Series[Any]) -> pd.Series[Any]:
    """ISO 8601 texts as UTC times, NaT where one is none."""
    times: pd.Series[Any] = pandas_module().to_datetime(texts, utc=True, format="ISO8601", errors="coerce")
    return times


def pandas_module() -> Any:
    """Imported when a table is made: a start of the agent needs none, and it takes half a second."""
    import pandas as pd

    return pd
