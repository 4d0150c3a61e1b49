"""The console of the agent's OTA: every line of its four files, with level, tag and order."""

import re

import pytest
from file_server import FileServer
from node_bench import EPOCH, JOB, NEW, OLD, URL, Answer, Bench, flashed

from py_esp_ota.errors import EspErr, NvsError, OtaError
from py_esp_ota.firmware import Firmware
from py_esp_ota.rainmaker.ota import DiagState, DiagStatus, OtaConfig, OtaType
from py_esp_ota.sdkconfig import Sdkconfig

TAGS = {
    "esp_rmaker_ota": "ota",
    "esp_rmaker_ota_using_topics": "topics",
    "esp_rmaker_ota_using_params": "params",
    "esp_rmaker_https_ota": "https",
}
_LINE = re.compile(r"([DIWE]) \(\d+\) (\w+): (.*)", re.DOTALL)
TS = int(EPOCH)


def console(bench: Bench) -> list[str]:
    """The agent's lines without their time stamps, tags shortened as in ``TAGS``."""
    found = [match.groups() for line in bench.console if (match := _LINE.fullmatch(line))]
    return [f"{level} {TAGS[tag]}: {text}" for level, tag, text in found if tag in TAGS]


def report(status: str, info: str, *, after: int, job: str = JOB) -> list[str]:
    """What a report over topics prints."""
    body = f'{{"ota_job_id":"{job}","status":"{status}","additional_info":"{info}","ts":{TS + after}}}'
    return [f"I ota: Reporting {status}: {info}", f"I topics: {body}"]


def starting(attempt: int = 1, *, after: int = 10, md5: bool = False) -> list[str]:
    """An attempt up to its connection."""
    missing = (
        "W https: File MD5 not present, not resuming OTA because can not verify the already downloaded firmware is "
    )
    missing += "the same as the new firmware, please upgrade the backend to support it"
    return [
        *report("in-progress", f"Starting OTA Upgrade (HTTPS attempt {attempt}/3)", after=after),
        f"W ota: Starting HTTPS OTA attempt {attempt}/3. This may take time.",
        *([] if md5 else [missing]),
        "W https: Starting OTA. This may take time.",
    ]


FIRST = [
    "I topics: OTA enabled with Topics",
    "I ota: OTA state = 2",
    "I topics: Subscribing to: node/node1/otaurl",
    "I topics: Fetching OTA details, if any.",
]
CAME = [
    f'I topics: Upgrade Handler got:{{"ota_job_id":"{JOB}","url":"{URL}"}} on node/node1/otaurl topic\n',
    f"I topics: OTA Job ID: {JOB}",
    f"I topics: URL: {URL}",
    "I topics: File Size: 0",
]


def since(lines: list[str], start: str) -> list[str]:
    """From the first line that begins so."""
    return lines[next(index for index, line in enumerate(lines) if line.startswith(start)) :]


def test_the_console_of_a_good_update():
    image = Firmware("lamp", "1.1", size=120 * 1024).to_bytes()
    bench = Bench(server={URL: Answer(image)}).update(fw_version="1.1", file_size=len(image), file_md5="abc")
    message = f'"fw_version":"1.1","file_size":{len(image)},"file_md5":"abc"'
    lines = console(bench)
    assert [line for line in lines if "Image bytes read" not in line] == [
        *FIRST,
        f'I topics: Upgrade Handler got:{{"ota_job_id":"{JOB}","url":"{URL}",{message}}} on node/node1/otaurl topic\n',
        f"I topics: OTA Job ID: {JOB}",
        f"I topics: URL: {URL}",
        "I topics: File MD5: abc",
        f"I topics: File Size: {len(image)}",
        "I topics: Firmware version: 1.1",
        *starting(md5=True),
        *report("in-progress", "Downloading Firmware Image", after=10),
        *report("in-progress", "Firmware Image download complete", after=10),
        *report("in-progress", "Rebooting into new firmware (after 1 HTTPS attempt)", after=10),
        "I ota: HTTPS OTA upgrade successful. Rebooting in 10 seconds...",
        "I topics: OTA enabled with Topics",
        "I ota: OTA state = 1",
        "I ota: First Boot after an OTA",
        "I ota: Diagnostics completed successfully! Continuing execution ...",
        *report("success", "OTA Upgrade finished and verified successfully", after=20),
        "I topics: Subscribing to: node/node1/otaurl",
        "I topics: Fetching OTA details, if any.",
        "W topics: OTA fetch already in progress. Skipping.",
    ]
    read = [line for line in lines if "Image bytes read" in line]
    assert read == [f"I https: Image bytes read: {done}" for done in (51200, 102400)]
    assert not any("Rebooting in 10 seconds..." in line and "esp_rmaker_core" in line for line in bench.console)


