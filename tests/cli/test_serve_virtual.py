"""Virtual nodes of ``esp-ota serve``: ordered over the API, kept over a kill, and the story of ``--demo``."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from test_serve import command, free_ports, serving
from test_serve_ends import admin, until

from py_esp_ota.firmware import Firmware

pytestmark = pytest.mark.sockets
URL = "/local/virtual_nodes"
DONE = ("lamp 1.1.0", "VALID")


def uploaded(client, version, size=0x10000):
    request = client.get("/admin/otaimage/upload_request", params={"image_name": version}).json()
    client.put(request["upload_url"], content=Firmware("lamp", version, size=size).to_bytes()).raise_for_status()
    client.post("/admin/otaimage/upload_confirm", json={"ota_image_id": request["ota_image_id"]}).raise_for_status()
    return request["ota_image_id"]


def node(client, node_id):
    return client.get(f"{URL}/{node_id}").json()


def online(client):
    return client.get("/admin/nodes", params={"node_status": "online"}).json()["nodes"]


def test_ordered_nodes_live_update_and_are_there_after_a_kill(tmp_path):
    data, ports = tmp_path / "data", free_ports(3)
    with serving(data, ports, "--broker", "embedded") as (process, _said), admin(data, ports) as client:
        order = {"count": 3, "ota_image_id": uploaded(client, "1.0.0"), "name": "Lamp"}
        ids = client.post(URL, json=order).raise_for_status().json()["node_ids"]
        assert ids == ["lamp-0001", "lamp-0002", "lamp-0003"]
        until(lambda: online(client) == ids, seconds=30)
        client.put(f"{URL}/dials", json={"node_ids": ids[1:2], "weather": "slow@5000"}).raise_for_status()
        client.post(f"{URL}/act", json={"node_ids": ids[2:], "act": "power_off"}).raise_for_status()
        until(lambda: online(client) == ids[:2], seconds=30)
        job = {"ota_job_name": "j", "ota_image_id": uploaded(client, "1.1.0"), "nodes": ids[:2]}
        client.post("/admin/otajob", params={"force_push": "true"}, json=job).raise_for_status()
        until(
            lambda: node(client, ids[0])["state"] == "VALID" and "1.1.0" in node(client, ids[0])["running"], seconds=60
        )
        look = client.get(f"{URL}/{ids[1]}/flash").json()
        assert sum(count for region in look["regions"] if region["label"] == "ota_1" for count in region["erases"]) > 0
        os.kill(process.pid, signal.SIGKILL)
    with serving(data, ports, "--broker", "embedded"), admin(data, ports) as client:
        assert [each["power"] for each in client.get(URL).json()["virtual_nodes"]] == ["on", "on", "off"]
        until(lambda: online(client) == ids[:2], seconds=30)
        assert node(client, ids[0])["running"] == "lamp 1.1.0"
        assert node(client, ids[1])["dials"]["weather"] == "slow@5000"
        client.put(f"{URL}/dials", json={"node_ids": ids[1:2], "weather": ""}).raise_for_status()
        until(lambda: node(client, ids[1])["running"] == "lamp 1.1.0", seconds=90)  # it goes on truthfully
        client.request("DELETE", URL, json={"node_ids": ids}).raise_for_status()
        assert client.get("/admin/nodes").json()["nodes"] == []
    assert list((data / "devices").iterdir()) == []


def test_the_demo_tells_its_story_and_leaves_no_folder(tmp_path):
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)}
    ports = free_ports(3)
    words = command(tmp_path, ports, "--broker", "embedded", "--demo")
    words = [word for word in words if word not in {"--data", str(tmp_path)}]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            said = []
            while not said or not said[-1].startswith("All of it is alive"):
                said.append(process.stdout.readline())
                assert said[-1], "".join(said)
            (folder,) = tmp_path.glob("esp-ota-demo-*")
            with admin(folder, ports) as client:
                jobs = client.get("/admin/otajob").json()["ota_jobs"]
                query = [{"ota_job_id": job["ota_job_id"]} for job in jobs]
                rows = [
                    row for q in query for row in client.get("/admin/otajob/status", params=q).json()["node_ota_status"]
                ]
                status = {row["node_id"]: row["status"] for row in rows}
                nodes = {each["node_id"]: each for each in client.get(URL).json()["virtual_nodes"]}
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
        finally:
            process.kill()
    assert status == {
        "desk-0001": "success",
        "hall-0001": "success",
        "porch-0001": "rejected",
        "garden-0001": "in-progress",
        "stairs-0001": "in-progress",
        "attic-0001": "delayed",
    }
    assert {node_id: each["chip"] for node_id, each in nodes.items()} == {
        "desk-0001": "esp32c3",
        "hall-0001": "esp32",
        "porch-0001": "esp32s3",
        "garden-0001": "esp32c6",
        "stairs-0001": "esp32c3",
        "attic-0001": "esp32c3",
    }
    assert nodes["garden-0001"]["power"] == "off"
    assert nodes["porch-0001"]["running"] == "lamp 1.0.0"
    assert said[0].startswith("web page")  # it is there before its lamps are
    assert "took 1.1.0, passed its self-test and runs it" in "".join(said)
    assert list(tmp_path.glob("esp-ota-demo-*")) == []


def test_a_folder_that_has_the_demo_goes_on_with_it(tmp_path):
    data, ports = tmp_path / "data", free_ports(3)
    with serving(data, ports, "--broker", "embedded", "--demo"), admin(data, ports) as client:
        until(lambda: len(online(client)) == 6, seconds=40)
    with serving(data, ports, "--broker", "embedded", "--demo") as (process, _said):
        assert process.stdout.readline().startswith("The lamps of the demo are in this folder already")
