"""The score: parts that are named, add up, and follow the weights of the settings."""

from __future__ import annotations

from typing import Any

import pytest

from core.choices.scoring import buy_back_parts, sale_parts, total
from models import CandidateOption
from tests.builders.configs import a_config
from tests.builders.states import a_candidate, a_market, a_short_call

ONLY_OLD_PARTS = {"yield": 32.7, "delta": -8.0, "spread": -1.9}  # of the builders' call, by the default weights


def parts_of(call: CandidateOption, market: dict[str, Any] | None = None, **weights: float) -> dict[str, float]:
    found = sale_parts(call, None if market is None else a_market(**market), a_config(score=weights))
    return {part.name: part.points for part in found}


def test_by_default_yield_delta_and_spread_count_and_add_up() -> None:
    assert parts_of(a_candidate()) == pytest.approx(ONLY_OLD_PARTS)
    assert total(sale_parts(a_candidate(), None, a_config())) == pytest.approx(22.8)


@pytest.mark.parametrize(
    ("weights", "name", "points"),
    [
        ({"target_delta_points": -100.0, "target_delta": 0.25}, "target_delta", -5.0),
        ({"target_days_points": -2.0, "target_days": 10.0}, "target_days", -2.0 * abs(a_candidate().dte_days - 10.0)),
        ({"iv_rv_points": 10.0}, "iv_rv", 2.5),  # IV 0.5 over RV 0.4
        ({"regime_delta_points": -40.0}, "regime", -8.0),  # a bull market: a low delta is preferred
        ({"one_sided_points": -5.0}, "one_sided", 0.0),
    ],
)
def test_a_weight_that_is_set_adds_its_part(weights: dict[str, float], name: str, points: float) -> None:
    parts = parts_of(a_candidate(), {"rv_fraction": 0.4, "regime": "bull"}, **weights)
    assert parts.keys() - ONLY_OLD_PARTS.keys() == {name}
    assert parts[name] == pytest.approx(points)


@pytest.mark.parametrize("weight", ["iv_rv_points", "regime_delta_points"])
@pytest.mark.parametrize("market", [None, {"rv_fraction": None, "regime": None}])
def test_a_figure_that_is_not_known_has_no_part(market: dict[str, Any] | None, weight: str) -> None:
    assert parts_of(a_candidate(), market, **{weight: 10.0}) == pytest.approx(ONLY_OLD_PARTS)


def test_a_bear_market_turns_the_sign_of_its_part_and_a_sideways_one_counts_nothing() -> None:
    by_regime = [parts_of(a_candidate(), {"regime": name}, regime_delta_points=10.0)["regime"] for name in REGIMES]
    assert by_regime == [2.0, 0.0, -2.0]


REGIMES = ("bull", "sideways", "bear")


def test_a_call_offered_at_the_mark_counts_its_missing_side() -> None:
    call = a_candidate(bid_price_coin=None, spread_pct=None, premium_basis="asked")
    assert parts_of(call, one_sided_points=-5.0)["one_sided"] == -5.0


def test_buying_back_takes_away_what_the_call_would_still_earn_and_its_risk() -> None:
    held = a_short_call(ask_price_coin=0.0100, strike=110_000.0, dte_days=10.0, size=0.1, delta=-0.02)
    parts = {part.name: part.points for part in buy_back_parts(held, 100_000.0, a_config().score)}
    assert parts["yield"] == pytest.approx(-100.0 * (0.0100 + 0.0003) * 36.5)
    assert parts["delta"] == pytest.approx(8.0)  # the delta of one contract is 0.2


def test_what_a_call_in_the_money_is_worth_at_expiry_is_not_counted_as_earned() -> None:
    held = a_short_call(ask_price_coin=0.1100, strike=90_000.0, dte_days=10.0)
    parts = {part.name: part.points for part in buy_back_parts(held, 100_000.0, a_config().score)}
    assert parts["yield"] == pytest.approx(-100.0 * (0.1100 + 0.0003 - 0.1) * 36.5)
