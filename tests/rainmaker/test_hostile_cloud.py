"""A cloud that means harm: whatever it sends, the node stays within its slot and its memory, and reports as the chip's.

What is written is told by the flash itself: outside the slot that is free, otadata and NVS not one byte changes.
"""

from __future__ import annotations

import gzip
import json
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from node_bench import NEW, OLD, URL, Answer, Bench

from py_esp_ota._core import PartitionTable
from py_esp_ota.errors import FetchError
from py_esp_ota.sdkconfig import Sdkconfig

TABLE = PartitionTable.builtin("two_ota_large")
FREE = TABLE.find(type=0, subtype=0x11)
STATUSES = {"in-progress", "success", "failed", "rejected", "delayed"}
MIB = 1 << 20


def kept(bench):
    """All of the flash that no update may touch, as it is now."""
    flash = bench.chip.flash.to_bytes()
    own = [row for row in TABLE if row.label == FREE.label or row.label in {"otadata", "nvs", "phy_init"}]
    for row in own:
        flash = flash[: row.offset] + bytes(row.size) + flash[row.offset + row.size :]
    return flash


def sent(payload: bytes, server=None, seconds: float = 20) -> Bench:
    """What becomes of a node that is sent one ``otaurl``."""
    bench = Bench(server={} if server is None else server, config=Sdkconfig(esp_rmaker_ota_max_retries=1))
    before = kept(bench)

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.send("otaurl", payload)
        await bench.sleep(seconds)

    bench.run(scenario)
    assert kept(bench) == before
    return bench


def said(bench: Bench) -> list[tuple[str, str]]:
    """Status and text of each report; one that was cut at 199 bytes has no JSON any more."""
    reports = []
    for payload in bench.payloads("otastatus"):
        assert len(payload) < 200
        try:
            report = json.loads(payload)
        except ValueError:
            assert len(payload) == 199
            continue
        reports.append((report["status"], report["additional_info"]))
    return reports


def job(**fields: object) -> bytes:
    return json.dumps({"ota_job_id": "J", "url": URL, "file_size": len(NEW)} | fields).encode()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://cloud/lamp.bin",
        "gopher://127.0.0.1:25/_x",
        "javascript:alert(1)",
        "http://",
        "//",
        "",
        "https://cloud:99999999/lamp.bin",
        "https://[::1/lamp.bin",
        "x" * 5000,
    ],
)
def test_an_url_that_is_none_of_http_asks_nobody(url):
    bench = sent(job(url=url))
    asked = [address for address, _ in bench.fetch.requests]
    assert all(address.startswith(("http://", "https://")) for address in asked), asked
    assert all(status in {"in-progress", "failed"} for status, _ in said(bench))
    assert len(bench.boots) == 1


def test_an_url_of_a_service_of_the_machine_is_asked_for_as_the_chip_would_and_nothing_of_it_is_told():
    secret = b"redis_version:7.0 requirepass hunter2 " * 40
    bench = sent(job(url="http://127.0.0.1:6379/"), {"http://127.0.0.1:6379/": Answer(secret)})
    assert said(bench)[-1][0] == "failed"
    assert not any(b"hunter2" in payload for payload in bench.payloads("otastatus"))
    assert not any("hunter2" in line for line in bench.console)


