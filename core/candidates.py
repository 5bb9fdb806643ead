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
from typing import NamedTuple

import numpy as np

from config import AgentConfig, StrategyConfig
from core.chain import Terms, number_or_none
from core.choices.near_misses import Check, Missed, first_few, missed_once, nearest_misses
from core.columns import Bools, Floats, Integers, Times, seconds_until, time_of, utc_of
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
    OptionInstrument,
)

MAX_CANDIDATES = 5

HARD_RULES = ("not_listed_yet", "not_a_call", "not_tradable", "in_the_money", "no_usable_quote")
SETTING_RULES = ("dte", "delta", "spread", "collar", "premium", "ivrv")
RULES = (*HARD_RULES, *SETTING_RULES)  # a reason is a position in this row
NOT_TRADABLE, IN_THE_MONEY, NO_USABLE_QUOTE = map(RULES.index, ("not_tradable", "in_the_money", "no_usable_quote"))
PASSED = len(RULES)
WIDEST_COLLAR_PCT = 50.0  # what the setting accepts


class _Listed(NamedTuple):
    """The tradable calls of all coins, one coin after the other, as they are at every moment.

    `coin_of`: whose each of them is; `rows`: their places in that coin's chain.
    """

    coin_of: Integers
    rows: Integers
    strike_usd: Floats
    expiry: Times
    tick_size_coin: Floats
    steps: tuple[tuple[Floats, Floats], ...]


class _Quoted(NamedTuple):
    """Some of the listed calls with what is quoted for them. `which` are their places among the listed ones."""

    which: Integers
    bid: Floats
    ask: Floats
    mark: Floats
    iv: Floats
    forward_usd: Floats
    quoted_at: Times

    def where(self, are_kept: Bools) -> _Quoted:
        if are_kept.all():
            return self
        kept = np.flatnonzero(are_kept)
        return _Quoted(
            self.which.take(kept),
            self.bid.take(kept),
            self.ask.take(kept),
            self.mark.take(kept),
            self.iv.take(kept),
            self.forward_usd.take(kept),
            self.quoted_at.take(kept),
        )


class _Calls(NamedTuple):
    """The out-of-the-money calls with a usable quote and the figures that the settings are about, as columns.

    `which` are their places among the listed ones, `coin_of` and `rows` as there.
    """

    which: Integers
    coin_of: Integers
    rows: Integers
    spot_usd: Floats
    bid_price_coin: Floats
    ask_price_coin: Floats
    mark_price_coin: Floats
    mark_iv_fraction: Floats
    dte_days: Floats
    delta: Floats
    asked_price_coin: Floats
    spread_pct: Floats
    floor_price_coin: Floats
    tick_size_coin: Floats
    premium_usd: Floats
    is_offered_at_mark: Bools


class ChainScan(NamedTuple):
    """What one pass over a chain found. `reasons` has a row for each option: its rule in RULES, or PASSED."""

    candidates: tuple[CandidateOption, ...]
    funnel: FilterFunnel
    near_misses: tuple[NearMiss, ...]
    reasons: Integers


def scan_chains(
    coins: Sequence[CoinData], markets: Sequence[MarketSnapshot], now: datetime, config: AgentConfig
) -> tuple[ChainScan, ...]:
    """Every option falls at the first rule it fails, or becomes a candidate; the best MAX_CANDIDATES are kept."""
    if not coins:
        return ()
    listed = _listed(tuple([coin.chain.terms for coin in coins]))
    spots_usd = np.array([market.spot_usd for market in markets])
    reasons, usable = _hard_reasons(listed, coins, spots_usd, now, config)
    calls = _measure(listed, usable, spots_usd, now, config)
    checks = _checks(calls, coins, markets, config)
    failed = np.array([check.fails for check in checks])
    reasons[calls.which] = _first_failed(failed, tuple([check.rule for check in checks]))
    found = _Found(listed, reasons, calls, checks, missed_once(checks, failed))
    return tuple([_scan_of(coin, number, found) for number, coin in enumerate(coins)])


class _Found(NamedTuple):
    """What a pass over all coins found. `reasons` of the listed calls, `missed` of those measured."""

    listed: _Listed
    reasons: Integers
    calls: _Calls
    checks: tuple[Check, ...]
    missed: Missed


