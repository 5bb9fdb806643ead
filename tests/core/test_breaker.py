"""The breaker: what takes it out of ACTIVE, what brings it back, and that neither a restart nor a crash forgets it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import agent_loop
from cli.assembly import Agent, assemble_agent
from config import AgentConfig
from core.breaker import Breaker, IterationEvents, after_iteration
from logging_utils import IterationRecord
from models import AgentState, HaltedError, ProposedAction, TradingState
from paper_exchange.market.clocks import SimulatedClock
from tests.builders.agent import (
    Desk,
    Policy,
    agent_at,
    always_sell,
    an_order_request,
    closing,
    decision_lines,
    next_process,
    opening,
    options,
    run_for,
    scripted_desk,
    simulated_desk,
)
from tests.builders.disks import disk_full
from tests.builders.paper import CALL, START, place
from tests.builders.wire import delivered_twice, lost_on_the_way, meanwhile, refused, reply_changed

ACTIVE, REDUCING, HALTED = TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED

GOOD = IterationEvents(has_decided=True)
FAILED = IterationEvents(has_failed=True)
REJECTED = IterationEvents(has_decided=True, orders_rejected=1)
ACCEPTED = IterationEvents(has_decided=True, orders_accepted=1)
POLICY_ERROR = IterationEvents(has_decided=True, has_policy_error=True)
BLOCKED = IterationEvents(has_decided=True, blocked_action="OPEN BTC-16JAN26-110000-C None 0.1")
BLOCKED_ELSEWHERE = IterationEvents(has_decided=True, blocked_action="OPEN ETH-16JAN26-4400-C None 1")
DUPLICATED = IterationEvents(has_decided=True, is_duplicated=True)


def after(events: Iterable[IterationEvents], breaker: Breaker | None = None) -> Breaker:
    breaker = Breaker() if breaker is None else breaker
    for event in events:
        breaker = after_iteration(breaker, event)
    return breaker


# --- thresholds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "count", "state"),
    [
        (FAILED, 4, ACTIVE),
        (FAILED, 5, REDUCING),
        (FAILED, 9, REDUCING),
        (FAILED, 10, HALTED),
        (FAILED, 11, HALTED),
        (REJECTED, 2, ACTIVE),
        (REJECTED, 3, REDUCING),
        (REJECTED, 9, REDUCING),
        (REJECTED, 10, HALTED),
        (POLICY_ERROR, 2, ACTIVE),
        (POLICY_ERROR, 3, REDUCING),
        (POLICY_ERROR, 9, REDUCING),
        (POLICY_ERROR, 10, HALTED),
        (BLOCKED, 9, ACTIVE),
        (BLOCKED, 10, REDUCING),
        (BLOCKED, 100, REDUCING),
        (DUPLICATED, 1, HALTED),
        (GOOD, 100, ACTIVE),
    ],
)
def test_each_kind_of_trouble_has_its_thresholds(event: IterationEvents, count: int, state: TradingState) -> None:
    assert after([event] * count).state == state


@pytest.mark.parametrize(
    ("event", "count", "why"),
    [
        (FAILED, 5, "5 failed iterations in a row"),
        (FAILED, 10, "10 failed iterations in a row"),
        (REJECTED, 3, "3 rejected orders in a row"),
        (POLICY_ERROR, 3, "3 policy errors in a row"),
        (BLOCKED, 10, "the same action was blocked 10 times in a row"),
        (DUPLICATED, 1, "two orders carry one label"),
        (GOOD, 1, ""),
    ],
)
def test_it_says_why(event: IterationEvents, count: int, why: str) -> None:
    found = after([event] * count).why
    assert found.startswith(why)
    assert (found == "") is (why == "")


def test_two_rejections_in_one_iteration_count_twice() -> None:
    roll = IterationEvents(has_decided=True, orders_rejected=2)
    assert after([roll]).state == ACTIVE
    assert after([roll, REJECTED]).state == REDUCING


# --- in a row ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "between", "count"),
    [(FAILED, GOOD, 4), (REJECTED, ACCEPTED, 2), (POLICY_ERROR, GOOD, 2), (BLOCKED, BLOCKED_ELSEWHERE, 9)],
)
def test_one_that_went_well_in_between_starts_the_count_anew(
    event: IterationEvents, between: IterationEvents, count: int
) -> None:
    assert after(([event] * count + [between]) * 5).state == ACTIVE


@pytest.mark.parametrize("between", [GOOD, FAILED])
def test_rejected_orders_are_counted_over_iterations_that_sent_none(between: IterationEvents) -> None:
    assert after([REJECTED, between, REJECTED, between, REJECTED]).state == REDUCING


def test_an_iteration_that_did_not_reach_the_policy_says_nothing_about_it() -> None:
    assert after([POLICY_ERROR, POLICY_ERROR, FAILED, POLICY_ERROR]).state == REDUCING


def test_an_iteration_without_a_blocked_action_starts_that_count_anew() -> None:
    assert after([*[BLOCKED] * 9, GOOD, *[BLOCKED] * 9]).state == ACTIVE


def test_an_order_that_was_accepted_beside_a_rejected_one_leaves_one_rejection() -> None:
    roll = IterationEvents(has_decided=True, orders_accepted=1, orders_rejected=1)
    assert after([roll] * 20).state == ACTIVE


# --- coming back -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [[FAILED] * 5, [REJECTED] * 3, [POLICY_ERROR] * 3, [BLOCKED] * 10])
def test_two_good_iterations_in_a_row_end_reducing(trouble: list[IterationEvents]) -> None:
    reducing = after(trouble)
    assert after([GOOD], reducing).state == REDUCING
    assert after([GOOD, FAILED, GOOD], reducing).state == REDUCING
    back = after([GOOD, GOOD], reducing)
    assert (back.state, back.why) == (ACTIVE, "")


def test_what_went_well_before_the_trouble_does_not_count_as_recovery() -> None:
    assert after([*[GOOD] * 50, *[REJECTED] * 3]).state == REDUCING
    assert after([*[GOOD] * 50, *[REJECTED] * 3, GOOD]).state == REDUCING


def test_the_next_rejection_after_a_recovery_reduces_again_at_once_and_an_accepted_order_forgives() -> None:
    recovered = after([*[REJECTED] * 3, GOOD, GOOD])
    assert recovered.state == ACTIVE
    assert after([REJECTED], recovered).state == REDUCING
    assert after([ACCEPTED, REJECTED], recovered).state == ACTIVE


@pytest.mark.parametrize("trouble", [[FAILED] * 10, [REJECTED] * 10, [POLICY_ERROR] * 10, [DUPLICATED]])
def test_halted_stays_halted_and_keeps_its_reason_whatever_follows(trouble: list[IterationEvents]) -> None:
    halted = after(trouble)
    for event in (GOOD, ACCEPTED, FAILED, REJECTED, DUPLICATED):
        assert after([event] * 20, halted).state == HALTED
        assert after([event] * 20, halted).why == halted.why


def test_a_breaker_read_back_from_a_log_goes_on_counting() -> None:
    before = after([FAILED] * 4)
    assert after([FAILED], Breaker.model_validate_json(before.model_dump_json())).state == REDUCING


def test_the_reason_counts_on_with_the_trouble() -> None:
    assert after([FAILED] * 6).why == "6 failed iterations in a row"


# --- in the running agent -----------------------------------------------------------------------------------


def wants_a_call_that_is_not_there(state: AgentState, config: AgentConfig) -> ProposedAction:
    return opening("BTC-31FEB27-1-C", size=0.1)


def fail_next(desk: Desk, iterations: int) -> None:
    """The next iterations of an agent that rests nothing cannot read the account."""
    desk.wire.disturb("private/get_open_orders", *[lost_on_the_way()] * 3 * iterations)


def states_of(records: list[IterationRecord]) -> str:
    """The breaker after each iteration, by its first letter."""
    return "".join(record.breaker.state[0] for record in records if record.breaker is not None)


def test_five_failed_iterations_reduce_and_two_good_ones_end_that(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    fail_next(desk, 5)
    records = run_for(agent_at(desk), 8)
    assert states_of(records) == "AAAARRAA"
    reduced = records[5].agent_state
    assert reduced is not None
    assert [str(reason) for reason in reduced.restrictions] == ["breaker: 5 failed iterations in a row"]


def test_the_line_says_the_trading_state_its_iteration_ended_in(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    fail_next(desk, 5)
    records = run_for(agent_at(desk), 8)
    assert "".join(line["trading_state"][0] for line in decision_lines(tmp_path)) == states_of(records)


def test_ten_failed_iterations_halt_and_nothing_but_a_person_ends_that(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    fail_next(desk, 10)
    assert states_of(run_for(agent_at(desk), 15)) == "AAAARRRRRHHHHHH"


def halted_agent(desk: Desk, policy: Policy | None = None) -> Agent:
    agent = agent_at(desk, policy)
    fail_next(desk, 10)
    run_for(agent, 10)
    assert agent.trading.breaker.state == TradingState.HALTED
    return agent


def test_a_halted_agent_goes_on_reading_taking_back_and_logging_and_sends_no_order(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    place(desk.account, "sell", 1.0, 0.02)
    desk.client.place_limit_order(an_order_request(price_coin=0.03))
    agent = halted_agent(desk, lambda state, config: closing(CALL, 1.0))
    sent = len(desk.wire.methods("private/buy", "private/sell"))
    records = run_for(agent, 3)
    assert (desk.account.open_orders(), [record.error for record in records]) == ([], [None] * 3)
    assert len(desk.wire.methods("private/buy", "private/sell")) == sent
    assert all(record.risk_engine_result.reasons[0].rule == "halted" for record in records)
    assert [line["iteration"] for line in decision_lines(tmp_path)] == list(range(1, 14))


def test_a_reducing_agent_sells_nothing_and_still_buys_back(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    place(desk.account, "sell", 1.0, 0.02)
    agent = agent_at(desk, lambda state, config: closing(CALL, 1.0))
    fail_next(desk, 5)
    run_for(agent, 5)
    desk.market.show(CALL, 0.02, 0.021)
    (bought_back,) = run_for(agent, 1)
    assert (bought_back.trading_state, bought_back.executed_status) == ("REDUCING", "filled")
    assert desk.account.state.size_of(CALL) == 0.0


def test_the_same_action_blocked_ten_times_reduces(tmp_path: Path) -> None:
    records = run_for(agent_at(scripted_desk(tmp_path), wants_a_call_that_is_not_there), 11)
    assert states_of(records) == "AAAAAAAAARR"
    assert records[9].breaker is not None
    assert records[9].breaker.why == "the same action was blocked 10 times in a row"


def test_an_action_that_only_the_breaker_blocks_is_not_counted_against_it(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    agent = agent_at(desk, always_sell)
    fail_next(desk, 5)
    run_for(agent, 5)
    blocked, recovered, sold = run_for(agent, 3)
    assert [reason.rule for reason in blocked.risk_engine_result.reasons] == ["reducing"]
    assert blocked.breaker is not None
    assert (blocked.breaker.same_block, blocked.breaker.blocked_action) == (0, "")
    assert (states_of([recovered]), sold.executed_status) == ("A", "filled")


def test_three_rejected_orders_in_a_row_reduce(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb("private/sell", *[refused(10009, "not_enough_funds")] * 3)
    records = run_for(agent_at(desk, always_sell), 4)
    assert states_of(records) == "AARR"
    assert [record.executed_status for record in records] == ["rejected"] * 3 + ["none"]


def test_three_policy_errors_in_a_row_reduce(tmp_path: Path) -> None:
    def broken(state: AgentState, config: AgentConfig) -> ProposedAction:
        raise ValueError("not today")

    records = run_for(agent_at(scripted_desk(tmp_path), broken), 4)
    assert states_of(records) == "AARR"
    (reason,) = {record.proposed_action.reason for record in records}
    assert reason.startswith("policy_error: ValueError: not today (")  # and where


def test_two_orders_under_one_label_halt_at_once_and_both_are_taken_back(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    for _ in range(2):
        desk.client.place_limit_order(an_order_request(price_coin=0.03, amount_coin=0.5))
    (record,) = run_for(agent_at(desk), 1)
    assert (record.trading_state, desk.account.open_orders()) == ("HALTED", [])
    assert record.breaker is not None
    assert "two orders carry one label" in record.breaker.why


def test_a_disk_that_takes_no_decision_lines_stops_sales_until_it_does(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    agent = agent_at(desk, always_sell)
    with disk_full(tmp_path / "logs" / "decisions-2026-01-05.jsonl"):
        run_for(agent, 1)
        (blocked,) = run_for(agent, 1)
    assert blocked.agent_state is not None
    assert [str(reason) for reason in blocked.agent_state.restrictions] == [
        "disk: 1 decision lines could not be written yet"
    ]
    assert (blocked.trading_state, blocked.executed_status) == ("REDUCING", "none")
    still, sold = run_for(agent, 2)
    assert (still.executed_status, sold.executed_status) == ("none", "filled")


def test_a_disk_that_takes_no_order_lines_stops_sales_until_it_does(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    agent = agent_at(desk, always_sell)
    full = ExitStack()
    disk = disk_full(tmp_path / "logs" / "orders-2026-01-05.jsonl")
    desk.wire.disturb("private/sell", meanwhile(lambda: full.enter_context(disk)))
    with full:
        first, blocked = run_for(agent, 2)
    assert first.executed_status == "not_filled"  # no line, no lower price
    assert blocked.agent_state is not None
    assert "disk: orders-2026-01-05.jsonl cannot be written" in str(blocked.agent_state.restrictions[0])
    (sold,) = run_for(agent, 1)
    assert (sold.executed_status, sold.trading_state) == ("filled", "ACTIVE")
    assert [line["event"] for line in desk.order_lines()][:4] == ["intent", "outcome", "closed", "intent"]


def test_a_key_without_the_right_to_trade_reads_on_and_says_so(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)

    def read_only(reply: dict[str, Any]) -> None:
        reply["result"]["scope"] = "account:read trade:read"

    desk.wire.disturb("public/auth", reply_changed(read_only))
    (record,) = run_for(agent_at(desk), 1)
    assert record.agent_state is not None
    assert (record.trading_state, record.error) == ("REDUCING", None)
    assert [str(reason) for reason in record.agent_state.restrictions] == ["key: it may not trade"]


# --- another process, and the end of a run -----------------------------------------------------------------------


def test_a_restart_goes_on_counting_failures(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    fail_next(desk, 5)
    run_for(next_process(desk), 3)
    assert states_of(run_for(next_process(desk), 4)) == "ARRA"


def test_a_halted_agent_stays_halted_across_a_restart_until_a_person_resumes_it(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    fail_next(desk, 10)
    run_for(next_process(desk), 10)
    before = len(desk.wire.sent)
    agent = next_process(desk)
    with pytest.raises(HaltedError, match="10 failed iterations in a row") as caught:
        agent.trading.resume_or_stay_halted(is_resumed=False)
    assert (caught.value.exit_code, len(desk.wire.sent)) == (6, before)
    agent.trading.resume_or_stay_halted(is_resumed=True)
    breaker = agent.trading.breaker
    assert (breaker.state, breaker.why) == (
        ACTIVE,
        "resumed by hand after: 10 failed iterations in a row",
    )
    (record,) = run_for(agent, 1)
    assert (record.trading_state, record.error) == ("ACTIVE", None)
    next_process(desk).trading.resume_or_stay_halted(is_resumed=False)


def test_two_orders_under_one_label_seen_only_by_the_last_look_of_a_run_halt_the_next_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = scripted_desk(tmp_path)
    agent = next_process(desk)

    def stop_with_two_orders() -> None:
        agent.stop_requested = True
        for _ in range(2):
            agent.client.place_limit_order(an_order_request(price_coin=0.03, amount_coin=0.5))

    desk.wire.disturb("private/get_account_summaries", meanwhile(stop_with_two_orders))
    assert agent_loop.run_loop(agent, options()) == 0
    assert "halted: two orders carry one label" in capsys.readouterr().err
    assert desk.account.open_orders() == []
    with pytest.raises(HaltedError, match="two orders carry one label"):
        next_process(desk).trading.resume_or_stay_halted(is_resumed=False)


def test_two_orders_under_one_label_halt_the_next_run_although_this_one_was_killed_before_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def killed(*_: object) -> None:
        raise KilledError

    desk = simulated_desk(tmp_path)
    desk.wire.disturb("private/sell", delivered_twice)
    first = next_process(desk)
    first.policy = always_sell
    monkeypatch.setattr(agent_loop, "write_lines", killed)
    with pytest.raises(KilledError):
        run_for(first, 1)
    desk.clock.sleep(2_400.0)
    with pytest.raises(HaltedError, match="two orders carry one label"):
        next_process(desk).trading.resume_or_stay_halted(is_resumed=False)


def test_two_orders_under_one_label_that_a_person_has_looked_at_do_not_halt_the_runs_after_that(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    first = next_process(desk)
    for _ in range(2):
        first.client.place_limit_order(an_order_request(price_coin=0.03, amount_coin=0.5))
    run_for(first, 1)
    resumed = next_process(desk)
    resumed.trading.resume_or_stay_halted(is_resumed=True)
    desk.wire.disturb("public/auth", *[lost_on_the_way()] * 3)
    run_for(resumed, 1)
    next_process(desk).trading.resume_or_stay_halted(is_resumed=False)


def test_halted_survives_a_decision_log_that_somebody_took_away(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    fail_next(desk, 10)
    run_for(next_process(desk), 10)
    for path in (tmp_path / "logs").glob("decisions-*.jsonl"):
        path.rename(path.with_suffix(".jsonl.1"))
    with pytest.raises(HaltedError, match="10 failed iterations in a row"):
        next_process(desk).trading.resume_or_stay_halted(is_resumed=False)


def process_with_a_clock_of_its_own(desk: Desk, local_clock: SimulatedClock) -> Agent:
    """The exchange keeps its own time; the agent names its files by this clock."""
    return assemble_agent(desk.config, desk.wire, local_clock, "testnet", credentials=("paper-id", "paper-secret"))


def test_halted_survives_although_the_local_clock_stepped_back_a_day_between_two_runs(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    tomorrow, today = SimulatedClock(START + timedelta(days=1)), SimulatedClock(START)
    run_for(process_with_a_clock_of_its_own(desk, tomorrow), 1)
    desk.clock.sleep(60.0)
    for _ in range(2):
        desk.client.place_limit_order(an_order_request(price_coin=0.03, amount_coin=0.5))
    (halted,) = run_for(process_with_a_clock_of_its_own(desk, today), 1)
    assert halted.trading_state == "HALTED"
    assert process_with_a_clock_of_its_own(desk, today).trading.breaker.state == HALTED
    assert process_with_a_clock_of_its_own(desk, tomorrow).trading.breaker.state == HALTED


def test_halted_survives_a_clock_that_stepped_back_a_day_although_that_run_never_heard_the_exchange(
    tmp_path: Path,
) -> None:
    desk = scripted_desk(tmp_path)
    run_for(process_with_a_clock_of_its_own(desk, SimulatedClock(START + timedelta(days=1))), 1)
    desk.wire.disturb("public/auth", *[lost_on_the_way()] * 3 * 10)
    run_for(process_with_a_clock_of_its_own(desk, SimulatedClock(START - timedelta(days=1))), 10)
    assert process_with_a_clock_of_its_own(desk, SimulatedClock(START)).trading.breaker.state == HALTED


def test_halted_survives_an_earlier_run_that_never_heard_the_exchange_while_its_clock_was_ahead(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    desk.wire.disturb("public/auth", *[lost_on_the_way()] * 3)
    run_for(process_with_a_clock_of_its_own(desk, SimulatedClock(START + timedelta(days=300))), 1)
    for _ in range(2):
        desk.client.place_limit_order(an_order_request(price_coin=0.03, amount_coin=0.5))
    (halted,) = run_for(process_with_a_clock_of_its_own(desk, SimulatedClock(START)), 1)
    assert halted.trading_state == "HALTED"
    assert process_with_a_clock_of_its_own(desk, SimulatedClock(START)).trading.breaker.state == HALTED


def test_a_reducing_agent_starts_without_a_person(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    fail_next(desk, 5)
    run_for(next_process(desk), 5)
    agent = next_process(desk)
    agent.trading.resume_or_stay_halted(is_resumed=False)
    assert agent.trading.breaker.state == TradingState.REDUCING


def test_a_fresh_account_of_a_simulated_run_starts_with_a_closed_breaker(tmp_path: Path) -> None:
    desk = scripted_desk(tmp_path)
    fail_next(desk, 10)
    run_for(next_process(desk), 10)
    simulated = assemble_agent(desk.config, desk.wire, desk.clock, "simulated", "simulated", ("a-key-id", "a-secret"))
    assert simulated.trading.breaker.state == TradingState.ACTIVE


@pytest.mark.parametrize(("is_stopped", "code"), [(False, 6), (True, 0)])
def test_the_exit_code_is_6_where_a_run_ends_halted_and_0_where_a_person_stopped_it(
    tmp_path: Path, is_stopped: bool, code: int
) -> None:
    desk = scripted_desk(tmp_path)
    agent = agent_at(desk)
    fail_next(desk, 10)
    run_for(agent, 10)
    if is_stopped:
        desk.wire.disturb("private/get_positions", meanwhile(lambda: setattr(agent, "stop_requested", True)))
    assert agent_loop.run_loop(agent, options("--iterations", "12")) == code


def test_a_run_that_is_only_reducing_at_its_end_ends_with_0(tmp_path: Path) -> None:
    agent = agent_at(scripted_desk(tmp_path), wants_a_call_that_is_not_there)
    assert agent_loop.run_loop(agent, options("--iterations", "11")) == 0
    assert agent.trading.breaker.state == TradingState.REDUCING
