"""Bare apps of our own (examples/firmware): booted by Espressif's compiled bootloader and by our model, and run.

What is checked is what their machine code does to the flash and how it ends; and that both agree with the model.
"""

from __future__ import annotations

import os
import random
import struct

import pytest
from board import ROLLBACK, Board, entry, slots
from builds import C3, C6, bootloader, machine_of, shared
from own_firmware import APPS, elf, firmware
from side_by_side import both

from py_esp_ota import Device, PowerLoss, inspect_image
from py_esp_ota.apps import MachineCode
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.elf import from_elf
from py_esp_ota.errors import OtaError, Restart
from py_esp_ota.firmware import image, resealed
from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.bare import BareChip
from py_esp_ota.silicon.load import put_app

OTA_1, OTADATA_1 = 0x210000, 0xE000
_ENTRY = {"esp32c3": 0x40380000, "esp32c6": 0x40800000}
_STATES = ("NEW", "PENDING_VERIFY", "VALID", "INVALID", "ABORTED", "UNDEFINED", "7")

JUMPS = [(build, app) for number, app in enumerate(APPS) for build in shared((*C3, *C6), number % 2)]


@pytest.fixture(scope="module")
def machine():
    return Machine("esp32c3")


@pytest.fixture(scope="module")
def bare():
    return BareChip("esp32c3")


@pytest.fixture(scope="module")
def code():
    return MachineCode([elf(app, chip=chip) for app in APPS for chip in _ENTRY])


# -------------------------------------------------------------------------------------------------- the jump into it


@pytest.mark.parametrize("options", ["", "-Wl,--defsym=pad_code=1"], ids=["dense", "padded"])
@pytest.mark.parametrize(("build", "app"), JUMPS, ids=str)
def test_both_bootloaders_jump_into_it(build, app, options):
    board = Board("two_ota", "1/VALID", "2/VALID", config=build.config, chip=build.chip)
    board.chip.flash.program(build.offset, bootloader(build))
    board.flash_app("ota_1", firmware(app, chip=build.chip, options=options))
    pair = both(machine_of(build.chip), build, board.chip.flash)
    assert [run.outcome for run in pair.runs] == ["APP"]
    assert (pair.silicon.app, pair.model.app, pair.runs[0].entry) == (OTA_1, OTA_1, _ENTRY[build.chip])
    assert pair.silicon.flash == pair.model.flash


def test_the_loader_leaves_what_a_bootloader_leaves(machine, bare):
    """Where it jumps, what the MMU maps, what lies in the app's RAM, and the registers of its watchdog."""
    build = C3[0]
    for options in ("", "-Wl,--defsym=pad_code=1"):
        board = Board("two_ota", "1/VALID", "2/VALID", config=build.config)
        board.chip.flash.program(0, bootloader(build))
        board.flash_app("ota_1", firmware("selftest", options=options))
        entry_address = machine.run(board.chip).entry
        theirs, ours = machine._hardware, bare._hardware
        ours.attach(board.chip)
        ours.clear()
        assert put_app(ours, board["ota_1"]) == entry_address
        mapped = [hardware.cpu.window.mmu.read() for hardware in (ours, theirs)]
        assert mapped[0][:-1] == mapped[1][:-1]  # through the last page a bootloader reads what it likes
        segments = [s for s in inspect_image(firmware("selftest", options=options)).segments if s.kind != "padding"]
        assert len(segments) >= 4
        for segment in segments:
            there = [hardware.cpu.peek(segment.load_addr, segment.length) for hardware in (ours, theirs)]
            assert there[0] == there[1]
        for register in (*range(0x60008090, 0x600080A4, 4), 0x600080A8):
            assert ours.registers.values.get(register, 0) == theirs.registers.values.get(register, 0), hex(register)


# ------------------------------------------------------------------------------------------------- a device runs it


def device(code, new, chip="esp32c3"):
    """A device whose factory app is machine code as well, just updated: the next boot is the first of ``new``."""
    lamp = Device("two_ota", firmware=firmware("factory", chip=chip), config=ROLLBACK, apps=lambda app: code)
    lamp.flash.program(OTA_1, new)
    lamp.flash.program(OTADATA_1, entry("2/NEW"))
    return lamp


def played(code, new, chip="esp32c3"):
    """The partitions that were booted, why each app ended, and the device."""
    lamp = device(code, new, chip)
    lamp.power_on()
    lamp.run()
    return [report.partition.label for report in lamp.boots], [run.reset for run in lamp.runs], lamp


