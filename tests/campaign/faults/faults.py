"""The fault layer: an httpx transport between the agent's client and the paper exchange.

In: HTTP requests. Out: the exchange's answer, or what a fault of the catalogue makes of it; every request becomes a
WireCall of the trace. Which fault meets a request follows from the schedule and the request's key
(iteration:method:number) alone. Crashes before and after a request are raised here. No sockets; only true time passes.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic_core import from_json

from tests.builders.true_time import TrueTime
from tests.campaign.faults.catalogue import CALL_ROWS, RARE, RAREST, rows_at
from tests.campaign.faults.spells import SPELLS, Spells
from tests.campaign.faults.transport_rows import Fault
from tests.campaign.world.schedule import Schedule
from tests.campaign.world.trace import Trace, WireCall
from tests.campaign.world.venue import Moment, Venue

LATENCY_SECONDS = 0.05
RARE_FACTOR, MOST_RARE = 5.0, 0.6  # rare requests meet faults more often, up to this share
RAREST_FACTOR, MOST_RAREST = 8.0, 0.8
RATE_OF_LOOKS = 0.5  # they come every few seconds
LOCKED_OUT_IN_SPELLS = {  # which requests a spell touches; those not named here touch all
    "X10": frozenset({"public/status", "private/buy", "private/sell", "private/edit"}),
    "X34": frozenset({"public/auth"}),
}


class SimCrash(BaseException):
    """The process is killed here. A BaseException, so that no `except Exception` in the agent can survive it."""


@dataclass
class FaultTransport(httpx.BaseTransport):
    """One schedule's wire."""

    schedule: Schedule
    venue: Venue
    time: TrueTime
    trace: Trace
    moment: Moment
    check_crash: Callable[[str, str], None] = lambda place, moment: None
    before_request: Callable[[], None] = lambda: None
    on_request: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.spells = Spells()
        self._counts: Counter[tuple[int, str]] = Counter()
        self.venue.after_event = self.spells.after_event

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.before_request()
        call = self._note(request)
        place = "order_call" if call.method in ("private/buy", "private/sell", "private/edit") else "call"
        self.moment.call_number = call.number
        try:
            self.on_request()
            self.check_crash(place, "before")
            self.time.sleep(LATENCY_SECONDS)
            response = self._answer(call, request)
            self.check_crash(place, "after")
        except Exception as error:
            call.raised = type(error).__name__
            raise
        finally:
            self.moment.call_number, self.moment.rows = -1, frozenset()
        return response

    def _note(self, request: httpx.Request) -> WireCall:
        body: dict[str, Any] = from_json(request.read())
        call = WireCall(
            number=len(self.trace.calls),
            life=self.moment.life,
            iteration=self.moment.iteration,
            sent_at=self.time.now(),
            url=str(request.url),
            method=body.get("method", ""),
            params=body.get("params", {}),
            request_id=body.get("id"),
            headers={name.decode().lower(): value.decode() for name, value in request.headers.raw},
            ends_the_run=self.moment.ends_the_run,
            look=self.moment.look,
        )
        self.trace.calls.append(call)
        return call

    # --- which fault ------------------------------------------------------------------

    def _answer(self, call: WireCall, request: httpx.Request) -> httpx.Response:
        now = self.time.now()
        key = self._key(call.method)
        if not self.moment.is_healthy:
            for row in self.spells.rows(now):
                if call.method in LOCKED_OUT_IN_SPELLS.get(row, (call.method,)):
                    return self._inject(row, call, request, key)
            drawn = self.drawn_row(call.method, key)
            if drawn is not None:
                return self._inject(drawn, call, request, key)
        return self._undisturbed(call, request)

    def _key(self, method: str) -> str:
        number = self._counts[(self.moment.round, method)]
        self._counts[(self.moment.round, method)] += 1
        return f"{self.moment.round}:{method}:{number}"

    def drawn_row(self, method: str, key: str) -> str | None:
        """The fault that belongs to a key; None for most."""
        if self.schedule.intensity_pct == 0 or key in self.schedule.dropped:
            return None
        chance, which, _ = self.schedule.chances(key)
        rate = self.schedule.intensity_pct / 100.0
        if self.moment.look > 0:
            rate *= RATE_OF_LOOKS
        elif method in RAREST:
            rate = min(MOST_RAREST, RAREST_FACTOR * rate)
        elif method in RARE:
            rate = min(MOST_RARE, RARE_FACTOR * rate)
        if chance >= rate:
            return None
        rows, sums = rows_at(method)
        return rows[min(bisect_right(sums, which), len(rows) - 1)] if rows else None

    def _inject(self, row: str, call: WireCall, request: httpx.Request, key: str) -> httpx.Response:
        _, _, seed = self.schedule.chances(key)
        fault = Fault(row, call, request, random.Random(seed), self.time, self.venue)
        call.rows = (*call.rows, row)
        self.moment.rows = frozenset(call.rows)
        if row in SPELLS and row not in self.spells.rows(self.time.now()):
            self.spells.begin(fault)
        try:
            response = CALL_ROWS[row](fault)
        finally:
            if fault.missed:
                call.rows = tuple(known for known in call.rows if known != row)
            else:
                self.note_fired(row, call.method)
                self.trace.injected.append(key)
        assert response is not None  # those that give nothing have raised
        return response

    def note_fired(self, row: str, site: str) -> None:
        self.trace.fired[(row, site)] = self.trace.fired.get((row, site), 0) + 1

    # --- the exchange's own answer --------------------------------------------------------

    def _undisturbed(self, call: WireCall, request: httpx.Request) -> httpx.Response:
        status, body = self.venue.handle(call, request)
        if call.method == "private/get_positions":
            body = self._shown_positions(call, body)
        if call.method == "private/get_order_state_by_label" and call.params.get("label") in self.venue.accepted_at:
            self._count_forgotten(call)
        call.heard, call.heard_status = body, status
        return httpx.Response(status, stream=httpx.ByteStream(body))

    def _count_forgotten(self, call: WireCall) -> None:
        """Orders that were not filled are forgotten after half an hour (X30)."""
        is_known = "X40" not in call.rows  # a copy of the books that is behind has forgotten nothing
        if is_known and call.answered is not None and call.answered.get("result") == []:
            self.note_fired("X30", call.method)
            call.rows = (*call.rows, "X30")

    def _shown_positions(self, call: WireCall, body: bytes) -> bytes:
        """Positions as they were before the last fills, and futures that settled calls have become for a while."""
        now = self.time.now()
        since, futures = self.spells.lagging_since(now), self.spells.futures(now)
        if self.moment.is_healthy or (since is None and not futures):
            return body
        reply = json.loads(body)
        if "result" not in reply:
            return body
        if since is not None:
            earlier = self.venue.sizes_at(since) or {}
            reply["result"] = [_with_size(row, earlier.get(row["instrument_name"], 0.0)) for row in reply["result"]]
            self._mark(call, "X20")
        if futures:
            reply["result"] += futures
            self._mark(call, "X13")
        return json.dumps(reply).encode()

    def _mark(self, call: WireCall, row: str) -> None:
        self.note_fired(row, call.method)
        call.rows = (*call.rows, row)


def _with_size(row: dict[str, Any], size: float) -> dict[str, Any]:
    if row["size"] == size:
        return row
    scale = 0.0 if row["size"] == 0.0 else size / row["size"]
    direction = "zero" if size == 0.0 else "buy" if size > 0.0 else "sell"
    average = row["average_price"] or row["mark_price"]
    return row | {"size": size, "direction": direction, "delta": row["delta"] * scale, "average_price": average}
