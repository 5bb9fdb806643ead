"""The agent's own client and loop against an exchange on a loopback socket, for rows in which the wire is the point.

In: a folder, perhaps a TLS context. Out: a Bench. Agent and exchange share one clock, which runs `SPEED` times as
fast as the wall (so that back-offs and deadlines cost little) and can leap.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import agent_loop
from cli import assembly
from cli.arguments import parse_arguments
from cli.assembly import Agent
from deribit_client import DeribitClient
from logging_utils import read_records
from models import AgentError, OrderReceipt, OrderRequest
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.market import Quote
from tests.builders.clocks import LeapClock
from tests.builders.configs import KEY, loose_config
from tests.builders.paper import CALL, START, ScriptedMarket
from tests.campaign.live.bent_server import BentServer

SPEED = 20.0
LABEL = "cc-260105120000-abcdef-sell"
POLICY = "tests.campaign.kills.child"


@dataclass
class Bench:
    """An agent and the exchange it talks to over a socket."""

    agent: Agent
    server: BentServer
    market: ScriptedMarket

    @property
    def account(self) -> PaperAccount:
        return self.server.exchange.account

    def leap(self, seconds: float) -> None:
        assert isinstance(self.market.clock, LeapClock)
        self.market.clock.leap(seconds)

    def ask(self, method: str) -> object:
        """One of the READS, through the agent's client."""
        client = self.agent.client
        reads: Mapping[str, Callable[[], object]] = {
            "public/get_time": client.get_time,
            "public/get_index_price": lambda: client.get_index_price("BTC"),
            "private/get_open_orders": client.get_open_orders,
            "private/get_positions": client.get_positions,
        }
        return reads[method]()

    def authenticate(self) -> None:
        """Get the token now, so that it is not among the requests that are looked at."""
        assert isinstance(self.agent.client, DeribitClient)
        self.agent.client.authenticate()

    def sell(self, price_coin: float = 0.021) -> OrderReceipt:
        """Offer one call; above the bid of 0.02, so that it rests."""
        self.market.show(CALL, 0.02, 0.025)
        request = OrderRequest(
            label=LABEL,
            symbol=CALL,
            direction="sell",
            amount_coin=0.1,
            price_coin=price_coin,
            quoted_at=self.agent.client.server_now(),
        )
        return self.agent.client.place_limit_order(request)

    def order_lines(self, event: str) -> list[dict[str, object]]:
        lines = read_records(self.agent.config.run.log_dir / "orders-*.jsonl")
        return [line for line in lines if line["event"] == event]


class FreshMarket(ScriptedMarket):
    """Quotes are as new as the question, however fast the clock runs."""

    def quote(self, name: str) -> Quote | None:
        shown = super().quote(name)
        return None if shown is None else replace(shown, timestamp_ms=self.now_ms)

    def quotes(self, currency: str) -> Sequence[Quote]:
        return [replace(shown, timestamp_ms=self.now_ms) for shown in super().quotes(currency)]


def scripted_exchange(speed: float = SPEED, balance_btc: float = 10.0) -> tuple[PaperExchange, ScriptedMarket]:
    """An exchange with one call for sale, whose clock runs."""
    market = FreshMarket()
    market.clock = LeapClock(START, speed)
    market.show(CALL, 0.02, 0.025)
    return PaperExchange(market, PaperAccount(market, {"BTC": balance_btc, "ETH": 100.0}), KEY), market


@contextmanager
def bench(folder: Path, tls: ssl.SSLContext | None = None) -> Iterator[Bench]:
    """Everything running, on one clock."""
    exchange, market = scripted_exchange()
    with BentServer(exchange, tls).running() as server:
        config = loose_config(server.url, folder, POLICY)
        agent = assembly.assemble_agent(config, None, market.clock)
        with closing(agent.client):
            yield Bench(agent, server, market)


def ends_with(agent: Agent) -> int | None:
    """The exit code that one iteration of the loop leaves with; None where it just goes on."""
    with open(os.devnull, "w") as nowhere, patch("sys.stdout", nowhere):  # noqa: PTH123 - a stream, not a file
        try:
            agent_loop.run_loop(agent, parse_arguments(["--iterations", "1", "--quiet"]))
        except AgentError as error:
            return error.exit_code
    return None
