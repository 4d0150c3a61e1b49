"""Whether an offered image may be installed: the header checks, without any I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from py_esp_ota._core import AppDesc
from py_esp_ota.errors import EspErr
from py_esp_ota.rainmaker.features import rmaker_features
from py_esp_ota.sdkconfig import Sdkconfig

PROJECT_NAME_MISMATCH = "Project Name mismatch"
SAME_VERSION = "Same version received"
LOWER_SECURE_VERSION = "Lower secure version received"
CHIP_REVISION_MISMATCH = "Chip revision mismatch"

_XTENSA = frozenset({"esp32", "esp32s2", "esp32s3"})


@dataclass(frozen=True, slots=True)
class HeaderVerdict:
    """``err`` as upstream returns it; ``rejection`` is what the node reports, after a ``warning`` on its console."""

    err: EspErr = EspErr.ESP_OK
    rejection: str | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class _Check:
    option: str  # the Kconfig option that skips it
    refuses: Callable[[AppDesc, AppDesc, int], bool]
    rejection: str
    warning: str  # with the names of both projects


# In upstream's order since 2022; before, the version came first. Names and versions are compared as 32 bytes; a lower
# version is as good as a higher one.
_CHECKS = (
    _Check(
        "esp_rmaker_skip_project_name_check",
        lambda new, running, _efuse: new.project_name_bytes != running.project_name_bytes,
        PROJECT_NAME_MISMATCH,
        "OTA Image built for Project: {new}. Expected: {running}",
    ),
    _Check(
        "esp_rmaker_skip_version_check",
        lambda new, running, _efuse: new.version_bytes == running.version_bytes,
        SAME_VERSION,
        "Current running version is same as the new. We will not continue the update.",
    ),
    _Check(
        "esp_rmaker_skip_secure_version_check",
        lambda new, _running, efuse: new.secure_version < efuse,
        LOWER_SECURE_VERSION,
        "New secure version is lower than stored in efuse. We will not continue the update.",
    ),
)


def validate_image_header(
    new_app_info: AppDesc | None, running: AppDesc, config: Sdkconfig, *, efuse_secure_version: int = 0
) -> HeaderVerdict:
    """``validate_image_header`` (components/esp_rainmaker/src/ota/esp_rmaker_ota.c).

    Args:
        new_app_info: The offered image's descriptor; ``None`` gives ESP_ERR_INVALID_ARG and no report.
        running: The running slot's descriptor.
        config: Which checks the build skips.
        efuse_secure_version: Burnt bits of the eFuse field, as ``idf.efuse.read_secure_version`` counts them.
    """
    if new_app_info is None:
        return HeaderVerdict(EspErr.ESP_ERR_INVALID_ARG)
    first, second, *later = _CHECKS
    in_order = (first, second) if rmaker_features(config.rainmaker_version).rejects else (second, first)
    for check in (*in_order, *later):
        if not getattr(config, check.option) and check.refuses(new_app_info, running, efuse_secure_version):
            warning = check.warning.format(new=new_app_info.project_name, running=running.project_name)
            return HeaderVerdict(EspErr.ESP_FAIL, check.rejection, warning)
    return HeaderVerdict()


def progress_to_report(read: int, file_size: int, last: int, interval: int) -> int | None:
    """The percentage to report after ``read`` bytes, if any: an exact multiple above the last one, neither 0 nor 100.

    ``file_size`` is the message's word, not the server's; ``divides_by_zero`` asks first whether there is one. What is
    below nothing is never reported: a negative quotient, -1 as a RISC-V's quotient by zero, and what 100 times more
    than 21 MB makes of 32 bits.
    """
    hundredfold = (100 * read + (1 << 31)) % (1 << 32) - (1 << 31)
    if file_size == 0 or (hundredfold < 0) is not (file_size < 0):
        return None
    percent = abs(hundredfold) // abs(file_size)
    return percent if percent not in {0, 100} and percent % interval == 0 and percent > last else None


def divides_by_zero(file_size: int, target: str) -> bool:
    """Whether the percentage ends the app: without a ``file_size`` it is a division by zero, and Xtensa has a trap."""
    return file_size == 0 and target in _XTENSA
