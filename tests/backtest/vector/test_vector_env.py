"""The vector environment keeps gymnasium's contract: shapes, ends, the step after an end, seeds, what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from backtest.vector_env import CoveredCallVectorEnv
from core.columns import Integers
from tests.builders.configs import a_config

STEPS, SEEDS, COUNT = 3, (1, 2), 6
SELL_BTC = np.full(COUNT, 1)
NOTHING = np.zeros(COUNT, dtype=np.int64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the bank of these tests is kept, so that it is built once."""
    return tmp_path_factory.mktemp("bank")


def an_environment(folder: Path, count: int = COUNT) -> CoveredCallVectorEnv:
    return CoveredCallVectorEnv(count, a_config(), SEEDS, STEPS, folder=folder)


def test_spaces_hold_what_comes_out_and_the_kind_of_reset_is_declared(folder: Path) -> None:
    environment = an_environment(folder)
    seen, info = environment.reset(seed=1)
    assert environment.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert environment.observation_space.contains(seen)
    assert environment.single_observation_space.shape == seen.shape[1:]
    assert info["action_mask"].shape == (COUNT, 23)
    seen, rewards, ruined, over, _ = environment.step(environment.action_space.sample())
    assert environment.observation_space.contains(seen)
    assert rewards.shape == ruined.shape == over.shape == (COUNT,)


def test_the_step_after_the_last_begins_anew_whatever_the_action(folder: Path) -> None:
    environment = an_environment(folder)
    first, _ = environment.reset(options={"market_seeds": [1] * COUNT})
    ends = [environment.step(SELL_BTC)[3].all() for _ in range(STEPS)]
    seen, rewards, ruined, over, info = environment.step(SELL_BTC)
    assert ends == [False, False, True]
    assert not np.array([rewards, ruined, over]).any()
    fresh = seen[info["market_seed"] == 1]
    assert (fresh == first[: len(fresh)]).all()
    assert (environment.accounts.balance_coin == environment.accounts.start_coin).all()


def test_an_account_that_is_worth_nothing_is_ruined(folder: Path) -> None:
    broke = a_config(run={"paper_btc_coin": 0.0, "paper_eth_coin": 0.0})
    environment = CoveredCallVectorEnv(2, broke, (1,), 1, folder=folder)
    environment.reset(seed=1)
    _, _, ruined, over, _ = environment.step(np.zeros(2, dtype=np.int64))
    assert ruined.all()
    assert not over.any()


def test_the_same_seed_draws_the_same_markets(folder: Path) -> None:
    environment = an_environment(folder, count=64)
    first, second, other = (environment.reset(seed=seed)[1]["market_seed"].tolist() for seed in (1, 1, 2))
    assert first == second
    assert first != other
    assert set(first) == set(SEEDS)


def test_gymnasiums_statistics_count_its_episodes(folder: Path) -> None:
    environment = RecordEpisodeStatistics(an_environment(folder))
    environment.reset(seed=1)
    infos = [environment.step(NOTHING)[4] for _ in range(2 * STEPS + 1)]
    assert infos[STEPS - 1]["episode"]["l"].tolist() == [STEPS] * COUNT
    assert infos[-1]["episode"]["r"].tolist() == [0.0] * COUNT


@pytest.mark.parametrize("actions", [NOTHING[1:], NOTHING + 23, NOTHING - 1, NOTHING + 0.5, None])
def test_what_are_no_actions_is_a_type_error(actions: Integers, folder: Path) -> None:
    environment = an_environment(folder)
    environment.reset(seed=1)
    with pytest.raises(TypeError, match="6 whole numbers from 0 to 22"):
        environment.step(actions)


def test_what_it_cannot_do_is_refused_with_a_sentence(folder: Path) -> None:
    environment = an_environment(folder)
    with pytest.raises(RuntimeError, match="reset"):
        environment.step(NOTHING)
    with pytest.raises(ValueError, match="there is market_seeds"):
        environment.reset(options={"market_seed": 5})
    with pytest.raises(ValueError, match="of the environment's own"):
        environment.reset(options={"market_seeds": [9] * COUNT})
    with pytest.raises(ValueError, match="above 4"):
        CoveredCallVectorEnv(1, step_hours=1.0)
    with pytest.raises(ValueError, match="no coin is traded"):
        CoveredCallVectorEnv(1, a_config(btc={"enabled": False}, eth={"enabled": False}))


def test_a_bank_is_read_back_as_it_was_and_a_torn_file_is_built_again(folder: Path) -> None:
    built = an_environment(folder).bank
    path = max(folder.glob("bank-*.npz"), key=lambda found: found.stat().st_size)
    written_at = path.stat().st_mtime_ns
    read = an_environment(folder).bank
    assert path.stat().st_mtime_ns == written_at
    assert all(np.array_equal(getattr(built, name), column, equal_nan=True) for name, column in vars(read).items())
    path.write_bytes(path.read_bytes()[:1000])
    assert (an_environment(folder).bank.mark_coin == built.mark_coin).all()
