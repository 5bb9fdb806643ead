"""One line an expired position, however the exchange has booked it."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

import logging_utils
from core.results.earnings import earnings
from core.results.settlements import expired_position, with_settlements_summed
from core.results.steps import Step
from deribit.replies import Row, read_ledger
from models import LedgerEntry
from paper_exchange.account.account import PaperAccount
from paper_exchange.exchange import PaperExchange
from tests.builders.paper import SHARED, Caller, market_with, place

RECORDED = SHARED / "deribit" / "recorded_2026_10" / "private_get_transaction_log__expiry_testnet_20261004.json"
DELIVERY_PRICES = SHARED / "market_data" / "settlement" / "delivery_prices_2021-06.csv"

EXPIRY = datetime(2026, 10, 2, 8, tzinfo=UTC)
CALL, HIGHER_CALL, FUTURE = "BTC-2OCT26-90000-C", "BTC-2OCT26-95000-C", "BTC-2OCT26"


def a_row(entry_type: str, symbol: str | None, change_coin: float = 0.0, fee_coin: float = 0.0) -> LedgerEntry:
    return LedgerEntry(
        currency="BTC",
        entry_type=entry_type,
        symbol=symbol,
        booked_at=EXPIRY + timedelta(seconds=1),
        amount_coin=0.1,
        index_price_usd=100_000.0,
        fee_coin=fee_coin,
        change_coin=change_coin,
        balance_coin=1.0 + change_coin,
    )


SUMMARY = a_row("options_settlement_summary", None)


@pytest.mark.parametrize(
    "rows",
    [
        [a_row("delivery", CALL, -0.010015, 0.000015)],
        [a_row("assignment", CALL, -0.010015, 0.000015), SUMMARY],
        [a_row("assignment", CALL, -0.000015, 0.000015), a_row("delivery", FUTURE, -0.01), SUMMARY],
        [SUMMARY, a_row("delivery", FUTURE, -0.01), a_row("assignment", CALL, -0.000015, 0.000015)],
        [
            a_row("assignment", CALL, -0.000015, 0.000015),
            a_row("settlement", FUTURE, -0.004),
            a_row("delivery", FUTURE, -0.006),
        ],
    ],
)
def test_every_form_of_a_settlement_is_one_row_with_the_same_sums(rows: list[LedgerEntry]) -> None:
    (settled,) = with_settlements_summed(rows)
    assert (settled.symbol, settled.index_price_usd, settled.amount_coin) == (CALL, 100_000.0, 0.1)
    assert settled.change_coin == pytest.approx(-0.010015, abs=1e-12)
    assert settled.fee_coin == pytest.approx(0.000015, abs=1e-12)


def test_options_in_the_money_of_one_expiry_share_their_future_and_a_row() -> None:
    rows = [
        a_row("assignment", CALL, -0.000015, 0.000015),
        a_row("assignment", HIGHER_CALL, -0.000015, 0.000015),
        a_row("delivery", FUTURE, -0.015),
    ]
    (settled,) = with_settlements_summed(rows)
    assert settled.symbol == f"{CALL} + {HIGHER_CALL}"
    assert settled.change_coin == pytest.approx(-0.01503)
    assert settled.amount_coin == pytest.approx(0.2)


def test_an_option_out_of_the_money_has_a_row_of_its_own() -> None:
    rows = [a_row("expiry", HIGHER_CALL), a_row("assignment", CALL, -0.000015), a_row("delivery", FUTURE, -0.01)]
    assert [row.symbol for row in with_settlements_summed(rows)] == [HIGHER_CALL, CALL]


def test_an_amount_that_one_row_lacks_is_not_known_for_the_sum() -> None:
    rows = [a_row("assignment", CALL).model_copy(update={"amount_coin": None}), a_row("delivery", FUTURE, -0.01)]
    assert with_settlements_summed(rows)[0].amount_coin is None


def test_coins_are_not_mixed() -> None:
    other = a_row("delivery", FUTURE, -0.5).model_copy(update={"currency": "USDC"})
    assert len(with_settlements_summed([a_row("assignment", CALL, -0.01), other])) == 2


@pytest.mark.parametrize(
    "row",
    [
        a_row("trade", CALL, 0.0097),
        a_row("settlement", "BTC-PERPETUAL", 0.001),
        a_row("settlement", "BTC-25DEC26", 0.001),  # the daily settlement of a future that is still traded
        a_row("deposit", None, 1.0),
        a_row("options_settlement_summary", None, 0.001),  # moved something: it must not vanish
    ],
)
def test_other_rows_stay_as_they_are(row: LedgerEntry) -> None:
    assert expired_position(row) is None
    assert with_settlements_summed([row]) == [row]


def test_no_sum_changes_what_a_coin_earned() -> None:
    rows = [
        a_row("trade", CALL, 0.0097, 0.0003).model_copy(update={"side": "open sell"}),
        a_row("assignment", CALL, -0.000015, 0.000015),
        a_row("delivery", FUTURE, -0.01),
        SUMMARY,
    ]
    ends = (EXPIRY - timedelta(days=1), EXPIRY + timedelta(days=1))
    steps = [Step("r", 1, at, equity_coin={"BTC": 1.0}, balance_coin={"BTC": 1.0}) for at in ends]
    (before,), (summed,) = earnings(rows, steps), earnings(with_settlements_summed(rows), steps)
    assert before == summed
    assert before.settled_coin == pytest.approx(-0.01)
    assert before.unexplained_coin == pytest.approx(-math.fsum(row.change_coin for row in rows))


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded replies are not here")
def test_the_recorded_expiry_of_2026_is_one_row_and_its_summary_none() -> None:
    reply = json.loads(RECORDED.read_text())
    rows = with_settlements_summed(read_ledger(Row(reply["result"]), "USDC"))
    expired = [row for row in rows if expired_position(row) is not None]
    assert [(row.symbol, row.entry_type, row.index_price_usd, row.change_coin) for row in expired] == [
        ("TRX_USDC-2OCT26-0d342-C", "expiry", 0.334323, 0.0)
    ]
    assert [row.symbol for row in rows if row not in expired] == ["BTC_USDC-PERPETUAL"]


# --- against arithmetic with official delivery prices -------------------------------------------------


@pytest.mark.skipif(not DELIVERY_PRICES.exists(), reason="the delivery prices are not here")
@pytest.mark.parametrize("into_futures", [False, True])
def test_what_the_log_says_of_a_settlement_is_strike_and_delivery_price_worked_out(
    into_futures: bool, tmp_path: Path
) -> None:
    prices_usd = [float(price) for price in pd.read_csv(DELIVERY_PRICES)["Delivery price"] if price > 10_000.0]
    for price_usd in prices_usd:
        logged = settlement_in_the_log(tmp_path / f"{price_usd}.jsonl", price_usd, into_futures)
        payoff = max(0.0, price_usd - 33_000.0) / price_usd
        fee_coin = 0.5 * min(0.00015, 0.125 * payoff)
        assert logged["index_price_usd"] == price_usd
        assert logged["fee_coin"] == pytest.approx(fee_coin, abs=1e-9)
        assert logged["change_coin"] == pytest.approx(-0.5 * payoff - fee_coin, abs=1e-9)
    assert any(price_usd > 33_000.0 for price_usd in prices_usd)
    assert any(price_usd < 33_000.0 for price_usd in prices_usd)


def settlement_in_the_log(log: Path, price_usd: float, into_futures: bool) -> dict[str, float]:
    """The one row that read_ledger has of an expiry of half a call, sold on the paper exchange."""
    name = "BTC-16JAN26-33000-C"
    market = market_with(name, bid=0.02, ask=0.021)
    account = PaperAccount(market, {"BTC": 10.0}, into_futures=into_futures)
    account.advance()
    place(account, "sell", 0.5, 0.02, name)
    market.deliver(name, price_usd)
    market.sleep_until_expiry(name)
    page = Caller(PaperExchange(market, account)).result("private/get_transaction_log", currency="BTC")
    entries = [entry.model_dump(mode="json") for entry in read_ledger(Row(page), "BTC")]
    log.write_text(json.dumps({"mode": "dry_run", "run_id": "r", "iteration": 1, "ledger": entries}) + "\n")
    table = logging_utils.read_ledger(log)
    assert list(table["symbol"]) == [name, name]  # the sale, and one row about the expiry
    return {str(key): value for key, value in table.iloc[-1].items()}
