"""The paper account: what a client of Deribit could own and do, kept as a state machine.

In: requests and the quotes and clock of a `Market` (amounts and prices in coin, times in milliseconds). Out:
orders, trades, positions, log entries; RpcError where Deribit would refuse. No disk, no network: `to_json` and
`from_json` hold the complete state, so that a run can go on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from paper_exchange.account.arrivals import accept, change, find_open_order
from paper_exchange.account.books import Books
from paper_exchange.account.checks import known_quote, tradable_listing
from paper_exchange.account.ledger import Observer
from paper_exchange.account.matching import match_arrival, match_resting
from paper_exchange.account.orders import EditRequest, Order, OrderRequest, Trade
from paper_exchange.account.settlement import expired_positions, forget_old, turn_time
from paper_exchange.account.state import AccountState, contract_of, fresh_state, from_json, to_json
from paper_exchange.account.valuation import CoinFigures, PositionFigures, coin_figures, position_figures
from paper_exchange.market import errors
from paper_exchange.market.clocks import now_ms, to_ms
from paper_exchange.market.market import Listing, Market, Quote
from paper_exchange.market.times import session_start_ms

DEFAULT_BALANCES_COIN = {"BTC": 10.0, "ETH": 100.0}


class PaperAccount:
    """An account on a market. Call `advance` before anything else is asked of it: time may have passed.

    `into_futures`: how expired options are booked, as since August 2026, as before, or by their date (None).
    `observers` are called with a LedgerEvent after every event; `revision` grows with every change worth saving.
    """

    def __init__(
        self,
        market: Market,
        balances_coin: Mapping[str, float] | None = None,
        state: AccountState | None = None,
        into_futures: bool | None = None,
    ) -> None:
        if state is None:
            balances = DEFAULT_BALANCES_COIN if balances_coin is None else balances_coin
            state = fresh_state(balances, session_start_ms(now_ms(market.clock)))
        self.market = market
        self._books = Books(market, state, into_futures)
        self._figures: dict[str, CoinFigures] = {}
        self._figures_at: tuple[int, int] | None = None  # time and revision; None once marks have moved
        self._books.refresh_marks()

    @classmethod
    def from_json(cls, market: Market, data: Mapping[str, Any]) -> PaperAccount:
        """The account that `to_json` wrote. Raises pydantic.ValidationError on anything else."""
        return cls(market, state=from_json(data))

    def to_json(self) -> dict[str, Any]:
        """The complete state."""
        return to_json(self._books.state)

    @property
    def state(self) -> AccountState:
        """For reading: all changes go through the methods below."""
        return self._books.state

    @property
    def observers(self) -> list[Observer]:
        """Append a function to hear of every ledger event."""
        return self._books.observers

    @property
    def revision(self) -> int:
        """Grows with every change."""
        return self._books.revision

    @property
    def now_ms(self) -> int:
        """The market's time."""
        return self._books.now_ms()

    # --- time ------------------------------------------------------------------

    def advance(self, has_time_passed: bool = True) -> None:
        """Catch up with the market: what was due at 08:00 UTC first, then the quotes as they are now.

        Where neither time nor quotes have moved since the last time, only what the account itself has changed.
        """
        if has_time_passed:
            self._books.refresh_marks()
        self.settle(self.market.clock.now())
        match_resting(self._books)
        forget_old(self._books, self.now_ms)

    def settle(self, now: datetime) -> None:
        """End day orders and expired orders, deliver expired positions whose delivery price is known."""
        turn_time(self._books, to_ms(now))
        self._figures_at = None

    def waiting_expiries(self) -> list[tuple[str, int]]:
        """Pairs (currency, expiry in ms) of expired positions whose delivery price is not known yet."""
        contracts = self.state.contracts
        listings = [contracts[p.instrument_name].listing for p in expired_positions(self._books, self.now_ms)]
        return list(dict.fromkeys((listing.currency, listing.expires_at_ms) for listing in listings))

    # --- orders ----------------------------------------------------------------

    def submit(self, request: OrderRequest) -> tuple[Order, list[Trade]]:
        """Place an order; the trades are those it made on arrival."""
        order = accept(self._books, request)
        return order, self._trades_on_arrival(order)

    def edit(self, request: EditRequest) -> tuple[Order, list[Trade]]:
        """Change an open order; it keeps its id."""
        order = change(self._books, request)
        return order, self._trades_on_arrival(order) if order.state == "open" else []

    def cancel(self, order_id: str) -> Order:
        """Cancel one open order: 10004 when unknown, 11044 when no longer open."""
        order = find_open_order(self._books, order_id)
        self._books.cancel(order, "user_request", self.now_ms)
        return order

    def cancel_where(self, wanted: Callable[[Order], bool]) -> list[Order]:
        """Cancel all open orders that fit."""
        chosen = [order for order in self.open_orders() if wanted(order)]
        for order in chosen:
            self._books.cancel(order, "user_request", self.now_ms)
        return chosen

    def order(self, order_id: str) -> Order:
        """An open or remembered order: 10004 once it is forgotten."""
        order = self.state.orders.get(order_id) or self.state.closed_orders.get(order_id)
        if order is None:
            raise errors.order_not_found()
        return order

    def open_orders(self) -> list[Order]:
        """Oldest first."""
        return list(self.state.orders.values())

    def _trades_on_arrival(self, order: Order) -> list[Trade]:
        trades_before = len(self.state.trades)
        match_arrival(self._books, order)
        return self.state.trades[trades_before:]

    # --- figures ---------------------------------------------------------------

    def figures(self, currency: str) -> CoinFigures:
        """Balance, equity, margins and greeks of one coin at the last known marks, worked out once for each."""
        moment = self.now_ms, self.revision
        if self._figures_at != moment:
            self._figures, self._figures_at = {}, moment
        if currency not in self._figures:
            self._figures[currency] = coin_figures(self.state, currency, self.now_ms)
        return self._figures[currency]

    def figures_on(self, instrument_name: str) -> PositionFigures:
        """The figures of one option, held or not. RpcError for an unknown instrument."""
        if instrument_name not in self.state.contracts:
            listing, quote = self.listing_and_quote(instrument_name)
            self.state.contracts[instrument_name] = contract_of(listing, quote)
        return position_figures(self.state, instrument_name, self.now_ms)

    def listing_and_quote(self, instrument_name: str) -> tuple[Listing, Quote]:
        """A tradable option and its last quote. RpcError where there is none."""
        listing = tradable_listing(self._books, instrument_name)
        return listing, known_quote(self._books, instrument_name)
