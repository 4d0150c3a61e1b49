"""The job messages: what starts an update, for which job a report counts, and when a job has to wait."""

import json

import pytest
from node_bench import EPOCH, JOB, NEW, URL, Answer, Bench

from py_esp_ota.errors import EspErr, NvsError
from py_esp_ota.firmware import Firmware
from py_esp_ota.rainmaker.messages import OtaStatus
from py_esp_ota.rainmaker.ota import OtaConfig, default_cb
from py_esp_ota.sdkconfig import Sdkconfig

OLD_JOB = b"ZzZzZzZzZzZzZzZzZzZzZz"
SAME = Firmware("lamp", "1.0").to_bytes()


def told(payload: bytes, *, stored: bytes | None = None) -> Bench:
    """What a node says to one raw otaurl message."""
    bench = Bench()
    if stored is not None:
        bench.nvs.set("rmaker_ota", "rmaker_ota_id", stored)

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.send("otaurl", payload)
        await bench.sleep(3)

    return bench.run(scenario)


@pytest.mark.parametrize(
    ("payload", "info"),
    [
        (b"", "Aborted. JSON Payload error"),
        (b"{", "Aborted. JSON Payload error"),
        (b'{"url":"u"}', "Aborted. OTA Updated ID not found in JSON"),
        (b'{"ota_job_id":1,"url":"u"}', "Aborted. OTA Updated ID not found in JSON"),
    ],
)
def test_a_malformed_message_is_reported_against_the_old_job_once(payload, info):
    assert told(payload).heard_after(9) == []  # a clean node says nothing
    bench = told(payload, stored=OLD_JOB)
    (body,) = [json.loads(report) for report in bench.payloads("otastatus")]
    assert body == {"ota_job_id": OLD_JOB.decode(), "status": "failed", "additional_info": info, "ts": EPOCH + 10}
    assert bench.nvs.get("rmaker_ota", "rmaker_ota_id") is None


def test_a_message_without_url_is_reported_against_its_own_job():
    bench = told(b'{"ota_job_id":"new"}', stored=OLD_JOB)
    (body,) = [json.loads(report) for report in bench.payloads("otastatus")]
    assert (body["ota_job_id"], body["additional_info"]) == ("new", "Aborted. URL not found in JSON")
    assert bench.nvs.get("rmaker_ota", "rmaker_ota_id") == b"new"


def test_after_a_refused_message_the_node_is_free_for_the_next():
    bench = Bench()

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.send("otaurl", b"{")
        await bench.send("otaurl", b'{"ota_job_id":"j"}')
        await bench.push()
        await bench.sleep(30)

    bench.run(scenario)
    assert bench.running == ("1.1", "VALID")


def test_a_message_during_an_update_is_dropped_silently():
    bench = Bench(server={URL: Answer(NEW, stalls_at=8192), "https://other": Answer(NEW)})

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(100)
        await bench.push("https://other", "second")
        await bench.send("otaurl", b"{")
        await bench.sleep(100)

    bench.run(scenario)
    assert [url for url, _ in bench.fetch.requests] == [URL]
    assert bench.reports == [
        "in-progress: Starting OTA Upgrade (HTTPS attempt 1/3)",
        "in-progress: Downloading Firmware Image",
    ]
    assert bench.nvs.get("rmaker_ota", "rmaker_ota_id") == JOB.encode()


def test_the_same_job_again_after_a_failure_or_before_the_reboot_runs_again():
    bench = Bench(server={URL: [Answer(SAME), Answer(NEW), Answer(SAME)]})

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        for _ in range(3):
            await bench.push()
            await bench.sleep(3)
        await bench.sleep(60)

    bench.run(scenario)
    assert [report for report in bench.reports if "rejected" in report or "success" in report] == [
        "rejected: Same version received",
        "rejected: Same version received",
        "success: OTA Upgrade finished and verified successfully",
    ]
    assert bench.running == ("1.1", "VALID")


