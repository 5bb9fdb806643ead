"""Which calls may be sold: every filter, the figures of a candidate, the funnel and the near misses.

Filters are tried on one call that passes them all (the builders' usual one, 10 % out of the money) with one thing
changed. `fell_at` names the rule at which the changed call falls, None where it becomes a candidate.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest

from config import AgentConfig
from core.candidates import HARD_RULES, MAX_CANDIDATES, SETTING_RULES, explain_chain, scan_chain, scan_chains
from core.market_context import CoinData
from core.pricing import black76_delta, years_between
from models import (
    ActionType,
    CandidateOption,
    NearMiss,
    OptionInstrument,
    OptionQuote,
    ProposedAction,
)
from risk_engine import judge_action
from state_builder import RawState, assemble_state
from tests.builders.configs import a_config
from tests.builders.states import (
    NOW,
    SPOT_USD,
    a_call,
    a_chain,
    a_coin,
    a_quote,
    a_raw_state,
    simulated_raw,
    some_bars,
    symbol_of,
)

Listed = tuple[OptionInstrument, OptionQuote]


def fell_at(call: Listed, **strategy: Any) -> str | None:
    state = assemble_state(a_raw_state(a_coin(call)), a_config(btc=strategy))
    (funnel,) = state.funnels
    assert funnel.passed == len(state.candidates)
    return next((step.rule for step in funnel.steps if step.rejected), None)


def the_candidate(call: Listed) -> CandidateOption:
    """What becomes of this call where every setting admits it."""
    open_settings = {"dte_min": 0.0, "delta_min": 0.0001, "delta_max": 0.9, "premium_min_usd": 0.0}
    settings = a_config(btc={**open_settings, "max_spread_pct": 200.0}, risk={"price_collar_pct": 50.0})
    (candidate,) = assemble_state(a_raw_state(a_coin(call)), settings).candidates
    return candidate


def delta_of(call: Listed) -> float:
    option, quote = call
    assert quote.mark_iv_fraction is not None
    assert quote.underlying_price_usd is not None
    years = years_between(NOW, option.expiry)
    return black76_delta(quote.underlying_price_usd, option.strike, quote.mark_iv_fraction, years)


# --- what no setting can admit ------------------------------------------------------------------------


def test_an_ordinary_call_passes_every_filter() -> None:
    assert fell_at(a_call()) is None


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"option_type": "put"}, "not_a_call"),
        ({"is_tradable": False}, "not_tradable"),
        ({"contract_size_coin": 10.0}, "not_tradable"),
        ({"expiry": NOW}, "not_tradable"),
        ({"strike": 99_000.0}, "in_the_money"),
        ({"strike": SPOT_USD["BTC"]}, "in_the_money"),
        ({"bid_price_coin": None}, "no_usable_quote"),
        ({"mark_price_coin": None}, "no_usable_quote"),
        ({"mark_price_coin": 0.0}, "no_usable_quote"),
        ({"mark_price_coin": 1.0}, "no_usable_quote"),
        ({"mark_iv_fraction": None}, "no_usable_quote"),
        ({"mark_iv_fraction": 0.0}, "no_usable_quote"),
        ({"underlying_price_usd": None}, "no_usable_quote"),
        ({"ask_price_coin": 0.0099}, "no_usable_quote"),
        ({"quoted_at": NOW - timedelta(seconds=121)}, "no_usable_quote"),
        ({"quoted_at": NOW + timedelta(seconds=121)}, "no_usable_quote"),
        ({"quoted_at": None}, "no_usable_quote"),
    ],
)
def test_what_cannot_be_sold_falls_at_its_own_rule(change: dict[str, Any], rule: str) -> None:
    assert fell_at(a_call(**change)) == rule


@pytest.mark.parametrize(
    "change",
    [
        {"ask_price_coin": None},
        {"ask_price_coin": 0.01},
        {"quoted_at": NOW - timedelta(seconds=120)},
        {"expiry": NOW + timedelta(days=3)},
    ],
)
def test_a_missing_ask_a_locked_book_and_a_quote_just_fresh_enough_are_fine(change: dict[str, Any]) -> None:
    assert fell_at(a_call(**change), delta_min=0.0001) is None


def test_a_call_just_above_the_spot_is_out_of_the_money() -> None:
    assert fell_at(a_call(strike=SPOT_USD["BTC"] + 1.0), delta_max=0.99) is None


def test_a_symbol_that_is_not_listed_cannot_be_traded() -> None:
    stranger = a_coin(chain=a_chain(unlisted=[a_quote()]))
    (funnel,) = assemble_state(a_raw_state(stranger), a_config()).funnels
    assert {step.rule: step.rejected for step in funnel.steps}["not_listed_yet"] == 1


# --- what the settings are about ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "rule"), [(2.99, "dte"), (3.0, None), (3.01, None), (20.99, None), (21.0, None), (21.01, "dte")]
)
def test_days_to_expiry_lie_between_the_two_settings_ends_included(days: float, rule: str | None) -> None:
    call = a_call(expiry=NOW + timedelta(days=days))
    assert fell_at(call, dte_min=3, dte_max=21, delta_min=0.0001, delta_max=0.9) == rule


def test_delta_lies_between_the_two_settings_ends_included() -> None:
    call = a_call()
    delta = delta_of(call)
    assert delta == pytest.approx(0.1438, abs=1e-4)
    assert fell_at(call, delta_min=delta) is None
    assert fell_at(call, delta_max=delta) is None
    assert fell_at(call, delta_min=delta + 1e-9) == "delta"
    assert fell_at(call, delta_max=delta - 1e-9) == "delta"


@pytest.mark.parametrize(("limit", "rule"), [(101.0, None), (100.0, None), (99.9, "spread")])
def test_the_spread_is_at_most_its_limit(limit: float, rule: str | None) -> None:
    assert fell_at(a_call(bid_price_coin=1 / 128, ask_price_coin=3 / 128), max_spread_pct=limit) == rule


@pytest.mark.parametrize(("least", "rule"), [(969.0, None), (970.0, None), (970.01, "premium")])
def test_the_premium_is_at_the_bid_less_the_fee_and_at_least_its_limit(least: float, rule: str | None) -> None:
    # (0.0100 - 0.0003) x 100,000 = 970 USD
    assert fell_at(a_call(), premium_min_usd=least) == rule


@pytest.mark.parametrize(
    ("bid", "ask", "rule"),
    [
        (0.0140, 0.0214, None),  # 15 % under mid is 24.8 % under the mark
        (0.0140, 0.0212, "collar"),  # and here 25.2 %
        (0.0150, 0.0170, None),  # somebody bids at the collar's edge, so less is never taken
        (0.0085, None, None),  # nobody offers: it is asked for at the mark, however low the bid
    ],
)
def test_the_collar_is_judged_at_the_least_a_sale_would_take(bid: float, ask: float | None, rule: str | None) -> None:
    assert fell_at(a_call(bid_price_coin=bid, ask_price_coin=ask, mark_price_coin=0.02), max_spread_pct=50) == rule


def test_what_the_filter_lets_pass_the_risk_engine_does_not_hold_against_its_collar() -> None:
    config = a_config(btc={"premium_min_usd": 0.0, "max_spread_pct": 200.0, "delta_min": 0.001, "delta_max": 0.999})
    passed, sale = 0, ActionType.OPEN_COVERED_CALL
    for ticks in range(1, 40):
        quote = {"bid_price_coin": ticks / 10_000, "ask_price_coin": ticks / 10_000 + 0.001, "mark_price_coin": 0.003}
        state = assemble_state(a_raw_state(a_coin(a_call(**quote))), config)
        for call in state.candidates:
            action = ProposedAction(type=sale, underlying="BTC", symbol=call.symbol, size=0.1, reason="-")
            assert "price_collar" not in {reason.rule for reason in judge_action(state, action, config).reasons}
            passed += 1
    assert 10 < passed < 39


def iv_rv_of(coin: CoinData) -> float | None:
    return assemble_state(a_raw_state(coin), a_config()).markets[0].iv_rv_ratio


def test_iv_over_rv_is_at_least_its_limit() -> None:
    ratio = iv_rv_of(a_coin())
    assert ratio is not None
    assert ratio == pytest.approx(1.783, abs=1e-3)
    assert fell_at(a_call(), ivrv_min=ratio) is None
    assert fell_at(a_call(), ivrv_min=ratio - 0.1) is None
    assert fell_at(a_call(), ivrv_min=ratio + 1e-9) == "ivrv"


@pytest.mark.parametrize(("least", "passed"), [(1.0, 0), (0.001, 0), (0.0, 1)])
def test_unknown_realised_volatility_fails_the_filter_unless_it_is_turned_off(least: float, passed: int) -> None:
    coin = a_coin(bars=some_bars([100_000.0] * 5))
    assert iv_rv_of(coin) is None
    state = assemble_state(a_raw_state(coin), a_config(btc={"ivrv_min": least}))
    assert len(state.candidates) == passed


def test_six_hourly_closes_are_enough_for_the_filter() -> None:
    closes = [100_000.0 * (1.0 + 0.005 * (n % 2)) for n in range(30)]
    assert iv_rv_of(a_coin(bars=some_bars(closes, hours=6.0))) == pytest.approx(2.62, abs=0.01)


# --- the figures of a candidate ---------------------------------------------------------------------------


def test_premium_yields_and_breakeven_by_hand() -> None:
    expiry = NOW + timedelta(days=10)
    call = the_candidate(a_call(expiry=expiry, strike=105_000.0))
    assert call.premium_usd == pytest.approx(970.0)
    assert call.yield_if_flat_pct == pytest.approx(0.97)
    assert call.yield_if_flat_annual_pct == pytest.approx(0.97 * 36.5)
    assert call.yield_if_called_pct == pytest.approx(5.97)
    assert call.breakeven_usd == pytest.approx(99_030.0)
    assert call.spread_pct == pytest.approx(100.0 * 0.001 / 0.0105)
    assert call.mid_price_coin == pytest.approx(0.0105)
    assert call.dte_days == 10.0


def test_the_fee_of_a_cheap_call_is_an_eighth_of_its_bid() -> None:
    call = the_candidate(a_call(bid_price_coin=0.0008, ask_price_coin=0.0009, mark_price_coin=0.0008))
    assert call.premium_usd == pytest.approx(0.0007 * 100_000.0)


def test_without_an_ask_the_mid_is_the_mark_and_the_spread_unknown() -> None:
    call = the_candidate(a_call(ask_price_coin=None))
    assert (call.mid_price_coin, call.spread_pct, call.ask_price_coin) == (0.0105, None, None)


def test_delta_is_black76_on_the_forward_of_the_expiry() -> None:
    call = the_candidate(a_call(underlying_price_usd=101_000.0))
    assert call.delta == delta_of(a_call(underlying_price_usd=101_000.0))
    assert call.delta > delta_of(a_call())


def test_the_five_calls_that_pay_most_a_day_are_the_candidates() -> None:
    bids = [0.004, 0.005, 0.0055, 0.006, 0.0065, 0.007, 0.0075]
    quotes = [{"bid_price_coin": bid, "ask_price_coin": bid + 0.001, "mark_price_coin": bid + 0.0005} for bid in bids]
    calls = [a_call(strike=110_000.0 + n, **quote) for n, quote in enumerate(quotes)]
    state = assemble_state(a_raw_state(a_coin(*calls)), a_config(btc={"max_spread_pct": 200}))
    assert [call.bid_price_coin for call in state.candidates] == bids[:1:-1]
    assert state.funnels[0].passed == len(bids) > MAX_CANDIDATES


# --- the funnel and the near misses -----------------------------------------------------------------------


@cache
@pytest.mark.parametrize("seed", range(1, 6))
def test_funnel_counts_add_up_to_what_is_listed(seed: int) -> None:
    state = assemble_state(simulated_raw(seed, hours=7.0 * seed), a_config())
    for funnel in state.funnels:
        assert [step.rule for step in funnel.steps] == [*HARD_RULES, *SETTING_RULES]
        assert sum(step.rejected for step in funnel.steps) + funnel.passed == funnel.listed > 300
        assert len(state.candidates_for(funnel.underlying)) == min(funnel.passed, MAX_CANDIDATES)


@pytest.mark.parametrize("seed", range(1, 4))
def test_every_option_has_one_reason_and_the_reasons_are_the_funnel(seed: int) -> None:
    raw, config = simulated_raw(seed, hours=11.0 * seed), a_config()
    for coin, market in zip(raw.coins, assemble_state(raw, config).markets, strict=True):
        scan = scan_chain(coin, market, raw.now, config)
        named = explain_chain(coin, market, raw.now, config)
        counts = Counter(named.values())
        assert len(named) == scan.funnel.listed
        assert [counts[step.rule] for step in scan.funnel.steps] == [step.rejected for step in scan.funnel.steps]
        assert counts["passed"] == scan.funnel.passed
        assert {named[call.symbol] for call in scan.candidates} <= {"passed"}


@pytest.mark.parametrize("seed", range(1, 4))
def test_coins_are_scanned_together_as_each_is_alone(seed: int) -> None:
    raw, config = simulated_raw(seed, hours=11.0 * seed), a_config(eth={"dte_min": 1, "delta_max": 0.5, "ivrv_min": 0})
    markets = assemble_state(raw, config).markets
    together = scan_chains(raw.coins, markets, raw.now, config)
    alone = [scan_chain(coin, market, raw.now, config) for coin, market in zip(raw.coins, markets, strict=True)]
    assert [*together] == alone
    assert len(together) == 2


@pytest.mark.parametrize("quoted", [(False, True), (True, False), (False, False)])
def test_a_coin_whose_chain_is_empty_takes_nothing_from_the_other_one(quoted: tuple[bool, bool]) -> None:
    raw, config = simulated_raw(1, hours=5.0), a_config()
    markets, empty = assemble_state(raw, config).markets, a_chain()
    coins = [
        coin if is_quoted else replace(coin, chain=empty) for coin, is_quoted in zip(raw.coins, quoted, strict=True)
    ]
    together = scan_chains(coins, markets, raw.now, config)
    alone = [scan_chain(coin, market, raw.now, config) for coin, market in zip(coins, markets, strict=True)]
    assert [*together] == alone
    assert [len(scan.candidates) > 0 for scan in together] == [*quoted]
    assert scan_chains((), (), raw.now, config) == ()


def test_a_strike_that_the_cached_instruments_do_not_know_yet_has_a_reason_of_its_own() -> None:
    known, closed = a_call(), a_call(strike=120_000.0, is_tradable=False)
    coin = a_coin(chain=a_chain(known, closed, unlisted=[a_quote(symbol_of(strike=130_000.0))]))
    raw, config = a_raw_state(coin), a_config()
    (market,) = assemble_state(raw, config).markets
    reasons = explain_chain(coin, market, raw.now, config)
    assert list(reasons.values()) == ["passed", "not_tradable", "not_listed_yet"]


def test_a_chain_without_options_has_nothing_to_explain() -> None:
    coin = a_coin(chain=a_chain())
    state = assemble_state(a_raw_state(coin), a_config())
    assert (state.candidates, state.near_misses, state.funnels[0].listed) == ((), (), 0)


def test_a_call_is_counted_at_the_first_rule_it_fails_only() -> None:
    call = a_call(expiry=NOW + timedelta(days=1), bid_price_coin=0.0001)
    (funnel,) = assemble_state(a_raw_state(a_coin(call)), a_config()).funnels
    assert {step.rule: step.rejected for step in funnel.steps if step.rejected} == {"dte": 1}


def test_the_three_nearest_misses_are_listed_nearest_first() -> None:
    calls = [a_call(strike=110_000.0 + n, bid_price_coin=0.01 + n / 1000, ask_price_coin=None) for n in range(5)]
    state = assemble_state(a_raw_state(a_coin(*calls)), a_config(btc={"premium_min_usd": 2_000}))
    assert [miss.premium_usd for miss in state.near_misses] == pytest.approx([1_370.0, 1_270.0, 1_170.0])


def test_a_call_that_fails_two_settings_is_no_near_miss() -> None:
    state = assemble_state(a_raw_state(), a_config(btc={"premium_min_usd": 2_000, "delta_min": 0.2}))
    assert state.near_misses == ()


def test_a_call_that_no_setting_could_admit_is_no_near_miss() -> None:
    calls = [a_call(quoted_at=NOW - timedelta(hours=1)), a_call(strike=99_000.0), a_call(is_tradable=False)]
    for call in calls:
        state = assemble_state(a_raw_state(a_coin(call)), a_config(btc={"premium_min_usd": 2_000, "delta_max": 0.99}))
        assert state.near_misses == ()


def test_a_near_miss_names_rule_value_limit_and_change() -> None:
    (miss,) = assemble_state(a_raw_state(), a_config(btc={"premium_min_usd": 1_000})).near_misses
    assert (miss.symbol, miss.rule, miss.limit, miss.change) == (
        symbol_of(),
        "premium",
        1_000.0,
        "BTC_PREMIUM_MIN_USD=970",
    )
    assert miss.value == pytest.approx(970.0)


def test_a_call_outside_the_collar_is_a_near_miss_that_names_the_setting() -> None:
    raw = a_raw_state(a_coin(a_call(bid_price_coin=0.0140, ask_price_coin=0.0190, mark_price_coin=0.02)))
    (miss,) = assemble_state(raw, a_config(btc={"max_spread_pct": 50})).near_misses
    assert (miss.rule, miss.change) == ("collar", "RISK_PRICE_COLLAR_PCT=29.9")
    assert admitted(raw, with_change(a_config(btc={"max_spread_pct": 50}), miss.change), miss)


def test_a_collar_wider_than_the_setting_accepts_is_not_proposed() -> None:
    raw = a_raw_state(a_coin(a_call(bid_price_coin=0.0090, ask_price_coin=0.0100, mark_price_coin=0.02)))
    assert assemble_state(raw, a_config(btc={"max_spread_pct": 50})).near_misses == ()


# Settings that each turn away calls which another value would admit.
STRICT_SETTINGS: tuple[dict[str, float], ...] = (
    {},
    {"delta_min": 0.29},
    {"delta_max": 0.11},
    {"dte_min": 20.0},
    {"dte_max": 4.0},
    {"premium_min_usd": 20_000.0},
    {"max_spread_pct": 0.5},
    {"ivrv_min": 5.0},
    {"delta_min": 0.9, "delta_max": 0.95},
    {"delta_min": 0.0001, "delta_max": 0.0002, "premium_min_usd": 0.0, "max_spread_pct": 200.0, "ivrv_min": 0.0},
)


def with_change(config: AgentConfig, change: str) -> AgentConfig:
    """The settings after a near miss's line went into .env: parsed and checked like any other."""
    name, _, value = change.split(" ")[0].partition("=")
    section, _, field = name.lower().partition("_")
    settings = {part: getattr(config, part).model_dump() for part in ("btc", "eth", "risk")}
    settings[section][field] = value
    return a_config(**settings)


