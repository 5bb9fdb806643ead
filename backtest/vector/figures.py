"""What every ledger is worth and what it risks now: marks, margin, deltas, and the call that expires first.

In: accounts and their bank. Out: columns by ledger, coin and deltas of a whole position. As paper_exchange/account/
valuation.py works them out and core/exposure.py sums them up, one option after the other. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backtest.vector.accounts import COIN_DECIMALS, NO_CALL, PLACE_BITS, Accounts
from config import RiskConfig
from core.columns import Bools, Floats, Integers
from core.pricing import short_call_maintenance_margin_coin
from models import ROUNDING

TICKS_OF_DELTA = 1e5  # the exchange shows a position's delta with five decimals


@dataclass(frozen=True, eq=False)
class Due:
    """The sold call that expires first. Where a ledger holds none `size` is 0, and its row that of no call."""

    position: Integers
    row: Integers
    base: Integers
    size: Floats
    delta: Floats  # of the whole position, negative
    average_price_coin: Floats


@dataclass(frozen=True, eq=False)
class Held:
    """Every call that is sold, in no order: its ledger, row and amount."""

    ledger: Integers
    row: Integers
    size: Floats

    def summed(self, column: Floats, ledgers: int) -> Floats:
        """A column of these calls, added up by ledger."""
        total: Floats = np.bincount(self.ledger, column, ledgers).astype(np.float64, copy=False)  # of none, whole ones
        return total


@dataclass(frozen=True, eq=False)
class Figures:
    """By ledger, all but `is_reducing`: that is by account, and says that nothing may be sold."""

    moment: Integers
    spot_usd: Floats
    equity_coin: Floats
    balance_coin: Floats
    coins_held: Floats
    short_coin: Floats
    margin_coin: Floats
    net_delta: Floats
    is_reducing: Bools
    held: Held
    due: Due


def figures_of(accounts: Accounts, risk: RiskConfig) -> Figures:
    """At the marks of now."""
    bank, balance_coin, ledgers, positions = accounts.bank, accounts.balance_coin, accounts.ledgers, accounts.held()
    ledger = accounts.ledger_of.take(positions)
    row = accounts.base.take(positions) + accounts.of_ledgers(accounts.step).take(ledger)
    held = Held(ledger, row, accounts.size.take(positions))
    short_coin = held.summed(held.size, ledgers)
    value_coin = held.summed(held.size * bank.mark_coin.take(row), ledgers)
    margin_coin = held.summed(held.size * bank.margin_coin.take(row), ledgers)
    moment = accounts.moments()
    return Figures(
        moment=moment,
        spot_usd=bank.spot_usd.take(moment),
        equity_coin=np.round(balance_coin - value_coin, COIN_DECIMALS),
        balance_coin=balance_coin.copy(),
        coins_held=np.maximum(balance_coin, 0.0),
        short_coin=short_coin,
        margin_coin=np.round(margin_coin, COIN_DECIMALS),
        net_delta=held.summed(_delta(held.size, bank.delta.take(row)), ledgers),
        is_reducing=_is_reducing(accounts, short_coin, value_coin, risk),
        held=held,
        due=_due(accounts),
    )


def _delta(size: Floats, of_one: Floats) -> Floats:
    """Of a position sold, as the exchange shows it."""
    shown: Floats = -np.rint(size * of_one * TICKS_OF_DELTA) / TICKS_OF_DELTA
    return shown


def _is_reducing(accounts: Accounts, short_coin: Floats, value_coin: Floats, risk: RiskConfig) -> Bools:
    """More calls than coins, less than the maintenance margin, or too many orders today: as core.exposure has it."""
    coins = np.maximum(accounts.balance_coin, 0.0)
    maintenance_coin = short_coin * short_call_maintenance_margin_coin(0.0) + value_coin
    is_short = (short_coin > coins + ROUNDING) | (np.round(maintenance_coin, COIN_DECIMALS) > coins)
    has_sent = accounts.orders_today + 1 > risk.max_orders_per_day
    has_tried = accounts.unfilled_today + 1 > risk.max_unfilled_orders_per_day
    return is_short.reshape(accounts.coins, -1).any(axis=0) | has_sent | has_tried


def _due(accounts: Accounts) -> Due:
    key = accounts.key.reshape(accounts.places, -1).min(axis=0)
    is_held = key != NO_CALL
    place = np.where(is_held, key & ((1 << PLACE_BITS) - 1), 0)
    position = place * accounts.ledgers + accounts.ledger_of[: accounts.ledgers]
    base = np.where(is_held, accounts.base.take(position), 0)
    row = base + is_held * accounts.of_ledgers(accounts.step)
    size = np.where(is_held, accounts.size.take(position), 0.0)
    return Due(
        position=position,
        row=row,
        base=base,
        size=size,
        delta=_delta(size, accounts.bank.delta.take(row)),
        average_price_coin=accounts.average_price_coin.take(position),
    )
