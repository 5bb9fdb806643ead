"""The order log: what it says of an order after each event, also after a restart, on a good disk and on a bad one."""

from __future__ import annotations

import errno
import json
import stat
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from models import LogWriteError
from orders import order_log
from orders.order_log import OrderLogFile, OrderMemory, seconds_since_deadline
from paper_exchange.market.clocks import SimulatedClock
from tests.builders.disks import disk_full, failing, faulty_disk
from tests.builders.paper import START

LABEL = "cc-260105120000-abcdef-sell"
SYMBOL = "BTC-16JAN26-110000-C"
ETH_SYMBOL = "ETH-16JAN26-3600-C"
FILE = "orders-2026-01-05.jsonl"
NOT_SURE = ((LABEL,), (), (SYMBOL,))
ALIVE = ((), (LABEL,), (SYMBOL,))
RESTING = ((), (), (SYMBOL,))
OVER = ((), (), ())

Event = dict[str, Any]


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def an_intent(label: str = LABEL, symbol: str = SYMBOL, seconds: float = 0.0, **fields: Any) -> Event:
    deadline_ms = 1_767_614_410_000 + round(seconds * 1000.0)
    line = {"event": "intent", "label": label, "symbol": symbol, "valid_until": deadline_ms, "at": at(seconds)}
    return {**line, **fields}


def an_outcome(outcome: str, label: str = LABEL, seconds: float = 0.0) -> Event:
    return {"event": "outcome", "label": label, "symbol": SYMBOL, "outcome": outcome, "at": at(seconds)}


def a_closing(filled: float | None, seconds: float = 0.0, label: str = LABEL) -> Event:
    return {"event": "closed", "label": label, "filled_amount_coin": filled, "at": at(seconds)}


def an_edit(seconds: float = 0.0) -> Event:
    return {"event": "edit", "label": LABEL, "symbol": SYMBOL, "order_id": "1", "price": 0.02, "at": at(seconds)}


def a_log(folder: Path, clock: SimulatedClock | None = None, account: str | None = "test") -> OrderLogFile:
    return OrderLogFile(folder, clock or SimulatedClock(START), "test-0001", account=account)


def what_is_known(log: OrderMemory, seconds: float = 1.0) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """(labels without a certain outcome, labels that may still trade, symbols whose coin waits)."""
    unresolved = tuple(order.label for order in log.unresolved())
    unclosed = tuple(order.label for order in log.unclosed())
    return unresolved, unclosed, log.busy_symbols(START + timedelta(seconds=seconds))


def events_in(folder: Path) -> list[str]:
    names = sorted(folder.glob("orders-*.jsonl"))
    return [json.loads(line)["event"] for path in names for line in path.read_text().splitlines()]


# --- what each event means --------------------------------------------------------------------------


LIVES: Mapping[str, tuple[list[Event], object]] = {
    "nothing": ([], OVER),
    "about_to_leave": ([an_intent()], NOT_SURE),
    "answer_lost": ([an_intent(), an_outcome("unknown")], NOT_SURE),
    "not_sent": ([an_intent(), an_outcome("not_sent")], OVER),
    "rejected": ([an_intent(), an_outcome("rejected")], OVER),
    "accepted": ([an_intent(), an_outcome("accepted")], ALIVE),
    "edited": ([an_intent(), an_outcome("accepted"), an_edit()], ALIVE),
    "filled": ([an_intent(), an_outcome("accepted"), a_closing(0.1)], RESTING),
    "not_filled": ([an_intent(), an_outcome("accepted"), a_closing(0.0)], OVER),
    "forgotten_by_the_exchange": ([an_intent(), an_outcome("accepted"), a_closing(None)], RESTING),
    "never_arrived": ([an_intent(), an_outcome("unknown"), an_outcome("resolved_absent")], RESTING),
    "found": ([an_intent(), an_outcome("unknown"), an_outcome("resolved_present")], ALIVE),
    "found_and_filled": ([an_intent(), an_outcome("unknown"), an_outcome("resolved_present"), a_closing(1.0)], RESTING),
    "crashed_before_the_outcome": ([an_intent(), an_outcome("resolved_present"), a_closing(0.0)], RESTING),
    "edited_and_its_outcome_not_readable": ([an_intent(), an_edit()], ALIVE),
    "filled_and_its_outcome_not_readable": ([an_intent(), a_closing(1.0)], RESTING),
    "not_filled_and_its_outcome_not_readable": ([an_intent(), a_closing(0.0)], OVER),
    "an_outcome_nobody_knows": ([an_intent(), an_outcome("thawed")], NOT_SURE),
    "accepted_and_its_intent_not_readable": ([an_outcome("accepted")], ALIVE),
    "lost_and_its_intent_not_readable": ([an_outcome("unknown")], NOT_SURE),
    "refused_and_its_intent_not_readable": ([an_outcome("rejected")], OVER),
    "ended_and_its_intent_not_readable": ([an_outcome("unknown"), a_closing(1.0), an_edit()], RESTING),
    "a_price_and_an_end_without_an_intent": ([an_edit(), a_closing(1.0)], OVER),
}


