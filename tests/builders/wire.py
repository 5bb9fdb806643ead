"""The wire between an agent and an exchange: the one httpx transport of the tests.

In: HTTP requests. Out: what the exchange answers, or what a fault makes of it; everything that went by is kept. A fault
is a function of the request and of a way to the exchange's answer. No sockets. The campaign's faults by schedule have a
layer of their own (`tests/campaign/faults`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

Answer = Callable[[], httpx.Response]
Fault = Callable[[httpx.Request, Answer], httpx.Response]


def undisturbed(request: httpx.Request, answer: Answer) -> httpx.Response:
    return answer()


@dataclass(frozen=True)
class Sent:
    """One request as it went by."""

    request: httpx.Request

    @property
    def method(self) -> str:
        return method_of(self.request)

    @property
    def params(self) -> dict[str, Any]:
        """Of a JSON-RPC body; a GET has none."""
        params: dict[str, Any] = json.loads(self.request.read())["params"]
        return params

    @property
    def headers(self) -> httpx.Headers:
        return self.request.headers


class Wire(httpx.BaseTransport):
    """Carries requests to the exchange, keeps what went by, and disturbs the methods it is told to.

    `always` meets every request that no other fault does; without an exchange it has to answer them all.
    """

    def __init__(self, inner: httpx.BaseTransport | None = None, always: Fault = undisturbed) -> None:
        self.sent: list[Sent] = []
        self._inner = httpx.MockTransport(_nobody) if inner is None else inner
        self.always = always
        self._faults: dict[str, list[Fault]] = {}

    def disturb(self, method: str, *faults: Fault) -> None:
        """The next requests of this method meet these faults, one each, in order."""
        self._faults.setdefault(method, []).extend(faults)

    def methods(self, *wanted: str) -> list[str]:
        """The methods that went by; only those wanted, if any are named."""
        return [call.method for call in self.sent if not wanted or call.method in wanted]

    def params(self, method: str) -> list[dict[str, Any]]:
        return [call.params for call in self.sent if call.method == method]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        method = method_of(request)
        self.sent.append(Sent(request))
        faults = self._faults.get(method)
        fault = faults.pop(0) if faults else self.always
        return fault(request, lambda: self._inner.handle_request(request))


def _nobody(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody is there", request=request)


def method_of(request: httpx.Request) -> str:
    return request.url.path.removeprefix("/api/v2/")


def lost_on_the_way(error: type[httpx.TransportError] = httpx.ConnectError) -> Fault:
    """The exchange never sees the request."""

    def fault(request: httpx.Request, answer: Answer) -> httpx.Response:
        raise error("made up", request=request)

    return fault


def answer_lost(error: type[httpx.TransportError] = httpx.ReadTimeout) -> Fault:
    """The exchange does what it was asked; nobody hears of it."""

    def fault(request: httpx.Request, answer: Answer) -> httpx.Response:
        answer().read()
        raise error("made up", request=request)

    return fault


def delivered_twice(request: httpx.Request, answer: Answer) -> httpx.Response:
    """Something on the way repeats the request; the agent hears the first answer."""
    first = answer()
    first.read()
    answer().read()
    return first


def answered(status: int, content: bytes) -> Fault:
    """Something else answers in the exchange's place."""
    return lambda request, answer: httpx.Response(status, content=content)


def refused(code: int, message: str = "made_up") -> Fault:
    """The exchange answers with an error, as HTTP 400 with a JSON body."""
    return lambda request, answer: httpx.Response(400, json=envelope(request, error={"code": code, "message": message}))


def result_of(result: object) -> Fault:
    """A result made up by the test."""
    return lambda request, answer: httpx.Response(200, json=envelope(request, result=result))


def reply_changed(change: Callable[[dict[str, Any]], None]) -> Fault:
    """The exchange's own reply, changed in place on its way back."""

    def fault(request: httpx.Request, answer: Answer) -> httpx.Response:
        reply = json.loads(answer().read())
        change(reply)
        return httpx.Response(200, json=reply)

    return fault


def meanwhile(happens: Callable[[], object]) -> Fault:
    """Something happens just before the request arrives."""

    def fault(request: httpx.Request, answer: Answer) -> httpx.Response:
        happens()
        return answer()

    return fault


def envelope(request: httpx.Request, **members: object) -> dict[str, Any]:
    """A reply to this request as Deribit frames it."""
    return {"jsonrpc": "2.0", "id": json.loads(request.read())["id"], "testnet": True, **members}
