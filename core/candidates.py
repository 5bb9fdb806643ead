"""Which calls may be sold: the filters of a chain, the funnel they make, and the nearest misses.

In: the chains of the coins as columns, their markets, the strategy's settings, the time. Out: for each coin up to
MAX_CANDIDATES candidates, the rule at which each option falls, how many fell at each, and up to MAX_NEAR_MISSES calls
that one change of a setting would admit. The calls of all coins lie in the same columns, one coin after the other,
because numpy asks as much for a short column as for a long one. Premiums are USD per contract after the fee, at the
bid, or at the price asked where a side is missing and no bid is required; yields percent of spot. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

import numpy as np

from config import AgentConfig, StrategyConfig
from core.chain import Terms, number_or_none
from core.choices.near_misses import Check, Missed, SomeCalls, missed_once, nearest_misses, spans_until
from core.columns import Bools, Floats, Integers, Times, above_zero, seconds_until, time_of, utcs_of
from core.market_context import CoinData
from core.pricing import SECONDS_PER_DAY, SECONDS_PER_YEAR, live_call_delta, tick_size_above, trade_fee_coin
from core.quotes import (
    are_offered_at_mark,
    asked_rows,
    crossed_rows,
    is_inside_collar,
    is_young,
    sale_floor,
    spreads_in_pct,
)
from models import (
    CandidateOption,
    FilterFunnel,
    FunnelStep,
    MarketSnapshot,
    NearMiss,
    Underlying,
)

MAX_CANDIDATES = 5

HARD_RULES = ("not_listed_yet", "not_a_call", "not_tradable", "in_the_money", "no_usable_quote")
SETTING_RULES = ("dte", "delta", "spread", "collar", "premium", "ivrv")
RULES = (*HARD_RULES, *SETTING_RULES)  # a reason is a position in this row
PASSED = len(RULES)
RULES_OF_THE_LIST = HARD_RULES[:3]  # hold as long as the same options are listed
RULES_OF_THE_MOMENT = HARD_RULES[2:]  # a call that has expired is not tradable any more, either
WIDEST_COLLAR_PCT = 50.0  # what the setting accepts


class _Listed(NamedTuple):
    """The tradable calls of all coins, one coin after the other, as they are at every moment.

    `ends`: where those of each coin end; `coin_of`: whose each of them is; `rows`: their places in that coin's chain,
    `places` in all chains laid end to end.
    """

    ends: Integers
    coin_of: Integers
    rows: Integers
    places: Integers
    strike_usd: Floats
    expiry: Times
    min_trade_amount_coin: Floats
    tick_size_coin: Floats
    steps: tuple[tuple[Floats, Floats], ...]

    def some(self, which: Integers, coins: Sequence[CoinData]) -> SomeCalls:
        """Those at these places, the places rising."""
        rows, spans = self.rows.take(which).tolist(), spans_until(which.searchsorted(self.ends).tolist())
        of_coins = zip(coins, spans, strict=True)
        return SomeCalls(which, [coin.chain.symbols[row] for coin, own in of_coins for row in rows[own]], spans)


class _Calls(NamedTuple):
    """What is quoted for each listed call, and the figures that the settings are about; NaN where nobody knows."""

    spot_usd: Floats
    bid_price_coin: Floats
    ask_price_coin: Floats
    mark_price_coin: Floats
    mark_iv_fraction: Floats
    forward_usd: Floats
    quoted_at: Times
    seconds_left: Floats
    dte_days: Floats
    asked_price_coin: Floats
    spread_pct: Floats
    floor_price_coin: Floats
    tick_size_coin: Floats
    premium_usd: Floats
    is_offered_at_mark: Bools


class _Found(NamedTuple):
    """What a pass over all coins found. `reasons` of the listed calls: each one's rule in RULES, or PASSED."""

    listed: _Listed
    calls: _Calls
    delta: Floats
    checks: tuple[Check, ...]
    reasons: Integers
    missed: Missed


