"""A short trace made by hand, in which everything is as it should be, and the pieces to make one that is not.

The story: BTC at 100,000 USD, one life, an iteration every 300 s. The first sells 0.3 calls, the third rolls them, the
others only look. Prices in coin, amounts in coin. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from paper_exchange.account.ledger import EventKind, LedgerEvent
from tests.campaign.world.trace import LedgerPoint, Life, Trace, WireCall, is_own_label

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
EXPIRY = datetime(2026, 1, 16, 8, 0, tzinfo=UTC)
CALL, NEXT_CALL = "BTC-16JAN26-100000-C", "BTC-16JAN26-110000-C"
SECRET = "kX9vQ2mT7wLpZ4"
LATENCY_SECONDS, INTERVAL_SECONDS = 0.05, 300.0
SCOPE = "session:covered-call trade:read_write account:read wallet:none"
URL = "https://test.deribit.com/api/v2/"


class Story:
    """Writes a trace as the world would, one act after the other. Everything in it can be bent by a test."""

    def __init__(self, folder: Path) -> None:
        self.trace = Trace(seed=(0, 0), folder=folder, schedule=None)
        self.now, self.iteration = START, 0
        self.balance_btc = 1.0
        self.positions: dict[str, float] = {}
        self.resting: dict[str, tuple[str, str, float]] = {}  # by label: symbol, direction, amount
        self.sent: dict[str, dict[str, Any]] = {}  # by label, as a leg has it
        self.legs: list[dict[str, Any]] = []
        self.entries: list[dict[str, Any]] = []
        self.begin_life()

    # --- lives and iterations ------------------------------------------------------------

    def begin_life(self, resumed: bool = False) -> None:
        number = len(self.trace.lives) + 1
        self.trace.lives.append(Life(number, self.now, run_id=f"testnet-{number}", resumed=resumed))
        self.iteration = 0
        token = {"access_token": "token-5bY8nR3cJ6", "refresh_token": "again-H4sD9fK1gM", "scope": SCOPE}
        key = {"client_id": "id-Uj3Lw8", "client_secret": SECRET}
        self.call("public/auth", key | {"scope": SCOPE}, token)

    def end_life(self, end: str = "end", exit_code: int | None = None, error: str | None = None) -> None:
        life = self.trace.lives[-1]
        life.ended_at, life.end, life.exit_code, life.error = self.now, end, exit_code, error
        self.now += timedelta(seconds=10)

    def look(self) -> None:
        """Begin an iteration: everything a state is made of."""
        self.iteration += 1
        self.legs, self.entries = [], []
        if self.trace.healthy_since is None:
            self.trace.healthy_since = (1, 1)
        self.call("private/get_open_orders", {"kind": "option"}, self._order_rows())
        self.call("private/get_positions", {"currency": "any"}, self._position_rows())
        self.call("private/get_account_summaries", {"extended": False}, {"summaries": [self._account()]})
        self.call("public/get_index_price", {"index_name": "btc_usd"}, {"index_price": 100_000.0})
        self.call("public/get_book_summary_by_currency", {"currency": "BTC", "kind": "option"}, [])
        self.state = self._state()

    def look_again(self) -> None:
        """What is read for the room of a sale."""
        self.call("private/get_open_orders", {"kind": "option"}, self._order_rows())
        self.call("private/get_positions", {"currency": "any"}, self._position_rows())
        self.call("private/get_account_summary", {"currency": "BTC"}, self._account())

    def rest(self, **record: Any) -> None:
        """End the iteration with its line, and sleep."""
        line: dict[str, Any] = {
            "run_id": self.trace.lives[-1].run_id,
            "iteration": self.iteration,
            "error": None,
            "allowed": True,
            "trading_state": "ACTIVE",
            "breaker": {"state": "ACTIVE"},
            "agent_state": self.state,
            "proposed_action": self._action(),
            "risk_engine_result": {"reasons": []},
            "executed_action": {"legs": self.legs},
            "ledger": self.entries,
            "ledger_read_until": self.now.isoformat(),
        }
        self.trace.decisions.append(line | record)
        self.trace.sleeps_seconds.append(INTERVAL_SECONDS)
        self.now += timedelta(seconds=INTERVAL_SECONDS)

    def quiet(self, iterations: int = 1, **record: Any) -> None:
        for _ in range(iterations):
            self.look()
            self.rest(**record)

    # --- requests ---------------------------------------------------------------------------

    def call(self, method: str, params: Mapping[str, Any], result: Any = None, **bent: Any) -> WireCall:
        """One request and its answer; what is bent afterwards is what the agent was given instead."""
        number = len(self.trace.calls) + 1
        reply = {"jsonrpc": "2.0", "id": number, "result": result, "testnet": True}
        call = WireCall(
            number=number,
            life=len(self.trace.lives),
            iteration=self.iteration,
            sent_at=self.now,
            url=URL + method,
            method=method,
            params=dict(params),
            request_id=number,
            headers={},
            arrived_at=[self.now],
            answered=reply,
            heard=json.dumps(reply).encode(),
            heard_status=200,
        )
        for name, value in bent.items():
            setattr(call, name, value)
        self.trace.calls.append(call)
        self.now += timedelta(seconds=LATENCY_SECONDS)
        return call

    def refused(self, call: WireCall, code: int) -> None:
        """Make a call's answer an error."""
        error = {"code": code, "message": "made_up"}
        reply = {"jsonrpc": "2.0", "id": call.request_id, "error": error, "testnet": True}
        call.heard = json.dumps(reply).encode()
        call.heard_status = 400

    def look_at(self, symbol: str, **ticker: Any) -> None:
        """What is read just before an order."""
        option = {
            "instrument_name": symbol,
            "kind": "option",
            "option_type": "call",
            "is_active": True,
            "state": "open",
            "tick_size": 0.0001,
            "tick_size_steps": [{"above_price": 0.005, "tick_size": 0.0005}],
            "expiration_timestamp": int(EXPIRY.timestamp() * 1000),
        }
        quote = {
            "instrument_name": symbol,
            "timestamp": int(self.now.timestamp() * 1000),
            "state": "open",
            "mark_price": 0.02,
            "best_bid_price": 0.02,
            "best_ask_price": 0.021,
        }
        instrument = {name: ticker.pop(name) for name in list(ticker) if name in option and name != "state"}
        self.call("public/get_instrument", {"instrument_name": symbol}, option | instrument)
        self.call("public/ticker", {"instrument_name": symbol}, quote | ticker)
        self.call("public/status", {}, {"locked": "false"})

    def send(self, direction: str, symbol: str, amount: float, label: str, price: float = 0.02) -> WireCall:
        """An order, logged first, accepted, and answered."""
        lapses_at_ms = int((self.now + timedelta(seconds=10)).timestamp() * 1000)
        params = {
            "instrument_name": symbol,
            "amount": amount,
            "type": "limit",
            "price": price,
            "label": label,
            "reduce_only": direction == "buy",
            "valid_until": lapses_at_ms,
        }
        intent = {"label": label, "symbol": symbol, "direction": direction, "amount_coin": amount, "price_coin": price}
        self.log("intent", **intent, valid_until=lapses_at_ms)
        order = {name: params[name] for name in ("instrument_name", "amount", "price", "label")}
        call = self.call(f"private/{direction}", params, {"order": order | {"order_id": label, "order_state": "open"}})
        self.resting[label] = (symbol, direction, amount)
        self.sent[label] = {"label": label, "symbol": symbol, "direction": direction, "requested_coin": amount}
        self.point("accepted", symbol, direction, amount, label, call)
        return call

    def traded(self, label: str) -> None:
        """A resting order fills whole."""
        symbol, direction, amount = self.resting.pop(label)
        sign = 1 if direction == "buy" else -1
        self.positions[symbol] = round(self.positions.get(symbol, 0.0) + sign * amount, 8)
        self.balance_btc -= sign * amount * 0.02
        self.point("fill", symbol, direction, amount, label, self.trace.calls[-1])
        self.leg(label, amount)
        self.entries.append(
            {
                "currency": "BTC",
                "entry_type": "trade",
                "symbol": symbol,
                "booked_at": self.now.isoformat(),
                "side": f"open {direction}",
                "amount_coin": amount,
                "change_coin": -sign * amount * 0.02,
                "balance_coin": self.balance_btc,
            }
        )

    def leg(self, label: str, filled_coin: float) -> None:
        """An order is a leg of what this iteration does."""
        self.legs.append({**self.sent[label], "filled_coin": filled_coin})

    def ended(self, label: str, outcome: str = "accepted") -> None:
        self.log("outcome", label=label, outcome=outcome)

    def trade(self, direction: str, symbol: str, amount: float, label: str) -> WireCall:
        """A whole undisturbed order: look, send, fill, log."""
        self.look_at(symbol)
        if direction == "sell":
            self.look_again()
        call = self.send(direction, symbol, amount, label)
        self.traded(label)
        self.ended(label)
        return call

    # --- files and ledger -----------------------------------------------------------------------

    def log(self, event: str, **values: Any) -> None:
        self.trace.order_lines.append({"run_id": self.trace.lives[-1].run_id, "event": event, **values})

    def point(
        self, kind: EventKind, symbol: str, direction: str, amount: float, label: str, call: WireCall, **bent: Any
    ) -> None:
        """One event of the exchange's ledger and the account after it."""
        order_id = None if kind == "settlement" else label or f"foreign-{len(self.trace.points)}"
        event = LedgerEvent(
            self.now, kind, "BTC", symbol, order_id, label, direction, amount, 0.02, 0.0, self.balance_btc
        )
        sells = [amount for _, way, amount in self.resting.values() if way == "sell"]
        values: dict[str, Any] = {
            "event": event,
            "life": call.life,
            "iteration": call.iteration,
            "call_number": call.number,
            "rows": frozenset(call.rows),
            "coins_held": {"BTC": self.balance_btc, "ETH": 10.0},
            "short_calls": {"BTC": sum(-size for size in self.positions.values() if size < 0.0)},
            "resting_sells": {"BTC": sum(sells)},
            "own_live_labels": {"BTC": tuple(label for label in self.resting if is_own_label(label))},
            "positions": dict(self.positions),
            "intent_on_disk": True if kind == "accepted" and is_own_label(label) else None,
        }
        self.trace.points.append(LedgerPoint(**(values | bent)))

    def _action(self) -> dict[str, Any]:
        """What the legs belong to."""
        bought, sold = ([leg["symbol"] for leg in self.legs if leg["direction"] == way] for way in ("buy", "sell"))
        selling = "ROLL_COVERED_CALL" if bought else "OPEN_COVERED_CALL"
        buying = "CLOSE_COVERED_CALL" if bought else "DO_NOTHING"
        return {
            "type": selling if sold else buying,
            "symbol": next(iter(bought + sold), None),
            "new_symbol": sold[0] if bought and sold else None,
            "size": max((leg["requested_coin"] for leg in self.legs), default=0.0),
            "reason": "a story",
        }

    def _order_rows(self) -> list[dict[str, Any]]:
        rows = self.resting.items()
        return [{"order_id": label, "label": label, "instrument_name": symbol} for label, (symbol, _, _) in rows]

    def _position_rows(self) -> list[dict[str, Any]]:
        return [{"instrument_name": symbol, "size": size} for symbol, size in self.positions.items()]

    def _account(self) -> dict[str, Any]:
        return {"currency": "BTC", "balance": self.balance_btc, "equity": self.balance_btc, "options_value": 0.0}

    def _state(self) -> dict[str, Any]:
        at = self.now.isoformat()
        quote = {"quoted_at": at, "bid_price_coin": 0.02, "ask_price_coin": 0.021}
        held = [{"symbol": symbol} for symbol, size in self.positions.items() if size]
        orders = [{"order_id": label} for label in self.resting]
        return {
            "timestamp": at,
            "candidates": [{"symbol": symbol, **quote} for symbol in (CALL, NEXT_CALL)],
            "portfolio": {"positions": held, "other_positions": [], "open_orders": orders},
        }


def label_of(number: int, leg: str) -> str:
    """A label as the agent makes them."""
    return f"cc-2601051200{number:02d}-abcdef-{leg}"


def clean_story(folder: Path) -> Story:
    """Eight iterations in which nothing is wrong: a sale, a roll, and looking on."""
    story = Story(folder)
    story.look()
    story.trade("sell", CALL, 0.3, label_of(1, "sell"))
    story.rest()
    story.quiet()
    story.look()
    story.trade("buy", CALL, 0.3, label_of(3, "buy"))
    story.trade("sell", NEXT_CALL, 0.3, label_of(3, "sell"))
    story.rest()
    story.quiet(5)
    return story
