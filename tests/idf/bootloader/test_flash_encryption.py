"""Flash encryption end to end: boot, update, confirm, roll back, cut; and plain bytes where cipher is expected."""

from __future__ import annotations

from dataclasses import replace

import pytest
from board import ROLLBACK, slots
from test_bootloader import untimed

from py_esp_ota._core import EFuse, Flash, FlashCrypt, Partition, PartitionTable, verify_image
from py_esp_ota.chip import Chip
from py_esp_ota.device import Device
from py_esp_ota.errors import EspErr, FlashError, OtaError, PowerLoss
from py_esp_ota.firmware import Firmware, bootloader, merge
from py_esp_ota.idf.app_update.ota_ops import OTA_WITH_SEQUENTIAL_WRITES, OtaOps
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig

KEYS = [("esp32c3", 32), ("esp32s3", 64), ("esp32s3", 32), ("esp32c2", 16), ("esp32", 32), ("esp32", 24)]
CONFIG = replace(ROLLBACK, partition_table_md5=True)


def efuse(chip: str = "esp32c3", length: int = 32, **fuses: object) -> EFuse:
    config = {"flash_crypt_config": 0xF} if chip == "esp32" else {}
    key = bytes(range(length))
    return EFuse(chip, **({"flash_encryption_key": key, "flash_crypt_cnt": 1} | config | fuses))


def app(version: str, chip: str = "esp32c3") -> bytes:
    return Firmware("lamp", version, chip=chip).to_bytes()


def device(chip: str = "esp32c3", length: int = 32) -> Device:
    return Device(slots(2), firmware=app("1", chip), efuse=efuse(chip, length), config=CONFIG)


def ops(lamp: Device) -> OtaOps:
    return OtaOps(lamp.chip, lamp.report.partition, lamp.config, Log(lambda: 0))


def update(lamp: Device, image: bytes, *, step: int = 1000, size: int = OTA_WITH_SEQUENTIAL_WRITES) -> None:
    """One update in uneven steps, up to the choice of the slot."""
    api = ops(lamp)
    slot = api.get_next_update_partition()
    handle = api.begin(slot, size)
    for at in range(0, len(image), step):
        api.write(handle, image[at : at + step])
    api.end(handle)
    api.set_boot_partition(slot)


@pytest.mark.parametrize(("chip", "length"), KEYS)
def test_an_encrypted_device_is_updated_confirmed_and_rolled_back(chip, length):
    lamp = device(chip, length)
    assert lamp.power_on().app_desc.version == "1"
    assert lamp.flash.read(0x10000, 1) != b"\xe9"
    ops(lamp).mark_app_valid_cancel_rollback()
    for version, step in (("2", 1000), ("3", 7)):
        update(lamp, app(version, chip), step=step)
        report = lamp.power_on()
        assert (report.app_desc.version, report.state) == (version, "PENDING_VERIFY")
        ops(lamp).mark_app_valid_cancel_rollback()
    update(lamp, app("4", chip))
    assert lamp.power_on().app_desc.version == "4"
    assert lamp.power_on().app_desc.version == "3"  # nobody confirmed it


def test_edge_case_36_an_erased_slot_reads_as_noise_and_is_refused_in_the_chips_own_words():
    lamp = device()
    slot = PartitionTable.load(lamp.flash).find(label="ota_1")
    assert slot.encrypted
    assert slot.read_raw(lamp.flash, 0, 16) == b"\xff" * 16
    assert slot.read(lamp.flash, 0, 16) != b"\xff" * 16
    verdict = lamp.chip.verify_image(slot, build="bootloader", mode="load", config=CONFIG)
    assert verdict.log[0].text == "image at 0x20000 has invalid magic byte (nothing flashed here?)"