@pytest.mark.parametrize(("events", "known"), LIVES.values(), ids=list(LIVES))
def test_what_is_known_of_an_order_follows_from_its_events_also_after_a_restart_and_without_a_disk(
    tmp_path: Path, events: list[Event], known: object
) -> None:
    log, memory = a_log(tmp_path), OrderMemory()
    for event in events:
        log.write(event)
        memory.write(event)
    assert what_is_known(log) == what_is_known(a_log(tmp_path)) == what_is_known(memory) == known


@pytest.mark.parametrize(("events", "known"), LIVES.values(), ids=list(LIVES))
def test_events_that_are_noted_mean_the_same_as_events_that_are_written(
    tmp_path: Path, events: list[Event], known: object
) -> None:
    log, memory = a_log(tmp_path), OrderMemory()
    assert [log.note(event) for event in events] == [memory.note(event) for event in events] == [None] * len(events)
    assert what_is_known(log) == what_is_known(a_log(tmp_path)) == what_is_known(memory) == known


@pytest.mark.parametrize(("seconds", "is_busy"), [(59.9, True), (60.0, False), (61.0, False)])
@pytest.mark.parametrize("filled", [0.1, None])
def test_a_coin_rests_a_minute_after_an_order_that_may_have_traded(
    tmp_path: Path, filled: float | None, seconds: float, is_busy: bool
) -> None:
    log = a_log(tmp_path)
    for event in (an_intent(), an_outcome("accepted"), a_closing(filled, seconds=30.0)):
        log.write(event)
    moment = START + timedelta(seconds=30.0 + seconds)
    assert log.busy_symbols(moment) == a_log(tmp_path).busy_symbols(moment) == ((SYMBOL,) if is_busy else ())


@pytest.mark.parametrize(("seconds", "is_busy"), [(9.0, True), (15.0, True), (15.1, False)])
@pytest.mark.parametrize("ended", [[an_outcome("resolved_absent")], [an_outcome("resolved_present"), a_closing(0.0)]])
def test_an_order_resolved_after_an_unknown_outcome_keeps_its_coin_until_its_request_can_no_longer_arrive(
    tmp_path: Path, ended: list[Event], seconds: float, is_busy: bool
) -> None:
    log, moment = a_log(tmp_path), START + timedelta(seconds=seconds)
    for event in (an_intent(), an_outcome("unknown"), *ended):
        log.write(event)
    assert log.busy_symbols(moment) == a_log(tmp_path).busy_symbols(moment) == ((SYMBOL,) if is_busy else ())


@pytest.mark.parametrize("outcome", ["unknown", "accepted", "resolved_present"])
def test_an_order_that_is_not_over_keeps_its_coin_waiting_however_long_that_takes(tmp_path: Path, outcome: str) -> None:
    log = a_log(tmp_path)
    log.write(an_intent())
    log.write(an_outcome(outcome))
    assert log.busy_symbols(START + timedelta(days=3)) == (SYMBOL,)


