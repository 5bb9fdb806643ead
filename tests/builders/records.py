"""Lines of the decision log, made of what an iteration has come to.

In: a run, what is known at the end, and the steps as a test wants them. Out: an IterationRecord.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cli.recorder import IterationEnd, make_record
from core.iteration import LedgerReading, Steps
from logging_utils import IterationRecord, RunInfo
from models import LedgerEntry, Reason, RiskResult


def record_of(
    run: RunInfo,
    end: IterationEnd,
    *,
    reasons: Sequence[Reason] = (),
    error: str | None = None,
    ledger: tuple[LedgerEntry, ...] = (),
    equity_after_coin: Mapping[str, float] | None = None,
    **steps: Any,
) -> IterationRecord:
    """A checked iteration; `reasons` are why the risk engine refused."""
    check = RiskResult(allowed=not reasons, reasons=tuple(reasons))
    reading = LedgerReading(ledger, {} if equity_after_coin is None else equity_after_coin)
    return make_record(run, Steps(check=check, failure=error, ledger=reading, **steps), end)
