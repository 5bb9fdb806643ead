"""The recorded market: playback, no look ahead, delivery prices, damaged files. Files in tmp_path, no network."""

from __future__ import annotations

import gzip
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import pricing
from core.chain import Terms, listing_of
from paper_exchange.in_process.readings import instrument_of
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, MINUTE_MS, YEAR_MS, now_ms
from paper_exchange.market.listing_columns import ListingColumns
from paper_exchange.market.names import parse_option_name
from paper_exchange.recorded.files import RecordingError
from paper_exchange.recorded.market import RecordedMarket
from paper_exchange.setups import recorded_setup

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "market_data"
needs_shared_data = pytest.mark.skipif(not SHARED.exists(), reason="the shared recordings are not here")

MIDNIGHT_MS = 1_767_571_200_000  # 2026-01-05 00:00 UTC
NAME = "BTC-9JAN26-95000-C"


def row(name: str = NAME, **fields: Any) -> dict[str, Any]:
    usual = {
        "instrument_name": name,
        "underlying_index": "BTC-9JAN26",
        "underlying_price": 90_100.0,
        "bid_price": 0.004,
        "ask_price": 0.0045,
        "mark_price": 0.0042,
        "mark_iv": 45.5,
        "open_interest": 12.0,
        "volume": 3.0,
    }
    return usual | {"instrument_name": name} | fields


def record(hour: float, index_usd: float, currency: str = "BTC", rows: list[Any] | None = None) -> dict[str, Any]:
    return {
        "recorded_at": MIDNIGHT_MS + round(hour * HOUR_MS),
        "currency": currency,
        "index_price": index_usd,
        "book_summaries": [row()] if rows is None else rows,
    }


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(entry) + "\n" for entry in records).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


# --- playback --------------------------------------------------------------------------


def test_the_clock_wakes_at_each_snapshot_and_then_ends(tmp_path: Path) -> None:
    records = [record(hour, 90_000.0 + hour) for hour in (1, 5, 9)]
    market = RecordedMarket(write(tmp_path / "chain.jsonl", records))
    seen = [market.index_price("BTC")]
    while market.clock.wait_for_next(300.0):
        seen.append(market.index_price("BTC"))
    assert seen == [90_001.0, 90_005.0, 90_009.0]
    assert now_ms(market.clock) == MIDNIGHT_MS + 9 * HOUR_MS


def test_coins_recorded_within_a_minute_are_one_snapshot_at_the_later_time(tmp_path: Path) -> None:
    later = 5.0 + 40.0 / 3600.0
    write(tmp_path / "a" / "BTC.jsonl.gz", [record(1, 90_000.0), record(5, 91_000.0)])
    write(tmp_path / "b" / "ETH.jsonl", [record(1, 3_000.0, "ETH", []), record(later, 3_100.0, "ETH", [])])
    market = RecordedMarket(tmp_path)
    assert market.currencies == ("BTC", "ETH")
    assert market.clock.wait_for_next(300.0)
    assert now_ms(market.clock) == MIDNIGHT_MS + 5 * HOUR_MS + 40_000
    assert (market.index_price("BTC"), market.index_price("ETH")) == (91_000.0, 3_100.0)
    assert not market.clock.wait_for_next(300.0)


def test_sleeping_past_a_snapshot_shows_it_and_waiting_never_goes_back(tmp_path: Path) -> None:
    records = [record(hour, 90_000.0 + hour) for hour in (1, 5, 9)]
    market = RecordedMarket(write(tmp_path / "chain.jsonl.gz", records))
    market.clock.sleep(6 * 3600.0)
    assert market.index_price("BTC") == 90_005.0
    assert market.clock.wait_for_next(300.0)
    assert now_ms(market.clock) == MIDNIGHT_MS + 9 * HOUR_MS


