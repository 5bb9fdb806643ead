"""Settings: where they come from, what is refused and in which words, and the texts made from their descriptions.

Made-up credentials. The environment is set through pytest, because that is what load_config reads; files are given.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import config
from cli.arguments import parse_arguments
from cli.setup import settings_from
from config import (
    PROJECT_FOLDER,
    SETTING_NAMES,
    SETTINGS,
    AgentConfig,
    DeribitConfig,
    changed_settings,
    env_example,
    load_config,
    require_credentials,
    settings_table,
)
from core.settings.texts import bounds_text, problem_lines
from core.settings.values import url_problem
from models import ConfigurationError
from policies.secret_texts import without_secrets
from tests.builders.configs import a_config

CLIENT_ID, CLIENT_SECRET = "madeUpId42", "madeUpSecret-s3cr3t-value"


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.touch(mode=0o600)
    return path


def loaded(env_file: Path, *lines: str) -> AgentConfig:
    env_file.write_text("\n".join(lines), encoding="utf-8")
    return load_config(env_file)


def refusal(env_file: Path, *lines: str) -> str:
    """What load_config says about a file that it refuses."""
    with pytest.raises(ConfigurationError) as caught:
        loaded(env_file, *lines)
    return str(caught.value)


# --- where settings come from ---------------------------------------------------------------------


def test_without_any_source_every_setting_has_its_default() -> None:
    assert changed_settings(load_config()) == []


def test_a_file_sets_a_value_and_the_rest_keeps_its_default(env_file: Path) -> None:
    found = loaded(env_file, "BTC_DELTA_MAX=0.25", "# ETH_DELTA_MAX=0.2", "", "AGENT_DRY_RUN=true")
    assert (found.btc.delta_max, found.eth.delta_max, found.run.dry_run) == (0.25, 0.30, True)


def test_a_missing_file_is_no_error(env_file: Path) -> None:
    assert load_config(env_file) == load_config()


def test_command_line_wins_over_environment_over_file_over_default(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file.write_text("AGENT_SEED=2\nAGENT_POLICY=from_file\nRISK_MAX_MARGIN_PCT=40\n")
    monkeypatch.setenv("AGENT_SEED", "3")
    monkeypatch.setenv("AGENT_POLICY", "from_environment")
    found = load_config(env_file, {"run": {"seed": 4}})
    assert (found.run.seed, found.run.policy, found.risk.max_margin_pct) == (4, "from_environment", 40.0)
    assert found.run.interval_seconds == 300.0


def test_names_may_be_written_in_lower_case(env_file: Path) -> None:
    assert loaded(env_file, "btc_delta_max=0.25").btc.delta_max == 0.25


def test_relative_paths_lie_beside_config_py_and_absolute_ones_stay(
    env_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = loaded(env_file, f"AGENT_LOG_DIR={tmp_path / 'elsewhere'}", "AGENT_DATA_DIR=my_data")
    assert found.run.log_dir == tmp_path / "elsewhere"
    assert found.run.data_dir == PROJECT_FOLDER / "my_data"
    assert found.risk.kill_file == PROJECT_FOLDER / "data/KILL"


def test_nothing_of_the_settings_can_be_changed_later() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        a_config().risk.max_margin_pct = 100.0  # type: ignore[misc]


def test_coins_that_are_switched_off_are_not_among_the_enabled() -> None:
    assert a_config().enabled_underlyings == ("BTC", "ETH")
    assert a_config(btc={"enabled": False}).enabled_underlyings == ("ETH",)
    assert a_config().strategy("ETH") == a_config().eth


# --- names nobody knows ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "nearest"),
    [
        ("BTC_DELTA_MIM=0.2", "BTC_DELTA_MIN"),
        ("RISK_MAX_MARGIN=40", "RISK_MAX_MARGIN_PCT"),
        ("BTCC_DTE_MAX=9", "BTC_DTE_MAX"),
        ("DELTA_MAX=0.2", "ETH_DELTA_MAX"),
        ("BTC=1", "BTC_"),
    ],
)
def test_an_unknown_name_in_the_file_is_refused_with_its_value_and_the_nearest_name(
    env_file: Path, line: str, nearest: str
) -> None:
    name, _, value = line.partition("=")
    assert f"{name}='{value}' in .env: unknown setting; the nearest valid name is {nearest}" in refusal(env_file, line)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("BTCC_DELTA_MAX", "BTC_DELTA_MAX"),
        ("RIKS_MAX_MARGIN_PCT", "RISK_MAX_MARGIN_PCT"),
        ("RISK_MARGIN", "RISK_MAX_MARGIN_PCT"),
        ("AGENT_INTERVAL", "AGENT_INTERVAL_SECONDS"),
        ("ETH__DTE_MIN", "ETH_DTE_MIN"),
        ("AGENT_DRYRUN", "AGENT_DRY_RUN"),
        ("DERIBIT_CLIENT_IDD", "DERIBIT_CLIENT_ID"),
        ("RISK_KILLFILE", "RISK_KILL_FILE"),
    ],
)
def test_a_misspelt_name_or_section_in_the_environment_is_refused_too(
    monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    monkeypatch.setenv(name, "7")
    with pytest.raises(ConfigurationError) as caught:
        load_config()
    assert str(caught.value) == f"{name} in the environment: unknown setting; the nearest valid name is {nearest}"


@pytest.mark.parametrize(
    "name",
    ["RISK_FREE_RATE", "AGENT_LOG_LEVEL", "AGENT_NAME", "AGENT_LOG", "ETH_RPC_URL", "ETH_MAX_FEE_PER_GAS", "BTC_USD"],
)
def test_a_name_of_another_program_in_the_environment_is_mentioned_and_ignored(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "https://node.example/madeUpKey")
    said: list[str] = []
    assert changed_settings(load_config(warn=said.append)) == []
    assert said == [f"{name} in the environment is not a setting of this agent: ignored"]


@pytest.mark.parametrize("name", ["RISK_FREE_RATE", "AGENT_LOG_LEVEL", "AGENT_NAME", "ETH_RPC_URL", "BTC_USD"])
def test_the_same_name_in_the_file_is_refused(env_file: Path, name: str) -> None:
    assert f"{name}='7' in .env: unknown setting" in refusal(env_file, f"{name}=7")


@pytest.mark.parametrize(
    ("name", "ours"), [("DERIBIT_API_KEY", "DERIBIT_CLIENT_ID"), ("DERIBIT_API_SECRET", "DERIBIT_CLIENT_SECRET")]
)
def test_what_other_programs_call_deribit_s_key_is_answered_with_our_name(
    env_file: Path, monkeypatch: pytest.MonkeyPatch, name: str, ours: str
) -> None:
    assert refusal(env_file, f"{name}={CLIENT_SECRET}").endswith(f"the nearest valid name is {ours}")
    monkeypatch.setenv(name, CLIENT_SECRET)
    said: list[str] = []
    assert load_config(warn=said.append).deribit.client_id is None
    assert said == [
        f"{name} in the environment is not a setting of this agent: ignored; the nearest valid name is {ours}"
    ]


@pytest.mark.parametrize("name", ["HOME_DIR", "MAX_MARGIN", "PYTEST_SEED", "SOL_DELTA_MAX", "ENABLED", "AGENT"])
def test_what_belongs_to_other_programs_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "7")
    said: list[str] = []
    assert changed_settings(load_config(warn=said.append)) == []
    assert said == []


def test_every_unknown_name_is_listed_not_only_the_first(env_file: Path) -> None:
    assert len(refusal(env_file, "BTC_DELTA_MIM=0.2", "RISK_MARGIN=1").splitlines()) == 2


# --- values out of bounds ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "0x10", "1,5", "１２", "true", "", "1_0", "ten"])
def test_only_plain_finite_numbers_are_numbers(env_file: Path, value: str) -> None:
    assert refusal(env_file, f"BTC_PREMIUM_MIN_USD={value}").startswith(f"BTC_PREMIUM_MIN_USD={value!r}: ")


@pytest.mark.parametrize("value", ["nan", "1e400", "", "--1", "1e", "."])
def test_what_is_no_finite_number_is_named_with_the_bounds_of_the_setting(env_file: Path, value: str) -> None:
    text = refusal(env_file, f"BTC_DELTA_MIN={value}")
    assert (
        text == f"BTC_DELTA_MIN={value!r}: must be a finite number [> 0, < 1: Least delta of a call to sell (0 to 1).]"
    )


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("BTC_ORDER_SIZE=0.15", "0.1"),
        ("BTC_MAX_ORDER_SIZE=0.55", "0.1"),
        ("ETH_ORDER_SIZE=1.5", "1"),
        ("ETH_MAX_ORDER_SIZE=2.1", "1"),
    ],
)
def test_an_order_size_is_a_multiple_of_the_least_amount_that_can_be_traded(
    env_file: Path, line: str, step: str
) -> None:
    assert f": input should be a multiple of {step}" in refusal(env_file, line)


@pytest.mark.parametrize("line", ["BTC_ORDER_SIZE=0.3", "BTC_MAX_ORDER_SIZE=0.7", "ETH_MAX_ORDER_SIZE=7"])
def test_multiples_that_floats_do_not_hold_exactly_are_fine(env_file: Path, line: str) -> None:
    assert loaded(env_file, line)


@pytest.mark.parametrize("value", ["True", "1", "yes", "on", "", "tru"])
def test_a_switch_is_true_or_false_and_nothing_else(env_file: Path, value: str) -> None:
    assert refusal(env_file, f"AGENT_DRY_RUN={value}").startswith(f"AGENT_DRY_RUN={value!r}: ")


def limits() -> list[tuple[str, str, float, bool]]:
    """Every bound of every number: (name, section, bound, whether the bound itself is allowed)."""
    found = []
    for name, section, _, field in SETTINGS:
        for rule in field.metadata:
            for key, allowed in (("ge", True), ("le", True), ("gt", False), ("lt", False)):
                if hasattr(rule, key):
                    found.append((name, section, float(getattr(rule, key)), allowed))
    return found


def accepts(name: str, section: str, value: float) -> bool:
    """Whether one setting takes a value; the rule that compares two settings is left out."""
    field = next(setting.field for setting in SETTINGS if setting.name == name)
    try:
        config.SECTIONS[section](**{field: int(value) if float(value).is_integer() else value})
    except ValidationError as error:
        return all(problem["loc"] != (field,) for problem in error.errors())
    return True


@pytest.mark.parametrize(("name", "section", "bound", "allowed"), limits())
def test_every_bound_is_allowed_or_not_as_it_says_and_nothing_beyond_it(
    name: str, section: str, bound: float, allowed: bool
) -> None:
    lower = f"{'>=' if allowed else '>'} {bound:g}" in bounds_text_of(name).split(", ")
    beyond = bound - 1.0 if lower else bound + 1.0
    assert accepts(name, section, bound) is allowed
    assert not accepts(name, section, beyond)


def bounds_text_of(name: str) -> str:
    return next(bounds_text(setting.info) for setting in SETTINGS if setting.name == name)


def test_a_share_given_for_a_percentage_is_refused_with_the_unit(env_file: Path) -> None:
    text = refusal(env_file, "RISK_MAX_MARGIN_PCT=0.8")
    assert text.startswith("RISK_MAX_MARGIN_PCT='0.8': input should be greater than or equal to 1")
    assert "percent (1 to 100)" in text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("BTC_DELTA_MIN=0.4", "BTC_DELTA_MAX=0.3"), "BTC: delta_min 0.4 is above delta_max 0.3"),
        (("ETH_DTE_MIN=10", "ETH_DTE_MAX=9"), "ETH: dte_min 10 is above dte_max 9"),
        (("BTC_ORDER_SIZE=2",), "BTC: order_size 2 is above max_order_size 1"),
    ],
)
def test_a_least_value_above_the_greatest_is_refused_naming_both(
    env_file: Path, lines: tuple[str, ...], message: str
) -> None:
    assert refusal(env_file, *lines) == message


@pytest.mark.parametrize(
    "lines", [("BTC_DELTA_MIN=0.3", "BTC_DELTA_MAX=0.3"), ("BTC_DTE_MIN=9", "BTC_DTE_MAX=9"), ("BTC_ORDER_SIZE=1",)]
)
def test_a_least_value_equal_to_the_greatest_is_fine(env_file: Path, lines: tuple[str, ...]) -> None:
    assert loaded(env_file, *lines).btc


def test_every_problem_of_a_file_is_listed_at_once(env_file: Path) -> None:
    text = refusal(env_file, "BTC_DELTA_MIN=2", "AGENT_INTERVAL_SECONDS=0", "RISK_PRICE_COLLAR_PCT=60")
    assert [line.partition("=")[0] for line in text.splitlines()] == [
        "RISK_PRICE_COLLAR_PCT",
        "BTC_DELTA_MIN",
        "AGENT_INTERVAL_SECONDS",
    ]


def test_unknown_names_wrong_values_and_ranges_are_listed_together(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RISK_MARGIN", "1")
    lines = ("BTC_DELTA_MIM=0.2", "RISK_PRICE_COLLAR_PCT=60", "ETH_DTE_MIN=10", "ETH_DTE_MAX=9", "ETH_DELTA_MIN=0.9")
    text = refusal(env_file, *lines)
    assert [line.partition("=")[0] for line in text.splitlines()] == [
        "BTC_DELTA_MIM",
        "RISK_MARGIN in the environment: unknown setting; the nearest valid name is RISK_MAX_MARGIN_PCT",
        "RISK_PRICE_COLLAR_PCT",
        "ETH: delta_min 0.9 is above delta_max 0.3",
        "ETH: dte_min 10 is above dte_max 9",
    ]


def test_lines_that_cannot_be_read_and_unknown_names_are_listed_together(
    env_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = refusal(env_file, "AGENT_DRY_RUN true", "BTC_DELTA_MIM=0.2", "// comment")
    assert [line.partition(":")[0] for line in text.splitlines()] == [
        ".env, line 1",
        ".env, line 3",
        "BTC_DELTA_MIM='0.2' in .env",
    ]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("value", ["", "1", "{}", "[1"])
def test_the_bare_name_of_a_section_is_no_setting(env_file: Path, value: str) -> None:
    assert refusal(env_file, f"BTC={value}").startswith(f"BTC={value!r} in .env: unknown setting")


def test_a_value_of_the_command_line_is_shown_in_place_of_the_one_it_replaces(env_file: Path) -> None:
    env_file.write_text("AGENT_INTERVAL_SECONDS=300")
    with pytest.raises(ConfigurationError, match=r"^AGENT_INTERVAL_SECONDS=5: must be 30 to 86400"):
        load_config(env_file, {"run": {"interval_seconds": 5}})


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--interval", "5"), "--interval=5: must be 30 to 86400"),
        (("--interval", "99999"), "--interval=99999.0: input should be less than or equal to 86400"),
        (("--seed", "-1"), "--seed=-1: input should be greater than or equal to 0"),
    ],
)
def test_a_refused_value_of_the_command_line_is_named_by_its_option(typed: tuple[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings_from(parse_arguments([*typed]))
    assert str(caught.value).startswith(said)
    assert "AGENT_" not in str(caught.value)


def test_every_option_that_sets_a_setting_is_named_by_it(tmp_path: Path) -> None:
    options = {"--interval": "60", "--policy": "mine", "--seed": "2", "--log-dir": str(tmp_path), "--data-dir": "data"}
    words = [word for option in options.items() for word in option]
    found = settings_from(parse_arguments([*words, "--dry-run", "--record-chains"]))
    typed = {found.name_of(name) for name in SETTING_NAMES} - set(SETTING_NAMES)
    assert typed == {*options, "--dry-run", "--record-chains"}


def test_a_warning_about_the_environment_fits_the_console(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DERIBIT_API_KEY", "madeUpKey")
    settings_from(parse_arguments(["--dry-run"]))
    said = capsys.readouterr().err
    assert max(map(len, said.splitlines())) <= 80
    assert " ".join(said.split()) == (
        "DERIBIT_API_KEY in the environment is not a setting of this agent: ignored; "
        "the nearest valid name is DERIBIT_CLIENT_ID"
    )


def test_a_long_value_is_not_repeated_in_full(env_file: Path) -> None:
    assert len(refusal(env_file, f"BTC_DELTA_MIN={'9' * 5_000}x")) < 300


def test_a_byte_order_mark_and_line_ends_of_windows_are_no_part_of_a_setting(env_file: Path) -> None:
    env_file.write_bytes("\ufeffBTC_DELTA_MAX=0.25\r\nAGENT_DRY_RUN=true\r\n".encode())
    found = load_config(env_file)
    assert (found.btc.delta_max, found.run.dry_run) == (0.25, True)


@pytest.mark.parametrize(("size_bytes", "is_refused"), [(100_000, False), (100_001, True)])
def test_a_file_too_large_for_settings_is_not_read(env_file: Path, size_bytes: int, is_refused: bool) -> None:
    env_file.write_text("#" * size_bytes)
    if is_refused:
        with pytest.raises(ConfigurationError, match=r"^\.env is larger than 100000 bytes"):
            load_config(env_file)
    else:
        assert load_config(env_file)


def test_a_pipe_in_place_of_the_file_is_one_sentence_and_never_waited_for(env_file: Path) -> None:
    env_file.unlink()
    os.mkfifo(env_file)
    with pytest.raises(ConfigurationError, match=r"^\.env is not a file$"):
        load_config(env_file)


@pytest.mark.parametrize("content", [b"\xff\xfeB\x00T\x00C\x00", b"\x80\x81=1"])
def test_a_file_that_is_no_text_is_one_sentence(env_file: Path, content: bytes) -> None:
    env_file.write_bytes(content)
    with pytest.raises(
        ConfigurationError, match=r"^\.env is not UTF-8 \(line \d+, byte \d+: 0x[0-9a-f]{2}; save it as UTF-8\)$"
    ):
        load_config(env_file)


def test_a_folder_in_place_of_the_file_is_one_sentence(env_file: Path) -> None:
    env_file.unlink()
    env_file.mkdir()
    with pytest.raises(ConfigurationError, match=r"^\.env is a folder"):
        load_config(env_file)


# --- which exchange -----------------------------------------------------------------------------------

ALLOWED_URLS = [
    "https://test.deribit.com",
    "https://test.deribit.com/",
    "https://TEST.deribit.com",
    "https://test.deribit.com:443",
    "http://127.0.0.1:9000",
    "http://localhost",
    "https://localhost:8700",
    "http://[::1]",
    "http://[::1]:8700",
]
REFUSED_URLS = [
    ("https://www.deribit.com", "host not allowed"),
    ("https://deribit.com", "host not allowed"),
    ("https://history.deribit.com", "host not allowed"),
    ("http://test.deribit.com", "https required"),
    ("https://test.deribit.com.evil.io", "host not allowed"),
    ("https://evil.io/test.deribit.com", "must end after the host"),
    ("https://evil.io", "host not allowed"),
    ("https://eviltest.deribit.com", "host not allowed"),
    ("https://evil.test.deribit.com", "host not allowed"),
    ("https://test.deribit.com@evil.io", "must not carry a user name"),
    ("https://madeUpUser:madeUpPw@test.deribit.com", "must not carry a user name"),
    ("https://test.deribit.com\\@evil.io", "must not carry a user name"),
    ("https://TEST.deribit.com.", "host not allowed"),
    ("https://test.deribit.com:8443", "port must be 443"),
    ("https://test.deribit.com:99999", "is not a URL"),
    ("https://test.deribit.com/api/v2", "must end after the host"),
    ("https://test.deribit.com?x=1", "must end after the host"),
    ("https://test.deribit.com#x", "must end after the host"),
    ("https://test.dеribit.com", "host not allowed"),  # the first e is Cyrillic
    ("http://127.0.0.1.evil.io", "host not allowed"),
    ("http://0.0.0.0", "host not allowed"),
    ("http://2130706433", "host not allowed"),
    ("http://127.1", "host not allowed"),
    ("ftp://localhost", "must start with http"),
    ("https://test.deribit.com\t.evil.io", "must not contain spaces"),
    (" https://test.deribit.com", "must not contain spaces"),
    ("https://test.deribit.com\n", "must not contain spaces"),
    ("https://[", "is not a URL"),
    ("", "host not allowed"),
]


@pytest.mark.parametrize("url", ALLOWED_URLS)
def test_testnet_over_https_and_this_machine_are_allowed(url: str) -> None:
    assert url_problem(url) is None
    assert DeribitConfig(base_url=url).base_url == url.rstrip("/")


@pytest.mark.parametrize(("url", "problem"), REFUSED_URLS)
def test_mainnet_and_everything_that_only_looks_like_testnet_is_refused(url: str, problem: str) -> None:
    assert (url_problem(url) or "").startswith(problem)
    with pytest.raises(ValidationError, match=re.escape(problem)):
        DeribitConfig(base_url=url)


def test_mainnet_in_the_file_is_refused_with_key_value_and_reason(env_file: Path) -> None:
    text = refusal(env_file, "DERIBIT_BASE_URL=https://www.deribit.com")
    assert text.startswith("DERIBIT_BASE_URL='https://www.deribit.com': host not allowed")


# --- .env line by line ---------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ['AGENT_DRY_RUN="true', "AGENT_DRY_RUN true", "AGENT_DRY_RUN: true"])
def test_a_line_that_is_not_name_equals_value_is_refused_and_never_skipped(env_file: Path, line: str) -> None:
    assert ".env, line 2: not of the form NAME=VALUE" in refusal(env_file, "BTC_ORDER_SIZE=0.2", line)


@pytest.mark.parametrize("second", ["AGENT_DRY_RUN=false", "agent_dry_run=false", "AGENT_DRY_RUN=true"])
def test_a_name_that_stands_twice_is_refused(env_file: Path, second: str) -> None:
    assert "AGENT_DRY_RUN appears more than once" in refusal(env_file, "AGENT_DRY_RUN=true", second)


def test_a_dry_run_asked_for_in_the_file_is_not_turned_off_by_the_environment(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_DRY_RUN", "false")
    with pytest.warns(UserWarning, match="this is a dry run"):
        assert loaded(env_file, "AGENT_DRY_RUN=true").run.dry_run is True


@pytest.mark.parametrize(("in_file", "in_environment"), [("true", "false"), ("false", "true"), ("maybe", "false")])
def test_where_two_sources_do_not_agree_it_is_a_dry_run_and_said(
    env_file: Path, monkeypatch: pytest.MonkeyPatch, in_file: str, in_environment: str
) -> None:
    monkeypatch.setenv("AGENT_DRY_RUN", in_environment)
    env_file.write_text(f"AGENT_DRY_RUN={in_file}")
    said: list[str] = []
    assert load_config(env_file, warn=said.append).run.dry_run is True
    assert said == [f"AGENT_DRY_RUN is {in_file} in .env and {in_environment} in the environment: this is a dry run"]


@pytest.mark.parametrize("value", ["true", "false"])
def test_where_two_sources_agree_nothing_is_said(env_file: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AGENT_DRY_RUN", value)
    env_file.write_text(f"AGENT_DRY_RUN={value}")
    said: list[str] = []
    assert load_config(env_file, warn=said.append).run.dry_run is (value == "true")
    assert said == []


@pytest.mark.parametrize("value", ["..", "../..", "logs/../../x"])
def test_a_path_does_not_climb_out_of_its_folder(env_file: Path, value: str) -> None:
    assert refusal(env_file, f"AGENT_LOG_DIR={value}").startswith(f"AGENT_LOG_DIR={value!r}: must not contain ..")


@pytest.mark.parametrize("value", ["logs\0", '"logs\\nmore"', "logs\x1b[31m"])
def test_a_path_has_no_control_characters(env_file: Path, value: str) -> None:
    assert "must not contain control characters" in refusal(env_file, f"AGENT_LOG_DIR={value}")


@pytest.mark.parametrize("name", ["RISK_KILL_FILE", "AGENT_LOG_DIR", "AGENT_DATA_DIR"])
def test_a_path_is_never_blank(env_file: Path, name: str) -> None:
    assert f"{name}='': must not be blank" in refusal(env_file, f"{name}=")


STRAY_PATHS = [
    ("'\"~/STOP\"'", 'must not contain "'),
    ("$HOME/STOP", "must not contain $"),
    ("%USERPROFILE%/STOP", "must not contain %"),
    ("data\\STOP", "must not contain \\"),
    ("data/*", "must not contain *"),
    ("data/STOP;", "must not contain ;"),
    ("data/STOP,", "must not end with a punctuation mark"),
    ("'data/STOP '", "must not begin or end with a space"),
    ("' data/STOP'", "must not begin or end with a space"),
    ("data/~/STOP", "may contain ~ only at its beginning"),
    ("~nobody-of-this-name/STOP", "begins with ~, but that home folder is not known"),
]


@pytest.mark.parametrize("name", ["RISK_KILL_FILE", "AGENT_LOG_DIR", "AGENT_DATA_DIR"])
@pytest.mark.parametrize(("value", "problem"), STRAY_PATHS)
def test_a_path_that_cannot_be_meant_so_is_refused(env_file: Path, name: str, value: str, problem: str) -> None:
    assert f": {problem}" in refusal(env_file, f"{name}={value}")


def test_a_tilde_is_the_home_folder(env_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = loaded(env_file, "RISK_KILL_FILE=~/STOP_BOT", "AGENT_LOG_DIR=~/botlogs")
    assert (found.risk.kill_file, found.run.log_dir) == (tmp_path / "STOP_BOT", tmp_path / "botlogs")


@pytest.mark.parametrize("name", ["my folder", "r\u00e9sum\u00e9", "a-b_c.d+e=f@g (1)"])
def test_a_path_may_be_any_ordinary_name(env_file: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert loaded(env_file, f"RISK_KILL_FILE='{tmp_path / name}/STOP'").risk.kill_file == tmp_path / name / "STOP"


def test_a_kill_file_in_a_folder_that_does_not_exist_is_refused(env_file: Path, tmp_path: Path) -> None:
    text = refusal(env_file, f"RISK_KILL_FILE={tmp_path}/nowhere/STOP")
    assert text == f"RISK_KILL_FILE='{tmp_path}/nowhere/STOP': the folder {tmp_path}/nowhere does not exist"


def test_a_kill_file_may_stand_in_the_data_folder_that_the_start_makes(env_file: Path, tmp_path: Path) -> None:
    assert loaded(env_file, f"AGENT_DATA_DIR={tmp_path}/new", f"RISK_KILL_FILE={tmp_path}/new/STOP")


def test_a_file_called_kill_in_the_data_folder_counts_as_a_kill_file_too(env_file: Path, tmp_path: Path) -> None:
    found = loaded(env_file, f"AGENT_DATA_DIR={tmp_path}", f"RISK_KILL_FILE={tmp_path}/STOP")
    assert found.kill_files == (tmp_path / "STOP", tmp_path / "KILL")
    assert load_config().kill_files == (PROJECT_FOLDER / "data/KILL",)


@pytest.mark.parametrize("line", ["AGENT_POLICY=${POLICY}", "BTC_DELTA_MAX=${D}", "AGENT_LOG_DIR=logs/${USER}"])
def test_a_variable_inside_a_value_is_refused_and_not_replaced(
    env_file: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("POLICY", "policy_rule_based")
    name = line.partition("=")[0]
    assert f"{name}: ${{...}} is not replaced: write the value itself" in refusal(env_file, line).splitlines()


def test_a_dollar_sign_alone_is_nothing_special(env_file: Path) -> None:
    assert loaded(env_file, "DERIBIT_CLIENT_SECRET=made$Up4711").deribit.client_secret is not None


def test_a_name_without_a_value_is_refused_and_not_skipped(env_file: Path) -> None:
    assert ".env, line 2: not of the form NAME=VALUE" in refusal(env_file, "BTC_ORDER_SIZE=0.2", "AGENT_DRY_RUN")


@pytest.mark.parametrize(("mode", "is_refused"), [(0o600, False), (0o400, False), (0o640, True), (0o644, True)])
def test_a_secret_that_others_can_read_is_refused(env_file: Path, mode: int, is_refused: bool) -> None:
    env_file.write_text(f"DERIBIT_CLIENT_SECRET={CLIENT_SECRET}")
    env_file.chmod(mode)
    if is_refused:
        with pytest.raises(ConfigurationError, match=r"chmod 600 \.env"):
            load_config(env_file)
    else:
        assert load_config(env_file).deribit.client_secret is not None


# --- secrets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        (f"DERIBIT_CLIENT_SECRT={CLIENT_SECRET}",),
        (f"DERBIT_CLIENT_SECRET={CLIENT_SECRET}",),
        (f"CLIENT_SECRET={CLIENT_SECRET}",),
        (f"DERIBIT_API_KEY={CLIENT_SECRET}",),
        (f"DERIBIT_CLIENT_SECRET={CLIENT_SECRET}", "BTC_DELTA_MIN=2"),
        (f"DERIBIT_CLIENT_SECRET={CLIENT_SECRET}", "DERIBIT_TIMEOUT_SECONDS=0"),
        (f"DERIBIT_BASE_URL=https://someone:{CLIENT_SECRET}@test.deribit.com",),
        (f"DERIBIT_BASE_URL=https://{CLIENT_SECRET}@www.deribit.com",),
    ],
)
def test_no_refusal_ever_shows_a_secret(env_file: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(env_file, *lines)
    error: BaseException | None = caught.value
    while error is not None:
        assert CLIENT_SECRET not in f"{error!s} {error!r}"
        error = error.__cause__ or error.__context__


def test_the_value_of_an_unknown_name_in_the_environment_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BTC_ORDER_SIZ", "https://node.example/madeUpKey")
    with pytest.raises(ConfigurationError) as caught:
        load_config()
    assert "madeUp" not in str(caught.value)


def test_secrets_are_hidden_wherever_the_settings_are_shown(env_file: Path) -> None:
    found = loaded(env_file, f"DERIBIT_CLIENT_ID={CLIENT_ID}", f"DERIBIT_CLIENT_SECRET={CLIENT_SECRET}")
    shown = f"{found!r} {found!s} {found.model_dump()} {found.model_dump_json()} {changed_settings(found)}"
    assert CLIENT_ID not in shown
    assert CLIENT_SECRET not in shown
    assert found.deribit.client_secret is not None
    assert found.deribit.client_secret.get_secret_value() == CLIENT_SECRET


@pytest.mark.parametrize("value", ["", "   ", "your_client_id_here"])
def test_a_blank_key_and_the_example_are_no_key(env_file: Path, value: str) -> None:
    text = refusal(env_file, f'DERIBIT_CLIENT_ID="{value}"')
    assert text.startswith("DERIBIT_CLIENT_ID: ")


def test_blanks_around_a_key_are_cut_off(env_file: Path) -> None:
    found = loaded(env_file, f'DERIBIT_CLIENT_ID=" {CLIENT_ID} "')
    assert found.deribit.client_id is not None
    assert found.deribit.client_id.get_secret_value() == CLIENT_ID


@pytest.mark.parametrize(
    "value", [f'"{CLIENT_SECRET}"', f"'{CLIENT_SECRET}'", f" {CLIENT_SECRET}\r", f'" {CLIENT_SECRET} "']
)
def test_quotes_and_line_ends_that_copying_adds_are_cut_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DERIBIT_CLIENT_SECRET", value)
    found = load_config().deribit.client_secret
    assert found is not None
    assert found.get_secret_value() == CLIENT_SECRET


@pytest.mark.parametrize(
    "value", ["madeUp Secret", "madeUpSecr\u00e9t", "madeUp'Secret", '"madeUpSecret', "madeUp\u200bSecret"]
)
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DERIBIT_CLIENT_SECRET", value)
    with pytest.raises(ConfigurationError) as caught:
        load_config()
    assert str(caught.value).startswith("DERIBIT_CLIENT_SECRET: must be letters, digits and signs only")
    assert "madeUp" not in str(caught.value)


@pytest.mark.parametrize(
    ("in_file", "in_environment", "source"),
    [
        ((), (), "none"),
        (("ID", "SECRET"), (), ".env"),
        ((), ("ID", "SECRET"), "env"),
        (("ID", "SECRET"), ("ID", "SECRET"), "env"),
        (("ID",), ("SECRET",), "env and .env"),
    ],
)
def test_the_source_of_the_key_is_named_and_never_the_key(
    env_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_file: tuple[str, ...],
    in_environment: tuple[str, ...],
    source: str,
) -> None:
    env_file.write_text("".join(f"DERIBIT_CLIENT_{name}={CLIENT_SECRET}\n" for name in in_file))
    for name in in_environment:
        monkeypatch.setenv(f"deribit_client_{name}".upper(), CLIENT_SECRET)
    assert load_config(env_file).key_source == source


def test_without_a_file_a_key_can_only_be_in_the_environment(tmp_path: Path) -> None:
    assert load_config().key_source == load_config(tmp_path / "nowhere").key_source == "none"


def test_our_key_and_those_in_the_environment_are_taken_out_of_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-madeUp-1234")
    config = a_config(deribit={"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})
    text = f"key sk-madeUp-1234 of {CLIENT_ID} with {CLIENT_SECRET} is wrong"
    assert without_secrets(text, config) == "key (hidden) of (hidden) with (hidden) is wrong"


def test_what_is_too_short_to_be_a_key_and_addresses_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "of")
    monkeypatch.setenv("DERIBIT_BASE_URL", "http://127.0.0.1:9")
    assert without_secrets("end of http://127.0.0.1:9", a_config()) == "end of http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, ["DERIBIT_CLIENT_ID", "DERIBIT_CLIENT_SECRET"]),
        ({"client_id": CLIENT_ID}, ["DERIBIT_CLIENT_SECRET"]),
        ({"client_secret": CLIENT_SECRET}, ["DERIBIT_CLIENT_ID"]),
    ],
)
def test_each_missing_key_is_named(given: dict[str, Any], missing: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        require_credentials(a_config(deribit=given))
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == missing


def test_with_both_keys_there_is_nothing_to_say() -> None:
    require_credentials(a_config(deribit={"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}))


# --- showing ---------------------------------------------------------------------------------------------


def test_settings_that_differ_from_their_defaults_are_listed(env_file: Path) -> None:
    found = loaded(env_file, "BTC_DELTA_MAX=0.25", "ETH_ENABLED=false", f"DERIBIT_CLIENT_SECRET={CLIENT_SECRET}")
    assert changed_settings(found) == ["DERIBIT_CLIENT_SECRET=set", "BTC_DELTA_MAX=0.25", "ETH_ENABLED=False"]


def test_a_setting_given_at_its_default_is_not_listed(env_file: Path) -> None:
    assert changed_settings(loaded(env_file, "BTC_DELTA_MAX=0.3", "AGENT_LOG_DIR=logs")) == []


def test_every_setting_is_explained_in_a_sentence() -> None:
    for name, _, _, field in SETTINGS:
        assert (field.description or "").endswith("."), name
    assert len(SETTING_NAMES) == len(set(SETTING_NAMES)) > 50


def test_the_example_file_is_the_one_made_from_the_descriptions() -> None:
    assert (PROJECT_FOLDER / ".env.example").read_text(encoding="utf-8") == env_example()


def test_the_example_file_changes_nothing_and_every_line_of_it_can_be_used(env_file: Path) -> None:
    assert changed_settings(loaded(env_file, env_example())) == []
    in_use = re.sub(r"^#(?=[A-Z]+_)", "", env_example(), flags=re.MULTILINE)
    in_use = in_use.replace("your_client_id_here", CLIENT_ID).replace("your_client_secret_here", CLIENT_SECRET)
    in_use = in_use.replace("your_api_key_here", "made-up-api-key-1")
    set_by_hand = ["DERIBIT_CLIENT_ID=set", "DERIBIT_CLIENT_SECRET=set", "LLM_API_KEY=set"]
    assert changed_settings(loaded(env_file, in_use)) == set_by_hand


@pytest.mark.parametrize(
    ("arguments", "text"), [([], env_example()), (["--table"], settings_table())], ids=["file", "table"]
)
def test_config_py_prints_both_texts(arguments: list[str], text: str) -> None:
    command = [sys.executable, str(PROJECT_FOLDER / "config.py"), *arguments]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == text


def test_settings_that_are_refused_as_a_whole_are_refused_in_words() -> None:
    with pytest.raises(ValidationError) as refused:
        AgentConfig.model_validate("no settings")
    (line,) = problem_lines(refused.value, SETTINGS, {})
    assert line.startswith("SETTINGS: ")
    assert "[" not in line


@pytest.mark.parametrize(("seconds", "is_allowed"), [("0.9", False), ("1", True), ("29", True)])
def test_an_exchange_on_this_machine_may_be_asked_every_second(env_file: Path, seconds: str, is_allowed: bool) -> None:
    lines = ("DERIBIT_BASE_URL=http://127.0.0.1:8700", f"AGENT_INTERVAL_SECONDS={seconds}")
    if is_allowed:
        assert loaded(env_file, *lines).run.interval_seconds == float(seconds)
    else:
        assert "AGENT_INTERVAL_SECONDS" in refusal(env_file, *lines)


@pytest.mark.parametrize(("seconds", "is_allowed"), [("29.9", False), ("30", True)])
def test_testnet_is_asked_every_half_minute_at_most(env_file: Path, seconds: str, is_allowed: bool) -> None:
    if is_allowed:
        assert loaded(env_file, f"AGENT_INTERVAL_SECONDS={seconds}").run.interval_seconds == 30.0
    else:
        assert "must be 30 to 86400" in refusal(env_file, f"AGENT_INTERVAL_SECONDS={seconds}")
