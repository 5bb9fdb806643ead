"""What a policy returned, as an action, or the named reason why it is none.

In: any object (read_action), or the answer of a language model as text (read_action_text), sizes in coin. Out: a
ProposedAction whose every value was checked anew, or a PolicyOutputError whose reason starts with the name of a rule
(`bad_size: ...`). This is about form only: whether an action may be carried out is the risk engine's question.
Reasons never repeat long or hostile text. Pure.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from core.text import plain_ascii
from models import ActionType, AgentError, Frozen, ProposedAction

MAX_SIZE_COIN = 1000.0  # no setting of max_order_size can be higher
MAX_SYMBOL_LENGTH = 64
MAX_ANSWER_BYTES = 20_000
MAX_ANSWER_DEPTH = 8
MAX_REASON_LENGTH = 300
MAX_NAME_LENGTH = 40

IGNORED_FIELDS = frozenset({"confidence"})  # models like to give one; nothing is ever sized by it
RULE_OF_FIELD = {
    "type": "unknown_action",
    "underlying": "unknown_underlying",
    "symbol": "symbol_not_in_state",
    "new_symbol": "symbol_not_in_state",
    "size": "bad_size",
    "reason": "bad_reason",
    "choices": "bad_choices",
}
NO_ATTRIBUTE = re.compile(r"'(\w+)' object has no attribute '(\w+)'")
JSON_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


class PolicyOutputError(AgentError):
    """What a policy returned is not an action: this iteration does nothing, and its line says why.

    A policy may raise it too: `PolicyOutputError("policy_unavailable: the model did not answer")`.
    """

    def __init__(self, reason: str) -> None:
        self.reason = plain_ascii(reason, MAX_REASON_LENGTH)
        super().__init__(self.reason)


def read_action(value: object) -> ProposedAction:
    """The action in a ProposedAction or a plain dict; raises PolicyOutputError.

    A ProposedAction is checked like anything else: model_copy and model_construct let values in that none may have.
    """
    if not isinstance(value, (ProposedAction, dict)):
        raise PolicyOutputError(f"policy_output_not_an_action: decide_action returned {type(value).__name__}")
    fields = {name: item for name, item in _plain(value).items() if name not in IGNORED_FIELDS}
    if not all(isinstance(name, str) for name in fields):
        raise PolicyOutputError("unknown_field: a field's name is not text")
    try:
        action = ProposedAction(**fields)
    except ValidationError as error:
        raise PolicyOutputError(reason_of(error)) from None
    _check_what_types_cannot(action)
    return action


def _plain(value: Any) -> Any:
    """Models as dicts, lists as tuples, types by their names: nothing counts as checked because of its class."""
    if value is None or isinstance(value, (str, float)):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item) for item in value)
    if isinstance(value, Frozen):
        value = vars(value)
    if isinstance(value, dict):
        return {name: _plain(_known_type(item) if name == "type" else item) for name, item in value.items()}
    return value


def _known_type(value: object) -> object:
    """The ActionType of exactly this name; anything else stays what it is, to be refused."""
    if type(value) is ActionType:
        return value
    return next((kind for kind in ActionType if isinstance(value, str) and kind.value == value), value)


def _check_what_types_cannot(action: ProposedAction) -> None:
    if not action.size <= MAX_SIZE_COIN:
        raise PolicyOutputError(f"bad_size: size is above {MAX_SIZE_COIN:g}, which no setting allows")
    for symbol in (action.symbol, action.new_symbol):
        if symbol is not None and not _is_plain_name(symbol):
            raise PolicyOutputError(
                f"symbol_not_in_state: {plain_ascii(symbol, MAX_NAME_LENGTH)} cannot be an instrument"
            )
    if not (action.choices or action.model_call):
        return  # the other fields are checked by now
    try:
        action.model_dump_json()
    except ValueError:  # half a surrogate pair cannot be written to the log
        raise PolicyOutputError("bad_choices: a text holds characters that cannot be written") from None


def _is_plain_name(symbol: str) -> bool:
    """Look-alike letters, zero-width and control characters are in no name of Deribit's."""
    return len(symbol) <= MAX_SYMBOL_LENGTH and symbol.isascii() and symbol.isprintable()


# --- the answer of a language model ----------------------------------------------------------------


