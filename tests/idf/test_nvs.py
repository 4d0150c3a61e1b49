"""The app's NVS door over the chip's partition: types, namespaces, and what a reset and a power cut do to it."""

from __future__ import annotations

import pytest
from board import Board, slots, table
from nvs_bench import header

from py_esp_ota._core import EFuse, Flash, write_nvs_keys
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, NvsError, PowerLoss
from py_esp_ota.firmware import merge
from py_esp_ota.idf.nvs import ESP_RMAKER_FACTORY_NAMESPACE, ESP_RMAKER_FACTORY_PARTITION_NAME, FlashNvs, nvs_flash_init
from py_esp_ota.sdkconfig import Sdkconfig

CONFIG = Sdkconfig()


@pytest.fixture
def chip():
    return Board(slots(2)).chip


@pytest.fixture
def nvs(chip):
    return FlashNvs(chip, CONFIG)


@pytest.mark.parametrize("value", [b"\x01", "text", 7, -7, 2.5])
def test_a_value_is_kept_as_it_is_until_it_is_erased(nvs, value):
    nvs.set("rmaker_ota", "key", value)
    nvs.reset()
    assert nvs.get("rmaker_ota", "key") == value
    assert nvs.get("other", "key") is None
    nvs.erase("rmaker_ota", "key")
    nvs.erase("rmaker_ota", "key")
    nvs.reset()
    assert nvs.get("rmaker_ota", "key") is None


@pytest.mark.parametrize(("namespace", "key"), [("n" * 16, "k"), ("n", "k" * 16), ("n", "é" * 8)])
def test_names_have_at_most_15_bytes(nvs, namespace, key):
    with pytest.raises(NvsError) as error:
        nvs.set(namespace, key, 1)
    assert error.value.err is EspErr.ESP_ERR_NVS_KEY_TOO_LONG
    assert nvs.get(namespace, key) is None
    nvs.set("n" * 15, "k" * 15, 1)


def test_rainmakers_keys_have_rainmakers_types(nvs, chip):
    nvs.set("rmaker_ota", "rmaker_ota_id", b"job")
    nvs.set("rmaker_ota", "ota_update", b"\x01")
    nvs.set("rmaker_ota", "ota_fail_rsn", "no MQTT")
    nvs.set("rmaker_ota", "ota_fail_jid", "job")
    found = {entry.key: entry.type for entry in nvs_flash_init(chip, CONFIG).entries("rmaker_ota")}
    assert found == {"rmaker_ota_id": "blob", "ota_update": "blob", "ota_fail_rsn": "str", "ota_fail_jid": "str"}


def test_reading_writes_nothing(chip, nvs):
    before = chip.flash.operations
    assert nvs.get("rmaker_ota", "ota_update") is None
    assert chip.flash.operations == before


def test_what_a_power_cut_leaves_is_seen_at_the_next_use(chip, nvs):
    nvs.set("rmaker_ota", "rmaker_ota_id", b"old")
    chip.flash.fault = "cut@2"
    with pytest.raises(PowerLoss):
        nvs.set("rmaker_ota", "rmaker_ota_id", b"new")
    chip.flash.power_on()
    nvs.reset()
    assert nvs.get("rmaker_ota", "rmaker_ota_id") == b"old"


@pytest.mark.parametrize("reason", ["no free page", "a later release"])
def test_a_partition_that_init_refuses_is_erased_and_begun_anew(chip, reason):
    page = header() if reason == "no free page" else header(version=0xFD)
    for number in range(4 if reason == "no free page" else 1):
        chip.flash.program(0x9000 + number * 0x1000, page)
    nvs = FlashNvs(chip, CONFIG)
    with pytest.raises(NvsError):
        nvs_flash_init(chip, CONFIG)
    assert nvs.get("app", "k") is None
    nvs.set("app", "k", 1)
    assert nvs.get("app", "k") == 1
    assert chip.flash.stats.erases == 4


def test_a_table_without_nvs_is_an_error_to_the_app():
    rows = table(("otadata", 1, 0, 0xD000, 0x2000), ("ota_0", 0, 0x10, 0x10000, 0x10000))
    for parts in ({0x8000: rows.to_bytes()}, {0x8000: b"\xff"}):
        nvs = FlashNvs(Chip(flash=Flash.from_bytes(merge(parts)), efuse=EFuse("esp32c3")), CONFIG)
        for call in (lambda nvs=nvs: nvs.get("a", "b"), lambda nvs=nvs: nvs.set("a", "b", 1)):
            with pytest.raises(NvsError) as error:
                call()
            assert error.value.err is EspErr.ESP_ERR_NOT_FOUND


def test_credentials_of_the_factory_partition_are_readable():
    rows = table(("nvs", 1, 2, 0x9000, 0x4000), ("fctry", 1, 2, 0x340000, 0x6000))
    chip = Chip(flash=Flash.from_bytes(merge({0x8000: rows.to_bytes()}), size=0x400000))
    made = nvs_flash_init(chip, CONFIG, ESP_RMAKER_FACTORY_PARTITION_NAME)
    made.open(ESP_RMAKER_FACTORY_NAMESPACE, "readwrite").set("node_id", "blob", b"lamp1")
    factory = FlashNvs(chip, CONFIG, ESP_RMAKER_FACTORY_PARTITION_NAME)
    assert factory.get(ESP_RMAKER_FACTORY_NAMESPACE, "node_id") == b"lamp1"


def test_an_encrypting_build_reads_the_keys_that_a_factory_flashed():
    config = Sdkconfig(nvs_encryption=True)
    rows = table(("nvs", 1, 2, 0x9000, 0x4000), ("nvs_key", 1, 4, 0xD000, 0x1000))
    chip = Chip(flash=Flash.from_bytes(merge({0x8000: rows.to_bytes()})))
    nvs = FlashNvs(chip, config)
    write_nvs_keys(chip.flash, rows[1], bytes(range(64)))
    nvs.set("app", "k", "secret words of the app")
    nvs.reset()
    assert nvs.get("app", "k") == "secret words of the app"
    assert b"secret" not in chip.flash.to_bytes()
    assert FlashNvs(chip, CONFIG).get("app", "k") is None