def _scan_of(coin: CoinData, number: int, found: _Found) -> ChainScan:
    """What was found of one coin."""
    calls, terms = found.calls, coin.chain.terms
    reasons, are_own = _reasons_by_terms(terms).copy(), calls.coin_of == number
    reasons[terms.tradable_calls.rows] = found.reasons[found.listed.coin_of == number]
    passed = np.flatnonzero(are_own & (found.reasons.take(calls.which) == PASSED))
    paid_a_day = calls.premium_usd / calls.dte_days
    best = first_few(coin.chain.symbols, calls.rows, passed, MAX_CANDIDATES, -paid_a_day)
    return ChainScan(
        candidates=tuple(_candidates(coin, calls, best)),
        funnel=_funnel(coin, reasons, int(np.count_nonzero(calls.is_offered_at_mark.take(passed)))),
        near_misses=tuple(nearest_misses(coin, found.checks, found.missed, are_own, calls.rows, calls.premium_usd)),
        reasons=reasons,
    )


def scan_chain(coin: CoinData, market: MarketSnapshot, now: datetime, config: AgentConfig) -> ChainScan:
    """The same for one coin."""
    return scan_chains((coin,), (market,), now, config)[0]


def explain_chain(coin: CoinData, market: MarketSnapshot, now: datetime, config: AgentConfig) -> dict[str, str]:
    """The rule at which each option falls, by symbol; "passed" for those that may be sold."""
    names = (*RULES, "passed")
    reasons = scan_chain(coin, market, now, config).reasons.tolist()
    return {symbol: names[reason] for symbol, reason in zip(coin.chain.symbols, reasons, strict=True)}


def _first_failed(failed: Bools, rules: tuple[str, ...]) -> Integers:
    """Of each column, the first rule that it fails; one row a rule."""
    return np.where(failed.any(axis=0), _numbers(rules).take(failed.argmax(axis=0)), PASSED)


@lru_cache(maxsize=4)
def _numbers(rules: tuple[str, ...]) -> Integers:
    return np.array([RULES.index(rule) for rule in rules])


def _funnel(coin: CoinData, reasons: Integers, offered_at_mark: int) -> FilterFunnel:
    counts: list[int] = np.bincount(reasons, minlength=PASSED + 1).tolist()
    return FilterFunnel(
        underlying=coin.underlying,
        listed=len(coin.chain),
        steps=tuple(map(_step, RULES, counts)),
        passed=counts[PASSED],
        offered_at_mark=offered_at_mark,
    )


@lru_cache(maxsize=4_096)  # the same few hundred, again and again
def _step(rule: str, rejected: int) -> FunnelStep:
    return FunnelStep(rule=rule, rejected=rejected)


# --- what no setting can admit ----------------------------------------------------------------


@lru_cache(maxsize=4)
def _reasons_by_terms(terms: Terms) -> Integers:
    """The same at every moment, as long as the same options are listed."""
    # not listed yet: the chain shows it, the instruments that were read do not
    failed = np.array([~terms.is_listed, ~terms.is_call, ~terms.is_tradable])
    return _first_failed(failed, ("not_listed_yet", "not_a_call", "not_tradable"))


@lru_cache(maxsize=2)
def _listed(terms: tuple[Terms, ...]) -> _Listed:
    """The same at every moment, too."""
    calls = [one.tradable_calls for one in terms]
    rows = [one.rows for one in calls]
    most = max(len(one.steps) for one in terms)
    steps = [one.filled_steps(most) for one in terms]
    return _Listed(
        coin_of=np.repeat(np.arange(len(terms)), [len(own) for own in rows]),
        rows=np.concatenate(rows),
        strike_usd=np.concatenate([one.strike_usd for one in calls]),
        expiry=np.concatenate([one.expiry for one in calls]),
        tick_size_coin=_joined([one.tick_size_coin for one in terms], rows),
        steps=tuple(
            (_joined([above for above, _ in nth], rows), _joined([tick for _, tick in nth], rows))
            for nth in zip(*steps, strict=True)
        ),
    )