class ChainScan(NamedTuple):
    """What a decision needs to know of one chain."""

    candidates: tuple[CandidateOption, ...]
    funnel: FilterFunnel
    near_misses: tuple[NearMiss, ...]


def scan_chains(
    coins: Sequence[CoinData], markets: Sequence[MarketSnapshot], now: datetime, config: AgentConfig
) -> tuple[ChainScan, ...]:
    """Every option falls at the first rule it fails, or becomes a candidate; the best MAX_CANDIDATES are kept."""
    if not coins:
        return ()
    found = _find(coins, markets, now, config)
    passed = found.listed.some(np.flatnonzero(found.reasons == PASSED), coins)
    missed = found.listed.some(found.missed.calls, coins)
    premiums_usd = found.calls.premium_usd.take(missed.places)
    misses = nearest_misses(coins, found.checks, found.missed, missed, premiums_usd)
    return tuple(map(ChainScan, _candidates(coins, found, passed), _funnels(coins, found, passed), misses))


def _find(coins: Sequence[CoinData], markets: Sequence[MarketSnapshot], now: datetime, config: AgentConfig) -> _Found:
    listed = _listed(tuple([coin.chain.terms for coin in coins]))
    calls = _measure(listed, coins, now, config)
    hard_fails = _hard_fails(listed, calls, now, config)
    is_sellable: Bools = ~np.logical_or.reduce(hard_fails)
    delta, checks = _checks(listed, calls, is_sellable, coins, markets, config)
    fails = np.array([check.fails for check in checks])
    rules = (*RULES_OF_THE_MOMENT, *[check.rule for check in checks])
    reasons = _first_failed(np.concatenate((hard_fails, fails)), rules)
    return _Found(listed, calls, delta, checks, reasons, missed_once(checks, fails, is_sellable))


def scan_chain(coin: CoinData, market: MarketSnapshot, now: datetime, config: AgentConfig) -> ChainScan:
    """The same for one coin."""
    return scan_chains((coin,), (market,), now, config)[0]


def explain_chain(coin: CoinData, market: MarketSnapshot, now: datetime, config: AgentConfig) -> dict[str, str]:
    """The rule at which each option falls, by symbol; "passed" for those that may be sold."""
    found, terms = _find((coin,), (market,), now, config), coin.chain.terms
    # not listed yet: the chain shows it, the instruments that were read do not
    failed = np.array([~terms.is_listed, ~terms.is_call, ~terms.is_tradable])
    reasons = _first_failed(failed, RULES_OF_THE_LIST)
    reasons[found.listed.rows] = found.reasons
    names = (*RULES, "passed")
    return {symbol: names[reason] for symbol, reason in zip(coin.chain.symbols, reasons.tolist(), strict=True)}


def _first_failed(failed: Bools, rules: tuple[str, ...]) -> Integers:
    """Of each column, the first rule that it fails; one row a rule."""
    return np.where(failed.any(axis=0), _numbers(rules).take(failed.argmax(axis=0)), PASSED)


@lru_cache(maxsize=4)
def _numbers(rules: tuple[str, ...]) -> Integers:
    return np.array([RULES.index(rule) for rule in rules])


def _funnels(coins: Sequence[CoinData], found: _Found, passed: SomeCalls) -> Iterator[FilterFunnel]:
    are_offered = found.calls.is_offered_at_mark.take(passed.places).tolist()
    for coin, listed, own in zip(coins, spans_until(found.listed.ends.tolist()), passed.spans, strict=True):
        counts = np.bincount(found.reasons[listed], minlength=PASSED + 1) + _counts_by_terms(coin.chain.terms)
        *rejected, count = counts.tolist()
        yield FilterFunnel(
            underlying=coin.underlying,
            listed=len(coin.chain),
            steps=tuple(map(_step, RULES, rejected)),
            passed=count,
            offered_at_mark=are_offered[own].count(True),
        )


@lru_cache(maxsize=4_096)  # the same few hundred, again and again
def _step(rule: str, rejected: int) -> FunnelStep:
    return FunnelStep(rule=rule, rejected=rejected)


