"""Everything that can go wrong, in ESP-IDF's own names and numbers.

::

    EspError                      .err: EspErr   .fact: the numbers   str() is made from both
    ├── FlashError                the flash refused an operation
    ├── PartitionTableError       a partition table is malformed
    ├── ImageError                an image is refused
    ├── OtaError                  esp_ota_ops said no
    ├── HttpsOtaError             esp_https_ota said no
    └── NvsError                  nvs_flash said no
    FetchError, MqttError         the world's fault; raised by adapters only
    PowerLoss(BaseException)      not an error: the end of this life of the device

Python misuse (a wrong type, a negative size) is ``TypeError`` or ``ValueError``. RainMaker's outcomes
(``rejected``, ``delayed``) are values, never exceptions.
"""

from __future__ import annotations

from enum import IntEnum


class EspErr(IntEnum):
    """``esp_err_t``: the codes this package can produce (components/esp_common/include/esp_err.h and friends)."""

    ESP_FAIL = -1
    ESP_OK = 0
    ESP_ERR_NO_MEM = 0x101
    ESP_ERR_INVALID_ARG = 0x102
    ESP_ERR_INVALID_STATE = 0x103
    ESP_ERR_INVALID_SIZE = 0x104
    ESP_ERR_NOT_FOUND = 0x105
    ESP_ERR_NOT_SUPPORTED = 0x106
    ESP_ERR_INVALID_VERSION = 0x10A
    ESP_ERR_NOT_ALLOWED = 0x10D
    ESP_ERR_NVS_NOT_FOUND = 0x1102
    ESP_ERR_NVS_READ_ONLY = 0x1104
    ESP_ERR_NVS_NOT_ENOUGH_SPACE = 0x1105
    ESP_ERR_NVS_REMOVE_FAILED = 0x1108
    ESP_ERR_NVS_KEY_TOO_LONG = 0x1109
    ESP_ERR_NVS_INVALID_STATE = 0x110B
    ESP_ERR_NVS_INVALID_LENGTH = 0x110C
    ESP_ERR_NVS_NO_FREE_PAGES = 0x110D
    ESP_ERR_NVS_VALUE_TOO_LONG = 0x110E
    ESP_ERR_NVS_NEW_VERSION_FOUND = 0x1110
    ESP_ERR_NVS_KEYS_NOT_INITIALIZED = 0x1116
    ESP_ERR_NVS_CORRUPT_KEY_PART = 0x1117
    ESP_ERR_NVS_WRONG_ENCRYPTION = 0x1119
    ESP_ERR_OTA_PARTITION_CONFLICT = 0x1501
    ESP_ERR_OTA_VALIDATE_FAILED = 0x1503
    ESP_ERR_OTA_SMALL_SEC_VER = 0x1504
    ESP_ERR_OTA_ROLLBACK_FAILED = 0x1505
    ESP_ERR_OTA_ROLLBACK_INVALID_STATE = 0x1506
    ESP_ERR_OTA_ALREADY_IN_PROGRESS = 0x1507
    ESP_ERR_OTA_SPI_MODE_MISMATCH = 0x1508
    ESP_ERR_EFUSE_CNT_IS_FULL = 0x1602
    ESP_ERR_NOT_ENOUGH_UNUSED_KEY_BLOCKS = 0x1605
    ESP_ERR_IMAGE_INVALID = 0x2002
    ESP_ERR_FLASH_OP_FAIL = 0x6001
    ESP_ERR_HTTP_MAX_REDIRECT = 0x7001
    ESP_ERR_HTTP_CONNECT = 0x7002
    ESP_ERR_HTTP_WRITE_DATA = 0x7003
    ESP_ERR_HTTP_FETCH_HEADER = 0x7004
    ESP_ERR_HTTP_INVALID_TRANSPORT = 0x7005
    ESP_ERR_HTTP_EAGAIN = 0x7007
    ESP_ERR_HTTP_NOT_MODIFIED = 0x7009
    ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE = 0x700A
    ESP_ERR_HTTP_INCOMPLETE_DATA = 0x700C
    ESP_ERR_HTTP_REDIRECT_DOWNGRADE = 0x700D
    ESP_ERR_HTTP_HEADER_TOO_LONG = 0x700E
    ESP_ERR_HTTPS_OTA_IN_PROGRESS = 0x9001
    ESP_ERR_NVS_SEC_HMAC_KEY_NOT_FOUND = 0xF001
    ESP_ERR_NVS_SEC_HMAC_KEY_GENERATION_FAILED = 0xF003

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}: 0x{self & 0xFFFFFFFF:x}>"


