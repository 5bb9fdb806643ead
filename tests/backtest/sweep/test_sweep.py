"""`python -m backtest.sweep`: trials on the engine that trades, run once and kept, by processes or by Dask."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import backtest.sweep.__main__ as command
from backtest.report.progress import ProgressLine
from backtest.simulator.simulation import CoveredCallSimulator, NamedPolicy, Period
from backtest.sweep.journal import Journal
from backtest.sweep.trials import TrialRow, period_returns
from config import load_config
from core.results.earnings import EquityPoint
from paper_exchange.setups import SIMULATION_START, simulated_setup
from policy_rule_based import decide_action
from tests.backtest.simulator.runs import days_later

SHORT = ["--end", "2026-01-11", "--random-entries", "1", "--workers", "2"]
TWO_TRIALS = ["--set", "DELTA_MAX=0.2,0.3", *SHORT]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trials of five days and one run of random entries."""
    folder = tmp_path_factory.mktemp("swept")
    assert command.main([*TWO_TRIALS, "--out", str(folder)]) == 0
    return folder


def lines_of(folder: Path) -> list[str]:
    return sorted((folder / "trials.jsonl").read_text().splitlines())


def test_a_trial_is_a_run_of_the_simulator(swept: Path) -> None:
    strategy = {"delta_max": 0.2}
    run = {"interval_seconds": 21_600.0}
    config = load_config(None, {"run": run, "btc": strategy, "eth": strategy})
    period = Period(end=SIMULATION_START.replace(day=11, hour=0))
    result = CoveredCallSimulator(config, simulated_setup, NamedPolicy("same", decide_action), period).run()
    rows = [TrialRow.model_validate_json(line) for line in lines_of(swept)]
    (row,) = (row for row in rows if row.values == {"DELTA_MAX": "0.2"})
    assert row.net_usd == pytest.approx(result.net_usd, abs=1e-6)
    assert row.net_coin == {coin.coin: pytest.approx(coin.earnings.net_coin, abs=1e-9) for coin in result.coins}
    assert len(row.returns) == 5
    assert any(row.returns)


def test_a_sweep_leaves_a_line_a_trial_a_ranking_and_a_summary(swept: Path) -> None:
    assert len(lines_of(swept)) == 3
    with (swept / "ranking.csv").open() as file:
        ranking = list(csv.DictReader(file))
    assert {row["DELTA_MAX"] for row in ranking} == {"0.2", "0.3"}
    assert all(row["source"].startswith("simulated quotes") for row in ranking)
    summary = json.loads((swept / "summary.json").read_text())
    assert summary["trials_ever"] == 2
    assert summary["is_luck"] is True
    assert len(summary["random_sharpes"]) == 1


def test_run_twice_it_runs_nothing_new_and_says_the_same(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (swept / "trials.jsonl").read_bytes()
    assert command.main([*TWO_TRIALS, "--out", str(swept)]) == 0
    out = capsys.readouterr().out
    assert "2 trials and 1 runs of random entries, 3 run before" in out
    assert (swept / "trials.jsonl").read_bytes() == before
    assert all(len(line) <= 80 for line in out.splitlines())


def test_ctrl_c_keeps_the_trials_under_way_and_the_same_command_goes_on(
    swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting(ProgressLine):
        def tell(self, text: Callable[[float], str]) -> None:
            if not (tmp_path / "trials.jsonl").exists() and not getattr(self, "is_sent", False):
                self.is_sent = True
                os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(command, "ProgressLine", Interrupting)
        assert command.main([*TWO_TRIALS, "--workers", "1", "--out", str(tmp_path)]) == 1
    assert "stopped with 1 of 3 runs done" in capsys.readouterr().out
    assert len(lines_of(tmp_path)) == 1
    with (tmp_path / "trials.jsonl").open("a") as file:
        file.write('{"trial":"t-cut-off')  # and a kill in the middle of a line
    assert command.main([*TWO_TRIALS, "--out", str(tmp_path)]) == 0
    assert "1 lines of trials.jsonl cannot be read" in capsys.readouterr().out
    assert [line for line in lines_of(tmp_path) if "cut-off" not in line] == lines_of(swept)


def test_a_dask_cluster_finds_the_same_to_the_last_digit(swept: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    local = {"host": "127.0.0.1", "protocol": "tcp", "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, **local) as cluster:
        assert command.main([*TWO_TRIALS, "--dask", cluster.scheduler_address, "--out", str(tmp_path)]) == 0
    assert lines_of(tmp_path) == lines_of(swept)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "one trial is no sweep"),
        (["--set", "DELTA_MAXX=0.2,0.3"], "the nearest valid name is DELTA_MAX"),
        (["--set", "DELTA_MAX=7,8"], "BTC_DELTA_MAX='7': input should be less than 1"),
        (["--policy", "policy_rule_based", "no_such"], "policy no_such: there is no no_such.py here"),
        (["--set", "DELTA_MAX=0.2,0.3", "--recording", "nowhere"], "nowhere: no such file or folder"),
        (["--set", "DELTA_MAX=0.2,0.3", "--start", "yesterday"], "'yesterday' is not a date"),
        (["--set", "DELTA_MAX=0.2,0.3", "--out", "README.md/x"], "--out README.md/x: Not a directory"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--out", str(tmp_path), *arguments]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert sentence in said
    assert "Traceback" not in said


def test_combinations_that_no_settings_can_have_are_left_out_and_told(
    swept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--set", "DELTA_MAX=0.05,0.2,0.3", *SHORT, "--out", str(swept)]
    assert command.main(options) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "2 trials and 1 runs of random entries, 3 run before" in out
    assert "left out what no settings can be: BTC: delta_min 0.1 is above delta_max 0.05" in out


def test_a_journal_holds_each_trial_once_and_reads_what_it_wrote(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "trials.jsonl")
    row = TrialRow(trial="t-1", market="m", policy="p", values={"A": "1"}, returns=(0.1, -0.2))
    journal.add(row)
    journal.add(row.model_copy(update={"trial": "t-2"}))
    assert dict(Journal(tmp_path / "trials.jsonl").rows) == {"t-1": row, "t-2": row.model_copy(update={"trial": "t-2"})}


def a_point(days: float, over_holding_coin: float, spot_usd: float, currency: str = "BTC") -> EquityPoint:
    return EquityPoint("run", 1, days_later(days), currency, 2.0 + over_holding_coin, 2.0, spot_usd)


def test_a_return_is_what_was_earned_over_holding_per_dollar_held_at_its_start() -> None:
    """Two coins held at 100 USD; 0.01 coin earned by the end of the day, worth 1.10 USD then; then 0.02 lost."""
    points = [a_point(0.0, 0.0, 100.0), a_point(0.9, 0.01, 110.0), a_point(1.5, 0.05, 90.0), a_point(2.0, -0.01, 120.0)]
    found = list(period_returns({"BTC": points}, days_later(0.0), days_later(2.9), 1.0))
    assert found == pytest.approx([0.01 * 110.0 / 200.0, -0.02 * 120.0 / 220.0])


def test_both_coins_stand_in_one_return() -> None:
    btc = [a_point(0.0, 0.0, 100.0), a_point(1.0, 0.01, 100.0)]
    eth = [a_point(0.0, 0.0, 10.0, "ETH"), a_point(1.0, 0.1, 10.0, "ETH")]
    found = list(period_returns({"BTC": btc, "ETH": eth}, days_later(0.0), days_later(0.0) + timedelta(days=1), 1.0))
    assert found == pytest.approx([(0.01 * 100.0 + 0.1 * 10.0) / 220.0])
