"""Every test of signed images that names no scheme runs with all of them."""

from __future__ import annotations

import pytest
from signed_images import ALL


@pytest.fixture(params=ALL)
def scheme(request: pytest.FixtureRequest) -> str:
    return request.param
