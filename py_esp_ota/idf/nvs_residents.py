"""What else lives in the ``nvs`` partition of a real app: the keys of PHY, Wi-Fi and the time zone.

They make it as full, and its pages as worn, as they are in the field. Names, types, lengths and the order of writing
are upstream's as far as its source shows them: PHY from components/esp_phy/src/phy_init.c, the time zone from
esp-rainmaker-common. Wi-Fi's library is closed: its names and types are those of examples/wifi/wifi_nvs_config, which
of them a station has and how long they are is as devices' partitions show it. The values only stand for values.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from py_esp_ota._core import NvsPartition
from py_esp_ota.errors import NvsError
from py_esp_ota.idf.nvs import FlashNvs

CAL_DATA = 1904  # sizeof(esp_phy_calibration_data_t)

_PHY_NAMESPACE = "phy"
_WIFI_NAMESPACE = "nvs.net80211"
_TIME_NAMESPACE = "rmaker_time"
_UNUSED_NAMESPACE = "misc"  # Wi-Fi's library opens it for writing, and writes nothing any more

_MAC = bytes.fromhex("7cdfa1000001")
_CAL_VERSION = 0x1A2B


@dataclass(frozen=True, slots=True)
class Resident:
    """One key and a value of its type and length."""

    namespace: str
    key: str
    type: Literal["u8", "i8", "u16", "u32", "blob"]
    value: int | bytes


def _wifi(key: str, kind: Literal["u8", "i8", "u16", "blob"], value: int | bytes) -> Resident:
    return Resident(_WIFI_NAMESPACE, key, kind, value)


def _filled(text: bytes, size: int) -> bytes:
    return text.ljust(size, b"\0")


#: ``store_cal_data_to_nvs_handle``, in its order.
PHY = (
    Resident(_PHY_NAMESPACE, "cal_data", "blob", bytes(at * 7 & 0xFF for at in range(CAL_DATA))),
    Resident(_PHY_NAMESPACE, "cal_mac", "blob", _MAC),
    Resident(_PHY_NAMESPACE, "cal_version", "u32", _CAL_VERSION),
)

#: ``esp_wifi_init``, ``esp_wifi_set_mode``, ``esp_wifi_set_config`` of a station, and a connection.
WIFI_STATION = (
    _wifi("ap.sndchan", "u8", 1),
    _wifi("opmode", "u8", 1),
    _wifi("sta.ssid", "blob", (7).to_bytes(4, "little") + _filled(b"network", 32)),
    _wifi("sta.pswd", "blob", _filled(b"password", 65)),
    _wifi("bssid.set", "u8", 0),
    _wifi("sta.lis_intval", "u16", 3),
    _wifi("sta.scan_method", "u8", 0),
    _wifi("sta.sort_method", "u8", 0),
    _wifi("sta.minrssi", "i8", -127),
    _wifi("sta.minauth", "u8", 0),
    _wifi("sta.pmf_e", "u8", 1),
    _wifi("sta.pmf_r", "u8", 0),
    _wifi("sta.btm_e", "u8", 0),
    _wifi("sta.rrm_e", "u8", 0),
    _wifi("sta.mbo_e", "u8", 0),
    _wifi("sta.ft", "u8", 0),
    _wifi("sta.owe", "u8", 0),
    _wifi("sta.trans_d", "u8", 0),
    _wifi("sta.sae_h2e", "u8", 0),
    _wifi("sta.sae_pk_mode", "u8", 0),
    _wifi("sta.bss_retry", "u8", 0),
    _wifi("sta.sae_h2e_id", "blob", bytes(32)),
    _wifi("sta.apsw", "blob", b"\xff\xff"),
    _wifi("sta.chan", "u8", 6),
    _wifi("sta.apinfo", "blob", _filled(b"network", 700)),
)

#: ``esp_rmaker_time_set_timezone``, as a phone app calls it when the device is set up.
TIME_ZONE = (
    Resident(_TIME_NAMESPACE, "tz_posix", "blob", b"CST-8"),
    Resident(_TIME_NAMESPACE, "tz", "blob", b"Asia/Shanghai"),
)


def write_residents(nvs: FlashNvs) -> None:
    """What one boot of a device that was set up writes: everything at the first one, nothing at the next.

    Set up at once, in the order of namespaces that devices have. What NVS refuses is left out, as upstream goes on
    without it. Raises ``FlashError`` and ``PowerLoss``.
    """
    with suppress(NvsError):
        partition = nvs.partition
        for namespace in (_UNUSED_NAMESPACE, _WIFI_NAMESPACE):
            partition.open(namespace, "readwrite")
    with suppress(NvsError):
        # ``esp_phy_load_cal_and_init``: a full calibration, and its result stored, where none can be loaded.
        if not _cal_data_loads(nvs.partition):
            _store(nvs.partition, PHY)
    for residents in (WIFI_STATION, TIME_ZONE):
        with suppress(NvsError):
            _store(nvs.partition, residents)


def _cal_data_loads(nvs: NvsPartition) -> bool:
    """``load_cal_data_from_nvs_handle``: of this library's format, of this chip, of the right length."""
    try:
        handle = nvs.open(_PHY_NAMESPACE)
        same = handle.get("cal_version", "u32") == _CAL_VERSION and handle.get("cal_mac", "blob") == _MAC
        data = handle.get("cal_data", "blob")
    except NvsError:
        return False
    return same and isinstance(data, bytes) and len(data) == CAL_DATA


def _store(nvs: NvsPartition, residents: tuple[Resident, ...]) -> None:
    """Each in turn; what is there already costs nothing. Raises ``NvsError`` for the first that is refused."""
    for resident in residents:
        nvs.open(resident.namespace, "readwrite").set(resident.key, resident.type, resident.value)
