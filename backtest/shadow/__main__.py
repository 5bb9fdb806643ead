"""`python -m backtest.shadow LOGS`: what the shadows of a log would have done, and what would have come of it.

In: decision logs (a folder, a file or a pattern). Out: coverage, agreement, where they differ and why, what each would
have made beside holding, the rule-based and a random policy. Sends no order and asks no model. Exit codes: 0 done, 2
the command line or the log is wrong.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from backtest.replay.logged import Log, read_log, settings_of
from backtest.replay.settled import delivery_prices_from, settlement_prices
from backtest.shadow.compared import compared
from backtest.shadow.money import made_by_all
from backtest.shadow.text import report_lines
from config import ENV_FILE, AgentConfig, load_config
from core.text import wrapped
from models import ConfigurationError
from paper_exchange.recorded.files import RecordingError
from policy_rule_based import decide_action


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        config = load_config(ENV_FILE)
        log = _read(options.logs)
        given = {} if options.delivery_prices is None else delivery_prices_from(options.delivery_prices)
    except FileNotFoundError as error:
        return _refused(f"{error.filename}: {error.strerror}")
    except (ConfigurationError, RecordingError) as error:
        return _refused(str(error))
    found = compared(log.points, _settings_by_run(log, config), decide_action)
    made = made_by_all(found, settlement_prices(log.ledger, log.points, given))
    for line in report_lines(found, len(log.points), made, config.llm.training_cutoff):
        print(line)
    return 0


def _read(pattern: str) -> Log:
    """Raises ConfigurationError where there is no state in it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        log = read_log(pattern)
    for sentence in dict.fromkeys(str(warning.message) for warning in caught):
        print(wrapped(sentence))
    if not log.points:
        raise ConfigurationError(f"{pattern} holds no decision with a state")
    return log


def _settings_by_run(log: Log, config: AgentConfig) -> dict[str, AgentConfig]:
    return {run_id: settings_of(points, config, None)[0] for run_id, points in log.runs.items()}


def _refused(why: str) -> int:
    print(wrapped(f"backtest.shadow: {why}"), file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m backtest.shadow",
        description="What the shadow policies of a log would have done. Sends no order, asks no model.",
    )
    parser.add_argument("logs", help="decision logs: a folder, a file or a pattern")
    parser.add_argument("--delivery-prices", type=Path, metavar="PATH", help="settlement prices (csv) the log lacks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