def test_the_console_without_rollback_and_without_a_reboot():
    config = Sdkconfig(bootloader_app_rollback_enable=False, esp_rmaker_ota_disable_auto_reboot=True)
    bench = Bench(config=config).update()
    assert since(console(bench), "I ota: Reporting success") == [
        *report("success", "HTTPS OTA Upgrade finished successfully (after 1 attempt)", after=10),
        "I ota: HTTPS OTA upgrade successful. Auto reboot is disabled. Requesting a Reboot via Event handler.",
    ]


@pytest.mark.parametrize(
    ("image", "warning", "info"),
    [
        (Firmware("fan", "1.1"), "OTA Image built for Project: fan. Expected: lamp", "Project Name mismatch"),
        (
            Firmware("lamp", "1.0"),
            "Current running version is same as the new. We will not continue the update.",
            "Same version received",
        ),
        (
            Firmware("lamp", "1.1", secure_version=1),
            "New secure version is lower than stored in efuse. We will not continue the update.",
            "Lower secure version received",
        ),
    ],
)
def test_the_console_of_a_rejection(image, warning, info):
    bench = Bench(server={URL: Answer(image.to_bytes())}, secure_version=2).update()
    assert console(bench) == [*FIRST, *CAME, *starting(), f"W ota: {warning}", *report("rejected", info, after=10)]


def test_the_console_of_attempts_that_fail():
    text = "OTA Begin failed: ESP_FAIL (errno=0: Invalid)"
    bench = Bench(server={URL: Answer(status=404)}).update(seconds=20)
    said = console(bench)
    for attempt in (1, 2, 3):
        lines = [
            *starting(attempt),
            f"E ota: HTTPS OTA attempt {attempt} failed: {text}",
            *report("failed", f"OTA Attempt {attempt}/3 failed: {text}", after=10),
        ]
        begin = len(FIRST) + len(CAME) + (attempt - 1) * len(lines)
        assert said[begin : begin + len(lines)] == lines
    assert len(said) == begin + len(lines)


def test_the_console_of_a_resumed_download():
    bench = Bench()
    bench.fetch = FileServer({"/lamp.bin": NEW}, breaks=[6000, 0, 0, 0, 0, 0])

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push(file_md5="a")
        await bench.sleep(10)
        await bench.push(file_md5="b")
        await bench.sleep(10)

    bench.run(scenario)
    said = [line.removeprefix("W https: ") for line in console(bench) if line.startswith("W https")]
    start = "Starting OTA. This may take time."
    assert said == [*[start] * 3, "File MD5 mismatch, seems a new firmware, not resuming OTA", *[start] * 3]


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("ota_file_md5", "E https: Failed to set written length 0 and file MD5 to NVS"),
        ("ota_written", "E https: Failed to save OTA written length to NVS"),
    ],
)
def test_the_console_of_an_nvs_that_refuses(key, line):
    bench = Bench()
    real = bench.nvs.set

    def refuse(namespace: str, name: str, value: object) -> None:
        if name == key:
            raise NvsError(EspErr.ESP_ERR_NVS_NOT_ENOUGH_SPACE, "full")
        real(namespace, name, value)

    bench.nvs.set = refuse
    bench.update(file_md5="abc")
    assert line in console(bench)


@pytest.mark.parametrize(
    ("payload", "lines"),
    [
        (b"{\0}", ["E topics: Invalid JSON received: {"]),
        (b"{}", ["E topics: Aborted. OTA Job ID not found in JSON"]),
        (b'{"ota_job_id":"j\xff"}', ["I topics: OTA Job ID: j\ufffd", "E topics: Aborted. URL not found in JSON"]),
    ],
)
def test_the_console_of_a_malformed_message(payload, lines):
    bench = Bench()

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.send("otaurl", payload)
        await bench.sleep(3)

    text = payload.split(b"\0")[0].decode(errors="replace")
    said = since(console(bench.run(scenario)), "I topics: Upgrade Handler")
    assert said[: len(lines) + 2] == [
        f"I topics: Upgrade Handler got:{text} on node/node1/otaurl topic\n",
        *lines,
        next(line for line in said if "Reporting failed" in line),
    ]
    if payload == b"{}":
        assert said[-1] == "W topics: Not reporting any status, since there is no Job ID available"


