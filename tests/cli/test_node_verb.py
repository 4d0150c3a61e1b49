"""``esp-ota node`` as a process against ``esp-ota serve``: who it is, what is heard of it, how it ends and goes on."""

from __future__ import annotations

import os
import queue
import re
import signal
import ssl
import time
from contextlib import contextmanager

import paho.mqtt.client as paho
import pytest
from click.testing import CliRunner
from node_process import serving, told, until
from ready import Process

from py_esp_ota._core import Flash
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.mosquitto import find_mosquitto
from py_esp_ota.chip import Chip
from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.sdkconfig import Sdkconfig

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.skipif(find_mosquitto() is None, reason="Mosquitto is not installed"),
]

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """One that others than loopback's first address reach, and by name."""
    with serving(
        tmp_path_factory.mktemp("serve") / "data", "--listen", "127.0.0.2", "--name", "cloud.test", "--login"
    ) as it:
        yield it


@pytest.fixture
def room(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.bin").write_bytes(OLD)
    return tmp_path


@contextmanager
def node(*words):
    process = Process("node", *words)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ended(*words, timeout=90):
    with node(*words) as process:
        output = process.communicate(timeout=timeout)[0]
        return process.returncode, output


def known(cloud, node_id):
    """A flash that the cloud has heard of once: ``lamp.flash``."""
    words = ("lamp.flash", "--firmware", "old.bin", "--serve", cloud.data, "--node-id", node_id)
    code, output = ended(*words, "--until", "connected")
    assert code == 0, output


def refused(*words):
    done = CliRunner().invoke(main, ["node", *map(str, words)])
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    return done.stderr


def running(file):
    """What boots, and its state."""
    report = boot(Chip("esp32c3", flash=Flash.from_bytes(file.read_bytes(), size=4 << 20)), Sdkconfig())
    return report.app_desc.version, report.state


# ------------------------------------------------------------------------------------- what an independent one hears


@contextmanager
def watcher(cloud, *filters):
    """A subscriber of its own at the broker, whom its access list lets read everything."""
    files = LocalCa(cloud.data).node("watcher")
    with (cloud.data / "mosquitto.acl").open("a") as access:
        access.write("\nuser watcher\ntopic read #\ntopic read $aws/#\n")
    os.kill(int((cloud.data / "mosquitto.lock").read_text().split()[0]), signal.SIGHUP)
    heard = queue.Queue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "watcher", protocol=paho.MQTTv311)
    trust = ssl.create_default_context(cafile=cloud.data / "ca.pem")
    trust.load_cert_chain(files.cert, files.key)
    client.tls_set_context(trust)
    ready = queue.Queue()
    client.on_subscribe = lambda *_: ready.put(None)
    client.on_message = lambda _client, _data, message: heard.put(message)
    client.connect("127.0.0.2", cloud.ports["mqtt_port"])
    client.loop_start()
    try:
        client.subscribe([(each, 1) for each in filters])
        ready.get(timeout=10)
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


STATUS = (
    "$aws/rules/esp_node_otastatus/node/seen/otastatus "
    '{"ota_job_id":"JOB","status":"%s","additional_info":"%s","ts":...}'
)
FETCH = '$aws/rules/esp_node_otafetch/node/seen/otafetch {"node_id":"seen","fw_version":"%s"}'
CONFIG = (
    '$aws/rules/esp_node_config/node/seen/config {"node_id":"seen","config_version":"2020-03-20","info":'
    '{"name":"ESP RainMaker Device","fw_version":"%s",...}'
)
INIT = '$aws/rules/esp_init_params/node/seen/params/local/init {"Light":{"Power":true,"Brightness":25}}'
POLL = "$aws/rules/esp_cmd_resp/node/seen/from-node \x01\0\x03\x01\0\x05\x02\0\0"  # a TLV: nothing to answer yet
TRANSCRIPT = [
    POLL,
    CONFIG % "1.0.0",
    INIT,
    FETCH % "1.0.0",
    'node/seen/otaurl {"ota_job_id":"JOB","url":"https://cloud.test:...',
    STATUS % ("in-progress", "Starting OTA Upgrade (HTTPS attempt 1/3)"),
    STATUS % ("in-progress", "Downloading Firmware Image"),
    STATUS % ("in-progress", "Firmware Image download complete"),
    STATUS % ("in-progress", "Rebooting into new firmware (after 1 HTTPS attempt)"),
    STATUS % ("success", "OTA Upgrade finished and verified successfully"),
    POLL,
    CONFIG % "1.1.0",
    INIT,
    FETCH % "1.1.0",
    FETCH % "1.1.0",  # unless the first one still waits for its PUBACK
]


