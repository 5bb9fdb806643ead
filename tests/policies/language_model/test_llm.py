"""The language-model policy where all goes well: what is sent, what is kept, what is logged, what is paid."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from config import AgentConfig
from models import ActionType, AgentState, ProposedAction, TradingState
from policies.call import ask_policy
from policies.llm import decide_action
from tests.builders.models_elsewhere.stub import choosing, completion, model_stub, raw
from tests.builders.states import NOW, a_candidate, a_short_call
from tests.policies.language_model.asked import (
    a_model_config,
    a_state_to_choose_in,
    asked,
    asked_of,
    assert_nothing_for,
    call_of,
)

KEY = "made-up-model-key-0815"


def decided(state: AgentState, config: AgentConfig) -> ProposedAction:
    answer = ask_policy(decide_action, state, config)
    assert answer.error is None
    return answer.action


# --- what is asked ---------------------------------------------------------------------------------


def test_the_request_holds_the_letters_as_a_schema_and_the_rules_before_the_state(tmp_path: Path) -> None:
    _, stub = asked_of(tmp_path, choosing("A"), api_key=KEY)
    (body,) = stub.bodies
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["choice"]["enum"] == ["A", "B", "C"]
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert stub.headers[0]["authorization"] == f"Bearer {KEY}"


def test_what_an_endpoint_does_not_know_can_be_left_out(tmp_path: Path) -> None:
    _, stub = asked_of(tmp_path, choosing("A"), send_schema=False, send_logprobs=False)
    assert {"response_format", "logprobs", "top_logprobs"} & set(stub.bodies[0]) == set()
    assert "authorization" not in stub.headers[0]


@pytest.mark.parametrize(("is_hidden", "is_shown"), [(False, True), (True, False)])
def test_dates_and_prices_can_be_hidden(tmp_path: Path, is_hidden: bool, is_shown: bool) -> None:
    _, stub = asked_of(tmp_path, choosing("A"), hide_market=is_hidden)
    text = json.dumps(stub.bodies[0]["messages"])
    for word in ("2026", "100000", "110000", "970 USD"):
        assert (word in text) is is_shown


def test_calls_that_are_held_can_be_bought_back_or_rolled_by_letter(tmp_path: Path) -> None:
    held = a_short_call()
    later = a_candidate(expiry=NOW + timedelta(days=18, hours=20))
    with model_stub(choosing("C")) as stub:
        config = a_model_config(tmp_path, stub.url)
        state = a_state_to_choose_in(config, positions=(held,), candidates=(later,))
        wanted = {choice.type for choice in state.choices}
        action = decided(state, config)
    assert wanted >= {ActionType.CLOSE_COVERED_CALL, ActionType.ROLL_COVERED_CALL}
    assert action.type in wanted
    assert "buy back" in stub.bodies[0]["messages"][1]["content"]


def test_nobody_is_asked_where_there_is_nothing_to_choose(tmp_path: Path) -> None:
    with model_stub(choosing("A")) as stub:
        config = a_model_config(tmp_path, stub.url)
        nothing_else = decided(a_state_to_choose_in(config, candidates=()), config)
        halted = decided(a_state_to_choose_in(config, trading_state=TradingState.HALTED), config)
    assert_nothing_for(nothing_else, "only_action", "nothing else is allowed")
    assert_nothing_for(halted, "blocked", "no order is sent")
    assert stub.bodies == []


def test_without_an_endpoint_the_missing_settings_are_named(tmp_path: Path) -> None:
    config = a_model_config(tmp_path, "", model="")
    assert_nothing_for(decided(a_state_to_choose_in(config), config), "unavailable", "LLM_BASE_URL and LLM_MODEL")


# --- probabilities -----------------------------------------------------------------------------------


def odds_of(folder: Path, odds: dict[str, float] | None, **llm: Any) -> dict[str, float]:
    action = asked(folder, choosing("B", odds), **llm)
    return {option.label.partition(" ")[0] + (option.symbol or "")[:3]: option.probability for option in action.choices}


def test_logprobs_become_the_probabilities_of_all_letters(tmp_path: Path) -> None:
    odds = odds_of(tmp_path, {"B": math.log(0.3), ' "A': math.log(0.1), "x": math.log(0.6)})
    assert odds == pytest.approx({"nothing": 0.25, "openBTC": 0.75})


def test_two_tokens_for_one_letter_are_added_up(tmp_path: Path) -> None:
    odds = odds_of(tmp_path, {"B": math.log(0.3), '"B': math.log(0.1), "A": math.log(0.1)})
    assert odds["openBTC"] == pytest.approx(0.8)


@pytest.mark.parametrize(("temperature", "likeliest"), [(2.0, 3**0.5 / (3**0.5 + 1)), (0.0, 1.0)])
def test_they_are_those_at_the_temperature_of_the_draw(tmp_path: Path, temperature: float, likeliest: float) -> None:
    odds = odds_of(tmp_path, {"B": math.log(0.75), "A": math.log(0.25)}, temperature=temperature)
    assert odds["openBTC"] == pytest.approx(likeliest)


@pytest.mark.parametrize("odds", [None, {"A": -1.0}, {"B": float("nan")}, {"B": 0.5}])
def test_without_usable_logprobs_they_are_not_known_and_the_record_says_so(
    tmp_path: Path, odds: dict[str, float] | None
) -> None:
    action = asked(tmp_path, choosing("B", odds))
    assert (action.choices, call_of(action).probabilities) == ((), "not given")
    assert "its probability is not known" in action.reason


# --- the cache -----------------------------------------------------------------------------------------


def test_the_same_state_is_paid_for_once_and_decided_the_same_for_ever(tmp_path: Path) -> None:
    with model_stub(choosing("B"), choosing("C")) as stub:
        config = a_model_config(tmp_path, stub.url)
        state = a_state_to_choose_in(config)
        first, second = decided(state, config), decided(state, config)
        only = config.model_copy(update={"llm": config.llm.model_copy(update={"cache": "only"})})
        replayed = decided(state, only)
    assert len(stub.bodies) == 1
    assert first.symbol == second.symbol == replayed.symbol
    assert [call_of(action).from_cache for action in (first, second, replayed)] == [False, True, True]
    assert call_of(first).thinking_seconds == call_of(second).thinking_seconds


def test_what_was_never_asked_is_a_named_miss_where_nobody_may_ask(tmp_path: Path) -> None:
    decision, stub = asked_of(tmp_path, choosing("B"), cache="only")
    assert_nothing_for(decision.action, "cache_miss", "never asked")
    assert stub.bodies == []


def test_another_model_is_another_question(tmp_path: Path) -> None:
    with model_stub(choosing("B")) as stub:
        for model in ("one", "two"):
            config = a_model_config(tmp_path, stub.url, model=model)
            decided(a_state_to_choose_in(config), config)
    assert len(stub.bodies) == 2


def test_a_torn_file_of_the_cache_is_asked_anew(tmp_path: Path) -> None:
    with model_stub(choosing("B")) as stub:
        config = a_model_config(tmp_path, stub.url)
        state = a_state_to_choose_in(config)
        decided(state, config)
        (kept,) = (tmp_path / "cache").rglob("*.json")
        kept.write_bytes(kept.read_bytes()[:50])
        assert call_of(decided(state, config)).outcome == "chosen"
    assert len(stub.bodies) == 2


def test_the_prompt_is_kept_once_and_the_key_nowhere(tmp_path: Path) -> None:
    asked(tmp_path, completion(f"your key is {KEY}"), api_key=KEY)
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert sum("You manage covered calls" in text for text in texts) == 1
    assert not [text for text in texts if KEY in text and "You manage" not in text]


# --- the budget --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "name"),
    [({"max_calls_per_day": 2}, "LLM_MAX_CALLS_PER_DAY"), ({"max_tokens_per_day": 214}, "LLM_MAX_TOKENS_PER_DAY")],
)
def test_the_budget_of_a_day_is_counted_from_the_log_and_begins_anew_at_midnight(
    tmp_path: Path, limits: dict[str, int], name: str
) -> None:
    with model_stub(choosing("B")) as stub:
        config = a_model_config(tmp_path, stub.url, **limits)
        days = [NOW + timedelta(days=day) for day in (0, 0, 0, 1)]
        questions = [
            a_state_to_choose_in(config, timestamp=at, candidates=(a_candidate(delta=0.1 + 0.01 * n, quoted_at=at),))
            for n, at in enumerate(days)
        ]
        answers = [decided(state, config) for state in questions]  # nothing is kept in memory between two of them
    assert [call_of(action).outcome for action in answers] == ["chosen", "chosen", "budget", "chosen"]
    assert name in answers[2].reason


def test_calls_that_failed_count_too(tmp_path: Path) -> None:
    with model_stub(raw(500, "")) as stub:
        config = a_model_config(tmp_path, stub.url, max_calls_per_day=1)
        answers = [decided(a_state_to_choose_in(config), config) for _ in range(2)]
    assert [call_of(action).outcome for action in answers] == ["unavailable", "budget"]
    assert len(stub.bodies) == 1


def test_a_call_that_cannot_be_written_down_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    decision, stub = asked_of(tmp_path, choosing("B"))
    assert_nothing_for(decision.action, "unavailable", "the log of calls cannot be written")
    assert stub.bodies == []


# --- time --------------------------------------------------------------------------------------------------


def test_a_choice_on_quotes_that_have_grown_too_old_meanwhile_is_not_carried_out(tmp_path: Path) -> None:
    with model_stub(choosing("B")) as stub:
        config = a_model_config(tmp_path, stub.url)
        old = NOW - timedelta(seconds=config.risk.max_quote_age_seconds - 0.0001)
        state = a_state_to_choose_in(config, candidates=(a_candidate(quoted_at=old),))
        first, again = decided(state, config), decided(state, config)
    assert_nothing_for(first, "unavailable", "thought too long")
    assert again.reason == first.reason  # the cache remembers how long it took


def test_the_reply_is_waited_for_no_longer_than_the_policy_may_take(tmp_path: Path) -> None:
    with model_stub(raw(200, b" ", 4.0)) as stub:
        config = a_model_config(tmp_path, stub.url, timeout_seconds=20.0)
        config = config.model_copy(update={"run": config.run.model_copy(update={"policy_seconds": 2.0})})
        action = decided(a_state_to_choose_in(config), config)
    assert_nothing_for(action, "unavailable", "no reply within 1.8 s")
