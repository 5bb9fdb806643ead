"""Writes the chains that go by to files that `--market recorded` can play back.

In: an httpx transport and a folder. Out: the transport's own answers, unchanged; beside it one line per chain read in
`<currency>_YYYY-MM-DD.jsonl.gz`: recorded_at (ms), currency, index_price (USD, the last one seen), book_summaries (rows
as Deribit gives them). Each line is a gzip member of its own, so that a run beside it can read the file while it grows.
A chain without an index before it is not recorded. Talks to the disk.
"""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from paper_exchange.recorded.packed import members_of

CHAIN_METHOD = "public/get_book_summary_by_currency"
INDEX_METHOD = "public/get_index_price"
COMPRESSION_LEVEL = 6
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
        self._whole_bytes: dict[Path, int] = {}
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
        path = self._folder / f"{currency}_{day:%Y-%m-%d}.jsonl.gz"
        try:
            self._append_whole(path, gzip.compress(line.encode(), COMPRESSION_LEVEL))
        except OSError as error:
            print(f"this chain was not recorded: {path.name}: {error.strerror}", file=sys.stderr)

    def _append_whole(self, path: Path, member: bytes) -> None:
        """Append the member or nothing: half of one would make what comes after it unreadable."""
        with path.open("a+b", buffering=0) as file:
            size_before = self._cut_torn_member(path, file)
            if file.write(member) != len(member):
                file.truncate(size_before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._whole_bytes = {**self._whole_bytes, path: size_before + len(member)}

    def _cut_torn_member(self, path: Path, file: io.FileIO) -> int:
        """The file's size once nothing torn ends it. It is read through only where its size is not what we left."""
        if file.seek(0, os.SEEK_END) != self._whole_bytes.get(path, 0):
            found = members_of(file)
            if found.rest == "damaged":
                raise OSError(errno.EIO, "it is damaged; move it away")
            file.truncate(found.whole_bytes)
        return file.seek(0, os.SEEK_END)