# --- what no setting can admit ----------------------------------------------------------------


@lru_cache(maxsize=4)
def _counts_by_terms(terms: Terms) -> Integers:
    """How many fall at RULES_OF_THE_LIST: the same at every moment, as long as the same options are listed."""
    listed, calls = np.count_nonzero(terms.is_listed), np.count_nonzero(terms.is_listed & terms.is_call)
    left = (len(terms.is_listed), int(listed), int(calls), len(terms.tradable_calls.rows))
    fallen = [before - after for before, after in pairwise(left)]
    return np.array(fallen + [0] * (PASSED + 1 - len(fallen)))


@lru_cache(maxsize=2)
def _listed(terms: tuple[Terms, ...]) -> _Listed:
    """The same at every moment, too."""
    calls = [one.tradable_calls for one in terms]
    rows = [one.rows for one in calls]
    starts = accumulate([len(one.is_listed) for one in terms], initial=0)
    most = max(len(one.steps) for one in terms)
    figures = [_lasting(one, most) for one in terms]
    strike_usd, min_trade_amount_coin, tick_size_coin, *steps = np.concatenate(figures, axis=1)
    return _Listed(
        ends=np.cumsum([len(own) for own in rows]),
        coin_of=np.repeat(np.arange(len(terms)), [len(own) for own in rows]),
        rows=np.concatenate(rows),
        places=np.concatenate([own + start for own, start in zip(rows, starts, strict=False)]),
        strike_usd=strike_usd,
        expiry=np.concatenate([one.expiry for one in calls]),
        min_trade_amount_coin=min_trade_amount_coin,
        tick_size_coin=tick_size_coin,
        steps=tuple(zip(steps[::2], steps[1::2], strict=True)),
    )


def _lasting(terms: Terms, steps: int) -> Floats:
    """Of one coin's tradable calls strike, least amount and tick, then of so many steps price and tick: a row each."""
    columns = (terms.strike_usd, terms.min_trade_amount_coin, terms.tick_size_coin)
    return np.array([*columns, *chain.from_iterable(terms.filled_steps(steps))]).take(terms.tradable_calls.rows, axis=1)


def _hard_fails(listed: _Listed, calls: _Calls, now: datetime, config: AgentConfig) -> Bools:
    """Of each of RULES_OF_THE_MOMENT the calls that fail it. Whatever is not surely fine fails."""
    is_alive, is_out_of_the_money = calls.seconds_left > 0.0, listed.strike_usd > calls.spot_usd
    return ~np.array([is_alive, is_out_of_the_money, _are_usable(calls, now, config)])


def _are_usable(calls: _Calls, now: datetime, config: AgentConfig) -> Bools:
    bid, mark = calls.bid_price_coin, calls.mark_price_coin
    has_bid = np.isfinite(bid) | (not config.requires_bid)
    is_marked = np.isfinite(calls.forward_usd) & (calls.mark_iv_fraction > 0.0) & (mark > 0.0) & (mark < 1.0)
    age_seconds = -seconds_until(calls.quoted_at, time_of(now))
    is_fresh = is_young(age_seconds, config.risk.max_quote_age_seconds)
    return has_bid & is_marked & ~crossed_rows(bid, calls.ask_price_coin) & is_fresh


# --- what the settings are about ----------------------------------------------------------------


