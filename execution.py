"""execute_action: turn an approved action into orders, work them, and say what became of them.

In: the client, an action the risk engine has allowed, settings, the state it was decided on. Out: ExecutionResult.
Sending goes through the client's place_limit_order and nowhere else. Prices in coin per contract, amounts in coin.
What has not traded at the last price is cancelled; a call offered at the mark is left to rest. A roll buys back first,
reads the account again and sells only what has room. orders/finishing.py says how an order ended, orders/recovery.py
what became of orders whose end was not heard.
"""

from __future__ import annotations

import hashlib
import math
import traceback
from dataclasses import replace
from datetime import datetime
from typing import Literal

from config import AgentConfig
from core.exposure import coins_behind_calls, coins_on_offer
from core.pricing import floor_to_step
from core.quotes import age_problem, is_crossed, is_fresh
from core.trading_hours import settlement_problem
from models import (
    ActionType,
    AgentError,
    AgentState,
    DeribitError,
    ExchangeClient,
    ExecutionResult,
    LegResult,
    OptionInstrument,
    Order,
    OrderReceipt,
    OrderRequest,
    ProposedAction,
    SendOutcome,
    Ticker,
)
from orders.finishing import LegStatus, cancel_duplicates_of, finish_order, leg_result
from orders.order_planning import Leg, offer_price, plan_orders, prices_to_try, start_price


def execute_action(
    deribit_client: ExchangeClient, action: ProposedAction, config: AgentConfig, agent_state: AgentState | None = None
) -> ExecutionResult:
    """Carry out an action that the risk engine has allowed.

    `agent_state` gives the decision its id and the mids that slippage is measured against; without it both are taken
    at the time of the call. What the exchange refuses or loses is in the result; only errors that end the process are
    raised.
    """
    results: list[LegResult] = []
    bought_back: float | None = None
    decision_id = agent_state.decision_id if agent_state is not None else _id_from(deribit_client, action)
    for leg in plan_orders(action, agent_state, config, decision_id):
        if results and deribit_client.clock.is_stopped:
            break  # asked to stop between the legs of a roll: flat is a fine state to stop in
        amount = leg.amount_coin if bought_back is None else min(leg.amount_coin, bought_back)
        try:
            result = _work_leg(deribit_client, leg, amount, config)
        except AgentError as error:  # the process ends, but what was done until then belongs into its last line
            error.partial_result = _interrupted(results, leg, amount, error)
            raise
        except Exception as error:  # noqa: BLE001 - orders may be out: whatever went wrong, they belong into the line
            broken = AgentError(traceback.format_exc())
            broken.partial_result = _interrupted(results, leg, amount, error)
            raise broken from None
        results.append(result)
        if result.filled_coin <= 0.0 or result.status == "unknown":
            break  # a roll never sells what it has not surely bought back
        bought_back = result.filled_coin
    return ExecutionResult(status=_overall(results, action), legs=tuple(results), note=_notes(results))


def _id_from(client: ExchangeClient, action: ProposedAction) -> str:
    """An id for a decision that came without a state."""
    now = client.server_now()
    return f"{now:%y%m%d%H%M%S}-" + hashlib.sha256(f"{now.isoformat()}:{action.symbol}".encode()).hexdigest()[:6]


# --- one leg --------------------------------------------------------------------------------------


def _work_leg(client: ExchangeClient, leg: Leg, amount: float, config: AgentConfig) -> LegResult:
    """Look once more, send, move the price step by step, cancel the rest."""
    try:
        option = client.get_instrument(leg.symbol)
        ticker = client.get_ticker(leg.symbol)
        problem = reason_not_to_trade(client, option, ticker, config)
        if leg.is_sell and not ticker.mark_price_coin > 0.0:
            problem = problem or f"{leg.symbol} has no mark price"
        if option is None or problem is not None:
            return _not_sent(leg, amount, problem or "the instrument is not known")
        if leg.is_sell:
            amount = min(amount, read_room(client, leg.parts.underlying, option.min_trade_amount_coin))
    except DeribitError as error:
        if error.exit_code is not None:
            raise
        return _not_sent(leg, amount, str(error))
    if leg.decision_mid_coin is None:
        leg = replace(leg, decision_mid_coin=start_price(ticker, config.risk.price_collar_pct))
    amount = floor_to_step(amount, option.min_trade_amount_coin)
    if amount <= 0.0:
        return _not_sent(leg, amount, "no free coins left to sell a call against, or one of our orders is still open")
    if leg.offered_at_coin is None:
        prices = prices_to_try(leg.direction, ticker, option, config)
    else:
        prices = (offer_price(leg.offered_at_coin, ticker, option),)
    return _work_order(client, leg, amount, prices, ticker.quoted_at, config)


