"""What an edited policy would have made, from decisions that another policy logged with their probabilities.

In: columns, one row a decision point: reward (USD or coin), probability of the logged action under the policy that
logged and under the edited one, and what the edit changes there. Out: an estimate with its standard error and the
effective sample size, or the reasons why there is none. Where every action's outcome is known, `full_information`
needs no weights and is exact. Pure.

Sources: Horvitz and Thompson (1952): inverse propensity. Swaminathan and Joachims, "The self-normalized estimator for
counterfactual learning", 2015. Dudik, Langford and Li, "Doubly robust policy evaluation and learning", 2011.
Effective sample size: Kish (1965).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backtest.statistics.samples import Floats, NotEnoughDataError, refuse_gaps

LEAST_EFFECTIVE_SAMPLE = 50.0
LEAST_DRAWS_OF_A_CHANGE = 5
PROBABILITY_ROUNDING = 1e-9


@dataclass(frozen=True)
class LoggedDecisions:
    """One row a decision point.

    `changes` names what the edit does otherwise there ("close instead of nothing"), "" where it does the same. A change
    counts as drawn where the logged action is one the edited policy may take. `groups` names what decisions share an
    outcome with (the chain of a call and its rolls): standard errors then take groups as independent, not decisions.
    """

    rewards: Floats
    logged_probabilities: Floats
    edited_probabilities: Floats
    changes: Sequence[str]
    groups: Sequence[str] | None = None

    def __post_init__(self) -> None:
        columns = {"rewards": self.rewards, "logged": self.logged_probabilities, "edited": self.edited_probabilities}
        texts = {"changes": self.changes} | ({} if self.groups is None else {"groups": self.groups})
        lengths = {name: len(values) for name, values in (columns | texts).items()}
        if len(set(lengths.values())) != 1 or lengths["rewards"] < 2:
            raise NotEnoughDataError(f"columns of a length, 2 rows at least, are needed: {lengths}")
        for name, values in columns.items():
            refuse_gaps(values, name)
        if not (np.all(self.logged_probabilities > 0.0) and np.all(self.edited_probabilities >= 0.0)):
            raise NotEnoughDataError("a logged action has a probability above 0, an edited one none below")
        if max(self.logged_probabilities.max(), self.edited_probabilities.max()) > 1.0 + PROBABILITY_ROUNDING:
            raise NotEnoughDataError("a probability is above 1")

    @property
    def weights(self) -> Floats:
        return np.asarray(self.edited_probabilities / self.logged_probabilities)


@dataclass(frozen=True)
class PolicyValue:
    """Mean reward a decision in the unit of the rewards, its error NaN where not known; the sample is in decisions."""

    mean: float
    standard_error: float
    effective_sample: float


class NotEvaluableError(NotEnoughDataError):
    """The log cannot answer for this edit; `reasons` has one sentence each."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


def effective_sample(weights: Floats) -> float:
    """Kish's effective number of decisions: the square of the sum over the sum of squares; 0 without any weight."""
    squares = float((weights**2).sum())
    return 0.0 if squares == 0.0 else float(weights.sum()) ** 2 / squares


def refusals(decisions: LoggedDecisions) -> tuple[str, ...]:
    """Why the log cannot answer; empty where it can."""
    size = effective_sample(decisions.weights)
    reasons = []
    if not size >= LEAST_EFFECTIVE_SAMPLE:
        reasons.append(f"effective sample of {size:.1f} decisions, {LEAST_EFFECTIVE_SAMPLE:.0f} are needed")
    for change, draws in _draws_of_changes(decisions).items():
        if draws < LEAST_DRAWS_OF_A_CHANGE:
            times = "never drawn" if draws == 0 else f"drawn {draws} times"
            reasons.append(f"{change}: {times}, {LEAST_DRAWS_OF_A_CHANGE} are needed")
    return tuple(reasons)


def _draws_of_changes(decisions: LoggedDecisions) -> dict[str, int]:
    """How often the log drew what an edit made more likely; what both policies explore alike says nothing of it."""
    draws = dict.fromkeys((change for change in decisions.changes if change != ""), 0)
    is_favoured = decisions.edited_probabilities > decisions.logged_probabilities
    for change, is_drawn in zip(decisions.changes, is_favoured, strict=True):
        if change != "" and is_drawn:
            draws[change] += 1
    return draws


