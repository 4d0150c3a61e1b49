"""Espressif's own bootloader, as compiled, boots our flash and decides as our model does."""

from __future__ import annotations

import pytest
from board import PLAIN, Board, app, entry, slots
from builds import BUILDS, C3, Build, bootloader, machine_of
from console_lines import essential
from side_by_side import both, plain

from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.errors import PowerLoss
from py_esp_ota.firmware import flipped, layout_of, rewritten
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.chips.socs import SOCS

ESPFLASH, ROLLBACK = C3
WITH_ROLLBACK = [build for build in BUILDS if build.config.bootloader_app_rollback_enable]
LOGGING = [build for build in BUILDS if build.logs]
FACTORY, OTA_0, OTA_1 = 0x10000, 0x110000, 0x210000
OTADATA = 0xD000
STACKS = {layout_of(name).chip_id: soc.stack_top for name, soc in SOCS.items()}


@pytest.fixture(scope="module")
def machine():
    return Machine("esp32c3")


def flashed(build: Build, *args: object, **options: object) -> Board:
    board = Board(*args, config=build.config, chip=build.chip, **options)  # type: ignore[arg-type]
    board.chip.flash.program(build.offset, bootloader(build))
    return board


def agreed(build, board):
    """Both sides agree on everything that can be seen; the pair, for what the test says besides."""
    pair = both(machine_of(build.chip), build, board.chip.flash)
    assert pair.silicon.app == pair.model.app
    assert pair.silicon.flash == pair.model.flash
    assert all(run.trap is None for run in pair.runs)
    if build.logs:
        assert pair.silicon.log == pair.model.log
    return pair


@pytest.mark.parametrize(
    ("e0", "e1", "expected"),
    [
        ("-", "-", FACTORY),
        ("1/VALID", "-", OTA_0),
        ("1/VALID", "2/VALID", OTA_1),
        ("3/UNDEFINED", "2/VALID", OTA_0),
        ("1/VALID", "2/VALID!", OTA_0),
        ("1/VALID", "2/INVALID", OTA_0),
        ("1/VALID", "2/ABORTED", OTA_0),
        ("1/INVALID", "2/ABORTED", FACTORY),
        ("1/VALID", "0xFFFFFFFE/VALID", OTA_1),
    ],
)
@pytest.mark.parametrize("build", BUILDS, ids=str)
def test_otadata_chooses_the_app(build, e0, e1, expected):
    pair = agreed(build, flashed(build, "two_ota", e0, e1))
    assert (pair.silicon.app, pair.writes) == (expected, [])
    assert [run.outcome for run in pair.runs] == ["APP"]


@pytest.mark.parametrize(
    ("without", "expected"),
    [(("ota_1",), OTA_0), (("ota_1", "ota_0"), FACTORY), (("ota_1", "factory"), OTA_0)],
)
@pytest.mark.parametrize("build", BUILDS, ids=str)
def test_an_absent_image_falls_back(build, without, expected):
    board = flashed(build, "two_ota", "1/VALID", "2/VALID", without=without)
    assert agreed(build, board).silicon.app == expected


@pytest.mark.parametrize("build", BUILDS, ids=str)
@pytest.mark.parametrize(
    "damage",
    [
        lambda image: flipped(image, 0x200),
        lambda image: flipped(image, -33),
        lambda image: rewritten(image, magic=0xE8),
        lambda image: rewritten(image, chip_id=0x77),
        lambda image: rewritten(image, segment_count=17),
        lambda image: rewritten(image, min_chip_rev_full=999),
        lambda image: rewritten(image, max_chip_rev_full=1),
        lambda image: rewritten(image, data_len={0: 0xFFFFFFFD}),
        lambda image: rewritten(image, load_addr={1: STACKS[image[12]] - 0x710}),
    ],
    ids=["data", "checksum", "magic", "chip", "count", "min", "max", "length", "address"],
)
def test_a_damaged_image_falls_back(build, damage):
    board = flashed(build, "two_ota", "1/VALID", "2/VALID")
    board.flash_app("ota_1", damage(app("ota_1", build.chip)))
    assert agreed(build, board).silicon.app == OTA_0


@pytest.mark.parametrize("build", BUILDS, ids=str)
def test_a_wrong_hash_falls_back_unless_the_chip_is_new_to_the_build(build):
    board = flashed(build, "two_ota", "1/VALID", "2/VALID")
    board.flash_app("ota_1", flipped(app("ota_1", build.chip), -1))
    assert agreed(build, board).silicon.app == (OTA_1 if build.config.idf_env_bringup else OTA_0)


@pytest.mark.parametrize("build", [build for build in LOGGING if build.chip not in {"esp32c5", "esp32s3"}], ids=str)
def test_these_builds_refuse_a_segment_of_16_mb(build):
    board = flashed(build, "two_ota", "1/VALID", "2/VALID")
    board.flash_app("ota_1", rewritten(app("ota_1", build.chip), data_len={0: 0x1000000}))
    assert agreed(build, board).silicon.app == OTA_0


