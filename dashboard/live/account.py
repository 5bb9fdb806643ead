"""Everything the live page knows of one account, read from the index once for each new line.

In: the index, an account. Out: an AccountView: the last line and state, earnings, calls sold, points for the charts.
Earnings and calls are those of `core.results`, as in `--report`. Amounts in coin, prices in USD, times UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from threading import Lock

from core.results.call_book import sold_calls
from core.results.earnings import CoinEarnings, EquityPoint, earnings, equity_points
from core.results.sold_calls import SoldCall
from core.results.steps import Step
from dashboard.log_index.index import LogIndex
from dashboard.log_index.line import Line
from logging_utils import IterationRecord
from models import AgentState, LedgerEntry

MOST_POINTS = 500
MOST_VIEWS = 8


@dataclass(frozen=True)
class AccountView:
    """What the log says of an account up to its last line. `state` is the newest one there is, of `state_line`."""

    account: str
    last: Line
    state_line: Line | None
    state: AgentState | None
    record: IterationRecord | None
    entries: tuple[LedgerEntry, ...]
    steps: tuple[Step, ...]
    samples: tuple[Line, ...]
    sampled_steps: tuple[Step, ...]
    counts: dict[str, int]
    interval_seconds: float | None

    @cached_property
    def earnings(self) -> dict[str, CoinEarnings]:
        return {coin.currency: coin for coin in earnings(self.entries, self.steps)}

    @cached_property
    def calls(self) -> tuple[SoldCall, ...]:
        return sold_calls(self.entries, self.steps)

    @cached_property
    def points(self) -> tuple[EquityPoint, ...]:
        """Equity beside holding, at the sampled lines."""
        return tuple(equity_points(self.entries, self.sampled_steps))

    @property
    def coins(self) -> list[str]:
        """Those that the last state has a market of, else those that earned."""
        markets = [] if self.state is None else [str(market.underlying) for market in self.state.markets]
        return markets or list(self.earnings)

    @property
    def is_live(self) -> bool:
        """Whether its market's time is ours: a simulated or recorded run never looks live."""
        return self.last.market in ("testnet", "loopback") and self.last.mode not in ("simulated", "recorded")


class Views:
    """The views of a log's accounts, kept until a new line comes."""

    def __init__(self, index: LogIndex) -> None:
        self._index = index
        self._kept: dict[str, AccountView] = {}
        self._lock = Lock()

    def of(self, account: str) -> AccountView | None:
        """None where the log has no line of that account."""
        with self._lock:
            last = self._index.newest(account)
            kept = self._kept.get(account)
            if last is None or (kept is not None and kept.last.id == last.id):
                return None if last is None else kept
            made = view_of(self._index, last)
            self._kept = {**dict(list(self._kept.items())[-MOST_VIEWS:]), account: made}
            return made


def view_of(index: LogIndex, last: Line) -> AccountView:
    """All that is shown of an account."""
    account = last.account
    state_line = last if last.has_state else index.newest(account, with_state=True)
    record = None if state_line is None else index.iteration_record(state_line)
    samples = index.sampled_lines(account, MOST_POINTS)
    return AccountView(
        account=account,
        last=last,
        state_line=state_line,
        state=None if record is None else record.agent_state,
        record=record,
        entries=tuple(index.entries(account)),
        steps=tuple(index.steps(account)),
        samples=tuple(samples),
        sampled_steps=tuple(index.steps_of(samples)),
        counts=index.counts(account),
        interval_seconds=index.interval_seconds(account),
    )
