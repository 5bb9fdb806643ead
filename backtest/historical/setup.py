"""A fresh account on a historical market, as the agent's client and the environment take it.

In: files, a period, a seed, coins to start with. Out: the Setup that simulated and recorded runs have too. Reads disk;
raises RecordingError and SurfaceError.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from backtest.historical.files import HistoryData
from backtest.historical.market import HistoricalClock, HistoricalMarket
from backtest.surface.coefficients import SurfaceBook, read_surfaces
from backtest.surface.correction import Corrections
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.market import MarketClock
from paper_exchange.setups import Setup
from paper_exchange.transport import PaperTransport


def historical_setup(
    data: HistoryData,
    start: datetime,
    end: datetime | None,
    balances_coin: Mapping[str, float],
    surfaces: SurfaceBook | None = None,
    seed: int = 1,
    corrections: Mapping[str, Corrections] | None = None,
    alternative: int = 0,
) -> Setup:
    """The agent loop, the environment and the simulator run on this as on any other source of quotes."""
    book = read_surfaces() if surfaces is None else surfaces
    return setup_by_clock(data, HistoricalClock(start, end), balances_coin, book, seed, corrections, alternative)


def setup_by_clock(
    data: HistoryData,
    clock: MarketClock,
    balances_coin: Mapping[str, float],
    surfaces: SurfaceBook,
    seed: int = 1,
    corrections: Mapping[str, Corrections] | None = None,
    alternative: int = 0,
) -> Setup:
    """The same by any clock, such as one that wakes at the snapshots of a recording."""
    market = HistoricalMarket(data, clock, surfaces, seed, corrections, alternative)
    exchange = PaperExchange(market, PaperAccount(market, balances_coin))
    return Setup(PaperTransport(exchange), market.clock, exchange)
