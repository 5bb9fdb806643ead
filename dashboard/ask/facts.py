"""What an answer is made of: facts, and sentences with a place for each of them. Pure.

In: figures and words out of the log. Out: Answers; their sentences name facts in braces and hold no figure of their
own. A value of None is "not in the log", never 0. Units: BTC and ETH (coin), USD, %, ratio, days, count, time, text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from core.text import printable

Unit = Literal["BTC", "ETH", "USD", "%", "ratio", "days", "count", "time", "text"]
Value = float | int | str | datetime | None

NOT_IN_THE_LOG = "not in the log"
PLACE = re.compile(r"\{([a-z0-9_]+)\}")


@dataclass(frozen=True)
class Fact:
    """`name` is unique within an answer, `label` says it in words; `link` leads to the line it comes from."""

    name: str
    label: str
    value: Value
    unit: Unit
    link: str | None = None

    @property
    def text(self) -> str:
        """The value as people read it, with its unit."""
        return shown(self.value, self.unit)


@dataclass(frozen=True)
class Answer:
    """The answer to one typed question. `sentences` name facts in braces; `problem`: why there are none."""

    question: str
    title: str
    facts: tuple[Fact, ...] = ()
    sentences: tuple[str, ...] = ()
    problem: str | None = None

    def fact(self, name: str) -> Fact | None:
        return next((fact for fact in self.facts if fact.name == name), None)

    @property
    def text(self) -> str:
        """The sentences with every number in its place, or the problem."""
        return self.problem or " ".join(filled(sentence, self.facts) for sentence in self.sentences)


def shown(value: Value, unit: Unit) -> str:
    """0.00743 BTC; 1,234.50 USD; 12.5 %; 3.8 days; 7."""
    if value is None:
        return NOT_IN_THE_LOG
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, str):
        return printable(value, 600)
    forms: Mapping[str, str] = {"USD": f"{value:,.2f} USD", "%": f"{value:.2f} %", "days": f"{value:.1f} days"}
    if unit in ("BTC", "ETH"):
        return f"{round(value, 8) + 0.0:.8f}".rstrip("0").rstrip(".") + f" {unit}"
    return forms.get(unit, f"{value:g}" if unit == "ratio" else f"{value:,}")


def filled(sentence: str, facts: Iterable[Fact]) -> str:
    """The sentence with the text of each fact in its place; KeyError for a place without a fact."""
    texts = {fact.name: fact.text for fact in facts}
    return PLACE.sub(lambda found: texts[found[1]], sentence)


def missing(question: str, title: str, why: str) -> Answer:
    """Nothing to tell, and why."""
    return Answer(question, title, problem=f"{why}: {NOT_IN_THE_LOG}")


def slug(text: str) -> str:
    """A name for a fact made of words: BTC-9JAN26-93000-C becomes btc_9jan26_93000_c."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def coin_unit(coin: str) -> Unit:
    return "ETH" if coin == "ETH" else "BTC"


def facts_of(row: Any, names: Sequence[tuple[str, str, Unit]], prefix: str, about: str, link: str | None) -> list[Fact]:
    """Attributes of a row as facts: (attribute, label, unit) each."""
    return [
        Fact(f"{prefix}_{name}", f"{label}, {about}" if about else label, getattr(row, name), unit, link)
        for name, label, unit in names
    ]
