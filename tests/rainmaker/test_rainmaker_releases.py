"""What the agent of the book's years does otherwise than the newest: each difference tried on both sides of its commit.

The months and versions are those of the commits in upstream's history that made the difference.
"""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from node_bench import JOB, NEW, NODE, OLD, URL, Answer, Bench
from scripted_fetch import Answer as Scripted
from stream_bench import BIG, StreamNode, all_of

from py_esp_ota.errors import EspErr, FetchError, OtaError
from py_esp_ota.firmware import Firmware
from py_esp_ota.rainmaker.features import _OPTIONS, SINCE, RmakerFeatures, as_built
from py_esp_ota.rainmaker.ota import DiagStatus, OtaConfig, OtaEvent, RmakerOta
from py_esp_ota.rainmaker.ota_fetch import FetchEvent, FetchState, period, step
from py_esp_ota.sdkconfig import Sdkconfig

BOOK, NEWEST = (0, 2021, 10), (1, 16, 0)
BEFORE_ATTEMPTS = (1, 5, 7)


def at(version: tuple[int, int, int], **more: object) -> Bench:
    """A node whose build is of this release."""
    bench = {name: more.pop(name) for name in ("ota", "server") if name in more}
    return Bench(config=Sdkconfig(rainmaker_version=version, **more), **bench)


def served(version: tuple[int, int, int], answer: object, **more: object) -> list[str]:
    """Reports of an update with one answer of the server."""
    return at(version, server={URL: answer}, **more).update().reports


OTHER_PROJECT = Firmware("fan", "1").to_bytes()
OTHER_PROJECT_SAME_VERSION = Firmware("fan", "1.0").to_bytes()


def test_the_table_names_each_feature_once():
    assert set(SINCE) == {field.name for field in fields(RmakerFeatures)}
    assert all(BOOK < first <= NEWEST for first in [*SINCE.values(), *(first for first, _ in _OPTIONS.values())])


def test_a_good_update_of_the_books_years():
    node = at(BOOK).update()
    assert node.reports == [
        "in-progress: Starting OTA Upgrade",
        "in-progress: Downloading Firmware Image",
        "in-progress: Firmware Image download complete",
        "success: OTA Upgrade finished successfully",
    ]
    assert node.transcript[-3:] == ["config", "params/local/init", "otafetch"]  # the new firmware says nothing of it
    assert node.running == ("1.1", "VALID")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (BOOK, ["failed: Same version received"]),
        ((0, 2022, 3), ["failed: Same version received"]),
        ((0, 2022, 4), ["rejected: Project Name mismatch"]),
        (NEWEST, ["rejected: Project Name mismatch"]),
    ],
)
def test_order_of_the_checks_and_what_a_refusal_is(version, said):
    assert served(version, Answer(OTHER_PROJECT_SAME_VERSION))[1:] == said


def test_in_the_books_years_a_refused_project_is_a_failure():
    assert served(BOOK, Answer(OTHER_PROJECT))[1:] == ["failed: Project Name mismatch"]


@pytest.mark.parametrize(
    ("version", "start"),
    [
        (BOOK, "in-progress: Starting OTA Upgrade"),
        (BEFORE_ATTEMPTS, "in-progress: Starting OTA Upgrade"),
        ((1, 6, 0), "in-progress: Starting OTA Upgrade (HTTPS attempt 1/3)"),
    ],
)
def test_the_text_of_the_start(version, start):
    assert served(version, Answer(NEW))[0] == start


@pytest.mark.parametrize(
    ("answer", "old", "new"),
    [
        (
            Answer(status=404),
            ["failed: ESP HTTPS OTA Begin failed"],
            "failed: OTA Attempt 1/3 failed: OTA Begin failed: ESP_FAIL (errno=0: Invalid)",
        ),
        (
            Answer(b"<html>no</html>" * 100),
            ["failed: Failed to read image decription"],
            "failed: OTA Attempt 1/3 failed: Failed to read image description: ESP_FAIL (errno=0: Invalid)",
        ),
        (
            Answer(NEW, breaks_at=5000),
            [
                "in-progress: Downloading Firmware Image",
                "failed: OTA failed: Error ESP_FAIL",
                "failed: Image validation failed",
            ],
            None,
        ),
        (
            Answer(NEW[:-1] + b"\0" if NEW[-1] else NEW[:-1] + b"\1"),
            [
                "in-progress: Downloading Firmware Image",
                "in-progress: Firmware Image download complete",
                "failed: Image validation failed",
            ],
            None,
        ),
        (
            Answer(b"\xe8" + NEW[1:]),
            ["in-progress: Downloading Firmware Image", "failed: OTA failed: Error ESP_ERR_OTA_VALIDATE_"],
            None,
        ),
    ],
)
def test_failures_their_texts_and_that_some_are_told_twice(answer, old, new):
    for version in (BOOK, BEFORE_ATTEMPTS):
        said = served(version, answer)[1:]
        assert said[: len(old)] == old
        assert all(report.startswith("failed: Image validation failed") for report in said[len(old) :])
    newest = [report for report in served(NEWEST, answer) if report.startswith("failed")]
    assert newest[0].startswith("failed: OTA Attempt 1/3 failed: ")
    assert new is None or newest[0] == new


