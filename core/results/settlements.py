"""One line an expired position, in whichever rows the exchange has booked it. Pure.

In: entries of the exchange's transaction log, in coin. Out: the same, with all rows of an expired position summed up.
Until July 2026 an option has one row, `delivery`. Since then it has `expiry` out of the money; in the money it settles
into the future of the same expiry, its own row (`assignment`, `exercise`) may hold the fee alone, and the future's
rows hold the rest. A summary row that moves nothing ends each settlement.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from deribit.symbols import future_of, kind_of, parse_symbol
from models import SETTLEMENT_TYPES, LedgerEntry

INTO_FUTURE_TYPES = ("assignment", "exercise")
FUTURE_TYPES = ("delivery", "settlement")
AND = " + "
SUMMARY_TYPE = "options_settlement_summary"
LONGEST_SETTLEMENT = timedelta(hours=12)  # the daily settlement of a future that is still traded is none of these

Entry = TypeVar("Entry", bound=LedgerEntry)


def expired_position(entry: LedgerEntry) -> str | None:
    """What a row settles: an option, or the future that options in the money became; None for any other row.

    Options in the money of one expiry share their future, whose rows cannot be told apart: they are one position.
    """
    symbol = symbols_of(entry)[0]
    kind = kind_of(symbol)
    if kind == "option" and entry.entry_type in SETTLEMENT_TYPES:
        return future_of(symbol) if entry.entry_type in INTO_FUTURE_TYPES else symbol
    return symbol if kind == "future" and entry.entry_type in FUTURE_TYPES and _is_expired(entry) else None


def symbols_of(entry: LedgerEntry) -> list[str]:
    """The symbol of a row; of a sum over several options of one expiry, all of them."""
    return (entry.symbol or "").split(AND)


def settled_at_usd(entries: Iterable[LedgerEntry]) -> dict[tuple[str, datetime], float]:
    """At what price each coin was settled at each expiry that the entries speak of, in USD."""
    found: dict[tuple[str, datetime], float] = {}
    for entry in entries:
        parts = parse_symbol(symbols_of(entry)[0])
        if expired_position(entry) is not None and parts.expiry is not None and entry.index_price_usd is not None:
            found[parts.underlying, parts.expiry] = entry.index_price_usd
    return found


def _is_expired(entry: LedgerEntry) -> bool:
    expiry = parse_symbol(entry.symbol or "").expiry
    return expiry is not None and expiry <= entry.booked_at <= expiry + LONGEST_SETTLEMENT


def with_settlements_summed(entries: Sequence[Entry]) -> list[Entry]:
    """The entries of one account, one row an expired position, where its last row stood.

    Summaries that moved nothing are left out. A sum has the type, side, amount and price of its option.
    """
    parts: dict[Hashable, list[Entry]] = {}
    for number, entry in enumerate(entries):
        position = expired_position(entry)
        key = number if position is None else (entry.currency, position)
        rows = [*parts.pop(key, []), entry]  # taken out and put in again: where the last row stood
        if entry.entry_type != SUMMARY_TYPE or entry.change_coin:
            parts[key] = rows
    return [_sum_of(rows) for rows in parts.values()]


def _sum_of(rows: list[Entry]) -> Entry:
    if len(rows) == 1:
        return rows[0]
    options = [row for row in rows if row.entry_type in INTO_FUTURE_TYPES] or rows[:1]
    prices_usd = [row.index_price_usd for row in (*options, *rows) if row.index_price_usd is not None]
    amounts_coin = [row.amount_coin for row in options if row.amount_coin is not None]
    said_once = {} if len(options) == 1 else {"price_coin": None}
    sums = {
        "symbol": AND.join(dict.fromkeys(row.symbol or "" for row in options)),
        "booked_at": rows[-1].booked_at,
        "amount_coin": math.fsum(amounts_coin) if len(amounts_coin) == len(options) else None,
        "index_price_usd": prices_usd[0] if prices_usd else None,
        "fee_coin": math.fsum(row.fee_coin for row in rows),
        "change_coin": math.fsum(row.change_coin for row in rows),
        "balance_coin": rows[-1].balance_coin,
    }
    return options[0].model_copy(update=sums | said_once)
