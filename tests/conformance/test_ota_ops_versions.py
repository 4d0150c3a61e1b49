"""The same calls in older releases of ESP-IDF: what did not exist yet, and what was done otherwise."""

from dataclasses import fields, replace

import pytest
from board import PLAIN, ROLLBACK, Board, app, slots, table

from py_esp_ota._core import ImageHeader
from py_esp_ota.errors import FlashError, OtaError, Restart
from py_esp_ota.idf.features import FIXED, SINCE, Features, features, since
from py_esp_ota.sdkconfig import Sdkconfig

ROWS = table(
    ("otadata", 1, 0, 0xD000, 0x2000),
    ("ota_0", 0, 0x10, 0x10000, 0x10000),
    ("ota_1", 0, 0x11, 0x20000, 0x10000),
    ("storage", 1, 0x81, 0x30000, 0x10000),
    ("boot2", 2, 1, 0x40000, 0x8000),
)
V44, V53, V541, V542, V550, V555, V600, V610, HEAD = (
    (4, 4, 8),
    (5, 3, 3),
    (5, 4, 1),
    (5, 4, 2),
    (5, 5, 0),
    (5, 5, 5),
    (6, 0, 0),
    (6, 1, 0),
    (6, 2, 0),
)
ALL = [V44, V53, V541, V542, V550, V555, V600, V610, HEAD]


def built(config: Sdkconfig, version) -> Sdkconfig:
    return replace(config, idf_version=version)


def code(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except (OtaError, FlashError) as error:
        return error.err.name
    except Restart:
        return "abort"
    return "ESP_OK"


# ------------------------------------------------------------------------------------------------------------ the table


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ((4, 4, 8), False),
        ((5, 4, 1), False),
        ((5, 4, 2), True),
        ((5, 4, 9), True),
        ((5, 5, 0), True),
        ((6, 0, 0), True),
    ],
)
def test_a_feature_comes_to_each_line_in_its_own_release(version, has):
    assert since(version, SINCE["resume"]) is has
    assert features(version).resume is has


def test_a_line_that_never_got_it_stays_without():
    assert since((5, 3, 99), ((5, 4, 2), (5, 5, 0))) is False
    assert since((5, 5, 1), ((5, 4, 2), (5, 6, 0))) is False


def test_the_newest_release_has_everything_and_an_old_one_nothing():
    assert features(HEAD) == Features(**dict.fromkeys(SINCE, True), **dict.fromkeys(FIXED, False))
    early = ("full_revisions", "says_full_revision", "says_cores")  # that came within v4.4
    began = {**dict.fromkeys(SINCE, False), **dict.fromkeys(early, True)}
    assert features(V44) == Features(**began, **dict.fromkeys(FIXED, True))
    assert sorted(field.name for field in fields(Features)) == sorted([*SINCE, *FIXED])


# --------------------------------------------------------------------------------------------------- what did not exist

ABSENT = [
    # function, first release, a call
    ("esp_ota_resume", V542, lambda ops, board: ops.resume(board["ota_1"], 0, 0)),
    (
        "esp_ota_set_final_partition",
        V550,
        lambda ops, board: ops.set_final_partition(
            ops.begin(board["ota_1"], 0), board["ota_1"], finalize_with_copy=False
        ),
    ),
    ("esp_ota_mark_app_invalid_rollback", V550, lambda ops, board: ops.mark_app_invalid_rollback()),
    (
        "esp_ota_set_boot_partition_skip_validate",
        V610,
        lambda ops, board: ops.set_boot_partition_skip_validate(board["ota_1"]),
    ),
    (
        "esp_ota_check_image_validity",
        V610,
        lambda ops, board: ops.check_image_validity(0, ImageHeader.from_bytes(app("ota_0")), None),
    ),
]


