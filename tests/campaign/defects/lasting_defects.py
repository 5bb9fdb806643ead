"""Mistakes in the logs, on the disk, and in stopping.

In: nothing. Out: entries of `DEFECTS`. Each patches the agent while it is put in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import risk_engine
from cli import endings
from cli.recorder import Recorder
from core import exposure, trading_hours
from core.breaker import Breaker
from deribit.wire import JsonRpc
from deribit_client import DeribitClient
from models import (
    AgentError,
    DeribitConnectionError,
    LogWriteError,
)
from orders import jsonl_file, trading_state
from orders.order_log import OrderLogFile
from orders.resting import RestingOrders
from orders.trading_state import TradingStateKeeper
from policies import call as policy_call
from tests.campaign.defects.defects import defect, replaced
from tests.campaign.world.schedule import Act, Schedule, with_few_bids

SENDS = ("private/buy", "private/sell")
NEVER = 1_000_000


# --- logging ---


@defect("I8")
def logged_after_sending() -> Iterator[None]:
    """The intent is written once the answer is there."""
    note = DeribitClient._note_outcome
    write = DeribitClient._log_intent
    waiting: list[tuple[Any, ...]] = []

    def later(self: DeribitClient, *intent: Any) -> None:
        waiting.append(intent)

    def both(self: DeribitClient, request: Any, receipt: Any) -> None:
        while waiting:
            write(self, *waiting.pop())
        note(self, request, receipt)

    with replaced(DeribitClient, _log_intent=later, _note_outcome=both):
        yield


@defect("I8")
def no_intent() -> Iterator[None]:
    """Orders are logged with their outcome only."""
    with replaced(DeribitClient, _log_intent=lambda self, *intent: None):
        yield


@defect("I8", "I16")
def not_forced_to_disk() -> Iterator[None]:
    """The order log is written, but not forced to disk: a power cut takes it."""
    with replaced(jsonl_file.JsonlLog, _force=lambda self, handle, is_new: None):
        yield


@defect("I8")
def a_full_disk_is_ignored() -> Iterator[None]:
    """Where a line cannot be written the order leaves all the same."""
    write = OrderLogFile.write

    def careless(self: OrderLogFile, record: Any) -> None:
        try:
            write(self, record)
        except LogWriteError:
            self._remember(dict(record))

    with replaced(OrderLogFile, write=careless):
        yield


@defect("I15")
def torn_lines_are_glued() -> Iterator[None]:
    """The next line is written right behind half a line."""
    with replaced(jsonl_file, set_torn_line_aside=lambda path: None):
        yield


@defect("I15")
def half_lines_stay() -> Iterator[None]:
    """A short write counts as written."""

    def careless(self: Any, handle: int, line: bytes, is_forced: bool) -> None:
        written: int = getattr(jsonl_file, "os").write(handle, line)  # noqa: B009 - the campaign's disk
        assert written > 0

    with replaced(jsonl_file.JsonlLog, _append=careless):
        yield


@defect("I16")
def only_good_iterations_are_logged() -> Iterator[None]:
    """An iteration that failed leaves no line."""
    write = Recorder.write

    def choosy(self: Recorder) -> str | None:
        for record in tuple(self.unwritten):
            if record.error is not None:
                self.unwritten.remove(record)
        return write(self)

    with replaced(Recorder, write=choosy):
        yield


@defect("I23")
def logs_for_everybody() -> Iterator[None]:
    """Log files can be read by all users."""
    write = jsonl_file.JsonlLog.write_line

    def open_to_all(self: Any, text: str, may_be_lost: bool = False) -> None:
        write(self, text, may_be_lost)
        self.path().chmod(0o644)

    with replaced(jsonl_file.JsonlLog, write_line=open_to_all):
        yield


@defect("I21")
def secrets_in_the_log() -> Iterator[None]:
    """What was sent is logged as it was sent, the key too."""
    login = JsonRpc.authenticate

    def talkative(self: JsonRpc) -> None:
        login(self)
        secret = self._credentials[1].get_secret_value()
        self._note("public/auth", f"logged in with {secret}", 1, self.clock.monotonic())

    with replaced(JsonRpc, authenticate=talkative):
        yield


# --- stopping ---


@defect("I28")
def no_last_look_at_the_kill_file() -> Iterator[None]:
    """The kill file is looked at when the state is read, and not again before an order leaves."""
    reason = DeribitClient._reason_to_send_nothing

    def careless(self: DeribitClient, quoted_at: Any) -> Any:
        with replaced(DeribitClient, kill_note=lambda self: None):
            return reason(self, quoted_at)

    with replaced(DeribitClient, _reason_to_send_nothing=careless):
        yield


@defect("I14")
def settlement_is_ignored() -> Iterator[None]:
    """Orders leave at 08:00 UTC too."""
    with replaced(trading_hours, in_settlement_window=lambda moment: False):
        yield


@defect("I30")
def no_breaker() -> Iterator[None]:
    """Nothing is made of failures in a row."""
    with replaced(trading_state, after_iteration=lambda before, events: before):
        yield


@defect("I30")
def the_breaker_is_forgotten() -> Iterator[None]:
    """A restart begins with a clean slate."""
    stay = TradingStateKeeper.resume_or_stay_halted

    def forget(self: TradingStateKeeper, is_resumed: bool) -> None:
        self.breaker = Breaker()
        stay(self, is_resumed)

    with replaced(TradingStateKeeper, resume_or_stay_halted=forget):
        yield


@defect("I30")
def halted_goes_on_trading() -> Iterator[None]:
    """HALTED is only a word in the log."""
    rules = tuple(rule for rule in risk_engine.RULES if rule.__name__ not in ("halted", "reducing"))
    with replaced(risk_engine, RULES=rules):
        yield


@defect("I24")
def a_failed_read_ends_the_process() -> Iterator[None]:
    """An error of the connection leaves the loop."""
    read = JsonRpc.read

    def fragile(self: JsonRpc, *arguments: Any) -> Any:
        try:
            return read(self, *arguments)
        except DeribitConnectionError as error:
            raise _FatalError(str(error)) from None

    with replaced(JsonRpc, read=fragile):
        yield


class _FatalError(AgentError):
    exit_code = 1


def _never_filled(schedule: Schedule) -> Schedule:
    """Wide books that nobody trades on, and few orders a day."""
    regime = replace(schedule.regime, half_spread_fraction=0.3, fill_pct=0.0, empty_pct=0.0)
    limits = {"max_orders_per_day": 2, "max_unfilled_orders_per_day": 2, "price_collar_pct": 25.0}
    settings = schedule.settings | {
        "risk": schedule.settings["risk"] | limits,
        "run": schedule.settings["run"] | {"order_concession_pct": 15.0},
    }
    calm = replace(schedule, acts=(), crashes=(), disk_faults=(), intensity_pct=0)
    return replace(calm, regime=regime, settings=settings)


@defect("I30", occasion=lambda schedule: replace(_never_filled(schedule), policy="eager"))
def unfilled_orders_do_not_count() -> Iterator[None]:
    """What came to nothing counts against no limit."""
    no_limit = {"unfilled_orders_problem": lambda *arguments: None}
    with replaced(risk_engine, **no_limit), replaced(exposure, **no_limit):
        yield


@defect("I26", occasion=lambda schedule: replace(_never_filled(schedule), policy="rule_based"))
def the_collar_judges_the_bid() -> Iterator[None]:
    """A sale is blocked where the bid lies far below the mark, although it would never be made at the bid."""
    collar = risk_engine.price_collar

    def price_collar(trade: Any) -> Iterator[str]:
        sold = trade.sold and trade.sold.model_copy(update={"floor_price_coin": trade.sold.bid_price_coin})
        yield from collar(replace(trade, sold=sold))

    rules = tuple(price_collar if rule is collar else rule for rule in risk_engine.RULES)
    with replaced(risk_engine, RULES=rules):
        yield


def _changed_by_the_policy(schedule: Schedule) -> Schedule:
    """The agent's own policy, which explains its near misses with decimals, and which changes their precision once."""
    return replace(schedule, acts=(Act("P12", 3, 0),), disk_faults=(), crashes=(), policy="rule_based", intensity_pct=0)


