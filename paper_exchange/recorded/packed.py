"""Files of gzip members, one a snapshot: packed as they are written, and readable while they grow.

In: an open file. Out: how many of its bytes are whole members, and what comes after them: nothing, a member that a
recorder was stopped in (or is writing now), or damage. Reads the file, changes nothing.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO, Literal, NamedTuple

BLOCK_BYTES = 1 << 20
GZIP_WINDOW_BITS = 31


class Members(NamedTuple):
    """`whole_bytes`: the end of the last whole member; 0 where not even the first one is whole."""

    whole_bytes: int
    rest: Literal["none", "unfinished", "damaged"]


def members_of(file: BinaryIO) -> Members:
    """Read through once."""
    file.seek(0)
    whole_bytes, read_bytes, member = 0, 0, zlib.decompressobj(GZIP_WINDOW_BITS)
    while block := file.read(BLOCK_BYTES):
        read_bytes += len(block)
        while block:
            try:
                member.decompress(block)
            except zlib.error:
                return Members(whole_bytes, "damaged")
            block = member.unused_data
            if member.eof:
                whole_bytes, member = read_bytes - len(block), zlib.decompressobj(GZIP_WINDOW_BITS)
    return Members(whole_bytes, "none" if whole_bytes == read_bytes else "unfinished")
