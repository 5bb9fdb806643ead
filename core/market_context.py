"""What the market has been doing: returns, realised volatility, at-the-money IV, IV/RV, term slope, skew, regime.

In: closes as PriceBar, the chain as columns. Out: fractions (0.65 = 65 % a year), None where
the data do not suffice, with the reason; unknown is never turned into a number. What a year says is in context/.
Pure: no network, no disk, no clock.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from config import AgentConfig
from core.chain import Chain
from core.context.ranges import SquaredRanges, squared_ranges, volatility_of_ranges
from core.context.year import FINISHED_DAYS, LEAST_DVOL_DAYS, NO_YEAR, Year
from core.pricing import black76_delta, days_between
from models import MarketSnapshot, OptionInstrument, PriceBar, PriceSource, Reason, Underlying

ATM_TARGET_DAYS = 30.0  # the tenor of DVOL, so that the two can be compared
NEAR_TARGET_DAYS = 7.0  # the other end of the term slope
MIN_SPAN_DAYS = 0.5  # a shorter stretch of closes says nothing; how long it was is in rv_days
LEAST_SPAN_FRACTION = 0.9  # of 7 or 30 days, for a figure that is named after them
MONTH_DAYS, WEEK_DAYS = 30, 7
MOST_RANGES = 1_000  # a month of hours has 720
UNITS = 1 << 1074  # of the smallest float: every float is a whole number of these, and a sum of them is exact
ONE_HOUR = timedelta(hours=1)  # a month of hourly closes begins up to an hour later
# How far a close of the perpetual may lie off the index. In production it stays within 1 %; on testnet it wanders. One
# close that is 2 % off adds 2 * 0.02^2 to the sum of squares, which is 4 % of a month's at 50 % a year.
MAX_OFF_INDEX_FRACTION = 0.02
SAME_TIME = timedelta(minutes=5)  # a level of the index that is further away says nothing about a close


@dataclass(frozen=True, eq=False)
class Closes:
    """A coin's past prices, oldest first, and whose they are. What follows from them is computed once a reading.

    `usable`: those above zero, with their times in `closed_at`. `squares_until`: the squared log returns from one to
    the next, summed up to each of them, exactly (in UNITS). `before` is the reading before this one: what it shares
    with this is not computed again.
    """

    bars: tuple[PriceBar, ...]
    source: PriceSource = "index"
    before: InitVar[Closes | None] = None
    usable: tuple[PriceBar, ...] = field(init=False)
    closed_at: list[datetime] = field(init=False)
    squares_until: list[int] = field(init=False)
    squared_ranges: SquaredRanges = field(init=False)

    def __post_init__(self, before: Closes | None) -> None:
        gone = None if before is None else _gone_since(self.bars, before)
        shared: tuple[PriceBar, ...] = ()
        times, sums, ranges = list[datetime](), [0], SquaredRanges()
        if before is not None and gone is not None:
            shared, times, sums = before.usable[gone:], before.closed_at[gone:], before.squares_until[gone:]
            ranges = _recent(before.squared_ranges, shared[0].closed_at.timestamp())
        added = [bar for bar in self.bars[len(shared) :] if bar.close > 0.0]
        new = [math.log(after.close / bar.close) ** 2 for bar, after in pairwise([*shared[-1:], *added])]
        object.__setattr__(self, "usable", (*shared, *added))
        object.__setattr__(self, "closed_at", times + [bar.closed_at for bar in added])
        object.__setattr__(self, "squares_until", [*sums[:-1], *accumulate(map(_in_units, new), initial=sums[-1])])
        object.__setattr__(self, "squared_ranges", ranges)

    @property
    def of_index(self) -> tuple[PriceBar, ...]:
        """The closes, where they are the index's own."""
        return self.usable if self.source == "index" else ()

    @cached_property
    def range_volatility(self) -> dict[int, float | None]:
        """By days (WEEK_DAYS, MONTH_DAYS), up to the newest close."""
        ranges = squared_ranges(self.usable, MONTH_DAYS, self.squared_ranges)
        return {days: volatility_of_ranges(ranges, days) for days in (WEEK_DAYS, MONTH_DAYS)}

    def summed(self, first: int, end: int) -> float:
        """The sum of the squared returns among the usable closes from `first` to before `end`."""
        return (self.squares_until[end - 1] - self.squares_until[first]) / UNITS if end > first else 0.0