@pytest.mark.parametrize(
    ("metadata", "lines"),
    [
        (
            '{"download_window":{"start":1,"end":2},"validity":{"end":3}}',
            [
                "I ota: Download Window : 1 2",
                "I ota: Validity : -1 3",
                "E ota: OTA download window lapsed",
                *report("failed", "OTA download window lapsed.", after=10),
            ],
        ),
        (
            f'{{"validity":{{"start":{TS + 200}}}}}',
            [
                f"I ota: Validity : {TS + 200} -1",
                "I ota: Delaying OTA by 190 seconds (3 min) as it is not valid yet.",
                *report("delayed", "Not within valid window.", after=10),
            ],
        ),
        (
            '{"download_window":{"start":5}}',
            [
                "I ota: Download Window : 5 -1",
                "E ota: Download window should have an end time if start time is specified.",
                *report("failed", "Invalid download window specified.", after=10),
            ],
        ),
        (
            '{"download_window":{"start":0,"end":0}}',  # it is 02:26 in Shanghai
            [
                "I ota: Download Window : 0 0",
                "I ota: Delaying OTA by 77640 seconds (1294 min) as it is not within download window.",
                *report("delayed", "Not within download window.", after=10),
            ],
        ),
    ],
)
def test_the_console_of_a_job_that_may_not_run_now(metadata, lines):
    said = since(console(Bench().update(metadata=metadata)), "I topics: File Size")[1:]
    assert said == [*lines, "W ota: Cannot proceed with the OTA as per the metadata received."]


@pytest.mark.parametrize(
    ("metadata", "line"),
    [
        ('{"download_window":{"start":0,"end":1439}}', "OTA received within download window."),
        ('{"validity":{"start":5}}', "OTA received within validity period."),
    ],
)
def test_the_console_of_a_job_that_may(metadata, line):
    said = since(console(Bench().update(metadata=metadata)), f"I ota: {line}")
    assert said[1:3] == report("in-progress", "Starting OTA Upgrade (HTTPS attempt 1/3)", after=10)


def test_the_console_of_a_question_that_does_not_arrive():
    bench = Bench(config=Sdkconfig(esp_rmaker_mqtt_enable_budgeting=False))

    async def scenario(bench: Bench) -> None:
        bench.line.swallow("otafetch", 100)
        await bench.sleep(70)
        bench.line.cut()
        await bench.sleep(1500)

    said = [line for line in console(bench.run(scenario)) if "etch" in line]
    assert said[:6] == [
        "I topics: Fetching OTA details, if any.",
        "W topics: OTA fetch timeout - no PUBACK received",
        "I topics: OTA fetch failed, retry 1 in 30 seconds",
        "W topics: MQTT not connected. Cannot fetch OTA.",
        "W topics: OTA fetch attempt failed: ESP_ERR_INVALID_STATE",
        "I topics: OTA fetch failed, retry 2 in 60 seconds",
    ]
    retries = [line for line in said if "retry" in line]
    assert retries[4:6] == [
        "I topics: OTA fetch failed, retry 5 in 480 seconds",
        "I topics: OTA fetch failed, persistent retry 6 at max interval (480 seconds)",
    ]


def test_the_console_without_a_budget():
    bench = Bench(config=Sdkconfig(esp_rmaker_mqtt_default_budget=2, esp_rmaker_mqtt_budget_revive_period=600))
    said = console(bench.update(seconds=20))
    assert "E topics: OTA Fetch Publish Error -1" in said
    assert "W topics: OTA fetch attempt failed: ESP_FAIL" in said
    sent = next(index for index, line in enumerate(said) if line.startswith('I topics: {"ota_job_id"'))
    assert said[sent + 1] == "E topics: esp_rmaker_mqtt_publish_data returned error -1"


