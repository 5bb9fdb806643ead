"""The public API over a simulated market: Deribit's JSON, units and errors. No network."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from core import pricing
from paper_exchange.api.public_api import PublicApi
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, YEAR_MS, SimulatedClock, now_ms
from paper_exchange.market.errors import RpcError
from paper_exchange.market.expiries import MarketSize
from paper_exchange.recorded.market import RecordedMarket
from paper_exchange.simulated.market import SimulatedMarket

RECORDED = Path(__file__).resolve().parents[2].parent / "shared" / "deribit" / "recorded"
needs_recordings = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded replies are not here")

NAME = "BTC-9JAN26-92000-C"
START = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def market() -> SimulatedMarket:
    return SimulatedMarket(1, SimulatedClock(START), size=MarketSize(expiries_max=5, strikes_per_side=5))


@pytest.fixture(scope="module")
def api(market: SimulatedMarket) -> PublicApi:
    return PublicApi(market)


def recorded_result(name: str) -> Any:
    body = json.loads((RECORDED / name).read_text())
    return body.get("result", body) if isinstance(body, dict) else body


def error_of(api: PublicApi, method: str, **params: Any) -> dict[str, Any]:
    with pytest.raises(RpcError) as caught:
        api.call(method, params)
    return caught.value.body()


# --- the plain ones ------------------------------------------------------------------


def test_time_and_status_are_as_recorded(api: PublicApi, market: SimulatedMarket) -> None:
    assert api.call("public/get_time", {}) == now_ms(market.clock)
    assert api.call("public/status", {}) == {"locked": "false"}
    assert api.call("public/test", {}) == {"version": "1.2.26"}
    assert api.call("public/get_announcements", {}) == []
    assert [row["currency"] for row in api.call("public/get_currencies", {})] == ["BTC", "ETH"]


def test_the_index_is_given_twice(api: PublicApi, market: SimulatedMarket) -> None:
    found = api.call("public/get_index_price", {"index_name": "eth_usd"})
    assert found["index_price"] == found["estimated_delivery_price"] == market.index_price("ETH")
    assert api.call("public/get_index_price_names", {}) == ["btc_usd", "eth_usd"]


def test_unknown_methods_and_bad_parameters_are_refused_in_deribits_words(api: PublicApi) -> None:
    assert error_of(api, "public/nothing") == {"code": -32601, "message": "Method not found"}
    assert error_of(api, "private/buy")["code"] == -32601
    wrong_currency = error_of(api, "public/get_instruments", currency="XYZ")
    assert wrong_currency["data"] == {"param": "currency", "reason": "invalid currency"}
    assert error_of(api, "public/get_index_price", index_name="sol_usd")["code"] == -32602
    assert error_of(api, "public/test", expected_result="exception")["code"] == 10001


@pytest.mark.parametrize("method", ["ticker", "get_order_book", "get_instrument", "get_book_summary_by_instrument"])
def test_instrument_names_are_checked_for_form_then_looked_up(api: PublicApi, method: str) -> None:
    malformed = error_of(api, f"public/{method}", instrument_name="BTC-NOTAREAL")
    assert malformed == {
        "code": -32602,
        "message": "Invalid params",
        "data": {"reason": "wrong format", "param": "instrument_name"},
    }
    assert error_of(api, f"public/{method}", instrument_name="BTC-9JAN26-1-C") == {
        "code": 13020,
        "message": "not_found",
    }
    assert error_of(api, f"public/{method}")["code"] == -32602


def test_an_expired_option_has_no_ticker_and_is_archived() -> None:
    source = SimulatedMarket(1, SimulatedClock(START), size=MarketSize(expiries_max=2, strikes_per_side=1))
    name = source.listings("BTC")[0].name
    api = PublicApi(source)
    assert api.call("public/ticker", {"instrument_name": name})["instrument_name"] == name
    source.clock.sleep(86_400.0)
    assert error_of(api, "public/ticker", instrument_name=name)["code"] == 13020
    row = api.call("public/get_instrument", {"instrument_name": name})
    assert (row["state"], row["is_active"]) == ("archivized", False)


# --- instruments ---------------------------------------------------------------------


@needs_recordings
@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_instrument_rows_have_every_recorded_field_with_the_same_type(api: PublicApi, coin: str) -> None:
    recorded = recorded_result(f"public_get_instruments__{coin}_option_mainnet_20260715.json")[0]
    row = api.call("public/get_instruments", {"currency": coin, "kind": "option", "expired": False})[0]
    assert set(recorded) <= set(row)
    unlike = {"instrument_name", "instrument_id", "strike", "expiration_timestamp", "creation_timestamp"}
    assert {field: row[field] for field in recorded if field not in unlike} == {
        field: recorded[field] for field in recorded if field not in unlike
    }


def test_instruments_can_be_asked_for_by_coin_kind_and_any(api: PublicApi) -> None:
    def count(**params: Any) -> int:
        return len(api.call("public/get_instruments", params))

    both = count(currency="BTC", kind="option") + count(currency="ETH", kind="option")
    assert count(currency="any", kind="option", expired=False) == both
    assert count(currency="USDC", kind="option") == 0
    assert count(currency="BTC", kind="future") == 1
    assert count() == both + 2
    assert count(currency="BTC", kind="option", expired=True) == 0


def test_expirations_and_contract_size_are_known(api: PublicApi) -> None:
    found = api.call("public/get_expirations", {"currency": "BTC", "kind": "option"})
    assert found["btc"]["option"][:4] == ["6JAN26", "7JAN26", "8JAN26", "9JAN26"]
    assert set(api.call("public/get_expirations", {"currency": "grouped", "kind": "any"})) == {"btc", "eth"}
    assert api.call("public/get_expirations", {"currency": "any", "kind": "option"})["option"][0] == "6JAN26"
    assert api.call("public/get_contract_size", {"instrument_name": NAME}) == {"contract_size": 1.0}


# --- book summaries and tickers ----------------------------------------------------------


@needs_recordings
def test_book_summaries_have_every_recorded_field(api: PublicApi) -> None:
    recorded = recorded_result("public_get_book_summary_by_currency__testnet_rows_20250117.json")[0]
    rows = api.call("public/get_book_summary_by_currency", {"currency": "BTC", "kind": "option"})
    assert all(set(recorded) == set(row) for row in rows)


def test_book_summaries_are_in_percent_with_null_for_empty_sides(api: PublicApi, market: SimulatedMarket) -> None:
    rows = api.call("public/get_book_summary_by_currency", {"currency": "BTC", "kind": "option"})
    assert len(rows) == len(market.quotes("BTC"))
    for row, quote in zip(rows, market.quotes("BTC"), strict=True):
        assert row["mark_iv"] == pytest.approx(100.0 * quote.mark_iv_fraction, abs=1e-9)
        assert (row["bid_price"], row["ask_price"]) == (quote.bid_coin, quote.ask_coin)
        assert (row["mid_price"] is None) == (quote.bid_coin is None or quote.ask_coin is None)
        assert row["estimated_delivery_price"] == market.index_price("BTC")
    assert api.call("public/get_book_summary_by_instrument", {"instrument_name": NAME})[0] in rows


@needs_recordings
@pytest.mark.parametrize(
    "name",
    [
        "public_ticker__BTC-15SEP26-77000-C_testnet_20260914_ws_data.json",
        "public_ticker__BTC-25DEC26-76000-C_mainnet_20260930_ws_data.json",
    ],
)
def test_tickers_have_the_recorded_fields_except_the_settlement_price(api: PublicApi, name: str) -> None:
    recorded = recorded_result(name)
    ticker = api.call("public/ticker", {"instrument_name": NAME})
    assert set(recorded) - set(ticker) == {"settlement_price"}
    assert set(recorded["stats"]) == set(ticker["stats"])
    assert set(recorded["greeks"]) == set(ticker["greeks"])


def test_a_ticker_agrees_with_black76_and_its_own_quotes(api: PublicApi, market: SimulatedMarket) -> None:
    ticker = api.call("public/ticker", {"instrument_name": NAME})
    listing = market.listing(NAME)
    assert listing is not None
    years = (listing.expires_at_ms - ticker["timestamp"]) / YEAR_MS
    forward = ticker["underlying_price"]
    assert ticker["greeks"]["delta"] == pytest.approx(
        pricing.black76_delta(forward, 92_000.0, ticker["mark_iv"] / 100.0, years), abs=1e-5
    )
    for side in ("bid", "ask"):
        price = pricing.black76_price_coin(forward, 92_000.0, ticker[f"{side}_iv"] / 100.0, years)
        assert price == pytest.approx(ticker[f"best_{side}_price"], abs=5e-6)
    assert ticker["bid_iv"] < ticker["mark_iv"] < ticker["ask_iv"]
    assert ticker["mark_price"] == round(ticker["mark_price"], 4)
    assert ticker["min_price"] < ticker["best_bid_price"] < ticker["best_ask_price"] < ticker["max_price"]


def test_an_order_book_shows_the_best_level_and_an_empty_side_is_empty(api: PublicApi, market: SimulatedMarket) -> None:
    without_bid = next(quote for quote in market.quotes("BTC") if quote.bid_coin is None)
    book = api.call("public/get_order_book", {"instrument_name": without_bid.name, "depth": 5})
    assert book["bids"] == []
    assert book["asks"] == [[without_bid.ask_coin, without_bid.ask_amount]]
    assert (book["best_bid_price"], book["best_bid_amount"], book["bid_iv"]) == (0.0, 0.0, 0.0)
    assert error_of(api, "public/get_order_book", instrument_name=NAME, depth=0)["code"] == -32602


def test_nobody_trades_options_here(api: PublicApi) -> None:
    empty = {"trades": [], "has_more": False}
    assert api.call("public/get_last_trades_by_currency", {"currency": "BTC"}) == empty
    assert api.call("public/get_last_trades_by_instrument", {"instrument_name": NAME}) == empty


# --- history -------------------------------------------------------------------------


def test_the_volatility_index_is_in_percent_and_ends_now(api: PublicApi, market: SimulatedMarket) -> None:
    at_ms = now_ms(market.clock)
    params = {"currency": "BTC", "start_timestamp": at_ms - DAY_MS, "end_timestamp": at_ms, "resolution": "3600"}
    found = api.call("public/get_volatility_index_data", params)
    assert found["continuation"] is None
    assert len(found["data"]) == 24
    assert found["data"][-1][0] == at_ms // HOUR_MS * HOUR_MS
    assert all(10.0 < value < 200.0 for row in found["data"] for value in row[1:])
    assert len(api.call("public/get_volatility_index_data", params | {"resolution": "1D"})["data"]) == 1
    assert error_of(api, "public/get_volatility_index_data", **params | {"resolution": "7"})["code"] == -32602


def test_long_histories_of_the_volatility_index_come_in_pages(api: PublicApi, market: SimulatedMarket) -> None:
    at_ms = now_ms(market.clock)
    params = {"currency": "ETH", "start_timestamp": at_ms - 44 * DAY_MS, "resolution": 3600}
    newer = api.call("public/get_volatility_index_data", params | {"end_timestamp": at_ms})
    older = api.call("public/get_volatility_index_data", params | {"end_timestamp": newer["continuation"]})
    joined = [row[0] for row in older["data"] + newer["data"]]
    assert older["continuation"] is None
    assert len(newer["data"]) == 1000
    assert joined == list(range(joined[0], joined[-1] + HOUR_MS, HOUR_MS))
    assert len(joined) == 44 * 24


def test_candles_of_the_perpetual_are_those_of_the_index(api: PublicApi, market: SimulatedMarket) -> None:
    at_ms = now_ms(market.clock)
    params = {"start_timestamp": at_ms - 30 * DAY_MS, "end_timestamp": at_ms, "resolution": "60"}
    chart = api.call("public/get_tradingview_chart_data", params | {"instrument_name": "BTC-PERPETUAL"})
    assert chart["status"] == "ok"
    assert {len(chart[field]) for field in ("ticks", "open", "high", "low", "close", "volume", "cost")} == {720}
    assert chart["close"][-1] == market.index_price("BTC")
    option = api.call("public/get_tradingview_chart_data", params | {"instrument_name": NAME})
    assert (option["status"], option["ticks"]) == ("no_data", [])
    assert error_of(api, "public/get_tradingview_chart_data", **params, instrument_name="BTC")["code"] == -32602


def test_historical_volatility_is_hourly_for_sixteen_days(api: PublicApi, market: SimulatedMarket) -> None:
    found = api.call("public/get_historical_volatility", {"currency": "BTC"})
    assert len(found) == 16 * 24
    assert found[-1][0] == now_ms(market.clock) // HOUR_MS * HOUR_MS
    assert {after[0] - before[0] for before, after in pairwise(found)} == {HOUR_MS}
    assert all(15.0 < value < 150.0 for _, value in found)


def test_delivery_prices_come_newest_first(api: PublicApi, market: SimulatedMarket) -> None:
    found = api.call("public/get_delivery_prices", {"index_name": "btc_usd", "offset": 1, "count": 3})
    assert [row["date"] for row in found["data"]] == ["2026-01-04", "2026-01-03", "2026-01-02"]
    expiry_ms = int(datetime(2026, 1, 4, 8, tzinfo=UTC).timestamp()) * 1000
    delivered = market.delivery_price("BTC", expiry_ms)
    assert delivered is not None
    assert found["data"][0]["delivery_price"] == delivered.price_usd
    assert found["records_total"] == 45


# --- a recorded market behind the same API ---------------------------------------------------


def test_a_recorded_market_without_the_coin_yet_says_so(tmp_path: Path) -> None:
    option = {"instrument_name": NAME, "mark_price": 0.01, "mark_iv": 50.0, "underlying_price": 90_000.0}
    sides = {"bid_price": 0.0095, "ask_price": None}
    first = {"recorded_at": 1_767_600_000_000, "currency": "BTC", "index_price": 90_000.0}
    later = {"recorded_at": 1_767_700_000_000, "currency": "ETH", "index_price": 3_000.0, "book_summaries": []}
    lines = [json.dumps(first | {"book_summaries": [option | sides]}), json.dumps(later)]
    (tmp_path / "chain.jsonl").write_text("\n".join(lines))
    api = PublicApi(RecordedMarket(tmp_path / "chain.jsonl"))
    assert error_of(api, "public/get_index_price", index_name="eth_usd")["code"] == 13028
    assert api.call("public/get_book_summary_by_currency", {"currency": "ETH", "kind": "option"}) == []
    ticker = api.call("public/ticker", {"instrument_name": NAME})
    assert (ticker["best_bid_price"], ticker["best_bid_amount"], ticker["best_ask_price"]) == (0.0095, None, 0.0)
