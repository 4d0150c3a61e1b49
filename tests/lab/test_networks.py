"""A job that comes to one node of a Thread network at a time, with agents that tell the cloud where they are."""

from __future__ import annotations

import asyncio

import pytest

from py_esp_ota import Lab
from py_esp_ota.firmware import Firmware

OLD, NEW = Firmware("lamp", "1.0.0").to_bytes(), Firmware("lamp", "1.1.0").to_bytes()
NETWORKS = {"lamp1": 1, "lamp2": 1, "lamp3": 1, "lamp4": 2}
AT_IT = {"started", "in-progress"}


@pytest.mark.parametrize("serialised", [True, False])
def test_one_node_of_a_network_at_a_time_by_what_the_nodes_say(serialised):
    together: set[frozenset[str]] = set()

    async def story(lab):
        lamps = [
            lab.device("two_ota", firmware=OLD, node_id=node_id, thread_partition_id=network)
            for node_id, network in NETWORKS.items()
        ]
        for lamp in lamps:
            lamp.power_on()
        for lamp in lamps:
            await lab.settled(lamp.node_id, seconds=60)
        image = await lab.upload(NEW, name="new")
        jobs = lab.service.jobs
        job = jobs.create("job", image, groups=["FFFF-FFFF"], force_push=True, network_serialised=serialised)
        ota_job_id = job.job.ota_job_id

        def done() -> bool:
            states = jobs.node_status(ota_job_id).items
            together.add(frozenset(state.node_id for state in states if state.status.value in AT_IT))
            return jobs.get(ota_job_id).status.value == "completed"

        for _ in range(6000):
            if done():
                break
            await asyncio.sleep(0.1)
        assert jobs.summary(ota_job_id)["success"] == 4
        kinds = {entry.event.kind.value for piece in lab.service.log.all() for entry in piece}
        assert ("held_back" in kinds) is serialised

    with Lab() as lab:
        lab.run(story(lab))
    most = max(sum(NETWORKS[node] == 1 for node in at_it) for at_it in together)
    assert most == (1 if serialised else 3)
