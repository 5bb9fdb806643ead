"""Modes and profiles: sets of settings under everything that is given elsewhere, and what none of them may touch."""

from __future__ import annotations

from pathlib import Path

import pytest

import config
from config import AgentConfig, load_config
from core.settings.modes import PROFILES, SETS, UNTOUCHABLE
from models import ConfigurationError


def in_mode(name: str, **run: object) -> AgentConfig:
    return load_config(None, {"run": {"mode": name, **run}})


@pytest.mark.parametrize("name", SETS)
def test_every_set_is_a_valid_set_of_settings_and_touches_nothing_it_may_not(name: str) -> None:
    found = in_mode(name)
    assert found.deribit.base_url == "https://test.deribit.com"
    for section, values in SETS[name].items():
        assert not set(values) & set(UNTOUCHABLE.get(section, ()))
        for field, value in values.items():
            assert getattr(getattr(found, section), field) == value


def test_research_is_what_stands_in_the_settings_themselves() -> None:
    assert in_mode("research") == load_config(None)


def test_production_is_narrower_smaller_and_stricter_and_never_explores() -> None:
    research, production = in_mode("research"), in_mode("production")
    assert production.run.exploration_pct == 0.0
    for coin in ("BTC", "ETH"):
        wide, narrow = research.strategy(coin), production.strategy(coin)
        assert wide.delta_min <= narrow.delta_min < narrow.delta_max < wide.delta_max
        assert wide.dte_min < narrow.dte_min < narrow.dte_max < wide.dte_max
        assert narrow.max_order_size < wide.max_order_size
    for limit in SETS["production"]["risk"]:
        assert getattr(production.risk, limit) < getattr(research.risk, limit), limit


def test_profiles_sell_closer_to_the_price_the_more_daring_they_are() -> None:
    deltas = [in_mode(name).btc.delta_max for name in PROFILES]
    assert deltas == sorted(set(deltas))


def test_what_is_given_wins_over_the_mode_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BTC_DELTA_MAX", "0.25")
    said: list[str] = []
    found = load_config(None, {"run": {"mode": "production"}}, warn=said.append)
    assert found.btc.delta_max == 0.25
    assert said == ["BTC_DELTA_MAX=0.25: wins over the 0.2 of production"]


def test_exploring_in_production_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="production never explores"):
        in_mode("production", exploration_pct=5.0)


def test_the_difference_of_two_sets_is_a_table_and_a_wrong_name_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "ENV_FILE", None)
    assert config.main(["--diff", "research", "production"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert any(row.split() == ["BTC_DELTA_MAX", "0.3", "0.2"] for row in rows)
    assert any("No mode or profile touches DERIBIT_BASE_URL" in row for row in rows)
    assert config.main(["--diff", "research", "prod"]) == 2
    assert "'prod' is no mode or profile; there are research, production" in capsys.readouterr().err
    assert config.main(["--tabel"]) == 2
    assert "'--tabel' is no option; there are --table, --diff" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LLM_BASE_URL", "http://models.example.com/v1", "plain http on this machine only"),
        ("LLM_BASE_URL", "https://me:secret@models.example.com", "must not carry a user name"),
        ("LLM_BASE_URL", "models.example.com", "must start with https://"),
        ("LLM_TRAINING_CUTOFF", "2025", "must be a day as YYYY-MM-DD"),
        ("LLM_API_KEY", "your_api_key_here", "is still the example value"),
        ("AGENT_MODE", "prod", "production"),
    ],
)
def test_a_wrong_setting_of_the_model_or_mode_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=said) as caught:
        load_config(None)
    assert "secret" not in str(caught.value)


def test_the_key_of_a_model_wants_a_file_that_others_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("LLM_API_KEY=made-up-key-4711\n")
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="other users of this machine can read"):
        load_config(path)
