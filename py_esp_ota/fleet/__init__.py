"""Fleets: very many devices under one cloud, as a file describes them, in virtual time.

::

    lamps.toml ──read──> Population, JobOrder ──members──> Member of each ──run_fleet──> FleetResult

The cloud that hands out and the firmware that updates are the real ones. The same file and seed give the same result,
and every device of it can be played alone, the long way, with its console.
"""

from __future__ import annotations

from py_esp_ota.fleet.alone import play_member
from py_esp_ota.fleet.file import FleetFile, read_fleet
from py_esp_ota.fleet.fleet import run_fleet
from py_esp_ota.fleet.members import JobOrder, Kind, Member
from py_esp_ota.fleet.population import Population
from py_esp_ota.fleet.result import FleetResult, MemberResult, SoFar

__all__ = [
    "FleetFile",
    "FleetResult",
    "JobOrder",
    "Kind",
    "Member",
    "MemberResult",
    "Population",
    "SoFar",
    "play_member",
    "read_fleet",
    "run_fleet",
]
