"""Attempts: what each failure is called, how many there are, what comes after."""

import json

import pytest
from node_bench import EPOCH, JOB, NEW, URL, Answer, Bench, flashed

from py_esp_ota._core import Flash, PartitionTable
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, FetchError, HttpsOtaError, NvsError
from py_esp_ota.firmware import Firmware, merge
from py_esp_ota.rainmaker.ota import OtaConfig, OtaEvent, OtaType
from py_esp_ota.rainmaker.ota_https import describe, http_config
from py_esp_ota.sdkconfig import Sdkconfig

CORRUPT = NEW[:-1] + bytes([NEW[-1] ^ 1])
LOCATION = {"location": "http://cloud/lamp.bin"}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(status=403), "OTA Begin failed: ESP_FAIL (errno=0: Invalid)"),
        (Answer(status=503), "OTA Begin failed: ESP_FAIL (errno=0: Invalid)"),
        (Answer(status=401), "OTA Begin failed: ESP_ERR_NOT_SUPPORTED (errno=0: Invalid)"),
        (Answer(status=304), "OTA Begin failed: ESP_ERR_HTTP_NOT_MODIFIED (errno=0: Invalid)"),
        (Answer(status=416), "OTA Begin failed: ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE (errno=0: Invalid)"),
        (Answer(status=302), "OTA Begin failed: ESP_ERR_INVALID_ARG (errno=0: Invalid)"),
        (
            Answer(status=302, headers=LOCATION),
            "OTA Begin failed: ESP_ERR_HTTP_REDIRECT_DOWNGRADE (errno=0: Invalid)",
        ),
        (Answer(fails=FetchError("timeout")), "OTA Begin failed: ERROR (errno=0: Invalid)"),
        (
            Answer(fails=FetchError("connect", "", 111)),
            "OTA Begin failed: ESP_ERR_HTTP_CONNECT (errno=111: Connection refused)",
        ),
        (Answer(status=204), "Failed to read image description: ESP_FAIL (errno=0: Invalid)"),
        (Answer(b"<html>not here</html>" * 100), "Failed to read image description: ESP_FAIL (errno=0: Invalid)"),
        (Answer(b"\xe8" + NEW[1:]), "OTA failed: ESP_ERR_OTA_VALIDATE_FAILED (errno=0: Invalid)"),
        (
            Answer(Firmware("lamp", "1.1", spi_flash_mode=1).to_bytes()),
            "OTA failed: ESP_ERR_OTA_SPI_MODE_MISMATCH (errno=0: Invalid)",
        ),
        (
            Answer(Firmware("lamp", "1.1", size=0x1B0000).to_bytes()),
            "OTA failed: ESP_ERR_INVALID_SIZE (errno=0: Invalid)",
        ),
        (Answer(CORRUPT), "Image validation failed"),
    ],
)
def test_failures_by_name(answer, text):
    bench = Bench(server={URL: answer}).update(seconds=20)
    assert bench.reports[-1] == f"failed: OTA Attempt 3/3 failed: {text}"
    assert [report for report in bench.reports if "Starting" in report] == [
        f"in-progress: Starting OTA Upgrade (HTTPS attempt {k}/3)" for k in (1, 2, 3)
    ]
    assert bench.running[0] == "1.0"
    assert bench.fetch.open == 0


def test_an_url_that_does_not_parse():
    bench = Bench().update(url="lamp.bin")
    assert bench.reports[1] == "failed: OTA Attempt 1/3 failed: OTA Begin failed: ESP_FAIL (errno=0: Invalid)"
    assert bench.fetch.requests == []


def test_plain_http_is_accepted():
    bench = Bench(server={"http://cloud/lamp.bin": Answer(NEW)}).update(url="http://cloud/lamp.bin")
    assert bench.running == ("1.1", "VALID")


def test_a_wrong_chip_is_rejected_after_the_download_was_announced():
    bench = Bench(server={URL: Answer(Firmware("lamp", "1.1", chip="esp32s3").to_bytes())}).update()
    assert bench.reports == [
        "in-progress: Starting OTA Upgrade (HTTPS attempt 1/3)",
        "in-progress: Downloading Firmware Image",
        "rejected: Chip revision mismatch",
    ]


@pytest.mark.parametrize("image", [Firmware("lamp", "1.0").to_bytes(), Firmware("fan", "2").to_bytes()])
def test_a_rejection_ends_the_job_without_another_attempt_or_question(image):
    bench = Bench(server={URL: Answer(image)}).update(seconds=3600)
    assert sum("Starting" in report for report in bench.reports) == 1
    assert len(bench.times("otafetch")) == 1  # the one at boot


