"""Non-volatile storage as a key-value store that survives resets.

The values live beside the flash for now, not in the pages of the ``nvs`` partition: what a power cut does to a page of
NVS cannot be seen here (docs/fidelity.md).
"""

from __future__ import annotations

from py_esp_ota.errors import EspErr, NvsError
from py_esp_ota.ports import NvsValue

_MAX_KEY = 15  # NVS_KEY_NAME_MAX_SIZE without its terminator


class KeyValueNvs:
    """The ``Nvs`` door over a dictionary."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], NvsValue] = {}

    def get(self, namespace: str, key: str) -> NvsValue | None:
        """``nvs_get_*`` (components/nvs_flash/src/nvs_api.cpp): ``None`` stands for ESP_ERR_NVS_NOT_FOUND."""
        return self._values.get((namespace, key))

    def set(self, namespace: str, key: str, value: NvsValue) -> None:
        """``nvs_set_*``. Raises ``NvsError`` (ESP_ERR_NVS_KEY_TOO_LONG) above 15 bytes of namespace or key."""
        for name in (namespace, key):
            if len(name.encode()) > _MAX_KEY:
                what = "{found} has more than {expected} bytes"
                raise NvsError(EspErr.ESP_ERR_NVS_KEY_TOO_LONG, what, found=name, expected=_MAX_KEY)
        self._values[namespace, key] = value

    def erase(self, namespace: str, key: str) -> None:
        """``nvs_erase_key``; erasing what is not there is no error here."""
        self._values.pop((namespace, key), None)