class Endless:
    """A body that never ends."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self.given = 0

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, piece: slice) -> bytes:
        size = piece.stop - piece.start
        self.given += size
        return (self._head[piece.start : piece.stop] + bytes(size))[:size]


@pytest.mark.parametrize("head", [NEW[:4096], b"\xe9" + bytes(4095)], ids=["an image", "nothing"])
def test_a_body_without_end_is_cut_off_where_the_slot_ends(head):
    body = Endless(head)
    tracemalloc.start()
    try:
        bench = sent(job(), {URL: Answer(body, headers={"transfer-encoding": "chunked"})}, seconds=60)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert body.given <= FREE.size + 16384
    assert peak < 24 * MIB  # the flash, its copies for this test, and nothing that grows with the body
    assert said(bench)[-1][0] == "failed"
    assert len(bench.boots) == 1


def test_a_compressed_bomb_is_written_as_it_is_and_refused():
    bomb = gzip.compress(bytes(64 * MIB))
    bench = sent(job(), {URL: Answer(bomb, headers={"content-encoding": "gzip", "content-length": str(len(bomb))})})
    assert said(bench)[-1][0] == "failed"
    assert len(bench.boots) == 1


SIZES = [0, 1, len(NEW) - 1, len(NEW) + 1, 1 << 31, 1 << 40, -1, 1.5, "16384", None, [], {}]
MD5S = [None, "", "0" * 32, "z" * 5000, 7, {}]


@pytest.mark.parametrize(("size", "md5"), [*((size, None) for size in SIZES), *((len(NEW), md5) for md5 in MD5S)])
def test_a_wrong_size_or_md5_of_the_message_is_no_matter_for_https(size, md5):
    bench = sent(job(file_size=size, file_md5=md5), {URL: Answer(NEW)}, seconds=40)
    assert said(bench)[-1][0] == "success"
    assert bench.boots[-1][1].app_desc.version == "1.1"


HUGE = {
    "an id": b'{"ota_job_id":"' + b"x" * 70_000 + b'","url":"https://cloud/lamp.bin"}',
    "an URL": b'{"ota_job_id":"J","url":"https://cloud/' + b"x" * 70_000 + b'"}',
    "deep": b"[" * 30_000,
}
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["ota_job_id", "url", "fw_version", "file_size", "file_md5", "metadata", "network_id", "stream_id"]
MESSAGES = (
    st.dictionaries(st.sampled_from(KEYS), JUNK).map(lambda fields: json.dumps(fields).encode())
    | st.dictionaries(st.sampled_from(KEYS[2:]), JUNK).map(lambda fields: job(**fields))
    | st.binary(max_size=300)
    | st.sampled_from(list(HUGE))
)
BODIES = {"new": NEW, "old": OLD, "short": NEW[:-1], "begun": NEW[:1000], "magic": b"\xe9" * 5000, "thrice": NEW * 3}
ANSWERS = st.builds(
    Answer,
    body=st.sampled_from(list(BODIES)) | st.binary(max_size=2000),
    status=st.sampled_from([100, 200, 204, 206, 301, 302, 304, 401, 404, 416, 500, 599]),
    headers=st.none()
    | st.dictionaries(
        st.sampled_from(["content-length", "content-range", "location", "transfer-encoding", "www-authenticate"]),
        st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=40)
        | st.sampled_from(["-1", "99999999999999", "0", URL, "/", "chunked", "bytes 0-1/2", 'Digest realm="']),
        max_size=3,
    ),
    breaks_at=st.none() | st.integers(0, 20_000),
    stalls_at=st.none() | st.integers(0, 20_000),
    fails=st.none() | st.sampled_from([FetchError("connect", "refused", 111), FetchError("timeout", "nothing")]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(payload=MESSAGES, answers=st.lists(ANSWERS, min_size=1, max_size=4))
def test_whatever_it_sends_the_node_lives_on(payload, answers):
    answers = [replace(answer, body=BODIES.get(answer.body, answer.body)) for answer in answers]
    bench = sent(HUGE.get(payload, payload), {URL: answers}, seconds=120)
    assert {status for status, _ in said(bench)} <= STATUSES
    assert bench.boots[-1][1].app_desc.version in {"1.0", "1.1"}
    # It still takes an honest job.
    bench.fetch.routes[URL] = Answer(NEW if bench.boots[-1][1].app_desc.version == "1.0" else OLD)
    before = bench.boots[-1][1].app_desc.version
    assert bench.update(seconds=60).boots[-1][1].app_desc.version != before
