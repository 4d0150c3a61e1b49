"""``esp-ota boot --silicon``: what is run, what is told, what is compared, what is written back, what is refused."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from board import PLAIN, Board, app, slots, table
from builds import BUILDS, C3, C3_OLDER, bootloader, shared
from click.testing import CliRunner
from real_roms import real_rom
from test_traps import A0, DRAM, IRAM, call, load

from py_esp_ota._core import EFuse, Flash
from py_esp_ota.chip import Chip
from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware, app_desc, flipped, image, rehashed, resealed
from py_esp_ota.firmware import bootloader as forged
from py_esp_ota.idf.bootloader.build_release import release_of_build
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.silicon import Machine, oracle
from py_esp_ota.silicon.build import compiled_build

ESPFLASH, ROLLBACK = C3
TOLD = (*BUILDS, *C3_OLDER)
OTADATA, OTA_0, OTA_1 = 0xD000, 0x110000, 0x210000
_2_MB, _16_MB = 0x10, 0x40


def run(*words: object):
    done = CliRunner().invoke(main, ["boot", *(str(word) for word in words), "--silicon"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    return done


def facts(*words: object, count: bool = False):
    """What ``--json`` tells; the instructions only with ``count``, for which each boot is made some twenty times."""
    with pytest.MonkeyPatch.context() as patch:
        if not count:
            patch.setattr(oracle, "_counted", lambda *_: 0)
        return json.loads(run(*words, "--json").stdout)


def refused(*words: object) -> str:
    done = run(*words)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


@pytest.fixture
def flash(tmp_path):
    """Two slots, an update in the second that nobody confirmed, and no bootloader."""
    path = tmp_path / "flash.bin"
    path.write_bytes(Board("two_ota", "1/VALID", "2/NEW").chip.flash.to_bytes())
    return path


@pytest.fixture
def loader(tmp_path):
    """Files with the real bootloaders, as they were released."""

    def file(build, **changed):
        path = tmp_path / f"{build}.bin"
        path.write_bytes(bootloader(build, **changed))
        return path

    return file


def installed(path: Path, code: bytes) -> Path:
    """The same flash with this bootloader."""
    path.write_bytes(code + path.read_bytes()[len(code) :])
    return path


# ------------------------------------------------------------------------------------------------------------ what runs


def test_the_bootloader_in_the_flash_tells_its_own_log_and_where_it_jumped(flash, loader):
    done = run(installed(flash, loader(ESPFLASH).read_bytes()))
    assert done.exit_code == 0
    assert "boot: Loaded app from partition at offset 0x210000" in done.stdout
    assert "machine code: jumps into ota_1 at 0x210000, entry 0x40380000" in done.stdout
    assert "flash writes: none" in done.stdout
    assert "instructions: " in done.stdout


def test_the_report_is_the_models_with_facts_about_the_machine(flash, loader):
    path = installed(flash, loader(ROLLBACK).read_bytes())
    reports = facts(path, "--times", 3, count=True)
    assert [(one["partition"], one["state"], one["silicon"]["outcome"]) for one in reports] == [
        ("ota_1", "PENDING_VERIFY", "APP"),
        ("ota_0", "VALID", "APP"),
        ("ota_0", "VALID", "APP"),
    ]
    assert [one["otadata_writes"] for one in reports] == [
        [{"entry": 1, "ota_seq": 2, "state": "PENDING_VERIFY"}],
        [{"entry": 1, "ota_seq": 2, "state": "ABORTED"}],
        [],
    ]
    assert reports[0]["silicon"]["flash_writes"] == [
        {"kind": "erase", "address": OTADATA + 0x1000, "length": 0x1000},
        {"kind": "program", "address": OTADATA + 0x1000, "length": 32},
    ]
    assert all(50_000 < one["silicon"]["instructions"] < 100_000 for one in reports)
    model = json.loads(CliRunner().invoke(main, ["boot", str(path), "--json"]).stdout)
    told = reports[0]
    assert set(told) == set(model) | {"silicon", "rollback", "rollback_reason"}
    assert {key: told[key] for key in model if key not in {"why", "log", "console"}} == {
        key: model[key] for key in model if key not in {"why", "log", "console"}
    }
    # ROM's own lines come first on both consoles, before each run.
    first = told["console"][: len(told["console"]) - len(told["log"])]
    assert first == model["console"][: len(model["console"]) - len(model["log"])]
    assert (first[0], first[-1]) == ("ESP-ROM:esp32c3-api1-20210207", "entry 0x403cbf10")


@pytest.mark.parametrize("build", C3, ids=str)
def test_it_says_whether_it_can_roll_back_and_leaves_the_flash_as_it_is(flash, loader, build):
    before = installed(flash, loader(build).read_bytes()).read_bytes()
    can = build.config.bootloader_app_rollback_enable
    told = facts(flash)
    assert told["rollback"] is can
    assert told["rollback_reason"].endswith("with the flash's own partition table")
    assert [one["rollback"] for one in facts(flash, "--times", 2)] == [can, can]
    shown = run(flash, "--times", 2).stdout
    assert shown.count("\n  can roll back: ") == 1
    assert f"\n  can roll back: {'yes' if can else 'no'}: {told['rollback_reason']}\n" in shown
    assert flash.read_bytes() == before


def test_without_an_answer_there_is_a_reason(flash):
    told = facts(flash)
    assert (told["rollback"], told["rollback_reason"]) == (
        None,
        "no bootloader: the first byte is 0xff, expected 0xe9, with a partition table made for it",
    )
    assert "\n  can roll back: not known: no bootloader: " in run(flash).stdout


def test_a_bootloader_that_is_made_for_another_board_is_told_as_one(tmp_path, loader):
    """For 16 MB of flash on 2 MB, and for a newer chip; the model says the same."""
    path = tmp_path / "flash.bin"
    path.write_bytes(Board(slots(1), "1/VALID").chip.flash.to_bytes()[:0x200000])
    made_for_16_mb = "bootloader header: it is made for 16 MB of flash, this chip has 2 MB"
    big = loader(ESPFLASH, flash_size=_16_MB)
    told = facts(path, "--bootloader", big, "--flash-size", "keep", "--compare")
    assert (told["ok"], told["why"][0], told["compare"]["difference"]) == (True, made_for_16_mb, None)
    assert not any("bootloader header" in why for why in facts(path, "--bootloader", big)["why"])
    data = bytearray(big.read_bytes())
    data[15:17] = (101).to_bytes(2, "little")
    big.write_bytes(rehashed(bytes(data)))
    told = facts(path, "--bootloader", big, "--flash-size", "keep")
    too_new = "bootloader header: it needs chip revision v1.1, this chip has v0.4"
    assert (told["ok"], told["why"][:2]) == (False, [too_new, made_for_16_mb])
    chip = Chip(flash=Flash.from_bytes(big.read_bytes() + path.read_bytes()[len(big.read_bytes()) :], size=0x200000))
    assert boot(chip, PLAIN).why[:2] == (too_new, made_for_16_mb)


@pytest.mark.parametrize("build", C3, ids=str)
def test_apps_behind_the_end_of_a_flash_that_is_smaller_than_its_bootloader_thinks(tmp_path, loader, build):
    """The chip shows the beginning again there: a report, and no hang."""
    path = tmp_path / "flash.bin"
    rows = table(
        ("otadata", 1, 0, 0xD000, 0x2000), ("ota_0", 0, 0x10, 0x10000, 0x10000), ("ota_1", 0, 0x11, 0xF00000, 0x10000)
    )
    board = Board(slots(1), "2/VALID")
    board.chip.flash.erase(0x8000, 0x1000)
    board.chip.flash.program(0x8000, rows.to_bytes())
    path.write_bytes(board.chip.flash.to_bytes()[:0x200000])
    told = facts(path, "--bootloader", loader(build, flash_size=_16_MB), "--flash-size", "keep")
    assert (told["partition"], told["silicon"]["outcome"]) == ("ota_0", "APP")
    assert told["rollback"] is build.config.bootloader_app_rollback_enable


def test_a_bootloader_of_another_chip_is_told_as_one(flash, loader):
    board = Board("two_ota", "1/VALID", chip="esp32c6")
    board.chip.flash.program(0, loader(ESPFLASH).read_bytes())
    flash.write_bytes(board.chip.flash.to_bytes())
    told = facts(flash, "--chip", "esp32c6")
    assert told["why"][0] == "bootloader header: it is made for esp32c3, this chip is an esp32c6"
    assert not told["ok"]


def test_a_bootloader_from_a_file_takes_the_flashs_size_unless_it_is_kept(flash, loader):
    small = loader(ESPFLASH, flash_size=_2_MB)
    assert "SPI Flash Size : 4MB" in run(flash, "--bootloader", small).stdout
    kept = run(flash, "--bootloader", small, "--flash-size", "keep")
    assert kept.exit_code == 1
    assert "SPI Flash Size : 2MB" in kept.stdout
    assert "exceeds flash chip size 0x200000" in kept.stdout


def test_write_saves_what_the_bootloader_wrote_and_not_the_bootloader(flash, loader):
    before = installed(flash, b"my own").read_bytes()
    assert run(flash, "--bootloader", loader(ROLLBACK)).exit_code == 0
    assert flash.read_bytes() == before
    assert run(flash, "--bootloader", loader(ROLLBACK), "--write").exit_code == 0
    after = flash.read_bytes()
    assert len(after) == len(before)
    sectors = range(0, len(before), 0x1000)
    assert [at for at in sectors if before[at : at + 0x1000] != after[at : at + 0x1000]] == [OTADATA + 0x1000]


def test_a_flash_that_is_healed_is_followed_over_its_resets(tmp_path, loader):
    path = tmp_path / "flash.bin"
    board = Board("two_ota", "1/VALID", "2/NEW")
    for label in ("ota_0", "ota_1", "factory"):
        board.flash_app(label, flipped(app(label), -1))
    path.write_bytes(board.chip.flash.to_bytes())
    told = facts(path, "--bootloader", loader(ROLLBACK), "--compare")
    assert (told["ok"], told["silicon"]["outcome"], told["compare"]["agree"]) == (False, "RESET", True)
    assert told["resets"] == 2
    assert [write["state"] for write in told["otadata_writes"]] == ["PENDING_VERIFY", "ABORTED"]


def test_a_wake_up_from_deep_sleep_goes_the_builds_own_way(flash, loader):
    done = run(flash, "--bootloader", loader(ROLLBACK), "--reset-reason", "deepsleep")
    assert "Fast booting is not successful" in done.stdout
    assert "Fast booting" not in run(flash, "--bootloader", loader(ROLLBACK)).stdout


def test_efuses_reach_machine_code(flash, loader, tmp_path):
    fuses = tmp_path / "fuses.json"
    fuses.write_text(EFuse("esp32c3", chip_revision=2).to_json())
    done = run(flash, "--bootloader", loader(ESPFLASH), "--efuse", fuses)
    assert done.exit_code == 1
    assert "chip revision: v0.2" in done.stdout


# -------------------------------------------------------------------------------------------------------------- compare


def test_both_follow_the_watchdog_after_an_assertion(tmp_path, loader):
    """The entry that it writes for an app without instructions is there at the next boot, which stops again."""
    path = tmp_path / "flash.bin"
    board = Board(slots(1))
    board.flash_app("ota_0", image([(0x3C000020, app_desc("bench", "x")), (0x40380000, bytes(16))]))
    path.write_bytes(board.chip.flash.to_bytes())
    told = facts(path, "--bootloader", loader(ESPFLASH), "--compare")
    assert (told["silicon"]["outcome"], told["resets"], told["ok"]) == ("ABORT", 1, False)
    assert told["compare"] == {**told["compare"], "agree": True, "difference": None}
    model = json.loads(CliRunner().invoke(main, ["boot", str(path), "--no-rollback", "--json"]).stdout)
    assert model["resets"] == 1


@pytest.mark.parametrize("build", [*C3, C3_OLDER[0]], ids=str)
def test_nothing_bootable_after_deep_sleep_is_told_alike(flash, loader, build):
    board = Board("two_ota", "1/VALID", without=("factory", "ota_0", "ota_1"))
    flash.write_bytes(board.chip.flash.to_bytes())
    told = facts(flash, "--bootloader", loader(build), "--compare", "--reset-reason", "deepsleep")
    assert (told["ok"], told["compare"]["difference"]) == (False, None)


@pytest.mark.parametrize("build", shared(TOLD, 0), ids=str)
def test_model_and_machine_code_agree_with_the_options_that_the_build_shows(flash, loader, build):
    flash.write_bytes(Board("two_ota", "1/VALID", "2/NEW", chip=build.chip).chip.flash.to_bytes())
    told = facts(flash, "--bootloader", loader(build), "--compare", "--times", 3)
    assert [one["compare"]["agree"] for one in told] == [True] * 3
    assert told[0]["compare"]["difference"] is None
    options, rollback = told[0]["compare"]["options"], build.config.bootloader_app_rollback_enable
    assert options["bootloader_app_rollback_enable"] is rollback
    assert options["bootloader_skip_validate_always"] is False
    assert options["idf_env_bringup"] is build.config.idf_env_bringup
    assert options["compiler_optimization_assertion_level"] == build.config.compiler_optimization_assertion_level
    assert ("bootloader_factory_reset" in options) is build.logs


@pytest.mark.parametrize("build", shared(TOLD, 1), ids=str)
def test_they_agree_on_a_wrong_hash_and_on_no_app_at_all(flash, loader, build):
    board = Board("two_ota", "1/VALID", "2/VALID", chip=build.chip)
    for label in ("ota_0", "ota_1"):
        board.flash_app(label, flipped(app(label, build.chip), -1))
    flash.write_bytes(board.chip.flash.to_bytes())
    told = facts(flash, "--bootloader", loader(build), "--compare")
    assert told["compare"]["agree"]
    assert told["partition"] == ("ota_1" if build.config.idf_env_bringup else "factory")
    flash.write_bytes(Board("two_ota", chip=build.chip, without=("factory", "ota_0", "ota_1")).chip.flash.to_bytes())
    told = facts(flash, "--bootloader", loader(build), "--compare")
    assert (told["ok"], told["compare"]["agree"]) == (False, True)


@pytest.mark.parametrize("build", [build for build in BUILDS if build.logs], ids=str)
def test_the_page_size_is_that_of_the_build_and_not_what_the_flash_would_get(flash, loader, build):
    rows = slots(2, factory=True)
    flash.write_bytes(Board(rows, "1/VALID", chip=build.chip).chip.flash.to_bytes()[:0x200000])
    told = facts(flash, "--bootloader", loader(build), "--compare")["compare"]
    assert (told["agree"], told["options"]["mmu_page_size"]) == (True, 0x10000)


def test_the_first_difference_is_one_line_and_exit_1(flash, loader, monkeypatch):
    """A model of another build: it takes no sums."""
    from py_esp_ota.cli import silicon_boot

    careless = replace(PLAIN, bootloader_skip_validate_always=True)
    monkeypatch.setattr(silicon_boot, "as_compiled", lambda *_: careless)
    board = Board("two_ota", "1/VALID", "2/NEW")
    board.flash_app("ota_1", flipped(app("ota_1"), 0x200))
    flash.write_bytes(board.chip.flash.to_bytes())
    done = run(flash, "--bootloader", loader(ESPFLASH), "--compare", "--times", 5)
    assert done.exit_code == 1
    told = [line for line in done.stdout.splitlines() if "the model differs" in line]
    assert told == [
        "  the model differs: machine code jumps into ota_0 at 0x110000; the model jumps into ota_1 at 0x210000"
    ]


def test_what_the_model_burns_is_not_written_back(flash, loader, tmp_path):
    """A build without texts may have anti-rollback; the model believes the user that it has."""
    fuses, config = tmp_path / "fuses.json", tmp_path / "sdkconfig"
    fuses.write_text(EFuse("esp32c3").to_json())
    config.write_text("".join(f"CONFIG_BOOTLOADER_APP_{name}=y\n" for name in ("ROLLBACK_ENABLE", "ANTI_ROLLBACK")))
    config.write_text(config.read_text() + "CONFIG_BOOTLOADER_SKIP_VALIDATE_IN_DEEP_SLEEP=y\n")
    board = Board("two_ota", "1/VALID")
    board.flash_app("ota_0", Firmware("bench", "2", secure_version=3).to_bytes())
    flash.write_bytes(board.chip.flash.to_bytes())
    words = ("--config", config, "--efuse", fuses, "--compare", "--write")
    assert facts(flash, "--bootloader", loader(ROLLBACK), *words)["partition"] == "ota_0"
    assert EFuse.from_json(fuses.read_text()).secure_version == 0


@pytest.mark.parametrize("build", C3, ids=str)
def test_an_app_without_instructions_in_flash_stops_a_build_with_assertions(flash, loader, build):
    board = Board("two_ota", "1/VALID")
    board.flash_app("ota_0", image([(0x3C000020, bytes(64)), (0x40380000, bytes(16))]))
    flash.write_bytes(board.chip.flash.to_bytes())
    told = facts(flash, "--bootloader", loader(build), "--compare")
    assert (told["silicon"]["outcome"], told["ok"]) == (("ABORT", False) if build.logs else ("APP", True))
    assert told["compare"]["agree"]


def test_a_difference_in_the_flash_and_in_the_log_are_told_as_such(flash, loader, monkeypatch):
    from py_esp_ota.cli import silicon_boot

    def wrong(board, config):
        report = silicon_boot_model(board, config)
        board.flash.erase(OTADATA, 0x1000)
        return report

    silicon_boot_model = silicon_boot.boot
    monkeypatch.setattr(silicon_boot, "boot", wrong)
    told = facts(flash, "--bootloader", loader(ESPFLASH), "--compare")["compare"]["difference"]
    assert told == f"flash at 0xd000: machine code left 01 00 00 00{' ff' * 12}, the model{' ff' * 16}"

    def chatty(board, config):
        config = silicon_boot.Sdkconfig(bootloader_app_rollback_enable=False, freertos_unicore=True)
        report = silicon_boot_model(board, config)
        return silicon_boot.replace(report, log=("I (5) boot: hello", *report.log))

    monkeypatch.setattr(silicon_boot, "boot", chatty)
    told = facts(flash, "--bootloader", loader(ESPFLASH), "--compare")["compare"]["difference"]
    assert told == "console line 1: machine code prints 'I boot: chip revision: v0.4', the model 'I boot: hello'"


@pytest.mark.parametrize(("build", "words", "told"), [
    (ESPFLASH, ["--rollback"], "ROLLBACK_ENABLE=y contradicts the bootloader, which was compiled without"),
    (ROLLBACK, ["--no-rollback"], "ROLLBACK_ENABLE=n contradicts the bootloader, which was compiled with"),
    (ESPFLASH, ["--config", "factory"], "CONFIG_BOOTLOADER_FACTORY_RESET=y contradicts"),
], ids=["rollback", "no rollback", "factory reset"])  # fmt: skip
def test_options_that_contradict_the_compiled_build_are_refused(flash, loader, tmp_path, build, words, told):
    (tmp_path / "factory").write_text("CONFIG_BOOTLOADER_FACTORY_RESET=y\n")
    words = [tmp_path / word if word == "factory" else word for word in words]
    assert told in refused(flash, "--bootloader", loader(build), *words)


def test_options_that_the_compiled_build_has_are_taken(flash, loader, tmp_path):
    config = tmp_path / "sdkconfig"
    config.write_text("CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y\nCONFIG_BOOTLOADER_SKIP_VALIDATE_IN_DEEP_SLEEP=y\n")
    assert run(flash, "--bootloader", loader(ROLLBACK), "--config", config).exit_code == 0
    assert run(flash, "--bootloader", loader(ESPFLASH), "--no-rollback").exit_code == 0


def test_a_build_is_read_off_its_bytes(loader):
    espflash, rollback = (compiled_build(loader(build).read_bytes()) for build in C3)
    assert (espflash.idf_version, espflash.prints) == ((5, 5, 2), "EWI")
    assert espflash.options == dict.fromkeys(espflash.options, False)
    assert len(espflash.options) == 5
    assert (rollback.prints, rollback.options) == (
        "EW",
        {"bootloader_skip_validate_in_deep_sleep": True, "idf_env_bringup": False},
    )


@pytest.mark.parametrize(("text", "version"), [
    ("v6.1", (6, 1, 0)), ("v6.1-beta1", (6, 1, 0)), ("v5.0-dev-12-gabc", (4, 4, 0)), ("5.3.4.251226", (5, 3, 4)),
    ("v5.5.1-838-gd66ebb86d2e", (5, 5, 2)), ("mine", None),
])  # fmt: skip
def test_versions(text, version):
    assert compiled_build(forged(idf_ver=text)).idf_version == version
    assert compiled_build(b"?" * 0x200 + b"\0" + text.encode() + b"\0").idf_version == version


def test_what_a_build_prints_tells_its_release_better_than_its_version(loader):
    """A copy of v5.5.2 that says it is the v5.4 that v5.5-dev began with, an older one, or nothing."""
    real = loader(ESPFLASH).read_bytes()
    said = b"v5.5.1-838-gd66ebb86d2e"
    for other, version in ((b"v5.5-dev-100-g012345678", (5, 5, 0)), (b"v5.1.2", (5, 5, 0)), (b"1", (6, 0, 1))):
        copy = compiled_build(real.replace(said, other.ljust(len(said), b"\0")))
        assert release_of_build(copy, (6, 0, 1)) == version
    for build in (*BUILDS, *C3_OLDER):
        told = compiled_build(loader(build).read_bytes())
        assert release_of_build(told, (1, 0, 0)) == told.idf_version
    assert release_of_build(compiled_build(forged(idf_ver="mine")), (5, 3, 0)) == (5, 3, 0)


def test_a_build_that_does_not_say_its_version_is_of_the_release_of_its_apps(flash, loader):
    """MicroPython's says none where it has no descriptor: what its texts allow next to what its app says."""
    real = loader(ESPFLASH).read_bytes().replace(b"v5.5.1-838-gd66ebb86d2e", b"?".ljust(23, b"\0"))
    board = Board("two_ota", "1/VALID")
    board.flash_app("ota_0", Firmware("bench", "1", idf_ver="v5.5.3").to_bytes())
    board.flash_app("factory", Firmware("bench", "1", idf_ver="v5.5.3").to_bytes())
    flash.write_bytes(board.chip.flash.to_bytes())
    told = facts(installed(flash, resealed(real)), "--compare")
    assert (told["release"]["version"], told["compare"]["difference"]) == ("v5.5.3", None)


