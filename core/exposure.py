"""What an account is exposed to: calls sold and on offer, coins behind them, margin, and what forbids new sales.

In: accounts, positions and open orders. Out: figures per coin, sizes in coin, margin in percent. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime

from config import RiskConfig
from models import (
    CoinAccount,
    CoinRisk,
    ExpiryExposure,
    OptionInstrument,
    PortfolioState,
    Reason,
    Underlying,
)


def restrictions(portfolio: PortfolioState, risks: tuple[CoinRisk, ...]) -> Iterator[Reason]:
    """What is wrong with the account itself, so that nothing more may be sold."""
    for risk in risks:
        if risk.is_uncovered:
            sold = f"{risk.short_calls_coin:g} {risk.underlying} of calls are sold"
            yield Reason(rule="uncovered", text=f"{sold}, {risk.coins_held:.6g} coins are held")
    for account in portfolio.accounts:
        if not account.is_cross_margin and account.maintenance_margin_coin > max(0.0, account.margin_balance_coin):
            text = f"the {account.currency} account holds less than its maintenance margin"
            yield Reason(rule="margin_call", text=text)
    for order in portfolio.open_orders:
        if order.is_liquidation:
            yield Reason(rule="liquidation", text=f"the exchange is closing {order.symbol}")


def coins_behind_calls(account: CoinAccount, short_puts_cost_coin: float) -> float:
    """What stands behind calls of one coin, held and new: the coins, less what buying back the puts sold would cost.

    The same before a sale as after its fill, where the premium, always above the fee, comes on top.
    """
    return max(0.0, account.coins_held - short_puts_cost_coin)


def coin_risk(account: CoinAccount, portfolio: PortfolioState) -> CoinRisk:
    """What is short, on offer and held in one coin."""
    coin: Underlying = "BTC" if account.currency == "BTC" else "ETH"
    held = [position for position in portfolio.positions if position.underlying == coin]
    puts = [position for position in held if position.side == "short" and position.option_type == "put"]
    sells = [o for o in portfolio.open_orders if o.parts.underlying == coin and o.direction == "sell" and o.is_live]
    return CoinRisk(
        underlying=coin,
        margin_used_pct=margin_used_pct(account),
        net_delta=math.fsum(position.delta for position in held),
        short_calls_coin=math.fsum(position.size for position in held if position.is_short_call),
        resting_sells_coin=math.fsum(order.unfilled_amount_coin for order in sells),
        coins_held=coins_behind_calls(account, math.fsum(put.size * put.mark_price_coin for put in puts)),
    )


def portfolio_value_usd(equities_coin: Mapping[str, float], spots_usd: Mapping[str, float]) -> float | None:
    """Equity of all coins at spot; None when a coin with equity has no spot."""
    held = {coin: equity for coin, equity in equities_coin.items() if equity != 0.0}
    if not held.keys() <= spots_usd.keys():
        return None
    return math.fsum(equity * spots_usd[coin] for coin, equity in held.items())


def margin_used_pct(account: CoinAccount) -> float | None:
    """Initial margin in percent of margin balance; over all currencies for cross-margin accounts.

    None where a total is not known, or where there is no balance to put it in relation to.
    """
    used: float | None = account.initial_margin_coin
    balance: float | None = account.margin_balance_coin
    if account.is_cross_margin:
        used, balance = account.total_initial_margin_usd, account.total_margin_balance_usd
    return None if used is None or balance is None or balance <= 0.0 else 100.0 * used / balance


def expiry_exposures(portfolio: PortfolioState, listed: Mapping[str, OptionInstrument]) -> Iterator[ExpiryExposure]:
    """Short calls per coin and expiry, those on offer in sell orders included."""
    totals: dict[tuple[Underlying, datetime], float] = {}
    for held in portfolio.positions:
        if held.is_short_call:
            totals[held.underlying, held.expiry] = totals.get((held.underlying, held.expiry), 0.0) + held.size
    for order in portfolio.open_orders:
        option = listed.get(order.symbol)
        if order.direction == "sell" and order.is_live and option is not None and option.option_type == "call":
            key = (option.underlying, option.expiry)
            totals[key] = totals.get(key, 0.0) + order.unfilled_amount_coin
    for (coin, expiry), amount in sorted(totals.items()):
        yield ExpiryExposure(underlying=coin, expiry=expiry, short_calls_coin=amount)


def daily_limit_reasons(counted: int, unfilled: int, new: int, risk: RiskConfig) -> list[Reason]:
    """Why no `new` orders may be sent to sell today: too many filled or were refused, or too many came to nothing."""
    reasons = []
    if not counted + new <= risk.max_orders_per_day:
        text = f"{counted + new} orders today would be above max_orders_per_day {risk.max_orders_per_day}"
        reasons.append(Reason(rule="orders_per_day", text=text))
    if not unfilled + new <= risk.max_unfilled_orders_per_day:
        text = (
            f"{unfilled} orders came to nothing today, max_unfilled_orders_per_day {risk.max_unfilled_orders_per_day}"
        )
        reasons.append(Reason(rule="unfilled_orders_per_day", text=text))
    return reasons
