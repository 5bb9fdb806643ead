"""What all tests share: they know nothing of the settings of the machine they run on, and never leave it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import config
from tests.campaign.canary import network_guard


@pytest.fixture(autouse=True, scope="session")
def no_connects_outside_this_machine() -> Iterator[None]:
    """Refused where they are tried, and counted, in case the code under test takes a refusal in its stride."""
    network_guard.install()
    yield
    assert network_guard.outside == [], "the tests tried to reach something outside this machine"


@pytest.fixture(autouse=True, scope="session")
def no_settings_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A developer's own .env and variables must not change what the tests see, nor tests what is in their home."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        environment.setattr(config, "ENV_FILE", None)
        for name in list(os.environ):
            if name.upper().startswith(("DERIBIT_", "RISK_", "BTC_", "ETH_", "AGENT_", "LLM_")):  # ours, or mentioned
                environment.delenv(name)
        yield
