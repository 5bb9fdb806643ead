"""Who decided what how often in a schedule with deciders, for the figures: what was never tried is not shown safe.

In: a Trace. Out: counts by name; none for a schedule of the campaign itself. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.campaign.checks.decider_checks import EXPLORING, FORBIDDEN
from tests.campaign.world.trace import Trace


def decided(trace: Trace) -> Counter[str]:
    if trace.schedule is None or "llm" not in trace.schedule.settings:
        return Counter()
    counts = Counter(name for record in trace.decisions for name in _names(record))
    counts["model: questions"] += len(trace.model.asked_at)
    return counts


def _names(record: Mapping[str, Any]) -> Iterator[str]:
    action, call = record["proposed_action"], record["proposed_action"].get("model_call")
    yield "decisions"
    if call is not None:
        yield f"model: {call['outcome']}"
    if str(action["reason"]).startswith(EXPLORING):
        yield "explored: done" if record["allowed"] else "explored: refused"
    if action["reason"].startswith(FORBIDDEN):
        yield f"forbidden, {'ALLOWED' if record['allowed'] else 'refused'}: {action['reason'].removeprefix(FORBIDDEN)}"
    for shadow in record["shadows"]:
        yield f"shadow: {shadow['policy']}{'' if shadow['error'] is None else ' (failed)'}"
