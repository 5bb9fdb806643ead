"""Builders: the real agent on a paper exchange, and a wire between the two that a test can listen to and disturb.

Quotes and the account come from `paper.ScriptedMarket` (10 BTC and 100 ETH unless said otherwise) or from the
simulated market; clocks move by sleeping. Files go to the folder a test hands in. No network.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from shutil import ignore_patterns
from typing import Any
from unittest.mock import patch

import httpx

import agent_loop
from cli import console, policy_file
from cli.arguments import parse_arguments
from cli.assembly import Agent, agent_from_parts, assemble_agent
from config import PROJECT_FOLDER, AgentConfig
from deribit_client import DeribitClient
from logging_utils import IterationRecord, RunInfo, read_records
from models import ActionType, AgentState, Clock, ExchangeClient, OrderRequest, ProposedAction, Underlying
from orders.jsonl_file import JsonlLog
from orders.order_log import OrderLogFile, OrderMemory
from orders.recovery import recover_orders
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock
from paper_exchange.market.market import Market
from paper_exchange.setups import Setup, simulated_setup
from paper_exchange.transport import PaperTransport
from tests.builders.clocks import QuickStartClock, agent_runs_on
from tests.builders.configs import a_config, agent_config
from tests.builders.paper import CALL, START, ScriptedMarket, market_with, place
from tests.builders.wire import Wire, envelope

Answer = Callable[[], httpx.Response]
Fault = Callable[[httpx.Request, Answer], httpx.Response]
Policy = Callable[[AgentState, AgentConfig], ProposedAction]

NEXT_CALL = "BTC-23JAN26-105000-C"
RUN = RunInfo("test-0001", "simulated", "simulated", "a_test", "config", "policy")


# --- settings, client, agent --------------------------------------------------------------------


def client_answered_with(result: object) -> DeribitClient:
    """A client that hears this result whatever it asks; logging in works."""
    token = {"access_token": "made-up-token", "expires_in": 900, "scope": "account:read trade:read_write"}

    def answer(request: httpx.Request) -> httpx.Response:
        is_login = request.url.path.endswith("/public/auth")
        reply = envelope(request, result=token if is_login else result)
        return httpx.Response(200, content=json.dumps(reply))

    transport = httpx.MockTransport(answer)
    return DeribitClient(
        a_config(), transport=transport, clock=SimulatedClock(START), credentials=("made-up-id", "made-up-secret")
    )


@dataclass
class Desk:
    """A client at a paper exchange, with everything a test may want to look at or to change."""

    config: AgentConfig
    exchange: PaperExchange
    wire: Wire
    client: DeribitClient
    order_log: OrderLogFile

    @property
    def account(self) -> PaperAccount:
        return self.exchange.account

    @property
    def clock(self) -> Clock:
        return self.exchange.market.clock

    def order_lines(self) -> list[dict[str, Any]]:
        return read_records(self.config.run.log_dir / "orders-*.jsonl")


@dataclass
class ScriptedDesk(Desk):
    """A desk whose quotes the test sets."""

    market: ScriptedMarket = field(default_factory=ScriptedMarket)


def desk_on(exchange: PaperExchange, config: AgentConfig, run_id: str = RUN.run_id) -> Desk:
    wire = Wire(PaperTransport(exchange))
    clock = exchange.market.clock
    order_log = OrderLogFile(config.run.log_dir, clock, run_id)
    client = DeribitClient(
        config, transport=wire, clock=clock, order_log=order_log, credentials=("paper-id", "paper-secret")
    )
    return Desk(config, exchange, wire, client, order_log)


def scripted_desk(
    folder: Path, market: ScriptedMarket | None = None, coins_btc: float = 10.0, **sections: Mapping[str, Any]
) -> ScriptedDesk:
    """A desk on a scripted market that shows CALL at 0.02 / 0.021 unless it is given."""
    shown = market_with() if market is None else market
    exchange = _exchange(shown, {"BTC": coins_btc, "ETH": 100.0})
    desk = desk_on(exchange, agent_config(folder, **sections))
    return ScriptedDesk(desk.config, exchange, desk.wire, desk.client, desk.order_log, shown)


def _exchange(market: Market, balances_coin: Mapping[str, float]) -> PaperExchange:
    return PaperExchange(market, PaperAccount(market, balances_coin))


def simulated_desk(folder: Path, **sections: Mapping[str, Any]) -> Desk:
    """A desk on the simulated market with 1 BTC and 10 ETH."""
    return desk_on(a_setup().exchange, agent_config(folder, **sections))


def a_setup(seed: int = 1) -> Setup:
    return simulated_setup(seed, {"BTC": 1.0, "ETH": 10.0})


def agent_at(desk: Desk, policy: Policy | None = None) -> Agent:
    """The whole agent at a desk, with the rule-based policy unless another one is given."""
    rule_based, _ = policy_file.load_policy("policy_rule_based")
    return agent_from_parts(
        config=desk.config,
        client=desk.client,
        policy=rule_based if policy is None else policy,
        order_log=desk.order_log,
        decision_log=JsonlLog(desk.config.run.log_dir, "decisions", desk.clock),
        run=RUN,
    )


def simulated_agent(folder: Path, policy: Policy | None = None, **sections: Mapping[str, Any]) -> Agent:
    return agent_at(simulated_desk(folder, **sections), policy)


def run_for(agent: Agent, iterations: int) -> list[IterationRecord]:
    """Iterate as the loop does, without its console."""
    records = []
    for _ in range(iterations):
        records.append(agent_loop.run_iteration(agent))
        agent.clock.wait_for_next(agent.config.run.interval_seconds)
    return records


def decision_lines(folder: Path) -> list[dict[str, Any]]:
    """What stands in the decision log of an agent whose files are below the folder."""
    return read_records(folder / "logs" / "decisions-*.jsonl")


def next_process(desk: Desk, mark: Path | None = None) -> Agent:
    """The agent as it comes out of its files, on the same exchange; `mark` remembers the account's last order."""
    key = ("paper-id", "paper-secret")
    return assemble_agent(desk.config, desk.wire, desk.clock, "testnet", credentials=key, mark=mark)


