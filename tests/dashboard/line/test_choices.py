"""The table of what a decision could choose from: all that was allowed, with the odds that were logged."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from cli.recorder import IterationEnd
from core.choices.decisions import ModelCall
from dashboard.line.choices import choice_rows
from logging_utils import IterationRecord
from models import (
    ActionOption,
    ActionType,
    ProposedAction,
    Reason,
    RiskResult,
    ShadowDecision,
)
from state_builder import with_choices
from tests.builders.agent import RUN
from tests.builders.configs import a_config
from tests.builders.records import record_of
from tests.builders.states import NOW, a_state
from tests.dashboard.ask.truth import Truth
from tests.dashboard.pages import a_dashboard, browser_of

SOLD = "BTC-16JAN26-110000-C"


def test_every_allowed_action_stands_there_with_its_odds(log_folder: Path, truth: Truth) -> None:
    browser = browser_of(a_dashboard(log_folder, log_folder.parent / "data"))
    line: dict[str, Any] = next(line for line in truth.lines if line["proposed_action"]["type"] == "OPEN_COVERED_CALL")
    page = browser.get(f"/line/simulated-0001/{line['iteration']}").text
    table = page.partition('aria-label="Choices"')[2].partition("</table>")[0]
    allowed = [choice["label"].replace(" > ", " → ") for choice in line["agent_state"]["choices"]]
    assert table.count("<tr") == len(allowed) + 1
    assert all(f"<td>{label}</td>" in table for label in allowed)
    assert table.count('class="taken"') == 1
    assert table.index('class="taken"') < table.index(f"<td>open {line['proposed_action']['symbol']}</td>")


def test_the_parts_of_every_action_add_up_to_its_score(truth: Truth) -> None:
    line = next(line for line in truth.lines if "ROLL" in str(line["agent_state"]["choices"]))
    rows = choice_rows(IterationRecord.model_validate_json(json.dumps(line)))
    assert {row.label.split()[0] for row in rows} == {"nothing", "open", "close", "roll"}
    for row in rows:
        assert row.score is not None
        assert math.isclose(math.fsum(part.points for part in row.parts), row.score, abs_tol=1e-9)


def test_odds_that_were_not_logged_are_not_known_rather_than_zero() -> None:
    action = ProposedAction(type=ActionType.DO_NOTHING, reason="as before")
    state = with_choices(a_state(), a_config())
    rows = choice_rows(record_of(RUN, IterationEnd(1, NOW), state=state, action=action))
    assert [row.label for row in rows if row.is_taken] == ["nothing"]
    assert len(rows) == len(state.choices) > 1
    assert {row.probability for row in rows} == {None}


def test_a_line_without_choices_shows_what_the_policy_named() -> None:
    options = (
        ActionOption(type=ActionType.DO_NOTHING, probability=0.25),
        ActionOption(type=ActionType.OPEN_COVERED_CALL, symbol=SOLD, score=3.0, probability=0.75),
    )
    action = ProposedAction(type=ActionType.DO_NOTHING, reason="drawn", choices=options)
    rows = choice_rows(record_of(RUN, IterationEnd(1, NOW), state=a_state(choices=()), action=action))
    assert [(row.label, row.probability, row.is_taken) for row in rows] == [
        (f"open {SOLD}", 0.75, False),
        ("nothing", 0.25, True),
    ]


def test_shadows_and_what_a_model_was_asked_stand_on_the_page(tmp_path: Path) -> None:
    asked = ModelCall(outcome="invalid", model="<b>local</b>", host="127.0.0.1:1", reply="B", prompt_tokens=1000)
    nothing = ProposedAction(type=ActionType.DO_NOTHING, reason="invalid: no label", model_call=asked)
    sale = ProposedAction(
        type=ActionType.OPEN_COVERED_CALL, underlying="BTC", symbol=SOLD, size=0.1, reason="a good price"
    )
    refused = RiskResult(allowed=False, reasons=(Reason(rule="order_size", text="too large"),))
    shadows = (ShadowDecision(policy="bold", policy_hash="p-1", action=sale, check=refused),)
    record = record_of(RUN, IterationEnd(1, NOW), state=a_state(), action=nothing)
    line = record.model_copy(update={"shadows": shadows}).model_dump_json()
    (tmp_path / f"decisions-{NOW:%Y-%m-%d}.jsonl").write_text(line + "\n")
    page = browser_of(a_dashboard(tmp_path, tmp_path)).get(f"/line/{RUN.run_id}/1").text
    assert "invalid: &lt;b&gt;local&lt;/b&gt; at 127.0.0.1:1, reply “B”, 1000 + ? tokens" in page
    shown = page.partition('aria-label="Shadows"')[2].partition("</table>")[0]
    assert f"open covered call {SOLD}" in shown
    assert "refused by order_size" in shown