def test_between_snapshots_the_last_quotes_stand_and_grow_old(tmp_path: Path) -> None:
    market = RecordedMarket(write(tmp_path / "chain.jsonl", [record(1, 90_000.0), record(5, 91_000.0)]))
    market.clock.sleep(2 * 3600.0)
    quote = market.quote(NAME)
    assert quote is not None
    assert quote.timestamp_ms == MIDNIGHT_MS + HOUR_MS
    assert quote.mark_iv_fraction == pytest.approx(0.455)
    assert (quote.bid_coin, quote.ask_coin, quote.bid_amount) == (0.004, 0.0045, None)


def test_rows_become_listings_and_empty_sides_become_none(tmp_path: Path) -> None:
    rows = [
        row("BTC-9JAN26-95000-P", bid_price=None, ask_price=0),
        row("BTC-30JAN26-0d625-C", underlying_index=None),
    ]
    market = RecordedMarket(write(tmp_path / "chain.jsonl", [record(1, 90_000.0, rows=rows)]))
    put, decimal = market.listings("BTC")
    quote, other = market.quotes("BTC")
    assert (put.is_call, put.settlement_period, put.expires_at_ms) == (False, "week", MIDNIGHT_MS + 104 * HOUR_MS)
    assert (decimal.strike_usd, decimal.settlement_period) == (0.625, "month")
    assert (quote.bid_coin, quote.ask_coin) == (None, None)
    assert other.underlying_index == "SYN.BTC-30JAN26"


def test_rows_that_are_not_plain_options_or_have_no_mark_are_skipped(tmp_path: Path) -> None:
    rows = [
        row("BTC-27MAR26"),
        row("BTC_USDC-9JAN26-95000-C"),
        row("BTC-CS-9JAN26-90000_95000"),
        row("ETH-9JAN26-3000-C"),
        row("BTC-31FEB26-95000-C"),
        row("BTC-9JAN26-96000-C", mark_price=None),
        row("BTC-9JAN26-97000-C", mark_iv=None),
        row(),
    ]
    market = RecordedMarket(write(tmp_path / "chain.jsonl", [record(1, 90_000.0, rows=rows)]))
    assert [listing.name for listing in market.listings("BTC")] == [NAME]


def test_among_plain_options_one_without_a_mark_is_skipped_and_of_one_named_twice_the_last_row_counts(
    tmp_path: Path,
) -> None:
    twice, unmarked = "BTC-9JAN26-96000-C", row("BTC-9JAN26-97000-C", mark_price=None)
    for rows in ([row(), unmarked], [row(twice, bid_price=0.001), row(), row(twice, bid_price=0.002)]):
        market = RecordedMarket(write(tmp_path / "chain.jsonl", [record(1, 90_000.0, rows=rows)]))
        bids = {quote.name: quote.bid_coin for quote in market.quotes("BTC")}
        assert len(market.listings("BTC")) == len(market.quotes("BTC")) == len(bids)
        assert bids == ({NAME: 0.004} if unmarked in rows else {twice: 0.002, NAME: 0.004})


def test_the_columns_of_listings_and_quotes_say_what_the_rows_say_after_an_expiry_too(tmp_path: Path) -> None:
    names = ["BTC-6JAN26-90000-C", "BTC-30JAN26-95000-P", "BTC-6JAN26-91000-P", "BTC-27MAR26-0d5-C"]
    records = [
        record(hour, 90_000.0, rows=[row(name) for name in shown]) for hour, shown in ((1, names[1:]), (2, names))
    ]
    market = RecordedMarket(write(tmp_path / "chain.jsonl", records))
    for hours, shown in ((0, names[1:]), (1, names), (40, [names[1], names[3]])):
        market.clock.sleep(HOUR_MS / 1000.0 * hours)
        listed, quoted = market.listings("BTC"), market.quotes("BTC")
        assert isinstance(listed, ListingColumns)
        assert [listing.name for listing in listed] == [quote.name for quote in quoted] == [*listed.names] == shown
        assert [listed.row_of[name] for name in shown] == [*range(len(shown))]
        by_rows = listing_of({listing.name: instrument_of(listing, MIDNIGHT_MS) for listing in listed}).terms
        for column in fields(Terms):
            np.testing.assert_array_equal(getattr(listed.terms, column.name), getattr(by_rows, column.name))


