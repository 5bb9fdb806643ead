"""/health and /metrics: what a watchdog and Prometheus are told of a log."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.recorder import IterationEnd
from dashboard.app import create_app
from dashboard.ask.log_view import LogView
from dashboard.log_index.index import LogIndex
from dashboard.running.figures import health_of, metrics_text
from dashboard.settings import DashboardSettings
from logging_utils import RunInfo
from tests.builders.records import record_of
from tests.dashboard.ask.truth import Truth
from tests.dashboard.client import PageClient

RUN = RunInfo("testnet-0001", "testnet", "testnet", "policy_rule_based", "c-1", "p-1")
START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
FIVE_MINUTES = timedelta(minutes=5)


def an_index(folder: Path, trading_state: str = "ACTIVE") -> LogIndex:
    """Ten lines of a testnet agent, five minutes apart."""
    lines = [
        record_of(RUN, IterationEnd(iteration=number, now=START + number * FIVE_MINUTES)).model_copy(
            update={"trading_state": trading_state}
        )
        for number in range(10)
    ]
    text = "".join(line.model_dump_json() + "\n" for line in lines)
    (folder / "decisions-2026-01-05.jsonl").write_text(text)
    index = LogIndex(folder, None)
    index.refresh()
    return index


@pytest.mark.parametrize(
    ("intervals_later", "trading_state", "status"),
    [(1.9, "ACTIVE", "ok"), (2.1, "ACTIVE", "stale"), (1.0, "REDUCING", "not active"), (1.0, "HALTED", "not active")],
)
def test_health_is_what_a_watchdog_must_know(
    tmp_path: Path, intervals_later: float, trading_state: str, status: str
) -> None:
    now = START + (9 + intervals_later) * FIVE_MINUTES
    found = health_of(an_index(tmp_path, trading_state), now, tmp_path)
    assert (found.status, found.is_well) == (status, status == "ok")


def test_an_empty_folder_is_not_well(tmp_path: Path) -> None:
    index = LogIndex(tmp_path, None)
    index.refresh()
    assert health_of(index, START, tmp_path).status == "empty"


def test_a_dead_channel_of_the_notifier_is_shown(tmp_path: Path) -> None:
    (tmp_path / "notify").mkdir()
    channel = {"channel": "ntfy", "problem": "ntfy does not answer: ConnectError", "waiting": 3}
    (tmp_path / "notify" / "state.json").write_text(json.dumps({"channels": [channel]}))
    text = metrics_text(an_index(tmp_path), START, tmp_path)
    assert 'covered_calls_notify_dead{channel="ntfy"} 1' in text
    assert 'covered_calls_notify_waiting{channel="ntfy"} 3' in text


def test_metrics_are_those_of_the_newest_state(view: LogView, truth: Truth, tmp_path: Path) -> None:
    text = metrics_text(view.index, truth.at[-1].to_pydatetime(), tmp_path)
    assert f'covered_calls_equity_coin{{coin="BTC"}} {truth.last["equity_btc"]!r}' in text
    names = [line.split("{")[0].split()[0] for line in text.splitlines() if not line.startswith("#")]
    assert [name for n, name in enumerate(names) if name in names[:n] and names[n - 1] != name] == []  # one group each


def test_the_addresses_answer(log_folder: Path, tmp_path: Path) -> None:
    app = create_app(DashboardSettings(log_dir=log_folder, data_dir=tmp_path))
    app.state.context.index.refresh()
    client = PageClient(app)
    assert client.get("/health").json()["status"] == "ended"
    assert client.get("/metrics").text.startswith("# HELP covered_calls_up")
    page = client.get("/ask", params={"q": "What did it earn?"}).text
    assert "net against holding" in page
    assert client.get("/ask", params={"q": "<script>alert(1)</script>"}).text.count("<script>") == 0
