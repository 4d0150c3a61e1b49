"""Whole lives of a device: updates, confirmations, rejections and resets, in the order of upstream's test apps."""

import pytest
from board import PLAIN, ROLLBACK, Board, app

from py_esp_ota.errors import EspErr, OtaError, Restart

BOTH_BUILDS = pytest.mark.parametrize("config", [PLAIN, ROLLBACK], ids=["plain", "rollback"])


def state(ops, partition):
    try:
        return ops.get_state_partition(partition).name
    except OtaError as error:
        return error.err.name


def reboot(board, ops=None):
    """Restart and return the OTA functions of the app that runs then."""
    if ops is not None:
        with pytest.raises(Restart):
            ops.mark_app_invalid_rollback_and_reboot()
    return board.ops(board.booted())


def update_next(board, ops):
    """What upstream's test helper calls an update: into the next slot, and choose it."""
    target = ops.get_next_update_partition()
    board.update(ops, target.label)
    return target.label


# ------------------------------------------------------------------------------------------ the life with rollback


@pytest.fixture
def confirmed():
    """ota_0 updated from factory and confirmed."""
    board = Board("two_ota", without=("ota_0", "ota_1"))
    ops = board.ops(board.booted())
    board.update(ops, "ota_0")
    assert board.otadata == ("1/NEW", "-")
    ops = reboot(board)
    assert board.otadata == ("1/PENDING_VERIFY", "-")
    ops.mark_app_valid_cancel_rollback()
    assert board.otadata == ("1/VALID", "-")
    return board, ops


@pytest.fixture
def on_trial(confirmed):
    """ota_1 updated from ota_0 and booted once."""
    board, ops = confirmed
    board.update(ops, "ota_1")
    assert board.otadata == ("1/VALID", "2/NEW")
    assert board.ops(board.booted()).get_running_partition().label == "ota_1"
    assert board.otadata == ("1/VALID", "2/PENDING_VERIFY")
    return board, board.ops("ota_1")


def test_a_confirmed_app_stays(on_trial):
    board, ops = on_trial
    ops.mark_app_valid_cancel_rollback()
    assert board.otadata == ("1/VALID", "2/VALID")
    assert [board.booted() for _ in range(3)] == ["ota_1"] * 3


def test_the_next_update_drops_the_old_record_first(on_trial):
    board, ops = on_trial
    ops.mark_app_valid_cancel_rollback()
    handle = ops.begin(board["ota_0"], 0)
    assert board.otadata == ("-", "2/VALID")
    ops.write(handle, app("ota_0"))
    ops.end(handle)
    ops.set_boot_partition(board["ota_0"])
    assert board.otadata == ("3/NEW", "2/VALID")
    assert board.booted() == "ota_0"


def test_an_app_that_never_confirms_is_aborted_at_the_next_reset(on_trial):
    board, _ = on_trial
    assert board.booted() == "ota_0"
    assert board.otadata == ("1/VALID", "2/ABORTED")


def test_an_aborted_number_is_used_again(on_trial):
    board, _ = on_trial
    ops = reboot(board)
    board.update(ops, "ota_1")
    assert board.otadata == ("1/VALID", "2/NEW")


def test_a_rejected_app_gives_way(on_trial):
    board, ops = on_trial
    ops = reboot(board, ops)
    assert ops.get_running_partition().label == "ota_0"
    assert board.otadata == ("1/VALID", "2/INVALID")
    assert ops.get_last_invalid_partition().label == "ota_1"


def test_an_app_on_trial_may_not_begin_an_update(on_trial):
    board, ops = on_trial
    with pytest.raises(OtaError) as refused:
        ops.begin(board["ota_0"], 0)
    assert refused.value.err == EspErr.ESP_ERR_OTA_ROLLBACK_INVALID_STATE
    assert board.otadata == ("1/VALID", "2/PENDING_VERIFY")


# ------------------------------------------------------------------------------------------ upstream's test app flows


@BOTH_BUILDS
def test_flow_factory_ota_0_ota_1_ota_0(config):
    board = Board("two_ota", config=config, without=("ota_0", "ota_1"))
    booted = [board.booted()]
    for _ in range(3):
        ops = board.ops(booted[-1])
        if booted[-1] != "factory":
            ops.mark_app_valid_cancel_rollback()
        update_next(board, ops)
        booted.append(board.booted())
    assert booted == ["factory", "ota_0", "ota_1", "ota_0"]
    assert [int(text.split("/")[0]) for text in board.otadata] == [3, 2]


