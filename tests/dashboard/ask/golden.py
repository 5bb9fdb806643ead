"""A hundred questions, each with one fact of its answer and what is true of it.

A row: the question, the typed question it must lead to, the fact, and the truth about it. Names of calls in the
questions come from the log itself: `{call}` is its second call, `{rolled}` one that was rolled.
"""

# ruff: noqa: E501 - a table: a row a line
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.dashboard.ask.truth import Line, Truth


class Golden(NamedTuple):
    """One row."""

    question: str
    name: str
    fact: str
    true: Callable[[Truth], Any]


def last_of(truth: Truth, start: str, end: str) -> Line:
    return truth.between(start, end)[-1]


def _count(truth: Truth, start: str, end: str, action: str | None = None) -> int:
    return len([line for line in truth.between(start, end) if action in (None, line["action_type"])])


def _opened(truth: Truth, start: str, end: str) -> int:
    lines = [line["iteration"] for line in truth.between(start, end)]
    rows = truth.ledger[truth.ledger["line"].isin(lines)]
    return int((rows["side"] == "open sell").sum())


STATUS = [
    ("How do things stand?", "equity_btc", lambda t: t.last["equity_btc"]),
    ("What do I hold?", "equity_eth", lambda t: t.last["equity_eth"]),
    ("status", "value", lambda t: t.last["agent_state"]["portfolio"]["value_usd"]),
    ("How much of my BTC is covered?", "sold_btc", lambda t: t.risk("BTC", t.last)["short_calls_coin"]),
    ("how much ETH is free", "coins_eth", lambda t: t.risk("ETH", t.last)["coins_held"]),
    ("is it active or halted?", "trading_state", lambda t: t.last["trading_state"]),
    ("What is my equity worth in total?", "spot_btc", lambda t: t.last["spot_btc"]),
    ("status of ether", "spot_eth", lambda t: t.last["spot_eth"]),
    ("How did things stand on 10 January?", "equity_btc", lambda t: last_of(t, "2026-01-10", "2026-01-11")["equity_btc"]),
    ("status on 2026-01-20", "equity_eth", lambda t: last_of(t, "2026-01-20", "2026-01-21")["equity_eth"]),
    ("Coverage of BTC on January 15", "covered_btc", lambda t: _covered(t, "BTC", "2026-01-15", "2026-01-16")),
    ("what was my balance yesterday", "equity_btc", lambda t: _yesterday(t)["equity_btc"]),
]  # fmt: skip


def _covered(truth: Truth, coin: str, start: str, end: str) -> float:
    risk = truth.risk(coin, last_of(truth, start, end))
    return float(100.0 * (risk["short_calls_coin"] + risk["resting_sells_coin"]) / risk["coins_held"])


def _yesterday(truth: Truth) -> Line:
    today = truth.at[-1].normalize()
    lines = [line for line, at in zip(truth.lines, truth.at, strict=True) if at < today]
    return lines[-1]


CHANGED = [
    ("What changed?", "lines", lambda t: len(t.lines)),
    ("What changed in January?", "equity_change_btc", lambda t: t.equity_change("btc", t.between("2026-01-01", "2026-02-01"))),
    ("what happened in february 2026", "equity_change_eth", lambda t: t.equity_change("eth", t.between("2026-02-01", "2026-03-01"))),
    ("What is new on 12 January?", "opened", lambda t: _opened(t, "2026-01-12", "2026-01-13")),
    ("what happened on 2026-01-21", "opened", lambda t: _opened(t, "2026-01-21", "2026-01-22")),
    ("How many calls were sold?", "opened", lambda t: _opened(t, "2026-01-01", "2027-01-01")),
    ("how many sales on 5 January?", "opened", lambda t: _opened(t, "2026-01-05", "2026-01-06")),  # its last line sells
    ("what changed from 10 January to 20 January", "lines", lambda t: _count(t, "2026-01-10", "2026-01-21")),
    ("what changed between 2026-01-10 and 2026-01-12", "opened", lambda t: _opened(t, "2026-01-10", "2026-01-13")),
    ("Catch me up: January", "spot_change_btc", lambda t: _moved(t, "btc", "2026-01-01", "2026-02-01")),
    ("what changed in ETH in Feb", "spot_change_eth", lambda t: _moved(t, "eth", "2026-02-01", "2026-03-01")),
    ("what changed this month", "errors", lambda t: 0),
]  # fmt: skip


