"""Calls sold and the chains of their rolls, found in a ledger."""

from __future__ import annotations

import pytest

from core.results.call_book import sold_calls
from core.results.sold_calls import SoldCall, chains_of
from core.results.steps import Sale
from models import LedgerEntry
from tests.builders.results import FEE_COIN, a_booking, a_buy_back, a_sale, a_step

FIRST, SECOND, THIRD = "BTC-9JAN26-93000-C", "BTC-16JAN26-95000-C", "BTC-16JAN26-85000-C"


def exits_of(calls: tuple[SoldCall, ...]) -> list[tuple[str, str, float]]:
    return [(call.symbol, call.exit, call.open_coin) for call in calls]


def test_a_call_bought_back_earns_its_premium_less_the_buy_back_and_both_fees() -> None:
    (call,) = sold_calls([a_sale(FIRST, 1, 0.005), a_buy_back(FIRST, 30, 0.002)], [a_step()])
    assert (call.exit, call.opened_at, call.leg) == ("bought_back", a_sale(FIRST, 1, 0.005).booked_at, 1)
    assert call.pnl_coin == pytest.approx(0.1 * 0.003 - 2 * FEE_COIN, abs=1e-15)
    assert call.pnl_usd == pytest.approx((0.1 * 0.003 - 2 * FEE_COIN) * 90_000.0)


def test_usd_count_at_the_index_of_each_booking() -> None:
    dear = a_buy_back(FIRST, 30, 0.002).model_copy(update={"index_price_usd": 100_000.0})
    (call,) = sold_calls([a_sale(FIRST, 1, 0.005), dear], [a_step()])
    assert call.pnl_usd == pytest.approx((0.0005 - FEE_COIN) * 90_000.0 - (0.0002 + FEE_COIN) * 100_000.0)


def test_a_sale_in_parts_is_one_call_and_a_buy_back_in_parts_ends_with_the_last() -> None:
    entries = [a_sale(FIRST, 1, 0.005), a_sale(FIRST, 1.1, 0.004), a_buy_back(FIRST, 9, 0.001)]
    (half,) = sold_calls(entries, [a_step(), a_step(20, 1.0, held=[(FIRST, 0.001)])])
    assert half.exit == "open"
    assert [half.size_coin, half.open_coin] == pytest.approx([0.2, 0.1])
    (whole,) = sold_calls([*entries, a_buy_back(FIRST, 10, 0.001)], [a_step()])
    assert (whole.exit, whole.open_coin, whole.closed_at) == ("bought_back", 0.0, a_buy_back(FIRST, 10, 1.0).booked_at)


def test_a_symbol_sold_again_after_it_was_bought_back_is_another_call_of_another_chain() -> None:
    once = [a_sale(FIRST, 1, 0.005), a_buy_back(FIRST, 2, 0.004)]
    again = [a_sale(FIRST, 3, 0.005), a_buy_back(FIRST, 4, 0.004)]
    assert len(chains_of(sold_calls([*once, *again], [a_step()]))) == 2


def test_a_roll_gives_its_chain_on_and_a_sale_of_its_own_begins_another() -> None:
    steps = [
        a_step(1, sale=Sale(FIRST)),
        a_step(30, sale=Sale(SECOND, rolled_from=FIRST), bought_back=FIRST),
        a_step(60, sale=Sale(THIRD)),
    ]
    entries = [
        *(a_sale(FIRST, 1.01, 0.005), a_buy_back(FIRST, 30.01, 0.002)),
        *(a_sale(SECOND, 30.02, 0.006), a_sale(THIRD, 60.01, 0.004)),
    ]
    calls = sold_calls(entries, steps)
    assert [(call.exit, call.leg) for call in calls] == [("rolled", 1), ("open", 2), ("open", 1)]
    chains = chains_of(calls)
    assert [[leg.symbol for leg in chain.legs] for chain in chains] == [[FIRST, SECOND], [THIRD]]
    assert (chains[0].rolls, chains[0].closed_at, chains[0].chain_id) == (1, None, f"{FIRST} 2026-01-05T13:00:36")


