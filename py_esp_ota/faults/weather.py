"""The whole weather around one device: a wrapper in every door, all changed by one plan."""

from __future__ import annotations

from collections.abc import Sequence

from py_esp_ota._core import AppDesc, Partition
from py_esp_ota.chip import Judge
from py_esp_ota.faults.app import Diagnostics, FaultyApp
from py_esp_ota.faults.clock import FaultyClock
from py_esp_ota.faults.grammar import Plan
from py_esp_ota.faults.judge import FaultyJudge
from py_esp_ota.faults.mqtt import FaultyMqtt
from py_esp_ota.faults.network import FaultyFetch
from py_esp_ota.ports import Clock, Fetch, MqttConnect


class Weather:
    """The doors of one device, good until a plan comes.

    Args:
        mqtt: the broker that works.
        fetch: the network that works.
        clock: the clock that is right.
        ota_diag: the self-test that is honest; none succeeds.
        judge: what judges images.
        slots: the device's app partitions.
    """

    def __init__(
        self,
        *,
        mqtt: MqttConnect,
        fetch: Fetch,
        clock: Clock,
        ota_diag: Diagnostics | None,
        judge: Judge,
        slots: Sequence[Partition],
    ) -> None:
        self.mqtt = FaultyMqtt(mqtt)
        self.fetch = FaultyFetch(fetch)
        self.clock = FaultyClock(clock)
        self.app = FaultyApp(ota_diag)
        self.judge = FaultyJudge(judge, slots)

    def change(self, plan: Plan, *, running: AppDesc | None) -> None:
        """Follow ``plan`` on every side but the flash's, counting from now; ``running`` is the app that runs now."""
        self.fetch.arm(plan.only("network"))
        self.mqtt.arm(plan.only("mqtt"))
        self.clock.arm(plan.only("clock"))
        self.app.arm(plan.only("app"), running)
        self.judge.arm(plan.only("judge"))
