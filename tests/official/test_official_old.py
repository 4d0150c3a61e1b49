"""``esp-rainmaker-cli`` 1.2.0, whose ``otaupgrade`` uploads an image and writes its URL into a param of the node."""

from __future__ import annotations

import json

import clients
import pytest
from official_bench import PASSWORD

from py_esp_ota.firmware import Firmware
from py_esp_ota.rainmaker.ota import OtaType
from py_esp_ota.world import ADMIN

pytestmark = pytest.mark.sockets


def test_15_otaupgrade_from_upload_to_success(world):
    file = world.folder / "fw.bin"
    file.write_bytes(Firmware("lamp", "2.0.0").to_bytes())

    async def scenario():
        lamp = await world.lamp("old-way", ota_type=OtaType.PARAMS)
        client = await world.client(clients.OLD)
        config = client.home / "rainmaker_config.json"
        config.write_text(json.dumps({"host": f"{world.http}/v1/"}))
        login = await client("login", "--user_name", ADMIN, "--password", PASSWORD)
        assert "Login Successful" in login, login
        said = await client("otaupgrade", "old-way", str(file))
        return said, lamp.running.version

    said, version = world.run(scenario())
    assert "success" in said.lower(), said
    assert version == "2.0.0", said
