"""The client in process against the client on the wire: runs through either are equal, and a defect in one shows.

100 iterations each; `BOTH_WAYS_ITERATIONS=500 python -m pytest tests/paper_exchange/test_in_process.py` runs more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core import pricing
from paper_exchange.account import books, margins, settlement, valuation
from paper_exchange.account.account import PaperAccount
from paper_exchange.account.books import Books
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import HOUR_MS, SimulatedClock
from paper_exchange.market.expiries import MarketSize
from paper_exchange.setups import SIMULATION_START, Setup, recorded_setup
from paper_exchange.simulated.market import SimulatedMarket
from paper_exchange.transport import PaperTransport
from policies.call import Policy
from policy_rule_based import decide_action
from tests.builders.configs import a_config
from tests.builders.two_clients import MakeSetup, Side, first_difference, in_process, on_the_wire, random_actions
from tests.campaign.defects.defects import replaced

ITERATIONS = int(os.environ.get("BOTH_WAYS_ITERATIONS", "100"))
MOST_TO_CATCH_A_DEFECT = 200
COINS_HELD = {"BTC": 1.0, "ETH": 10.0}
HOURS = 3_600.0
EAGER = a_config(btc={"ivrv_min": 0.0}, eth={"ivrv_min": 0.0})  # so that it trades often
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "market_data"
needs_chains = pytest.mark.skipif(not SHARED.exists(), reason="the recorded chains are not here")

Defect = Callable[[], AbstractContextManager[None]]


def simulated() -> Setup:
    """Fewer options than usual, so that a hundred iterations take seconds."""
    market = SimulatedMarket(3, SimulatedClock(SIMULATION_START), size=MarketSize(8, strikes_per_side=5))
    exchange = PaperExchange(market, PaperAccount(market, COINS_HELD))
    return Setup(PaperTransport(exchange), market.clock, exchange)


def recorded() -> Setup:
    return recorded_setup(SHARED / "chains", COINS_HELD, SHARED / "spot", SHARED / "settlement")


def both_sides(make_setup: MakeSetup, policy: Policy) -> tuple[Side, Side]:
    return on_the_wire(make_setup, EAGER, policy), in_process(make_setup, EAGER, policy)


# --- the same run -----------------------------------------------------------------


@pytest.mark.parametrize("hours", [1.0 / 12.0, 8.0])
def test_a_simulated_run_is_the_same_through_either_client(hours: float) -> None:
    wire, process = both_sides(simulated, decide_action)
    assert first_difference(wire, process, ITERATIONS, hours * HOURS) is None


@needs_chains
def test_a_recorded_run_is_the_same_through_either_client() -> None:
    wire, process = both_sides(recorded, decide_action)
    assert first_difference(wire, process, ITERATIONS, 0.0) is None


def test_whatever_is_proposed_comes_to_the_same_through_either_client() -> None:
    wire, process = both_sides(simulated, random_actions(2))
    assert first_difference(wire, process, ITERATIONS, 2.0 * HOURS) is None


# --- a defect in one of the two -------------------------------------------------------


@contextmanager
def fee_without_a_cap() -> Iterator[None]:
    uncapped = {**vars(pricing), "trade_fee_coin": lambda price, amount: pricing.TRADE_FEE_COIN * amount}
    with replaced(books, pricing=SimpleNamespace(**uncapped)):
        yield


@contextmanager
def margin_too_large() -> Iterator[None]:
    right = margins.position_initial_margin_coin
    with replaced(valuation, position_initial_margin_coin=lambda *figures: 1.1 * right(*figures)):
        yield


@contextmanager
def settlement_an_hour_late() -> Iterator[None]:
    right = settlement.expired_positions
    with replaced(settlement, expired_positions=lambda account, now_ms: right(account, now_ms - HOUR_MS)):
        yield


@contextmanager
def fills_at_mid() -> Iterator[None]:
    right = Books.book_fill

    def at_mid(self: Books, order: Any, amount: float, price_coin: float, liquidity: Any) -> None:
        quote = self.market.quote(order.instrument_name)
        assert quote is not None
        both = quote.bid_coin is not None and quote.ask_coin is not None
        mid_coin = ((quote.bid_coin or 0.0) + (quote.ask_coin or 0.0)) / 2.0
        right(self, order, amount, mid_coin if both else price_coin, liquidity)

    with replaced(Books, book_fill=at_mid):
        yield


DEFECTS: list[Defect] = [fee_without_a_cap, margin_too_large, settlement_an_hour_late, fills_at_mid]


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_in_one_client_is_seen(defect: Defect) -> None:
    wire, process = both_sides(simulated, random_actions(1))
    process.defect = defect
    assert first_difference(wire, process, MOST_TO_CATCH_A_DEFECT, 2.0 * HOURS) is not None
