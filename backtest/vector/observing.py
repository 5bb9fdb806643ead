"""The observation of every account: that of its market from the bank, and over it the columns about the account.

In: accounts, their figures. Out: a new float32 array, one line an account, columns as in
backtest/environment/observation.py. Figures that are unknown, and calls that are not there, are 0. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from backtest.environment.observation import columns
from backtest.vector.accounts import Accounts
from backtest.vector.figures import Figures
from core.columns import Floats
from models import Underlying

OF_ACCOUNT = ("equity", "room", "short_calls", "net_delta", "margin_used")
OF_HELD = ("held_size", "held_dte", "held_moneyness", "held_delta", "held_mark", "held_ask", "held_captured")


class Observer:
    """Knows where each column about the account stands."""

    def __init__(self, coins: Sequence[Underlying]) -> None:
        places = {name: place for place, (name, *_) in enumerate(columns())}
        names = (*OF_ACCOUNT, *OF_HELD)
        self._blocks = [[places[f"{coin.lower()}_{name}"] for name in names] for coin in coins]
        bounds = np.array([(low, high) for _, _, low, high in columns()])[self._blocks[0]]
        self._lows, self._highs = bounds[:, :1], bounds[:, 1:]

    def observe(self, accounts: Accounts, now: Figures) -> NDArray[np.float32]:
        """One line an account."""
        bank = accounts.bank
        seen: NDArray[np.float32] = bank.of_state.take(accounts.path * bank.moments_a_path + accounts.step, axis=0)
        figures = np.array([*_of_account(accounts, now), *_of_held(accounts, now)])
        np.clip(figures, self._lows, self._highs, out=figures)
        for place, block in enumerate(self._blocks):
            ledgers = slice(place * accounts.count, (place + 1) * accounts.count)
            seen[:, block[0] : block[-1] + 1] = figures[:, ledgers].T  # they stand side by side
        return seen


def _of_account(accounts: Accounts, now: Figures) -> Iterator[Floats]:
    """As OF_ACCOUNT names them."""
    of_start = accounts.per_start_coin
    yield now.equity_coin * of_start
    yield np.maximum(now.coins_held - now.short_coin, 0.0) * of_start
    yield now.short_coin * of_start
    yield now.net_delta * of_start
    yield _over(100.0 * now.margin_coin, now.balance_coin)


def _of_held(accounts: Accounts, now: Figures) -> Iterator[Floats]:
    """As OF_HELD names them."""
    due, bank = now.due, accounts.bank
    ask_coin, mark_coin = bank.ask_coin.take(due.row), bank.mark_coin.take(due.row)
    has_ask = ask_coin > 0.0
    cost_coin = np.where(has_ask, ask_coin, mark_coin)
    average_coin = due.average_price_coin
    yield due.size * accounts.per_start_coin
    yield bank.dte_days.take(due.row)
    yield bank.moneyness.take(due.row)
    yield _over(-due.delta, due.size)
    yield mark_coin
    yield np.where(has_ask, ask_coin, 0.0)
    yield 100.0 * _over(average_coin - cost_coin, average_coin)


def _over(part: Floats, whole: Floats) -> Floats:
    """0 where there is nothing to divide by."""
    is_some = whole > 0.0
    divided: Floats = part / np.where(is_some, whole, 1.0) * is_some
    return divided
