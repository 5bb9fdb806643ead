"""A sweep in a terminal of 80 columns: the ranking, what each value did, four looks at luck, and the verdict. Pure.

In: a Judgement. Out: lines. Sharpe ratios are shown a year (times the root of the periods in it); `later` is that of
the judged days, `DSR` the deflated one, `chance` the share of random entries that do as well, `past` how many pasts
would have chosen the trial.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from backtest.sweep.judging import Judgement, Ranked, WalkForward, by_value
from core.text import CONSOLE_COLUMNS, printable, wrapped

MOST_SHOWN = 10
MOST_VALUES = 8
DAYS_A_YEAR = 365.0
INDENT = " " * 14
FIGURES = f"{'#':>3} {'net USD':>9} {'Sharpe':>7} {'later':>7} {'DSR':>5} {'chance':>6} {'past':>5}"


def sweep_lines(found: Judgement, lengths: WalkForward, here: frozenset[str]) -> Iterator[str]:
    """`here`: the trials of this sweep; others of the same market are marked."""
    if not found.ranked:
        yield "no trial has traded to the end: nothing to rank"
    else:
        yield from _table(found, here)
        yield from _value_lines(found)
        yield ""
        yield from _looks(found, lengths)
    yield from _left_out(found)


def a_year(sharpe: float, return_days: float) -> float:
    return sharpe * math.sqrt(DAYS_A_YEAR / return_days)


# --- the ranking ------------------------------------------------------------------------------------


def _table(found: Judgement, here: frozenset[str]) -> Iterator[str]:
    names = list(dict.fromkeys(name for one in found.ranked for name in _varied(found.ranked, one)))
    shown = found.ranked[:MOST_SHOWN]
    cells = [[printable(_values(one).get(name, "-"), 20) for name in names] for one in shown]
    widths = [max(len(name), *(len(row[place]) for row in cells)) for place, name in enumerate(names)]
    fits = len(FIGURES) + sum(width + 2 for width in widths) <= CONSOLE_COLUMNS - 1
    yield FIGURES + ("".join(f"  {name:>{width}}" for name, width in zip(names, widths, strict=True)) if fits else "")
    for number, (one, row) in enumerate(zip(shown, cells, strict=True), 1):
        mark = "" if one.row.trial in here else "*"
        figures = _figures(number, one, len(found.steps))
        if fits:
            yield figures + "".join(f"  {cell:>{width}}" for cell, width in zip(row, widths, strict=True)) + mark
        else:
            yield figures + mark
            yield wrapped("    " + "  ".join(f"{name}={cell}" for name, cell in zip(names, row, strict=True)), "    ")
    if len(found.ranked) > MOST_SHOWN:
        yield f"    and {len(found.ranked) - MOST_SHOWN} more in ranking.csv"
    if any(one.row.trial not in here for one in shown):
        yield "  * of an earlier sweep of the same market and period"


def _varied(ranked: Sequence[Ranked], one: Ranked) -> Iterator[str]:
    """The names that are not the same in every trial, the policy first."""
    for name in _values(one):
        if len({_values(other).get(name) for other in ranked}) > 1:
            yield name


def _values(one: Ranked) -> Mapping[str, str]:
    return {"policy": one.row.policy, **one.row.values}


def _figures(number: int, one: Ranked, steps: int) -> str:
    days = one.row.return_days
    later = "-" if one.later is None else f"{a_year(one.later, days):+.2f}"
    chance = "-" if one.by_chance is None else _short(one.by_chance)
    deflated = "-" if one.deflated is None else _short(one.deflated)
    past = f"{one.chosen}/{steps}" if steps else "-"
    return (
        f"{number:>3} {one.row.net_usd:>+9,.0f} {a_year(one.sharpe, days):>+7.2f} {later:>7} "
        f"{deflated:>5} {chance:>6} {past:>5}"
    )


def _short(share: float) -> str:
    """.42; 1 where it rounds to it."""
    return f"{share:.2f}".removeprefix("0")


def _value_lines(found: Judgement) -> Iterator[str]:
    """A good value is good with most others; a lucky one is good alone."""
    days = found.ranked[0].row.return_days
    means: dict[str, list[str]] = {}
    for (name, value), (count, sharpe) in sorted(by_value(found.ranked).items(), key=lambda item: _in_order(item[0])):
        means.setdefault(name, []).append(f"{printable(value, 20)} {a_year(sharpe, days):+.2f} ({count})")
    told = {name: texts for name, texts in means.items() if 1 < len(texts) <= MOST_VALUES}
    if told:
        yield ""
        yield "mean Sharpe of each value (trials that had it)"
        yield from (wrapped(f"  {name}: " + ", ".join(texts), "    ") for name, texts in told.items())


def _in_order(key: tuple[str, str]) -> tuple[str, float, str]:
    name, value = key
    try:
        return name, float(value), ""
    except ValueError:
        return name, 0.0, value


# --- four looks at luck -----------------------------------------------------------------------------


def _looks(found: Judgement, lengths: WalkForward) -> Iterator[str]:
    yield _look("walk-forward", _walked_words(found, lengths))
    first = found.ranked[0]
    deflated = "not known" if first.deflated is None else _short(first.deflated)
    yield _look(
        "deflated", f"{deflated} for the first, counting all {found.trials_ever} trials ever run in this folder"
    )
    yield _look("overfitting", _overfitting_words(found))
    yield _look("random", _random_words(found))
    yield _look("verdict", _verdict(found))


def _look(name: str, words: str) -> str:
    return wrapped(f"{name:<{len(INDENT)}}{words}", INDENT)


def _walked_words(found: Judgement, lengths: WalkForward) -> str:
    if found.walked_sharpe is None:
        return f"not possible: {found.no_windows}"
    days = found.ranked[0].row.return_days
    earned_pct = 100.0 * math.fsum(step.later_return for step in found.steps)
    rank = math.fsum(step.later_rank for step in found.steps) / len(found.steps)
    return (
        f"{len(found.steps)} times chosen on {lengths.choose_days:g} days, judged on {lengths.judge_days:g} after a "
        f"pause of {lengths.pause_days:g}: the choice earned {earned_pct:+.2f} % afterwards, Sharpe "
        f"{a_year(found.walked_sharpe, days):+.2f}, better than {100.0 * rank:.0f} % of the others"
    )


def _overfitting_words(found: Judgement) -> str:
    if found.overfitting is None:
        return f"not known: {found.no_overfitting}"
    return (
        f"PBO {_short(found.overfitting)}: so often the best of one half of the time is below the median in the other"
    )


def _random_words(found: Judgement) -> str:
    if not found.random_sharpes:
        return "none were run (--random-entries)"
    days = found.ranked[0].row.return_days
    low, middle, high = (
        a_year(found.random_sharpes[int(share * (len(found.random_sharpes) - 1))], days) for share in (0.0, 0.5, 1.0)
    )
    return (
        f"{len(found.random_sharpes)} runs of random entries: Sharpe {low:+.2f} to {high:+.2f}, the middle one "
        f"{middle:+.2f}"
    )


def _verdict(found: Judgement) -> str:
    if not found.why_luck:
        return "the first trial is more than luck by all four"
    return f"no better than luck, as far as this shows: {'; '.join(found.why_luck)}"


def _left_out(found: Judgement) -> Iterator[str]:
    early = sum(row.ended_early for row in found.left_out)
    if early:
        yield f"{early} trials ended early; they are counted, not ranked"
    if len(found.left_out) > early:
        yield f"{len(found.left_out) - early} trials never traded; they are counted, not ranked"
