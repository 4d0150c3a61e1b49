"""``esp-ota preflight``: what is said before an update, of boards and images that are each wrong in one way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota import signing
from py_esp_ota._core import EFuse, Flash, FlashCrypt, NvsPartition, Partition, PartitionTable, Target, inspect_image
from py_esp_ota.cli import main
from py_esp_ota.cli.corpus import MICROPYTHON, fetch
from py_esp_ota.cli.files import Unusable
from py_esp_ota.cli.quick_preflight import answer
from py_esp_ota.field.preflight.board import Board, builds_of
from py_esp_ota.firmware import (
    Firmware,
    bootloader,
    flipped,
    merge,
    ota_select_entry,
    rehashed,
    rewritten,
    with_flash_size,
)
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.silicon.can_roll_back import CanRollBack

CHIP = "esp32c3"
TABLE = PartitionTable.builtin("two_ota")
AT = {row.label: row.offset for row in TABLE}
MARKS, BEGINS, WRITES = (
    text + b"\0"
    for text in (
        b"Running firmware is factory",
        b"Running app has not confirmed state (ESP_OTA_IMG_PENDING_VERIFY)",
        b"OTA image has invalid magic byte (expected 0xE9, saw 0x%02x)",
    )
)
NEW_STATE, PENDING, VALID = 0, 1, 2
ANTI = "CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y\nCONFIG_BOOTLOADER_APP_ANTI_ROLLBACK=y\n"


def app(version: str = "2", project: str = "lamp", texts: bytes = b"", **more: object) -> bytes:
    return Firmware(project, version, payload=texts, **more).to_bytes()


OLD, NEW = app("1"), app("2")
WILD = rehashed(rewritten(NEW, load_addr={1: 0x3FCDA000}))


def flash(
    *entries: tuple[int, int], table: PartitionTable = TABLE, loader: bytes | None = None, **held: bytes
) -> bytes:
    """A device of two slots and a factory app; ota_0 runs when nothing else is said."""
    at = {row.label: row.offset for row in table}
    written = [ota_select_entry(*entry).ljust(0x1000, b"\xff") for entry in entries or ((1, VALID),)]
    parts = {0: bootloader() if loader is None else loader, 0x8000: table.to_bytes()}
    if "otadata" in at:
        parts[at["otadata"]] = b"".join(written)
    parts |= {at[label]: data for label, data in ({"factory": OLD, "ota_0": OLD} | held).items() if label in at}
    return merge(parts).ljust(0x400000, b"\xff")


def run(folder: Path, dump: bytes, new: bytes, *words: str, **files: str):
    (folder / "flash.bin").write_bytes(dump)
    (folder / "new.bin").write_bytes(new)
    for name, text in files.items():
        (folder / name).write_text(text)
    named = [str(folder / word) if word in files else word for word in words]
    return CliRunner().invoke(main, ["preflight", str(folder / "flash.bin"), str(folder / "new.bin"), *named])


def ask(folder: Path, dump: bytes, new: bytes, *words: str, **files: str):
    done = run(folder, dump, new, *words, "--json", **files)
    assert done.exit_code in {0, 1}, done.output
    found = json.loads(done.stdout)
    assert done.exit_code == (found["verdict"] == "refused")
    assert (found["verdict"] == "refused") == (found["findings"][0]["severity"] == "refused")
    return found, {one["id"]: one for one in found["findings"]}


# -------------------------------------------------------------------------------------------------------------- verdict


def test_an_update_that_runs_says_where_and_what_a_rollback_lands_on(tmp_path):
    found, by = ask(tmp_path, flash(), NEW)
    assert (found["verdict"], found["partition"], found["rollback_to"]) == ("runs", "ota_1", "ota_0")
    assert by["fits"]["facts"] == {"length": len(NEW), "size": 0x100000, "free": 0x100000 - len(NEW)}
    assert by["boots"]["function"] == "bootloader_load_image"
    roles = {slot["partition"]: slot["roles"] for slot in found["slots"]}
    assert roles == {"factory": [], "ota_0": ["runs", "rollback"], "ota_1": ["update"]}


@pytest.mark.parametrize(
    ("name", "function", "new"),
    [
        ("checksum", "process_checksum", flipped(NEW, 0x300)),
        ("hash", "verify_simple_hash", flipped(NEW, len(NEW) - 1)),
        ("chip", "bootloader_common_check_chip_validity", app(chip="esp32s3")),
        ("chip-revision", "bootloader_common_check_chip_revision_validity", rewritten(NEW, min_chip_rev_full=199)),
        ("efuse-block", "bootloader_common_check_efuse_blk_validity", app(min_efuse_blk_rev_full=100)),
        ("image", "esp_ota_write", b"\x1f\x8b" + NEW),
        ("boots", "verify_load_addresses", WILD),
        ("fits", "esp_partition_write", NEW.ljust(0x100001, b"\xff")),
        ("image", "verify_segment_header", rewritten(NEW, data_len={0: 5})),
    ],
)
def test_what_is_refused_is_named_with_the_function_that_refuses_it(tmp_path, name, function, new):
    found, by = ask(tmp_path, flash(), new)
    assert found["verdict"] == "refused"
    assert (by[name]["severity"], by[name]["function"]) == ("refused", function)
    assert found["rollback_to"] is None


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    _, by = ask(tmp_path, flash(), flipped(rewritten(app(chip="esp32s3"), min_chip_rev_full=4), 0x300))
    assert {name for name, one in by.items() if one["severity"] == "refused"} >= {"chip", "checksum"}


def test_a_whole_chip_in_a_file_is_no_update(tmp_path):
    found, by = ask(tmp_path, flash(), merge({0: bootloader(), 0x8000: TABLE.to_bytes(), 0x10000: NEW}))
    assert (found["verdict"], by["kind"]["severity"]) == ("refused", "risk")


def test_an_image_that_passes_the_update_and_not_the_bootloader_says_what_starts_instead(tmp_path):
    _, by = ask(tmp_path, flash(), WILD)
    assert (by["boots"]["severity"], by["boots"]["facts"]["step"]) == ("refused", "bootloader_utility_load_boot_image")
    assert any("ota_0 starts instead" in one["text"] for one in by.values())


@pytest.mark.parametrize(
    ("csv", "name", "err"),
    [
        ("factory,app,factory,,1M\n", "slot", "ESP_ERR_NOT_FOUND"),
        ("otadata,data,ota,,0x2000\nota_0,app,ota_0,,1M\n", "slot", "ESP_ERR_OTA_PARTITION_CONFLICT"),
        ("factory,app,factory,,1M\nota_0,app,ota_0,,1M\n", "otadata", "ESP_ERR_NOT_FOUND"),
    ],
)
def test_a_table_that_takes_no_update(tmp_path, csv, name, err):
    found, by = ask(tmp_path, flash(table=PartitionTable.from_csv(csv)), NEW)
    assert (found["verdict"], by[name]["severity"], by[name]["facts"]["err"]) == ("refused", "refused", err)


def test_a_table_beyond_the_flash_is_refused_by_the_bootloader(tmp_path):
    small = bytearray(bootloader(flash_size=0x200000))
    found, by = ask(tmp_path, flash(loader=bytes(small)), NEW)
    assert found["verdict"] == "refused"
    assert "bootloader_utility_load_partition_table" in by["running"]["text"]


def test_rows_that_overlap_are_a_risk(tmp_path):
    rows = [*TABLE, Partition("more", 1, 6, AT["ota_1"] + 0x1000, 0x1000)]
    _, by = ask(tmp_path, flash(table=PartitionTable(rows)), NEW)
    assert (by["table"]["severity"], by["table"]["function"]) == ("risk", "gen_esp32part.py")


# --------------------------------------------------------------------------------------------------------------- eFuses


def test_secure_versions_are_compared_with_what_is_burnt(tmp_path):
    fuses = EFuse(CHIP, secure_version=2).to_json()
    held = app("1", secure_version=2)
    words = ("--config", "sdkconfig", "--efuse", "fuses.json")
    files = {"sdkconfig": ANTI, "fuses.json": fuses}
    _, by = ask(tmp_path, flash(ota_0=held), app(secure_version=1), *words, **files)
    assert (by["secure-version"]["severity"], by["secure-version"]["facts"]["err"]) == (
        "refused",
        "ESP_ERR_OTA_SMALL_SEC_VER",
    )
    found, by = ask(tmp_path, flash(ota_0=held), app(secure_version=3), *words, **files)
    assert found["verdict"] == "runs"
    assert by["rollback-secure-version"]["facts"] == {"found": 2, "secure_version": 3, "burnt": 2}


def test_without_efuses_what_no_flash_says_is_unknown(tmp_path):
    _, by = ask(tmp_path, flash(), NEW)
    assert {by[name]["severity"] for name in ("efuse", "chip-revision")} == {"unknown"}
    _, by = ask(tmp_path, flash(), NEW, "--efuse", "fuses", fuses=EFuse(CHIP).to_json())
    assert by["chip-revision"]["severity"] == "note"
    assert "efuse" not in by


def test_burnt_secure_boot_wants_a_signature_of_its_key(tmp_path):
    mine, other = signing.generate_key("rsa3072"), signing.generate_key("rsa3072")
    fuses = EFuse(CHIP, secure_boot_en=True, key_digests=[signing.public_key_digest(mine)]).to_json()
    held = flash(ota_0=signing.sign(OLD, mine))
    words, files = ("--efuse", "fuses"), {"fuses": fuses}
    found, by = ask(tmp_path, held, signing.sign(NEW, mine), *words, **files)
    assert (found["verdict"], by["signature"]["facts"]["scheme"]) == ("runs", "rsa3072")
    for new in (NEW, signing.sign(NEW, other)):
        found, by = ask(tmp_path, held, new, *words, **files)
        assert (found["verdict"], by["signature"]["severity"]) == ("refused", "refused")


def test_an_encrypted_flash_is_opened_with_its_key_and_only_with_it(tmp_path):
    efuse = EFuse(CHIP, flash_encryption_key=bytes(range(32)), flash_crypt_cnt=1)
    engine = FlashCrypt.of_efuse(efuse)
    assert engine is not None
    dump = engine.encrypt(0, flash())
    found, by = ask(tmp_path, dump, NEW, "--efuse", "fuses", fuses=efuse.to_json())
    assert (found["verdict"], by["encryption"]["severity"]) == ("runs", "note")
    done = run(tmp_path, dump, NEW)
    assert done.exit_code == 2
    assert "looks as if it were encrypted, and --efuse gives no key" in done.stderr
    assert "lamp 2, sound" in done.stderr
    other = EFuse(CHIP, flash_encryption_key=bytes(32), flash_crypt_cnt=1).to_json()
    assert "cannot be read with the key" in run(tmp_path, dump, NEW, "--efuse", "fuses", fuses=other).stderr
    assert "is not encrypted" in run(tmp_path, flash(), NEW, "--efuse", "fuses", fuses=efuse.to_json()).stderr


# ------------------------------------------------------------------------------------------------------------- rollback


def test_an_encrypted_bootloader_is_as_long_as_its_image(tmp_path):
    """What is erased behind it reads as noise."""
    efuse = EFuse(CHIP, flash_encryption_key=bytes(range(32)), flash_crypt_cnt=1)
    engine, plain = FlashCrypt.of_efuse(efuse), flash()
    assert engine is not None
    sectors = {at: plain[at : at + 0x1000] for at in range(0, len(plain), 0x1000)}
    blank = b"\xff" * 0x1000
    dump = b"".join(data if data == blank else engine.encrypt(at, data) for at, data in sectors.items())
    _, by = ask(tmp_path, dump, NEW, "--efuse", "fuses", fuses=efuse.to_json())
    assert by["bootloader"]["facts"]["length"] == len(bootloader())


def test_a_bootloader_without_rollback_takes_nothing_back(tmp_path):
    found, by = ask(tmp_path, flash(), NEW, "--no-rollback")
    assert (found["can_roll_back"], by["can-roll-back"]["severity"]) == (False, "risk")
    assert "only a new app that rejects itself" in by["rollback-target"]["text"]
    assert "confirms" not in by


def test_run_without_machine_code_is_no_answer(tmp_path):
    found, by = ask(tmp_path, flash(), NEW, "--run")
    assert found["can_roll_back"] is None
    assert by["can-roll-back"]["facts"] == {"answer": None, "asked": True}


def test_run_asks_the_compiled_bootloader_itself(tmp_path):
    try:
        shipped = fetch(MICROPYTHON)
    except Unusable as reason:
        pytest.skip(str(reason))
    loader = with_flash_size(shipped[: inspect_image(shipped[:0x8000]).length], 0x400000)
    found, by = ask(tmp_path, flash(loader=loader), NEW, "--run")
    assert (found["can_roll_back"], by["can-roll-back"]["facts"]) == (True, {"answer": True, "asked": True})
    assert by["bootloader"]["facts"]["prints"] is not None
    found, by = ask(tmp_path, flash(loader=loader), NEW)
    assert (found["can_roll_back"], by["can-roll-back"]["severity"]) == (None, "unknown")


def test_anti_rollback_in_the_texts_of_a_bootloader_tells_that_it_can_roll_back(tmp_path):
    text = b"\0Enabled a check secure version of app for anti rollback\0End of partition table\0"
    loader = bootloader() + text
    found, by = ask(tmp_path, flash(loader=loader), NEW)
    assert found["can_roll_back"] is True
    assert by["secure-version"]["facts"]["burnt"] == 0
    _, by = ask(tmp_path, flash(loader=loader), NEW, "--config", "sdkconfig", sdkconfig="# nothing\n")
    assert by["config"]["facts"] == {"option": "CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK=n"}


@pytest.mark.parametrize(
    ("texts", "answer", "severity"), [(MARKS, True, "note"), (WRITES, False, "risk"), (b"", None, "unknown")]
)
def test_whether_the_new_app_confirms_itself_is_read_off_its_texts(tmp_path, texts, answer, severity):
    _, by = ask(tmp_path, flash(), app(texts=texts))
    assert (by["confirms"]["severity"], by["confirms"]["facts"]) == (severity, {"answer": answer})


@pytest.mark.parametrize(
    ("texts", "answer", "severity", "back"),
    [(BEGINS + WRITES, True, "note", "ota_0"), (WRITES, False, "risk", None), (b"", None, "unknown", "ota_0")],
)
def test_whether_the_running_app_writes_new_decides_what_a_bootloader_takes_back(
    tmp_path, texts, answer, severity, back
):
    found, by = ask(tmp_path, flash(ota_0=app("1", texts=texts)), NEW)
    assert (by["monitored"]["severity"], by["monitored"]["facts"]) == (severity, {"answer": answer})
    by_itself = "a rollback lands on" in by["rollback-target"]["text"]
    assert by_itself is (back is not None)
    assert found["verdict"] == "runs"


def test_an_app_on_trial_has_to_confirm_itself_first(tmp_path):
    _, by = ask(tmp_path, flash((1, VALID), (2, NEW_STATE), ota_1=app("3", texts=WRITES + BEGINS)), NEW)
    assert (by["running"]["severity"], by["running"]["function"]) == ("risk", "esp_ota_begin")
    assert by["running"]["facts"] == {"partition": "ota_1", "state": "PENDING_VERIFY", "confirms": False}


def test_a_rollback_to_another_project_to_no_signature_and_to_an_older_secure_version(tmp_path):
    new = signing.sign(app(secure_version=1), signing.generate_key("ecdsa256"))
    _, by = ask(tmp_path, flash(ota_0=app("1", project="heater")), new)
    assert by["rollback-project"]["facts"] == {"found": "heater", "expected": "lamp"}
    assert by["rollback-signature"]["severity"] == "risk"
    assert by["rollback-secure-version"]["facts"]["burnt"] is None
    assert by["project"]["severity"] == "risk"


def test_a_rollback_to_an_app_that_is_older_than_the_nvs_pages(tmp_path):
    board = Flash.from_bytes(flash(ota_0=app("1", idf_ver="v3.1.7")))
    row = TABLE.find(label="nvs")
    assert row is not None
    NvsPartition(board, row).open("lamp", "readwrite").set("on", "u8", 1)
    _, by = ask(tmp_path, board.to_bytes(), NEW)
    assert (by["rollback-nvs"]["severity"], by["rollback-nvs"]["facts"]) == (
        "risk",
        {"partition": "nvs", "page_version": 0xFE},
    )
    _, by = ask(tmp_path, board.to_bytes().replace(b"v3.1.7", b"v3.2.7"), NEW)
    assert "rollback-nvs" not in by


def test_a_rollback_to_what_only_this_bootloader_takes_is_damaged(tmp_path):
    skip = "CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y\nCONFIG_BOOTLOADER_SKIP_VALIDATE_ALWAYS=y\n"
    dump = flash(ota_0=flipped(OLD, 0x300))
    found, by = ask(tmp_path, dump, NEW, "--config", "sdkconfig", sdkconfig=skip)
    assert (found["rollback_to"], by["rollback-damaged"]["facts"]["err"]) == ("ota_0", "ESP_ERR_IMAGE_INVALID")


def test_nothing_to_roll_back_to(tmp_path):
    skip = "CONFIG_BOOTLOADER_SKIP_VALIDATE_ALWAYS=y\n"
    dump = flash(ota_0=flipped(OLD, 0x300))
    found, by = ask(tmp_path, dump, NEW, "--config", "sdkconfig", sdkconfig=skip)
    assert (found["verdict"], found["rollback_to"], found["can_roll_back"]) == ("runs", None, False)
    target = by["rollback-target"]
    assert (target["severity"], target["function"]) == ("risk", "esp_ota_check_rollback_is_possible")


def test_a_rollback_that_does_not_come_back_to_what_runs_now(tmp_path):
    found, by = ask(tmp_path, flash((2, VALID), (3, 4), factory=app("0"), ota_1=flipped(NEW, 0x300)), NEW)
    roles = {slot["partition"]: slot["roles"] for slot in found["slots"]}
    assert roles == {"factory": ["rollback"], "ota_0": ["runs"], "ota_1": ["update"]}
    assert by["rollback-target"]["facts"] == {"partition": "factory", "version": "0"}
    assert by["rollback-target"]["severity"] == "risk"


def test_the_answer_of_the_machine_code_counts_more_than_an_sdkconfig():
    config = Sdkconfig(bootloader_app_rollback_enable=True, bootloader_app_anti_rollback=True)
    more = {"config": config, "says_config": True, "says_rollback": True, "release": "said", "end": 0x400000}
    held = {"flash": Flash.from_bytes(flash()), "target": Target(CHIP), "efuse": EFuse(CHIP), "knows_efuse": True}
    builds = builds_of(Board(name="dump", can=CanRollBack(False, "it stays NEW"), **held, **more))
    assert (builds.rollback, builds.why) == (False, "it stays NEW")
    assert not builds.loader.bootloader_app_rollback_enable
    builds.loader.check()  # anti-rollback without rollback is no build


def test_what_is_no_image_has_one_fault(tmp_path):
    _, by = ask(tmp_path, flash(), b"\x1f\x8b" + NEW)
    assert [name for name, one in by.items() if one["severity"] == "refused"] == ["image"]


@pytest.mark.parametrize(
    ("begins", "called"),
    [
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b\x08", "a gzip file"),
        (b"\x7fELF\x01", "an ELF file"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"\x89PNG\r\n", "a picture"),
        (b"\xaa\x50\x01", "a partition table"),
        (b"UF2\n", "a UF2 file"),
        (b":020000040000FA", "an Intel HEX file"),
    ],
)
def test_what_is_something_else_is_called_by_its_name(tmp_path, begins, called):
    _, by = ask(tmp_path, flash(), begins + NEW)
    assert by["image"]["text"].endswith(f"; the file is {called}")
    _, by = ask(tmp_path, flash(), b"\x01\x02" + NEW)
    assert "the file is" not in by["image"]["text"]


# ------------------------------------------------------------------------------------------------------------ bad input


def test_half_a_dump_is_refused_or_told_by_what_is_missing(tmp_path):
    whole = flash()
    done = run(tmp_path, whole[:0x5000], NEW)
    assert (done.exit_code, "ends at 0x5000, before the partition table" in done.stderr) == (2, True)
    done = run(tmp_path, whole[: AT["factory"] + 0x800], NEW)
    assert done.exit_code == 2
    assert "inside factory, and nothing in it starts" in done.stderr
    found, by = ask(tmp_path, whole[: AT["ota_1"]], NEW)
    assert (found["verdict"], by["dump"]["severity"]) == ("runs", "note")
    assert by["dump"]["facts"] == {"end": AT["ota_1"], "size": 0x400000}


@pytest.mark.parametrize(
    ("end", "said"),
    [(AT["ota_0"] - 0x10000, "before ota_0, which otadata has chosen"), (AT["ota_0"] + 0x800, "inside ota_0, which")],
)
def test_a_dump_without_the_app_that_runs_is_no_board(tmp_path, end, said):
    done = run(tmp_path, flash()[:end], NEW)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert answer([str(tmp_path / "flash.bin"), str(tmp_path / "new.bin")]) is None  # the quick way knows it, too


def test_a_dump_that_starts_at_the_bootloader_of_an_esp32(tmp_path):
    held = app("1", chip="esp32")
    parts = {0x1000: bootloader(chip="esp32"), 0x8000: TABLE.to_bytes(), AT["factory"]: held}
    dump = merge(parts)[0x1000:]
    found, _ = ask(tmp_path, dump, app(chip="esp32"))
    assert (found["chip"], found["partition"]) == ("esp32", "ota_0")
    assert any(one["facts"] == {"start": 0x1000} for one in found["findings"] if one["id"] == "dump")


@pytest.mark.parametrize(
    ("dump", "said"),
    [
        (NEW, "is an app, not a flash"),
        (bytes(0x20000), "is none: its first bytes are 00 00"),
        (b"\xff" * 0x20000, "is erased"),
        (bytes(range(256)) * 0x200, "looks as if it were encrypted"),
        (b"", "is empty"),
    ],
)
def test_what_is_no_flash_is_a_sentence(tmp_path, dump, said):
    done = run(tmp_path, dump, NEW)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.output


def test_an_empty_or_missing_update_and_fuses_of_another_chip(tmp_path):
    assert "new.bin is empty" in run(tmp_path, flash(), b"").stderr
    done = run(tmp_path, flash(), NEW, "--efuse", "fuses", fuses=EFuse("esp32s3").to_json())
    assert (done.exit_code, "holds the eFuses of esp32s3" in done.stderr) == (2, True)
    assert CliRunner().invoke(main, ["preflight", "nowhere", str(tmp_path / "new.bin")]).exit_code == 2


def test_a_build_folder_is_a_flash_that_is_put_together(tmp_path):
    build = tmp_path / "build"
    build.mkdir()
    (tmp_path / "new.bin").write_bytes(NEW)
    done = CliRunner().invoke(main, ["preflight", str(build), str(tmp_path / "new.bin")])
    assert (done.exit_code, "it has no flasher_args.json" in done.stderr) == (2, True)
    parts = {"0x0": bootloader(), "0x8000": TABLE.to_bytes(), "0x10000": OLD}
    for at, data in parts.items():
        (build / at).write_bytes(data)
    (build / "flasher_args.json").write_text(json.dumps({"flash_files": {at: at for at in parts}}))
    (build / "sdkconfig").write_text("CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y\n")
    done = CliRunner().invoke(main, ["preflight", str(build), str(tmp_path / "new.bin"), "--json"])
    found = json.loads(done.stdout)
    assert (found["partition"], found["rollback_to"], found["can_roll_back"]) == ("ota_0", "factory", True)
    assert "dump" not in {one["id"] for one in found["findings"]}


def test_another_bootloader_takes_the_place_of_the_one_in_the_dump(tmp_path):
    (tmp_path / "loader.bin").write_bytes(bootloader(idf_ver="v5.1.2"))
    _, by = ask(tmp_path, flash(), NEW, "--bootloader", str(tmp_path / "loader.bin"))
    assert by["bootloader"]["facts"]["release"] == "v5.1.2"
    _, by = ask(tmp_path, flash(), NEW)
    assert by["bootloader"]["facts"]["release"] == "v6.1"


# ---------------------------------------------------------------------------------------------------------- the process


@pytest.mark.parametrize("words", [[], ["--json"]])
@pytest.mark.parametrize("new", [NEW, flipped(NEW, 0x300)])
def test_the_short_way_says_what_the_long_one_says(tmp_path, words, new):
    (tmp_path / "flash.bin").write_bytes(flash())
    (tmp_path / "new.bin").write_bytes(new)
    call = [sys.executable, "-m", "py_esp_ota", "preflight", "flash.bin", "new.bin", *words]
    short, long = (
        subprocess.run([*call, *more], cwd=tmp_path, capture_output=True, text=True, check=False)
        for more in ([], ["--no-run"])
    )
    assert (short.returncode, short.stdout, short.stderr) == (long.returncode, long.stdout, long.stderr)
    assert short.stdout


def test_nothing_is_written(tmp_path):
    dump = flash()
    ask(tmp_path, dump, NEW)
    assert (tmp_path / "flash.bin").read_bytes() == dump
    assert {one.name for one in tmp_path.iterdir()} == {"flash.bin", "new.bin"}
