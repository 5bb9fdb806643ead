"""Orders offered at the mark: they rest until shortly before the next decision, and are taken back for a reason before.

The whole agent on thin books (nobody bids), a decision every 300 s; the loop is the agent's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

import agent_loop
from cli.assembly import Agent
from models import AgentState, WrongEnvironmentError
from tests.builders.agent import agent_at, decision_lines, next_process, options
from tests.builders.thin import ThinDesk, thin_desk
from tests.builders.wire import answer_lost, lost_on_the_way

LOOK = timedelta(seconds=10)


@dataclass
class Watched:
    """A run with what happened on the wire: (time, method) of every request, and what a test does at its times."""

    desk: ThinDesk
    agent: Agent
    calls: list[tuple[datetime, str]] = field(default_factory=list)
    acts: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    acted_at: list[datetime] = field(default_factory=list)

    def run(self, iterations: int, *arguments: str) -> int:
        return agent_loop.run_loop(self.agent, options("--iterations", str(iterations), "--quiet", *arguments))

    def at(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something once so many seconds of the run are over."""
        self.acts.append((seconds, act))

    def times_of(self, method: str) -> list[datetime]:
        return [at for at, name in self.calls if name == f"private/{method}"]

    def note(self, request: httpx.Request, answer: Callable[[], httpx.Response]) -> httpx.Response:
        now = self.desk.clock.now()
        self.calls.append((now, request.url.path.removeprefix("/api/v2/")))
        elapsed_seconds = self.desk.clock.monotonic()
        due = [act for seconds, act in self.acts if seconds <= elapsed_seconds]
        self.acts = [(seconds, act) for seconds, act in self.acts if seconds > elapsed_seconds]
        for act in due:
            self.acted_at.append(now)
            act()
        return answer()


def watched(folder: Path, **sections: Any) -> Watched:
    desk = thin_desk(folder, **sections)
    run = Watched(desk, agent_at(desk))
    desk.wire.always = run.note
    return run


def own_symbol(run: Watched) -> str:
    (order,) = run.desk.account.open_orders()
    return order.instrument_name


ONE_COIN = {"eth": {"enabled": False}}


