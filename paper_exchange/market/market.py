"""What the paper account and the public API need to know of a source of quotes.

The vocabulary between the markets (simulated, recorded, testnet) and everything built on them. Prices of options
are in coin, the index and strikes in USD, implied volatility as a fraction, times in milliseconds since 1970 as
Deribit gives them. No parsing here: each market fills these in its own way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

TICK_SIZE = 0.0001
TICK_STEPS = ((0.005, 0.0005),)
MIN_TRADE_AMOUNT = {"BTC": 0.1, "ETH": 1.0}


@dataclass(frozen=True, slots=True)
class Listing:
    """One listed option."""

    name: str
    currency: str
    strike_usd: float
    expires_at_ms: int
    is_call: bool
    created_at_ms: int
    settlement_period: str  # "day", "week" or "month", as Deribit says it
    min_trade_amount: float
    tick_size: float = TICK_SIZE
    tick_steps: tuple[tuple[float, float], ...] = TICK_STEPS

    def __hash__(self) -> int:
        """Equal listings have equal names; ten fields would be hashed for each of a thousand options."""
        return hash(self.name)


@dataclass(frozen=True, slots=True)
class Quote:
    """The book's top and the mark of one option. None: nobody shows that side, or its size was not recorded.

    `min_price_coin` and `max_price_coin` are the exchange's own price band where the source has seen it.
    """

    name: str
    bid_coin: float | None
    ask_coin: float | None
    bid_amount: float | None
    ask_amount: float | None
    mark_coin: float
    mark_iv_fraction: float
    underlying_price_usd: float
    underlying_index: str
    timestamp_ms: int
    open_interest: float = 0.0
    volume: float = 0.0
    last_coin: float | None = None
    min_price_coin: float | None = None
    max_price_coin: float | None = None


class Marked(Protocol):
    """What an open position is worth: a Quote, or the part of it that a market shows by its `mark(name)`."""

    @property
    def mark_coin(self) -> float: ...

    @property
    def mark_iv_fraction(self) -> float: ...

    @property
    def underlying_price_usd(self) -> float: ...


class Mark(NamedTuple):
    """The mark of one option, with its volatility and forward."""

    mark_coin: float
    mark_iv_fraction: float
    underlying_price_usd: float


@dataclass(frozen=True, slots=True)
class DeliveryPrice:
    """What options of one expiry settle at."""

    price_usd: float
    is_approximate: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """A candle of the index (USD) or of the volatility index (percent)."""

    opened_at_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0


class MarketClock(Protocol):
    """Time as the market tells it. Same shape as the agent's own clock protocol in models.py."""

    @property
    def is_stopped(self) -> bool:
        """Whether the run has been asked to end."""

    def now(self) -> datetime:
        """Aware UTC time."""

    def monotonic(self) -> float:
        """Seconds that never step back."""

    def sleep(self, seconds: float) -> None:
        """Let time pass; a simulated clock returns at once."""

    def wait_for_next(self, interval_seconds: float) -> bool:
        """Rest until the next iteration is due; False when nothing more will come."""


class Market(Protocol):
    """A source of quotes. Every answer is as of the market's own clock."""

    kind: str  # "simulated", "recorded" or "testnet"
    clock: MarketClock
    currencies: tuple[str, ...]

    def index_price(self, currency: str) -> float | None:
        """Index in USD, None where the source has not seen one yet."""

    def listings(self, currency: str) -> Sequence[Listing]:
        """Options that can be traded now."""

    def listing(self, name: str) -> Listing | None:
        """One option, also after its expiry as long as the source remembers it."""

    def quote(self, name: str) -> Quote | None:
        """The last quote of one option, None where there is none."""

    def quotes(self, currency: str) -> Sequence[Quote]:
        """The last quotes of all listed options of a currency."""

    def delivery_price(self, currency: str, expires_at_ms: int) -> DeliveryPrice | None:
        """Settlement price of a past expiry, None while it is not known."""

    def index_bars(self, currency: str, start_ms: int, end_ms: int, minutes: int) -> Sequence[Bar]:
        """Candles of the index that opened in [start, end], oldest first; empty where unknown."""

    def volatility_index_bars(self, currency: str, start_ms: int, end_ms: int, seconds: int) -> Sequence[Bar]:
        """Candles of DVOL in percent; empty where unknown."""