def test_an_option_that_expired_between_snapshots_is_no_longer_quoted(tmp_path: Path) -> None:
    rows = [row("BTC-5JAN26-90000-C"), row()]
    records = [record(7, 90_000.0, rows=rows), record(12, 91_000.0)]
    market = RecordedMarket(write(tmp_path / "chain.jsonl", records))
    assert len(market.quotes("BTC")) == 2
    market.clock.sleep(3600.0)
    assert [quote.name for quote in market.quotes("BTC")] == [NAME]
    assert market.quote("BTC-5JAN26-90000-C") is None
    expired = market.listing("BTC-5JAN26-90000-C")
    assert expired is not None
    assert expired.strike_usd == 90_000.0


# --- candles and delivery ------------------------------------------------------------------


def test_index_candles_never_show_the_future(tmp_path: Path) -> None:
    records = [record(hour, 90_000.0 + 100 * hour) for hour in (1.0, 1.5, 3.25, 9.0)]
    market = RecordedMarket(write(tmp_path / "chain.jsonl", records))
    market.clock.sleep(2.5 * 3600.0)
    bars = market.index_bars("BTC", 0, MIDNIGHT_MS + 100 * HOUR_MS, 60)
    assert [(bar.opened_at_ms - MIDNIGHT_MS) / HOUR_MS for bar in bars] == [1, 3]
    assert (bars[0].open, bars[0].high, bars[0].low, bars[0].close) == (90_100.0, 90_150.0, 90_100.0, 90_150.0)
    assert bars[1].close == 90_325.0


def candle_file(path: Path) -> Path:
    lines = [f"2026-01-05 {hour:02d}:00:00+00:00,{hour}1,{hour}9,{hour}0,{hour}5,7" for hour in range(1, 6)]
    path.write_text("open_time,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    return path


def test_candles_from_a_file_show_once_they_have_closed(tmp_path: Path) -> None:
    recording = write(tmp_path / "chain.jsonl", [record(3.5, 90_000.0), record(9, 91_000.0)])
    market = RecordedMarket(recording, candles=candle_file(tmp_path / "BTC_1h.csv"))
    bars = market.index_bars("BTC", MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS, 60)
    assert [bar.close for bar in bars] == [15.0, 25.0, 90_000.0]
    market.clock.sleep(0.5 * 3600.0)
    bars = market.index_bars("BTC", MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS, 60)
    assert [bar.close for bar in bars] == [15.0, 25.0, 35.0]
    joined = market.index_bars("BTC", MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS, 180)
    assert [(bar.open, bar.high, bar.close, bar.volume) for bar in joined] == [
        (11.0, 29.0, 25.0, 14.0),
        (31.0, 39.0, 35.0, 7.0),
    ]


def test_a_delivery_price_is_interpolated_between_the_snapshots_around_it(tmp_path: Path) -> None:
    market = RecordedMarket(write(tmp_path / "chain.jsonl", [record(6, 90_000.0), record(11, 91_000.0)]))
    expiry_ms = MIDNIGHT_MS + 8 * HOUR_MS
    assert market.delivery_price("BTC", expiry_ms) is None
    market.clock.sleep(2 * 3600.0)
    delivered = market.delivery_price("BTC", expiry_ms)
    assert delivered is not None
    assert delivered.price_usd == pytest.approx(90_400.0, abs=1e-9)
    assert delivered.is_approximate


@pytest.mark.parametrize(
    ("name", "text", "is_approximate"),
    [
        ("BTC_delivery.csv", "date,price\n2026-01-05,90123.4\n", False),
        ("BTC_proxy.csv", "date,proxy_twap\n2026-01-05,90123.4\n", True),
        ("all.csv", "Index name,Date,Delivery price\nBTC_USD,2026-01-05,90123.4\n", False),
    ],
)
def test_a_delivery_price_comes_from_a_file_where_given(
    tmp_path: Path, name: str, text: str, is_approximate: bool
) -> None:
    recording = write(tmp_path / "chain.jsonl", [record(6, 90_000.0), record(11, 91_000.0)])
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / name).write_text(text)
    market = RecordedMarket(recording, delivery_prices=tmp_path / "prices")
    market.clock.sleep(2 * 3600.0)
    delivered = market.delivery_price("BTC", MIDNIGHT_MS + 8 * HOUR_MS)
    assert delivered is not None
    assert (delivered.price_usd, delivered.is_approximate) == (90_123.4, is_approximate)