def test_otadata_in_the_middle_of_an_encrypted_row_is_erased_and_not_written():
    rows = [Partition("otadata", 1, 0, 0xD010, 0x2000), Partition("ota_0", 0, 0x10, 0x10000, 0x10000)]
    lamp = Device(PartitionTable(rows), firmware=app("1"), efuse=efuse(), config=CONFIG)
    report = lamp.power_on()
    assert report.app_desc.version == "1"
    lines = untimed(report)
    at = lines.index("E bootloader_flash: bootloader_flash_write dest_addr 0xd010 not 32-byte aligned")
    assert lines[at + 1 : at + 3] == [
        "E boot: Error in write_otadata operation. err = 0xffffffff",
        "I boot: Set actual ota_seq=1 in otadata[0]",
    ]
    assert lamp.flash.read(0xD000, 0x1000) == b"\xff" * 0x1000


def test_plain_bytes_where_cipher_is_expected_do_not_boot():
    lamp = device()
    lamp.flash.erase(0x10000, 0x10000)
    lamp.flash.program(0x10000, app("1"))
    report = lamp.power_on()
    assert not report.ok
    assert any("image at 0x10000 has invalid magic byte" in line for line in report.log)


def test_cipher_where_plain_bytes_are_expected_does_not_boot():
    lamp = device()
    lamp.chip.efuse = EFuse()
    assert not boot(lamp.chip, CONFIG).ok


def test_edge_case_37_ciphertext_is_good_only_at_its_own_address():
    lamp = device()
    raw = lamp.flash.read(0x10000, 0x10000)
    lamp.flash.program(0x20000, raw)
    other = Partition("ota_1", 0, 0x11, 0x20000, 0x10000)
    assert lamp.chip.verify_image(other, build="app", mode="verify", config=CONFIG).err == EspErr.ESP_ERR_IMAGE_INVALID


def test_edge_case_41_programming_a_block_twice_makes_garbage():
    flash = Flash(0x100000, strict=False)
    flash.encryption = FlashCrypt("esp32c3", bytes(32))
    flash.program_encrypted(0x10000, b"A" * 16)
    assert flash.mmap(0x10000, 16) == b"A" * 16
    flash.program_encrypted(0x10000, b"A" * 15 + b"@")
    assert flash.mmap(0x10000, 16) not in {b"A" * 16, b"A" * 15 + b"@"}


def test_erased_otadata_looks_corrupt_rather_than_blank():
    lamp = device()
    lamp.power_on()
    assert ops(lamp).get_boot_partition().label == "ota_0"
    lamp.flash.erase(0xD000, 0x2000)
    report = lamp.power_on()
    assert report.partition.label == "ota_0"
    lines = untimed(report)
    assert "E boot: ota data partition invalid and no factory, will try all partitions" in lines
    assert not any("Set actual ota_seq" in line for line in lines)
    again = untimed(lamp.power_on())
    assert "E boot: ota data partition invalid and no factory, will try all partitions" in again


@pytest.mark.parametrize(
    ("address", "length", "err"),
    [
        (0x10008, 16, EspErr.ESP_ERR_INVALID_ARG),
        (0x10008, 0, EspErr.ESP_ERR_INVALID_ARG),
        (0x10008, 8, EspErr.ESP_ERR_INVALID_ARG),
        (0x10000, 8, EspErr.ESP_ERR_INVALID_SIZE),
        (0x10000, 0, None),
        (0x10010, 32, None),
        (0x100000, 16, EspErr.ESP_ERR_INVALID_ARG),
    ],
)
def test_alignment_of_encrypted_writes(address, length, err):
    flash = Flash(0x100000)
    flash.encryption = FlashCrypt("esp32c3", bytes(32))
    if err is None:
        flash.program_encrypted(address, bytes(length))
        assert flash.mmap(address, length) == bytes(length)
    else:
        with pytest.raises(FlashError) as error:
            flash.program_encrypted(address, bytes(length))
        assert error.value.err == err


