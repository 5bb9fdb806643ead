"""One account of a log, as the questions look at it: lines by time, whole records, results between two moments.

In: a LogIndex and an account's name. Out: Lines, records as models, CoinEarnings, SoldCalls. Times UTC, amounts in
coin. Reads the log through the index, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from core.results.call_book import sold_calls
from core.results.earnings import CoinEarnings, earnings
from core.results.sold_calls import CallChain, SoldCall, chains_of
from dashboard.log_index.index import LogIndex
from dashboard.log_index.line import Line
from dashboard.log_index.span_questions import HAS_STATE, SpanCounts
from logging_utils import IterationRecord
from models import AgentState

BEGINNING = datetime(2009, 1, 1, tzinfo=UTC)
END = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Span:
    """From a moment up to, and without, another."""

    start: datetime = BEGINNING
    end: datetime = END

    def holds(self, at: datetime) -> bool:
        return self.start <= at < self.end


@dataclass(frozen=True)
class LogView:
    """The lines of one account."""

    index: LogIndex
    account: str

    def lines(self, span: Span = Span()) -> list[Line]:
        return self.index.lines_between(self.account, span.start, span.end)

    def newest(self, span: Span = Span(), condition: str = HAS_STATE) -> Line | None:
        """The newest line in a span that meets one of the index's conditions."""
        return self.index.end_line(self.account, span.start, span.end, is_last=True, condition=condition)

    def first(self, span: Span = Span()) -> Line | None:
        """The first line with a state in a span."""
        return self.index.end_line(self.account, span.start, span.end, is_last=False)

    def counts(self, span: Span = Span()) -> SpanCounts:
        return self.index.counts_between(self.account, span.start, span.end)

    def record(self, line: Line) -> IterationRecord | None:
        return self.index.iteration_record(line)

    def state(self, line: Line) -> AgentState | None:
        record = self.record(line)
        return None if record is None else record.agent_state

    def calls(self) -> tuple[SoldCall, ...]:
        return sold_calls(self.index.entries(self.account), self.index.steps(self.account))

    def chains(self) -> tuple[CallChain, ...]:
        return chains_of(self.calls())

    def earned(self, first: Line, last: Line) -> tuple[CoinEarnings, ...]:
        """What was earned between the states of two lines, the parts of which add up."""
        ends = self.index.steps_of([first, last])
        between = [step for step in self.index.steps(self.account) if first.at < step.at < last.at]
        return earnings(self.index.entries(self.account), [ends[0], *between, *ends[1:]])


def view_of(index: LogIndex, account: str | None = None) -> LogView | None:
    """The account of that name, or the one with the newest line; None where the log has none."""
    names = index.accounts()
    if not names or (account is not None and account not in names):
        return None
    return LogView(index, account or names[0])
