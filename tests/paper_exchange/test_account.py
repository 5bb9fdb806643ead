"""The paper account: fills, order types, margins, fees, settlement, memory, and the identities it keeps."""

from __future__ import annotations

import math
import random
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from core import pricing
from paper_exchange.account.account import PaperAccount
from paper_exchange.account.margins import (
    Claim,
    open_orders_margin_coin,
    position_initial_margin_coin,
    position_maintenance_margin_coin,
)
from paper_exchange.account.orders import Direction, EditRequest, OrderRequest, TimeInForce
from paper_exchange.api.summary import summary_reply
from paper_exchange.market.clocks import SimulatedClock, to_ms
from paper_exchange.market.errors import RpcError
from paper_exchange.shown.account import entries_between
from tests.builders.paper import (
    CALL,
    ETH_CALL,
    HOUR_SECONDS,
    NEAR_CALL,
    PUT,
    START,
    ScriptedMarket,
    account_on,
    account_short,
    market_with,
    place,
    record_events,
    recorded,
)

# --- fills -----------------------------------------------------------------------


def test_a_sell_at_the_bid_fills_at_once_as_taker() -> None:
    account = account_on(market_with(bid=0.02))
    order = place(account, "sell", 1.0, 0.02)
    assert (order.state, order.average_price_coin) == ("filled", 0.02)
    assert account.state.trades[0].liquidity == "T"
    assert account.state.balances_coin["BTC"] == pytest.approx(10.0 + 0.02 - 0.0003, abs=1e-12)


def test_a_sell_below_the_bid_gets_the_bid() -> None:
    account = account_on(market_with(bid=0.02))
    assert place(account, "sell", 1.0, 0.015).average_price_coin == 0.02


def test_a_sell_above_the_bid_rests_until_the_bid_reaches_it_and_then_fills_at_its_limit() -> None:
    market = market_with(bid=0.02)
    account = account_on(market)
    order = place(account, "sell", 1.0, 0.0215)
    assert order.state == "open"
    market.clock.sleep(60.0)
    market.show(CALL, bid=0.023, ask=0.024)
    account.advance()
    assert (order.state, order.average_price_coin) == ("filled", 0.0215)
    assert account.state.trades[0].liquidity == "M"


def test_a_resting_sell_one_tick_above_the_bid_never_fills() -> None:
    market = market_with(bid=0.02)
    account = account_on(market)
    order = place(account, "sell", 1.0, 0.0205)
    for _ in range(10):
        market.clock.sleep(60.0)
        market.show(CALL, bid=0.02, ask=0.021)
        account.advance()
    assert order.filled_amount == 0.0


def test_nothing_trades_where_nobody_quotes() -> None:
    account = account_on(market_with(bid=None, ask=None))
    assert place(account, "sell", 1.0, 0.02).state == "open"
    assert place(account, "sell", 1.0, None, order_type="market").state == "cancelled"


def test_a_fill_takes_no_more_than_is_shown_and_goes_on_with_the_next_quote() -> None:
    market = market_with(bid=0.02, bid_amount=0.4)
    account = account_on(market)
    order = place(account, "sell", 1.0, 0.02)
    assert (order.state, order.filled_amount) == ("open", 0.4)
    account.advance()
    assert order.filled_amount == 0.4
    market.clock.sleep(1.0)
    market.show(CALL, bid=0.02, ask=0.021, bid_amount=5.0)
    account.advance()
    assert (order.state, order.filled_amount, len(account.state.trades)) == ("filled", 1.0, 2)


def test_two_orders_share_one_displayed_quote() -> None:
    account = account_on(market_with(bid=0.02, bid_amount=0.4))
    first, second = place(account, "sell", 0.3, 0.02), place(account, "sell", 0.3, 0.02)
    assert (first.filled_amount, second.filled_amount) == (0.3, 0.1)


def test_a_market_order_takes_the_best_price_shown_and_rests_never() -> None:
    account = account_on(market_with(ask=0.021, ask_amount=0.4))
    order = place(account, "buy", 1.0, None, order_type="market")
    assert (order.state, order.filled_amount, order.average_price_coin) == ("cancelled", 0.4, 0.021)


