"""The nearest misses: calls that fail one setting only, and what to write into .env to admit each. Pure.

In: the settings as checks of a column of calls, one row a check. Out: of each coin the MAX_NEAR_MISSES calls nearest to
their limits, as a share of the limit, so that misses of all rules compare. Premiums are USD per contract.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple

import numpy as np

from core.chain import number_or_none
from core.columns import Bools, Floats, Integers
from core.market_context import CoinData
from models import NearMiss, Underlying

MAX_NEAR_MISSES = 3
LEAST_LIMIT = 1e-9  # what a limit of 0 counts as where a distance is put in relation to it


class Check(NamedTuple):
    """A setting and the calls that fail it. `digits`: how finely it is changed; `widest`: the most it accepts."""

    rule: str
    setting: str
    fails: Bools
    values: Floats
    limits: Floats
    digits: int
    is_of_all_coins: bool = False
    widest: float = math.inf

    def change(self, value: float | None, limit: float, coin: Underlying) -> str:
        """The line for .env that would admit a call of this value, rounded so that it really does."""
        if value is None:
            return f"{coin}_{self.setting}=0 (IV/RV is not known)"
        name = self.setting if self.is_of_all_coins else f"{coin}_{self.setting}"
        exact = Decimal(repr(value))
        digits = max(self.digits, 1 - exact.adjusted())  # a delta of 0.00004 must not become 0
        rounding = ROUND_FLOOR if value < limit else ROUND_CEILING
        return f"{name}={float(exact.quantize(Decimal(1).scaleb(-digits), rounding)):.12g}"


class SomeCalls(NamedTuple):
    """Some of the calls of all coins, one coin after the other.

    `places`: where they stand among all; `spans`: which of them are each coin's.
    """

    places: Integers
    symbols: list[str]
    spans: list[slice]

    def first_few(self, count: int, *keys: Floats) -> Iterator[list[int]]:
        """Of each coin at most so many, those with the smallest keys first; symbols decide between equals."""
        columns = [*[key.tolist() for key in keys], self.symbols, range(len(self.symbols))]
        for own in self.spans:
            yield [number for *_, number in sorted(zip(*[column[own] for column in columns], strict=True))[:count]]


def spans_until(ends: Sequence[int]) -> list[slice]:
    """The stretches that end there, one after the other."""
    return [*map(slice, (0, *ends), ends)]


class Missed(NamedTuple):
    """The calls that failed one check only, one that can be changed. `calls`: their places; `check_of`: the check's."""

    calls: Integers
    check_of: Integers
    values: Floats
    limits: Floats


def missed_once(checks: Sequence[Check], fails: Bools, is_sellable: Bools) -> Missed:
    """Of all coins; `fails` has a row for each check. What is not sellable no setting can mend."""
    calls = np.flatnonzero(is_sellable & (fails.sum(axis=0, dtype=np.int8) == 1))
    check_of = fails.take(calls, axis=1).argmax(axis=0)
    values = np.array([check.values for check in checks])[check_of, calls]
    can_be_mended = np.flatnonzero(~(values > np.array([check.widest for check in checks]).take(check_of)))
    calls, check_of, values = calls.take(can_be_mended), check_of.take(can_be_mended), values.take(can_be_mended)
    return Missed(calls, check_of, values, np.array([check.limits for check in checks])[check_of, calls])


def nearest_misses(
    coins: Sequence[CoinData], checks: Sequence[Check], missed: Missed, calls: SomeCalls, premiums_usd: Floats
) -> Iterator[tuple[NearMiss, ...]]:
    """Those of each coin, the nearest first; `calls` and `premiums_usd` are of those missed."""
    distances = np.abs(missed.values - missed.limits) / np.maximum(np.abs(missed.limits), LEAST_LIMIT)
    distances[np.isnan(distances)] = math.inf
    nearest = calls.first_few(MAX_NEAR_MISSES, distances, -premiums_usd)
    for coin, numbers in zip(coins, nearest, strict=True):
        named = [(n, calls.symbols[n], premiums_usd.item(n)) for n in numbers]
        yield tuple([_near_miss(coin.underlying, checks, missed, *one) for one in named])


def _near_miss(
    coin: Underlying, checks: Sequence[Check], missed: Missed, number: int, symbol: str, premium_usd: float
) -> NearMiss:
    check, limit = checks[missed.check_of.item(number)], missed.limits.item(number)
    value = number_or_none(missed.values.item(number))
    return NearMiss(
        symbol=symbol,
        underlying=coin,
        rule=check.rule,
        value=value,
        limit=limit,
        premium_usd=premium_usd,
        change=check.change(value, limit, coin),
    )
