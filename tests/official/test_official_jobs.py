"""Jobs as ``esp-rainmaker-cli raw-api`` starts and watches them, with nodes whose every word is chosen here."""

from __future__ import annotations

import asyncio
import json

import pytest

from py_esp_ota.firmware import Firmware
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.messages import topic

pytestmark = pytest.mark.sockets


class Node:
    """A client of the broker that says what it is told to, in either form of the topics."""

    def __init__(self, world, node_id, *, basic_ingest=True):
        self.node_id = node_id
        self._world = world.lab.world
        self._basic_ingest = basic_ingest
        self.urls = []

    async def __aenter__(self):
        self._link = self._world.mqtt(self.node_id)
        self._mqtt = await self._link.__aenter__()
        await self._mqtt.subscribe(f"node/{self.node_id}/otaurl")
        self._ears = asyncio.create_task(self._hear())
        await self.say(
            "config",
            node_id=self.node_id,
            config_version="2020-03-20",
            info={"name": "Lamp", "fw_version": "1.0.0", "type": "Lightbulb", "model": "lamp"},
        )
        return self

    async def __aexit__(self, *raised):
        self._ears.cancel()
        await asyncio.wait([self._ears])
        await self._link.__aexit__(*raised)

    async def _hear(self):
        async for message in self._mqtt.messages():
            assert isinstance(message, Message)
            self.urls.append(json.loads(message.payload))

    async def say(self, suffix, **payload):
        name = topic(self.node_id, suffix, basic_ingest=self._basic_ingest)
        await self._mqtt.publish(name, json.dumps(payload).encode())

    async def fetch(self, fw_version="1.0.0"):
        """``otafetch``, and the URL that is the answer; ``None`` when there is none within a second."""
        before = len(self.urls)
        await self.say("otafetch", node_id=self.node_id, fw_version=fw_version)
        return await self.next_url(before)

    async def next_url(self, before=0, seconds=1.0):
        for _ in range(round(seconds * 50)):
            if len(self.urls) > before:
                return self.urls[before]
            await asyncio.sleep(0.02)
        return None

    async def report(self, job, *statuses):
        for status in statuses:
            word, _, info = status.partition(": ")
            await self.say("otastatus", ota_job_id=job, status=word, additional_info=info)


async def start(admin, name, image, *node_ids, force_push="false", user_approval="false", **body):
    body = {"ota_job_name": name, "ota_image_id": image, "nodes": list(node_ids)} | body
    query = {"force_push": force_push, "user_approval": user_approval}
    status, answer = await admin.raw("POST", "admin/otajob", body, **query)
    assert status == 200, answer
    return answer["ota_job_id"]


async def state(admin, job, node_id):
    status, answer = await admin.raw("GET", "admin/otajob/status", ota_job_id=job)
    assert status == 200, answer
    return next(
        (node["status"], node["additional_info"]) for node in answer["node_ota_status"] if node["node_id"] == node_id
    )


@pytest.fixture(scope="module")
def images(world, admin):
    async def both():
        return [await world.upload(admin, f"lamp {each}", Firmware("lamp", each).to_bytes()) for each in ("1.1", "1.2")]

    return world.run(both())


@pytest.mark.parametrize("basic_ingest", [True, False], ids=["basic ingest", "plain topics"])
def test_10_a_forced_url_comes_once_and_to_who_was_away_when_it_asks(world, admin, images, basic_ingest):
    here, away = f"here-{basic_ingest}", f"away-{basic_ingest}"

    async def scenario():
        async with Node(world, away, basic_ingest=basic_ingest):
            pass
        async with Node(world, here, basic_ingest=basic_ingest) as node:
            await asyncio.sleep(0.2)
            job = await start(admin, "forced", images[0], here, away, force_push="true")
            await node.next_url()
            again = await node.next_url(1, seconds=0.5)
            async with Node(world, away, basic_ingest=basic_ingest) as late:
                asked = await late.fetch()
                await late.report(job, "success")
            await node.report(job, "success")
            return job, node.urls, again, asked

    job, urls, again, asked = world.run(scenario())
    assert [url["ota_job_id"] for url in urls] == [job]
    assert again is None
    assert asked["ota_job_id"] == job
    assert asked["file_size"] == len(Firmware("lamp", "1.1").to_bytes())


