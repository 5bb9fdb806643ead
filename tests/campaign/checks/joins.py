"""One trace seen from all sides: which send belongs to which line of the order log and to which order at the exchange.

In: a Trace. Out: a View with everything that more than one check needs, each part made when first asked for. What
became of a request is judged from the wire alone, so that no mistake of the agent's is shared. Pure.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal, NoReturn

from pydantic_core import from_json

from paper_exchange.market.market import MIN_TRADE_AMOUNT
from tests.campaign.world.trace import LedgerPoint, Life, Trace, WireCall, is_own_label

Fate = Literal["not_sent", "rejected", "accepted", "unknown"]

COINS = tuple(MIN_TRADE_AMOUNT)
SENDS = ("private/buy", "private/sell")
MOVES = (*SENDS, "private/edit")
OUTSIDE_ROWS = frozenset({"X21", "X22", "X23", "X33", "X37", "X38", "X39"})
NOTHING_LEFT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})
FINAL_STATES = frozenset({"filled", "cancelled", "rejected"})
TERMINAL_OUTCOMES = frozenset({"accepted", "rejected", "not_sent", "resolved_absent", "resolved_present"})
# Two meanings (13888), no meaning (10001), or the exchange's own failure: nobody knows whether the order exists.
AMBIGUOUS_CODES = frozenset({13888, 10001, 11094, 13028, -32603})
REPLY_DEADLINE = timedelta(seconds=10)
EPSILON = 1e-9
# The agent reads the exchange's clock off the last reply, which may have taken this long (T28, T29).
CLOCK_SLACK = timedelta(seconds=15)

Where = tuple[int, int]  # (life, iteration)


class View:
    """A trace and its joins. Nothing in it changes the trace."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._envelopes: dict[int, dict[str, Any] | None] = {}

    # --- the wire -----------------------------------------------------------------------

    @cached_property
    def sends(self) -> list[WireCall]:
        return [call for call in self.trace.calls if call.method in SENDS]

    @cached_property
    def moves(self) -> list[WireCall]:
        """Everything that puts a price into the market: buy, sell, edit."""
        return [call for call in self.trace.calls if call.method in MOVES]

    @cached_property
    def by_iteration(self) -> dict[Where, list[WireCall]]:
        found: dict[Where, list[WireCall]] = defaultdict(list)
        for call in self.trace.calls:
            found[call.life, call.iteration].append(call)
        return dict(found)

    @cached_property
    def by_limit(self) -> dict[tuple[int, int, int], list[WireCall]]:
        """By life, iteration and look: an iteration has a limit of requests, each look after it a new one."""
        found: dict[tuple[int, int, int], list[WireCall]] = defaultdict(list)
        for call in self.trace.calls:
            found[call.life, call.iteration, call.look].append(call)
        return dict(found)

    @cached_property
    def by_life(self) -> dict[int, list[WireCall]]:
        found: dict[int, list[WireCall]] = defaultdict(list)
        for call in self.trace.calls:
            found[call.life].append(call)
        return dict(found)

    def before(self, call: WireCall) -> Iterator[WireCall]:
        """The calls of the same iteration before this one, latest first."""
        for other in reversed(self.by_iteration[call.life, call.iteration]):
            if other.number < call.number:
                yield other

    def after(self, call: WireCall) -> Iterator[WireCall]:
        """The calls of the same life after this one."""
        return (other for other in self.by_life[call.life] if other.number > call.number)

    def heard(self, call: WireCall) -> Any:
        """The result the agent could use, None where there was no well-formed answer to this request."""
        reply = self._envelope(call)
        if reply is None or (call.heard_status or 0) >= 500 or reply.get("error") is not None:
            return None
        return reply.get("result")

    def error_code(self, call: WireCall) -> int | None:
        """The code of a well-formed refusal of this request."""
        if call.heard is None or b'"error"' not in call.heard:
            return None
        reply = self._envelope(call)
        if reply is None or reply.get("result") is not None or (call.heard_status or 0) >= 500:
            return None
        error = reply.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        return code if type(code) is int else None

    def _envelope(self, call: WireCall) -> dict[str, Any] | None:
        """The reply as JSON-RPC; None where it is not, or is not to this request."""
        if call.number not in self._envelopes:
            self._envelopes[call.number] = _envelope(call)
        return self._envelopes[call.number]

    def last_heard(self, call: WireCall, method: str, **params: object) -> Any:
        """The last usable result of a method in this iteration before a call; None where the last one was not."""
        for other in self.before(call):
            if other.method == method and all(other.params.get(name) == value for name, value in params.items()):
                return self.heard(other)
        return None

    # --- orders ----------------------------------------------------------------------------

    @cached_property
    def symbol_of_order(self) -> dict[str, tuple[str, str]]:
        """By order id: symbol and direction, as far as the exchange ever said."""
        points = (point.event for point in self.trace.points if point.event.kind == "accepted")
        return {str(event.order_id): (event.instrument_name, event.direction) for event in points}

    def symbol(self, call: WireCall) -> str:
        """The option a buy, sell or edit is about; empty where it names none."""
        if call.method in SENDS:
            return str(call.params.get("instrument_name", ""))
        return self.symbol_of_order.get(str(call.params.get("order_id")), ("", ""))[0]

    def is_sell(self, call: WireCall) -> bool:
        if call.method in SENDS:
            return call.method == "private/sell"
        return self.symbol_of_order.get(str(call.params.get("order_id")), ("", ""))[1] == "sell"

    @cached_property
    def accepted(self) -> dict[str, list[LedgerPoint]]:
        """Own orders that came onto the book, by label."""
        found: dict[str, list[LedgerPoint]] = defaultdict(list)
        for point in self.trace.points:
            if is_own(point) and point.event.kind == "accepted":
                found[point.event.label].append(point)
        return dict(found)

    @cached_property
    def send_of_label(self) -> dict[str, WireCall]:
        """The first send of each label."""
        found: dict[str, WireCall] = {}
        for call in self.sends:
            found.setdefault(str(call.params.get("label")), call)
        return found

    @cached_property
    def filled(self) -> dict[str, float]:
        """Coins traded by own orders, by label."""
        found: dict[str, float] = defaultdict(float)
        for point in self.trace.points:
            if is_own(point) and point.event.kind == "fill":
                found[point.event.label] += point.event.amount
        return dict(found)

    # --- the log ---------------------------------------------------------------------------

    @cached_property
    def lines(self) -> dict[str, list[dict[str, Any]]]:
        """Lines of the order log by label, as they stand in the files."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in self.trace.order_lines:
            found[str(line.get("label"))].append(line)
        return dict(found)

    @cached_property
    def lines_gone(self) -> dict[str, list[dict[str, Any]]]:
        """Lines of the order log by label, as they stood in files that somebody has taken away."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for text in (text for content in self.trace.files_gone for text in content.split(b"\n")):
            with suppress(ValueError):
                line = json.loads(text)
                found[str(line.get("label"))].append(line)
        return dict(found)

    @cached_property
    def records(self) -> dict[Where, list[dict[str, Any]]]:
        """Lines of the decision log by life and iteration."""
        found: dict[Where, list[dict[str, Any]]] = defaultdict(list)
        life_of_run = {life.run_id: life.number for life in self.trace.lives}
        for record in self.trace.decisions:
            life = life_of_run.get(str(record.get("run_id")), -1)
            found[life, int(record.get("iteration", -1))].append(record)
        return dict(found)

    @cached_property
    def in_order(self) -> list[tuple[Where, dict[str, Any]]]:
        """The decision records in the order in which their iterations ran."""
        return [(where, record) for where in sorted(self.records) for record in self.records[where]]

    @cached_property
    def lives(self) -> dict[int, Life]:
        return {life.number: life for life in self.trace.lives}

    # --- disk, outside and tail --------------------------------------------------------------------

    @cached_property
    def overwritten_lines(self) -> list[str]:
        """Lines of which somebody overwrote the beginning (D07)."""
        lines = (line for content in self.trace.raw_files.values() for line in content.split(b"\n"))
        return [line.decode(errors="replace") for line in lines if line.startswith(b"\x00")]

    def rows_in(self, where: Where) -> set[str]:
        """The catalogue rows injected into the requests and the disk in an iteration."""
        rows = {row for call in self.by_iteration.get(where, ()) for row in call.rows}
        return rows | {row for life, iteration, row in self.trace.disk_faults if (life, iteration) == where}

    def disk_rows(self, life: int) -> set[str]:
        """The disk faults of a life."""
        return {row for number, _, row in self.trace.disk_faults if number == life}

    @cached_property
    def all_disk_rows(self) -> frozenset[str]:
        return frozenset(row for _, _, row in self.trace.disk_faults)

    @cached_property
    def outside_times(self) -> list[datetime]:
        """When somebody other than the agent changed the account."""
        foreign = (p for p in self.trace.points if p.event.order_id is not None and not is_own(p))
        return [at for at, _ in self.trace.outside_acts] + [point.event.at for point in foreign]

    def outside_between(self, start: datetime, end: datetime) -> bool:
        return any(start <= at <= end for at in self.outside_times)

    def own_live_after(self, number_of_call: int) -> list[str]:
        """Own orders on the book once this call was answered."""
        live: set[str] = set()
        for point in self.trace.points:
            if point.call_number > number_of_call:
                break
            live = {label for labels in point.own_live_labels.values() for label in labels}
        return sorted(live)

    def was_killed_in(self, calls: Sequence[WireCall]) -> bool:
        """Whether a life was killed after these calls and before any other: they may not be all that it was about."""
        life = self.lives[calls[-1].life]
        return life.end == "crash" and self.by_life[life.number][-1] is calls[-1]

    def known_to_rest_after(self, number_of_call: int) -> list[str]:
        """Own orders on the book once this call was answered, and whose sending was answered undisturbed: of the others
        the agent may not know that they rest; it looks them up when the next decision begins."""
        undisturbed = {str(call.params.get("label")) for call in self.sends if not call.rows}
        return [label for label in self.own_live_after(number_of_call) if label in undisturbed]

    @cached_property
    def healthy(self) -> list[Where]:
        """The iterations of the healthy tail, as far as requests were made or records written in them."""
        since = self.trace.healthy_since
        if since is None:
            return []
        return sorted(where for where in {*self.by_iteration, *self.records} if where >= since and where[1] > 0)


