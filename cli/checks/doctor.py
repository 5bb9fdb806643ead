"""The doctor (--check): everything a run needs, tried one by one, a line each, and what an iteration would do now.

In: a client that can look but not send, settings. Out: lines of 80 columns, and the exit code of the worst failure.
Asks Deribit (reads only) and writes a probe file; takes no lock, so that it can look at an agent that is running.
Only `check_order` has an order sent, by a trial that it was handed (--with-order).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from cli.assembly import ORDER_MODES
from cli.checks.would_do import would_do
from config import AgentConfig
from core.market_context import span_days
from core.pricing import short_call_initial_margin_coin
from core.settings.values import url_problem
from core.text import printable, wrapped
from deribit.history.closes import read_closes
from deribit_client import DeribitClient
from models import (
    AgentError,
    ConfigurationError,
    DeribitConnectionError,
    DeribitError,
    OrderTrialError,
    Underlying,
)
from orders.order_trial import OrderTrial

MARKETS_INSIDE = ("simulated", "recorded")  # no host stands behind them
FIRST_ASKED = "clock"
OUT_OF_REACH = -1  # exit code 1, where it is because the exchange did not answer at all
MAX_CLOCK_SKEW_SECONDS = 5.0
MARGIN_TOLERANCE = 0.02  # marks move between two requests
NEEDED_SCOPES = ("trade:read_write", "account:read")


class _Test(NamedTuple):
    """One line: its name, what it does, whether the exchange has to answer for it."""

    name: str
    run: Callable[[], str]
    asks_exchange: bool = True


def check(client: DeribitClient, config: AgentConfig, mode: str, say: Callable[[str], None]) -> int:
    """Try everything a run needs, a line each; 0 when all is well, else the exit code of the worst failure."""
    report = _Report(say)
    for test in _tests(client, config, mode):
        client.begin_iteration()  # each part has the requests of an iteration
        report.add(test)
    return max(report.codes)


def _tests(client: DeribitClient, config: AgentConfig, mode: str) -> list[_Test]:
    needs_key = mode in ORDER_MODES
    return [
        _Test("settings", lambda: "valid", asks_exchange=False),
        _Test("host", lambda: _check_host(config, mode), asks_exchange=False),
        _Test(FIRST_ASKED, lambda: _check_clock(client, config, mode)),
        _Test("key", lambda: _check_key(client, needs_key), asks_exchange=needs_key),
        _Test("scopes", lambda: _check_scopes(client, needs_key), asks_exchange=needs_key),
        _Test("status", lambda: _check_status(client)),
        _Test("account", lambda: _check_account(client, config)),
        _Test("open orders", lambda: f"{len(client.get_open_orders())} resting"),
        _Test("positions", lambda: f"{len(client.get_positions())} held"),
        _Test("instruments", lambda: _check_instruments(client, config)),
        _Test("index", lambda: _each_coin(config, lambda coin: f"{client.get_index_price(coin):,.2f} USD")),
        _Test("chain", lambda: _each_coin(config, lambda coin: _quoted(client, coin))),
        _Test("closes", lambda: _each_coin(config, lambda coin: _closes(client, config, mode, coin))),
        _Test("DVOL", lambda: _each_coin(config, lambda coin: _dvol(client, coin))),
        _Test("ledger", lambda: _each_coin(config, lambda coin: _ledger(client, coin))),
        _Test("margin", lambda: _each_coin(config, lambda coin: _compare_margin(client, coin))),
        _Test("disk", lambda: _check_disk(config), asks_exchange=False),
        _Test("kill file", lambda: _kill_places(client, config), asks_exchange=False),
        _Test("would do", lambda: would_do(client, config, mode)),
    ]


class _Report:
    """The lines so far. Where the exchange did not answer the first of them, the others do not ask it again."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._is_out_of_reach = False
        self.codes: list[int] = []

    def add(self, test: _Test) -> None:
        """Carry out one test and print its line."""
        if test.asks_exchange and self._is_out_of_reach:
            self._say(doctor_line("skip", test.name, f"not asked: the exchange does not answer (see {FIRST_ASKED})"))
            return
        word, text, code = _outcome(test.run)
        self._is_out_of_reach |= test.name == FIRST_ASKED and code == OUT_OF_REACH
        self.codes.append(abs(code))
        self._say(doctor_line(word, test.name, text))


