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
        "riscv": machine_code(),
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


def machine_code() -> dict[str, bytes]:
    """Code for RAM, where the target starts it with these first bytes; registers come from the bytes between."""
    changes_itself = (
        0x00000297,  # auipc t0, 0
        0x00130313,  # addi t1, t1, 1
        0x0062A823,  # sw t1, 16(t0): the instruction behind the next one
        0x00150513,  # addi a0, a0, 1
        0x00250513,  # addi a0, a0, 2
        0xFFF38393,  # addi t2, t2, -1
        0xFEDFF06F,  # j -20
    )
    protects = (
        0x3FC802B7,  # lui t0, 0x3fc80
        0x0002A503,  # lw a0, 0(t0)
        0x0022D313,  # srli t1, t0, 2
        0x1FF30313,  # addi t1, t1, 0x1ff
        0x3B031073,  # csrw pmpaddr0, t1
        0x09800393,  # li t2, 0x98: locked, nothing allowed
        0x3A039073,  # csrw pmpcfg0, t2
        0x0002A583,  # lw a1, 0(t0)
        0xFE9FF06F,  # j -24
    )
    user = (
        0x3A0FD073,  # csrwi pmpcfg0, 31
        0xFFF00313,  # li t1, -1
        0x3B031073,  # csrw pmpaddr0, t1
        0x30005073,  # csrwi mstatus, 0
        0x30200073,  # mret, to 64 bytes from the start
        *(0x00000013,) * 11,
        0x34009173,  # csrrw sp, mscratch, ra
        0x00000073,  # ecall
    )
    made = {"changes-itself": ("04bf00", changes_itself), "protects": ("04bf00", protects), "user": ("04ff01", user)}
    return {
        name: bytes.fromhex(first) + bytes([0x11] * 64) + b"".join(word.to_bytes(4, "little") for word in words)
        for name, (first, words) in made.items()
    }


def main() -> None:
    """One folder for each target."""
    for target, made in seeds().items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, data in made.items():
            (CORPUS / target / name).write_bytes(data)


if __name__ == "__main__":
    main()
