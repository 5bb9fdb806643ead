"""Everything that happens once, before the loop: settings, lock, policy, exchange, and the Agent made of them.

In: the parsed command line. Out: an AgentConfig, a held lock, an Agent ready for run_iteration; ConfigurationError or
AlreadyRunningError where that cannot be. Reads files and makes folders; sends no request.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib
import inspect
import os
import platform
import sys
import tempfile
import traceback
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

import config as settings
from config import AgentConfig, RunConfig
from core.breaker import DUPLICATED, Breaker
from core.plausibility import LastSeen
from core.settings.values import LOOPBACK_HOSTS
from core.text import printable
from deribit.wire import SystemClock, network_transport
from deribit_client import DeribitClient
from logging_utils import IterationRecord, RunInfo, highest_run, last_record, short_hash
from models import (
    AlreadyRunningError,
    Clock,
    ConfigurationError,
    DecisionLog,
    HaltedError,
    TradingState,
)
from orders.jsonl_file import JsonlLog
from orders.order_log import LAPSE_SECONDS, OrderLogFile, OrderMemory
from paper_exchange import setups
from paper_exchange.recorded.chain_recorder import ChainRecorder
from paper_exchange.recorded.files import RecordingError
from paper_exchange.storage import PaperAccountFileError
from policies.call import Policy
from state_builder import MarketMemory

MAX_UNWRITTEN_RECORDS = 1000
RESUMED = "resumed by hand after: "
LASTING_MODES = ("testnet", "dry_run")  # their accounts go on from run to run; the others start afresh
# Secrets stay out of the log, and where a run keeps its files does not make it another run.
NOT_HASHED = {"deribit": {"client_id", "client_secret"}, "risk": {"kill_file"}, "agent": {"log_dir", "data_dir"}}


@dataclass
class Agent:
    """Everything one run needs. Nothing in `memory` that the exchange or the order log does not know too."""

    config: AgentConfig
    client: DeribitClient
    clock: Clock
    policy: Policy
    memory: MarketMemory
    decision_log: DecisionLog
    order_log: OrderMemory
    run: RunInfo
    breaker: Breaker = field(default_factory=Breaker)
    iteration: int = 0
    ledger_read_until: datetime | None = None
    ledger_is_due: bool = False
    unwritten: deque[IterationRecord] = field(default_factory=lambda: deque(maxlen=MAX_UNWRITTEN_RECORDS))
    stop_requested: bool = False
    config_for_policy: AgentConfig = field(init=False)

    def __post_init__(self) -> None:
        # Its own copy, without the key: what a policy does to it harms nobody else, and it cannot tell what it lacks.
        nameless = self.config.deribit.model_copy(update={"client_id": None, "client_secret": None})
        self.config_for_policy = self.config.model_copy(update={"deribit": nameless}).model_copy(deep=True)


def settings_from(options: argparse.Namespace) -> AgentConfig:
    """Settings with the folders of this way to run."""
    overrides = _overrides(options)
    config = settings.load_config(settings.ENV_FILE, overrides)
    if options.market is None:
        return config
    folders = {
        name: getattr(config.agent, name) / options.market
        for name in ("log_dir", "data_dir")
        if name not in overrides["agent"]
    }
    return config.model_copy(update={"agent": config.agent.model_copy(update=folders)})


def _overrides(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What the command line says, as settings of the agent section."""
    given = {
        "dry_run": True if options.dry_run else None,
        "interval_seconds": options.interval,
        "policy": options.policy,
        "seed": options.seed,
        "log_dir": None if options.log_dir is None else options.log_dir.resolve(),
        "data_dir": None if options.data_dir is None else options.data_dir.resolve(),
        "record_chains": True if options.record_chains else None,
    }
    return {"agent": {name: value for name, value in given.items() if value is not None}}


