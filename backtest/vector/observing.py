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
        names = [f"{coin.lower()}_{name}" for name in (*OF_ACCOUNT, *OF_HELD) for coin in coins]
        self._places = [places[name] for name in names]
        bounds = np.array([(low, high) for _, _, low, high in columns()])[self._places]
        self._lows, self._highs = bounds[:, :1], bounds[:, 1:]

    def observe(self, accounts: Accounts, now: Figures) -> NDArray[np.float32]:
        """One line an account."""
        seen: NDArray[np.float32] = accounts.bank.of_state[accounts.path * accounts.bank.moments_a_path + accounts.step]
        figures = np.concatenate([*_of_account(accounts, now), *_of_held(accounts, now)])
        lines = figures.reshape(len(self._places), accounts.count)
        seen[:, self._places] = np.clip(lines, self._lows, self._highs).T
        return seen


def _of_account(accounts: Accounts, now: Figures) -> Iterator[Floats]:
    """As OF_ACCOUNT names them."""
    start_coin = accounts.start_coin
    yield _over(now.equity_coin, start_coin)
    yield _over(np.maximum(now.coins_held - now.short_coin, 0.0), start_coin)
    yield _over(now.short_coin, start_coin)
    yield _over(now.net_delta, start_coin)
    yield _over(100.0 * now.margin_coin, now.balance_coin)


def _of_held(accounts: Accounts, now: Figures) -> Iterator[Floats]:
    """As OF_HELD names them."""
    due, bank = now.due, accounts.bank
    ask_coin, mark_coin = bank.ask_coin[due.row], bank.mark_coin[due.row]
    has_ask = ask_coin > 0.0
    cost_coin = np.where(has_ask, ask_coin, mark_coin)
    average_coin = due.average_price_coin
    yield _over(due.size, accounts.start_coin)
    yield bank.dte_days[due.row]
    yield bank.moneyness[due.row]
    yield _over(-due.delta, due.size)
    yield mark_coin
    yield np.where(has_ask, ask_coin, 0.0)
    yield 100.0 * _over(average_coin - cost_coin, average_coin)


def _over(part: Floats, whole: Floats) -> Floats:
    """0 where there is nothing to divide by."""
    divided: Floats = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0.0)
    return divided
