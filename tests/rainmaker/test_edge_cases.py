"""The edge cases that a naive emulator gets wrong, one test for each, by their numbers."""

from __future__ import annotations

import asyncio
import json
import re
from hashlib import md5
from pathlib import Path

import pytest
from file_server import FileServer
from node_bench import JOB, NEW, NODE, OLD, URL, Answer, Bench
from stream_bench import BIG, StreamNode, all_of, md5_of

from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.adapters.topics import matches
from py_esp_ota.errors import FetchError
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.esp_http_client.url import redirection
from py_esp_ota.idf.esp_https_ota import https_ota
from py_esp_ota.idf.esp_https_ota.https_ota import HttpClientConfig, HttpsOtaConfig
from py_esp_ota.rainmaker.budget import Budget
from py_esp_ota.rainmaker.client_data import mqtt_alpn
from py_esp_ota.rainmaker.messages import RULES, OtaUrl, topic
from py_esp_ota.rainmaker.ota import DiagState, DiagStatus, OtaConfig, OtaType
from py_esp_ota.rainmaker.ota_time import minutes_until_window
from py_esp_ota.sdkconfig import Sdkconfig

MD5 = md5(NEW, usedforsecurity=False).hexdigest()
START = "in-progress: Starting OTA Upgrade (HTTPS attempt {}/3)"
DOWNLOADING = "in-progress: Downloading Firmware Image"
REBOOTING = "in-progress: Rebooting into new firmware (after 1 HTTPS attempt)"
VERIFIED = "success: OTA Upgrade finished and verified successfully"
ROLLED_BACK = "rejected: Firmware rolled back"


def told(*acts, bench=None, **options):
    """A node, and what happens to it: numbers are seconds, everything else is called with the bench."""
    bench = bench or Bench(**options)

    async def scenario(bench):
        for act in acts:
            await (asyncio.sleep(act) if isinstance(act, int | float) else act(bench))

    return bench.run(scenario)


def push(url=URL, job=JOB, **more):
    return lambda bench: bench.push(url, job, **more)


def send(payload):
    return lambda bench: bench.send("otaurl", payload)


def count(bench, text):
    return sum(text in report for report in bench.reports)


def test_every_case_has_its_test():
    numbers = {int(number) for number in re.findall(r"def test_edge_case_(\d\d)_", Path(__file__).read_text())}
    assert numbers == set(range(1, 46))


# ------------------------------------------------------------------------------------------------------------- otaurl


def test_edge_case_01_a_second_otaurl_during_an_ota_is_dropped_without_a_status():
    slow = Answer(NEW, stalls_at=8192)
    bench = told(10, push(), 30, push(job="second"), send(b"{"), 30, server={URL: slow})
    assert bench.reports == [START.format(1), DOWNLOADING]


def test_edge_case_02_an_otaurl_before_the_new_image_is_confirmed_is_dropped():
    waits = OtaConfig(ota_diag=lambda state: DiagStatus.SUCCESS if state is DiagState.INIT else DiagStatus.PENDING)
    bench = told(10, push(), 30, push(job="second"), 20, ota=waits)
    assert (bench.reports[-1], len(bench.fetch.requests)) == (REBOOTING, 1)


def test_edge_case_03_the_same_job_runs_again_after_a_failure_and_before_the_reboot():
    answers = [Answer(status=404)] * 3 + [Answer(NEW), Answer(OLD)]
    bench = told(10, push(), 3, push(), 3, push(), 60, server={URL: answers})
    assert count(bench, "attempt 1/3") == 3
    assert "rejected: Same version received" in bench.reports


def test_edge_case_04_failed_is_not_terminal():
    bench = told(10, push(), 60, server={URL: [Answer(status=500), Answer(status=500), Answer(NEW)]})
    assert count(bench, "failed: ") == 2
    assert bench.reports[-1] == VERIFIED


def test_edge_case_05_a_rejection_ends_it_without_attempts_or_another_question():
    bench = told(10, push(), 400, server={URL: Answer(OLD)})
    assert bench.reports == [START.format(1), "rejected: Same version received"]
    assert len(bench.times("otafetch")) == 1


def test_edge_case_06_success_comes_from_the_new_firmware_before_its_config():
    bench = told(10, push(), 60)
    assert bench.transcript[-4:-1] == [VERIFIED, "config", "params/local/init"]


