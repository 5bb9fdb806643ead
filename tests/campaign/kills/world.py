"""The exchange that the killed agents trade on: it knows when to kill, and watches its own ledger while it trades.

In: requests over a loopback socket, a Trap for each life. Out: violations of what must hold at every ledger event,
counts, and what was under way when a life ended. Runs in the parent, in the threads of PaperServer; the exchange's
clock runs `speed` times as fast as the wall. Amounts in coin.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from paper_exchange.account.account import PaperAccount
from paper_exchange.account.ledger import LedgerEvent
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.expiries import MarketSize
from paper_exchange.server import PaperServer
from paper_exchange.simulated.market import SimulatedMarket
from tests.builders.clocks import SharedClock, shared_seconds
from tests.builders.configs import KEY

START = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
SIZE = MarketSize(expiries_max=3, strikes_per_side=2, expiry_hours=3)
BALANCES_COIN = {"BTC": 1.05, "ETH": 10.5}
STEP_COIN = {"BTC": 0.1, "ETH": 1.0}
ORDER_METHODS = frozenset({"private/buy", "private/sell"})
TAIL_BYTES = 65_536
Request = tuple[str, str, str | bytes, bytes, Mapping[str, str]]  # what `handle` takes
Moment = Literal["before", "after", "answered", "late"]


@dataclass(frozen=True)
class Trap:
    """Kill when the exchange meets this method for the nth time in a life.

    before: read, not handled yet. after: handled, not answered yet. answered: some time after the answer left.
    late: read, the sender killed, and handled `delay_seconds` (of the wall) afterwards.
    """

    methods: frozenset[str]
    moment: Moment
    occurrence: int = 1
    delay_seconds: float = 0.0


@dataclass
class Watched:
    """One life as the exchange sees it."""

    trap: Trap | None
    kill: Callable[[], None]
    requests: int = 0
    met: int = 0
    in_flight: str = ""  # the method that was being handled when the kill came
    is_killed: bool = False
    last_request_at_ns: int = 0
    orders_seen: set[str] = field(default_factory=set)
    orders_answered: set[str] = field(default_factory=set)


class WatchedExchange(PaperExchange):
    """A paper exchange that springs the trap of the current life. One request at a time, whoever asks."""

    def __init__(self, seed: int, speed: float, log_folder: Path) -> None:
        self.leapt_seconds = shared_seconds()
        clock = SharedClock(START, speed, self.leapt_seconds)
        market = SimulatedMarket(seed, clock, size=SIZE)
        super().__init__(market, PaperAccount(market, BALANCES_COIN), KEY)
        self.ledger = LedgerWatch(self.account, log_folder)
        self.life: Watched | None = None
        self.latecomers: list[threading.Timer] = []
        self._one_at_a_time = threading.RLock()

    def handle(
        self, http_method: str, path: str, query: str | bytes, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        request = (http_method, path, query, body, headers)
        method, life = path.removeprefix("/api/v2/"), self.life
        label = _label_of(method, body)
        moment, delay_seconds = self._arrived(life, method, label)
        if moment == "late":
            self._handle_later(delay_seconds, request)
            return 503, b"nobody hears this: the sender is dead"
        with self._one_at_a_time:
            status, reply = super().handle(*request)
        self._handled(life, method, label, moment, delay_seconds)
        return status, reply

    def _arrived(self, life: Watched | None, method: str, label: str) -> tuple[Moment | None, float]:
        """Count the request; kill now where the trap says so. Which moment of the trap this request is."""
        if life is None:
            return None, 0.0
        life.requests += 1
        life.last_request_at_ns = time.time_ns()
        life.orders_seen.add(label)
        if life.trap is None or life.is_killed or method not in life.trap.methods:
            return None, 0.0
        life.met += 1
        if life.met != life.trap.occurrence:
            return None, 0.0
        if life.trap.moment in ("before", "late"):
            _kill(life, method)
        return life.trap.moment, life.trap.delay_seconds

    def _handled(
        self, life: Watched | None, method: str, label: str, moment: Moment | None, delay_seconds: float
    ) -> None:
        if life is None:
            return
        if moment == "after":
            _kill(life, method)
        elif moment == "answered":
            threading.Timer(delay_seconds, _kill, (life, "")).start()
        if moment not in ("before", "after"):
            life.orders_answered.add(label)
        life.last_request_at_ns = time.time_ns()

    def _handle_later(
        self, delay_seconds: float, request: tuple[str, str, str | bytes, bytes, Mapping[str, str]]
    ) -> None:
        def arrive() -> None:
            with self._one_at_a_time:
                PaperExchange.handle(self, *request)

        timer = threading.Timer(delay_seconds, arrive)
        self.latecomers.append(timer)
        timer.start()


def _kill(life: Watched, method: str) -> None:
    if not life.is_killed:
        life.is_killed = True
        life.in_flight = method
        life.kill()


def _label_of(method: str, body: bytes) -> str:
    """The label of an order request, "" of anything else, and of one whose sender died in the middle of it."""
    if method not in ORDER_METHODS:
        return ""
    try:
        return str(json.loads(body)["params"].get("label", ""))
    except ValueError:
        return ""


class DeadClientsServer(PaperServer):
    """A PaperServer to whom clients that vanish in mid-sentence are nothing special; anything else is kept."""

    def __init__(self, exchange: PaperExchange) -> None:
        super().__init__(exchange)
        self.errors: list[str] = []
        self._server.handle_error = self._note  # type: ignore[method-assign]  # socketserver would print a traceback

    def _note(self, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            self.errors.append(f"{type(error).__name__}: {error}")


# --- the ledger ------------------------------------------------------------------------------------------


class LedgerWatch:
    """Looks at the account and at the agent's order log at every ledger event."""

    def __init__(self, account: PaperAccount, log_folder: Path) -> None:
        self._account, self._log_folder = account, log_folder
        self.violations: list[str] = []
        self.kinds: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()  # own labels, how often each was accepted
        self.directions: dict[str, str] = {}
        self.unlogged: list[str] = []
        account.observers.append(self.observe)

    def observe(self, event: LedgerEvent) -> None:
        self.kinds[event.kind] += 1
        if event.kind == "accepted":
            self._accepted(event)
        if event.kind != "settlement":  # a payout takes coins away: that is nobody's order
            self._check_coverage(event)
        live = [order.label for order in self._account.open_orders() if order.currency == event.currency]
        own = [label for label in live if label.startswith("cc-")]
        if len(own) > 1:
            self.violations.append(f"I6: {event.at:%H:%M:%S} two live orders of one coin: {own}")

    def _accepted(self, event: LedgerEvent) -> None:
        self.accepted[event.label] += 1
        self.directions[event.label] = event.direction
        if self.accepted[event.label] > 1:
            self.violations.append(f"I7: {event.at:%H:%M:%S} {event.label} was accepted twice")
        if not has_intent(self._log_folder, event.label):
            self.unlogged.append(event.label)
            self.violations.append(f"I8: {event.at:%H:%M:%S} {event.label} was accepted without an intent in the file")

    def _check_coverage(self, event: LedgerEvent) -> None:
        """I1: calls sold and on offer never above the coins held, in whole steps."""
        coin, state = event.currency, self._account.state
        step = STEP_COIN[coin]
        held = math.floor(state.balances_coin[coin] / step + 1e-9) * step
        exposure = exposure_of(self._account, coin)
        if exposure > held + 1e-9:
            self.violations.append(f"I1: {event.at:%H:%M:%S} {coin} {exposure:g} sold or on offer, {held:g} held")


