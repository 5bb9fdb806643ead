"""What the edited policy is worth on the decision points of a log, and where the log cannot say.

In: Considered. Out: an Evaluation. Full information first: where the settlement of everything that either policy may do
is known, its value is exact. Elsewhere the reward of what was done, up to the next decision, is weighted by how much
likelier the edited policy does it: IPS, SNIPS, doubly robust; or it is refused, with reasons. USD a decision. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from backtest.evaluate.considered import Considered, Odd, key_of
from backtest.evaluate.reward_model import modelled
from backtest.statistics.off_policy import (
    LoggedDecisions,
    NotEvaluableError,
    PolicyValue,
    doubly_robust,
    expected_outcomes,
    inverse_propensity,
    mean_of,
    self_normalised,
)
from backtest.statistics.samples import Floats, NotEnoughDataError
from models import ProposedAction


@dataclass(frozen=True)
class Exact:
    """Over `decisions` decision points, `changed` of them; `change` is after less before, decision by decision."""

    decisions: int
    changed: int
    before: PolicyValue
    after: PolicyValue
    change: PolicyValue


@dataclass(frozen=True)
class Weighted:
    """`logged` is what the log's own policy made there; `estimates` by name; or `refused` says why there are none."""

    decisions: int
    changed: int
    logged: PolicyValue | None
    estimates: Mapping[str, PolicyValue]
    refused: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """None where there is no such decision point."""

    decisions: int
    changed: int
    errors: int
    exact: Exact | None
    weighted: Weighted | None

    @property
    def is_answered(self) -> bool:
        return self.exact is not None or (self.weighted is not None and bool(self.weighted.estimates))


def evaluate(points: Sequence[Considered]) -> Evaluation:
    """Both parts of the decision points, each judged in its own way."""
    known = [point for point in points if point.is_exact]
    unknown = [point for point in points if not point.is_exact]
    return Evaluation(
        decisions=len(points),
        changed=sum(point.is_changed for point in points),
        errors=sum(point.error is not None for point in points),
        exact=_exact(known) if len(known) > 1 else None,
        weighted=_weighted_by_rewards(unknown) if unknown else None,
    )


def _exact(points: Sequence[Considered]) -> Exact:
    before, after = (_expected([getattr(point, name) for point in points]) for name in ("before", "after"))
    weeks = [point.week for point in points]
    changed = sum(point.is_changed for point in points)
    return Exact(len(points), changed, *(mean_of(values, weeks) for values in (before, after, after - before)))


def _expected(policies: Sequence[Sequence[Odd]]) -> Floats:
    """The mean outcome of each decision, as a table with a column an action."""
    width = max(map(len, policies))
    outcomes = np.full((len(policies), width), math.nan)
    probabilities = np.zeros((len(policies), width))
    for row, odds in enumerate(policies):
        outcomes[row, : len(odds)] = [odd.outcome_usd for odd in odds]
        probabilities[row, : len(odds)] = [odd.probability for odd in odds]
    return expected_outcomes(outcomes, probabilities)


def _weighted_by_rewards(unknown: Sequence[Considered]) -> Weighted:
    """The last decision of a run has no reward yet, and is left out."""
    points = [point for point in unknown if not math.isnan(point.reward_usd)]
    rewards = np.array([point.reward_usd for point in points])
    without_odds = sum(not point.has_odds for point in points)
    if without_odds:
        return _refused(points, [f"{without_odds} decisions of the log have no odds (choices) to weight them by"])
    return weighted(points, [point.done for point in points], rewards)


def weighted(points: Sequence[Considered], done: Sequence[ProposedAction], rewards: Floats) -> Weighted:
    """`done` is what was drawn at each point from the log's odds, `rewards` what that brought."""
    try:
        decisions = LoggedDecisions(
            rewards=rewards,
            logged_probabilities=_of_done([point.before for point in points], done),
            edited_probabilities=_of_done([point.after for point in points], done),
            changes=[point.change for point in points],
            groups=[point.day for point in points],
        )
        estimates = {
            "IPS": inverse_propensity(decisions),
            "SNIPS": self_normalised(decisions),
            "doubly robust": doubly_robust(decisions, *modelled(points, done, rewards)),
        }
    except NotEvaluableError as error:
        return _refused(points, error.reasons)
    except NotEnoughDataError as error:
        return _refused(points, [str(error)])
    changed = sum(point.is_changed for point in points)
    return Weighted(len(points), changed, mean_of(rewards, decisions.groups), estimates, ())


def _of_done(policies: Sequence[Sequence[Odd]], done: Sequence[ProposedAction]) -> Floats:
    """With which probability each policy does what was done."""
    return np.array(
        [
            math.fsum(odd.probability for odd in odds if odd.key == key_of(action))
            for odds, action in zip(policies, done, strict=True)
        ]
    )


def _refused(points: Sequence[Considered], reasons: Sequence[str]) -> Weighted:
    return Weighted(len(points), sum(point.is_changed for point in points), None, {}, tuple(reasons))
