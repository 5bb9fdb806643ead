"""One small account on the campaign's market, and whole iterations of the real agent in which one reply is spoilt.

In: a generator. Out: `SpoiltIteration`, what happened and what must not have. The wire spoils the reply to the nth
request of an iteration, once, at every attempt or all along; the ledger is watched meanwhile. Coverage means: calls
sold and on offer never exceed the balance. Amounts in coin. Files go to the folder that is handed in; no network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Literal, get_args

import httpx

import agent_loop
from cli.assembly import Agent, assemble_agent
from config import AgentConfig
from models import ActionType, AgentError, AgentState, ProposedAction, Underlying
from paper_exchange.account.account import PaperAccount
from paper_exchange.account.ledger import LedgerEvent
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock
from paper_exchange.transport import PaperTransport
from tests.builders.agent import Policy
from tests.builders.configs import agent_config
from tests.builders.wire import Answer, Wire
from tests.campaign.canary.canary import CREDENTIALS
from tests.campaign.checks.order_gates import gate_problem
from tests.campaign.fuzz.reply_mutations import MARKER, Reply, answer_to, spoil
from tests.campaign.world.market import CampaignMarket, Regime

START = datetime(2026, 1, 5, 12, 3, tzinfo=UTC)
COINS_BTC = 1.0
EPSILON = 1e-9
ORDER_METHODS = ("private/buy", "private/sell")
# Their answers are no input to a later order: fees and the ledger are for the log, and after a cancel or an edit of
# unknown fate the order is asked for before anything else is sent.
NO_INPUT_OF_AN_ORDER = frozenset(
    {"private/cancel", "private/edit", "private/get_user_trades_by_order", "private/get_transaction_log"}
)
# After the buying leg of a roll it only looks for a second order under that label, and that would be reduce-only too.
LOOK_BACK = "private/get_order_state_by_label"

Persistence = Literal["once", "at every attempt", "all along"]
PERSISTENCES: tuple[Persistence, ...] = get_args(Persistence)


@dataclass(frozen=True, slots=True)
class Heard:
    """One request and the reply it was given."""

    method: str
    params: dict[str, Any]
    reply: Reply
    kind: str = ""  # of the damage; empty where there is none


@dataclass(slots=True)
class SpoiltIteration:
    """What one iteration did."""

    heard: list[Heard]
    error: str | None
    problems: list[str] = field(default_factory=list)

    @property
    def spoilt(self) -> list[int]:
        return [number for number, call in enumerate(self.heard) if call.kind]


class Spoiler:
    """A fault between agent and exchange. The reply to request `spoil_at` is damaged, and so are those to the same
    request at once after it ("at every attempt") or in the whole iteration ("all along")."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self.heard: list[Heard] = []
        self.spoil_at: int | None = None
        self.persistence: Persistence = "once"
        self._damage: tuple[tuple[str, str], str, Reply] | None = None

    def begin(self, spoil_at: int | None, persistence: Persistence) -> None:
        self.heard, self.spoil_at, self.persistence, self._damage = [], spoil_at, persistence, None

    def __call__(self, request: httpx.Request, answer: Answer) -> httpx.Response:
        call = json.loads(request.read())
        response = answer()
        body = response.read().replace(b'"id":%d,' % call["id"], b'"id":%d,' % MARKER, 1)
        kind, reply = self._spoilt(call, Reply(body, response.status_code))
        self.heard.append(Heard(call["method"], call["params"], reply, kind))
        stream = httpx.ByteStream(answer_to(reply.body, call["id"]))
        return httpx.Response(reply.status, headers=list(reply.headers), stream=stream)

    def _spoilt(self, call: dict[str, Any], reply: Reply) -> tuple[str, Reply]:
        """The reply as the agent gets it, and the kind of damage."""
        name = (call["method"], json.dumps(call["params"]))
        if self._damage is None and self.spoil_at == len(self.heard):
            self._damage = (name, *spoil(self._dice, reply))
            return self._damage[1:]
        if self._damage is not None and self._damage[0] == name and self._goes_on():
            return self._damage[1:]
        return "", reply

    def _goes_on(self) -> bool:
        """Whether a request that was spoilt before is spoilt again."""
        if self.persistence != "at every attempt":
            return self.persistence == "all along"
        asked = [call for call in self.heard if call.method != "public/auth"]
        return bool(asked and asked[-1].kind)


# --- policies -------------------------------------------------------------------------------------------


def eager(state: AgentState, config: AgentConfig) -> ProposedAction:
    """Sells on and on: only the gates stop it."""
    for call in state.candidates:
        return _action(ActionType.OPEN_COVERED_CALL, symbol=call.symbol, size=config.btc.order_size)
    return _action(ActionType.DO_NOTHING)


def restless(state: AgentState, config: AgentConfig) -> ProposedAction:
    """Rolls whatever it has into whatever lives longer; sells where it has nothing."""
    for held in state.short_calls("BTC"):
        for call in state.candidates:
            if call.expiry > held.expiry:
                return _action(ActionType.ROLL_COVERED_CALL, symbol=held.symbol, new_symbol=call.symbol, size=held.size)
        return _action(ActionType.CLOSE_COVERED_CALL, symbol=held.symbol, size=held.size)
    return eager(state, config)


def _action(kind: ActionType, **fields: Any) -> ProposedAction:
    underlying: Underlying | None = None if kind == ActionType.DO_NOTHING else "BTC"
    return ProposedAction(type=kind, reason="a campaign says so", underlying=underlying, **fields)


# --- the world -------------------------------------------------------------------------------------------


