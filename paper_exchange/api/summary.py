"""The account summary of one coin in Deribit's JSON, margin model segregated_sm.

In: the coin's figures (coin). Out: dictionaries with Deribit's field names. The identities that Deribit keeps hold
to 1e-9: equity = balance + futures_session_upl + futures_session_rpl + options_value, margin_balance = equity -
options_value, available_funds = margin_balance - initial_margin. Pure.
"""

from __future__ import annotations

from typing import Any

from paper_exchange.account.valuation import CoinFigures
from paper_exchange.api.replies import USER_ID
from paper_exchange.shown.account import MARGIN_MODEL, ShownFunds, shown_funds, tidy

ALWAYS_ZERO = (
    "futures_pl",
    "futures_session_upl",
    "futures_session_rpl",
    "spot_reserve",
    "additional_reserve",
    "fee_balance",
    "locked_balance",
)
RATE_LIMITS = {
    "limits_per_currency": False,
    "matching_engine": {
        "cancel_all": {"burst": 20, "rate": 5},
        "spot": {"burst": 20, "rate": 5},
        "trading": {"total": {"burst": 20, "rate": 5}},
    },
    "non_matching_engine": {"burst": 100, "rate": 20},
}


def summary_reply(currency: str, figures: CoinFigures, now_ms: int) -> dict[str, Any]:
    """One coin's summary; `delta_total` is the net transaction delta, without the coins themselves."""
    funds = shown_funds(figures)
    return {
        "currency": currency,
        "margin_model": MARGIN_MODEL,
        "portfolio_margining_enabled": False,
        "cross_collateral_enabled": False,
        **_funds(funds),
        **_profits(figures),
        **_greeks(currency, figures, funds),
        **_projected(figures.without_next_expiry(now_ms)),
        **dict.fromkeys(ALWAYS_ZERO, 0.0),
        "limits": RATE_LIMITS,
    }


def user_details() -> dict[str, Any]:
    """What `extended` adds about the user."""
    return {
        "id": USER_ID,
        "username": "paper",
        "email": "paper@localhost",
        "system_name": "paper",
        "type": "main",
        "creation_timestamp": 0,
        "interuser_transfers_enabled": False,
        "mmp_enabled": False,
        "self_trading_reject_mode": "cancel_maker",
        "self_trading_extended_to_subaccounts": False,
    }


def _funds(funds: ShownFunds) -> dict[str, float]:
    return {
        "balance": funds.balance_coin,
        "options_value": funds.options_value_coin,
        "equity": funds.equity_coin,
        "margin_balance": funds.margin_balance_coin,
        "initial_margin": funds.initial_margin_coin,
        "maintenance_margin": funds.maintenance_margin_coin,
        "close_out_margin": 0.0,
        "available_funds": funds.available_funds_coin,
        "available_withdrawal_funds": funds.available_funds_coin,
    }


def _profits(figures: CoinFigures) -> dict[str, float]:
    """Session figures count from the last 08:00 UTC, before fees; total_pl is what the open positions have made."""
    open_coin = tidy(sum(row.total_profit_coin for row in figures.options))
    session_open_coin = tidy(sum(row.floating_profit_coin for row in figures.options))
    session_realized_coin = tidy(figures.session_realized_coin)
    return {
        "options_pl": open_coin,
        "total_pl": open_coin,
        "options_session_upl": session_open_coin,
        "session_upl": session_open_coin,
        "options_session_rpl": session_realized_coin,
        "session_rpl": session_realized_coin,
    }


def _greeks(currency: str, figures: CoinFigures, funds: ShownFunds) -> dict[str, Any]:
    sums = {
        "options_delta": funds.options_delta,
        "options_gamma": tidy(sum(row.greeks.gamma for row in figures.options)),
        "options_vega": tidy(sum(row.greeks.vega for row in figures.options)),
        "options_theta": tidy(sum(row.greeks.theta for row in figures.options)),
    }
    by_index = {
        f"{name}_map": {f"{currency.lower()}_usd": value} for name, value in sums.items() if name != "options_delta"
    }
    return {
        **sums,
        **by_index,
        "delta_total": funds.delta_total,
        "delta_total_map": {f"{currency.lower()}_usd": funds.delta_total},
    }


def _projected(figures: CoinFigures) -> dict[str, float]:
    return {
        "projected_initial_margin": tidy(figures.initial_margin_coin),
        "projected_maintenance_margin": tidy(figures.maintenance_margin_coin),
        "projected_close_out_margin": 0.0,
        "projected_delta_total": tidy(figures.delta_total),
    }
