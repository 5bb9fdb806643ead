"""What an account earned, coin by coin, and its equity against holding: sums over its ledger and its log. Pure.

In: the entries of one account's ledger, the steps of its log. Out: CoinEarnings, in coin, costs negative, between the
first state and the last; EquityPoints. Premium, buy-backs, deliveries, fees and the change of open value add up to
what the calls earned against holding the coins. Holding changes no equity in coin, only deposits and the like do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.results.call_book import sold_calls
from core.results.settlements import expired_position
from core.results.sold_calls import SoldCall
from core.results.steps import Step, is_before, steps_with_state
from models import LedgerEntry


@dataclass(frozen=True)
class CoinEarnings:
    """Earnings in one coin from `first_at` to `last_at`.

    `open_value_coin` is the change of what the open positions are worth at their mark, `moved_coin` what was booked for
    other reasons (deposits, transfers). `sold`: calls sold, those of rolls among them. `uncovered_fraction`: share of
    the time without a call. `spot_last_usd` is None where the last state has none.
    """

    currency: str
    first_at: datetime
    last_at: datetime
    premium_coin: float
    bought_back_coin: float
    settled_coin: float
    fees_coin: float
    open_value_coin: float
    moved_coin: float
    equity_first_coin: float
    equity_last_coin: float
    spot_last_usd: float | None
    sold: int
    rolls: int
    uncovered_fraction: float | None

    @property
    def net_coin(self) -> float:
        """What the calls earned against holding."""
        parts = (self.premium_coin, self.bought_back_coin, self.settled_coin, self.fees_coin, self.open_value_coin)
        return math.fsum(parts)

    @property
    def holding_coin(self) -> float:
        """The equity without any call."""
        return self.equity_first_coin + self.moved_coin

    @property
    def unexplained_coin(self) -> float:
        """Change of equity that no entry of the ledger explains; above rounding, the ledger in the log has a gap."""
        return self.equity_last_coin - self.holding_coin - self.net_coin

    @property
    def net_usd(self) -> float | None:
        """Against holding, at the last spot."""
        return None if self.spot_last_usd is None else self.net_coin * self.spot_last_usd

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.premium_coin or self.bought_back_coin or self.settled_coin or self.open_value_coin)


@dataclass(frozen=True)
class EquityPoint:
    """The equity in one coin as a state saw it, beside that of holding. In USD at the spot of that moment."""

    run_id: str
    iteration: int
    at: datetime
    currency: str
    equity_coin: float
    holding_coin: float
    spot_usd: float | None

    @property
    def equity_usd(self) -> float | None:
        return None if self.spot_usd is None else self.equity_coin * self.spot_usd

    @property
    def holding_usd(self) -> float | None:
        return None if self.spot_usd is None else self.holding_coin * self.spot_usd


def earnings(entries: Sequence[LedgerEntry], steps: Sequence[Step]) -> tuple[CoinEarnings, ...]:
    """A row a coin whose equity is known at both ends; nothing where no state was read."""
    seen = steps_with_state(steps)
    if not seen:
        return ()
    first, last = seen[0], seen[-1]
    counted = [entry for entry in entries if not is_before(entry, first.at) and is_before(entry, last.at)]
    calls = sold_calls(entries, steps)
    coins = [coin for coin in first.equity_coin if coin in last.equity_coin]
    return tuple(
        _of_coin(
            coin,
            [entry for entry in counted if entry.currency == coin],
            [call for call in calls if call.currency == coin],
            (first, last),
        )
        for coin in coins
    )


def _of_coin(
    coin: str, entries: Sequence[LedgerEntry], calls: Sequence[SoldCall], ends: tuple[Step, Step]
) -> CoinEarnings:
    first, last = ends
    trades = [entry for entry in entries if entry.entry_type == "trade"]
    settled = [entry for entry in entries if expired_position(entry) is not None]
    others = [entry for entry in entries if entry.entry_type != "trade" and expired_position(entry) is None]
    sold = [call for call in calls if call.opened_at is not None and first.at <= call.opened_at < last.at]
    return CoinEarnings(
        currency=coin,
        first_at=first.at,
        last_at=last.at,
        premium_coin=math.fsum(entry.before_fee_coin for entry in trades if entry.is_sale),
        bought_back_coin=math.fsum(entry.before_fee_coin for entry in trades if not entry.is_sale),
        settled_coin=math.fsum(entry.before_fee_coin for entry in settled),
        fees_coin=-math.fsum(entry.fee_coin for entry in (*trades, *settled)),
        open_value_coin=_open_value(last, coin) - _open_value(first, coin),
        moved_coin=math.fsum(entry.change_coin for entry in others),
        equity_first_coin=first.equity_coin[coin],
        equity_last_coin=last.equity_coin[coin],
        spot_last_usd=last.spot_usd.get(coin),
        sold=len(sold),
        rolls=len([call for call in sold if call.leg > 1]),
        uncovered_fraction=_uncovered_fraction(calls, first.at, last.at),
    )


def _open_value(step: Step, coin: str) -> float:
    """What the positions are worth at their mark: the equity that is not balance."""
    return step.equity_coin[coin] - step.balance_coin[coin]


def _uncovered_fraction(calls: Sequence[SoldCall], first_at: datetime, last_at: datetime) -> float | None:
    """The share of the time in which no call was sold; None where no time has passed."""
    if last_at <= first_at:
        return None
    spans = sorted((call.opened_at or first_at, call.closed_at or last_at) for call in calls)
    without, covered_until = timedelta(), first_at
    for opened_at, closed_at in spans:
        without += max(timedelta(), min(opened_at, last_at) - covered_until)
        covered_until = max(covered_until, min(closed_at, last_at))
    without += max(timedelta(), last_at - covered_until)
    return without / (last_at - first_at)


def equity_points(entries: Sequence[LedgerEntry], steps: Sequence[Step]) -> Iterator[EquityPoint]:
    """A point a coin and state; holding is the first equity, and what was deposited or taken out since."""
    seen = steps_with_state(steps)
    moved = [entry for entry in entries if entry.entry_type != "trade" and expired_position(entry) is None]
    moved = [entry for entry in moved if seen and entry.change_coin and not is_before(entry, seen[0].at)]
    first_coin: dict[str, float] = {}
    for step in seen:
        for coin, equity_coin in step.equity_coin.items():
            first_coin.setdefault(coin, equity_coin)
            holding_coin = first_coin[coin] + _moved_until(moved, coin, step.at)
            about = (step.run_id, step.iteration, step.at, coin)
            yield EquityPoint(*about, equity_coin, holding_coin, step.spot_usd.get(coin))


def _moved_until(moved: Iterable[LedgerEntry], coin: str, at: datetime) -> float:
    return math.fsum(entry.change_coin for entry in moved if entry.currency == coin and is_before(entry, at))
