"""The command line: its options, and what contradicts itself. Standard library only, so that --help answers at once.

In: words. Out: an argparse.Namespace, or the end of the process with code 2 and the nearest option. What was typed
behind an option nobody knows is never repeated: it may be a key.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import Any, NoReturn

from core.text import wrapped

VERSION = "1.0"
STOPPED_AT_ONCE = 130  # the exit code after a signal that left no time to end in order, as of any other command


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends the process with code 2 where it contradicts itself."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.market == "recorded") != (options.recording is not None):
        parser.error("--market recorded and --recording PATH go together")
    if options.once and options.iterations is not None:
        parser.error("--once and --iterations contradict each other")
    if options.wire and options.market is None:
        parser.error("--wire goes with --market: without it everything goes over the wire")
    if options.market != "recorded" and (options.candles or options.delivery_prices):
        parser.error("--candles and --delivery-prices go with --market recorded")
    if options.with_order and not options.check:
        parser.error("--with-order goes with --check")
    if options.with_order and (options.market is not None or options.dry_run):
        parser.error("--with-order sends an order to testnet or this machine's own exchange: nowhere else")
    if options.profiles is not None:
        _check_training(parser, options)
    return options


def _check_training(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Training trades on paper accounts of its own."""
    if options.mode is not None or options.shadow:
        parser.error("--profiles takes no --mode and no --shadow: each profile is a set of settings")
    if options.wire or options.record_chains:
        parser.error("--profiles takes no --wire and no --record-chains")
    if options.check or options.status or options.report:
        parser.error("--profiles runs; look at one profile with --log-dir logs/NAME")


class Parser(argparse.ArgumentParser):
    """Exits with 2 and names the nearest option for one it does not know: the parser of every command."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._typed = [*(sys.argv[1:] if args is None else args)]
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        unknown: list[str] = []
        if "unrecognized" in message:  # what was typed behind an option nobody knows may be a key
            unknown = [word.partition("=")[0] for word in message.split() if word.startswith("-")]
        elif "are required" in message:  # perhaps because one was misspelt
            names = [word.partition("=")[0] for word in self._typed if word.startswith("--")]
            unknown = [name for name in names if not self._begins_an_option(name)]
        if unknown or "unrecognized" in message:
            message = "unrecognized arguments: " + (" ".join(unknown) or "words that are not options")
        nearest = difflib.get_close_matches(unknown[0], self._option_string_actions, 1, 0.3) if unknown else []
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        self.exit(2, wrapped(f"{self.prog.split()[-1]}: {message}{hint}") + "\n(--help lists all options)\n")

    def _begins_an_option(self, name: str) -> bool:
        """Where options may be shortened, their beginning is enough."""
        return any(option.startswith(name) for option in self._option_string_actions)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python agent_loop.py",
        allow_abbrev=False,
        description="Sells covered calls on BTC and ETH on Deribit testnet. Experimental, not financial advice.",
        epilog="Without options it trades on testnet and needs a key in .env. Settings: see .env.example.",
    )
    _add_markets(parser)
    _add_pace(parser)
    _add_files(parser)
    _add_looks(parser)
    return parser


def _add_markets(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("what to run against (default: testnet, with orders)")
    where.add_argument("--dry-run", action="store_true", help="testnet quotes, paper account: no key, no order leaves")
    where.add_argument("--market", choices=("simulated", "recorded"), help="no network: simulated or recorded chains")
    where.add_argument("--wire", action="store_true", help="ask the market over HTTP and JSON, not in process")
    where.add_argument("--recording", type=_path, metavar="PATH", help="chain file or folder for --market recorded")
    where.add_argument("--candles", type=_path, metavar="PATH", help="hourly candles (csv) for --market recorded")
    where.add_argument(
        "--delivery-prices", type=_path, metavar="PATH", help="delivery prices (csv) for --market recorded"
    )


def _add_pace(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how long and how")
    how.add_argument("--once", action="store_true", help="one iteration, then stop (exit code 1 if it failed)")
    how.add_argument("--iterations", type=_positive_int, metavar="N", help="stop after N iterations")
    how.add_argument(
        "--interval",
        type=_seconds,
        metavar="SECONDS",
        help="time between iterations, 30 (loopback: 1) to 86400",
    )
    how.add_argument("--policy", metavar="MODULE", help="module with decide_action (default policy_rule_based)")
    how.add_argument("--mode", metavar="NAME", help="settings to start from: research (default) or production")
    how.add_argument("--shadow", action="append", default=[], metavar="MODULE", help="policy that watches; repeatable")
    how.add_argument(
        "--profiles", type=_names, metavar="A,B", help="train: a paper account a profile, on one reading of the market"
    )
    how.add_argument("--seed", type=_whole, metavar="N", help="seed of exploration and of the simulated market")
    how.add_argument("--resume", action="store_true", help="go on after a halt, once you have looked at the logs")
    how.add_argument("--quiet", action="store_true", help="print decisions, and at the end what was earned")


def _add_files(parser: argparse.ArgumentParser) -> None:
    files = parser.add_argument_group("files")
    files.add_argument("--log-dir", type=_path, metavar="DIR", help="default logs/ (logs/simulated/, logs/recorded/)")
    files.add_argument("--data-dir", type=_path, metavar="DIR", help="default data/ (data/simulated/, data/recorded/)")
    files.add_argument("--record-chains", action="store_true", help="write every chain read to <data-dir>/chains")


def _add_looks(parser: argparse.ArgumentParser) -> None:
    look = parser.add_argument_group("look without running")
    look.add_argument(
        "--check", action="store_true", help="try everything an iteration asks for, a line each; no order"
    )
    look.add_argument(
        "--with-order", action="store_true", help="with --check: send one far test order, move it, take it back"
    )
    look.add_argument("--status", action="store_true", help="what the last log line says")
    look.add_argument("--report", action="store_true", help="what the logs say was earned, against holding the coins")
    look.add_argument("--version", action="version", version=f"covered-call agent {VERSION}")


def _path(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    try:
        return Path(text).expanduser()  # a shell leaves the ~ of --log-dir=~/logs alone
    except RuntimeError:
        raise argparse.ArgumentTypeError("begins with ~, but that home folder is not known") from None


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError("must be different names with commas between them")
    return names


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a whole number") from None


def _positive_int(text: str) -> int:
    if not (text.strip().removeprefix("-").isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    if int(text) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a number of seconds") from None
