"""The collector is switched off amid a decision and always on again after it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from policies.garbage import SELDOM, no_garbage, searched_afterwards

Quiet = Callable[[], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def _collector_put_back() -> Iterator[None]:
    was_on, threshold = gc.isenabled(), gc.get_threshold()
    gc.enable()
    yield
    gc.set_threshold(*threshold)
    (gc.enable if was_on else gc.disable)()


@pytest.mark.parametrize("quiet", [searched_afterwards, no_garbage])
def test_inside_nothing_is_searched_and_afterwards_it_is_again_whatever_happened(quiet: Quiet) -> None:
    with quiet():
        assert not gc.isenabled()
        with quiet():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyboardInterrupt), quiet():
        raise KeyboardInterrupt
    assert gc.isenabled()


@pytest.mark.parametrize("quiet", [searched_afterwards, no_garbage])
def test_who_has_switched_it_off_finds_it_off(quiet: Quiet) -> None:
    gc.disable()
    with quiet():
        pass
    assert not gc.isenabled()


@pytest.mark.parametrize(("before", "after"), [(700, SELDOM), (0, 0), (2 * SELDOM, 2 * SELDOM)])
def test_searches_become_seldom_unless_they_are_already_or_there_are_none(before: int, after: int) -> None:
    gc.set_threshold(before, 7, 9)
    with searched_afterwards():
        pass
    assert gc.get_threshold() == (after, 7, 9)


def test_what_was_read_is_left_to_the_full_search_and_stays_within_its_reach() -> None:
    gc.unfreeze()  # what another test has left frozen, as a long command does
    with no_garbage():
        read: list[list[int]] = [[] for _ in range(1_000)]
    assert gc.get_freeze_count() == 0
    assert not any(one in gc.get_objects(0) for one in read[:3])
    assert len(gc.get_objects(2)) >= len(read)
