"""The one stream: nothing missed, nothing sent twice, nothing rendered twice or for nobody."""

from __future__ import annotations

import asyncio
import json
import re
from html import unescape

import httpx2
import pytest
from page_stage import Node, in_process, introduced, on_a_socket, reported

from py_esp_ota.cloud.live import REMEMBERED, Live, Notice
from py_esp_ota.cloud.web import live
from py_esp_ota.cloud.web import monitor as job_pages
from py_esp_ota.cloud.web.live import EventStream, Listing, Views, event
from py_esp_ota.firmware import Firmware

LAMP = Firmware("lamp", "1.1.0").to_bytes()
LIST = "/images"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(live, "PAUSE_S", 0.0)
    monkeypatch.setattr(live, "REST", 0.0)


class Shelf:
    """A list page over a live: what it says is up to the test, and it counts how often it is asked."""

    def __init__(self, **named: str) -> None:
        self.live = Live()
        self.views = Views(self.live, "e")
        self.text = "old"
        self.rendered = 0
        self.views.add(Listing.maker(LIST, {"image"}, ("q",), self.show))

    def show(self, q: str = "") -> str:
        self.rendered += 1
        return self.text + q

    def change(self, text: str) -> None:
        self.text = text
        self.live.publish("image", "i")


async def news(stream):
    """The next view event, beats left out."""
    async with asyncio.timeout(20):
        async for text in stream:
            name, data = re.fullmatch(r"event: (\w+)\ndata: (.*)\n\n", text.decode()).groups()
            if name == "view":
                return json.loads(data)
    raise AssertionError("the stream ended")


async def silent(stream, shelf, *, after):
    """So many renderings, and nothing to be said; then a change is."""
    coming = asyncio.ensure_future(news(stream))
    async with asyncio.timeout(20):
        while shelf.rendered < after:  # noqa: ASYNC110 (turns of the loop, not time)
            await asyncio.sleep(0)
    for _ in range(20):  # turns of the loop, more than it takes from a rendering to a stream
        await asyncio.sleep(0)
    assert not coming.done()
    shelf.change(f"change {after}")
    assert (await coming)["parts"] == {"list": f"change {after}"}


# ------------------------------------------------------------------------------------------------------------- numbers


def test_what_came_after_a_number_is_remembered_for_a_while():
    changes = Live()
    for number in range(REMEMBERED + 10):
        changes.publish("job", str(number), "n")
    assert changes.number == REMEMBERED + 10
    assert changes.since(changes.number) == []
    assert changes.since(changes.number - 2) == [Notice("job", str(REMEMBERED + number), "n") for number in (8, 9)]
    assert len(changes.since(10)) == REMEMBERED
    assert changes.since(9) is None
    assert changes.since(changes.number + 1) is None
    assert changes.last(lambda notice: notice.id == "20") == 21
    assert changes.last(lambda notice: notice.kind == "image") == 10


def test_no_text_ends_an_event_early():
    text = event("view", json.dumps({"a": "\r\n\r\nevent: forged\r\u2028"}, ensure_ascii=False)).decode()
    assert text.count("\n") == 3
    assert "\r" not in text


# ------------------------------------------------------------------------------------------------------- nothing missed


def test_what_changes_between_a_page_and_its_stream_is_sent_at_once():
    with on_a_socket() as stage, httpx2.Client(base_url=stage.url, timeout=20) as client:
        page = client.get("/images").text
        ((view, at),) = re.findall(r'data-view="([^"]*)" data-at="([^"]*)"', page)
        stage.do(lambda service: service.images.add("in between", LAMP))
        with client.stream("GET", "/live", params={"view": f"{at} {unescape(view)}"}) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = (line for line in stream.iter_lines() if line)
            assert [next(lines) for _ in range(3)] == ["event: beat", "data: ", "event: view"]
            assert "in between" in json.loads(next(lines).removeprefix("data: "))["parts"]["list"]


@pytest.mark.parametrize(
    ("at", "behind"),
    [
        ("e.1", False),
        ("e.2", False),
        ("e.0", True),
        ("d.1", True),
        ("", True),
        ("e.", True),
        ("e.-1", True),
        ("1", True),
    ],
)
def test_a_stream_begins_where_its_page_ended_and_with_everything_for_a_page_of_another_run(at, behind):
    async def story():
        shelf = Shelf()
        shelf.change("new")
        shelf.live.publish("node", "is nothing to this view")
        stream = shelf.views.stream({LIST: at})
        if behind:
            assert await news(stream) == {"view": LIST, "at": "e.2", "parts": {"list": "new"}}
        await silent(stream, shelf, after=1)
        await stream.aclose()

    asyncio.run(story())


