"""What the agent's logs say of orders, and whether it is true (I8 I11 I16).

In: a View. Out: a line for each breach. Every statement of the log is held against the exchange's ledger or the
wire. Lines that a disk fault of the schedule destroyed are exempt by their own label. Amounts in coin. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from tests.campaign.checks.joins import EPSILON, TERMINAL_OUTCOMES, View
from tests.campaign.world.trace import WireCall

FILE_GONE = "D05"  # a log file was deleted, truncated or rotated while the agent ran
FILES_GONE = frozenset({FILE_GONE, "D11"})  # or all of them were between two runs
DISK_REFUSES = frozenset({"D01", "D02", "D03", "D04"})
# Replies of which the agent may believe nothing: a field is missing or of another type, or they came six hours late.
NOT_BELIEVED = frozenset({"X27", "P08"})
HEALTHY_ITERATIONS = 3
NOT_YET_ON_DISK = timedelta(seconds=31)  # what was written since may be lost in a power cut


# --- before the order ------------------------------------------------------------------------------------


def written_ahead(view: View) -> Iterator[str]:
    """I8: when the exchange accepts an order of ours, its whole intent line is in the file.

    Exempt: the file was taken away from under the agent just then (row D05 at the event).
    """
    for label, points in view.accepted.items():
        for point in points:
            if point.intent_on_disk is not True and FILE_GONE not in point.rows:
                yield f"{label} was accepted (call {point.call_number}), and its intent was not on disk"


def intent_is_what_was_sent(view: View) -> Iterator[str]:
    """I8: the intent line says what went over the wire: instrument, direction, amount, price, deadline."""
    for call in view.sends:
        intents = [line for line in view.lines.get(str(call.params.get("label")), ()) if line.get("event") == "intent"]
        for intent in intents[:1]:
            logged = (intent.get("symbol"), intent.get("amount_coin"), intent.get("price_coin"))
            sent = (call.params.get("instrument_name"), call.params.get("amount"), call.params.get("price"))
            same_deadline = intent.get("valid_until") == call.params.get("valid_until")
            if logged != sent or intent.get("direction") != call.method[8:] or not same_deadline:
                yield f"call {call.number}: logged {logged}, sent {sent}"


# --- after the order -------------------------------------------------------------------------------------


def intents_end_once(view: View) -> Iterator[str]:
    """I11: every intent has one line that ends it; by the third healthy iteration none is without.

    Exempt are labels of which a line was destroyed (it stands in an unreadable line, or its file is gone: D05, D11).
    """
    for label, lines in view.lines.items():
        if not any(line.get("event") == "intent" for line in lines) or _is_destroyed(view, label):
            continue
        ends = [line.get("outcome") for line in lines if line.get("outcome") in TERMINAL_OUTCOMES]
        if len(ends) > 1:
            yield f"{label} ended {len(ends)} times: {', '.join(map(str, ends))}"
        if not ends and len(view.healthy) >= HEALTHY_ITERATIONS and not _is_of_the_end(view, label):
            yield f"{label} has no end after {len(view.healthy)} healthy iterations"


def _is_of_the_end(view: View, label: str) -> bool:
    """Whether it was sent within the last healthy iterations, so that it may still be open."""
    call = view.send_of_label.get(label)
    return call is not None and (call.life, call.iteration) in view.healthy[-HEALTHY_ITERATIONS:]


def _is_destroyed(view: View, label: str) -> bool:
    destroyed = (*view.trace.unparsable_lines, *view.overwritten_lines)
    return bool(FILES_GONE & view.all_disk_rows) or any(label in line for line in destroyed)


def outcomes_are_true(view: View) -> Iterator[str]:
    """I16: an order the exchange accepted is never logged as refused, unsent or absent, nor the other way round.

    Exempt are orders the exchange had forgotten when the agent last asked (X30: unfilled and closed for half an hour;
    X33: everything from before a wipe).
    """
    for label, lines in view.lines.items():
        ends = {str(line.get("outcome")) for line in lines} & TERMINAL_OUTCOMES
        was_there = label in view.accepted
        if was_there and ends & {"rejected", "not_sent", "resolved_absent"} and not _was_forgotten(view, label, ends):
            yield f"{label} was accepted by the exchange and is logged as {', '.join(sorted(ends))}"
        if not was_there and ends & {"accepted", "resolved_present"}:
            yield f"{label} never came to the exchange's book and is logged as {', '.join(sorted(ends))}"


def _was_forgotten(view: View, label: str, ends: set[str]) -> bool:
    """Whether the agent was told so in the end, and never told otherwise, or killed with nothing of that on disk.

    That is: in the same iteration, or in a life whose disk took no lines or lost a file.
    """
    if ends != {"resolved_absent"}:
        return False
    asked = [c for c in view.trace.calls if c.params.get("label") == label and c.method.endswith("state_by_label")]
    heard = [(call, result) for call in asked if isinstance(result := view.heard(call), list)]
    understood = [(call, result) for call, result in heard if not NOT_BELIEVED & set(call.rows)]
    shown = [call for call, result in understood if result and not _is_killed_unwritten(view, call)]
    return _is_from_before_a_wipe(view, label) or (bool(heard) and not heard[-1][1] and not shown)


def _is_killed_unwritten(view: View, call: WireCall) -> bool:
    is_in_iteration = view.by_life[call.life][-1].iteration == call.iteration
    is_lost = bool(view.disk_rows(call.life) & (DISK_REFUSES | {FILE_GONE}))
    return view.lives[call.life].end == "crash" and (is_in_iteration or is_lost)


def _is_from_before_a_wipe(view: View, label: str) -> bool:
    accepted_at = view.accepted[label][0].event.at
    return any(row == "X33" and at >= accepted_at for at, row in view.trace.outside_acts)


def one_line_an_iteration(view: View) -> Iterator[str]:
    """I16: every iteration wrote one line. Exempt: the last one of a life that was killed before it could, those that a
    power cut took half a minute after they were written (this log is not forced to disk, and while an order rests the
    next iteration may follow at once), those a life kept in memory until its end because the disk refused them, and
    lines that somebody destroyed (D05, D07)."""
    for life, calls in view.by_life.items():
        last = max(call.iteration for call in calls)
        missing = [at for at in range(1, last + 1) if not view.records.get((life, at))]
        for at in range(1, last + 1):
            if len(view.records.get((life, at), ())) > 1:
                yield f"life {life} iteration {at} has {len(view.records[life, at])} lines"
        for at in missing:
            if not _was_lost_at_the_end(view, life, at, missing, last) and not _is_line_destroyed(view, life, at):
                yield f"life {life} iteration {at} of {last} has no line"


def _was_lost_at_the_end(view: View, life: int, at: int, missing: list[int], last: int) -> bool:
    if not all(later in missing for later in range(at, last + 1)):
        return False
    was_refused = bool(view.disk_rows(life) & DISK_REFUSES)
    return was_refused or (at == last and view.lives[life].end == "crash") or _took_the_power_cut(view, life, at)


def _took_the_power_cut(view: View, life: int, at: int) -> bool:
    ended_at, calls = view.lives[life].ended_at, view.by_limit.get((life, at, 0), [])
    if not view.lives[life].is_power_cut or ended_at is None or not calls:
        return False
    return ended_at - calls[-1].sent_at < NOT_YET_ON_DISK


def _is_line_destroyed(view: View, life: int, at: int) -> bool:
    names = (f'"run_id":"{view.lives[life].run_id}"', f'"iteration":{at},')
    overwritten = any(all(name in line for name in names) for line in view.overwritten_lines)
    return overwritten or bool(FILES_GONE & view.all_disk_rows)


def orders_are_in_records(view: View) -> Iterator[str]:
    """I16: an order sent in an iteration is among the legs in that iteration's line."""
    for call in view.sends:
        for record in view.records.get((call.life, call.iteration), ()):
            legs = {leg["label"] for leg in record["executed_action"]["legs"]}
            if call.params.get("label") not in legs:
                yield f"call {call.number}: {call.params.get('label')} is not in the line of its iteration"


