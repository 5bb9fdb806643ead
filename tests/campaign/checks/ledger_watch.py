"""What the exchange's own ledger says at every event: covered, one order at a time, nothing flipped (I1 I2 I3 I6).

In: a View. Out: a line for each breach. What the outside does (foreign orders and positions, withdrawals, a wiped
account) may break coverage by itself; then the check is that no act of the agent does, and each exemption is named
where it is made. Amounts in coin. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from core import pricing
from paper_exchange.market.market import MIN_TRADE_AMOUNT
from tests.campaign.checks.joins import COINS, EPSILON, OUTSIDE_ROWS, View, Where, coin_of, is_own, stem_of
from tests.campaign.world.trace import LedgerPoint, WireCall

HALTED = "HALTED"
POSITIONS_LAG = timedelta(seconds=60)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


def covered(view: View) -> Iterator[str]:
    """I1, at each ledger event: shorts + resting sells <= coins, in whole steps; no event may make an excess larger.

    Coins are the balance: the equity moves with the marks, without anybody's doing. Exempt is an excess that grows
    at an event while somebody else changed the account since the event before; for a sale of ours since the agent
    last looked, as nobody can know what happens between a look and an order. Exempt too is a second order from
    one request (T30), which I6 follows up.
    """
    for coin in COINS:
        excess, last_at = 0.0, LONG_AGO
        for point in view.trace.points:
            if point.event.currency != coin:
                continue
            now = max(0.0, exposure(point, coin) - _whole_steps(point.event.balance_after_coin, coin))
            if now > excess + EPSILON and not _is_the_outside(view, point, last_at):
                yield (
                    f"{point.event.kind} of {point.event.label or point.event.instrument_name} at {point.event.at}"
                    f" (call {point.call_number}): {exposure(point, coin):g} {coin} of calls on"
                    f" {point.event.balance_after_coin:.6g} coins"
                )
            excess, last_at = now, point.event.at


def covered_by_what_is_behind(view: View) -> Iterator[str]:
    """I1, the agent's own stricter measure at each sale of ours: <= coins less what puts sold may cost, as last told.

    The larger of what it told in that iteration and what it is at acceptance counts, because marks move in between.
    Exempt as in `covered`.
    """
    for point in view.trace.points:
        if not _is_own_sale(point):
            continue
        coin = point.event.currency
        told = _coins_told(view, point, coin)
        coins = max(point.coins_held[coin], point.coins_held[coin] if told is None else told)
        if exposure(point, coin) > _whole_steps(coins, coin) + EPSILON and not _is_the_outside(
            view, point, point.event.at
        ):
            yield f"{point.event.label}: {exposure(point, coin):g} {coin} of calls on {coins:.6g} coins behind them"


def no_own_mark_counts(view: View) -> Iterator[str]:
    """I1, the other way round: no state calls a coin uncovered on which the ledger has a coin behind every call.

    What the agent sold would then be bought back because of its own mark. Exempt: a time in which positions may lag
    or somebody else changed the account, as the state then shows what was a moment before; and a coin of which
    somebody else's put is held, whose mark takes coins away between two events of the ledger.
    """
    for record in view.trace.decisions:
        state = record.get("agent_state") or {}
        for risk in state.get("risks", ()):
            coin, at = risk["underlying"], datetime.fromisoformat(state["timestamp"])
            points = [p for p in view.trace.points if p.event.currency == coin and p.event.at <= at]
            before = [p for p in points if p.event.at < at - POSITIONS_LAG][-1:]  # a state may show what was then
            was = before + [p for p in points if p.event.at >= at - POSITIONS_LAG]
            is_covered = all(p.short_calls[coin] <= p.coins_held[coin] + EPSILON for p in was)
            if risk["short_calls_coin"] <= risk["coins_held"] + EPSILON or not is_covered or not was:
                continue
            others = state["portfolio"]["positions"] + state["portfolio"]["other_positions"]
            has_put = any(it["symbol"].startswith(f"{coin}-") and it["symbol"].endswith("-P") for it in others)
            if len(was) == 1 and not has_put and not view.outside_between(was[0].event.at, at):
                yield f"{coin} called uncovered at {at}: {risk['short_calls_coin']:g} on {risk['coins_held']:.6g} coins"


def exposure(point: LedgerPoint, coin: str) -> float:
    return point.short_calls.get(coin, 0.0) + point.resting_sells.get(coin, 0.0)


def roll_never_adds(view: View) -> Iterator[str]:
    """I2: from the moment the buying leg of a roll is accepted, shorts + open sells never exceed what they were before.

    A roll is a buy and a sell with one decision in their labels. Exempt: a sale by somebody else in that time, and
    the second order from one request (T30).
    """
    rolled = {stem_of(label) for label in view.accepted if label.endswith("-buy")}
    rolled &= {stem_of(label) for label in view.accepted if label.endswith("-sell")}
    for stem in sorted(rolled):
        points = view.trace.points
        of_roll = [number for number, point in enumerate(points) if stem_of(point.event.label) == stem]
        first, last = of_roll[0], of_roll[-1]
        coin = points[first].event.currency
        # The buying leg adds no short: what was there before it is what is there just after it was accepted.
        start = exposure(points[first], coin)
        for point in points[first : last + 1]:
            excused = view.outside_between(points[first].event.at, point.event.at) or _is_copied(view, stem)
            if exposure(point, coin) > start + EPSILON and not excused:
                yield f"roll {stem}: {exposure(point, coin):g} {coin} of calls, {start:g} at its start"
                break


def never_long(view: View) -> Iterator[str]:
    """I3, ledger: no fill of a buy of ours leaves an option long that was not long before."""
    sizes: dict[str, float] = {}
    for point in view.trace.points:
        symbol, size = point.event.instrument_name, point.positions.get(point.event.instrument_name, 0.0)
        is_own_buy = is_own(point) and point.event.kind == "fill" and point.event.direction == "buy"
        if is_own_buy and size > EPSILON and sizes.get(symbol, 0.0) <= EPSILON:
            yield f"{point.event.label} made {symbol} long: {size:g}"
        sizes[symbol] = size


def one_live_order(view: View) -> Iterator[str]:
    """I6: never two live orders of ours on one coin.

    Exempt is the second order that one request became on its way (T30, seen in `arrived_at`), from one of another
    label too while no answer could show it; `copies_are_noticed` says what must follow.
    """
    told: set[frozenset[str]] = set()
    for point in view.trace.points:
        for coin, live in point.own_live_labels.items():
            labels = [label for label in live if not _is_hidden_copy(view, label, point.event.at)]
            distinct = frozenset(labels)
            if len(distinct) > 1 and distinct not in told:
                told.add(distinct)
                yield f"two orders of ours live on {coin} at {point.event.at}: {', '.join(sorted(distinct))}"
            if len(labels) > len(distinct) and not any(is_copied(view, label) for label in distinct):
                yield f"two live orders of one label on {coin}: {', '.join(labels)}"


def _is_hidden_copy(view: View, label: str, now: datetime) -> bool:
    """Whether every private read since one request became two orders was answered from a copy of the books that was
    behind (X40)."""
    if not is_copied(view, label):
        return False
    since = view.accepted[label][-1].event.at
    reads = (call for call in view.trace.calls if call.method.startswith("private/get_") and call.heard_status == 200)
    return all("X40" in call.rows for call in reads if since <= call.sent_at <= now)


def one_order_per_label(view: View) -> Iterator[str]:
    """I6: the exchange accepts a label once; exempt as in `one_live_order`."""
    for label, points in view.accepted.items():
        if len(points) > 1 and not is_copied(view, label):
            calls = ", ".join(str(point.call_number) for point in points)
            yield f"{label} was accepted {len(points)} times (calls {calls})"


def copies_are_noticed(view: View) -> Iterator[str]:
    """I6 after T30: an order that came onto the book twice makes the agent HALTED, and neither is live at the end.

    Told from the third healthy iteration on. Exempt: orders the exchange had forgotten when it was asked (X30, X33),
    and copies that only lives were told of that could not write it down.
    """
    for label, points in view.accepted.items():
        if len(points) < 2 or not is_copied(view, label) or len(view.healthy) <= 3 or _is_forgotten(view, label):
            continue
        asked = [it for it in view.trace.calls if it.params.get("label") == label and it.method.endswith("by_label")]
        told = [call for call in asked if isinstance(found := view.heard(call), list) and len(found) > 1]
        is_lost = bool(told) and all(_could_not_be_kept(view, call) for call in told)
        if not is_lost and not _halts_from(view, (points[-1].life, points[-1].iteration)):
            yield f"{label} came onto the book twice (call {points[-1].call_number}), and the agent never halted"
        if any(label in labels for labels in view.trace.points[-1].own_live_labels.values()):
            yield f"{label} came onto the book twice and is still there at the end"


def copies_shown_are_noticed(view: View) -> Iterator[str]:
    """I6 after X31: an answer with two orders under one label of ours makes the agent HALTED, in that life or the next.

    Exempt is a life that was killed before it could write down what it had heard, or while its disk was broken.
    """
    for call in view.trace.calls:
        if call.method != "private/get_order_state_by_label" or "X31" not in call.rows:
            continue
        following = view.trace.calls[call.number + 1 : call.number + 2]
        if any((after.method, after.params) == (call.method, call.params) for after in following):
            continue  # asked again at once: the agent did not take this answer for one
        if _is_at_another_time(view, call):
            continue
        if not _could_not_be_kept(view, call) and not _halts_from(view, (call.life, call.iteration)):
            yield f"call {call.number} showed two orders under {call.params.get('label')}, and the agent never halted"


def _is_at_another_time(view: View, call: WireCall) -> bool:
    """Whether the reply heard before told another time (C03), so that this one is not believed."""
    for before in view.before(call):
        if "C03" in before.rows:
            return True
        if view.heard(before) is not None:
            return False
    return False


def _could_not_be_kept(view: View, call: WireCall) -> bool:
    """Whether a life was killed as soon as it had heard this, or while its disk was broken."""
    was_last_word = view.by_life[call.life][-1] is call or bool(view.disk_rows(call.life))
    return view.lives[call.life].end == "crash" and was_last_word


def _halts_from(view: View, since: Where) -> bool:
    """By a line of its log, or by what it said when it ended or would not start: there may be no such line (D05)."""
    has_line = any(where >= since and record.get("trading_state") == HALTED for where, record in view.in_order)
    later = [life for life in view.trace.lives if life.number >= since[0] and life.exit_code == 6]
    return has_line or any(life.error is None or "two orders" in life.error for life in later)


def _is_forgotten(view: View, label: str) -> bool:
    """Whether the exchange, when it was asked, knew one of the two no more (unfilled ones go after half an hour)."""
    asked = [it for it in view.trace.calls if it.params.get("label") == label and it.method.endswith("by_label")]
    results = [(call.answered or {}).get("result") for call in asked]
    knew_less = any(isinstance(result, list) and len(result) < 2 for result in results)
    return knew_less or any(row == "X33" for _, row in view.trace.outside_acts)


def is_copied(view: View, label: str) -> bool:
    """Whether something between agent and exchange delivered one request of this label more than once."""
    call = view.send_of_label.get(label)
    return call is not None and len(call.arrived_at) > 1


def _is_copied(view: View, stem: str) -> bool:
    return any(is_copied(view, f"{stem}-{leg}") for leg in ("buy", "sell"))


# --- what is not the agent's doing ------------------------------------------------------------------


def _is_the_outside(view: View, point: LedgerPoint, last_at: datetime) -> bool:
    if point.event.order_id is not None and not is_own(point):
        return True
    if _is_second_of_one_request(view, point):
        return True
    if _is_own_sale(point):
        return view.outside_between(_last_look_at(view, point), point.event.at)
    return bool(point.rows & OUTSIDE_ROWS) or view.outside_between(last_at, point.event.at)


def _is_second_of_one_request(view: View, point: LedgerPoint) -> bool:
    label = point.event.label
    is_copy = is_own(point) and point.event.kind == "accepted" and is_copied(view, label)
    return is_copy and point is not view.accepted[label][0]


def _is_own_sale(point: LedgerPoint) -> bool:
    return is_own(point) and point.event.kind == "accepted" and point.event.direction == "sell"


def _last_look_at(view: View, point: LedgerPoint) -> datetime:
    """When the agent looked at the account for this order: between the quote it asked for and the sale.

    One that did not is not excused by anything that happened in between. Positions that lag (X20) are a look at what
    was before: what somebody else sold meanwhile is in no answer, and no agent can know of it.
    """
    call = view.send_of_label.get(point.event.label)
    lag = timedelta(0)
    for other in () if call is None else view.before(call):
        if other.method == "private/get_positions" and "X20" in other.rows:
            lag = POSITIONS_LAG
        if other.method == "private/get_open_orders":
            return other.sent_at - lag
        if other.method == "public/ticker":
            break
    return point.event.at


def _coins_told(view: View, point: LedgerPoint, coin: str) -> float | None:
    """The balance, less what futures lost, as the exchange last answered before this order, in the same iteration."""
    call = view.send_of_label.get(point.event.label)
    for other in () if call is None else view.before(call):
        if other.method == "private/get_account_summary" and other.params.get("currency") != coin:
            continue
        if other.method not in ("private/get_account_summary", "private/get_account_summaries"):
            continue
        result = (other.answered or {}).get("result")
        rows = result.get("summaries", [result]) if isinstance(result, dict) else []
        found = [row for row in rows if row.get("currency", coin) == coin]
        if found:
            return min(float(found[0]["balance"]), float(found[0]["equity"]) - float(found[0]["options_value"]))
    return None


def _whole_steps(coins: float, coin: str) -> float:
    return pricing.floor_to_step(max(0.0, coins) + EPSILON, MIN_TRADE_AMOUNT[coin_of(coin)])
