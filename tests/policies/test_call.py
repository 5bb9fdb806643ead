"""Whatever the owner's policy does, an action or a named reason comes back, and the process is as it was before.

The watchdog works in real time; its tests shorten it to a few hundredths of a second.
"""

from __future__ import annotations

import decimal
import locale
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path, PurePath
from types import FrameType
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from config import AgentConfig
from models import ActionType, AgentState, ProposedAction
from policies.call import PolicyAnswer, PolicyTimeoutError, SecondSignalError, ask_for_many, ask_policy, own_copy
from policies.output import PolicyOutputError
from policy_rule_based import decide_action
from tests.builders.configs import a_config
from tests.builders.states import a_short_call, a_state, an_opening, an_order

SHORT_SECONDS = 0.05
ENDLESS = "policy_error: test_call did not return within 0.05 s"

Misbehaviour = Callable[[], object]


def asked(misbehaviour: Misbehaviour, seconds: float = 30.0) -> PolicyAnswer:
    """What comes of a policy that does this, under a watchdog that barks after so many seconds."""

    def policy(_state: AgentState, _config: AgentConfig) -> ProposedAction:
        return misbehaviour()  # type: ignore[return-value]

    return ask_policy(policy, a_state(), a_config(run={"policy_seconds": seconds}))


# --- what a policy may answer -----------------------------------------------------------------------


def test_the_action_of_a_policy_that_behaves_is_passed_on_without_an_error() -> None:
    state, config = a_state(), a_config()
    answer = ask_policy(decide_action, state, config)
    assert (answer.action, answer.error) == (decide_action(state, config), None)


def test_an_action_as_a_plain_dict_is_an_action_too() -> None:
    action = an_opening()
    assert asked(lambda: action.model_dump()).action == action


# --- what a policy may do instead -----------------------------------------------------------------------


def raising(error: BaseException) -> Misbehaviour:
    def misbehaviour() -> object:
        raise error

    return misbehaviour


def recursion() -> object:
    return recursion()


