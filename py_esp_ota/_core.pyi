"""The judge: flash, partition tables, images, otadata and boot-slot selection, in Rust.

Whatever takes a flash format apart lives here; whatever decides *when* lives in Python. Offsets, addresses and lengths are
bytes. All classes are immutable values except ``Flash`` and ``OtaWriter``. Long work releases the GIL.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, Never, ParamSpec, Self, TypeAlias, TypedDict, TypeVar, final

from typing_extensions import disjoint_base

from py_esp_ota.errors import EspErr
from py_esp_ota.ports import Bytes

__all__ = [
    "AppDesc",
    "BootTable",
    "BootloaderDesc",
    "Compression",
    "Console",
    "Cpu",
    "CpuMemory",
    "CpuState",
    "EFuse",
    "Fault",
    "Flash",
    "FlashCrypt",
    "FlashOp",
    "FlashStats",
    "Handlers",
    "ImageHeader",
    "ImageInfo",
    "Kept",
    "LogLine",
    "NvsEntry",
    "NvsHandle",
    "NvsPage",
    "NvsPartition",
    "NvsStats",
    "OtaSelectEntry",
    "OtaWriter",
    "Partition",
    "PartitionTable",
    "Pieces",
    "Printed",
    "Recording",
    "RtcRetain",
    "Sectors",
    "Segment",
    "Selection",
    "ShownPages",
    "SignatureBlock",
    "SignatureVerdict",
    "Switch",
    "TableVerdict",
    "Target",
    "Verdict",
    "VerifyOptions",
    "Words",
    "active_otadata",
    "boot_order",
    "check_image_validity",
    "derive_nvs_keys",
    "enable_secure_boot",
    "flash_sha256",
    "generate_nvs_keys",
    "inspect_image",
    "md5",
    "ota_select_crc",
    "ota_slot",
    "read_nvs_keys",
    "read_otadata",
    "rewrite_target",
    "rom_verify_signature",
    "select_boot_partition",
    "sha256",
    "sha256_compress",
    "signature_blocks",
    "signing_slots",
    "verify_image",
    "verify_partition_table",
    "verify_signature_v1",
    "whole",
    "write_nvs_keys",
    "write_otadata",
]

# --------------------------------------------------------------------------------------------------------------- words

@final
class Fault:
    """One thing wrong with some bytes: where, what was found, what the rule expects."""

    @property
    def err(self) -> EspErr: ...
    @property
    def field(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def found(self) -> str: ...
    @property
    def expected(self) -> str: ...

@final
class LogLine:
    """One console line without its time stamp: ``level`` is ``"E"``, ``"W"`` or ``"I"``."""

    @property
    def level(self) -> Literal["E", "W", "I"]: ...
    @property
    def tag(self) -> str: ...
    @property
    def text(self) -> str: ...

@final
class Target:
    """What one chip of the family fixes in silicon and ROM (``CONFIG_IDF_TARGET``)."""

    def __new__(cls, name: str) -> Self:
        """Look a chip up by its ESP-IDF name, ``"esp32c3"``. Raises ``ValueError`` for an unknown one."""

    @staticmethod
    def names() -> list[str]:
        """Every supported target."""

    @staticmethod
    def from_chip_id(chip_id: int) -> Target | None:
        """The target whose images carry ``chip_id``, if any."""

    @property
    def name(self) -> str: ...
    @property
    def chip_id(self) -> int: ...
    @property
    def bootloader_offset(self) -> int: ...
    @property
    def drom(self) -> tuple[int, int]:
        """Where mapped flash is read as data: the first address, and the first behind."""

    @property
    def irom(self) -> tuple[int, int]:
        """Where mapped flash is executed; the same as ``drom`` on chips with one window for both."""

    @property
    def loader_text(self) -> tuple[int, int]:
        """The room that the bootloader's linker script has for the code it needs until it jumps into an app."""

    @property
    def loader_data(self) -> tuple[int, int]:
        """The room that it has for the bootloader's data."""

    @property
    def default_chip_revision(self) -> int:
        """A revision (major * 100 + minor) that current default builds accept."""

    def mmu_page_size(self, flash_size: int = 0x400000) -> int:
        """``CONFIG_MMU_PAGE_SIZE`` of a default build for a flash of ``flash_size`` bytes."""

    @property
    def cores(self) -> int: ...

# --------------------------------------------------------------------------------------------------------------- eFuse

