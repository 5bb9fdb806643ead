"""The readers: packed files, brackets, slips, damaged lines, long logs; ids that stay text; runs that stay apart."""

from __future__ import annotations

import gzip
import io
import re
import shutil
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest

from agent_loop import main
from config import PROJECT_FOLDER
from logging_utils import read_decisions, read_ledger, read_orders
from tests.agent.test_old_logs import DRY_RUN
from tests.builders.agent import run_for, simulated_agent

FILE = "decisions-2026-01-05.jsonl"
HASHES = ("13056069e450", "65270769e976", "011262321257", "123456789012", "00000000e000")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The decision log of three iterations, in a folder with brackets in its name."""
    run_for(simulated_agent(tmp_path / "bots [2]"), 3)
    return tmp_path / "bots [2]" / "logs" / FILE


def simulated(logs: Path, data: Path, seed: int = 1) -> None:
    folders = ["--log-dir", str(logs), "--data-dir", str(data), "--seed", str(seed)]
    assert main(["--market", "simulated", "--iterations", "3", "--quiet", *folders]) == 0


# --- files -----------------------------------------------------------------------------------------------


def test_a_path_that_exists_is_read_as_it_is_and_a_pattern_below_it_too(log: Path) -> None:
    for path in (log, log.parent, log.parent / "decisions-*.jsonl", f"{log.parents[1]}/*/decisions-*.jsonl"):
        assert len(read_decisions(path)) == 3


def test_a_packed_file_is_unpacked_and_beside_its_original_read_once(log: Path) -> None:
    packed = log.with_name(f"{FILE}.gz")
    packed.write_bytes(gzip.compress(log.read_bytes()))
    assert (len(read_decisions(packed)), len(read_decisions(log.parent))) == (3, 3)
    log.unlink()
    assert len(read_decisions(log.parent)) == 3


def test_a_packed_file_that_was_cut_gives_its_whole_lines_and_a_warning(log: Path) -> None:
    packed = log.with_name(f"{FILE}.gz")
    content = gzip.compress(log.read_bytes(), compresslevel=0)
    packed.write_bytes(content[: len(content) * 2 // 3])
    with pytest.warns(UserWarning, match="cannot be read"):
        assert 1 <= len(read_decisions(packed)) < 3


@pytest.mark.parametrize("slip", ["decisons-*.jsonl", "nowhere/decisions-2026-01-05.jsonl", f"{FILE}/x.jsonl", "*.csv"])
def test_a_path_that_matches_no_file_is_an_error_that_names_it(log: Path, slip: str) -> None:
    for reader in (read_decisions, read_ledger, read_orders):
        with pytest.raises(FileNotFoundError) as caught:
            reader(log.parent / slip)
        assert caught.value.filename == str(log.parent / slip)


def test_a_damaged_line_is_left_out_with_a_warning_that_says_which(log: Path) -> None:
    first, second, third = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(first + second[:500] + b"\n" + third)
    with pytest.warns(UserWarning, match=r"a line cannot be read and is left out \(line 2\)"):
        assert list(read_decisions(log)["iteration"]) == [1, 3]


# --- columns -----------------------------------------------------------------------------------------------


def test_the_columns_asked_for_come_in_their_order_those_of_the_state_among_them(log: Path) -> None:
    wanted = ["reason", "iv_rv_btc", "timestamp", "spot_eth"]
    frame, whole = read_decisions(log, columns=wanted), read_decisions(log)
    assert list(frame.columns) == wanted
    pd.testing.assert_frame_equal(frame, whole[wanted])


def test_a_column_that_no_log_has_is_an_error_that_says_which_there_are(log: Path) -> None:
    with pytest.raises(KeyError, match=r"no log has the column spot_doge: known are .*spot_btc"):
        read_decisions(log, columns=["spot_doge"])


def test_flat_columns_of_a_long_log_need_little_memory(log: Path) -> None:
    lines = log.read_bytes()
    log.write_bytes(lines * 200)
    tracemalloc.start()
    frame = read_decisions(log, columns=["timestamp", "spot_btc", "action_type"])
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(frame), len(lines) * 200 > 5_000_000, most_bytes < 2_000_000) == (600, True, True)


# --- ids -----------------------------------------------------------------------------------------------------


def test_hashes_stay_text_and_apart_when_pandas_reads_the_file_itself() -> None:
    text = "".join(f'{{"config_hash": "c-{value}"}}\n' for value in HASHES)
    assert list(pd.read_json(io.StringIO(text), lines=True)["config_hash"]) == [f"c-{value}" for value in HASHES]


def test_every_run_writes_hashes_that_no_reader_takes_for_numbers(tmp_path: Path) -> None:
    simulated(tmp_path / "logs", tmp_path / "data")
    frame = pd.read_json(tmp_path / "logs" / FILE, lines=True)
    assert frame["config_hash"].str.match("c-[0-9a-f]{12}$").all()
    assert frame["policy_hash"].str.match("p-[0-9a-f]{12}$").all()


def test_order_ids_stay_text_when_pandas_reads_the_file_itself(log: Path) -> None:
    orders = log.with_name("orders-2026-01-05.jsonl")
    edits = pd.read_json(orders, lines=True).query("event == 'edit'")
    assert len(edits) > 0
    assert edits["order_id"].str.match(r"o-(ETH-)?\d+$").all()
    assert set(edits["order_id"]) <= set(read_orders(orders).query("event == 'outcome'")["order_id"])


def test_orders_have_times_as_times_and_an_id_in_every_line_that_knows_it() -> None:
    orders = read_orders(DRY_RUN)
    assert {str(orders[name].dtype) for name in ("at", "quoted_at", "valid_until")} == {"datetime64[ns, UTC]"}
    waits = (orders["valid_until"] - orders["at"]).dropna().dt.total_seconds()
    assert list(waits) == [10.0, 10.0]


# --- runs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [(1, 2), (1, 1)])
def test_runs_into_one_log_stay_apart_although_the_data_folder_was_removed(
    tmp_path: Path, seeds: tuple[int, int]
) -> None:
    for seed in seeds:
        simulated(tmp_path / "logs", tmp_path / "data", seed)
        shutil.rmtree(tmp_path / "data")
    runs = read_decisions(tmp_path / "logs")
    assert runs.groupby("run_id").size().to_dict() == {"simulated-0001": 3, "simulated-0002": 3}
    entries = read_ledger(tmp_path / "logs").groupby("run_id").size()
    assert entries.iloc[0] == entries.iloc[-1] > 0


def test_runs_are_counted_on_although_the_log_was_packed_or_its_folder_removed(tmp_path: Path) -> None:
    logs, data = tmp_path / "logs", tmp_path / "data"
    simulated(logs, data)
    packed = logs / f"{FILE}.gz"
    packed.write_bytes(gzip.compress((logs / FILE).read_bytes()))
    for path in logs.glob("*.jsonl"):
        path.unlink()
    shutil.rmtree(data)
    simulated(logs, data)
    shutil.rmtree(logs)
    simulated(logs, data)
    assert set(read_decisions(logs)["run_id"]) == {"simulated-0003"}


# --- the README's recipes -----------------------------------------------------------------------------------------


def test_the_readme_s_recipes_run_on_a_log_with_a_failed_iteration() -> None:
    recipes = re.findall(r"```python\n(.*?)```", (PROJECT_FOLDER / "README.md").read_text(), re.S)
    of_logs = [recipe for recipe in recipes if "read_decisions" in recipe or "ledger" in recipe or "funnels" in recipe]
    names: dict[str, object] = {}
    for recipe in of_logs:
        exec(recipe.replace("logs/example", str(DRY_RUN)), names)
    assert len(of_logs) >= 3
