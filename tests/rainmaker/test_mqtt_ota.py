"""OTA over MQTT streams, the node's half: requests byte by byte, what ends an attempt, and every text."""

from __future__ import annotations

import asyncio

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from node_bench import JOB, NEW, OLD, Bench
from stream_bench import BIG, PREFIX, STREAM, StreamNode, all_of, block, md5_of, wanted

from py_esp_ota.firmware import Firmware
from py_esp_ota.sdkconfig import Sdkconfig

GOOD = [
    "in-progress: Starting OTA Upgrade (MQTT attempt 1/3)",
    "in-progress: Downloading Firmware Image",
    "in-progress: Firmware Image download complete",
    "in-progress: Rebooting into new firmware (after 1 MQTT attempt)",
    "success: OTA Upgrade finished and verified successfully",
]


def test_a_good_update_says_what_one_over_https_says():
    node = StreamNode(BIG).stream()
    assert node.reports == GOOD
    assert node.running == ("1.1", "VALID")


def test_the_transcripts_requests_byte_by_byte():
    node = StreamNode(BIG)
    node.answers = lambda request: [
        answer
        for index, answer in zip(wanted(request), all_of(BIG, request), strict=False)
        if (index, len(node.asked)) != (18, 3)
    ]
    node.stream()
    header, first, second, again = (payload.hex() for payload in node.asked[:4])
    assert header == "a4616601616c190121616f00616e01"
    assert first == "a5616601616c191000616f00616242ffff616e10"
    assert second == "a5616601616c191000616f10616242ffff616e10"
    assert again == "a5616601616c191000616f106162420400616e10"  # only what is missing: block 18
    assert [request["n"] for request in node.requests] == [1, 16, 16, 16, 5]
    assert node.running == ("1.1", "VALID")


def test_rejected_is_subscribed_to_before_data_and_both_end_with_the_attempt():
    node = StreamNode().stream()
    streams = [line for line in node.line.seen if "/streams/" in line]
    assert streams == [
        f"subscribe {PREFIX}/rejected/cbor",
        f"subscribe {PREFIX}/data/cbor",
        f"unsubscribe {PREFIX}/rejected/cbor",
        f"unsubscribe {PREFIX}/data/cbor",
    ]


@pytest.mark.parametrize(
    ("image", "report"),
    [
        (Firmware("fan", "1").to_bytes(), "rejected: Project Name mismatch"),
        (OLD, "rejected: Same version received"),
    ],
)
def test_the_header_is_checked_before_anything_is_erased(image, report):
    node = StreamNode(image)
    slot = node.chip.flash.read(0x1D0000, 0x1000)
    node.stream(seconds=3600)
    assert node.reports == [GOOD[0], report]
    assert len(node.asked) == 1
    assert node.chip.flash.read(0x1D0000, 0x1000) == slot


def test_the_chip_is_checked_after_the_download_was_announced_and_the_revision_never():
    node = StreamNode(Firmware("lamp", "1.1", chip="esp32s3").to_bytes()).stream(seconds=3600)
    assert node.reports == [*GOOD[:2], "rejected: Chip revision mismatch"]
    assert StreamNode(Firmware("lamp", "1.1", min_chip_rev_full=9900).to_bytes()).stream(seconds=15).reports[:3] == [
        *GOOD[:2],
        "in-progress: Firmware Image download complete",
    ]


def test_the_whole_area_is_erased_before_the_first_block():
    node = StreamNode(BIG)
    order = []
    node.answers = lambda request: (order.append(node.chip.flash.read(0x1D0000, 0x25000)), all_of(BIG, request))[1]
    node.stream(seconds=12)
    assert set(order[1]) == {0xFF}


def failing(text: str) -> list[str]:
    return [f"failed: OTA Attempt {number}/3 failed: {text}" for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        (lambda _: [], "Failed to read image description: ESP_FAIL"),
        (lambda request: [block(NEW, request, 0, p=NEW[:288])], "Failed to read image description: ESP_FAIL"),
        (lambda request: [block(NEW, request, 3)], "Failed to read image description: ESP_FAIL"),
        (lambda request: [block(b"<html>" * 100, request, 0)], "Failed to read image description: ESP_FAIL"),
        (lambda request: all_of(NEW, request) if "b" not in request else [], "OTA failed: ESP_FAIL"),
        (
            lambda request: [block(NEW, request, request["o"], p=b"")] if "b" in request else all_of(NEW, request),
            "OTA failed: ESP_FAIL",
        ),
        (lambda request: all_of(NEW[:-1] + bytes([NEW[-1] ^ 1]), request), "Image validation failed"),
    ],
)
def test_failures_by_name(answers, text):
    node = StreamNode(NEW, answers).stream(seconds=200)
    assert [report for report in node.reports if report.startswith("failed")] == failing(text)
    assert node.running[0] == "1.0"


