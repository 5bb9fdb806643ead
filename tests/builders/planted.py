"""Four defects, one at a time in the paper account's rules: fees uncapped, margin wrong, deliveries late, fills at mid.

In: nothing. Out: context managers; a defect is in place while one lasts. A differential test that puts one into one of
its two sides, and sees no difference, compares nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import Any

from core import pricing
from paper_exchange.account import books, margins, settlement, valuation
from paper_exchange.account.books import Books
from paper_exchange.market.clocks import HOUR_MS
from tests.campaign.defects.defects import replaced

Defect = Callable[[], AbstractContextManager[None]]


@contextmanager
def fee_without_a_cap() -> Iterator[None]:
    uncapped = {**vars(pricing), "trade_fee_coin": lambda price, amount: pricing.TRADE_FEE_COIN * amount}
    with replaced(books, pricing=SimpleNamespace(**uncapped)):
        yield


@contextmanager
def margin_too_large() -> Iterator[None]:
    right = margins.position_initial_margin_coin
    with replaced(valuation, position_initial_margin_coin=lambda *figures: 1.1 * right(*figures)):
        yield


@contextmanager
def settlement_an_hour_late() -> Iterator[None]:
    right = settlement.expired_positions
    with replaced(settlement, expired_positions=lambda account, now_ms: right(account, now_ms - HOUR_MS)):
        yield


@contextmanager
def fills_at_mid() -> Iterator[None]:
    right = Books.book_fill

    def at_mid(self: Books, order: Any, amount: float, price_coin: float, liquidity: Any) -> None:
        quote = self.market.quote(order.instrument_name)
        assert quote is not None
        both = quote.bid_coin is not None and quote.ask_coin is not None
        mid_coin = ((quote.bid_coin or 0.0) + (quote.ask_coin or 0.0)) / 2.0
        right(self, order, amount, mid_coin if both else price_coin, liquidity)

    with replaced(Books, book_fill=at_mid):
        yield


DEFECTS: tuple[Defect, ...] = (fee_without_a_cap, margin_too_large, settlement_an_hour_late, fills_at_mid)