def test_edge_case_07_a_malformed_otaurl_is_reported_against_an_old_job_once():
    assert told(10, send(b"{"), 1).reports == []
    bench = Bench()
    bench.nvs.set("rmaker_ota", "rmaker_ota_id", b"old")
    told(10, send(b"{"), send(b"{"), 1, bench=bench)
    (report,) = map(json.loads, bench.payloads("otastatus"))
    assert (report["ota_job_id"], report["additional_info"]) == ("old", "Aborted. JSON Payload error")


def test_edge_case_08_a_stale_job_id_takes_the_credit_for_an_update_by_other_means():
    async def update_by_other_means(bench):
        ops = bench.ops
        slot = ops.get_next_update_partition()
        handle = ops.begin(slot, 0)
        ops.write(handle, NEW)
        ops.end(handle)
        ops.set_boot_partition(slot)
        bench.node.ota.handle.core.reboot(1)

    bench = told(10, push("https://cloud/none", "stale"), 10, update_by_other_means, 20)
    last = json.loads(bench.payloads("otastatus")[-1])
    assert (last["ota_job_id"], last["status"]) == ("stale", "success")


# ------------------------------------------------------------------------------------------------------------ questions


def test_edge_case_09_a_reconnect_asks_nothing():
    async def lose(bench):
        bench.broker.kick(NODE)

    bench = told(20, lose, 60, lose, 60)
    assert bench.times("otafetch") == [5.0]


def test_edge_case_10_two_questions_may_follow_an_update():
    bench = told(10, push(), 60)
    booted = bench.boots[1][0]
    asked = [when for when in bench.times("otafetch") if when > booted]
    skipped = [line for line in bench.console if "OTA fetch already in progress. Skipping." in line]
    assert len(asked) + len(skipped) == 2  # with no time between PUBLISH and PUBACK the second waits for the first


def test_edge_case_11_a_question_without_an_answer_is_not_repeated_but_one_without_a_puback_is():
    assert len(told(3600).times("otafetch")) == 1

    async def swallow(bench):
        bench.line.swallow("otafetch", 1000)

    async def mend(bench):
        bench.line.swallow("otafetch", 0)

    assert told(4, swallow, 40, mend, 100).times("otafetch") == [5 + 60 + 30]


# ------------------------------------------------------------------------------------------- what is and is not checked


def test_edge_case_12_the_md5_is_never_computed():
    assert told(10, push(file_md5="0" * 32), 60).running == ("1.1", "VALID")


def test_edge_case_13_a_lower_version_is_installed():
    bench = told(10, push(), 60, server={URL: Answer(Firmware("lamp", "0.9").to_bytes())})
    assert bench.running == ("0.9", "VALID")


def test_edge_case_14_fw_version_and_file_size_of_the_message_are_ignored():
    assert told(10, push(fw_version="1.0", file_size=7), 60).running == ("1.1", "VALID")


def test_edge_case_15_escapes_in_the_url_are_not_decoded():
    body = rb'{"ota_job_id":"j","url":"https:\/\/cloud\/lamp.bin?a=1\u0026b=2"}'
    assert OtaUrl.decode(body).url == r"https:\/\/cloud\/lamp.bin?a=1\u0026b=2"
    plain = b'{"ota_job_id":"j","url":"https://cloud/lamp.bin?a=1\\u0026b=2"}'
    bench = told(10, send(plain), 1)
    assert {url for url, _ in bench.fetch.requests} == {r"https://cloud/lamp.bin?a=1\u0026b=2"}


def test_edge_case_16_what_the_node_says_is_not_always_json():
    # The text of a connection that does not come about is too long by one byte: the last brace is missing.
    bench = told(10, push(), 5, server={URL: Answer(fails=FetchError("connect", "", 115))})
    cut = bench.payloads("otastatus")[1]
    assert (len(cut), cut[-1:]) == (199, b"0")
    raw = told(10, send(b'{"ota_job_id":"a\tb","url":"https://cloud/lamp.bin"}'), 5)
    assert raw.payloads("otastatus")[0].startswith(b'{"ota_job_id":"a\tb",')  # a tab in a string is no JSON


def test_edge_case_17_the_key_of_the_size_is_file_size():
    assert OtaUrl.decode(b'{"ota_job_id":"j","url":"u","filesize":5}').file_size == 0
    assert OtaUrl.decode(b'{"ota_job_id":"j","url":"u","file_size":5}').file_size == 5


# --------------------------------------------------------------------------------------------------------------- HTTPS


