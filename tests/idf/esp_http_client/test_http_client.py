"""``esp_http_client`` as ``esp_https_ota`` drives it: URLs, redirects, where a body ends, errno."""

import asyncio
import errno
from contextlib import suppress
from typing import Any

import pytest
from scripted_fetch import Answer, ScriptedFetch

from py_esp_ota.errors import EspErr, FetchError, HttpsOtaError
from py_esp_ota.idf import newlib
from py_esp_ota.idf.esp_http_client.client import HttpClient
from py_esp_ota.idf.esp_http_client.config import HttpClientConfig
from py_esp_ota.idf.esp_http_client.request import USER_AGENT, request_error
from py_esp_ota.idf.esp_http_client.url import parse_url, redirection
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig

URL = "https://h/x.bin"
DOWNGRADE = (
    "HTTPS origin can only redirect to https:// targets (got /y). "
    "Set disable_auto_redirect and handle manually if intended."
)


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        ("https://h/x", True),
        ("http://h:8080/x?y=z", True),
        ("HTTPS://H/x", True),
        ("https://user:pass@h/x", True),
        (r"https://h/?a=1\u0026b=2", True),
        ("", False),
        ("h/x", False),
        ("/x", False),
        ("ftp://h/x", True),  # that there is no way is found out later
        ("f+tp://h/x", False),
        ("https://", False),
        ("https:///x", False),
        ("https://h:0/x", True),
        ("https://h:/x", False),
        ("https://my_host/x", False),
        ("https://h#x", False),
        ("https://h?a=1#x?#", True),
        ("https://[::1%25eth0]:8443/x", True),
        ("https://[::1%]/x", False),
        ("https://[]/x", False),
        ("https://h:99999/x", False),
        ("https://h:port/x", False),
        ("https://[::1/x", False),
        ("https://h/a b", False),
        ("https://h/\n", False),
        ("https://h/\udcff", False),
        ("https://h/ü", False),
        ("https://a@b@h/x", False),
        ("https://us\\er@h/x", False),
        ("https://us%20er:p:q@h/x", True),
    ],
)
def test_which_urls_parse(url, usable):
    assert (parse_url(url) is not None) is usable


@pytest.mark.parametrize(
    ("origin", "location", "target"),
    [
        ("https://a/x", "https://b/y", "https://b/y"),
        ("https://a/x", "HTTPS://b/y", "HTTPS://b/y"),
        ("http://a/x", "http://b:81/y", "http://b:81/y"),
        ("http://a:8080/x/z", "/y?q=1", "http://a:8080/y?q=1"),
        # the transport was chosen by the first URL
        ("http://a/x", "https://b/y", "http://b:443/y"),
        ("http://a/x", "https://b:8443/y", "http://b:8443/y"),
        ("https://a/x", "http://b/y", EspErr.ESP_ERR_HTTP_REDIRECT_DOWNGRADE),
        ("https://a/x", "/y", EspErr.ESP_ERR_HTTP_REDIRECT_DOWNGRADE),
        ("https://a/x", "//b/y", EspErr.ESP_ERR_HTTP_REDIRECT_DOWNGRADE),
        ("http://a:81/x", "ftp://b/y", "http://b:81/y"),
        ("http://a:81/x", "ftp://b:21/y", "http://b:21/y"),
        ("https://a/x", None, EspErr.ESP_ERR_INVALID_ARG),
        ("https://a/x", "", EspErr.ESP_ERR_INVALID_ARG),
        ("http://a/x", "y.bin", EspErr.ESP_ERR_INVALID_ARG),
    ],
)
def test_where_a_redirect_leads(origin, location, target):
    if isinstance(target, str):
        assert redirection(origin, location) == target
        return
    with pytest.raises(HttpsOtaError) as refused:
        redirection(origin, location)
    assert refused.value.err is target


