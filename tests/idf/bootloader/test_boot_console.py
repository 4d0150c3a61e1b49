"""What an installed bootloader image, or its absence, makes of the banner: versions, flash speed, mode and size."""

import pytest
from board import Board, slots, table

from py_esp_ota import firmware
from py_esp_ota.chip import ResetReason
from py_esp_ota.sdkconfig import Sdkconfig


def untimed(report):
    """Log lines without their time stamps."""
    return [line[0] + line[line.index(")") + 1 :] for line in report.log]


def with_bootloader(image, board):
    board.chip.flash.program(board.chip.target.bootloader_offset, image)
    return board.boot()


def test_an_installed_bootloader_says_who_it_is():
    image = firmware.bootloader(
        idf_ver="v5.5.4", date_time="Mar  4 2026 05:06:07", spi_mode=0, spi_speed=0, flash_size=0x800000
    )
    lines = untimed(with_bootloader(image, Board("two_ota")))
    assert lines[:7] == [
        "I boot: ESP-IDF v5.5.4 2nd stage bootloader",
        "I boot: compile time Mar  4 2026 05:06:07",
        "I boot: chip revision: v0.4",
        "I boot: efuse block revision: v0.0",
        "I boot.esp32c3: SPI Speed      : 40MHz",
        "I boot.esp32c3: SPI Mode       : QIO",
        "I boot.esp32c3: SPI Flash Size : 8MB",
    ]


def test_an_installed_bootloader_without_a_descriptor_still_has_a_header():
    image = firmware.image([(0x3FC88000, bytes(80))], spi_speed=2, flash_size=0x200000, spi_mode=3)
    board = Board(slots(2))
    lines = untimed(with_bootloader(image, board))
    assert lines[0] == "I boot: ESP-IDF unknown 2nd stage bootloader"  # it is older than v5.2, and does not say more
    assert lines[3:6] == [
        "I boot.esp32c3: SPI Speed      : 20MHz",
        "I boot.esp32c3: SPI Mode       : DOUT",
        "I boot.esp32c3: SPI Flash Size : 2MB",
    ]


@pytest.mark.parametrize("image", [b"", firmware.bootloader(chip="esp32s3", flash_size=0x100000)])
def test_something_else_at_its_place_is_no_bootloader(image):
    assert "I boot.esp32c3: SPI Flash Size : 4MB" in untimed(with_bootloader(image, Board("two_ota")))


def test_the_flash_size_of_the_header_bounds_the_table():
    report = with_bootloader(firmware.bootloader(flash_size=0x200000), Board("two_ota"))
    assert not report.ok
    assert untimed(report)[-3:] == [
        "E flash_parts: partition 4 invalid - offset 0x110000 size 0x100000 exceeds flash chip size 0x200000",
        "E boot: Failed to verify partition table",
        "E boot: load partition table error!",
    ]


def test_an_unknown_size_code_means_two_megabytes():
    image = bytearray(firmware.bootloader())
    image[3] = 0x8F
    report = with_bootloader(bytes(image), Board(slots(2)))
    assert report.ok
    assert "I boot.esp32c3: SPI Flash Size : 2MB" in untimed(report)


@pytest.mark.parametrize(
    ("chip", "lines"),
    [
        (
            "esp32",
            ["I boot: Multicore bootloader", "I boot: chip revision: v3.1", "I boot.esp32: SPI Speed      : 80MHz"],
        ),
        (
            "esp32s3",
            ["I boot: Multicore bootloader", "I boot: chip revision: v0.2", "I boot: efuse block revision: v0.0"],
        ),
        ("esp32c2", ["I boot.esp32c2: MMU Page Size  : 64K", "I boot.esp32c2: SPI Speed      : 60MHz"]),
        ("esp32h2", ["I boot: efuse block revision: v0.0", "I boot.esp32h2: SPI Speed      : 64MHz"]),
    ],
)
def test_each_chip_has_its_own_banner(chip, lines):
    printed = untimed(Board("two_ota", chip=chip).boot())
    start = printed.index(lines[0])
    assert printed[start : start + len(lines)] == lines


@pytest.mark.parametrize(
    ("chip", "code", "speed"), [("esp32c6", 0, "80MHz"), ("esp32c6", 2, "20MHz"), ("esp32", 7, "20MHz")]
)
def test_speed_codes(chip, code, speed):
    board = Board("two_ota", chip=chip)
    image = firmware.bootloader(chip=chip, spi_speed=code)
    assert f"I boot.{chip}: SPI Speed      : {speed}" in untimed(with_bootloader(image, board))


