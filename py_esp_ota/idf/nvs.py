"""Non-volatile storage of a running app: the ``Nvs`` door over the pages of a partition on the chip's flash.

What an app holds in RAM (``NvsPartition``) is built at its first use after a reset, and that is when what a power cut
left in the pages is put in order.
"""

from __future__ import annotations

from py_esp_ota._core import NvsHandle, NvsPartition, Partition, PartitionTable
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, NvsError, PartitionTableError
from py_esp_ota.idf.nvs_sec_provider import security_cfg
from py_esp_ota.ports import U16, NvsValue
from py_esp_ota.sdkconfig import Sdkconfig

NVS_DEFAULT_PART_NAME = "nvs"
ESP_RMAKER_FACTORY_PARTITION_NAME = "fctry"
ESP_RMAKER_FACTORY_NAMESPACE = "rmaker_creds"

_DATA, _NVS = 0x01, 0x02
_ERASE_AND_INIT_AGAIN = {EspErr.ESP_ERR_NVS_NO_FREE_PAGES, EspErr.ESP_ERR_NVS_NEW_VERSION_FOUND}


def find_partition(chip: Chip, config: Sdkconfig, label: str = NVS_DEFAULT_PART_NAME) -> Partition:
    """``NVSPartitionManager``'s look into the table. Raises ``NvsError`` (ESP_ERR_NOT_FOUND) when there is none."""
    try:
        table = PartitionTable.load(chip.flash, config.partition_table_offset, md5=config.partition_table_md5)
        partition = table.find(type=_DATA, subtype=_NVS, label=label)
    except PartitionTableError:  # a table that is refused has no rows
        partition = None
    if partition is None:
        raise NvsError(EspErr.ESP_ERR_NOT_FOUND, "no data/nvs partition is called {label}", label=label)
    return partition


def nvs_flash_init(chip: Chip, config: Sdkconfig, label: str = NVS_DEFAULT_PART_NAME) -> NvsPartition:
    """``nvs_flash_init_partition`` (components/nvs_flash/src/nvs_api.cpp); an encrypting build makes its keys first.

    Only the partition with the default name is encrypted. Raises ``NvsError`` and ``PowerLoss``.
    """
    encrypted = config.nvs_encryption and label == NVS_DEFAULT_PART_NAME
    keys = security_cfg(chip, config) if encrypted else None
    return NvsPartition(
        chip.flash,
        find_partition(chip, config, label),
        idf_version=config.idf_version,
        keys=keys,
        legacy_dup_keys_compatibility=config.nvs_legacy_dup_keys_compatibility,
    )


def nvs_flash_erase(chip: Chip, config: Sdkconfig, label: str = NVS_DEFAULT_PART_NAME) -> None:
    """``nvs_flash_erase_partition``: every sector. Raises ``NvsError``, ``FlashError`` and ``PowerLoss``."""
    partition = find_partition(chip, config, label)
    partition.erase_range(chip.flash, 0, partition.size)


class FlashNvs:
    """The ``Nvs`` door over one partition of a chip, as ``app_main`` of every example sets it up.

    A partition that init refuses as full (ESP_ERR_NVS_NO_FREE_PAGES) or as written by a later release
    (ESP_ERR_NVS_NEW_VERSION_FOUND) is erased and started anew. Every other refusal is the caller's: ``NvsError``, and
    ``PowerLoss`` when the power goes.
    """

    def __init__(self, chip: Chip, config: Sdkconfig, label: str = NVS_DEFAULT_PART_NAME) -> None:
        self._chip = chip
        self._config = config
        self._label = label
        self._partition: NvsPartition | None = None
        self._handles: dict[str, NvsHandle] = {}

    def __repr__(self) -> str:
        return f"<FlashNvs {self._label!r} of {self._chip!r}>"

    def reset(self) -> None:
        """The app's RAM is gone: the next use reads the pages again."""
        self._partition = None
        self._handles.clear()

    @property
    def partition(self) -> NvsPartition:
        """The initialised partition."""
        if self._partition is None:
            try:
                self._partition = nvs_flash_init(self._chip, self._config, self._label)
            except NvsError as refused:
                if refused.err not in _ERASE_AND_INIT_AGAIN:
                    raise
                nvs_flash_erase(self._chip, self._config, self._label)
                self._partition = nvs_flash_init(self._chip, self._config, self._label)
        return self._partition

    def get(self, namespace: str, key: str) -> NvsValue | None:
        """``nvs_get_*``: ``None`` stands for ESP_ERR_NVS_NOT_FOUND, of the namespace or of the key."""
        try:
            handle = self._handles.get(namespace) or self.partition.open(namespace)
            return handle.get(key, handle.find_key(key))
        except NvsError as refused:
            if refused.err is not EspErr.ESP_ERR_NVS_NOT_FOUND:
                raise
            return None

    def set(self, namespace: str, key: str, value: NvsValue) -> None:
        """``nvs_set_blob`` for bytes, ``nvs_set_str`` for text; a number is u32, i32 or double, a ``U16`` is u16.

        Raises ``NvsError``, for example ESP_ERR_NVS_KEY_TOO_LONG above 15 bytes of namespace or key.
        """
        handle = self._open(namespace)
        if isinstance(value, bytes):
            handle.set(key, "blob", value)
        elif isinstance(value, str):
            handle.set(key, "str", value)
        elif isinstance(value, float):
            handle.set(key, "double", value)
        elif isinstance(value, U16):
            handle.set(key, "u16", value)
        else:
            handle.set(key, "u32" if value >= 0 else "i32", value)

    def erase(self, namespace: str, key: str) -> None:
        """``nvs_erase_key``; erasing what is not there is no error here."""
        try:
            self._open(namespace).erase_key(key)
        except NvsError as refused:
            if refused.err is not EspErr.ESP_ERR_NVS_NOT_FOUND:
                raise

    def _open(self, namespace: str) -> NvsHandle:
        """The namespace, opened for writing and made when it is new."""
        if namespace not in self._handles:
            self._handles[namespace] = self.partition.open(namespace, "readwrite")
        return self._handles[namespace]