# ------------------------------------------------------------------------------------------------------------ bad input


def elf(**symbols: tuple[int, int]) -> bytes:
    """An ELF file that has these symbols, by address and size, and nothing else."""
    names, table = b"\0", bytes(16)
    for name, (address, size) in symbols.items():
        table += struct.pack("<IIIBBH", len(names), address, size, 2, 0, 1)
        names += name.encode() + b"\0"
    sections = b"\0.symtab\0.strtab\0"
    at = 52
    places = []
    for part in (table, names, sections):
        places.append((at, len(part)))
        at += len(part)
    headers = bytes(40)
    for (name, kind, link, size), (start, length) in zip(
        [(1, 2, 2, 16), (9, 3, 0, 0), (9, 3, 0, 0)], places, strict=True
    ):
        headers += struct.pack("<10I", name, kind, 0, 0, start, length, link, 1, 1, size)
    head = b"\x7fELF\1\1\1" + bytes(9)
    return (
        head
        + struct.pack("<HHIIIIIHHHHHH", 2, 243, 1, 0, 0, at, 0, 52, 0, 0, 40, 4, 3)
        + table
        + names
        + sections
        + headers
    )


def test_a_trap_names_the_address_the_symbol_and_the_last_calls(flash, tmp_path):
    code = struct.pack("<6I", *load(A0, DRAM), *call(0x40000050)[:2], 0x000280E7, 0)
    installed(flash, image([(DRAM, bytes(16)), (IRAM, code)], entry_addr=IRAM))
    symbols = tmp_path / "app.elf"
    symbols.write_bytes(elf(call_start_cpu0=(IRAM, 0x40)))
    done = run(flash, "--elf", symbols)
    assert done.exit_code == 1
    assert "illegal instruction at pc 0x403cc014" in done.stdout
    assert "last ROM calls: ets_delay_us" in done.stdout
    assert "  in call_start_cpu0+0x14" in done.stdout
    trap = facts(flash)["silicon"]["trap"]
    assert facts(flash, "--elf", symbols)["silicon"]["trap"]["symbol"] == "call_start_cpu0+0x14"
    assert trap["symbol"] is None
    assert (trap["pc"], trap["calls"], trap["reason"]) == (IRAM + 0x14, ["ets_delay_us"], "illegal instruction")


