"""Comparisons between calls, each with its n, its interval, or "too few calls to tell". Pure but for the seeded dice.

In: CallRows that have ended, oldest first. Out: Answers of facts and sentences (USD a call). The interval is that of a
circular block bootstrap over the calls in their order (90 %), so that runs of good and bad weeks stay runs; a
difference whose interval holds 0 may be chance, and is said to. Nothing here is corrected for looking at several
comparisons at once: they are hints for a backtest, no results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from backtest.statistics.bootstrap import Interval, bootstrap_interval, means
from backtest.statistics.samples import Floats, NotEnoughDataError
from dashboard.ask.facts import Answer, Fact
from dashboard.insights.calls import CallRow

SEED = 1
LEAST_OF_A_GROUP = 8
SATURDAY = 5


@dataclass(frozen=True)
class Insight:
    """`name` begins the names of its facts."""

    name: str
    facts: tuple[Fact, ...]
    sentence: str


def insights_of(rows: Sequence[CallRow], title: str) -> Answer:
    """All comparisons that the calls allow."""
    found = [_average(rows), _worst_share(rows), *_comparisons(rows)]
    facts = [fact for insight in found for fact in insight.facts]
    return Answer("insights", title, tuple(facts), tuple(insight.sentence for insight in found))


def _average(rows: Sequence[CallRow]) -> Insight:
    """What a call came to, against holding, which is 0."""
    results = np.array([row.result_usd for row in rows])
    n = Fact("average_n", "calls that have ended", len(rows), "count")
    try:
        interval = bootstrap_interval(results, means, seed=SEED)
    except NotEnoughDataError:
        return Insight("average", (n,), "{average_n} calls have ended: too few to tell what a call earns.")
    facts = (n, *_interval_facts("average", "result of a call", interval))
    sure = _is_sure(interval)
    end = "" if sure else ": that may be chance"
    sentence = (
        f"A call came to {{average_usd}} against holding ({{average_low}} to {{average_high}}, n = {{average_n}}){end}."
    )
    return Insight("average", facts, sentence)


def _worst_share(rows: Sequence[CallRow]) -> Insight:
    """How much of what the good calls brought the worst one took away."""
    gained = float(sum(row.result_usd for row in rows if row.result_usd > 0.0))
    worst = min((row.result_usd for row in rows), default=0.0)
    n = Fact("worst_n", "calls that have ended", len(rows), "count")
    if len(rows) < LEAST_OF_A_GROUP or gained <= 0.0:
        return Insight("worst", (n,), "{worst_n} calls have ended: too few to tell what a bad one takes away.")
    if worst >= 0.0:
        cost = Fact("worst_usd", "result of the worst call", worst, "USD")
        return Insight("worst", (n, cost), "None of {worst_n} calls lost: the worst came to {worst_usd}.")
    share = Fact("worst_share", "the worst call, of all gains", -100.0 * worst / gained, "%")
    cost = Fact("worst_usd", "result of the worst call", worst, "USD")
    sentence = (
        "The worst of {worst_n} calls came to {worst_usd}; it took {worst_share} of all that the good ones brought."
    )
    return Insight("worst", (n, cost, share), sentence)


def _comparisons(rows: Sequence[CallRow]) -> Iterator[Insight]:
    yield _halves(rows, "delta", "delta at the sale", lambda row: row.delta)
    yield _halves(rows, "days", "days to expiry at the sale", lambda row: row.days)
    weekend = [row.opened_at.weekday() >= SATURDAY for row in rows]
    yield _groups(rows, weekend, "weekend", "sold on a weekend", "on other days")
    if len({row.currency for row in rows}) == 2:
        yield _groups(rows, [row.currency == "BTC" for row in rows], "coin", "on BTC", "on ETH")


def _halves(rows: Sequence[CallRow], name: str, what: str, figure: Callable[[CallRow], float | None]) -> Insight:
    """Those above the median of a figure against the others."""
    known = [(row, value) for row in rows if (value := figure(row)) is not None]
    middle = float(np.median([value for _, value in known])) if known else None
    above = [value > (middle or 0.0) for _, value in known]
    limit = Fact(f"{name}_median", f"median {what}", middle, "days" if name == "days" else "ratio")
    found = _groups([row for row, _ in known], above, name, f"with {what} above {{{name}_median}}", "below")
    return Insight(name, (limit, *found.facts), found.sentence)


def _groups(rows: Sequence[CallRow], is_first: Sequence[bool], name: str, first: str, second: str) -> Insight:
    """The mean result of one group less that of the other."""
    results, mask = np.array([row.result_usd for row in rows]), np.array(is_first, dtype=bool)
    counts = (
        Fact(f"{name}_first_n", f"calls {name}, first group", int(mask.sum()), "count"),
        Fact(f"{name}_second_n", f"calls {name}, second group", int((~mask).sum()), "count"),
    )
    n = f"n = {{{name}_first_n}} and {{{name}_second_n}}"
    if min(int(mask.sum()), int((~mask).sum())) < LEAST_OF_A_GROUP:
        return Insight(name, counts, f"Calls {first} against those {second}: too few calls to tell ({n}).")

    def difference(samples: Floats) -> Floats:
        places = samples.astype(int)
        drawn, drawn_mask = results[places], mask[places]
        ones = np.where(drawn_mask, drawn, 0.0).sum(axis=-1) / np.maximum(drawn_mask.sum(axis=-1), 1)
        others = np.where(drawn_mask, 0.0, drawn).sum(axis=-1) / np.maximum((~drawn_mask).sum(axis=-1), 1)
        return np.asarray(ones - others)

    interval = bootstrap_interval(np.arange(len(rows), dtype=float), difference, seed=SEED)
    facts = (*counts, *_interval_facts(name, f"difference by {name}, a call", interval))
    end = "" if _is_sure(interval) else ": that may be chance"
    sentence = (
        f"Calls {first} came to {{{name}_usd}} more than those {second} ({{{name}_low}} to {{{name}_high}}, {n}){end}."
    )
    return Insight(name, facts, sentence)


def _interval_facts(name: str, what: str, interval: Interval) -> tuple[Fact, ...]:
    return (
        Fact(f"{name}_usd", what, interval.estimate, "USD"),
        Fact(f"{name}_low", f"{what}, lower end", interval.low, "USD"),
        Fact(f"{name}_high", f"{what}, upper end", interval.high, "USD"),
    )


def _is_sure(interval: Interval) -> bool:
    return interval.low > 0.0 or interval.high < 0.0
