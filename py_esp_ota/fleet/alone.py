"""One device of a fleet, played alone and the long way: everything that it prints, and what the cloud hears."""

from __future__ import annotations

from dataclasses import replace

from py_esp_ota.fleet.members import JobOrder
from py_esp_ota.fleet.population import Population
from py_esp_ota.fleet.script import script_of
from py_esp_ota.rehearsal.play import alone
from py_esp_ota.rehearsal.rehearse import Lone, play_alone


def play_member(
    population: Population, order: JobOrder, node_id: str, *, turn: float = 0, stop: float | None = None
) -> Lone:
    """Play one device of a population alone.

    Args:
        population: the devices.
        order: the job.
        node_id: the device.
        turn: seconds after which the job comes to it.
        stop: seconds after which the job is cancelled.

    Raises:
        ValueError: there is no such device, or the job is not for its kind.
    """
    member = population.member(node_id)
    if order.kinds and member.kind.name not in order.kinds:
        raise ValueError(f"the job {order.name} is not for {member.kind.name}, and so not for {node_id}")
    script = script_of([member], replace(order, plan=replace(order.plan, phases=())), population.begin)
    return play_alone(replace(script, job=alone(script.job, script.began, turn)), seed=population.seed, stop=stop)