def test_the_console_of_a_firmware_that_gives_up_and_of_the_old_one():
    bench = Bench(config=Sdkconfig(esp_rmaker_ota_rollback_report_failed=True))

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(9)
        bench.line.cut()
        await bench.sleep(120)
        bench.line.restore()
        await bench.sleep(30)

    said = since(console(bench.run(scenario)), "E ota: Could not verify")
    info = "MQTT did not connect within 90 seconds"
    reported = next(line for line in said if line.startswith('I topics: {"ota_job_id"'))
    assert said == [
        "E ota: Could not verify firmware even after 90 seconds since boot-up. Rolling back.",
        "I topics: OTA enabled with Topics",
        "I ota: OTA state = 2",
        f"I topics: Rollback failure job_id found: {JOB}",
        f"I topics: Rollback failure reason found: {info}",
        f"I ota: Reporting failed: {info}",
        reported,
        "I topics: Subscribing to: node/node1/otaurl",
        "I topics: Fetching OTA details, if any.",
    ]


def test_the_console_of_a_failure_that_cannot_be_kept():
    bench = Bench(config=Sdkconfig(esp_rmaker_ota_rollback_report_failed=True), ota=waiting())
    real = bench.nvs.set

    def refuse(namespace: str, key: str, value: object) -> None:
        if key.startswith("ota_fail"):
            raise NvsError(EspErr.ESP_ERR_NVS_NOT_ENOUGH_SPACE, "full")
        real(namespace, key, value)

    bench.nvs.set = refuse
    said = since(console(bench.update(seconds=130)), "E ota: Could not verify")
    assert said[1:3] == [
        "W ota: Failed to store failure reason: ESP_ERR_NVS_NOT_ENOUGH_SPACE",
        "W ota: Failed to store failure job ID: ESP_ERR_NVS_NOT_ENOUGH_SPACE",
    ]


def waiting(post_mqtt: DiagStatus = DiagStatus.PENDING) -> OtaConfig:
    return OtaConfig(ota_diag=lambda state: DiagStatus.SUCCESS if state is DiagState.INIT else post_mqtt)


def test_the_console_of_self_tests():
    said = console(Bench(ota=waiting()).update(seconds=30))
    assert "W ota: Waiting for application to validate OTA." in said
    for ota in (waiting(DiagStatus.FAIL), OtaConfig(ota_diag=lambda _state: False)):
        said = console(Bench(ota=ota).update(seconds=30))
        assert "E ota: Diagnostics failed! Start rollback to the previous version ..." in said


def test_a_rollback_that_is_not_possible_says_nothing_of_its_own():
    bench = Bench(ota=OtaConfig(ota_diag=lambda _state: False))

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.push()
        await bench.sleep(5)
        bench.chip.flash.erase(0x20000, 0x1000)  # the old app is gone
        await bench.sleep(30)

    said = since(console(bench.run(scenario)), "I ota: First Boot")
    assert said[1:3] == [
        "E ota: Diagnostics failed! Start rollback to the previous version ...",
        "I topics: Subscribing to: node/node1/otaurl",
    ]


def test_the_console_of_an_update_by_params():
    bench = Bench(ota=OtaConfig(type=OtaType.PARAMS))

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        await bench.send("params/remote", f'{{"OTA":{{"URL":"{URL}"}}}}'.encode())
        await bench.sleep(5)

    said = console(bench.run(scenario))
    assert said[:5] == [
        "I params: OTA enabled with Params",
        "I ota: OTA state = 2",
        f"I params: Received value = {URL} for OTA - URL",
        "I ota: Reporting in-progress: Starting OTA Upgrade (HTTPS attempt 1/3)",
        "W ota: Starting HTTPS OTA attempt 1/3. This may take time.",
    ]


def test_a_factory_app_has_no_state_to_tell():
    said = console(Bench(chip=flashed(OLD, table="two_ota")).wait(3))
    assert said[:2] == ["I topics: OTA enabled with Topics", "I topics: Subscribing to: node/node1/otaurl"]


def test_the_console_of_wrong_calls():
    bench = Bench()

    async def scenario(bench: Bench) -> None:
        await bench.sleep(3)
        ota = bench.node.ota
        ota.mark_valid()
        core = ota.handle.core
        for config in (OtaConfig(), OtaConfig(type=7)):
            with pytest.raises(OtaError):
                type(ota).enable(core, config)

    assert console(bench.run(scenario))[-3:] == [
        "W ota: OTA Already marked as valid",
        "E ota: OTA already initialised",
        "E ota: Invalid arguments for esp_rmaker_ota_enable()",
    ]
