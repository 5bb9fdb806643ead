"""The doctor (--check): everything a run needs, tried one by one, a line each.

In: a client that can look but not send an order, settings. Out: lines, and the exit code of the worst failure.
Asks Deribit (reads only) and writes a probe file; takes no lock, so that it can look at an agent that is running.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from config import AgentConfig
from core.settings.values import url_problem
from core.text import printable
from deribit_client import DeribitClient
from models import AgentError, ConfigurationError, DeribitError

MAX_CLOCK_SKEW_SECONDS = 5.0
NEEDED_SCOPES = ("trade:read_write", "account:read")


def check(client: DeribitClient, config: AgentConfig, needs_key: bool, say: Callable[[str], None]) -> int:
    """Try everything a run needs, a line each; 0 when all is well, else the exit code of the worst failure."""
    tests: list[tuple[str, Callable[[], str]]] = [
        ("settings", lambda: "valid"),
        ("host", lambda: _check_host(config)),
        ("clock", lambda: _check_clock(client, config)),
        ("key", lambda: _check_key(client, needs_key)),
        ("scopes", lambda: _check_scopes(client, needs_key)),
        ("account", lambda: _check_account(client)),
        ("instruments", lambda: _check_instruments(client, config)),
        ("disk", lambda: _check_disk(config)),
        ("kill file", lambda: _kill_places(client, config)),
    ]
    return max(_try(name, test, say) for name, test in tests)


def settings_failure(error: ConfigurationError) -> str:
    """The doctor's lines where the settings themselves are wrong."""
    return "\n".join(f"FAIL  {'settings':<12} {printable(line)}" for line in (str(error) or "refused").splitlines())


def _try(name: str, test: Callable[[], str], say: Callable[[str], None]) -> int:
    try:
        say(f"ok    {name:<12} {printable(test())}")
    except AgentError as error:
        say(f"FAIL  {name:<12} {printable(str(error) or type(error).__name__)}")
        return error.exit_code or 1
    except OSError as error:
        say(f"FAIL  {name:<12} {error.strerror}: {error.filename}")
        return 2
    return 0


def _kill_places(client: DeribitClient, config: AgentConfig) -> str:
    places = " or ".join(map(str, config.kill_files))
    return f"{places} ({'not there' if client.kill_note() is None else 'it is there: no order is sent'})"


def _check_host(config: AgentConfig) -> str:
    problem = url_problem(config.deribit.base_url)
    if problem is not None:
        raise DeribitError(problem)
    return f"{config.deribit.base_url} is allowed"


def _check_clock(client: DeribitClient, config: AgentConfig) -> str:
    before = client.clock.now()
    skew_seconds = (client.get_time() - before).total_seconds()
    if config.is_loopback:
        return f"this machine's own exchange, {skew_seconds:+.1f} s from its clock"
    if abs(skew_seconds) > MAX_CLOCK_SKEW_SECONDS:
        raise DeribitError(f"this machine's clock is {skew_seconds:+.1f} s off the exchange's; set it by NTP")
    return f"within {abs(skew_seconds):.1f} s of the exchange"


def _check_key(client: DeribitClient, needs_key: bool) -> str:
    client.authenticate()
    return "accepted" if needs_key else "none needed: paper account"


def _check_scopes(client: DeribitClient, needs_key: bool) -> str:
    granted = client.granted_scope.split()
    missing = [scope for scope in NEEDED_SCOPES if scope not in granted and scope + "_write" not in granted]
    if not granted:
        raise DeribitError("not known, because the key was not accepted")
    if needs_key and missing:
        raise DeribitError(f"the key lacks {', '.join(missing)}: edit it at test.deribit.com, API management")
    return client.granted_scope


def _check_account(client: DeribitClient) -> str:
    accounts = client.get_account_summaries()
    return "; ".join(f"{a.currency} {a.equity_coin:g} equity, {a.margin_model}" for a in accounts)


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
