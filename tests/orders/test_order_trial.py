"""Which call the test order of --check --with-order is sent for, and at what prices: never where it could trade."""

from __future__ import annotations

import pytest

from deribit.order_messages import edit_params, order_params
from orders.order_trial import trial_call
from tests.builders.agent import an_order_request
from tests.builders.states import a_ticker, an_instrument, an_order


@pytest.mark.parametrize(
    ("max_price", "first", "second"),
    [(0.0464, 0.046, 0.0455), (0.046, 0.046, 0.0455), (0.0409, 0.0405, 0.04), (0.005, 0.005, 0.0049)],
)
def test_it_is_offered_at_the_highest_tick_of_the_band_and_then_a_tick_lower(
    max_price: float, first: float, second: float
) -> None:
    found = trial_call(an_instrument(), a_ticker(mark_price_coin=second / 2.0, max_price_coin=max_price))
    assert found is not None
    assert (found.first_price_coin, found.second_price_coin) == (first, second)


@pytest.mark.parametrize(("mark", "is_possible"), [(0.0199, True), (0.02, True), (0.0201, False)])
def test_both_prices_are_at_least_twice_the_mark(mark: float, is_possible: bool) -> None:
    ticker = a_ticker(mark_price_coin=mark, max_price_coin=0.0405)
    assert (trial_call(an_instrument(), ticker) is not None) is is_possible


@pytest.mark.parametrize(("bid", "is_possible"), [(None, True), (0.0395, True), (0.04, False), (0.05, False)])
def test_neither_price_meets_a_bid(bid: float | None, is_possible: bool) -> None:
    ticker = a_ticker(mark_price_coin=0.01, max_price_coin=0.0405, bid_price_coin=bid)
    assert (trial_call(an_instrument(), ticker) is not None) is is_possible


@pytest.mark.parametrize("fields", [{"max_price_coin": None}, {"mark_price_coin": 0.0}])
def test_no_call_is_offered_whose_band_or_mark_is_not_known(fields: dict[str, float | None]) -> None:
    assert trial_call(an_instrument(), a_ticker(**{"mark_price_coin": 0.01, "max_price_coin": 0.05, **fields})) is None


def test_a_post_only_order_is_refused_rather_than_moved_and_lives_as_deribit_wants_it() -> None:
    sent = order_params(an_order_request(post_only=True))
    assert (sent["post_only"], sent["reject_post_only"], sent["time_in_force"]) == (True, True, "good_til_cancelled")
    usual = order_params(an_order_request())
    assert (usual["post_only"], usual["reject_post_only"], usual["time_in_force"]) == (False, False, "good_til_day")


@pytest.mark.parametrize("post_only", [True, False])
def test_an_edit_leaves_an_order_post_only_or_not_as_it_was(post_only: bool) -> None:
    sent = edit_params(an_order(post_only=post_only), 0.03)
    assert (sent["post_only"], sent["reject_post_only"]) == (post_only, post_only)
