"""Two runs of a log beside each other.

In: a log and the names of two runs. Out: an Answer: lines, trades, errors and what each earned against holding between
its own first and last state. Reads the log.
"""

from __future__ import annotations

from collections.abc import Iterator

from dashboard.ask.asked import Asked
from dashboard.ask.facts import Answer, Fact, coin_unit, missing
from dashboard.ask.log_view import LogView
from dashboard.log_index.span_questions import HAS_STATE

TITLE = "Two runs beside each other"


def compare_runs(view: LogView, asked: Asked) -> Answer:
    """Without names the two newest runs of the log, the older one first."""
    known = {run_id: account for run_id, account, _ in view.index.runs()}
    names: list[str | None] = [asked.run, asked.second_run]
    if names == [None, None]:
        names = [*list(known)[:2][::-1]]
    for name in names:
        if name is not None and name not in known:
            return missing("compare_runs", TITLE, f"run {name}")
    first, second = [*names, None, None][:2]
    if first is None or second is None or first == second:
        return missing("compare_runs", TITLE, "a second run")
    facts: list[Fact] = []
    sentences: list[str] = []
    for key, name in (("a", first), ("b", second)):
        found = list(_run_facts(LogView(view.index, known[name]), name, key))
        facts += found
        coins = [fact.name.removeprefix(f"{key}_net_") for fact in found if fact.name.startswith(f"{key}_net_")]
        nets = " and ".join(f"{{{key}_net_{coin}}}" for coin in coins) or "nothing that is known"
        sentences.append(
            f"{{{key}_run}} ({{{key}_policy}}): {{{key}_lines}} lines from {{{key}_from}} to {{{key}_to}}, "
            f"{{{key}_trades}} trades, {{{key}_errors}} errors, net {nets} against holding."
        )
    return Answer("compare_runs", TITLE, tuple(facts), tuple(sentences))


def _run_facts(view: LogView, run_id: str, key: str) -> Iterator[Fact]:
    index, counts = view.index, view.index.counts_of_run(run_id)
    first, last = (index.end_line_of_run(run_id, is_last=is_last) for is_last in (False, True))
    if first is None or last is None:
        return
    yield Fact(f"{key}_run", "run", run_id, "text", last.link)
    yield Fact(f"{key}_policy", f"policy of {run_id}", last.policy, "text", last.link)
    yield Fact(f"{key}_lines", f"lines of {run_id}", counts.lines, "count", last.link)
    yield Fact(f"{key}_from", f"first line of {run_id}", first.at, "time", first.link)
    yield Fact(f"{key}_to", f"last line of {run_id}", last.at, "time", last.link)
    yield Fact(f"{key}_trades", f"lines of {run_id} that traded", counts.trades, "count", last.link)
    yield Fact(f"{key}_nothing", f"lines of {run_id} that did nothing", counts.idle, "count", last.link)
    yield Fact(f"{key}_errors", f"errors of {run_id}", counts.errors, "count", last.link)
    states = [index.end_line_of_run(run_id, is_last=is_last, condition=HAS_STATE) for is_last in (False, True)]
    if states[0] is not None and states[1] is not None and states[0].id != states[1].id:
        for row in view.earned(states[0], states[1]):
            name = f"{key}_net_{row.currency.lower()}"
            yield Fact(name, f"net of {run_id}, {row.currency}", row.net_coin, coin_unit(row.currency), last.link)