def test_the_volatility_index_is_not_recorded(tmp_path: Path) -> None:
    market = RecordedMarket(write(tmp_path / "chain.jsonl", [record(6, 90_000.0)]))
    assert market.volatility_index_bars("BTC", 0, MIDNIGHT_MS + DAY_MS, 3600) == ()


# --- damage --------------------------------------------------------------------------------


GOOD = json.dumps(record(1, 90_000.0)) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD[:150] + "\n" + GOOD, "line 1: the line is cut off"),
        (
            GOOD + GOOD.replace('"mark_iv": 45.5', '"mark_iv": "45.5"'),
            "line 2: mark_iv of BTC-9JAN26-95000-C is not a number",
        ),
        (GOOD + GOOD.replace("[{", "[1, {"), "line 2: a row of book_summaries is not an object"),
        (GOOD + GOOD.replace("[{", "[}, {"), "line 2: not JSON"),
        (GOOD.replace(str(MIDNIGHT_MS + HOUR_MS), "1767571"), "line 1: recorded_at 1767571 is not a time"),
        (GOOD + "hello}\n", "line 2: not JSON"),
        (GOOD + '{"a": 1}\n', "line 2: recorded_at is missing"),
        (GOOD.replace("90000.0", '"x"', 1), "line 1: index_price is missing or of the wrong type"),
        (GOOD.replace("90000.0", "-1", 1), "line 1: index_price is not a positive number"),
        (GOOD.replace("90000.0", "NaN", 1), "line 1: index_price is not a positive number"),
        ("[1, 2]}\n", "line 1: not JSON"),
        ("", "no snapshot"),
        (GOOD.replace('"BTC"', '"SOL"', 1), "no BTC or ETH snapshot"),
    ],
)
def test_a_damaged_recording_is_refused_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "chain.jsonl"
    path.write_text(text)
    with pytest.raises(RecordingError, match=message) as caught:
        RecordedMarket(path)
    assert str(path) in str(caught.value)


def test_a_truncated_gzip_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "chain.jsonl.gz", [record(hour, 90_000.0) for hour in range(50)])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecordingError, match=r"line 4\d: the gzip file is cut off"):
        RecordedMarket(path)


def test_a_file_that_is_not_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chain.jsonl.gz"
    path.write_text(GOOD)
    with pytest.raises(RecordingError, match="cannot be read"):
        RecordedMarket(path)


def test_an_empty_folder_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"no \.jsonl"):
        RecordedMarket(tmp_path)
    with pytest.raises(RecordingError, match="no such file"):
        RecordedMarket(tmp_path / "nowhere")


def test_a_line_that_a_stopped_recorder_left_unfinished_is_left_out_with_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "chain.jsonl"
    path.write_text(GOOD + GOOD[:150])
    market = RecordedMarket(path)
    assert not market.clock.wait_for_next(300.0)
    assert capsys.readouterr().err == f"{path}, line 2: unfinished last line left out\n"


def test_a_last_line_without_its_newline_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "chain.jsonl"
    path.write_text(GOOD + json.dumps(record(5, 90_000.0)))
    assert RecordedMarket(path).clock.wait_for_next(300.0)


def test_hidden_files_are_no_part_of_a_recording_nor_of_its_candles(tmp_path: Path) -> None:
    folder = write(tmp_path / "rec" / "BTC.jsonl", [record(6, 90_000.0)]).parent
    (folder / "._BTC.jsonl").write_bytes(b"\x00\x05\x16\x07Mac OS X")
    (folder / ".trash").mkdir()
    (folder / ".trash" / "ETH.jsonl").write_text("x")
    write_candles(folder / "BTC_1h.csv")
    (folder / "._BTC_1h.csv").write_bytes(b"\x00\x05\x16\x07Mac OS X")
    assert RecordedMarket(folder, candles=folder).currencies == ("BTC",)


