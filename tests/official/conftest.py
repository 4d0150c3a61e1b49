"""The official client from the package index, and a cloud on real sockets for it."""

from __future__ import annotations

import clients
import pytest
from official_bench import World

from py_esp_ota.adapters.mosquitto import find_mosquitto


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    missing = [release for release in clients.NEEDS if not clients.python(release).exists()]
    if missing:
        pytest.skip(f"esp-rainmaker-cli {', '.join(missing)} is not installed: make clients")
    if not find_mosquitto():
        pytest.skip("Mosquitto is not installed")
    world = World(tmp_path_factory.mktemp("official"))
    with world.runner:
        world.run(world.open())
        yield world
        world.run(world.close())


@pytest.fixture(scope="module")
def admin(world):
    """The admin's client, logged in over plain HTTP."""

    async def log_in():
        client = await world.client()
        await client.log_in(world.http)
        return client

    return world.run(log_in())
