"""HTTP as strangers send it, over real sockets: refused early, never a 500, never a traceback in the log."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from cloud_bench import Bench, user_token
from hypothesis import given, settings
from hypothesis import strategies as st

from py_esp_ota.adapters.http import serve
from py_esp_ota.cloud.api import absent
from py_esp_ota.cloud.web import mount_web
from py_esp_ota.firmware import Firmware

pytestmark = pytest.mark.sockets
LAMP = Firmware("lamp", "1.1.0").to_bytes()


class Line:
    """Connections to one cloud, byte by byte."""

    def __init__(self, port: int) -> None:
        self.port = port

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    def head(self, method: str, path: str, length: int, *more: str) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Content-Length: {length}", *more]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def status_of(self, sent: bytes) -> int:
        """The status of what is answered to these bytes, while the rest of them never comes."""
        async with self.open() as (reader, writer), asyncio.timeout(5):
            writer.write(sent)
            return int((await reader.readuntil(b"\r\n")).split()[1])

    async def break_off(self, sent: bytes) -> None:
        """Send this and hang up."""
        async with self.open() as (_, writer):
            writer.write(sent)
            await writer.drain()
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.1)


def over_sockets(bench: Bench, story: Callable[[Line], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        async with serve(bench.app) as url, asyncio.timeout(30):
            return await story(Line(urlsplit(url).port or 0))

    return asyncio.run(run())


@pytest.fixture
def whole(bench):
    """API and page."""
    mount_web(bench.app, bench.service)
    return bench


# -------------------------------------------------------------------------------------------- refused before it is read

JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/admin/otaimage"),
        ("POST", "/v1/user/otaimage"),
        ("PUT", "/v1/user/nodes?node_id=n1"),
        ("POST", "/v1/admin/otajob"),
    ],
)
@pytest.mark.parametrize("token", ["", "nonsense"])
def test_a_bad_token_is_401_without_a_byte_of_the_body(whole, method, path, token):
    async def story(line):
        return await line.status_of(line.head(method, path, 1_000_000, f"Authorization: {token}", JSON))

    assert over_sockets(whole, story) == 401


def test_a_user_who_is_no_admin_is_403_without_a_byte_of_the_body(whole):
    token = user_token(whole)

    async def story(line):
        return await line.status_of(line.head("POST", "/v1/admin/otaimage", 1_000_000, f"Authorization: {token}", JSON))

    assert over_sockets(whole, story) == 403


@pytest.mark.parametrize(("token", "status"), [("forged", 403), ("", 403), (None, 404)])
def test_an_upload_behind_a_bad_link_is_refused_without_a_byte_of_it(whole, token, status):
    ota_image_id, url = whole.service.images.request_upload("fw")
    if token is None:  # a good link whose upload is over
        token = url.partition("token=")[2]
        whole.service.images.put_upload(ota_image_id, token, LAMP)
        whole.service.images.confirm_upload(ota_image_id)

    async def story(line):
        return await line.status_of(line.head("PUT", f"/v1/ota/upload/{ota_image_id}?token={token}", len(LAMP)))

    assert over_sockets(whole, story) == status


def test_who_waits_to_be_told_to_send_is_told_not_to(whole):
    async def story(line):
        head = line.head("POST", "/v1/admin/otaimage", 1_000_000, "Authorization: x", JSON, "Expect: 100-continue")
        return await line.status_of(head)

    assert over_sockets(whole, story) == 401  # and not 100


# ----------------------------------------------------------------------------------------------------------- broken off

BOUNDARY = b'--x\r\nContent-Disposition: form-data; name="file"; filename="lamp.bin"\r\n\r\n'


def test_an_upload_that_breaks_off_is_one_line_in_the_log(whole, caplog):
    ota_image_id, url = whole.service.images.request_upload("fw")
    token = url.partition("token=")[2]
    multipart = "Content-Type: multipart/form-data; boundary=x"
    sent = {
        "PUT /v1/ota/upload": ("PUT", f"/v1/ota/upload/{ota_image_id}?token={token}", LAMP, "X: y"),
        "POST /v1/admin/otaimage": ("POST", "/v1/admin/otaimage", b'{"image_name":"a', f"Authorization: {whole.token}"),
        "POST /v1/login2": ("POST", "/v1/login2", b'{"user_name":', JSON),
        "POST /images/upload": ("POST", "/images/upload", BOUNDARY + LAMP, multipart),
        "POST /images/preview": ("POST", "/images/preview", BOUNDARY + LAMP, multipart),
    }

    async def story(line):
        for start, (method, path, body, *more) in sent.items():
            caplog.clear()
            await line.break_off(line.head(method, path, len(body) + 1000, *more) + body)
            (record,) = caplog.records
            assert record.getMessage().startswith(start)
            assert record.getMessage().endswith(f"was broken off after {len(body)} bytes")
            assert (record.levelname, record.exc_info) == ("WARNING", None)

    over_sockets(whole, story)
    assert whole.service.images.find().total == 0


def test_a_path_cannot_write_into_the_log(whole, caplog):
    async def story(line):
        await line.break_off(line.head("PUT", "/v1/ota/upload/%0Ax%1B[2J?token=", 10) + b"x")
        await line.break_off(
            line.head("POST", "/images/%0A%1B[2J/start", 10, "Content-Type: multipart/form-data; boundary=x") + b"x"
        )

    over_sockets(whole, story)
    assert not any(not record.getMessage().isprintable() for record in caplog.records)


def test_a_download_that_breaks_off_is_no_event(whole, caplog):
    image = whole.service.images.url(
        whole.service.images.add("fw", Firmware("lamp", "1", size=1 << 20).to_bytes()).ota_image_id
    )

    async def story(line):
        await line.break_off(line.head("GET", image.removeprefix("http://cloud.lab"), 0))

    over_sockets(whole, story)
    assert caplog.records == []


# ------------------------------------------------------------------------------------------------- heads without an end

LONG, TOO_LONG = 60_000, 2_000_000  # between 64 KB and 320 KB it depends on how the bytes come in
FLOODS: dict[str, tuple[str, list[str], int | None]] = {
    "1,000 headers": ("", [f"X-{number}: {'y' * 40}" for number in range(1000)], None),
    "a header of 60 KB": ("", ["X: " + "y" * LONG], None),
    "a cookie of 60 KB": ("", ["Cookie: " + "a=b; " * (LONG // 5)], None),
    "a token of 60 KB": ("", ["Authorization: " + "a." * (LONG // 2)], None),
    "a range of 60 KB": ("", ["Range: bytes=" + "1-2," * (LONG // 4)], None),
    "a content type of 60 KB": ("", ["Content-Type: multipart/form-data; " + "a=b;" * (LONG // 4)], None),
    "a parameter of 60 KB": ("node_id=" + "n" * LONG, [], None),
    "a thousand parameters": (
        "&".join(f"node_id={number}&start_id=%{number % 100:02}" for number in range(1500)),
        [],
        None,
    ),
    "percent signs": ("%" * LONG, [], None),
    "a URL of 2 MB": ("x=" + "y" * TOO_LONG, [], 400),
    "a header of 2 MB": ("", ["X: " + "y" * TOO_LONG], 400),
    "100,000 headers": ("", ["X: " + "y" * 20] * 100_000, 400),
    "two lengths": ("", ["Content-Length: 1", "Content-Length: 2"], 400),
    "a length that is none": ("", ["Content-Length: -1"], 400),
    "a length of 30 digits": ("", ["Content-Length: " + "9" * 30], None),
    "another coding": ("", ["Transfer-Encoding: gzip, chunked"], 400),
    "no header": ("", ["no colon"], 400),
    "a null in a header": ("", ["X: \0"], 400),
}


def _calls(app) -> list[tuple[str, str]]:
    """Every call of the API and the page. Of those that are not served one stands for all: they have one answer."""
    paths = {
        (method, re.sub(r"\{[^}]*\}", "x", route.path))
        for route in app.routes
        if hasattr(route, "methods") and route not in absent.ROUTES[1:]
        for method in route.methods
    }
    assert paths >= {("GET", "/v1/user"), ("POST", "/v1/logout"), ("POST", "/images/upload"), ("GET", "/docs")}
    return sorted(paths)


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_headers_and_a_url_without_end_are_a_line_at_most(whole, caplog, flood):
    query, more, status = FLOODS[flood]

    async def story(line: Line) -> None:
        for method, path in _calls(whole.app):
            caplog.clear()
            target = f"{path}?{query}" if query else path
            lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{line.port}", "Connection: close", *more]
            async with line.open() as (reader, writer), asyncio.timeout(5):
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
                try:
                    await writer.drain()
                    answered = int((await reader.readuntil(b"\r\n")).split()[1])
                except (
                    ConnectionError,
                    asyncio.IncompleteReadError,
                ):  # it was answered, and who went on sending did not hear it
                    answered = 400
            assert answered == status if status else answered < 500 or answered == 501, (method, path)
            assert len(caplog.records) <= 1, (method, path)
            assert all(record.levelname == "WARNING" and not record.exc_info for record in caplog.records)

    over_sockets(whole, story)


# ------------------------------------------------------------------------------------------------------------- anything

PATHS = [
    "/", "/images", "/images/upload", "/images/preview", "/images/x/start", "/jobs", "/jobs/x/cancel", "/nodes",
    "/static/app.js", "/static/../site.py", "/v1/login2", "/v1/user2", "/v1/admin/otaimage", "/v1/admin/otajob",
    "/v1/user/nodes?node_id=n1", "/v1/ota/upload/x?token=0.0", "/v1/ota/image/x/firmware.bin?token=zz.",
    "/openapi.json", "/docs", "/v1/user/node_group", "*", "/%00", "/%ff%fe", "//", "/?" + "a=b&" * 50,
]  # fmt: skip
FORM = "multipart/form-data"
CONTENT_TYPES = [
    "application/json", "application/json; charset=utf-7", FORM, f"{FORM}; boundary=", f"{FORM}; boundary=x",
    f"{FORM}; boundary={'y' * 300}", "application/x-www-form-urlencoded", "text/plain", "\x7f", "a/b;;=",
]  # fmt: skip
PIECES = [
    b"--x\r\n", b"--x--\r\n", b"\r\n\r\n", b"\r\n", BOUNDARY, LAMP[:300], b"Content-Disposition: form-data",
    b'Content-Disposition: form-data; name="file"; filename="a"', b'Content-Disposition: form-data; name="name"',
    b"Content-Type: ", b"Content-Transfer-Encoding: base64\r\n", b'{"user_name":"a","password":', b"[" * 500,
    b"job_name=a&nodes=%00&target=all", b"\x00\xff", b'"', b"}", b"%", b"&" * 2000,
]  # fmt: skip
header_values = st.sampled_from(CONTENT_TYPES) | st.text(
    st.characters(min_codepoint=32, max_codepoint=255), max_size=30
)
headers = st.dictionaries(
    st.sampled_from(
        [
            "Content-Type",
            "Authorization",
            "Origin",
            "Cookie",
            "Range",
            "If-Range",
            "HX-Request",
            "Expect",
            "Sec-Fetch-Site",
            "X",
        ]
    ),
    header_values,
    max_size=4,
)
bodies = st.lists(st.sampled_from(PIECES) | st.binary(max_size=40), max_size=8).map(b"".join)
methods = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "X"])


def test_no_request_is_a_500_or_a_traceback(whole, caplog):
    whole.join("n1")
    whole.job("n1", image=whole.image(name="fw"))
    caplog.set_level(logging.ERROR)

    async def exchange(line: Line, request: bytes) -> bytes:
        async with line.open() as (reader, writer), asyncio.timeout(5):
            writer.write(request)
            writer.write_eof()
            return await reader.read(400)

    async def story(line: Line) -> None:
        loop = asyncio.get_running_loop()

        @settings(max_examples=4 * settings().max_examples)
        @given(methods, st.sampled_from(PATHS), headers, bodies, st.integers(-1, 1))
        def attack(method, path, more, body, off):
            lines = [f"{name}: {value}" for name, value in more.items()]
            head = line.head(method, path, max(len(body) + off, 0), *lines, "Connection: close")
            answer = asyncio.run_coroutine_threadsafe(exchange(line, head + body), loop).result(10)
            assert not answer.startswith(b"HTTP/1.1 5"), answer

        await asyncio.to_thread(attack)

    over_sockets(whole, story)
    assert [record.getMessage() for record in caplog.records] == []


def test_no_bytes_at_all_are_a_500_or_a_traceback(whole, caplog):
    caplog.set_level(logging.ERROR)
    good = (
        b"POST /v1/login2 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    cuts = st.tuples(st.integers(0, len(good)), st.integers(0, len(good)), st.binary(max_size=20))

    async def exchange(line: Line, request: bytes) -> bytes:
        async with line.open() as (reader, writer), asyncio.timeout(5):
            writer.write(request)
            writer.write_eof()
            try:
                return await reader.read(400)
            except ConnectionResetError:
                return b""

    async def story(line: Line) -> None:
        loop = asyncio.get_running_loop()

        @settings(max_examples=4 * settings().max_examples)
        @given(st.lists(cuts, max_size=3))
        def attack(changes):
            request = good
            for start, end, instead in changes:
                request = request[:start] + instead + request[end:]
            answer = asyncio.run_coroutine_threadsafe(exchange(line, request), loop).result(10)
            assert not answer.startswith(b"HTTP/1.1 5"), answer

        await asyncio.to_thread(attack)

    over_sockets(whole, story)
    assert [record.getMessage() for record in caplog.records] == []
