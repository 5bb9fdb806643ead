"""`python -m tests.campaign.kills --kills 1000 --seed 1`: the agent killed with SIGKILL again and again.

In: how many kills, a seed. Out: a table of what was found, exit code 1 where anything must not be. Each life is a
process of its own against an exchange on a loopback socket in this one. Half of the kills are aimed at an order
(before, while or after it is handled), the others come at random moments; some lives find a line torn by hand.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.builders.configs import KEY
from tests.campaign.kills.child import OUTPUT_NAME, OUTSIDE_NAME, LifePlan, live
from tests.campaign.kills.files import LogWatch, join_problems
from tests.campaign.kills.world import ORDER_METHODS, DeadClientsServer, Moment, Trap, Watched, WatchedExchange

SPEED = 100.0  # exchange seconds per second
QUIET_ITERATIONS = 3
PATIENCE_SECONDS = 1.6  # a trap that was not met by then: the life is killed wherever it is
RANDOM_LIFE_SECONDS = 0.5
SKEW_SECONDS = 600.0  # how far the agent's own clock may be off
TORN_BY_HAND_SHARE = 0.04
END_SECONDS = 60.0
LEAST_ORDERS_PER_KILL = 0.2  # with fewer the kills hit nothing
LAST_READS = frozenset({"public/status", "private/get_account_summary"})  # the last requests before an order
AFTER_THE_ORDER = frozenset({"private/edit", "private/cancel"})
# (methods, moment, latest delay in seconds, share): where the aimed kills go.
AIMS: tuple[tuple[frozenset[str], Moment, float, float], ...] = (
    (ORDER_METHODS, "before", 0.0, 0.12),
    (ORDER_METHODS, "after", 0.0, 0.12),
    (ORDER_METHODS, "answered", 0.004, 0.16),
    (ORDER_METHODS, "answered", 0.060, 0.10),
    (ORDER_METHODS, "late", 2.000, 0.14),
    (LAST_READS, "answered", 0.004, 0.18),
    (AFTER_THE_ORDER, "before", 0.0, 0.06),
    (AFTER_THE_ORDER, "after", 0.0, 0.07),
    (AFTER_THE_ORDER, "answered", 0.004, 0.07),
)


@dataclass
class Report:
    """What the lives came to."""

    kills: int = 0
    lives: int = 0
    seconds: float = 0.0
    ended_by_themselves: list[str] = field(default_factory=list)
    phases: Counter[str] = field(default_factory=Counter)
    torn_by_hand: int = 0
    iterations: int = 0
    intents: int = 0
    accepted: int = 0
    sells: int = 0
    buys: int = 0
    resolved: int = 0
    duplicates: int = 0
    unlogged: int = 0
    unparsable: int = 0
    zombies: int = 0
    ledger_events: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.violations and not self.ended_by_themselves and not self.zombies

    def lines(self) -> list[str]:
        phases = ", ".join(f"{name} {count}" for name, count in self.phases.most_common())
        return [
            f"kills {self.kills}, lives {self.lives}, iterations {self.iterations}, {self.seconds:.0f} s",
            f"orders: {self.intents} intents, {self.accepted} accepted ({self.sells} sells, {self.buys} buys), "
            f"{self.resolved} looked up by a later life",
            f"ledger events: {self.ledger_events}",
            f"killed while: {phases}",
            f"lines torn by hand {self.torn_by_hand}; errors in the log {self.errors}",
            f"duplicate orders {self.duplicates}, unlogged orders {self.unlogged}, "
            f"lines that do not parse {self.unparsable}, zombies {self.zombies}",
            *(f"ended by itself: {end}" for end in self.ended_by_themselves),
            *(f"VIOLATION {violation}" for violation in self.violations),
        ]


class KillRun:
    """Many lives, one after the other, on one account and one folder."""

    def __init__(self, folder: Path, seed: int, speed: float = SPEED) -> None:
        self.folder, self.speed = folder, speed
        self.report = Report()
        self.exchange = WatchedExchange(seed, speed, folder / "logs")
        self.files = LogWatch(folder / "logs")
        self._dice = random.Random(seed)
        self._pids: list[int] = []
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(["tests.campaign.kills.child"])

    def run(self, kills: int) -> Report:
        """Kill so many lives, then let one live in peace, then look at everything."""
        started = time.monotonic()
        server = DeadClientsServer(self.exchange)
        server.start()
        try:
            for number in range(1, kills + 1):
                self._one_kill(number, server.url)
            self._one_quiet_life(kills + 1, server.url)
        finally:
            server.stop()
        self.report.violations += [f"the exchange itself failed: {error}" for error in server.errors]
        self._sum_up(time.monotonic() - started)
        return self.report

    # --- one life --------------------------------------------------------------------------------------

    def _one_kill(self, number: int, url: str) -> None:
        trap, patience_seconds = self._draw_end()
        if self._dice.random() < TORN_BY_HAND_SHARE:
            self._tear_a_line()
        process = self._start(self._plan(number, url), trap)
        process.join(patience_seconds)
        watched = self._life()
        if process.is_alive() and not watched.is_killed:
            watched.is_killed = True
            watched.kill()
        process.join(END_SECONDS)
        self._note_end(number, process, watched)

    def _draw_end(self) -> tuple[Trap | None, float]:
        """A trap, or none: then how long the life lasts."""
        if self._dice.random() < 0.5:
            return None, self._dice.uniform(0.0, RANDOM_LIFE_SECONDS)
        methods, moment, latest, _ = self._dice.choices(AIMS, [share for *_, share in AIMS])[0]
        delay = self._dice.uniform(0.0, latest)
        return Trap(methods, moment, self._dice.choice((1, 1, 1, 2)), delay), PATIENCE_SECONDS

    def _plan(self, number: int, url: str) -> LifePlan:
        """The child's clock starts near the exchange's, but not with it."""
        skew = timedelta(seconds=self._dice.uniform(-SKEW_SECONDS, SKEW_SECONDS))
        start = self.exchange.market.clock.now() + skew
        return LifePlan(number, url, self.folder, start, self.speed, leapt_seconds=self.exchange.leapt_seconds)

    def _start(self, plan: LifePlan, trap: Trap | None) -> ForkServerProcess:
        process = self._processes.Process(target=live, args=(plan,), daemon=True)
        self.exchange.life = Watched(trap, kill=lambda: _send_kill(process))
        process.start()
        assert process.pid is not None
        self._pids.append(process.pid)
        self.report.lives += 1
        return process

    def _life(self) -> Watched:
        assert self.exchange.life is not None
        return self.exchange.life

    def _note_end(self, number: int, process: ForkServerProcess, watched: Watched) -> None:
        if process.exitcode != -signal.SIGKILL:
            tail = (self.folder / OUTPUT_NAME).read_text(errors="replace")[-300:]
            self.report.ended_by_themselves.append(f"life {number}: code {process.exitcode}: {tail}")
        else:
            self.report.kills += 1
        process.close()
        self.report.phases[self._phase(watched)] += 1

    def _phase(self, watched: Watched) -> str:
        """What the life was doing when it was killed, as far as the exchange and the files can tell."""
        new_lines = self.files.look()
        labels = {str(line.get("label")) for line in new_lines if line.get("event") == "intent"}
        ended = {str(line.get("label")) for line in new_lines if line.get("event") == "outcome"}
        if watched.requests == 0:
            return "starting"
        if self.files.torn_files():
            return "writing a line"
        if watched.in_flight:
            return f"in {watched.in_flight}"
        if labels - watched.orders_seen - ended:
            return "between intent and order"
        if (labels & watched.orders_seen) - ended:
            return "between order and outcome"
        if any(order.label.startswith("cc-") for order in self.exchange.account.open_orders()):
            return "while an order rested"
        is_asleep = self.files.newest_change_ns("decisions") > watched.last_request_at_ns
        return "asleep" if is_asleep else "reading"

    def _tear_a_line(self) -> None:
        """What a power cut leaves behind: the beginning of a line, at the end of the newest file of a kind."""
        kind = self._dice.choice(("orders", "decisions"))
        paths = sorted((self.folder / "logs").glob(f"{kind}-*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        if not paths or kind in "".join(self.files.torn_files()):
            return
        whole_line = paths[-1].read_bytes().splitlines()[-1]
        with paths[-1].open("ab") as file:
            file.write(whole_line[: self._dice.randint(1, len(whole_line) - 1)])
        self.report.torn_by_hand += 1

    # --- the end ----------------------------------------------------------------------------------------

    def _one_quiet_life(self, number: int, url: str) -> None:
        """Three iterations in peace: whatever the killed lives left open must be closed by then."""
        for timer in self.exchange.latecomers:
            timer.join()
        start = self.exchange.market.clock.now()
        leapt = self.exchange.leapt_seconds
        plan = LifePlan(number, url, self.folder, start, self.speed, QUIET_ITERATIONS, True, leapt)
        process = self._start(plan, None)
        process.join(END_SECONDS)
        if process.exitcode != 0:
            self.report.violations.append(f"I26: the quiet life ended with code {process.exitcode}")
        self.files.look()

    def _sum_up(self, seconds: float) -> None:
        report, ledger, files = self.report, self.exchange.ledger, self.files
        files.check_prefixes()
        joined = join_problems(files.order_lines, ledger.accepted)
        left = [order.label for order in self.exchange.account.open_orders()]
        report.violations += [*ledger.violations, *files.violations, *joined, *self._other_problems()]
        report.violations += [f"I26: {label} is still open after the quiet iterations" for label in left]
        report.seconds, report.iterations = seconds, files.iterations
        report.intents = sum(line.get("event") == "intent" for line in files.order_lines)
        report.resolved = sum(str(line.get("outcome", "")).startswith("resolved") for line in files.order_lines)
        report.accepted = len(ledger.accepted)
        report.sells = sum(direction == "sell" for direction in ledger.directions.values())
        report.buys = report.accepted - report.sells
        report.duplicates = sum(count - 1 for count in ledger.accepted.values())
        report.unlogged, report.unparsable = len(ledger.unlogged), files.unparsable
        report.ledger_events, report.errors = dict(ledger.kinds), dict(files.errors)
        report.zombies = sum(_is_running(pid) for pid in self._pids)

    def _other_problems(self) -> list[str]:
        output = (self.folder / OUTPUT_NAME).read_text(errors="replace")
        found = []
        if len(self.exchange.ledger.accepted) < self.report.kills * LEAST_ORDERS_PER_KILL:
            found.append(f"nothing tested: {len(self.exchange.ledger.accepted)} orders in {self.report.kills} kills")
        if self.files.torn_files():
            found.append(f"I15: {self.files.torn_files()} still end inside a line")
        if self.files.halted:
            found.append(f"I30: {self.files.halted} lines say HALTED, and nothing happened that should halt")
        if (self.folder / OUTSIDE_NAME).exists():
            found.append(f"I18: tried to leave this machine: {(self.folder / OUTSIDE_NAME).read_text()[:500]}")
        if "Traceback" in output:
            found.append(f"I24: a traceback in the output: {output[output.index('Traceback') :][:2000]}")
        if KEY[1] in output or any(KEY[1] in str(line) for line in self.files.order_lines):
            found.append("I21: the secret stands in an output")
        return found


def _send_kill(process: ForkServerProcess) -> None:
    """SIGKILL, by its own id."""
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, signal.SIGKILL)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def run_kills(folder: Path, kills: int, seed: int, speed: float = SPEED) -> Report:
    """So many kills on a fresh account; files stay in the folder."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    return KillRun(folder, seed, speed).run(kills)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.kills", description="Kill the agent, many times.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=SPEED, help="exchange seconds per second")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the files of the run here")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="kills-") as temporary:
        folder = Path(temporary) if options.keep is None else options.keep
        report = run_kills(folder, options.kills, options.seed, options.speed)
    print("\n".join(report.lines()))
    return 0 if report.is_clean else 1
