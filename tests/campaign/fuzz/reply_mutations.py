"""Ways to spoil a reply: its structure, numbers, text, times, bytes and HTTP frame. Pure and seeded.

In: a generator and a whole reply. Out: another reply. `MARKER` stands for the id of the request wherever a reply names
it, so that a reply can be spoilt before it is known which request it answers; `answer_to` puts the id in.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

MARKER = 987_654_321_987
_MARKER_BYTES = str(MARKER).encode()
DEPTH = 10_000
LONG_TEXT = "A" * 1_000_000

NUMBERS = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "-0.0", "0", "-1", "1e308", "-1e308", "5e-324", "0.1e-400"),
    *("1" + "0" * 40, "-" + "9" * 400, "9" * 5_000, "18446744073709551616", "2.5", "1E5", "1e-9"),
    *('"1"', '"NaN"', '"0.1"', '""', '"1,5"', "true", "false", "null", "[]", "[1]", "{}"),
    *("0x10", "01", "1_000", "+1", ".5"),
)
TEXTS = (
    *("\x00", "\x1b[31mred\x1b[0m\x07", "a\nb\r\n", "\u202egnp.exe", "\ufeff", "\u200b", "null", "", " "),
    *("BТC-16JAN26-100000-C", "BTC-31FEB27-1-C", "BTC-16JAN26-1e5-C", "../../etc/passwd", "{0.__class__}", "%s%n"),
    *("market_price", "cancelled", "untriggered", "sell", "buy", "future", "put", "USDC", "\U0001f600" * 50),
)
TIMES = (
    "0",
    "-1",
    "1",
    "32503680000000",
    "-62135596800000",
    "253402300800000",
    "1e18",
    "7258118400000",
    "7258118400001",
)
OTHER_VALUES: tuple[Any, ...] = (None, True, False, 0, 1, -1, 0.5, "", "x", [], [[]], [None], {}, {"a": 1}, [[[[1]]]])
STATUSES = (200, 201, 204, 301, 302, 307, 308, 400, 401, 403, 404, 408, 418, 429, 500, 502, 503, 504, 520, 599)
ENCODINGS = ("gzip", "deflate", "br", "gzip, gzip", "zstd", "identity", "nonsense")
ERRORS = (
    (10028, "too_many_requests"),
    (13009, "unauthorized"),
    (10000, "authorization_required"),
    (13004, "invalid_credentials"),
    (13888, "timed_out"),
    (10009, "not_enough_funds"),
    (11044, "not_open_order"),
    (10040, "retry"),
    (10041, "settlement_in_progress"),
    (11051, "system_maintenance"),
    (13020, "not_found"),
    (-32602, "Invalid params"),
    (99999, "never_heard_of"),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


Spoil = Callable[[Random, Reply], Reply]


def answer_to(body: bytes, request_id: int) -> bytes:
    """The body with the id of the request in it."""
    return body.replace(_MARKER_BYTES, str(request_id).encode())


def spoil(dice: Random, reply: Reply) -> tuple[str, Reply]:
    """The kind of damage and the damaged reply; one in ten is damaged twice."""
    kind = dice.choice(KINDS)
    spoilt = SPOILS[kind](dice, reply)
    if dice.random() < 0.1:
        spoilt = SPOILS[dice.choice(KINDS)](dice, spoilt)
    return kind, spoilt


# --- places in a document -------------------------------------------------------------------------


def _document(reply: Reply) -> Any:
    """The reply's JSON; something small and wrong where it has become unreadable."""
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        return {"result": None}


