"""A mistake an agent like this one could have, and how it is put into the real agent for a while.

In: nothing. Out: `DEFECTS`, context managers that patch the agent in this process, with the invariants expected to
notice. They stand in `sending_defects.py`, `reading_defects.py` and `lasting_defects.py`; `mutants.py` runs the
campaign with each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.campaign.world.schedule import Schedule

Sabotage = Callable[[], AbstractContextManager[None]]
Occasion = Callable[[Schedule], Schedule]


@dataclass(frozen=True)
class Defect:
    """One mistake, and the invariants of which at least one must notice it."""

    name: str
    what: str
    expected: tuple[str, ...]
    put_in: Sabotage
    occasion: Occasion


DEFECTS: dict[str, Defect] = {}


def defect(
    *expected: str, occasion: Occasion = lambda schedule: schedule
) -> Callable[[Callable[[], Iterator[None]]], Sabotage]:
    """Register a generator that patches, yields, and puts everything back.

    `occasion` adds to each schedule what the mistake needs to matter, where that is rare; the agent as it is must pass
    the same schedules.
    """

    def register(patch: Callable[[], Iterator[None]]) -> Sabotage:
        put_in = contextmanager(patch)
        DEFECTS[patch.__name__] = Defect(patch.__name__, (patch.__doc__ or "").strip(), expected, put_in, occasion)
        return put_in

    return register


@contextmanager
def replaced(owner: Any, **values: Any) -> Iterator[None]:
    """Attributes of a module or class are others while this lasts."""
    before = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)
