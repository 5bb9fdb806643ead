"""One log for all questions, and what is true of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.ask.log_view import LogView, view_of
from dashboard.log_index.index import LogIndex
from tests.dashboard.ask.truth import Truth
from tests.dashboard.logs import a_log_of_thirty_days


@pytest.fixture(scope="session")
def log_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_log_of_thirty_days(tmp_path_factory.mktemp("thirty_days"))


@pytest.fixture(scope="session")
def view(log_folder: Path) -> LogView:
    index = LogIndex(log_folder, None)
    index.refresh()
    found = view_of(index)
    assert found is not None
    return found


@pytest.fixture(scope="session")
def truth(log_folder: Path) -> Truth:
    return Truth(log_folder)
