"""What must hold of every modelled chain: delta and price fall with the strike, price is convex in it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from backtest.surface.coefficients import SurfaceSet, read_surfaces
from backtest.surface.conditions import Conditions
from backtest.surface.correction import Correction
from backtest.surface.known import FloatArray
from backtest.surface.model import Expiries, ModelMoment, model_volatility
from backtest.surface.shape import Options, call_prices, clamped_moneyness, weekend_share
from paper_exchange.market.clocks import DAY_MS, SimulatedClock, from_ms
from paper_exchange.market.market import Quote
from paper_exchange.simulated.market import SimulatedMarket
from tests.backtest.surface.histories import FIRST_DAY, a_market, ms

NOW_MS = ms(FIRST_DAY, days=60, hours=10)
VOLATILITIES = (0.2, 0.35, 0.55, 0.8, 1.2, 1.6)
DAYS = (1.5, 2.0, 3.0, 7.0, 14.0, 30.0, 60.0)
PRICE_ROUNDING = 2e-8  # marks carry eight decimals


def a_moment(surface: SurfaceSet, dvol: float, correction: Correction | None = None) -> ModelMoment:
    level, excess, unrest, trend = (np.array([figure]) for figure in (dvol, 0.1, 0.2, -0.1))
    now = Conditions(level, excess, unrest, trend, is_hourly=np.array([True]))
    return ModelMoment(NOW_MS, 80_000.0, now, surface, correction)


def calls(days: float, dvol: float) -> Options:
    """Fifty strikes from three standard deviations below the forward to four above."""
    deviations = np.linspace(-3.0, 4.0, 50)
    strikes = 80_000.0 * np.exp(deviations * dvol * np.sqrt(days / 365.0))
    return Options(np.full(50, 80_000.0), strikes, np.full(50, NOW_MS + days * DAY_MS))


def shape_breaches(strikes_usd: FloatArray, prices_coin: FloatArray, call_deltas: FloatArray) -> list[str]:
    """What does not hold along the calls of one expiry, strikes rising; empty where all is well."""
    found = []
    if not bool(np.all(np.diff(call_deltas) <= 0.0)):
        found.append("delta rises with the strike")
    if not bool(np.all(np.diff(prices_coin) <= PRICE_ROUNDING)):
        found.append("price rises with the strike")
    slopes = np.diff(prices_coin) / np.diff(strikes_usd)
    rounding = 2.0 * PRICE_ROUNDING / np.minimum(np.diff(strikes_usd)[1:], np.diff(strikes_usd)[:-1])
    if not bool(np.all(np.diff(slopes) >= -rounding)):
        found.append("price is not convex in the strike")
    return found


def breaches(moment: ModelMoment, options: Options) -> list[str]:
    volatility = model_volatility(moment, options, Expiries(*np.unique(options.expires_at_ms, return_inverse=True)))
    prices, deltas = call_prices(options, volatility, NOW_MS)
    return shape_breaches(options.strikes_usd, prices, deltas)


@pytest.mark.parametrize("surface", read_surfaces().sets, ids=lambda surface: surface.name)
def test_delta_and_price_fall_and_price_is_convex_along_every_expiry(surface: SurfaceSet) -> None:
    cases = product(VOLATILITIES, DAYS)
    found = {case: breaches(a_moment(surface, case[0]), calls(case[1], case[0])) for case in cases}
    assert {case: what for case, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("level", "slope", "skew"),
    [(0.15, 0.1, 0.08), (-0.15, -0.1, -0.08), (0.1, -0.1, 0.1), (0.3, 0.0, -0.3), (-0.3, 0.0, 0.3)],
)
@pytest.mark.parametrize("surface", read_surfaces().sets, ids=lambda surface: surface.name)
def test_a_strong_correction_keeps_the_shape(surface: SurfaceSet, level: float, slope: float, skew: float) -> None:
    moment = a_moment(surface, 0.55, Correction(NOW_MS, level, slope, skew))
    assert [breaches(moment, calls(days, 0.55)) for days in DAYS] == [[]] * len(DAYS)


def test_a_hard_clamp_would_be_caught() -> None:
    options = calls(7.0, 0.55)
    deviations = np.log(options.strikes_usd / options.forwards_usd) / (0.55 * np.sqrt(7.0 / 365.0))
    clipped = np.clip(deviations, -1.5, 2.2)
    hard: FloatArray = 0.55 * np.exp(-0.14 * clipped + 0.11 * clipped**2)
    prices, deltas = call_prices(options, hard, NOW_MS)
    assert shape_breaches(options.strikes_usd, prices, deltas) == ["price is not convex in the strike"]


def test_an_unclamped_smile_would_be_caught() -> None:
    options = calls(7.0, 0.55)
    deviations = np.log(options.strikes_usd / options.forwards_usd) / (0.55 * np.sqrt(7.0 / 365.0))
    prices, deltas = call_prices(options, 0.55 * np.exp(0.11 * deviations**2), NOW_MS)
    assert "delta rises with the strike" in shape_breaches(options.strikes_usd, prices, deltas)


@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_the_whole_listed_grid_of_a_historical_market_has_the_shape(coin: str) -> None:
    market = a_market()
    for _ in range(6):
        market.clock.sleep(29 * 3600.0)
        chain = market.chain(coin)
        assert chain is not None
        for place, expires_at_ms in enumerate(chain.listed.expiries.at_ms):
            here = chain.listed.expiries.rows == place
            columns = (chain.listed.strikes_usd, chain.model.mark_coin, chain.model.call_delta)
            assert shape_breaches(*(column[here] for column in columns)) == [], from_ms(int(expires_at_ms))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_simulated_market_has_the_shape_too(seed: int) -> None:
    market = SimulatedMarket(seed, SimulatedClock(FIRST_DAY))
    for _ in range(8):
        market.clock.sleep(2.3 * 86_400.0)
        found = {coin: simulated_breaches(market, coin) for coin in market.currencies}
        assert found == {"BTC": [], "ETH": []}


def simulated_breaches(market: SimulatedMarket, coin: str) -> list[str]:
    """Along the calls of every expiry, from what the market shows."""
    expiries: dict[int, list[Quote]] = {}
    for listing, quote in zip(market.listings(coin), market.quotes(coin), strict=True):
        if listing.is_call:
            expiries.setdefault(listing.expires_at_ms, []).append(quote)
    return [breach for expires_at_ms, quotes in expiries.items() for breach in quote_breaches(quotes, expires_at_ms)]


def quote_breaches(quotes: list[Quote], expires_at_ms: int) -> list[str]:
    strikes = np.array([float(quote.name.split("-")[2]) for quote in quotes])
    forwards = np.array([quote.underlying_price_usd for quote in quotes])
    options = Options(forwards, strikes, np.full(len(quotes), float(expires_at_ms)))
    volatility = np.array([quote.mark_iv_fraction for quote in quotes])
    _, deltas = call_prices(options, volatility, quotes[0].timestamp_ms)
    return shape_breaches(strikes, np.array([quote.mark_coin for quote in quotes]), deltas)


def test_the_soft_clamp_is_flat_in_the_wings_and_centred() -> None:
    assert clamped_moneyness(np.array([0.0]))[0] == pytest.approx(0.0, abs=5e-5)
    wings = clamped_moneyness(np.array([-9.0, -8.0, 8.0, 9.0]))
    assert wings[1] - wings[0] < 1e-4
    assert wings[3] - wings[2] < 1e-4


def test_a_week_holds_two_days_of_weekend() -> None:
    assert weekend_share(NOW_MS, NOW_MS + 7 * DAY_MS) == pytest.approx(2.0 / 7.0)
    friday_noon = ms(FIRST_DAY, days=1, hours=12)
    assert weekend_share(friday_noon, friday_noon + 2.5 * DAY_MS) == pytest.approx(2.0 / 2.5)