def test_a_loop_is_told_as_one(flash, monkeypatch):
    installed(flash, image([(IRAM, struct.pack("<I", 0x6F))], entry_addr=IRAM))
    done = run(flash)
    assert done.exit_code == 1
    assert "machine code: is still running when its time is over" in done.stdout
    monkeypatch.setattr(Machine.run, "__kwdefaults__", {"budget": 1000})  # to have looked on once is enough
    assert facts(flash)["silicon"]["outcome"] == "HANG"


def test_no_bootloader_is_told_without_an_address(flash):
    done = run(flash)
    assert done.exit_code == 1
    assert "machine code: no app starts: no bootloader: the first byte is 0xff, expected 0xe9\n" in done.stdout


def test_a_forged_bootloader_is_random_code_and_ends_in_a_trap(flash):
    done = run(installed(flash, forged()))
    assert done.exit_code == 1
    assert "machine code: stops for good: " in done.stdout


def test_a_real_rom_runs_where_it_can(flash, loader, tmp_path):
    path = tmp_path / "rom.elf"
    path.write_bytes(real_rom("esp32c3"))
    told = facts(flash, "--bootloader", loader(ESPFLASH), "--rom", path, "--compare", count=True)
    assert told["compare"]["agree"]
    # What our functions do in one step, its code does in many.
    ours = facts(flash, "--bootloader", loader(ESPFLASH), "--rom", "none", count=True)
    assert told["silicon"]["instructions"] > ours["silicon"]["instructions"]
    path.write_bytes(real_rom("esp32c6"))
    assert "this is no ROM of the esp32c3" in refused(flash, "--bootloader", loader(ESPFLASH), "--rom", path)
    path.write_bytes(b"\x7fELF and no more")
    assert refused(flash, "--bootloader", loader(ESPFLASH), "--rom", path)
    assert "which has its own" in refused(flash, "--rom", path, "--emulator", "qemu")


