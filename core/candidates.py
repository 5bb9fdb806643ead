"""Which calls may be sold: the filters of a chain, the funnel they make, and the nearest misses.

In: the chain of one coin, its market, the strategy's settings, the time. Out: up to MAX_CANDIDATES candidates, how many
options fell at each rule, and up to MAX_NEAR_MISSES calls that one change of a setting would admit. Premiums are USD
per contract after the fee, at the bid, or at the price asked where a side is missing and no bid is required; yields
percent of spot. Pure: no network, no disk, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple

from config import AgentConfig
from core.market_context import CoinData
from core.pricing import black76_delta, days_between, tick_size_at, trade_fee_coin, years_between
from core.quotes import (
    asked_price,
    is_crossed,
    is_fresh,
    is_inside_collar,
    is_offered_at_mark,
    mid_price,
    sale_floor,
    spread_in_pct,
)
from models import (
    CandidateOption,
    FilterFunnel,
    FunnelStep,
    MarketSnapshot,
    NearMiss,
    OptionInstrument,
    OptionQuote,
    Underlying,
)

MAX_CANDIDATES = 5
MAX_NEAR_MISSES = 3

HARD_RULES = ("not_listed_yet", "not_a_call", "not_tradable", "in_the_money", "no_usable_quote")
SETTING_RULES = ("dte", "delta", "spread", "collar", "premium", "ivrv")
WIDEST_COLLAR_PCT = 50.0  # what the setting accepts: a call that needs more is no near miss


class _Call(NamedTuple):
    """An out-of-the-money call with a usable quote and the figures that the settings are about."""

    option: OptionInstrument
    quote: OptionQuote
    dte_days: float
    delta: float
    spread_pct: float | None
    premium_usd: float
    floor_price_coin: float
    tick_size_coin: float
    is_offered_at_mark: bool


class _Failure(NamedTuple):
    """A setting that a call fails; `digits` is how finely a change of it is proposed."""

    rule: str
    setting: str
    value: float | None
    limit: float
    digits: int
    is_of_all_coins: bool = False
    can_be_mended: bool = True

    @property
    def distance(self) -> float:
        """How far off, relative to the limit: to tell a near miss from a far one."""
        return math.inf if self.value is None else abs(self.value - self.limit) / max(abs(self.limit), 1e-9)

    def change(self, coin: Underlying) -> str:
        """The line for .env that would admit the call, rounded so that it really does."""
        if self.value is None:
            return f"{coin}_{self.setting}=0 (IV/RV is not known)"
        name = self.setting if self.is_of_all_coins else f"{coin}_{self.setting}"
        exact = Decimal(repr(self.value))
        digits = max(self.digits, 1 - exact.adjusted())  # a delta of 0.00004 must not become 0
        rounding = ROUND_FLOOR if self.value < self.limit else ROUND_CEILING
        return f"{name}={float(exact.quantize(Decimal(1).scaleb(-digits), rounding)):.12g}"


class ChainScan(NamedTuple):
    """What one pass over a chain found."""

    candidates: tuple[CandidateOption, ...]
    funnel: FilterFunnel
    near_misses: tuple[NearMiss, ...]


def scan_chain(coin: CoinData, market: MarketSnapshot, now: datetime, config: AgentConfig) -> ChainScan:
    """Every option falls at the first rule it fails, or becomes a candidate; the best MAX_CANDIDATES are kept."""
    rejected = dict.fromkeys((*HARD_RULES, *SETTING_RULES), 0)
    passed: list[_Call] = []
    missed: list[tuple[_Failure, _Call]] = []
    for quote in coin.quotes:
        option = coin.instruments.get(quote.symbol)
        rule = _hard_rule(option, quote, market.spot_usd, now, config)
        if option is None or rule is not None:
            rejected[rule or "not_listed_yet"] += 1
            continue
        call = _measure(option, quote, market.spot_usd, now, config)
        failures = list(_failures(call, config, market.iv_rv_ratio))
        if failures:
            rejected[failures[0].rule] += 1
        if len(failures) == 1 and failures[0].can_be_mended:
            missed.append((failures[0], call))
        if not failures:
            passed.append(call)
    funnel = _funnel(coin, rejected, passed)
    return ChainScan(_best(passed, market.spot_usd, now, config), funnel, _nearest(missed, coin.underlying))


def _funnel(coin: CoinData, rejected: Mapping[str, int], passed: list[_Call]) -> FilterFunnel:
    steps = tuple(FunnelStep(rule=rule, rejected=count) for rule, count in rejected.items())
    return FilterFunnel(
        underlying=coin.underlying,
        listed=len(coin.quotes),
        steps=steps,
        passed=len(passed),
        offered_at_mark=len([call for call in passed if call.is_offered_at_mark]),
    )


def _best(passed: list[_Call], spot_usd: float, now: datetime, config: AgentConfig) -> tuple[CandidateOption, ...]:
    """The calls that pay most per day, net of the fee."""
    ranked = sorted(passed, key=lambda call: (-call.premium_usd / call.dte_days, call.option.symbol))
    return tuple(candidate_from(call.option, call.quote, spot_usd, now, config) for call in ranked[:MAX_CANDIDATES])


def _nearest(missed: list[tuple[_Failure, _Call]], coin: Underlying) -> tuple[NearMiss, ...]:
    ranked = sorted(missed, key=lambda pair: (pair[0].distance, -pair[1].premium_usd, pair[1].option.symbol))
    return tuple(
        NearMiss(
            symbol=call.option.symbol,
            underlying=coin,
            rule=failure.rule,
            value=failure.value,
            limit=failure.limit,
            premium_usd=call.premium_usd,
            change=failure.change(coin),
        )
        for failure, call in ranked[:MAX_NEAR_MISSES]
    )


def _hard_rule(
    option: OptionInstrument | None, quote: OptionQuote, spot_usd: float, now: datetime, config: AgentConfig
) -> str | None:
    """What no setting can admit, in the positive form: whatever is not surely fine falls."""
    if option is None:
        return "not_listed_yet"  # the chain shows it, the instruments that were read do not
    if option.option_type != "call":
        return "not_a_call"
    if not (option.is_tradable and option.contract_size_coin == 1.0 and option.expiry > now):
        return "not_tradable"
    if not option.strike > spot_usd:
        return "in_the_money"
    return None if _is_usable(quote, now, config) else "no_usable_quote"


def _is_usable(quote: OptionQuote, now: datetime, config: AgentConfig) -> bool:
    bid, ask, mark = quote.bid_price_coin, quote.ask_price_coin, quote.mark_price_coin
    if bid is None and config.requires_bid:
        return False
    if mark is None or quote.underlying_price_usd is None or not (quote.mark_iv_fraction or 0.0) > 0.0:
        return False
    if quote.quoted_at is None or not is_fresh(quote.quoted_at, now, config.risk.max_quote_age_seconds):
        return False
    return 0.0 < mark < 1.0 and not is_crossed(bid, ask)


def _measure(
    option: OptionInstrument, quote: OptionQuote, spot_usd: float, now: datetime, config: AgentConfig
) -> _Call:
    bid, ask, mark = quote.bid_price_coin, quote.ask_price_coin, quote.mark_price_coin or 0.0
    iv, forward_usd = quote.mark_iv_fraction or 0.0, quote.underlying_price_usd or 0.0
    asked = asked_price(bid, ask, mark)
    tick = tick_size_at(asked, option.tick_size_coin, option.tick_steps)
    rests = is_offered_at_mark(bid, ask, mark, config.requires_bid)
    price = asked if rests else bid or 0.0
    return _Call(
        option=option,
        quote=quote,
        dte_days=days_between(now, option.expiry),
        delta=black76_delta(forward_usd, option.strike, iv, years_between(now, option.expiry)),
        spread_pct=spread_in_pct(bid, ask),
        premium_usd=(price - trade_fee_coin(price, 1.0)) * spot_usd,
        floor_price_coin=asked if rests else sale_floor(bid, asked, config.run.order_concession_pct, tick),
        tick_size_coin=tick,
        is_offered_at_mark=rests,
    )


def _failures(call: _Call, config: AgentConfig, iv_rv_ratio: float | None) -> Iterator[_Failure]:
    """The settings this call fails, in the order of the funnel.

    A spread that is not known is no reason to turn a call away: the policy's score counts it as a wide one.
    """
    rules = config.strategy(call.option.underlying)
    if not call.dte_days >= rules.dte_min:
        yield _Failure("dte", "DTE_MIN", call.dte_days, rules.dte_min, 2)
    elif not call.dte_days <= rules.dte_max:
        yield _Failure("dte", "DTE_MAX", call.dte_days, rules.dte_max, 2)
    if not call.delta >= rules.delta_min:
        yield _Failure("delta", "DELTA_MIN", call.delta, rules.delta_min, 3)
    elif not call.delta <= rules.delta_max:
        yield _Failure("delta", "DELTA_MAX", call.delta, rules.delta_max, 3)
    if call.spread_pct is not None and not call.spread_pct <= rules.max_spread_pct:
        yield _Failure("spread", "MAX_SPREAD_PCT", call.spread_pct, rules.max_spread_pct, 1)
    yield from _outside_collar(call, config.risk.price_collar_pct)
    if not call.premium_usd >= rules.premium_min_usd:
        yield _Failure("premium", "PREMIUM_MIN_USD", call.premium_usd, rules.premium_min_usd, 2)
    if rules.ivrv_min > 0.0 and (iv_rv_ratio is None or not iv_rv_ratio >= rules.ivrv_min):
        yield _Failure("ivrv", "IVRV_MIN", iv_rv_ratio, rules.ivrv_min, 3)


def _outside_collar(call: _Call, collar_pct: float) -> Iterator[_Failure]:
    """What the risk engine would refuse: a sale may end at its floor, and that lies too far below the mark."""
    mark = call.quote.mark_price_coin or 0.0
    if is_inside_collar(call.floor_price_coin, mark, collar_pct, call.tick_size_coin):
        return
    below_pct = 100.0 * (1.0 - call.floor_price_coin / mark)
    can_be_mended = below_pct <= WIDEST_COLLAR_PCT
    yield _Failure("collar", "RISK_PRICE_COLLAR_PCT", below_pct, collar_pct, 1, True, can_be_mended)


def candidate_from(
    option: OptionInstrument, quote: OptionQuote, spot_usd: float, now: datetime, config: AgentConfig
) -> CandidateOption:
    """The figures of one call, given a usable quote.

    premium: bid (or the price asked) less fee, at spot. Yield if flat: premium / spot.
    Yield if called: (strike - spot + premium) / spot.
    Breakeven: spot - premium, the price below which holding coin and call loses against today.
    """
    call = _measure(option, quote, spot_usd, now, config)
    bid, ask, mark = quote.bid_price_coin, quote.ask_price_coin, quote.mark_price_coin or 0.0
    flat_pct = 100.0 * call.premium_usd / spot_usd
    return CandidateOption(
        symbol=option.symbol,
        underlying=option.underlying,
        strike=option.strike,
        expiry=option.expiry,
        dte_days=call.dte_days,
        delta=call.delta,
        bid_price_coin=bid,
        ask_price_coin=ask,
        mid_price_coin=mid_price(bid, ask) or mark,
        mark_price_coin=mark,
        mark_iv_fraction=quote.mark_iv_fraction or 0.0,
        spread_pct=call.spread_pct,
        floor_price_coin=call.floor_price_coin,
        tick_size_coin=call.tick_size_coin,
        premium_usd=call.premium_usd,
        premium_basis="asked" if call.is_offered_at_mark else "bid",
        yield_if_flat_pct=flat_pct,
        yield_if_flat_annual_pct=flat_pct * 365.0 / call.dte_days,
        yield_if_called_pct=100.0 * (option.strike - spot_usd + call.premium_usd) / spot_usd,
        breakeven_usd=spot_usd - call.premium_usd,
        min_trade_amount_coin=option.min_trade_amount_coin,
        quoted_at=quote.quoted_at or now,
    )
