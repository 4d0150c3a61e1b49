"""Settings every test shares."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

# Deterministic in CI; `HYPOTHESIS_PROFILE=slow` searches longer and differently each time.
settings.register_profile(
    "fast", max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("slow", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


def pytest_collection_finish():
    """Thousands of tests, and what they import, stay to the end: the garbage collector need not look at them again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(autouse=True)
def _leaks_show_where_they_are_made(request):
    """A socket that a test forgot must fail that test, not whichever runs when the garbage is collected."""
    yield
    if request.node.get_closest_marker("sockets"):
        gc.collect()
