"""The vector environment's ledgers, masks, rewards and observations are the engine's: this keeps it honest.

A few short episodes under each set of settings; `python -m tests.backtest.vector` plays 1,000.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest.vector import accounts
from core.columns import Number
from tests.backtest.vector.comparing import CASES, differences


@pytest.mark.parametrize("name", CASES)
def test_ledgers_masks_rewards_and_observations_are_those_of_the_engine(name: str, tmp_path: Path) -> None:
    assert list(differences(CASES[name], [3, 4], 8, dice_seed=1, folder=tmp_path)) == []


def test_a_fee_without_its_cap_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def uncapped(price_coin: Number, amount: float) -> Number:
        return 0.0 * price_coin + 0.0003 * amount

    monkeypatch.setattr(accounts, "trade_fee_coin", uncapped)
    assert list(differences(CASES["little delta, cheap calls"], [3], 4, dice_seed=1, folder=tmp_path))
