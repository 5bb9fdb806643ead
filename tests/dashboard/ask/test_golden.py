"""A hundred questions in words on a fixed log: each leads to the right function, and its fact is exactly true."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from dashboard.ask.front import ask
from dashboard.ask.log_view import LogView, view_of
from dashboard.log_index.index import LogIndex
from dashboard.log_index.span_questions import ReasonGroup
from tests.dashboard.ask.golden import GOLDEN, Golden, worded
from tests.dashboard.ask.truth import Truth


def test_there_are_a_hundred_of_them() -> None:
    assert len({row.question for row in GOLDEN}) >= 100


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row.question[:60])
def test_the_answer_is_exactly_true(row: Golden, view: LogView, truth: Truth) -> None:
    found = ask(view, worded(row, truth))
    assert (found.question, found.problem) == (row.name, None)
    fact, true = found.fact(row.fact), row.true(truth)
    assert fact is not None, [one.name for one in found.facts]
    if isinstance(fact.value, datetime):
        assert pd.Timestamp(fact.value) == pd.Timestamp(true)
    elif isinstance(fact.value, float):
        assert fact.value == pytest.approx(true, abs=1e-9, rel=1e-9)
    else:
        assert fact.value == true
    assert fact.text in found.text or fact.name not in "".join(found.sentences)


@pytest.mark.parametrize("question", ["What did it earn in January?", "income by month", "worst calls"])
def test_the_parts_of_a_sum_add_up_to_it(question: str, view: LogView) -> None:
    found = ask(view, question)
    totals = [fact for fact in found.facts if fact.name.endswith(("_net_coin", "_pnl_coin"))]
    for total in totals:
        key = total.name.removesuffix("_net_coin").removesuffix("_pnl_coin")
        parts = [
            found.fact(f"{key}_{part}_coin") for part in ("premium", "bought_back", "settled", "fees", "open_value")
        ]
        values = [part.value for part in parts if part is not None and isinstance(part.value, float)]
        assert len(values) == 5
        assert total.value == pytest.approx(sum(values), abs=1e-12)
    assert totals


def test_lines_that_are_gone_once_they_were_counted_are_no_failure(
    log_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is removed, and the thread that looks for new lines forgets it, while a question is being answered."""
    index = LogIndex(log_folder, None)
    index.refresh()
    count = index.idle_reasons

    def counted_and_gone(account: str, start: datetime, end: datetime) -> list[ReasonGroup]:
        found = count(account, start, end)
        monkeypatch.setattr(index, "lines_by_id", lambda ids: {})
        return found

    monkeypatch.setattr(index, "idle_reasons", counted_and_gone)
    view = view_of(index)
    assert view is not None
    found = ask(view, "why was nothing done?")
    assert (found.question, found.problem) == ("why_nothing", None)
    assert found.fact("reason_1") is None
