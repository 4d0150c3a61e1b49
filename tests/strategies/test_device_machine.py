"""The device that is used at random: it holds on every kind of board, and it finds bugs."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.errors import InvalidArgument
from hypothesis.stateful import run_state_machine_as_test

from py_esp_ota import Partition, PartitionTable, Sdkconfig
from py_esp_ota._core import OtaSelectEntry
from py_esp_ota.errors import OtaError
from py_esp_ota.firmware import Firmware, flipped
from py_esp_ota.idf import rollback
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.rollback import OtaImgState, Rewrite
from py_esp_ota.strategies import DeviceMachine

SLOTS_ALONE = PartitionTable.from_csv(
    "otadata,data,ota,0xd000,0x2000\nota_0,app,ota_0,0x10000,64K\nota_1,app,ota_1,,64K\nota_2,app,ota_2,,128K\n"
)


class WithoutRollback(DeviceMachine):
    config = Sdkconfig(bootloader_app_rollback_enable=False)


class WithoutFactory(DeviceMachine):
    partitions = SLOTS_ALONE


class AntiRollback(DeviceMachine):
    partitions = SLOTS_ALONE
    config = Sdkconfig(bootloader_app_anti_rollback=True)


class SharedWindow(DeviceMachine):
    chip = "esp32p4"


class OlderRelease(DeviceMachine):
    chip = "esp32"
    config = Sdkconfig(idf_version=(5, 4, 0))


TestDevice = DeviceMachine.TestCase
TestWithoutRollback = WithoutRollback.TestCase
TestWithoutFactory = WithoutFactory.TestCase
TestAntiRollback = AntiRollback.TestCase
TestSharedWindow = SharedWindow.TestCase
TestOlderRelease = OlderRelease.TestCase


def live(machine, max_examples=60):
    """Random lives without shrinking: whether something is found, not what it comes down to."""
    plain = settings(max_examples=max_examples, phases=[Phase.generate], database=None, derandomize=True)
    run_state_machine_as_test(machine, settings=plain)


def test_everything_happens_to_it():
    """In four hundred lives; there is nothing to wait for once all was seen."""
    seen = Counter()
    often = ("accepted", "refused", "armed", ("factory", ""), ("ota_0", "PENDING_VERIFY"), ("ota_0", "VALID"))

    class Watched(DeviceMachine):
        def boot(self, chip, config):
            report = super().boot(chip, config)
            seen[report.partition.label, report.state] += 1
            seen["resets"] += report.resets
            return report

        def _end(self):
            accepted = super()._end()
            seen["accepted" if accepted else "refused"] += 1
            return accepted

        def _start(self):
            seen["armed"] += bool(self.device.flash.fault)
            super()._start()

    def everything():
        return all(seen[what] > 3 for what in often) and seen["ota_1", "PENDING_VERIFY"]

    for number in range(20):
        if not everything():
            live(seed(number)(Watched), max_examples=20)
    assert everything(), seen


# -------------------------------------------------------------------------------------------------------- what it finds


def forgets_aborted(monkeypatch):
    """A bootloader that gives an app one trial after the other."""
    monkeypatch.setattr(rollback, "BEFORE_SELECTION", {})


def forgets_to_verify(monkeypatch):
    """``esp_ota_end`` that believes whatever was written."""
    monkeypatch.setattr(OtaOps, "_verify_written", lambda *_: None)


def erases_the_running_app(monkeypatch):
    """An update that erases one slot too many."""
    right = OtaOps._erase_for

    def erase_for(ops, target, size):
        right(ops, target, size)
        ops.chip.flash.erase(ops._running.offset, 0x1000)

    monkeypatch.setattr(OtaOps, "_erase_for", erase_for)


def confirms_the_wrong_entry(monkeypatch):
    """A confirmation that goes into the other sector of otadata."""

    def confirm(entries, active):
        return Rewrite(1 - active, entries[active].with_state(OtaImgState.VALID))

    monkeypatch.setattr(rollback, "confirm", confirm)


def rejects_by_validating(monkeypatch):
    """A rejection that writes the wrong state."""
    monkeypatch.setattr(rollback, "reject", lambda entries, i: Rewrite(i, entries[i].with_state(OtaImgState.VALID)))


def names_no_state(monkeypatch):
    """A choice with a state that no one knows."""
    right = rollback.select

    def select(*words, **options):
        made = right(*words, **options)
        return Rewrite(made.index, OtaSelectEntry(made.entry.ota_seq, 0x77))

    monkeypatch.setattr(rollback, "select", select)


def chooses_without_a_crc(monkeypatch):
    """A choice that the bootloader will not see."""
    right = rollback.select

    def select(*words, **options):
        made = right(*words, **options)
        return Rewrite(made.index, OtaSelectEntry(made.entry.ota_seq, made.entry.ota_state, crc=0))

    monkeypatch.setattr(rollback, "select", select)


BUGS = [
    forgets_aborted,
    confirms_the_wrong_entry,
    forgets_to_verify,
    erases_the_running_app,
    rejects_by_validating,
    names_no_state,
    chooses_without_a_crc,
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_it_finds_seeded_bugs(bug, monkeypatch):
    bug(monkeypatch)
    # A broken promise, or a call that a sound device does not refuse.
    with pytest.raises((AssertionError, OtaError)):
        live(DeviceMachine, 200)


def test_why_an_app_must_not_confirm_another_one_with_anti_rollback():
    """As the chip does (``bootloader_utility_get_selected_boot_partition``): found by the machine, kept out of it.

    The fuse rises to the version that stands in a slot marked VALID, whatever else stands there, and no app is left.
    """
    board = AntiRollback()
    newer = Firmware("lamp", "2.0.0", secure_version=1, size=0x400).to_bytes()
    board.update_and_reboot(image=Firmware("lamp", "1.1.0", size=0x400).to_bytes(), size=None)
    board.reboot()
    assert board.running.label == "ota_0"
    board.choose(which=1)
    handle = board.ops.begin(board.table[2], 0)
    board.ops.write(handle, flipped(newer, 0x200))
    board.ops.mark_app_valid_cancel_rollback()
    board.device.flash.power_off()
    board.device.flash.power_on()
    report = board.boot(board.device, board.config)
    assert not report.ok
    assert report.efuse_changes == {"secure_version": (0, 1)}
    assert "update_anti_rollback: secure version in eFuse = 1, from ota_1" in report.why


@pytest.mark.parametrize(
    ("partitions", "sentence"),
    [
        ("no_such_table", "partitions is 'no_such_table': "),
        (PartitionTable([Partition("ota_0", 0, 0x10, 0x10000, 0x10000)]), "partitions has 1 OTA slots"),
        (
            PartitionTable([Partition(f"ota_{n}", 0, 0x10 + n, 0x10000 * (1 + n), 0x10000) for n in range(2)]),
            "partitions has no otadata",
        ),
        (
            PartitionTable(
                [Partition("otadata", 1, 0, 0xD000, 0x2000)]
                + [Partition(f"ota_{n}", 0, 0x10 + n, 0x10000 * n, 0x10000) for n in (1, 2)]
            ),
            "partitions has neither a factory app nor ota_0",
        ),
    ],
)
def test_a_table_that_nothing_can_be_updated_in(partitions, sentence):
    machine = type("Impossible", (DeviceMachine,), {"partitions": partitions})
    with pytest.raises(InvalidArgument, match=sentence):
        live(machine)
