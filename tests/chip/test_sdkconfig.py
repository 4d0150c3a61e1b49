"""``sdkconfig`` files: options by Kconfig's names and defaults, refusals by line."""

from __future__ import annotations

import pytest

from py_esp_ota.sdkconfig import Sdkconfig

FILE = """\
#
# Automatically generated file. DO NOT EDIT.
# Espressif IoT Development Framework (ESP-IDF) 5.4.1 Project Configuration
#
CONFIG_SOC_ADC_SUPPORTED=y
CONFIG_IDF_TARGET="esp32s3"
CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y
# CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK is not set
CONFIG_BOOTLOADER_FACTORY_RESET=y
CONFIG_BOOTLOADER_NUM_PIN_FACTORY_RESET=9
CONFIG_BOOTLOADER_DATA_FACTORY_RESET="nvs, \\"odd\\" one"
CONFIG_PARTITION_TABLE_OFFSET=0x10000
CONFIG_MMU_PAGE_SIZE=0x10000
CONFIG_PARTITION_TABLE_MD5=y
"""


def test_a_file_is_read_by_kconfigs_names():
    config = Sdkconfig.from_text(FILE)
    assert config.idf_version == (5, 4, 1)
    assert config.bootloader_app_rollback_enable
    assert not config.bootloader_app_anti_rollback
    assert (config.bootloader_factory_reset, config.bootloader_num_pin_factory_reset) == (True, 9)
    assert config.bootloader_data_factory_reset == 'nvs, "odd" one'
    assert config.partition_table_offset == 0x10000
    assert config.mmu_page_size == 0x10000


def test_what_a_file_leaves_out_has_kconfigs_default_not_rainmakers():
    assert not Sdkconfig.from_text("").bootloader_app_rollback_enable
    assert Sdkconfig().bootloader_app_rollback_enable
    assert Sdkconfig.from_text("") == Sdkconfig(bootloader_app_rollback_enable=False)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("garbage", "line 2: 'garbage' is no CONFIG_NAME=value"),
        ("CONFIG_BOOTLOADER_APP_TEST=maybe", "line 2: CONFIG_BOOTLOADER_APP_TEST is maybe, expected y or n"),
        ("CONFIG_PARTITION_TABLE_OFFSET=here", "line 2: CONFIG_PARTITION_TABLE_OFFSET is here, expected a number"),
        ("CONFIG_BOOTLOADER_DATA_FACTORY_RESET=nvs", "expected text in quotes"),
        ("CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK=y", "needs BOOTLOADER_APP_ROLLBACK_ENABLE"),
        (
            "CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y\nCONFIG_BOOTLOADER_APP_ANTI_ROLLBACK=y\nCONFIG_BOOTLOADER_APP_TEST=y",
            "BOOTLOADER_APP_TEST cannot be had with",
        ),
        ("CONFIG_SECURE_BOOT=y\nCONFIG_BOOTLOADER_SKIP_VALIDATE_ALWAYS=y", "when the bootloader checks signatures"),
        ("CONFIG_SECURE_BOOT_V1_ENABLED=y\nCONFIG_SECURE_BOOT_V2_ENABLED=y", "exclude each other"),
        ("CONFIG_PARTITION_TABLE_OFFSET=0x8001", "PARTITION_TABLE_OFFSET is 0x8001, expected a multiple of 0x1000"),
    ],
)
def test_what_no_sdkconfig_holds_is_refused_by_line(line, says):
    with pytest.raises(ValueError, match=says):
        Sdkconfig.from_text("# a comment\n" + line)


SCHEMES = [
    ({}, None),
    ({"secure_boot": True, "secure_boot_v2_enabled": True, "secure_signed_apps_rsa_scheme": True}, "rsa3072"),
    ({"secure_boot": True, "secure_boot_v1_enabled": True}, "ecdsa_v1"),
    ({"secure_signed_apps_no_secure_boot": True, "secure_signed_apps_ecdsa_scheme": True}, "ecdsa_v1"),
    ({"secure_signed_apps_no_secure_boot": True, "secure_signed_apps_ecdsa_v2_scheme": True}, "ecdsa256"),
    (
        {
            "secure_boot": True,
            "secure_signed_apps_ecdsa_v2_scheme": True,
            "secure_boot_ecdsa_key_len_384_bits": True,
        },
        "ecdsa384",
    ),
]


@pytest.mark.parametrize(("options", "scheme"), SCHEMES)
def test_the_signature_scheme_follows_from_the_options(options, scheme):
    assert Sdkconfig(**options).signature_scheme == scheme


def test_which_build_looks_at_signatures():
    boot = Sdkconfig(secure_boot=True, secure_boot_v2_enabled=True)
    assert (boot.secure_signed_on_boot, boot.secure_signed_on_update) == (True, True)
    signed = Sdkconfig(secure_signed_apps_no_secure_boot=True, secure_signed_apps_rsa_scheme=True)
    assert (signed.secure_signed_on_boot, signed.secure_signed_on_update) == (False, True)
    assert not Sdkconfig().secure_signed_on_update


def test_signed_apps_are_always_validated():
    with pytest.raises(ValueError, match="SKIP_VALIDATE"):
        Sdkconfig(secure_boot=True, secure_boot_v2_enabled=True, bootloader_skip_validate_always=True).check()


def test_an_option_whose_default_follows_the_release():
    assert Sdkconfig.from_text("").esp_http_client_enable_digest_auth is None
    assert Sdkconfig.from_text("CONFIG_ESP_HTTP_CLIENT_ENABLE_DIGEST_AUTH=y").esp_http_client_enable_digest_auth is True
    unset = "# CONFIG_ESP_HTTP_CLIENT_ENABLE_DIGEST_AUTH is not set"
    assert Sdkconfig.from_text(unset).esp_http_client_enable_digest_auth is False


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"bootloader_app_rollback_enable": "y"}, "is 'y', of type str; expected bool"),
        ({"bootloader_app_rollback_enable": 1}, "is 1, of type int; expected bool"),
        ({"partition_table_offset": "0x8000"}, "is '0x8000', of type str; expected int"),
        ({"partition_table_offset": True}, "is True, of type bool; expected int"),
        ({"mmu_page_size": 1.5}, "is 1.5, of type float; expected int | None"),
        ({"bootloader_data_factory_reset": None}, "is None, of type NoneType; expected str"),
        ({"secure_boot_verification_key": "key"}, "is 'key', of type str; expected bytes | None"),
        ({"idf_version": "v5.5"}, "is 'v5.5', of type str; expected tuple"),
        ({"idf_version": (5, 5)}, r"is \(5, 5\); expected three numbers"),
        ({"idf_version": (5, "5", 1)}, r"is \(5, '5', 1\); expected three numbers"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(options, says):
    with pytest.raises(TypeError, match=f"^{next(iter(options))} {says}"):
        Sdkconfig(**options)


def test_a_text_may_begin_with_a_byte_order_mark():
    assert Sdkconfig.from_text("\ufeff" + FILE) == Sdkconfig.from_text(FILE)
    assert Sdkconfig.from_text("\ufeffCONFIG_PARTITION_TABLE_MD5=n\n").partition_table_md5 is False


def test_a_file_says_its_chip_and_a_heading_without_a_patch_is_the_first():
    assert Sdkconfig.from_text(FILE).idf_target == "esp32s3"
    assert Sdkconfig.from_text("# Framework (ESP-IDF) 5.5 Project Configuration\n").idf_version == (5, 5, 0)
