"""Exploration: drawn from what the risk engine allows, at the odds that are logged, the same for the same state."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from config import AgentConfig
from models import Action, ActionOption, ActionType, AgentState, ProposedAction
from policies.call import ask_for_many, ask_policy
from policies.exploration import explored
from policy_rule_based import decide_action
from risk_engine import check_action_allowed
from state_builder import with_choices
from tests.builders.configs import a_config
from tests.builders.states import LATER_EXPIRY, NOW, a_candidate, a_short_call, a_state, an_opening

LONG_AGO = NOW - timedelta(minutes=10)
CALLS = tuple(
    a_candidate(strike=strike, yield_if_flat_annual_pct=yearly, expiry=LATER_EXPIRY)
    for strike, yearly in ((110_000.0, 20.0), (112_000.0, 30.0), (114_000.0, 10.0), (116_000.0, 5.0))
)
BEST = f"open {CALLS[1].symbol}"
NOTHING = ProposedAction(type=ActionType.DO_NOTHING, reason="holds")


def exploring(percent: float, **run: Any) -> AgentConfig:
    return a_config(run={"exploration_pct": percent, **run})


def a_judged_state(*held: Any, **fields: Any) -> AgentState:
    return with_choices(a_state(positions=held, **{"candidates": CALLS, **fields}), a_config())


def odds_of(action: ProposedAction) -> dict[str, float]:
    return {option.label: option.probability for option in action.choices}


def label_of(state: AgentState, action: Action) -> str:
    choice = state.choice_of(action)
    return "" if choice is None else choice.label


def at_many_times(state: AgentState, count: int) -> Iterator[AgentState]:
    for number in range(count):
        yield state.model_copy(update={"timestamp": NOW + timedelta(minutes=5 * number)})


def test_without_exploration_the_policy_s_action_has_all_the_odds() -> None:
    state = a_judged_state()
    action = ask_policy(decide_action, state, a_config()).action
    assert label_of(state, action) == BEST
    assert odds_of(action) == {BEST: 1.0}
    assert [option.score for option in action.choices] == [max(choice.score for choice in state.choices)]


def test_the_share_of_exploration_is_spread_over_nothing_and_the_best_choices() -> None:
    state = a_judged_state()
    odds = odds_of(explored(state, decide_action(state, a_config()), exploring(40.0, exploration_best=3)))
    assert odds == pytest.approx(
        {"nothing": 0.1, f"open {CALLS[0].symbol}": 0.1, BEST: 0.7, f"open {CALLS[2].symbol}": 0.1}
    )


def test_what_happens_over_ten_thousand_states_has_the_logged_odds() -> None:
    """Three kinds of states: no call held; a call held; nothing to sell on one of three quotes."""
    calls = (CALLS[0].model_copy(update={"quoted_at": LONG_AGO}), *CALLS[1:])
    kinds = [a_judged_state(), a_judged_state(a_short_call(size=1.0)), a_judged_state(candidates=calls)]
    config, happened, expected = exploring(30.0), Counter[str](), Counter[str]()
    for number, kind in enumerate(kinds):
        greedy = decide_action(kind, config)
        for state in at_many_times(kind, 3334):
            action = explored(state, greedy, config)
            happened[f"{number} {label_of(state, action)}"] += 1
            expected.update({f"{number} {label}": chance for label, chance in odds_of(action).items()})
    assert sum(happened.values()) == 10_002
    for label, chances in expected.items():
        spread = math.sqrt(max(1e-9, chances * (1.0 - chances / 3334)))
        assert abs(happened[label] - chances) <= 4.0 * spread + 1e-6, label
    rolled_or_closed = [label for label in happened if label[2:].startswith(("roll", "close"))]
    assert len(rolled_or_closed) >= 3


def test_what_is_drawn_is_always_allowed() -> None:
    calls = (CALLS[0].model_copy(update={"quoted_at": LONG_AGO}), *CALLS[1:])
    config = exploring(100.0, exploration_best=100)
    for kind in (a_judged_state(candidates=calls), a_judged_state(a_short_call(), candidates=calls)):
        for state in at_many_times(kind, 60):
            action = explored(state, NOTHING, config)
            assert check_action_allowed(kind, action, config) == (True, [])
            assert sum(odds_of(action).values()) == pytest.approx(1.0)


def test_deciding_again_draws_the_same_alone_and_among_many() -> None:
    states, config = list(at_many_times(a_judged_state(), 60)), exploring(60.0)
    first = [ask_policy(decide_action, state, config).action for state in states]
    read_back = [AgentState.model_validate_json(state.model_dump_json()) for state in states]
    assert [answer.action for answer in ask_for_many(decide_action, read_back, config)] == first
    assert len({action.symbol for action in first}) == 4


def test_another_seed_draws_anew() -> None:
    states = (a_judged_state(seed=seed) for seed in range(40))
    assert len({explored(state, NOTHING, exploring(100.0)).symbol for state in states}) == 4


def test_a_drawn_action_says_so_and_what_the_policy_wanted() -> None:
    for state in at_many_times(a_judged_state(), 40):
        action = explored(state, NOTHING, exploring(100.0))
        drawn = action.type != ActionType.DO_NOTHING
        assert action.reason == (
            f"exploring: {label_of(state, action)} instead of nothing; holds" if drawn else "holds"
        )


def test_a_refused_action_and_one_of_another_size_stay_as_they_are_and_nothing_is_drawn() -> None:
    state = a_judged_state(candidates=(CALLS[0].model_copy(update={"quoted_at": LONG_AGO}), *CALLS[1:]))
    for wanted in (an_opening(CALLS[0]), an_opening(CALLS[1], size=0.2)):
        action = explored(state, wanted, exploring(100.0))
        assert (action.symbol, action.size, action.reason) == (wanted.symbol, wanted.size, wanted.reason)
        assert [option.probability for option in action.choices] == [1.0]


def test_odds_that_a_policy_gives_itself_are_kept_and_mixed_with_the_draw() -> None:
    state = a_judged_state()
    labels = [choice.label for choice in state.choices]
    even = 1.0 / len(labels)
    mine = tuple(ActionOption(type=ActionType.DO_NOTHING, label=label, probability=even) for label in labels)
    action = ask_policy(lambda *_: NOTHING.model_copy(update={"choices": mine}), state, a_config()).action
    assert odds_of(action) == pytest.approx(dict.fromkeys(labels, even))


def test_a_state_of_an_older_log_that_knows_no_choices_draws_nothing() -> None:
    assert explored(a_state(candidates=CALLS), NOTHING, exploring(100.0)) == NOTHING
