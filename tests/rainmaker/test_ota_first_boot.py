"""The first boots after an update: confirmation, rollback, and who tells the cloud."""

import json

import pytest
from node_bench import JOB, NEW, URL, Answer, Bench, flashed

from py_esp_ota.errors import EspErr
from py_esp_ota.rainmaker.ota import DiagState, DiagStatus, OtaConfig, OtaType
from py_esp_ota.sdkconfig import Sdkconfig

PASS, WAIT, FAIL = DiagStatus.SUCCESS, DiagStatus.PENDING, DiagStatus.FAIL
VERIFIED = "success: OTA Upgrade finished and verified successfully"
REBOOTING = "in-progress: Rebooting into new firmware (after 1 HTTPS attempt)"


def diag(init: DiagStatus, post_mqtt: DiagStatus) -> OtaConfig:
    return OtaConfig(ota_diag=lambda state: init if state is DiagState.INIT else post_mqtt)


@pytest.mark.parametrize(
    ("init", "post_mqtt", "running", "last", "second_life"),
    [
        (PASS, PASS, "1.1", VERIFIED, None),
        (WAIT, PASS, "1.1", VERIFIED, None),
        (FAIL, PASS, "1.0", "rejected: Firmware rolled back", 0),
        (PASS, FAIL, "1.0", "rejected: Firmware rolled back", 0),
        (PASS, WAIT, "1.0", "rejected: Firmware rolled back", 90),
    ],
)
def test_the_self_test_answers_in_two_phases(init, post_mqtt, running, last, second_life):
    bench = Bench(ota=diag(init, post_mqtt)).update(seconds=150)
    assert bench.running[0] == running
    assert bench.reports[-1] == last
    if second_life is not None:
        assert round(bench.boots[2][0] - bench.boots[1][0]) == second_life


def test_the_application_may_confirm_within_the_period():
    bench = Bench(ota=diag(PASS, WAIT))

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(10 + 89)
        assert bench.running == ("1.1", "PENDING_VERIFY")
        assert bench.node.ota.mark_valid() is EspErr.ESP_OK
        assert bench.node.ota.mark_valid() is EspErr.ESP_ERR_INVALID_STATE
        assert bench.node.ota.mark_invalid() is EspErr.ESP_ERR_INVALID_STATE
        await bench.sleep(300)

    bench.run(scenario)
    assert bench.running == ("1.1", "VALID")
    assert bench.reports[-1] == VERIFIED
    assert len(bench.boots) == 2


def test_the_application_may_reject():
    bench = Bench(ota=diag(PASS, WAIT))

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(20)
        bench.node.ota.handle.core.after(0, bench.node.ota.mark_invalid, "the application")
        await bench.sleep(30)

    bench.run(scenario)
    assert bench.running[0] == "1.0"


def without_broker(seconds: float = 200, **options) -> Bench:
    """The broker disappears after the update and comes back ``seconds`` later."""
    bench = Bench(**options)

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(9)
        bench.line.cut()
        await bench.sleep(seconds)
        bench.line.restore()
        await bench.sleep(100)

    return bench.run(scenario)


def test_new_firmware_that_cannot_reach_mqtt_is_rolled_back_after_90_s():
    bench = without_broker()
    assert [report.app_desc.version for _, report in bench.boots] == ["1.0", "1.1", "1.0"]
    assert round(bench.boots[2][0] - bench.boots[1][0]) == 90
    assert bench.transcript[-4:] == ["config", "params/local/init", "rejected: Firmware rolled back", "otafetch"]
    assert bench.transcript[-5] == REBOOTING
    assert any("Could not verify firmware even after 90 seconds since boot-up." in line for line in bench.console)


def test_new_firmware_that_reaches_mqtt_late_but_in_time_is_confirmed():
    bench = without_broker(seconds=70)
    assert bench.running == ("1.1", "VALID")
    assert bench.reports[-1] == VERIFIED


