"""A board for ESP-IDF's test app of ``app_update``: stages of one test, and the resets between them.

Upstream registers partitions at run time; here the table has rows for them.
"""

from __future__ import annotations

from collections.abc import Callable

from board import table

from py_esp_ota import firmware
from py_esp_ota._core import Partition
from py_esp_ota.chip import Held, ResetReason
from py_esp_ota.device import Device
from py_esp_ota.errors import EspError, Restart
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.app_update.ota_ops import OTA_SIZE_UNKNOWN, OtaOps
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig

PIN_FACTORY_RESET, PIN_APP_TEST = 4, 18
TABLE = table(
    ("PrimaryBTLDR", 2, 0x00, 0x0, 0x18000),
    ("PrimaryPrtTable", 3, 0x00, 0x18000, 0x1000),
    ("nvs", 1, 0x02, 0x19000, 0x4000),
    ("otadata", 1, 0x00, 0x1D000, 0x2000),
    ("phy_init", 1, 0x01, 0x1F000, 0x1000),
    ("factory", 0, 0x00, 0x20000, 0xB0000),
    ("ota_0", 0, 0x10, 0xD0000, 0xB0000),
    ("ota_1", 0, 0x11, 0x180000, 0xB0000),
    ("test", 0, 0x20, 0x230000, 0xB0000),
    ("flash_test", 1, 0x81, 0x2E0000, 0x84000),
    ("OtaBTLDR", 2, 0x01, 0x364000, 0x18000),
    ("OtaPrtTable", 3, 0x01, 0x37C000, 0x1000),
    ("nvs2", 1, 0x02, 0x37D000, 0x4000),
)
OPTIONS = {
    "partition_table_offset": 0x18000,
    "bootloader_factory_reset": True,
    "bootloader_num_pin_factory_reset": PIN_FACTORY_RESET,
    "bootloader_ota_data_erase": True,
    "bootloader_data_factory_reset": "",
    "bootloader_app_test": True,
    "bootloader_num_pin_app_test": PIN_APP_TEST,
    "bootloader_hold_time_gpio": 2,
}
APP = Firmware("test_app_update", "1").to_bytes()


class UnityBoard:
    """One board with the test app in factory.

    Args:
        rollback: the CI configuration: ``rollback``, or ``defaults`` without.
    """

    def __init__(self, *, rollback: bool) -> None:
        self.rollback = rollback
        self.config = Sdkconfig(bootloader_app_rollback_enable=rollback, **OPTIONS)
        image = firmware.bootloader()
        self.chip = Device(TABLE, firmware=APP, bootloader=image, config=self.config, flash_size=0x400000).chip
        self.boot(ResetReason.POWERON)

    def boot(self, reason: ResetReason) -> OtaOps:
        """One reset; the app that runs then."""
        self.chip.reset_reason = reason
        report = boot(self.chip, self.config)
        assert report.partition
        self.ops = OtaOps(self.chip, report.partition, self.config, Log(lambda: 0))
        return self.ops

    def start_test(self) -> OtaOps:
        """The first stage of every test: factory is next."""
        self.erase_ota_data()
        return self.reboot_as_deep_sleep()

    def reboot_as_deep_sleep(self) -> OtaOps:
        return self.boot(ResetReason.DEEPSLEEP)

    def restart(self) -> OtaOps:
        return self.boot(ResetReason.SW)

    def rebooting(self, call: Callable[[], object]) -> OtaOps:
        """A call that ends in ``esp_restart``."""
        try:
            call()
        except Restart:
            return self.restart()
        raise AssertionError("it returned")

    @property
    def subtype(self) -> int:
        """Of the running app; the configured one is the same, but for the test app."""
        running, configured = self.ops.get_running_partition(), self.ops.get_boot_partition()
        assert running.subtype == 0x20 or configured == running
        return running.subtype

    def row(self, label: str) -> Partition:
        found = self.ops.table.find(label=label)
        assert found
        return found

    def mark_app_valid(self) -> None:
        if self.rollback:
            self.ops.mark_app_valid_cancel_rollback()

    def erase_ota_data(self) -> None:
        self.ops.partitions.erase_range(self.row("otadata"), 0, 0x2000)

    def state(self, partition: Partition | None) -> str:
        """``esp_ota_get_state_partition``: the state or the error, by name."""
        try:
            state = self.ops.get_state_partition(partition)
        except EspError as error:
            return error.err.name
        return state.name if hasattr(state, "name") else hex(state)

    def copy_app(self, handle: int) -> None:
        """``copy_app_partition``: the whole partition, in one write."""
        running = self.ops.get_running_partition()
        self.ops.write(handle, self.ops.partitions.mmap(running, 0, running.size))

    def app_update(self) -> Partition:
        """The running app becomes the next one."""
        target = self.ops.get_next_update_partition()
        assert target
        handle = self.ops.begin(target, OTA_SIZE_UNKNOWN)
        self.copy_app(handle)
        self.ops.end(handle)
        self.ops.set_boot_partition(target)
        return target

    def corrupt_ota_data(self, *entries: int) -> None:
        """Upstream's helper: CRC 0 in these entries. It reads past its array, so entry 1 is garbage in any case."""
        otadata = self.row("otadata")
        first = self.ops.partitions.read(otadata, 0, 32)
        self.ops.partitions.erase_range(otadata, 0, otadata.size)
        self.ops.partitions.write(otadata, 0, first[:28] + bytes(4) if 0 in entries else first)
        self.ops.partitions.write(otadata, 0x1000, b"whatever lies behind the array..")

    def hold(self, pin: int) -> None:
        """``set_output_pin``: low, and kept over the reset."""
        self.chip.pins[pin] = Held(0)

    def release(self, pin: int) -> None:
        """``reset_output_pin``."""
        self.chip.pins.pop(pin)

    def download(self, handle: int, source: Partition) -> None:
        """``download_new_image_from_partition``: by sectors."""
        for offset in range(0, source.size, 0x1000):
            self.ops.write(handle, self.ops.partitions.read(source, offset, 0x1000))
