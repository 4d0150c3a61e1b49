"""A device in its weather: what stands between it and the doors of its world, all changed by one plan."""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota._core import PartitionTable, verify_image
from py_esp_ota.device import Device, Diagnostics, Doors
from py_esp_ota.faults import Plan, Weather
from py_esp_ota.faults.mqtt import budgeted


class Exposed:
    """A device, and the weather around it.

    Args:
        table: the device's.
        outside: the doors that work.
        make: makes the device, told its ``ota_diag`` and ``crashes``.
        ota_diag: the self-test that is honest.
    """

    def __init__(
        self,
        table: PartitionTable,
        outside: Doors,
        make: Callable[..., Device],
        *,
        ota_diag: Diagnostics | None = None,
    ) -> None:
        self._weather = Weather(
            mqtt=outside.mqtt,
            fetch=outside.fetch,
            clock=outside.clock,
            ota_diag=ota_diag,
            judge=verify_image,
            slots=[row for row in table if row.type == 0],
        )
        self.device = make(ota_diag=self._weather.app.ota_diag, crashes=self._weather.app.crashes)
        self.device.chip.judge = self._weather.judge
        self._fair = self.device.config

    @property
    def doors(self) -> Doors:
        """What the device lives behind."""
        return Doors(mqtt=self._weather.mqtt, fetch=self._weather.fetch, clock=self._weather.clock)

    def suffer(self, plan: Plan) -> None:
        """Let a plan happen from now on, on every side at once; it takes the place of the one before it."""
        self.device.flash.fault = plan.flash
        self.device.config = budgeted(self._fair, plan)
        self._weather.change(plan, running=self.device.running)
