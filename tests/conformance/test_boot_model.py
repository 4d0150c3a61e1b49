"""The bootloader and a model written apart from it agree on tables, otadata, images and options that chance makes.

Compared are the booted partition, every flash operation on otadata in its order, the bytes left there, and the eFuse.
"""

from __future__ import annotations

import random
from functools import cache
from zlib import crc32

import pytest
from board import table
from boot_model import NEW, PENDING, SECTOR, VALID, Model, Row

from py_esp_ota import firmware
from py_esp_ota._core import EFuse, Flash
from py_esp_ota.chip import Chip
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.sdkconfig import Sdkconfig

CASES_PER_SEED = 250
SEQUENCES = [0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 0x1EB, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFF]
STATES = [NEW, NEW, PENDING, PENDING, VALID, VALID, 3, 4, 0xFFFFFFFF, 0xFFFFFFFF, 0x77]


@cache
def image(secure_version: int) -> bytes:
    return Firmware("bench", f"v{secure_version}", secure_version=secure_version).to_bytes()


@cache
def corrupt(secure_version: int) -> bytes:
    good = bytearray(image(secure_version))
    good[-40] ^= 0xFF
    return bytes(good)


def some_entry(chance: random.Random) -> bytes:
    if chance.random() < 0.15:
        return b"\xff" * 32
    seq = chance.choice([*SEQUENCES, chance.getrandbits(32)]).to_bytes(4, "little")
    label = b"\xff" * 20 if chance.random() < 0.8 else chance.randbytes(20)
    crc = crc32(seq, 0xFFFFFFFF) if chance.random() < 0.8 else chance.getrandbits(32)
    return seq + label + chance.choice(STATES).to_bytes(4, "little") + crc.to_bytes(4, "little")


def some_device(chance: random.Random) -> Model:
    kinds = [(1, 0)] * chance.choice([0, 1, 1, 1, 1, 1, 1, 2])
    kinds += [(0, 0)] * chance.choice([0, 0, 1, 1, 1, 2]) + [(0, 0x20)] * chance.choice([0, 0, 1])
    if chance.random() < 0.7:
        kinds += [(0, 0x10 + slot) for slot in range(chance.randrange(6))]
    else:  # gaps and duplicates
        kinds += [(0, 0x10 + chance.choice([0, 1, 2, 3, 15])) for _ in range(chance.randrange(6))]
    chance.shuffle(kinds)
    rows = []
    for number, (kind, subtype) in enumerate(kinds):
        small = kind == 1 and chance.random() < 0.03
        row = Row(f"p{number}", kind, subtype, 0x10000 * (number + 1), SECTOR if small else 0x2000 if kind else 0x10000)
        if kind == 0:
            row.image = chance.choice(["good", "good", "good", "corrupt", "erased"])
            row.secure_version = chance.choice([0, 1, 1, 2, 3, 17])
        rows.append(row)
    otadata = {row.offset + at: some_entry(chance) for row in rows if row.type == 1 for at in (0, SECTOR)}
    rollback = chance.random() < 0.7
    anti_rollback = rollback and chance.random() < 0.5
    return Model(rows, otadata, rollback, anti_rollback, burnt=chance.choice([0, 0, 1, 2]))


def built(model: Model) -> tuple[Chip, Sdkconfig]:
    parts = {0x8000: table(*((r.label, r.type, r.subtype, r.offset, r.size) for r in model.rows)).to_bytes()}
    parts |= dict(model.otadata)
    for row in model.rows:
        if row.image != "erased":
            parts[row.offset] = (image if row.image == "good" else corrupt)(row.secure_version)
    config = Sdkconfig(bootloader_app_rollback_enable=model.rollback, bootloader_app_anti_rollback=model.anti_rollback)
    flash = Flash.from_bytes(firmware.merge(parts), size=0x100000)
    return Chip("esp32c3", flash=flash, efuse=EFuse("esp32c3", secure_version=model.burnt)), config


@pytest.mark.parametrize("seed", range(8))
def test_chance_cannot_tell_the_bootloader_from_the_model(seed):
    chance = random.Random(seed)
    for number in range(CASES_PER_SEED):
        model = some_device(chance)
        chip, config = built(model)
        where = f"seed {seed}, case {number}: {model}"
        for _ in range(2):  # what one boot leaves behind, the next one finds
            model.writes.clear()
            chip.flash.record(True)
            report = boot(chip, config)
            operations = [(op.kind, op.address) for op in chip.flash.journal()]
            expected = model.power_on()
            assert (report.partition.label if report.partition else None) == (expected.label if expected else None), (
                where
            )
            assert operations == [(kind, at) for at in model.writes for kind in ("erase", "program")], where
            assert {at: chip.flash.read(at, 32) for at in model.otadata} == model.otadata, where
            assert chip.efuse.secure_version == model.burnt, where
            assert len(report.otadata_writes) == len(model.writes), where


def test_chance_makes_every_kind_of_end():
    """The cases above would prove little if they were all alike."""
    chance = random.Random(0)
    ends = set()
    for _ in range(CASES_PER_SEED):
        model = some_device(chance)
        row = model.power_on()
        ends.add("dead" if row is None else {0: "factory", 0x20: "test"}.get(row.subtype, "slot"))
        ends |= {"writes"} & ({"writes"} if model.writes else set())
    assert ends == {"dead", "factory", "test", "slot", "writes"}
