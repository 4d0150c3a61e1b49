"""Build options as one value: Kconfig names without ``CONFIG_``, Kconfig defaults.

Two devices with different bootloaders live in one process because nothing here is global.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import lru_cache
from types import UnionType
from typing import Literal, Self, get_args, get_origin, get_type_hints

from py_esp_ota.brief import brief

#: What Kconfig's own defaults have otherwise than the RainMaker examples, which this package starts from.
_KCONFIG_DEFAULTS = {"bootloader_app_rollback_enable": False}

#: Fields that no line of an ``sdkconfig`` sets.
_NOT_IN_FILES = frozenset({"idf_version", "rainmaker_version", "well_formed_json", "secure_boot_verification_key"})

_STREAM_REQUEST = 128 * 1024  # MQTT_OTA_MAX_BYTES_PER_REQUEST

_HEADING = re.compile(r"#.*\(ESP-IDF\) v?(\d+)\.(\d+)(?:\.(\d+))?")
_BLANK = " \t\r\n\ufeff"  # the last is the mark that some editors begin a file with
_UNSET = re.compile(r"# CONFIG_(\w+) is not set")
_SET = re.compile(r"CONFIG_(\w+)=(.*)")

SignatureScheme = Literal["ecdsa_v1", "rsa3072", "ecdsa192", "ecdsa256", "ecdsa384"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sdkconfig:
    """The options of one firmware build and of the bootloader it was flashed with.

    >>> from py_esp_ota import Sdkconfig
    >>> Sdkconfig(bootloader_app_anti_rollback=True)  # what is not as usual
    Sdkconfig(bootloader_app_anti_rollback=True)
    >>> Sdkconfig.from_text("CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y").bootloader_app_rollback_enable
    True

    Field names are Kconfig's, in lower case. The defaults are those of ESP-IDF and of the RainMaker examples, which
    differ from bare ESP-IDF in one point: ``bootloader_app_rollback_enable`` is on.
    """

    #: The ESP-IDF release whose behaviour is meant where it changed. No Kconfig option: sdkconfig's heading says it.
    idf_version: tuple[int, int, int] = (6, 2, 0)
    #: The release of RainMaker, of its component ``esp_rainmaker``, likewise. Before 1.0.0: ``(0, year, month)``.
    rainmaker_version: tuple[int, int, int] = (1, 16, 0)
    #: The chip that a build is for, ``None`` when its file does not say it. Nothing here depends on it.
    idf_target: str | None = None

    #: Whether a RainMaker node writes JSON as others do: texts escaped, and a report that is too long shortened where
    #: upstream cuts through it. No Kconfig option: upstream never does.
    well_formed_json: bool = False

    # ESP-IDF: components/bootloader/Kconfig.*, components/partition_table/Kconfig.projbuild
    bootloader_app_rollback_enable: bool = True
    bootloader_app_anti_rollback: bool = False
    bootloader_app_sec_ver_size_efuse_field: int | None = None  # bits; None: as many as the chip has
    bootloader_factory_reset: bool = False
    bootloader_num_pin_factory_reset: int = 4
    bootloader_factory_reset_pin_high: bool = False
    bootloader_ota_data_erase: bool = False
    bootloader_data_factory_reset: str = "nvs"  # labels, separated by commas and blanks
    bootloader_app_test: bool = False
    bootloader_num_pin_app_test: int = 18
    bootloader_app_test_pin_high: bool = False
    bootloader_hold_time_gpio: int = 5  # seconds
    bootloader_skip_validate_in_deep_sleep: bool = False
    bootloader_skip_validate_on_power_on: bool = False
    bootloader_skip_validate_always: bool = False
    bootloader_reserve_rtc_mem: bool = False
    partition_table_offset: int = 0x8000
    partition_table_md5: bool = True

    # ESP-IDF: Kconfig, menu "Compiler options", and components/hal/Kconfig: 0 = off, 1 = silent, 2 = with a message
    compiler_optimization_assertion_level: int = 2
    hal_default_assertion_level: int | None = None  # None: as the one above

    # ESP-IDF: Kconfig
    idf_env_bringup: bool = False  # how v5.5 builds for the ESP32-C5, then new to it

    # ESP-IDF: components/freertos/Kconfig
    freertos_unicore: bool = False

    # ESP-IDF: components/bootloader/Kconfig.projbuild, menu "Security features"
    secure_boot: bool = False
    secure_boot_v1_enabled: bool = False
    secure_boot_v2_enabled: bool = False
    secure_boot_require_already_enabled: bool = False
    secure_boot_allow_unused_digest_slots: bool = False
    secure_boot_enable_aggressive_key_revoke: bool = False
    secure_signed_apps_no_secure_boot: bool = False
    secure_signed_on_boot_no_secure_boot: bool = False
    secure_signed_on_update_no_secure_boot: bool = True
    secure_signed_apps_ecdsa_scheme: bool = False  # version 1 of the signature, ESP32
    secure_signed_apps_rsa_scheme: bool = False
    secure_signed_apps_ecdsa_v2_scheme: bool = False
    secure_boot_ecdsa_key_len_192_bits: bool = False
    secure_boot_ecdsa_key_len_256_bits: bool = False
    secure_boot_ecdsa_key_len_384_bits: bool = False
    #: The public key that version 1 signatures are checked with: 64 bytes, X then Y. Kconfig names a file.
    secure_boot_verification_key: bytes | None = None
    secure_flash_enc_enabled: bool = False
    secure_flash_encryption_aes128_derived: bool = False  # ESP32-C2: half a key block
    secure_flash_encryption_aes256: bool = False  # two key blocks
    secure_flash_encryption_mode_release: bool = False
    secure_flash_uart_bootloader_allow_dec: bool = False
    secure_flash_uart_bootloader_allow_cache: bool = False
    secure_flash_pseudo_round_func: bool | None = None  # None: as the mode has it, on in release mode
    secure_boot_allow_jtag: bool = False
    secure_boot_allow_rom_basic: bool = False
    secure_flash_require_already_enabled: bool = False
    secure_flash_encrypt_only_image_len_in_app_part: bool = False

    # ESP-IDF: components/soc/<chip>/Kconfig.mmu, components/spi_flash/Kconfig
    mmu_page_size: int | None = None  # bytes; None: what a build for this chip and flash size gets
    spi_flash_dangerous_write_aborts: bool = True
    spi_flash_dangerous_write_fails: bool = False
    spi_flash_dangerous_write_allowed: bool = False

    # ESP-IDF: components/nvs_flash/Kconfig
    nvs_encryption: bool = False
    nvs_legacy_dup_keys_compatibility: bool = False

    # ESP-IDF: components/nvs_sec_provider/Kconfig; without HMAC a key partition under flash encryption
    nvs_sec_key_protect_using_hmac: bool = False
    nvs_sec_hmac_efuse_key_id: int = -1  # of the key blocks 0 to 5

    # ESP-IDF: components/esp_https_ota/Kconfig, components/esp_http_client/Kconfig
    esp_https_ota_allow_http: bool = False
    esp_https_ota_decrypt_cb: bool = False
    esp_https_ota_enable_partial_download: bool = False  # since v6.0; before, every build has it
    esp_https_ota_verify_spi_mode: bool = True  # since v6.1

    esp_http_client_enable_basic_auth: bool = False
    esp_http_client_enable_digest_auth: bool | None = None  # None: as the release has it, on before v5.0 and off since

    # ESP RainMaker: components/esp_rainmaker/Kconfig.projbuild
    esp_rmaker_ota_autofetch: bool = True
    esp_rmaker_ota_autofetch_period: int = 0  # hours, 0 = off
    esp_rmaker_skip_version_check: bool = False
    esp_rmaker_skip_project_name_check: bool = False
    esp_rmaker_skip_secure_version_check: bool = False
    esp_rmaker_ota_rollback_wait_period: int = 90  # seconds
    esp_rmaker_ota_rollback_report_failed: bool = False
    esp_rmaker_ota_test_rollback: bool = False
    esp_rmaker_ota_test_rollback_count: int = 100  # per job; 0: without end
    esp_rmaker_ota_disable_auto_reboot: bool = False
    esp_rmaker_ota_time_support: bool = True
    esp_rmaker_ota_progress_support: bool = False
    esp_rmaker_ota_progress_interval: int = 10  # per cent
    esp_rmaker_ota_max_retries: int = 3  # total attempts
    esp_rmaker_ota_retry_delay_minutes: int = 5
    esp_rmaker_ota_http_rx_buffer_size: int = 1024
    esp_rmaker_http_ota_resumption: bool = True  # needs ESP-IDF v5.5
    esp_rmaker_ota_use_mqtt: bool = False  # the other of the choice is esp_rmaker_ota_use_https
    esp_rmaker_mqtt_ota_block_size: int = 4096  # bytes
    esp_rmaker_mqtt_ota_no_of_blocks: int = 16  # per request; at most 128 KiB
    esp_rmaker_mqtt_ota_max_retries: int = 3  # requests again in a row
    esp_rmaker_mqtt_ota_block_wait_sec: int = 10
    esp_rmaker_mqtt_use_basic_ingest_topics: bool = True
    esp_rmaker_mqtt_enable_budgeting: bool = True
    esp_rmaker_mqtt_default_budget: int = 100
    esp_rmaker_mqtt_max_budget: int = 1024
    esp_rmaker_mqtt_budget_revive_period: int = 5  # seconds
    esp_rmaker_mqtt_budget_revive_count: int = 1
    esp_rmaker_max_param_data_size: int = 1024
    esp_rmaker_connectivity_report_delay: int = 5  # seconds
    esp_rmaker_cmd_resp_enable: bool = True
    esp_rmaker_param_cmd_resp_enable: bool = True
    esp_rmaker_param_cmd_resp_buffer_size: int = 2048
    esp_rmaker_def_timezone: str = "Asia/Shanghai"
    esp_rmaker_self_claim: bool = False
    esp_rmaker_assisted_claim: bool = False
    esp_rmaker_read_mqtt_host_from_config: bool = False
    esp_rmaker_mqtt_host: str = "mqtt.rainmaker.espressif.com"
    esp_rmaker_read_node_id_from_cert_cn: bool = False

    # ESP RainMaker: esp-rainmaker-common/Kconfig
    esp_rmaker_mqtt_port_8883: bool = False  # the other choice is 443
    esp_rmaker_mqtt_send_username: bool = True
    esp_rmaker_mqtt_product_name: str = "RMDev"
    esp_rmaker_mqtt_product_version: str = "1x0"
    esp_rmaker_mqtt_product_sku: str = "EX00"
    esp_rmaker_mqtt_keep_alive_interval: int = 120  # seconds
    esp_rmaker_factory_partition_name: str = "fctry"
    esp_rmaker_factory_namespace: str = "rmaker_creds"

    # ESP RainMaker's common part: Kconfig
    esp_rmaker_max_mqtt_subscriptions: int = 10

    def __repr__(self) -> str:
        return brief(self)

    def __post_init__(self) -> None:
        """Raise ``TypeError`` naming the option, what was found and what is expected."""
        for name, kinds, expected in _kinds():
            value = getattr(self, name)
            if type(value) not in kinds:
                raise TypeError(f"{name} is {value!r}, of type {type(value).__name__}; expected {expected}")
        for name in ("idf_version", "rainmaker_version"):
            version = getattr(self, name)
            if len(version) != 3 or any(type(part) is not int for part in version):
                raise TypeError(f"{name} is {version!r}; expected three numbers, as in (5, 5, 1)")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The options in an ``sdkconfig`` file, as ``idf.py`` writes it.

        What the file leaves out has Kconfig's default, not RainMaker's: rollback is off unless the file says so.
        Options unknown here are passed over, and the heading tells the release. Raises ``ValueError`` naming the
        line for what no ``sdkconfig`` holds, or the options that exclude each other.
        """
        found: dict[str, object] = dict(_KCONFIG_DEFAULTS)
        kinds = {field.name: str(field.type) for field in fields(cls)}
        for number, raw in enumerate(text.splitlines(), 1):
            line = raw.strip(_BLANK)
            if heading := _HEADING.match(line):
                found["idf_version"] = tuple(int(part or 0) for part in heading.groups())
            elif unset := _UNSET.fullmatch(line):
                _put(found, kinds, unset[1].lower(), "n", number)
            elif line and not line.startswith("#"):
                option = _SET.fullmatch(line)
                if option is None:
                    raise ValueError(f"line {number}: {line!r} is no CONFIG_NAME=value")
                _put(found, kinds, option[1].lower(), option[2], number)
        config = cls(**found)  # type: ignore[arg-type]
        config.check()
        return config

    def to_text(self) -> str:
        """The options as ``from_text`` reads them: the heading, and what differs from Kconfig's defaults.

        What no ``sdkconfig`` says is left out: RainMaker's release, and the key of version 1 signatures.
        """
        usual = Sdkconfig.from_text("")
        lines = [f"# Espressif IoT Development Framework (ESP-IDF) {'.'.join(map(str, self.idf_version))}"]
        for name, value in ((field.name, getattr(self, field.name)) for field in fields(self)):
            if name in _NOT_IN_FILES or value is None or value == getattr(usual, name):
                continue
            if value is False:
                lines.append(f"# CONFIG_{name.upper()} is not set")
            else:
                lines.append(f"CONFIG_{name.upper()}={_spelled(value)}")
        return "\n".join([*lines, ""])

    def check(self) -> None:
        """What Kconfig would not let one choose. Raises ``ValueError`` naming the options."""
        for broken, why in (
            (
                self.bootloader_app_anti_rollback and not self.bootloader_app_rollback_enable,
                "BOOTLOADER_APP_ANTI_ROLLBACK needs BOOTLOADER_APP_ROLLBACK_ENABLE",
            ),
            (
                self.bootloader_app_anti_rollback and self.bootloader_app_test,
                "BOOTLOADER_APP_TEST cannot be had with BOOTLOADER_APP_ANTI_ROLLBACK",
            ),
            (
                self.secure_signed_on_boot
                and (self.bootloader_skip_validate_always or self.bootloader_skip_validate_on_power_on),
                "BOOTLOADER_SKIP_VALIDATE_ALWAYS and _ON_POWER_ON cannot be had when the bootloader checks signatures",
            ),
            (
                self.partition_table_offset % 0x1000 != 0,
                f"PARTITION_TABLE_OFFSET is 0x{self.partition_table_offset:x}, expected a multiple of 0x1000",
            ),
            (
                self.secure_boot_v1_enabled and self.secure_boot_v2_enabled,
                "SECURE_BOOT_V1_ENABLED and SECURE_BOOT_V2_ENABLED exclude each other",
            ),
            (
                self.nvs_sec_key_protect_using_hmac and not 0 <= self.nvs_sec_hmac_efuse_key_id <= 5,
                f"NVS_SEC_HMAC_EFUSE_KEY_ID is {self.nvs_sec_hmac_efuse_key_id}, expected 0 to 5",
            ),
            (
                self.esp_rmaker_ota_test_rollback and not self.bootloader_app_rollback_enable,
                "ESP_RMAKER_OTA_TEST_ROLLBACK needs BOOTLOADER_APP_ROLLBACK_ENABLE",
            ),
            (
                not 256 <= self.esp_rmaker_mqtt_ota_block_size <= _STREAM_REQUEST,
                f"ESP_RMAKER_MQTT_OTA_BLOCK_SIZE is {self.esp_rmaker_mqtt_ota_block_size}, expected 256 to 131072",
            ),
            (
                not 1 <= self.esp_rmaker_mqtt_ota_no_of_blocks * self.esp_rmaker_mqtt_ota_block_size <= _STREAM_REQUEST,
                "ESP_RMAKER_MQTT_OTA_BLOCK_SIZE times ESP_RMAKER_MQTT_OTA_NO_OF_BLOCKS is not 1 to 131072 bytes",
            ),
        ):
            if broken:
                raise ValueError(why)

    @property
    def secure_signed_on_boot(self) -> bool:
        """``SECURE_SIGNED_ON_BOOT``: the bootloader looks at the signatures of apps."""
        without = self.secure_signed_apps_no_secure_boot and self.secure_signed_apps_ecdsa_scheme
        return self.secure_boot or (without and self.secure_signed_on_boot_no_secure_boot)

    @property
    def secure_signed_on_update(self) -> bool:
        """``SECURE_SIGNED_ON_UPDATE``: the app looks at the signature of an update."""
        without = self.secure_signed_apps_no_secure_boot
        return self.secure_boot or (without and self.secure_signed_on_update_no_secure_boot)

    @property
    def signature_scheme(self) -> SignatureScheme | None:
        """How apps of this build are signed; ``None`` when they are not."""
        if not (self.secure_boot or self.secure_signed_apps_no_secure_boot):
            return None
        if self.secure_boot_v1_enabled or self.secure_signed_apps_ecdsa_scheme:
            return "ecdsa_v1"
        if not self.secure_signed_apps_ecdsa_v2_scheme:
            return "rsa3072"
        if self.secure_boot_ecdsa_key_len_384_bits:
            return "ecdsa384"
        return "ecdsa192" if self.secure_boot_ecdsa_key_len_192_bits else "ecdsa256"