# --- candles ---------------------------------------------------------------------------------


def write_candles(
    path: Path, first_ms: int = MIDNIGHT_MS, times: float = 1, prefix: str = "", comma: str = ","
) -> Path:
    """Six hours of candles; `times` turns milliseconds into another unit."""
    rows = [["open_time", "open", "high", "low", "close", "volume"]]
    rows += [[str(int((first_ms + hour * HOUR_MS) * times)), *["90000.0"] * 4, "1"] for hour in range(6)]
    path.write_text(prefix + "".join(comma.join(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(("times", "prefix"), [(1, ""), (0.001, ""), (1_000, ""), (1_000_000, ""), (1, "\ufeff")])
def test_candles_are_the_same_in_any_unit_of_time_and_behind_a_byte_order_mark(
    tmp_path: Path, times: float, prefix: str
) -> None:
    recording = write(tmp_path / "chain.jsonl", [record(6.5, 90_000.0)])
    market = RecordedMarket(recording, candles=write_candles(tmp_path / "BTC_1h.csv", MIDNIGHT_MS, times, prefix))
    bars = market.index_bars("BTC", MIDNIGHT_MS, MIDNIGHT_MS + 6 * HOUR_MS, 60)
    assert [bar.opened_at_ms for bar in bars[:6]] == [MIDNIGHT_MS + hour * HOUR_MS for hour in range(6)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"comma": ";"}, "line 1: columns are separated by commas, found: open_time;open"),
        ({"first_ms": 3_600_000}, "line 2: open_time 3600000 is not a time between 2009 and 2100"),
        ({"first_ms": MIDNIGHT_MS + DAY_MS}, "no BTC candle overlaps the recording"),
        ({"first_ms": MIDNIGHT_MS - 90 * DAY_MS}, "no BTC candle overlaps the recording"),
    ],
)
def test_candles_that_cannot_be_used_are_refused_with_a_sentence(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    recording = write(tmp_path / "chain.jsonl", [record(6, 90_000.0)])
    with pytest.raises(RecordingError, match=message):
        RecordedMarket(recording, candles=write_candles(tmp_path / "BTC_1h.csv", **changes))


def test_a_last_candle_that_was_cut_is_left_out_with_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording, candles = write(tmp_path / "chain.jsonl", [record(6, 90_000.0)]), write_candles(tmp_path / "BTC_1h.csv")
    candles.write_text(candles.read_text().removesuffix("00.0,1\n"))  # its close is 900 now
    bars = RecordedMarket(recording, candles=candles).index_bars("BTC", MIDNIGHT_MS, MIDNIGHT_MS + 6 * HOUR_MS, 60)
    assert {bar.close for bar in bars} == {90_000.0}
    assert "line 7: unfinished last row left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("90000,90000,90000", "line 3: 4 columns where the heading has 6"),
        ("90000,90000,90000,86,1", "line 3: open 90000 and close 86 do not lie from low 90000 to high 90000"),
        ("90000,89000,88000,88500,1", "line 3: open 90000 and close 88500 do not lie from low 88000 to high 89000"),
    ],
)
def test_a_candle_that_cannot_be_is_refused_with_its_line(tmp_path: Path, row: str, message: str) -> None:
    recording, candles = write(tmp_path / "chain.jsonl", [record(6, 90_000.0)]), write_candles(tmp_path / "BTC_1h.csv")
    lines = candles.read_text().splitlines()
    lines[2] = f"{lines[2].partition(',')[0]},{row}"
    candles.write_text("\n".join(lines) + "\n")
    with pytest.raises(RecordingError, match=message):
        RecordedMarket(recording, candles=candles)


