"""``merge-bin`` beside esptool's, as a separate program: the same arguments, the same bytes."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from py_esp_ota._core import PartitionTable, Target, inspect_image
from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware, bootloader, rewritten
from py_esp_ota.flashing import _FREQUENCIES, MODES

pytest.importorskip("esptool")


@pytest.mark.parametrize(
    ("chip", "start", "options"),
    [
        ("esp32c3", 0, []),
        ("esp32", 0x1000, []),
        ("esp32", 0x1000, ["--target-offset", "0x1000"]),
        ("esp32p4", 0x2000, ["--pad-to-size", "4MB"]),
        ("esp32c5", 0x2000, ["--target-offset", "0x2000", "--pad-to-size", "1MB"]),
    ],
)
def test_merge_bin(chip, start, options, esptool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = {
        start: ("boot.bin", bootloader(chip=chip)),
        0x8000: ("table.bin", PartitionTable.builtin("two_ota").to_bytes()),
        0x10000: ("app.bin", Firmware("lamp", "1", chip=chip).to_bytes()),
    }
    words = []
    for offset, (name, data) in parts.items():
        (tmp_path / name).write_bytes(data)
        words += [f"0x{offset:x}", name]
    esptool("--chip", chip, "merge-bin", "-o", "theirs.bin", *options, *words)
    done = CliRunner().invoke(main, ["merge-bin", "-o", "ours.bin", *options, *words])
    assert done.exit_code == 0, done.output
    ours, theirs = ((tmp_path / name).read_bytes() for name in ("ours.bin", "theirs.bin"))
    assert len(ours) == len(theirs)
    assert ours == theirs


# --------------------------------------------------------------------------------- other formats, and flash settings


def both(esptool, chip, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    esptool("--chip", chip, "merge-bin", "-o", "theirs", *words)
    done = CliRunner().invoke(main, ["merge-bin", "--chip", chip, "-o", "ours", *words])
    assert done.exit_code == 0, done.output
    ours, theirs = ((tmp_path / name).read_bytes() for name in ("ours", "theirs"))
    assert ours == theirs
    return ours


def furnished(chip, folder):
    start = Target(chip).bootloader_offset
    parts = {
        start: ("boot.bin", bootloader(chip=chip)),
        0x8000: ("table.bin", PartitionTable.builtin("two_ota").to_bytes().ljust(0x1000, b"\xff")),
        0x9000: ("touches.bin", bytes(range(5))),
        0xFFF3: ("crosses.bin", bytes(range(30))),
        0x20000: ("app.bin", Firmware("lamp", "1", chip=chip).to_bytes()),
    }
    for name, data in parts.values():
        (folder / name).write_bytes(data)
    return [word for offset, (name, _) in parts.items() for word in (f"0x{offset:x}", name)]


@pytest.mark.parametrize("chip", Target.names())
@pytest.mark.parametrize("form", ["uf2", "hex"])
def test_other_formats_on_every_chip(chip, form, esptool, tmp_path, monkeypatch):
    both(esptool, chip, tmp_path, monkeypatch, ["--format", form, *furnished(chip, tmp_path)])


@pytest.mark.parametrize(
    "options",
    [
        ["-f", "uf2", "--chunk-size", "256"],
        ["-f", "uf2", "--md5-disable"],
        ["-f", "uf2", "--md5-disable", "--chunk-size", "476", "--flash-mode", "dout"],
        ["-f", "hex", "--flash-size", "16MB"],
    ],
    ids=" ".join,
)
def test_options_of_other_formats(options, esptool, tmp_path, monkeypatch):
    both(esptool, "esp32s2", tmp_path, monkeypatch, [*options, *furnished("esp32s2", tmp_path)])


def test_hex_of_little_needs_no_address_record(esptool, tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(bytes(range(20)))
    assert b":02000004" not in both(esptool, "esp32c3", tmp_path, monkeypatch, ["-f", "hex", "0x9000", "a"])
    assert b":02000004" not in both(esptool, "esp32c3", tmp_path, monkeypatch, ["-f", "hex", "0xffec", "a"])
    assert b":02000004" in both(esptool, "esp32c3", tmp_path, monkeypatch, ["-f", "hex", "0xffed", "a"])


@pytest.mark.parametrize("chip", Target.names())
def test_flash_settings_on_every_chip(chip, esptool, tmp_path, monkeypatch):
    words = furnished(chip, tmp_path)
    seen = set()
    for mode, freq, size in zip(MODES, _FREQUENCIES[chip], ("1MB", "keep", "8MB", "128MB"), strict=False):
        options = ["--flash-mode", mode, "--flash-freq", freq, "--flash-size", size]
        image = both(esptool, chip, tmp_path, monkeypatch, [*options, *words])
        start = Target(chip).bootloader_offset
        assert inspect_image(image[start:]).valid
        seen.add(image[start + 2 : start + 4])
    assert len(seen) == min(len(MODES), len(_FREQUENCIES[chip]))


@pytest.mark.parametrize(
    ("what", "warns"),
    [
        ("broken hash", False),
        ("no hash", False),
        ("text", True),
        ("cut", True),
        ("short", True),
        ("elsewhere", True),
    ],
)
def test_flash_settings_of_what_is_no_bootloader(what, warns, esptool, tmp_path, monkeypatch):
    whole = bootloader(chip="esp32c3")
    data = {
        "broken hash": whole[:-1] + b"\0",
        "no hash": rewritten(whole, hash_appended=0),
        "text": b"no image at all, but long enough for a header",
        "cut": whole[: len(whole) // 2],
        "short": whole[:7],
        "elsewhere": whole,
    }[what]
    (tmp_path / "part").write_bytes(data)
    offset = "0x1000" if what == "elsewhere" else "0x0"
    both(esptool, "esp32c3", tmp_path, monkeypatch, ["--flash-mode", "qout", offset, "part"])
    done = CliRunner().invoke(
        main, ["merge-bin", "-c", "esp32c3", "-o", "ours", "--flash-mode", "qout", offset, "part"]
    )
    assert done.stderr.startswith("WARNING: ") == warns
