"""Choose another boot slot, and pull the plug at every flash operation of it: what boots, each time?

This is the flash alone, without a network: one clean run tells how many operations there are, then each is cut.
"""

from __future__ import annotations

from py_esp_ota import Chip, Flash, PartitionTable, PowerLoss, Sdkconfig
from py_esp_ota.firmware import Firmware, merge
from py_esp_ota.idf.app_update.ota_ops import OTA_SIZE_UNKNOWN, OtaOps
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.log import Log

CONFIG = Sdkconfig()
TABLE = PartitionTable.builtin("two_ota")
OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))


def update(flash: Flash) -> None:
    """What the running factory app does: write the new image into ota_0 and choose it."""
    ops = OtaOps(Chip("esp32c3", flash=flash), TABLE[3], CONFIG, Log(lambda: 0))
    slot = ops.get_next_update_partition()
    handle = ops.begin(slot, OTA_SIZE_UNKNOWN)
    ops.write(handle, NEW)
    ops.end(handle)
    ops.set_boot_partition(slot)


def running_after(flash: Flash) -> str:
    """The version that boots."""
    report = boot(Chip("esp32c3", flash=flash), CONFIG)
    return report.app_desc.version if report.app_desc else "nothing"


def main() -> None:
    """Print how often each version came up."""
    factory_new = Flash.from_bytes(merge({0x8000: TABLE.to_bytes(), TABLE[3].offset: OLD}), size=0x400000)

    clean = factory_new.fork()
    update(clean)
    operations = clean.operations - factory_new.operations

    outcomes: dict[str, int] = {}
    for cut in range(operations):
        for tear in ("", ":torn"):
            flash = factory_new.fork()
            flash.fault = f"cut@{cut}{tear}"
            try:
                update(flash)
            except PowerLoss:
                flash.power_on()
            version = running_after(flash)
            outcomes[version] = outcomes.get(version, 0) + 1
    print(f"{operations} flash operations, each cut before and inside: {outcomes}")
    print(f"without a cut: {running_after(clean)}")


if __name__ == "__main__":
    main()
