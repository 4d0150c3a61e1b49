"""How the bootloader, the ROM and the first boot look at signatures, and what they burn."""

from __future__ import annotations

import hashlib

import pytest
from signed_images import ALL, APP, AT, SECTOR, changed, console, digest, fuses, in_block, key, look, resealed

from py_esp_ota._core import EFuse, Flash, enable_secure_boot, rom_verify_signature, signing_slots
from py_esp_ota.errors import EspErr
from py_esp_ota.firmware import Firmware, bootloader, merge
from py_esp_ota.signing import sign

OTHER = 0x200000
OK, INVALID, FAIL = EspErr.ESP_OK, EspErr.ESP_ERR_IMAGE_INVALID, EspErr.ESP_FAIL
ECDSA = "I secure_boot_v2: Verifying with ECDSA..."
VERIFIED = "I secure_boot_v2: Signature verified successfully!"
FAILED = "E secure_boot_v2: Secure Boot V2 verification failed."
FIRST = "I secure_boot_v2: Secure boot V2 is not enabled yet and eFuse digest keys are not set"


def boot(signed, efuse, **words):
    return look(signed, efuse, build="bootloader", **words)


@pytest.mark.parametrize("scheme", ALL)
def test_a_key_in_the_efuses_is_trusted(scheme):
    chip = "esp32c5" if scheme == "ecdsa384" else "esp32c6"
    app = Firmware("lamp", "1.1.0", chip=chip).to_bytes()
    verdict = boot(sign(app, key(scheme)), fuses(None, digest(scheme), chip=chip), scheme=scheme)
    assert verdict.err == OK
    how = "RSA-PSS" if scheme == "rsa3072" else "ECDSA"
    assert console(verdict)[:2] == [f"I secure_boot_v2: Verifying with {how}...", VERIFIED]


def test_a_wrong_or_revoked_or_unknown_key_is_refused():
    broken = resealed(changed(sign(APP, key()), in_block(101)))
    for signed, efuse in (
        (broken, fuses(digest())),
        (sign(APP, key()), fuses(digest(), digest(number=1), revoked=(0,))),
        (sign(APP, key(number=1)), fuses(digest())),
    ):
        verdict = boot(signed, efuse)
        assert verdict.err == INVALID
        assert console(verdict)[:2] == [ECDSA, FAILED]


def test_the_first_boot_trusts_the_keys_that_the_image_brings():
    verdict = boot(sign(APP, key()), fuses(on=False))
    assert verdict.err == OK
    assert console(verdict)[:3] == [FIRST, ECDSA, VERIFIED]
    assert boot(resealed(changed(sign(APP, key()), in_block(101))), fuses(on=False)).err == INVALID


def test_on_the_first_boot_keys_in_the_efuses_count_and_others_do_not():
    assert boot(sign(APP, key()), fuses(digest(), on=False)).err == OK
    assert boot(sign(APP, key(number=1)), fuses(digest(), on=False)).err == INVALID


def test_secure_boot_without_a_readable_key_boots_nothing():
    verdict = boot(sign(APP, key()), fuses(digest(), revoked=(0,)))
    assert verdict.err == INVALID
    assert console(verdict)[0] == "E secure_boot_v2: Could not read eFuse secure boot digests!"


def test_no_block_of_the_scheme_is_said_before_the_rom_is_asked():
    verdict = boot(sign(APP, key("rsa3072")), fuses(digest()))
    assert verdict.err == INVALID
    assert console(verdict)[:3] == [
        ECDSA,
        "E secure_boot_v2: No signature block generated for valid scheme",
        "E secure_boot_v2: ECDSA signing scheme selected but no signature block for the selected scheme",
    ]
    unsigned = APP + b"\xff" * (2 * SECTOR - len(APP))
    assert console(boot(unsigned, fuses(digest())))[1].endswith("for valid scheme")


def test_esp32_asks_its_rom_at_once():
    app = Firmware("lamp", "1.1.0", chip="esp32").to_bytes()
    verdict = boot(sign(app, key()), fuses(digest("rsa3072"), chip="esp32"), scheme="rsa3072")
    assert console(verdict)[:2] == ["I secure_boot_v2: Verifying with RSA-PSS...", FAILED]


@pytest.mark.parametrize("at", [424, 808])
def test_the_rom_calculates_with_the_helper_numbers_and_the_app_does_not(at):
    signed = resealed(changed(sign(APP, key("rsa3072")), in_block(at)))
    of_key = hashlib.sha256(signed[-SECTOR + 36 : -SECTOR + 812]).digest()
    words = {"scheme": "rsa3072"}
    assert look(signed, fuses(of_key), **words).err == OK
    assert boot(signed, fuses(of_key), **words).err == INVALID


