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


@pytest.fixture(autouse=True)
def _leaks_show_where_they_are_made(request):
    """A socket that a test forgot must fail that test, not whichever runs when the garbage is collected."""
    yield
    if request.node.get_closest_marker("sockets"):
        gc.collect()


@pytest.fixture(scope="session")
def postgresql():
    """A server for all tests, and for none when nobody asks."""
    pytest.importorskip("psycopg")
    import postgresql_server

    if lacking := postgresql_server.missing():
        pytest.skip(lacking)
    server = postgresql_server.Server()
    yield server
    server.close()
