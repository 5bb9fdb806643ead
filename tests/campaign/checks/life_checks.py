"""How lives begin, go on and end, and what stops an agent that keeps failing (I24 I26 I27 I30).

In: a View. Out: a line for each breach. Failures are counted here anew, from the lines and the wire, across restarts;
the agent's own count is not believed. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.campaign.checks.joins import MOVES, View, Where, fate
from tests.campaign.checks.ledger_watch import HALTED, is_copied
from tests.campaign.world.trace import Life, WireCall

HEALTHY_ITERATIONS = 3
REDUCE_AFTER_FAILED, REDUCE_AFTER_REJECTED, HALT_AFTER, GOOD_TO_RECOVER = 5, 3, 10, 2
KEY_CODES = frozenset({13004})
DOCUMENTED_EXITS = {4: "the key", 5: "the environment", 6: "halted"}


# --- ends ------------------------------------------------------------------------------------------------


def ends_for_a_reason(view: View) -> Iterator[str]:
    """I24: a life ends killed, asked to, with the schedule, or with 4, 5 or 6 for a cause seen just before (6: its last
    line says HALTED, or the last one before it); 2 where the disk did not let it start. Never with a traceback."""
    for life in view.trace.lives:
        if life.end in ("crash", "stop", "end") and life.error is None:
            continue
        if life.end in ("crash", "stop", "end"):
            yield f"life {life.number} ({life.end}): {life.error}"
        elif not _has_cause(view, life):
            yield f"life {life.number} ended with {life.exit_code}, for no cause that was injected: {life.error}"
        elif "\n" in (life.error or "").strip() or "Traceback" in (life.error or ""):
            yield f"life {life.number} ended with {life.exit_code}, and said: {life.error!r}"


def _has_cause(view: View, life: Life) -> bool:
    calls = view.by_life.get(life.number, [])
    if life.exit_code == 2:
        return not calls and any(row.startswith("D") for row in life.last_rows)
    if life.exit_code == 4:
        return _was_told_twice(view, calls, [is_about_the_key(view, call) for call in calls])
    if life.exit_code == 5:
        return _was_told_twice(view, calls, [is_about_the_environment(call) for call in calls])
    if life.exit_code == 6:
        earlier = [record for where, record in view.in_order if where[0] < life.number + bool(calls)]
        is_last_word = bool(earlier) and earlier[-1].get("trading_state") == HALTED
        # The line that said so may never have been written, or have been taken away.
        is_lost = bool({"D02", "D04", "D05", "D11"} & set(view.all_disk_rows))
        return is_last_word or is_lost or _showed_two_orders(view, life) or _halted_in_the_order_log(view, life)
    return False


def _was_told_twice(view: View, calls: list[WireCall], is_fatal: list[bool]) -> bool:
    """Whether the last answer was fatal, and not the first of its kind where the life had read a state before."""
    if not calls or not is_fatal[-1]:
        return False
    records = [record for where, record in view.in_order if where[0] == calls[-1].life]
    return sum(is_fatal) >= 2 or not any(record.get("agent_state") for record in records)


def _halted_in_the_order_log(view: View, life: Life) -> bool:
    """Whether a life before says so there, and no line has been written since: it was killed before its own.

    It may also say that two orders carry one label, where something has really delivered a request twice.
    """
    lines = view.trace.order_lines
    halts = {line.get("run_id") for line in lines if line.get("event") == "halted"}
    copied = (line for line in lines if line.get("event") == "duplicated" and is_copied(view, str(line.get("label"))))
    halts |= {line.get("run_id") for line in copied}
    for before in reversed(view.trace.lives[: life.number]):
        if before.run_id in halts:
            return True
        if any(where[0] == before.number for where in view.records):
            return False
    return False


def _showed_two_orders(view: View, life: Life) -> bool:
    """Whether an earlier life was told of two orders under one label, and no line has been written since."""
    for where in sorted({*view.by_iteration, *view.records}, reverse=True):
        if where[0] >= life.number:
            continue
        asked = [it for it in view.by_iteration.get(where, ()) if it.method == "private/get_order_state_by_label"]
        if any(isinstance(found := view.heard(call), list) and len(found) > 1 for call in asked):
            return True
        if where in view.records:
            return False
    return False


def is_about_the_key(view: View, call: WireCall) -> bool:
    token = view.heard(call)
    may_withdraw = isinstance(token, dict) and "wallet:read_write" in str(token.get("scope"))
    return view.error_code(call) in KEY_CODES or (call.method == "public/auth" and may_withdraw)


def is_about_the_environment(call: WireCall) -> bool:
    if call.raised is not None:
        return "T04" in call.rows
    is_redirect = call.heard_status in (301, 302, 303, 307, 308)
    return is_redirect or b'"testnet":false' in (call.heard or b"").replace(b" ", b"")


def one_life_at_a_time(view: View) -> Iterator[str]:
    """I27: a life begins after the one before it ended; one that finds another running (3) sends nothing."""
    lives = view.trace.lives
    for before, after in pairwise(lives):
        if before.ended_at is None or after.started_at < before.ended_at:
            yield f"life {after.number} began at {after.started_at}, life {before.number} ended at {before.ended_at}"
    for life in lives:
        if life.exit_code == 3 and view.by_life.get(life.number):
            yield f"life {life.number} found another agent running and sent {len(view.by_life[life.number])} requests"


# --- the healthy tail --------------------------------------------------------------------------------------


def works_again(view: View) -> Iterator[str]:
    """I26: from the fourth healthy iteration on every line has a state, no error, and says why nothing is done where
    nothing is. Exempt: the iteration after somebody else changed the account, which is not believed at first (X28), and
    a run's last words (`_are_last_words`)."""
    for before, where in pairwise(view.healthy):
        times = [call.sent_at for at in (before, where) for call in view.by_iteration.get(at, ())]
        is_early = where in view.healthy[:HEALTHY_ITERATIONS]
        if is_early or (times and view.outside_between(times[0], times[-1])):
            continue
        for record in view.records.get(where, ()):
            problem = _problem_of(record)
            if problem is not None:
                yield f"life {where[0]} iteration {where[1]}, healthy: {problem}"


