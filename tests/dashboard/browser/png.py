"""Pixels of a screenshot, without a library for images: a PNG of eight bits a channel is unpacked by its standard."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
SIGNATURE_BYTES = 8
COLOURED = 40  # the channels of a pixel lie this far apart: no grey


def pixels(png: bytes) -> Pixels:
    """Rows, columns, channels (three or four)."""
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    channels = {2: 3, 6: 4}[png[25]]
    raw = zlib.decompress(b"".join(body for kind, body in _chunks(png) if kind == b"IDAT"))
    rows = np.frombuffer(raw, np.uint8).reshape(height, 1 + width * channels)
    made: Pixels = np.zeros((height + 1, width * channels), np.uint8)
    for number, row in enumerate(rows):
        made[number + 1] = _unfiltered(int(row[0]), row[1:], made[number], channels)
    return made[1:].reshape(height, width, channels)


def coloured_pixels(png: bytes) -> int:
    """How many are not grey."""
    colours = pixels(png)[:, :, :3].astype(int)
    return int((colours.max(axis=2) - colours.min(axis=2) > COLOURED).sum())


def _chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], SIGNATURE_BYTES
    while place < len(png):
        length = int.from_bytes(png[place : place + 4])
        found.append((png[place + 4 : place + 8], png[place + 8 : place + 8 + length]))
        place += length + 12
    return found


def _unfiltered(kind: int, row: Pixels, above: Pixels, channels: int) -> Any:
    """One row, by the filter that its first byte names."""
    if kind in (0, 2):
        return row + above if kind == 2 else row
    if kind == 1:
        return np.cumsum(row.reshape(-1, channels), axis=0, dtype=np.uint8).reshape(-1)
    line = [int(value) for value in row]
    for n, value in enumerate(line):
        left, up = (line[n - channels], int(above[n])) if n >= channels else (0, int(above[n]))
        corner = int(above[n - channels]) if n >= channels else 0
        line[n] = (value + ((left + up) // 2 if kind == 3 else _paeth(left, up, corner))) % 256
    return np.array(line, np.uint8)


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda one: abs(guess - one))
