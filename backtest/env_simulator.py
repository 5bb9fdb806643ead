"""CoveredCallEnv: the agent's own engine as an environment for learning, on a simulated, recorded or historical market.

In: settings, a market, actions as ProposedAction or the dict of one. Out: AgentState, reward, done, info. States, risk
limits, order handling, fees and settlement are the very code that trades on testnet; only the market is another.
No network; files are read where the market is made of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from agent_loop import read_limited_state, run_iteration, wait_for_next
from backtest.environment.rewards import RewardKind, Worth, reward, worth_of
from cli.assembly import Agent, agent_from_parts
from config import AgentConfig, load_config
from core.breaker import Breaker
from core.iteration import LedgerReading
from deribit.kill_file import kill_note_of
from logging_utils import IterationRecord, RunInfo
from models import AgentError, AgentState, ExecutionResult, ProposedAction
from orders.ledger_reader import LedgerReader
from orders.order_log import OrderMemory
from paper_exchange.in_process.client import InProcessClient
from paper_exchange.setups import Setup, simulated_setup
from policies.garbage import searched_afterwards
from policies.output import PolicyOutputError, read_action
from state_builder import with_choices

SECONDS_PER_HOUR = 3600.0
MOST_UNREADABLE = 1000  # times in a row at which no state can be read, before that is an error

MakeSetup = Callable[[int, Mapping[str, float]], Setup]  # of a seed and the coins to start with
EndedBy = Literal["steps", "data", "ruin"]


class CoveredCallEnv:
    """Selling covered calls on BTC and ETH, one decision a step.

    Data sheet
    ----------
    State        AgentState: the coins' markets, the account, up to five candidates a coin, the filter funnel.
    Action       ProposedAction, or the dict of one: DO_NOTHING, OPEN, ROLL or CLOSE, of the symbols in the state.
                 Anything else raises TypeError. Actions that the risk engine forbids are not carried out; the step
                 counts as DO_NOTHING and `info["reasons"]` says why.
    Reward       `excess` (default): USD earned over holding the coins of the start, which is what the calls added or
                 cost, marks and fees included. `usd`: change of the account's value in USD, the coins' own moves
                 included. `coin`: change of the equity in coin; with two coins ETH is counted in BTC at the new spot.
    Step         `step_hours` of market time (default 24), orders included; a recording sets its own pace.
    Episode      `steps` decisions (default 90; None: as long as there is data). `done` is True with the last one, at
                 the end of the data, and where the account is worth nothing; `info["ended_by"]` says which.
    Market       `make_setup(seed, coins)`: simulated (default), `recorded_setup`, `historical_setup`, or any other
                 Setup. Coins that the market does not have are left out.
    Start        `reset()` starts the same seed again; `reset(seed)` another one. A fresh account holds
                 AGENT_PAPER_BTC_COIN and AGENT_PAPER_ETH_COIN.
    Fills        AGENT_FILLS: `ladder`, as live, or `touch`, at the other side of the book at once.
    Randomness   the market alone, from the seed; the same seed and actions give the same episode.
    info         allowed, reasons, executed (ExecutionResult), equity_coin (by coin), time, error (None or text),
                 market, fills, reward (which kind), ended_by (None, steps, data, ruin), unreadable (times at which no
                 state could be read, as in a gap of the data, and that were passed over).
    Limits       a simulated market's quotes are modelled: spreads, skew and IV/RV follow Deribit's chains of January
                 2026, but a policy that wins here has won nothing yet.
    """

    def __init__(
        self,
        config: AgentConfig | None = None,
        seed: int = 1,
        steps: int | None = 90,
        step_hours: float = 24.0,
        make_setup: MakeSetup = simulated_setup,
        reward_kind: RewardKind = "excess",
    ) -> None:
        if (steps is not None and steps < 1) or not step_hours > 0.0:
            raise ValueError("steps must be 1 or more and step_hours above 0")
        if reward_kind not in ("coin", "usd", "excess"):
            raise ValueError(f"reward_kind is coin, usd or excess, not {reward_kind}")
        config = load_config(env_file=None) if config is None else config
        # The policy file lets the coins take turns by the interval, so a step is one; only the caller explores.
        steps_apart = {"interval_seconds": step_hours * SECONDS_PER_HOUR, "exploration_pct": 0.0}
        run = config.run.model_copy(update=steps_apart)
        self._asked_config = config.model_copy(update={"run": run})
        self.config = self._asked_config
        self.seed, self.steps, self.reward_kind = seed, steps, reward_kind
        self._make_setup = make_setup
        self._agent: Agent | None = None
        self._state: AgentState | None = None
        self._start: Worth | None = None
        self.lists_choices = True  # `state.choices`: all actions judged and scored, for those who look at them

    def reset(self, seed: int | None = None) -> AgentState:
        """Start an episode; the first state. Raises AgentError where the market never shows one."""
        self.seed = self.seed if seed is None else seed
        self._agent = agent = self._new_agent()
        state, _ = self._next_readable(agent, is_due=True)
        if state is None:
            raise AgentError("the data end before a state can be read")
        self._state, self._start = state, worth_of(state)
        return state

    @searched_afterwards()
    def step(self, action: ProposedAction | Mapping[str, Any]) -> tuple[AgentState, float, bool, dict[str, Any]]:
        """Carry out an action, let `step_hours` pass: (state, reward, done, info).

        Where the data end, the state is the last one that could be read. Raises TypeError for what is no action, and
        RuntimeError before the first reset and after the last step.
        """
        chosen = as_action(action)
        agent, before, start = self._agent, self._state, self._start
        if agent is None or before is None or start is None:
            raise RuntimeError("call reset() first: the episode has not begun or is over")
        record = run_iteration(agent, before, chosen)
        after, unreadable = self._next_readable(agent, is_due=wait_for_next(agent, record))
        shown = before if after is None else after
        ended_by = self._ended_by(agent, after)
        self._state = shown if ended_by is None else None
        earned = reward(self.reward_kind, start, worth_of(before), worth_of(shown))
        info = _info(record, shown) | {"ended_by": ended_by, "unreadable": unreadable, "reward": self.reward_kind}
        return shown, earned, ended_by is not None, info

    def _ended_by(self, agent: Agent, after: AgentState | None) -> EndedBy | None:
        if after is None:
            return "data"
        if not worth_of(after).value_usd > 0.0:
            return "ruin"
        return "steps" if self.steps is not None and agent.recorder.iteration >= self.steps else None

    def _new_agent(self) -> Agent:
        asked = self._asked_config
        setup = self._make_setup(self.seed, {"BTC": asked.run.paper_btc_coin, "ETH": asked.run.paper_eth_coin})
        market = setup.exchange.market.kind
        self.config = config = asked.without_coins_beyond(setup.currencies).at_market(market)
        order_log = OrderMemory()  # in a simulation nothing can be lost that needs to be found again
        client = InProcessClient(setup.account, config, order_log, partial(kill_note_of, config))
        run = RunInfo(f"env-{self.seed}", "environment", market, "caller", "", "", fills=config.run.fills)
        agent = agent_from_parts(config, client, _no_policy, order_log, None, run)
        agent.ledger = UnreadLedger(client, config.enabled_underlyings)
        return agent

    def _next_readable(self, agent: Agent, is_due: bool) -> tuple[AgentState | None, int]:
        """The state now or at the next time that has one, None at the end of the data; how many times had none."""
        for unreadable in range(MOST_UNREADABLE):
            if not is_due:
                return None, unreadable
            agent.trading.breaker = Breaker()  # trying forbidden actions again and again is how a learner learns
            try:
                state = read_limited_state(agent)
                return with_choices(state, agent.config) if self.lists_choices else state, unreadable
            except AgentError as error:
                problem = error
            is_due = agent.clock.wait_for_next(agent.config.run.interval_seconds)
        raise problem


class UnreadLedger(LedgerReader):
    """What was booked stands in the account; an environment keeps no line that would repeat it."""

    def read_new_entries(self, state: AgentState, execution: ExecutionResult | None) -> LedgerReading:  # noqa: ARG002
        return LedgerReading()

    def with_equities(
        self,
        reading: LedgerReading,
        state: AgentState,  # noqa: ARG002
        execution: ExecutionResult | None,  # noqa: ARG002
    ) -> LedgerReading:
        return reading

    def expect_fill(self, symbol: str, direction: str, amount_coin: float) -> None:
        """Nothing is read, so nothing can be missing."""


def _no_policy(agent_state: AgentState, config: AgentConfig) -> ProposedAction:
    """Each iteration is handed its action."""
    raise NotImplementedError


def as_action(value: object) -> ProposedAction:
    """The action in a ProposedAction or a dict; TypeError for anything else, a dict that makes none included."""
    if not isinstance(value, (ProposedAction, dict)):
        raise TypeError(f"step takes a ProposedAction or the dict of one, not {type(value).__name__}")
    try:
        return read_action(value)
    except PolicyOutputError as error:
        raise TypeError(f"step takes a ProposedAction or the dict of one: {error.reason}") from None


def _info(record: IterationRecord, after: AgentState) -> dict[str, Any]:
    return {
        "allowed": record.allowed,
        "reasons": tuple(str(reason) for reason in record.risk_engine_result.reasons),
        "executed": record.executed_action,
        "equity_coin": {account.currency: account.equity_coin for account in after.portfolio.accounts},
        "time": after.timestamp,
        "error": record.error,
        "market": record.market,
        "fills": record.fills,
    }
