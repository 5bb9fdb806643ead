"""The tools of an assistant: the questions with their own parameters, sentences for what is wrong."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from dashboard.ask.questions import QUESTIONS
from dashboard.mcp import Tools
from dashboard.settings import DashboardSettings
from tests.dashboard.ask.truth import Truth


@pytest.fixture
def tools(log_folder: Path, tmp_path: Path) -> Tools:
    return Tools(DashboardSettings(log_folder, tmp_path))


def test_there_is_a_tool_a_question_with_its_parameters(tools: Tools) -> None:
    found = {name: function for name, _, function in tools.all()}
    assert set(found) == {*QUESTIONS, "ask_in_words", "backtest"}
    assert tuple(inspect.signature(found["what_if"]).parameters) == QUESTIONS["what_if"].uses


def test_an_answer_is_json_with_value_unit_and_line(tools: Tools, truth: Truth) -> None:
    (status,) = (function for name, _, function in tools.all() if name == "status")
    found = json.loads(json.dumps(status(coin="BTC")))
    (equity,) = (fact for fact in found["facts"] if fact["name"] == "equity_btc")
    assert equity == {
        "name": "equity_btc",
        "label": "BTC equity",
        "value": truth.last["equity_btc"],
        "unit": "BTC",
        "line": f"/line/{truth.last['run_id']}/{truth.last['iteration']}",
    }


def test_what_is_not_allowed_is_a_sentence(tools: Tools) -> None:
    assert "decide_action" in tools.backtest({"policy": "config"})["problem"]
    assert "not a field" in tools.backtest({"AGENT_DATA_DIR": "/"})["problem"]
    assert "not in the log" in tools.ask_in_words("What became of BTC-1JAN30-1000-C?")["text"]


def test_an_empty_folder_is_said_to_be_empty(tmp_path: Path) -> None:
    tools = Tools(DashboardSettings(tmp_path, tmp_path))
    assert "no decision" in tools.ask_in_words("status")["problem"]