NONSENSE: dict[str, tuple[Misbehaviour, str]] = {
    "none": (lambda: None, "policy_output_not_an_action"),
    "text": (lambda: "OPEN_COVERED_CALL", "policy_output_not_an_action"),
    "list": (list, "policy_output_not_an_action"),
    "size": (lambda: an_opening().model_copy(update={"size": float("nan")}), "bad_size"),
    "field": (lambda: {**an_opening().model_dump(), "override_risk": True}, "unknown_field"),
    "type": (lambda: {**an_opening().model_dump(), "type": "SELL_EVERYTHING"}, "unknown_action"),
}
RAISED: dict[str, tuple[Misbehaviour, str]] = {
    "zero": (lambda: 1 / 0, "ZeroDivisionError"),
    "memory": (raising(MemoryError()), "MemoryError"),
    "recursion": (recursion, "RecursionError"),
    "exit": (raising(SystemExit(0)), "SystemExit"),
    "exit_without_code": (raising(SystemExit()), "SystemExit"),
    "interrupt": (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
    "generator": (raising(GeneratorExit()), "GeneratorExit"),
    "assertion": (raising(AssertionError("no")), "AssertionError: no"),
}


@pytest.mark.parametrize(("misbehaviour", "reason"), NONSENSE.values(), ids=list(NONSENSE))
def test_nonsense_is_doing_nothing_for_a_named_reason(misbehaviour: Misbehaviour, reason: str) -> None:
    answer = asked(misbehaviour)
    assert answer.action.type == ActionType.DO_NOTHING
    assert answer.action.reason.startswith(f"{reason}: ")
    assert answer.error == answer.action.reason


@pytest.mark.parametrize(("misbehaviour", "words"), RAISED.values(), ids=list(RAISED))
def test_a_policy_that_raises_is_doing_nothing_with_a_sentence_and_a_traceback(
    misbehaviour: Misbehaviour, words: str
) -> None:
    answer = asked(misbehaviour)
    assert answer.action.type == ActionType.DO_NOTHING
    assert answer.action.reason.startswith("policy_error: ")
    assert words in answer.action.reason
    assert "Traceback" in (answer.error or "")


class WordlessError(Exception):
    """A mistake that makes another one when it is to be told."""

    def __str__(self) -> str:
        raise SystemExit("no words")


def raise_wordless() -> object:
    raise WordlessError


def test_an_error_that_cannot_be_told_is_doing_nothing_all_the_same() -> None:
    answer = asked(raise_wordless)
    assert answer.action.type == ActionType.DO_NOTHING
    assert answer.action.reason.startswith("policy_error: WordlessError: (its message cannot be read) (test_call.py:")


def leave_decimals_at_two_digits() -> object:
    decimal.getcontext().prec = 2
    decimal.getcontext().traps[decimal.Inexact] = True
    return an_opening()


def set_another_context() -> object:
    decimal.setcontext(decimal.Context(prec=1))
    raise ValueError("and is gone")


@pytest.mark.parametrize("misbehaviour", [leave_decimals_at_two_digits, set_another_context])
def test_the_precision_of_decimals_is_as_before(misbehaviour: Misbehaviour) -> None:
    before = decimal.getcontext().copy()
    asked(misbehaviour)
    now = decimal.getcontext()
    assert (now.prec, now.traps) == (before.prec, before.traps)


def test_a_policy_can_say_itself_why_it_has_no_answer() -> None:
    answer = asked(raising(PolicyOutputError("policy_unavailable: the model did not answer")))
    assert answer.action.reason == answer.error == "policy_unavailable: the model did not answer"


def test_a_reason_of_a_million_letters_is_cut() -> None:
    answer = asked(raising(ValueError("x" * 1_000_000)))
    assert len(answer.action.reason) <= 1_000


def test_a_person_at_the_keyboard_is_not_taken_for_the_policy() -> None:
    with pytest.raises(SecondSignalError):
        asked(raising(SecondSignalError()))


# --- a policy that does not return ------------------------------------------------------------------------


def loops() -> object:
    while True:
        pass


def sleeps() -> object:
    time.sleep(60.0)
    return None


def catches_every_exception() -> object:
    while True:
        with suppress(Exception):
            time.sleep(60.0)


def catches_everything() -> object:
    while True:
        try:
            time.sleep(60.0)
        except:  # noqa: E722 - as a policy may be written
            continue


def catches_everything_twice() -> object:
    while True:
        with suppress(BaseException):
            with suppress(BaseException):
                time.sleep(60.0)
            time.sleep(60.0)


def waits_for_a_thread() -> object:
    threading.Event().wait(60.0)
    return None


CATCHERS = [catches_every_exception, catches_everything, catches_everything_twice]


@pytest.mark.parametrize("misbehaviour", [loops, sleeps, waits_for_a_thread, *CATCHERS])
def test_a_policy_that_does_not_return_is_interrupted(misbehaviour: Misbehaviour) -> None:
    started = time.monotonic()
    answer = asked(misbehaviour, SHORT_SECONDS)
    assert time.monotonic() - started < 30.0
    assert (answer.action.type, answer.action.reason, answer.error) == (ActionType.DO_NOTHING, ENDLESS, ENDLESS)


def test_a_policy_that_returns_in_time_is_not_interrupted_later() -> None:
    assert asked(an_opening, 0.2).error is None
    time.sleep(0.25)


@pytest.mark.parametrize("misbehaviour", [an_opening, lambda: 1 / 0, loops, raising(SystemExit(1))])
def test_handler_and_timer_of_the_process_are_as_before(misbehaviour: Misbehaviour) -> None:
    def own_handler(_number: int, _frame: FrameType | None) -> None:
        """Somebody else's."""

    before = signal.signal(signal.SIGALRM, own_handler)
    try:
        asked(misbehaviour, SHORT_SECONDS)
        assert signal.getsignal(signal.SIGALRM) is own_handler
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_in_another_thread_there_is_no_watchdog_and_the_answer_comes_all_the_same() -> None:
    answers: list[PolicyAnswer] = []
    thread = threading.Thread(target=lambda: answers.append(asked(an_opening)))
    thread.start()
    thread.join()
    assert [answer.error for answer in answers] == [None]


def test_the_interruption_is_no_exception_that_a_policy_would_catch() -> None:
    assert not issubclass(PolicyTimeoutError, Exception)


# --- secrets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ValueError, PolicyOutputError, SystemExit])
def test_a_key_that_a_policy_puts_into_its_error_is_in_no_reason_and_no_traceback(kind: type[BaseException]) -> None:
    config = a_config(deribit={"client_id": "made-up-id-5521", "client_secret": "made-up-secret-9937"})

    def policy(_state: AgentState, settings: AgentConfig) -> ProposedAction:
        assert settings.deribit.client_secret is not None
        raise kind(f"policy_error: {settings.deribit.client_secret.get_secret_value()}")

    answer = ask_policy(policy, a_state(), config)
    assert answer.action.type == ActionType.DO_NOTHING
    assert "made-up-secret-9937" not in f"{answer}"


def test_the_key_of_the_model_reaches_its_own_policy_and_no_other() -> None:
    config = a_config(llm={"api_key": "made-up-model-key-4711"})
    seen: list[object] = []

    def policy(_state: AgentState, settings: AgentConfig) -> ProposedAction:
        seen.append(settings.llm.api_key)
        raise ValueError("it knows made-up-model-key-4711 all the same")

    answers = [ask_policy(policy, a_state(), config)]
    policy.__module__ = "policies.llm"
    answers.append(ask_policy(policy, a_state(), config))
    assert seen == [None, config.llm.api_key]
    assert "4711" not in f"{answers}"


# --- copies ---------------------------------------------------------------------------------------------------


def test_nothing_a_policy_does_to_its_state_reaches_anybody_else() -> None:
    state = a_state(positions=(a_short_call(),))
    state_before = state.model_dump_json()

    def rewrites(given: AgentState, _settings: AgentConfig) -> ProposedAction:
        given.risks[0].__dict__["coins_held"] = 1e6
        given.portfolio.positions[0].__dict__["size"] = 0.0
        given.__dict__["kill_switch_on"] = False
        return an_opening()

    assert ask_policy(rewrites, state, a_config()).error is None
    assert state.model_dump_json() == state_before


def test_a_policys_copy_is_equal_and_shares_nothing_that_can_be_changed() -> None:
    for model in (a_state(positions=(a_short_call(),), open_orders=(an_order(),)), a_config()):
        copy = own_copy(model)
        assert copy == model
        assert not {id(part) for part in changeable_parts(copy)} & {id(part) for part in changeable_parts(model)}


def changeable_parts(value: object) -> Iterator[object]:
    """The models in a model, itself included, and whatever else is not known to be unchangeable."""
    if isinstance(value, tuple):
        for entry in value:
            yield from changeable_parts(entry)
    elif isinstance(value, dict):
        yield value
        yield from changeable_parts(tuple(value.values()))
    elif isinstance(value, BaseModel):
        yield from (value, value.__pydantic_fields_set__)
        for entry in (*vars(value).values(), *(value.__pydantic_private__ or {}).values()):
            yield from changeable_parts(entry)
    elif not isinstance(value, str | int | float | datetime | PurePath | SecretStr | None):
        yield value


# --- what a policy does to the whole process ----------------------------------------------------------


def changes_the_process() -> object:
    decimal.getcontext().prec = 3
    random.seed(7)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGALRM])
    os.chdir("/")
    os.umask(0o777)
    os.environ["AGENT_SEED"] = "99"
    sys.setrecursionlimit(300)
    with suppress(locale.Error):  # not every machine has it
        locale.setlocale(locale.LC_ALL, "C.UTF-8")
    raise ValueError("and it fails on top of that")