def _outcome(run: Callable[[], str]) -> tuple[str, str, int]:
    """The word before a line, what it says, and its exit code."""
    try:
        return "ok", run(), 0
    except _DoubtError as doubt:
        return "warn", str(doubt), 0
    except DeribitConnectionError as error:
        return "FAIL", str(error), OUT_OF_REACH
    except AgentError as error:
        return "FAIL", str(error) or type(error).__name__, error.exit_code or 1
    except OSError as error:
        return "FAIL", f"{error.strerror}: {error.filename}", 2


def settings_failure(error: ConfigurationError) -> str:
    """The doctor's lines where the settings themselves are wrong."""
    return "\n".join(doctor_line("FAIL", "settings", line) for line in (str(error) or "refused").splitlines())


def check_order(trial: OrderTrial, is_stopped: Callable[[], bool], say: Callable[[str], None]) -> int:
    """Walk the test order through its life, a line a step, up to the first that fails; the exit code.

    Whatever ends it, a second Ctrl-C too, what may rest is taken back, or named.
    """
    code = 0
    try:
        for name, step in trial.steps:
            code = _try(name, _unless_stopped(step, is_stopped), say)
            if code != 0:
                break
    finally:
        if trial.has_sent:
            code = _try("left over", trial.take_back, say) or code
    return code


def _unless_stopped(step: Callable[[], str], is_stopped: Callable[[], bool]) -> Callable[[], str]:
    def step_or_end() -> str:
        if is_stopped():
            raise OrderTrialError("not tried: the check was stopped")
        return step()

    return step_or_end


def doctor_line(verdict: str, name: str, text: str) -> str:
    """One line of the doctor: ok, warn or FAIL, of what, and why."""
    return wrapped(f"{verdict:<5} {name:<12} {printable(text)}", " " * 19)


class _DoubtError(Exception):
    """Something to know that keeps no run from starting."""


def _try(name: str, run: Callable[[], str], say: Callable[[str], None]) -> int:
    """Carry out one step and print its line; the exit code."""
    word, text, code = _outcome(run)
    say(doctor_line(word, name, text))
    return abs(code)


def _kill_places(client: DeribitClient, config: AgentConfig) -> str:
    places = " or ".join(map(str, config.kill_files))
    return f"{places} ({'not there' if client.kill_note() is None else 'it is there: no order is sent'})"


def _check_host(config: AgentConfig, mode: str) -> str:
    if mode in MARKETS_INSIDE:
        return f"none is asked: the {mode} market is in this process"
    problem = url_problem(config.deribit.base_url)
    if problem is not None:
        raise DeribitError(problem)
    return f"{config.deribit.base_url} is allowed"


def _check_clock(client: DeribitClient, config: AgentConfig, mode: str) -> str:
    before = client.clock.now()
    try:
        exchange_now = client.get_time()
    except DeribitConnectionError as error:
        what_to_do = "start the exchange at that port" if config.is_loopback else "look at network, VPN and firewall"
        raise DeribitConnectionError(
            f"{error}. This says nothing about the key: {what_to_do}, then check again"
        ) from None
    if mode in MARKETS_INSIDE:
        return f"the {mode} market's own: {exchange_now:%Y-%m-%d %H:%M} UTC"
    skew_seconds = (exchange_now - before).total_seconds()
    if config.is_loopback:
        return f"this machine's own exchange, {skew_seconds:+.1f} s from its clock"
    if abs(skew_seconds) > MAX_CLOCK_SKEW_SECONDS:
        raise _DoubtError(f"this machine's clock is {skew_seconds:+.1f} s off the exchange's; set it by NTP")
    return f"within {abs(skew_seconds):.1f} s of the exchange"


def _check_key(client: DeribitClient, needs_key: bool) -> str:
    client.authenticate()
    return "accepted" if needs_key else "none needed: paper account"


def _check_scopes(client: DeribitClient, needs_key: bool) -> str:
    granted = client.granted_scope.split()
    missing = [scope for scope in NEEDED_SCOPES if scope not in granted and scope + "_write" not in granted]
    if not granted:
        raise DeribitError("not known: nothing was granted yet (see the line above)")
    if needs_key and missing:
        raise DeribitError(f"the key lacks {', '.join(missing)}: edit it at test.deribit.com, API management")
    return client.granted_scope


def _check_status(client: DeribitClient) -> str:
    locked = client.get_locked_status()
    if locked != "false":
        raise _DoubtError(f"the exchange says locked: {locked}; no order is accepted for now")
    return "open"


