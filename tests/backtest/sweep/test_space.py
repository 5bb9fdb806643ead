"""What is tried: every combination or a draw, the same again for the same words; a wrong word is a sentence."""

from __future__ import annotations

import re

import pytest

from backtest.sweep.space import Trial, drawn, grid, read_axis, refuse_double_names
from backtest.sweep.trials import constants_of, constants_set
from models import ConfigurationError
from policy_rule_based import decide_action, score
from tests.builders.configs import a_config
from tests.builders.states import a_candidate, a_state

CONSTANTS = ("OWN_POINTS_PER_DELTA",)
POLICIES = ["policy_rule_based"]


def values_of(trials: list[Trial], name: str) -> list[str]:
    return [dict(trial.values)[name] for trial in trials]


def test_a_grid_has_every_value_with_every_other_and_every_policy() -> None:
    axes = [read_axis("DELTA_MAX=0.2, 0.3", CONSTANTS), read_axis("own_points_per_delta=-40,-80,-400", CONSTANTS)]
    trials = grid(["first", "second"], axes)
    assert len(set(trials)) == 2 * 2 * 3
    assert trials[0] == Trial("first", (("DELTA_MAX", "0.2"), ("OWN_POINTS_PER_DELTA", "-40")))


def test_a_name_without_a_coin_is_the_setting_of_both() -> None:
    (trial,) = grid(POLICIES, [read_axis("DTE_MAX=14", CONSTANTS)])
    assert trial.settings == {"BTC_DTE_MAX": "14", "ETH_DTE_MAX": "14"}
    assert trial.constants == {}


def test_a_constant_of_the_policy_is_no_setting() -> None:
    (trial,) = grid(POLICIES, [read_axis("OWN_POINTS_PER_DELTA=-80", CONSTANTS)])
    assert trial.settings == {}
    assert trial.constants == {"OWN_POINTS_PER_DELTA": -80.0}


def test_draws_are_different_trials_as_fine_as_the_range_is_written_and_the_same_for_the_same_seed() -> None:
    axes = [read_axis("BTC_DELTA_MAX=0.15..0.40", CONSTANTS), read_axis("DTE_MAX=7..28", CONSTANTS)]
    trials = drawn(POLICIES, axes, 40, seed=3)
    assert trials == drawn(POLICIES, axes, 40, seed=3) != drawn(POLICIES, axes, 40, seed=4)
    assert trials[:10] == drawn(POLICIES, axes, 10, seed=3)
    assert len(set(trials)) == 40
    assert all(re.fullmatch(r"0\.\d\d", value) for value in values_of(trials, "BTC_DELTA_MAX"))
    assert all(0.15 <= float(value) <= 0.40 for value in values_of(trials, "BTC_DELTA_MAX"))
    assert {int(value) for value in values_of(trials, "DTE_MAX")} <= set(range(7, 29))


def test_a_space_smaller_than_the_draw_gives_all_it_has() -> None:
    assert len(drawn(POLICIES, [read_axis("DTE_MAX=14,21", CONSTANTS)], 40, seed=1)) == 2


def test_another_constant_moves_the_score_and_is_put_back() -> None:
    call = a_candidate()

    def points() -> float:
        return score(call, a_state(), a_config())

    before = points()
    assert constants_of(decide_action)["OWN_POINTS_PER_DELTA"] == 0.0
    with constants_set(decide_action, {"OWN_POINTS_PER_DELTA": -400.0}):
        assert points() == pytest.approx(before - 400.0 * call.delta)
    assert points() == before


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("DELTA_MAXX=0.2", "the nearest valid name is DELTA_MAX"),
        ("BTC_DELTAMAX=0.2", "the nearest valid name is BTC_DELTA_MAX"),
        ("OWN_POINTS_PER_DELTAS=1", "the nearest valid name is OWN_POINTS_PER_DELTA"),
        ("AGENT_SEED=1,2", "no policy becomes better by it"),
        ("DERIBIT_CLIENT_SECRET=a,b", "no policy becomes better by it"),
        ("LLM_API_KEY=a,b", "no policy becomes better by it"),
        ("DELTA_MAX", "wanted DELTA_MAX=VALUE,VALUE or DELTA_MAX=LOW..HIGH"),
        ("DELTA_MAX=0.2,,0.3", "a value is missing"),
        ("DELTA_MAX=0.2,0.2", "0.2 stands there twice"),
        ("DELTA_MAX=0.4..0.2", "from a lower to a higher number"),
        ("DELTA_MAX=low..high", "'low' is not a number"),
        ("OWN_POINTS_PER_DELTA=much", "'much' is not a number"),
    ],
)
def test_what_cannot_be_tried_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        read_axis(text, CONSTANTS)


def test_a_range_in_a_grid_and_a_setting_moved_twice_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="a range needs --random TRIALS"):
        grid(POLICIES, [read_axis("DELTA_MAX=0.1..0.3", CONSTANTS)])
    with pytest.raises(ConfigurationError, match="BTC_DTE_MAX is set twice"):
        refuse_double_names([read_axis("BTC_DTE_MAX=7", CONSTANTS), read_axis("DTE_MAX=14", CONSTANTS)])
