"""What the steps of one bootloader run share: the chip, the console, the reasons, and the few things that are written.

``bootloader`` puts the steps in order; ``boot_select``, ``boot_pins`` and ``deep_sleep`` are the steps.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from py_esp_ota._core import AppDesc, Fault, Partition, RtcRetain, Verdict, read_otadata, write_otadata
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.errors import EspErr, FlashError, ImageError, OtaError
from py_esp_ota.idf.bootloader.console import BootLog, loader_sections
from py_esp_ota.idf.efuse import read_secure_version, update_secure_version
from py_esp_ota.idf.features import features
from py_esp_ota.idf.rollback import Entries, Rewrite
from py_esp_ota.sdkconfig import Sdkconfig

FACTORY_INDEX = -1
TEST_APP_INDEX = -2
INVALID_INDEX = -99

LoadMode = Literal["load", "load_no_validate"]

#: What a look at an image may end in besides a verdict: an assertion, after which the chip starts anew.
Reset = Literal["reset"]
RESET: Reset = "reset"

_SECTOR, _WORD, _ENCRYPTED = 0x1000, 4, 32
_APP_DESC_OFFSET = 0x20
_APP_DESC_SIZE = 256
_OTADATA_MIN_SIZE = 0x2000
_PAGE_IN_DESC = (5, 4, 0)
_MAX_COUNTER = 0xFFFF
#: Chips without RTC fast memory: nothing to keep a record in.
_NO_RTC_FAST_MEM = frozenset({"esp32c2", "esp32c61", "esp32h4"})


class Run:
    """One run of the bootloader. A step that returns ``None`` where it could return more means: reset the chip."""

    def __init__(self, chip: Chip, config: Sdkconfig, address: int) -> None:
        self.chip = chip
        self.config = config
        #: Where ROM found this bootloader.
        self.address = address
        # Looked up before the clock of the console starts: the real one has it from its linker.
        self._loader_text, self._loader_data = loader_sections(chip, address)
        self.log = BootLog(chip.flash, chip.uart)
        self.why: list[str] = []
        self.otadata_writes: list[Rewrite] = []
        #: Whether anything changed that the next run could find.
        self.wrote = False
        #: Whether it stopped at an assertion, or ran wild: then the watchdog resets the chip, not the loader.
        self.stopped = False
        #: Whether a look at an image left its mapping behind: nothing is shown through the cache any more.
        self.mapping_kept = False
        #: Whether this run encrypted the flash, after which the chip has to start anew.
        self.encrypted_now = False

    def decide(self, function: str, text: str) -> None:
        """A decision, with the upstream function that takes it."""
        self.why.append(f"{function}: {text}")

    def stop(self, function: str, text: str) -> None:
        """The end of this run: a decision that nobody took."""
        self.decide(function, text)
        self.stopped = True

    # ---------------------------------------------------------------------------------------------------- images

    def try_load_partition(self, partition: Partition) -> Verdict | Reset:
        """``try_load_partition``: ``bootloader_load_image`` on one candidate."""
        verdict = self.load(partition, self._mode())
        if verdict != RESET and verdict.err == EspErr.ESP_OK:
            self.log.info("boot", f"Loaded app from partition at offset 0x{partition.offset:x}")
        return verdict

    def load(self, partition: Partition, mode: LoadMode) -> Verdict | Reset:
        """``image_load``, and what it prints."""
        verdict = self.chip.verify_image(
            partition,
            build="bootloader",
            mode=mode,
            config=self.config,
            loader_text=self._loader_text,
            loader_data=self._loader_data,
            mapping_kept=self.mapping_kept,
        )
        self.log.core(verdict.log)
        if verdict.assertion is not None:
            self.stop("process_segment", f"assertion: {partition.label or 'app'}: {reason(verdict.err, verdict.fault)}")
            return RESET
        if verdict.crash is not None:
            self.stop("process_segment_data", f"runs wild: {partition.label or 'app'}: {verdict.crash}")
            return RESET
        fault, release = verdict.fault, self.config.idf_version
        if fault is not None and fault.field == "app_desc magic_word" and fault.found.startswith("0x"):
            self.mapping_kept = release >= _PAGE_IN_DESC and features(release).keeps_mapping
        return verdict

    def _mode(self) -> LoadMode:
        """``bootloader_load_image``: whether the sums are taken at all. Signed apps always are."""
        if self.config.secure_signed_on_boot:
            return "load"
        powered_up = self.chip.reset_reason == ResetReason.POWERON
        skip = self.config.bootloader_skip_validate_on_power_on and powered_up
        return "load_no_validate" if skip or self.config.bootloader_skip_validate_always else "load"

    def app_desc(self, partition: Partition) -> AppDesc | EspErr:
        """``bootloader_common_get_partition_description``: the descriptor, or why there is none.

        Address 0 is "no such row"; how large the row is, nobody asks.
        """
        if partition.offset == 0:
            return EspErr.ESP_ERR_INVALID_ARG
        try:
            return AppDesc.from_bytes(self.chip.flash.mmap(partition.offset + _APP_DESC_OFFSET, _APP_DESC_SIZE))
        except FlashError:
            return EspErr.ESP_FAIL
        except ImageError as error:
            return error.err

    # ------------------------------------------------------------------------------------------------ anti-rollback

    @property
    def burnt_secure_version(self) -> int:
        """``esp_efuse_read_secure_version``: what this build's part of the field says."""
        return read_secure_version(self.chip.efuse, self.config)

    def check_anti_rollback(self, partition: Partition | None) -> bool:
        """``check_anti_rollback``: without the option everything passes; a slot without a descriptor never does."""
        if not self.config.bootloader_app_anti_rollback:
            return True
        desc = self._described(partition)
        return desc is not None and desc.secure_version >= self.burnt_secure_version

    def _described(self, partition: Partition | None) -> AppDesc | None:
        """The descriptor, or what is printed where there is none."""
        desc = EspErr.ESP_ERR_INVALID_ARG if partition is None else self.app_desc(partition)
        if not isinstance(desc, EspErr):
            return desc
        if partition is not None and desc == EspErr.ESP_FAIL:
            size = _APP_DESC_OFFSET + _APP_DESC_SIZE
            self.log.error("boot", f"bootloader_mmap(0x{partition.offset:x}, 0x{size:x}) failed")
        self.log.error("boot", f"Failed to get partition description {int(desc)}")
        return None

    def update_anti_rollback(self, partition: Partition | None) -> None:
        """``update_anti_rollback``: the eFuse follows an app that has proved itself. A failure is ignored."""
        if not self.config.bootloader_app_anti_rollback or partition is None:
            return
        desc, burnt = self._described(partition), self.burnt_secure_version
        if desc is None:
            return
        version = desc.secure_version
        try:
            update_secure_version(self.chip.efuse, self.config, version, self.log)
        except OtaError as error:
            if error.err == EspErr.ESP_ERR_INVALID_ARG:
                self.decide("update_anti_rollback", f"the eFuse stays at {burnt}: its field has no {version} bits")
            return
        if version > burnt:
            self.decide("update_anti_rollback", f"secure version in eFuse = {version}, from {partition.label}")
            self.wrote = True

    # ------------------------------------------------------------------------------------------------------ otadata

    def read_otadata(self, ota_info: Partition, name: str) -> Entries | None:
        """``bootloader_common_read_otadata``: both entries; ``None`` where they cannot be read.

        ``name`` is the function that asks.
        """
        if ota_info.size < _OTADATA_MIN_SIZE:
            text = f"ota_info partition size {ota_info.size} is too small (minimum {_OTADATA_MIN_SIZE} bytes)"
            self.log.error("boot", text)
            self.decide(name, f"otadata has {ota_info.size} bytes, two sectors are needed")
            return None
        try:
            return read_otadata(self.chip.flash, ota_info.offset)
        except FlashError:
            self.log.error("boot", f"bootloader_mmap(0x{ota_info.offset:x}, 0x{ota_info.size:x}) failed")
            self.decide(name, "otadata lies outside the flash")
            return None

    def write_otadata(self, ota_info: Partition, rewrite: Rewrite) -> None:
        """``write_otadata``: a flash error is printed and ignored; this boot goes on as decided."""
        at = ota_info.offset + _SECTOR * rewrite.index
        alignment = _WORD if self.chip.flash.encryption is None else _ENCRYPTED
        if at % alignment:
            self._erase_for_nothing(at, rewrite, alignment)
            return
        try:
            write_otadata(self.chip.flash, ota_info.offset, rewrite.index, rewrite.entry)
        except FlashError:
            # The bootloader's flash driver has one code for everything the ROM refuses.
            self.log.error("boot", f"Error in write_otadata operation. err = 0x{EspErr.ESP_ERR_FLASH_OP_FAIL:x}")
            self.decide("write_otadata", f"otadata[{rewrite.index}] could not be written; ignored")
        else:
            self.wrote = True
            self.otadata_writes.append(rewrite)

    def _erase_for_nothing(self, at: int, rewrite: Rewrite, alignment: int) -> None:
        """``bootloader_flash_write`` takes whole words, or encrypted rows of 32 bytes, and asks after the erase."""
        with suppress(FlashError):
            self.chip.flash.erase(at - at % _SECTOR, _SECTOR)
            self.wrote = True
        self.log.error("bootloader_flash", f"bootloader_flash_write dest_addr 0x{at:x} not {alignment}-byte aligned")
        self.log.error("boot", f"Error in write_otadata operation. err = 0x{EspErr.ESP_FAIL & 0xFFFFFFFF:x}")
        self.decide(
            "write_otadata", f"otadata[{rewrite.index}] is erased, and not written: 0x{at:x} % {alignment} is not 0"
        )

    # --------------------------------------------------------------------------------------------------- RTC memory

    @property
    def has_rtc_fast_mem(self) -> bool:
        """``SOC_RTC_FAST_MEM_SUPPORTED``."""
        return self.chip.target.name not in _NO_RTC_FAST_MEM

    @property
    def keeps_rtc_record(self) -> bool:
        """``BOOTLOADER_RESERVE_RTC_MEM``: asked for, or needed to wake fast."""
        config = self.config
        return self.has_rtc_fast_mem and (
            config.bootloader_reserve_rtc_mem or config.bootloader_skip_validate_in_deep_sleep
        )

    def update_rtc_retain_mem(self, partition: Partition | None) -> None:
        """``bootloader_common_update_rtc_retain_mem``: one boot more, and where the app is when it is told."""
        old = RtcRetain.from_bytes(self.chip.rtc) or RtcRetain()
        self.chip.rtc = RtcRetain(
            offset=old.offset if partition is None else partition.offset,
            size=old.size if partition is None else partition.size,
            reboot_counter=min(old.reboot_counter + 1, _MAX_COUNTER),
            factory_reset_state=old.factory_reset_state,
        ).to_bytes()

    def set_rtc_factory_reset_state(self) -> None:
        """``bootloader_common_set_rtc_retain_mem_factory_reset_state``."""
        old = RtcRetain.from_bytes(self.chip.rtc) or RtcRetain()
        self.chip.rtc = RtcRetain(
            offset=old.offset, size=old.size, reboot_counter=old.reboot_counter, factory_reset_state=True
        ).to_bytes()


def reason(err: EspErr, fault: Fault | None) -> str:
    """An error and the fault behind it in one clause."""
    if fault is None:
        return err.name
    return f"{err.name}, {fault.field} at 0x{fault.offset:x} is {fault.found}, expected {fault.expected}"
