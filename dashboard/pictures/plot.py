"""A chart as SVG that fits any width: words keep their size, lines are stretched. Pure.

In: figures. Out: SVG text without styles of its own (classes alone: the content policy drops inline styles, silently).
x is percent of the width, y pixels. Lines stand in an inner picture that is stretched, with strokes that are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

TOP_PX, BOTTOM_PX = 14.0, 18.0
UNITS = 1000.0  # of the inner picture, from left to right
NICE_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass
class Plot:
    """A frame of so many pixels in height; later parts are drawn over earlier ones."""

    height_px: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    label: str
    bottom_px: float = BOTTOM_PX
    parts: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)  # drawn last: no line runs over them

    def x(self, value: float) -> float:
        """Percent of the width."""
        low, high = self.x_range
        return 100.0 * min(1.0, max(0.0, (value - low) / ((high - low) or 1.0)))

    def y(self, value: float) -> float:
        """Pixels from the top."""
        low, high = self.y_range
        room_px = self.height_px - TOP_PX - self.bottom_px
        return TOP_PX + room_px * (1.0 - min(1.0, max(0.0, (value - low) / ((high - low) or 1.0))))

    def line(self, points: Iterable[tuple[float, float]], kind: str, is_filled: bool = False) -> None:
        """A line through points; filled down to the lowest value where asked."""
        at = [f"{self.x(x) / 100.0 * UNITS:.1f},{self.y(y):.1f}" for x, y in points]
        if len(at) < 2:
            return
        floor = self.y(max(self.y_range[0], min(0.0, self.y_range[1])))
        if is_filled:
            ends = f"L{at[-1].partition(',')[0]},{floor:.1f} L{at[0].partition(',')[0]},{floor:.1f}Z"
            self._stretched(f'<path class="area {kind}" d="M{" L".join(at)} {ends}"/>')
        self._stretched(f'<path class="line {kind}" d="M{" L".join(at)}"/>')

    def _stretched(self, inner: str) -> None:
        frame = f'width="100%" height="{self.height_px:g}" viewBox="0 0 {UNITS:g} {self.height_px:g}"'
        self.parts.append(f'<svg {frame} preserveAspectRatio="none" aria-hidden="true">{inner}</svg>')

    def level(self, y: float, text: str) -> None:
        """A line across, with its number above it."""
        at = self.y(y)
        self.parts.append(f'<line class="grid" x1="0" x2="100%" y1="{at:.1f}" y2="{at:.1f}"/>')
        self.text(0.0, at - 3.0, text)

    def moment(self, x: float, text: str, kind: str = "grid") -> None:
        """A line upwards, with words under it."""
        at = self.x(x)
        end = self.height_px - self.bottom_px
        self.parts.append(f'<line class="{kind}" x1="{at:.2f}%" x2="{at:.2f}%" y1="{TOP_PX:g}" y2="{end:.1f}"/>')
        self.text(at, end + 12.0, text, _anchor(at))

    def band(self, x1: float, x2: float, kind: str) -> None:
        left, right = self.x(x1), self.x(x2)
        height = self.height_px - TOP_PX - self.bottom_px
        box = f'x="{left:.2f}%" y="{TOP_PX:g}" width="{max(0.1, right - left):.2f}%" height="{height:.1f}"'
        self.parts.append(f'<rect class="{kind}" {box}/>')

    def bar(self, x1: float, x2: float, y: float, kind: str, title: str) -> None:
        """A thick line from x1 to x2, never narrower than can be seen, with words for a pointer that rests on it."""
        left, right = self.x(x1), self.x(x2)
        box = f'x="{left:.2f}%" y="{self.y(y) - 2.5:.1f}" width="{max(0.4, right - left):.2f}%" height="5" rx="1.5"'
        self.parts.append(f'<rect class="{kind}" {box}><title>{escape(title)}</title></rect>')

    def text(self, x_pct: float, y_px: float, text: str, anchor: str = "start") -> None:
        place = f'x="{x_pct:.2f}%" y="{y_px:.1f}" text-anchor="{anchor}"'
        self.words.append(f"<text {place}>{escape(text)}</text>")

    def svg(self) -> Markup:
        head = (
            f'<svg class="plot" width="100%" height="{self.height_px:g}" role="img" aria-label="{escape(self.label)}">'
        )
        return Markup(head + "".join([*self.parts, *self.words]) + "</svg>")


def _anchor(x_pct: float) -> str:
    return "start" if x_pct < 8.0 else "end" if x_pct > 92.0 else "middle"


def nice_levels(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers inside a range."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * nice for nice in NICE_STEPS if size * nice >= rough)
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step) + 1)]


def spread(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """The range of some values with a margin; never empty."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = share * (high - low) or abs(high) * share or 1.0
    return low - margin, high + margin
