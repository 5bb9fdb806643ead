"""The dice of a simulated hour are numpy's own of the same numbers, made faster."""

from __future__ import annotations

import numpy as np
import pytest

from paper_exchange.simulated.process import dice_of

LARGEST = 2**32 - 1


@pytest.mark.parametrize("numbers", [(0, 0), (7, 490_000), (1, 2, 29_000_000), (LARGEST, LARGEST), (LARGEST + 1, 3)])
def test_they_are_those_that_numpy_makes_of_the_numbers(numbers: tuple[int, ...]) -> None:
    assert dice_of(*numbers).random(5).tolist() == np.random.default_rng(numbers).random(5).tolist()


def test_a_seed_below_zero_is_refused_as_numpy_does() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        dice_of(-1, 490_000)
