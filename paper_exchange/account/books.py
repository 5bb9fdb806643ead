"""The only place where the paper account changes: orders come and go, fills and deliveries move coins.

In: orders, prices in coin, the market's clock. Out: a changed `AccountState`, and one LedgerEvent per change to
every observer, sent when the change is complete. Reads the market's quotes; no disk, no network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from core import pricing
from paper_exchange.account.ledger import DeliveryNote, EntryKind, EventKind, LedgerEvent, LogEntry, Observer
from paper_exchange.account.orders import Direction, Liquidity, Order, sign_of
from paper_exchange.account.positions import Position
from paper_exchange.account.records import (
    Cash,
    delivery_entry,
    future_entry,
    new_order_id,
    summary_entry,
    trade_entry,
    trade_record,
)
from paper_exchange.account.state import AccountState, Contract, contract_of
from paper_exchange.market.clocks import Milliseconds, from_ms
from paper_exchange.market.market import DeliveryPrice, Listing, Marked, Market, Quote

LOG_ENTRIES_KEPT = 2_000
COIN_DECIMALS = 12
INTO_FUTURES_SINCE_MS = 1_785_542_400_000  # 2026-08-01: options in the money settle into the future of their expiry


class Books:
    """State, market and observers of one account. `revision` grows with every change worth saving."""

    def __init__(self, market: Market, state: AccountState, into_futures: bool | None = None) -> None:
        self.market = market
        self.state = state
        self.observers: list[Observer] = []
        self.revision = 0
        self._into_futures = into_futures
        self._milliseconds = Milliseconds(market)
        # A market may show a mark alone, which is less work than a whole quote.
        self._mark_of: Callable[[str], Marked | None] = getattr(market, "mark", market.quote)

    def now_ms(self) -> int:
        """The market's time."""
        return self._milliseconds.now()

    # --- quotes ----------------------------------------------------------------

    def refresh_marks(self) -> None:
        """Carry over the latest marks and indexes; what nobody quotes now is marked by its last volatility."""
        moved = {}
        for currency in self.state.balances_coin:
            index_usd = self.market.index_price(currency)
            if index_usd is not None:
                moved[currency] = index_usd / self.state.index_usd.get(currency, index_usd)
                self.state.index_usd[currency] = index_usd
        for name, contract in self.state.contracts.items():
            mark = self._mark_of(name)
            if mark is not None:
                contract.mark_coin = mark.mark_coin
                contract.mark_iv_fraction = mark.mark_iv_fraction
                contract.underlying_usd = mark.underlying_price_usd
            elif contract.listing.expires_at_ms > self.now_ms():
                contract.underlying_usd *= moved.get(contract.listing.currency, 1.0)
                contract.mark_coin = self._model_mark_coin(contract)

    def _model_mark_coin(self, contract: Contract) -> float:
        """Black-76 at the last volatility, the forward moved as the index did; never below the intrinsic value."""
        listing, index_usd = contract.listing, self.state.index_usd[contract.listing.currency]
        years = pricing.years_between(from_ms(self.now_ms()), from_ms(listing.expires_at_ms))
        mark_coin = pricing.black76_price_coin(
            contract.underlying_usd, listing.strike_usd, contract.mark_iv_fraction, years, listing.is_call
        )
        return max(mark_coin, pricing.payoff_coin(index_usd, listing.strike_usd, listing.is_call))

    # --- orders ----------------------------------------------------------------

    def next_order_id(self, currency: str) -> str:
        """Bare digits for BTC, ETH-<digits> for ETH."""
        return new_order_id(self.state, currency)

    def add_order(self, order: Order, listing: Listing, quote: Quote) -> None:
        """Put an accepted order on the book."""
        self.state.contracts.setdefault(order.instrument_name, contract_of(listing, quote))
        self.state.orders[order.order_id] = order
        self._emit_order("accepted", order)

    def note_edit(self, order: Order) -> None:
        """Tell that an open order has been changed in place."""
        self._emit_order("edited", order)

    def cancel(self, order: Order, reason: str | None, at_ms: int) -> None:
        """Take an open order off the book; what was filled stays filled."""
        order.state = "cancelled"
        order.cancel_reason = reason
        order.updated_at_ms = at_ms
        self._close(order)
        self._emit_order("cancelled", order)

    def _close(self, order: Order) -> None:
        del self.state.orders[order.order_id]
        self.state.closed_orders[order.order_id] = order

    # --- fills and deliveries ----------------------------------------------------

    def book_fill(self, order: Order, amount: float, price_coin: float, liquidity: Liquidity) -> None:
        """Fill a part of an open order: position, coins, trade, log entry, event."""
        side = _side(self.state.size_of(order.instrument_name), order.direction)
        fee_coin = pricing.trade_fee_coin(price_coin, amount)
        cashflow_coin = -sign_of(order.direction) * amount * price_coin
        profit_coin = self._change_position(order, amount, price_coin)
        change_coin = self._move_coins(order.currency, cashflow_coin, fee_coin)
        order.add_fill(amount, price_coin, self.now_ms())
        if order.state == "filled":
            self._close(order)
        trade = trade_record(self.state, order, amount, price_coin, fee_coin, liquidity, profit_coin)
        self.state.trades.append(trade)
        self._log(trade_entry(self.state, trade, side, cashflow_coin, change_coin))
        self._emit("fill", order.updated_at_ms, order, amount, price_coin, fee_coin)

    def book_delivery(self, position: Position, price: DeliveryPrice, at_ms: int) -> None:
        """Settle an expired position in coin and forget it. The fee is due in the money, daily options are exempt."""
        name, size = position.instrument_name, position.size
        contract = self.state.contracts[name]
        listing = contract.listing
        payoff_coin = pricing.payoff_coin(price.price_usd, listing.strike_usd, listing.is_call)
        is_exempt = listing.settlement_period == "day"
        fee_coin = 0.0 if is_exempt else pricing.delivery_fee_coin(payoff_coin, abs(size))
        session_profit_coin = size * (payoff_coin - position.session_price_coin)
        profit_coin = size * (payoff_coin - position.average_price_coin)
        self.state.session_realized_coin[listing.currency] += session_profit_coin
        del self.state.positions[name]
        note = DeliveryNote(price.price_usd, price.is_approximate, size, profit_coin, session_profit_coin)
        if self.settles_into_futures(listing.expires_at_ms):
            self._log_settlement_into_future(contract, payoff_coin, fee_coin, note, at_ms)
        else:
            cash = self._cash(listing.currency, size * payoff_coin, fee_coin)
            self._log(delivery_entry(self.state, contract, "delivery", cash, payoff_coin, note, at_ms))
        self._emit_delivery(listing, size, payoff_coin, fee_coin, at_ms)

    def book_settlement_summary(self, currency: str, at_ms: int) -> None:
        """The line that ends a settlement since 2026."""
        self._log(summary_entry(self.state, currency, at_ms))
        self.revision += 1

    def settles_into_futures(self, expires_at_ms: int) -> bool:
        """Whether an expiry is booked as since 1 August 2026, unless the account was told to speak one form only."""
        if self._into_futures is None:
            return expires_at_ms >= INTO_FUTURES_SINCE_MS
        return self._into_futures

    def _log_settlement_into_future(
        self, contract: Contract, payoff_coin: float, fee_coin: float, note: DeliveryNote, at_ms: int
    ) -> None:
        """Out of the money one line; in the money the option's, with the fee, and its future's, with the payoff."""
        currency, size = contract.listing.currency, note.settled_size
        in_the_money: EntryKind = "exercise" if size > 0.0 else "assignment"
        kind: EntryKind = in_the_money if payoff_coin > 0.0 else "expiry"
        cash = self._cash(currency, 0.0, fee_coin)
        self._log(delivery_entry(self.state, contract, kind, cash, payoff_coin, note, at_ms))
        if payoff_coin > 0.0:
            cash = self._cash(currency, size * payoff_coin, 0.0)
            self._log(future_entry(self.state, contract, cash, note, at_ms))

    def _cash(self, currency: str, flow_coin: float, fee_coin: float) -> Cash:
        return Cash(flow_coin, fee_coin, self._move_coins(currency, flow_coin, fee_coin))

    def _change_position(self, order: Order, amount: float, price_coin: float) -> float:
        currency, name = order.currency, order.instrument_name
        position = self.state.positions.setdefault(name, Position(name))
        realized_before_coin = position.session_realized_coin
        index_usd = self.state.index_usd[currency]
        profit_coin = position.apply_fill(order.direction, amount, price_coin, index_usd)
        realized_coin = position.session_realized_coin - realized_before_coin
        self.state.session_realized_coin[currency] += realized_coin
        return profit_coin

    def _move_coins(self, currency: str, cashflow_coin: float, fee_coin: float) -> float:
        # Rounded far below Deribit's 8 decimals, so that sums of many entries still equal the balance.
        change_coin = round(cashflow_coin - fee_coin, COIN_DECIMALS) + 0.0  # never -0.0
        balance_coin = self.state.balances_coin[currency] + change_coin
        self.state.balances_coin[currency] = round(balance_coin, COIN_DECIMALS)
        return change_coin

    # --- log and events ----------------------------------------------------------

    def booking_time_ms(self, at_ms: int) -> int:
        """The log's times never step back, neither for a late delivery price nor with the clock."""
        log = self.state.log
        return max(at_ms, log[-1].booked_at_ms) if log else at_ms

    def _log(self, entry: LogEntry) -> None:
        self.state.log.append(replace(entry, booked_at_ms=self.booking_time_ms(entry.booked_at_ms)))
        del self.state.log[:-LOG_ENTRIES_KEPT]

    def _emit_order(self, kind: EventKind, order: Order) -> None:
        self._emit(kind, order.updated_at_ms, order, order.amount, order.price_coin, 0.0)

    def _emit(
        self,
        kind: EventKind,
        at_ms: int,
        order: Order,
        amount: float,
        price_coin: float | None,
        fee_coin: float,
    ) -> None:
        self._send(
            LedgerEvent(
                at=from_ms(at_ms),
                kind=kind,
                currency=order.currency,
                instrument_name=order.instrument_name,
                order_id=order.order_id,
                label=order.label,
                direction=order.direction,
                amount=amount,
                price_coin=price_coin,
                fee_coin=fee_coin,
                balance_after_coin=self.state.balances_coin[order.currency],
            )
        )

    def _emit_delivery(self, listing: Listing, size: float, payoff_coin: float, fee_coin: float, at_ms: int) -> None:
        self._send(
            LedgerEvent(
                at=from_ms(at_ms),
                kind="settlement",
                currency=listing.currency,
                instrument_name=listing.name,
                order_id=None,
                label="",
                direction="sell" if size > 0.0 else "buy",
                amount=abs(size),
                price_coin=payoff_coin,
                fee_coin=fee_coin,
                balance_after_coin=self.state.balances_coin[listing.currency],
            )
        )

    def _send(self, event: LedgerEvent) -> None:
        self.revision += 1
        for observer in self.observers:
            observer(event)


def _side(size_before: float, direction: Direction) -> str:
    closes = sign_of(direction) * size_before < 0.0
    return f"{'close' if closes else 'open'} {direction}"
