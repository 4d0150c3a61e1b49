"""Faults of a server that is asked for a range: the image that comes out equals the source, or there is an error."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.adapters.memory import AsgiFetch, run_virtual
from py_esp_ota.errors import FetchError
from py_esp_ota.faults import FaultyFetch

DATA = bytes(range(256)) * 16  # 4096 bytes
URL = "https://cloud.lab/lamp.bin"


async def server(scope, _receive, send):
    """A server that knows ``Range: bytes=N-``."""
    asked = re.fullmatch(rb"bytes=(\d+)-", dict(scope["headers"]).get(b"range", b""))
    first = int(asked[1]) if asked else 0
    status, body = (206, DATA[first:]) if asked else (200, DATA)
    headers = [(b"content-length", str(len(body)).encode())]
    if asked and not body:
        status, headers = 416, [(b"content-length", b"0"), (b"content-range", b"bytes */4096")]
    elif asked:
        headers.append((b"content-range", f"bytes {first}-{len(DATA) - 1}/{len(DATA)}".encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def ask(plan, first=1000, *, limit=512):
    """One request for a range: status, the two headers, the body."""

    async def story():
        headers = {} if first is None else {"Range": f"bytes={first}-"}
        async with FaultyFetch(AsgiFetch(server), plan)(URL, headers) as response:
            body = b""
            while part := await response.read(limit):
                body += part
            seen = response.headers
            return response.status, seen.get("content-length"), seen.get("content-range"), body

    return run_virtual(story())


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ("", (206, "3096", "bytes 1000-4095/4096", DATA[1000:])),
        ("no-range", (200, "4096", None, DATA)),
        ("wrong-range@24", (206, "4072", "bytes 24-4095/4096", DATA[24:])),
        ("wrong-range@4096", (416, "0", "bytes */4096", b"")),
        ("content-range@24", (206, "3096", "bytes 24-4095/4096", DATA[1000:])),
        ("short@100", (206, "100", "bytes 1000-1099/4096", DATA[1000:1100])),
        ("short@5000", (206, "3096", "bytes 1000-4095/4096", DATA[1000:])),
        ("short@0", (206, "0", "bytes 1000-1000/4096", b"")),
        ("chunked", (206, None, "bytes 1000-4095/4096", DATA[1000:])),
        ("no-range+short@100+chunked", (200, None, None, DATA[:100])),
        ("no-range+wrong-range@24", (200, "4096", None, DATA)),
    ],
)
def test_an_answer_to_a_range(plan, expected):
    assert ask(plan) == expected


def test_without_a_range_there_is_nothing_to_spoil():
    good = (200, "4096", None, DATA)
    assert ask("no-range+wrong-range@5+content-range@5", first=None) == good


@pytest.mark.parametrize("name", ["range", "Range", "RANGE"])
def test_a_header_is_known_by_any_spelling(name):
    async def story():
        async with FaultyFetch(AsgiFetch(server), "no-range")(URL, {name: "bytes=9-"}) as response:
            return response.status

    assert run_virtual(story()) == 200


@pytest.mark.parametrize(
    ("asked", "passed_on"),
    [
        ("bytes=5-", "bytes=24-"),
        ("bytes=5-9", "bytes=24-28"),
        ("bytes=0-0", "bytes=24-24"),
        ("bytes=-5", "bytes=-5"),
        ("lines=1-", "lines=1-"),
    ],
)
def test_a_wrong_range_is_as_long_as_the_one_that_was_asked_for(asked, passed_on):
    sent = []

    def network(url, headers):
        sent.append(headers["Range"])
        return AsgiFetch(server)(url, headers)

    async def story():
        async with FaultyFetch(network, "wrong-range@24")(URL, {"Range": asked}):
            pass

    run_virtual(story())
    assert sent == [passed_on]


@pytest.mark.parametrize(("rate", "seconds"), [(1, 4096), (1000, 4.096), (4096, 1)])
def test_slow_is_bytes_per_second_and_never_a_time_out(rate, seconds):
    async def story():
        async with FaultyFetch(AsgiFetch(server), f"slow@{rate}")(URL, {}) as response:
            while await response.read(512):
                pass
        return asyncio.get_running_loop().time()

    assert run_virtual(story()) == pytest.approx(seconds)


def test_a_redirect_loop_leads_to_itself_and_ends_after_its_times():
    async def story():
        fetch = FaultyFetch(AsgiFetch(server), "redirect-loop*2")
        seen = []
        for _ in range(3):
            async with fetch(URL, {}) as response:
                seen.append((response.status, response.headers.get("location"), await response.read(10)))
        return seen, asyncio.get_running_loop().time()

    seen, passed = run_virtual(story())
    assert seen == [(302, URL, b"")] * 2 + [(200, None, DATA[:10])]
    assert passed == pytest.approx(0.2)


def test_the_request_after_a_closing_redirect_is_lost_and_the_next_is_not():
    async def story():
        fetch = FaultyFetch(AsgiFetch(server), "redirect-close*1")
        seen = []
        for _ in range(3):
            try:
                async with fetch(URL, {}) as response:
                    seen.append(response.status)
            except FetchError as error:
                seen.append(error.kind)
        return seen

    assert run_virtual(story()) == [302, "closed", 200]


# ------------------------------------------------------------------------------------------------------- conservation


class Refused(Exception):
    """The client's clean error."""


async def resume(fetch, *, tries, buffer, checks):
    """A client that resumes: what it has after at most ``tries`` requests.

    ``checks``: whether it compares the range it gets with the one it asked for, as ESP-IDF does not.
    """
    have = b""
    for _ in range(tries):
        headers = {"Range": f"bytes={len(have)}-"} if have else {}
        try:
            async with fetch(URL, headers) as response:
                if response.status == 200:
                    have = b""  # the whole body comes, whatever was asked for
                elif response.status == 416 and len(have) == len(DATA):
                    return have
                elif response.status != 206:
                    raise Refused(response.status)
                span = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
                if response.status == 206 and checks and (not span or int(span[1]) != len(have)):
                    raise Refused("another range")
                while part := await response.read(buffer):
                    have += part
        except FetchError:
            continue
        if len(have) >= len(DATA):
            return have
    raise Refused("too often")


range_faults = st.builds(
    lambda word, number, times: (
        f"{word}@{number}*{times}" if word not in {"no-range", "chunked"} else f"{word}*{times}"
    ),
    st.sampled_from(["drop", "short", "wrong-range", "no-range", "chunked", "stall", "connect", "slow"]),
    st.integers(1, 5000),
    st.integers(1, 6),
)


@given(st.lists(range_faults, max_size=4), st.sampled_from([1, 15, 16, 17, 511, 512, 513, 1024, 4096]))
def test_a_client_that_checks_the_range_has_the_source_or_a_clean_error(faults, buffer):
    fetch = FaultyFetch(AsgiFetch(server), "+".join(faults))
    try:
        have = run_virtual(resume(fetch, tries=12, buffer=buffer, checks=True))
    except Refused:
        return
    assert have == DATA


@given(st.integers(1, 4095), st.integers(0, 4095))
def test_a_client_that_does_not_check_needs_another_look_at_the_end(broken_at, wrong):
    fetch = FaultyFetch(AsgiFetch(server), f"drop@{broken_at}*1+wrong-range@{wrong}")
    try:
        have = run_virtual(resume(fetch, tries=3, buffer=512, checks=False))
    except Refused:
        return
    assert (have == DATA) == (wrong == broken_at)