def build_agent(config: AgentConfig, options: argparse.Namespace) -> Agent:
    """Make the agent for one of the four ways to run; raises ConfigurationError."""
    config.agent.data_dir.mkdir(parents=True, exist_ok=True)
    if options.market is None and not config.agent.dry_run:
        settings.require_credentials(config)
    transport, clock, coins = _exchange(config, options)
    config = _without_missing_coins(config, coins)
    if config.agent.record_chains:
        transport = _recording(transport, config)
    mode, market = _mode(config, options)
    paper_key = None if mode == "testnet" else ("paper", "paper")  # a paper account never sees the real key
    return assemble_agent(config, transport, clock, mode, market, paper_key)


def assemble_agent(
    config: AgentConfig,
    transport: httpx.BaseTransport | None,
    clock: Clock,
    mode: str = "testnet",
    market: str = "testnet",
    credentials: tuple[str, str] | None = None,
) -> Agent:
    """The agent on a transport (None is the real network) and a clock, with what its own files remember.

    A lasting account (mode testnet or dry_run) goes on where its last run stopped. Raises ConfigurationError.
    """
    policy, policy_source = load_policy(config.agent.policy)
    config.agent.data_dir.mkdir(parents=True, exist_ok=True)
    decision_log = JsonlLog(config.agent.log_dir, "decisions", clock)
    before, is_unreadable = _last_record(config, mode)
    run = RunInfo(
        run_id=_run_id(mode, clock.now(), config.agent),
        mode=mode,
        market=market,
        policy=config.agent.policy,
        config_hash="c-" + short_hash(config.model_dump_json(exclude=NOT_HASHED)),
        policy_hash="p-" + short_hash(policy_source),
        credentials_source="none" if credentials is not None else config.key_source,
        lines_before=0 if before is None else before.sequence,
    )
    order_log = _order_log(config, clock, run)
    ledger_read_until = _ledger_read_until(before, order_log)
    return Agent(
        config=config,
        client=DeribitClient(config, transport=transport, clock=clock, order_log=order_log, credentials=credentials),
        clock=clock,
        policy=policy,
        memory=MarketMemory(last=_last_seen(before, order_log)),
        decision_log=decision_log,
        order_log=order_log,
        run=run,
        breaker=_last_breaker(before, is_unreadable, order_log),
        ledger_read_until=ledger_read_until,
        ledger_is_due=ledger_read_until is not None,
    )


def _order_log(config: AgentConfig, clock: Clock, run: RunInfo) -> OrderLogFile:
    account = run.mode if run.mode in LASTING_MODES else None
    # Orders to a paper account end with the process; others may still be on their way to the exchange.
    rest_seconds = LAPSE_SECONDS if run.mode == "testnet" and _has_history(config.agent.log_dir) else 0.0
    order_log = OrderLogFile(config.agent.log_dir, clock, run.run_id, account, rest_seconds)
    if order_log.unreadable_lines:
        count = order_log.unreadable_lines
        print(f"{count} lines of the order log cannot be read: no order for a minute", file=sys.stderr)
    return order_log


def _has_history(folder: Path) -> bool:
    """Whether an earlier run has left anything here, readable or not, under its old name or another."""
    return any(path.name.startswith(("orders-", "decisions-")) for path in folder.iterdir())


def _ledger_read_until(before: IterationRecord | None, order_log: OrderMemory) -> datetime | None:
    """From where the exchange's ledger is to be read on. The time of a failed iteration may be our own clock's."""
    if before is None:
        return order_log.oldest_at()
    read_at = before.timestamp if before.agent_state is not None else None
    return before.ledger_read_until or read_at or order_log.oldest_at()


def _last_breaker(before: IterationRecord | None, is_unreadable: bool, order_log: OrderMemory) -> Breaker:
    """The last run's; careful where it has left lines and none can be read, or ended before its line said HALTED."""
    last = Breaker() if before is None or before.breaker is None else before.breaker
    if before is not None and before.trading_state == TradingState.HALTED and last.state != TradingState.HALTED:
        last = last.model_copy(update={"state": TradingState.HALTED, "why": "the last run's line says HALTED"})
    halted_at = order_log.halted_at
    if halted_at is not None and (last.halted_at is None or halted_at > last.halted_at):
        return Breaker(state=TradingState.HALTED, why=order_log.halted_why or DUPLICATED, halted_at=halted_at)
    if is_unreadable:
        return Breaker(state=TradingState.REDUCING, why="the last run's lines cannot be read")
    return last


