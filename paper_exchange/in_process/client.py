"""InProcessClient: the agent's client on the paper exchange in the same process. No HTTP, no JSON, no network.

In: a paper account on its market, settings, an order log. Out: models of models.py, RequestRefusedError where the
exchange refuses. The account, its rules and its roundings are those of the server; what comes before an order is
core/sending/order_gate.py, as for DeribitClient. A test holds runs through either equal.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from config import AgentConfig
from core.chain import Listing, Quotes
from core.sending.order_gate import OrderGate, only_reduces, time_in_force
from core.text import quotable
from models import (
    AgentError,
    Clock,
    CoinAccount,
    Fill,
    LedgerEntry,
    OptionInstrument,
    Order,
    OrderLog,
    OrderReceipt,
    OrderRequest,
    PriceBar,
    RawPosition,
    RequestRefusedError,
    SendOutcome,
    Ticker,
)
from paper_exchange.account import orders as account_orders
from paper_exchange.account.account import PaperAccount
from paper_exchange.account.positions import Position
from paper_exchange.in_process import readings
from paper_exchange.in_process.levels import LevelMemory
from paper_exchange.in_process.listings import ListingMemory
from paper_exchange.market import lookup
from paper_exchange.market.clocks import now_ms, to_ms
from paper_exchange.market.errors import RpcError
from paper_exchange.shown.account import TRADES_SHOWN, entries_between, orders_under, trades_where

HOUR_SECONDS = 3_600
DAY_SECONDS = 24 * HOUR_SECONDS
# On the wire a login is due every 14 minutes, and its request puts off the renewal of an hourly series by an iteration.
# It is counted here too, so that a run reads the same closes at the same time through either client.
LOGIN_SECONDS = 840.0


class InProcessClient(OrderGate):
    """One client of one account. `read_kill_note` says what a kill file says, None where there certainly is none."""

    fatal_answer: AgentError | None = None  # there is no key, certificate or host that could be wrong
    may_trade = True

    def __init__(
        self,
        account: PaperAccount,
        config: AgentConfig,
        order_log: OrderLog | None,
        read_kill_note: Callable[[], str | None],
    ) -> None:
        super().__init__(config, order_log)
        self._account, self._market = account, account.market
        self._levels, self._listings = LevelMemory(account.market), ListingMemory(account.market)
        self._read_kill_note = read_kill_note
        self._login_ends_at_seconds = 0.0
        self._caught_up = (-1, -1)  # time in milliseconds and revision of the account, when it last caught up
        self.requests_made = 0  # questions since the iteration began, logins included

    @property
    def clock(self) -> Clock:
        return self._market.clock

    def close(self) -> None:
        """Nothing is held open."""

    def begin_iteration(self) -> None:
        """Limit orders from here on, until end_iteration."""
        self._limit_orders()
        self.requests_made = 0

    def end_iteration(self) -> None:
        """Lift the limit. No request was sent, so there is none to tell of."""
        self._lift_limit()
        self.requests_made = 0

    def server_now(self) -> datetime:
        return self._market.clock.now()

    def kill_note(self) -> str | None:
        return self._read_kill_note()

    def repeats_fatal_answer(self) -> bool:
        """There never was one."""
        return False

    def _asked(self, method: str) -> _Question:
        """One question: the account catches up with the market first, and a refusal becomes the agent's error."""
        if method.startswith("private/"):
            self._login_problem()
        self.requests_made += 1
        self._catch_up()
        return _Question(method)

    def _catch_up(self) -> None:
        """Once a moment: while time stands, quotes stand too, and only a change of the account can have an effect."""
        account, (at_ms, revision) = self._account, self._caught_up
        now = account.now_ms
        if (at_ms, revision) != (now, account.revision):
            account.advance(has_time_passed=now != at_ms)
            self._caught_up = now, account.revision

    # --- public -------------------------------------------------------------------

    def get_time(self) -> datetime:
        with self._asked("public/get_time"):
            return self.server_now()

    def get_locked_status(self) -> str:
        with self._asked("public/status"):
            return "false"

    def get_index_price(self, currency: str) -> float:
        with self._asked("public/get_index_price"):
            return lookup.index_of(self._market, currency)

    def get_instruments(self, currency: str) -> Listing:
        with self._asked("public/get_instruments"):
            return self._listings.listing(currency)

    def get_instrument(self, symbol: str) -> OptionInstrument | None:
        with self._asked("public/get_instrument"):
            return readings.instrument_of(lookup.known_listing(self._market, symbol), self._now_ms())

    def get_book_summaries(self, currency: str) -> Quotes:
        """Nothing where the index is not known yet, as on the wire."""
        with self._asked("public/get_book_summary_by_currency"):
            is_known = self._market.index_price(currency) is not None
            return readings.chain_quotes(self._market.quotes(currency) if is_known else ())

    def get_ticker(self, symbol: str) -> Ticker:
        with self._asked("public/ticker"):
            return readings.ticker_of(*lookup.quoted(self._market, symbol))

    def get_bars(self, currency: str, start_at: datetime, end_at: datetime, minutes: int = 60) -> tuple[PriceBar, ...]:
        with self._asked("public/get_tradingview_chart_data"):
            bars = lookup.chart_bars(self._market, currency, to_ms(start_at), to_ms(end_at), minutes)
            return tuple(readings.bar_of(bar, minutes, end_at) for bar in bars)

    def get_index_levels(self, currency: str, reach: str) -> tuple[PriceBar, ...]:
        with self._asked("public/get_index_chart_data"):
            return self._levels.levels(currency, reach)

    def get_dvol(self, currency: str, start_at: datetime, end_at: datetime) -> float | None:
        """The newest of the span: mostly that of the last hour."""
        start_ms, end_ms = to_ms(start_at), to_ms(end_at)
        with self._asked("public/get_volatility_index_data"):
            for since_ms in (max(start_ms, end_ms - 1000 * HOUR_SECONDS), start_ms):
                bars = lookup.volatility_bars(self._market, currency, since_ms, end_ms, HOUR_SECONDS)
                if bars:
                    return bars[-1].close / 100.0
            return None

    def get_dvol_days(self, currency: str, start_at: datetime, end_at: datetime) -> tuple[PriceBar, ...]:
        with self._asked("public/get_volatility_index_data"):
            bars = lookup.volatility_bars(self._market, currency, to_ms(start_at), to_ms(end_at), DAY_SECONDS)
            return tuple(readings.dvol_day_of(bar, end_at) for bar in bars)

    # --- private reads --------------------------------------------------------------

    def get_open_orders(self) -> tuple[Order, ...]:
        with self._asked("private/get_open_orders"):
            return tuple(self._any_order(order) for order in self._account.open_orders())

    def get_positions(self) -> tuple[RawPosition, ...]:
        with self._asked("private/get_positions"):
            rows = [row for coin in self._coins for row in self._account.figures(coin).options]
            held = self._account.state.positions
            shown = (readings.position_of(row, held.get(row.instrument_name, Position(""))) for row in rows)
            return tuple(position for position in shown if position.size != 0.0)

    def get_account_summaries(self) -> tuple[CoinAccount, ...]:
        with self._asked("private/get_account_summaries"):
            return tuple(readings.account_of(coin, self._account.figures(coin)) for coin in self._coins)

    def get_account_summary(self, currency: str) -> CoinAccount:
        with self._asked("private/get_account_summary"):
            return readings.account_of(currency, self._account.figures(currency))

    def get_order_state(self, order_id: str) -> Order:
        with self._asked("private/get_order_state"):
            return readings.order_of(self._account.order(order_id))

    def get_orders_by_label(self, currency: str, label: str) -> tuple[Order, ...]:
        with self._asked("private/get_order_state_by_label"):
            return tuple(map(self._any_order, orders_under(self._account.state, currency, label)))

    def get_trades_of_order(self, order_id: str) -> tuple[Fill, ...]:
        """The newest ones, as many as the exchange shows at once."""
        with self._asked("private/get_user_trades_by_order"):
            trades = trades_where(self._account.state, lambda trade: trade.order_id == order_id)
            return tuple(map(readings.fill_of, trades[:TRADES_SHOWN]))

    def get_transaction_log(self, currency: str, start_at: datetime, end_at: datetime) -> tuple[LedgerEntry, ...]:
        with self._asked("private/get_transaction_log"):
            found = entries_between(self._account.state, currency, to_ms(start_at), to_ms(end_at))
            entries = map(readings.entry_of, reversed(found))
            return tuple(sorted(entries, key=lambda entry: entry.booked_at))

    def _any_order(self, order: account_orders.Order) -> Order:
        """An order, and whether our log knows it by a label of another form."""
        shown = readings.order_of(order)
        is_known = not shown.is_own and self._order_log is not None and self._order_log.knows(shown.label)
        return shown.model_copy(update={"is_in_order_log": True}) if is_known else shown

    # --- orders ---------------------------------------------------------------------

    def cancel_order(self, order_id: str) -> OrderReceipt:
        """Take an order back. REJECTED (11044) means that it was no longer open: read it again."""
        return self._moved("private/cancel", lambda: (self._account.cancel(order_id), []))

    def _send_order(self, request: OrderRequest, valid_until_ms: int) -> OrderReceipt:
        order = account_orders.OrderRequest(
            instrument_name=request.symbol,
            direction=request.direction,
            amount=request.amount_coin,
            price_coin=request.price_coin,
            time_in_force=time_in_force(request),
            label=request.label,
            post_only=request.post_only,
            reject_post_only=request.post_only,
            reduce_only=request.reduce_only,
            valid_until_ms=valid_until_ms,
        )
        return self._moved(f"private/{request.direction}", lambda: self._account.submit(order))

    def _send_edit(self, order: Order, price_coin: float, valid_until_ms: int) -> OrderReceipt:
        edit = account_orders.EditRequest(
            order_id=order.order_id,
            amount=order.amount_coin,
            price_coin=price_coin,
            post_only=order.post_only is True,
            reject_post_only=order.post_only is True,
            reduce_only=only_reduces(order),
            valid_until_ms=valid_until_ms,
        )
        return self._moved("private/edit", lambda: self._account.edit(edit))

    def _moved(
        self, method: str, act: Callable[[], tuple[account_orders.Order, list[account_orders.Trade]]]
    ) -> OrderReceipt:
        """The receipt for moving an order: done or refused, never unknown."""
        try:
            with self._asked(method):
                order, trades = act()
        except RequestRefusedError as error:
            return OrderReceipt(outcome=SendOutcome.REJECTED, error=str(error), refusal_code=error.code)
        fills = tuple(map(readings.fill_of, trades))
        return OrderReceipt(outcome=SendOutcome.ACCEPTED, order=readings.order_of(order), trades=fills)

    def _login_problem(self) -> str | None:
        """Nothing to log in to; only counted, see LOGIN_SECONDS."""
        now_seconds = self._market.clock.monotonic()
        if now_seconds >= self._login_ends_at_seconds:
            self._login_ends_at_seconds = now_seconds + LOGIN_SECONDS
            self.requests_made += 1
        return None

    def _tell_log_problem(self, problem: str) -> None:
        """Said in the next state too, by the lines that wait for the disk."""

    @property
    def _coins(self) -> tuple[str, ...]:
        return tuple(self._account.state.balances_coin)

    def _now_ms(self) -> int:
        return now_ms(self._market.clock)


class _Question:
    """A `with` around the answer to a question; what the exchange refuses is raised as the agent's error."""

    __slots__ = ("_method",)

    def __init__(self, method: str) -> None:
        self._method = method

    def __enter__(self) -> None:
        """Nothing is held."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RpcError):
            raise _refused(self._method, error) from None


def _refused(method: str, refusal: RpcError) -> RequestRefusedError:
    details = refusal.data or {}
    reason = ": ".join(str(details[name]) for name in ("param", "reason") if name in details)
    return RequestRefusedError(method, refusal.code, quotable(refusal.message), quotable(reason) or None)