def test_edge_case_32_less_than_a_block_cannot_be_ended():
    lamp = device()
    lamp.power_on()
    api = ops(lamp)
    handle = api.begin(api.get_next_update_partition(), 0)
    api.write(handle, b"\xe9" + bytes(14))
    with pytest.raises(OtaError) as error:
        api.end(handle)
    assert error.value.err == EspErr.ESP_ERR_INVALID_ARG


def test_a_last_block_without_room_is_invalid_state():
    lamp = device()
    lamp.power_on()
    api = ops(lamp)
    slot = api.get_next_update_partition()
    handle = api.begin(slot, 0)
    api.write(handle, b"\xe9" + bytes(slot.size + 4))  # five bytes too many wait for their block
    with pytest.raises(OtaError) as error:
        api.end(handle)
    assert error.value.err == EspErr.ESP_ERR_INVALID_STATE


@pytest.mark.parametrize(("first", "pad"), [(b"", b"\0"), (b"\xe9" + bytes(2), b"\xff")])
def test_how_the_last_block_is_filled(first, pad):
    """Zeros while no waiting block was ever written, 0xFF from then on."""
    lamp = device()
    lamp.power_on()
    api = ops(lamp)
    slot = api.get_next_update_partition()
    handle = api.begin(slot, 0)
    if first:
        api.write(handle, first)
        api.write(handle, b"x" * 16)
    else:
        api.write(handle, b"\xe9" + b"x" * 18)
    with pytest.raises(OtaError):
        api.end(handle)  # no image, but the last block is there
    assert slot.read(lamp.flash, 19, 13) == pad * 13


def test_writes_with_an_offset_are_whole_blocks():
    lamp = device()
    lamp.power_on()
    api = ops(lamp)
    slot = api.get_next_update_partition()
    handle = api.begin(slot, 0)
    with pytest.raises(OtaError) as error:
        api.write_with_offset(handle, bytes(17), 0)
    assert error.value.err == EspErr.ESP_ERR_INVALID_ARG
    api.write_with_offset(handle, b"B" * 32, 0x100)
    assert slot.read(lamp.flash, 0x100, 32) == b"B" * 32


def test_which_partitions_are_encrypted():
    rows = [
        Partition("nvs", 1, 2, 0x9000, 0x4000),
        Partition("otadata", 1, 0, 0xD000, 0x2000),
        Partition("keys", 1, 4, 0xF000, 0x1000),
        Partition("app", 0, 0x10, 0x10000, 0x10000),
        Partition("plain", 1, 0x82, 0x20000, 0x1000),
        Partition("secret", 1, 0x82, 0x21000, 0x1000, encrypted=True),
        Partition("custom", 0x40, 0, 0x22000, 0x1000),
    ]
    table = PartitionTable(rows).to_bytes()
    flash = Flash.from_bytes(merge({0x8000: table}), size=0x100000)
    assert not any(row.encrypted for row in PartitionTable.load(flash))
    engine = FlashCrypt("esp32c3", bytes(32))
    cipher = Flash.from_bytes(merge({0x8000: engine.encrypt(0x8000, table)}), size=0x100000)
    cipher.encryption = engine
    assert [row.label for row in PartitionTable.load(cipher) if row.encrypted] == ["otadata", "keys", "app", "secret"]


def test_a_verdict_is_not_remembered_for_another_key():
    lamp = device()
    args = (lamp.flash, 0x10000, 0x10000)
    assert verify_image(*args, chip="esp32c3").err == EspErr.ESP_OK
    lamp.flash.encryption = FlashCrypt("esp32c3", b"\x01" * 32)
    assert verify_image(*args, chip="esp32c3").err == EspErr.ESP_ERR_IMAGE_INVALID
    lamp.flash.encryption = None
    assert verify_image(*args, chip="esp32c3").err == EspErr.ESP_ERR_IMAGE_INVALID


# ----------------------------------------------------------------------------------------------------- the first boot


