"""The agent's own process against `python -m paper_exchange`, both ended in the middle of an order as a person would.

The market is simulated, the sockets, signals, files and seconds are real. Orders rest some seconds at each price, so
that the signal finds one; no test waits that long. What the exchange knows is asked over HTTP.
"""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from config import PROJECT_FOLDER
from logging_utils import read_orders
from tests.builders.configs import KEY
from tests.campaign.live.agent_process import Start, folder_arguments, run_to_the_end, started, wait_until

# Shorter than the waits that the process's clock leaps over, longer than a signal takes.
RESTS_LONG = {"AGENT_ORDER_WAIT_SECONDS": "9", "AGENT_ORDER_PRICE_STEPS": "6", "ETH_ENABLED": "false"}


@dataclass(frozen=True)
class Exchange:
    """The exchange's process, asked as the agent's account. `url` ends before the path."""

    url: str

    def ask(self, method: str, **parameters: object) -> Any:
        found = httpx.get(f"{self.url}/api/v2/{method}", params=parameters, auth=KEY, trust_env=False)  # type: ignore[arg-type]
        return found.raise_for_status().json()["result"]

    def resting(self) -> list[str]:
        return [order["label"] for order in self.ask("private/get_open_orders")]

    def sold_coin(self) -> float:
        return -math.fsum(position["size"] for position in self.ask("private/get_positions", currency="BTC"))

    def sent(self) -> list[str]:
        """The label of every order there ever was."""
        over = self.ask("private/get_order_history_by_currency", currency="BTC", count=1000, include_unfilled="true")
        return [order["label"] for order in over] + self.resting()


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    command = [sys.executable, "-m", "paper_exchange", "--port", "0", "--key", ":".join(KEY)]
    with subprocess.Popen(command, cwd=PROJECT_FOLDER, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Exchange(process.stdout.readline().split()[3].removesuffix("/api/v2"))
        finally:
            process.terminate()


def start_in(folder: Path, exchange: Exchange, *arguments: str) -> Start:
    return Start(folder, exchange.url, (*folder_arguments(folder), *arguments), RESTS_LONG)


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_an_order_rests_takes_it_back_and_ends_in_order(
    exchange: Exchange, tmp_path: Path, name: signal.Signals
) -> None:
    with started(start_in(tmp_path, exchange)) as agent:
        wait_until(lambda: bool(exchange.resting()), "an order rests")
        agent.send(name)
        assert agent.wait() == 0, agent.err
        assert ("stopped after 1 iterations" in agent.out, agent.err) == (True, "")
    assert (exchange.resting(), exchange.sold_coin(), len(exchange.sent())) == ([], 0.0, 1)


def test_what_rests_after_a_kill_is_cancelled_by_the_next_start_and_nothing_is_sent_twice(
    exchange: Exchange, tmp_path: Path
) -> None:
    with started(start_in(tmp_path, exchange)) as agent:
        wait_until(lambda: bool(exchange.resting()), "an order rests")
        agent.send(signal.SIGKILL)
        assert agent.wait() == -signal.SIGKILL
    left = exchange.resting()
    code, _, err = run_to_the_end(
        start_in(tmp_path, exchange, "--once", "--policy", "tests.campaign.world.quiet_policy")
    )
    assert (code, "Traceback" in err) == (0, False), err
    assert (len(left), exchange.resting(), exchange.sold_coin(), exchange.sent()) == (1, [], 0.0, left)
    orders = read_orders(tmp_path / "logs/orders-*.jsonl")
    assert list(orders[orders.event == "intent"].label) == left
