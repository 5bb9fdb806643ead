"""What a replay costs: decisions a CPU-second from the lines of a log, and the seconds of an answer after a save.

In: a number of decisions. Out: lines of figures, measured on the log of a simulated run that is repeated until it is
long enough; a run of each copy, so that nothing is decided twice as one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, process_time

from agent_loop import run_iteration
from backtest.replay.again import decide_again
from backtest.replay.logged import Log, read_log
from backtest.replay.policy_watch import PolicyWatch
from backtest.replay.settings import settings_of
from cli.arguments import parse_arguments
from cli.setup import build_agent
from config import AgentConfig, load_config

SIX_HOURS = 21_600.0
SIMULATED = 1_000
ROUNDS = 5


def replays(*lengths: int) -> None:
    """A line a length: reading and deciding, and deciding again on states that are kept."""
    with tempfile.TemporaryDirectory() as folder:
        config, lines = _simulated_lines(Path(folder))
        for length in lengths:
            log = Path(folder) / f"{length}.jsonl"
            log.write_bytes(b"".join(_repeated(lines, length)))
            _replay(log, config)


def _simulated_lines(folder: Path) -> tuple[AgentConfig, list[bytes]]:
    run = {"log_dir": folder / "logs", "data_dir": folder, "interval_seconds": SIX_HOURS}
    config = load_config(env_file=None, overrides={"run": run})
    agent = build_agent(config, parse_arguments(["--market", "simulated"]))
    for _ in range(SIMULATED):
        run_iteration(agent)
        agent.clock.wait_for_next(SIX_HOURS)
    files = sorted((folder / "logs").glob("decisions-*.jsonl"))
    return config, [line for path in files for line in path.read_bytes().splitlines(keepends=True)]


def _repeated(lines: list[bytes], length: int) -> Iterator[bytes]:
    for number in range(length):
        run = b"simulated-%04d" % (number // len(lines) + 1)
        yield lines[number % len(lines)].replace(b"simulated-0001", run)


def _replay(path: Path, config: AgentConfig) -> None:
    fastest_seconds = min(_from_lines_seconds(path, config) for _ in range(ROUNDS))
    log = read_log(path)
    settings = {run_id: settings_of(points, config, None)[0] for run_id, points in log.runs.items()}
    answers = [_answer_seconds(log, settings) for _ in range(ROUNDS)]
    length = len(log.points)
    print(
        f"replay: {length} decisions from lines of {path.stat().st_size / length / 1000.0:.0f} kB: "
        f"{length / fastest_seconds:.0f} a CPU-second; answer after a save in {min(answers)[0]:.1f} to "
        f"{max(answers)[0]:.1f} s, {min(answers)[1]:.1f} of CPU"
    )


def _from_lines_seconds(path: Path, config: AgentConfig) -> float:
    """CPU from the file to the answer, settings made out on the way."""
    started = process_time()
    log = read_log(path)
    settings = {run_id: settings_of(points, config, None)[0] for run_id, points in log.runs.items()}
    replay = decide_again(log, PolicyWatch("policy_rule_based").load()[0], settings)
    taken = process_time() - started
    assert replay.decided == len(log.points)
    assert not replay.changes
    return taken


def _answer_seconds(log: Log, settings: dict[str, AgentConfig]) -> tuple[float, float]:
    """Wall time, as a person waits for it, and the CPU in it."""
    started, cpu_started = monotonic(), process_time()
    decide_again(log, PolicyWatch("policy_rule_based").load()[0], settings)
    return monotonic() - started, process_time() - cpu_started
