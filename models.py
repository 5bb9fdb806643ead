"""The vocabulary of the agent: frozen models, the protocols between modules, and the error tree.

What an exchange says and is asked is written down in deribit/vocabulary.py, and handed on from here.
Every number says its unit at the end of its name: _usd, _coin (BTC or ETH), _pct (0 to 100), _fraction (0 to 1),
_days, _seconds; times end in _at and are aware UTC. Sizes of options are in coin (one contract is one coin).
Nothing here can be changed after it was made, and nothing infinite or not-a-number gets in. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

from pydantic import AwareDatetime

from core.chain import Listing, Quotes
from core.choices.decisions import (  # noqa: F401 - what a policy answers; handed on like the exchange's half
    Action,
    ActionOption,
    ActionType,
    Choice,
    ModelCall,
    ModelOutcome,
    ProposedAction,
    Reason,
    ScorePart,
)
from deribit.vocabulary import (  # noqa: F401 - all of it is handed on: this is where the vocabulary is read
    ROUNDING,
    SETTLEMENT_TYPES,
    UNDERLYINGS,
    UNKNOWN_AMOUNT_COIN,
    ApiCall,
    CoinAccount,
    Direction,
    Fill,
    Frozen,
    LedgerEntry,
    NonNegative,
    OptionInstrument,
    OptionPosition,
    OptionQuote,
    Order,
    OrderReceipt,
    OrderRequest,
    Positive,
    PriceBar,
    PriceSource,
    RawPosition,
    SendOutcome,
    Ticker,
    Underlying,
    own_label,
)

# --- the state ------------------------------------------------------------------


class MarketSnapshot(Frozen):
    """One coin's market. None where unknown: unknown is never treated as zero.

    `rv_days` is how many days of closes stand behind `rv_fraction`, `rv_source` whose closes they are: the index's, or
    those of its perpetual. Neither is in all older logs. `term_slope_fraction`: ATM IV at 30 days less that at 7;
    `iv_rank_fraction`: DVOL among those of a year (0 to 1); `rv_*_range_fraction`: from daily ranges (core/context/).
    `unknown`: why a figure is None. Older logs called the return of a week the regime.
    """

    underlying: Underlying
    spot_usd: Positive
    forward_usd: float | None = None
    atm_iv_fraction: float | None = None
    dvol_fraction: float | None = None
    rv_fraction: float | None = None
    rv_days: float | None = None
    rv_source: PriceSource | None = None
    iv_rv_ratio: float | None = None
    skew_25d_fraction: float | None = None
    return_1d_fraction: float | None = None
    return_7d_fraction: float | None = None
    return_30d_fraction: float | None = None
    rv_7d_fraction: float | None = None
    rv_30d_fraction: float | None = None
    rv_7d_range_fraction: float | None = None
    rv_30d_range_fraction: float | None = None
    iv_rank_fraction: float | None = None
    term_slope_fraction: float | None = None
    regime: Literal["bull", "sideways", "bear"] | None = None
    option_count: int = 0
    unknown: tuple[Reason, ...] = ()


class CandidateOption(Frozen):
    """A call the agent may sell. `premium_usd` is per contract, at `sale_price_coin`, after the fee.

    `premium_basis`: "bid" where the sale is worked towards a bid; "asked" where a side of the book is missing and the
    call is offered at the mark and left to rest. `floor_price_coin` is the least that an order would take,
    `tick_size_coin` the tick there; not in older logs, nor are `score_parts` (core/choices/scoring.py).
    """

    symbol: str
    underlying: Underlying
    strike: Positive
    expiry: AwareDatetime
    dte_days: Positive
    delta: float
    bid_price_coin: Positive | None
    ask_price_coin: float | None
    mid_price_coin: Positive
    mark_price_coin: Positive
    mark_iv_fraction: Positive
    spread_pct: float | None
    floor_price_coin: float | None = None
    tick_size_coin: float = 0.0
    premium_usd: float
    premium_basis: Literal["bid", "asked"] = "bid"
    yield_if_flat_pct: float
    yield_if_flat_annual_pct: float
    yield_if_called_pct: float
    breakeven_usd: float
    min_trade_amount_coin: Positive
    quoted_at: AwareDatetime
    score_parts: tuple[ScorePart, ...] = ()

    @property
    def score(self) -> float:
        """How good it is to sell, in points."""
        return math.fsum(part.points for part in self.score_parts)

    @property
    def is_offered_at_mark(self) -> bool:
        """Whether an order in it would rest at the price asked instead of being worked towards a bid."""
        return self.premium_basis == "asked"

    @property
    def sale_price_coin(self) -> float:
        """What the premium is counted at: the bid, or the price asked (the mark, where a side is missing)."""
        return self.mid_price_coin if self.bid_price_coin is None or self.is_offered_at_mark else self.bid_price_coin


class FunnelStep(Frozen):
    """How many options one rule turned away, in the order in which the rules are applied."""

    rule: str
    rejected: int


class FilterFunnel(Frozen):
    """From the whole chain to the candidates of one coin; `offered_at_mark`: those of `passed` that lack a side."""

    underlying: Underlying
    listed: int
    steps: tuple[FunnelStep, ...]
    passed: int
    offered_at_mark: int = 0


class NearMiss(Frozen):
    """A call that failed one setting only, and the change that would admit it."""

    symbol: str
    underlying: Underlying
    rule: str
    value: float | None
    limit: float
    premium_usd: float
    change: str


class PortfolioState(Frozen):
    """Everything the account holds. `other_positions` are derivatives that are not plain BTC or ETH options."""

    accounts: tuple[CoinAccount, ...]
    positions: tuple[OptionPosition, ...] = ()
    open_orders: tuple[Order, ...] = ()
    other_positions: tuple[RawPosition, ...] = ()
    value_usd: float | None = None


class ExpiryExposure(Frozen):
    """Short calls (held and resting in sell orders) of one coin and one expiry."""

    underlying: Underlying
    expiry: AwareDatetime
    short_calls_coin: float


class CoinRisk(Frozen):
    """Risk figures of one coin. `net_delta` is the options' delta, without the coins themselves."""

    underlying: Underlying
    margin_used_pct: float | None
    net_delta: float
    short_calls_coin: float
    resting_sells_coin: float
    coins_held: float

    @property
    def room_coin(self) -> float:
        """Coins not yet standing behind a call, sold or on offer."""
        return max(0.0, self.coins_held - self.short_calls_coin - self.resting_sells_coin)

    @property
    def is_uncovered(self) -> bool:
        """Whether more calls are sold than coins are held: coins may have left the account by another hand."""
        return self.short_calls_coin > self.coins_held + ROUNDING