def test_the_queue_holds_eight_and_drops_the_ninth_silently():
    bench = Bench(server={URL: Answer(SAME)})

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        core = bench.node.ota.handle.core
        queued = [core.add_task(lambda: bench.sleep(0)) for _ in range(9)]
        assert queued == [True] * 8 + [False]
        bench.node.ota.on_otaurl(b'{"ota_job_id":"j","url":"https://cloud/lamp.bin"}')
        assert not bench.node.ota.handle.ota_in_progress
        await bench.sleep(10)

    bench.run(scenario)
    assert bench.reports == []


def test_the_job_id_stays_in_nvs_until_a_report_falls_back_to_it():
    bench = Bench(server={URL: Answer(SAME)})

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(10)
        handle = bench.node.ota.handle
        assert handle.job_id is None
        assert bench.nvs.get("rmaker_ota", "rmaker_ota_id") == JOB.encode()
        assert handle.report_status(OtaStatus.DELAYED, "the application, later") is EspErr.ESP_OK
        assert handle.report_status(OtaStatus.SUCCESS, "once more") is EspErr.ESP_ERR_INVALID_STATE
        await bench.sleep(1)

    bench.run(scenario)
    assert bench.reports[-2:] == ["rejected: Same version received", "delayed: the application, later"]
    assert json.loads(bench.payloads("otastatus")[-1])["ota_job_id"] == JOB


@pytest.mark.parametrize(("length", "reported"), [(63, True), (64, True), (65, False)])
def test_a_long_job_id_is_not_found_in_nvs(length, reported):
    bench = Bench(server={URL: Answer(SAME)})
    bench.nvs.set("rmaker_ota", "rmaker_ota_id", b"j" * length)

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        err = bench.node.ota.handle.report_status(OtaStatus.FAILED, "x")
        assert err is (EspErr.ESP_OK if reported else EspErr.ESP_ERR_INVALID_STATE)
        await bench.sleep(1)

    bench.run(scenario)
    assert len(bench.reports) == reported
    assert (bench.nvs.get("rmaker_ota", "rmaker_ota_id") is None) is reported


def test_without_an_nvs_namespace_the_report_has_no_job_id(monkeypatch):
    bench = Bench()

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        monkeypatch.setattr(bench.nvs, "get", refuse)
        assert bench.node.ota.handle.report_status(OtaStatus.FAILED, "x") is EspErr.ESP_OK
        await bench.sleep(1)

    bench.run(scenario)
    assert "ota_job_id" not in json.loads(bench.payloads("otastatus")[0])


def refuse(*_args: object) -> None:
    raise NvsError(EspErr.ESP_ERR_NOT_FOUND)


def test_a_report_without_budget_is_lost_and_its_event_is_posted_all_the_same():
    events = []
    config = Sdkconfig(esp_rmaker_mqtt_default_budget=4, esp_rmaker_mqtt_budget_revive_period=600)
    ota = OtaConfig(on_event=lambda event, _data: events.append(event.name))
    bench = Bench(config=config, ota=ota, server={URL: Answer(SAME)}).update()
    assert bench.transcript == ["config", "params/local/init", "otafetch"]
    assert events == ["STARTING", "IN_PROGRESS", "REJECTED"]


# ---------------------------------------------------------------------------------------------------------- metadata


def at(clock: str, metadata: dict, seconds: float = 30, **options) -> Bench:
    """A job with metadata that arrives ten seconds after boot at ``clock`` in Shanghai on 30 July 2025."""
    hours, minutes = (int(part) for part in clock.split(":"))
    midnight = 1_753_804_800  # 2025-07-30 00:00 +08:00
    epoch = midnight + hours * 3600 + minutes * 60
    return Bench(epoch=epoch, **options).update(seconds=seconds, metadata=json.dumps(metadata))