@pytest.mark.parametrize("kept_in", [None, "columns"])
def test_a_recording_under_the_name_of_another_coin_is_refused(tmp_path: Path, kept_in: str | None) -> None:
    folder = None if kept_in is None else tmp_path / kept_in
    changed = record(6, 90_000.0) | {"currency": "ETH"}
    with pytest.raises(RecordingError, match=r"line 1: currency is ETH, the options are others, such as BTC-"):
        RecordedMarket(write(tmp_path / "chain.jsonl", [changed]), columns_folder=folder)


def test_candles_of_another_coin_are_refused(tmp_path: Path) -> None:
    recording = write(tmp_path / "chain.jsonl", [record(6, 90_000.0)])
    with pytest.raises(RecordingError, match="candles of none of the recorded coins"):
        RecordedMarket(recording, candles=write_candles(tmp_path / "ETH_1h.csv"))


def test_a_recording_of_one_coin_funds_that_coin_alone(tmp_path: Path) -> None:
    recording = write(tmp_path / "chain.jsonl", [record(6, 90_000.0)])
    setup = recorded_setup(recording, {"BTC": 1.0, "ETH": 10.0}, None, None)
    assert setup.exchange.account.state.balances_coin == {"BTC": 1.0}


def test_a_damaged_candle_or_price_file_is_refused_with_file_and_line(tmp_path: Path) -> None:
    recording = write(tmp_path / "chain.jsonl", [record(6, 90_000.0)])
    candles = tmp_path / "BTC_1h.csv"
    candles.write_text("open_time,open,high,low,close,volume\n2026-01-05 01:00:00+00:00,1,x,1,1,1\n")
    with pytest.raises(RecordingError, match="line 2: high"):
        RecordedMarket(recording, candles=candles)
    with pytest.raises(RecordingError, match="price column not found"):
        RecordedMarket(recording, delivery_prices=candles)


# --- real recordings -----------------------------------------------------------------------


@needs_shared_data
def test_real_chains_play_back_with_marks_that_black76_gives_back() -> None:
    market = RecordedMarket(SHARED / "chains" / "BTC_2026-01.jsonl.gz")
    errors = []
    for _ in range(10):
        for listing, quote in zip(market.listings("BTC"), market.quotes("BTC"), strict=True):
            years = (listing.expires_at_ms - quote.timestamp_ms) / YEAR_MS
            price = pricing.black76_price_coin(
                quote.underlying_price_usd, listing.strike_usd, quote.mark_iv_fraction, years, listing.is_call
            )
            errors.append(abs(price - quote.mark_coin))
        assert market.clock.wait_for_next(300.0)
    errors.sort()
    assert len(errors) > 4000
    assert errors[len(errors) // 2] < 2e-5


@needs_shared_data
def test_real_settlement_files_are_read_and_agree_with_the_chains() -> None:
    chains = SHARED / "chains" / "ETH_2026-01.jsonl.gz"
    exact = RecordedMarket(chains, delivery_prices=SHARED / "settlement")
    rough = RecordedMarket(chains)
    for market in (exact, rough):
        market.clock.sleep(20 * 86_400.0)
    expiry = parse_option_name("ETH-16JAN26-3000-C")
    assert expiry is not None
    real = exact.delivery_price("ETH", expiry.expires_at_ms)
    interpolated = rough.delivery_price("ETH", expiry.expires_at_ms)
    assert real is not None
    assert interpolated is not None
    assert not real.is_approximate
    assert real.price_usd == pytest.approx(interpolated.price_usd, rel=0.01)


@needs_shared_data
def test_real_five_minute_chains_wake_every_five_minutes() -> None:
    market = RecordedMarket(SHARED / "chains_5min", candles=SHARED / "spot")
    gaps = []
    for _ in range(20):
        before = now_ms(market.clock)
        assert market.clock.wait_for_next(300.0)
        gaps.append(now_ms(market.clock) - before)
        assert min(len(market.quotes("BTC")), len(market.quotes("ETH"))) > 400
    assert sorted(gaps)[10] == pytest.approx(5 * MINUTE_MS, abs=MINUTE_MS)
    start_ms = now_ms(market.clock) - 30 * DAY_MS
    assert len(market.index_bars("BTC", start_ms, now_ms(market.clock), 60)) >= 719
