"""How an order of ours ends: cancel what is left of it, count what was filled, and say so as the result of its leg.

In: the client, a leg, the order as it was last heard of. Out: LegResult and a line in the order log; coins and coin per
contract. Only errors that end the process are raised. Talks to Deribit through the client's protocol.
"""

from __future__ import annotations

import math
from typing import Literal

from models import DeribitError, ExchangeClient, LegResult, Order
from orders.order_planning import Leg
from orders.recovery import cancel_if_live

LegStatus = Literal["filled", "partly_filled", "not_filled", "resting", "rejected", "not_sent", "unknown"]


def finish_order(
    client: ExchangeClient, leg: Leg, amount: float, order: Order, tried: tuple[float, ...], note: str
) -> LegResult:
    """Cancel what is left and count what was filled, whatever the state says."""
    try:
        final = end_order(client, order)
    except DeribitError as error:
        if error.exit_code is not None:
            raise
        return leg_result(
            leg, amount, tried, order, 0.0, "unknown", f"{note} its outcome is not known: {error}".strip()
        )
    if final.is_live:
        return leg_result(leg, amount, tried, final, 0.0, "unknown", note or "the order may still be live")
    others = cancel_duplicates_of(client, leg, order)
    if others:
        result = leg_result(leg, amount, tried, final, None, "unknown", "two orders carry one label")
        return result.model_copy(update={"is_duplicated": True})
    if others is not None:
        client.note_closed(final)
    fee = _fees(client, final) if final.filled_amount_coin > 0.0 else 0.0  # None: could not be read
    return leg_result(leg, amount, tried, final, fee, _fill_status(final, amount), note)


def cancel_duplicates_of(client: ExchangeClient, leg: Leg, order: Order) -> list[Order] | None:
    """Duplicates that something on the way made of the same request, cancelled; None if they could not be looked up."""
    try:
        found = client.get_orders_by_label(leg.parts.underlying, leg.label)
    except DeribitError as error:
        if error.exit_code is not None:
            raise
        return None
    others = [one for one in found if one.order_id != order.order_id]
    if others:
        client.note_duplicated(leg.label, leg.symbol)
    return [cancel_if_live(client, one) for one in others]


def end_order(client: ExchangeClient, order: Order) -> Order:
    """The order once it has been taken back; asked for where the answer to that was lost."""
    if not order.is_live:
        return order
    return client.cancel_order(order.order_id).order or client.get_order_state(order.order_id)


def _fill_status(order: Order, amount: float) -> LegStatus:
    """Only the filled amount counts: a cancelled order may be partly filled."""
    if order.filled_amount_coin <= 0.0:
        return "not_filled"
    return "filled" if order.filled_amount_coin >= amount - 1e-9 else "partly_filled"


def _fees(client: ExchangeClient, order: Order) -> float | None:
    """Fees of all fills of an order; None where they cannot be read (the ledger has them too)."""
    try:
        trades = client.get_trades_of_order(order.order_id)
    except DeribitError:
        return None
    fees = {trade.trade_id: trade.fee_coin for trade in trades}  # the exchange may list a trade twice
    return sum(fees.values()) if fees else None


def leg_result(
    leg: Leg, amount: float, tried: tuple[float, ...], order: Order, fee: float | None, status: LegStatus, note: str
) -> LegResult:
    filled = order.filled_amount_coin
    avg_price = order.avg_price_coin if filled > 0.0 else None
    return LegResult(
        label=leg.label,
        symbol=leg.symbol,
        direction=leg.direction,
        requested_coin=amount,
        prices_tried_coin=tried,
        filled_coin=filled,
        avg_price_coin=avg_price,
        fee_coin=fee,
        slippage_coin=_slippage(leg, avg_price),
        status=status,
        note=note,
    )


def _slippage(leg: Leg, avg_price: float | None) -> float | None:
    if avg_price is None or leg.decision_mid_coin is None:
        return None
    slippage = avg_price - leg.decision_mid_coin if leg.is_sell else leg.decision_mid_coin - avg_price
    return slippage if math.isfinite(slippage) else None  # an absurd quote must not cost the line about a trade
