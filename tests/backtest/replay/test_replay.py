"""Every logged state decided again: nothing changes under the same policy, and an edit shows in what it changes."""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from backtest.replay.__main__ import main
from config import PROJECT_FOLDER
from paper_exchange.market.clocks import SimulatedClock
from tests.agent.test_old_logs import SIMULATED
from tests.builders.agent import run_main, simulated_run
from tests.builders.paper import START

RULES = (PROJECT_FOLDER / "policy_rule_based.py").read_text()
DELTA = "OWN_POINTS_PER_DELTA = 0.0"
NOTHING = 'def decide_action(agent_state, config):\n    return {"type": "DO_NOTHING", "reason": "not today"}\n'


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty days of the simulated market, explored at random in every third sale."""
    folder = tmp_path_factory.mktemp("thirty_days")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENT_EXPLORATION_PCT", "33")
        assert simulated_run(folder, "--iterations", "120", "--interval", "21600", "--quiet").code == 0
    return folder / "logs"


@pytest.fixture(autouse=True)
def explores_as_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_EXPLORATION_PCT", "33")


def a_policy(folder: Path, text: str, name: str | None = None) -> Path:
    """A file of a name of its own: all that were loaded before stay where Python looks for modules."""
    path = folder / f"{name or f'policy_of_{folder.name}'}.py"
    path.write_text(text)
    return path


def replayed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_unchanged_policy_changes_no_decision_exploration_included(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert '"reason":"exploring' in "".join(path.read_text() for path in log.glob("decisions-*.jsonl"))
    assert replayed(capsys, log, "--fail-on-change") == (0, "120 decisions: 120 as before, 0 changed\n", "")


def test_a_copy_of_the_policy_under_another_name_changes_none_either(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = replayed(capsys, log, "--policy", a_policy(tmp_path, RULES), "--fail-on-change")
    assert (code, out) == (0, "120 decisions: 120 as before, 0 changed\n")


@pytest.mark.parametrize(("options", "code"), [(["--fail-on-change"], 1), ([], 0)])
def test_an_edit_shows_the_decisions_it_changes_and_fails_only_where_it_is_asked_to(
    options: list[str], code: int, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited = a_policy(tmp_path, RULES.replace(DELTA, "OWN_POINTS_PER_DELTA = -360.0"))
    ended, out, _ = replayed(capsys, log, "--policy", edited, *options)
    assert ended == code
    assert "120 decisions: " in out
    assert "\n     now OPEN 0.1 BTC-" in out or "\n     now ROLL 0.1 BTC-" in out
    assert "scores best" in out  # the reason
    assert max(map(len, out.splitlines())) <= 80


def test_the_table_has_a_row_a_change_and_nan_where_the_settlement_is_not_known(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, prices = tmp_path / "changes.csv", tmp_path / "BTC_prices.csv"
    prices.write_text("date,price\n2026-01-09,90000\n")
    options = ("--policy", a_policy(tmp_path, NOTHING), "--csv", table, "--delivery-prices", prices)
    _, out, _ = replayed(capsys, log, *options)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert f"{120 - len(rows)} as before, {len(rows)} changed" in out
    assert {row["new"] for row in rows} == {"DO_NOTHING"}
    assert all(float(row["new_coin"]) == 0.0 for row in rows)
    known = [row for row in rows if not math.isnan(float(row["old_coin"]))]
    assert 0 < len(known) < len(rows)
    assert (rows[0]["old"].split(" ")[:2], float(rows[0]["old_coin"]) > 0.0) == (["OPEN_COVERED_CALL", "0.1"], True)
    assert f"of {len(rows) - len(known)}" in out


def test_a_policy_that_fails_is_counted_and_its_states_are_changes(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raising = a_policy(tmp_path, "def decide_action(agent_state, config):\n    raise ValueError('no idea')\n")
    _, out, _ = replayed(capsys, log, "--policy", raising)
    assert "the policy failed on 120" in out
    assert "ValueError: no idea" in out


def test_settings_that_are_not_those_of_the_log_are_named(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENT_EXPLORATION_PCT", "0")
    _, out, _ = replayed(capsys, log)
    assert "decided with settings that are not those of today" in out
    assert "this is the file that decided then" in out


def test_a_recording_of_one_coin_and_a_run_over_the_wire_are_decided_as_they_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulated_run(tmp_path, "--iterations", "8", "--interval", "21600", "--wire", "--record-chains").code == 0
    assert replayed(capsys, tmp_path / "logs", "--fail-on-change")[0] == 0
    for chains in (tmp_path / "data" / "chains").glob("*ETH*"):
        shutil.rmtree(chains) if chains.is_dir() else chains.unlink()
    files = ("--log-dir", tmp_path / "played", "--data-dir", tmp_path / "played")
    assert run_main("--market", "recorded", "--recording", tmp_path / "data" / "chains", *files).code == 0
    code, out, _ = replayed(capsys, tmp_path / "played", "--fail-on-change")
    assert (code, "8 decisions: 8 as before" in out) == (0, True)


def test_a_log_of_an_older_version_is_decided_again_as_far_as_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = replayed(capsys, SIMULATED)
    assert code == 0
    assert "decisions: " in out


def test_a_torn_line_is_left_out_with_a_word(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(log, tmp_path / "logs")
    last = max((tmp_path / "logs").glob("decisions-*.jsonl"))
    last.write_bytes(last.read_bytes()[:-500])
    _, out, _ = replayed(capsys, tmp_path / "logs")
    assert "a line cannot be read" in out.replace("\n  ", " ")
    assert "119 decisions: 119 as before" in out


@pytest.mark.parametrize(
    ("logs", "policy", "why"),
    [
        ("nowhere", "policy_rule_based", "no log file"),
        (".", "policy_rule_based", "no log file"),
        ("log", "no_such_policy", "there is no no_such_policy.py here"),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_a_sentence(
    logs: str, policy: str, why: str, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = log if logs == "log" else tmp_path / logs
    code, _, err = replayed(capsys, source, "--policy", policy)
    assert (code, why in err.replace("\n  ", " "), "Traceback" in err) == (2, True, False)


def test_a_log_whose_iterations_all_failed_has_nothing_to_decide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "decisions-2026-01-05.jsonl").write_text("")
    code, _, err = replayed(capsys, tmp_path)
    assert (code, "holds no decision with a state" in err.replace("\n  ", " ")) == (2, True)


# --- watching ----------------------------------------------------------------------------------------------


class WritingClock(SimulatedClock):
    """Does the next thing to the policy file whenever somebody waits, and stops after the last."""

    def __init__(self, *edits: Callable[[], object]) -> None:
        super().__init__(START)
        self._edits = list(edits)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self._edits:
            self._edits.pop(0)()
        else:
            self.is_stopped = True


def watched(log: Path, policy: Path, *edits: Callable[[], object]) -> None:
    assert main([str(log), "--policy", str(policy), "--watch"], WritingClock(*edits)) == 0


def test_every_save_is_answered_also_two_of_one_second_and_of_one_size(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = a_policy(tmp_path, RULES, "watched_policy")
    steep, steeper = (
        RULES.replace(DELTA, "OWN_POINTS_PER_DELTA = -360."),
        RULES.replace(DELTA, "OWN_POINTS_PER_DELTA = -860."),
    )
    watched(log, policy, lambda: policy.write_text(steep), lambda: policy.write_text(steeper))
    answers = [line for line in capsys.readouterr().out.splitlines() if "decisions: " in line]
    assert len(answers) == 3
    assert answers[0] == "120 decisions: 120 as before, 0 changed"
    assert len(set(answers)) >= 2


def test_a_file_that_cannot_be_loaded_is_said_and_the_next_save_is_answered(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = a_policy(tmp_path, RULES, "half_typed_policy")
    watched(log, policy, lambda: policy.write_text("def decide_action("), lambda: policy.write_text(NOTHING))
    out = capsys.readouterr().out
    assert "cannot be imported: SyntaxError" in out.replace("\n  ", " ")
    assert out.count("decisions: ") == 2


def test_a_module_beside_the_policy_is_read_anew_with_it(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    helper = a_policy(tmp_path, "WORDS = 'first'\n", "words_of_policy")
    text = "from words_of_policy import WORDS\n" + NOTHING.replace('"not today"', "WORDS")
    policy = a_policy(tmp_path, text, "policy_with_a_helper")

    def save_both() -> None:
        helper.write_text("WORDS = 'second'\n")
        policy.write_text(f"{text}\n")

    watched(log, policy, save_both)
    out = capsys.readouterr().out
    assert "now DO_NOTHING: first" in out
    assert "now DO_NOTHING: second" in out