def _moved(truth: Truth, coin: str, start: str, end: str) -> float:
    lines = truth.between(start, end)
    return float(100.0 * (lines[-1][f"spot_{coin}"] / lines[0][f"spot_{coin}"] - 1.0))


WHY = [
    ("Why line 1?", "action", lambda t: f"OPEN_COVERED_CALL {t.lines[0]['symbol']}"),
    ("why iteration 2", "reason", lambda t: t.lines[1]["proposed_action"]["reason"]),
    ("explain #13", "reason", lambda t: t.lines[12]["proposed_action"]["reason"]),
    ("What is the reason of line 20?", "reason", lambda t: t.lines[19]["proposed_action"]["reason"]),
    ("why simulated-0001 iteration 5", "reason", lambda t: t.lines[4]["proposed_action"]["reason"]),
    ("Why did you roll {rolled}?", "reason", lambda t: _last_about(t, _rolled(t))),
    ("why {call}", "reason", lambda t: _last_about(t, t.lines[1]["symbol"])),
    ("why line 1", "executed", lambda t: t.lines[0]["executed_status"]),
    ("reason of iteration 1", "size", lambda t: t.lines[0]["size"]),
    ("explain line 1", "probability_1", lambda t: 100.0 * max(c["probability"] for c in _choices(t.lines[0]))),
    ("explain iteration 2", "score_1", lambda t: max(_choices(t.lines[1]), key=lambda c: c["probability"])["score"]),
    ("What did it decide on 9 January?", "at", lambda t: last_of(t, "2026-01-09", "2026-01-10")["timestamp"]),
]  # fmt: skip


def _choices(line: Line) -> list[Line]:
    found: list[Line] = line["proposed_action"]["choices"]
    return found


def _rolled(truth: Truth) -> str:
    return str(next(line["symbol"] for line in truth.lines if line["action_type"] == "ROLL_COVERED_CALL"))


def _last_about(truth: Truth, symbol: str) -> str:
    about = [
        line["proposed_action"]["reason"]
        for line in truth.lines
        if line["action_type"] != "DO_NOTHING" and symbol in f"{line['symbol']} {line['proposed_action']['reason']}"
    ]
    return str(about[-1])


NOTHING = [
    ("Why was nothing done?", "nothing", lambda t: _count(t, "2026-01-01", "2026-03-01", "DO_NOTHING")),
    ("why nothing in January", "nothing", lambda t: _count(t, "2026-01-01", "2026-02-01", "DO_NOTHING")),
    ("why no trade on 2026-01-07?", "nothing", lambda t: _count(t, "2026-01-07", "2026-01-08", "DO_NOTHING")),
    ("Why is it idle in February?", "lines", lambda t: _count(t, "2026-02-01", "2026-03-01")),
    ("why not on 10 January", "lines", lambda t: _count(t, "2026-01-10", "2026-01-11")),
    ("why did it do nothing for ETH on January 7th", "reason_1", lambda t: _clause(t, "ETH", "2026-01-07", "2026-01-08")),
    ("why did it do nothing for BTC on January 7th", "reason_1", lambda t: _clause(t, "BTC", "2026-01-07", "2026-01-08")),
    ("why nothing on 2026-01-10", "failed", lambda t: 0),
]  # fmt: skip


def _clause(truth: Truth, coin: str, start: str, end: str) -> str:
    """The last reason about a coin of a day with one kind of reason."""
    reason = last_of(truth, start, end)["proposed_action"]["reason"]
    return next(clause for clause in str(reason).split("; ") if coin in clause)


ERRORS = [
    ("What went wrong?", "errors", lambda t: len([1 for line in t.lines if line["error"]])),
    ("any errors in January?", "lines", lambda t: _count(t, "2026-01-01", "2026-02-01")),
    ("How many actions were blocked?", "blocked", lambda t: len([1 for line in t.lines if not line["allowed"]])),
    ("errors on 2026-02-02", "lines", lambda t: _count(t, "2026-02-02", "2026-02-03")),
    ("Are there orders of unknown outcome?", "unknown", lambda t: 0),
]  # fmt: skip


def _net(coin: str, start: str, end: str) -> Callable[[Truth], float]:
    """No coin was moved in or out, so all that was earned is the change of the equity."""
    return lambda truth: truth.equity_change(coin, truth.between(start, end))


def _sum_of(what: str, coin: str, start: str = "2026-01-01", end: str = "2026-03-01") -> Callable[[Truth], float]:
    def found(truth: Truth) -> float:
        lines = truth.between(start, end)
        first, last = lines[0]["iteration"], lines[-1]["iteration"]
        return truth.fees(coin, first, last) if what == "fee" else truth.booked(coin, what, first, last)

    return found


