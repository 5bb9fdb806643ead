"""A language model between question and answer: it chooses functions and writes sentences, never a number.

In: a question in words, a model, a log. Out: a Reply. The model is shown the names of facts, not their values, so that
no figure of the account leaves this machine; the server puts each one into its place, with what it is called. A reply
with a digit, a number word or an unknown place in it is dropped, and the template's sentences are shown instead.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from dashboard.ask.asked import Asked
from dashboard.ask.facts import PLACE, Answer, Fact
from dashboard.ask.front import ask, refused
from dashboard.ask.log_view import LogView
from dashboard.ask.questions import QUESTIONS, answer

MOST_CALLS = 3
MOST_LETTERS = 1_500
NUMBER_WORDS = re.compile(
    r"\b(zero|nil|nought|naught|none|nothing|no|never|without|one|two|three|four|five|six|seven|eight|nine|ten|eleven|"
    r"twelve|\w+teen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundreds?|thousands?|[mbtr]+illions?|dozens?|"
    r"half|halves|thirds?|quarters?|fifths?|tenths?|once|twice|thrice|double[sd]?|triple[sd]?|quadruple[sd]?|\w+fold|"
    r"per ?cent|percent\w*|basis points?|bps|minus|negative|plus|times|k|m|bn|mio|eins?|zwei|drei|vier|f.nf|hundert|"
    r"tausend|deux|trois|cent|mille|dos|tres|cien|mil)\b",
    re.IGNORECASE,
)
ROMAN_NUMERAL = re.compile(r"\b[IVXLCDM]{2,}\b")
# A place stands by itself: nothing may be glued to it that would make another number of it.
PLACE_BY_ITSELF = re.compile(r"(?:(?<=^)|(?<=[\s(]))\{[a-z0-9_]+\}(?=$|\s|[.,;:)]+(?:\s|$))")


class ModelError(Exception):
    """No usable reply came: the answer is the template's."""


class Model(Protocol):
    """Any chat model."""

    def reply(self, messages: Sequence[dict[str, str]]) -> str:
        """The text of its answer; raises ModelError."""


@dataclass(frozen=True)
class Reply:
    """What is shown. `note`: why the model's words are not, where they are not."""

    text: str
    answers: tuple[Answer, ...]
    written_by: Literal["model", "template"]
    note: str = ""


def ask_with(model: Model, view: LogView, text: str) -> Reply:
    """The answer to a question, in the model's words where they hold."""
    if refused(text) is not None:
        return _templates((ask(view, text),), "")
    try:
        answers = _chosen(model, view, text)
    except ModelError as error:
        return _templates((ask(view, text),), f"the model was of no use ({error}); found by keywords")
    facts = _facts_of(answers)
    if not facts:
        return _templates(answers, "")
    try:
        written = model.reply(_writing_messages(text, facts))
    except ModelError as error:
        return _templates(answers, f"the model did not write ({error})")
    why = problem_of(written, facts)
    if why is not None:
        return _templates(answers, f"the model's words were dropped: {why}")
    return Reply(filled_with_names(written, facts), answers, "model")


def _templates(answers: tuple[Answer, ...], note: str) -> Reply:
    return Reply("\n".join(one.text for one in answers), answers, "template", note)


def _facts_of(answers: Sequence[Answer]) -> tuple[Fact, ...]:
    """All facts; of several answers the names begin with the number of theirs."""
    if len(answers) == 1:
        return answers[0].facts
    return tuple(
        Fact(f"a{number}_{fact.name}", fact.label, fact.value, fact.unit, fact.link)
        for number, one in enumerate(answers, 1)
        for fact in one.facts
    )


# --- choosing -------------------------------------------------------------------------------------------


def _chosen(model: Model, view: LogView, text: str) -> tuple[Answer, ...]:
    """Answers to the functions that the model names; raises ModelError where it names none that exists."""
    try:
        said = json.loads(_json_in(model.reply(_choosing_messages(view, text))))
        calls = said["calls"]
        asked = [(call["name"], dict(call.get("arguments") or {})) for call in calls[:MOST_CALLS]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError("it named no function") from None
    if not asked or any(name not in QUESTIONS for name, _ in asked):
        raise ModelError("it named no function that there is")
    return tuple(answer(view, name, arguments) for name, arguments in asked)


def _json_in(reply: str) -> str:
    """Models like to wrap their JSON in words."""
    return reply[reply.find("{") : reply.rfind("}") + 1]


def _choosing_messages(view: LogView, text: str) -> list[dict[str, str]]:
    newest = view.index.newest(view.account)
    today = "unknown" if newest is None else f"{newest.at:%Y-%m-%d %H:%M} UTC"
    functions = [
        {"name": one.name, "does": one.sentence, "arguments": {name: _meaning(name) for name in one.uses}}
        for one in QUESTIONS.values()
    ]
    rules = (
        "You choose functions that read the log of a trading agent. Reply with JSON alone: "
        '{"calls": [{"name": ..., "arguments": {...}}]}, at most three calls. Leave out arguments that the question '
        "does not name. Times are ISO 8601 with +00:00; end is the first moment after the span."
    )
    return [
        {"role": "system", "content": f"{rules}\nThe newest line is of {today}.\n{json.dumps(functions)}"},
        {"role": "user", "content": text[:MOST_LETTERS]},
    ]


def _meaning(name: str) -> str:
    return Asked.model_fields[name].description or name


# --- writing --------------------------------------------------------------------------------------------


def _writing_messages(text: str, facts: Sequence[Fact]) -> list[dict[str, str]]:
    rules = (
        "Answer the question in one to four plain English sentences. Wherever a figure, a time, a name or a reason "
        "belongs, write its place in braces, such as {net_usd}: the server puts the value there, with what it is "
        "called. Write no digit and no number word. You are not told the values: do not guess whether they are good."
    )
    known: list[dict[str, Any]] = [{"place": f"{{{fact.name}}}", "is": fact.label, "unit": fact.unit} for fact in facts]
    return [
        {"role": "system", "content": f"{rules}\n{json.dumps(known)}"},
        {"role": "user", "content": text[:MOST_LETTERS]},
    ]


def problem_of(written: str, facts: Sequence[Fact]) -> str | None:
    """Why a model's words cannot be shown; None where every number in them is ours."""
    names = {fact.name for fact in facts}
    places = PLACE.findall(written)
    between = PLACE_BY_ITSELF.sub(" ", written)
    if len(written) > MOST_LETTERS or not places:
        return "too long, or without a single fact"
    if not set(places) <= names:
        return "a fact that there is not"
    if "{" in between or "}" in between:
        return "a place that does not stand by itself"
    if any(unicodedata.numeric(letter, None) is not None for letter in unicodedata.normalize("NFKC", between)):
        return "a digit outside a place"
    if not between.isascii() or any(not (letter.isprintable() or letter == "\n") for letter in between):
        return "letters that could pass for others"
    found = NUMBER_WORDS.search(between) or ROMAN_NUMERAL.search(between)
    return None if found is None else f"a number in words ({found[0]})"


def filled_with_names(written: str, facts: Sequence[Fact]) -> str:
    """Each place filled with its value and what it is called, so that no sentence can pass one off as another."""
    texts = {fact.name: f"{fact.text} ({fact.label})" for fact in facts}
    return PLACE.sub(lambda found: texts[found[1]], written.strip())