def _spelled(value: bool | int | str) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return "y" if value is True else str(value)


@lru_cache
def _kinds() -> tuple[tuple[str, frozenset[type], str], ...]:
    """Each option, the types its values have, and their names; a bool is no number here."""
    hints = get_type_hints(Sdkconfig)
    found = []
    for field in fields(Sdkconfig):
        hint = hints[field.name]
        kinds = frozenset(
            get_origin(kind) or kind for kind in (get_args(hint) if get_origin(hint) is UnionType else (hint,))
        )
        found.append((field.name, kinds, str(field.type)))
    return tuple(found)


def heading_release(text: str) -> bool:
    """Whether an ``sdkconfig`` says in its heading which release it is of."""
    return any(_HEADING.match(line.strip(_BLANK)) for line in text.splitlines())


def _put(found: dict[str, object], kinds: dict[str, str], name: str, value: str, number: int) -> None:
    """One option as a value of its field's kind; an unknown one is passed over."""
    kind = kinds.get(name)
    if kind is None or name == "secure_boot_verification_key":
        return
    if kind.startswith("bool"):
        if value not in {"y", "n"}:
            raise ValueError(f"line {number}: CONFIG_{name.upper()} is {value}, expected y or n")
        found[name] = value == "y"
    elif kind.startswith("str"):
        if len(value) < 2 or value[0] != '"' or value[-1] != '"':
            raise ValueError(f"line {number}: CONFIG_{name.upper()} is {value}, expected text in quotes")
        found[name] = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    elif value != "n":  # an unset number has its default
        try:
            found[name] = int(value, 0)
        except ValueError:
            raise ValueError(f"line {number}: CONFIG_{name.upper()} is {value}, expected a number") from None
