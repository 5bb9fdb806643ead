"""check_action_allowed: the hard limits. Every rule is tried and every reason reported, with number and limit.

In: a state, an action, settings. Out: (allowed, reasons); each reason starts with the name of its rule. Margin is
estimated with Deribit's standard-margin formula, on the coin's own account, on totals for cross-margin accounts.
Sizes and prices in coin, spot in USD. Pure: no network, no disk, no clock; nothing may bypass it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from config import AgentConfig
from core.action_form import form_problems, symbol_to_buy, symbol_to_sell
from core.choices.trades import ProposedTrade, estimated_margin_pct, freed_margin_coin, margin_pct
from core.exposure import order_size_problem, orders_per_day_problem, unfilled_orders_problem
from core.pricing import is_multiple_of_step
from core.quotes import age_problem, is_crossed, is_inside_collar
from core.trading_hours import settlement_problem
from deribit.symbols import parse_symbol
from models import (
    ROUNDING,
    UNDERLYINGS,
    Action,
    ActionType,
    AgentState,
    CoinAccount,
    CoinRisk,
    MarketSnapshot,
    ProposedAction,
    Reason,
    RiskResult,
    TradingState,
    Underlying,
)


def check_action_allowed(
    agent_state: AgentState, proposed_action: ProposedAction, config: AgentConfig
) -> tuple[bool, list[str]]:
    """Whether the action may be carried out, and all the reasons why not, each as "rule: sentence"."""
    verdict = judge_action(agent_state, proposed_action, config)
    return verdict.allowed, [str(reason) for reason in verdict.reasons]


def judge_action(state: AgentState, action: Action, config: AgentConfig) -> RiskResult:
    """The same verdict with its reasons as pairs of rule and text, for those who go on with them."""
    reasons = tuple(_reasons_against(state, action, config))
    return RiskResult(allowed=not reasons, reasons=reasons)


def are_allowed(state: AgentState, actions: Sequence[Action], config: AgentConfig) -> list[bool]:
    """The verdicts on many actions of one state, without their reasons.

    A state has dozens of actions. What the rules say of the account, of a coin or of a call is asked once, not for each
    action that shares it.
    """
    shared = _SharedVerdicts(state, config)
    return [shared.allow(action) for action in actions]


def _reasons_against(state: AgentState, action: Action, config: AgentConfig) -> Iterator[Reason]:
    if action.type == ActionType.DO_NOTHING:
        return
    sold, bought_back = state.candidate(symbol_to_sell(action)), state.position(symbol_to_buy(action))
    problems = form_problems(action, sold, bought_back, state.timestamp, config)
    if problems or action.underlying is None:
        yield from problems
        return
    figures = _figures_of(state, action.underlying)
    if figures is None:
        yield Reason(rule="unknown_account", text=f"there is no market or account for {action.underlying}")
        return
    trade = ProposedTrade(state, config, *figures, sold, bought_back, action.size)
    for rule in RULES:
        yield from (Reason(rule=rule.__name__, text=text) for text in rule(trade))


# --- what the rules look at -----------------------------------------------------------------------

CoinFigures = tuple[Underlying, MarketSnapshot, CoinAccount, CoinRisk]


def _figures_of(state: AgentState, coin: Underlying) -> CoinFigures | None:
    market, account, risk = state.market(coin), state.account(coin), state.risk(coin)
    return None if market is None or account is None or risk is None else (coin, market, account, risk)


# --- the rules: each yields sentences; in the log they stand under the name of the function ---------


def kill_switch(trade: ProposedTrade) -> Iterator[str]:
    if trade.state.kill_switch_on:
        note = f" ({trade.state.kill_note!r})" if trade.state.kill_note else ""
        yield f"the kill file exists{note}; remove it to trade again"


def halted(trade: ProposedTrade) -> Iterator[str]:
    """HALTED sends nothing."""
    if trade.state.trading_state == TradingState.HALTED:
        yield f"{_why(trade.state)}; look at the logs, then start with --resume"


def reducing(trade: ProposedTrade) -> Iterator[str]:
    """REDUCING buys back, and sells nothing."""
    if trade.state.trading_state == TradingState.REDUCING and trade.sold is not None:
        yield _why(trade.state)


def _why(state: AgentState) -> str:
    return "; ".join(str(reason) for reason in state.restrictions)


def settlement_window(trade: ProposedTrade) -> Iterator[str]:
    """Around 08:00 UTC options expire, positions change and books are closed."""
    problem = settlement_problem(trade.state.timestamp)
    if problem is not None:
        yield problem


def orders_per_day(trade: ProposedTrade) -> Iterator[str]:
    """Each leg of a roll is an order; buying back alone is never stopped."""
    problem = orders_per_day_problem(trade.state.orders_today, len(trade.options), trade.config.risk)
    if trade.sold is not None and problem is not None:
        yield problem


def unfilled_orders_per_day(trade: ProposedTrade) -> Iterator[str]:
    """The same for orders that came to nothing."""
    problem = unfilled_orders_problem(trade.state.unfilled_orders_today, len(trade.options), trade.config.risk)
    if trade.sold is not None and problem is not None:
        yield problem


def intent_pending(trade: ProposedTrade) -> Iterator[str]:
    """No new decision for a coin while an order of ours is live or its outcome is unknown."""
    for order in trade.state.open_orders_for(trade.underlying):
        if order.is_own and order.is_live:
            yield f"our order {order.label} on {order.symbol} is still live"
    for symbol in trade.state.unresolved_symbols:
        if parse_symbol(symbol).underlying == trade.underlying:
            yield f"our last order on {symbol} may still be open, or was filled within the last minute"
    if trade.underlying in trade.state.waiting_underlyings:
        yield "an earlier run may have sent an order that is not in the order log; new orders wait"


def unknown_position(trade: ProposedTrade) -> Iterator[str]:
    """A position that cannot be judged (a future, a settling option) forbids new shorts."""
    for held in trade.state.portfolio.other_positions:
        if trade.sold is not None and held.parts.concerns(trade.underlying):
            yield f"{held.symbol} ({held.size:g}) is not a plain option; no new call is sold while it is held"


def order_size(trade: ProposedTrade) -> Iterator[str]:
    problem = order_size_problem(trade.size, trade.config.strategy(trade.underlying).max_order_size)
    if problem is not None:
        yield problem


def bad_size(trade: ProposedTrade) -> Iterator[str]:
    """A sale is a whole number of the smallest amounts."""
    if trade.sold is not None and not is_multiple_of_step(round(trade.size, 9), trade.sold.min_trade_amount_coin):
        yield f"{trade.size:g} is not a multiple of {trade.sold.min_trade_amount_coin:g}"


def bad_roll(trade: ProposedTrade) -> Iterator[str]:
    """A roll goes to another call that does not expire earlier."""
    if trade.sold is None or trade.bought_back is None:
        return
    if trade.sold.symbol == trade.bought_back.symbol:
        yield f"{trade.sold.symbol} would be rolled into itself"
    if trade.sold.expiry < trade.bought_back.expiry:
        yield f"{trade.sold.symbol} expires before {trade.bought_back.symbol}"


def expiry(trade: ProposedTrade) -> Iterator[str]:
    """No option is traded shortly before it expires."""
    limit = trade.config.risk.min_minutes_to_expiry
    for option in trade.options:
        minutes = (option.expiry - trade.state.timestamp).total_seconds() / 60.0
        if not minutes >= limit:
            yield f"{option.symbol} expires in {minutes:.1f} minutes, at least {limit:g} needed"


def quote_missing(trade: ProposedTrade) -> Iterator[str]:
    for option in trade.options:
        if option.quoted_at is None:
            yield f"{option.symbol} is not in the chain"


def quote_age(trade: ProposedTrade) -> Iterator[str]:
    for option in trade.options:
        if option.quoted_at is None:
            continue
        age = age_problem(option.quoted_at, trade.state.timestamp, trade.config.risk.max_quote_age_seconds)
        if age is not None:
            yield f"the quote of {option.symbol} is {age}"


def quote_sanity(trade: ProposedTrade) -> Iterator[str]:
    """No leg trades on a crossed book."""
    for option in trade.options:
        bid, ask = option.bid_price_coin, option.ask_price_coin
        if is_crossed(bid, ask):
            yield f"{option.symbol} is crossed, bid {bid:g} above ask {ask:g}"


def price_collar(trade: ProposedTrade) -> Iterator[str]:
    """Judged at the least an order would take, which is never below the bid nor far below the price asked."""
    call, collar_pct = trade.sold, trade.config.risk.price_collar_pct
    if call is None:
        return
    lowest = call.sale_price_coin if call.floor_price_coin is None else call.floor_price_coin
    if not is_inside_collar(lowest, call.mark_price_coin, collar_pct, call.tick_size_coin):
        least = f"{lowest:g}, the least asked for {call.symbol}"
        yield f"{least}, is more than {collar_pct:g} % below mark {call.mark_price_coin:g}"


def coverage(trade: ProposedTrade) -> Iterator[str]:
    """Short calls held, calls on offer and this sale together never exceed the coins held."""
    if trade.sold is None:
        return
    risk = trade.risk
    after = risk.short_calls_coin + risk.resting_sells_coin - trade.freed_size + trade.sold_size
    if not (after <= risk.coins_held + ROUNDING and trade.sold_size > 0.0):
        yield (
            f"{after:g} {trade.underlying} of calls after the trade "
            f"(held {risk.short_calls_coin:g}, on offer {risk.resting_sells_coin:g}, this {trade.sold_size:g}, "
            f"bought back {trade.freed_size:g}) is above the {risk.coins_held:.6g} coins held"
        )


def margin(trade: ProposedTrade) -> Iterator[str]:
    """What would be used after the trade."""
    if trade.sold is None:
        return
    limit = trade.config.risk.max_margin_pct
    after_pct = estimated_margin_pct(trade)
    if after_pct is None:
        yield f"margin of the {trade.underlying} account is not known"
    elif not after_pct <= limit:
        yield f"{after_pct:.1f} % used after the trade is above max_margin_pct {limit:g} %"


def margin_threshold(trade: ProposedTrade) -> Iterator[str]:
    """New shorts stop earlier than the limit itself."""
    if trade.sold is None:
        return
    risk = trade.config.risk
    threshold_pct = risk.max_margin_pct * risk.new_short_margin_pct_of_limit / 100.0
    used_pct = margin_pct(trade, -freed_margin_coin(trade), 0.0)
    if used_pct is not None and not used_pct <= threshold_pct:
        yield (
            f"{used_pct:.1f} % already used is above {threshold_pct:.1f} % "
            f"({risk.new_short_margin_pct_of_limit:g} % of max_margin_pct {risk.max_margin_pct:g} %)"
        )


def net_delta(trade: ProposedTrade) -> Iterator[str]:
    if trade.sold is None:
        return
    limit = trade.config.risk.max_net_delta_fraction * trade.risk.coins_held
    after = trade.risk.net_delta - trade.sold.delta * trade.sold_size
    if trade.bought_back is not None:
        after -= trade.bought_back.delta * trade.size / trade.bought_back.size
    if not abs(after) <= limit + ROUNDING:
        yield (
            f"{after:.3f} {trade.underlying} after the trade is beyond {limit:.3f} "
            f"(max_net_delta_fraction {trade.config.risk.max_net_delta_fraction:g}"
            f" of {trade.risk.coins_held:.6g} coins)"
        )


def expiry_exposure(trade: ProposedTrade) -> Iterator[str]:
    if trade.sold is None:
        return
    fraction = trade.config.risk.max_expiry_exposure_fraction
    limit = fraction * trade.risk.coins_held
    after = trade.sold_size + math.fsum(
        exposure.short_calls_coin
        for exposure in trade.state.expiry_exposures
        if exposure.underlying == trade.underlying and exposure.expiry == trade.sold.expiry
    )
    if trade.bought_back is not None and trade.bought_back.expiry == trade.sold.expiry:
        after -= trade.size
    if not after <= limit + ROUNDING:
        yield (
            f"{after:g} {trade.underlying} of calls expiring {trade.sold.expiry:%d %b %Y} is above "
            f"{limit:.6g} (max_expiry_exposure_fraction {fraction:g} of {trade.risk.coins_held:.6g} coins)"
        )


Rule = Callable[[ProposedTrade], Iterator[str]]
Part = Literal["rest", "sold", "bought", "expiry", "trade"]
RULES: tuple[Rule, ...] = (
    kill_switch,
    halted,
    reducing,
    settlement_window,
    orders_per_day,
    unfilled_orders_per_day,
    intent_pending,
    unknown_position,
    order_size,
    bad_size,
    bad_roll,
    expiry,
    quote_missing,
    quote_age,
    quote_sanity,
    price_collar,
    coverage,
    margin,
    margin_threshold,
    net_delta,
    expiry_exposure,
)

# What a rule looks at, where that is not the whole trade: trades that share it share the verdict.
# "rest": all but the call sold, of which only whether there is one, and its smallest amount.
# "expiry": the same, and when the call sold expires.
# "leg": one option, whatever becomes of it.
LOOKS_AT: Mapping[Rule, Literal["rest", "leg", "expiry"]] = {
    kill_switch: "rest",
    halted: "rest",
    reducing: "rest",
    settlement_window: "rest",
    orders_per_day: "rest",
    unfilled_orders_per_day: "rest",
    intent_pending: "rest",
    unknown_position: "rest",
    order_size: "rest",
    bad_size: "rest",
    coverage: "rest",
    margin_threshold: "rest",
    expiry: "leg",
    quote_missing: "leg",
    quote_age: "leg",
    quote_sanity: "leg",
    price_collar: "leg",
    expiry_exposure: "expiry",
}
RULES_OF_LEGS = tuple(rule for rule in RULES if LOOKS_AT.get(rule) == "leg")
RULES_OF: Mapping[Part, tuple[Rule, ...]] = {
    "rest": tuple(rule for rule in RULES if LOOKS_AT.get(rule) == "rest"),
    "sold": RULES_OF_LEGS,
    "bought": RULES_OF_LEGS,
    "expiry": tuple(rule for rule in RULES if LOOKS_AT.get(rule) == "expiry"),
    "trade": tuple(rule for rule in RULES if rule not in LOOKS_AT),
}


class _SharedVerdicts:
    """What the rules have said of a state so far, by what they looked at: whether they had nothing to say."""

    def __init__(self, state: AgentState, config: AgentConfig) -> None:
        self._state, self._config = state, config
        self._candidates = {call.symbol: call for call in reversed(state.candidates)}
        self._positions = {held.symbol: held for held in reversed(state.portfolio.positions)}
        self._figures = {coin: _figures_of(state, coin) for coin in UNDERLYINGS}
        self._verdicts: dict[Part, dict[Hashable, bool]] = {part: {} for part in RULES_OF}

    def allow(self, action: Action) -> bool:
        if action.type == ActionType.DO_NOTHING:
            return True
        sold = self._candidates.get(symbol_to_sell(action) or "")
        held = self._positions.get(symbol_to_buy(action) or "")
        if form_problems(action, sold, held, self._state.timestamp, self._config):
            return False
        figures = None if action.underlying is None else self._figures[action.underlying]
        if figures is None:
            return False
        return self._allow_trade(ProposedTrade(self._state, self._config, *figures, sold, held, action.size))

    def _allow_trade(self, trade: ProposedTrade) -> bool:
        sold, held = trade.sold, trade.bought_back
        step = None if sold is None else sold.min_trade_amount_coin
        rest = trade.underlying, trade.size, step, None if held is None else held.symbol
        return (
            self._once("rest", rest, trade)
            and (held is None or self._once("bought", held.symbol, trade))
            and (sold is None or self._once("sold", sold.symbol, trade))
            and (sold is None or self._once("expiry", (rest, sold.expiry), trade))
            and _is_allowed(trade, RULES_OF["trade"])
        )

    def _once(self, part: Part, key: Hashable, trade: ProposedTrade) -> bool:
        """The verdict of the rules that look at this part, asked for the first trade that has it."""
        verdict = self._verdicts[part].get(key)
        if verdict is None:
            verdict = self._verdicts[part][key] = _is_allowed(_seen_alone(trade, part), RULES_OF[part])
        return verdict


def _seen_alone(trade: ProposedTrade, part: Part) -> ProposedTrade:
    """The trade as the rules of a part may see it: those of a leg without the other one."""
    if part == "sold" and trade.bought_back is not None:
        return replace(trade, bought_back=None)
    return replace(trade, sold=None) if part == "bought" and trade.sold is not None else trade


def _is_allowed(trade: ProposedTrade, rules: Iterable[Rule]) -> bool:
    for rule in rules:
        for _ in rule(trade):
            return False
    return True
