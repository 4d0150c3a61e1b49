"""``examples/system/ota/native_ota_example/pytest_native_ota.py``, test by test, offline."""

from __future__ import annotations

import random

import pytest
from example_board import HOST, Board
from native_ota_example import NativeOta

from py_esp_ota.firmware import Firmware
from py_esp_ota.sdkconfig import Sdkconfig

URL = f"{HOST}/native_ota.bin"
STARTING = "Starting OTA example task"
BIN = Firmware("native_ota", "1", chip="esp32", size=0x20000).to_bytes()
ROLLBACK = Sdkconfig(bootloader_app_rollback_enable=True)


def dut(app: NativeOta | None = None, **options: object) -> Board:
    board = Board(app or NativeOta(), BIN, table="two_ota", **options)
    board.server.files["/native_ota.bin"] = BIN
    board.server.ranges = False
    return board


def offered(name: str, data: bytes, line: str) -> Board:
    """What the example says to one file."""

    async def story(board: Board) -> None:
        board.server.files[f"/{name}"] = data
        await board.boot_and_connect(STARTING)
        board.write(f"{HOST}/{name}")
        await board.expect(line, timeout=20)

    return dut().play(story)


@pytest.mark.parametrize("config", [None, ROLLBACK], ids=["plain", "rollback"])
def test_examples_protocol_native_ota_example(config):
    async def story(board: Board) -> None:
        for _ in range(3):
            await board.boot_and_connect(STARTING)
            board.write(URL)
            await board.expect("Prepare to restart system!", timeout=60)
        await board.boot_and_connect(STARTING)

    board = dut(config=config).play(story)
    loaded = [line.rsplit(" ", 1)[1] for line in board.console if "Loaded app from partition at offset" in line]
    assert loaded == ["0x10000", "0x110000", "0x210000", "0x110000"]


def test_examples_protocol_native_ota_example_truncated_bin():
    board = offered("truncated.bin", BIN[:64000], "native_ota_example: Image validation failed, image is corrupted")
    assert board.running == "factory"


def test_examples_protocol_native_ota_example_truncated_header():
    offered("truncated_header.bin", BIN[:180], "native_ota_example: received package is not fit len")


def test_examples_protocol_native_ota_example_random():
    noise = b"\0" + random.Random(1).randbytes(31999)
    offered("random.bin", noise, "esp_ota_ops: OTA image has invalid magic byte")


def test_examples_protocol_native_ota_example_chunked():
    async def story(board: Board) -> None:
        board.server.chunked = True
        await board.boot_and_connect(STARTING)
        board.write(URL)
        await board.expect("Prepare to restart system!", timeout=60)
        await board.expect("Loaded app from partition at offset", timeout=20)
        await board.expect("OTA example app_main start", timeout=10)

    assert dut().play(story).running == "ota_0"


def test_a_version_that_failed_its_self_test_is_not_taken_again():
    """The README's steps 4 and 5: the diagnostic pin held low, and the same image offered again."""
    bad = Firmware("native_ota", "2", chip="esp32", size=0x20000).to_bytes()
    good = Firmware("native_ota", "3", chip="esp32", size=0x20000).to_bytes()
    app = NativeOta(diagnostic_pin=0)

    async def story(board: Board) -> None:
        board.server.files |= {"/bad.bin": bad, "/good.bin": good}
        await board.boot_and_connect(STARTING)
        board.write(f"{HOST}/bad.bin")
        await board.expect("Diagnostics failed! Start rollback to the previous version")
        await board.boot_and_connect(STARTING)
        board.write(f"{HOST}/bad.bin")
        await board.expect("Last invalid firmware version: 2")
        await board.expect("New version is the same as invalid version.")
        app.diagnostic_pin = 1
        await board.hard_reset()
        await board.boot_and_connect(STARTING)
        board.write(f"{HOST}/good.bin")
        await board.expect("Diagnostics completed successfully!")
        await board.expect(STARTING)

    board = dut(app, config=ROLLBACK).play(story)
    assert board.running == "ota_0"
    assert board.boots == 5


def test_an_equal_version_is_refused_where_upstreams_ci_does_not_skip_the_check():
    async def story(board: Board) -> None:
        await board.boot_and_connect(STARTING)
        board.write(URL)
        await board.expect("Current running version is the same as a new. We will not continue the update.")

    dut(NativeOta(skip_version_check=False)).play(story)


def test_a_lost_connection_ends_the_task():
    async def story(board: Board) -> None:
        board.server.breaks = [5000]
        await board.boot_and_connect(STARTING)
        board.write(URL)
        await board.expect("Error: SSL data read error")

    dut().play(story)
