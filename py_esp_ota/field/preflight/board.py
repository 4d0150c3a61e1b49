"""The board before the update: its flash, its eFuses, and how bootloader and app were built, as far as bytes tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from py_esp_ota._core import (
    AppDesc,
    EFuse,
    Flash,
    ImageInfo,
    Partition,
    Target,
    inspect_image,
    verify_partition_table,
)
from py_esp_ota.errors import EspError
from py_esp_ota.field.preflight.texts import built_with_rollback
from py_esp_ota.releases import release_of
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.silicon.build import CompiledBuild, compiled_build

if TYPE_CHECKING:  # it brings machine code along, which most answers do without
    from py_esp_ota.silicon.can_roll_back import CanRollBack

_ROOM = 0x8000  # of a bootloader
_SAID = "so it was said of CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE"
_MAGIC = b"\xe9"
_DESC, _DESC_SIZE = 0x20, 256
_TABLE_LENGTH, _APP = 0xC00, 0x00
_HASH, _SECTOR = 32, 0x1000  # the last bytes of an image may be 0xFF, and those of a signature's sector are
#: Chips with this revision and above have Secure Boot V2 on the ESP32.
_ESP32_V2 = 300
_SCHEMES: Mapping[str, Mapping[str, bool]] = {
    "rsa3072": {"secure_signed_apps_rsa_scheme": True},
    "ecdsa192": {"secure_signed_apps_ecdsa_v2_scheme": True, "secure_boot_ecdsa_key_len_192_bits": True},
    "ecdsa256": {"secure_signed_apps_ecdsa_v2_scheme": True, "secure_boot_ecdsa_key_len_256_bits": True},
    "ecdsa384": {"secure_signed_apps_ecdsa_v2_scheme": True, "secure_boot_ecdsa_key_len_384_bits": True},
}


@dataclass(frozen=True, slots=True)
class Board:
    """What a user has of a device.

    Attributes:
        name: what it is called in sentences, a file perhaps.
        flash: all of it.
        target: the chip.
        efuse: its eFuses, or those of a new chip.
        knows_efuse: whether they are its own.
        config: how bootloader and app were built; ``partition_table_offset`` and ``idf_version`` in any case.
        says_config: whether an sdkconfig says it.
        says_rollback: whether somebody has said ``bootloader_app_rollback_enable``.
        release: who says ``idf_version``, in words.
        start: the flash address of the dump's first byte.
        end: the first address behind the dump's last byte; what lies behind is taken as erased.
        parts: put together from a build directory or parts: nothing is missing behind ``end``.
        can: the answer of the bootloader itself, when it was run.
    """

    name: str
    flash: Flash
    target: Target
    efuse: EFuse
    knows_efuse: bool
    config: Sdkconfig
    says_config: bool
    says_rollback: bool
    release: str
    start: int = 0
    end: int = 0
    parts: bool = False
    can: CanRollBack | None = None
    _looks: dict[tuple[int, int], ImageInfo] = field(default_factory=dict, repr=False, compare=False)

    def read(self, partition: Partition) -> bytes:
        """A partition as the cache shows it, up to what the flash has."""
        room = max(min(partition.size, self.flash.size - partition.offset), 0)
        return self.flash.mmap(partition.offset, room) if room else b""

    def look(self, partition: Partition) -> ImageInfo:
        """The image in a partition; looked at once."""
        where = partition.offset, partition.size
        if where not in self._looks:
            data = self.read(partition)
            end = -(-(len(data.rstrip(b"\xff")) + _HASH) // _SECTOR) * _SECTOR
            self._looks[where] = inspect_image(data[:end], chip=self.target.name)
        return self._looks[where]

    @property
    def has_loader(self) -> bool:
        """Whether a bootloader lies where ROM looks for one."""
        return self.flash.mmap(self.target.bootloader_offset, 1) == _MAGIC

    @property
    def loader_length(self) -> int:
        """Of a whole image, its own length; else up to the last byte that is written, which encryption hides."""
        data = self.loader_bytes()
        info = inspect_image(data, chip=self.target.name, kind="bootloader")
        return len(data.rstrip(b"\xff")) if info.faults else info.length

    def loader_bytes(self) -> bytes:
        """The place of the bootloader, up to the partition table."""
        start = self.target.bootloader_offset
        room = self.config.partition_table_offset - start
        return self.flash.mmap(start, room if room > 0 else _ROOM)


@dataclass(frozen=True, slots=True)
class Builds:
    """How the two programs on the board were built.

    ``rollback`` is whether the bootloader can roll back, and ``why`` who says so; ``app_rollback`` the same option of
    the running app. ``None``: nobody says it, and it is taken to be on.
    """

    loader: Sdkconfig
    compiled: CompiledBuild | None
    rollback: bool | None
    why: str
    contradicts: tuple[str, ...] = ()


def builds_of(board: Board) -> Builds:
    """The bootloader's options: what it does, then what its texts show, then what was said."""
    config = _with_secure_boot(board, board.config)
    if not board.has_loader:
        rollback = config.bootloader_app_rollback_enable if board.says_rollback else None
        return Builds(config, None, rollback, _SAID if board.says_rollback else "there is no bootloader to ask")
    build = compiled_build(board.flash.mmap(board.target.bootloader_offset, _ROOM))
    contradicts = tuple(
        f"CONFIG_{name.upper()}={'y' if getattr(config, name) else 'n'}"
        for name, shown in build.options.items()
        if board.says_config and getattr(config, name) != shown
    )
    rollback, why = _rollback(board, build)
    options: dict[str, bool] = {**build.options}
    if rollback is not None:
        options["bootloader_app_rollback_enable"] = rollback
    if not rollback and rollback is not None:
        options["bootloader_app_anti_rollback"] = False
    return Builds(replace(config, **options), build, rollback, why, contradicts)  # type: ignore[arg-type]


