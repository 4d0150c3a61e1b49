"""Real releases, fetched by package name: what the verifier says of them, and the whole demo on them."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from demo_report import check_demo

from py_esp_ota import Flash, PartitionTable, inspect_image, verify_image
from py_esp_ota.cli import corpus, main
from py_esp_ota.cli.files import Unusable


def real(release):
    try:
        return corpus.fetch(release)
    except Unusable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("release", "project", "version", "idf"),
    [
        (corpus.UIH_0_1_1, "uih_firmware", "0.1.1", "v6.1"),
        (corpus.UIH_0_1_2, "uih_firmware", "0.1.2", "v6.1"),
        (corpus.OTHER_PROJECT, "idftool_test", "1.0.0", "v6.0.2-9-g4f3e26cf61-dirty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_real_app_is_valid_and_says_who_it_is(release, project, version, idf):
    data = real(release)
    info = inspect_image(data)
    assert (info.valid, info.kind, info.chip, info.length) == (True, "app", "esp32s3", len(data))
    assert (info.app_desc.project_name, info.app_desc.version, info.app_desc.idf_ver) == (project, version, idf)
    flash = Flash(0x400000)
    flash.program(0x10000, data)
    for build, mode in [("app", "verify"), ("bootloader", "load")]:
        assert verify_image(flash, 0x10000, 0x100000, chip="esp32s3", build=build, mode=mode).image_len == len(data)


def test_a_real_bootloader_is_valid_and_says_who_it_is():
    info = inspect_image(real(corpus.UIH_BOOTLOADER))
    assert (info.valid, info.kind, info.chip) == (True, "bootloader", "esp32s3")
    assert info.bootloader_desc.idf_ver == "v6.1"


def test_a_real_partition_table_is_read_and_written_back():
    data = real(corpus.UIH_TABLE)
    table = PartitionTable.from_bytes(data)
    assert [row.label for row in table] == ["nvs", "otadata", "app0", "app1", "spiffs", "coredump"]
    assert table.to_bytes() == data


def test_the_demo_on_real_firmware():
    real(corpus.UIH_0_1_1)
    report = check_demo(CliRunner().invoke(main, ["demo", "--json"]), "lab")
    assert report["chapters"][1]["running"] == {"partition": "app1", "version": "0.1.2", "state": "VALID"}


def test_the_demo_prints_the_chips_own_lines():
    real(corpus.UIH_0_1_1)
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 0, result.output
    for words in (
        "boot: ESP-IDF v6.1 2nd stage bootloader",
        "boot: Loaded app from partition at offset 0x3c0000",
        "esp_image: Checksum failed. Calculated 0x",
        "7 of 7 chapters ended as they should",
    ):
        assert words in result.output


def test_a_package_that_cannot_be_had_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 2
    assert "usb-insight-hub-jetperch==0.1.1" in result.output
    assert "or use your own images" in result.output
    assert "Traceback" not in result.output