def test_a_roll_whose_sale_failed_ends_its_chain_and_a_later_sale_of_the_same_call_is_not_of_it() -> None:
    roll = a_step(30, sale=Sale(SECOND, rolled_from=FIRST), bought_back=FIRST)
    entries = [a_sale(FIRST, 1, 0.005), a_buy_back(FIRST, 30.01, 0.002), a_sale(SECOND, 40.01, 0.006)]
    calls = sold_calls(entries, [a_step(0.9, sale=Sale(FIRST)), roll, a_step(40, sale=Sale(SECOND))])
    assert len(chains_of(calls)) == 2


def test_a_second_roll_into_a_call_sold_before_is_not_a_leg_of_the_first() -> None:
    steps = [a_step(1, sale=Sale(SECOND, rolled_from=FIRST), bought_back=FIRST)]
    (call,) = sold_calls([a_sale(SECOND, 1.01, 0.006)], steps)
    assert (call.leg, call.chain_id) == (1, f"{SECOND} 2026-01-05T13:00:36")  # FIRST was never seen


def test_what_the_decision_saw_stands_in_the_row_and_the_slippage_of_an_order_that_rested() -> None:
    sale = Sale(FIRST, delta=0.21, days=3.8, spread_pct=12.0)
    steps = [a_step(1, sale=sale), a_step(7, slippage_coin={FIRST: -0.00002})]
    (call,) = sold_calls([a_sale(FIRST, 5, 0.005)], steps)
    assert (call.entry_delta, call.entry_days, call.entry_spread_pct) == (0.21, 3.8, 12.0)
    assert call.slippage_coin == -0.00002


@pytest.mark.parametrize(("payoff_coin", "how"), [(0.0, "expired"), (-0.005, "settled")])
def test_at_expiry_a_call_expires_worthless_or_is_settled(payoff_coin: float, how: str) -> None:
    delivery = a_booking("delivery", FIRST, 92, payoff_coin, fee_coin=0.0)
    (call,) = sold_calls([a_sale(FIRST, 1, 0.005), delivery], [a_step()])
    assert (call.exit, call.settled_coin, call.open_coin) == (how, payoff_coin, 0.0)


def test_two_calls_of_one_expiry_share_a_settlement_by_what_each_is_worth() -> None:
    expired = [
        a_booking("assignment", symbol, 260, 0.0, fee_coin=0.00001, index_price_usd=97_000.0)
        for symbol in (SECOND, THIRD)
    ]
    future = a_booking("delivery", "BTC-16JAN26", 260, -0.0014, None, fee_coin=0.0, index_price_usd=97_000.0)
    entries: list[LedgerEntry] = [a_sale(SECOND, 1, 0.005), a_sale(THIRD, 2, 0.005), *expired, future]
    calls = sold_calls(entries, [a_step()])
    assert exits_of(calls) == [(SECOND, "settled", 0.0), (THIRD, "settled", 0.0)]
    assert [call.settled_coin for call in calls] == [pytest.approx(-0.0002), pytest.approx(-0.0012)]  # 2,000 : 12,000


def test_a_call_that_is_open_counts_at_the_mark_of_the_last_state_and_is_unknown_without() -> None:
    sale = a_sale(FIRST, 1, 0.005)
    (marked,) = sold_calls([sale], [a_step(), a_step(6, 1.0, held=[(FIRST, 0.004)])])
    assert marked.open_value_coin == pytest.approx(-0.0004)
    assert marked.pnl_coin == pytest.approx(0.0005 - FEE_COIN - 0.0004)
    (unseen,) = sold_calls([sale], [a_step()])
    assert (unseen.open_value_coin, unseen.pnl_coin, unseen.pnl_usd) == (None, None, None)


def test_a_call_held_before_the_log_has_no_premium_and_no_result() -> None:
    (call,) = sold_calls([a_buy_back(FIRST, 5, 0.001)], [a_step(0, 1.0, held=[(FIRST, 0.002)])])
    assert (call.opened_at, call.premium_coin, call.exit, call.pnl_coin) == (None, None, "bought_back", None)


def test_trades_of_puts_futures_and_long_calls_of_another_hand_are_no_calls_sold() -> None:
    entries = [
        a_booking("trade", "BTC-9JAN26-93000-P", 1, 0.001, "open sell"),
        a_booking("trade", "BTC-PERPETUAL", 1, 0.001, "open sell"),
        a_booking("trade", FIRST, 1, -0.001, "open buy"),
        a_booking("trade", FIRST, 2, 0.001, "close sell"),
    ]
    assert sold_calls(entries, [a_step()]) == ()