def _joined(columns: Sequence[Floats], rows: Sequence[Integers]) -> Floats:
    """Of a column of each coin its own rows, one coin after the other."""
    return np.concatenate([column.take(own) for column, own in zip(columns, rows, strict=True)])


def _hard_reasons(
    listed: _Listed, coins: Sequence[CoinData], spots_usd: Floats, now: datetime, config: AgentConfig
) -> tuple[Integers, _Quoted]:
    """The reasons so far, and the calls that are left. In the positive form: whatever is not surely fine falls."""
    is_alive = listed.expiry > time_of(now)
    is_out_of_the_money = listed.strike_usd > spots_usd.take(listed.coin_of)
    reasons = np.where(is_alive, np.where(is_out_of_the_money, PASSED, IN_THE_MONEY), NOT_TRADABLE)
    left = _quoted(listed, coins, np.flatnonzero(is_alive & is_out_of_the_money))
    are_usable = _are_usable(left, now, config)
    reasons[left.which[~are_usable]] = NO_USABLE_QUOTE
    return reasons, left.where(are_usable)


def _quoted(listed: _Listed, coins: Sequence[CoinData], which: Integers) -> _Quoted:
    coin_of, rows = listed.coin_of.take(which), listed.rows.take(which)
    parts = [(coin.chain.quotes, rows[coin_of == number]) for number, coin in enumerate(coins)]
    return _Quoted(
        which,
        np.concatenate([quotes.bid_price_coin.take(own) for quotes, own in parts]),
        np.concatenate([quotes.ask_price_coin.take(own) for quotes, own in parts]),
        np.concatenate([quotes.mark_price_coin.take(own) for quotes, own in parts]),
        np.concatenate([quotes.mark_iv_fraction.take(own) for quotes, own in parts]),
        np.concatenate([quotes.underlying_price_usd.take(own) for quotes, own in parts]),
        np.concatenate([quotes.quoted_at.take(own) for quotes, own in parts]),
    )


def _are_usable(shown: _Quoted, now: datetime, config: AgentConfig) -> Bools:
    has_bid = np.isfinite(shown.bid) | (not config.requires_bid)
    is_marked = np.isfinite(shown.forward_usd) & (shown.iv > 0.0) & (shown.mark > 0.0) & (shown.mark < 1.0)
    age_seconds = -seconds_until(shown.quoted_at, time_of(now))
    is_fresh = is_young(age_seconds, config.risk.max_quote_age_seconds)
    return has_bid & is_marked & ~crossed_rows(shown.bid, shown.ask) & is_fresh


# --- what the settings are about ----------------------------------------------------------------


def _measure(listed: _Listed, shown: _Quoted, spots_usd: Floats, now: datetime, config: AgentConfig) -> _Calls:
    """The figures of these calls, all at once."""
    which, bid, ask, mark, iv, forward_usd, _ = shown
    coin_of = listed.coin_of.take(which)
    spot_usd = spots_usd.take(coin_of)
    seconds_left = seconds_until(listed.expiry.take(which), time_of(now))
    asked = asked_rows(bid, ask, mark)
    steps = [(above.take(which), tick.take(which)) for above, tick in listed.steps]
    tick = tick_size_above(asked, listed.tick_size_coin.take(which), steps)
    rests = are_offered_at_mark(bid, ask, mark, config.requires_bid)
    price = np.where(rests, asked, bid)
    least = sale_floor(np.fmax(bid, 0.0), asked, config.run.order_concession_pct, tick)
    years = seconds_left / SECONDS_PER_YEAR
    return _Calls(
        which=which,
        coin_of=coin_of,
        rows=listed.rows.take(which),
        spot_usd=spot_usd,
        bid_price_coin=bid,
        ask_price_coin=ask,
        mark_price_coin=mark,
        mark_iv_fraction=iv,
        dte_days=seconds_left / SECONDS_PER_DAY,
        delta=live_call_delta(forward_usd, listed.strike_usd.take(which), iv, years),
        asked_price_coin=asked,
        spread_pct=spreads_in_pct(bid, ask),
        floor_price_coin=np.where(rests, asked, least),
        tick_size_coin=tick,
        premium_usd=(price - trade_fee_coin(price, 1.0)) * spot_usd,
        is_offered_at_mark=rests,
    )


