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

    place: Integers
    row: Integers
    base: Integers
    size: Floats
    delta: Floats  # of the whole position, negative
    average_price_coin: Floats


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
    due: Due


def figures_of(accounts: Accounts, risk: RiskConfig) -> Figures:
    """At the marks of now."""
    bank, size = accounts.bank, accounts.size
    rows = accounts.base + accounts.of_ledgers(accounts.step)
    short_coin = size.sum(axis=0)
    deltas = -np.rint(size * bank.delta[rows] * TICKS_OF_DELTA) / TICKS_OF_DELTA
    value_coin = (size * bank.mark_coin[rows]).sum(axis=0)
    balance_coin = accounts.balance_coin
    moment = accounts.moments()
    return Figures(
        moment=moment,
        spot_usd=bank.spot_usd[moment],
        equity_coin=np.round(balance_coin - value_coin, COIN_DECIMALS),
        balance_coin=balance_coin.copy(),
        coins_held=np.maximum(balance_coin, 0.0),
        short_coin=short_coin,
        margin_coin=np.round((size * bank.margin_coin[rows]).sum(axis=0), COIN_DECIMALS),
        net_delta=deltas.sum(axis=0),
        is_reducing=_is_reducing(accounts, short_coin, value_coin, risk),
        due=_due(accounts, rows, deltas),
    )


def _is_reducing(accounts: Accounts, short_coin: Floats, value_coin: Floats, risk: RiskConfig) -> Bools:
    """More calls than coins, less than the maintenance margin, or too many orders today: as core.exposure has it."""
    coins = np.maximum(accounts.balance_coin, 0.0)
    maintenance_coin = short_coin * short_call_maintenance_margin_coin(0.0) + value_coin
    is_short = (short_coin > coins + ROUNDING) | (np.round(maintenance_coin, COIN_DECIMALS) > coins)
    has_sent = accounts.orders_today + 1 > risk.max_orders_per_day
    has_tried = accounts.unfilled_today + 1 > risk.max_unfilled_orders_per_day
    return is_short.reshape(accounts.coins, -1).any(axis=0) | has_sent | has_tried


def _due(accounts: Accounts, rows: Integers, deltas: Floats) -> Due:
    key = np.where(accounts.size > 0.0, accounts.key, NO_CALL).min(axis=0)
    is_held = key != NO_CALL
    place = np.where(is_held, key & ((1 << PLACE_BITS) - 1), 0)
    here = place, accounts.ledger
    return Due(
        place=place,
        row=np.where(is_held, rows[here], 0),
        base=accounts.base[here],
        size=accounts.size[here],
        delta=deltas[here],
        average_price_coin=accounts.average_price_coin[here],
    )
