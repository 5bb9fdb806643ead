"""When an order may leave: on a good and fresh quote, outside the windows, without a kill file (I12 I14 I28).

In: a View. Out: a line for each breach. Judged from what the agent had been given before each order; times are the
exchange's own. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

from tests.campaign.checks.joins import CLOCK_SLACK, View, instrument_before, number, ticker_before
from tests.campaign.world.trace import WireCall

WINDOW_STARTS, WINDOW_ENDS = time(7, 55), time(8, 5)
SNAPSHOT_SECONDS = 60.0
MAX_LEG_SECONDS = 60.0  # from the last look at the quote to the order: a handful of requests


def fresh_open_market(view: View) -> Iterator[str]:
    """I12: before each order, in its iteration, a ticker was heard that is finite, uncrossed, open and fresh, and an
    instrument that is open; the last answers count, and one that is not well-formed counts as none."""
    limit_seconds = view.trace.limits.max_quote_age_seconds
    for call in view.moves:
        ticker, option = ticker_before(view, call), instrument_before(view, call)
        if ticker is None or option is None:
            yield f"call {call.number}: no usable {'ticker' if ticker is None else 'instrument'} was heard before it"
            continue
        for problem in (*_ticker_problems(ticker), *_instrument_problems(option)):
            yield f"call {call.number}: {problem}"
        quoted_at_ms = number(ticker, "timestamp")
        if quoted_at_ms is None:
            yield f"call {call.number}: the ticker has no time"
            continue
        age_seconds = call.sent_at.timestamp() - quoted_at_ms / 1000.0
        slack_seconds = CLOCK_SLACK.total_seconds()
        if not -limit_seconds - slack_seconds <= age_seconds <= limit_seconds + slack_seconds:
            yield f"call {call.number}: the quote was {age_seconds:.0f} s old, {limit_seconds:g} s allowed"


def _ticker_problems(ticker: dict[str, Any]) -> Iterator[str]:
    mark, bid, ask = (number(ticker, name) for name in ("mark_price", "best_bid_price", "best_ask_price"))
    if mark is None or mark < 0.0:
        yield f"the mark was {ticker.get('mark_price')!r}"
    if bid and ask and bid > ask:
        yield f"the book was crossed, bid {bid:g} above ask {ask:g}"
    if ticker.get("state") != "open":
        yield f"the book was {ticker.get('state')}"


def _instrument_problems(option: dict[str, Any]) -> Iterator[str]:
    if option.get("is_active") is not True or option.get("state", "open") != "open":
        yield f"the instrument was not open (is_active {option.get('is_active')}, state {option.get('state')})"
    if option.get("kind") != "option" or option.get("option_type") != "call":
        yield f"the instrument was a {option.get('kind')} {option.get('option_type')}"


def sold_from_the_state(view: View) -> Iterator[str]:
    """I12, log: a sale is of a candidate of the state in force, quoted fresh, uncrossed (where there is a bid; it may
    lack one where none is required), and the state is not old.

    Iterations without a line (crashed) have no state to look at and are exempt; I8 still binds them.
    """
    limit_seconds = view.trace.limits.max_quote_age_seconds
    for call in view.sends:
        for record in view.records.get((call.life, call.iteration), ()):
            state = record.get("agent_state")
            if not isinstance(state, dict):
                yield f"call {call.number}: an order from an iteration that has no state"
                continue
            made_at = datetime.fromisoformat(state["timestamp"])
            if view.is_sell(call):
                yield from (f"call {call.number}: {it}" for it in _candidate_problems(view, call, state, limit_seconds))
            elif (call.sent_at - made_at).total_seconds() > SNAPSHOT_SECONDS + MAX_LEG_SECONDS:
                yield f"call {call.number}: the state was {(call.sent_at - made_at).total_seconds():.0f} s old"


def _candidate_problems(view: View, call: WireCall, state: dict[str, Any], limit_seconds: float) -> Iterator[str]:
    found = [option for option in state["candidates"] if option["symbol"] == view.symbol(call)]
    if not found:
        yield f"{view.symbol(call)} was not among the candidates"
        return
    option = found[0]
    age = datetime.fromisoformat(state["timestamp"]) - datetime.fromisoformat(option["quoted_at"])
    if not abs(age.total_seconds()) <= limit_seconds:
        yield f"the candidate's quote was {age.total_seconds():.0f} s old"
    bid, ask = option["bid_price_coin"], option["ask_price_coin"]
    if bid is not None and ask is not None and bid > ask:
        yield "the candidate was crossed"


# --- time and switches -----------------------------------------------------------------------------------


def outside_the_window(view: View) -> Iterator[str]:
    """I14: no order and no new price from 07:55 to 08:05 UTC, by the exchange's clock.

    What leaves within 15 s of the edge is exempt: the agent knows that clock from its last reply only.
    """
    for call in view.moves:
        moment = call.sent_at.astimezone(UTC)
        if all(WINDOW_STARTS <= at.time() < WINDOW_ENDS for at in (moment - CLOCK_SLACK, moment + CLOCK_SLACK)):
            yield f"call {call.number}: {call.method} at {moment:%H:%M:%S}"


def not_before_expiry(view: View) -> Iterator[str]:
    """I14: no order on an option within min_minutes_to_expiry of its end; the same 15 s are exempt."""
    limit = timedelta(minutes=view.trace.limits.min_minutes_to_expiry)
    for call in view.sends:
        option = instrument_before(view, call)
        expires_at_ms = None if option is None else number(option, "expiration_timestamp")
        if expires_at_ms is None:
            continue  # I12 speaks
        expiry = datetime.fromtimestamp(expires_at_ms / 1000.0, UTC)
        if expiry - call.sent_at < limit - CLOCK_SLACK:
            yield f"call {call.number}: {view.symbol(call)} expires at {expiry}, sent at {call.sent_at}"


def not_while_locked(view: View) -> Iterator[str]:
    """I14: before each order the exchange had said that it is not locked."""
    for call in view.sends:
        status = view.last_heard(call, "public/status")
        locked = status.get("locked") if isinstance(status, dict) else None
        if str(locked).lower() != "false":
            yield f"call {call.number}: the last word on the lock was {locked!r}"


def kill_file_stops(view: View) -> Iterator[str]:
    """I28: no order and no new price leaves while the kill file is there."""
    for start, end in view.trace.kill_file_since:
        for call in view.moves:
            if start <= call.sent_at and (end is None or call.sent_at < end):
                yield f"call {call.number}: {call.method} at {call.sent_at}, the kill file is there since {start}"


def kill_file_cancels(view: View) -> Iterator[str]:
    """I28: with the kill file there for a whole undisturbed iteration, nothing of ours is live after it."""
    for start, end in view.trace.kill_file_since:
        for where, calls in view.by_iteration.items():
            inside = calls[0].sent_at > start and (end is None or calls[-1].sent_at < end)
            if where[1] < 1 or not inside or any(call.rows for call in calls) or where not in view.records:
                continue
            live = view.own_live_after(calls[-1].number)
            if live:
                yield f"life {where[0]} iteration {where[1]}: {', '.join(live)} still live, kill file since {start}"


def kill_file_ends_resting(view: View) -> Iterator[str]:
    """I28: with the kill file there for a whole undisturbed look at orders that rest, none rests on
    that the agent knows of."""
    for start, end in view.trace.kill_file_since:
        for (life, iteration, look), calls in view.by_limit.items():
            inside = calls[0].sent_at >= start and (end is None or calls[-1].sent_at < end)
            was_disturbed = any(call.rows or call.heard_status is None for call in calls) or view.was_killed_in(calls)
            if look == 0 or not inside or was_disturbed:
                continue
            live = view.known_to_rest_after(calls[-1].number)
            if live:
                yield f"life {life} iteration {iteration} look {look}: {', '.join(live)} rests, kill file since {start}"


def stop_cancels(view: View) -> Iterator[str]:
    """I28: a life that was asked to stop ends with 0 and leaves no order of its own, unless its last iteration was
    disturbed (then the next start takes it back, see I26)."""
    for life in view.trace.lives:
        calls = view.by_life.get(life.number, [])
        if life.end != "stop":
            continue
        if life.exit_code not in (0, None):
            yield f"life {life.number} was asked to stop and ended with {life.exit_code}"
        of_last = [call for call in calls if call.iteration == calls[-1].iteration]
        if calls and not any(call.rows for call in of_last):
            for label in view.own_live_after(calls[-1].number):
                yield f"life {life.number} was asked to stop and left {label}"
