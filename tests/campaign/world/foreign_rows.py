"""Orders and trades of other hands: of kinds the paper exchange lacks, with fields left out, or very many.

In: the rows of `private/get_open_orders` as the paper exchange gives them. Out: the rows an agent is given, and the
coins that the added ones may come to need; lines of the transaction log. Rows X37, X38, X41 of the catalogue; the first
two last until the account is wiped. Amounts in coin.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from paper_exchange.account.ledger import LogEntry
from paper_exchange.account.state import AccountState
from tests.campaign.world.market import COINS
from tests.campaign.world.trace import is_own_label

STEPS_COIN = {"BTC": 0.1, "ETH": 1.0}
KINDS = {"option", "option_combo", "future", "spot"}
LEDGER_PAGE_ROWS = 20  # rows in a page of the ledger, however many are asked for, once X41 has happened
LONG_LEDGER_ROWS = 12 * LEDGER_PAGE_ROWS
# What untriggered orders of 2026 lack, and what else a row might: nobody has promised any of it.
ALWAYS_LEFT_OUT = ("filled_amount", "average_price")
LEFT_OUT_TOO = ("amount", "order_type", "reduce_only", "creation_timestamp", "label", "price", "post_only", "direction")


@dataclass
class ForeignRows:
    """What rests beside the paper exchange's own book, and which fields the exchange does not give."""

    orders: list[tuple[str, dict[str, Any], float]] = field(
        default_factory=list
    )  # kind, row, coins it may come to need
    left_out: tuple[str, ...] = ()

    def place(self, dice: random.Random, now_ms: int) -> None:
        """A combo or an option of another settlement (both take coins), or something harmless."""
        coin = dice.choice(COINS)
        amount = round(STEPS_COIN[coin] * dice.randint(1, 3), 8)
        kind, name, direction, needs_coin = dice.choice(
            (
                ("option_combo", f"{coin}-CS-9JAN26-95000_99000", "sell", amount),
                ("option_combo", f"{coin}-CDIAG-9JAN26-95000_16JAN26-99000", "buy", amount),
                ("option", f"{coin}_USDC-9JAN26-95000-C", "sell", amount),
                ("future", f"{coin}-PERPETUAL", "sell", 0.0),
                ("spot", f"{coin}_USDC", "sell", 0.0),
            )
        )
        row = {
            "order_id": f"foreign-{len(self.orders) + 1}",
            "label": "",
            "instrument_name": name,
            "direction": direction,
            "amount": amount,
            "filled_amount": 0.0,
            "average_price": 0.0,
            "price": 0.01,
            "order_state": "open",
            "order_type": "limit",
            "reduce_only": False,
            "post_only": False,
            "creation_timestamp": now_ms,
            "last_update_timestamp": now_ms,
            "is_liquidation": False,
        }
        self.orders.append((kind, row, needs_coin))

    def leave_out(self, dice: random.Random) -> None:
        self.left_out = (*ALWAYS_LEFT_OUT, *dice.sample(LEFT_OUT_TOO, dice.randrange(3)))

    def shown(self, rows: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
        """The open orders of a kind ("any" for all)."""
        of_kind = [row for its_kind, row, _ in self.orders if kind in ("any", its_kind)]
        return [row if is_own_label(row["label"]) else self._incomplete(row) for row in (*rows, *of_kind)]

    def _incomplete(self, row: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in row.items() if name not in self.left_out}

    def coins_needed(self, coin: str) -> float:
        """What they may come to need once they fill."""
        return sum(needs for _, row, needs in self.orders if row["instrument_name"].startswith(coin))


def perpetual_trade(state: AccountState, coin: str, number: int, now_ms: int) -> LogEntry:
    """A line of the transaction log about a trade of a perpetual: bought and sold in turn, nothing won or lost."""
    state.next_entry_number += 1
    index_usd = state.index_usd[coin]
    return LogEntry(
        entry_id=state.next_entry_number - 1,
        kind="trade",
        booked_at_ms=now_ms,
        currency=coin,
        instrument_name=f"{coin}-PERPETUAL",
        side="close sell" if number % 2 else "open buy",
        amount=10.0,
        price_coin=None,
        commission_coin=0.0,
        cashflow_coin=0.0,
        change_coin=0.0,
        balance_coin=state.balances_coin[coin],
        equity_coin=state.balances_coin[coin],
        position_after=0.0 if number % 2 else 10.0,
        mark_coin=index_usd,
        index_usd=index_usd,
        price_usd=index_usd,
    )