@pytest.mark.parametrize(("function", "first", "call"), ABSENT, ids=[function for function, _, _ in ABSENT])
@pytest.mark.parametrize("version", ALL, ids=str)
def test_a_function_that_a_release_does_not_have_names_the_release(function, first, call, version):
    board = Board(ROWS, "3/VALID", "2/VALID", config=built(PLAIN, version))
    ops = board.ops("ota_0")
    if version >= first:
        assert code(call, ops, board) == "ESP_OK"
        return
    with pytest.raises(OtaError) as refused:
        call(ops, board)
    text = "v" + ".".join(str(number) for number in version)
    assert str(refused.value) == f"ESP_ERR_NOT_SUPPORTED (0x106): {function} is not in ESP-IDF {text}"


@pytest.mark.parametrize("version", ALL, ids=str)
def test_rejecting_with_a_reboot_is_as_old_as_rollback(version):
    board = Board(ROWS, "3/VALID", "2/VALID", config=built(PLAIN, version))
    ops = board.ops("ota_0")
    with pytest.raises(Restart):
        ops.mark_app_invalid_rollback_and_reboot()
    assert board.otadata == ("3/INVALID", "2/VALID")
    assert ops.log.lines[-1].endswith("worked partition. Restart.") is (version < V550)


# ---------------------------------------------------------------------------------------------- what was done otherwise


@pytest.mark.parametrize("version", ALL, ids=str)
@pytest.mark.parametrize("label", ["storage", "boot2"])
def test_begin_before_v5_5_takes_ota_slots_only(version, label):
    board = Board(ROWS, "1/VALID", config=built(ROLLBACK, version))
    expected = "ESP_OK" if version >= V550 else "ESP_ERR_INVALID_ARG"
    assert code(board.ops("ota_0").begin, board[label], 0) == expected


def test_the_slot_check_before_v5_5_comes_before_the_state():
    board = Board(ROWS, "1/PENDING_VERIFY", config=built(ROLLBACK, V53))
    ops = board.ops("ota_0")
    assert code(ops.begin, board["storage"], 0) == "ESP_ERR_INVALID_ARG"
    assert code(ops.begin, board["ota_1"], 0) == "ESP_ERR_OTA_ROLLBACK_INVALID_STATE"


@pytest.mark.parametrize("version", ALL, ids=str)
def test_begin_before_v5_5_keeps_the_inactive_record(version):
    board = Board(ROWS, "1/VALID", "2/VALID", config=built(ROLLBACK, version))
    board.ops("ota_1").begin(board["ota_0"], 0)
    assert board.otadata == ("-" if version >= V550 else "1/VALID", "2/VALID")


@pytest.mark.parametrize("version", ALL, ids=str)
def test_a_failed_erase_before_v5_5_leaves_nothing_open(version):
    board = Board(ROWS, "1/VALID", config=built(PLAIN, version))
    ops = board.ops("ota_0")
    with pytest.raises(FlashError) as refused:
        ops.begin(board["ota_1"], 0x10001)
    assert ("handle" in refused.value.fact) is (version >= V550)
    assert code(ops.abort, 1) == ("ESP_OK" if version >= V550 else "ESP_ERR_NOT_FOUND")


@pytest.mark.parametrize("version", ALL, ids=str)
def test_before_v6_1_a_slot_may_be_begun_twice(version):
    board = Board(ROWS, "1/VALID", config=built(PLAIN, version))
    ops = board.ops("ota_0")
    first = ops.begin(board["ota_1"], 0)
    assert code(ops.begin, board["ota_1"], 0) == ("ESP_ERR_OTA_ALREADY_IN_PROGRESS" if version >= V610 else "ESP_OK")
    assert code(ops.abort, first) == "ESP_OK"


@pytest.mark.parametrize("version", ALL, ids=str)
@pytest.mark.parametrize(("config", "state"), [(ROLLBACK, "NEW"), (PLAIN, "UNDEFINED")])
@pytest.mark.parametrize("active", [0, 1])
def test_choosing_the_active_slot_before_v6_0_writes_its_number_into_the_other_entry(version, config, state, active):
    entries = ["4/VALID", "3/VALID"]
    board = Board(slots(2), *entries[:: 1 if active == 0 else -1], config=built(config, version))
    board.ops("ota_1").set_boot_partition(board["ota_1"])
    written = active if version >= V600 else 1 - active
    assert board.otadata[written] == f"4/{state}"
    assert board.otadata[1 - written] == ("3/VALID" if version >= V600 else "4/VALID")
    assert board.booted() == "ota_1"


