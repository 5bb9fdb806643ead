"""Estimators of an edited policy's value against a simulated truth, and the cases in which they must not answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from backtest.statistics.off_policy import (
    LoggedDecisions,
    NotEvaluableError,
    PolicyValue,
    doubly_robust,
    effective_sample,
    full_information,
    inverse_propensity,
    refusals,
    self_normalised,
)
from backtest.statistics.samples import Floats, NotEnoughDataError

ACTIONS = 3


@dataclass(frozen=True)
class World:
    """A simulated log: every action's mean reward is known, the logged one was drawn and paid with noise."""

    decisions: LoggedDecisions
    mean_rewards: Floats
    edited: Floats
    chosen: Floats

    @property
    def truth(self) -> float:
        return float((self.edited * self.mean_rewards).sum(axis=1).mean())


def a_world(seed: int, rows: int = 800, explored: float = 0.3) -> World:
    """The logging policy prefers action 0 and explores; the edited one prefers 1 where a feature is positive."""
    dice = np.random.default_rng(seed)
    feature = dice.normal(size=rows)
    mean_rewards = np.stack([np.full(rows, 1.0), 1.0 + feature, -feature], axis=1)
    logged = np.full((rows, ACTIONS), explored / ACTIONS) + np.array([1.0 - explored, 0.0, 0.0])
    edited = np.where((feature > 0.0)[:, None], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0])
    chosen = (dice.random(rows)[:, None] > logged.cumsum(axis=1)).sum(axis=1)
    row = np.arange(rows)
    rewards = mean_rewards[row, chosen] + dice.normal(size=rows)
    changes = tuple("1 instead of 0" if positive else "" for positive in feature > 0.0)
    decisions = LoggedDecisions(rewards, logged[row, chosen], edited[row, chosen], changes)
    return World(decisions, mean_rewards, edited, chosen)


def doubly_robust_with(world: World, model: Floats) -> PolicyValue:
    logged = model[np.arange(len(model)), world.chosen.astype(int)]
    return doubly_robust(world.decisions, logged, (world.edited * model).sum(axis=1))


