"""One option position: signed size, average prices and what it has realised since the last settlement.

Sizes in coin (negative is short), prices in coin per contract, `average_price_usd` at the index of the trade.
Pure: arithmetic only.
"""

from __future__ import annotations

from dataclasses import dataclass

from paper_exchange.account.orders import AMOUNT_DECIMALS, Direction, sign_of


@dataclass(slots=True)
class Position:
    """A position, also for a while after it was closed (size 0), as Deribit keeps showing it.

    `session_price_coin` is what the profit since the last 08:00 UTC is counted from: the mark at that moment, or
    the average price where the position was opened later.
    """

    instrument_name: str
    size: float = 0.0
    average_price_coin: float = 0.0
    average_price_usd: float = 0.0
    session_price_coin: float = 0.0
    session_realized_coin: float = 0.0

    def closable(self, direction: Direction) -> float:
        """How much an order in this direction can take off the position."""
        return max(0.0, -sign_of(direction) * self.size)

    def apply_fill(self, direction: Direction, amount: float, price_coin: float, index_usd: float) -> float:
        """Change the position by a fill; the profit in coin of the part it closed, against the average price."""
        closed = min(amount, self.closable(direction))
        profit_coin = self._close(direction, closed, price_coin)
        opened = round(amount - closed, AMOUNT_DECIMALS)
        if opened > 0.0:
            self._open(direction, opened, price_coin, index_usd)
        return profit_coin

    def _close(self, direction: Direction, amount: float, price_coin: float) -> float:
        if amount <= 0.0:
            return 0.0
        sign = sign_of(direction)
        self.session_realized_coin += sign * amount * (self.session_price_coin - price_coin)
        profit_coin = sign * amount * (self.average_price_coin - price_coin)
        self.size = round(self.size + sign * amount, AMOUNT_DECIMALS)
        if self.size == 0.0:
            self.average_price_coin = self.average_price_usd = self.session_price_coin = 0.0
        return profit_coin

    def _open(self, direction: Direction, amount: float, price_coin: float, index_usd: float) -> None:
        held = abs(self.size)
        total = held + amount
        self.average_price_coin = (self.average_price_coin * held + price_coin * amount) / total
        self.average_price_usd = (self.average_price_usd * held + price_coin * index_usd * amount) / total
        self.session_price_coin = (self.session_price_coin * held + price_coin * amount) / total
        self.size = round(self.size + sign_of(direction) * amount, AMOUNT_DECIMALS)
