"""`python -m paper_exchange --port 8700`: a simulated Deribit on this machine, for any client.

In: the command line. Out: one line with the address on stdout, then replies until Ctrl-C or SIGTERM (exit code 0).
Exit code 2 with one line on stderr when the command line is wrong or the port is taken. The market is drawn from
the seed; its time starts at `--start` and runs with the wall clock, `--speed` times as fast.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from paper_exchange.account.account import DEFAULT_BALANCES_COIN, PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import RunningClock
from paper_exchange.server import PaperServer
from paper_exchange.simulated.market import SimulatedMarket

CATCH_UP_SECONDS = 0.25
DEFAULT_START = "2026-01-05T12:00:00+00:00"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        server = PaperServer(_exchange(options), options.host, options.port)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        print(f"paper_exchange: cannot listen on {options.host}:{options.port}: {reason}", file=sys.stderr)
        return 2
    asked_to_stop: list[int] = []  # no threading.Event: a handler that sets one can wait for its own thread for ever
    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, lambda number, _: asked_to_stop.append(number))
    server.start()
    print(f"Simulated Deribit at {server.url}/api/v2 (seed {options.seed}). Ctrl-C stops it.", flush=True)
    while not asked_to_stop:
        time.sleep(CATCH_UP_SECONDS)
        server.catch_up()
    server.stop()
    return 0


def _exchange(options: argparse.Namespace) -> PaperExchange:
    clock = RunningClock(options.start, wall=time.monotonic, wall_sleep=time.sleep, speed=options.speed)
    market = SimulatedMarket(seed=options.seed, clock=clock)
    account = PaperAccount(market, {"BTC": options.btc, "ETH": options.eth})
    return PaperExchange(market, account, options.key, speed=options.speed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m paper_exchange", description="A simulated Deribit on this machine.", allow_abbrev=False
    )
    parser.add_argument("--port", type=_port, default=8700, help="port to listen on, 0 for any (default 8700)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--seed", type=int, default=1, help="draws the market (default 1)")
    parser.add_argument("--start", type=_moment, default=_moment(DEFAULT_START), help="market time, ISO 8601")
    parser.add_argument(
        "--speed", type=_positive, default=1.0, help="market seconds per second (the agent needs 1, the default)"
    )
    parser.add_argument("--key", type=_key, help="ID:SECRET, the only key accepted (default: any)")
    for currency, coins in DEFAULT_BALANCES_COIN.items():
        parser.add_argument(
            f"--{currency.lower()}", type=_coins, default=coins, help=f"{currency} to start with (default {coins:g})"
        )
    return parser


# --- reading options -------------------------------------------------------------


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 <= int(text) <= 65_535):
        raise argparse.ArgumentTypeError("must be a whole number from 0 to 65535")
    return int(text)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a time such as {DEFAULT_START}") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def _coins(text: str) -> float:
    value = float(text)
    if not 0.0 <= value < math.inf:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def _key(text: str) -> tuple[str, str]:
    client_id, _, client_secret = text.partition(":")
    if client_id == "" or client_secret == "":
        raise argparse.ArgumentTypeError("must be ID:SECRET")
    return client_id, client_secret


if __name__ == "__main__":
    sys.exit(main())
