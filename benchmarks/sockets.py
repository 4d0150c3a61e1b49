"""Thousands of MQTT connections in one process, each with TLS and a certificate of its own, and Mosquitto beside it.

``python -m benchmarks.sockets 15000`` for another number than the 5,000 of ``make bench``.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiomqtt

from benchmarks.crowd import _cpu, _resident
from benchmarks.timing import Figure
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.crowd import CrowdMqtt
from py_esp_ota.adapters.crowd_tls import CrowdContexts
from py_esp_ota.adapters.mosquitto import MosquittoBroker, find_mosquitto, open_mosquitto
from py_esp_ota.adapters.mqtt import client_context
from py_esp_ota.adapters.open_files import open_files, raise_open_files
from py_esp_ota.ports import Mqtt
from py_esp_ota.rainmaker.messages import OTASTATUS, OtaStatusReport, topic

CONNECTIONS = 5000
PEERS = 100  # connections of the field's own client: it takes a thread while it connects, and two tasks
MESSAGES = 100_000
GOAL = 20_000  # messages a second
REPORT = OtaStatusReport(status="in-progress", additional_info="Downloading Firmware Image", ota_job_id="x" * 22)


def figures(connections: int = CONNECTIONS) -> list[Figure]:
    """Nothing where Mosquitto is not installed, or so many files may not be open."""
    if not find_mosquitto():
        return []
    raise_open_files(connections + 512)
    if open_files() < connections + 512:
        print(f"{connections:,} connections need {connections + 512:,} open files: ulimit -n", file=sys.stderr)
        return []
    threshold = gc.get_threshold()
    gc.set_threshold(20_000, 20, 20)  # as `esp-ota` starts
    try:
        return asyncio.run(_measured(connections))
    finally:
        gc.set_threshold(*threshold)


async def _measured(connections: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        ca = LocalCa(folder)
        files = {name: ca.node(name) for name in map("lamp{:05}".format, range(connections))}
        async with open_mosquitto(Path(folder), ca) as broker:
            peers = [*files][:PEERS]
            came, said = await _aiomqtt(broker, ca, peers)
            contexts = CrowdContexts(ca.ca_file, files.__getitem__)
            door = CrowdMqtt("127.0.0.1", broker.port, tls=contexts, resume=True, timeout=60)
            return await _crowd(door, [*files], broker, came * connections / len(peers), said)


async def _crowd(door: CrowdMqtt, names: list[str], broker: MosquittoBroker, came: float, said: float) -> list[Figure]:
    """Beside what the peer takes for as many connections, in CPU time, and as many messages, by the clock."""
    before, connected = _resident(), list[tuple[str, Mqtt]]()
    async with AsyncExitStack() as stack:

        async def connect(name: str) -> None:
            connected.append((name, await stack.enter_async_context(door(name))))

        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*map(connect, names))
        took, cost = time.perf_counter() - began, time.process_time() - cpu
        each = (_resident() - before) / len(names)
        cpu, theirs = time.process_time(), _cpu(broker.pid)
        seconds = await _published(
            [lambda text, node=node, name=name: node.publish(_topic(name), text) for name, node in connected]
        )
        cpu, theirs = time.process_time() - cpu, _cpu(broker.pid) - theirs
    assert len(connected) == len(names)
    spent, some = time.process_time(), names[: len(names) // 5]
    async with AsyncExitStack() as stack:
        await asyncio.gather(*(stack.enter_async_context(door(name)) for name in some))
        again = (time.process_time() - spent) / len(some) * len(names) / cost
    assert door.handshakes
    assert door.handshakes.resumed == len(some)
    note = (
        f" (in {took:.1f} s; {each:.0f} KiB each; whoever comes back and resumes its TLS session: {again:.0%} of that)"
    )
    rate = MESSAGES / seconds
    told = (
        f" ({rate:,.0f} a second, goal {GOAL:,}; CPU of each: ours {1e6 * cpu / MESSAGES:.0f} us, "
        f"the broker's {1e6 * theirs / MESSAGES:.0f} us)"
    )
    peer = f"aiomqtt, of {PEERS} connections"
    return [
        Figure(f"CPU of {len(names):,} nodes that connect with TLS", cost, f"{peer}, as many", came, 1.0, note=note),
        Figure(
            f"{MESSAGES:,} reports at QoS 1 over all of them", seconds, peer, said, 0.8, also=rate >= GOAL, note=told
        ),
    ]


async def _aiomqtt(broker: MosquittoBroker, ca: LocalCa, names: list[str]) -> tuple[float, float]:
    """CPU seconds for these connections, and seconds for all messages over them."""
    cpu = time.process_time()
    clients = {
        name: aiomqtt.Client(
            "127.0.0.1", broker.port, identifier=name, tls_context=client_context(ca.ca_file, ca.node(name)), timeout=60
        )
        for name in names
    }
    async with AsyncExitStack() as stack:
        await asyncio.gather(*map(stack.enter_async_context, clients.values()))
        took = time.process_time() - cpu
        return took, await _published(
            [
                lambda text, name=name, client=client: client.publish(_topic(name), text, qos=1)
                for name, client in clients.items()
            ]
        )


async def _published(senders: list[Callable[[bytes], object]]) -> float:
    """Seconds until all messages are acknowledged; each sender has one on its way at a time."""
    left, text = MESSAGES, REPORT.encode()

    async def send(publish: Callable[[bytes], object]) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await publish(text)

    began = time.perf_counter()
    await asyncio.gather(*map(send, senders))
    return time.perf_counter() - began


def _topic(name: str) -> str:
    return topic(name, OTASTATUS)


if __name__ == "__main__":
    found = figures(int(sys.argv[1]) if len(sys.argv) > 1 else CONNECTIONS)
    for figure in found:
        print(figure.row())
    sys.exit(not all(figure.ok for figure in found))
