"""An agent on a scripted market, in this process: for rows in which the exchange is not the point.

In: a folder, a policy, a start. Out: a Desk; its clock moves by sleeping, its files are real. No sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import agent_loop
from cli import assembly
from cli.assembly import Agent
from config import AgentConfig
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.names import option_name
from paper_exchange.transport import PaperTransport
from tests.builders.configs import KEY, loose_config
from tests.builders.paper import START, ScriptedMarket

POLICY = "tests.campaign.kills.child"
QUIET = "tests.campaign.world.quiet_policy"


@dataclass
class Desk:
    """The agent, its market and its account."""

    agent: Agent
    market: ScriptedMarket
    account: PaperAccount
    symbol: str

    def iterate(self) -> None:
        """One iteration on fresh quotes, and the wait after it."""
        self.market.show(self.symbol, 0.02, 0.025)
        agent_loop.run_iteration(self.agent)
        self.agent.clock.sleep(self.agent.config.run.interval_seconds)

    def own_orders(self) -> list[str]:
        return [order.label for order in self.account.open_orders() if order.label.startswith("cc-")]


def desk_at(folder: Path, policy: str = POLICY, start: datetime = START, config: AgentConfig | None = None) -> Desk:
    """A fresh account with one call for sale, eleven days before it expires."""
    market = ScriptedMarket(start)
    expires_at = (start + timedelta(days=11)).replace(hour=8, minute=0, second=0, microsecond=0)
    symbol = option_name("BTC", round(expires_at.timestamp() * 1000), 100_000.0, is_call=True)
    market.show(symbol, 0.02, 0.025)
    account = PaperAccount(market, {"BTC": 10.0, "ETH": 100.0})
    transport = PaperTransport(PaperExchange(market, account, KEY))
    used = config_in(folder, policy) if config is None else config
    agent = assembly.assemble_agent(used, transport, market.clock)
    return Desk(agent, market, account, symbol)


def config_in(folder: Path, policy: str = QUIET) -> AgentConfig:
    return loose_config("http://127.0.0.1:9", folder, policy)


def link_to(target: str) -> Callable[[Path], None]:
    """A way to make a file that is a link to somewhere."""
    return lambda path: path.symlink_to(target)
