"""What to send for an action: its legs, and the limit prices to try for each. Pure.

In: an action, the state it was decided on, a fresh ticker, settings. Out: legs in the order in which they are sent;
prices on the exchange's tick grid, in coin per contract, amounts in coin. A sale starts at mid and steps towards the
bid down to a floor, a buy-back the other way round; a call of which a side is missing is offered at the mark. In a
research run with AGENT_FILLS=touch the other side of the book is the only price.
"""

from __future__ import annotations

from dataclasses import dataclass

from config import AgentConfig
from core.pricing import round_price_down, round_price_up, tick_size_at
from core.quotes import asked_price, mid_price, percent_or_two_ticks
from deribit.symbols import SymbolParts, parse_symbol
from models import (
    ActionType,
    AgentState,
    CandidateOption,
    Direction,
    OptionInstrument,
    OptionPosition,
    ProposedAction,
    Ticker,
    own_label,
)


@dataclass(frozen=True)
class Leg:
    """One order to work: what, which way, how much, and the mid it was decided on.

    `offered_at_coin`: the price asked at the decision where the call is offered at the mark and left to rest.
    """

    label: str
    symbol: str
    direction: Direction
    amount_coin: float
    decision_mid_coin: float | None
    offered_at_coin: float | None = None

    @property
    def parts(self) -> SymbolParts:
        return parse_symbol(self.symbol)

    @property
    def is_sell(self) -> bool:
        return self.direction == "sell"


def plan_orders(
    action: ProposedAction, agent_state: AgentState | None, config: AgentConfig, decision_id: str
) -> tuple[Leg, ...]:
    """The legs of an action in the order in which they are sent, none above max_order_size. Pure."""
    if action.type == ActionType.DO_NOTHING or action.underlying is None or action.symbol is None:
        return ()
    amount = min(action.size, config.strategy(action.underlying).max_order_size)

    def leg(direction: Direction, symbol: str) -> Leg:
        label = own_label(decision_id, direction)
        may_rest = direction == "sell" and config.run.fills == "ladder"
        offered_at = _offered_at(symbol, agent_state) if may_rest else None
        return Leg(label, symbol, direction, amount, _decision_mid(symbol, agent_state), offered_at)

    if action.type == ActionType.OPEN_COVERED_CALL:
        return (leg("sell", action.symbol),)
    if action.type == ActionType.CLOSE_COVERED_CALL or action.new_symbol is None:
        return (leg("buy", action.symbol),)
    return leg("buy", action.symbol), leg("sell", action.new_symbol)


def _decision_mid(symbol: str, state: AgentState | None) -> float | None:
    """The mid when the decision was made, the mark where a side was missing."""
    if state is None:
        return None
    option: CandidateOption | OptionPosition | None = state.candidate(symbol) or state.position(symbol)
    if option is None:
        return None
    return asked_price(option.bid_price_coin, option.ask_price_coin, option.mark_price_coin)


def _offered_at(symbol: str, state: AgentState | None) -> float | None:
    call = None if state is None else state.candidate(symbol)
    return None if call is None or not call.is_offered_at_mark else call.floor_price_coin


def offer_price(offered_at_coin: float, ticker: Ticker, option: OptionInstrument) -> float:
    """What a call is offered at while it rests: the mark of this moment, and no less than at the decision. Pure.

    The order is not post-only. Deribit documents that flag for good_til_cancelled alone, and our orders must end by
    themselves at 08:00 UTC; should somebody bid as much meanwhile, it trades at once for no less than it asks.
    """
    price = _inside_band(ticker, max(ticker.mark_price_coin, offered_at_coin))
    return max(option.tick_size_coin, round_price_up(price, option.tick_size_coin, option.tick_steps))


def prices_to_try(
    direction: Direction, ticker: Ticker, option: OptionInstrument, config: AgentConfig
) -> tuple[float, ...]:
    """The limit prices of a leg, first to last, as AGENT_FILLS says. Pure."""
    if config.run.fills == "touch":
        return (touch_price(direction, ticker, option, config),)
    return price_ladder(direction, ticker, option, config)


def touch_price(direction: Direction, ticker: Ticker, option: OptionInstrument, config: AgentConfig) -> float:
    """The bid for a sale, the ask for a buy-back: what trades at once. Pure.

    Never worse than price_collar_pct from the mark, nor outside the band: where the other side is beyond that, or
    nobody is there, this is a price at which nothing trades.
    """
    mark = ticker.mark_price_coin
    collar = percent_or_two_ticks(mark, config.risk.price_collar_pct, _tick_at(mark, option))
    if direction == "sell":
        return _on_grid("sell", _sell_floor(ticker, mark - collar), option)
    return _on_grid("buy", _buy_ceiling(ticker, mark + collar), option)


def price_ladder(
    direction: Direction, ticker: Ticker, option: OptionInstrument, config: AgentConfig
) -> tuple[float, ...]:
    """The limit prices to try, first to last, on the tick grid and rounded to our side. Pure.

    From mid (last or mark where a side is missing) in equal steps to the other side of the book, but no further than
    order_concession_pct from the start, nor worse than price_collar_pct from the mark (two ticks are always allowed),
    nor outside the band.
    """
    mark = ticker.mark_price_coin
    start = _inside_band(ticker, start_price(ticker, config.risk.price_collar_pct))
    concession = percent_or_two_ticks(start, config.run.order_concession_pct, _tick_at(start, option))
    collar = percent_or_two_ticks(mark, config.risk.price_collar_pct, _tick_at(mark, option))
    if direction == "sell":
        end = _sell_floor(ticker, max(start - concession, mark - collar))
        start = max(start, end)
    else:
        end = _buy_ceiling(ticker, min(start + concession, mark + collar))
        start = min(start, end)
    steps = max(1, config.run.order_price_steps - 1)
    raw = [start + (end - start) * step / steps for step in range(steps + 1)]
    return tuple(dict.fromkeys(_on_grid(direction, price, option) for price in raw))


def _on_grid(direction: Direction, price: float, option: OptionInstrument) -> float:
    """On the tick grid, rounded to our side."""
    rounding = round_price_up if direction == "sell" else round_price_down
    return max(option.tick_size_coin, rounding(price, option.tick_size_coin, option.tick_steps))


def start_price(ticker: Ticker, collar_pct: float) -> float:
    """Mid; without both sides the last trade if it lies near the mark (testnet prints absurd ones), else the mark."""
    mid, last, mark = (
        mid_price(ticker.bid_price_coin, ticker.ask_price_coin),
        ticker.last_price_coin,
        ticker.mark_price_coin,
    )
    if mid is not None:
        return mid
    if last is not None and abs(last - mark) <= mark * collar_pct / 100.0:
        return last
    return mark


def _tick_at(price: float, option: OptionInstrument) -> float:
    return tick_size_at(price, option.tick_size_coin, option.tick_steps)


def _inside_band(ticker: Ticker, price: float) -> float:
    highest = price if ticker.max_price_coin is None else min(price, ticker.max_price_coin)
    return max(highest, ticker.min_price_coin or 0.0)


def _sell_floor(ticker: Ticker, lowest: float) -> float:
    return max(lowest, ticker.bid_price_coin or 0.0, ticker.min_price_coin or 0.0)


def _buy_ceiling(ticker: Ticker, highest: float) -> float:
    limits = [limit for limit in (ticker.ask_price_coin, ticker.max_price_coin) if limit is not None]
    return min([highest, *limits])
