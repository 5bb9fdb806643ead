"""Every seeded defect still fits the agent; whether the campaign notices it is `python -m tests.campaign.defects`."""

from __future__ import annotations

import pytest

from tests.campaign.defects.defects import DEFECTS
from tests.campaign.defects.mutants import MODULES


def test_the_modules_of_defects_have_registered_theirs() -> None:
    assert len(DEFECTS) > 10 * len(MODULES)


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_can_be_put_into_the_agent_and_taken_out_again(name: str) -> None:
    with DEFECTS[name].put_in():
        pass