def test_immediate_or_cancel_keeps_what_it_got() -> None:
    account = account_on(market_with(bid=0.02, bid_amount=0.4))
    order = place(account, "sell", 1.0, 0.02, time_in_force="immediate_or_cancel")
    assert (order.state, order.filled_amount) == ("cancelled", 0.4)


def test_fill_or_kill_takes_all_or_nothing() -> None:
    account = account_on(market_with(bid=0.02, bid_amount=0.4))
    killed = place(account, "sell", 1.0, 0.02, time_in_force="fill_or_kill")
    filled = place(account, "sell", 0.4, 0.02, time_in_force="fill_or_kill")
    assert (killed.state, killed.filled_amount, filled.state) == ("cancelled", 0.0, "filled")


# --- post only, reduce only, deadlines ---------------------------------------------


@pytest.mark.parametrize(("direction", "price", "moved_to"), [("sell", 0.0045, 0.0055), ("buy", 0.007, 0.0055)])
def test_post_only_moves_one_tick_off_the_touch(direction: str, price: float, moved_to: float) -> None:
    bid, ask = (0.005, 0.007) if direction == "sell" else (0.004, 0.006)
    account = account_on(market_with(bid=bid, ask=ask, mark=0.0055))
    order = place(account, direction, 1.0, price, post_only=True)  # type: ignore[arg-type]
    assert (order.state, order.price_coin) == ("open", moved_to)


@pytest.mark.parametrize("time_in_force", ["good_til_day", "fill_or_kill", "immediate_or_cancel"])
def test_post_only_goes_with_good_til_cancelled_alone(time_in_force: TimeInForce) -> None:
    account = account_on(market_with())
    assert place(account, "sell", 1.0, 0.03, post_only=True, time_in_force="good_til_cancelled").state == "open"
    with pytest.raises(RpcError, match="11055 post_only_not_allowed"):
        place(account, "sell", 1.0, 0.03, post_only=True, time_in_force=time_in_force)


def test_reject_post_only_is_refused_when_it_would_trade() -> None:
    account = account_on(market_with(bid=0.02))
    with pytest.raises(RpcError, match="11054 post_only_reject"):
        place(account, "sell", 1.0, 0.02, post_only=True, reject_post_only=True)


def test_reduce_only_without_a_position_is_refused() -> None:
    account = account_on(market_with())
    with pytest.raises(RpcError, match="11030 other_reject invalid_reduce_only_order"):
        place(account, "buy", 1.0, 0.021, reduce_only=True)


def test_reduce_only_is_cut_to_the_position_and_never_flips_it() -> None:
    _, account = account_short(0.5)
    order = place(account, "buy", 2.0, 0.021, reduce_only=True)
    assert (order.amount, order.state, account.state.size_of(CALL)) == (0.5, "filled", 0.0)


def test_resting_reduce_only_orders_end_when_the_position_is_gone() -> None:
    market, account = account_short(0.5)
    first = place(account, "buy", 0.5, 0.015, reduce_only=True)
    second = place(account, "buy", 0.5, 0.0145, reduce_only=True)
    market.clock.sleep(60.0)
    market.show(CALL, bid=0.013, ask=0.014)
    account.advance()
    assert (first.state, second.state, account.state.size_of(CALL)) == ("filled", "cancelled", 0.0)


def test_an_order_that_arrives_after_valid_until_is_not_executed() -> None:
    market = market_with()
    account = account_on(market)
    with pytest.raises(RpcError, match="13888 timed_out"):
        place(account, "sell", 1.0, 0.02, valid_until_ms=market.now_ms - 1)
    assert place(account, "sell", 1.0, 0.02, valid_until_ms=market.now_ms).state == "filled"


# --- edit and cancel ----------------------------------------------------------------


