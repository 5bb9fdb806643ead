"""Probability of backtest overfitting: how often the best of the past is below the median afterwards.

In: a table of returns, one row a period, one column a trial. Out: the probability, and what it was computed from.
Combinatorially symmetric cross-validation: the periods are cut into an even number of blocks; each half of them is the
past once, the other half what came after. Pure.

Source: Bailey, Borwein, Lopez de Prado and Zhu, "The Probability of Backtest Overfitting", Journal of Computational
Finance 20(4), 2017. On noise it is .5 in the mean over many tables; a single table may lie far from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from backtest.statistics.samples import Floats, NotEnoughDataError, refuse_gaps

BLOCKS = 16  # as in the paper: 12,870 ways to choose a half
SPLITS_AT_ONCE = 512  # keeps a table of a thousand trials within a few megabytes


@dataclass(frozen=True)
class Overfitting:
    """`probability`: the chosen trial ends in the lower half. `loss_probability`: it then has no Sharpe ratio above 0.

    `logits`: one for each split, ln(w / (1 - w)) with w the chosen trial's rank afterwards over trials + 1.
    """

    probability: float
    loss_probability: float
    logits: Floats


def overfitting(returns: Floats, blocks: int = BLOCKS) -> Overfitting:
    """Judge the choice by Sharpe ratio; periods that fill no block are left out at the start."""
    block_returns = _cut(np.asarray(returns, dtype=np.float64), blocks)
    sums, squares = block_returns.sum(axis=1), (block_returns**2).sum(axis=1)
    periods = block_returns.shape[1] * blocks // 2
    logits, later = [], []
    for past in _halves(blocks):
        chosen = _sharpes(past @ sums, past @ squares, periods).argmax(axis=1)
        after = _sharpes((1.0 - past) @ sums, (1.0 - past) @ squares, periods)
        own = np.take_along_axis(after, chosen[:, None], axis=1)
        share = _mean_rank(after, own) / (after.shape[1] + 1)
        logits.append(np.log(share / (1.0 - share)))
        later.append(own[:, 0])
    all_logits = np.concatenate(logits)
    # A rank exactly in the middle is as much above as below the median.
    probability = float((all_logits < -1e-12).mean() + 0.5 * (np.abs(all_logits) <= 1e-12).mean())
    return Overfitting(probability, float((np.concatenate(later) <= 0.0).mean()), all_logits)


def _cut(returns: Floats, blocks: int) -> Floats:
    """The table as blocks x periods x trials, each trial scaled to a deviation of 1 (the Sharpe ratios stay)."""
    if blocks < 2 or blocks % 2 != 0:
        raise NotEnoughDataError(f"{blocks} blocks cannot be halved: an even number is needed")
    if returns.ndim != 2 or returns.shape[1] < 2 or returns.shape[0] < 2 * blocks:
        raise NotEnoughDataError(f"returns: {returns.shape}, wanted at least {2 * blocks} periods of at least 2 trials")
    refuse_gaps(returns, "returns")
    deviations = returns.std(axis=0)
    flat = np.flatnonzero(~(deviations > 1e-12 * np.abs(returns).max(axis=0)))
    if len(flat) > 0:
        raise NotEnoughDataError(f"trial {flat[0]}: its returns are all the same, it has no Sharpe ratio")
    length = returns.shape[0] // blocks
    kept = (returns / deviations)[returns.shape[0] - length * blocks :]
    return np.asarray(kept.reshape(blocks, length, returns.shape[1]))


def _halves(blocks: int) -> Iterator[Floats]:
    """Every choice of half the blocks as rows of zeros and ones, SPLITS_AT_ONCE rows at a time."""
    chosen = np.array(list(combinations(range(blocks), blocks // 2)))
    for start in range(0, len(chosen), SPLITS_AT_ONCE):
        part = chosen[start : start + SPLITS_AT_ONCE]
        mask = np.zeros((len(part), blocks))
        np.put_along_axis(mask, part, 1.0, axis=1)
        yield mask


def _sharpes(sums: Floats, squares: Floats, periods: int) -> Floats:
    """Sharpe ratios from sums; a half in which nothing moved counts as 0."""
    mean = sums / periods
    variance = squares / periods - mean**2
    moved = variance > 1e-12
    return np.where(moved, mean / np.sqrt(np.where(moved, variance, 1.0)), 0.0)


def _mean_rank(values: Floats, own: Floats) -> Floats:
    """Rank from 1 in each row; equal values share the mean of their ranks."""
    below, equal = (values < own).sum(axis=1), (values == own).sum(axis=1)
    return np.asarray(below + (equal + 1) / 2.0, dtype=np.float64)
