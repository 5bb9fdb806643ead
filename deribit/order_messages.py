"""What an order request says, and what its answer means.

In: an OrderRequest, or an order and its new price (coin); a reply's result. Out: parameters for Deribit, an
OrderReceipt. Pure.
"""

from __future__ import annotations

from typing import Any

from core.sending.order_gate import only_reduces, time_in_force
from deribit.replies import Row, read_order, read_trade
from models import Order, OrderReceipt, OrderRequest, SendOutcome


def read_receipt(result: Any) -> OrderReceipt:
    """buy, sell and edit answer with order and trades, cancel with the order alone."""
    row = Row(result)
    order = read_order(Row(row.get("order", result)))
    trades = tuple(read_trade(trade) for trade in row.rows("trades"))
    outcome = SendOutcome.REJECTED if order.order_state == "rejected" else SendOutcome.ACCEPTED
    return OrderReceipt(outcome=outcome, order=order, trades=trades)


def order_params(request: OrderRequest) -> dict[str, Any]:
    """What a new limit order is sent with; amount and price in coin."""
    return {
        "instrument_name": request.symbol,
        "amount": request.amount_coin,
        "type": "limit",
        "price": request.price_coin,
        "label": request.label,
        "time_in_force": time_in_force(request),
        "post_only": request.post_only,
        "reject_post_only": request.post_only,  # else Deribit moves the price instead
        "reduce_only": request.reduce_only,
    }


def edit_params(order: Order, price_coin: float) -> dict[str, Any]:
    """Nothing is left to what an exchange takes for granted."""
    return {
        "order_id": order.order_id,
        "amount": order.amount_coin,
        "price": price_coin,
        "post_only": order.post_only is True,
        "reject_post_only": order.post_only is True,
        "reduce_only": only_reduces(order),
    }