def test_options_of_machine_code_need_it(flash, tmp_path):
    for words in (("--bootloader", flash), ("--rom", flash), ("--compare",), ("--elf", flash), ("--engine", "qemu")):
        done = CliRunner().invoke(main, ["boot", str(flash), *map(str, words)])
        assert done.exit_code == 2
        assert f"{words[0]} goes with --silicon" in done.stderr


def test_a_pin_that_is_held_is_seen_by_machine_code(flash, tmp_path):
    """lui a5, gpio; lw a5, 60(a5); slli a5, a5, 22; bltz a5: the reset by ROM, or straight on to code that is none."""
    path = tmp_path / "loader.bin"
    code = [0x600047B7, 0x03C7A783, 0x01679793, 0x0007C863, *call(0x40000090), 0]
    path.write_bytes(image([(DRAM, bytes(16)), (IRAM, struct.pack(f"<{len(code)}I", *code))], entry_addr=IRAM))
    outcomes = [
        facts(flash, "--bootloader", path, *words)["silicon"]["outcome"]
        for words in ((), ("--hold-pin", "9"), ("--hold-pin", "9=1"), ("--hold-pin", "8"))
    ]
    assert outcomes == ["ABORT", "RESET", "ABORT", "ABORT"]


def test_what_machine_code_cannot_have_is_refused_in_one_sentence(flash, loader, tmp_path):
    real = loader(ESPFLASH)
    for name, fuses in (
        ("secure boot", EFuse("esp32c3", secure_boot_en=True)),
        ("flash encryption", EFuse("esp32c3", flash_crypt_cnt=1, flash_encryption_key=bytes(32))),
    ):
        path = tmp_path / "fuses.json"
        path.write_text(fuses.to_json())
        assert f"chips without {name}" in refused(flash, "--bootloader", real, "--efuse", path)
    config = tmp_path / "sdkconfig"
    config.write_text("CONFIG_SECURE_BOOT=y\n")
    assert "CONFIG_SECURE_BOOT" in refused(flash, "--bootloader", real, "--config", config)
    assert "--hold-pin" in refused(flash, "--bootloader", real, "--hold-pin", "4", "--emulator", "qemu")
    assert "no ELF file" in refused(flash, "--bootloader", real, "--elf", flash)


