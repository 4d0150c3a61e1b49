"""A group of nodes that are told together (``esp_rmaker_groups.c`` and ``esp_rmaker_param.c``)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from py_esp_ota.errors import EspErr, EspError
from py_esp_ota.rainmaker.core import TAG_PARAM, Core
from py_esp_ota.rainmaker.json_text import to_bytes
from py_esp_ota.rainmaker.messages import PARAMS_REMOTE, TOPIC_LIMIT, ParamValue, topic
from py_esp_ota.rainmaker.params import Param, ParamDevice

_NAMESPACE, _KEY = "rmaker_group", "group_id"
_DIRECT_TOPIC_LIMIT = 127  # a buffer of 128 with its NUL


class Groups:
    """The group of one boot: its topics take the place of the node's own for what the node reports.

    ``on_change`` is called with the id of the group, ``""`` for none, whenever it is set.
    """

    def __init__(self, core: Core, on_change: Callable[[str], None]) -> None:
        self._core = core
        self._on_change = on_change

    def service(self) -> ParamDevice:
        """``esp_rmaker_groups_service_enable``: the group as a param that the cloud may write."""
        param = Param("GroupID", "esp.param.group-id", self.stored or "")
        return ParamDevice("Groups", "esp.service.groups", [param], is_service=True, write=self._write)

    def _write(self, param: Param, value: ParamValue) -> EspErr:
        param.update(value)
        self.register(str(value))
        return EspErr.ESP_OK

    @property
    def stored(self) -> str | None:
        """``esp_rmaker_get_stored_group_id``."""
        try:
            stored = self._core.nvs.get(_NAMESPACE, _KEY)
        except EspError:
            return None
        return stored if isinstance(stored, str) else None

    def restore(self) -> None:
        """``esp_rmaker_restore_group_id``."""
        if (group_id := self.stored) is not None:
            self.register(group_id)

    def register(self, group_id: str) -> bool:
        """``esp_rmaker_register_for_group_params``: belong to this group, or with ``""`` to none."""
        core = self._core
        if core.group_id:
            old = self._topic(core.group_id)
            if core.mqtt.unsubscribe(old):
                core.log.info(TAG_PARAM, f"Unsubscribed from old group topic: {old}")
            else:
                core.log.warning(TAG_PARAM, f"Failed to unsubscribe from old group topic {old}. Error -1")
            core.group_id = None
        with suppress(EspError):
            if group_id:
                core.nvs.set(_NAMESPACE, _KEY, group_id)
            else:
                core.nvs.erase(_NAMESPACE, _KEY)
        if group_id:
            core.group_id = group_id
            name = self._topic(group_id)
            if not core.mqtt.subscribe_topic(name, core.handle_set_params):
                core.log.error(TAG_PARAM, f"Failed to subscribe to group topic {name}. Error -1")
                return False
        self._on_change(group_id)
        return True

    def publish_direct(self, message: str) -> bool:
        """``esp_rmaker_publish_direct``: a text of the app's own to the group; ``False`` without one."""
        core = self._core
        if not core.group_id:
            core.log.warning(TAG_PARAM, "Invalid arguments or active group not set")
            return False
        name = topic(core.node_id, f"direct/params/local/{core.group_id}")[:_DIRECT_TOPIC_LIMIT]
        return core.mqtt.publish_topic(name, to_bytes(message)) is not None

    def _topic(self, group_id: str) -> str:
        return topic(self._core.node_id, f"{PARAMS_REMOTE}/{group_id}")[:TOPIC_LIMIT]
