"""Why: one line explained, why nothing was done, and what went wrong.

In: a log and what was asked. Out: Answers. Reasons that differ in their figures and symbols alone are counted as one.
Reads the log, changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dashboard.ask.asked import Asked
from dashboard.ask.facts import Answer, Fact, coin_unit, missing
from dashboard.ask.log_view import LogView
from dashboard.log_index.line import Line, shape_of
from dashboard.log_index.span_questions import ANY_LINE, IS_IDLE
from logging_utils import IterationRecord
from models import ActionType, ProposedAction

MOST_REASONS = 5
MOST_CHOICES = 5
ANY_SYMBOL = re.compile(r"\b[A-Z]+-#")


def why_line(view: LogView, asked: Asked) -> Answer:
    """One decision: what, why, from which choices, the judge's word, what became of it."""
    line = _line_asked(view, asked)
    record = None if line is None else view.record(line)
    if line is None or record is None:
        return missing("why_line", "Why this line", f"this line{asked.span_words}")
    title = f"Why {line.run_id} decided this at {line.at:%Y-%m-%d %H:%M} UTC"
    facts = [*_decision_facts(record, line), *_choice_facts(record.proposed_action, line)]
    sentences = ["{run}, iteration {iteration}, {at}: {action}. Reason: {reason}.", "It was {verdict}."]
    names = {fact.name for fact in facts}
    sentences += ["{size} was {executed}."] if "size" in names else []
    sentences += ["Error: {error}."] if "error" in names else []
    chosen = [name for name in sorted(names) if name.startswith("probability_")]
    sentences += [f"{{choice_{n[12:]}}} had a probability of {{{n}}}, score {{score_{n[12:]}}}." for n in chosen]
    return Answer("why_line", title, tuple(facts), tuple(sentences))


def _line_asked(view: LogView, asked: Asked) -> Line | None:
    """By number (of the newest run, where none is named), by the call it was about, else the last of the span."""
    if asked.iteration is not None:
        newest = view.index.newest(view.account)
        run = asked.run or (None if newest is None else newest.run_id)
        found = None if run is None else view.index.line(run, asked.iteration)
        return found if found is not None and found.account == view.account else None
    return view.index.last_action(view.account, asked.span.start, asked.span.end, asked.symbol, asked.coin)


def _decision_facts(record: IterationRecord, line: Line) -> Iterator[Fact]:
    action, reasons = record.proposed_action, record.risk_engine_result.reasons
    target = " to ".join(name for name in (action.symbol, action.new_symbol) if name)
    verdict = "allowed" if record.allowed else f"blocked by {'; '.join(map(str, reasons)) or 'a failure before it'}"
    yield Fact("run", "run", line.run_id, "text", line.link)
    yield Fact("iteration", "iteration", line.iteration, "count", line.link)
    yield Fact("at", "time", line.at, "time", line.link)
    yield Fact("action", "action", f"{action.type} {target}".strip(), "text", line.link)
    yield Fact("reason", "reason", action.reason, "text", line.link)
    yield Fact("verdict", "verdict of the risk engine", verdict, "text", line.link)
    if action.type != ActionType.DO_NOTHING:
        yield Fact("size", "size", action.size, coin_unit(action.underlying or ""), line.link)
        yield Fact("executed", "what became of it", record.executed_status, "text", line.link)
    if record.error is not None:
        yield Fact("error", "error", line.error, "text", line.link)


def _choice_facts(action: ProposedAction, line: Line) -> Iterator[Fact]:
    ranked = sorted(action.choices, key=lambda choice: -choice.probability)[:MOST_CHOICES]
    for number, choice in enumerate(ranked, 1):
        name = f"{choice.type} {choice.symbol or ''}".strip()
        yield Fact(f"choice_{number}", f"choice {number}", name, "text", line.link)
        yield Fact(f"probability_{number}", f"probability of {name}", 100.0 * choice.probability, "%", line.link)
        yield Fact(f"score_{number}", f"score of {name}", choice.score, "ratio", line.link)


class _Group(NamedTuple):
    """Texts that differ in their figures and symbols alone: how many, the newest of them, and its line."""

    times: int
    text: str
    link: str


def why_nothing(view: LogView, asked: Asked) -> Answer:
    """How often nothing was done, and the reasons given, most frequent first."""
    title = f"Why nothing was done{asked.span_words}"
    counts, newest = view.counts(asked.span), view.newest(asked.span, ANY_LINE)
    if newest is None:
        return missing("why_nothing", title, f"any line{asked.span_words}")
    last_idle, groups = view.newest(asked.span, IS_IDLE), _idle_groups(view, asked)
    facts = [
        Fact("lines", "lines", counts.lines, "count", newest.link),
        Fact("nothing", "lines that did nothing", counts.idle, "count", last_idle.link if last_idle else None),
        Fact("failed", "of them with an error", counts.idle_failed, "count"),
        *_group_facts(groups, "reason"),
    ]
    sentences = ["Of {lines} lines {nothing} did nothing, {failed} of them because something failed."]
    sentences += _told("reason", len(groups))
    return Answer("why_nothing", title, tuple(facts), tuple(sentences))