def body_of(answer: Answer, limit: int = 1024) -> tuple[list[bytes], HttpClient]:
    async def read() -> tuple[list[bytes], HttpClient]:
        client = HttpClient(HttpClientConfig(url=URL), ScriptedFetch({URL: answer}))
        await client.open()
        chunks = []
        with suppress(FetchError):  # the body ends early
            while chunk := await client.read(limit):
                chunks.append(chunk)
        return chunks, client

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("headers", "length", "received", "complete"),
    [
        ({"content-length": "3000"}, 3000, 3000, True),
        ({"content-length": "2999"}, 2999, 2999, True),  # surplus bytes are no image data
        ({"content-length": "3001"}, 3001, 3000, False),
        ({"content-length": "0"}, 0, 0, True),
        ({}, -1, 3000, True),  # until the clean end
        ({"transfer-encoding": "chunked"}, -1, 3000, True),
        ({"transfer-encoding": "Chunked"}, -1, 3000, True),
        ({"content-length": ""}, -1, 3000, True),
        ({"content-length": "30 0"}, 300, 300, True),
    ],
)
def test_where_a_body_ends(headers, length, received, complete):
    chunks, client = body_of(Answer(b"x" * 3000, headers=headers))
    assert client.content_length == length
    assert sum(map(len, chunks)) == received == client.received
    assert client.is_complete_data_received() is complete


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ({"content-length": "many"}, "invalid character in content-length header"),
        ({"content-length": "-5"}, "invalid character in content-length header"),
        ({"content-length": "0x10"}, "invalid character in content-length header"),
        ({"content-length": "5\t5"}, "invalid character in content-length header"),
        ({"content-length": "18446744073709551610"}, "invalid character in content-length header"),
        ({"content-length": "5, 5"}, "unexpected content-length header"),
        ({"content-length": "5", "transfer-encoding": "chunked"}, "unexpected content-length header"),
        ({"content-length": "5", "transfer-encoding": "Chunked"}, "unexpected content-length header"),
    ],
)
@pytest.mark.parametrize("closes", [False, True])
def test_headers_that_contradict_themselves(headers, fault, closes):
    """Releases before the parser was asked for its faults wait for the end of the header, which they never see."""
    said = {**headers, **({"connection": "close"} if closes else {})}
    for version, err, code, lines in (
        ((6, 2, 0), EspErr.ESP_FAIL, None, [f"E (0) HTTP_CLIENT: HTTP parser error: {fault}"]),
        (
            (6, 1, 0),
            EspErr.ESP_FAIL,
            None if closes else -0x7007,
            [] if closes else ["W (0) HTTP_CLIENT: Connection timed out before data was ready!"],
        ),
    ):
        error, log = refusal(Answer(b"x" * 10, headers=said), idf_version=version)
        assert (error.err, error.fact.get("code"), log) == (err, code, lines)


def refusal(answer: Answer, url: str = URL, **build: Any) -> tuple[HttpsOtaError, list[str]]:
    """What a client says of one answer, to the app and on the console."""
    log = Log(lambda: 0)

    async def main() -> None:
        client = HttpClient(HttpClientConfig(url=url), ScriptedFetch({URL: answer}), Sdkconfig(**build), log=log)
        await client.open()
        await client.set_redirection()

    with pytest.raises(HttpsOtaError) as refused:
        asyncio.run(main())
    return refused.value, log.lines


@pytest.mark.parametrize(
    ("answer", "url", "lines"),
    [
        (Answer(fails=FetchError("connect", "refused", 111)), URL, ["E Connection failed, sock < 0"]),
        (Answer(fails=FetchError("timeout")), URL, ["W Connection timed out before data was ready!"]),
        (Answer(fails=FetchError("closed")), URL, []),
        (Answer(), f"{URL}?{'x' * 1100}", ["E Out of buffer"]),
        (Answer(), "nowhere", ["E Error parse url nowhere", "E Failed to set URL"]),
        (Answer(), "/x", ["E invalid host"]),
        (Answer(), "ftp://h/x", ["E No transport found"]),
        (Answer(headers={"location": "https://"}), URL, ["E Error parse url https://"]),
        (Answer(headers={}), URL, []),
        (
            Answer(headers={"location": "/y"}),
            URL,
            [f"E {DOWNGRADE}"],
        ),
    ],
)
def test_what_the_console_says_of_a_failure(answer, url, lines):
    _, log = refusal(answer, url)
    assert log == [f"{line[0]} (0) HTTP_CLIENT: {line[2:]}" for line in lines]