@pytest.mark.parametrize(
    ("clock", "window", "delay"),
    [
        ("18:00", (1080, 1155), None),
        ("19:15", (1080, 1155), None),
        ("19:16", (1080, 1155), 1364 * 60),
        ("18:00", (1380, 120), 300 * 60),
        ("23:30", (1380, 120), None),
        ("02:00", (1380, 120), None),
        ("02:01", (1380, 120), 1259 * 60),
    ],
)
def test_download_window_in_local_time(clock, window, delay):
    start, end = window
    bench = at(clock, {"download_window": {"end": end, "start": start}}, seconds=(delay or 30) + 10)
    if delay is None:
        assert bench.running == ("1.1", "VALID")
        return
    assert bench.reports == ["delayed: Not within download window."]
    assert [round(when) for when in bench.times("otafetch")] == [5, 10 + delay + 5]


def test_a_zone_in_nvs_beats_the_default():
    def at_four_in_the_afternoon(key: str, zone: bytes) -> Bench:
        bench = Bench(epoch=1_753_804_800)  # 00:00 in Shanghai, 16:00 UTC
        bench.nvs.set("rmaker_time", key, zone)
        return bench.update(metadata='{"download_window":{"start":959,"end":961}}')

    assert at_four_in_the_afternoon("tz_posix", b"UTC0").running == ("1.1", "VALID")
    assert at_four_in_the_afternoon("tz", b"UTC").reports == ["delayed: Not within download window."]  # only its name


@pytest.mark.parametrize(
    ("validity", "report", "fetches"),
    [
        ({"start": EPOCH + 100}, "delayed: Not within valid window.", [5, 105]),
        ({"end": EPOCH - 1}, "failed: OTA download window lapsed.", [5]),
        ({"end": 2**31}, "failed: OTA download window lapsed.", [5]),
    ],
)
def test_validity(validity, report, fetches):
    validity = {key: int(value) for key, value in validity.items()}
    bench = Bench().update(seconds=600, metadata=json.dumps({"validity": validity}))
    assert bench.reports == [report]
    assert [round(when) for when in bench.times("otafetch")] == fetches


def test_without_time_the_job_is_delayed_by_half_a_minute():
    bench = Bench(epoch=0).update(metadata='{"validity":{}}')
    assert bench.reports == ["delayed: No time information available yet."]
    assert [round(when) for when in bench.times("otafetch")] == [5, 40]


def test_a_window_without_end_fails_the_job():
    bench = Bench().update(metadata='{"download_window":{"start":5}}')
    assert bench.reports == ["failed: Invalid download window specified."]


def test_a_job_that_may_not_run_now_posts_no_starting_event():
    events = []
    ota = OtaConfig(on_event=lambda event, _data: events.append(event.name))
    Bench(ota=ota).update(metadata='{"download_window":{"start":5}}')
    assert events == ["FAILED"]


def test_other_metadata_is_no_matter_of_time():
    bench = Bench(epoch=0).update(metadata='{"esp.ota.target":"host_mcu"}')
    assert bench.running == ("1.1", "VALID")


def test_without_time_support_metadata_is_not_looked_at():
    config = Sdkconfig(esp_rmaker_ota_time_support=False)
    bench = Bench(config=config).update(metadata='{"validity":{"end":1}}')
    assert bench.running == ("1.1", "VALID")


# -------------------------------------------------------------------------------------------------------- callbacks


def test_a_custom_callback_may_delay_a_job_and_take_it_later():
    later = []

    async def callback(handle, data) -> None:
        if not later:
            later.append(data)
            handle.report_status(OtaStatus.DELAYED, "the lamp is in use")
        else:
            await default_cb(handle, data)

    bench = Bench(ota=OtaConfig(ota_cb=callback))

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(60)

    bench.run(scenario)
    assert bench.reports[0] == "delayed: the lamp is in use"
    assert bench.running == ("1.1", "VALID")