def proposes_what_it_could_sell(view: View) -> Iterator[str]:
    """I26: the agent's own policy proposes no sale that the price collar blocks, as it would again and again.

    Exempt: the campaign's eager policy, which proposes anything, and the one that wants what is forbidden.
    """
    for record in view.trace.decisions:
        reasons = record["risk_engine_result"]["reasons"]
        is_eager = str(record["proposed_action"].get("reason")).startswith(("eager", "forbidden"))
        if not is_eager and any(reason.startswith("price_collar:") for reason in reasons):
            yield f"{record['run_id']} iteration {record['iteration']}: {record.get('symbol')} is outside the collar"


def _problem_of(record: dict[str, Any]) -> str | None:
    if _are_last_words(record):
        return None
    if record.get("error") is not None:
        return str(record["error"]).strip().splitlines()[-1][:200]
    if record.get("agent_state") is None:
        return "no state"
    if not record["proposed_action"].get("reason"):
        return "an action without a reason"
    if not record["allowed"] and not record["risk_engine_result"]["reasons"]:
        return "blocked without a reason"
    return None


def _are_last_words(record: dict[str, Any]) -> bool:
    """The line at the end of a run for what is in none yet, the rest of the ledger or how orders ended: nothing was
    read for it, so it has no state."""
    says_something = bool(record.get("ledger") or record.get("ended_orders"))
    return says_something and record.get("request_count") == 0 and record.get("error") is None


def keeps_running(view: View) -> Iterator[str]:
    """I26: the healthy tail is there, and is iterated until the end of the schedule."""
    if view.trace.healthy_since is not None and len(view.healthy) < HEALTHY_ITERATIONS:
        yield f"only {len(view.healthy)} iterations after {view.trace.healthy_since}"


def no_stale_orders(view: View) -> Iterator[str]:
    """I26: from the fourth healthy iteration on no order of ours is live that is older than the iteration before."""
    late = set(view.healthy[HEALTHY_ITERATIONS:])
    told: set[str] = set()
    for point in view.trace.points:
        where = (point.life, point.iteration)
        if where not in late:
            continue
        fresh = _labels_of(view, where) | _labels_of(view, view.healthy[view.healthy.index(where) - 1])
        for label in {label for labels in point.own_live_labels.values() for label in labels} - fresh - told:
            told.add(label)
            yield f"{label} is still live in life {where[0]} iteration {where[1]}"


