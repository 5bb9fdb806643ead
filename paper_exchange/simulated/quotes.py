"""Quotes of a whole simulated chain at one moment.

In: listings, index in USD, factors, time in milliseconds, seeded dice. Out: quotes of all listings, in coin. Marks
follow from the rounded volatility, so Black-76 gives them back; bids and asks lie on the tick grid around them, and
spreads widen relative to the mark as the mark gets small. Nobody trades here: volume is a made-up share of the
made-up open interest, and there is no last price. Pure but for the dice.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from operator import attrgetter

import numpy as np

from core.chain import Quotes, number_or_none
from core.columns import Integers
from paper_exchange.market.clocks import YEAR_MS
from paper_exchange.market.expiries import has_future
from paper_exchange.market.market import TICK_SIZE, TICK_STEPS, Listing, Quote
from paper_exchange.market.names import expiry_code
from paper_exchange.market.quote_columns import QuoteColumns, all_quoted_at
from paper_exchange.simulated import settings, surface
from paper_exchange.simulated.process import BoolArray, FloatArray
from paper_exchange.simulated.settings import CoinProfile

VOLUME_FRACTION = 0.05  # of the open interest
TICKS_PER_COIN = round(1.0 / TICK_SIZE)
WIDE_ABOVE_COIN, WIDE_TICK = TICK_STEPS[0]
WIDE_TICKS = round(WIDE_TICK / TICK_SIZE)


@dataclass(frozen=True, slots=True)
class ChainColumns:
    """The unchanging side of a chain, one row a listing.

    Call and put of one strike share forward, volatility and d1, and all strikes of an expiry share what hangs on time:
    `expiry_of` and `strikes_usd` have a row a strike and expiry, `strike_of` the row in them of each listing.
    """

    listings: tuple[Listing, ...]
    names: tuple[str, ...]
    row_of: dict[str, int]
    is_call: BoolArray
    strike_of: Integers
    strikes_usd: FloatArray
    expiry_of: Integers
    expires_at_ms: FloatArray


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
    names = tuple(map(attrgetter("name"), listings))
    expires_at_ms = np.fromiter(map(attrgetter("expires_at_ms"), listings), np.float64, len(listings))
    strikes_usd = np.fromiter(map(attrgetter("strike_usd"), listings), np.float64, len(listings))
    strike_of, a_strike = _groups(expires_at_ms, strikes_usd)
    expiry_of, an_expiry = _groups(expires_at_ms[a_strike])
    return ChainColumns(
        listings=listings,
        names=names,
        row_of=dict(zip(names, range(len(names)), strict=True)),
        is_call=np.fromiter(map(attrgetter("is_call"), listings), np.bool_, len(listings)),
        strike_of=strike_of,
        strikes_usd=strikes_usd[a_strike],
        expiry_of=expiry_of,
        expires_at_ms=expires_at_ms[a_strike][an_expiry],
    )


def _groups(*sorted_keys: FloatArray) -> tuple[Integers, Integers]:
    """Neighbours with equal keys make a group: the group of each row, and the first row of each group."""
    differs = np.any([np.diff(key) != 0.0 for key in sorted_keys], axis=0)
    begins = np.concatenate([[True], differs])
    return np.cumsum(begins) - 1, np.flatnonzero(begins)


def quote_chain(
    columns: ChainColumns, moment: MarketMoment, profile: CoinProfile, dice: np.random.Generator
) -> QuoteColumns:
    """All quotes of one coin, in the order of the listings."""
    count = len(columns.listings)
    marks = _marks(columns, moment, profile)
    bids, asks = _sides(marks, columns.is_call, profile, dice)

    @cache
    def sizes() -> FloatArray:
        """Thrown when the first row is looked at; nothing else is thrown after them."""
        return _sizes(dice, count, profile, columns.listings[0].min_trade_amount)

    quoted_at = all_quoted_at(moment.at_ms, count)
    shown = Quotes(columns.names, bids, asks, marks.marks_coin, marks.iv_fractions, marks.forwards_usd, quoted_at)

    @cache
    def row(number: int) -> Quote:
        listing, open_interest = columns.listings[number], _open_interest(columns.names[number])
        bid_coin, ask_coin = number_or_none(bids[number]), number_or_none(asks[number])
        bid_amount, ask_amount = sizes()[:, number].tolist()
        return Quote(
            name=listing.name,
            bid_coin=bid_coin,
            ask_coin=ask_coin,
            bid_amount=None if bid_coin is None else bid_amount,
            ask_amount=None if ask_coin is None else ask_amount,
            mark_coin=float(marks.marks_coin[number]),
            mark_iv_fraction=float(marks.iv_fractions[number]),
            underlying_price_usd=float(marks.forwards_usd[number]),
            underlying_index=_underlying_index(listing.currency, listing.expires_at_ms, moment.at_ms),
            timestamp_ms=moment.at_ms,
            open_interest=open_interest,
            volume=round(VOLUME_FRACTION * open_interest, 1),
        )

    return QuoteColumns(shown, columns.row_of, row)


def _open_interest(name: str) -> float:
    return zlib.crc32(name.encode()) % 5000 / 10.0


def _marks(columns: ChainColumns, moment: MarketMoment, profile: CoinProfile) -> _Marks:
    of_expiries = (columns.expires_at_ms - moment.at_ms) / YEAR_MS
    forwards_usd = surface.forwards_usd(profile, moment.factors, moment.index_usd, of_expiries)
    levels = surface.level_fraction(profile, moment.factors, of_expiries)
    years, forward, level = (column[columns.expiry_of] for column in (of_expiries, forwards_usd, levels))
    deviations = surface.moneyness(forward, columns.strikes_usd, level, years)
    iv = surface.iv_fractions(profile, moment.factors, level, deviations)
    prices = surface.price_columns(forward, columns.strikes_usd, iv, years)
    marks = np.where(columns.is_call, prices.calls_coin[columns.strike_of], prices.puts_coin[columns.strike_of])
    of_listing = columns.strike_of
    return _Marks(forward[of_listing], iv[of_listing], marks, prices.call_deltas[of_listing], deviations[of_listing])


def _sides(
    marks: _Marks, is_call: BoolArray, profile: CoinProfile, dice: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Bids and asks on the tick grid, NaN where nobody quotes."""
    width_noise, bid_luck, ask_luck = dice.random((3, len(is_call)))
    spread = settings.SPREAD_FLOOR_COIN + settings.SPREAD_FRACTION * marks.marks_coin
    half = 0.5 * spread * profile.spread_scale * (0.7 + 0.8 * width_noise)
    bids = _on_grid(marks.marks_coin - half, np.floor)
    asks = _on_grid(marks.marks_coin + half, np.ceil)
    in_the_wing = np.abs(marks.deviations) > settings.WING_DEVIATIONS
    deep = np.where(is_call, marks.call_deltas, 1.0 - marks.call_deltas) > settings.DEEP_DELTA
    bids[(in_the_wing | deep) & (bid_luck < settings.WING_WITHOUT_BID_FRACTION)] = 0.0
    asks[deep & (ask_luck < settings.DEEP_WITHOUT_ASK_FRACTION)] = 0.0
    return np.where(bids > 0.0, bids, np.nan), np.where(asks > 0.0, asks, np.nan)


def _on_grid(prices: FloatArray, rounding: np.ufunc) -> FloatArray:
    """Prices on the grid of two ticks, below zero to zero."""
    ticks = np.maximum(prices, 0.0) * TICKS_PER_COIN
    wide = rounding(ticks / WIDE_TICKS) * WIDE_TICKS
    # Whole ticks over ticks per coin: the division that yields the float 0.0035 itself.
    on_grid: FloatArray = np.where(prices > WIDE_ABOVE_COIN, wide, rounding(ticks)) / TICKS_PER_COIN
    return on_grid


def _sizes(dice: np.random.Generator, count: int, profile: CoinProfile, step: float) -> FloatArray:
    """Contracts on the bid and on the ask (2 x n)."""
    steps_per_coin = round(1.0 / step)
    amounts = profile.typical_amount * np.exp(0.8 * dice.standard_normal((2, count)))
    whole: FloatArray = np.maximum(np.round(amounts * steps_per_coin), 1.0) / steps_per_coin
    return whole


def _underlying_index(currency: str, expires_at_ms: int, at_ms: int) -> str:
    future = f"{currency}-{expiry_code(expires_at_ms)}"
    return future if has_future(expires_at_ms, at_ms) else f"SYN.{future}"
