"""The chips' real ROMs, as Espressif publishes them and the crate espflash carries them: fetched once, then kept.

None of them is part of this package. ``Machine(chip, rom=...)`` takes what comes from here::

    machine = Machine("esp32c3", rom=kept_rom("esp32c3"))
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from py_esp_ota._core import Target
from py_esp_ota.adapters.crates import crate_file

_PACKAGE, _VERSION = "espflash", "4.5.0"


def kept_path(sha256: str, name: str) -> Path:
    """Where a fetched file is kept, in the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "esp-ota" / "firmware" / f"{sha256[:16]}-{name}"


@dataclass(frozen=True, slots=True)
class RomFile:
    """One ROM: of which chip, from which revision on (major * 100 + minor), and the ELF file."""

    chip: str
    since: int
    name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} of the crate {_PACKAGE} {_VERSION}"

    @property
    def kept(self) -> Path:
        """Where it is kept once it was fetched."""
        return kept_path(self.sha256, self.name)

    def read(self) -> bytes | None:
        """The file as it is kept; ``None`` before it was fetched. Raises ``ValueError`` when it is damaged."""
        try:
            data = self.kept.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(f"{self.kept} cannot be read: {error.strerror}") from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ValueError(f"{self.kept} is damaged: it is not the ROM that was kept there")
        return data

    def fetch(self) -> bytes:
        """The file out of the crate, kept from now on.

        Raises ``ValueError`` when it cannot be had, or is another one.
        """
        data = crate_file(_PACKAGE, _VERSION, f"{_PACKAGE}-{_VERSION}/resources/roms/{self.name}")
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise ValueError(f"{self} has SHA-256 {found}, not {self.sha256}")
        try:
            _keep(self.kept, data)
        except OSError as error:
            raise ValueError(f"{self.kept} cannot be written: {error.strerror}") from error
        return data


ROMS: tuple[RomFile, ...] = (
    RomFile("esp32", 0, "esp32_rev0_rom.elf", "bef39889393de40d7ae8dcf1cfe0bba32435a96a0b6ec35839724a9fddd6049f"),
    RomFile("esp32", 300, "esp32_rev300_rom.elf", "920b70635440517866aab2230964a570d2cf2b676658d93c52fbac108c1cca31"),
    RomFile("esp32s2", 0, "esp32s2_rev0_rom.elf", "cabae5c901fe816aea5e74fbb621ad6479ad1b399d6e7212295191559654572d"),
    RomFile("esp32s3", 0, "esp32s3_rev0_rom.elf", "c0ce0f338d1de1bdc6efbef1591779a2a42c1ab7d759d3c6ae8ae63a7dd34cfd"),
    RomFile("esp32c2", 0, "esp32c2_rev100_rom.elf", "8f1c0fefbe7b2531d34733d0181a1f41d34319f7eba7d808628b54a4e80dcce4"),
    RomFile("esp32c3", 0, "esp32c3_rev0_rom.elf", "11d565922e0a405b477756de748a14046f86dfb40d997766252a04cb378f0694"),
    # Its name has a zero too many: it is that of v0.3 (components/esp_rom/roms.json).
    RomFile("esp32c3", 3, "esp32c3_rev300_rom.elf", "19ac22e08707df926fb0cf4c54795d4067b983fae8635f396ded173a6d78fc3c"),
    RomFile(
        "esp32c3", 101, "esp32c3_rev101_rom.elf", "9495e1453f36f7eec4112714ea1dca22d77808776adffa93dda7dda4393e8336"
    ),
    RomFile("esp32c5", 0, "esp32c5_rev100_rom.elf", "49693d745eb4b4e6e6c77be4f5213765d545d8c7a1d9742a8a619bf596c4e27a"),
    RomFile("esp32c6", 0, "esp32c6_rev0_rom.elf", "788e1d38724aeb8fd974fa10c4a7b089c02627d35342ce84b9e0b12b239f3551"),
    RomFile(
        "esp32c61", 0, "esp32c61_rev100_rom.elf", "c4ee94d3a8e335da4ef5f30a8a1ebb9691e639f1c773f484e9ba721aa1557c2e"
    ),
    RomFile("esp32h2", 0, "esp32h2_rev0_rom.elf", "f3aa0a0325947c4dfe886d7c342b84682b54c3374324fec08c7347d3cb1f0bde"),
)


def rom_file(chip: str, revision: int | None = None) -> RomFile | None:
    """The ROM of ``chip`` in ``revision``, the newest that is not newer; ``None`` for a chip whose ROM is not here.

    Without a revision it is the one of ``Chip(chip)``. The ESP32-C2 has a newer ROM from v2.0 on, which no crate has.
    """
    if revision is None:
        revision = Target(chip).default_chip_revision
    fitting = [rom for rom in ROMS if rom.chip == chip and rom.since <= revision]
    return max(fitting, key=lambda rom: rom.since, default=None)


def kept_rom(chip: str, revision: int | None = None) -> bytes | None:
    """The ROM as it is kept on this machine, ``None`` before it was fetched: nothing is fetched here.

    Raises ``ValueError`` when it is damaged.
    """
    rom = rom_file(chip, revision)
    return None if rom is None else rom.read()


def fetch_rom(chip: str, revision: int | None = None) -> bytes:
    """The ROM, fetched with cargo unless it is kept already. Raises ``ValueError`` when it cannot be had."""
    rom = rom_file(chip, revision)
    if rom is None:
        raise ValueError(f"no ROM of {chip} is known; there is one of {', '.join(dict.fromkeys(r.chip for r in ROMS))}")
    try:
        kept = rom.read()
    except ValueError:
        kept = None
    return rom.fetch() if kept is None else kept


def _keep(path: Path, data: bytes) -> None:
    """All of it or nothing: written beside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", delete=False) as file:
        beside = Path(file.name)
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
