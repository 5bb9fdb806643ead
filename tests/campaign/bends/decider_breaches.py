"""Bends of decisions: somebody decides who should not, or more is done than was chosen.

In: a Story. Out: the same, bent in one place.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.campaign.bends.breaches import breaks, is_exempt
from tests.campaign.bends.example_trace import CALL, NEXT_CALL, Story

NOTHING = {"type": "DO_NOTHING", "symbol": None, "new_symbol": None, "size": 0.0}
SALE = {"type": "OPEN_COVERED_CALL", "symbol": CALL, "new_symbol": None, "size": 0.3}


def _shadow(name: str, is_allowed: bool = True, **action: Any) -> dict[str, Any]:
    return {"policy": name, "action": {**NOTHING, "reason": "a shadow", **action}, "check": {"allowed": is_allowed}}


def _last_decision(story: Story, **action: Any) -> dict[str, Any]:
    """The last line, with a state that lists its choices and another action."""
    record = story.trace.decisions[-1]
    record["agent_state"]["choices"] = [NOTHING, SALE]
    record["proposed_action"] |= action
    return record


@breaks("I31")
def the_forbidden_allowed(story: Story) -> None:
    story.trace.decisions[-1]["proposed_action"]["reason"] = "forbidden: a roll into itself"


@is_exempt
def the_forbidden_refused(story: Story) -> None:
    story.trace.decisions[-1]["proposed_action"]["reason"] = "forbidden: a roll into itself"
    story.trace.decisions[-1]["allowed"] = False
    story.trace.decisions[-1]["risk_engine_result"]["reasons"] = ["bad_roll: into itself"]


@breaks("I31")
def the_forbidden_allowed_to_a_shadow(story: Story) -> None:
    story.trace.shadows = ("forbidden",)
    for record in story.trace.decisions:
        record["shadows"] = [_shadow("forbidden", reason="forbidden: more than there is")]


@breaks("I31")
def another_call_sold_than_chosen(story: Story) -> None:
    story.trace.decisions[0]["proposed_action"]["symbol"] = NEXT_CALL


@breaks("I31")
def more_sold_than_chosen(story: Story) -> None:
    story.trace.decisions[0]["proposed_action"]["size"] = 0.2


@breaks("I31")
def an_order_of_an_action_that_was_refused(story: Story) -> None:
    story.trace.decisions[0]["allowed"] = False
    story.trace.decisions[0]["risk_engine_result"]["reasons"] = ["halted: a story"]


@breaks("I31")
def an_action_although_the_model_gave_none(story: Story) -> None:
    _last_decision(story, **SALE, model_call={"outcome": "invalid"})


@breaks("I31")
def a_models_action_of_another_size(story: Story) -> None:
    _last_decision(story, **(SALE | {"size": 0.5}), model_call={"outcome": "chosen"})


@is_exempt
def a_models_choice(story: Story) -> None:
    _last_decision(story, **SALE, model_call={"outcome": "chosen"})


@breaks("I31")
def something_drawn_that_is_no_choice(story: Story) -> None:
    _last_decision(story, **(SALE | {"symbol": NEXT_CALL}), reason="exploring: open it; a story")


@breaks("I31")
def odds_of_more_than_one(story: Story) -> None:
    options = [{**NOTHING, "probability": 0.6}, {**SALE, "probability": 0.5}]
    _last_decision(story, choices=options)


@breaks("I31")
def something_done_that_had_no_odds(story: Story) -> None:
    _last_decision(story, **SALE, choices=[{**NOTHING, "probability": 1.0}])


@breaks("I31")
def a_shadow_that_was_not_asked(story: Story) -> None:
    story.trace.shadows = ("raises", "llm")
    for record in story.trace.decisions:
        record["shadows"] = [_shadow("raises"), _shadow("llm")]
    story.trace.decisions[2]["shadows"].pop()


@is_exempt
def a_shadow_that_was_not_asked_as_the_run_was_stopped(story: Story) -> None:
    story.trace.shadows = ("raises", "llm")
    for record in story.trace.decisions:
        record["shadows"] = [_shadow("raises"), _shadow("llm")]
    story.trace.decisions[-1]["shadows"].pop()
    story.end_life("stop", 0)


@breaks("I32")
def more_questions_than_a_day_may_have(story: Story) -> None:
    story.trace.model.asked_at += [story.now] * (story.trace.limits.max_model_calls_per_day + 1)


@breaks("I32")
def a_question_to_a_model_that_wants_none(story: Story) -> None:
    now = story.now
    story.trace.model.left_alone.append((now, now + timedelta(hours=1)))
    story.trace.model.asked_at += [now, now + timedelta(minutes=50)]
