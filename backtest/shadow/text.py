"""What a comparison of shadows has found, in lines of at most 80 columns. Pure.

In: Compared, what each policy made, the model's training cut-off. Out: text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date

from backtest.replay.text import action_words
from backtest.shadow.compared import ACTING, Compared, Wanted, agreement, kind_of, shadow_names
from backtest.shadow.money import Made
from core.text import printable, wrapped

INDENT = " " * 5
MOST_SHOWN = 10


def report_lines(found: Compared, lines_read: int, made: Sequence[Made], cutoff: str) -> Iterator[str]:
    """Everything, shadow by shadow, then the money of all."""
    yield f"{lines_read} lines with a state, {len(found.points)} decision points (more than one action allowed)"
    if not found.points:
        yield "nothing to compare: on all other lines every policy does nothing"
        return
    names = shadow_names(found)
    if not names:
        yield "no line holds a shadow: run the agent with --shadow NAME"
    yield from (line for name in (ACTING, *names) for line in _coverage_lines(found, name))
    yield from (line for name in names for line in _agreement_lines(found, name))
    yield from _money_lines(made, len(found.points))
    yield from (wrapped(line) for line in cutoff_lines(found, cutoff))


def _coverage_lines(found: Compared, name: str) -> Iterator[str]:
    """How many of the decisions were its own; of a model the others by the name of what happened."""
    decided = [wanted for wanted in found.wanted[name] if wanted is not None]
    own = len([wanted for wanted in decided if wanted.is_own])
    others = Counter(_why_not_own(wanted) for wanted in decided if not wanted.is_own)
    said = "".join(f", {count} {why}" for why, count in others.most_common())
    share = f" ({100.0 * own / len(decided):.0f} %)" if decided else ""
    unasked = len(found.points) - len(decided)
    said += f"; not asked at {unasked} others" if unasked else ""
    yield wrapped(f"{printable(name)}: decided itself at {own} of {len(decided)} decision points{share}{said}")


def _why_not_own(wanted: Wanted) -> str:
    call = wanted.action.model_call
    return "failed" if call is None else call.outcome


def _agreement_lines(found: Compared, name: str) -> Iterator[str]:
    """Over the decisions of its own alone: a fallback is nobody's opinion."""
    pairs = [pair for pair in found.pairs(name) if pair[2].is_own]
    agreed = agreement(pairs)
    if not agreed.count:
        return
    kappa = "not defined (one kind of action only)" if agreed.kappa is None else f"{agreed.kappa:.2f}"
    yield wrapped(
        f"{printable(name)} and the acting policy: the same action at {agreed.same} of {agreed.count} "
        f"({100.0 * agreed.same / agreed.count:.0f} %), Cohen's kappa {kappa}"
    )
    differing = [pair for pair in pairs if kind_of(pair[0], pair[1].action) != kind_of(pair[0], pair[2].action)]
    for point, acting, other in differing[:MOST_SHOWN]:
        yield f"{point.state.timestamp:%Y-%m-%d %H:%M}"
        yield wrapped(f"{INDENT}acting: {_words(acting)}", INDENT + "  ")
        yield wrapped(f"{INDENT}{printable(name)}: {_words(other)}", INDENT + "  ")
    if len(differing) > MOST_SHOWN:
        yield f"and {len(differing) - MOST_SHOWN} more"
    if differing:
        yield f"all {len(differing)} by kind:"
    kinds = Counter((kind_of(one, acting.action), kind_of(one, other.action)) for one, acting, other in differing)
    for (mine, theirs), count in kinds.most_common(MOST_SHOWN):
        yield f"{INDENT}{count:>5}  {mine} -> {theirs}"


def _words(wanted: Wanted) -> str:
    blocked = "" if wanted.is_allowed else " (blocked)"
    return f"{action_words(wanted.action).replace('_COVERED_CALL', '')}{blocked}: {printable(wanted.action.reason)}"


def _money_lines(made: Sequence[Made], points: int) -> Iterator[str]:
    if not made:
        yield wrapped("what they would have made by settlement is not known from this log (--delivery-prices PATH)")
        return
    yield wrapped(
        f"by settlement, USD a decision point, over the {made[0].count} of {points} whose ends are known; each "
        "decision counts for itself, so these are no results of a run:"
    )
    width = max(len(printable(row.name)) for row in made)
    for row in made:
        ends = row.interval_usd
        interval = "too few for an interval" if ends is None else f"90 % interval {ends[0]:+.2f} to {ends[1]:+.2f}"
        yield f"{INDENT}{printable(row.name).ljust(width)}  n {row.count}  {row.mean_usd:+9.2f}  {interval}"


def cutoff_lines(found: Compared, cutoff: str) -> Iterator[str]:
    """The stamp on results that a model may have read about."""
    if not any(_is_model(wanted) for column in found.wanted.values() for wanted in column):
        return
    if not cutoff:
        yield "TRAINING CUT-OFF NOT KNOWN: set LLM_TRAINING_CUTOFF; the model may have read what came of these days"
        return
    last = date.fromisoformat(cutoff)
    before = len([point for point in found.points if point.state.timestamp.date() <= last])
    if before:
        yield (
            f"NOT TO BE TRUSTED: {before} of {len(found.points)} decision points lie before the model's training "
            f"cut-off, {cutoff}: it may have read what came of them"
        )
    else:
        yield f"all decision points lie after the model's training cut-off, {cutoff}"


def _is_model(wanted: Wanted | None) -> bool:
    return wanted is not None and wanted.action.model_call is not None and wanted.action.model_call.outcome == "chosen"
