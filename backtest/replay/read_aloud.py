"""What a command reads before it works on a log: the log, the settings of its runs, settlement prices.

In: what stands on the command line. Out: the same as objects; what is odd about them is printed, in sentences. Raises
ConfigurationError, RecordingError or FileNotFoundError where nothing can be done with them.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from backtest.replay.logged import Log, read_log
from backtest.replay.settings import settings_of_runs
from backtest.replay.settled import PricesOfRuns, delivery_prices_from, prices_of_runs
from config import AgentConfig
from core.text import wrapped
from models import ConfigurationError


def log_read_aloud(pattern: str) -> Log:
    """The log, its warnings as plain sentences; raises ConfigurationError where it holds no state."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        log = read_log(pattern)
    for sentence in dict.fromkeys(str(warning.message) for warning in caught):
        _say(sentence)
    if not log.points:
        raise ConfigurationError(f"{pattern} holds no decision with a state")
    if log.without_state:
        _say(f"{log.without_state} lines have no state (their iteration failed) and are left out")
    return log


def settings_read_aloud(log: Log, interval_seconds: float | None = None) -> dict[str, AgentConfig]:
    """By run, with a word on those that were decided with other settings."""
    found, strange = settings_of_runs(log, interval_seconds)
    if strange:
        runs = strange[0] if len(strange) == 1 else f"{len(strange)} runs"
        _say(f"{runs}: decided with settings that are not those of today; some changes may come from that")
    return found


def prices_of(log: Log, delivery_prices: Path | None) -> PricesOfRuns:
    """What the log knows, and what a file knows beside it."""
    given = {} if delivery_prices is None else delivery_prices_from(delivery_prices)
    return prices_of_runs(log, given)


def _say(sentence: str) -> None:
    print(wrapped(sentence), flush=True)
