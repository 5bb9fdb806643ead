"""The questions that can be asked, in one table: for the page's buttons, for a model, for an assistant.

In: a question's name and what it is about. Out: its Answer. Each one is a function that reads the log and changes
nothing; what it cannot find is said to be not in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from dashboard.ask import filters, money, reasons, runs, standing
from dashboard.ask.asked import Asked
from dashboard.ask.facts import Answer
from dashboard.ask.log_view import LogView
from dashboard.insights.calls import rows_of_log
from dashboard.insights.comparisons import insights_of

SPAN = ("start", "end")


@dataclass(frozen=True)
class Question:
    """`title` is what a button says; `uses`: the fields of Asked that it looks at."""

    name: str
    title: str
    uses: tuple[str, ...]
    function: Callable[[LogView, Asked], Answer]

    @property
    def sentence(self) -> str:
        """What it does, in one line."""
        return (self.function.__doc__ or self.title).strip().splitlines()[0]


def insights(view: LogView, asked: Asked) -> Answer:
    """What calls that did well or badly have in common, with n and the uncertainty of each comparison."""
    calls = [call for call in view.calls() if call.currency in asked.coins() and call.opened_at is not None]
    inside = [call for call in calls if call.opened_at is not None and asked.span.holds(call.opened_at)]
    return insights_of(rows_of_log(inside), f"Insights{asked.span_words}")


_ALL = (
    Question("status", "How do things stand?", ("coin", *SPAN), standing.status),
    Question("what_changed", "What changed?", ("coin", *SPAN), standing.what_changed),
    Question("why_line", "Why this line?", ("run", "iteration", "symbol", "coin", *SPAN), reasons.why_line),
    Question("why_nothing", "Why was nothing done?", ("coin", *SPAN), reasons.why_nothing),
    Question("errors", "What went wrong?", SPAN, reasons.errors),
    Question("earned", "What did it earn against holding?", ("coin", *SPAN), money.earned),
    Question("income_by_month", "What came in, month by month?", ("coin", *SPAN), money.income_by_month),
    Question("chain_of_call", "What became of a call?", ("symbol",), money.chain_of_call),
    Question("worst_calls", "Which calls were the worst?", ("coin", "count", "best", *SPAN), money.worst_calls),
    Question("funnel", "Which filter turns options away?", ("coin", *SPAN), filters.funnel),
    Question("near_misses", "What nearly passed?", ("coin", *SPAN), filters.near_misses),
    Question("what_if", "What if a setting were another?", ("setting", "value", "coin", *SPAN), filters.what_if),
    Question("insights", "What do good and bad calls have in common?", ("coin", *SPAN), insights),
    Question("compare_runs", "How do two runs compare?", ("run", "second_run"), runs.compare_runs),
)
QUESTIONS: Mapping[str, Question] = {question.name: question for question in _ALL}


def answer(view: LogView, name: str, arguments: Mapping[str, Any]) -> Answer:
    """The answer to a question by its name; a wrong name or value is answered with a sentence."""
    question = QUESTIONS.get(name)
    if question is None:
        return Answer(name[:40], "Unknown question", problem=f"The questions are {', '.join(QUESTIONS)}.")
    foreign = sorted(str(key)[:40] for key in arguments.keys() - set(question.uses))
    if foreign:
        return Answer(name, question.title, problem=f"{name} is not asked with {', '.join(foreign)}.")
    try:
        asked = Asked.model_validate(dict(arguments))
    except ValidationError as error:
        wrong = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors(include_input=False))
        return Answer(name, question.title, problem=wrong)
    return question.function(view, asked)
