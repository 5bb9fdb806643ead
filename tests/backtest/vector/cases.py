"""Settings under which the vector environment is held against the engine: some by name, and any number drawn.

In: dice. Out: a Case. Each of the named ones makes other rules bind; those that are drawn mix the same rules with odd
sizes, steps and rewards. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backtest.environment.rewards import RewardKind

HOURS_A_STEP = (4.5, 6.0, 8.0, 12.0, 24.0, 37.0)
REWARDS: tuple[RewardKind, ...] = ("excess", "usd", "coin")


@dataclass(frozen=True)
class Case:
    """Settings under which some of the rules bind."""

    step_hours: float = 24.0
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reward_kind: RewardKind = "excess"


CASES = {
    "as it comes": Case(),
    "tight margin": Case(sections={"risk": {"max_margin_pct": 12.0, "new_short_margin_pct_of_limit": 60.0}}),
    "little delta, cheap calls": Case(
        sections={
            "risk": {"max_net_delta_fraction": 0.04},
            "btc": {"delta_min": 0.01, "delta_max": 0.08, "premium_min_usd": 5.0},
            "eth": {"delta_min": 0.01, "delta_max": 0.08, "premium_min_usd": 0.2},
        }
    ),
    "one expiry holds a third": Case(
        sections={
            "risk": {"max_expiry_exposure_fraction": 0.34},
            "btc": {"order_size": 0.2},
            "eth": {"order_size": 2.0},
        }
    ),
    "large orders": Case(
        sections={
            "run": {"paper_btc_coin": 400.0, "paper_eth_coin": 4_000.0},
            "btc": {"order_size": 60.0, "max_order_size": 100.0},
            "eth": {"order_size": 700.0, "max_order_size": 1_000.0},
        }
    ),
    "two orders a day, six hours a step": Case(
        step_hours=6.0, sections={"risk": {"max_orders_per_day": 2}, "btc": {"dte_min": 0.0}, "eth": {"dte_min": 0.0}}
    ),
    "all the margin, near calls": Case(
        sections={
            "risk": {"max_margin_pct": 100.0, "max_net_delta_fraction": 1.0, "price_collar_pct": 4.0},
            "btc": {"order_size": 0.7, "dte_min": 0.0, "delta_max": 0.6, "premium_min_usd": 20.0},
            "eth": {"order_size": 7.0, "dte_min": 0.0, "delta_max": 0.6, "premium_min_usd": 1.0},
        }
    ),
    "BTC alone": Case(sections={"eth": {"enabled": False}}),
}


def drawn_case(dice: np.random.Generator) -> Case:
    """Any settings: some bind all the time, some never, some at odds with each other."""
    sections: dict[str, dict[str, Any]] = {
        "risk": _risk(dice),
        "run": {"paper_btc_coin": _coins(dice), "paper_eth_coin": 10.0 * _coins(dice)},
        "btc": _strategy(dice, 0.1, float(dice.uniform(0.0, 200.0))),
        "eth": _strategy(dice, 1.0, float(dice.uniform(0.0, 8.0))),
    }
    alone = dice.choice(["btc", "eth", ""], p=[0.1, 0.1, 0.8])
    if alone:
        sections["eth" if alone == "btc" else "btc"]["enabled"] = False
    return Case(float(dice.choice(HOURS_A_STEP)), sections, REWARDS[dice.integers(len(REWARDS))])


def _risk(dice: np.random.Generator) -> dict[str, Any]:
    return {
        "max_margin_pct": float(dice.uniform(5.0, 100.0)),
        "new_short_margin_pct_of_limit": float(dice.uniform(30.0, 100.0)),
        "max_net_delta_fraction": float(dice.uniform(0.02, 1.0)),
        "max_expiry_exposure_fraction": float(dice.choice([1.0, dice.uniform(0.1, 1.0)])),
        "price_collar_pct": float(dice.uniform(1.0, 50.0)),
        "max_orders_per_day": int(dice.integers(1, 21)),
        "max_unfilled_orders_per_day": int(dice.integers(1, 21)),
        "min_minutes_to_expiry": float(dice.uniform(15.0, 1440.0)),
    }


def _coins(dice: np.random.Generator) -> float:
    """From none at all to more than the books hold, whole steps of the exchange and odd amounts."""
    return float(dice.choice([0.0, 1.0, dice.uniform(0.05, 3.0), dice.uniform(20.0, 900.0)], p=[0.05, 0.45, 0.3, 0.2]))


def _strategy(dice: np.random.Generator, step: float, premium_min_usd: float) -> dict[str, Any]:
    """Order sizes of few steps of the exchange, of some coins, and of more than most books show."""
    order_steps = int(dice.choice([int(dice.integers(1, 10)), int(dice.integers(10, 70)), 100]))
    delta_min = float(dice.uniform(0.005, 0.3))
    return {
        "ivrv_min": float(dice.choice([0.0, 1.0])),
        "delta_min": delta_min,
        "delta_max": delta_min + float(dice.uniform(0.05, 0.6)),
        "dte_min": float(dice.choice([0.0, 3.0])),
        "dte_max": float(dice.uniform(4.0, 60.0)),
        "premium_min_usd": premium_min_usd,
        "max_spread_pct": float(dice.uniform(5.0, 200.0)),
        "order_size": round(order_steps * step, 1),
        "max_order_size": min(100.0, round(order_steps * int(dice.integers(1, 5)) * step, 1)),
    }
