"""Firmware download: links, ranges, and what a resuming node relies on."""

from __future__ import annotations

import asyncio
import hashlib

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from py_esp_ota.adapters.memory import AsgiFetch, run_virtual
from py_esp_ota.cloud.api.download import PIECE
from py_esp_ota.cloud.api.ranges import listed, single_range
from py_esp_ota.firmware import Firmware

IMAGE = Firmware("lamp", "1.1.0", size=3 * PIECE + 64).to_bytes()


@pytest.fixture
def url(bench) -> str:
    return bench.service.images.url(bench.service.images.add("fw", IMAGE).ota_image_id)


def test_the_whole_image(bench, url):
    answer = bench.call("GET", url, token="")
    assert answer.status_code == 200
    assert answer.content == IMAGE
    assert answer.headers["content-length"] == str(len(IMAGE))
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"].startswith('"')


def test_head_tells_the_size_and_sends_nothing(bench, url):
    whole, head = bench.call("GET", url, token=""), bench.call("HEAD", url, token="")
    assert head.status_code == 200
    assert head.content == b""
    assert {**whole.headers} == {**head.headers}


SIZE = len(IMAGE)


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-", 0, SIZE - 1),
        ("bytes=0-0", 0, 0),
        ("bytes=1024-", 1024, SIZE - 1),
        (f"bytes={PIECE}-", PIECE, SIZE - 1),
        (f"bytes={PIECE - 1}-{PIECE}", PIECE - 1, PIECE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        (f"bytes=0-{SIZE + 99}", 0, SIZE - 1),
        ("bytes=-16", SIZE - 16, SIZE - 1),
        (f"bytes=-{SIZE + 1}", 0, SIZE - 1),
    ],
)
def test_one_range(bench, url, header, first, last):
    answer = bench.call("GET", url, headers={"Range": header}, token="")
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["content-length"] == str(last + 1 - first)
    assert answer.content == IMAGE[first : last + 1]


@pytest.mark.parametrize(
    "header", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0", "bytes=999999999999-"]
)
def test_a_range_beyond_the_end(bench, url, header):
    answer = bench.call("GET", url, headers={"Range": header}, token="")
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{SIZE}")
    assert answer.content == b""


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-3",
        "bytes=a-b",
        "bytes=0-1,4-5",
        "lines=0-1",
        "bytes=1e3-",
        "bytes=\u0661-",
    ],
)
def test_a_range_that_does_not_count_gets_everything(bench, url, header):
    answer = bench.call("GET", url, headers={"Range": header.encode()}, token="")
    assert (answer.status_code, answer.content) == (200, IMAGE)


def test_if_range_protects_a_resumed_download_from_another_image(bench, url):
    etag = bench.call("HEAD", url, token="").headers["etag"]
    same = bench.call("GET", url, headers={"Range": "bytes=100-", "If-Range": etag}, token="")
    other = bench.call("GET", url, headers={"Range": "bytes=100-", "If-Range": '"another"'}, token="")
    assert (same.status_code, other.status_code) == (206, 200)
    assert other.content == IMAGE


ETAG = f'"{hashlib.sha256(IMAGE).hexdigest()}"'


@pytest.mark.parametrize("header", [f"Bytes={SIZE - 1}-", f" bytes={SIZE - 1}- "])
def test_units_are_told_by_their_name_in_any_case(bench, url, header):
    answer = bench.call("GET", url, headers={"Range": header}, token="")
    assert (answer.status_code, answer.content) == (206, IMAGE[-1:])


def test_a_head_has_no_ranges(bench, url):
    answer = bench.call("HEAD", url, headers={"Range": "bytes=5-"}, token="")
    assert (answer.status_code, answer.headers["content-length"]) == (200, str(SIZE))


def test_two_lines_of_one_range_each_are_two_ranges(bench, url):
    async def story() -> int:
        transport = httpx2.ASGITransport(app=bench.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return (await client.get(url, headers=[("Range", "bytes=0-1"), ("Range", "bytes=4-5")])).status_code

    assert run_virtual(story()) == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("If-None-Match", ETAG, 304),
        ("If-None-Match", f"W/{ETAG}", 304),  # the weak comparison
        ("If-None-Match", f'"a, b" , {ETAG}', 304),
        ("If-None-Match", " * ", 304),
        ("If-None-Match", '"another"', 200),
        ("If-None-Match", ETAG.strip('"'), 200),
        ("If-None-Match", "", 200),
        ("If-Match", ETAG, 200),
        ("If-Match", "*", 200),
        ("If-Match", f'"another",{ETAG}', 200),
        ("If-Match", '"another"', 412),
        ("If-Match", f"W/{ETAG}", 412),  # the strong comparison
        ("If-Match", "", 412),
        ("If-Modified-Since", "Sun, 29 Nov 2099 00:00:00 GMT", 200),
        ("If-Unmodified-Since", "Sun, 29 Nov 1999 00:00:00 GMT", 200),
    ],
)
def test_a_client_that_has_it_already_or_wants_another(bench, url, method, name, value, status):
    answer = bench.call(method, url, headers={name: value}, token="")
    assert answer.status_code == status
    assert answer.headers["etag"] == ETAG
    assert answer.content == (IMAGE if (method, status) == ("GET", 200) else b"")
    if status == 304:
        assert "content-length" not in answer.headers
        assert "content-type" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Range": "bytes=9-", "If-None-Match": ETAG}, 304),
        ({"Range": "bytes=9-", "If-Match": '"x"', "If-None-Match": ETAG}, 412),
        ({"Range": f"bytes={SIZE}-", "If-Range": '"x"'}, 200),
        ({"Range": f"bytes={SIZE}-", "If-Range": ETAG}, 416),
        ({"Range": "bytes=9-", "If-Range": f"W/{ETAG}"}, 200),
        ({"Range": "bytes=9-", "If-Range": "Sun, 29 Nov 2099 00:00:00 GMT"}, 200),
        ({"If-Range": ETAG}, 200),
    ],
)
def test_conditions_are_judged_in_their_order(bench, url, headers, status):
    assert bench.call("GET", url, headers=headers, token="").status_code == status


