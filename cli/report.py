"""What people read: the block of an iteration, the status, the progress of long runs. Pure.

In: records of the decision log. Out: lines of at most 80 columns; text that came from outside is stripped of control
characters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from config import AgentConfig
from core.exposure import long_calls_of, order_takes
from core.results.settlements import expired_position, with_settlements_summed
from core.text import printable, wrapped
from logging_utils import IterationRecord
from models import (
    ROUNDING,
    UNDERLYINGS,
    UNKNOWN_AMOUNT_COIN,
    AgentState,
    LedgerEntry,
    LegResult,
    MarketSnapshot,
    Order,
    ShadowDecision,
    TradingState,
)

FEW_RV_DAYS = 15.0
INDENT = " " * 5


def console_block(record: IterationRecord, quiet: bool = False) -> str:
    """One iteration in a few lines: time, equity, markets, positions, decision, why, what was sent."""
    if quiet:
        limits = "" if record.trading_state == TradingState.ACTIVE else f"{record.trading_state} "
        said = f"{limits}{_outcome_word(record)}: {printable(record.proposed_action.reason)}"
        return wrapped(f"{record.timestamp:%Y-%m-%d %H:%M} {said}", INDENT)
    head = f"--- {record.timestamp:%Y-%m-%d %H:%M:%S} UTC  {record.mode} #{record.iteration}{_equities(record)}"
    return _block([head, *_limits_lines(record), *_state_lines(record.agent_state), *_decision_lines(record)])


def _block(lines: Iterable[str]) -> str:
    return "\n".join(wrapped(line, INDENT + "  ") for line in lines)


def _equities(record: IterationRecord) -> str:
    accounts = () if record.agent_state is None else record.agent_state.portfolio.accounts
    said = ", ".join(f"{account.equity_coin:.5f} {account.currency}" for account in accounts)
    return f"  equity {said}" if said else ""


def _limits_lines(record: IterationRecord) -> Iterator[str]:
    """What the agent may not do for now, and why; orders of another hand that it counts as sold."""
    state = record.agent_state
    why = [] if state is None else [str(reason) for reason in state.restrictions]
    if record.breaker is not None and record.breaker.why and not any(record.breaker.why in text for text in why):
        why.append(f"breaker: {record.breaker.why}")
    if record.trading_state != TradingState.ACTIVE:
        yield f"{INDENT}{record.trading_state}: {printable('; '.join(why))}"
    for order in () if state is None else state.portfolio.open_orders:
        if state is not None and not order.is_own:
            yield _foreign_line(order, state)


def _foreign_line(order: Order, state: AgentState) -> str:
    """An order of another hand, and whether coins are kept for it."""
    long_calls = long_calls_of(state.portfolio)
    is_counted = order.is_live and any(order_takes(order, coin, long_calls) > 0.0 for coin in UNDERLYINGS)
    amount = f"{order.amount_coin:g}" if order.amount_coin < UNKNOWN_AMOUNT_COIN else "an unknown amount of"
    word = "counted and left alone" if is_counted else "left alone"
    return (
        f"{INDENT}not ours, {word}: {order.direction} {amount} {printable(order.symbol) or 'something without a name'}"
    )


def _outcome_word(record: IterationRecord) -> str:
    """The action, and what became of it: blocked by which rule, or how its orders ended."""
    if record.executed_status != "none":
        return f"{record.action_type} ({record.executed_status})"
    if record.error is not None:
        return f"{record.action_type} (failed)"
    if not record.allowed:
        rules = sorted({reason.rule for reason in record.risk_engine_result.reasons})
        return f"{record.action_type} (blocked: {', '.join(rules)})"
    return record.action_type


def _state_lines(state: AgentState | None) -> Iterator[str]:
    if state is None:
        return
    for market in state.markets:
        yield (
            f"{market.underlying}  {market.spot_usd:>10,.2f} USD  IV {_pct(market.atm_iv_fraction)}  "
            f"RV {_realised(market)}  IV/RV {_number(market.iv_rv_ratio)}  "
            f"{len(state.candidates_for(market.underlying))} candidates of {market.option_count}"
        )
    for position in state.portfolio.positions:
        sign, verb = ("-", "sold") if position.side == "short" else ("+", "bought")
        yield (
            f"{INDENT}{sign}{position.size:g} {position.symbol}  {verb} at {position.avg_price:.4f}, mark "
            f"{position.mark_price_coin:.4f}, {position.dte_days:.1f} days left"
        )
    for risk in state.risks:
        shown_coin = math.fsum(call.size for call in state.short_calls(risk.underlying))
        if risk.short_calls_coin > shown_coin + ROUNDING:
            yield f"{INDENT}{risk.short_calls_coin:g} {risk.underlying} count as sold, more than the calls above"
    for miss in state.near_misses:
        if not state.candidates_for(miss.underlying) and not state.short_calls(miss.underlying):
            yield f"{INDENT}nearest miss: {miss.symbol} ({miss.premium_usd:.0f} USD) would pass with {miss.change}"


def _decision_lines(record: IterationRecord) -> list[str]:
    decision = f"{INDENT}{record.proposed_action.type}: {printable(record.proposed_action.reason)}"
    lines = [decision]
    lines += [f"{INDENT}blocked: {printable(str(reason))}" for reason in record.risk_engine_result.reasons]
    for leg in record.executed_action.legs:
        lines += _leg_lines(leg)
    lines += _lacking_candles(record)
    settled = (row for row in with_settlements_summed(record.ledger) if expired_position(row) is not None)
    lines += [_settlement_line(row) for row in settled]
    error = "" if record.error is None else printable(record.error.strip().splitlines()[-1])
    if error and error not in decision:
        lines += [f"{INDENT}error: {error}"]
    return [*lines, *(_shadow_line(shadow) for shadow in record.shadows)]


def _shadow_line(shadow: ShadowDecision) -> str:
    """What it would have done, and whether that would have been allowed; nothing of it was sent."""
    rules = sorted({reason.rule for reason in shadow.check.reasons})
    blocked = f" (blocked: {', '.join(rules)})" if rules else ""
    return (
        f"{INDENT}shadow {printable(shadow.policy)}: {shadow.action.type}{blocked}: {printable(shadow.action.reason)}"
    )


def _leg_lines(leg: LegResult) -> Iterator[str]:
    """An order's fate, and under it the prices on the way there."""
    fee = "not known" if leg.fee_coin is None else f"{leg.fee_coin:.6f}"
    amount = f"{leg.filled_coin:g} of {leg.requested_coin:g}"
    price = "" if leg.avg_price_coin is None else f" at {leg.avg_price_coin:.4f}, fee {fee}"
    note = f": {printable(leg.note)}" if leg.note else ""
    yield f"{INDENT}{leg.direction} {leg.symbol}: {leg.status}, {amount}{price}{note}"
    if leg.prices_tried_coin:
        yield f"{INDENT}  tried {' -> '.join(f'{price_coin:g}' for price_coin in leg.prices_tried_coin)}"


