"""What an account earned, from its ledger and its log: the parts add up to the change of equity."""

from __future__ import annotations

import pytest

from core.results.earnings import earnings, equity_points
from models import LedgerEntry
from tests.builders.results import FEE_COIN, a_booking, a_buy_back, a_sale, a_step

CALL, NEXT = "BTC-9JAN26-93000-C", "BTC-16JAN26-95000-C"


def test_every_part_has_its_sum_and_all_of_them_are_the_change_of_equity() -> None:
    entries = [
        a_sale(CALL, 1, 0.1),
        a_buy_back(CALL, 20, 0.04),
        a_sale(NEXT, 21, 0.06),
        a_booking("deposit", None, 22, 0.5, None, fee_coin=0.0),
    ]
    balance = 1.0 + sum(entry.change_coin for entry in entries)
    steps = [a_step(), a_step(30, balance - 0.005, balance, held=[(NEXT, 0.05)])]
    (btc,) = earnings(entries, steps)
    assert btc.premium_coin == pytest.approx(0.016)
    assert btc.bought_back_coin == pytest.approx(-0.004)
    assert btc.fees_coin == pytest.approx(-3 * FEE_COIN)
    assert btc.open_value_coin == pytest.approx(-0.005)
    assert btc.moved_coin == pytest.approx(0.5)
    assert btc.net_coin == pytest.approx(0.016 - 0.004 - 0.005 - 3 * FEE_COIN)
    assert btc.holding_coin == pytest.approx(1.5)
    assert btc.unexplained_coin == pytest.approx(0.0, abs=1e-12)


def test_a_settlement_counts_without_its_fee_among_the_deliveries() -> None:
    entries = [a_sale(CALL, 1, 0.1), a_booking("delivery", CALL, 92, -0.002)]
    (btc,) = earnings(entries, [a_step(), a_step(93, 1.0 + sum(entry.change_coin for entry in entries))])
    assert btc.settled_coin == pytest.approx(-0.002)
    assert btc.fees_coin == pytest.approx(-2 * FEE_COIN)
    assert btc.unexplained_coin == pytest.approx(0.0, abs=1e-12)


def test_a_trade_of_the_last_decision_is_not_in_its_equity_and_a_delivery_of_that_moment_is() -> None:
    trade, delivery = a_sale(NEXT, 93, 0.05), a_booking("delivery", CALL, 93, -0.002)
    steps = [a_step(), a_step(93, 1.0 + delivery.change_coin)]
    (btc,) = earnings([delivery, trade], steps)
    assert btc.premium_coin == 0.0
    assert btc.settled_coin == pytest.approx(-0.002)
    assert btc.unexplained_coin == pytest.approx(0.0, abs=1e-12)


def test_what_the_ledger_of_the_log_lacks_is_shown_and_not_hidden_in_a_part() -> None:
    (btc,) = earnings([], [a_step(), a_step(9, 0.75)])
    assert (btc.net_coin, btc.unexplained_coin) == (0.0, -0.25)


def test_entries_from_before_the_first_state_are_in_its_equity_already() -> None:
    (btc,) = earnings([a_sale(CALL, -1, 0.1)], [a_step(), a_step(9)])
    assert (btc.premium_coin, btc.sold) == (0.0, 0)


def test_a_coin_whose_equity_is_not_known_at_both_ends_has_no_row_nor_has_a_log_without_a_state() -> None:
    assert earnings([], []) == ()
    assert earnings([], [a_step(0, None)]) == ()


@pytest.mark.parametrize(
    ("entries", "fraction"),
    [
        ([], 1.0),
        ([a_sale(CALL, 2, 0.1)], 0.2),
        ([a_sale(CALL, 2, 0.1), a_buy_back(CALL, 5, 0.1)], 0.7),
        ([a_sale(CALL, 2, 0.1), a_sale(NEXT, 3, 0.1), a_buy_back(CALL, 5, 0.1), a_buy_back(NEXT, 8, 0.1)], 0.4),
    ],
)
def test_the_time_without_a_call_is_what_no_call_covers(entries: list[LedgerEntry], fraction: float) -> None:
    (btc,) = earnings(entries, [a_step(), a_step(10)])
    assert btc.uncovered_fraction == pytest.approx(fraction)


def test_a_call_held_before_the_log_covers_its_time_until_it_ends() -> None:
    (btc,) = earnings([a_buy_back(CALL, 5, 0.1)], [a_step(0, held=[(CALL, 0.1)]), a_step(10)])
    assert btc.uncovered_fraction == pytest.approx(0.5)


def test_holding_moves_with_deposits_only_and_both_have_a_value_in_usd() -> None:
    entries = [a_sale(CALL, 1, 0.1), a_booking("deposit", None, 2, 0.5, None, fee_coin=0.0)]
    points = list(equity_points(entries, [a_step(), a_step(1.5, 1.01), a_step(3, 1.51)]))
    assert [point.holding_coin for point in points] == [1.0, 1.0, 1.5]
    assert points[-1].equity_usd == pytest.approx(135_900.0)
    assert points[-1].holding_usd == pytest.approx(135_000.0)
