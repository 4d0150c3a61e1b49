"""Where a verb's output goes: devices, FIFOs and links are written through, and every verb goes the same way."""

from __future__ import annotations

import ast
import json
import os
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota import firmware
from py_esp_ota._core import PartitionTable
from py_esp_ota.cli import files, main
from py_esp_ota.cli.files import Unusable, write_output
from py_esp_ota.firmware import Firmware, bootloader, merge

TABLE = PartitionTable.builtin("two_ota")
APP, NEWER = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "2.0.0"))
OTADATA = b"".join(firmware.ota_select_entry(*entry).ljust(0x1000, b"\xff") for entry in ((1, 2), (2, 4)))
FLASH = merge({0: bootloader(), 0x8000: TABLE.to_bytes(), 0xD000: OTADATA, 0x10000: APP, 0x110000: NEWER})


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(autouse=True)
def _no_device_is_ever_replaced(monkeypatch):
    """Who breaks the code to see a test fail must not lose the machine's devices by it."""
    replace = Path.replace

    def guarded(self, target):
        if Path(target).is_relative_to("/dev"):
            pytest.fail(f"{target} was about to be replaced")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", guarded)


# ------------------------------------------------------------------------------------------------ one place decides


def test_a_link_stays_and_its_target_gets_the_bytes(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "real.bin").write_bytes(b"old")
    (folder / "real.bin").chmod(0o604)
    (tmp_path / "link").symlink_to("elsewhere/real.bin")
    (tmp_path / "second").symlink_to("link")
    write_output(tmp_path / "second", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "second").is_symlink()
    assert (folder / "real.bin").read_bytes() == b"new"
    assert stat.S_IMODE((folder / "real.bin").stat().st_mode) == 0o604
    assert sorted(path.name for path in folder.iterdir()) == ["real.bin"]


def test_a_link_to_nothing_yet_makes_what_it_names(tmp_path):
    (tmp_path / "link").symlink_to("real.bin")
    write_output(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real.bin").read_bytes() == b"new"


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(Unusable, match="symbolic links"):
        write_output(tmp_path / "one", b"new")


def test_a_device_stays_a_device(tmp_path):
    (tmp_path / "link").symlink_to(os.devnull)
    for path in (Path(os.devnull), tmp_path / "link"):
        write_output(path, b"new")
        assert stat.S_ISCHR(path.stat().st_mode)
    assert (tmp_path / "link").is_symlink()


def test_a_full_device_is_told_in_one_line():
    with pytest.raises(Unusable, match="/dev/full: No space left on device"):
        write_output(Path("/dev/full"), b"new")


def test_a_fifo_is_written_through(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()), daemon=True)
    reader.start()
    write_output(fifo, b"new" * 100_000)
    reader.join(10)
    assert got == [b"new" * 100_000]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_read_only_file_is_refused_and_stays(tmp_path):
    path = tmp_path / "old.bin"
    path.write_bytes(b"old")
    path.chmod(0o444)
    (tmp_path / "link").symlink_to("old.bin")
    for name in ("old.bin", "link"):
        with pytest.raises(Unusable, match="is read-only"):
            write_output(tmp_path / name, b"new")
    assert path.read_bytes() == b"old"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "old.bin"]


def test_the_longest_name_a_file_can_have(tmp_path):
    write_output(tmp_path / ("n" * 255), b"new")
    assert (tmp_path / ("n" * 255)).read_bytes() == b"new"


def test_a_name_that_no_file_can_have_is_refused():
    with pytest.raises(Unusable, match="no file name"):
        write_output(Path("a\0b"), b"new")


# ----------------------------------------------------------------------------------------------------------- stdout

STDOUT = "/proc/self/fd/1"  # what /dev/stdout is a link to, where nothing can be replaced