def fresh(**fuses: object) -> tuple[Chip, Sdkconfig]:
    """A chip flashed with plain bytes, and a bootloader that encrypts."""
    table = PartitionTable([*slots(2), Partition("secret", 1, 0x82, 0x30000, 0x1000, encrypted=True)])
    parts = {0x0: bootloader(), 0x8000: table.to_bytes(), 0x10000: app("1"), 0x30000: b"secret" * 100}
    config = replace(CONFIG, secure_flash_enc_enabled=True)
    chip_ = Chip(flash=Flash.from_bytes(merge(parts), size=0x400000), efuse=efuse(flash_crypt_cnt=0, **fuses))
    return chip_, config


def test_the_first_boot_encrypts_in_place_and_starts_anew():
    chip_, config = fresh()
    report = boot(chip_, config)
    assert (report.ok, report.resets, report.app_desc.version) == (True, 1, "1")
    assert chip_.efuse.flash_encryption_enabled
    lines = untimed(report)
    assert "I boot: Resetting with flash encryption enabled..." in lines
    assert "I flash_encrypt: flash encryption is enabled (1 plaintext flashes left)" in lines
    raw, plain = chip_.flash.read, chip_.flash.mmap
    assert plain(0, 1) == plain(0x10000, 1) == b"\xe9"
    assert raw(0, 1) != b"\xe9"
    assert plain(0x30000, 6) == b"secret"
    assert raw(0x9000, 16) == b"\xff" * 16  # nvs is left alone
    assert raw(0x20000, 16) == b"\xff" * 16  # an empty slot is no image, and left alone
    assert plain(0xD000, 4) == b"\x01\0\0\0"  # otadata, healed before and encrypted with the rest
    assert boot(chip_, config).resets == 0


@pytest.mark.parametrize(("chip", "length"), [("esp32c3", 32), ("esp32s3", 32), ("esp32c2", 16), ("esp32", 32)])
def test_a_counter_without_a_key_encrypts_with_a_key_of_zeros(chip, length):
    zeros = FlashCrypt(chip, bytes(length), flash_crypt_config=0)
    assert FlashCrypt.of_efuse(EFuse(chip, flash_crypt_cnt=1)) == zeros
    assert FlashCrypt.of_efuse(EFuse(chip)) is None
    assert FlashCrypt.of_key(EFuse(chip)) == zeros
    lamp = Device(slots(2), firmware=app("1", chip), efuse=EFuse(chip, flash_crypt_cnt=1), config=CONFIG)
    assert lamp.flash.read(0x10000, 1) != b"\xe9"
    assert lamp.power_on().app_desc.version == "1"


def test_a_burnt_counter_bit_matters_from_the_next_reset_on():
    chip_ = Chip(efuse=efuse(flash_crypt_cnt=0))
    chip_.efuse.burn_flash_crypt_cnt()
    assert chip_.flash.encryption is None
    chip_.latch_efuses()
    assert chip_.flash.encryption == FlashCrypt("esp32c3", bytes(range(32)))


def test_a_device_that_must_be_encrypted_already_is_refused():
    chip_, config = fresh()
    report = boot(chip_, replace(config, secure_flash_require_already_enabled=True))
    assert not report.ok
    # load_image comes back, so the walk goes on and says so.
    assert any(line.endswith("is not bootable") for line in untimed(report))
    assert not chip_.efuse.flash_encryption_enabled


def test_the_console_of_the_first_boot():
    chip_, config = fresh()
    lines = untimed(boot(chip_, config))
    start = lines.index("I boot: Checking flash encryption...")
    end = lines.index("I boot: Resetting with flash encryption enabled...")
    assert [line for line in lines[start : end + 1] if "esp_image: segment" not in line] == [
        "I boot: Checking flash encryption...",
        "I efuse: Batch mode of writing fields is enabled",
        "I flash_encrypt: Using pre-loaded flash encryption key in efuse",
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
        "E esp_image: image at 0x20000 has invalid magic byte (nothing flashed here?)",
        "I flash_encrypt: Encrypting partition 4 at offset 0x30000 (length 0x1000)...",
        "I flash_encrypt: Done encrypting",
        "I flash_encrypt: Flash encryption completed",
        "I boot: Resetting with flash encryption enabled...",
    ]


