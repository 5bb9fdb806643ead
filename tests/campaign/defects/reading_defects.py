"""Mistakes in reading the account and the market, in covering what is sold, and in where it is sent.

In: nothing. Out: entries of `DEFECTS`. Each patches the agent while it is put in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import agent_loop
import execution
import state_builder
from core import exposure
from deribit import envelope, replies
from deribit import wire as deribit_wire
from deribit.clocks import ServerClock
from deribit_client import MAX_LEDGER_PAGES, DeribitClient
from models import (
    CoinAccount,
    DeribitError,
    ExecutionResult,
    Order,
    OrderRequest,
)
from orders import order_planning
from tests.campaign.defects.defects import defect, replaced
from tests.campaign.world.schedule import Act, Schedule
from tests.campaign.world.venue import Venue

SENDS = ("private/buy", "private/sell")
NEVER = 1_000_000


# --- reading ---


@defect("I13", "I1")
def open_orders_are_forgotten() -> Iterator[None]:
    """The state has no open orders in it."""
    read = DeribitClient.get_open_orders

    def none(self: DeribitClient) -> tuple[()]:
        read(self)
        return ()

    with replaced(DeribitClient, get_open_orders=none):
        yield


@defect("I13", "I1")
def positions_before_orders() -> Iterator[None]:
    """Positions are read first: what trades before the orders are read is in neither."""
    orders, positions = DeribitClient.get_open_orders, DeribitClient.get_positions
    seen: dict[int, Any] = {}

    def orders_later(self: DeribitClient) -> Any:
        seen[id(self)] = positions(self)
        return orders(self)

    def positions_earlier(self: DeribitClient) -> Any:
        return seen.pop(id(self)) if id(self) in seen else positions(self)

    with replaced(DeribitClient, get_open_orders=orders_later, get_positions=positions_earlier):
        yield


@defect("I13", "I1")
def a_failed_read_is_an_empty_account() -> Iterator[None]:
    """Positions that cannot be read count as none."""
    read = DeribitClient.get_positions

    def empty(self: DeribitClient) -> Any:
        try:
            return read(self)
        except DeribitError as error:
            if error.exit_code is not None:
                raise
            return ()

    with (
        replaced(DeribitClient, get_positions=empty),
        replaced(state_builder, _believed_positions=lambda client, positions, *more: positions),
    ):
        yield


def _much_traded_by_others(schedule: Schedule) -> Schedule:
    """Another program trades perpetuals often, and nobody touches the options but the agent."""
    acts = tuple(Act("X41", number, 0) for number in range(3, schedule.iterations, 3))
    return replace(schedule, acts=acts, crashes=(), disk_faults=(), policy="eager", intensity_pct=0)


@defect("I16", occasion=_much_traded_by_others)
def the_ledger_ends_at_page_ten() -> Iterator[None]:
    """What does not fit into ten pages of the ledger is taken to be not there."""
    read = DeribitClient.get_transaction_log

    def short(self: DeribitClient, currency: str, start_at: datetime, end_at: datetime) -> Any:
        pages_read: list[Any] = []

        def page(method: str, params: Any, reader: Any) -> Any:
            entries, continuation = self._rpc.read(method, params, reader)
            pages_read.append(entries)
            return entries, continuation if len(pages_read) < MAX_LEDGER_PAGES else None

        with replaced(self, _read=page):
            return read(self, currency, start_at, end_at)

    with replaced(DeribitClient, get_transaction_log=short):
        yield


@defect("I12")
def any_quote_will_do() -> Iterator[None]:
    """Crossed, closed and old quotes are traded on."""
    with replaced(execution, reason_not_to_trade=lambda *arguments: None), _any_age():
        yield


@defect("I12")
def old_quotes_will_do() -> Iterator[None]:
    """Nobody looks at the time of a quote."""
    reason = execution.reason_not_to_trade

    def ageless(client: Any, option: Any, ticker: Any, config: Any) -> Any:
        return reason(client, option, ticker.model_copy(update={"quoted_at": client.server_now()}), config)

    with replaced(execution, reason_not_to_trade=ageless), _any_age():
        yield


@contextmanager
def _any_age() -> Iterator[None]:
    """The last look before an order takes every quote for fresh."""
    reason = DeribitClient._reason_not_to_send

    def ageless(self: DeribitClient, request: OrderRequest, *more: Any) -> Any:
        return reason(self, request.model_copy(update={"quoted_at": self.server_now()}), *more)

    with replaced(DeribitClient, _reason_not_to_send=ageless):
        yield


@defect("I12", "I13", "I24")
def answers_to_other_requests_are_used() -> Iterator[None]:
    """The id of an answer is not looked at."""
    read = envelope.read_envelope

    def any_id(content: bytes, method: str, request_id: int | None = None) -> Any:
        return read(content, method, None)

    with replaced(deribit_wire, read_envelope=any_id):
        yield


@defect("I25")
def retries_without_limit() -> Iterator[None]:
    """A read is tried until it works."""
    with replaced(
        deribit_wire,
        READ_ATTEMPTS=NEVER,
        READ_DEADLINE_SECONDS=1e9,
        MAX_REQUESTS=200,
        BACKOFF_SECONDS=(0.5,) * NEVER,
    ):
        yield


# --- covering ---


def _full_size(schedule: Schedule) -> Schedule:
    """Every coin of the account stands behind a call at once."""
    settings = schedule.settings | {
        coin: schedule.settings[coin] | {"order_size": size} for coin, size in (("btc", 1.0), ("eth", 10.0))
    }
    return replace(schedule, settings=settings, acts=(), policy="rule_based")


@defect("I1", occasion=_full_size)
def its_own_mark_takes_cover_away() -> Iterator[None]:
    """What a call sold would cost now is taken off the coins behind it."""
    lesser = property(lambda account: max(0.0, min(account.balance_coin, account.equity_coin)))
    with replaced(CoinAccount, coins_held=lesser):
        yield


@defect("I1", "I2", "I13")
def both_legs_at_once() -> Iterator[None]:
    """A roll sells without waiting for its buy-back, on the room it expects."""

    def at_once(client: Any, action: Any, config: Any, agent_state: Any = None) -> ExecutionResult:
        legs = order_planning.plan_orders(action, agent_state, config, agent_state.decision_id)
        results = []
        for leg in legs:
            with replaced(execution, read_room=lambda *arguments: leg.amount_coin):  # noqa: B023 - used at once
                results.append(execution._work_leg(client, leg, leg.amount_coin, config))
        status = execution._overall(results, action)
        return ExecutionResult(status=status, legs=tuple(results), note=execution._notes(results))

    with replaced(agent_loop, execute_action=at_once):
        yield


def _changed_after_decisions(schedule: Schedule) -> Schedule:
    """Somebody else trades calls between the decisions and their orders."""
    acts = tuple(Act(("X21", "X22")[n // 2 % 2], n, n, is_late=True) for n in range(2, schedule.iterations, 2))
    return replace(schedule, acts=acts, policy="eager")


@defect("I1", occasion=_changed_after_decisions)
def no_last_look_at_the_room() -> Iterator[None]:
    """A sale trusts the room of the state, or what was bought back."""
    with replaced(execution, read_room=lambda client, currency, step: float(NEVER)):
        yield


@defect("I1", "I13")
def resting_sales_do_not_count() -> Iterator[None]:
    """Only what is short counts against the coins, not what is on offer."""
    risk, room = exposure.coin_risk, execution.read_room

    def short_only(account: Any, portfolio: Any) -> Any:
        return risk(account, portfolio.model_copy(update={"open_orders": ()}))

    def room_without_orders(client: Any, currency: str, step: float) -> float:
        real = client.get_open_orders
        client.get_open_orders = lambda: real() and ()
        try:
            return room(client, currency, step)
        finally:
            del client.get_open_orders

    with replaced(state_builder, coin_risk=short_only), replaced(execution, read_room=room_without_orders):
        yield


# --- where it is ---


@defect("I18")
def redirects_are_followed() -> Iterator[None]:
    """The client goes wherever an answer sends it."""
    make = deribit_wire._http_client

    def trusting(config: Any, transport: Any) -> Any:
        client = make(config, transport)
        client.follow_redirects = True
        client.event_hooks = {"request": [], "response": []}
        return client

    with replaced(deribit_wire, _http_client=trusting, refuse_redirect=lambda method, response: None):
        yield


@defect("I19")
def mainnet_is_ignored() -> Iterator[None]:
    """An answer that says it is not from testnet is an answer like any other. (The catalogue has no such row: this
    defect brings the answers along.)"""
    with mainnet_answers(), replaced(deribit_wire, _refuse_mainnet=lambda envelope: None):
        yield


@contextmanager
def mainnet_answers() -> Iterator[None]:
    """From the 60th request on the exchange says, for one answer, that it is not testnet."""
    handle = Venue.handle

    def lying(self: Venue, call: Any, *arguments: Any) -> Any:
        status, body = handle(self, call, *arguments)
        return status, body.replace(b'"testnet":true', b'"testnet":false') if call.number == 60 else body

    with replaced(Venue, handle=lying):
        yield


@defect("I22")
def all_rights_are_asked_for() -> Iterator[None]:
    """The token has every right of the key."""
    with replaced(deribit_wire, SCOPE="session:covered-call"):
        yield


@defect("I9", "I14")
def the_exchange_clock_is_not_followed() -> Iterator[None]:
    """Times come from the computer's own clock, which is wrong."""
    with replaced(ServerClock, now=lambda self: self._local.now()):
        yield


