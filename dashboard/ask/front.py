"""A question in plain English, without a model: keywords choose the function, dates, calls and coins fill it in. Pure
but for the log it asks.

In: words, a log. Out: an Answer. Words that fit no question are answered with the list of questions; orders ("sell"),
forecasts and questions about secrets are answered with what this page cannot do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dashboard.ask import words
from dashboard.ask.facts import NOT_IN_THE_LOG, Answer
from dashboard.ask.log_view import LogView
from dashboard.ask.questions import QUESTIONS, answer

MOST_LETTERS = 500
# The first row that fits decides; so the narrow ones stand first.
KEYWORDS: tuple[tuple[str, str], ...] = (
    (r"\bwhat if\b|\bwhat would .*\b(set|were|was)\b|\bif .*(were|was set)\b", "what_if"),
    (r"\bcompare\b|\bversus\b|\bvs\b|\btwo runs\b|\bagainst run\b|\bdiffer", "compare_runs"),
    (r"\bnear(ly|est)?\b.*\b(miss|pass)|\bnear miss|\balmost\b|\bjust missed\b", "near_misses"),
    (
        r"\bfunnel\b|\bfilter|\bturn(s|ed)? away\b|\brule(s|d)? (out|reject)|\brejected\b"
        r"|\bhow many (options|calls) pass",
        "funnel",
    ),
    (r"\binsight|\bin common\b|\bpattern|\blearn", "insights"),
    (r"\bworst\b|\bbiggest loss|\blost (the )?most\b|\bbest (call|trade)|\bbest \d", "worst_calls"),
    (r"\bwhy\b.*\b(nothing|not|no (trade|call|sale|action)|idle|wait)|\bdo(ing)? nothing\b|\bidle\b", "why_nothing"),
    (r"\berror|\bwent wrong\b|\bfail|\bblocked\b|\bproblem|\bwarning|\bunknown outcome", "errors"),
    (r"\bby month\b|\bper month\b|\bmonthly\b|\beach month\b|\bmonth by month\b|\bevery month\b", "income_by_month"),
    (r"\bchain\b|\brolled\b|\bbecame of\b|\bhappened to\b|\bhistory of\b|\bhow did .* end\b", "chain_of_call"),
    (r"\bwhy\b|\breason\b|\bexplain\b|\bwhat did it decide\b|\bline\b|\biteration\b|#\d", "why_line"),
    (
        r"\bchang|\bwhat happened\b|\bwhat(?: is|'s) new\b|\bsince\b|\bcatch me up\b"
        r"|\bhow many (calls|options|sales|trades)\b",
        "what_changed",
    ),
    (
        r"\bearn|\bincome\b|\bprofit|\bpremium|\bmade\b|\bmake\b|\bfees?\b|\bp(&|n)?l\b|\breturn|\bdeliver|\bbuy-?backs?\b"
        r"|\bagainst holding\b|\bgain|\bloss|\blose\b|\blost\b|\bpaid\b|\bcost",
        "earned",
    ),
    (
        r"\bstatus\b|\bstand\b|\bhold\b|\bheld\b|\bposition|\bcovered\b|\bcoverage\b|\bequity\b|\bbalance\b"
        r"|\bhow much\b|\bworth\b|\bnow\b|\bsold\b|\bfree\b|\bstate\b|\bhalted\b|\bactive\b",
        "status",
    ),
)
CANNOT: tuple[tuple[str, str], ...] = (
    (r"\bshould (i|we)\b|\badvi[cs]e\b|\brecommend", "This page tells what a log holds. It gives no advice."),
    (r"\b(secret|password|api.?key|client.?id|token|credential|private key)\b", "This page does not know any secret."),
    (
        r"^\W*(please )?(sell|buy|close|roll|cancel|open|stop|resume|halt|place|send|transfer|withdraw)\b(?!-)"
        r"|\b(can|could|will|would) you (please )?(sell|buy|close|roll|cancel|stop|resume|place|send)\b",
        "This page reads logs. It has no way to an order, and none to start or stop the agent.",
    ),
    (
        r"\bwill\b.*\b(go|rise|fall|be|earn|make|expire|happen|reach)\b|\bpredict|\bforecast"
        r"|\btomorrow\b|\bnext (week|month|year)\b|\bgoing to\b",
        f"The future is {NOT_IN_THE_LOG}.",
    ),
)


def ask(view: LogView, text: str) -> Answer:
    """The answer to a question in words."""
    text = " ".join(text.split())[:MOST_LETTERS]
    why = refused(text)
    if why is not None:
        return Answer("none", "Not here", problem=why)
    name = _question_in(text)
    if name is None:
        titles = " ".join(question.title for question in QUESTIONS.values())
        return Answer("none", "Not understood", problem=f"These questions can be answered: {titles}")
    try:
        return answer(view, name, arguments_in(view, name, text))
    except words.NoSuchDayError as error:
        return Answer(name, QUESTIONS[name].title, problem=f"{error}: {NOT_IN_THE_LOG}")


def refused(text: str) -> str | None:
    """Why this is no question for a log; None where it may be one."""
    foreign = words.FOREIGN_COINS.search(words.SYMBOL.sub(" ", text))
    if foreign is not None:
        return f"{foreign[0].upper()}: {NOT_IN_THE_LOG}. It knows BTC and ETH."
    return next((why for pattern, why in CANNOT if re.search(pattern, text, re.IGNORECASE)), None)


def _question_in(text: str) -> str | None:
    for pattern, name in KEYWORDS:
        if re.search(pattern, text, re.IGNORECASE):
            return name
    return "chain_of_call" if words.symbols_in(text) else None


def arguments_in(view: LogView, name: str, text: str) -> Mapping[str, Any]:
    """What the words say of each thing that the question uses; nothing of what they do not name."""
    newest = view.index.newest(view.account)
    span = None if newest is None else words.span_in(text, newest.at)
    symbols, runs = words.symbols_in(text), words.runs_in(text)
    said: dict[str, Any] = {
        "coin": words.coin_in(text),
        "start": None if span is None else span.start,
        "end": None if span is None else span.end,
        "symbol": symbols[0] if symbols else None,
        "run": runs[0] if runs else None,
        "second_run": runs[1] if len(runs) > 1 else None,
        "iteration": words.iteration_in(text),
    }
    if name == "what_if":
        said |= {"setting": words.setting_in(text), "value": words.value_in(text)}
    if name == "worst_calls":
        count = words.value_in(text)
        said |= {"best": bool(re.search(r"\bbest\b", text, re.IGNORECASE)), "count": _count(count)}
    uses = QUESTIONS[name].uses
    return {key: value for key, value in said.items() if key in uses and value is not None}


def _count(number: float | None) -> int:
    return 3 if number is None else max(1, min(20, int(number)))