def with_bids_of(raw: RawState, symbol: str) -> RawState:
    """The same market where nobody bids for any other call, so that this one cannot be crowded out."""

    def only_this(coin: CoinData) -> CoinData:
        quotes = coin.chain.quotes
        is_this = np.array([listed == symbol for listed in quotes.symbols])
        bids = replace(quotes, bid_price_coin=np.where(is_this, quotes.bid_price_coin, np.nan))
        return replace(coin, chain=replace(coin.chain, quotes=bids))

    return replace(raw, coins=tuple(map(only_this, raw.coins)))


def admitted(raw: RawState, config: AgentConfig, miss: NearMiss) -> bool:
    state = assemble_state(with_bids_of(raw, miss.symbol), config)
    return [call.symbol for call in state.candidates] == [miss.symbol]


@pytest.mark.parametrize("settings", STRICT_SETTINGS, ids=str)
def test_the_change_a_near_miss_names_really_admits_that_call(settings: dict[str, float]) -> None:
    config, misses = a_config(btc=settings, eth=settings), 0
    for seed in (1, 2, 3):
        raw = simulated_raw(seed, hours=7.0 * seed)
        for miss in assemble_state(raw, config).near_misses:
            assert not admitted(raw, config, miss)
            assert admitted(raw, with_change(config, miss.change), miss), miss
            misses += 1
    assert misses > 2


