"""The first boot of a build with Secure Boot V2: keys are burnt, later boots trust them, and nothing else starts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from board import PLAIN, Board, app, slots
from signed_images import digest, key

from py_esp_ota._core import EFuse
from py_esp_ota.firmware import bootloader
from py_esp_ota.signing import sign

SECURE = replace(
    PLAIN,
    secure_boot=True,
    secure_boot_v2_enabled=True,
    secure_signed_apps_ecdsa_v2_scheme=True,
    secure_boot_ecdsa_key_len_256_bits=True,
)


def board(loader=None, image=None, config=SECURE):
    made = Board(slots(2), "1/VALID", "-", config=config)
    made.flash_app("ota_0", sign(app("ota_0"), key()) if image is None else image)
    made.chip.flash.program(0, sign(bootloader(), key(), key(number=1)) if loader is None else loader)
    return made


def said(report, tag="secure_boot_v2"):
    return [line.split(": ", 1)[1] for line in report.log if f") {tag}: " in line]


def test_the_first_boot_burns_and_the_next_one_trusts():
    made = board()
    report = made.boot()
    assert report.ok
    efuse = made.chip.efuse
    assert (list(efuse.key_digests), list(efuse.revoked)) == ([digest(), digest(number=1), None], [2])
    assert efuse.secure_boot_en
    own = ["Secure boot V2 is not enabled yet and eFuse digest keys are not set", "Verifying with ECDSA..."]
    checked = [*own, "Signature verified successfully!"]
    assert said(report) == [
        *checked,
        "enabling secure boot v2...",
        *checked,
        "Secure boot digests absent, generating..",
        "Digests successfully calculated, 2 valid signatures (image offset 0x0)",
        "2 signature block(s) found appended to the bootloader.",
        "Burning public key hash to eFuse",
        "Digests successfully calculated, 1 valid signatures (image offset 0x10000)",
        "1 signature block(s) found appended to the app.",
        "Application key(0) matches with bootloader key(0).",
        "Revoking empty key digest slot (2)...",
        "blowing secure boot efuse...",
        "Secure boot permanently enabled",
    ]
    again = made.boot()
    assert again.ok
    assert said(again)[-1] == "secure boot v2 is already enabled, continuing.."
    made.flash_app("ota_0", sign(app("ota_0"), key(number=2)))
    assert not made.boot().ok


@pytest.mark.parametrize(
    ("loader", "image", "code", "why"),
    [
        (bootloader(), None, 8194, "bootloader image appears invalid! error 8194"),
        (sign(bootloader(), key(number=1)), None, -1, "No application key digest matches the bootloader key digest."),
    ],
)
def test_nothing_is_burnt_and_no_app_starts_when_the_first_boot_finds_fault(loader, image, code, why):
    made = board(loader, image)
    before = made.chip.efuse.copy()
    report = made.boot()
    assert (report.ok, made.chip.efuse == before) == (False, True)
    assert why in said(report)
    assert f"Secure Boot v2 failed ({code})" in said(report, "boot")


def test_keys_without_a_free_block_are_not_burnt():
    made = board()
    made.chip.efuse = EFuse(key_purposes=[8] * 5)
    before = made.chip.efuse.copy()
    report = made.boot()
    assert (report.ok, made.chip.efuse == before) == (False, True)
    assert "Bootloader signatures(2) more than available key slots." in said(report)
    assert "Secure Boot v2 failed (5637)" in said(report, "boot")


def test_a_build_may_want_secure_boot_on_already():
    made = board(config=replace(SECURE, secure_boot_require_already_enabled=True))
    report = made.boot()
    assert not report.ok
    assert not made.chip.efuse.secure_boot_en
    assert "Secure Boot v2 failed (259)" in said(report, "boot")


def test_options_of_the_first_boot():
    options = {"secure_boot_allow_unused_digest_slots": True, "secure_boot_enable_aggressive_key_revoke": True}
    made = board(config=replace(SECURE, **options))
    assert made.boot().ok
    assert (list(made.chip.efuse.revoked), made.chip.efuse.aggressive_revoke) == ([], True)
