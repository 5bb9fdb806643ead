"""Where requests go, with which rights, and how many (I18 I19 I20 I22 I25).

In: a View. Out: a line for each breach. Judged from the requests as they left and the replies as they were given.
Times in seconds. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from urllib.parse import urlsplit

from tests.campaign.checks.joins import MOVES, SENDS, View
from tests.campaign.checks.life_checks import is_about_the_environment, is_about_the_key
from tests.campaign.world.trace import WireCall

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SCOPE = frozenset({"trade:read_write", "account:read", "wallet:none"})
ASKED_AT_THE_END = ("private/get_open_orders", "private/get_order_state_by_label")
MAX_REQUESTS, MAX_SENDS, MAX_ATTEMPTS = 60, 2, 3
MAX_ITERATION_SECONDS = 430.0  # forty requests of ten seconds, ten before a fatal answer is asked for again, and a bit
RATE_LIMIT_CODE = 10028
MOST_TIMES_LIMITED = 4
LOOKS_APART, QUIET = timedelta(seconds=7), timedelta(seconds=55)
ASKED_AGAIN_AFTER_SECONDS = 9.0  # ten, and the time a request takes


def only_testnet(view: View) -> Iterator[str]:
    """I18: every request goes to test.deribit.com by https or to this machine, to the path of its own method.

    A redirect that was followed shows as another host or path.
    """
    for call in view.trace.calls:
        parts = urlsplit(call.url)
        is_testnet = parts.scheme == "https" and parts.hostname == "test.deribit.com" and parts.port in (None, 443)
        if not is_testnet and parts.hostname not in LOOPBACK:
            yield f"call {call.number}: {call.method} went to {parts.scheme}://{parts.hostname}"
        if parts.path != f"/api/v2/{call.method}" or parts.query:
            yield f"call {call.number}: {call.method} went to the path {parts.path}"


def fatal_answers_stop(view: View) -> Iterator[str]:
    """I19: after an answer that may end the process (certificate, foreign redirect, 13004, not testnet) nothing private
    is sent, until it was asked again after ten seconds."""
    for call in view.trace.calls:
        is_about_key = is_about_the_key(view, call)
        if not is_about_key and not is_about_the_environment(call):
            continue
        if is_about_key and view.error_code(call) is None:
            continue  # a token that may withdraw: I22 speaks
        asking = "public/auth" if is_about_key else "public/get_time"
        for later in view.after(call):
            if later.method == asking and (later.sent_at - call.sent_at).total_seconds() >= ASKED_AGAIN_AFTER_SECONDS:
                break
            if later.method == "public/auth" or later.method.startswith("private/"):
                yield f"call {later.number} ({later.method}) after the fatal answer to call {call.number}"
                break


def dry_run_is_inert(view: View) -> Iterator[str]:
    """I20: in a dry run nothing leaves but reads of public data; whatever else there may be is refused."""
    for call in view.trace.calls if view.trace.dry_run else ():
        if not call.method.startswith("public/") or call.method == "public/auth":
            yield f"call {call.number}: {call.method} in a dry run"


def least_rights(view: View) -> Iterator[str]:
    """I22: a token is asked for with just the rights that are needed; one that may withdraw is not used once."""
    for call in view.trace.calls:
        if call.method != "public/auth":
            continue
        asked = {word for word in str(call.params.get("scope", "")).split() if not word.startswith("session:")}
        if asked != SCOPE:
            yield f"call {call.number}: asked for the rights {' '.join(sorted(asked)) or 'of the key'}"
        token = view.heard(call)
        if isinstance(token, dict) and "wallet:read_write" in str(token.get("scope", "")).split():
            later = next(view.after(call), None)
            if later is not None:
                yield f"call {later.number} ({later.method}) with a token that may withdraw (call {call.number})"


# --- how much --------------------------------------------------------------------------------------------


def bounded_iterations(view: View) -> Iterator[str]:
    """I25: at most 60 requests, 2 order sends and 430 s an iteration, whatever happens in it.

    The end of a run may ask as much again. So may each look at orders that rest after the iteration, as it has a limit
    of its own, but it sends no order."""
    for (life, iteration, look), calls in view.by_limit.items():
        where = _where(life, iteration, look)
        at_the_end = sum(call.ends_the_run for call in calls)
        if max(at_the_end, len(calls) - at_the_end) > MAX_REQUESTS:
            yield f"{where}: {len(calls)} requests, {at_the_end} of them at the end of the run"
        sends = [call.number for call in calls if call.method in SENDS]
        if len(sends) > (MAX_SENDS if look == 0 else 0):
            yield f"{where}: {len(sends)} orders sent, calls {', '.join(map(str, sends))}"
        lasted = calls[-1].sent_at - calls[0].sent_at
        stood_still = {"P08", "X12", "D09"} & view.rows_in((life, iteration))
        if lasted > timedelta(seconds=MAX_ITERATION_SECONDS) and not stood_still:
            yield f"{where}: {lasted.total_seconds():.0f} s from its first to its last request"


def bounded_attempts(view: View) -> Iterator[str]:
    """I25: a read is tried at most 3 times. Counted are requests of one method and parameters one after the other,
    logging in aside. After the last iteration of a life a run may ask once more what of its own still rests. Each look
    at resting orders asks anew, so its attempts are counted by themselves."""
    last_iterations: dict[int, int] = {}
    for life, iteration in view.by_iteration:
        ends_in_words = life in view.lives and view.lives[life].end != "crash"
        last_iterations[life] = max(last_iterations.get(life, -1), iteration if ends_in_words else -1)
    for (life, iteration, look), calls in view.by_limit.items():
        attempts, last = 0, ""
        for call in calls:
            if call.method == "public/auth":
                continue
            asked = f"{call.method} {call.params} {call.ends_the_run}"
            attempts = attempts + 1 if asked == last else 1
            last = asked
            asks_again = iteration == last_iterations[life] and call.method in ASKED_AT_THE_END
            if attempts == MAX_ATTEMPTS * (2 if asks_again else 1) + 1:
                where = _where(life, iteration, look)
                yield f"{where}: {call.method} tried more than 3 times (call {call.number})"
            is_plain = not call.rows and call.raised is None and call.heard_status == 200
            if is_plain or view.heard(call) is not None:
                last = ""


def rate_limit_ends_iteration(view: View) -> Iterator[str]:
    """I25 (X06, T26): after "too many requests" no order and no new price leaves in that iteration; and it hears so at
    most four times: what it has in the market is taken back, looked up and logged, not more. A look at resting orders
    stands for itself; `looks_are_quiet_after_a_limit` goes on."""
    for (life, iteration, look), calls in view.by_limit.items():
        limited = [call for call in calls if _is_too_many(view, call)]
        if not limited:
            continue
        where = f"{_where(life, iteration, look)}: call {limited[0].number} was too many"
        moved = [call for call in calls if call.number > limited[0].number and call.method in MOVES]
        if moved:
            yield f"{where}, and {moved[0].method} (call {moved[0].number}) followed"
        if len(limited) > MOST_TIMES_LIMITED:
            yield f"{where}, and {len(limited) - 1} more were so"


def looks_are_apart(view: View) -> Iterator[str]:
    """I25: looks at resting orders are some seconds apart, but for the last one before the next decision."""
    looks = [(where, calls[0].sent_at) for where, calls in view.by_limit.items() if where[2] > 0]
    for (where, at), (after, later_at), (last, _) in zip(looks, looks[1:], looks[2:], strict=False):
        if where[:2] == after[:2] == last[:2] and later_at - at < LOOKS_APART:
            yield f"{_where(*after)} began {later_at - at} after the look before"


def looks_are_quiet_after_a_limit(view: View) -> Iterator[str]:
    """I25 (X06, T26): within a minute after a look at a resting order was told "too many requests" none asks for a
    quote. What takes an order back does not wait."""
    told: dict[int, WireCall] = {}
    for (life, iteration, look), calls in view.by_limit.items():
        for call in calls if look > 0 else ():
            if call.method == "public/ticker" and life in told and call.sent_at - told[life].sent_at < QUIET:
                where = _where(life, iteration, look)
                yield f"{where}: call {call.number} asks on, call {told[life].number} was too many"
                break
            if call.method == "private/cancel":
                break
            if _is_too_many(view, call):
                told[life] = call


def _where(life: int, iteration: int, look: int) -> str:
    return f"life {life} iteration {iteration}" + (f" look {look}" if look else "")


def _is_too_many(view: View, call: WireCall) -> bool:
    return view.error_code(call) == RATE_LIMIT_CODE or call.heard_status == 429


def sleeps_forward(view: View) -> Iterator[str]:
    """I25: no sleep is negative, and lives do rest: never two iterations of a life at the same moment."""
    for seconds in view.trace.sleeps_seconds:
        if seconds < 0.0:
            yield f"a sleep of {seconds:g} s"
    begins = [(where, calls[0].sent_at) for where, calls in sorted(view.by_iteration.items()) if where[1] >= 1]
    for (before, before_at), (after, after_at) in pairwise(begins):
        if before[0] == after[0] and (after_at - before_at).total_seconds() < 1.0:
            yield f"life {after[0]}: iteration {after[1]} began {after_at - before_at} after iteration {before[1]}"