def test_attempts_and_the_question_after_them():
    once = at(BEFORE_ATTEMPTS, server={URL: Scripted(status=404)}).update(seconds=400)
    assert sum("Starting" in report for report in once.reports) == 1
    assert [round(when) for when in once.times("otafetch")] == [5]
    thrice = at((1, 6, 0), server={URL: Scripted(status=404)}).update(seconds=400)
    assert sum("Starting" in report for report in thrice.reports) == 3
    assert [round(when) for when in thrice.times("otafetch")] == [5, 310]


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (BOOK, "failed: OTA failed: Error ESP_ERR_INVALID_VERSI"),
        ((0, 2022, 12), "failed: OTA failed: Error ESP_ERR_INVALID_VERSI"),
        ((0, 2023, 1), "rejected: Chip revision mismatch"),
        (NEWEST, "rejected: Chip revision mismatch"),
    ],
)
def test_a_wrong_chip(version, said):
    reports = served(version, Answer(Firmware("lamp", "1.1", chip="esp32s3").to_bytes()))
    assert said in reports


@pytest.mark.parametrize(
    ("version", "last"),
    [
        (BOOK, "success: OTA Upgrade finished successfully"),
        ((0, 2022, 5), "success: OTA Upgrade finished successfully"),
        ((0, 2022, 6), "success: OTA Upgrade finished and verified successfully"),
        (NEWEST, "success: OTA Upgrade finished and verified successfully"),
    ],
)
def test_who_reports_the_success(version, last):
    node = at(version).update()
    assert node.reports[-1] == last
    assert node.running == ("1.1", "VALID")


@pytest.mark.parametrize("version", [BOOK, (0, 2022, 6), BEFORE_ATTEMPTS, NEWEST])
def test_a_failed_self_test_and_what_the_old_firmware_says_of_it(version):
    told: list[str] = []
    diag = OtaConfig(ota_diag=lambda state: told.append(state.name) or False)
    node = at(version, ota=diag).update()
    assert node.running[0] == "1.0"
    assert told == ["INIT"]
    assert ("rejected: Firmware rolled back" in node.reports) is (version >= (0, 2022, 6))


def test_the_self_test_is_asked_again_over_mqtt_since_september_2022():
    for version, phases in (((0, 2022, 8), ["INIT"]), ((0, 2022, 9), ["INIT", "POST_MQTT"])):
        told: list[str] = []
        diag = OtaConfig(ota_diag=lambda state, told=told: told.append(state.name) or DiagStatus.SUCCESS)
        at(version, ota=diag).update()
        assert told == phases


@pytest.mark.parametrize(
    ("version", "keys"),
    [
        (BOOK, ["ota_job_id", "status", "additional_info"]),
        (BEFORE_ATTEMPTS, ["ota_job_id", "status", "additional_info"]),
        ((1, 6, 0), ["ota_job_id", "status", "additional_info", "ts"]),
    ],
)
def test_the_keys_of_a_status(version, keys):
    assert list(json.loads(at(version).update().payloads("otastatus")[0])) == keys


@pytest.mark.parametrize(("version", "asked"), [(BOOK, 0), ((0, 2022, 9), 0), ((0, 2022, 10), 5), (NEWEST, 5)])
def test_when_a_node_asks_after_its_boot(version, asked):
    assert [round(when) for when in at(version).wait(60).times("otafetch")] == [asked]


def test_a_question_that_does_not_arrive_is_asked_again_since_1_6_0():
    for version, arrived in ((BEFORE_ATTEMPTS, []), ((1, 6, 0), [125]), (NEWEST, [95])):
        node = at(version)
        node.line.swallow("otafetch", 10**6)  # esp-mqtt sends it again and again

        async def scenario(bench: Bench) -> None:
            await bench.sleep(60)
            bench.line.swallow("otafetch", 0)
            await bench.sleep(140)

        node.run(scenario)
        assert [round(when) for when in node.times("otafetch")] == arrived


