"""What all tests share: they know nothing of the settings of the machine they run on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import config


@pytest.fixture(autouse=True, scope="session")
def no_settings_of_this_machine() -> Iterator[None]:
    """A developer's own .env and variables must not change what the tests see."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setattr(config, "ENV_FILE", None)
        for name in list(os.environ):
            if name.upper() in config.SETTING_NAMES:
                environment.delenv(name)
        yield
