"""What people see: the block of an iteration, the status, the progress, the doctor."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from cli.checks.doctor import check
from cli.recorder import IterationEnd
from cli.report import console_block, progress_text, status_text
from core.breaker import Breaker
from core.log_lines.order_events import Halted
from deribit_client import DeribitClient
from logging_utils import IterationRecord
from models import ExecutionResult, LedgerEntry, LegResult, NearMiss, Reason, TradingState
from orders.order_log import OrderLogFile
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock
from tests.builders.agent import RUN, Desk, agent_at, desk_on, run_for, run_main, simulated_desk
from tests.builders.configs import agent_config
from tests.builders.paper import account_on, market_with
from tests.builders.records import record_of
from tests.builders.states import NOW, a_candidate, a_market, a_short_call, a_state, an_opening, an_order
from tests.builders.wire import lost_on_the_way, refused, reply_changed, result_of


def a_record(breaker: Breaker | None = None, **outcome: Any) -> IterationRecord:
    return record_of(RUN, IterationEnd(7, NOW, breaker=breaker), **{"state": a_state(), **outcome})


def a_leg(**fields: Any) -> LegResult:
    sold = {
        "label": "cc-1-sell",
        "symbol": "BTC-16JAN26-110000-C",
        "direction": "sell",
        "requested_coin": 0.1,
        "prices_tried_coin": (0.0105, 0.01),
        "filled_coin": 0.1,
        "avg_price_coin": 0.01,
        "fee_coin": 0.00003,
        "status": "filled",
    }
    return LegResult(**{**sold, **fields})


def unwrapped(text: str) -> str:
    """Lines that were broken to fit the console, whole again."""
    return " ".join(text.split())


def an_execution(*legs: LegResult) -> ExecutionResult:
    return ExecutionResult(status="filled", legs=legs)


# --- the block of an iteration ----------------------------------------------------------------


def test_a_block_begins_with_time_mode_and_number() -> None:
    head = console_block(a_record()).splitlines()[0]
    assert head == "--- 2026-01-05 12:00:00 UTC  simulated #7  equity 1.00000 BTC, 10.00000 ETH"


def test_a_block_shows_each_coins_spot_volatilities_and_candidates() -> None:
    btc, eth = console_block(a_record()).splitlines()[1:3]
    assert " ".join(btc.split()) == "BTC 100,000.00 USD IV 50.0 % RV 40.0 % IV/RV 1.25 1 candidates of 0"
    assert eth.startswith("ETH")


def reduced(*texts: str, state: TradingState = TradingState.REDUCING) -> IterationRecord:
    return a_record(state=a_state(trading_state=state, restrictions=some_reasons(*texts)))


def some_reasons(*texts: str) -> tuple[Reason, ...]:
    return tuple(Reason.model_validate(text) for text in texts)


def test_a_block_says_what_keeps_the_agent_from_trading_and_an_ordinary_one_says_nothing_of_it() -> None:
    record = reduced("key: it may not trade", "disk: No space left")
    assert console_block(record).splitlines()[1] == "     REDUCING: key: it may not trade; disk: No space left"
    assert "REDUCING" in status_text(record, NOW)
    assert "ACTIVE" not in console_block(a_record())


def test_a_block_of_an_iteration_that_failed_names_the_breakers_reason() -> None:
    breaker = Breaker(state=TradingState.HALTED, why="10 failed iterations in a row")
    block = console_block(a_record(state=None, error="no route", breaker=breaker))
    assert "     HALTED: breaker: 10 failed iterations in a row" in block.splitlines()


def test_the_breakers_reason_is_not_said_twice() -> None:
    breaker = Breaker(state=TradingState.REDUCING, why="3 policy errors in a row")
    state = a_state(
        trading_state=TradingState.REDUCING, restrictions=(Reason(rule="breaker", text="3 policy errors in a row"),)
    )
    assert console_block(a_record(state=state, breaker=breaker)).count("3 policy errors in a row") == 1


def test_hostile_text_in_a_restriction_does_not_reach_the_console() -> None:
    assert "\x1b" not in console_block(reduced("liquidation: \x1b[2J"))


def test_orders_of_another_hand_are_shown_and_our_own_are_not_called_foreign() -> None:
    foreign = an_order(label="by hand", amount_coin=0.3)
    block = console_block(a_record(state=a_state(open_orders=(foreign, an_order()))))
    shown = [line for line in block.splitlines() if "not ours" in line]
    assert shown == [f"     not ours, counted and left alone: sell 0.3 {foreign.symbol}"]


def test_what_is_not_known_is_called_unknown_and_never_zero() -> None:
    market = a_market(atm_iv_fraction=None, rv_fraction=None, iv_rv_ratio=None)
    block = console_block(a_record(state=a_state(markets=(market,))))
    assert "IV unknown  RV unknown  IV/RV unknown" in block


def test_a_block_shows_the_calls_that_are_held() -> None:
    block = console_block(a_record(state=a_state(positions=(a_short_call(),))))
    assert "-0.1 BTC-16JAN26-110000-C  sold at 0.0100, mark 0.0100, 10.8 days left" in block


def test_a_block_says_what_was_decided_and_why() -> None:
    assert "     OPEN_COVERED_CALL: a test" in console_block(a_record(action=an_opening()))


def test_every_reason_of_the_risk_engine_has_a_line() -> None:
    block = console_block(
        a_record(action=an_opening(), reasons=some_reasons("margin: 60 % is above 50 %", "coverage: 2"))
    )
    assert "     blocked: margin: 60 % is above 50 %\n     blocked: coverage: 2" in block


def test_a_block_says_what_was_sent_and_what_it_cost() -> None:
    block = console_block(a_record(action=an_opening(), execution=an_execution(a_leg())))
    assert block.splitlines()[-2:] == [
        "     sell BTC-16JAN26-110000-C: filled, 0.1 of 0.1 at 0.0100, fee 0.000030",
        "       tried 0.0105 -> 0.01",
    ]


def test_an_order_that_was_not_sent_says_why() -> None:
    leg = a_leg(status="not_sent", filled_coin=0.0, avg_price_coin=None, prices_tried_coin=(), note="no room")
    block = console_block(a_record(action=an_opening(), execution=an_execution(leg)))
    assert block.endswith("sell BTC-16JAN26-110000-C: not_sent, 0 of 0.1: no room")


def a_ledger_entry(entry_type: str, symbol: str | None, change_coin: float) -> LedgerEntry:
    return LedgerEntry(
        currency="BTC",
        entry_type=entry_type,
        symbol=symbol,
        booked_at=NOW,
        index_price_usd=91_234.5,
        change_coin=change_coin,
    )


@pytest.mark.parametrize("entry_type", ["delivery", "expiry", "assignment", "exercise"])
def test_a_settlement_has_a_line(entry_type: str) -> None:
    entry = a_ledger_entry(entry_type, "BTC-5JAN26-90000-C", -0.00135)
    block = console_block(a_record(ledger=(entry,)))
    assert block.endswith("     settled BTC-5JAN26-90000-C at 91,234.50 USD: -0.001350 BTC")


def test_an_option_and_the_future_it_settles_into_are_one_line() -> None:
    rows = (
        a_ledger_entry("assignment", "BTC-5JAN26-90000-C", -0.00015),
        a_ledger_entry("delivery", "BTC-5JAN26", -0.0012),
        a_ledger_entry("options_settlement_summary", None, 0.0),
    )
    lines = [line for line in console_block(a_record(ledger=rows)).splitlines() if "settle" in line]
    assert lines == ["     settled BTC-5JAN26-90000-C at 91,234.50 USD: -0.001350 BTC"]


def test_the_nearest_miss_is_shown_where_there_is_nothing_to_sell_and_nothing_held() -> None:
    miss = NearMiss(
        symbol="BTC-16JAN26-120000-C",
        underlying="BTC",
        rule="delta",
        value=0.08,
        limit=0.1,
        premium_usd=120.0,
        change="BTC_DELTA_MIN=0.08",
    )
    line = "nearest miss: BTC-16JAN26-120000-C (120 USD) would pass with BTC_DELTA_MIN=0.08"
    assert line in unwrapped(console_block(a_record(state=a_state(near_misses=(miss,), candidates=()))))
    assert "nearest miss" not in console_block(
        a_record(state=a_state(near_misses=(miss,), candidates=(a_candidate(),)))
    )


def test_of_an_error_the_last_line_is_shown() -> None:
    block = console_block(a_record(state=None, error="Traceback\n  File ...\nValueError: no"))
    assert block.endswith("ValueError: no")
    assert "Traceback" not in block


def test_a_quiet_block_says_what_became_of_the_action() -> None:
    blocked = a_record(action=an_opening(), reasons=some_reasons("coverage: no room", "margin: too much"))
    assert "OPEN_COVERED_CALL (blocked: coverage, margin)" in console_block(blocked, quiet=True)
    assert "DO_NOTHING (failed)" in console_block(a_record(state=None, error="lost"), quiet=True)


def test_a_short_quiet_block_is_one_line() -> None:
    assert console_block(a_record(action=an_opening()), quiet=True) == "2026-01-05 12:00 OPEN_COVERED_CALL: a test"


def test_a_quiet_block_says_how_the_orders_ended_although_something_failed_after_them() -> None:
    record = a_record(action=an_opening(), execution=an_execution(a_leg()), error="after the trade: no route")
    assert "OPEN_COVERED_CALL (filled): a test" in console_block(record, quiet=True)


@pytest.mark.parametrize("state", [TradingState.REDUCING, TradingState.HALTED])
def test_a_quiet_block_of_an_agent_that_may_not_sell_says_so_in_front(state: TradingState) -> None:
    record = a_record(action=an_opening(), breaker=Breaker(state=state, why="10 failed iterations in a row"))
    assert console_block(record, quiet=True) == f"2026-01-05 12:00 {state} OPEN_COVERED_CALL: a test"


def test_text_from_outside_cannot_move_the_cursor_or_fill_the_screen() -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07line\nbreak\r\u202e\u0000" + "x" * 5_000
    block = console_block(
        a_record(action=an_opening(reason=hostile[:900]), reasons=some_reasons(hostile), error=hostile)
    )
    assert all(line.isprintable() for line in block.splitlines())


def test_a_real_iteration_reads_as_a_person_would_tell_it(tmp_path: Path) -> None:
    (record,) = run_for(agent_at(simulated_desk(tmp_path)), 1)
    head, btc, eth, decision, why, order, tried = console_block(record).splitlines()
    assert head.startswith("--- 2026-01-05 12:00:00 UTC")
    assert (btc[:3], eth[:3]) == ("BTC", "ETH")
    assert decision.startswith("     OPEN_COVERED_CALL: BTC: no call is held; BTC-")
    assert why.startswith("       (")
    assert order.startswith("     sell BTC-")
    assert tried.startswith("       tried ")


# --- status and progress ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(minutes=4), "4 minutes ago"),
        (timedelta(minutes=119), "119 minutes ago"),
        (timedelta(minutes=120), "2 hours ago"),
        (timedelta(hours=48), "2 days ago"),
    ],
)
def test_the_status_says_how_old_it_is(age: timedelta, words: str) -> None:
    record = a_record().model_copy(update={"market": "testnet"})
    assert words in status_text(record, NOW + age).splitlines()[0]


def test_the_status_shows_positions_open_orders_and_the_last_decision() -> None:
    state = a_state(positions=(a_short_call(),), open_orders=(an_order(),))
    text = unwrapped(status_text(a_record(state=state, action=an_opening()), NOW))
    assert "-0.1 BTC-16JAN26-110000-C" in text
    assert "open order: sell 0.1 BTC-16JAN26-110000-C at 0.0105 (cc-260105120000-abcdef-sell)" in text
    assert "OPEN_COVERED_CALL: a test" in text


def test_progress_says_how_far_how_fast_and_how_long_still() -> None:
    line = progress_text(100, 400, NOW, elapsed_seconds=10.0)
    assert line == "iteration 100 of 400, 2026-01-05 12:00, 10 a second, about 0 min left"


def test_progress_can_be_told_before_any_time_has_passed() -> None:
    assert progress_text(1, 2, NOW, elapsed_seconds=0.0).startswith("iteration 1 of 2")


# --- the doctor -------------------------------------------------------------------------------------


def examined(desk: Desk, mode: str = "testnet") -> tuple[int, dict[str, str]]:
    """The doctor's exit code and what it says about each part, in one line."""
    lines: list[str] = []
    code = check(desk.client, desk.config, mode, lines.append)
    return code, {line.split()[1]: " ".join(line.split()) for line in lines}