@pytest.mark.timeout(120)
def test_a_good_update_byte_for_byte_as_another_subscriber_hears_it_until_ctrl_c(cloud, room):
    known(cloud, "seen")
    job = cloud.job("seen", cloud.upload("seen", NEW), "seen")
    with (
        watcher(cloud, "$aws/rules/+/node/seen/#", "node/seen/#") as heard,
        node("lamp.flash", "--serve", cloud.data, "--json") as process,
    ):
        until(lambda: sum(each.topic.endswith("/otafetch") for each in heard.queue) >= 2, seconds=60)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=20)[0]
        assert process.returncode == 130, output
    messages = list(heard.queue)
    assert len(messages) in {len(TRANSCRIPT) - 1, len(TRANSCRIPT)}
    for message, line in zip(messages, TRANSCRIPT, strict=False):
        said = b" ".join([message.topic.encode(), message.payload])
        assert re.fullmatch(re.escape(line.replace("JOB", job)).replace(r"\.\.\.", ".*").encode(), said), (said, line)
        assert (message.qos, message.retain) == (1, False)
    lines = told(output)
    ours = [(each["topic"], each["payload"]) for each in lines if each["kind"] == "up"]
    theirs = [(each.topic, each.payload.decode("utf-8", "backslashreplace")) for each in messages]
    assert ours == [each for each in theirs if not each[0].endswith("/otaurl")], "what --json tells was on the wire"
    assert lines[-1] == {"seconds": lines[-1]["seconds"], "kind": "end", "exit_code": 130, "why": ""}
    assert cloud.status(job, "seen") == ("success", "OTA Upgrade finished and verified successfully")
    assert running(room / "lamp.flash") == ("1.1.0", "VALID")


# ------------------------------------------------------------------------------------------------------ who it is


@pytest.mark.timeout(120)
def test_who_it_is_stands_in_the_flash_and_it_reaches_the_broker_at_its_other_address(cloud, room):
    code, output = ended("old.bin", "--serve", cloud.data, "--node-id", "flashed", "--until", "connected")
    assert code == 0, output
    flash = room / "old.flash"  # an app in the place of a flash has one beside it
    entries = CliRunner().invoke(main, ["nvs", "list", str(flash), "--partition", "fctry"]).output
    assert [line.split()[1] for line in entries.splitlines()] == [
        "node_id",
        "mqtt_host",
        "client_cert",
        "client_key",
        "random",
    ]
    place = ("--broker", f"127.0.0.2:{cloud.ports['mqtt_port']}", "--ca", cloud.data / "ca.pem")
    code, output = ended(flash, *place, "--until", "connected")
    assert code == 0, output
    assert f"node flashed on {flash}, broker 127.0.0.2:{cloud.ports['mqtt_port']} (TLS)" in output
    assert "flashed" in cloud.call("GET", "admin/nodes")["nodes"]


@pytest.mark.timeout(120)
def test_certificate_files_take_the_place_of_the_flashs_own(cloud, room):
    made = CliRunner().invoke(main, ["cloud", "node-cert", "filed", "--data", str(cloud.data), "-o", "pems"])
    assert made.exit_code == 0, made.output
    assert {file.name: file.stat().st_mode & 0o777 for file in (room / "pems").iterdir()} == {
        "filed.pem": 0o600,
        "filed.key": 0o600,
        "ca.pem": 0o600,
    }
    words = ("old.bin", "--cert", "pems/filed.pem", "--key", "pems/filed.key", "--until", "connected")
    place = ("--broker", f"127.0.0.1:{cloud.ports['mqtt_port']}")
    code, output = ended(*words, *place, "--ca", "pems/ca.pem")
    assert code == 0, output
    assert "filed" in cloud.call("GET", "admin/nodes")["nodes"], "its common name is its id"
    code, output = ended(*words, *place, "--timeout", "2", "--json")  # the system's authorities did not issue that
    assert (code, told(output)[-1]["why"]) == (1, "not connected within 2 s")
    assert any("CERTIFICATE_VERIFY_FAILED" in each.get("text", "") for each in told(output))


