"""The values in an NVS partition as text."""

from __future__ import annotations

from py_esp_ota._core import Flash, NvsPartition, Partition
from py_esp_ota.cloud.virtual_nodes import NvsItem
from py_esp_ota.errors import EspError

_LONGEST = 64
_MORE = "\N{HORIZONTAL ELLIPSIS}"
_LIVE = frozenset({"ACTIVE", "FULL", "FREEING"})


def nvs_items(flash: Flash, partition: Partition) -> tuple[list[NvsItem], str]:
    """The values, as the next ``nvs_flash_init`` would find them, and one sentence for what cannot be read.

    The flash is a copy: init repairs, and formats what is no NVS.
    """
    blank = flash.is_erased(partition.offset, partition.size)
    try:
        nvs = NvsPartition(flash, partition)
        if not blank and not any(page.state in _LIVE for page in nvs.pages()):
            return [], f"{partition.label} is no NVS that can be read: damaged, or encrypted."
        entries = nvs.entries()
    except EspError as error:
        return [], f"{partition.label}: {error}"
    items, damaged = [], 0
    for entry in entries:
        try:
            value = _text(nvs.open(entry.namespace).get(entry.key, entry.type))
        except EspError as error:
            value, damaged = error.err.name, damaged + 1
        items.append(NvsItem(namespace=entry.namespace, key=entry.key, type=entry.type, value=value))
    return items, f"{partition.label}: {damaged} of {len(items)} values cannot be read." if damaged else ""


def _text(value: float | str | bytes) -> str:
    if isinstance(value, bytes):
        plain = value.rstrip(b"\0")
        value = plain.decode() if plain and plain.isascii() and plain.decode().isprintable() else value.hex()
    text = "".join(c if c.isprintable() else " " for c in str(value))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + _MORE
