"""Speed figures of the agent, as ratios within one run: python -m tests.benchmarks [--iterations 100000]

In: nothing but this machine. Out: one line per figure. CPU time of this process, not wall time, because machines are
noisy; the ratio compares building the state with fetching and decoding the very same bytes. Run by hand, never in the
test run.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import monotonic, process_time
from typing import NamedTuple

import httpx

from agent_loop import run_iteration
from cli.arguments import parse_arguments
from cli.assembly import Agent
from cli.setup import build_agent
from config import PROJECT_FOLDER, AgentConfig, load_config
from deribit_client import DeribitClient
from models import UNDERLYINGS
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock
from paper_exchange.market.expiries import MarketSize
from paper_exchange.setups import SIMULATION_START
from paper_exchange.simulated.market import SimulatedMarket
from paper_exchange.transport import PaperTransport
from state_builder import MarketMemory, assemble_state, build_agent_state, fetch
from tests.benchmarks.learning import learning
from tests.benchmarks.months import recorded_months
from tests.benchmarks.phases import black76_ms, print_phases
from tests.benchmarks.replaying import replays
from tests.benchmarks.years import historical_years
from tests.builders.wire import Answer, Wire

LARGE = MarketSize(expiries_max=12, strikes_per_side=22)  # about 1,000 options a coin
ROUNDS = 40
DECISION_SECONDS = 3_600.0
DECISIONS = 300
WARM_UP = 20  # histories, listings and caches are read in the first; a run of weeks does that once


class Replay:
    """Records each reply the first time and gives the same bytes again, so that only the client is measured."""

    def __init__(self) -> None:
        self.replies: dict[tuple[str, bytes], bytes] = {}

    def __call__(self, request: httpx.Request, answer: Answer) -> httpx.Response:
        params = json.dumps(json.loads(request.content)["params"], sort_keys=True).encode()
        key = (request.url.path, params)
        if key not in self.replies:
            reply = json.loads(answer().read())
            reply.pop("id", None)  # the id differs from request to request
            self.replies[key] = json.dumps(reply).encode()
        return httpx.Response(200, content=self.replies[key])


def state_ratio() -> None:
    """CPU of building the state of both coins over CPU of fetching and decoding the same replies."""
    measured = measure_state(LARGE)
    print(f"state of both coins, {measured.options} options: {measured.state_ms:.1f} ms CPU")
    print(f"fetch and json.loads of the same bytes: {measured.plain_ms:.1f} ms CPU")
    print(f"ratio {measured.state_ms / measured.plain_ms:.2f} (must be at most 1.3)")


def chain_sizes() -> None:
    """What a chain twice as long costs: reading it from the wire, and computing the state from it alone."""
    before: StateCost | None = None
    for strikes_per_side in (10, 21, 42, 83):
        cost = measure_state(MarketSize(expiries_max=12, strikes_per_side=strikes_per_side))
        grown = "" if before is None else f", {cost.state_ms / before.state_ms:.2f} and "
        grown += "" if before is None else f"{cost.compute_ms / before.compute_ms:.2f} times as much (at most 2)"
        each = cost.options // len(UNDERLYINGS)
        print(f"  {each:>5} options a coin: state {cost.state_ms:.1f} ms, computing {cost.compute_ms:.2f} ms{grown}")
        before = cost


class StateCost(NamedTuple):
    """Milliseconds of CPU: reading and computing a state, computing it alone, fetching and decoding alone."""

    options: int
    state_ms: float
    compute_ms: float
    plain_ms: float


def measure_state(size: MarketSize) -> StateCost:
    config = load_config(env_file=None)
    market = SimulatedMarket(1, SimulatedClock(SIMULATION_START), size=size)
    replay = Replay()
    transport = Wire(PaperTransport(PaperExchange(market, PaperAccount(market))), replay)
    client = DeribitClient(config, transport=transport, clock=market.clock, credentials=("paper", "paper"))
    memory = MarketMemory()
    raw = fetch(client, config, memory)
    client.end_iteration()
    build_agent_state(client, config, memory)
    methods = [call.method for call in client.end_iteration()]
    plain = httpx.Client(transport=transport, base_url="http://127.0.0.1")
    requests = [key for key in replay.replies if key[0].removeprefix("/api/v2/") in methods]

    def fetch_and_decode() -> None:
        for path, params in requests:
            json.loads(plain.post(path, json={"params": json.loads(params)}).content)

    return StateCost(
        options=sum(len(coin.chain) for coin in raw.coins),
        state_ms=_cpu_ms(lambda: build_agent_state(client, config, memory)),
        compute_ms=_cpu_ms(lambda: assemble_state(raw, config)),
        plain_ms=_cpu_ms(fetch_and_decode),
    )


def _cpu_ms(action: Callable[[], object]) -> float:
    """The median of ROUNDS rounds, in milliseconds of CPU."""
    action()
    taken = []
    for _ in range(ROUNDS):
        started = process_time()
        action()
        taken.append(process_time() - started)
    return sorted(taken)[ROUNDS // 2] * 1000.0


def help_time() -> None:
    """Wall time of --help, the fastest of five."""
    command = [sys.executable, str(PROJECT_FOLDER / "agent_loop.py"), "--help"]
    times = []
    for _ in range(5):
        started = monotonic()
        subprocess.run(command, check=True, capture_output=True)
        times.append(monotonic() - started)
    print(f"--help: {min(times):.2f} s (must be below 0.3)")


def decisions(iterations: int) -> None:
    """Decisions a CPU-second in process and on the wire, on the simulated market and on a recording of it."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = _config_in(Path(folder) / "recorder", record_chains=True)
        simulated = ("--market", "simulated")
        _decisions_per_second(recorder, iterations + WARM_UP, *simulated)
        recorded = ("--market", "recorded", "--recording", str(recorder.run.data_dir / "chains"))
        for name, market in {"simulated": simulated, "recorded": recorded}.items():
            process = _decisions_per_second(_config_in(Path(folder) / f"{name}-process"), iterations, *market)
            wire = _decisions_per_second(_config_in(Path(folder) / f"{name}-wire"), iterations, *market, "--wire")
            print(f"{name}: {process:.0f} decisions a CPU-second in process, {wire:.0f} on the wire")
            print(f"ratio {process / wire:.2f} ({name})")
            print(
                f"an iteration in process: {1000.0 / process / black76_ms():.0f} times Black-76 of a thousand options"
            )
        agent = build_agent(_config_in(Path(folder) / "phases"), parse_arguments([*simulated]))
        print_phases(agent, iterations, DECISION_SECONDS)


