"""The private half of Deribit's API over the paper account: one table from method to function.

In: a method such as "private/sell" and its parameters. Out: what Deribit puts under `result`; RpcError where it
would answer with an error. Who may call is decided before, in `auth.py`.
"""

from __future__ import annotations

from typing import Any

from paper_exchange.account.account import PaperAccount
from paper_exchange.api.params import Params
from paper_exchange.api.private_account import PrivateAccount
from paper_exchange.api.private_orders import PrivateOrders
from paper_exchange.market.errors import method_not_found

TRADING_METHODS = ("private/buy", "private/sell", "private/edit", "private/cancel", "private/close_position")


class PrivateApi:
    """Answers private calls from one account."""

    def __init__(self, account: PaperAccount) -> None:
        self._methods = {**PrivateOrders(account).methods, **PrivateAccount(account).methods}

    def call(self, method: str, params: Params) -> Any:
        """The `result` of one call. Raises RpcError."""
        handler = self._methods.get(method)
        if handler is None:
            raise method_not_found()
        return handler(params)


def needs_trading_scope(method: str) -> bool:
    """Whether a method changes orders and needs trade:read_write."""
    return method.startswith(TRADING_METHODS)