def test_the_change_for_an_unknown_ratio_turns_the_filter_off() -> None:
    raw = a_raw_state(a_coin(bars=()))
    (miss,) = assemble_state(raw, a_config()).near_misses
    assert (miss.rule, miss.value) == ("ivrv", None)
    assert miss.change.startswith("BTC_IVRV_MIN=0 ")
    assert admitted(raw, with_change(a_config(), miss.change), miss)


@pytest.mark.parametrize(
    ("bid", "ask"), [(0.0162, 0.0213), (0.0117, 0.0118), (0.0333, 0.0667), (0.0081, 0.0109), (0.0271, 0.0434)]
)
def test_the_change_for_a_spread_admits_it_whatever_the_floats_do(bid: float, ask: float) -> None:
    raw = a_raw_state(a_coin(a_call(bid_price_coin=bid, ask_price_coin=ask)))
    config = a_config(btc={"max_spread_pct": 0.1})
    (miss,) = assemble_state(raw, config).near_misses
    assert admitted(raw, with_change(config, miss.change), miss), miss


def test_the_change_for_a_tiny_delta_is_a_setting_that_is_accepted() -> None:
    raw = a_raw_state(a_coin(a_call(strike=200_000.0)))
    (miss,) = assemble_state(raw, a_config()).near_misses
    assert miss.value is not None
    assert 0.0 < miss.value < 0.0001
    assert admitted(raw, with_change(a_config(), miss.change), miss), miss