TAGS = st.text("W/*,a!~\xff", max_size=3).map(lambda text: f'"{text}"')


@given(st.lists(st.tuples(st.booleans(), TAGS)), st.sampled_from([",", ", ", " ,, "]), TAGS)
def test_any_list_of_tags_is_read(listing, comma, etag):
    header = comma.join(f"W/{tag}" if weak else tag for weak, tag in listing)
    assert listed(header, etag) == (etag in {tag for _, tag in listing})
    assert listed(header, etag, strong=True) == ((False, etag) in listing)


def test_a_refused_link_says_so_before_any_condition(bench, url):
    assert bench.call("GET", url[:-1], headers={"If-None-Match": "*"}, token="").status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_else_can_be_done_with_it(bench, url, method):
    assert bench.call(method, url, token="").status_code == 403


def test_the_document_of_the_api_has_it(api_document):
    operation = api_document["paths"]["/v1/ota/image/{ota_image_id}/firmware.bin"]["get"]
    assert {each["name"] for each in operation["parameters"]} >= {"ota_image_id", "token", "Range", "If-None-Match"}
    assert set(operation["responses"]) >= {"200", "206", "304", "412", "416", "4XX"}


def test_what_is_downloaded_again_is_not_read_again(bench, url):
    reads: list[str] = []
    bench.call("GET", url, token="")

    @event.listens_for(Engine, "before_cursor_execute")
    def note(_connection, _cursor, statement, *_rest):
        reads.append(statement)

    try:
        assert bench.call("GET", url, token="").content == IMAGE
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert reads == []


@given(st.integers(0, 300), st.one_of(st.none(), st.integers(0, 400)), st.one_of(st.none(), st.integers(0, 400)))
def test_any_range_is_inside_the_image(size, first, last):
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    part = single_range(header, size)
    if part is None:
        assert (first is None and last is None) or (first is not None and last is not None and last < first)
    else:
        assert set(part) <= set(range(size))
        assert not part or first is None or part[0] == first


@pytest.mark.parametrize(
    "change",
    [lambda u: u[:-1], lambda u: u + "0", lambda u: u.partition("?")[0], lambda u: u.replace("token=", "token=f")],
)
def test_a_forged_link_is_403(bench, url, change):
    answer = bench.call("GET", change(url), token="")
    assert answer.status_code == 403
    assert answer.json()["status"] == "failure"


def test_a_link_is_for_one_image(bench, url):
    other = bench.image("2.0.0", name="other").ota_image_id
    mine = url.split("/")[6]
    assert bench.call("GET", url.replace(mine, other), token="").status_code == 403


def test_a_link_is_good_for_a_day(bench, url):
    bench.clock.time += 86_399
    assert bench.call("HEAD", url, token="").status_code == 200
    bench.clock.time += 1
    assert bench.call("HEAD", url, token="").status_code == 403


def test_a_link_outlives_neither_its_image_nor_another_key(bench, url):
    assert bench.call("GET", url, token="").status_code == 200
    bench.service.images.delete(bench.service.images.find().items[0].ota_image_id)
    assert bench.call("GET", url, token="").status_code == 404


def test_a_link_does_not_outlive_the_replacement_of_its_image(bench, url):
    assert bench.call("GET", url, token="").status_code == 200
    newer = Firmware("lamp", "1.2.0").to_bytes()
    image = bench.service.images.add("fw", newer, replace=True)
    assert bench.call("GET", url, token="").status_code == 404
    assert bench.call("GET", bench.service.images.url(image.ota_image_id), token="").content == newer


def test_the_body_is_sent_in_pieces_as_the_node_reads(bench, url):
    async def story() -> bytes:
        async with AsgiFetch(bench.app)(url, {"Range": "bytes=100-"}) as response:
            assert response.status == 206
            got = b""
            while piece := await response.read(1000):
                got += piece
                await asyncio.sleep(0.001)
            return got

    assert run_virtual(story()) == IMAGE[100:]
