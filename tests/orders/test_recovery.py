"""Earlier orders: looked up where their answer was lost, cancelled where they are still open, at the start and the end.

Everything runs against the paper exchange.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from models import DeribitConnectionError
from orders.recovery import cancel_leftovers, cancel_own_orders, recover_orders
from tests.builders.agent import (
    ScriptedDesk,
    a_foreign_sell,
    an_order_request,
    ended_orders,
    ends_of,
    order_log_of_the_next_process,
    scripted_desk,
)
from tests.builders.paper import CALL
from tests.builders.wire import Fault, answer_lost, lost_on_the_way, meanwhile, result_of

SELL = "private/sell"


# --- an answer that was lost --------------------------------------------------------------------------------


def desk_with_a_lost_answer(folder: Path, fault: Fault) -> ScriptedDesk:
    desk = scripted_desk(folder)
    desk.wire.disturb(SELL, fault)
    desk.client.place_limit_order(an_order_request())
    return desk


@pytest.mark.parametrize(("seconds", "is_asked"), [(9.0, False), (15.0, False), (15.5, True)])
def test_a_lost_order_is_looked_up_only_once_it_can_no_longer_be_executed(
    tmp_path: Path, seconds: float, is_asked: bool
) -> None:
    desk = desk_with_a_lost_answer(tmp_path, answer_lost())
    desk.clock.sleep(seconds)
    recover_orders(desk.client, desk.order_log)
    assert (desk.wire.methods("private/get_order_state_by_label") != []) == is_asked
    assert (desk.order_log.unresolved() == ()) == is_asked


@pytest.mark.parametrize(
    ("fault", "found"),
    [(answer_lost(), "resolved_present"), (lost_on_the_way(httpx.WriteError), "resolved_absent")],
)
def test_how_a_lost_order_ended_is_written_down(tmp_path: Path, fault: Fault, found: str) -> None:
    desk = desk_with_a_lost_answer(tmp_path, fault)
    desk.clock.sleep(56.0)
    for _ in range(2):  # absent is final at the second empty look-up
        recover_orders(desk.client, desk.order_log)
    outcomes = [line["outcome"] for line in desk.order_lines() if line["event"] == "outcome"]
    assert outcomes == ["unknown", found]
    assert desk.order_log.unresolved() == desk.order_log.unclosed() == ()


def test_a_lost_order_stays_an_open_question_while_the_exchange_cannot_be_asked(tmp_path: Path) -> None:
    desk = desk_with_a_lost_answer(tmp_path, answer_lost())
    desk.clock.sleep(16.0)
    desk.wire.disturb("private/get_order_state_by_label", *[lost_on_the_way()] * 3)
    with pytest.raises(DeribitConnectionError):
        recover_orders(desk.client, desk.order_log)
    assert len(desk.order_log.unresolved()) == 1


def test_a_lost_order_that_the_exchange_no_longer_remembers_is_decided_by_the_positions(tmp_path: Path) -> None:
    desk = desk_with_a_lost_answer(tmp_path, lost_on_the_way(httpx.WriteError))
    desk.clock.sleep(10.0 + 25 * 60.0 + 1.0)
    for _ in range(2):
        recover_orders(desk.client, desk.order_log)
    last = desk.order_lines()[-1]
    assert (last["outcome"], last["decided_by"]) == ("resolved_absent", "positions")


@pytest.mark.parametrize(("seconds", "is_named"), [(10.0 + 25 * 60.0, False), (10.5 + 25 * 60.0, True)])
def test_within_25_minutes_the_exchange_itself_says_that_an_order_is_absent(
    tmp_path: Path, seconds: float, is_named: bool
) -> None:
    desk = desk_with_a_lost_answer(tmp_path, lost_on_the_way(httpx.WriteError))
    desk.clock.sleep(seconds)
    for _ in range(2):
        recover_orders(desk.client, desk.order_log)
    assert ("decided_by" in desk.order_lines()[-1]) is is_named


# --- after a restart ----------------------------------------------------------------------------------------


def test_an_order_left_over_that_the_exchange_has_forgotten_is_over_and_its_coin_rests(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.place_limit_order(an_order_request())
    desk.wire.disturb("private/get_order_state_by_label", *[result_of([])] * 2)
    log = order_log_of_the_next_process(desk)
    desk.clock.sleep(26 * 60.0)
    assert ended_orders(desk.client, log) == []
    assert ended_orders(desk.client, log) == [CALL]
    assert [filled for _, filled in ends_of(desk)] == [None]
    assert log.busy_symbols(desk.clock.now()) == (CALL,)


@pytest.mark.parametrize(("seconds", "is_over"), [(54.0, False), (55.5, True)])
def test_an_accepted_order_that_look_ups_do_not_show_is_over_only_once_no_copy_of_the_books_can_be_so_far_behind(
    tmp_path: Path, seconds: float, is_over: bool
) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.place_limit_order(an_order_request())
    desk.wire.disturb("private/get_order_state_by_label", *[result_of([])] * 2)
    log = order_log_of_the_next_process(desk)
    recover_orders(desk.client, log)
    desk.clock.sleep(seconds)
    recover_orders(desk.client, log)
    assert bool(ends_of(desk)) is is_over


def test_an_order_left_over_whose_cancel_is_lost_stays_open(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.place_limit_order(an_order_request(price_coin=0.03))
    log = order_log_of_the_next_process(desk)
    desk.wire.disturb("private/cancel", lost_on_the_way())
    assert ended_orders(desk.client, log) == []
    assert len(log.unclosed()) == 1
    assert ended_orders(desk.client, log) == [CALL]
    assert (log.unclosed(), desk.account.open_orders()) == ((), [])


def test_an_order_that_fills_while_it_is_cancelled_counts_with_what_was_filled(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.place_limit_order(an_order_request(price_coin=0.03))
    desk.wire.disturb("private/cancel", meanwhile(lambda: desk.market.show(CALL, 0.03, 0.031, mark=0.03)))
    log = order_log_of_the_next_process(desk)
    recover_orders(desk.client, log)
    recover_orders(desk.client, log)
    assert [filled for _, filled in ends_of(desk)] == [1.0]


# --- the end of a run ---------------------------------------------------------------------------------------


def test_at_the_end_of_a_run_our_orders_are_cancelled_and_those_of_others_are_left_alone(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    a_foreign_sell(desk, 0.3)
    desk.client.place_limit_order(an_order_request(price_coin=0.03))
    cancel_leftovers(desk.client, desk.order_log)
    assert [order.label for order in desk.account.open_orders()] == [""]
    assert ends_of(desk) == [(an_order_request().label, 0.0)]


def test_at_the_end_of_a_run_an_order_of_unknown_outcome_is_cancelled_although_it_is_not_yet_resolved(
    tmp_path: Path,
) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb(SELL, answer_lost())
    desk.client.place_limit_order(an_order_request(price_coin=0.03))
    cancel_leftovers(desk.client, desk.order_log)
    assert (desk.account.open_orders(), len(desk.order_log.unresolved())) == ([], 1)


def test_at_the_end_of_a_run_an_exchange_that_cannot_be_asked_is_an_error(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.client.place_limit_order(an_order_request(price_coin=0.03))
    desk.wire.disturb("private/get_open_orders", *[lost_on_the_way()] * 3)
    with pytest.raises(DeribitConnectionError):
        cancel_leftovers(desk.client, desk.order_log)
    assert len(desk.order_log.unclosed()) == 1


def test_our_own_open_orders_are_cancelled_and_those_of_others_are_left_alone(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    a_foreign_sell(desk, 0.3)
    desk.client.place_limit_order(an_order_request(price_coin=0.03))
    cancelled = cancel_own_orders(desk.client, desk.client.get_open_orders())
    assert [order.label for order in desk.account.open_orders()] == [""]
    assert cancelled == [CALL]
