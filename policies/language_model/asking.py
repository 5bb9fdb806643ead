"""Ask the model about a state: from the cache where it was asked before, else within the budget of the day.

In: a state, labelled actions, settings. Out: Asked: the letter, or the named reason why there is none, with everything
a record tells of the call. Never raises for anything a model, an endpoint or a disk does. Talks to all three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from config import AgentConfig
from models import AgentState, ModelOutcome
from policies.language_model.call_log import Spent, note_answered, note_asked, spent_on
from policies.language_model.labels import LabelledAction
from policies.language_model.prompt import PromptTooLongError, messages_of, schema_of
from policies.language_model.reply import Reading, read_reply
from policies.language_model.reply_cache import keep_reply, kept_reply, request_hash
from policies.language_model.request import ModelUnreachableError, ask_endpoint

DEADLINE_FRACTION = 0.9  # of the time limit of a policy: the reply must still be read within it
MOST_LOGPROBS = 20  # what endpoints give at most


@dataclass(frozen=True)
class Asked:
    """What came of it. `reading` is what the reply says, where there was one."""

    outcome: ModelOutcome
    why: str
    model: str = ""
    host: str = ""
    prompt_hash: str | None = None
    thinking_seconds: float | None = None
    from_cache: bool = False
    reading: Reading | None = None


def ask_model(state: AgentState, actions: Sequence[LabelledAction], config: AgentConfig) -> Asked:
    """One question, at most one request."""
    llm = config.llm
    missing = [name for name, value in (("LLM_BASE_URL", llm.base_url), ("LLM_MODEL", llm.model)) if not value]
    if missing:
        return Asked("unavailable", f"unavailable: {' and '.join(missing)} not set: see .env.example")
    try:
        body = request_body(state, actions, config)
    except PromptTooLongError as error:
        return Asked("unavailable", f"unavailable: {error}")
    name, host = request_hash(llm.base_url, body), urlsplit(llm.base_url).netloc
    kept = kept_reply(llm.cache_dir, name)
    if kept is not None:
        asked = Asked("chosen", "", llm.model, host, name, from_cache=True)
        return _answered(state, *kept, actions, config, asked)
    if llm.cache == "only":
        return Asked("cache_miss", "cache_miss: this was never asked, and LLM_CACHE=only", llm.model, host, name)
    return _ask(state, body, actions, config, Asked("chosen", "", llm.model, host, name))


def request_body(state: AgentState, actions: Sequence[LabelledAction], config: AgentConfig) -> dict[str, Any]:
    """Everything that determines the reply, beside the endpoint; raises PromptTooLongError."""
    llm = config.llm
    body: dict[str, Any] = {
        "model": llm.model,
        "messages": list(messages_of(state, actions, config)),
        "temperature": llm.temperature,
        "max_tokens": llm.max_reply_tokens,
        "seed": state.seed,
    }
    if llm.send_schema:
        named = {"name": "choice", "strict": True, "schema": schema_of(actions)}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if llm.send_logprobs:
        body |= {"logprobs": True, "top_logprobs": MOST_LOGPROBS}
    return body


# --- one call ----------------------------------------------------------------------------------------


def _ask(
    state: AgentState, body: Mapping[str, Any], actions: Sequence[LabelledAction], config: AgentConfig, asked: Asked
) -> Asked:
    llm, folder, at = config.llm, config.run.log_dir, state.timestamp
    name = asked.prompt_hash or ""
    try:
        problem = _budget_problem(spent_on(folder, at), at, config)
        if problem is not None:
            return _without_reply(asked, *problem)
        note_asked(folder, at, name)
    except OSError as error:
        return _without_reply(asked, "unavailable", f"the log of calls cannot be written ({error.strerror})")
    deadline_seconds = min(llm.timeout_seconds, DEADLINE_FRACTION * config.run.policy_seconds)
    try:
        reply = ask_endpoint(llm.base_url, llm.api_key, body, deadline_seconds)
    except ModelUnreachableError as error:
        with suppress(OSError):
            note_answered(folder, at, name, 0, error.wait_seconds)
        return _without_reply(asked, "unavailable", str(error), round(error.seconds, 3))
    reading, seconds = read_reply(reply.content, [entry.label for entry in actions]), round(reply.seconds, 3)
    with suppress(OSError):  # the call itself is counted
        note_answered(folder, at, name, (reading.prompt_tokens or 0) + (reading.reply_tokens or 0), None)
    keep_reply(llm.cache_dir, name, llm.base_url, body, reading, seconds)
    return _answered(state, reading, seconds, actions, config, asked)


def _budget_problem(spent: Spent, at: datetime, config: AgentConfig) -> tuple[ModelOutcome, str] | None:
    llm = config.llm
    if spent.wait_until > at.isoformat():
        return "unavailable", f"the endpoint asked to be left alone until {spent.wait_until[:19]} UTC"
    if spent.calls >= llm.max_calls_per_day:
        return "budget", f"{spent.calls} calls today, LLM_MAX_CALLS_PER_DAY is {llm.max_calls_per_day}"
    if spent.tokens >= llm.max_tokens_per_day:
        return "budget", f"{spent.tokens} tokens today, LLM_MAX_TOKENS_PER_DAY is {llm.max_tokens_per_day}"
    return None


def _without_reply(asked: Asked, outcome: ModelOutcome, why: str, seconds: float | None = None) -> Asked:
    return Asked(outcome, f"{outcome}: {why}", asked.model, asked.host, asked.prompt_hash, seconds)


# --- one reply ---------------------------------------------------------------------------------------


def _answered(
    state: AgentState,
    reading: Reading,
    seconds: float,
    actions: Sequence[LabelledAction],
    config: AgentConfig,
    asked: Asked,
) -> Asked:
    outcome, why = reading.outcome, reading.why
    entry = next((entry for entry in actions if entry.label == reading.label), None)
    if outcome == "chosen" and entry is not None:
        age = _age_problem(state, entry, seconds, config)
        outcome, why = ("chosen", "") if age is None else ("unavailable", f"unavailable: {age}")
    return replace(asked, outcome=outcome, why=why, thinking_seconds=seconds, reading=reading)


def _age_problem(state: AgentState, entry: LabelledAction, thinking_seconds: float, config: AgentConfig) -> str | None:
    """Whether the quotes behind the choice had become too old by the time it was made."""
    action = entry.action
    parts = (state.candidate(action.symbol), state.position(action.symbol), state.candidate(action.new_symbol))
    quoted = [part.quoted_at for part in parts if part is not None and part.quoted_at is not None]
    ages = [(state.timestamp - at).total_seconds() + thinking_seconds for at in quoted]
    limit = config.risk.max_quote_age_seconds
    if all(age <= limit for age in ages):
        return None
    return (
        f"thought too long: {thinking_seconds:.1f} s, and a quote is {max(ages):.0f} s old by now (at most {limit:g})"
    )