def _slots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a document as (container, key or index)."""
    keys: Any = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        yield value, key
        yield from _slots(value[key])


def _changed(dice: Random, reply: Reply, change: Callable[[Any, Any], None], wanted: Callable[[Any], bool]) -> Reply:
    """The reply after a change at one place whose value is wanted; unchanged where there is none."""
    document = _document(reply)
    slots = [(container, key) for container, key in _slots(document) if wanted(container[key])]
    if slots:
        change(*dice.choice(slots))
    return replace(reply, body=json.dumps(document).encode("utf-8", errors="surrogatepass"))


def _literal(dice: Random, reply: Reply, literals: tuple[str, ...], wanted: Callable[[Any], bool]) -> Reply:
    """A raw piece of text in the place of one value, JSON or not."""
    hole = "THE-HOLE-IN-THE-REPLY"
    holed = _changed(dice, reply, lambda container, key: container.__setitem__(key, hole), wanted)
    return replace(holed, body=holed.body.replace(f'"{hole}"'.encode(), dice.choice(literals).encode()))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_time(value: Any) -> bool:
    return type(value) is int and value > 1_000_000_000_000


def _anything(value: Any) -> bool:
    return True


# --- structure ------------------------------------------------------------------------------------


def drop(dice: Random, reply: Reply) -> Reply:
    return _changed(dice, reply, lambda container, key: container.pop(key), _anything)


def rename(dice: Random, reply: Reply) -> Reply:
    def change(container: Any, key: Any) -> None:
        if isinstance(container, dict):
            container[dice.choice([f"{key}_", str(key).upper(), f"{key}\u200b", "", "result", "error"])] = (
                container.pop(key)
            )
        else:
            container.reverse()

    return _changed(dice, reply, change, _anything)


def other_value(dice: Random, reply: Reply) -> Reply:
    return _changed(dice, reply, lambda box, key: box.__setitem__(key, dice.choice(OTHER_VALUES)), _anything)


def swap(dice: Random, reply: Reply) -> Reply:
    """Two values of a document in each other's place."""
    document = _document(reply)
    slots = list(_slots(document))
    if len(slots) > 1:
        (one, at), (other, there) = dice.sample(slots, 2)
        first, second = json.dumps(one[at]), json.dumps(other[there])  # by value: a box may hold the other
        one[at], other[there] = json.loads(second), json.loads(first)
    return replace(reply, body=json.dumps(document).encode())


def wrap(dice: Random, reply: Reply) -> Reply:
    def change(container: Any, key: Any) -> None:
        container[key] = dice.choice([[container[key]], {"value": container[key]}, [container[key]] * 3])

    return _changed(dice, reply, change, _anything)


def repeat_key(dice: Random, reply: Reply) -> Reply:
    """One of the keys of the envelope or below it a second time, with another value."""
    key = dice.choice(['"result"', '"id"', '"testnet"', '"usOut"', '"label"', '"size"', '"amount"', '"error"']).encode()
    value = dice.choice([b"null", b"true", b"false", b"[]", b"0", b"-1", b'"x"', b"{}"])
    at = reply.body.find(b"{", dice.randrange(max(1, len(reply.body))))
    return replace(reply, body=reply.body[: at + 1] + key + b":" + value + b"," + reply.body[at + 1 :])


def wrong_envelope(dice: Random, reply: Reply) -> Reply:
    """The frame of JSON-RPC: id, result and error, testnet."""
    document = _document(reply)
    document = document if isinstance(document, dict) else {"result": document}
    changes: list[dict[str, Any]] = [
        {"id": dice.choice([MARKER + 1, -1, str(MARKER), None, [], 1.5, True, MARKER * 1.0])},
        {"error": {"code": 10009, "message": "not_enough_funds"}},
        {"error": dice.choice([0, "", [], "x", {"code": "x"}, {"message": "x"}, {"code": 1.5}, {"code": None}])},
        {"result": None},
        {"testnet": dice.choice([False, None, "false", 0, [], "no"])},
        {"jsonrpc": dice.choice(["1.0", None, 2.0])},
    ]
    return replace(reply, body=json.dumps(document | dice.choice(changes)).encode())


def error_instead(dice: Random, reply: Reply) -> Reply:
    code, message = dice.choice(ERRORS)
    data = dice.choice([None, {}, {"reason": "x" * 3_000}, {"param": ["a"], "reason": {"b": 1}}, [1], "text"])
    error = {"code": code, "message": dice.choice([message, "", None, 5, "\x1b[2J\n"]), "data": data}
    frame = {"jsonrpc": "2.0", "id": MARKER, "error": error, "testnet": True}
    return replace(reply, body=json.dumps(frame).encode(), status=dice.choice([200, 400, 400, 400, 500]))


# --- values ------------------------------------------------------------------------------------------


def number(dice: Random, reply: Reply) -> Reply:
    return _literal(dice, reply, NUMBERS, _is_number)


def time(dice: Random, reply: Reply) -> Reply:
    return _literal(dice, reply, TIMES, _is_time)


def scaled(dice: Random, reply: Reply) -> Reply:
    """A number that is still one, only not the right one."""

    def change(container: Any, key: Any) -> None:
        container[key] = container[key] * dice.choice([-1, 0, 0.5, 0.999, 1.001, 2, 10, 1000, 1e-6])

    return _changed(dice, reply, change, _is_number)


def text(dice: Random, reply: Reply) -> Reply:
    return _changed(
        dice, reply, lambda box, key: box.__setitem__(key, dice.choice(TEXTS)), lambda value: isinstance(value, str)
    )


