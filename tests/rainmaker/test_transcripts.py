"""What a node says from its boot to the end of a job, to the byte: topics and payloads as a broker sees them."""

from __future__ import annotations

import asyncio
from hashlib import md5

import pytest
from file_server import FileServer
from node_bench import EPOCH, JOB, NEW, OLD, URL, Answer, Bench

from py_esp_ota.rainmaker.ota import OtaConfig
from py_esp_ota.sdkconfig import Sdkconfig

RULES = {
    "config": "esp_node_config",
    "params/local/init": "esp_init_params",
    "otafetch": "esp_node_otafetch",
    "otastatus": "esp_node_otastatus",
    "from-node": "esp_cmd_resp",
}
POLL = ("from-node", bytes.fromhex("0100 030100 05020000"))
INIT = ("params/local/init", b'{"Light":{"Power":true,"Brightness":25}}')
_CONFIG = (
    '{"node_id":"node1","config_version":"2020-03-20","info":{"name":"ESP RainMaker Device","fw_version":"VERSION",'
    '"type":"Lightbulb","model":"lamp","project_name":"lamp","platform":"esp32c3"},'
    '"attributes":[{"name":"cmd-resp","value":"1"}],'
    '"devices":[{"name":"Light","type":"esp.device.lightbulb","primary":"Power","params":['
    '{"name":"Power","type":"esp.param.power","data_type":"bool","properties":["read","write"],"ui_type":"esp.ui.toggle"},'
    '{"name":"Brightness","type":"esp.param.brightness","data_type":"int","properties":["read","write"],'
    '"bounds":{"min":0,"max":100,"step":1},"ui_type":"esp.ui.slider"}]}],"services":[]}'
)
START = "Starting OTA Upgrade (HTTPS attempt {}/3)"
DOWNLOADING, COMPLETE = "Downloading Firmware Image", "Firmware Image download complete"
NOT_FOUND = "OTA Attempt {}/3 failed: OTA Begin failed: ESP_FAIL (errno=0: Invalid)"


def config(version="1.0"):
    return "config", _CONFIG.replace("VERSION", version).encode()


def fetch(version="1.0"):
    return "otafetch", f'{{"node_id":"node1","fw_version":"{version}"}}'.encode()


def status(word, info, at, job=JOB):
    ts = int(EPOCH) + at
    return (
        "otastatus",
        f'{{"ota_job_id":"{job}","status":"{word}","additional_info":"{info}","ts":{ts}}}'.encode(),
    )


def going(info, at=10):
    return status("in-progress", info, at)


BOOT = [POLL, config(), INIT, fetch()]


def played(scenario=None, *, seconds=60, **options):
    """A job ten seconds after boot."""
    bench = options.pop("bench", None) or Bench(**options)

    async def story(bench):
        await asyncio.sleep(10)
        await bench.push()
        if scenario:
            await scenario(bench)
        await asyncio.sleep(seconds)

    return bench.run(story)


def assert_said(bench, expected):
    basic = bench.config.esp_rmaker_mqtt_use_basic_ingest_topics
    heard = [(name, payload) for name, (_, _, payload) in zip(bench.topics, bench.heard, strict=True)]
    assert heard == [
        (f"$aws/rules/{RULES[suffix]}/node/node1/{suffix}" if basic else f"node/node1/{suffix}", payload)
        for suffix, payload in expected
    ]


@pytest.mark.parametrize("basic_ingest", [True, False])
def test_a_good_update_with_rollback(basic_ingest):
    options = Sdkconfig(esp_rmaker_mqtt_use_basic_ingest_topics=basic_ingest)
    assert_said(
        played(config=options),
        [
            *BOOT,
            going(START.format(1)),
            going(DOWNLOADING),
            going(COMPLETE),
            going("Rebooting into new firmware (after 1 HTTPS attempt)"),
            status("success", "OTA Upgrade finished and verified successfully", 20),
            POLL,
            config("1.1"),
            INIT,
            fetch("1.1"),
        ],
    )


def test_a_good_update_without_rollback():
    assert_said(
        played(config=Sdkconfig(bootloader_app_rollback_enable=False)),
        [
            *BOOT,
            going(START.format(1)),
            going(DOWNLOADING),
            going(COMPLETE),
            status("success", "HTTPS OTA Upgrade finished successfully (after 1 attempt)", 10),
            POLL,
            config("1.1"),
            INIT,
            fetch("1.1"),
        ],
    )


def test_the_same_version():
    said = [*BOOT, going(START.format(1)), status("rejected", "Same version received", 10)]
    assert_said(played(server={URL: Answer(OLD)}), said)


