"""Orders and trades of the paper account: what is asked for, what rests, what was filled.

Amounts in coin (one contract is one coin), prices in coin per contract, times in milliseconds. An order changes
while it lives, everything else is frozen. Pure: data and arithmetic only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from paper_exchange.market.names import currency_of

Direction = Literal["buy", "sell"]
OrderType = Literal["limit", "market"]
TimeInForce = Literal["good_til_cancelled", "good_til_day", "fill_or_kill", "immediate_or_cancel"]
OrderState = Literal["open", "filled", "cancelled"]
Liquidity = Literal["M", "T"]

IMMEDIATE = frozenset({"fill_or_kill", "immediate_or_cancel"})
AMOUNT_DECIMALS = 8


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a client asks for with private/buy or private/sell."""

    instrument_name: str
    direction: Direction
    amount: float
    price_coin: float | None
    order_type: OrderType = "limit"
    time_in_force: TimeInForce = "good_til_cancelled"
    label: str = ""
    post_only: bool = False
    reject_post_only: bool = False
    reduce_only: bool = False
    valid_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class EditRequest:
    """What a client asks for with private/edit. `amount` is the new total, the filled part included."""

    order_id: str
    amount: float | None = None
    price_coin: float | None = None
    post_only: bool | None = None
    reject_post_only: bool | None = None
    reduce_only: bool | None = None
    valid_until_ms: int | None = None


@dataclass(slots=True)
class Order:
    """One order of the account. A market order's `price_coin` is the end of the price band (None in old files)."""

    order_id: str
    instrument_name: str
    direction: Direction
    amount: float
    price_coin: float | None
    order_type: OrderType
    time_in_force: TimeInForce
    label: str
    post_only: bool
    reject_post_only: bool
    reduce_only: bool
    created_at_ms: int
    updated_at_ms: int
    filled_amount: float = 0.0
    average_price_coin: float = 0.0
    state: OrderState = "open"
    cancel_reason: str | None = None
    replaced: bool = False

    @property
    def currency(self) -> str:
        """The coin the option is paid in."""
        return currency_of(self.instrument_name)

    @property
    def remaining(self) -> float:
        """What is not filled yet."""
        return round(self.amount - self.filled_amount, AMOUNT_DECIMALS)

    def add_fill(self, amount: float, price_coin: float, now_ms: int) -> None:
        """Count a fill; the order is filled when nothing remains."""
        filled = round(self.filled_amount + amount, AMOUNT_DECIMALS)
        paid_coin = self.average_price_coin * self.filled_amount + price_coin * amount
        self.average_price_coin = paid_coin / filled
        self.filled_amount = filled
        self.updated_at_ms = now_ms
        if self.remaining <= 0.0:
            self.state = "filled"


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill, with the market as it was."""

    trade_id: str
    trade_seq: int
    order_id: str
    instrument_name: str
    direction: Direction
    amount: float
    price_coin: float
    fee_coin: float
    liquidity: Liquidity
    traded_at_ms: int
    label: str
    order_type: OrderType
    order_state: OrderState
    post_only: bool
    reduce_only: bool
    profit_loss_coin: float
    mark_coin: float
    mark_iv_fraction: float
    index_usd: float
    underlying_usd: float

    @property
    def currency(self) -> str:
        """The coin the option is paid in."""
        return currency_of(self.instrument_name)


def sign_of(direction: Direction) -> int:
    """+1 for a buy, -1 for a sell."""
    return 1 if direction == "buy" else -1