def resume_or_stay_halted(agent: Agent, is_resumed: bool) -> None:
    """A person who has looked closes the breaker; without one a halted agent does not start. Raises HaltedError."""
    if is_resumed:
        before = agent.breaker.why.removeprefix(RESUMED)
        why = f"{RESUMED}{before}" if before else ""
        agent.breaker = Breaker(why=why, halted_at=agent.breaker.halted_at)
    if agent.breaker.state == TradingState.HALTED:
        look = "Look at it (--status, orders-*.jsonl), then start again with --resume"
        raise HaltedError(f"halted: {agent.breaker.why}. {look}")


def _last_seen(record: IterationRecord | None, order_log: OrderMemory) -> LastSeen:
    """Prices and positions of the last run, against which the first reading of this one is held."""
    last = LastSeen()
    if record is None or record.agent_state is None:
        return last
    last.remember_markets(record.agent_state.markets, record.timestamp)
    if order_log.newest_at() < record.timestamp:  # else we have traded since, and positions may be fewer
        last.remember_state(record.agent_state)
    return last


def client_for_check(config: AgentConfig, options: argparse.Namespace) -> DeribitClient:
    """A client that can look but not send an order; raises ConfigurationError."""
    if options.market is None and not config.agent.dry_run:
        settings.require_credentials(config)
    transport, clock, _ = _exchange(config, options, keeps_account=False)
    paper_key = ("paper", "paper") if options.market is not None or config.agent.dry_run else None
    return DeribitClient(config, transport=transport, clock=clock, credentials=paper_key)


def _last_record(config: AgentConfig, mode: str) -> tuple[IterationRecord | None, bool]:
    """The last line of a lasting account, and whether there is one that cannot be read (a newer version wrote it)."""
    if mode not in LASTING_MODES:
        return None, False
    try:
        return last_record(config.agent.log_dir, mode), False
    except ConfigurationError as error:
        print(f"{error}; this run starts without it", file=sys.stderr)
        return None, True


def load_policy(name: str) -> tuple[Policy, str]:
    """decide_action of a module and the source it came from; raises ConfigurationError."""
    module_name = name.removesuffix(".py")
    sys.path.append(str(Path.cwd()))  # last: a file lying there must not stand in for one of the agent's own
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name.partition(".")[0]:
            raise ConfigurationError(f"policy {name}: it imports {error.name}, which is not installed") from None
        raise ConfigurationError(f"policy {name}: there is no {module_name}.py here") from None
    except BaseException as error:  # noqa: BLE001 - the owner's file may do anything when imported
        where = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"{type(error).__name__}: {error} (line {getattr(error, 'lineno', None) or where.lineno})"
        raise ConfigurationError(f"policy {name} cannot be imported: {problem}") from None
    decide = getattr(module, "decide_action", None)
    if not callable(decide):
        raise ConfigurationError(f"policy {name}: it has no function decide_action(agent_state, config)")
    try:
        return decide, inspect.getsource(module)
    except OSError:
        raise ConfigurationError(
            f"policy {name}: there is no source of it, and a log without one says nothing"
        ) from None


def _without_missing_coins(config: AgentConfig, coins: tuple[str, ...]) -> AgentConfig:
    """A recording of one coin is played without the other."""
    for coin in config.enabled_underlyings:
        if coin not in coins:
            print(f"{coin} is not in the recording and is left out", file=sys.stderr)
            section = config.strategy(coin).model_copy(update={"enabled": False})
            config = config.model_copy(update={coin.lower(): section})
    if not config.enabled_underlyings:
        raise ConfigurationError("no coin to trade: BTC_ENABLED and ETH_ENABLED are false, or not in the recording")
    return config


