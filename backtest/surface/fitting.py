"""Fits coefficient sets on recorded chains and says how far they are off in months that were left out.

In: calls as columns, the coin's history. Out: a SurfaceSet with coefficients, range of validity, months and held-out
errors. Fitted is the volatility of the mid, each row weighing as much as volatility moves its price, by least absolute
deviations (median error is what is judged). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from backtest.surface.chains import ChainRows
from backtest.surface.coefficients import (
    Coin,
    DeltaDaysError,
    ErrorFigure,
    Range,
    SpreadFigures,
    SurfaceSet,
    ValidRange,
)
from backtest.surface.conditions import CoinHistory, Conditions, Resolution
from backtest.surface.guard import smile_strength
from backtest.surface.known import BoolArray, FloatArray
from backtest.surface.shape import TERMS, call_prices, implied_volatility, term_columns
from backtest.surface.spread import FEWEST_TICKS, SpreadLaw, tick_era

FIT_DELTA = Range(low=0.05, high=0.50)
FIT_DAYS = Range(low=1.5, high=40.0)
JUDGED_DELTA = Range(low=0.10, high=0.35)
JUDGED_DAYS = Range(low=2.0, high=35.0)
DELTA_EDGES = (0.05, 0.10, 0.20, 0.35, 0.50)
DAYS_EDGES = (2.0, 4.0, 7.0, 14.0, 35.0)
CAPS = {("BTC", "day"): 0.2}
USUAL_CAP = 0.4
FEWEST_MONTHS_FOR_TREND = 6  # one quarter cannot tell a trend from its own level
FEWEST_ROWS = 200
ROUNDS = 40
SMALLEST_RESIDUAL = 1e-3
SKEW, SMILE = TERMS.index("skew"), TERMS.index("smile")
LESS_CURVED = 0.97
GUARDED_WIDTHS = (0.02, 0.1, 0.3)


class FitError(ValueError):
    """There is not enough to fit on; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a fit sees: rows with both quotes and known conditions, and ln(volatility of the mid / DVOL)."""

    rows: ChainRows
    now: Conditions
    terms: FloatArray
    target: FloatArray
    elasticity: FloatArray
    months: np.ndarray[tuple[int], np.dtype[np.str_]]

    def where(self, chosen: BoolArray) -> Sample:
        """The rows that are chosen."""
        now = _conditions_where(self.now, chosen)
        return Sample(
            self.rows.where(chosen),
            now,
            self.terms[chosen],
            self.target[chosen],
            self.elasticity[chosen],
            self.months[chosen],
        )


def sample_of(rows: ChainRows, history: CoinHistory, dvol: Resolution) -> Sample:
    """Rows that can be fitted or judged with this DVOL: "hour" leaves out moments without a fresh hourly figure."""
    now = history.conditions_at(rows.at_ms, dvol)
    rows_iv, elasticity = mid_volatility(rows)
    terms = term_columns(now, rows.options, rows.at_ms)
    target = np.log(rows_iv / now.dvol)
    whole = Sample(rows, now, terms, target, elasticity, np.array(rows.months, dtype=np.str_))
    usable = np.isfinite(target) & np.isfinite(terms).all(axis=1) & (now.is_hourly | (dvol == "day"))
    return whole.where(usable)


def fit_surface(sample: Sample, coin: Coin, dvol: Resolution, name: str | None = None) -> SurfaceSet:
    """A set from all months of a sample, with the error of leaving each of them out. Raises FitError."""
    fitted = sample.where(FIT_DELTA.holds(sample.rows.call_delta) & FIT_DAYS.holds(sample.rows.days))
    months = tuple(sorted(set(fitted.months.tolist())))
    if len(fitted.rows) < FEWEST_ROWS:
        raise FitError(f"{coin}, {dvol}: {len(fitted.rows)} calls with quotes and DVOL; {FEWEST_ROWS} are needed")
    used, cap = _used_terms(coin, len(months)), CAPS.get((coin, dvol), USUAL_CAP)
    coefficients = _fit(fitted, used, cap)
    held_out = _leave_one_month_out(sample, fitted, used, cap) if len(months) > 1 else None
    span = months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"
    return SurfaceSet(
        name=name or f"{coin} {dvol} {span}",
        coin=coin,
        dvol=dvol,
        fitted_on=span,
        months=months,
        terms={term: round(float(value), 6) for term, value in zip(TERMS, coefficients, strict=True)},
        cap=cap,
        carry_fraction=round(carry_of(fitted.rows), 4),
        spread=fit_spread(fitted.rows),
        valid=_valid_range(fitted),
        errors=() if held_out is None else tuple(_error_figures(sample, held_out)),
        errors_by_cell=() if held_out is None else tuple(_errors_by_cell(sample, held_out)),
    )


def relative_errors(sample: Sample, volatility: FloatArray) -> FloatArray:
    """(model - mid) / mid of each row, on the forward that was recorded."""
    prices, _ = call_prices(sample.rows.options, volatility, sample.rows.at_ms)
    errors: FloatArray = prices / sample.rows.mid_coin - 1.0
    return errors


def is_judged(rows: ChainRows) -> BoolArray:
    """Calls that the published errors are about: delta .10 to .35, 2 to 35 days."""
    judged: BoolArray = JUDGED_DELTA.holds(rows.call_delta) & JUDGED_DAYS.holds(rows.days)
    return judged


def carry_of(rows: ChainRows) -> float:
    """Median yearly carry of the forwards at 2 to 35 days."""
    inside = JUDGED_DAYS.holds(rows.days)
    years = rows.days[inside] / 365.0
    return float(np.median(np.log(rows.forwards_usd[inside] / rows.index_usd[inside]) / years))


# --- the surface ------------------------------------------------------------------


def mid_volatility(rows: ChainRows) -> tuple[FloatArray, FloatArray]:
    """Volatility of the mid, from that of the mark in one step, and d ln(price) / d ln(volatility)."""
    volatility = rows.mark_iv_fraction
    spread = volatility * np.sqrt(rows.days / 365.0)
    d1 = np.log(rows.forwards_usd / rows.strikes_usd) / spread + 0.5 * spread
    price, _ = call_prices(rows.options, volatility, rows.at_ms)
    with np.errstate(divide="ignore", invalid="ignore"):
        elasticity = np.exp(-0.5 * d1**2) / np.sqrt(2.0 * np.pi) * spread / price
        step = np.clip(np.log(rows.mid_coin / price) / elasticity, -0.5, 0.5)
    return volatility * np.exp(step), elasticity


def _used_terms(coin: str, months: int) -> list[int]:
    tenor = "unrest" if coin == "BTC" else "term"
    trend = ("trend",) if months >= FEWEST_MONTHS_FOR_TREND else ()
    return [TERMS.index(term) for term in ("level", "skew", "smile", "weekend", "excess", tenor, *trend)]


def _fit(sample: Sample, used: list[int], cap: float) -> FloatArray:
    """Coefficients whose smile needs no guarding: curvature is held down until then, and the rest fitted anew."""
    coefficients = np.zeros(len(TERMS))
    coefficients[used] = least_absolute(sample.terms[:, used], sample.target, sample.elasticity)
    others = [position for position in used if position != SMILE]
    while _is_guarded(coefficients, cap):
        coefficients[SMILE] *= LESS_CURVED
        rest = sample.target - coefficients[SMILE] * sample.terms[:, SMILE]
        coefficients[others] = least_absolute(sample.terms[:, others], rest, sample.elasticity)
    return coefficients


def _is_guarded(coefficients: FloatArray, cap: float) -> bool:
    """Whether the smile breaks at the highest level it can be lifted to; coefficients and level both matter."""
    widths = np.array(GUARDED_WIDTHS)
    same = np.ones_like(widths)
    scale = np.exp(coefficients[0] + cap) * same
    strength = smile_strength(scale, widths, coefficients[SKEW] * same, coefficients[SMILE] * same)
    return bool((strength < 1.0).any())


def least_absolute(columns: FloatArray, target: FloatArray, weights: FloatArray) -> FloatArray:
    """argmin sum w |target - columns b|, by least squares with weights renewed each round."""
    renewed = weights**2
    fitted: FloatArray = np.zeros(columns.shape[1])
    for _ in range(ROUNDS):
        weighted = columns * renewed[:, None]
        fitted = np.linalg.solve(columns.T @ weighted, weighted.T @ target).astype(np.float64)
        renewed = weights**2 / np.maximum(weights * np.abs(target - columns @ fitted), SMALLEST_RESIDUAL)
    return fitted


def _leave_one_month_out(sample: Sample, fitted: Sample, used: list[int], cap: float) -> FloatArray:
    """Errors of every row of the sample, from a fit on the other months."""
    errors = np.full(len(sample.rows), np.nan)
    for month in sorted(set(fitted.months.tolist())):
        coefficients = _fit(fitted.where(fitted.months != month), used, cap)
        left_out = sample.months == month
        part = sample.where(left_out)
        errors[left_out] = relative_errors(part, implied_volatility(part.terms, part.now.dvol, coefficients, cap))
    return errors


def _valid_range(sample: Sample) -> ValidRange:
    return ValidRange(
        days=FIT_DAYS,
        call_delta=FIT_DELTA,
        dvol=_range(sample.now.dvol),
        excess=_range(sample.now.excess),
        unrest=_range(sample.now.unrest),
        trend=_range(sample.now.trend),
    )


def _range(values: FloatArray) -> Range:
    return Range(low=round(float(values.min()) - 5e-5, 4), high=round(float(values.max()) + 5e-5, 4))


def _conditions_where(now: Conditions, chosen: BoolArray) -> Conditions:
    return Conditions(
        now.dvol[chosen], now.excess[chosen], now.unrest[chosen], now.trend[chosen], now.is_hourly[chosen]
    )


# --- held-out errors --------------------------------------------------------------


def _error_figures(sample: Sample, errors: FloatArray) -> Iterator[ErrorFigure]:
    """Mean over months of the median error, each month left out in its turn."""
    flat = relative_errors(sample, sample.now.dvol)
    for shortest in (2.0, 7.0):
        chosen = is_judged(sample.rows) & (sample.rows.days >= shortest) & np.isfinite(errors)
        yield ErrorFigure(
            judged_on=f"leave one month out, mean of {len(set(sample.months[chosen].tolist()))} months",
            days=f"{shortest:.0f} to 35",
            model_fraction=round(mean_of_months(np.abs(errors[chosen]), sample.months[chosen]), 4),
            bias_fraction=round(mean_of_months(errors[chosen], sample.months[chosen]), 4),
            flat_dvol_fraction=round(mean_of_months(np.abs(flat[chosen]), sample.months[chosen]), 4),
        )


def mean_of_months(values: FloatArray, months: np.ndarray[tuple[int], np.dtype[np.str_]]) -> float:
    """Mean of the months' medians, NaN of nothing."""
    medians = [float(np.median(values[months == month])) for month in sorted(set(months.tolist()))]
    return float(np.mean(medians)) if medians else float("nan")


