"""What the agent did and why, the newest first; runs of "nothing to do" and of the same failure are folded.

In: lines of the index. Out: Items for the page. Reads single lines of the log for the prices that were tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from dashboard.log_index.index import LogIndex
from dashboard.log_index.line import Line
from models import LegResult

MOST_EVENTS, MOST_KEPT = 25, 200
VERBS = {
    "OPEN_COVERED_CALL": "Sold",
    "ROLL_COVERED_CALL": "Rolled",
    "CLOSE_COVERED_CALL": "Bought back",
    "DO_NOTHING": "Nothing to do",
}


@dataclass(frozen=True)
class Item:
    """One entry: a line, or so many lines in which nothing was to be done. `kind` is for its colour."""

    line: Line | None
    title: str = ""
    kind: str = "quiet"
    legs: tuple[LegResult, ...] = ()
    folded: int = 0
    folded_what: str = "nothing to do"


def timeline(index: LogIndex, last: Line, most: int = MOST_EVENTS) -> list[Item]:
    """The newest events with what lies between them."""
    events = index.eventful_lines(last.account, most)[::-1]
    items: list[Item] = [] if last.is_quiet is False else [Item(last, VERBS["DO_NOTHING"])]
    above = last.id + (0 if items else 1)
    for event, repeats in _without_repeats(events):
        quiet = index.count_between(last.account, event.id, above)
        items += [Item(None, folded=quiet)] if quiet else []
        items.append(_item(index, event))
        items += [Item(None, folded=repeats, folded_what="the same before")] if repeats else []
        above = event.id if not repeats else events[events.index(event) + repeats].id
    return items


def _without_repeats(events: list[Line]) -> Iterator[tuple[Line, int]]:
    """Each event, newest first, with how many of the same failure follow it."""
    number = 0
    while number < len(events):
        event, repeats = events[number], 0
        while number + repeats + 1 < len(events) and _is_same_failure(event, events[number + repeats + 1]):
            repeats += 1
        yield event, repeats
        number += repeats + 1


def _is_same_failure(one: Line, other: Line) -> bool:
    failure = (one.error, one.blocked_by)
    return failure != (None, None) and failure == (other.error, other.blocked_by) and one.symbol == other.symbol


@lru_cache(maxsize=MOST_KEPT)
def _item(index: LogIndex, line: Line) -> Item:
    """An event does not change any more, and its record is long: it is read once."""
    record = index.iteration_record(line) if line.executed_status != "none" else None
    legs = () if record is None or record.executed_action is None else record.executed_action.legs
    return Item(
        line, _title(line, record.proposed_action.new_symbol if record is not None else None), _kind(line), legs
    )


def _title(line: Line, new_symbol: str | None) -> str:
    if line.error is not None:
        return "Failed"
    if line.blocked_by is not None:
        return f"Blocked: {line.symbol or ''}"
    verb = VERBS.get(line.action_type, line.action_type)
    if line.executed_status not in ("filled", "partly_filled"):
        verb = {"Sold": "Offered", "Rolled": "Roll of", "Bought back": "Bid for"}.get(verb, verb)
    return f"{verb} {line.symbol or ''}" + (f" → {new_symbol}" if new_symbol else "")


def _kind(line: Line) -> str:
    if line.error is not None or line.blocked_by is not None:
        return "bad"
    return {"OPEN_COVERED_CALL": "good", "ROLL_COVERED_CALL": "open", "CLOSE_COVERED_CALL": "closed"}.get(
        line.action_type, "quiet"
    )
