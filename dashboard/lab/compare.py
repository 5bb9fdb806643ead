"""The first decision in which two runs differ, in the words of `backtest.run --compare`.

In: two folders of results. Out: its sentences. Starts one short process: research stays out of this one.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from config import PROJECT_FOLDER

TIMEOUT_SECONDS = 30.0


def comparison_of_runs(first: Path, second: Path) -> str:
    """Why there is nothing to say, where there is not."""
    argv = [sys.executable, "-m", "backtest.run", "--compare", str(first), str(second)]
    try:
        found = subprocess.run(
            argv, cwd=PROJECT_FOLDER, capture_output=True, timeout=TIMEOUT_SECONDS, check=False, text=True
        )
    except subprocess.TimeoutExpired:
        return f"the comparison took longer than {TIMEOUT_SECONDS:.0f} s"
    return (
        (found.stdout or found.stderr).replace(f"{first}", first.parent.name).replace(f"{second}", second.parent.name)
    )