def fate(view: View, call: WireCall) -> Fate:
    """What the agent could know of an order it sent: from what it was given on the wire, and nothing else.

    A life that was killed with this as its last request, before it wrote the outcome down, left nobody who could know.
    """
    if (
        view.lives[call.life].end == "crash"
        and view.by_life[call.life][-1] is call
        and not _is_written_down(view, call)
    ):
        return "unknown"
    if call.raised is not None:
        return "not_sent" if call.raised in NOTHING_LEFT else "unknown"
    if call.arrived_at and call.arrived_at[0] - call.sent_at > REPLY_DEADLINE:
        return "unknown"  # nobody waits that long for an answer
    if call.heard is None:
        return "unknown"
    if (call.heard_status or 0) >= 400 and b'"jsonrpc"' not in call.heard:
        return "unknown"  # a gateway says nothing about what the exchange did
    code = view.error_code(call)
    if code is not None:
        return "unknown" if code in AMBIGUOUS_CODES else "rejected"
    result = view.heard(call)
    order = result.get("order") if isinstance(result, dict) else None
    if not isinstance(order, dict):
        return "unknown"
    return "rejected" if order.get("order_state") == "rejected" else "accepted"


def _is_written_down(view: View, call: WireCall) -> bool:
    """Whether the life wrote down how the order ended, also in a file that somebody has taken away since (D05, D11)."""
    run_id, label = view.lives[call.life].run_id, str(call.params.get("label"))
    lines = (*view.lines.get(label, ()), *view.lines_gone.get(label, ()))
    return any(line.get("run_id") == run_id and line.get("outcome") in TERMINAL_OUTCOMES for line in lines)