@BOTH_BUILDS
def test_flow_both_entries_spoiled_boots_factory(config):
    board = Board("two_ota", "1/VALID", "2/VALID", config=config)
    assert board.booted() == "ota_1"
    board.put(0, board.raw(0)[:28] + bytes(4))
    board.put(1, bytes(range(32)))
    assert board.booted() == "factory"


@BOTH_BUILDS
def test_flow_the_first_entry_spoiled_boots_the_other(config):
    board = Board("two_ota", "1/VALID", "2/VALID", config=config)
    board.put(0, board.raw(0)[:28] + bytes(4))
    assert board.booted() == "ota_1"


@BOTH_BUILDS
def test_flow_the_second_entry_spoiled_boots_the_first(config):
    board = Board("two_ota", "3/VALID", "2/VALID", config=config)
    board.put(1, bytes(range(32)))
    assert board.booted() == "ota_0"


@BOTH_BUILDS
def test_flow_rollback_to_factory(config):
    board = Board("two_ota", config=config, without=("ota_0", "ota_1"))
    ops = board.ops(board.booted())
    assert state(ops, board["factory"]) == "ESP_ERR_NOT_SUPPORTED"
    update_next(board, ops)
    assert state(ops, board["ota_0"]) == ("NEW" if config is ROLLBACK else "UNDEFINED")

    ops = reboot(board)
    assert state(ops, board["ota_0"]) == ("PENDING_VERIFY" if config is ROLLBACK else "UNDEFINED")
    ops.mark_app_valid_cancel_rollback()
    assert state(ops, board["ota_0"]) == "VALID"

    ops = reboot(board)
    assert (ops.get_running_partition().label, state(ops, board["ota_0"])) == ("ota_0", "VALID")
    ops = reboot(board, ops)
    assert ops.get_running_partition().label == "factory"
    assert ops.get_last_invalid_partition().label == ops.get_next_update_partition().label == "ota_0"
    assert state(ops, board["ota_0"]) == "INVALID"


@BOTH_BUILDS
def test_flow_rollback_to_ota_0(config):
    board = Board("two_ota", config=config, without=("ota_0", "ota_1"))
    ops = board.ops(board.booted())
    update_next(board, ops)
    ops = reboot(board)
    ops.mark_app_valid_cancel_rollback()
    update_next(board, ops)
    ops = reboot(board)
    assert (ops.get_running_partition().label, state(ops, board["ota_1"])) == (
        "ota_1",
        "PENDING_VERIFY" if config is ROLLBACK else "UNDEFINED",
    )
    ops = reboot(board) if config is ROLLBACK else reboot(board, ops)
    assert (ops.get_running_partition().label, state(ops, board["ota_0"])) == ("ota_0", "VALID")
    assert ops.get_last_invalid_partition().label == ops.get_next_update_partition().label == "ota_1"
    assert state(ops, board["ota_1"]) == ("ABORTED" if config is ROLLBACK else "INVALID")


@BOTH_BUILDS
def test_flow_erase_the_last_boot_app(config):
    board = Board("two_ota", "1/VALID", "2/VALID", config=config)
    ops = board.ops(board.booted())
    ops.erase_last_boot_app_partition()
    assert board.chip.flash.is_erased(board["ota_0"].offset, board["ota_0"].size)
    assert board.otadata == ("-", "2/VALID")
    ops = reboot(board, ops)
    assert ops.get_running_partition().label == "factory"
    with pytest.raises(OtaError) as refused:
        ops.erase_last_boot_app_partition()
    assert refused.value.err == EspErr.ESP_FAIL


def test_flow_begin_invalidates_the_inactive_entry():
    board = Board("two_ota", "1/VALID", "2/VALID")
    ops = board.ops(board.booted())
    assert ops.get_last_invalid_partition() is None
    handle = ops.begin(board["ota_0"], 0)
    assert state(ops, board["ota_0"]) == "ESP_ERR_NOT_FOUND"
    ops.write(handle, app("ota_0"))
    ops.end(handle)
    ops = reboot(board)
    assert (ops.get_running_partition().label, state(ops, board["ota_1"])) == ("ota_1", "VALID")
    assert state(ops, ops.get_next_update_partition()) == "ESP_ERR_NOT_FOUND"


@BOTH_BUILDS
def test_flow_two_updates_without_a_reset(config):
    board = Board("two_ota", "1/VALID", config=config)
    ops = board.ops(board.booted())
    for _ in range(2):
        assert update_next(board, ops) == "ota_1"
        assert state(ops, board["ota_0"]) == "VALID"
    assert board.booted() == "ota_1"
