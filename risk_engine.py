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
from core.exposure import daily_limit_reasons
from core.pricing import floor_to_step, is_multiple_of_step, short_call_initial_margin_coin, trade_fee_coin
from core.quotes import age_problem, is_crossed, is_inside_collar
from core.trading_hours import settlement_problem
from deribit.symbols import parse_symbol
from models import (
    ROUNDING,
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
    action: ProposedAction
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


def judge_action(state: AgentState, action: ProposedAction, config: AgentConfig) -> RiskResult:
    """The same verdict with its reasons as pairs of rule and text, for those who go on with them."""
    reasons = tuple(_reasons_against(state, action, config))
    return RiskResult(allowed=not reasons, reasons=reasons)


def with_refused_closes(state: AgentState, config: AgentConfig) -> AgentState:
    """The state with the held calls that cannot be bought back now, so that a policy turns to what can be done."""
    held = [position for position in state.portfolio.positions if position.is_short_call]
    refused = (call.symbol for call in held if not judge_action(state, _closing_of(call, config), config).allowed)
    return state.model_copy(update={"refused_closes": tuple(refused)})


def _closing_of(call: OptionPosition, config: AgentConfig) -> ProposedAction:
    size = min(call.size, config.strategy(call.underlying).max_order_size)
    return ProposedAction(
        type=ActionType.CLOSE_COVERED_CALL, underlying=call.underlying, symbol=call.symbol, size=size, reason="?"
    )


def _reasons_against(state: AgentState, action: ProposedAction, config: AgentConfig) -> Iterator[Reason]:
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
        yield from rule(trade)


# --- what the rules look at -----------------------------------------------------------------------


def _trade(state: AgentState, action: ProposedAction, config: AgentConfig) -> ProposedTrade | None:
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


# --- the rules: each yields its reasons -----------------------------------------------------------


def kill_switch(trade: ProposedTrade) -> Iterator[Reason]:
    if trade.state.kill_switch_on:
        note = f" ({trade.state.kill_note!r})" if trade.state.kill_note else ""
        yield Reason(rule="kill_switch", text=f"the kill file exists{note}; remove it to trade again")


def settlement_window(trade: ProposedTrade) -> Iterator[Reason]:
    """Around 08:00 UTC options expire, positions change and books are closed."""
    problem = settlement_problem(trade.state.timestamp)
    if problem is not None:
        yield Reason(rule="settlement_window", text=f"{problem}")


def one_order_at_a_time(trade: ProposedTrade) -> Iterator[Reason]:
    """No new decision for a coin while an order of ours is live or its fate is unknown."""
    for order in trade.state.open_orders_for(trade.underlying):
        if order.is_own and order.is_live:
            yield Reason(rule="intent_pending", text=f"our order {order.label} on {order.symbol} is still live")
    for symbol in trade.state.unresolved_symbols:
        if parse_symbol(symbol).underlying == trade.underlying:
            text = f"our last order on {symbol} may still be open, or was filled within the last minute"
            yield Reason(rule="intent_pending", text=text)
    if trade.underlying in trade.state.waiting_underlyings:
        text = "an earlier run may have sent an order that is not in the order log; new orders wait"
        yield Reason(rule="intent_pending", text=text)


def trading_state(trade: ProposedTrade) -> Iterator[Reason]:
    """HALTED sends nothing; REDUCING buys back, and sells nothing."""
    state = trade.state
    if state.trading_state == TradingState.HALTED:
        yield Reason(rule="halted", text=f"{_why(state)}; look at the logs, then start with --resume")
    elif state.trading_state == TradingState.REDUCING and trade.sold is not None:
        yield Reason(rule="reducing", text=f"{_why(state)}")


def _why(state: AgentState) -> str:
    return "; ".join(str(reason) for reason in state.restrictions)


def orders_per_day(trade: ProposedTrade) -> Iterator[Reason]:
    """Each leg of a roll is an order; buying back alone is never stopped."""
    if trade.sold is None:
        return
    state, new = trade.state, 1 if trade.bought_back is None else 2
    yield from daily_limit_reasons(state.orders_today, state.unfilled_orders_today, new, trade.config.risk)


def foreign_derivatives(trade: ProposedTrade) -> Iterator[Reason]:
    """A position that cannot be judged (a future, a settling option) forbids new shorts."""
    for held in trade.state.portfolio.other_positions:
        if trade.sold is not None and held.parts.concerns(trade.underlying):
            yield Reason(
                rule="unknown_position",
                text=f"{held.symbol} ({held.size:g}) is not a plain option; no new call is sold while it is held",
            )


def order_size(trade: ProposedTrade) -> Iterator[Reason]:
    limit = trade.config.strategy(trade.underlying).max_order_size
    if not trade.size <= limit + ROUNDING:
        yield Reason(rule="order_size", text=f"{trade.size:g} is above max_order_size {limit:g}")
    if trade.sold is not None and not is_multiple_of_step(round(trade.size, 9), trade.sold.min_trade_amount_coin):
        yield Reason(rule="bad_size", text=f"{trade.size:g} is not a multiple of {trade.sold.min_trade_amount_coin:g}")


def roll_direction(trade: ProposedTrade) -> Iterator[Reason]:
    """A roll goes to another call that does not expire earlier."""
    if trade.sold is None or trade.bought_back is None:
        return
    if trade.sold.symbol == trade.bought_back.symbol:
        yield Reason(rule="bad_roll", text=f"{trade.sold.symbol} would be rolled into itself")
    if trade.sold.expiry < trade.bought_back.expiry:
        yield Reason(rule="bad_roll", text=f"{trade.sold.symbol} expires before {trade.bought_back.symbol}")


def time_to_expiry(trade: ProposedTrade) -> Iterator[Reason]:
    limit = trade.config.risk.min_minutes_to_expiry
    for option in (trade.sold, trade.bought_back):
        if option is None:
            continue
        minutes = (option.expiry - trade.state.timestamp).total_seconds() / 60.0
        if not minutes >= limit:
            yield Reason(
                rule="expiry", text=f"{option.symbol} expires in {minutes:.1f} minutes, at least {limit:g} needed"
            )


def quote_freshness(trade: ProposedTrade) -> Iterator[Reason]:
    limit = trade.config.risk.max_quote_age_seconds
    for option in (trade.sold, trade.bought_back):
        if option is None:
            continue
        if option.quoted_at is None:
            yield Reason(rule="quote_missing", text=f"{option.symbol} is not in the chain")
            continue
        age = age_problem(option.quoted_at, trade.state.timestamp, limit)
        if age is not None:
            yield Reason(rule="quote_age", text=f"the quote of {option.symbol} is {age}")


def quote_sanity(trade: ProposedTrade) -> Iterator[Reason]:
    """A sale never ends outside the collar; no leg trades on a crossed book."""
    for option in (trade.sold, trade.bought_back):
        if option is None:
            continue
        bid, ask = option.bid_price_coin, option.ask_price_coin
        if is_crossed(bid, ask):
            yield Reason(rule="quote_sanity", text=f"{option.symbol} is crossed, bid {bid:g} above ask {ask:g}")
    if trade.sold is not None:
        yield from _collar(trade.sold, trade.config.risk.price_collar_pct)


def _collar(call: CandidateOption, collar_pct: float) -> Iterator[Reason]:
    """Judged at the least an order would take, which is never below the bid nor far below the price asked."""
    lowest = call.sale_price_coin if call.floor_price_coin is None else call.floor_price_coin
    if not is_inside_collar(lowest, call.mark_price_coin, collar_pct, call.tick_size_coin):
        yield Reason(
            rule="price_collar",
            text=f"{lowest:g}, the least asked for {call.symbol}, is more than {collar_pct:g} % below "
            f"mark {call.mark_price_coin:g}",
        )


def coverage(trade: ProposedTrade) -> Iterator[Reason]:
    """Short calls held, calls on offer and this sale together never exceed the coins held."""
    if trade.sold is None:
        return
    risk = trade.risk
    after = risk.short_calls_coin + risk.resting_sells_coin - trade.freed_size + trade.sold_size
    if not (after <= risk.coins_held + ROUNDING and trade.sold_size > 0.0):
        yield Reason(
            rule="coverage",
            text=f"{after:g} {trade.underlying} of calls after the trade "
            f"(held {risk.short_calls_coin:g}, on offer {risk.resting_sells_coin:g}, this {trade.sold_size:g}, "
            f"bought back {trade.freed_size:g}) is above the {risk.coins_held:.6g} coins held",
        )


def margin_after(trade: ProposedTrade) -> Iterator[Reason]:
    if trade.sold is None:
        return
    limit = trade.config.risk.max_margin_pct
    after_pct = estimated_margin_pct(trade)
    if after_pct is None:
        yield Reason(rule="margin", text=f"margin of the {trade.underlying} account is not known")
    elif not after_pct <= limit:
        yield Reason(rule="margin", text=f"{after_pct:.1f} % used after the trade is above max_margin_pct {limit:g} %")


def margin_threshold(trade: ProposedTrade) -> Iterator[Reason]:
    """New shorts stop earlier than the limit itself."""
    if trade.sold is None:
        return
    risk = trade.config.risk
    threshold_pct = risk.max_margin_pct * risk.new_short_margin_pct_of_limit / 100.0
    used_pct = _margin_pct(trade, -_freed_margin_coin(trade), 0.0)
    if used_pct is not None and not used_pct <= threshold_pct:
        yield Reason(
            rule="margin_threshold",
            text=f"{used_pct:.1f} % already used is above {threshold_pct:.1f} % "
            f"({risk.new_short_margin_pct_of_limit:g} % of max_margin_pct {risk.max_margin_pct:g} %)",
        )


def net_delta(trade: ProposedTrade) -> Iterator[Reason]:
    if trade.sold is None:
        return
    limit = trade.config.risk.max_net_delta_fraction * trade.risk.coins_held
    after = trade.risk.net_delta - trade.sold.delta * trade.sold_size
    if trade.bought_back is not None:
        after -= trade.bought_back.delta * trade.size / trade.bought_back.size
    if not abs(after) <= limit + ROUNDING:
        yield Reason(
            rule="net_delta",
            text=f"{after:.3f} {trade.underlying} after the trade is beyond {limit:.3f} "
            f"(max_net_delta_fraction {trade.config.risk.max_net_delta_fraction:g}"
            f" of {trade.risk.coins_held:.6g} coins)",
        )


def expiry_exposure(trade: ProposedTrade) -> Iterator[Reason]:
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
        yield Reason(
            rule="expiry_exposure",
            text=f"{after:g} {trade.underlying} of calls expiring {trade.sold.expiry:%d %b %Y} is above "
            f"{limit:.6g} (max_expiry_exposure_fraction {fraction:g} of {trade.risk.coins_held:.6g} coins)",
        )


RULES: tuple[Callable[[ProposedTrade], Iterator[Reason]], ...] = (
    kill_switch,
    trading_state,
    settlement_window,
    orders_per_day,
    one_order_at_a_time,
    foreign_derivatives,
    order_size,
    roll_direction,
    time_to_expiry,
    quote_freshness,
    quote_sanity,
    coverage,
    margin_after,
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
