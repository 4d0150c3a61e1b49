"""``--rom auto``: the published ROM, fetched once by its crate, checked, kept, and what happens when it is not."""

from __future__ import annotations

import os
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from py_esp_ota.adapters import roms
from py_esp_ota.adapters.roms import ROMS, RomFile, fetch_rom, kept_rom, rom_file
from py_esp_ota.chip import Chip
from py_esp_ota.cli.files import Unusable
from py_esp_ota.cli.roms import rom_of

ROM = b"\x7fELF, as it were"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache and a cargo of one's own: no crate is there yet, and cargo brings what ``crate`` makes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    rom = RomFile("esp32c3", 3, "tiny_rom.elf", roms.hashlib.sha256(ROM).hexdigest())
    monkeypatch.setattr(roms, "ROMS", (rom,))
    return tmp_path


def cargo(home: Path, data: bytes | None, *, name: str = "tiny_rom.elf") -> None:
    """A program ``cargo`` that puts the crate where cargo keeps one, or says that there is no network."""
    script = home / "bin" / "cargo"
    if data is None:
        script.write_text("#!/bin/sh\necho 'error: no network' >&2\nexit 101\n")
    else:
        crate = home / "made.crate"
        with tarfile.open(crate, "w:gz") as file:
            member = tarfile.TarInfo(f"espflash-4.5.0/resources/roms/{name}")
            member.size = len(data)
            file.addfile(member, BytesIO(data))
        kept = home / "cargo/registry/cache/index"
        script.write_text(
            f"#!/bin/sh\necho called >> {home}/calls\n"
            f"/bin/mkdir -p {kept}\n/bin/cp {crate} {kept}/espflash-4.5.0.crate\n"
        )
    script.chmod(0o755)


def test_it_is_fetched_once_with_one_line_and_kept(home, capsys):
    cargo(home, ROM)
    assert rom_of(None, Chip("esp32c3")) == ROM
    assert capsys.readouterr().err == (
        "fetching the real ROM of the esp32c3, once: tiny_rom.elf of the crate espflash 4.5.0\n"
    )
    assert rom_of("auto", Chip("esp32c3")) == ROM
    assert capsys.readouterr().err == ""
    assert (home / "calls").read_text() == "called\n"
    assert kept_rom("esp32c3") == fetch_rom("esp32c3") == ROM
    assert [path.read_bytes() for path in (home / "cache/esp-ota/firmware").iterdir()] == [ROM]


def test_python_fetches_nothing_unasked(home):
    cargo(home, ROM)
    assert kept_rom("esp32c3") is None
    assert not (home / "calls").exists()


@pytest.mark.parametrize("damage", [b"", ROM[:-1], ROM + b"x", b"\0" * len(ROM)])
def test_a_damaged_one_is_named_and_fetched_again(home, capsys, damage):
    cargo(home, ROM)
    kept = rom_file("esp32c3").kept
    kept.parent.mkdir(parents=True)
    kept.write_bytes(damage)
    with pytest.raises(ValueError, match=f"{kept.name} is damaged"):
        kept_rom("esp32c3")
    assert rom_of(None, Chip("esp32c3")) == ROM
    first, *_rest = capsys.readouterr().err.splitlines()
    assert first == f"{kept} is damaged: it is not the ROM that was kept there; it is fetched again"
    assert kept.read_bytes() == ROM


@pytest.mark.parametrize(
    ("brings", "name", "reason"),
    [
        (None, "", "could not fetch the crate espflash@4.5.0 (error: no network). Try again with a network"),
        (b"another", "tiny_rom.elf", "tiny_rom.elf of the crate espflash 4.5.0 has SHA-256 "),
        (ROM, "other.elf", "espflash 4.5.0 has no file espflash-4.5.0/resources/roms/tiny_rom.elf"),
    ],
)
def test_without_it_our_own_functions_go_on_with_a_word(home, capsys, brings, name, reason):
    cargo(home, brings, name=name)
    assert rom_of(None, Chip("esp32c3")) is None
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(reason)
    assert last.endswith("; going on with our own functions in its place, as with --rom none")
    assert not list(home.glob("cache/**/*.elf"))
    with pytest.raises(ValueError, match="espflash"):
        fetch_rom("esp32c3")


def test_a_chip_that_none_of_our_functions_run_on_is_not_said_to_go_on_with_them(home, capsys, monkeypatch):
    monkeypatch.setattr(roms, "ROMS", (RomFile("esp32", 0, "tiny_rom.elf", "0" * 64),))
    with pytest.raises(
        Unusable, match=r"cargo cannot be run.*; machine code runs on the esp32 with its real ROM alone"
    ):
        rom_of(None, Chip("esp32"))
    assert capsys.readouterr().err == ""


def test_where_no_cargo_is_that_is_the_word(home, capsys):
    assert rom_of(None, Chip("esp32c3")) is None
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("could not fetch the crate espflash@4.5.0: cargo cannot be run")


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(home, capsys):
    cargo(home, ROM)
    (home / "cache").write_bytes(b"a file")
    assert rom_of(None, Chip("esp32c3")) is None
    assert "cannot be" in capsys.readouterr().err


def test_none_and_a_file_ask_nobody(home, tmp_path, capsys):
    (tmp_path / "own.elf").write_bytes(b"own")
    assert rom_of("none", Chip("esp32c3")) is None
    assert rom_of(str(tmp_path / "own.elf"), Chip("esp32c3")) == b"own"
    assert capsys.readouterr().err == ""


def test_the_rom_is_that_of_the_chips_revision():
    assert {rom.chip for rom in ROMS} == {
        "esp32", "esp32s2", "esp32s3", "esp32c2", "esp32c3", "esp32c5", "esp32c6", "esp32c61", "esp32h2",
    }  # fmt: skip
    names = {(chip, revision): rom_file(chip, revision).name for chip, revision in (
        ("esp32", 100), ("esp32", 300), ("esp32", 301), ("esp32c3", 2), ("esp32c3", 4), ("esp32c3", 101),
    )}  # fmt: skip
    assert names == {
        ("esp32", 100): "esp32_rev0_rom.elf",
        ("esp32", 300): "esp32_rev300_rom.elf",
        ("esp32", 301): "esp32_rev300_rom.elf",
        ("esp32c3", 2): "esp32c3_rev0_rom.elf",
        ("esp32c3", 4): "esp32c3_rev300_rom.elf",
        ("esp32c3", 101): "esp32c3_rev101_rom.elf",
    }
    assert rom_file("esp32p4", 0) is None
    assert rom_file("esp32c3").name == "esp32c3_rev300_rom.elf"
    assert os.fspath(rom_file("esp32c3").kept).endswith("19ac22e08707df92-esp32c3_rev300_rom.elf")
