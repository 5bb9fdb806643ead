"""A dashboard on a log, asked without a network: builders for tests of pages."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI
from starlette.testclient import TestClient

from dashboard.app import create_app
from dashboard.log_index.index import LogIndex
from dashboard.settings import DashboardSettings

HOST = "http://127.0.0.1:8800"
NOW = datetime(2026, 2, 14, tzinfo=UTC)


def a_dashboard(log: Path, data_dir: Path, token: str | None = None, now: datetime = NOW) -> FastAPI:
    """The application, its log read once and not followed."""
    settings = DashboardSettings(log_dir=log, data_dir=data_dir, token=token, poll_seconds=0.05)
    index = LogIndex(log, None)
    index.refresh()
    return create_app(settings, lambda: now, index)


def browser_of(app: FastAPI) -> TestClient:
    """Asks as a browser on this machine would."""
    return TestClient(app, base_url=HOST, raise_server_exceptions=False, follow_redirects=False)