def test_an_order_rests_at_the_mark_until_30_s_before_the_next_decision(tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    run.run(2)
    first, second = decision_lines(tmp_path)[:2]
    (leg,) = first["executed_action"]["legs"]
    assert (first["executed_status"], leg["status"]) == ("resting", "resting")
    (call,) = (one for one in first["agent_state"]["candidates"] if one["symbol"] == first["symbol"])
    assert leg["order"]["price_coin"] >= call["floor_price_coin"] == call["mark_price_coin"]
    decided, again = (datetime.fromisoformat(line["timestamp"]) for line in (first, second))
    assert again - decided == timedelta(seconds=300)
    assert run.times_of("cancel")[0] == again - timedelta(seconds=30)


def test_while_it_rests_it_is_looked_at_every_ten_seconds(tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    run.run(2)
    looks = [at for at in run.times_of("get_order_state") if at <= run.times_of("cancel")[0]]
    assert len(looks) > 25
    assert max(later - before for before, later in pairwise(looks)) <= LOOK


def test_the_orders_of_both_coins_rest_at_once(tmp_path: Path) -> None:
    run = watched(tmp_path)
    most: list[int] = []
    run.at(100.0, lambda: most.append(len(run.desk.account.open_orders())))
    run.run(3)
    assert most == [2]
    assert {line["underlying"] for line in decision_lines(tmp_path)[:2]} == {"BTC", "ETH"}
    assert not run.desk.account.open_orders()


def test_the_next_line_and_the_console_say_what_became_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = watched(tmp_path, **ONE_COIN)
    run.run(2)
    (ended,) = decision_lines(tmp_path)[1]["ended_orders"]
    assert (ended["status"], ended["filled_coin"], ended["note"]) == ("not_filled", 0.0, "the next decision is near")
    assert "nobody took it,\n     taken back (the next decision is near)" in capsys.readouterr().out
    assert run.desk.order_lines()[2]["event"] == "closed"


def test_one_that_is_filled_while_it_rests_is_a_call_held_at_the_next_decision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = watched(tmp_path, **ONE_COIN)
    run.at(100.0, lambda: run.desk.market.bids_coin.update({own_symbol(run): 0.5}))
    run.run(2)
    second = decision_lines(tmp_path)[1]
    (ended,) = second["ended_orders"]
    assert (ended["status"], ended["filled_coin"]) == ("filled", 0.1)
    assert [entry["entry_type"] for entry in second["ledger"]] == ["trade"]
    assert second["action_type"] == "DO_NOTHING"
    assert "and was filled" in capsys.readouterr().out
    assert not run.times_of("cancel")


def kill(run: Watched) -> None:
    run.desk.config.risk.kill_file.write_text("stop")


def ask_to_stop(run: Watched) -> None:
    run.agent.stop_requested = True


def lift_the_mark(run: Watched) -> None:
    run.desk.market.mark_factors[own_symbol(run)] = 1.5


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (kill, "the kill file exists"),
        (ask_to_stop, "the run is being stopped"),
        (lift_the_mark, "the mark has risen to"),
    ],
)
def test_it_is_taken_back_within_ten_seconds(act: Callable[[Watched], None], why: str, tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    run.at(100.0, lambda: act(run))
    run.run(2)
    assert run.times_of("cancel")[0] - run.acted_at[0] <= LOOK
    notes = [ended["note"] for line in decision_lines(tmp_path) for ended in line["ended_orders"]]
    assert notes[0].startswith(why)


def test_it_is_taken_back_before_the_pause_at_eight(tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    seconds_to_0752 = 19 * 3600.0 + 52 * 60.0
    run.desk.clock.sleep(seconds_to_0752)
    run.run(2)
    (at, *_) = run.times_of("cancel")
    assert (at.hour, at.minute) == (7, 54)
    assert not [time for time in run.times_of("sell") if time.hour == 7 and time.minute >= 55]


def test_it_is_taken_back_once_its_quote_is_too_old(tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    note = run.note

    def without_tickers(request: httpx.Request, answer: Callable[[], httpx.Response]) -> httpx.Response:
        if run.desk.clock.monotonic() > 10.0 and request.url.path.endswith("public/ticker"):
            raise httpx.ConnectError("made up")
        return note(request, answer)

    run.desk.wire.always = without_tickers
    run.run(2)
    (at, *_) = run.times_of("cancel")
    assert 120.0 < (at - run.calls[0][0]).total_seconds() < 200.0


def too_many_requests(run: Watched, after_seconds: float) -> None:
    """Every request is told so for half a minute."""
    note = run.note

    def limited(request: httpx.Request, answer: Callable[[], httpx.Response]) -> httpx.Response:
        if after_seconds < run.desk.clock.monotonic() < after_seconds + 30.0:
            note(request, lambda: httpx.Response(429))
            return httpx.Response(429)
        return note(request, answer)

    run.desk.wire.always = limited


def test_after_too_many_requests_a_look_asks_nothing_for_a_minute(tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    too_many_requests(run, after_seconds=50.0)
    run.run(2)
    start = run.calls[0][0]
    seconds = [(at - start).total_seconds() for at in run.times_of("get_order_state")]
    told = next(at for at in seconds if at > 50.0)
    later = [at for at in seconds if at > told + 3.0]  # what is tried again is tried within two seconds
    assert 60.0 <= later[0] - told < 70.0
    assert 260.0 < max(later) <= 300.0


def test_a_kill_file_is_seen_in_that_minute_too(tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    too_many_requests(run, after_seconds=50.0)
    run.at(51.0, lambda: kill(run))
    run.run(2)
    assert run.times_of("cancel")[0] - run.acted_at[0] <= LOOK


def with_foreign_redirects(run: Watched, after_seconds: float, times: int) -> list[datetime]:
    """So many requests are answered with a redirect to another host; when."""
    note, met = run.note, list[datetime]()

    def broken(request: httpx.Request, answer: Callable[[], httpx.Response]) -> httpx.Response:
        if run.desk.clock.monotonic() > after_seconds and len(met) < times:
            met.append(run.desk.clock.now())
            return httpx.Response(302, headers={"location": "https://portal.example/login"})
        return note(request, answer)

    run.desk.wire.always = broken
    return met


def test_a_fatal_answer_while_it_rests_is_asked_again_after_ten_seconds_and_it_is_taken_back(tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    met = with_foreign_redirects(run, after_seconds=50.0, times=1)
    assert run.run(2) == 0
    assert run.times_of("cancel")[0] - met[0] < timedelta(seconds=15)
    assert not run.desk.account.open_orders()


def test_a_second_fatal_answer_ends_the_process_and_names_what_may_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = watched(tmp_path, **ONE_COIN)
    met = with_foreign_redirects(run, after_seconds=50.0, times=2)
    with pytest.raises(WrongEnvironmentError):
        run.run(2)
    (label,) = {order.label for order in run.desk.account.open_orders()}
    assert met[1] - met[0] == timedelta(seconds=10)
    assert f"{label}: an order of ours may stay open until 08:00 UTC" in " ".join(capsys.readouterr().err.split())


def test_a_stop_whose_cancel_fails_is_made_good_at_the_end_of_the_run(tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    run.at(100.0, lambda: ask_to_stop(run))
    note, failed = run.note, list[int]()

    def without_first_cancel(request: httpx.Request, answer: Callable[[], httpx.Response]) -> httpx.Response:
        if request.url.path.endswith("private/cancel") and not failed:
            failed.append(1)
            raise httpx.ReadTimeout("made up")
        return note(request, answer)

    run.desk.wire.always = without_first_cancel
    assert run.run(2) == 0
    assert failed
    assert not run.desk.account.open_orders()


class KilledError(BaseException):
    """The process ends here: nothing of it runs any more."""


def test_one_killed_at_a_look_is_followed_by_one_that_takes_the_order_back_and_waits(tmp_path: Path) -> None:
    def die() -> None:
        raise KilledError

    run = watched(tmp_path, **ONE_COIN)
    run.at(100.0, die)
    with pytest.raises(KilledError):
        run.run(2)
    assert len(run.desk.account.open_orders()) == 1
    record = agent_loop.run_iteration(next_process(run.desk))
    assert not run.desk.account.open_orders()
    assert not record.executed_action.legs  # its coin waits until it is known how the order ended


def test_the_last_decision_of_a_run_leaves_nothing_on_the_book_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = watched(tmp_path, **ONE_COIN)
    run.run(1)
    assert not run.desk.account.open_orders()
    assert "taken back (the run ends)" in capsys.readouterr().out
    assert [len(line["ended_orders"]) for line in decision_lines(tmp_path)] == [0, 1]


def test_an_order_whose_answer_was_lost_does_not_rest_unwatched_until_the_next_decision(tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    run.desk.wire.disturb("private/sell", answer_lost())
    begun_at = run.desk.clock.now()
    run.run(2)
    assert timedelta(seconds=30) <= run.times_of("cancel")[0] - begun_at < timedelta(seconds=35)
    assert run.desk.account.open_orders() == []


def test_an_order_that_could_not_be_cancelled_is_cancelled_within_half_a_minute(tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    begun_at = run.desk.clock.now()
    run.at(50.0, lambda: run.desk.wire.disturb("private/cancel", lost_on_the_way()))
    run.at(50.0, lambda: kill(run))
    run.run(2)
    assert timedelta(seconds=80) < run.times_of("cancel")[0] - begun_at < timedelta(seconds=100)
    assert run.desk.account.open_orders() == []


def test_the_next_start_takes_back_what_a_killed_process_left_resting(tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    agent_loop.run_iteration(run.agent)
    assert len(run.desk.account.open_orders()) == 1
    record = agent_loop.run_iteration(next_process(run.desk))
    assert not run.desk.account.open_orders()
    assert record.agent_state is not None
    assert record.agent_state.unresolved_symbols  # it may have traded a moment before: its coin waits


def test_an_iteration_outside_the_loop_takes_back_what_nobody_watched(tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    agent_loop.run_iteration(run.agent)
    record = agent_loop.run_iteration(run.agent)
    assert isinstance(record.agent_state, AgentState)
    assert record.agent_state.portfolio.open_orders == ()


def test_a_resting_order_ends_by_itself_at_eight_should_nobody_be_left_to_cancel_it(tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    agent_loop.run_iteration(run.agent)
    run.desk.clock.sleep(21 * 3600.0)
    run.desk.account.advance()
    assert not run.desk.account.open_orders()
    assert not run.desk.account.state.positions


def test_unfilled_offers_of_a_day_count_as_unfilled_and_do_not_reduce_the_agent(tmp_path: Path) -> None:
    run = watched(tmp_path, **ONE_COIN)
    run.run(30)
    last = decision_lines(tmp_path)[29]
    assert last["trading_state"] == "ACTIVE"
    assert (last["agent_state"]["orders_today"], last["agent_state"]["unfilled_orders_today"]) == (0, 29)
