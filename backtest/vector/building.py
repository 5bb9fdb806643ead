"""Builds a bank: the engine's own episodes in which nothing is sold, and each call that could have been sold, watched.

In: settings, seeds, steps. Out: a Bank. States, candidates, rules and order prices come from the code that trades:
CoveredCallEnv, the risk engine, orders/order_planning, the paper exchange. Only what hangs on the account is left to
the vector environment. Deterministic; no network, no disk.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from backtest.env_simulator import CoveredCallEnv
from backtest.environment.actions import NOTHING
from backtest.environment.observation import observe
from backtest.environment.rewards import Worth, worth_of
from backtest.vector.bank import Bank
from config import AgentConfig
from core.candidates import MAX_CANDIDATES
from core.pricing import (
    black76_greeks,
    delivery_fee_coin,
    payoff_coin,
    short_call_initial_margin_coin,
    trade_fee_coin,
    years_between,
)
from models import (
    ActionType,
    AgentState,
    CandidateOption,
    OptionPosition,
    ProposedAction,
    Ticker,
    Underlying,
)
from orders.order_planning import touch_price
from paper_exchange.in_process import readings
from paper_exchange.market import lookup
from paper_exchange.market.clocks import DAY_MS, HOUR_MS, to_ms
from paper_exchange.market.market import Listing, Market, Quote
from paper_exchange.market.times import session_start_ms
from paper_exchange.setups import Setup, simulated_setup
from risk_engine import judge_action

# What the vector environment judges itself. Every other rule is asked of the risk engine, here, once a call and step.
ACCOUNT_RULES = frozenset(
    {
        "reducing",
        "orders_per_day",
        "unfilled_orders_per_day",
        "coverage",
        "margin",
        "margin_threshold",
        "net_delta",
        "expiry_exposure",
    }
)
NEVER = 2**31  # a step that no episode reaches


class _Row(NamedTuple):
    """A call at one step; the columns of Bank of the same names."""

    mark_coin: float
    margin_coin: float
    delta: float
    ask_coin: float
    moneyness: float
    dte_days: float
    may_buy_back: bool
    limit_coin: float
    shown_coin: float


class _Sale(NamedTuple):
    """A candidate at one step; the columns of Bank of the same names with `sale_` before them."""

    base: int = 0
    expiry: int = 0
    is_fine: bool = False
    delta: float = 0.0
    margin_coin: float = 0.0
    mark_coin: float = 0.0
    earned_coin: float = 0.0
    bid_coin: float = 0.0
    shown_coin: float = 0.0
    is_sent: bool = False


@dataclass
class _Call:
    """A call that was a candidate once. Its rows follow each other from `first_step` on."""

    listing: Listing
    first_step: int
    rows: list[_Row] = field(default_factory=list)
    ends_at_step: int = NEVER
    payoff_coin: float = 0.0
    delivery_fee_coin: float = 0.0


@dataclass
class _Path:
    """What is collected of one seed: by step, and by coin and step the candidates with the calls they are."""

    seed: int
    start: Worth | None = None
    of_state: list[Any] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    spots_usd: list[dict[str, float]] = field(default_factory=list)
    sales: list[dict[str, list[tuple[str, _Sale]]]] = field(default_factory=list)
    calls: dict[str, _Call] = field(default_factory=dict)


def build_bank(config: AgentConfig, seeds: Sequence[int], steps: int, step_hours: float) -> Bank:
    """A path a seed. `config` must fill by touch."""
    paths = [_path(config, seed, steps, step_hours) for seed in seeds]
    return _as_columns(paths, config.enabled_underlyings, steps + 1)


# --- one path -------------------------------------------------------------------------------------


def _path(config: AgentConfig, seed: int, steps: int, step_hours: float) -> _Path:
    made: list[Setup] = []

    def make_setup(market_seed: int, coins: Mapping[str, float]) -> Setup:
        made.append(simulated_setup(market_seed, coins))
        return made[-1]

    environment = CoveredCallEnv(config, seed=seed, steps=steps, step_hours=step_hours, make_setup=make_setup)
    state, path = environment.reset(), _Path(seed)
    market = made[-1].exchange.market
    _note(path, state, market, environment.config)
    for _ in range(steps):
        state, *_ = environment.step(NOTHING)
        _note(path, state, market, environment.config)
    return path


def _note(path: _Path, state: AgentState, market: Market, config: AgentConfig) -> None:
    """One more step: candidates, the calls watched so far, and what came of those that have expired."""
    step, now_ms = len(path.times_ms), to_ms(state.timestamp)
    if path.start is None:
        path.start = worth_of(state)
    path.of_state.append(observe(state, path.start))
    path.times_ms.append(now_ms)
    path.spots_usd.append({market.underlying: market.spot_usd for market in state.markets})
    for candidate in state.candidates:
        if candidate.symbol not in path.calls:
            path.calls[candidate.symbol] = _Call(lookup.known_listing(market, candidate.symbol), step)
    path.sales.append({coin: list(_sales(state, coin, market, config)) for coin in config.enabled_underlyings})
    for call in path.calls.values():
        if call.listing.expires_at_ms > now_ms:
            call.rows.append(_row(call.listing, state, market, config))
        elif call.ends_at_step == NEVER:
            _deliver(call, market, step)


def _deliver(call: _Call, market: Market, step: int) -> None:
    listing = call.listing
    price = market.delivery_price(listing.currency, listing.expires_at_ms)
    if price is None:
        raise ValueError(f"the delivery price of {listing.name} is not known at the step after its expiry")
    call.ends_at_step = step
    call.payoff_coin = payoff_coin(price.price_usd, listing.strike_usd)
    is_exempt = listing.settlement_period == "day"
    call.delivery_fee_coin = 0.0 if is_exempt else delivery_fee_coin(call.payoff_coin, 1.0)


def _sales(state: AgentState, coin: Underlying, market: Market, config: AgentConfig) -> Iterator[tuple[str, _Sale]]:
    """The candidates of a coin, each with its symbol; the base is known once all paths are."""
    snapshot = state.market(coin)
    spot_usd = 0.0 if snapshot is None else snapshot.spot_usd
    for call in state.candidates_for(coin):
        listing, quote, _ = lookup.quoted(market, call.symbol)
        ticker = readings.ticker_of(listing, quote, spot_usd)
        limit_coin = touch_price("sell", ticker, readings.instrument_of(listing, quote.timestamp_ms), config)
        trades = quote.bid_coin is not None and quote.bid_coin >= limit_coin
        yield (
            call.symbol,
            _Sale(
                expiry=listing.expires_at_ms // HOUR_MS,
                is_fine=_sale_is_fine(state, call, config),
                delta=call.delta,
                margin_coin=short_call_initial_margin_coin(spot_usd, call.strike, call.mark_price_coin),
                mark_coin=call.mark_price_coin,
                earned_coin=call.sale_price_coin - trade_fee_coin(call.sale_price_coin, 1.0),
                bid_coin=quote.bid_coin or 0.0,
                shown_coin=_shown(quote.bid_amount) if trades else 0.0,
                is_sent=ticker.mark_price_coin > 0.0,
            ),
        )


def _sale_is_fine(state: AgentState, call: CandidateOption, config: AgentConfig) -> bool:
    sale = ProposedAction(
        type=ActionType.OPEN_COVERED_CALL,
        underlying=call.underlying,
        symbol=call.symbol,
        size=config.strategy(call.underlying).order_size,
        reason="bank",
    )
    return all(reason.rule in ACCOUNT_RULES for reason in judge_action(state, sale, config).reasons)


def _row(listing: Listing, state: AgentState, market: Market, config: AgentConfig) -> _Row:
    _, quote, index_usd = lookup.quoted(market, listing.name)
    ticker = readings.ticker_of(listing, quote, index_usd)
    held = _held(listing, quote, ticker, state)
    limit_coin = touch_price("buy", ticker, readings.instrument_of(listing, quote.timestamp_ms), config)
    trades = quote.ask_coin is not None and quote.ask_coin <= limit_coin
    return _Row(
        mark_coin=held.mark_price_coin,
        margin_coin=short_call_initial_margin_coin(index_usd, listing.strike_usd, held.mark_price_coin),
        delta=-held.delta,
        ask_coin=math.nan if quote.ask_coin is None else quote.ask_coin,
        moneyness=math.log(listing.strike_usd / index_usd),
        dte_days=held.dte_days,
        may_buy_back=_may_buy_back(state, held, config),
        limit_coin=limit_coin,
        shown_coin=_shown(quote.ask_amount) if trades else 0.0,
    )


def _held(listing: Listing, quote: Quote, ticker: Ticker, state: AgentState) -> OptionPosition:
    """One contract of the call, sold; its delta is not rounded yet, as that of a whole position will be."""
    option = readings.instrument_of(listing, quote.timestamp_ms)
    years = years_between(state.timestamp, option.expiry)
    greeks = black76_greeks(quote.underlying_price_usd, listing.strike_usd, quote.mark_iv_fraction, years)
    return OptionPosition(
        symbol=listing.name,
        underlying=option.underlying,
        option_type=option.option_type,
        strike=option.strike,
        expiry=option.expiry,
        side="short",
        size=1.0,
        avg_price=quote.mark_coin,
        mark_price_coin=round(quote.mark_coin, 8),
        delta=-greeks.delta,
        dte_days=(option.expiry - state.timestamp).total_seconds() / 86_400.0,
        bid_price_coin=ticker.bid_price_coin,
        ask_price_coin=ticker.ask_price_coin,
        quoted_at=ticker.quoted_at,
    )


def _may_buy_back(state: AgentState, held: OptionPosition, config: AgentConfig) -> bool:
    """The risk engine's word on buying it back, had the account sold it."""
    portfolio = state.portfolio.model_copy(update={"positions": (held,)})
    close = ProposedAction(
        type=ActionType.CLOSE_COVERED_CALL,
        underlying=held.underlying,
        symbol=held.symbol,
        size=min(held.size, config.strategy(held.underlying).max_order_size),
        reason="bank",
    )
    return judge_action(state.model_copy(update={"portfolio": portfolio}), close, config).allowed


