"""A download as a whole: files that others read, resumed after every kind of end, gaps and doubts told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from backtest.download.client import ATTEMPTS
from backtest.download.datasets import DATASETS
from backtest.download.paging import EMPTY_ATTEMPTS, Span
from backtest.download.run import JobReport, Wanted, download
from paper_exchange.market.clocks import DAY_MS, HOUR_MS
from paper_exchange.recorded.tables import read_candles, read_delivery_prices
from tests.backtest.download.history_server import (
    CANDLES,
    DVOL,
    NOW,
    NOW_MS,
    START_MS,
    TRADES,
    HistoryServer,
    World,
    empty_page,
    gateway_down,
    make_trades,
    price_at,
    refused,
    serving,
)

END_MS = START_MS + 40 * DAY_MS
TRADED_DAYS = 3
TRADED = Span(START_MS, START_MS + TRADED_DAYS * DAY_MS)


def a_world() -> World:
    """Trades on three days, more a day than a page holds."""
    return World(trades=make_trades(TRADED_DAYS * 24 * 48, apart_ms=75_000))


def ignore(name: str) -> None:
    """Progress that nobody watches."""


def run(
    folder: Path,
    *datasets: str,
    span: Span = Span(START_MS, END_MS),  # noqa: B008 - a tuple of numbers
    world: World | None = None,
    before: Callable[[HistoryServer], None] | None = None,
    progress: Callable[[str], None] = ignore,
) -> tuple[list[JobReport], HistoryServer]:
    """Download BTC into the folder from a fresh server; `before` prepares its faults."""
    with serving(world or a_world()) as (server, client):
        if before is not None:
            before(server)
        reports = download(client, Wanted(datasets, ("BTC",), span), folder, progress)
    return reports, server


def all_files(folder: Path) -> dict[str, bytes]:
    """Everything but the manifest, which knows when it was written."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.jsonl")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


# --- files that others read -----------------------------------------------------------------------------


def test_candles_are_what_the_option_candles_reads(tmp_path: Path) -> None:
    run(tmp_path, "candles")
    bars = read_candles(tmp_path / "candles")["BTC"]
    assert [bar.opened_at_ms for bar in bars] == list(range(START_MS, END_MS, HOUR_MS))
    assert {(bar.close - price_at(bar.opened_at_ms), bar.volume) for bar in bars} == {(0.0, 1.5)}


def test_delivery_prices_are_what_a_recorded_run_reads(tmp_path: Path) -> None:
    run(tmp_path, "delivery_prices")
    prices = read_delivery_prices(tmp_path / "delivery_prices")
    assert prices["BTC", START_MS + 8 * HOUR_MS].price_usd == price_at(START_MS)
    assert len(prices) == len(a_world().delivery_days_ms)


def test_pandas_opens_every_file(tmp_path: Path) -> None:
    run(tmp_path, *DATASETS, span=TRADED)
    paths = sorted(path for path in tmp_path.rglob("*.csv*") if path.name != "gaps.csv")
    tables = {path.relative_to(tmp_path).as_posix(): pd.read_csv(path) for path in paths}
    assert all(len(table) > 0 for table in tables.values())
    candles, trades = tables["candles/BTC_1h.csv"], tables["trades/BTC_2024-01-02.csv.gz"]
    assert list(candles) == ["open_time", "open", "high", "low", "close", "volume"]
    assert pd.to_datetime(candles["open_time"])[0] == pd.Timestamp("2024-01-01", tz="UTC")
    assert trades["timestamp"].between(START_MS + DAY_MS, START_MS + 2 * DAY_MS - 1).all()
    assert trades["trade_id"].is_unique
    assert list(tables["dvol/BTC_1h.csv"]["close"].unique()) == [51.25]


def test_each_day_of_trades_is_a_file_and_none_is_lost_between_two(tmp_path: Path) -> None:
    (report,), _ = run(tmp_path, "trades", span=TRADED)
    assert len(list((tmp_path / "trades").iterdir())) == TRADED_DAYS
    assert report.rows == len(a_world().trades)
    assert report.is_complete


