"""The catalogue rows that need a real process, a real socket or a real file, by their ids.

In: nothing. Out: SCENARIOS, each a function of a seed and an empty folder that raises AssertionError where the agent
does not do what the row demands. `run_row` runs one in a folder of its own; the campaign counts them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.campaign.live.log_rows import LOG_SCENARIOS
from tests.campaign.live.process_rows_live import LIVE_SCENARIOS
from tests.campaign.live.run_rows import RUN_SCENARIOS
from tests.campaign.live.wire_rows import WIRE_SCENARIOS

SCENARIOS: dict[str, Callable[[int, Path], None]] = {
    **WIRE_SCENARIOS,
    **LIVE_SCENARIOS,
    **LOG_SCENARIOS,
    **RUN_SCENARIOS,
}


def run_row(row: str, seed: int) -> None:
    """One scenario in a temporary folder; raises what the scenario raises."""
    with tempfile.TemporaryDirectory(prefix=f"{row.lower()}-") as folder:
        SCENARIOS[row](seed, Path(folder))