def test_an_edit_sets_the_new_total_and_can_trade() -> None:
    market = market_with(bid=0.02, bid_amount=0.4)
    account = account_on(market)
    order = place(account, "sell", 1.0, 0.02)
    market.clock.sleep(1.0)
    market.show(CALL, bid=0.019, ask=0.021)
    _, trades = account.edit(EditRequest(order.order_id, amount=0.6, price_coin=0.019))
    assert [trade.amount for trade in trades] == [0.2]
    assert (order.state, order.amount, order.replaced) == ("filled", 0.6, True)


def test_an_edit_below_what_is_filled_is_refused() -> None:
    account = account_on(market_with(bid=0.02, bid_amount=0.4))
    order = place(account, "sell", 1.0, 0.02)
    with pytest.raises(RpcError, match="11008"):
        account.edit(EditRequest(order.order_id, amount=0.4))


def test_an_edit_of_a_reject_post_only_order_into_the_quote_cancels_it() -> None:
    account = account_on(market_with(bid=0.02))
    order = place(account, "sell", 1.0, 0.0215, post_only=True, reject_post_only=True)
    account.edit(EditRequest(order.order_id, price_coin=0.02))
    assert (order.state, order.cancel_reason) == ("cancelled", "edit_post_only_reject")


def test_cancelling_keeps_fills_and_frees_margin() -> None:
    account = account_on(market_with(bid=0.02, bid_amount=0.4))
    order = place(account, "sell", 1.0, 0.02)
    margin_before = account.figures("BTC").initial_margin_coin
    account.cancel(order.order_id)
    assert (order.state, order.filled_amount, order.cancel_reason) == ("cancelled", 0.4, "user_request")
    assert account.figures("BTC").initial_margin_coin < margin_before


def test_a_closed_order_is_not_open_and_a_forgotten_one_is_not_found() -> None:
    market = market_with()
    account = account_on(market)
    order = place(account, "sell", 1.0, 0.03)
    account.cancel(order.order_id)
    with pytest.raises(RpcError, match="11044"):
        account.cancel(order.order_id)
    market.clock.sleep(HOUR_SECONDS)
    account.advance()
    with pytest.raises(RpcError, match="10004"):
        account.order(order.order_id)


# --- funds and margins ---------------------------------------------------------------


def test_an_order_needs_available_funds_for_its_margin() -> None:
    account = account_on(market_with(bid=0.02), BTC=1.0)
    place(account, "sell", 9.0, 0.03)
    with pytest.raises(RpcError, match="10009 not_enough_funds"):
        place(account, "sell", 1.0, 0.03)


def test_a_buy_needs_coins_for_its_premium() -> None:
    account = account_on(market_with(ask=0.021), BTC=0.02)
    with pytest.raises(RpcError, match="10009 not_enough_funds"):
        place(account, "buy", 1.0, 0.021)


def test_a_short_can_be_bought_back_when_margin_is_exhausted() -> None:
    market = market_with(bid=0.02)
    account = account_on(market, BTC=1.0)
    place(account, "sell", 8.0, 0.02)
    market.clock.sleep(60.0)
    market.show(CALL, bid=0.1, ask=0.105, mark=0.1)
    account.advance()
    assert account.figures("BTC").available_funds_coin < 0.0
    assert place(account, "buy", 1.0, 0.105, reduce_only=True).state == "filled"
    assert place(account, "buy", 1.0, 0.105).state == "filled"


def test_margins_agree_with_recorded_position_rows() -> None:
    checked = 0
    for row in recorded("private_get_positions__short_calls_and_puts_sm_row_samples.json"):
        listing = ScriptedMarket().list_option(row["instrument_name"])
        arguments = (listing, row["size"], row["mark_price"])
        initial_coin = position_initial_margin_coin(*arguments, row["index_price"])
        assert initial_coin == pytest.approx(row["initial_margin"], abs=1e-6)
        assert position_maintenance_margin_coin(*arguments) == pytest.approx(row["maintenance_margin"], abs=1e-6)
        if row["open_orders_margin"] > 0.0:
            claims = [Claim("sell", 0.1, 0.0)]
            margin_coin = open_orders_margin_coin(listing, row["size"], claims, row["index_price"])
            assert margin_coin == pytest.approx(row["open_orders_margin"], abs=1e-6)
            checked += 1
    assert checked == 2


