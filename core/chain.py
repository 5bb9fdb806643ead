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
from operator import is_not
from typing import NamedTuple

import numpy as np

from core.columns import Bools, Floats, Integers, Times, times_of, utc_in, utcs_of
from deribit.vocabulary import OptionInstrument, OptionQuote

NOT_LISTED = -1  # the row that stands for every option that a listing does not know: the last one


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
            number = self.symbols.index(symbol)  # of one that is named twice the first row
        except ValueError:
            return None
        return self.row(number)

    @property
    def figures(self) -> Floats:
        """Bid, ask, mark, mark IV and forward, a row each."""
        return np.array(
            [
                self.bid_price_coin,
                self.ask_price_coin,
                self.mark_price_coin,
                self.mark_iv_fraction,
                self.underlying_price_usd,
            ]
        )

    def row(self, number: int) -> OptionQuote:
        return OptionQuote(
            self.symbols[number],
            number_or_none(self.bid_price_coin.item(number)),
            number_or_none(self.ask_price_coin.item(number)),
            number_or_none(self.mark_price_coin.item(number)),
            number_or_none(self.mark_iv_fraction.item(number)),
            number_or_none(self.underlying_price_usd.item(number)),
            utc_in(self.quoted_at, number),
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
    expiry: Times


class CallRows(NamedTuple):
    """All calls, expiries rising, those of each with their strikes rising: places in the chain, and strikes in USD.

    `of_expiry`: which of them are of each expiry.
    """

    rows: Integers
    strikes_usd: list[float]
    expiries: list[datetime]
    of_expiry: dict[datetime, slice]


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
    min_trade_amount_coin: Floats
    tick_size_coin: Floats
    steps: tuple[tuple[Floats, Floats], ...]

    def take(self, rows: Integers | slice) -> Terms:
        """These rows, in this order."""
        return Terms(
            self.is_listed[rows],
            self.is_call[rows],
            self.is_tradable[rows],
            self.strike_usd[rows],
            self.expiry[rows],
            self.min_trade_amount_coin[rows],
            self.tick_size_coin[rows],
            self.steps_of(rows),
        )

    @cached_property
    def calls(self) -> CallRows:
        """Found once for all moments of these terms."""
        rows = np.flatnonzero(self.is_call)
        rows = rows.take(np.lexsort((self.strike_usd.take(rows), self.expiry.take(rows))))
        expiry, is_last = self.expiry.take(rows), np.ones(len(rows), dtype=np.bool_)
        np.not_equal(expiry[1:], expiry[:-1], out=is_last[:-1])
        last = np.flatnonzero(is_last)
        expiries, ends = utcs_of(expiry.take(last)), (last + 1).tolist()
        spans = map(slice, [0, *ends], ends)
        return CallRows(rows, self.strike_usd.take(rows).tolist(), expiries, dict(zip(expiries, spans, strict=True)))

    @cached_property
    def tradable_calls(self) -> TradableCalls:
        """Found once for all moments of these terms."""
        rows = np.flatnonzero(self.is_listed & self.is_call & self.is_tradable)
        return TradableCalls(rows, self.expiry[rows])

    def steps_of(self, rows: Integers | slice) -> tuple[tuple[Floats, Floats], ...]:
        return tuple((above[rows], tick[rows]) for above, tick in self.steps)

    def filled_steps(self, count: int) -> tuple[tuple[Floats, Floats], ...]:
        """So many steps, the last of them such that no price reaches."""
        size = len(self.is_listed)
        return self.steps + ((np.full(size, np.inf), np.full(size, np.nan)),) * (count - len(self.steps))


TickSteps = tuple[tuple[float, float], ...]


class _Row(NamedTuple):
    """What one option is, before it becomes a row of Terms."""

    is_listed: bool
    is_call: bool
    is_tradable: bool
    strike_usd: float
    expiry: datetime | None
    min_trade_amount_coin: float
    tick_size_coin: float
    steps: TickSteps


NO_TERMS = _Row(False, False, False, math.nan, None, math.nan, math.nan, ())  # of an option that is not listed


@dataclass(frozen=True, eq=False)
class Listing:
    """The instruments of a coin. `terms` has a row for each of `symbols`, in their order.

    A source that has its terms as columns already makes an instrument where one is looked at in `by_symbol`.
    """

    symbols: tuple[str, ...]
    row_of: Mapping[str, int]
    by_symbol: Mapping[str, OptionInstrument]
    terms: Terms

    def __len__(self) -> int:
        return len(self.symbols)

    def terms_of(self, symbols: tuple[str, ...]) -> Terms:
        """The terms of any options; those of an option that is not listed are not known."""
        return self.terms if symbols == self.symbols else _terms_of(symbols, self)

    def lacking(self, symbols: Collection[str]) -> set[str]:
        """Those that are not listed."""
        return set() if symbols == self.symbols else {symbol for symbol in symbols if symbol not in self.row_of}


def options_in(listings: Sequence[Listing], symbols: Collection[str]) -> dict[str, OptionInstrument]:
    """Of these options those that are listed."""
    return {symbol: one.by_symbol[symbol] for one in listings for symbol in symbols if symbol in one.by_symbol}


@lru_cache(maxsize=4)
def _terms_of(symbols: tuple[str, ...], listing: Listing) -> Terms:
    """From one moment to the next a chain mostly shows the same options."""
    rows = map(listing.row_of.get, symbols, repeat(NOT_LISTED))
    known = _joined(listing.terms, _terms_of_rows([NO_TERMS]))
    return known.take(np.fromiter(rows, dtype=np.int64, count=len(symbols)))


def listing_of(by_symbol: Mapping[str, OptionInstrument], before: Listing | None = None) -> Listing:
    """The columns of a list of instruments, made once for as long as the list stands.

    Of instruments that are the very same objects as in the list `before`, nothing is read anew.
    """
    before = NOTHING_LISTED if before is None else before
    are_new = [*map(is_not, by_symbol.values(), map(before.by_symbol.get, by_symbol))]
    new = [*compress(by_symbol.values(), are_new)]
    if not new and len(by_symbol) == len(before):
        return before
    rows = np.fromiter(map(before.row_of.get, by_symbol, repeat(NOT_LISTED)), dtype=np.int64, count=len(by_symbol))
    rows[np.array(are_new, dtype=np.bool_)] = len(before) + np.arange(len(new))
    known = _joined(before.terms, _terms_of_rows([*map(_row_of, new)])) if new else before.terms
    row_of = dict(zip(by_symbol, range(len(by_symbol)), strict=True))
    return Listing(tuple(by_symbol), row_of, by_symbol, known.take(rows))


def _row_of(option: OptionInstrument) -> _Row:
    is_tradable = option.is_tradable and option.contract_size_coin == 1.0
    return _Row(
        True,
        option.option_type == "call",
        is_tradable,
        option.strike,
        option.expiry,
        option.min_trade_amount_coin,
        option.tick_size_coin,
        option.tick_steps,
    )


def _terms_of_rows(rows: Sequence[_Row]) -> Terms:
    return Terms(
        is_listed=np.array([row.is_listed for row in rows], dtype=np.bool_),
        is_call=np.array([row.is_call for row in rows], dtype=np.bool_),
        is_tradable=np.array([row.is_tradable for row in rows], dtype=np.bool_),
        strike_usd=np.array([row.strike_usd for row in rows], dtype=np.float64),
        expiry=times_of(row.expiry for row in rows),
        min_trade_amount_coin=np.array([row.min_trade_amount_coin for row in rows], dtype=np.float64),
        tick_size_coin=np.array([row.tick_size_coin for row in rows], dtype=np.float64),
        steps=_steps([row.steps for row in rows]),
    )


def _steps(of_each: Sequence[TickSteps]) -> tuple[tuple[Floats, Floats], ...]:
    """The tick steps of all options, those with fewer than the others filled up with steps that no price reaches."""
    kinds = {steps: number for number, steps in enumerate(dict.fromkeys(of_each))}  # one or two
    most = max(map(len, kinds), default=0)
    filled = np.array([sorted(steps) + [(np.inf, np.nan)] * (most - len(steps)) for steps in kinds])
    kind = np.array([kinds[steps] for steps in of_each], dtype=np.int64)
    return tuple((filled[kind, n, 0], filled[kind, n, 1]) for n in range(most))


def _joined(first: Terms, second: Terms) -> Terms:
    """The rows of both."""
    most = max(len(first.steps), len(second.steps))
    both = zip(first.filled_steps(most), second.filled_steps(most), strict=True)
    return Terms(
        np.concatenate((first.is_listed, second.is_listed)),
        np.concatenate((first.is_call, second.is_call)),
        np.concatenate((first.is_tradable, second.is_tradable)),
        np.concatenate((first.strike_usd, second.strike_usd)),
        np.concatenate((first.expiry, second.expiry)),
        np.concatenate((first.min_trade_amount_coin, second.min_trade_amount_coin)),
        np.concatenate((first.tick_size_coin, second.tick_size_coin)),
        tuple(
            (np.concatenate((above, other_above)), np.concatenate((tick, other_tick)))
            for (above, tick), (other_above, other_tick) in both
        ),
    )


NOTHING_LISTED = Listing((), {}, {}, _terms_of_rows([]))


@dataclass(frozen=True, eq=False)
class Chain:
    """Every option that a coin's market shows: its quote, and what it is as far as the listing knows."""

    quotes: Quotes
    listing: Listing

    @cached_property
    def terms(self) -> Terms:
        """A row for each quote; found where one is looked at."""
        return self.listing.terms_of(self.quotes.symbols)

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.quotes.symbols

    def __len__(self) -> int:
        return len(self.quotes)

    def unlisted_symbols(self) -> set[str]:
        """Options that are quoted, and that the listing does not know."""
        return self.listing.lacking(self.symbols)


def chain_of(quotes: Quotes, listing: Listing) -> Chain:
    return Chain(quotes, listing)