def test_edge_case_18_a_stalled_download_loops_for_ever():
    bench = told(10, push(), 24 * 3600, server={URL: Answer(NEW, stalls_at=4096)})
    assert bench.reports == [START.format(1), DOWNLOADING]


def test_edge_case_19_there_is_no_limit_of_redirects():
    hops = [Answer(status=302, headers={"location": URL, "content-length": "0"})] * 50
    assert told(10, push(), 60, server={URL: [*hops, Answer(NEW)]}).running == ("1.1", "VALID")


def test_edge_case_20_a_relative_redirect_on_https_is_refused():
    away = {"location": "/there.bin", "content-length": "0"}
    moved = {URL: Answer(status=302, headers=away), "https://cloud/there.bin": Answer(NEW)}
    refused = "failed: OTA Attempt 1/3 failed: OTA Begin failed: ESP_ERR_HTTP_REDIRECT_DOWNGRADE (errno=0: Invalid)"
    assert told(10, push(), 60, server=moved).reports[1] == refused
    old = Sdkconfig(idf_version=(6, 0, 1))
    assert told(10, push(), 60, server=moved, config=old).running == ("1.1", "VALID")
    assert redirection("http://cloud/a", "/b", refuses_downgrade=True, one_transport=True) == "http://cloud/b"


def test_edge_case_21_plain_http_is_accepted():
    bench = told(10, push("http://cloud/lamp.bin"), 60, server={"http://cloud/lamp.bin": Answer(NEW)})
    assert bench.running == ("1.1", "VALID")


class Ranged(Bench):
    """A node beside a server that knows ranges, whose line breaks as told."""

    def __init__(self, *breaks, spoil=None, **options):
        super().__init__(config=Sdkconfig(**options))
        self.fetch = FileServer({"/lamp.bin": NEW}, breaks=list(breaks), spoil=spoil)


def test_edge_case_22_the_content_range_of_a_206_is_not_looked_at():
    def lie(request, reply):
        if request.range:
            reply.headers["content-range"] = "bytes 0-1/2"

    assert told(10, push(file_md5=MD5), 60, bench=Ranged(6000, spoil=lie)).running == ("1.1", "VALID")


@pytest.mark.parametrize(("version", "corrupt"), [((5, 5, 3), True), ((6, 2, 0), False)])
def test_edge_case_23_200_to_a_range_is_asked_again_or_appended(version, corrupt):
    bench = Ranged(5120, idf_version=version)
    bench.fetch.ranges = False
    told(10, push(file_md5=MD5), 60, bench=bench)
    asked = [request.range for request in bench.fetch.requests]
    assert asked == ["", "bytes=5120-", ""]
    assert ("failed: OTA Attempt 2/3 failed: Image validation failed" in bench.reports) is corrupt
    assert count(bench, "attempt") == (3 if corrupt else 2) + 1  # and the line about the reboot


@pytest.mark.parametrize("status", [201, 202, 203, 206, 226])
def test_edge_case_24_any_2xx_is_accepted(status):
    assert told(10, push(), 60, server={URL: Answer(NEW, status=status)}).running == ("1.1", "VALID")


def test_edge_case_25_a_page_that_says_sorry_fails_at_the_header():
    page = Answer(b"<html>" + b"sorry " * 1000)
    bench = told(10, push(), 5, server={URL: page})
    text = "failed: OTA Attempt 1/3 failed: Failed to read image description: ESP_FAIL (errno=0: Invalid)"
    assert bench.reports[1] == text
    old = told(10, push(), 5, server={URL: page}, config=Sdkconfig(idf_version=(4, 4, 8)))
    assert old.reports[1] == "rejected: Project Name mismatch"


def test_edge_case_26_a_wrong_chip_is_found_after_the_download_is_announced():
    other = Firmware("lamp", "1.1", chip="esp32s3").to_bytes()
    bench = told(10, push(), 60, server={URL: Answer(other)})
    assert bench.reports == [START.format(1), DOWNLOADING, "rejected: Chip revision mismatch"]


def test_edge_case_27_a_bad_first_byte_fails_in_the_download_and_a_bad_image_at_its_end():
    first = told(10, push(), 5, server={URL: Answer(b"\0" + NEW[1:])})
    text = "failed: OTA Attempt 1/3 failed: {}"
    assert first.reports[2] == text.format("OTA failed: ESP_ERR_OTA_VALIDATE_FAILED (errno=0: Invalid)")
    last = told(10, push(), 5, server={URL: Answer(NEW[:-1] + b"?")})
    assert last.reports[3] == text.format("Image validation failed")


