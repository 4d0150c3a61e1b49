"""One chip: what survives a reset. RAM, handles and running code do not, so they live nowhere here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from math import inf
from typing import Literal

from py_esp_ota._core import (
    EFuse,
    Flash,
    FlashCrypt,
    Partition,
    Target,
    Verdict,
    VerifyOptions,
    sha256_compress,
    signature_blocks,
    verify_image,
)
from py_esp_ota.sdkconfig import Sdkconfig

Build = Literal["app", "bootloader"]
Mode = Literal["verify", "verify_silent", "load", "load_no_validate", "metadata"]
Judge = Callable[..., Verdict]  # as ``verify_image`` of the core
Random = Callable[[int], bytes]  # so many bytes

_SECTOR = 0x1000
_HASH_LEN, _HASH_BLOCK = 32, 64


class ResetReason(IntEnum):
    """``soc_reset_reason_t`` (components/soc/<chip>/include/soc/reset_reasons.h): the causes that matter here."""

    POWERON = 1
    SW = 3
    DEEPSLEEP = 5
    TG0WDT_SYS = 7
    TG1WDT_SYS = 8
    RTCWDT_SYS = 9
    SW_CPU = 12
    RTCWDT_RTC = 16


@dataclass(frozen=True, slots=True)
class Held:
    """A level on a pin from the reset on, for ``seconds``; then the pin is free again."""

    level: int
    seconds: float = inf


def numbers_from(seed: bytes) -> Random:
    """A hardware random number generator that draws the same numbers in every run with the same ``seed``.

    Good for a run that can be told again, and no secret: SHA-256's compression over the number of each piece.
    """
    state, drawn = bytes(_HASH_LEN), 0
    for at in range(0, len(seed), _HASH_BLOCK):
        state = sha256_compress(state, seed[at : at + _HASH_BLOCK].ljust(_HASH_BLOCK, b"\0"))

    def fill(length: int) -> bytes:
        nonlocal drawn
        first, drawn = drawn, drawn + -(-length // _HASH_LEN)
        pieces = (sha256_compress(state, number.to_bytes(_HASH_BLOCK, "big")) for number in range(first, drawn))
        return b"".join(pieces)[:length]

    return fill


class Chip:
    """One chip of the family with its flash: what a programmer could take off the board and study.

    >>> from py_esp_ota import Chip
    >>> chip = Chip("esp32s3", flash_size=8 << 20)
    >>> chip.flash, chip.efuse.secure_version
    (<Flash 0x800000, 0 operations>, 0)
    """

    def __init__(
        self,
        target: str = "esp32c3",
        *,
        flash: Flash | None = None,
        flash_size: int = 0x400000,
        efuse: EFuse | None = None,
        fill_random: Random | None = None,
    ) -> None:
        """A chip off the reel: erased flash of ``flash_size`` bytes unless ``flash`` is given, a revision apps accept.

        ``fill_random`` is its random number generator; without one it draws the same numbers in every run. Raises
        ``ValueError`` for an unknown target or an impossible flash size.
        """
        self.target = Target(target)
        self.flash = Flash(flash_size) if flash is None else flash
        self.efuse = EFuse(target) if efuse is None else efuse
        self.latch_efuses()
        #: ``esp_fill_random``, ``bootloader_fill_random``: so many bytes.
        self.fill_random: Random = numbers_from(b"") if fill_random is None else fill_random
        self.reset_reason = ResetReason.POWERON
        self.debugger_attached = False
        #: What is held at which pin at the next reset. A free pin reads 1, for the bootloader pulls it up.
        self.pins: dict[int, Held] = {}
        #: What looks at an image, for the app and for the bootloader.
        self.judge: Judge = verify_image
        #: Who listens at the UART while the bootloader runs: each line as it is printed, but ROM's.
        self.uart: Callable[[str], None] | None = None
        #: Bytes of the images that were looked through, once each time; one that was refused does not count.
        self.judged = 0
        #: RTC memory as far as the bootloader uses it; lost with the power.
        self.rtc = bytes(16)

    def __repr__(self) -> str:
        return f"Chip({self.target.name!r}, flash_size=0x{self.flash.size:x})"

    def latch_efuses(self) -> None:
        """What the hardware does at each reset: flash encryption is on or off as the eFuses say at that moment."""
        self.flash.encryption = FlashCrypt.of_efuse(self.efuse)

    def verify_image(
        self,
        partition: Partition,
        *,
        build: Build,
        mode: Mode,
        config: Sdkconfig,
        running: Partition | None = None,
        bootloader_offset: int | None = None,
        loader_text: tuple[int, int] | None = None,
        loader_data: tuple[int, int] | None = None,
        mapping_kept: bool = False,
    ) -> Verdict:
        """``esp_image_verify`` of one partition by this chip: its flash, its target, its eFuses.

        Args:
            partition: where the image is.
            build: whose code looks, the app's or the bootloader's.
            mode: how.
            config: how that code was built.
            running: the running app, whose key signed apps trust when there is no secure boot.
            bootloader_offset: ``esp_image_bootloader_offset_set``.
            loader_text: where the code of the bootloader that looks lies in RAM, when that is known.
            loader_data: where its data lies.
            mapping_kept: an earlier look left its mapping behind, and the cache shows nothing more.

        Raises ``PowerLoss`` when the flash is dead.
        """
        checks = config.secure_signed_on_update if build == "app" else config.secure_signed_on_boot
        trusted = self._running_key(running, config) if running is not None and checks else []
        options = VerifyOptions(
            idf_version=config.idf_version,
            mmu_page_size=config.mmu_page_size,
            signature_scheme=config.signature_scheme,
            check_signature=checks,
            secure_boot_v2=config.secure_boot_v2_enabled,
            anti_rollback=config.bootloader_app_anti_rollback,
            secure_version_size=config.bootloader_app_sec_ver_size_efuse_field,
            bringup=config.idf_env_bringup,
            debugger_attached=self.debugger_attached,
            deep_sleep_wake=self.reset_reason == ResetReason.DEEPSLEEP,
            mapping_kept=mapping_kept,
            assertions_disabled=config.compiler_optimization_assertion_level == 0,
            bootloader_offset=bootloader_offset,
            loader_text=loader_text,
            loader_data=loader_data,
            trusted_digests=trusted,
            v1_public_key=config.secure_boot_verification_key,
        )
        where = (self.flash, partition.offset, partition.size)
        verdict = self.judge(*where, build=build, mode=mode, efuse=self.efuse, options=options)
        if mode != "metadata":
            self.judged += verdict.image_len
        return verdict

    def _running_key(self, running: Partition, config: Sdkconfig) -> list[bytes]:
        """``esp_secure_boot_get_signature_blocks_for_running_app``: the keys of the blocks behind that app."""
        if self.efuse.secure_boot_en or config.signature_scheme == "ecdsa_v1":
            return []
        image_len = verify_image(
            self.flash, running.offset, running.size, efuse=self.efuse, mode="metadata", options=None
        ).image_len
        start = running.offset + (image_len + _SECTOR - 1 & ~(_SECTOR - 1))
        if start + _SECTOR > self.flash.size:
            return []
        blocks = signature_blocks(self.flash.mmap(start, _SECTOR))
        return [block.key_digest for block in blocks if block.valid and block.scheme == config.signature_scheme]