@pytest.mark.parametrize("app", ["confirm", "selftest"])
@pytest.mark.parametrize("options", ["", "-Wl,--defsym=pad_code=1"], ids=["dense", "padded"])
@pytest.mark.parametrize("chip", _ENTRY)
def test_an_app_that_confirms_itself_stays(code, app, options, chip):
    boots, resets, lamp = played(code, firmware(app, chip=chip, options=options), chip)
    assert (boots, resets, lamp.state) == (["ota_1"], [None], "VALID")
    assert lamp.flash.read(OTADATA_1, 32) == entry("2/VALID")
    writes = [(write.kind, write.address, write.length) for write in lamp.runs[0].flash_writes]
    assert writes == [("erase", OTADATA_1, 0x1000), ("program", OTADATA_1, 32)]
    assert lamp.power_on().partition.label == "ota_1"


@pytest.mark.parametrize(
    ("app", "reset", "state", "why"),
    [
        ("reject", ResetReason.SW, "2/INVALID", "it reset the chip..."),
        (
            "crash",
            ResetReason.SW,
            "2/ABORTED",
            "illegal instruction at 0x42... (broken_driver), then it reset the chip",
        ),
        ("hang", ResetReason.RTCWDT_RTC, "2/ABORTED", "the RTC watchdog was not fed, at 0x42... (wait_for_sensor...)"),
    ],
)
@pytest.mark.parametrize("chip", _ENTRY)
def test_an_app_that_does_not_is_taken_back(code, app, reset, state, why, chip):
    boots, resets, lamp = played(code, firmware(app, chip=chip), chip)
    assert (boots, resets) == (["ota_1", "factory"], [reset, None])
    assert lamp.flash.read(OTADATA_1, 32) == entry(state)
    before, found, after = lamp.runs[0].why, *why.split("...", 1)
    assert before.startswith(found)
    assert all(part in before for part in after.split("..."))
    assert f"factory runs from factory, state -1, reset reason {int(reset)}" in lamp.console[-1]


def test_a_watchdog_that_nobody_feeds_resets_after_nine_seconds(code):
    _, _, lamp = played(code, firmware("hang"))
    assert 8.9 < lamp.runs[0].seconds < 9.1
    assert lamp.runs[1].seconds >= 10  # the factory app feeds it


def test_a_self_test_finds_one_wrong_prime(code):
    sound = bytearray(firmware("selftest"))
    at = sound.index(b"PRIMES:\0") + 8 + 2 * 40
    assert struct.unpack_from("<H", sound, at) == (179,)
    sound[at] ^= 4
    boots, _, lamp = played(code, resealed(bytes(sound)))
    assert boots == ["ota_1", "factory"]
    assert "app: self-test: prime 40 is wrong" in lamp.console
    assert lamp.flash.read(OTADATA_1, 32) == entry("2/INVALID")


def test_an_app_without_its_program_is_run_as_well_and_a_trap_names_no_function():
    _, _, lamp = played(MachineCode(), firmware("crash"))
    assert "(" not in lamp.runs[0].why


def test_the_code_of_every_boot_sees_the_flash_as_it_is_then(code):
    lamp = device(code, firmware("confirm"))
    for version, state in (("1.0.0", 1), ("1.0.0", 2)):
        assert lamp.power_on().app_desc.version == version
        lamp.run()
        assert any(f"confirm runs from ota_1, state {state}, reset reason 1" in line for line in lamp.console)
        lamp.console.clear()
    lamp.flash.erase(OTA_1, 0x1000)
    lamp.flash.program(OTA_1, firmware("reject", "2.0.0"))
    lamp.power_on()
    assert lamp.run().reset is None
    assert "reject" in "".join(lamp.console)


# ------------------------------------------------------------------------- bootloader and apps, both machine code


def _entry(rng):
    """One otadata entry, as a board has it spelled."""
    if rng.random() < 0.15:
        return "-"
    seq = rng.choice([0, 1, 2, 3, 4, 5, 0xFFFFFFFE, 0xFFFFFFFF])
    return f"{seq}/{rng.choice(_STATES)}" + "!" * (rng.random() < 0.1)


_ROLLBACK_BUILD = C3[1]


def _updated(app, build=_ROLLBACK_BUILD):
    """A board with a compiled bootloader that knows rollback, and ``app`` in ota_1, not yet booted."""
    board = Board("two_ota", "1/VALID", "2/NEW", config=build.config, chip=build.chip)
    board.chip.flash.program(build.offset, bootloader(build))
    board.flash_app("ota_0", firmware("factory", chip=build.chip))
    board.flash_app("ota_1", firmware(app, chip=build.chip))
    return board


