"""Orders offered at the mark: they rest between two decisions, are looked at meanwhile, and are taken back in time.

In: the client, settings, the result of an execution. Out: how each of these orders ended, as the result of its leg.
Every few seconds a look asks whether the order is still open, whether its quote is fresh and its price still fits the
mark, whether a kill file is there and 07:55 UTC is near. Prices in coin per contract. Talks to Deribit through the
client's protocol. A process that dies leaves them to orders/recovery.py, and at 08:00 UTC they end by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from config import AgentConfig
from core.quotes import age_problem, is_crossed, is_inside_collar
from core.trading_hours import settlement_problem
from models import (
    AgentState,
    DeribitError,
    ExchangeClient,
    ExecutionResult,
    LegResult,
    Order,
    RateLimitError,
    Ticker,
)
from orders.finishing import finish_order
from orders.order_planning import Leg

TAKEN_BACK_BEFORE_SECONDS = 30.0  # the next decision; half of a shorter interval
LOOK_EVERY_SECONDS = 8.0  # with its requests a look comes every ten seconds
QUIET_AFTER_LIMIT_SECONDS = 60.0  # a look asks nothing so long after "too many requests"; it still sees a kill file

Answer = TypeVar("Answer")
OnEnded = Callable[[LegResult], None]


@dataclass(frozen=True)
class RestingOrder:
    """One of them: the order as it was placed, and the last quote that could be read of it."""

    leg: Leg
    order: Order
    filled_coin: float  # before it rested; the line of its decision tells of that
    tick_size_coin: float
    quoted_at: datetime

    @property
    def price_coin(self) -> float:
        return self.order.price_coin or 0.0


class RestingOrders:
    """Those of one run. `ended`: how they ended since the last line of the log; `on_ended` hears it at once."""

    def __init__(self, client: ExchangeClient, config: AgentConfig) -> None:
        self.ended: list[LegResult] = []
        self.on_ended: OnEnded = lambda _: None
        self.look = 0  # the number of the look under way since they rest, 0 while none is watched
        self._client, self._config = client, config
        self._orders: dict[str, RestingOrder] = {}
        self._may_rest_on = False
        self._asks_again_at_seconds = 0.0

    @property
    def coins(self) -> frozenset[str]:
        """Coins of which an order rests."""
        return frozenset(resting.leg.parts.underlying for resting in self._orders.values())

    def add(self, execution: ExecutionResult, state: AgentState) -> None:
        """Remember what an execution has left on the book."""
        for result in execution.legs:
            call = state.candidate(result.symbol)
            if result.status == "resting" and result.order is not None and call is not None:
                price = result.order.price_coin
                leg = Leg(result.label, result.symbol, result.direction, result.requested_coin, price, price)
                filled, tick = result.filled_coin, call.tick_size_coin
                self._orders[leg.label] = RestingOrder(leg, result.order, filled, tick, call.quoted_at)

    def let_rest_on(self) -> None:
        """The next decision follows at once and is about another coin."""
        self._may_rest_on = True

    def labels_left_alone(self) -> tuple[str, ...]:
        """What the iteration that begins leaves on the book; without that word all is taken back as left over."""
        if not self._may_rest_on:
            self._orders.clear()
        self._may_rest_on = False
        return tuple(self._orders)

    def take_ended(self) -> tuple[LegResult, ...]:
        """What ended since the last time this was asked, for a line of the log."""
        ended, self.ended = tuple(self.ended), []
        return ended

    # --- between two decisions ------------------------------------------------------------------

    def watch(self, interval_seconds: float, reason_to_stop: Callable[[], str | None]) -> None:
        """Let them rest until shortly before the next decision.

        Ends at once where none rests (any longer). Raises only errors that may end the process.
        """
        clock = self._client.clock
        started_seconds = clock.monotonic()
        lasting_seconds = interval_seconds - min(TAKEN_BACK_BEFORE_SECONDS, interval_seconds / 2.0)
        try:
            while self._orders:
                self._look(reason_to_stop())
                left_seconds = lasting_seconds - (clock.monotonic() - started_seconds)
                if left_seconds <= 0.0:
                    self.take_all_back("the next decision is near")
                elif self._orders:
                    clock.sleep(min(LOOK_EVERY_SECONDS, left_seconds))
        finally:
            self.look = 0
            self._orders.clear()  # of one that could not be taken back the order log knows

    def take_all_back(self, why: str) -> None:
        """Cancel them and say how they ended; raises only errors that may end the process."""
        for resting in tuple(self._orders.values()):
            self._end(resting, why)

    def _look(self, reason_to_stop: str | None) -> None:
        self.look += 1
        self._client.begin_iteration()  # a limit of requests for each look
        try:
            for resting in tuple(self._orders.values()):
                self._look_at(resting, reason_to_stop)
        finally:
            self._client.end_iteration()

    def _look_at(self, resting: RestingOrder, reason_to_stop: str | None) -> None:
        """What cannot be read stays as it was known: the order as it was, its quote older with every look."""
        client, symbol = self._client, resting.leg.symbol
        order = self._asked(lambda: client.get_order_state(resting.order.order_id)) or resting.order
        ticker = self._asked(lambda: client.get_ticker(symbol)) if order.is_live else None
        quoted_at = resting.quoted_at if ticker is None else ticker.quoted_at
        seen = self._orders[resting.leg.label] = replace(resting, order=order, quoted_at=quoted_at)
        why = "" if not order.is_live else reason_to_stop or self._problem(seen, ticker)
        if why is not None:
            self._end(seen, why)

    def _asked(self, ask: Callable[[], Answer]) -> Answer | None:
        """The answer; None where there is none, or "too many requests" was one less than a minute ago."""
        now_seconds = self._client.clock.monotonic()
        if now_seconds < self._asks_again_at_seconds:
            return None
        try:
            return ask()
        except DeribitError as error:
            if error.exit_code is not None:
                raise
            if isinstance(error, RateLimitError):
                self._asks_again_at_seconds = now_seconds + QUIET_AFTER_LIMIT_SECONDS
            return None

    def _problem(self, resting: RestingOrder, ticker: Ticker | None) -> str | None:
        """Why this order may not rest any longer; the same rules as before it was sent."""
        now, risk = self._client.server_now(), self._config.risk
        if self._client.kill_note() is not None:
            return "the kill file exists"
        if settlement_problem(now, 2.0 * LOOK_EVERY_SECONDS) is not None:
            return "the pause around 08:00 UTC is near"
        age = age_problem(resting.quoted_at, now, risk.max_quote_age_seconds)
        if age is not None:
            return f"its quote is {age}"
        if ticker is None:
            return None
        if ticker.state != "open" or is_crossed(ticker.bid_price_coin, ticker.ask_price_coin):
            return "its book is closed or makes no sense"
        mark = ticker.mark_price_coin
        if not is_inside_collar(resting.price_coin, mark, risk.price_collar_pct, resting.tick_size_coin):
            return f"the mark has risen to {mark:g}"
        return None

    def _end(self, resting: RestingOrder, why: str) -> None:
        del self._orders[resting.leg.label]
        tried = (resting.price_coin,)
        result = finish_order(self._client, resting.leg, resting.leg.amount_coin, resting.order, tried, why)
        self.ended.append(result)
        self.on_ended(result)
