"""Quotes of whole simulated chains at one moment.

In: listings, index in USD, factors, time in milliseconds, seeded dice. Out: quotes of all listings, in coin. Marks
follow from the rounded volatility, so Black-76 gives them back; bids and asks lie on the tick grid around them, and
spreads widen relative to the mark as the mark gets small. Nobody trades here: volume is a made-up share of the
made-up open interest, and there is no last price. Pure but for the dice.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from core.chain import Quotes, number_or_none
from paper_exchange.market.clocks import YEAR_MS
from paper_exchange.market.expiries import has_future
from paper_exchange.market.market import TICK_SIZE, TICK_STEPS, Quote
from paper_exchange.market.names import expiry_code
from paper_exchange.market.quote_columns import QuoteColumns, all_quoted_at
from paper_exchange.simulated import settings, surface
from paper_exchange.simulated.chain_columns import ChainColumns, JoinedColumns
from paper_exchange.simulated.process import FloatArray
from paper_exchange.simulated.settings import CoinProfile

VOLUME_FRACTION = 0.05  # of the open interest
TICKS_PER_COIN = round(1.0 / TICK_SIZE)
WIDE_ABOVE_COIN, WIDE_TICK = TICK_STEPS[0]
WIDE_TICKS = round(WIDE_TICK / TICK_SIZE)


@dataclass(frozen=True, slots=True, eq=False)
class MarketMoment:
    """The changing side: what all options of some coins are priced from, a row a coin."""

    at_ms: int
    indices_usd: FloatArray
    factors: FloatArray


class _Marks(NamedTuple):
    """A row a strike; of the marks a second column for the put."""

    forwards_usd: FloatArray
    iv_fractions: FloatArray
    marks_coin: FloatArray
    call_deltas: FloatArray
    deviations: FloatArray


def quote_chains(
    columns: JoinedColumns, moment: MarketMoment, profiles: Sequence[CoinProfile], dice: Sequence[np.random.Generator]
) -> list[QuoteColumns]:
    """All quotes of each coin, in the order of its listings; each coin has its own dice."""
    marks = _marks(columns, moment)
    bids, asks = _sides(marks, columns, dice)
    marks_coin, ivs, forwards_usd = marks.marks_coin.ravel(), marks.iv_fractions.repeat(2), marks.forwards_usd.repeat(2)
    quoted_at, found, begin = all_quoted_at(moment.at_ms, len(bids)), [], 0
    for chain, end, profile, own_dice in zip(columns.chains, columns.ends, profiles, dice, strict=True):
        rows = slice(2 * begin, 2 * end)
        shown = Quotes(
            symbols=chain.listings.names,
            bid_price_coin=bids[rows],
            ask_price_coin=asks[rows],
            mark_price_coin=marks_coin[rows],
            mark_iv_fraction=ivs[rows],
            underlying_price_usd=forwards_usd[rows],
            quoted_at=quoted_at[rows],
        )
        rows_of_chain = _Rows(chain, shown, moment.at_ms, profile, own_dice)
        found.append(QuoteColumns(shown, chain.listings.row_of, rows_of_chain.make))
        begin = end
    return found


@dataclass(frozen=True, eq=False)
class _Rows:
    """One coin's quotes, one by one."""

    chain: ChainColumns
    shown: Quotes
    at_ms: int
    profile: CoinProfile
    dice: np.random.Generator

    def make(self, number: int) -> Quote:
        shown, listing = self.shown, self.chain.listings[number]
        bid_coin, ask_coin = number_or_none(shown.bid_price_coin[number]), number_or_none(shown.ask_price_coin[number])
        bid_amount, ask_amount = self._sizes[:, number].tolist()
        open_interest = _open_interest(listing.name)
        return Quote(
            name=listing.name,
            bid_coin=bid_coin,
            ask_coin=ask_coin,
            bid_amount=None if bid_coin is None else bid_amount,
            ask_amount=None if ask_coin is None else ask_amount,
            mark_coin=float(shown.mark_price_coin[number]),
            mark_iv_fraction=float(shown.mark_iv_fraction[number]),
            underlying_price_usd=float(shown.underlying_price_usd[number]),
            underlying_index=_underlying_index(listing.currency, listing.expires_at_ms, self.at_ms),
            timestamp_ms=self.at_ms,
            open_interest=open_interest,
            volume=round(VOLUME_FRACTION * open_interest, 1),
        )

    @cached_property
    def _sizes(self) -> FloatArray:
        """Thrown when the first row is looked at; nothing else is thrown after them."""
        return _sizes(self.dice, len(self.shown), self.profile, self.chain.listings[0].min_trade_amount)


def _open_interest(name: str) -> float:
    return zlib.crc32(name.encode()) % 5000 / 10.0


def _marks(columns: JoinedColumns, moment: MarketMoment) -> _Marks:
    of_expiries = (columns.expires_at_ms - moment.at_ms) / YEAR_MS
    profiles, factors = columns.profiles, moment.factors[columns.coin_of]
    by_expiry = (
        of_expiries,
        surface.forwards_usd(profiles, factors, moment.indices_usd[columns.coin_of], of_expiries),
        surface.level_fraction(profiles, factors, of_expiries),
        surface.slopes(profiles, factors),
    )
    years, forward, level, slope = np.array(by_expiry).take(columns.expiry_of, axis=1)
    deviations = surface.moneyness(forward, columns.strikes_usd, level, years)
    iv = surface.iv_fractions(slope, columns.smiles, level, deviations)
    prices = surface.price_columns(forward, columns.strikes_usd, iv, years)
    marks = np.column_stack((prices.calls_coin, prices.puts_coin))
    return _Marks(forward, iv, marks, prices.call_deltas, deviations)


def _sides(marks: _Marks, columns: JoinedColumns, dice: Sequence[np.random.Generator]) -> FloatArray:
    """Bids and asks on the tick grid (2 x n), NaN where nobody quotes."""
    thrown = [own.random((3, len(chain.strikes_usd), 2)) for own, chain in zip(dice, columns.chains, strict=True)]
    width_noise, *luck = np.concatenate(thrown, axis=1)
    spread = settings.SPREAD_FLOOR_COIN + settings.SPREAD_FRACTION * marks.marks_coin
    half = 0.5 * spread * columns.spread_scales[:, None] * (0.7 + 0.8 * width_noise)
    sides = _on_grid(np.array((marks.marks_coin - half, marks.marks_coin + half)))
    in_the_wing = np.abs(marks.deviations) > settings.WING_DEVIATIONS
    deep = np.column_stack((marks.call_deltas, 1.0 - marks.call_deltas)) > settings.DEEP_DELTA
    has_no_bid = (in_the_wing[:, None] | deep) & (luck[0] < settings.WING_WITHOUT_BID_FRACTION)
    has_no_ask = deep & (luck[1] < settings.DEEP_WITHOUT_ASK_FRACTION)
    is_shown = (sides > 0.0) & ~np.array((has_no_bid, has_no_ask))
    return np.where(is_shown, sides, np.nan).reshape(2, -1)


def _on_grid(sides: FloatArray) -> FloatArray:
    """Bids rounded down and asks rounded up on the grid of two ticks, below zero to zero."""
    ticks_a_step = np.where(sides > WIDE_ABOVE_COIN, WIDE_TICKS, 1.0)
    steps = np.maximum(sides, 0.0) * TICKS_PER_COIN / ticks_a_step
    whole = np.array((np.floor(steps[0]), np.ceil(steps[1])))
    # Whole ticks over ticks per coin: the division that yields the float 0.0035 itself.
    on_grid: FloatArray = whole * ticks_a_step / TICKS_PER_COIN
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