EARNED = [
    ("What did it earn against holding?", "btc_net_coin", _net("btc", "2026-01-01", "2026-03-01")),
    ("How much profit did I make?", "eth_net_coin", _net("eth", "2026-01-01", "2026-03-01")),
    ("what did it earn in January", "btc_net_coin", _net("btc", "2026-01-01", "2026-02-01")),
    ("income of ETH in February 2026", "eth_net_coin", _net("eth", "2026-02-01", "2026-03-01")),
    ("How much premium did BTC bring?", "btc_premium_coin", _sum_of("sell", "BTC")),
    ("premium of ether in january", "eth_premium_coin", _sum_of("sell", "ETH", "2026-01-01", "2026-02-01")),
    ("what did the buy-backs cost in BTC", "btc_bought_back_coin", _sum_of("buy", "BTC")),
    ("buy-backs of eth in Feb 2026", "eth_bought_back_coin", _sum_of("buy", "ETH", "2026-02-01", "2026-03-01")),
    ("How many fees were paid?", "btc_fees_coin", _sum_of("fee", "BTC")),
    ("fees on ETH", "eth_fees_coin", _sum_of("fee", "ETH")),
    ("fees in January", "eth_fees_coin", _sum_of("fee", "ETH", "2026-01-01", "2026-02-01")),
    ("gain on 2026-01-21", "btc_net_coin", _net("btc", "2026-01-21", "2026-01-22")),
    ("Did I lose money between 2026-01-20 and 2026-01-25?", "btc_net_coin", _net("btc", "2026-01-20", "2026-01-26")),
    ("pnl last month", "eth_net_coin", _net("eth", "2026-01-01", "2026-02-01")),
    ("return of bitcoin this year", "btc_net_coin", _net("btc", "2026-01-01", "2026-03-01")),
    ("What did it earn? In USD.", "net_usd", lambda t: sum(_net(c, "2026-01-01", "2026-03-01")(t) * t.last[f"spot_{c}"] for c in ("btc", "eth"))),
    ("What was paid for deliveries of BTC?", "btc_moved_coin", lambda t: 0.0),
]  # fmt: skip


def _monthly(what: str, coin: str, start: str, end: str) -> Callable[[Truth], float]:
    """A month ends with the first line of the next."""

    def found(truth: Truth) -> float:
        lines = truth.between(start, end)
        first = lines[0]["iteration"]
        last = min(lines[-1]["iteration"] + 1, truth.last["iteration"])
        if what == "net":
            return truth.equity_change(coin.lower(), [truth.lines[first - 1], truth.lines[last - 1]])
        return truth.fees(coin, first, last) if what == "fee" else truth.booked(coin, what, first, last)

    return found


JANUARY, FEBRUARY = ("2026-01-01", "2026-02-01"), ("2026-02-01", "2026-03-01")
MONTHLY = [
    ("What came in, month by month?", "btc_2026_01_net_coin", _monthly("net", "BTC", *JANUARY)),
    ("income by month", "eth_2026_01_net_coin", _monthly("net", "ETH", *JANUARY)),
    ("monthly profit", "btc_2026_02_net_coin", _monthly("net", "BTC", *FEBRUARY)),
    ("premium per month", "btc_2026_01_premium_coin", _monthly("sell", "BTC", *JANUARY)),
    ("premium per month of ETH", "eth_2026_02_premium_coin", _monthly("sell", "ETH", *FEBRUARY)),
    ("fees each month", "eth_2026_01_fees_coin", _monthly("fee", "ETH", *JANUARY)),
    ("buy-backs by month", "eth_2026_01_bought_back_coin", _monthly("buy", "ETH", *JANUARY)),
    ("income by month for BTC", "btc_2026_02_fees_coin", _monthly("fee", "BTC", *FEBRUARY)),
]  # fmt: skip

CHAIN = [
    ("What became of {call}?", "legs", lambda t: len(t.chain_of(t.lines[1]["symbol"]))),
    ("chain of {rolled}", "rolls", lambda t: len(t.chain_of(_rolled(t))) - 1),
    ("{call}", "leg_1_symbol", lambda t: t.chain_of(t.lines[1]["symbol"])[0]),
    ("What happened to {rolled}?", "leg_1_pnl_coin", lambda t: t.results()[t.chain_of(_rolled(t))[0]]),
    ("history of {call}", "leg_2_pnl_coin", lambda t: t.results()[t.chain_of(t.lines[1]["symbol"])[1]]),
    ("how did {rolled} end", "pnl_coin", lambda t: sum(t.results()[name] for name in t.chain_of(_rolled(t)))),
    ("which calls was {call} rolled to", "leg_2_symbol", lambda t: t.chain_of(t.lines[1]["symbol"])[1]),
    ("chain of {call}", "opened_at", lambda t: t.lines[1]["ledger"][0]["booked_at"]),
]  # fmt: skip

