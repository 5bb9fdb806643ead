"""Deribit's option calendar and strike grids.

In: times in milliseconds, spot in USD. Out: expiry times and strikes. Expiry is at 08:00 UTC: four dailies, three
Fridays, the last Fridays of three months and of four quarters (as listed on 2026-07-15). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from paper_exchange.market.clocks import DAY_MS, HOUR_MS, from_ms
from paper_exchange.market.names import EXPIRY_HOUR_UTC

DAILIES = 4
WEEKLIES = 3
MONTHLIES = 3
QUARTERLIES = 4
FRIDAY = 4
DAYS_AHEAD = 400

# Steps that strikes come in, and how coarse the near and the far half of a grid is, as a fraction of spot.
STEP_LADDER_USD = (0.5, 1, 2.5, 5, 10, 25, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
NEAR_STEP_FRACTION = {"day": 0.005, "week": 0.01, "month": 0.02, "quarter": 0.05}
FAR_STEP_FRACTION = {"day": 0.01, "week": 0.02, "month": 0.05, "quarter": 0.10}
LONG_TENOR_DAYS = 100
LOWEST_STRIKE_FRACTION = 0.3


@dataclass(frozen=True, slots=True)
class MarketSize:
    """How much is listed.

    expiry_hours: None for Deribit's calendar; N replaces the four dailies by expiries every N hours, for campaigns
    that need many settlements. It has to divide 24.
    """

    expiries_max: int = 12
    strikes_per_side: int = 9
    expiry_hours: int | None = None


DEFAULT_SIZE = MarketSize()


def listed_expiries(at_ms: int, size: MarketSize) -> tuple[int, ...]:
    """Expiries listed at a time, nearest first, each later than that time."""
    next_settlement = _next_settlement_ms(at_ms)
    if size.expiry_hours is None:
        return _calendar(next_settlement, DAILIES)[: size.expiries_max]
    short = _hourly_expiries(at_ms, size.expiry_hours)
    return tuple(sorted({*short, *_calendar(next_settlement, 0)}))[: size.expiries_max]


@lru_cache(maxsize=64)
def _calendar(next_settlement_ms: int, dailies: int) -> tuple[int, ...]:
    days = range(next_settlement_ms, next_settlement_ms + DAYS_AHEAD * DAY_MS, DAY_MS)
    fridays = days[(FRIDAY - from_ms(next_settlement_ms).weekday()) % 7 :: 7]
    month_ends = [day for day in fridays if settlement_period(day) == "month"]
    quarter_ends = [day for day in month_ends if from_ms(day).month % 3 == 0]
    listed = {*days[:dailies], *fridays[:WEEKLIES], *month_ends[:MONTHLIES], *quarter_ends[:QUARTERLIES]}
    return tuple(sorted(listed))


def _next_settlement_ms(after_ms: int) -> int:
    shift_ms = EXPIRY_HOUR_UTC * HOUR_MS
    return ((after_ms - shift_ms) // DAY_MS + 1) * DAY_MS + shift_ms


def _hourly_expiries(after_ms: int, hours: int) -> list[int]:
    if hours <= 0 or 24 % hours != 0:
        raise ValueError(f"expiry_hours must divide 24, not {hours}")
    first_hour = (after_ms // HOUR_MS - EXPIRY_HOUR_UTC) // hours * hours + hours + EXPIRY_HOUR_UTC
    return [(first_hour + number * hours) * HOUR_MS for number in range(DAILIES)]


@lru_cache(maxsize=1_024)
def settlement_period(expires_at_ms: int) -> str:
    """Deribit's word for an expiry: "month" on a month's last Friday, "week" on a Friday, else "day"."""
    day = from_ms(expires_at_ms)
    if day.weekday() != FRIDAY or day.hour != EXPIRY_HOUR_UTC:
        return "day"
    return "month" if (day + timedelta(days=7)).month != day.month else "week"


def has_future(expires_at_ms: int, at_ms: int) -> bool:
    """Whether a future expires with the options: month ends, and Fridays within two weeks. Others are synthetic."""
    period = settlement_period(expires_at_ms)
    return period == "month" or (period == "week" and expires_at_ms - at_ms <= 14 * DAY_MS)


class StrikeGrid:
    """The strikes of one expiry: a fine grid around spot, a coarse one beyond; steps are fixed at the listing."""

    def __init__(self, expires_at_ms: int, listed_at_ms: int, spot_usd: float, strikes_per_side: int) -> None:
        tenor = _tenor(expires_at_ms, listed_at_ms)
        self._near_step = _step_usd(spot_usd * NEAR_STEP_FRACTION[tenor])
        self._far_step = _step_usd(spot_usd * FAR_STEP_FRACTION[tenor])
        self._near_reach = (strikes_per_side + 1) // 2 * self._near_step
        self._far_reach = self._near_reach + strikes_per_side // 2 * self._far_step
        self._odd_usd = _odd_usd(expires_at_ms)
        self._numbers = range(0), range(0)

    def strikes_beside(self, spot_usd: float) -> list[float]:
        """What is listed around a spot price and was not around the last one, rising: mostly nothing or a strike.

        As spot moves, the union of these is what is listed.
        """
        near = _numbers(self._near_step, spot_usd, self._near_reach)
        far = _numbers(self._far_step, spot_usd, self._far_reach)
        (near_before, far_before), self._numbers = self._numbers, (near, far)
        found = {number * self._near_step for number in _beside(near, near_before)}
        found.update(number * self._far_step for number in _beside(far, far_before))
        return [strike + self._odd_usd for strike in sorted(found)]


def _tenor(expires_at_ms: int, listed_at_ms: int) -> str:
    period = settlement_period(expires_at_ms)
    days_listed = (expires_at_ms - listed_at_ms) / DAY_MS
    return "quarter" if period == "month" and days_listed > LONG_TENOR_DAYS else period


def _step_usd(wanted_usd: float) -> float:
    """The smallest usual step that is not finer than wanted."""
    return float(next((step for step in STEP_LADDER_USD if step >= wanted_usd), STEP_LADDER_USD[-1]))


def _odd_usd(expires_at_ms: int) -> float:
    """Names hold a date, no hour: an expiry at 13:00 has strikes like 95013, so that names stay unique."""
    hour = from_ms(expires_at_ms).hour
    if hour == EXPIRY_HOUR_UTC:
        return 0.0
    return 24.0 if hour == 0 else float(hour)


def _numbers(step: float, spot_usd: float, reach: float) -> range:
    """Of the multiples of a step that lie near enough to spot, and not too far below it."""
    lowest = max(spot_usd - reach, LOWEST_STRIKE_FRACTION * spot_usd)
    return range(max(int(-(-lowest // step)), 1), int((spot_usd + reach) // step) + 1)


def _beside(numbers: range, others: range) -> Iterator[int]:
    """Those that are not among the others."""
    yield from range(numbers.start, min(numbers.stop, others.start))
    yield from range(max(numbers.start, others.stop), numbers.stop)
