"""The lab: what may be asked, jobs that survive a reload and can be cancelled, and what came of them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dashboard.app import create_app
from dashboard.lab.archive import Archive, beside, chains_of_run
from dashboard.lab.form import Command, command_of, watch_command
from dashboard.lab.heat import heat_map
from dashboard.lab.jobs import MOST_ANSWER_LINES, Jobs, newest_answer
from dashboard.settings import DashboardSettings
from models import ConfigurationError
from tests.dashboard.client import PageClient

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
SLOW = """
import sys, time
print("begun", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("kept")
    sys.exit(1)
"""


def a_command(code: str) -> Command:
    return Command("run", (sys.executable, "-c", code), {})


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    made = Jobs(tmp_path / "data" / "dashboard" / "lab")
    yield made
    for job in made.newest(10):
        made.cancel(job.name)
    made.wait()


@pytest.fixture
def client(tmp_path: Path) -> PageClient:
    app = create_app(DashboardSettings(log_dir=tmp_path / "logs", data_dir=tmp_path / "data"))
    return PageClient(app)


def wait_for(jobs: Jobs, name: str, state: str = "", said: str = "") -> None:
    for _ in range(600):
        job = jobs.job(name)
        assert job is not None
        if job.state == state or (said and said in job.said):
            return
        time.sleep(0.05)
    raise AssertionError(f"{job} is not {state}{said}")


# --- what may be asked ------------------------------------------------------------------------------


def test_a_form_becomes_a_command_line_and_settings(tmp_path: Path) -> None:
    command = command_of({"end": "2026-01-20", "seed": "7", "BTC_DELTA_MAX": "0.25", "start": " "}, tmp_path)
    assert command.argv[1:] == (
        *("-m", "backtest.run", "--policy", "policy_rule_based", "--end", "2026-01-20", "--seed", "7", "--no-presets"),
    )
    assert command.settings == {"BTC_DELTA_MAX": "0.25"}


def test_settings_with_several_values_are_the_axes_of_a_sweep(tmp_path: Path) -> None:
    fields = {"kind": "sweep", "BTC_DELTA_MAX": "0.2, 0.3", "ETH_DELTA_MAX": "0.3", "end": "2026-01-20"}
    command = command_of(fields, tmp_path)
    assert command.argv[-2:] == ("--set", "BTC_DELTA_MAX=0.2,0.3")
    assert command.settings == {"ETH_DELTA_MAX": "0.3"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"policy": "../../evil"}, "policy"),
        ({"policy": "config"}, "no config.py with decide_action"),
        ({"policy": "--out"}, "policy"),
        ({"recording": "../../../etc"}, "recording"),
        ({"DERIBIT_CLIENT_SECRET": "x"}, "not a field"),
        ({"AGENT_LOG_DIR": "/etc"}, "not a field"),
        ({"BTC_DELTA_MAX": "7"}, "BTC_DELTA_MAX=7"),
        ({"BTC_DELTA_MAX": "0.2,0.3"}, "BTC_DELTA_MAX=0.2,0.3: one run has one value of it; several make a sweep"),
        ({"BTC_ENABLED": "yes"}, "BTC_ENABLED"),
        ({"seed": "1; rm -rf /"}, "seed"),
        ({"start": "2026-02-01", "end": "2026-01-01"}, "after start"),
        ({"kind": "sweep"}, "one to 4 settings"),
        ({"kind": "sweep", "BTC_DELTA_MAX": "0.2,9"}, "BTC_DELTA_MAX=9"),
        ({"kind": "sweep", "BTC_DELTA_MAX": "0.2," * 21 + "0.2", "ETH_DTE_MAX": "9," * 21 + "9"}, "484 trials"),
        ({"out": "/tmp"}, "not a field"),
    ],
)
def test_whatever_else_is_asked_is_refused_with_a_sentence(fields: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=said.replace("(", r"\(")):
        command_of(fields, tmp_path)


def test_a_watch_replays_this_log_with_a_policy_that_there_is(tmp_path: Path) -> None:
    assert watch_command("policy_rule_based", tmp_path).argv[2] == "backtest.replay"
    with pytest.raises(ConfigurationError):
        watch_command("os", tmp_path)


# --- jobs --------------------------------------------------------------------------------------------


def test_a_job_survives_a_reload_and_keeps_what_is_done_when_it_is_cancelled(jobs: Jobs) -> None:
    name = jobs.start(a_command(SLOW), NOW)
    wait_for(jobs, name, said="begun")
    reloaded = Jobs(jobs.folder)
    job = reloaded.job(name)
    assert job is not None
    assert job.state == "running"
    assert reloaded.cancel(name)
    wait_for(reloaded, name, "cancelled")
    ended = reloaded.job(name)
    assert ended is not None
    assert (ended.code, ended.said) == (1, "begun\nkept")


def test_of_a_watch_the_newest_answer_is_shown_from_its_first_line() -> None:
    first = ["120 decisions: 109 as before, 11 changed", "2026-01-05 12:00  OPEN", "answered in 0.1 s"]
    waiting = "waiting for my_policy.py to be saved (Ctrl-C ends)"
    assert newest_answer([*first, waiting]) == [*first, waiting]
    again = ["120 decisions: 120 as before, 0 changed", "answered in 0.1 s", waiting]
    assert newest_answer([*first, waiting, *again]) == again
    assert newest_answer([*first, waiting, again[0]]) == again[:1]
    assert newest_answer([]) == []


def test_a_long_answer_keeps_its_first_and_its_last_lines() -> None:
    changes = [f"change {number}" for number in range(500)]
    shown = newest_answer(["120 decisions", *changes, "answered", "waiting for it"])
    assert len(shown) == MOST_ANSWER_LINES + 1
    assert (shown[0], shown[-2:]) == ("120 decisions", ["answered", "waiting for it"])
    assert "... 383 lines are left out ..." in shown


def test_no_secret_of_this_process_reaches_a_job(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERIBIT_CLIENT_SECRET", "canary-secret")
    name = jobs.start(a_command("import os; print(sorted(k for k in os.environ if 'DERIBIT' in k))"), NOW)
    wait_for(jobs, name, "done")
    job = jobs.job(name)
    assert job is not None
    assert job.said == "[]"


def test_a_third_job_waits_its_turn(jobs: Jobs) -> None:
    for _ in range(2):
        jobs.start(a_command(SLOW), NOW)
    with pytest.raises(ConfigurationError, match="2 jobs run already"):
        jobs.start(a_command(SLOW), NOW)


def test_a_job_whose_process_is_gone_is_lost(jobs: Jobs) -> None:
    folder = jobs.folder / "20260105-120000"
    (folder / "results").mkdir(parents=True)
    (folder / "job.json").write_text("{torn")
    (folder / "pid").write_text("1")
    job = jobs.job("20260105-120000")
    assert job is not None
    assert job.state == "lost"
    assert not jobs.cancel("20260105-120000")


# --- what came of them ------------------------------------------------------------------------------


def a_run(jobs: Jobs, number: int, net_usd: float | None) -> str:
    name = f"20260105-{number:06d}"
    results = jobs.folder / name / "results"
    results.mkdir(parents=True)
    found = {"policy": "mine", "source": {"kind": "simulated", "rung": "drawn"}, "fills": "ladder", "net_usd": net_usd}
    (results / "summary.json").write_text(json.dumps(found | {"coins": {}}))
    return name


def test_a_thousand_runs_are_sorted_and_filtered_in_a_fifth_of_a_second(jobs: Jobs, client: PageClient) -> None:
    for number in range(1_000):
        a_run(jobs, number, None if number == 5 else float(number % 37))
    archive = Archive(jobs)
    archive.rows()
    begun = time.process_time()
    rows = archive.rows("net_usd", "simulated")
    assert time.process_time() - begun < 0.2
    client.get("/lab")
    begun = time.process_time()
    page = client.get("/lab?sort=net_usd&words=simulated")
    assert time.process_time() - begun < 0.2
    assert "100 of 1000 runs" in page.text
    assert len(rows) == 1_000
    assert [row.net_usd for row in rows[:2]] == [36.0, 36.0]
    assert rows[-1].net_usd is None
    assert archive.rows("net_usd", "recorded") == []


def test_two_runs_stand_beside_each_other() -> None:
    one, other = {"net_usd": 1.0, "coins": {"BTC": {"sold": 3}}}, {"net_usd": 2.0, "fills": "touch"}
    assert beside(one, other) == [("net_usd", 1.0, 2.0), ("coins BTC sold", 3, None), ("fills", None, "touch")]


def test_a_sweep_becomes_a_heat_map_with_its_overfitting(tmp_path: Path) -> None:
    rows = [
        {"trial": f"{a}{b}", "values": {"BTC_DELTA_MAX": a, "BTC_DTE_MAX": b}, "net_usd": float(a) * float(b)}
        for a in ("0.2", "0.3")
        for b in ("9", "14")
    ]
    lines = [json.dumps(row) for row in (*rows, {"trial": "r", "is_random": True, "values": {"x": "1"}})]
    (tmp_path / "trials.jsonl").write_text("\n".join([*lines, '{"torn']))
    (tmp_path / "summary.json").write_text(json.dumps({"overfitting_probability": 0.4, "source": "simulated"}))
    found = heat_map(tmp_path)
    assert found is not None
    assert (found.columns, found.rows, found.overfitting) == (["0.2", "0.3"], ["9", "14"], 0.4)
    assert found.cells["14", "0.3"].mean_usd == pytest.approx(4.2)
    assert (found.shade("9", "0.2"), found.shade("14", "0.3"), found.is_averaged) == (0, 9, False)


def test_of_three_settings_two_are_chosen_and_a_cell_is_the_mean_of_its_trials(tmp_path: Path) -> None:
    rows = [
        {"values": {"A": a, "B": b, "C": c}, "net_usd": float(a) + float(b) + float(c)}
        for a in ("1", "2")
        for b in ("10", "20")
        for c in ("100", "300")
    ]
    (tmp_path / "trials.jsonl").write_text("\n".join(json.dumps(row) for row in (*rows, {"values": {"A": "1"}})))
    first, chosen, foreign = heat_map(tmp_path), heat_map(tmp_path, "C", "B"), heat_map(tmp_path, "C", "no such")
    assert first is not None
    assert chosen is not None
    assert foreign is not None
    assert (first.row_name, first.column_name, chosen.row_name, chosen.column_name) == ("B", "A", "C", "B")
    assert (foreign.row_name, foreign.column_name) == ("C", "A")
    assert chosen.cells["300", "20"].results_usd == (321.0, 322.0)
    assert chosen.cells["300", "20"].mean_usd == pytest.approx(321.5)
    assert chosen.is_averaged


def test_the_chains_of_a_run_are_those_of_its_table(tmp_path: Path) -> None:
    path = tmp_path / "chains.csv"
    path.write_text(
        "chain_id,currency,opened_at,closed_at,exit,rolls,symbols,pnl_coin,pnl_usd,source\n"
        "1,BTC,2026-01-05T12:00:00+00:00,2026-01-09T08:00:00+00:00,expired,1,A > B,0.001,90.0,simulated\n"
        "2,ETH,2026-01-05T12:00:00+00:00,,open,0,C,,,simulated\n"
    )
    ended, still_open = chains_of_run(path)
    assert (ended.calls, ended.rolls, ended.pnl_coin, ended.pnl_usd) == ("A > B", 1, 0.001, 90.0)
    assert (still_open.closed, still_open.pnl_coin) == ("", None)
    assert chains_of_run(tmp_path / "none.csv") == []


# --- the pages --------------------------------------------------------------------------------------


def test_a_get_starts_nothing_and_a_foreign_page_cannot_post(client: PageClient, tmp_path: Path) -> None:
    for address in ("/lab", "/lab/run", "/lab/watch", "/lab/cancel/x", "/lab/job/..%2f..", "/lab/compare?a=x&b=y"):
        assert client.get(address).status_code in (200, 404, 405)
    assert client.post("/lab/run", headers={"origin": "http://evil.example"}).status_code == 403
    assert not (tmp_path / "data" / "dashboard" / "lab").exists()


def test_a_wrong_form_is_answered_with_a_sentence(client: PageClient) -> None:
    page = client.post("/lab/run", data={"policy": "nobody"})
    assert page.status_code == 422
    assert "there is no nobody.py with decide_action" in page.text
