"""The Agent: the parts of one run, built together with what earlier runs left in their files.

In: settings, a transport, a clock. Out: an Agent ready for run_iteration; ConfigurationError where that cannot be.
Reads and makes files; sends no request. A lasting account (testnet, dry run) goes on where its last run stopped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

import httpx

from cli.console import complain, say
from cli.locks import Lock
from cli.policy_file import load_policy
from cli.recorder import Recorder
from cli.report import ended_sentence
from config import AgentConfig, RunConfig
from core.breaker import Breaker
from core.plausibility import LastSeen
from deribit.clocks import SystemClock
from deribit.kill_file import kill_note_of
from deribit.unexpected import UnexpectedReplies
from deribit_client import DeribitClient
from logging_utils import IterationRecord, RunInfo, highest_run, last_record, short_hash
from models import (
    AgentError,
    Clock,
    ConfigurationError,
    DecisionLog,
    ExchangeClient,
    LegResult,
    LogWriteError,
    ProposedAction,
)
from orders.jsonl_file import JsonlLog
from orders.ledger_reader import LedgerReader, read_until_of
from orders.order_log import OrderLogFile, OrderMemory
from orders.resting import RestingOrders
from orders.trading_state import TradingStateKeeper, breaker_of
from paper_exchange.account.account import PaperAccount
from paper_exchange.in_process.client import InProcessClient
from policies.call import Policy
from policies.shadow import Shadow
from state_builder import MarketMemory

LASTING_MODES = ("testnet", "loopback", "dry_run")  # their accounts go on from run to run; the others start afresh
ORDER_MODES = ("testnet", "loopback")  # real orders to an account that others may use too
# Secrets stay out of the log, and where a run keeps its files does not make it another run.
NOT_HASHED = {
    "deribit": {"client_id", "client_secret"},
    "risk": {"kill_file"},
    "run": {"log_dir", "data_dir"},
    "llm": {"api_key", "cache", "cache_dir"},
}


@dataclass
class Agent:
    """The parts of one run. Each keeps its own state; none keeps what the exchange or a log does not know too."""

    config: AgentConfig
    client: ExchangeClient
    policy: Policy
    memory: MarketMemory
    order_log: OrderMemory
    ledger: LedgerReader
    trading: TradingStateKeeper
    recorder: Recorder
    resting: RestingOrders
    shadows: tuple[Shadow, ...] = ()
    stop_requested: bool = False
    locks: tuple[Lock, ...] = ()
    has_read_a_state: bool = False
    fatal: AgentError | None = None  # what ended the last iteration and may end the process

    def __post_init__(self) -> None:
        self.resting.on_ended = self.note_ended

    @property
    def clock(self) -> Clock:
        return self.client.clock

    def let_think(self, action: ProposedAction) -> None:
        """A simulated market is charged the time that a model took; of the real one it has passed by itself."""
        call = action.model_call
        if call is not None and call.thinking_seconds is not None and not isinstance(self.clock, SystemClock):
            self.clock.sleep(call.thinking_seconds)

    def expect_trade(self, symbol: str) -> None:
        """An order has ended that may have traded: positions may be fewer, and the ledger has something to say."""
        self.memory.last.expect_smaller_position(symbol)
        self.ledger.expect_entries()

    def note_ended(self, leg: LegResult) -> None:
        """An order that rested has ended: what the next reading must know, and a sentence for the person."""
        self.expect_trade(leg.symbol)
        self.ledger.expect_fill(leg.symbol, leg.direction, leg.filled_coin)
        say(ended_sentence(leg))

    def disk_problem(self) -> str | None:
        """Why lines that wait for the disk still wait, if any do."""
        try:
            self.order_log.write_kept()
        except LogWriteError as error:
            return str(error)
        waiting = len(self.recorder.unwritten)
        return f"{waiting} decision lines could not be written yet" if waiting else None


@dataclass(frozen=True)
class Remembered:
    """What earlier runs of the same account left behind."""

    last: LastSeen = field(default_factory=LastSeen)
    breaker: Breaker = field(default_factory=Breaker)
    ledger_read_until: datetime | None = None


def agent_from_parts(
    config: AgentConfig,
    client: ExchangeClient,
    policy: Policy,
    order_log: OrderMemory,
    decision_log: DecisionLog | None,
    run: RunInfo,
    remembered: Remembered | None = None,
) -> Agent:
    """An Agent of its parts; without `remembered` it is the first run of its account, without a log it writes none."""
    remembered = Remembered() if remembered is None else remembered
    return Agent(
        config=config,
        client=client,
        policy=policy,
        memory=MarketMemory(last=remembered.last),
        order_log=order_log,
        ledger=LedgerReader(client, config.enabled_underlyings, remembered.ledger_read_until),
        trading=TradingStateKeeper(order_log, config.risk, remembered.breaker),
        recorder=Recorder(decision_log, run),
        resting=RestingOrders(client, config),
    )


def assemble_agent(
    config: AgentConfig,
    transport: httpx.BaseTransport | None,
    clock: Clock,
    mode: str = "testnet",
    market: str = "testnet",
    credentials: tuple[str, str] | None = None,
    mark: Path | None = None,
    account: PaperAccount | None = None,
) -> Agent:
    """The agent on a transport (None is the real network) and a clock, with what its own files remember.

    With an `account` it trades on that one in this process, and nothing goes over the transport. A lasting account
    (mode testnet or dry_run) goes on where its last run stopped; `mark` is the file outside all folders that remembers
    its last orders. Raises ConfigurationError.
    """
    policy, policy_source = load_policy(config.run.policy)
    config.run.data_dir.mkdir(parents=True, exist_ok=True)
    decision_log = JsonlLog(config.run.log_dir, "decisions", clock)
    before, is_unreadable = last_record_of(config, mode)
    run = RunInfo(
        run_id=_run_id(mode, clock.now(), config.run),
        mode=mode,
        market=market,
        policy=config.run.policy,
        settings_mode=config.run.mode,
        config_hash=config_hash(config),
        policy_hash=policy_hash(policy_source),
        requires_bid=config.requires_bid,
        fills=config.run.fills,
        credentials_source="none" if credentials is not None else config.key_source,
        lines_before=0 if before is None else before.sequence,
    )
    order_log = _order_log(config, clock, run, mark)
    remembered = Remembered(
        _last_seen(before, order_log),
        breaker_of(before, is_unreadable, order_log),
        read_until_of(before, order_log),
    )
    client: ExchangeClient
    if account is not None:
        client = InProcessClient(account, config, order_log, partial(kill_note_of, config))
    else:
        client = _wire_client(config, transport, clock, order_log, credentials)
    return agent_from_parts(config, client, policy, order_log, decision_log, run, remembered)


def config_hash(config: AgentConfig) -> str:
    """Stands in every line: two runs with the same one were decided with the same settings."""
    return "c-" + short_hash(config.model_dump_json(exclude=NOT_HASHED))


def load_shadows(names: Iterable[str]) -> tuple[Shadow, ...]:
    """The policies that only watch; raises ConfigurationError as for the one that acts."""
    loaded = [(name, *load_policy(name)) for name in dict.fromkeys(names)]
    return tuple(Shadow(name, policy_hash(source), policy) for name, policy, source in loaded)


def policy_hash(source: str) -> str:
    """Stands in every line: two runs with the same one had the same policy file."""
    return "p-" + short_hash(source)


def _wire_client(
    config: AgentConfig,
    transport: httpx.BaseTransport | None,
    clock: Clock,
    order_log: OrderLogFile,
    credentials: tuple[str, str] | None,
) -> DeribitClient:
    return DeribitClient(
        config,
        transport=transport,
        clock=clock,
        order_log=order_log,
        credentials=credentials,
        unexpected=unexpected_replies(config, clock),
    )


def unexpected_replies(config: AgentConfig, clock: Clock) -> UnexpectedReplies:
    """Where a run keeps what the exchange says that nobody here has met."""
    return UnexpectedReplies(config.run.data_dir / "unexpected", clock, complain)


def _order_log(config: AgentConfig, clock: Clock, run: RunInfo, mark: Path | None) -> OrderLogFile:
    account = run.mode if run.mode in LASTING_MODES else None
    order_log = OrderLogFile(config.run.log_dir, clock, run.run_id, account, mark)
    if run.mode in ORDER_MODES:  # orders to a paper account end with the process; others may still be on their way
        order_log.rest_after_last_order()
    if order_log.unreadable_lines:
        count = order_log.unreadable_lines
        complain(f"{count} lines of the order log cannot be read: no order for a minute")
    return order_log


def _last_seen(record: IterationRecord | None, order_log: OrderMemory) -> LastSeen:
    """Prices and positions of the last run, against which the first reading of this one is held."""
    last = LastSeen()
    if record is None or record.agent_state is None:
        return last
    last.remember_markets(record.agent_state.markets, record.timestamp)
    if order_log.newest_at() < record.timestamp:  # else we have traded since, and positions may be fewer
        last.remember_state(record.agent_state)
    return last


def last_record_of(config: AgentConfig, mode: str) -> tuple[IterationRecord | None, bool]:
    """The last line of a lasting account, and whether there is one that cannot be read (a newer version wrote it)."""
    if mode not in LASTING_MODES:
        return None, False
    try:
        return last_record(config.run.log_dir, mode), False
    except ConfigurationError as error:
        complain(f"{error}; this run starts without it")
        return None, True


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
