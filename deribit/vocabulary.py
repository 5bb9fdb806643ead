"""What an exchange says and is asked: instruments, quotes, accounts, orders, fills, and the base of all our models.

Read them from models.py, which hands them on: this is the half of the vocabulary that Deribit's documentation would
explain. Prices in coin per contract, amounts and balances in coin, times aware UTC; None where nobody knows. Pure.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationInfo

from deribit.symbols import SymbolParts, parse_symbol

Underlying = Literal["BTC", "ETH"]
PriceSource = Literal["index", "perpetual"]
UNDERLYINGS: tuple[Underlying, ...] = ("BTC", "ETH")
Direction = Literal["buy", "sell"]
OWN_LABEL = re.compile(r"cc-\d{12}-[0-9a-f]{6}-(buy|sell)", re.ASCII)
UNKNOWN_AMOUNT_COIN = 1e9  # stands for what a row does not say: more than any account holds
ROUNDING = 1e-9  # sums of sizes such as 0.1 + 0.2 must not count as above 0.3
FINAL_ORDER_STATES = frozenset({"filled", "cancelled", "rejected"})

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


def with_order_letter(order_id: str) -> str:
    """An order id as the logs write it: Deribit's are often digits alone, which pandas would read as a number."""
    return f"o-{order_id}"


def without_order_letter(written: str) -> str:
    """Deribit's own order id; older logs wrote it as it is."""
    return written.removeprefix("o-")


def _read_order_id(value: Any, info: ValidationInfo) -> Any:
    return without_order_letter(value) if info.mode == "json" and isinstance(value, str) else value


OrderId = Annotated[
    str, BeforeValidator(_read_order_id), PlainSerializer(with_order_letter, return_type=str, when_used="json")
]


def own_label(decision_id: str, direction: Direction) -> str:
    """The label of one order of a decision; OWN_LABEL is its form."""
    return f"cc-{decision_id}-{direction}"


class Frozen(BaseModel):
    """Base of all models: strict types, finite numbers, unknown fields refused, no changes."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class OptionInstrument(Frozen):
    """A listed option. Price ticks in coin: `tick_steps` are pairs (above price, tick)."""

    symbol: str
    underlying: Underlying
    strike: Positive
    expiry: AwareDatetime
    option_type: Literal["call", "put"]
    contract_size_coin: Positive
    min_trade_amount_coin: Positive
    tick_size_coin: Positive
    tick_steps: tuple[tuple[float, float], ...] = ()
    is_tradable: bool = True


class OptionQuote(NamedTuple):
    """One row of the chain; None where nobody quotes. A tuple because two thousand are made per iteration."""

    symbol: str
    bid_price_coin: float | None
    ask_price_coin: float | None
    mark_price_coin: float | None
    mark_iv_fraction: float | None
    underlying_price_usd: float | None
    quoted_at: datetime | None


class Ticker(Frozen):
    """The quote of one instrument just before trading it. Greeks as Deribit computes them."""

    symbol: str
    quoted_at: AwareDatetime
    state: str
    bid_price_coin: float | None
    bid_amount_coin: float | None
    ask_price_coin: float | None
    ask_amount_coin: float | None
    mark_price_coin: float
    last_price_coin: float | None
    min_price_coin: float | None
    max_price_coin: float | None
    index_price_usd: float
    underlying_price_usd: float | None = None
    mark_iv_fraction: float | None = None
    delta: float | None = None


class PriceBar(NamedTuple):
    """One step of a chart: when it ended and the price it closed at, in USD. A chart of the index gives just that."""

    closed_at: datetime
    close: float


class CoinAccount(Frozen):
    """The account in one coin. `total_*_usd` are set on cross-margin accounts only."""

    currency: str
    balance_coin: float
    equity_coin: float
    margin_balance_coin: float
    initial_margin_coin: float
    maintenance_margin_coin: float
    available_funds_coin: float
    options_value_coin: float = 0.0
    options_delta: float = 0.0
    delta_total: float = 0.0
    margin_model: str = "segregated_sm"
    is_cross_margin: bool = False
    total_margin_balance_usd: float | None = None
    total_initial_margin_usd: float | None = None

    @property
    def coins_held(self) -> float:
        """Coins that can stand behind calls: the balance, less what futures have lost.

        Marks of options are left out: a short inverse call never costs more than its coin, so its own mark takes no
        cover away. Never available_funds: cross margin shows foreign funds there.
        """
        return max(0.0, min(self.balance_coin, self.equity_coin - self.options_value_coin))


class OptionPosition(Frozen):
    """An option held: `size` is positive, `side` says which way. Prices in coin, quotes None where unknown.

    `delta` is the whole position's Black-Scholes delta with its sign, as Deribit reports it.
    """

    symbol: str
    underlying: Underlying
    option_type: Literal["call", "put"]
    strike: Positive
    expiry: AwareDatetime
    side: Literal["long", "short"]
    size: Positive
    avg_price: NonNegative
    mark_price_coin: float
    delta: float
    dte_days: float
    bid_price_coin: float | None = None
    ask_price_coin: float | None = None
    mark_iv_fraction: float | None = None
    quoted_at: AwareDatetime | None = None

    @property
    def is_short_call(self) -> bool:
        return self.side == "short" and self.option_type == "call"

    @property
    def captured_premium_pct(self) -> float:
        """Share of the premium of a short that has been earned if bought back at the ask (else at the mark)."""
        if self.avg_price <= 0:
            return 0.0
        cost = self.mark_price_coin if self.ask_price_coin is None else self.ask_price_coin
        return 100.0 * (1.0 - cost / self.avg_price)


class RawPosition(Frozen):
    """A position row before its instrument is known: signed size, any kind."""

    symbol: str
    kind: str
    size: float
    avg_price: float
    mark_price: float
    delta: float

    @property
    def parts(self) -> SymbolParts:
        return parse_symbol(self.symbol)

    @property
    def is_short_call(self) -> bool:
        return self.kind == "option" and self.size < 0.0 and self.parts.is_call

    @property
    def is_short_put(self) -> bool:
        return self.kind == "option" and self.size < 0.0 and self.parts.option_type == "put"


class Order(Frozen):
    """An order as the exchange last described it. Unknown states count as live, a flag that is None was not spoken of.

    `is_in_order_log`: its label is of another form than ours, but our order log knows it.
    """

    order_id: OrderId
    label: str
    symbol: str
    direction: Direction
    amount_coin: float
    filled_amount_coin: float
    avg_price_coin: float
    price_coin: float | None
    order_state: str
    post_only: bool | None = None
    reduce_only: bool | None = None
    is_liquidation: bool = False
    is_in_order_log: bool = False
    created_at: AwareDatetime

    @property
    def parts(self) -> SymbolParts:
        return parse_symbol(self.symbol)

    @property
    def is_live(self) -> bool:
        return self.order_state not in FINAL_ORDER_STATES

    @property
    def is_own(self) -> bool:
        """Whether we sent it; a person's `cc-january` is not ours."""
        return self.is_in_order_log or OWN_LABEL.fullmatch(self.label) is not None

    @property
    def unfilled_amount_coin(self) -> float:
        return max(0.0, self.amount_coin - self.filled_amount_coin)


