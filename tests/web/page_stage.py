"""A cloud with its page for tests, in process or on a real socket in a thread, and a node that says what it is told."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import httpx2
from stub_nodes import StubNodes

from py_esp_ota.adapters.clock import SystemClock
from py_esp_ota.adapters.http import serve
from py_esp_ota.adapters.memory import MemoryBroker
from py_esp_ota.cloud.accounts import Accounts
from py_esp_ota.cloud.api import create_app
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store
from py_esp_ota.cloud.web import OneTimeLink, mount_web
from py_esp_ota.ports import Mqtt
from py_esp_ota.rainmaker.messages import (
    CONFIG,
    OTAFETCH,
    OTASTATUS,
    OTAURL,
    NodeConfig,
    OtaFetch,
    OtaStatusReport,
    OtaUrl,
    topic,
)

T = TypeVar("T")


class Cloud:
    """A service, its app with API and page, and a broker."""

    def __init__(
        self,
        link: OneTimeLink | None = None,
        *,
        login: bool = False,
        store: Store | None = None,
        virtual: bool = True,
    ) -> None:
        numbers = random.Random(7 if store is None else 8)
        self.store = store or Store()
        self.mail: list[str] = []
        self.service = CloudService(
            self.store,
            clock=SystemClock(),
            public_url="http://127.0.0.1",
            token_hex=lambda size: numbers.randbytes(size).hex(),
        )
        self.accounts = Accounts(
            self.store,
            clock=SystemClock(),
            token_hex=lambda size: numbers.randbytes(size).hex(),
            deliver=lambda _name, code: self.mail.append(code),
            scrypt_n=2,
        )
        self.virtual = StubNodes(self.service)
        self.app = create_app(self.service, self.accounts, virtual_nodes=self.virtual if virtual else None)
        mount_web(self.app, self.service, link, login=login)
        self.broker = MemoryBroker()
        self.broker.on_presence(self.service.intake.on_presence)

    async def until(self, holds: Callable[[CloudService], bool]) -> None:
        """Wait until the cloud has heard what a node said, however long that takes it."""
        told = asyncio.Event()
        self.service.live.listeners.add(told)
        async with asyncio.timeout(20):
            while not holds(self.service):
                await told.wait()
                told.clear()
        self.service.live.listeners.discard(told)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connected to its broker."""
        life = asyncio.create_task(self.service.run(self.broker.session))
        await self.service.wait_connected()
        try:
            yield
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            self.service.live.close()
            self.store.close()


def in_process(test: Callable[[Cloud, httpx2.AsyncClient], Coroutine[Any, Any, None]]) -> None:
    """Run a test against the app without a socket."""

    async def run() -> None:
        cloud = Cloud()
        transport = httpx2.ASGITransport(app=cloud.app)
        async with cloud.running(), httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            await test(cloud, client)

    asyncio.run(run())


class Node:
    """One connected node; it does nothing by itself."""

    def __init__(self, node_id: str, mqtt: Mqtt) -> None:
        self.node_id = node_id
        self.mqtt = mqtt

    async def introduce(self, *, model: str = "lamp", fw_version: str = "1.0.0", name: str = "Lamp") -> None:
        config = NodeConfig(
            node_id=self.node_id,
            name=name,
            fw_version=fw_version,
            type=model,
            model=model,
            project_name=model,
            platform="esp32c3",
        )
        await self.mqtt.publish(topic(self.node_id, CONFIG), config.encode())
        await self.mqtt.subscribe(topic(self.node_id, OTAURL))

    async def ask(self, fw_version: str = "1.0.0") -> None:
        fetch = OtaFetch(node_id=self.node_id, fw_version=fw_version)
        await self.mqtt.publish(topic(self.node_id, OTAFETCH), fetch.encode())

    async def offered(self) -> OtaUrl:
        """The next job it is handed."""
        async with asyncio.timeout(5):
            async for message in self.mqtt.messages():
                return OtaUrl.decode(message.payload)
        raise AssertionError("the broker is gone")

    async def report(self, job: str, status: str, info: str) -> None:
        report = OtaStatusReport(ota_job_id=job, status=status, additional_info=info)
        await self.mqtt.publish(topic(self.node_id, OTASTATUS), report.encode())


def introduced(node_id: str) -> Callable[[CloudService], bool]:
    """For ``Cloud.until``: the node said what it is."""
    return lambda service: any(node.node_id == node_id and node.model for node in service.nodes.find().items)


def reported(job: str, info: str) -> Callable[[CloudService], bool]:
    """For ``Cloud.until``: a node said this about the job."""
    return lambda service: any(line.additional_info == info for line in service.jobs.history(job))


class Stage:
    """A cloud that serves its page on loopback from a thread of its own."""

    url: str
    cloud: Cloud

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._leave: list[Callable[[], Coroutine[Any, Any, None]]] = []

    async def open(self, port: int = 0) -> None:
        """Serve over HTTP, again at the same address after ``shut``."""
        self._http = serve(self.cloud.app, port=port)
        self.url = await self._http.__aenter__()

    async def shut(self) -> int:
        """No HTTP any more; the port, to open again."""
        await self._http.__aexit__(None, None, None)
        return int(self.url.rpartition(":")[2])

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Without a server meanwhile."""
        port = self.run(self.shut())
        yield
        self.run(self.open(port))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something on the cloud's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def do(self, call: Callable[[CloudService], T]) -> T:
        """Call the service on its loop."""

        async def called() -> T:
            return call(self.cloud.service)

        return self.run(called())

    def node(self, node_id: str, **introduction: str) -> Node:
        """A node that is online until the end."""

        async def connect() -> Node:
            session = self.cloud.broker(node_id)
            node = Node(node_id, await session.__aenter__())
            self._leave.append(lambda: session.__aexit__(None, None, None))
            await node.introduce(**introduction)
            await self.cloud.until(introduced(node_id))
            return node

        return self.run(connect())

    async def leave(self) -> None:
        """Disconnect every node."""
        for leave in self._leave:
            await leave()


@contextmanager
def on_a_socket(link: OneTimeLink | None = None) -> Iterator[Stage]:
    """The cloud in a thread, for a browser in another process."""
    stage = Stage()
    ready, done = threading.Event(), asyncio.Event()

    async def live() -> None:
        stage.cloud = Cloud(link)
        async with stage.cloud.running():
            await stage.open()
            ready.set()
            await done.wait()
            await stage.leave()
            await stage.shut()

    thread = threading.Thread(target=lambda: stage._loop.run_until_complete(live()))
    thread.start()
    try:
        assert ready.wait(20)
        yield stage
    finally:
        stage._loop.call_soon_threadsafe(done.set)
        thread.join(20)
        stage._loop.close()