def test_profits_and_usd_averages_agree_with_a_recorded_position_row() -> None:
    row = recorded("private_get_positions__short_calls_and_puts_sm_row_samples.json")[0]
    market = ScriptedMarket(START.replace(year=2023, month=8))
    market.index_usd["ETH"] = row["average_price_usd"] / row["average_price"]
    market.show(row["instrument_name"], row["average_price"], None, mark=row["average_price"])
    account = account_on(market)
    place(account, "sell", 1.0, row["average_price"], row["instrument_name"])
    market.index_usd["ETH"] = row["index_price"]
    market.show(row["instrument_name"], None, None, mark=row["mark_price"])
    account.advance()
    figures = account.figures_on(row["instrument_name"])
    assert figures.total_profit_coin == pytest.approx(row["total_profit_loss"], abs=1e-6)
    assert figures.floating_profit_usd == pytest.approx(row["floating_profit_loss_usd"], abs=1e-3)


def test_the_trade_fee_is_capped_for_cheap_options() -> None:
    account = account_on(market_with(bid=0.001, ask=0.0011, mark=0.001))
    place(account, "sell", 2.0, 0.001)
    assert account.state.trades[0].fee_coin == pytest.approx(2.0 * 0.125 * 0.001)


# --- time ------------------------------------------------------------------------------


def test_a_short_call_that_expires_in_the_money_pays_the_difference_and_the_delivery_fee() -> None:
    market, account = account_short(0.5, NEAR_CALL)
    balance_before = account.state.balances_coin["BTC"]
    market.deliver(NEAR_CALL, 100_000.0, is_approximate=True)
    market.sleep_until_expiry(NEAR_CALL)
    account.advance()
    entry = account.state.log[-1]
    assert account.state.balances_coin["BTC"] == pytest.approx(balance_before - 0.5 * 0.05 - 0.5 * 0.00015, abs=1e-12)
    assert [entry.cashflow_coin, entry.commission_coin] == pytest.approx([-0.025, 0.000075])
    assert entry.delivery is not None
    assert entry.delivery.is_approximate
    assert account.state.positions == {}


def test_a_call_that_expires_out_of_the_money_costs_nothing() -> None:
    market, account = account_short(0.5, NEAR_CALL)
    balance_before = account.state.balances_coin["BTC"]
    market.deliver(NEAR_CALL, 94_999.0)
    market.sleep_until_expiry(NEAR_CALL)
    account.advance()
    assert account.state.balances_coin["BTC"] == balance_before
    assert (account.state.log[-1].kind, account.state.log[-1].change_coin) == ("delivery", 0.0)


def test_settlement_waits_for_the_delivery_price() -> None:
    market, account = account_short(0.5, NEAR_CALL)
    market.sleep_until_expiry(NEAR_CALL)
    account.advance()
    expires_at_ms = market.known_listings[NEAR_CALL].expires_at_ms
    assert account.waiting_expiries() == [("BTC", expires_at_ms)]
    market.deliver(NEAR_CALL, 94_000.0)
    account.advance()
    assert account.waiting_expiries() == []


def test_a_fill_after_the_clock_has_stepped_back_hides_none_that_was_booked_before() -> None:
    market, account = account_short()
    market.clock = SimulatedClock(START - timedelta(hours=1))
    place(account, "sell", 1.0, 0.02)
    shown = entries_between(account.state, "BTC", to_ms(START - timedelta(minutes=1)), to_ms(START))
    assert [entry.position_after for entry in shown] == [-2.0, -1.0]
    assert [entry.booked_at_ms for entry in account.state.log] == [to_ms(START)] * 2