@pytest.mark.parametrize("chip", ["esp32", "esp32s2", "esp32s3"])
def test_xtensa_chips_run_on_their_real_rom_alone(tmp_path, chip):
    path = tmp_path / "flash.bin"
    path.write_bytes(Board("two_ota", chip=chip).chip.flash.to_bytes())
    told = refused(path, "--rom", "none")
    assert f"machine code runs on the {chip} with its real ROM alone" in told
    assert "espflash" in told


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\x7fELF", "is no bootloader: its first byte is 0x7f, expected 0xe9"),
        (b"\xe9", "is no image of a chip that is known here"),
        (b"", "is empty"),
        (Firmware("lamp", "1").to_bytes(), "is an app, not a bootloader"),
        (forged() + bytes(40), None),
        (image([(IRAM, bytes(0x8000))]), "reach into the partition table at 0x8000"),
        (forged()[:0x100], "--flash-size keep takes it as it is"),
    ],
    ids=["elf", "one byte", "empty", "app", "trailing", "long", "cut"],
)
def test_a_file_that_is_no_bootloader_is_refused(flash, tmp_path, data, told):
    path = tmp_path / "loader.bin"
    path.write_bytes(data)
    if told is None:
        assert run(flash, "--bootloader", path).exit_code == 1
    else:
        assert told in refused(flash, "--bootloader", path)


