"""The chain recorder: it changes nothing that goes by, and what it writes can be played back."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from deribit_client import DeribitClient
from paper_exchange.recorded.chain_recorder import ChainRecorder
from paper_exchange.recorded.files import scan_recording
from paper_exchange.recorded.market import RecordedMarket
from paper_exchange.setups import recorded_setup
from paper_exchange.transport import PaperTransport
from tests.builders.agent import a_setup, agent_at, desk_on, run_for, simulated_desk
from tests.builders.configs import a_config, agent_config
from tests.builders.paper import CALL, ScriptedMarket, exchange_on, market_with

START_MS = 1_767_614_400_000
ROW_FIELDS = {"instrument_name", "underlying_price", "bid_price", "ask_price", "mark_price", "mark_iv"}


def a_recording_client(folder: Path, market: ScriptedMarket) -> DeribitClient:
    transport = ChainRecorder(PaperTransport(exchange_on(market)), folder)
    return DeribitClient(a_config(), transport=transport, clock=market.clock, credentials=("paper", "paper"))


def snapshots(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl.gz")) for line in lines_of(path)]


def lines_of(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines()


def test_a_chain_becomes_one_line_with_time_coin_index_and_rows(tmp_path: Path) -> None:
    client = a_recording_client(tmp_path, market_with())
    client.get_index_price("BTC")
    client.get_book_summaries("BTC")
    (snapshot,) = snapshots(tmp_path)
    assert list(snapshot) == ["recorded_at", "currency", "index_price", "book_summaries"]
    assert (snapshot["recorded_at"], snapshot["currency"], snapshot["index_price"]) == (START_MS, "BTC", 90_000.0)
    (row,) = snapshot["book_summaries"]
    assert set(row) >= ROW_FIELDS
    assert (row["instrument_name"], row["bid_price"], row["ask_price"]) == (CALL, 0.02, 0.021)


def test_each_coin_and_day_has_its_own_file_and_lines_are_added(tmp_path: Path) -> None:
    market = market_with()
    client = a_recording_client(tmp_path, market)
    for pause_seconds in (300.0, 86_400.0, 0.0):
        for coin in ("BTC", "ETH"):
            client.get_index_price(coin)
            client.get_book_summaries(coin)
        market.clock.sleep(pause_seconds)
    sizes = {path.name: len(lines_of(path)) for path in tmp_path.iterdir()}
    assert sizes == {
        "BTC_2026-01-05.jsonl.gz": 2,
        "BTC_2026-01-06.jsonl.gz": 1,
        "ETH_2026-01-05.jsonl.gz": 2,
        "ETH_2026-01-06.jsonl.gz": 1,
    }


@pytest.mark.parametrize("torn_bytes", [1, 9, 20])
def test_a_snapshot_that_a_kill_cut_short_costs_nothing_but_itself(
    tmp_path: Path, torn_bytes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its readers leave it out with a word, and the next recorder writes over it."""
    market = market_with()
    for life in range(3):
        client = a_recording_client(tmp_path, market)
        client.get_index_price("BTC")
        client.get_book_summaries("BTC")
        market.clock.sleep(300.0)
        (path,) = tmp_path.iterdir()
        path.write_bytes(path.read_bytes() + gzip.compress(b"half" * 50)[:torn_bytes])
        assert len(scan_recording(path)) == life + 1
        assert f"line {life + 2}: unfinished last line left out" in capsys.readouterr().err


def test_a_damaged_file_of_today_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "BTC_2026-01-05.jsonl.gz"
    path.write_bytes(gzip.compress(b"{}\n") + b"no gzip")
    client = a_recording_client(tmp_path, market_with())
    client.get_index_price("BTC")
    client.get_book_summaries("BTC")
    assert path.read_bytes().endswith(b"no gzip")
    assert "not recorded: BTC_2026-01-05.jsonl.gz: it is damaged" in capsys.readouterr().err


def test_the_client_hears_what_it_would_hear_without_the_recorder(tmp_path: Path) -> None:
    market = market_with()
    client = a_recording_client(tmp_path, market)
    plain = DeribitClient(
        a_config(),
        transport=PaperTransport(exchange_on(market)),
        clock=market.clock,
        credentials=("paper", "paper"),
    )
    asks: list[Callable[[DeribitClient], object]] = [
        lambda asked: asked.get_index_price("BTC"),
        lambda asked: [*asked.get_book_summaries("BTC").rows()],
        lambda asked: asked.get_ticker(CALL),
        lambda asked: asked.get_positions(),
    ]
    assert [ask(client) for ask in asks] == [ask(plain) for ask in asks]


def test_a_chain_without_an_index_before_it_is_not_recorded(tmp_path: Path) -> None:
    client = a_recording_client(tmp_path, market_with())
    client.get_index_price("ETH")
    client.get_book_summaries("BTC")
    assert snapshots(tmp_path) == []


def test_nothing_but_chains_is_recorded(tmp_path: Path) -> None:
    client = a_recording_client(tmp_path, market_with())
    client.get_index_price("BTC")
    client.get_ticker(CALL)
    client.get_instruments("BTC")
    client.get_positions()
    assert snapshots(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>502</html>",
        b"null",
        b'{"result": null}',
        b'{"result": [null], "usOut": 1}',
        b'{"result": []}',
        b'{"error": {"code": 10028, "message": "too_many_requests"}}',
        b'{"result": {"index_price": "x"}, "usOut": "y"}',
    ],
)
@pytest.mark.parametrize("method", ["public/get_index_price", "public/get_book_summary_by_currency"])
def test_an_answer_that_cannot_be_read_is_handed_on_as_it_is(tmp_path: Path, content: bytes, method: str) -> None:
    recorder = ChainRecorder(httpx.MockTransport(lambda request: httpx.Response(200, content=content)), tmp_path)
    body = {"params": {"currency": "BTC", "index_name": "btc_usd"}}
    reply = httpx.Client(transport=recorder).post(f"https://test.deribit.com/api/v2/{method}", json=body)
    assert (reply.status_code, reply.content) == (200, content)
    assert snapshots(tmp_path) == []


def test_a_simulated_run_can_be_played_back_quote_by_quote(tmp_path: Path) -> None:
    setup = a_setup()
    client = DeribitClient(
        a_config(),
        transport=ChainRecorder(setup.transport, tmp_path),
        clock=setup.clock,
        credentials=("paper", "paper"),
    )
    client.get_index_price("BTC")
    chain = client.get_book_summaries("BTC")
    played = RecordedMarket(tmp_path)
    assert (played.currencies, played.index_price("BTC")) == (("BTC",), 90_000.0)
    shown = {quote.name: (quote.bid_coin, quote.ask_coin, quote.mark_coin) for quote in played.quotes("BTC")}
    assert shown == {
        quote.symbol: (quote.bid_price_coin, quote.ask_price_coin, quote.mark_price_coin) for quote in chain.rows()
    }


def test_the_agent_runs_on_what_it_has_recorded(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path / "first")
    recorder = ChainRecorder(desk.wire, tmp_path / "chains")
    client = DeribitClient(desk.config, transport=recorder, clock=desk.clock, credentials=("paper", "paper"))
    run_for(agent_at(replace(desk, client=client)), 3)
    setup = recorded_setup(tmp_path / "chains", {"BTC": 1.0, "ETH": 10.0}, None, None)
    replayed = agent_at(desk_on(setup.exchange, agent_config(tmp_path / "second")))
    records = run_for(replayed, 3)
    assert [record.error for record in records] == [None] * 3
    assert [market.option_count for record in records if record.agent_state for market in record.agent_state.markets]
