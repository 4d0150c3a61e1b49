"""How an app looks at a signed update: blocks, keys, and what it overlooks."""

from __future__ import annotations

import pytest
from signed_images import (
    ALL,
    APP,
    AT,
    SECTOR,
    changed,
    console,
    digest,
    fuses,
    in_block,
    key,
    look,
    resealed,
)

from py_esp_ota._core import Partition
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr
from py_esp_ota.firmware import Firmware, merge
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.signing import padded, sign, sign_v1, v1_public_key

OK, INVALID = EspErr.ESP_OK, EspErr.ESP_ERR_IMAGE_INVALID
EFUSE = "I secure_boot_v2: Take trusted digest key(s) from eFuse block(s)"
RUNNING = "I secure_boot_v2: Take trusted digest key(s) from running app"
ECDSA = "I secure_boot_v2: Verifying with ECDSA..."
REFUSED = "E esp_image: Secure boot signature verification failed"
HASHING = "I esp_image: Calculating simple hash to check for corruption..."
SIGNATURE_BAD = [REFUSED, HASHING, "W esp_image: image valid, signature bad"]


def chip_of(scheme):
    return "esp32c5" if scheme == "ecdsa384" else "esp32c6"


@pytest.mark.parametrize("scheme", ALL)
def test_a_signature_by_a_trusted_key_is_accepted(scheme):
    chip = chip_of(scheme)
    app = Firmware("lamp", "1.1.0", chip=chip).to_bytes()
    verdict = look(sign(app, key(scheme)), fuses(digest(scheme), chip=chip), scheme=scheme)
    assert verdict.err == OK
    assert verdict.image_len == len(app) + SECTOR
    how = "RSA-PSS" if scheme == "rsa3072" else "ECDSA"
    told = [EFUSE, "I secure_boot_v2: #0 app key digest == #0 trusted key digest"]
    told.append(f"I secure_boot_v2: Verifying with {how}...")
    if scheme == "rsa3072":  # only this one says so
        told.append("I secure_boot_v2_rsa: Signature verified successfully!")
    assert console(verdict) == told


@pytest.mark.parametrize("scheme", ALL)
def test_one_changed_bit_of_the_image_or_the_signature_is_refused(scheme):
    chip = chip_of(scheme)
    signed = sign(Firmware("lamp", "1.1.0", chip=chip).to_bytes(), key(scheme))
    value = {"rsa3072": 812, "ecdsa384": 149}.get(scheme, 101)
    sound, corrupt = changed(signed, in_block(value + 5), b"\x5a\xa5"), changed(changed(signed, 0x300), 0x301)
    tag, gap = ("rsa", " ") if scheme == "rsa3072" else ("ecdsa", "")
    failed = f"E secure_boot_v2_{tag}: Signature verification failed, err:{gap}-149"
    for data, last in (
        (resealed(sound), SIGNATURE_BAD),
        (corrupt, [REFUSED, HASHING, "W esp_image: image corrupted on flash"]),
    ):
        verdict = look(data, fuses(digest(scheme), chip=chip), scheme=scheme)
        assert verdict.err == INVALID
        assert console(verdict)[-4:] == [failed, *last]


def test_a_slot_keeps_its_number_and_a_revoked_one_trusts_nobody():
    signed = sign(APP, key())
    verdict = look(signed, fuses(digest(number=1), None, digest()))
    assert console(verdict)[1] == "I secure_boot_v2: #0 app key digest == #2 trusted key digest"
    assert look(signed, fuses(digest(), digest(number=1), revoked=(0,))).err == INVALID
    assert look(signed, fuses(digest(), digest(number=1), revoked=(1,))).err == OK


def test_without_a_readable_digest_nothing_is_looked_at():
    for efuse in (fuses(), fuses(digest(), revoked=(0,))):
        verdict = look(sign(APP, key()), efuse)
        assert verdict.err == INVALID
        assert console(verdict) == [EFUSE, "E secure_boot_v2: Could not read secure boot digests!", *SIGNATURE_BAD]


