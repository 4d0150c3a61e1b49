"""Signed images before app and bootloader: whose key counts, what is printed, what is ignored."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest
from signed_images import key as key_of

from py_esp_ota import signing
from py_esp_ota._core import EFuse, Flash, Partition, signature_blocks
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr
from py_esp_ota.firmware import Firmware, bootloader
from py_esp_ota.sdkconfig import Sdkconfig

APP = Firmware("lamp", "1.0.0").to_bytes()
SLOT = Partition("ota_0", 0, 0x10, 0x10000, 0x20000)
OTHER = Partition("ota_1", 0, 0x11, 0x30000, 0x20000)
WIDTHS = {"ecdsa192": "192", "ecdsa256": "256", "ecdsa384": "384"}


def config(scheme: str, **options: bool) -> Sdkconfig:
    """A build with secure boot in a scheme."""
    options = {"secure_boot": True, "secure_boot_v2_enabled": True} | options
    if scheme == "rsa3072":
        return Sdkconfig(secure_signed_apps_rsa_scheme=True, **options)
    width = {f"secure_boot_ecdsa_key_len_{WIDTHS[scheme]}_bits": True}
    return Sdkconfig(secure_signed_apps_ecdsa_v2_scheme=True, **width, **options)


def chip(image: bytes, *keys: bytes, target: str = "esp32c3", **fuses: object) -> Chip:
    flash = Flash(0x400000)
    flash.program(SLOT.offset, image)
    digests = [signing.public_key_digest(key) for key in keys]
    return Chip(target, flash=flash, efuse=EFuse(target, key_digests=digests, secure_boot_en=bool(keys), **fuses))


def judged(board: Chip, build: str, scheme: str, **how: object):
    mode = "load" if build == "bootloader" else "verify"
    return board.verify_image(SLOT, build=build, mode=mode, config=config(scheme), **how)


def said(verdict) -> list[str]:
    return [f"{line.level} {line.tag}: {line.text}" for line in verdict.log if "segment" not in line.text]


@pytest.mark.parametrize("build", ["app", "bootloader"])
def test_a_good_signature_is_accepted_and_counts_into_the_length(scheme, build):
    key = key_of(scheme)
    signed = signing.sign(APP, key)
    verdict = judged(chip(signed, key), build, scheme)
    assert verdict.err == EspErr.ESP_OK
    assert verdict.image_len == len(signed)
    with_what = "RSA-PSS" if scheme == "rsa3072" else "ECDSA"
    where = ["I secure_boot_v2: Take trusted digest key(s) from eFuse block(s)",
             "I secure_boot_v2: #0 app key digest == #0 trusted key digest"] if build == "app" else []  # fmt: skip
    # The app's own code says it for RSA alone.
    tags = {"bootloader": "secure_boot_v2", "app": "secure_boot_v2_rsa" if scheme == "rsa3072" else None}
    assert said(verdict) == [
        "I esp_image: Verifying image signature...",
        *where,
        f"I secure_boot_v2: Verifying with {with_what}...",
        *(f"I {tag}: Signature verified successfully!" for tag in [tags[build]] if tag),
    ]


@pytest.mark.parametrize("build", ["app", "bootloader"])
@pytest.mark.parametrize("at", [0x100, len(APP) - 1, len(APP) + 5, -1])
def test_a_changed_byte_is_refused_wherever_it_is(scheme, build, at):
    key = key_of(scheme)
    signed = bytearray(signing.sign(APP, key))
    if at == -1:
        at = len(signed) - 0x1000 + 860 if scheme == "rsa3072" else len(signed) - 0x1000 + 110
        block = signed[-0x1000 : -0x1000 + 1196]
        block[at - (len(signed) - 0x1000)] ^= 1

        signed[-0x1000 : -0x1000 + 1200] = bytes(block) + zlib.crc32(block).to_bytes(4, "little")
    else:
        signed[at] ^= 0x10
    verdict = judged(chip(bytes(signed), key), build, scheme)
    assert verdict.err == EspErr.ESP_ERR_IMAGE_INVALID


def test_the_warning_tells_a_corrupt_image_from_a_bad_signature():
    key = key_of("ecdsa256")
    signed = bytearray(signing.sign(APP, key))
    signed[len(APP) + 1] ^= 1  # the fill is signed, and no part of the simple hash
    told = said(judged(chip(bytes(signed), key), "app", "ecdsa256"))
    assert told[-3:] == [
        "E esp_image: Secure boot signature verification failed",
        "I esp_image: Calculating simple hash to check for corruption...",
        "W esp_image: image valid, signature bad",
    ]
    wrong = bytearray(APP)
    wrong[0x200] ^= 1
    wrong[0x201] ^= 1  # the checksum does not see it
    signed = signing.sign(APP, key)
    told = said(judged(chip(bytes(wrong) + signed[len(APP) :], key), "app", "ecdsa256"))
    assert told[-1] == "W esp_image: image corrupted on flash"


def test_edge_case_33_the_simple_hash_is_not_compared_when_the_signature_holds():
    image = APP[:-32] + bytes(32)
    key = key_of("ecdsa256")
    assert judged(chip(signing.sign(image, key), key), "app", "ecdsa256").err == EspErr.ESP_OK


def test_edge_case_34_the_digest_in_the_block_is_the_roms_business_not_the_apps():

    key = key_of("ecdsa256")
    signed = bytearray(signing.sign(APP, key))
    block = signed[-0x1000 : -0x1000 + 1196]
    block[4:36] = bytes(32)
    signed[-0x1000 : -0x1000 + 1200] = bytes(block) + zlib.crc32(block).to_bytes(4, "little")
    board = chip(bytes(signed), key)
    assert judged(board, "app", "ecdsa256").err == EspErr.ESP_OK
    assert judged(board, "bootloader", "ecdsa256").err == EspErr.ESP_ERR_IMAGE_INVALID


def test_edge_case_32_room_for_the_signature_is_asked_for_even_by_builds_that_do_not_look():
    unsigned = Firmware("lamp", "1", size=0x12F30 - 0x10).to_bytes()
    unsigned = Firmware("lamp", "1", size=77616).to_bytes()
    board = chip(unsigned)
    options = Sdkconfig(secure_signed_apps_no_secure_boot=True, secure_signed_apps_rsa_scheme=True)
    for size, err in ((81920, EspErr.ESP_OK), (81919, EspErr.ESP_ERR_IMAGE_INVALID)):
        place = Partition("ota_0", 0, 0x10, SLOT.offset, size)
        assert board.verify_image(place, build="bootloader", mode="load", config=options).err == err


def test_the_key_must_be_one_the_chip_trusts(scheme):
    mine, theirs = key_of(scheme), key_of(scheme, 1)
    board = chip(signing.sign(APP, theirs), mine)
    for build in ("app", "bootloader"):
        verdict = judged(board, build, scheme)
        assert verdict.err == EspErr.ESP_ERR_IMAGE_INVALID
        assert verdict.fault.found == "no signature block of a trusted key"


def test_any_of_three_blocks_may_hold_and_a_revoked_key_does_not():
    keys = [key_of("ecdsa256", number) for number in range(3)]
    signed = signing.sign(APP, *keys)
    for number, key in enumerate(keys):
        assert judged(chip(signed, key), "app", "ecdsa256").err == EspErr.ESP_OK, number
        assert judged(chip(signed, key), "bootloader", "ecdsa256").err == EspErr.ESP_OK, number
    assert judged(chip(signed, keys[0], revoked=[0]), "app", "ecdsa256").err == EspErr.ESP_ERR_IMAGE_INVALID
    assert judged(chip(signed, *keys[:2], revoked=[0]), "app", "ecdsa256").err == EspErr.ESP_OK


@pytest.mark.parametrize("target", ["esp32", "esp32c2"])
def test_chips_with_one_slot_look_at_the_first_block_only(target):
    scheme = "rsa3072" if target == "esp32" else "ecdsa256"
    first, second = key_of(scheme), key_of(scheme, 1)
    image = Firmware("lamp", "1", chip=target).to_bytes()
    for build in ("app", "bootloader"):
        assert judged(chip(signing.sign(image, first, second), second, target=target), build, scheme).err != 0
        assert judged(chip(signing.sign(image, second, first), second, target=target), build, scheme).err == 0


def test_esp32c2_compares_half_a_digest():
    key = key_of("ecdsa256")
    image = Firmware("lamp", "1", chip="esp32c2").to_bytes()
    board = chip(signing.sign(image, key), target="esp32c2")
    half = signing.public_key_digest(key)[:16] + bytes(16)
    board.efuse = EFuse("esp32c2", key_digests=[half], secure_boot_en=True)
    assert judged(board, "app", "ecdsa256").err == EspErr.ESP_OK


def test_the_first_boot_trusts_the_keys_an_image_brings_along():
    board = chip(signing.sign(APP, key_of("rsa3072")))
    verdict = judged(board, "bootloader", "rsa3072")
    assert verdict.err == EspErr.ESP_OK
    assert "I secure_boot_v2: Secure boot V2 is not enabled yet and eFuse digest keys are not set" in said(verdict)
    assert judged(board, "app", "rsa3072").err == EspErr.ESP_ERR_IMAGE_INVALID  # the app does not


def test_secure_boot_without_readable_keys_boots_nothing():
    board = chip(signing.sign(APP, key_of("rsa3072")))
    board.efuse = EFuse(secure_boot_en=True)
    verdict = judged(board, "bootloader", "rsa3072")
    assert "E secure_boot_v2: Could not read eFuse secure boot digests!" in said(verdict)


def test_a_block_of_another_scheme_is_named():
    board = chip(signing.sign(APP, key_of("ecdsa256")), key_of("rsa3072"))
    told = said(judged(board, "bootloader", "rsa3072"))
    assert "E secure_boot_v2: No signature block generated for valid scheme" in told
    assert "E secure_boot_v2: RSA signing scheme selected but no signature block for the selected scheme" in told


def test_an_unsigned_image_is_refused(scheme):
    key = key_of(scheme)
    for build in ("app", "bootloader"):
        assert judged(chip(APP, key), build, scheme).err == EspErr.ESP_ERR_IMAGE_INVALID


def test_without_secure_boot_the_running_app_says_whose_key_counts():
    mine, theirs = key_of("ecdsa256"), key_of("ecdsa256", 1)
    options = replace(config("ecdsa256", secure_boot=False, secure_boot_v2_enabled=False),
                      secure_signed_apps_no_secure_boot=True)  # fmt: skip
    for running_key, err in ((mine, EspErr.ESP_OK), (theirs, EspErr.ESP_ERR_IMAGE_INVALID)):
        board = chip(signing.sign(APP, mine))
        board.flash.program(OTHER.offset, signing.sign(APP, running_key))
        verdict = board.verify_image(SLOT, build="app", mode="verify", config=options, running=OTHER)
        assert verdict.err == err
        assert "I secure_boot_v2: Take trusted digest key(s) from running app" in said(verdict)
    # and the bootloader looks at the simple hash alone
    assert board.verify_image(SLOT, build="bootloader", mode="load", config=options).image_len == len(APP)


def test_a_debugger_makes_only_a_bootloader_without_secure_boot_look_away():
    board = chip(APP)
    board.debugger_attached = True
    assert judged(board, "bootloader", "rsa3072").err == EspErr.ESP_OK
    board.efuse = EFuse(secure_boot_en=True, key_digests=[signing.public_key_digest(key_of("rsa3072"))])
    assert judged(board, "bootloader", "rsa3072").err == EspErr.ESP_ERR_IMAGE_INVALID
    assert judged(board, "app", "rsa3072").err == EspErr.ESP_ERR_IMAGE_INVALID


def test_bootloader_images_are_signed_too_with_secure_boot_v2():
    key = key_of("ecdsa256")
    signed = signing.sign(bootloader(), key)
    board = chip(APP, key)
    board.flash.program(0, signed)
    place = Partition("bootloader", 2, 0, 0, 0x8000)
    verdict = board.verify_image(place, build="app", mode="verify", config=config("ecdsa256"))
    assert (verdict.err, verdict.image_len) == (EspErr.ESP_OK, len(signed))


# ------------------------------------------------------------------------------------------------------- version 1


def v1_config(key: bytes) -> Sdkconfig:
    return Sdkconfig(
        secure_boot=True,
        secure_boot_v1_enabled=True,
        secure_signed_apps_ecdsa_scheme=True,
        secure_boot_verification_key=signing.v1_public_key(key),
    )


@pytest.mark.parametrize("build", ["app", "bootloader"])
def test_version_1_signatures_of_esp32(build):
    key = key_of("ecdsa256")
    image = Firmware("lamp", "1", chip="esp32").to_bytes()
    signed = signing.sign_v1(image, key)
    mode = "load" if build == "bootloader" else "verify"
    verdict = chip(signed, target="esp32").verify_image(SLOT, build=build, mode=mode, config=v1_config(key))
    assert (verdict.err, verdict.image_len) == (EspErr.ESP_OK, len(image) + 68)
    for at in (len(image), len(image) + 10):  # the version word, the signature
        wrong = bytearray(signed)
        wrong[at] ^= 1
        verdict = chip(bytes(wrong), target="esp32").verify_image(SLOT, build=build, mode=mode, config=v1_config(key))
        assert verdict.err == EspErr.ESP_ERR_IMAGE_INVALID
    other = v1_config(key_of("ecdsa256", 1))
    assert chip(signed, target="esp32").verify_image(SLOT, build=build, mode=mode, config=other).err != 0


# ------------------------------------------------------------------------------------------------------ hostile bytes


def test_every_byte_of_a_block_matters_except_the_reviewed_ones(scheme):
    """Flipped one by one, with the CRC made right: refused, or on this list of bytes that nobody reads."""

    key = key_of(scheme)
    signed = signing.sign(APP, key)
    board = chip(signed, key)
    used = {"rsa3072": 1196, "ecdsa192": 149, "ecdsa256": 165, "ecdsa384": 245}[scheme]
    ignored = {3, *range(used, 1196), *range(1200, 1216)}
    ignored |= {2} if scheme == "rsa3072" else set()
    ignored |= set(range(4, 52 if scheme == "ecdsa384" else 36))  # the digest, in the app's eyes
    if scheme == "ecdsa192":
        ignored |= set(range(101 + 48, 165))
    step = 7 if scheme == "rsa3072" else 3
    base = len(signed) - 0x1000
    for at in sorted({*range(0, 260, step), *range(300, 1216, 41), 1196, 1199, used - 1}):
        wrong = bytearray(signed[base : base + 1216])
        wrong[at] ^= 0x40
        if not 1196 <= at < 1200:
            wrong[1196:1200] = zlib.crc32(wrong[:1196]).to_bytes(4, "little")
        board.flash.erase(SLOT.offset + base, 0x1000)
        board.flash.program(SLOT.offset + base, bytes(wrong))
        accepted = judged(board, "app", scheme).err == EspErr.ESP_OK
        assert accepted == (at in ignored), at


@pytest.mark.parametrize("fill", [0x00, 0xFF, 0xE7, 0x01])
def test_sectors_of_noise_are_judged_without_harm(fill):

    for version in (2, 3):
        for curve in range(4):
            block = bytearray([fill]) * 1216
            block[:4] = bytes([0xE7, version, int(curve == 3), 0])
            block[36 if curve != 3 else 52] = curve
            block[1196:1200] = zlib.crc32(block[:1196]).to_bytes(4, "little")
            blocks = signature_blocks(bytes(block).ljust(0x1000, b"\xff"), bytes(48 if curve == 3 else 32))
            assert not any(found.verified for found in blocks)
