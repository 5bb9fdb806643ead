"""A server with the interface of a language model that says what a test tells it to, over a real socket.

In: an Answer for all requests, or one for each in turn. Out: the URL to ask, and the requests that came. `completion`
is a well-formed chat completion with any text, `raw` any other HTTP answer, byte by byte where it has a pause.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "a-made-up-model"


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; `pause_seconds` before each of its bytes."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    pause_seconds: float = 0.0


@dataclass
class ModelStub:
    """What was asked of it: bodies and headers, in the order in which they came."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


Answering = Callable[[dict[str, Any]], Answer]


def completion(text: str | None, finish_reason: str = "stop", **parts: Any) -> Answer:
    """A chat completion; `logprobs`, `refusal` and the like as given."""
    message = {"role": "assistant", "content": text, "refusal": parts.get("refusal")}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": parts.get("logprobs")}
    usage = parts.get("usage", {"prompt_tokens": 100, "completion_tokens": 7})
    return raw(200, json.dumps({"choices": [choice], "usage": usage}))


def choosing(label: str, odds: Mapping[str, float] | None = None) -> Answer:
    """The letter in the form that was asked for, with logprobs where there are `odds`."""
    logprobs = None if odds is None else {"content": [*_tokens('{"', "choice", '":', ' "'), _letter(label, odds)]}
    return completion(json.dumps({"choice": label}), logprobs=logprobs)


def _tokens(*texts: str) -> Iterator[dict[str, Any]]:
    return ({"token": text, "logprob": 0.0, "top_logprobs": []} for text in texts)


def _letter(label: str, odds: Mapping[str, float]) -> dict[str, Any]:
    rows = [{"token": token, "logprob": logprob} for token, logprob in odds.items()]
    return {"token": label, "logprob": odds.get(label, 0.0), "top_logprobs": rows}


def raw(status: int, body: str | bytes, pause_seconds: float = 0.0, **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else body.encode()
    return Answer(status, content, {name.replace("_", "-"): value for name, value in headers.items()}, pause_seconds)


@contextmanager
def model_stub(*answers: Answer | Answering) -> Iterator[ModelStub]:
    """The answers in turn, the last one for all that follow."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    stub = ModelStub(f"http://127.0.0.1:{server.server_address[1]}/v1")
    server.stub, server.answers = stub, answers  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        stub: ModelStub = self.server.stub  # type: ignore[attr-defined]
        answers: Sequence[Answer | Answering] = self.server.answers  # type: ignore[attr-defined]
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        stub.bodies.append(body)
        stub.headers.append({name.lower(): value for name, value in self.headers.items()})
        said = answers[min(len(stub.bodies), len(answers)) - 1]
        with suppress(OSError):  # nobody waits for it any more
            self._send(said if isinstance(said, Answer) else said(body))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {"content-type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        if answer.pause_seconds == 0.0:
            self.wfile.write(answer.body)
            return
        for byte in answer.body:
            time.sleep(answer.pause_seconds)
            self.wfile.write(bytes([byte]))
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        """Silent."""
