"""``esp-ota serve`` as a process on a folder: started, killed, started again on the same ports."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Self

import httpx2
from ready import Process

from py_esp_ota.adapters.mosquitto import free_port

PATIENCE_S = 60.0


class NoStartError(AssertionError):
    """It ended, or did not answer in time; the message has its last words."""


class Server:
    """One folder and its ports; at most one process at a time."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port, self.https_port, self.mqtt_port = free_port(), free_port(), free_port()
        self.log = data.with_suffix(".log")
        self._process: Process | None = None

    def start(self) -> None:
        """Execute it; it is not there yet."""
        ports = ["--port", self.port, "--https-port", self.https_port, "--mqtt-port", self.mqtt_port]
        with self.log.open("ab") as log:
            words = ("serve", "--data", self.data, "--broker", "mosquitto", *ports)
            self._process = Process(*words, stdout=log.fileno())

    def wait(self) -> float:
        """Seconds from now until it answers."""
        began = time.monotonic()
        url = f"http://127.0.0.1:{self.port}/apiversions"
        with httpx2.Client(trust_env=False, timeout=PATIENCE_S) as client:
            while True:
                try:
                    client.get(url).raise_for_status()
                    return time.monotonic() - began
                except httpx2.TransportError:
                    ended = self._process.poll() is not None
                if ended or time.monotonic() - began > PATIENCE_S:
                    raise NoStartError(self.log.read_text()[-2000:])
                time.sleep(0.01)

    def kill(self) -> None:
        """``kill -9``, to the process alone: its Mosquitto has a keeper."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def end(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait(timeout=PATIENCE_S) == 128 + signal.SIGINT

    def said(self) -> list[str]:
        """Lines of its log that should not be there."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if line.startswith(("Traceback", "Error", "ERROR")) or "mistake" in line]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.kill()
        lock = self.data / "mosquitto.lock"
        deadline = time.monotonic() + PATIENCE_S
        while lock.exists() and (pid := lock.read_text().strip()) and time.monotonic() < deadline:
            try:
                os.kill(int(pid), 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)
