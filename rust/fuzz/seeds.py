"""Write the fuzzers' first inputs, from this package's own forge: ``python rust/fuzz/seeds.py``."""

from __future__ import annotations

from pathlib import Path

from py_esp_ota import signing
from py_esp_ota._core import Flash, NvsPartition, Partition, PartitionTable
from py_esp_ota.firmware import Firmware, bootloader, image, ota_select_entry

CORPUS = Path(__file__).parent / "corpus"
CHIPS = ("esp32", "esp32c3", "esp32c6", "esp32p4")


def seeds() -> dict[str, dict[str, bytes]]:
    """Target, name, bytes; the first bytes steer what a target does."""
    apps = {f"app-{chip}": Firmware("lamp", "1", chip=chip, size=0x240).to_bytes() for chip in CHIPS}
    small = {"no-segments": image([]), "no-hash": image([], hash_appended=False)}
    tables = {name: PartitionTable.builtin(name) for name in PartitionTable.builtin_names()}
    entries = {
        "blank": b"\xff" * 64,
        "valid": ota_select_entry(1, 2) + ota_select_entry(2, 0),
        "zero": ota_select_entry(0, 0xFFFFFFFF) + ota_select_entry(0xFFFFFFFE, 1),
    }
    keys = {scheme: signing.generate_key(scheme) for scheme in ("ecdsa192", "ecdsa256", "ecdsa384", "rsa3072")}
    signed = {name: signing.sign(bytes(4096), key)[-4096:][:1216] for name, key in keys.items()}
    return {
        "image": {name: bytes([2, 5]) + data for name, data in (apps | small).items()}
        | {"bootloader": bytes([2, 0]) + bootloader()[:0x400]},
        "partition_table": {name: table.to_bytes()[: 32 * (len(table) + 2)] for name, table in tables.items()}
        | {f"{name}.csv": table.to_csv().encode() for name, table in tables.items()},
        "nvs": {name: b"\x00" + data for name, data in storages().items()},
        "otadata": {name: bytes([2, 1]) + data for name, data in entries.items()},
        "signature": {name: bytes([number]) + data for number, (name, data) in enumerate(signed.items(), 1)},
    }


def storages() -> dict[str, bytes]:
    """Small NVS partitions, up to their last written byte."""
    made = {"blank": b"\xff" * 64}
    for name, blob in (("small", b"blob" * 9), ("two-pages", bytes(range(250)) * 17)):
        flash, row = Flash(0x100000), Partition("nvs", 1, 2, 0, 0x3000)
        app = NvsPartition(flash, row).open("app", "readwrite")
        for value in (1, 2):
            app.set("number", "u32", value)
            app.set("text", "str", f"text {value}")
        app.set("blob", "blob", blob)
        made[name] = flash.read(0, 0x2000).rstrip(b"\xff")
    return made


def main() -> None:
    """One folder for each target."""
    for target, made in seeds().items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, data in made.items():
            (CORPUS / target / name).write_bytes(data)


if __name__ == "__main__":
    main()
