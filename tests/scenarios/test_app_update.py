"""``components/app_update/test_apps/test_app_update``: upstream's cases by title, in both configurations of its CI."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from unity_board import PIN_APP_TEST, PIN_FACTORY_RESET, UnityBoard

from py_esp_ota._core import AppDesc, Partition
from py_esp_ota.errors import EspErr, EspError, ImageError
from py_esp_ota.idf.app_update.ota_ops import OTA_SIZE_UNKNOWN, OTA_WITH_SEQUENTIAL_WRITES
from py_esp_ota.idf.nvs import FlashNvs, nvs_flash_erase

FACTORY, OTA0, OTA1, TEST = 0x00, 0x10, 0x11, 0x20
CASES: dict[str, Callable[[UnityBoard], None]] = {}


def case(title: str) -> Callable[[Callable[[UnityBoard], None]], Callable[[UnityBoard], None]]:
    def enter(function: Callable[[UnityBoard], None]) -> Callable[[UnityBoard], None]:
        CASES[title] = function
        return function

    return enter


@pytest.mark.parametrize("config", ["defaults", "rollback"])
@pytest.mark.parametrize("title", [
    "Switching between factory, OTA0, OTA1, OTA0",
    "Switching between factory, OTA0, corrupt ota_sec1, factory",
    "Switching between factory, OTA0, OTA1, corrupt ota_sec2, OTA0",
    "Switching between factory, OTA0, sets pin_factory_reset, factory",
    "Switching between factory, test, factory",
    "Test rollback. factory, OTA0, OTA0, rollback -> factory",
    "Test rollback. factory, OTA0, OTA1, rollback -> OTA0",
    "Test erase_last_boot_app_partition. factory, OTA1, OTA0, factory",
    "Switching between factory, OTA0 using esp_ota_write_with_offset",
    "Test bootloader_common_get_sha256_of_partition returns ESP_ERR_IMAGE_INVALID when image is invalid",
    "Test rollback. Updated partition invalidated after esp_ota_begin",
    "Test esp_rewrite_otadata. Updated sequence number for non-running partition always",
    "esp_ota_begin() verifies arguments",
    "esp_ota_get_next_update_partition logic",
    "esp_ota_get_partition_description",
    "esp_ota_get_running_partition points to correct address",
    "OTA update of bootloader via temp partition",
    "OTA update of bootloader via primary partition",
    "OTA update of partition_table via temp partition",
    "OTA update of partition_table via primary partition",
    "OTA update of NVS partition",
    "OTA update of bootloader via a free ota partition",
    "OTA update of partition_table via a free ota partition",
    "OTA update of NVS partition via a free ota partition",
])  # fmt: skip
def test_app_update(title, config):
    CASES[title](UnityBoard(rollback=config == "rollback"))


@pytest.mark.skip(reason="told in tests/idf/bootloader/test_recovery_bootloader.py; this board has no such fuse")
def test_recovery_bootloader_feature():
    """Upstream: "Recovery bootloader feature" of test_bootloader_update.c."""


def code(call: Callable[..., object], *arguments: object) -> str:
    try:
        call(*arguments)
    except EspError as error:
        return error.err.name
    return "ESP_OK"


# --------------------------------------------------------------------------------------------------- test_switch_ota.c


@case("Switching between factory, OTA0, OTA1, OTA0")
def flow1(board: UnityBoard) -> None:
    board.start_test()
    for here in (FACTORY, OTA0, OTA1):
        assert board.subtype == here
        if here != FACTORY:
            board.mark_app_valid()
        board.app_update()
        board.reboot_as_deep_sleep()
    board.mark_app_valid()
    assert board.subtype == OTA0


@case("Switching between factory, OTA0, corrupt ota_sec1, factory")
def flow2(board: UnityBoard) -> None:
    board.start_test()
    assert board.subtype == FACTORY
    board.app_update()
    board.reboot_as_deep_sleep()
    assert board.subtype == OTA0
    board.mark_app_valid()
    board.app_update()
    board.corrupt_ota_data(0)
    board.reboot_as_deep_sleep()
    assert board.subtype == FACTORY


@case("Switching between factory, OTA0, OTA1, corrupt ota_sec2, OTA0")
def flow3(board: UnityBoard) -> None:
    board.start_test()
    for here in (FACTORY, OTA0):
        assert board.subtype == here
        if here != FACTORY:
            board.mark_app_valid()
        board.app_update()
        board.reboot_as_deep_sleep()
    assert board.subtype == OTA1
    board.mark_app_valid()
    board.app_update()
    board.corrupt_ota_data(1)
    board.reboot_as_deep_sleep()
    assert board.subtype == OTA0


@case("Switching between factory, OTA0, sets pin_factory_reset, factory")
def flow4(board: UnityBoard) -> None:
    board.start_test()
    assert board.subtype == FACTORY
    board.app_update()
    board.reboot_as_deep_sleep()
    assert board.subtype == OTA0
    board.mark_app_valid()
    board.hold(PIN_FACTORY_RESET)
    board.restart()
    board.release(PIN_FACTORY_RESET)
    assert board.subtype == FACTORY


@case("Switching between factory, test, factory")
def flow5(board: UnityBoard) -> None:
    board.start_test()
    assert board.subtype == FACTORY
    board.hold(PIN_APP_TEST)
    here = board.ops.get_running_partition()
    board.ops.partitions.copy(board.row("test"), 0, here, 0, here.size)
    board.restart()
    board.release(PIN_APP_TEST)
    assert board.subtype == TEST
    board.restart()
    assert board.subtype == FACTORY


@case("Test rollback. factory, OTA0, OTA0, rollback -> factory")
def rollback1(board: UnityBoard) -> None:
    ops = board.start_test()
    assert board.subtype == FACTORY
    assert ops.get_last_invalid_partition() is None
    assert board.state(ops.get_running_partition()) == "ESP_ERR_NOT_SUPPORTED"
    assert board.state(board.app_update()) == ("NEW" if board.rollback else "UNDEFINED")
    ops = board.reboot_as_deep_sleep()
    assert board.subtype == OTA0
    assert ops.get_last_invalid_partition() is None
    assert board.state(ops.get_running_partition()) == ("PENDING_VERIFY" if board.rollback else "UNDEFINED")
    ops.mark_app_valid_cancel_rollback()
    assert board.state(ops.get_running_partition()) == "VALID"
    ops = board.reboot_as_deep_sleep()
    assert board.subtype == OTA0
    assert board.state(ops.get_running_partition()) == "VALID"
    ops = board.rebooting(ops.mark_app_invalid_rollback_and_reboot)
    assert board.subtype == FACTORY
    invalid = ops.get_last_invalid_partition()
    assert invalid == ops.get_next_update_partition() == board.row("ota_0")
    assert board.state(ops.get_running_partition()) == "ESP_ERR_NOT_SUPPORTED"
    assert board.state(invalid) == "INVALID"


@case("Test rollback. factory, OTA0, OTA1, rollback -> OTA0")
def rollback2(board: UnityBoard) -> None:
    fresh, trial = ("NEW", "PENDING_VERIFY") if board.rollback else ("UNDEFINED", "UNDEFINED")
    ops = board.start_test()
    assert board.subtype == FACTORY
    assert ops.get_last_invalid_partition() is None
    assert board.state(board.app_update()) == fresh
    ops = board.reboot_as_deep_sleep()
    assert board.subtype == OTA0
    assert board.state(ops.get_running_partition()) == trial
    ops.mark_app_valid_cancel_rollback()
    assert ops.get_last_invalid_partition() is None
    assert board.state(ops.get_running_partition()) == "VALID"
    assert board.state(board.app_update()) == fresh
    ops = board.reboot_as_deep_sleep()
    assert board.subtype == OTA1
    assert ops.get_last_invalid_partition() is None
    assert board.state(ops.get_running_partition()) == trial
    ops = board.reboot_as_deep_sleep() if board.rollback else board.rebooting(ops.mark_app_invalid_rollback_and_reboot)
    assert board.subtype == OTA0
    invalid = ops.get_last_invalid_partition()
    assert invalid == ops.get_next_update_partition() == board.row("ota_1")
    assert board.state(ops.get_running_partition()) == "VALID"
    assert board.state(invalid) == ("ABORTED" if board.rollback else "INVALID")


@case("Test erase_last_boot_app_partition. factory, OTA1, OTA0, factory")
def erase_last_app(board: UnityBoard) -> None:
    board.start_test()
    assert board.subtype == FACTORY
    board.app_update()
    board.reboot_as_deep_sleep()
    assert board.subtype == OTA0
    board.mark_app_valid()
    board.app_update()
    ops = board.reboot_as_deep_sleep()
    assert board.subtype == OTA1
    ops.erase_last_boot_app_partition()
    ops = board.rebooting(ops.mark_app_invalid_rollback_and_reboot)
    assert board.subtype == FACTORY
    assert code(ops.erase_last_boot_app_partition) == "ESP_FAIL"


@case("Switching between factory, OTA0 using esp_ota_write_with_offset")
def flow6(board: UnityBoard) -> None:
    ops = board.start_test()
    assert board.subtype == FACTORY
    here, target = ops.get_running_partition(), ops.get_next_update_partition()
    handle = ops.begin(target, OTA_SIZE_UNKNOWN)
    for offset in range(0, here.size, 0x1000):
        ops.write_with_offset(handle, ops.partitions.mmap(here, offset, 0x1000), offset)
    ops.end(handle)
    ops.set_boot_partition(target)
    board.reboot_as_deep_sleep()
    assert board.subtype == OTA0
    board.mark_app_valid()


@case("Test bootloader_common_get_sha256_of_partition returns ESP_ERR_IMAGE_INVALID when image is invalid")
def sha256_of_partition(board: UnityBoard) -> None:
    ops = board.ops
    here = ops.get_running_partition()
    other = board.app_update()
    board.erase_ota_data()
    assert ops.partitions.get_sha256(here) == ops.partitions.get_sha256(other)
    ops.partitions.write(other, 0x50, bytes(4))
    with pytest.raises(ImageError) as refused:
        ops.partitions.get_sha256(other)
    assert refused.value.err is EspErr.ESP_ERR_IMAGE_INVALID


@case("Test rollback. Updated partition invalidated after esp_ota_begin")
def rollback3(board: UnityBoard) -> None:
    board.start_test()
    assert board.subtype == FACTORY
    board.app_update()
    ops = board.reboot_as_deep_sleep()
    assert board.subtype == OTA0
    ops.mark_app_valid_cancel_rollback()
    assert ops.get_last_invalid_partition() is None
    board.app_update()
    ops = board.reboot_as_deep_sleep()
    assert board.subtype == OTA1
    ops.mark_app_valid_cancel_rollback()
    target = ops.get_next_update_partition()
    if board.rollback:
        assert ops.get_last_invalid_partition() is None
        assert board.state(target) == "VALID"
    handle = ops.begin(target, OTA_SIZE_UNKNOWN)
    if board.rollback:
        assert board.state(target) == "ESP_ERR_NOT_FOUND"
    board.copy_app(handle)
    ops.end(handle)
    ops = board.reboot_as_deep_sleep()
    assert board.subtype == OTA1
    assert board.state(ops.get_running_partition()) == "VALID"
    assert ops.get_last_invalid_partition() is None
    if board.rollback:
        assert board.state(ops.get_next_update_partition()) == "ESP_ERR_NOT_FOUND"


@case("Test esp_rewrite_otadata. Updated sequence number for non-running partition always")
def rollback4(board: UnityBoard) -> None:
    board.start_test()
    assert board.subtype == FACTORY
    board.app_update()
    ops = board.reboot_as_deep_sleep()
    assert board.subtype == OTA0
    ops.mark_app_valid_cancel_rollback()
    for _ in range(2):
        target = ops.get_next_update_partition()
        handle = ops.begin(target, OTA_SIZE_UNKNOWN)
        board.copy_app(handle)
        ops.end(handle)
        ops.set_boot_partition(target)
    if board.rollback:
        assert board.state(ops.get_running_partition()) == "VALID"
    ops = board.reboot_as_deep_sleep()
    assert board.subtype == OTA1
    ops.mark_app_valid_cancel_rollback()


# ------------------------------------------------------------------------------------------------------ test_ota_ops.c


@case("esp_ota_begin() verifies arguments")
def begin_verifies_arguments(board: UnityBoard) -> None:
    running = board.ops.get_running_partition()
    assert code(board.ops.begin, running, OTA_SIZE_UNKNOWN) != "ESP_OK"
    shifted = Partition(running.label, running.type, running.subtype, running.offset - 1, running.size)
    assert code(board.ops.begin, shifted, OTA_SIZE_UNKNOWN) == "ESP_ERR_NOT_FOUND"


@case("esp_ota_get_next_update_partition logic")
def next_update_partition(board: UnityBoard) -> None:
    ops = board.ops
    factory, ota_0, ota_1 = (board.row(label) for label in ("factory", "ota_0", "ota_1"))
    assert ops.table.find(type=0, subtype=0x12) is None
    assert ops.get_running_partition() == factory
    assert ops.get_next_update_partition() == ota_0
    assert ops.get_next_update_partition(factory) == ota_0
    assert ops.get_next_update_partition(ota_0) == ota_1
    assert ops.get_next_update_partition(ota_1) == ota_0


@case("esp_ota_get_partition_description")
def partition_description(board: UnityBoard) -> None:
    ops = board.ops
    running, otadata = ops.get_running_partition(), board.row("otadata")

    def bootloaders_view(partition: Partition) -> AppDesc:
        return AppDesc.from_bytes(board.chip.flash.read(partition.offset + 0x20, 256))

    assert ops.get_partition_description(running) == bootloaders_view(running)
    assert code(ops.get_partition_description, otadata) == "ESP_ERR_NOT_SUPPORTED"
    assert code(bootloaders_view, otadata) == "ESP_ERR_NOT_FOUND"


@case("esp_ota_get_running_partition points to correct address")
def running_partition(board: UnityBoard) -> None:
    assert board.ops.get_running_partition().offset == board.row("factory").offset


# ----------------------------------------------------------------------------------------------- test_ota_partitions.c


def update(board: UnityBoard, label: str, *, staging: str | None = None) -> None:
    """The contents of a partition, downloaded into it, perhaps by way of another one; then the app runs."""
    ops = board.ops
    final = board.row(label)
    before = ops.partitions.read(final, 0, final.size)
    if staging is None:
        handle = ops.begin(final, OTA_WITH_SEQUENTIAL_WRITES)
    else:
        slot = ops.get_next_update_partition() if staging == "free" else board.row(staging)
        handle = ops.begin(slot, OTA_WITH_SEQUENTIAL_WRITES)
        ops.set_final_partition(handle, final, finalize_with_copy=True)
    board.download(handle, final)
    ops.end(handle)
    assert ops.partitions.read(final, 0, final.size) == before
    board.restart()
    assert board.subtype == FACTORY


case("OTA update of bootloader via temp partition")(lambda board: update(board, "PrimaryBTLDR", staging="OtaBTLDR"))
case("OTA update of bootloader via primary partition")(lambda board: update(board, "PrimaryBTLDR"))
case("OTA update of bootloader via a free ota partition")(lambda board: update(board, "PrimaryBTLDR", staging="free"))
case("OTA update of partition_table via temp partition")(
    lambda board: update(board, "PrimaryPrtTable", staging="OtaPrtTable")
)
case("OTA update of partition_table via primary partition")(lambda board: update(board, "PrimaryPrtTable"))
case("OTA update of partition_table via a free ota partition")(
    lambda board: update(board, "PrimaryPrtTable", staging="free")
)

MAGIC_VALUE = 0x0729FEED


def with_magic_value(board: UnityBoard) -> None:
    nvs_flash_erase(board.chip, board.config)
    nvs = FlashNvs(board.chip, board.config)
    nvs.set("namespace", "magic_value", MAGIC_VALUE)
    assert nvs.get("namespace", "magic_value") == MAGIC_VALUE


@case("OTA update of NVS partition")
def nvs_partition(board: UnityBoard) -> None:
    with_magic_value(board)
    nvs_flash_erase(board.chip, board.config, "nvs2")
    handle = board.ops.begin(board.row("nvs2"), OTA_WITH_SEQUENTIAL_WRITES)
    board.download(handle, board.row("nvs"))
    board.ops.end(handle)
    assert FlashNvs(board.chip, board.config, "nvs2").get("namespace", "magic_value") == MAGIC_VALUE


@case("OTA update of NVS partition via a free ota partition")
def nvs_via_a_slot(board: UnityBoard) -> None:
    with_magic_value(board)
    update(board, "nvs", staging="free")
    assert FlashNvs(board.chip, board.config).get("namespace", "magic_value") == MAGIC_VALUE


def test_every_case_is_in_the_list_and_has_its_title():
    listed = test_app_update.pytestmark[0].args[1]
    assert sorted(listed) == sorted(CASES)
