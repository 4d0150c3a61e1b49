"""What each event does to otadata and to the next boot, and the stories of ESP-IDF's example and test apps."""

import random
from dataclasses import replace

import pytest
from board import PLAIN, ROLLBACK, Board, app, slots, table

from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, ImageError, OtaError, PowerLoss
from py_esp_ota.firmware import Firmware, bootloader
from py_esp_ota.idf.app_update.ota_ops import OTA_SIZE_UNKNOWN, OTA_WITH_SEQUENTIAL_WRITES
from py_esp_ota.idf.bootloader.start import boot

BOTH_BUILDS = pytest.mark.parametrize("config", [PLAIN, ROLLBACK], ids=["plain", "rollback"])


def nothing(board, ops):
    """A reset and no more."""


def begin(label):
    return lambda board, ops: ops.begin(board[label], 0)


def choose(label):
    return lambda board, ops: ops.set_boot_partition(board[label])


def written(label):
    def act(board, ops):
        handle = ops.resume(board[label], 0, 0)
        board[label].erase_range(board.chip.flash, 0, 0x10000)
        ops.write(handle, app(label))
        ops.end(handle)
        ops.abort(ops.resume(board[label], 0, 0))

    return act


def confirm(board, ops):
    ops.mark_app_valid_cancel_rollback()


def reject(board, ops):
    if ops.check_rollback_is_possible():
        ops.mark_app_invalid_rollback()
        return
    with pytest.raises(OtaError) as refused:
        ops.mark_app_invalid_rollback()
    assert refused.value.err == EspErr.ESP_ERR_OTA_ROLLBACK_FAILED


def erase_last(board, ops):
    ops.erase_last_boot_app_partition()


BOTH, ON, OFF = (PLAIN, ROLLBACK), (ROLLBACK,), (PLAIN,)
NEW = "new"  # what set_boot_partition writes in this build

# name, builds, factory app, slots, entries, running, what happens, apps gone, entries then, who boots, entries at last
EVENTS = [
    ("power-on with factory", BOTH, True, 2, "- -", "factory", nothing, "", "- -", "factory", "- -"),
    ("power-on without factory", BOTH, False, 2, "- -", "ota_0", nothing, "", "- -", "ota_0", "1/VALID -"),
    ("the same, first slot bad", BOTH, False, 2, "- -", "ota_1", nothing, "ota_0", "- -", "ota_1", "2/VALID -"),
    ("begin", OFF, True, 2, "1/VALID 2/VALID", "ota_1", begin("ota_0"), "", "1/VALID 2/VALID", "ota_1", None),
    ("begin", ON, True, 2, "1/VALID 2/VALID", "ota_1", begin("ota_0"), "", "- 2/VALID", "ota_1", None),
    ("begin, nothing inactive", ON, True, 2, "- 2/VALID", "ota_1", begin("ota_0"), "", "- 2/VALID", "ota_1", None),
    ("begin, corrupt", ON, True, 2, "1/VALID! 2/VALID", "ota_1", begin("ota_0"), "", "1/VALID! 2/VALID", "ota_1", None),
    (
        "begin, inactive runs",
        ON,
        True,
        3,
        "1/VALID 2/VALID",
        "ota_0",
        begin("ota_2"),
        "",
        "1/VALID 2/VALID",
        "ota_1",
        None,
    ),
    ("write, end, abort", BOTH, True, 2, "1/VALID -", "ota_0", written("ota_1"), "", "1/VALID -", "ota_0", None),
    ("choose, none active", BOTH, True, 2, "- -", "factory", choose("ota_1"), "", "2/new -", "ota_1", "2/tried -"),
    (
        "choose another",
        BOTH,
        True,
        2,
        "1/VALID -",
        "ota_0",
        choose("ota_1"),
        "",
        "1/VALID 2/new",
        "ota_1",
        "1/VALID 2/tried",
    ),
    ("choose the same", BOTH, True, 2, "1/VALID -", "ota_0", choose("ota_0"), "", "1/new -", "ota_0", "1/tried -"),
    ("choose factory", BOTH, True, 2, "3/VALID 2/VALID", "ota_0", choose("factory"), "", "- -", "factory", "- -"),
    (
        "reset, NEW",
        ON,
        True,
        2,
        "1/VALID 2/NEW",
        "ota_0",
        nothing,
        "",
        "1/VALID 2/NEW",
        "ota_1",
        "1/VALID 2/PENDING_VERIFY",
    ),
    ("reset, NEW", OFF, True, 2, "1/VALID 2/NEW", "ota_0", nothing, "", "1/VALID 2/NEW", "ota_1", "1/VALID 2/NEW"),
    (
        "reset, PENDING",
        ON,
        True,
        2,
        "1/VALID 2/PENDING_VERIFY",
        "ota_1",
        nothing,
        "",
        "1/VALID 2/PENDING_VERIFY",
        "ota_0",
        "1/VALID 2/ABORTED",
    ),
    ("reset, PENDING alone", ON, True, 2, "1/PENDING_VERIFY -", "ota_0", nothing, "", None, "factory", "1/ABORTED -"),
    ("confirm", BOTH, True, 2, "1/VALID 2/PENDING_VERIFY", "ota_1", confirm, "", "1/VALID 2/VALID", "ota_1", None),
    ("confirm a flaw", BOTH, True, 2, "1/UNDEFINED -", "ota_0", confirm, "", "1/VALID -", "ota_0", None),
    ("reject", BOTH, True, 2, "1/VALID 2/VALID", "ota_1", reject, "", "1/VALID 2/INVALID", "ota_0", None),
    ("reject to factory", BOTH, True, 2, "1/VALID -", "ota_0", reject, "", "1/INVALID -", "factory", None),
    ("reject, nowhere to go", BOTH, False, 2, "1/VALID -", "ota_0", reject, "", "1/VALID -", "ota_0", None),
    ("the same on trial", ON, False, 2, "1/PENDING_VERIFY -", "ota_0", reject, "", None, "ota_0", "1/ABORTED -"),
    ("active does not load", OFF, True, 3, "- 3/NEW", "ota_0", nothing, "ota_2", "- 3/NEW", "ota_1", "- 3/NEW"),
    ("active does not load", ON, True, 3, "- 3/NEW", "ota_0", nothing, "ota_2", None, "ota_1", "- 3/PENDING_VERIFY"),
    ("erase the last app", BOTH, True, 2, "1/VALID 2/VALID", "ota_1", erase_last, "", "- 2/VALID", "ota_1", None),
]