def test_a_resting_order_ends_with_its_instrument() -> None:
    market = market_with(NEAR_CALL)
    account = account_on(market)
    order = place(account, "sell", 1.0, 0.03, NEAR_CALL)
    market.sleep_until_expiry(NEAR_CALL)
    market.show(NEAR_CALL, bid=0.04, ask=0.05)
    account.advance()
    assert (order.state, order.cancel_reason, order.filled_amount) == ("cancelled", "settlement", 0.0)


def test_a_day_order_dies_at_the_settlement_before_later_quotes_can_fill_it() -> None:
    market = market_with()
    account = account_on(market)
    order = place(account, "sell", 1.0, 0.03, time_in_force="good_til_day")
    market.clock.sleep(21.0 * HOUR_SECONDS)
    market.show(CALL, bid=0.04, ask=0.05)
    account.advance()
    assert (order.state, order.filled_amount) == ("cancelled", 0.0)
    assert order.updated_at_ms == to_ms(START.replace(hour=8) + timedelta(days=1))


@pytest.mark.parametrize("index_usd", [90_000.0, 104_000.0, 130_000.0])
def test_an_instrument_without_a_quote_is_marked_by_its_last_volatility(index_usd: float) -> None:
    market, account = account_short(1.0)
    market.known_quotes.clear()
    market.clock.sleep(6 * HOUR_SECONDS)
    market.index_usd["BTC"] = index_usd
    account.advance()
    years = pricing.years_between(market.clock.now(), START.replace(day=16, hour=8))
    mark_coin = account.figures_on(CALL).mark_coin
    assert mark_coin == pytest.approx(pricing.black76_price_coin(index_usd, 100_000.0, 0.5, years), abs=1e-12)
    assert mark_coin >= max(0.0, 1.0 - 100_000.0 / index_usd)


def test_a_mark_without_a_quote_is_never_below_the_intrinsic_value() -> None:
    market, account = account_short(1.0)
    market.show(CALL, 0.02, 0.021, mark_iv_fraction=0.0, underlying_price_usd=85_000.0)
    account.advance()
    market.known_quotes.clear()
    market.index_usd["BTC"] = 110_000.0
    account.advance()
    assert account.figures_on(CALL).mark_coin == pytest.approx(1.0 - 100_000.0 / 110_000.0)


def test_a_quote_that_is_back_stands_again() -> None:
    market, account = account_short(1.0)
    market.known_quotes.clear()
    account.advance()
    market.show(CALL, 0.03, 0.031, mark=0.0305)
    account.advance()
    assert account.figures_on(CALL).mark_coin == 0.0305


def test_profit_of_the_session_starts_anew_at_eight() -> None:
    market, account = account_short(1.0)
    market.clock.sleep(21.0 * HOUR_SECONDS)
    market.show(CALL, bid=0.01, ask=0.011, mark=0.0105)
    account.advance()
    figures = account.figures_on(CALL)
    assert figures.total_profit_coin == pytest.approx(0.0095)
    assert figures.floating_profit_coin == 0.0


def test_an_addition_counts_from_its_own_price_and_the_old_part_from_the_mark_at_eight() -> None:
    market, account = account_short(1.0)
    market.clock.sleep(21.0 * HOUR_SECONDS)
    market.show(CALL, bid=0.01, ask=0.011, mark=0.0105)
    place(account, "sell", 1.0, 0.01)
    figures = account.figures_on(CALL)
    assert figures.floating_profit_coin == pytest.approx(-0.0005)
    assert figures.total_profit_coin == pytest.approx(0.0095 - 0.0005)


def test_memory_stays_flat_over_many_days() -> None:
    market, account = account_short(1.0)
    for hour in range(24 * 40):
        market.clock.sleep(HOUR_SECONDS)
        name = f"BTC-{16 if hour < 24 * 9 else 27}{'JAN' if hour < 24 * 9 else 'FEB'}26-100000-C"
        market.deliver(CALL, 90_000.0)
        market.show(name, bid=0.02, ask=0.021)
        account.cancel(place(account, "sell", 0.1, 0.03, name).order_id)
        place(account, "sell", 0.1, 0.02, name, reduce_only=False)
        place(account, "buy", 0.1, 0.021, name)
    state = account.state
    assert len(state.closed_orders) < 60
    assert len(state.trades) < 60
    assert len(state.log) <= 2_000
    assert len(state.contracts) <= 2