@pytest.mark.parametrize(("release", "counter", "left"), [(False, 0b001, 1), (True, 0b111, 0)])
def test_release_mode_burns_every_bit_of_the_counter(release, counter, left):
    chip_, config = fresh()
    lines = untimed(boot(chip_, replace(config, secure_flash_encryption_mode_release=release)))
    assert chip_.efuse.flash_crypt_cnt == counter
    assert ("I flash_encrypt: Setting CRYPT_CNT for permanent encryption" in lines) is release
    assert f"I flash_encrypt: flash encryption is enabled ({left} plaintext flashes left)" in lines


def test_only_the_image_of_an_app_partition_is_encrypted_when_asked():
    chip_, config = fresh()
    assert boot(chip_, replace(config, secure_flash_encrypt_only_image_len_in_app_part=True)).ok
    end = 0x10000 + len(app("1"))
    assert end % 0x1000 == 0
    assert chip_.flash.mmap(end - 16, 16) == app("1")[-16:]
    assert chip_.flash.read(end, 16) == b"\xff" * 16
    whole, config = fresh()
    assert boot(whole, config).ok
    assert whole.flash.read(end, 16) != b"\xff" * 16


def test_plain_bytes_flashed_later_are_encrypted_anew_while_counter_bits_are_left():
    chip_, config = fresh()
    boot(chip_, config)
    chip_.efuse.burn_flash_crypt_cnt()  # 0b011: off again
    assert not chip_.efuse.flash_encryption_enabled
    parts = {0x0: bootloader(), 0x8000: PartitionTable(slots(2)).to_bytes(), 0x10000: app("2")}
    chip_.flash = Flash.from_bytes(merge(parts), size=0x400000)
    report = boot(chip_, config)
    assert (report.ok, report.resets, report.app_desc.version) == (True, 1, "2")
    assert chip_.efuse.flash_crypt_cnt == 0b111
    assert "I flash_encrypt: Using pre-loaded flash encryption key in efuse" not in untimed(report)


def test_a_bootloader_that_is_no_plain_image_ends_the_encryption():
    chip_, config = fresh()
    chip_.flash.erase(0, 0x1000)
    chip_.flash.program(0, b"no bootloader")
    report = boot(chip_, config)
    assert not report.ok
    lines = untimed(report)
    at = lines.index("W flash_encrypt: no valid bootloader was found")
    assert lines[at + 1] == "E boot: Encryption flash contents failed (261)"
    assert lines[-1] == "E boot: No bootable app partitions in the partition table"
    assert chip_.efuse.flash_crypt_cnt == 0
    assert chip_.flash.read(0x10000, 1) == b"\xe9"


def test_a_chip_may_be_encrypted_without_a_bootloader_in_flash():
    chip_, config = fresh()
    chip_.flash.erase(0, 0x8000)
    assert boot(chip_, config).ok
    assert chip_.flash.read(0, 16) == b"\xff" * 16


@pytest.mark.parametrize(
    ("row", "lines", "code"),
    [
        (
            Partition("crooked", 1, 0x82, 0x31800, 0x1000, encrypted=True),
            ["E flash_encrypt: esp_flash_encrypt_region bad src_addr 0x31800"],
            -1,
        ),
        (
            Partition("beyond", 1, 0x82, 0x100000, 0x1000, encrypted=True),
            ["E flash_encrypt: flash operation failed: 0x6001"],
            0x6001,
        ),
    ],
)
def test_a_partition_that_cannot_be_encrypted_ends_the_encryption(row, lines, code):
    """The flash is smaller than the bootloader's header says, or a row was not made by the generator."""
    table = PartitionTable([*slots(2), row])
    parts = {0x0: bootloader(), 0x8000: table.to_bytes(), 0x10000: app("1")}
    chip_ = Chip(flash=Flash.from_bytes(merge(parts), size=0x100000), efuse=efuse(flash_crypt_cnt=0))
    report = boot(chip_, replace(CONFIG, secure_flash_enc_enabled=True))
    assert not report.ok
    printed = untimed(report)
    at = printed.index(lines[0])
    assert printed[at : at + 4] == [
        *lines,
        "I flash_encrypt: Done encrypting",
        "E flash_encrypt: Failed to encrypt partition 4",
        f"E boot: Encryption flash contents failed ({code})",
    ]
    assert report.resets == 1  # what was encrypted so far is noise to the next run
    assert printed[-1] == "E boot: load partition table error!"
    assert chip_.efuse.flash_crypt_cnt == 0