def reason_not_to_trade(
    client: ExchangeClient, option: OptionInstrument | None, ticker: Ticker, config: AgentConfig
) -> str | None:
    """The quote as it is now, on the exchange's clock; filters in the positive form."""
    now, risk = client.server_now(), config.risk
    if option is None or not option.is_tradable or ticker.state != "open":
        return f"{ticker.symbol} is not open for trading"
    age = age_problem(ticker.quoted_at, now, risk.max_quote_age_seconds)
    if age is not None:
        return f"the quote of {ticker.symbol} is {age}"
    if not (option.expiry - now).total_seconds() >= risk.min_minutes_to_expiry * 60.0:
        return f"{ticker.symbol} expires within {risk.min_minutes_to_expiry:g} minutes"
    pause = settlement_problem(now)
    if pause is not None:
        return pause
    bid, ask = ticker.bid_price_coin, ticker.ask_price_coin
    if not ticker.mark_price_coin >= 0.0 or is_crossed(bid, ask):
        return f"the quote of {ticker.symbol} makes no sense: bid {bid}, ask {ask}, mark {ticker.mark_price_coin}"
    locked = client.get_locked_status()
    return None if locked == "false" else f"the exchange is locked ({locked})"


def read_room(client: ExchangeClient, currency: str, step: float) -> float:
    """Coins with no call against them, read afresh; orders before positions, so a fill in between counts twice.

    Every short call and every order that is not surely harmless counts, whoever made it. Nothing where an order of
    ours still rests on it: that may be a copy that something on the way made of the first leg of a roll.
    """
    live = [order for order in client.get_open_orders() if order.is_live]
    if any(order.is_own and order.parts.underlying == currency for order in live):
        return 0.0
    positions = client.get_positions()
    account = client.get_account_summary(currency)
    of_coin = [held for held in positions if held.parts.concerns(currency)]
    puts_cost = math.fsum(-h.size * h.mark_price for h in of_coin if h.is_short_put and h.parts.underlying == currency)
    coins = coins_behind_calls(account, puts_cost)
    short = math.fsum(-held.size for held in of_coin if held.is_short_call)
    long_calls = {held.symbol for held in of_coin if held.size > 0.0 and held.parts.is_call}
    on_offer = coins_on_offer(currency, live, long_calls)
    return floor_to_step(coins - short - on_offer + 1e-9, step)


def _work_order(
    client: ExchangeClient,
    leg: Leg,
    amount: float,
    prices: tuple[float, ...],
    quoted_at: datetime,
    config: AgentConfig,
) -> LegResult:
    request = OrderRequest(
        label=leg.label,
        symbol=leg.symbol,
        direction=leg.direction,
        amount_coin=amount,
        price_coin=prices[0],
        reduce_only=not leg.is_sell,
        quoted_at=quoted_at,
    )
    receipt, difference = send_order(client, request)
    if receipt.outcome != SendOutcome.ACCEPTED or receipt.order is None:
        return _unplaced(leg, amount, prices[:1], receipt)
    tried = prices[:1]
    if difference is None and leg.offered_at_coin is not None and receipt.order.is_live:
        return _left_to_rest(client, leg, amount, receipt.order, tried)
    if difference is None and config.run.fills == "ladder":
        order, tried = _move_price(client, receipt.order, prices, quoted_at, config)
    else:
        order = receipt.order  # not what was asked for; or a research run, where what did not trade at once is over
    result = finish_order(client, leg, amount, order, tried, difference or "")
    is_another = (order.symbol, order.direction) != (leg.symbol, leg.direction)
    return result.model_copy(update={"status": "unknown"}) if is_another else result


def send_order(client: ExchangeClient, request: OrderRequest) -> tuple[OrderReceipt, str | None]:
    """What came back for an order, and what is wrong with it: not accepted, or not what was asked for."""
    receipt = client.place_limit_order(request)
    if receipt.outcome != SendOutcome.ACCEPTED or receipt.order is None:
        return receipt, receipt.error or f"the order was {receipt.outcome}"
    return receipt, _echo_problem(request, receipt.order)


def _left_to_rest(client: ExchangeClient, leg: Leg, amount: float, order: Order, tried: tuple[float, ...]) -> LegResult:
    """The order stays where it is (orders/resting.py watches it), unless something on the way made two of it."""
    if cancel_duplicates_of(client, leg, order):
        return finish_order(client, leg, amount, order, tried, "")
    result = leg_result(leg, amount, tried, order, 0.0, "resting", "")
    return result.model_copy(update={"order": order})


def _move_price(
    client: ExchangeClient, order: Order, prices: tuple[float, ...], quoted_at: datetime, config: AgentConfig
) -> tuple[Order, tuple[float, ...]]:
    """Let the order rest at each price in turn; the same order throughout, so it can never stand twice."""
    tried = prices[:1]
    for price in (*prices[1:], None):
        if not order.is_live or not _rested(client, config.run.order_wait_seconds) or price is None:
            break
        if not _may_still_move(client, quoted_at, config):
            break
        order, problem = move_order(client, order, price, quoted_at)
        if problem is not None:
            break  # filled meanwhile, refused or unknown: the cancel that follows finds out
        tried = (*tried, price)
    return order, tried


