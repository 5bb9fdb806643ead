"""check_action_allowed: the hard limits. Every rule is tried and every reason reported, with number and limit.

In: a state, an action, settings. Out: (allowed, reasons); each reason starts with the name of its rule. Margin is
estimated with Deribit's standard-margin formula, on the coin's own account, on totals for cross-margin accounts.
Sizes and prices in coin, spot in USD. Pure: no network, no disk, no clock; nothing may bypass it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from config import AgentConfig
from core.action_form import BUYS, SELLS, form_problems
from core.exposure import order_size_problem, orders_per_day_problem, unfilled_orders_problem
from core.pricing import floor_to_step, is_multiple_of_step, short_call_initial_margin_coin, trade_fee_coin
from core.quotes import age_problem, is_crossed, is_inside_collar
from core.trading_hours import settlement_problem
from deribit.symbols import parse_symbol
from models import (
    ROUNDING,
    Action,
    ActionType,
    AgentState,
    CandidateOption,
    CoinAccount,
    CoinRisk,
    MarketSnapshot,
    OptionPosition,
    ProposedAction,
    Reason,
    RiskResult,
    TradingState,
    Underlying,
)


@dataclass(frozen=True)
class ProposedTrade:
    """An action with everything the rules look at. `sold` and `bought_back` are None where there is no such leg."""

    state: AgentState
    config: AgentConfig
    action: Action
    underlying: Underlying
    market: MarketSnapshot
    account: CoinAccount
    risk: CoinRisk
    sold: CandidateOption | None
    bought_back: OptionPosition | None

    @property
    def size(self) -> float:
        return self.action.size

    @property
    def options(self) -> tuple[CandidateOption | OptionPosition, ...]:
        """What would be traded, one order each."""
        return tuple(option for option in (self.sold, self.bought_back) if option is not None)

    @property
    def freed_size(self) -> float:
        return 0.0 if self.bought_back is None else self.size

    @property
    def sold_size(self) -> float:
        """What would be sold. A roll sells no more than there is room for once the old call is bought back."""
        if self.sold is None or self.bought_back is None:
            return self.size
        free = self.risk.coins_held - self.risk.short_calls_coin - self.risk.resting_sells_coin
        room = floor_to_step(free + self.size + ROUNDING, self.sold.min_trade_amount_coin)
        return min(self.size, room)


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


def is_allowed(state: AgentState, action: Action, config: AgentConfig) -> bool:
    """The same verdict alone: the first reason ends the search."""
    return next(_reasons_against(state, action, config), None) is None


def _reasons_against(state: AgentState, action: Action, config: AgentConfig) -> Iterator[Reason]:
    if action.type == ActionType.DO_NOTHING:
        return
    problems = list(form_problems(state, action, config))
    if problems:
        yield from problems
        return
    trade = _trade(state, action, config)
    if trade is None:
        yield Reason(rule="unknown_account", text=f"there is no market or account for {action.underlying}")
        return
    for rule in RULES:
        yield from (Reason(rule=rule.__name__, text=text) for text in rule(trade))


# --- what the rules look at -----------------------------------------------------------------------


def _trade(state: AgentState, action: Action, config: AgentConfig) -> ProposedTrade | None:
    coin = action.underlying
    if coin is None:
        return None
    market, account, risk = state.market(coin), state.account(coin), state.risk(coin)
    if market is None or account is None or risk is None:
        return None
    is_roll = action.type == ActionType.ROLL_COVERED_CALL
    sold = state.candidate(action.new_symbol if is_roll else action.symbol) if action.type in SELLS else None
    bought_back = state.position(action.symbol) if action.type in BUYS else None
    return ProposedTrade(state, config, action, coin, market, account, risk, sold, bought_back)


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
    used_pct = _margin_pct(trade, -_freed_margin_coin(trade), 0.0)
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


RULES: tuple[Callable[[ProposedTrade], Iterator[str]], ...] = (
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


# --- figures ------------------------------------------------------------------------------------


def estimated_margin_pct(trade: ProposedTrade) -> float | None:
    """Initial margin in percent of margin balance after a sale at the bid (or as asked) and a buy-back at the ask.

    Portfolio-margin accounts are judged by the same standard-margin formula, which asks for more.
    """
    added, cash = -_freed_margin_coin(trade), 0.0
    if trade.sold is not None:
        call = trade.sold
        size, spot_usd = trade.sold_size, trade.market.spot_usd
        added += size * short_call_initial_margin_coin(spot_usd, call.strike, call.mark_price_coin)
        cash += size * call.sale_price_coin - trade_fee_coin(call.sale_price_coin, size)
    if trade.bought_back is not None:
        ask = trade.bought_back.ask_price_coin or trade.bought_back.mark_price_coin
        cash -= trade.size * ask + trade_fee_coin(ask, trade.size)
    return _margin_pct(trade, added, cash)


def _freed_margin_coin(trade: ProposedTrade) -> float:
    held = trade.bought_back
    if held is None:
        return 0.0
    return trade.size * short_call_initial_margin_coin(trade.market.spot_usd, held.strike, held.mark_price_coin)


def _margin_pct(trade: ProposedTrade, added_margin_coin: float, added_cash_coin: float) -> float | None:
    account = trade.account
    if not account.is_cross_margin:
        used, balance = account.initial_margin_coin + added_margin_coin, account.margin_balance_coin + added_cash_coin
        return None if balance <= 0.0 else 100.0 * used / balance
    if account.total_initial_margin_usd is None or account.total_margin_balance_usd is None:
        return None
    used_usd = account.total_initial_margin_usd + added_margin_coin * trade.market.spot_usd
    balance_usd = account.total_margin_balance_usd + added_cash_coin * trade.market.spot_usd
    return None if balance_usd <= 0.0 else 100.0 * used_usd / balance_usd