def _by_silicon(machine, chip):
    """One time under power: the slots that were booted, and why the chip reset."""
    session = machine.session(chip)
    try:
        session.run(25)
    finally:
        assert session.trap is None
    return [boot.slot for boot in session.boots], session.resets, session.take()


def _by_model(code, chip):
    """The same by our bootloader, with the apps' own code."""
    factory = firmware("factory", chip=chip.target.name)
    lamp = Device("two_ota", firmware=factory, config=_ROLLBACK_BUILD.config, apps=lambda app: code)
    lamp.chip.flash = chip.flash
    lamp.power_on()
    lamp.run()
    resets = [run.reset for run in lamp.runs if run.reset is not None]
    booted = [report.partition.offset for report in lamp.boots if report.partition]
    return booted, resets, "\n".join(lamp.console)


def _of_apps(printed):
    return [line for line in printed.splitlines() if line.startswith("app: ")]


@pytest.mark.parametrize("app", ["confirm", "selftest", "reject", "crash", "hang"])
@pytest.mark.parametrize("build", [C3[1], C6[1]], ids=str)
def test_a_life_of_machine_code_alone_is_the_life_that_the_model_tells(code, app, build):
    silicon, model = _updated(app, build).chip, _updated(app, build).chip
    (*real, printed), (*ours, console) = _by_silicon(machine_of(build.chip), silicon), _by_model(code, model)
    assert real == ours
    assert silicon.flash.to_bytes() == model.flash.to_bytes()
    assert _of_apps(printed) == _of_apps(console)


def _cut(live, chip, plan):
    """Whether the power went, and the life after it came back; nothing more when it did not."""
    chip.flash.fault = plan
    try:
        return False, live(chip)[:2]
    except PowerLoss:
        chip.flash.power_on()
        chip.reset_reason = ResetReason.POWERON
        return True, live(chip)[:2]


@pytest.mark.parametrize("tear", ["", ":torn", ":after", ":bits-program", ":bits-erase"])
@pytest.mark.parametrize("app", ["confirm", "reject", "crash"])
def test_a_power_cut_in_such_a_life_comes_out_alike(machine, code, app, tear):
    """Two operations are the bootloader's for NEW; then two of the app, or of the bootloader for what did not do it."""
    for operation in range(5):
        silicon, model, plan = _updated(app).chip, _updated(app).chip, f"cut@{operation}{tear}"
        real = _cut(lambda chip: _by_silicon(machine, chip), silicon, plan)
        assert real == _cut(lambda chip: _by_model(code, chip), model, plan), plan
        assert real[0] == (operation < 4), plan
        assert silicon.flash.to_bytes() == model.flash.to_bytes(), plan


LIVES = int(os.environ.get("ESP_OTA_LIVES", "8"))


def _lived(rng):
    """A board in any state, own apps in most of its slots, and a compiled bootloader that knows rollback."""
    rows = slots(rng.randrange(1, 4), factory=rng.random() < 0.5)
    otadata = [_entry(rng) for _ in range(2)]
    apps = [row.label for row in rows if row.type == 0 and rng.random() < 0.85]
    board = Board(rows, *otadata, config=_ROLLBACK_BUILD.config, without=tuple({r.label for r in rows} - set(apps)))
    for label in apps:
        board.flash_app(label, firmware(rng.choice(APPS)))
    board.chip.flash.program(0, bootloader(_ROLLBACK_BUILD))
    return board.chip.flash


def test_random_lives_come_out_alike(machine, code):
    """Compiled bootloader and apps beside our model and the same apps; ``make conformance-silicon`` plays more."""
    ends = set()
    for number in range(LIVES):
        flash = _lived(random.Random(f"life/{number}"))
        silicon, model = Chip(flash=flash.fork()), Chip(flash=flash.fork())
        session = machine.session(silicon)
        booted, resets, _ = _by_model(code, model)
        while len(session.boots) < 8 and session.seconds < 10 * len(booted) + 1:  # whichever way it goes on for ever
            session.run(0.002 if session.seconds < 0.05 else 0.5)
            assert session.trap is None, number
        real = [boot.slot for boot in session.boots if boot.slot is not None]
        assert real[: len(booted)] == booted, number
        assert set(real[len(booted) :]) <= {*booted[-1:]}, number
        if all(boot.outcome == "APP" for boot in session.boots):  # then each reset was an app's
            assert session.resets[: len(resets)] == resets[: len(session.resets)], number
        assert silicon.flash.to_bytes() == model.flash.to_bytes(), number
        ends.add((len(booted), *resets[:1]))
    assert len(ends) > 3


