"""Short simulations for tests: a simulated market, a decision every six hours."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from backtest.simulator.result import SimulationResult
from backtest.simulator.simulation import CoveredCallSimulator, NamedPolicy, Period
from config import AgentConfig, load_config
from paper_exchange.setups import SIMULATION_START, simulated_setup
from policies.call import Policy
from policy_rule_based import decide_action

SIX_HOURS_SECONDS = 21_600.0


def a_config(**run: Any) -> AgentConfig:
    return load_config(env_file=None, overrides={"run": {"interval_seconds": SIX_HOURS_SECONDS, **run}})


def days_later(days: float) -> datetime:
    return SIMULATION_START + timedelta(days=days)


def a_simulation(
    policy: Policy = decide_action, days: float = 15.0, config: AgentConfig | None = None
) -> CoveredCallSimulator:
    named = NamedPolicy("tested", policy)
    return CoveredCallSimulator(config or a_config(), simulated_setup, named, Period(end=days_later(days)))


@lru_cache(maxsize=1)
def thirty_days() -> SimulationResult:
    """The policy of the repository on seed 1."""
    return a_simulation(days=30.0).run()
