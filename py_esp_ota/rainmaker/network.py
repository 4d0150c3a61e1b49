"""The Thread network that a node is in (``esp_rmaker_core.c``), which OTA over topics tells the cloud."""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota.rainmaker.core import Core, RmakerState
from py_esp_ota.rainmaker.features import rmaker_features

_ATTRIBUTE = "network-id"
_REPORTED = frozenset({RmakerState.CONFIG_REPORTED, RmakerState.STARTED})


class Network:
    """``esp_rmaker_set_network_id`` of one boot. ``report`` says anew who the node is."""

    def __init__(self, core: Core, report: Callable[[], object]) -> None:
        self._core = core
        self._report = report

    def on_attached(self, partition_id: int) -> None:
        """``OPENTHREAD_EVENT_ATTACHED``: the network is known by its partition's id; 0 is none."""
        if partition_id != 0:
            self.set_network_id(f"{partition_id:08X}")

    def set_network_id(self, network_id: str) -> None:
        """``esp_rmaker_set_network_id``: an attribute of the node; another one is reported once the config was."""
        core = self._core
        if not rmaker_features(core.config.rainmaker_version).tells_network:
            return
        changed = core.network_id != network_id
        core.network_id = core.attributes[_ATTRIBUTE] = network_id
        if changed and core.state in _REPORTED:
            self._report()