def move_order(client: ExchangeClient, order: Order, price: float, quoted_at: datetime) -> tuple[Order, str | None]:
    """The order at another price; as it was, and why, where the exchange did not do exactly that."""
    receipt = client.edit_order(order, price, quoted_at)
    if receipt.outcome != SendOutcome.ACCEPTED or receipt.order is None:
        return order, receipt.error or f"the edit was {receipt.outcome}"
    if not _is_moved(order, receipt.order, price):
        return order, "the answer to the edit is not what was asked for"
    return receipt.order, None


def _is_moved(order: Order, answer: Order, price: float) -> bool:
    """Whether an edit's answer is about the same order, changed in nothing but its price."""
    is_same = _identity(answer) == _identity(order)
    return is_same and answer.price_coin == price and _has_our_flags(answer, order.post_only is True)


def _identity(order: Order) -> tuple[str, str, str, str, float]:
    """What no edit of ours changes."""
    return order.order_id, order.label, order.symbol, order.direction, order.amount_coin


def _has_our_flags(order: Order, post_only: bool) -> bool:
    """Whether an order may take what it finds only where it was meant to, and only reduces where it buys.

    A flag of which the exchange says nothing (None) counts as so.
    """
    return order.post_only in (None, post_only) and order.reduce_only in (None, order.direction == "buy")


def _rested(client: ExchangeClient, seconds: float) -> bool:
    """Wait; False where the wait was cut short because the run is being stopped."""
    started = client.clock.monotonic()
    client.clock.sleep(seconds)
    return client.clock.monotonic() - started >= 0.5 * seconds


def _may_still_move(client: ExchangeClient, quoted_at: datetime, config: AgentConfig) -> bool:
    """What held when the order was sent must hold for every new price: a fresh quote, outside the settlement window."""
    now = client.server_now()
    return is_fresh(quoted_at, now, config.risk.max_quote_age_seconds) and settlement_problem(now) is None


def _echo_problem(request: OrderRequest, order: Order) -> str | None:
    """What the exchange accepted must be what was asked; it has been known to move prices."""
    asked = (request.symbol, request.direction, request.label, request.amount_coin, request.price_coin)
    accepted = (order.symbol, order.direction, order.label, order.amount_coin, order.price_coin)
    if asked != accepted:
        return f"accepted order differs: asked {asked}, got {accepted}"
    if _has_our_flags(order, request.post_only):
        return None
    return f"accepted order differs: it came back as post_only {order.post_only}, reduce_only {order.reduce_only}"


# --- results ------------------------------------------------------------------------------------------


def _not_sent(leg: Leg, amount: float, why: str) -> LegResult:
    return LegResult(
        label=leg.label,
        symbol=leg.symbol,
        direction=leg.direction,
        requested_coin=amount,
        status="not_sent",
        note=why,
    )


def _interrupted(results: list[LegResult], leg: Leg, amount: float, error: Exception) -> ExecutionResult:
    """What had been done when an error ended the process; the order of this leg may be live."""
    last = _not_sent(leg, amount, str(error)).model_copy(update={"status": "unknown"})
    legs = (*results, last)
    return ExecutionResult(status="unknown", legs=legs, note=_notes(list(legs)))


def _unplaced(leg: Leg, amount: float, tried: tuple[float, ...], receipt: OrderReceipt) -> LegResult:
    """Not sent, refused, or of unknown fate: then the order log remembers it and the coin waits."""
    statuses: dict[SendOutcome, LegStatus] = {SendOutcome.NOT_SENT: "not_sent", SendOutcome.REJECTED: "rejected"}
    status = statuses.get(receipt.outcome, "unknown")
    unsent = _not_sent(leg, amount, receipt.error or "")
    details = {"prices_tried_coin": () if status == "not_sent" else tried, "refusal_code": receipt.refusal_code}
    return unsent.model_copy(update={"status": status, **details})


def _overall(
    results: list[LegResult], action: ProposedAction
) -> Literal["none", "filled", "partly_filled", "not_filled", "resting", "rejected", "unknown"]:
    legs_wanted = 2 if action.type == ActionType.ROLL_COVERED_CALL else 1
    statuses = [result.status for result in results]
    if not statuses:
        return "none"
    for word in ("unknown", "resting"):
        if word in statuses:
            return word
    if len(statuses) == legs_wanted and all(status == "filled" for status in statuses):
        return "filled"
    if any(result.filled_coin > 0.0 for result in results):
        return "partly_filled"
    return "rejected" if statuses[-1] == "rejected" else "not_filled"


def _notes(results: list[LegResult]) -> str:
    return "; ".join(f"{result.direction} {result.symbol}: {result.note}" for result in results if result.note)
