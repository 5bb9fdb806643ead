"""One schedule from its first request to its last: the real agent, killed and restarted, on the paper exchange.

In: a Schedule and a folder. Out: a Trace. Every life is the agent's own `assemble_agent` and `run_loop` on the files
the last one left. What keeps a real installation going is played here too: a supervisor that restarts, a person who
looks at a halted agent and resumes it, somebody who removes the kill file. In one process, without threads or sockets.
"""

from __future__ import annotations

import io
import random
import shutil
import signal
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from decimal import localcontext
from pathlib import Path

import agent_loop
from cli import assembly
from cli.arguments import parse_arguments
from cli.assembly import Agent
from config import AgentConfig
from models import AgentError, LogWriteError, TradingState
from tests.builders.configs import agent_config
from tests.builders.true_time import AgentClock, TrueTime
from tests.campaign.deciders.model_endpoint import MODEL_KEY, ModelEndpoint
from tests.campaign.deciders.named import policy_named, shadows_named
from tests.campaign.faults.crashes import Crashes
from tests.campaign.faults.disk import FaultyDisk, mounted
from tests.campaign.faults.faults import FaultTransport, SimCrash
from tests.campaign.world import outside
from tests.campaign.world.market import CampaignMarket
from tests.campaign.world.policies import CampaignPolicy
from tests.campaign.world.schedule import Act, Schedule
from tests.campaign.world.trace import Life, Limits, Trace
from tests.campaign.world.traces import MODEL_CACHE, FileWatch, finish
from tests.campaign.world.venue import CREDENTIALS, Moment, Venue

MOST_LIVES = 80
HALTED_ROUNDS = 3  # iterations before a person looks at a halted agent
KILL_FILE_ROUNDS = 2
NEVER = 1_000_000
SKEW_SECONDS = {"+5": 5.0, "-5": -5.0, "+600": 600.0, "-600": -600.0, "+day": 86_400.0, "-day": -86_400.0}
OPTIONS = parse_arguments(["--quiet"])  # only read by the loop