def test_the_first_releases_had_no_word_for_a_header_that_does_not_come():
    error, log = refusal(Answer(fails=FetchError("timeout")), idf_version=(4, 4, 8))
    assert (error.err, error.fact.get("code"), log) == (EspErr.ESP_FAIL, None, [])


@pytest.mark.parametrize(("version", "said"), [((6, 2, 0), True), ((6, 1, 0), False)])
def test_chunks_that_end_early(version, said):
    log = Log(lambda: 0)
    cut = Answer(
        b"x" * 3000,
        headers={"transfer-encoding": "chunked"},
        breaks_at=2000,
        error=FetchError("closed", "the server closed the connection"),
    )

    async def main() -> None:
        client = HttpClient(
            HttpClientConfig(url=URL), ScriptedFetch({URL: cut}), Sdkconfig(idf_version=version), log=log
        )
        await client.open()
        while await client.read(1024):
            pass

    with pytest.raises(FetchError):
        asyncio.run(main())
    line = "E (0) HTTP_CLIENT: HTTP parser error: stream ended at an unexpected time"
    assert log.lines == ([line] if said else [])


def test_reads_are_full_buffers_except_the_last():
    chunks, _ = body_of(Answer(b"x" * 3000))
    assert [len(chunk) for chunk in chunks] == [1024, 1024, 952]


def test_a_body_without_length_is_incomplete_until_its_end_is_seen():
    async def read() -> list[bool]:
        client = HttpClient(HttpClientConfig(url=URL), ScriptedFetch({URL: Answer(b"x" * 10, headers={})}))
        await client.open()
        seen = [client.is_complete_data_received()]
        for _ in range(2):
            await client.read(10)
            seen.append(client.is_complete_data_received())
        return seen

    assert asyncio.run(read()) == [False, False, True]


@pytest.mark.parametrize(
    ("fails", "err", "number", "unnamed"),
    [
        (FetchError("connect", "refused", errno.ECONNREFUSED), EspErr.ESP_ERR_HTTP_CONNECT, 111, False),
        (FetchError("connect", "no route", errno.EHOSTUNREACH), EspErr.ESP_ERR_HTTP_CONNECT, 118, False),
        (FetchError("connect", "certificate"), EspErr.ESP_ERR_HTTP_CONNECT, 0, False),
        (FetchError("closed", "reset", errno.ECONNRESET), EspErr.ESP_FAIL, 104, False),
        (FetchError("timeout", "no header"), EspErr.ESP_FAIL, 0, True),
    ],
)
def test_what_no_response_header_means(fails, err, number, unnamed):
    with pytest.raises(HttpsOtaError) as failed:
        body_of(Answer(fails=fails))
    assert failed.value.err is err
    assert failed.value.fact["errno"] == number
    assert failed.value.fact.get("code") == (-0x7007 if unnamed else None)


def test_the_connection_is_closed_once_and_for_all():
    async def play() -> list[int]:
        fetch = ScriptedFetch({URL: Answer(b"x")})
        client = HttpClient(HttpClientConfig(url=URL), fetch)
        seen = []
        for action in (client.open, client.open, client.close, client.close):
            await action()
            seen.append(fetch.open)
        assert await client.read(1) == b""
        return seen

    assert asyncio.run(play()) == [1, 1, 0, 0]


def test_requests_carry_the_chip_s_user_agent():
    async def play() -> list[tuple[str, dict[str, str]]]:
        fetch = ScriptedFetch({URL: Answer(b"x")})
        await HttpClient(HttpClientConfig(url=URL), fetch).open()
        return fetch.requests

    assert asyncio.run(play()) == [(URL, {"User-Agent": "ESP32 HTTP Client/1.0"})]