def read_action_text(text: str) -> ProposedAction:
    """The action in an answer that must be exactly one JSON object, nothing around it; raises PolicyOutputError."""
    return read_action(read_object_text(text))


def read_object_text(text: str) -> dict[str, object]:
    """The fields of an answer that must be exactly one JSON object, nothing around it; raises PolicyOutputError."""
    if not isinstance(text, str):
        raise PolicyOutputError(f"unparseable: the answer is {type(text).__name__}, not text")
    size_bytes = len(text.encode("utf-8", errors="replace"))
    if size_bytes > MAX_ANSWER_BYTES:
        raise PolicyOutputError(f"unparseable: the answer has {size_bytes} bytes, at most {MAX_ANSWER_BYTES} are read")
    if _depth(text) > MAX_ANSWER_DEPTH:
        raise PolicyOutputError(f"unparseable: the answer is nested deeper than {MAX_ANSWER_DEPTH} levels")
    answer = _parsed(text)
    if isinstance(answer, list):
        raise PolicyOutputError("one_action_only: the answer is a list")
    if not isinstance(answer, dict):
        raise PolicyOutputError("unparseable: the answer is not a JSON object")
    return answer


def _depth(text: str) -> int:
    depth = deepest = 0
    for char in JSON_TEXT.sub("", text):
        depth += (char in "[{") - (char in "]}")
        deepest = max(deepest, depth)
    return deepest


def _parsed(text: str) -> object:
    """NaN and Infinity become numbers here, so that the rule of the field they stand in names them."""
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=float)
    except json.JSONDecodeError as error:
        raise PolicyOutputError(f"unparseable: not one JSON object ({error.msg} at {error.pos})") from None
    except ValueError:  # an integer of more than 4300 digits
        raise PolicyOutputError("unparseable: a number is too long") from None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise PolicyOutputError(f"duplicate_key: {plain_ascii(twice, MAX_NAME_LENGTH)} appears more than once")
    return fields


# --- reasons ---------------------------------------------------------------------------------------------


def reason_of(error: BaseException) -> str:
    """What a policy raised, as a reason. A ProposedAction it could not make is named like one it returned."""
    if isinstance(error, PolicyOutputError):
        return error.reason
    if isinstance(error, ValidationError) and error.title == ProposedAction.__name__:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        reasons = [_reason_of_problem(problem["type"], problem["loc"], problem["msg"]) for problem in problems]
        if not any(problem["type"] == "frozen_instance" for problem in problems):
            return plain_ascii("; ".join(reasons), MAX_REASON_LENGTH)
    return plain_ascii(f"policy_error: {type(error).__name__}: {_words_of(error)}", MAX_REASON_LENGTH)


def _words_of(error: BaseException) -> str:
    """What an exception says; its __str__ is the policy's own code and may raise anything itself."""
    try:
        words = str(error)
    except BaseException:  # noqa: BLE001 - as everything a policy does
        return "(its message cannot be read)"
    return f"{words}{_meant_attribute(words)}" if isinstance(error, AttributeError) else words


def _meant_attribute(words: str) -> str:
    """What a field that a model does not have was meant to be."""
    found = NO_ATTRIBUTE.match(words)
    owner = None if found is None else _model_named(BaseModel, found.group(1))
    return "" if found is None or owner is None else _meant(found.group(2), _names_of(owner))


def _model_named(base: type[BaseModel], name: str) -> type[BaseModel] | None:
    below = base.__subclasses__()
    here = next((model for model in below if model.__name__ == name), None)
    deeper = (_model_named(model, name) for model in below)
    return here or next((model for model in deeper if model is not None), None)


def _names_of(model: type[BaseModel]) -> list[str]:
    """Its fields, properties and methods, without those of every model."""
    return [name for name in {*model.model_fields, *dir(model)} - {*dir(BaseModel)} if not name.startswith("_")]


def _meant(name: str, names: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, sorted(names), 1)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def _reason_of_problem(kind: str, place: tuple[int | str, ...], message: str) -> str:
    name = plain_ascii(".".join(str(part) for part in place), MAX_NAME_LENGTH)
    if kind == "extra_forbidden":
        return f"unknown_field: {name}{_meant(name, ProposedAction.model_fields) if len(place) == 1 else ''}"
    rule = RULE_OF_FIELD.get(str(place[0]), "bad_action") if place else "bad_action"
    return f"{rule}: {name}: {message[:1].lower()}{message[1:]}"