def _measure(listed: _Listed, coins: Sequence[CoinData], now: datetime, config: AgentConfig) -> _Calls:
    """The figures of the listed calls, all at once; what is quoted may be of no use."""
    quotes, places = [coin.chain.quotes for coin in coins], listed.places
    quoted = np.concatenate([one.figures for one in quotes], axis=1).take(places, axis=1)
    bid, ask, mark, iv, forward_usd = quoted
    mark = above_zero(mark)
    spot_usd = np.array([coin.spot_usd for coin in coins]).take(listed.coin_of)
    seconds_left = seconds_until(listed.expiry, time_of(now))
    asked = asked_rows(bid, ask, mark)
    tick = tick_size_above(asked, listed.tick_size_coin, listed.steps)
    rests = are_offered_at_mark(bid, ask, mark, config.requires_bid)
    price = np.where(rests, asked, bid)
    least = sale_floor(np.fmax(bid, 0.0), asked, config.run.order_concession_pct, tick)
    return _Calls(
        spot_usd=spot_usd,
        bid_price_coin=bid,
        ask_price_coin=ask,
        mark_price_coin=mark,
        mark_iv_fraction=iv,
        forward_usd=forward_usd,
        quoted_at=np.concatenate([one.quoted_at for one in quotes]).take(places),
        seconds_left=seconds_left,
        dte_days=seconds_left / SECONDS_PER_DAY,
        asked_price_coin=asked,
        spread_pct=spreads_in_pct(bid, ask),
        floor_price_coin=np.where(rests, asked, least),
        tick_size_coin=tick,
        premium_usd=(price - trade_fee_coin(price, 1.0)) * spot_usd,
        is_offered_at_mark=rests,
    )


def _checks(
    listed: _Listed,
    calls: _Calls,
    is_sellable: Bools,
    coins: Sequence[CoinData],
    markets: Sequence[MarketSnapshot],
    config: AgentConfig,
) -> tuple[Floats, tuple[Check, ...]]:
    """The deltas, and the settings in the order of the funnel. An unknown IV/RV fails.

    A spread that is not known is no reason to turn a call away: the policy's score counts it as a wide one.
    """
    days, spread, premium, mark = calls.dte_days, calls.spread_pct, calls.premium_usd, calls.mark_price_coin
    collar_pct = config.risk.price_collar_pct
    limits = np.array([_limits(config.strategy(coin.underlying), collar_pct) for coin in coins])
    ratios = np.array([math.nan if market.iv_rv_ratio is None else market.iv_rv_ratio for market in markets])
    dte_min, dte_max, delta_min, delta_max, spread_max, collar, premium_min, ivrv_min = limits.T.take(listed.coin_of, 1)
    ratio = ratios.take(listed.coin_of)
    is_inside = is_inside_collar(calls.floor_price_coin, mark, collar_pct, calls.tick_size_coin)
    below_pct = 100.0 * (1.0 - calls.floor_price_coin / mark)
    dte = (
        Check("dte", "DTE_MIN", ~(days >= dte_min), days, dte_min, 2),
        Check("dte", "DTE_MAX", ~(days <= dte_max), days, dte_max, 2),
    )
    others = (
        Check("spread", "MAX_SPREAD_PCT", spread > spread_max, spread, spread_max, 1),
        Check("collar", "RISK_PRICE_COLLAR_PCT", ~is_inside, below_pct, collar, 1, True, WIDEST_COLLAR_PCT),
        Check("premium", "PREMIUM_MIN_USD", ~(premium >= premium_min), premium, premium_min, 2),
        Check("ivrv", "IVRV_MIN", (ivrv_min > 0.0) & ~(ratio >= ivrv_min), ratio, ivrv_min, 3),
    )
    delta = _deltas(listed, calls, is_sellable & ~(_any_fails(dte) & _any_fails(others)))
    deltas = (
        Check("delta", "DELTA_MIN", ~(delta >= delta_min), delta, delta_min, 3),
        Check("delta", "DELTA_MAX", ~(delta <= delta_max), delta, delta_max, 3),
    )
    return delta, (*dte, *deltas, *others)


def _any_fails(checks: Sequence[Check]) -> Bools:
    fails: Bools = np.logical_or.reduce([check.fails for check in checks])
    return fails


def _deltas(listed: _Listed, calls: _Calls, are_wanted: Bools) -> Floats:
    """Of those that are wanted; NaN for the others. Two calls of the standard library each: the dearest figure.

    Nobody asks for that of a call which falls at its days and fails another rule as well: it is no near miss.
    """
    which, deltas = np.flatnonzero(are_wanted), np.full(len(are_wanted), np.nan)
    forward_usd, strike_usd = calls.forward_usd.take(which), listed.strike_usd.take(which)
    years = calls.seconds_left.take(which) / SECONDS_PER_YEAR
    deltas[which] = live_call_delta(forward_usd, strike_usd, calls.mark_iv_fraction.take(which), years)
    return deltas