def test_what_does_not_say_who_it_is_is_refused_in_one_sentence(cloud, room):
    serve = ("--serve", cloud.data)
    assert (
        refused("lamp.flash", *serve) == "Error: lamp.flash is not there; --firmware APP.bin makes one that runs it\n"
    )
    assert "merge it into a flash file first" in refused(room, *serve)
    made = ("lamp.flash", "--firmware", "old.bin")
    assert refused(*made, *serve) == "Error: lamp.flash does not say which node this is; --node-id does\n"
    assert refused(*made).startswith("Error: lamp.flash holds no certificate and key: esp-ota provision NODE_ID --into")
    assert not (room / "lamp.flash").exists(), "a refusal makes no flash"
    assert "a node id has 1 to 64 letters" in refused(*made, *serve, "--node-id", "a/b")
    assert "--serve says what --broker says" in refused(*made, *serve, "--broker", "x:1")
    assert "--cert and --key belong together" in refused(*made, "--cert", "old.bin")
    assert f"no esp-ota serve serves from {room}" in refused(*made, "--serve", room)
    assert "'drop@x' is no" in refused(*made, *serve, "--fault", "drop@x")
    pair = LocalCa(cloud.data).node("n1")
    other = LocalCa(cloud.data).node("n2")
    assert "the key is not that of the certificate" in refused(*made, "--cert", pair.cert, "--key", other.key)
    assert "--broker HOST:PORT does" in refused(*made, "--cert", pair.cert, "--key", pair.key)
    assert refused(*made, "--cert", pair.cert, "--key", pair.key, "--node-id", "n2") == (
        f"Error: {pair.cert} is the certificate of 'n1', not of 'n2'\n"
    )
    assert "'cloud.lan:http' is no HOST:PORT" in refused(
        *made, "--cert", pair.cert, "--key", pair.key, "--broker", "cloud.lan:http"
    )
    at = ("--cert", pair.cert, "--key", pair.key, "--broker")
    for broker in ("cloud/lan", "cloud lan:8883", ""):
        assert "is neither a host name" in refused(*made, *at, broker)
    assert refused(*made, *at, "[::1]:8883", "--ca", "old.bin").startswith("Error: old.bin: the certificate is none in")
    assert refused(*made, *at, "cloud.lan", "--ca", "none.pem") == "Error: none.pem: No such file or directory\n"
    (room / "sdkconfig").write_text("CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y\nCONFIG_BOOTLOADER_APP_ANTI_ROLLBACK=y\n")
    assert "ANTI_ROLLBACK burns eFuses" in refused(*made, *serve, "--config", "sdkconfig")


@pytest.mark.timeout(60)
def test_a_flash_has_one_node_and_one_that_is_killed_leaves_it_to_the_next(cloud, room):
    known(cloud, "alone")
    with node("lamp.flash", "--serve", cloud.data) as first:
        until(lambda: "alone" in cloud.online())
        who = rf"Error: lamp.flash is in use by esp-ota node, process {first.pid}, since .*: end that one first\n"
        assert re.fullmatch(who, refused("lamp.flash", "--serve", cloud.data))
        done = CliRunner().invoke(main, ["provision", "other", "--data", str(cloud.data), "--into", "lamp.flash"])
        assert (done.exit_code, "is in use by esp-ota node" in done.stderr) == (2, True)
        first.kill()
    code, output = ended("lamp.flash", "--serve", cloud.data, "--until", "connected")
    assert code == 0, output


@pytest.mark.timeout(120)
def test_a_power_cut_of_the_weather_is_a_boot_more_and_a_failed_update_is_exit_1(cloud, room):
    known(cloud, "weather")
    cloud.job("weather", cloud.upload("weather", NEW), "weather")
    words = ("lamp.flash", "--serve", cloud.data, "--fault", "cut@3:torn+app-no@mqtt", "--until", "update")
    code, output = ended(*words)
    assert (code, output.splitlines()[-1]) == (1, "rejected: Firmware rolled back")
    assert output.count("the power is gone; it comes back in 1 s") == 1
    assert running(room / "lamp.flash") == ("1.0.0", "VALID")