def world_config(folder: Path) -> AgentConfig:
    """Everything on the small market may be sold, so that the gates have something to do."""
    wide = {"delta_min": 0.05, "delta_max": 0.9, "dte_min": 0.1, "dte_max": 5.0, "ivrv_min": 0.0}
    sizes = {"order_size": 0.5, "max_order_size": 0.5, "premium_min_usd": 1.0, "max_spread_pct": 100.0}
    risk = {"max_net_delta_fraction": 1.0, "max_margin_pct": 100.0, "max_orders_per_day": 1000}
    return agent_config(
        folder,
        btc=wide | sizes,
        eth={"enabled": False},
        risk=risk,
        run={"rv_min_returns": 5, "interval_seconds": 600.0},
    )


class SmallWorld:
    """A fresh account of one coin, the agent at it, and a watch on the ledger."""

    def __init__(self, folder: Path, dice: Random, policy: Policy | None = None) -> None:
        clock = SimulatedClock(START)
        regime = Regime(expiry_hours=8, jumps_per_day=0.0, fill_pct=30.0, empty_pct=0.0)
        self.market = CampaignMarket(str(dice.random()), clock, regime)
        account = PaperAccount(self.market, {"BTC": COINS_BTC, "ETH": 10.0})
        self.exchange = PaperExchange(self.market, account, credentials=CREDENTIALS)
        self.inner_wire = Wire(PaperTransport(self.exchange))  # where a test may change a reply by hand
        self.spoiler = Spoiler(dice)
        self.config = world_config(folder)
        self.agent: Agent = assemble_agent(
            self.config, Wire(self.inner_wire, self.spoiler), clock, credentials=CREDENTIALS
        )
        self.agent.policy = dice.choice([self.agent.policy, eager, eager, restless]) if policy is None else policy
        self.uncovered: list[str] = []
        account.observers.append(self._watch)

    def close(self) -> None:
        self.agent.client.close()

    def iterate(self, spoil_at: int | None, persistence: Persistence = "once") -> SpoiltIteration:
        """One iteration, then the rest of the interval."""
        self.spoiler.begin(spoil_at, persistence)
        self.uncovered = []
        iteration = SpoiltIteration(self.spoiler.heard, None)
        try:
            record = agent_loop.run_iteration(self.agent)
            iteration.error = record.error
            refused = [call.method for call in record.api_responses or () if _is_refused(call.outcome)]
        except AgentError as error:
            iteration.error, refused = f"{type(error).__name__}: {error}", []
            if error.exit_code is None:
                iteration.problems.append(f"left the iteration: {iteration.error}")
        except BaseException as error:  # noqa: BLE001 - this is what is looked for
            iteration.error, refused = type(error).__name__, []
            iteration.problems.append(f"uncaught {type(error).__name__}: {str(error)[:300]}")
        if iteration.error is not None and "Traceback" in iteration.error:
            iteration.problems.append(f"uncaught: {iteration.error}")
        iteration.problems += self._order_problems(iteration, refused)
        self.agent.clock.wait_for_next(self.config.run.interval_seconds)
        return iteration

    # --- what must hold -----------------------------------------------------------------

    def _order_problems(self, iteration: SpoiltIteration, refused: list[str]) -> list[str]:
        problems = [f"uncovered at the exchange: {event}" for event in self.uncovered]
        for number, call in enumerate(iteration.heard):
            if call.method not in ORDER_METHODS:
                continue
            problem = gate_problem(call.params, call.method, self.market, self.config, _told(iteration.heard[:number]))
            problems += [] if problem is None else [f"order through the gates: {problem}"]
        return problems + _orders_after_a_refused_reply(iteration, refused, self.spoiler.persistence)

    def _watch(self, event: LedgerEvent) -> None:
        account = self.exchange.account
        calls = [(p.instrument_name, -p.size) for p in account.state.positions.values() if p.size < 0.0]
        calls += [
            (o.instrument_name, o.amount - o.filled_amount) for o in account.open_orders() if o.direction == "sell"
        ]
        sold = sum(amount for name, amount in calls if name.startswith("BTC-") and name.endswith("-C"))
        # A step of slack: what was covered when it was sold stays so although fees nibble at the balance afterwards.
        if sold > event.balance_after_coin + 0.1 - EPSILON or sold > COINS_BTC + EPSILON:
            self.uncovered.append(
                f"{event.kind} {event.label}: {sold:g} of calls on {event.balance_after_coin:g} coins"
            )


def _is_refused(outcome: str) -> bool:
    """Whether the client could make nothing of a reply. That the exchange rejects an edit or an order is an answer."""
    return not outcome.startswith(("ok", "accepted", "rejected"))


def _told(heard: list[Heard]) -> list[Reply]:
    """What the agent was told about an instrument and its quote before an order."""
    return [call.reply for call in heard if call.method in ("public/ticker", "public/get_instrument")]


def _orders_after_a_refused_reply(
    iteration: SpoiltIteration, refused: list[str], persistence: Persistence
) -> list[str]:
    """A reply that the client refused at every attempt ends what the iteration may send."""
    if not iteration.spoilt or persistence == "once":
        return []
    last = iteration.spoilt[-1]
    method = iteration.heard[last].method
    sent_before = any(call.method in ORDER_METHODS for call in iteration.heard[:last])
    if method in NO_INPUT_OF_AN_ORDER or method not in refused or (method == LOOK_BACK and sent_before):
        return []
    sent = [call.method for call in iteration.heard[last + 1 :] if call.method in ORDER_METHODS]
    return [f"{', '.join(sent)} after a refused reply of {method}"] if sent else []