def deadline_of(call: WireCall) -> datetime:
    """When an order can surely no longer come to life."""
    until_ms = call.params.get("valid_until")
    if not isinstance(until_ms, int):
        return datetime.max.replace(tzinfo=call.sent_at.tzinfo)  # it may come to life at any time
    epoch = datetime.fromtimestamp(0, call.sent_at.tzinfo)
    return epoch + timedelta(milliseconds=until_ms)


def ticker_before(view: View, call: WireCall) -> dict[str, Any] | None:
    """The quote the agent last heard before an order, of its instrument."""
    found = view.last_heard(call, "public/ticker", instrument_name=view.symbol(call))
    return found if isinstance(found, dict) else None


def instrument_before(view: View, call: WireCall) -> dict[str, Any] | None:
    """The terms the agent last heard before an order, of its instrument."""
    found = view.last_heard(call, "public/get_instrument", instrument_name=view.symbol(call))
    return found if isinstance(found, dict) else None


def is_own(point: LedgerPoint) -> bool:
    return is_own_label(point.event.label)


def coin_of(symbol: str) -> str:
    return symbol.partition("-")[0]


def stem_of(label: str) -> str:
    """The decision that a label belongs to: both legs of a roll share it."""
    return label.rpartition("-")[0]


def number(values: Mapping[str, Any], name: str) -> float | None:
    """A JSON number that is one."""
    value: Any = values.get(name)
    return float(value) if type(value) in (int, float) and abs(value) < 1e300 else None


def _envelope(call: WireCall) -> dict[str, Any] | None:
    if call.heard is None or call.raised is not None:
        return None
    try:
        if call.rows:
            reply = json.loads(call.heard, parse_constant=_refuse, object_pairs_hook=_without_duplicates)
        else:  # nothing disturbed it: keys come twice only where a fault wrote them
            reply = from_json(call.heard, allow_inf_nan=False)
    except (ValueError, RecursionError):
        return None
    if not isinstance(reply, dict) or reply.get("id", call.request_id) != call.request_id:
        return None
    return reply


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found