def test_a_change_while_the_first_look_waits_its_turn_is_not_taken_for_seen():
    async def story():
        shelf = Shelf()
        stream = shelf.views.stream({LIST: shelf.views.at})
        assert await anext(stream) == event("beat")
        shelf.change("new")  # before the renderer had its first turn
        assert (await news(stream))["parts"] == {"list": "new"}
        await stream.aclose()

    asyncio.run(story())


def test_who_is_not_let_in_any_more_sees_no_more():
    async def story():
        shelf, admitted = Shelf(), [True]
        stream = shelf.views.stream({LIST: shelf.views.at}, lambda: admitted[0])
        assert await anext(stream) == event("beat")
        shelf.change("new")
        assert (await news(stream))["parts"] == {"list": "new"}
        admitted.clear()
        admitted.append(False)
        shelf.change("secret")
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    asyncio.run(story())


def test_who_was_away_for_more_than_is_remembered_gets_everything():
    async def story():
        shelf = Shelf()
        at = shelf.views.at
        for _ in range(REMEMBERED + 1):
            shelf.live.publish("node", "n")
        stream = shelf.views.stream({LIST: at})
        assert (await news(stream))["parts"] == {"list": "old"}
        await stream.aclose()

    asyncio.run(story())


def test_the_last_state_always_comes_through_however_fast_it_changes():
    async def story():
        shelf = Shelf()
        stream = shelf.views.stream({LIST: shelf.views.at})
        await anext(stream)
        for number in range(10_000):  # more than is remembered, and no turn for the renderer
            shelf.change(str(number))
        assert (await news(stream))["parts"] == {"list": "9999"}
        assert shelf.rendered == 1
        await stream.aclose()

    asyncio.run(story())


# -------------------------------------------------------------------------------------------------------- nothing twice


def test_a_change_is_rendered_once_for_all_who_watch_and_for_nobody_else():
    async def story():
        shelf = Shelf()
        shelf.change("nobody watches")
        await asyncio.sleep(0.01)
        assert shelf.rendered == 0
        streams = [shelf.views.stream({LIST: ""}) for _ in range(10)]
        other = shelf.views.stream({f"{LIST}?q=x": ""})
        for stream in streams:
            assert (await news(stream))["parts"] == {"list": "nobody watches"}
        assert (await news(other))["parts"] == {"list": "nobody watchesx"}
        assert shelf.rendered == 2
        shelf.change("new")
        texts = {id(await asyncio.wait_for(anext(stream), 20)) for stream in streams}
        assert len(texts) == 1  # the same bytes
        assert (await news(other))["parts"] == {"list": "newx"}
        assert shelf.rendered == 4
        await other.aclose()
        shelf.change("newer")
        await news(streams[0])
        assert shelf.rendered == 5
        for stream in streams:
            await stream.aclose()
        assert not shelf.views.watched
        await asyncio.sleep(0)
        assert not shelf.live.listeners

    asyncio.run(story())


def test_what_is_the_same_is_not_sent_again():
    async def story():
        shelf = Shelf()
        stream = shelf.views.stream({LIST: shelf.views.at})
        await silent(stream, shelf, after=1)
        shelf.change(shelf.text)
        await silent(stream, shelf, after=3)
        await stream.aclose()

    asyncio.run(story())


def test_renderings_take_a_tenth_of_the_time_however_many_views_are_busy(monkeypatch):
    pauses = []

    async def story():
        monkeypatch.setattr(live, "REST", 9.0)
        clock = [0.0]
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda: clock[0])
        shelf = Shelf()
        sleep = asyncio.sleep

        async def rest(seconds):
            pauses.append(seconds)
            await sleep(0)

        monkeypatch.setattr(live.asyncio, "sleep", rest)

        def slow(q: str = "") -> str:
            clock[0] += 0.25
            return q

        shelf.views.add(Listing.maker("/slow", "image", ("q",), slow))
        stream = shelf.views.stream({f"/slow?q={number}": "" for number in range(3)})
        for _ in range(3):
            await news(stream)
        await stream.aclose()

    asyncio.run(story())
    assert [pause for pause in pauses if pause] == [2.25, 2.25, 2.25]


def test_a_view_that_fails_is_tried_again_and_harms_no_other(caplog):
    async def story():
        shelf = Shelf()
        fails = [ZeroDivisionError()]

        def show() -> str:
            if fails:
                raise fails.pop()
            return "at last"

        shelf.views.add(Listing.maker("/bad", "image", (), show))
        stream = shelf.views.stream({"/bad": "", "/nobody's": "", "//[": "", LIST: ""})
        assert {(await news(stream))["view"] for _ in range(2)} == {"/bad", LIST}
        assert "/bad could not be rendered" in caplog.text
        await stream.aclose()

    asyncio.run(story())