def test_failed_is_not_terminal():
    bench = Bench(server={URL: [Answer(status=500), Answer(NEW, breaks_at=5000), Answer(NEW)]}).update()
    assert bench.reports == [
        "in-progress: Starting OTA Upgrade (HTTPS attempt 1/3)",
        "failed: OTA Attempt 1/3 failed: OTA Begin failed: ESP_FAIL (errno=0: Invalid)",
        "in-progress: Starting OTA Upgrade (HTTPS attempt 2/3)",
        "in-progress: Downloading Firmware Image",
        "failed: OTA Attempt 2/3 failed: OTA failed: ESP_FAIL (errno=104: Connection reset by peer)",
        "in-progress: Starting OTA Upgrade (HTTPS attempt 3/3)",
        "in-progress: Downloading Firmware Image",
        "in-progress: Firmware Image download complete",
        "in-progress: Rebooting into new firmware (after 3 HTTPS attempts)",
        "success: OTA Upgrade finished and verified successfully",
    ]


def test_there_is_no_pause_between_attempts_and_a_question_300_s_after_the_last():
    bench = Bench(server={URL: Answer(status=404)}).update(seconds=400)
    reports = bench.times("otastatus")
    assert reports[-1] - reports[0] < 0.1
    assert [round(when) for when in bench.times("otafetch")] == [5, 310]


@pytest.mark.parametrize("total", [1, 2, 10])
def test_the_number_of_attempts_is_an_option(total):
    config = Sdkconfig(esp_rmaker_ota_max_retries=total, esp_rmaker_ota_retry_delay_minutes=60)
    bench = Bench(config=config, server={URL: Answer(status=404)}).update(seconds=3700)
    assert sum(report.startswith("failed") for report in bench.reports) == total
    assert [round(when) for when in bench.times("otafetch")] == [5, 3610]


def test_without_rollback_success_counts_attempts_too():
    config = Sdkconfig(bootloader_app_rollback_enable=False)
    bench = Bench(config=config, server={URL: [Answer(status=404), Answer(NEW)]}).update()
    assert bench.reports[-1] == "success: HTTPS OTA Upgrade finished successfully (after 2 attempts)"


def test_without_auto_reboot_the_application_is_asked():
    events = []
    config = Sdkconfig(esp_rmaker_ota_disable_auto_reboot=True)
    bench = Bench(config=config, ota=OtaConfig(on_event=lambda event, _data: events.append(event))).update(seconds=600)
    assert len(bench.boots) == 1
    assert events == [OtaEvent.STARTING, *[OtaEvent.IN_PROGRESS] * 4, OtaEvent.REQ_FOR_REBOOT]


def test_events_follow_reports():
    events = []
    ota = OtaConfig(on_event=lambda event, data: events.append((event, data)))
    Bench(ota=ota, server={URL: [Answer(status=404), Answer(Firmware("fan", "1").to_bytes())]}).update()
    assert events == [
        (OtaEvent.STARTING, None),
        (OtaEvent.IN_PROGRESS, "Starting OTA Upgrade (HTTPS attempt 1/3)"),
        (OtaEvent.FAILED, "OTA Attempt 1/3 failed: OTA Begin failed: ESP_FAIL (errno=0: Invalid)"),
        (OtaEvent.IN_PROGRESS, "Starting OTA Upgrade (HTTPS attempt 2/3)"),
        (OtaEvent.REJECTED, "Project Name mismatch"),
    ]


@pytest.mark.parametrize(
    ("interval", "percent"),
    [(10, [10, 20, 30, 40, 50, 60, 70, 80, 90]), (25, [25, 50, 75]), (50, [50])],
)
def test_progress_option(interval, percent):
    image = Firmware("lamp", "1.1", size=0x19000).to_bytes()
    config = Sdkconfig(esp_rmaker_ota_progress_support=True, esp_rmaker_ota_progress_interval=interval)
    bench = Bench(config=config, server={URL: Answer(image)}).update(file_size=len(image))
    seen = [report for report in bench.reports if "Downloaded" in report]
    assert seen == [f"in-progress: Downloaded {n}% Firmware Image" for n in percent]


def test_progress_needs_the_message_s_file_size():
    config = Sdkconfig(esp_rmaker_ota_progress_support=True)
    assert not any("Downloaded" in report for report in Bench(config=config).update().reports)


def test_long_failures_reach_the_cloud_cut_off():
    failure = Answer(fails=FetchError("connect", "", 115))  # EINPROGRESS, 119 on the chip
    bench = Bench(server={URL: failure})
    payloads = bench.update().payloads("otastatus")
    assert len(payloads[1]) == 199
    assert payloads[1].startswith(b'{"ota_job_id":"AbCdEfGhIjKlMnOpQrStUv","status":"failed"')
    assert payloads[1].endswith(b'"ts":1753900010')
    with pytest.raises(json.JSONDecodeError):
        json.loads(payloads[1])


def test_reports_carry_the_node_s_clock():
    bench = Bench(epoch=EPOCH).update()
    stamps = [json.loads(payload)["ts"] for payload in bench.payloads("otastatus")]
    assert stamps[0] == EPOCH + 10
    unsynchronised = Bench(epoch=0).update()
    assert json.loads(unsynchronised.payloads("otastatus")[0])["ts"] == 10


def test_md5_and_fw_version_of_the_message_are_never_compared():
    bench = Bench().update(file_md5="0" * 32, fw_version="9.9", file_size=1)
    assert bench.running == ("1.1", "VALID")


