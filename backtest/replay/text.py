"""What a replay has found, in lines of at most 80 columns, and as a table. Pure.

In: a Replay, settlement prices. Out: text; rows for a CSV file, one a changed decision, NaN where a price is not known.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from backtest.replay.again import Change, Replay
from backtest.replay.settled import SettlementPrices, made_by_settlement
from core.text import printable, wrapped
from models import ProposedAction

INDENT = " " * 5
MOST_SHOWN = 20


@dataclass(frozen=True)
class ChangedDecision:
    """A row of the table. What each decision would have made by settlement, in coin of its own and in USD of then."""

    timestamp: datetime
    run_id: str
    iteration: int
    old: str
    new: str
    old_reason: str
    new_reason: str
    currency_old: str | None
    currency_new: str | None
    old_coin: float
    new_coin: float
    old_usd: float
    new_usd: float

    @property
    def difference_usd(self) -> float:
        return self.new_usd - self.old_usd


def changed_decision(change: Change, prices: SettlementPrices) -> ChangedDecision:
    decision, state = change.point.decision, change.point.state
    old_coin, new_coin = (made_by_settlement(state, action, prices) for action in (change.old, change.new))
    spots_usd: dict[str, float] = {market.underlying: market.spot_usd for market in state.markets}
    return ChangedDecision(
        timestamp=state.timestamp,
        run_id=decision.run_id,
        iteration=decision.iteration,
        old=action_words(change.old),
        new=action_words(change.new),
        old_reason=change.old.reason,
        new_reason=change.new.reason,
        currency_old=change.old.underlying,
        currency_new=change.new.underlying,
        old_coin=old_coin,
        new_coin=new_coin,
        old_usd=_usd(old_coin, change.old, spots_usd),
        new_usd=_usd(new_coin, change.new, spots_usd),
    )


def _usd(amount_coin: float, action: ProposedAction, spots_usd: dict[str, float]) -> float:
    """At the spot of the decision; nothing is 0 in any coin."""
    return (
        0.0
        if action.underlying is None and amount_coin == 0.0
        else amount_coin * spots_usd.get(action.underlying or "", math.nan)
    )


def action_words(action: ProposedAction) -> str:
    """OPEN_COVERED_CALL 0.1 BTC-9JAN26-93000-C; the calls of a roll with > between them."""
    symbols = " > ".join(symbol for symbol in (action.symbol, action.new_symbol) if symbol is not None)
    return " ".join([action.type, *([f"{action.size:g} {printable(symbols)}"] if symbols else [])])


# --- on the console ---------------------------------------------------------------------------------------


def summary_lines(replay: Replay, rows: Sequence[ChangedDecision]) -> Iterator[str]:
    """How many decisions are as before, and what the changes come to."""
    failed = f"; the policy failed on {replay.errors}" if replay.errors else ""
    yield f"{replay.decided} decisions: {replay.agreements} as before, {len(rows)} changed{failed}"
    if not rows:
        return
    known = [row for row in rows if not math.isnan(row.difference_usd)]
    unknown = f"; of {len(rows) - len(known)} the settlement is not known" if len(known) < len(rows) else ""
    if known:
        old_usd, new_usd = math.fsum(row.old_usd for row in known), math.fsum(row.new_usd for row in known)
        yield wrapped(
            f"by settlement {len(known)} of them made {old_usd:+,.2f} USD before, {new_usd:+,.2f} now "
            f"({new_usd - old_usd:+,.2f}){unknown}"
        )
    else:
        yield "what they would have made by settlement is not known from this log"


def change_lines(rows: Sequence[ChangedDecision]) -> Iterator[str]:
    """The first changes one by one, the others as a count of each kind."""
    for row in rows[:MOST_SHOWN]:
        yield wrapped(f"{row.timestamp:%Y-%m-%d %H:%M}  {_short(row.old)}", INDENT)
        yield wrapped(f"{INDENT}now {_short(row.new)}: {printable(row.new_reason)}", INDENT + "  ")
        yield f"{INDENT}by settlement {_made(row)}"
    if len(rows) > MOST_SHOWN:
        yield f"and {len(rows) - MOST_SHOWN} more:"
        yield from kind_lines(rows[MOST_SHOWN:])


def kind_lines(rows: Iterable[ChangedDecision]) -> Iterator[str]:
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        counts[row.old.split(" ")[0], row.new.split(" ")[0]] += 1
    for (old, new), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        yield f"{INDENT}{count:>5}  {old} -> {new}"


def _short(words: str) -> str:
    return words.replace("_COVERED_CALL", "")


def _made(row: ChangedDecision) -> str:
    if math.isnan(row.old_coin) and math.isnan(row.new_coin):
        return "not known: the log ends before, or held no call of that expiry"
    return f"{_coins(row.old_coin, row.currency_old)} before, {_coins(row.new_coin, row.currency_new)} now"


def _coins(amount_coin: float, currency: str | None) -> str:
    if math.isnan(amount_coin):
        return "not known"
    return "0" if currency is None else f"{amount_coin + 0.0:+.5f} {currency}"
