"""The fixtures: flashes, devices, a lab and a device under test; what a failure shows; what is loaded when."""

from __future__ import annotations

import json
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import py_esp_ota.cli.inputs
import py_esp_ota.cloud.api
import py_esp_ota.dut
import py_esp_ota.view.flash_map  # noqa: F401 - before pytester looks, for it forgets what an inner run imports
from py_esp_ota import PartitionTable
from py_esp_ota.firmware import Firmware, bootloader

OLD = Firmware("lamp", "1.0.0").to_bytes()

pytest_plugins = "pytester"


def test_the_entry_point_names_a_module_outside_the_package_that_goes_into_the_wheel():
    (ours,) = [point for point in entry_points(group="pytest11") if point.name == "py_esp_ota"]
    assert ours.value == "_py_esp_ota_pytest"
    root = Path(__file__).parents[2]
    included = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["maturin"]["include"]
    assert {"path": "_py_esp_ota_pytest.py", "format": ["sdist", "wheel"]} in included
    assert (root / "_py_esp_ota_pytest.py").is_file()


def test_a_flash_of_another_size_or_with_bytes_in_it(pytester):
    pytester.makepyfile("""
        import pytest

        def test_default(esp_flash):
            assert esp_flash.size == 0x400000 and esp_flash.is_erased(0, esp_flash.size)

        @pytest.mark.parametrize("esp_flash", [0x800000], indirect=True)
        def test_size(esp_flash):
            assert esp_flash.size == 0x800000

        @pytest.mark.parametrize("esp_flash", [b"abc"], indirect=True)
        def test_bytes(esp_flash):
            assert (esp_flash.size, esp_flash.read(0, 4)) == (0x100000, b"abc\\xff")
    """)
    pytester.runpytest_inprocess().assert_outcomes(passed=3)


def test_devices_and_a_lab_of_one_test_are_shown_when_it_fails(pytester):
    pytester.makepyfile("""
        from py_esp_ota.firmware import Firmware
        OLD = Firmware("lamp", "1.0.0").to_bytes()

        def test_fails(esp_device, ota_lab, esp_flash):
            esp_device("two_ota", firmware=OLD, node_id="alone").power_on()
            ota_lab.device("two_ota", firmware=OLD, node_id="online")
            esp_flash.program(0, b"x")
            assert ota_lab.is_online("online")
    """)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- alone: console -*",
            "*Loaded app from partition at offset 0x10000",
            "*- online: console -*",
            "(nothing was printed)",
            "*- esp_flash: flash -*",
            "1 operations; no partition table at 0x8000",
            "*- alone: flash -*",
            "▶*factory *lamp 1.0.0",
            "*- online: flash -*",
            "  factory *lamp 1.0.0",
        ]
    )


def test_a_test_that_passes_shows_nothing(pytester):
    pytester.makepyfile("""
        def test_passes(esp_device):
            esp_device("two_ota", target="esp32c3").flash.erase(0, 0x1000)
    """)
    result = pytester.runpytest_inprocess("-rA")
    result.assert_outcomes(passed=1)
    assert "flash -" not in result.stdout.str()


def test_a_power_cut_in_a_fixture_does_not_reach_the_next_test(pytester):
    pytester.makepyfile("""
        import pytest

        @pytest.fixture
        def cut_at_once(esp_flash):
            esp_flash.fault = "cut@0"
            esp_flash.program(0, b"x")

        @pytest.fixture
        def cut_in_the_end(esp_flash):
            yield esp_flash
            esp_flash.fault = "cut@0"
            esp_flash.program(0, b"x")

        def test_setup_dies(cut_at_once): ...
        def test_teardown_dies(cut_in_the_end): ...
        def test_next(esp_flash):
            assert esp_flash.powered
        def test_setup_dies_again(cut_at_once): ...
        def test_teardown_dies_again(cut_in_the_end): ...
    """)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=3, errors=4)
    assert "AssertionError" not in result.stdout.str()


