"""An ESP32-family device, its over-the-air update path and its cloud, in one box.

>>> from py_esp_ota import Device, Firmware, Lab

``Firmware`` makes images, ``inspect_image`` says what is in one (``ImageInfo``), ``verify_image`` whether a chip
takes it. A ``Device`` boots (``BootReport``) from its ``Flash``, by its ``PartitionTable`` of ``Partition`` rows, and
as its ``Sdkconfig`` says; ``Chip`` is what of it outlives a reset. A ``Lab`` has a cloud, and devices that it
updates. What is refused is an ``EspError`` with a code of ``EspErr``; a plug that is pulled is a ``PowerLoss``, and
``every_power_cut`` runs a test under each.

Each of them has an example: ``help(Lab)``. Further in: ``py_esp_ota.sweep`` pulls the plug everywhere,
``py_esp_ota.idf`` is ESP-IDF by its own names, ``py_esp_ota.rainmaker`` the agent, ``py_esp_ota.cloud`` the service.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own would be the longest import of `esp-ota image-info`
if TYPE_CHECKING:
    from py_esp_ota._core import Flash, ImageInfo, Partition, PartitionTable, inspect_image, verify_image
    from py_esp_ota.chip import Chip
    from py_esp_ota.device import Device
    from py_esp_ota.errors import EspErr, EspError, PowerLoss
    from py_esp_ota.firmware import Firmware
    from py_esp_ota.idf.bootloader.start import BootReport
    from py_esp_ota.lab import Lab
    from py_esp_ota.power_cuts import every_power_cut
    from py_esp_ota.sdkconfig import Sdkconfig

    __version__: str

_HOME = {
    "BootReport": "idf.bootloader.start",
    "Chip": "chip",
    "Device": "device",
    "EspErr": "errors",
    "EspError": "errors",
    "Firmware": "firmware",
    "Flash": "_core",
    "ImageInfo": "_core",
    "Lab": "lab",
    "Partition": "_core",
    "PartitionTable": "_core",
    "PowerLoss": "errors",
    "Sdkconfig": "sdkconfig",
    "every_power_cut": "power_cuts",
    "inspect_image": "_core",
    "verify_image": "_core",
}

__all__ = [
    "BootReport",
    "Chip",
    "Device",
    "EspErr",
    "EspError",
    "Firmware",
    "Flash",
    "ImageInfo",
    "Lab",
    "Partition",
    "PartitionTable",
    "PowerLoss",
    "Sdkconfig",
    "every_power_cut",
    "inspect_image",
    "verify_image",
]


def __getattr__(name: str) -> object:
    # Lazy, so that `esp-ota image-info` never pays for the cloud's imports.
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name == "__version__":
        from importlib.metadata import version

        globals()[name] = found = version(__name__)  # the next who asks need not read all that pip has written down
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