# --- resumed --------------------------------------------------------------------------------------------------


def test_a_second_run_asks_for_nothing_and_changes_nothing(tmp_path: Path) -> None:
    run(tmp_path, *DATASETS, span=TRADED)
    before = all_files(tmp_path)
    _, server = run(tmp_path, *DATASETS, span=TRADED)
    assert server.requests == []
    assert all_files(tmp_path) == before


def test_a_later_end_asks_only_for_the_cells_that_grew(tmp_path: Path) -> None:
    run(tmp_path, "trades", span=Span(START_MS, START_MS + DAY_MS + HOUR_MS))
    _, server = run(tmp_path, "trades", span=TRADED)
    first_asked_ms = min(int(request.params["start_timestamp"]) for request in server.requests)
    assert first_asked_ms == START_MS + DAY_MS
    run(tmp_path / "at once", "trades", span=TRADED)
    once = all_files(tmp_path / "at once")
    assert {name: content for name, content in all_files(tmp_path).items() if "at once" not in name} == once


def test_an_earlier_start_keeps_what_is_there(tmp_path: Path) -> None:
    run(tmp_path, "candles", span=Span(START_MS + 20 * DAY_MS, END_MS))
    run(tmp_path, "candles")
    assert len(read_candles(tmp_path / "candles")["BTC"]) == 40 * 24


def test_halves_fetched_apart_are_a_whole(tmp_path: Path) -> None:
    """Both lie in one cell of candles."""
    run(tmp_path, "candles", span=Span(START_MS + 2 * DAY_MS, START_MS + 4 * DAY_MS))
    run(tmp_path, "candles", span=Span(START_MS, START_MS + 2 * DAY_MS))
    assert run(tmp_path, "candles", span=Span(START_MS, START_MS + 4 * DAY_MS))[1].requests == []


def test_stopped_by_hand_it_keeps_what_is_finished_and_goes_on_there(tmp_path: Path) -> None:
    def stop(name: str) -> None:
        if name.endswith("2024-01-02"):
            raise KeyboardInterrupt

    (report,), _ = run(tmp_path, "trades", span=TRADED, progress=stop)
    assert report.problem == "stopped by hand"
    assert {path.name for path in (tmp_path / "trades").iterdir()} == {
        "BTC_2024-01-01.csv.gz",
        "BTC_2024-01-02.csv.gz",
    }
    (report,), server = run(tmp_path, "trades", span=TRADED)
    assert report.is_complete
    assert min(int(request.params["start_timestamp"]) for request in server.requests) == START_MS + 2 * DAY_MS


def test_without_a_network_all_ends_and_the_next_run_goes_on(tmp_path: Path) -> None:
    def no_network(server: HistoryServer) -> None:
        server.fail(DVOL, *[gateway_down] * ATTEMPTS)

    reports, server = run(tmp_path, "candles", "dvol", "trades", span=TRADED, before=no_network)
    assert [report.is_complete for report in reports] == [True, False, False]
    assert "HTTP 502" in str(reports[1].problem)
    assert server.asked(TRADES) == []
    reports, server = run(tmp_path, "candles", "dvol", "trades", span=TRADED)
    assert all(report.is_complete for report in reports)
    assert server.asked(CANDLES) == []


def test_a_refusal_ends_its_own_data_alone(tmp_path: Path) -> None:
    def refuse(server: HistoryServer) -> None:
        server.fail(CANDLES, refused(-32602, "Invalid params"))

    candles, dvol = run(tmp_path, "candles", "dvol", before=refuse)[0]
    assert "Invalid params" in str(candles.problem)
    assert dvol.is_complete