@pytest.mark.parametrize("name", ["_esp_bench", "esp_app", "esp_device", "esp_dut", "esp_flash", "ota_lab"])
def test_fixtures_say_what_they_are(pytester, name):
    found = pytester.runpytest_inprocess("--fixtures", "-v").stdout.str()
    assert f"\n{name} --" in found


def test_the_fixture_under_the_name_a_suite_uses(pytester):
    (pytester.path / "lamp.bin").write_bytes(OLD)
    pytester.makeconftest("""
        import pytest

        @pytest.fixture
        def dut(esp_dut):
            return esp_dut
    """)
    pytester.makepyfile("""
        def test_boots(dut):
            dut.expect_exact("Loaded app from partition at offset 0x20000")
    """)
    pytester.runpytest_inprocess("--esp-ota-app=lamp.bin").assert_outcomes(passed=1)
    missing = pytester.runpytest_inprocess("--esp-ota-app=toaster.bin")
    missing.assert_outcomes(errors=1)
    missing.stdout.fnmatch_lines(["--esp-ota-app: *No such file*toaster.bin*"])
    without = pytester.runpytest_inprocess()
    without.assert_outcomes(errors=1)
    without.stdout.fnmatch_lines(["esp_dut needs an app: give --esp-ota-app FILE, or override the fixture esp_app*"])


def test_a_build_directory_is_an_app_too(pytester):
    build = pytester.path / "build"
    build.mkdir()
    files = {"0x0": "boot.bin", "0x8000": "table.bin", "0x10000": "lamp.bin"}
    (build / "boot.bin").write_bytes(bootloader(idf_ver="v5.4.1"))
    (build / "table.bin").write_bytes(PartitionTable.builtin("two_ota").to_bytes())
    (build / "lamp.bin").write_bytes(OLD)
    (build / "flasher_args.json").write_text(json.dumps({"flash_files": files}))
    (build / "sdkconfig").write_text("CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y\n")
    pytester.makepyfile("""
        def test_boots(esp_dut):
            esp_dut.expect_exact("ESP-IDF v5.4.1 2nd stage bootloader")
            esp_dut.expect_exact("Loaded app from partition at offset 0x10000")
            assert esp_dut.device.config.bootloader_app_rollback_enable
    """)
    pytester.runpytest_inprocess("--esp-ota-app=build").assert_outcomes(passed=1)
    for missing, sentence in [
        ("lamp.bin", "--esp-ota-app: build has no image for factory or ota_0"),
        ("table.bin", "--esp-ota-app: ESP_ERR_*"),
    ]:
        kept = {offset: name for offset, name in files.items() if name != missing}
        (build / "flasher_args.json").write_text(json.dumps({"flash_files": kept}))
        result = pytester.runpytest_inprocess("--esp-ota-app=build")
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines([sentence])
    (build / "flasher_args.json").unlink()
    result = pytester.runpytest_inprocess("--esp-ota-app=build")
    result.stdout.fnmatch_lines(["--esp-ota-app: build is no build directory: it has no flasher_args.json"])


def test_a_lab_without_the_cloud_says_what_to_install(pytester, monkeypatch):
    for module in ("py_esp_ota.lab", "py_esp_ota.world"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    pytester.makepyfile("""
        def test_lab(ota_lab): ...
        def test_device(esp_device): ...
    """)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["ota_lab: a lab needs httpx2, which comes with an extra: pip install 'py_esp_ota[[]cloud]'"]
    )
    assert "Traceback" not in result.stdout.str()
    assert "During handling" not in result.stdout.str()


def test_a_failed_expect_shows_console_and_flash_once_each(pytester):
    pytester.makepyfile("""
        import pytest
        from py_esp_ota.firmware import Firmware

        @pytest.fixture
        def esp_app():
            return {"partitions": "two_ota", "firmware": Firmware("lamp", "1.0.0").to_bytes(), "node_id": "lamp1"}

        def test_smokes(esp_dut):
            esp_dut.expect("blue smoke", timeout=3)
    """)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*DutTimeoutError: not found within 3 s: b'blue smoke'",
            "*- lamp1: console -*",
            "*- lamp1: flash -*",
            "▶*factory *lamp 1.0.0",
        ]
    )