def run_schedule(schedule: Schedule, folder: Path) -> Trace:
    """Run it; the folder (made anew) holds the agent's files afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    world = World(schedule, folder)
    with mounted(world.disk), world.model.standing_in(), localcontext():  # P12 changes it
        return world.run()


class World:
    """Everything of one schedule."""

    def __init__(self, schedule: Schedule, folder: Path) -> None:
        self.schedule = schedule
        self.time = TrueTime(schedule.started_at)
        self.moment = Moment()
        self.model = ModelEndpoint(f"{schedule.seed}", schedule.model_faults_pct, self.time.now)
        self.trace = Trace(schedule.seed, folder, schedule, secrets=(*CREDENTIALS, MODEL_KEY))
        self.config = _config(schedule, folder)
        self.disk = FaultyDisk(self.config.run.log_dir, self.time, schedule.disk_faults)
        market = CampaignMarket(f"{schedule.seed}", self.time, schedule.regime)
        has_index_chart = schedule.index % 4 != 0  # every fourth exchange is asked for candles instead
        self.venue = Venue(
            *(market, self.time, self.trace, self.moment, self.disk.has_intent), has_index_chart=has_index_chart
        )
        self.wire = FaultTransport(schedule, self.venue, self.time, self.trace, self.moment)
        self.files = FileWatch(self.config.run.log_dir)
        self.crashes = Crashes(schedule.crashes, self.moment, self.trace)
        self.policy = CampaignPolicy(policy_named(schedule.policy, f"{schedule.seed}"), self._on_decided)
        self.agent: Agent | None = None
        self.clock = self._new_clock()
        self.is_over = False
        self.stop_at = -1  # requests until the agent is asked to stop
        self._skew_back_seconds = 0.0
        self._halted_rounds = 0
        self._must_resume = False
        self._due_at_decision: list[Act] = []
        self._kill_row = ""
        self._kill_row_ends = 0
        self._kill_at_look = NEVER
        self._round_began_at = self.time.now()
        self._hangup_handler = signal.getsignal(signal.SIGHUP)
        self._connect()

    def _connect(self) -> None:
        """Who tells whom."""
        self.trace.model, self.trace.shadows = self.model.heard, self.schedule.shadows
        self.wire.check_crash = self.disk.check_crash = self.crashes.check
        self.wire.before_request = self._follow
        self.wire.on_request = self._on_request
        self.disk.on_fault = self._on_disk_fault
        risk, limits = self.config.risk, self.config
        sizes = {"BTC": limits.btc.max_order_size, "ETH": limits.eth.max_order_size}
        self.trace.limits = Limits(
            sizes,
            risk.price_collar_pct,
            risk.max_quote_age_seconds,
            risk.min_minutes_to_expiry,
            risk.max_orders_per_day,
            risk.max_unfilled_orders_per_day,
            limits.llm.max_calls_per_day,
        )

    def run(self) -> Trace:
        while not self.is_over and len(self.trace.lives) < MOST_LIVES:
            self._live()
        finish(self.trace, self.disk, self.files)
        return self.trace

    # --- one life ----------------------------------------------------------------------

    def _live(self) -> None:
        """From a start to an end, and the time until the next start."""
        life = Life(number=len(self.trace.lives), started_at=self.time.now())
        self.trace.lives.append(life)
        self.moment.life, self.moment.iteration, self.moment.ends_the_run = life.number, 0, False
        self.clock = self._new_clock()
        path_before, said = list(sys.path), io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            self._from_start_to_end(life)
        sys.path[:] = path_before
        life.ended_at, life.output = self.time.now(), said.getvalue()
        life.last_rows = self.trace.calls[-1].rows if self.trace.calls else ()
        if self.agent is not None:
            life.run_id = self.agent.recorder.run.run_id
            self.agent.client.close()
        self.agent = None
        self._after_life(life)

    def _from_start_to_end(self, life: Life) -> None:
        try:
            self.agent = agent = self._assembled(life)
            self._begin_round()
            code = agent_loop.run_loop(agent, OPTIONS)
            life.end = "end" if self.is_over else "stop" if agent.stop_requested else "exit"
            life.exit_code = code
        except SimCrash:
            life.end = "crash"
        except LogWriteError as error:
            life.end, life.exit_code, life.error = "exit", 2, str(error)
        except AgentError as error:
            life.end, life.exit_code, life.error = "exit", error.exit_code or 1, str(error)
        except OSError:  # as the command line has it
            life.end, life.exit_code, life.error = "exit", 2, traceback.format_exc()
        except Exception:  # noqa: BLE001 - whatever it is, it is what the trace is for
            life.end, life.error = "exit", traceback.format_exc()

    def _assembled(self, life: Life) -> Agent:
        """The agent as its files make it; resumed where a person has looked at it."""
        mark = self.trace.folder / "last_order"  # outside logs and data, as the account's own file is
        agent = assembly.assemble_agent(self.config, self.wire, self.clock, credentials=CREDENTIALS, mark=mark)
        agent.policy, agent.shadows = self.policy, shadows_named(self.schedule.shadows, f"{self.schedule.seed}")
        life.resumed = self._must_resume
        agent.trading.resume_or_stay_halted(self._must_resume)
        self._must_resume, self._halted_rounds = False, 0
        return agent

    def _after_life(self, life: Life) -> None:
        """What is left on disk, and how long it takes until somebody starts the agent again."""
        self.disk.close_all()
        self.files.look(self.trace)
        downtime_seconds = 30.0
        if life.end == "crash":
            crash = self.crashes.last
            downtime_seconds, life.is_power_cut = crash.downtime_seconds, crash.is_power_cut
            if crash.is_power_cut and self.disk.cut_power() > 0:
                self.trace.reached.add("power cut lost bytes")
        if life.end == "crash" and self.crashes.loses_logs:
            self.crashes.loses_logs = False
            self._on_disk_fault("D11", "logs")
            self.disk.lose_all(life.number + self.schedule.index)
        self.disk.damage(life.number * 37 + self.schedule.index)
        self.files.forget()
        if life.exit_code == 6:
            self._must_resume = True
        if not self.is_over:
            self.time.sleep(downtime_seconds)

    def _new_clock(self) -> AgentClock:
        clock = AgentClock(self.time, self._skew)
        clock.on_sleep = self._on_sleep
        clock.between = self._between
        clock.on_wake = self._begin_round
        return clock

    def _skew(self, elapsed_seconds: float) -> float:
        """How far the agent's clock is off."""
        fixed = SKEW_SECONDS.get(self.schedule.skew, 0.0)
        drift = elapsed_seconds / 60.0 if self.schedule.skew == "drift" else 0.0
        back = -3600.0 if self.schedule.skew == "back" and self.moment.round > self.schedule.iterations // 2 else 0.0
        return fixed + drift + back + self._skew_back_seconds

    # --- between iterations ------------------------------------------------------------------

    def _between(self) -> bool:
        """The end of an iteration; False where the loop is to end."""
        agent = self.agent
        assert agent is not None
        lasted_seconds = (self.time.now() - self._round_began_at).total_seconds()
        if lasted_seconds > self.schedule.interval_seconds:
            self.wire.note_fired("C05", "iteration")
        self.trace.iterations_run += 1
        is_halted = agent.trading.breaker.state == TradingState.HALTED
        self._halted_rounds = self._halted_rounds + 1 if is_halted else 0
        if self.moment.is_healthy:
            self._note_convergence(agent)
        self.is_over = self.moment.round >= self.schedule.iterations + self.schedule.tail
        patience = 0 if self.moment.round >= self.schedule.iterations else HALTED_ROUNDS
        ends = self.is_over or (is_halted and self._halted_rounds > patience)
        self.moment.ends_the_run = ends or agent.stop_requested
        return not ends

    def _note_convergence(self, agent: Agent) -> None:
        """Nothing open to question, nothing of ours resting, the last iteration whole."""
        is_calm = not agent.order_log.unresolved() and not self.venue.own_orders() and agent.trading.breaker.failed == 0
        if is_calm and self.trace.iterations_to_converge is None:
            self.trace.iterations_to_converge = self.moment.round - self.schedule.iterations

    def _begin_round(self) -> None:
        """An iteration is about to begin: outside acts, and from some moment on only good weather."""
        assert self.agent is not None
        self.moment.round += 1
        self.moment.iteration = self.agent.recorder.iteration + 1
        self.moment.action = ""
        if signal.getsignal(signal.SIGHUP) != self._hangup_handler:
            self.trace.violations.append("I24: the handler that a policy gave a signal is still there")
            signal.signal(signal.SIGHUP, self._hangup_handler)
        self._round_began_at = self.time.now()
        self._count_standing_rows()
        if self.moment.round > self.schedule.iterations and not self.moment.is_healthy:
            self._begin_tail()
        if self._kill_row and self.moment.round > self._kill_row_ends:
            self._remove_kill_file()
        for act in self.schedule.acts:
            if act.iteration == self.moment.round and not self.moment.is_healthy:
                self._perform(act)

    def _begin_tail(self) -> None:
        self.moment.is_healthy = self.disk.is_healthy = True
        self._due_at_decision = []
        self.wire.spells.end_all()
        self.venue.replica.is_standing = False
        self.venue.replica.catch_up()
        self.policy.fault, self.stop_at, self._kill_at_look = None, -1, NEVER
        self.trace.healthy_since = (self.moment.life, self.moment.iteration)
        if self._kill_row:
            self._remove_kill_file()

    def _count_standing_rows(self) -> None:
        if self.schedule.skew != "none":
            self.wire.note_fired("C01", f"clock {self.schedule.skew}")
        if (self.time.now().month, self.time.now().day) in ((12, 31), (1, 1), (2, 28), (2, 29)):
            self.wire.note_fired("C06", "date")

    # --- acts --------------------------------------------------------------------------------

    def _perform(self, act: Act) -> None:
        """One act, at the start of an iteration or armed for later in it."""
        if act.row in outside.ACTS and act.is_late:
            self._due_at_decision.append(act)  # of this iteration, or of the next that reaches one
        elif act.row in outside.ACTS:
            self._act_outside(act)
        elif act.row in ("X13", "X20"):
            self.wire.spells.standing.add(act.row)
        elif act.row == "X40":
            self.venue.replica.is_standing = True
        elif act.row == "D11":
            self.crashes.loses_logs = True
        elif act.row == "X41":
            self.venue.trade_perpetuals_often()
        elif act.row in ("P05", "P06", "P12"):
            self.policy.fault = act.row, act.number
            self.wire.note_fired(act.row, "policy")
        elif act.row == "P02":
            self.stop_at = act.number % 16
        elif act.row == "P11":
            self.crashes.quick = 2 + act.number % 5
        elif act.row == "C02":
            self._skew_back_seconds -= 3600.0
            self.wire.note_fired("C02", "clock")
        elif act.row == "R06":
            self._kill_at_look = 1 + act.number % 3
        elif act.row in ("R01", "R02"):
            self._kill_row = act.row
            self._kill_row_ends = self.moment.round + KILL_FILE_ROUNDS

    def _act_outside(self, act: Act) -> None:
        """Somebody else does something to the account, after what the exchange itself had to do until then."""
        self.venue.account.advance()
        self.moment.rows = frozenset({act.row})
        if outside.ACTS[act.row](self.venue, random.Random(act.number)):
            self.trace.outside_acts.append((self.time.now(), act.row))
            self.wire.note_fired(act.row, "act")
        self.moment.rows = frozenset()

    def _on_decided(self, action: str) -> None:
        """The policy has spoken: the account may change before its order leaves, and a kill file may appear."""
        self.moment.action = action
        for act in self._due_at_decision:
            self._act_outside(act)
        self._due_at_decision = []
        if self._kill_row:
            self._make_kill_file(action)

    def _make_kill_file(self, site: str) -> None:
        path = self.config.risk.kill_file
        if path.exists():
            return
        path.mkdir() if self._kill_row == "R02" else path.write_text("stop\n")
        self.trace.kill_file_since.append((self.time.now(), None))
        self.wire.note_fired(self._kill_row, site)

    def _remove_kill_file(self) -> None:
        path = self.config.risk.kill_file
        if path.exists():
            path.rmdir() if path.is_dir() else path.unlink()
            since, _ = self.trace.kill_file_since[-1]
            self.trace.kill_file_since[-1] = (since, self.time.now())
        self._kill_row = ""

    # --- what the parts tell ------------------------------------------------------------------

    def _follow(self) -> None:
        """What begins without a wait: a look at resting orders, a decision on the other coin while one rests."""
        agent = self.agent
        self.moment.look = 0 if agent is None else agent.resting.look
        if self.moment.look >= self._kill_at_look and not self._kill_row:
            self._kill_at_look, self._kill_row = NEVER, "R06"
            self._kill_row_ends = self.moment.round + KILL_FILE_ROUNDS
            self._make_kill_file("look")
        if agent is not None and agent.recorder.iteration > self.moment.iteration:
            self.trace.iterations_run += 1
            self._begin_round()
            self.moment.iteration = agent.recorder.iteration

    def _on_request(self) -> None:
        self.crashes.on_request()
        if self.stop_at >= 0:
            self.stop_at -= 1
            if self.stop_at < 0:
                self._ask_to_stop(self.trace.calls[-1].method)

    def _on_sleep(self, seconds: float) -> None:
        self.trace.sleeps_seconds.append(seconds)
        self.crashes.check("sleep", "before")

    def _ask_to_stop(self, site: str) -> None:
        """What a SIGTERM does."""
        assert self.agent is not None
        self.agent.stop_requested = True
        self.clock.stop()
        self.wire.note_fired("P02", site)

    def _on_disk_fault(self, row: str, site: str) -> None:
        self.wire.note_fired(row, site)
        self.trace.disk_faults.append((self.moment.life, self.moment.iteration, row))


def _config(schedule: Schedule, folder: Path) -> AgentConfig:
    """The settings of a schedule, with every file below the folder."""
    settings = {name: dict(section) for name, section in schedule.settings.items()}
    settings["run"]["order_wait_seconds"] = schedule.order_wait_seconds
    settings["llm"] = settings.get("llm", {}) | {"cache_dir": folder / MODEL_CACHE}
    return agent_config(folder, **settings)