def test_a_404_for_ever():
    attempts = [line for k in (1, 2, 3) for line in (going(START.format(k)), status("failed", NOT_FOUND.format(k), 10))]
    bench = played(server={URL: Answer(status=404)}, seconds=310)
    assert_said(bench, [*BOOT, *attempts, fetch()])
    assert bench.times("otafetch") == [5.0, 310.0]


def test_a_line_that_breaks_in_the_middle_and_goes_on():
    name = md5(NEW, usedforsecurity=False).hexdigest()
    bench = Bench()
    bench.fetch = FileServer({"/lamp.bin": NEW}, breaks=[6000])

    async def scenario(bench):
        await asyncio.sleep(10)
        await bench.push(file_md5=name)
        await asyncio.sleep(60)

    broken = "OTA Attempt 1/3 failed: OTA failed: ESP_FAIL (errno=104: Connection reset by peer)"
    bench.run(scenario)
    assert_said(
        bench,
        [
            *BOOT,
            going(START.format(1)),
            going(DOWNLOADING),
            status("failed", broken, 10),
            going(START.format(2)),
            going(DOWNLOADING),
            going(COMPLETE),
            going("Rebooting into new firmware (after 2 HTTPS attempts)"),
            status("success", "OTA Upgrade finished and verified successfully", 20),
            POLL,
            config("1.1"),
            INIT,
            fetch("1.1"),
        ],
    )
    assert [request.range for request in bench.fetch.requests] == ["", f"bytes={6000 // 1024 * 1024}-"]


def test_a_corrupt_image():
    attempts = [
        line
        for k in (1, 2, 3)
        for line in (
            going(START.format(k)),
            going(DOWNLOADING),
            going(COMPLETE),
            status("failed", f"OTA Attempt {k}/3 failed: Image validation failed", 10),
        )
    ]
    bench = played(server={URL: Answer(NEW[:-1] + b"?")})
    assert_said(bench, [*BOOT, *attempts])
    assert len(bench.fetch.requests) == 3


def test_outside_the_window():
    bench = Bench(epoch=1_753_804_800.0)  # midnight in Shanghai

    async def scenario(bench):
        await asyncio.sleep(10)
        await bench.push(metadata='{"download_window":{"start":2,"end":5}}')
        await asyncio.sleep(300)

    bench.run(scenario)
    said = (
        f'{{"ota_job_id":"{JOB}","status":"delayed","additional_info":"Not within download window.","ts":1753804810}}'
    )
    assert_said(bench, [*BOOT, ("otastatus", said.encode()), fetch()])
    assert bench.times("otafetch") == [5.0, 10 + 120 + 5]


def test_new_firmware_that_cannot_reach_mqtt():
    async def outage(bench):
        await asyncio.sleep(9)
        bench.line.cut()
        await asyncio.sleep(92)
        bench.line.restore()

    bench = played(outage, seconds=40)
    first, second, third = (when for when, _ in bench.boots)
    assert (first, round(second), round(third)) == (0, 20, 110)
    said = status("rejected", "Firmware rolled back", 125)  # the first try came too early, the next 15 s later
    assert_said(
        bench,
        [
            *BOOT,
            going(START.format(1)),
            going(DOWNLOADING),
            going(COMPLETE),
            going("Rebooting into new firmware (after 1 HTTPS attempt)"),
            POLL,
            config(),
            INIT,
            said,
            fetch(),
        ],
    )


def test_a_malformed_message_to_a_clean_node():
    async def nonsense(bench):
        await bench.send("otaurl", b"{")
        await bench.send("otaurl", b'{"ota_job_id":5}')

    bench = Bench(server={URL: Answer(OLD)})

    async def scenario(bench):
        await asyncio.sleep(10)
        await nonsense(bench)
        await asyncio.sleep(60)

    bench.run(scenario)
    assert_said(bench, BOOT)


def test_a_reconnect_says_only_that_commands_are_asked_for():
    bench = Bench()

    async def scenario(bench):
        await asyncio.sleep(20)
        bench.broker.kick("node1")
        await asyncio.sleep(60)

    bench.run(scenario)
    assert_said(bench, [*BOOT, POLL])


def test_a_self_test_that_fails():
    fails = OtaConfig(ota_diag=lambda _state: False)
    rolled_back = status("rejected", "Firmware rolled back", 20)
    assert_said(
        played(ota=fails),
        [
            *BOOT,
            going(START.format(1)),
            going(DOWNLOADING),
            going(COMPLETE),
            going("Rebooting into new firmware (after 1 HTTPS attempt)"),
            POLL,
            config(),
            INIT,
            rolled_back,
            fetch(),
        ],
    )
