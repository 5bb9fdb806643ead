"""What a run earned, from its ledger and its equities."""

from __future__ import annotations

import pytest

from core.results.earnings import earnings
from models import LedgerEntry
from tests.builders.states import NOW


def an_entry(entry_type: str, side: str, change_coin: float, fee_coin: float) -> LedgerEntry:
    return LedgerEntry(
        currency="BTC",
        entry_type=entry_type,
        symbol="BTC-16JAN26-110000-C",
        booked_at=NOW,
        side=side,
        change_coin=change_coin,
        fee_coin=fee_coin,
    )


def test_premium_buy_backs_settlements_and_fees_add_up_to_the_change_of_the_balance() -> None:
    entries = [
        an_entry("trade", "open sell", 0.0097, 0.0003),
        an_entry("trade", "close buy", -0.0043, 0.0003),
        an_entry("assignment", "close buy", -0.00215, 0.00015),
    ]
    (btc,) = earnings(entries, {"BTC": 1.0}, {"BTC": 1.00325})
    assert btc.premium_coin == pytest.approx(0.01)
    assert btc.bought_back_coin == pytest.approx(-0.004)
    assert btc.settled_coin == pytest.approx(-0.002)
    assert btc.fees_coin == pytest.approx(-0.00075)
    assert btc.net_coin == pytest.approx(btc.premium_coin + btc.bought_back_coin + btc.settled_coin + btc.fees_coin)


def test_a_coin_whose_equity_is_not_known_at_both_ends_has_no_line() -> None:
    assert earnings([], {"BTC": 1.0}, {"ETH": 1.0}) == ()
