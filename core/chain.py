"""An option chain as columns: one row an option, NaN where nobody quotes, NaT where a time is not known.

In: what the exchange quotes, row by row, and the instruments that it lists. Out: arrays of equal length, in the order
of the quotes. Prices in coin per contract, strikes and forwards in USD, volatility as a fraction, times UTC. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from itertools import compress, repeat
from typing import NamedTuple

import numpy as np

from core.columns import Bools, Floats, Integers, Times, times_of, utc_of
from deribit.vocabulary import OptionInstrument, OptionQuote

NOT_LISTED = -1  # the row of Listing's columns that stands for every option it does not know: their last


@dataclass(frozen=True, eq=False)
class Quotes:
    """What the exchange quotes for each option of a coin."""

    symbols: tuple[str, ...]
    bid_price_coin: Floats
    ask_price_coin: Floats
    mark_price_coin: Floats
    mark_iv_fraction: Floats
    underlying_price_usd: Floats
    quoted_at: Times

    def __len__(self) -> int:
        return len(self.symbols)

    def of(self, symbol: str) -> OptionQuote | None:
        """One option's quote, None where the chain does not show it."""
        try:
            return self.row(self.symbols.index(symbol))
        except ValueError:
            return None

    def row(self, number: int) -> OptionQuote:
        return OptionQuote(
            self.symbols[number],
            number_or_none(self.bid_price_coin[number]),
            number_or_none(self.ask_price_coin[number]),
            number_or_none(self.mark_price_coin[number]),
            number_or_none(self.mark_iv_fraction[number]),
            number_or_none(self.underlying_price_usd[number]),
            None if np.isnat(self.quoted_at[number]) else utc_of(self.quoted_at[number]),
        )

    def rows(self) -> Iterator[OptionQuote]:
        return map(self.row, range(len(self)))

    def without(self, symbols: Collection[str]) -> Quotes:
        """The other options."""
        if not symbols:
            return self
        is_kept = np.array([symbol not in symbols for symbol in self.symbols], dtype=np.bool_)
        return Quotes(
            tuple(compress(self.symbols, is_kept)),
            self.bid_price_coin[is_kept],
            self.ask_price_coin[is_kept],
            self.mark_price_coin[is_kept],
            self.mark_iv_fraction[is_kept],
            self.underlying_price_usd[is_kept],
            self.quoted_at[is_kept],
        )


def quotes_of(rows: Iterable[OptionQuote]) -> Quotes:
    """Single quotes put together."""
    listed = list(rows)
    return Quotes(
        tuple(row.symbol for row in listed),
        np.array([row.bid_price_coin for row in listed], dtype=np.float64),
        np.array([row.ask_price_coin for row in listed], dtype=np.float64),
        np.array([row.mark_price_coin for row in listed], dtype=np.float64),
        np.array([row.mark_iv_fraction for row in listed], dtype=np.float64),
        np.array([row.underlying_price_usd for row in listed], dtype=np.float64),
        times_of(row.quoted_at for row in listed),
    )


def number_or_none(entry: float) -> float | None:
    """An entry of a column as a plain float, None where it is not known."""
    number = float(entry)
    return None if math.isnan(number) else number


class TradableCalls(NamedTuple):
    """Calls that may be traded until they expire; `rows` are their places in the chain."""

    rows: Integers
    strike_usd: Floats
    expiry: Times


@dataclass(frozen=True, eq=False)
class Terms:
    """What each option is. `steps` are pairs of columns (above price, tick), rising; infinite where there is none.

    `is_tradable`: open, and for one coin a contract.
    """

    is_listed: Bools
    is_call: Bools
    is_tradable: Bools
    strike_usd: Floats
    expiry: Times
    tick_size_coin: Floats
    steps: tuple[tuple[Floats, Floats], ...]

    def take(self, rows: Integers) -> Terms:
        """These rows, in this order."""
        return Terms(
            self.is_listed[rows],
            self.is_call[rows],
            self.is_tradable[rows],
            self.strike_usd[rows],
            self.expiry[rows],
            self.tick_size_coin[rows],
            self.steps_of(rows),
        )

    def calls_of(self, expiry: np.datetime64) -> Integers:
        """The rows of the calls of an expiry, strikes rising; found once for all moments of these terms."""
        if expiry not in self._calls:
            rows = np.flatnonzero(self.is_call & (self.expiry == expiry))
            self._calls[expiry] = rows[np.argsort(self.strike_usd[rows], kind="stable")]
        return self._calls[expiry]

    @cached_property
    def tradable_calls(self) -> TradableCalls:
        """Found once for all moments of these terms."""
        rows = np.flatnonzero(self.is_listed & self.is_call & self.is_tradable)
        return TradableCalls(rows, self.strike_usd[rows], self.expiry[rows])

    @cached_property
    def _calls(self) -> dict[np.datetime64, Integers]:
        return {}

    def steps_of(self, rows: Integers) -> tuple[tuple[Floats, Floats], ...]:
        return tuple((above[rows], tick[rows]) for above, tick in self.steps)


