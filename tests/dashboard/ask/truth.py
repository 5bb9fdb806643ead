"""What is true of a log, computed from its raw lines with json and pandas alone: no code of the product.

In: a log folder. Out: figures by coin, day and call. Amounts in coin.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

Line = dict[str, Any]


class Truth:
    """The lines of one run, oldest first, and their ledger as a table."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("decisions-*.jsonl"))
        self.lines: list[Line] = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
        self.lines.sort(key=lambda line: line["iteration"])
        rows = [row | {"line": line["iteration"]} for line in self.lines for row in line["ledger"]]
        self.ledger = pd.DataFrame(rows)
        self.at = [pd.Timestamp(line["timestamp"]) for line in self.lines]

    @property
    def last(self) -> Line:
        return self.lines[-1]

    def between(self, start: str, end: str) -> list[Line]:
        """Lines from a day up to, and without, another."""
        first, last = pd.Timestamp(start, tz="UTC"), pd.Timestamp(end, tz="UTC")
        return [line for line, at in zip(self.lines, self.at, strict=True) if first <= at < last]

    def equity_change(self, coin: str, lines: list[Line]) -> float:
        """Of the account from the first of these lines to the last."""
        return float(lines[-1][f"equity_{coin}"] - lines[0][f"equity_{coin}"])

    def booked(self, coin: str, side: str, first: int, last: int) -> float:
        """Trades of a side before fees, from the line of one number up to, and without, another."""
        rows = self._trades(coin, first, last)
        rows = rows[rows["side"].str.contains(side)]
        return float((rows["change_coin"] + rows["fee_coin"]).sum())

    def fees(self, coin: str, first: int, last: int) -> float:
        return -float(self._trades(coin, first, last)["fee_coin"].sum())

    def _trades(self, coin: str, first: int, last: int) -> pd.DataFrame:
        rows = self.ledger[(self.ledger["entry_type"] == "trade") & (self.ledger["currency"] == coin)]
        return rows[(rows["line"] >= first) & (rows["line"] < last)]

    def results(self) -> pd.Series:
        """What each call came to in coin: all its bookings, and its mark where it is still held."""
        sums = self.ledger.groupby("symbol")["change_coin"].sum()
        for held in self.last["agent_state"]["portfolio"]["positions"]:
            sums[held["symbol"]] -= held["mark_price_coin"] * held["size"]
        return sums

    def results_usd(self, coin: str | None = None) -> pd.Series:
        """The same in USD, each booking at the index of its moment."""
        rows = self.ledger[self.ledger["currency"] == coin] if coin else self.ledger
        sums = (rows["change_coin"] * rows["index_price_usd"]).groupby(rows["symbol"]).sum()
        for held in self.last["agent_state"]["portfolio"]["positions"]:
            if held["symbol"] in sums:
                spot = self.last[f"spot_{held['underlying'].lower()}"]
                sums[held["symbol"]] -= held["mark_price_coin"] * held["size"] * spot
        return sums.sort_values()

    def chain_of(self, symbol: str) -> list[str]:
        """The calls before and after one, by the rolls that were proposed and filled."""
        rolls = {
            line["proposed_action"]["symbol"]: line["proposed_action"]["new_symbol"]
            for line in self.lines
            if line["action_type"] == "ROLL_COVERED_CALL" and line["executed_status"] == "filled"
        }
        before = {new: old for old, new in rolls.items()}
        while symbol in before:
            symbol = before[symbol]
        chain = [symbol]
        while chain[-1] in rolls:
            chain.append(rolls[chain[-1]])
        return chain

    def funnel(self, coin: str, line: Line) -> dict[str, int]:
        found = next(one for one in line["agent_state"]["funnels"] if one["underlying"] == coin)
        counts = {step["rule"]: int(step["rejected"]) for step in found["steps"]}
        return counts | {"listed": found["listed"], "passed": found["passed"]}

    def misses(self, coin: str, line: Line) -> list[Line]:
        return [one for one in line["agent_state"]["near_misses"] if one["underlying"] == coin]

    def risk(self, coin: str, line: Line) -> Line:
        return next(one for one in line["agent_state"]["risks"] if one["underlying"] == coin)
