"""What a run earned, coin by coin, from the exchange's own ledger and the equity seen at its decisions. Pure.

In: ledger entries and equities in coin. Out: CoinEarnings in coin; costs are negative. Holding the coins changes no
equity in coin, so the change of equity is what the calls earned against holding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.results.settlements import expired_position
from models import LedgerEntry


@dataclass(frozen=True)
class CoinEarnings:
    """Earnings in one coin. `net_coin`: change of equity, open calls at their mark."""

    currency: str
    premium_coin: float
    bought_back_coin: float
    settled_coin: float
    fees_coin: float
    net_coin: float


def earnings(
    entries: Sequence[LedgerEntry], equity_first_coin: Mapping[str, float], equity_last_coin: Mapping[str, float]
) -> tuple[CoinEarnings, ...]:
    """One line a coin whose equity is known at both ends."""
    coins = [coin for coin in equity_first_coin if coin in equity_last_coin]
    return tuple(
        _of_coin(
            coin,
            [entry for entry in entries if entry.currency == coin],
            equity_last_coin[coin] - equity_first_coin[coin],
        )
        for coin in coins
    )


def _of_coin(coin: str, entries: Sequence[LedgerEntry], net_coin: float) -> CoinEarnings:
    trades = [entry for entry in entries if entry.entry_type == "trade"]
    settled = [entry for entry in entries if expired_position(entry) is not None]
    return CoinEarnings(
        currency=coin,
        premium_coin=math.fsum(_before_fee(entry) for entry in trades if _is_sale(entry)),
        bought_back_coin=math.fsum(_before_fee(entry) for entry in trades if not _is_sale(entry)),
        settled_coin=math.fsum(map(_before_fee, settled)),
        fees_coin=-math.fsum(entry.fee_coin for entry in (*trades, *settled)),
        net_coin=net_coin,
    )


def _is_sale(entry: LedgerEntry) -> bool:
    return "sell" in (entry.side or "")


def _before_fee(entry: LedgerEntry) -> float:
    return entry.change_coin + entry.fee_coin
