"""Private methods about orders: buy, sell, edit, cancel, and finding orders again.

In: parameters as Deribit names them. Out: what Deribit puts under `result`; RpcError where it would refuse. Coin
and milliseconds throughout. Talks to the paper account only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast, get_args

from paper_exchange.account.account import PaperAccount
from paper_exchange.account.orders import Direction, EditRequest, Order, OrderRequest, OrderType, TimeInForce, Trade
from paper_exchange.api import params as read
from paper_exchange.api.params import Params
from paper_exchange.api.replies import order_reply, trade_reply
from paper_exchange.market import errors
from paper_exchange.market.errors import invalid_params
from paper_exchange.shown.account import newest_first, orders_under

ORDER_ID = re.compile(r"([A-Z]+-)?\d{1,20}", re.ASCII)
NOT_SUPPORTED = ("advanced", "trigger", "trigger_price", "linked_order_type", "otoco_config", "display_amount")
HISTORY_DEFAULT, HISTORY_MOST = 20, 1_000


class PrivateOrders:
    """The order methods of one account."""

    def __init__(self, account: PaperAccount) -> None:
        self._account = account
        self._coins = tuple(account.state.balances_coin)
        self.methods: dict[str, Callable[[Params], Any]] = {
            "private/buy": lambda params: self._place(params, "buy"),
            "private/sell": lambda params: self._place(params, "sell"),
            "private/edit": self._edit,
            "private/edit_by_label": self._edit_by_label,
            "private/close_position": self._close_position,
            "private/cancel": self._cancel,
            "private/cancel_all": lambda params: self._cancel_where(params, lambda _: True),
            "private/cancel_all_by_currency": self._cancel_by_currency,
            "private/cancel_all_by_instrument": self._cancel_by_instrument,
            "private/cancel_all_by_kind_or_type": self._cancel_by_kind_or_type,
            "private/cancel_by_label": self._cancel_by_label,
            "private/get_order_state": self._order_state,
            "private/get_order_state_by_label": self._order_states_by_label,
            "private/get_open_orders": lambda params: self._open(params, lambda _: True),
            "private/get_open_orders_by_currency": self._open_by_currency,
            "private/get_open_orders_by_instrument": self._open_by_instrument,
            "private/get_open_orders_by_label": self._open_by_label,
            "private/get_order_history_by_currency": self._history_by_currency,
            "private/get_order_history_by_instrument": self._history_by_instrument,
        }

    # --- placing ---------------------------------------------------------------

    def _place(self, params: Params, direction: Direction) -> dict[str, Any]:
        return _with_trades(*self._account.submit(_order_request(params, direction)))

    def _edit(self, params: Params) -> dict[str, Any]:
        return self._change(_order_id(params), params)

    def _edit_by_label(self, params: Params) -> dict[str, Any]:
        """The one open order of an instrument under a label; 13032 where there are several."""
        name, label = read.text(params, "instrument_name"), read.text(params, "label")
        fitting = [
            order for order in self._account.open_orders() if (order.instrument_name, order.label) == (name, label)
        ]
        if len(fitting) == 0:
            raise errors.order_not_found()
        if len(fitting) > 1:
            raise errors.non_unique_order_label()
        return self._change(fitting[0].order_id, params)

    def _close_position(self, params: Params) -> dict[str, Any]:
        """An order of the position's size against it, reduce only."""
        name, order_type = read.text(params, "instrument_name"), read.text(params, "type")
        size = self._account.state.size_of(name)
        request = OrderRequest(
            instrument_name=name,
            direction="buy" if size < 0.0 else "sell",
            amount=abs(size) if size != 0.0 else self._account.listing_and_quote(name)[0].min_trade_amount,
            price_coin=read.number_or_none(params, "price"),
            order_type=cast(OrderType, read.choice({"type": order_type}, "type", get_args(OrderType), "")),
            reduce_only=True,
        )
        return _with_trades(*self._account.submit(request))

    def _change(self, order_id: str, params: Params) -> dict[str, Any]:
        request = EditRequest(
            order_id=order_id,
            amount=_amount_or_none(params),
            price_coin=read.number_or_none(params, "price"),
            post_only=read.flag_or_none(params, "post_only"),
            reject_post_only=read.flag_or_none(params, "reject_post_only"),
            reduce_only=read.flag_or_none(params, "reduce_only"),
            valid_until_ms=read.whole_or_none(params, "valid_until"),
        )
        return _with_trades(*self._account.edit(request))

    # --- cancelling ------------------------------------------------------------

    def _cancel(self, params: Params) -> dict[str, Any]:
        return order_reply(self._account.cancel(_order_id(params)))

    def _cancel_by_currency(self, params: Params) -> Any:
        currency = read.currency(params)
        return self._cancel_where(params, lambda order: order.currency == currency)

    def _cancel_by_instrument(self, params: Params) -> Any:
        name = read.text(params, "instrument_name")
        return self._cancel_where(params, lambda order: order.instrument_name == name)

    def _cancel_by_kind_or_type(self, params: Params) -> Any:
        """`currency` is one or a list; orders with a trigger, which these types name, do not exist here."""
        asked = params.get("currency")
        asked_list = asked if isinstance(asked, list) else [asked]
        wanted_coins = {coin for one in asked_list for coin in read.currencies({"currency": one}, self._coins)}
        kind = read.choice(params, "type", ("all", "limit", "trigger_all", "stop", "take", "trailing_stop"), "all")
        return self._cancel_where(params, lambda order: kind in ("all", "limit") and order.currency in wanted_coins)

    def _cancel_by_label(self, params: Params) -> Any:
        label, wanted_coins = read.text(params, "label"), read.currencies(params, self._coins)
        return self._cancel_where(params, lambda order: order.label == label and order.currency in wanted_coins)

    def _cancel_where(self, params: Params, wanted: Callable[[Order], bool]) -> Any:
        """How many were cancelled, or with `detailed` the orders themselves."""
        if not read.means_options(params):
            return [] if read.flag(params, "detailed") else 0
        cancelled = self._account.cancel_where(wanted)
        if read.flag(params, "detailed"):
            return [order_reply(order) for order in cancelled]
        return len(cancelled)

    # --- finding ---------------------------------------------------------------

    def _order_state(self, params: Params) -> dict[str, Any]:
        return order_reply(self._account.order(_order_id(params)))

    def _order_states_by_label(self, params: Params) -> list[dict[str, Any]]:
        """Open orders and the closed ones that are still remembered, newest first."""
        currency, label = read.currency(params), read.text(params, "label")
        return [order_reply(order) for order in orders_under(self._account.state, currency, label)]

    def _open_by_currency(self, params: Params) -> list[dict[str, Any]]:
        wanted_coins = read.currencies(params, self._coins)
        return self._open(params, lambda order: order.currency in wanted_coins)

    def _open_by_instrument(self, params: Params) -> list[dict[str, Any]]:
        name = read.text(params, "instrument_name")
        return self._open(params, lambda order: order.instrument_name == name)

    def _open_by_label(self, params: Params) -> list[dict[str, Any]]:
        currency, label = read.currency(params), read.text_or_none(params, "label")
        return self._open(params, lambda order: order.currency == currency and (label is None or order.label == label))

    def _open(self, params: Params, wanted: Callable[[Order], bool]) -> list[dict[str, Any]]:
        if not read.means_options(params):
            return []
        return [order_reply(order) for order in self._account.open_orders() if wanted(order)]

    def _history_by_currency(self, params: Params) -> list[dict[str, Any]]:
        wanted_coins = read.currencies(params, self._coins)
        return self._history(params, lambda order: order.currency in wanted_coins)

    def _history_by_instrument(self, params: Params) -> list[dict[str, Any]]:
        name = read.text(params, "instrument_name")
        return self._history(params, lambda order: order.instrument_name == name)

    def _history(self, params: Params, wanted: Callable[[Order], bool]) -> list[dict[str, Any]]:
        """Closed orders, newest first; those that never filled only with `include_unfilled`."""
        with_unfilled = read.flag(params, "include_unfilled")
        skipped = read.whole_or_none(params, "offset") or 0
        closed = [order for order in self._account.state.closed_orders.values() if wanted(order)]
        shown = [order for order in closed if with_unfilled or order.filled_amount > 0.0]
        rows = newest_first(shown)[skipped : skipped + read.count(params, HISTORY_DEFAULT, HISTORY_MOST)]
        return [order_reply(order) for order in rows]