@pytest.mark.parametrize(
    ("event", "config"),
    [pytest.param(event, config, id=f"{event[0]}, {config is ROLLBACK}") for event in EVENTS for config in event[1]],
)
def test_event(event, config):
    _, _, factory, count, before, running, act, gone, then, boots, after = event
    board = Board(slots(count, factory=factory), *before.split(), config=config, without=tuple(gone.split()))
    act(board, board.ops(running))
    fresh, tried = ("NEW", "PENDING_VERIFY") if config is ROLLBACK else ("UNDEFINED", "UNDEFINED")

    def spelled(text):
        return tuple(text.replace("new", fresh).replace("tried", tried).split())

    assert board.otadata == spelled(then or before)
    assert board.booted() == boots
    assert board.otadata == spelled(after or then or before)


# --------------------------------------------------------------------------------------- bootloader and app disagree


def mixed(bootloader, application, *entries):
    """A chip whose bootloader and whose app were built with different options."""
    board = Board(slots(2), *entries, config=application)
    board.boot = lambda: boot(board.chip, bootloader)
    return board


def test_mixed_a_rollback_app_on_a_plain_bootloader_stays_new_for_ever():
    board = mixed(PLAIN, ROLLBACK, "1/VALID")
    board.update(board.ops("ota_0"), "ota_1")
    for _ in range(3):
        assert board.booted() == "ota_1"
        assert board.otadata == ("1/VALID", "2/NEW")
    assert board.ops("ota_1").begin(board["ota_0"], 0) == 1, "NEW, not PENDING: not refused"


def test_mixed_a_plain_app_on_a_rollback_bootloader_is_not_watched():
    board = mixed(ROLLBACK, PLAIN, "1/VALID")
    board.update(board.ops("ota_0"), "ota_1")
    for _ in range(3):
        assert board.booted() == "ota_1"
        assert board.otadata == ("1/VALID", "2/UNDEFINED")
    board.ops("ota_1").mark_app_invalid_rollback()
    assert board.booted() == "ota_0"


