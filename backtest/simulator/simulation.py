"""CoveredCallSimulator: a policy over a market and a period, on the loop that trades on testnet.

In: settings, a policy, a market (simulated, recorded or historical), a period. Out: a SimulationResult. Each decision
is agent_loop's own iteration: the same state, risk engine, order handling, paper account, fees and settlement. No
network; files are read where the market is made of files, and a decision log is written where one is handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from agent_loop import run_iteration, wait_for_next
from backtest.simulator.notebook import Notebook
from backtest.simulator.result import SimulationResult
from backtest.simulator.sources import SalesWatch, source_of
from cli.assembly import Agent, agent_from_parts, config_hash, policy_hash
from cli.endings import end_if_fatal, write_lines
from config import AgentConfig
from core.breaker import Breaker
from deribit.kill_file import kill_note_of
from logging_utils import IterationRecord, RunInfo
from models import AgentError, ConfigurationError, DecisionLog
from orders.order_log import OrderMemory
from paper_exchange.in_process.client import InProcessClient
from paper_exchange.setups import Setup
from policies.call import Policy

MakeSetup = Callable[[int, Mapping[str, float]], Setup]  # of a seed and the coins to start with
MakeLog = Callable[[Setup], DecisionLog]
FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
WORTH_A_WORD = timedelta(days=2)  # without a quote; recorded chains are hours apart
MOST_GAPS_NAMED = 3
Progress = Callable[[datetime, int], object]  # the market's time, decisions made


@dataclass(frozen=True)
class Period:
    """From when to when; None where the market begins, or ends. `weekdays` of decisions (Monday is 0); none are all."""

    start: datetime | None = None
    end: datetime | None = None
    weekdays: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.start is not None and self.end is not None and not self.start < self.end:
            raise ConfigurationError(f"the period is empty: it starts {self.start:%Y-%m-%d}, ends {self.end:%Y-%m-%d}")

    def is_over(self, now: datetime) -> bool:
        return self.end is not None and now > self.end

    def skips(self, now: datetime) -> bool:
        """Whether nothing is decided on this day."""
        return bool(self.weekdays) and now.weekday() not in self.weekdays


EndOf = Callable[[Setup, Period], datetime | None]


@dataclass(frozen=True)
class NamedPolicy:
    """A policy, what results call it, and its source, of which every line carries a hash."""

    name: str
    decide: Policy
    source: str = ""


class CoveredCallSimulator:
    """One run. `stop` ends it after the current decision; what was done until then is the result.

    `span`: from its first decision to its end, None where that is not known; `end_of` knows more than the period.
    """

    def __init__(
        self,
        config: AgentConfig,
        make_setup: MakeSetup,
        policy: NamedPolicy,
        period: Period | None = None,
        make_log: MakeLog | None = None,
        end_of: EndOf | None = None,
    ) -> None:
        self._asked_config, self._make_setup, self._policy = config, make_setup, policy
        self._period = Period() if period is None else period
        self._make_log, self._end_of = make_log, end_of
        self._is_stopped = False
        self._gaps: list[tuple[datetime, datetime]] = []
        self.span: tuple[datetime, datetime | None] = (FIRST_MOMENT, self._period.end)

    def stop(self) -> None:
        """End after the current decision."""
        self._is_stopped = True

    def run(self, progress: Progress | None = None) -> SimulationResult:
        """Decide until the period, the data or the account's right to trade ends.

        Raises ConfigurationError where the market shows nothing in the period.
        """
        run = self._asked_config.run
        self._gaps = []
        setup = self._make_setup(run.seed, {"BTC": run.paper_btc_coin, "ETH": run.paper_eth_coin})
        self._go_to_start(setup)
        self.span = (setup.clock.now(), self._period.end if self._end_of is None else self._end_of(setup, self._period))
        agent, notebook, sales = self._agent_on(setup), Notebook(), SalesWatch(setup.exchange.market)
        setup.account.observers.append(sales)
        problem = self._decide_until_the_end(agent, notebook, progress)
        source = source_of(setup.exchange.market, notebook.years, sales)
        result = notebook.result(self._policy.name, source, agent.config, problem)
        return replace(result, notes=tuple(self._gap_notes()))

    def _decide_until_the_end(self, agent: Agent, notebook: Notebook, progress: Progress | None) -> str | None:
        """Why it ended early; None where it did not."""
        try:
            while not self._is_stopped:
                record = run_iteration(agent)
                notebook.note(record)
                end_if_fatal(agent)
                if record.agent_state is None:
                    agent.trading.breaker = Breaker()  # a gap of the data is not a fault of the agent: go on after it
                if progress is not None:
                    progress(record.timestamp, agent.recorder.iteration)
                if agent.trading.is_halted:
                    return f"halted: {agent.trading.breaker.why}; last error: {notebook.last_error or 'none'}"
                if not self._wait(agent, record):
                    self._note_an_early_end(agent.clock.now())
                    return None
        except AgentError as error:
            return str(error)
        finally:
            write_lines(agent)
        return "stopped by hand"

    def _wait(self, agent: Agent, record: IterationRecord) -> bool:
        """Until the next decision of the period; False where there is none."""
        before = agent.clock.now()
        is_due = wait_for_next(agent, record)
        self._note_a_gap(before, agent.clock.now())
        while is_due and self._period.skips(agent.clock.now()):
            is_due = agent.clock.wait_for_next(agent.config.run.interval_seconds)
        return is_due and not self._period.is_over(agent.clock.now())

    def _note_a_gap(self, before: datetime, after: datetime) -> None:
        if after - before > WORTH_A_WORD + timedelta(seconds=self._asked_config.run.interval_seconds):
            self._gaps.append((before, after))

    def _note_an_early_end(self, now: datetime) -> None:
        """The data ended before the period did."""
        if self._period.end is not None:
            self._note_a_gap(now, self._period.end)

    def _gap_notes(self) -> Iterator[str]:
        for before, after in self._gaps[:MOST_GAPS_NAMED]:
            yield f"the data have no quotes from {before:%Y-%m-%d %H:%M} to {after:%Y-%m-%d %H:%M}"
        if len(self._gaps) > MOST_GAPS_NAMED:
            yield f"and {len(self._gaps) - MOST_GAPS_NAMED} more gaps of the data"

    def _go_to_start(self, setup: Setup) -> None:
        """Let time pass until the period begins: on a recording to its first snapshot there."""
        clock, start = setup.clock, self._period.start
        if start is not None and clock.now() < start:
            clock.sleep((start - clock.now()).total_seconds() - 1e-3)
            if not clock.wait_for_next(1e-3):
                raise ConfigurationError(f"the period is empty: the data end before {start:%Y-%m-%d %H:%M}")
        if start is not None:
            self._note_a_gap(start, clock.now())
        if self._period.is_over(clock.now()):
            raise ConfigurationError(f"the period is empty: the data begin at {clock.now():%Y-%m-%d %H:%M} UTC")

    def _agent_on(self, setup: Setup) -> Agent:
        market = setup.exchange.market.kind
        config = self._asked_config.without_coins_beyond(setup.currencies).at_market(market)
        if not config.enabled_underlyings:
            raise ConfigurationError("no coin to trade: the data have none of those that are enabled")
        order_log = OrderMemory()  # nothing can be lost here that would have to be found again
        client = InProcessClient(setup.account, config, order_log, partial(kill_note_of, config))
        hashes = (config_hash(config), policy_hash(self._policy.source))
        name = f"backtest-{config.run.seed}"
        run = RunInfo(name, "backtest", market, self._policy.name, *hashes, fills=config.run.fills)
        log = None if self._make_log is None else self._make_log(setup)
        return agent_from_parts(config, client, self._policy.decide, order_log, log, run)
