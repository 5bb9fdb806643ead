"""The three ways to run without sending an order to Deribit: simulated, recorded, dry run.

In: files, seed, coins to start with. Out: an httpx transport for the agent's client and the clock that goes with it.
The dry run keeps its account in a file; simulated and recorded runs start afresh each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock
from paper_exchange.market.market import Market, MarketClock
from paper_exchange.recorded.market import RecordedMarket
from paper_exchange.simulated.market import SimulatedMarket
from paper_exchange.storage import load_account, save_account
from paper_exchange.testnet.market import TestnetMarket
from paper_exchange.transport import DryRunTransport, PaperTransport

SIMULATION_START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Setup:
    """What the agent's client needs, and the exchange behind it."""

    transport: httpx.BaseTransport
    clock: MarketClock
    exchange: PaperExchange

    @property
    def account(self) -> PaperAccount:
        """The account that private calls are about."""
        return self.exchange.account

    @property
    def currencies(self) -> tuple[str, ...]:
        """The coins there are quotes for."""
        return self.exchange.market.currencies


def simulated_setup(seed: int, balances_coin: Mapping[str, float], start: datetime = SIMULATION_START) -> Setup:
    """A fresh account on a market drawn from a seed."""
    market = SimulatedMarket(seed, SimulatedClock(start))
    return _in_process(market, balances_coin)


def recorded_setup(
    recording: Path,
    balances_coin: Mapping[str, float],
    candles: Path | None,
    delivery_prices: Path | None,
    columns_folder: Path | None = None,
) -> Setup:
    """A fresh account on recorded chains, with the recorded coins alone. Raises RecordingError.

    `columns_folder`: where parsed chains are kept for the next time.
    """
    market = RecordedMarket(recording, None, candles, delivery_prices, columns_folder)
    return _in_process(market, {coin: amount for coin, amount in balances_coin.items() if coin in market.currencies})


def dry_run_setup(
    account_file: Path,
    balances_coin: Mapping[str, float],
    clock: MarketClock,
    network: httpx.BaseTransport,
    keeps_account: bool = True,
) -> Setup:
    """Testnet's quotes through `network`, private calls to the account in the file. Raises PaperAccountFileError.

    Without `keeps_account` the file is read but never written.
    """
    market = TestnetMarket(clock)
    account = load_account(account_file, market, balances_coin)
    save = (lambda changed: save_account(account_file, changed)) if keeps_account else None
    exchange = PaperExchange(market, account, on_change=save)
    return Setup(DryRunTransport(exchange, network), clock, exchange)


def _in_process(market: Market, balances_coin: Mapping[str, float]) -> Setup:
    exchange = PaperExchange(market, PaperAccount(market, balances_coin))
    return Setup(PaperTransport(exchange), market.clock, exchange)
