"""Plays many random episodes in the engine and in the vector environment: python -m tests.backtest.vector [EPISODES]

In: how many (1,000 unless told), and the first (0): a run that was broken off goes on there. Out: a line a group of
episodes, every difference, and exit code 1 where there is one. Groups take the named settings in turn, and every second
one settings of its own, drawn; markets, lengths and actions are drawn from the number of the group alone. Run by hand:
about ten minutes of CPU for 1,000.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from time import process_time

import numpy as np

from tests.backtest.vector.cases import CASES, Case, drawn_case
from tests.backtest.vector.comparing import differences

TOGETHER = 25  # engines in memory at once
SHORTEST, LONGEST = 8, 32  # steps of an episode


def main(episodes: int, first: int) -> int:
    """The exit code."""
    found = 0
    for begin in range(first, first + episodes, TOGETHER):
        found += _play(begin // TOGETHER, begin, min(TOGETHER, first + episodes - begin))
    return 1 if found else 0


def _play(number: int, begin: int, count: int) -> int:
    """One group of episodes under the same settings; how many differences there are."""
    dice = np.random.default_rng(number)
    name, case = _case_of(number, dice)
    steps, seeds = int(dice.integers(SHORTEST, LONGEST + 1)), dice.integers(2**31, size=TOGETHER)[:count].tolist()
    started = process_time()
    with tempfile.TemporaryDirectory() as folder:
        unequal = list(differences(case, seeds, steps, dice_seed=number, folder=Path(folder)))
    taken = process_time() - started
    print(
        f"episodes {begin} to {begin + count - 1}, {steps} steps of {case.step_hours:g} hours, {name}: "
        f"{len(unequal)} differences, {taken:.0f} s CPU",
        flush=True,
    )
    for sentence in unequal[:5]:
        print(f"  {sentence}", flush=True)
    return len(unequal)


def _case_of(number: int, dice: np.random.Generator) -> tuple[str, Case]:
    if number % 2 == 1:
        return "settings drawn", drawn_case(dice)
    name = list(CASES)[number // 2 % len(CASES)]
    return name, CASES[name]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The vector environment held against the engine.")
    parser.add_argument("episodes", nargs="?", type=int, default=1_000, help="how many (default 1000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one (default 0)")
    chosen = parser.parse_args()
    sys.exit(main(chosen.episodes, chosen.first))
