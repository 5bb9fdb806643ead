"""The figures of the live page that stand in words: the strip, the coverage, the sum, what happens next. Pure.

In: an AccountView, the time, the settings. Out: small frozen records for the template. None where the log does not say:
the page shows a dash, never 0. Amounts in coin, prices in USD.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from core.trading_hours import last_delivery
from dashboard.live.account import AccountView
from models import AgentState, OptionPosition

STALE_INTERVALS = 2.0
USUAL_INTERVAL_SECONDS = 300.0
AHEAD_SECONDS = 5.0
MARKETS = {"testnet": "TESTNET market", "loopback": "LOOPBACK market", "simulated": "SIMULATED market"}
ACCOUNTS = {"testnet": "testnet account", "loopback": "account on this machine"}


@dataclass(frozen=True)
class Strip:
    """Market, account, state and age. `age_seconds` is None where the run's time is not ours."""

    market: str
    account: str
    trading_state: str
    kill_note: str | None
    at: datetime
    age_seconds: float | None
    is_stale: bool
    is_ahead: bool
    limit_seconds: float


def strip(view: AccountView, now: datetime) -> Strip:
    """Stale: a live run whose last line is older than two intervals."""
    last = view.last
    age = (now - last.at).total_seconds() if view.is_live else None
    limit = STALE_INTERVALS * (view.interval_seconds or USUAL_INTERVAL_SECONDS)
    return Strip(
        market=MARKETS.get(last.market, f"{last.market.upper()} market"),
        account=ACCOUNTS.get(last.mode, "paper account"),
        trading_state=last.trading_state,
        kill_note=view.state.kill_note if view.state is not None and view.state.kill_switch_on else None,
        at=last.at,
        age_seconds=age,
        is_stale=age is not None and age > limit,
        is_ahead=age is not None and age < -AHEAD_SECONDS,
        limit_seconds=limit,
    )


@dataclass(frozen=True)
class Coverage:
    """Coins held = sold + on offer + free; `uncovered_coin` is what is sold beyond them."""

    held_coin: float
    sold_coin: float
    offered_coin: float
    free_coin: float
    margin_used_pct: float | None

    @property
    def uncovered_coin(self) -> float:
        return max(0.0, self.sold_coin + self.offered_coin - self.held_coin)

    def share(self, amount_coin: float) -> float:
        """Of the coins held, as a fraction."""
        return amount_coin / self.held_coin if self.held_coin else 0.0


def coverage(state: AgentState | None, coin: str) -> Coverage | None:
    risk = None if state is None else state.risk(coin)
    if risk is None:
        return None
    amounts = (risk.coins_held, risk.short_calls_coin, risk.resting_sells_coin, risk.room_coin)
    return Coverage(*amounts, risk.margin_used_pct)


@dataclass(frozen=True)
class SumRow:
    """A part of the sum, in coin, and at the last spot in USD."""

    name: str
    words: str
    amount_coin: float
    amount_usd: float | None
    is_total: bool = False


def sum_rows(view: AccountView, coin: str) -> list[SumRow]:
    """What was earned against holding, part by part; then how the equity came from there."""
    found = view.earnings.get(coin)
    if found is None:
        return []
    moved = found.moved_coin
    parts = [
        ("premium_coin", f"premium, {found.sold} calls", found.premium_coin, False),
        ("bought_back_coin", "bought back", found.bought_back_coin, False),
        ("settled_coin", "deliveries", found.settled_coin, False),
        ("fees_coin", "fees", found.fees_coin, False),
        ("open_value_coin", "open calls", found.open_value_coin, False),
        ("net_coin", "over holding", found.net_coin, True),
        *([("moved_coin", "deposits and the like, not earned", moved, False)] if moved else []),
        *([("unexplained_coin", "not in the ledger of the log", found.unexplained_coin, False)]
          if abs(found.unexplained_coin) > 5e-9 else []),
        ("change_coin", "change of equity", found.equity_last_coin - found.equity_first_coin, True),
    ]  # fmt: skip
    spot = found.spot_last_usd
    return [
        SumRow(name, words, amount, None if spot is None else amount * spot, is_total)
        for name, words, amount, is_total in parts
    ]


@dataclass(frozen=True)
class NextSettlement:
    """The next 08:00 UTC after a moment, and which of our calls end there."""

    at: datetime
    in_seconds: float
    symbols: tuple[str, ...]


def next_settlement(state: AgentState | None, now: datetime) -> NextSettlement:
    at = last_delivery(now) + timedelta(days=1)
    held = () if state is None else state.portfolio.positions
    symbols = tuple(position.symbol for position in held if position.expiry == at)
    return NextSettlement(at, (at - now).total_seconds(), symbols)


@dataclass(frozen=True)
class HeldCall:
    """A row of the table of sold calls. `out_of_the_money_fraction` is negative in the money."""

    position: OptionPosition
    out_of_the_money_fraction: float | None
    sold_at: datetime | None


def held_calls(view: AccountView, coin: str) -> list[HeldCall]:
    """Those of one coin, the first to expire first."""
    if view.state is None:
        return []
    market = view.state.market(coin)
    spot_usd = None if market is None else market.spot_usd
    opened = {call.symbol: call.opened_at for call in view.calls if call.closed_at is None}
    rows = [
        HeldCall(held, None if spot_usd is None else held.strike / spot_usd - 1.0, opened.get(held.symbol))
        for held in view.state.portfolio.positions
        if held.is_short_call and held.underlying == coin
    ]
    return sorted(rows, key=lambda row: row.position.expiry)
