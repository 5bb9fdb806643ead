"""`python -m backtest.shadow LOGS`: what the shadows of a log would have done, and what would have come of it.

In: decision logs (a folder, a file or a pattern). Out: coverage, agreement, where they differ and why, what each would
have made beside holding, the rule-based and a random policy. Sends no order and asks no model. Exit codes: 0 done, 2
the command line or the log is wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from backtest.refusals import WRONG_INPUT, refused
from backtest.replay.read_aloud import log_read_aloud, prices_of, settings_read_aloud
from backtest.shadow.compared import compared
from backtest.shadow.money import made_by_all
from backtest.shadow.text import report_lines
from cli.arguments import Parser
from config import ENV_FILE, load_config
from policy_rule_based import decide_action


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        log = log_read_aloud(options.logs)
        settings = settings_read_aloud(log)
        prices = prices_of(log, options.delivery_prices)
        cutoff = load_config(ENV_FILE).llm.training_cutoff
    except WRONG_INPUT as error:
        return refused("shadow", error)
    found = compared(log.points, settings, decide_action)
    for line in report_lines(found, len(log.points), made_by_all(found, prices), cutoff):
        print(line)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m backtest.shadow",
        description="What the shadow policies of a log would have done. Sends no order, asks no model.",
    )
    parser.add_argument("logs", help="decision logs: a folder, a file or a pattern")
    parser.add_argument("--delivery-prices", type=Path, metavar="PATH", help="settlement prices (csv) the log lacks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
