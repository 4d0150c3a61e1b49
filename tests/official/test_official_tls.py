"""The official client over HTTPS: it believes its own bundle alone, which can be told of our CA."""

from __future__ import annotations

import clients
import pytest
from official_bench import PASSWORD

from py_esp_ota.world import ADMIN

pytestmark = pytest.mark.sockets


def shipped_bundle():
    (bundle,) = clients.FOLDER.glob(f"{clients.NEWEST}/lib/python*/site-packages/server_cert/server_cert.pem")
    return bundle


def getnodes(world, ca):
    async def scenario():
        client = await world.client(ca=ca)
        await client("profile", "add", "here", "--base-url", world.https)
        await client("profile", "switch", "here")
        login = await client("login", "--user_name", ADMIN, "--password", PASSWORD)
        return login, await client("getuserinfo")

    return world.run(scenario())


def test_17_as_it_is_shipped_it_does_not_believe_us(world):
    login, _ = getnodes(world, None)
    assert "Unable to verify SSL certificate" in login


def test_17_a_bundle_with_our_ca_behind_a_newline(world):
    bundle = world.folder / "bundle.pem"
    bundle.write_text(f"{shipped_bundle().read_text()}\n{world.ca.read_text()}")
    login, info = getnodes(world, bundle)
    assert "Login successful" in login
    assert ADMIN in info


def test_17_our_ca_alone_as_a_wrapper_sets_it(world):
    login, info = getnodes(world, world.ca)
    assert "Login successful" in login
    assert ADMIN in info
