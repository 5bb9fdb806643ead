"""Orders, trades, positions and log entries of the paper account in Deribit's JSON of 2026.

In: records of the account (coin, fractions, milliseconds). Out: dictionaries with Deribit's field names and units
(IV in percent). Field lists follow recorded replies. Pure.
"""

from __future__ import annotations

from typing import Any

from paper_exchange.account.ledger import LogEntry
from paper_exchange.account.orders import Order, Trade
from paper_exchange.account.positions import Position
from paper_exchange.account.valuation import PositionFigures
from paper_exchange.shown.account import delivery_info, entry_price, settlement_price_usd, shown_position, tidy

USER_ID = 1


def direction_of(size: float) -> str:
    """buy, sell or zero."""
    if size == 0.0:
        return "zero"
    return "buy" if size > 0.0 else "sell"


def order_reply(order: Order) -> dict[str, Any]:
    """An order object. `cancel_reason` is there when the exchange has one."""
    reply = {
        "order_id": order.order_id,
        "instrument_name": order.instrument_name,
        "direction": order.direction,
        "amount": order.amount,
        "contracts": order.amount,
        "filled_amount": order.filled_amount,
        "average_price": tidy(order.average_price_coin),
        "price": "market_price" if order.price_coin is None else order.price_coin,
        "order_state": order.state,
        "order_type": order.order_type,
        "time_in_force": order.time_in_force,
        "label": order.label,
        "post_only": order.post_only,
        "reject_post_only": order.reject_post_only,
        "reduce_only": order.reduce_only,
        "replaced": order.replaced,
        "risk_reducing": False,
        "is_liquidation": False,
        "mmp": False,
        "api": True,
        "web": False,
        "user_id": USER_ID,
        "creation_timestamp": order.created_at_ms,
        "last_update_timestamp": order.updated_at_ms,
    }
    if order.cancel_reason is not None:
        reply["cancel_reason"] = order.cancel_reason
    return reply


def trade_reply(trade: Trade) -> dict[str, Any]:
    """A user trade. `mark_price` and `index_price` are as they were at the trade."""
    return {
        "trade_id": trade.trade_id,
        "trade_seq": trade.trade_seq,
        "order_id": trade.order_id,
        "instrument_name": trade.instrument_name,
        "direction": trade.direction,
        "amount": trade.amount,
        "contracts": trade.amount,
        "price": trade.price_coin,
        "fee": tidy(trade.fee_coin),
        "fee_currency": trade.currency,
        "liquidity": trade.liquidity,
        "timestamp": trade.traded_at_ms,
        "label": trade.label,
        "order_type": trade.order_type,
        "state": trade.order_state,
        "post_only": trade.post_only,
        "reduce_only": trade.reduce_only,
        "profit_loss": tidy(trade.profit_loss_coin),
        "mark_price": trade.mark_coin,
        "iv": round(100.0 * trade.mark_iv_fraction, 2),
        "index_price": trade.index_usd,
        "underlying_price": trade.underlying_usd,
        "tick_direction": 0,
        "self_trade": False,
        "matching_id": None,
        "risk_reducing": False,
        "mmp": False,
        "api": True,
        "user_id": USER_ID,
    }


def position_reply(figures: PositionFigures, position: Position) -> dict[str, Any]:
    """A row of get_positions: greeks and profits scaled by the signed size."""
    shown, greeks = shown_position(figures, position), figures.greeks
    return {
        "instrument_name": shown.instrument_name,
        "kind": "option",
        "direction": direction_of(shown.size),
        "size": shown.size,
        "average_price": shown.average_price_coin,
        "average_price_usd": round(position.average_price_usd, 6),
        "mark_price": shown.mark_coin,
        "index_price": figures.index_usd,
        "settlement_price": round(position.session_price_coin, 8),
        "delta": shown.delta,
        "gamma": round(greeks.gamma, 5) + 0.0,
        "vega": round(greeks.vega, 5) + 0.0,
        "theta": round(greeks.theta, 5) + 0.0,
        "initial_margin": tidy(figures.initial_margin_coin),
        "maintenance_margin": tidy(figures.maintenance_margin_coin),
        "open_orders_margin": tidy(figures.orders_margin_coin),
        "total_profit_loss": tidy(figures.total_profit_coin),
        "floating_profit_loss": tidy(figures.floating_profit_coin),
        "floating_profit_loss_usd": round(figures.floating_profit_usd, 6) + 0.0,
        "realized_profit_loss": tidy(position.session_realized_coin),
        "user_id": USER_ID,
    }


def log_reply(entry: LogEntry) -> dict[str, Any]:
    """A line of get_transaction_log: `cashflow` before the fee, `change` after it, `balance` afterwards."""
    return {
        "id": entry.entry_id,
        "user_seq": entry.entry_id,
        "type": entry.kind,
        "currency": entry.currency,
        "instrument_name": entry.instrument_name,
        "side": entry.side,
        "price": entry_price(entry),
        "price_currency": entry.currency if entry.price_usd is None else "USD",
        "amount": entry.amount,
        "contracts": entry.amount,
        "commission": tidy(entry.commission_coin),
        "cashflow": tidy(entry.cashflow_coin),
        "change": entry.change_coin,
        "balance": entry.balance_coin,
        "equity": tidy(entry.equity_coin),
        "position": entry.position_after,
        "mark_price": entry.mark_coin,
        "index_price": entry.index_usd,
        "timestamp": entry.booked_at_ms,
        "order_id": entry.order_id,
        "trade_id": entry.trade_id,
        "user_role": {"M": "maker", "T": "taker", None: None}[entry.liquidity],
        "info": delivery_info(entry),
        **_settlement_price(entry),
        "user_id": USER_ID,
        "username": "paper",
    }


def _settlement_price(entry: LogEntry) -> dict[str, float]:
    price_usd = settlement_price_usd(entry)
    return {} if price_usd is None else {"settlement_price": price_usd}


def settlement_reply(entry: LogEntry) -> dict[str, Any]:
    """A row of get_settlement_history: only deliveries of expired options are kept."""
    note = entry.delivery
    return {
        "type": "delivery" if entry.kind == "delivery" else "exercise",
        "timestamp": entry.booked_at_ms,
        "instrument_name": entry.instrument_name,
        "position": 0.0 if note is None else note.settled_size,
        "mark_price": entry.mark_coin,
        "index_price": entry.index_usd if note is None else note.delivery_price_usd,
        "profit_loss": 0.0 if note is None else tidy(note.profit_loss_coin),
        "session_profit_loss": 0.0 if note is None else tidy(note.session_profit_loss_coin),
        "funding": 0.0,
        "funded": 0.0,
        "socialized": 0.0,
    }
