"""check_action_allowed: the hard limits. Every rule is tried and every reason reported, with number and limit.

In: a state, an action, settings. Out: (allowed, reasons); each reason starts with the name of its rule. Margin is
estimated with Deribit's standard-margin formula, on the coin's own account, on totals for cross-margin accounts.
Sizes and prices in coin, spot in USD. Pure: no network, no disk, no clock; nothing may bypass it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from config import AgentConfig
from core.pricing import floor_to_step, is_multiple_of_step, short_call_initial_margin_coin, trade_fee_coin
from core.trading_hours import settlement_problem
from models import (
    ActionType,
    AgentState,
    CandidateOption,
    CoinAccount,
    CoinRisk,
    MarketSnapshot,
    OptionPosition,
    ProposedAction,
    TradingState,
    Underlying,
)

ROUNDING = 1e-9  # sums of sizes such as 0.1 + 0.2 must not count as above 0.3

SELLS = (ActionType.OPEN_COVERED_CALL, ActionType.ROLL_COVERED_CALL)
BUYS = (ActionType.CLOSE_COVERED_CALL, ActionType.ROLL_COVERED_CALL)


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
    """Whether the action may be carried out, and all the reasons why not."""
    if proposed_action.type == ActionType.DO_NOTHING:
        return True, []
    problems = list(_shape_problems(agent_state, proposed_action, config))
    if problems:
        return False, problems
    trade = _trade(agent_state, proposed_action, config)
    if trade is None:
        return False, [f"unknown_account: there is no market or account for {proposed_action.underlying}"]
    reasons = [reason for rule in RULES for reason in rule(trade)]
    return not reasons, reasons


# --- is it an action at all -----------------------------------------------------------------


def _shape_problems(state: AgentState, action: ProposedAction, config: AgentConfig) -> Iterator[str]:
    """What makes the other rules impossible to apply."""
    if action.underlying is None:
        yield "missing_underlying: the action names no coin"
        return
    if not config.strategy(action.underlying).enabled:
        yield f"disabled: {action.underlying}_ENABLED is false"
    if action.symbol is None or (action.type == ActionType.ROLL_COVERED_CALL) != (action.new_symbol is not None):
        yield f"missing_symbol: {action.type} needs {_symbols_needed(action.type)}"
        return
    if not action.size > 0.0:
        yield f"bad_size: size {action.size:g} must be above 0"
    sold = action.new_symbol if action.type == ActionType.ROLL_COVERED_CALL else action.symbol
    if action.type in SELLS:
        yield from _sold_problems(state, action, sold)
    if action.type in BUYS:
        yield from _bought_problems(state, action)


def _symbols_needed(kind: ActionType) -> str:
    return "symbol and new_symbol" if kind == ActionType.ROLL_COVERED_CALL else "symbol, and no new_symbol"


def _sold_problems(state: AgentState, action: ProposedAction, symbol: str | None) -> Iterator[str]:
    call = state.candidate(symbol)
    if call is None and symbol and not _could_be_a_call(symbol, action.underlying, state.timestamp):
        yield f"not_an_allowed_call: {symbol} is not a call on {action.underlying} that has not expired"
    elif call is None:
        yield f"symbol_not_in_state: {symbol} is not among this iteration's candidates"
    elif call.underlying != action.underlying:
        yield f"not_an_allowed_call: {symbol} is not a {action.underlying} option"


def _could_be_a_call(symbol: str, underlying: Underlying | None, now: datetime) -> bool:
    """By its name alone, as the instrument is not known; a date that does not exist counts as not expired."""
    coin, _, rest = symbol.strip().upper().partition("-")
    date, _, _ = rest.partition("-")
    try:
        is_over = datetime.strptime(f"{date} 08 +0000", "%d%b%y %H %z") <= now
    except ValueError:
        is_over = False
    return coin == underlying and rest.endswith("-C") and not is_over


def _bought_problems(state: AgentState, action: ProposedAction) -> Iterator[str]:
    held = state.position(action.symbol)
    if held is None or not held.is_short_call or held.underlying != action.underlying:
        yield f"nothing_to_close: no short {action.underlying} call {action.symbol} is held"
    elif action.size > held.size + ROUNDING:
        rule = "bad_roll" if action.type == ActionType.ROLL_COVERED_CALL else "nothing_to_close"
        yield f"{rule}: size {action.size:g} is above the {held.size:g} held"


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


def kill_switch(trade: ProposedTrade) -> Iterator[str]:
    if trade.state.kill_switch_on:
        note = f" ({trade.state.kill_note!r})" if trade.state.kill_note else ""
        yield f"kill_switch: {trade.config.risk.kill_file.name} exists{note}; remove it to trade again"


def settlement_window(trade: ProposedTrade) -> Iterator[str]:
    """Around 08:00 UTC options expire, positions change and books are closed."""
    problem = settlement_problem(trade.state.timestamp)
    if problem is not None:
        yield f"settlement_window: {problem}"


def one_order_at_a_time(trade: ProposedTrade) -> Iterator[str]:
    """No new decision for a coin while an order of ours is live or its fate is unknown."""
    for order in trade.state.open_orders_for(trade.underlying):
        if order.is_own and order.is_live:
            yield f"intent_pending: our order {order.label} on {order.symbol} is still live"
    for symbol in trade.state.unresolved_symbols:
        if symbol.startswith(f"{trade.underlying}-"):
            if symbol.endswith("-"):
                yield "intent_pending: lines of the order log cannot be read, so both coins wait for a minute"
            else:
                yield f"intent_pending: our last order on {symbol} is not surely over, or was filled within a minute"


def trading_state(trade: ProposedTrade) -> Iterator[str]:
    """HALTED sends nothing; REDUCING buys back, and sells nothing."""
    state = trade.state
    if state.trading_state == TradingState.HALTED:
        yield f"halted: {'; '.join(state.restrictions)}; start with --resume once you have looked"
    elif state.trading_state == TradingState.REDUCING and trade.sold is not None:
        yield f"reducing: {'; '.join(state.restrictions)}"


def orders_per_day(trade: ProposedTrade) -> Iterator[str]:
    limit, legs = trade.config.risk.max_orders_per_day, (trade.sold, trade.bought_back)
    after = trade.state.orders_today + sum(leg is not None for leg in legs)
    if trade.sold is not None and not after <= limit:
        yield f"orders_per_day: {after} orders today would be above max_orders_per_day {limit}"


def foreign_derivatives(trade: ProposedTrade) -> Iterator[str]:
    """A position that cannot be judged (a future, a settling option) forbids new shorts."""
    for held in trade.state.portfolio.other_positions:
        if trade.sold is not None and held.symbol.startswith(trade.underlying):
            yield f"unknown_position: {held.symbol} ({held.size:g}) is not a plain option; no new call beside it"


def order_size(trade: ProposedTrade) -> Iterator[str]:
    limit = trade.config.strategy(trade.underlying).max_order_size
    if not trade.size <= limit + ROUNDING:
        yield f"order_size: {trade.size:g} is above max_order_size {limit:g}"
    if trade.sold is not None and not is_multiple_of_step(round(trade.size, 9), trade.sold.min_trade_amount_coin):
        yield f"bad_size: {trade.size:g} is not a multiple of {trade.sold.min_trade_amount_coin:g}"


def roll_direction(trade: ProposedTrade) -> Iterator[str]:
    """A roll goes to another call that does not expire earlier."""
    if trade.sold is None or trade.bought_back is None:
        return
    if trade.sold.symbol == trade.bought_back.symbol:
        yield f"bad_roll: {trade.sold.symbol} would be rolled to itself"
    if trade.sold.expiry < trade.bought_back.expiry:
        yield f"bad_roll: {trade.sold.symbol} expires before {trade.bought_back.symbol}"


def time_to_expiry(trade: ProposedTrade) -> Iterator[str]:
    limit = trade.config.risk.min_minutes_to_expiry
    for option in (trade.sold, trade.bought_back):
        if option is None:
            continue
        minutes = (option.expiry - trade.state.timestamp).total_seconds() / 60.0
        if not minutes >= limit:
            yield f"expiry: {option.symbol} expires in {minutes:.1f} minutes, at least {limit:g} needed"


def quote_freshness(trade: ProposedTrade) -> Iterator[str]:
    limit = trade.config.risk.max_quote_age_seconds
    for option in (trade.sold, trade.bought_back):
        if option is None:
            continue
        if option.quoted_at is None:
            yield f"quote_missing: {option.symbol} is not in the chain"
            continue
        age_seconds = (trade.state.timestamp - option.quoted_at).total_seconds()
        if not -limit <= age_seconds <= limit:
            yield f"quote_age: the quote of {option.symbol} is {age_seconds:.0f} s old, at most {limit:g} s allowed"


def quote_sanity(trade: ProposedTrade) -> Iterator[str]:
    """A sell needs a mark and a bid inside the collar; no leg trades on a crossed book."""
    for option in (trade.sold, trade.bought_back):
        if option is None:
            continue
        bid, ask = option.bid_price_coin, option.ask_price_coin
        if bid is not None and ask is not None and not bid <= ask:
            yield f"quote_sanity: {option.symbol} is crossed, bid {bid:g} above ask {ask:g}"
    if trade.sold is not None:
        yield from _collar(trade.sold, trade.config.risk.price_collar_pct)


def _collar(call: CandidateOption, collar_pct: float) -> Iterator[str]:
    floor = call.mark_price_coin * (1.0 - collar_pct / 100.0)
    if not call.bid_price_coin >= floor:
        yield (
            f"price_collar: bid {call.bid_price_coin:g} of {call.symbol} is more than {collar_pct:g} % below "
            f"mark {call.mark_price_coin:g}"
        )


def coverage(trade: ProposedTrade) -> Iterator[str]:
    """Short calls held, calls on offer and this sale together never exceed the coins held."""
    if trade.sold is None:
        return
    risk = trade.risk
    after = risk.short_calls_coin + risk.resting_sells_coin - trade.freed_size + trade.sold_size
    if not (after <= risk.coins_held + ROUNDING and trade.sold_size > 0.0):
        yield (
            f"coverage: {after:g} {trade.underlying} of calls after the trade "
            f"(held {risk.short_calls_coin:g}, on offer {risk.resting_sells_coin:g}, this {trade.sold_size:g}, "
            f"bought back {trade.freed_size:g}) is above the {risk.coins_held:.6g} coins held"
        )


def margin_after(trade: ProposedTrade) -> Iterator[str]:
    if trade.sold is None:
        return
    limit = trade.config.risk.max_margin_pct
    after_pct = estimated_margin_pct(trade)
    if after_pct is None:
        yield f"margin: margin of the {trade.underlying} account is not known"
    elif not after_pct <= limit:
        yield f"margin: {after_pct:.1f} % used after the trade is above max_margin_pct {limit:g} %"


def margin_threshold(trade: ProposedTrade) -> Iterator[str]:
    """New shorts stop earlier than the limit itself."""
    if trade.sold is None:
        return
    risk = trade.config.risk
    threshold_pct = risk.max_margin_pct * risk.new_short_margin_pct_of_limit / 100.0
    used_pct = _margin_pct(trade, -_freed_margin_coin(trade), 0.0)
    if used_pct is not None and not used_pct <= threshold_pct:
        yield (
            f"margin_threshold: {used_pct:.1f} % already used is above {threshold_pct:.1f} % "
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
            f"net_delta: {after:.3f} {trade.underlying} after the trade is beyond {limit:.3f} "
            f"(max_net_delta_fraction {trade.config.risk.max_net_delta_fraction:g}"
            f" of {trade.risk.coins_held:.6g} coins)"
        )


def expiry_exposure(trade: ProposedTrade) -> Iterator[str]:
    if trade.sold is None:
        return
    fraction = trade.config.risk.max_expiry_exposure_fraction
    limit = fraction * trade.risk.coins_held
    after = trade.sold_size + sum(
        exposure.short_calls_coin
        for exposure in trade.state.expiry_exposures
        if exposure.underlying == trade.underlying and exposure.expiry == trade.sold.expiry
    )
    if trade.bought_back is not None and trade.bought_back.expiry == trade.sold.expiry:
        after -= trade.size
    if not after <= limit + ROUNDING:
        yield (
            f"expiry_exposure: {after:g} {trade.underlying} of calls expiring {trade.sold.expiry:%d %b %Y} is above "
            f"{limit:.6g} (max_expiry_exposure_fraction {fraction:g} of {trade.risk.coins_held:.6g} coins)"
        )


RULES: tuple[Callable[[ProposedTrade], Iterator[str]], ...] = (
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
    """Initial margin in percent of margin balance once the trade is done at bid (sale) and ask (buy-back).

    Portfolio-margin accounts are judged by the same standard-margin formula, which asks for more.
    """
    added, cash = -_freed_margin_coin(trade), 0.0
    if trade.sold is not None:
        call = trade.sold
        size, spot_usd = trade.sold_size, trade.market.spot_usd
        added += size * short_call_initial_margin_coin(spot_usd, call.strike, call.mark_price_coin)
        cash += size * call.bid_price_coin - trade_fee_coin(call.bid_price_coin, size)
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