WORST = [
    ("Which calls were the worst?", "call_1_symbol", lambda t: t.results_usd().index[0]),
    ("worst call", "call_1_pnl_usd", lambda t: t.results_usd().iloc[0]),
    ("worst 5 calls", "call_5_pnl_usd", lambda t: t.results_usd().iloc[4]),
    ("the worst BTC calls", "call_2_symbol", lambda t: t.results_usd("BTC").index[1]),
    ("worst calls of ETH", "call_1_pnl_coin", lambda t: t.results()[t.results_usd("ETH").index[0]]),
    ("best calls", "call_1_pnl_usd", lambda t: t.results_usd().iloc[-1]),
    ("the best trade in ether", "call_1_symbol", lambda t: t.results_usd("ETH").index[-1]),
]  # fmt: skip

FUNNEL = [
    ("Which filter turns options away?", "delta_btc", lambda t: t.funnel("BTC", t.last)["delta"]),
    ("funnel", "listed_eth", lambda t: t.funnel("ETH", t.last)["listed"]),
    ("How many options passed the filters for BTC?", "passed_btc", lambda t: t.funnel("BTC", t.last)["passed"]),
    ("which filter rejects most on 12 January", "dte_eth", lambda t: t.funnel("ETH", last_of(t, "2026-01-12", "2026-01-13"))["dte"]),
    ("funnel of ETH on 2026-01-30", "in_the_money_eth", lambda t: t.funnel("ETH", last_of(t, "2026-01-30", "2026-01-31"))["in_the_money"]),
    ("how many calls were rejected on 2026-02-03", "listed_btc", lambda t: t.funnel("BTC", last_of(t, "2026-02-03", "2026-02-04"))["listed"]),
]  # fmt: skip

MISSES = [
    ("What nearly passed?", "miss_1", lambda t: t.last["agent_state"]["near_misses"][0]["symbol"]),
    ("near misses of ETH", "miss_1_premium", lambda t: t.misses("ETH", t.last)[0]["premium_usd"]),
    ("which BTC calls almost passed", "miss_1_change", lambda t: t.misses("BTC", t.last)[0]["change"]),
    ("near misses on 2026-01-18", "miss_1_value", lambda t: last_of(t, "2026-01-18", "2026-01-19")["agent_state"]["near_misses"][0]["value"]),
]  # fmt: skip


def _admitted(truth: Truth, limit: float) -> int:
    misses = [one for coin in ("BTC", "ETH") for one in truth.misses(coin, truth.last)]
    return len([1 for one in misses if one["rule"] == "delta" and one["limit"] < one["value"] <= limit])


def _kept(truth: Truth, figure: str, limit: float, coin: str | None = None) -> int:
    calls = truth.last["agent_state"]["candidates"]
    return len([1 for one in calls if one[figure] >= limit and coin in (None, one["underlying"])])


WHAT_IF = [
    ("What if delta_max were 0.35?", "admitted", lambda t: _admitted(t, 0.35)),
    ("what if DELTA_MIN was 0.2", "kept", lambda t: _kept(t, "delta", 0.2)),
    ("What if premium_min_usd were 500 for BTC?", "kept", lambda t: _kept(t, "premium_usd", 500.0, "BTC")),
]  # fmt: skip

NAMED = {
    **{"status": STATUS, "what_changed": CHANGED, "why_line": WHY, "why_nothing": NOTHING, "errors": ERRORS},
    **{"earned": EARNED, "income_by_month": MONTHLY, "chain_of_call": CHAIN, "worst_calls": WORST},
    **{"funnel": FUNNEL, "near_misses": MISSES, "what_if": WHAT_IF},
}
GOLDEN = [Golden(text, name, fact, true) for name, rows in NAMED.items() for text, fact, true in rows]


def worded(row: Golden, truth: Truth) -> str:
    """With the names of calls put in."""
    return row.question.replace("{call}", truth.lines[1]["symbol"]).replace("{rolled}", _rolled(truth))