@pytest.mark.parametrize("period", [30, 600])
def test_the_rollback_period_is_an_option(period):
    bench = without_broker(seconds=700, config=Sdkconfig(esp_rmaker_ota_rollback_wait_period=period))
    assert round(bench.boots[2][0] - bench.boots[1][0]) == period


def test_failed_is_reported_for_a_time_out_when_the_build_says_so():
    bench = without_broker(config=Sdkconfig(esp_rmaker_ota_rollback_report_failed=True))
    assert bench.reports[-1] == "failed: MQTT did not connect within 90 seconds"
    assert json.loads(bench.payloads("otastatus")[-1])["ota_job_id"] == JOB
    left = [key for key in ("ota_fail_rsn", "ota_fail_jid", "rmaker_ota_id") if bench.nvs.get("rmaker_ota", key)]
    assert left == []


@pytest.mark.parametrize(("length", "status"), [(64, "failed"), (65, None)])
def test_a_long_job_id_is_forgotten_when_the_firmware_gives_up(length, status):
    """It does not fit the buffer it is copied through, and is erased all the same: nobody hears of the rollback."""
    bench = Bench(config=Sdkconfig(esp_rmaker_ota_rollback_report_failed=True), ota=diag(PASS, WAIT))
    bench.update(seconds=150, job="j" * length)
    assert bench.running[0] == "1.0"
    assert bench.nvs.get("rmaker_ota", "rmaker_ota_id") is None
    last = json.loads(bench.payloads("otastatus")[-1])["status"]
    assert last == (status or "in-progress")


def test_a_missing_reason_has_a_text_of_its_own():
    bench = Bench()
    bench.nvs.set("rmaker_ota", "ota_update", b"\x01")
    bench.nvs.set("rmaker_ota", "ota_fail_jid", JOB)
    bench.wait(20)
    assert bench.reports == ["failed: Firmware verification failed"]


def test_with_no_app_to_go_back_to_the_timer_fires_again_and_again():
    bench = Bench(ota=diag(PASS, WAIT))

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(15)
        bench.chip.flash.erase(0x20000, 0x1000)  # the old app is gone
        await bench.sleep(300)

    bench.run(scenario)
    assert bench.running == ("1.1", "PENDING_VERIFY")
    assert sum("Could not verify firmware" in line for line in bench.console) == 3
    assert len(bench.boots) == 2


def test_a_failed_self_test_with_no_app_to_go_back_to_leaves_the_node_running():
    bench = Bench(ota=diag(FAIL, FAIL))

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(5)
        bench.chip.flash.erase(0x20000, 0x1000)
        await bench.sleep(300)

    bench.run(scenario)
    assert bench.running == ("1.1", "PENDING_VERIFY")
    assert len(bench.boots) == 2
    assert bench.transcript[-3:] == ["config", "params/local/init", "otafetch"]


def test_confirming_a_factory_app_reports_nothing():
    bench = Bench(chip=flashed(table="two_ota"))

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        assert bench.node.ota.mark_valid() is EspErr.ESP_OK
        assert bench.node.ota.mark_invalid() is EspErr.ESP_OK
        await bench.sleep(10)

    bench.run(scenario)
    assert bench.reports == []
    assert len(bench.boots) == 1


def test_a_power_cycle_before_confirmation_rolls_back():
    bench = Bench(ota=diag(PASS, WAIT))

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(20)
        await bench.power_cycle()
        await bench.sleep(30)

    bench.run(scenario)
    assert bench.running[0] == "1.0"
    assert bench.reports[-1] == "rejected: Firmware rolled back"
    assert json.loads(bench.payloads("otastatus")[-1])["ota_job_id"] == JOB
    assert bench.nvs.get("rmaker_ota", "ota_update") is None


def test_a_rolled_back_version_is_installed_again_when_it_is_served_again():
    bench = Bench(ota=diag(PASS, FAIL))

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(30)
        bench.ota = diag(PASS, PASS)
        await bench.push()
        await bench.sleep(11)

    bench.run(scenario)
    assert [report for report in bench.reports if "Downloading" in report] == [
        "in-progress: Downloading Firmware Image"
    ] * 2
    assert bench.boots[-1][1].app_desc.version == "1.1"


