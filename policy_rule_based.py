"""decide_action: which call to sell, roll or buy back. This is the file to edit.

You can change: the three constants, the score, and the rules in decide_for_coin. You must keep: decide_action's
signature, that it returns one ProposedAction with a reason, and that it only reads its arguments (no network, no
clock, no dice of its own), so that a logged decision can be decided again. Sizes in coin, premiums in USD.
Pure. To see what an edit does:  python agent_loop.py --dry-run --market simulated --iterations 50
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from config import AgentConfig, StrategyConfig
from models import (
    ActionOption,
    ActionType,
    AgentState,
    CandidateOption,
    OptionPosition,
    ProposedAction,
    ScorePart,
    TradingState,
    Underlying,
)

# --- what you may want to change ---------------------------------------------------------------

POINTS_PER_YIELD_PCT = 1.0  # for each percent a year that the premium pays if the price stays flat
POINTS_PER_DELTA = -40.0  # for each 1.00 of delta: the risk of being called away
POINTS_PER_SPREAD_PCT = -0.2  # for each percent between bid and ask: the cost of getting out
UNKNOWN_SPREAD_PCT = 30.0  # what a call without a bid or without an ask counts as


def score_parts(call: CandidateOption) -> tuple[ScorePart, ...]:
    """How good a call is to sell, part by part; the parts are added up and logged."""
    spread_pct = UNKNOWN_SPREAD_PCT if call.spread_pct is None else call.spread_pct
    return (
        ScorePart(name="yield", points=POINTS_PER_YIELD_PCT * call.yield_if_flat_annual_pct),
        ScorePart(name="delta", points=POINTS_PER_DELTA * call.delta),
        ScorePart(name="spread", points=POINTS_PER_SPREAD_PCT * spread_pct),
    )


def decide_for_coin(agent_state: AgentState, coin: Underlying, strategy: StrategyConfig) -> ProposedAction:
    """The rules for one coin, first match wins."""
    resting = next((order for order in agent_state.open_orders_for(coin) if order.is_own and order.is_live), None)
    if resting is not None:
        return nothing(f"{coin}: our order in {resting.symbol} still rests")
    held = agent_state.short_calls(coin)
    if not held:
        return decide_to_open(agent_state, coin, strategy)

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
    best = best_of([option for option in later if option.symbol != call.symbol])
    if best is not None:
        return roll_call(call, best, size, "is in the money" if in_the_money else "IV is still high")
    if in_the_money:
        return close_call(call, size, "due to roll, in the money, and there is nothing to roll to")
    return nothing(f"{call.symbol} is due to roll, but there is nothing to roll to")


def decide_to_open(agent_state: AgentState, coin: Underlying, strategy: StrategyConfig) -> ProposedAction:
    """Sell the best candidate, if there are free coins behind it."""
    if agent_state.trading_state != TradingState.ACTIVE:
        return nothing(f"{coin}: nothing is sold for now; {'; '.join(map(str, agent_state.restrictions))}"[:500])
    best, risk = best_of(agent_state.candidates_for(coin)), agent_state.risk(coin)
    room = 0.0 if risk is None else risk.room_coin
    if room < strategy.order_size:
        return nothing(f"{coin}: {room:.6g} coins are free, order_size is {strategy.order_size:g}")
    if best is None:
        return nothing(f"{coin}: no call is held and no candidate passed the filters")
    return open_call(best, strategy.order_size)


# --- the decision ---------------------------------------------------------------------------------


def decide_action(agent_state: AgentState, config: AgentConfig) -> ProposedAction:
    """One action for the whole portfolio: what protects comes before what earns, the coins take turns."""
    coins = coins_in_turn(agent_state, config)
    if not coins:
        return nothing("no coin is enabled")
    proposals = [decide_for_coin(agent_state, coin, config.strategy(coin)) for coin in coins]
    sound = [proposal for proposal in proposals if not agent_state.refuses(proposal)]
    chosen = most_urgent(sound) or most_urgent(proposals)
    if chosen is None:
        return nothing("; ".join(sorted(proposal.reason for proposal in proposals)))
    if chosen.type == ActionType.OPEN_COVERED_CALL:
        return explore(agent_state, chosen, config)
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


def best_of(calls: Sequence[CandidateOption]) -> CandidateOption | None:
    """The call with the highest score, None where there is none."""
    return max(calls, key=score, default=None)


def score(call: CandidateOption) -> float:
    return math.fsum(part.points for part in score_parts(call))


def is_in_the_money(agent_state: AgentState, call: OptionPosition) -> bool:
    market = agent_state.market(call.underlying)
    return market is not None and market.spot_usd > call.strike


def iv_is_high(agent_state: AgentState, coin: Underlying, strategy: StrategyConfig) -> bool:
    """Unknown IV/RV is not high."""
    market = agent_state.market(coin)
    ratio = None if market is None else market.iv_rv_ratio
    return ratio is not None and ratio >= strategy.roll_ivrv_min


# --- exploration: now and then another candidate, so that training data holds more than one choice -----


def explore(agent_state: AgentState, best: ProposedAction, config: AgentConfig) -> ProposedAction:
    """The best sale, or with exploration_pct a random candidate; the odds are logged with the action.

    The draw depends on seed and time of the state only, so deciding again on the same state draws the same.
    """
    coin = best.underlying or "BTC"
    calls = sorted(agent_state.candidates_for(coin), key=score, reverse=True)
    share = config.run.exploration_pct / 100.0
    odds = [share / len(calls) + (1.0 - share if call.symbol == best.symbol else 0.0) for call in calls]
    dice = random.Random(f"{agent_state.seed}:{agent_state.timestamp.isoformat()}")
    drawn = dice.choices(calls, odds)[0]
    choices = tuple(_choice(call, chance) for call, chance in zip(calls, odds, strict=True))
    reason = best.reason if drawn.symbol == best.symbol else f"exploring: {drawn.symbol} drawn instead of {best.symbol}"
    return best.model_copy(update={"symbol": drawn.symbol, "reason": reason, "choices": choices})


def _choice(call: CandidateOption, chance: float) -> ActionOption:
    return ActionOption(
        type=ActionType.OPEN_COVERED_CALL,
        symbol=call.symbol,
        score=score(call),
        score_parts=score_parts(call),
        probability=min(1.0, chance),
    )


# --- actions in plain words ------------------------------------------------------------------------


def nothing(reason: str) -> ProposedAction:
    return ProposedAction(type=ActionType.DO_NOTHING, reason=reason, choices=(_only(ActionType.DO_NOTHING),))


def open_call(call: CandidateOption, size: float) -> ProposedAction:
    return ProposedAction(
        type=ActionType.OPEN_COVERED_CALL,
        underlying=call.underlying,
        symbol=call.symbol,
        size=size,
        reason=f"{call.underlying}: no call is held; {call.symbol} scores best ({score(call):.1f}) with "
        f"{call.premium_usd:.0f} USD of premium, delta {call.delta:.2f}, {call.dte_days:.1f} days{offer_note(call)}",
    )


def offer_note(call: CandidateOption) -> str:
    """Where a side of the book is missing: the premium is what is asked, and nobody may pay it."""
    if not call.is_offered_at_mark:
        return ""
    missing = "nobody bids" if call.bid_price_coin is None else "nobody offers it"
    return f"; {missing}, so it is offered at the mark"


def roll_call(call: OptionPosition, best: CandidateOption, size: float, why: str) -> ProposedAction:
    return ProposedAction(
        type=ActionType.ROLL_COVERED_CALL,
        underlying=call.underlying,
        symbol=call.symbol,
        new_symbol=best.symbol,
        size=size,
        reason=f"{call.symbol} has {call.dte_days:.1f} days left and {why}; "
        f"{best.symbol} scores best ({score(best):.1f}){offer_note(best)}",
        choices=(_only(ActionType.ROLL_COVERED_CALL, best.symbol),),
    )


def close_call(call: OptionPosition, size: float, why: str) -> ProposedAction:
    return ProposedAction(
        type=ActionType.CLOSE_COVERED_CALL,
        underlying=call.underlying,
        symbol=call.symbol,
        size=size,
        reason=f"buying {call.symbol} back: {why}",
        choices=(_only(ActionType.CLOSE_COVERED_CALL, call.symbol),),
    )


def _only(kind: ActionType, symbol: str | None = None) -> ActionOption:
    """The one action there was to choose."""
    return ActionOption(type=kind, symbol=symbol, probability=1.0)