def test_orders_are_told_apart_by_their_labels_oldest_first(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    for label in ("first", "second", "third"):
        log.write(an_intent(label))
    log.write(an_outcome("accepted", "second"))
    assert what_is_known(a_log(tmp_path))[:2] == (("first", "third"), ("second",))


def test_each_coin_waits_for_its_own_orders(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.write(an_intent())
    log.write(an_intent("other", ETH_SYMBOL))
    log.write(an_outcome("rejected"))
    assert log.busy_symbols(START) == (ETH_SYMBOL,)


@pytest.mark.parametrize(("moment_seconds", "count"), [(-1.0, 3), (0.0, 3), (0.5, 2), (10.0, 2), (20.1, 0)])
def test_orders_are_counted_from_a_moment_on_whatever_became_of_them(
    tmp_path: Path, moment_seconds: float, count: int
) -> None:
    log = a_log(tmp_path)
    for label, seconds in (("first", 0.0), ("second", 10.0), ("third", 20.0)):
        log.write(an_intent(label, seconds=seconds))
    log.write(an_outcome("not_sent", "second", 11.0))
    moment = START + timedelta(seconds=moment_seconds)
    assert log.sent_since(moment) == a_log(tmp_path).sent_since(moment) == count


@pytest.mark.parametrize(
    ("events", "unfilled"),
    [
        ([an_outcome("accepted"), a_closing(0.0)], 1),
        ([an_outcome("not_sent")], 1),
        ([an_outcome("resolved_absent")], 1),
        ([an_outcome("accepted"), a_closing(0.1)], 0),
        ([an_outcome("accepted"), a_closing(None)], 0),
        ([an_outcome("accepted")], 0),
        ([an_outcome("rejected")], 0),
        ([an_outcome("unknown")], 0),
        ([], 0),
    ],
)
def test_an_order_is_unfilled_once_it_is_surely_over_without_a_fill_or_a_refusal(
    tmp_path: Path, events: list[Event], unfilled: int
) -> None:
    log = a_log(tmp_path)
    for event in (an_intent(), *events):
        log.write(event)
    assert log.unfilled_since(START) == a_log(tmp_path).unfilled_since(START) == unfilled
    assert log.unfilled_since(START + timedelta(seconds=1)) == 0


def test_an_order_that_is_long_over_is_forgotten_and_one_that_is_not_is_not(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.write(an_intent("over"))
    log.write(an_outcome("rejected", "over"))
    log.write(an_intent("open"))
    log.write(an_intent("new", seconds=2 * 86_400.0))
    assert [order.label for order in log.unresolved()] == ["open", "new"]
    assert log.sent_since(START - timedelta(days=1)) == 2


@pytest.mark.parametrize(("seconds", "since_deadline"), [(4.0, -6.0), (10.0, 0.0), (15.5, 5.5)])
def test_an_order_lapses_ten_seconds_after_it_was_sent(seconds: float, since_deadline: float) -> None:
    found = seconds_since_deadline(an_intent(), START + timedelta(seconds=seconds))
    assert found == pytest.approx(since_deadline)


@pytest.mark.parametrize(("valid_until_ms", "seconds"), [(1_767_614_410_000, 10.0), (4_000_000_000_000, 60.0)])
def test_no_order_is_waited_for_longer_than_a_minute_whatever_its_line_says(
    valid_until_ms: int, seconds: float
) -> None:
    intent = an_intent(valid_until=valid_until_ms)
    assert seconds_since_deadline(intent, START + timedelta(seconds=seconds)) == pytest.approx(0.0)


def test_of_a_log_the_last_two_days_with_orders_are_read_back(tmp_path: Path) -> None:
    clock = SimulatedClock(START)
    for day in range(4):
        a_log(tmp_path, clock).write(an_intent(f"day-{day}", seconds=day * 86_400.0))
        clock.sleep(86_400.0)
    assert [order.label for order in a_log(tmp_path, clock).unresolved()] == ["day-2", "day-3"]


# --- whose orders ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run_id", "account", "count"),
    [
        ("testnet-20260105T130000", "testnet", 1),
        ("dry_run-20260105T130000", "dry_run", 0),
        ("test-1", "test", 0),
        ("testnet-2", None, 0),
    ],
)
def test_an_intent_of_another_account_is_left_to_its_own_runs(
    tmp_path: Path, run_id: str, account: str | None, count: int
) -> None:
    clock = SimulatedClock(START)
    OrderLogFile(tmp_path, clock, "testnet-20260105T120000", account="testnet").write(an_intent())
    assert len(OrderLogFile(tmp_path, clock, run_id, account).unresolved()) == count


def test_every_line_says_version_and_run(tmp_path: Path) -> None:
    a_log(tmp_path).write(an_intent())
    (order,) = a_log(tmp_path).unresolved()
    assert (order.intent["schema_version"], order.intent["run_id"], order.symbol) == (2, "test-0001", SYMBOL)


def test_an_intent_of_yesterday_is_still_open_today(tmp_path: Path) -> None:
    clock = SimulatedClock(START)
    a_log(tmp_path, clock).write(an_intent())
    clock.sleep(86_400.0)
    a_log(tmp_path, clock).write(an_outcome("unknown", seconds=86_400.0))
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE, "orders-2026-01-06.jsonl"]
    assert len(a_log(tmp_path, clock).unresolved()) == 1


# --- files that were damaged ---------------------------------------------------------------------------------


def test_a_torn_last_line_is_set_aside_when_the_agent_starts(tmp_path: Path) -> None:
    a_log(tmp_path).write(an_intent())
    line = (tmp_path / FILE).read_bytes()
    for cut in range(1, len(line)):
        (tmp_path / FILE).write_bytes(line + line[:cut])
        log = a_log(tmp_path)
        assert (what_is_known(log), log.unreadable_lines) == (NOT_SURE, 0)
        assert (tmp_path / FILE).read_bytes() == line


@pytest.mark.parametrize("garbage", [b"\xff garbage", b"[1]", b"", b"null", b'{"event": "int', b"\x00\x00"])
def test_lines_that_cannot_be_read_hide_no_intent_and_both_coins_rest_a_minute(tmp_path: Path, garbage: bytes) -> None:
    a_log(tmp_path).write(an_intent())
    (tmp_path / FILE).write_bytes(garbage + b"\n" + (tmp_path / FILE).read_bytes() + b"{}\n")
    clock = SimulatedClock(START)
    log = a_log(tmp_path, clock)
    assert (log.unreadable_lines, len(log.unresolved())) == (1, 1)
    log.write(an_outcome("rejected"))
    clock.sleep(59.9)
    assert log.waiting_underlyings() == ("BTC", "ETH")
    clock.sleep(0.1)
    assert (log.waiting_underlyings(), log.busy_symbols(clock.now())) == ((), ())


def test_without_damage_no_coin_rests_after_a_start(tmp_path: Path) -> None:
    a_log(tmp_path).write(an_intent("over"))
    a_log(tmp_path).write(an_outcome("rejected", "over"))
    log = a_log(tmp_path)
    assert (log.unreadable_lines, log.busy_symbols(START), log.waiting_underlyings()) == (0, (), ())


@pytest.mark.parametrize(("version", "is_read"), [(0, True), (1, True), (2, True), (3, False), (99, False)])
def test_a_line_of_a_newer_version_is_not_interpreted_and_both_coins_rest(
    tmp_path: Path, version: int, is_read: bool
) -> None:
    line = an_intent(schema_version=version, run_id="test-0001")
    (tmp_path / FILE).write_text(json.dumps(line) + "\n")
    log = a_log(tmp_path)
    assert (len(log.unresolved()) == 1, log.unreadable_lines == 0) == (is_read, is_read)
    assert log.busy_symbols(START) == ((SYMBOL,) if is_read else ())
    assert log.waiting_underlyings() == (() if is_read else ("BTC", "ETH"))


@pytest.mark.parametrize(
    "change",
    [
        {"label": None},
        {"label": ["a"]},
        {"symbol": 5},
        {"symbol": "SOL-16JAN26-110-C"},
        {"valid_until": None},
        {"valid_until": "soon"},
        {"valid_until": 1.5},
        {"valid_until": True},
        {"valid_until": -1},
        {"valid_until": 10**400},
    ],
)
def test_an_intent_that_could_not_be_looked_up_counts_as_a_line_that_cannot_be_read(
    tmp_path: Path, change: Event
) -> None:
    log, clock = a_log(tmp_path), SimulatedClock(START)
    log.write({**an_intent(), **change})
    again = a_log(tmp_path, clock)
    assert (log.unreadable_lines, again.unreadable_lines) == (1, 1)
    assert (what_is_known(again), again.waiting_underlyings()) == (OVER, ("BTC", "ETH"))
    clock.sleep(60.0)
    assert (what_is_known(again), again.waiting_underlyings()) == (OVER, ())


@pytest.mark.parametrize(
    "edited",
    [
        {"schema_version": None},
        {"schema_version": "1"},
        {"event": ["intent"]},
        {"outcome": ["accepted"]},
        {"outcome": {}},
        {"at": 5},
        {"at": "yesterday"},
        {"at": "2026-01-05T12:00:00"},
        {"filled_amount_coin": "all"},
    ],
)
def test_a_line_edited_by_hand_does_not_keep_the_agent_from_starting(tmp_path: Path, edited: Event) -> None:
    a_log(tmp_path).write(an_intent())
    line = {"schema_version": 1, "run_id": "test-0001", **an_outcome("unknown"), **edited}
    with (tmp_path / FILE).open("a") as file:
        file.write(json.dumps(line) + "\n")
    assert [order.label for order in a_log(tmp_path).unresolved()] == [LABEL]


@pytest.mark.parametrize("time", [{}, {"at": "never"}, {"at": None}])
def test_an_event_without_a_time_does_not_shorten_the_rest_of_its_order(tmp_path: Path, time: Event) -> None:
    log = a_log(tmp_path)
    for event in (an_intent(), an_outcome("accepted", seconds=50.0)):
        log.write(event)
    log.write({"event": "closed", "label": LABEL, "filled_amount_coin": 0.1, **time})
    assert what_is_known(log, seconds=100.0) == RESTING
    assert what_is_known(log, seconds=110.0) == OVER


def test_an_unresolved_intent_and_a_torn_line_are_found_although_files_of_later_days_lie_there(tmp_path: Path) -> None:
    a_log(tmp_path).write(an_intent())
    with (tmp_path / FILE).open("a") as file:
        file.write('{"torn')
    for day in (6, 7, 8):
        (tmp_path / f"orders-2027-01-0{day}.jsonl").write_text("")
    assert what_is_known(a_log(tmp_path)) == NOT_SURE
    assert (tmp_path / FILE).with_suffix(".torn").read_text() == '{"torn\n'


def test_of_a_very_long_file_the_tail_is_read_and_the_line_it_cuts_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = a_log(tmp_path)
    for label in ("first", "second", "third"):
        log.write(an_intent(label))
    length = (tmp_path / FILE).read_bytes().index(b"\n") + 1
    for cut in range(1, length):
        monkeypatch.setattr(order_log, "TAIL_BYTES", (tmp_path / FILE).stat().st_size - cut)
        again = a_log(tmp_path)
        assert [order.label for order in again.unresolved()] == ["second", "third"]
        assert again.unreadable_lines == 0


def test_a_file_just_as_long_as_the_tail_is_read_from_its_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_log(tmp_path).write(an_intent())
    monkeypatch.setattr(order_log, "TAIL_BYTES", (tmp_path / FILE).stat().st_size)
    assert len(a_log(tmp_path).unresolved()) == 1


# --- a disk that is full or broken ---------------------------------------------------------------------------


def test_an_intent_is_forced_to_disk_before_write_returns(tmp_path: Path) -> None:
    forced: list[str] = []
    log = a_log(tmp_path)
    with faulty_disk(fsync=lambda path: forced.append(path.name)):
        log.write(an_intent())
    assert forced[0] == FILE


@pytest.mark.parametrize(("account", "times"), [("test", 2), (None, 1)])
def test_what_has_happened_is_forced_to_disk_where_a_later_run_asks_for_it(
    tmp_path: Path, account: str | None, times: int
) -> None:
    log = OrderLogFile(tmp_path, SimulatedClock(START), "test-0001", account=account)
    log.write(an_intent("before"))
    forced: list[str] = []
    with faulty_disk(fsync=lambda path: forced.append(path.name)):
        log.write(an_intent())
        log.note(an_outcome("accepted"))
    assert forced == [FILE] * times
    assert events_in(tmp_path) == ["intent", "intent", "outcome"]


def test_the_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.write(an_intent("first"))
    with faulty_disk(fsync=failing(errno.EIO)), pytest.raises(LogWriteError):
        log.write(an_intent("second"))
    log.write(an_intent("third"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {FILE: 0o600, "orders-2026-01-05_2.jsonl": 0o600}


def test_an_intent_that_was_not_written_is_not_remembered(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    with disk_full(tmp_path / FILE), pytest.raises(LogWriteError, match="No space left"):
        log.write(an_intent())
    assert what_is_known(log) == what_is_known(a_log(tmp_path)) == OVER


def test_an_intent_that_may_be_lost_in_a_power_cut_is_no_intent(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    with faulty_disk(fsync=failing(errno.EIO)), pytest.raises(LogWriteError, match="Input/output error"):
        log.write(an_intent("lost"))
    log.write(an_intent())
    assert what_is_known(log) == what_is_known(a_log(tmp_path)) == NOT_SURE
    assert events_in(tmp_path) == ["intent"]


def test_orders_in_both_parts_of_a_day_are_known_after_a_restart(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.write(an_intent("first"))
    with faulty_disk(fsync=failing(errno.EIO)), pytest.raises(LogWriteError):
        log.write(an_intent("lost"))
    log.write(an_outcome("accepted", "first"))
    log.write(an_intent("second"))
    assert what_is_known(a_log(tmp_path))[:2] == (("second",), ("first",))


@pytest.mark.parametrize("failures", [1, 3, 4, 12])
def test_an_open_intent_is_found_again_however_often_the_disk_has_failed_since(tmp_path: Path, failures: int) -> None:
    log = a_log(tmp_path)
    log.write(an_intent())
    with faulty_disk(fsync=failing(errno.EIO)):
        for number in range(failures):
            with suppress(LogWriteError):
                log.write(an_intent(f"lost-{number}"))
    assert what_is_known(a_log(tmp_path)) == NOT_SURE


def test_a_number_that_is_none_never_gets_into_the_log(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        a_log(tmp_path).write({**an_intent(), "price": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_an_event_that_has_happened_is_remembered_although_the_disk_does_not_take_it(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.write(an_intent())
    with disk_full(tmp_path / FILE):
        problem = log.note(an_outcome("accepted"))
        assert "No space left" in (problem or "")
        assert what_is_known(log) == ALIVE
    assert what_is_known(a_log(tmp_path)) == NOT_SURE  # a crash now: it is asked for again
    log.write_kept()
    assert what_is_known(a_log(tmp_path)) == ALIVE


def test_events_that_wait_for_the_disk_are_written_first_and_in_their_order(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.write(an_intent())
    with disk_full(tmp_path / FILE):
        log.note(an_outcome("accepted"))
        log.note(a_closing(0.0))
    log.write(an_intent("next"))
    assert events_in(tmp_path) == ["intent", "outcome", "closed", "intent"]


def test_while_events_wait_for_the_disk_there_is_no_new_intent(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.write(an_intent())
    with disk_full(tmp_path / FILE):
        log.note(an_outcome("rejected"))
        with pytest.raises(LogWriteError):
            log.write(an_intent("next"))
        with pytest.raises(LogWriteError):
            log.write_kept()
    assert what_is_known(log) == OVER
    assert events_in(tmp_path) == ["intent"]


def test_an_event_is_written_once_although_the_disk_failed_twice(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.write(an_intent())
    with faulty_disk(fsync=failing(errno.EIO)):
        assert log.note(an_outcome("unknown")) is not None
        assert log.note(an_outcome("resolved_absent")) is not None
    assert log.note(an_edit()) is None
    assert events_in(tmp_path) == ["intent", "outcome", "outcome", "edit"]
