"""``esp-ota serve`` and ``esp-ota node`` as processes, and an administrator's few calls between them."""

from __future__ import annotations

import base64
import json
import signal
import time
from contextlib import contextmanager

import httpx2
from ready import Process

from py_esp_ota.adapters.mosquitto import free_port
from py_esp_ota.world import ADMIN


class Cloud:
    """A server on a folder of its own, and its administrator."""

    def __init__(self, data, banner):
        self.data = data
        self.banner = banner
        self.ports = json.loads((data / "serve.json").read_text())
        self._client = httpx2.Client(base_url=self.ports["url"] + "/v1", trust_env=False)
        login = {"user_name": ADMIN, "password": (data / "admin-password").read_text().strip()}
        self._client.headers["Authorization"] = self.call("POST", "login2", json=login)["accesstoken"]

    def close(self):
        self._client.close()

    def call(self, method, path, **options):
        answer = self._client.request(method, path, **options)
        assert answer.is_success, answer.text
        return answer.json()

    def upload(self, name, image):
        body = {"image_name": name, "base64_fwimage": base64.b64encode(image).decode()}
        return self.call("POST", "admin/otaimage", json=body)["ota_image_id"]

    def job(self, name, image_id, *nodes, push=False):
        body = {"ota_job_name": name, "ota_image_id": image_id, "nodes": nodes}
        return self.call("POST", "admin/otajob", params={"force_push": str(push).lower()}, json=body)["ota_job_id"]

    def status(self, job_id, node_id):
        """The last status and its text."""
        found = self.call("GET", "admin/otajob/status", params={"ota_job_id": job_id, "node_id": node_id})
        row = found["node_ota_status"][0]
        return row["status"], row.get("additional_info", "")

    def online(self):
        return self.call("GET", "admin/nodes", params={"node_status": "online"})["nodes"]


@contextmanager
def serving(data, *words):
    """A server until the end of the context."""
    ports = ("--port", free_port(), "--https-port", free_port(), "--mqtt-port", free_port())
    process = Process("serve", "--data", data, "--broker", "mosquitto", *ports, *words)
    try:
        lines = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], "".join(lines)
        cloud = Cloud(data, "".join(lines))
        yield cloud
        cloud.close()
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def until(condition, seconds=30.0):
    """Wait for it; ``AssertionError`` when it does not come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.05)


def told(output):
    """The objects of ``--json``."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]
