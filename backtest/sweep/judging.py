"""What the trials of a sweep are worth, judged as the best of many: is the first of them more than luck?

In: TrialRows of one market and period, random entries on it, the Sharpe ratios of all trials ever run. Out: a
Judgement. Sharpe ratios are per period here. Four looks at the same trials: walk-forward (chosen on a past, judged on
what came after a pause), deflated Sharpe ratio, probability of backtest overfitting, random entries. Pure.

Sources: statistics/sharpe.py and statistics/overfitting.py; walk_forward.py for the pause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from backtest.statistics.overfitting import BLOCKS, overfitting
from backtest.statistics.samples import Floats, NotEnoughDataError
from backtest.statistics.sharpe import deflated_sharpe, record_of
from backtest.sweep.trials import TrialRow
from backtest.walk_forward import Period, WalkForwardError, Window, walk_forward

Mask = NDArray[np.bool_]

FEWEST_BLOCKS = 4
# Beyond these the first trial is called luck; they are conventions, not results.
LEAST_DEFLATED = 0.95
MOST_OVERFITTING = 0.2
MOST_BY_CHANCE = 0.05


@dataclass(frozen=True)
class WalkForward:
    """Days to choose on, to judge on and between the two."""

    choose_days: float
    judge_days: float
    pause_days: float


@dataclass(frozen=True)
class Ranked:
    """One trial. `later`: its Sharpe ratio on all judged days, None without windows; `chosen`: by how many pasts.

    `by_chance`: how often random entries do as well, counting itself among them; None where none were run.
    """

    row: TrialRow
    sharpe: float
    later: float | None
    deflated: float | None
    by_chance: float | None
    chosen: int


@dataclass(frozen=True)
class Step:
    """One window: the trial that its past would have chosen, and what came of it, as a sum of returns.

    `later_rank`: from 0, the worst of all trials in the judged days, to 1, the best.
    """

    window: Window
    chosen: TrialRow
    past_sharpe: float
    later_return: float
    later_rank: float


@dataclass(frozen=True)
class Judgement:
    """`ranked`: best first. `trials_ever`: what the deflated Sharpe ratio counts. `why_luck`: empty where it is not."""

    ranked: tuple[Ranked, ...]
    left_out: tuple[TrialRow, ...]
    trials_ever: int
    steps: tuple[Step, ...]
    walked_sharpe: float | None
    no_windows: str | None
    overfitting: float | None
    no_overfitting: str | None
    random_sharpes: tuple[float, ...]
    why_luck: tuple[str, ...]


def judge(
    rows: Sequence[TrialRow], by_chance: Sequence[TrialRow], ever: Sequence[TrialRow], lengths: WalkForward
) -> Judgement:
    """`rows` are the trials to rank; those that ended early or never moved are counted, but not ranked."""
    length = max((len(row.returns) for row in rows), default=0)
    traded = [row for row in rows if not row.ended_early and len(row.returns) == length and _moved(row)]
    table = np.array([row.returns for row in traded], dtype=np.float64).reshape(len(traded), length).T
    random_sharpes = tuple(sorted(_sharpe(np.array(row.returns)) for row in by_chance if len(row.returns) > 1))
    walk = _walk(traded, table, lengths)
    probability, no_overfitting = _overfitting(table)
    found = Judgement(
        ranked=_ranked(traded, table, walk, random_sharpes, _ever_sharpes(ever, traded)),
        left_out=tuple(row for row in rows if row not in traded),
        trials_ever=len({row.trial for row in (*ever, *rows)}),
        steps=walk.steps,
        walked_sharpe=_walked_sharpe(traded, table, walk),
        no_windows=walk.why_none,
        overfitting=probability,
        no_overfitting=no_overfitting,
        random_sharpes=random_sharpes,
        why_luck=(),
    )
    return replace(found, why_luck=tuple(_why_luck(found))) if found.ranked else found


def _moved(row: TrialRow) -> bool:
    return len(row.returns) > 2 and float(np.ptp(row.returns)) > 0.0


def _sharpe(returns: Floats) -> float:
    """0 where nothing moved: nothing was risked, nothing earned."""
    deviation = returns.std(ddof=1) if returns.size > 1 else 0.0
    return float(returns.mean() / deviation) if deviation > 0.0 else 0.0


def _ever_sharpes(ever: Sequence[TrialRow], traded: Sequence[TrialRow]) -> Floats:
    """Of all trials, brought to the periods of these by the square root of time."""
    known = {row.trial: row for row in (*ever, *traded)}.values()
    days = traded[0].return_days if traded else 1.0
    return np.array([_sharpe(np.array(row.returns)) * np.sqrt(days / row.return_days) for row in known])


# --- walk-forward -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Walk:
    """The steps with the periods that each one judges; without any, why."""

    steps: tuple[Step, ...] = ()
    judged: tuple[Mask, ...] = ()
    why_none: str | None = None


def _walk(traded: Sequence[TrialRow], table: Floats, lengths: WalkForward) -> _Walk:
    if not traded or traded[0].start is None:
        return _Walk(why_none="no trial traded")
    days = traded[0].return_days
    whole = Period(traded[0].start, traded[0].start + timedelta(days=days * len(table)))
    try:
        windows = walk_forward(
            whole, choose_days=lengths.choose_days, judge_days=lengths.judge_days, pause_days=lengths.pause_days
        )
    except WalkForwardError as error:
        return _Walk(why_none=str(error))
    parts = [tuple(_inside(part, whole.start_at, days, len(table)) for part in window) for window in windows]
    if any(mask.sum() < 2 for pair in parts for mask in pair):
        return _Walk(why_none="a part of a window has fewer than two returns")
    steps = [
        _step(window, traded, table[past], table[after]) for window, (past, after) in zip(windows, parts, strict=True)
    ]
    return _Walk(tuple(steps), tuple(after for _, after in parts))


def _inside(part: Period, start: datetime, days: float, count: int) -> Mask:
    """Which periods lie wholly in a part."""
    begins = np.arange(count) * days
    first, last = ((moment - start) / timedelta(days=1) for moment in part)
    return np.asarray((begins >= first - 1e-9) & (begins + days <= last + 1e-9))


def _step(window: Window, traded: Sequence[TrialRow], past: Floats, after: Floats) -> Step:
    sharpes, later = (np.array([_sharpe(column) for column in part.T]) for part in (past, after))
    place = int(sharpes.argmax())
    others = np.delete(later, place)
    rank = 0.5 if others.size == 0 else float(((others < later[place]) + 0.5 * (others == later[place])).mean())
    return Step(window, traded[place], float(sharpes[place]), float(after[:, place].sum()), rank)


def _walked_sharpe(traded: Sequence[TrialRow], table: Floats, walk: _Walk) -> float | None:
    """Of the returns of whatever was chosen, one judged part after the other."""
    if not walk.steps:
        return None
    column = {row.trial: number for number, row in enumerate(traded)}
    parts = [table[mask, column[step.chosen.trial]] for step, mask in zip(walk.steps, walk.judged, strict=True)]
    return _sharpe(np.concatenate(parts))


# --- the other three --------------------------------------------------------------------------------


def _overfitting(table: Floats) -> tuple[float | None, str | None]:
    """The probability, or why there is none; short periods are cut into fewer blocks."""
    blocks = min(BLOCKS, len(table) // 2 // 2 * 2)
    if table.shape[1] < 2:
        return None, "it takes two trials that traded"
    if blocks < FEWEST_BLOCKS:
        return None, f"{len(table)} returns are too few, {2 * FEWEST_BLOCKS} are needed"
    try:
        return overfitting(table, blocks).probability, None
    except NotEnoughDataError as error:
        return None, str(error)


def _ranked(
    traded: Sequence[TrialRow],
    table: Floats,
    walk: _Walk,
    random_sharpes: Sequence[float],
    ever_sharpes: Floats,
) -> tuple[Ranked, ...]:
    """By the Sharpe ratio on the judged days, without windows by that of all days."""
    variance = float(ever_sharpes.var(ddof=1)) if ever_sharpes.size > 1 else 0.0
    chosen = [step.chosen.trial for step in walk.steps]
    judged = np.any(walk.judged, axis=0) if walk.judged else None
    found = []
    for row, returns in zip(traded, table.T, strict=True):
        sharpe = _sharpe(returns)
        as_good = sum(other >= sharpe for other in random_sharpes)
        found.append(
            Ranked(
                row=row,
                sharpe=sharpe,
                later=None if judged is None else _sharpe(returns[judged]),
                deflated=_deflated(returns, ever_sharpes.size, variance),
                by_chance=(1 + as_good) / (1 + len(random_sharpes)) if random_sharpes else None,
                chosen=chosen.count(row.trial),
            )
        )
    return tuple(sorted(found, key=_place))


def _place(one: Ranked) -> tuple[float, str]:
    """The best first; equals in an order that does not depend on which of them ended first."""
    return -(one.sharpe if one.later is None else one.later), one.row.trial


def _deflated(returns: Floats, trials: int, variance: float) -> float | None:
    try:
        return deflated_sharpe(record_of(returns), trials, variance)
    except NotEnoughDataError:
        return None


def _why_luck(found: Judgement) -> Iterator[str]:
    """Each look that does not tell the first trial from luck."""
    first = found.ranked[0]
    if first.deflated is None or first.deflated < LEAST_DEFLATED:
        yield f"its deflated Sharpe ratio is {_known(first.deflated)}, {LEAST_DEFLATED:g} is wanted"
    if found.overfitting is None or found.overfitting > MOST_OVERFITTING:
        yield f"PBO is {_known(found.overfitting)}, at most {MOST_OVERFITTING:g} is wanted"
    if found.walked_sharpe is None or not found.walked_sharpe > 0.0:
        yield "there is no gain of what the past would have chosen"
    if first.by_chance is None or first.by_chance > MOST_BY_CHANCE:
        yield f"the share of random entries as good is {_known(first.by_chance)}, at most {MOST_BY_CHANCE:g} is wanted"


def _known(share: float | None) -> str:
    return "not known" if share is None else f"{share:.2f}"


def by_value(ranked: Sequence[Ranked]) -> Mapping[tuple[str, str], tuple[int, float]]:
    """For each value of each name: how many trials had it, and the mean of their Sharpe ratios."""
    found: dict[tuple[str, str], list[float]] = {}
    for one in ranked:
        for name, value in {"policy": one.row.policy, **one.row.values}.items():
            found.setdefault((name, value), []).append(one.sharpe)
    return {key: (len(sharpes), float(np.mean(sharpes))) for key, sharpes in found.items()}
