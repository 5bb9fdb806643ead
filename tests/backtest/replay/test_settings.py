"""A run is decided again with the settings it had: those of its mode, and no question to a language model."""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest.replay.__main__ import main
from backtest.replay.logged import read_log
from backtest.replay.settings import settings_of_runs
from tests.builders.agent import simulated_run

PACE = ("--iterations", "24", "--interval", "21600", "--quiet")
NOBODY = "http://127.0.0.1:9/v1"  # the port of a service that nobody runs


def a_run(folder: Path, *options: str) -> Path:
    ended = simulated_run(folder, *PACE, *options)
    assert ended.code == 0, ended.err
    return folder / "logs"


@pytest.mark.parametrize("mode", ["production", "research"])
def test_a_run_of_another_mode_is_decided_again_in_its_own(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = a_run(tmp_path, "--mode", mode)
    monkeypatch.setenv("AGENT_MODE", "research" if mode == "production" else "production")
    assert main([str(log), "--fail-on-change"]) == 0
    assert capsys.readouterr().out == "24 decisions: 24 as before, 0 changed\n"
    settings, strange = settings_of_runs(read_log(log))
    assert [config.run.mode for config in settings.values()] == [mode]
    assert strange == []


def test_profiles_that_were_trained_side_by_side_are_each_decided_again_as_they_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = a_run(tmp_path, "--profiles", "conservative,aggressive")
    for profile in ("conservative", "aggressive"):
        assert main([str(log / profile), "--fail-on-change"]) == 0
        assert capsys.readouterr().out == "24 decisions: 24 as before, 0 changed\n"


def test_a_mode_that_today_s_settings_contradict_is_said_to_be_strange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Production never explores: its settings cannot be had while the environment asks for exploration."""
    log = read_log(a_run(tmp_path, "--mode", "production"))
    monkeypatch.setenv("AGENT_EXPLORATION_PCT", "10")
    settings, strange = settings_of_runs(log)
    assert strange == list(settings)


def test_deciding_again_never_asks_a_language_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was never asked stays a cache miss; no call is noted, and none is tried."""
    log = a_run(tmp_path)
    for name, value in (("BASE_URL", NOBODY), ("MODEL", "m"), ("CACHE", "fill"), ("CACHE_DIR", str(tmp_path / "kept"))):
        monkeypatch.setenv(f"LLM_{name}", value)
    monkeypatch.setenv("AGENT_LOG_DIR", str(tmp_path / "asked"))
    assert main([str(log), "--policy", "llm"]) == 0
    said = capsys.readouterr().out.replace("\n       ", " ")
    assert "now DO_NOTHING: cache_miss: this was never asked, and LLM_CACHE=only" in said
    assert "unavailable" not in said
    assert not (tmp_path / "asked").exists()
    assert {config.llm.cache for config in settings_of_runs(read_log(log))[0].values()} == {"only"}
