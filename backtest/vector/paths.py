"""One market path: the engine's own episode in which nothing is sold, and each call that could have been, watched.

In: settings, a seed, steps. Out: by step what a bank holds of it. A call is watched from the first step at which it is
a candidate to its delivery. Deterministic; no network, no disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backtest.env_simulator import CoveredCallEnv
from backtest.environment.actions import NOTHING
from backtest.environment.observation import observe
from backtest.environment.rewards import Worth, worth_of
from backtest.vector.bank import NEVER
from backtest.vector.offers import Row, Sale, row_of, sales_of
from config import AgentConfig
from core.pricing import delivery_fee_coin, payoff_coin
from models import AgentState
from paper_exchange.market import lookup
from paper_exchange.market.clocks import to_ms
from paper_exchange.market.market import Listing, Market
from paper_exchange.setups import Setup, simulated_setup


@dataclass
class WatchedCall:
    """A call that was a candidate once. Its rows follow each other from `first_step` on."""

    listing: Listing
    first_step: int
    rows: list[Row] = field(default_factory=list)
    ends_at_step: int = NEVER
    payoff_coin: float = 0.0
    delivery_fee_coin: float = 0.0


@dataclass
class MarketPath:
    """What is collected of one seed: by step, and by coin and step the candidates with the calls they are."""

    seed: int
    start: Worth | None = None
    of_state: list[Any] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    spots_usd: list[dict[str, float]] = field(default_factory=list)
    sales: list[dict[str, list[tuple[str, Sale]]]] = field(default_factory=list)
    calls: dict[str, WatchedCall] = field(default_factory=dict)


def market_path(config: AgentConfig, seed: int, steps: int, step_hours: float) -> MarketPath:
    """The market of a seed over an episode."""
    made: list[Setup] = []

    def make_setup(market_seed: int, coins: Mapping[str, float]) -> Setup:
        made.append(simulated_setup(market_seed, coins))
        return made[-1]

    environment = CoveredCallEnv(config, seed=seed, steps=steps, step_hours=step_hours, make_setup=make_setup)
    state, path = environment.reset(), MarketPath(seed)
    market = made[-1].exchange.market
    _note(path, state, market, environment.config)
    for _ in range(steps):
        state, *_ = environment.step(NOTHING)
        _note(path, state, market, environment.config)
    return path


def _note(path: MarketPath, state: AgentState, market: Market, config: AgentConfig) -> None:
    """One more step: candidates, the calls watched so far, and what came of those that have expired."""
    step, now_ms = len(path.times_ms), to_ms(state.timestamp)
    if path.start is None:
        path.start = worth_of(state)
    path.of_state.append(observe(state, path.start))
    path.times_ms.append(now_ms)
    path.spots_usd.append({market.underlying: market.spot_usd for market in state.markets})
    for candidate in state.candidates:
        if candidate.symbol not in path.calls:
            path.calls[candidate.symbol] = WatchedCall(lookup.known_listing(market, candidate.symbol), step)
    path.sales.append({coin: list(sales_of(state, coin, market, config)) for coin in config.enabled_underlyings})
    for call in path.calls.values():
        if call.listing.expires_at_ms > now_ms:
            call.rows.append(row_of(call.listing, state, market, config))
        elif call.ends_at_step == NEVER:
            _deliver(call, market, step)


def _deliver(call: WatchedCall, market: Market, step: int) -> None:
    listing = call.listing
    price = market.delivery_price(listing.currency, listing.expires_at_ms)
    if price is None:
        raise ValueError(f"the delivery price of {listing.name} is not known at the step after its expiry")
    call.ends_at_step = step
    call.payoff_coin = payoff_coin(price.price_usd, listing.strike_usd)
    is_exempt = listing.settlement_period == "day"
    call.delivery_fee_coin = 0.0 if is_exempt else delivery_fee_coin(call.payoff_coin, 1.0)