def test_mixed_a_plain_app_may_begin_while_a_rollback_bootloader_has_it_on_trial():
    board = mixed(ROLLBACK, PLAIN, "1/VALID", "2/NEW")
    assert board.booted() == "ota_1"
    board.ops("ota_1").begin(board["ota_0"], 0)
    assert board.otadata == ("1/VALID", "2/PENDING_VERIFY")


# ------------------------------------------------------------------------------------------- ESP-IDF's own test apps


@BOTH_BUILDS
def test_flow_rewrite_twice_without_a_reset(config):
    board = Board("two_ota", "1/VALID", config=config, without=("ota_1",))
    ops = board.ops("ota_0")
    for _ in range(2):
        board.update(ops, ops.get_next_update_partition().label)
        assert ops.get_state_partition(ops.get_running_partition()).name == "VALID"
    assert board.booted() == "ota_1"


@BOTH_BUILDS
def test_flow_sha256_of_a_partition(config):
    board = Board("two_ota", config=config, without=("ota_0",))
    ops = board.ops("factory")
    running, target = ops.get_running_partition(), ops.get_next_update_partition()
    ops.partitions.copy(target, 0, running, 0, running.size)
    assert ops.partitions.get_sha256(running) == ops.partitions.get_sha256(target)
    ops.partitions.write(target, 0x50, bytes(4))
    with pytest.raises(ImageError) as refused:
        ops.partitions.get_sha256(target)
    assert refused.value.err == EspErr.ESP_ERR_IMAGE_INVALID


def test_flow_begin_on_the_running_app_gives_no_handle():
    board = Board("two_ota")
    ops = board.ops("ota_0")
    for size in (OTA_SIZE_UNKNOWN, 0, OTA_WITH_SEQUENTIAL_WRITES):
        with pytest.raises(OtaError) as refused:
            ops.begin(ops.get_running_partition(), size)
        assert "handle" not in refused.value.fact
    assert ops.begin(board["ota_1"], 0) == 1, "no number was used up"


@BOTH_BUILDS
def test_flow_factory_copies_itself_to_the_test_partition(config):
    board = Board(slots(2, factory=True, test=True), config=config, without=("test",))
    ops = board.ops("factory")
    ops.partitions.copy(board["test"], 0, board["factory"], 0, None)
    assert ops.partitions.check_identity(board["factory"], board["test"])
    assert board.booted() == "factory"


# ---------------------------------------------------------------------------------------- ESP-IDF's native OTA example


def native(image, config=ROLLBACK, chunk=1024):
    """What the example does with a downloaded file: begin at the first chunk, write, end, choose."""
    board = Board("two_ota", config=config)
    ops = board.ops("factory")
    handle = ops.begin(ops.get_next_update_partition(), OTA_WITH_SEQUENTIAL_WRITES)
    try:
        for start in range(0, len(image), chunk):
            ops.write(handle, image[start : start + chunk])
    except OtaError:
        ops.abort(handle)
        return board, ops
    try:
        ops.end(handle)
        ops.set_boot_partition(board["ota_0"])
    except OtaError:
        pass
    return board, ops


LARGE = Firmware("native", "ota_0", size=0x28000).to_bytes()


@BOTH_BUILDS
def test_native_ota_three_updates_in_a_row_each_load_another_slot(config):
    board = Board("two_ota", config=config, without=("ota_0", "ota_1"))
    loaded = []
    for _ in range(3):
        ops = board.ops(board.booted())
        if ops.get_running_partition().ota_slot is not None:
            ops.mark_app_valid_cancel_rollback()
        target = ops.get_next_update_partition()
        board.update(ops, target.label)
        report = board.boot()
        loaded += [line.rsplit(" ", 1)[1] for line in report.log if "Loaded app from partition at offset" in line]
        if config is ROLLBACK:
            assert report.state == "PENDING_VERIFY"
            board.ops(target.label).mark_app_valid_cancel_rollback()
    assert loaded == ["0x110000", "0x210000", "0x110000"]


def test_native_ota_a_whole_large_image():
    board, _ = native(LARGE)
    assert board.booted() == "ota_0"


def test_native_ota_a_file_cut_at_64000_bytes_is_a_validation_error():
    board, ops = native(LARGE[:64000])
    assert ops.log.lines[-1] == "E (0) esp_ota_ops: New image failed verification"
    assert (board.otadata, board.booted()) == (("-", "-"), "factory")


