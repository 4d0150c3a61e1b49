"""Every verb that reads a file, as one table, and the files it reads."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from click.testing import CliRunner

from py_esp_ota import firmware
from py_esp_ota._core import PartitionTable
from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware, bootloader, merge
from py_esp_ota.signing import example_key

TABLE = PartitionTable.builtin("two_ota")
APP, NEWER = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "2.0.0"))
OTADATA = b"".join(firmware.ota_select_entry(*entry).ljust(0x1000, b"\xff") for entry in ((1, 2), (2, 4)))
FLASH = merge({0: bootloader(), 0x8000: TABLE.to_bytes(), 0xD000: OTADATA, 0x10000: APP, 0x110000: NEWER})

#: What is called, and with ``IN`` in the place of which file of the room.
READS = {
    "boot": ("boot IN", "flash"),
    "boot --config": ("boot flash --config IN", "sdkconfig"),
    "boot --silicon": ("boot IN --silicon", "flash"),
    "efuse show": ("efuse show IN", "fuses"),
    "efuse burn": ("efuse burn IN --secure-version 1", "fuses"),
    "elf2image": ("elf2image IN -o out", "elf"),
    "erase-flash": ("erase-flash IN", "flash"),
    "erase-region": ("erase-region IN 0 0x1000", "flash"),
    "explain": ("explain IN", "console"),
    "explain --reproduce": ("explain IN --reproduce", "console"),
    "image-info": ("image-info IN", "app"),
    "image-info flash": ("image-info IN", "flash"),
    "merge-bin": ("merge-bin -o out 0 IN", "app"),
    "migrate": ("migrate IN --table wider", "flash"),
    "migrate --table": ("migrate flash --table IN", "wider"),
    "migrate --bootloader": ("migrate flash --table wider --bootloader IN", "loader"),
    "migrate --efuse": ("migrate flash --table wider --efuse IN", "fuses"),
    "nvs list": ("nvs list IN", "nvs"),
    "nvs set": ("nvs set IN app key u8 1", "nvs"),
    "nvs generate": ("nvs generate IN 0x3000 out", "csv"),
    "otadata read": ("otadata read IN", "flash"),
    "otadata switch": ("otadata switch IN --slot 0", "flash"),
    "partition-table": ("partition-table IN", "table"),
    "partition-table flash": ("partition-table IN", "flash"),
    "preflight": ("preflight IN newer", "flash"),
    "preflight new": ("preflight flash IN", "newer"),
    "preflight --bootloader": ("preflight flash newer --bootloader IN", "loader"),
    "preflight --efuse": ("preflight flash newer --efuse IN", "fuses"),
    "read-flash": ("read-flash IN 0 0x1000 out", "flash"),
    "run": ("run IN --timeout 0.01", "flash"),
    "sign": ("sign IN --key key -o out", "app"),
    "sign --key": ("sign app --key IN -o out", "key"),
    "sign --verify": ("sign IN --verify", "app"),
    "split": ("split IN -o parts", "flash"),
    "sweep": ("sweep IN newer --cut 0", "app"),
    "sweep --partitions": ("sweep app newer --cut 0 --partitions IN", "table"),
    "teach": ("teach IN newer -o out --story reject --limit 10", "app"),
    "verify-flash": ("verify-flash IN 0x10000 app", "flash"),
    "write-flash": ("write-flash IN 0x10000 newer", "flash"),
    "write-flash part": ("write-flash flash 0x10000 IN", "newer"),
}


def program() -> bytes:
    """The smallest ELF file there is an image of: one segment in RAM."""
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += struct.pack("<HHIIIIIHHHHHH", 2, 243, 1, 0x40380000, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    return header + struct.pack("<8I", 1, 84, 0x40380000, 0x40380000, 64, 64, 5, 4) + bytes(64)


@cache
def made() -> dict[str, bytes]:
    """The files of a room, made once."""
    files = {
        "app": APP,
        "newer": NEWER,
        "flash": FLASH,
        "loader": bootloader(),
        "elf": program(),
        "key": example_key("ecdsa256"),
        "csv": b"key,type,encoding,value\napp,namespace,,\nkey,data,u8,1\n",
        "table": TABLE.to_csv().encode(),
        "wider": TABLE.to_csv().replace("0x210000,1M", "0x210000,1984K").encode(),
        "console": b"I (80) boot: Loaded app from partition at offset 0x10000\n",
        "sdkconfig": b"CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y\n",
    }
    with TemporaryDirectory() as folder:
        csv, nvs, fuses = (Path(folder) / name for name in ("csv", "nvs", "fuses"))
        csv.write_bytes(files["csv"])
        for words in (["efuse", "new", fuses, "--chip", "esp32c3"], ["nvs", "generate", csv, "0x3000", nvs]):
            assert CliRunner().invoke(main, [str(word) for word in words]).exit_code == 0
        return {**files, "fuses": fuses.read_bytes(), "nvs": nvs.read_bytes()}


def furnish(room: Path) -> None:
    """Put the files there."""
    for name, data in made().items():
        (room / name).write_bytes(data)
