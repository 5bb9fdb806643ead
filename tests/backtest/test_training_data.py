"""A row a decision point: what was seen, what was allowed, how likely, what it made; and a card that says all that."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest.environment.actions import ACTION_COUNT
from backtest.environment.observation import columns
from backtest.replay.logged import read_log
from backtest.replay.settings import settings_of_runs
from backtest.replay.settled import settlement_prices
from backtest.training_data.__main__ import main
from backtest.training_data.minari_file import episodes_of
from backtest.training_data.rows import NOT_NUMBERED, rows_of
from config import AgentConfig
from logging_utils import read_decisions, read_trades
from models import AgentState, OptionPosition
from tests.builders.agent import simulated_run

HERE = "tests.backtest.test_training_data"


def decide_action(agent_state: AgentState, config: AgentConfig) -> dict[str, Any]:
    """Sells the best paid BTC call and holds it to its expiry."""
    calls = agent_state.candidates_for("BTC")
    held: tuple[OptionPosition, ...] = agent_state.short_calls("BTC")
    if held or not calls:
        return {"type": "DO_NOTHING", "reason": "holds to expiry"}
    sale = {"type": "OPEN_COVERED_CALL", "underlying": "BTC", "symbol": calls[0].symbol}
    return {**sale, "size": config.strategy("BTC").order_size, "reason": "sells"}


def data_of(folder: Path, *logs: Path) -> tuple[pd.DataFrame, list[dict[str, Any]], str]:
    """The table, the lines and the card."""
    assert main([*map(str, logs), "--out", str(folder)]) == 0
    lines = [json.loads(line) for line in (folder / "decisions.jsonl").read_text().splitlines()]
    return pd.read_csv(folder / "decisions.csv"), lines, (folder / "README.md").read_text()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen days in which a policy sells at the bid and holds to expiry."""
    folder = tmp_path_factory.mktemp("held")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENT_FILLS", "touch")
        options = ("--iterations", "60", "--interval", "21600", "--quiet", "--policy", HERE)
        assert simulated_run(folder, *options).code == 0
    return folder / "logs"