def test_what_a_policy_changes_for_the_whole_process_is_put_back() -> None:
    before = the_process()
    asked(changes_the_process)
    assert the_process() == before


def the_process() -> tuple[object, ...]:
    mask = os.umask(0o077)
    os.umask(mask)
    return (
        *(decimal.getcontext().prec, random.getstate(), Path.cwd(), mask),
        *(
            signal.getsignal(signal.SIGINT),
            signal.getsignal(signal.SIGPIPE),
            signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        ),
        *(dict(os.environ), sys.getrecursionlimit(), locale.setlocale(locale.LC_ALL)),
    )


def test_an_exception_that_cannot_even_be_shown_harms_one_iteration_at_most() -> None:
    class CannotBeShownError(Exception):
        @property
        def __notes__(self) -> list[str]:  # type: ignore[override]
            raise ValueError("no notes")

        def __str__(self) -> str:
            raise ValueError("no text")

    answer = asked(raising(CannotBeShownError()))
    assert answer.action.type == ActionType.DO_NOTHING
    assert "CannotBeShownError" in answer.action.reason
    assert answer.error is not None


# --- many states at once ------------------------------------------------------------------------------


SECRET = "made-up-client-secret-0123456789"


def policy_of_many_moods(state: AgentState, config: AgentConfig) -> ProposedAction:
    """Raises, returns nonsense and sells, in turn."""
    os.environ["MOOD"] = "changed"
    mood = state.orders_today % 3
    if mood == 0:
        raise ValueError(f"no idea about {state.kill_note}")
    return "nonsense" if mood == 1 else decide_action(state, config)  # type: ignore[return-value]


