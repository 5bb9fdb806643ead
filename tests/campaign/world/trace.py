"""What one schedule leaves behind: the exchange's ledger, the wire, the agent's files, and how each life ended.

The world (`world.py`) writes it, the checks (`invariants.py`) read it, neither imports the other. Amounts in coin,
prices in coin per contract, times aware UTC and the exchange's own. Pure data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from paper_exchange.account.ledger import LedgerEvent

OWN_LABEL = re.compile(r"cc-\d{12}-[0-9a-f]{6}-(buy|sell)", re.ASCII)


def is_own_label(label: str) -> bool:
    """Whether an order is the agent's: a person's may begin in the same way."""
    return OWN_LABEL.fullmatch(label) is not None


@dataclass(frozen=True, slots=True)
class LedgerPoint:
    """One event of the exchange's ledger and the account right after it. Mappings are by coin unless said."""

    event: LedgerEvent
    life: int  # how often the agent had been restarted by then
    iteration: int  # the agent's iteration in that life; 0 before the first
    call_number: int  # the request under way, -1 where time alone caused the event
    rows: frozenset[str]  # catalogue rows at work just then: those of the request, and outside acts (X21, X23, T30 ...)
    coins_held: Mapping[str, float]  # what stands behind calls: the balance less the marks of puts sold
    short_calls: Mapping[str, float]
    resting_sells: Mapping[str, float]  # unfilled amounts of all sell orders of calls, foreign ones too
    own_live_labels: Mapping[str, tuple[str, ...]]  # labels of the live orders that begin with cc-
    positions: Mapping[str, float]  # by symbol, signed
    intent_on_disk: bool | None = None  # "accepted" of ours only: a whole intent line of this label was in the file


@dataclass(slots=True)
class WireCall:
    """One HTTP request of the agent, as it passed the seam between httpx and the exchange."""

    number: int
    life: int
    iteration: int
    sent_at: datetime
    url: str
    method: str
    params: dict[str, Any]
    request_id: Any
    headers: dict[str, str]
    ends_the_run: bool = False  # asked after the last iteration of its life
    look: int = 0  # asked while orders rest after the iteration: the number of the look at them
    rows: tuple[str, ...] = ()  # catalogue rows injected into this call, e.g. ("T06",)
    arrived_at: list[datetime] = field(default_factory=list)  # when the exchange handled it: never, once, twice
    answered: dict[str, Any] | None = None  # what the exchange answered (first arrival); not kept for market data
    heard: bytes | None = None  # the body the agent was given; None where an exception was raised
    heard_status: int | None = None
    raised: str | None = None  # name of the exception the agent was given


@dataclass(slots=True)
class Life:
    """One process of the agent, from its start to its end."""

    number: int
    started_at: datetime
    ended_at: datetime | None = None
    run_id: str = ""
    end: str = ""  # "crash", "exit", "stop" (asked to), "end" (of the schedule)
    exit_code: int | None = None
    error: str | None = None  # of an exit: what stderr would say; of anything unforeseen: the traceback
    last_rows: tuple[str, ...] = ()  # the fault rows active when it ended
    output: str = ""  # stdout and stderr
    resumed: bool = False  # a person started it with --resume
    is_power_cut: bool = False  # what it had not forced to disk may be lost


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings of the agent that the checks need to know. The defaults are the agent's own."""

    max_order_size_coin: Mapping[str, float] = field(default_factory=lambda: {"BTC": 1.0, "ETH": 10.0})
    price_collar_pct: float = 25.0
    max_quote_age_seconds: float = 120.0
    min_minutes_to_expiry: float = 15.0
    max_orders_per_day: int = 20
    max_unfilled_orders_per_day: int = 1000
    max_model_calls_per_day: int = 300


@dataclass(slots=True)
class HeardByModel:
    """What a language model's endpoint could say of a schedule, in the exchange's time."""

    asked_at: list[datetime] = field(default_factory=list)
    left_alone: list[tuple[datetime, datetime]] = field(default_factory=list)  # since and until when it wanted to be


@dataclass(slots=True)
class Trace:
    """Everything about one schedule. `lines` are parsed, `raw_files` are the bytes as they were at the end."""

    seed: tuple[int, int]
    folder: Path
    schedule: Any
    calls: list[WireCall] = field(default_factory=list)
    points: list[LedgerPoint] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    order_lines: list[dict[str, Any]] = field(default_factory=list)
    raw_files: dict[str, bytes] = field(default_factory=dict)
    unparsable_lines: list[str] = field(default_factory=list)
    files_gone: list[bytes] = field(default_factory=list)  # what stood in log files that somebody took away
    rewritten_files: list[str] = field(default_factory=list)  # whole lines that changed after they were written (I17)
    iterations_run: int = 0
    healthy_since: tuple[int, int] | None = None  # (life, iteration) of the first iteration of the healthy tail
    iterations_to_converge: int | None = None
    sleeps_seconds: list[float] = field(default_factory=list)
    kill_file_since: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    fired: dict[tuple[str, str], int] = field(default_factory=dict)  # (row, call site) -> how often
    reached: set[str] = field(default_factory=set)  # rare states: "roll started", "settled ITM", "torn tail healed" ...
    injected: list[str] = field(default_factory=list)  # keys of the faults that met requests (see faults.py)
    violations: list[str] = field(default_factory=list)  # "I1: ..." found while it ran
    limits: Limits = field(default_factory=Limits)
    model: HeardByModel = field(default_factory=HeardByModel)
    shadows: tuple[str, ...] = ()  # the names of those that only watch
    outside_acts: list[tuple[datetime, str]] = field(default_factory=list)  # (when, row): X21, X22, X23, X33
    disk_faults: list[tuple[int, int, str]] = field(default_factory=list)  # (life, iteration, row)
    secrets: tuple[str, ...] = ()  # canaries beyond what the wire itself carries
    dry_run: bool = False  # a paper account on real quotes: nothing private may go over the wire
