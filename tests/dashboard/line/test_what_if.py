"""The page of a line: what other settings would have come to, and on what that rests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dashboard.ask.truth import Truth
from tests.dashboard.pages import Browser, a_dashboard, browser_of

LAST, EARLIER = "/line/simulated-0001/120", "/line/simulated-0001/1"


@pytest.fixture(scope="module")
def browser(log_folder: Path) -> Browser:
    return browser_of(a_dashboard(log_folder, log_folder.parent / "data"))


def test_the_newest_line_is_filtered_again_from_its_whole_chain(browser: Browser, truth: Truth) -> None:
    page = browser.get(f"{LAST}?coin=BTC&delta_max=0.6&dte_max=40").text
    assert "the whole chain was filtered again" in page
    before = [call["symbol"] for call in truth.last["agent_state"]["candidates"] if call["underlying"] == "BTC"]
    assert f"(the line had {len(before)})" in page
    assert "The policy policy_rule_based would:" in page


def test_an_older_line_says_that_only_its_own_calls_were_tried(browser: Browser, truth: Truth) -> None:
    calls = [call for call in truth.lines[0]["agent_state"]["candidates"] if call["underlying"] == "BTC"]
    limit = sorted(call["delta"] for call in calls)[len(calls) // 2]
    page = browser.get(f"{EARLIER}?coin=BTC&delta_max={limit!r}").text
    assert "the chain of this line is not kept" in page
    kept = sum(call["delta"] <= limit for call in calls)
    assert f"{kept} candidates (the line had {len(calls)})" in page


@pytest.mark.parametrize("asked", ["delta_max=7", "delta_min=0.9&delta_max=0.1", "dte_min=soon"])
def test_a_setting_out_of_its_bounds_is_a_sentence_and_asks_no_policy(browser: Browser, asked: str) -> None:
    answer = browser.get(f"{LAST}?coin=BTC&{asked}")
    assert answer.status_code == 200
    assert 'role="alert"' in answer.text
    assert "would:" not in answer.text