@pytest.mark.parametrize("build", BUILDS, ids=str)
def test_nothing_bootable_resets(build):
    pair = agreed(build, flashed(build, "two_ota", without=("factory", "ota_0", "ota_1")))
    assert (pair.silicon.app, pair.runs[-1].outcome) == (None, "RESET")


@pytest.mark.parametrize("build", BUILDS, ids=str)
def test_blank_otadata_without_a_factory_app_is_healed(build):
    pair = agreed(build, flashed(build, slots(2)))
    assert [(write.kind, write.address) for write in pair.writes] == [("erase", OTADATA), ("program", OTADATA)]
    assert pair.silicon.flash[OTADATA : OTADATA + 32] == entry("1/VALID")


@pytest.mark.parametrize("build", WITH_ROLLBACK, ids=str)
def test_an_unconfirmed_update_is_taken_back(build):
    board = flashed(build, "two_ota", "1/VALID", "2/NEW")
    for expected, otadata in ((OTA_1, "2/PENDING_VERIFY"), (OTA_0, "2/ABORTED"), (OTA_0, "2/ABORTED")):
        assert agreed(build, board).silicon.app == expected
        assert machine_of(build.chip).run(board.chip).slot == expected
        assert board.otadata[1] == otadata


@pytest.mark.parametrize("reason", ResetReason)
@pytest.mark.parametrize("build", LOGGING, ids=str)
def test_what_a_reset_by_a_watchdog_is_called(build, reason):
    if (build.chip, reason) == ("esp32c2", ResetReason.TG1WDT_SYS):
        pytest.skip("an ESP32-C2 has one timer group")
    board = flashed(build, "two_ota", "1/VALID")
    board.chip.reset_reason = reason
    printed = plain(machine_of(build.chip).run(board.chip).log)
    named = reason in {ResetReason.TG0WDT_SYS, ResetReason.TG1WDT_SYS, ResetReason.RTCWDT_SYS}
    assert any("has been reset by WDT" in line for line in printed) == named
    if reason != ResetReason.SW_CPU:  # it leaves registers alone that begin at zero here
        assert essential(printed) == essential(plain(boot(board.chip, build.config).log))


@pytest.mark.parametrize("build", LOGGING, ids=str)
def test_a_table_with_a_wrong_digest_resets(build):
    board = flashed(build)
    board.chip.flash.erase(0x8000, 0x1000)
    board.chip.flash.program(0x8000, flipped(board.table.to_bytes(), 0x9))
    assert agreed(build, board).runs[-1].outcome == "RESET"


@pytest.mark.parametrize("build", LOGGING, ids=str)
def test_the_bootloader_says_what_the_model_says(build):
    board = flashed(build, "two_ota", "1/VALID", "2/VALID")
    ended = machine_of(build.chip).run(board.chip)
    assert "boot: Loaded app from partition at offset 0x210000" in "\n".join(ended.log)
    assert plain(ended.log) == plain(boot(board.chip, build.config).log)


def test_power_lost_in_the_middle_of_a_repair_is_a_power_loss(machine):
    board = flashed(ROLLBACK, "two_ota", "1/VALID", "2/NEW")
    board.chip.flash.fault = "cut@1"
    with pytest.raises(PowerLoss):
        machine.run(board.chip)
    board.chip.flash.power_on()
    assert board.otadata == ("1/VALID", "-")
    assert machine.run(board.chip).slot == OTA_0


def test_instructions_are_counted_when_asked_for():
    board = flashed(ESPFLASH)
    counted, again = (Machine(count=True).run(board.chip) for _ in range(2))
    assert 10_000 < counted.instructions < 200_000
    assert counted == again
    assert Machine(engine="unicorn").run(board.chip).instructions == 0
    assert Machine(engine="core").run(board.chip).instructions == counted.instructions


def test_a_budget_that_is_spent_is_a_hang(machine):
    ended = machine.run(flashed(ESPFLASH).chip, budget=1000)
    assert (ended.outcome, ended.slot) == ("HANG", None)


def test_nothing_is_left_of_an_earlier_run(machine):
    boards = [flashed(build, "two_ota", *otadata) for build in C3 for otadata in (("-", "-"), ("1/VALID", "-"))]
    alone = [Machine().run(board.chip) for board in boards]
    assert [machine.run(board.chip) for board in boards] == alone


def test_a_chip_of_another_kind_is_refused_by_name(machine):
    with pytest.raises(ValueError, match="this machine is an esp32c3, the chip an esp32c6"):
        machine.run(Chip("esp32c6"))
    with pytest.raises(ValueError, match="machine code runs on the esp32s3 with its real ROM alone"):
        Machine("esp32s3")
    with pytest.raises(ValueError, match="no machine for 'esp32p4'; machine code runs on esp32c3, esp32c2, esp32c6"):
        Machine("esp32p4")


def test_fuses_without_hardware_are_refused(machine):
    chip = Board(config=PLAIN).chip
    chip.efuse.burn_secure_boot_en()
    with pytest.raises(ValueError, match="secure boot"):
        machine.run(chip)
