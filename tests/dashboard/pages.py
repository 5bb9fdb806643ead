"""A dashboard on a log, asked without a network: builders for tests of pages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
from fastapi import FastAPI

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


@dataclass
class Browser:
    """Asks as a browser on this machine would, and keeps the cookies it is given."""

    app: FastAPI
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.request("GET", path, headers)

    def request(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return asyncio.run(self._ask(method, path, headers or {}))

    async def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=HOST, cookies=self.cookies) as client:
            answer = await client.request(method, path, headers=dict(headers))
            self.cookies |= dict(client.cookies)
            return answer


def browser_of(app: FastAPI) -> Browser:
    return Browser(app)
