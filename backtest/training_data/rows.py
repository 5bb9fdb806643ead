"""The decision points of a run as rows: what was seen, what could be done, how likely each was, what each was worth.

In: the states of one run with their decisions, its settings, settlement prices. Out: Rows in the order of time. A
decision point is a state in which the risk engine allows more than one action; actions have the numbers of
environment/actions.py. USD at the spots of their state. NaN where the log does not say, never 0. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from backtest.environment.actions import ACTION_COUNT, action_mask, actions_of
from backtest.environment.observation import observe
from backtest.environment.rewards import Worth, reward, worth_of
from backtest.replay.logged import Point
from backtest.replay.settled import SettlementPrices, made_by_settlement
from config import AgentConfig
from core.log_lines.decision_lines import LoggedDecision
from models import ROUNDING, ActionOption, ActionType, AgentState, ProposedAction

NOT_NUMBERED = -1


@dataclass(frozen=True)
class OfferedAction:
    """An action that the risk engine allowed. `counterfactual_usd`: what it would have made by settlement."""

    number: int
    action: ProposedAction
    probability: float
    counterfactual_usd: float


@dataclass(frozen=True)
class Row:
    """A decision point. `reward_usd` is over holding, up to the next decision point of the run or its last state.

    `chosen` is the number of the policy's action, -1 where it has none (another size, another call). `is_blocked`: the
    risk engine refused it, and nothing was done. `truncated`: the log ends here; `terminated`: the account is worth
    nothing.
    """

    source: str
    run_id: str
    iteration: int
    timestamp: datetime
    observation: tuple[float, ...]
    offered: tuple[OfferedAction, ...]
    chosen: int
    is_blocked: bool
    reward_usd: float
    next_observation: tuple[float, ...]
    next_timestamp: datetime | None
    terminated: bool
    truncated: bool


def rows_of(source: str, points: Sequence[Point], config: AgentConfig, prices: SettlementPrices) -> Iterator[Row]:
    """The decision points of one run, whose states are in the order of time."""
    masks = [action_mask(point.state, config) for point in points]
    wanted = [number for number, mask in enumerate(masks) if mask.sum() > 1]
    start = worth_of(points[0].state)
    for here, there in pairwise([*wanted, None]):
        assert here is not None  # only the last is
        point, is_last = points[here], there is None
        end = points[-1 if there is None else there].state
        allowed = [number for number in range(ACTION_COUNT) if masks[here][number]]
        yield Row(
            source=source,
            run_id=point.decision.run_id,
            iteration=point.decision.iteration,
            timestamp=point.state.timestamp,
            observation=tuple(map(float, observe(point.state, start))),
            offered=tuple(_offered(point, allowed, config, prices)),
            chosen=_number_of(point.decision.proposed_action, point.state, config),
            is_blocked=not point.decision.allowed,
            reward_usd=_reward(start, point.state, end),
            next_observation=tuple(map(float, observe(end, start))),
            next_timestamp=None if end is point.state else end.timestamp,
            terminated=worth_of(end).value_usd <= 0.0,
            truncated=is_last and worth_of(end).value_usd > 0.0,
        )


def _reward(start: Worth, before: AgentState, after: AgentState) -> float:
    """NaN where no later state tells what came of it."""
    return math.nan if after is before else reward("excess", start, worth_of(before), worth_of(after))


def _offered(
    point: Point, allowed: Sequence[int], config: AgentConfig, prices: SettlementPrices
) -> Iterator[OfferedAction]:
    actions = actions_of(point.state, config)
    for number in allowed:
        action = actions[number]
        if action is not None:
            made_coin = made_by_settlement(point.state, action, prices)
            probability = _probability(action, point.decision)
            yield OfferedAction(number, action, probability, made_coin * _spot_usd(point.state, action))


def _spot_usd(state: AgentState, action: ProposedAction) -> float:
    """1 for doing nothing, which is worth nothing in any coin."""
    market = None if action.underlying is None else state.market(action.underlying)
    return 1.0 if market is None else market.spot_usd


def _probability(action: ProposedAction, decision: LoggedDecision) -> float:
    """What was logged, as it happened: of a refused action nothing was done.

    0 for what is not among choices that are complete, NaN where they are not.
    """
    decided = decision.proposed_action
    if not decision.allowed:
        return 1.0 if action.type == ActionType.DO_NOTHING else 0.0
    if not math.isclose(math.fsum(choice.probability for choice in decided.choices), 1.0, abs_tol=ROUNDING):
        return math.nan
    return math.fsum(choice.probability for choice in decided.choices if _is_choice(choice, action, decided))


def _is_choice(choice: ActionOption, action: ProposedAction, decided: ProposedAction) -> bool:
    """Older lines have no labels; there a roll's choice names the call that is sold, and buys back the action's."""
    is_old_roll = choice.type == ActionType.ROLL_COVERED_CALL and not choice.label
    calls = (decided.symbol, choice.symbol) if is_old_roll else (choice.symbol, choice.new_symbol)
    return choice.type == action.type and calls == (action.symbol, action.new_symbol)


def _number_of(decided: ProposedAction, state: AgentState, config: AgentConfig) -> int:
    names = ("type", "symbol", "new_symbol", "size")
    for number, action in enumerate(actions_of(state, config)):
        if action is not None and all(getattr(action, name) == getattr(decided, name) for name in names):
            return number
    return NOT_NUMBERED
