"""Every seeded defect still fits the agent; whether the campaign notices it is `python -m tests.campaign.defects`."""

from __future__ import annotations

import pytest

from tests.campaign.defects.defects import DEFECTS


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_can_be_put_into_the_agent_and_taken_out_again(name: str) -> None:
    with DEFECTS[name].put_in():
        pass