def _idle_groups(view: LogView, asked: Asked) -> list[_Group]:
    """The most frequent reasons. The index has counted them by shape; only the newest line of each is read."""
    counts: Counter[str] = Counter()
    newest: dict[str, tuple[float, int]] = {}
    for found in view.index.idle_reasons(view.account, asked.span.start, asked.span.end):
        for clause in _clauses(found.shape, found.is_error, asked.coin):
            key = _key(clause)
            counts[key] += found.lines
            newest[key] = max((found.newest_at_seconds, found.newest_id), newest.get(key, (0.0, 0)))
    frequent = sorted(counts, key=lambda key: (-counts[key], key))[:MOST_REASONS]
    lines = view.index.lines_by_id([newest[key][1] for key in frequent])
    shown = [(key, lines.get(newest[key][1])) for key in frequent]
    # None where the index has forgotten a file since it counted: another thread looks for what is new, and what is gone
    return [_idle_group(key, counts[key], line, asked.coin) for key, line in shown if line is not None]


def _idle_group(key: str, count: int, line: Line, coin: str | None) -> _Group:
    clauses = _clauses(line.error or line.reason, line.error is not None, coin)
    return _Group(count, [clause for clause in clauses if _key(shape_of(clause)) == key][-1], line.link)


def _clauses(text: str, is_error: bool, coin: str | None) -> list[str]:
    """A reason speaks of one coin after the other; of an error its last sentence."""
    if is_error:
        return [f"error: {text}"]
    return [clause for clause in text.split("; ") if coin is None or coin in clause]


def _key(shape: str) -> str:
    """Whatever the coin of a symbol."""
    return ANY_SYMBOL.sub("#", shape)


def _grouped(found: Iterable[tuple[str, Line]]) -> list[_Group]:
    """The most frequent; of texts in the order of their lines."""
    groups: dict[str, list[tuple[str, Line]]] = {}
    for text, line in found:
        groups.setdefault(_key(shape_of(text)), []).append((text, line))
    frequent = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))[:MOST_REASONS]
    return [_Group(len(texts), texts[-1][0], texts[-1][1].link) for _, texts in frequent]


def _group_facts(groups: Iterable[_Group], name: str) -> Iterator[Fact]:
    for number, group in enumerate(groups, 1):
        yield Fact(f"{name}_{number}", f"{name} {number}", group.text, "text", group.link)
        yield Fact(f"{name}_{number}_count", f"how often {name} {number}", group.times, "count", group.link)


def errors(view: LogView, asked: Asked) -> Answer:
    """Errors, blocked actions and orders of unknown outcome, the most frequent first."""
    title = f"Errors and blocked actions{asked.span_words}"
    counts, newest = view.counts(asked.span), view.newest(asked.span, ANY_LINE)
    if newest is None:
        return missing("errors", title, f"any line{asked.span_words}")
    troubled = view.index.troubled_lines(view.account, asked.span.start, asked.span.end)
    failed = [(line.error or "", line) for line in troubled if line.error is not None]
    blocked = [(line.blocked_by or "", line) for line in troubled if line.blocked_by is not None]
    unknown = [line for line in troubled if line.executed_status == "unknown"]
    groups, blocks = _grouped(failed), _grouped(blocked)
    facts = [
        Fact("lines", "lines", counts.lines, "count", newest.link),
        Fact("errors", "lines with an error", counts.errors, "count", failed[-1][1].link if failed else None),
        Fact("blocked", "blocked actions", counts.blocked, "count", blocked[-1][1].link if blocked else None),
        Fact("unknown", "orders of unknown outcome", counts.unknown, "count", unknown[-1].link if unknown else None),
        *_group_facts(groups, "error"),
        *_group_facts(blocks, "block"),
    ]
    sentences = ["Of {lines} lines {errors} have an error, {blocked} a blocked action, {unknown} an unknown outcome."]
    sentences += _told("error", len(groups)) + _told("block", len(blocks))
    return Answer("errors", title, tuple(facts), tuple(sentences))


def _told(name: str, count: int) -> list[str]:
    return [f"{{{name}_{n}_count}} times, last: {{{name}_{n}}}." for n in range(1, count + 1)]
