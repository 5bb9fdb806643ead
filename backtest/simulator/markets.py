"""From the command line's files and dates to a market, as every run takes it.

In: options of `python -m backtest.run`. Out: a MakeSetup and the Period. Files of a historical market are read once
and shared by all runs. Reads disk; raises ConfigurationError, RecordingError and SurfaceError with a clear sentence.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backtest.historical.files import HistoryData, read_history
from backtest.historical.setup import historical_setup
from backtest.simulator.simulation import MakeSetup, Period
from backtest.surface.coefficients import SHIPPED, read_surfaces
from models import ConfigurationError
from paper_exchange.market.clocks import HOUR_MS, RecordedClock, from_ms
from paper_exchange.setups import SIMULATION_START, Setup, recorded_setup, simulated_setup

SIMULATED_DAYS = 90
WARM_DAYS = 60  # slow means of the surface need so much before the first decision
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """The options that name a market and a period, the same for every command."""
    data = parser.add_argument_group("on which data")
    data.add_argument("--recording", type=Path, metavar="PATH", help="recorded chains, a file or a folder")
    data.add_argument("--candles", type=Path, metavar="PATH", help="hourly candles (csv)")
    data.add_argument("--dvol", type=Path, metavar="PATH", help="DVOL (csv), for a historical market")
    data.add_argument("--delivery-prices", type=Path, metavar="PATH", help="delivery prices (csv)")
    data.add_argument("--surface", type=Path, metavar="FILE", help="fitted coefficients of a historical market")
    data.add_argument("--start", metavar="DATE", help="first day, UTC")
    data.add_argument("--end", metavar="DATE", help="last moment, UTC")
    data.add_argument("--weekdays", metavar="DAYS", help="decide on these days alone, such as fri or mon,thu")


def market_of(options: argparse.Namespace) -> tuple[MakeSetup, Period]:
    """The market that the options name, and the period on it."""
    asked = Period(_day(options.start), _day(options.end), _weekdays(options.weekdays))
    if options.recording is not None:
        return _recorded(options.recording, options.candles, options.delivery_prices), asked
    if options.candles is not None or options.dvol is not None:
        return _historical(options, asked)
    if options.delivery_prices is not None:
        raise ConfigurationError("--delivery-prices goes with --recording, or with --candles and --dvol")
    end = asked.end or (asked.start or SIMULATION_START) + timedelta(days=SIMULATED_DAYS)
    return simulated_setup, replace(asked, end=end)


def end_of(setup: Setup, period: Period) -> datetime | None:
    """When a run will end, for those who wait for it."""
    clock = setup.clock
    last = clock.ends_at if isinstance(clock, RecordedClock) else None
    known = [moment for moment in (last, period.end) if moment is not None]
    return min(known, default=None)


def _recorded(recording: Path, candles: Path | None, delivery_prices: Path | None) -> MakeSetup:
    def make(_seed: int, coins: Mapping[str, float]) -> Setup:
        return recorded_setup(recording, coins, candles, delivery_prices)

    return make


def _historical(options: argparse.Namespace, asked: Period) -> tuple[MakeSetup, Period]:
    if options.candles is None or options.dvol is None:
        raise ConfigurationError("a historical market needs both --candles and --dvol")
    data = read_history(options.candles, options.dvol, options.delivery_prices)
    surfaces = read_surfaces(SHIPPED if options.surface is None else options.surface)
    first, last = _span(data)
    start, end = asked.start or first + timedelta(days=WARM_DAYS), asked.end or last
    if not first <= start < min(end, last):
        raise ConfigurationError(
            f"the period is empty: {start:%Y-%m-%d} to {end:%Y-%m-%d}, "
            f"the data go from {first:%Y-%m-%d} to {last:%Y-%m-%d}"
        )
    end = min(end, last)

    def make(seed: int, coins: Mapping[str, float]) -> Setup:
        held = {coin: amount for coin, amount in coins.items() if coin in data.coins}
        return historical_setup(data, start, end, held, surfaces, seed)

    return make, replace(asked, start=start, end=end)


def _span(data: HistoryData) -> tuple[datetime, datetime]:
    """From when to when all coins have candles and DVOL."""
    first_ms = [max(data.candles[coin][0].opened_at_ms, _dvol_ms(data, coin)[0]) for coin in data.coins]
    last_ms = [min(data.candles[coin][-1].opened_at_ms + HOUR_MS, _dvol_ms(data, coin)[1]) for coin in data.coins]
    return from_ms(max(first_ms)), from_ms(min(last_ms))


def _dvol_ms(data: HistoryData, coin: str) -> tuple[int, int]:
    bars = [series for series in (data.hours(coin), data.days(coin)) if series]
    return min(series[0].opened_at_ms for series in bars), max(series[-1].opened_at_ms for series in bars)


def _day(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text!r} is not a date such as 2026-03-31") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _weekdays(text: str | None) -> tuple[int, ...]:
    names = [] if text is None else [name.strip().lower() for name in text.split(",")]
    unknown = [name for name in names if name not in WEEKDAYS]
    if unknown:
        raise ConfigurationError(f"{unknown[0]!r} is not one of {', '.join(WEEKDAYS)}")
    return tuple(WEEKDAYS.index(name) for name in names)
