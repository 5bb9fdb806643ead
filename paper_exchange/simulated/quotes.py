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
from itertools import chain
from typing import NamedTuple

import numpy as np

from core.chain import Quotes, number_or_none
from core.columns import Integers
from paper_exchange.market.clocks import YEAR_MS
from paper_exchange.market.expiries import has_future
from paper_exchange.market.market import TICK_SIZE, TICK_STEPS, Listing, Quote
from paper_exchange.market.names import expiry_code
from paper_exchange.market.quote_columns import QuoteColumns, all_quoted_at
from paper_exchange.simulated import settings, surface
from paper_exchange.simulated.listing_board import ExpirySheet
from paper_exchange.simulated.process import FloatArray
from paper_exchange.simulated.settings import CoinProfile

VOLUME_FRACTION = 0.05  # of the open interest
TICKS_PER_COIN = round(1.0 / TICK_SIZE)
WIDE_ABOVE_COIN, WIDE_TICK = TICK_STEPS[0]
WIDE_TICKS = round(WIDE_TICK / TICK_SIZE)


@dataclass(frozen=True, slots=True, eq=False)
class ChainColumns:
    """The unchanging side of a chain.

    `sheets` are what it was made of. Listings come in pairs, the call and the put of one strike, which share forward,
    volatility and d1, as all strikes of an expiry share what hangs on time: `strikes_usd` and `expiry_of` have a row a
    strike and expiry, `expires_at_ms` a row an expiry.
    """

    sheets: tuple[ExpirySheet, ...]
    listings: tuple[Listing, ...]
    names: tuple[str, ...]
    row_of: dict[str, int]
    strikes_usd: FloatArray
    expiry_of: Integers
    expires_at_ms: FloatArray


@dataclass(frozen=True, slots=True)
class MarketMoment:
    """The changing side: what all options of one coin are priced from."""

    at_ms: int
    index_usd: float
    factors: FloatArray


class _Marks(NamedTuple):
    """A row a strike; of the marks a second column for the put."""

    forwards_usd: FloatArray
    iv_fractions: FloatArray
    marks_coin: FloatArray
    call_deltas: FloatArray
    deviations: FloatArray


def chain_columns(sheets: tuple[ExpirySheet, ...]) -> ChainColumns:
    """Listings as columns; worth keeping while the listings stay the same."""
    names = tuple(chain.from_iterable([sheet.names for sheet in sheets]))
    strikes_usd = [strike_usd for sheet in sheets for strike_usd in sheet.strikes_usd]
    return ChainColumns(
        sheets=sheets,
        listings=tuple(chain.from_iterable([sheet.listings for sheet in sheets])),
        names=names,
        row_of=dict(zip(names, range(len(names)), strict=True)),
        strikes_usd=np.array(strikes_usd),
        expiry_of=np.repeat(np.arange(len(sheets)), [len(sheet.strikes_usd) for sheet in sheets]),
        expires_at_ms=np.array([float(sheet.expires_at_ms) for sheet in sheets]),
    )


def quote_chain(
    columns: ChainColumns, moment: MarketMoment, profile: CoinProfile, dice: np.random.Generator
) -> QuoteColumns:
    """All quotes of one coin, in the order of the listings."""
    count = len(columns.listings)
    marks = _marks(columns, moment, profile)
    bids, asks = _sides(marks, profile, dice)

    @cache
    def sizes() -> FloatArray:
        """Thrown when the first row is looked at; nothing else is thrown after them."""
        return _sizes(dice, count, profile, columns.listings[0].min_trade_amount)

    shown = Quotes(
        symbols=columns.names,
        bid_price_coin=bids,
        ask_price_coin=asks,
        mark_price_coin=marks.marks_coin.ravel(),
        mark_iv_fraction=marks.iv_fractions.repeat(2),
        underlying_price_usd=marks.forwards_usd.repeat(2),
        quoted_at=all_quoted_at(moment.at_ms, count),
    )

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
            mark_coin=float(shown.mark_price_coin[number]),
            mark_iv_fraction=float(shown.mark_iv_fraction[number]),
            underlying_price_usd=float(shown.underlying_price_usd[number]),
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
    marks = np.column_stack((prices.calls_coin, prices.puts_coin))
    return _Marks(forward, iv, marks, prices.call_deltas, deviations)


def _sides(marks: _Marks, profile: CoinProfile, dice: np.random.Generator) -> FloatArray:
    """Bids and asks on the tick grid (2 x n), NaN where nobody quotes."""
    width_noise, *luck = dice.random((3, *marks.marks_coin.shape))
    spread = settings.SPREAD_FLOOR_COIN + settings.SPREAD_FRACTION * marks.marks_coin
    half = 0.5 * spread * profile.spread_scale * (0.7 + 0.8 * width_noise)
    sides = _on_grid(np.array((marks.marks_coin - half, marks.marks_coin + half)))
    in_the_wing = np.abs(marks.deviations) > settings.WING_DEVIATIONS
    deep = np.column_stack((marks.call_deltas, 1.0 - marks.call_deltas)) > settings.DEEP_DELTA
    has_no_bid = (in_the_wing[:, None] | deep) & (luck[0] < settings.WING_WITHOUT_BID_FRACTION)
    has_no_ask = deep & (luck[1] < settings.DEEP_WITHOUT_ASK_FRACTION)
    is_shown = (sides > 0.0) & ~np.array((has_no_bid, has_no_ask))
    return np.where(is_shown, sides, np.nan).reshape(2, -1)


def _on_grid(sides: FloatArray) -> FloatArray:
    """Bids rounded down and asks rounded up on the grid of two ticks, below zero to zero."""
    ticks = np.maximum(sides, 0.0) * TICKS_PER_COIN
    wide = _whole(ticks / WIDE_TICKS) * WIDE_TICKS
    # Whole ticks over ticks per coin: the division that yields the float 0.0035 itself.
    on_grid: FloatArray = np.where(sides > WIDE_ABOVE_COIN, wide, _whole(ticks)) / TICKS_PER_COIN
    return on_grid


def _whole(sides: FloatArray) -> FloatArray:
    """The first row down, the second row up."""
    return np.array((np.floor(sides[0]), np.ceil(sides[1])))


def _sizes(dice: np.random.Generator, count: int, profile: CoinProfile, step: float) -> FloatArray:
    """Contracts on the bid and on the ask (2 x n)."""
    steps_per_coin = round(1.0 / step)
    amounts = profile.typical_amount * np.exp(0.8 * dice.standard_normal((2, count)))
    whole: FloatArray = np.maximum(np.round(amounts * steps_per_coin), 1.0) / steps_per_coin
    return whole


def _underlying_index(currency: str, expires_at_ms: int, at_ms: int) -> str:
    future = f"{currency}-{expiry_code(expires_at_ms)}"
    return future if has_future(expires_at_ms, at_ms) else f"SYN.{future}"
