"""Which actions the risk engine would allow, for all accounts at once.

In: figures of the accounts, the bank, settings. Out: one line an action of a coin (sell candidate 1 to 5, buy back,
roll to candidate 1 to 5), one column a ledger. Follows risk_engine.py rule by rule; what hangs on the market alone the
bank has asked of the risk engine itself. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backtest.environment.actions import ACTIONS_A_COIN
from backtest.vector.accounts import Accounts, whole_steps
from backtest.vector.bank import Bank
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
class Offers:
    """What the bank holds of the candidates of each ledger now: a line a candidate, a column a ledger."""

    is_fine: Bools
    delta: Floats
    margin_coin: Floats
    earned_coin: Floats
    expiry: Integers

    @classmethod
    def of(cls, bank: Bank, moment: Integers) -> Offers:
        return cls(
            bank.sale_is_fine.take(moment, axis=1),
            bank.sale_delta.take(moment, axis=1),
            bank.sale_margin_coin.take(moment, axis=1),
            bank.sale_earned_coin.take(moment, axis=1),
            bank.sale_expiry.take(moment, axis=1),
        )


@dataclass(frozen=True, eq=False)
class Sale:
    """A sale that every ledger might make, and what it would buy back before it."""

    size: Floats
    bought_back: Floats | float
    freed_margin_coin: Floats | float
    cost_coin: Floats | float
    bought_delta: Floats | float
    orders: int


def allowed_actions(accounts: Accounts, now: Figures, limits: Limits) -> Bools:
    """A line an action, in the order of backtest/environment/actions.py."""
    allowed = np.empty((ACTIONS_A_COIN, accounts.ledgers), dtype=np.bool_)
    due, bank, offers = now.due, accounts.bank, Offers.of(accounts.bank, now.moment)
    new = Sale(limits.order_size, 0.0, 0.0, 0.0, 0.0, orders=1)
    allowed[:CLOSE] = _may_sell(new, offers, accounts, now, limits)
    allowed[CLOSE] = may_buy_back = (due.size > 0.0) & bank.may_buy_back.take(due.row)
    may_roll = _may_sell(_roll(accounts, now, limits), offers, accounts, now, limits)
    may_roll &= may_buy_back
    may_roll &= bank.sale_base.take(now.moment, axis=1) != due.base
    may_roll &= offers.expiry >= bank.expiry.take(due.row)
    allowed[CLOSE + 1 :] = may_roll
    return allowed


def _roll(accounts: Accounts, now: Figures, limits: Limits) -> Sale:
    """A roll sells no more than there is room for once the old call is bought back at the ask, else at the mark."""
    due, bank = now.due, accounts.bank
    size = np.minimum(due.size, limits.max_order_size)
    ask_coin = bank.ask_coin.take(due.row)
    price_coin = np.where(ask_coin > 0.0, ask_coin, bank.mark_coin.take(due.row))
    free_coin = now.coins_held - now.short_coin + size
    return Sale(
        size=np.minimum(size, whole_steps(free_coin + ROUNDING, accounts.steps_per_coin)),
        bought_back=size,
        freed_margin_coin=size * bank.margin_coin.take(due.row),
        cost_coin=size * price_coin + trade_fee_coin(price_coin, 1.0) * size,
        bought_delta=due.delta * size / np.where(due.size > 0.0, due.size, 1.0),
        orders=2,
    )


def _may_sell(sale: Sale, offers: Offers, accounts: Accounts, now: Figures, limits: Limits) -> Bools:
    """A line a candidate."""
    of_ledger = _may_send(sale, accounts, now, limits) & _is_covered(sale, now) & _is_calm(sale, now, limits)
    allowed: Bools = offers.is_fine & of_ledger
    allowed &= _has_margin(sale, offers, now, limits)
    allowed &= _has_delta(sale, offers, now, limits)
    if limits.config.risk.max_expiry_exposure_fraction < 1.0:  # at 1 it says no more than that the calls are covered
        allowed &= _has_room_at_expiry(sale, offers, accounts, now, limits)
    return allowed


def _may_send(sale: Sale, accounts: Accounts, now: Figures, limits: Limits) -> Bools:
    """reducing, orders_per_day, unfilled_orders_per_day."""
    risk = limits.config.risk
    is_allowed = ~now.is_reducing
    is_allowed &= accounts.orders_today + sale.orders <= risk.max_orders_per_day
    is_allowed &= accounts.unfilled_today + sale.orders <= risk.max_unfilled_orders_per_day
    return np.concatenate([is_allowed] * accounts.coins)


def _is_covered(sale: Sale, now: Figures) -> Bools:
    """coverage."""
    after = now.short_coin - sale.bought_back + sale.size
    return (after <= now.coins_held + ROUNDING) & (sale.size > 0.0)


def _is_calm(sale: Sale, now: Figures, limits: Limits) -> Bools:
    """margin_threshold; a balance of nothing knows no margin, and passes."""
    risk, balance_coin = limits.config.risk, now.balance_coin
    threshold_pct = risk.max_margin_pct * risk.new_short_margin_pct_of_limit / 100.0
    used_coin = now.margin_coin - sale.freed_margin_coin
    return (100.0 * used_coin <= threshold_pct * balance_coin) | (balance_coin <= 0.0)


def _has_margin(sale: Sale, offers: Offers, now: Figures, limits: Limits) -> Bools:
    """margin; a balance of nothing has none."""
    after_coin = sale.size * offers.margin_coin
    after_coin += now.margin_coin - sale.freed_margin_coin
    limit_coin = sale.size * offers.earned_coin
    limit_coin += now.balance_coin - sale.cost_coin
    has_margin: Bools = limit_coin > 0.0
    limit_coin *= limits.config.risk.max_margin_pct / 100.0
    has_margin &= after_coin <= limit_coin
    return has_margin


def _has_delta(sale: Sale, offers: Offers, now: Figures, limits: Limits) -> Bools:
    """net_delta."""
    after = sale.size * offers.delta
    np.subtract(now.net_delta - sale.bought_delta, after, out=after)
    np.abs(after, out=after)
    is_inside: Bools = after <= limits.config.risk.max_net_delta_fraction * now.coins_held + ROUNDING
    return is_inside


def _has_room_at_expiry(sale: Sale, offers: Offers, accounts: Accounts, now: Figures, limits: Limits) -> Bools:
    """expiry_exposure."""
    bank, held = accounts.bank, now.held
    limit = limits.config.risk.max_expiry_exposure_fraction * now.coins_held + ROUNDING
    held_expiry, bought_expiry = bank.expiry.take(held.row), bank.expiry.take(now.due.row)
    lines = []
    for expiry in offers.expiry:
        sold = held.summed(held.size * (held_expiry == expiry.take(held.ledger)), accounts.ledgers)
        lines.append(sold - np.where(bought_expiry == expiry, sale.bought_back, 0.0))
    is_inside: Bools = np.array(lines) + sale.size <= limit
    return is_inside
