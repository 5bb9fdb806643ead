"""Bends of logs, sessions and lives.

In: a Story. Out: the same, bent in one place.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.campaign.bends.breaches import (
    bend_point,
    bend_reply,
    breaks,
    is_exempt,
    last_send,
    looks_at,
    resting_order,
    sale,
    take_back,
    unanswered,
)
from tests.campaign.bends.example_trace import CALL, NEXT_CALL, SECRET, Story, label_of


@breaks("I8")
def an_order_accepted_before_it_was_logged(story: Story) -> None:
    bend_point(story, "accepted", intent_on_disk=False)


@breaks("I8")
def another_price_logged_than_sent(story: Story) -> None:
    story.trace.order_lines[-2]["price_coin"] = 0.021


@breaks("I11")
def an_order_without_an_end(story: Story) -> None:
    story.trace.order_lines.pop()


@breaks("I11")
def an_order_with_two_ends(story: Story) -> None:
    story.ended(label_of(3, "sell"), "resolved_present")


@breaks("I15")
def a_line_that_does_not_parse(story: Story) -> None:
    story.trace.unparsable_lines.append('{"run_id": "tes')


@breaks("I15")
def a_number_that_is_none_in_a_line(story: Story) -> None:
    story.trace.raw_files["decisions-2026-01-05.jsonl"] = b'{"note": "NaN is only a word here"}\n{"size": NaN}\n'


@breaks("I16")
def an_iteration_without_a_line(story: Story) -> None:
    del story.trace.decisions[3]


@breaks("I16")
def an_iteration_with_two_lines(story: Story) -> None:
    story.trace.decisions.append(story.trace.decisions[3])


@is_exempt
def an_iteration_that_was_killed_before_its_line(story: Story) -> None:
    story.look()
    story.end_life("crash")
    story.begin_life()
    story.quiet(3)


@breaks("I16")
def an_order_missing_from_its_line(story: Story) -> None:
    record = next(record for record in story.trace.decisions if record["iteration"] == 3)
    record["executed_action"]["legs"] = record["executed_action"]["legs"][:1]
    story.log("closed", label=label_of(3, "sell"), filled_amount_coin=0.3)


@breaks("I16")
def an_accepted_order_logged_as_refused(story: Story) -> None:
    story.trace.order_lines[-1]["outcome"] = "rejected"


@breaks("I16")
def a_fill_that_is_not_logged(story: Story) -> None:
    record = next(record for record in story.trace.decisions if record["iteration"] == 3)
    record["executed_action"]["legs"][1]["filled_coin"] = 0.0


@breaks("I16")
def a_trade_missing_from_the_logged_ledger(story: Story) -> None:
    story.trace.decisions[0]["ledger"].clear()


def _settle(story: Story, **entry: Any) -> None:
    """What is held expires, and the ledger says so as it likes."""
    held = story.positions.pop(NEXT_CALL)
    story.look()
    story.point("settlement", NEXT_CALL, "buy", -held, "", story.trace.calls[-1])
    settled = {"currency": "BTC", "entry_type": "expiry", "symbol": NEXT_CALL, "booked_at": story.now.isoformat()}
    story.entries.append({**settled, "change_coin": 0.0, "balance_coin": story.balance_btc, **entry})
    story.rest()
    story.quiet(3)


@is_exempt
def a_settlement_that_says_neither_side_nor_amount(story: Story) -> None:
    _settle(story, side=None, amount_coin=None)


@is_exempt
def a_settlement_that_says_its_amount_alone(story: Story) -> None:
    _settle(story, side=None, amount_coin=0.3)


@breaks("I16")
def a_settlement_of_less_than_was_held(story: Story) -> None:
    _settle(story, side="close buy", amount_coin=0.1)


@breaks("I17")
def a_line_that_changed(story: Story) -> None:
    story.trace.rewritten_files.append("orders-2026-01-05.jsonl")


@breaks("I21")
def the_secret_in_a_file(story: Story) -> None:
    story.trace.raw_files["decisions-2026-01-05.jsonl"] = base64.b64encode(SECRET.encode())


@breaks("I21")
def a_part_of_the_secret_on_the_console(story: Story) -> None:
    story.trace.lives[0].output = f"refused: {SECRET[3:11]}..."


@breaks("I21")
def a_token_in_a_file(story: Story) -> None:
    story.trace.raw_files["decisions-2026-01-05.jsonl"] = b'{"detail": "Bearer token-5bY8nR3cJ6"}\n'


@breaks("I23")
def a_file_that_others_can_read(story: Story) -> None:
    path = story.trace.folder / "orders-2026-01-05.jsonl"
    path.write_bytes(b"{}\n")
    path.chmod(0o644)
    story.trace.raw_files[path.name] = b"{}\n"


@breaks("I18")
def a_request_to_another_host(story: Story) -> None:
    story.trace.calls[5].url = story.trace.calls[5].url.replace("test.deribit", "www.deribit")


@breaks("I18")
def a_redirect_that_was_followed(story: Story) -> None:
    story.trace.calls[5].url += "/elsewhere"


@breaks("I19")
def a_private_request_after_an_answer_that_is_not_testnet(story: Story) -> None:
    story.look()
    bend_reply(story.trace.calls[-4], lambda reply: reply.update(testnet=False))
    story.rest()


@is_exempt
def an_answer_that_is_not_testnet_and_is_not_repeated(story: Story) -> None:
    story.look()
    bend_reply(story.trace.calls[-1], lambda reply: reply.update(testnet=False))
    story.rest()
    story.call("public/get_time", {}, 0)


@is_exempt
def an_end_with_5_after_two_answers_that_are_not_testnet(story: Story) -> None:
    story.look()
    bend_reply(story.trace.calls[-1], lambda reply: reply.update(testnet=False))
    story.rest()
    story.call("public/get_time", {}, 0)
    bend_reply(story.trace.calls[-1], lambda reply: reply.update(testnet=False))
    story.end_life("exit", 5, "the exchange says that it is not testnet")


@breaks("I20")
def a_private_request_in_a_dry_run(story: Story) -> None:
    story.trace.dry_run = True


@breaks("I22")
def a_token_with_all_rights_of_the_key(story: Story) -> None:
    story.trace.calls[0].params["scope"] = ""


@breaks("I22")
def a_token_that_may_withdraw(story: Story) -> None:
    bend_reply(story.trace.calls[0], lambda reply: reply["result"].update(scope="wallet:read_write"))


@breaks("I25")
def sixty_one_requests(story: Story) -> None:
    story.look()
    for number in range(56):
        story.call("public/ticker", {"instrument_name": f"BTC-16JAN26-{number}-C"}, {})
    story.rest()


@breaks("I25")
def three_orders_in_one_iteration(story: Story) -> None:
    for number in (20, 21, 22):
        story.trade("sell", CALL, 0.1, label_of(number, "sell")) if number > 20 else sale(story, number)
    story.rest()


@breaks("I25")
def a_read_tried_four_times(story: Story) -> None:
    story.look()
    for _ in range(4):
        story.call("public/get_time", {}, None, heard=None, raised="ReadTimeout")
    story.rest()


@breaks("I25")
def reading_on_after_too_many_requests(story: Story) -> None:
    story.look()
    for number in range(5):
        story.refused(story.call("public/ticker", {"instrument_name": f"BTC-16JAN26-{number}-C"}), 10028)
    story.rest()


@breaks("I25")
def an_order_after_too_many_requests(story: Story) -> None:
    story.look()
    story.call("public/get_time", {}, None, heard_status=429, heard=b"Too Many Requests")
    story.trade("sell", CALL, 0.1, label_of(20, "sell"))
    story.rest()


@breaks("I25")
def an_order_sent_while_another_rests(story: Story) -> None:
    sale(story, 20)
    last_send(story).look = 1
    story.rest()


@breaks("I25")
def looks_without_a_pause(story: Story) -> None:
    for look in (1, 2, 3):
        looks_at(story, look)


@breaks("I25")
def a_look_that_asks_on_after_too_many_requests(story: Story) -> None:
    story.refused(looks_at(story, 1), 10028)
    story.now += timedelta(seconds=8)
    looks_at(story, 2)


@is_exempt
def a_look_that_asks_again_after_a_minute(story: Story) -> None:
    story.refused(looks_at(story, 1), 10028)
    story.now += timedelta(seconds=60)
    looks_at(story, 2)


@breaks("I25")
def an_iteration_without_a_rest_before_it(story: Story) -> None:
    story.quiet()
    story.now -= timedelta(seconds=300)
    story.quiet()


@breaks("I24")
def a_traceback_that_ends_the_process(story: Story) -> None:
    story.end_life("exit", 1, "Traceback (most recent call last): ...")


@breaks("I24")
def a_rejected_key_nobody_rejected(story: Story) -> None:
    story.end_life("exit", 4, "Deribit testnet does not accept this key")


@breaks("I24")
def a_key_rejected_once(story: Story) -> None:
    story.refused(story.call("public/auth", story.trace.calls[0].params), 13004)
    story.end_life("exit", 4, "Deribit testnet does not accept this key")


@is_exempt
def a_rejected_key(story: Story) -> None:
    for _ in range(2):
        story.refused(story.call("public/auth", story.trace.calls[0].params), 13004)
        story.now += timedelta(seconds=10)
    story.end_life("exit", 4, "Deribit testnet does not accept this key")


@breaks("I26")
def an_error_that_never_goes_away(story: Story) -> None:
    story.quiet(error="DeribitConnectionError: made up")


@breaks("I26")
def an_order_that_stays_for_ever(story: Story) -> None:
    label = resting_order(story)
    story.quiet(2)
    story.look()
    story.point("edited", CALL, "sell", 0.1, label, story.trace.calls[-1])
    story.rest()
    take_back(story, label)


@breaks("I26")
def an_order_that_rests_into_the_next_decision(story: Story) -> None:
    label = resting_order(story)
    looks_at(story, 1)
    take_back(story, label)


@is_exempt
def an_order_that_rests_on_after_a_disturbed_look(story: Story) -> None:
    label = resting_order(story)
    looks_at(story, 1).rows = ("T01",)
    take_back(story, label)


@breaks("I26")
def an_end_right_after_the_last_fault(story: Story) -> None:
    story.trace.healthy_since = (1, 7)


@breaks("I26")
def a_sale_that_the_collar_blocks(story: Story) -> None:
    story.trace.decisions[0]["risk_engine_result"]["reasons"] = ["price_collar: made up"]


@breaks("I27")
def two_lives_at_once(story: Story) -> None:
    story.end_life("crash")
    story.begin_life()
    story.trace.lives[-1].started_at -= timedelta(seconds=60)
    story.quiet(3)


def failed_iterations(story: Story, number: int) -> None:
    """A storm, before the tail: iterations that reach no state."""
    for _ in range(number):
        story.look()
        story.state = None  # type: ignore[assignment]
        story.rest(error="DeribitConnectionError: made up")
    story.trace.healthy_since = (len(story.trace.lives), story.iteration + 1)


@breaks("I30")
def more_sales_than_a_day_allows(story: Story) -> None:
    story.trace.limits = replace(story.trace.limits, max_orders_per_day=0, max_unfilled_orders_per_day=0)


@breaks("I30")
def a_sale_after_five_failed_iterations(story: Story) -> None:
    failed_iterations(story, 5)
    sale(story, 20)
    story.rest()
    story.quiet(3)


@is_exempt
def a_sale_after_five_failed_iterations_and_two_good_ones(story: Story) -> None:
    failed_iterations(story, 5)
    story.quiet(2)
    sale(story, 20)
    story.rest()
    story.quiet(3)


@breaks("I30")
def a_sale_in_a_new_life_after_ten_failed_iterations(story: Story) -> None:
    failed_iterations(story, 10)
    story.end_life("crash")
    story.begin_life()
    story.quiet(2)
    sale(story, 20)
    story.rest()
    story.quiet(3)


@is_exempt
def a_sale_after_a_person_started_it_anew(story: Story) -> None:
    failed_iterations(story, 10)
    story.end_life("crash")
    story.begin_life(resumed=True)
    sale(story, 20)
    story.rest()
    story.quiet(3)


@breaks("I30")
def a_sale_after_three_rejections(story: Story) -> None:
    for number in (20, 21, 22):
        story.refused(unanswered(story, number), 10009)
        story.trace.calls[-1].raised = None
        story.trace.order_lines[-1]["outcome"] = "rejected"
        story.rest()
    sale(story, 23)
    story.rest()


@breaks("I30")
def a_sale_while_the_log_says_reducing(story: Story) -> None:
    story.quiet(breaker={"state": "REDUCING"})
    sale(story, 20)
    story.rest()