def test_a_block_of_another_scheme_is_skipped_with_a_word():
    signed = sign(APP, key("rsa3072"), key())
    verdict = look(signed, fuses(digest("rsa3072"), digest()))
    assert verdict.err == OK
    assert console(verdict) == [
        EFUSE,
        "E secure_boot_v2: ECDSA signing scheme selected but signature block generated for RSA scheme",
        "I secure_boot_v2: #1 app key digest == #1 trusted key digest",
        ECDSA,
    ]
    unknown = resealed(changed(sign(APP, key()), in_block(1), b"\x09"))
    assert "generated for Unknown scheme" in console(look(unknown, fuses(digest())))[1]


def test_a_block_on_another_curve_is_skipped_with_a_word():
    verdict = look(sign(APP, key("ecdsa192")), fuses(digest("ecdsa192")))
    assert verdict.err == INVALID
    text = "E secure_boot_v2: ECDSA curve mismatch: actual (curve_id 1), expected (curve_id 2)"
    assert console(verdict) == [EFUSE, text, *SIGNATURE_BAD]


@pytest.mark.parametrize("at", [0, 700, 1196])
def test_a_block_without_magic_or_with_a_wrong_crc_is_skipped_silently(at):
    signed = changed(sign(APP, key(), key(number=1)), in_block(at))
    assert console(look(signed, fuses(digest()))) == [EFUSE, *SIGNATURE_BAD]
    assert look(signed, fuses(digest(number=1))).err == OK


def test_after_a_wrong_signature_the_next_block_has_its_chance():
    signed = resealed(changed(sign(APP, key(), key(number=1)), in_block(101)))
    verdict = look(signed, fuses(digest(), digest(number=1)))
    assert verdict.err == OK
    assert [line for line in console(verdict) if "app key" in line] == [
        "I secure_boot_v2: #0 app key digest == #0 trusted key digest",
        "I secure_boot_v2: #1 app key digest == #1 trusted key digest",
    ]


@pytest.mark.parametrize(
    ("chip", "scheme", "blocks"), [("esp32", "rsa3072", 1), ("esp32c2", "ecdsa256", 1), ("esp32c6", "rsa3072", 3)]
)
def test_esp32_and_esp32c2_look_at_the_first_block_alone(chip, scheme, blocks):
    app = Firmware("lamp", "1.1.0", chip=chip).to_bytes()
    for place in range(3):
        signers = [key(scheme, 1)] * 3
        signers[place] = key(scheme)
        verdict = look(sign(app, *signers), fuses(digest(scheme), chip=chip), scheme=scheme)
        assert (verdict.err == OK) == (place < blocks)


def test_esp32c2_keeps_and_compares_half_a_digest():
    half = digest()[:16] + bytes(16)
    for chip, err in (("esp32c2", OK), ("esp32c3", INVALID)):
        app = Firmware("lamp", "1.1.0", chip=chip).to_bytes()
        assert look(sign(app, key()), fuses(half, chip=chip)).err == err


def test_edge_case_33_the_simple_hash_is_not_compared_when_the_signature_is_good():
    wrong_hash = changed(APP, -1)
    assert look(sign(wrong_hash, key()), fuses(digest())).err == OK
    verdict = look(sign(wrong_hash, key(number=1)), fuses(digest()))
    assert console(verdict)[-1] == "W esp_image: image corrupted on flash"
    assert console(look(sign(APP, key(number=1)), fuses(digest())))[-1] == "W esp_image: image valid, signature bad"


def test_edge_case_34_the_digest_inside_a_block_is_ignored_by_the_app_and_not_by_the_rom():
    signed = resealed(changed(sign(APP, key()), in_block(4)))
    assert look(signed, fuses(digest())).err == OK
    verdict = look(signed, fuses(digest()), build="bootloader")
    assert verdict.err == INVALID
    assert console(verdict) == [ECDSA, "E secure_boot_v2: Secure Boot V2 verification failed.", *SIGNATURE_BAD]


