"""The unchanging side of simulated chains as columns: what is listed, of one coin and of several below each other.

In: the sheets of listing boards, the coins' profiles. Out: arrays, strikes in USD, times in milliseconds; worth keeping
while the listings stay the same. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np

from core.columns import Integers
from paper_exchange.market.listing_columns import ListingColumns, usual_terms
from paper_exchange.market.market import MIN_TRADE_AMOUNT
from paper_exchange.simulated.listing_board import ExpirySheet
from paper_exchange.simulated.process import FloatArray
from paper_exchange.simulated.settings import CoinProfile
from paper_exchange.simulated.surface import ProfileRows, profile_rows


@dataclass(frozen=True, slots=True, eq=False)
class ChainColumns:
    """One coin's chain.

    `sheets` are what it was made of. Listings come in pairs, the call and the put of one strike, which share forward,
    volatility and d1, as all strikes of an expiry share what hangs on time: `strikes_usd` and `expiry_of` have a row a
    strike and expiry, `expires_at_ms` a row an expiry.
    """

    sheets: tuple[ExpirySheet, ...]
    listings: ListingColumns
    strikes_usd: FloatArray
    expiry_of: Integers
    expires_at_ms: FloatArray


def chain_columns(sheets: tuple[ExpirySheet, ...]) -> ChainColumns:
    """Listings as columns."""
    names = tuple(chain.from_iterable([sheet.names for sheet in sheets]))
    strikes_usd = np.concatenate([sheet.strikes_usd for sheet in sheets])
    expiry_of = np.arange(len(sheets)).repeat([len(sheet.strikes_usd) for sheet in sheets])
    expires_at_ms = np.array([sheet.expires_at_ms for sheet in sheets])
    least_coin = np.array([MIN_TRADE_AMOUNT[sheet.currency] for sheet in sheets])
    columns = (strikes_usd, expires_at_ms[expiry_of], least_coin[expiry_of])
    listings = ListingColumns(
        names=names,
        row_of=dict(zip(names, range(len(names)), strict=True)),
        terms=usual_terms(np.arange(len(names)) % 2 == 0, *[column.repeat(2) for column in columns]),
        make_row=lambda row: sheets[expiry_of[row // 2]].listing(names[row]),
    )
    return ChainColumns(sheets, listings, strikes_usd, expiry_of, expires_at_ms.astype(np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class JoinedColumns:
    """The chains of several coins, one below the other: what is priced together is priced in half the time.

    `coin_of` and `profiles` have a row an expiry, `smiles` and `spread_scales` (see CoinProfile) a row a strike and
    expiry; `ends` are the rows where each coin's strikes end.
    """

    chains: tuple[ChainColumns, ...]
    strikes_usd: FloatArray
    expiry_of: Integers
    expires_at_ms: FloatArray
    coin_of: Integers
    profiles: ProfileRows
    smiles: FloatArray
    spread_scales: FloatArray
    ends: tuple[int, ...]


def joined_columns(chains: tuple[ChainColumns, ...], profiles: Sequence[CoinProfile]) -> JoinedColumns:
    """At least one coin."""
    expiries = [len(one.expires_at_ms) for one in chains]
    strikes = [len(one.strikes_usd) for one in chains]
    before = [0, *accumulate(expiries)]
    return JoinedColumns(
        chains=chains,
        strikes_usd=np.concatenate([one.strikes_usd for one in chains]),
        expiry_of=np.concatenate([one.expiry_of + first for one, first in zip(chains, before, strict=False)]),
        expires_at_ms=np.concatenate([one.expires_at_ms for one in chains]),
        coin_of=np.arange(len(chains)).repeat(expiries),
        profiles=ProfileRows(*[column.repeat(expiries) for column in profile_rows(profiles)]),
        smiles=np.repeat([profile.smile for profile in profiles], strikes),
        spread_scales=np.repeat([profile.spread_scale for profile in profiles], strikes),
        ends=tuple(accumulate(strikes)),
    )
