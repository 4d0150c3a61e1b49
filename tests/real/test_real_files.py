"""Real firmware, fetched by package name: the verdict, the fields, and how the merged ones boot."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from releases import IMAGES, MERGED, OTADATA_P09, TABLE_P08, Image, Merged

from py_esp_ota import inspect_image
from py_esp_ota._core import OtaSelectEntry, PartitionTable, active_otadata
from py_esp_ota.chip import Chip
from py_esp_ota.cli import main
from py_esp_ota.cli.corpus import Release, fetch
from py_esp_ota.cli.files import Unusable
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.detect import detect_start, detect_target, load_flash
from py_esp_ota.sdkconfig import Sdkconfig

pytestmark = pytest.mark.timeout(300)


def real(release: Release) -> bytes:
    try:
        return fetch(release)
    except Unusable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("known", IMAGES, ids=lambda known: known.name)
def test_an_image_is_valid_and_says_who_it_is(known: Image):
    data = real(known.release)
    info = inspect_image(data)
    assert [str(fault) for fault in info.faults] == []
    assert (info.kind, info.chip, len(data), info.length) == (known.kind, known.chip, known.size, known.size)
    if known.kind == "bootloader":
        desc = info.bootloader_desc
        assert ("", str(desc.version), desc.idf_ver) == known.desc
    elif known.desc is None:
        assert info.app_desc is None
    else:
        desc = info.app_desc
        assert (desc.project_name, desc.version, desc.idf_ver) == known.desc
    if known.segments is not None:
        assert len(info.segments) == known.segments
        assert sum(segment.length == 0 for segment in info.segments) == 6


@pytest.mark.parametrize("known", MERGED, ids=lambda known: known.name)
def test_a_merged_image_boots(known: Merged, tmp_path):
    data = real(known.release)
    assert len(data) == known.size
    assert detect_start(data) == known.start
    flash = load_flash(data, start=known.start)
    assert detect_target(flash).name == known.chip
    report = boot(Chip(known.chip, flash=flash), Sdkconfig())
    assert report.ok, "\n".join(report.log)
    assert (report.partition.label, report.app_desc.idf_ver) == (known.boots, known.desc[2])
    assert (report.app_desc.project_name, report.app_desc.version) == known.desc[:2]
    path = tmp_path / "merged.bin"
    path.write_bytes(data)
    done = CliRunner().invoke(main, ["image-info", str(path), "--json"])
    images = json.loads(done.stdout)["images"]
    assert [image["name"] for image in images][:2] == ["bootloader", known.boots]
    assert images[1]["valid"]
    assert images[0]["checksum"]["valid"]


def test_a_table_without_factory_and_with_slots_of_different_size():
    table = PartitionTable.from_bytes(real(TABLE_P08))
    slots = [row for row in table if row.ota_slot is not None]
    assert table.find(type=0, subtype=0) is None
    assert len({row.size for row in slots}) == 2
    assert table.find(type=1, subtype=0).offset == 0xD000


def test_otadata_with_a_zero_sequence_number_whose_crc_validates():
    data = real(OTADATA_P09)
    first, second = (OtaSelectEntry.from_bytes(data[at : at + 32]) for at in (0, 0x1000))
    assert (len(data), first.ota_seq, first.crc_ok) == (8192, 1, True)
    assert (second.ota_seq, second.crc_ok) == (0, True)
    assert active_otadata(first, second) == 0


def test_releases_of_the_same_size_differ():
    one, two = (real(image.release) for image in IMAGES if image.name in {"P04", "P05"})
    assert len(one) == len(two)
    assert one != two


def test_split_and_merge_of_real_images_are_inverse(tmp_path):
    known = next(image for image in MERGED if image.name == "P13")
    path = tmp_path / "flash.bin"
    path.write_bytes(real(known.release))
    for words in (
        ["split", path, "-o", tmp_path / "parts"],
        ["merge-bin", tmp_path / "parts", "-o", tmp_path / "again.bin"],
    ):
        done = CliRunner().invoke(main, [str(word) for word in words])
        assert done.exit_code == 0, done.output
    assert (tmp_path / "again.bin").read_bytes().rstrip(b"\xff") == path.read_bytes().rstrip(b"\xff")
