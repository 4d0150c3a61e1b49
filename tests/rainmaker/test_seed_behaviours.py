"""What the book says about OTA through ESP RainMaker, each behaviour by its name."""

from node_bench import JOB, NEW, OLD, URL, Answer, Bench

from py_esp_ota._core import AppDesc
from py_esp_ota.errors import EspErr, FetchError
from py_esp_ota.firmware import Firmware, app_desc, patched
from py_esp_ota.idf.esp_https_ota.https_ota import HttpsOta
from py_esp_ota.rainmaker.checks import validate_image_header
from py_esp_ota.rainmaker.messages import ota_status_to_string
from py_esp_ota.rainmaker.ota import DiagState, OtaConfig, OtaStatus, OtaType
from py_esp_ota.sdkconfig import Sdkconfig

ONCE = Sdkconfig(esp_rmaker_ota_max_retries=1)
START = "in-progress: Starting OTA Upgrade (HTTPS attempt 1/1)"
DOWNLOADING = "in-progress: Downloading Firmware Image"
COMPLETE = "in-progress: Firmware Image download complete"


def update(answer: Answer | bytes, **options) -> Bench:
    """One job with one attempt against one answer."""
    answer = answer if isinstance(answer, Answer) else Answer(answer)
    return Bench(config=options.pop("config", ONCE), server={URL: answer}, **options).update()


def unchanged(bench: Bench) -> bool:
    return bench.running[0] == "1.0" and not bench.ends and bench.chip.flash.read(0x20000, len(OLD)) == OLD


# -------------------------------------------------------------------------------------------------------- status words


def test_the_five_status_strings_and_invalid():
    texts = [ota_status_to_string(status) for status in OtaStatus]
    assert texts == ["in-progress", "success", "failed", "delayed", "rejected"]
    assert ota_status_to_string(0) == "invalid"


def test_status_by_topics():
    bench = update(NEW)
    assert bench.reports[:2] == [START, DOWNLOADING]
    assert bench.payloads("params/local") == []


def test_status_by_params():
    bench = Bench(config=ONCE, ota=OtaConfig(type=OtaType.PARAMS))

    async def scenario(bench: Bench) -> None:
        await bench.wait_for("params/local/init")
        await bench.send("params/remote", f'{{"OTA":{{"URL":"{URL}"}}}}'.encode())
        await bench.sleep(5)

    bench.run(scenario)
    assert bench.reports == []
    assert bench.payloads("params/local")[:4] == [
        b'{"OTA":{"Info":"Starting OTA Upgrade (HTTPS attempt 1/1)"}}',
        b'{"OTA":{"Status":"in-progress"}}',
        b'{"OTA":{"Info":"Downloading Firmware Image"}}',
        b'{"OTA":{"Status":"in-progress"}}',
    ]


# -------------------------------------------------------------------------------------------------------- header checks


def test_null_new_app_info():
    running = AppDesc.from_bytes(app_desc("lamp", "1.0"))
    assert validate_image_header(None, running, Sdkconfig()).err is EspErr.ESP_ERR_INVALID_ARG


def test_missing_new_app_info():
    image = bytearray(NEW)
    image[32] ^= 0xFF  # the descriptor's magic word
    bench = update(bytes(image))
    assert bench.reports == [
        START,
        "failed: OTA Attempt 1/1 failed: Failed to read image description: ESP_FAIL (errno=0: Invalid)",
    ]
    assert unchanged(bench)


def test_same_version_refused():
    bench = update(Firmware("lamp", "1.0", payload=b"another build").to_bytes())
    assert bench.reports == [START, "rejected: Same version received"]
    assert unchanged(bench)


def test_other_project_refused():
    bench = update(Firmware("fan", "1.1").to_bytes())
    assert bench.reports == [START, "rejected: Project Name mismatch"]
    assert unchanged(bench)


def test_lower_secure_version_refused():
    bench = update(NEW, secure_version=1)
    assert bench.reports == [START, "rejected: Lower secure version received"]
    assert unchanged(bench)


def test_skip_version_check_option():
    config = Sdkconfig(esp_rmaker_skip_version_check=True)
    bench = update(Firmware("lamp", "1.0", payload=b"another build").to_bytes(), config=config)
    assert bench.reports[-1] == "success: OTA Upgrade finished and verified successfully"


def test_skip_project_name_check_option():
    config = Sdkconfig(esp_rmaker_skip_project_name_check=True)
    bench = update(Firmware("fan", "1.1").to_bytes(), config=config)
    assert bench.reports[-1] == "success: OTA Upgrade finished and verified successfully"


# ------------------------------------------------------------------------------------------------------------- reports


def test_in_progress_is_reported_at_begin_and_at_download():
    bench = update(NEW)
    assert bench.reports[:3] == [START, DOWNLOADING, COMPLETE]


