"""A sequence whose rows are made when one is looked at: of five hundred options an iteration sees two or three.

In: how to make one row. Out: the sequence; columns of the same rows stand beside it in the classes made from it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeVar, overload

Row = TypeVar("Row", covariant=True)


class MadeRows(Sequence[Row]):
    """`make_row` makes the row of a number; how many there are is for the classes made from this one to say."""

    make_row: Callable[[int], Row]

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...

    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        rows = range(len(self))[place]
        return self.row(rows) if isinstance(rows, int) else [self.row(row) for row in rows]

    def row(self, number: int) -> Row:
        """Made once."""
        if number not in self._made:
            self._made[number] = self.make_row(number)
        return self._made[number]

    @cached_property
    def _made(self) -> dict[int, Row]:
        return {}