def test_native_ota_a_file_of_180_bytes_is_too_short():
    board, ops = native(LARGE[:180])
    assert ops.log.lines[-1] == "E (0) esp_ota_ops: New image failed verification"
    assert (board.otadata, board.booted()) == (("-", "-"), "factory")


def test_native_ota_random_bytes_after_a_zero_have_an_invalid_magic_byte():
    noise = b"\x00" + random.Random(3).randbytes(63999)
    board, ops = native(noise)
    assert ops.log.lines == ["E (0) esp_ota_ops: OTA image has invalid magic byte (expected 0xE9, saw 0x00)"]
    assert (board.otadata, board.booted()) == (("-", "-"), "factory")


def test_native_ota_an_old_secure_version_is_refused_and_a_good_one_cancels_rollback():
    anti = replace(ROLLBACK, bootloader_app_anti_rollback=True)
    board = Board(slots(2), "1/VALID", config=anti, without=("ota_0", "ota_1"))
    running = Firmware("native", "ota_0", secure_version=1).to_bytes()
    board.flash_app("ota_0", running)
    board.chip.efuse.burn_secure_version(1)
    old = bytearray(Firmware("native", "ota_1", secure_version=1).to_bytes())
    old[36] = 0
    for image, accepted in [(Firmware("native", "ota_1", secure_version=0).to_bytes(), False), (running, True)]:
        ops = board.ops("ota_0")
        handle = ops.begin(board["ota_1"], 0)
        ops.write(handle, image)
        ops.end(handle)
        if not accepted:
            with pytest.raises(OtaError) as refused:
                ops.set_boot_partition(board["ota_1"])
            assert refused.value.err == EspErr.ESP_ERR_OTA_SMALL_SEC_VER
            continue
        ops.set_boot_partition(board["ota_1"])
        assert board.boot().partition.label == "ota_1"
        board.ops("ota_1").mark_app_valid_cancel_rollback()
        assert board.otadata == ("1/VALID", "2/VALID")
    handle = (ops := board.ops("ota_1")).begin(board["ota_0"], 0)
    ops.write(handle, bytes(old))
    with pytest.raises(OtaError) as refused:
        ops.end(handle)
    assert refused.value.err == EspErr.ESP_ERR_OTA_VALIDATE_FAILED, "a byte changed by hand breaks the hash first"


# ---------------------------------------------------------------------------------------------- cuts in a whole update


@BOTH_BUILDS
def test_an_update_cut_at_any_operation_boots_the_old_app_or_the_new_one(config):
    """begin, write, end, set_boot_partition and the boot after it, cut between and inside every few operations."""
    start = Board(slots(2), "1/VALID", config=config)
    start.booted()
    whole = fork(start)
    before = whole.chip.flash.operations
    whole.update(whole.ops("ota_0"), "ota_1")
    total = whole.chip.flash.operations - before
    for operation in [*range(0, total - 3, 7), total - 3, total - 2, total - 1]:
        for torn in ("", ":torn"):
            board = fork(start)
            board.chip.flash.fault = f"cut@{operation}{torn}"
            with pytest.raises(PowerLoss):
                board.update(board.ops("ota_0"), "ota_1")
            board.chip.flash.power_on()
            assert board.booted() == "ota_0", f"{operation} of {total}{torn}"
    assert whole.booted() == "ota_1"


def fork(board):
    copy = Board(board.table, config=board.config)
    copy.chip = Chip("esp32c3", flash=board.chip.flash.fork(), efuse=board.chip.efuse.copy())
    return copy


@pytest.mark.parametrize("operation", [0, 1, 8, 9, 20])
def test_a_bootloader_copied_home_has_no_safety_net(operation):
    """A cut while the final partition is erased or written leaves a part; nothing of it is undone."""
    board = Board(table(*slots(2), ("bootloader", 2, 0, 0, 0x8000)), "1/VALID", config=PLAIN)
    ops = board.ops("ota_0")
    board.chip.flash.program(0, b"old bootloader")
    handle = ops.begin(board["ota_1"], 0)
    ops.set_final_partition(handle, board["bootloader"], finalize_with_copy=True)
    ops.write(handle, bootloader())
    board.chip.flash.fault = f"cut@{operation}"
    with pytest.raises(PowerLoss):
        ops.end(handle)
    board.chip.flash.power_on()
    kept = board.chip.flash.read(0, 14) == b"old bootloader"
    assert kept is (operation == 0)
