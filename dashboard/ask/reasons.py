"""Why: one line explained, why nothing was done, and what went wrong.

In: a log and what was asked. Out: Answers. Reasons that differ in their figures and symbols alone are counted as one.
Reads the log, changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dashboard.ask.asked import Asked
from dashboard.ask.facts import Answer, Fact, coin_unit, missing
from dashboard.ask.log_view import LogView
from dashboard.log_index.line import Line
from logging_utils import IterationRecord
from models import ActionType, ProposedAction

MOST_REASONS = 5
MOST_CHOICES = 5
FIGURES = re.compile(r"\b[A-Z]+-\d+[A-Z]{3}\d+-\d+-[CP]\b|[-+]?\d[\d,.:]*")


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
    lines = [line for line in view.lines(asked.span) if asked.symbol is None or asked.symbol in _symbols(line)]
    lines = [line for line in lines if asked.coin in (None, line.underlying)] if asked.coin else lines
    return lines[-1] if lines else None


def _symbols(line: Line) -> str:
    return f"{line.symbol} {line.reason}" if line.action_type != ActionType.DO_NOTHING else ""


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


def why_nothing(view: LogView, asked: Asked) -> Answer:
    """How often nothing was done, and the reasons given, most frequent first."""
    title = f"Why nothing was done{asked.span_words}"
    lines = view.lines(asked.span)
    if not lines:
        return missing("why_nothing", title, f"any line{asked.span_words}")
    idle = [line for line in lines if line.action_type == ActionType.DO_NOTHING]
    groups = _grouped((clause, line) for line in idle for clause in _clauses(line, asked.coin))
    facts = [
        Fact("lines", "lines", len(lines), "count", lines[-1].link),
        Fact("nothing", "lines that did nothing", len(idle), "count", idle[-1].link if idle else None),
        Fact("failed", "of them with an error", len([1 for line in idle if line.error]), "count"),
        *_group_facts(groups, "reason"),
    ]
    sentences = ["Of {lines} lines {nothing} did nothing, {failed} of them because something failed."]
    sentences += [f"{{reason_{n}_count}} times, last: {{reason_{n}}}." for n in range(1, _shown(groups) + 1)]
    return Answer("why_nothing", title, tuple(facts), tuple(sentences))


def _clauses(line: Line, coin: str | None) -> list[str]:
    """A reason speaks of one coin after the other; of an error its last sentence."""
    if line.error is not None:
        return [f"error: {line.error}"]
    clauses = line.reason.split("; ")
    return [clause for clause in clauses if coin is None or coin in clause]


Groups = dict[str, list[tuple[str, Line]]]


def _grouped(found: Iterable[tuple[str, Line]]) -> Groups:
    groups: Groups = {}
    for text, line in found:
        groups.setdefault(FIGURES.sub("#", text), []).append((text, line))
    return dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])))


def _group_facts(groups: Groups, name: str) -> Iterator[Fact]:
    for number, found in enumerate(list(groups.values())[:MOST_REASONS], 1):
        text, line = found[-1]
        yield Fact(f"{name}_{number}", f"{name} {number}", text, "text", line.link)
        yield Fact(f"{name}_{number}_count", f"how often {name} {number}", len(found), "count", line.link)


def _shown(groups: Groups) -> int:
    return min(MOST_REASONS, len(groups))


def errors(view: LogView, asked: Asked) -> Answer:
    """Errors, blocked actions and orders of unknown outcome, the most frequent first."""
    title = f"Errors and blocked actions{asked.span_words}"
    lines = view.lines(asked.span)
    if not lines:
        return missing("errors", title, f"any line{asked.span_words}")
    failed = [(line.error or "", line) for line in lines if line.error is not None]
    blocked = [(line.blocked_by or "", line) for line in lines if line.blocked_by is not None]
    unknown = [line for line in lines if line.executed_status == "unknown"]
    groups, blocks = _grouped(failed), _grouped(blocked)
    facts = [
        Fact("lines", "lines", len(lines), "count", lines[-1].link),
        Fact("errors", "lines with an error", len(failed), "count", failed[-1][1].link if failed else None),
        Fact("blocked", "blocked actions", len(blocked), "count", blocked[-1][1].link if blocked else None),
        Fact("unknown", "orders of unknown outcome", len(unknown), "count", unknown[-1].link if unknown else None),
        *_group_facts(groups, "error"),
        *_group_facts(blocks, "block"),
    ]
    sentences = ["Of {lines} lines {errors} have an error, {blocked} a blocked action, {unknown} an unknown outcome."]
    sentences += _told("error", _shown(groups)) + _told("block", _shown(blocks))
    return Answer("errors", title, tuple(facts), tuple(sentences))


def _told(name: str, count: int) -> list[str]:
    return [f"{{{name}_{n}_count}} times, last: {{{name}_{n}}}." for n in range(1, count + 1)]