def fills_are_logged(view: View) -> Iterator[str]:
    """I16: what the log says was filled is what the ledger says, order by order, once an order is over.

    Exempt: orders still live or sent in the last healthy iterations, copies (T30: I6 speaks), orders the agent was
    shown double (X31), destroyed lines, and what was wiped (X33).
    """
    live = {label for labels in _last_live(view) for label in labels}
    for label, points in view.accepted.items():
        is_open = label in live or _is_of_the_end(view, label) or not view.healthy
        is_beyond = _is_destroyed(view, label) or _is_from_before_a_wipe(view, label) or _was_shown_double(view, label)
        if is_open or len(points) > 1 or is_beyond:
            continue
        logged, traded = _logged_fill(view, label), view.filled.get(label, 0.0)
        if abs(logged - traded) > EPSILON:
            yield f"{label}: {logged:g} logged as filled, {traded:g} in the exchange's ledger"


def _was_shown_double(view: View, label: str) -> bool:
    return any("X31" in call.rows and call.params.get("label") == label for call in view.trace.calls)


def _last_live(view: View) -> Iterable[tuple[str, ...]]:
    return view.trace.points[-1].own_live_labels.values() if view.trace.points else ()


def _logged_fill(view: View, label: str) -> float:
    """The largest figure any line gives: a later look can only have seen more."""
    found = [0.0]
    for line in view.lines.get(label, ()):
        found.append(float(line.get("filled_amount_coin") or 0.0))
        orders = [line.get("order"), *(line.get("orders") or ())]
        found += [float(order.get("filled_amount_coin") or 0.0) for order in orders if isinstance(order, dict)]
    for record in view.trace.decisions:
        legs = record["executed_action"]["legs"]
        found += [float(leg["filled_coin"]) for leg in legs if leg["label"] == label]
    return max(found)