# ------------------------------------------------------------------------------------------------------- power cuts


_TEARS = (
    *("", ":after", ":torn", ":torn-program", ":tail-program", ":bits-program", ":weak-program", ":torn-program/28"),
    *(":torn-program/30", ":torn-erase", ":bits-erase", ":zero-erase", ":weak-erase"),
)


@pytest.mark.parametrize("how", _TEARS)
@pytest.mark.parametrize("app", ["confirm", "reject"])
def test_power_lost_in_what_machine_code_writes_leaves_a_device_that_boots(code, app, how):
    for operation in range(2):
        lamp = device(code, firmware(app))
        lamp.power_on()
        lamp.flash.fault = f"cut@{operation}{how}"
        with pytest.raises(PowerLoss):
            lamp.run()
        assert lamp.console[-1].startswith("app: ")
        lamp.power_on()
        ended = lamp.run()
        assert ended.reset is None
        assert lamp.report.partition.label == ("ota_1" if lamp.state == "VALID" else "factory")


# ----------------------------------------------------------------------------- the model's opinion of what code does


def _drawn(rng):
    """A board in any state, its apps, and which one runs."""

    count = rng.randrange(1, 4)
    rows = slots(count, factory=rng.random() < 0.5)
    gone = tuple(row.label for row in rows if row.type == 0 and rng.random() < 0.2)
    board, slot = Board(rows, _entry(rng), _entry(rng), without=gone), f"ota_{rng.randrange(count)}"
    app = rng.choice(["reject", "selftest"])
    board.flash_app(slot, firmware(app))
    return board, slot, app


def test_machine_code_and_the_model_do_the_same_to_any_otadata(bare):
    ends = set()
    for number in range(100):
        board, slot, app = _drawn(random.Random(number))
        ours = Chip(flash=board.chip.flash.fork())
        ended = bare.run(ours, board[slot], seconds=2)
        ops = board.ops(slot)
        act = ops.mark_app_invalid_rollback_and_reboot if app == "reject" else ops.mark_app_valid_cancel_rollback
        try:
            act()
            model = "stays"
        except Restart:
            model = "resets"
        except OtaError:
            model = "refused"
        assert ours.flash.to_bytes() == board.chip.flash.to_bytes(), number
        assert (ended.reset is not None) == (model == "resets"), number
        ends.add((app, model, len(ended.flash_writes)))
    assert ends >= {
        ("reject", "resets", 2),
        ("reject", "refused", 0),
        ("selftest", "stays", 2),
        ("selftest", "stays", 0),
    }


# ---------------------------------------------------------------------------------------------------- what is no app


def ran(bare, data, seconds=10.0):
    board = Board("two_ota", "1/VALID", "2/VALID")
    board.flash_app("ota_1", data)
    return bare.run(board.chip, board["ota_1"], seconds=seconds)


def test_random_bytes_as_an_app_end_in_a_report(bare):
    rng = random.Random(7)
    for _ in range(60):
        junk = rng.randbytes(4 * rng.randrange(1, 400))
        ended = ran(bare, image([(0x3C000020, bytes(256)), (0x40380000, junk)], entry_addr=0x40380000), seconds=0.05)
        assert ended.reset in {None, *ResetReason}
        assert ended.why


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff" * 24, "partition ota_1 holds no app: its first byte is not 0xe9"),
        (image([(0x3C000020, bytes(8)), (0x3FCE0000 - 8, bytes(16))]), "segment 1 goes to 0x3fcdfff8, which is no RAM"),
    ],
    ids=["nothing", "address"],
)
def test_what_cannot_be_loaded_is_a_trap(bare, data, why):
    ended = ran(bare, data)
    assert (ended.reset, ended.why, ended.trap.reason) == (None, why, why)


def test_a_chip_of_another_kind_is_refused_by_name(bare):
    with pytest.raises(ValueError, match="this machine is an esp32c3, the chip an esp32c6"):
        bare.run(Chip("esp32c6"), Board("two_ota")["ota_1"], seconds=1)
    with pytest.raises(ValueError, match="apps run on esp32c3, esp32c5, esp32c6; on an esp32s3 bootloaders run"):
        BareChip("esp32s3")
    with pytest.raises(ValueError, match="apps run on esp32c3, esp32c5, esp32c6; on an esp32h2 bootloaders run"):
        BareChip("esp32h2")


def test_the_image_says_which_program_it_was_made_of(code):
    other = from_elf(elf("crash"), project_name="lamp", version="9.9.9", secure_version=3)
    _, _, lamp = played(code, other)
    assert "(broken_driver)" in lamp.runs[0].why
