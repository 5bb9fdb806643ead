"""Reading the parameters of public calls.

In: parameters as they arrive, JSON values or the strings of a query. Out: typed values. Anything unusable is the
RpcError Deribit answers with. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paper_exchange.market.errors import RpcError, invalid_params

Params = Mapping[str, Any]

CURRENCIES = ("BTC", "ETH", "USDC", "USDT", "EURR")


def currency_of(params: Params, extra: tuple[str, ...] = (), default: str | None = None) -> str:
    """The `currency` parameter: one of Deribit's coins, or one of the extra words a method knows."""
    value = params.get("currency", default)
    if value not in (*CURRENCIES, *extra):
        raise invalid_params("currency", "invalid currency")
    return str(value)


def text_of(params: Params, name: str) -> str:
    """A required word."""
    value = params.get(name)
    if not isinstance(value, str) or value == "":
        raise invalid_params(name, f"{name} required")
    return value


def integer_of(params: Params, name: str, default: int | None = None) -> int:
    """A whole number, required unless there is a default."""
    value = params.get(name, default)
    if isinstance(value, bool) or value is None:
        raise invalid_params(name, f"{name} required")
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise invalid_params(name, "must be an integer") from None


def flag_of(params: Params, name: str) -> bool:
    """A yes-or-no parameter, no where it is missing."""
    return params.get(name) in (True, "true")


def choice_of(params: Params, name: str, choices: Mapping[str, int]) -> int:
    """The meaning of one of a few words; numbers are accepted where the word is a number."""
    chosen = choices.get(str(params.get(name)))
    if chosen is None:
        raise invalid_params(name, f"must be one of: {', '.join(choices)}")
    return chosen


def coin_of_index(params: Params) -> str:
    """BTC of the index name btc_usd."""
    name = text_of(params, "index_name")
    coin = name.removesuffix("_usd").upper()
    if coin not in ("BTC", "ETH") or name != f"{coin.lower()}_usd":
        raise invalid_params("index_name", "unsupported index")
    return coin


def unavailable() -> RpcError:
    """The source of quotes has not seen this yet."""
    return RpcError(13028, "temporarily_unavailable")
