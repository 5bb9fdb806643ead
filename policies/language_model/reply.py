"""What a reply means: the letter that was chosen, or the named reason why it chose nothing.

In: the bytes of a chat completion, the letters there were. Out: a Reading. A server may ignore the schema it was given
and answer with HTTP 200 all the same, so the text is read as strictly as if there were none: exactly one JSON object
with exactly one field, exactly one of the letters. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.text import plain_ascii, quotable
from models import ModelOutcome
from policies.output import PolicyOutputError, read_object_text

FIELD = "choice"
MOST_TOKENS = 10**9
SHOWN_LETTERS = 300


@dataclass(frozen=True)
class Reading:
    """`label` is set where the outcome is "chosen"; `log_odds` by label where the server gave logprobs."""

    outcome: ModelOutcome
    why: str
    label: str | None = None
    text: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    reply_tokens: int | None = None
    log_odds: Mapping[str, float] | None = None


def read_reply(content: bytes, labels: Sequence[str]) -> Reading:
    """Never raises, whatever the bytes are."""
    try:
        completion = json.loads(content)
        choice = completion["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
        return Reading("invalid", "invalid: the reply is no chat completion")
    common = _common(completion, choice, text)
    if refusal or common["finish_reason"] == "content_filter":
        return Reading("refused", "refused: the model would not answer", **common)
    if common["finish_reason"] == "length":
        return Reading("truncated", "truncated: LLM_MAX_REPLY_TOKENS was used up before the answer ended", **common)
    try:
        label = _label_in(text, labels)
    except PolicyOutputError as error:
        return Reading("invalid", f"invalid: {_shown(error.reason)}", **common)
    return Reading("chosen", "", label, log_odds=_log_odds(choice, label, labels), **common)


def _common(completion: dict[str, Any], choice: dict[str, Any], text: object) -> dict[str, Any]:
    usage = completion.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    finish = choice.get("finish_reason")
    return {
        "text": _shown(text) if isinstance(text, str) else None,
        "finish_reason": _shown(finish)[:40] if isinstance(finish, str) else None,
        "prompt_tokens": _count(usage.get("prompt_tokens")),
        "reply_tokens": _count(usage.get("completion_tokens")),
    }


def _shown(text: str) -> str:
    """Words of an endpoint, made safe: what may be the key that it was sent is masked before anything is cut."""
    return plain_ascii(quotable(text, SHOWN_LETTERS), SHOWN_LETTERS)


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _label_in(text: object, labels: Sequence[str]) -> str:
    """Exactly one of the letters, byte by byte; raises PolicyOutputError with the name of the rule."""
    if not isinstance(text, str) or not text.strip():
        raise PolicyOutputError("unparseable: the reply is empty")
    fields = read_object_text(text)
    if FIELD not in fields:
        raise PolicyOutputError(f"unparseable: there is no field {FIELD}")
    stray = sorted(name for name in fields if name != FIELD)
    if stray:
        raise PolicyOutputError(f"unknown_field: {_shown(stray[0])[:40]}")
    label = fields[FIELD]
    if not isinstance(label, str) or label not in labels:
        raise PolicyOutputError(f"symbol_not_in_state: {_shown(repr(label))[:40]} is none of the letters")
    return label


# --- probabilities ---------------------------------------------------------------------------------


def _log_odds(choice: Mapping[str, Any], label: str, labels: Sequence[str]) -> dict[str, float] | None:
    """The logprobs of the letters where the answer's own letter was written; None where they are not given."""
    try:
        tokens = choice["logprobs"]["content"]
        place = _place_of(tokens, label)
        found = _by_label(tokens[place]["top_logprobs"], labels)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        return None
    return found if label in found else None


def _place_of(tokens: Sequence[Mapping[str, Any]], label: str) -> int:
    """The token that holds the letter: the first one that is it, behind the colon after the field's name."""
    before = ""
    for place, token in enumerate(tokens):
        text = str(token["token"])
        if FIELD in before and ":" in (before + text).partition(FIELD)[2] and _letters(text) == label:
            return place
        before += text
    raise ValueError("no token is the letter alone")


def _letters(token: str) -> str:
    """A token without the quotes, blanks and signs of JSON around it."""
    return token.strip(' \t\n":{}')


def _by_label(rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> dict[str, float]:
    """Two tokens for one letter (`A` and `"A`) are added up."""
    found: dict[str, list[float]] = {}
    for row in rows:
        label, logprob = _letters(str(row["token"])), float(row["logprob"])
        if label in labels and logprob <= 0.0:
            found.setdefault(label, []).append(logprob)
    return {label: _log_of_sum(values) for label, values in found.items() if max(values) > -math.inf}


def _log_of_sum(logs: Sequence[float]) -> float:
    most = max(logs)
    return most + math.log(math.fsum(math.exp(value - most) for value in logs))


def probabilities_of(
    log_odds: Mapping[str, float], chosen: str, labels: Sequence[str], temperature: float
) -> dict[str, float]:
    """How likely each letter was, at the temperature it was drawn at; those the server did not name count as 0.

    Servers give logprobs at temperature 1. At 0 the likeliest is always taken: what was chosen has probability 1.
    """
    if temperature == 0.0:
        return {label: float(label == chosen) for label in labels}
    most = max(log_odds.values())
    weights = {label: math.exp((value - most) / temperature) for label, value in log_odds.items()}
    total = math.fsum(weights.values())
    return {label: weights.get(label, 0.0) / total for label in labels}
