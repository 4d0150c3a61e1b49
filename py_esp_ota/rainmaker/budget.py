"""How many messages a node may still publish (components/esp_rainmaker/src/mqtt/esp_rmaker_mqtt_budget.c)."""

from __future__ import annotations

from py_esp_ota.sdkconfig import Sdkconfig


class Budget:
    """A token bucket: each publish costs one, time brings some back up to a maximum. Subscriptions are free.

    Times are seconds on any steady clock; refills are counted when somebody asks, not by a timer.
    """

    def __init__(self, config: Sdkconfig) -> None:
        self._enabled = config.esp_rmaker_mqtt_enable_budgeting
        self._maximum = config.esp_rmaker_mqtt_max_budget
        self._period = config.esp_rmaker_mqtt_budget_revive_period
        self._count = config.esp_rmaker_mqtt_budget_revive_count
        self._left = min(config.esp_rmaker_mqtt_default_budget, self._maximum)
        self._ticked: float | None = None

    def start(self, now: float) -> None:
        """``esp_rmaker_mqtt_budgeting_start``: the refill timer runs from the first connect call on."""
        if self._ticked is None:
            self._ticked = now

    def stop(self, now: float) -> None:
        """``esp_rmaker_mqtt_budgeting_stop``: what there is stays, and no more comes."""
        self.left(now)
        self._ticked = None

    def left(self, now: float) -> int:
        """``esp_rmaker_mqtt_get_budget``: tokens in the bucket at ``now``."""
        if self._ticked is not None:
            ticks = int((now - self._ticked) // self._period)
            self._ticked += ticks * self._period
            self._left = min(self._left + ticks * self._count, self._maximum)
        return self._left

    def take(self, now: float) -> bool:
        """``esp_rmaker_mqtt_is_budget_available`` and ``esp_rmaker_mqtt_decrease_budget``: pay for one publish."""
        if not self._enabled:
            return True
        if self.left(now) < 1:
            return False
        self._left -= 1
        return True