@pytest.mark.parametrize("config", [0, 0xF, 5])
def test_esp32_burns_which_key_bits_the_address_flips(config):
    chip_ = Chip(
        "esp32",
        flash=Flash.from_bytes(
            merge({0x8000: PartitionTable(slots(2)).to_bytes(), 0x10000: app("1", "esp32")}), size=0x400000
        ),
        efuse=efuse("esp32", flash_crypt_cnt=0, flash_crypt_config=config),
    )
    report = boot(chip_, replace(CONFIG, secure_flash_enc_enabled=True))
    assert report.ok
    assert chip_.efuse.flash_crypt_config == (config or 0xF)
    lines = untimed(report)
    assert "I flash_encrypt: Setting CRYPT_CONFIG efuse to 0xF" in lines
    assert ("E flash_encrypt: EFUSE_ENCRYPT_CONFIG should be set 0xF but it is 0x5" in lines) is (config == 5)
    assert "I flash_encrypt: flash encryption is enabled (3 plaintext flashes left)" in lines


def test_a_cut_in_the_first_encryption_never_leaves_the_counter_burnt_over_a_half_done_flash():
    """ESP-IDF warns of it: the power must not go away before the counter is burnt."""
    whole, config = fresh()
    base = whole.flash.fork()
    whole.flash.record(True)
    boot(whole, config)
    total = len(whole.flash.journal())
    bricked = 0
    for cut in range(0, total, 5):
        chip_ = Chip(flash=base.fork(), efuse=efuse(flash_crypt_cnt=0))
        chip_.flash.fault = f"cut@{cut}"
        with pytest.raises(PowerLoss):
            boot(chip_, config)
        assert chip_.efuse.flash_crypt_cnt == 0
        chip_.flash.power_on()
        bricked += not boot(chip_, config).ok
    assert bricked > total // 5 // 2


# ------------------------------------------------------------------------------------------------------- power cuts


@pytest.mark.parametrize("torn", ["", ":torn"])
def test_an_encrypted_update_survives_a_cut_at_every_operation(torn):
    lamp = device()
    lamp.power_on()
    ops(lamp).mark_app_valid_cancel_rollback()
    base, partition = lamp.flash.fork(), lamp.report.partition
    lamp.flash.record(True)
    update(lamp, app("2"), step=4096)
    total = len(lamp.flash.journal())
    assert total > 60
    for cut in range(total):
        flash = base.fork()
        chip_ = Chip(flash=flash, efuse=efuse())
        flash.fault = f"cut@{cut}{torn}"
        api = OtaOps(chip_, partition, CONFIG, Log(lambda: 0))
        with pytest.raises(PowerLoss):
            _update(api, app("2"))
        flash.power_on()
        report = boot(chip_, CONFIG)
        assert report.ok, cut
        assert report.app_desc.version in {"1", "2"}


def _update(api: OtaOps, image: bytes) -> None:
    slot = api.get_next_update_partition()
    handle = api.begin(slot, OTA_WITH_SEQUENTIAL_WRITES)
    for at in range(0, len(image), 4096):
        api.write(handle, image[at : at + 4096])
    api.end(handle)
    api.set_boot_partition(slot)