# --- other hands ---


def _with_other_hands(row: str) -> Callable[[Schedule], Schedule]:
    """The same thing done by somebody else again and again, and an agent that wants all the coins there are."""

    def occasion(schedule: Schedule) -> Schedule:
        acts = tuple(Act(row, number, number) for number in range(2, 12))
        return replace(_full_size(schedule), acts=acts, policy="eager", crashes=(), disk_faults=())

    return occasion


@defect("I1", occasion=_with_other_hands("X37"))
def only_plain_options_count() -> Iterator[None]:
    """A combo on offer, or a call settled in USDC, takes no room."""
    takes = exposure.order_takes

    def plain_only(order: Any, coin: str, long_calls: Any) -> float:
        is_plain = order.parts.underlying == coin and order.parts.strike_usd is not None
        return takes(order, coin, long_calls) if is_plain else 0.0

    with replaced(exposure, order_takes=plain_only):
        yield


@defect("I26", occasion=_with_other_hands("X38"))
def foreign_rows_must_be_whole() -> Iterator[None]:
    """What nobody needs of another hand's order must be there all the same."""
    with replaced(replies, read_open_order=lambda row, is_in_order_log: replies.read_order(row)):
        yield


@defect("I4", occasion=_with_other_hands("X39"))
def ours_begin_with_cc() -> Iterator[None]:
    """A label is ours that begins as ours do."""
    with replaced(Order, is_own=property(lambda order: order.label.startswith("cc-"))):
        yield
