"""The application: its routes, its guard, and the log index behind them.

In: DashboardSettings. Out: an ASGI application that answers every request with a page or a sentence, never a traceback.
No documentation routes, no CORS, nothing from another host. It imports no way to an order.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from config import KEY_NAMES, AgentConfig, load_config
from dashboard.ask import routes as ask
from dashboard.clock import Clock, real_now
from dashboard.lab import routes as lab
from dashboard.line import routes as line
from dashboard.live import routes as live
from dashboard.log_index.index import LogIndex
from dashboard.pages import Context, page
from dashboard.running import routes as running
from dashboard.security import Guard
from dashboard.settings import DashboardSettings, checked
from models import ConfigurationError

STATIC = Path(__file__).resolve().parent / "static"
ROUTERS = (live.router, line.router, ask.router, lab.router, running.router)  # one line a room


def create_app(settings: DashboardSettings, now: Clock = real_now, index: LogIndex | None = None) -> FastAPI:
    """The dashboard; it follows the log while it is served. ConfigurationError where it would let strangers in."""
    index = LogIndex(settings.log_dir, settings.work_dir) if index is None else index

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        index.follow(settings.poll_seconds)
        yield
        index.wait_for_end()  # not closed: a page that is still being made asks it to its end

    app = FastAPI(title="covered calls", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.context = Context(checked(settings), index, now, settings_without_keys())
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_middleware(Guard, settings=settings)
    return app


def settings_without_keys() -> AgentConfig:
    """The agent's settings as far as the environment has them: `.env`, where the secret stands, is not read."""
    for name in KEY_NAMES:
        os.environ.pop(name, None)
    try:
        return load_config(None, warn=lambda _: None)
    except ConfigurationError:
        return AgentConfig()


def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    said = {404: "There is no such page.", 405: "This address only answers other questions."}
    detail = getattr(error, "detail", "")
    sentence = detail if detail and detail not in ("Not Found", "Method Not Allowed") else said.get(status, str(detail))
    return page(request, "notice.html", {"title": f"{status}", "sentence": sentence}, status)


def _not_understood(request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    sentence = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in found[:5])
    return page(request, "notice.html", {"title": "Not understood", "sentence": sentence}, 422)
