"""How a log does, as figures for a monitor. Reads the log through its index, changes nothing.

In: a log index, the time, what the notifier wrote down. Out: Health, and the same as Prometheus's text format. Ages in
seconds; amounts in coin, values in USD. What is not known has no line: never 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from dashboard.ask.log_view import LogView, view_of
from dashboard.log_index.index import LogIndex
from dashboard.log_index.line import Line
from dashboard.settings import DEFAULT_INTERVAL_SECONDS
from models import AgentState, TradingState

REAL_TIME_MODES = ("testnet", "dry_run", "loopback")
NOTIFIER_STATE = Path("notify") / "state.json"


@dataclass(frozen=True)
class Health:
    """`status`: ok, stale (no line for two intervals), not active, ended (a finished run), or empty."""

    status: str
    account: str | None = None
    run_id: str | None = None
    mode: str | None = None
    trading_state: str | None = None
    last_line_at: str | None = None
    age_seconds: float | None = None
    interval_seconds: float | None = None
    lines: int = 0
    errors: int = 0
    index_done: bool = False
    notices: tuple[str, ...] = ()
    notify: tuple[dict[str, Any], ...] = ()

    @property
    def is_well(self) -> bool:
        return self.status in ("ok", "ended")

    def as_json(self) -> str:
        return json.dumps(asdict(self))


def health_of(index: LogIndex, now: datetime, data_dir: Path) -> Health:
    """Of the account with the newest line."""
    channels = notifier_channels(data_dir)
    view = view_of(index)
    line = None if view is None else index.newest(view.account)
    if view is None or line is None:
        return Health("empty", index_done=index.progress.is_done, notices=tuple(index.notices()), notify=channels)
    interval_seconds = index.interval_seconds(view.account) or DEFAULT_INTERVAL_SECONDS
    age_seconds = (now - line.at).total_seconds()
    counts = index.counts(view.account)
    return Health(
        status=_status(line, age_seconds, interval_seconds),
        account=view.account,
        run_id=line.run_id,
        mode=line.mode,
        trading_state=str(line.trading_state),
        last_line_at=line.at.isoformat(),
        age_seconds=age_seconds,
        interval_seconds=interval_seconds,
        lines=counts["lines"],
        errors=counts["errors"],
        index_done=index.progress.is_done,
        notices=tuple(index.notices()),
        notify=channels,
    )


def _status(line: Line, age_seconds: float, interval_seconds: float) -> str:
    if line.mode not in REAL_TIME_MODES:
        return "ended"
    if age_seconds > 2.0 * interval_seconds:
        return "stale"
    return "ok" if line.trading_state == TradingState.ACTIVE else "not active"


def notifier_channels(data_dir: Path) -> tuple[dict[str, Any], ...]:
    """How the notifier's channels do; nothing where none runs, or its file cannot be read."""
    try:
        rows = json.loads((data_dir / NOTIFIER_STATE).read_bytes())["channels"]
        return tuple(dict(row) for row in rows)
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def metrics_text(index: LogIndex, now: datetime, data_dir: Path) -> str:
    """Prometheus's text format, version 0.0.4."""
    health = health_of(index, now, data_dir)
    groups: dict[str, list[Sample]] = {}
    for name, sample in (*_health_rows(health), *_state_rows(index)):
        groups.setdefault(name, []).append(sample)
    return "".join(_group_text(name, samples) for name, samples in groups.items())


def _group_text(name: str, samples: Sequence[Sample]) -> str:
    lines = [f"# HELP {name} {samples[0].what}", f"# TYPE {name} gauge"]
    for sample in samples:
        said = ",".join(f'{key}="{_escaped(text)}"' for key, text in sample.labels.items())
        lines.append(f"{name}{{{said}}} {sample.value!r}" if said else f"{name} {sample.value!r}")
    return "\n".join(lines) + "\n"


class Sample(NamedTuple):
    """One figure, and what it is."""

    what: str
    labels: dict[str, str]
    value: float | int


Row = tuple[str, Sample]


def _health_rows(health: Health) -> Iterator[Row]:
    about = {"account": health.account or "", "mode": health.mode or ""}
    yield "covered_calls_up", Sample("1 where the log is well", {"status": health.status}, int(health.is_well))
    if health.age_seconds is not None and health.mode in REAL_TIME_MODES:
        yield "covered_calls_last_line_age_seconds", Sample("age of the newest line", about, health.age_seconds)
    if health.account is not None:
        yield "covered_calls_lines", Sample("lines of the account", about, health.lines)
        yield "covered_calls_errors", Sample("lines with an error", about, health.errors)
        active = int(health.trading_state == TradingState.ACTIVE)
        yield "covered_calls_active", Sample("1 where trading is ACTIVE", about, active)
    for row in health.notify:
        channel = {"channel": str(row.get("channel"))}
        waiting, dead = int(row.get("waiting") or 0), int(row.get("problem") is not None)
        yield "covered_calls_notify_waiting", Sample("messages that wait", channel, waiting)
        yield "covered_calls_notify_dead", Sample("1 where the channel does not answer", channel, dead)


def _state_rows(index: LogIndex) -> Iterator[Row]:
    view = view_of(index)
    line = None if view is None else view.newest()
    state = None if view is None or line is None else LogView(index, view.account).state(line)
    if state is None:
        return
    if state.portfolio.value_usd is not None:
        yield "covered_calls_value_usd", Sample("value of all coins", {}, state.portfolio.value_usd)
    for account in state.portfolio.accounts:
        yield from _coin_rows(state, account.currency)


def _coin_rows(state: AgentState, coin: str) -> Iterator[Row]:
    account, risk, market = state.account(coin), state.risk(coin), state.market(coin)
    about = {"coin": coin}
    if account is not None:
        yield "covered_calls_equity_coin", Sample("equity", about, account.equity_coin)
    if risk is not None:
        yield "covered_calls_sold_coin", Sample("coins behind calls sold", about, risk.short_calls_coin)
        yield "covered_calls_free_coin", Sample("coins neither sold nor on offer", about, risk.room_coin)
    if market is not None:
        yield "covered_calls_spot_usd", Sample("index price", about, market.spot_usd)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