def _shown(amount: float | None) -> float:
    """How much is on the book; all one could want where the size is not known."""
    return math.inf if amount is None else amount


# --- all paths ------------------------------------------------------------------------------------


def _as_columns(paths: Sequence[_Path], coins: Sequence[Underlying], moments: int) -> Bank:
    """Rows of all calls one after the other, behind those that belong to none."""
    empty = _Row(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False, 0.0, 0.0)
    rows, terms = [empty] * (moments + 1), [(0, 0, 0.0, 0.0)] * (moments + 1)
    bases: list[dict[str, int]] = []
    for path in paths:
        bases.append({})
        for symbol, call in path.calls.items():
            bases[-1][symbol] = len(rows) - call.first_step
            expiry = call.listing.expires_at_ms // HOUR_MS
            rows += call.rows
            terms += [(expiry, call.ends_at_step, call.payoff_coin, call.delivery_fee_coin)] * len(call.rows)
    expiries, ends, payoffs_coin, fees_coin = zip(*terms, strict=True)
    return Bank(
        seeds=np.array([path.seed for path in paths]),
        of_state=np.concatenate([path.of_state for path in paths]),
        day=np.array([time_ms // DAY_MS for path in paths for time_ms in path.times_ms]),
        is_new_session=np.array([is_new for path in paths for is_new in _new_sessions(path)]),
        spot_usd=np.array([spots[coin] for coin in coins for path in paths for spots in path.spots_usd]),
        **_sale_columns(paths, bases, coins),
        **{name: np.array(column) for name, column in zip(_Row._fields, zip(*rows, strict=True), strict=True)},
        expiry=np.array(expiries),
        ends_at_step=np.array(ends),
        payoff_coin=np.array(payoffs_coin),
        delivery_fee_coin=np.array(fees_coin),
    )


def _new_sessions(path: _Path) -> Iterator[bool]:
    sessions = [session_start_ms(time_ms) for time_ms in path.times_ms]
    yield False
    yield from (later > earlier for earlier, later in pairwise(sessions))


def _sale_columns(
    paths: Sequence[_Path], bases: Sequence[Mapping[str, int]], coins: Sequence[Underlying]
) -> dict[str, Any]:
    """One line a candidate, one place a moment."""
    lines: list[list[_Sale]] = [[] for _ in range(MAX_CANDIDATES)]
    for coin in coins:
        for path, base_of in zip(paths, bases, strict=True):
            for sales in path.sales:
                found = [sale._replace(base=base_of[symbol]) for symbol, sale in sales[coin]]
                for line, sale in zip(lines, [*found, *[_Sale()] * MAX_CANDIDATES], strict=False):
                    line.append(sale)
    columns = [zip(*line, strict=True) for line in lines]
    by_field = zip(*columns, strict=True)
    return {f"sale_{name}": np.array(column) for name, column in zip(_Sale._fields, by_field, strict=True)}
