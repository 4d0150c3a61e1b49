"""Rehearsals of ``esp-ota serve``: boards are copied, the cloud goes on, nothing of it changes."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from test_serve import free_ports, serving
from test_serve_ends import admin, until
from test_serve_virtual import URL, online, uploaded

pytestmark = pytest.mark.sockets
REHEARSAL = "/local/rehearsal"


def children(pid):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if above == pid and "py_esp_ota.rehearsal" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found


@pytest.mark.timeout(240)
def test_a_server_rehearses_while_it_serves_and_leaves_no_child_when_it_is_killed(tmp_path):
    data, ports = tmp_path / "data", free_ports(3)
    with serving(data, ports, "--broker", "embedded") as (process, _said), admin(data, ports) as client:
        order = {"count": 4, "ota_image_id": uploaded(client, "1.0.0"), "rollback": False}
        ids = client.post(URL, json=order).raise_for_status().json()["node_ids"]
        until(lambda: online(client) == ids, seconds=30)
        job = {"ota_job_name": "j", "ota_image_id": uploaded(client, "1.1.0"), "nodes": ids}
        asked = {"job": job, "weather": "app-no"}
        answer = client.post(REHEARSAL, params={"force_push": "true"}, json=asked).raise_for_status().json()
        path = f"{REHEARSAL}/{answer['rehearsal_id']}"
        until(lambda: client.get(path).json()["stage"] == "done", seconds=120)
        forecast = client.get(path).json()["forecast"]
        assert (forecast["nodes"], forecast["rolled_back"]) == (4, 0)  # their bootloader does not
        assert forecast["assumed"] == []  # all is known of virtual nodes
        assert client.get("/admin/otajob").json()["ota_jobs"] == []
        slow = {"job": job, "weather": "speed 1-2; 50% app-crash@1"}
        client.post(REHEARSAL, json=slow).raise_for_status()
        (child,) = until_found(lambda: children(process.pid))
        began = time.monotonic()
        assert online(client) == ids
        assert time.monotonic() - began < 5
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        until(lambda: not Path(f"/proc/{child}").exists(), seconds=30)


def until_found(look):
    deadline = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found
