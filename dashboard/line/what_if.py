"""What a line would have come to under other settings: which calls pass, and what the policy would do.

In: the state of a line, settings as a person typed them. Out: a WhatIf, which says what it rests on: the whole chain
where it can still be found, else only the candidates and near misses of the line. The policy is asked in a process of
its own, without network settings or keys: it is the owner's code, and may do anything. Premiums in USD.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from config import AgentConfig, StrategyConfig
from core.candidates import scan_chain
from dashboard.ask.filters import FILTERS, figure_of, passes
from dashboard.live.chains import SeenChain
from models import AgentState, CandidateOption, FilterFunnel, MarketSnapshot, ProposedAction, RiskResult

PROJECT = Path(__file__).resolve().parents[2]
FIELDS = (
    *("delta_min", "delta_max", "dte_min", "dte_max", "ivrv_min", "premium_min_usd", "max_spread_pct"),
    *("order_size", "roll_dte_days", "roll_ivrv_min", "take_profit_pct"),
)
LONGEST_SECONDS = 30.0
MOST_LETTERS = 20


@dataclass(frozen=True)
class Typed:
    """A setting of the form: what stands in it, its bounds and its sentence."""

    name: str
    text: str
    sentence: str


@dataclass(frozen=True)
class WhatIf:
    """The answer. `basis` says what it rests on, `problems` what is wrong with the form."""

    fields: tuple[Typed, ...]
    is_asked: bool = False
    problems: tuple[str, ...] = ()
    basis: str = ""
    candidates: tuple[CandidateOption, ...] = ()
    newly: tuple[str, ...] = ()
    no_longer: tuple[str, ...] = ()
    funnel: FilterFunnel | None = None
    action: ProposedAction | None = None
    verdict: RiskResult | None = None
    policy_problem: str | None = None
    changed: Mapping[str, Any] = field(default_factory=dict)


def form(strategy: StrategyConfig, given: Mapping[str, str]) -> tuple[Typed, ...]:
    """The settings that decide which calls pass and what the policy does with them."""
    described = type(strategy).model_fields
    return tuple(
        Typed(name, given.get(name) or f"{getattr(strategy, name):g}", described[name].description or "")
        for name in FIELDS
    )


def settings_as_typed(config: AgentConfig, coin: str, given: Mapping[str, str]) -> tuple[AgentConfig, list[str]]:
    """The settings with what was typed; else as they were, and why."""
    old = config.strategy(coin)
    typed = {name: given[name][:MOST_LETTERS] for name in FIELDS if given.get(name)}
    try:
        new = type(old).model_validate(old.model_dump() | typed)
    except ValidationError as error:
        return config, [_problem(one) for one in error.errors(include_input=False, include_url=False)]
    made = config.model_copy(update={coin.lower(): new})
    return made, []


def _problem(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    return f"{where}: {error['msg'].removeprefix('Value error, ')}" if where else str(error["msg"])


def what_if(
    state: AgentState, coin: str, config: AgentConfig, given: Mapping[str, str], seen: SeenChain | None, policy: str
) -> WhatIf:
    """What other settings would have let pass, and what the policy would have done."""
    fields = form(config.strategy(coin), given)
    if not any(given.get(name) for name in FIELDS):
        return WhatIf(fields)
    changed, problems = settings_as_typed(config, coin, given)
    market = state.market(coin)
    if problems or market is None:
        return WhatIf(fields, True, tuple(problems or [f"the line has no market of {coin}"]))
    passed, funnel, basis = _passing(state, market, changed, seen)
    before, after = _symbols(state.candidates_for(coin)), _symbols(passed)
    others = tuple(call for call in state.candidates if call.underlying != coin)
    action, verdict, problem = ask(state.model_copy(update={"candidates": (*others, *passed)}), changed, policy)
    return WhatIf(
        fields=fields,
        is_asked=True,
        basis=basis,
        candidates=passed,
        newly=tuple(after - before),
        no_longer=tuple(before - after),
        funnel=funnel,
        action=action,
        verdict=verdict,
        policy_problem=problem,
    )


def _symbols(calls: tuple[CandidateOption, ...]) -> set[str]:
    return {call.symbol for call in calls}


def _passing(
    state: AgentState, market: MarketSnapshot, config: AgentConfig, seen: SeenChain | None
) -> tuple[tuple[CandidateOption, ...], FilterFunnel | None, str]:
    if seen is not None:
        scan = scan_chain(seen.coin, market, state.timestamp, config)
        return scan.candidates, scan.funnel, f"the whole chain was filtered again: {seen.source}"
    kept = tuple(call for call in state.candidates_for(market.underlying) if _still_passes(call, market, config))
    basis = (
        "the chain of this line is not kept: of the calls that had passed, those that still would; "
        "looser settings may admit others, which the line does not know"
    )
    return kept, None, basis


def _still_passes(call: CandidateOption, market: MarketSnapshot, config: AgentConfig) -> bool:
    """The settings that a candidate's own figures can be held against."""
    rules = config.strategy(call.underlying)
    return all(passes(name, figure_of(call, name, market), getattr(rules, name)) for name in FILTERS)


# --- the policy, in a process of its own ----------------------------------------------------------------


class _Decided(BaseModel):
    """What backtest.decide prints."""

    action: ProposedAction | None = None
    verdict: RiskResult | None = None
    problem: str | None = None


def ask(
    state: AgentState, config: AgentConfig, policy: str
) -> tuple[ProposedAction | None, RiskResult | None, str | None]:
    """What the policy proposes on a state, and the risk engine's verdict; or why that is not known."""
    question = {
        "state": state.model_dump(mode="json"),
        "config": config.model_dump(mode="json", exclude={"deribit"}),
        "policy": policy,
    }
    quiet = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    command = [sys.executable, "-m", "backtest.decide"]
    try:
        done = subprocess.run(
            command, input=json.dumps(question), cwd=PROJECT, env=quiet, capture_output=True, text=True,
            timeout=LONGEST_SECONDS, check=False,
        )  # fmt: skip
        answer = _Decided.model_validate_json(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None, None, f"the policy {policy} gave no answer within {LONGEST_SECONDS:g} s"
    return answer.action, answer.verdict, answer.problem
