"""A thousand nodes in one process take one OTA from ``esp-ota serve``, over Mosquitto and HTTPS."""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.timing import Figure
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.clock import SystemClock
from py_esp_ota.adapters.crowd import CrowdMqtt
from py_esp_ota.adapters.crowd_tls import CrowdContexts
from py_esp_ota.adapters.http import HttpFetch
from py_esp_ota.adapters.mosquitto import find_mosquitto, free_port
from py_esp_ota.adapters.open_files import raise_open_files
from py_esp_ota.device import Device, Doors
from py_esp_ota.firmware import Firmware
from py_esp_ota.world import ADMIN

NODES = 1000
FILES = 4096  # a connection for each node and each download
IMAGE = 64 << 10  # bytes
REBOOT_S = 10.0  # that each node waits before it reboots into what it has downloaded: RainMaker's own timer
LIMIT_S = 300.0
TICKS = os.sysconf("SC_CLK_TCK")
OLD, NEW = (Firmware("lamp", version, size=IMAGE).to_bytes() for version in ("1.0.0", "1.1.0"))


@dataclass(frozen=True)
class Cloud:
    """An ``esp-ota serve`` of its own process, and the admin's way in."""

    api: httpx2.AsyncClient
    folder: Path
    mqtt_port: int
    pids: Sequence[int]  # the server's, the broker's

    async def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = await self.api.request(method, path, **options)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


@asynccontextmanager
async def cloud(folder: Path) -> AsyncIterator[Cloud]:
    """Serve from a new folder while the context is entered."""
    port, https_port, mqtt_port = (free_port() for _ in range(3))
    ports = {"--port": port, "--https-port": https_port, "--mqtt-port": mqtt_port}
    words = [word for option, number in ports.items() for word in (option, str(number))]
    words += ["--data", str(folder), "--broker", "mosquitto", "--no-web"]
    served = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "py_esp_ota", "serve", *words, stdout=asyncio.subprocess.PIPE
    )
    assert served.stdout
    try:
        while b"Ctrl-C" not in (line := await served.stdout.readline()):
            assert line, "esp-ota serve has ended"
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as api:
            password = (folder / "admin-password").read_text().strip()
            login = await api.post("/v1/login2", json={"user_name": ADMIN, "password": password})
            api.headers["Authorization"] = login.json()["accesstoken"]
            yield Cloud(api, folder, mqtt_port, [served.pid, *_brokers(served.pid)])
    finally:
        served.terminate()
        await served.wait()


async def _update(nodes: int) -> tuple[float, float, str]:
    """Seconds from the press of the button to the last success, those of bare downloads; and where the time went."""
    with tempfile.TemporaryDirectory() as folder:
        async with cloud(Path(folder)) as served, HttpFetch(LocalCa(folder).ca_file) as fetch:
            before = _resident()
            doors = Doors(mqtt=_door(LocalCa(folder), served.mqtt_port), fetch=fetch, clock=SystemClock())
            lamps = [Device("two_ota_large", firmware=OLD, node_id=f"lamp{number:04}") for number in range(nodes)]
            lives = [asyncio.create_task(lamp.live(doors)) for lamp in lamps]
            for lamp in lamps:
                lamp.power_on()
            await _until(served, "/v1/admin/nodes?status=online&num_records=1", "total", nodes)
            await asyncio.sleep(6)  # the fetch that follows a boot
            image = base64.b64encode(NEW).decode()
            body = {"image_name": "new", "base64_fwimage": image}
            stored = await served.call("POST", "/v1/admin/otaimage", json=body)
            spent = [_cpu(pid) for pid in (os.getpid(), *served.pids)]
            began = time.perf_counter()
            job = {"ota_job_name": "all", "ota_image_id": stored["ota_image_id"], "groups": ["FFFF-FFFF"]}
            made = await served.call("POST", "/v1/admin/otajob?force_push=true", json=job)
            summary = f"/v1/admin/otajob/status/summary?ota_job_id={made['ota_job_id']}"
            await _until(served, summary, "success", nodes)
            took = time.perf_counter() - began
            spent = [_cpu(pid) - was for pid, was in zip((os.getpid(), *served.pids), spent, strict=True)]
            each = (_resident() - before) / nodes
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)
            alone = await _downloads(LocalCa(folder), stored["image_url"], nodes)
    shares = ", ".join(
        f"{name} {1000 * seconds / nodes:.1f} ms"
        for name, seconds in zip(("nodes", "cloud", "broker"), spent, strict=False)
    )
    return took, alone, f"{each:.0f} KiB a node; CPU of each OTA: {shares}"


def figures() -> list[Figure]:
    """Nothing where Mosquitto is not installed.

    The goal is what an OTA is beside its download: another TLS connection, with a certificate of the node, a dozen
    messages that are acknowledged both ways, an image written, verified and booted. It may take five of its downloads.
    """
    if not find_mosquitto():
        return []
    threshold = gc.get_threshold()
    gc.set_threshold(20_000, 20, 20)  # as `esp-ota` starts
    try:
        raise_open_files(FILES)
        took, alone, where = asyncio.run(_update(NODES))
    finally:
        gc.set_threshold(*threshold)
    working = took - REBOOT_S
    note = f" ({NODES / working:.0f} OTAs a second beside the {REBOOT_S:.0f} s before each one's reboot; {where})"
    name, peer = "1,000 nodes take one OTA over sockets", "only downloading as many images over HTTPS"
    return [Figure(name, working, peer, alone, 5.0, note=note)]


async def _until(served: Cloud, path: str, key: str, value: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while (await served.call("GET", path)).get(key, 0) < value:  # noqa: ASYNC110 (it is another process)
            await asyncio.sleep(0.25)


async def _downloads(ca: LocalCa, url: str, times: int) -> float:
    """Seconds for bare downloads of the image, each over a connection of its own, twenty at a time."""
    context = ssl.create_default_context(cafile=ca.ca_file)
    address = httpx2.URL(url)
    asked = address.raw_path, address.netloc
    turns = asyncio.Semaphore(20)

    async def one() -> None:
        async with turns:
            reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
            writer.write(b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % asked)
            body = await reader.read(-1)
            assert body.endswith(NEW[-32:])
            writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(times)))
    return time.perf_counter() - began


def _door(ca: LocalCa, port: int) -> CrowdMqtt:
    return CrowdMqtt("localhost", port, tls=CrowdContexts(ca.ca_file, ca.node), timeout=60)


def _brokers(pid: int) -> list[int]:
    """Mosquitto's processes among those below ``pid``."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue  # it has ended meanwhile
        if int(rest.split()[1]) == pid:
            child = int(stat.parent.name)
            found += [*_brokers(child), *([child] if head.endswith("(mosquitto") else [])]
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _resident() -> int:
    """KiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 10