def _rollback(board: Board, build: CompiledBuild) -> tuple[bool | None, str]:
    if board.can is not None and board.can.answer is not None:
        return board.can.answer, board.can.reason
    if build.options.get("bootloader_app_anti_rollback"):
        return True, "it has anti-rollback, which needs rollback"
    if board.says_rollback:
        return board.config.bootloader_app_rollback_enable, _SAID
    if board.can is not None:
        return None, board.can.reason
    return None, "neither its texts nor its size tell; --run asks it"


def _with_secure_boot(board: Board, config: Sdkconfig) -> Sdkconfig:
    """Burnt eFuses without a word about the build: it has Secure Boot V2, with the scheme that images here have."""
    if config.secure_boot or not board.efuse.secure_boot_en:
        return config
    if board.target.name == "esp32" and board.efuse.chip_revision < _ESP32_V2:
        return config
    scheme = next(_schemes(board), "rsa3072")
    return replace(config, secure_boot=True, secure_boot_v2_enabled=True, **_SCHEMES[scheme])  # type: ignore[arg-type]


def _schemes(board: Board) -> Iterator[str]:
    for row in apps_of(board):
        yield from (block.scheme for block in board.look(row).signature if block.scheme is not None)


def apps_of(board: Board) -> list[Partition]:
    """The app partitions, as the bootloader walks them."""
    data = board.flash.mmap(board.config.partition_table_offset, _TABLE_LENGTH)
    return [row for row in verify_partition_table(data, board.flash.size).rows if row.type == _APP]


def app_config(board: Board, running: Partition | None, loader: Sdkconfig) -> tuple[Sdkconfig, bool | None]:
    """How the running app was built, and whether its bytes show rollback; ``None``: they do not tell.

    Its release is the one in its descriptor.
    """
    if running is None:
        return loader, None
    data = board.read(running)
    try:
        release = release_of(AppDesc.from_bytes(data[_DESC : _DESC + _DESC_SIZE]).idf_ver)
    except EspError:
        release = None
    shown = built_with_rollback(data)
    options: dict[str, bool] = {} if shown is None else {"bootloader_app_rollback_enable": shown}
    if shown is False:
        options["bootloader_app_anti_rollback"] = False
    return replace(loader, idf_version=release or loader.idf_version, **options), shown  # type: ignore[arg-type]
