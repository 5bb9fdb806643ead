"""Every reply recorded from the real Deribit is read into the client's models; errors come out as our errors.

The recordings lie beside the project; the tests skip where they are missing. A file without a reader here fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deribit import envelope, replies
from deribit.chains import read_quotes
from deribit.envelope import read_envelope
from deribit.history import charts
from deribit.replies import Row, rows
from models import AuthenticationError, DeribitError, Fill, Order, PriceBar, RequestRefusedError, SendOutcome
from tests.builders.agent import an_order_request, scripted_desk
from tests.builders.paper import RECORDED
from tests.builders.wire import Fault, answered, result_of

HOUR, NOW = timedelta(hours=1), datetime(2026, 10, 5, tzinfo=UTC)
FILES = sorted(path.name for path in RECORDED.glob("*.json"))
ERRORS = [name for name in FILES if "error" in name]
RESULTS = [name for name in FILES if "error" not in name]

pytestmark = pytest.mark.skipif(not FILES, reason="recorded replies are not part of the project")


def read_receipt(result: Any) -> tuple[Order, tuple[Fill, ...]]:
    return replies.read_order(Row(result["order"])), replies.read_trades(result.get("trades", []))


def read_tickers(result: Any) -> list[object]:
    """One ticker, or several in a list."""
    return [replies.read_ticker(row) for row in rows(result if isinstance(result, list) else [result])]


READERS: dict[str, Callable[[Any], object]] = {
    "private_buy": read_receipt,
    "private_edit": read_receipt,
    "private_cancel": lambda result: replies.read_order(Row(result)),
    "private_get_order_state": lambda result: replies.read_order(Row(result)),
    "private_get_open_orders_by_instrument": lambda result: [replies.read_order(row) for row in rows(result)],
    "private_get_account_summary": lambda result: replies.read_account(Row(result)),
    "private_get_account_summaries": replies.read_accounts,
    "private_get_positions": lambda result: [replies.read_position(row) for row in rows(result)],
    "private_get_user_trades_by_instrument": replies.read_trades,
    "public_get_book_summary_by_currency": read_quotes,
    "public_get_instrument": lambda result: replies.read_instrument(Row(result)),
    "public_get_instruments": replies.read_instruments,
    "public_get_order_book": read_tickers,
    "public_get_historical_volatility": lambda result: [
        PriceBar(replies.utc_from_ms(at), replies.finite(pct)) for at, pct in result
    ],
    "public_get_time": replies.utc_from_ms,
    "public_get_tradingview_chart_data": lambda result: charts.read_bars(Row(result), HOUR, NOW),
    "public_status": lambda result: Row(result).need("locked"),
    "public_ticker": read_tickers,
}


def reply_in(name: str) -> bytes:
    """The JSON-RPC reply in a recording: out of its HTTP wrapper, or put around a bare result."""
    content = json.loads((RECORDED / name).read_text(encoding="utf-8"))
    if isinstance(content, dict) and "body" in content:
        content = content["body"]
    is_reply = isinstance(content, dict) and "jsonrpc" in content
    return json.dumps(content if is_reply else {"jsonrpc": "2.0", "result": content}).encode()


def read(name: str) -> Any:
    method = name.partition("__")[0]
    return READERS[method](envelope.result_of(read_envelope(reply_in(name), method), method))


def answered_as_recorded(name: str) -> Fault:
    """HTTP 400 with the recorded body, which has no id where it answered a GET."""
    reply = json.loads(reply_in(name))
    reply.pop("id", None)
    return answered(400, json.dumps(reply).encode())


def refusal_in(name: str) -> DeribitError:
    with pytest.raises(DeribitError) as caught:
        envelope.result_of(read_envelope(reply_in(name), "private/buy"), "private/buy")
    return caught.value


# --- all of them ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", RESULTS)
def test_every_recorded_result_is_read_into_the_clients_models(name: str) -> None:
    found = read(name)
    assert found is not None
    assert found or "empty" in name


@pytest.mark.parametrize("name", ERRORS)
def test_every_recorded_error_becomes_an_error_of_ours_that_carries_its_code(name: str) -> None:
    recorded = json.loads(reply_in(name))["error"]
    assert str(recorded["code"]) in str(refusal_in(name))
    assert recorded["message"] in str(refusal_in(name))


@pytest.mark.parametrize(
    ("name", "code", "message", "reason"),
    [
        ("private_buy__error_wrong_tick_http400_testnet_20260814", -32602, "Invalid params", "price: must conform"),
        ("error__-32602_amount_contract_size_testnet_20211027", -32602, "Invalid params", "amount: must be a multiple"),
        ("public_ticker__error_bad_instrument_http400", -32602, "Invalid params", "instrument_name: wrong format"),
        ("private_cancel__error_11044_not_open_order_http400_testnet_20260814", 11044, "not_open_order", ""),
        ("error__13009_unauthorized_testnet_20260913", 13009, "unauthorized", "invalid_token"),
    ],
)
def test_a_recorded_refusal_says_code_message_and_reason(name: str, code: int, message: str, reason: str) -> None:
    error = refusal_in(f"{name}.json")
    assert isinstance(error, RequestRefusedError)
    assert (error.code, error.message, error.method) == (code, message, "private/buy")
    assert (error.reason or "").startswith(reason)


def test_a_recorded_wrong_key_ends_the_process_with_code_4() -> None:
    error = refusal_in("private_get_account_summaries__error_13004_http400.json")
    assert isinstance(error, AuthenticationError)
    assert error.exit_code == 4


# --- what is in some of them -------------------------------------------------------------------


def test_a_whole_recorded_listing_is_plain_options_with_deribits_ticks_and_steps() -> None:
    btc = read("public_get_instruments__BTC_option_mainnet_20260715.json")
    eth = read("public_get_instruments__ETH_option_mainnet_20260715.json")
    assert (len(btc), len(eth)) == (848, 676)
    assert {(o.tick_size_coin, o.tick_steps) for o in (btc | eth).values()} == {(0.0001, ((0.005, 0.0005),))}
    assert {o.min_trade_amount_coin for o in btc.values()} == {0.1}
    assert {o.min_trade_amount_coin for o in eth.values()} == {1.0}


def test_the_recorded_short_call_is_signed_and_its_delta_is_the_whole_positions() -> None:
    held = read("private_get_positions__short_calls_and_puts_sm_row_samples.json")[0]
    assert (held.symbol, held.kind, held.size) == ("ETH-25AUG23-2100-C", "option", -1.0)
    assert (held.mark_price, held.delta < 0.0) == (0.017497, True)


def test_the_recorded_flat_perpetual_is_a_position_of_size_zero() -> None:
    held = read("private_get_positions__testnet_long_call_and_zero_perp_20260723.json")
    assert {position.symbol: position.size != 0.0 for position in held} == {
        "BTC-31JUL26-65000-C": True,
        "BTC-PERPETUAL": False,
    }


def test_the_recorded_cross_margin_account_shows_foreign_funds_but_holds_no_eth() -> None:
    accounts = {a.currency: a for a in read("private_get_account_summaries__testnet_cross_pm_20260721.json")}
    eth = accounts["ETH"]
    assert (eth.is_cross_margin, eth.margin_model, eth.coins_held) == (True, "cross_pm", 0.0)
    assert eth.available_funds_coin > 500.0
    assert eth.total_margin_balance_usd is not None


def test_the_recorded_ticker_of_a_daily_is_read_in_our_units() -> None:
    (ticker,) = read("public_ticker__BTC-15SEP26-77000-C_testnet_20260914_ws_data.json")
    assert (ticker.bid_price_coin, ticker.ask_price_coin, ticker.mark_iv_fraction) == (0.0065, 0.0075, 0.312)
    assert (ticker.min_price_coin, ticker.max_price_coin, ticker.delta) == (0.0001, 0.0365, 0.47736)
    assert f"{ticker.quoted_at:%Y-%m-%d %H:%M}" == "2026-09-14 00:15"


# --- through the client ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("private_buy__error_wrong_tick_http400_testnet_20260814.json", "must conform to tick size"),
        ("error__13009_unauthorized_testnet_20260913.json", "invalid_token"),
    ],
)
def test_a_recorded_refusal_of_an_order_reaches_its_sender_as_a_rejection(
    tmp_path: Path, name: str, words: str
) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb("private/sell", answered_as_recorded(name))
    receipt = desk.client.place_limit_order(an_order_request())
    assert receipt.outcome == SendOutcome.REJECTED
    assert words in (receipt.error or "")


def test_a_recorded_fill_reaches_its_sender_with_order_and_trades(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    filled = json.loads(reply_in("private_buy__filled_limit_testnet_20211028.json"))["result"]
    desk.wire.disturb("private/sell", result_of(filled))
    receipt = desk.client.place_limit_order(an_order_request())
    assert receipt.outcome == SendOutcome.ACCEPTED
    assert receipt.order is not None
    assert (receipt.order.order_state, receipt.order.is_live, len(receipt.trades)) == ("filled", False, 1)


def test_a_recorded_cancel_of_an_order_that_is_gone_is_a_rejection(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    name = "private_cancel__error_11044_not_open_order_http400_testnet_20260814.json"
    desk.wire.disturb("private/cancel", answered_as_recorded(name))
    receipt = desk.client.cancel_order("113510807523")
    assert (receipt.outcome, receipt.order) == (SendOutcome.REJECTED, None)


def test_a_recorded_cancelled_order_is_no_longer_live(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    recorded = json.loads(reply_in("private_get_order_state__cancelled_testnet_20260814.json"))["result"]
    desk.wire.disturb("private/get_order_state", result_of(recorded))
    order = desk.client.get_order_state("113510807523")
    assert (order.order_id, order.order_state, order.is_live) == ("113510807523", "cancelled", False)


NEWER = sorted((RECORDED.parent / "recorded_2026_10").glob("*.json"))


@pytest.mark.parametrize("path", NEWER, ids=lambda path: path.stem)
def test_the_replies_of_october_2026_are_read(path: Path) -> None:
    """Foreign orders as any list of orders is read; answers about them as if they were ours."""
    content = path.read_bytes()
    if "error" in path.name:
        with pytest.raises(RequestRefusedError):
            envelope.result_of(read_envelope(content, path.stem), path.stem)
        return
    result = envelope.result_of(read_envelope(content, path.stem), path.stem)
    reader = NEWER_READERS.get(path.name.partition("__")[0])
    if reader is not None:
        reader(result)


def read_all_orders(result: Any) -> list[Order]:
    return [replies.read_open_order(row, lambda label: False) for row in rows(result)]


NEWER_READERS: dict[str, Callable[[Any], object]] = {
    "private_buy": read_receipt,
    "private_get_account_summary": lambda result: replies.read_account(Row(result)),
    "private_get_open_orders": read_all_orders,
    "private_get_order_state_by_label": read_all_orders,
    "private_get_positions": lambda result: [replies.read_position(row) for row in rows(result)],
    "private_get_transaction_log": lambda result: replies.read_ledger(Row(result), "BTC"),
    "public_get_book_summary_by_currency": read_quotes,
    "public_get_instrument": lambda result: replies.read_instrument(Row(result)),
    "public_get_tradingview_chart_data": lambda result: charts.read_bars(Row(result), HOUR, NOW),
    "public_ticker": lambda result: replies.read_ticker(Row(result)),
}
