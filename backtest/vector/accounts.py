"""Thousands of paper accounts as columns: balances, calls sold, fills, deliveries.

In: a bank, coins to start with, fills. Out: changed columns. There is a ledger for each coin of each account: those of
the first coin first. What a ledger holds stands in places, one call each; places are columns too, by place and ledger.
Amounts in coin, prices in coin per contract. Follows paper_exchange/account; roundings are those of the exchange. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backtest.vector.bank import NEVER, Bank
from core.columns import Bools, Floats, Integers
from core.pricing import trade_fee_coin

PLACE_BITS, STEP_BITS = 12, 20
NO_CALL = np.iinfo(np.int64).max  # the key of nothing
COIN_DECIMALS = 12
AMOUNT_DECIMALS = 8
DUST = 0.5e-12  # below any amount that has 12 decimals


class Accounts:
    """State of all accounts. Places are added when an account holds more calls at once than any before it.

    `base` is where a call's rows stand in the bank, 0 where a place is free. `sold_key` orders the calls of a ledger as
    the engine does: by expiry, then by when they were sold; its lowest bits are the place. `key` is the same as long as
    something of the call is held; from `ends_at_step` on what is held is due for delivery. Columns of places are flat,
    and a position in them is a place and a ledger in one: most places are empty, and only those that are not are
    looked at.
    """

    def __init__(self, bank: Bank, count: int, start_coin: Sequence[float], steps_per_coin: Sequence[int]) -> None:
        self.bank, self.count, self.coins = bank, count, len(start_coin)
        self.ledgers, self.places = self.coins * count, 1
        self.start_coin = np.repeat(np.array(start_coin, dtype=np.float64), count)
        has_coins = self.start_coin > 0.0
        self.per_start_coin = np.divide(1.0, self.start_coin, out=np.zeros_like(self.start_coin), where=has_coins)
        self.steps_per_coin = np.repeat(np.array(steps_per_coin, dtype=np.float64), count)
        self._first_moment = np.repeat(np.arange(self.coins) * len(bank.day), count)
        # by account
        self.path, self.step = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        self.orders_today, self.unfilled_today = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        # by ledger
        self.balance_coin = self.start_coin.copy()
        # by place and ledger
        self.base, self.ends_at_step = np.zeros(self.ledgers, dtype=np.int64), np.full(self.ledgers, NEVER)
        self.key, self.sold_key = np.full(self.ledgers, NO_CALL), np.full(self.ledgers, NO_CALL)
        self.size, self.average_price_coin = np.zeros(self.ledgers), np.zeros(self.ledgers)
        self.ledger_of = np.arange(self.ledgers)
        self._bought_out = np.zeros(0, dtype=np.int64)  # positions of which nothing is left, since the last 08:00 UTC

    def of_ledgers(self, by_account: Integers) -> Integers:
        """A column by account, as one by ledger."""
        return np.concatenate([by_account] * self.coins)

    def moments(self) -> Integers:
        """Where each ledger's market stands now."""
        return self.of_ledgers(self._path_moments()) + self._first_moment

    def _path_moments(self) -> Integers:
        return self.path * self.bank.moments_a_path + self.step

    def held(self) -> Integers:
        """Positions of the calls that are sold."""
        return np.flatnonzero(self.key != NO_CALL)

    def begin(self, accounts: Integers, paths: Integers) -> None:
        """Fresh accounts at the start of these paths."""
        self.path[accounts], self.step[accounts] = paths, 0
        self.orders_today[accounts] = self.unfilled_today[accounts] = 0
        ledgers = (accounts + self.count * np.arange(self.coins)[:, None]).ravel()
        self.balance_coin[ledgers] = self.start_coin[ledgers]
        self._forget((ledgers + self.ledgers * np.arange(self.places)[:, None]).ravel())

    # --- fills ------------------------------------------------------------------------------

    def buy_back(self, positions: Integers, amount: Floats, price_coin: Floats) -> None:
        """Take amounts off calls that are sold."""
        self._move_coins(
            self.ledger_of.take(positions), -amount * price_coin - trade_fee_coin(price_coin, 1.0) * amount
        )
        left = np.round(self.size.take(positions) - amount, AMOUNT_DECIMALS)
        self.size[positions] = left
        over = positions[left <= 0.0]
        self.average_price_coin[over], self.key[over], self.ends_at_step[over] = 0.0, NO_CALL, NEVER
        self._bought_out = np.concatenate([self._bought_out, over])

    def sell(self, ledgers: Integers, bases: Integers, steps: Integers, amount: Floats, price_coin: Floats) -> None:
        """Sell calls: more of one that is held, or a new one in a free place."""
        positions = self._positions_for(ledgers, bases)
        self._move_coins(ledgers, amount * price_coin - trade_fee_coin(price_coin, 1.0) * amount)
        is_new = self.base.take(positions) != bases
        self._take_places(positions[is_new], bases[is_new], steps[is_new])
        held, average_coin = self.size.take(positions), self.average_price_coin.take(positions)
        self.average_price_coin[positions] = (average_coin * held + price_coin * amount) / (held + amount)
        self.size[positions] = np.round(held + amount, AMOUNT_DECIMALS)
        self.key[positions] = self.sold_key.take(positions)
        self.ends_at_step[positions] = self.bank.ends_at_step.take(bases + steps)

    def _take_places(self, positions: Integers, bases: Integers, steps: Integers) -> None:
        self.base[positions] = bases
        sold_at = self.bank.expiry.take(bases + steps) << STEP_BITS | steps
        self.sold_key[positions] = sold_at << PLACE_BITS | positions // self.ledgers

    def _positions_for(self, ledgers: Integers, bases: Integers) -> Integers:
        """Where each call stands; for those that are new to a ledger the first free place."""
        held = self.base.reshape(self.places, -1).take(ledgers, axis=1)
        fitness = np.where(held == bases, np.int8(2), held == 0)
        place = fitness.argmax(axis=0)
        if not fitness.any(axis=0).all():
            self._add_place()
            return self._positions_for(ledgers, bases)
        positions: Integers = ledgers + place * self.ledgers
        return positions

    def _add_place(self) -> None:
        self.places += 1
        self.ledger_of = np.tile(np.arange(self.ledgers), self.places)
        empty = {"ends_at_step": NEVER, "key": NO_CALL, "sold_key": NO_CALL}
        for name in ("base", "ends_at_step", "key", "sold_key", "size", "average_price_coin"):
            column = getattr(self, name)
            more = np.full(self.ledgers, empty.get(name, 0), dtype=column.dtype)
            setattr(self, name, np.concatenate([column, more]))

    def _forget(self, positions: Integers) -> None:
        """Free places."""
        self.base[positions], self.ends_at_step[positions] = 0, NEVER
        self.key[positions] = self.sold_key[positions] = NO_CALL
        self.size[positions] = self.average_price_coin[positions] = 0.0

    def _move_coins(self, ledgers: Integers, change_coin: Floats) -> None:
        moved = self.balance_coin.take(ledgers) + np.round(change_coin, COIN_DECIMALS)
        self.balance_coin[ledgers] = np.round(moved, COIN_DECIMALS)

    # --- time -------------------------------------------------------------------------------

    def advance(self) -> None:
        """One step: expired calls are delivered, those bought back forgotten at 08:00 UTC, orders counted by day."""
        self.step = np.minimum(self.step + 1, self.bank.moments_a_path - 1)  # of an episode that is over, stays
        moment = self._path_moments()
        self._deliver()
        self._forget_bought_out(self.bank.is_new_session.take(moment))
        is_same_day = self.bank.day.take(moment) == self.bank.day.take(moment - 1)
        self.orders_today *= is_same_day
        self.unfilled_today *= is_same_day

    def _forget_bought_out(self, is_new_session: Bools) -> None:
        """Until 08:00 UTC a call that was bought back keeps its place, and its rank should it be sold again."""
        over = self._bought_out[self.key.take(self._bought_out) == NO_CALL]
        is_over = is_new_session.take(over % self.count)
        self._forget(over[is_over])
        self._bought_out = over[~is_over]

    def _deliver(self) -> None:
        """In the order of their expiry, as the balance is rounded after each."""
        is_due = self.ends_at_step.reshape(self.places, -1) <= self.of_ledgers(self.step)
        due = np.flatnonzero(is_due)
        while len(due) > 0:
            due = due[np.argsort(self.key.take(due))]
            ledgers, first = np.unique(self.ledger_of.take(due), return_index=True)
            positions = due[first]
            # The last row of a call is that of the step before its end.
            rows = self.base.take(positions) + self.ends_at_step.take(positions) - 1
            each_coin = self.bank.payoff_coin.take(rows) + self.bank.delivery_fee_coin.take(rows)
            self._move_coins(ledgers, -self.size.take(positions) * each_coin)
            self._forget(positions)
            due = np.delete(due, first)


def whole_steps(amount: Floats, steps_per_coin: Floats) -> Floats:
    """The most whole steps of the exchange that are not above an amount; as core.pricing.floor_to_step."""
    floored: Floats = np.floor((np.round(amount, COIN_DECIMALS) + DUST) * steps_per_coin) / steps_per_coin
    return np.maximum(floored, 0.0)
