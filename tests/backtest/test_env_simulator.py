"""CoveredCallEnv keeps what its data sheet says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backtest.env_simulator import CoveredCallEnv
from backtest.environment.rewards import RewardKind, Worth, reward
from backtest.historical.setup import historical_setup
from models import ActionType, AgentState, ProposedAction
from paper_exchange.setups import Setup, simulated_setup
from policy_rule_based import decide_action
from tests.backtest.surface.histories import START, a_history
from tests.builders.configs import a_config

NOTHING = ProposedAction(type=ActionType.DO_NOTHING, reason="waiting")


def an_environment(steps: int = 3, step_hours: float = 24.0) -> CoveredCallEnv:
    return CoveredCallEnv(seed=1, steps=steps, step_hours=step_hours)


def selling(state: AgentState, size: float) -> ProposedAction:
    symbol = state.candidates_for("BTC")[0].symbol
    kind = ActionType.OPEN_COVERED_CALL
    return ProposedAction(type=kind, underlying="BTC", symbol=symbol, size=size, reason="a sale")


def test_a_reset_gives_a_state_with_both_coins_and_something_to_sell() -> None:
    state = an_environment().reset()
    assert [market.underlying for market in state.markets] == ["BTC", "ETH"]
    assert 0 < len(state.candidates) <= 10


def test_holding_the_coins_alone_earns_nothing() -> None:
    environment = an_environment()
    environment.reset()
    _, reward_usd, done, info = environment.step(NOTHING)
    assert (reward_usd, done, info["equity_coin"]) == (0.0, False, {"BTC": 1.0, "ETH": 10.0})


def test_a_step_lets_its_hours_pass() -> None:
    environment = an_environment(step_hours=6.0)
    before = environment.reset()
    after, *_ = environment.step(NOTHING)
    assert (after.timestamp - before.timestamp).total_seconds() == 6 * 3600


def test_the_reward_is_what_the_call_changed_in_equity_at_the_new_spot() -> None:
    environment = an_environment()
    before = environment.reset()
    after, reward_usd, _, info = environment.step(selling(before, 0.1))
    old, new, market = before.account("BTC"), after.account("BTC"), after.market("BTC")
    assert old is not None
    assert new is not None
    assert market is not None
    assert info["executed"].status == "filled"
    assert reward_usd == pytest.approx((new.equity_coin - old.equity_coin) * market.spot_usd)
    assert reward_usd != 0.0


def test_a_forbidden_action_is_not_carried_out_and_says_why() -> None:
    environment = an_environment()
    state = environment.reset()
    after, _, _, info = environment.step(selling(state, 5.0))
    assert info["allowed"] is False
    assert {reason.split(":")[0] for reason in info["reasons"]} >= {"coverage", "order_size"}
    assert after.short_calls("BTC") == ()


def test_the_last_step_ends_the_episode_and_no_other_follows() -> None:
    environment = an_environment(steps=2)
    environment.reset()
    assert [environment.step(NOTHING)[2] for _ in range(2)] == [False, True]
    with pytest.raises(RuntimeError, match="reset"):
        environment.step(NOTHING)


def test_nothing_can_be_done_before_the_first_reset() -> None:
    with pytest.raises(RuntimeError, match="reset"):
        an_environment().step(NOTHING)


def test_the_same_seed_and_policy_give_the_same_episode() -> None:
    def episode() -> list[tuple[str, float]]:
        environment = an_environment(steps=6)
        state, found, done = environment.reset(), [], False
        while not done:
            state, reward_usd, done, _ = environment.step(decide_action(state, environment.config))
            found.append((state.model_dump_json(), reward_usd))
        return found

    assert episode() == episode()


def test_another_seed_is_another_market() -> None:
    environment = an_environment()
    first, second = environment.reset(1), environment.reset(2)
    environment.step(NOTHING)
    assert first.candidates != second.candidates


@pytest.mark.parametrize(("steps", "step_hours"), [(0, 24.0), (1, 0.0), (1, -1.0)])
def test_an_episode_without_steps_or_time_is_refused(steps: int, step_hours: float) -> None:
    with pytest.raises(ValueError, match="steps must be"):
        CoveredCallEnv(steps=steps, step_hours=step_hours)


# --- actions -------------------------------------------------------------------------------------------


def test_the_dict_of_an_action_is_as_good_as_the_action() -> None:
    one, other = an_environment(), an_environment()
    sale = selling(one.reset(), 0.1)
    other.reset()
    assert one.step(sale)[:3] == other.step(sale.model_dump())[:3]


@pytest.mark.parametrize(
    "action", [0, 1, None, {}, "DO_NOTHING", (), {"type": "SELL", "reason": "?"}, {"type": "DO_NOTHING"}, [NOTHING]]
)
def test_anything_else_is_a_type_error_and_no_step(action: Any) -> None:
    environment = an_environment(steps=1)
    environment.reset()
    with pytest.raises(TypeError, match="ProposedAction or the dict of one") as error:
        environment.step(action)
    assert "decide_action" not in str(error.value)  # no policy was asked
    assert environment.step(NOTHING)[2]  # the one step of the episode is still there


def test_an_action_whose_values_were_smuggled_in_is_a_type_error() -> None:
    environment = an_environment()
    sale = selling(environment.reset(), 0.1).model_copy(update={"size": float("nan")})
    with pytest.raises(TypeError, match="bad_size"):
        environment.step(sale)


# --- rewards -------------------------------------------------------------------------------------------

FIRST = Worth({"BTC": 1.0, "ETH": 10.0}, {"BTC": 90_000.0, "ETH": 3_000.0})
THEN = Worth({"BTC": 1.01, "ETH": 10.0}, {"BTC": 100_000.0, "ETH": 2_000.0})
LAST = Worth({"BTC": 1.01, "ETH": 9.5}, {"BTC": 80_000.0, "ETH": 2_500.0})


@pytest.mark.parametrize(
    ("kind", "first_step", "second_step"),
    [
        ("usd", 1_000.0, -16_450.0),
        ("excess", 1_000.0, -450.0 - 1_000.0),  # 0.01 BTC more, 0.5 ETH less than held at the start
        ("coin", 0.01, -0.5 * 2_500.0 / 80_000.0),
    ],
)
def test_a_reward_is_what_its_name_says(kind: RewardKind, first_step: float, second_step: float) -> None:
    assert reward(kind, FIRST, FIRST, THEN) == pytest.approx(first_step)
    assert reward(kind, FIRST, THEN, LAST) == pytest.approx(second_step)


def test_the_rewards_over_holding_add_up_to_the_excess_of_the_episode() -> None:
    environment = an_environment(steps=8)
    state, total_usd, done = environment.reset(), 0.0, False
    coins: dict[str, float] = {"BTC": 1.0, "ETH": 10.0}
    while not done:
        state, reward_usd, done, info = environment.step(decide_action(state, environment.config))
        total_usd += reward_usd
    spots: dict[str, float] = {market.underlying: market.spot_usd for market in state.markets}
    excess_usd = sum((info["equity_coin"][coin] - coins[coin]) * spots[coin] for coin in coins)
    assert total_usd == pytest.approx(excess_usd)
    assert total_usd != 0.0


def test_a_reward_of_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="coin, usd or excess"):
        CoveredCallEnv(reward_kind="sharpe")  # type: ignore[arg-type]


# --- markets -------------------------------------------------------------------------------------------


def history_of_days(days: float, coins: tuple[str, ...] = ("BTC", "ETH")) -> CoveredCallEnv:
    """An environment on a historical market that ends after so many days."""
    data = a_history(coins=coins)

    def make_setup(seed: int, held: Mapping[str, float]) -> Setup:
        start_coins = {coin: held[coin] for coin in coins}
        return historical_setup(data, START, START + timedelta(days=days), start_coins, seed=seed)

    return CoveredCallEnv(a_config(run={"fills": "touch"}), steps=None, make_setup=make_setup)


def test_an_episode_without_a_number_of_steps_goes_on_to_the_end_of_the_data() -> None:
    environment = history_of_days(3.0)
    environment.reset()
    ends = [environment.step(NOTHING)[3]["ended_by"] for _ in range(4)]
    assert ends == [None, None, None, "data"]


def test_a_historical_market_is_traded_like_any_other_and_the_info_names_it() -> None:
    environment = history_of_days(3.0)
    _, _, _, info = environment.step(selling(environment.reset(), 0.1))
    assert (info["executed"].status, info["market"], info["fills"]) == ("filled", "historical", "touch")


def test_a_coin_that_the_market_does_not_have_is_left_out() -> None:
    environment = history_of_days(2.0, coins=("ETH",))
    state = environment.reset()
    assert [market.underlying for market in state.markets] == ["ETH"]
    assert environment.config.enabled_underlyings == ("ETH",)


def test_times_at_which_no_state_can_be_read_are_passed_over_and_counted() -> None:
    data = a_history()
    gap = slice(24 * 78 + 14, 24 * 81)  # from two hours after the start of the market, two and a half days
    candles = {coin: [*bars[: gap.start], *bars[gap.stop :]] for coin, bars in data.candles.items()}
    holed = replace(data, candles=candles)
    environment = CoveredCallEnv(make_setup=lambda seed, coins: historical_setup(holed, START, None, coins, seed=seed))
    before = environment.reset()
    after, _, done, info = environment.step(NOTHING)
    assert info["unreadable"] > 0
    assert not done
    assert after.timestamp - before.timestamp == timedelta(days=1 + info["unreadable"])


def test_an_account_that_is_worth_nothing_ends_the_episode() -> None:
    environment = CoveredCallEnv(make_setup=lambda seed, _: simulated_setup(seed, {"BTC": 0.0, "ETH": 0.0}))
    environment.reset()
    assert environment.step(NOTHING)[3]["ended_by"] == "ruin"
