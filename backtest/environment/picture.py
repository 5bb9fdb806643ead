"""A line as a picture, without a library for charts.

In: numbers, oldest first. Out: an array of HEIGHT x WIDTH x 3 bytes: zero in grey, the line in green above it and
red below. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 120, 240
WHITE, GREY, GREEN, RED = (255, 255, 255), (190, 190, 190), (20, 140, 60), (190, 40, 40)


def picture_of(values: Sequence[float]) -> NDArray[np.uint8]:
    """The numbers spread over the width, scaled so that the largest just fits; zero is in the middle."""
    picture = np.full((HEIGHT, WIDTH, 3), WHITE, dtype=np.uint8)
    middle = HEIGHT // 2
    picture[middle] = GREY
    largest = max((abs(value) for value in values), default=0.0) or 1.0
    line = np.interp(np.linspace(0, len(values) - 1, WIDTH), np.arange(len(values)), values)
    for column, value in enumerate(line.tolist()):
        row = middle - round(value / largest * (middle - 1))
        picture[row, column] = GREEN if value >= 0.0 else RED
    return picture
