"""What Deribit's replies mean: units, empty sides, and that nothing is ever guessed."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest

from deribit.chains import read_quotes
from deribit.envelope import read_envelope, result_of
from deribit.replies import (
    Row,
    finite,
    read_account,
    read_dvol,
    read_index_price,
    read_instrument,
    read_instruments,
    read_ledger,
    read_open_order,
    read_order,
    read_position,
    read_ticker,
    utc_from_ms,
)
from deribit.vocabulary import ms_from_utc
from deribit_client import DeribitClient
from models import (
    SETTLEMENT_TYPES,
    AuthenticationError,
    ForeignReplyError,
    InvalidReplyError,
    OptionQuote,
    RateLimitError,
    RequestRefusedError,
)
from tests.builders.agent import client_answered_with

NOON_MS = 1_767_614_400_000
EXPIRY_MS = 1_768_550_400_000  # 16 January 2026, 08:00 UTC
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
SYMBOL = "BTC-16JAN26-100000-C"
Change = dict[str, Any]
FOUR_HUNDRED_DIGITS = pytest.param(int("9" * 400), id="four_hundred_digits")


def instrument_row(**changes: Any) -> dict[str, Any]:
    row = {
        "instrument_name": SYMBOL,
        "kind": "option",
        "base_currency": "BTC",
        "quote_currency": "BTC",
        "strike": 100_000.0,
        "expiration_timestamp": EXPIRY_MS,
        "option_type": "call",
        "contract_size": 1.0,
        "min_trade_amount": 0.1,
        "tick_size": 0.0001,
        "tick_size_steps": [{"above_price": 0.005, "tick_size": 0.0005}],
        "is_active": True,
        "state": "open",
    }
    return {**row, **changes}


def chain_row(**changes: Any) -> dict[str, Any]:
    row = {
        "instrument_name": SYMBOL,
        "bid_price": 0.02,
        "ask_price": 0.021,
        "mark_price": 0.0205,
        "mark_iv": 65.0,
        "underlying_price": 90_000.0,
        "creation_timestamp": NOON_MS,
    }
    return {**row, **changes}


def ticker_row(**changes: Any) -> dict[str, Any]:
    row = {
        "instrument_name": SYMBOL,
        "timestamp": NOON_MS,
        "state": "open",
        "best_bid_price": 0.02,
        "best_bid_amount": 5.0,
        "best_ask_price": 0.021,
        "best_ask_amount": 4.0,
        "mark_price": 0.0205,
        "last_price": 0.0204,
        "min_price": 0.0001,
        "max_price": 0.05,
        "index_price": 90_000.0,
        "underlying_price": 90_100.0,
        "mark_iv": 65.0,
        "greeks": {"delta": 0.3},
    }
    return {**row, **changes}


def account_row(**changes: Any) -> dict[str, Any]:
    row = {
        "currency": "BTC",
        "balance": 1.0,
        "equity": 0.98,
        "margin_balance": 1.0,
        "initial_margin": 0.1,
        "maintenance_margin": 0.08,
        "available_funds": 0.9,
    }
    return {**row, **changes}


def position_row(**changes: Any) -> dict[str, Any]:
    row = {"instrument_name": SYMBOL, "kind": "option", "size": -0.1, "average_price": 0.02}
    return {**row, "mark_price": 0.021, "delta": -0.03, "direction": "sell", **changes}


def order_row(**changes: Any) -> dict[str, Any]:
    row = {
        "order_id": "113510807523",
        "label": "cc-1-sell",
        "instrument_name": SYMBOL,
        "direction": "sell",
        "amount": 0.1,
        "filled_amount": 0.0,
        "average_price": 0.0,
        "price": 0.0205,
        "order_state": "open",
        "creation_timestamp": NOON_MS,
    }
    return {**row, **changes}


def read_quote(row: dict[str, Any]) -> OptionQuote:
    """A chain of one option."""
    return read_quotes([row]).row(0)


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


# --- units ------------------------------------------------------------------------------------


def test_milliseconds_become_aware_utc_times_and_back() -> None:
    assert utc_from_ms(NOON_MS) == NOON
    assert utc_from_ms(NOON_MS).tzinfo is UTC
    assert ms_from_utc(NOON) == NOON_MS


@pytest.mark.parametrize("value", [-1, 7_258_118_400_001, 1.5, "1767614400000", None])
def test_what_is_no_time_between_1970_and_2200_is_refused(value: Any) -> None:
    with pytest.raises(InvalidReplyError):
        utc_from_ms(value)


@pytest.mark.parametrize("value", [0, 7_258_118_400_000])
def test_the_first_and_the_last_moment_are_times(value: int) -> None:
    assert ms_from_utc(utc_from_ms(value)) == value


def test_percent_volatility_becomes_a_fraction() -> None:
    assert read_ticker(Row(ticker_row())).mark_iv_fraction == 0.65
    assert read_quote(chain_row()).mark_iv_fraction == 0.65
    assert read_dvol({"data": [[NOON_MS, 1, 1, 1, 40.0], [NOON_MS, 1, 1, 1, 55.0]]}) == 0.55


def test_where_deribit_writes_0_for_a_volatility_it_has_none() -> None:
    assert read_quote(chain_row(mark_iv=0.0)).mark_iv_fraction is None
    assert read_dvol({"data": []}) is None


@pytest.mark.parametrize("empty", [None, 0, 0.0])
def test_an_empty_side_of_a_book_is_none_whether_it_comes_as_null_or_as_zero(empty: float | None) -> None:
    ticker = read_ticker(Row(ticker_row(best_bid_price=empty, best_bid_amount=empty)))
    quote = read_quote(chain_row(bid_price=empty))
    assert (ticker.bid_price_coin, ticker.bid_amount_coin, ticker.ask_price_coin) == (None, None, 0.021)
    assert (quote.bid_price_coin, quote.ask_price_coin) == (None, 0.021)


def test_an_absent_side_is_an_empty_side() -> None:
    assert read_quote(without(chain_row(), "ask_price")).ask_price_coin is None
    assert read_ticker(Row(ticker_row(best_ask_price=None))).ask_price_coin is None


@pytest.mark.parametrize("side", ["best_bid_price", "best_ask_price"])
def test_a_ticker_that_does_not_speak_of_a_side_is_none(side: str) -> None:
    with pytest.raises(InvalidReplyError, match=side):
        read_ticker(Row(without(ticker_row(), side)))


@pytest.mark.parametrize("price", [0.0, -1.0])
def test_an_index_of_zero_or_below_is_no_price(price: float) -> None:
    with pytest.raises(InvalidReplyError, match="not a price"):
        read_index_price({"index_price": price})


# --- positions, orders, accounts ------------------------------------------------------------------


def test_a_position_of_direction_zero_has_size_zero_and_is_not_among_the_positions() -> None:
    flat = position_row(direction="zero", size=0.0)
    assert read_position(Row(flat)).size == 0.0
    assert [held.size for held in client_answered_with([flat, position_row()]).get_positions()] == [-0.1]


def test_the_price_of_a_market_order_is_unknown() -> None:
    assert read_order(Row(order_row(price="market_price"))).price_coin is None


def test_an_order_state_nobody_has_seen_before_counts_as_live() -> None:
    assert read_order(Row(order_row(order_state="speed_bumped"))).is_live
    assert not read_order(Row(order_row(order_state="cancelled"))).is_live


def test_an_order_without_label_is_not_ours() -> None:
    order = read_order(Row(order_row(label="")))
    assert (order.label, order.is_own) == ("", False)


@pytest.mark.parametrize(
    ("missing", "unfilled"), [("filled_amount", 0.1), ("average_price", 0.1), ("amount", 1e9), ("order_id", 0.1)]
)
def test_what_a_foreign_order_does_not_say_counts_to_the_careful_side(missing: str, unfilled: float) -> None:
    row = order_row(label="cc-january", order_state="untriggered")
    del row[missing]
    order = read_open_order(Row(row), lambda label: False)
    assert (order.is_live, order.is_own, order.unfilled_amount_coin) == (True, False, unfilled)


@pytest.mark.parametrize("label", ["cc-260105120000-abcdef-sell", "cc-1-sell"])
def test_an_order_of_ours_says_everything_or_is_not_read(label: str) -> None:
    row = order_row(label=label)
    assert read_open_order(Row(row), lambda name: name == "cc-1-sell").is_own
    del row["filled_amount"]
    with pytest.raises(InvalidReplyError, match=f"order 113510807523 {label}: the reply lacks 'filled_amount'"):
        read_open_order(Row(row), lambda name: name == "cc-1-sell")


def test_the_message_about_a_row_names_method_order_and_field() -> None:
    row = order_row(label="cc-260105120000-abcdef-sell")
    del row["amount"]
    with pytest.raises(InvalidReplyError, match=r"private/get_open_orders: order 113510807523 .* lacks 'amount'"):
        client_answered_with([row]).get_open_orders()


def test_a_foreign_position_that_says_too_little_is_of_unknown_kind_and_ours_is_not_read() -> None:
    future = {"instrument_name": "BTC-PERPETUAL", "kind": "future"}
    assert (read_position(Row(future)).kind, read_position(Row(future)).size < 0.0) == ("unknown", True)
    ours = position_row()
    del ours["delta"]
    with pytest.raises(InvalidReplyError, match=f"position in {SYMBOL}: the reply lacks 'delta'"):
        read_position(Row(ours))


def test_totals_over_all_coins_are_read_on_cross_margin_accounts_only() -> None:
    totals = {"total_margin_balance_usd": 5.0, "total_initial_margin_usd": 1.0}
    alone = read_account(Row(account_row(**totals)))
    cross = read_account(Row(account_row(cross_collateral_enabled=True, **totals)))
    assert (alone.total_margin_balance_usd, alone.is_cross_margin) == (None, False)
    assert (cross.total_margin_balance_usd, cross.total_initial_margin_usd, cross.is_cross_margin) == (5.0, 1.0, True)


def test_the_option_value_of_an_old_summary_follows_from_equity_and_margin_balance() -> None:
    assert read_account(Row(account_row())).options_value_coin == pytest.approx(-0.02)


def test_a_negative_balance_holds_no_coins() -> None:
    assert read_account(Row(account_row(balance=-0.5))).coins_held == 0.0


def ledger_row(**fields: object) -> dict[str, object]:
    sale = {"type": "trade", "instrument_name": SYMBOL, "side": "open sell", "amount": 1.0, "change": 0.02}
    return {"timestamp": NOON_MS, **sale, **fields}


def test_the_ledger_is_sorted_oldest_first() -> None:
    logs = [ledger_row(timestamp=NOON_MS + 1, change=-0.1), ledger_row(type="delivery", change=0.0)]
    entries = read_ledger(Row({"logs": logs, "continuation": None}), "BTC")
    assert [(entry.entry_type, entry.change_coin) for entry in entries] == [("delivery", 0.0), ("trade", -0.1)]


@pytest.mark.parametrize("field", ["instrument_name", "side", "amount", "change"])
def test_a_trade_in_the_ledger_that_lacks_a_part_is_refused(field: str) -> None:
    with pytest.raises(InvalidReplyError, match=field):
        read_ledger(Row({"logs": [without(ledger_row(), field)]}), "BTC")


@pytest.mark.parametrize("entry_type", SETTLEMENT_TYPES)
@pytest.mark.parametrize(
    ("field", "is_read"), [("instrument_name", False), ("change", False), ("side", True), ("amount", True)]
)
def test_a_settlement_says_what_it_settled_and_what_that_paid_but_need_not_say_side_and_amount(
    entry_type: str, field: str, is_read: bool
) -> None:
    row = without(ledger_row(type=entry_type), field)
    with nullcontext() if is_read else pytest.raises(InvalidReplyError, match=field):
        (entry,) = read_ledger(Row({"logs": [row]}), "BTC")
        assert None in (entry.side, entry.amount_coin)


def test_a_settlement_of_2026_is_read_at_its_settlement_price() -> None:
    row = ledger_row(type="assignment", change=-0.01, settlement_price=100_000.0, index_price=99_990.0)
    (entry,) = read_ledger(Row({"logs": [row]}), "BTC")
    assert entry.index_price_usd == 100_000.0


def test_a_deposit_in_the_ledger_has_no_instrument() -> None:
    (entry,) = read_ledger(Row({"logs": [{"type": "deposit", "timestamp": NOON_MS, "change": 1.0}]}), "BTC")
    assert (entry.symbol, entry.change_coin) == (None, 1.0)


# --- which instruments count ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "future"},
        {"kind": "option_combo"},
        {"kind": "future_combo"},
        {"kind": "spot"},
        {"quote_currency": "USDC"},
        {"base_currency": "SOL", "quote_currency": "SOL"},
        {"base_currency": None},
    ],
)
def test_only_coin_settled_options_on_btc_and_eth_count_as_options(change: Change) -> None:
    assert read_instrument(Row(instrument_row(**change))) is None
    assert list(read_instruments([instrument_row(**change), instrument_row()])) == [SYMBOL]


@pytest.mark.parametrize("change", [{"is_active": False}, {"state": "halted"}, {"state": "settlement"}])
def test_an_instrument_that_is_not_active_and_open_is_known_but_not_tradable(change: Change) -> None:
    option = read_instrument(Row(instrument_row(**change)))
    assert option is not None
    assert not option.is_tradable


def test_an_instrument_of_the_time_before_states_is_tradable() -> None:
    option = read_instrument(Row(without(instrument_row(), "state")))
    assert option is not None
    assert option.is_tradable


@pytest.mark.parametrize(
    "change",
    [
        {"strike": 101_000.0},
        {"expiration_timestamp": EXPIRY_MS - 86_400_000},
        {"option_type": "put"},
        {"base_currency": "ETH", "quote_currency": "ETH"},
        {"instrument_name": "BTC-16JAN27-100000-C"},
        {"instrument_name": "BTC-16JAN26-100000-P"},
        {"contract_size": 0.1},
        {"contract_size": 10.0},
    ],
)
def test_an_instrument_whose_name_and_fields_disagree_is_left_out(change: Change) -> None:
    assert read_instrument(Row(instrument_row(**change))) is None
    assert list(read_instruments([instrument_row(**change), instrument_row()])) == [SYMBOL]


@pytest.mark.parametrize(
    "change",
    [
        {"instrument_name": "BTC-16JAN26-100000-P", "option_type": "put"},
        {"instrument_name": "ETH-16JAN26-3200-C", "base_currency": "ETH", "quote_currency": "ETH", "strike": 3200},
        {"instrument_name": "BTC-29FEB28-2d5-C", "strike": 2.5, "expiration_timestamp": 1_835_424_000_000},
    ],
)
def test_an_instrument_whose_name_says_what_its_fields_say_is_known(change: Change) -> None:
    option = read_instrument(Row(instrument_row(**change)))
    assert option is not None
    assert option.symbol == change["instrument_name"]


# --- a whole chain ----------------------------------------------------------------------------------


def test_a_chain_is_read_into_columns_in_the_order_of_its_rows() -> None:
    other = "BTC-16JAN26-110000-C"
    quotes = read_quotes([chain_row(), chain_row(instrument_name=other, bid_price=None, mark_iv=50, ask_price=0)])
    assert quotes.symbols == (SYMBOL, other)
    assert quotes.row(0) == (SYMBOL, 0.02, 0.021, 0.0205, 0.65, 90_000.0, NOON)
    assert quotes.of(other) == (other, None, None, 0.0205, 0.5, 90_000.0, NOON)


def test_a_price_below_zero_is_no_price() -> None:
    assert read_quote(chain_row(bid_price=-0.01)).bid_price_coin is None


def test_a_row_that_does_not_say_when_it_was_made_has_no_time() -> None:
    quotes = read_quotes([without(chain_row(), "creation_timestamp"), chain_row()])
    assert [quote.quoted_at for quote in quotes.rows()] == [None, NOON]


def test_a_chain_may_be_empty() -> None:
    assert len(read_quotes([])) == 0


# --- fields that come and go ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read_row",
    [
        lambda more: read_instrument(Row(instrument_row(**more))),
        lambda more: read_quote(chain_row(**more)),
        lambda more: read_ticker(Row(ticker_row(**more))),
        lambda more: read_account(Row(account_row(**more))),
        lambda more: read_position(Row(position_row(**more))),
        lambda more: read_order(Row(order_row(**more))),
    ],
)
def test_unknown_fields_are_ignored(read_row: Callable[[Change], object]) -> None:
    assert read_row({"starbase_order_id": 2**60, "shiny": {"new": [None]}}) == read_row({})


ASKED: dict[str, tuple[dict[str, Any], tuple[str, ...], Callable[[DeribitClient], object]]] = {
    "instrument": (
        instrument_row(),
        ("instrument_name", "strike", "expiration_timestamp", "option_type", "tick_size", "min_trade_amount", "kind"),
        lambda client: client.get_instrument(SYMBOL),
    ),
    "ticker": (
        ticker_row(),
        ("instrument_name", "timestamp", "mark_price", "index_price"),
        lambda client: client.get_ticker(SYMBOL),
    ),
    "account": (
        account_row(),
        ("currency", "balance", "equity", "margin_balance", "initial_margin", "available_funds"),
        lambda client: client.get_account_summary("BTC"),
    ),
    "order": (
        order_row(),
        ("order_id", "instrument_name", "direction", "amount", "order_state", "creation_timestamp"),
        lambda client: client.get_order_state("1"),
    ),
}
NEEDED = [(kind, name) for kind, (_, names, _) in ASKED.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), NEEDED)
def test_a_needed_field_that_is_missing_null_or_renamed_makes_the_reply_invalid(kind: str, name: str) -> None:
    row, _, ask = ASKED[kind]
    renamed = {(f"{key}_v2" if key == name else key): value for key, value in row.items()}
    for broken in (without(row, name), {**row, name: None}, renamed):
        with pytest.raises(InvalidReplyError, match=name):
            ask(client_answered_with(broken))


@pytest.mark.parametrize(("kind", "name"), [pair for pair in NEEDED if pair[1] != "kind"])
@pytest.mark.parametrize("value", [[], {}, True, float("nan"), float("inf"), FOUR_HUNDRED_DIGITS])
def test_a_needed_field_of_the_wrong_type_makes_the_reply_invalid(kind: str, name: str, value: object) -> None:
    row, _, ask = ASKED[kind]
    with pytest.raises(InvalidReplyError):
        ask(client_answered_with({**row, name: value}))


@pytest.mark.parametrize(
    ("ask", "row"),
    [
        (lambda client: client.get_ticker(SYMBOL), ticker_row(mark_price="0.0205")),
        (lambda client: client.get_ticker(SYMBOL), ticker_row(best_bid_price="0.02")),
        (lambda client: client.get_book_summaries("BTC"), [chain_row(ask_price="0.021")]),
        (lambda client: client.get_book_summaries("BTC"), [chain_row(instrument_name=5)]),
        (lambda client: client.get_book_summaries("BTC"), [chain_row(), chain_row(mark_price=True)]),
        (lambda client: client.get_book_summaries("BTC"), [chain_row(bid_price=int("9" * 400))]),
        (lambda client: client.get_book_summaries("BTC"), [chain_row(bid_price=[])]),
        (lambda client: client.get_book_summaries("BTC"), [chain_row(creation_timestamp=1.5)]),
        (lambda client: client.get_book_summaries("BTC"), [chain_row(creation_timestamp=[])]),
        (lambda client: client.get_book_summaries("BTC"), [chain_row(), chain_row(creation_timestamp=-1)]),
        (lambda client: client.get_book_summaries("BTC"), {"rows": []}),
        (lambda client: client.get_book_summaries("BTC"), [None]),
        (lambda client: client.get_open_orders(), [order_row(amount="0.1")]),
        (lambda client: client.get_open_orders(), [order_row(direction="zero")]),
        (lambda client: client.get_positions(), [position_row(size="-0.1")]),
        (lambda client: client.get_positions(), position_row()),
        (lambda client: client.get_account_summaries(), {"summaries": [account_row(equity="1")]}),
        (lambda client: client.get_account_summaries(), {"summaries": 3}),
        (lambda client: client.get_instruments("BTC"), [instrument_row(strike=-5.0)]),
        (lambda client: client.get_instruments("BTC"), [instrument_row(option_type="straddle")]),
        (lambda client: client.get_index_price("BTC"), {"index_price": "90000"}),
        (lambda client: client.get_bars("BTC", NOON, NOON), {"ticks": 5, "close": [1.0]}),
        (lambda client: client.get_bars("BTC", NOON, NOON), {"ticks": [NOON_MS], "close": [None]}),
        (lambda client: client.get_index_levels("BTC", "1m"), {"data": [[NOON_MS, 90_000.0]]}),
        (lambda client: client.get_index_levels("BTC", "1m"), [[NOON_MS, 90_000.0, 1.0]]),
        (lambda client: client.get_index_levels("BTC", "1m"), [[NOON_MS, "90000"]]),
        (lambda client: client.get_index_levels("BTC", "1m"), [[[], 90_000.0]]),
        (lambda client: client.get_dvol("BTC", NOON, NOON), {"data": [[NOON_MS, 55.0]]}),
        (lambda client: client.get_dvol("BTC", NOON, NOON), {"data": {"last": 55.0}}),
        (lambda client: client.get_time(), [NOON_MS]),
    ],
)
def test_what_is_not_what_deribit_documents_is_an_invalid_reply(
    ask: Callable[[DeribitClient], object], row: object
) -> None:
    with pytest.raises(InvalidReplyError):
        ask(client_answered_with(row))


@pytest.mark.parametrize("value", ["1", True, None, [], float("nan"), float("-inf"), FOUR_HUNDRED_DIGITS])
def test_only_finite_numbers_are_numbers(value: object) -> None:
    with pytest.raises(InvalidReplyError):
        finite(value)


# --- the envelope ---------------------------------------------------------------------------------


def read(content: str | bytes, request_id: int | None = None) -> Any:
    text = content.encode() if isinstance(content, str) else content
    return result_of(read_envelope(text, "public/test", request_id), "public/test")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "null",
        "[]",
        '"ok"',
        "<html>502 Bad Gateway</html>",
        '{"result": 1',
        '{"jsonrpc": "2.0"}',
        '{"result": null}',
        '{"result": 1, "error": {"code": 1, "message": "both"}}',
        '{"error": "text"}',
        '{"error": {"message": "no code"}}',
        '{"error": {"code": "11044", "message": "text"}}',
        '{"result": NaN}',
        '{"result": {"a": [Infinity]}}',
        '{"result": -Infinity}',
        '{"result": ' + "9" * 5_000 + "}",
        "[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_is_not_one_well_formed_answer_is_an_invalid_reply(content: str | bytes) -> None:
    with pytest.raises(InvalidReplyError):
        read(content)


@pytest.mark.parametrize(
    "content",
    [
        '{"result": 1, "result": 2}',
        '{"result": {"size": -0.1, "size": 0.0}}',
        '{"result": [{"amount": 1, "amount": 1}]}',
        '{"testnet": true, "testnet": false, "result": 1}',
    ],
)
def test_a_key_that_stands_twice_makes_the_reply_invalid_even_with_equal_values(content: str) -> None:
    with pytest.raises(InvalidReplyError, match="holds a key twice"):
        read(content)


def test_a_number_too_large_for_a_float_is_no_number() -> None:
    with pytest.raises(InvalidReplyError):
        read_quote(read('{"result": ' + json.dumps(chain_row()).replace("0.021", "1e999") + "}"))


def test_an_answer_to_another_request_is_an_invalid_reply() -> None:
    assert read('{"id": 7, "result": 1}', request_id=7) == 1
    assert read('{"result": 1}', request_id=7) == 1
    with pytest.raises(ForeignReplyError, match="another request"):
        read('{"id": 8, "result": 1}', request_id=7)


def test_a_null_error_beside_a_result_is_no_error() -> None:
    assert read('{"result": {"locked": "false"}, "error": null}') == {"locked": "false"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 10028, "message": "too_many_requests"}, RateLimitError),
        ({"code": 13004, "message": "invalid_credentials"}, AuthenticationError),
        ({"code": 10009, "message": "not_enough_funds"}, RequestRefusedError),
    ],
)
def test_the_code_of_an_error_decides_its_class(error: Change, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=str(error["code"])):
        read(json.dumps({"error": error}))


def test_a_refusal_carries_method_code_message_and_reason() -> None:
    error = {"code": -32602, "message": "Invalid params", "data": {"param": "price", "reason": "must conform"}}
    with pytest.raises(RequestRefusedError) as caught:
        read(json.dumps({"error": error}))
    refusal = caught.value
    assert (refusal.method, refusal.code, refusal.reason) == ("public/test", -32602, "price: must conform")
    assert str(refusal) == "public/test was refused: -32602 Invalid params (price: must conform)"


def test_a_long_error_message_is_cut() -> None:
    with pytest.raises(RequestRefusedError) as caught:
        read(json.dumps({"error": {"code": 1, "message": "x" * 5_000, "data": "y" * 5_000}}))
    assert len(str(caught.value)) < 500
