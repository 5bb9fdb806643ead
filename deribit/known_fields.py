"""The fields Deribit is known to send, a table per kind of row, and which fields of a reply are not among them. Pure.

In: a method and the result of its reply. Out: the names nobody here has met, "order.x" for the x of an order inside.
The names come from replies recorded in 2020 to 2026 and from Deribit's documentation; deribit/replies.py reads few of
them. A name without names below it ("limits") may hold anything. A method without a line is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ORDER = _names(
    """
    advanced amount api app_name auto_replaced average_price block_trade cancel_reason commission contracts
    creation_timestamp direction display_amount estimated_liquidation_price filled_amount implv instrument_name
    is_liquidation is_primary_otoco is_rebalance is_secondary_oto label last_update_timestamp max_show mmp mmp_cancelled
    mmp_group mobile oco_ref order_id order_state order_type original_order_type oto_order_ids post_only price
    profit_loss quote quote_id quote_set_id reduce_only refresh_amount reject_post_only replaced risk_reducing
    starbase_last_update_timestamp starbase_order_id time_in_force trigger trigger_fill_condition trigger_offset
    trigger_order_id trigger_price trigger_reference_price triggered usd user_id web
    """
)
TRADE = _names(
    """
    advanced amount api block_rfq_id block_trade_id block_trade_leg_count client_info combo_id combo_trade_id contracts
    direction fee fee_currency index_price instrument_name iv label legs liquidation liquidity mark_price matching_id
    mmp order_id order_type post_only price profit_loss quote_id quote_set_id reduce_only risk_reducing self_trade
    starbase_match_id starbase_order_id starbase_timestamp state tick_direction timestamp trade_allocations trade_id
    trade_seq underlying_price user_id
    """
)
INSTRUMENT = _names(
    """
    base_currency base_currency_uuid block_trade_commission block_trade_min_trade_amount block_trade_tick_size
    contract_size counter_currency creation_timestamp expiration_timestamp future_type index_id instrument_id
    instrument_name instrument_type is_active kind lot_size maker_commission max_leverage max_liquidation_commission
    max_non_default_leverage min_trade_amount option_type price_index product_group qty_tick_size quote_currency
    quote_currency_uuid rfq settlement_currency settlement_period state strike taker_commission tick_size
    tick_size_steps tick_size_steps.above_price tick_size_steps.tick_size underlying_type
    """
)
ACCOUNT = _names(
    """
    additional_reserve available_funds available_spot_reserve available_subaccount_transfer_funds
    available_withdrawal_funds balance block_rfq_self_match_prevention change_margin_model_api_limit close_out_margin
    creation_timestamp cross_collateral_enabled currency delta_total delta_total_map deposit_address
    disable_kyc_verification email equity estimated_liquidation_ratio estimated_liquidation_ratio_map fee_balance
    fee_group fees futures_pl futures_session_rpl futures_session_upl has_non_block_chain_equity id initial_margin
    interuser_transfers_enabled is_direct_access_allowed limits locked_balance login_enabled maintenance_margin
    mandatory_tfa margin_balance margin_model mmp_enabled options_delta options_gamma options_gamma_map options_pl
    options_session_rpl options_session_upl options_theta options_theta_map options_value options_vega options_vega_map
    portfolio_margining_enabled projected_close_out_margin projected_delta_total projected_initial_margin
    projected_maintenance_margin receive_notifications referrer_id security_keys_enabled
    self_trading_extended_to_subaccounts self_trading_reject_mode session_funding session_rpl session_upl spot_reserve
    system_name total_delta_total_usd total_equity_usd total_initial_margin_usd total_maintenance_margin_usd
    total_margin_balance_usd total_pl trading_products_details type user_origin username
    """
)
POSITION = _names(
    """
    average_price average_price_usd delta direction estimated_liquidation_price floating_profit_loss
    floating_profit_loss_usd gamma index_price initial_margin instrument_name interest_value kind leverage
    maintenance_margin mark_price open_orders_margin realized_funding realized_profit_loss settlement_price size
    size_currency theta total_profit_loss user_id vega
    """
)
LEDGER = _names(
    """
    amount balance block_rfq_id cashflow change combo_id commission contracts currency equity fee_balance fee_role id
    index_price info instrument_name interest_pl ip mark_price order_id position price price_currency
    profit_as_cashflow realized_pl session_rpl session_upl settlement_price side starbase_match_id starbase_order_id
    starbase_timestamp timestamp total_interest_pl trade_id type unrealized_pl user_id user_role user_seq username
    """
)
QUOTE = _names(
    """
    ask_price base_currency bid_price creation_timestamp current_funding estimated_delivery_price funding_8h high
    instrument_name interest_rate last low mark_iv mark_price mid_price open_interest price_change quote_currency
    underlying_index underlying_price volume volume_notional volume_usd
    """
)
TICKER = _names(
    """
    ask_iv best_ask_amount best_ask_price best_bid_amount best_bid_price bid_iv current_funding delivery_price
    estimated_delivery_price funding_8h greeks greeks.delta greeks.gamma greeks.rho greeks.theta greeks.vega index_price
    instrument_name interest_rate interest_value last_price mark_iv mark_price max_price min_price open_interest
    settlement_price state stats stats.high stats.low stats.price_change stats.volume stats.volume_notional
    stats.volume_usd timestamp underlying_index underlying_price
    """
)


def _inside(name: str, row: frozenset[str], *beside: str) -> frozenset[str]:
    """The names of rows that lie under a name, with what else stands beside them."""
    return frozenset({name, *beside, *(f"{name}.{field}" for field in row)})


ENVELOPE = _names("error id jsonrpc result testnet usDiff usIn usOut")
PLACED = _inside("order", ORDER) | _inside("trades", TRADE)
# By the method's name behind the slash.
KNOWN: Mapping[str, frozenset[str]] = {
    "auth": _names(
        "access_token enabled_features expires_in google_login mandatory_tfa_status refresh_token scope sid token_type"
    ),
    "get_time": frozenset(),  # a number
    "status": frozenset({"locked", "locked_currencies", "locked_indices"}),
    "get_index_price": frozenset({"estimated_delivery_price", "index_price"}),
    "get_instruments": INSTRUMENT,
    "get_instrument": INSTRUMENT,
    "get_book_summary_by_currency": QUOTE,
    "ticker": TICKER,
    "get_index_chart_data": frozenset(),  # pairs of time and price
    "get_tradingview_chart_data": _names("close cost high low open status ticks volume"),
    "get_volatility_index_data": frozenset({"continuation", "data"}),
    "get_open_orders": ORDER,
    "get_positions": POSITION,
    "get_account_summaries": _inside("summaries", ACCOUNT) | ACCOUNT,  # what all have in common stands outside
    "get_account_summary": ACCOUNT,
    "get_order_state": ORDER,
    "get_order_state_by_label": ORDER,
    "get_user_trades_by_order": TRADE | _inside("trades", TRADE, "has_more"),
    "get_margins": frozenset({"buy", "max_price", "min_price", "sell"}),
    "get_transaction_log": _inside("logs", LEDGER, "continuation"),
    "buy": PLACED,
    "sell": PLACED,
    "edit": PLACED,
    "cancel": ORDER,
}


def unexpected_fields(method: str, result: object) -> tuple[str, ...]:
    """The fields of a result that the table of its method lacks, sorted; none where there is no table."""
    known = KNOWN.get(method.rpartition("/")[2])
    return () if known is None else tuple(sorted(set(_unknown(result, "", known))))


def _unknown(value: object, prefix: str, known: frozenset[str]) -> Iterator[str]:
    """All rows of a list at once: a chain has two thousand of them in every iteration."""
    rows = [row for row in _listed(value) if isinstance(row, dict)]
    names: set[str] = set().union(*rows)
    for name in names:
        path = f"{prefix}{name}"
        if path not in known:
            yield path
        elif path in _containers(known):
            yield from _unknown([inside for row in rows for inside in _listed(row.get(name))], f"{path}.", known)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


@cache
def _containers(known: frozenset[str]) -> frozenset[str]:
    """The names that have names below them."""
    return frozenset(name.rpartition(".")[0] for name in known if "." in name)
