"""`python -m backtest.run`: one command from data to a report; what is wrong is said in a sentence."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path

import pytest

from backtest import run
from backtest.report.progress import ProgressLine, progress_text
from tests.backtest.simulator.runs import days_later

TEN_DAYS = ["--end", "2026-01-15", "--no-presets"]


@pytest.fixture(scope="module")
def the_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its presets."""
    folder = tmp_path_factory.mktemp("report")
    assert run.main(["--end", "2026-01-12", "--out", str(folder)]) == 0
    return folder


def test_it_leaves_a_report_and_its_tables(the_report: Path) -> None:
    names = {"logs", "report.html", "trades.csv", "equity.csv", "chains.csv", "decisions.csv", "summary.json"}
    assert {path.name for path in the_report.iterdir()} == names


def test_the_report_is_one_small_file_without_an_outside_address(the_report: Path) -> None:
    page = (the_report / "report.html").read_text()
    assert len(page.encode()) < 1_000_000
    assert not any(word in page for word in ("http", "//", "src=", "<script", "@import", "url("))
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    assert page.count("<svg") == 4


def test_the_source_of_quotes_stands_under_every_table_and_chart(the_report: Path) -> None:
    page = (the_report / "report.html").read_text()
    figures = page.count("<table") + page.count("<svg")
    assert page.count("simulated quotes: drawn from a seed") == figures
    for name in ("trades", "chains", "equity", "decisions"):
        with (the_report / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert rows
        assert all(row["source"].startswith("simulated quotes") for row in rows)


def test_every_report_has_the_presets_beside_it(the_report: Path) -> None:
    summary = json.loads((the_report / "summary.json").read_text())
    names = [other["policy"] for other in summary["compared_with"]]
    assert names == ["holding", "random entries", "monthly at the money", "weekly delta .10", "weekly delta .25"]
    assert all(name in (the_report / "report.html").read_text() for name in names)


def test_the_sums_in_the_summary_add_up_in_coin_and_in_usd(the_report: Path) -> None:
    for coin in json.loads((the_report / "summary.json").read_text())["coins"].values():
        change_coin = coin["equity_last_coin"] - coin["equity_first_coin"]
        for unit in ("coin", "usd"):
            net = coin[unit].pop(f"net_{unit}")
            assert sum(coin[unit].values()) == pytest.approx(net, abs=1e-6)
        assert net == pytest.approx(change_coin * coin["spot_last_usd"], abs=1e-6)


def test_the_summary_fits_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([*TEN_DAYS, "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines if not line.startswith("report: "))
    assert any("net " in line for line in lines)


def test_a_ready_made_policy_runs_without_a_file(tmp_path: Path) -> None:
    assert run.main([*TEN_DAYS, "--exit", "hold", "--delta", "0.15", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "summary.json").read_text())["policy"] == "delta 0.15 hold"


def test_ctrl_c_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting(ProgressLine):
        def show(self, at: object, span: object) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(run, "ProgressLine", Interrupting)
    assert run.main(["--end", "2026-03-01", "--out", str(tmp_path)]) == 1
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["decisions"] == 1
    assert summary["warnings"] == ["ended early: stopped by hand"]
    assert summary["compared_with"] == []


def test_ctrl_c_among_the_policies_for_comparison_keeps_those_that_had_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class InterruptingTheSecond(ProgressLine):
        def show(self, at: object, span: object) -> None:
            if self._name == "random entries":
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(run, "ProgressLine", InterruptingTheSecond)
    assert run.main(["--end", "2026-01-08", "--out", str(tmp_path)]) == 1
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [other["policy"] for other in summary["compared_with"]] == ["holding"]
    assert summary["warnings"] == ["stopped by hand: of the runs beside it only those that had ended are shown"]
    assert "of the runs beside it only those that had ended" in (tmp_path / "report.html").read_text()


def edited_policy(folder: Path) -> str:
    source = (
        Path("policy_rule_based.py").read_text().replace("OWN_POINTS_PER_DELTA = 0.0", "OWN_POINTS_PER_DELTA = -360.0")
    )
    (folder / "careful_policy.py").write_text(source)
    return str(folder / "careful_policy.py")


def test_compare_names_the_first_decision_in_which_two_policies_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["--end", "2026-01-07", "--compare", "policy_rule_based", edited_policy(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "they part at 2026-01-05 12:00:00 UTC" in said
    assert "OPEN_COVERED_CALL 0.1 BTC-9JAN26-93000-C" in said
    assert "OPEN_COVERED_CALL 0.1 BTC-9JAN26-94000-C" in said


def test_compare_of_two_folders_finds_no_difference_in_a_run_and_itself(
    the_report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["--compare", str(the_report), str(the_report)]) == 0
    assert "every decision is the same" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--policy", "no_such_policy"], "policy no_such_policy: there is no no_such_policy.py here"),
        (["--start", "2026-02-01", "--end", "2026-01-20"], "the period is empty"),
        (["--start", "yesterday"], "'yesterday' is not a date such as 2026-03-31"),
        (["--recording", "nowhere"], "nowhere: no such file or folder"),
        (["--trades", "nowhere"], "--correct-with and --trades go with --candles and --dvol"),
        (["--candles", "nowhere"], "a historical market needs both --candles and --dvol"),
        (["--candles", "nowhere", "--dvol", "nowhere"], "nowhere"),
        (["--weekdays", "someday"], "'someday' is not one of mon, tue"),
        (["--delta", "0.2"], "--delta and --least-roll-credit go with --exit"),
        (["--exit", "hold", "--delta", "2"], "--delta 2: the delta of a call is between 0 and 1"),
        (["--exit", "roll", "--least-roll-credit", "nan"], "--least-roll-credit nan: not a number of coins"),
        (["--compare", "tests", "tests"], "tests/decisions.csv: No such file or directory"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main([*arguments, "--out", str(tmp_path)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert sentence in said
    assert "Traceback" not in said


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    assert run.main(["--end", "2026-01-06", "--no-presets", "--out", str(tmp_path / "taken")]) == 2
    assert "taken: " in " ".join(capsys.readouterr().err.split())


def test_a_recording_that_is_cut_off_is_named_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "BTC.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00" + bytes(6) + b"\x00")
    assert run.main(["--recording", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "BTC.jsonl.gz, line 1" in " ".join(capsys.readouterr().err.split())


def test_progress_says_how_much_is_done_and_left() -> None:
    span = (days_later(0.0), days_later(100.0))
    assert progress_text("weekly", days_later(25.0), span, 10.0) == "weekly: 2026-01-30, 25 %, 30 s left"
    assert progress_text("weekly", days_later(25.0), (days_later(0.0), None), 10.0) == "weekly: 2026-01-30"
