"""The invariants of a schedule: what must hold of every trace, whatever was injected.

In: a Trace. Out: one line for each breach, "I7: label X was sent twice, calls 31 and 57"; none is what is wanted.
Each check is a function with what it looks at and what it exempts in its docstring; CHECKS names them all. I29 (the
same seed gives the same ledger and log) is about two traces and is `same_twice`. Pure but for file modes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.campaign.checks import (
    decider_checks,
    file_checks,
    ledger_watch,
    life_checks,
    log_checks,
    market_checks,
    order_checks,
    session_checks,
    state_checks,
    unknown_orders,
)
from tests.campaign.checks.joins import View
from tests.campaign.world.trace import Trace
from tests.campaign.world.traces import fingerprint

Check = Callable[[View], Iterator[str]]
MOST_PER_CHECK = 3  # a thing that goes wrong in every iteration is told three times

CHECKS: dict[str, tuple[Check, ...]] = {
    "I1": (ledger_watch.covered, ledger_watch.covered_by_what_is_behind, ledger_watch.no_own_mark_counts),
    "I2": (ledger_watch.roll_never_adds,),
    "I3": (ledger_watch.never_long, order_checks.buys_only_reduce),
    "I4": (order_checks.limit_calls_only, order_checks.others_are_left_alone),
    "I5": (order_checks.sensible_size, order_checks.sensible_price),
    "I6": (
        ledger_watch.one_live_order,
        ledger_watch.one_order_per_label,
        ledger_watch.copies_are_noticed,
        ledger_watch.copies_shown_are_noticed,
    ),
    "I7": (order_checks.sent_once,),
    "I8": (log_checks.written_ahead, log_checks.intent_is_what_was_sent),
    "I9": (unknown_orders.unknown_waits, order_checks.deadline_is_short),
    "I10": (order_checks.echo_is_checked,),
    "I11": (log_checks.intents_end_once,),
    "I12": (market_checks.fresh_open_market, market_checks.sold_from_the_state),
    "I13": (state_checks.snapshot_is_whole, state_checks.state_is_what_was_heard, state_checks.orders_before_positions),
    "I14": (market_checks.outside_the_window, market_checks.not_before_expiry, market_checks.not_while_locked),
    "I15": (file_checks.lines_parse,),
    "I16": (
        log_checks.one_line_an_iteration,
        log_checks.orders_are_in_records,
        log_checks.outcomes_are_true,
        log_checks.fills_are_logged,
        log_checks.log_gives_positions,
    ),
    "I17": (file_checks.append_only,),
    "I18": (session_checks.only_testnet,),
    "I19": (session_checks.fatal_answers_stop,),
    "I20": (session_checks.dry_run_is_inert,),
    "I21": (file_checks.secrets_stay_secret,),
    "I22": (session_checks.least_rights,),
    "I23": (file_checks.files_are_private,),
    "I24": (life_checks.ends_for_a_reason,),
    "I25": (
        session_checks.bounded_iterations,
        session_checks.bounded_attempts,
        session_checks.rate_limit_ends_iteration,
        session_checks.looks_are_apart,
        session_checks.looks_are_quiet_after_a_limit,
        session_checks.sleeps_forward,
    ),
    "I26": (
        life_checks.works_again,
        life_checks.keeps_running,
        life_checks.no_stale_orders,
        life_checks.none_rests_into_a_decision,
        life_checks.proposes_what_it_could_sell,
    ),
    "I27": (life_checks.one_life_at_a_time,),
    "I28": (
        market_checks.kill_file_stops,
        market_checks.kill_file_cancels,
        market_checks.kill_file_ends_resting,
        market_checks.stop_cancels,
    ),
    "I30": (life_checks.breaker_stops_sales, life_checks.keeps_to_its_state, order_checks.few_orders_a_day),
    "I31": (
        decider_checks.the_forbidden_is_refused,
        decider_checks.only_the_chosen_is_done,
        decider_checks.choices_are_of_the_list,
        decider_checks.odds_add_up,
        decider_checks.every_shadow_is_asked,
    ),
    "I32": (decider_checks.few_questions_a_day, decider_checks.a_model_is_left_alone),
}


def violations(trace: Trace) -> list[str]:
    """Every breach in a trace, in the order of the invariants; what the world saw itself while it ran comes first."""
    view = View(trace)
    found = list(trace.violations)
    for name, checks in CHECKS.items():
        for check in checks:
            told = list(check(view))
            found += [f"{name}: {text}" for text in told[:MOST_PER_CHECK]]
            if len(told) > MOST_PER_CHECK:
                found.append(f"{name}: and {len(told) - MOST_PER_CHECK} more of the same")
    return found


def iterations_to_converge(trace: Trace) -> int | None:
    """Healthy iterations until nothing was left to clear up, for the figures."""
    return life_checks.iterations_to_converge(View(trace))


def same_twice(first: Trace, second: Trace) -> list[str]:
    """I29: two runs of one schedule leave the same ledger and the same bytes."""
    if fingerprint(first) == fingerprint(second):
        return []
    return [f"I29: seed {first.seed[0]}:{first.seed[1]} gave another ledger or log the second time"]
