"""A simulation adds up, ends in order, and says in a sentence what was wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import pytest

from backtest.historical.setup import historical_setup, setup_by_clock
from backtest.simulator.exits import CallStyle
from backtest.simulator.presets import PRESETS, hold_the_coins
from backtest.simulator.result import SimulationResult
from backtest.simulator.simulation import CoveredCallSimulator, NamedPolicy, Period
from backtest.surface.coefficients import read_surfaces
from config import AgentConfig
from models import ActionType, AgentState, ConfigurationError, ProposedAction
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, RecordedClock
from paper_exchange.market.market import DeliveryPrice
from paper_exchange.recorded.files import RecordingError
from paper_exchange.setups import recorded_setup, simulated_setup
from tests.backtest.simulator.runs import a_config, a_simulation, days_later, thirty_days
from tests.backtest.surface.histories import START, a_history, ms


def test_the_parts_add_up_to_the_change_of_equity() -> None:
    for coin in thirty_days().coins:
        found = coin.earnings
        parts = (found.premium_coin, found.bought_back_coin, found.settled_coin, found.fees_coin, found.open_value_coin)
        assert found.premium_coin > 0.0
        assert math.fsum(parts) == pytest.approx(found.equity_last_coin - found.equity_first_coin, abs=1e-9)
        in_usd = math.fsum(part * (found.spot_last_usd or 0.0) for part in parts)
        assert in_usd == pytest.approx(found.net_usd, abs=1e-6)


def test_calls_and_chains_come_to_the_same_sum() -> None:
    for coin in thirty_days().coins:
        net_coin = coin.earnings.net_coin
        assert math.fsum(call.pnl_coin or 0.0 for call in coin.calls) == pytest.approx(net_coin, abs=1e-9)
        assert math.fsum(chain.pnl_coin or 0.0 for chain in coin.chains) == pytest.approx(net_coin, abs=1e-9)
        assert any(chain.rolls for chain in coin.chains)


def test_the_attribution_adds_up_and_leaves_little_unexplained() -> None:
    for coin in thirty_days().coins:
        why = coin.attribution
        assert why.total_coin == pytest.approx(coin.earnings.net_coin, abs=1e-9)
        assert why.fees_coin == pytest.approx(coin.earnings.fees_coin, abs=1e-12)
        assert why.time_coin > 0.0 > why.execution_coin
        largest = max(abs(getattr(why, field.name)) for field in fields(why))
        assert abs(why.residual_coin) < 0.1 * largest


def test_the_equity_ends_where_the_sums_end() -> None:
    for coin in thirty_days().coins:
        assert coin.equity[-1].equity_coin == coin.earnings.equity_last_coin
        assert len(coin.equity) == len(thirty_days().decisions)
        assert 0.0 < coin.drawdown_fraction < 0.1


def test_holding_earns_nothing_and_is_never_covered() -> None:
    result = a_simulation(hold_the_coins, days=3.0).run()
    for coin in result.coins:
        assert coin.earnings.net_coin == 0.0
        assert coin.earnings.uncovered_fraction == 1.0
        assert coin.chains == ()


def test_the_same_seed_gives_the_same_result() -> None:
    assert a_simulation(days=5.0).run() == a_simulation(days=5.0).run()


def test_a_stopped_run_keeps_what_is_done() -> None:
    simulation = a_simulation(days=15.0)
    result = simulation.run(lambda _, done: simulation.stop() if done == 5 else None)
    assert len(result.decisions) == 5
    assert result.warnings == ("ended early: stopped by hand",)
    assert result.coins[0].earnings.premium_coin > 0.0


def test_a_policy_that_always_raises_leaves_a_result_that_says_so() -> None:
    def broken(agent_state: AgentState, config: AgentConfig) -> ProposedAction:
        raise ValueError("no idea")

    result = a_simulation(broken, days=2.0).run()
    said = " ".join(result.warnings)
    assert "decisions failed between 2026-01-05 12:00 and 2026-01-07 12:00, the last one: policy_error: " in said
    assert "ValueError: no idea (test_simulation.py:" in said
    assert result.coins[0].earnings.net_coin == 0.0


def test_a_failure_cannot_write_to_a_terminal_by_itself() -> None:
    def red(agent_state: AgentState, config: AgentConfig) -> ProposedAction:
        raise ValueError("\x1b[31mred")

    assert "\x1b" not in " ".join(a_simulation(red, days=1.0).run().warnings)


def test_actions_that_the_risk_engine_refused_are_counted_with_their_rules() -> None:
    def greedy(agent_state: AgentState, config: AgentConfig) -> ProposedAction:
        action = ActionType.OPEN_COVERED_CALL
        return ProposedAction(type=action, underlying="BTC", symbol="BTC-9JAN26-1-C", size=5.0, reason="all in")

    result = a_simulation(greedy, days=1.0).run()
    assert result.warnings == ("5 of 5 decisions were refused, the last one by the risk rules symbol_not_in_state",)


def test_filters_that_nothing_passes_are_told_about() -> None:
    config = a_config()
    strict = {name: getattr(config, name).model_copy(update={"premium_min_usd": 1e6}) for name in ("btc", "eth")}
    result = a_simulation(days=2.0, config=config.model_copy(update=strict)).run()
    assert "no call ever passed the filters" in " ".join(result.warnings)


def test_a_period_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the period is empty"):
        Period(days_later(1.0), days_later(0.0))


def test_a_period_before_the_data_is_refused() -> None:
    early = Period(end=days_later(-10.0))
    with pytest.raises(ConfigurationError, match="the data begin at 2026-01-05"):
        CoveredCallSimulator(a_config(), simulated_setup, NamedPolicy("p", hold_the_coins), early).run()


def test_a_recording_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "chains"
    simulation = CoveredCallSimulator(
        a_config(), lambda _, coins: recorded_setup(missing, coins, None, None), NamedPolicy("p", hold_the_coins)
    )
    with pytest.raises(RecordingError, match="no such file or folder"):
        simulation.run()


def over_a_gap(delivery_prices: dict[tuple[str, int], DeliveryPrice]) -> SimulationResult:
    """Twelve days, of which five have no candles: twenty decisions that fail."""
    whole = a_history(days=100)
    gap = range(ms(START, days=2), ms(START, days=7))
    candles = {coin: [bar for bar in bars if bar.opened_at_ms not in gap] for coin, bars in whole.candles.items()}
    data = replace(whole, candles=candles, delivery_prices=delivery_prices)
    end = START + timedelta(days=12)
    return CoveredCallSimulator(
        a_config(),
        lambda seed, coins: historical_setup(data, START, end, coins, seed=seed),
        NamedPolicy("p", CallStyle(0.2)),
    ).run()


def test_a_gap_in_the_data_is_passed_over_and_told_about() -> None:
    first_ms = ms(START) - 4 * HOUR_MS  # 08:00 of the first day
    prices = {("BTC", first_ms + day * DAY_MS): DeliveryPrice(79_000.0, is_approximate=False) for day in range(13)}
    prices |= {("ETH", first_ms + day * DAY_MS): DeliveryPrice(2_400.0, is_approximate=False) for day in range(13)}
    result = over_a_gap(prices)
    said = " ".join(result.warnings)
    assert "of 48 decisions failed between 2026-" in said
    assert "the last one: the data have no quotes there" in said
    assert "approximate" not in said
    late = [chain.opened_at for coin in result.coins for chain in coin.chains]
    assert any(opened_at is not None and opened_at > START + timedelta(days=7) for opened_at in late)
    assert all(abs(coin.earnings.unexplained_coin) < 1e-9 for coin in result.coins)


def simulator_on_moments(days: Sequence[float], period: Period) -> CoveredCallSimulator:
    """Decisions where a recording would wake the agent."""
    data, wakes = a_history(days=100), [ms(START, days=day) for day in days]
    return CoveredCallSimulator(
        a_config(),
        lambda seed, coins: setup_by_clock(data, RecordedClock(wakes), coins, read_surfaces(), seed),
        NamedPolicy("p", hold_the_coins),
        period,
    )


def on_moments(days: Sequence[float], period: Period) -> SimulationResult:
    return simulator_on_moments(days, period).run()


def test_days_without_a_snapshot_are_named() -> None:
    result = on_moments([0.0, 0.25, 0.5, 5.0, 5.25], Period(START, START + timedelta(days=6)))
    assert result.warnings[0] == "the data have no quotes from 2026-03-21 00:00 to 2026-03-25 12:00"
    assert len(result.decisions) == 5


def test_data_that_begin_late_or_end_early_are_named() -> None:
    days = [0.25 * quarter for quarter in range(8)]
    late = on_moments(days, Period(START - timedelta(days=4), START + timedelta(days=1)))
    assert late.warnings[0] == "the data have no quotes from 2026-03-16 12:00 to 2026-03-20 12:00"
    early = on_moments(days, Period(START, START + timedelta(days=9)))
    assert early.warnings[0] == "the data have no quotes from 2026-03-22 06:00 to 2026-03-29 12:00"
    assert on_moments(days, Period(START, START + timedelta(days=2))).notes == ()


def test_a_second_run_names_its_own_gaps_alone() -> None:
    simulator = simulator_on_moments([0.0, 3.0], Period())
    assert simulator.run().notes == simulator.run().notes
    assert len(simulator.run().notes) == 1


def test_of_many_gaps_three_are_named() -> None:
    notes = on_moments([3.0 * number for number in range(7)], Period()).notes
    assert len(notes) == 4
    assert notes[-1] == "and 3 more gaps of the data"


def test_calls_that_were_settled_at_an_approximate_price_are_counted() -> None:
    data, end = a_history(days=100), START + timedelta(days=9)
    result = CoveredCallSimulator(
        a_config(),
        lambda seed, coins: historical_setup(data, START, end, coins, seed=seed),
        NamedPolicy("p", CallStyle(0.2)),
    ).run()
    settled = sum(call.exit in ("expired", "settled") for coin in result.coins for call in coin.calls)
    assert settled > 0
    said = f"{settled} of {settled} expired calls were settled at an approximate price; --delivery-prices brings the"
    assert said in " ".join(result.warnings)


def test_a_call_that_expired_in_a_gap_without_a_price_is_named() -> None:
    result = over_a_gap({})
    assert result.unsettled == ("BTC-24MAR26-80000-C", "ETH-24MAR26-2525-C")
    assert "BTC-24MAR26-80000-C, ETH-24MAR26-2525-C: expired in a gap of the data" in " ".join(result.warnings)


def test_decisions_are_made_on_the_days_asked_for_alone() -> None:
    fridays = Period(end=days_later(15.0), weekdays=(4,))
    named = NamedPolicy("p", hold_the_coins)
    result = CoveredCallSimulator(a_config(), simulated_setup, named, fridays).run()
    assert {decision.at.weekday() for decision in result.decisions[1:]} == {4}


def test_a_period_begins_where_it_says() -> None:
    named, later = NamedPolicy("p", hold_the_coins), Period(days_later(3.0), days_later(4.0))
    result = CoveredCallSimulator(a_config(), simulated_setup, named, later).run()
    assert result.started_at is not None
    assert abs(result.started_at - days_later(3.0)) < timedelta(seconds=1)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_runs_and_all_but_holding_sell(preset: object) -> None:
    found = next(item for item in PRESETS if item is preset)
    result = a_simulation(found.decide, days=10.0, config=found.settings(a_config())).run()
    sold = sum(coin.earnings.sold for coin in result.coins)
    assert (sold > 0) == (found.name != "holding")
    assert result.warnings == () or found.name == "holding"