def _lacking_candles(record: IterationRecord) -> list[str]:
    """A recording that has just begun has no past of its own."""
    markets = () if record.agent_state is None else record.agent_state.markets
    if record.market != "recorded" or all(market.rv_fraction is not None for market in markets):
        return []
    return [f"{INDENT}RV unknown: give --candles (hourly candles of the weeks before)"]


def _settlement_line(entry: LedgerEntry) -> str:
    price = "" if entry.index_price_usd is None else f" at {entry.index_price_usd:,.2f} USD"
    return f"{INDENT}settled {entry.symbol}{price}: {entry.change_coin + 0.0:+.6f} {entry.currency}"


def _realised(market: MarketSnapshot) -> str:
    """Realised volatility, with the days behind it where they are few, and its source where it is not the index."""
    few = market.rv_days is not None and market.rv_days < FEW_RV_DAYS
    notes = ([f"{market.rv_days:.1f} days"] if few else []) + (["perpetual"] if market.rv_source == "perpetual" else [])
    return _pct(market.rv_fraction) + (f" ({', '.join(notes)})" if notes else "")


def _pct(fraction: float | None) -> str:
    return "unknown" if fraction is None else f"{100.0 * fraction:.1f} %"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def ended_sentence(leg: LegResult) -> str:
    """How an order that rested after a decision ended."""
    about = f"     {leg.direction} {leg.requested_coin:g} {leg.symbol}"
    prices = " -> ".join(f"{price_coin:g}" for price_coin in leg.prices_tried_coin)
    why = f" ({printable(leg.note)})" if leg.note else ""
    if leg.status == "filled":
        return f"{about}: rested at {prices} and was filled"
    if leg.status == "partly_filled":
        return f"{about}: rested at {prices}, {leg.filled_coin:g} filled,\n     the rest taken back{why}"
    if leg.status == "not_filled":
        return f"{about}: rested at {prices}, nobody took it,\n     taken back{why}"
    return f"{about}: rested at {prices}, its end is not known{why}"


def bid_sentence(config: AgentConfig) -> str:
    """What this run does with calls that nobody bids for."""
    return f"calls without a bid: {'not sold' if config.requires_bid else 'offered at the mark'}"


# --- status ------------------------------------------------------------------------------------------


def status_text(record: IterationRecord, now: datetime) -> str:
    """What the last line says, and how old it is."""
    own_time = ", that exchange's time" if record.market == "loopback" else ", simulated time"
    age = f" ({_age(now - record.timestamp)} ago)" if record.market == "testnet" else own_time
    lines = [
        f"last line: {record.timestamp:%Y-%m-%d %H:%M:%S} UTC{age}",
        f"{record.mode} run {record.run_id}, iteration {record.iteration}{_equities(record)}",
        *_limits_lines(record),
        *_state_lines(record.agent_state),
    ]
    orders = () if record.agent_state is None else record.agent_state.portfolio.open_orders
    lines += [
        f"{INDENT}open order: {o.direction} {o.amount_coin:g} {o.symbol} at {o.price_coin} ({o.label})" for o in orders
    ]
    return _block(lines + _decision_lines(record))


def _age(age: timedelta) -> str:
    minutes = age.total_seconds() / 60.0
    if minutes < 120:
        return f"{minutes:.0f} minutes"
    return f"{minutes / 60.0:.0f} hours" if minutes < 2880 else f"{minutes / 1440.0:.0f} days"


def progress_text(done: int, total: int, now: datetime, elapsed_seconds: float) -> str:
    """One line about a long run: how far, at which time of its market, how fast, how long still."""
    rate = done / max(elapsed_seconds, 1e-9)
    left_minutes = (total - done) / rate / 60.0
    return f"iteration {done} of {total}, {now:%Y-%m-%d %H:%M}, {rate:.0f} a second, about {left_minutes:.0f} min left"