def exposure_of(account: PaperAccount, coin: str) -> float:
    """Calls of a coin sold, plus what is on offer of them."""
    positions = account.state.positions.values()
    short = sum(-held.size for held in positions if held.size < 0.0 and _is_call_of(held.instrument_name, coin))
    orders = [order for order in account.open_orders() if order.direction == "sell"]
    return short + sum(order.remaining for order in orders if _is_call_of(order.instrument_name, coin))


def _is_call_of(name: str, coin: str) -> bool:
    return name.startswith(f"{coin}-") and name.endswith("-C")


def has_intent(log_folder: Path, label: str) -> bool:
    """Whether a whole intent line of this label stands in an order log right now."""
    return any(line.get("event") == "intent" for line in _lines_with(log_folder, label))


def _lines_with(log_folder: Path, label: str) -> Iterator[dict[str, Any]]:
    """The whole lines about a label; one that does not parse is no line here, and reported where files are read."""
    for path in sorted(log_folder.glob("orders-*.jsonl")):
        with path.open("rb") as file:
            start = max(0, path.stat().st_size - TAIL_BYTES)
            file.seek(start)
            whole_lines = file.read().split(b"\n")[1 if start else 0 : -1]
        for line in whole_lines:
            with suppress(ValueError):
                record = json.loads(line) if label.encode() in line else {}
                if record.get("label") == label:
                    yield record
