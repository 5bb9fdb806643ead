"""Errors as Deribit answers them: a code, a message and optional data, one named constructor per case.

In: nothing. Out: RpcError, which `exchange.py` turns into HTTP 400 with a JSON-RPC error body.
Source: Deribit's "Complete RPC Error Codes Reference" and recorded replies. Pure.
"""

from __future__ import annotations

from typing import Any


class RpcError(Exception):
    """A call that Deribit refuses. Nothing has changed in the account when it is raised."""

    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.data = data

    def body(self) -> dict[str, Any]:
        """The `error` member of the reply."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return error


# --- the call itself -----------------------------------------------------------


def parse_error() -> RpcError:
    """The body is not JSON."""
    return RpcError(-32700, "Parse error")


def invalid_request(reason: str) -> RpcError:
    """The body is JSON, but not a JSON-RPC request."""
    return RpcError(-32600, "Invalid Request", {"reason": reason})


def request_too_large() -> RpcError:
    """The body exceeds 32 kB."""
    return RpcError(-32600, "request entity too large")


def method_not_found() -> RpcError:
    """No such method, here or on Deribit."""
    return RpcError(-32601, "Method not found")


def invalid_params(param: str, reason: str) -> RpcError:
    """A parameter is missing or malformed; reasons are Deribit's wording."""
    return RpcError(-32602, "Invalid params", {"reason": reason, "param": param})


# --- who is calling ------------------------------------------------------------


def authorization_required() -> RpcError:
    """A private method without credentials."""
    return RpcError(10000, "authorization_required")


def invalid_credentials() -> RpcError:
    """Wrong key, wrong secret or a bad signature."""
    return RpcError(13004, "invalid_credentials")


def unauthorized() -> RpcError:
    """Token unknown or expired."""
    return RpcError(13009, "unauthorized", {"reason": "invalid_token"})


def forbidden() -> RpcError:
    """The token's scope does not cover the method."""
    return RpcError(13021, "forbidden")


# --- orders --------------------------------------------------------------------


def order_not_found() -> RpcError:
    """No order of ours with this id, or none that is still remembered."""
    return RpcError(10004, "order_not_found")


def price_too_low(limit_coin: float) -> RpcError:
    """Below the price band; the message carries the limit."""
    return RpcError(10005, f"price_too_low {limit_coin}")


def price_too_high(limit_coin: float) -> RpcError:
    """Above the price band; the message carries the limit."""
    return RpcError(10007, f"price_too_high {limit_coin}")


def not_enough_funds() -> RpcError:
    """Margin or premium exceeds what is available."""
    return RpcError(10009, "not_enough_funds")


def already_filled() -> RpcError:
    """The order has nothing left to change."""
    return RpcError(11008, "already_filled")


def invalid_reduce_only_order() -> RpcError:
    """reduce_only without an opposite position to reduce; code and wording as observed on testnet."""
    return RpcError(11030, "other_reject invalid_reduce_only_order")


def not_open_order() -> RpcError:
    """Cancel or edit of an order that is no longer open."""
    return RpcError(11044, "not_open_order")


def post_only_reject() -> RpcError:
    """reject_post_only on an order that would trade at once."""
    return RpcError(11054, "post_only_reject")


def post_only_not_allowed() -> RpcError:
    """post_only together with an order that must trade at once."""
    return RpcError(11055, "post_only_not_allowed")


def not_found() -> RpcError:
    """Unknown or expired instrument, in Deribit's wording."""
    return RpcError(13020, "not_found")


def temporarily_unavailable() -> RpcError:
    """The source of quotes has not shown this instrument or its index yet; worth another try."""
    return RpcError(13028, "temporarily_unavailable")


def non_unique_order_label() -> RpcError:
    """Several open orders under a label that has to name one."""
    return RpcError(13032, "non_unique_order_label")


def timed_out() -> RpcError:
    """valid_until had passed before the order was processed: it was not executed."""
    return RpcError(13888, "timed_out")