def _checks(
    calls: _Calls, coins: Sequence[CoinData], markets: Sequence[MarketSnapshot], config: AgentConfig
) -> tuple[Check, ...]:
    """The settings, in the order of the funnel. An unknown IV/RV fails.

    A spread that is not known is no reason to turn a call away: the policy's score counts it as a wide one.
    """
    days, delta, spread, premium = calls.dte_days, calls.delta, calls.spread_pct, calls.premium_usd
    collar_pct, mark = config.risk.price_collar_pct, calls.mark_price_coin
    limits = np.array([_limits(config.strategy(coin.underlying), collar_pct) for coin in coins])
    ratios = np.array([math.nan if market.iv_rv_ratio is None else market.iv_rv_ratio for market in markets])
    dte_min, dte_max, delta_min, delta_max, spread_max, collar, premium_min, ivrv_min = limits.T.take(calls.coin_of, 1)
    ratio = ratios.take(calls.coin_of)
    is_inside = is_inside_collar(calls.floor_price_coin, mark, collar_pct, calls.tick_size_coin)
    below_pct = 100.0 * (1.0 - calls.floor_price_coin / mark)
    return (
        Check("dte", "DTE_MIN", ~(days >= dte_min), days, dte_min, 2),
        Check("dte", "DTE_MAX", ~(days <= dte_max), days, dte_max, 2),
        Check("delta", "DELTA_MIN", ~(delta >= delta_min), delta, delta_min, 3),
        Check("delta", "DELTA_MAX", ~(delta <= delta_max), delta, delta_max, 3),
        Check("spread", "MAX_SPREAD_PCT", spread > spread_max, spread, spread_max, 1),
        Check("collar", "RISK_PRICE_COLLAR_PCT", ~is_inside, below_pct, collar, 1, True, WIDEST_COLLAR_PCT),
        Check("premium", "PREMIUM_MIN_USD", ~(premium >= premium_min), premium, premium_min, 2),
        Check("ivrv", "IVRV_MIN", (ivrv_min > 0.0) & ~(ratio >= ivrv_min), ratio, ivrv_min, 3),
    )


def _limits(rules: StrategyConfig, collar_pct: float) -> tuple[float, ...]:
    """Of one coin, in the order of the checks."""
    return (
        *(rules.dte_min, rules.dte_max, rules.delta_min, rules.delta_max),
        *(rules.max_spread_pct, collar_pct, rules.premium_min_usd, rules.ivrv_min),
    )


# --- what comes out -------------------------------------------------------------------------------


class _Figures(NamedTuple):
    """One call with its figures: of columns of _Calls the entries, under the same names, NaN where nobody quotes."""

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


def _candidates(coin: CoinData, calls: _Calls, best: Sequence[int]) -> Iterator[CandidateOption]:
    quotes = coin.chain.quotes
    columns = [getattr(calls, name) for name in _Figures._fields]
    for place in best:
        row, figures = calls.rows.item(place), _Figures._make(column.item(place) for column in columns)
        yield _candidate(coin.instruments[quotes.symbols[row]], utc_of(quotes.quoted_at[row]), figures)


def _candidate(option: OptionInstrument, quoted_at: datetime, call: _Figures) -> CandidateOption:
    """The figures of one call.

    premium: bid (or the price asked) less fee, at spot. Yield if flat: premium / spot.
    Yield if called: (strike - spot + premium) / spot.
    Breakeven: spot - premium, the price below which holding coin and call loses against today.
    """
    flat_pct = 100.0 * call.premium_usd / call.spot_usd
    return CandidateOption(
        symbol=option.symbol,
        underlying=option.underlying,
        strike=option.strike,
        expiry=option.expiry,
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
        yield_if_called_pct=100.0 * (option.strike - call.spot_usd + call.premium_usd) / call.spot_usd,
        breakeven_usd=call.spot_usd - call.premium_usd,
        min_trade_amount_coin=option.min_trade_amount_coin,
        quoted_at=quoted_at,
    )
