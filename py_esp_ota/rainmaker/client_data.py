"""Who a node is and where its broker is: what the factory partition says, and what the build makes of it.

It stands for CM ``src/factory.c`` and ``src/create_APN3_PPI_string.c`` and for
``components/esp_rainmaker/src/core/esp_rmaker_client_data.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from py_esp_ota._core import Flash, NvsPartition, Partition
from py_esp_ota.chip import Chip, numbers_from
from py_esp_ota.errors import EspErr, NvsError
from py_esp_ota.idf.nvs import nvs_flash_init
from py_esp_ota.sdkconfig import Sdkconfig

NODE_ID, MQTT_HOST = "node_id", "mqtt_host"
CLIENT_CERT, CLIENT_KEY = "client_cert", "client_key"
RANDOM = "random"
RANDOM_LEN = 64  # ESP_RMAKER_RANDOM_NUMBER_LEN

MQTT_ALPN = "x-amzn-mqtt-ca"
MQTT_PORT, MQTT_PORT_8883 = 443, 8883

_DATA, _NVS = 0x01, 0x02
_SMALLEST_FLASH = 1 << 20
_PPI_FIELDS = 37  # MAX_LEN_FIELDS_1_2_3
_SKUS = ("ES00", "EX00", "EX01", "EX02", "EX03", "EX04", "EX05", "EX06")
_MAC_LEN = 6


def factory_get_all(chip: Chip, config: Sdkconfig) -> dict[str, bytes]:
    """``esp_rmaker_factory_init``, then ``esp_rmaker_factory_get`` of every key: those that are blobs.

    Empty when the partition has no such namespace. Raises ``NvsError``: there is no such partition, or NVS refuses it.
    """
    nvs = nvs_flash_init(chip, config, config.esp_rmaker_factory_partition_name)
    try:
        handle = nvs.open(config.esp_rmaker_factory_namespace)
    except NvsError as refused:
        if refused.err is not EspErr.ESP_ERR_NVS_NOT_FOUND:
            raise
        return {}
    found: dict[str, bytes] = {}
    for entry in nvs.entries(config.esp_rmaker_factory_namespace):
        value = handle.get(entry.key, entry.type)
        if isinstance(value, bytes):
            found[entry.key] = value
    return found


def factory_set_all(nvs: NvsPartition, values: Mapping[str, bytes], namespace: str) -> None:
    """``esp_rmaker_factory_set`` of each value, in their order. Raises ``NvsError``: it is full, a key is too long."""
    handle = nvs.open(namespace, "readwrite")
    for key, value in values.items():
        handle.set(key, "blob", value)


def factory_partition(values: Mapping[str, bytes], size: int, namespace: str) -> bytes:
    """A factory partition of ``size`` bytes with these blobs, as a device would have written it.

    Raises ``NvsError`` when they do not fit.
    """
    flash = Flash(max(_SMALLEST_FLASH, 1 << (size - 1).bit_length()))
    factory_set_all(NvsPartition(flash, Partition("fctry", _DATA, _NVS, 0, size)), values, namespace)
    return flash.read(0, size)


def populate_node_id(
    factory: Mapping[str, bytes], config: Sdkconfig, common_name: Callable[[bytes], str | None]
) -> str | None:
    """``esp_rmaker_populate_node_id``; ``None`` where the node would not start, or take its MAC.

    ``common_name`` reads the subject of a certificate.
    """
    if config.esp_rmaker_read_node_id_from_cert_cn:
        certificate = factory.get(CLIENT_CERT)
        return None if certificate is None else common_name(certificate)
    return _text(factory.get(NODE_ID))


def get_mqtt_host(factory: Mapping[str, bytes], config: Sdkconfig) -> str | None:
    """``esp_rmaker_get_mqtt_host``; ``None`` where the node would end with "Failed to get mqtt host"."""
    if config.esp_rmaker_read_mqtt_host_from_config:
        return config.esp_rmaker_mqtt_host
    claims = config.esp_rmaker_self_claim or config.esp_rmaker_assisted_claim
    return _text(factory.get(MQTT_HOST)) or (config.esp_rmaker_mqtt_host if claims else None)


def mqtt_port(config: Sdkconfig) -> int:
    """``ESP_RMAKER_MQTT_PORT``."""
    return MQTT_PORT_8883 if config.esp_rmaker_mqtt_port_8883 else MQTT_PORT


def mqtt_alpn(port: int) -> str | None:
    """``esp_mqtt_glue_create_client_config``: the one protocol that is offered on 443, none on any other port."""
    return MQTT_ALPN if port == MQTT_PORT else None


def get_aws_ppi(config: Sdkconfig, mac: bytes) -> str | None:
    """``esp_get_aws_ppi``: the MQTT user name; ``None`` when none is sent.

    Raises ``ValueError`` where the node's MQTT would not start: an unknown SKU, texts that are too long together.
    """
    if not config.esp_rmaker_mqtt_send_username:
        return None
    sku = config.esp_rmaker_mqtt_product_sku
    if sku not in _SKUS:
        raise ValueError(f"ESP_RMAKER_MQTT_PRODUCT_SKU is {sku!r}, expected one of {', '.join(_SKUS)}")
    fields = [config.esp_rmaker_mqtt_product_name, config.esp_rmaker_mqtt_product_version, mac.hex().upper()]
    if (length := sum(map(len, fields))) > _PPI_FIELDS:
        raise ValueError(
            f"ESP_RMAKER_MQTT_PRODUCT_NAME, _VERSION and the MAC have {length} characters, at most {_PPI_FIELDS} go"
        )
    return "|".join(["?Platform=APN3", "A0", "RM", sku, *fields])


def mac_of(node_id: str) -> bytes:
    """The MAC of a chip that has none of its own: the node id, where it is one, else made of it and local."""
    try:
        mac = bytes.fromhex(node_id)
    except ValueError:
        mac = b""
    if len(mac) == _MAC_LEN:
        return mac
    drawn = numbers_from(node_id.encode())(_MAC_LEN)
    return bytes([drawn[0] & 0xFC | 0x02]) + drawn[1:]


def _text(value: bytes | None) -> str | None:
    """A blob as C reads it: up to the first NUL."""
    return None if value is None else value.split(b"\0", 1)[0].decode(errors="replace")