def _decisions_per_second(config: AgentConfig, iterations: int, *arguments: str) -> float:
    """Iterations of an hour with the rule-based policy, logs written; the agent's start is not counted."""
    agent = build_agent(config, parse_arguments([*arguments]))
    _decide(agent, WARM_UP)
    started = process_time()
    _decide(agent, iterations)
    return iterations / (process_time() - started)


def _decide(agent: Agent, iterations: int) -> None:
    for _ in range(iterations):
        run_iteration(agent)
        agent.clock.wait_for_next(DECISION_SECONDS)


def long_run(iterations: int, *how: str) -> None:
    """Simulated iterations: speed, memory at tenths of the run and, on the wire, requests of a steady iteration."""
    with tempfile.TemporaryDirectory() as folder:
        agent = build_agent(_config_in(Path(folder)), parse_arguments(["--market", "simulated", *how]))
        requests: Counter[int] = Counter()
        failed, started = 0, process_time()
        for number in range(1, iterations + 1):
            record = run_iteration(agent)
            failed += record.error is not None
            if record.executed_status == "none" and not record.ledger:
                requests[record.request_count or 0] += 1
            if number % max(1, iterations // 10) == 0:
                print(f"  {number:>7} iterations, {record.timestamp:%Y-%m-%d}, memory {_resident_mib():.0f} MiB")
                _forget_logs(Path(folder))
            agent.clock.wait_for_next(300.0)
        each_ms = (process_time() - started) / iterations * 1000.0
        where = "on the wire" if "--wire" in how else "in process"
        print(f"{iterations} simulated iterations {where}: {each_ms:.1f} ms CPU each, {failed} failed")
        if "--wire" in how:
            print(f"requests in an iteration without a trade: {dict(sorted(requests.items()))}")


def _config_in(folder: Path, record_chains: bool = False) -> AgentConfig:
    run = {"log_dir": folder / "logs", "data_dir": folder, "record_chains": record_chains}
    return load_config(env_file=None, overrides={"run": run})


def _forget_logs(folder: Path) -> None:
    """A long run writes gigabytes; they are not what is measured."""
    for path in (folder / "logs").glob("decisions-*.jsonl"):
        path.unlink()


def _resident_mib() -> float:
    """Memory that the process holds now; its peak where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    return pages * resource.getpagesize() / 2.0**20


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Speed figures of the agent.")
    parser.add_argument("--iterations", type=int, default=2000, help="length of the long runs (default 2000)")
    parser.add_argument("--long-only", action="store_true", help="the long run in process alone")
    chosen = parser.parse_args()
    if chosen.long_only:
        long_run(chosen.iterations)
        sys.exit()
    help_time()
    state_ratio()
    chain_sizes()
    decisions(DECISIONS)
    recorded_months()
    historical_years()
    replays(3_000, 8_640)
    learning()
    long_run(chosen.iterations)
    long_run(chosen.iterations, "--wire")