@pytest.fixture(scope="module")
def explored_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven days of the rule-based policy, exploring in half of its sales."""
    folder = tmp_path_factory.mktemp("explored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENT_EXPLORATION_PCT", "50")
        assert simulated_run(folder, "--iterations", "28", "--interval", "21600", "--quiet").code == 0
    return folder / "logs"


def test_what_a_chosen_sale_would_have_made_by_settlement_is_what_it_made(log: Path, tmp_path: Path) -> None:
    table, _, _ = data_of(tmp_path, log)
    trades = read_trades(log).query("exit in ['expired', 'settled']")
    assert len(trades) >= 2
    for _, trade in trades.iterrows():
        row = table[pd.to_datetime(table["timestamp"], format="ISO8601") <= trade["opened_at"]].iloc[-1]
        decision = read_decisions(log).query("iteration == @row.iteration").iloc[0]
        assert decision["symbol"] == trade["symbol"]
        made_usd = row[f"counterfactual_usd_{row['chosen']}"]
        assert made_usd / decision["spot_btc"] == pytest.approx(trade["pnl_coin"], abs=1e-9)


def test_every_action_that_is_allowed_stands_in_the_row_nothing_closes_and_rolls_among_them(
    log: Path, tmp_path: Path
) -> None:
    table, lines, _ = data_of(tmp_path, log)
    words = {action["action"].split(" ")[0] for line in lines for action in line["actions"]}
    assert words == {"DO_NOTHING", "OPEN_COVERED_CALL", "CLOSE_COVERED_CALL", "ROLL_COVERED_CALL"}
    allowed = table[[f"allowed_{number}" for number in range(ACTION_COUNT)]]
    assert (allowed.sum(axis=1) > 1).all()
    assert (allowed["allowed_0"] == 1).all()
    for number in range(ACTION_COUNT):
        refused = table[table[f"allowed_{number}"] == 0]
        assert refused[[f"probability_{number}", f"counterfactual_usd_{number}"]].isna().all(axis=None)


def test_what_is_not_known_is_nan_and_never_0(log: Path, tmp_path: Path) -> None:
    table, lines, _ = data_of(tmp_path, log)
    made = table[[f"counterfactual_usd_{number}" for number in range(1, ACTION_COUNT)]].to_numpy().ravel()
    assert {math.isnan(value) for value in made} == {True, False}
    assert (table["counterfactual_usd_0"] == 0.0).all()
    chances = [action["probability"] for line in lines for action in line["actions"]]
    assert set(chances) == {0.0, 1.0}  # nothing was explored: what was done is certain


def test_probabilities_are_those_of_the_log_and_add_up_where_nothing_likely_is_refused(
    explored_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_EXPLORATION_PCT", "50")
    table, lines, _ = data_of(tmp_path, explored_log)
    likely = table[[f"probability_{number}" for number in range(ACTION_COUNT)]].fillna(0.0)
    assert likely.sum(axis=1).between(1.0 - 1e-9, 1.0 + 1e-9).all()
    explored = [line for line in lines if any(0.0 < action["probability"] < 1.0 for action in line["actions"])]
    assert len(explored) >= 2
    by_iteration = read_decisions(explored_log).set_index("iteration")
    for line in explored:
        choices = by_iteration.loc[line["iteration"], "proposed_action"]["choices"]
        logged = sorted(choice["probability"] for choice in choices if choice["probability"])
        assert logged == sorted(action["probability"] for action in line["actions"] if action["probability"])
        (done,) = (action for action in line["actions"] if action["number"] == line["chosen"])
        assert done["probability"] > 0.0


def test_rewards_add_up_to_what_the_run_made_over_holding_between_its_decision_points(
    log: Path, tmp_path: Path
) -> None:
    table, _, _ = data_of(tmp_path, log)
    decisions = read_decisions(log).set_index("iteration")
    first, last = decisions.loc[table["iteration"].iloc[0]], decisions.iloc[-1]
    ends = [
        sum(
            (at[f"equity_{coin}"] - decisions.iloc[0][f"equity_{coin}"]) * at[f"spot_{coin}"] for coin in ("btc", "eth")
        )
        for at in (first, last)
    ]
    assert table["reward_usd"].sum() == pytest.approx(ends[1] - ends[0], abs=1e-6)
    assert table["truncated"].tolist() == [0] * (len(table) - 1) + [1]
    assert (table["terminated"] == 0).all()


def test_the_next_state_of_a_row_is_the_state_of_the_row_after_it(log: Path, tmp_path: Path) -> None:
    table, lines, _ = data_of(tmp_path, log)
    names = [name for name, *_ in columns()]
    for earlier, later in pairwise(lines):
        assert earlier["next_observation"] == later["observation"]
        assert earlier["next_timestamp"] == later["timestamp"]
    assert table[names].iloc[3].tolist() == pytest.approx(lines[3]["observation"])


def test_the_card_names_every_column_the_sources_and_hashes_that_are_those_of_the_files(
    log: Path, tmp_path: Path
) -> None:
    table, _, card = data_of(tmp_path, log)
    assert all(f"| {name} |" in card for name in table.columns)
    for path in (tmp_path / "decisions.csv", tmp_path / "decisions.jsonl", *log.glob("decisions-*.jsonl")):
        assert f"| {path.name} | {hashlib.sha256(path.read_bytes()).hexdigest()} |" in card
    assert f"decided by {HERE} p-" in card


def test_runs_of_the_same_name_in_two_logs_stay_apart(log: Path, explored_log: Path, tmp_path: Path) -> None:
    table, _, card = data_of(tmp_path, log, explored_log)
    assert table["run_id"].unique().tolist() == ["simulated-0001"]
    assert table.groupby("source")["truncated"].sum().tolist() == [1, 1]
    assert "settings that are not those of today" in card  # exploration was on then


@pytest.mark.parametrize("content", [None, ""])
def test_a_log_without_a_choice_is_refused_in_a_sentence(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "decisions-2026-01-05.jsonl").write_text(content)
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "backtest.training_data:" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_dataset_of_minari_has_the_same_steps_with_mask_odds_and_counterfactuals_in_infos(
    log: Path, tmp_path: Path
) -> None:
    """Of the last row nothing tells what came of it: it is what was seen after the last step."""
    minari = pytest.importorskip("minari", reason="opt-in, see backtest/requirements.txt")
    table, lines, _ = data_of(tmp_path, log)
    dataset, steps = minari.MinariDataset(tmp_path / "minari"), table[table["reward_usd"].notna()]
    (episode,) = dataset.iterate_episodes()
    assert len(steps) >= len(table) - 1
    assert episode.rewards.tolist() == pytest.approx(steps["reward_usd"].tolist())
    assert episode.actions.tolist() == steps["chosen"].tolist()
    seen = [*(line["observation"] for line in lines[: len(steps)]), lines[len(steps) - 1]["next_observation"]]
    assert episode.observations.tolist() == seen
    assert episode.truncations.tolist() == [*[False] * (len(steps) - 1), True]
    for name in ("probability", "counterfactual_usd"):
        expected = steps[[f"{name}_{number}" for number in range(ACTION_COUNT)]].to_numpy()
        np.testing.assert_allclose(episode.infos[name][:-1], expected, rtol=1e-12)  # NaN stands where NaN does
        assert np.isnan(episode.infos[name][-1]).all()
    allowed = steps[[f"allowed_{number}" for number in range(ACTION_COUNT)]].to_numpy()
    assert np.array_equal(episode.infos["action_mask"][:-1], allowed)
    assert dataset.action_space.n == ACTION_COUNT
    assert all(dataset.observation_space.contains(row) for row in episode.observations)


def test_a_row_without_a_numbered_action_or_a_later_state_ends_an_episode(log: Path) -> None:
    points = read_log(log)
    (run_id, of_run), *_ = points.runs.items()
    settings, _ = settings_of_runs(points)
    rows = list(rows_of("log", of_run, settings[run_id], settlement_prices(points.ledgers[run_id], of_run, {})))
    rows[3] = replace(rows[3], chosen=NOT_NUMBERED)
    rows[6] = replace(rows[6], reward_usd=math.nan)
    rows[8] = replace(rows[8], chosen=NOT_NUMBERED, is_blocked=True)  # nothing was done: a step of action 0
    known = len([row for row in rows if not math.isnan(row.reward_usd)])
    assert [len(steps) for steps in episodes_of(rows)] == [3, 2, known - 6]