# --------------------------------------------------------------------------------------------------- the ROM's own look


def test_the_rom_revokes_a_key_whose_signature_fails_when_it_may():
    signed = resealed(changed(sign(APP, key(), key(number=1)), in_block(101)))
    sector, right = signed[-SECTOR:], hashlib.sha256(signed[:-SECTOR]).digest()
    for aggressive, revoked in ((False, []), (True, [0])):
        efuse = EFuse("esp32c3", key_digests=[digest(), digest(number=1)], aggressive_revoke=aggressive)
        assert rom_verify_signature(efuse, sector, right, scheme="ecdsa256")
        assert list(efuse.revoked) == revoked
    assert not rom_verify_signature(EFuse("esp32c3"), sector, right, scheme="ecdsa256")


def test_the_bootloader_lets_the_rom_revoke_nothing():
    efuse = EFuse("esp32c3", secure_boot_en=True, key_digests=[digest()], aggressive_revoke=True)
    assert boot(resealed(changed(sign(APP, key()), in_block(101))), efuse).err == INVALID
    assert not efuse.revoked


# ------------------------------------------------------------------------------------------------------- the first boot


def enable(efuse, signed_bootloader, app, scheme="ecdsa256", **options):
    before = efuse.to_json()
    flash = Flash.from_bytes(merge({AT: app, OTHER: signed_bootloader}), size=0x400000)
    regions = {"bootloader": (OTHER, 0x8000), "app": (AT, 0x100000)}
    verdict = enable_secure_boot(flash, efuse, **regions, scheme=scheme, **options)
    assert (verdict.err == OK) or efuse.to_json() == before
    return verdict, [line.text for line in verdict.log]


@pytest.mark.parametrize("scheme", ALL)
def test_the_first_boot_burns_the_bootloaders_keys_and_revokes_the_empty_slots(scheme):
    efuse = EFuse("esp32c6")
    both = sign(APP, key(scheme), key(scheme, 1))
    verdict, log = enable(efuse, both, sign(APP, key(scheme, 1)), scheme)
    assert verdict.err == OK
    assert list(efuse.key_digests) == [digest(scheme), digest(scheme, 1), None]
    assert (list(efuse.revoked), efuse.secure_boot_en) == ([2], True)
    assert log == [
        "enabling secure boot v2...",
        "Secure boot digests absent, generating..",
        "Digests successfully calculated, 2 valid signatures (image offset 0x200000)",
        "2 signature block(s) found appended to the bootloader.",
        "Burning public key hash to eFuse",
        "Digests successfully calculated, 1 valid signatures (image offset 0x10000)",
        "1 signature block(s) found appended to the app.",
        "Application key(0) matches with bootloader key(1).",
        "Revoking empty key digest slot (2)...",
        "blowing secure boot efuse...",
        "Secure boot permanently enabled",
    ]
    again, log = enable(efuse, both, APP + bytes(2 * SECTOR))
    assert (again.err, log[1]) == (OK, "secure boot v2 is already enabled, continuing..")


def test_a_bootloader_where_the_chip_has_it():
    flash = Flash.from_bytes(merge({0: sign(bootloader(), key()), AT: sign(APP, key())}), size=0x400000)
    efuse = EFuse("esp32c3")
    assert enable_secure_boot(flash, efuse, bootloader=(0, 0x8000), app=(AT, 0x100000), scheme="ecdsa256").err == OK
    assert (list(efuse.key_digests), efuse.secure_boot_en) == ([digest(), None, None], True)
    assert signing_slots(flash, 0, 0x8000, efuse=efuse, scheme="ecdsa256") == [0]


def test_slots_may_be_left_open_and_revocation_made_aggressive():
    efuse = EFuse("esp32c6")
    one = sign(APP, key())
    verdict, log = enable(efuse, one, one, allow_unused_slots=True, aggressive_revoke=True)
    assert (verdict.err, list(efuse.revoked), efuse.aggressive_revoke) == (OK, [], True)
    text = "Unused key digest slot (1) left un-revoked due to the config SECURE_BOOT_ALLOW_UNUSED_DIGEST_SLOTS"
    assert text in log


@pytest.mark.parametrize("chip", ["esp32", "esp32c2"])
def test_chips_with_one_slot_revoke_nothing(chip):
    efuse, scheme = EFuse(chip), "rsa3072" if chip == "esp32" else "ecdsa256"
    signed = sign(Firmware("lamp", "1.1.0", chip=chip).to_bytes(), key(scheme), key(scheme, 1))
    assert enable(efuse, signed, signed, scheme, aggressive_revoke=True)[0].err == OK
    assert [kept for kept in efuse.key_digests if kept] == [digest(scheme)]
    assert (list(efuse.revoked), efuse.aggressive_revoke) == ([], False)


