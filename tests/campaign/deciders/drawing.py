"""A schedule of the campaign in which anybody may decide: drawn apart, so that the campaign's own stay as they were.

In: the two numbers of a schedule. Out: the same schedule with another acting policy, shadows, exploration, and the
settings of a language model, which are cheap to use up. Stricter limits where the forbidden is wanted: what no schedule
comes near to cannot be broken. Pure.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.campaign.deciders.model_endpoint import MODEL, MODEL_KEY, MODEL_URL
from tests.campaign.deciders.named import SHADOWS
from tests.campaign.world.schedule import Schedule, draw_schedule

POLICIES = ("rule_based", "eager", "llm", "forbidden")
MODEL_FAULTS_PCT = (0, 30, 90)
Settings = Mapping[str, Mapping[str, Any]]


def draw_with_deciders(campaign_seed: int, index: int) -> Schedule:
    """The schedule of one seed."""
    schedule, dice = draw_schedule(campaign_seed, index), random.Random(f"{campaign_seed}:{index}:deciders")
    policy = dice.choices(POLICIES, (2, 1, 4, 3))[0]
    watching = [name for name in SHADOWS if name != policy]  # a model that is asked twice pays twice
    changes: dict[str, dict[str, Any]] = {"run": _exploration(dice), "llm": _model(dice)}
    if policy == "forbidden":
        changes["risk"] = _strict(dice)
    return replace(
        schedule,
        policy=policy,
        shadows=tuple(dice.sample(watching, dice.choice((0, 1, 2, 4)))),
        model_faults_pct=dice.choice(MODEL_FAULTS_PCT),
        settings=_changed(schedule.settings, changes),
    )


def _changed(settings: Settings, changes: Settings) -> dict[str, dict[str, Any]]:
    names = [*settings, *(name for name in changes if name not in settings)]
    return {name: {**settings.get(name, {}), **changes.get(name, {})} for name in names}


def _exploration(dice: random.Random) -> dict[str, Any]:
    return {
        "exploration_pct": dice.choice((0.0, 10.0, 50.0, 100.0)),
        "exploration_best": dice.choice((1, 3, 10)),
        "seed": dice.randrange(1, 1_000),
    }


def _model(dice: random.Random) -> dict[str, Any]:
    return {
        "base_url": MODEL_URL,
        "model": MODEL,
        "api_key": MODEL_KEY,
        "temperature": dice.choice((0.0, 1.0, 2.0)),
        "max_calls_per_day": dice.choice((6, 300, 300)),
        "max_tokens_per_day": dice.choice((4_000, 500_000, 500_000)),
        "send_schema": dice.random() < 0.5,
        "send_logprobs": dice.random() < 0.5,
        "hide_market": dice.random() < 0.5,
    }


def _strict(dice: random.Random) -> dict[str, Any]:
    """Limits that a sale of everything would break, each in some schedules."""
    return {
        "max_net_delta_fraction": dice.choice((0.05, 0.2, 1.0)),
        "max_expiry_exposure_fraction": dice.choice((0.2, 0.5, 1.0)),
        "max_margin_pct": dice.choice((5.0, 20.0, 100.0)),
        "max_orders_per_day": dice.choice((4, 1000, 1000)),
    }
