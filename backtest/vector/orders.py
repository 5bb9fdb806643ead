"""Carries out what was chosen: orders that fill at the other side of the book, at once, as far as it reaches.

In: actions that the mask allows, by account. Out: changed accounts. Follows execution.py with AGENT_FILLS=touch and the
checks of paper_exchange/account: a roll buys back first, and sells no more than it has bought back and has room for.
Amounts in coin, prices in coin per contract. Pure.
"""

from __future__ import annotations

import numpy as np

from backtest.environment.actions import ACTIONS_A_COIN
from backtest.vector.accounts import Accounts
from backtest.vector.figures import Figures
from backtest.vector.mask import CLOSE, Limits
from core.columns import Bools, Floats, Integers
from core.pricing import TRADE_FEE_COIN, trade_fee_coin
from models import ROUNDING


def carry_out(accounts: Accounts, actions: Integers, place_of_coin: Integers, now: Figures, limits: Limits) -> None:
    """One action an account. `place_of_coin`: where among the traded coins each coin of the actions stands."""
    acting = np.flatnonzero(actions)
    coin, which = np.divmod(actions[acting] - 1, ACTIONS_A_COIN)
    ledgers = place_of_coin[coin] * accounts.count + acting
    is_buy = which >= CLOSE
    bought = np.zeros(len(ledgers))
    bought[is_buy] = _buy_back(accounts, ledgers[is_buy], now, limits)
    is_sale = (which < CLOSE) | ((which > CLOSE) & (bought > 0.0))
    amount = np.where(is_buy, bought, limits.order_size[ledgers])
    line = np.where(is_buy, which - CLOSE - 1, which)
    _sell(accounts, ledgers[is_sale], line[is_sale], amount[is_sale], bought[is_sale], now)


def _buy_back(accounts: Accounts, ledgers: Integers, now: Figures, limits: Limits) -> Floats:
    """How much of the call that expires first was bought back."""
    bank, row = accounts.bank, now.due.row[ledgers]
    asked = np.minimum(now.due.size[ledgers], limits.max_order_size[ledgers])
    limit_coin = bank.limit_coin[row]
    has_coins = limit_coin * asked + trade_fee_coin(limit_coin, 1.0) * asked <= accounts.balance_coin[ledgers]
    shown = np.where(has_coins, bank.shown_coin[row], 0.0)
    filled = accounts.whole_steps(ledgers, np.minimum(asked, shown))
    _count(accounts, ledgers, is_counted=(filled > 0.0) | ~has_coins)
    is_filled = filled > 0.0
    at = ledgers[is_filled]
    accounts.buy_back(at, now.due.place[at], filled[is_filled], bank.ask_coin[row[is_filled]])
    return filled


def _sell(accounts: Accounts, ledgers: Integers, line: Integers, amount: Floats, bought: Floats, now: Figures) -> None:
    """Sell candidates; `bought` is what was bought back just before."""
    bank, moment = accounts.bank, now.moment[ledgers]
    coins = np.maximum(accounts.balance_coin[ledgers], 0.0)
    room = accounts.whole_steps(ledgers, coins - (now.short_coin[ledgers] - bought) + ROUNDING)
    amount = accounts.whole_steps(ledgers, np.minimum(amount, room))
    is_sent = bank.sale_is_sent[line, moment] & (amount > 0.0)
    ledgers, line, moment = ledgers[is_sent], line[is_sent], moment[is_sent]
    amount, bought = amount[is_sent], bought[is_sent]
    used_coin = now.margin_coin[ledgers] - bought * bank.margin_coin[now.due.row[ledgers]]
    added_coin = bank.sale_margin_coin[line, moment] - bank.sale_mark_coin[line, moment] + TRADE_FEE_COIN
    has_funds = amount * added_coin <= np.maximum(accounts.balance_coin[ledgers] - used_coin, 0.0)
    shown = np.where(has_funds, bank.sale_shown_coin[line, moment], 0.0)
    filled = accounts.whole_steps(ledgers, np.minimum(amount, shown))
    is_filled = filled > 0.0
    _count(accounts, ledgers, is_counted=is_filled | ~has_funds)
    at, where = ledgers[is_filled], (line[is_filled], moment[is_filled])
    steps = accounts.step[at % accounts.count]
    accounts.sell(at, bank.sale_base[where], steps, filled[is_filled], bank.sale_bid_coin[where])


def _count(accounts: Accounts, ledgers: Integers, is_counted: Bools) -> None:
    """Orders that filled or were refused, and those that came to nothing; one an account at most."""
    account = ledgers % accounts.count
    accounts.orders_today[account] += is_counted
    accounts.unfilled_today[account] += ~is_counted