def test_edge_case_34_the_first_boot_wants_the_digest_inside_the_block():
    wrong, good = resealed(changed(sign(APP, key()), in_block(4))), sign(APP, key())
    for first, app, said in (
        (wrong, good, "No valid bootloader signature blocks found."),
        (good, wrong, "No valid applications signature blocks found."),
    ):
        verdict, log = enable(EFuse("esp32c6"), first, app)
        assert (verdict.err, verdict.detail, log[-1]) == (FAIL, said, said)
        assert "Magic byte & CRC correct but incorrect image digest." in log


def test_a_block_that_does_not_verify_stops_the_first_boot():
    good = sign(APP, key(), key(number=1))
    for wrong in (resealed(changed(good, in_block(101))), resealed(changed(good, in_block(101, 1)), 1)):
        for first, app, said in (
            (wrong, good, "Bootloader signature block is invalid"),
            (good, wrong, "Application signature block is invalid."),
        ):
            assert enable(EFuse("esp32c6"), first, app)[0].detail == said


def test_blocks_behind_a_gap_do_not_count():
    gap = changed(sign(APP, key(), key(number=1), key(number=2)), in_block(0, 1))
    efuse = EFuse("esp32c6")
    assert enable(efuse, gap, gap)[0].err == OK
    assert list(efuse.key_digests) == [digest(), None, None]
    torn = changed(sign(APP, key()), in_block(900))
    log = enable(EFuse("esp32c6"), torn, torn)[1]
    assert log[-2:] == ["Magic byte correct but incorrect crc.", "No valid bootloader signature blocks found."]


def test_app_and_bootloader_must_share_a_key():
    verdict, _log = enable(EFuse("esp32c6"), sign(APP, key()), sign(APP, key(number=1)))
    assert (verdict.err, verdict.detail) == (FAIL, "No application key digest matches the bootloader key digest.")


def test_keys_that_were_burnt_before_are_used_and_counted():
    efuse = EFuse("esp32c6", key_digests=[digest(), None, digest(number=1)])
    verdict, log = enable(efuse, sign(APP, key(number=2)), sign(APP, key()))
    assert verdict.err == OK
    assert "Using pre-loaded public key digest in eFuse" in log
    # Two keys were found, so everything from slot 2 on is revoked: the second key with it, as upstream.
    assert list(efuse.revoked) == [2]
    empty = EFuse("esp32c6", key_digests=[digest()], revoked=[0])
    assert enable(empty, sign(APP, key()), sign(APP, key()))[0].detail == (
        "No valid pre-loaded public key digest in eFuse"
    )


def test_an_image_that_cannot_be_followed_enables_nothing():
    for first, app in ((b"\xff", sign(APP, key())), (sign(APP, key()), b"\xff")):
        verdict, log = enable(EFuse("esp32c6"), first, app)
        assert (verdict.err, log[-1]) == (INVALID, "bootloader image appears invalid! error 8194")


# ----------------------------------------------------------------------------------------------------------- revocation


def slots_of(signed, efuse, scheme="ecdsa256"):
    flash = Flash.from_bytes(merge({AT: signed}), size=0x400000)
    return signing_slots(flash, AT, 0x100000, efuse=efuse, scheme=scheme)


def test_the_slots_whose_key_signed_an_image():
    efuse = fuses(digest(), digest(number=1), digest(number=2))
    assert slots_of(sign(APP, key()), efuse) == [0]
    assert slots_of(sign(APP, key(number=2), key()), efuse) == [0, 2]
    assert slots_of(sign(APP, key(number=3)), efuse) == []
    assert slots_of(sign(APP, key()), fuses(digest(), digest(number=1), revoked=(0,))) == []
    assert slots_of(resealed(changed(sign(APP, key(number=1), key()), in_block(101))), efuse) == [0]
    assert slots_of(changed(sign(APP, key()), 0x300), efuse) == []
    assert slots_of(b"\xff" * SECTOR, efuse) == []
    p384 = fuses(digest("ecdsa384"), chip="esp32c5")
    assert slots_of(sign(Firmware("lamp", "1.0.0", chip="esp32c5").to_bytes(), key("ecdsa384")), p384, "ecdsa384") == [
        0
    ]


def test_the_image_is_followed_and_not_judged():
    wrong_checksum = changed(APP, -33)
    assert slots_of(sign(wrong_checksum, key()), fuses(digest())) == [0]
