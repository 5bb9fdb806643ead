"""The covered-call agent: command line, one iteration wired together, and the loop around it.

In: settings, the command line, a policy module. Out: orders (through execution), one log line per iteration, a short
block on the console, an exit code: 0 stopped, 1 the last iteration failed, 2 configuration, 3 already running,
4 credentials, 5 wrong environment, 6 halted. `run_iteration` is the whole agent; everything else surrounds it.
Heavy imports wait until the command line is understood, so that --help answers at once.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the message is for those who run something older
    sys.stderr.write("Python 3.11 or newer is needed\n")
    sys.exit(2)

import argparse
import difflib
import os
import signal
import traceback
from contextlib import ExitStack, closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from cli.setup import Agent
    from config import AgentConfig
    from core.breaker import Breaker, IterationEvents
    from logging_utils import IterationRecord, Outcome
    from models import AgentState, DeribitError, ExecutionResult, Order

VERSION = "1.0"
PROGRESS_EVERY_SECONDS = 10.0
UNKNOWN_INSTRUMENT_CODES = (10020, 13020)


# --- command line ------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Exits with 2 and names the nearest option for one it does not know."""

    def error(self, message: str) -> NoReturn:
        unknown: list[str] = []
        if "unrecognized" in message:  # what was typed behind an option nobody knows may be a key
            unknown = [word.partition("=")[0] for word in message.split() if word.startswith("-")]
            message = "unrecognized arguments: " + (" ".join(unknown) or "words that belong to no option")
        nearest = difflib.get_close_matches(unknown[0], self._option_string_actions, 1, 0.3) if unknown else []
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        self.exit(2, f"agent_loop.py: {message}{hint}\n(--help lists all options)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python agent_loop.py",
        allow_abbrev=False,
        description="Sells covered calls on BTC and ETH on Deribit testnet. Experimental, not financial advice.",
        epilog="Without options it trades on testnet and needs a key in .env. Settings: see .env.example.",
    )
    where = parser.add_argument_group("what to run against (default: testnet, with orders)")
    where.add_argument("--dry-run", action="store_true", help="testnet quotes, paper account: no key, no order leaves")
    where.add_argument("--market", choices=("simulated", "recorded"), help="no network: simulated or recorded chains")
    where.add_argument("--recording", type=_path, metavar="PATH", help="chain file or folder for --market recorded")
    where.add_argument("--candles", type=_path, metavar="PATH", help="hourly candles (csv) for --market recorded")
    where.add_argument(
        "--delivery-prices", type=_path, metavar="PATH", help="delivery prices (csv) for --market recorded"
    )
    how = parser.add_argument_group("how long and how")
    how.add_argument("--once", action="store_true", help="one iteration, then stop (exit code 1 if it failed)")
    how.add_argument("--iterations", type=_positive_int, metavar="N", help="stop after N iterations")
    how.add_argument("--interval", type=float, metavar="SECONDS", help="time between iterations, 30 to 86400")
    how.add_argument("--policy", metavar="MODULE", help="module with decide_action (default policy_rule_based)")
    how.add_argument("--seed", type=int, metavar="N", help="seed of exploration and of the simulated market")
    how.add_argument("--resume", action="store_true", help="go on after the agent halted itself: you have looked")
    how.add_argument("--quiet", action="store_true", help="print decisions only")
    files = parser.add_argument_group("files")
    files.add_argument("--log-dir", type=_path, metavar="DIR", help="default logs/ (logs/simulated/, logs/recorded/)")
    files.add_argument("--data-dir", type=_path, metavar="DIR", help="default data/ (data/simulated/, data/recorded/)")
    files.add_argument("--record-chains", action="store_true", help="write every chain read to <data-dir>/chains")
    look = parser.add_argument_group("looking instead of running")
    look.add_argument(
        "--check", action="store_true", help="test settings, host, clock, key, account, instruments, disk"
    )
    look.add_argument("--status", action="store_true", help="what the last log line says")
    look.add_argument("--version", action="version", version=f"covered-call agent {VERSION}")
    return parser


