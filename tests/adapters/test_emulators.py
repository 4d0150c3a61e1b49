"""Emulators of others behind our door: what they are given, how their consoles are read, how they are stopped.

None is installed here: a script stands for them. With the real ones on PATH they are asked as well.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from board import Board, app

from py_esp_ota._core import EFuse
from py_esp_ota.adapters.emulators import EspEmu, Qemu, efuse_file
from py_esp_ota.chip import Chip
from py_esp_ota.firmware import bootloader, flipped
from py_esp_ota.idf.bootloader.compare import difference
from py_esp_ota.idf.bootloader.machine_code import silicon_boot
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.silicon.console import ConsoleReader, changes
from py_esp_ota.silicon.oracle import BootOracle, OwnMachine
from py_esp_ota.silicon.report import FlashWrite

FACTORY, OTA_0, OTA_1, OTADATA = 0x10000, 0x110000, 0x210000, 0xD000
ROLLBACK = Sdkconfig(idf_version=(5, 5, 1))
LOADED = "I (9) boot: Loaded app from partition at offset 0x20000"
LEAVES = "I (9) boot: Disabling RNG early entropy source..."


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The script under the names of all emulators, on a PATH that has nothing else; a call sets how it behaves."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = Path(__file__).with_name("fake_emulator.py")
    for name in ("qemu-system-riscv32", "qemu-system-xtensa", "esp-emu"):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("FAKE_EFUSES", str(tmp_path / "fuses"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    def behave(mode):
        monkeypatch.setenv("FAKE_EMULATOR", mode)

    return behave


def board(*otadata, chip="esp32c3", **options):
    made = Board("two_ota", *otadata, chip=chip, config=ROLLBACK, **options)
    made.chip.flash.program(made.chip.target.bootloader_offset, bootloader(chip=chip, idf_ver="v5.5.1"))
    return made


@pytest.mark.parametrize("emulator", [Qemu, EspEmu])
def test_the_slot_is_read_off_the_console_and_the_writes_off_the_file(fake, emulator):
    one = board("1/VALID", "2/NEW")
    ended = emulator(timeout_s=20).boot(one.chip)
    assert (ended.outcome, ended.slot, ended.trap) == ("APP", OTA_1, None)
    assert ended.log[0].startswith("ESP-ROM:")
    assert ended.log[-1].endswith("Disabling RNG early entropy source...")
    assert ended.flash_writes == (FlashWrite("program", OTADATA + 0x1000 + 24, 1),) or ended.flash_writes == (
        FlashWrite("erase", OTADATA + 0x1000, 0x1000),
        FlashWrite("program", OTADATA + 0x1000, 32),
    )
    assert one.otadata == ("1/VALID", "2/PENDING_VERIFY")


def test_its_boot_is_followed_and_compared_as_that_of_our_own_machine(fake):
    one, other = board("1/VALID", "2/NEW"), board("1/VALID", "2/NEW")
    for label in ("factory", "ota_0", "ota_1"):
        for each in (one, other):
            each.flash_app(label, flipped(app(label), -1))
    done, model = silicon_boot(one.chip, Qemu(timeout_s=20), ROLLBACK), boot(other.chip, ROLLBACK)
    # The script follows resets by itself, in one run; what is left and printed is the same.
    assert (done.last.outcome, done.report.ok) == ("RESET", False)
    assert one.chip.flash.to_bytes() == other.chip.flash.to_bytes()
    one, other = board("1/VALID"), board("1/VALID")
    done, model = silicon_boot(one.chip, Qemu(timeout_s=20), ROLLBACK), boot(other.chip, ROLLBACK)
    assert difference(done, model, (one.chip.flash, other.chip.flash), "EWI") is None
    assert done.report.partition == one["ota_0"]
    assert done.instructions == 0


@pytest.mark.parametrize("chip", ["esp32", "esp32s3"])
def test_xtensa_chips_run_there(fake, chip):
    assert Qemu(timeout_s=20).boot(board("2/VALID", chip=chip).chip).slot == OTA_1


@pytest.mark.parametrize(
    ("mode", "outcome", "slot", "reason"),
    [
        ("abort", "ABORT", None, ""),
        ("silent app", "APP", OTA_0, ""),
        ("app writes", "APP", OTA_0, ""),
        ("hang", "HANG", None, ""),
        ("endless", "HANG", None, "4000 lines do not tell how it ends"),
        ("no newline", "HANG", None, ""),
        ("rom", "RESET", None, "no bootloader that ROM would start: invalid header: 0xffffffff"),
    ],
)
def test_other_ends(fake, mode, outcome, slot, reason):
    fake(mode)
    began = time.monotonic()
    ended = Qemu(timeout_s=1 if mode == "no newline" else 3).boot(board("1/VALID").chip)  # that one speaks all the time
    assert (ended.outcome, ended.slot) == (outcome, slot)
    assert (ended.trap.reason if ended.trap else "") == reason
    assert len("".join(ended.log)) < 3_000_000
    assert time.monotonic() - began < (2.8 if outcome in {"APP", "RESET", "ABORT"} else 15)


def test_nothing_bootable_is_a_reset(fake):
    assert Qemu(timeout_s=20).boot(board(without=("factory", "ota_0", "ota_1")).chip).outcome == "RESET"


def test_a_program_that_ends_by_itself_is_told_in_a_sentence(fake):
    fake("unsupported")
    with pytest.raises(ValueError, match="qemu ended by itself with status 1: qemu: unsupported machine type"):
        Qemu(timeout_s=20).boot(board().chip)
    fake("quits")
    with pytest.raises(ValueError, match="qemu ended by itself with status 3: and says nothing"):
        Qemu(timeout_s=20).boot(board().chip)


def test_a_qemu_without_espressifs_chips_is_known_as_one(fake, tmp_path):
    assert Qemu().unavailable("esp32c3") is None
    assert Qemu().unavailable("esp32") is None
    fake("stock")
    program = tmp_path / "bin/qemu-system-riscv32"
    assert Qemu().unavailable("esp32c3") == f"{program} has no machine esp32c3: it is not Espressif's QEMU"
    program.write_text("#!/no/such/interpreter\n")
    assert "cannot be run" in str(Qemu().unavailable("esp32c3"))


def test_nothing_is_left_of_a_run(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    fake("hang")
    Qemu(timeout_s=0.5).boot(board().chip)
    assert not list(tmp_path.glob("esp-ota-*"))
    assert not [line for line in _processes() if "fake_emulator" in line and str(tmp_path) in line]


def _processes():
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            yield (entry / "cmdline").read_bytes().decode("utf-8", "replace")
        except OSError:
            continue


def test_the_efuse_file_is_the_one_that_idf_has_for_these_chips(fake, tmp_path):
    """The defaults of qemu_ext.py: ESP32 v3.0, ESP32-C3 and ESP32-S3 v0.3."""
    for chip, revision, size, bits in (
        ("esp32", 300, 124, {13: 0x80, 22: 0x10}),
        ("esp32c3", 3, 1024, {38: 0x0C}),
        ("esp32s3", 3, 1024, {38: 0x0C}),
    ):
        data = efuse_file(EFuse(chip, chip_revision=revision))
        assert len(data) == size
        assert {at: byte for at, byte in enumerate(data) if byte} == bits
    one = board("1/VALID")
    Qemu(timeout_s=20).boot(one.chip)
    assert (tmp_path / "fuses").read_bytes() == efuse_file(one.chip.efuse)


def test_what_is_not_there_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Qemu().unavailable("esp32c6") == "qemu has no esp32c6, only esp32, esp32c3, esp32s3"
    assert Qemu().unavailable("esp32c3") == (
        "qemu needs qemu-system-riscv32 on PATH: python $IDF_PATH/tools/idf_tools.py install qemu-riscv32"
    )
    assert "qemu-system-xtensa" in str(Qemu().unavailable("esp32"))
    assert "esp-emu needs esp-emu on PATH" in str(EspEmu().unavailable("esp32c6"))
    with pytest.raises(ValueError, match="on PATH"):
        Qemu().boot(Chip())


def test_what_it_cannot_run_is_refused(fake):
    chip = Chip()
    chip.efuse.burn_secure_boot_en()
    with pytest.raises(ValueError, match="chips without secure boot"):
        Qemu().boot(chip)
    with pytest.raises(ValueError, match="flashes of 2, 4, 8 and 16 MB, and this one has 1 MB"):
        Qemu().boot(Chip(flash_size=0x100000))


# ---------------------------------------------------------------------------------------------------- pure rules


def test_every_emulator_is_an_oracle():
    oracles: list[BootOracle] = [OwnMachine(), Qemu(), EspEmu()]
    assert [oracle.name for oracle in oracles] == ["core", "qemu", "esp-emu"]
    assert all("esp32c3" in oracle.chips for oracle in oracles)


@pytest.mark.parametrize(
    ("lines", "outcome", "slot"),
    [
        (["rst:0x1 (POWERON)", "I (9) boot: x", "rst:0x3 (SW)"], "RESET", None),
        ([LOADED, "rst:0x3"], None, 0x20000),
        ([LOADED, "assert failed: x"], "ABORT", None),
        ([LOADED, LEAVES], None, 0x20000),
        (["I (30) cpu_start: Pro cpu up."], "APP", None),
        (["\x1b[0;31mE (9) boot: Guru Meditation Error\x1b[0m"], "ABORT", None),
    ],
)  # fmt: skip
def test_lines(lines, outcome, slot):
    reader = ConsoleReader()
    for line in lines:
        reader.feed(line)
    assert (reader.outcome, reader.slot) == (outcome, slot)


def test_a_bootloader_that_has_left_is_believed_after_a_quiet_moment_only():
    reader = ConsoleReader()
    reader.feed(LOADED)
    reader.quiet()
    assert reader.outcome is None
    reader.feed(LEAVES)
    assert reader.leaving
    reader.quiet()
    assert reader.outcome == "APP"


def test_changes_are_the_erases_and_programs_that_make_one_of_the_other():
    old = b"\xff" * 0x2000 + b"\x0f" * 0x1000
    new = b"\xff" * 16 + b"\x12" + b"\xff" * 3 + b"\x34" + b"\xff" * (0x2000 - 21) + b"\xf0" * 0x10 + b"\xff" * 0xFF0
    assert changes(old, new) == [
        FlashWrite("program", 16, 5),
        FlashWrite("erase", 0x2000, 0x1000),
        FlashWrite("program", 0x2000, 16),
    ]
    assert changes(new, new) == []


# ------------------------------------------------------------------------------------------------- the real ones


@pytest.mark.parametrize("emulator", [Qemu, EspEmu])
def test_the_real_emulator_decides_as_our_model(emulator):
    oracle = emulator(timeout_s=60)
    reason = oracle.unavailable("esp32c3")
    if reason is not None:
        pytest.skip(reason)
    from py_esp_ota.cli.corpus import fetch
    from py_esp_ota.firmware import with_flash_size

    pytest.importorskip("unicorn")
    sys.path.insert(0, str(Path(__file__).parents[1] / "silicon"))
    from side_by_side import BUILDS

    one, other = Board("two_ota", "1/VALID"), Board("two_ota", "1/VALID")
    for each in (one, other):
        each.chip.flash.program(0, with_flash_size(fetch(BUILDS[0].release), 0x400000))
    done = silicon_boot(one.chip, oracle, BUILDS[0].config)
    model = boot(other.chip, BUILDS[0].config)
    assert difference(done, model, (one.chip.flash, other.chip.flash), "EWI") is None
