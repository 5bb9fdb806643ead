"""The vector environment's ledgers, masks, rewards and observations are the engine's: this keeps it honest.

A few short episodes under each set of settings; `python -m tests.backtest.vector` plays 1,000.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backtest import vector_env
from backtest.vector import accounts
from backtest.vector.bank import Bank
from backtest.vector.store import bank_of
from core.columns import Number
from tests.backtest.vector.cases import CASES, Case
from tests.backtest.vector.comparing import differences
from tests.builders.planted import DEFECTS, Defect

CHEAP = {"delta_min": 0.005, "delta_max": 0.2, "dte_min": 0.0, "dte_max": 3.0, "premium_min_usd": 0.0, "ivrv_min": 0.0}
# Calls so cheap that the cap of the fee binds; the first and the seventh step are at 08:00 UTC sharp.
EVERY_RULE_BINDS = Case(step_hours=20.0, sections={"btc": CHEAP, "eth": CHEAP})


@pytest.mark.parametrize("name", CASES)
def test_ledgers_masks_rewards_and_observations_are_those_of_the_engine(name: str, tmp_path: Path) -> None:
    assert list(differences(CASES[name], [3, 4], 8, dice_seed=1, folder=tmp_path)) == []


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_in_the_engine_alone_is_found(defect: Defect, tmp_path: Path) -> None:
    with defect():
        assert any(differences(EVERY_RULE_BINDS, [3, 4, 5], 12, dice_seed=1, folder=tmp_path))


def test_a_fee_without_its_cap_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def uncapped(price_coin: Number, amount: float) -> Number:
        return 0.0 * price_coin + 0.0003 * amount

    monkeypatch.setattr(accounts, "trade_fee_coin", uncapped)
    assert any(differences(EVERY_RULE_BINDS, [3], 4, dice_seed=1, folder=tmp_path))


WRONG_COLUMNS: dict[str, Callable[[Bank], Bank]] = {
    "margin": lambda bank: replace(bank, margin_coin=1.1 * bank.margin_coin),
    "sold at the mark": lambda bank: replace(bank, sale_bid_coin=bank.sale_mark_coin),
}


@pytest.mark.parametrize("name", WRONG_COLUMNS)
def test_a_wrong_column_of_the_bank_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong_bank(*asked: Any) -> Bank:
        return WRONG_COLUMNS[name](bank_of(*asked))

    monkeypatch.setattr(vector_env, "bank_of", wrong_bank)
    assert any(differences(EVERY_RULE_BINDS, [3, 4], 12, dice_seed=1, folder=tmp_path))
