"""Decision points of a log, each with what the acting policy, its shadows and three yardsticks wanted there. Pure.

In: the points of a log (their states carry `choices`), settings by run, the rule-based policy. Out: Compared: for each
name the action at every decision point, and whether it was the policy's own decision. A decision point is a state in
which the risk engine allowed more than one action: on all others every policy agrees, which says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from backtest.replay.again import is_same
from backtest.replay.logged import Point
from config import AgentConfig
from models import ActionType, AgentState, ProposedAction
from policies.call import Policy, ask_for_many

ACTING = "acting"
HOLDING = "holding"
RULE_BASED = "rule-based"
NOTHING = ProposedAction(type=ActionType.DO_NOTHING, reason="holding")


@dataclass(frozen=True)
class Wanted:
    """What one policy wanted at a decision point. `is_own`: it decided itself, doing nothing was no fallback."""

    action: ProposedAction
    is_own: bool
    is_allowed: bool


@dataclass
class Compared:
    """By policy, one entry a decision point; None where a run had no such shadow."""

    points: list[Point] = field(default_factory=list)
    wanted: dict[str, list[Wanted | None]] = field(default_factory=dict)

    def pairs(self, name: str) -> list[tuple[Point, Wanted, Wanted]]:
        """Where both the acting policy and this one have decided: the point, the acting one's, this one's."""
        rows = zip(self.points, self.wanted[ACTING], self.wanted[name], strict=True)
        return [(point, acting, other) for point, acting, other in rows if acting is not None and other is not None]


def is_decision_point(state: AgentState) -> bool:
    """Whether the risk engine allowed anything beside doing nothing; of older logs that is not known."""
    return len(state.choices) > 1


def compared(points: Iterable[Point], settings: Mapping[str, AgentConfig], rule_based: Policy) -> Compared:
    """Calls the rule-based policy on every decision point; everything else stands in the log."""
    found = Compared(points=[point for point in points if is_decision_point(point.state)])
    names = dict.fromkeys(shadow.policy for point in found.points for shadow in point.decision.shadows)
    found.wanted[ACTING] = [_acting(point) for point in found.points]
    for name in names:
        found.wanted[name] = [_shadow(point, name) for point in found.points]
    found.wanted[HOLDING] = [Wanted(NOTHING, is_own=True, is_allowed=True) for _ in found.points]
    found.wanted[RULE_BASED] = _decided_again(found.points, settings, rule_based)
    return found


def shadow_names(found: Compared) -> list[str]:
    return [name for name in found.wanted if name not in (ACTING, HOLDING, RULE_BASED)]


def _acting(point: Point) -> Wanted:
    action = point.decision.proposed_action
    return Wanted(action, _is_own(action, None), point.decision.allowed)


def _shadow(point: Point, name: str) -> Wanted | None:
    shadow = next((shadow for shadow in point.decision.shadows if shadow.policy == name), None)
    if shadow is None:
        return None
    return Wanted(shadow.action, _is_own(shadow.action, shadow.error), shadow.check.allowed)


def _is_own(action: ProposedAction, error: str | None) -> bool:
    """A model's decision is its own where it chose; any other policy's where it did not fail."""
    return error is None if action.model_call is None else action.model_call.outcome == "chosen"


def _decided_again(points: Sequence[Point], settings: Mapping[str, AgentConfig], policy: Policy) -> list[Wanted | None]:
    """Without exploration: what the rules themselves want."""
    by_run: dict[str, list[Point]] = {}
    for point in points:
        by_run.setdefault(point.decision.run_id, []).append(point)
    answers: dict[int, Wanted] = {}
    for run_id, of_run in by_run.items():
        config = settings[run_id]
        quiet = config.model_copy(update={"run": config.run.model_copy(update={"exploration_pct": 0.0})})
        for point, answer in zip(of_run, ask_for_many(policy, [one.state for one in of_run], quiet), strict=True):
            allowed = not point.state.refuses(answer.action)
            answers[id(point)] = Wanted(answer.action, answer.error is None, allowed)
    return [answers[id(point)] for point in points]


# --- agreement ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Agreement:
    """Of `count` decision points. `kappa` is None where chance alone would always agree."""

    count: int
    same: int
    kappa: float | None


def agreement(pairs: Sequence[tuple[Point, Wanted, Wanted]]) -> Agreement:
    """Same action and size; Cohen's kappa over kinds of action (kind, coin, place among the candidates).

    Source: Cohen, "A coefficient of agreement for nominal scales", 1960: (observed - expected) / (1 - expected).
    """
    same = len([1 for _, acting, other in pairs if is_same(acting.action, other.action)])
    kinds = [(kind_of(point, acting.action), kind_of(point, other.action)) for point, acting, other in pairs]
    return Agreement(len(pairs), same, cohens_kappa(kinds))


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """1 where both always say the same, 0 where no more often than by chance."""
    if not pairs:
        return None
    count = len(pairs)
    observed = len([1 for first, second in pairs if first == second]) / count
    firsts, seconds = Counter(first for first, _ in pairs), Counter(second for _, second in pairs)
    expected = sum(firsts[kind] * seconds[kind] for kind in firsts) / count**2
    return None if expected == 1.0 else (observed - expected) / (1.0 - expected)


def kind_of(point: Point, action: ProposedAction) -> str:
    """What an action is, so that it can be compared from day to day: `OPEN BTC 2` sells the second candidate."""
    kind = action.type.partition("_")[0]
    if action.type == ActionType.DO_NOTHING or action.underlying is None:
        return "NOTHING"
    symbols = [call.symbol for call in point.state.candidates_for(action.underlying)]
    sold = action.new_symbol or action.symbol
    place = f" {symbols.index(sold) + 1}" if sold in symbols and action.type != ActionType.CLOSE_COVERED_CALL else ""
    return f"{kind} {action.underlying}{place}"
