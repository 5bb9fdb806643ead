"""Faults of the wire, rows T01 to T30 of the catalogue: how each is done to one request.

In: a Fault (the request, dice of its own, ways to deliver it to the exchange and to let time pass). Out: what the agent
hears, an httpx.Response or an httpx error. Whether the exchange acted is part of the fault: lost on the way, or done
and not heard of.
"""

from __future__ import annotations

import gzip
import json
import random
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from tests.builders.true_time import TrueTime
from tests.campaign.world.trace import WireCall
from tests.campaign.world.venue import Venue

TIMEOUT_SECONDS = 8.0
CONNECT_SECONDS = 5.0
LATE_SECONDS = (12.0, 40.0, 200.0, 700.0)
SLOW_SECONDS = 9.9
HTML = b"<html><head><title>Service unavailable</title></head><body>try again later</body></html>"


@dataclass
class Fault:
    """One request about to go wrong."""

    row: str
    call: WireCall
    request: httpx.Request
    dice: random.Random
    time: TrueTime
    venue: Venue
    missed: bool = False  # it could not be done to this request after all: there was nothing to do it to

    def deliver(self, body: bytes | None = None) -> tuple[int, bytes]:
        """Hand the request to the exchange, now; with another body where something on the way has changed it."""
        return self.venue.handle(self.call, self.request, body)

    def reply(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        """Something for the agent to hear."""
        self.call.heard, self.call.heard_status = content, status
        standard = {"content-type": "application/json", "content-length": str(len(content))}
        return httpx.Response(status, headers=standard if headers is None else headers, stream=_Chunks([content]))

    def envelope(self, **members: object) -> bytes:
        """A well-formed reply to this request."""
        now_us = round(self.time.now().timestamp() * 1e6)
        frame = {"jsonrpc": "2.0", "id": self.call.request_id, "testnet": True, "usIn": now_us, "usOut": now_us}
        return json.dumps(frame | members).encode()

    def error(self, code: int, message: str, data: dict[str, Any] | None = None) -> httpx.Response:
        """The exchange refuses."""
        error: dict[str, Any] = {"code": code, "message": message}
        return self.reply(400, self.envelope(error=error if data is None else error | {"data": data}))

    def maybe_deliver(self) -> None:
        """Half of the lost answers belong to requests that were carried out."""
        if self.dice.random() < 0.5:
            self.deliver()


Injection = Callable[[Fault], httpx.Response | None]  # those that always raise give None


class _Chunks(httpx.SyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks


class _Stream(httpx.SyncByteStream):
    """A body that comes as a generator: slowly, endlessly, or broken off."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks


def _raise(fault: Fault, error: type[httpx.TransportError], cause: BaseException, after_seconds: float) -> None:
    fault.time.sleep(after_seconds)
    raise error(str(cause) or error.__name__, request=fault.request) from cause


# --- nothing has left ----------------------------------------------------------------


def no_address(fault: Fault) -> None:
    _raise(fault, httpx.ConnectError, socket.gaierror(-2, "Name or service not known"), 0.1)


def connection_refused(fault: Fault) -> None:
    _raise(fault, httpx.ConnectError, ConnectionRefusedError(111, "Connection refused"), 0.1)


def connect_timeout(fault: Fault) -> None:
    error = httpx.ConnectTimeout if fault.dice.random() < 0.5 else httpx.PoolTimeout
    _raise(fault, error, TimeoutError("timed out"), CONNECT_SECONDS)


def bad_certificate(fault: Fault) -> None:
    reason = fault.dice.choice(("certificate has expired", "Hostname mismatch", "self-signed certificate"))
    cause = ssl.SSLCertVerificationError(1, f"certificate verify failed: {reason}")
    _raise(fault, httpx.ConnectError, cause, 0.1)


# --- the answer is lost ------------------------------------------------------------------


def write_error(fault: Fault) -> None:
    fault.maybe_deliver()
    error = httpx.WriteTimeout if fault.dice.random() < 0.5 else httpx.WriteError
    _raise(fault, error, ConnectionResetError(104, "Connection reset by peer"), 1.0)


def answer_lost(fault: Fault) -> None:
    fault.deliver()
    _raise(fault, httpx.ReadTimeout, TimeoutError("timed out"), TIMEOUT_SECONDS)


def request_lost(fault: Fault) -> None:
    _raise(fault, httpx.ReadTimeout, TimeoutError("timed out"), TIMEOUT_SECONDS)


def late_arrival(fault: Fault) -> None:
    """The client gives up after 8 s; the request arrives long after that."""
    late = TIMEOUT_SECONDS + fault.dice.choice(LATE_SECONDS)
    fault.time.at(
        fault.time.now() + timedelta(seconds=late), lambda: fault.venue.handle_late(fault.call, fault.request)
    )
    _raise(fault, httpx.ReadTimeout, TimeoutError("timed out"), TIMEOUT_SECONDS)


def closed_after_reading(fault: Fault) -> None:
    fault.maybe_deliver()
    _raise(fault, httpx.RemoteProtocolError, EOFError("Server disconnected without sending a response."), 0.3)


def reset_after_reading(fault: Fault) -> None:
    fault.maybe_deliver()
    _raise(fault, httpx.ReadError, ConnectionResetError(104, "Connection reset by peer"), 0.3)


# --- the answer is broken -------------------------------------------------------------------


def half_a_body(fault: Fault) -> httpx.Response:
    status, body = fault.deliver()
    half = body[: len(body) // 2]

    def chunks() -> Iterator[bytes]:
        yield half
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")

    return streamed(fault, status, chunks(), half)


def streamed(
    fault: Fault, status: int, chunks: Iterator[bytes], heard: bytes, headers: dict[str, str] | None = None
) -> httpx.Response:
    fault.call.heard, fault.call.heard_status = heard, status
    return httpx.Response(status, headers=headers or {"content-type": "application/json"}, stream=_Stream(chunks))


def dripping_body(fault: Fault) -> httpx.Response:
    """A byte every 100 ms: httpx's read timeout never fires."""
    status, body = fault.deliver()
    body = body.ljust(400)

    def chunks() -> Iterator[bytes]:
        for number in range(len(body)):
            fault.time.sleep(0.1)
            yield body[number : number + 1]

    return streamed(fault, status, chunks(), body)


_BOMB = gzip.compress(bytes(6_000_000), 9)
_BLOCK = b" " * 500_000


def huge_body(fault: Fault) -> httpx.Response:
    """100 MB of blanks, or a small body that unpacks to more than any reply has."""
    status, _ = fault.deliver()
    if fault.dice.random() < 0.3:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        return streamed(fault, status, iter([_BOMB]), _BOMB, headers)
    return streamed(fault, status, (_BLOCK for _ in range(200)), b"")


def bad_gzip(fault: Fault) -> httpx.Response:
    status, body = fault.deliver()
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    return fault.reply(status, body, headers)


def gateway_error(fault: Fault) -> httpx.Response:
    fault.maybe_deliver()
    return fault.reply(fault.dice.choice((502, 503, 504)), HTML, {"content-type": "text/html"})


def page_instead(fault: Fault) -> httpx.Response:
    fault.maybe_deliver()
    return fault.reply(200, HTML, {"content-type": "text/html"})


def empty_body(fault: Fault) -> httpx.Response:
    fault.maybe_deliver()
    return fault.reply(200, b"")


def not_an_object(fault: Fault) -> httpx.Response:
    fault.maybe_deliver()
    return fault.reply(200, fault.dice.choice((b"[]", b'"ok"', b"null", b"[1,2,3]", b"true", b"0")))


def neither_result_nor_error(fault: Fault) -> httpx.Response:
    fault.maybe_deliver()
    return fault.reply(200, fault.envelope())


def result_and_error(fault: Fault) -> httpx.Response:
    status, body = fault.deliver()
    reply = json.loads(body)
    reply.setdefault("result", [])
    reply.setdefault("error", {"code": 10001, "message": "error"})
    return fault.reply(status, json.dumps(reply).encode())


def answer_to_another_request(fault: Fault) -> httpx.Response:
    status, body = fault.deliver()
    reply = json.loads(body)
    reply["id"] = int(fault.call.request_id) - fault.dice.randint(1, 5)
    return fault.reply(status, json.dumps(reply).encode())


def not_json_as_documented(fault: Fault) -> httpx.Response:
    """Duplicate keys, NaN, a number beyond all numbers, ten thousand brackets."""
    status, body = fault.deliver()
    text = body.decode()
    kind = fault.dice.randrange(4)
    if kind == 0:
        text = text[:-1] + ',"result":[],"usIn":1}' if '"result"' in text else text[:-1] + ',"error":null}'
    elif kind == 1:
        text = text[:-1] + ',"extra":NaN}'
    elif kind == 2:
        text = text[:-1] + ',"extra":1e999}'
    else:
        text = text[:-1] + ',"extra":' + "[" * 10_000 + "]" * 10_000 + "}"
    return fault.reply(status, text.encode())


def redirect_elsewhere(fault: Fault) -> httpx.Response:
    fault.maybe_deliver()
    status = fault.dice.choice((301, 302, 307))
    return fault.reply(status, b"", {"location": "https://elsewhere.example/api/v2/public/test", "content-length": "0"})


def bare_rate_limit(fault: Fault) -> httpx.Response:
    """A gateway's, which may speak after the exchange has acted."""
    fault.maybe_deliver()
    return fault.reply(429, b"Too Many Requests", {"content-type": "text/plain"})


def bare_forbidden(fault: Fault) -> httpx.Response:
    """A gateway's too; some speak JSON, but none JSON-RPC."""
    fault.maybe_deliver()
    body = fault.dice.choice((b"", HTML, b'{"message": "Forbidden"}'))
    return fault.reply(fault.dice.choice((401, 403, 405)), body, {"content-type": "text/plain"})


# --- the answer is slow, or the request comes twice ----------------------------------------------


def slow_but_valid(fault: Fault) -> httpx.Response:
    """9.9 s in two halves, so that no single wait is longer than httpx allows."""
    fault.time.sleep(SLOW_SECONDS / 2.0)
    status, body = fault.deliver()

    def chunks() -> Iterator[bytes]:
        fault.time.sleep(SLOW_SECONDS / 2.0)
        yield body

    return streamed(fault, status, chunks(), body)


def delivered_twice(fault: Fault) -> httpx.Response:
    """A proxy replays the request; the client hears the first answer."""
    status, body = fault.deliver()
    fault.deliver()
    return fault.reply(status, body)


TRANSPORT: dict[str, Injection] = {
    "T01": no_address,
    "T02": connection_refused,
    "T03": connect_timeout,
    "T04": bad_certificate,
    "T05": write_error,
    "T06": answer_lost,
    "T07": request_lost,
    "T08": late_arrival,
    "T09": closed_after_reading,
    "T10": reset_after_reading,
    "T11": half_a_body,
    "T12": dripping_body,
    "T13": huge_body,
    "T14": bad_gzip,
    "T15": gateway_error,
    "T16": page_instead,
    "T17": empty_body,
    "T18": not_an_object,
    "T19": neither_result_nor_error,
    "T20": result_and_error,
    "T21": answer_to_another_request,
    "T22": not_json_as_documented,
    "T23": redirect_elsewhere,
    "T26": bare_rate_limit,
    "T27": bare_forbidden,
    "T28": slow_but_valid,
    "T29": slow_but_valid,
    "T30": delivered_twice,
}
