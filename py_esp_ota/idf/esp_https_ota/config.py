"""``esp_https_ota.h``: the configuration of an update, its states and events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from py_esp_ota._core import Partition
from py_esp_ota.errors import EspErr, EspError, HttpsOtaError
from py_esp_ota.idf.esp_http_client.client import HttpClient
from py_esp_ota.idf.esp_http_client.config import HttpClientConfig
from py_esp_ota.idf.esp_https_ota.features import HttpsOtaFeatures
from py_esp_ota.sdkconfig import Sdkconfig

TAG = "esp_https_ota"
IMAGE_HEADER_SIZE = 1024
DEFAULT_REQUEST_SIZE = 64 * 1024


class Event(IntEnum):
    """``esp_https_ota_event_t``, as numbered since v5.5: before, all after VERIFY_CHIP_ID are one less."""

    START = 0
    CONNECTED = 1
    GET_IMG_DESC = 2
    VERIFY_CHIP_ID = 3
    VERIFY_CHIP_REVISION = 4
    DECRYPT_CB = 5
    WRITE_FLASH = 6
    UPDATE_BOOT_PARTITION = 7
    FINISH = 8
    ABORT = 9


class State(IntEnum):
    """``esp_https_ota_state``."""

    INIT = 0
    BEGIN = 1
    IN_PROGRESS = 2
    SUCCESS = 3
    RESUME = 4


OnEvent = Callable[[Event, int | None], None]
#: ``decrypt_cb_t``: what came in, to what may be written. Raises ``EspError``. To give nothing, for it waits for more,
#: ends ``esp_https_ota()``.
DecryptCb = Callable[[bytes], bytes]
#: ``http_client_init_cb_t``: may set headers. Raises ``EspError``.
HttpClientInitCb = Callable[[HttpClient], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpsOtaConfig:
    """``esp_https_ota_config_t``.

    Attributes:
        http_config: the HTTP client's configuration.
        http_client_init_cb: called with the client before it connects.
        bulk_flash_erase: erase as much as the image is long before the first write, not as the data comes.
        partial_http_download: ask for one range after the other.
        max_http_request_size: bytes of one range; 0 stands for 65536.
        ota_resumption: go on where an earlier download stopped.
        ota_image_bytes_written: bytes of the image that lie in the staging partition already; counts from 1024 on.
        decrypt_cb: takes the encryption off a pre-encrypted image.
        enc_img_header_size: bytes of such an image that are not written.
        staging: where the image is written; the next update slot when not given.
        final: what the image is meant for, when that is another partition.
        finalize_with_copy: copy it there at the end.
    """

    http_config: HttpClientConfig
    http_client_init_cb: HttpClientInitCb | None = None
    bulk_flash_erase: bool = False
    partial_http_download: bool = False
    max_http_request_size: int = 0
    ota_resumption: bool = False
    ota_image_bytes_written: int = 0
    decrypt_cb: DecryptCb | None = None
    enc_img_header_size: int = 0
    staging: Partition | None = None
    final: Partition | None = None
    finalize_with_copy: bool = False

    @property
    def request_size(self) -> int:
        """Bytes of one range of a partial download."""
        return self.max_http_request_size or DEFAULT_REQUEST_SIZE

    def resume_offset(self, *, encrypted: bool, features: HttpsOtaFeatures) -> int:
        """Where the download goes on: at what is written, if that is a header at least, in whole blocks of a cipher."""
        if not self.ota_resumption or self.ota_image_bytes_written < IMAGE_HEADER_SIZE:
            return 0
        rounds = encrypted and features.rounds_resume_offset
        return self.ota_image_bytes_written & ~0xF if rounds else self.ota_image_bytes_written

    def require_built(self, features: HttpsOtaFeatures, build: Sdkconfig) -> None:
        """What this build of an app does not have: upstream, such a configuration would not compile.

        Raises ``HttpsOtaError`` (ESP_ERR_NOT_SUPPORTED).
        """
        optional = features.partial_is_optional
        for wanted, there, what in (
            (self.ota_resumption, features.resumption, "ota_resumption"),
            (self.staging or self.final, features.staging_partition, "a staging or final partition"),
            (
                self.partial_http_download,
                build.esp_https_ota_enable_partial_download or not optional,
                "partial_http_download without ESP_HTTPS_OTA_ENABLE_PARTIAL_DOWNLOAD",
            ),
            (self.enc_img_header_size, features.encrypted_header, "enc_img_header_size"),
            (
                self.decrypt_cb or self.enc_img_header_size,
                build.esp_https_ota_decrypt_cb,
                "decrypt_cb without ESP_HTTPS_OTA_DECRYPT_CB",
            ),
        ):
            if wanted and not there:
                raise not_in_this_build(what, build)


def not_in_this_build(what: str, build: Sdkconfig) -> HttpsOtaError:
    """ESP_ERR_NOT_SUPPORTED for what upstream would not compile or link."""
    version = "v" + ".".join(str(number) for number in build.idf_version)
    text = "{what} is not in this build with ESP-IDF {version}"
    return HttpsOtaError(EspErr.ESP_ERR_NOT_SUPPORTED, text, what=what, version=version)


def esp_err_to_name(error: EspError) -> str:
    """``esp_err_to_name``: ``ERROR`` for a code that the table does not hold."""
    return "ERROR" if "code" in error.fact else error.err.name
