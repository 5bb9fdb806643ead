"""The policies that stand beside every result: holding, random entries, monthly at the money, weekly delta .10, .25.

In: the settings of a run. Out: Presets, each a policy with the settings it needs. Holding sells nothing. Random entries
sell what the run's own filters admit, a random call at random times: what of a result is only the market's gift. Dice
are seeded with the run's seed and the state's time.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backtest.simulator.exits import CallStyle
from config import AgentConfig
from models import ActionType, AgentState, ProposedAction, TradingState
from policies.call import Policy

ODDS_OF_AN_ENTRY = 0.25  # at each decision at which nothing is held


@dataclass(frozen=True)
class Preset:
    """A policy, and what of each coin's settings it needs to be otherwise."""

    name: str
    decide: Policy
    changes: Mapping[str, Any]

    def settings(self, config: AgentConfig) -> AgentConfig:
        """The run's settings with its own filters."""
        coins = {name: getattr(config, name).model_copy(update=dict(self.changes)) for name in ("btc", "eth")}
        return config.model_copy(update=coins)


def hold_the_coins(agent_state: AgentState, config: AgentConfig) -> ProposedAction:  # noqa: ARG001
    """Never sells a call."""
    return ProposedAction(type=ActionType.DO_NOTHING, reason="holding")


def random_entries(agent_state: AgentState, config: AgentConfig) -> ProposedAction:
    """Now and then a random candidate of a coin without a call, held to its expiry."""
    dice = random.Random(f"{config.run.seed}:{agent_state.timestamp}")
    for coin in config.enabled_underlyings:
        calls, risk = agent_state.candidates_for(coin), agent_state.risk(coin)
        size = config.strategy(coin).order_size
        has_room = risk is not None and risk.room_coin >= size and not agent_state.short_calls(coin)
        is_drawn = dice.random() < ODDS_OF_AN_ENTRY
        if calls and has_room and is_drawn and agent_state.trading_state == TradingState.ACTIVE:
            symbol = dice.choice(calls).symbol
            return ProposedAction(
                type=ActionType.OPEN_COVERED_CALL, underlying=coin, symbol=symbol, size=size, reason="drawn at random"
            )
    return ProposedAction(type=ActionType.DO_NOTHING, reason="nothing was drawn")


def _of_delta(name: str, delta: float, width: float, days: tuple[float, float]) -> Preset:
    """No other filter than delta and days, so that it sells in every week."""
    span = {"delta_min": delta - width, "delta_max": delta + width, "dte_min": days[0], "dte_max": days[1]}
    return Preset(
        name, CallStyle(delta), {**span, **{"ivrv_min": 0.0, "premium_min_usd": 0.0, "max_spread_pct": 200.0}}
    )


PRESETS = (
    Preset("holding", hold_the_coins, {}),
    Preset("random entries", random_entries, {}),
    _of_delta("monthly at the money", 0.50, 0.10, (21.0, 40.0)),
    _of_delta("weekly delta .10", 0.10, 0.05, (5.0, 9.0)),
    _of_delta("weekly delta .25", 0.25, 0.08, (5.0, 9.0)),
)
