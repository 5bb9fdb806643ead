"""Sends requests to the application as the server would hand them over, and looks at what they left on the disk.

In: an application, Requests. Out: a status each (an exception that escapes is one of 500); the files of a folder as
they are. No network.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI

from tests.dashboard.fuzz.dice import Request

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Asked:
    """A request and its status; `problem`: the exception that escaped, and where."""

    request: Request
    status: int
    problem: str = ""


def asked(app: FastAPI, requests: Iterable[Request]) -> Iterator[Asked]:
    """What came of each request, one after the other, on one event loop."""
    with asyncio.Runner() as runner:
        for request in requests:
            yield runner.run(_asked(app, request))


async def _asked(app: FastAPI, request: Request) -> Asked:
    began: list[int] = []
    incoming = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return incoming.pop() if incoming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            began.append(int(message["status"]))

    try:
        await asyncio.wait_for(app(_scope(request), receive, send), PATIENCE_SECONDS)
    except Exception as error:  # noqa: BLE001 - whatever escapes is what is looked for
        place = traceback.extract_tb(error.__traceback__)[-1]
        return Asked(request, 500, f"{error!r} in {Path(place.filename).name}:{place.lineno}")
    return Asked(request, began[0]) if began else Asked(request, 500, "no answer at all")


def _scope(request: Request) -> dict[str, Any]:
    """As uvicorn makes it: the path decoded, everything else as it came."""
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": request.method, "scheme": "http", "root_path": "",
        "path": unquote_to_bytes(request.path).decode("utf-8", "replace"), "raw_path": request.path,
        "query_string": request.query, "headers": list(request.headers),
        "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8_800), "state": {},
    }  # fmt: skip


def files_below(folder: Path, but: Path | None = None) -> dict[str, str]:
    """Every file of a folder by its content, without those below another folder."""
    found = (path for path in folder.rglob("*") if path.is_file() and (but is None or but not in path.parents))
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in found}
