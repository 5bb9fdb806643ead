"""The table of fields knows everything that Deribit was recorded to send, and nothing is missing from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config import PROJECT_FOLDER
from deribit.known_fields import KNOWN, unexpected_fields
from tests.builders.agent import next_process, run_for, simulated_desk
from tests.builders.paper import RECORDED

FILES = sorted([*RECORDED.glob("*.json"), *(RECORDED.parent / "recorded_2026_10").glob("*.json")])
# Methods that were recorded and are not used, whose rows are those of one that is.
SAME_ROWS = {
    "get_open_orders_by_instrument": "get_open_orders",
    "get_user_trades_by_instrument": "get_user_trades_by_order",
}
OTHER_ROWS = ("get_historical_volatility", "get_settlement_history_by_currency", "get_order_book")


def recorded_results() -> Iterator[tuple[str, str, Any]]:
    """File, method and result of every recorded reply that is not an error."""
    for path in FILES:
        content = json.loads(path.read_text(encoding="utf-8"))
        content = content.get("body", content) if isinstance(content, dict) else content
        method = re.sub(r"^(private|public)_", "", path.name.partition("__")[0])
        if "error" not in path.name and method not in OTHER_ROWS:
            is_reply = isinstance(content, dict) and "jsonrpc" in content
            yield path.name, SAME_ROWS.get(method, method), content["result"] if is_reply else content


RESULTS = [pytest.param(method, result, id=name) for name, method, result in recorded_results()]


@pytest.mark.skipif(not FILES, reason="recorded replies are not part of the project")
@pytest.mark.parametrize(("method", "result"), RESULTS)
def test_every_recorded_field_is_known(method: str, result: Any) -> None:
    assert method in KNOWN
    assert unexpected_fields(method, result) == ()


def test_every_method_the_client_names_has_its_fields() -> None:
    source = "".join((PROJECT_FOLDER / name).read_text() for name in ("deribit_client.py", "deribit/wire.py"))
    used = set(re.findall(r'"(?:public|private)/(\w+)"', source))
    assert len(used) > 15
    assert used <= KNOWN.keys()


def test_the_paper_exchange_sends_no_field_that_deribit_does_not(tmp_path: Path) -> None:
    agent = next_process(simulated_desk(tmp_path, run={"interval_seconds": 21_600.0}))
    records = run_for(agent, 40)
    assert "trade" in {entry.entry_type for record in records for entry in record.ledger}
    assert not (agent.config.run.data_dir / "unexpected").exists()


@pytest.mark.parametrize(
    ("method", "result", "unexpected"),
    [
        ("private/get_positions", [{"size": 1.0}], ()),
        ("private/get_positions", [{"size": 1.0}, {"size": 1.0, "made_up": None}], ("made_up",)),
        ("private/cancel", {"label": "", "made_up": 1, "another": 2}, ("another", "made_up")),
        ("private/edit", {"order": {"price": 1.0, "made_up": 1}, "trades": []}, ("order.made_up",)),
        ("private/edit", {"order": {}, "trades": [{}, {"made_up": 1}]}, ("trades.made_up",)),
        ("public/ticker", {"greeks": {"delta": 0.1, "charm": 0.1}}, ("greeks.charm",)),
        ("private/get_account_summary", {"limits": {"anything": {"at": "all"}}}, ()),
        (
            "public/get_instruments",
            [{"tick_size_steps": [{"above_price": 1.0, "below": 2.0}]}],
            ("tick_size_steps.below",),
        ),
        ("public/get_time", 1_767_614_400_000, ()),
        ("public/a_method_without_a_table", {"made_up": 1}, ()),
    ],
)
def test_a_field_that_nobody_has_met_is_named_with_what_it_lies_in(
    method: str, result: Any, unexpected: tuple[str, ...]
) -> None:
    assert unexpected_fields(method, result) == unexpected
