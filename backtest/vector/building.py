"""Builds a bank: the market paths of all seeds, laid out as columns.

In: settings, seeds, steps. Out: a Bank. What stands in it comes from the code that trades (paths.py, offers.py); only
what hangs on the account is left to the vector environment. Deterministic; no network, no disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from backtest.vector.bank import Bank
from backtest.vector.offers import Row, Sale
from backtest.vector.paths import MarketPath, market_path
from config import AgentConfig
from core.candidates import MAX_CANDIDATES
from models import Underlying
from paper_exchange.market.clocks import DAY_MS, HOUR_MS
from paper_exchange.market.times import session_start_ms


def build_bank(config: AgentConfig, seeds: Sequence[int], steps: int, step_hours: float) -> Bank:
    """A path a seed. `config` must fill by touch."""
    paths = [market_path(config, seed, steps, step_hours) for seed in seeds]
    return _as_columns(paths, config.enabled_underlyings, steps + 1)


def _as_columns(paths: Sequence[MarketPath], coins: Sequence[Underlying], moments: int) -> Bank:
    """Rows of all calls one after the other, behind those that belong to none."""
    empty = Row(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False, 0.0, 0.0)
    rows, terms = [empty] * (moments + 1), [(0, 0, 0.0, 0.0)] * (moments + 1)
    bases: list[dict[str, int]] = []
    for path in paths:
        bases.append({})
        for symbol, call in path.calls.items():
            bases[-1][symbol] = len(rows) - call.first_step
            expiry = call.listing.expires_at_ms // HOUR_MS
            rows += call.rows
            terms += [(expiry, call.ends_at_step, call.payoff_coin, call.delivery_fee_coin)] * len(call.rows)
    expiries, ends, payoffs_coin, fees_coin = zip(*terms, strict=True)
    return Bank(
        seeds=np.array([path.seed for path in paths]),
        of_state=np.concatenate([path.of_state for path in paths]),
        day=np.array([time_ms // DAY_MS for path in paths for time_ms in path.times_ms]),
        is_new_session=np.array([is_new for path in paths for is_new in _new_sessions(path)]),
        spot_usd=np.array([spots[coin] for coin in coins for path in paths for spots in path.spots_usd]),
        **_sale_columns(paths, bases, coins),
        **{name: np.array(column) for name, column in zip(Row._fields, zip(*rows, strict=True), strict=True)},
        expiry=np.array(expiries),
        ends_at_step=np.array(ends),
        payoff_coin=np.array(payoffs_coin),
        delivery_fee_coin=np.array(fees_coin),
    )


def _new_sessions(path: MarketPath) -> Iterator[bool]:
    sessions = [session_start_ms(time_ms) for time_ms in path.times_ms]
    yield False
    yield from (later > earlier for earlier, later in pairwise(sessions))


def _sale_columns(
    paths: Sequence[MarketPath], bases: Sequence[Mapping[str, int]], coins: Sequence[Underlying]
) -> dict[str, Any]:
    """One line a candidate, one place a moment."""
    lines: list[list[Sale]] = [[] for _ in range(MAX_CANDIDATES)]
    for coin in coins:
        for path, base_of in zip(paths, bases, strict=True):
            for sales in path.sales:
                found = [sale._replace(base=base_of[symbol]) for symbol, sale in sales[coin]]
                for line, sale in zip(lines, [*found, *[Sale()] * MAX_CANDIDATES], strict=False):
                    line.append(sale)
    columns = [zip(*line, strict=True) for line in lines]
    by_field = zip(*columns, strict=True)
    return {f"sale_{name}": np.array(column) for name, column in zip(Sale._fields, by_field, strict=True)}
