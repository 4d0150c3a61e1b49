"""Images block by block over MQTT: what the service answers, what it refuses, and what a node can make it cost."""

from __future__ import annotations

import logging
import tracemalloc
from io import BytesIO

import cbor2
import pytest
from cloud_bench import Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from py_esp_ota.cloud.streams import ANSWER_LIMIT, AT_ONCE, GetStream, StreamError
from py_esp_ota.firmware import Firmware
from py_esp_ota.ports import Message

IMAGE = Firmware("lamp", "1.1.0", size=100_000).to_bytes()
BASE = {"f": 1, "l": 4096, "o": 0, "n": 16}


class Streams(Bench):
    """A cloud with one job for one node, which got it."""

    def __init__(self) -> None:
        super().__init__()
        self.service.outbox.open = True
        self.join("n1", "n2")
        self.stored = self.service.images.add("big", IMAGE)
        self.stream = self.job("n1", image=self.stored)
        assert [offer["stream_id"] for offer in self.fetch("n1")] == [self.stream]

    def ask(self, request: object, node_id: str = "n1", stream: str | None = None) -> list[tuple[str, dict]]:
        """A node asks; what it hears until nothing more comes."""
        payload = request if isinstance(request, bytes) else cbor2.dumps(request)
        self.send(payload, node_id, stream)
        heard = []
        while answers := self.take():
            heard += answers
        return heard

    def send(self, payload: bytes, node_id: str = "n1", stream: str | None = None) -> None:
        topic = f"$aws/things/{node_id}/streams/{self.stream if stream is None else stream}/get/cbor"
        self.service.intake.handle(Message(topic, payload))

    def take(self) -> list[tuple[str, dict]]:
        """What the outbox has, after it was told that there is room."""
        for callback in self.service.outbox._more:
            callback()
        return [(topic, cbor2.loads(payload)) for topic, payload in self.sent()]

    def blocks(self, request: object) -> list[int]:
        return [body["i"] for _, body in self.ask(request)]


@pytest.fixture
def bench():
    bench = Streams()
    yield bench
    bench.store.close()


def test_the_header_and_batches_as_a_node_asks_for_them(bench):
    ((topic, header),) = bench.ask(bytes.fromhex("a4616601616c190121616f00616e01"))
    assert topic == f"$aws/things/n1/streams/{bench.stream}/data/cbor"
    assert header == {"f": 1, "i": 0, "l": 289, "p": IMAGE[:289]}
    batch = bench.ask(bytes.fromhex("a5616601616c191000616f10616242fbff616e10"))
    assert [body["i"] for _, body in batch] == [16, 17, 19, 20, 21, 22, 23, 24]
    assert batch[-1][1]["p"] == IMAGE[24 * 4096 :]
    assert batch[-1][1]["l"] == len(IMAGE) % 4096


@pytest.mark.parametrize(
    ("change", "blocks"),
    [
        ({"o": 20}, [20, 21, 22, 23, 24]),
        ({"n": 0}, []),
        ({"b": b"\x13\x00\x80", "n": 32}, [0, 1, 4, 23]),  # the documentation's own example
        ({"b": b"\x13\x00\x80", "n": 2}, [0, 1]),
        ({"b": b""}, []),
        ({"b": b"\xff" * 12_288, "n": 98_304}, list(range(25))),
        ({"l": 256, "n": 98_304}, list(range(391))),
        ({"l": 131_072}, [0]),
        ({"s": 1}, list(range(16))),
    ],
)
def test_which_blocks_are_the_answer(bench, change, blocks):
    assert bench.blocks(BASE | change) == blocks


def test_offset_and_number_have_defaults(bench):
    assert bench.blocks({"f": 1, "l": 4096}) == list(range(25))
    assert bench.blocks({"f": 1, "l": 32_768}) == [0, 1, 2, 3]


def test_no_request_is_answered_with_more_than_128_kib():
    request = GetStream.decode(cbor2.dumps({"f": 1, "l": 4096, "n": 98_304, "b": b"\xff" * 12_288}))
    assert len(list(request.blocks(16 << 20))) * 4096 == ANSWER_LIMIT


