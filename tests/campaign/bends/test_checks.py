"""Each check of the campaign speaks when its invariant is broken, and only then.

A story in which nothing is wrong is bent in one place (`order_breaches.py`, `log_breaches.py`,
`decider_breaches.py`); exactly the check of that invariant must say so.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaign.bends import decider_breaches, log_breaches, order_breaches
from tests.campaign.bends.breaches import BREACHES, EXEMPT, Bend
from tests.campaign.bends.example_trace import clean_story
from tests.campaign.checks.invariants import CHECKS, Check, iterations_to_converge, same_twice, violations
from tests.campaign.checks.joins import View
from tests.campaign.world.trace import Trace

MODULES = (order_breaches, log_breaches, decider_breaches)  # imported so that their bends are registered


@pytest.mark.parametrize(("invariant", "bend"), BREACHES, ids=[bend.__name__ for _, bend in BREACHES])
def test_exactly_the_check_of_a_broken_invariant_speaks(tmp_path: Path, invariant: str, bend: Bend) -> None:
    found = violations(trace_of(tmp_path, bend))

    assert {line.split(":")[0] for line in found} == {invariant}, found


@pytest.mark.parametrize("bend", EXEMPT, ids=[bend.__name__ for bend in EXEMPT])
def test_what_is_not_the_agents_doing_is_not_held_against_it(tmp_path: Path, bend: Bend) -> None:
    assert violations(trace_of(tmp_path, bend)) == []


def test_nothing_is_said_of_a_story_in_which_nothing_is_wrong(tmp_path: Path) -> None:
    assert violations(trace_of(tmp_path, lambda story: None)) == []


def test_every_invariant_of_one_trace_has_a_breach_here() -> None:
    assert {invariant for invariant, _ in BREACHES} == set(CHECKS)
    assert set(CHECKS) == {f"I{number}" for number in range(1, 33)} - {"I29"}


def test_every_single_check_is_heard(tmp_path: Path) -> None:
    """An invariant can have several checks: each of them must have a breach of its own."""
    silent = {check.__name__ for checks in CHECKS.values() for check in checks}
    for number, (_, bend) in enumerate(BREACHES):
        folder = tmp_path / str(number)
        folder.mkdir()
        trace = trace_of(folder, bend)
        silent -= {check.__name__ for checks in CHECKS.values() for check in checks if speaks(check, trace)}

    assert silent == set()


def test_the_same_trace_has_the_same_fingerprint_and_another_ledger_or_log_another(tmp_path: Path) -> None:
    first, second = (trace_of(tmp_path, lambda story: None) for _ in range(2))
    assert same_twice(first, second) == []

    second.raw_files["orders-2026-01-05.jsonl"] = b"{}\n"
    assert same_twice(first, second) == ["I29: seed 0:0 gave another ledger or log the second time"]
    assert same_twice(first, trace_of(tmp_path, order_breaches.a_sale_nobody_asked_for)) != []


def test_what_the_world_saw_itself_is_told_first(tmp_path: Path) -> None:
    trace = trace_of(tmp_path, lambda story: None)
    trace.violations.append("I8: seen while it ran")

    assert violations(trace) == ["I8: seen while it ran"]


def test_a_tail_converges_after_its_last_line_with_an_error(tmp_path: Path) -> None:
    assert iterations_to_converge(trace_of(tmp_path, lambda story: None)) == 0

    story = clean_story(tmp_path)
    story.trace.decisions[1]["error"] = "DeribitConnectionError: made up"
    assert iterations_to_converge(story.trace) == 2
    story.trace.decisions[-1]["error"] = "DeribitConnectionError: made up"
    assert iterations_to_converge(story.trace) is None


# --- helpers ---


def trace_of(folder: Path, bend: Bend) -> Trace:
    story = clean_story(folder)
    bend(story)
    if not story.trace.lives[-1].end:
        story.end_life()
    return story.trace


def speaks(check: Check, trace: Trace) -> bool:
    return next(check(View(trace)), None) is not None