def esp_ota(*words, **options):
    command = [sys.executable, "-m", "py_esp_ota", *map(str, words)]
    return subprocess.run(command, stderr=subprocess.PIPE, check=False, timeout=60, **options)


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
def test_a_pipe_named_as_the_output_holds_the_bytes_and_nothing_else(tmp_path, as_json):
    (tmp_path / "flash.bin").write_bytes(FLASH)
    words = ["read-flash", tmp_path / "flash.bin", "0x8000", "0xc00", STDOUT, *as_json]
    done = esp_ota(*words, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (0, FLASH[0x8000:0x8C00])
    assert b"3072" in done.stderr


def test_a_file_behind_stdout_keeps_what_was_in_it(tmp_path):
    (tmp_path / "flash.bin").write_bytes(FLASH)
    with (tmp_path / "out").open("wb") as out:
        out.write(b"before ")
        out.flush()
        done = esp_ota("read-flash", tmp_path / "flash.bin", "0x8000", "16", STDOUT, stdout=out)
    assert done.returncode == 0
    assert (tmp_path / "out").read_bytes() == b"before " + FLASH[0x8000:0x8010]


def test_nobody_reads_the_pipe(tmp_path):
    (tmp_path / "flash.bin").write_bytes(FLASH)
    reader, writer = os.pipe()
    os.close(reader)
    done = esp_ota("read-flash", tmp_path / "flash.bin", "0", "ALL", STDOUT, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


# -------------------------------------------------------------------------------------------------------- every verb

#: Calls that write ``OUT``, and what must be there before.
VERBS = {
    "boot": (["boot", "OUT", "--write"], FLASH),
    "boot --efuse": (["boot", "flash", "--efuse", "OUT", "--write"], "FUSES"),
    "efuse new": (["efuse", "new", "OUT", "--chip", "esp32c3"], None),
    "efuse burn": (["efuse", "burn", "OUT", "--secure-version", "1"], "FUSES"),
    "elf2image": (["elf2image", "elf", "-o", "OUT"], None),
    "erase-flash": (["erase-flash", "OUT"], FLASH),
    "erase-region": (["erase-region", "OUT", "0", "0x1000"], FLASH),
    "merge-bin": (["merge-bin", "-o", "OUT", "0", "app"], None),
    "nvs set": (["nvs", "set", "OUT", "app", "key", "u8", "1"], FLASH),
    "nvs erase": (["nvs", "erase", "OUT", "app"], "NVS"),
    "nvs generate": (["nvs", "generate", "csv", "0x3000", "OUT"], None),
    "otadata switch": (["otadata", "switch", "OUT", "--slot", "0"], FLASH),
    "otadata erase": (["otadata", "erase", "OUT"], FLASH),
    "otadata set": (["otadata", "set", "OUT", "--entry", "0", "--state", "NEW"], FLASH),
    "partition-table": (["partition-table", "table", "OUT"], None),
    "read-flash": (["read-flash", "flash", "0", "0x1000", "OUT"], None),
    "read-partition": (["read-partition", "flash", "-n", "nvs", "-o", "OUT"], None),
    "write-partition": (["write-partition", "OUT", "-n", "factory", "-i", "newer"], FLASH),
    "erase-partition": (["erase-partition", "OUT", "-n", "nvs"], FLASH),
    "merge-bin uf2": (["merge-bin", "-f", "uf2", "-o", "OUT", "0", "app"], None),
    "run": (["run", "OUT", "--write", "--timeout", "0.01"], FLASH),
    "sign": (["sign", "app", "--key", "key", "-o", "OUT"], None),
    "sign --generate-key": (["sign", "OUT", "--generate-key", "ecdsa256"], None),
    "sweep --html": (["sweep", "app", "newer", "--cut", "0", "--html", "OUT"], None),
    "sweep --junit": (["sweep", "app", "newer", "--cut", "0", "--junit", "OUT"], None),
    "sweep --teach": (["sweep", "app", "newer", "--cut", "0", "--story", "reject", "--teach", "OUT"], None),
    "teach": (["teach", "app", "newer", "--story", "reject", "-o", "OUT"], None),
    "sweep --sarif": (["sweep", "app", "newer", "--cut", "0", "--sarif", "OUT"], None),
    "write-flash": (["write-flash", "OUT", "0x10000", "newer"], FLASH),
    "write-flash --flash-size": (["write-flash", "OUT", "--flash-size", "1MB", "0", "app"], None),
}


def program() -> bytes:
    """The smallest ELF file there is an image of: one segment in RAM."""
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += struct.pack("<HHIIIIIHHHHHH", 2, 243, 1, 0x40380000, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    return header + struct.pack("<8I", 1, 84, 0x40380000, 0x40380000, 64, 64, 5, 4) + bytes(64)


@pytest.fixture
def room(tmp_path, monkeypatch):
    from py_esp_ota.signing import example_key

    monkeypatch.chdir(tmp_path)
    Path("app").write_bytes(APP)
    Path("newer").write_bytes(NEWER)
    Path("flash").write_bytes(FLASH)
    Path("elf").write_bytes(program())
    Path("key").write_bytes(example_key("ecdsa256"))
    Path("csv").write_text("key,type,encoding,value\napp,namespace,,\nkey,data,u8,1\n")
    Path("table").write_text(TABLE.to_csv())
    return tmp_path


def before(what, path):
    if what == "FUSES":
        assert run("efuse", "new", path, "--chip", "esp32c3").exit_code == 0
    elif what == "NVS":
        assert run("nvs", "generate", "csv", "0x3000", path).exit_code == 0
    elif what is not None:
        path.write_bytes(what)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_writes_through_a_link(verb, room):
    words, what = VERBS[verb]
    real = room / "real"
    before(what, real)
    old = real.stat().st_ino if real.exists() else None
    (room / "OUT").symlink_to("real")
    done = run(*words)
    assert done.exit_code == (1 if verb == "run" else 0), done.output  # there is no code in this bootloader
    assert (room / "OUT").is_symlink()
    assert real.is_file()
    assert real.stat().st_ino != old  # written beside it, and renamed
    assert not [path.name for path in room.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("verb", [verb for verb, (_, what) in VERBS.items() if what is None and "size" not in verb])
def test_every_verb_that_only_writes_takes_the_null_device(verb, room):
    words, _ = VERBS[verb]
    done = run(*(os.devnull if word == "OUT" else word for word in words))
    assert done.exit_code == 0, done.output
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@pytest.mark.parametrize("verb", [verb for verb, (_, what) in VERBS.items() if what is not None])
def test_every_verb_refuses_a_read_only_file_in_one_line(verb, room):
    words, what = VERBS[verb]
    path = room / "OUT"
    before(what, path)
    old = path.read_bytes()
    path.chmod(0o444)
    done = run(*words)
    assert done.exit_code == 2, done.output
    told = done.stderr.splitlines()
    assert told[-1] == "Error: OUT is read-only"
    assert len(told) == 1 or verb == "run"  # which says first how it ended
    assert path.read_bytes() == old


def test_a_new_key_is_nobody_elses_from_its_first_byte(room, monkeypatch):
    seen = []
    replace = Path.replace

    def watched(self, target):
        seen.append(stat.S_IMODE(self.stat().st_mode))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    assert run("sign", "new.pem", "--generate-key", "ecdsa256").exit_code == 0
    assert seen == [0o600]


def test_split_into_a_linked_folder_and_run_with_fuses_go_the_same_way(room):
    (room / "real").mkdir()
    (room / "link").symlink_to("real")
    assert run("split", "flash", "-o", "link").exit_code == 0
    assert "0x8000" in json.loads((room / "real" / "flasher_args.json").read_text())["flash_files"]


WRITERS = {"write_bytes", "write_text", "NamedTemporaryFile", "mkstemp", "touch"}


def test_no_verb_has_a_way_of_its_own():
    """What is held by reading: only files.py writes; serve keeps a folder of its own."""
    package = Path(files.__file__).parent
    for source in package.rglob("*.py"):
        if source.name in {"files.py", "data_folder.py"}:
            continue
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = node.func.attr
                assert name not in WRITERS, (source.name, node.lineno)
                if name == "chmod":
                    pytest.fail(f"{source.name}:{node.lineno} changes a mode behind the back of files.py")