def test_a_client_token_comes_back(bench):
    assert {body["c"] for _, body in bench.ask(BASE | {"c": "mine"})} == {"mine"}
    ((_, refused),) = bench.ask(BASE | {"c": "mine", "l": 1})
    assert refused["c"] == "mine"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"", "InvalidCbor"),
        (b"\xa4\x61f", "InvalidCbor"),
        (b"{}", "InvalidCbor"),
        (b"\x9f" * 1000, "InvalidCbor"),
        (b"\xbb" + b"\xff" * 8, "InvalidCbor"),
        (b"\x81" * 5000, "InvalidCbor"),
        (cbor2.dumps(cbor2.CBORTag(35, "(a+)+$")), "InvalidCbor"),
        (cbor2.dumps({"f": 1, "l": 4096, "x": cbor2.CBORTag(5, [2**62, 3])}), "InvalidCbor"),
        ([1], "InvalidRequest"),
        (b"\xa1\x61b\x59\xff\xff" + bytes(65535), "InvalidRequest"),
        ({"l": 4096}, "InvalidRequest"),
        ({"f": 1}, "InvalidRequest"),
        (BASE | {"o": "0"}, "InvalidRequest"),
        (BASE | {"n": 1.0}, "InvalidRequest"),
        (BASE | {"f": True}, "InvalidRequest"),
        (BASE | {"b": "ff"}, "InvalidRequest"),
        (BASE | {"c": "x" * 65}, "InvalidRequest"),
        (BASE | {"c": 1}, "InvalidRequest"),
        (BASE | {"s": 2}, "VersionMismatch"),
        (BASE | {"f": 0}, "ResourceNotFound"),
        (BASE | {"l": 255}, "BlockSizeOutOfBounds"),
        (BASE | {"l": 131_073}, "BlockSizeOutOfBounds"),
        (BASE | {"l": 0}, "BlockSizeOutOfBounds"),
        (BASE | {"l": -4096}, "BlockSizeOutOfBounds"),
        (BASE | {"l": 2**63}, "BlockSizeOutOfBounds"),
        (BASE | {"o": -1}, "OffsetOutOfBounds"),
        (BASE | {"o": 98_305}, "OffsetOutOfBounds"),
        (BASE | {"n": -1}, "BlockCountLimitExceeded"),
        (BASE | {"n": 2**64 - 1}, "BlockCountLimitExceeded"),
        (BASE | {"b": bytes(12_289)}, "BlockBitmapLimitExceeded"),
        (BASE | {"o": 25}, "ResourceNotFound"),
    ],
)
def test_what_is_refused_and_in_which_words(bench, request_, code):
    ((topic, body),) = bench.ask(request_)
    assert topic == f"$aws/things/n1/streams/{bench.stream}/rejected/cbor"
    assert body["o"] == code
    assert 0 < len(body["m"]) < 100


def code_of(answers):
    ((_, body),) = answers
    return body["o"]


def test_a_stream_is_there_for_who_got_its_job_and_for_nobody_else(bench):
    assert code_of(bench.ask(BASE, node_id="n2")) == "ResourceNotFound"
    for stranger in ("", "x" * 300, "nosuchjob", "' OR 1=1", bench.stored.ota_image_id):
        assert bench.ask(BASE, stream=stranger) == [] or code_of(bench.ask(BASE, stream=stranger)) == "ResourceNotFound"


def test_a_job_that_was_not_handed_out_yet_has_no_stream(bench):
    job = bench.job("n2", name="later", image=bench.stored)
    assert code_of(bench.ask(BASE, node_id="n2", stream=job)) == "ResourceNotFound"
    bench.fetch("n2")
    assert len(bench.ask(BASE, node_id="n2", stream=job)) == 16


@pytest.mark.parametrize("status", ["success", "rejected"])
def test_a_node_that_is_done_has_no_stream_any_more(bench, status):
    bench.report("n1", bench.stream, status)
    assert code_of(bench.ask(BASE)) == "ResourceNotFound"


def test_a_node_that_failed_may_go_on_with_its_own_attempts(bench):
    for _ in range(3):
        bench.report("n1", bench.stream, "failed")
    assert len(bench.ask(BASE)) == 16


def test_cancelling_a_job_ends_its_streams(bench):
    bench.report("n1", bench.stream, "in-progress")
    assert len(bench.ask(BASE)) == 16
    bench.service.jobs.cancel(bench.stream)
    assert code_of(bench.ask(BASE)) == "ResourceNotFound"


