"""Thousands of paper accounts as columns: balances, calls sold, fills, deliveries.

In: a bank, coins to start with, fills. Out: changed columns. There is a ledger for each coin of each account: those of
the first coin first. What a ledger holds stands in places, one call each; places are columns too, by place and ledger.
Amounts in coin, prices in coin per contract. Follows paper_exchange/account; roundings are those of the exchange. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backtest.vector.bank import Bank
from core.columns import Floats, Integers
from core.pricing import trade_fee_coin

FIRST_PLACES = 4
PLACE_BITS, STEP_BITS = 12, 20
NO_CALL = np.iinfo(np.int64).max  # the key of nothing
COIN_DECIMALS = 12
AMOUNT_DECIMALS = 8
DUST = 0.5e-12  # below any amount that has 12 decimals


class Accounts:
    """State of all accounts. `places` grow when an account holds more calls at once than any before it.

    `base` is where a call's rows stand in the bank, 0 where a place is free. `key` orders the calls of a ledger as the
    engine does: by expiry, then by when they were sold; its lowest bits are the place.
    """

    def __init__(self, bank: Bank, count: int, start_coin: Sequence[float], steps_per_coin: Sequence[int]) -> None:
        self.bank, self.count, self.coins = bank, count, len(start_coin)
        self.start_coin = np.repeat(np.array(start_coin, dtype=np.float64), count)
        self.steps_per_coin = np.repeat(np.array(steps_per_coin, dtype=np.float64), count)
        self.ledger = np.arange(self.coins * count)
        self._first_moment = np.repeat(np.arange(self.coins) * len(bank.day), count)
        # by account
        self.path, self.step = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        self.orders_today, self.unfilled_today = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        # by ledger
        self.balance_coin = self.start_coin.copy()
        # by place and ledger
        shape = (FIRST_PLACES, len(self.ledger))
        self.base, self.ends_at_step = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        self.key = np.full(shape, NO_CALL)
        self.size, self.average_price_coin = np.zeros(shape), np.zeros(shape)

    def of_ledgers(self, by_account: Integers) -> Integers:
        """A column by account, as one by ledger."""
        return np.tile(by_account, self.coins)

    def moments(self) -> Integers:
        """Where each ledger's market stands now."""
        return self.of_ledgers(self.path * self.bank.moments_a_path + self.step) + self._first_moment

    def begin(self, accounts: Integers, paths: Integers) -> None:
        """Fresh accounts at the start of these paths."""
        self.path[accounts], self.step[accounts] = paths, 0
        self.orders_today[accounts] = self.unfilled_today[accounts] = 0
        ledgers = (accounts + self.count * np.arange(self.coins)[:, None]).ravel()
        self.balance_coin[ledgers] = self.start_coin[ledgers]
        self.size[:, ledgers], self.average_price_coin[:, ledgers] = 0.0, 0.0
        self.base[:, ledgers], self.key[:, ledgers] = 0, NO_CALL

    # --- fills ------------------------------------------------------------------------------

    def buy_back(self, ledgers: Integers, places: Integers, amount: Floats, price_coin: Floats) -> None:
        """Take amounts off calls that are sold."""
        self._move_coins(ledgers, -amount * price_coin - trade_fee_coin(price_coin, 1.0) * amount)
        left = np.round(self.size[places, ledgers] - amount, AMOUNT_DECIMALS)
        self.size[places, ledgers] = left
        self.average_price_coin[places, ledgers] *= left > 0.0

    def sell(self, ledgers: Integers, bases: Integers, steps: Integers, amount: Floats, price_coin: Floats) -> None:
        """Sell calls: more of one that is held, or a new one in a free place."""
        places = self._places_for(ledgers, bases)
        self._move_coins(ledgers, amount * price_coin - trade_fee_coin(price_coin, 1.0) * amount)
        held, average_coin = self.size[places, ledgers], self.average_price_coin[places, ledgers]
        self.average_price_coin[places, ledgers] = (average_coin * held + price_coin * amount) / (held + amount)
        self.size[places, ledgers] = np.round(held + amount, AMOUNT_DECIMALS)
        is_new = self.base[places, ledgers] != bases
        ledgers, places, bases, rows = ledgers[is_new], places[is_new], bases[is_new], (bases + steps)[is_new]
        self.base[places, ledgers] = bases
        self.ends_at_step[places, ledgers] = self.bank.ends_at_step[rows]
        sold_at = self.bank.expiry[rows] << STEP_BITS | steps[is_new]
        self.key[places, ledgers] = sold_at << PLACE_BITS | places

    def _places_for(self, ledgers: Integers, bases: Integers) -> Integers:
        """Where each call stands; for those that are new to a ledger the first free place."""
        held = self.base[:, ledgers]
        found = held == bases
        is_known = found.any(axis=0)
        free = held == 0
        if not (is_known | free.any(axis=0)).all():
            self._add_places()
            return self._places_for(ledgers, bases)
        places: Integers = np.where(is_known, found.argmax(axis=0), free.argmax(axis=0))
        return places

    def _add_places(self) -> None:
        """Twice as many."""
        for name, empty in (("base", 0), ("ends_at_step", 0), ("key", NO_CALL), ("size", 0), ("average_price_coin", 0)):
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.full_like(column, empty)]))

    def _move_coins(self, ledgers: Integers, change_coin: Floats) -> None:
        moved = self.balance_coin[ledgers] + np.round(change_coin, COIN_DECIMALS)
        self.balance_coin[ledgers] = np.round(moved, COIN_DECIMALS)

    # --- time -------------------------------------------------------------------------------

    def advance(self) -> None:
        """One step: expired calls are delivered, those bought back forgotten at 08:00 UTC, orders counted by day."""
        self.step = np.minimum(self.step + 1, self.bank.moments_a_path - 1)  # of an episode that is over, stays
        moment = self.path * self.bank.moments_a_path + self.step
        self._deliver()
        is_free = self.bank.is_new_session[self.of_ledgers(moment)] & (self.size == 0.0)
        self.base[is_free], self.key[is_free] = 0, NO_CALL
        is_same_day = self.bank.day[moment] == self.bank.day[moment - 1]
        self.orders_today *= is_same_day
        self.unfilled_today *= is_same_day

    def _deliver(self) -> None:
        """In the order of their expiry, as the balance is rounded after each."""
        is_due = (self.ends_at_step <= self.of_ledgers(self.step)) & (self.size > 0.0)
        while is_due.any():
            key = np.where(is_due, self.key, NO_CALL).min(axis=0)
            ledgers = np.flatnonzero(key != NO_CALL)
            places = key[ledgers] & ((1 << PLACE_BITS) - 1)
            # The last row of a call is that of the step before its end.
            rows = self.base[places, ledgers] + self.ends_at_step[places, ledgers] - 1
            each_coin = self.bank.payoff_coin[rows] + self.bank.delivery_fee_coin[rows]
            self._move_coins(ledgers, -self.size[places, ledgers] * each_coin)
            self.size[places, ledgers], self.average_price_coin[places, ledgers] = 0.0, 0.0
            self.base[places, ledgers], self.key[places, ledgers] = 0, NO_CALL
            is_due[places, ledgers] = False

    # --- amounts ----------------------------------------------------------------------------

    def whole_steps(self, ledgers: Integers, amount: Floats) -> Floats:
        """The most whole steps of the exchange that are not above an amount; as core.pricing.floor_to_step."""
        steps_per_coin = self.steps_per_coin[ledgers]
        floored: Floats = np.floor((np.round(amount, COIN_DECIMALS) + DUST) * steps_per_coin) / steps_per_coin
        return np.maximum(floored, 0.0)
