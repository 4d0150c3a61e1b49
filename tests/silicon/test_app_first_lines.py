"""Real apps of the Xtensa chips, booted by real ROM and bootloader, up to what needs more than their first core."""

from __future__ import annotations

import pytest
from builds import ESP32, ESP32S2, ESP32S3, Build, fetched_release, new_machine

from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip
from py_esp_ota.cli.corpus import Release
from py_esp_ota.silicon.session import Session

LOGGING = Release(
    "idftool",
    "1.5.0",
    "idftool-1.5.0/test/fixtures/esp32s3/flash-image.bin",
    "7141f9dabd2b453ac4622bd864756f06a3c0426317436f0c36a69da903501c3a",
    sdist=True,
)


def switched_on(chip: str, release: Release, offset: int = 0) -> Session:
    data = fetched_release(release)
    flash = Flash.from_bytes(b"\xff" * offset + data[: 0x400000 - offset], size=0x400000)
    return new_machine(chip).session(Chip(chip, flash=flash))


def test_an_app_logs_until_it_starts_the_second_core():
    session = switched_on("esp32s3", LOGGING)
    assert session.run(2, until="cpu_start: Multicore app") is not None
    assert session.run(1) is None
    assert session.trap is not None
    assert session.trap.reason.startswith("the app starts the chip's second core at 0x403")
    assert session.trap.symbol.startswith("ets_set_appcpu_boot_addr")
    assert session.seconds < 0.2


@pytest.mark.parametrize("build", [ESP32[-1], ESP32S3[-1]], ids=str)
def test_micropython_of_two_cores_comes_as_far(build: Build):
    session = switched_on(build.chip, build.release, build.offset)
    session.run(1)
    assert session.trap is not None
    assert "second core" in session.trap.reason
    assert session.boots[0].outcome == "APP"


def test_an_app_of_one_core_goes_on_with_its_timers():
    """Its C library, heap and scheduler run: exceptions and interrupts of the core's timers are handled by the app."""
    build = ESP32S2[-1]
    session = switched_on(build.chip, build.release, build.offset)
    assert session.run(1, until="Failed to init external RAM; continuing without it.") is not None
    assert session.run(0.2) is None
    assert session.trap is None
    assert len(session.boots) == 1
