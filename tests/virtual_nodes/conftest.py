"""Fixtures of the tests of virtual nodes."""

from __future__ import annotations

import pytest
from village import village

from py_esp_ota.adapters.memory import run_virtual


@pytest.fixture
def lived(tmp_path):
    """Run a story in a village of the test's own folder; each time is another start of the server."""

    def run(story, **options):
        async def told():
            async with village(tmp_path, **options) as open_village:
                return await story(open_village)

        return run_virtual(told())

    return run
