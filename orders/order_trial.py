"""One order's whole life, a step at a time: what --check --with-order sends so that a first run holds no surprise.

In: a client, an order log, settings, and what execution does with orders (handed over by agent_loop: there is one way
to an order). Out: a sentence for each step, or an error of models.py. It sells the least there is of a far call,
post-only, at twice its mark or more, where nobody buys; then it moves the price, looks the order up and takes it back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from config import AgentConfig
from core.pricing import round_price_down
from models import (
    AgentState,
    DeribitError,
    ExchangeClient,
    OptionInstrument,
    Order,
    OrderReceipt,
    OrderRequest,
    OrderTrialError,
    Ticker,
    TradingState,
    Underlying,
    own_label,
)
from orders.order_log import ABSENT_AFTER_SECONDS, RESOLVE_AFTER_SECONDS, OrderMemory
from orders.recovery import cancel_leftovers

TIMES_THE_MARK = 2.0
MOST_TICKERS = 5  # calls of one coin that are looked at before it is given up
# An order whose answer was lost is over 10 s after it was sent, and surely absent 45 s later.
LOOK_UPS_AFTER_SECONDS = (0.0, 11.0 + RESOLVE_AFTER_SECONDS, ABSENT_AFTER_SECONDS)

Step = Callable[[], str]


class OrderHands(NamedTuple):
    """What execution does with orders. Texts say what is wrong, None where nothing is."""

    reason_not_to_trade: Callable[[ExchangeClient, OptionInstrument | None, Ticker, AgentConfig], str | None]
    read_room: Callable[[ExchangeClient, str, float], float]
    send_order: Callable[[ExchangeClient, OrderRequest], tuple[OrderReceipt, str | None]]
    move_order: Callable[[ExchangeClient, Order, float, datetime], tuple[Order, str | None]]
    end_order: Callable[[ExchangeClient, Order], Order]


@dataclass(frozen=True)
class TrialCall:
    """The call to sell, and the two prices (coin) to offer it at: the highest the exchange takes, then a tick less."""

    option: OptionInstrument
    ticker: Ticker
    first_price_coin: float
    second_price_coin: float


def trial_call(option: OptionInstrument, ticker: Ticker) -> TrialCall | None:
    """The prices for a call; None where the exchange takes none so far above its mark and above every bid. Pure."""
    mark, highest = ticker.mark_price_coin, ticker.max_price_coin
    if highest is None or not mark > 0.0:
        return None
    first = round_price_down(highest, option.tick_size_coin, option.tick_steps)
    second = round_price_down(first - option.tick_size_coin, option.tick_size_coin, option.tick_steps)
    if not second >= TIMES_THE_MARK * mark or not second > (ticker.bid_price_coin or 0.0):
        return None
    return TrialCall(option, ticker, first, second)


class OrderTrial:
    """The steps in their order, each on those before it. Once it `has_sent`, `take_back` is due whatever happened."""

    def __init__(
        self,
        client: ExchangeClient,
        config: AgentConfig,
        order_log: OrderMemory,
        read_state: Callable[[], AgentState],
        hands: OrderHands,
    ) -> None:
        self._client, self._config, self._order_log = client, config, order_log
        self._read_state, self._hands = read_state, hands
        self.has_sent = False  # or was about to: from then on an order may rest
        self._label = ""
        self._call: TrialCall | None = None
        self._order: Order | None = None
        self._began_at = client.server_now()

    @property
    def steps(self) -> tuple[tuple[str, Step], ...]:
        """Names and steps. A step says what it found, or raises AgentError."""
        return (
            ("none rests", self.require_no_order_of_ours),
            ("trading", self.require_trading),
            ("test call", self.choose_call),
            ("sell", self.sell),
            ("edit", self.edit),
            ("look-up", self.look_up),
            ("cancel", self.cancel),
            ("bookings", self.read_ledger),
        )

    def require_no_order_of_ours(self) -> str:
        self._client.begin_iteration()
        self._began_at = self._client.get_time()
        own = [order.label for order in self._client.get_open_orders() if order.is_own and order.is_live]
        own += [order.label for order in (*self._order_log.unresolved(), *self._order_log.unclosed())]
        if own:
            labels = ", ".join(dict.fromkeys(own))
            raise OrderTrialError(f"{labels} may rest: run the agent once, it takes its orders back")
        return "no order of ours"

    def require_trading(self) -> str:
        state = self._read_state()
        if state.trading_state != TradingState.ACTIVE:
            why = "; ".join(str(reason) for reason in state.restrictions)
            raise OrderTrialError(f"{state.trading_state}: {why}")
        if state.unresolved_symbols or state.waiting_underlyings:
            raise OrderTrialError("an order ended within the last minute: try again in a minute")
        self._label = own_label(state.decision_id, "sell")
        return f"{state.trading_state}"

    def choose_call(self) -> str:
        """The first coin that has room and a call whose price band goes up far enough."""
        problems = []
        for coin in self._config.enabled_underlyings:
            self._call, text = self._find_call(coin)
            if self._call is not None:
                return text
            problems.append(f"{coin}: {text}")
        raise OrderTrialError("; ".join(problems))

    def _find_call(self, coin: Underlying) -> tuple[TrialCall | None, str]:
        """A call that can be offered and is covered, or why there is none."""
        problem = "no call above the index has a mark"
        for option in self._far_calls(coin)[:MOST_TICKERS]:
            ticker = self._client.get_ticker(option.symbol)
            found = trial_call(option, ticker)
            closed = self._hands.reason_not_to_trade(self._client, option, ticker, self._config)
            if closed is not None or found is None:
                problem = closed or f"no call whose max_price allows {TIMES_THE_MARK:g} times its mark"
                continue
            step = option.min_trade_amount_coin
            room = self._hands.read_room(self._client, coin, step)
            if room < step:
                return None, f"no {step:g} free coins to sell a call against"
            return found, f"{option.symbol}, mark {ticker.mark_price_coin:g}, {room:g} {coin} free"
        return None, problem

    def _far_calls(self, coin: Underlying) -> list[OptionInstrument]:
        """Calls above the index, the cheapest first: against their marks their price bands are the widest.

        Those worth less than a tick are left out: a ticker shows their mark as zero.
        """
        index_usd, listed = self._client.get_index_price(coin), self._client.get_instruments(coin)
        marks = {quote.symbol: quote.mark_price_coin for quote in self._client.get_book_summaries(coin).rows()}
        calls = [
            (mark, option.expiry, option.strike, option)
            for option in listed.by_symbol.values()
            if option.option_type == "call" and option.is_tradable and option.strike > index_usd
            if (mark := marks.get(option.symbol)) is not None and mark >= option.tick_size_coin
        ]
        return [option for *_, option in sorted(calls, key=lambda call: call[:3])]

    def sell(self) -> str:
        call = self._chosen_call()
        request = OrderRequest(
            label=self._label,
            symbol=call.option.symbol,
            direction="sell",
            amount_coin=call.option.min_trade_amount_coin,
            price_coin=call.first_price_coin,
            post_only=True,
            quoted_at=call.ticker.quoted_at,
        )
        self.has_sent = True
        receipt, problem = self._hands.send_order(self._client, request)
        self._order = receipt.order
        if problem is not None:
            raise OrderTrialError(f"{receipt.outcome}: {problem}")
        return f"{request.amount_coin:g} at {request.price_coin:g}, rests as {self._label}"

    def edit(self) -> str:
        call = self._chosen_call()
        price = call.second_price_coin
        self._order, problem = self._hands.move_order(self._client, self._sent_order(), price, call.ticker.quoted_at)
        if problem is not None:
            raise OrderTrialError(problem)
        return f"moved to {price:g}"

    def look_up(self) -> str:
        order = self._sent_order()
        found = self._client.get_orders_by_label(order.parts.underlying, order.label)
        if len(found) > 1:
            self._client.note_duplicated(order.label, order.symbol)
        known = [(one.order_id, one.price_coin, one.is_live) for one in found]
        if known != [(order.order_id, order.price_coin, True)]:
            raise OrderTrialError(f"its label should find it once, resting at {order.price_coin}: {known}")
        return "its label finds it, once, at its new price"

    def cancel(self) -> str:
        order = self._hands.end_order(self._client, self._sent_order())
        if order.is_live:
            raise OrderTrialError(f"it may still rest: {order.order_state}")
        self._client.note_closed(order)
        if order.filled_amount_coin > 0.0:
            raise OrderTrialError(f"{order.filled_amount_coin:g} were sold before it could be taken back")
        return f"{order.order_state}, nothing sold"

    def read_ledger(self) -> str:
        order = self._sent_order()
        now = self._client.server_now()
        entries = self._client.get_transaction_log(order.parts.underlying, self._began_at, now)
        booked = [entry.entry_type for entry in entries if entry.symbol == order.symbol]
        if booked:
            raise OrderTrialError(f"it should have booked nothing: {', '.join(booked)}")
        return "the ledger shows none"

    def take_back(self) -> str:
        """Make sure that nothing rests: cancel, look up, wait where an answer was lost; else name what may rest."""
        self._client.begin_iteration()
        problem = "its outcome is not known"
        for seconds in LOOK_UPS_AFTER_SECONDS:
            if seconds:
                self._client.clock.sleep(seconds)
            try:
                cancel_leftovers(self._client, self._order_log)
            except DeribitError as error:
                problem = str(error)
            left = [order.label for order in (*self._order_log.unresolved(), *self._order_log.unclosed())]
            if not left:
                return "no order of ours rests"
        raise OrderTrialError(f"{', '.join(left)} may rest: {problem}. Look at test.deribit.com, or run the agent")

    def _chosen_call(self) -> TrialCall:
        if self._call is None:
            raise OrderTrialError("no call was chosen")
        return self._call

    def _sent_order(self) -> Order:
        if self._order is None:
            raise OrderTrialError("no order was sent")
        return self._order