def none_rests_into_a_decision(view: View) -> Iterator[str]:
    """I26: where the looks at orders that rest were undisturbed, none that the agent knows of
    rests on when the next decision begins."""
    for (life, iteration), calls in view.by_iteration.items():
        looks = [call for call in view.by_iteration.get((life, iteration - 1), ()) if call.look > 0]
        if not looks or any(call.rows for call in looks):
            continue
        live = view.known_to_rest_after(calls[0].number - 1)
        if live:
            yield f"life {life} iteration {iteration}: {', '.join(live)} rests since the decision before"


def _labels_of(view: View, where: Where) -> set[str]:
    return {str(call.params.get("label")) for call in view.by_iteration.get(where, ()) if "label" in call.params}


def iterations_to_converge(view: View) -> int | None:
    """How many healthy iterations it took until nothing was left to clear up; None where that never came."""
    for count, where in enumerate(view.healthy):
        records = [record for after in view.healthy[count:] for record in view.records.get(after, ())]
        if where in view.records and not any(_problem_of(record) for record in records):
            return count
    return None


# --- the breaker -------------------------------------------------------------------------------------------


@dataclass
class Count:
    """Failures in a row, as anybody can count them from outside."""

    failed: int = 0
    rejected: int = 0
    good: int = GOOD_TO_RECOVER
    is_reduced: bool = False
    is_halted: bool = False


def breaker_stops_sales(view: View) -> Iterator[str]:
    """I30: after 5 iterations without a state or 3 rejections in a row nothing is sold until two good iterations; after
    10 of either nothing is sent until a person started the agent anew. Iterations that left no line do not count, nor
    does the line of a run's last words.
    """
    count, life = Count(), -1
    for where in sorted({*view.by_iteration, *view.records}):
        if where[0] != life:
            life = where[0]
            count = Count() if view.lives[life].resumed else count
        moves = [call for call in view.by_iteration.get(where, ()) if call.method in MOVES]
        if count.is_halted and moves:
            yield f"call {moves[0].number}: {moves[0].method} after {HALT_AFTER} failures in a row"
        sales = [call for call in moves if call.method == "private/sell"]
        if count.is_reduced and not count.is_halted and sales:
            yield f"call {sales[0].number}: a sale after {count.failed} failed iterations, {count.rejected} rejections"
        if where not in view.records and view.all_disk_rows & {"D05", "D07", "D11"}:
            count = Count()  # its line may have been destroyed: nobody can say any more what came in a row
        for record in (record for record in view.records.get(where, ()) if not _are_last_words(record)):
            _count_iteration(count, record, [fate(view, call) for call in moves if "label" in call.params])


def _count_iteration(count: Count, record: dict[str, Any], fates: list[str]) -> None:
    has_failed, rejected = record.get("agent_state") is None, fates.count("rejected")
    count.failed = count.failed + 1 if has_failed else 0
    count.rejected = rejected + (0 if "accepted" in fates else count.rejected)
    breaks = has_failed and count.failed >= REDUCE_AFTER_FAILED
    breaks = breaks or (rejected > 0 and count.rejected >= REDUCE_AFTER_REJECTED)
    count.good = 0 if breaks or has_failed else count.good + 1
    count.is_reduced = breaks or (count.is_reduced and count.good < GOOD_TO_RECOVER)
    count.is_halted = count.is_halted or count.failed >= HALT_AFTER or count.rejected >= HALT_AFTER


def keeps_to_its_state(view: View) -> Iterator[str]:
    """I30: an iteration whose state says REDUCING sells nothing, one that says HALTED sends nothing; what the breaker
    says in one line holds in the next iteration, restarts in between or not, until a person resumes."""
    if "D07" in view.all_disk_rows:
        return  # the lines in between may have been made unreadable
    breaker, life = "", -1
    ran = sorted({*view.by_iteration, *view.records})
    for where in ran:
        if where[0] != life:
            life = where[0]
            breaker = "" if view.lives[life].resumed else breaker
        records = view.records.get(where, ())
        said = {breaker, *(str((record.get("agent_state") or {}).get("trading_state")) for record in records)}
        moves = [call for call in view.by_iteration.get(where, ()) if call.method in MOVES]
        forbidden = [call for call in moves if HALTED in said or ("REDUCING" in said and call.method[8:] == "sell")]
        if forbidden:
            yield f"call {forbidden[0].number}: {forbidden[0].method} while {' '.join(sorted(said - {''}))}"
        for record in records:
            breaker = str((record.get("breaker") or {}).get("state", ""))
        if not records and (life, where[1] + 1) in ran:
            breaker = ""  # its line was deleted with its file: nobody knows what it said
