"""From the command line's files and dates to a market, as every run takes it.

In: options of `python -m backtest.run`. Out: Markets: a MakeSetup, the Period, other quotes of the same time. Files of
a historical market are read once and shared by all runs. Reads disk; raises ConfigurationError, RecordingError and
SurfaceError with a clear sentence.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path

from backtest.historical.files import HistoryData, read_history, read_trades
from backtest.historical.market import HistoricalClock
from backtest.historical.setup import setup_by_clock
from backtest.simulator.other_coin import refuse_another_coin, refuse_swapped_candles
from backtest.simulator.simulation import MakeSetup, Period
from backtest.surface.chains import read_chain_rows
from backtest.surface.coefficients import SHIPPED, SurfaceBook, read_surfaces
from backtest.surface.correction import Corrections
from backtest.surface.observed import corrections_from_chains, corrections_from_trades
from models import ConfigurationError
from paper_exchange.market.clocks import HOUR_MS, RecordedClock, from_ms
from paper_exchange.market.market import MarketClock
from paper_exchange.recorded.files import recording_files, scan_file, scan_recording
from paper_exchange.recorded.market import wake_times
from paper_exchange.recorded.tables import read_candles
from paper_exchange.setups import SIMULATION_START, Setup, recorded_setup, simulated_setup

SIMULATED_DAYS = 90
WARM_DAYS = 60  # slow means of the surface need so much before the first decision
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """The options that name a market and a period, the same for every command."""
    data = parser.add_argument_group("on which data")
    data.add_argument("--recording", type=Path, metavar="PATH", help="recorded chains, a file or a folder")
    data.add_argument("--candles", type=Path, metavar="PATH", help="hourly candles (csv)")
    data.add_argument(
        "--dvol", type=Path, metavar="PATH", help="DVOL (csv): a historical market, or modelled quotes beside recorded"
    )
    data.add_argument("--delivery-prices", type=Path, metavar="PATH", help="delivery prices (csv)")
    data.add_argument("--surface", type=Path, metavar="FILE", help="fitted coefficients of a historical market")
    data.add_argument("--correct-with", type=Path, metavar="PATH", help="recorded chains that correct modelled quotes")
    data.add_argument("--trades", type=Path, metavar="PATH", help="option trades (csv) that correct modelled quotes")
    data.add_argument("--start", metavar="DATE", help="first day, UTC")
    data.add_argument("--end", metavar="DATE", help="last moment, UTC")
    data.add_argument("--weekdays", metavar="DAYS", help="decide on these days alone, such as fri or mon,thu")


@dataclass(frozen=True)
class NamedMarket:
    """A market that the same policy runs on too, and what the report calls its quotes."""

    name: str
    make_setup: MakeSetup


@dataclass(frozen=True)
class Markets:
    """The market of a run, its period, and the other quotes of the same time that stand beside it."""

    make_setup: MakeSetup
    period: Period
    others: tuple[NamedMarket, ...] = ()


def markets_of(options: argparse.Namespace) -> Markets:
    """The market that the options name, and the period on it."""
    asked = Period(_day(options.start), _day(options.end), _weekdays(options.weekdays))
    has_history = options.candles is not None or options.dvol is not None
    if options.recording is not None:
        return _recorded(options, asked)
    if has_history:
        return _historical(options, asked)
    if options.delivery_prices is not None:
        raise ConfigurationError("--delivery-prices goes with --recording, or with --candles and --dvol")
    if options.correct_with is not None or options.trades is not None:
        raise ConfigurationError("--correct-with and --trades go with --candles and --dvol")
    end = asked.end or (asked.start or SIMULATION_START) + timedelta(days=SIMULATED_DAYS)
    return Markets(simulated_setup, replace(asked, end=end))


def end_of(setup: Setup, period: Period) -> datetime | None:
    """When a run will end, for those who wait for it."""
    clock = setup.clock
    last = clock.ends_at if isinstance(clock, RecordedClock) else None
    known = [moment for moment in (last, period.end) if moment is not None]
    return min(known, default=None)


def _recorded(options: argparse.Namespace, asked: Period) -> Markets:
    """With DVOL too, the same moments are modelled beside it."""

    def make(_seed: int, coins: Mapping[str, float]) -> Setup:
        return recorded_setup(options.recording, coins, options.candles, options.delivery_prices)

    if options.candles is not None:
        known = dict(_first_prices(options.recording))
        refuse_another_coin(read_candles(options.candles), known, str(options.recording))
    if options.dvol is None:
        return Markets(make, asked)
    past = _read_past(options)
    wakes = wake_times([head for head in scan_recording(options.recording) if head.currency in past.data.coins])
    beside = past.markets(lambda: RecordedClock(wakes), ("modelled", "modelled, second set"))
    return Markets(make, asked, tuple(beside))


def _first_prices(recording: Path) -> Iterator[tuple[tuple[str, int], float]]:
    """The index of the first snapshot of each file, by coin and time."""
    for path in recording_files(recording):
        for head, _ in islice(scan_file(path), 1):
            yield (head.currency, head.recorded_at_ms), head.index_price_usd


def _historical(options: argparse.Namespace, asked: Period) -> Markets:
    past = _read_past(options)
    first, last = _span(past.data)
    start, end = asked.start or first + timedelta(days=WARM_DAYS), asked.end or last
    if not first <= start < min(end, last):
        raise ConfigurationError(
            f"the period is empty: {start:%Y-%m-%d} to {end:%Y-%m-%d}, "
            f"the data go from {first:%Y-%m-%d} to {last:%Y-%m-%d}"
        )
    ends_at = min(end, last)
    chosen, *others = past.markets(lambda: HistoricalClock(start, ends_at), ("first set", "second set"))
    return Markets(chosen.make_setup, replace(asked, start=start, end=end), tuple(others))


@dataclass(frozen=True)
class _Past:
    """What was read of the past, once for all runs on it."""

    data: HistoryData
    surfaces: SurfaceBook
    corrections: Mapping[str, Corrections]

    def markets(self, make_clock: Callable[[], MarketClock], names: tuple[str, str]) -> Iterator[NamedMarket]:
        """The market of the sets that are used, and that of the second ones where there are any."""
        yield NamedMarket(names[0], partial(self._setup, make_clock, 0))
        if any(self.surfaces.has_alternative(coin) for coin in self.data.coins):
            yield NamedMarket(names[1], partial(self._setup, make_clock, 1))

    def _setup(
        self, make_clock: Callable[[], MarketClock], alternative: int, seed: int, coins: Mapping[str, float]
    ) -> Setup:
        held = {coin: amount for coin, amount in coins.items() if coin in self.data.coins}
        return setup_by_clock(self.data, make_clock(), held, self.surfaces, seed, self.corrections, alternative)


def _read_past(options: argparse.Namespace) -> _Past:
    if options.candles is None or options.dvol is None:
        raise ConfigurationError("a historical market needs both --candles and --dvol")
    data = read_history(options.candles, options.dvol, options.delivery_prices)
    refuse_swapped_candles(data.candles)
    settled = {key: price.price_usd for key, price in data.delivery_prices.items()}
    refuse_another_coin(data.candles, settled, str(options.delivery_prices))
    surfaces = read_surfaces(SHIPPED if options.surface is None else options.surface)
    gc.freeze()  # it stays while the command runs: no search for garbage looks at a hundred thousand candles
    return _Past(data, surfaces, _corrections(options, data, surfaces))


def _corrections(options: argparse.Namespace, data: HistoryData, surfaces: SurfaceBook) -> dict[str, Corrections]:
    """From recorded chains or from trades, each known from its own moment on."""
    chains, trades = options.correct_with, options.trades
    if chains is not None and trades is not None:
        raise ConfigurationError("--correct-with and --trades: one of the two")
    coins = data.coins if chains is not None or trades is not None else ()
    found = {}
    for coin in coins:
        about = (data.history(coin), surfaces, coin)
        if chains is not None:
            found[coin] = corrections_from_chains(read_chain_rows([chains], "BTC" if coin == "BTC" else "ETH"), *about)
        else:
            found[coin] = corrections_from_trades(read_trades(trades, coin), *about)
    if coins and not any(map(len, found.values())):
        raise ConfigurationError(f"{chains or trades}: nothing there to correct a surface with")
    return {coin: corrections for coin, corrections in found.items() if len(corrections) > 0}


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
