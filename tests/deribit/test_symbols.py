"""What a symbol says, and the name an option gets."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from deribit.symbols import OptionType, SymbolParts, option_symbol, parse_symbol

NINTH = datetime(2026, 1, 9, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("symbol", "underlying", "expiry", "strike", "option_type"),
    [
        ("BTC-9JAN26-95000-C", "BTC", NINTH, 95_000.0, "call"),
        ("ETH-27MAR26-3200-P", "ETH", datetime(2026, 3, 27, 8, tzinfo=UTC), 3_200.0, "put"),
        ("XRP_USDC-9JAN26-0d75-C", "XRP_USDC", NINTH, 0.75, "call"),
    ],
)
def test_an_option_is_read_and_named_again(
    symbol: str, underlying: str, expiry: datetime, strike: float, option_type: OptionType
) -> None:
    assert parse_symbol(symbol) == SymbolParts(underlying, expiry, strike, option_type)
    assert option_symbol(underlying, expiry, strike, option_type) == symbol


@pytest.mark.parametrize(
    ("symbol", "parts"),
    [
        ("BTC-PERPETUAL", SymbolParts("BTC")),
        ("BTC-27MAR26", SymbolParts("BTC", datetime(2026, 3, 27, 8, tzinfo=UTC))),
        ("BTC_USDC", SymbolParts("BTC_USDC")),
        ("", SymbolParts("")),
        ("BTC-31FEB26-95000-C", SymbolParts("BTC", None, 95_000.0, "call")),
        ("BTC-9JAN26-many-C", SymbolParts("BTC", NINTH, None, "call")),
        ("BTC-9JAN26-٣-C", SymbolParts("BTC", NINTH, None, "call")),
        ("BTC-FS-27MAR26_PERP", SymbolParts("BTC")),
    ],
)
def test_a_part_that_is_not_there_or_makes_no_sense_is_none(symbol: str, parts: SymbolParts) -> None:
    assert parse_symbol(symbol) == parts


@pytest.mark.parametrize(
    ("symbol", "is_about_btc"),
    [("BTC-PERPETUAL", True), ("BTC_USDC-9JAN26-95000-C", True), ("BTCDVOL_USDC-9JAN26", True), ("ETH-9JAN26", False)],
)
def test_whatever_begins_with_a_coin_hangs_on_it(symbol: str, is_about_btc: bool) -> None:
    assert parse_symbol(symbol).concerns("BTC") is is_about_btc