def test_a_unicore_build_on_a_chip_with_two_cores_warns():
    config = Sdkconfig(freertos_unicore=True)
    assert "W boot: Unicore bootloader" in untimed(Board("two_ota", chip="esp32s3", config=config).boot())
    assert not any("core bootloader" in line for line in untimed(Board("two_ota", config=config).boot()))


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ((5, 4, 4), "Image requires chip rev >= v9.9, but chip is v0.4"),
        ((5, 5, 0), "chip revision check failed. Required >= v9.9, found v0.4."),
    ],
)
def test_how_a_bootloader_for_newer_chips_says_so(version, said):
    board = Board("two_ota", config=Sdkconfig(idf_version=version))
    lines = untimed(with_bootloader(firmware.rewritten(firmware.bootloader(), min_chip_rev_full=909), board))
    assert f"E boot_comm: {said}" in lines


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ((5, 3, 5), ["unknown", "unknown", "unknown"]),
        ((5, 4, 0), ["primary bootloader", "unknown", "ota partition_table"]),
        ((5, 5, 0), ["primary bootloader", "recovery bootloader", "ota partition_table"]),
    ],
)
def test_what_rows_of_bootloaders_and_tables_are_called(version, words):
    rows = [("boot", 2, 0, 0x1000, 0x1000), ("rescue", 2, 2, 0x2000, 0x1000), ("spare", 3, 1, 0x3000, 0x1000)]
    lines = untimed(Board(table(*rows), config=Sdkconfig(idf_version=version)).boot())
    at = lines.index("I boot: End of partition table")
    assert [line[28:].rsplit(maxsplit=4)[0] for line in lines[at - 3 : at]] == words


@pytest.mark.parametrize(
    ("version", "says"), [((5, 0, 7), False), ((5, 1, 2), False), ((5, 4, 2), True), ((6, 2, 0), True)]
)
def test_the_block_revision_is_printed_by_the_releases_that_look_at_it(version, says):
    board = Board("two_ota", config=Sdkconfig(idf_version=version))
    assert ("I boot: efuse block revision: v0.0" in untimed(board.boot())) is says


@pytest.mark.parametrize(
    ("chip", "version", "said"),
    [
        ("esp32c3", (6, 1, 0), ["PRO CPU has been reset by WDT."]),
        ("esp32s2", (6, 1, 0), ["PRO CPU has been reset by WDT."]),
        ("esp32s3", (6, 1, 0), ["PRO CPU has been reset by WDT.", "APP CPU has been reset by WDT."]),
        ("esp32", (5, 3, 2), ["PRO CPU has been reset by WDT.", "APP CPU has been reset by WDT."]),
        ("esp32", (5, 4, 0), ["PRO CPU has been reset by WDT", "APP CPU has been reset by WDT"]),
    ],
)
def test_a_reset_by_a_watchdog_is_told_of_each_core(chip, version, said):
    board = Board("two_ota", chip=chip, config=Sdkconfig(idf_version=version))
    board.chip.reset_reason = ResetReason.RTCWDT_SYS
    lines = [line for line in untimed(board.boot()) if "WDT" in line]
    assert lines == [f"W boot.{chip}: {text}" for text in said]


@pytest.mark.parametrize(("chip", "word"), [("esp32s3", "Boot SPI Speed"), ("esp32s2", "SPI Speed     ")])
def test_one_chip_has_words_of_its_own_for_the_speed_of_its_flash(chip, word):
    assert f"I boot.{chip}: {word} : 80MHz" in untimed(Board("two_ota", chip=chip).boot())


@pytest.mark.parametrize(
    ("chip", "code_at", "data_at", "address", "overlaps"),
    [
        ("esp32s2", 0x4004E000, 0x3FFE5110, 0x3FFE5140, True),
        ("esp32s2", 0x4004E000, 0x3FFE5110, 0x3FFE5150, False),
        ("esp32s2", 0x4004E000, 0x3FFE5110, 0x3FFE5000, True),  # what is zeroed lies before what is in the image
        ("esp32s2", 0x4004E000, 0x3FFE6108, 0x3FFE5FF0, False),  # an older release has all of it higher
        ("esp32s2", 0x4004E000, 0x3FFE6108, 0x3FFE6000, True),
        ("esp32c61", 0x4083EA70, 0x40845B90, 0x40845A00, False),
        ("esp32c61", 0x4083EA70, 0x40845B90, 0x40845A70, True),
    ],
)
def test_the_bootloaders_data_ends_where_its_image_says(chip, code_at, data_at, address, overlaps):
    board = Board("two_ota", "1/VALID", chip=chip)
    loader = firmware.image([(data_at, bytes(0x40)), (code_at, bytes(64))], chip=chip)
    board.chip.flash.program(board.chip.target.bootloader_offset, loader)
    layout = firmware.layout_of(chip)
    desc = firmware.app_desc("bench", "1")
    parts = [(layout.drom + 0x20, desc), (address, bytes(16)), (layout.irom + 0x148, bytes(16))]
    board.flash_app("ota_0", firmware.image(parts, chip=chip))
    told = "\n".join(untimed(board.boot()))
    assert ("overlaps bootloader data" in told) == overlaps
