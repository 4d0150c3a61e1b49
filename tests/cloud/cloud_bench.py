"""A cloud on the workbench: a clock to turn by hand, an API to call, nodes that need no network."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Coroutine
from functools import cached_property
from typing import Any, TypeVar

import httpx2
import pytest
from databases import new_store
from documented import document_of
from fastapi import FastAPI

from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.cloud.accounts import Accounts
from py_esp_ota.cloud.api import create_app
from py_esp_ota.cloud.images import StoredImage
from py_esp_ota.cloud.outbox import Letter
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.rehearsals import Rehearsals
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.virtual_nodes import VirtualNodes
from py_esp_ota.firmware import Firmware
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.messages import NodeConfig, OtaFetch, OtaStatusReport, topic

T = TypeVar("T")

ADMIN = "admin@example.com"
PASSWORD = "a long secret"
NOW = 1_767_225_600.0


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        return self.time


class Bench:
    """One cloud with its accounts and its API."""

    def __init__(
        self, *, virtual_nodes: VirtualNodes | None = None, rehearsals: Rehearsals | None = None, **options: Any
    ) -> None:
        self.virtual_nodes = virtual_nodes
        self.rehearsals = rehearsals
        numbers = random.Random(7)
        token_hex = lambda size: numbers.randbytes(size).hex()  # noqa: E731
        self.clock = Clock()
        self.store = new_store()
        self.mail: list[tuple[str, str]] = []
        self.accounts = Accounts(
            self.store,
            clock=self.clock,
            token_hex=token_hex,
            deliver=lambda user_name, code: self.mail.append((user_name, code)),
            scrypt_n=2,
        )
        self.service = CloudService(
            self.store, clock=self.clock, public_url="http://cloud.lab", token_hex=token_hex, **options
        )

    @cached_property
    def app(self) -> FastAPI:
        return create_app(
            self.service,
            self.accounts,
            mqtt_host="broker.lab",
            virtual_nodes=self.virtual_nodes,
            rehearsals=self.rehearsals,
        )

    @cached_property
    def token(self) -> str:
        """The admin's access token."""
        done(self.accounts.ensure_admin(ADMIN, PASSWORD))
        return done(self.accounts.log_in(ADMIN, PASSWORD)).accesstoken

    # --- HTTP

    def call(self, method: str, path: str, *, token: str | None = None, **options: Any) -> httpx2.Response:
        """One request through the whole app, as the admin unless ``token`` says otherwise.

        What comes back must be what the OpenAPI document says.
        """
        headers = {"Authorization": self.token if token is None else token, **options.pop("headers", {})}
        crashes = options.pop("raise_app_exceptions", True)

        async def exchange() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=crashes)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
                return await client.request(method, path, headers=headers, **options)

        answer = run_virtual(exchange())
        document_of(self.app).check(method, path, answer)
        return answer

    def ok(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of a request that succeeds."""
        answer = self.call(method, path, **options)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    # --- nodes

    def join(self, *node_ids: str, fw_version: str = "1.0.0", online: bool = True, **info: str) -> None:
        """Nodes connect and introduce themselves."""
        for node_id in node_ids:
            config = {"name": "Lamp", "type": "Lightbulb", "model": "lamp", "project_name": "lamp", **info}
            self.service.intake.on_presence(node_id, True)
            self.hear(
                node_id,
                "config",
                NodeConfig(node_id=node_id, fw_version=fw_version, **{"platform": "esp32c3", **config}).encode(),
            )
            self.presence(node_id, online)

    def presence(self, node_id: str, connected: bool) -> None:
        """The broker sees a node come or go."""
        self.service.intake.on_presence(node_id, connected)
        self.service.intake.take([])

    def hear(self, node_id: str, suffix: str, payload: bytes | str | object) -> None:
        """A node publishes."""
        if not isinstance(payload, bytes):
            payload = (payload if isinstance(payload, str) else json.dumps(payload)).encode()
        self.service.intake.handle(Message(topic(node_id, suffix, basic_ingest=True), payload))

    def claims(self, node_id: str, user_id: str, secret_key: str, **more: object) -> None:
        """A node names its user, as provisioning told it to."""
        self.hear(node_id, "user/mapping", {"node_id": node_id, "user_id": user_id, "secret_key": secret_key, **more})

    def map(self, node_id: str, user_id: str) -> None:
        """A user asks for a node, and the node says yes."""
        self.service.mappings.request(user_id, node_id, "a secret")
        self.claims(node_id, user_id, "a secret")

    def report(self, node_id: str, job_id: str, status: str, info: str = "") -> None:
        """A node reports on a job."""
        self.hear(
            node_id, "otastatus", OtaStatusReport(ota_job_id=job_id, status=status, additional_info=info, ts=5).encode()
        )

    def fetch(self, node_id: str, fw_version: str = "1.0.0") -> list[dict[str, Any]]:
        """A node asks; what the cloud publishes to it."""
        self.sent()
        self.hear(node_id, "otafetch", OtaFetch(node_id=node_id, fw_version=fw_version).encode())
        return [json.loads(payload) for to, payload in self.sent() if to == f"node/{node_id}/otaurl"]

    def sent(self) -> list[tuple[str, bytes]]:
        """What the outbox took since the last look."""
        letters = [(letter.topic, payload_of(letter)) for letter in self.service.outbox._letters]
        self.service.outbox._letters.clear()
        return letters

    # --- images and jobs

    def image(self, version: str = "1.1.0", name: str | None = None, project: str = "lamp") -> StoredImage:
        return self.service.images.add(name or f"{project}-{version}", Firmware(project, version).to_bytes())

    def job(self, *nodes: str, image: StoredImage | None = None, name: str = "job", **options: Any) -> str:
        """A job for these nodes; its id."""
        image = image or self.image(name=f"image of {name}")
        return self.service.jobs.create(name, image.ota_image_id, nodes=nodes, **options).job.ota_job_id

    def states(self, job_id: str) -> dict[str, str]:
        return {
            state.node_id: state.status.value for state in self.service.jobs.node_status(job_id, num_records=1000).items
        }


def payload_of(letter: Letter) -> bytes:
    """What is published when a letter is sent now."""
    return letter.payload if isinstance(letter.payload, bytes) else letter.payload()


def done(waiting: Coroutine[Any, Any, T]) -> T:
    """The result of something that has nothing to wait for: a bench makes its password hashes at once."""
    try:
        waiting.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def refused(refusal: Refusal) -> Any:
    """Expect this refusal."""
    return pytest.raises(CloudError, check=lambda error: error.refusal is refusal)


def failure(answer: httpx2.Response) -> tuple[int, int]:
    """Status and error code of a refusal, its shape checked."""
    body = answer.json()
    assert body["status"] == "failure"
    assert isinstance(body["error_code"], int)
    assert isinstance(body["description"], str)
    assert body["description"]
    assert "Traceback" not in answer.text
    return answer.status_code, body["error_code"]


def expect(refusal: Refusal) -> tuple[int, int]:
    return refusal.http_status, refusal.error_code


def user_token(bench: Bench, name: str = "ann@example.com") -> str:
    done(bench.accounts.sign_up(name, PASSWORD))
    bench.accounts.confirm(name, bench.mail[-1][1])
    return done(bench.accounts.log_in(name, PASSWORD)).accesstoken


def upload(bench: Bench, name: str = "fw", version: str = "1.1.0", **fields: str) -> dict[str, Any]:
    body = {"image_name": name, "base64_fwimage": base64_text(Firmware("lamp", version).to_bytes()), **fields}
    return bench.ok("POST", "/v1/admin/otaimage", json=body)


def start(bench: Bench, image: str, *nodes: str, query: str = "", **fields: object) -> str:
    body = {"ota_job_name": "j", "ota_image_id": image, "nodes": list(nodes), **fields}
    answer = bench.ok("POST", f"/v1/admin/otajob{query}", json=body)
    assert answer["status"] == "success"
    return answer["ota_job_id"]
