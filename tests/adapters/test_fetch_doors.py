"""One download client, twice: into an app of this process under virtual time, and over TCP and TLS."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from broker_bench import run_real, soon
from download_app import DATA, app, events

from py_esp_ota.adapters.body import Body
from py_esp_ota.adapters.http import HttpFetch, serve
from py_esp_ota.adapters.memory import AsgiFetch, run_virtual
from py_esp_ota.errors import FetchError
from py_esp_ota.idf.esp_http_client.client import HttpClient
from py_esp_ota.idf.esp_http_client.config import HttpClientConfig
from py_esp_ota.ports import METHOD
from py_esp_ota.sdkconfig import Sdkconfig

TIMEOUT = 0.3
BOTH_KINDS = Sdkconfig(esp_http_client_enable_basic_auth=True, esp_http_client_enable_digest_auth=True)


@asynccontextmanager
async def in_process(_ca):
    yield AsgiFetch(app, timeout=TIMEOUT), "https://cloud.lab"


@asynccontextmanager
async def over_https(ca):
    files = ca.server()
    async with (
        serve(app, certfile=files.cert, keyfile=files.key) as url,
        HttpFetch(ca.ca_file, timeout=TIMEOUT) as fetch,
    ):
        yield fetch, url


@asynccontextmanager
async def over_http(_ca):
    async with serve(app) as url, HttpFetch(timeout=TIMEOUT) as fetch:
        yield fetch, url


@dataclass
class Client:
    run: Callable[[Any], Any]
    open: Callable[[], Any]

    def get(self, path, story, headers=None):
        """Play ``story`` with the response of one request."""

        async def whole():
            async with self.open() as (fetch, url), fetch(url + path, headers or {}) as response:
                return await story(response)

        return self.run(whole())


WAYS = {"asgi": (in_process, run_virtual), "https": (over_https, run_real), "http": (over_http, run_real)}


@pytest.fixture(params=["asgi", *(pytest.param(name, marks=pytest.mark.sockets) for name in ("https", "http"))])
def client(request, ca, caplog):
    caplog.set_level(logging.CRITICAL)  # servers tell at length about the mistakes made here on purpose
    opener, run = WAYS[request.param]
    return Client(run, lambda: opener(ca))


async def whole_body(response, limit=1024):
    parts = []
    while part := await response.read(limit):
        parts.append(part)
    return parts


# --------------------------------------------------------------------------------------------------------- what comes


def test_status_headers_and_body_come_as_sent(client):
    async def story(response):
        return response.status, response.headers, b"".join(await whole_body(response))

    status, headers, body = client.get("/data", story)
    assert status == 200
    assert headers["content-length"] == str(len(DATA))
    assert headers["content-type"] == "application/octet-stream"
    assert all(name == name.lower() for name in headers)
    assert body == DATA


def test_a_head_has_the_headers_and_no_body(client):
    async def story(response):
        return response.status, response.headers["content-length"], await response.read(10)

    assert client.get("/data", story, {METHOD: "HEAD"}) == (200, str(len(DATA)), b"")


def test_the_method_is_no_header(client):
    async def story(response):
        return json.loads(await response.read(4096))

    echoed = client.get("/echo/x", story, {METHOD: "GET", "X-Other": "1"})
    assert [name for name, _value in echoed["headers"] if "method" in name] == []


@pytest.mark.parametrize("limit", [1, 1000, 1024, 65536, 3 << 20])
def test_reads_are_full_until_the_end(client, limit):
    async def story(response):
        return await whole_body(response, limit)

    path, total = ("/chunked", 74_030) if limit == 1 else ("/data", len(DATA))
    parts = client.get(path, story)
    assert {len(part) for part in parts[:-1]} <= {limit}
    assert sum(map(len, parts)) == total


def test_the_end_stays_the_end(client):
    async def story(response):
        await whole_body(response, 1 << 20)
        return [await response.read(10) for _ in range(3)]

    assert client.get("/data", story) == [b"", b"", b""]


def test_a_read_of_nothing_is_nothing(client):
    async def story(response):
        return await response.read(0), await response.read(3)

    assert client.get("/data", story) == (b"", DATA[:3])


def test_a_range_is_asked_for_and_given(client):
    async def story(response):
        return response.status, response.headers["content-range"], b"".join(await whole_body(response))

    start = len(DATA) - 2000
    status, content_range, body = client.get("/data", story, {"Range": f"bytes={start}-"})
    assert (status, content_range, body) == (206, f"bytes {start}-{len(DATA) - 1}/{len(DATA)}", DATA[start:])


def test_a_chunked_body_has_no_length_and_comes_whole(client):
    async def story(response):
        return response.headers, b"".join(await whole_body(response))

    headers, body = client.get("/chunked", story)
    assert "content-length" not in headers
    assert headers["transfer-encoding"] == "chunked"
    assert body == b"".join(bytes([size % 251]) * size for size in (1, 1023, 1, 3000, 70_000, 5))


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [("/missing", 404, b'{"detail":"Not Found"}'), ("/nothing", 204, b""), ("/bug", 500, b"Internal Server Error")],
)
def test_other_statuses_are_answers_not_errors(client, path, status, body):
    async def story(response):
        return response.status, await response.read(1000)

    assert client.get(path, story) == (status, body)


@pytest.mark.parametrize("kind", ["basic", "digest"])
def test_a_name_in_the_url_opens_what_is_closed(client, kind):
    """``esp_http_client`` on this door; the name does not leave with the URL."""

    async def whole():
        async with client.open() as (fetch, url):
            scheme, _, rest = url.partition("://")
            config = HttpClientConfig(url=f"{scheme}://lamp:light@{rest}/known/{kind}?v=1")
            made = HttpClient(config, fetch, BOTH_KINDS, esp_random=iter(range(100)).__next__)
            await made.perform("HEAD")
            seen = [made.status]
            await made.open()
            if made.status == 401:  # the answer to the HEAD was for a HEAD
                made.add_auth()
                await made.pass_over()
                await made.open()
            data = await made.read(2000)
            await made.close()
            return [*seen, made.status, data]

    assert client.run(whole()) == [200, 200, DATA[:1000]]


def test_a_redirect_is_not_followed(client):
    async def story(response):
        return response.status, response.headers["location"], await response.read(10)

    assert client.get("/moved", story) == (302, "https://elsewhere.example/data", b"")


def test_a_content_encoding_is_not_interpreted(client):
    async def story(response):
        return response.headers["content-encoding"], await response.read(100)

    assert client.get("/zipped", story) == ("gzip", b"not really gzip")


# --------------------------------------------------------------------------------------------------------- what is sent


def test_the_request_is_the_chips(client):
    async def story(response):
        return json.loads(b"".join(await whole_body(response)))

    seen = client.get("/echo/a%20b%2Fc/%E2%82%AC?x=1&y=%2B&z", story, {"Range": "bytes=4096-"})
    assert seen["path"] == "/echo/a%20b%2Fc/%E2%82%AC"
    assert seen["decoded"] == "/echo/a b/c/€"
    assert seen["query"] == "x=1&y=%2B&z"
    headers = dict(map(tuple, seen["headers"]))
    assert headers.pop("host").split(":")[0] in {"cloud.lab", "127.0.0.1"}
    assert headers == {"user-agent": "ESP32 HTTP Client/1.0", "range": "bytes=4096-"}


def test_the_caller_may_give_another_name(client):
    async def story(response):
        return json.loads(b"".join(await whole_body(response)))["headers"]

    headers = client.get("/echo/", story, {"user-agent": "ESP32 HTTP Client/2.0"})
    assert [value for name, value in headers if name == "user-agent"] == ["ESP32 HTTP Client/2.0"]


# ------------------------------------------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize("path", ["/short", "/broken"])
def test_a_body_that_breaks_off_gives_what_came_and_then_the_error(client, path):
    async def story(response):
        got = [await response.read(500), await response.read(500)]
        for _ in range(2):
            with pytest.raises(FetchError) as caught:
                await response.read(500)
            got.append(caught.value.kind)
        return got

    assert client.get(path, story) == [b"x" * 500, b"x" * 100, "closed", "closed"]


def test_a_stall_times_out_again_and_again_and_loses_nothing(client):
    async def story(response):
        got = [await response.read(500)]
        while True:
            try:
                got.append(await response.read(500))
                break
            except FetchError as error:
                got.append(error.kind)
        return [*got, await response.read(500), await response.read(500)]

    first, *timeouts, across, last, end = client.get("/stall", story)
    assert timeouts == ["timeout", "timeout"]  # 0.75 s of silence, 0.3 s each
    assert [first, across, last, end] == [b"x" * 500, b"x" * 100 + b"y" * 400, b"y" * 200, b""]


def test_a_header_that_does_not_come_is_a_time_out(client):
    async def story(_response):
        raise AssertionError

    with pytest.raises(FetchError) as caught:
        client.get("/late", story)
    assert (caught.value.kind, caught.value.errno) == ("timeout", 0)


def test_leaving_early_tells_the_server(client):
    events.clear()

    async def story():
        async with client.open() as (fetch, url):
            async with fetch(url + "/endless", {}) as response:
                assert await response.read(2500) == b"x" * 2500
            await soon(lambda: "left" in events)

    client.run(story())


def test_a_device_that_loses_power_in_a_read_leaves_the_server_at_peace(client):
    events.clear()

    async def device(fetch, url):
        async with fetch(url + "/endless", {}) as response:
            while True:
                await response.read(1024)

    async def story():
        async with client.open() as (fetch, url):
            task = asyncio.create_task(device(fetch, url))
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.wait([task])
            await soon(lambda: "left" in events)

    client.run(story())


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/x", "https:///x", "no url", "https://127.0.0.1:port/x", "https://\x7f\x00/"]
)
def test_what_is_no_url_of_ours_cannot_be_connected_to(client, url):
    async def story():
        async with client.open() as (fetch, _), fetch(url, {}):
            raise AssertionError

    with pytest.raises(FetchError) as caught:
        client.run(story())
    assert caught.value.kind == "connect"


def test_many_downloads_run_at_the_same_time(client):
    async def one(fetch, url):
        async with fetch(url + "/data", {}) as response:
            return b"".join(await whole_body(response, 4096))

    async def story():
        async with client.open() as (fetch, url):
            return await asyncio.gather(*(one(fetch, url) for _ in range(8)))

    assert client.run(story()) == [DATA] * 8


# ---------------------------------------------------------------------------------------------------------- in memory


def test_in_memory_only_the_origin_answers_when_one_is_given():
    async def story():
        async with AsgiFetch(app, origin="https://cloud.lab") as fetch:
            async with fetch("https://cloud.lab/moved", {}) as response:
                assert response.status == 302
            with pytest.raises(FetchError) as caught:
                async with fetch("https://elsewhere.lab/moved", {}):
                    pass
        return caught.value.kind, caught.value.errno

    assert run_virtual(story()) == ("connect", errno.ECONNREFUSED)


def test_in_memory_the_app_waits_for_the_reader():
    sent = []

    async def eager(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
            sent.append(number)

    async def story():
        async with AsgiFetch(eager)("https://cloud.lab/", {}) as response:
            await response.read(1000)
            await asyncio.sleep(10)
            return len(sent)

    assert run_virtual(story()) < 100


def test_in_memory_more_than_the_promised_length_is_not_body():
    async def talkative(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello, and more"})

    async def story():
        async with AsgiFetch(talkative)("https://cloud.lab/", {}) as response:
            return await response.read(100), await response.read(100)

    assert run_virtual(story()) == (b"hello", b"")


def test_a_mistake_of_ours_is_not_taken_for_the_networks():
    async def story():
        body = Body(1)
        await body.put(b"ab")
        body.end(KeyError("a bug"))
        first = await body.read(5)
        with pytest.raises(KeyError):
            await body.read(5)
        return first

    assert run_virtual(story()) == b"ab"
