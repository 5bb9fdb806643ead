"""The client in process against the client on the wire: runs through either are equal, and a defect in one shows.

100 iterations each; `BOTH_WAYS_ITERATIONS=500 python -m pytest tests/paper_exchange/test_in_process.py` runs more.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from config import AgentConfig
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from paper_exchange.market.clocks import SimulatedClock
from paper_exchange.market.expiries import MarketSize
from paper_exchange.setups import SIMULATION_START, Setup, recorded_setup
from paper_exchange.simulated.market import SimulatedMarket
from paper_exchange.transport import PaperTransport
from policies.call import Policy
from policy_rule_based import decide_action
from tests.builders.configs import a_config
from tests.builders.planted import DEFECTS, Defect, settlement_an_hour_late
from tests.builders.two_clients import MakeSetup, Side, first_difference, in_process, on_the_wire, random_actions

ITERATIONS = int(os.environ.get("BOTH_WAYS_ITERATIONS", "100"))
MOST_TO_CATCH_A_DEFECT = 200
COINS_HELD = {"BTC": 1.0, "ETH": 10.0}
HOURS = 3_600.0
EAGER = a_config(btc={"ivrv_min": 0.0}, eth={"ivrv_min": 0.0})  # so that it trades often
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "market_data"
needs_chains = pytest.mark.skipif(not SHARED.exists(), reason="the recorded chains are not here")


def simulated() -> Setup:
    """Fewer options than usual, so that a hundred iterations take seconds."""
    market = SimulatedMarket(3, SimulatedClock(SIMULATION_START), size=MarketSize(8, strikes_per_side=5))
    exchange = PaperExchange(market, PaperAccount(market, COINS_HELD))
    return Setup(PaperTransport(exchange), market.clock, exchange)


def recorded() -> Setup:
    return recorded_setup(SHARED / "chains", COINS_HELD, SHARED / "spot", SHARED / "settlement")


def both_sides(make_setup: MakeSetup, policy: Policy, config: AgentConfig = EAGER) -> tuple[Side, Side]:
    return on_the_wire(make_setup, config, policy), in_process(make_setup, config, policy)


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

# Calls so cheap that the cap of the fee binds, near their end, and held until they are delivered.
CHEAP = {"ivrv_min": 0.0, "delta_min": 0.001, "delta_max": 0.1, "premium_min_usd": 0.0, "max_spread_pct": 200.0}
NEAR = {"dte_min": 0.0, "dte_max": 1.5, "roll_dte_days": 0.0}
EVERY_RULE_BINDS = a_config(btc=CHEAP | NEAR, eth=CHEAP | NEAR)
SIMULATED_RUNS = {
    "simulated, a quarter of an hour": (simulated, decide_action, HOURS / 4.0),
    "simulated, seven hours": (simulated, decide_action, 7.0 * HOURS),
    "whatever is proposed": (simulated, random_actions(1), 2.0 * HOURS),
}


# A recording takes seconds to read, so there one place must do; and no chain was recorded in the hour after a delivery.
PLANTED = [(run, defect, place) for run in SIMULATED_RUNS for defect in DEFECTS for place in ("wire", "process")]
PLANTED_IN_A_RECORDING = [defect for defect in DEFECTS if defect is not settlement_an_hour_late]


@pytest.mark.parametrize(("run", "defect", "place"), PLANTED)
def test_a_defect_in_one_client_is_seen_by_every_run(run: str, defect: Defect, place: str) -> None:
    make_setup, policy, interval_seconds = SIMULATED_RUNS[run]
    wire, process = both_sides(make_setup, policy, EVERY_RULE_BINDS)
    side = wire if place == "wire" else process
    side.defect = defect
    assert first_difference(wire, process, MOST_TO_CATCH_A_DEFECT, interval_seconds) is not None


@needs_chains
@pytest.mark.parametrize("defect", PLANTED_IN_A_RECORDING)
def test_a_defect_in_one_client_is_seen_by_a_recorded_run(defect: Defect) -> None:
    wire, process = both_sides(recorded, decide_action, EVERY_RULE_BINDS)
    wire.defect = defect
    assert first_difference(wire, process, MOST_TO_CATCH_A_DEFECT, 0.0) is not None
