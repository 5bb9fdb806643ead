"""Builders for what came of it: steps of a log and rows of a ledger, by the hour.

Amounts in coin, hours from NOW on; a sale and a buy-back of 0.1 at the price given, with a fee of 0.00003.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from core.results.steps import Held, Sale, Step
from deribit.symbols import parse_symbol
from models import LedgerEntry
from tests.builders.states import NOW

FEE_COIN = 0.00003
SIZE_COIN = 0.1


def at_hour(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


def a_step(
    hours: float = 0.0,
    equity_coin: float | None = 1.0,
    balance_coin: float | None = None,
    held: Sequence[tuple[str, float]] = (),
    sale: Sale | None = None,
    bought_back: str | None = None,
    slippage_coin: dict[str, float] | None = None,
) -> Step:
    """A line about BTC at 90,000 USD; `held` are pairs of a call of 0.1 sold and its mark. No state without equity."""
    has_state = equity_coin is not None
    return Step(
        run_id="test-0001",
        iteration=round(hours) + 1,
        at=at_hour(hours),
        equity_coin={"BTC": equity_coin} if equity_coin is not None else {},
        balance_coin={"BTC": balance_coin if balance_coin is not None else equity_coin or 0.0} if has_state else {},
        spot_usd={"BTC": 90_000.0} if has_state else {},
        held=tuple(Held(symbol, SIZE_COIN, mark) for symbol, mark in held),
        sale=sale,
        bought_back=bought_back,
        slippage_coin=slippage_coin or {},
    )


def a_sale(symbol: str, hours: float, price_coin: float, side: str = "open sell") -> LedgerEntry:
    return a_booking("trade", symbol, hours, SIZE_COIN * price_coin, side)


def a_buy_back(symbol: str, hours: float, price_coin: float, amount_coin: float = SIZE_COIN) -> LedgerEntry:
    return a_booking("trade", symbol, hours, -amount_coin * price_coin, "close buy", amount_coin)


def a_booking(
    entry_type: str,
    symbol: str | None,
    hours: float,
    before_fee_coin: float,
    side: str | None = "close buy",
    amount_coin: float = SIZE_COIN,
    fee_coin: float = FEE_COIN,
    index_price_usd: float | None = 90_000.0,
) -> LedgerEntry:
    return LedgerEntry(
        currency="BTC" if symbol is None else parse_symbol(symbol).underlying,
        entry_type=entry_type,
        symbol=symbol,
        booked_at=at_hour(hours),
        side=side,
        amount_coin=amount_coin,
        index_price_usd=index_price_usd,
        fee_coin=fee_coin,
        change_coin=before_fee_coin - fee_coin,
    )
