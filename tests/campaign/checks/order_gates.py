"""What every order on the wire must satisfy, judged from outside the agent (I3 I4 I5).

In: the parameters of a buy or sell, the exchange's market, the settings, what the agent was told about instruments and
quotes before it. Out: what is wrong with it, or None. Amounts and prices in coin. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from config import AgentConfig
from paper_exchange.market.market import Listing, Market
from tests.campaign.fuzz.reply_mutations import Reply

COLLAR_TICKS = 3  # two are allowed whatever the percentage, one more for rounding to our side
EPSILON = 1e-12


def gate_problem(
    params: dict[str, Any], method: str, market: Market, config: AgentConfig, told: Sequence[Reply]
) -> str | None:
    """The first gate that an order passed although it should not have."""
    listing = market.listing(str(params.get("instrument_name")))
    if listing is None or not listing.is_call:
        return f"{params.get('instrument_name')} is not a call the exchange lists"
    amount, price = params["amount"], params["price"]
    strategy = config.strategy(listing.currency)
    steps = {listing.min_trade_amount} | _told_numbers(told, listing.name, "min_trade_amount")
    ticks = {_tick_at(listing, price)} | _told_numbers(told, listing.name, "tick_size")
    checks = {
        "not a limit order": params["type"] == "limit",
        "a buy that is not reduce-only": method == "private/sell" or params["reduce_only"] is True,
        "amount": 0.0 < amount <= strategy.max_order_size and any(_is_multiple(amount, step) for step in steps),
        "price off the tick": price > 0.0 and any(_is_multiple(price, tick) for tick in ticks),
        "price outside the collar": _is_inside_collar(price, method, listing, config, told),
    }
    failed = [name for name, holds in checks.items() if not holds]
    return f"{', '.join(failed)}: {method} {params}" if failed else None


def _is_multiple(value: float, step: float) -> bool:
    return Decimal(repr(value)) % Decimal(repr(step)) == 0


def _tick_at(listing: Listing, price: float) -> float:
    return max([listing.tick_size] + [tick for above, tick in listing.tick_steps if price > above])


def _is_inside_collar(price: float, method: str, listing: Listing, config: AgentConfig, told: Sequence[Reply]) -> bool:
    """Not worse than the collar around the mark the agent was given last, whether that one was true or not."""
    told_marks = (_told_number(reply, listing.name, "mark_price") for reply in told)
    marks = [mark for mark in told_marks if mark is not None]
    if not marks:
        return False  # an order without a look at the quote
    mark, tick = marks[-1], max([listing.tick_size] + [tick for _, tick in listing.tick_steps])
    width = max(mark * config.risk.price_collar_pct / 100.0, 0.0) + COLLAR_TICKS * tick + EPSILON
    return price >= mark - width if method == "private/sell" else price <= mark + width


def _told_numbers(told: Sequence[Reply], symbol: str, field: str) -> set[float]:
    """An exchange that lies about its own steps gets what it asked for, and refuses it."""
    numbers = (_told_number(reply, symbol, field) for reply in told)
    return {number for number in numbers if number is not None and number > 0.0}


def _told_number(reply: Reply, symbol: str, field: str) -> float | None:
    """A number in a reply, None where it cannot be read or is about something else."""
    try:
        result = json.loads(reply.body)["result"]
        return float(result[field]) if result["instrument_name"] == symbol else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
