"""A browser that needs no server: requests to an application, one at a time.

In: an application. Out: httpx's responses. starlette's own test client asks for another HTTP library.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI

BASE_URL = "http://127.0.0.1:8800"


class PageClient:
    """Asks as the dashboard's own page would; the application's log is not followed."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def get(self, address: str, **about: Any) -> httpx.Response:
        return self._ask("GET", address, **about)

    def post(self, address: str, **about: Any) -> httpx.Response:
        return self._ask("POST", address, **{"headers": {"origin": BASE_URL}, **about})

    def _ask(self, method: str, address: str, **about: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
                return await client.request(method, address, **about)

        return asyncio.run(asked())
