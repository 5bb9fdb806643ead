"""The gymnasium environment keeps gymnasium's contract, and its mask is the risk engine's word on the real actions."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.envs import registration
from gymnasium.utils.env_checker import check_env

from backtest.env_simulator import CoveredCallEnv
from backtest.environment.actions import ACTION_COUNT, action_of
from backtest.environment.observation import columns
from backtest.gym_env import CoveredCallGymEnv
from paper_exchange.setups import simulated_setup
from risk_engine import judge_action
from tests.builders.configs import a_config

NOTHING, SELL_BTC, CLOSE_BTC, ROLL_BTC = np.int64(0), np.int64(1), np.int64(6), np.int64(8)


def an_environment(steps: int = 3, render_mode: str | None = None) -> CoveredCallGymEnv:
    covered_calls = CoveredCallEnv(a_config(run={"fills": "touch"}), steps=steps)
    return CoveredCallGymEnv(covered_calls, render_mode)


@pytest.mark.filterwarnings("default")  # check_env warns of what is a matter of taste
def test_gymnasium_finds_nothing_wrong_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "registry", {})
    gymnasium.register("CoveredCalls-v0", entry_point="backtest.gym_env:CoveredCallGymEnv", order_enforce=False)
    check_env(
        gymnasium.make("CoveredCalls-v0", render_mode="rgb_array").unwrapped
    )  # made so, all render modes are seen


def test_every_column_has_a_name_of_its_own_a_unit_and_finite_bounds() -> None:
    rows = list(columns())
    assert len({name for name, *_ in rows}) == len(rows) == an_environment().observation_space.shape[0]  # type: ignore[index]
    assert all(unit and np.isfinite((low, high)).all() and low < high for _, unit, low, high in rows)


def test_observations_lie_in_their_space_and_are_new_arrays() -> None:
    environment = an_environment()
    first, _ = environment.reset(seed=1)
    kept = first.copy()
    second, *_ = environment.step(SELL_BTC)
    for seen in (first, second):
        assert environment.observation_space.contains(seen)
    assert first is not second
    assert (first == kept).all()


def test_the_mask_is_the_verdict_of_the_risk_engine_on_each_action() -> None:
    environment = an_environment()
    _, info = environment.reset(seed=1)
    for action in (SELL_BTC, NOTHING):
        state, config = environment.covered_calls._state, environment.covered_calls.config
        assert state is not None
        actions = [action_of(number, state, config) for number in range(ACTION_COUNT)]
        verdicts = [found is not None and judge_action(state, found, config).allowed for found in actions]
        assert info["action_mask"].tolist() == environment.action_masks().tolist() == verdicts
        assert verdicts[0]
        _, _, _, _, info = environment.step(action)


def test_a_call_is_sold_rolled_and_bought_back_by_number() -> None:
    environment = an_environment()
    environment.reset(seed=1)
    statuses = []
    for action in (SELL_BTC, ROLL_BTC, CLOSE_BTC):
        assert environment.action_masks()[action] == 1
        _, _, terminated, truncated, info = environment.step(action)
        statuses.append(info["executed"].status)
    assert statuses == ["filled", "filled", "filled"]
    assert (terminated, truncated) == (False, True)


def test_an_action_that_is_masked_out_does_nothing_and_says_why() -> None:
    environment = an_environment()
    environment.reset(seed=1)
    assert environment.action_masks()[CLOSE_BTC] == 0
    _, reward, _, _, info = environment.step(CLOSE_BTC)
    assert (reward, info["allowed"]) == (0.0, False)
    assert "nothing for action 6" in info["reasons"][0]


@pytest.mark.parametrize("action", [-1, ACTION_COUNT, 0.5, None, "sell"])
def test_what_is_no_action_is_a_type_error(action: object) -> None:
    environment = an_environment()
    environment.reset(seed=1)
    with pytest.raises(TypeError, match="whole number"):
        environment.step(action)  # type: ignore[arg-type]


def test_the_same_seed_draws_the_same_markets_and_each_reset_another() -> None:
    def drawn() -> list[int]:
        environment = an_environment()
        return [environment.reset(seed=seed)[1]["market_seed"] for seed in (7, None, None)]

    assert drawn() == drawn()
    assert len(set(drawn())) == 3


def test_a_market_can_be_asked_for_by_its_seed_and_other_options_are_refused() -> None:
    environment = an_environment()
    assert environment.reset(options={"market_seed": 5})[1]["market_seed"] == 5
    with pytest.raises(ValueError, match="there is market_seed"):
        environment.reset(options={"seed": 5})


def test_only_ruin_terminates() -> None:
    broke = CoveredCallEnv(a_config(), make_setup=lambda seed, _: simulated_setup(seed, {"BTC": 0.0, "ETH": 0.0}))
    environment = CoveredCallGymEnv(broke)
    environment.reset(seed=1)
    assert environment.step(NOTHING)[2:4] == (True, False)


def test_it_shows_itself_in_words_and_as_a_picture() -> None:
    words, picture = an_environment(render_mode="ansi"), an_environment(render_mode="rgb_array")
    for environment in (words, picture):
        environment.reset(seed=1)
        environment.step(SELL_BTC)
    assert "over holding  sold: 0.1 BTC-" in words.render()
    assert (picture.render().shape, picture.render().dtype) == ((120, 240, 3), np.uint8)
