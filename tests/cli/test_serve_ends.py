"""``esp-ota serve`` is whole or ends: what becomes of it when a part of it dies, and of its broker with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import ssl
import time
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest
import uvicorn
from click.testing import CliRunner
from test_serve import MOSQUITTO, free_ports, serving

from py_esp_ota import Chip, Flash, Sdkconfig
from py_esp_ota.adapters import embedded, mosquitto
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.cli.serve import command
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store
from py_esp_ota.device import Device
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.world import ADMIN

pytestmark = pytest.mark.sockets
needs_mosquitto = pytest.mark.skipif(not MOSQUITTO, reason="Mosquitto is not installed")
LINUX = Path("/proc/self/task").exists()


def ended(tmp_path, *words, broker="embedded"):
    """Run ``serve`` in this process until it ends by itself; what it said at last."""
    names = ("--port", "--https-port", "--mqtt-port")
    ports = [word for pair in zip(names, map(str, free_ports(3)), strict=True) for word in pair]
    result = CliRunner().invoke(command, ["--data", str(tmp_path / "data"), *ports, "--broker", broker, *words])
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return result.stderr.splitlines()[-1]


async def dies(*_arguments, **_options):
    await asyncio.sleep(0.2)
    raise ValueError("a mistake")


async def returns(*_arguments, **_options):
    await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    ("owner", "name", "what", "life", "why"),
    [
        (uvicorn.Server, "main_loop", "the server at http", dies, "ValueError: a mistake"),
        (uvicorn.Server, "main_loop", "the server at http", returns, "it returned"),
        (CloudService, "_watch_deadlines", "the cloud's half on MQTT", dies, "ValueError: a mistake"),
        (CloudService, "run", "the cloud's half on MQTT", returns, "it returned"),
        (embedded.Broker, "_broadcast_loop", "the embedded broker", dies, "ValueError: a mistake"),
        (Device, "live", "device node000001", dies, "ValueError: a mistake"),
    ],
)
def test_a_part_that_dies_ends_all_of_it_with_one_sentence(tmp_path, monkeypatch, owner, name, what, life, why):
    monkeypatch.setattr(owner, name, life)
    last = ended(tmp_path, "--devices", "1")
    assert last.startswith(f"Error: {what}")
    assert last.endswith(f" ended: {why}")


def test_a_mosquitto_that_cannot_be_started_again_ends_it_with_its_own_last_line(tmp_path, monkeypatch):
    program = tmp_path / "mosquitto"
    program.write_text("#!/bin/sh\necho 'mosquitto version 9 running' >&2; echo 'Error: out of cheese' >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(mosquitto, "_PAUSES", (0.01, 0.02))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    last = ended(tmp_path, broker="mosquitto")
    assert last == "Error: mosquitto ended: 3 times in a row, at last with 'Error: out of cheese'"


def test_a_database_that_somebody_else_holds_is_said_in_one_sentence(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    Store(f"sqlite:///{data / 'cloud.db'}").close()
    with closing(sqlite3.connect(data / "cloud.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        result = CliRunner().invoke(command, ["--data", str(data), "--broker", "embedded"])
    assert result.exit_code == 2
    assert result.stderr == f"Error: {data / 'cloud.db'}: database is locked\n"


# ----------------------------------------------------------------------------------------------- Mosquitto as a process


def broker_of(data):
    """The process id of the Mosquitto that ``serve`` runs."""
    return int((data / "mosquitto.lock").read_text())


def until(condition, *, seconds):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


@contextmanager
def admin(data, ports):
    """The REST API over HTTPS, as the admin."""
    login = {"user_name": ADMIN, "password": (data / "admin-password").read_text().strip()}
    url, trust = f"https://127.0.0.1:{ports[1]}/v1", ssl.create_default_context(cafile=LocalCa(data).ca_file)
    with httpx2.Client(base_url=url, verify=trust, trust_env=False, timeout=30) as client:
        client.headers["Authorization"] = client.post("/login2", json=login).json()["accesstoken"]
        yield client


def online(client):
    return client.get("/admin/nodes", params={"node_status": "online"}).json()["nodes"] == ["node000001"]


def update(client, version):
    """Bring the node to a version, and wait until it says that it runs it."""
    request = client.get("/admin/otaimage/upload_request", params={"image_name": version}).json()
    client.put(request["upload_url"], content=Firmware("lamp", version).to_bytes()).raise_for_status()
    image = {"ota_image_id": request["ota_image_id"]}
    client.post("/admin/otaimage/upload_confirm", json=image).raise_for_status()
    job = {"ota_job_name": version, "nodes": ["node000001"], **image}
    query = {"ota_job_id": client.post("/admin/otajob", params={"force_push": "true"}, json=job).json()["ota_job_id"]}
    until(lambda: client.get("/admin/otajob", params=query).json()["status"] == "completed", seconds=60)


@needs_mosquitto
@pytest.mark.skipif(not LINUX, reason="looks into /proc")
def test_a_mosquitto_that_is_killed_is_back_and_a_job_pushed_then_arrives(tmp_path):
    data, ports = tmp_path / "data", free_ports(3)
    with serving(data, ports, "--broker", "mosquitto", "--devices", "1") as (process, _said):
        with admin(data, ports) as client:
            until(lambda: online(client), seconds=20)
            first = broker_of(data)
            os.kill(first, signal.SIGKILL)
            until(lambda: gone(first) and not online(client), seconds=5)
            until(lambda: online(client), seconds=30)
            assert broker_of(data) != first
            update(client, "1.1.0")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130


def test_a_device_goes_on_with_its_firmware_however_serve_ends(tmp_path):
    data, ports = tmp_path / "data", free_ports(3)
    for version, slot, how in (("1.1.0", "ota_1", signal.SIGKILL), ("1.2.0", "ota_0", signal.SIGINT)):
        with serving(data, ports, "--broker", "embedded", "--devices", "1") as (process, _said):
            with admin(data, ports) as client:
                until(lambda client=client: online(client), seconds=20)
                update(client, version)
            process.send_signal(how)
            process.wait(timeout=20)
        file = data / "devices" / "node000001.bin"
        report = boot(Chip(flash=Flash.from_bytes(file.read_bytes(), size=4 << 20)), Sdkconfig())
        assert (report.app_desc.version, report.partition.label, report.state) == (version, slot, "VALID")
        assert file.stat().st_mode & 0o777 == 0o600


@needs_mosquitto
@pytest.mark.skipif(not LINUX, reason="looks into /proc")
def test_mosquitto_saves_and_ends_with_a_serve_that_is_killed_and_the_next_serve_starts_at_once(tmp_path):
    data, ports = tmp_path / "data", free_ports(3)
    with serving(data, ports, "--broker", "mosquitto") as (process, _said):
        first = broker_of(data)
        assert not (data / "mosquitto.db").exists()  # it has not saved by itself yet
        process.kill()
    with serving(data, ports, "--broker", "mosquitto"):
        assert gone(first)
        assert (data / "mosquitto.db").stat().st_mode & 0o777 == 0o600
