"""What could be sold: the funnel, the nearest misses, and what another setting would admit or turn away.

In: a log and what was asked. Out: Answers, from the newest state of the span. Another setting is tried on the
candidates and near misses that the line kept, not on the whole chain: the answer says so. Reads the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pydantic import ValidationError

from config import BtcConfig, EthConfig, StrategyConfig
from core.settings.texts import bounds_text
from dashboard.ask.asked import Asked
from dashboard.ask.facts import Answer, Fact, Unit, missing, slug
from dashboard.ask.log_view import LogView
from dashboard.log_index.line import Line
from models import AgentState, CandidateOption, MarketSnapshot, NearMiss


class Filter(NamedTuple):
    """A setting that turns calls away: the rule in the funnel, which figure of a call, and on which side."""

    rule: str
    figure: str
    is_least: bool
    unit: Unit


FILTERS = {
    "dte_min": Filter("dte", "dte_days", True, "days"),
    "dte_max": Filter("dte", "dte_days", False, "days"),
    "delta_min": Filter("delta", "delta", True, "ratio"),
    "delta_max": Filter("delta", "delta", False, "ratio"),
    "max_spread_pct": Filter("spread", "spread_pct", False, "%"),
    "premium_min_usd": Filter("premium", "premium_usd", True, "USD"),
    "ivrv_min": Filter("ivrv", "", True, "ratio"),
}


def funnel(view: LogView, asked: Asked) -> Answer:
    """How many options fell at each rule, and how many are left."""
    line = view.newest(asked.span)
    state = None if line is None else view.state(line)
    found = [] if state is None else [one for one in state.funnels if one.underlying in asked.coins()]
    if line is None or not found:
        return missing("funnel", "Which filter turns options away", f"a funnel{asked.span_words}")
    facts = [Fact("as_of", "time of the line", line.at, "time", line.link)]
    sentences = ["As of {as_of}:"]
    for one in found:
        key = one.underlying.lower()
        facts.append(Fact(f"listed_{key}", f"options listed, {one.underlying}", one.listed, "count", line.link))
        facts.append(Fact(f"passed_{key}", f"calls that passed, {one.underlying}", one.passed, "count", line.link))
        facts += [
            Fact(f"{step.rule}_{key}", f"fell at {step.rule}, {one.underlying}", step.rejected, "count", line.link)
            for step in one.steps
        ]
        fallen = ", ".join(f"{step.rule} {{{step.rule}_{key}}}" for step in one.steps if step.rejected)
        sentences.append(f"{one.underlying}: of {{listed_{key}}} options fell at {fallen}; {{passed_{key}}} passed.")
    return Answer("funnel", "Which filter turns options away", tuple(facts), tuple(sentences))


def near_misses(view: LogView, asked: Asked) -> Answer:
    """The calls that one setting alone keeps out, and the line for .env that would admit each."""
    line = view.newest(asked.span)
    state = None if line is None else view.state(line)
    if line is None or state is None:
        return missing("near_misses", "Near misses", f"a state{asked.span_words}")
    facts = [Fact("as_of", "time of the line", line.at, "time", line.link)]
    sentences: list[str] = []
    for number, miss in enumerate([one for one in state.near_misses if one.underlying in asked.coins()], 1):
        facts += _miss_facts(miss, number, line)
        sentences.append(
            f"{{miss_{number}}} ({{miss_{number}_premium}}) fails {{miss_{number}_rule}}; "
            f"it would pass with {{miss_{number}_change}}."
        )
    sentences = sentences or ["No call was kept out by one setting alone."]
    return Answer("near_misses", "Near misses", tuple(facts), ("As of {as_of}:", *sentences))


def _miss_facts(miss: NearMiss, number: int, line: Line) -> Iterator[Fact]:
    yield Fact(f"miss_{number}", f"near miss {number}", miss.symbol, "text", line.link)
    yield Fact(f"miss_{number}_rule", f"rule that {miss.symbol} fails", miss.rule, "text", line.link)
    yield Fact(f"miss_{number}_value", f"its figure, {miss.symbol}", miss.value, "ratio", line.link)
    yield Fact(f"miss_{number}_limit", f"the limit, {miss.symbol}", miss.limit, "ratio", line.link)
    yield Fact(f"miss_{number}_premium", f"premium of {miss.symbol}", miss.premium_usd, "USD", line.link)
    yield Fact(f"miss_{number}_change", f"what would admit {miss.symbol}", miss.change, "text", line.link)


def what_if(view: LogView, asked: Asked) -> Answer:
    """Which calls of the line another value of one setting would admit, keep or turn away."""
    title = f"What if {asked.setting or 'a setting'} were another"
    problem = setting_problem(asked.setting, asked.value, asked.coin)
    if problem is not None:
        return Answer("what_if", title, problem=problem)
    line = view.newest(asked.span)
    state = None if line is None else view.state(line)
    if line is None or state is None or asked.setting is None or asked.value is None:
        return missing("what_if", title, f"a state{asked.span_words}")
    kept, lost, admitted = tried(state, asked.setting, asked.value, asked.coins())
    unit = FILTERS[asked.setting].unit
    facts = [
        Fact("as_of", "time of the line", line.at, "time", line.link),
        Fact("setting", "setting", asked.setting, "text"),
        Fact("value", f"{asked.setting} as asked", asked.value, unit),
        Fact("kept", "candidates that stay", len(kept), "count", line.link),
        Fact("lost", "candidates that fall", len(lost), "count", line.link),
        Fact("admitted", "near misses admitted", len(admitted), "count", line.link),
        *_named("lost", [call.symbol for call in lost], line),
        *_named("admitted", [miss.symbol for miss in admitted], line),
    ]
    sentences = [
        "On the state of {as_of}, with {setting} at {value}: of the candidates kept in the line {kept} stay and {lost} "
        "fall; of its near misses {admitted} would be admitted. The rest of the chain is not in the line.",
        *_named_sentences("Falls", "lost", len(lost)),
        *_named_sentences("Comes in", "admitted", len(admitted)),
    ]
    return Answer("what_if", title, tuple(facts), tuple(sentences))


def setting_problem(setting: str | None, value: float | None, coin: str | None) -> str | None:
    """Why a setting cannot be tried: not a filter, or outside its bounds; None where it can."""
    if setting not in FILTERS or setting is None:
        return f"This can be asked of {', '.join(FILTERS)}."
    if value is None:
        return f"Say a value for {setting}."
    model: type[StrategyConfig] = EthConfig if coin == "ETH" else BtcConfig
    try:
        model.__pydantic_validator__.validate_assignment(model.model_construct(), setting, value)
    except ValidationError:
        info = model.model_fields[setting]
        return f"{setting} cannot be {value:g}: {bounds_text(info)}. {info.description}"
    return None


def tried(
    state: AgentState, setting: str, value: float, coins: tuple[str, ...]
) -> tuple[list[CandidateOption], list[CandidateOption], list[NearMiss]]:
    """Candidates that stay, candidates that fall, near misses that come in."""
    calls = [call for call in state.candidates if call.underlying in coins]
    kept = [call for call in calls if passes(setting, figure_of(call, setting, state.market(call.underlying)), value)]
    misses = [miss for miss in state.near_misses if miss.underlying in coins and miss.rule == FILTERS[setting].rule]
    admitted = [miss for miss in misses if _is_on_its_side(miss, setting) and passes(setting, miss.value, value)]
    return kept, [call for call in calls if call not in kept], admitted


def passes(setting: str, figure: float | None, limit: float) -> bool:
    """Whether a figure meets a limit: an unknown IV/RV does not, unless the filter is off; an unknown spread does."""
    if setting == "ivrv_min" and limit == 0.0:
        return True
    if figure is None:
        return setting == "max_spread_pct"
    return figure >= limit if FILTERS[setting].is_least else figure <= limit


def figure_of(call: CandidateOption, setting: str, market: MarketSnapshot | None) -> float | None:
    """The figure of a candidate that a filter looks at."""
    if setting == "ivrv_min":
        return None if market is None else market.iv_rv_ratio
    figure: float | None = getattr(call, FILTERS[setting].figure)
    return figure


def _is_on_its_side(miss: NearMiss, setting: str) -> bool:
    """A call with too few days is not helped by a greater dte_max."""
    if miss.value is None:
        return setting == "ivrv_min"
    return (miss.value < miss.limit) == FILTERS[setting].is_least


def _named(name: str, symbols: list[str], line: Line) -> list[Fact]:
    return [Fact(f"{name}_{n}", f"{slug(name)} {n}", symbol, "text", line.link) for n, symbol in enumerate(symbols, 1)]


def _named_sentences(word: str, name: str, count: int) -> list[str]:
    listed = ", ".join(f"{{{name}_{n}}}" for n in range(1, count + 1))
    return [f"{word}: {listed}."] if count else []
