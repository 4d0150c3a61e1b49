"""``esp_ota_revoke_secure_boot_public_key``: who is refused, in upstream's order, and what is never burnt."""

from dataclasses import replace

import pytest
from board import PLAIN, ROLLBACK, Board, app, slots

from py_esp_ota._core import EFuse
from py_esp_ota.errors import EspErr, OtaError
from py_esp_ota.firmware import bootloader
from py_esp_ota.signing import generate_key, public_key_digest, sign

SECURE = {"secure_boot": True, "secure_boot_v2_enabled": True}
DIGESTS = [bytes([number]) * 32 for number in range(3)]


def secured(config=PLAIN, *, entries=("1/VALID", "-"), chip="esp32c3", **fuses):
    options = {"secure_boot_en": True, "key_digests": DIGESTS} | fuses
    board = Board(slots(2), *entries, config=replace(config, **SECURE), chip=chip)
    board.chip.efuse = EFuse(chip, **options)
    return board


def refused(board, index):
    before = board.chip.efuse.copy()
    ops = board.ops("ota_0")
    with pytest.raises(OtaError) as error:
        ops.revoke_secure_boot_public_key(index)
    assert board.chip.efuse == before, "nothing is burnt"
    return error.value.err.name, [line.split("esp_ota_ops: ")[1] for line in ops.log.lines if "esp_ota_ops" in line]


def test_a_build_without_secure_boot_v2_has_no_such_function():
    board = Board(slots(2), "1/VALID", config=PLAIN)
    assert refused(board, 0) == ("ESP_ERR_NOT_SUPPORTED", [])


@pytest.mark.parametrize("chip", ["esp32", "esp32c2"])
def test_a_chip_with_one_key_has_no_such_function(chip):
    assert refused(secured(chip=chip, key_digests=DIGESTS[:1]), 0) == ("ESP_ERR_NOT_SUPPORTED", [])


def test_secure_boot_must_be_on():
    answer = refused(secured(secure_boot_en=False), 9)
    assert answer == ("ESP_FAIL", ["Secure boot v2 has not been enabled."])


@pytest.mark.parametrize("index", [-1, 3, 99])
def test_there_are_three_keys(index):
    answer = refused(secured(), index)
    assert answer == ("ESP_ERR_INVALID_ARG", [f"Invalid Index found for public key revocation {index}."])


@pytest.mark.parametrize("state", ["NEW", "PENDING_VERIFY", "UNDEFINED", "INVALID"])
def test_an_app_that_is_not_confirmed_takes_no_key_away(state):
    answer = refused(secured(ROLLBACK, entries=(f"1/{state}", "2/VALID")), 0)
    assert answer == ("ESP_FAIL", ["The current running application is not marked as a valid image. Aborting.."])


def test_an_app_without_a_state_takes_no_key_away():
    answer = refused(secured(ROLLBACK, entries=("-", "2/VALID")), 0)
    assert answer == ("ESP_FAIL", ["esp_ota_get_state_partition returned: ESP_ERR_NOT_FOUND"])


def test_without_rollback_nobody_asks_for_the_state():
    code, lines = refused(secured(PLAIN, entries=("-", "-")), 0)
    assert code == "ESP_FAIL"
    assert lines == ["Application cannot be verified with any key other than the one being revoked"]


@pytest.mark.parametrize("fuses", [{"key_digests": [None, None, None]}, {"revoked": [0, 1, 2]}])
def test_without_any_digest_there_is_nothing_to_go_by(fuses):
    answer = refused(secured(**fuses), 0)
    assert answer == ("ESP_FAIL", ["Could not read the secure boot key digests from efuse. Aborting.."])


@pytest.mark.parametrize("fuses", [{"revoked": [1]}, {"key_digests": [DIGESTS[0], None, None]}])
def test_a_key_that_is_gone_already_is_no_error(fuses):
    board = secured(**fuses)
    ops = board.ops("ota_0")
    ops.revoke_secure_boot_public_key(1)
    assert ops.log.lines == ["I (0) esp_ota_ops: Given public key digest(1) is already revoked."]


def test_the_last_key_is_never_revoked():
    code, lines = refused(secured(key_digests=[DIGESTS[0], None, None]), 0)
    assert (code, lines[-1]) == (
        "ESP_FAIL",
        "Application cannot be verified with any key other than the one being revoked",
    )


def test_an_app_that_no_other_key_signed_keeps_the_key():
    assert refused(secured(ROLLBACK), 0)[0] == "ESP_FAIL"
    assert EspErr.ESP_FAIL == -1


# ---------------------------------------------------------------------------------------------- with signed images

OLD, NEW, OTHER = (generate_key("ecdsa256") for _ in range(3))
ECDSA = SECURE | {"secure_signed_apps_ecdsa_v2_scheme": True, "secure_boot_ecdsa_key_len_256_bits": True}


def signed(app_keys, bootloader_keys, fused=(OLD, NEW), **fuses):
    """An H2 whose running app and whose bootloader carry these signatures."""
    board = Board(slots(2), "1/VALID", config=replace(ROLLBACK, **ECDSA), chip="esp32h2", without=("ota_0", "ota_1"))
    digests = [key and public_key_digest(key) for key in fused]
    digests += [None] * (3 - len(digests))
    board.chip.efuse = EFuse("esp32h2", secure_boot_en=True, key_digests=digests, **fuses)
    board.chip.flash.program(board["ota_0"].offset, sign(app("ota_0", "esp32h2"), *app_keys))
    board.chip.flash.program(0, sign(bootloader(chip="esp32h2"), *bootloader_keys))
    return board


def test_the_old_key_is_revoked_once_app_and_bootloader_carry_the_new_one():
    board = signed([OLD, NEW], [OLD, NEW])
    ops = board.ops("ota_0")
    ops.revoke_secure_boot_public_key(0)
    assert board.chip.efuse.revoked == [0]
    lines = [line for line in ops.log.lines if "esp_ota_ops" in line]
    assert lines == [
        "I (0) esp_ota_ops: Application successfully verified with public key digest 1",
        "I (0) esp_ota_ops: Application successfully verified with public key digest 1",
        "I (0) esp_ota_ops: Revoked signature block 0.",
    ]
    ops.revoke_secure_boot_public_key(0)
    assert ops.log.lines[-1].endswith("Given public key digest(0) is already revoked.")
    assert refused(board, 1)[1][-1].startswith("Application cannot be verified"), "the other one is the last now"


KEPT = [
    # signatures of the app, of the bootloader, fuses, the line
    ([OLD], [OLD, NEW], {}, "Application"),
    ([OLD, NEW], [OLD], {}, "Bootloader"),
    ([OLD, OTHER], [OLD, NEW], {}, "Application"),
    ([OLD, NEW], [OLD, NEW], {"revoked": [1]}, "Application"),
]


@pytest.mark.parametrize(("app_keys", "bootloader_keys", "fuses", "who"), KEPT)
def test_the_old_key_stays_while_anything_needs_it(app_keys, bootloader_keys, fuses, who):
    code, lines = refused(signed(app_keys, bootloader_keys, **fuses), 0)
    assert code == "ESP_FAIL"
    assert lines[-1] == f"{who} cannot be verified with any key other than the one being revoked"
