"""The chains of the last state, kept beside the account: whole, readable, and the same to a decision."""

import gzip
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from cli.latest_chain import keep_latest_chains
from core.candidates import explain_chain, scan_chain
from core.log_lines.latest_chain import coin_data_of
from core.market_context import market_snapshot
from tests.builders.agent import simulated_run
from tests.builders.configs import a_config
from tests.builders.states import simulated_raw


def snapshot_in(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return found


def test_a_kept_chain_shows_a_decision_the_same_calls_at_the_same_rules(tmp_path: Path) -> None:
    raw, config = simulated_raw(seed=3), a_config()
    keep_latest_chains(tmp_path, raw.coins, raw.now)
    for coin in raw.coins:
        record = snapshot_in(tmp_path / f"latest_chain_{coin.underlying}.jsonl.gz")
        kept = coin_data_of(record, coin.instruments.get)
        market = market_snapshot(coin, raw.now, config)
        ours, theirs = (scan_chain(one, market, raw.now, config) for one in (coin, kept))
        assert ours.funnel == theirs.funnel
        assert [call.symbol for call in ours.candidates] == [call.symbol for call in theirs.candidates]
        our_rules, their_rules = (explain_chain(one, market, raw.now, config) for one in (coin, kept))
        assert our_rules == their_rules


def test_a_chain_takes_the_place_of_the_one_before_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    raw = simulated_raw(seed=3)
    keep_latest_chains(tmp_path, raw.coins, raw.now)
    keep_latest_chains(tmp_path, raw.coins, raw.now + timedelta(minutes=5))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"latest_chain_{coin.underlying}.jsonl.gz" for coin in raw.coins}
    times = {snapshot_in(path)["recorded_at"] for path in tmp_path.iterdir()}
    assert times == {round((raw.now.timestamp() + 300.0) * 1000.0)}


def test_a_disk_that_takes_no_chain_stops_nothing(tmp_path: Path) -> None:
    raw = simulated_raw(seed=3)
    keep_latest_chains(tmp_path / "missing", raw.coins, raw.now)
    assert not any(tmp_path.iterdir())


def test_a_run_leaves_the_chains_of_its_last_line(tmp_path: Path) -> None:
    simulated_run(tmp_path, "--iterations", "2")
    (path,) = tmp_path.rglob("latest_chain_BTC.jsonl.gz")
    record = snapshot_in(path)
    (log,) = tmp_path.rglob("decisions-*.jsonl")
    last = json.loads(log.read_text().splitlines()[-1])
    assert record["index_price"] == last["spot_btc"]
    assert len(record["book_summaries"]) == last["agent_state"]["funnels"][0]["listed"]