@final
class EFuse:
    """The one-time programmable bits the update path reads and burns: a bit goes from 0 to 1 and never back.

    Revisions are ``major * 100 + minor``. Safe to share between threads.
    """

    def __new__(
        cls,
        chip: str = "esp32c3",
        *,
        chip_revision: int | None = None,
        block_revision: int = 0,
        secure_version: int = 0,
        disable_wafer_version_major: bool = False,
        disable_blk_version_major: bool = False,
        secure_boot_en: bool = False,
        aggressive_revoke: bool = False,
        key_digests: Sequence[bytes | None] = ...,
        revoked: Sequence[int] = ...,
        flash_crypt_cnt: int = 0,
        flash_crypt_config: int = 0,
        flash_encryption_key: bytes | None = None,
        flash_encryption_key_open: bool = False,
        hmac_keys: Sequence[bytes | None] = ...,
        key_purposes: Sequence[int | None] | None = None,
        recovery_bootloader_sector: int = 0,
        bootloader_secure_version: int = 0,
        bootloader_anti_rollback_en: bool = False,
        bootloader_anti_rollback_update_in_rom: bool = False,
    ) -> Self:
        """A chip from the factory, of a revision that default builds accept, unless said otherwise.

        Keys take the first key blocks, digests before the flash encryption key, unless ``key_purposes`` says what each
        block is burnt for. Raises ``ValueError`` for what does not fit the chip's fuses.
        """

    @property
    def chip(self) -> str: ...
    @property
    def chip_revision(self) -> int: ...
    @property
    def block_revision(self) -> int: ...
    @property
    def disable_wafer_version_major(self) -> bool: ...
    @property
    def disable_blk_version_major(self) -> bool: ...
    @property
    def secure_version(self) -> int:
        """The number of burnt bits of the anti-rollback field."""

    def read_secure_version(self, *, size: int | None = None) -> int:
        """``esp_efuse_read_secure_version``: the number of burnt bits among the first ``size`` of the field."""

    @property
    def secure_version_size(self) -> int:
        """Bits of the anti-rollback field."""

    @property
    def secure_boot_en(self) -> bool: ...
    @property
    def aggressive_revoke(self) -> bool: ...
    @property
    def key_digests(self) -> list[bytes | None]:
        """SHA-256 of the public key in each slot the chip has: one on ESP32 and ESP32-C2, three elsewhere."""

    @property
    def revoked(self) -> list[int]:
        """The slots whose key was revoked."""

    @property
    def flash_crypt_cnt(self) -> int: ...
    @property
    def flash_crypt_config(self) -> int:
        """ESP32 only, 4 bits."""

    @property
    def flash_encryption_key(self) -> bytes | None:
        """As espsecure's key file has it: 16, 24, 32 or 64 bytes."""

    @property
    def flash_encryption_key_open(self) -> bool:
        """Its block is not read- and write-protected, as ``espefuse --no-protect-key`` leaves it."""

    @property
    def key_purposes(self) -> list[int | None]:
        """What each key block is burnt for, by the chip's own ``esp_efuse_purpose_t``; ``None`` for an unused one.

        Empty on ESP32 and ESP32-C2, whose keys have fixed places.
        """

    @property
    def free_key_blocks(self) -> list[int]:
        """``esp_efuse_key_block_unused``: the numbers of the unused key blocks."""

    @property
    def flash_encryption_enabled(self) -> bool:
        """``efuse_hal_flash_encryption_enabled``: an odd number of counter bits is burnt."""

    @property
    def hmac_keys(self) -> list[bytes | None]:
        """The key of purpose HMAC_UP in each of the six key blocks; an empty list on chips without the peripheral."""

    @property
    def recovery_bootloader_sector(self) -> int:
        """12 bits: 0 never set, 0xFFF disabled for ever, else the number of the sector it starts at."""

    @property
    def has_recovery_bootloader(self) -> bool:
        """Whether the chip's ROM knows such a thing: ESP32-C5, C61, S31, and ESP32-P4 since v3.0."""

    @property
    def recovery_bootloader_address(self) -> int | None:
        """``efuse_hal_get_recovery_bootloader_address``; ``None`` unless ``efuse_hal_recovery_bootloader_enabled``."""

    @property
    def bootloader_secure_version(self) -> int:
        """The number of burnt bits of ``BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION``, 0 to 4."""

    @property
    def bootloader_anti_rollback_en(self) -> bool: ...
    @property
    def bootloader_anti_rollback_update_in_rom(self) -> bool: ...
    def burn_secure_version(self, version: int, *, size: int | None = None) -> None:
        """``esp_efuse_update_secure_version``: burn until ``version`` bits are set; ``size``: the configured field width.

        Raises ``OtaError``: ESP_ERR_INVALID_ARG above the field, ESP_FAIL below what is burnt.
        """

    def burn_secure_boot_en(self) -> None: ...
    def burn_key_digest(self, slot: int, digest: bytes) -> None:
        """``esp_efuse_write_key``, purpose SECURE_BOOT_DIGEST0 to 2.

        Raises ``OtaError``: ESP_ERR_INVALID_ARG for no such slot, ESP_ERR_INVALID_STATE for one in use,
        ESP_ERR_NOT_ENOUGH_UNUSED_KEY_BLOCKS; ``ValueError`` unless ``digest`` has 32 bytes.
        """

    def revoke_key(self, slot: int) -> None:
        """``esp_efuse_set_digest_revoke``. Raises ``OtaError``: ESP_ERR_NOT_SUPPORTED on ESP32 and ESP32-C2."""

    def burn_flash_encryption_key(self, key: bytes) -> None:
        """``esp_efuse_write_key``, purpose XTS_AES_128_KEY or 256.

        Raises ``OtaError``: ESP_ERR_INVALID_SIZE for a length the chip does not know, ESP_ERR_INVALID_STATE the second
        time, ESP_ERR_NOT_ENOUGH_UNUSED_KEY_BLOCKS.
        """

    def burn_hmac_key(self, block: int, key: bytes) -> None:
        """``esp_efuse_write_key``, purpose HMAC_UP.

        Raises ``OtaError``: ESP_ERR_NOT_SUPPORTED on chips without the peripheral, ESP_ERR_INVALID_ARG for no such block,
        ESP_ERR_INVALID_STATE for one in use; ``ValueError`` unless ``key`` has 32 bytes.
        """

    def burn_key_block(self, block: int, purpose: int) -> None:
        """``esp_efuse_write_key`` of a key that no boot looks at: the block is taken.

        Raises ``OtaError``: ESP_ERR_INVALID_ARG for no such block, ESP_ERR_INVALID_STATE for one in use.
        """

    def burn_recovery_bootloader_sector(self, sector: int) -> None:
        """Burn the bits of ``sector`` too. Raises ``OtaError``: ESP_ERR_NOT_SUPPORTED, ESP_ERR_INVALID_ARG above 12 bits."""

    def burn_bootloader_secure_version(self, version: int) -> None:
        """Burn until ``version`` bits are set. Raises ``OtaError``: ESP_ERR_NOT_SUPPORTED, ESP_ERR_INVALID_ARG above 4."""

    def burn_flash_crypt_cnt(self) -> None:
        """One bit more, which turns encryption on or off. Raises ``OtaError`` (ESP_ERR_EFUSE_CNT_IS_FULL)."""

    def burn_flash_crypt_config(self, config: int) -> None:
        """ESP32: burn the bits of ``config``. Raises ``ValueError`` above 4 bits."""

    def burn_all(self, batch: EFuse) -> None:
        """``esp_efuse_batch_write_commit``: what was burnt in ``batch``, which was a copy of these fuses, in one go."""

    def on_burn(self, listener: Callable[[], object] | None) -> None:
        """Call ``listener()`` after each burn from here on; a copy has none."""

    def to_json(self) -> str:
        """The fuses as the text of a file; the key included."""

    @staticmethod
    def from_json(text: str) -> EFuse:
        """The fuses in the text of a file. Raises ``ValueError`` naming what is wrong."""

    def copy(self) -> EFuse:
        """An independent copy."""

    def __eq__(self, other: object, /) -> bool: ...

@final
class FlashCrypt:
    """The flash encryption engine of one chip with its key: XTS-AES, on ESP32 its own cipher."""

    def __new__(cls, chip: str, key: bytes, *, flash_crypt_config: int = 0xF) -> Self:
        """``key`` as espsecure's key file has it: 16 (ESP32-C2), 32 or 64 bytes, on ESP32 24 or 32. Raises ``ValueError``."""

    @staticmethod
    def of_efuse(efuse: EFuse) -> FlashCrypt | None:
        """The engine that these fuses switch on; ``None`` while encryption is off."""

    @staticmethod
    def of_key(efuse: EFuse) -> FlashCrypt | None:
        """The engine with the key in these fuses, switched on or not. A key that is not burnt reads as zeros."""

    def encrypt(self, address: int, data: Bytes) -> bytes:
        """What stands in flash for plain bytes at ``address``. Raises ``ValueError`` unless both are multiples of 16."""

    def decrypt(self, address: int, data: Bytes) -> bytes:
        """What the cache shows for bytes that stand in flash at ``address``. Raises ``ValueError`` likewise."""

    def __eq__(self, other: object, /) -> bool: ...

# --------------------------------------------------------------------------------------------------------------- flash

@final
class FlashStats:
    """Counters since the flash was made; a fork starts from its parent's."""

    @property
    def reads(self) -> int: ...
    @property
    def read_bytes(self) -> int: ...
    @property
    def programs(self) -> int:
        """Page programs: at most 256 bytes each, never across a page boundary."""

    @property
    def program_bytes(self) -> int: ...
    @property
    def erases(self) -> int:
        """Sector erases."""

    @property
    def program_pieces(self) -> int:
        """The commands that ESP-IDF's driver makes of the page programs: 64 bytes at most."""

    @property
    def block_erases(self) -> int:
        """Blocks of 16 sectors that the driver erases with one command; their sectors are among ``erases``."""

@final
class FlashOp:
    """One mutating operation in the journal: the unit of a fault."""

    @property
    def index(self) -> int: ...
    @property
    def kind(self) -> Literal["program", "erase"]: ...
    @property
    def address(self) -> int: ...
    @property
    def length(self) -> int: ...