def test_a_header_has_one_name_in_any_case():
    async def play() -> dict[str, str]:
        fetch = ScriptedFetch({URL: Answer(b"x")})
        client = HttpClient(HttpClientConfig(url=URL), fetch)
        client.set_header("x-device", " 7\t")
        client.set_header("X-Device", "8")
        client.set_header("RANGE", "bytes=0-")
        client.delete_header("Range")
        await client.open()
        return fetch.requests[0][1]

    assert asyncio.run(play()) == {"User-Agent": "ESP32 HTTP Client/1.0", "x-device": "8"}


SMALL = "Buffer length is small to fit all the headers, required"


@pytest.mark.parametrize(
    ("size", "room", "err", "lines"),
    [
        (0, 200, None, []),
        (0, 59, None, [f"{SMALL} 45 bytes, buffer size 36"]),  # the host stands on the second page
        (0, 58, EspErr.ESP_ERR_HTTP_HEADER_TOO_LONG, [f"{SMALL} 36 bytes, buffer size 35"]),
        (0, 21, EspErr.ESP_FAIL, []),
        (100, 103, None, [f"{SMALL} 145 bytes, buffer size 80"]),
        (
            100,
            102,
            EspErr.ESP_ERR_HTTP_HEADER_TOO_LONG,
            [f"{SMALL} 145 bytes, buffer size 79", f"{SMALL} 101 bytes, buffer size 100"],
        ),
    ],
)
def test_what_goes_through_the_buffer_for_sending(size, room, err, lines):
    """21 bytes of line, 35 of user agent, 9 of host, and one header of ``size``."""
    headers = {"User-Agent": USER_AGENT, **({"X": "x" * (size - len("X: \r\n"))} if size else {})}
    said, error = request_error("GET", URL, headers, room)
    assert (None if error is None else error.err) is err
    assert said == lines


@pytest.mark.parametrize(("version", "code"), [((6, 2, 0), None), ((6, 1, 0), -0x7007)])
def test_a_header_too_long_for_the_buffer(version, code):
    """Before v6.2 a part of the request was sent, and an answer waited for."""
    fetch, log = ScriptedFetch({URL: Answer(b"x")}), Log(lambda: 0)
    config = HttpClientConfig(url=URL, username="u" * 100, password="p", auth_type="basic", buffer_size_tx=150)

    async def main() -> None:
        await HttpClient(config, fetch, Sdkconfig(idf_version=version), log=log).open()

    with pytest.raises(HttpsOtaError) as refused:
        asyncio.run(main())
    assert refused.value.fact.get("code") == code
    assert refused.value.err is (EspErr.ESP_FAIL if code else EspErr.ESP_ERR_HTTP_HEADER_TOO_LONG)
    assert log.lines[1] == f"E (0) HTTP_HEADER: {SMALL} 160 bytes, buffer size 148"
    assert fetch.requests == []


def test_an_url_that_does_not_parse_is_refused_at_once():
    with pytest.raises(HttpsOtaError, match="'x' is no http or https URL") as refused:
        HttpClient(HttpClientConfig(url="x"), ScriptedFetch())
    assert refused.value.err is EspErr.ESP_FAIL


@pytest.mark.parametrize(
    ("host", "chip", "text"),
    [
        (errno.ECONNRESET, 104, "Connection reset by peer"),
        (errno.EHOSTUNREACH, 118, "Host is unreachable"),
        (errno.EINPROGRESS, 119, "Connection already in progress"),
        (errno.ETIMEDOUT, 116, "Connection timed out"),
        (errno.ENOTCONN, 128, "Socket is not connected"),
        (0, 0, ""),
        (9999, 9999, ""),
    ],
)
def test_errno_is_numbered_and_worded_as_on_the_chip(host, chip, text):
    assert newlib.from_host(host) == chip
    assert newlib.strerror(chip) == text