def test_a_cloud_whose_broker_has_no_such_topics_names_no_stream(make_bench):
    bench = make_bench(streams=lambda: False)
    bench.join("n1")
    bench.job("n1")
    assert "stream_id" not in bench.fetch("n1")[0]


def test_the_next_request_takes_back_what_was_not_sent(bench):
    bench.send(cbor2.dumps(BASE | {"l": 256, "n": 391}))
    assert len(bench.take()) == AT_ONCE
    assert bench.blocks(BASE | {"o": 24}) == [24]


def test_nodes_have_turns_and_who_goes_gets_nothing_more(bench):
    job = bench.job("n2", name="other", image=bench.stored)
    bench.fetch("n2")
    bench.send(cbor2.dumps(BASE | {"l": 256, "n": 391}))
    bench.send(cbor2.dumps(BASE | {"l": 256, "n": 391}), "n2", job)
    assert [topic.split("/")[2] for topic, _ in bench.take()] == ["n1", "n2"] * (AT_ONCE // 2)
    bench.presence("n1", False)
    assert {topic.split("/")[2] for topic, _ in bench.take()} == {"n2"}


def test_a_flood_of_requests_is_answered_so_many_times(bench):
    heard = sum(len(bench.ask(BASE | {"n": 1})) for _ in range(2000))
    assert heard == 512
    bench.clock.time += 10
    assert sum(len(bench.ask(BASE | {"n": 1})) for _ in range(200)) == 80
    assert len(bench.service.outbox._letters) == 0


def test_a_flood_costs_no_memory_and_the_image_is_in_memory_once(bench):
    bench.ask(BASE)
    tracemalloc.start()
    for _ in range(500):
        bench.send(cbor2.dumps({"f": 1, "l": 4096, "n": 98_304, "b": b"\xff" * 12_288}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(IMAGE) + 200_000
    assert len(bench.service.streams._deliveries) == 1


def test_the_bitmap_of_a_hostile_node_is_walked_through_by_bytes(bench):
    sparse = bytes(12_287) + b"\x80"
    assert bench.blocks({"f": 1, "l": 256, "n": 98_304, "b": sparse}) == []


REQUESTS = st.one_of(
    st.binary(max_size=100),
    st.dictionaries(
        st.sampled_from(["f", "l", "o", "n", "b", "c", "s", "x"]) | st.integers() | st.binary(max_size=2),
        st.none()
        | st.booleans()
        | st.integers(-(2**64), 2**64 - 1)
        | st.sampled_from([0, 1, 256, 4096, 131_072])
        | st.floats()
        | st.text(max_size=80)
        | st.binary(max_size=300)
        | st.lists(st.integers(), max_size=3),
        max_size=8,
    ).map(cbor2.dumps),
    st.tuples(st.integers(0, 2**20), st.sampled_from([0, "x", b"x", [1, 2], [2**63, 2**63]])).map(
        lambda tag: cbor2.dumps({"f": cbor2.CBORTag(*tag)})
    ),
)


@given(REQUESTS)
def test_any_request_is_understood_or_refused(payload):
    try:
        request = GetStream.decode(payload)
        blocks = list(request.blocks(len(IMAGE)))
    except StreamError:
        return
    assert sum(len(IMAGE[block * request.length :][: request.length]) for block in blocks) <= ANSWER_LIMIT
    assert all(0 <= block * request.length < len(IMAGE) for block in blocks)


FUZZED = Streams()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["n1", "n2", "liar", "cloud", "+"]), REQUESTS), max_size=6))
def test_whatever_nodes_ask_the_cloud_goes_on(asked):
    logging.getLogger("py_esp_ota").setLevel(logging.CRITICAL)
    try:
        for node_id, payload in asked:
            for topic, _ in FUZZED.ask(payload, node_id):
                assert topic.startswith(f"$aws/things/{node_id}/streams/{FUZZED.stream}/")
        FUZZED.clock.time += 3600
        assert len(FUZZED.ask(BASE)) == 16
    finally:
        logging.getLogger("py_esp_ota").setLevel(logging.NOTSET)


def test_what_is_sent_is_cbor_as_anybody_reads_it(bench):
    ((_, body),) = bench.ask(BASE | {"n": 1})
    assert cbor2.CBORDecoder(BytesIO(cbor2.dumps(body))).decode() == body
