"""The key-value store: typed values by namespace and key, and names no longer than NVS allows."""

from __future__ import annotations

import pytest

from py_esp_ota.errors import EspErr, NvsError
from py_esp_ota.idf.nvs import KeyValueNvs


@pytest.mark.parametrize("value", [b"\x01", "text", 7])
def test_a_value_is_kept_as_it_is_until_it_is_erased(value):
    nvs = KeyValueNvs()
    nvs.set("rmaker_ota", "key", value)
    assert nvs.get("rmaker_ota", "key") == value
    assert nvs.get("other", "key") is None
    nvs.erase("rmaker_ota", "key")
    nvs.erase("rmaker_ota", "key")
    assert nvs.get("rmaker_ota", "key") is None


@pytest.mark.parametrize(("namespace", "key"), [("n" * 16, "k"), ("n", "k" * 16), ("n", "é" * 8)])
def test_names_have_at_most_15_bytes(namespace, key):
    nvs = KeyValueNvs()
    with pytest.raises(NvsError) as error:
        nvs.set(namespace, key, 1)
    assert error.value.err is EspErr.ESP_ERR_NVS_KEY_TOO_LONG
    assert nvs.get(namespace, key) is None
    nvs.set("n" * 15, "k" * 15, 1)
