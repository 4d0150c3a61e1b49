"""The page of webhooks: add one, try it, see what came of it, delete it."""

from __future__ import annotations

import asyncio
import re
from html import unescape

from page_stage import Cloud, in_process
from test_pages import words

from py_esp_ota.cloud.calls import Calls

URL = "http://127.0.0.1:9/told"


class Receiver:
    """Answers as it is told to."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []

    async def __call__(self, _url: str, _headers: object, body: bytes) -> int:
        self.bodies.append(body)
        return self.answers.pop(0) if self.answers else 204


async def brought(cloud: Cloud, receiver: Receiver, count: int) -> None:
    """Let letters be brought until so many have been answered."""
    service = cloud.service
    calls = asyncio.create_task(Calls(service.webhooks, service.ground, receiver).make())
    async with asyncio.timeout(20):
        while sum(len(service.webhooks.brought(hook.webhook_id)) for hook in service.webhooks.all()) < count:  # noqa: ASYNC110 - others may look, too
            await asyncio.sleep(0.02)
    calls.cancel()
    await asyncio.gather(calls, return_exceptions=True)


def test_a_webhook_is_added_tried_and_deleted():
    async def test(cloud: Cloud, client):
        assert "Nobody is told" in words((await client.get("/account/webhooks")).text)
        assert 'href="/account/webhooks"' in (await client.get("/account")).text
        made = await client.post("/account/webhooks/add", data={"url": URL, "kinds": "job_*, image_deleted"})
        (hook,) = cloud.service.webhooks.all()
        assert (hook.url, hook.kinds) == (URL, ["job_*", "image_deleted"])
        assert f'id="secret">{hook.secret}<' in made.text
        assert hook.secret not in (await client.get("/account/webhooks")).text
        tried = await client.post(f"/account/webhooks/{hook.webhook_id}/test")
        assert tried.headers["location"] == f"/account/webhooks?tried={hook.webhook_id}"
        assert "A letter is on its way" in (await client.get(tried.headers["location"])).text
        receiver = Receiver(500)
        await brought(cloud, receiver, 2)
        assert len(receiver.bodies) == 2
        assert all(b"webhook_tested" in body for body in receiver.bodies)
        page = words((await client.get("/account/webhooks")).text)
        assert re.search(r"arrived\s+HTTP 204.*in vain\s+HTTP 500", page)
        assert (await client.post(f"/account/webhooks/{hook.webhook_id}/delete")).status_code == 303
        assert cloud.service.webhooks.all() == []
        assert (await client.post(f"/account/webhooks/{hook.webhook_id}/delete")).status_code == 404
        assert (await client.post(f"/account/webhooks/{hook.webhook_id}/dance")).status_code == 404

    in_process(test)


def test_a_url_that_is_none_comes_back_with_its_words():
    async def test(cloud: Cloud, client):
        answer = await client.post("/account/webhooks/add", data={"url": "ftp://<b>", "kinds": "job_*"})
        assert answer.status_code == 400
        assert "Url: http:// or https://, and a host." in words(answer.text)
        assert 'value="ftp://&lt;b&gt;"' in answer.text
        assert "no event is a" in unescape(
            (await client.post("/account/webhooks/add", data={"url": URL, "kinds": "x"})).text
        )
        assert cloud.service.webhooks.all() == []

    in_process(test)


def test_a_try_is_told_to_nobody_else():
    async def test(cloud: Cloud, _client):
        service = cloud.service
        service.webhooks.add(f"{URL}/all")
        mine = service.webhooks.add(URL, ["job_*"])
        service.webhooks.test(mine.webhook_id)
        receiver = Receiver()
        await brought(cloud, receiver, 2)  # the other one is told that mine was added, and no more
        assert [body.count(b"webhook_tested") for body in receiver.bodies if mine.webhook_id.encode() in body] == [0, 1]

    in_process(test)


def test_one_that_was_given_up_is_resumed_first():
    async def test(cloud: Cloud, client):
        hook = cloud.service.webhooks.add(URL)
        given_up(cloud, hook.webhook_id)
        assert "given up" in words((await client.get("/account/webhooks")).text)
        refused = await client.post(f"/account/webhooks/{hook.webhook_id}/test")
        assert (refused.status_code, "resume it first" in refused.text) == (400, True)
        assert (await client.post(f"/account/webhooks/{hook.webhook_id}/resume")).status_code == 303
        assert cloud.service.webhooks.all()[0].active

    in_process(test)


def given_up(cloud: Cloud, webhook_id: str) -> None:
    """In vain for a whole day."""
    hooks = cloud.service.webhooks
    hooks.test(webhook_id)
    while (letter := next(iter(hooks.due()), None)) is not None:
        hooks.in_vain(letter, "HTTP 500")
        with cloud.store.connect() as tx:
            from sqlalchemy import text

            tx.execute(text("UPDATE webhook SET next_try = 0"))
