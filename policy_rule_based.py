"""decide_action: which call to sell, roll or buy back. This is the file to edit.

You can change: the constant, the score, and the rules in decide_for_coin. You must keep: decide_action's signature,
that it returns one ProposedAction with a reason, and that it only reads its arguments (no network, no clock, no dice of
its own: policies/exploration.py draws), so that a logged decision can be decided again. Sizes in coin, premiums in USD.
Pure. To see what an edit does:  python agent_loop.py --dry-run --market simulated --iterations 50
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from config import AgentConfig, StrategyConfig
from core.choices.scoring import sale_parts, total
from models import (
    ActionType,
    AgentState,
    CandidateOption,
    OptionPosition,
    ProposedAction,
    TradingState,
    Underlying,
)

# --- what you may want to change ---------------------------------------------------------------

OWN_POINTS_PER_DELTA = 0.0  # for each 1.00 of delta, on top of what SCORE_DELTA_POINTS (-40 unless set) gives


def score(call: CandidateOption, agent_state: AgentState, config: AgentConfig) -> float:
    """How good a call is to sell: the points of core/choices/scoring.py, whose weights are settings, and your own."""
    return total(sale_parts(call, agent_state.market(call.underlying), config)) + OWN_POINTS_PER_DELTA * call.delta


def decide_for_coin(agent_state: AgentState, coin: Underlying, config: AgentConfig) -> ProposedAction:
    """The rules for one coin, first match wins."""
    strategy = config.strategy(coin)
    resting = next((order for order in agent_state.open_orders_for(coin) if order.is_own and order.is_live), None)
    if resting is not None:
        return nothing(f"{coin}: our order in {resting.symbol} still rests")
    held = agent_state.short_calls(coin)
    if not held:
        return decide_to_open(agent_state, coin, config)

    call = min(held, key=lambda position: position.expiry)
    size = min(call.size, strategy.max_order_size)
    risk = agent_state.risk(coin)
    if risk is not None and risk.is_uncovered:
        return close_call(call, size, "more calls are sold than coins are held")
    if 0.0 < strategy.take_profit_pct <= call.captured_premium_pct:
        return close_call(call, size, f"{call.captured_premium_pct:.0f} % of the premium is earned")
    if call.dte_days >= strategy.roll_dte_days:
        return nothing(f"{call.symbol} has {call.dte_days:.1f} days left, rolling starts at {strategy.roll_dte_days:g}")

    in_the_money = is_in_the_money(agent_state, call)
    if not in_the_money and not iv_is_high(agent_state, coin, strategy):
        return nothing(f"{call.symbol} is out of the money and IV is not high, so it may expire worthless")
    later = [option for option in agent_state.candidates_for(coin) if option.expiry >= call.expiry]
    best = best_of([option for option in later if option.symbol != call.symbol], agent_state, config)
    if best is not None:
        return roll_call(call, best, size, "is in the money" if in_the_money else "IV is still high")
    if in_the_money:
        return close_call(call, size, "due to roll, in the money, and there is nothing to roll to")
    return nothing(f"{call.symbol} is due to roll, but there is nothing to roll to")


def decide_to_open(agent_state: AgentState, coin: Underlying, config: AgentConfig) -> ProposedAction:
    """Sell the best candidate, if there are free coins behind it."""
    if agent_state.trading_state != TradingState.ACTIVE:
        return nothing(f"{coin}: nothing is sold for now; {'; '.join(map(str, agent_state.restrictions))}"[:500])
    size, risk = config.strategy(coin).order_size, agent_state.risk(coin)
    room = 0.0 if risk is None else risk.room_coin
    if room < size:
        return nothing(f"{coin}: {room:.6g} coins are free, order_size is {size:g}")
    best = best_of(agent_state.candidates_for(coin), agent_state, config)
    if best is None:
        return nothing(f"{coin}: {held_note(agent_state, coin)} and no candidate passed the filters")
    return open_call(best, size, held_note(agent_state, coin))


# --- the decision ---------------------------------------------------------------------------------


def decide_action(agent_state: AgentState, config: AgentConfig) -> ProposedAction:
    """One action for the whole portfolio: what protects comes before what earns, the coins take turns."""
    coins = coins_in_turn(agent_state, config)
    if not coins:
        return nothing("no coin is enabled")
    proposals = [decide_for_coin(agent_state, coin, config) for coin in coins]
    sound = [proposal for proposal in proposals if not agent_state.refuses(proposal)]
    chosen = most_urgent(sound) or most_urgent(proposals)
    if chosen is None:
        return nothing("; ".join(sorted(proposal.reason for proposal in proposals)))
    return chosen


def most_urgent(proposals: Sequence[ProposedAction]) -> ProposedAction | None:
    """Buy-backs before rolls before sales; None where there is nothing to do."""
    urgency = [ActionType.CLOSE_COVERED_CALL, ActionType.ROLL_COVERED_CALL, ActionType.OPEN_COVERED_CALL]
    return next((found for kind in urgency for found in proposals if found.type == kind), None)


def coins_in_turn(agent_state: AgentState, config: AgentConfig) -> tuple[Underlying, ...]:
    """The enabled coins, another one first in each interval: an order that never fills must not hold up the rest."""
    coins = config.enabled_underlyings
    turn = int(agent_state.timestamp.timestamp() // config.run.interval_seconds) % max(1, len(coins))
    return coins[turn:] + coins[:turn]


class ScoredCall(NamedTuple):
    """A call that may be sold, and its points."""

    call: CandidateOption
    points: float


def best_of(calls: Sequence[CandidateOption], agent_state: AgentState, config: AgentConfig) -> ScoredCall | None:
    """The call with the highest score, None where there is none."""
    scored = [ScoredCall(call, score(call, agent_state, config)) for call in calls]
    return max(scored, key=lambda found: found.points, default=None)


def is_in_the_money(agent_state: AgentState, call: OptionPosition) -> bool:
    market = agent_state.market(call.underlying)
    return market is not None and market.spot_usd > call.strike


def iv_is_high(agent_state: AgentState, coin: Underlying, strategy: StrategyConfig) -> bool:
    """Unknown IV/RV is not high."""
    market = agent_state.market(coin)
    ratio = None if market is None else market.iv_rv_ratio
    return ratio is not None and ratio >= strategy.roll_ivrv_min


# --- actions in plain words ------------------------------------------------------------------------


def nothing(reason: str) -> ProposedAction:
    return ProposedAction(type=ActionType.DO_NOTHING, reason=reason)


def held_note(agent_state: AgentState, coin: Underlying) -> str:
    held = len(agent_state.short_calls(coin))
    return {0: "no call is held", 1: "a call is held"}.get(held, f"{held} calls are held")


def open_call(best: ScoredCall, size: float, held: str) -> ProposedAction:
    call = best.call
    return ProposedAction(
        type=ActionType.OPEN_COVERED_CALL,
        underlying=call.underlying,
        symbol=call.symbol,
        size=size,
        reason=f"{call.underlying}: {held}; {call.symbol} scores best ({best.points:.1f}) with "
        f"{call.premium_usd:.0f} USD of premium, delta {call.delta:.2f}, {call.dte_days:.1f} days{offer_note(call)}",
    )


def offer_note(call: CandidateOption) -> str:
    """Where a side of the book is missing: the premium is what is asked, and nobody may pay it."""
    if not call.is_offered_at_mark:
        return ""
    missing = "nobody bids" if call.bid_price_coin is None else "nobody offers it"
    return f"; {missing}, so it is offered at the mark"


def roll_call(call: OptionPosition, best: ScoredCall, size: float, why: str) -> ProposedAction:
    return ProposedAction(
        type=ActionType.ROLL_COVERED_CALL,
        underlying=call.underlying,
        symbol=call.symbol,
        new_symbol=best.call.symbol,
        size=size,
        reason=f"{call.symbol} has {call.dte_days:.1f} days left and {why}; "
        f"{best.call.symbol} scores best ({best.points:.1f}){offer_note(best.call)}",
    )


def close_call(call: OptionPosition, size: float, why: str) -> ProposedAction:
    return ProposedAction(
        type=ActionType.CLOSE_COVERED_CALL,
        underlying=call.underlying,
        symbol=call.symbol,
        size=size,
        reason=f"buying {call.symbol} back: {why}",
    )
