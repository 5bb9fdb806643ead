"""What positions and orders are worth: marks, greeks, margins, and the figures of one coin's account.

In: the account's state and the time in milliseconds. Out: coin, deltas per coin, greeks in Deribit's units.
Identities: equity = balance + options value; margin balance = equity - options value; available = margin balance
- initial margin (resting orders included). Source: standard margin as recorded from Deribit. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from core import pricing
from paper_exchange.account.margins import (
    claim_of,
    open_orders_margin_coin,
    position_initial_margin_coin,
    position_maintenance_margin_coin,
)
from paper_exchange.account.positions import Position
from paper_exchange.account.state import AccountState, Contract
from paper_exchange.market.clocks import DAY_MS, from_ms
from paper_exchange.market.names import currency_of
from paper_exchange.market.times import session_start_ms


class Black76(NamedTuple):
    """What an option's price follows from, in the order of core.pricing."""

    forward_usd: float
    strike_usd: float
    iv_fraction: float
    years: float
    is_call: bool


@dataclass(frozen=True)
class PositionFigures:
    """A position at its last known mark; `delta` and the other `greeks` are scaled by the signed size."""

    instrument_name: str
    size: float
    mark_coin: float
    index_usd: float
    expires_at_ms: int
    option: Black76
    delta: float
    initial_margin_coin: float
    maintenance_margin_coin: float
    orders_margin_coin: float
    total_profit_coin: float
    floating_profit_coin: float
    floating_profit_usd: float

    @property
    def value_coin(self) -> float:
        """Negative for a short: what it would cost at the mark."""
        return self.size * self.mark_coin

    @cached_property
    def greeks(self) -> pricing.Greeks:
        """Worked out where somebody looks at more than the delta."""
        return pricing.Greeks(*(self.size * greek for greek in pricing.black76_greeks(*self.option)))


@dataclass(frozen=True, slots=True)
class CoinFigures:
    """One coin's account. `options` holds a row for every instrument with a position or an order."""

    balance_coin: float
    session_realized_coin: float
    options: tuple[PositionFigures, ...]

    @property
    def options_value_coin(self) -> float:
        """Mark value of all options, negative for shorts."""
        return sum(row.value_coin for row in self.options)

    @property
    def equity_coin(self) -> float:
        """Balance plus the options at their mark."""
        return self.balance_coin + self.options_value_coin

    @property
    def initial_margin_coin(self) -> float:
        """Initial margin of positions and resting orders."""
        return sum(row.initial_margin_coin + row.orders_margin_coin for row in self.options)

    @property
    def maintenance_margin_coin(self) -> float:
        """Maintenance margin of the positions."""
        return sum(row.maintenance_margin_coin for row in self.options)

    @property
    def available_funds_coin(self) -> float:
        """Margin balance less initial margin; option value is no collateral, so the balance is the margin balance."""
        return self.balance_coin - self.initial_margin_coin

    @property
    def delta_total(self) -> float:
        """Net transaction delta: the options' delta less their value in coin."""
        return sum(row.delta - row.value_coin for row in self.options)

    def without_next_expiry(self, now_ms: int) -> CoinFigures:
        """The same account after the next 08:00 UTC has taken its options away: the `projected_*` figures."""
        next_settlement_ms = session_start_ms(now_ms) + DAY_MS
        later = tuple(row for row in self.options if row.expires_at_ms > next_settlement_ms)
        return CoinFigures(self.balance_coin, self.session_realized_coin, later)


def coin_figures(state: AccountState, currency: str, now_ms: int) -> CoinFigures:
    """All figures of one coin at the last known marks; zeros for a currency that this account does not hold."""
    names = [name for name in involved_instruments(state) if currency_of(name) == currency]
    rows = tuple(position_figures(state, name, now_ms) for name in names)
    balance_coin = state.balances_coin.get(currency, 0.0)
    return CoinFigures(balance_coin, state.session_realized_coin.get(currency, 0.0), rows)


def involved_instruments(state: AccountState) -> list[str]:
    """Instruments with a position, a position closed in this session, or a resting order."""
    ordered = (order.instrument_name for order in state.orders.values())
    return list(dict.fromkeys([*state.positions, *ordered]))


def position_figures(state: AccountState, name: str, now_ms: int) -> PositionFigures:
    """The figures of one instrument; all zero but the orders' margin where nothing is held."""
    contract = state.contracts[name]
    position = state.positions.get(name, Position(name))
    index_usd = state.index_usd[currency_of(name)]
    size, mark_coin, listing = position.size, contract.mark_coin, contract.listing
    claims = [claim_of(order) for order in state.orders_on(name)]
    option = _priced(contract, now_ms)
    return PositionFigures(
        instrument_name=name,
        size=size,
        mark_coin=mark_coin,
        index_usd=index_usd,
        expires_at_ms=listing.expires_at_ms,
        option=option,
        delta=size * pricing.black76_delta(*option),
        initial_margin_coin=position_initial_margin_coin(listing, size, mark_coin, index_usd),
        maintenance_margin_coin=position_maintenance_margin_coin(listing, size, mark_coin),
        orders_margin_coin=open_orders_margin_coin(listing, size, claims, index_usd),
        total_profit_coin=size * (mark_coin - position.average_price_coin),
        floating_profit_coin=size * (mark_coin - position.session_price_coin),
        floating_profit_usd=size * (mark_coin * index_usd - position.average_price_usd),
    )


def _priced(contract: Contract, now_ms: int) -> Black76:
    listing = contract.listing
    years = pricing.years_between(from_ms(now_ms), from_ms(listing.expires_at_ms))
    return Black76(contract.underlying_usd, listing.strike_usd, contract.mark_iv_fraction, years, listing.is_call)