def test_of_a_key_that_begins_like_another_one_nothing_is_left() -> None:
    def tells(state: AgentState, config: AgentConfig) -> ProposedAction:
        raise RuntimeError(f"the key is {SECRET}")

    answer = ask_policy(tells, a_state(), a_config(deribit={"client_id": SECRET[:12], "client_secret": SECRET}))
    assert "the key is (hidden)\n" in f"{answer.error}\n"
    assert SECRET[12:] not in f"{answer.error}"


@pytest.mark.parametrize("kill_note", ["", SECRET])
def test_many_states_get_the_answers_that_each_gets_by_itself(kill_note: str) -> None:
    states = [a_state(orders_today=number, kill_note=kill_note) for number in range(6)]
    config = a_config(deribit={"client_id": "made-up-id", "client_secret": SECRET})
    many = ask_for_many(policy_of_many_moods, states, config)
    each = [ask_policy(policy_of_many_moods, state, config) for state in states]
    assert [answer.action for answer in many] == [answer.action for answer in each]
    assert [answer.error is None for answer in many] == [answer.error is None for answer in each]
    assert SECRET not in "".join(f"{answer.action} {answer.error}" for answer in many)
    assert "MOOD" not in os.environ


POLICY_TEXT = """
def decide_action(agent_state, config):
    return deeper(agent_state)


def deeper(agent_state):
    for coin in ("BTC", "ETH"):
        agent_state.{attribute}
"""


@pytest.mark.parametrize(
    ("attribute", "meant"), [("candidate_for", "candidates_for"), ("tradin_state", "trading_state"), ("qwertz", None)]
)
def test_a_misspelt_field_is_named_with_its_line_and_the_nearest_one(attribute: str, meant: str | None) -> None:
    names: dict[str, Any] = {}
    exec(compile(POLICY_TEXT.format(attribute=attribute), "/somewhere/my_policy.py", "exec"), names)
    reason = ask_policy(names["decide_action"], a_state(), a_config()).action.reason
    hint = "" if meant is None else f"; did you mean {meant}?"
    said = f"AttributeError: 'AgentState' object has no attribute '{attribute}'{hint} (my_policy.py:8)"
    assert reason == f"policy_error: {said}"


def test_a_misspelt_field_of_an_action_is_named_with_the_nearest_one() -> None:
    def misspells(*_: Any) -> Any:
        return {"type": "DO_NOTHING", "reason": "none", "sise": 0.1}

    assert ask_policy(misspells, a_state(), a_config()).action.reason == "unknown_field: sise; did you mean size?"
