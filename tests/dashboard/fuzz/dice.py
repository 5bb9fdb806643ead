"""Requests that nobody would send: seeded, so that each can be sent again. Pure.

In: a random.Random, names that the log and the lab really hold. Out: Requests: method, raw path, raw query, raw
headers, raw body. About half are nearly right, which leads deeper than noise does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from urllib.parse import quote_from_bytes

from dashboard.ask.questions import QUESTIONS as QUESTIONS_OF_THE_LOG

HOST = b"127.0.0.1:8800"
METHODS = ("GET",) * 20 + ("POST",) * 7 + ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "BREW", "")
ODD: tuple[bytes, ...] = (
    *(b"", b"0", b"-1", b"1", b"2", b"1e999", b"nan", b"-inf", b"0x10", b"1_000", b"9" * 40, b"9" * 5_000),
    *(b"%00", b"%", b"%zz", b"%ff%fe", b"%c0%ae", b"..%2f..", b"../../../etc/passwd", b"..;/", b"//evil.example"),
    *(b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xe2\x80\xae", "é１²Ⅻ٣".encode(), b"a\r\nx-made: up", b"\t\n"),
    *(b"<script>alert(1)</script>", b"{{7*7}}", b"${x}", b"%s%n", b"' or 1=1 --", b'"', b"\\", b"|id", b"$(id)"),
    *(b"BTC", b"ETH", b"btc", b"BTC-9JAN26-93000-C", b"BTC-31FEB26-1-C", b"ETH-0JAN00-0-C", b"BTC-9JAN26-1e400-C"),
    *(b"2026-01-05", b"2026-13-45", b"0001-01-01", b"9999-12-31T23:59:59Z", b"2026-01-05T00:00:00+99:99"),
    *(b"true", b"null", b"[]", b"{}", b'{"a":' * 500, b"A" * 70_000, b"0.2,0.3", b",", b"0.2,,", b"1" + b",2" * 400),
)
NAMES = tuple(
    b"account coin q name token after sort words a b kind policy seed recording interval fills presets symbol "
    b"iteration run second_run count best setting value start end row column shown __proto__ delta_min roll_dte_days "
    b"BTC_DELTA_MAX ETH_DTE_MIN DERIBIT_CLIENT_SECRET".split()
)
QUESTIONS = (
    *(b"What did it earn in %s?", b"why line %s", b"worst %s calls", b"What if delta_max were %s?", b"status of %s"),
    *(b"what became of %s", b"compare run %s and %s", b"income by month %s", b"errors since %s", b"last %s hours"),
    *(b"30 February %s", b"near misses on %s May", b"insights %s"),
)
PLAUSIBLE: dict[str, tuple[bytes, ...]] = {
    "coin": (b"BTC", b"ETH"),
    "start": (b"2026-01-06T00:00:00Z", b"2026-01-07T12:00:00+05:30", b"0001-01-01T00:00:00Z"),
    "end": (b"2026-01-08T00:00:00Z", b"2026-01-06T00:00:00Z", b"9999-12-31T23:59:59.999999Z"),
    "symbol": (b"BTC-9JAN26-93000-C", b"ETH-9JAN26-3200-C", b"BTC-31FEB26-1-C"),
    "iteration": (b"1", b"12", b"13", b"0", b"999999999"),
    "setting": (b"delta_max", b"dte_min", b"ivrv_min", b"max_spread_pct"),
    "value": (b"0.35", b"0", b"-1", b"30", b"1e9"),
}
HEADERS = tuple(
    b"origin cookie authorization last-event-id content-length content-type range accept if-none-match host te referer "
    b"if-modified-since x-forwarded-host transfer-encoding".split()
)
WHAT_IF_IN_A_THOUSAND = 2  # each asks the policy in a process of its own


@dataclass(frozen=True)
class Request:
    """One request as it arrives, before anything was decoded."""

    method: str
    path: bytes
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def a_request(dice: Random, known: Sequence[bytes]) -> Request:
    """`known`: runs, jobs and accounts that there are."""
    method, path = dice.choice(METHODS), _path(dice, known)
    body = _body(dice, known) if method not in ("GET", "HEAD") else b""
    return Request(method, path, _query(dice, known, path), _headers(dice, body), body)


def _path(dice: Random, known: Sequence[bytes]) -> bytes:
    one, other, number = _value(dice, known), _value(dice, known), b"%d" % dice.randint(0, 40)
    line, job = b"/line/" + dice.choice(known) + b"/" + number, b"/lab/job/" + dice.choice(known)
    routes = (
        *(b"/", b"/ask", b"/lab", b"/events", b"/health", b"/metrics", b"/lab/run", b"/lab/watch", b"/lab/compare"),
        *(line, line + b"/json", b"/line/" + one + b"/" + number, b"/line/" + one + b"/" + other),
        *(job, job + b"/summary.json", b"/lab/job/" + one, b"/lab/job/" + one + b"/" + other, b"/lab/cancel/" + one),
        *(b"/static/" + one, b"/static/page.js", one, b"/" + one, b"/" + one + b"/" + other),
    )
    return dice.choice(routes)


def _value(dice: Random, known: Sequence[bytes]) -> bytes:
    kind = dice.random()
    if kind < 0.35:
        return dice.choice(known)
    if kind < 0.85:
        return dice.choice(ODD)
    return dice.randbytes(dice.randint(1, 40))


def _query(dice: Random, known: Sequence[bytes], path: bytes) -> bytes:
    if path.startswith(b"/line/") and dice.random() > WHAT_IF_IN_A_THOUSAND / 1000.0:
        return dice.choice(
            (b"", b"coin=" + quote_from_bytes(_value(dice, known)).encode(), b"delta_min=x", b"dte_min=-")
        )
    if dice.random() < 0.2:
        return b""
    if path == b"/ask" and dice.random() < 0.5:
        return _question(dice, known)
    return dice.randbytes(30) if dice.random() < 0.1 else _pairs(dice, known)


def _question(dice: Random, known: Sequence[bytes]) -> bytes:
    """A typed question with some of what it may be asked with."""
    name, question = dice.choice(list(QUESTIONS_OF_THE_LOG.items()))
    asked = [(b"name", name.encode())]
    for use in question.uses:
        if dice.random() < 0.6:
            text = dice.choice(PLAUSIBLE.get(use, known)) if dice.random() < 0.8 else _value(dice, known)
            asked.append((use.encode(), text))
    return b"&".join(name + b"=" + quote_from_bytes(text).encode() for name, text in asked)


def _pairs(dice: Random, known: Sequence[bytes]) -> bytes:
    """Fields as a form or a query has them, mostly well encoded."""
    count = dice.choice((0, 1, 1, 2, 3, 4, 8, 30, 200))
    pairs = [(dice.choice(NAMES), _value(dice, known)) for _ in range(count)]
    if dice.random() < 0.3:
        asked = dice.choice(QUESTIONS)
        pairs.append((b"q", asked.replace(b"%s", _value(dice, known)[:200])))
    is_encoded = dice.random() < 0.8
    return b"&".join(_encoded(name, is_encoded) + b"=" + _encoded(text, is_encoded) for name, text in pairs)


def _encoded(text: bytes, is_encoded: bool) -> bytes:
    return quote_from_bytes(text).encode() if is_encoded else text


def _body(dice: Random, known: Sequence[bytes]) -> bytes:
    kind = dice.random()
    if kind < 0.6:
        return _pairs(dice, known)
    return dice.choice((b"", dice.randbytes(200), b"q=" + b"x" * 30_000, b'{"q": 1}', b"&" * 5_000, b"=" * 50, b"q"))


def _headers(dice: Random, body: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """A host and an origin of ours for most, so that the rooms behind the guard are reached."""
    found = [(b"host", HOST if dice.random() < 0.97 else dice.choice(ODD)[:200])]
    if dice.random() < 0.9:
        found.append((b"origin", b"http://" + HOST))
    found.append((b"content-length", b"%d" % len(body)))
    extra = dice.choice((0, 0, 0, 1, 2, 5))
    return tuple(found + [(dice.choice(HEADERS), dice.choice(ODD)[:4_000]) for _ in range(extra)])
