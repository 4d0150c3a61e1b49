"""One attempt to install an image, by whatever way it comes: how it ends, and what is asked of the image first."""

from __future__ import annotations

from dataclasses import dataclass

from py_esp_ota._core import AppDesc
from py_esp_ota.errors import EspErr
from py_esp_ota.idf.efuse import read_secure_version
from py_esp_ota.rainmaker.checks import validate_image_header
from py_esp_ota.rainmaker.messages import OtaStatus
from py_esp_ota.rainmaker.ota_handle import TAG, OtaHandle


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt ended: done, failed with a text and worth another one, or rejected for good."""

    err: EspErr
    err_desc: str = ""

    @property
    def rejected(self) -> bool:
        """Whether the job ends here without further attempts."""
        return self.err is EspErr.ESP_ERR_INVALID_STATE


DONE = Attempt(EspErr.ESP_OK)
REJECTED = Attempt(EspErr.ESP_ERR_INVALID_STATE)


def failed(err_desc: str) -> Attempt:
    """An attempt that may be made again."""
    return Attempt(EspErr.ESP_FAIL, err_desc)


def accepts(ota: OtaHandle, new_app_info: AppDesc) -> bool:
    """``validate_image_header`` as the ways call it: a refusal is told on the console and reported."""
    core = ota.core
    core.log.debug(TAG, f"Running firmware version: {core.app.version}")
    secure_version = read_secure_version(core.ops.chip.efuse, core.config)
    verdict = validate_image_header(new_app_info, core.app, core.config, efuse_secure_version=secure_version)
    if verdict.err is EspErr.ESP_OK:
        return True
    if verdict.warning is not None:
        core.log.warning(TAG, verdict.warning)
    if verdict.rejection is not None:
        ota.report_status(OtaStatus.REJECTED if ota.features.rejects else OtaStatus.FAILED, verdict.rejection)
    return False