ESTIMATORS: dict[str, Callable[[World], PolicyValue]] = {
    "IPS": lambda world: inverse_propensity(world.decisions),
    "SNIPS": lambda world: self_normalised(world.decisions),
    "DR, good model": lambda world: doubly_robust_with(world, world.mean_rewards),
    "DR, useless model": lambda world: doubly_robust_with(world, np.full_like(world.mean_rewards, 5.0)),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_meets_the_truth_and_knows_its_own_error(name: str) -> None:
    worlds = [a_world(seed) for seed in range(150)]
    values = [ESTIMATORS[name](world) for world in worlds]
    errors = np.array([value.mean - world.truth for value, world in zip(values, worlds, strict=True)])
    own = np.mean([value.standard_error for value in values])
    assert abs(errors.mean()) < 4.0 * errors.std() / np.sqrt(len(errors))
    assert own == pytest.approx(errors.std(), rel=0.25)


def test_normalising_and_a_good_model_take_noise_away() -> None:
    world = a_world(1)
    plain, normalised, modelled = (ESTIMATORS[name](world) for name in ("IPS", "SNIPS", "DR, good model"))
    assert modelled.standard_error < normalised.standard_error < plain.standard_error


def test_an_unchanged_policy_is_worth_what_it_made() -> None:
    decisions = a_world(2).decisions
    unchanged = replace(
        decisions, edited_probabilities=decisions.logged_probabilities, changes=("",) * len(decisions.rewards)
    )
    for value in (inverse_propensity(unchanged), self_normalised(unchanged)):
        assert value.mean == pytest.approx(decisions.rewards.mean())
        assert value.effective_sample == pytest.approx(len(decisions.rewards))


def repeated(decisions: LoggedDecisions, times: int) -> LoggedDecisions:
    """Each decision so many times, as where a call held for days is decided on again and again."""
    columns = (decisions.rewards, decisions.logged_probabilities, decisions.edited_probabilities)
    rewards, logged, edited = (np.repeat(column, times) for column in columns)
    groups = [str(number) for number in range(len(decisions.rewards)) for _ in range(times)]
    changes = [change for change in decisions.changes for _ in range(times)]
    return LoggedDecisions(rewards, logged, edited, changes, groups)


@pytest.mark.parametrize("estimate", [inverse_propensity, self_normalised])
def test_decisions_that_share_an_outcome_make_nothing_surer(estimate: Callable[[LoggedDecisions], PolicyValue]) -> None:
    decisions = a_world(4).decisions
    once, often = estimate(decisions), estimate(repeated(decisions, 9))
    assert often.mean == pytest.approx(once.mean)
    assert often.standard_error == pytest.approx(once.standard_error, rel=1e-6)
    assert estimate(replace(repeated(decisions, 9), groups=None)).standard_error < once.standard_error / 2.9


def test_one_group_alone_has_a_mean_and_no_known_error() -> None:
    value = self_normalised(replace(equal_weights(60), groups=["all"] * 60))
    assert value.mean == pytest.approx(1.0)
    assert np.isnan(value.standard_error)


def test_full_information_is_exact() -> None:
    world = a_world(3)
    assert full_information(world.mean_rewards, world.edited).mean == pytest.approx(world.truth, abs=1e-12)


def test_an_unknown_outcome_matters_only_where_the_edited_policy_may_go() -> None:
    world = a_world(3)
    never_taken = world.mean_rewards.copy()
    never_taken[:, 2] = np.nan
    assert full_information(never_taken, world.edited).mean == pytest.approx(world.truth, abs=1e-12)
    never_taken[4] = np.nan
    with pytest.raises(NotEvaluableError, match="1 decisions may take an action whose outcome is not known"):
        full_information(never_taken, world.edited)


# --- refusals -------------------------------------------------------------------------------------


def decisions_with(draws: int, rows: int = 200) -> LoggedDecisions:
    """Half the rows are changed by the edit; in so many of them what it prefers was drawn, with an even coin."""
    edited = np.concatenate([np.full(rows // 2, 0.5), np.full(draws, 0.6), np.zeros(rows // 2 - draws)])
    changes = ("",) * (rows // 2) + ("close",) * (rows // 2)
    return LoggedDecisions(np.ones(rows), np.full(rows, 0.5), edited, changes)


@pytest.mark.parametrize(("draws", "times"), [(0, "never drawn"), (4, "drawn 4 times")])
def test_a_change_drawn_too_seldom_is_refused(draws: int, times: str) -> None:
    assert refusals(decisions_with(draws)) == (f"close: {times}, 5 are needed",)
    with pytest.raises(NotEvaluableError, match=times):
        self_normalised(decisions_with(draws))


def test_a_change_drawn_five_times_is_answered() -> None:
    assert refusals(decisions_with(5)) == ()
    assert self_normalised(decisions_with(5)).mean == pytest.approx(1.0)


def equal_weights(rows: int) -> LoggedDecisions:
    return LoggedDecisions(np.ones(rows), np.full(rows, 0.5), np.full(rows, 0.5), ("",) * rows)


@pytest.mark.parametrize(("rows", "refused"), [(49, True), (50, False), (51, False)])
def test_fifty_effective_decisions_are_the_least(rows: int, refused: bool) -> None:
    assert (refusals(equal_weights(rows)) != ()) is refused


def test_one_heavy_decision_does_not_carry_an_answer() -> None:
    decisions = equal_weights(1_000)
    probabilities = decisions.logged_probabilities.copy()
    probabilities[0] = 5e-4
    heavy = replace(decisions, logged_probabilities=probabilities)
    assert effective_sample(heavy.weights) < 50.0
    for estimate in (inverse_propensity, self_normalised):
        with pytest.raises(NotEvaluableError, match=r"effective sample of 4\.0 decisions, 50 are needed"):
            estimate(heavy)


def test_no_weight_at_all_is_an_effective_sample_of_nothing() -> None:
    assert effective_sample(np.zeros(10)) == 0.0


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("rewards", [1.0, np.nan, 1.0], "rewards: 1 not known, the first at 1"),
        ("rewards", [1.0, 1.0], "columns of a length"),
        ("logged_probabilities", [0.5, 0.0, 0.5], "above 0"),
        ("edited_probabilities", [0.5, -0.1, 0.5], "none below"),
        ("edited_probabilities", [0.5, 1.1, 0.5], "above 1"),
    ],
)
def test_columns_that_cannot_be_are_refused(column: str, values: list[float], reason: str) -> None:
    columns: dict[str, Any] = {column: np.array(values)}
    with pytest.raises(NotEnoughDataError, match=reason):
        replace(equal_weights(3), **columns)
