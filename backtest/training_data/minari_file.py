"""The same rows as a dataset of Minari, where that package is installed: episodes of steps, for offline learning.

In: Rows, a folder. Out: a folder that `minari.MinariDataset` opens; None without the package, or without a step. A step
is a decision point; the action is the number of what was done, 0 where the risk engine refused. A row that is no step
(its action has no number, or nothing tells what came of it) ends the episode before it. `infos` hold the mask, the
probabilities and the counterfactuals of the observation they stand at: NaN where not known, never 0. Writes disk.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from backtest.environment.actions import ACTION_COUNT
from backtest.environment.observation import columns
from backtest.training_data.rows import NOT_NUMBERED, Row

try:
    import minari  # type: ignore[import-not-found, unused-ignore]
    from minari.data_collector import EpisodeBuffer  # type: ignore[import-not-found, unused-ignore]
    from minari.dataset.minari_storage import MinariStorage  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    minari = None

DATASET = "minari"
DATASET_ID = "covered-call/decisions-v0"
INFOS = ("action_mask", "probability", "counterfactual_usd")
Figures = NDArray[np.float64]


def write_minari(rows: Sequence[Row], folder: Path) -> Path | None:
    """The dataset in `folder`, in place of one that is there."""
    episodes = list(episodes_of(rows))
    if minari is None or not episodes:
        return None
    target = folder / DATASET
    shutil.rmtree(target, ignore_errors=True)
    about_spaces = {"observation_space": _observation_space(), "action_space": spaces.Discrete(ACTION_COUNT)}
    try:
        storage = MinariStorage.new(target, **about_spaces)
    except ImportError:  # it writes HDF5 by packages that it does not bring
        shutil.rmtree(target, ignore_errors=True)
        return None
    storage.update_episodes(EpisodeBuffer(**_episode(steps)) for steps in episodes)
    about = {"dataset_id": DATASET_ID, "minari_version": minari.__version__, "algorithm_name": "decision log"}
    storage.update_metadata(about)
    return target


def episodes_of(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Steps that follow each other in one run."""
    for (is_step, _, _), found in groupby(rows, lambda row: (_is_step(row), row.source, row.run_id)):
        if is_step:
            yield list(found)


def _is_step(row: Row) -> bool:
    return not math.isnan(row.reward_usd) and (row.is_blocked or row.chosen != NOT_NUMBERED)


def _observation_space() -> spaces.Box:
    lows, highs = zip(*[(low, high) for _, _, low, high in columns()], strict=True)
    return spaces.Box(np.array(lows, dtype=np.float32), np.array(highs, dtype=np.float32))


def _episode(steps: Sequence[Row]) -> dict[str, Any]:
    """One observation and one entry of `infos` more than steps: what was seen after the last one."""
    seen = [*(row.observation for row in steps), steps[-1].next_observation]
    is_end = [row is steps[-1] for row in steps]
    infos = np.stack([*map(_info, steps), _info(None)], axis=1)
    return {
        "observations": np.array(seen, dtype=np.float32),
        "actions": np.array([0 if row.is_blocked else row.chosen for row in steps], dtype=np.int64),
        "rewards": np.array([row.reward_usd for row in steps]),
        "terminations": np.array([row.terminated for row in steps]),
        "truncations": np.array([last and not row.terminated for last, row in zip(is_end, steps, strict=True)]),
        "infos": dict(zip(INFOS, infos, strict=True)),
    }


def _info(row: Row | None) -> Figures:
    """A line each of INFOS: the mask with 0 and 1, the others with NaN where nothing is allowed or known."""
    figures = np.full((len(INFOS), ACTION_COUNT), np.nan)
    figures[0] = 0.0
    for action in () if row is None else row.offered:
        figures[:, action.number] = 1.0, action.probability, action.counterfactual_usd
    return figures