@final
class Flash:
    """NOR flash: 4096-byte sectors erase to 0xFF, programming clears bits, 256-byte pages.

    Stricter than silicon: programming a 0 bit to 1 raises ``FlashError`` naming the address; ``strict=False`` gives the
    plain AND of real chips. After a power cut every call raises ``PowerLoss`` until ``power_on()``.
    Safe to share between threads.
    """

    def __new__(cls, size: int = 0x400000, *, strict: bool = True) -> Self:
        """An erased flash. ``size``: a power of two from 1 MiB to 128 MiB, else ``ValueError``."""

    @staticmethod
    def from_bytes(image: Bytes, *, size: int | None = None, strict: bool = True) -> Flash:
        """Load a raw image; the rest stays erased. Without ``size``: the smallest flash that holds it. Raises ``ValueError``."""

    @property
    def size(self) -> int: ...
    @property
    def strict(self) -> bool: ...
    @property
    def powered(self) -> bool: ...
    @property
    def operations(self) -> int:
        """Page programs and sector erases completed since the flash was made."""

    @property
    def stats(self) -> FlashStats: ...
    @property
    def fault(self) -> str:
        """The armed fault plan as text, ``""`` when there is none."""

    @fault.setter
    def fault(self, plan: str) -> None:
        """Arm a plan: parts joined by ``+``. ``""`` disarms. Raises ``ValueError`` for a plan that does not parse.

        ``cut@N``: N operations complete, then the power goes; N counts from the moment of arming, of a second cut from when
        power came back after the first. A call that is refused is no operation. ``cut@N:TEAR``: the next operation is
        ``after`` (completed), ``torn`` (done by half), or, by its kind, ``torn-program`` (its first half), ``torn-program/K``
        (its first K bytes), ``tail-program``, ``bits-program`` (some of the bits), ``torn-erase``, ``bits-erase``,
        ``zero-erase`` (all bits 0: an erase programs first), ``weak-program`` and ``weak-erase`` (some bits read otherwise at each look
        until power has gone once more). A tear of the other kind cuts before the operation.

        ``stuck0@0xADDR.BIT``, ``stuck1@0xADDR.BIT``: that bit stays so while the plan is armed. ``bitflip@0xADDR.BIT``: it
        changes once, now.
        """

    def read(self, address: int, length: int) -> bytes:
        """``esp_flash_read``. Raises ``FlashError`` (ESP_ERR_INVALID_ARG) outside the chip, ``PowerLoss`` when dead."""

    def mmap(self, address: int, length: int) -> bytes:
        """``bootloader_mmap``, ``spi_flash_mmap``: what the cache shows. Raises ``FlashError``, ``PowerLoss``, as ``read``."""

    def program_encrypted(self, address: int, data: Bytes) -> None:
        """``esp_flash_write_encrypted``; plain bytes while encryption is off.

        Raises ``FlashError``: ESP_ERR_INVALID_ARG for an address, ESP_ERR_INVALID_SIZE for a length off 16 bytes.
        """

    @property
    def encryption(self) -> FlashCrypt | None:
        """The engine, when flash encryption is on. ``read`` and ``program`` stay raw; ``mmap`` shows plain bytes."""

    @encryption.setter
    def encryption(self, engine: FlashCrypt | None) -> None: ...
    def program(self, address: int, data: Bytes) -> None:
        """``esp_flash_write``: program page by page. Raises ``FlashError``, ``PowerLoss``.

        A strict flash looks at each page before it programs it; the pages before a refused one stay programmed.
        """

    def erase(self, address: int, length: int) -> None:
        """``esp_flash_erase_region``: whole sectors, ascending. Raises ``FlashError``, ``PowerLoss``."""

    def is_erased(self, address: int, length: int) -> bool:
        """Whether every byte is 0xFF. Not counted as a read. Raises ``FlashError`` outside the chip."""

    def fork(self, *, strict: bool | None = None) -> Flash:
        """An independent copy that shares unchanged sectors: O(1) now, O(dirty sectors) later.

        It has the same power, counters and armed fault, and no journal. It is as strict if nothing else is said.
        """

    def to_bytes(self) -> bytes:
        """The whole chip, readable even when the power is off (as with a programmer)."""

    def erase_counts(self) -> list[int]:
        """Erases of each sector, in order."""

    def fill(self) -> bytes:
        """How full each sector is, in order: 0 is erased, 1 to 8 how many begun eighths of its bytes are not 0xFF."""

    def journal(self) -> list[FlashOp]:
        """The operations completed since ``record(True)``; a fault ``cut@index`` armed then falls on that one."""

    def record(self, on: bool) -> None:
        """Start an empty journal, or stop journalling."""

    def watch(self) -> None:
        """Begin to note on which sectors everything that happens from here depends."""

    def needed(self) -> Sectors:
        """The sectors whose content, as it was at ``watch()``, has mattered since: read, or programmed over, before an erase.

        A flash with the same content there would have led to the same. ``to_bytes()`` does not count as a look.
        """

    def same(self, other: Flash, sectors: Sectors) -> bool:
        """Whether both have the same content in these sectors; weak cells are like no others."""

    def fingerprint(self, sectors: Sectors) -> bytes | None:
        """A name for that content, equal in every process: 32 bytes, ``None`` with weak cells among them."""

    def power_off(self) -> None:
        """Pull the plug between two operations."""

    def power_on(self) -> None:
        """Power comes back; a cut that has happened is spent, one that has not stays armed."""
    def _repr_html_(self) -> str:
        """Which sectors are written, for a notebook."""

@final
class Sectors:
    """A set of sectors of one flash."""

    def __contains__(self, address: int, /) -> bool: ...
    def __or__(self, other: Sectors, /) -> Sectors: ...
    def __ror__(self, other: Sectors, /) -> Sectors: ...
    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def addresses(self) -> list[int]:
        """Of their first bytes, ascending."""

@final
class Recording:
    """The operations of one run over the flash that it began with: the flash as any power cut leaves it."""

    @staticmethod
    def of(flash: Flash) -> Recording | None:
        """What was done to ``flash`` since ``record(True)``, to be cut anywhere; ``None`` when nothing is being recorded."""

    def __len__(self) -> int: ...
    def ops(self) -> list[FlashOp]:
        """The operations, in order."""

    def flash_after(self, count: int) -> Flash:
        """The flash after ``count`` of the operations (all, if there are fewer), with power."""

    def cut(self, plan: str) -> Flash:
        """The flash as the one cut of ``plan`` leaves it, without power: what the armed plan would have left.

        Raises ``ValueError`` for what is not one cut, ``FlashError`` (ESP_ERR_INVALID_ARG) for a cut beyond the last operation
        or a tear of the other kind of operation.
        """

    def over(self, flash: Flash) -> Recording:
        """The same operations over another flash, which must lead to the same ones."""

    def next_in(self, sectors: Sectors, start: int) -> int | None:
        """The number of the first operation from ``start`` on that works on one of these sectors."""

# ----------------------------------------------------------------------------------------------------- partition table