def _limits(rules: StrategyConfig, collar_pct: float) -> tuple[float, ...]:
    """Of one coin, in the order of the checks."""
    return (
        *(rules.dte_min, rules.dte_max, rules.delta_min, rules.delta_max),
        *(rules.max_spread_pct, collar_pct, rules.premium_min_usd, rules.ivrv_min),
    )


# --- what comes out -------------------------------------------------------------------------------


class _Figures(NamedTuple):
    """One call with its figures: of columns of _Listed and _Calls the entries, NaN where nobody quotes."""

    strike_usd: float
    min_trade_amount_coin: float
    spot_usd: float
    bid_price_coin: float
    ask_price_coin: float
    mark_price_coin: float
    mark_iv_fraction: float
    dte_days: float
    delta: float
    asked_price_coin: float
    spread_pct: float
    floor_price_coin: float
    tick_size_coin: float
    premium_usd: float
    is_offered_at_mark: bool


def _candidates(coins: Sequence[CoinData], found: _Found, passed: SomeCalls) -> Iterator[tuple[CandidateOption, ...]]:
    """Of each coin those that pay the most a day."""
    listed, calls = found.listed, found.calls
    paid_a_day = calls.premium_usd.take(passed.places) / calls.dte_days.take(passed.places)
    best = [*passed.first_few(MAX_CANDIDATES, -paid_a_day)]
    places = passed.places.take([*chain.from_iterable(best)])
    columns = {**listed._asdict(), **calls._asdict(), "delta": found.delta}
    figures = zip(*[columns[name].take(places).tolist() for name in _Figures._fields], strict=True)
    times = zip(utcs_of(listed.expiry.take(places)), utcs_of(calls.quoted_at.take(places)), strict=True)
    rows = zip(times, figures, strict=True)
    for coin, numbers in zip(coins, best, strict=True):
        own = zip(numbers, rows, strict=False)
        yield tuple([_candidate(coin.underlying, passed.symbols[n], *at, _Figures(*row)) for n, (at, row) in own])


def _candidate(coin: Underlying, symbol: str, expiry: datetime, quoted_at: datetime, call: _Figures) -> CandidateOption:
    """The figures of one call.

    premium: bid (or the price asked) less fee, at spot. Yield if flat: premium / spot.
    Yield if called: (strike - spot + premium) / spot.
    Breakeven: spot - premium, the price below which holding coin and call loses against today.
    """
    flat_pct = 100.0 * call.premium_usd / call.spot_usd
    return CandidateOption(
        symbol=symbol,
        underlying=coin,
        strike=call.strike_usd,
        expiry=expiry,
        dte_days=call.dte_days,
        delta=call.delta,
        bid_price_coin=number_or_none(call.bid_price_coin),
        ask_price_coin=number_or_none(call.ask_price_coin),
        mid_price_coin=call.asked_price_coin,
        mark_price_coin=call.mark_price_coin,
        mark_iv_fraction=call.mark_iv_fraction,
        spread_pct=number_or_none(call.spread_pct),
        floor_price_coin=call.floor_price_coin,
        tick_size_coin=call.tick_size_coin,
        premium_usd=call.premium_usd,
        premium_basis="asked" if call.is_offered_at_mark else "bid",
        yield_if_flat_pct=flat_pct,
        yield_if_flat_annual_pct=flat_pct * 365.0 / call.dte_days,
        yield_if_called_pct=100.0 * (call.strike_usd - call.spot_usd + call.premium_usd) / call.spot_usd,
        breakeven_usd=call.spot_usd - call.premium_usd,
        min_trade_amount_coin=call.min_trade_amount_coin,
        quoted_at=quoted_at,
    )
