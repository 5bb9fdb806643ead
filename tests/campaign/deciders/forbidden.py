"""A policy that wants what is forbidden, of every kind that the state offers; none of it may ever be done.

In: a state and settings, as any policy. Out: an action whose reason is "forbidden: " and the kind. Why it is forbidden
follows from the state by arithmetic of our own, not from the risk engine, which must find the same. Every other time
the campaign's eager policy decides, so that there are calls to close and to roll. Sizes in coin. Pure.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time, timedelta
from functools import partial

from config import AgentConfig
from models import (
    ActionType,
    AgentState,
    CandidateOption,
    CoinRisk,
    OptionPosition,
    ProposedAction,
    TradingState,
    Underlying,
)
from tests.campaign.world.policies import eager_action

FORBIDDEN = "forbidden: "
STEP_COIN = {"BTC": 0.1, "ETH": 1.0}
OTHER: dict[Underlying, Underlying] = {"BTC": "ETH", "ETH": "BTC"}
SURELY = 1e-6  # what is beyond a limit by less may be rounding
LEAST_MARGIN_FRACTION = 0.1  # of a short call, whatever its strike
WINDOW_STARTS, WINDOW_ENDS = time(7, 55), time(8, 5)

_OPEN, _CLOSE, _ROLL = ActionType.OPEN_COVERED_CALL, ActionType.CLOSE_COVERED_CALL, ActionType.ROLL_COVERED_CALL
Wish = tuple[str, ProposedAction]  # the kind, and the action


def forbidden_action(state: AgentState, config: AgentConfig, seed: str) -> ProposedAction:
    """Drawn by kind, so that the rare ones come too; draws follow from seed and time of the state."""
    dice = random.Random(f"{seed}:{state.timestamp.isoformat()}:forbidden")
    if dice.random() < 0.5:
        return eager_action(state, config, seed)
    wishes = list(forbidden_wishes(state, config))
    kind = dice.choice(sorted({kind for kind, _ in wishes}))
    action = dice.choice([action for name, action in wishes if name == kind])
    return action.model_copy(update={"reason": f"{FORBIDDEN}{kind}"})


def forbidden_wishes(state: AgentState, config: AgentConfig) -> Iterator[Wish]:
    """Everything forbidden that can be said of this state."""
    yield "without a coin", _wish(_OPEN, None, "BTC-25DEC26-100000-C", size=0.1)
    for coin in sorted(OTHER):
        if coin not in config.enabled_underlyings:
            yield "a coin that is switched off", _wish(_OPEN, coin, f"{coin}-25DEC26-100000-C", size=STEP_COIN[coin])
            continue
        desk = _Desk(state, config, coin)
        yield from desk.foreign_things()
        yield from desk.wrong_forms()
        yield from desk.wrong_sizes()
        yield from desk.beyond_a_limit()
        yield from desk.wrong_buy_backs()
        yield from desk.wrong_rolls()
        yield from desk.at_the_wrong_time()


def _wish(
    kind: ActionType, coin: Underlying | None, symbol: str | None, new_symbol: str | None = None, size: float = 0.0
) -> ProposedAction:
    size = round(size, 8)
    return ProposedAction(type=kind, underlying=coin, symbol=symbol, new_symbol=new_symbol, size=size, reason=FORBIDDEN)


@dataclass(frozen=True)
class _Desk:
    """What can be wanted of one coin."""

    state: AgentState
    config: AgentConfig
    coin: Underlying

    @property
    def step(self) -> float:
        return STEP_COIN[self.coin]

    @property
    def offered(self) -> tuple[CandidateOption, ...]:
        return self.state.candidates_for(self.coin)

    @property
    def held(self) -> tuple[OptionPosition, ...]:
        return self.state.short_calls(self.coin)

    @property
    def risk(self) -> CoinRisk | None:
        return self.state.risk(self.coin)

    def sale(self, symbol: str | None, size: float | None = None, new_symbol: str | None = None) -> ProposedAction:
        return _wish(_OPEN, self.coin, symbol, new_symbol, self.step if size is None else size)

    def sizes(self) -> Iterator[float]:
        """Whole steps that there are coins for."""
        room = 0.0 if self.risk is None else self.risk.room_coin
        return (number * self.step for number in range(1, int(room / self.step + SURELY) + 1))

    # --- no call of this state ----------------------------------------------------------------

    def foreign_things(self) -> Iterator[Wish]:
        coin = self.coin
        for name in ("31FEB27-1-C", "25DEC26-1-C", "1JAN20-100000-C", "25DEC26-100000-P", "PERPETUAL", "25DEC26"):
            yield "an instrument that is not in the state", self.sale(f"{coin}-{name}")
        yield "an instrument that is not in the state", self.sale(f"{coin}_USDC-25DEC26-100000-C")
        yield "an instrument that is not in the state", self.sale(f"{coin}-CS-25DEC26-95000_99000")
        for call in self.offered:
            yield "the put of a call", self.sale(f"{call.symbol[:-1]}P")
            yield "a call in small letters", self.sale(call.symbol.lower())
            yield "a call with a blank behind it", self.sale(f"{call.symbol} ")
        for call in self.state.candidates_for(OTHER[coin]):
            yield "a call of the other coin", self.sale(call.symbol)

    def wrong_forms(self) -> Iterator[Wish]:
        yield "a sale of nothing", self.sale(None)
        for call in self.offered:
            yield "a sale of two calls", self.sale(call.symbol, new_symbol=call.symbol)
            yield "a roll from nothing", _wish(_ROLL, self.coin, None, call.symbol, self.step)
            yield "a roll to nothing", _wish(_ROLL, self.coin, call.symbol, None, self.step)

    # --- sizes and limits -----------------------------------------------------------------------

    def wrong_sizes(self) -> Iterator[Wish]:
        most = self.config.strategy(self.coin).max_order_size
        for call in self.offered:
            yield "a size of nothing", self.sale(call.symbol, 0.0)
            yield "half a step", self.sale(call.symbol, 1.5 * self.step)
            yield "more than an order may be", self.sale(call.symbol, most + self.step)
            yield "more than there is", self.sale(call.symbol, 1000.0)

    def beyond_a_limit(self) -> Iterator[Wish]:
        risk, limits, account = self.risk, self.config.risk, self.state.account(self.coin)
        if risk is None or account is None:
            return
        lowest = int(risk.room_coin / self.step + SURELY) + 1
        for call in self.offered:
            yield "more than is covered", self.sale(call.symbol, lowest * self.step)
            sold_there = sum(
                it.short_calls_coin
                for it in self.state.expiry_exposures
                if (it.underlying, it.expiry) == (self.coin, call.expiry)
            )
            for size in self.sizes():
                delta = abs(risk.net_delta - call.delta * size)
                if delta > limits.max_net_delta_fraction * risk.coins_held + SURELY:
                    yield "beyond the delta of all calls", self.sale(call.symbol, size)
                if sold_there + size > limits.max_expiry_exposure_fraction * risk.coins_held + SURELY:
                    yield "too much on one day", self.sale(call.symbol, size)
                used = account.initial_margin_coin + LEAST_MARGIN_FRACTION * size
                backing = account.margin_balance_coin + call.sale_price_coin * size
                if not account.is_cross_margin and 100.0 * used > (limits.max_margin_pct + SURELY) * backing:
                    yield "beyond the margin", self.sale(call.symbol, size)

    # --- calls held --------------------------------------------------------------------------------

    def wrong_buy_backs(self) -> Iterator[Wish]:
        close = partial(_wish, _CLOSE, self.coin)
        sold = {call.symbol for call in self.held}
        yield "closing what nobody knows", close(f"{self.coin}-31FEB27-1-C", size=self.step)
        for call in self.offered:
            if call.symbol not in sold:
                yield "closing what is not held", close(call.symbol, size=self.step)
        for position in self.state.portfolio.positions:
            if position.symbol not in sold:
                yield "closing what is no sold call of the coin", close(position.symbol, size=self.step)
        for held in self.held:
            yield "closing more than is held", close(held.symbol, size=held.size + self.step)
            yield "closing nothing of it", close(held.symbol)
            yield "closing to two calls", close(held.symbol, held.symbol, held.size)

    def wrong_rolls(self) -> Iterator[Wish]:
        roll = partial(_wish, _ROLL, self.coin)
        for call in self.held:
            yield "a roll into itself", roll(call.symbol, call.symbol, call.size)
            yield "a roll into a put", roll(call.symbol, f"{call.symbol[:-1]}P", call.size)
            for target in self.offered:
                yield "a roll of more than is held", roll(call.symbol, target.symbol, call.size + self.step)
                if target.expiry < call.expiry:
                    yield "a roll to an earlier day", roll(call.symbol, target.symbol, call.size)

    # --- when nothing, or no sale, may be sent ------------------------------------------------------

    def at_the_wrong_time(self) -> Iterator[Wish]:
        ordinary_sales = [self.sale(call.symbol) for call in self.offered]
        buy_backs = [_wish(_CLOSE, self.coin, call.symbol, size=call.size) for call in self.held]
        for why in self._why_nothing():
            yield from ((why, action) for action in (*ordinary_sales, *buy_backs))
        for why in self._why_no_sale():
            yield from ((why, action) for action in ordinary_sales)
        for call in self.held:
            if self.is_unfit(call):
                yield "a call on a quote that is none", _wish(_CLOSE, self.coin, call.symbol, size=call.size)

    def _why_nothing(self) -> Iterator[str]:
        state = self.state
        own_live = [order for order in state.open_orders_for(self.coin) if order.is_own and order.is_live]
        if state.kill_switch_on:
            yield "anything beside the kill file"
        if state.trading_state == TradingState.HALTED:
            yield "anything while halted"
        if WINDOW_STARTS <= state.timestamp.timetz().replace(tzinfo=None) < WINDOW_ENDS:
            yield "anything around the settlement"
        if any(symbol.startswith(f"{self.coin}-") for symbol in state.unresolved_symbols) or own_live:
            yield "anything while an order of the coin is open"
        if self.coin in state.waiting_underlyings:
            yield "anything while a coin waits"

    def _why_no_sale(self) -> Iterator[str]:
        if self.state.trading_state == TradingState.REDUCING:
            yield "a sale while reducing"
        if self.state.orders_today >= self.config.risk.max_orders_per_day:
            yield "a sale too many on one day"
        others = [held.symbol for held in self.state.portfolio.other_positions]
        if any(symbol.startswith(self.coin) for symbol in others):
            yield "a sale beside a position that cannot be judged"

    def is_unfit(self, call: OptionPosition) -> bool:
        """Whether a held call cannot be traded just now, for its quote or its expiry."""
        state, risk, bid, ask = self.state, self.config.risk, call.bid_price_coin, call.ask_price_coin
        is_close = call.expiry - state.timestamp < timedelta(minutes=risk.min_minutes_to_expiry)
        if call.quoted_at is None or is_close or (bid and ask and bid > ask):
            return True
        return state.timestamp - call.quoted_at > timedelta(seconds=risk.max_quote_age_seconds + 1.0)
