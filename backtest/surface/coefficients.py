"""Coefficient sets of the surface: figures in a file, each with where it holds and how far it was off.

In: a JSON file (`backtest/surface_coefficients.json`, or one written by `python -m backtest.calibrate`). Out:
SurfaceSet objects and a SurfaceBook that says which one is used. Reads and writes one file; anything wrong with it is a
SurfaceError that names the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from backtest.surface.conditions import Conditions, Resolution
from backtest.surface.known import BoolArray, FloatArray
from backtest.surface.shape import TERMS
from backtest.surface.spread import SpreadLaw

SHIPPED = Path(__file__).resolve().parents[1] / "surface_coefficients.json"
Coin = Literal["BTC", "ETH"]


class SurfaceError(ValueError):
    """A coefficient file cannot be used; the message says which and why."""


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Figures):
    """From low to high, both included."""

    low: float
    high: float

    def holds(self, values: FloatArray) -> BoolArray:
        """Written in the positive form: NaN is outside."""
        inside: BoolArray = (values >= self.low) & (values <= self.high)
        return inside


class ValidRange(_Figures):
    """Where the fitted chains lay: outside, a quote is extrapolated. Volatilities are fractions."""

    days: Range
    call_delta: Range
    dvol: Range
    excess: Range
    unrest: Range
    trend: Range

    def holds(self, now: Conditions, days: FloatArray, call_deltas: FloatArray) -> BoolArray:
        """One answer an option; the moment counts as well as the option."""
        moment = (
            self.dvol.holds(now.dvol)
            & self.excess.holds(now.excess)
            & self.unrest.holds(now.unrest)
            & self.trend.holds(now.trend)
        )
        inside: BoolArray = moment & self.days.holds(days) & self.call_delta.holds(call_deltas)
        return inside


class ErrorFigure(_Figures):
    """Median relative error of the mid, calls of delta .10 to .35, in months that were not fitted."""

    judged_on: str
    days: str
    model_fraction: float
    bias_fraction: float | None = None
    flat_dvol_fraction: float | None = None


class DeltaDaysError(_Figures):
    """The same for one cell of delta and days; the upper ends are not included."""

    call_delta: tuple[float, float]
    days: tuple[float, float]
    rows: int
    model_fraction: float


class SpreadFigures(_Figures):
    """spread = scale * mid ^ mid_power * days ^ days_power, coin; `deviation` of its logarithm around that."""

    scale: float
    mid_power: float
    days_power: float
    deviation: float

    def law(self) -> SpreadLaw:
        """For the formulas."""
        return SpreadLaw(self.scale, self.mid_power, self.days_power, self.deviation)


class SurfaceSet(_Figures):
    """One set: coefficients by term (zero where a term is not used), cap, spread, carry, and what is known of it."""

    name: str
    coin: Coin
    dvol: Resolution
    fitted_on: str
    months: tuple[str, ...]
    terms: dict[str, float]
    cap: float
    carry_fraction: float
    spread: SpreadFigures
    valid: ValidRange
    errors: tuple[ErrorFigure, ...] = ()
    errors_by_cell: tuple[DeltaDaysError, ...] = ()

    def coefficients(self) -> FloatArray:
        """In the order of TERMS."""
        return np.array([self.terms.get(term, 0.0) for term in TERMS])

    def was_fitted_on(self, month: str) -> bool:
        """Whether chains of this month (YYYY-MM) are in the fit, so that errors there are in sample."""
        return month in self.months


class SurfaceBook(_Figures):
    """All sets of a file. Of one coin and resolution the first is used, the others show the band."""

    format: Literal[1] = 1
    source: str
    sets: tuple[SurfaceSet, ...]

    def of(self, coin: str, dvol: Resolution) -> tuple[SurfaceSet, ...]:
        """The set that is used, and then its alternatives."""
        return tuple(found for found in self.sets if found.coin == coin and found.dvol == dvol)

    def chosen(self, coin: str, dvol: Resolution, alternative: int = 0) -> SurfaceSet | None:
        """The set used, or with `alternative` the next one of the band; the last where there are no more."""
        found = self.of(coin, dvol)
        return found[min(alternative, len(found) - 1)] if found else None

    def has_alternative(self, coin: str) -> bool:
        """Whether a coin has a second set for hourly or for daily DVOL."""
        return len(self.of(coin, "hour")) > 1 or len(self.of(coin, "day")) > 1

    def usable(self, coin: str, is_hourly: bool, alternative: int = 0) -> SurfaceSet | None:
        """The set for hourly DVOL where there is both, else the one for daily."""
        hourly = self.chosen(coin, "hour", alternative) if is_hourly else None
        return hourly if hourly is not None else self.chosen(coin, "day", alternative)

    def named(self, name: str) -> SurfaceSet:
        """Raises SurfaceError, naming those there are."""
        for found in self.sets:
            if found.name == name:
                return found
        raise SurfaceError(f"no surface set is called {name}; there are: {', '.join(item.name for item in self.sets)}")


def read_surfaces(path: Path = SHIPPED) -> SurfaceBook:
    """The sets of a file. Raises SurfaceError."""
    try:
        book = SurfaceBook.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SurfaceError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SurfaceError(f"{path}: not a surface file: {place}: {first['msg']}") from error
    unknown = sorted({term for found in book.sets for term in found.terms} - set(TERMS))
    if unknown or not book.sets:
        raise SurfaceError(f"{path}: {'unknown terms ' + ', '.join(unknown) if unknown else 'no sets in it'}")
    return book


def write_surfaces(book: SurfaceBook, path: Path) -> None:
    """Readable JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(_as_text(book), encoding="utf-8")
    unfinished.replace(path)


def _as_text(book: SurfaceBook) -> str:
    """JSON with a line a field of each set: short enough to read, long enough to compare."""
    whole = book.model_dump(mode="json")
    sets = whole.pop("sets")
    blocks = ["   {\n" + ",\n".join(f"    {_pair(*item)}" for item in found.items()) + "\n   }" for found in sets]
    head = "".join(f" {_pair(*item)},\n" for item in whole.items())
    return "{\n" + head + ' "sets": [\n' + ",\n".join(blocks) + "\n ]\n}\n"


def _pair(name: str, value: object) -> str:
    return f"{json.dumps(name)}: {json.dumps(value)}"
