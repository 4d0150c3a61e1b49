"""The survey: what it finds in folders, archives and packages, what it says of each, and the table that keeps it."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
from builds import C3, bootloader

from py_esp_ota import firmware
from py_esp_ota._core import PartitionTable
from py_esp_ota.flashing import uf2
from tools.survey.__main__ import main
from tools.survey.found import found_in, uf2_content
from tools.survey.packages import Missing, archive
from tools.survey.table import Row, as_table, from_line, kept, rows_in
from tools.survey.tries import Bench

PAGE = Path(__file__).parents[2] / "docs/reference/silicon.md"
APP = firmware.Firmware("lamp", "1.0.0", idf_ver="v5.5.1").to_bytes()
BOOTLOADER = firmware.bootloader(chip="esp32c3")
MERGED = firmware.merge({0: BOOTLOADER, 0x8000: PartitionTable.builtin("two_ota").to_bytes(), 0x10000: APP})


def zipped(**files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def tarred(name, data):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def found(folder):
    return [(one.path, one.kind, one.chip, one.idf) for one in found_in(folder)]


def test_a_folder_holds_what_is_in_its_archives_too(tmp_path):
    (tmp_path / "a.bin").write_bytes(APP)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/fw.zip").write_bytes(zipped(boot=BOOTLOADER, text=b"hello"))
    (tmp_path / "flash.bin.gz").write_bytes(gzip.compress(MERGED))
    assert found(tmp_path) == [
        ("a.bin", "app", "esp32c3", "v5.5.1"),
        ("deep/fw.zip/boot", "bootloader", "esp32c3", "v6.1"),
        ("flash.bin.gz/gz", "merged", "esp32c3", "v6.1"),
    ]


def test_the_same_bytes_are_one_build(tmp_path):
    for name in ("b.bin", "a.bin"):
        (tmp_path / name).write_bytes(APP + b"\xff" * 64)
    assert [path for path, *_ in found(tmp_path)] == ["a.bin"]


def test_a_uf2_file_is_what_it_says_from_its_first_address_on(tmp_path):
    packed = uf2({0x10000: APP}, chip="esp32c3")
    assert uf2_content(packed)[: len(APP)] == APP
    (tmp_path / "app.uf2").write_bytes(packed)
    assert found(tmp_path) == [("app.uf2/uf2", "app", "esp32c3", "v5.5.1")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xe9" * 100,
        firmware.flipped(APP, 0x200),
        b"PK\x03\x04 no archive",
        zipped(app=APP)[:900],
        b"\x1f\x8b cut",
        b"UF2\n\x57\x51\x5d\x9e" + bytes(504),
    ],
    ids=["nothing", "magic", "flipped", "no zip", "cut zip", "no gzip", "empty uf2"],
)
def test_what_is_no_image_is_passed_over(tmp_path, data):
    (tmp_path / "a.bin").write_bytes(data)
    (tmp_path / "b.bin").write_bytes(APP)
    assert [path for path, *_ in found(tmp_path)] == ["b.bin"]


def test_an_archive_by_itself_is_looked_into(tmp_path):
    file = tmp_path / "lamp-1.0.tar.gz"
    file.write_bytes(tarred("lamp-1.0/app.bin", APP))
    assert found(file) == [("lamp-1.0/app.bin", "app", "esp32c3", "v5.5.1")]


def test_a_bootloader_boots_a_small_app_and_random_code_says_where_it_ends(tmp_path):
    (tmp_path / "good.bin").write_bytes(bootloader(C3[0]))
    (tmp_path / "bad.bin").write_bytes(firmware.image([(0x403CC000, bytes(16))], entry_addr=0x403CC000))
    (tmp_path / "p4.bin").write_bytes(firmware.bootloader(chip="esp32p4"))
    bench = Bench(lambda _chip, _revision: None)
    came = {one.path: bench.tried(one).outcome for one in found_in(tmp_path)}
    assert came["good.bin"] == "boots"
    assert came["bad.bin"].startswith("illegal instruction at pc 0x403cc000")
    assert came["p4.bin"] == "no machine for 'esp32p4'"


def test_an_app_and_a_merged_image_are_watched_for_some_seconds(tmp_path):
    loader = bootloader(C3[0])
    (tmp_path / "app.bin").write_bytes(APP)
    table = PartitionTable.builtin("two_ota").to_bytes()
    (tmp_path / "flash.bin").write_bytes(firmware.merge({0: loader, 0x8000: table, 0x10000: APP}))
    bench = Bench(lambda _chip, _revision: None, seconds=0.1)
    came = {one.path: bench.tried(one, bootloader=loader).outcome for one in found_in(tmp_path)}
    assert set(came) == {"app.bin", "flash.bin"}
    assert all(outcome.startswith("boots; ") for outcome in came.values()), came


def test_a_package_that_is_none_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Missing, match="is no folder, and no package"):
        archive("not a package!")
    assert main(["not a package!"]) == 2
    assert capsys.readouterr().err.startswith("'not a package!' is no folder")


def test_a_package_in_the_cache_is_not_fetched_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept_at = tmp_path / "esp-ota/survey/pip-some-lamp-1.0"
    kept_at.mkdir(parents=True)
    (kept_at / "some_lamp-1.0-py3-none-any.whl").write_bytes(
        zipped(**{"lamp/p4.bin": firmware.bootloader(chip="esp32p4")})
    )
    assert main(["some-lamp==1.0", "--json", "--no-rom"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["package"], row["version"], row["path"]) == ("some-lamp", "1.0", "lamp/p4.bin")
    assert (row["chip"], row["kind"], row["outcome"]) == ("esp32p4", "bootloader", "no machine for 'esp32p4'")


# ----------------------------------------------------------------------------------------------------------- the table


def row(sha256="ab" * 32, **other):
    given = {"package": "lamp", "version": "1.0", "path": "a.bin", "kind": "app", "chip": "esp32c3"}
    return Row(**{**given, "idf": "v5.5", "outcome": "boots", **other}, sha256=sha256)


def test_a_row_can_be_read_again():
    odd = row(outcome="a | b\nc", idf="")
    assert from_line(odd.to_line()) == row("ab" * 6, outcome="a / b c", idf="")
    with pytest.raises(ValueError, match="no row of the survey"):
        from_line("| a | b |")


def test_a_build_keeps_its_name_and_gets_its_new_outcome():
    page = f"# Page\n\n<!-- the survey's table -->\n\n{as_table([row()])}\n<!-- its end -->\nmore\n"
    again = kept(page, [row(version="2.0", outcome="hangs"), row("cd" * 32, path="b.bin")])
    assert [(one.version, one.path, one.outcome) for one in rows_in(again)] == [
        ("1.0", "a.bin", "hangs"),
        ("1.0", "b.bin", "boots"),
    ]
    assert again.startswith("# Page\n")
    assert again.endswith("<!-- its end -->\nmore\n")
    with pytest.raises(ValueError, match="no table between"):
        rows_in("# Page\n")


def test_the_page_is_in_the_form_that_the_tool_writes():
    page = PAGE.read_text(encoding="utf-8")
    assert kept(page, []) == page
    rows = rows_in(page)
    assert len({one.sha256 for one in rows}) == len(rows) >= 60
    assert all(len(one.sha256) == 12 for one in rows)
