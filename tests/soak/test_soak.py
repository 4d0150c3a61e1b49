"""``kill -9`` of ``esp-ota serve`` under load, again and again: what it acknowledged is there, nothing is half made.

``make soak`` does it 50 times (KILLS), each time with other moments (SEED); here it is three times.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

import pytest
from soak_admins import Admin, Office
from soak_ledger import Asked, Ledger
from soak_nodes import Node
from soak_server import Server
from soak_verdict import copied, downloads, looked_up, missing_reports, on_their_way, read

from py_esp_ota.adapters.mosquitto import find_mosquitto
from py_esp_ota.firmware import Firmware

KILLS = int(os.environ.get("ESP_OTA_KILLS", "3"))
SEED = int(os.environ.get("ESP_OTA_SEED", "1"))
NODES = tuple(f"soak{number:02d}" for number in range(12))
LIMIT_S = 20.0  # of a restart, on a machine that has other things to do; on a quiet one it is below 2
PATIENCE_S = 30.0

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.timeout(120 + 30 * KILLS),
]


@dataclass
class Soak:
    """One story: a server, its clients, and what they were told."""

    server: Server
    chance: random.Random
    ledger: Ledger = field(default_factory=Ledger)
    restarts: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    owed: set[tuple[str, str]] = field(default_factory=set)  # URLs that were on their way when it was killed

    @contextmanager
    def load(self):
        """Everybody at work."""
        admin = Admin(self.server)
        office = Office(self.server, admin, self.ledger, NODES, SEED)
        place = self.server.data, self.server.mqtt_port, self.ledger, office.pace
        nodes = [Node(each, *place, number) for number, each in enumerate(NODES)]
        for node in nodes:
            node.start()
        until(lambda: len(admin.json("GET", "admin/nodes", params={"node_status": "online"})["nodes"]) == len(NODES))
        job = self.first_job(admin)
        try:
            for node in nodes:
                node.report(job)
            office.start()
            self.open = office.open
            yield admin
        finally:
            office.stop()
            for node in nodes:
                node.stop()
            for node in nodes:
                node.finish()
            until(lambda: self.owed <= self.settled(), otherwise=lambda: None)
            for node in nodes:
                node.leave()
            admin.client.close()
        self.kept = {node.node_id for node in nodes if node.kept}

    def first_job(self, admin: Admin) -> str:
        """The one that all nodes report on all the time."""
        data = Firmware("soak", "1.1.0").to_bytes()
        image = admin.upload("first", data)
        self.ledger.images[image] = hashlib.sha256(data).hexdigest()
        self.ledger.asked["first"] = Asked(NODES, image)
        job = admin.start_job("first", image, NODES, force_push=False)
        self.ledger.jobs[job] = "first"
        return job

    def settled(self) -> set[tuple[str, str]]:
        """URLs of which nothing more is due: they arrived, or their job was cancelled."""
        return set(self.ledger.urls) | {(job, node) for job in list(self.ledger.cancels) for node in NODES}

    def kill(self) -> None:
        """Once more; sometimes it is killed a second time while it starts."""
        self.server.kill()
        with copied(self.server.data) as database:
            self.owed |= on_their_way(database)
        while self.chance.random() < 0.3:
            self.server.start()
            time.sleep(self.chance.uniform(0, max(self.restarts, default=2.0)))
            self.server.kill()
        self.server.start()
        self.restarts.append(self.server.wait())

    def round(self, admin: Admin) -> None:
        """Work, kill, restart, and look while nobody works."""
        self.open.set()
        before, since_ms = self.ledger.snapshot(), int(time.time() * 1000) - 60_000
        time.sleep(self.chance.uniform(0.2, 2.0))
        self.kill()
        self.open.clear()
        news = self.ledger.snapshot().since(before)
        self.wrong += looked_up(admin, news, self.ledger, since_ms, patience=PATIENCE_S)


def until(condition, *, otherwise=None):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            assert otherwise, "it never came about"
            otherwise()
            return
        time.sleep(0.05)


def test_nothing_acknowledged_is_lost(tmp_path, capsys):
    with Server(tmp_path / "data") as server:
        soak = Soak(server, random.Random(SEED))
        server.start()
        server.wait()
        with soak.load() as admin:
            for _ in range(KILLS):
                soak.round(admin)
        admin = Admin(server, admin)
        soak.wrong += missing_reports(admin, soak.ledger, 0, PATIENCE_S)
        soak.wrong += downloads(admin, soak.ledger.images)
        soak.wrong += [f"logged in {admin.logins} times"] if admin.logins != 1 else []
        admin.client.close()
        server.end()
        with copied(server.data) as database:
            wrong, twice = read(database, soak.ledger)
        soak.wrong += wrong + soak.ledger.complaints + server.said()
        soak.wrong += [f"the URL of {each} never arrived" for each in sorted(soak.owed - soak.settled())]
    with capsys.disabled():
        print(told(soak, twice))  # noqa: T201 - for who runs it by hand
    assert soak.wrong[:20] == []
    assert max(soak.restarts) < LIMIT_S


def told(soak: Soak, twice: int) -> str:
    ledger, times = soak.ledger, sorted(soak.restarts)
    return (
        f"\nseed {SEED}, killed {len(times)} times: {len(ledger.reports)} reports ({twice} of them twice in the log), "
        f"{len(ledger.images)} uploads, {len(ledger.jobs)} jobs, {len(ledger.cancels)} cancels, "
        f"{len(ledger.urls)} URLs, {len(soak.owed)} of them on their way at a kill; "
        f"restart {times[0]:.2f} to {times[-1]:.2f} s, median {median(times):.2f} s"
    )


def test_a_first_start_that_is_killed_leaves_a_folder_that_starts(tmp_path):
    chance = random.Random(SEED)
    for number in range(max(1, KILLS // 5)):
        with Server(tmp_path / f"data{number}") as server:
            server.start()
            time.sleep(chance.uniform(0.5, 3.0))
            server.kill()
            server.start()
            server.wait()
            admin = Admin(server)
            assert admin.json("GET", "admin/nodes")["nodes"] == []
            admin.client.close()
            server.end()
            assert server.said() == []
