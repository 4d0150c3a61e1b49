"""Thousands of random boards and calls: ours and a second model agree on code, flash operations, otadata and eFuse."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import pytest
from board import PLAIN
from ota_model import BLANK, Image, Model, Row

from py_esp_ota import firmware
from py_esp_ota._core import EFuse, Flash, Partition, PartitionTable
from py_esp_ota.chip import Chip
from py_esp_ota.errors import FlashError, OtaError, Restart
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.log import Log

CASES = 100  # for each seed, of 1 to 5 calls
STATES = [0, 1, 2, 2, 3, 4, 0xFFFFFFFF, 0x77]
SIZES = [0, 0xFFFFFFFF, 0xFFFFFFFE, 1, 0x1000, 0x4001, 0x10000, 0x10001, 0xFFFFF000, 0xFFFFF001]


@cache
def app(version: int, whole: bool) -> bytes:
    image = bytearray(Firmware("bench", "1", secure_version=version).to_bytes())
    if not whole:
        image[-1] ^= 1
    return bytes(image)


def random_rows(rng: random.Random) -> list[Row]:
    """otadata in most tables; slots in most orders, with gaps and duplicates in some."""
    wanted = [("factory", 0, 0)] * (rng.random() < 0.6) + [("test", 0, 0x20)] * (rng.random() < 0.2)
    count = rng.choice([0, 1, 2, 2, 2, 3, 3, 4, 5])
    slots = list(range(count))
    if count > 1 and rng.random() < 0.2:
        slots[rng.randrange(count)] = rng.randrange(count + 1)
    rng.shuffle(slots)
    wanted += [(f"slot{place}", 0, 0x10 + slot) for place, slot in enumerate(slots)]
    wanted += [("storage", 1, 0x81)] * (rng.random() < 0.3)
    if not any(kind == 0 for _, kind, _ in wanted):
        wanted.append(("factory", 0, 0))
    rows = [Row(*words, 0x10000 * (1 + place)) for place, words in enumerate(wanted)]
    otadata = [Row("otadata", 1, 0, 0xD000, 0x2000)] if rng.random() < 0.95 else []
    return otadata + rows


def random_entry(rng: random.Random) -> bytes:
    if rng.random() < 0.2:
        return BLANK
    if rng.random() < 0.05:
        return rng.randbytes(32)
    seq = rng.choice([rng.randrange(8), rng.randrange(1, 5), rng.randrange(40), 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFF])
    label = rng.randbytes(20) if rng.random() < 0.2 else b"\xff" * 20
    entry = firmware.ota_select_entry(seq, rng.choice(STATES), seq_label=label)
    return entry if rng.random() < 0.85 else entry[:28] + rng.randbytes(4)


def random_image(rng: random.Random) -> Image:
    if rng.random() < 0.2:
        return Image()
    return Image(rng.choice([0, 0, 1, 2, 3, 17]), whole=rng.random() < 0.85)


def random_model(rng: random.Random) -> Model:
    rows = random_rows(rng)
    apps = [row for row in rows if row.type == 0]
    rollback = rng.random() < 0.6
    return Model(
        rows=rows,
        entries=[random_entry(rng), random_entry(rng)],
        images={row.label: random_image(rng) for row in rows if row.label != "otadata"},
        running=rng.choice(apps),
        rollback=rollback,
        anti_rollback=rollback and rng.random() < 0.5,
        efuse=rng.choice([0, 0, 1, 2]),
    )


def as_ours(model: Model) -> tuple[OtaOps, dict[str, Partition]]:
    table = PartitionTable([Partition(row.label, row.type, row.subtype, row.offset, row.size) for row in model.rows])
    parts = {0x8000: table.to_bytes()}
    for row in model.rows:
        image = model.images.get(row.label, Image())
        if image.version is not None:
            parts[row.offset] = app(image.version, image.whole)
    if model.otadata:
        parts |= {0xD000: model.entries[0], 0xE000: model.entries[1]}
    flash = Flash.from_bytes(firmware.merge(parts))
    chip = Chip("esp32c3", flash=flash, efuse=EFuse("esp32c3", secure_version=model.efuse))
    config = replace(
        PLAIN, bootloader_app_rollback_enable=model.rollback, bootloader_app_anti_rollback=model.anti_rollback
    )
    partitions = {partition.label: partition for partition in table}
    return OtaOps(chip, partitions[model.running.label], config, Log(lambda: 0)), partitions


def said(call, *arguments):
    """The code a C caller would see, 0 for a call that returns nothing."""
    try:
        answer = call(*arguments)
    except (OtaError, FlashError) as error:
        return int(error.err)
    except Restart:
        return "abort"
    return 0 if answer is None else answer


def label_of(call, *arguments):
    answer = call(*arguments)
    return answer and answer.label


def one_call(rng: random.Random, model: Model, ops: OtaOps, partitions: dict[str, Partition]):
    """One random call on both sides: its name, what the model says, what we say."""
    row = rng.choice(model.rows)
    partition, size = partitions[row.label], rng.choice(SIZES)

    def begun():
        before = ops._last_handle
        answer = said(ops.begin, partition, size)
        return 0 if answer == ops._last_handle > before else answer

    def state():
        answer = said(ops.get_state_partition, partition)
        known = row.type == 0 and 0x10 <= row.subtype < 0x20 and answer not in (0x105, 0x106)
        return ("state", int(answer)) if known else answer

    calls = {
        "set_boot": (lambda: model.set_boot(row, validate=True), lambda: said(ops.set_boot_partition, partition)),
        "skip_validate": (
            lambda: model.set_boot(row, validate=False),
            lambda: said(ops.set_boot_partition_skip_validate, partition),
        ),
        "get_boot": (model.get_boot, lambda: label_of(ops.get_boot_partition)),
        "next_update": (lambda: model.next_update(row), lambda: label_of(ops.get_next_update_partition, partition)),
        "state": (lambda: model.state(row), state),
        "last_invalid": (model.last_invalid, lambda: label_of(ops.get_last_invalid_partition)),
        "possible": (model.possible, ops.check_rollback_is_possible),
        "mark_valid": (lambda: model.mark(valid=True), lambda: said(ops.mark_app_valid_cancel_rollback)),
        "mark_invalid": (lambda: model.mark(valid=False), lambda: said(ops.mark_app_invalid_rollback)),
        "erase_last": (lambda: model.drop_last(app_too=True), lambda: said(ops.erase_last_boot_app_partition)),
        "invalidate": (lambda: model.drop_last(app_too=False), lambda: said(ops.invalidate_inactive_ota_data_slot)),
        "begin": (lambda: model.begin(row, size), begun),
        "count": (lambda: model.count, ops.get_app_partition_count),
    }
    name = rng.choice(list(calls))
    theirs, ours = calls[name]
    return f"{name}({row.label}, {size:#x})", theirs(), ours()


@pytest.mark.parametrize("seed", range(40))
def test_any_call_on_any_board_does_what_the_second_model_says(seed):
    rng = random.Random(seed)
    for case in range(CASES):
        model = random_model(rng)
        ops, partitions = as_ours(model)
        where = f"seed {seed}, case {case}, {model}"
        flash = ops.chip.flash
        flash.record(True)
        for _ in range(rng.randrange(1, 6)):
            name, theirs, ours = one_call(rng, model, ops, partitions)
            where += f"\n{name}"
            assert ours == theirs, where
            assert [(op.kind, op.address, op.length) for op in flash.journal()] == model.done, where
            if model.otadata:
                assert [flash.read(0xD000, 32), flash.read(0xE000, 32)] == model.entries, where
            assert ops.chip.efuse.secure_version == model.efuse, where
            if ours == "abort":
                break


def test_the_random_boards_reach_every_answer():
    """The differential test is worth something only if its boards are varied."""
    seen = set()
    rng = random.Random(1234)
    for _ in range(4000):
        model = random_model(rng)
        row = rng.choice(model.rows)
        seen |= {model.set_boot(row, validate=rng.random() < 0.5), model.begin(rng.choice(model.rows), 0)}
        seen |= {model.mark(valid=rng.random() < 0.5), model.drop_last(app_too=True)}
    assert seen >= {0, -1, 0x102, 0x105, 0x1501, 0x1503, 0x1504, 0x1505, 0x1506, "abort"}
