"""Quotes of a whole simulated chain at one moment.

In: listings, index in USD, factors, time in milliseconds, seeded dice. Out: one Quote per listing, in coin. Marks
follow from the rounded volatility, so Black-76 gives them back; bids and asks lie on the tick grid around them, and
spreads widen relative to the mark as the mark gets small. Nobody trades here: volume is a made-up share of the
made-up open interest, and there is no last price. Pure but for the dice.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from paper_exchange.market.clocks import YEAR_MS
from paper_exchange.market.expiries import has_future
from paper_exchange.market.market import TICK_SIZE, TICK_STEPS, Listing, Quote
from paper_exchange.market.names import expiry_code
from paper_exchange.simulated import settings, surface
from paper_exchange.simulated.process import BoolArray, FloatArray
from paper_exchange.simulated.settings import CoinProfile

VOLUME_FRACTION = 0.05  # of the open interest
TICKS_PER_COIN = round(1.0 / TICK_SIZE)
WIDE_ABOVE_COIN, WIDE_TICK = TICK_STEPS[0]
WIDE_TICKS = round(WIDE_TICK / TICK_SIZE)


@dataclass(frozen=True, slots=True)
class ChainColumns:
    """The unchanging side of a chain, one row a listing."""

    listings: tuple[Listing, ...]
    names: list[str]
    strikes_usd: FloatArray
    expires_at_ms: FloatArray
    is_call: BoolArray
    open_interest: list[float]
    volume: list[float]


@dataclass(frozen=True, slots=True)
class MarketMoment:
    """The changing side: what all options of one coin are priced from."""

    at_ms: int
    index_usd: float
    factors: FloatArray


@dataclass(frozen=True, slots=True)
class _Marks:
    forwards_usd: FloatArray
    iv_fractions: FloatArray
    marks_coin: FloatArray
    call_deltas: FloatArray
    deviations: FloatArray


def chain_columns(listings: tuple[Listing, ...]) -> ChainColumns:
    """Listings as columns; worth keeping while the listings stay the same."""
    open_interest = [zlib.crc32(listing.name.encode()) % 5000 / 10.0 for listing in listings]
    return ChainColumns(
        listings=listings,
        names=[listing.name for listing in listings],
        strikes_usd=np.array([listing.strike_usd for listing in listings]),
        expires_at_ms=np.array([listing.expires_at_ms for listing in listings], dtype=np.float64),
        is_call=np.array([listing.is_call for listing in listings]),
        open_interest=open_interest,
        volume=[round(VOLUME_FRACTION * interest, 1) for interest in open_interest],
    )


def quote_chain(
    columns: ChainColumns, moment: MarketMoment, profile: CoinProfile, dice: np.random.Generator
) -> tuple[Quote, ...]:
    """All quotes of one coin, in the order of the listings."""
    marks = _marks(columns, moment, profile)
    bids, asks = _sides(marks, columns.is_call, profile, dice)
    bid_sizes, ask_sizes = _sizes(dice, len(columns.listings), profile, columns.listings[0].min_trade_amount)
    rows = zip(
        columns.names,
        bids,
        asks,
        _where_quoted(bid_sizes, bids),
        _where_quoted(ask_sizes, asks),
        marks.marks_coin.tolist(),
        marks.iv_fractions.tolist(),
        marks.forwards_usd.tolist(),
        _underlying_indices(columns, moment.at_ms),
        [moment.at_ms] * len(columns.listings),
        columns.open_interest,
        columns.volume,
        strict=True,
    )
    # Columns in the order of Quote's fields: naming them for every option would take half as long again.
    return tuple(Quote(*row) for row in rows)


def _where_quoted(sizes: list[float], prices: list[float | None]) -> list[float | None]:
    return [None if price is None else size for size, price in zip(sizes, prices, strict=True)]


def _marks(columns: ChainColumns, moment: MarketMoment, profile: CoinProfile) -> _Marks:
    years = (columns.expires_at_ms - moment.at_ms) / YEAR_MS
    forward = surface.forwards_usd(profile, moment.factors, moment.index_usd, years)
    level = surface.level_fraction(profile, moment.factors, years)
    deviations = surface.moneyness(forward, columns.strikes_usd, level, years)
    iv = surface.iv_fractions(profile, moment.factors, level, deviations)
    marks, call_deltas = surface.price_columns(forward, columns.strikes_usd, iv, years, columns.is_call)
    return _Marks(forward, iv, marks, call_deltas, deviations)


def _sides(
    marks: _Marks, is_call: BoolArray, profile: CoinProfile, dice: np.random.Generator
) -> tuple[list[float | None], list[float | None]]:
    """Bids and asks on the tick grid, None where nobody quotes."""
    width_noise, bid_luck, ask_luck = dice.random((3, len(is_call)))
    spread = settings.SPREAD_FLOOR_COIN + settings.SPREAD_FRACTION * marks.marks_coin
    half = 0.5 * spread * profile.spread_scale * (0.7 + 0.8 * width_noise)
    bids = _on_grid(marks.marks_coin - half, np.floor)
    asks = _on_grid(marks.marks_coin + half, np.ceil)
    in_the_wing = np.abs(marks.deviations) > settings.WING_DEVIATIONS
    deep = np.where(is_call, marks.call_deltas, 1.0 - marks.call_deltas) > settings.DEEP_DELTA
    bids[(in_the_wing | deep) & (bid_luck < settings.WING_WITHOUT_BID_FRACTION)] = 0.0
    asks[deep & (ask_luck < settings.DEEP_WITHOUT_ASK_FRACTION)] = 0.0
    return _none_for_zero(bids), _none_for_zero(asks)


def _none_for_zero(prices: FloatArray) -> list[float | None]:
    return [price if price > 0.0 else None for price in prices.tolist()]


def _on_grid(prices: FloatArray, rounding: np.ufunc) -> FloatArray:
    """Prices on the grid of two ticks, below zero to zero."""
    ticks = np.maximum(prices, 0.0) * TICKS_PER_COIN
    wide = rounding(ticks / WIDE_TICKS) * WIDE_TICKS
    # Whole ticks over ticks per coin: the division that yields the float 0.0035 itself.
    on_grid: FloatArray = np.where(prices > WIDE_ABOVE_COIN, wide, rounding(ticks)) / TICKS_PER_COIN
    return on_grid


def _sizes(dice: np.random.Generator, count: int, profile: CoinProfile, step: float) -> tuple[list[float], list[float]]:
    steps_per_coin = round(1.0 / step)
    amounts = profile.typical_amount * np.exp(0.8 * dice.standard_normal((2, count)))
    whole = np.maximum(np.round(amounts * steps_per_coin), 1.0) / steps_per_coin
    return whole[0].tolist(), whole[1].tolist()


def _underlying_indices(columns: ChainColumns, at_ms: int) -> list[str]:
    expiries = {listing.expires_at_ms: listing.currency for listing in columns.listings}
    names = {expiry: _underlying_index(coin, expiry, at_ms) for expiry, coin in expiries.items()}
    return [names[listing.expires_at_ms] for listing in columns.listings]


def _underlying_index(currency: str, expires_at_ms: int, at_ms: int) -> str:
    future = f"{currency}-{expiry_code(expires_at_ms)}"
    return future if has_future(expires_at_ms, at_ms) else f"SYN.{future}"
