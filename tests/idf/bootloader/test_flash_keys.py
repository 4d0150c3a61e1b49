"""The first boot that makes up the flash encryption key: blocks, purposes, lines, refusals, power cuts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from board import ROLLBACK, slots
from signed_images import digest, key
from test_bootloader import untimed

from py_esp_ota._core import EFuse, Flash, FlashCrypt, Partition, PartitionTable
from py_esp_ota.chip import Chip, Random, numbers_from
from py_esp_ota.device import Device
from py_esp_ota.errors import PowerLoss
from py_esp_ota.firmware import Firmware, bootloader, merge
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.signing import sign

CONFIG = replace(ROLLBACK, secure_flash_enc_enabled=True)
AES256 = replace(CONFIG, secure_flash_encryption_aes256=True)
DERIVED = replace(CONFIG, secure_flash_encryption_aes128_derived=True)
OFFSETS = {"esp32": 0x1000, "esp32s2": 0x1000, "esp32c5": 0x2000, "esp32p4": 0x2000, "esp32s31": 0x2000}
DIGEST = bytes(range(32))


def image(chip: str) -> bytes:
    return Firmware("lamp", "1", chip=chip).to_bytes()


def plain(chip: str = "esp32c3", rows: PartitionTable | None = None, **more: bytes) -> Flash:
    """A flash as the factory leaves it: bootloader, table and app, all plain."""
    table = rows or slots(2)
    at = OFFSETS.get(chip, 0)
    parts = {at: bootloader(chip=chip), 0x8000: table.to_bytes(), 0x10000: image(chip)}
    parts |= {int(address, 16): data for address, data in more.items()}
    return Flash.from_bytes(merge(parts), size=0x400000)


def fresh(chip: str = "esp32c3", *, fill_random: Random | None = None, **fuses: object) -> Chip:
    return Chip(chip, flash=plain(chip), efuse=EFuse(chip, **fuses), fill_random=fill_random)


def first_boot(chip: Chip, config: Sdkconfig = CONFIG) -> list[str]:
    """Boot, and what was said from the first look at flash encryption on, without the verifier."""
    lines = untimed(boot(chip, config))
    return [line for line in lines[lines.index("I boot: Checking flash encryption...") :] if "esp_image:" not in line]


def said_of_keys(lines: list[str]) -> list[str]:
    return [line for line in lines if "EFUSE_BLK_KEY" in line or "enerating" in line or "Using" in line]


# ------------------------------------------------------------------------------------------------------- a key is made


def test_the_console_of_a_first_boot_that_makes_up_the_key():
    chip = fresh()
    lines = first_boot(chip)
    assert lines[: lines.index("I boot: Resetting with flash encryption enabled...") + 1] == [
        "I boot: Checking flash encryption...",
        "I efuse: Batch mode of writing fields is enabled",
        "I flash_encrypt: Generating new flash encryption key...",
        "I efuse: Writing EFUSE_BLK_KEY0 with purpose 4",
        "W flash_encrypt: Not disabling UART bootloader encryption",
        "I flash_encrypt: Disable UART bootloader cache...",
        "I flash_encrypt: Disable JTAG...",
        "I efuse: Batch mode. Prepared fields are committed",
        "I flash_encrypt: bootloader encrypted successfully",
        "I flash_encrypt: partition table encrypted and loaded successfully",
        "I flash_encrypt: Encrypting partition 1 at offset 0xd000 (length 0x2000)...",
        "I flash_encrypt: Done encrypting",
        "I flash_encrypt: Encrypting partition 2 at offset 0x10000 (length 0x10000)...",
        "I flash_encrypt: Done encrypting",
        "I flash_encrypt: Flash encryption completed",
        "I boot: Resetting with flash encryption enabled...",
    ]
    assert (chip.efuse.flash_crypt_cnt, chip.efuse.key_purposes[0]) == (1, 4)
    assert chip.flash.encryption == FlashCrypt("esp32c3", chip.efuse.flash_encryption_key)
    assert chip.flash.mmap(0x10000, 1) == b"\xe9" != chip.flash.read(0x10000, 1)
    again = boot(chip, CONFIG)
    assert (again.ok, again.resets, again.app_desc.version) == (True, 0, "1")


def test_the_key_is_what_the_chip_draws():
    drawn = []

    def fill_random(length: int) -> bytes:
        drawn.append(length)
        return bytes(range(100, 100 + length))

    chip = fresh(fill_random=fill_random)
    assert boot(chip, CONFIG).ok
    assert (drawn, chip.efuse.flash_encryption_key) == ([32], bytes(range(100, 132)))


def test_a_generator_repeats_itself_and_devices_differ():
    one, same, other = numbers_from(b"kitchen"), numbers_from(b"kitchen"), numbers_from(b"cellar")
    first = one(40)
    assert (len(first), first, one(32)) == (40, same(40), same(32))
    assert len({first[:32], one(32), other(32), numbers_from(b"")(32), numbers_from(bytes(100))(32)}) == 5
    keys = set()
    for node in ("kitchen", "cellar", "kitchen"):
        lamp = Device(slots(2), firmware=image("esp32c3"), bootloader=bootloader(), config=CONFIG, node_id=node)
        assert lamp.power_on().ok
        keys.add(lamp.chip.efuse.flash_encryption_key)
    assert len(keys) == 2


MADE = [
    # chip, options, fuses before, blocks and purposes, bytes
    ("esp32", CONFIG, {}, [(0, 2)], 32),
    ("esp32c2", CONFIG, {}, [(0, 1)], 32),
    ("esp32c2", DERIVED, {}, [(0, 2)], 16),
    ("esp32c3", AES256, {}, [(0, 4)], 32),
    ("esp32c3", CONFIG, {"key_digests": [DIGEST, DIGEST]}, [(2, 4)], 32),
    ("esp32c3", CONFIG, {"key_purposes": [8, None, 8]}, [(1, 4)], 32),
    ("esp32c5", AES256, {}, [(0, 4)], 32),
    ("esp32c61", CONFIG, {"key_purposes": [8] * 5}, [(5, 4)], 32),
    ("esp32s2", AES256, {"key_purposes": [8] * 4}, [(4, 2), (5, 3)], 64),
    ("esp32s3", AES256, {}, [(0, 2), (1, 3)], 64),
    ("esp32s3", AES256, {"key_purposes": [None, 8, None]}, [(0, 2), (2, 3)], 64),
    ("esp32s3", CONFIG, {}, [(0, 4)], 32),
    ("esp32s31", CONFIG, {"key_purposes": [8] * 4}, [(4, 4)], 32),
]


@pytest.mark.parametrize(("chip", "config", "fuses", "blocks", "length"), MADE)
def test_the_key_goes_into_the_first_unused_blocks(chip, config, fuses, blocks, length):
    made = fresh(chip, **fuses)
    report = boot(made, config)
    assert (report.ok, report.resets) == (True, 1)
    assert said_of_keys(untimed(report)) == [
        "I flash_encrypt: Generating new flash encryption key...",
        *(f"I efuse: Writing EFUSE_BLK_KEY{block} with purpose {purpose}" for block, purpose in blocks),
    ]
    assert len(made.efuse.flash_encryption_key) == length
    if made.efuse.key_purposes:
        assert [made.efuse.key_purposes[block] for block, _ in blocks] == [purpose for _, purpose in blocks]
    assert made.flash.mmap(0x10000, 1) == b"\xe9"


@pytest.mark.parametrize(("chip", "config", "length"), [("esp32c3", CONFIG, 32), ("esp32s3", AES256, 64)])
def test_a_key_that_is_there_is_used(chip, config, length):
    made = fresh(chip, flash_encryption_key=bytes(length))
    assert said_of_keys(first_boot(made, config)) == ["I flash_encrypt: Using pre-loaded flash encryption key in efuse"]
    assert made.efuse.flash_encryption_key == bytes(length)


def test_a_build_for_the_short_key_wastes_a_block_beside_a_long_one():
    """No purpose of its own is found; the hardware prefers the long key."""
    made = fresh("esp32s3", flash_encryption_key=bytes(64))
    assert said_of_keys(first_boot(made))[-1] == "I efuse: Writing EFUSE_BLK_KEY2 with purpose 4"
    assert made.efuse.flash_encryption_key == bytes(64)
    assert made.flash.mmap(0x10000, 1) == b"\xe9"


# ------------------------------------------------------------------------------------------------------------- refusals

ONE_LEFT = {"key_purposes": [8] * 5}
REFUSED = [
    # chip, options, fuses before, what is said, code
    (
        "esp32c61",
        CONFIG,
        {"key_purposes": [8] * 6},
        [
            "I flash_encrypt: Generating new flash encryption key...",
            "E efuse: Not enough unused key blocks available. Required 1, was 0",
            "E flash_encrypt: Not enough free efuse key blocks (need 1) to continue",
        ],
        0x1605,
    ),
    (
        "esp32s2",
        AES256,
        ONE_LEFT,
        [
            "I flash_encrypt: Generating new flash encryption key...",
            "E efuse: Not enough unused key blocks available. Required 2, was 1",
            "E flash_encrypt: Not enough free efuse key blocks (need 2) to continue",
        ],
        0x1605,
    ),
    (
        "esp32c3",
        CONFIG,
        ONE_LEFT,
        [
            "I flash_encrypt: Generating new flash encryption key...",
            "I efuse: Writing EFUSE_BLK_KEY5 with purpose 4",
            "E efuse: BLOCK9 can not have the 4 purpose because of HW bug (see TRM for more details)",
            "E efuse: Failed to write EFUSE_BLK_KEY5 with purpose 4. Can't continue.",
            "E flash_encrypt: Failed to write efuse block with purpose (err=0x106). Can't continue.",
        ],
        0x106,
    ),
    (
        "esp32s3",
        AES256,
        {"key_purposes": [8] * 4},
        [
            "I flash_encrypt: Generating new flash encryption key...",
            "I efuse: Writing EFUSE_BLK_KEY4 with purpose 2",
            "I efuse: Writing EFUSE_BLK_KEY5 with purpose 3",
            "E efuse: BLOCK9 can not have the 3 purpose because of HW bug (see TRM for more details)",
            "E efuse: Failed to write EFUSE_BLK_KEY5 with purpose 3. Can't continue.",
            "E flash_encrypt: Failed to write efuse block with purpose (err=0x106). Can't continue.",
        ],
        0x106,
    ),
    (
        "esp32s3",
        AES256,
        {"flash_encryption_key": bytes(32)},
        ["E flash_encrypt: XTS_AES_128_KEY is already in use, XTS_AES_256_KEY_1/2 can not be used"],
        0x103,
    ),
    (
        "esp32s3",
        AES256,
        {"flash_encryption_key": bytes(64), "key_purposes": [2]},
        ["E flash_encrypt: Invalid efuse key blocks: Both AES-256 key blocks must be set."],
        0x103,
    ),
    (
        "esp32c3",
        CONFIG,
        {"flash_encryption_key": bytes(32), "flash_encryption_key_open": True},
        ["E flash_encrypt: Invalid key state, check read&write protection for key and keypurpose(if exists)"],
        0x103,
    ),
    (
        "esp32c2",
        CONFIG,
        {"key_digests": [DIGEST]},
        ["E flash_encrypt: Invalid key state, check read&write protection for key and keypurpose(if exists)"],
        0x103,
    ),
]


@pytest.mark.parametrize(("chip", "config", "fuses", "lines", "code"), REFUSED)
def test_what_cannot_be_done_burns_nothing_and_encrypts_nothing(chip, config, fuses, lines, code):
    made = fresh(chip, **fuses)
    before = made.efuse.copy()
    printed = first_boot(made, config)
    assert printed[: len(lines) + 4] == [
        "I boot: Checking flash encryption...",
        "I efuse: Batch mode of writing fields is enabled",
        *lines,
        "I efuse: Batch mode of writing fields is cancelled",
        f"E boot: Initialization of Flash Encryption key failed ({code})",
    ]
    assert made.efuse == before
    assert made.flash.read(0x10000, 1) == b"\xe9"
    assert printed[-1] == "E boot: No bootable app partitions in the partition table"


# ------------------------------------------------------------------------------------------------------ secure features

RELEASE = replace(CONFIG, secure_flash_encryption_mode_release=True)
OPEN = replace(
    CONFIG,
    secure_flash_uart_bootloader_allow_dec=True,
    secure_flash_uart_bootloader_allow_cache=True,
    secure_boot_allow_jtag=True,
    secure_boot_allow_rom_basic=True,
)
FEATURES = [
    (
        "esp32",
        CONFIG,
        {},
        [
            "I Setting CRYPT_CONFIG efuse to 0xF",
            "W Not disabling UART bootloader encryption",
            "I Disable UART bootloader decryption...",
            "I Disable UART bootloader MMU cache...",
            "I Disable JTAG...",
            "I Disable ROM BASIC interpreter fallback...",
        ],
    ),
    (
        "esp32",
        OPEN,
        {},
        [
            "I Setting CRYPT_CONFIG efuse to 0xF",
            "W Not disabling UART bootloader encryption",
            "W Not disabling UART bootloader decryption - SECURITY COMPROMISED",
            "W Not disabling UART bootloader MMU cache - SECURITY COMPROMISED",
            "W Not disabling JTAG - SECURITY COMPROMISED",
            "W Not disabling ROM BASIC fallback - SECURITY COMPROMISED",
        ],
    ),
    (
        "esp32c3",
        OPEN,
        {},
        [
            "W Not disabling UART bootloader encryption",
            "W Not disabling UART bootloader cache - SECURITY COMPROMISED",
            "W Not disabling JTAG - SECURITY COMPROMISED",
        ],
    ),
    (
        "esp32c3",
        RELEASE,
        {},
        [
            "I Disable UART bootloader encryption...",
            "I Disable UART bootloader cache...",
            "I Disable JTAG...",
        ],
    ),
    (
        "esp32c5",
        RELEASE,
        {},
        [
            "I Disable UART bootloader encryption...",
            "I Disable UART bootloader cache...",
            "I Disable JTAG...",
            "I Enable XTS-AES pseudo rounds function...",
        ],
    ),
    ("esp32h2", RELEASE, {"chip_revision": 101}, ["I Disable UART bootloader encryption...", "I Disable JTAG..."]),
    (
        "esp32h2",
        replace(CONFIG, secure_flash_pseudo_round_func=True),
        {"chip_revision": 102},
        [
            "W Not disabling UART bootloader encryption",
            "I Disable JTAG...",
            "I Enable XTS-AES pseudo rounds function...",
        ],
    ),
    (
        "esp32h2",
        replace(RELEASE, secure_flash_pseudo_round_func=False),
        {"chip_revision": 102},
        ["I Disable UART bootloader encryption...", "I Disable JTAG..."],
    ),
]


@pytest.mark.parametrize(("chip", "config", "fuses", "lines"), FEATURES)
def test_what_is_closed_for_good_and_what_is_left_open(chip, config, fuses, lines):
    printed = first_boot(fresh(chip, **fuses), config)
    between = printed[
        printed.index("I efuse: Writing EFUSE_BLK_KEY0 with purpose " + ("2" if chip == "esp32" else "4")) + 1 :
    ]
    between = between[: between.index("I efuse: Batch mode. Prepared fields are committed")]
    assert [line.replace(" flash_encrypt:", "") for line in between] == lines


def test_the_options_stand_in_an_sdkconfig():
    text = "CONFIG_SECURE_FLASH_ENCRYPTION_AES256=y\nCONFIG_SECURE_FLASH_PSEUDO_ROUND_FUNC=y\n"
    config = Sdkconfig.from_text(text)
    assert (config.secure_flash_encryption_aes256, config.secure_flash_pseudo_round_func) == (True, True)
    config = Sdkconfig.from_text("# CONFIG_SECURE_FLASH_PSEUDO_ROUND_FUNC is not set\n")
    assert config.secure_flash_pseudo_round_func is False
    assert Sdkconfig.from_text("").secure_flash_pseudo_round_func is None


# ------------------------------------------------------------------------------------ one block for two keys (ESP32-C2)

TOGETHER = replace(
    CONFIG,
    secure_boot=True,
    secure_boot_v2_enabled=True,
    secure_signed_apps_ecdsa_v2_scheme=True,
    secure_boot_ecdsa_key_len_256_bits=True,
)


def signed(**fuses: object) -> Chip:
    parts = {
        0: sign(bootloader(chip="esp32c2"), key()),
        0x8000: slots(2).to_bytes(),
        0x10000: sign(image("esp32c2"), key()),
    }
    flash = Flash.from_bytes(merge(parts), size=0x400000)
    return Chip("esp32c2", flash=flash, efuse=EFuse("esp32c2", **fuses))


def test_two_keys_in_one_block_are_burnt_together():
    chip = signed()
    lines = untimed(boot(chip, replace(TOGETHER, secure_flash_encrypt_only_image_len_in_app_part=True)))
    start = lines.index("I efuse: Batch mode of writing fields is enabled")
    order = [
        "I secure_boot_v2: enabling secure boot v2...",
        "I secure_boot_v2: Burning public key hash to eFuse",
        "I secure_boot_v2: blowing secure boot efuse...",
        "I boot: Checking flash encryption...",
        "I flash_encrypt: Generating new flash encryption key...",
        "I efuse: Writing EFUSE_BLK_KEY0 with purpose 2",
        "I flash_encrypt: Disable JTAG...",
        "I efuse: Batch mode. Prepared fields are committed",
        "I boot: Secure boot permanently enabled",
        "I flash_encrypt: bootloader encrypted successfully",
    ]
    at = [lines.index(line, start) for line in order]
    assert at == sorted(at)
    assert "I secure_boot_v2: Secure boot permanently enabled" not in lines
    assert chip.efuse.secure_boot_en
    assert len(chip.efuse.flash_encryption_key) == 16
    assert boot(chip, TOGETHER).ok


@pytest.mark.parametrize("fuses", [{"secure_boot_en": True, "key_digests": [digest()]}, {"flash_crypt_cnt": 3}])
def test_one_of_two_keys_in_one_block_is_refused(fuses):
    chip = signed(**fuses)
    before = chip.efuse.copy()
    report = boot(chip, TOGETHER)
    assert (report.ok, chip.efuse == before) == (False, True)
    text = "Secure Boot and Flash Encryption cannot be enabled separately, only together"
    assert f"E boot: {text} (their keys go into one eFuse key block)" in untimed(report)


def test_a_block_that_one_key_was_burnt_into_takes_no_other():
    chip = signed(flash_encryption_key=bytes(16))
    before = chip.efuse.copy()
    report = boot(chip, TOGETHER)
    assert (report.ok, chip.efuse == before) == (False, True)
    text = "Failed to write efuse block with purpose (err=0x103). Can't continue."
    assert f"E secure_boot_v2: {text}" in untimed(report)
    assert "E boot: Secure Boot v2 failed (259)" in untimed(report)


# ---------------------------------------------------------------------------------------------------- what is encrypted

LOADERS = PartitionTable(
    [
        Partition("bootloader", 2, 0, 0, 0x8000),
        Partition("table", 3, 0, 0x8000, 0x1000),
        *slots(2),
        Partition("boot2", 2, 1, 0x40000, 0x8000),
        Partition("table2", 3, 1, 0x48000, 0x1000),
        Partition("table3", 3, 1, 0x49000, 0x1000),
    ]
)


def test_other_bootloaders_and_tables_are_encrypted_too_and_the_primary_ones_once():
    flash = plain(rows=LOADERS, **{"40000": bootloader(), "48000": LOADERS.to_bytes()})
    chip = Chip(flash=flash)
    report = boot(chip, CONFIG)
    lines = untimed(report)
    assert report.ok
    assert [line.split("partition ")[1][:1] for line in lines if "Encrypting partition" in line] == ["3", "4", "6", "7"]
    assert "I esp_image: Bootloader offsets for PRIMARY: 0x0, Secondary: 0x40000" in lines
    assert "E flash_encrypt: Failed to read partition table data - not plaintext or empty?" in lines  # table3
    for address in (0, 0x40000):
        assert chip.flash.mmap(address, 1) == b"\xe9"
    assert chip.flash.mmap(0x48000, 2) == b"\xaa\x50"


def test_releases_before_v5_5_look_at_no_bootloader_and_no_table_beside_the_primary_ones():
    flash = plain(rows=LOADERS, **{"40000": bootloader(), "48000": LOADERS.to_bytes()})
    chip = Chip(flash=flash)
    report = boot(chip, replace(CONFIG, idf_version=(5, 4, 3)))
    assert report.ok
    assert [line.split("partition ")[1][:1] for line in untimed(report) if "Encrypting" in line] == ["3", "4"]
    assert chip.flash.read(0x40000, 1) == b"\xe9"


@pytest.mark.parametrize(("version", "more"), [((6, 2, 0), 0x1000), ((5, 5, 1), 0)])
def test_the_signature_behind_an_app_is_encrypted_with_it(version, more):
    config = replace(
        CONFIG,
        idf_version=version,
        secure_flash_encrypt_only_image_len_in_app_part=True,
        secure_signed_apps_no_secure_boot=True,
        secure_signed_apps_rsa_scheme=True,
    )
    chip = fresh()
    lines = untimed(boot(chip, config))
    length = len(image("esp32c3")) + more
    assert f"I flash_encrypt: Encrypting partition 2 at offset 0x10000 (length 0x{length:x})..." in lines


# ----------------------------------------------------------------------------------------------------------- power cuts


def test_a_key_is_made_once_whenever_the_power_goes():
    """After each cut ESP-IDF's own remedy helps: plain bytes again. The key that was burnt is the key that is used."""
    whole = fresh()
    whole.flash.record(True)
    assert boot(whole, CONFIG).ok
    made, total = whole.efuse.flash_encryption_key, len(whole.flash.journal())
    keyless = 0
    for cut in range(0, total, 3):
        chip = fresh()
        chip.flash.fault = f"cut@{cut}"
        with pytest.raises(PowerLoss):
            boot(chip, CONFIG)
        assert chip.efuse.flash_crypt_cnt == 0
        keyless += chip.efuse.flash_encryption_key is None
        assert chip.efuse.flash_encryption_key in {None, made}
        chip.flash = plain()
        report = boot(chip, CONFIG)
        assert (report.ok, report.app_desc.version) == (True, "1")
        assert (chip.efuse.flash_encryption_key, chip.efuse.key_purposes[:2]) == (made, [4, None])
    assert 0 < keyless < total // 3  # the first cuts fall into otadata, before there is a key
