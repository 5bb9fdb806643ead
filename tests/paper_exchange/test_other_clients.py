"""The paper exchange as clients meet it that were written for Deribit itself, not for this project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import HOUR_MS
from tests.builders.paper import CALL, NEAR_CALL, SHARED, Caller, exchange_on, market_with

ACCEPTED = sorted((SHARED / "deribit" / "accepted_requests").glob("*.json"))
FOREIGN = ("USDC", "USDT", "EURR")


@pytest.fixture
def caller() -> Caller:
    return Caller(exchange_on(market_with(CALL)))


def error_code(caller: Caller, method: str, **params: Any) -> int:
    body = json.dumps({"id": 1, "method": method, "params": params}).encode()
    _, reply = caller.send("POST", "/api/v2", "", body)
    code: int = reply["error"]["code"]
    return code


# --- what Deribit accepted is answered -------------------------------------------------


def requests_in(path: Path) -> list[dict[str, Any]]:
    record = json.loads(path.read_text())
    found: list[dict[str, Any]] = record.get("requests") or [record["request"]]
    return found


@pytest.mark.skipif(not ACCEPTED, reason="the recorded requests are not here")
@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_every_request_that_deribit_accepted_is_answered_or_refused_as_an_unknown_instrument(
    caller: Caller, path: Path
) -> None:
    for request in requests_in(path):
        url = urlsplit(request["url"])
        status, reply = caller.send(request["method"], url.path, url.query, (request["body"] or "").encode())
        if "BTC_USDT" in url.query:
            assert (status, reply["error"]["code"]) == (400, 13020)
        else:
            assert (status, "result" in reply) == (200, True)


# --- names and currencies ----------------------------------------------------------------


def test_a_method_may_begin_with_a_slash(caller: Caller) -> None:
    body = json.dumps({"id": 1, "method": "/public/get_time"}).encode()
    status, reply = caller.send("POST", "/api/v2", "", body)
    assert (status, "result" in reply) == (200, True)
    assert caller.send("GET", "/api/v2", "method=/private/get_positions&currency=BTC", b"")[0] == 200


@pytest.mark.parametrize("currency", FOREIGN)
def test_currencies_without_options_here_are_empty_not_unknown(caller: Caller, currency: str) -> None:
    assert caller.result("private/get_account_summary", currency=currency)["equity"] == 0.0
    assert caller.result("private/get_positions", currency=currency) == []
    assert caller.result("private/get_open_orders_by_currency", currency=currency) == []
    assert caller.result("private/get_transaction_log", currency=currency)["logs"] == []
    assert caller.result("private/cancel_all_by_currency", currency=currency) == 0
    assert error_code(caller, "private/get_positions", currency="DOGE") == -32602


def test_the_perpetual_is_listed_has_a_ticker_and_cannot_be_traded(caller: Caller) -> None:
    listed = caller.result("public/get_instruments", currency="BTC")
    assert "BTC-PERPETUAL" in [row["instrument_name"] for row in listed]
    ticker = caller.result("public/ticker", instrument_name="BTC-PERPETUAL")
    assert ticker["best_bid_price"] < ticker["mark_price"] == ticker["index_price"] < ticker["best_ask_price"]
    order = {"instrument_name": "BTC-PERPETUAL", "amount": 10, "type": "market"}
    assert error_code(caller, "private/buy", **order) == 13020


def test_the_index_is_given_as_points_of_its_candles(caller: Caller) -> None:
    points = caller.result("public/get_index_chart_data", index_name="btc_usd", range="1m")
    chart = caller.result(
        "public/get_tradingview_chart_data",
        instrument_name="BTC-PERPETUAL",
        resolution=60,
        start_timestamp=0,
        end_timestamp=2_000_000_000_000,
    )
    assert points == [[tick + HOUR_MS, close] for tick, close in zip(chart["ticks"], chart["close"], strict=True)]
    assert error_code(caller, "public/get_index_chart_data", index_name="btc_usd", range="5m") == -32602


# --- orders --------------------------------------------------------------------------------


def test_a_market_order_shows_the_price_it_may_not_pass(caller: Caller) -> None:
    order = caller.result("private/buy", instrument_name=CALL, amount=0.1, type="market")["order"]
    band = caller.result("private/get_margins", instrument_name=CALL, amount=0.1, price=0.02)
    assert order["price"] == band["max_price"] > order["average_price"] > 0.0


def test_a_position_is_closed_by_one_call(caller: Caller) -> None:
    caller.result("private/sell", instrument_name=CALL, amount=0.3, type="market")
    closed = caller.result("private/close_position", instrument_name=CALL, type="market")
    assert (closed["order"]["direction"], closed["order"]["filled_amount"]) == ("buy", 0.3)
    assert error_code(caller, "private/close_position", instrument_name=CALL, type="market") == 11030


def test_an_order_is_edited_by_its_label_where_the_label_names_one(caller: Caller) -> None:
    order = {"instrument_name": CALL, "amount": 0.1, "label": "mine"}
    caller.result("private/sell", price=0.04, **order)
    edited = caller.result("private/edit_by_label", price=0.0405, **order)["order"]
    assert (edited["price"], edited["replaced"]) == (0.0405, True)
    caller.result("private/sell", price=0.04, **order)
    assert error_code(caller, "private/edit_by_label", price=0.03, **order) == 13032
    assert error_code(caller, "private/edit_by_label", price=0.03, **order | {"label": "other"}) == 10004


@pytest.mark.parametrize(
    ("params", "cancelled"),
    [
        ({"currency": "any"}, 1),
        ({"currency": ["BTC", "USDC"], "kind": "option", "type": "limit"}, 1),
        ({"currency": "ETH"}, 0),
        ({"currency": "BTC", "kind": "future"}, 0),
        ({"currency": "BTC", "type": "trigger_all"}, 0),
    ],
)
def test_orders_are_cancelled_by_kind_or_type(caller: Caller, params: dict[str, Any], cancelled: int) -> None:
    caller.result("private/sell", instrument_name=CALL, amount=0.1, price=0.04)
    assert caller.result("private/cancel_all_by_kind_or_type", **params) == cancelled


def test_last_settlements_tell_the_delivery_price_of_an_expired_option() -> None:
    market = market_with(NEAR_CALL)
    caller = Caller(exchange_on(market))
    market.deliver(NEAR_CALL, 100_000.0)
    market.sleep_until_expiry(NEAR_CALL)
    row = caller.result("public/get_last_settlements_by_instrument", instrument_name=NEAR_CALL)["settlements"][0]
    assert (row["type"], row["index_price"], row["mark_price"]) == ("delivery", 100_000.0, 0.05)
    rows = caller.result("public/get_last_settlements_by_currency", currency="BTC")["settlements"]
    assert [(row["type"], row["instrument_name"]) for row in rows] == [
        ("settlement", "BTC-PERPETUAL"),
        ("delivery", "BTC-6JAN26"),
    ]


def test_the_log_of_a_settlement_of_2026_has_the_recorded_fields() -> None:
    market = market_with(NEAR_CALL)
    exchange = PaperExchange(market, PaperAccount(market, into_futures=True))
    caller = Caller(exchange)
    caller.result("private/sell", instrument_name=NEAR_CALL, amount=0.1, type="market")
    market.deliver(NEAR_CALL, 100_000.0)
    market.sleep_until_expiry(NEAR_CALL)
    summary, future, option = caller.result("private/get_transaction_log", currency="BTC")["logs"][:3]
    assert (summary["type"], summary["instrument_name"], summary["side"], summary["change"]) == (
        "options_settlement_summary",
        None,
        "-",
        0.0,
    )
    assert (future["type"], future["price"], future["price_currency"], future["amount"]) == (
        "delivery",
        100_000.0,
        "USD",
        9_500.0,
    )
    assert future["change"] == pytest.approx(-0.1 * 0.05)
    assert (option["type"], option["settlement_price"], option["index_price"]) == ("assignment", 100_000.0, 90_000.0)
    history = caller.result("private/get_settlement_history_by_currency", currency="BTC")
    assert (history["settlements"][0]["type"], history["continuation"]) == ("exercise", "none")
