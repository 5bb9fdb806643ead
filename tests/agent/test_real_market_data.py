"""The formulas against what Deribit really showed. Skips where the recorded facts are not beside the project.

In: recorded chains and positions; chains of the real testnet, for the agent to run on. Black-76 marks are
compared with `mark_price` row by row, on a sample of snapshots.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agent_loop import run_loop
from cli.assembly import assemble_agent
from core.pricing import (
    SECONDS_PER_YEAR,
    black76_price_coin,
    open_sell_call_margin_coin,
    short_call_initial_margin_coin,
    short_call_maintenance_margin_coin,
    short_put_initial_margin_coin,
    short_put_maintenance_margin_coin,
    tick_size_at,
)
from logging_utils import read_records
from paper_exchange.setups import recorded_setup
from tests.builders.agent import folders, options, run_main
from tests.builders.configs import agent_config
from tests.builders.states import TICK_STEPS

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
CHAIN_FILES = sorted(SHARED.glob("market_data/chains*/*.jsonl.gz"))
POSITIONS = SHARED / "deribit/recorded/private_get_positions__short_calls_and_puts_sm_row_samples.json"
SNAPSHOTS_PER_FILE = 30
LEAST_MARK_COIN = 0.0005
LEAST_SHARE = 0.98
ROUNDING_COIN = 1.001e-9  # one unit of the ninth decimal, the last one Deribit writes

TESTNET_CHAINS = SHARED / "market_data/testnet/BTC_2024-11.jsonl.gz"
CANDLES = SHARED / "market_data/spot"
YEARS_LATER_MS = 3 * 365 * 86_400_000  # the same dates of 2027

needs_testnet = pytest.mark.skipif(not TESTNET_CHAINS.exists(), reason="the chains of testnet are not here")
needs_chains = pytest.mark.skipif(not CHAIN_FILES, reason="the recorded chains are not here")
needs_positions = pytest.mark.skipif(not POSITIONS.exists(), reason="the recorded positions are not here")


class Terms(NamedTuple):
    """What an option's name says."""

    expires_at: datetime
    strike_usd: float
    is_call: bool


def terms_of(name: str) -> Terms:
    _, day, strike, kind = name.split("-")
    expires_at = datetime.strptime(f"{day} 08 +0000", "%d%b%y %H %z").astimezone(UTC)
    return Terms(expires_at, float(strike), kind == "C")


