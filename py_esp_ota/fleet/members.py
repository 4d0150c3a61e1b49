"""Who is in a fleet: kinds of devices, the devices themselves, and the job that they are given. Values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from py_esp_ota._core import PartitionTable
from py_esp_ota.cloud.jobs import DEFAULT_FETCH_CYCLES, DEFAULT_PRIORITY, DEFAULT_TIMEOUT_S
from py_esp_ota.cloud.plan import AT_ONCE, Plan
from py_esp_ota.faults import parse
from py_esp_ota.rehearsal.climate import Climate, climate_of
from py_esp_ota.sdkconfig import Sdkconfig

STILL = climate_of("speed 0")
"""Weather in which nothing goes wrong and no link slows anybody down."""

_SELF_TEST = "app-no"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindWeather:
    """What the devices of one kind meet. Shares are parts of 1."""

    climate: Climate = STILL  # plans and their shares, links, and how long power cuts last
    self_test_fails: float = 0.0  # the new firmware says that it is not fit
    offline: float = 0.0  # when the job begins; they come back, or not, as the climate has it
    offline_at_night: float = 0.0  # switched off each night
    night: tuple[int, int] = (22, 6)  # hours in UTC


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """Devices that came out of a factory alike. Its name tells it from the others."""

    name: str
    share: float  # its weight beside the others
    chip: str
    table: PartitionTable
    image: bytes  # what runs
    config: Sdkconfig  # of bootloader and app
    weather: KindWeather = field(default_factory=KindWeather)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One device. Seconds count from the job's first moment, and are negative before it."""

    node_id: str
    kind: Kind
    plan: str = ""  # what it meets, in the grammar of ``py_esp_ota.faults``
    boots_at: float  # when it booted last, or comes for the first time
    comes: bool = True  # it is, or will be, there
    power: float = 0.0  # how long a power cut lasts
    away: tuple[tuple[float, float], ...] = ()  # from when to when it is switched off after that

    @property
    def fails_self_test(self) -> bool:
        """Whether the new firmware finds itself unfit on this one."""
        return any(fault.word == _SELF_TEST for fault in parse(self.plan).of("app"))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """The job that a fleet is given, as a cloud takes it."""

    image: bytes
    name: str = "update"
    kinds: tuple[str, ...] = ()  # those that it is for, by name; none named is all of them
    force_push: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)
    priority: int = DEFAULT_PRIORITY
    timeout: int = DEFAULT_TIMEOUT_S  # seconds
    max_fetch_cycles: int = DEFAULT_FETCH_CYCLES
    plan: Plan = AT_ONCE


def failing(plan: str) -> str:
    """A plan in which the self-test of the new firmware fails as well."""
    return plan if _SELF_TEST in plan.split("+") else "+".join(filter(None, (plan, _SELF_TEST)))