def test_a_service_that_ends_ends_its_streams_and_a_page_may_come_back():
    async def story():
        shelf = Shelf()
        streams = [shelf.views.stream({LIST: ""}), shelf.views.stream({})]
        for stream in streams:
            assert await anext(stream) == event("beat")
        await news(streams[0])
        ends = [asyncio.create_task(anext(stream, "end")) for stream in streams]
        await asyncio.sleep(0)
        shelf.live.close()
        again = shelf.views.stream({LIST: ""})
        assert (await news(again))["parts"] == {"list": "old"}
        assert await asyncio.wait_for(asyncio.gather(*ends), 20) == ["end", "end"]
        await again.aclose()

    asyncio.run(story())


def test_a_browser_that_goes_while_it_takes_nothing_leaves_no_view_behind():
    async def story():
        shelf, offered = Shelf(), asyncio.Event()

        async def send(message):
            if message["type"] == "http.response.body":
                offered.set()
                await asyncio.Event().wait()  # the browser does not read

        async def receive():
            await offered.wait()
            assert list(shelf.views.watched) == [LIST]
            return {"type": "http.disconnect"}

        response = EventStream(shelf.views.stream({LIST: ""}))
        async with asyncio.timeout(20):
            await response({"type": "http"}, receive, send)
        assert offered.is_set()
        assert not shelf.views.watched

    asyncio.run(story())


# --------------------------------------------------------------------------------------------------------- the monitor


def test_the_monitor_sends_what_differs_and_makes_only_those_rows_anew(monkeypatch):
    made = []
    node_line = job_pages.node_line
    monkeypatch.setattr(job_pages, "node_line", lambda *args: (made.append(args[2].node_id), node_line(*args))[1])

    async def story(cloud, _client):
        service, views = cloud.service, cloud.app.state.views
        async with cloud.broker("lamp1") as one, cloud.broker("lamp2") as two:
            nodes = [Node("lamp1", one), Node("lamp2", two)]
            for node in nodes:
                await node.introduce()
                await cloud.until(introduced(node.node_id))
            image = service.images.add("lamp", LAMP).ota_image_id
            other = service.jobs.create("other", image, nodes=["lamp1"]).job.ota_job_id
            job = service.jobs.create("job", image, nodes=["lamp1", "lamp2"], force_push=True).job.ota_job_id
            address = f"/jobs/{job}?status=started"
            stream = views.stream({address: ""})
            rows = ["nodes/row-lamp1", "nodes/history-lamp1", "nodes/row-lamp2", "nodes/history-lamp2"]
            first = await news(stream)
            assert list(first["parts"]) == [*job_pages.PARTS, *rows]
            made.clear()
            service.intake.on_presence("lamp1", False)
            changed = await news(stream)
            assert set(changed["parts"]) - {"versions"} == {"nodes/row-lamp1"}
            assert "offline" in changed["parts"]["nodes/row-lamp1"]
            assert made == ["lamp1"]
            # The other one leaves the status that is shown: the table is another, and its rows come with it.
            await nodes[1].report(job, "failed", "No room")
            changed = await news(stream)
            assert list(changed["parts"]) == ["status", "overview", "reasons", "facts", "nodes", *rows[:2]]
            assert "lamp2" not in changed["parts"]["nodes"]
            assert made == ["lamp1"]
            await nodes[0].report(other, "in-progress", "Another job")
            await cloud.until(reported(other, "Another job"))
            service.jobs.cancel(job)
            changed = await news(stream)
            assert "Archive job" in changed["parts"]["actions"]
            assert "Another job" not in json.dumps(changed)
            await stream.aclose()

    in_process(story)


def test_a_node_that_reports_without_end_does_not_make_its_history_grow_without_end(monkeypatch):
    monkeypatch.setattr(job_pages, "HISTORY_SHOWN", 3)

    async def story(cloud, client):
        service = cloud.service
        async with cloud.broker("lamp1") as mqtt:
            node = Node("lamp1", mqtt)
            await node.introduce()
            await cloud.until(introduced("lamp1"))
            image = service.images.add("lamp", LAMP).ota_image_id
            job = service.jobs.create("job", image, nodes=["lamp1"]).job.ota_job_id
            for number in range(5):
                await node.report(job, "in-progress", f"Said {number}")
            await cloud.until(reported(job, "Said 4"))
        page = (await client.get(f"/jobs/{job}")).text
        assert "What was reported before" in page
        assert re.findall(r"Said \d(?=</span></li>)", page.replace("\n", "")) == ["Said 2", "Said 3", "Said 4"]

    in_process(story)
