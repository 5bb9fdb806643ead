"""The exchange's own ledger, read where it has something to say: after trades, orders that ended, and settlements.

In: the client, the state an iteration decided on, what was executed. Out: LedgerReading, entries in coin. Knows from
where to read on, also after a restart, so that no entry is missed and few are read twice. Talks to Deribit through
the client's protocol.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from core.iteration import LedgerReading
from core.trading_hours import last_delivery
from logging_utils import IterationRecord
from models import (
    ROUNDING,
    AgentState,
    DeribitError,
    ExchangeClient,
    ExecutionResult,
    LedgerEntry,
    LedgerTooLongError,
    RequestBudgetError,
)
from orders.order_log import OrderMemory

FIRST_LOOK_BACK = timedelta(minutes=1)  # how far before the first decision an account of this run alone is read
SLOWEST_ENTRY = timedelta(minutes=1)  # a replica may be half a minute behind: so long an entry may not be shown yet
LONGEST_END_SECONDS = 60.0  # no further part is asked for after it at the end of a run, however slow the exchange is
SHORTER, LONGER = 4, 2  # a span with too many entries is cut, and grows again while it goes well


class LedgerReader:
    """Reads the ledger of some coins. `read_until` stands in every line of the log: a restart reads on from there."""

    def __init__(self, client: ExchangeClient, coins: Sequence[str], read_until: datetime | None = None) -> None:
        self.read_until = read_until
        self.is_due = read_until is not None  # an earlier run may have left entries behind
        self._client, self._coins = client, coins
        self._span: timedelta | None = None  # the longest that is read at once; None where all fits
        self._not_booked: dict[tuple[str, str], float] = defaultdict(float)  # fills by symbol and direction, in coin
        self._traded_at: datetime | None = None
        self._is_open_ended = False  # whether entries may still come with times that were read
        self._seen: set[LedgerEntry] = set()  # of the last minute, or of a span that is read again

    def begin_at(self, decided_at: datetime) -> datetime:
        """An account without a past is read from shortly before its first decision, whatever becomes of that one."""
        self.read_until = self.read_until or decided_at - FIRST_LOOK_BACK
        return self.read_until

    def expect_entries(self) -> None:
        """An order has ended that may have traded: read on in any case."""
        self.is_due = True

    def expect_fill(self, symbol: str, direction: str, amount_coin: float) -> None:
        """Coins of an order have traded now, and the ledger will say so, if not at once."""
        if amount_coin > 0.0:
            self._not_booked[symbol, direction] += amount_coin
            self._traded_at = self._client.server_now()

    def read_new_entries(self, state: AgentState, execution: ExecutionResult | None) -> LedgerReading:
        """What was booked since the last time, if anything can have been."""
        now = self._client.server_now()
        for leg in () if execution is None else execution.legs:
            self.expect_fill(leg.symbol, leg.direction, leg.filled_coin)
        since = self.begin_at(state.timestamp)
        self.is_due = self.is_due or has_traded(execution) or last_delivery(now) >= since
        if not self.is_due:
            return LedgerReading()
        self._is_open_ended = _is_settling(state) or (execution is not None and execution.status == "unknown")
        try:
            return self._read(since, now)
        except RequestBudgetError:
            return LedgerReading()  # enough was asked in this iteration; the next one reads on

    def with_equities(
        self, reading: LedgerReading, state: AgentState, execution: ExecutionResult | None
    ) -> LedgerReading:
        """With the equities after a trade; without where they cannot be read, or still are those from before it."""
        if not has_traded(execution):
            return reading
        try:
            accounts = self._client.get_account_summaries()
        except DeribitError as error:
            return replace(reading, error=reading.error or f"{type(error).__name__} after the trade: {error}")
        before = {account.currency: account.balance_coin for account in state.portfolio.accounts}
        if all(before.get(account.currency) == account.balance_coin for account in accounts):
            return reading
        return replace(reading, equity_after_coin={account.currency: account.equity_coin for account in accounts})

    def read_rest(self) -> LedgerReading:
        """At the end of a run: what no line holds yet, as far as one iteration's requests and a minute go."""
        entries: tuple[LedgerEntry, ...] = ()
        error: str | None = None
        ends_at_seconds = self._client.clock.monotonic() + LONGEST_END_SECONDS
        while self.is_due and error is None and self.read_until is not None:
            before = self.read_until
            if self._client.clock.monotonic() > ends_at_seconds:
                break  # the next run reads on
            try:
                reading = self._read(before, self._client.server_now())
            except RequestBudgetError:
                break
            entries, error = entries + reading.entries, reading.error
            if self.read_until == before and self._span is None:
                break
        return LedgerReading(entries, error=error)

    def _read(self, since: datetime, now: datetime) -> LedgerReading:
        """The new entries from `since` on; the same span is read again where something may still be booked in it.

        Raises RequestBudgetError.
        """
        until = now if self._span is None else min(now, since + self._span)
        try:
            entries = self._entries(since, until)
        except LedgerTooLongError:
            self._span = (until - since) / SHORTER
            return LedgerReading()
        except RequestBudgetError:
            raise
        except DeribitError as error:
            return LedgerReading(error=f"{type(error).__name__} while the ledger was read: {error}")
        if until == now and self._lacks_fills(entries, now):
            return LedgerReading()
        self._span = None if self._span is None or until == now else self._span * LONGER
        new = tuple(entry for entry in entries if entry not in self._seen)
        self._seen |= set(new)
        if not self._is_open_ended or until < now:
            self.is_due = until < now
            # The last minute is read again next time: a replica may not show all of it yet.
            self.read_until = until + timedelta(milliseconds=1) if self.is_due else max(since, now - SLOWEST_ENTRY)
            self._seen = {entry for entry in self._seen if entry.booked_at >= self.read_until}
        return LedgerReading(new)

    def _entries(self, since: datetime, until: datetime) -> tuple[LedgerEntry, ...]:
        pages = [self._client.get_transaction_log(coin, since, until) for coin in self._coins]
        return tuple(entry for page in pages for entry in page)

    def _lacks_fills(self, entries: Sequence[LedgerEntry], now: datetime) -> bool:
        """Whether a fill of ours is not among the entries though it should be, and may still come."""
        left = defaultdict(float, self._not_booked)
        for entry in entries:
            if entry.entry_type == "trade":
                left[entry.symbol or "", (entry.side or "").split(" ")[-1]] -= entry.amount_coin or 0.0
        may_come = self._traded_at is not None and now - self._traded_at <= SLOWEST_ENTRY
        if may_come and any(amount > ROUNDING for amount in left.values()):
            return True
        self._not_booked.clear()
        return False


def has_traded(execution: ExecutionResult | None) -> bool:
    """Whether anything was filled."""
    return execution is not None and any(leg.filled_coin > 0.0 for leg in execution.legs)


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