def test_edge_case_32_room_for_the_signature_sector_even_when_nobody_looks():
    signed = sign(APP, key())
    need = len(padded(APP)) + SECTOR
    for build, check in (("bootloader", False), ("app", True), ("app", False)):
        assert look(signed, fuses(digest()), build=build, check=check, size=need).err == OK
        verdict = look(signed, fuses(digest()), build=build, check=check, size=need - SECTOR)
        assert verdict.err != OK
        assert verdict.log[-1].text == f"Image length {need} doesn't fit in partition length {need - SECTOR}"


def test_the_bytes_between_image_and_sector_are_signed():
    signed = sign(APP, key())
    assert look(changed(signed, len(APP) + 5, b"\0"), fuses(digest())).err == INVALID


# ----------------------------------------------------------------------------------------- without hardware secure boot


def test_without_secure_boot_the_first_key_of_the_running_app_is_trusted():
    off = fuses(on=False)
    words = {"secure_boot_v2": False, "running": (digest(), digest(number=1))}
    verdict = look(sign(APP, key()), off, **words)
    assert verdict.err == OK
    assert console(verdict) == [RUNNING, "I secure_boot_v2: #0 app key digest == #0 trusted key digest", ECDSA]
    assert look(sign(APP, key(number=1)), off, **words).err == INVALID
    assert look(sign(APP, key(number=1), key()), off, **words).err == INVALID


def test_a_secure_boot_build_trusts_the_running_app_until_the_fuse_is_burnt():
    running = (digest(), digest(number=1))
    signed = sign(APP, key(number=1))
    assert look(signed, fuses(digest(), on=False), running=running).err == OK
    assert look(signed, fuses(digest(), on=True), running=running).err == INVALID


def test_an_unsigned_running_app_can_trust_no_update():
    verdict = look(sign(APP, key()), fuses(on=False), secure_boot_v2=False)
    assert console(verdict)[:3] == [
        RUNNING,
        "E secure_boot_v2: No signatures were found for the running app",
        "E secure_boot_v2: Could not read secure boot digests!",
    ]


@pytest.mark.parametrize("trusted", [True, False])
def test_the_running_key_is_read_from_the_flash(trusted):
    config = Sdkconfig(secure_signed_apps_no_secure_boot=True, secure_signed_apps_rsa_scheme=True)
    chip = Chip("esp32c3")
    running = sign(APP, key("rsa3072", 0 if trusted else 1))
    update = sign(Firmware("lamp", "1.2.0").to_bytes(), key("rsa3072"))
    first, second = Partition("ota_0", 0, 0x10, AT, 0x10000), Partition("ota_1", 0, 0x11, 0x20000, 0x10000)
    chip.flash.program(0, merge({first.offset: running, second.offset: update}))
    verdict = chip.verify_image(second, build="app", mode="verify", config=config, running=first)
    assert (verdict.err == OK) == trusted


# ---------------------------------------------------------------------------------------------------------- version 1

V1_APP = Firmware("lamp", "1.1.0", chip="esp32").to_bytes()


def look_v1(signed, build="app", number=0):
    public = v1_public_key(key(number=number))
    words = {"scheme": "ecdsa_v1", "secure_boot_v2": False, "v1_public_key": public}
    return look(signed, fuses(chip="esp32", on=False), build=build, **words)


@pytest.mark.parametrize("build", ["app", "bootloader"])
def test_version_1_stands_right_behind_the_image(build):
    verdict = look_v1(sign_v1(V1_APP, key()), build)
    assert (verdict.err, verdict.image_len) == (OK, len(V1_APP) + 68)
    assert look_v1(sign_v1(V1_APP, key()), build, number=1).err == INVALID
    assert look_v1(changed(sign_v1(V1_APP, key()), -1), build).err == INVALID
    assert look_v1(changed(sign_v1(V1_APP, key()), 0x300), build).err == INVALID


def test_version_1_names_a_version_it_does_not_know():
    verdict = look_v1(changed(sign_v1(V1_APP, key()), -68, b"\xff\xff\xff\xff"))
    assert verdict.err == INVALID
    text = "image has invalid signature version field 0xffffffff (image without a signature?)"
    assert console(verdict)[0] == f"E secure_boot_v1: {text}"