# --- actions ------------------------------------------------------------------------------------------


def opening(symbol: str = CALL, size: float = 1.0) -> ProposedAction:
    return _action(ActionType.OPEN_COVERED_CALL, symbol, size)


def always_sell(state: AgentState, config: AgentConfig) -> ProposedAction:
    """A policy that wants to sell the first BTC call there is, in every iteration."""
    best = state.candidates_for("BTC")[0]
    return ProposedAction(
        type=ActionType.OPEN_COVERED_CALL, underlying="BTC", symbol=best.symbol, size=0.1, reason="always"
    )


def closing(symbol: str = CALL, size: float = 1.0) -> ProposedAction:
    return _action(ActionType.CLOSE_COVERED_CALL, symbol, size)


def rolling(symbol: str = CALL, new_symbol: str = NEXT_CALL, size: float = 1.0) -> ProposedAction:
    return _action(ActionType.ROLL_COVERED_CALL, symbol, size).model_copy(update={"new_symbol": new_symbol})


def _action(kind: ActionType, symbol: str, size: float) -> ProposedAction:
    underlying: Underlying = "BTC" if symbol.startswith("BTC") else "ETH"
    return ProposedAction(type=kind, underlying=underlying, symbol=symbol, size=size, reason="a test says so")


def an_order_request(symbol: str = CALL, **fields: Any) -> OrderRequest:
    """A sale of 1 at 0.02, which trades at once on the usual quotes."""
    sale = {"label": "cc-260105120000-abcdef-sell", "direction": "sell", "amount_coin": 1.0, "price_coin": 0.02}
    return OrderRequest(**{"symbol": symbol, "quoted_at": START, **sale, **fields})


# --- the command line -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """How a run from the command line ended, and what it printed."""

    code: int
    out: str
    printed_err: str

    @property
    def err(self) -> str:
        """A complaint a line, however the console broke it."""
        return self.printed_err.replace("\n  ", " ")


def in_one_line(text: str) -> str:
    """What was printed, without the ends of lines: where the console breaks a sentence says nothing."""
    return " ".join(text.split())


def run_main(*arguments: str | Path, clock: Callable[[], Clock] = QuickStartClock) -> Ended:
    """The agent as from the command line, in this process; signal handlers are put back afterwards."""
    out, err = io.StringIO(), io.StringIO()
    no_progress_lines = patch.object(console, "PROGRESS_EVERY_SECONDS", math.inf)  # said on a busy machine only
    with redirect_stdout(out), redirect_stderr(err), own_signal_handlers(), agent_runs_on(clock), no_progress_lines:
        try:
            code: object = agent_loop.main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int)
    return Ended(code, out.getvalue(), err.getvalue())


@contextmanager
def own_signal_handlers() -> Iterator[None]:
    """Signal handlers that are set in here are put back at the end."""
    handlers = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)


def simulated_run(folder: Path, *arguments: str | Path) -> Ended:
    """A run from the command line on the simulated market; its files are below the folder."""
    return run_main("--dry-run", "--market", "simulated", *folders(folder), *arguments)


def folders(folder: Path) -> tuple[str | Path, ...]:
    """The options that keep a run's files below a folder."""
    return "--log-dir", folder / "logs", "--data-dir", folder / "data"


def copy_of_the_project(folder: Path) -> Path:
    """The agent's own files somewhere else, for a process of its own that must see no settings of this machine."""
    for path in PROJECT_FOLDER.glob("*.py"):
        shutil.copy(path, folder)
    for room in PROJECT_FOLDER.glob("*/__init__.py"):
        name = room.parent.name
        if name != "tests":
            shutil.copytree(room.parent, folder / name, ignore=ignore_patterns("__pycache__"))
    return folder


def options(*arguments: str) -> argparse.Namespace:
    return parse_arguments(list(arguments))


# --- orders that earlier runs left behind ------------------------------------------------------


def ends_of(desk: Desk) -> list[tuple[str, float | None]]:
    """State and filled amount of every order whose end was written down."""
    closed = [line for line in desk.order_lines() if line["event"] == "closed"]
    return [(line["label"], line["filled_amount_coin"]) for line in closed]


def ended_orders(client: ExchangeClient, order_log: OrderMemory) -> list[str]:
    """Symbols of the earlier orders that are found to be over."""
    ended: list[str] = []
    recover_orders(client, order_log, ended.append)
    return ended


def order_log_of_the_next_process(desk: Desk) -> OrderLogFile:
    return OrderLogFile(desk.config.run.log_dir, desk.clock, "test-0002", account="test")


def a_foreign_sell(desk: ScriptedDesk, amount: float, name: str = NEXT_CALL) -> None:
    """Somebody else's offer on the same account, too dear to be taken."""
    if desk.market.quote(name) is None:
        desk.market.show(name, 0.03, 0.031, mark=0.0305)
    place(desk.account, "sell", amount, 0.04, name)
