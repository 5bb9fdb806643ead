"""Faults that last: a minute of 10028, maintenance, a settlement, slow replies, lagging positions, a smaller scope.

In: a Fault that begins one, or one that happens while it lasts. Out: the replies the agent gets meanwhile. A spell ends
by true time. Lagging positions and futures after a settlement begin by themselves (`Spells.after_event`) once they are
standing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from paper_exchange.account.ledger import LedgerEvent
from tests.campaign.faults.transport_rows import Fault, Injection, slow_but_valid

DURATIONS_SECONDS = {"T28": (60.0, 400.0), "X06": (60.0,), "X10": (300.0, 1_800.0, 7_200.0), "X11": (20.0,)}
SCOPE_SECONDS = (900.0, 3_600.0)
MOST_LAG_SECONDS = 30.0
FUTURE_SECONDS = 600.0


def storm(fault: Fault) -> httpx.Response:
    return fault.error(10028, "too_many_requests")


def settlement(fault: Fault) -> httpx.Response:
    return fault.error(10041, "settlement_in_progress")


def maintenance(fault: Fault) -> httpx.Response:
    """Opens are refused, cancels are not; the status says locked."""
    status, body = (
        (200, b"") if fault.call.method in ("private/buy", "private/sell", "private/edit") else fault.deliver()
    )
    if not body:
        return fault.error(11051, "system_maintenance")
    if fault.call.method == "public/status":
        locked = fault.dice.choice(("true", "partial"))
        return fault.reply(200, json.dumps(json.loads(body) | {"result": {"locked": locked}}).encode())
    if fault.call.method != "private/cancel" and fault.dice.random() < 0.3:
        return fault.error(11051, "system_maintenance")
    return fault.reply(status, body)


def smaller_scope(fault: Fault) -> httpx.Response:
    """A key that may only read: the exchange grants less than was asked for."""
    request = json.loads(fault.request.read())
    request["params"]["scope"] = "session:covered-call trade:read account:read wallet:none"
    return fault.reply(*fault.deliver(json.dumps(request).encode()))


SPELLS: dict[str, Injection] = {
    "T28": slow_but_valid,
    "X06": storm,
    "X10": maintenance,
    "X11": settlement,
    "X34": smaller_scope,
}


@dataclass
class Spells:
    """What lasts just now. `standing` rows begin by themselves when the account gives occasion."""

    until: dict[str, datetime] = field(default_factory=dict)
    standing: set[str] = field(default_factory=set)
    lag_seconds: float = 0.0
    _lags: list[tuple[datetime, datetime]] = field(default_factory=list)  # positions as of the first, until the second
    _futures: list[tuple[datetime, str, float]] = field(default_factory=list)

    def begin(self, fault: Fault) -> None:
        """A drawn fault that is one of those that last."""
        choices = SCOPE_SECONDS if fault.row == "X34" else DURATIONS_SECONDS.get(fault.row)
        if choices is not None:
            self.until[fault.row] = fault.time.now() + timedelta(seconds=fault.dice.choice(choices))

    def rows(self, now: datetime) -> list[str]:
        """The spells that last at a time."""
        return [row for row, until in self.until.items() if now < until]

    def end_all(self) -> None:
        self.until.clear()
        self.standing.clear()
        self._lags.clear()
        self._futures.clear()

    def after_event(self, event: LedgerEvent, now: datetime, size: float) -> None:
        """A fill may begin a lag of the positions, a settlement in the money a short future."""
        if event.kind == "fill" and "X20" in self.standing:
            lag = 1.0 + (now.microsecond // 1000 + now.second * 7) % int(MOST_LAG_SECONDS)
            before = now - timedelta(milliseconds=1)
            self._lags.append((before, now + timedelta(seconds=lag)))
        if event.kind == "settlement" and event.price_coin and "X13" in self.standing:
            self._futures.append((now + timedelta(seconds=FUTURE_SECONDS), event.instrument_name, size))

    def lagging_since(self, now: datetime) -> datetime | None:
        """The time that the positions are shown of, None where they do not lag."""
        return min((before for before, until in self._lags if now < until), default=None)

    def futures(self, now: datetime) -> list[dict[str, Any]]:
        """Rows of short futures that settled calls have become for a while."""
        return [_future_row(name, size) for until, name, size in self._futures if now < until]


def _future_row(option: str, size: float) -> dict[str, Any]:
    coin, date, _ = option.split("-", 2)
    zeros = dict.fromkeys(("initial_margin", "maintenance_margin", "floating_profit_loss", "total_profit_loss"), 0.0)
    return {
        "instrument_name": f"{coin}-{date}",
        "kind": "future",
        "direction": "sell",
        "size": -abs(size) * 1_000.0,
        "average_price": 100_000.0,
        "mark_price": 100_000.0,
        "index_price": 100_000.0,
        "delta": -abs(size),
        **zeros,
    }
