"""`python -m backtest.evaluate LOGS --policy my_policy`: what an edited policy would have made on the log's decisions.

In: decision logs, or a folder of backtest.training_data (whose logs are read); the name of a policy. Out: its value and
the change against what was done, exact where the settlement is known, weighted or refused with reasons elsewhere.
Exit codes: 0 answered, 1 the log cannot say, 2 the command line, a log or the policy is wrong. No network.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from backtest.evaluate.considered import Considered, considered
from backtest.evaluate.estimates import Evaluation, evaluate
from backtest.evaluate.text import evaluation_lines
from backtest.refusals import WRONG_INPUT, refused
from backtest.replay.read_aloud import log_read_aloud, prices_of, settings_read_aloud
from backtest.report.files import write_whole
from backtest.training_data.files import LINES
from cli.arguments import Parser
from cli.policy_file import load_policy
from models import ConfigurationError
from policies.call import Policy


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate and print; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        policy, _ = load_policy(options.policy)
        points: list[Considered] = []
        states = 0
        for source in _logs_of(options.logs):
            found, read = _points_of(source, policy, options)
            points += found
            states += read
    except WRONG_INPUT as error:
        return refused("evaluate", error)
    if len(points) < 2:
        why = f"{states} states, and {len(points)} with more than one action that is allowed: 2 are needed"
        return refused("evaluate", why)
    found_all = evaluate(points)
    for line in evaluation_lines(found_all, Path(options.policy).stem, states):
        print(line)
    if options.json is not None:
        _write(found_all, options.json)
    return 0 if found_all.is_answered else 1


def _logs_of(names: Iterable[str]) -> Iterator[str]:
    """Logs as they are; of training data the logs that it was made of, because a policy needs whole states."""
    for name in names:
        table = Path(name) / LINES if Path(name).is_dir() else Path(name)
        if table.name != LINES or not table.is_file():
            yield name
            continue
        try:
            sources = dict.fromkeys(json.loads(line)["source"] for line in table.read_text("utf-8").splitlines())
        except (ValueError, KeyError, TypeError):
            raise ConfigurationError(f"{table} is not the file of backtest.training_data, or was cut off") from None
        yield from sources


def _points_of(source: str, policy: Policy, options: argparse.Namespace) -> tuple[list[Considered], int]:
    log = log_read_aloud(source)
    settings, prices = settings_read_aloud(log, options.interval), prices_of(log, options.delivery_prices)
    return list(considered(source, log, policy, settings, prices)), len(log.points)


def _write(found: Evaluation, path: Path) -> None:
    """JSON has no NaN: an error that is not known is null."""
    text = json.dumps(asdict(found), indent=1).replace(": NaN", ": null")
    write_whole(path, text + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m backtest.evaluate",
        description="What an edited policy would have made on the decisions of a log. Sends no order.",
    )
    parser.add_argument("logs", nargs="+", help="decision logs (folders, files, patterns), or training data")
    parser.add_argument("--policy", required=True, metavar="MODULE", help="the edited policy")
    parser.add_argument("--delivery-prices", type=Path, metavar="PATH", help="settlement prices (csv) the logs lack")
    parser.add_argument("--interval", type=float, metavar="SECONDS", help="interval of the logs, where it is not seen")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
