"""Clients that never come to an end: each is told or cut off, and nobody else is."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from broker_bench import run_real

from py_esp_ota.adapters import http, patience
from py_esp_ota.adapters.http import serve
from py_esp_ota.adapters.patience import connections

pytestmark = pytest.mark.sockets
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(patience, "HEADER_S", 0.4)
    monkeypatch.setattr(patience, "BODY_S", 0.4)
    monkeypatch.setattr(patience, "BODY_RATE", 64 << 10)


async def echo(scope, receive, send):
    """Reads the whole body and says how long it was; ``/refuse`` does not read it, ``/stream`` does not end."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
        return
    size, more = 0, scope["path"] != "/refuse"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(8 if scope["path"] == "/stream" else 0):
        await send({"type": "http.response.body", "body": b"tick ", "more_body": True})
        await asyncio.sleep(0.15)
    await send({"type": "http.response.body", "body": b"%d bytes" % size})


@asynccontextmanager
async def connection() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with serve(echo) as url, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        try:
            yield reader, writer
        finally:
            writer.close()


def answer_to(*pieces: bytes, pause: float = 0.0) -> bytes:
    """All that the server says until it closes, to pieces that come one by one and then to silence."""

    async def story() -> bytes:
        async with connection() as (reader, writer):
            answer = asyncio.create_task(reader.read(-1))
            for piece in pieces:
                if answer.done():
                    break
                writer.write(piece)
                await asyncio.sleep(pause)
            try:
                return await answer
            except ConnectionResetError:
                return b"reset"

    return run_real(story())


@pytest.mark.parametrize(
    ("pieces", "pause"),
    [((b"GET / HTTP/1.1\r\nHost:",), 0.0), ([bytes([byte]) for byte in b"GET / HTTP/1.1\r\nHost: xxxxxxxxxxx"], 0.05)],
    ids=["stalled", "dripping"],
)
def test_a_header_that_does_not_come_is_408(caplog, pieces, pause):
    answer = answer_to(*pieces, pause=pause)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"The header of the request took too long." in answer
    assert caplog.records == []


def test_a_connection_in_reserve_is_closed_without_a_word():
    assert answer_to() == b""


