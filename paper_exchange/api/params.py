"""Reading the parameters of calls, public and private.

In: JSON values by name. Out: typed values; an absent parameter and a null are the same. Anything else is the
-32602 "Invalid params" Deribit answers with. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from paper_exchange.market.errors import invalid_params

Params = Mapping[str, Any]

CURRENCIES = ("BTC", "ETH", "USDC", "USDT", "EURR")  # what Deribit settles in; the paper exchange trades the first two
OPTIONS_TOO = (None, "option", "any")  # values of `kind` that mean options, perhaps among others


def text(params: Params, name: str) -> str:
    """A required, non-empty string."""
    value = text_or_none(params, name)
    if value is None or value == "":
        raise invalid_params(name, "value required")
    return value


def text_or_none(params: Params, name: str) -> str | None:
    """A string where there is one."""
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid_params(name, "must be a string")
    return value


def number(params: Params, name: str) -> float:
    """A required finite number."""
    value = number_or_none(params, name)
    if value is None:
        raise invalid_params(name, "value required")
    return value


def number_or_none(params: Params, name: str) -> float | None:
    """A finite number where there is one."""
    value = params.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid_params(name, "must be a number")
    if abs(value) > 1e15 or not math.isfinite(value):
        raise invalid_params(name, "out of range")
    return float(value)


def whole(params: Params, name: str, default: int | None = None) -> int:
    """A whole number, required unless there is a default."""
    value = whole_or_none(params, name)
    if value is not None:
        return value
    if default is None:
        raise invalid_params(name, "value required")
    return default


def whole_or_none(params: Params, name: str) -> int | None:
    """A whole number where there is one."""
    value = number_or_none(params, name)
    if value is None:
        return None
    if value != int(value):
        raise invalid_params(name, "must be an integer")
    return int(value)


def count(params: Params, default: int, most: int) -> int:
    """How many rows are wanted, between 1 and the most Deribit gives."""
    wanted = whole_or_none(params, "count")
    if wanted is None:
        return default
    if not 1 <= wanted <= most:
        raise invalid_params("count", f"must be between 1 and {most}")
    return wanted


def flag(params: Params, name: str) -> bool:
    """A boolean, false where it is absent."""
    value = flag_or_none(params, name)
    return False if value is None else value


def flag_or_none(params: Params, name: str) -> bool | None:
    """A boolean where there is one."""
    value = params.get(name)
    if value is not None and not isinstance(value, bool):
        raise invalid_params(name, "must be a boolean")
    return value


def choice(params: Params, name: str, allowed: Sequence[str], default: str) -> str:
    """One of a few words."""
    value = params.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or value not in allowed:
        raise invalid_params(name, f"must be one of: {', '.join(allowed)}")
    return value


def meaning(params: Params, name: str, meanings: Mapping[str, int]) -> int:
    """What one of a few words stands for; numbers are accepted where the word is a number."""
    found = meanings.get(str(params.get(name)))
    if found is None:
        raise invalid_params(name, f"must be one of: {', '.join(meanings)}")
    return found


def currency(params: Params, extra: tuple[str, ...] = (), default: str | None = None) -> str:
    """One of Deribit's currencies, traded here or not, or one of the extra words a method knows."""
    value = params.get("currency", default)
    if value not in (*CURRENCIES, *extra):
        raise invalid_params("currency", "invalid currency")
    return str(value)


def currencies(params: Params, known: Sequence[str]) -> list[str]:
    """The known ones among the currencies meant: one, or all for 'any' and where nothing is said."""
    if params.get("currency") in (None, "any"):
        return list(known)
    wanted = currency(params)
    return [name for name in known if name == wanted]


def coin_of_index(params: Params) -> str:
    """BTC of the index name btc_usd."""
    name = text(params, "index_name")
    coin = name.removesuffix("_usd").upper()
    if coin not in ("BTC", "ETH") or name != f"{coin.lower()}_usd":
        raise invalid_params("index_name", "unsupported index")
    return coin


def means_options(params: Params) -> bool:
    """Whether the `kind` asked for includes options."""
    return params.get("kind") in OPTIONS_TOO