def test_the_back_off_grows_since_1_12_9():
    state = FetchState()
    waits = []
    for _ in range(4):
        state, wait = step(state, FetchEvent.NOT_SENT, grows=False)
        waits.append(wait)
    state, wait = step(state, FetchEvent.TIMEOUT, grows=False)
    assert [*waits, wait] == [30, 30, 30, 30, 60]


@pytest.mark.parametrize(
    ("version", "seconds"), [((1, 5, 7), 86_400), ((1, 6, 0), 500.65), ((1, 12, 8), 500.65), ((1, 12, 9), 86_400)]
)
def test_a_period_of_a_day_was_eight_minutes_for_a_while(version, seconds):
    node = at(version, esp_rmaker_ota_autofetch_period=24).wait(90_000)
    second = node.times("otafetch")[1]
    assert abs(second - seconds) < 1
    assert period(11, overflows=True) == 11 * 3600


@pytest.mark.parametrize(("version", "kept"), [(BOOK, None), ((0, 2022, 5), None), ((0, 2022, 6), JOB.encode())])
def test_the_job_id_in_nvs(version, kept):
    node = at(version, server={URL: Answer(status=404)}).update()
    assert node.nvs.get("rmaker_ota", "rmaker_ota_id") == kept


def test_a_message_that_cannot_be_read_is_reported_without_a_job():
    for version, reports in ((BOOK, 1), ((0, 2022, 8), 1), ((0, 2022, 9), 0)):

        async def scenario(bench: Bench) -> None:
            await bench.sleep(10)
            await bench.send("otaurl", b"{")
            await bench.sleep(5)

        node = at(version).run(scenario)
        bodies = [json.loads(payload) for payload in node.payloads("otastatus")]
        assert [body.get("ota_job_id") for body in bodies] == [None] * reports


@pytest.mark.parametrize(("version", "delayed"), [(BOOK, False), ((0, 2022, 9), False), ((0, 2022, 10), True)])
def test_metadata(version, delayed):
    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push(metadata='{"validity":{"start":1800000000}}')
        await bench.sleep(30)

    reports = at(version).run(scenario).reports
    assert (reports == ["delayed: Not within valid window."]) is delayed


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ((0, 2022, 6), (None, None, None)),
        ((0, 2022, 7), (None, None, '{"a":1}')),
        ((0, 2022, 10), ("1.1", None, '{"a":1}')),
        ((1, 7, 2), ("1.1", "abc", '{"a":1}')),
    ],
)
def test_what_a_callback_is_told(version, told):
    seen = []

    async def callback(_handle, data):
        seen.append((data.fw_version, data.file_md5, data.metadata))

    at(version, ota=OtaConfig(ota_cb=callback)).update(fw_version="1.1", file_md5="abc", metadata='{"a":1}')
    assert seen == [told]


@pytest.mark.parametrize(("version", "posts"), [(BOOK, False), ((0, 2022, 7), False), ((0, 2022, 8), True)])
def test_events(version, posts):
    events: list[OtaEvent] = []
    at(version, ota=OtaConfig(on_event=lambda event, _data: events.append(event))).update()
    assert bool(events) is posts


@pytest.mark.parametrize(("version", "prefix"), [((0, 2022, 10), ""), ((0, 2022, 11), "$aws/rules/esp_node_otafetch/")])
def test_topics(version, prefix):
    topics = at(version).wait(20).topics
    assert f"{prefix}node/{NODE}/otafetch" in topics


@pytest.mark.parametrize(("version", "asked"), [(BOOK, 0), ((1, 0, 0), 0), ((1, 1, 0), 1), (NEWEST, 1)])
def test_the_question_for_commands(version, asked):
    assert len(at(version).wait(20).times("from-node")) == asked


def test_the_budget_came_with_basic_ingest():
    for version, free in (((0, 2022, 10), True), ((0, 2022, 11), False)):
        config = Sdkconfig(rainmaker_version=version, esp_rmaker_mqtt_default_budget=1)
        node = Bench(config=config).wait(4)
        assert ("params/local/init" in node.transcript) is free


@pytest.mark.parametrize(("version", "refused"), [(BOOK, False), ((0, 2022, 11), False), ((0, 2022, 12), True)])
def test_the_secure_version(version, refused):
    bench = Bench(config=Sdkconfig(rainmaker_version=version), secure_version=1)
    assert ("rejected: Lower secure version received" in bench.update().reports) is refused


def test_without_a_config_ota_was_an_error():
    class Core:
        config = Sdkconfig(rainmaker_version=(0, 2022, 4))

        class log:  # noqa: N801
            @staticmethod
            def error(*_words):
                pass

    with pytest.raises(OtaError) as error:
        RmakerOta.enable(Core, None)
    assert error.value.err is EspErr.ESP_ERR_INVALID_ARG


