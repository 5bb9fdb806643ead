"""The market context is the same wherever a state is made: over the wire, in process, in a backtest, read from a log.

One seeded past of 420 days (closes, DVOL, a modelled chain) is shown in every way there is. The figures that follow
from closes and DVOL alone are computed here once more, with numpy, from the bars themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from backtest.historical.files import HistoryData
from backtest.historical.setup import historical_setup
from backtest.simulator.simulation import CoveredCallSimulator, NamedPolicy, Period
from cli.endings import write_lines
from cli.recorder import Recorder
from config import AgentConfig
from core.context.regimes import last_regime
from logging_utils import IterationRecord
from models import ActionType, AgentState, MarketSnapshot, ProposedAction
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, to_ms
from paper_exchange.setups import Setup, simulated_setup
from policies.call import Policy
from tests.backtest.simulator.runs import SIX_HOURS_SECONDS, a_config
from tests.backtest.surface.histories import FIRST_DAY, a_history
from tests.builders.two_clients import RUN, Side, in_process, on_the_wire

DAYS = 420
START = FIRST_DAY + timedelta(days=400, hours=12)
ITERATIONS = 5
COINS: Mapping[str, float] = {"BTC": 1.0, "ETH": 10.0}
CONTEXT = (
    *("return_1d_fraction", "return_7d_fraction", "return_30d_fraction", "rv_7d_fraction", "rv_30d_fraction"),
    *("rv_7d_range_fraction", "rv_30d_range_fraction", "iv_rank_fraction", "term_slope_fraction"),
    *("skew_25d_fraction", "regime"),
)
Seen = list[tuple[datetime, tuple[MarketSnapshot, ...]]]


@lru_cache(maxsize=1)
def the_past() -> HistoryData:
    return a_history(days=DAYS)


def historical(balances_coin: Mapping[str, float] = COINS) -> Setup:
    return historical_setup(the_past(), START, None, balances_coin)


def simulated() -> Setup:
    return simulated_setup(1, COINS)


def watching(seen: Seen) -> Policy:
    """A policy that keeps what it was shown, and wants nothing."""

    def decide_action(state: AgentState, _config: AgentConfig) -> ProposedAction:
        seen.append((state.timestamp, state.markets))
        return ProposedAction(type=ActionType.DO_NOTHING, reason="watching")

    return decide_action


def seen_by(make_side: Callable[..., Side], make_setup: Callable[[], Setup]) -> Seen:
    seen: Seen = []
    side = make_side(make_setup, a_config(), watching(seen))
    assert len(list(side.iterations(ITERATIONS, SIX_HOURS_SECONDS))) == ITERATIONS
    return seen


def seen_in_a_backtest() -> Seen:
    seen: Seen = []
    period = Period(end=START + (ITERATIONS - 1) * timedelta(seconds=SIX_HOURS_SECONDS))
    policy = NamedPolicy("watching", watching(seen))
    CoveredCallSimulator(a_config(), lambda _seed, balances: historical(balances), policy, period).run()
    return seen


class KeptLog:
    """A decision log in memory."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write_line(self, text: str) -> None:
        self.lines.append(text)


def seen_in_a_log() -> Seen:
    """Lines of a run over the wire, read back."""
    side, log = on_the_wire(historical, a_config(), watching([])), KeptLog()
    side.agent.recorder = Recorder(log, RUN)
    for _ in side.iterations(ITERATIONS, SIX_HOURS_SECONDS):
        write_lines(side.agent)
    states = [IterationRecord.model_validate_json(line).agent_state for line in log.lines]
    return [(state.timestamp, state.markets) for state in states if state is not None]


def test_the_same_past_gives_the_same_context_live_in_process_in_a_backtest_and_from_a_log() -> None:
    live = seen_by(on_the_wire, historical)
    assert len(live) == ITERATIONS
    assert seen_by(in_process, historical) == live
    assert seen_in_a_backtest() == live
    assert seen_in_a_log() == live
    known = {name for _, markets in live for market in markets for name in CONTEXT if getattr(market, name) is not None}
    assert known == set(CONTEXT)  # else it would be the same everywhere for want of data


def test_a_simulated_market_gives_the_same_context_over_the_wire_and_in_process() -> None:
    live = seen_by(on_the_wire, simulated)
    assert seen_by(in_process, simulated) == live
    assert {market.regime for _, markets in live for market in markets} == {None}  # its past is a month and a half
    assert all("regime" in {reason.rule for reason in market.unknown} for _, markets in live for market in markets)


@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_what_follows_from_closes_and_dvol_is_what_numpy_makes_of_the_bars(coin: str) -> None:
    for at, markets in seen_by(in_process, historical):
        market = next(market for market in markets if market.underlying == coin)
        wanted = computed_anew(coin, at)
        for name, value in wanted.items():
            assert getattr(market, name) == pytest.approx(value, rel=1e-12), name
        assert market.regime == regime_of(coin, at, market.spot_usd)


def computed_anew(coin: str, at: datetime) -> dict[str, Any]:
    """From the bars that were over by then."""
    bars = [bar for bar in the_past().candles[coin] if bar.opened_at_ms + HOUR_MS <= to_ms(at)]
    closes = np.array([bar.close for bar in bars])
    returns = np.diff(np.log(closes))
    dvol = [bar.close for bar in the_past().dvol[coin, DAY_MS] if bar.opened_at_ms + DAY_MS <= to_ms(at)][-365:]
    now = [bar.close for bar in the_past().dvol[coin, HOUR_MS] if bar.opened_at_ms + HOUR_MS <= to_ms(at)][-1]
    lowest, highest = min(*dvol, now), max(*dvol, now)
    return {
        "return_1d_fraction": closes[-1] / closes[-1 - 24] - 1.0,
        "return_7d_fraction": closes[-1] / closes[-1 - 24 * 7] - 1.0,
        "rv_7d_fraction": float(np.sqrt(np.mean(returns[-24 * 7 :] ** 2) * 24 * 365)),
        "iv_rank_fraction": (now - lowest) / (highest - lowest),
    }


def regime_of(coin: str, at: datetime, spot_usd: float) -> str:
    """By the closes of the 364 days before, and the price now."""
    midnight_ms = to_ms(at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0))
    hours = {bar.opened_at_ms + HOUR_MS: bar.close for bar in the_past().candles[coin]}
    days = [hours[midnight_ms - number * DAY_MS] for number in reversed(range(364))]
    return last_regime([*days, spot_usd])
