"""A user gets a node: asked over REST, said over MQTT, by both with one secret."""

from __future__ import annotations

import asyncio

import pytest

from py_esp_ota import Lab
from py_esp_ota.firmware import Firmware

APP = Firmware("lamp", "1.0.0").to_bytes()
ANN, PASSWORD = "ann@example.com", "a long secret"


class User:
    """Somebody with an account in the lab's cloud."""

    def __init__(self, lab, mail):
        self.lab, self.mail = lab, mail

    async def call(self, method, path, **options):
        answer = await self.lab.world.api.request(method, f"/v1/{path}", **options)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def sign_up(self):
        await self.call("POST", "user2", json={"user_name": ANN, "password": PASSWORD})
        await self.call("POST", "user2", json={"user_name": ANN, "verification_code": self.mail[-1]})
        tokens = await self.call("POST", "login2", json={"user_name": ANN, "password": PASSWORD})
        self.headers = {"Authorization": tokens["accesstoken"]}
        self.user_id = (await self.get("user"))["user_id"]

    async def get(self, path):
        return await self.call("GET", path, headers=self.headers)

    async def ask_for(self, node_id, secret):
        body = {"node_id": node_id, "secret_key": secret, "operation": "add"}
        return (await self.call("PUT", "user/nodes/mapping", headers=self.headers, json=body))["request_id"]

    async def becomes(self, request, wanted, seconds):
        for _ in range(seconds):
            if (await self.get(f"user/nodes/mapping?request_id={request}"))["request_status"] == wanted:
                return
            await asyncio.sleep(1)
        raise TimeoutError(wanted)


@pytest.mark.parametrize("node_first", [False, True])
def test_a_node_belongs_to_whom_it_was_given(node_first):
    mail = []

    async def story(lab):
        lamp = lab.device("two_ota", firmware=APP, node_id="lamp1")
        with pytest.raises(RuntimeError, match="no RainMaker app runs on lamp1"):
            lamp.map_user("ann", "x")
        ann = User(lab, mail)
        await ann.sign_up()
        lamp.power_on()
        await lab.settled("lamp1", seconds=60)
        if node_first:
            lamp.map_user(ann.user_id, "told to both")
            await asyncio.sleep(60)
            assert (await ann.get("user/nodes"))["nodes"] == []
        request = await ann.ask_for("lamp1", "told to both")
        if not node_first:
            await ann.becomes(request, "requested", 1)
            lamp.map_user(ann.user_id, "told to both")
        await ann.becomes(request, "confirmed", 5)
        assert (await ann.get("user/nodes"))["nodes"] == ["lamp1"]

    with Lab(deliver=lambda _name, code: mail.append(code)) as lab:
        lab.run(story(lab))


def test_who_only_knows_a_nodes_name_waits_in_vain():
    mail = []

    async def story(lab):
        lamp = lab.device("two_ota", firmware=APP, node_id="lamp1")
        ann = User(lab, mail)
        await ann.sign_up()
        lamp.power_on()
        await lab.settled("lamp1", seconds=60)
        request = await ann.ask_for("lamp1", "a guess")
        lamp.map_user(ann.user_id, "what the node was told")
        await ann.becomes(request, "timedout", 310)
        assert (await ann.get("user/nodes"))["nodes"] == []

    with Lab(deliver=lambda _name, code: mail.append(code)) as lab:
        lab.run(story(lab))
