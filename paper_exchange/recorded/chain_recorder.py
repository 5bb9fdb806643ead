"""Writes the chains that go by to files that `--market recorded` can play back.

In: an httpx transport and a folder. Out: the transport's own answers, unchanged; beside it one line per chain read in
`<currency>_YYYY-MM-DD.jsonl`: recorded_at (ms), currency, index_price (USD, the last one seen), book_summaries (rows
as Deribit gives them). A chain without an index before it is not recorded. Talks to the disk.
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

CHAIN_METHOD = "public/get_book_summary_by_currency"
INDEX_METHOD = "public/get_index_price"
KEPT_FIELDS = (
    "instrument_name",
    "underlying_index",
    "underlying_price",
    "bid_price",
    "ask_price",
    "mid_price",
    "mark_price",
    "mark_iv",
    "open_interest",
    "volume",
)


class ChainRecorder(httpx.BaseTransport):
    """A transport that passes everything on and keeps a copy of the chains."""

    def __init__(self, inner: httpx.BaseTransport, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._inner, self._folder = inner, folder
        self._index_usd: dict[str, float] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        method = request.url.path.removeprefix("/api/v2/")
        if method not in (CHAIN_METHOD, INDEX_METHOD):
            return response
        response.read()
        self._look_at(method, request, response)
        return response

    def close(self) -> None:
        self._inner.close()

    def _look_at(self, method: str, request: httpx.Request, response: httpx.Response) -> None:
        """Recording is a by-product: an answer that cannot be read is left to the client to judge."""
        try:
            params = json.loads(request.content)["params"]
            reply = response.json()
            if method == INDEX_METHOD:
                self._index_usd[params["index_name"][:3].upper()] = float(reply["result"]["index_price"])
            else:
                self._write(params["currency"], reply)
        except (ValueError, KeyError, TypeError):
            return

    def _write(self, currency: str, reply: dict[str, Any]) -> None:
        if currency not in self._index_usd:
            return
        recorded_at_ms = int(reply["usOut"]) // 1000
        rows = [{name: row.get(name) for name in KEPT_FIELDS} for row in reply["result"]]
        snapshot = {"recorded_at": recorded_at_ms, "currency": currency, "index_price": self._index_usd[currency]}
        line = json.dumps(snapshot | {"book_summaries": rows}, separators=(",", ":")) + "\n"
        day = datetime.fromtimestamp(recorded_at_ms / 1000.0, UTC)
        path = self._folder / f"{currency}_{day:%Y-%m-%d}.jsonl"
        try:
            _append_whole(path, line.encode())
        except OSError as error:
            print(f"this chain was not recorded: {path.name}: {error.strerror}", file=sys.stderr)


def _append_whole(path: Path, line: bytes) -> None:
    """Append the line or nothing: half a line would make the recording unreadable."""
    with path.open("a+b", buffering=0) as file:
        _cut_torn_line(file)
        size_before = file.seek(0, os.SEEK_END)
        if file.write(line) != len(line):
            file.truncate(size_before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _cut_torn_line(file: io.FileIO) -> None:
    """A run that was killed may have left half a line: nothing must be glued to it."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate((file.read() or b"").rfind(b"\n") + 1)