def test_without_the_extra_a_sentence_says_what_to_install(flash, monkeypatch):
    monkeypatch.setattr(oracle, "find_spec", lambda name: None)
    assert "pip install 'py_esp_ota[silicon]'" in refused(flash, "--engine", "unicorn")


def test_another_emulator_needs_no_unicorn(flash, tmp_path):
    """The door, the reports and the verb are there in the base install."""
    code = f"""
import sys
from importlib.abc import MetaPathFinder
class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("unicorn", "elftools"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Blocked())
sys.argv = ["esp-ota", "boot", {str(flash)!r}, "--silicon", "--emulator", "qemu"]
from py_esp_ota.__main__ import main
main()
"""
    path = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=path)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: qemu needs qemu-system-riscv32 on PATH")


@pytest.mark.parametrize("role", ["flash", "--bootloader", "--rom", "--elf", "--efuse", "--config"])
def test_hostile_files_in_any_role_end_in_a_report_or_a_sentence(flash, loader, tmp_path, role):
    real = loader(ESPFLASH).read_bytes()
    good = {
        "flash": installed(flash, real).read_bytes()[:0x120000],
        "--bootloader": real,
        "--rom": real_rom("esp32c3"),
        "--elf": elf(app_main=(IRAM, 64), panic=(IRAM + 64, 8)),
        "--efuse": EFuse("esp32c3").to_json().encode(),
        "--config": b"CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=n\n",
    }[role]
    path, rng, codes = tmp_path / "hostile", random.Random(role), set()
    for number in range(24):
        data = bytearray(good)
        if number % 3 == 0:
            data = data[: rng.randrange(len(data))]
        for _ in range(rng.choice([1, 4, 64])):
            if data:
                at = rng.randrange(min(len(data), rng.choice([0x40, 0x400, 1 << 30])))
                data[at : at + rng.choice([1, 4])] = rng.choice([b"\0", b"\xff" * 4, rng.randbytes(4)])
        path.write_bytes(rng.randbytes(rng.randrange(0x2000)) if number % 8 == 7 else bytes(data))
        done = run(path) if role == "flash" else run(flash, role, path)
        codes.add(done.exit_code)
        assert done.exit_code in {0, 1, 2}
        assert (done.exit_code == 2) == (done.stdout == "")
        assert done.exit_code != 2 or len(done.stderr.splitlines()) == 1
    assert codes & {0, 1} or role in {"--efuse", "--config"}  # texts, which rarely stay ones