def test_11_priority_1_beats_5_and_of_equals_the_newer_wins(world, admin, images):
    async def scenario():
        async with Node(world, "prior") as node:
            wanted = [("five", images[0], 5), ("one", images[0], 1), ("one, newer", images[1], 1)]
            jobs = {
                name: await start(admin, name, image, "prior", priority=priority) for name, image, priority in wanted
            }
            first = await node.fetch()
            for name in ("one, newer", "one"):
                await admin.raw("PUT", "admin/otajob", {"ota_job_id": jobs[name]})
            second = await node.fetch()
            await admin.raw("PUT", "admin/otajob", {"ota_job_id": jobs["five"]})
            return jobs, first, second, await node.fetch()

    jobs, first, second, third = world.run(scenario())
    assert first["ota_job_id"] == jobs["one, newer"]
    assert second["ota_job_id"] == jobs["five"]
    assert third is None


def test_12_cancelled_midway_what_was_handed_out_still_ends_and_nobody_else_is_served(world, admin, images):
    async def scenario():
        async with Node(world, "mid-a") as busy, Node(world, "mid-b") as idle:
            job = await start(admin, "midway", images[0], "mid-a", "mid-b")
            await busy.fetch()
            await busy.report(job, "in-progress: Downloading Firmware Image")
            cancelled = await admin.raw("PUT", "admin/otajob", {"ota_job_id": job})
            await busy.report(job, "success: done")
            return cancelled, await idle.fetch(), await state(admin, job, "mid-a"), await state(admin, job, "mid-b")

    cancelled, served, busy, idle = world.run(scenario())
    assert cancelled[0] == 200
    assert served is None
    assert busy == ("success", "done")
    assert idle[0] != "success"


def test_13_failed_thrice_is_not_the_end_rejected_is_and_delayed_waits(world, admin, images):
    async def scenario():
        seen = {}
        async with Node(world, "fails") as node:
            job = await start(admin, "fails", images[0], "fails")
            await node.fetch()
            await node.report(job, *["in-progress: on", "failed: no"] * 3)
            seen["failed"] = await state(admin, job, "fails")
            seen["served again"] = await node.fetch()
            await node.report(job, "success: at last")
            seen["in the end"] = await state(admin, job, "fails")
            seen["same version"] = await node.fetch("1.1")
            job = await start(admin, "rejects", images[1], "fails")
            await node.fetch()
            await node.report(job, "delayed: Not within download window.")
            seen["delayed"] = await state(admin, job, "fails")
            seen["asked later"] = await node.fetch()
            await node.report(job, "rejected: Firmware rolled back", "success: too late")
            seen["rejected"] = await state(admin, job, "fails")
            seen["never again"] = await node.fetch()
        return seen

    seen = world.run(scenario())
    assert seen["failed"] == ("failed", "no")
    assert seen["served again"] is not None
    assert seen["in the end"] == ("success", "at last")
    assert seen["same version"] is None
    assert seen["delayed"][0] == "delayed"
    assert seen["asked later"] is not None
    assert seen["rejected"][0] == "rejected"
    assert seen["never again"] is None


def test_14_an_update_that_a_user_approves(world, admin, images):
    async def scenario():
        async with Node(world, "asks") as node:
            await asyncio.sleep(0.2)
            job = await start(admin, "asks", images[0], "asks", user_approval="true")
            unasked = await node.fetch()
            offered = await admin.raw("GET", "user/nodes/ota_update", node_id="asks")
            pushed = await admin.raw("POST", "user/nodes/ota_update", {"node_id": "asks", "ota_job_id": job})
            url = await node.next_url()
            await node.report(job, "in-progress: Downloading Firmware Image")
            followed = await admin.raw("GET", "user/nodes/ota_status", node_id="asks", ota_job_id=job)
            await node.report(job, "success: done")
        await asyncio.sleep(0.2)
        await start(admin, "asks nobody", images[1], "asks", user_approval="true")
        _, offer = await admin.raw("GET", "user/nodes/ota_update", node_id="asks")
        away = await admin.raw(
            "POST", "user/nodes/ota_update", {"node_id": "asks", "ota_job_id": offer.get("ota_job_id", "")}
        )
        return unasked, offered, pushed, url, followed, away

    unasked, offered, pushed, url, followed, away = world.run(scenario())
    assert unasked is None
    assert (offered[0], offered[1]["ota_available"]) == (200, True), offered
    assert pushed[0] == 200, pushed
    assert url["fw_version"] == "1.1"
    assert "in-progress" in json.dumps(followed[1]), followed
    assert (away[0], away[1]["status"]) == (400, "failure"), away
