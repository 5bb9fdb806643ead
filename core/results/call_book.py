"""Every call sold on an account, found in its ledger, each with the chain of rolls that it belongs to. Pure.

In: the entries of one account's ledger and the steps of its log. Out: SoldCalls in the order in which they were opened.
A chain is a sale and all its rolls: a call sold by a roll has the chain of the call that it takes over from; a sale of
its own begins another. A chain id is unique within an account.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from core.results.settlements import expired_position, symbols_of, with_settlements_summed
from core.results.sold_calls import Exit, SoldCall
from core.results.steps import Held, Sale, Step, is_about_orders, is_before, steps_with_state
from deribit.symbols import parse_symbol
from models import ROUNDING, LedgerEntry


def sold_calls(entries: Sequence[LedgerEntry], steps: Sequence[Step]) -> tuple[SoldCall, ...]:
    """The calls sold on one account, in the order of their opening; `entries` oldest first, as the ledger has them."""
    seen = steps_with_state(steps)
    book = _Book(sorted(filter(is_about_orders, steps), key=lambda step: step.at))
    if seen:
        book.hold(seen[0].held)
    for entry in with_settlements_summed(entries):
        if not seen or not is_before(entry, seen[0].at):  # what came before is in the positions of the first state
            book.book(entry)
    return tuple(_marked(call, seen) for call in book.calls)


@dataclass
class _Book:
    """The calls as they come up in the ledger; `calls` in the order of their opening."""

    steps: Sequence[Step]
    calls: list[SoldCall] = field(default_factory=list)

    def hold(self, held: Iterable[Held]) -> None:
        """Calls of a time before the log."""
        for call in held:
            coin = parse_symbol(call.symbol).underlying
            self.calls.append(
                SoldCall(
                    *(f"{call.symbol} held before", 1, coin, call.symbol, None),
                    size_coin=call.size_coin,
                    open_coin=call.size_coin,
                    premium_coin=None,
                    booked_usd=None,
                )
            )

    def book(self, entry: LedgerEntry) -> None:
        if expired_position(entry) is not None:
            self._settle(entry)
        elif entry.entry_type == "trade" and parse_symbol(entry.symbol or "").is_call:
            if entry.is_sale:
                self._sell(entry)
            else:
                self._buy_back(entry)

    def _sell(self, entry: LedgerEntry) -> None:
        place = self._place(entry.symbol)
        if place is None:
            if "close" in (entry.side or ""):
                return  # somebody's long call
            place = len(self.calls)
            self.calls.append(self._opened(entry))
        amount_coin = entry.amount_coin or 0.0
        call = _with_flow(self.calls[place], entry, "premium_coin", entry.before_fee_coin, entry.fee_coin)
        self.calls[place] = replace(
            call, size_coin=call.size_coin + amount_coin, open_coin=call.open_coin + amount_coin
        )

    def _opened(self, entry: LedgerEntry) -> SoldCall:
        """A call at its first sale, with what the decision behind it saw."""
        symbol = entry.symbol or ""
        step = self._decision(lambda found: found.sale is not None and found.sale.symbol == symbol, entry.booked_at)
        sale = Sale(symbol) if step is None or step.sale is None else step.sale
        before = self._rolled_from(sale, step)
        chain_id = f"{symbol} {entry.booked_at:%Y-%m-%dT%H:%M:%S}" if before is None else before.chain_id
        return SoldCall(
            *(chain_id, 1 if before is None else before.leg + 1, entry.currency, symbol, entry.booked_at),
            entry_delta=sale.delta,
            entry_days=sale.days,
            entry_spread_pct=sale.spread_pct,
            slippage_coin=_slippage(symbol, step, self.steps),
        )

    def _rolled_from(self, sale: Sale, step: Step | None) -> SoldCall | None:
        """The call that a roll has taken over from: open, or bought back since the decision."""
        if step is None or sale.rolled_from is None:
            return None
        found = [call for call in self.calls if call.symbol == sale.rolled_from]
        is_of_this_roll = found and (found[-1].closed_at is None or found[-1].closed_at >= step.at)
        return found[-1] if is_of_this_roll else None

    def _buy_back(self, entry: LedgerEntry) -> None:
        place = self._place(entry.symbol)
        if place is None:
            return  # somebody's long call
        step = self._decision(lambda found: found.bought_back == entry.symbol, entry.booked_at)
        is_roll = step is not None and step.sale is not None
        call = _with_flow(self.calls[place], entry, "bought_back_coin", entry.before_fee_coin, entry.fee_coin)
        how: Exit = "rolled" if is_roll else "bought_back"
        self.calls[place] = _reduced(call, entry.amount_coin or 0.0, entry.booked_at, how)

    def _settle(self, entry: LedgerEntry) -> None:
        """The calls that a row settles share it by what each is worth at the delivery price."""
        places = [place for name in symbols_of(entry) if (place := self._place(name)) is not None]
        shares = _shares([self.calls[place] for place in places], entry.index_price_usd)
        for place, share in zip(places, shares, strict=True):
            flow_coin = share * entry.before_fee_coin
            call = _with_flow(self.calls[place], entry, "settled_coin", flow_coin, share * entry.fee_coin)
            how: Exit = "settled" if flow_coin else "expired"
            self.calls[place] = _reduced(call, call.open_coin, entry.booked_at, how)

    def _place(self, symbol: str | None) -> int | None:
        """Where the open call of a symbol stands."""
        places = (n for n in reversed(range(len(self.calls))) if self.calls[n].symbol == symbol)
        return next((place for place in places if self.calls[place].closed_at is None), None)

    def _decision(self, concerns: Callable[[Step], bool], booked_at: datetime) -> Step | None:
        """The newest decision of its kind when an entry was booked."""
        found = (step for step in reversed(self.steps) if step.at <= booked_at and concerns(step))
        return next(found, None)


def _with_flow(call: SoldCall, entry: LedgerEntry, name: str, flow_coin: float, fee_coin: float) -> SoldCall:
    """With an amount added to one of its sums, and the fee; None stays None."""
    before_coin = getattr(call, name)
    price_usd = entry.index_price_usd
    is_known = call.booked_usd is not None and price_usd is not None
    sums: dict[str, Any] = {
        name: None if before_coin is None else before_coin + flow_coin,
        "fees_coin": call.fees_coin - fee_coin,
        "booked_usd": (call.booked_usd or 0.0) + (flow_coin - fee_coin) * (price_usd or 0.0) if is_known else None,
    }
    return replace(call, **sums)


def _reduced(call: SoldCall, amount_coin: float, at: datetime, how: Exit) -> SoldCall:
    """With less of it sold; over where nothing is left."""
    left_coin = call.open_coin - amount_coin
    if left_coin > ROUNDING:
        return replace(call, open_coin=left_coin)
    return replace(call, open_coin=0.0, closed_at=at, exit=how)


def _shares(calls: Sequence[SoldCall], price_usd: float | None) -> list[float]:
    """How much of a settlement falls on each of the calls of one expiry; evenly where nothing tells them apart."""
    strikes_usd = [parse_symbol(call.symbol).strike_usd or 0.0 for call in calls]
    above_usd = [max(0.0, (price_usd or 0.0) - strike_usd) for strike_usd in strikes_usd]
    worth = [call.open_coin * each_usd for call, each_usd in zip(calls, above_usd, strict=True)]
    whole = math.fsum(worth)
    return [part / whole if whole > 0.0 else 1.0 / len(calls) for part in worth]


def _slippage(symbol: str, step: Step | None, steps: Sequence[Step]) -> float | None:
    """Of the sale that a decision began; the orders of one that rested ended in a later line."""
    if step is None:
        return None
    found = (later.slippage_coin[symbol] for later in steps if later.at >= step.at and symbol in later.slippage_coin)
    return next(found, None)


def _marked(call: SoldCall, seen: Sequence[Step]) -> SoldCall:
    """With what is open of it at the mark of the newest state."""
    if call.closed_at is not None or not seen:
        return call if call.closed_at is not None else replace(call, open_value_coin=None, open_value_usd=None)
    mark = next((held.mark_price_coin for held in seen[-1].held if held.symbol == call.symbol), None)
    value_coin = None if mark is None else -mark * call.open_coin
    spot_usd = seen[-1].spot_usd.get(call.currency)
    value_usd = None if value_coin is None or spot_usd is None else value_coin * spot_usd
    return replace(call, open_value_coin=value_coin, open_value_usd=value_usd)
