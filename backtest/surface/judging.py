"""How far the modelled surface and spread are from real quotes.

In: calls with quotes as columns, coefficient sets, corrections. Out: median relative errors of the mid by month, log
errors of the spread. Judged are calls of delta .10 to .35, 2 to 35 days. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from backtest.surface.coefficients import SurfaceSet
from backtest.surface.correction import Correction
from backtest.surface.fitting import FIT_DELTA, JUDGED_DAYS, Sample, is_judged, relative_errors
from backtest.surface.known import BoolArray, FloatArray
from backtest.surface.model import smiles_of
from backtest.surface.shape import SHAPE_TERMS, log_tenor
from backtest.surface.spread import spreads, tick_era

CorrectionAt = Callable[[int], Correction | None]


class MonthError(NamedTuple):
    """Medians over one month's rows; fractions. `premium_ratio` is the sum of modelled over the sum of real mids."""

    month: str
    rows: int
    model: float
    model_from_7: float
    bias: float
    flat: float
    premium_ratio: float


class SpreadError(NamedTuple):
    """Of the law without a residual against real spreads."""

    month: str
    rows: int
    mean_log_error: float
    sum_ratio: float


def month_errors(
    sample: Sample, surface: SurfaceSet, correction_at: CorrectionAt | None = None
) -> Iterator[MonthError]:
    """One a month; with corrections only moments that one is left for."""
    sample = sample.where(is_judged(sample.rows))
    volatility, known = model_volatilities(sample, surface, correction_at)
    errors, flat = relative_errors(sample, volatility), relative_errors(sample, sample.now.dvol)
    for month in sorted(set(sample.months[known].tolist())):
        here = known & (sample.months == month)
        mids = sample.rows.mid_coin[here]
        yield MonthError(
            month=month,
            rows=int(here.sum()),
            model=_median(np.abs(errors[here])),
            model_from_7=_median(np.abs(errors[here & (sample.rows.days >= 7.0)])),
            bias=_median(errors[here]),
            flat=_median(np.abs(flat[here])),
            premium_ratio=float(((1.0 + errors[here]) * mids).sum() / mids.sum()),
        )


def model_volatilities(
    sample: Sample, surface: SurfaceSet, correction_at: CorrectionAt | None = None
) -> tuple[FloatArray, BoolArray]:
    """Volatility of each row, and whether it could be made as asked for."""
    rows, count = sample.rows, len(sample.rows)
    level, skew = np.zeros(count), np.zeros(count)
    known = np.ones(count, dtype=np.bool_)
    if correction_at is not None:
        for at_ms in np.unique(rows.at_ms).tolist():
            here, correction = rows.at_ms == at_ms, correction_at(at_ms)
            known[here] = correction is not None
            if correction is not None:
                level[here], skew[here] = correction.level_at(log_tenor(rows.days[here])), correction.skew
    dvol, y, time_terms = sample.now.dvol, sample.terms[:, 1], sample.terms[:, SHAPE_TERMS:]
    return smiles_of(surface, time_terms, dvol, rows.days, level, skew).volatility(dvol, y), known


def spread_errors(sample: Sample, surface: SurfaceSet) -> Iterator[SpreadError]:
    """Against the spreads around the same mids, calls of delta .05 to .50."""
    quoted = FIT_DELTA.holds(sample.rows.call_delta) & JUDGED_DAYS.holds(sample.rows.days)
    rows = sample.rows.where(quoted & (sample.rows.ask_coin > sample.rows.bid_coin))
    months = np.array(rows.months)
    for month in sorted(set(months.tolist())):
        here = rows.where(months == month)
        era = tick_era(int(here.at_ms[0]))
        model = spreads(surface.spread.law(), here.mid_coin, here.days, era, np.zeros(len(here)))
        real = here.ask_coin - here.bid_coin
        error = float(np.mean(np.abs(np.log(model / real))))
        yield SpreadError(month, len(here), error, float(model.sum() / real.sum()))


def _median(values: FloatArray) -> float:
    return float(np.median(values)) if len(values) else float("nan")