@pytest.mark.parametrize("tail", [b'{"dataset": "trades", "co', b"\xff\xfe\n", b'{"other": 1}\n', b"\n\n"])
def test_a_torn_manifest_costs_no_more_than_its_torn_line(tmp_path: Path, tail: bytes) -> None:
    run(tmp_path, "trades", span=Span(START_MS, START_MS + DAY_MS))
    with (tmp_path / "manifest.jsonl").open("ab") as file:
        file.write(tail)
    _, server = run(tmp_path, "trades", span=Span(START_MS, START_MS + 2 * DAY_MS))
    assert min(int(request.params["start_timestamp"]) for request in server.requests) == START_MS + DAY_MS
    assert run(tmp_path, "trades", span=Span(START_MS, START_MS + 2 * DAY_MS))[1].requests == []


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-20])])
def test_a_damaged_or_missing_file_is_fetched_again(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    run(tmp_path, "trades", span=TRADED)
    before = all_files(tmp_path)
    damage(tmp_path / "trades" / "BTC_2024-01-02.csv.gz")
    run(tmp_path, "trades", span=TRADED)
    assert all_files(tmp_path) == before


def test_a_file_half_written_by_a_crash_is_no_data(tmp_path: Path) -> None:
    run(tmp_path, "candles")
    before = read_candles(tmp_path / "candles")
    (tmp_path / "candles" / "BTC_1h.csv.tmp").write_text("open_time,open\n2024-")
    assert read_candles(tmp_path / "candles") == before


# --- gaps and doubts --------------------------------------------------------------------------------------------


def test_missing_hours_are_listed(tmp_path: Path) -> None:
    world = a_world()
    world.hours_ms = [at for at in world.hours_ms if not START_MS + DAY_MS <= at < START_MS + DAY_MS + 5 * HOUR_MS]
    (report,), _ = run(tmp_path, "candles", world=world)
    assert report.is_complete
    (row,) = pd.read_csv(tmp_path / "gaps.csv").to_dict("records")
    assert (row["dataset"], row["coin"], row["missing"]) == ("candles", "BTC", 5)
    assert (row["from"], row["to"]) == ("2024-01-02 00:00:00+00:00", "2024-01-02 05:00:00+00:00")


def test_a_day_that_stays_empty_is_doubted_listed_and_asked_for_again(tmp_path: Path) -> None:
    def empty(server: HistoryServer) -> None:
        server.fail(TRADES, *[empty_page] * EMPTY_ATTEMPTS)

    (report,), _ = run(tmp_path, "trades", span=TRADED, before=empty)
    assert not report.is_complete
    assert "nothing new came" in (tmp_path / "gaps.csv").read_text()
    assert "long silence" in (tmp_path / "gaps.csv").read_text()
    (report,), server = run(tmp_path, "trades", span=TRADED)
    assert report.is_complete
    assert {int(request.params["end_timestamp"]) for request in server.requests} == {START_MS + DAY_MS - 1}


def test_a_doubtful_answer_takes_nothing_away_that_was_there(tmp_path: Path) -> None:
    def empty(server: HistoryServer) -> None:
        server.fail(CANDLES, *[empty_page] * EMPTY_ATTEMPTS)

    run(tmp_path, "candles", span=TRADED)
    (report,), _ = run(tmp_path, "candles", before=empty)
    assert report.doubts != []
    assert len(read_candles(tmp_path / "candles")["BTC"]) == TRADED_DAYS * 24


def test_the_manifest_says_what_was_fetched_and_when(tmp_path: Path) -> None:
    run(tmp_path, "candles")
    (line,) = (tmp_path / "manifest.jsonl").read_text().split()
    note = json.loads(line)
    assert (note["dataset"], note["coin"], note["rows"], note["doubts"]) == ("candles", "BTC", 40 * 24, [])
    assert (note["start_ms"], note["end_ms"]) == (START_MS, END_MS)
    assert note["fetched_at"].startswith(f"{NOW:%Y-%m-%d}")


def test_the_same_cells_are_found_whatever_the_dates() -> None:
    for dataset in DATASETS.values():
        wide = dict(dataset.cells(Span(START_MS - 500 * DAY_MS, NOW_MS)))
        narrow = dict(dataset.cells(Span(START_MS + 17 * HOUR_MS, NOW_MS - 5 * HOUR_MS)))
        assert narrow.keys() <= wide.keys()
        for name, span in narrow.items():
            assert wide[name].start_ms <= span.start_ms < span.end_ms <= wide[name].end_ms