@defect("I24", "I26", occasion=_changed_by_the_policy)
def the_policy_may_change_the_process() -> Iterator[None]:
    """The precision of decimals, and whatever else there is of its kind, stays as a policy has left it."""
    with replaced(policy_call, process_put_back=nullcontext):
        yield


@defect("I24")
def one_fatal_answer_ends_the_process() -> Iterator[None]:
    """A captive portal is believed at once."""
    with replaced(endings, must_end=lambda agent, error: True):
        yield


@defect("I19")
def fatal_answers_do_not_stop_it() -> Iterator[None]:
    """The next iteration goes on as after any failure."""

    def go_on(agent: Any, error: AgentError) -> bool:
        agent.client._rpc.fatal_answer = None
        return False

    with replaced(endings, must_end=go_on):
        yield


# --- orders that rest ---


def _orders_rest(schedule: Schedule) -> Schedule:
    """Most books have no bid, so that orders rest, and nothing else happens."""
    calm = replace(schedule, acts=(Act("R06", 2, schedule.index),), disk_faults=(), crashes=(), intensity_pct=0)
    return with_few_bids(calm, 60.0, 80.0)


@defect("I28", occasion=_orders_rest)
def kill_file_is_not_looked_at_while_orders_rest() -> Iterator[None]:
    """The kill file is looked at before orders leave, not while one rests."""
    look = RestingOrders._problem

    def careless(self: RestingOrders, resting: Any, ticker: Any) -> Any:
        with replaced(DeribitClient, kill_note=lambda self: None):
            return look(self, resting, ticker)

    with replaced(RestingOrders, _problem=careless):
        yield


@defect("I26", occasion=_orders_rest)
def resting_orders_stay_until_the_next_decision() -> Iterator[None]:
    """What rests is not cancelled before the next decision: the iteration that follows finds it as left over."""
    with replaced(RestingOrders, take_all_back=lambda self, why: self._orders.clear()):
        yield