@pytest.mark.parametrize(("version", "stray"), [((1, 5, 0), True), ((1, 5, 1), False)])
def test_the_second_boot_after_a_good_update_took_itself_for_rolled_back(version, stray):
    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(60)
        await bench.power_cycle()
        await bench.sleep(30)

    node = at(version).run(scenario)
    assert (node.nvs.get("rmaker_ota", "ota_update") is not None) is False
    assert any("Not reporting any status" in line for line in node.console) is stray


@pytest.mark.parametrize(
    ("version", "stored"),
    [
        ((1, 7, 1), {}),
        ((1, 7, 2), {"ota_writen": 5888}),
        ((1, 12, 6), {"ota_writen": 5888}),
        ((1, 12, 7), {"ota_written": 5}),
    ],
)
def test_what_resumption_keeps(version, stored):
    node = at(version, server={URL: Answer(NEW, breaks_at=6000)})
    node.update(seconds=20, file_md5="abc")
    found = {key: node.nvs.get("rmaker_ota", key) for key in ("ota_writen", "ota_written")}
    assert {key for key, value in found.items() if value is not None} == set(stored)


@pytest.mark.parametrize("option", sorted(_OPTIONS))
def test_an_option_that_is_not_there_yet_changes_nothing(option):
    first, before = _OPTIONS[option]
    year_before = (first[0], first[1] - 1, 0)
    assert getattr(as_built(Sdkconfig(rainmaker_version=year_before, **{option: not before})), option) is before
    assert getattr(as_built(Sdkconfig(rainmaker_version=first, **{option: not before})), option) is not before


def test_a_download_that_times_out_is_the_same_failure():
    assert served(BOOK, Answer(fails=FetchError("timeout")))[1:] == ["failed: ESP HTTPS OTA Begin failed"]
    assert OLD != NEW


# ------------------------------------------------------------------------------------------------ streams before 1.15.0


OLD_STREAMS = {"rainmaker_version": (1, 14, 0), "esp_rmaker_mqtt_ota_block_size": 3072}


def test_streams_came_with_1_6_4():
    node = StreamNode(BIG, rainmaker_version=(1, 6, 3)).stream()
    assert node.asked == []
    assert node.reports[0] == "in-progress: Starting OTA Upgrade (HTTPS attempt 1/3)"


def test_before_1_15_0_no_request_has_a_bitmap():
    node = StreamNode(BIG, **OLD_STREAMS, esp_rmaker_mqtt_ota_no_of_blocks=42).stream()
    assert [sorted(request) for request in node.requests] == [["f", "l", "n", "o"]] * 3
    assert [(request["o"], request["n"], request["l"]) for request in node.requests[1:]] == [
        (0, 42, 3072),
        (42, 7, 3072),
    ]
    assert node.running == ("1.1", "VALID")


def test_before_1_15_0_what_is_missing_of_a_batch_is_asked_for_with_the_rest():
    node = StreamNode(BIG, **OLD_STREAMS)
    node.answers = lambda request: all_of(BIG, request)[len(node.asked) == 2 :]
    node.stream()
    assert [request["o"] for request in node.requests] == [0, 0, 0, 16, 32, 48]
    assert sum("Duplicate Block Received." in line for line in node.console) == 15
    assert node.running == ("1.1", "VALID")


def test_before_1_15_0_a_lost_connection_is_waited_through():
    node = StreamNode(BIG, **OLD_STREAMS)

    def answers(request):
        if request["o"] == 16 and len(node.asked) == 3:
            node.broker.kick(NODE)
            return []
        return all_of(BIG, request)

    node.answers = answers
    node.stream()
    assert not any("MQTT disconnected during OTA" in line for line in node.console)
    assert node.reports[-1] == "success: OTA Upgrade finished and verified successfully"
    assert sum("Starting" in report for report in node.reports) == 1


def test_before_1_15_0_nothing_is_remembered():
    node = StreamNode(BIG, lambda request: [] if request["o"] >= 32 else all_of(BIG, request), **OLD_STREAMS)
    node.stream(seconds=45, file_md5="abc")
    assert node.nvs.get("rmaker_ota", "mqtt_ota_md5") is None


def test_before_1_15_0_wrong_lengths_ask_for_nothing_until_the_budget_is_used_up():
    image = BIG[:-100]
    node = StreamNode(image, lambda request: all_of(image[:-1], request), **OLD_STREAMS)
    node.stream(seconds=20)
    assert any("MQTT OTA attempt 1 failed: OTA failed: ESP_FAIL" in line for line in node.console)
    assert {request["n"] for request in node.requests[5:]} == {0}
