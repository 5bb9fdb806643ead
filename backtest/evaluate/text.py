"""An evaluation as lines of at most 80 columns. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

from backtest.evaluate.estimates import Evaluation, Exact, Weighted
from backtest.statistics.off_policy import PolicyValue
from core.text import printable, wrapped

INDENT = " " * 6
MOST_NAME_LETTERS = 20


def evaluation_lines(found: Evaluation, policy: str, states: int) -> Iterator[str]:
    """What could be said, and of how many decisions; what could not, and why."""
    failed = f"; it failed on {found.errors}" if found.errors else ""
    yield wrapped(
        f"{printable(policy)} on {states} states, {found.decisions} of them with a choice; "
        f"{found.changed} decided otherwise{failed}"
    )
    if found.exact is not None:
        yield from _exact_lines(found.exact, policy)
    if found.weighted is not None:
        yield from _weighted_lines(found.weighted)
    if not found.is_answered:
        yield "the log cannot say what this policy would have made"


def _exact_lines(exact: Exact, policy: str) -> Iterator[str]:
    yield wrapped(
        f"exact, by settlement: {exact.decisions} decisions ({exact.changed} changed), on which the outcome of "
        "everything both would do is known"
    )
    for name, value in (("before", exact.before), (policy, exact.after), ("change", exact.change)):
        yield f"{_line(name, value)}, {value.mean * exact.decisions:+,.2f} in all"


def _weighted_lines(weighted: Weighted) -> Iterator[str]:
    yield wrapped(
        f"weighted, by rewards up to the next decision: {weighted.decisions} decisions ({weighted.changed} changed) "
        "whose settlement is not known"
    )
    yield from (wrapped(f"  refused: {reason}", INDENT) for reason in weighted.refused)
    if weighted.logged is not None:
        yield _line("before", weighted.logged)
    yield from (_line(name, value) for name, value in weighted.estimates.items())
    if weighted.estimates:
        sample = next(iter(weighted.estimates.values())).effective_sample
        yield f"  effective sample: {sample:.0f} of {weighted.decisions} decisions"


def _line(name: str, value: PolicyValue) -> str:
    error = "error not known" if math.isnan(value.standard_error) else f"+- {value.standard_error:.2f}"
    return f"  {printable(name, MOST_NAME_LETTERS):<{MOST_NAME_LETTERS}}{value.mean:>+10,.2f} {error} USD a decision"
