"""The decision log of a run: counts its iterations, writes a line for each, keeps what the disk does not take.

In: the steps of an iteration, what is known at its end. Out: an IterationRecord, written. `make_record` is pure.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.breaker import Breaker
from core.exposure import portfolio_value_usd
from core.iteration import Steps
from core.text import writable
from logging_utils import MAX_ERROR_LETTERS, IterationRecord, RunInfo
from models import (
    ActionType,
    AgentState,
    ApiCall,
    DecisionLog,
    ExchangeClient,
    ExecutionResult,
    LogWriteError,
    ProposedAction,
    RiskResult,
    TradingState,
)

MAX_UNWRITTEN_RECORDS = 1000


@dataclass(frozen=True)
class WireFigures:
    """What went over the wire in an iteration, and how long it took by the client's clock."""

    duration_ms: float
    request_count: int
    calls: tuple[ApiCall, ...]


@dataclass(frozen=True)
class IterationEnd:
    """What is known of an iteration at its end, beside its steps. `wire` is None in process."""

    iteration: int
    now: datetime
    wire: WireFigures | None = None
    breaker: Breaker | None = None
    ledger_read_until: datetime | None = None


class Recorder:
    """Writes the lines of one run, where there is a log. `unwritten`: those that wait for the disk, oldest first."""

    def __init__(self, log: DecisionLog | None, run: RunInfo) -> None:
        self.run = run
        self.iteration = 0
        self.unwritten: deque[IterationRecord] = deque(maxlen=MAX_UNWRITTEN_RECORDS)
        self._log = log
        self._started_seconds = 0.0

    def begin(self, client: ExchangeClient) -> None:
        """An iteration begins: count it, and its requests and seconds from here on."""
        self.iteration += 1
        client.begin_iteration()
        self._started_seconds = client.clock.monotonic()

    def end(
        self, client: ExchangeClient, steps: Steps, breaker: Breaker, ledger_read_until: datetime | None
    ) -> IterationRecord:
        """The iteration is over: its record, which waits for write()."""
        duration_ms = round((client.clock.monotonic() - self._started_seconds) * 1000.0, 1)
        request_count = client.requests_made
        calls = client.end_iteration()
        wire = None if calls is None else WireFigures(duration_ms, request_count, calls)
        end = IterationEnd(self.iteration, client.server_now(), wire, breaker, ledger_read_until)
        record = make_record(self.run, steps, end)
        if self._log is not None:
            self.unwritten.append(record)
        return record

    def write(self) -> str | None:
        """Write the lines that wait; why some still do, None where all are written."""
        try:
            while self.unwritten and self._log is not None:
                self._log.write_line(self.unwritten[0].model_dump_json())
                self.unwritten.popleft()
        except LogWriteError as error:
            return f"{error}; {len(self.unwritten)} lines are kept in memory and will be written later"
        return None


def make_record(run: RunInfo, steps: Steps, end: IterationEnd) -> IterationRecord:
    """The line of one iteration, also of one that failed."""
    state, action = steps.state, steps.action or _no_action(steps)
    check = steps.check or RiskResult(allowed=False, reasons=())
    execution = steps.execution or ExecutionResult(status="none")
    common = dict(vars(run))
    return IterationRecord(
        sequence=common.pop("lines_before") + end.iteration,
        **common,
        iteration=end.iteration,
        timestamp=end.now if state is None else state.timestamp,
        action_type=action.type,
        underlying=action.underlying,
        symbol=action.symbol,
        size=action.size,
        allowed=check.allowed,
        executed_status=execution.status,
        error=None if steps.error is None else writable(steps.error)[-MAX_ERROR_LETTERS:],
        trading_state=_trading_state(state, end.breaker),
        **_flat_figures(state),
        portfolio_value_usd_after=_value_after(steps),
        duration_ms=None if end.wire is None else end.wire.duration_ms,
        request_count=None if end.wire is None else end.wire.request_count,
        agent_state=state,
        proposed_action=action,
        risk_engine_result=check,
        executed_action=execution,
        shadows=steps.shadows,
        ended_orders=steps.ended,
        breaker=end.breaker,
        ledger=steps.ledger.entries,
        ledger_read_until=end.ledger_read_until,
        api_responses=None if end.wire is None else end.wire.calls,
    )


def _no_action(steps: Steps) -> ProposedAction:
    why = (steps.error or "no decision was reached").strip().splitlines()[-1]
    return ProposedAction(type=ActionType.DO_NOTHING, reason=f"iteration failed: {why}"[:1000])


def _trading_state(state: AgentState | None, breaker: Breaker | None) -> str:
    """The one this iteration ended in, which is the one that the next begins with."""
    if breaker is not None and breaker.state != TradingState.ACTIVE:
        return breaker.state
    why = () if state is None else state.restrictions
    return TradingState.REDUCING if any(reason.rule != "breaker" for reason in why) else TradingState.ACTIVE


def _flat_figures(state: AgentState | None) -> dict[str, Any]:
    if state is None:
        return {}
    spots = {f"spot_{market.underlying.lower()}": market.spot_usd for market in state.markets}
    equities = {f"equity_{account.currency.lower()}": account.equity_coin for account in state.portfolio.accounts}
    return spots | equities | {"portfolio_value_usd_before": state.portfolio.value_usd}


def _value_after(steps: Steps) -> float | None:
    """Portfolio value at the end, at the spots of the decision: the value before where nothing can have traded.

    None where it is not known: an order may have traded, or the account could not be read after a trade.
    """
    if steps.state is None:
        return None
    equities = steps.ledger.equity_after_coin
    if equities:
        return portfolio_value_usd(equities, {market.underlying: market.spot_usd for market in steps.state.markets})
    legs = () if steps.execution is None else steps.execution.legs
    may_have_traded = any(leg.filled_coin > 0.0 or leg.status == "unknown" for leg in legs)
    is_cut_short = steps.failure is not None and steps.action is not None
    return None if may_have_traded or is_cut_short else steps.state.portfolio.value_usd