def escaped_text(dice: Random, reply: Reply) -> Reply:
    """Escapes that stand for no character, in the place of a text."""
    escapes = (r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', r'"\x41"', r'"\u12"', '"\\"', '"\t"', '"\x01"')
    return _literal(dice, reply, escapes, lambda value: isinstance(value, str))


def long_text(dice: Random, reply: Reply) -> Reply:
    """A megabyte now and then; it costs as much as a thousand others."""
    length = 1_000_000 if dice.random() < 0.01 else dice.choice([300, 5_000, 20_000])
    return _changed(
        dice, reply, lambda box, key: box.__setitem__(key, LONG_TEXT[:length]), lambda value: isinstance(value, str)
    )


# --- bytes --------------------------------------------------------------------------------------------


def truncate(dice: Random, reply: Reply) -> Reply:
    return replace(reply, body=reply.body[: dice.randrange(len(reply.body) + 1)])


def flip_bits(dice: Random, reply: Reply) -> Reply:
    body = bytearray(reply.body)
    for _ in range(dice.choice([1, 1, 1, 2, 8, 64]) if body else 0):
        body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
    return replace(reply, body=bytes(body))


def flip_digit(dice: Random, reply: Reply) -> Reply:
    """One digit becomes another one: mostly still a valid reply."""
    body = bytearray(reply.body)
    digits = [at for at, byte in enumerate(body) if chr(byte).isdigit()]
    if digits:
        body[dice.choice(digits)] = ord(dice.choice("0123456789"))
    return replace(reply, body=bytes(body))


def stray_bytes(dice: Random, reply: Reply) -> Reply:
    at = dice.randrange(len(reply.body) + 1)
    stray = dice.choice(
        [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\x00", b"\xf8\x88\x80\x80\x80", b"\xef\xbb\xbf", b"}"]
    )
    return replace(reply, body=reply.body[:at] + stray + reply.body[at:])


def frame_bytes(dice: Random, reply: Reply) -> Reply:
    """Something before, behind or in place of the whole reply."""
    body = reply.body
    page = b"<!DOCTYPE html><html><body><h1>503 Service Unavailable</h1></body></html>"
    choices = [b"", b" ", b"\xef\xbb\xbf" + body, body + body, body + b"\n" + body, body + b"x", b"[" + body + b"]"]
    choices += [
        b"null",
        b"[]",
        b'"text"',
        b"0",
        b"{}",
        page,
        b"\x1f\x8b\x08",
        b")]}',\n" + body,
        b"callback(" + body + b")",
    ]
    choices += [body.decode("utf-8", errors="replace").encode("utf-16"), b"{" + body]
    return replace(reply, body=dice.choice(choices))


def nest(dice: Random, reply: Reply) -> Reply:
    """Boxes in boxes, as deep as a parser may be naive."""
    depth = dice.choice([50, 100, 199, 200, 201, 255, 256, 1_000, DEPTH])
    opening, closing = dice.choice([("[", "]"), ('{"a":', "}")])
    deep = opening * depth + "1" + closing * dice.choice([depth, depth, 0, depth - 1])
    if dice.random() < 0.3:
        return replace(reply, body=deep.encode())
    return _literal(dice, reply, (deep,), _anything)


# --- HTTP -----------------------------------------------------------------------------------------------


def status(dice: Random, reply: Reply) -> Reply:
    return replace(reply, status=dice.choice(STATUSES))


def redirect(dice: Random, reply: Reply) -> Reply:
    target = dice.choice(
        ["https://evil.io/", "/", "http://test.deribit.com/api/v2", "//evil.io", "\x00", "", "http://[::1"]
    )
    return replace(reply, status=dice.choice([301, 302, 303, 307, 308]), headers=(("location", target),))


def encoding(dice: Random, reply: Reply) -> Reply:
    """A packed body that is not, is cut off or damaged, or that really is packed."""
    named = (("content-encoding", dice.choice(ENCODINGS)),)
    packed = gzip.compress(reply.body, mtime=0)
    body = dice.choice([reply.body, packed, packed[: len(packed) // 2], packed[:12] + b"\x00" + packed[12:], b""])
    return replace(reply, body=body, headers=named)


SPOILS: dict[str, Spoil] = {
    function.__name__: function
    for function in (
        *(drop, rename, other_value, swap, wrap, repeat_key, wrong_envelope, error_instead),
        *(number, time, scaled, text, escaped_text, long_text),
        *(truncate, flip_bits, flip_digit, stray_bytes, frame_bytes, nest),
        *(status, redirect, encoding),
    )
}
KINDS = tuple(SPOILS)