class TradingState(StrEnum):
    """What the agent may do: everything, only buy back, or send no order at all."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class AgentState(Frozen):
    """All that a decision is made from. Reading it back from the log gives an equal state.

    `unresolved_symbols`: orders of ours whose end is not certain or too fresh; their coins wait. `waiting_underlyings`:
    coins that wait because the order log may not tell all. `orders_today`: those since 00:00 UTC that
    filled, were refused or are not over yet; the others are `unfilled_orders_today`. `restrictions`: why the trading
    state is not ACTIVE. `choices`: every action that the risk engine allows now; empty where nobody has asked it yet,
    as in older logs.
    """

    decision_id: str
    timestamp: AwareDatetime
    seed: int = 1
    markets: tuple[MarketSnapshot, ...]
    portfolio: PortfolioState
    risks: tuple[CoinRisk, ...] = ()
    expiry_exposures: tuple[ExpiryExposure, ...] = ()
    candidates: tuple[CandidateOption, ...] = ()
    funnels: tuple[FilterFunnel, ...] = ()
    near_misses: tuple[NearMiss, ...] = ()
    kill_switch_on: bool = False
    kill_note: str = ""
    unresolved_symbols: tuple[str, ...] = ()
    waiting_underlyings: tuple[Underlying, ...] = ()
    orders_today: int = 0
    unfilled_orders_today: int = 0
    trading_state: TradingState = TradingState.ACTIVE
    restrictions: tuple[Reason, ...] = ()
    choices: tuple[Choice, ...] = ()

    def market(self, underlying: str) -> MarketSnapshot | None:
        return next((market for market in self.markets if market.underlying == underlying), None)

    def account(self, underlying: str) -> CoinAccount | None:
        return next((acc for acc in self.portfolio.accounts if acc.currency == underlying), None)

    def risk(self, underlying: str) -> CoinRisk | None:
        return next((risk for risk in self.risks if risk.underlying == underlying), None)

    def candidates_for(self, underlying: str) -> tuple[CandidateOption, ...]:
        return tuple(option for option in self.candidates if option.underlying == underlying)

    def candidate(self, symbol: str | None) -> CandidateOption | None:
        return next((option for option in self.candidates if option.symbol == symbol), None)

    def short_calls(self, underlying: str) -> tuple[OptionPosition, ...]:
        held = (position for position in self.portfolio.positions if position.is_short_call)
        return tuple(position for position in held if position.underlying == underlying)

    def position(self, symbol: str | None) -> OptionPosition | None:
        return next((held for held in self.portfolio.positions if held.symbol == symbol), None)

    def choice_of(self, action: Action) -> Choice | None:
        """The allowed action of this type on these calls, whatever its size; None where there is none."""
        return next((choice for choice in self.choices if choice.is_like(action)), None)

    def refuses(self, action: Action) -> bool:
        """Whether the risk engine would refuse this action now; where nobody has asked it, nothing is refused."""
        return bool(self.choices) and self.choice_of(action) is None

    def open_orders_for(self, underlying: str) -> tuple[Order, ...]:
        return tuple(order for order in self.portfolio.open_orders if order.parts.underlying == underlying)


# --- verdict --------------------------------------------------------------------


class RiskResult(Frozen):
    """The risk engine's verdict with every reason, not only the first."""

    allowed: bool
    reasons: tuple[Reason, ...] = ()


