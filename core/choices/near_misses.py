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


class Missed(NamedTuple):
    """The calls that failed one check only, as columns. `calls`: their places among all; `check_of`: the check's."""

    calls: Integers
    check_of: Integers
    values: Floats
    limits: Floats
    distances: Floats
    can_be_mended: Bools


def missed_once(checks: Sequence[Check], failed: Bools) -> Missed:
    """Of all coins; `failed` has a row for each check."""
    calls = np.flatnonzero(failed.sum(axis=0) == 1)
    check_of = failed.take(calls, axis=1).argmax(axis=0)
    values = np.array([check.values for check in checks])[check_of, calls]
    limits = np.array([check.limits for check in checks])[check_of, calls]
    distances = np.abs(values - limits) / np.maximum(np.abs(limits), LEAST_LIMIT)
    distances[np.isnan(distances)] = math.inf
    widest = np.array([check.widest for check in checks]).take(check_of)
    return Missed(calls, check_of, values, limits, distances, ~(values > widest))


def nearest_misses(
    coin: CoinData, checks: Sequence[Check], missed: Missed, are_own: Bools, rows: Integers, premiums_usd: Floats
) -> Iterator[NearMiss]:
    """Those of one coin, the nearest first.

    `are_own`, `rows` (places in the coin's chain) and `premiums_usd` have an entry for each call of all coins.
    """
    missed_rows, missed_usd = rows.take(missed.calls), premiums_usd.take(missed.calls)
    which = np.flatnonzero(are_own.take(missed.calls) & missed.can_be_mended)
    symbols = coin.chain.symbols
    for place in first_few(symbols, missed_rows, which, MAX_NEAR_MISSES, missed.distances, -missed_usd):
        check, limit = checks[missed.check_of.item(place)], missed.limits.item(place)
        value = number_or_none(missed.values.item(place))
        yield NearMiss(
            symbol=symbols[missed_rows.item(place)],
            underlying=coin.underlying,
            rule=check.rule,
            value=value,
            limit=limit,
            premium_usd=missed_usd.item(place),
            change=check.change(value, limit, coin.underlying),
        )


def first_few(symbols: Sequence[str], rows: Integers, which: Integers, count: int, *keys: Floats) -> list[int]:
    """Some of these rows, at most so many, those with the smallest keys first; symbols decide between equals."""
    if len(which) > count:
        first = keys[0].take(which)
        which = which[first <= np.partition(first, count - 1)[count - 1]]  # the others need no sorting
    columns = [key.take(which).tolist() for key in keys]
    names = [symbols[row] for row in rows.take(which).tolist()]
    return [place for *_, place in sorted(zip(*columns, names, which.tolist(), strict=True))][:count]
