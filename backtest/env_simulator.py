"""CoveredCallEnv: the agent's own engine as an environment for learning, on the simulated market.

In: a seed and settings; actions as ProposedAction. Out: AgentState, reward in USD, done, info. States, risk limits,
order handling, fees and settlement are the very code that trades on testnet; only the market is drawn from a seed.
No network, no files.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from agent_loop import run_iteration
from cli.assembly import Agent, agent_from_parts
from config import AgentConfig, load_config
from core.breaker import Breaker
from deribit.kill_file import kill_note_of
from logging_utils import IterationRecord, RunInfo
from models import ActionType, AgentState, ProposedAction
from orders.order_log import OrderMemory
from paper_exchange.in_process.client import InProcessClient
from paper_exchange.setups import simulated_setup
from state_builder import build_agent_state

SECONDS_PER_HOUR = 3600.0


class CoveredCallEnv:
    """Selling covered calls on BTC and ETH, one decision a step.

    Data sheet
    ----------
    State        AgentState: both coins' markets, the account, up to five candidates a coin, the filter funnel.
    Action       ProposedAction: DO_NOTHING, OPEN, ROLL or CLOSE, of the symbols in the state. Actions that the risk
                 engine forbids are not carried out; the step counts as DO_NOTHING and `info["reasons"]` says why.
    Reward       USD: change of the equity in coin since the last step, valued at the new spot. Holding the coins
                 earns 0, so the reward is what the calls added or cost, marks and fees included.
    Step         `step_hours` of market time (default 24); orders are worked first, which takes seconds to a minute.
    Episode      `steps` decisions (default 90); `done` is True with the last. No early end: covered calls cannot
                 lose more than the coins.
    Start        `reset()` starts the same seed again; `reset(seed)` another one. A fresh account holds
                 AGENT_PAPER_BTC_COIN and AGENT_PAPER_ETH_COIN.
    Randomness   the market alone, from the seed; the same seed and actions give the same episode.
    info         allowed, reasons, executed (ExecutionResult), equity_coin (by coin), time, error (None or text).
    Limits       quotes are modelled, not recorded: spreads, skew and IV/RV follow Deribit's chains of January 2026,
                 but a policy that wins here has won nothing yet.
    """

    def __init__(
        self, config: AgentConfig | None = None, seed: int = 1, steps: int = 90, step_hours: float = 24.0
    ) -> None:
        if steps < 1 or not step_hours > 0.0:
            raise ValueError("steps must be 1 or more and step_hours above 0")
        self.config = load_config(env_file=None) if config is None else config
        self.seed, self.steps, self.step_hours = seed, steps, step_hours
        self._agent: Agent | None = None
        self._state: AgentState | None = None
        self._action: ProposedAction | None = None

    def reset(self, seed: int | None = None) -> AgentState:
        """Start an episode; the first state."""
        self.seed = self.seed if seed is None else seed
        self._agent = self._new_agent()
        self._state = build_agent_state(self._agent.client, self.config, self._agent.memory)
        return self._state

    def step(self, action: ProposedAction) -> tuple[AgentState, float, bool, dict[str, Any]]:
        """Carry out an action, let `step_hours` pass: (state, reward in USD, done, info).

        Raises RuntimeError before the first reset and after the last step.
        """
        agent, before = self._agent, self._state
        if agent is None or before is None or agent.recorder.iteration >= self.steps:
            raise RuntimeError("call reset() first: the episode has not begun or is over")
        self._action = action
        agent.trading.breaker = Breaker()  # trying forbidden actions again and again is how a learner learns
        record = run_iteration(agent)
        agent.clock.wait_for_next(self.step_hours * SECONDS_PER_HOUR)
        after = build_agent_state(agent.client, self.config, agent.memory)
        self._state = after
        return after, _reward_usd(before, after), agent.recorder.iteration >= self.steps, _info(record, after)

    def _new_agent(self) -> Agent:
        coins = {"BTC": self.config.run.paper_btc_coin, "ETH": self.config.run.paper_eth_coin}
        setup = simulated_setup(self.seed, coins)
        order_log = OrderMemory()  # in a simulation nothing can be lost that needs to be found again
        client = InProcessClient(setup.account, self.config, order_log, partial(kill_note_of, self.config))
        return agent_from_parts(
            config=self.config,
            client=client,
            policy=self._chosen_action,
            order_log=order_log,
            decision_log=_NoLog(),
            run=RunInfo(f"env-{self.seed}", "environment", "simulated", "caller", "", ""),
        )

    def _chosen_action(self, agent_state: AgentState, config: AgentConfig) -> ProposedAction:  # noqa: ARG002
        """Stands in for a policy: the action that was given to step."""
        return self._action or ProposedAction(type=ActionType.DO_NOTHING, reason="no action was given")


class _NoLog:
    """The caller of an environment keeps what it needs; nothing is written."""

    def write_line(self, text: str) -> None:
        """Forget the line."""


def _reward_usd(before: AgentState, after: AgentState) -> float:
    reward = 0.0
    for market in after.markets:
        old, new = before.account(market.underlying), after.account(market.underlying)
        if old is not None and new is not None:
            reward += (new.equity_coin - old.equity_coin) * market.spot_usd
    return reward


def _info(record: IterationRecord, after: AgentState) -> dict[str, Any]:
    return {
        "allowed": record.allowed,
        "reasons": tuple(str(reason) for reason in record.risk_engine_result.reasons),
        "executed": record.executed_action,
        "equity_coin": {account.currency: account.equity_coin for account in after.portfolio.accounts},
        "time": after.timestamp,
        "error": record.error,
    }