def test_a_healthy_agent_gets_a_line_for_each_part_and_code_0(tmp_path: Path) -> None:
    code, lines = examined(simulated_desk(tmp_path))
    assert code == 0
    parts = "settings host clock key scopes status account open positions instruments index chain closes DVOL ledger"
    assert list(lines) == [*parts.split(), "margin", "disk", "kill", "would"]
    assert all(line.startswith("ok ") for line in lines.values())
    assert "BTC 1 equity, segregated_sm; ETH 10 equity, segregated_sm" in lines["account"]


def test_the_doctor_says_where_a_kill_file_would_stand_and_whether_it_does(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    places = f"{tmp_path / 'KILL'} or {desk.config.run.data_dir / 'KILL'}"
    assert examined(desk)[1]["kill"].endswith(f"{places} (not there)")
    (tmp_path / "KILL").touch()
    assert examined(desk)[1]["kill"].endswith(f"{places} (it is there: no order is sent)")


def test_the_doctor_sends_no_order(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    examined(desk)
    assert desk.wire.methods("private/buy", "private/sell", "private/edit", "private/cancel") == []


def test_a_wrong_key_is_found_and_gives_code_4(tmp_path: Path) -> None:
    market = market_with()
    exchange = PaperExchange(market, account_on(market), credentials=("right-id", "right-secret"))
    code, lines = examined(desk_on(exchange, agent_config(tmp_path)))
    assert code == 4
    assert lines["key"].startswith("FAIL")
    assert "does not accept this key" in lines["key"]
    assert lines["disk"].startswith("ok")


@pytest.mark.parametrize(("skew_ms", "is_fine"), [(4_900, True), (5_000, True), (5_100, False), (-5_100, False)])
def test_a_clock_more_than_five_seconds_off_is_found(tmp_path: Path, skew_ms: int, is_fine: bool) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb("public/get_time", reply_changed(lambda reply: reply.update(result=reply["result"] + skew_ms)))
    code, lines = examined(desk)
    assert (code, lines["clock"].startswith("ok" if is_fine else "warn")) == (0, True)
    assert is_fine or f"{skew_ms / 1000.0:+.1f} s off" in lines["clock"]


@pytest.mark.parametrize(
    ("scope", "missing"),
    [
        ("trade:read_write account:read_write", None),
        ("trade:read_write account:read", None),
        ("trade:read account:read", "trade:read_write"),
        ("trade:read_write", "account:read"),
    ],
)
def test_a_key_without_the_scopes_it_needs_is_found(tmp_path: Path, scope: str, missing: str | None) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb("public/auth", result_of({"access_token": "made-up", "expires_in": 900, "scope": scope}))
    _, lines = examined(desk)
    assert lines["scopes"].startswith("ok" if missing is None else "FAIL")
    assert missing is None or f"lacks {missing}" in lines["scopes"]


def test_each_part_is_tried_although_another_one_failed(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb("public/get_time", refused(11051, "system_maintenance"))
    desk.wire.disturb("private/get_account_summaries", refused(13021, "forbidden"))
    code, lines = examined(desk)
    assert code == 1
    assert [name for name, line in lines.items() if line.startswith("FAIL")] == ["clock", "account"]


def test_an_exchange_that_does_not_answer_is_asked_once_and_the_key_is_not_blamed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # nobody listens there once it is closed
    config = agent_config(tmp_path, deribit={"base_url": f"http://127.0.0.1:{port}"})
    key = ("made-up-id", "made-up-secret")
    lines: list[str] = []
    code = check(DeribitClient(config, clock=SimulatedClock(NOW), credentials=key), config, "loopback", lines.append)
    said = {line.split()[1]: " ".join(line.split()) for line in lines}
    failed = [name for name, line in said.items() if line.startswith("FAIL")]
    asked_nobody = [name for name, line in said.items() if "not asked: the exchange does not answer" in line]
    assert (code, failed) == (1, ["clock"])
    assert "says nothing about the key: start the exchange at that port" in said["clock"]
    assert [name for name, line in said.items() if line.startswith("ok")] == ["settings", "host", "disk", "kill"]
    assert set(said) == {*failed, *asked_nobody, "settings", "host", "disk", "kill"}


def test_one_answer_that_is_lost_later_costs_one_line(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb("private/get_positions", *[lost_on_the_way(httpx.ConnectError)] * 3)
    code, lines = examined(desk)
    assert (code, [name for name, line in lines.items() if not line.startswith("ok")]) == (1, ["positions"])


@pytest.mark.parametrize("mode", ["simulated", "recorded"])
def test_a_market_in_this_process_has_no_host_and_its_own_time(tmp_path: Path, mode: str) -> None:
    _, lines = examined(simulated_desk(tmp_path), mode)
    assert lines["host"] == f"ok host none is asked: the {mode} market is in this process"
    assert lines["clock"] == f"ok clock the {mode} market's own: 2026-01-05 12:00 UTC"


def test_closes_of_the_perpetual_are_said_to_be_such(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path, eth={"enabled": False})
    desk.wire.disturb("public/get_index_chart_data", refused(-32601))
    code, lines = examined(desk)
    assert (code, lines["closes"].startswith("warn closes BTC")) == (0, True)
    assert "745 of the perpetual over 31.0 days" in lines["closes"]


# --- what it would do -----------------------------------------------------------------------------------


def desk_with_policy(folder: Path, body: str) -> Desk:
    """A desk whose owner's policy has this body."""
    policy = folder / f"policy_{folder.name}.py"
    imports = "from models import ActionType, ProposedAction"
    policy.write_text(f"{imports}\n\n\ndef decide_action(agent_state, config):\n    {body}\n")
    return simulated_desk(folder, run={"policy": str(policy)})


def test_the_doctor_says_what_an_iteration_would_do_and_why_and_does_nothing(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    files_before = sorted(tmp_path.rglob("*"))
    _, lines = examined(desk)
    assert lines["would"].startswith("ok would do OPEN_COVERED_CALL 0.1 BTC-9JAN26-93000-C: BTC: no call is held;")
    assert desk.wire.methods("private/buy", "private/sell", "private/edit", "private/cancel") == []
    assert {path for path in set(tmp_path.rglob("*")) - set(files_before) if path.is_file()} == set()


def test_the_doctor_says_why_an_iteration_would_do_nothing(tmp_path: Path) -> None:
    _, lines = examined(simulated_desk(tmp_path, btc={"ivrv_min": 5.0}, eth={"ivrv_min": 5.0}))
    assert lines["would"].startswith("ok would do nothing: BTC: no call is held and no candidate passed the filters")


def test_the_doctor_says_by_which_rules_the_action_would_be_blocked(tmp_path: Path) -> None:
    body = """option = agent_state.candidates[0]
    fields = {"underlying": option.underlying, "symbol": option.symbol, "size": 7.0, "reason": "all of it"}
    return ProposedAction(type=ActionType.OPEN_COVERED_CALL, **fields)"""
    _, lines = examined(desk_with_policy(tmp_path, body))
    assert lines["would"].startswith("ok would do nothing: OPEN_COVERED_CALL 7 BTC-9JAN26-93000-C is blocked: ")
    assert "max_order_size" in lines["would"]


@pytest.mark.parametrize(
    ("body", "code", "said"), [("return 1 / 0", 1, "ZeroDivisionError"), ("return (", 2, "cannot be imported")]
)
def test_a_policy_that_fails_is_one_line_and_no_traceback(tmp_path: Path, body: str, code: int, said: str) -> None:
    found, lines = examined(desk_with_policy(tmp_path, body))
    assert (found, lines["would"].startswith("FAIL would do ")) == (code, True)
    assert said in lines["would"]
    assert "Traceback" not in lines["would"]


def test_the_doctor_knows_that_the_last_run_halted(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    log = OrderLogFile(desk.config.run.log_dir, desk.clock, "testnet-1")
    log.note(Halted(why="ten failures in a row", at=NOW).as_line())
    assert "ten failures in a row" in examined(desk)[1]["would"]
    assert "ten failures in a row" not in examined(desk, "simulated")[1]["would"]


def test_an_account_without_coins_is_told_where_testnet_gives_them(tmp_path: Path) -> None:
    market = market_with()
    exchange = PaperExchange(market, account_on(market, BTC=0.0, ETH=10.0))
    code, lines = examined(desk_on(exchange, agent_config(tmp_path)))
    assert code == 0
    assert "no BTC to sell calls on: make a deposit" in lines["account"]


def test_a_margin_other_than_our_formulas_is_a_warning(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb("private/get_margins", result_of({"buy": 1.0, "sell": 1.0, "min_price": 0.1, "max_price": 0.2}))
    code, lines = examined(desk)
    assert code == 0
    assert lines["margin"].startswith("warn")
    assert "our formula says" in lines["margin"]


def test_a_folder_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    desk.config.run.data_dir.write_text("a file where the folder should be")
    code, lines = examined(desk)
    assert (code, lines["disk"].startswith("FAIL")) == (2, True)


def test_another_environment_is_found_and_gives_code_5(tmp_path: Path) -> None:
    desk = simulated_desk(tmp_path)
    desk.wire.disturb("public/get_time", reply_changed(lambda reply: reply.update(testnet=False)))
    assert examined(desk)[0] == 5


def test_a_paper_account_needs_no_key(tmp_path: Path) -> None:
    code, lines = examined(simulated_desk(tmp_path), mode="dry_run")
    assert (code, "none needed: paper account" in lines["key"]) == (0, True)


# --- the end of a run -------------------------------------------------------------------------------


def test_the_quickstart_shows_a_whole_cycle_and_ends_with_what_it_earned(tmp_path: Path) -> None:
    folders = ("--log-dir", tmp_path / "logs", "--data-dir", tmp_path / "data")
    ended = run_main("--dry-run", "--market", "simulated", "--iterations", "50", "--interval", "21600", *folders)
    for words in ("OPEN_COVERED_CALL", "ROLL_COVERED_CALL", "settled ", "BTC  premium +", "     open "):
        assert words in ended.out


@pytest.mark.parametrize(("market", "is_said"), [("recorded", True), ("testnet", False)])
def test_where_a_recording_lacks_candles_they_are_asked_for(market: str, is_said: bool) -> None:
    state = a_state(markets=(a_market().model_copy(update={"rv_fraction": None}),))
    record = a_record(state=state).model_copy(update={"market": market})
    assert ("give --candles" in console_block(record)) == is_said


# --- the width of a terminal ------------------------------------------------------------------------


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for words: a path is never cut."""
    with TemporaryDirectory() as name:
        yield Path(name)


def too_long(text: str) -> list[str]:
    return [line for line in text.splitlines() if len(line) > 80]


def test_no_line_of_the_quickstart_and_of_the_status_after_it_is_longer_than_80_columns(short_folder: Path) -> None:
    folders = ("--log-dir", short_folder / "l", "--data-dir", short_folder / "d", "--market", "simulated")
    run = run_main("--dry-run", "--iterations", "50", "--interval", "21600", *folders)
    status = run_main("--status", *folders)
    assert (run.code, status.code) == (0, 0)
    assert too_long(run.out + run.printed_err + status.out) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--check",),
        ("--once", "--quiet"),
        ("--iterations", "abc"),
        ("--interval", "5"),
        ("--policy", "not_there", "--once"),
        ("--an-option-that-nobody-knows", "--and-another-that-is-even-longer", "--once"),
        ("--recording", "somewhere"),
    ],
)
def test_no_line_of_other_commands_and_errors_is_longer_than_80_columns(
    arguments: tuple[str, ...], short_folder: Path
) -> None:
    folders = ("--log-dir", short_folder / "l", "--data-dir", short_folder / "d", "--market", "simulated")
    ended = run_main(*arguments, *folders)
    assert too_long(ended.out + ended.printed_err) == []


def test_whatever_a_policy_and_the_exchange_say_no_line_is_longer_than_80_columns() -> None:
    words = "a reason that goes on and on " * 20 + "x" * 300
    record = a_record(action=an_opening(reason=words[:900]), reasons=some_reasons(words[:300]), error=words)
    assert too_long(console_block(record) + "\n" + console_block(record, quiet=True)) == []
