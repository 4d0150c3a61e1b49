"""The resumable example loses power in the middle of its download, again and again, and gets there all the same."""

from __future__ import annotations

import random

import pytest
from advanced_https_ota_example import AdvancedHttpsOta
from example_board import HOST, Board

from py_esp_ota._core import EFuse
from py_esp_ota.firmware import Firmware
from py_esp_ota.sdkconfig import Sdkconfig

URL = f"{HOST}/advanced_https_ota.bin"
STARTING = "Starting Advanced OTA example"
OLD = Firmware("advanced_https_ota", "1", chip="esp32", size=0x8000).to_bytes()
NEW = Firmware("advanced_https_ota", "2", chip="esp32", size=0x10000).to_bytes()
CUTS = 4


def board(*, encrypted: bool = False, partial: bool = False, ranges: bool = True) -> Board:
    app = AdvancedHttpsOta(
        skip_version_check=False,
        enable_ota_resumption=True,
        enable_partial_http_download=partial,
        http_request_size=16384,
    )
    fuses = None
    if encrypted:
        key = bytes(range(32))
        fuses = EFuse("esp32", flash_crypt_cnt=1, flash_crypt_config=0xF, flash_encryption_key=key)
    config = Sdkconfig(bootloader_app_rollback_enable=True, esp_https_ota_enable_partial_download=partial)
    made = Board(app, OLD, config=config, efuse=fuses)
    made.server.files["/advanced_https_ota.bin"] = NEW
    made.server.ranges = ranges
    return made


def cut_again_and_again(board: Board, seed: int) -> list[int]:
    """Some cuts at random operations, then an undisturbed run; where each download began."""
    chance = random.Random(seed)

    async def story(board: Board) -> None:
        for _ in range(CUTS):
            await board.expect(STARTING)
            board.write(URL)
            await board.cut_power(chance.randrange(60, 140), torn=chance.random() < 0.5)
        await board.expect(STARTING)
        if board.running == "ota_0":
            board.write(URL)
            await board.expect(r"upgrade successful. Rebooting \.\.\.")
            await board.expect("App is valid, rollback cancelled successfully")

    board.play(story)
    asked = [request.range for request in board.server.requests if request.method == "GET"]
    return [int(text[6:].split("-")[0]) if text else 0 for text in asked]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("way", ["plain", "encrypted", "partial", "encrypted partial"])
def test_a_download_that_is_cut_again_and_again_ends_whole(way, seed):
    dut = board(encrypted="encrypted" in way, partial="partial" in way)
    starts = cut_again_and_again(dut, seed)
    assert dut.running == "ota_1"
    assert dut.flash.mmap(0x1D0000, len(NEW)) == NEW
    assert starts == sorted(starts), "no download began before the one that was cut"
    assert starts[-1] > starts[0]
    if "encrypted" in way:
        assert all(start % 16 == 0 for start in starts)
        assert dut.flash.read(0x1D0000, 16) != NEW[:16]


@pytest.mark.parametrize("seed", range(3))
def test_without_ranges_it_starts_over_and_ends_whole(seed):
    dut = board(ranges=False)
    cut_again_and_again(dut, seed)
    assert dut.running == "ota_1"
    assert dut.flash.mmap(0x1D0000, len(NEW)) == NEW


@pytest.mark.parametrize("torn", [False, True])
def test_a_cut_at_any_operation_of_the_download_loses_at_most_a_step(torn):
    """What NVS says is written is written: never is a byte missing between the two downloads."""
    for operation in range(1, 300, 11):
        dut = board()

        async def story(board: Board, operation: int = operation) -> None:
            await board.expect(STARTING)
            board.write(URL)
            await board.cut_power(operation, torn=torn)
            await board.expect(STARTING)
            board.write(URL)
            await board.expect(r"upgrade successful. Rebooting \.\.\.")
            await board.expect("App is valid")

        dut.play(story)
        assert dut.flash.mmap(0x1D0000, len(NEW)) == NEW, operation
        first, second = dut.server.asked
        assert first == "GET bytes=0-"
        assert int(second[10:-1]) % 1024 == 0
