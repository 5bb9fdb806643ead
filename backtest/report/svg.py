"""A chart of lines as SVG text, without a library and without an address in it. Pure.

In: series of (time, value), oldest first. Out: one <svg> element for a page that defines its colours: the classes
line-1 to line-3, name-1 to name-3, axis and label. Long series are thinned; the first and the last point stay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 70, 8, 24, 22
NAME_WIDTH = 90
LEAST_ROWS = 3  # of the scale
MOST_POINTS = 400


@dataclass(frozen=True)
class Series:
    """One line: what it is called and its points."""

    name: str
    points: Sequence[tuple[datetime, float]]


@dataclass(frozen=True)
class _Frame:
    """From what is drawn to where it is drawn."""

    first: float
    last: float
    low: float
    high: float

    def x(self, seconds: float) -> float:
        return LEFT + (seconds - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return TOP + (self.high - value) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)


def line_chart(title: str, series: Sequence[Series]) -> str:
    """One chart; a sentence where there are not two points."""
    shown = [Series(one.name, thinned(one.points)) for one in series if len(one.points) > 1]
    if not shown:
        return f"<p>{escape(title)}: too few points to draw</p>"
    frame = _frame_of(shown)
    lines = "".join(_line(number, one, frame) for number, one in enumerate(shown, 1))
    names = "".join(_name(number, one) for number, one in enumerate(shown, 1)) if len(shown) > 1 else ""
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{_axes(frame, shown)}{lines}{names}</svg>"
    )


def thinned(points: Sequence[tuple[datetime, float]]) -> list[tuple[datetime, float]]:
    """At most MOST_POINTS of them, evenly, with both ends."""
    if len(points) <= MOST_POINTS:
        return list(points)
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(number * step)] for number in range(MOST_POINTS)]


def _frame_of(series: Sequence[Series]) -> _Frame:
    times = [at.timestamp() for one in series for at, _ in one.points]
    values = [value for one in series for _, value in one.points if math.isfinite(value)]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or max(abs(high), 1.0) * 0.01
    return _Frame(min(times), max(max(times), min(times) + 1.0), low - margin, high + margin)


def _line(number: int, series: Series, frame: _Frame) -> str:
    places = " ".join(f"{frame.x(at.timestamp()):.1f},{frame.y(value):.1f}" for at, value in series.points)
    return f'<polyline class="line-{number}" points="{places}"><title>{escape(series.name)}</title></polyline>'


def _name(number: int, series: Series) -> str:
    """A phone shows no title of a line: its name stands in its colour, above what is drawn."""
    x = LEFT + (number - 1) * NAME_WIDTH
    return f'<text class="label name-{number}" x="{x}" y="{TOP - 10}">{escape(series.name)}</text>'


def _axes(frame: _Frame, series: Sequence[Series]) -> str:
    first, last = series[0].points[0][0], series[0].points[-1][0]
    lines = "".join(
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{frame.y(row):.1f}" y2="{frame.y(row):.1f}"/>'
        f'<text class="label" x="{LEFT - 6}" y="{frame.y(row) + 4:.1f}" text-anchor="end">{label}</text>'
        for row, label in scale(frame.low, frame.high)
    )
    return (
        f'{lines}<text class="label" x="{LEFT}" y="{HEIGHT - 6}">{first:%Y-%m-%d}</text>'
        f'<text class="label" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{last:%Y-%m-%d}</text>'
    )


def scale(low: float, high: float) -> list[tuple[float, str]]:
    """Round values between the two, in steps of 1, 2 or 5 times a power of ten, with as many decimals as a step has.

    Labels are short: one that reached over the edge would lose its sign first.
    """
    power = math.floor(math.log10(high - low))
    steps = [times * 10.0**exponent for exponent in (power, power - 1) for times in (5.0, 2.0, 1.0)]
    step = next(step for step in steps if len(_multiples(step, low, high)) >= LEAST_ROWS)
    decimals = max(0, -math.floor(math.log10(step * 1.001)))
    return [(number * step, f"{number * step:,.{decimals}f}") for number in _multiples(step, low, high)]


def _multiples(step: float, low: float, high: float) -> range:
    return range(math.ceil(low / step), math.floor(high / step) + 1)