# --- reading and writing ---------------------------------------------------------


def _order_request(params: Params, direction: Direction) -> OrderRequest:
    for name in NOT_SUPPORTED:
        if params.get(name) is not None:
            raise invalid_params(name, "not supported by the paper exchange")
    order_type = cast(OrderType, read.choice(params, "type", get_args(OrderType), "limit"))
    amount = _amount_or_none(params)
    if amount is None:
        raise invalid_params("amount", "value required")
    return OrderRequest(
        instrument_name=read.text(params, "instrument_name"),
        direction=direction,
        amount=amount,
        price_coin=read.number_or_none(params, "price") if order_type == "limit" else None,
        order_type=order_type,
        time_in_force=cast(
            TimeInForce, read.choice(params, "time_in_force", get_args(TimeInForce), "good_til_cancelled")
        ),
        label=read.text_or_none(params, "label") or "",
        post_only=read.flag(params, "post_only"),
        reject_post_only=read.flag(params, "reject_post_only"),
        reduce_only=read.flag(params, "reduce_only"),
        valid_until_ms=read.whole_or_none(params, "valid_until"),
    )


def _amount_or_none(params: Params) -> float | None:
    """`amount` in coin, or `contracts`, which is the same for inverse options."""
    amount = read.number_or_none(params, "amount")
    return read.number_or_none(params, "contracts") if amount is None else amount


def _order_id(params: Params) -> str:
    order_id = read.text(params, "order_id")
    if ORDER_ID.fullmatch(order_id) is None:
        raise invalid_params("order_id", "invalid_order_id")
    return order_id


def _with_trades(order: Order, trades: list[Trade]) -> dict[str, Any]:
    return {"order": order_reply(order), "trades": [trade_reply(trade) for trade in trades]}
