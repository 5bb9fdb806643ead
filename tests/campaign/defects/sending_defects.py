"""Mistakes in sending orders and in finding out how they ended.

In: nothing. Out: entries of `DEFECTS`. Each patches the agent while it is put in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import agent_loop
import deribit_client
import execution
from core import pricing
from deribit.error_codes import TOKEN_CODES
from deribit.failures import outcome_after
from deribit.wire import JsonRpc
from deribit_client import DeribitClient
from models import (
    DeribitConnectionError,
    DeribitError,
    GatewayError,
    RateLimitError,
    RequestRefusedError,
    SendOutcome,
)
from orders import finishing, order_log, order_planning, recovery
from orders.order_log import OrderLogFile
from tests.campaign.defects.defects import defect, replaced
from tests.campaign.world.schedule import Act, Crash, Schedule

SENDS = ("private/buy", "private/sell")
NEVER = 1_000_000


# --- sending ---


@defect("I7", "I25")
def retries_orders() -> Iterator[None]:
    """An order whose answer was lost is sent again at once, like a read."""
    once = JsonRpc.send_once

    def twice(self: JsonRpc, method: str, params: Any, reader: Any) -> Any:
        try:
            return once(self, method, params, reader)
        except DeribitConnectionError:
            if method not in SENDS:
                raise
            return once(self, method, params, reader)

    with replaced(JsonRpc, send_once=twice):
        yield


@defect("I7", "I25")
def sends_again_after_logging_in() -> Iterator[None]:
    """An order refused for its token is sent again with a new one."""
    once = JsonRpc.send_once

    def again(self: JsonRpc, method: str, params: Any, reader: Any) -> Any:
        try:
            return once(self, method, params, reader)
        except RequestRefusedError as error:
            if method not in SENDS or error.code not in TOKEN_CODES:
                raise
            self.authenticate()
            return once(self, method, params, reader)

    with replaced(JsonRpc, send_once=again):
        yield


@defect("I9")
def no_deadline() -> Iterator[None]:
    """Orders leave without valid_until."""
    with _changed_order_params(lambda client, params: params.pop("valid_until", None)):
        yield


@defect("I9")
def deadline_by_the_local_clock() -> Iterator[None]:
    """valid_until follows the computer's own clock."""

    def local(rpc: JsonRpc, params: dict[str, Any]) -> None:
        until = rpc.clock.now() + timedelta(seconds=10)
        params["valid_until"] = round(until.timestamp() * 1000.0)

    with _changed_order_params(local):
        yield


@defect("I3")
def buys_may_open() -> Iterator[None]:
    """A buy-back is sent without reduce_only."""
    with _changed_order_params(lambda rpc, params: params.update(reduce_only=False)):
        yield


@defect("I4")
def market_orders() -> Iterator[None]:
    """Orders leave as market orders."""
    with _changed_order_params(lambda rpc, params: params.update(type="market")):
        yield


@contextmanager
def _changed_order_params(change: Callable[[JsonRpc, dict[str, Any]], Any]) -> Iterator[None]:
    """What goes over the wire as an order differs from what was meant."""
    once = JsonRpc.send_once

    def changed(self: JsonRpc, method: str, params: dict[str, Any], reader: Any) -> Any:
        sent = dict(params)
        if method in SENDS:
            change(self, sent)
        return once(self, method, sent, reader)

    with replaced(JsonRpc, send_once=changed):
        yield


@defect("I6", "I7")
def one_label_for_all() -> Iterator[None]:
    """A label names the coin and the leg only: it comes back with the next order."""
    plan = order_planning.plan_orders

    def planned(*arguments: Any) -> Any:
        legs = plan(*arguments)
        return tuple(
            replace(leg, label=f"cc-{'0' * 12}-{leg.symbol[:3].encode().hex()}-{leg.direction}") for leg in legs
        )

    with replaced(execution, plan_orders=planned):
        yield


@defect("I5")
def unrounded_prices() -> Iterator[None]:
    """Prices are not put on the tick."""
    with replaced(order_planning, round_price_up=_unrounded, round_price_down=_unrounded):
        yield


def _unrounded(price: float, *grid: Any) -> float:
    return price


@defect("I5")
def no_limit_to_the_price() -> Iterator[None]:
    """A sale goes down to half of the mark, a buy-back up to twice of it."""

    def ladder(direction: str, ticker: Any, option: Any, config: Any) -> tuple[float, ...]:
        worst = ticker.mark_price_coin * (0.5 if direction == "sell" else 2.0)
        price = pricing.round_price_up(worst, option.tick_size_coin, option.tick_steps)
        return (max(option.tick_size_coin, price),)

    with replaced(execution, prices_to_try=ladder):
        yield


@defect("I10")
def no_echo_check() -> Iterator[None]:
    """What the exchange made of an order is not compared with what was asked."""
    with replaced(execution, _echo_problem=lambda request, order: None):
        yield


# --- finding out how an order ended ---


