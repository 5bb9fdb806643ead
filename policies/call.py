"""Ask the owner's policy for an action; nothing it does can stop the loop.

In: the policy, a state, settings. Out: an action, with the error where the policy raised, took too long or returned
nonsense; then the action is DO_NOTHING. Now and then exploration draws another one. The policy gets copies, so that
nothing it does to its arguments reaches the risk engine, and what it changes for the whole process is put back
(side_effects). A watchdog (SIGALRM, real time) ends one that does not return; a thread has none.
"""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path, PurePath
from types import FrameType, NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel, SecretStr

from config import AgentConfig
from core.text import plain_ascii
from models import ActionType, AgentState, ProposedAction
from policies.exploration import explored
from policies.output import PolicyOutputError, read_action, reason_of
from policies.secret_texts import hidden_in, secrets_of
from policies.side_effects import process_put_back

POLICY_WITH_A_KEY = "policies.llm"  # the module of the one policy that gets the key of the language model
MAX_FILE_LETTERS = 60
UNHEARD_BARKS_AFTER_SECONDS = 0.00005  # so often that one soon falls between two rounds of a loop
# None of these can be changed. (In the annotation of a tuple the dots stand for more of the same.)
PLAIN = frozenset({float, str, int, bool, NoneType, datetime, AwareDatetime, Path, SecretStr, Ellipsis})
Model = TypeVar("Model", bound=BaseModel)

# All that a model keeps: set past pydantic, which would check each of a hundred models a state is made of.
SET_FIELDS, SET_NAMES, SET_EXTRA, SET_PRIVATE = (
    vars(BaseModel)[name].__set__
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)

Policy = Callable[[AgentState, AgentConfig], ProposedAction]


class SecondSignalError(KeyboardInterrupt):
    """A second signal: stop at once, even inside a policy."""


class PolicyTimeoutError(BaseException):
    """The policy did not return. No Exception, so that a policy that catches everything does not catch this."""


@dataclass(frozen=True)
class PolicyAnswer:
    """What the policy wants; `error` is a named reason or a traceback."""

    action: ProposedAction
    error: str | None = None


@dataclass(frozen=True)
class _RawAnswer:
    """What came back, words as the policy said them; without an action the reason why there is none."""

    action: ProposedAction | None
    reason: str = ""
    traceback: str | None = None

    @property
    def words(self) -> str:
        return f"{self.reason}\n{self.traceback}" if self.action is None else self.action.model_dump_json()


def ask_policy(policy: Policy, state: AgentState, config: AgentConfig) -> PolicyAnswer:
    """The policy's action, or DO_NOTHING and why.

    It gets settings without keys; they are hidden too wherever the policy's words repeat them: it may have found one
    by itself.
    """
    with process_put_back():
        answer = _ask(policy, own_copy(state), own_copy(_settings_for(policy, config)))
    return _without_secrets(_explored(answer, state, config), secrets_of(config))


def ask_for_many(
    policy: Policy, states: Iterable[AgentState], config: AgentConfig, with_odds: bool = True
) -> list[PolicyAnswer]:
    """The policy's answers to states on which nothing is traded, as those of a log: at a third of the cost.

    The states themselves are handed over, settings are copied once, and the process is put back after the last one.
    Without odds nothing is said of what else was likely, where nothing is drawn.
    """
    draws = with_odds or config.run.exploration_pct > 0.0
    keyless = own_copy(_settings_for(policy, config))
    with process_put_back():
        raw = ((_ask(policy, state, keyless), state) for state in states)
        answers = [_explored(answer, state, config) if draws else answer for answer, state in raw]
    secrets = secrets_of(config)
    words = "\n".join(answer.words for answer in answers) if secrets else ""
    if hidden_in(words, secrets) == words:  # one look at all of them instead of one at each
        secrets = []
    return [_without_secrets(answer, secrets) for answer in answers]


def _ask(policy: Policy, state: AgentState, keyless: AgentConfig) -> _RawAnswer:
    try:
        with _watchdog(keyless.run.policy_seconds):
            return _RawAnswer(_called(policy, state, keyless))
    except PolicyOutputError as error:
        return _RawAnswer(None, error.reason)
    except PolicyTimeoutError:
        seconds = keyless.run.policy_seconds
        return _RawAnswer(None, f"policy_error: {_name_of(policy)} did not return within {seconds:g} s")
    except SecondSignalError:
        raise
    except BaseException as error:  # noqa: BLE001 - the owner's own code may raise anything
        return _RawAnswer(None, f"{reason_of(error)}{_place()}", traceback_text())


def _called(policy: Policy, state: AgentState, keyless: AgentConfig) -> ProposedAction:
    """All that the watchdog interrupts."""
    return read_action(policy(state, keyless))


