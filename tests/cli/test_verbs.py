"""The verbs on flash files: what they do, that they do all or nothing, and that nothing ends in a traceback."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import settings

from py_esp_ota import firmware
from py_esp_ota._core import PartitionTable
from py_esp_ota.cli import _PLACES, _VERBS, main
from py_esp_ota.firmware import Firmware, bootloader, merge

TABLE = PartitionTable.builtin("two_ota")
APP = Firmware("lamp", "1.0.0").to_bytes()
OTHER = Firmware("lamp", "2.0.0").to_bytes()
OTADATA = firmware.ota_select_entry(1, 2).ljust(0x1000, b"\xff") + firmware.ota_select_entry(2, 4).ljust(
    0x1000, b"\xff"
)


def run(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


def ok(*words: object):
    done = run(*words)
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    path = tmp_path / "flash.bin"
    parts = {0: bootloader(), 0x8000: TABLE.to_bytes(), 0xD000: OTADATA, 0x10000: APP, 0x110000: OTHER}
    path.write_bytes(merge(parts))
    return path


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    for name, data in (
        ("bootloader/bootloader.bin", bootloader()),
        ("partition_table/partition-table.bin", TABLE.to_bytes()),
        ("ota_data_initial.bin", b"\xff" * 0x2000),
        ("lamp.bin", APP),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    files = {
        "0x0": "bootloader/bootloader.bin",
        "0x8000": "partition_table/partition-table.bin",
        "0xd000": "ota_data_initial.bin",
        "0x10000": "lamp.bin",
    }
    (folder / "flasher_args.json").write_text(json.dumps({"flash_files": files}))
    (folder / "sdkconfig").write_text("CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y\n")
    return folder


# -------------------------------------------------------------------------------------------------- forms of input


def test_a_build_directory_is_booted_looked_at_and_merged(build, tmp_path):
    assert json.loads(ok("boot", build, "--json").stdout)["partition"] == "factory"
    shown = json.loads(ok("image-info", build, "--json").stdout)["images"]
    assert [(image["name"], image["offset"], image["valid"]) for image in shown] == [
        ("bootloader", 0, True),
        ("factory", 0x10000, True),
    ]
    assert ok("partition-table", build, "--quiet").stdout == TABLE.to_csv()
    ok("merge-bin", build, "-o", tmp_path / "merged.bin")
    assert json.loads(ok("boot", tmp_path / "merged.bin", "--json").stdout)["partition"] == "factory"


def test_separate_parts_are_booted(build):
    words = [
        "boot",
        "0x0",
        build / "bootloader/bootloader.bin",
        "0x8000",
        build / "partition_table/partition-table.bin",
    ]
    assert json.loads(ok(*words, "0x10000", build / "lamp.bin", "--json").stdout)["ok"]


@pytest.mark.parametrize(
    ("chip", "start"), [("esp32", 0x1000), ("esp32s2", 0x1000), ("esp32c5", 0x2000), ("esp32p4", 0x2000)]
)
def test_a_merged_image_that_starts_where_its_bootloader_does(tmp_path, chip, start):
    app = Firmware("lamp", "1", chip=chip).to_bytes()
    whole = merge({start: bootloader(chip=chip), 0x8000: TABLE.to_bytes(), 0x10000: app})
    path = tmp_path / "late.bin"
    path.write_bytes(whole[start:])
    assert json.loads(ok("boot", path, "--json").stdout)["partition"] == "factory"
    ok("otadata", "switch", path, "--slot", "0")
    assert path.read_bytes()[0xD000 - start :][:4] == b"\x01\0\0\0"
    assert path.read_bytes()[: len(whole) - start][: 0x8000 - start] == whole[start:0x8000]


# ------------------------------------------------------------------------------------------------------------- boot


def test_boots_in_a_row_follow_each_other_and_are_written_only_when_asked(flash):
    flash_before = flash.read_bytes()
    ok("otadata", "set", flash, "--entry", "1", "--state", "NEW")
    flash_new = flash.read_bytes()
    reports = json.loads(run("boot", flash, "--times", "2", "--json").stdout)
    assert [report["partition"] for report in reports] == ["ota_0", "ota_0"]
    assert flash.read_bytes() == flash_new != flash_before
    ok("boot", flash, "--write")
    entries = json.loads(ok("otadata", "read", flash, "--json").stdout)["entries"]
    assert [entry["state"] for entry in entries] == ["VALID", "PENDING_VERIFY"]


def test_boot_takes_an_sdkconfig_an_efuse_file_and_held_pins(flash, tmp_path):
    config, fuses = tmp_path / "sdkconfig", tmp_path / "fuses.json"
    config.write_text("CONFIG_BOOTLOADER_FACTORY_RESET=y\nCONFIG_BOOTLOADER_OTA_DATA_ERASE=y\n")
    ok("efuse", "new", fuses, "--chip", "esp32c3", "--chip-revision", "2")
    report = json.loads(ok("boot", flash, "--config", config, "--hold-pin", "4", "--json").stdout)
    assert report["partition"] == "factory"
    report = json.loads(run("boot", flash, "--efuse", fuses, "--json").stdout)
    assert not report["ok"]
    assert any("chip revision check failed" in line for line in report["log"])


# ---------------------------------------------------------------------------------------------------------- otadata


def test_otadata_read(flash):
    facts = json.loads(ok("otadata", "read", flash, "--json").stdout)
    assert facts["boots"] == "ota_0"
    assert [(e["ota_seq"], e["state"], e["slot"], e["active"]) for e in facts["entries"]] == [
        (1, "VALID", 0, True),
        (2, "ABORTED", 1, False),
    ]
    assert "* 0    0x00000001  VALID" in ok("read_otadata", flash).stdout


def test_edge_case_45_a_switch_into_an_entry_that_keeps_a_dead_state_is_told(flash):
    ok("otadata", "switch", flash, "--name", "ota_1")
    entries = json.loads(ok("otadata", "read", flash, "--json").stdout)["entries"]
    assert [(e["ota_seq"], e["state"]) for e in entries] == [(2, "VALID"), (2, "ABORTED")]
    assert json.loads(ok("otadata", "read", flash, "--json").stdout)["boots"] == "ota_1"
    done = run("otadata", "switch", flash, "--name", "ota_0")
    assert done.exit_code == 1
    assert "otadata[1] keeps its state ABORTED" in done.stderr
    assert json.loads(ok("otadata", "read", flash, "--json").stdout)["boots"] == "ota_1"
    ok("otadata", "switch", flash, "--slot", "0", "--like-app")
    entries = json.loads(ok("otadata", "read", flash, "--json").stdout)["entries"]
    assert (entries[1]["ota_seq"], entries[1]["state"]) == (3, "NEW")


@pytest.mark.parametrize(
    ("switches", "sequences"),
    [([0], (1, None)), ([1], (2, None)), ([0, 0], (1, 1)), ([1, 0, 0, 1], (3, 4))],
)
def test_otatools_sequence_numbers_from_blank(flash, switches, sequences):
    ok("otadata", "erase", flash)
    for slot in switches:
        ok("switch-ota-partition", flash, "--slot", slot)
    entries = json.loads(ok("otadata", "read", flash, "--json").stdout)["entries"]
    assert tuple(None if e["blank"] else e["ota_seq"] for e in entries) == sequences


def test_otadata_alone_in_a_file(tmp_path):
    path = tmp_path / "boot_app0.bin"
    path.write_bytes(OTADATA)
    assert run("otadata", "read", path).exit_code == 2
    facts = json.loads(ok("otadata", "read", path, "--slots", "2", "--json").stdout)
    assert facts["boots"] == "ota_0"
    ok("otadata", "set", path, "--slots", "2", "--slot", "1", "--state", "valid")
    assert json.loads(ok("otadata", "read", path, "--slots", "2", "--json").stdout)["boots"] == "ota_1"
    assert path.stat().st_size == 0x2000


# ------------------------------------------------------------------------------------------------------- merge, split


def test_split_and_merge_are_inverse(flash, tmp_path):
    ok("split", flash, "-o", tmp_path / "parts")
    ok("merge-bin", tmp_path / "parts", "-o", tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == flash.read_bytes()
    assert (tmp_path / "parts/factory.bin").read_bytes() == APP
    assert json.loads(ok("boot", tmp_path / "parts", "--json").stdout)["partition"] == "ota_0"


def test_split_keeps_what_lies_outside_all_partitions(flash, tmp_path):
    data = bytearray(flash.read_bytes())
    data[0x7000:0x7004] = b"odd!"
    data += b"\xff" * (0x3F0000 - len(data)) + b"tail"
    flash.write_bytes(bytes(data))
    ok("split", flash, "-o", tmp_path / "parts")
    ok("merge-bin", tmp_path / "parts", "-o", tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == flash.read_bytes()


def test_merge_pads_and_starts_late(build, tmp_path):
    out = tmp_path / "m.bin"
    ok("merge-bin", "-o", out, "-t", "0x8000", "--pad-to-size", "4MB", "0x8000", build / "lamp.bin")
    assert out.read_bytes() == APP.ljust(0x400000 - 0x8000, b"\xff")


# ------------------------------------------------------------------------------------------------- read, write, erase


def test_read_write_erase_verify(flash, tmp_path):
    part, out = tmp_path / "part", tmp_path / "out"
    part.write_bytes(b"hello")
    ok("write-flash", flash, "0x9100", part)
    ok("read-flash", flash, "0x9100", "5", out)
    assert out.read_bytes() == b"hello"
    ok("verify-flash", flash, "0x9100", part)
    ok("erase-region", flash, "0x9000", "4k")
    assert run("verify-flash", flash, "0x9100", part).exit_code == 1
    ok("write-flash", flash, "--partition-name", "ota_1", part)
    ok("read-flash", flash, "-n", "ota_1", "-o", out)
    assert out.read_bytes() == b"hello".ljust(0x100000, b"\xff")
    ok("erase-region", flash, "-t", "app", "-s", "ota_1")
    ok("write-flash", tmp_path / "new.bin", "--flash-size", "1MB", "0x0", part)
    assert (tmp_path / "new.bin").stat().st_size == 0x100000
    ok("erase-flash", flash)
    assert set(flash.read_bytes()) == {0xFF}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("write-flash", "F", "0x3ffff0", "APP"), "end beyond the flash"),
        (("write-flash", "F", "-n", "phy_init", "APP"), "end beyond partition phy_init"),
        (("write-flash", "F", "-n", "gone", "APP"), "no partition gone"),
        (("write-flash", "F", "0x9000", "APP", "0xa000", "APP"), "shares a sector"),
        (("write-flash", "F", "0x9000"), "OFFSET FILE"),
        (("write-flash", "F", "here", "APP"), "no flash address"),
        (("erase-region", "F", "0x9001", "0x1000"), "no multiple of the sector size"),
        (("erase-region", "F", "0x9000", "0x10000000"), "beyond"),
        (("otadata", "switch", "F", "--slot", "7"), "slot 7 does not exist"),
        (("otadata", "switch", "F", "--name", "nvs"), "no OTA slot is called"),
        (("otadata", "switch", "F"), "name the slot"),
        (("otadata", "set", "F", "--entry", "0", "--state", "GOOD"), "is no state"),
        (("boot", "F", "--hold-pin", "x"), "--hold-pin"),
        (("boot", "F", "--config", "APP", "--write"), "UTF-8"),
        (("boot", "F", "--efuse", "F", "--write"), "F"),
    ],
)
def test_a_refused_operation_leaves_the_file_as_it_was(flash, tmp_path, words, says):
    (tmp_path / "APP").write_bytes(APP)
    before = flash.read_bytes()
    paths = {"F": flash, "APP": tmp_path / "APP"}
    done = run(*(paths.get(word, word) for word in words))
    assert done.exit_code == 2, done.output
    assert says.replace("F", str(flash)) in done.output or says in done.output
    assert flash.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["APP", "flash.bin"]


# ------------------------------------------------------------------------------------------------------------ efuse


def test_efuse_files(tmp_path):
    fuses, digest = tmp_path / "fuses.json", tmp_path / "digest"
    digest.write_bytes(bytes(range(32)))
    ok("efuse", "new", fuses, "--chip", "esp32s3")
    ok("efuse", "burn", fuses, "--secure-version", "3", "--key-digest", "1", digest, "--revoke", "0", "--secure-boot")
    facts = json.loads(ok("efuse", "show", fuses, "--json").stdout)
    assert (facts["secure_version"], facts["revoked"], facts["secure_boot_en"]) == (3, [0], True)
    assert facts["key_digests"] == [None, bytes(range(32)).hex(), None]
    before = fuses.read_text()
    for words in (
        ("--secure-version", "2"),
        ("--key-digest", "1", digest),
        ("--flash-encryption-key", digest, "--secure-version", "99"),
    ):
        assert run("efuse", "burn", fuses, *words).exit_code == 2
        assert fuses.read_text() == before
    assert run("efuse", "new", fuses, "--chip", "esp32").exit_code == 2
    assert "secure_version" in ok("efuse", "show", fuses).stdout
    ok("efuse", "burn", fuses, "--hmac-key", "4", digest)
    assert json.loads(fuses.read_text())["hmac_keys"] == [None] * 4 + [bytes(range(32)).hex(), None]
    row = next(line for line in ok("efuse", "show", fuses).stdout.splitlines() if line.startswith("hmac_keys"))
    assert "32 bytes" in row
    assert bytes(range(32)).hex() not in row


# -------------------------------------------------------------------------------------------------- partition tables


CSV = "nvs,data,nvs,,16K\napp,app,factory,,1M\n"


def test_the_generators_options(tmp_path, monkeypatch):
    csv, out = tmp_path / "t.csv", tmp_path / "deep" / "t.bin"
    csv.write_text(CSV)
    done = ok("partition-table", csv, out)
    assert out.read_bytes() == PartitionTable.from_csv(CSV).to_bytes()
    assert done.stderr.splitlines() == ["Parsing CSV partition input...", "Verifying table..."]
    assert ok("partition-table", "-q", csv, out).stderr == ""
    ok("partition-table", csv, out, "--disable-md5sum")
    assert b"\xeb\xeb" not in out.read_bytes()
    assert ok("partition-table", "-q", out, "--disable-md5sum").stdout == PartitionTable.from_csv(CSV).to_csv()
    assert run("partition-table", csv, "--flash-size", "1MB").exit_code == 2
    csv.write_text("app,app,factory,0x18000,1M\n")
    assert run("partition-table", csv).exit_code == 2
    assert "factory,0x18000" in ok("partition-table", csv, "--no-verify").stdout
    csv.write_text("app,app,factory,,0x101000\n")
    assert run("partition-table", csv, "--secure", "v1").exit_code == 2
    assert run("partition-table", csv, "--secure", "v2").exit_code == 0
    csv.write_text("own,data,settings,,4K\n")
    assert run("partition-table", csv).exit_code == 2
    assert (
        "own,data,64,0x9000,4K," in ok("partition-table", csv, "--extra-partition-subtypes", "data,settings,40").stdout
    )
    # Rows are read in lower case and the extra name is not, so capitals in it match nothing; types are known by name.
    for extra in ("data,Settings,40", "Data,settings,40", "1,settings,40", "data,Settings,40 "):
        assert run("partition-table", csv, "--extra-partition-subtypes", extra).exit_code == 2
    csv.write_text("own,data,Settings,,4K\n")
    assert run("partition-table", csv, "--extra-partition-subtypes", "data,Settings,40").exit_code == 2
    assert run("partition-table", csv, "--extra-partition-subtypes", "data,settings,40").exit_code == 0
    csv.write_text("# $HOME\nnvs,data,nvs,,${SIZE}K\n$NOWHERE,data,nvs,,16K\n")
    monkeypatch.setenv("SIZE", "16")
    done = run("partition-table", csv)
    assert done.exit_code == 2
    assert "line 3: unknown variable 'NOWHERE'" in done.output


# ------------------------------------------------------------------------------------------------------ hostile files


def hostile(folder: Path) -> list[Path]:
    rng = random.Random(3)
    contents = {
        "empty": b"",
        "one": b"\xe9",
        "erased": b"\xff" * 0x10000,
        "zeros": bytes(0x9000),
        "noise": rng.randbytes(0x12000),
        "table": rng.randbytes(0x8000) + TABLE.to_bytes(),
        "half": merge({0: bootloader(), 0x8000: TABLE.to_bytes()})[:0x8400],
        "huge row": merge({0x8000: b"\xaa\x50\x00\x10" + b"\xff" * 8 + b"x" * 20 + b"\xff" * 32}),
        "text": "né,data,nvs,,16K\n".encode("latin-1"),
    }
    made = []
    for name, data in contents.items():
        path = folder / name
        path.write_bytes(data)
        made.append(path)
    (folder / "folder").mkdir()
    (folder / "lies").mkdir()
    (folder / "lies" / "flasher_args.json").write_text('{"flash_files": {"0x0": "../../etc/passwd", "x": 3}}')
    return [*made, folder / "folder", folder / "lies", folder / "gone"]


CALLS = {
    "boot": [["F"], ["F", "--silicon"], ["F", "--silicon", "--bootloader", "F"]],
    "elf2image": [["F", "-o", "OUT"], ["F", "--version", "1", "-o", "OUT"]],
    "efuse": [["show", "F"], ["burn", "F", "--secure-version", "1"]],
    "erase-region": [["F", "0x0", "0x1000"]],
    "image-info": [["F"], ["F", "--json"]],
    "merge-bin": [["-o", "OUT", "0x0", "F"], ["-o", "OUT", "F"]],
    "nvs": [["list", "F"], ["get", "F", "app", "key"], ["set", "F", "app", "key", "u8", "1"], ["erase", "F", "app"]],
    "node": [["F"], ["OUT", "--firmware", "F"], ["F", "--cert", "F", "--key", "F"], ["app.bin", "--config", "F"]],
    "otadata": [
        ["read", "F"],
        ["switch", "F", "--slot", "0"],
        ["set", "F", "--entry", "1", "--state", "NEW"],
        ["erase", "F"],
    ],
    "fleet": [["F"], ["F", "--alone", "lamp-000001"]],
    "fuzz-corpus": [["F", "--count", "1"]],
    "partition-table": [["F"], ["F", "OUT"]],
    "provision": [
        ["n1", "--mqtt-host", "h", "--cert", "F", "--key", "F", "-o", "OUT"],
        ["n1", "--data", "F", "-o", "OUT"],
    ],
    "read-flash": [["F", "0", "ALL", "OUT"]],
    "run": [["F", "--timeout", "0.01"]],
    "samples": [["F"], ["OUT"], ["OUT", "--force"]],
    "sign": [["F", "--verify"], ["F", "--key", "F", "-o", "OUT"]],
    "split": [["F", "-o", "OUT"]],
    "teach": [["F", "app.bin", "-o", "out"], ["app.bin", "F", "-o", "out"]],
    "sweep": [["F", "app.bin"], ["app.bin", "F"], ["app.bin", "app.bin", "--partitions", "F"]],
    "verify-flash": [["F", "0x0", "F"]],
    "write-flash": [["F", "0x100000", "F"], ["F", "-n", "nvs", "F"]],
}


@pytest.mark.parametrize("verb", sorted(CALLS))
def test_no_verb_ends_in_a_traceback(verb, tmp_path):
    for path in hostile(tmp_path):
        for words in CALLS[verb]:
            out = tmp_path / "out"
            done = run(verb, *({"F": path, "OUT": out}.get(word, word) for word in words))
            assert done.exit_code in {0, 1, 2}, (path.name, words)
            assert done.exception is None or isinstance(done.exception, SystemExit), (path.name, words, done.exception)
            assert "Traceback" not in done.output
            if out.is_file():
                out.unlink()


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "[" * 100_000,
        '{"flash_files": ' * 50_000,
        '{"flash_files": {}}',
        *(
            json.dumps({"flash_files": {"0x0": name}})
            for name in (None, 7, "", ".", "..", "gone", "a\0b", "\ud800", "loop", "a" * 5000, "/etc/passwd", "../app")
        ),
        *(json.dumps({"flash_files": {offset: "app"}}) for offset in ("", "x", "-1", "0x100000000", "9" * 30)),
    ],
    ids=lambda text: text[:40],
)
def test_flasher_args_that_lie_are_refused(text, tmp_path):
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "app").write_bytes(APP)
    (tmp_path / "app").write_bytes(APP)
    (folder / "loop").symlink_to("loop")
    (folder / "flasher_args.json").write_text(text)
    calls = (["boot"], ["image-info"], ["partition-table"], ["otadata", "read"], ["merge-bin", "-o", tmp_path / "out"])
    for words in calls:
        done = run(*words, folder)
        assert done.exit_code == 2, (words, done.output, done.exception)
        assert done.output.startswith("Error: ") or "Invalid value" in done.output
    assert not (tmp_path / "out").exists()


def words_of(verb: str, rng: random.Random) -> list[str]:
    """A call that nobody would make, of words that mean something somewhere."""
    chosen = main.get_command(None, verb)
    words: list[str] = []
    while inner := list(getattr(chosen, "commands", {})):
        words.append(rng.choice(inner))
        chosen = chosen.commands[words[-1]]
    options = [option for param in chosen.params for option in param.opts if option.startswith("-")]
    values = [
        "",
        "0",
        "0x1000",
        "0xffffffff",
        "-1",
        "ALL",
        "1e9",
        "n\u00e9",
        "ota_1",
        "esp32c3",
        "NEW",
        "9" * 20,
        "v1",
        "4MB",
    ]
    files = ["flash", "app", "fuses", "noise", "empty", "folder", "gone"]
    pools = [files, files, options, values]
    return [*words, *(rng.choice(rng.choice(pools)) for _ in range(rng.randint(1, 6)))]


@pytest.mark.parametrize("verb", sorted({*_VERBS, *_PLACES} - {"demo", "serve"}))
def test_random_words_never_end_in_a_traceback(verb, flash, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(verb)
    whole = flash.read_bytes()
    Path("noise").write_bytes(rng.randbytes(5000))
    Path("empty").write_bytes(b"")
    Path("folder").mkdir()
    for _ in range(max(10, min(100, settings().max_examples // 2))):  # more: HYPOTHESIS_PROFILE=slow
        damaged = bytearray(whole)
        for _ in range(rng.choice([0, 1, 20])):
            damaged[rng.choice([0, 0x8000, 0x9000, 0xD000, 0xE000, 0x10000]) + rng.randrange(0x200)] = rng.randrange(
                256
            )
        Path("flash").write_bytes(damaged)
        Path("app").write_bytes(APP)
        words = words_of(verb, rng)
        done = run(verb, *words)
        assert done.exit_code in {0, 1, 2}, (words, done.output)
        assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)


TRIED_ELSEWHERE = {"explain", "migrate", "preflight", "evidence"}  # field, test_explain_verb.py, test_sweep_evidence.py


def test_every_verb_that_takes_a_file_is_tried_with_hostile_ones():
    assert set(_VERBS) - set(CALLS) == {"cloud", "demo", "hunt", "profiles", "serve", "erase-flash", *TRIED_ELSEWHERE}
    assert set(_PLACES) >= {"read-otadata", "erase-otadata", "switch-ota-partition"}