def test_an_image_that_does_not_fit_the_slot():
    node = StreamNode().stream(file_size=0x1B0000)
    assert [report for report in node.reports if report.startswith("failed")] == failing(
        "OTA failed: ESP_ERR_INVALID_SIZE"
    )


def test_a_negative_size_is_a_bitmap_that_no_chip_has_memory_for():
    node = StreamNode().stream(file_size=-1)
    assert [report for report in node.reports if report.startswith("failed")] == failing(
        "ESP MQTT OTA Begin failed: ESP_ERR_NO_MEM"
    )
    assert node.asked == []


@pytest.mark.parametrize(
    "job", [{"file_size": 0}, {"url": "u", "file_size": 0}], ids=["no size", "no size, another URL"]
)
def test_without_a_size_nothing_is_said(job):
    node = StreamNode().stream(seconds=3600, **job)
    assert node.reports == []
    assert node.asked == []


def test_without_a_stream_the_job_is_refused():
    node = StreamNode().update(file_size=len(NEW))
    assert node.reports == ["failed: Aborted. Stream ID not found in JSON"]
    assert any("Aborted. Stream ID not found in JSON" in line for line in node.console)


def test_a_block_that_does_not_come_is_waited_for_ten_seconds_and_asked_for_three_times_more():
    node = StreamNode(BIG, lambda request: all_of(BIG, request)[:15]).stream(seconds=60)
    asked = [
        (round(when - node.asked_at[1]), request["b"].hex())
        for when, request in zip(node.asked_at[1:5], node.requests[1:5], strict=True)
    ]
    assert asked == [(0, "ffff"), (10, "0080"), (10, "ffff"), (20, "0080")]  # block 15 comes when it is alone


def test_after_three_requests_in_vain_the_attempt_ends():
    node = StreamNode(NEW, lambda request: [] if "b" in request else all_of(NEW, request)).stream(seconds=45)
    assert [round(when - node.asked_at[0]) for when in node.asked_at[1:5]] == [0, 10, 20, 30]
    assert node.reports[2:4] == [
        "failed: OTA Attempt 1/3 failed: OTA failed: ESP_FAIL",
        "in-progress: Starting OTA Upgrade (MQTT attempt 2/3)",
    ]


def test_each_block_that_comes_makes_the_counter_begin_anew():
    node = StreamNode(BIG, esp_rmaker_mqtt_ota_block_size=1024)
    node.answers = lambda request: all_of(BIG, request)[request.get("b") == b"\xff\xff" :]
    node.stream(seconds=150)
    assert sum("Request timed out." in line for line in node.console) == 9  # one in each whole batch
    assert node.reports == GOOD


@pytest.mark.parametrize(
    ("option", "value", "waits"),
    [
        ("esp_rmaker_mqtt_ota_block_wait_sec", 5, [0, 5, 10, 15]),
        ("esp_rmaker_mqtt_ota_max_retries", 1, [0, 10]),
    ],
)
def test_how_long_and_how_often_are_options(option, value, waits):
    node = StreamNode(NEW, lambda request: [] if "b" in request else all_of(NEW, request), **{option: value})
    node.stream(seconds=waits[-1] + 2)
    assert [round(when - node.asked_at[0]) for when in node.asked_at[1:]][: len(waits)] == waits


def test_blocks_and_batches_are_as_large_as_the_options_say():
    node = StreamNode(BIG, esp_rmaker_mqtt_ota_block_size=1024, esp_rmaker_mqtt_ota_no_of_blocks=3).stream()
    assert {(request["l"], request["n"]) for request in node.requests[1:-1]} == {(1024, 3)}
    assert node.running == ("1.1", "VALID")


def test_a_block_smaller_than_the_header_never_gets_it():
    node = StreamNode(NEW, esp_rmaker_mqtt_ota_block_size=256).stream(seconds=45)
    assert "failed: OTA Attempt 3/3 failed: Failed to read image description: ESP_FAIL" in node.reports


def test_a_rejected_request_ends_the_attempt_at_once():
    node = StreamNode(BIG)

    def answers(request):
        if "b" in request and len(node.asked) < 4:
            asyncio.get_running_loop().create_task(node.reject())
            return []
        return all_of(BIG, request)

    node.answers = answers
    node.stream()
    assert node.reports[2] == "failed: OTA Attempt 1/3 failed: OTA failed: ESP_FAIL"
    assert any(line.endswith(f"Received error response on topic : {PREFIX}/rejected/cbor") for line in node.console)
    assert node.asked_at[2] - node.asked_at[1] < 0.1


