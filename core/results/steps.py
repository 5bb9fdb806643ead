"""What the lines of a decision log say of an account: the figures that results are made of. Pure.

In: an IterationRecord, or the JSON object of a line of any version. Out: a Step: equity, balance and spot of each coin,
the short calls held, and what was sold or bought back on which decision. Amounts in coin, prices in USD or in coin per
contract; None and missing keys where a line does not say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from models import ActionType, LedgerEntry


@dataclass(frozen=True)
class Held:
    """A short call as the state of a line shows it, in coin and in coin per contract."""

    symbol: str
    size_coin: float
    mark_price_coin: float


@dataclass(frozen=True)
class Sale:
    """The call that a decision set out to sell, as its state showed it; `rolled_from`: the call it takes over from."""

    symbol: str
    rolled_from: str | None = None
    delta: float | None = None
    days: float | None = None
    spread_pct: float | None = None


@dataclass(frozen=True)
class Step:
    """One line. Without a state it knows no equity; `sale` and `bought_back` only where orders were sent."""

    run_id: str
    iteration: int
    at: datetime
    equity_coin: Mapping[str, float] = field(default_factory=dict)
    balance_coin: Mapping[str, float] = field(default_factory=dict)
    spot_usd: Mapping[str, float] = field(default_factory=dict)
    held: tuple[Held, ...] = ()
    sale: Sale | None = None
    bought_back: str | None = None
    slippage_coin: Mapping[str, float] = field(default_factory=dict)  # of sales that filled, by symbol

    @property
    def has_state(self) -> bool:
        return bool(self.equity_coin)


def step_of(line: object) -> Step | None:
    """The figures of a line or record; None where it does not even say when it was."""
    try:
        read = _Line.model_validate(line)
    except ValidationError:
        return None
    return _step(read)


def _step(read: _Line) -> Step:
    state, action = read.agent_state, read.proposed_action
    sent = action if read.executed_action is not None and read.executed_action.legs else None
    return Step(
        run_id=read.run_id,
        iteration=read.iteration,
        at=read.timestamp,
        slippage_coin=_slippages(read),
        sale=None if sent is None else _sale(sent, state),
        bought_back=sent.symbol if sent is not None and sent.type in BUYING_BACK else None,
        **({} if state is None else _figures(state)),
    )


@dataclass(frozen=True)
class LoggedStep:
    """A line's figures with what else its results hang on: how the run traded, and the ledger's rows."""

    step: Step
    mode: str
    ledger: tuple[LedgerEntry, ...]


def logged_step(line: bytes) -> LoggedStep | None:
    """What a line holds, read in one pass, which skips all the rest of it; None where that is not possible."""
    try:
        read = _LineWithLedger.model_validate_json(line)
    except ValidationError:
        return None
    return LoggedStep(_step(read), read.mode, read.ledger)


def is_about_orders(step: Step) -> bool:
    """Whether it says what was sold or bought back; the others matter for their equity only."""
    return bool(step.sale or step.bought_back or step.slippage_coin)


def steps_with_state(steps: Sequence[Step]) -> list[Step]:
    """Those that know the account, oldest first."""
    return sorted((step for step in steps if step.has_state), key=lambda step: step.at)


def is_before(entry: LedgerEntry, at: datetime) -> bool:
    """Whether an entry stands in the balance that a state read at that moment.

    Of the same moment are deliveries, which come before the reading, and the trades decided on it, which come after.
    """
    return entry.booked_at < at or (entry.booked_at == at and entry.entry_type != "trade")


# --- reading a line: only what is needed, and no more strictly than needed ------------------------------------

BUYING_BACK = (ActionType.ROLL_COVERED_CALL, ActionType.CLOSE_COVERED_CALL)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", from_attributes=True)


class _Account(_Part):
    currency: str
    balance_coin: float
    equity_coin: float


class _Market(_Part):
    underlying: str
    spot_usd: float


class _Position(_Part):
    symbol: str
    option_type: str
    side: str
    size: float
    mark_price_coin: float


class _Candidate(_Part):
    symbol: str
    delta: float | None = None
    dte_days: float | None = None
    spread_pct: float | None = None


class _Portfolio(_Part):
    accounts: tuple[_Account, ...] = ()
    positions: tuple[_Position, ...] = ()


class _State(_Part):
    markets: tuple[_Market, ...] = ()
    portfolio: _Portfolio
    candidates: tuple[_Candidate, ...] = ()


class _Action(_Part):
    type: str
    symbol: str | None = None
    new_symbol: str | None = None


class _Leg(_Part):
    symbol: str
    direction: str
    filled_coin: float = 0.0
    slippage_coin: float | None = None


class _Execution(_Part):
    legs: tuple[_Leg, ...] = ()


class _Line(_Part):
    run_id: str = ""
    iteration: int = 0
    timestamp: AwareDatetime
    agent_state: _State | None = None
    proposed_action: _Action | None = None
    executed_action: _Execution | None = None
    ended_orders: tuple[_Leg, ...] = ()


class _LineWithLedger(_Line):
    mode: str
    ledger: tuple[LedgerEntry, ...] = ()


def _figures(state: _State) -> dict[str, Any]:
    accounts = state.portfolio.accounts
    shorts = (held for held in state.portfolio.positions if held.side == "short" and held.option_type == "call")
    return {
        "equity_coin": {account.currency: account.equity_coin for account in accounts},
        "balance_coin": {account.currency: account.balance_coin for account in accounts},
        "spot_usd": {market.underlying: market.spot_usd for market in state.markets},
        "held": tuple(Held(held.symbol, held.size, held.mark_price_coin) for held in shorts),
    }


def _sale(action: _Action, state: _State | None) -> Sale | None:
    is_roll = action.type == ActionType.ROLL_COVERED_CALL
    symbol = action.new_symbol if is_roll else action.symbol
    if symbol is None or action.type not in (ActionType.ROLL_COVERED_CALL, ActionType.OPEN_COVERED_CALL):
        return None
    shown = next((call for call in (() if state is None else state.candidates) if call.symbol == symbol), None)
    about = {} if shown is None else {"delta": shown.delta, "days": shown.dte_days, "spread_pct": shown.spread_pct}
    return Sale(symbol, rolled_from=action.symbol if is_roll else None, **about)


def _slippages(line: _Line) -> dict[str, float]:
    legs = (*line.ended_orders, *(() if line.executed_action is None else line.executed_action.legs))
    sold = [leg for leg in legs if leg.direction == "sell" and leg.filled_coin > 0.0 and leg.slippage_coin is not None]
    return {leg.symbol: (leg.slippage_coin or 0.0) * leg.filled_coin for leg in sold}
