"""The probability of overfitting on noise, with a planted edge, and against the definition written out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from backtest.statistics.overfitting import overfitting
from backtest.statistics.samples import Floats, NotEnoughDataError


def noise(seed: int, periods: int = 320, trials: int = 40) -> Floats:
    return np.random.default_rng(seed).normal(size=(periods, trials))


def test_noise_gives_about_a_half() -> None:
    found = [overfitting(noise(seed), blocks=10).probability for seed in range(60)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


def test_a_planted_edge_gives_nearly_nothing() -> None:
    returns = noise(1)
    returns[:, 7] += 0.4
    found = overfitting(returns)
    assert found.probability < 0.05
    assert found.loss_probability < 0.05
    assert len(found.logits) == 12_870


def test_the_definition_written_out_gives_the_same() -> None:
    """Slow and plain: slice, choose, rank."""
    returns = noise(2, periods=60, trials=7)
    blocks = np.split(returns, 6)
    lower = []
    for half in combinations(range(6), 3):
        past = np.concatenate([blocks[index] for index in half])
        after = np.concatenate([blocks[index] for index in range(6) if index not in half])
        best = (past.mean(axis=0) / past.std(axis=0)).argmax()
        later = after.mean(axis=0) / after.std(axis=0)
        rank = 1 + (later < later[best]).sum()
        lower.append(1.0 if rank < 4 else 0.5 if rank == 4 else 0.0)
    assert overfitting(returns, blocks=6).probability == pytest.approx(np.mean(lower), abs=1e-12)


def test_trials_of_different_size_do_not_change_the_answer() -> None:
    """The choice is by Sharpe ratio: a position a thousand times as large is the same trial."""
    returns = noise(3)
    scaled = returns * np.geomspace(1e-3, 1e3, returns.shape[1])
    assert overfitting(scaled, blocks=8).probability == overfitting(returns, blocks=8).probability


def test_periods_that_fill_no_block_are_left_out_at_the_start() -> None:
    returns = noise(4, periods=65)
    assert overfitting(returns, blocks=8).probability == overfitting(returns[1:], blocks=8).probability


def with_a_gap(returns: Floats) -> Floats:
    returns[5, 3] = np.nan
    return returns


def with_a_dead_trial(returns: Floats) -> Floats:
    returns[:, 3] = 0.1
    return returns


@pytest.mark.parametrize(
    ("returns", "blocks", "reason"),
    [
        (noise(5), 7, "cannot be halved"),
        (noise(5, periods=15), 8, "at least 16 periods"),
        (noise(5, trials=1), 8, "at least 2 trials"),
        (with_a_gap(noise(5)), 8, "1 not known, the first at 5, 3"),
        (with_a_dead_trial(noise(5)), 8, "trial 3: .* all the same"),
    ],
)
def test_a_table_that_cannot_be_judged_is_refused(returns: Floats, blocks: int, reason: str) -> None:
    with pytest.raises(NotEnoughDataError, match=reason):
        overfitting(returns, blocks)