class ShadowDecision(Frozen):
    """What another policy would have done on the same state: checked by the risk engine, never sent.

    `error`: it raised, took too long or returned nonsense; then its action is DO_NOTHING.
    """

    policy: str
    policy_hash: str
    action: ProposedAction
    check: RiskResult
    error: str | None = None


# --- execution ------------------------------------------------------------------


class LegResult(Frozen):
    """One leg of an action, as it ended. Slippage is per contract against the mid at the decision, bad is negative.

    A "resting" leg has not ended yet: its `order` is left on the book until shortly before the next decision.
    """

    label: str
    symbol: str
    direction: Direction
    requested_coin: float
    prices_tried_coin: tuple[float, ...] = ()
    filled_coin: float = 0.0
    avg_price_coin: float | None = None
    fee_coin: float | None = 0.0
    slippage_coin: float | None = None
    status: Literal["filled", "partly_filled", "not_filled", "resting", "rejected", "not_sent", "unknown"]
    order: Order | None = None
    refusal_code: int | None = None
    is_duplicated: bool = False
    note: str = ""


class ExecutionResult(Frozen):
    """How an approved action was carried out."""

    status: Literal["none", "filled", "partly_filled", "not_filled", "resting", "rejected", "unknown"]
    legs: tuple[LegResult, ...] = ()
    note: str = ""


# --- protocols ------------------------------------------------------------------


class Clock(Protocol):
    """The one source of time: the system's, a simulation's or a recording's."""

    @property
    def is_stopped(self) -> bool:
        """Whether the run has been asked to end."""

    def now(self) -> datetime:
        """Aware UTC time."""

    def monotonic(self) -> float:
        """Seconds that never step back."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""

    def wait_for_next(self, interval_seconds: float) -> bool:
        """Rest until the next iteration is due; False when nothing more will come."""


class ExchangeClient(Protocol):
    """What the agent asks of an exchange: Deribit over HTTP, or the paper exchange in the same process.

    Methods raise DeribitError; those that move an order raise nothing and say in the receipt what is known.
    """

    @property
    def clock(self) -> Clock:
        """Our own clock; the exchange's time is server_now."""

    @property
    def requests_made(self) -> int:
        """Requests since the iteration began, retries included."""

    @property
    def may_trade(self) -> bool:
        """Whether the key has the right to trade; assumed until the exchange has said so."""

    def close(self) -> None:
        """Let go of the connection."""

    def begin_iteration(self) -> None:
        """Limit requests and orders from here on, until end_iteration."""

    def end_iteration(self) -> tuple[ApiCall, ...] | None:
        """Lift the limits; the calls that were made, for the log. None where nothing goes over a wire."""

    def server_now(self) -> datetime:
        """The exchange's time, carried on from its last reply."""

    def kill_note(self) -> str | None:
        """What the kill file says, None where there is none."""

    def repeats_fatal_answer(self) -> bool:
        """After an answer that may end the process: ask once more; where the answer differs all is as before."""

    @property
    def fatal_answer(self) -> AgentError | None:
        """The answer after which nothing private is sent any more, None where there was none."""

    def get_time(self) -> datetime: ...

    def get_locked_status(self) -> str:
        """\"false\" when trading is open, else "true" or "partial"."""

    def get_index_price(self, currency: str) -> float: ...

    def get_instruments(self, currency: str) -> Listing: ...

    def get_instrument(self, symbol: str) -> OptionInstrument | None: ...

    def get_book_summaries(self, currency: str) -> Quotes:
        """The quotes of the whole chain."""

    def get_ticker(self, symbol: str) -> Ticker: ...

    def get_bars(self, currency: str, start_at: datetime, end_at: datetime, minutes: int = 60) -> tuple[PriceBar, ...]:
        """Closes of the coin's perpetual, oldest first."""

    def get_index_levels(self, currency: str, reach: str) -> tuple[PriceBar, ...]:
        """The index over a range that ends now ("1d", "1m"), oldest first, at the exchange's own spacing."""

    def get_dvol(self, currency: str, start_at: datetime, end_at: datetime) -> float | None: ...

    def get_dvol_days(self, currency: str, start_at: datetime, end_at: datetime) -> tuple[PriceBar, ...]:
        """Daily closes of DVOL as fractions, oldest first; that of the running day is the one now."""

    def get_open_orders(self) -> tuple[Order, ...]:
        """All resting orders of the account, whoever placed them."""

    def get_positions(self) -> tuple[RawPosition, ...]:
        """All positions that are not flat, of every kind."""

    def get_account_summaries(self) -> tuple[CoinAccount, ...]: ...

    def get_account_summary(self, currency: str) -> CoinAccount: ...

    def get_order_state(self, order_id: str) -> Order: ...

    def get_orders_by_label(self, currency: str, label: str) -> tuple[Order, ...]:
        """Recent orders with this label. Empty proves nothing for orders older than 30 minutes."""

    def get_trades_of_order(self, order_id: str) -> tuple[Fill, ...]: ...

    def get_transaction_log(self, currency: str, start_at: datetime, end_at: datetime) -> tuple[LedgerEntry, ...]:
        """What moved the balance in a time span, oldest first."""

    def place_limit_order(self, request: OrderRequest) -> OrderReceipt: ...

    def edit_order(self, order: Order, price_coin: float, quoted_at: datetime) -> OrderReceipt: ...

    def cancel_order(self, order_id: str) -> OrderReceipt: ...

    def note_closed(self, order: Order) -> None:
        """Write down that an order of ours is over."""

    def note_duplicated(self, label: str, symbol: str) -> None:
        """Write down that two orders carry one label."""


