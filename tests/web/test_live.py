"""The streams: nothing missed, nothing sent twice, nothing that ends an event early."""

from __future__ import annotations

import asyncio
import re

import pytest
from page_stage import Node, in_process

from py_esp_ota.cloud.live import Live, Notice
from py_esp_ota.cloud.web import live
from py_esp_ota.cloud.web.jobs import fragments
from py_esp_ota.cloud.web.live import batches, changed_kinds, event, monitor
from py_esp_ota.cloud.web.site import Site
from py_esp_ota.firmware import Firmware

LAMP = Firmware("lamp", "1.1.0").to_bytes()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(live, "PAUSE_S", 0.0)


@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n"])
def test_no_text_ends_an_event_early(newline):
    text = event("row", f"a{newline}{newline}event: forged{newline}b")
    assert text == "event: row\ndata: a\ndata: \ndata: event: forged\ndata: b\n\n"


async def soon(iterator):
    return await asyncio.wait_for(anext(iterator), 5)


def test_a_batch_holds_everything_that_changed_meanwhile_and_the_first_says_listening():
    async def story():
        events = Live()
        changes = batches(events)
        assert await soon(changes) == frozenset()
        events.publish("job", "a")
        events.publish("job", "a")
        events.publish("node", "b")
        assert await soon(changes) == {Notice("job", "a"), Notice("node", "b")}
        events.publish("image", "c")
        assert await soon(changes) == {Notice("image", "c")}
        events.close()
        with pytest.raises(StopAsyncIteration):
            await soon(changes)

    asyncio.run(story())


def test_a_listener_that_leaves_is_forgotten():
    async def story():
        events = Live()
        changes = changed_kinds(events)
        assert [await soon(changes) for _ in range(3)] == [event(kind, "") for kind in ("image", "job", "node")]
        events.publish("node", "a")
        assert await soon(changes) == event("node", "")
        assert len(events._mailboxes) == 1
        await changes.aclose()
        await asyncio.sleep(0.01)
        assert not events._mailboxes

    asyncio.run(story())


def test_the_monitor_sends_the_present_state_then_only_what_differs():
    async def story(cloud, _client):
        service = cloud.service
        async with cloud.broker("lamp1") as one, cloud.broker("lamp2") as two:
            nodes = [Node("lamp1", one), Node("lamp2", two)]
            for node in nodes:
                await node.introduce()
            await asyncio.sleep(0.01)
            image = service.images.add("lamp", LAMP).ota_image_id
            other = service.jobs.create("other", image, nodes=["lamp1"]).job.ota_job_id
            job = service.jobs.create("job", image, nodes=["lamp1", "lamp2"], force_push=True).job.ota_job_id
            site = Site(service)
            stream = monitor(service.live, service.store, job, ["lamp1"], lambda shown: fragments(site, job, shown))
            first = [await soon(stream) for _ in range(6)]
            names = ["status", "overview", "facts", "actions", "row-lamp1", "history-lamp1"]
            assert [re.match(r"event: (.*)", text)[1] for text in first] == names
            await nodes[1].report(job, "failed", "Not shown on this page")
            changed = [await soon(stream) for _ in range(3)]
            assert [re.match(r"event: (.*)", text)[1] for text in changed] == ["status", "overview", "facts"]
            await nodes[0].report(other, "in-progress", "Another job")
            await nodes[0].report(job, "in-progress", "Downloading Firmware Image")
            changed = [await soon(stream) for _ in range(3)]
            assert [re.match(r"event: (.*)", text)[1] for text in changed] == ["overview", "row-lamp1", "history-lamp1"]
            assert "Downloading Firmware Image" in changed[1]
            assert "Another job" not in "".join(changed)
            service.intake.on_presence("lamp1", False)
            assert "offline" in await soon(stream)
            service.jobs.cancel(job)
            changed = [await soon(stream) for _ in range(3)]
            assert "Archive job" in changed[-1]
            await stream.aclose()

    in_process(story)
