"""Settings of the tests that run pytest in a process of its own."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _without_what_nobody_uses(request, monkeypatch):
    """A plugin of somebody else that is installed here takes longer to start than most of these tests."""
    if "pytester" in request.fixturenames:
        request.getfixturevalue("pytester")  # which clears the variable first
        monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:anyio")
