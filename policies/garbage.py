"""When Python searches for garbage: between decisions, not amid one, and not at all while a million objects are read.

In and out: nothing; the collector of the process is switched. States, actions and records hold no cycles and are freed
without a search; one amid a decision looks at thousands of objects that are about to go, and moves them to where they
are looked at again.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 50_000


@contextmanager
def searched_afterwards() -> Iterator[None]:
    """For a decision: a search that falls due inside waits until it has been made. It took a sixth of the time.

    From the first decision on a process searches after SELDOM new objects: the state alone has more than the usual 700.
    """
    was_on = gc.isenabled()
    try:
        gc.disable()
        first, *others = gc.get_threshold()
        if 0 < first < SELDOM:
            gc.set_threshold(SELDOM, *others)
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def no_garbage() -> Iterator[None]:
    """For reading many objects that stay: what was made inside is left to the full search, which comes seldom."""
    with searched_afterwards():
        try:
            yield
        finally:
            _leave_to_full_search()


def _leave_to_full_search() -> None:
    """Else the next search would look at all that was made meanwhile, which costs a third of reading it."""
    has_frozen = gc.get_freeze_count() > 0
    gc.freeze()
    if not has_frozen:  # else what others have frozen would be searched again
        gc.unfreeze()  # into the oldest generation, without a look