def test_a_second_header_that_does_not_come_is_408():
    answer = answer_to(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HT", pause=0.1)
    assert answer.index(b"0 bytes") < answer.index(b"408")


@pytest.mark.parametrize(
    ("pieces", "pause"),
    [((POST % 100, b"x"), 0.0), ((POST % 100, *[b"x"] * 40), 0.05)],
    ids=["stalled", "dripping"],
)
def test_a_body_that_does_not_come_is_408(caplog, pieces, pause):
    answer = answer_to(*pieces, pause=pause)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"The body of the request took too long." in answer
    assert b"200" not in answer
    assert caplog.records == []


def test_a_chunked_body_that_does_not_end_is_408():
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert answer_to(head, *[b"1\r\nx\r\n"] * 40, pause=0.05).startswith(b"HTTP/1.1 408 ")


def test_who_was_answered_and_goes_on_sending_is_cut_off(caplog):
    answer = answer_to(POST.replace(b"/ ", b"/refuse ", 1) % 100, *[b"x"] * 40, pause=0.05)
    assert answer.startswith(b"HTTP/1.1 200 ") or answer == b"reset"
    assert caplog.records == []


def test_a_long_body_that_gets_on_is_taken():
    pieces = [b"x" * 20_000] * 10  # for a second, which is longer than any limit here
    answer = answer_to(POST % 200_000, *pieces, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", pause=0.1)
    assert b"200000 bytes" in answer
    assert answer.count(b"HTTP/1.1 200 ") == 2


def test_a_long_response_is_none_of_its_business():
    answer = answer_to(b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.count(b"tick ") == 8


def test_requests_one_behind_the_other_are_all_answered():
    one = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = answer_to(one * 3 + POST % 3, b"abc" + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answer.count(b"0 bytes") == 4
    assert answer.count(b"3 bytes") == 1


def test_a_server_takes_as_many_as_there_are_files_for():
    assert [connections(files) for files in (256, 1024, 4096, 1 << 20)] == [160, 640, 2048, 2048]


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "then"), [(64, 300, 200, 200), (64, 300, 400, 300), (200, 300, 100, 200)]
)
def test_a_process_may_open_as_many_files_as_it_wants_and_the_system_lets_it(soft, hard, wanted, then):
    program = (
        "import resource; from py_esp_ota.adapters.open_files import open_files, raise_open_files; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); raise_open_files({wanted}); print(open_files())"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"%d\n" % then


def test_too_many_at_once_are_told(monkeypatch, caplog):
    monkeypatch.setattr(http, "connections", lambda _files: 3)
    caplog.set_level(logging.ERROR)

    async def story() -> bytes:
        async with serve(echo) as url, asyncio.timeout(10):
            port = urlsplit(url).port
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await reader.read(-1)
            for _, each in [*idle, (reader, writer)]:
                each.close()
            return answer

    assert run_real(story()).startswith(b"HTTP/1.1 503 ")
    assert caplog.records == []


# ------------------------------------------------------------------------------------------------ what does not belong

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
STREAM = GET.replace(b"/ ", b"/stream ", 1)


@pytest.mark.parametrize(
    ("pieces", "pause"),
    [
        ((GET[:-2] + b"X: " + b"x" * 20_000 + b"\r\n\r\n",), 0.0),
        ((b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",), 0.0),
        ((GET[:-2] + b"".join(b"X%d: x\r\n" % number for number in range(4000)) + b"\r\n",), 0.0),
        ((GET[:-2] + b"X: x", *[b"x" * 5000] * 4), 0.05),  # never whole
    ],
    ids=["value", "path", "lines", "pieces"],
)
def test_a_header_that_is_too_long_is_400(pieces, pause):
    assert answer_to(*pieces, pause=pause).startswith(b"HTTP/1.1 400 ")


def test_a_long_body_in_front_of_a_header_is_none_of_it():
    body = b"x" * 100_000
    answer = answer_to(POST % len(body) + body + GET[:20], GET[20:-2] + b"Connection: close\r\n\r\n", pause=0.1)
    assert answer.count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize(
    "behind", [b"nonsense\r\n\r\n", GET * 100, GET + b"\x16\x03"], ids=["nonsense", "many", "late"]
)
def test_what_does_not_belong_behind_a_request_leaves_its_answer_whole(behind):
    answer = answer_to(STREAM + behind)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"tick ") == 8
    assert answer.endswith(b"0\r\n\r\n")
    assert b"400" not in answer


def test_nonsense_in_a_body_is_400_at_once():
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert answer_to(head, b"1\r\nx\r\nno number\r\n").startswith(b"HTTP/1.1 400 ")


def test_empty_lines_do_not_keep_a_connection():
    assert answer_to(GET, *[b"\r\n"] * 40, pause=0.05).count(b"HTTP/1.1 ") == 1


def test_a_body_behind_a_long_answer_has_its_time():
    answer = answer_to(STREAM + POST % 6 + b"abc", b"def" + GET[:-2] + b"Connection: close\r\n\r\n", pause=0.8)
    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert b"6 bytes" in answer


def test_whoever_leaves_is_gone_for_a_request_in_front_of_others_too():
    gone: list[str] = []

    async def waits(scope, receive, send):
        if scope["type"] == "lifespan":
            await echo(scope, receive, send)
            return
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.append(scope["path"])

    async def story() -> None:
        async with serve(waits) as url, asyncio.timeout(10):
            _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
            writer.write(STREAM + GET)
            await asyncio.sleep(0.1)
            writer.transport.abort()
            await asyncio.sleep(0.1)

    run_real(story())
    assert gone == ["/stream"]


# ------------------------------------------------------------------------------------------------------- slow readers

BODY = bytes(range(256)) * (64 << 10)  # 16 MiB: more than kernels take
PIECE = 128 << 10
sent: list[int] = []


async def firmware(scope, receive, send):
    """Hands out ``BODY`` in slices."""
    if scope["type"] == "lifespan":
        await echo(scope, receive, send)
        return
    length = (b"content-length", str(len(BODY)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    view = memoryview(BODY)
    for start in range(0, len(BODY), PIECE):
        sent.append(PIECE)
        await send({"type": "http.response.body", "body": view[start : start + PIECE], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def readers(count: int, ca=None) -> AsyncIterator[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    """Clients that asked for ``BODY`` and have read the header."""
    files = ca.server() if ca else None
    trust = ssl.create_default_context(cafile=ca.ca_file) if ca else None
    both = {"certfile": files.cert, "keyfile": files.key} if files else {}
    async with serve(firmware, **both) as url, asyncio.timeout(60):
        port = urlsplit(url).port
        lines = []
        try:
            for _ in range(count):
                lines.append(await asyncio.open_connection("127.0.0.1", port, ssl=trust, limit=PIECE))
                lines[-1][1].write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for reader, _ in lines:
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            yield lines
        finally:
            for _, writer in lines:
                writer.transport.abort()


@pytest.fixture(params=["http", "https"])
def authority(request):
    return request.getfixturevalue("ca") if request.param == "https" else None


def test_who_takes_nothing_of_a_response_is_cut_off(monkeypatch, caplog, authority):
    monkeypatch.setattr(patience, "READ_S", 0.3)

    async def story() -> int:
        async with readers(1, authority) as [(reader, _)]:
            await asyncio.sleep(1)
            try:
                return len(await reader.read(-1))
            except (ConnectionResetError, ssl.SSLError):
                return 0

    assert run_real(story()) < len(BODY)
    assert caplog.records == []


def test_who_reads_slowly_gets_it_all(monkeypatch, caplog, authority):
    monkeypatch.setattr(patience, "READ_S", 0.3)

    async def story() -> bytes:
        async with readers(1, authority) as [(reader, _)]:
            got = bytearray()
            while piece := await reader.read(1 << 20):
                got += piece
                await asyncio.sleep(0.02)
            return bytes(got)

    assert run_real(story()) == BODY  # in more than twice the time that one may take nothing
    assert caplog.records == []


def asks(port: int, trust: ssl.SSLContext | None = None) -> socket.socket:
    """A client with no buffer of its own, which has read the beginning of a header."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    line.connect(("127.0.0.1", port))
    line = trust.wrap_socket(line, server_hostname="127.0.0.1") if trust else line
    line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert line.recv(12) == b"HTTP/1.1 200"
    return line


def test_little_waits_for_slow_readers(authority):
    count = 20
    sent.clear()

    async def story() -> tuple[int, int]:
        files = authority.server() if authority else None
        trust = ssl.create_default_context(cafile=authority.ca_file) if authority else None
        both = {"certfile": files.cert, "keyfile": files.key} if files else {}
        async with serve(firmware, **both) as url, asyncio.timeout(60):
            port = urlsplit(url).port
            tracemalloc.start()
            lines = [await asyncio.to_thread(asks, port, trust) for _ in range(count)]
            await asyncio.sleep(0.2)
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            handed_over = sum(sent)
            for line in lines:
                line.close()
            await asyncio.sleep(0.1)
            return held // count, handed_over // count

    held, handed_over = run_real(story())
    assert held < PIECE + (256 << 10 if authority else 0)  # what asyncio's TLS receives into has these KiB
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        assert handed_over < 1 << 20  # else the kernel takes megabytes for each


def test_readers_that_leave_are_not_written_to(caplog):
    def leaves(port: int) -> None:
        line = asks(port)
        line.recv(1 << 20)
        line.close()

    async def story() -> None:
        async with serve(firmware) as url, asyncio.timeout(60):
            port = urlsplit(url).port
            await asyncio.gather(*(asyncio.to_thread(leaves, port) for _ in range(60)))
            await asyncio.sleep(0.1)

    run_real(story())
    assert [record.getMessage() for record in caplog.records] == []
