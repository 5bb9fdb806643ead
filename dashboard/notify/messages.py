"""What a line of the log is worth a message for. Pure.

In: an IterationRecord and the trading state before it. Out: Messages: trades, settlements, blocked actions, errors,
orders of unknown outcome, a change of the trading state. Amounts in coin, prices in coin or USD as they say. Equal
messages have one key: errors and blocks whose figures alone differ are equal, each trade is its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from core.results.settlements import expired_position, with_settlements_summed
from core.text import quotable
from logging_utils import IterationRecord
from models import LedgerEntry, TradingState

Kind = Literal[
    "trade", "settlement", "blocked", "error", "unknown outcome", "trading state", "silence", "summary", "test"
]
URGENT: tuple[Kind, ...] = ("unknown outcome", "trading state", "silence")
FIGURES = re.compile(r"\b[A-Z]+-\d+[A-Z]{3}\d+-\d+-[CP]\b|[0-9a-f]{6,}|[-+]?\d[\d,.:]*")
MOST_LETTERS = 300


@dataclass(frozen=True)
class Message:
    """`key`: equal for equal messages. `at`: the log's time, UTC. `count`: how often it has been so far."""

    kind: Kind
    key: str
    title: str
    text: str
    at: datetime
    account: str
    count: int = 1

    @property
    def is_urgent(self) -> bool:
        return self.kind in URGENT

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "at": self.at.isoformat()}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Message:
        """Raises ValueError, KeyError or TypeError where it is none."""
        return cls(**{**row, "at": datetime.fromisoformat(row["at"])})


def messages_of(record: IterationRecord, state_before: str | None) -> Iterator[Message]:
    """What a line says that somebody may want to hear, most urgent first."""
    if state_before is not None and record.trading_state != state_before:
        yield _of(record, "trading state", f"{record.trading_state}", _state_text(record, state_before))
    elif record.trading_state != TradingState.ACTIVE:
        text, key = _state_text(record, None), f"still {record.trading_state}"
        yield _of(record, "trading state", f"{record.trading_state}", text, key)
    if record.executed_status == "unknown":
        symbol = record.symbol or "an order"
        text = f"what became of {symbol} is not known; the agent looks it up before it trades the coin again"
        yield _of(record, "unknown outcome", "order of unknown outcome", text)
    for entry in with_settlements_summed(record.ledger):
        yield from _entry_messages(record, entry)
    if not record.allowed and record.risk_engine_result.reasons:
        reasons = "; ".join(map(str, record.risk_engine_result.reasons))
        yield _of(record, "blocked", f"blocked: {record.action_type}", f"{record.symbol or ''} {reasons}".strip())
    if record.error is not None and record.error.strip():
        yield _of(record, "error", "error", record.error.strip().splitlines()[-1])


def _of(record: IterationRecord, kind: Kind, title: str, text: str, key: str | None = None) -> Message:
    text = quotable(text, MOST_LETTERS)
    key = FIGURES.sub("#", f"{title}: {text}") if key is None else key
    return Message(kind, f"{kind} {key}", f"{record.mode}: {title}", text, record.timestamp, record.account)


def _state_text(record: IterationRecord, before: str | None) -> str:
    state = record.agent_state
    why = [] if state is None else [str(reason) for reason in state.restrictions]
    if record.breaker is not None and record.breaker.why:
        why.append(record.breaker.why)
    since = "still " if before is None else f"{before} before, now "
    return f"{since}{record.trading_state}" + (f": {'; '.join(dict.fromkeys(why))}" if why else "")


def _entry_messages(record: IterationRecord, entry: LedgerEntry) -> Iterator[Message]:
    key = f"{entry.symbol} {entry.booked_at.isoformat()} {entry.side} {entry.change_coin!r}"
    if expired_position(entry) is not None:
        price = "" if entry.index_price_usd is None else f" at {entry.index_price_usd:,.2f} USD"
        text = f"{entry.symbol} settled{price}: {entry.change_coin + 0.0:+.8f} {entry.currency}"
        yield _of(record, "settlement", "settlement", text, key)
    elif entry.entry_type == "trade":
        word = "sold" if "sell" in (entry.side or "") else "bought back"
        amount = "" if entry.amount_coin is None else f"{entry.amount_coin:g} of "
        price = "" if entry.price_coin is None else f" at {entry.price_coin:g}"
        text = f"{word} {amount}{entry.symbol}{price}, fee {entry.fee_coin:.8f} {entry.currency}"
        yield _of(record, "trade", word, text, key)