# ------------------------------------------------------------------------------------------------------------ rollback


def test_edge_case_28_without_rollback_in_the_bootloader_good_firmware_seems_rolled_back():
    bench = told(10, push(), 60, bootloader=Sdkconfig(bootloader_app_rollback_enable=False))
    assert (bench.running[0], bench.reports[-1]) == ("1.1", ROLLED_BACK)


def test_edge_case_29_the_clock_of_the_rollback_starts_at_boot():
    async def cut(bench):
        bench.line.cut()

    bench = told(10, push(), 9, cut, 200)
    assert bench.boots[2][0] - bench.boots[1][0] == pytest.approx(90, abs=0.1)


def test_edge_case_30_a_pending_answer_after_mqtt_is_rolled_back_all_the_same():
    waits = OtaConfig(ota_diag=lambda state: DiagStatus.SUCCESS if state is DiagState.INIT else DiagStatus.PENDING)
    bench = told(10, push(), 150, ota=waits)
    assert bench.reports[-1] == ROLLED_BACK
    assert bench.boots[2][0] - bench.boots[1][0] == pytest.approx(90, abs=0.1)


def test_edge_case_31_report_failed_is_for_the_time_out_alone():
    config = Sdkconfig(esp_rmaker_ota_rollback_report_failed=True)
    fails = OtaConfig(ota_diag=lambda _state: False)
    assert told(10, push(), 60, config=config, ota=fails).reports[-1] == ROLLED_BACK

    async def cut(bench):
        bench.line.cut()

    async def restore(bench):
        bench.line.restore()

    late = told(10, push(), 9, cut, 100, restore, 30, config=config)
    assert late.reports[-1] == "failed: MQTT did not connect within 90 seconds"


def test_edge_case_32_a_rolled_back_version_is_installed_again():
    answers = iter([True, False, True, True])
    picky = OtaConfig(ota_diag=lambda _state: next(answers))
    bench = told(10, push(), 40, push(), 60, ota=picky)
    assert (bench.reports.count(DOWNLOADING), bench.reports[-1]) == (2, VERIFIED)


# ---------------------------------------------------------------------------------------------------------------- MQTT


def test_edge_case_33_every_publish_costs_one_and_statuses_are_lost_at_none():
    config = Sdkconfig(esp_rmaker_mqtt_default_budget=4, esp_rmaker_mqtt_budget_revive_period=600)
    bench = told(10, push(), 5, config=config)
    # The poll for commands, config, params and the question; subscriptions cost nothing.
    assert [suffix for _, suffix, _ in bench.heard] == ["from-node", "config", "params/local/init", "otafetch"]
    assert Budget(config).take(0)


def test_edge_case_34_a_wildcard_does_not_see_what_goes_by_basic_ingest():
    for suffix in RULES:
        name = topic("n1", suffix, basic_ingest=True)
        assert not matches("#", name)
        assert not matches("+/#", name)
        assert matches("$aws/rules/+/node/+/" + suffix, name)


def test_edge_case_35_alpn_is_for_port_443_alone():
    assert [mqtt_alpn(port) for port in (443, 8883, 1883)] == ["x-amzn-mqtt-ca", None, None]


def test_edge_case_36_over_params_the_info_precedes_the_status():
    async def write(bench):
        await bench.send("params/remote", json.dumps({"OTA": {"URL": URL}}).encode())

    bench = told(10, write, 5, ota=OtaConfig(type=OtaType.PARAMS))
    assert bench.payloads("params/local")[:2] == [
        b'{"OTA":{"Info":"Starting OTA Upgrade (HTTPS attempt 1/3)"}}',
        b'{"OTA":{"Status":"in-progress"}}',
    ]


@pytest.mark.parametrize(
    ("start", "end", "minute", "wait"),
    [
        (1080, 1155, 18 * 60, None),
        (1080, 1155, 19 * 60 + 15, None),
        (1080, 1155, 19 * 60 + 16, 1364),
        (1380, 120, 18 * 60, 300),
        (1380, 120, 23 * 60 + 30, None),
        (1380, 120, 2 * 60, None),
        (1380, 120, 2 * 60 + 1, 1259),
        (600, 600, 10 * 60, None),
    ],
)
def test_edge_case_37_both_ends_belong_to_a_window_in_local_time(start, end, minute, wait):
    assert minutes_until_window(start, end, minute) == wait


