"""A made-up key pair that must be seen nowhere, and the search for it in everything a run leaves behind.

In: bytes of a log, a console, a file. Out: which secret was found there and how it was written. `CREDENTIALS` (id,
secret) go to the agent as its key, the tokens are what a canary exchange gives out. Found is every 8-character
run of each: as it is (in any case), URL-encoded, JSON-escaped, both inside each other, and in base64 at any of its
three alignments. Pure; `canary_runs.py` does the running.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote_to_bytes

RUN_LETTERS = 8
BASE64_LETTERS = 10  # a run of eight bytes fills at least nine letters and a bit; fewer would be found by chance
MAX_PEELS = 2


@dataclass(frozen=True, slots=True)
class Canary:
    """What an account's owner would not like to see in a log. The letters that encodings change are among them."""

    client_id: str = "cAnArY8q"
    client_secret: str = "Wt4Yq0/Xw7+Lk2Zp9=Vd3Rj8~Nb5Hs1_Mg6-Fe0Uc9Qa2"
    access_token: str = "1767614580123.1Kq7Tz3b.Gx5Vn9/Rw2+Jd8Yf4_Hs6Lm0-Pc1Zu7Ea3"
    refresh_token: str = "1767614580123.2Rf8Wj4c.Bz6Xm0/Tq3+Kv9Dg5_Nh7Ls1-Yp2Eu8Oa4"

    def named(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in self.__slots__}


CANARY = Canary()
CREDENTIALS = (CANARY.client_id, CANARY.client_secret)


def find_canary(blob: bytes) -> list[str]:
    """What was found, such as "client_secret (url)"; empty where there is nothing of the canary."""
    found = {
        f"{name} ({' in '.join(ways)})" if ways else name
        for ways, text in _readings(blob)
        for name in _in_plain_text(text.lower())
    }
    found |= {f"{name} (base64)" for _, text in _readings(blob) for name in _in_base64(text)}
    return sorted(found)


def find_in_folder(folder: Path) -> list[str]:
    """The same for all files below a folder, their names included."""
    found = []
    for path in sorted(folder.rglob("*")):
        blob = str(path.relative_to(folder)).encode() + b"\n" + (path.read_bytes() if path.is_file() else b"")
        found += [f"{path.name}: {name}" for name in find_canary(blob)]
    return found


# --- ways to write the same thing -----------------------------------------------------------------------


def _readings(blob: bytes) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """The bytes as they are, and after taking escapes off once or twice; only readings that differ."""
    seen = {blob}
    layer: list[tuple[tuple[str, ...], bytes]] = [((), blob)]
    yield (), blob
    for _ in range(MAX_PEELS):
        peeled = [(((way, *ways)), peel(text)) for ways, text in layer for way, peel in PEELS.items()]
        layer = [(ways, text) for ways, text in peeled if text not in seen]
        seen |= {text for _, text in layer}
        yield from layer


def _url_decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text) if b"%" in text else text


def _json_decoded(text: bytes) -> bytes:
    """Backslash escapes of JSON (and of repr) resolved; unknown ones lose the backslash."""
    if b"\\" not in text:
        return text
    resolved = re.sub(rb"\\u00([0-7][0-9a-fA-F])|\\x([0-7][0-9a-fA-F])", _character, text)
    return re.sub(rb"\\(.)", rb"\1", resolved, flags=re.DOTALL)


def _character(match: re.Match[bytes]) -> bytes:
    return bytes([int(match.group(1) or match.group(2), 16)])


PEELS = {"url": _url_decoded, "json": _json_decoded}


# --- the search ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Needles:
    """The pieces of a secret that give it away. Each holds a whole block, and there are fewer blocks to look for."""

    name: str
    pieces: tuple[bytes, ...]
    blocks: tuple[bytes, ...]

    def are_in(self, text: bytes) -> bool:
        return any(block in text for block in self.blocks) and any(piece in text for piece in self.pieces)


def _in_plain_text(text: bytes) -> Iterator[str]:
    """`text` in small letters: a host name loses its capitals, and is a leak all the same."""
    return (needles.name for needles in _plain_needles() if needles.are_in(text))


@lru_cache
def _plain_needles() -> tuple[Needles, ...]:
    values = {name: [_own_part(name, value.lower().encode())] for name, value in CANARY.named().items()}
    return tuple(_needles(name, texts, RUN_LETTERS) for name, texts in values.items())


def _own_part(name: str, secret: bytes) -> bytes:
    """Tokens begin with the time they were given out at, which is no secret and stands in every log."""
    return secret.partition(b".")[2] if name.endswith("token") else secret


def _in_base64(text: bytes) -> Iterator[str]:
    usual = text.replace(b"-", b"+").replace(b"_", b"/")  # the alphabet for URLs
    return (needles.name for needles in _base64_needles() if needles.are_in(usual))


@lru_cache
def _base64_needles() -> tuple[Needles, ...]:
    values = {name: list(_encoded(_own_part(name, value.encode()))) for name, value in CANARY.named().items()}
    return tuple(_needles(name, texts, BASE64_LETTERS) for name, texts in values.items())


def _encoded(secret: bytes) -> Iterator[bytes]:
    """The letters that stand for these bytes alone, for each of the three places they can begin at."""
    for before in range(3):
        letters = base64.b64encode(b"\0" * before + secret)
        whole = (before + len(secret)) * 8 // 6
        yield letters[-(-before * 8 // 6) : whole]


def _needles(name: str, texts: list[bytes], length: int) -> Needles:
    """All runs of a length. A run of 2n letters holds one of the blocks of n letters that begin at multiples of n."""
    half = length // 2
    pieces = tuple(text[at : at + length] for text in texts for at in range(len(text) - length + 1))
    blocks = tuple(text[at : at + half] for text in texts for at in range(0, len(text) - half + 1, half))
    return Needles(name, pieces, blocks)
