"""Tables and sums over the logs of whole runs: trades, chains, equity against holding, and a sum that adds up."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from core.results.steps import logged_step, step_of
from logging_utils import read_chains, read_decisions, read_earnings, read_equity, read_ledger, read_trades
from tests.builders.agent import folders, run_main, simulated_run

SIX_HOURS = ("--interval", "21600", "--quiet")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty days of the simulated market."""
    folder = tmp_path_factory.mktemp("thirty_days")
    assert simulated_run(folder, "--iterations", "120", *SIX_HOURS).code == 0
    return folder / "logs"


@pytest.fixture(scope="module")
def recorded_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten days of the same, recorded and played back."""
    folder = tmp_path_factory.mktemp("recorded")
    assert simulated_run(folder / "first", "--iterations", "40", *SIX_HOURS, "--record-chains").code == 0
    recording = ("--market", "recorded", "--recording", folder / "first" / "data" / "chains")
    assert run_main(*recording, "--quiet", *folders(folder / "second")).code == 0
    return folder / "second" / "logs"


@pytest.mark.parametrize("run", ["log", "recorded_log"])
def test_premium_buy_backs_fees_deliveries_and_open_value_are_the_change_of_equity(
    run: str, request: pytest.FixtureRequest
) -> None:
    log: Path = request.getfixturevalue(run)
    decisions = read_decisions(log)
    (found,) = read_earnings(log).values()
    assert [coin.currency for coin in found] == ["BTC", "ETH"]
    for coin in found:
        equity = decisions[f"equity_{coin.currency.lower()}"]
        assert coin.net_coin == pytest.approx(equity.iloc[-1] - equity.iloc[0], abs=1e-9)
        assert coin.unexplained_coin == pytest.approx(0.0, abs=1e-9)
    assert any(coin.premium_coin > 0.0 for coin in found)


def test_the_rows_of_the_trades_add_up_to_the_earnings(log: Path) -> None:
    trades = read_trades(log).query("opened_at < @read_decisions(@log)['timestamp'].max()")
    for coin in read_earnings(log)["simulated-0001"]:
        of_coin = trades[trades["currency"] == coin.currency]
        assert of_coin["premium_coin"].sum() == pytest.approx(coin.premium_coin, abs=1e-9)
        assert of_coin["pnl_coin"].sum() == pytest.approx(coin.net_coin, abs=1e-9)
        assert len(of_coin) == coin.sold
        assert (of_coin["leg"] > 1).sum() == coin.rolls


def test_a_trade_has_what_its_decision_saw_and_how_it_ended(log: Path) -> None:
    trades = read_trades(log)
    assert set(trades["exit"]) >= {"rolled", "open"}
    assert trades["entry_delta"].between(0.05, 0.5).all()
    assert trades["entry_days"].between(0.5, 60.0).all()
    assert trades[["entry_spread_pct", "slippage_coin"]].notna().all(axis=None)
    first = read_decisions(log).query("action_type == 'OPEN_COVERED_CALL'").iloc[0]
    assert (trades["symbol"].iloc[0], str(trades["opened_at"].dtype)) == (first["symbol"], "datetime64[ns, UTC]")


def test_every_roll_of_the_log_goes_on_with_the_chain_of_the_call_it_bought_back(log: Path) -> None:
    trades, decisions = read_trades(log), read_decisions(log)
    rolls = decisions.query("action_type == 'ROLL_COVERED_CALL' and executed_status == 'filled'")
    assert len(rolls) > 0
    for _, roll in rolls.iterrows():
        target = roll["proposed_action"]["new_symbol"]
        after = trades[(trades["symbol"] == target) & (trades["opened_at"] >= roll["timestamp"])].iloc[0]
        is_before = (trades["symbol"] == roll["symbol"]) & (trades["closed_at"] <= after["opened_at"])
        before = trades[is_before].iloc[-1]
        assert after["chain_id"] == before["chain_id"]
        assert after["leg"] == before["leg"] + 1
    chains = read_chains(log)
    assert chains["rolls"].sum() == (trades["leg"] > 1).sum()
    assert list(chains["chain_id"]) == list(dict.fromkeys(trades["chain_id"]))
    assert chains["pnl_coin"].sum() == pytest.approx(trades["pnl_coin"].sum(), abs=1e-12)


def test_equity_has_holding_beside_it_which_only_the_spot_moves(log: Path) -> None:
    equity = read_equity(log)
    bitcoin = equity[equity["currency"] == "BTC"]
    assert (bitcoin["holding_coin"] == 1.0).all()
    assert bitcoin["holding_usd"].tolist() == bitcoin["spot_usd"].tolist()
    assert (bitcoin["equity_usd"] - bitcoin["equity_coin"] * bitcoin["spot_usd"]).abs().max() == 0.0


def test_runs_of_fresh_accounts_stay_apart_with_chains_of_their_own(tmp_path: Path) -> None:
    for _ in range(2):
        simulated_run(tmp_path, "--iterations", "3", *SIX_HOURS)
    trades = read_trades(tmp_path / "logs")
    assert trades["account"].unique().tolist() == ["simulated-0001", "simulated-0002"]
    assert trades["chain_id"].is_unique


def test_a_log_without_a_trade_has_empty_tables_with_all_their_columns(tmp_path: Path) -> None:
    simulated_run(tmp_path, "--iterations", "1", "--quiet", "--policy", "tests.core.results.test_results_of_runs")
    assert len(read_ledger(tmp_path / "logs")) == 0
    for table in (read_trades(tmp_path / "logs"), read_chains(tmp_path / "logs")):
        assert (len(table), "pnl_coin" in table.columns, "chain_id" in table.columns) == (0, True, True)
    assert len(read_equity(tmp_path / "logs")) == 2


def decide_action(agent_state: object, config: object) -> dict[str, str]:
    """A policy that sells nothing."""
    return {"type": "DO_NOTHING", "reason": "a test says so"}


def test_lines_read_in_one_pass_give_the_steps_and_the_ledger_of_the_whole_reading(log: Path) -> None:
    for path in sorted(log.glob("decisions-*.jsonl")):
        for line in path.read_bytes().splitlines():
            found, record = logged_step(line), json.loads(line)
            assert found is not None
            assert found.step == step_of(record)
            assert [entry.model_dump(mode="json") for entry in found.ledger] == record["ledger"]


def test_lines_that_are_not_of_today_are_read_all_the_same(log: Path, tmp_path: Path) -> None:
    changed = tmp_path / "decisions.jsonl"
    paths = sorted(log.glob("decisions-*.jsonl"))
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    for line in lines:
        for entry in line["ledger"]:
            entry["mood"] = "good"  # what a later version may add
    changed.write_text("".join(json.dumps(line) + "\n" for line in lines))
    pd.testing.assert_frame_equal(read_trades(changed), read_trades(log))
    assert read_earnings(changed) == read_earnings(log)