def _place() -> str:
    """Where in the policy's file the exception being handled has come from, as " (my_policy.py:38)"."""
    step, places = sys.exc_info()[2], list[tuple[str, int]]()
    while step is not None:
        places.append((step.tb_frame.f_code.co_filename, step.tb_lineno))
        step = step.tb_next
    if len(places) < 3:  # the first two are our own calls: the policy was never entered
        return ""
    file = places[2][0]
    line = [number for name, number in places if name == file][-1]
    return f" ({plain_ascii(PurePath(file).name, MAX_FILE_LETTERS)}:{line})"


def _explored(answer: _RawAnswer, state: AgentState, config: AgentConfig) -> _RawAnswer:
    """With the odds of every choice, and drawn anew where this decision explores; who failed explores nothing."""
    return answer if answer.action is None else _RawAnswer(explored(state, answer.action, config))


def traceback_text() -> str:
    """The traceback of the exception being handled; one whose parts raise when shown (`__notes__`) has none."""
    try:
        return traceback.format_exc()
    except Exception:  # noqa: BLE001 - what is shown of a policy's exception is the policy's own code
        return f"{type(sys.exception()).__name__}: its traceback cannot be shown"


def _without_secrets(answer: _RawAnswer, secrets: Sequence[str]) -> PolicyAnswer:
    """The answer with the keys hidden wherever they stand; whatever symbol held one is none that can be traded."""
    if answer.action is not None:
        text = answer.words if secrets else ""
        safe = hidden_in(text, secrets)
        return PolicyAnswer(answer.action if safe == text else ProposedAction.model_validate_json(safe))
    reason = hidden_in(answer.reason, secrets)
    error = None if answer.traceback is None else hidden_in(answer.traceback, secrets)
    return PolicyAnswer(ProposedAction(type=ActionType.DO_NOTHING, reason=reason[:1000]), error or reason)


def own_copy(model: Model) -> Model:
    """An equal model that shares nothing that can be changed: a policy may write into `__dict__` what it likes.

    Models are frozen and hold tuples, models and values that never change, so only the models themselves are copied: a
    sixth of the cost of a deep copy.
    """
    kind, fields, private = type(model), model.__dict__.copy(), model.__pydantic_private__
    for name in _fields_of_models(kind):
        held = fields[name]
        if held:  # many hold nothing: None, or a tuple without entries
            fields[name] = tuple([own_copy(entry) for entry in held]) if type(held) is tuple else own_copy(held)
    copy = object.__new__(kind)
    SET_FIELDS(copy, fields)
    SET_NAMES(copy, model.__pydantic_fields_set__.copy())
    SET_EXTRA(copy, None)
    SET_PRIVATE(copy, private and _own_private(private))
    return copy


@cache
def _fields_of_models(kind: type[BaseModel]) -> tuple[str, ...]:
    """The fields that may hold models, or tuples of them: all but those of plain values."""
    return tuple(name for name, field in kind.model_fields.items() if not _is_plain(field.annotation))


def _is_plain(annotation: Any) -> bool:
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind is Literal or annotation in PLAIN:
        return True
    if kind is Annotated:
        return _is_plain(parts[0])
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return True
    return kind in (Union, UnionType, tuple) and all(map(_is_plain, parts))


def _own_private(private: dict[str, Any]) -> dict[str, Any]:
    """Only settings have any, and there is one dict of texts among it."""
    return {name: entry.copy() if type(entry) is dict else entry for name, entry in private.items()}


def _name_of(policy: Policy) -> str:
    """The file it stands in."""
    return str(getattr(policy, "__module__", "the policy")).rpartition(".")[2]


def _settings_for(policy: Policy, config: AgentConfig) -> AgentConfig:
    """Settings without keys; the language model's own key goes to its own policy alone."""
    keyless = _keyless(config)
    if getattr(policy, "__module__", "") != POLICY_WITH_A_KEY:
        return keyless
    return keyless.model_copy(update={"llm": config.llm})


@lru_cache(maxsize=1)
def _keyless(config: AgentConfig) -> AgentConfig:
    """Settings without any key; the policy cannot tell what it lacks."""
    deribit = config.deribit.model_copy(update={"client_id": None, "client_secret": None})
    llm = config.llm.model_copy(update={"api_key": None})
    return config.model_copy(update={"deribit": deribit, "llm": llm})


@contextmanager
def _watchdog(seconds: float) -> Iterator[None]:
    """Raise PolicyTimeoutError in the middle of whatever the policy runs, after so many seconds.

    A bare except swallows one. Who has swallowed two has had the time to clean up, and is not left alone any more: out
    of a loop around a try gets only what is raised outside of that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    barks = 0

    def bark(_number: int, frame: FrameType | None) -> None:
        nonlocal barks
        barks += 1
        if barks == 2:
            signal.setitimer(signal.ITIMER_REAL, seconds, UNHEARD_BARKS_AFTER_SECONDS)
        if _is_called(frame):
            raise PolicyTimeoutError

    handler_before = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, handler_before)


def _is_called(frame: FrameType | None) -> bool:
    """Whether a frame is the policy's, or that of something it called."""
    while frame is not None and frame.f_code is not _called.__code__:
        frame = frame.f_back
    return frame is not None