# --- estimators ------------------------------------------------------------------------------------


def inverse_propensity(decisions: LoggedDecisions) -> PolicyValue:
    """IPS: unbiased, and noisy where weights are large. Raises NotEvaluableError."""
    _refuse_the_unanswerable(decisions)
    return _value(decisions.weights * decisions.rewards, decisions)


def self_normalised(decisions: LoggedDecisions) -> PolicyValue:
    """SNIPS: weights that sum to their number; a small bias, far less noise, never outside the rewards seen."""
    _refuse_the_unanswerable(decisions)
    weights = decisions.weights
    mean = float((weights * decisions.rewards).sum() / weights.sum())
    # Delta method for a ratio of means.
    residuals = weights * (decisions.rewards - mean) / weights.mean()
    return PolicyValue(mean, _standard_error(residuals, decisions.groups), effective_sample(weights))


def doubly_robust(decisions: LoggedDecisions, model_logged: Floats, model_edited: Floats) -> PolicyValue:
    """A model of the rewards, corrected by weighted residuals: right where either the model or the weights are.

    `model_logged` is the model's reward of the logged action, `model_edited` the mean of its rewards over the edited
    policy's actions. The model must not have been fitted on these rows.
    """
    _refuse_the_unanswerable(decisions)
    for name, values in (("model_logged", model_logged), ("model_edited", model_edited)):
        if len(values) != len(decisions.rewards):
            raise NotEnoughDataError(f"{name}: {len(values)} rows for {len(decisions.rewards)} decisions")
        refuse_gaps(values, name)
    corrections = decisions.weights * (decisions.rewards - model_logged)
    return _value(model_edited + corrections, decisions)


def full_information(outcomes: Floats, probabilities: Floats, groups: Sequence[str] | None = None) -> PolicyValue:
    """Exact over the decisions seen: rows are decisions, columns actions, NaN where an outcome is not known.

    The standard error is that of the decisions as a sample. An action the edited policy may take, but whose outcome is
    not known, raises NotEvaluableError: it is not worth 0.
    """
    return mean_of(expected_outcomes(outcomes, probabilities), groups)


def expected_outcomes(outcomes: Floats, probabilities: Floats) -> Floats:
    """The same decision by decision, so that two policies can be compared on each."""
    if outcomes.shape != probabilities.shape or outcomes.ndim != 2 or len(outcomes) < 2:
        raise NotEnoughDataError(f"outcomes {outcomes.shape} and probabilities {probabilities.shape} do not match")
    if not np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-6) or not np.all(probabilities >= 0.0):
        raise NotEnoughDataError("the probabilities of a decision do not add up to 1")
    unknown = np.any((probabilities > 0.0) & ~np.isfinite(outcomes), axis=1)
    if unknown.any():
        raise NotEvaluableError([f"{unknown.sum()} decisions may take an action whose outcome is not known"])
    return np.asarray(np.where(probabilities > 0.0, probabilities * np.nan_to_num(outcomes), 0.0).sum(axis=1))


def mean_of(values: Floats, groups: Sequence[str] | None = None) -> PolicyValue:
    """Mean of what decisions made, each counted once."""
    return PolicyValue(float(values.mean()), _standard_error(values, groups), float(len(values)))


def _refuse_the_unanswerable(decisions: LoggedDecisions) -> None:
    reasons = refusals(decisions)
    if len(reasons) > 0:
        raise NotEvaluableError(reasons)


def _value(values: Floats, decisions: LoggedDecisions) -> PolicyValue:
    error = _standard_error(values, decisions.groups)
    return PolicyValue(float(values.mean()), error, effective_sample(decisions.weights))


def _standard_error(values: Floats, groups: Sequence[str] | None) -> float:
    """Of a mean; what deviates together within a group counts once (Liang and Zeger, 1986). NaN of one group alone."""
    if groups is None:
        return float(values.std(ddof=1)) / math.sqrt(len(values))
    _, places = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.bincount(places, weights=values - values.mean())
    if len(sums) < 2:
        return math.nan
    return float(np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1))) / len(values)