def _in_units(number: float) -> int:
    numerator, denominator = number.as_integer_ratio()
    return numerator * (UNITS // denominator)


def _recent(ranges: SquaredRanges, since: float) -> SquaredRanges:
    """A copy; now and then without those that are too old to be asked for."""
    if len(ranges) <= MOST_RANGES:
        return dict(ranges)
    return {end: found for end, found in ranges.items() if end > since}


def _gone_since(bars: tuple[PriceBar, ...], before: Closes) -> int | None:
    """How many closes of the reading before are gone, where all others stand at the start of this one; else None."""
    gone = bisect_left(before.closed_at, bars[0].closed_at) if bars else 0
    shared = before.usable[gone:]
    return gone if shared and shared == bars[: len(shared)] else None


class Window(NamedTuple):
    """The usable closes of a stretch of time: how many, the days from the first to the last, the squares summed."""

    closes: int
    days: float
    squares_sum: float


class Smile(NamedTuple):
    """Mark IV of one expiry by strike, strikes rising."""

    days: float
    forward_usd: float
    strikes_usd: Sequence[float]
    ivs_fraction: Sequence[float]


@dataclass(frozen=True)
class CoinData:
    """What was read about one coin."""

    underlying: Underlying
    spot_usd: float
    chain: Chain
    closes: Closes
    dvol_fraction: float | None
    year: Year = NO_YEAR

    @property
    def instruments(self) -> Mapping[str, OptionInstrument]:
        return self.chain.listing.by_symbol


def market_snapshot(coin: CoinData, now: datetime, config: AgentConfig) -> MarketSnapshot:
    """One coin's volatility, skew and trend."""
    week, month = _smiles_around(coin.chain, now, NEAR_TARGET_DAYS, ATM_TARGET_DAYS)
    atm, near = atm_iv(month), atm_iv(week, NEAR_TARGET_DAYS)
    inside = closes_inside(coin.closes, now, config.run.rv_window_days)
    rv = realised_volatility(inside, config.run.rv_min_returns)
    nearest = min(month, key=lambda smile: abs(smile.days - ATM_TARGET_DAYS), default=None)
    figures = {
        "forward_usd": None if nearest is None else nearest.forward_usd,
        "atm_iv_fraction": atm,
        "dvol_fraction": coin.dvol_fraction,
        "rv_fraction": rv,
        "iv_rv_ratio": iv_rv_ratio(atm, rv),
        "skew_25d_fraction": None if nearest is None else skew_25_delta(nearest),
        "term_slope_fraction": term_slope(atm, near),
        **_past_figures(coin, now),
    }
    return MarketSnapshot(
        underlying=coin.underlying,
        spot_usd=coin.spot_usd,
        rv_days=None if rv is None else inside.days,
        rv_source=None if rv is None else coin.closes.source,
        option_count=len(coin.chain),
        unknown=tuple(why_unknown(coin, now, figures)),
        **figures,
    )


def _past_figures(coin: CoinData, now: datetime) -> dict[str, Any]:
    """What past prices say, whatever the settings are."""
    closes, spot_usd = coin.closes, coin.spot_usd
    return {
        "return_1d_fraction": past_return(closes, now, spot_usd, 1.0),
        "return_7d_fraction": past_return(closes, now, spot_usd, WEEK_DAYS),
        "return_30d_fraction": return_of_a_month(closes, now, spot_usd),
        "rv_7d_fraction": volatility_of_days(closes, now, WEEK_DAYS),
        "rv_30d_fraction": volatility_of_days(closes, now, MONTH_DAYS),
        "rv_7d_range_fraction": closes.range_volatility[WEEK_DAYS],
        "rv_30d_range_fraction": closes.range_volatility[MONTH_DAYS],
        "iv_rank_fraction": coin.year.iv_rank(coin.dvol_fraction),
        "regime": coin.year.regime(now, spot_usd),
    }


def return_of_a_month(closes: Closes, now: datetime, spot_usd: float) -> float | None:
    """From the first close of a month of hours, where that is up to an hour younger than the month."""
    whole = past_return(closes, now, spot_usd, MONTH_DAYS)
    return whole if whole is not None else past_return(closes, now + ONE_HOUR, spot_usd, MONTH_DAYS)


def why_unknown(coin: CoinData, now: datetime, figures: Mapping[str, Any]) -> Iterator[Reason]:
    """Of each figure that is None, what is missing."""
    for name in [name for name, figure in figures.items() if figure is None]:
        yield _reason(name, _what_is_missing(coin, now, name))


def _what_is_missing(coin: CoinData, now: datetime, name: str) -> str:
    if name.startswith(("return", "rv")):
        return f"closes reach back {span_days(coin.closes.bars):.1f} days"
    if name == "dvol_fraction":
        return "the exchange shows no DVOL"
    if name == "iv_rank_fraction":
        return f"DVOL of {len(coin.year.dvol_days)} days, {LEAST_DVOL_DAYS} are needed"
    if name == "regime":
        return f"closes of {coin.year.days_known(now)} of the last {FINISHED_DAYS} days"
    return "too few options with a mark"


@lru_cache(maxsize=1_024)  # the same few, again and again
def _reason(rule: str, text: str) -> Reason:
    return Reason(rule=rule, text=text)


def volatility_of_days(closes: Closes, now: datetime, days: int) -> float | None:
    """Realised volatility, close to close, of so many days; None where the closes do not span them."""
    inside = closes_inside(closes, now, days)
    return realised_volatility(inside, 1) if inside.days >= LEAST_SPAN_FRACTION * days else None


def term_slope(atm: float | None, near: float | None) -> float | None:
    """ATM IV at 30 days minus that at 7: above 0 where far options cost more."""
    return None if atm is None or near is None else atm - near


def _smiles_around(chain: Chain, now: datetime, *tenors: float) -> list[list[Smile]]:
    """Of each tenor in days the call smiles of the listed expiries around it; the other expiries are not needed.

    Where one of them has no mark, none further away stands for it: what it would say of the tenor is not known.
    """
    calls, quotes = chain.terms.calls, chain.quotes
    ivs = quotes.mark_iv_fraction.take(calls.rows).tolist()
    forwards_usd = quotes.underlying_price_usd.take(calls.rows).tolist()
    around = [_around(chain.listing.terms.calls.expiries, now, days) for days in tenors]
    smiles: dict[datetime, Smile] = {}
    for expiry in set[datetime]().union(*around):
        own = calls.of_expiry.get(expiry, slice(0))
        smiles[expiry] = _smile(days_between(now, expiry), calls.strikes_usd[own], ivs[own], forwards_usd[own])
    return [[smiles[expiry] for expiry in expiries if smiles[expiry].strikes_usd] for expiries in around]


def _around(expiries: Sequence[datetime], now: datetime, days: float) -> Sequence[datetime]:
    """Of the expiries still to come the last before a tenor and the first after it."""
    live = bisect_right(expiries, now)
    later = bisect_right(expiries, now + timedelta(days=days), lo=live)
    return expiries[max(live, later - 1) : later + 1]


def _smile(days: float, strikes_usd: list[float], ivs: list[float], forwards_usd: list[float]) -> Smile:
    """Of the calls that have a mark."""
    if not (all(map(math.isfinite, ivs + forwards_usd)) and min(ivs, default=0.0) > 0.0):  # nearly always they have
        shown = zip(strikes_usd, ivs, forwards_usd, strict=True)
        marked = [row for row in shown if row[1] > 0.0 and math.isfinite(row[2])]
        strikes_usd, ivs, forwards_usd = ([row[place] for row in marked] for place in range(3))
    return Smile(days, forwards_usd[0] if forwards_usd else math.nan, strikes_usd, ivs)


def realised_volatility(inside: Window, min_returns: int) -> float | None:
    """Annualised volatility of log returns of the closes inside the window, whatever their spacing.

    Squared returns over the time they took, so hourly, six-hourly and broken series give the same answer:
    sqrt(sum r^2 / years). None below `min_returns` returns or MIN_SPAN_DAYS days.
    """
    if inside.closes <= min_returns or inside.days < MIN_SPAN_DAYS:
        return None
    return math.sqrt(inside.squares_sum / (inside.days / 365.0))


def closes_inside(closes: Closes, now: datetime, window_days: float) -> Window:
    """The usable closes of the last `window_days` days."""
    first = bisect_left(closes.closed_at, now - timedelta(days=window_days))
    end = bisect_right(closes.closed_at, now)
    return Window(max(0, end - first), span_days(closes.usable, first, end), closes.summed(first, end))


def span_days(bars: Sequence[PriceBar], first: int = 0, end: int | None = None) -> float:
    """Days from the first to the last close, of all or of those from `first` to before `end`."""
    end = len(bars) if end is None else end
    return days_between(bars[first].closed_at, bars[end - 1].closed_at) if end > first else 0.0


def past_return(closes: Closes, now: datetime, spot_usd: float, days: float) -> float | None:
    """Return from the last usable close at least `days` ago to the spot; None where history does not reach back."""
    position = bisect_right(closes.closed_at, now - timedelta(days=days))
    return spot_usd / closes.usable[position - 1].close - 1.0 if position > 0 else None


def _closed_at(bar: PriceBar) -> datetime:
    return bar.closed_at


def near_index(bars: Sequence[PriceBar], levels: Sequence[PriceBar]) -> tuple[PriceBar, ...]:
    """The closes of the perpetual that can be believed: none where the newest is far off the index as it is now.

    `levels` is what is known of the index, oldest first, the last one now. An older close is dropped where it is far
    off a level of its own time; one of a time without a level is kept.
    """
    if not bars or _is_far_off(bars[-1], levels[-1]):
        return ()
    return tuple(bar for bar in bars if not any(_is_far_off(bar, level) for level in _levels_at(bar.closed_at, levels)))


def _is_far_off(bar: PriceBar, level: PriceBar) -> bool:
    return not abs(bar.close - level.close) <= MAX_OFF_INDEX_FRACTION * level.close


def _levels_at(moment: datetime, levels: Sequence[PriceBar]) -> Sequence[PriceBar]:
    first = bisect_left(levels, moment - SAME_TIME, key=_closed_at)
    return levels[first : bisect_right(levels, moment + SAME_TIME, key=_closed_at)]


def iv_rv_ratio(iv_fraction: float | None, rv_fraction: float | None) -> float | None:
    """Implied over realised volatility, None unless both are known and above zero."""
    if iv_fraction is None or rv_fraction is None or rv_fraction <= 0.0:
        return None
    return iv_fraction / rv_fraction


def atm_iv(smiles: Sequence[Smile], target_days: float = ATM_TARGET_DAYS) -> float | None:
    """At-the-money IV at a constant maturity: linear in total variance between the expiries around it.

    Outside the listed expiries the nearest one stands. None without a usable smile.
    """
    usable = sorted((smile for smile in smiles if smile.strikes_usd and smile.days > 0), key=lambda smile: smile.days)
    earlier = [smile for smile in usable if smile.days <= target_days]
    later = [smile for smile in usable if smile.days > target_days]
    ends = [(smile.days, at_strike(smile)) for smile in (*earlier[-1:], *later[:1])]
    if len(ends) < 2:
        return ends[0][1] if ends else None
    (days_1, iv_1), (days_2, iv_2) = ends
    weight = (target_days - days_1) / (days_2 - days_1)
    variance = (1 - weight) * iv_1**2 * days_1 + weight * iv_2**2 * days_2
    return math.sqrt(variance / target_days)


def at_strike(smile: Smile, strike_usd: float | None = None) -> float:
    """IV at a strike (the forward unless given), linear between listed strikes, flat outside."""
    strike = smile.forward_usd if strike_usd is None else strike_usd
    return _interpolate(strike, smile.strikes_usd, smile.ivs_fraction)


def skew_25_delta(smile: Smile) -> float | None:
    """25-delta risk reversal: IV of the 25-delta call minus IV of the 25-delta put.

    The put's strike is where the call's delta is 0.75, so a chain of calls is enough. Negative where downside
    protection costs more. None where the listed strikes do not reach both deltas.
    """

    def delta_of(number: int) -> float:
        strike_usd, iv = smile.strikes_usd[number], smile.ivs_fraction[number]
        return black76_delta(smile.forward_usd, strike_usd, iv, smile.days / 365.0)

    call, put = (_iv_at_delta(smile, delta, delta_of) for delta in (0.25, 0.75))
    return None if call is None or put is None else call - put


def _iv_at_delta(smile: Smile, delta: float, delta_of: Callable[[int], float]) -> float | None:
    """Linear between the two strikes around it, as deltas fall where strikes rise; None outside the listed strikes."""
    ivs = smile.ivs_fraction
    after = bisect_left(range(len(ivs)), True, key=lambda number: delta_of(number) < delta)
    if after in (0, len(ivs)):
        return None
    return _between((delta_of(after), ivs[after]), (delta_of(after - 1), ivs[after - 1]), delta)


def _interpolate(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Linear between rising xs, flat outside."""
    after = bisect_left(xs, x)
    if after == 0:
        return ys[0]
    if after == len(xs):
        return ys[-1]
    return _between((xs[after - 1], ys[after - 1]), (xs[after], ys[after]), x)


def _between(first: tuple[float, float], second: tuple[float, float], x: float) -> float:
    """On the straight line through two points."""
    (x_1, y_1), (x_2, y_2) = first, second
    return y_1 + (y_2 - y_1) * (x - x_1) / (x_2 - x_1)