def snapshots(path: Path) -> Iterator[dict[str, Any]]:
    """A few snapshots, spread over the file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        listed = lines.readlines()
    for line in listed[:: max(1, len(listed) // SNAPSHOTS_PER_FILE)]:
        yield json.loads(line)


def mark_error_ticks(row: dict[str, Any], terms: Terms, at_seconds: float) -> float:
    """How far the model's mark is from the exchange's, in ticks at that price."""
    years = (terms.expires_at.timestamp() - at_seconds) / SECONDS_PER_YEAR
    model = black76_price_coin(
        row["underlying_price"], terms.strike_usd, row["mark_iv"] / 100.0, years, is_call=terms.is_call
    )
    mark: float = row["mark_price"]
    return abs(model - mark) / tick_size_at(mark, 0.0001, TICK_STEPS)


def share_within_a_tick(path: Path) -> tuple[float, int]:
    known: dict[str, Terms] = {}
    errors = [
        mark_error_ticks(row, known.setdefault(name, terms_of(name)), snapshot["recorded_at"] / 1000.0)
        for snapshot in snapshots(path)
        for row in snapshot["book_summaries"]
        if row["mark_price"] >= LEAST_MARK_COIN
        for name in (row["instrument_name"],)
    ]
    return sum(error <= 1.0 for error in errors) / len(errors), len(errors)


def recorded_positions() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(POSITIONS.read_text(encoding="utf-8"))
    return rows


def full_mark_coin(row: dict[str, Any]) -> float:
    """The mark as the profit shows it: `mark_price` itself may be rounded to six decimals."""
    mark: float = row["average_price"] + row["total_profit_loss"] / row["size"]
    return mark


def margins_coin(row: dict[str, Any]) -> tuple[float, float]:
    """Initial and maintenance margin of a recorded short, by our formulas."""
    terms, mark, amount = terms_of(row["instrument_name"]), full_mark_coin(row), -row["size"]
    if terms.is_call:
        initial = short_call_initial_margin_coin(row["index_price"], terms.strike_usd, mark)
        return amount * initial, amount * short_call_maintenance_margin_coin(mark)
    initial = short_put_initial_margin_coin(row["index_price"], terms.strike_usd, mark)
    return amount * initial, amount * short_put_maintenance_margin_coin(mark)


@needs_chains
@pytest.mark.parametrize("path", CHAIN_FILES, ids=lambda path: path.name)
def test_black76_marks_are_within_a_tick_of_deribits_on_98_percent_of_rows(path: Path) -> None:
    share, count = share_within_a_tick(path)
    print(f"{path.parent.name}/{path.name}: {100 * share:.2f} % of {count} rows")
    assert share >= LEAST_SHARE


@needs_positions
def test_margins_of_recorded_short_positions_are_reproduced() -> None:
    shorts = [row for row in recorded_positions() if row["size"] < 0]
    assert {row["instrument_name"][-1] for row in shorts} == {"C", "P"}
    for row in shorts:
        expected = (row["initial_margin"], row["maintenance_margin"])
        assert margins_coin(row) == pytest.approx(expected, abs=ROUNDING_COIN), row["instrument_name"]


@needs_positions
def test_margins_of_recorded_resting_sell_orders_are_reproduced() -> None:
    resting = [row for row in recorded_positions() if row["open_orders_margin"] > 0]
    assert len(resting) == 2
    for row in resting:
        margin = 0.1 * open_sell_call_margin_coin(row["index_price"], terms_of(row["instrument_name"]).strike_usd)
        assert margin == pytest.approx(row["open_orders_margin"], abs=ROUNDING_COIN), row["instrument_name"]


@needs_positions
def test_the_mark_in_the_profit_is_the_mark_shown() -> None:
    for row in (row for row in recorded_positions() if row["size"] != 0):
        assert full_mark_coin(row) == pytest.approx(row["mark_price"], abs=5e-7), row["instrument_name"]


# --- the thin books of testnet ------------------------------------------------------------------------


def run_on(recording: Path, folder: Path, *options: str | Path) -> list[dict[str, Any]]:
    ended = run_main("--dry-run", "--market", "recorded", "--recording", recording, *options, *folders(folder))
    assert ended.code == 0, ended.err
    return read_records(folder / "logs" / "decisions-*.jsonl")


def check_orders_were_placed(records: list[dict[str, Any]]) -> None:
    """Placed, never below the floor known at the decision, and with a word of what became of them."""
    assert [record["executed_status"] for record in records] == ["not_filled"] * len(records)
    for record in records:
        floors = {call["symbol"]: call["floor_price_coin"] for call in record["agent_state"]["candidates"]}
        (leg,) = record["executed_action"]["legs"]
        assert min(leg["prices_tried_coin"]) >= floors[record["symbol"]] > 0.0
        assert leg["status"] == "not_filled"


@needs_testnet
def test_on_the_books_of_testnet_orders_are_placed_under_default_settings(tmp_path: Path) -> None:
    check_orders_were_placed(run_on(TESTNET_CHAINS, tmp_path, "--candles", CANDLES))


@needs_testnet
def test_on_the_same_books_of_another_coin_and_year_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETH_IVRV_MIN", "0")  # there are no candles of that year
    with gzip.open(TESTNET_CHAINS, "rt", encoding="utf-8") as lines:
        chains = [json.loads(line.replace("BTC", "ETH").replace("24-", "27-")) for line in lines]
    moved = [chain | {"recorded_at": chain["recorded_at"] + YEARS_LATER_MS} for chain in chains]
    recording = tmp_path / "ETH_2027-11.jsonl"
    recording.write_text("".join(json.dumps(chain) + "\n" for chain in moved), encoding="utf-8")
    check_orders_were_placed(run_on(recording, tmp_path))


# --- the same books as testnet has them: no bid is required --------------------------------------------


def run_as_loopback(recording: Path, folder: Path, iterations: int, **sections: Any) -> list[dict[str, Any]]:
    """The recording behind an exchange on this machine; default settings but for what is given."""
    coin = recording.name[:3]
    candles = None if coin.lower() in sections else CANDLES  # there are none of a coin and year that were made up
    setup = recorded_setup(recording, {"BTC": 1.0, "ETH": 10.0}, candles, None)
    other = {("eth" if coin == "BTC" else "btc"): {"enabled": False}}
    config = agent_config(folder, **{**other, **sections}).at_market("loopback")
    key = ("paper", "paper")
    agent = assemble_agent(config, setup.transport, setup.clock, "loopback", "loopback", credentials=key)
    assert run_loop(agent, options("--iterations", str(iterations), "--quiet")) == 0
    return read_records(folder / "logs" / "decisions-*.jsonl")


def check_offers(records: list[dict[str, Any]]) -> None:
    """Every order at or above the floor of its decision; each one ended, and the log says how."""
    placed = [record for record in records if record["executed_status"] == "resting"]
    for record in placed:
        floors = {call["symbol"]: call["floor_price_coin"] for call in record["agent_state"]["candidates"]}
        (leg,) = record["executed_action"]["legs"]
        assert min(leg["prices_tried_coin"]) >= floors[record["symbol"]] > 0.0
    ended = [leg for record in records for leg in record["ended_orders"]]
    assert [leg["label"] for leg in ended] == [record["executed_action"]["legs"][0]["label"] for record in placed]
    assert {leg["status"] for leg in ended} <= {"not_filled", "partly_filled", "filled"}


def moved_to(folder: Path, coin: str, years: int) -> Path:
    """The same chains of another coin and year."""
    with gzip.open(TESTNET_CHAINS, "rt", encoding="utf-8") as lines:
        texts = [line.replace("BTC", coin).replace("24-", f"{24 + years}-") for line in lines]
    milliseconds = (date(2024 + years, 11, 4) - date(2024, 11, 4)).days * 86_400_000
    chains = [json.loads(text) for text in texts]
    moved = [chain | {"recorded_at": chain["recorded_at"] + milliseconds} for chain in chains]
    recording = folder / f"{coin}_{2024 + years}-11.jsonl"
    recording.write_text("".join(json.dumps(chain) + "\n" for chain in moved), encoding="utf-8")
    return recording


@needs_testnet
@pytest.mark.parametrize(("coin", "years"), [("BTC", 0), ("BTC", 1), ("ETH", 3)])
def test_where_no_bid_is_required_offers_rest_at_the_mark_and_end_with_a_word(
    coin: str, years: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = moved_to(tmp_path, coin, years)
    made_up = {coin.lower(): {"ivrv_min": 0.0}} if years else {}
    records = run_as_loopback(recording, tmp_path, 4, **made_up)
    assert "resting" in [record["executed_status"] for record in records]
    assert not records[0]["requires_bid"]
    check_offers(records)
    assert "rested at" in capsys.readouterr().out


@needs_testnet
def test_the_same_book_every_five_minutes_never_ends_in_reducing_for_want_of_a_fill(tmp_path: Path) -> None:
    with gzip.open(TESTNET_CHAINS, "rt", encoding="utf-8") as lines:
        chain = json.loads(next(lines))
    moments = [chain["recorded_at"] + 300_000 * n for n in range(40)]
    recording = tmp_path / "BTC_2024-11.jsonl"
    recording.write_text("".join(json.dumps(chain | {"recorded_at": at}) + "\n" for at in moments), encoding="utf-8")
    records = run_on(recording, tmp_path, "--candles", CANDLES)
    check_orders_were_placed(records)
    assert len(records) == 40
    offers = run_as_loopback(recording, tmp_path / "loopback", 40)
    check_offers(offers)
    assert {record["trading_state"] for record in offers} == {"ACTIVE"}
    last = records[-1]["agent_state"]
    assert (last["trading_state"], last["orders_today"], last["unfilled_orders_today"]) == ("ACTIVE", 0, 39)
