"""Nodes at full speed: paho's own client, so that the judge of the cloud's session is no code of ours."""

from __future__ import annotations

import json
import threading
from collections import deque
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from soak_ledger import Ledger, Pace

from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.mqtt import client_context
from py_esp_ota.rainmaker.messages import (
    CONFIG,
    OTASTATUS,
    OTAURL,
    NodeConfig,
    OtaStatusReport,
    topic,
)

IN_FLIGHT = 100


class Node:
    """One node: says what it is, then reports and reports; what has no PUBACK is sent again, as nodes do.

    Args:
        node_id: its name, and so its certificate's.
        folder: the server's.
        port: the broker's.
        ledger: told of each PUBACK and each URL.
        pace: how often it may go on.
        number: decides which topics it uses, whether its session is kept, and whether it answers a URL.
    """

    def __init__(self, node_id: str, folder: Path, port: int, ledger: Ledger, pace: Pace, number: int) -> None:
        self.node_id = node_id
        self.job = ""  # the one that it always reports on
        self._ledger = ledger
        self._pace = pace
        self._basic_ingest = number % 2 == 0
        self.kept = number % 3 == 0
        self._answers = number % 4 < 2
        self._count = 0
        self._flying: dict[int, str] = {}  # by packet number
        self._acknowledged: deque[int] = deque()
        self._offered: deque[str] = deque()
        self._news = threading.Event()
        self._stop = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, node_id, clean_session=not self.kept)
        self._client.tls_set_context(client_context(folder / "ca.pem", LocalCa(folder).node(node_id)))
        self._client.max_inflight_messages_set(IN_FLIGHT)
        self._client.reconnect_delay_set(0.1, 0.5)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message
        self._client.connect_async("127.0.0.1", port)
        self._thread = threading.Thread(target=self._live, name=node_id)

    def start(self) -> None:
        """Connect, and report from the moment at which there is a job to report on."""
        self._client.loop_start()
        config = NodeConfig(
            node_id=self.node_id,
            name="Lamp",
            type="Lightbulb",
            model="soak",
            project_name="soak",
            fw_version="1.0.0",
            platform="esp32c3",
        )
        self._client.publish(self._topic(CONFIG), config.encode(), qos=1)

    def report(self, job: str) -> None:
        """Begin to report."""
        self.job = job
        self._thread.start()

    def stop(self) -> None:
        """Say nothing new."""
        self._stop.set()
        self._news.set()

    def finish(self) -> None:
        """Wait for what is on its way."""
        self._thread.join()
        if self._flying:
            self._ledger.complaints.append(f"{len(self._flying)} reports of {self.node_id} never got their PUBACK")

    def leave(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _live(self) -> None:
        quiet = left = turn = 0
        while self._flying or not self._stop.is_set():
            while self._acknowledged:
                number = self._flying.pop(self._acknowledged.popleft(), None)
                if number is not None:
                    self._ledger.reports[number] = None
            while self._offered:
                job = self._offered.popleft()
                self._say(job, "in-progress")
                self._say(job, "success")
            if self._pace.turn != turn:
                turn, left = self._pace.turn, IN_FLIGHT
            while left and len(self._flying) < IN_FLIGHT and not self._stop.is_set():
                left -= 1
                self._say(self.job, "in-progress")
            heard = self._news.wait(0.05)
            self._news.clear()
            quiet = 0 if heard else quiet + 1
            if self._stop.is_set() and quiet > 1200:
                return

    def _say(self, job: str, status: str) -> None:
        self._count += 1
        self._ledger.said[self.node_id] = self._count
        number = f"{self.node_id}-{self._count}"
        report = OtaStatusReport(ota_job_id=job, status=status, additional_info=number, ts=self._count)
        self._flying[self._client.publish(self._topic(OTASTATUS), report.encode(), qos=1).mid] = number

    def _topic(self, suffix: str) -> str:
        return topic(self.node_id, suffix, self._basic_ingest)

    # ------------------------------------------------------------------------- in paho's thread, holding its locks

    def _on_connect(self, client: Client, *_rest: Any) -> None:
        client.subscribe(topic(self.node_id, OTAURL), qos=1)

    def _on_publish(self, _client: Client, _data: Any, number: int, *_rest: Any) -> None:
        self._acknowledged.append(number)
        self._news.set()

    def _on_message(self, _client: Client, _data: Any, message: Any) -> None:
        job = json.loads(message.payload)["ota_job_id"]
        self._ledger.urls.append((job, self.node_id))
        if self._answers:
            self._offered.append(job)
            self._news.set()
