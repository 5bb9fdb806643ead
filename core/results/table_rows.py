"""Results as rows of the tables that logging_utils makes: their columns, and what stands in them. Pure.

In: an account's name, what it sold or was worth. Out: dicts. A chain id is unique among all accounts here.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from core.results.earnings import EquityPoint
from core.results.sold_calls import CallChain, SoldCall

TRADE_COLUMNS = [
    *("account", "chain_id", "leg", "currency", "symbol", "opened_at", "closed_at", "exit", "size_coin", "open_coin"),
    *("entry_delta", "entry_days", "entry_spread_pct", "slippage_coin", "premium_coin", "bought_back_coin"),
    *("settled_coin", "fees_coin", "open_value_coin", "pnl_coin", "pnl_usd"),
]
CHAIN_COLUMNS = [
    *("account", "chain_id", "currency", "opened_at", "closed_at", "exit", "rolls", "symbols", "pnl_coin", "pnl_usd"),
]
EQUITY_COLUMNS = [
    *("account", "run_id", "iteration", "timestamp", "currency", "equity_coin", "holding_coin", "spot_usd"),
    *("equity_usd", "holding_usd"),
]


def trade_row(account: str, call: SoldCall) -> dict[str, Any]:
    return {
        **asdict(call),
        **{"account": account, "chain_id": f"{account} {call.chain_id}"},
        **{"pnl_coin": call.pnl_coin, "pnl_usd": call.pnl_usd},
    }


def chain_row(account: str, chain: CallChain) -> dict[str, Any]:
    names = ("currency", "opened_at", "closed_at", "exit", "rolls", "pnl_coin", "pnl_usd")
    return {
        **{"account": account, "chain_id": f"{account} {chain.chain_id}"},
        **{"symbols": " > ".join(leg.symbol for leg in chain.legs)},
        **{name: getattr(chain, name) for name in names},
    }


def equity_row(account: str, point: EquityPoint) -> dict[str, Any]:
    usd = {"equity_usd": point.equity_usd, "holding_usd": point.holding_usd}
    return {"account": account, "timestamp": point.at, **asdict(point), **usd}
