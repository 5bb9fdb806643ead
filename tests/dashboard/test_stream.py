"""The stream of new lines: each is told once, also to a reader who was away."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request

from dashboard.live.routes import events
from tests.builders.agent import run_main
from tests.dashboard.pages import a_dashboard

LINES = 8


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder: Path = tmp_path_factory.mktemp("log")
    arguments = ("--market", "simulated", "--iterations", str(LINES), "--interval", "21600", "--quiet")
    assert run_main(*arguments, "--log-dir", folder / "logs", "--data-dir", folder / "data").code == 0
    return a_dashboard(folder / "logs", folder / "data")


def heard(app: FastAPI, count: int, known: str = "", after: int = -1) -> list[tuple[str, dict[str, Any]]]:
    """The first events of a connection: their ids and what they say."""

    async def never() -> Any:
        await asyncio.sleep(3600.0)

    async def listen() -> list[str]:
        headers = [(b"last-event-id", known.encode())] if known else []
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/events",
            "headers": headers,
            "query_string": b"",
            "app": app,
        }
        answer = await events(Request(scope, never), after)
        told: list[str] = []
        async for part in answer.body_iterator:
            told += [str(part)] if "event: line" in str(part) else []
            if len(told) >= count:
                break
        return told

    parts = [dict(line.split(": ", 1) for line in text.strip().splitlines()) for text in asyncio.run(listen())]
    return [(part["id"], json.loads(part["data"])) for part in parts]


def test_a_reader_who_comes_back_is_told_what_it_missed_once(app: FastAPI) -> None:
    first = heard(app, 3, after=0)
    rest = heard(app, LINES - 3, known=first[-1][0])
    ids = [int(number) for number, _ in first + rest]
    assert ids == sorted(set(ids))
    assert [said["iteration"] for _, said in first + rest] == list(range(1, LINES + 1))


def test_an_id_that_is_no_number_is_not_believed(app: FastAPI) -> None:
    assert [said["iteration"] for _, said in heard(app, 2, known="x' or 1=1", after=0)] == [1, 2]