class Fill(Frozen):
    """One fill; the fee is in coin."""

    trade_id: str
    order_id: OrderId
    symbol: str
    direction: Direction
    amount_coin: float
    price_coin: float
    fee_coin: float
    traded_at: AwareDatetime


# One line an option until July 2026; since then in the money the option's (the fee) and its future's (the payoff).
SETTLEMENT_TYPES = ("delivery", "expiry", "assignment", "exercise")


class LedgerEntry(Frozen):
    """One line of the exchange's transaction log, in coin: `change_coin` (fee included) led to `balance_coin`.

    `price_coin` of a delivery is the payoff per contract, `index_price_usd` what it was settled at.
    """

    currency: str
    entry_type: str
    symbol: str | None
    booked_at: AwareDatetime
    side: str | None = None
    amount_coin: float | None = None
    price_coin: float | None = None
    index_price_usd: float | None = None
    fee_coin: float = 0.0
    change_coin: float = 0.0
    balance_coin: float | None = None
    note: str | None = None

    @property
    def is_sale(self) -> bool:
        """Of a trade: whether it opened or closed by selling ("open sell", "close sell")."""
        return "sell" in (self.side or "")

    @property
    def before_fee_coin(self) -> float:
        """What it moved, without the fee: the premium of a sale, the payoff of a delivery."""
        return self.change_coin + self.fee_coin


class MarginQuote(Frozen):
    """Initial margin in coin of buying or selling, and the price band, as the exchange computes them."""

    buy_coin: float
    sell_coin: float
    min_price_coin: float
    max_price_coin: float


def ms_from_utc(moment: datetime) -> int:
    """An exchange's milliseconds since 1970 of an aware time."""
    return round(moment.timestamp() * 1000.0)


# --- orders on their way ---------------------------------------------------------


class SendOutcome(StrEnum):
    """What is known about a request that moves an order. UNKNOWN unless it is certain to be one of the first three."""

    NOT_SENT = "not_sent"
    REJECTED = "rejected"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"


class OrderRequest(Frozen):
    """One limit order on its way out; `quoted_at` is the time of the quote its price was taken from.

    `post_only`: refused where it would trade at once.
    """

    label: str = Field(max_length=64)
    symbol: str
    direction: Direction
    amount_coin: Positive
    price_coin: Positive
    reduce_only: bool = False
    post_only: bool = False
    quoted_at: AwareDatetime

    @property
    def parts(self) -> SymbolParts:
        return parse_symbol(self.symbol)


class OrderReceipt(Frozen):
    """What came back for an order request."""

    outcome: SendOutcome
    order: Order | None = None
    trades: tuple[Fill, ...] = ()
    error: str | None = None
    refusal_code: int | None = None


class ApiCall(Frozen):
    """One request as the log keeps it: never credentials, never whole replies."""

    method: str
    outcome: str
    attempts: int = 1
    duration_ms: float = 0.0
    detail: dict[str, Any] | None = None
