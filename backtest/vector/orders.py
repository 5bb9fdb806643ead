"""Carries out what was chosen: orders that fill at the other side of the book, at once, as far as it reaches.

In: actions that the mask allows, by account. Out: changed accounts. Follows execution.py with AGENT_FILLS=touch and the
checks of paper_exchange/account: a roll buys back first, and sells no more than it has bought back and has room for.
Amounts in coin, prices in coin per contract. Pure.
"""

from __future__ import annotations

import numpy as np

from backtest.environment.actions import ACTION_COUNT, ACTIONS_A_COIN
from backtest.vector.accounts import Accounts, whole_steps
from backtest.vector.figures import Figures
from backtest.vector.mask import CLOSE, Limits
from core.columns import Bools, Floats, Integers
from core.pricing import TRADE_FEE_COIN, trade_fee_coin
from models import ROUNDING

COIN_OF_ACTION, LINE_OF_ACTION = np.divmod(np.arange(ACTION_COUNT) - 1, ACTIONS_A_COIN)


def carry_out(accounts: Accounts, actions: Integers, place_of_coin: Integers, now: Figures, limits: Limits) -> None:
    """One action an account. `place_of_coin`: where among the traded coins each coin of the actions stands."""
    acting = np.flatnonzero(actions)
    chosen = actions.take(acting)
    which = LINE_OF_ACTION.take(chosen)
    ledgers = place_of_coin.take(COIN_OF_ACTION).take(chosen) * accounts.count + acting
    is_buy = which >= CLOSE
    bought = np.zeros(len(ledgers))
    bought[is_buy] = _buy_back(accounts, ledgers[is_buy], now, limits)
    is_sale = (which < CLOSE) | ((which > CLOSE) & (bought > 0.0))
    amount = np.where(is_buy, bought, limits.order_size.take(ledgers))
    line = np.where(is_buy, which - CLOSE - 1, which)
    _sell(accounts, ledgers[is_sale], line[is_sale], amount[is_sale], bought[is_sale], now)


def _buy_back(accounts: Accounts, ledgers: Integers, now: Figures, limits: Limits) -> Floats:
    """How much of the call that expires first was bought back."""
    bank, row = accounts.bank, now.due.row.take(ledgers)
    asked = np.minimum(now.due.size.take(ledgers), limits.max_order_size.take(ledgers))
    limit_coin = bank.limit_coin.take(row)
    cost_coin = limit_coin * asked + trade_fee_coin(limit_coin, 1.0) * asked
    has_coins = cost_coin <= accounts.balance_coin.take(ledgers)
    shown = np.where(has_coins, bank.shown_coin.take(row), 0.0)
    filled = whole_steps(np.minimum(asked, shown), accounts.steps_per_coin.take(ledgers))
    is_filled = filled > 0.0
    _count(accounts, ledgers, is_counted=is_filled | ~has_coins)
    positions = now.due.position.take(ledgers[is_filled])
    accounts.buy_back(positions, filled[is_filled], bank.ask_coin.take(row[is_filled]))
    return filled


def _sell(accounts: Accounts, ledgers: Integers, line: Integers, amount: Floats, bought: Floats, now: Figures) -> None:
    """Sell candidates; `bought` is what was bought back just before."""
    bank, short_coin = accounts.bank, now.short_coin.take(ledgers) - bought
    offer = line * len(bank.spot_usd) + now.moment.take(ledgers)  # a line of the bank has all moments
    coins = np.maximum(accounts.balance_coin.take(ledgers), 0.0)
    steps_per_coin = accounts.steps_per_coin.take(ledgers)
    room = whole_steps(coins - short_coin + ROUNDING, steps_per_coin)
    amount = whole_steps(np.minimum(amount, room), steps_per_coin)
    is_sent = bank.sale_is_sent.take(offer) & (amount > 0.0)
    ledgers, offer, amount, bought = ledgers[is_sent], offer[is_sent], amount[is_sent], bought[is_sent]
    freed_coin = bought * bank.margin_coin.take(now.due.row.take(ledgers))
    free_coin = accounts.balance_coin.take(ledgers) - now.margin_coin.take(ledgers) + freed_coin
    # An order holds its margin without the mark, and the fee.
    added_coin = bank.sale_margin_coin.take(offer) - bank.sale_mark_coin.take(offer) + TRADE_FEE_COIN
    has_funds = amount * added_coin <= np.maximum(free_coin, 0.0)
    shown = np.where(has_funds, bank.sale_shown_coin.take(offer), 0.0)
    filled = whole_steps(np.minimum(amount, shown), steps_per_coin[is_sent])
    is_filled = filled > 0.0
    _count(accounts, ledgers, is_counted=is_filled | ~has_funds)
    ledgers, offer = ledgers[is_filled], offer[is_filled]
    steps = accounts.step.take(ledgers % accounts.count)
    bases, bids_coin = bank.sale_base.take(offer), bank.sale_bid_coin.take(offer)
    accounts.sell(ledgers, bases, steps, filled[is_filled], bids_coin)


def _count(accounts: Accounts, ledgers: Integers, is_counted: Bools) -> None:
    """Orders that filled or were refused, and those that came to nothing; one an account at most."""
    account = ledgers % accounts.count
    accounts.orders_today[account] += is_counted
    accounts.unfilled_today[account] += ~is_counted