def test_begin_failure_has_its_report():
    bench = update(Answer(status=404))
    assert bench.reports == [START, "failed: OTA Attempt 1/1 failed: OTA Begin failed: ESP_FAIL (errno=0: Invalid)"]
    assert unchanged(bench)


def test_description_failure_has_its_report():
    bench = update(NEW[:500])
    assert bench.reports == [
        START,
        "failed: OTA Attempt 1/1 failed: Failed to read image description: ESP_FAIL (errno=0: Invalid)",
    ]


def test_header_failure_has_its_report():
    bench = update(patched(NEW, project_name="other"))
    assert bench.reports == [START, "rejected: Project Name mismatch"]


def test_download_failure_has_its_report():
    bench = update(Answer(NEW, breaks_at=9000))
    assert bench.reports == [
        START,
        DOWNLOADING,
        "failed: OTA Attempt 1/1 failed: OTA failed: ESP_FAIL (errno=104: Connection reset by peer)",
    ]
    assert unchanged(bench)


def test_incomplete_data_has_its_report(monkeypatch):
    # esp_https_ota never says ESP_OK for incomplete data by itself; the agent asks all the same.
    monkeypatch.setattr(HttpsOta, "is_complete_data_received", lambda _handle: False)
    monkeypatch.setattr(HttpsOta, "perform", done)
    bench = update(NEW)
    assert bench.reports == [
        START,
        DOWNLOADING,
        "failed: OTA Attempt 1/1 failed: Complete data was not received",
    ]
    assert unchanged(bench)


async def done(_handle: object) -> EspErr:
    return EspErr.ESP_OK


def test_finish_failure_has_its_report():
    image = bytearray(NEW)
    image[-1] ^= 1
    bench = update(bytes(image))
    assert bench.reports == [START, DOWNLOADING, COMPLETE, "failed: OTA Attempt 1/1 failed: Image validation failed"]
    assert unchanged(bench)


def test_success_then_the_reboot_timer():
    bench = update(NEW)
    assert bench.reports[3:] == [
        "in-progress: Rebooting into new firmware (after 1 HTTPS attempt)",
        "success: OTA Upgrade finished and verified successfully",
    ]
    done_at = bench.times("otastatus")[3]
    assert [round(when - done_at, 2) for when, _ in bench.boots[1:]] == [10.0]
    assert bench.running == ("1.1", "VALID")


def test_success_without_rollback_is_reported_before_the_reboot():
    bench = update(NEW, config=Sdkconfig(bootloader_app_rollback_enable=False))
    assert bench.reports[-1] == "success: HTTPS OTA Upgrade finished successfully (after 1 attempt)"
    assert bench.times("otastatus")[-1] < bench.boots[1][0]
    assert bench.running == ("1.1", "UNDEFINED")


# ---------------------------------------------------------------------------------------------------- the self-test


def test_first_boot_after_ota_runs_the_self_test_and_true_marks_valid():
    asked = []

    def self_test(state: DiagState) -> bool:
        asked.append(state)
        return True

    bench = update(NEW, ota=OtaConfig(ota_diag=self_test))
    assert asked == [DiagState.INIT, DiagState.POST_MQTT]
    assert bench.running == ("1.1", "VALID")
    assert len(bench.boots) == 2


def test_first_boot_after_ota_runs_the_self_test_and_false_goes_back_to_the_previous_slot():
    bench = update(NEW, ota=OtaConfig(ota_diag=lambda _state: False))
    assert bench.running[0] == "1.0"
    assert [report.app_desc.version for _, report in bench.boots] == ["1.0", "1.1", "1.0"]
    assert [report.partition.label for _, report in bench.boots] == ["ota_0", "ota_1", "ota_0"]
    assert bench.boots[2][0] == bench.boots[1][0]  # at once, before any network
    assert bench.reports[-1] == "rejected: Firmware rolled back"
    assert any("First Boot after an OTA" in line for line in bench.console)
    assert any("Diagnostics failed! Start rollback to the previous version ..." in line for line in bench.console)


def test_an_ordinary_boot_runs_no_self_test():
    asked = []
    Bench(ota=OtaConfig(ota_diag=asked.append)).wait(60)
    assert asked == []


# ------------------------------------------------------------------------------------------------- fetch and push


def test_a_node_asks_for_updates_when_it_starts():
    bench = Bench().wait(60)
    assert bench.payloads("otafetch") == [b'{"node_id":"node1","fw_version":"1.0"}']


def test_a_node_asks_periodically():
    bench = Bench(config=Sdkconfig(esp_rmaker_ota_autofetch_period=24)).wait(3 * 24 * 3600 + 60)
    assert [round(when / 3600) for when in bench.times("otafetch")] == [0, 24, 48, 72]


def test_a_forced_push_reaches_a_connected_node_at_once():
    bench = update(Answer(fails=FetchError("connect", "refused", 111)))
    assert [round(when) for when in bench.times("otastatus")] == [10, 10]
    assert JOB.encode() in bench.payloads("otastatus")[0]
