"""Every knob of the simulated market, with unit and meaning.

Edit these to get a calmer, wilder, more or less skewed market; the shapes themselves are in `process.py`
(how time passes) and `surface.py` (how options are priced). Levels and slopes follow Deribit's chains of January
2026: iv / atm = 1 - 0.05 m + 0.05 m^2 with m in standard deviations, carry 5 % (BTC) and 3.5 % (ETH). Pure data.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CoinProfile:
    """What makes BTC differ from ETH."""

    start_price_usd: float
    volatility_fraction: float  # median annualised volatility of the index, without jumps
    implied_fraction: float  # median at-the-money volatility of short options
    jump_scale: float  # this coin's share of a market-wide jump
    skew: float  # change of iv / atm per standard deviation of moneyness
    smile: float  # the same, per standard deviation squared
    carry_fraction: float  # median forward premium per year
    spread_scale: float  # 1 = BTC's bid-ask spreads
    typical_amount: float  # median size of a quote, coin


PROFILES = {
    "BTC": CoinProfile(90_000.0, 0.44, 0.50, 1.0, -0.050, 0.050, 0.050, 1.0, 12.0),
    "ETH": CoinProfile(3_100.0, 0.63, 0.71, 1.3, -0.040, 0.046, 0.035, 1.2, 120.0),
}
COINS = tuple(PROFILES)


@dataclass(frozen=True, slots=True)
class FactorSettings:
    """A mean-reverting factor: where it wanders and how long it remembers."""

    deviation: float
    half_life_days: float


# Order matters: SLOW, FAST, PREMIUM, SKEW, CARRY are positions in the arrays of factors.
SLOW, FAST, PREMIUM, SKEW, CARRY = range(5)
FACTORS = (
    FactorSettings(0.15, 30.0),  # log volatility, the slow part
    FactorSettings(0.26, 2.5),  # log volatility, the part that comes and goes within a week
    FactorSettings(0.09, 2.0),  # log of implied over expected volatility
    FactorSettings(0.020, 5.0),  # added to the skew
    FactorSettings(0.010, 10.0),  # added to the carry
)
FACTOR_LIMIT_DEVIATIONS = 3.0
CORRELATION = 0.8  # between BTC and ETH, for returns and for factors

TAIL_DEGREES = 5.0  # Student t of the minutes; lower is wilder
JUMP_INTERVAL_DAYS = 12.0  # mean time between jumps
JUMP_DEVIATION = 0.025  # log size of a jump
PULL_YEARS = 2.0  # how slowly the log price is pulled back, so that it stays in range for decades

TERM_RISE = 0.10  # long options are dearer than short ones by this fraction ...
TERM_RISE_YEARS = 0.25  # ... reached after about this time
MONEYNESS_LIMIT = 2.5  # the smile flattens out towards this many standard deviations ...
MONEYNESS_SHARPNESS = 3.0  # ... softly: a corner in it would make prices that are not convex in the strike
VOLATILITY_INDEX_DAYS = 30.0

SPREAD_FLOOR_COIN = 0.00015
SPREAD_FRACTION = 0.02  # of the mark
WING_DEVIATIONS = 2.5  # bids may be missing beyond
WING_WITHOUT_BID_FRACTION = 0.3
DEEP_DELTA = 0.97  # asks may be missing above
DEEP_WITHOUT_ASK_FRACTION = 0.2

HISTORY_DAYS = 45  # candles before the start, and how much of the past is kept
REMEMBER_EXPIRED_DAYS = 10
