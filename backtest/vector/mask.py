"""Which actions the risk engine would allow, for all accounts at once.

In: figures of the accounts, the bank, settings. Out: one line an action of a coin (sell candidate 1 to 5, buy back,
roll to candidate 1 to 5), one column a ledger. Follows risk_engine.py rule by rule; what hangs on the market alone the
bank has asked of the risk engine itself. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backtest.environment.actions import ACTIONS_A_COIN
from backtest.vector.accounts import Accounts
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
class Sale:
    """A sale that some ledgers could make, by these ledgers, and what they would buy back before it."""

    ledger: Integers
    size: Floats
    bought_back: Floats | float
    freed_margin_coin: Floats | float
    cost_coin: Floats | float
    bought_delta: Floats | float
    orders: int


def allowed_actions(accounts: Accounts, now: Figures, limits: Limits) -> Bools:
    """A line an action, in the order of backtest/environment/actions.py."""
    allowed = np.zeros((ACTIONS_A_COIN, accounts.ledgers), dtype=np.bool_)
    due, bank = now.due, accounts.bank
    allowed[CLOSE] = may_buy_back = (due.size > 0.0) & bank.may_buy_back.take(due.row)
    new = np.flatnonzero(now.short_coin + limits.order_size <= now.coins_held + ROUNDING)  # the others have no room
    sale = Sale(new, limits.order_size.take(new), 0.0, 0.0, 0.0, 0.0, orders=1)
    allowed[:CLOSE, new] = _may_sell(sale, accounts, now, limits)
    held = np.flatnonzero(may_buy_back)
    moment, row = now.moment.take(held), due.row.take(held)
    goes_on = bank.sale_base.take(moment, axis=1) != due.base.take(held)
    goes_on &= bank.sale_expiry.take(moment, axis=1) >= bank.expiry.take(row)
    allowed[CLOSE + 1 :, held] = goes_on & _may_sell(_roll(held, accounts, now, limits), accounts, now, limits)
    return allowed


def _roll(held: Integers, accounts: Accounts, now: Figures, limits: Limits) -> Sale:
    """A roll sells no more than there is room for once the old call is bought back at the ask, else at the mark."""
    due, bank, row = now.due, accounts.bank, now.due.row.take(held)
    held_size = due.size.take(held)
    size = np.minimum(held_size, limits.max_order_size.take(held))
    free_coin = now.coins_held.take(held) - now.short_coin.take(held) + size
    ask_coin = bank.ask_coin.take(row)
    price_coin = np.where(ask_coin > 0.0, ask_coin, bank.mark_coin.take(row))
    return Sale(
        ledger=held,
        size=np.minimum(size, accounts.whole_steps(held, free_coin + ROUNDING)),
        bought_back=size,
        freed_margin_coin=size * bank.margin_coin.take(row),
        cost_coin=size * price_coin + trade_fee_coin(price_coin, 1.0) * size,
        bought_delta=due.delta.take(held) * size / held_size,
        orders=2,
    )


def _may_sell(sale: Sale, accounts: Accounts, now: Figures, limits: Limits) -> Bools:
    """A line a candidate."""
    moment = now.moment.take(sale.ledger)
    of_ledger = _may_send(sale, accounts, now, limits) & _is_covered(sale, now) & _is_calm(sale, now, limits)
    allowed: Bools = accounts.bank.sale_is_fine.take(moment, axis=1) & of_ledger
    allowed &= _has_margin(sale, accounts.bank, moment, now, limits)
    allowed &= _has_delta(sale, accounts.bank, moment, now, limits)
    if limits.config.risk.max_expiry_exposure_fraction < 1.0:  # at 1 it says no more than that the calls are covered
        allowed &= _has_room_at_expiry(sale, accounts, now, limits)
    return allowed


def _may_send(sale: Sale, accounts: Accounts, now: Figures, limits: Limits) -> Bools:
    """reducing, orders_per_day, unfilled_orders_per_day."""
    risk = limits.config.risk
    is_allowed = ~now.is_reducing
    is_allowed &= accounts.orders_today + sale.orders <= risk.max_orders_per_day
    is_allowed &= accounts.unfilled_today + sale.orders <= risk.max_unfilled_orders_per_day
    return is_allowed.take(sale.ledger % accounts.count)


def _is_covered(sale: Sale, now: Figures) -> Bools:
    """coverage."""
    after = now.short_coin.take(sale.ledger) - sale.bought_back + sale.size
    return (after <= now.coins_held.take(sale.ledger) + ROUNDING) & (sale.size > 0.0)


def _is_calm(sale: Sale, now: Figures, limits: Limits) -> Bools:
    """margin_threshold; a balance of nothing knows no margin, and passes."""
    risk, balance_coin = limits.config.risk, now.balance_coin.take(sale.ledger)
    threshold_pct = risk.max_margin_pct * risk.new_short_margin_pct_of_limit / 100.0
    used_coin = now.margin_coin.take(sale.ledger) - sale.freed_margin_coin
    return (100.0 * used_coin <= threshold_pct * balance_coin) | (balance_coin <= 0.0)


def _has_margin(sale: Sale, bank: Bank, moment: Integers, now: Figures, limits: Limits) -> Bools:
    """margin; a balance of nothing has none."""
    used_coin = now.margin_coin.take(sale.ledger) - sale.freed_margin_coin
    balance_coin = now.balance_coin.take(sale.ledger) - sale.cost_coin
    after_coin = used_coin + sale.size * bank.sale_margin_coin.take(moment, axis=1)
    after_balance_coin = balance_coin + sale.size * bank.sale_earned_coin.take(moment, axis=1)
    limit_fraction = limits.config.risk.max_margin_pct / 100.0
    return (after_coin <= limit_fraction * after_balance_coin) & (after_balance_coin > 0.0)


def _has_delta(sale: Sale, bank: Bank, moment: Integers, now: Figures, limits: Limits) -> Bools:
    """net_delta."""
    limit = limits.config.risk.max_net_delta_fraction * now.coins_held.take(sale.ledger)
    before = now.net_delta.take(sale.ledger) - sale.bought_delta
    sold_delta = sale.size * bank.sale_delta.take(moment, axis=1)
    is_inside: Bools = np.abs(before - sold_delta) <= limit + ROUNDING
    return is_inside


def _has_room_at_expiry(sale: Sale, accounts: Accounts, now: Figures, limits: Limits) -> Bools:
    """expiry_exposure."""
    bank, held = accounts.bank, now.held
    limit = limits.config.risk.max_expiry_exposure_fraction * now.coins_held
    bought_expiry = bank.expiry.take(now.due.row)
    lines = []
    for expiry in bank.sale_expiry.take(now.moment, axis=1):
        is_same = bank.expiry.take(held.row) == expiry.take(held.ledger)
        sold = held.summed(held.size * is_same, accounts.ledgers).take(sale.ledger)
        lines.append(sold - np.where((bought_expiry == expiry).take(sale.ledger), sale.bought_back, 0.0))
    is_inside: Bools = np.array(lines) + sale.size <= limit.take(sale.ledger) + ROUNDING
    return is_inside
