"""CoveredCallEnv keeps what its data sheet says."""

from __future__ import annotations

import pytest

from backtest.env_simulator import CoveredCallEnv
from models import ActionType, AgentState, ProposedAction
from policy_rule_based import decide_action

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