def _exchange(
    config: AgentConfig, options: argparse.Namespace, keeps_account: bool = True
) -> tuple[httpx.BaseTransport | None, Clock, tuple[str, ...]]:
    """Transport (None is the real network), clock and coins of one of the four ways to run."""
    if options.market is None and not config.agent.dry_run:
        return None, SystemClock(), ("BTC", "ETH")

    coins = {"BTC": config.agent.paper_btc_coin, "ETH": config.agent.paper_eth_coin}
    try:
        if options.market == "simulated":
            setup = setups.simulated_setup(config.agent.seed, coins)
        elif options.market == "recorded":
            setup = setups.recorded_setup(options.recording, coins, options.candles, options.delivery_prices)
        else:
            account_file = config.agent.data_dir / "paper_account.json"
            network = network_transport()
            setup = setups.dry_run_setup(account_file, coins, SystemClock(), network, keeps_account)
    except (RecordingError, PaperAccountFileError) as error:
        raise ConfigurationError(str(error)) from None
    return setup.transport, setup.clock, setup.currencies


def _recording(transport: httpx.BaseTransport | None, config: AgentConfig) -> httpx.BaseTransport:

    return ChainRecorder(transport or network_transport(), config.agent.data_dir / "chains")


def _mode(config: AgentConfig, options: argparse.Namespace) -> tuple[str, str]:
    """How and where, for the log: (mode, market)."""
    if options.market is not None:
        return options.market, options.market
    return ("dry_run" if config.agent.dry_run else "testnet"), "testnet"


def _run_id(mode: str, now: datetime, agent: RunConfig) -> str:
    """Unique per run: the start in real time; a count where time is not real, so that a run can be repeated.

    The count goes on from what either folder remembers: a person may clear the one and keep the other.
    """
    if mode in LASTING_MODES:
        return f"{mode}-{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}"
    counter = agent.data_dir / "run_count"
    text = (counter.read_text(errors="replace") if counter.exists() else "").strip() or "0"
    if not (text.isdecimal() and len(text) < 10):
        raise ConfigurationError(f"{counter} does not hold the number of the last run: remove it to count anew")
    number = 1 + max(int(text), highest_run(agent.log_dir, mode))
    counter.write_text(str(number))
    return f"{mode}-{number:04d}"


def take_lock(folder: Path, setting: str = "AGENT_DATA_DIR") -> int:
    """Hold a folder for this process; the kernel lets go of it however the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _flock(folder / "agent.lock", f"another agent is running with {folder}: use --data-dir and --log-dir")
    except OSError as error:
        raise ConfigurationError(f"{setting}: {folder} cannot be written: {error.strerror}") from None


def take_account_lock(config: AgentConfig) -> int:
    """Hold the testnet account on this machine: two agents would each sell calls on the same coins."""
    client_id = config.deribit.client_id
    exchange = urlsplit(config.deribit.base_url)
    host = "loopback" if exchange.hostname in LOOPBACK_HOSTS else exchange.hostname
    account = f"{host} {exchange.port or 443} {client_id.get_secret_value() if client_id else ''}"
    path = Path(tempfile.gettempdir()) / f"covered-call-agent-{short_hash(account)}.lock"
    return _flock(path, "another agent is trading this account")


def _flock(path: Path, problem: str) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if not isinstance(error, BlockingIOError):
            raise ConfigurationError(f"{path} cannot be locked: {error.strerror}") from None
        raise AlreadyRunningError(f"{problem} (lock {path}, held by {_holder(path)}); stop it first") from None
    os.ftruncate(handle, 0)
    os.write(handle, f"process {os.getpid()} on {platform.node()}\n".encode())
    return handle


def _holder(path: Path) -> str:
    """What the holder of a lock wrote into it; the file itself is never touched."""
    text = path.read_bytes()[:200].decode(errors="replace").strip()
    return printable(text) or "a process that left no name"