# --- identities, events, restart ---------------------------------------------------------


def assert_identities(account: PaperAccount) -> None:
    for currency in account.state.balances_coin:
        row = summary_reply(currency, account.figures(currency), account.now_ms)
        held = [row for row in account.figures(currency).options if row.size != 0.0]
        futures = row["futures_session_upl"] + row["futures_session_rpl"]
        assert row["equity"] == pytest.approx(row["balance"] + futures + row["options_value"], abs=1e-9)
        assert row["margin_balance"] == pytest.approx(row["equity"] - row["options_value"], abs=1e-9)
        assert row["available_funds"] == pytest.approx(row["margin_balance"] - row["initial_margin"], abs=1e-9)
        assert row["session_upl"] == pytest.approx(row["futures_session_upl"] + row["options_session_upl"], abs=1e-9)
        assert row["options_value"] == pytest.approx(sum(p.size * p.mark_coin for p in held), abs=1e-9)
        assert row["delta_total"] == pytest.approx(row["options_delta"] - row["options_value"], abs=1e-9)


def random_step(market: ScriptedMarket, account: PaperAccount, dice: random.Random) -> None:
    """One thing that can happen: time, a quote, an order, an edit, a cancel, a delivery."""
    market.clock.sleep(dice.choice([0.0, 60.0, 1_800.0]))
    name = dice.choice([CALL, PUT, ETH_CALL, NEAR_CALL])
    mark = dice.choice([0.002, 0.0105, 0.02, 0.04])
    market.index_usd["BTC"] *= dice.uniform(0.99, 1.01)
    market.show(name, mark - 0.0005, mark + 0.0005, mark, bid_amount=3.0, ask_amount=dice.choice([None, 2.0]))
    market.deliver(name, market.index_usd[name[:3]] * dice.uniform(0.9, 1.2))
    account.advance()
    open_orders = account.open_orders()
    if open_orders and dice.random() < 0.3:
        account.cancel(dice.choice(open_orders).order_id)
        return
    direction = dice.choice(["buy", "sell"])
    price = round(mark + dice.choice([-0.0005, 0.0, 0.0005]), 4)
    amount = float(dice.choice([1, 2, 5]))
    account.submit(OrderRequest(name, direction, amount, price, reduce_only=dice.random() < 0.2))  # type: ignore[arg-type]


def scripted_market() -> ScriptedMarket:
    market = ScriptedMarket()
    for name in (CALL, PUT, ETH_CALL, NEAR_CALL):
        market.show(name, 0.02, 0.021)
    return market


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_identities_hold_after_each_of_500_random_events(seed: int) -> None:
    market, dice = scripted_market(), random.Random(seed)
    account = account_on(market)
    account.observers.append(lambda _: assert_identities(account))
    events = record_events(account)
    while len(events) < 500:
        with suppress(RpcError):
            random_step(market, account, dice)
    assert {event.kind for event in events} == {"accepted", "fill", "cancelled", "settlement"}


def test_the_log_adds_up_to_the_balance() -> None:
    market, account = account_short(0.5, NEAR_CALL)
    place(account, "buy", 0.1, 0.021, NEAR_CALL)
    market.deliver(NEAR_CALL, 99_000.0)
    market.sleep_until_expiry(NEAR_CALL)
    account.advance()
    changes = sum(entry.change_coin for entry in account.state.log)
    assert account.state.balances_coin["BTC"] == pytest.approx(10.0 + changes, abs=1e-12)


