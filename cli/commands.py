"""What a command line does: run the agent, look at it (--status, --report), or test what it needs (--check).

In: the parsed command line, the loop to run. Out: an exit code: 0 stopped, 1 the last iteration failed, 2
configuration, 3 already running, 4 credentials, 5 wrong environment, 6 halted, 130 stopped at once by a signal. Every
foreseen error is one sentence on stderr, never a traceback.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from cli.arguments import STOPPED_AT_ONCE
from cli.assembly import Agent
from cli.checks.doctor import check, check_order, doctor_line, settings_failure
from cli.console import complain, say
from cli.endings import looped
from cli.locks import Lock, take_account_lock, take_lock
from cli.report import bid_sentence, status_text
from cli.results.earnings_report import earnings_lines, report_text
from cli.setup import build_agent, client_for_check, mode_and_market, settings_from, trades_for_real
from cli.signals import ignore_signals, raise_on_interrupt, stop_on_signals
from cli.training.side_by_side import RunProfiles, run_training
from config import MARKET_FOLDERS, AgentConfig, changed_settings
from core.results.earnings import CoinEarnings
from deribit.clocks import SystemClock
from logging_utils import last_record, read_earnings
from models import AgentError, ConfigurationError, LogWriteError
from orders.order_trial import OrderTrial

LOG_FILES = "decisions-*.jsonl"

RunLoop = Callable[[Agent, argparse.Namespace], int]
StartTrial = Callable[[Agent], OrderTrial]


def run_command(
    options: argparse.Namespace, run_loop: RunLoop, start_trial: StartTrial, run_profiles: RunProfiles
) -> int:
    """Carry out a command line; the exit code."""
    try:
        if options.profiles is not None:
            return run_training(options, run_profiles)
        if options.check:
            return _check(options, start_trial)
        if options.status:
            return _status(settings_from(options), options)
        if options.report:
            return _report(settings_from(options), options)
        return _run(options, run_loop)
    except LogWriteError as error:
        complain(str(error))
        return 2
    except AgentError as error:
        complain(str(error) or f"{type(error).__name__}, and nothing more is known of it")
        return error.exit_code or 1
    except KeyboardInterrupt:
        ignore_signals()
        complain("stopped at once: an order of ours may still be open; the next start cancels it")
        return STOPPED_AT_ONCE
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error) or type(error).__name__)
        return 2


def _run(options: argparse.Namespace, run_loop: RunLoop) -> int:
    """Locks, the agent, its loop from its first word to its last."""
    config = settings_from(options)
    with _locked_agent(config, options) as agent:
        stop_on_signals(agent)
        say(f"mode: {config.run.mode}; testnet only, in every mode")
        say("settings changed: " + (", ".join(changed_settings(config)) or "none"))
        say(bid_sentence(config))
        say("kill file: " + " or ".join(map(str, config.kill_files)))
        code = looped(agent, lambda: run_loop(agent, options))
        say(f"stopped after {agent.recorder.iteration} iterations; the log is in {config.run.log_dir}")
        return code


@contextmanager
def _locked_agent(config: AgentConfig, options: argparse.Namespace) -> Iterator[Agent]:
    """The agent, with its folders and its account held for this process."""
    locks: list[Lock] = []
    with ExitStack() as held:
        folders = {config.run.data_dir: "AGENT_DATA_DIR", config.run.log_dir: "AGENT_LOG_DIR"}
        for folder, setting in sorted(folders.items()):
            locks.append(take_lock(folder, config.name_of(setting)))
            held.callback(locks[-1].release)
        if trades_for_real(config, options):
            locks.append(take_account_lock(config))
            held.callback(locks[-1].release)
        agent = build_agent(config, options)
        agent.locks = tuple(locks)
        agent.trading.resume_or_stay_halted(options.resume)
        held.enter_context(closing(agent.client))
        yield agent


def _check(options: argparse.Namespace, start_trial: StartTrial) -> int:
    """The doctor. Without --with-order it takes no lock and writes no log, and can look at an agent that is running."""
    raise_on_interrupt()
    try:
        config = settings_from(options)
        is_real = trades_for_real(config, options)
        if options.with_order and not is_real:
            raise ConfigurationError("--with-order: an order is sent to testnet or to this machine, not to a dry run")
        client, config = client_for_check(config, options)
    except ConfigurationError as error:
        say(settings_failure(error))
        return 2
    mode, _ = mode_and_market(config, options)
    with closing(client):
        code = check(client, config, mode, say)
    if not options.with_order:
        return code
    if code != 0:
        say(doctor_line("FAIL", "test order", "not sent: mend the lines above first"))
        return code
    return _check_order(config, options, start_trial)


def _check_order(config: AgentConfig, options: argparse.Namespace, start_trial: StartTrial) -> int:
    """The doctor's test order, behind the locks of a run."""
    try:
        with _locked_agent(config, options) as agent:
            stop_on_signals(agent)
            say(doctor_line("ok", "locks", "no other agent of this machine trades the account"))
            return check_order(start_trial(agent), lambda: agent.stop_requested, say)
    except AgentError as error:
        say(doctor_line("FAIL", "test order", str(error)))
        return error.exit_code or 1


def _status(config: AgentConfig, options: argparse.Namespace) -> int:
    folder = _newest_folder(config.run.log_dir) if options.market is None else config.run.log_dir
    record = last_record(folder)
    if record is None:
        complain(f"there is no decision log in {folder} yet{_logs_below(folder)}")
        return 1
    _say_where(folder, config)
    say(status_text(record, SystemClock().now()))
    for line in earnings_lines(_earnings_in(folder).get(record.account, ())):
        say(line)
    return 0


def _report(config: AgentConfig, options: argparse.Namespace) -> int:
    folder = _newest_folder(config.run.log_dir) if options.market is None else config.run.log_dir
    if not any(folder.glob(LOG_FILES)):
        complain(f"there is no decision log in {folder} yet{_logs_below(folder)}")
        return 1
    _say_where(folder, config)
    say(report_text(_earnings_in(folder)))
    return 0


def _logs_below(folder: Path) -> str:
    """Such as those of profiles, each in a folder of its own."""
    rooms = sorted(path.parent.name for path in folder.glob(f"*/{LOG_FILES}"))
    return f"; there are some in {', '.join(dict.fromkeys(rooms))}: say which with --log-dir" if rooms else ""


def _earnings_in(folder: Path) -> dict[str, tuple[CoinEarnings, ...]]:
    """By account; what the log does not tell is said in plain words."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read_earnings(folder / LOG_FILES)
    for sentence in dict.fromkeys(str(warning.message) for warning in caught):
        complain(sentence)
    return found


def _say_where(folder: Path, config: AgentConfig) -> None:
    if folder != config.run.log_dir:
        say(f"the newest run is in {folder}")


def _newest_folder(log_dir: Path) -> Path:
    """Where the newest decision was logged: here, or in the folder of a market without a network."""
    logs = [path for name in ("", *MARKET_FOLDERS) for path in (log_dir / name).glob(LOG_FILES)]
    return max(logs, key=lambda path: path.stat().st_mtime).parent if logs else log_dir
