"""What people read: the block of an iteration, the status, the progress of long runs. Pure.

In: records of the decision log. Out: lines of text; text that came from outside is stripped of control characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from config import AgentConfig
from core.exposure import long_calls_of, order_takes
from core.results.earnings import CoinEarnings
from core.text import printable
from logging_utils import IterationRecord
from models import (
    SETTLEMENT_TYPES,
    UNDERLYINGS,
    UNKNOWN_AMOUNT_COIN,
    AgentState,
    LedgerEntry,
    MarketSnapshot,
    Order,
    TradingState,
)

FEW_RV_DAYS = 15.0


def console_block(record: IterationRecord, quiet: bool = False) -> str:
    """One iteration in a few lines: time, markets, positions, decision, why, what was sent."""
    decision = _decision_lines(record)
    if quiet:
        limits = "" if record.trading_state == TradingState.ACTIVE else f"{record.trading_state} "
        said = f"{limits}{_outcome_word(record)}: {printable(record.proposed_action.reason)}"
        return f"{record.timestamp:%Y-%m-%d %H:%M} {said}"
    head = f"--- {record.timestamp:%Y-%m-%d %H:%M:%S} UTC  {record.mode} #{record.iteration}"
    return "\n".join([head, *_limits_lines(record), *_state_lines(record.agent_state), *decision])


def _limits_lines(record: IterationRecord) -> Iterator[str]:
    """What the agent may not do for now, and why; orders of another hand that it counts as sold."""
    state = record.agent_state
    why = [] if state is None else [str(reason) for reason in state.restrictions]
    if record.breaker is not None and record.breaker.why and not any(record.breaker.why in text for text in why):
        why.append(f"breaker: {record.breaker.why}")
    if record.trading_state != TradingState.ACTIVE:
        yield f"     {record.trading_state}: {printable('; '.join(why))}"
    for order in () if state is None else state.portfolio.open_orders:
        if state is not None and not order.is_own:
            yield _foreign_line(order, state)


def _foreign_line(order: Order, state: AgentState) -> str:
    """An order of another hand, and whether coins are kept for it."""
    long_calls = long_calls_of(state.portfolio)
    is_counted = order.is_live and any(order_takes(order, coin, long_calls) > 0.0 for coin in UNDERLYINGS)
    amount = f"{order.amount_coin:g}" if order.amount_coin < UNKNOWN_AMOUNT_COIN else "an unknown amount of"
    word = "counted and left alone" if is_counted else "left alone"
    return f"     not ours, {word}: {order.direction} {amount} {printable(order.symbol) or 'something without a name'}"


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
        risk, account = state.risk(market.underlying), state.account(market.underlying)
        held = "no call" if risk is None or risk.short_calls_coin == 0 else f"short {risk.short_calls_coin:g} calls"
        equity = "" if account is None else f"  equity {account.equity_coin:.5f}"
        yield (
            f"{market.underlying}  {market.spot_usd:>10,.2f} USD  IV {_pct(market.atm_iv_fraction)}  "
            f"RV {_realised(market)}  IV/RV {_number(market.iv_rv_ratio)}{equity}  {held}  "
            f"{len(state.candidates_for(market.underlying))} candidates of {market.option_count}"
        )
    for position in state.portfolio.positions:
        sign, verb = ("-", "sold") if position.side == "short" else ("+", "bought")
        yield (
            f"     {sign}{position.size:g} {position.symbol}  {verb} at {position.avg_price:.4f}, mark "
            f"{position.mark_price_coin:.4f}, {position.dte_days:.1f} days left"
        )
    for miss in state.near_misses:
        if not state.candidates_for(miss.underlying) and not state.short_calls(miss.underlying):
            yield f"     nearest miss: {miss.symbol} ({miss.premium_usd:.0f} USD) would pass with {miss.change}"


def _decision_lines(record: IterationRecord) -> list[str]:
    lines = [f"     {record.proposed_action.type}: {printable(record.proposed_action.reason)}"]
    lines += [f"     blocked: {printable(str(reason))}" for reason in record.risk_engine_result.reasons]
    for leg in record.executed_action.legs:
        fee = "not known" if leg.fee_coin is None else f"{leg.fee_coin:.6f}"
        price = "" if leg.avg_price_coin is None else f" at {leg.avg_price_coin:.4f}, fee {fee}"
        tried = " -> ".join(f"{price_coin:g}" for price_coin in leg.prices_tried_coin)
        lines += [
            f"     {leg.direction} {leg.symbol}: {leg.status}, {leg.filled_coin:g} of {leg.requested_coin:g}{price}"
            f" (tried {tried or 'nothing'}){' ' + printable(leg.note) if leg.note else ''}"
        ]
    lines += _lacking_candles(record)
    lines += [_settlement_line(entry) for entry in record.ledger if entry.entry_type in SETTLEMENT_TYPES]
    error = "" if record.error is None else printable(record.error.strip().splitlines()[-1])
    if error and error not in lines[0]:
        lines += [f"     error: {error}"]
    return lines


def _lacking_candles(record: IterationRecord) -> list[str]:
    """A recording that has just begun has no past of its own."""
    markets = () if record.agent_state is None else record.agent_state.markets
    if record.market != "recorded" or all(market.rv_fraction is not None for market in markets):
        return []
    return ["     RV unknown: give --candles (hourly candles of the weeks before)"]


def _settlement_line(entry: LedgerEntry) -> str:
    price = "" if entry.index_price_usd is None else f" at {entry.index_price_usd:,.2f} USD"
    return f"     settled {entry.symbol}{price}: {entry.change_coin + 0.0:+.6f} {entry.currency}"


def _realised(market: MarketSnapshot) -> str:
    """Realised volatility, with the days behind it where they are few, and its source where it is not the index."""
    few = market.rv_days is not None and market.rv_days < FEW_RV_DAYS
    notes = ([f"{market.rv_days:.1f} days"] if few else []) + (["perpetual"] if market.rv_source == "perpetual" else [])
    return _pct(market.rv_fraction) + (f" ({', '.join(notes)})" if notes else "")


def _pct(fraction: float | None) -> str:
    return "unknown" if fraction is None else f"{100.0 * fraction:.1f} %"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def earnings_lines(found: Iterable[CoinEarnings]) -> list[str]:
    """What a run earned, a line a coin; nothing of a coin in which nothing happened."""
    return [
        f"{coin.currency}  premium {coin.premium_coin:+.4f}  bought back {coin.bought_back_coin:+.4f}  "
        f"settled {coin.settled_coin:+.4f}\n"
        f"     fees {coin.fees_coin:+.4f}  net against holding {coin.net_coin:+.4f} {coin.currency} (last decision)"
        for coin in found
        if coin.premium_coin or coin.bought_back_coin or coin.settled_coin
    ]


def bid_sentence(config: AgentConfig) -> str:
    """What this run does with calls that nobody bids for."""
    return f"calls without a bid: {'not sold' if config.requires_bid else 'offered at the mark'}"


# --- status ------------------------------------------------------------------------------------------


def status_text(record: IterationRecord, now: datetime) -> str:
    """What the last line says, and how old it is."""
    own_time = ", that exchange's time" if record.market == "loopback" else ", simulated time"
    age = f" ({_age(now - record.timestamp)} ago)" if record.market == "testnet" else own_time
    lines = [f"last line: {record.timestamp:%Y-%m-%d %H:%M:%S} UTC{age}, {record.mode} run {record.run_id}"]
    lines += [*_limits_lines(record), *_state_lines(record.agent_state)]
    orders = () if record.agent_state is None else record.agent_state.portfolio.open_orders
    lines += [
        f"     open order: {o.direction} {o.amount_coin:g} {o.symbol} at {o.price_coin} ({o.label})" for o in orders
    ]
    return "\n".join(lines + _decision_lines(record))


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
