"""Which actions the risk engine would allow, for all accounts at once.

In: figures of the accounts, the bank, settings. Out: one line an action of a coin (sell candidate 1 to 5, buy back,
roll to candidate 1 to 5), one column a ledger. Follows risk_engine.py rule by rule; what hangs on the market alone the
bank has asked of the risk engine itself. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backtest.vector.accounts import Accounts
from backtest.vector.figures import Figures
from config import AgentConfig
from core.candidates import MAX_CANDIDATES
from core.columns import Bools, Floats, Integers
from core.pricing import trade_fee_coin
from models import ROUNDING, Underlying

CLOSE = MAX_CANDIDATES  # the line of buying back


@dataclass(frozen=True, eq=False)
class Limits:
    """Settings as columns by ledger, and what of the risk limits is a number."""

    config: AgentConfig
    order_size: Floats
    max_order_size: Floats

    @classmethod
    def of(cls, config: AgentConfig, coins: tuple[Underlying, ...], count: int) -> Limits:
        strategies = [config.strategy(coin) for coin in coins]
        return cls(
            config,
            np.repeat([strategy.order_size for strategy in strategies], count),
            np.repeat([strategy.max_order_size for strategy in strategies], count),
        )


@dataclass(frozen=True, eq=False)
class Sale:
    """What would be sold, by candidate and ledger, and what would have been bought back before it, by ledger."""

    size: Floats
    bought_back: Floats
    freed_margin_coin: Floats
    cost_coin: Floats
    bought_delta: Floats
    orders: int


def allowed_actions(accounts: Accounts, now: Figures, limits: Limits) -> Bools:
    """A line an action, in the order of backtest/environment/actions.py."""
    none = np.zeros_like(limits.order_size)
    sale = Sale(limits.order_size, none, none, none, none, orders=1)
    due, bank = now.due, accounts.bank
    may_buy_back = (due.size > 0.0) & bank.may_buy_back[due.row]
    bases, expiries = bank.sale_base[:, now.moment], bank.sale_expiry[:, now.moment]
    goes_on = (bases != due.base) & (expiries >= bank.expiry[due.row])
    return np.concatenate(
        [
            _may_sell(sale, accounts, now, limits),
            may_buy_back[None],
            may_buy_back & goes_on & _may_sell(_roll(accounts, now, limits), accounts, now, limits),
        ]
    )


def _roll(accounts: Accounts, now: Figures, limits: Limits) -> Sale:
    """A roll sells no more than there is room for once the old call is bought back at the ask, else at the mark."""
    due, bank = now.due, accounts.bank
    size = np.minimum(due.size, limits.max_order_size)
    room = accounts.whole_steps(accounts.ledger, now.coins_held - now.short_coin + size + ROUNDING)
    ask_coin = bank.ask_coin[due.row]
    price_coin = np.where(ask_coin > 0.0, ask_coin, bank.mark_coin[due.row])
    return Sale(
        size=np.minimum(size, room),
        bought_back=size,
        freed_margin_coin=size * bank.margin_coin[due.row],
        cost_coin=size * price_coin + trade_fee_coin(price_coin, 1.0) * size,
        bought_delta=due.delta * size / np.maximum(due.size, ROUNDING),
        orders=2,
    )


def _may_sell(sale: Sale, accounts: Accounts, now: Figures, limits: Limits) -> Bools:
    bank, moment = accounts.bank, now.moment
    is_allowed = bank.sale_is_fine[:, moment] & _may_send(sale, accounts, now, limits) & _is_covered(sale, now)
    is_allowed &= _has_margin(sale, accounts, now, limits) & _has_delta(sale, accounts, now, limits)
    if limits.config.risk.max_expiry_exposure_fraction < 1.0:  # at 1 it says no more than that the calls are covered
        is_allowed &= _has_room_at_expiry(sale, accounts, now, limits)
    return is_allowed


def _may_send(sale: Sale, accounts: Accounts, now: Figures, limits: Limits) -> Bools:
    """reducing, orders_per_day, unfilled_orders_per_day."""
    risk = limits.config.risk
    is_allowed = ~now.is_reducing
    is_allowed &= accounts.orders_today + sale.orders <= risk.max_orders_per_day
    is_allowed &= accounts.unfilled_today + sale.orders <= risk.max_unfilled_orders_per_day
    return np.tile(is_allowed, accounts.coins)


def _is_covered(sale: Sale, now: Figures) -> Bools:
    """coverage."""
    after = now.short_coin - sale.bought_back + sale.size
    return (after <= now.coins_held + ROUNDING) & (sale.size > 0.0)


def _has_margin(sale: Sale, accounts: Accounts, now: Figures, limits: Limits) -> Bools:
    """margin and margin_threshold. A balance of nothing knows no margin, and passes the second alone."""
    bank, risk, balance_coin = accounts.bank, limits.config.risk, now.balance_coin
    price_coin = bank.sale_price_coin[:, now.moment]
    used_coin = now.margin_coin - sale.freed_margin_coin
    after_coin = used_coin + sale.size * bank.sale_margin_coin[:, now.moment]
    earned_coin = sale.size * (price_coin - trade_fee_coin(price_coin, 1.0))
    after_balance_coin = balance_coin + earned_coin - sale.cost_coin
    is_inside = (100.0 * after_coin <= risk.max_margin_pct * after_balance_coin) & (after_balance_coin > 0.0)
    threshold_pct = risk.max_margin_pct * risk.new_short_margin_pct_of_limit / 100.0
    return is_inside & ((100.0 * used_coin <= threshold_pct * balance_coin) | (balance_coin <= 0.0))


def _has_delta(sale: Sale, accounts: Accounts, now: Figures, limits: Limits) -> Bools:
    """net_delta."""
    limit = limits.config.risk.max_net_delta_fraction * now.coins_held
    sold_delta = accounts.bank.sale_delta[:, now.moment] * sale.size
    return np.abs(now.net_delta - sale.bought_delta - sold_delta) <= limit + ROUNDING


def _has_room_at_expiry(sale: Sale, accounts: Accounts, now: Figures, limits: Limits) -> Bools:
    """expiry_exposure."""
    bank = accounts.bank
    limit = limits.config.risk.max_expiry_exposure_fraction * now.coins_held
    held_expiry = bank.expiry[accounts.base + accounts.of_ledgers(accounts.step)]
    lines = [
        _sold_at(expiry, held_expiry, accounts.size)
        - np.where(bank.expiry[now.due.row] == expiry, sale.bought_back, 0.0)
        for expiry in bank.sale_expiry[:, now.moment]
    ]
    return np.array(lines) + sale.size <= limit + ROUNDING


def _sold_at(expiry: Integers, held_expiry: Integers, size: Floats) -> Floats:
    """Calls of an expiry that a ledger has sold."""
    sold: Floats = np.where(held_expiry == expiry, size, 0.0).sum(axis=0)
    return sold