def test_a_lost_connection_ends_the_attempt_and_the_next_one_waits_for_it():
    node = StreamNode(BIG)
    cuts = []

    def answers(request):
        if request["o"] == 16 and not cuts:
            cuts.append(node.asked_at[-1])
            node.broker.kick("node1")
            return []
        return all_of(BIG, request)

    node.answers = answers
    node.stream()
    assert node.reports == [
        *GOOD[:2],
        "failed: OTA Attempt 1/3 failed: OTA failed: ESP_FAIL",
        "in-progress: Starting OTA Upgrade (MQTT attempt 2/3)",
        GOOD[1],
        GOOD[2],
        "in-progress: Rebooting into new firmware (after 2 MQTT attempts)",
        GOOD[4],
    ]
    console = "\n".join(node.console)
    assert "MQTT disconnected during OTA. Aborting current attempt." in console
    assert "Waiting for MQTT to reconnect before starting OTA attempt." in console


def test_an_hour_without_mqtt_is_three_attempts_of_a_minute():
    node = StreamNode(BIG)

    def answers(request):
        if "b" in request:
            node.line.cut()
            return []
        return all_of(BIG, request)

    node.answers = answers

    async def scenario(bench: Bench) -> None:
        await asyncio.sleep(10)
        await bench.push(stream_id=STREAM, file_size=len(BIG))
        await asyncio.sleep(140)
        node.line.restore()
        await asyncio.sleep(30)

    node.run(scenario)
    waits = [line for line in node.console if "MQTT did not reconnect within 60 seconds." in line]
    assert len(waits) == 2
    assert any("MQTT OTA attempt 2 failed: MQTT not connected" in line for line in node.console)