def _check_account(client: DeribitClient, config: AgentConfig) -> str:
    accounts = client.get_account_summaries()
    said = "; ".join(f"{a.currency} {a.equity_coin:g} equity, {a.margin_model}" for a in accounts)
    funded = {account.currency for account in accounts if account.coins_held > 0.0}
    empty = [coin for coin in config.enabled_underlyings if coin not in funded]
    if empty:
        how = "make a deposit in the wallet at test.deribit.com, test coins cost nothing"
        raise _DoubtError(f"{said}; no {' and no '.join(empty)} to sell calls on: {how}")
    return said


def _each_coin(config: AgentConfig, ask: Callable[[Underlying], str]) -> str:
    return "; ".join(f"{coin} {ask(coin)}" for coin in config.enabled_underlyings)


def _quoted(client: DeribitClient, coin: Underlying) -> str:
    """How many calls of the chain somebody quotes."""
    calls = {name for name, option in client.get_instruments(coin).by_symbol.items() if option.option_type == "call"}
    quotes = [quote for quote in client.get_book_summaries(coin).rows() if quote.symbol in calls]
    bids = {quote.symbol for quote in quotes if quote.bid_price_coin is not None}
    asks = {quote.symbol for quote in quotes if quote.ask_price_coin is not None}
    return f"{len(quotes)} calls: {len(bids)} with a bid, {len(asks)} with an ask, {len(bids & asks)} with both"


def _closes(client: DeribitClient, config: AgentConfig, mode: str, coin: Underlying) -> str:
    """Whose closes stand behind realised volatility, and how far back they reach."""
    closes = read_closes(client, coin, client.get_index_price(coin), config)
    bars, source = closes.bars, closes.source
    if len(bars) <= config.run.rv_min_returns:
        what_to_do = "give --candles" if mode == "recorded" else "without it no call is sold"
        needed = config.run.rv_min_returns + 1
        raise _DoubtError(f"{coin} {len(bars)} closes: realised volatility needs {needed}; {what_to_do}")
    said = f"{len(bars)} of the {source} over {span_days(bars):.1f} days"
    if source == "perpetual":
        raise _DoubtError(f"{coin} {said}, held against the index, whose own closes are not to be had")
    return said


def _dvol(client: DeribitClient, coin: Underlying) -> str:
    now = client.server_now()
    dvol = client.get_dvol(coin, now - timedelta(hours=6), now)
    return "unknown" if dvol is None else f"{100.0 * dvol:.1f} %"


def _ledger(client: DeribitClient, coin: Underlying) -> str:
    now = client.server_now()
    return f"{len(client.get_transaction_log(coin, now - timedelta(days=1), now))} entries in a day"


def _compare_margin(client: DeribitClient, coin: Underlying) -> str:
    """Our margin of one short call against the exchange's: its rules may change without a word."""
    index_usd, listed = client.get_index_price(coin), client.get_instruments(coin).by_symbol
    calls = [
        (listed[q.symbol], q.mark_price_coin) for q in client.get_book_summaries(coin).rows() if q.symbol in listed
    ]
    above = [(o, mark) for o, mark in calls if o.option_type == "call" and o.strike > index_usd and mark]
    if not above:
        return "not compared: no call above the index has a mark"
    option, mark_coin = min(above, key=lambda pair: (pair[0].strike, pair[0].expiry))
    amount_coin = option.min_trade_amount_coin
    theirs = client.get_margins(option.symbol, amount_coin, mark_coin or 0.0).sell_coin
    ours = amount_coin * short_call_initial_margin_coin(index_usd, option.strike, mark_coin or 0.0)
    if not abs(theirs - ours) <= MARGIN_TOLERANCE * ours:
        raise _DoubtError(f"{option.symbol}: the exchange asks {theirs:.6f}, our formula says {ours:.6f} {coin}")
    return f"{theirs:.6f} for {amount_coin:g} {option.symbol}, as our formula"


def _check_instruments(client: DeribitClient, config: AgentConfig) -> str:
    counts = [f"{coin} {len(client.get_instruments(coin))} options" for coin in config.enabled_underlyings]
    return ", ".join(counts)


def _check_disk(config: AgentConfig) -> str:
    for folder in (config.run.log_dir, config.run.data_dir):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-test-{os.getpid()}"
        probe.write_text("x")
        probe.unlink()
    return f"{config.run.log_dir} and {config.run.data_dir} can be written"
