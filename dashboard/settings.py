"""What the dashboard is told at its start: which log, where its own files go, who may look. Pure.

In: the command line and DASHBOARD_TOKEN. Out: one frozen DashboardSettings, or a ConfigurationError with a sentence.
`.env` is never read: the exchange's secret stands there. Beside the log and the data folder the dashboard writes to
`work_dir` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models import ConfigurationError

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
LEAST_TOKEN_LETTERS = 16
DEFAULT_PORT = 8800
MOST_PORT = 65_535
DEFAULT_INTERVAL_SECONDS = 300.0


@dataclass(frozen=True)
class DashboardSettings:
    """`names`: host names beside the loopback's that a browser may use for it; only with a token."""

    log_dir: Path
    data_dir: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = None
    names: tuple[str, ...] = ()
    poll_seconds: float = 0.5

    @property
    def work_dir(self) -> Path:
        """Where the index and the lab's runs are: all that the dashboard writes."""
        return self.data_dir / "dashboard"

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """What a request may name as its host, with or without the port."""
        named = (*LOOPBACK_HOSTS, *(() if self.token is None else (self.host, *self.names)))
        bracketed = [f"[{name}]" if ":" in name else name for name in named]
        return frozenset(bracketed) | {f"{name}:{self.port}" for name in bracketed}


def checked(settings: DashboardSettings) -> DashboardSettings:
    """The same settings; ConfigurationError where they would let strangers in, or nobody at all."""
    if not 1 <= settings.port <= MOST_PORT:
        raise ConfigurationError(f"--port {settings.port}: a port is a number from 1 to {MOST_PORT}")
    if settings.token is not None and len(settings.token) < LEAST_TOKEN_LETTERS:
        raise ConfigurationError(f"DASHBOARD_TOKEN: at least {LEAST_TOKEN_LETTERS} letters, it is a password")
    if settings.host not in LOOPBACK_HOSTS and settings.token is None:
        raise ConfigurationError(
            f"--host {settings.host} would show the account to the network: set DASHBOARD_TOKEN, or leave --host out"
        )
    if settings.names and settings.token is None:
        raise ConfigurationError("--name needs DASHBOARD_TOKEN: without one only this machine may look")
    return settings