def test_a_job_before_confirmation_is_dropped():
    bench = Bench(ota=diag(PASS, WAIT))

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(30)
        await bench.push(job="another")
        await bench.sleep(20)

    bench.run(scenario)
    assert len(bench.fetch.requests) == 1
    assert bench.reports[-1] == REBOOTING


def test_success_comes_before_config_and_two_questions_follow():
    bench = Bench().update(seconds=60)
    after = bench.transcript[bench.transcript.index(REBOOTING) + 1 :]
    assert after == [VERIFIED, "config", "params/local/init", "otafetch"]
    # the second question is skipped only while the first still waits for its PUBACK; here both are due at once
    assert json.loads(bench.payloads("otafetch")[-1])["fw_version"] == "1.1"


def test_a_bootloader_without_rollback_makes_good_firmware_look_rolled_back():
    bench = Bench(bootloader=Sdkconfig(bootloader_app_rollback_enable=False)).update()
    assert bench.running[0] == "1.1"
    assert bench.reports[-1] == "rejected: Firmware rolled back"


def test_a_stale_job_id_takes_the_credit_for_an_update_by_other_means():
    bench = Bench()

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push(job="stale", url="https://cloud/none")
        await bench.sleep(10)
        partition = bench.ops.get_next_update_partition()
        handle = bench.ops.begin(partition, 0)
        bench.ops.write(handle, NEW)
        bench.ops.end(handle)
        bench.ops.set_boot_partition(partition)
        bench.node.ota.handle.core.reboot(1)
        await bench.sleep(20)

    bench.run(scenario)
    assert bench.reports[-1] == VERIFIED
    assert json.loads(bench.payloads("otastatus")[-1])["ota_job_id"] == "stale"


def test_params_report_success_in_the_init_report_of_the_new_firmware():
    bench = Bench(ota=OtaConfig(type=OtaType.PARAMS))

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.send("params/remote", f'{{"OTA":{{"URL":"{URL}"}}}}'.encode())
        await bench.sleep(60)

    bench.run(scenario)
    assert bench.running == ("1.1", "VALID")
    first, second = (json.loads(payload)["OTA"] for payload in bench.payloads("params/local/init"))
    assert first == {"Status": "", "Info": "", "URL": ""}
    assert second == {"Status": "success", "Info": VERIFIED.removeprefix("success: "), "URL": ""}
    assert bench.times("otastatus") == bench.times("otafetch") == []


def test_params_report_a_rollback_in_the_init_report_of_the_old_firmware():
    bench = Bench(ota=OtaConfig(type=OtaType.PARAMS, ota_diag=lambda _state: False))

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.send("params/remote", f'{{"OTA":{{"URL":"{URL}"}}}}'.encode())
        await bench.sleep(60)

    bench.run(scenario)
    assert bench.running[0] == "1.0"
    last = json.loads(bench.payloads("params/local/init")[-1])["OTA"]
    assert last == {"Status": "rejected", "Info": "Firmware rolled back", "URL": ""}


def test_writing_any_other_param_or_an_url_during_an_update_is_refused():
    bench = Bench(ota=OtaConfig(type=OtaType.PARAMS), server={URL: Answer(NEW, stalls_at=4096)})

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.send("params/remote", b'{"OTA":{"Status":"success"}}')
        await bench.send("params/remote", f'{{"OTA":{{"URL":"{URL}"}}}}'.encode())
        await bench.sleep(10)
        await bench.send("params/remote", b'{"OTA":{"URL":"https://other"}}')
        await bench.send("params/remote", b"{")
        await bench.sleep(10)

    bench.run(scenario)
    assert [url for url, _ in bench.fetch.requests] == [URL]
    assert len(bench.payloads("params/local")) == 4
