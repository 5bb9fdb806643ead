"""Bends of what is held, what is sent and when.

In: a Story. Out: the same, bent in one place.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.campaign.bends.breaches import (
    bend_point,
    bend_reply,
    breaks,
    foreign_sale,
    is_exempt,
    last_send,
    looks_at,
    resting_order,
    sale,
    take_back,
    take_back_at_look,
    unanswered,
)
from tests.campaign.bends.example_trace import CALL, NEXT_CALL, START, Story, label_of


@breaks("I1")
def a_sale_nobody_asked_for(story: Story) -> None:
    sale(story, 20, amount=0.8)
    story.rest()


@breaks("I1")
def a_sale_beyond_the_equity(story: Story) -> None:
    sale(story, 20, amount=0.5)
    story.rest()
    last_look = [call for call in story.trace.calls if call.method == "private/get_account_summary"][-1]
    assert last_look.answered is not None
    last_look.answered["result"]["equity"] = 0.7
    bend_point(story, "accepted", coins_held={"BTC": 0.7, "ETH": 10.0})


@breaks("I1")
def a_withdrawal_long_before_a_sale(story: Story) -> None:
    story.trace.outside_acts.append((story.now, "X23"))
    story.balance_btc = 0.5
    story.now += timedelta(seconds=300)
    sale(story, 20, amount=0.3)
    story.rest()


@is_exempt
def a_withdrawal_while_the_order_is_on_its_way(story: Story) -> None:
    story.look()
    story.look_at(CALL)
    story.look_again()
    sale_after_a_withdrawal(story)


@breaks("I1")
def a_withdrawal_that_nobody_looked_for_before_the_sale(story: Story) -> None:
    story.look()
    story.look_at(CALL)
    sale_after_a_withdrawal(story)


def sale_after_a_withdrawal(story: Story) -> None:
    story.trace.outside_acts.append((story.now, "X23"))
    story.balance_btc = 0.5
    story.send("sell", CALL, 0.3, label_of(20, "sell"))
    story.traded(label_of(20, "sell"))
    story.ended(label_of(20, "sell"))
    story.rest()
    del story.trace.decisions[0]["ledger"][:]  # the log is not judged where somebody else trades


@is_exempt
def a_sale_by_hand_beyond_the_coins(story: Story) -> None:
    story.look()
    foreign_sale(story, 5.0)
    story.rest()
    story.quiet()


@breaks("I2")
def a_roll_that_sells_more_than_it_bought(story: Story) -> None:
    story.look()
    story.trade("buy", NEXT_CALL, 0.3, label_of(20, "buy"))
    story.trade("sell", CALL, 0.5, label_of(20, "sell"))
    story.rest()


@breaks("I3")
def a_buy_that_may_open_a_position(story: Story) -> None:
    last_send(story, "buy").params["reduce_only"] = False


@breaks("I3")
def a_buy_back_that_ends_long(story: Story) -> None:
    points = story.trace.points
    number = next(n for n, it in enumerate(points) if it.event.kind == "fill" and it.event.direction == "buy")
    points[number] = replace(points[number], positions={CALL: 0.1})


@breaks("I6")
def two_orders_live_on_one_coin(story: Story) -> None:
    bend_point(story, "accepted", own_live_labels={"BTC": (label_of(3, "buy"), label_of(3, "sell"))})


@breaks("I6")
def one_request_accepted_twice(story: Story) -> None:
    points = [point for point in story.trace.points if point.event.label == label_of(1, "sell")]
    story.trace.points.insert(story.trace.points.index(points[0]) + 1, points[0])
    story.trace.decisions[0]["executed_action"]["legs"][0]["filled_coin"] = 0.3


@breaks("I6")
def two_live_orders_under_one_label(story: Story) -> None:
    bend_point(story, "accepted", own_live_labels={"BTC": (label_of(3, "sell"), label_of(3, "sell"))})


def copied_order(story: Story) -> str:
    """An order that a proxy delivers twice, seen in the next iteration as two."""
    label = label_of(20, "sell")
    story.look()
    story.look_at(CALL)
    call = story.send("sell", CALL, 0.1, label)
    call.arrived_at.append(story.now)
    story.ended(label)
    story.point("accepted", CALL, "sell", 0.1, label, call, own_live_labels={"BTC": (label, label)})
    story.leg(label, 0.0)
    story.rest()
    return label


def seen_twice(story: Story, label: str, state: str) -> None:
    story.look()
    rows = [{"order_id": number, "label": label} for number in (1, 2)]
    story.call("private/get_order_state_by_label", {"label": label}, rows)
    story.resting.pop(label)
    story.point("cancelled", CALL, "sell", 0.1, label, story.trace.calls[-1])
    story.rest(trading_state=state)


@is_exempt
def a_copied_order_that_halts_the_agent(story: Story) -> None:
    seen_twice(story, copied_order(story), "HALTED")


@breaks("I6")
def a_copied_order_that_is_not_noticed(story: Story) -> None:
    seen_twice(story, copied_order(story), "ACTIVE")


@breaks("I6")
def two_orders_shown_under_one_label_and_nothing_made_of_it(story: Story) -> None:
    story.look()
    story.call("private/get_order_state_by_label", {"label": label_of(1, "sell")}, [], rows=("X31",))
    story.rest()


@breaks("I4")
def an_order_on_a_put(story: Story) -> None:
    call = unanswered(story, 20)
    put = "BTC-16JAN26-100000-P"
    call.params["instrument_name"] = put
    story.trace.order_lines[-2]["symbol"] = put
    for other in story.trace.calls[-4:-1]:
        if "instrument_name" in other.params:
            other.params["instrument_name"] = put
    story.state["candidates"].append({**story.state["candidates"][0], "symbol": put})
    story.rest()
    story.log("outcome", label=label_of(20, "sell"), outcome="resolved_absent")


@breaks("I4")
def a_market_order(story: Story) -> None:
    last_send(story).params["type"] = "market"


@breaks("I4")
def a_method_the_agent_has_no_use_for(story: Story) -> None:
    story.look()
    story.call("private/close_position", {"instrument_name": CALL}, {})
    story.rest()


@breaks("I5")
def half_a_step(story: Story) -> None:
    last_send(story).params["amount"] = 0.35
    story.trace.order_lines[-2]["amount_coin"] = 0.35
    bend_reply(last_send(story), lambda reply: reply["result"]["order"].update(amount=0.35))


@breaks("I5")
def more_than_the_greatest_order(story: Story) -> None:
    story.trace.limits = replace(story.trace.limits, max_order_size_coin={"BTC": 0.2, "ETH": 1.0})


@breaks("I5")
def a_price_between_two_ticks(story: Story) -> None:
    bend_price(story, 0.02013)


@breaks("I5")
def a_price_far_below_the_mark(story: Story) -> None:
    bend_price(story, 0.01)


def bend_price(story: Story, price: float) -> None:
    last_send(story).params["price"] = price
    story.trace.order_lines[-2]["price_coin"] = price
    bend_reply(last_send(story), lambda reply: reply["result"]["order"].update(price=price))


@breaks("I7")
def an_order_sent_again(story: Story) -> None:
    call = next(call for call in story.trace.calls if call.method == "private/sell")
    again = replace(call, arrived_at=[], number=call.number)
    story.trace.calls.insert(story.trace.calls.index(call) + 1, again)


@breaks("I9")
def another_order_before_the_first_can_have_lapsed(story: Story) -> None:
    call = unanswered(story, 20)
    story.rest()
    story.log("outcome", label=label_of(20, "sell"), outcome="resolved_absent")
    story.now = call.sent_at + timedelta(seconds=9)
    sale(story, 21)
    story.rest()


def _sale_after(story: Story, *look_ups_seconds: float) -> None:
    """An answer is lost, and so long after the deadline the exchange is asked for the order; then more is sold."""
    label = label_of(20, "sell")
    sent_at = unanswered(story, 20).sent_at
    story.rest()
    for seconds in look_ups_seconds:
        story.now = sent_at + timedelta(seconds=10.0 + seconds)
        story.call("private/get_order_state_by_label", {"currency": "BTC", "label": label}, [])
    story.log("outcome", label=label, outcome="resolved_absent")
    sale(story, 21)
    story.rest()


@is_exempt
def another_order_after_two_look_ups_have_shown_nothing(story: Story) -> None:
    _sale_after(story, 6.0, 45.0)


@breaks("I9")
def another_order_after_a_single_look_up_that_showed_nothing(story: Story) -> None:
    _sale_after(story, 300.0)


@breaks("I9")
def another_order_after_two_look_ups_on_books_that_may_lag(story: Story) -> None:
    _sale_after(story, 6.0, 29.0)


@breaks("I9")
def an_order_without_a_deadline(story: Story) -> None:
    last_send(story).params["valid_until"] = None
    story.trace.order_lines[-2]["valid_until"] = None


@breaks("I10")
def an_order_that_came_back_with_another_price(story: Story) -> None:
    bend_reply(last_send(story), lambda reply: reply["result"]["order"].update(price=0.03))


@is_exempt
def an_order_with_another_price_that_is_taken_back(story: Story) -> None:
    story.look()
    story.look_at(CALL)
    label = label_of(20, "sell")
    call = story.send("sell", CALL, 0.1, label)
    bend_reply(call, lambda reply: reply["result"]["order"].update(price=0.03))
    story.call("private/cancel", {"order_id": label}, {})
    story.resting.pop(label)
    story.point("cancelled", CALL, "sell", 0.1, label, story.trace.calls[-1])
    story.leg(label, 0.0)
    story.ended(label)
    story.rest()


@breaks("I12")
def a_crossed_book(story: Story) -> None:
    bend_ticker(story, best_bid_price=0.03)


@breaks("I12")
def an_old_quote(story: Story) -> None:
    bend_ticker(story, timestamp=int((START - timedelta(hours=1)).timestamp() * 1000))


@breaks("I12")
def a_mark_that_is_not_a_number(story: Story) -> None:
    bend_ticker(story, mark_price=None)


@breaks("I12")
def an_instrument_that_is_closed(story: Story) -> None:
    found = [call for call in story.trace.calls if call.method == "public/get_instrument"][-1]
    bend_reply(found, lambda reply: reply["result"].update(is_active=False))


@breaks("I12")
def a_quote_in_a_reply_to_another_request(story: Story) -> None:
    found = [call for call in story.trace.calls if call.method == "public/ticker"][-1]
    bend_reply(found, lambda reply: reply.update(id=1))


@breaks("I12")
def a_sale_of_what_was_no_candidate(story: Story) -> None:
    state = next(record for record in story.trace.decisions if record["iteration"] == 3)["agent_state"]
    del state["candidates"][:]


def bend_ticker(story: Story, **values: Any) -> None:
    found = [call for call in story.trace.calls if call.method == "public/ticker"][-1]
    bend_reply(found, lambda reply: reply["result"].update(values))


@breaks("I13")
def an_order_without_having_read_the_accounts(story: Story) -> None:
    found = [call for call in story.trace.calls if call.iteration == 1 and call.method.endswith("account_summaries")]
    found[0].heard, found[0].raised = None, "ReadTimeout"


@breaks("I13")
def a_failed_read_that_became_an_empty_account(story: Story) -> None:
    story.trace.decisions[-1]["agent_state"]["portfolio"]["positions"] = []


@breaks("I13")
def positions_before_orders(story: Story) -> None:
    looks = [call for call in story.trace.calls if call.iteration == 2][:2]
    looks[0].method, looks[1].method = looks[1].method, looks[0].method
    looks[0].heard, looks[1].heard = looks[1].heard, looks[0].heard
    for call in looks:
        bend_reply(call, lambda reply, number=call.number: reply.update(id=number))  # type: ignore[misc]
        call.url = call.url.rpartition("private/")[0] + call.method


@breaks("I14")
def an_order_while_options_are_settled(story: Story) -> None:
    story.now = story.now.replace(hour=8, minute=0) + timedelta(days=1)
    sale(story, 20)
    story.rest()


@breaks("I14")
def an_order_just_before_expiry(story: Story) -> None:
    found = [call for call in story.trace.calls if call.method == "public/get_instrument"][-1]
    soon_ms = int((found.sent_at + timedelta(minutes=10)).timestamp() * 1000)
    bend_reply(found, lambda reply: reply["result"].update(expiration_timestamp=soon_ms))


@breaks("I14")
def an_order_while_the_exchange_is_locked(story: Story) -> None:
    found = [call for call in story.trace.calls if call.method == "public/status"][-1]
    bend_reply(found, lambda reply: reply["result"].update(locked="partial"))


@breaks("I28")
def an_order_while_the_kill_file_is_there(story: Story) -> None:
    story.trace.kill_file_since.append((story.now, None))
    sale(story, 20)
    story.rest()


@breaks("I28")
def an_order_left_live_under_the_kill_file(story: Story) -> None:
    label = resting_order(story)
    story.trace.kill_file_since.append((story.now - timedelta(seconds=1), story.now + timedelta(seconds=100)))
    story.quiet()
    take_back(story, label)


@breaks("I28")
def an_order_that_rests_on_under_the_kill_file(story: Story) -> None:
    label = resting_order(story)
    story.trace.kill_file_since.append((story.now, story.now + timedelta(seconds=60)))
    looks_at(story, 1)
    story.now += timedelta(seconds=8)
    take_back_at_look(story, label, 2)
    story.quiet()


@is_exempt
def an_order_taken_back_at_the_first_look_under_the_kill_file(story: Story) -> None:
    label = resting_order(story)
    story.trace.kill_file_since.append((story.now, story.now + timedelta(seconds=60)))
    take_back_at_look(story, label, 1)
    story.quiet()


@breaks("I28")
def an_order_left_live_by_a_life_that_was_asked_to_stop(story: Story) -> None:
    resting_order(story)
    story.end_life("stop", 0)


@breaks("I4")
def the_order_of_a_person_is_cancelled(story: Story) -> None:
    story.look()
    foreign_sale(story, 0.1, label="cc-january")
    story.call("private/cancel", {"order_id": "cc-january"}, {})
    del story.resting["cc-january"]
    story.rest()


@breaks("I1")
def a_coin_called_uncovered_for_the_mark_of_its_call(story: Story) -> None:
    story.quiet()
    risk = {"underlying": "BTC", "short_calls_coin": 0.5, "coins_held": 0.45}
    story.trace.decisions[-1]["agent_state"] |= {"risks": [risk]}