def test_observers_hear_of_every_event_with_the_balance_after_it() -> None:
    market = market_with(NEAR_CALL, bid=0.02)
    account = account_on(market)
    events = record_events(account)
    place(account, "sell", 1.0, 0.02, NEAR_CALL, label="cc-1")
    account.cancel(place(account, "sell", 1.0, 0.03, NEAR_CALL).order_id)
    market.deliver(NEAR_CALL, 90_000.0)
    market.sleep_until_expiry(NEAR_CALL)
    account.advance()
    assert [event.kind for event in events] == ["accepted", "fill", "accepted", "cancelled", "settlement"]
    assert events[1].label == "cc-1"
    assert events[1].balance_after_coin == pytest.approx(10.0197)


def test_an_account_written_in_the_middle_goes_on_as_if_nothing_had_happened() -> None:
    market, dice = scripted_market(), random.Random(7)
    account = account_on(market)
    for _ in range(60):
        with suppress(RpcError):
            random_step(market, account, dice)
    copy = PaperAccount.from_json(market, account.to_json())
    place_both = [(account, random.Random(8)), (copy, random.Random(8))]
    for twin, twin_dice in place_both:
        market.show(CALL, 0.02, 0.021)
        place(twin, "sell", 1.0, twin_dice.choice([0.02, 0.0205]))
    assert copy.to_json() == account.to_json()


# --- settlement, before and since 2026-08-01 -------------------------------------------------


def settled(direction: Direction, price_usd: float, into_futures: bool | None, name: str = NEAR_CALL) -> PaperAccount:
    """An account after the expiry of one option it had traded."""
    market = market_with(name, bid=0.02, ask=0.021)
    account = PaperAccount(market, {"BTC": 10.0, "ETH": 100.0}, into_futures=into_futures)
    account.advance()
    place(account, direction, 0.5, 0.02 if direction == "sell" else 0.021, name)
    market.deliver(name, price_usd)
    market.sleep_until_expiry(name)
    account.advance()
    return account


@pytest.mark.parametrize(
    ("direction", "price_usd", "rows"),
    [
        ("sell", 100_000.0, [("assignment", NEAR_CALL), ("delivery", "BTC-6JAN26")]),
        ("buy", 100_000.0, [("exercise", NEAR_CALL), ("delivery", "BTC-6JAN26")]),
        ("sell", 95_000.0, [("expiry", NEAR_CALL)]),
        ("buy", 90_000.0, [("expiry", NEAR_CALL)]),
    ],
)
def test_both_forms_of_settlement_sum_up_to_the_same(
    direction: Direction, price_usd: float, rows: list[tuple[str, str]]
) -> None:
    before, since = (settled(direction, price_usd, into_futures) for into_futures in (False, True))
    logs = [account.state.log[1:] for account in (before, since)]
    assert [(entry.kind, entry.instrument_name) for entry in logs[0]] == [("delivery", NEAR_CALL)]
    assert [(entry.kind, entry.instrument_name) for entry in logs[1]] == [*rows, ("options_settlement_summary", None)]
    sums = [(math.fsum(e.change_coin for e in log), math.fsum(e.commission_coin for e in log)) for log in logs]
    assert sums[1] == pytest.approx(sums[0], abs=1e-12)
    assert before.state.balances_coin == pytest.approx(since.state.balances_coin, abs=1e-12)
    assert before.state.session_realized_coin == since.state.session_realized_coin


@pytest.mark.parametrize(("day", "kind"), [(31, "delivery"), (1, "options_settlement_summary")])
def test_an_expiry_is_booked_in_the_form_of_its_date(day: int, kind: str) -> None:
    name = f"BTC-{day}{'JUL' if day == 31 else 'AUG'}26-95000-C"
    assert settled("sell", 100_000.0, None, name).state.log[-1].kind == kind


def test_a_daily_option_is_delivered_without_a_fee() -> None:
    market, account = account_short(0.5, NEAR_CALL)
    contract = account.state.contracts[NEAR_CALL]
    contract.listing = replace(contract.listing, settlement_period="day")
    market.deliver(NEAR_CALL, 100_000.0)
    market.sleep_until_expiry(NEAR_CALL)
    account.advance()
    assert (account.state.log[-1].cashflow_coin, account.state.log[-1].commission_coin) == (-0.025, 0.0)