def test_of_two_equal_numbers_the_first_entry_decides_the_state():
    """Before v6.0 a VALID app that chooses itself stays VALID when its entry is the first one, and not else."""
    board = Board(slots(2), "4/VALID", "3/VALID", config=built(ROLLBACK, V555))
    board.ops("ota_1").set_boot_partition(board["ota_1"])
    assert board.boot().state == "VALID"
    board = Board(slots(2), "3/VALID", "4/VALID", config=built(ROLLBACK, V555))
    board.ops("ota_1").set_boot_partition(board["ota_1"])
    assert board.boot().state == "PENDING_VERIFY"


@pytest.mark.parametrize("version", [V542, V555, V610, HEAD], ids=str)
def test_resume_asks_for_the_state_of_the_running_app_only_in_the_newest_release(version):
    board = Board(ROWS, "1/PENDING_VERIFY", config=built(ROLLBACK, version))
    expected = "ESP_ERR_OTA_ROLLBACK_INVALID_STATE" if version == HEAD else "ESP_OK"
    assert code(board.ops("ota_0").resume, board["ota_1"], 0, 0) == expected


@pytest.mark.parametrize("version", [V542, V550], ids=str)
def test_resume_before_v5_5_takes_ota_slots_only(version):
    board = Board(ROWS, config=built(PLAIN, version))
    expected = "ESP_OK" if version >= V550 else "ESP_ERR_INVALID_ARG"
    assert code(board.ops("ota_0").resume, board["storage"], 0, 0) == expected


@pytest.mark.parametrize("version", ALL, ids=str)
def test_the_last_line_of_a_refused_update(version):
    board = Board(ROWS, config=built(PLAIN, version))
    ops = board.ops("ota_0")
    handle = ops.begin(board["ota_1"], 0)
    ops.write(handle, app("ota_1")[:-1])
    assert code(ops.end, handle) == "ESP_ERR_OTA_VALIDATE_FAILED"
    said = ops.log.lines[-1] == "E (0) esp_ota_ops: New image failed verification"
    assert said is (version >= V550)


@pytest.mark.parametrize("version", ALL, ids=str)
def test_one_life_with_rollback_in_every_release(version):
    board = Board("two_ota", config=built(ROLLBACK, version), without=("ota_0", "ota_1"))
    for label in ("ota_0", "ota_1", "ota_0"):
        running = board.booted()
        ops = board.ops(running)
        if running != "factory":
            ops.mark_app_valid_cancel_rollback()
        board.update(ops, label)
    assert board.booted() == "ota_0"
    assert board.otadata[0] == "3/PENDING_VERIFY"


@pytest.mark.parametrize("version", ALL, ids=str)
def test_up_to_v6_0_a_row_around_the_end_of_the_address_space_passes(version):
    """Offset and size are added in 32 bits; since then only a row inside the flash passes, in update and boot alike."""
    wrapping = ("wrap", 1, 0x81, 0x20000, 0xFFFF0000)
    passes = version < V610
    board = Board(table(*ROWS, wrapping), config=built(PLAIN, version))
    assert board.boot().ok is passes
    if version >= V550:
        rows = table(*ROWS, ("table2", 3, 1, 0x50000, 0x1000))
        board = Board(rows, config=built(PLAIN, version))
        ops = board.ops("ota_0")
        handle = ops.begin(board["table2"], 0)
        ops.write(handle, table(*ROWS, wrapping).to_bytes())
        assert code(ops.end, handle) == ("ESP_OK" if passes else "ESP_ERR_OTA_VALIDATE_FAILED")
