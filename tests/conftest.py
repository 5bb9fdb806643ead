"""What all tests share: they know nothing of the settings of the machine they run on."""

from __future__ import annotations

import os

import pytest

import config


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own .env and variables must not change what the tests see."""
    monkeypatch.setattr(config, "ENV_FILE", None)
    for name in list(os.environ):
        if name.upper() in config.SETTING_NAMES:
            monkeypatch.delenv(name)
