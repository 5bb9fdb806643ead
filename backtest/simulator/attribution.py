"""What moved the equity: index, volatility, time, execution, fees, settlement, and what none of them explains. Pure.

In: a run's ledger and the marks of each state. Out: an Attribution a coin, in coin; its parts add up to the change of
equity, because `residual_coin` is what is left. Between two states a held call is priced anew by Black-76 on spot, one
input at a time: the index, then volatility, then time. The forward's premium over spot is in the residual.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import pairwise

from core.pricing import black76_price_coin
from core.results.settlements import expired_position, symbols_of, with_settlements_summed
from core.results.steps import is_before
from models import ROUNDING, LedgerEntry

DAYS_PER_YEAR = 365.0


@dataclass(frozen=True)
class Mark:
    """A call as a state shows it: strike in USD, price in coin per contract; `size_coin` is what is sold of it."""

    coin: str
    strike_usd: float
    days: float
    price_coin: float
    iv_fraction: float | None
    size_coin: float

    def priced(self, spot_usd: float, iv_fraction: float, days: float) -> float:
        """Black-76 on spot, coin per contract."""
        return black76_price_coin(spot_usd, self.strike_usd, iv_fraction, max(days, 0.0) / DAYS_PER_YEAR, is_call=True)


@dataclass(frozen=True)
class MarkedStep:
    """The calls held and offered at one state, by symbol; `offered` is what a sale of this moment is held against."""

    at: datetime
    spot_usd: Mapping[str, float]
    equity_coin: Mapping[str, float]
    held: Mapping[str, Mark]
    offered: Mapping[str, Mark]


@dataclass(frozen=True)
class Attribution:
    """Parts of a change of equity, in coin. `execution`: trades against the mark; `settlement`: the last mark against
    what was paid at the expiry.
    """

    index_coin: float = 0.0
    volatility_coin: float = 0.0
    time_coin: float = 0.0
    execution_coin: float = 0.0
    fees_coin: float = 0.0
    settlement_coin: float = 0.0
    moved_coin: float = 0.0
    residual_coin: float = 0.0

    @property
    def total_coin(self) -> float:
        return math.fsum(getattr(self, field.name) for field in fields(self))


def attributions(entries: Sequence[LedgerEntry], steps: Sequence[MarkedStep]) -> dict[str, Attribution]:
    """By coin, from the first state to the last."""
    parts: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    rows, place = sorted(with_settlements_summed(entries), key=lambda entry: entry.booked_at), 0
    while steps and place < len(rows) and is_before(rows[place], steps[0].at):
        place += 1
    for before, after in pairwise(steps):
        begin = place
        while place < len(rows) and is_before(rows[place], after.at):
            place += 1
        _add_span(parts, rows[begin:place], before, after)
    coins = steps[0].equity_coin if steps else {}
    return {coin: _closed(parts[coin], coin, steps) for coin in coins}


def _closed(parts: Mapping[str, Sequence[float]], coin: str, steps: Sequence[MarkedStep]) -> Attribution:
    sums = {name: math.fsum(values) for name, values in parts.items()}
    change_coin = steps[-1].equity_coin[coin] - steps[0].equity_coin[coin]
    return Attribution(**sums, residual_coin=math.fsum([change_coin, *(-value for value in sums.values())]))


def _add_span(
    parts: dict[str, dict[str, list[float]]], rows: Sequence[LedgerEntry], before: MarkedStep, after: MarkedStep
) -> None:
    """All of one coin and another between two states."""
    known = {**before.offered, **before.held}
    sold: dict[str, float] = defaultdict(float, {symbol: mark.size_coin for symbol, mark in before.held.items()})
    for row in rows:
        _add_row(parts[row.currency], row, known, sold)
    for symbol, size_coin in sold.items():
        first, last = known.get(symbol), after.held.get(symbol)
        if first is not None and last is not None and size_coin > ROUNDING:
            spots = (before.spot_usd.get(first.coin), after.spot_usd.get(first.coin))
            _add_move(parts[first.coin], size_coin, first, last, spots)


def _add_row(
    parts: dict[str, list[float]], row: LedgerEntry, known: Mapping[str, Mark], sold: dict[str, float]
) -> None:
    if expired_position(row) is not None:
        parts["fees_coin"].append(-row.fee_coin)
        marks = [known[symbol].price_coin * sold.pop(symbol) for symbol in symbols_of(row) if symbol in known]
        parts["settlement_coin"].append(math.fsum([row.change_coin, row.fee_coin, *marks]))
        return
    if row.entry_type != "trade" or row.symbol is None:
        parts["moved_coin"].append(row.change_coin)
        return
    parts["fees_coin"].append(-row.fee_coin)
    amount_coin = row.amount_coin or 0.0
    sold[row.symbol] += amount_coin if row.is_sale else -amount_coin
    if row.symbol in known:
        mark_coin = known[row.symbol].price_coin * amount_coin
        parts["execution_coin"].append(row.before_fee_coin - (mark_coin if row.is_sale else -mark_coin))


def _add_move(
    parts: dict[str, list[float]],
    size_coin: float,
    first: Mark,
    last: Mark,
    spots_usd: tuple[float | None, float | None],
) -> None:
    """What a rise of the call's price costs its seller, input by input; nothing where an input is not known."""
    begin_usd, end_usd = spots_usd
    if begin_usd is None or end_usd is None or first.iv_fraction is None or last.iv_fraction is None:
        return
    start = first.priced(begin_usd, first.iv_fraction, first.days)
    moved = first.priced(end_usd, first.iv_fraction, first.days)
    revalued = first.priced(end_usd, last.iv_fraction, first.days)
    aged = first.priced(end_usd, last.iv_fraction, last.days)
    parts["index_coin"].append(-size_coin * (moved - start))
    parts["volatility_coin"].append(-size_coin * (revalued - moved))
    parts["time_coin"].append(-size_coin * (aged - revalued))
