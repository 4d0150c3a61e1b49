"""``esp_https_ota``: what it makes of the first bytes of an image, release by release."""

from __future__ import annotations

from py_esp_ota._core import AppDesc, BootloaderDesc, ImageHeader
from py_esp_ota.errors import EspErr, EspError, HttpsOtaError, ImageError
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.esp_https_ota.config import IMAGE_HEADER_SIZE, TAG, Event, OnEvent
from py_esp_ota.idf.esp_https_ota.features import HttpsOtaFeatures
from py_esp_ota.idf.partition import TYPE_APP

DESC_OFFSET = 32
_SHORT_HEADER_SIZE = DESC_OFFSET + 256 + 1
_APP_DESC_MAGIC = bytes.fromhex("3254cdab")


def header_size(features: HttpsOtaFeatures) -> int:
    """``IMAGE_HEADER_SIZE``: bytes that are read before anything is written."""
    return IMAGE_HEADER_SIZE if features.long_header else _SHORT_HEADER_SIZE


def app_desc(data: bytes, features: HttpsOtaFeatures) -> AppDesc | None:
    """The app descriptor in 256 bytes; ``None`` for a wrong magic word, which older releases do not look at."""
    try:
        return AppDesc.from_bytes(data if features.long_header else _APP_DESC_MAGIC + data[len(_APP_DESC_MAGIC) :])
    except ImageError:
        return None


def bootloader_desc(data: bytes) -> BootloaderDesc | None:
    """The bootloader descriptor in 80 bytes; ``None`` for a wrong magic byte."""
    try:
        return BootloaderDesc.from_bytes(data)
    except ImageError:
        return None


def verify_image(ops: OtaOps, features: HttpsOtaFeatures, final_type: int, data: bytes, post: OnEvent) -> None:
    """``esp_https_ota_verify_image``: chip, chip revision and SPI flash mode, as far as the release looks at them.

    Raises ``HttpsOtaError``: ESP_ERR_INVALID_VERSION, ESP_ERR_OTA_SPI_MODE_MISMATCH, ESP_FAIL for a header too short.
    """
    try:
        header = ImageHeader.from_bytes(data)
    except ImageError as error:  # what a callback left of it; upstream reads on behind it
        raise HttpsOtaError(EspErr.ESP_FAIL, "{why}", why=str(error)) from error
    if features.checks_chip_id:
        post(Event.VERIFY_CHIP_ID, header.chip_id)
        if not features.asks_ota_ops:
            _require_chip_id(ops, header)
    if not features.checks_chip_revision:
        return
    post(Event.VERIFY_CHIP_REVISION, header.min_chip_rev_full)
    looks_at_mode = features.asks_ota_ops and ops.config.esp_https_ota_verify_spi_mode and final_type == TYPE_APP
    desc = app_desc(data[DESC_OFFSET:], features) if looks_at_mode else None
    try:
        ops.judge_image_header(final_type, header, desc)
    except EspError as error:
        raise HttpsOtaError(error.err, "{why}", why=str(error)) from error


def _require_chip_id(ops: OtaOps, header: ImageHeader) -> None:
    """``esp_ota_verify_chip_id``."""
    expected = ops.chip.target.chip_id
    if header.chip_id != expected:
        ops.log.error(TAG, f"Mismatch chip id, expected {expected}, found {header.chip_id}")
        what = "the image is for chip id {found}, this is {expected}"
        raise HttpsOtaError(EspErr.ESP_ERR_INVALID_VERSION, what, found=header.chip_id, expected=expected)
