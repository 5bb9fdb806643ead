"""The exchange's own ledger, read where it has something to say: after trades, orders that ended, and settlements.

In: the client, the state an iteration decided on, what was executed. Out: LedgerReading, entries in coin. Knows from
where to read on, also after a restart, so that no entry is missed and few are read twice. Talks to Deribit through
the client's protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from core.iteration import LedgerReading
from core.trading_hours import last_delivery
from logging_utils import IterationRecord
from models import AgentState, DeribitError, ExchangeClient, ExecutionResult, LedgerEntry, RequestBudgetError
from orders.order_log import OrderMemory

FIRST_LOOK_BACK = timedelta(minutes=1)  # how far before the first decision an account of this run alone is read


class LedgerReader:
    """Reads the ledger of some coins. `read_until` stands in every line of the log: a restart reads on from there."""

    def __init__(self, client: ExchangeClient, coins: Sequence[str], read_until: datetime | None = None) -> None:
        self.read_until = read_until
        self._client, self._coins = client, coins
        self._is_due = read_until is not None  # an earlier run may have left entries behind

    def expect_entries(self) -> None:
        """An order has ended that may have traded: read on in any case."""
        self._is_due = True

    def read_on(self, state: AgentState, execution: ExecutionResult | None) -> LedgerReading:
        """What was booked since the last time, if anything can have been; equities too where this iteration traded."""
        now = self._client.server_now()
        traded = execution is not None and any(leg.filled_coin > 0.0 for leg in execution.legs)
        self.read_until = since = self.read_until or state.timestamp - FIRST_LOOK_BACK
        self._is_due = self._is_due or traded or last_delivery(now) >= since
        entries: tuple[LedgerEntry, ...] = ()
        try:
            if self._is_due:
                entries = self._entries(since, now)
                if not _is_settling(state):
                    self.read_until = now + timedelta(milliseconds=1)
                    self._is_due = execution is not None and execution.status == "unknown"
            return LedgerReading(entries, self._equities() if traded else {})
        except RequestBudgetError:
            self._is_due = True  # enough was asked in this iteration; the next one reads on
            return LedgerReading(entries)
        except DeribitError as error:
            return LedgerReading(entries, error=f"{type(error).__name__} after the trade: {error}")

    def _entries(self, since: datetime, now: datetime) -> tuple[LedgerEntry, ...]:
        pages = [self._client.get_transaction_log(coin, since, now) for coin in self._coins]
        return tuple(entry for page in pages for entry in page)

    def _equities(self) -> dict[str, float]:
        return {account.currency: account.equity_coin for account in self._client.get_account_summaries()}


def read_until_of(before: IterationRecord | None, order_log: OrderMemory) -> datetime | None:
    """Until when earlier runs have read. The time of a failed iteration may be our own clock's and does not count."""
    if before is None:
        return order_log.oldest_at()
    read_at = before.timestamp if before.agent_state is not None else None
    return before.ledger_read_until or read_at or order_log.oldest_at()


def _is_settling(state: AgentState) -> bool:
    """Whether an expired option still waits for its delivery, which is then booked with the time of its expiry."""
    coins = {account.currency for account in state.portfolio.accounts}
    unknown = (held for held in state.portfolio.other_positions if held.kind == "option")
    if any(held.parts.underlying in coins for held in unknown):
        return True
    return any(held.expiry <= state.timestamp for held in state.portfolio.positions)