def test_progress_is_reported_block_by_block():
    node = StreamNode(BIG, esp_rmaker_ota_progress_support=True, esp_rmaker_ota_progress_interval=5).stream()
    percents = [report for report in node.reports if "Downloaded" in report]
    sizes = [min(4096 * count, len(BIG)) * 100 // len(BIG) for count in range(1, 38)]
    assert percents == [
        f"in-progress: Downloaded {p}% Firmware Image" for p in dict.fromkeys(sizes) if p % 5 == 0 and p < 100
    ]


def test_without_rollback_the_old_firmware_says_success():
    node = StreamNode(bootloader_app_rollback_enable=False).stream()
    assert node.reports[-1] == "success: MQTT OTA Upgrade finished successfully (after 1 attempt)"


def test_the_budget_pays_for_requests():
    node = StreamNode(BIG, esp_rmaker_mqtt_default_budget=10).stream()
    asked, told = len(node.asked), len(node.heard)
    assert told + asked <= 10 + 70 / 5 + 1


def test_the_console_of_a_good_update():
    node = StreamNode(BIG).stream(seconds=12, file_md5=md5_of(BIG))
    lines = [line.split(") ", 1)[1] for line in node.console if "esp_rmaker_mqtt_ota" in line]
    assert lines == [
        "esp_rmaker_mqtt_ota: Starting OTA. This may take time.",
        f"esp_rmaker_mqtt_ota: Image length = {len(BIG)} bytes.",
        "esp_rmaker_mqtt_ota: Starting OTA...",
        "esp_rmaker_mqtt_ota: Writing to partition subtype 17 at offset 0x1d0000",
        "esp_rmaker_mqtt_ota: Image bytes read: 81920",
        "esp_rmaker_mqtt_ota: Firmware Image fetched successfully.",
    ]
    assert any(f"Stream ID: {STREAM}" in line for line in node.console)


def test_an_https_build_reads_no_stream_and_asks_none():
    node = StreamNode(BIG)
    node.config = Sdkconfig()
    node.stream()
    assert node.asked == []
    assert node.reports[0] == "in-progress: Starting OTA Upgrade (HTTPS attempt 1/3)"
    assert JOB in node.payloads("otastatus")[0].decode()


# ------------------------------------------------------------------------------------------------------ resumption


def stopped_at(first: int, image: bytes = BIG):
    """A service that falls silent for good at a block, on the first boot."""
    return lambda request: [] if request["o"] >= first else all_of(image, request)


def stored(node: StreamNode) -> dict[str, object]:
    return {key: node.nvs.get("rmaker_ota", key) for key in ("mqtt_ota_off", "mqtt_ota_md5")}


def test_42_the_bitmap_is_relative_to_the_first_block_asked_for():
    node = StreamNode(BIG)
    node.answers = lambda request: all_of(BIG, request)[len(node.asked) == 3 :]
    node.stream()
    assert [(request["o"], request["b"].hex()) for request in node.requests[1:4]] == [
        (0, "ffff"),
        (16, "ffff"),
        (16, "0100"),
    ]


def test_43_what_is_resumed_skips_the_header_and_goes_on_by_batches():
    node = StreamNode(BIG, stopped_at(32))
    node.stream(seconds=45, file_md5=md5_of(BIG))
    # the first attempt waits 40 s for the third batch; the second one resumes there without a look at the header
    assert stored(node) == {"mqtt_ota_off": 32, "mqtt_ota_md5": md5_of(BIG)}
    assert [request["o"] for request in node.requests] == [0, 0, 16, 32, 32, 32, 32, 32]
    assert "Resuming MQTT OTA from block 32 (131072 bytes, md5 match)." in "\n".join(node.console)
    node.answers = lambda request: all_of(BIG, request)
    node.asked.clear()
    resumed = StreamNode(BIG, chip=node.chip)
    resumed.stream(file_md5=md5_of(BIG))
    assert [(request["o"], request["n"], request["b"].hex()) for request in resumed.requests] == [(32, 5, "1f")]
    assert resumed.running == ("1.1", "VALID")
    assert stored(resumed) == {"mqtt_ota_off": None, "mqtt_ota_md5": None}


def test_another_md5_starts_anew():
    node = StreamNode(BIG, stopped_at(32))
    node.stream(seconds=45, file_md5=md5_of(BIG))
    other = StreamNode(NEW, chip=node.chip).stream(file_md5=md5_of(NEW))
    assert "Stored MQTT OTA state has different MD5; starting fresh." in "\n".join(other.console)
    assert other.requests[0] == {"f": 1, "l": 289, "o": 0, "n": 1}
    assert other.running == ("1.1", "VALID")


@pytest.mark.parametrize("more", [{}, {"file_md5": None}])
def test_without_md5_nothing_is_remembered(more):
    node = StreamNode(BIG, stopped_at(32)).stream(seconds=45, **more)
    assert stored(node) == {"mqtt_ota_off": None, "mqtt_ota_md5": None}


def test_esp_idf_before_5_5_remembers_nothing():
    node = StreamNode(BIG, stopped_at(32), idf_version=(5, 4, 4)).stream(seconds=45, file_md5=md5_of(BIG))
    assert stored(node) == {"mqtt_ota_off": None, "mqtt_ota_md5": None}


def test_an_offset_behind_the_end_starts_from_scratch_and_checks_nothing_but_the_chip():
    node = StreamNode(OLD)  # its own version
    node.nvs.set("rmaker_ota", "mqtt_ota_off", 99)
    node.nvs.set("rmaker_ota", "mqtt_ota_md5", md5_of(OLD))
    node.stream(file_md5=md5_of(OLD))
    assert "Stored resume offset 99 >= total blocks 4; restarting from scratch." in "\n".join(node.console)
    assert node.reports[:3] == GOOD[:3]
    assert [request["l"] for request in node.requests] == [289, 4096]


# --------------------------------------------------------------------------------------------------- a hostile cloud


@pytest.mark.parametrize("turn", [1, -1])
def test_blocks_come_in_any_order_and_more_than_once(turn):
    def answers(request):
        return [answer for answer in all_of(BIG, request)[::turn] for _ in range(3 if "b" in request else 1)]

    node = StreamNode(BIG, answers).stream(seconds=120)
    assert node.running == ("1.1", "VALID")


GARBAGE = [
    b"",
    b"\xff",
    b"\xa4",
    b"{}",
    b"\xbf" * 5000,
    b"\x9f" * 5000,
    b"\xa1" + b"\xda\xff\xff\xff\xff",
    cbor2.dumps([1, 2]),
    cbor2.dumps({"f": 1, "i": 0, "l": 5}),
    cbor2.dumps({"f": "1", "i": 0, "l": 5, "p": b"x"}),
    cbor2.dumps({"f": 1, "i": 0.0, "l": 5, "p": b"x"}),
    cbor2.dumps({"f": 1, "i": 0, "l": 5, "p": "x"}),
    cbor2.dumps({"f": 1, "i": 0, "l": 5, "p": bytes(4097)}),
    cbor2.dumps({"f": 1, "i": 48, "l": 4096, "p": bytes(4096)}),
    cbor2.dumps({"f": 1, "i": -1, "l": 4096, "p": bytes(4096)}),
    cbor2.dumps({"f": 1, "i": 1 << 31, "l": 4096, "p": bytes(4096)}),
    b"\xa4\x61f\x01\x61i\x00\x61l\x01\x61p\x5b" + b"\xff" * 8,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_passed_over(garbage):
    node = StreamNode(BIG, lambda request: [garbage, *all_of(BIG, request)]).stream(seconds=120)
    assert node.reports == GOOD
    assert node.running == ("1.1", "VALID")


def test_file_and_length_of_an_answer_are_read_and_not_looked_at():
    node = StreamNode(
        BIG,
        lambda request: [
            block(BIG, request, index, f=-7, l=2**31, c="client token", more=[1, {"p": b""}])
            for index in wanted(request)
            if index * request["l"] < len(BIG)
        ],
    ).stream()
    assert node.reports == GOOD


def test_blocks_of_another_stream_do_not_come():
    node = StreamNode(BIG)

    async def scenario(bench: Bench) -> None:
        await asyncio.sleep(10)
        await bench.push(stream_id="other", file_size=len(BIG))
        await asyncio.sleep(45)

    node.run(scenario)
    assert "failed: OTA Attempt 1/3 failed: Failed to read image description: ESP_FAIL" in node.reports


@pytest.mark.parametrize("cut", [1, -1], ids=["short", "long"])
def test_blocks_of_wrong_lengths_are_the_end_of_the_work_queue_and_nothing_is_written_outside_the_slot(cut):
    image = BIG[:-100]

    def answers(request):
        blocks = [block(image, request, index) for index in wanted(request) if index * request["l"] < len(image)]
        if "b" in request and request["o"] == 32:
            last = image[36 * 4096 :]
            blocks[-1] = block(image, request, 36, p=last[:-1] if cut == 1 else last + bytes(500))
        return blocks

    node = StreamNode(image, answers)
    other = node.chip.flash.read(0, 0x1D0000), node.chip.flash.read(0x379000, 0x87000)
    node.stream(seconds=3600)
    assert node.reports == GOOD[:2]
    after = node.chip.flash.read(0x20000, 0x1D0000 - 0x20000), node.chip.flash.read(0x379000, 0x87000)
    assert after == (other[0][0x20000:], other[1])


def test_a_block_behind_the_end_of_the_slot_is_not_written():
    size = 0x1B0000
    node = StreamNode(
        BIG,
        lambda request: all_of(BIG, request),
        esp_rmaker_mqtt_ota_block_size=131072,
        esp_rmaker_mqtt_ota_no_of_blocks=1,
    )
    node.answers = lambda request: (
        [block(BIG, request, index, p=bytes(131072)) for index in wanted(request)]
        if ("b" in request)
        else all_of(BIG, request)
    )
    node.stream(seconds=60, file_size=size - 1)
    assert any("esp_ota_write failed" in line or "esp_ota_begin failed" in line for line in node.console)


WORDS = st.sampled_from(["f", "i", "l", "p", "c", "x"])
VALUES = st.one_of(
    st.integers(-(2**64), 2**64 - 1),
    st.integers(-2, 40),
    st.binary(max_size=5000),
    st.text(max_size=5),
    st.none(),
    st.lists(st.integers(), max_size=3),
)
HOSTILE = st.lists(
    st.binary(max_size=64)
    | st.dictionaries(WORDS, VALUES, max_size=5).map(cbor2.dumps)
    | st.builds(
        lambda index, data, cut: cbor2.dumps({"f": 1, "i": index, "l": len(data), "p": data})[: None if cut else -1],
        st.integers(-1, 40),
        st.binary(max_size=4096),
        st.booleans(),
    ),
    max_size=6,
)


@given(HOSTILE, st.booleans(), st.integers(-2, 0x1B0000).filter(lambda size: size != len(BIG)))
def test_whatever_a_cloud_sends_nothing_outside_the_slot_is_written_and_the_old_firmware_boots(sent, good_too, size):
    node = StreamNode(BIG, lambda request: [*sent, *(all_of(BIG, request) if good_too else [])])
    flash = node.chip.flash
    before = flash.read(0x20000, 0x1B0000), flash.read(0x379000, 0x87000)
    node.stream(seconds=150, file_size=size, file_md5=md5_of(BIG))
    assert (flash.read(0x20000, 0x1B0000), flash.read(0x379000, 0x87000)) == before
    assert node.running[0] == "1.0"
    assert all(report.split(":")[0] in {"in-progress", "failed", "rejected"} for report in node.reports)
