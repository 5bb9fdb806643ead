"""DVOL and trades from files: whatever their times are written in, and a sentence where they cannot be used."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from backtest.historical.files import read_dvol, read_trades
from backtest.surface.known import FloatArray
from paper_exchange.market.clocks import DAY_MS, HOUR_MS
from paper_exchange.recorded.files import RecordingError

FIRST_MS = 1_767_225_600_000  # 2026-01-01


@pytest.mark.parametrize("factor", [0.001, 1, 1000, 1_000_000])
def test_times_are_read_in_seconds_milli_micro_and_nanoseconds(tmp_path: Path, factor: float) -> None:
    rows = [f"{int((FIRST_MS + hour * HOUR_MS) * factor)},{50 + hour}" for hour in range(3)]
    (tmp_path / "BTC_1h.csv").write_text("timestamp,dvol\n" + "\n".join(rows))
    bars = read_dvol(tmp_path)["BTC", HOUR_MS]
    assert [(bar.opened_at_ms, bar.close) for bar in bars] == [(FIRST_MS + n * HOUR_MS, 50.0 + n) for n in range(3)]


def test_days_and_hours_are_told_apart_and_a_mark_of_excel_is_no_harm(tmp_path: Path) -> None:
    text = "\ufeffdate,open,high,low,close\n2026-01-01,50,51,49,50.5\n2026-01-02,50,51,49,52\n"
    (tmp_path / "ETH_1d.csv").write_text(text)
    (bars,) = read_dvol(tmp_path).values()
    assert list(read_dvol(tmp_path)) == [("ETH", DAY_MS)]
    assert [bar.close for bar in bars] == [50.5, 52.0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot be read"),
        ("a,b\n1,2\n", "wanted rows with a time"),
        ("date,close\n2026-01-01,0.55x\n", "not a percentage"),
        ("date,close\n2026-01-01,-5\n", "not a percentage"),
        ("date,close\nsoon,50\n", "a time cannot be read"),
        ("date,close\n2026-01-01,50\n,51\n", "line 3: not a time between 2009 and 2100"),
        ("timestamp,close\n1767225600,50\n1767229200000000,51\n", "line 3: not a time between 2009 and 2100"),
        ("date,close\n2026-01-01,50\n2026-03-01,51\n2026-05-01,51\n", "neither an hour nor a day apart"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "BTC_1d.csv").write_text(text)
    with pytest.raises(RecordingError, match=reason):
        read_dvol(tmp_path)


def test_an_empty_folder_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no DVOL file"):
        read_dvol(tmp_path)


def test_trades_are_read_by_coin_and_in_order(tmp_path: Path) -> None:
    text = """timestamp,instrument_name,price,amount,iv,index_price
1767225700000,BTC-9JAN26-95000-C,0.02,0.1,45.5,90000
1767225600000,BTC-9JAN26-85000-P,0.02,0.1,47.0,90000
1767225800000,BTC-PERPETUAL,90000,10,,90000
1767225900000,BTC-9JAN26-99000-C,0.01,0.1,,90000
"""
    (tmp_path / "BTC_2026-01.csv").write_text(text)
    trades = read_trades(tmp_path, "BTC")
    strikes: FloatArray = trades.strikes_usd
    assert strikes.tolist() == [85_000.0, 95_000.0]
    assert trades.iv_fraction.tolist() == [0.47, 0.455]
    assert len(read_trades(tmp_path, "ETH")) == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("timestamp,instrument_name,iv\n1767225700000,BTC-9JAN26-95000-C,45\n", "there is no column index_price"),
        ("timestamp,instrument_name,iv,index_price\n,BTC-9JAN26-95000-C,45,90000\n", "not a time"),
    ],
)
def test_trades_that_cannot_be_used_say_why(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "BTC_2026-01.csv").write_text(text)
    with pytest.raises(RecordingError, match=reason):
        read_trades(tmp_path, "BTC")


def test_trades_with_words_for_numbers_are_left_out_and_seconds_are_told_from_milliseconds(tmp_path: Path) -> None:
    rows = "1767225600,BTC-9JAN26-95000-C,high,90000\n1767225700,BTC-9JAN26-95000-C,45.5,90000\n"
    (tmp_path / "BTC_2026-01.csv").write_text("timestamp,instrument_name,iv,index_price\n" + rows)
    assert read_trades(tmp_path, "BTC").at_ms.tolist() == [FIRST_MS + 100_000]


def test_a_packed_file_that_was_cut_off_or_damaged_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(b"date,close\n" + b"".join(b"2026-01-%02d,50\n" % day for day in range(1, 31)))
    for spoiled in (whole[:-12], whole[:20] + b"\xff" * 20 + whole[40:]):
        (tmp_path / "BTC_1d.csv.gz").write_bytes(spoiled)
        with pytest.raises(RecordingError, match=r"BTC_1d\.csv\.gz: cannot be read"):
            read_dvol(tmp_path)