@final
class Partition:
    """One row of a partition table (``esp_partition_info_t``)."""

    def __new__(
        cls,
        label: str,
        type: int,
        subtype: int,
        offset: int,
        size: int,
        *,
        encrypted: bool = False,
        readonly: bool = False,
    ) -> Self: ...
    @property
    def label(self) -> str: ...
    @property
    def type(self) -> int: ...
    @property
    def subtype(self) -> int: ...
    @property
    def type_name(self) -> str:
        """gen_esp32part's keyword, or the number in decimal."""

    @property
    def subtype_name(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def encrypted(self) -> bool: ...
    @property
    def readonly(self) -> bool: ...
    @property
    def ota_slot(self) -> int | None:
        """0 to 15 for app/ota_0 to app/ota_15, else ``None``."""

    def read(self, flash: Flash, offset: int, length: int) -> bytes:
        """``esp_partition_read``, decrypted where the partition is encrypted. Raises ``FlashError``."""

    def read_raw(self, flash: Flash, offset: int, length: int) -> bytes:
        """``esp_partition_read_raw``. Raises ``FlashError``."""

    def write_raw(self, flash: Flash, offset: int, data: Bytes) -> None:
        """``esp_partition_write_raw``. Raises ``FlashError``."""

    def write(self, flash: Flash, offset: int, data: Bytes) -> None:
        """``esp_partition_write``. Raises ``FlashError``."""

    def erase_range(self, flash: Flash, offset: int, length: int) -> None:
        """``esp_partition_erase_range``. Raises ``FlashError``."""

@final
class PartitionTable:
    """Rows in table order, as gen_esp32part.py, the bootloader and the app each read them."""

    def __new__(cls, partitions: Sequence[Partition]) -> Self: ...
    @staticmethod
    def builtin(name: str) -> PartitionTable:
        """One of ``builtin_names()``. Raises ``ValueError``."""

    @staticmethod
    def builtin_names() -> list[str]: ...
    @staticmethod
    def from_csv(
        text: str,
        *,
        table_offset: int = 0x8000,
        primary_bootloader_offset: int | None = None,
        recovery_bootloader_offset: int | None = None,
        secure_v1: bool = False,
        verify: bool = True,
        extra_subtypes: Sequence[tuple[int, str, int]] = ...,
    ) -> PartitionTable:
        """gen_esp32part.py ``PartitionTable.from_csv`` and ``verify``. Environment variables are not expanded here.

        ``secure_v1``, ``verify`` and ``extra_subtypes`` (type, keyword in lower case, value) are the generator's options.

        Raises ``PartitionTableError`` naming the line (``fact["offset"]`` is its number).
        """

    @staticmethod
    def from_bytes(data: Bytes, *, md5: bool = True) -> PartitionTable:
        """gen_esp32part.py ``PartitionTable.from_binary``; without ``md5`` an MD5 row is a row of unknown magic.

        Raises ``PartitionTableError`` naming the row: ESP_ERR_INVALID_STATE, or ESP_ERR_INVALID_SIZE for a part of a row.
        """

    @staticmethod
    def load(flash: Flash, table_offset: int = 0x8000, *, md5: bool = True) -> PartitionTable:
        """``load_partitions`` of components/esp_partition/partition.c: what a running app sees.

        With flash encryption off no row is ``encrypted``, whatever its flag says; with it on some are without. Raises ``FlashError`` outside the flash, and ``PartitionTableError``: ESP_ERR_NOT_FOUND (no MD5 row), ESP_ERR_INVALID_STATE (wrong MD5).
        """

    def check(
        self,
        *,
        table_offset: int = 0x8000,
        flash_size: int | None = None,
        secure_v1: bool = False,
        rules: bool = True,
    ) -> None:
        """gen_esp32part.py ``PartitionTable.verify`` and, with ``flash_size`` in bytes, ``verify_size_fits``.

        Without ``rules`` only the size is looked at.

        Raises ``PartitionTableError`` naming the row, counted from 0 (``fact["offset"]`` is its place in the binary).
        """

    def warnings(self) -> list[str]:
        """What gen_esp32part.py would warn of: names that are another type's or subtype's keyword, unknown flag bits."""

    def to_csv(self) -> str: ...
    def to_bytes(self, *, md5: bool = True) -> bytes:
        """The 3072-byte binary with its MD5 row. Raises ``PartitionTableError`` (ESP_ERR_INVALID_SIZE) above 94 rows."""

    def find(
        self, *, type: int | None = None, subtype: int | None = None, label: str | None = None
    ) -> Partition | None:
        """``esp_partition_find_first``: the first row that matches. A subtype without a type matches nothing."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Partition]: ...
    def __getitem__(self, key: int, /) -> Partition: ...
    def _repr_html_(self) -> str:
        """The rows, for a notebook."""

@final
class TableVerdict:
    """What ``esp_partition_table_verify`` said."""

    @property
    def err(self) -> EspErr: ...
    @property
    def fault(self) -> Fault | None: ...
    @property
    def log(self) -> list[LogLine]: ...
    @property
    def rows(self) -> list[Partition]:
        """The rows the bootloader will walk: the first ``num_partitions`` ones, an MD5 row in the middle included."""

def verify_partition_table(data: Bytes, flash_size: int, *, wraps: bool = False, empty: bool = False) -> TableVerdict:
    """``esp_partition_table_verify`` (components/bootloader_support/src/flash_partitions.c).

    ``wraps``: the end of a row is computed in 32 bits, as in releases up to v6.0. ``empty``: no row at all is a table, as
    in releases up to v5.4.
    """

# --------------------------------------------------------------------------------------------------------------- image

@final
class ImageHeader:
    """``esp_image_header_t``, 24 bytes."""

    @staticmethod
    def from_bytes(data: Bytes) -> ImageHeader:
        """Decode without judging. Raises ``ImageError`` (ESP_ERR_INVALID_SIZE) below 24 bytes."""

    @property
    def magic(self) -> int: ...
    @property
    def segment_count(self) -> int: ...
    @property
    def spi_mode(self) -> int: ...
    @property
    def spi_speed(self) -> int: ...
    @property
    def spi_size(self) -> int: ...
    @property
    def entry_addr(self) -> int: ...
    @property
    def wp_pin(self) -> int: ...
    @property
    def spi_pin_drv(self) -> bytes: ...
    @property
    def chip_id(self) -> int: ...
    @property
    def min_chip_rev(self) -> int: ...
    @property
    def min_chip_rev_full(self) -> int: ...
    @property
    def max_chip_rev_full(self) -> int: ...
    @property
    def hash_appended(self) -> int: ...

@final
class AppDesc:
    """``esp_app_desc_t``, 256 bytes at image offset 0x20. Text is decoded as UTF-8 with replacement up to the first NUL."""

    @staticmethod
    def from_bytes(data: Bytes) -> AppDesc:
        """Raises ``ImageError``: ESP_ERR_INVALID_SIZE below 256 bytes, ESP_ERR_NOT_FOUND for a wrong magic word."""

    @property
    def magic_word(self) -> int: ...
    @property
    def secure_version(self) -> int: ...
    @property
    def version(self) -> str: ...
    @property
    def version_bytes(self) -> bytes:
        """All 32 bytes: what the version check compares."""

    @property
    def project_name(self) -> str: ...
    @property
    def project_name_bytes(self) -> bytes: ...
    @property
    def time(self) -> str: ...
    @property
    def date(self) -> str: ...
    @property
    def idf_ver(self) -> str: ...
    @property
    def app_elf_sha256(self) -> bytes: ...
    @property
    def min_efuse_blk_rev_full(self) -> int: ...
    @property
    def max_efuse_blk_rev_full(self) -> int: ...
    @property
    def mmu_page_size(self) -> int:
        """log2 of the page size; 0 in older images."""

    @property
    def spi_flash_mode(self) -> int: ...

@final
class BootloaderDesc:
    """``esp_bootloader_desc_t``, 80 bytes at image offset 0x20."""

    @staticmethod
    def from_bytes(data: Bytes) -> BootloaderDesc:
        """Raises ``ImageError``: ESP_ERR_INVALID_SIZE below 80 bytes, ESP_ERR_NOT_FOUND for a wrong magic byte."""

    @property
    def magic_byte(self) -> int: ...
    @property
    def secure_version(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def idf_ver(self) -> str: ...
    @property
    def date_time(self) -> str: ...

@final
class Segment:
    """One segment; ``offset`` is where its data starts, counted from the start of the image."""

    @property
    def index(self) -> int: ...
    @property
    def load_addr(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def kind(self) -> Literal["map", "load", "padding"]: ...

class _Segment(TypedDict):
    load_addr: int
    length: int
    offset: int

class _Checksum(TypedDict):
    stored: int | None
    calculated: int | None
    valid: bool

class _Hash(TypedDict):
    appended: bool
    valid: bool | None

class _AppDesc(TypedDict):
    project_name: str
    version: str
    idf_ver: str
    secure_version: int
    time: str
    date: str
    app_elf_sha256: str
    min_efuse_blk_rev_full: int
    max_efuse_blk_rev_full: int
    mmu_page_size: int
    spi_flash_mode: int

class _BootloaderDesc(TypedDict):
    version: int
    idf_ver: str
    date_time: str
    secure_version: int

class _Fault(TypedDict):
    err: str
    field: str
    offset: int
    found: str
    expected: str

class _Signature(TypedDict):
    scheme: str | None
    key_digest: str
    image_digest: str
    faults: list[_Fault]

class _ImageDict(TypedDict):
    valid: bool
    err: str
    kind: Literal["app", "bootloader", "unknown"]
    chip: str | None
    entry: int | None
    segments: list[_Segment]
    checksum: _Checksum
    hash: _Hash
    app_desc: _AppDesc | None
    bootloader_desc: _BootloaderDesc | None
    length: int
    trailing: int
    signature: list[_Signature]
    faults: list[_Fault]
    findings: list[str]

@final
class ImageInfo:
    """Everything readable in some bytes, and everything wrong with them."""

    @property
    def kind(self) -> Literal["app", "bootloader", "unknown"]:
        """``"unknown"`` when the magic byte is not 0xE9.

        ``"bootloader"`` when a bootloader descriptor is found, or no descriptor at all and every segment goes to RAM.
        """

    @property
    def valid(self) -> bool: ...
    @property
    def err(self) -> EspErr:
        """The first fault's code in the verifier's order, or ``ESP_OK``."""

    @property
    def chip(self) -> str | None: ...
    @property
    def header(self) -> ImageHeader | None: ...
    @property
    def segments(self) -> list[Segment]: ...
    @property
    def checksum_stored(self) -> int | None: ...
    @property
    def checksum_calculated(self) -> int | None: ...
    @property
    def hash_stored(self) -> bytes | None: ...
    @property
    def hash_calculated(self) -> bytes | None: ...
    @property
    def app_desc(self) -> AppDesc | None: ...
    @property
    def bootloader_desc(self) -> BootloaderDesc | None: ...
    @property
    def length(self) -> int:
        """Bytes the image says it has, hash included; what could be followed when it is broken."""

    @property
    def trailing(self) -> int:
        """Bytes behind the image: fill, a signature, or what else the file has."""

    @property
    def signature(self) -> list[SignatureBlock]:
        """The blocks of the Secure Boot V2 sector behind the image; empty when there is none."""

    @property
    def faults(self) -> list[Fault]: ...
    @property
    def findings(self) -> list[str]:
        """What older releases make of it where that is worse than to refuse it, each in a sentence that names them."""

    def to_dict(self) -> _ImageDict:
        """The JSON of ``esp-ota image-info --json``."""
    def _repr_html_(self) -> str:
        """What is in the image and what is wrong with it, for a notebook."""

@final
class Verdict:
    """What ``esp_image_verify`` said about one partition."""

    @property
    def err(self) -> EspErr: ...
    @property
    def fault(self) -> Fault | None: ...
    @property
    def log(self) -> list[LogLine]: ...
    @property
    def image_len(self) -> int:
        """``esp_image_metadata_t.image_len`` in bytes; 0 after a failure."""

    @property
    def digest(self) -> bytes:
        """The appended SHA-256, 32 bytes, zeros where nobody has read it; empty when there is none."""

    @property
    def segments(self) -> list[Segment]: ...
    @property
    def secure_version(self) -> int:
        """The app's secure version, when an anti-rollback build verified it; else 0."""

    @property
    def mmu_page_size(self) -> int:
        """The MMU page size in bytes that the app asks for; 0 after a failure."""

    @property
    def assertion(self) -> str | None:
        """An assertion that failed in the verifier: the chip resets and no code is returned at all."""

    @property
    def crash(self) -> str | None:
        """Where the verifier of an older release runs wild: the chip resets, and no code is returned either."""

@final
class VerifyOptions:
    """How the code that looks at an image was built (``CONFIG_*``), and the state of the chip at that moment."""

    def __new__(
        cls,
        *,
        idf_version: tuple[int, int, int] | None = None,
        mmu_page_size: int | None = None,
        signature_scheme: Literal["ecdsa_v1", "rsa3072", "ecdsa192", "ecdsa256", "ecdsa384"] | None = None,
        check_signature: bool = False,
        secure_boot_v2: bool = False,
        anti_rollback: bool = False,
        secure_version_size: int | None = None,
        bringup: bool = False,
        debugger_attached: bool = False,
        deep_sleep_wake: bool = False,
        mapping_kept: bool = False,
        assertions_disabled: bool = False,
        bootloader_offset: int | None = None,
        loader_text: tuple[int, int] | None = None,
        loader_data: tuple[int, int] | None = None,
        trusted_digests: Sequence[bytes] = ...,
        v1_public_key: bytes | None = None,
    ) -> Self:
        """The newest release, default page size, unsigned apps, unless said otherwise.

        Args:
            idf_version: the release whose behaviour is meant, where it changed.
            mmu_page_size: bytes; what the chip's builds get for the flash's size when not given.
            signature_scheme: how apps are signed; room for the signature is asked for even by builds that do not look.
            check_signature: this build looks at signatures.
            secure_boot_v2: ``SECURE_BOOT_V2_ENABLED``: bootloader images are hashed and signed too.
            anti_rollback: ``BOOTLOADER_APP_ANTI_ROLLBACK``.
            secure_version_size: bits of the eFuse field in use; all when not given.
            bringup: ``IDF_ENV_BRINGUP``: a wrong hash is told and forgiven.
            debugger_attached: sums are not compared then.
            deep_sleep_wake: what goes to RTC memory is there already.
            mapping_kept: an earlier look left its mapping behind, so that no app descriptor can be seen.
            assertions_disabled: ``COMPILER_OPTIMIZATION_ASSERTIONS_DISABLE``: what is asserted is not looked at.
            bootloader_offset: ``esp_image_bootloader_offset_set``, one more address of a bootloader image.
            loader_text: where the bootloader's own code lies, which no segment may overwrite; all its room if not given.
            loader_data: where its data lies; the same.
            trusted_digests: SHA-256 of the running app's keys, for signed apps without secure boot.
            v1_public_key: 64 bytes, X then Y, built into app and bootloader.

        Raises ``ValueError`` for what no build can be.
        """

def inspect_image(
    data: Bytes, *, chip: str | None = None, kind: Literal["auto", "app", "bootloader"] = "auto"
) -> ImageInfo:
    """Read all there is and name every fault; no bytes make it fail.

    Args:
        data: a file that starts with an image.
        chip: the chip it must be for.
        kind: whose rules apply. A bootloader needs no room for an app descriptor, and its hash is shown, not judged.

    Raises ``ValueError`` for an unknown chip or kind.
    """

def verify_image(
    flash: Flash,
    offset: int,
    size: int,
    *,
    chip: str | None = None,
    build: Literal["app", "bootloader"] = "app",
    mode: Literal["verify", "verify_silent", "load", "load_no_validate", "metadata"] = "verify",
    efuse: EFuse | None = None,
    options: VerifyOptions | None = None,
    chip_revision: int | None = None,
    efuse_block_revision: int | None = None,
) -> Verdict:
    """``esp_image_verify``, ``bootloader_load_image`` (components/bootloader_support/src/esp_image_format.c).

    Judges the partition ``[offset, offset + size)`` in upstream's order and stops at the first fault, as the app build or
    the bootloader build of the chip that ``chip`` or ``efuse`` names; the revisions replace those of the fuses.
    ``mode="metadata"`` is ``esp_image_get_metadata``, which only follows the segments. An ``offset`` equal to the chip's
    bootloader offset is a bootloader image. A verdict is remembered while the bytes it was made of are unchanged.

    Raises ``ValueError`` for an unknown chip or a load in the app build, ``PowerLoss`` when the flash is dead.
    """

def flash_sha256(flash: Flash, address: int, length: int) -> bytes:
    """``bootloader_sha256_flash_contents``: SHA-256 of what the cache shows. Raises ``FlashError``, ``PowerLoss``."""

def md5(data: bytes) -> bytes:
    """MD5 of ``data``."""

def sha256(data: bytes) -> bytes:
    """SHA-256 of ``data``."""

def sha256_compress(state: bytes, data: bytes) -> bytes:
    """What a SHA accelerator does with the whole 64-byte blocks of ``data``: the digest so far, 32 bytes, and the next."""

def whole(source: Bytes, /) -> bytes:
    """The bytes themselves: those of a buffer, or of the file that a path names. ``bytes`` come back as they are.

    Raises ``TypeError`` for anything else, and what reading the file raises.
    """

def check_image_validity(
    header: ImageHeader,
    desc: AppDesc | None,
    *,
    chip: str,
    chip_revision: int | None = None,
    running: AppDesc | None = None,
    no_max_revision: bool = False,
) -> Verdict:
    """``esp_ota_check_image_validity``: chip id, chip revision, then SPI flash mode against the running app's.

    ``no_max_revision``: the header's upper bound is not looked at, as for bootloaders.

    ``err`` is ESP_OK, ESP_ERR_INVALID_VERSION or ESP_ERR_OTA_SPI_MODE_MISMATCH.
    """

# ----------------------------------------------------------------------------------------------------------- signatures

_SchemeV2: TypeAlias = Literal["rsa3072", "ecdsa192", "ecdsa256", "ecdsa384"]

@final
class SignatureBlock:
    """One block of a Secure Boot V2 signature sector that is not blank, read as it describes itself."""

    @property
    def offset(self) -> int:
        """Where it stands in what was given; in its sector that is 0, 1216 or 2432."""

    @property
    def valid(self) -> bool:
        """Whether it has no fault."""

    @property
    def version(self) -> int:
        """2 for RSA-3072, 3 for ECDSA."""

    @property
    def crc_ok(self) -> bool: ...
    @property
    def scheme(self) -> _SchemeV2 | None:
        """``None`` when version, hash and curve are no scheme together."""

    @property
    def key_digest(self) -> bytes:
        """SHA-256 of the public key, as a chip keeps it in its eFuses; empty without a scheme."""

    @property
    def image_digest(self) -> bytes:
        """The digest of the signed bytes that stands in the block; empty without a scheme."""

    @property
    def verified(self) -> bool | None:
        """Whether the signature is the key's own over the signed bytes; ``None`` when those are not known."""

    @property
    def faults(self) -> list[Fault]:
        """Everything wrong with it; offsets count from the start of what was given."""

@final
class SignatureVerdict:
    """What was said about signatures: ``err``, the console, and why not in words."""

    @property
    def err(self) -> EspErr: ...
    @property
    def log(self) -> list[LogLine]: ...
    @property
    def detail(self) -> str:
        """Empty when nothing is wrong."""

def signature_blocks(data: Bytes, digest: bytes | None = None) -> list[SignatureBlock]:
    """The blocks in a 4096-byte signature sector, or in the last sector of a signed image.

    With the signed bytes, or with their ``digest`` for a sector alone, the signatures are verified too. Raises
    ``ValueError`` for what is not whole sectors.
    """

def verify_signature_v1(data: bytes, public_key: bytes) -> SignatureVerdict:
    """``esp_secure_boot_verify_signature`` of version 1 over a whole file: what is signed, then 68 bytes.

    ``public_key`` is X then Y, highest byte first. Raises ``ValueError`` unless it has 64 bytes.
    """

def signing_slots(flash: Flash, offset: int, size: int, *, efuse: EFuse, scheme: _SchemeV2) -> list[int]:
    """``esp_secure_boot_verify_with_efuse_digest_index`` for every index: the slots whose key signed an image.

    The image in ``[offset, offset + size)`` is followed to its end, not judged. Empty when it cannot be followed or no
    key of a slot that is not revoked signed it. Raises ``PowerLoss`` when the flash is dead.
    """

def rom_verify_signature(efuse: EFuse, sector: bytes, digest: bytes, *, scheme: _SchemeV2) -> bool:
    """``ets_secure_boot_verify_signature`` as the ROM calls it for the bootloader (its source is not public).

    With ``SECURE_BOOT_AGGRESSIVE_REVOKE`` burnt, a trusted key whose signature fails is revoked.
    """

def enable_secure_boot(
    flash: Flash,
    efuse: EFuse,
    *,
    bootloader: tuple[int, int],
    app: tuple[int, int],
    scheme: _SchemeV2,
    allow_unused_slots: bool = False,
    aggressive_revoke: bool = False,
) -> SignatureVerdict:
    """``esp_secure_boot_v2_permanently_enable``: burn the keys of the bootloader's signature blocks, then the enable bit.

    ``bootloader`` and ``app`` are address and size of their regions; both images were verified before. Every block must
    hold the right digest and a right signature, and app and bootloader must share a key; slots beyond the number of keys
    are revoked unless ``allow_unused_slots``. When the verdict is not ESP_OK nothing is burnt. Raises ``PowerLoss`` when
    the flash is dead.
    """

# ------------------------------------------------------------------------------------------------------------- otadata

@final
class OtaSelectEntry:
    """``esp_ota_select_entry_t``, 32 bytes. The CRC covers ``ota_seq`` alone."""

    def __new__(cls, ota_seq: int, ota_state: int, *, seq_label: bytes = ..., crc: int | None = None) -> Self:
        """Without ``crc`` the right one is computed; ``seq_label`` defaults to 20 bytes of 0xFF."""

    @staticmethod
    def from_bytes(data: Bytes) -> OtaSelectEntry:
        """Decode 32 bytes; any bytes are an entry. Raises ``ValueError`` for another length."""

    def to_bytes(self) -> bytes: ...
    def with_state(self, ota_state: int) -> OtaSelectEntry:
        """The same entry, CRC and label as read, in another state."""

    @property
    def ota_seq(self) -> int: ...
    @property
    def seq_label(self) -> bytes: ...
    @property
    def ota_state(self) -> int: ...
    @property
    def crc(self) -> int: ...
    @property
    def crc_ok(self) -> bool: ...
    @property
    def invalid(self) -> bool:
        """``bootloader_common_ota_select_invalid``: blank, INVALID or ABORTED; the CRC is not looked at."""

    @property
    def valid(self) -> bool:
        """``bootloader_common_ota_select_valid``: not invalid, and the CRC matches."""
    def _repr_html_(self) -> str:
        """Its fields, and whether the bootloader goes by it, for a notebook."""

def ota_select_crc(ota_seq: int) -> int:
    """``bootloader_common_ota_select_crc``."""

def active_otadata(first: OtaSelectEntry, second: OtaSelectEntry) -> int:
    """``bootloader_common_get_active_otadata``: 0, 1, or -1 when neither is valid."""

def ota_slot(ota_seq: int, app_count: int) -> int:
    """``(ota_seq - 1) % app_count`` in 32 bits. Raises ``ValueError`` when ``app_count`` is 0."""

def rewrite_target(first: OtaSelectEntry, second: OtaSelectEntry, slot: int, app_count: int) -> tuple[int, int]:
    """``esp_rewrite_ota_data`` before it writes: which entry, and the new ``ota_seq`` that selects ``slot``.

    Raises ``ValueError`` unless ``slot < app_count <= 255``, and ``OtaError`` (ESP_FAIL) near 2**32 where the chip's search
    for a number would never end.
    """

def read_otadata(flash: Flash, offset: int) -> tuple[OtaSelectEntry, OtaSelectEntry]:
    """The entries at ``offset`` and ``offset + 0x1000``. Raises ``FlashError``, ``PowerLoss``."""

def write_otadata(flash: Flash, offset: int, index: int, entry: OtaSelectEntry) -> None:
    """Erase the sector of entry ``index``, then program its 32 bytes. Raises ``FlashError``, ``PowerLoss``."""

# ---------------------------------------------------------------------------------------------------------------- boot

@final
class BootTable:
    """``bootloader_state_t``: the partition table as the bootloader remembers it (the last duplicate wins).

    Address 0 is the bootloader's word for "no such row": factory, test and otadata there count as absent.
    """

    def __new__(cls, rows: Sequence[Partition]) -> Self: ...
    @property
    def factory(self) -> Partition | None: ...
    @property
    def test(self) -> Partition | None: ...
    @property
    def ota_info(self) -> Partition | None: ...
    @property
    def app_count(self) -> int:
        """Rows of type app/ota_x: gaps and duplicates are counted as they stand."""

    def partition(self, index: int) -> Partition | None:
        """``index_to_partition``: -1 factory, -2 test, 0 to 15 an OTA slot below ``app_count``."""

    def usages(self) -> list[str]:
        """The Usage column of the boot log, row by row."""

@final
class Selection:
    """Which slot the bootloader tries first, and what made it so."""

    @property
    def index(self) -> int: ...
    @property
    def active(self) -> int:
        """The otadata entry that decided: 0, 1, or -1."""

    @property
    def self_heal(self) -> bool:
        """Whether a successful boot from an OTA slot writes otadata entry 0 (``set_actual_ota_seq``)."""

    @property
    def log(self) -> list[LogLine]: ...

def select_boot_partition(table: BootTable, first: OtaSelectEntry, second: OtaSelectEntry) -> Selection:
    """``bootloader_utility_get_selected_boot_partition``, the choice alone: the caller has already turned
    PENDING_VERIFY into ABORTED, and turns NEW into PENDING_VERIFY afterwards."""

def boot_order(start: int, app_count: int) -> list[int]:
    """``bootloader_utility_load_boot_image``: the indices tried, in order, the test app (-2) last.

    Raises ``ValueError`` for numbers that no partition table leads to.
    """

@final
class RtcRetain:
    """``rtc_retain_mem_t`` without a custom area: what the bootloader keeps in RTC memory over resets and deep sleep."""

    def __new__(
        cls, *, offset: int = 0, size: int = 0, reboot_counter: int = 0, factory_reset_state: bool = False
    ) -> Self: ...
    @staticmethod
    def from_bytes(data: bytes) -> RtcRetain | None:
        """The record in 16 bytes; ``None`` for another length, a wrong CRC, or memory that is all zero."""

    def to_bytes(self) -> bytes: ...
    @property
    def offset(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def reboot_counter(self) -> int: ...
    @property
    def factory_reset_state(self) -> bool: ...

# -------------------------------------------------------------------------------------------------------------- writer

@final
class OtaWriter:
    """The flash half of ``esp_ota_write``: sequential, with erase as it goes."""

    def __new__(cls, partition: Partition, *, need_erase: bool, magic: bytes = ..., wrote_size: int = 0) -> Self:
        """Goes on ``wrote_size`` bytes after the start of ``partition``.

        ``need_erase``: opened with OTA_WITH_SEQUENTIAL_WRITES. ``magic``: what the very first data must begin with, 0xE9
        unless said otherwise; empty for anything.
        """

    def set_magic(self, magic: bytes) -> None:
        """What the very first data must begin with from now on."""

    @property
    def wrote_size(self) -> int: ...
    def flush(self, flash: Flash) -> None:
        """``esp_ota_end``: with flash encryption on, program the block that waits. Raises ``FlashError``, ``PowerLoss``."""

    def write(self, flash: Flash, data: Bytes) -> None:
        """Raises ``FlashError``, ``PowerLoss``, and ``OtaError`` (ESP_ERR_OTA_VALIDATE_FAILED) for a wrong beginning."""

    def write_with_offset(self, flash: Flash, offset: int, data: Bytes) -> None:
        """``esp_ota_write_with_offset``: program at ``offset`` and count; no erase. Raises ``FlashError``, ``PowerLoss``."""

# ----------------------------------------------------------------------------------------------------------------- NVS

_NvsType: TypeAlias = Literal["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "float", "double", "str", "blob"]

@final
class NvsEntry:
    """One value in the order of the iterator (``nvs_entry_info_t``)."""

    @property
    def namespace(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def type(self) -> _NvsType: ...
    def __hash__(self) -> int: ...
    def __eq__(self, value: object, /) -> bool: ...

@final
class NvsStats:
    """``nvs_stats_t``, in entries of 32 bytes; erased ones count as free."""

    @property
    def used_entries(self) -> int: ...
    @property
    def free_entries(self) -> int: ...
    @property
    def available_entries(self) -> int: ...
    @property
    def total_entries(self) -> int: ...
    @property
    def namespace_count(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, value: object, /) -> bool: ...

@final
class NvsPage:
    """One page as RAM knows it; ``seq`` is ``None`` for a page that is not in use."""

    @property
    def offset(self) -> int: ...
    @property
    def state(self) -> Literal["UNINITIALIZED", "ACTIVE", "FULL", "FREEING", "CORRUPT", "INVALID"]: ...
    @property
    def seq(self) -> int | None: ...
    @property
    def version(self) -> int: ...
    @property
    def used(self) -> int: ...
    @property
    def erased(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, value: object, /) -> bool: ...

@final
class NvsPartition:
    """``nvs_flash_init_partition_ptr``: what an app holds in RAM. A reset loses it; the values stay on the flash.

    ``idf_version`` chooses the release (the newest when not given); ``keys`` are the 64 bytes of an encrypted partition;
    ``repaired`` spares a blob whose update was cut just before its index (the chip loses it). Raises ``NvsError`` and
    ``PowerLoss``.
    """

    def __new__(
        cls,
        flash: Flash,
        partition: Partition,
        *,
        idf_version: tuple[int, int, int] | None = None,
        keys: bytes | None = None,
        legacy_dup_keys_compatibility: bool = False,
        repaired: bool = False,
    ) -> Self: ...
    def open(self, namespace: str, mode: Literal["readonly", "readwrite", "readwrite_purge"] = "readonly") -> NvsHandle:
        """``nvs_open_from_partition``; a namespace is made when opened for writing. Raises ``NvsError``."""

    def entries(self, namespace: str | None = None) -> list[NvsEntry]:
        """``nvs_entry_find`` and ``nvs_entry_next``; a blob of format version 1 is not shown."""

    def stats(self) -> NvsStats:
        """``nvs_get_stats``. Raises ``NvsError``."""

    def namespaces(self) -> list[tuple[str, int]]:
        """The directory in page order: names and numbers."""

    def pages(self) -> list[NvsPage]:
        """The pages by address."""
    def _repr_html_(self) -> str:
        """Every entry, for a notebook."""

@final
class NvsHandle:
    """An open namespace. Every call raises ``NvsError``, and ``PowerLoss`` when the flash is dead."""

    def get(self, key: str, type: _NvsType) -> int | float | str | bytes:
        """``nvs_get_*``: another type under the key is ESP_ERR_NVS_NOT_FOUND, as on the chip."""

    def set(self, key: str, type: _NvsType, value: float | str | bytes) -> None:
        """``nvs_set_*``: on flash when it returns. Raises ``ValueError`` for a number the type cannot hold."""

    def find_key(self, key: str) -> _NvsType:
        """``nvs_find_key``: the type of a value."""

    def erase_key(self, key: str) -> None:
        """``nvs_erase_key``."""

    def erase_all(self) -> None:
        """``nvs_erase_all``: every value of the namespace, not its name."""

    def purge_all(self) -> None:
        """``nvs_purge_all``: zeros over what was erased before."""

    def used_entry_count(self) -> int:
        """``nvs_get_used_entry_count``: entries of this namespace, without its own in the directory."""

def read_nvs_keys(flash: Flash, partition: Partition) -> bytes:
    """``nvs_flash_read_security_cfg``: the 64 bytes in a key partition. Raises ``NvsError``."""

def write_nvs_keys(flash: Flash, partition: Partition, keys: bytes) -> None:
    """A key partition as a factory flashes it: erase, then write 64 given bytes and their CRC."""

def generate_nvs_keys(flash: Flash, partition: Partition) -> bytes:
    """``nvs_flash_generate_keys``: erase, write constants past flash encryption; what they decrypt to is the keys.

    Raises ``NvsError``, ``FlashError`` and ``PowerLoss``.
    """

def derive_nvs_keys(hmac_key: bytes) -> bytes:
    """``compute_nvs_keys_with_hmac``: the 64 bytes of both keys. Raises ``ValueError`` unless ``hmac_key`` has 32."""

# ------------------------------------------------------------------------------------------------------- machine code

_P = ParamSpec("_P")
_R = TypeVar("_R")

@final
class Words:
    """The registers of a chip by address, each the word written last. A value's higher bits are lost."""

    def __new__(cls) -> Self: ...
    def get(self, address: int, default: int = 0, /) -> int:
        """The word at ``address``, or ``default`` where none was written."""

    def __getitem__(self, key: int, /) -> int: ...
    def __setitem__(self, key: int, value: int, /) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def bytes_at(self, address: int, length: int, /, *, big: bool = False) -> bytes:
        """``length`` bytes of words that follow each other, of each its lowest byte first, the highest with ``big``."""

    def put_bytes_at(self, address: int, data: bytes, /, *, big: bool = False) -> None:
        """Whole words from bytes in the same order."""

    def items(self) -> list[tuple[int, int]]:
        """Address and word, in the order of addresses."""

    def copy(self) -> Words:
        """The same words once more."""

    def become_copy_of(self, other: Words) -> None:
        """These words and no others from now on."""

    def begin_with(self, words: Mapping[int, int]) -> None:
        """These words and no others from now on."""

@final
class Handlers(Generic[_P, _R]):
    """The devices that answer for registers, by address: called with the word written, or for the word read."""

    def __new__(cls) -> Self: ...
    def get(self, address: int, /) -> Callable[_P, _R] | None:
        """The device at ``address``."""

    def __getitem__(self, key: int, /) -> Callable[_P, _R]: ...
    def __setitem__(self, key: int, value: Callable[_P, _R], /) -> None: ...
    def __delitem__(self, key: int, /) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __len__(self) -> int: ...

@final
class Kept:
    """A device: a register that reads as the word written last with the bits ``ones`` set and ``zeros`` not."""

    def __new__(cls, words: Words, address: int, *, ones: int = 0, zeros: int = 0) -> Self: ...
    def __call__(self, *args: Never, **kwargs: Never) -> int: ...

@final
class Switch:
    """A device: a register whose word is kept, and ``told`` is called when one of ``bits`` is written."""

    def __new__(cls, words: Words, address: int, bits: int, told: Callable[[], None]) -> Self: ...
    def __call__(self, value: int, /) -> None: ...

@final
class Compression:
    """A device: a store makes a hash accelerator take one block. SHA-256, big-endian words.

    It goes from ``initial``, or from the 32 bytes of registers at ``state``, to those, by the 64 at ``message``.
    """

    def __new__(cls, words: Words, *, message: int, state: int, initial: bytes | None = None) -> Self: ...
    def __call__(self, value: int, /) -> None: ...

@final
class Printed:
    """What a chip prints. A letter that one console says after another, as ROM makes all of them do, is there once."""

    def __new__(cls, last_words: Sequence[str]) -> Self:
        """``last_words``: what code says that stops for good."""

    def console(self, told: Callable[[], None]) -> Console:
        """One console more; ``told`` is called when a line that holds last words ends on it."""

    def add(self, text: str) -> None:
        """Print ``text``, on whatever console."""

    def clear(self) -> None:
        """What was printed is gone; what a console has yet to say after another is not."""

    def reset(self) -> None:
        """Nothing was printed."""

    def copy(self) -> Printed:
        """The same once more; it has no consoles."""

    def become_copy_of(self, other: Printed) -> None:
        """As it was at ``copy``."""

@final
class Console:
    """A device: a register into which code stores letters, the lowest byte of each word."""

    def __call__(self, value: int, /) -> None: ...

@final
class Pieces:
    """What windows to a flash are to show: the window, offset and length in it, and the place in flash or ``None``."""

    def __iter__(self) -> Iterator[tuple[int, int, int, int | None]]: ...

@final
class ShownPages:
    """The pages of a flash that a cache shows through its MMU."""

    def __new__(cls, parts: Sequence[tuple[int, int]], entries: int, *, bit: int, set: bool, mask: int) -> Self:
        """``parts``: which bytes, from and up to, of all that the MMU maps each window shows.

        A word of the MMU shows the page in its bits ``mask`` when ``bit`` is as ``set`` says.
        """

    def sync(self, table: bytes, size: int, flash: int) -> Pieces:
        """The MMU holds ``table``, words, and pages have ``size`` bytes, the flash ``flash``: what changes of it.

        An address beyond the flash comes round again.
        """

    def reset(self) -> Pieces:
        """Nothing is shown, and never was."""

    def restore(self, history: Sequence[int]) -> None:
        """These places were shown, the latest last, and everything that is shown now is old."""

    def forget(self, address: int, length: int) -> None:
        """These bytes of the flash have changed: their pages are old."""

    def place(self, entry: int) -> int | None:
        """Where in flash the page is that an entry shows, below zero for one that is old; ``None``: it shows nothing."""

    def history(self) -> list[int]:
        """The places in flash that were shown since the reset, the latest first."""

    @property
    def mapped(self) -> int:
        """How many pages the MMU mapped when it was looked at last."""

    @property
    def size(self) -> int:
        """The size of a page then, bytes."""

@final
class CpuState:
    """The registers of a CPU as they were."""

@final
class CpuMemory:
    """The memory of a CPU as it was. Copies share what did not change."""

@disjoint_base
class Cpu:
    """One core of ``rust/esp-cpu`` with its memory: an engine of ``py_esp_ota.silicon``, which says what each call means.

    A device that is read is asked while an instruction is done, and may look at registers only (``RuntimeError``). One
    that is written is told when the instruction is done, and may look at everything, and change it.
    """

    watcher: Any
    effort: int
    instructions: int
    pc: int
    ra: int

    def __new__(cls, chip: str, words: Words, on_read: Handlers[[], int], on_write: Handlers[[int], None]) -> Self:
        """The first core of ``chip``. Raises ``ValueError`` for one that is not known."""

    def add_memory(self, size: int, windows: Sequence[tuple[int, int]]) -> int:
        """A block of memory, seen at each window (address; rights: 1 read, 2 write, 4 execute): its number."""

    def add_flash(self, size: int, windows: Sequence[tuple[int, int]]) -> int:
        """The same for what a cache shows of a flash: the number of the window, whose pages come when touched."""

    def add_registers(self, begin: int, end: int) -> None:
        """The registers answer from ``begin`` up to ``end``."""

    def add_alias(self, begin: int, end: int, to: int) -> None:
        """The registers from ``to`` on answer from ``begin`` up to ``end`` too."""

    def add_random(self, address: int) -> None:
        """The register that is another number each time it is read; the word there is the generator's state."""

    def show(self, pieces: Pieces, flash: Flash | None = None) -> None:
        """Show pieces of ``flash``, as they are now; those that have no place in it, zeros. Raises ``PowerLoss``."""

    def run(self, pc: int, count: int) -> int:
        """Run from ``pc``: how many instructions it were. Raises what a callback raised, and ``KeyboardInterrupt``."""

    def stop(self) -> None: ...
    def interrupt(self) -> None: ...
    def charge(self, effort: int) -> bool: ...
    def set_loads(self, loads: Callable[[int, int], None] | None) -> None:
        """Call ``loads`` with address and length before a page of the flash comes."""

    @property
    def waits(self) -> bool: ...
    @property
    def interruptible(self) -> bool: ...
    def enter(self, cause: int, value: int) -> None: ...
    def let_in(self, number: int, level: int, *, vectored: bool, user: bool) -> bool: ...
    def watch_rom(self, begin: int, end: int) -> int: ...
    def watch(self, callback: Callable[[int], None], begin: int, end: int) -> int: ...
    def unwatch(self, number: int) -> None: ...
    def register(self, number: int) -> int: ...
    def set_register(self, number: int, value: int) -> None: ...
    def special(self, number: int) -> int:
        """A CSR of RISC-V, a special register of Xtensa, by its number. Raises ``ValueError`` for one that is none."""

    def set_special(self, number: int, value: int) -> None: ...
    def set_lines(self, mask: int) -> None: ...
    def advance(self, cycles: int) -> None: ...
    def set_look(self, cycles: int) -> None: ...
    def state(self) -> list[int]: ...
    def save_registers(self) -> CpuState: ...
    def restore_registers(self, state: CpuState) -> None: ...
    def save_memory(self) -> CpuMemory: ...
    def restore_memory(self, memory: CpuMemory) -> None: ...
    def reset(self, stack_top: int) -> None: ...
    def peek(self, address: int, length: int) -> bytes: ...
    def poke(self, address: int, data: Bytes) -> None: ...
    def get(self, block: int, offset: int, length: int) -> bytes: ...
    def put(self, block: int, offset: int, data: Bytes) -> None: ...
    def clear(self, block: int) -> None: ...
    @property
    def sp(self) -> int: ...
    def argument(self, index: int) -> int: ...
    def set_argument(self, index: int, value: int) -> None: ...
    def result(self, value: int, *, wide: bool) -> None: ...
    def go_to(self, address: int) -> None: ...
