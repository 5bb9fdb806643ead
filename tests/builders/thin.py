"""A market with testnet's thin books, and an agent on it: the simulated market with its bids taken away.

In: a folder for the run's files, settings by section. Out: a desk whose `market` shows a bid only where a test puts one
(prices in coin). The clock moves by sleeping; quotes are always of this moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock
from paper_exchange.market.market import Quote
from paper_exchange.setups import SIMULATION_START
from paper_exchange.simulated.market import SimulatedMarket
from tests.builders.agent import Desk, desk_on
from tests.builders.configs import agent_config

THIN = {"require_bid": False}


class ThinMarket(SimulatedMarket):
    """Nobody bids for anything, but for `bids_coin`; marks can be moved by `mark_factors`."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed, SimulatedClock(SIMULATION_START))
        self.bids_coin: dict[str, float] = {}
        self.mark_factors: dict[str, float] = {}

    def quote(self, name: str) -> Quote | None:
        quote = super().quote(name)
        return None if quote is None else self._thinned(quote)

    mark = quote

    def quotes(self, currency: str) -> Sequence[Quote]:
        return [self._thinned(quote) for quote in super().quotes(currency)]

    def _thinned(self, quote: Quote) -> Quote:
        mark_coin = quote.mark_coin * self.mark_factors.get(quote.name, 1.0)
        return replace(quote, bid_coin=self.bids_coin.get(quote.name), bid_amount=None, mark_coin=mark_coin)


@dataclass
class ThinDesk(Desk):
    """A desk on thin books."""

    market: ThinMarket = field(default_factory=ThinMarket)


def thin_desk(folder: Path, **sections: Mapping[str, Any]) -> ThinDesk:
    """1 BTC and 10 ETH, nobody bids, and no bid is required."""
    market = ThinMarket()
    exchange = PaperExchange(market, PaperAccount(market, {"BTC": 1.0, "ETH": 10.0}))
    config = agent_config(folder, **{**sections, "risk": {**THIN, **sections.get("risk", {})}})
    desk = desk_on(exchange, config)
    return ThinDesk(desk.config, exchange, desk.wire, desk.client, desk.order_log, market)