def log_gives_positions(view: View) -> Iterator[str]:
    """I16: trades and deliveries in the log add up to the exchange's positions, at the end of the healthy tail.

    Exempt: schedules in which somebody else traded or a line was destroyed (D05, D07, D11), and what happened after the
    agent last read the exchange's own log (it does so after trades and after 08:00 UTC; the campaign's options expire
    at every hour).
    """
    is_disturbed = bool(view.outside_times or view.overwritten_lines) or bool(FILES_GONE & view.all_disk_rows)
    if len(view.healthy) <= HEALTHY_ITERATIONS or is_disturbed or not view.trace.points:
        return
    logged = _positions_by_the_log(_ledger_entries(view))
    read_until = max(str(record.get("ledger_read_until") or "") for record in view.trace.decisions)
    points = (point for point in view.trace.points if point.event.at.isoformat() > read_until)
    recent = {point.event.instrument_name for point in points}
    held = view.trace.points[-1].positions
    for symbol in sorted({*logged, *held} - recent):
        if abs(logged.get(symbol, 0.0) - held.get(symbol, 0.0)) > EPSILON:
            yield f"{symbol}: {logged.get(symbol, 0.0):g} by the log, {held.get(symbol, 0.0):g} by the exchange"


def _positions_by_the_log(entries: Iterable[dict[str, Any]]) -> dict[str, float]:
    """What trades and settlements leave of each option. A settlement may say neither side nor amount: it ends all."""
    logged: dict[str, float] = defaultdict(float)
    ended: set[str] = set()
    for entry in entries:
        if entry["side"] is None or entry["amount_coin"] is None:
            ended.add(str(entry["symbol"]))
        else:
            logged[str(entry["symbol"])] += _signed(entry)
    return {symbol: 0.0 if symbol in ended else amount for symbol, amount in logged.items()}


OPTION_ENTRIES = ("trade", "delivery", "expiry", "assignment", "exercise")


def _ledger_entries(view: View) -> Iterator[dict[str, Any]]:
    """Each entry of the exchange's transaction log once, however often it was read, also without its balance (X27)."""
    names = ("currency", "entry_type", "symbol", "booked_at", "amount_coin", "change_coin")
    seen: dict[tuple[Any, ...], set[float | None]] = defaultdict(set)
    for record in view.trace.decisions:
        for entry in record.get("ledger", ()):
            balances, balance = seen[tuple(entry[name] for name in names)], entry["balance_coin"]
            is_known = bool(balances) and (balance is None or None in balances or balance in balances)
            if not is_known and entry["entry_type"] in OPTION_ENTRIES and _is_option(entry):
                balances.add(balance)
                yield entry


def _is_option(entry: dict[str, Any]) -> bool:
    # Since August 2026 an option in the money is settled into the future of its expiry, which has a line of its own.
    return str(entry["symbol"]).endswith(("-C", "-P"))


def _signed(entry: dict[str, Any]) -> float:
    amount = float(entry["amount_coin"])
    return amount if str(entry["side"]).endswith("buy") else -amount