def test_a_lower_version_is_installed():
    bench = Bench(server={URL: Answer(Firmware("lamp", "0.9").to_bytes())}).update()
    assert bench.running == ("0.9", "VALID")


def test_failed_attempts_by_params_are_not_followed_by_a_question():
    bench = Bench(ota=OtaConfig(type=OtaType.PARAMS), server={URL: Answer(status=404)})

    async def scenario(bench: Bench) -> None:
        await bench.wait_for("params/local/init")
        await bench.send("params/remote", f'{{"OTA":{{"URL":"{URL}"}}}}'.encode())
        await bench.sleep(3600)

    bench.run(scenario)
    assert sum(b'"failed"' in payload for payload in bench.payloads("params/local")) == 3
    assert bench.times("otafetch") == []


def test_descriptions_are_cut_to_their_buffer():
    error = HttpsOtaError(EspErr.ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE, errno=113)
    assert describe("x" * 200, error) == "x" * 127
    assert describe("OTA failed", HttpsOtaError(EspErr.ESP_FAIL, errno=9999)) == "OTA failed: ESP_FAIL (errno=9999: )"


@pytest.mark.parametrize(("length", "buffer_size"), [(1024, 1024), (1025, 1153), (3000, 3128)])
def test_the_request_buffer_grows_with_the_url(length, buffer_size):
    config = http_config("u" * length, 2048)
    assert (config.buffer_size_tx, config.buffer_size, config.timeout_ms) == (buffer_size, 2048, 5000)


def test_the_job_at_hand_reaches_a_custom_callback():
    seen = []

    async def callback(handle, data) -> None:
        seen.append((handle.ota_in_progress, data))

    bench = Bench(ota=OtaConfig(ota_cb=callback, priv="mine", server_cert="PEM")).update(
        fw_version="1.1", file_size=7, file_md5="ab", metadata='{"esp.ota.target":"host_mcu"}'
    )
    ((in_progress, data),) = seen
    assert in_progress
    assert (data.url, data.ota_job_id, data.fw_version, data.filesize, data.file_md5) == (URL, JOB, "1.1", 7, "ab")
    assert (data.priv, data.server_cert, data.metadata) == ("mine", "PEM", '{"esp.ota.target":"host_mcu"}')
    assert bench.reports == []


def test_a_finish_that_fails_for_another_reason_is_named():
    # without otadata there is a slot to write to, but no way to boot from it
    rows = PartitionTable([row for row in PartitionTable.builtin("two_ota") if row.label != "otadata"])
    bench = Bench(chip=flashed(table=rows)).update()
    assert (
        bench.reports[-1] == "failed: OTA Attempt 3/3 failed: OTA finish failed: ESP_ERR_NOT_FOUND (errno=0: Invalid)"
    )


def test_an_update_works_without_nvs(monkeypatch):
    bench = Bench()
    for name in ("get", "set", "erase"):
        monkeypatch.setattr(bench.nvs, name, refuse)
    bench.update(metadata='{"validity":{}}')
    assert bench.running == ("1.1", "VALID")
    ids = [json.loads(payload).get("ota_job_id") for payload in bench.payloads("otastatus")]
    assert ids == [JOB] * 4 + [None]


def refuse(*_args: object) -> None:
    raise NvsError(EspErr.ESP_FAIL)


# --------------------------------------------------------------------------------------------------------- progress


@pytest.mark.parametrize(("target", "boots"), [("esp32c3", 2), ("esp32s3", 4)])
def test_progress_without_a_size_ends_the_app_on_xtensa(target, boots):
    """A quotient by zero is a trap there, on RISC-V it is -1: each job is a panic, or an update without progress."""
    rows = PartitionTable.builtin("two_ota_large")
    old, new = (Firmware("lamp", version, chip=target).to_bytes() for version in ("1.0", "1.1"))
    image = merge({0x8000: rows.to_bytes(), 0x20000: old})
    chip = Chip(target, flash=Flash.from_bytes(image, size=0x400000))
    config = Sdkconfig(esp_rmaker_ota_progress_support=True)
    bench = Bench(chip=chip, config=config, server={URL: Answer(new)})

    async def scenario(bench: Bench) -> None:
        for _ in range(3):
            await bench.sleep(10)
            await bench.push()
        await bench.sleep(30)

    bench.run(scenario)
    assert len(bench.boots) == boots
    assert bench.running[0] == ("1.1" if target == "esp32c3" else "1.0")
    assert not any("Downloaded" in report for report in bench.reports)
    if target == "esp32s3":
        assert {str(end) for end in bench.ends} == {
            "IntegerDivideByZero in esp_rmaker_ota_use_https: the message has no file_size"
        }
        assert bench.reports[-1] == "in-progress: Downloading Firmware Image"


def test_a_build_without_anti_rollback_knows_four_bits_of_the_efuse():
    image = Firmware("lamp", "1.1", secure_version=4).to_bytes()
    bench = Bench(server={URL: Answer(image)}, secure_version=9).update()
    assert bench.running == ("1.1", "VALID")
