"""The paper exchange with everything a fault may do behind the agent's back, and the ledger that is kept of it.

In: requests from the fault layer, outside acts. Out: replies, and a LedgerPoint for every event of the account. What
the exchange did is always the paper exchange's own doing: acts go through its account, never around its rules, except
for what only the venue itself can do (a withdrawal, a wipe, a token that ends). Amounts in coin.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import httpx
from pydantic_core import from_json

from paper_exchange.account.account import PaperAccount
from paper_exchange.account.ledger import LedgerEvent
from paper_exchange.account.orders import Direction, OrderRequest
from paper_exchange.account.state import fresh_state
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.errors import RpcError
from paper_exchange.market.names import currency_of
from paper_exchange.market.times import session_start_ms
from tests.builders.true_time import TrueTime
from tests.campaign.world.foreign_rows import LEDGER_PAGE_ROWS, LONG_LEDGER_ROWS, ForeignRows, perpetual_trade
from tests.campaign.world.market import COINS, CampaignMarket
from tests.campaign.world.replica import Replica
from tests.campaign.world.trace import LedgerPoint, Trace, WireCall, is_own_label

CREDENTIALS = ("campaign-client-id", "campaign-secret-7Qd2xW9z")  # made up: the paper exchange takes no other
BALANCES_COIN = {"BTC": 1.0, "ETH": 10.0}


@dataclass(slots=True)
class Moment:
    """Where the schedule stands just now."""

    life: int = 0
    iteration: int = 0
    round: int = 0  # iterations of all lives
    look: int = 0  # at orders that rest until the next decision: its number since they do, 0 outside
    call_number: int = -1
    ends_the_run: bool = False  # the last iteration of a life is over
    rows: frozenset[str] = frozenset()
    is_healthy: bool = False  # the healthy tail has begun
    action: str = ""  # what the policy proposed last


@dataclass
class Venue:
    """One exchange, one account."""

    market: CampaignMarket
    time: TrueTime
    trace: Trace
    moment: Moment
    is_on_disk: Callable[[str], bool]
    after_event: Callable[[LedgerEvent, datetime, float], None] = lambda event, now, size: None
    has_index_chart: bool = True  # else the perpetual's candles stand in for it
    accepted_at: dict[str, datetime] = field(default_factory=dict)  # labels of ours
    foreign: ForeignRows = field(default_factory=ForeignRows)
    has_short_pages: bool = False  # X41
    sizes: list[tuple[datetime, dict[str, float]]] = field(default_factory=list)  # positions after each event

    def __post_init__(self) -> None:
        self.account = PaperAccount(self.market, BALANCES_COIN)
        self.exchange = PaperExchange(self.market, self.account, credentials=CREDENTIALS)
        self.replica = Replica(self.market, self.exchange)
        self.account.observers.append(self._observe)
        self.time.on_step = self._look_at_the_quotes

    # --- requests ------------------------------------------------------------------

    def handle(self, call: WireCall, request: httpx.Request, body: bytes | None = None) -> tuple[int, bytes]:
        """What the exchange answers; the first answer is noted."""
        path, _, query = request.url.raw_path.partition(b"?")
        content = request.read() if body is None else body
        call.arrived_at.append(self.time.now())
        if call.method == "public/get_index_chart_data" and not self.has_index_chart:
            content = content.replace(call.method.encode(), b"public/not_known_here")
        if call.method == "private/get_transaction_log" and self.has_short_pages:
            content = self._asking_for_a_short_page(call, content)
        self.replica.before_request(call.method, self.time.now())
        replica = self.replica.answering(call.method, self.time.now())
        answering = self.exchange if replica is None else replica
        status, reply = answering.handle(request.method, path.decode(), query, content, call.headers)
        if replica is not None:
            self._note_fired("X40", call)
            call.rows = (*call.rows, "X40")
        if call.method == "private/get_open_orders":
            reply = self._with_foreign_rows(call, reply)
        is_market_data = call.method.startswith("public/get_") and call.method != "public/get_instrument"
        if call.answered is None and not is_market_data:  # that is in `heard`
            call.answered = from_json(reply, allow_inf_nan=False)
        return status, reply

    def _with_foreign_rows(self, call: WireCall, reply: bytes) -> bytes:
        """X37, X38: orders of kinds the paper exchange has not, and orders of others with fields left out."""
        answer = json.loads(reply)
        rows = answer.get("result")
        if not isinstance(rows, list) or not (self.foreign.orders or self.foreign.left_out):
            return reply
        answer["result"] = shown = self.foreign.shown(rows, str(call.params.get("kind", "any")))
        if self.foreign.orders and len(shown) > len(rows):
            self._note_fired("X37", call)
        if self.foreign.left_out and any(not is_own_label(row.get("label", "")) for row in shown):
            self._note_fired("X38", call)
        return json.dumps(answer).encode()

    def _asking_for_a_short_page(self, call: WireCall, content: bytes) -> bytes:
        """The request as if it had asked for few rows; X41 where it takes the agent more than ten pages to read all."""
        start_ms, end_ms = call.params.get("start_timestamp", 0), call.params.get("end_timestamp", 0)
        coin, entries = call.params.get("currency"), self.account.state.log
        found = sum(entry.currency == coin and start_ms <= entry.booked_at_ms <= end_ms for entry in entries)
        if found > 10 * LEDGER_PAGE_ROWS and "continuation" not in call.params:
            self._note_fired("X41", call)
        body = json.loads(content)
        return json.dumps(body | {"params": body["params"] | {"count": LEDGER_PAGE_ROWS}}).encode()

    def _note_fired(self, row: str, call: WireCall) -> None:
        self.trace.fired[(row, call.method)] = self.trace.fired.get((row, call.method), 0) + 1

    def handle_late(self, call: WireCall, request: httpx.Request) -> None:
        """The request arrives when nobody waits for its answer any more."""
        outer = self.moment.call_number, self.moment.rows
        self.moment.call_number, self.moment.rows = call.number, frozenset(call.rows)
        try:
            self.handle(call, request)
        finally:
            self.moment.call_number, self.moment.rows = outer
        if call.answered is not None and call.answered.get("error", {}).get("code") == 13888:
            self.trace.reached.add("late arrival refused")

    # --- what happens behind the agent's back --------------------------------------------

    def cancel(self, order_id: str) -> None:
        self.account.cancel(order_id)

    def fill(self, order_id: str) -> bool:
        """Somebody meets an open order, wholly; False where it is not open."""
        order = self.account.state.orders.get(order_id)
        if order is None or order.price_coin is None:
            return False
        self.market.push(order.instrument_name, order.direction, order.price_coin, None)
        self.account.advance()
        return order_id not in self.account.state.orders

    def open_orders(self) -> list[str]:
        return [order.order_id for order in self.account.open_orders()]

    def own_orders(self) -> list[str]:
        return [order.order_id for order in self.account.open_orders() if is_own_label(order.label)]

    def end_tokens(self) -> None:
        self.exchange._authority._sessions.clear()  # only the venue itself can do this

    def foreign_order(self, name: str, direction: Direction, amount: float, price_coin: float, label: str) -> bool:
        """A person or another program trades on the account; False where the exchange refused."""
        self.account.advance()
        try:
            self.account.submit(OrderRequest(name, direction, amount, price_coin, label=label))
        except RpcError:
            return False
        return True

    def withdraw(self, currency: str, fraction: float) -> None:
        self.account.state.balances_coin[currency] *= 1.0 - fraction

    def trade_perpetuals_often(self) -> None:
        """Another program trades both perpetuals several times a second from now on, for a minute."""
        self.has_short_pages = True
        for number in range(LONG_LEDGER_ROWS):
            moment = self.time.now() + timedelta(seconds=60.0 * (number + 1) / LONG_LEDGER_ROWS)
            self.time.at(moment, partial(self._book_perpetual_trades, number))

    def _book_perpetual_trades(self, number: int) -> None:
        state = self.account.state
        state.log += [perpetual_trade(state, coin, number, self.account.now_ms) for coin in COINS]

    def wipe(self) -> None:
        """Testnet starts anew: no orders, no positions, the first balances, no tokens."""
        state, fresh = self.account.state, fresh_state(BALANCES_COIN, session_start_ms(self.account.now_ms))
        for order in list(self.account.open_orders()):
            self.account.cancel(order.order_id)
        for name in ("balances_coin", "positions", "closed_orders", "trades", "log", "session_realized_coin"):
            setattr(state, name, getattr(fresh, name))
        self.foreign.orders.clear()
        self.replica.catch_up()
        self.end_tokens()

    def seconds_to_expiry(self) -> float | None:
        """Until the next call that is held expires; None where nothing is held."""
        state = self.account.state
        held = (state.contracts[name].listing.expires_at_ms for name, p in state.positions.items() if p.size != 0.0)
        first = min(held, default=None)
        return None if first is None else max(0.0, (first - self.account.now_ms) / 1000.0)

    def sizes_at(self, moment: datetime) -> dict[str, float] | None:
        """Positions as they were; None before the first event."""
        known = [sizes for at, sizes in self.sizes if at <= moment]
        return known[-1] if known else None

    def _look_at_the_quotes(self) -> bool:
        """Resting orders meet the quotes while time passes; whether there are any."""
        if self.account.state.orders:
            self.account.advance()
        return len(self.account.state.orders) > 0

    # --- the ledger ----------------------------------------------------------------------

    def _observe(self, event: LedgerEvent) -> None:
        state = self.account.state
        sizes = {name: held.size for name, held in state.positions.items() if held.size != 0.0}
        size_before = self.sizes[-1][1].get(event.instrument_name, 0.0) if self.sizes else 0.0
        self.sizes.append((self.time.now(), sizes))
        self.after_event(event, self.time.now(), size_before)
        is_own_accept = event.kind == "accepted" and is_own_label(event.label)
        if is_own_accept:
            self.accepted_at[event.label] = self.time.now()
        if event.kind == "fill" and event.order_id in state.orders:
            self.trace.reached.add("partly filled")
            site = ("X14", f"private/{event.direction}")
            self.trace.fired[site] = self.trace.fired.get(site, 0) + 1
        if event.kind == "settlement":
            self.trace.reached.add("settled in the money" if event.price_coin else "settled out of the money")
        moment = self.moment
        self.trace.points.append(
            LedgerPoint(
                event=event,
                life=moment.life,
                iteration=moment.iteration,
                call_number=moment.call_number,
                rows=moment.rows,
                coins_held={coin: self._coins_held(coin) for coin in COINS},
                short_calls=_by_coin((name, -size) for name, size in sizes.items() if size < 0.0 and name[-1] == "C"),
                resting_sells=self._resting_sells(),
                own_live_labels=self._own_live_labels(),
                positions=sizes,
                intent_on_disk=self.is_on_disk(event.label) if is_own_accept else None,
            )
        )

    def _coins_held(self, coin: str) -> float:
        figures = self.account.figures(coin)
        puts = (row for row in figures.options if row.instrument_name.endswith("-P") and row.size < 0.0)
        return figures.balance_coin + sum(put.value_coin for put in puts)

    def _resting_sells(self) -> dict[str, float]:
        """Of calls, and of whatever else may become a short call."""
        sells = _by_coin(
            (order.instrument_name, order.remaining)
            for order in self.account.state.orders.values()
            if order.direction == "sell" and order.instrument_name[-1] == "C"
        )
        return {coin: round(amount + self.foreign.coins_needed(coin), 9) for coin, amount in sells.items()}

    def _own_live_labels(self) -> dict[str, tuple[str, ...]]:
        live: dict[str, tuple[str, ...]] = dict.fromkeys(COINS, ())
        for order in self.account.state.orders.values():
            if is_own_label(order.label):
                live[order.currency] = (*live[order.currency], order.label)
        return live


def _by_coin(amounts: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Sums by coin of pairs (symbol, amount)."""
    sums = dict.fromkeys(COINS, 0.0)
    for name, amount in amounts:
        sums[currency_of(name)] = round(sums[currency_of(name)] + amount, 9)
    return sums
