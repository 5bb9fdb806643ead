"""What an account is exposed to: calls sold and on offer, coins behind them, margin, and what forbids new sales.

In: accounts, positions and open orders. Out: figures per coin, sizes in coin, margin in percent. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime

from config import RiskConfig
from deribit.symbols import kind_of
from models import (
    ROUNDING,
    UNDERLYINGS,
    UNKNOWN_AMOUNT_COIN,
    CoinAccount,
    CoinRisk,
    ExpiryExposure,
    OptionInstrument,
    Order,
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
    coins = coins_behind_calls(account, math.fsum(put.size * put.mark_price_coin for put in puts))
    long_calls = long_calls_of(portfolio)
    return CoinRisk(
        underlying=coin,
        margin_used_pct=margin_used_pct(account),
        net_delta=math.fsum(position.delta for position in held),
        short_calls_coin=math.fsum(position.size for position in held if position.is_short_call),
        resting_sells_coin=coins_on_offer(coin, portfolio.open_orders, long_calls),
        coins_held=coins,
    )


def long_calls_of(portfolio: PortfolioState) -> frozenset[str]:
    """Symbols of the calls held long."""
    held = portfolio.positions
    return frozenset(call.symbol for call in held if call.side == "long" and call.option_type == "call")


def coins_on_offer(coin: str, orders: Iterable[Order], long_calls: Collection[str]) -> float:
    """Coins that live orders may come to need, whoever placed them.

    `long_calls`: symbols of calls held long.
    """
    return math.fsum(order_takes(order, coin, long_calls) for order in orders if order.is_live)


def order_takes(order: Order, coin: str, long_calls: Collection[str]) -> float:
    """How much of a coin an order may come to need once it fills: nothing only where it is certain to be harmless.

    Harmless is any order on a future, a perpetual or spot, a buy of a plain option, and a reduce-only sell of calls
    held long. A combo has sold legs whichever way it goes.
    """
    kind = kind_of(order.symbol)
    if kind in ("future", "spot") or not _may_concern(order, coin):
        return 0.0
    if kind == "option" and order.direction == "buy":
        return 0.0
    if kind == "option" and order.reduce_only and order.symbol in long_calls:
        return 0.0
    return UNKNOWN_AMOUNT_COIN if kind == "unknown" else order.unfilled_amount_coin


def _may_concern(order: Order, coin: str) -> bool:
    """Whether an order's value hangs on a coin; one of unknown kind that names neither coin may hang on any."""
    names_another = any(order.parts.concerns(other) for other in UNDERLYINGS)
    return order.parts.concerns(coin) or (kind_of(order.symbol) == "unknown" and not names_another)


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


def order_size_problem(size_coin: float, max_order_size: float) -> str | None:
    """Why an order is too large. A sum of steps, such as 0.1 + 0.2, may lie above the limit by float dust."""
    if size_coin <= max_order_size + ROUNDING:
        return None
    return f"{size_coin:g} is above max_order_size {max_order_size:g}"


def orders_per_day_problem(counted: int, new: int, risk: RiskConfig) -> str | None:
    """Why no `new` orders may be sent to sell today: too many were filled or refused."""
    if counted + new <= risk.max_orders_per_day:
        return None
    return f"{counted + new} orders today would be above max_orders_per_day {risk.max_orders_per_day}"


def unfilled_orders_problem(unfilled: int, new: int, risk: RiskConfig) -> str | None:
    """Why no `new` orders may be sent to sell today: too many came to nothing."""
    limit = risk.max_unfilled_orders_per_day
    if unfilled + new <= limit:
        return None
    return f"{unfilled} orders came to nothing today, max_unfilled_orders_per_day {limit}"


def daily_limit_reasons(counted: int, unfilled: int, risk: RiskConfig) -> list[Reason]:
    """Why not even one order more may be sent to sell today."""
    problems = {
        "orders_per_day": orders_per_day_problem(counted, 1, risk),
        "unfilled_orders_per_day": unfilled_orders_problem(unfilled, 1, risk),
    }
    return [Reason(rule=rule, text=text) for rule, text in problems.items() if text is not None]