class EspError(Exception):
    """An ``esp_err_t`` other than ``ESP_OK``, with the facts behind it.

    >>> from py_esp_ota import EspError, Flash
    >>> flash = Flash()
    >>> flash.program(0x1000, bytes(1))
    >>> try:
    ...     flash.program(0x1000, bytes([1]))
    ... except EspError as error:
    ...     print(error.err.name, error.fact["found"], error.fact["expected"])
    ESP_ERR_FLASH_OP_FAIL 0x00 0x01, whose 1 bits need an erase first

    ``what`` is a sentence with ``{named}`` holes; ``fact`` fills them. Errors about bytes carry at least
    ``field``, ``offset`` (bytes), ``found`` and ``expected``.
    """

    def __init__(self, err: EspErr | int, what: str = "", /, **fact: object) -> None:
        self.err = EspErr(err)
        self.what = what
        self.fact = fact
        super().__init__(err, what)

    def __str__(self) -> str:
        code = self.err & 0xFFFFFFFF
        name = f"{self.err.name} (0x{code:x})"
        return f"{name}: {self.what.format(**self.fact)}" if self.what else name

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), int(self.err), self.what, self.fact)


def _rebuild(kind: type[EspError], err: int, what: str, fact: dict[str, object]) -> EspError:
    return kind(err, what, **fact)


class FlashError(EspError):
    """The flash refused an operation; ``fact`` names the address."""


class PartitionTableError(EspError):
    """A partition table, as CSV or as bytes, breaks one of ESP-IDF's rules; ``fact`` names the line or row."""


class ImageError(EspError):
    """An image is refused; ``fact`` names field, offset, found and expected."""


class OtaError(EspError):
    """``esp_ota_ops`` returned an error."""


class HttpsOtaError(EspError):
    """``esp_https_ota`` returned an error."""


class NvsError(EspError):
    """``nvs_flash`` returned an error; ``fact`` names the place."""


class FetchError(Exception):
    """The network failed a download: no connection, a lost connection, a time-out.

    ``kind`` is ``"connect"``, ``"closed"`` or ``"timeout"``; ``errno`` is the POSIX number where one is known, else 0.
    """

    def __init__(self, kind: str, message: str = "", errno: int = 0) -> None:
        super().__init__(message or kind)
        self.kind = kind
        self.errno = errno


class MqttError(Exception):
    """The broker is gone or refused: raised by connecting, publishing, subscribing and iterating."""


class PowerLoss(BaseException):
    """The power went away in the middle of a flash operation.

    >>> from py_esp_ota import Flash, PowerLoss
    >>> flash = Flash()
    >>> flash.fault = "cut@1"
    >>> try:
    ...     flash.program(0x1000, b"one")
    ...     flash.program(0x2000, b"two")
    ... except PowerLoss as cut:
    ...     print(cut)
    power lost at flash operation 1

    A ``BaseException`` on purpose: no application's ``except Exception`` may survive a power cut. ``operation`` is the
    number of flash operations that completed since the fault plan was armed.
    """

    def __init__(self, operation: int = 0) -> None:
        super().__init__(f"power lost at flash operation {operation}")
        self.operation = operation


class Restart(BaseException):
    """``esp_restart()``: the running app ends here and the bootloader starts again. Never an error."""
