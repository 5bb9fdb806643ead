"""Every figure that the live page should show of a coin, from the raw lines with json, pandas and math alone.

In: a Truth of a log, a coin. Out: figures by the names they have on the page. No code of the product. Amounts in coin,
prices in USD. Black-76: d2 of the odds of ending in the money, on years of 365 days.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from tests.dashboard.ask.truth import Truth

COINS = ("BTC", "ETH")
SECONDS_A_DAY = 86_400.0


def every_figure(truth: Truth, coin: str) -> dict[str, float]:
    """Those of the strip and the sentence, and those of one coin."""
    state = truth.last["agent_state"]
    positions = sorted(state["portfolio"]["positions"], key=lambda held: held["expiry"])
    ours = [held for held in positions if held["underlying"] == coin]
    return {
        **_strip(truth),
        **{f"{one}.sold_fraction": _risk(truth, one)["short_calls_coin"] / _held(truth, one) for one in COINS},
        **{f"{one}.net_coin": _net(truth, one) for one in COINS},
        **_won(truth),
        **_coverage(truth, coin),
        **_sum(truth, coin),
        **_volatility(truth, coin),
        **_funnel(truth, coin),
        **{f"{miss['symbol']}.miss_premium_usd": miss["premium_usd"] for miss in truth.misses(coin, truth.last)},
        **{name: value for held in ours for name, value in _position(held).items()},
        **(_next_call(truth, coin, ours[0]) if ours else {f"{coin}.candidates": float(_candidates(truth, coin))}),
    }


def _strip(truth: Truth) -> dict[str, float]:
    lines, state = truth.lines, truth.last["agent_state"]
    return {
        "lines": float(len(lines)),
        "errors": float(sum(line["error"] is not None for line in lines)),
        "blocked": float(sum(not line["allowed"] and line["error"] is None for line in lines)),
        "value_usd": math.fsum(truth.last[f"equity_{one.lower()}"] * _spot(truth, one) for one in COINS),
        "orders_today": float(state["orders_today"]),
        "calls_sold": float(sum(held["side"] == "short" for held in state["portfolio"]["positions"])),
    }


def _coverage(truth: Truth, coin: str) -> dict[str, float]:
    risk = _risk(truth, coin)
    held, sold, offered = risk["coins_held"], risk["short_calls_coin"], risk["resting_sells_coin"]
    account = _account(truth.last, coin)
    return {
        f"{coin}.held_coin": held,
        f"{coin}.sold_coin": sold,
        f"{coin}.offered_coin": offered,
        f"{coin}.free_coin": max(0.0, held - sold - offered),
        f"{coin}.margin_used_pct": 100.0 * account["initial_margin_coin"] / account["margin_balance_coin"],
    }


def _sum(truth: Truth, coin: str) -> dict[str, float]:
    """Parts, total and change of equity, each in coin and at the last price in USD."""
    rows = _booked_between_states(truth, coin)
    trades, ends = rows[rows["entry_type"] == "trade"], rows[rows["entry_type"] != "trade"]
    before_fee = trades["change_coin"] + trades["fee_coin"]
    is_sale = trades["side"].astype(str).str.contains("sell")
    first, last = (_open_value(line, coin) for line in (truth.lines[0], truth.last))
    parts = {
        "premium_coin": float(before_fee[is_sale].sum()),
        "bought_back_coin": float(before_fee[~is_sale].sum()),
        "settled_coin": float((ends["change_coin"] + ends["fee_coin"]).sum()),
        "fees_coin": -float(rows["fee_coin"].sum()),
        "open_value_coin": last - first,
        "net_coin": _net(truth, coin),
        "change_coin": _net(truth, coin),
    }
    in_usd = {f"{name}.usd": amount * _spot(truth, coin) for name, amount in parts.items()}
    shown = {f"{coin}.{name}": value for name, value in {**parts, **in_usd}.items()}
    return {**shown, f"{coin}.net_usd": parts["net_coin"] * _spot(truth, coin)}


def _open_value(line: dict[str, Any], coin: str) -> float:
    account = _account(line, coin)
    return float(account["equity_coin"] - account["balance_coin"])


def _booked_between_states(truth: Truth, coin: str) -> pd.DataFrame:
    """Entries between the first state and the last; of these two moments the trades of the first one count alone."""
    columns = ["entry_type", "currency", "side", "booked_at", "change_coin", "fee_coin"]
    rows = truth.ledger if not truth.ledger.empty else pd.DataFrame(columns=columns)
    at = pd.to_datetime(rows["booked_at"], utc=True)
    start, end = (pd.Timestamp(line["agent_state"]["timestamp"]) for line in (truth.lines[0], truth.last))
    is_trade = rows["entry_type"] == "trade"
    inside = ((at > start) | ((at == start) & is_trade)) & ((at < end) | ((at == end) & ~is_trade))
    return rows[inside & (rows["currency"] == coin)]


def _net(truth: Truth, coin: str) -> float:
    """Nothing is paid in or out in these logs: all change of equity is earned against holding."""
    return float(_account(truth.last, coin)["equity_coin"] - _account(truth.lines[0], coin)["equity_coin"])


def _won(truth: Truth) -> dict[str, float]:
    """Of the calls that have ended, those that came to more than nothing."""
    if truth.ledger.empty:
        return {}
    last_at = pd.Timestamp(truth.last["agent_state"]["timestamp"])
    is_known = pd.to_datetime(truth.ledger["booked_at"], utc=True) <= last_at
    results = truth.ledger[is_known].groupby("symbol")["change_coin"].sum()
    held = {one["symbol"] for one in truth.last["agent_state"]["portfolio"]["positions"]}
    ended = results[[symbol not in held for symbol in results.index]]
    return {} if ended.empty else {"calls_won": float((ended > 0.0).sum())}


def _volatility(truth: Truth, coin: str) -> dict[str, float]:
    market = _market(truth, coin)
    figures = {f"{coin}.atm_iv": market["atm_iv_fraction"], f"{coin}.rv": market["rv_fraction"]}
    return {**figures, f"{coin}.iv_rv": market["atm_iv_fraction"] / market["rv_fraction"]}


def _funnel(truth: Truth, coin: str) -> dict[str, float]:
    """What is left after each rule that turned a call away."""
    found = next(one for one in truth.last["agent_state"]["funnels"] if one["underlying"] == coin)
    steps = pd.DataFrame(found["steps"])
    left = found["listed"] - steps["rejected"].cumsum()
    shown = steps["rejected"] > 0
    rules = steps["rule"].str.replace("_", " ")
    rows = {f"{coin}.left.{rule}": float(count) for rule, count in zip(rules[shown], left[shown], strict=True)}
    assert float(left.iloc[-1]) == found["passed"]
    return {f"{coin}.left.options listed": float(found["listed"]), **rows}


def _position(held: dict[str, Any]) -> dict[str, float]:
    cost = held["mark_price_coin"] if held["ask_price_coin"] is None else held["ask_price_coin"]
    return {
        f"{held['symbol']}.mark": held["mark_price_coin"],
        f"{held['symbol']}.captured_pct": 100.0 - 100.0 * cost / held["avg_price"],
        f"{held['symbol']}.delta": held["delta"],
    }


def _next_call(truth: Truth, coin: str, held: dict[str, Any]) -> dict[str, float]:
    """The first of a coin's calls to expire, as the sentence tells of it."""
    market = _market(truth, coin)
    left = pd.Timestamp(held["expiry"]) - pd.Timestamp(truth.last["agent_state"]["timestamp"])
    days = left.total_seconds() / SECONDS_A_DAY
    deviation = held["mark_iv_fraction"] * math.sqrt(days / 365.0)
    d2 = math.log(market["forward_usd"] / held["strike"]) / deviation - deviation / 2.0
    return {
        f"{coin}.out_of_the_money_fraction": held["strike"] / market["spot_usd"] - 1.0,
        f"{coin}.days_left": days,
        f"{coin}.called_away_fraction": 0.5 * (1.0 + math.erf(d2 / math.sqrt(2.0))),
        f"{coin}.iv_rv_ratio": market["atm_iv_fraction"] / market["rv_fraction"],
    }


def _candidates(truth: Truth, coin: str) -> int:
    return sum(call["underlying"] == coin for call in truth.last["agent_state"]["candidates"])


def _risk(truth: Truth, coin: str) -> dict[str, Any]:
    return truth.risk(coin, truth.last)


def _held(truth: Truth, coin: str) -> float:
    return float(_risk(truth, coin)["coins_held"])


def _market(truth: Truth, coin: str) -> dict[str, Any]:
    return next(one for one in truth.last["agent_state"]["markets"] if one["underlying"] == coin)


def _spot(truth: Truth, coin: str) -> float:
    return float(truth.last[f"spot_{coin.lower()}"])


def _account(line: dict[str, Any], coin: str) -> dict[str, Any]:
    accounts = line["agent_state"]["portfolio"]["accounts"]
    return next(one for one in accounts if one["currency"] == coin)
