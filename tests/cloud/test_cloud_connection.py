"""The cloud's connection to its broker: what is done first, what is left when it is lost, and what the log says."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
from contextlib import asynccontextmanager, closing

import pytest
from test_cloud_mqtt import World, settle

from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.cloud.intake import PAUSE_S
from py_esp_ota.cloud.outbox import Letter
from py_esp_ota.cloud.store import Store
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.messages import CONFIG, NodeConfig, topic

WORDS = {"name": "Lamp", "type": "Lightbulb", "model": "lamp", "project_name": "lamp", "platform": "esp32c3"}
HELLO = Message(topic("n1", CONFIG), NodeConfig(node_id="n1", fw_version="1.0.0", **WORDS).encode())


class Scripted:
    """A session that does as the test says; it is lost when ``lose()`` is called."""

    def __init__(self, batches: int = 0) -> None:
        self.lost = asyncio.Event()
        self.taken = asyncio.Event()
        self.left = batches
        self.published: list[str] = []

    def lose(self) -> None:
        self.lost.set()

    async def subscribe(self, topic_filter: str) -> None:
        if self.left:  # the answer comes behind what waits
            await self.taken.wait()

    async def publish(self, topic: str, payload: bytes) -> None:
        self.published.append(topic)
        await self.lost.wait()
        raise MqttError("timed out")

    def batches(self, limit, pause=0.0):
        return self._batches()

    async def _batches(self):
        while self.left:
            self.left -= 1
            yield [HELLO]
        self.taken.set()
        await self.lost.wait()
        raise MqttError("timed out")


@asynccontextmanager
async def connected(*sessions: Scripted):
    """A cloud that gets these connections, one after the other, and none after them."""
    left = list(sessions)

    @asynccontextmanager
    async def connect(client_id):
        if not left:
            raise MqttError("nobody listens")
        yield left.pop(0)

    with closing(Store()) as store:
        w = World(store)
        run = asyncio.create_task(w.service.run(connect))
        try:
            yield w
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)


def test_what_has_waited_for_the_cloud_may_come_before_the_answer_to_its_subscription():
    async def story():
        async with connected(Scripted(batches=3)) as w:
            async with asyncio.timeout(5):
                await w.service.wait_connected()
            return [node.node_id for node in w.service.nodes.find().items]

    assert run_virtual(story()) == ["n1"]


def test_the_loop_goes_on_while_much_waits():
    async def story():
        session = Scripted(batches=50)
        session.taken.set()
        async with connected(session):
            turns = 0
            while session.left and turns < 1000:
                turns += 1
                await asyncio.sleep(0)
            return turns

    assert run_virtual(story()) >= 50


@pytest.mark.parametrize("number", [1, 5])
def test_letters_that_were_on_their_way_are_neither_mourned_nor_forgotten(caplog, number):
    async def story():
        sessions = Scripted(), Scripted()
        async with connected(*sessions) as w:
            await w.service.wait_connected()
            for each in range(number):
                w.service.intake.on_presence(f"n{each}", True)
                w.service.outbox.put(Letter(f"node/n{each}/otaurl", b"{}", kept_for=f"n{each}"))
                w.service.outbox.put(Letter(f"node/n{each}/params/remote", b"{}"))
            await settle()
            sessions[0].lose()
            await asyncio.sleep(10)
            return [set(session.published) for session in sessions]

    first, second = run_virtual(story())
    gc.collect()
    assert len(first) == 2 * number
    assert second == {name for name in first if name.endswith("otaurl")}
    assert "never retrieved" not in caplog.text


def test_a_connection_that_the_cloud_gives_up_publishes_nothing_any_more():
    async def story():
        session = Scripted()
        async with connected(session) as w:
            await w.service.wait_connected()
            w.service.outbox.put(Letter("node/n1/otaurl", b"{}", kept_for="n1"))
            await settle()
        return [task for task in asyncio.all_tasks() if "_send" in repr(task)]

    assert run_virtual(story()) == []


def test_the_log_says_once_that_the_broker_is_gone_and_once_that_it_is_back(caplog):
    caplog.set_level(logging.DEBUG, "py_esp_ota.cloud.service")

    async def story():
        with closing(Store()) as store:
            w = World(store)

            @asynccontextmanager
            async def connect(client_id):
                if asyncio.get_running_loop().time() < back:
                    raise MqttError("connection refused")
                async with w.broker.session(client_id) as session:
                    yield session

            back = asyncio.get_running_loop().time() + 60
            run = asyncio.create_task(w.service.run(connect))
            await asyncio.sleep(100)
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)

    run_virtual(story())
    told = [(record.levelname, record.message) for record in caplog.records]
    assert told[0] == ("WARNING", "no broker, trying again: connection refused")
    assert told[1:-1] == [("DEBUG", "no broker, trying again: connection refused")] * 5
    assert told[-1] == ("WARNING", "the broker is back after 61 s")


def test_messages_that_trickle_in_gather_and_a_flood_is_taken_at_once():
    """A socket that is read a little at each turn of the loop gives one message at a time: each would cost a commit."""
    asked: list[float] = []

    class Trickling:
        async def batches(self, limit: int, _pause: float):
            for size in (1, 1, limit, limit, limit - 1, 1):
                asked.append(asyncio.get_running_loop().time())
                yield [HELLO] * size

    async def story() -> None:
        with closing(Store()) as store, pytest.raises(MqttError):
            await World(store).service.intake.listen(Trickling())

    run_virtual(story())
    gaps = [round(later - before, 6) for before, later in itertools.pairwise(asked)]
    assert gaps == [PAUSE_S, PAUSE_S, 0, 0, PAUSE_S]


def test_a_cloud_with_nothing_to_do_rests(bench):
    """Who lives looks once; with nothing found, it waits until there is something."""
    bench.service.turns.chores_wait.set()
    bench.service.turns.catch_up()
    assert not bench.service.turns.chores_wait.is_set()
