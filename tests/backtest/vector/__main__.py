"""Plays many random episodes in the engine and in the vector environment: python -m tests.backtest.vector [EPISODES]

In: how many (1,000 unless told). Out: a line a set of settings, every difference, and exit code 1 where there is one.
Run by hand: an hour of CPU for 1,000.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.backtest.vector.comparing import CASES, differences

STEPS = 20
TOGETHER = 25  # engines in memory at once


def main(episodes: int) -> int:
    """The exit code."""
    found = played = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(-(-episodes // (TOGETHER * len(CASES)))):
            for place, (name, case) in enumerate(CASES.items()):
                seeds = range(1 + played, 1 + min(played + TOGETHER, episodes))
                if len(seeds) == 0:
                    break
                unequal = list(differences(case, seeds, STEPS, dice_seed=100 * number + place, folder=Path(folder)))
                played, found = played + len(seeds), found + len(unequal)
                print(f"{played:5} episodes of {STEPS} steps, {name}: {len(unequal)} differences", flush=True)
                for sentence in unequal[:5]:
                    print(f"  {sentence}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000))