def _errors_by_cell(sample: Sample, errors: FloatArray) -> Iterator[DeltaDaysError]:
    for low, high in pairwise(DELTA_EDGES):
        for early, late in pairwise(DAYS_EDGES):
            delta, days = sample.rows.call_delta, sample.rows.days
            cell = (delta >= low) & (delta < high) & (days >= early) & (days < late) & np.isfinite(errors)
            if cell.any():
                error = round(float(np.median(np.abs(errors[cell]))), 4)
                yield DeltaDaysError(
                    call_delta=(low, high), days=(early, late), rows=int(cell.sum()), model_fraction=error
                )


# --- the spread -------------------------------------------------------------------


def fit_spread(rows: ChainRows) -> SpreadFigures:
    """The law by least squares on logarithms. Rows that the floor of two ticks explains say nothing about it."""
    quoted = (rows.ask_coin > rows.bid_coin) & (rows.bid_coin > 0.0)
    rows = rows.where(quoted)
    observed = rows.ask_coin - rows.bid_coin
    floor = FEWEST_TICKS * tick_era(int(rows.at_ms[0])).ticks(rows.mid_coin)
    columns = np.stack([np.ones(len(rows)), np.log(rows.mid_coin), np.log(rows.days)], axis=1)
    telling: BoolArray = observed > floor + 1e-9
    fitted = np.zeros(3)
    for _ in range(ROUNDS):
        fitted = np.linalg.lstsq(columns[telling], np.log(observed[telling]), rcond=None)[0]
        telling = (observed > floor + 1e-9) | (np.exp(columns @ fitted) > floor)
    law = SpreadLaw(float(np.exp(fitted[0])), float(fitted[1]), float(fitted[2]), 0.0)
    residual = np.log(observed / np.maximum(law.raw(rows.mid_coin, rows.days), floor))
    return SpreadFigures(
        scale=round(law.scale, 6),
        mid_power=round(law.mid_power, 4),
        days_power=round(law.days_power, 4),
        deviation=round(float(np.std(residual)), 3),
    )
