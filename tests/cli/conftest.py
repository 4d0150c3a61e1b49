"""What the tests of the verbs share."""

from __future__ import annotations

import pytest
from forked import Keeper


@pytest.fixture(scope="session")
def keeper():
    """``esp-ota`` as a process of its own, without the start of a Python."""
    keeper = Keeper()
    yield keeper
    keeper.close()