@defect("I9", "I16")
def unknown_is_failed() -> Iterator[None]:
    """An order whose answer was lost counts as refused."""
    after = outcome_after

    def judged(error: DeribitError) -> SendOutcome:
        outcome = after(error)
        return SendOutcome.REJECTED if outcome == SendOutcome.UNKNOWN else outcome

    with replaced(deribit_client, outcome_after=judged):
        yield


@defect("I9", "I16")
def gateways_speak_for_the_exchange() -> Iterator[None]:
    """An order that a gateway refused counts as refused by the exchange."""
    after = outcome_after

    def judged(error: DeribitError) -> SendOutcome:
        is_gateway = isinstance(error, (GatewayError, RateLimitError))
        return SendOutcome.REJECTED if is_gateway else after(error)

    with replaced(deribit_client, outcome_after=judged):
        yield


def _killed_in_orders(schedule: Schedule) -> Schedule:
    """A supervisor restarts within two seconds what was killed in an order: otherwise its deadline has passed."""
    crashes = tuple(Crash("order_call", "after", nth, downtime_seconds=2.0) for nth in range(1, 24, 3))
    return replace(schedule, crashes=crashes, disk_faults=(), policy="eager")


@defect("I1", "I6", "I9", occasion=_killed_in_orders)
def no_latch() -> Iterator[None]:
    """A coin does not wait for an order of unknown outcome, nor for positions to show a fill, nor at a start."""
    waits_for_nothing = replaced(OrderLogFile, busy_symbols=lambda self, now: (), waiting_underlyings=lambda self: ())
    with waits_for_nothing, replaced(agent_loop, wait_for_earlier_orders=lambda agent: None):
        yield


def _behind_at_short_intervals(schedule: Schedule) -> Schedule:
    """Every private read lags, and the agent looks so often, on a machine's own exchange, that it meets the lag."""
    settings = schedule.settings | {
        "deribit": {"base_url": "http://127.0.0.1:8700"},
        "run": schedule.settings["run"] | {"interval_seconds": 15.0},
    }
    calm = replace(schedule, acts=(Act("X40", 1, 0),), disk_faults=(), crashes=(), policy="eager", intensity_pct=5)
    return replace(calm, settings=settings, interval_seconds=15.0)


@defect("I1", occasion=_behind_at_short_intervals)
def fills_are_not_waited_for() -> Iterator[None]:
    """Positions are believed although a fill may be too fresh for them."""
    with replaced(order_log, REST_SECONDS=0.0):
        yield


@defect("I1", "I6", "I9", "I16", occasion=_behind_at_short_intervals)
def absent_after_one_look_up() -> Iterator[None]:
    """One empty look-up proves that the exchange never had an order."""
    with replaced(recovery, _is_confirmed_absent=lambda order, now: True):
        yield


def _logs_gone_after_a_kill(schedule: Schedule) -> Schedule:
    """Again and again the agent is killed with an order in flight, and started without its logs two seconds later."""
    acts = (Act("X40", 1, 0), *(Act("D11", number, 0) for number in range(2, schedule.iterations, 2)))
    return replace(schedule, acts=acts, crashes=(), disk_faults=(), policy="eager", intensity_pct=0)


@defect("I1", "I6", occasion=_logs_gone_after_a_kill)
def no_wait_without_logs() -> Iterator[None]:
    """Where there is no log, there was no order: a start trades at once."""
    with replaced(order_log, read_mark=lambda path, now: None):
        yield


@defect("I11")
def unknown_stays_unknown_for_ever() -> Iterator[None]:
    """Orders of unknown outcome are never looked up."""
    with replaced(recovery, _note_whether_it_exists=lambda client, log, order, found: None):
        yield


@defect("I6", "I26")
def leftovers_are_not_cancelled() -> Iterator[None]:
    """Orders of ours that are still open are not cancelled."""
    with ExitStack() as patches:
        patches.enter_context(replaced(recovery, cancel_own_orders=lambda client, orders: []))
        patches.enter_context(replaced(recovery, cancel_if_live=lambda client, order: order))
        patches.enter_context(replaced(finishing, cancel_if_live=lambda client, order: order))
        patches.enter_context(replaced(finishing, end_order=lambda client, order: order))
        yield


@defect("I6")
def copies_go_unnoticed() -> Iterator[None]:
    """Two orders under one label are nothing special."""
    with ExitStack() as patches:
        for module in (execution, finishing):
            patches.enter_context(replaced(module, cancel_duplicates_of=lambda client, leg, order: []))
        patches.enter_context(replaced(DeribitClient, note_duplicated=lambda self, label, symbol: None))
        yield


@defect("I16")
def a_cancelled_order_has_not_traded() -> Iterator[None]:
    """Fills count only where the exchange says "filled"."""
    closed = DeribitClient.note_closed
    result = finishing.leg_result

    def blind(order: Any) -> Any:
        return order if order.order_state == "filled" else order.model_copy(update={"filled_amount_coin": 0.0})

    def note(self: DeribitClient, order: Any) -> None:
        closed(self, blind(order))

    def leg_result(leg: Any, amount: float, tried: Any, order: Any, *more: Any) -> Any:
        return result(leg, amount, tried, blind(order), *more)

    with replaced(DeribitClient, note_closed=note), replaced(finishing, leg_result=leg_result):
        yield