TickSteps = tuple[tuple[float, float], ...]


class _Row(NamedTuple):
    """What one option is, before it becomes a row of Terms."""

    is_call: bool
    is_tradable: bool
    strike_usd: float
    expiry: datetime | None
    tick_size_coin: float
    steps: TickSteps


NO_TERMS = _Row(False, False, math.nan, None, math.nan, ())  # of an option that is not listed


@dataclass(frozen=True, eq=False)
class Listing:
    """The instruments of a coin. `terms` has their rows in the order of `by_symbol`, and one more for NOT_LISTED."""

    by_symbol: dict[str, OptionInstrument]
    row_of: Mapping[str, int]
    terms: Terms
    expiries: Times
    rows: Mapping[str, _Row]

    def terms_of(self, symbols: Sequence[str]) -> Terms:
        """The terms of any options; those of an option that is not listed are not known."""
        rows = map(self.row_of.get, symbols, repeat(NOT_LISTED))
        return self.terms.take(np.fromiter(rows, dtype=np.int64, count=len(symbols)))


def listing_of(by_symbol: dict[str, OptionInstrument], before: Listing | None = None) -> Listing:
    """The columns of a list of instruments, made once for as long as the list stands.

    Of instruments that are the very same objects as in the list `before`, nothing is read anew.
    """
    rows = {} if before is None else before.rows
    known = {} if before is None else before.by_symbol
    rows = {s: rows[s] if known.get(s) is option else _row_of(option) for s, option in by_symbol.items()}
    is_call, is_tradable, strike_usd, expiry, tick_size, steps = zip(*rows.values(), NO_TERMS, strict=True)
    terms = Terms(
        is_listed=np.array([True] * len(rows) + [False]),
        is_call=np.array(is_call),
        is_tradable=np.array(is_tradable),
        strike_usd=np.array(strike_usd),
        expiry=times_of(expiry),
        tick_size_coin=np.array(tick_size),
        steps=_steps(steps),
    )
    row_of = {symbol: row for row, symbol in enumerate(by_symbol)}
    return Listing(by_symbol, row_of, terms, np.unique(terms.expiry[:-1]), rows)


def _row_of(option: OptionInstrument) -> _Row:
    is_tradable = option.is_tradable and option.contract_size_coin == 1.0
    is_call = option.option_type == "call"
    return _Row(is_call, is_tradable, option.strike, option.expiry, option.tick_size_coin, option.tick_steps)


def _steps(of_each: Sequence[TickSteps]) -> tuple[tuple[Floats, Floats], ...]:
    """The tick steps of all options, those with fewer than the others filled up with steps that no price reaches."""
    kinds = {steps: number for number, steps in enumerate(dict.fromkeys(of_each))}  # one or two
    most = max(map(len, kinds))
    filled = np.array([sorted(steps) + [(np.inf, np.nan)] * (most - len(steps)) for steps in kinds])
    kind = np.array([kinds[steps] for steps in of_each])
    return tuple((filled[kind, n, 0], filled[kind, n, 1]) for n in range(most))


@dataclass(frozen=True, eq=False)
class Chain:
    """Every option that a coin's market shows: its quote, and what it is as far as the listing knows."""

    quotes: Quotes
    listing: Listing
    terms: Terms

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.quotes.symbols

    def __len__(self) -> int:
        return len(self.quotes)

    def unlisted_symbols(self) -> set[str]:
        """Options that are quoted, and that the listing does not know."""
        return set() if self.terms.is_listed.all() else set(compress(self.symbols, ~self.terms.is_listed))


def chain_of(quotes: Quotes, listing: Listing) -> Chain:
    return Chain(quotes, listing, _terms_of(quotes.symbols, listing))


@lru_cache(maxsize=4)
def _terms_of(symbols: tuple[str, ...], listing: Listing) -> Terms:
    """From one moment to the next a chain mostly shows the same options."""
    return listing.terms_of(symbols)
