"""People at the REST API at full speed: uploads, jobs, cancels. What was answered 2xx goes into the ledger."""

from __future__ import annotations

import hashlib
import random
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx2
from soak_ledger import Asked, Ledger, Pace
from soak_server import PATIENCE_S, Server

from py_esp_ota.firmware import Firmware
from py_esp_ota.lab import ADMIN


@dataclass
class Login:
    """The admin's token, and how often it had to be asked for."""

    token: str = ""
    count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Admin:
    """A client of the REST API as the admin, and one like it for each thread.

    Args:
        server: where it is.
        like: whose login is used, so that there is one of them for all.
    """

    def __init__(self, server: Server, like: Admin | None = None) -> None:
        self._login = like._login if like else Login()
        trust = ssl.create_default_context(cafile=server.data / "ca.pem")
        self.client = httpx2.Client(
            base_url=f"http://127.0.0.1:{server.port}/v1/", verify=trust, trust_env=False, timeout=30
        )
        self._words = {"user_name": ADMIN, "password": (server.data / "admin-password").read_text().strip()}

    @property
    def logins(self) -> int:
        """How often somebody had to log in."""
        return self._login.count

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """The answer to a request. Raises ``TransportError``."""
        token = self._login.token
        answer = self.client.request(method, path, headers={"Authorization": token}, **options)
        if answer.status_code != HTTPStatus.UNAUTHORIZED:
            return answer
        with self._login.lock:
            if self._login.token == token:
                self._login.token = self.client.post("login2", json=self._words).json()["accesstoken"]
                self._login.count += 1
        return self.ask(method, path, **options)

    def json(self, method: str, path: str, **options: Any) -> Any:
        """What is answered to a request that succeeds; ``AssertionError`` when it does not, ``TransportError``."""
        answer = self.ask(method, path, **options)
        assert answer.is_success, f"{method} {path.partition('?')[0]}: {answer.status_code} {answer.text[:300]}"
        return answer.json()

    def insist(self, method: str, path: str, **options: Any) -> Any:
        """The same for what may be asked twice: until somebody answers."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.json(method, path, **options)
            except httpx2.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def download(self, ota_image_id: str) -> str:
        """The SHA-256 of what is behind an image's link."""
        [image] = self.json("GET", "admin/otaimage", params={"ota_image_id": ota_image_id})["ota_images"]
        answer = self.client.get(image["image_url"])
        assert answer.is_success, f"{image['image_url']}: {answer.status_code}"
        return hashlib.sha256(answer.content).hexdigest()

    def upload(self, name: str, data: bytes) -> str:
        """Request, put, confirm; the id. A link that was given is good after a restart."""
        request = self.json("GET", "admin/otaimage/upload_request", params={"image_name": name})
        self.insist("PUT", request["upload_url"], content=data)
        answer = self.json("POST", "admin/otaimage/upload_confirm", json={"ota_image_id": request["ota_image_id"]})
        return str(answer["ota_image_id"])

    def start_job(self, name: str, ota_image_id: str, nodes: Sequence[str], *, force_push: bool) -> str:
        """The id of a new job."""
        body = {"ota_job_name": name, "ota_image_id": ota_image_id, "nodes": list(nodes)}
        return str(self.json("POST", f"admin/otajob?force_push={str(force_push).lower()}", json=body)["ota_job_id"])


LAG = 400
"""Reports of one node that may wait for the cloud."""


class Office:
    """Threads that each do one thing again and again, however often nobody answers."""

    def __init__(self, server: Server, admin: Admin, ledger: Ledger, nodes: Sequence[str], seed: int) -> None:
        self._server = server
        self._admin = admin
        self._ledger = ledger
        self._nodes = nodes
        self.pace = Pace()
        self.open = threading.Event()  # set while people and nodes are at work
        self._stop = threading.Event()
        works = (self._upload, self._create, self._cancel, self._pace)
        self._threads = [
            threading.Thread(
                target=self._work, args=(work, random.Random(f"{seed} {work.__name__}")), name=work.__name__
            )
            for work in works
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _work(self, work: Callable[[Admin, random.Random, str], None], chance: random.Random) -> None:
        admin = Admin(self._server, self._admin)
        count = 0
        while not self._stop.is_set():
            if not self.open.wait(0.1):
                continue
            count += 1
            try:
                work(admin, chance, f"{work.__name__}-{count}")
            except httpx2.TransportError:  # it was killed: whether the request was heard, nobody knows
                time.sleep(0.02)
            except AssertionError as error:
                self._ledger.complaints.append(str(error))
                time.sleep(0.1)
        admin.client.close()

    def _upload(self, admin: Admin, chance: random.Random, name: str) -> None:
        size = 0x4000 << chance.randrange(5)
        data = Firmware("soak", name[-20:], size=size, payload=chance.randbytes(size - 0x1000)).to_bytes()
        self._ledger.images[admin.upload(name, data)] = hashlib.sha256(data).hexdigest()

    def _create(self, admin: Admin, chance: random.Random, name: str) -> None:
        image = chance.choice(list(self._ledger.images))
        nodes = tuple(chance.sample(self._nodes, chance.randint(1, len(self._nodes))))
        self._ledger.asked[name] = Asked(nodes, image)
        self._ledger.jobs[admin.start_job(name, image, nodes, force_push=chance.random() < 0.5)] = name

    def _cancel(self, admin: Admin, chance: random.Random, _name: str) -> None:
        made = list(self._ledger.jobs)[1::2]  # the others go on, and what is pushed for them must arrive
        jobs = [job for job in made if job not in self._ledger.cancels]
        if not jobs:
            time.sleep(0.02)
            return
        job = chance.choice(jobs)
        admin.json("PUT", "admin/otajob", json={"ota_job_id": job})
        self._ledger.cancels[job] = None

    def _pace(self, admin: Admin, _chance: random.Random, _name: str) -> None:
        """How far the latest report in the log is behind what its node has said."""
        time.sleep(0.02)
        found = admin.json("GET", "admin/events", params={"kind": "reported", "num_records": 1})["events"]
        node, _, number = found[0]["data"]["additional_info"].rpartition("-") if found else ("", "", "0")
        self.pace.turn += self._ledger.said.get(node, 0) - int(number) < LAG