def _path(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return Path(text)


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the process with code 2 where it contradicts itself."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.market == "recorded") != (options.recording is not None):
        parser.error("--market recorded and --recording PATH go together")
    if options.once and options.iterations is not None:
        parser.error("--once and --iterations contradict each other")
    if options.market != "recorded" and (options.candles or options.delivery_prices):
        parser.error("--candles and --delivery-prices go with --market recorded")
    return options


# --- one iteration -----------------------------------------------------------------------


def run_iteration(agent: Agent) -> IterationRecord:
    """Read, decide, check, act, log. Errors that end the process are raised after their line was written."""
    from core.breaker import after_iteration
    from logging_utils import Outcome, make_record
    from models import AgentError

    agent.iteration += 1
    agent.client.begin_iteration()
    started = agent.clock.monotonic()
    outcome = Outcome()
    try:
        _decide_and_act(agent, outcome)
    except AgentError as error:
        outcome.error = f"{type(error).__name__}: {error}"
        outcome.execution = outcome.execution or error.partial_result
        outcome.fatal = error if error.exit_code is not None else None
    except Exception:  # noqa: BLE001 - no fault in one iteration may end the loop; the traceback is in its line
        outcome.error = traceback.format_exc()
    agent.breaker = outcome.breaker = _halted_for_good(agent, after_iteration(agent.breaker, _events(outcome)))
    duration_ms = round((agent.clock.monotonic() - started) * 1000.0, 1)
    outcome.request_count = agent.client.requests_made
    outcome.ledger_read_until = agent.ledger_read_until  # a restart reads on from here, whatever failed in between
    calls = agent.client.end_iteration()
    record = make_record(agent.run, agent.iteration, agent.client.server_now(), duration_ms, outcome, calls)
    write_record(agent, record)
    if outcome.fatal is not None:
        raise outcome.fatal
    return record


def _halted_for_good(agent: Agent, breaker: Breaker) -> Breaker:
    """The breaker with the time of its halt, which the order log knows too: the other log may be taken away."""
    from models import TradingState

    if breaker.state == TradingState.HALTED != agent.breaker.state:
        now = agent.client.server_now().isoformat()
        agent.order_log.note({"event": "halted", "why": breaker.why, "at": now})
    return breaker.model_copy(update={"halted_at": agent.order_log.halted_at or breaker.halted_at})


def _decide_and_act(agent: Agent, outcome: Outcome) -> None:
    """Fill in the outcome step by step, so that what was reached before a failure is logged."""
    from execution import execute_action
    from models import ActionType
    from policies.call import ask_policy
    from risk_engine import judge_action

    outcome.state = state = _read_state(agent, outcome)
    answer = ask_policy(agent.policy, state, agent.config_for_policy, agent.config)
    outcome.action, outcome.error = answer.action, answer.error
    outcome.has_policy_error = answer.error is not None
    verdict = judge_action(state, answer.action, agent.config)
    outcome.reasons, outcome.was_checked = verdict.reasons, True
    if verdict.allowed and answer.action.type != ActionType.DO_NOTHING and not agent.stop_requested:
        outcome.execution = execute_action(agent.client, answer.action, agent.config, state)
        _remember_trade(agent, outcome.execution)
    _read_what_changed(agent, outcome)


def _read_state(agent: Agent, outcome: Outcome) -> AgentState:
    """The state, after orders of ours that were left over have been taken back."""
    from execution import cancel_own_orders, note_duplicates, note_seen_orders
    from state_builder import build_agent_state

    def take_back(orders: tuple[Order, ...]) -> bool:
        outcome.is_duplicated = note_duplicates(agent.client, orders) or outcome.is_duplicated
        note_seen_orders(agent.client, agent.order_log, orders)
        cancelled = cancel_own_orders(agent.client, orders)
        taken_back.extend(cancelled)
        _expect_changes(agent, cancelled)
        return bool(cancelled)

    taken_back: list[str] = []
    disk_problem = _disk_problem(agent)
    not_recovered = _recover(agent, outcome)
    state = build_agent_state(agent.client, agent.config, agent.memory, take_back)
    if not_recovered is not None:
        raise not_recovered
    limited = _with_own_limits(agent, state, disk_problem, outcome.is_duplicated)
    # One that no log knows may have traded a moment before it was taken back: its coin waits as well.
    waiting = dict.fromkeys((*limited.unresolved_symbols, *taken_back))
    return limited.model_copy(update={"unresolved_symbols": tuple(waiting)})


def _recover(agent: Agent, outcome: Outcome) -> DeribitError | None:
    """Find out what became of earlier orders; what went wrong, for later: orders that rest are cancelled before."""
    from execution import Recovery, recover_orders
    from models import DeribitError

    recovery, problem = Recovery(), None
    try:
        recover_orders(agent.client, agent.order_log, recovery)
    except DeribitError as error:
        if error.exit_code is not None:
            raise
        problem = error
    finally:
        outcome.is_duplicated = recovery.is_duplicated
        _expect_changes(agent, recovery.ended)
    return problem


def _expect_changes(agent: Agent, symbols: list[str]) -> None:
    """Orders that ended may have traded: positions may be fewer, and the ledger has something to say."""
    for symbol in symbols:
        agent.memory.last.expect_less_of(symbol)
    agent.ledger_is_due = agent.ledger_is_due or bool(symbols)


def _disk_problem(agent: Agent) -> str | None:
    """Why lines that wait for the disk still wait, if any do."""
    from models import LogWriteError

    try:
        agent.order_log.write_kept()
    except LogWriteError as error:
        return str(error)
    return f"{len(agent.unwritten)} decision lines wait for the disk" if agent.unwritten else None


def _with_own_limits(agent: Agent, state: AgentState, disk_problem: str | None, is_duplicated: bool) -> AgentState:
    """The state with what the agent knows of itself: the breaker, its disk, its key, its own orders."""
    from models import Reason, TradingState

    why = [Reason(rule="breaker", text=agent.breaker.why)] if agent.breaker.state != TradingState.ACTIVE else []
    why += [Reason(rule="disk", text=disk_problem)] if disk_problem else []
    why += [Reason(rule="key", text="it may not trade")] if not agent.client.may_trade else []
    why += [Reason(rule="duplicated", text="two orders stood under one label")] if is_duplicated else []
    halted = agent.breaker.state == TradingState.HALTED or is_duplicated
    reduced = TradingState.REDUCING if why else state.trading_state
    return state.model_copy(
        update={
            "unresolved_symbols": agent.order_log.busy_symbols(state.timestamp),
            "waiting_underlyings": agent.order_log.waiting_underlyings(),
            "orders_today": agent.order_log.sent_since(
                state.timestamp.replace(hour=0, minute=0, second=0, microsecond=0)
            ),
            "trading_state": TradingState.HALTED if halted else reduced,
            "restrictions": (*why, *state.restrictions),
        }
    )


def _remember_trade(agent: Agent, execution: ExecutionResult) -> None:
    """What the next reading must know of this trade: calls bought back are gone, refused instruments do not exist."""
    for leg in execution.legs:
        if leg.direction == "buy" and leg.status not in ("not_sent", "rejected"):
            agent.memory.last.expect_less_of(leg.symbol)
        if leg.refusal_code in UNKNOWN_INSTRUMENT_CODES:
            agent.memory.refused_symbols.add(leg.symbol)


def _events(outcome: Outcome) -> IterationEvents:
    """What the breaker counts."""
    from core.breaker import IterationEvents
    from risk_engine import BREAKER_RULES

    legs = () if outcome.execution is None else outcome.execution.legs
    is_blocked = any(reason.rule not in BREAKER_RULES for reason in outcome.reasons)
    action = outcome.action
    return IterationEvents(
        has_failed=outcome.error is not None and not (outcome.has_policy_error or outcome.has_ledger_error),
        has_decided=action is not None,
        has_policy_error=outcome.has_policy_error,
        orders_rejected=sum(leg.status == "rejected" for leg in legs),
        orders_accepted=sum(leg.status in ("filled", "partly_filled", "not_filled") for leg in legs),
        blocked_action=f"{action.type} {action.symbol} {action.new_symbol} {action.size}"
        if action is not None and is_blocked
        else "",
        is_duplicated=outcome.is_duplicated or any(leg.is_duplicated for leg in legs),
    )


def _read_what_changed(agent: Agent, outcome: Outcome) -> None:
    """Balances after a trade, and the exchange's own ledger after trades and settlements."""
    from core.trading_hours import last_delivery
    from models import DeribitError, RequestBudgetError

    assert outcome.state is not None
    traded = outcome.execution is not None and any(leg.filled_coin > 0.0 for leg in outcome.execution.legs)
    since = agent.ledger_read_until or outcome.state.timestamp - timedelta(minutes=1)
    now = agent.client.server_now()
    agent.ledger_is_due = agent.ledger_is_due or traded or last_delivery(now) >= since
    try:
        if agent.ledger_is_due:
            outcome.ledger = tuple(
                entry
                for coin in agent.config.enabled_underlyings
                for entry in agent.client.get_transaction_log(coin, since, now)
            )
            if not _is_settling(outcome.state):
                since = now + timedelta(milliseconds=1)
                agent.ledger_is_due = outcome.execution is not None and outcome.execution.status == "unknown"
        if traded:
            accounts = agent.client.get_account_summaries()
            outcome.equity_after_coin = {account.currency: account.equity_coin for account in accounts}
    except RequestBudgetError:
        agent.ledger_is_due = True  # enough was asked in this iteration; the next one reads on
    except DeribitError as error:
        outcome.error = outcome.error or f"{type(error).__name__} after the trade: {error}"
        outcome.has_ledger_error = True
    agent.ledger_read_until = since


def _is_settling(state: AgentState) -> bool:
    """Whether an expired option still waits for its delivery, which is then booked with the time of its expiry."""
    coins = {account.currency for account in state.portfolio.accounts}
    unknown = (held for held in state.portfolio.other_positions if held.kind == "option")
    if any(held.parts.underlying in coins for held in unknown):
        return True
    return any(held.expiry <= state.timestamp for held in state.portfolio.positions)


def write_record(agent: Agent, record: IterationRecord) -> None:
    """Append the line; what the disk does not take is kept and tried again with the next one."""
    agent.unwritten.append(record)
    write_what_is_left(agent)


def write_what_is_left(agent: Agent) -> None:
    """Write the lines that are waiting, oldest first, and say so where the disk does not take them."""
    from models import LogWriteError

    try:
        while agent.unwritten:
            agent.decision_log.write_line(agent.unwritten[0].model_dump_json())
            agent.unwritten.popleft()
    except LogWriteError as error:
        _complain(f"{error}; {len(agent.unwritten)} lines are kept in memory and tried again")


# --- the loop ------------------------------------------------------------------------------------


def run_loop(agent: Agent, options: argparse.Namespace) -> int:
    """Iterate until told to stop, until the market ends, or for the number of iterations asked for."""
    from cli.console import console_block, progress_text
    from deribit.wire import SystemClock
    from models import TradingState

    wanted = 1 if options.once else options.iterations
    wall = SystemClock()
    started = shown = wall.monotonic()
    record: IterationRecord | None = None
    _let_orders_lapse(agent)
    while not agent.stop_requested:
        record = run_iteration(agent)
        _say(console_block(record, options.quiet))
        if wanted is not None and agent.iteration >= wanted:
            break
        if wanted is not None and wall.monotonic() - shown > PROGRESS_EVERY_SECONDS and not _is_terminal():
            shown = wall.monotonic()
            _complain(progress_text(agent.iteration, wanted, record.timestamp, shown - started))
        if not agent.clock.wait_for_next(agent.config.agent.interval_seconds):
            break
    _leave_nothing_behind(agent)
    failed = record is not None and record.error is not None and wanted is not None
    if agent.stop_requested:
        return 0
    if agent.breaker.state == TradingState.HALTED:
        return 6
    return 1 if failed or agent.unwritten else 0


def _let_orders_lapse(agent: Agent) -> None:
    """Wait until nothing that an earlier run may have sent can still come to life, whatever became of its log."""
    from orders.order_log import LAPSE_SECONDS

    seconds = min(LAPSE_SECONDS, agent.order_log.rest_left_seconds())
    if seconds > 0.0:
        _complain(f"waiting {seconds:.0f} s: an order of an earlier run may still be on its way")
        agent.clock.sleep(seconds)


def _leave_nothing_behind(agent: Agent) -> None:
    """The last thing a run does: take back an order that may still rest, write lines that still wait."""
    from core.breaker import DUPLICATED
    from execution import take_back_all
    from models import AgentError, TradingState

    agent.client.begin_iteration()
    problem = "its end is not known"
    try:
        if take_back_all(agent.client, agent.order_log):
            agent.breaker = agent.breaker.model_copy(update={"state": TradingState.HALTED, "why": DUPLICATED})
            _complain(f"halted: {DUPLICATED}")
    except AgentError as error:
        problem = str(error)
    left = [order.label for order in (*agent.order_log.unresolved(), *agent.order_log.unclosed())]
    if left:
        _complain(f"{', '.join(left)}: an order of ours may rest until 08:00 UTC: {problem}")
    if agent.unwritten:
        write_what_is_left(agent)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _say(text: str) -> None:
    """Print, and go on without a console where nobody reads it any more."""
    try:
        print(text, flush=True)
    except UnicodeError:
        print(text.encode("ascii", errors="replace").decode(), flush=True)
    except (OSError, ValueError):  # closed, by the terminal or by a policy
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - stays open for the rest of the process


def _complain(text: str) -> None:
    with suppress(OSError, ValueError):  # a console that is gone must not stop the agent
        print(text, file=sys.stderr, flush=True)


def _stop_on_signals(agent: Agent) -> None:
    """A signal ends the loop after the call under way; a sleeping clock is woken."""

    from policies.call import SecondSignalError

    def stop(*_: object) -> None:
        if agent.stop_requested:
            raise SecondSignalError  # whatever is running does not end by itself
        agent.stop_requested = True
        wake = getattr(agent.clock, "stop", None)
        if wake is not None:
            wake()

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup: the terminal may go, the agent stays
        signal.signal(signal.SIGHUP, stop)


def _run(options: argparse.Namespace) -> int:
    from cli.setup import build_agent, resume_or_stay_halted, settings_from, take_account_lock, take_lock

    if options.check:
        return _check(options)
    config = settings_from(options)
    if options.status:
        return _status(config)
    with ExitStack() as held:
        folders = {config.agent.data_dir: "AGENT_DATA_DIR", config.agent.log_dir: "AGENT_LOG_DIR"}
        for folder, setting in sorted(folders.items()):
            held.callback(os.close, take_lock(folder, setting))
        if options.market is None and not config.agent.dry_run:
            held.callback(os.close, take_account_lock(config))
        agent = build_agent(config, options)
        resume_or_stay_halted(agent, options.resume)
        held.enter_context(closing(agent.client))
        return _run_agent(agent, config, options)


def _check(options: argparse.Namespace) -> int:
    """The doctor. Takes no lock and writes no log, so that it can look at an agent that is running."""
    from cli.console import check, settings_failure
    from cli.setup import client_for_check, settings_from
    from models import ConfigurationError

    try:
        config = settings_from(options)
        client = client_for_check(config, options)
    except ConfigurationError as error:
        _say(settings_failure(error))
        return 2
    needs_key = options.market is None and not config.agent.dry_run
    with closing(client):
        return check(client, config, needs_key, _say)


def _run_agent(agent: Agent, config: AgentConfig, options: argparse.Namespace) -> int:
    """The loop, from its first word to its last."""
    from config import changed_settings

    _stop_on_signals(agent)
    _say("settings changed: " + (", ".join(changed_settings(config)) or "none"))
    code = run_loop(agent, options)
    _say(f"stopped after {agent.iteration} iterations; the log is in {config.agent.log_dir}")
    return code


def _status(config: AgentConfig) -> int:
    from cli.console import status_text
    from deribit.wire import SystemClock
    from logging_utils import last_record

    record = last_record(config.agent.log_dir)
    if record is None:
        _complain(f"there is no decision log in {config.agent.log_dir} yet")
        return 1
    _say(status_text(record, SystemClock().now()))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the agent; the exit code. Every foreseen error is one sentence on stderr, never a traceback."""
    options = parse_arguments(arguments)
    try:
        from cli import setup as agent_setup  # noqa: F401 - imports all that has to be installed
        from models import AgentError, LogWriteError
    except ImportError as error:  # not there, or of a version that lacks something
        _complain(f"{error.name} is not installed, or too old: pip install -r requirements.txt ({error})")
        return 2
    try:
        return _run(options)
    except LogWriteError as error:
        _complain(str(error))
        return 2
    except AgentError as error:
        _complain(str(error))
        return error.exit_code or 1
    except KeyboardInterrupt:
        _complain("stopped at once by a second signal; an order may be open, the next start takes it back")
        return 1
    except OSError as error:
        _complain(f"{error.filename}: {error.strerror}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
