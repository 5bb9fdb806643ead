"""Ready-made policies: one call a coin nearest a delta, and four ways to get out of it.

In: a CallStyle; a state and settings when asked. Out: one ProposedAction. Deltas of one contract, days, premiums in
coin, percent of the premium. What may be sold are the state's candidates, so the filters of the settings hold too.
Pure: each style is a policy like any file with decide_action.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from config import AgentConfig
from models import ActionType, AgentState, CandidateOption, OptionPosition, ProposedAction, TradingState, Underlying


class ExitStyle(StrEnum):
    """What ends a call before its expiry."""

    HOLD = "hold"
    TAKE_PROFIT = "take-profit"
    TAKE_PROFIT_AND_ROLL = "take-profit-and-roll"
    ROLL = "roll"


@dataclass(frozen=True)
class CallStyle:
    """A policy by figures.

    `delta`: of the call that is looked for. `take_profit_pct`: of the premium, bought back at the ask. A call is rolled
    with less than `roll_days` left if spot is above `roll_moneyness` times its strike; 0 rolls every call that is due.
    `least_roll_credit_coin`: what a roll must bring a contract, bid less ask; 0 is credit only, below 0 a floor, None
    any. `weekdays`: Monday is 0; empty is every day.
    """

    delta: float
    exit: ExitStyle = ExitStyle.HOLD
    take_profit_pct: float = 80.0
    roll_days: float = 1.0
    roll_moneyness: float = 1.0
    least_roll_credit_coin: float | None = 0.0
    weekdays: tuple[int, ...] = ()

    def __call__(self, agent_state: AgentState, config: AgentConfig) -> ProposedAction:
        proposals = [self._for_coin(agent_state, coin, config) for coin in config.enabled_underlyings]
        sound = [proposal for proposal in proposals if not agent_state.refuses(proposal)]
        for kind in (ActionType.CLOSE_COVERED_CALL, ActionType.ROLL_COVERED_CALL, ActionType.OPEN_COVERED_CALL):
            for proposal in sound:
                if proposal.type == kind:
                    return proposal
        return _nothing("; ".join(proposal.reason for proposal in proposals) or "no coin is enabled")

    def _for_coin(self, state: AgentState, coin: Underlying, config: AgentConfig) -> ProposedAction:
        held = min(state.short_calls(coin), key=lambda call: call.expiry, default=None)
        if held is None:
            return self._open(state, coin, config)
        size = min(held.size, config.strategy(coin).max_order_size)
        if self._is_earned(held):
            return self._after_profit(state, held, size)
        if self._is_due(state, held):
            return self._roll(state, held, size)
        return _nothing(f"{coin}: {held.symbol} is held")

    def _open(self, state: AgentState, coin: Underlying, config: AgentConfig) -> ProposedAction:
        if self.weekdays and state.timestamp.weekday() not in self.weekdays:
            return _nothing(f"{coin}: nothing is sold today")
        call, risk = self._nearest(state.candidates_for(coin)), state.risk(coin)
        size = config.strategy(coin).order_size
        if call is None or risk is None or risk.room_coin < size or state.trading_state != TradingState.ACTIVE:
            return _nothing(f"{coin}: nothing can be sold")
        why = f"{coin}: delta {call.delta:.2f} is nearest {self.delta:g}"
        return ProposedAction(
            type=ActionType.OPEN_COVERED_CALL, underlying=coin, symbol=call.symbol, size=size, reason=why
        )

    def _is_earned(self, held: OptionPosition) -> bool:
        takes_profit = self.exit in (ExitStyle.TAKE_PROFIT, ExitStyle.TAKE_PROFIT_AND_ROLL)
        return takes_profit and held.captured_premium_pct >= self.take_profit_pct

    def _is_due(self, state: AgentState, held: OptionPosition) -> bool:
        """Both by days and by moneyness; unknown spot is not due."""
        market = state.market(held.underlying)
        is_deep = market is not None and market.spot_usd > self.roll_moneyness * held.strike
        return self.exit == ExitStyle.ROLL and held.dte_days < self.roll_days and is_deep

    def _after_profit(self, state: AgentState, held: OptionPosition, size: float) -> ProposedAction:
        why = f"{held.captured_premium_pct:.0f} % of the premium is earned"
        rolled = self._roll(state, held, size) if self.exit == ExitStyle.TAKE_PROFIT_AND_ROLL else None
        if rolled is not None and rolled.type == ActionType.ROLL_COVERED_CALL:
            return rolled
        return ProposedAction(
            type=ActionType.CLOSE_COVERED_CALL, underlying=held.underlying, symbol=held.symbol, size=size, reason=why
        )

    def _roll(self, state: AgentState, held: OptionPosition, size: float) -> ProposedAction:
        later = [call for call in state.candidates_for(held.underlying) if call.expiry > held.expiry]
        call = self._nearest([call for call in later if self._pays_enough(held, call)])
        if call is None:
            return _nothing(f"{held.underlying}: no roll of {held.symbol} pays enough")
        return ProposedAction(
            type=ActionType.ROLL_COVERED_CALL,
            underlying=held.underlying,
            symbol=held.symbol,
            new_symbol=call.symbol,
            size=size,
            reason=f"{held.symbol} is due or earned, delta {call.delta:.2f} is nearest {self.delta:g}",
        )

    def _pays_enough(self, held: OptionPosition, call: CandidateOption) -> bool:
        """At the other side of each book; without an ask nobody knows what a roll brings."""
        if self.least_roll_credit_coin is None:
            return True
        if held.ask_price_coin is None:
            return False
        return call.sale_price_coin - held.ask_price_coin >= self.least_roll_credit_coin

    def _nearest(self, calls: Sequence[CandidateOption]) -> CandidateOption | None:
        return min(calls, key=lambda call: abs(call.delta - self.delta), default=None)


def _nothing(reason: str) -> ProposedAction:
    return ProposedAction(type=ActionType.DO_NOTHING, reason=reason[:1000])
