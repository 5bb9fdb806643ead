"""The paper exchange as a client sees it: JSON-RPC envelopes, errors as recorded, auth, and the private methods."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.bands import price_band
from paper_exchange.storage import PaperAccountFileError, load_account, save_account
from tests.builders.paper import (
    CALL,
    ETH_CALL,
    HOUR_SECONDS,
    NEAR_CALL,
    Caller,
    ScriptedMarket,
    account_on,
    account_short,
    exchange_on,
    market_with,
    place,
    recorded,
)

KEY = ("my-id", "my-secret")


def caller_on(market: ScriptedMarket, **arguments: Any) -> Caller:
    return Caller(exchange_on(market, **arguments))


# --- envelopes --------------------------------------------------------------------------


def test_get_with_a_query_and_post_with_a_body_do_the_same() -> None:
    caller = caller_on(market_with())
    query = f"instrument_name={CALL}&amount=0.1&price=0.03&label=12&post_only=true&type=limit"
    status, by_get = caller.get("private/sell", query)
    by_post = caller.result(
        "private/sell", instrument_name=CALL, amount=0.1, price=0.03, label="12", post_only=True, type="limit"
    )
    assert status == 200
    assert {**by_get["result"]["order"], "order_id": ""} == {**by_post["order"], "order_id": ""}


def test_the_envelope_says_testnet_and_gives_the_id_back_only_where_there_was_one() -> None:
    caller = caller_on(market_with())
    _, without = caller.get("public/get_time")
    _, with_id = caller.get("public/get_time", "id=7")
    assert set(without) == {"jsonrpc", "result", "usIn", "usOut", "usDiff", "testnet"}
    assert (with_id["id"], with_id["testnet"], with_id["usDiff"]) == (7, True, 0)


def test_a_post_to_the_root_names_its_method_in_the_body() -> None:
    caller = caller_on(market_with())
    body = json.dumps({"jsonrpc": "2.0", "id": 3, "method": "public/get_time"}).encode()
    status, reply = caller.send("POST", "/api/v2", "", body)
    assert (status, reply["id"], reply["result"]) == (200, 3, 1767614400000)


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{", -32700), (b"[1]", -32600), (b'{"params": 3}', -32600), (b"NaN", -32700), (b"x" * 40_000, -32600)],
)
def test_a_body_that_is_no_request_is_refused(body: bytes, code: int) -> None:
    status, reply = caller_on(market_with()).send("POST", "/api/v2", "", body)
    assert (status, reply["error"]["code"]) == (400, code)


@pytest.mark.parametrize("method", ["private/withdraw", "public/nothing", "nothing"])
def test_an_unknown_method_is_not_found(method: str) -> None:
    assert caller_on(market_with()).error(method)["code"] == -32601


# --- errors as recorded ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "param", "reason"),
    [
        ({"price": 0.02051}, "price", "must conform to tick size"),
        ({"amount": 0.15}, "amount", "must be a multiple of the minimum order size"),
        ({"instrument_name": "BTC-NOTAREAL"}, "instrument_name", "wrong format"),
        ({"label": "x" * 65}, "label", "too long"),
        ({"amount": "1"}, "amount", "must be a number"),
        ({"amount": 0}, "amount", "must be a positive number"),
        ({"price": -0.02}, "price", "must be a positive number"),
        ({"amount": True}, "amount", "must be a number"),
        ({"type": "stop_limit"}, "type", "must be one of: limit, market"),
        ({"trigger_price": 5}, "trigger_price", "not supported by the paper exchange"),
    ],
)
def test_bad_parameters_are_refused_in_deribits_words(change: dict[str, Any], param: str, reason: str) -> None:
    params = {"instrument_name": CALL, "amount": 0.1, "price": 0.02, **change}
    error = caller_on(market_with()).error("private/sell", **params)
    expected = {"code": -32602, "message": "Invalid params", "data": {"param": param, "reason": reason}}
    assert error == expected


def test_a_wrong_tick_looks_exactly_as_recorded() -> None:
    reply = recorded("private_buy__error_wrong_tick_http400_testnet_20260814.json")
    error = caller_on(market_with()).error("private/buy", instrument_name=CALL, amount=1, price=0.02051)
    assert (400, error) == (reply["http_status"], reply["body"]["error"])


@pytest.mark.parametrize(
    ("file", "method"),
    [
        ("private_buy__open_post_only_testnet_20260814.json", "private/sell"),
        ("private_cancel__cancelled_testnet_20260814.json", "private/cancel"),
    ],
)
def test_an_order_has_every_field_of_a_recorded_one(file: str, method: str) -> None:
    result = recorded(file)["body"]["result"]
    wanted = {key for key in result.get("order", result) if not key.startswith("starbase")}
    caller = caller_on(market_with())
    order = caller.result("private/sell", instrument_name=CALL, amount=1, price=0.03)["order"]
    if method == "private/cancel":
        order = caller.result(method, order_id=order["order_id"])
    assert wanted <= set(order)


def test_a_user_trade_has_every_field_of_a_recorded_one() -> None:
    wanted = set(
        recorded("private_get_user_trades_by_instrument__ETH-PERPETUAL_testnet_20250915_result.json")["trades"][0]
    )
    caller = caller_on(market_with())
    trades = caller.result("private/sell", instrument_name=CALL, amount=1, price=0.02)["trades"]
    assert wanted <= set(trades[0])


def test_a_position_row_has_every_field_of_a_recorded_one() -> None:
    wanted = set(recorded("private_get_positions__short_calls_and_puts_sm_row_samples.json")[0])
    caller = caller_on(market_with())
    caller.result("private/sell", instrument_name=CALL, amount=1, price=0.02)
    assert wanted <= set(caller.result("private/get_positions", currency="any", kind="option")[0])


def test_the_account_summary_has_the_fields_of_a_recorded_one() -> None:
    recording = recorded("private_get_account_summaries__testnet_cross_pm_20260721.json")
    wanted = set(recording["result"]["summaries"][0])
    row = caller_on(market_with()).result("private/get_account_summaries")["summaries"][0]
    assert wanted <= set(row)
    assert row["margin_model"] == "segregated_sm"


@pytest.mark.parametrize(
    ("method", "price", "message"),
    [
        ("private/sell", 0.0005, "price_too_low 0.0019"),
        ("private/buy", 0.08, "price_too_high 0.06"),
        ("private/buy", 0.0005, "price_too_low 0.0019"),
    ],
)
def test_prices_outside_the_band_are_refused_with_the_limit(method: str, price: float, message: str) -> None:
    market = market_with(bid=0.03, ask=0.031, mark=0.0305)
    error = caller_on(market).error(method, instrument_name=CALL, amount=1, price=price)
    assert (error["code"], error["message"]) == (10005 if "low" in message else 10007, message)


def test_the_bands_own_limits_win_where_the_source_has_shown_them() -> None:
    market = market_with(mark=0.02, min_price_coin=0.015, max_price_coin=0.025)
    error = caller_on(market).error("private/sell", instrument_name=CALL, amount=1, price=0.0255)
    assert error["message"] == "price_too_high 0.025"


@pytest.mark.parametrize(
    ("mark", "recorded_min", "recorded_max"),
    [
        (0.0069, 0.0001, 0.0365),
        (0.1296, 0.0945, 0.1705),
        (0.2168, 0.1515, 0.326),
        (0.0910, 0.0525, 0.1375),
        (0.0001, 0.0001, 0.0175),
    ],
)
def test_the_band_is_near_the_recorded_ones(mark: float, recorded_min: float, recorded_max: float) -> None:
    band = price_band(mark, 0.0001, ((0.005, 0.0005),))
    assert band.min_price_coin == pytest.approx(recorded_min, abs=0.015)
    assert band.max_price_coin == pytest.approx(recorded_max, abs=0.021)


def test_an_expired_or_unknown_instrument_is_not_found() -> None:
    market = market_with(NEAR_CALL)
    caller = caller_on(market)
    market.sleep_until_expiry(NEAR_CALL)
    for name in (NEAR_CALL, "BTC-6JAN26-1-C", "BTC-PERPETUAL"):
        error = caller.error("private/sell", instrument_name=name, amount=1, price=0.02)
        assert (error["code"], error["message"]) == (13020, "not_found")


def test_labels_need_not_be_unique_and_find_their_orders() -> None:
    caller = caller_on(market_with())
    for _ in range(2):
        caller.result("private/sell", instrument_name=CALL, amount=1, price=0.03, label="cc-1")
    assert len(caller.result("private/get_order_state_by_label", currency="BTC", label="cc-1")) == 2
    assert caller.result("private/cancel_by_label", label="cc-1") == 2
    assert caller.result("private/get_open_orders_by_label", currency="BTC", label="cc-1") == []


# --- methods ------------------------------------------------------------------------------


def test_orders_of_eth_carry_the_coin_in_their_id_and_those_of_btc_do_not() -> None:
    market = market_with()
    market.show(ETH_CALL, 0.02, 0.021)
    caller = caller_on(market)
    ids = [
        caller.result("private/sell", instrument_name=name, amount=1, price=0.03)["order"]["order_id"]
        for name in (CALL, ETH_CALL)
    ]
    assert ids == ["100000000001", "ETH-100000000002"]
    assert caller.get("private/get_order_state", f"order_id={ids[0]}")[0] == 200


def test_open_orders_are_found_by_coin_instrument_and_kind() -> None:
    caller = caller_on(market_with())
    caller.result("private/sell", instrument_name=CALL, amount=1, price=0.03)
    assert len(caller.result("private/get_open_orders", kind="option")) == 1
    assert len(caller.result("private/get_open_orders_by_currency", currency="BTC")) == 1
    assert len(caller.result("private/get_open_orders_by_instrument", instrument_name=CALL)) == 1
    assert caller.result("private/get_open_orders_by_currency", currency="ETH") == []
    assert caller.result("private/get_open_orders_by_currency", currency="BTC", kind="future") == []


def test_all_orders_are_cancelled_at_once() -> None:
    caller = caller_on(market_with())
    for _ in range(3):
        caller.result("private/sell", instrument_name=CALL, amount=1, price=0.03)
    assert caller.result("private/cancel_all_by_currency", currency="ETH") == 0
    assert caller.result("private/cancel_all") == 3


def test_a_flat_instrument_with_an_order_shows_a_row_of_direction_zero() -> None:
    caller = caller_on(market_with())
    caller.result("private/sell", instrument_name=CALL, amount=1, price=0.03)
    row = caller.result("private/get_positions", currency="BTC")[0]
    assert (row["direction"], row["size"], row["open_orders_margin"]) == ("zero", 0.0, 0.1003)


def test_the_transaction_log_shows_a_trade_with_its_cash() -> None:
    caller = caller_on(market_with())
    caller.result("private/sell", instrument_name=CALL, amount=1, price=0.02)
    reply = caller.result("private/get_transaction_log", currency="BTC", start_timestamp=0, end_timestamp=10**13)
    line = reply["logs"][0]
    assert (line["type"], line["side"], line["balance"], reply["continuation"]) == ("trade", "open sell", 10.0197, None)
    assert (line["cashflow"], line["commission"], line["change"]) == (0.02, 0.0003, 0.0197)


def test_a_long_transaction_log_is_read_in_pages() -> None:
    caller = caller_on(market_with())
    for _ in range(5):
        caller.result("private/sell", instrument_name=CALL, amount=0.1, price=0.02)
    first = caller.result("private/get_transaction_log", currency="BTC", count=3)
    second = caller.result("private/get_transaction_log", currency="BTC", count=3, continuation=first["continuation"])
    assert [row["id"] for row in first["logs"] + second["logs"]] == [5, 4, 3, 2, 1]
    assert second["continuation"] is None


def test_a_delivery_is_in_the_log_and_in_the_settlement_history() -> None:
    market = market_with(NEAR_CALL)
    caller = caller_on(market)
    caller.result("private/sell", instrument_name=NEAR_CALL, amount=1, price=0.02)
    market.deliver(NEAR_CALL, 100_000.0)
    market.sleep_until_expiry(NEAR_CALL)
    line = caller.result("private/get_transaction_log", currency="BTC")["logs"][0]
    row = caller.result("private/get_settlement_history_by_currency", currency="BTC")["settlements"][0]
    assert (line["type"], line["info"]["delivery_price"]) == ("delivery", 100_000.0)
    assert (row["position"], row["profit_loss"]) == (-1.0, pytest.approx(-0.03))


def test_trades_are_listed_newest_first_and_found_by_order() -> None:
    caller = caller_on(market_with())
    orders = [
        caller.result("private/sell", instrument_name=CALL, amount=1, price=0.02)["order"]["order_id"] for _ in range(2)
    ]
    reply = caller.result("private/get_user_trades_by_currency", currency="BTC", count=1)
    assert (reply["has_more"], reply["trades"][0]["order_id"]) == (True, orders[1])
    assert len(caller.result("private/get_user_trades_by_order", order_id=orders[0])) == 1


def test_margins_of_an_order_and_its_band() -> None:
    reply = caller_on(market_with(mark=0.02)).result("private/get_margins", instrument_name=CALL, amount=2, price=0.02)
    assert reply["sell"] == pytest.approx(2 * (0.10 + 0.02))
    assert reply["buy"] == pytest.approx(2 * (0.02 + 0.0003))
    assert (reply["min_price"], reply["max_price"]) == (0.0001, 0.046)


# --- auth ---------------------------------------------------------------------------------


def test_a_private_call_without_credentials_is_refused() -> None:
    caller = Caller(exchange_on(market_with()), authorization=None)
    assert caller.error("private/get_positions") == {"code": 10000, "message": "authorization_required"}


def test_a_wrong_key_is_refused_as_recorded() -> None:
    caller = Caller(exchange_on(market_with(), credentials=KEY))
    expected = recorded("private_get_account_summaries__error_13004_http400.json")["body"]["error"]
    assert caller.error("private/get_account_summaries") == expected


def token_of(caller: Caller, **more: Any) -> dict[str, Any]:
    granted: dict[str, Any] = caller.result(
        "public/auth", grant_type="client_credentials", client_id=KEY[0], client_secret=KEY[1], **more
    )
    caller.headers = {"authorization": f"Bearer {granted['access_token']}"}
    return granted


def test_a_token_opens_private_calls_until_it_expires() -> None:
    market = market_with()
    caller = Caller(exchange_on(market, credentials=KEY), authorization=None)
    granted = token_of(caller, scope="session:agent trade:read_write account:read")
    assert (granted["expires_in"], granted["scope"]) == (900, "session:agent trade:read_write account:read")
    assert caller.result("private/get_positions") == []
    market.clock.sleep(901.0)
    error = caller.error("private/get_positions")
    assert error == {"code": 13009, "message": "unauthorized", "data": {"reason": "invalid_token"}}


def test_a_refresh_token_works_once() -> None:
    caller = Caller(exchange_on(market_with(), credentials=KEY), authorization=None)
    refresh = {"grant_type": "refresh_token", "refresh_token": token_of(caller)["refresh_token"]}
    renewed = caller.result("public/auth", **refresh)
    caller.headers = {"Authorization": f"Bearer {renewed['access_token']}"}
    assert caller.result("private/get_positions") == []
    assert caller.error("public/auth", **refresh)["code"] == 13009


def test_a_scope_that_only_reads_cannot_trade() -> None:
    caller = Caller(exchange_on(market_with(), credentials=KEY), authorization=None)
    token_of(caller, scope="trade:read account:read")
    assert caller.error("private/cancel_all")["code"] == 13021
    assert caller.result("private/get_open_orders") == []


def test_a_signed_request_is_accepted_and_a_changed_one_is_not() -> None:
    market = market_with()
    caller = Caller(exchange_on(market, credentials=KEY))
    uri, timestamp, nonce = "/api/v2/private/get_positions?currency=BTC", market.now_ms, "abc"
    message = f"{timestamp}\n{nonce}\nGET\n{uri}\n\n".encode()
    signature = hmac.new(KEY[1].encode(), message, hashlib.sha256).hexdigest()
    caller.headers = {"Authorization": f"deri-hmac-sha256 id={KEY[0]},ts={timestamp},nonce={nonce},sig={signature}"}
    assert caller.get("private/get_positions", "currency=BTC")[0] == 200
    assert caller.get("private/get_positions", "currency=ETH")[1]["error"]["code"] == 13004


def test_a_client_signature_grants_a_token() -> None:
    caller = Caller(exchange_on(market_with(), credentials=KEY), authorization=None)
    timestamp = market_with().now_ms
    signature = hmac.new(KEY[1].encode(), f"{timestamp}\nabc\n".encode(), hashlib.sha256).hexdigest()
    params = {"client_id": KEY[0], "timestamp": timestamp, "nonce": "abc", "signature": signature}
    assert caller.result("public/auth", grant_type="client_signature", **params)["token_type"] == "bearer"


@pytest.mark.parametrize("value", ["Basic !!!", "Basic " + base64.b64encode(b"no-colon").decode(), "Bearer x", "x"])
def test_nonsense_in_the_header_is_refused(value: str) -> None:
    caller = Caller(exchange_on(market_with()), authorization=value)
    assert caller.error("private/get_positions")["code"] in (10000, 13004, 13009)


# --- saving ---------------------------------------------------------------------------------


def test_the_account_is_saved_after_a_change_and_not_after_a_look(tmp_path: Path) -> None:
    path, market = tmp_path / "data" / "paper_account.json", market_with()
    caller = caller_on(market, on_change=lambda account: save_account(path, account))
    caller.result("private/get_positions")
    assert not path.exists()
    caller.result("private/sell", instrument_name=CALL, amount=1, price=0.02)
    assert load_account(path, market).to_json() == caller.exchange.account.to_json()


def test_a_change_that_time_alone_made_is_saved_even_when_the_call_is_refused(tmp_path: Path) -> None:
    path, market = tmp_path / "paper_account.json", market_with()
    caller = caller_on(market, on_change=lambda account: save_account(path, account))
    market.clock.sleep(24 * HOUR_SECONDS)
    caller.error("private/nothing")
    assert path.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": NaN}', "null"])
def test_a_file_that_holds_no_account_is_an_error_and_stays_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "paper_account.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PaperAccountFileError, match=r"paper_account\.json does not hold a paper account"):
        load_account(path, market_with())
    assert path.read_text(encoding="utf-8") == text


def test_a_number_that_is_none_is_noticed_in_an_otherwise_good_file(tmp_path: Path) -> None:
    path, (market, account) = tmp_path / "paper_account.json", account_short()
    save_account(path, account)
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace('"BTC":10.0197', '"BTC":NaN'), encoding="utf-8")
    with pytest.raises(PaperAccountFileError, match="NaN"):
        load_account(path, market)


def test_every_truncation_of_the_file_is_noticed(tmp_path: Path) -> None:
    path, (market, account) = tmp_path / "paper_account.json", account_short()
    save_account(path, account)
    whole = path.read_text(encoding="utf-8").rstrip("\n")
    for length in range(0, len(whole), 97):
        path.write_text(whole[:length], encoding="utf-8")
        with pytest.raises(PaperAccountFileError):
            load_account(path, market)


def test_the_same_calls_give_the_same_account_and_the_same_replies() -> None:
    replies = []
    for _ in range(2):
        caller = caller_on(market_with())
        caller.result("public/auth", grant_type="client_credentials", client_id="a", client_secret="b")
        replies.append(caller.post("private/sell", instrument_name=CALL, amount=1, price=0.02))
    assert replies[0] == replies[1]


def test_a_saved_account_goes_on_with_its_positions(tmp_path: Path) -> None:
    market = market_with()
    path, account = tmp_path / "paper_account.json", account_on(market)
    place(account, "sell", 1.0, 0.02)
    save_account(path, account)
    caller = Caller(PaperExchange(market, load_account(path, market)))
    assert caller.result("private/get_positions", currency="any")[0]["size"] == -1.0


def test_a_fresh_account_has_the_given_coins(tmp_path: Path) -> None:
    account = load_account(tmp_path / "none.json", market_with(), {"BTC": 3.0, "ETH": 4.0})
    assert isinstance(account, PaperAccount)
    assert account.state.balances_coin == {"BTC": 3.0, "ETH": 4.0}