class OrderLog(Protocol):
    """Where every order is written before it leaves and after its outcome is known."""

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one line and force it to disk; raises LogWriteError, then no order may leave."""

    def note(self, record: Mapping[str, Any]) -> str | None:
        """Append a line about what has happened; one the disk does not take is kept. Says why it was not taken."""

    def knows(self, label: str) -> bool:
        """Whether an order of ours with this label is remembered."""


class DecisionLog(Protocol):
    """Where each iteration's line goes."""

    def write_line(self, text: str) -> None:
        """Append one line; raises LogWriteError."""


# --- errors ---------------------------------------------------------------------


class AgentError(Exception):
    """Base of all errors. `exit_code` is None where the loop goes on, else the process ends with it.

    `partial_result` is set where orders had been sent before the error.
    """

    exit_code: int | None = None
    partial_result: ExecutionResult | None = None


class ConfigurationError(AgentError):
    """A setting, option or file given at the start is wrong: the process ends before any request."""

    exit_code = 2


class AlreadyRunningError(AgentError):
    """Another agent holds the lock on this data folder: the process ends."""

    exit_code = 3


class LogWriteError(AgentError):
    """A log line could not be written: no order leaves without one; the loop goes on and tries again."""


class OrderTrialError(AgentError):
    """The test order of --check --with-order was refused or went astray: the check fails, what rests is taken back."""


class DeribitError(AgentError):
    """Anything that went wrong between the agent and the exchange: this iteration does nothing."""


class DeribitConnectionError(DeribitError):
    """No usable answer (network, timeout, gateway): reads were retried, then the iteration is skipped."""

    def __init__(self, message: str, was_sent: bool = True) -> None:
        self.was_sent = was_sent  # False only where nothing can have reached the exchange
        super().__init__(message)


class InvalidReplyError(DeribitError):
    """An answer that is not what Deribit documents: never used in part, the iteration is skipped."""


class ForeignReplyError(InvalidReplyError):
    """An answer to another request: thrown away, and asked again on a new connection."""


class RequestBudgetError(DeribitError):
    """An iteration has sent all the requests it may: nothing was sent, the iteration is skipped."""


class GatewayError(DeribitError):
    """Something before Deribit's API said no: the iteration is skipped, and the outcome of an order is unknown."""


class LedgerTooLongError(DeribitError):
    """More ledger entries than one reading takes: a shorter span is asked for in the next iteration."""


class RateLimitError(DeribitError):
    """Too many requests: the iteration is skipped, which waits long enough."""

    def __init__(self, message: str, is_definitely_refused: bool = True) -> None:
        self.is_definitely_refused = is_definitely_refused  # False where a gateway said so: the exchange may have acted
        super().__init__(message)


class RequestRefusedError(DeribitError):
    """Deribit answered with an error: the iteration does nothing and logs code, message, method and reason."""

    def __init__(self, method: str, code: int, message: str, reason: str | None = None) -> None:
        self.method, self.code, self.message, self.reason = method, code, message, reason
        super().__init__(f"{method} was refused: {code} {message}" + (f" ({reason})" if reason else ""))


class AuthenticationError(DeribitError):
    """The key was not accepted: nothing private is sent any more, and the second such answer ends the process."""

    exit_code = 4


class HaltedError(AgentError):
    """The last run halted itself: the process ends before any request, until a person starts it with --resume."""

    exit_code = 6


class WrongEnvironmentError(AgentError):
    """A host or an answer that is not testnet: nothing private is sent any more, the second ends the process.

    No DeribitError, so that no handler for the exchange's failures can swallow it.
    """

    exit_code = 5
