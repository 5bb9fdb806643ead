"""What a run leaves behind, kept line by line: steps, ledger, decisions, marks of what is held. In memory.

In: IterationRecords. Out: a SimulationResult. Of a state only the figures that a result needs are kept.
"""

from __future__ import annotations

from collections.abc import Iterable

from backtest.simulator.attribution import Mark, MarkedStep, attributions
from backtest.simulator.result import CoinResult, Decision, SimulationResult
from backtest.simulator.sources import QuoteSource
from config import AgentConfig
from core.results.call_book import sold_calls
from core.results.earnings import earnings, equity_points
from core.results.sold_calls import chains_of
from core.results.steps import Step, step_of
from logging_utils import IterationRecord
from models import AgentState, CandidateOption, LedgerEntry, OptionPosition


class Notebook:
    """One run's notes."""

    def __init__(self) -> None:
        self.last_error: str | None = None
        self._steps: list[Step] = []
        self._entries: list[LedgerEntry] = []
        self._decisions: list[Decision] = []
        self._marked: list[MarkedStep] = []

    def note(self, record: IterationRecord) -> None:
        """Keep what counts of one line."""
        step = step_of(record)
        if step is not None:
            self._steps.append(step)
        self._entries.extend(record.ledger)
        self._decisions.append(_decision(record))
        self.last_error = record.error or self.last_error
        if record.agent_state is not None:
            self._marked.append(_marked(record.agent_state))

    @property
    def years(self) -> set[int]:
        """In which anything was decided."""
        return {decision.at.year for decision in self._decisions}

    def result(
        self, policy: str, source: QuoteSource, config: AgentConfig, problem: str | None = None
    ) -> SimulationResult:
        """What it came to until now."""
        calls = sold_calls(self._entries, self._steps)
        points = tuple(equity_points(self._entries, self._steps))
        why = attributions(self._entries, self._marked)
        return SimulationResult(
            policy=policy,
            source=source,
            fills=config.run.fills,
            seed=config.run.seed,
            decisions=tuple(self._decisions),
            coins=tuple(
                CoinResult(
                    earnings=found,
                    calls=tuple(call for call in calls if call.currency == found.currency),
                    chains=chains_of(call for call in calls if call.currency == found.currency),
                    equity=tuple(point for point in points if point.currency == found.currency),
                    attribution=why[found.currency],
                    ledger=tuple(entry for entry in self._entries if entry.currency == found.currency),
                )
                for found in earnings(self._entries, self._steps)
                if found.currency in config.enabled_underlyings
            ),
            problem=problem,
            unsettled=tuple(symbol for symbol, mark in self._last_held() if mark.days <= 0.0),
        )

    def _last_held(self) -> Iterable[tuple[str, Mark]]:
        return self._marked[-1].held.items() if self._marked else ()


def _decision(record: IterationRecord) -> Decision:
    action = record.proposed_action
    return Decision(
        at=record.timestamp,
        action_type=str(action.type),
        coin=action.underlying,
        symbol=action.symbol,
        new_symbol=action.new_symbol,
        size=action.size,
        reason=action.reason,
        is_allowed=record.allowed,
        status=record.executed_status,
        error=record.error,
        candidates=0 if record.agent_state is None else len(record.agent_state.candidates),
        refused_by=", ".join(dict.fromkeys(reason.rule for reason in record.risk_engine_result.reasons)),
    )


def _marked(state: AgentState) -> MarkedStep:
    shorts = [held for held in state.portfolio.positions if held.is_short_call]
    return MarkedStep(
        at=state.timestamp,
        spot_usd={market.underlying: market.spot_usd for market in state.markets},
        equity_coin={account.currency: account.equity_coin for account in state.portfolio.accounts},
        held={held.symbol: _mark(held, held.size) for held in shorts},
        offered={call.symbol: _mark(call, 0.0) for call in state.candidates},
    )


def _mark(option: OptionPosition | CandidateOption, size_coin: float) -> Mark:
    about = (option.underlying, option.strike, option.dte_days, option.mark_price_coin)
    return Mark(*about, option.mark_iv_fraction, size_coin)
