"""The mark of an account's orders: written whole, true at every moment, and doubted where it cannot be read."""

from __future__ import annotations

import errno
import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from models import LogWriteError
from orders.last_order import Mark, MarkedOrder, read_mark, write_mark
from orders.order_log import OrderLogFile
from paper_exchange.market.clocks import SimulatedClock
from tests.builders.agent import an_order_request, next_process, run_for, scripted_desk
from tests.builders.paper import CALL, START
from tests.builders.wire import Fault, lost_on_the_way, meanwhile, refused

LATER = START + timedelta(days=1)


def _full(handle: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def a_mark(moment: datetime, *labels: str) -> Mark:
    return Mark(at=moment, may_be_open=tuple(MarkedOrder(label=label, symbol=CALL, at=START) for label in labels))


def test_the_mark_is_read_as_it_was_last_written(tmp_path: Path) -> None:
    path = tmp_path / "not" / "there" / "yet"
    for mark in (a_mark(START, "first", "second"), a_mark(LATER)):
        write_mark(path, mark)
        assert (read_mark(path, LATER), list(path.parent.iterdir())) == (mark, [path])
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_mark_there_was_no_order(tmp_path: Path) -> None:
    assert read_mark(tmp_path / "mark", LATER) is None


UNREADABLE = [b"", b"\xff\xfe", b"yesterday", b'{"at": "2026-01-05T12:00:00"}', b'{"at": "2026-', b"0" * 1_000_000]


@pytest.mark.parametrize("content", UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_mark_that_cannot_be_read_counts_as_an_order_of_this_moment(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mark").write_bytes(content)
    assert read_mark(tmp_path / "mark", LATER) == a_mark(LATER)


def test_a_folder_in_place_of_the_mark_counts_as_an_order_of_this_moment(tmp_path: Path) -> None:
    assert read_mark(tmp_path, LATER) == a_mark(LATER)


def test_a_mark_that_the_disk_refuses_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mark(tmp_path / "mark", a_mark(START, "before"))
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(LogWriteError, match="cannot be written"):
        write_mark(tmp_path / "mark", a_mark(LATER))
    assert read_mark(tmp_path / "mark", LATER) == a_mark(START, "before")


@pytest.mark.parametrize(
    ("content", "left"),
    [("2026-01-05T12:00", 60.0), ("9999-12-31T23:59:59Z", 60.0), ("0001-01-01T00:00:00Z", 0.0)],
)
def test_whatever_the_mark_says_the_wait_is_between_nothing_and_a_minute(
    tmp_path: Path, content: str, left: float
) -> None:
    (tmp_path / "mark").write_text(f'{{"at": "{content}"}}')
    log = OrderLogFile(tmp_path / "logs", SimulatedClock(START), "test-0001", "test", tmp_path / "mark")
    log.rest_after_last_order()
    assert log.lapse_left_seconds() == pytest.approx(left, abs=1e-6)


# --- orders that may be open --------------------------------------------------------------------------


def _marked(path: Path) -> list[str]:
    mark = read_mark(path, START)
    return [] if mark is None else [order.label for order in mark.may_be_open]


def test_an_order_is_marked_before_it_leaves_and_until_it_is_known_to_have_ended(tmp_path: Path) -> None:
    desk, path = scripted_desk(tmp_path), tmp_path / "last_order"
    seen: list[list[str]] = []
    desk.wire.disturb("private/sell", meanwhile(lambda: seen.append(_marked(path))))
    client = next_process(desk, path).client
    order = client.place_limit_order(an_order_request(price_coin=0.03)).order
    assert order is not None
    assert seen == [[order.label]] == [_marked(path)]
    desk.clock.sleep(300.0)
    final = client.cancel_order(order.order_id).order
    assert (final is not None, _marked(path)) == (True, [order.label])
    client.note_closed(final or order)
    assert read_mark(path, LATER) == Mark(at=client.server_now())


@pytest.mark.parametrize("fault", [lost_on_the_way(httpx.ConnectError), refused(10009)])
def test_an_order_that_surely_never_was_is_marked_no_more(tmp_path: Path, fault: Fault) -> None:
    desk, path = scripted_desk(tmp_path), tmp_path / "last_order"
    desk.wire.disturb("private/sell", fault)
    next_process(desk, path).client.place_limit_order(an_order_request(price_coin=0.03))
    assert (path.exists(), _marked(path)) == (True, [])


def test_two_orders_at_once_are_both_marked_and_each_ends_for_itself(tmp_path: Path) -> None:
    path, clock = tmp_path / "mark", SimulatedClock(START)
    log = OrderLogFile(tmp_path / "logs", clock, "test-0001", "test", path)
    intent = {"event": "intent", "valid_until": 1_767_614_410_000, "at": START.isoformat()}
    for label, symbol in (("first", CALL), ("second", "ETH-16JAN26-3600-C")):
        log.write({**intent, "label": label, "symbol": symbol})
    assert _marked(path) == ["first", "second"]
    clock.sleep(300.0)
    log.note({"event": "closed", "label": "first", "filled_amount_coin": 0.1, "at": clock.now().isoformat()})
    assert _marked(path) == ["second"]


def test_a_fill_of_an_old_order_just_before_a_kill_is_waited_for_though_all_logs_are_lost(tmp_path: Path) -> None:
    desk, path = scripted_desk(tmp_path), tmp_path / "last_order"
    next_process(desk, path).client.place_limit_order(an_order_request(price_coin=0.03))
    desk.clock.sleep(300.0)
    desk.market.show(CALL, 0.03, 0.031)  # the order trades
    shutil.rmtree(desk.config.run.log_dir)
    agent = next_process(desk, path)
    assert agent.order_log.lapse_left_seconds() == 0.0
    (line,) = run_for(agent, 1)
    assert line.agent_state is not None
    assert line.agent_state.unresolved_symbols == (CALL,)
    assert [entry.entry_type for entry in line.ledger] == ["trade"]
    mark = read_mark(path, LATER)
    assert mark is not None
    assert (mark.may_be_open, abs(mark.at - line.timestamp) < timedelta(seconds=5)) == ((), True)


def test_an_order_that_still_rests_after_all_logs_were_lost_is_taken_back(tmp_path: Path) -> None:
    desk, path = scripted_desk(tmp_path), tmp_path / "last_order"
    next_process(desk, path).client.place_limit_order(an_order_request(price_coin=0.03))
    desk.clock.sleep(86_400.0 / 4.0)
    shutil.rmtree(desk.config.run.log_dir)
    agent = next_process(desk, path)
    label = an_order_request().label
    assert [order.label for order in agent.order_log.unresolved()] == [label]
    run_for(agent, 2)
    assert (desk.account.open_orders(), agent.order_log.unclosed(), _marked(path)) == ([], (), [])


def test_an_order_of_which_one_look_up_shows_nothing_keeps_its_coin_waiting(tmp_path: Path) -> None:
    """A copy of the exchange's books may lag."""
    desk, path = scripted_desk(tmp_path), tmp_path / "last_order"
    desk.wire.disturb("private/sell", lost_on_the_way(httpx.ReadTimeout))
    next_process(desk, path).client.place_limit_order(an_order_request(price_coin=0.03))
    desk.clock.sleep(300.0)
    shutil.rmtree(desk.config.run.log_dir)
    first, second = run_for(next_process(desk, path), 2)
    assert first.agent_state is not None
    assert second.agent_state is not None
    assert first.agent_state.unresolved_symbols == (CALL,)
    assert second.agent_state.unresolved_symbols == ()


def test_what_the_log_knows_is_not_taken_over_from_the_mark(tmp_path: Path) -> None:
    desk, path = scripted_desk(tmp_path), tmp_path / "last_order"
    next_process(desk, path).client.place_limit_order(an_order_request(price_coin=0.03))
    before = desk.order_lines()
    log = next_process(desk, path).order_log
    assert ([order.label for order in log.unclosed()], log.unresolved()) == ([an_order_request().label], ())
    assert desk.order_lines() == before
