"""Six months of recorded chains of both coins, decided and traded from the files on disk.

In: the recordings beside the project. Out: one line: CPU seconds from the files to the last decision, and those of
gunzip and json.loads of the same bytes alone. Reads disk, writes logs into a folder that is thrown away.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from time import process_time

from agent_loop import run_iteration
from cli.arguments import parse_arguments
from cli.setup import build_agent
from config import PROJECT_FOLDER, load_config

CHAINS = PROJECT_FOLDER.parent / "shared" / "market_data" / "chains"
SIX_HOURS_SECONDS = 21_600.0


def recorded_months() -> None:
    """Nothing where the recordings are not beside the project."""
    if not CHAINS.is_dir():
        print(f"recorded months: left out, there is no {CHAINS}")
        return
    plain_seconds = _plain_seconds()
    with tempfile.TemporaryDirectory() as folder:
        config = load_config(
            env_file=None, overrides={"run": {"log_dir": Path(folder) / "logs", "data_dir": Path(folder)}}
        )
        started = process_time()
        agent = build_agent(config, parse_arguments(["--market", "recorded", "--recording", str(CHAINS)]))
        read_seconds = process_time() - started
        decisions = 1
        run_iteration(agent)
        while agent.clock.wait_for_next(SIX_HOURS_SECONDS):
            run_iteration(agent)
            decisions += 1
        seconds = process_time() - started
    print(f"recorded months: {decisions} decisions in {seconds:.1f} s CPU, {read_seconds:.1f} s of it before the first")
    print(f"gunzip and json.loads of the same files: {plain_seconds:.1f} s CPU, ratio {seconds / plain_seconds:.1f}")


def _plain_seconds() -> float:
    started = process_time()
    for path in sorted(CHAINS.glob("*.jsonl.gz")):
        with gzip.open(path) as lines:
            for line in lines:
                json.loads(line)
    return process_time() - started
