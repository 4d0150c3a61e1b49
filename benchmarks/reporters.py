"""Nodes that report as fast as a broker takes it, in a process of their own: FOLDER PORT JOB NODES REPORTS."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.mqtt import TcpMqtt, client_context
from py_esp_ota.ports import MqttSession
from py_esp_ota.rainmaker.messages import OTASTATUS, OtaStatusReport, topic

IN_FLIGHT = 500


async def report(session: MqttSession, node_id: str, job: str, reports: int) -> None:
    """One node's reports, many on their way at once."""
    words = OtaStatusReport(ota_job_id=job, status="in-progress", additional_info="Downloaded 10% Firmware Image", ts=1)
    payload, to = words.encode(), topic(node_id, OTASTATUS, basic_ingest=True)
    for start in range(0, reports, IN_FLIGHT):
        await asyncio.gather(*(session.publish(to, payload) for _ in range(min(IN_FLIGHT, reports - start))))


async def main(folder: str, port: str, job: str, nodes: str, reports: str) -> None:
    """Connect all, say so, wait for a line, report."""
    ca = LocalCa(Path(folder))
    broker = TcpMqtt("127.0.0.1", int(port), tls=lambda name: client_context(ca.ca_file, ca.node(name)))
    ready = asyncio.Barrier(int(nodes) + 1)

    async def live(node_id: str) -> None:
        async with broker.session(node_id) as session:
            await ready.wait()
            await ready.wait()
            await report(session, node_id, job, int(reports) // int(nodes))

    lives = [asyncio.create_task(live(f"n{number}")) for number in range(int(nodes))]
    await ready.wait()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    await ready.wait()
    await asyncio.gather(*lives)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
