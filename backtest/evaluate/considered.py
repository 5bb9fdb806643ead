"""Decision points with what each of two policies would do there, as probabilities of what happens.

In: a log, an edited policy, settings of each run, settlement prices. Out: Considered, in the order of time. A policy's
own odds (`choices`) count where they add up to 1, else its one action; what the risk engine refuses is doing nothing.
Outcomes are USD by settlement at the spot of the decision, NaN where not known. Calls the policy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backtest.environment.actions import NOTHING, call_in_question
from backtest.replay.again import DECIDED
from backtest.replay.logged import Log, Point
from backtest.replay.settled import PricesOfRuns, SettlementPrices, made_by_settlement
from backtest.training_data.rows import Row, rows_of
from config import AgentConfig
from models import ROUNDING, ActionOption, ActionType, AgentState, ProposedAction
from policies.call import Policy, ask_for_many
from risk_engine import judge_action


@dataclass(frozen=True)
class Odd:
    """An action, how likely it is, and what it would make by settlement in USD."""

    action: ProposedAction
    probability: float
    outcome_usd: float

    @property
    def key(self) -> tuple[object, ...]:
        return key_of(self.action)


@dataclass(frozen=True)
class Considered:
    """A decision point. `done` is what happened; `reward_usd` what it brought over holding up to the next one.

    `has_odds`: the log says with which probability it was drawn. `error`: the edited policy failed here.
    """

    point: Point
    row: Row
    before: tuple[Odd, ...]
    after: tuple[Odd, ...]
    done: ProposedAction
    has_odds: bool
    error: str | None

    @property
    def reward_usd(self) -> float:
        return self.row.reward_usd

    @property
    def is_changed(self) -> bool:
        """Whether the two policies differ here in anything but words."""
        return _odds(self.before) != _odds(self.after)

    @property
    def is_exact(self) -> bool:
        """Whether the outcome of everything that either policy may do is known."""
        return not any(math.isnan(odd.outcome_usd) for odd in (*self.before, *self.after))

    @property
    def week(self) -> str:
        """Decisions of one week share the settlement of their calls: they count as one where errors are estimated."""
        year, week, _ = self.point.state.timestamp.isocalendar()
        return f"{self.point.decision.run_id} {year}-{week}"

    @property
    def day(self) -> str:
        """The same of rewards up to the next decision."""
        return f"{self.point.decision.run_id} {self.point.state.timestamp:%Y-%m-%d}"

    @property
    def change(self) -> str:
        """What the edit does otherwise, as a kind; "" where it does the same."""
        if not self.is_changed:
            return ""
        old, new = (_likeliest(odds) for odds in (self.before, self.after))
        if key_of(old) == key_of(new):
            return f"other odds of {_words(new)}"
        if _words(old) == _words(new):
            return f"{_words(new)}, another one"
        return f"{_words(new)} instead of {_words(old)}"


def considered(
    source: str, log: Log, policy: Policy, settings: Mapping[str, AgentConfig], prices_of_all: PricesOfRuns
) -> Iterator[Considered]:
    """Every state in which the risk engine allows more than one action."""
    for run_id, points in log.runs.items():
        config, prices = settings[run_id], prices_of_all.of(points[0])
        in_order = sorted(points, key=lambda point: point.state.timestamp)
        by_iteration = {point.decision.iteration: point for point in in_order}
        rows = list(rows_of(source, in_order, config, prices))
        states = [by_iteration[row.iteration].state for row in rows]
        for row, answer in zip(rows, ask_for_many(policy, states, config), strict=True):
            point = by_iteration[row.iteration]
            decided = point.decision.proposed_action
            yield Considered(
                point=point,
                row=row,
                before=odds_of(decided, point.state, config, prices),
                after=odds_of(answer.action, point.state, config, prices),
                done=decided if point.decision.allowed else NOTHING,
                has_odds=_adds_up(decided.choices),
                error=answer.error,
            )


def odds_of(
    decided: ProposedAction, state: AgentState, config: AgentConfig, prices: SettlementPrices
) -> tuple[Odd, ...]:
    """What happens and how likely; equal actions stand there once."""
    found: dict[tuple[object, ...], tuple[ProposedAction, float]] = {}
    for action, probability in _wanted(decided, state, config):
        happens = action if judge_action(state, action, config).allowed else NOTHING
        known = found.get(key_of(happens), (happens, 0.0))[1]
        found[key_of(happens)] = (happens, known + probability)
    return tuple(Odd(action, odds, _outcome_usd(state, action, prices)) for action, odds in found.values())


def key_of(action: ProposedAction) -> tuple[object, ...]:
    return tuple(getattr(action, name) for name in DECIDED)


def _wanted(decided: ProposedAction, state: AgentState, config: AgentConfig) -> list[tuple[ProposedAction, float]]:
    if not _adds_up(decided.choices):
        return [(decided, 1.0)]
    drawn = [(_action_of(choice, decided, state, config), choice.probability) for choice in decided.choices]
    return [(action, probability) for action, probability in drawn if probability > 0.0]


def _adds_up(choices: Sequence[ActionOption]) -> bool:
    return math.isclose(math.fsum(choice.probability for choice in choices), 1.0, abs_tol=ROUNDING)


def _action_of(choice: ActionOption, decided: ProposedAction, state: AgentState, config: AgentConfig) -> ProposedAction:
    """What a choice stands for: the decided action, else the state's own choice of that label.

    In older logs a choice names the call to sell, of a close the one to buy back; sizes as decided, else as in the
    settings.
    """
    if choice.type == ActionType.DO_NOTHING:
        return NOTHING
    if choice.label and (choice.type, choice.symbol, choice.new_symbol) == (
        decided.type,
        decided.symbol,
        decided.new_symbol,
    ):
        return decided
    known = next((one for one in state.choices if choice.label and one.label == choice.label), None)
    if known is not None:
        return known.proposed("by its odds", ())
    sold = choice.type != ActionType.CLOSE_COVERED_CALL
    call = state.candidate(choice.symbol) if sold else state.position(choice.symbol)
    if call is None:
        return NOTHING
    is_roll = choice.type == ActionType.ROLL_COVERED_CALL
    if (choice.type, call.underlying) == (decided.type, decided.underlying):
        return decided.model_copy(update={"new_symbol" if is_roll else "symbol": choice.symbol})
    strategy, held = config.strategy(call.underlying), call_in_question(state, call.underlying)
    size = strategy.order_size
    if choice.type != ActionType.OPEN_COVERED_CALL:
        size = 0.0 if held is None else min(held.size, strategy.max_order_size)
    return ProposedAction(
        type=choice.type,
        underlying=call.underlying,
        symbol=held.symbol if is_roll and held is not None else choice.symbol,
        new_symbol=choice.symbol if is_roll else None,
        size=size,
        reason="by its odds",
    )


def _outcome_usd(state: AgentState, action: ProposedAction, prices: SettlementPrices) -> float:
    if action.type == ActionType.DO_NOTHING:
        return 0.0
    market = None if action.underlying is None else state.market(action.underlying)
    return math.nan if market is None else made_by_settlement(state, action, prices) * market.spot_usd


def _odds(odds: Sequence[Odd]) -> dict[tuple[object, ...], float]:
    return {odd.key: round(odd.probability, 9) for odd in odds}


def _likeliest(odds: Sequence[Odd]) -> ProposedAction:
    return max(odds, key=lambda odd: odd.probability).action


def _words(action: ProposedAction) -> str:
    """The kind of an action: sell BTC, buy back ETH, roll BTC, nothing."""
    verbs = {
        ActionType.OPEN_COVERED_CALL: "sell",
        ActionType.CLOSE_COVERED_CALL: "buy back",
        ActionType.ROLL_COVERED_CALL: "roll",
    }
    return "nothing" if action.type == ActionType.DO_NOTHING else f"{verbs[action.type]} {action.underlying}"
