"""Which calls may be sold: the filters of a chain, the funnel they make, and the nearest misses.

In: the chain of one coin as columns, its market, the strategy's settings, the time. Out: up to MAX_CANDIDATES
candidates, the rule at which each option falls, how many fell at each, and up to MAX_NEAR_MISSES calls that one change
of a setting would admit. Premiums are USD per contract after the fee, at the bid, or at the price asked where a
side is missing and no bid is required; yields percent of spot. Pure: no network, no disk, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from config import AgentConfig, StrategyConfig
from core.chain import Chain, Quotes, Terms, number_or_none
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
    Underlying,
)

MAX_CANDIDATES = 5
MAX_NEAR_MISSES = 3

HARD_RULES = ("not_listed_yet", "not_a_call", "not_tradable", "in_the_money", "no_usable_quote")
SETTING_RULES = ("dte", "delta", "spread", "collar", "premium", "ivrv")
RULES = (*HARD_RULES, *SETTING_RULES)  # a reason is a position in this row
PASSED = len(RULES)
WIDEST_COLLAR_PCT = 50.0  # what the setting accepts


class _Quoted(NamedTuple):
    """Some options of a chain with what is quoted for them. `rows` are their places in the chain."""

    rows: Integers
    bid: Floats
    ask: Floats
    mark: Floats
    iv: Floats
    forward_usd: Floats

    def where(self, are_kept: Bools) -> _Quoted:
        if are_kept.all():
            return self
        rows, *figures = self
        return _Quoted(rows[are_kept], *(column[are_kept] for column in figures))


class _Calls(NamedTuple):
    """The out-of-the-money calls with a usable quote and the figures that the settings are about, as columns.

    `rows` are their places in the chain.
    """

    rows: Integers
    dte_days: Floats
    delta: Floats
    spread_pct: Floats
    premium_usd: Floats
    mark_price_coin: Floats
    asked_price_coin: Floats
    floor_price_coin: Floats
    tick_size_coin: Floats
    is_offered_at_mark: Bools


class _Check(NamedTuple):
    """A setting and the calls that fail it. `digits`: how finely it is changed; `widest`: the most it accepts."""

    rule: str
    setting: str
    fails: Bools
    values: Floats
    limit: float
    digits: int
    is_of_all_coins: bool = False
    widest: float = math.inf

    def change(self, value: float | None, coin: Underlying) -> str:
        """The line for .env that would admit a call of this value, rounded so that it really does."""
        if value is None:
            return f"{coin}_{self.setting}=0 (IV/RV is not known)"
        name = self.setting if self.is_of_all_coins else f"{coin}_{self.setting}"
        exact = Decimal(repr(value))
        digits = max(self.digits, 1 - exact.adjusted())  # a delta of 0.00004 must not become 0
        rounding = ROUND_FLOOR if value < self.limit else ROUND_CEILING
        return f"{name}={float(exact.quantize(Decimal(1).scaleb(-digits), rounding)):.12g}"


class ChainScan(NamedTuple):
    """What one pass over a chain found. `reasons` has a row for each option: its rule in RULES, or PASSED."""

    candidates: tuple[CandidateOption, ...]
    funnel: FilterFunnel
    near_misses: tuple[NearMiss, ...]
    reasons: Integers


def scan_chain(coin: CoinData, market: MarketSnapshot, now: datetime, config: AgentConfig) -> ChainScan:
    """Every option falls at the first rule it fails, or becomes a candidate; the best MAX_CANDIDATES are kept."""
    reasons, usable = _hard_reasons(coin.chain, market.spot_usd, now, config)
    calls = _measure(coin.chain, usable, market.spot_usd, now, config)
    checks = _checks(calls, config.strategy(coin.underlying), config.risk.price_collar_pct, market.iv_rv_ratio)
    failed = np.array([check.fails for check in checks])
    reasons[calls.rows] = _first_failed(failed, [check.rule for check in checks])
    passed = np.flatnonzero(reasons[calls.rows] == PASSED)
    best = _best(coin.chain, calls.rows, passed, MAX_CANDIDATES, -calls.premium_usd / calls.dte_days)
    return ChainScan(
        candidates=_candidates(coin, calls, best, market.spot_usd),
        funnel=_funnel(coin, reasons, int(calls.is_offered_at_mark[passed].sum())),
        near_misses=_nearest(coin, calls, checks, failed),
        reasons=reasons,
    )


def _best(chain: Chain, rows: Integers, which: Integers, count: int, *keys: Floats) -> list[int]:
    """Some of these rows, at most so many, those with the smallest keys first; symbols decide between equals."""
    if len(which) > count:
        first = keys[0][which]
        which = which[first <= np.partition(first, count - 1)[count - 1]]  # the others need no sorting
    columns = [key[which].tolist() for key in keys]
    symbols = [chain.symbols[row] for row in rows[which].tolist()]
    return [place for *_, place in sorted(zip(*columns, symbols, which.tolist(), strict=True))][:count]


def explain_chain(coin: CoinData, market: MarketSnapshot, now: datetime, config: AgentConfig) -> dict[str, str]:
    """The rule at which each option falls, by symbol; "passed" for those that may be sold."""
    names = (*RULES, "passed")
    reasons = scan_chain(coin, market, now, config).reasons.tolist()
    return {symbol: names[reason] for symbol, reason in zip(coin.chain.symbols, reasons, strict=True)}


def _first_failed(failed: Bools, rules: Sequence[str]) -> Integers:
    """Of each column, the first rule that it fails; one row a rule."""
    numbers = np.array([RULES.index(rule) for rule in rules])
    return np.where(failed.any(axis=0), numbers[failed.argmax(axis=0)], PASSED)


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


def _hard_reasons(chain: Chain, spot_usd: float, now: datetime, config: AgentConfig) -> tuple[Integers, _Quoted]:
    """The reasons so far, and the calls that are left. In the positive form: whatever is not surely fine falls."""
    reasons, calls = _reasons_by_terms(chain.terms).copy(), chain.terms.tradable_calls
    failed = np.array([~(calls.expiry > time_of(now)), ~(calls.strike_usd > spot_usd)])
    reasons[calls.rows] = _first_failed(failed, ("not_tradable", "in_the_money"))
    left = _quoted(chain.quotes, calls.rows[~failed.any(axis=0)])
    are_usable = _are_usable(left, chain.quotes.quoted_at, now, config)
    reasons[left.rows[~are_usable]] = RULES.index("no_usable_quote")
    return reasons, left.where(are_usable)


@lru_cache(maxsize=4)
def _reasons_by_terms(terms: Terms) -> Integers:
    """The same at every moment, as long as the same options are listed."""
    # not listed yet: the chain shows it, the instruments that were read do not
    failed = np.array([~terms.is_listed, ~terms.is_call, ~terms.is_tradable])
    return _first_failed(failed, ("not_listed_yet", "not_a_call", "not_tradable"))


def _quoted(quotes: Quotes, rows: Integers) -> _Quoted:
    return _Quoted(
        rows,
        quotes.bid_price_coin[rows],
        quotes.ask_price_coin[rows],
        quotes.mark_price_coin[rows],
        quotes.mark_iv_fraction[rows],
        quotes.underlying_price_usd[rows],
    )


def _are_usable(shown: _Quoted, quoted_at: Times, now: datetime, config: AgentConfig) -> Bools:
    has_bid = np.isfinite(shown.bid) | (not config.requires_bid)
    is_marked = np.isfinite(shown.forward_usd) & (shown.iv > 0.0) & (shown.mark > 0.0) & (shown.mark < 1.0)
    age_seconds = -seconds_until(quoted_at[shown.rows], time_of(now))
    is_fresh = is_young(age_seconds, config.risk.max_quote_age_seconds)
    return has_bid & is_marked & ~crossed_rows(shown.bid, shown.ask) & is_fresh


# --- what the settings are about ----------------------------------------------------------------


def _measure(chain: Chain, shown: _Quoted, spot_usd: float, now: datetime, config: AgentConfig) -> _Calls:
    """The figures of these calls, all at once."""
    rows, bid, ask, mark, iv, forward_usd = shown
    terms = chain.terms
    seconds_left = seconds_until(terms.expiry[rows], time_of(now))
    asked = asked_rows(bid, ask, mark)
    tick = tick_size_above(asked, terms.tick_size_coin[rows], terms.steps_of(rows))
    rests = are_offered_at_mark(bid, ask, mark, config.requires_bid)
    price = np.where(rests, asked, bid)
    least = sale_floor(np.fmax(bid, 0.0), asked, config.run.order_concession_pct, tick)
    return _Calls(
        rows=rows,
        dte_days=seconds_left / SECONDS_PER_DAY,
        delta=live_call_delta(forward_usd, terms.strike_usd[rows], iv, seconds_left / SECONDS_PER_YEAR),
        spread_pct=spreads_in_pct(bid, ask),
        premium_usd=(price - trade_fee_coin(price, 1.0)) * spot_usd,
        mark_price_coin=mark,
        asked_price_coin=asked,
        floor_price_coin=np.where(rests, asked, least),
        tick_size_coin=tick,
        is_offered_at_mark=rests,
    )


def _checks(calls: _Calls, rules: StrategyConfig, collar_pct: float, iv_rv_ratio: float | None) -> tuple[_Check, ...]:
    """The settings, in the order of the funnel. An unknown IV/RV fails.

    A spread that is not known is no reason to turn a call away: the policy's score counts it as a wide one.
    """
    days, delta, spread, premium = calls.dte_days, calls.delta, calls.spread_pct, calls.premium_usd
    ratio = np.full(len(days), math.nan if iv_rv_ratio is None else iv_rv_ratio)
    is_inside = is_inside_collar(calls.floor_price_coin, calls.mark_price_coin, collar_pct, calls.tick_size_coin)
    below_pct = 100.0 * (1.0 - calls.floor_price_coin / calls.mark_price_coin)
    return (
        _Check("dte", "DTE_MIN", ~(days >= rules.dte_min), days, rules.dte_min, 2),
        _Check("dte", "DTE_MAX", ~(days <= rules.dte_max), days, rules.dte_max, 2),
        _Check("delta", "DELTA_MIN", ~(delta >= rules.delta_min), delta, rules.delta_min, 3),
        _Check("delta", "DELTA_MAX", ~(delta <= rules.delta_max), delta, rules.delta_max, 3),
        _Check("spread", "MAX_SPREAD_PCT", spread > rules.max_spread_pct, spread, rules.max_spread_pct, 1),
        _Check("collar", "RISK_PRICE_COLLAR_PCT", ~is_inside, below_pct, collar_pct, 1, True, WIDEST_COLLAR_PCT),
        _Check("premium", "PREMIUM_MIN_USD", ~(premium >= rules.premium_min_usd), premium, rules.premium_min_usd, 2),
        _Check("ivrv", "IVRV_MIN", (rules.ivrv_min > 0.0) & ~(ratio >= rules.ivrv_min), ratio, rules.ivrv_min, 3),
    )


# --- what comes out -------------------------------------------------------------------------------


def _candidates(coin: CoinData, calls: _Calls, best: Sequence[int], spot_usd: float) -> tuple[CandidateOption, ...]:
    """These calls with all their figures; read from the columns all at once."""
    quotes, rows = coin.chain.quotes, calls.rows[best].tolist()
    columns = (
        quotes.bid_price_coin[rows],
        quotes.ask_price_coin[rows],
        quotes.mark_price_coin[rows],
        quotes.mark_iv_fraction[rows],
        calls.dte_days[best],
        calls.delta[best],
        calls.asked_price_coin[best],
        calls.spread_pct[best],
        calls.floor_price_coin[best],
        calls.tick_size_coin[best],
        calls.premium_usd[best],
        calls.is_offered_at_mark[best],
    )
    found = []
    for row, *figures in zip(rows, *(column.tolist() for column in columns), strict=True):
        option, quoted_at = coin.instruments[quotes.symbols[row]], utc_of(quotes.quoted_at[row])
        found.append(_candidate(option, quoted_at, _Figures(*figures), spot_usd))
    return tuple(found)


class _Figures(NamedTuple):
    """One call, a row of the columns above: NaN where nobody quotes."""

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


def _candidate(option: OptionInstrument, quoted_at: datetime, call: _Figures, spot_usd: float) -> CandidateOption:
    """The figures of one call.

    premium: bid (or the price asked) less fee, at spot. Yield if flat: premium / spot.
    Yield if called: (strike - spot + premium) / spot.
    Breakeven: spot - premium, the price below which holding coin and call loses against today.
    """
    flat_pct = 100.0 * call.premium_usd / spot_usd
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
        yield_if_called_pct=100.0 * (option.strike - spot_usd + call.premium_usd) / spot_usd,
        breakeven_usd=spot_usd - call.premium_usd,
        min_trade_amount_coin=option.min_trade_amount_coin,
        quoted_at=quoted_at,
    )


def _nearest(coin: CoinData, calls: _Calls, checks: Sequence[_Check], failed: Bools) -> tuple[NearMiss, ...]:
    """Of the calls that fail one setting only, those nearest to its limit."""
    missed = np.flatnonzero(failed.sum(axis=0) == 1)
    which = failed[:, missed].argmax(axis=0)  # the check that each of them failed
    values = np.array([check.values for check in checks])[which, missed]
    limits, widest = np.array([(check.limit, check.widest) for check in checks]).T[:, which]
    distances = np.abs(values - limits) / np.maximum(np.abs(limits), 1e-9)  # relative: near misses of all rules compare
    can_be_mended = np.flatnonzero(~(values > widest))
    distances = np.where(np.isnan(distances), math.inf, distances)
    rows, premiums_usd = calls.rows[missed], calls.premium_usd[missed]
    nearest = _best(coin.chain, rows, can_be_mended, MAX_NEAR_MISSES, distances, -premiums_usd)
    return tuple(
        [
            _near_miss(coin, coin.chain.symbols[rows[n]], checks[which[n]], float(values[n]), float(premiums_usd[n]))
            for n in nearest
        ]
    )


def _near_miss(coin: CoinData, symbol: str, check: _Check, shown: float, premium_usd: float) -> NearMiss:
    value = number_or_none(shown)
    return NearMiss(
        symbol=symbol,
        underlying=coin.underlying,
        rule=check.rule,
        value=value,
        limit=check.limit,
        premium_usd=premium_usd,
        change=check.change(value, coin.underlying),
    )