def test_edge_case_37_an_end_alone_is_ignored_and_the_zone_is_shanghai():
    end = told(10, push(metadata='{"download_window":{"end":5}}'), 60)
    assert end.running == ("1.1", "VALID")
    shanghai_midnight = 1_753_804_800
    window = push(metadata='{"download_window":{"start":0,"end":5}}')
    assert told(10, window, 60, epoch=shanghai_midnight).running == ("1.1", "VALID")
    assert told(10, window, 60, epoch=shanghai_midnight + 3600).reports == ["delayed: Not within download window."]


def test_edge_case_38_a_delayed_job_only_asks_again():
    window = push(metadata='{"download_window":{"start":60,"end":65}}')
    bench = told(10, window, 2 * 3600, epoch=1_753_804_800)
    assert bench.reports == ["delayed: Not within download window."]
    assert bench.times("otafetch") == [5.0, 10 + 3600 + 5]  # whole minutes, and five seconds more
    assert bench.fetch.requests == []


def test_edge_case_39_a_job_that_may_not_run_posts_no_starting():
    events = []
    ota = OtaConfig(on_event=lambda event, _data: events.append(event.name))
    told(10, push(metadata='{"validity":{"end":1600000000}}'), 5, ota=ota)
    assert events == ["FAILED"]


def test_edge_case_40_the_question_carries_the_version_of_the_node_info():
    bench = Bench()
    bench.fw_version = "app-1"
    told(10, push(), 5, bench=bench)
    assert bench.payloads("otafetch")[0] == b'{"node_id":"node1","fw_version":"app-1"}'
    assert json.loads(bench.payloads("config")[0])["info"]["fw_version"] == "app-1"
    assert DOWNLOADING in bench.reports  # 1.1 is not 1.0, the descriptor's


def test_edge_case_41_the_image_size_is_what_remains_and_unknown_in_chunks():
    async def size(chunked, written):
        bench = Bench()
        bench._boot()
        server = FileServer({"/lamp.bin": NEW}, chunked=chunked)
        config = HttpsOtaConfig(
            http_config=HttpClientConfig(url=URL), ota_resumption=written > 0, ota_image_bytes_written=written
        )
        handle = await https_ota.begin(config, ops=bench.ops, fetch=server)
        found = handle.get_image_size()
        await handle.close()
        return found

    assert run_virtual(size(chunked=False, written=0)) == len(NEW)
    assert run_virtual(size(chunked=False, written=4096)) == len(NEW) - 4096
    assert run_virtual(size(chunked=True, written=0)) == -1


# -------------------------------------------------------------------------------------------------------- MQTT streams


def test_edge_case_42_the_bitmap_is_relative_to_the_first_block_asked_for():
    asked = StreamNode(BIG).stream().requests
    assert [(request["o"], request["n"]) for request in asked] == [(0, 1), (0, 16), (16, 16), (32, 5)]
    assert [request["b"].hex() for request in asked[1:]] == ["ffff", "ffff", "1f"]


def test_edge_case_43_what_is_resumed_skips_the_header_and_its_checks():
    def half(request):
        return all_of(BIG, request) if request["o"] < 16 else []

    node = StreamNode(BIG, half, esp_rmaker_ota_max_retries=1).stream(120, file_md5=md5_of(BIG))
    assert [request["o"] for request in node.requests[:3]] == [0, 0, 16]
    seen = len(node.asked)
    node.answers = lambda request: all_of(BIG, request)
    node.stream(file_md5=md5_of(BIG))
    assert [(request["o"], request["l"]) for request in node.requests[seen:]] == [(16, 4096), (32, 4096)]
    assert node.running == ("1.1", "VALID")


@pytest.mark.parametrize(("length", "found"), [(63, True), (64, True), (65, False)])
def test_edge_case_44_a_long_job_id_is_not_found_after_the_reboot(length, found):
    bench = told(10, push(job="j" * length), 60)
    assert (bench.reports[-1] == VERIFIED) is found


def test_edge_case_45_the_periodic_question_comes_during_an_update_and_its_answer_is_dropped():
    config = Sdkconfig(esp_rmaker_ota_autofetch_period=1)
    stalled = {URL: Answer(NEW, stalls_at=4096)}
    bench = told(10, push(), 3600, push(job="answer"), 10, config=config, server=stalled)
    assert bench.times("otafetch") == [5.0, 3600.0]
    assert bench.reports == [START.format(1), DOWNLOADING]
