"""What an app says of itself by the texts that are compiled into it.

``esp_ota_ops.c`` is linked function by function, and each brings its texts along. Errors are printed by every build but
one without logs, so a text of another function there makes a missing one mean something. The texts are the same from
v3.3 on.
"""

from __future__ import annotations

#: Of ``esp_ota_current_ota_is_workable``, which both marks are made of, whichever is called.
_MARKS = b"Running firmware is factory\0"
#: Of ``esp_ota_begin``, in builds with ``BOOTLOADER_APP_ROLLBACK_ENABLE`` alone.
_ROLLBACK = b"Running app has not confirmed state (ESP_OTA_IMG_PENDING_VERIFY)\0"
#: Of ``esp_ota_begin``'s companions, which are linked where an update is taken.
_WRITES = b"OTA image has invalid magic byte (expected 0xE9, saw 0x%02x"
#: Other errors of the same file.
_OTHERS = (_WRITES, b"not found the handle\0", b"write data is invalid\0", b"not found otadata\0")


def confirms(app: bytes) -> bool | None:
    """Whether an app has the code of ``esp_ota_mark_app_valid_cancel_rollback``; ``None``: its bytes do not tell.

    That it has it does not mean that it calls it in time.
    """
    if _MARKS in app:
        return True
    return False if any(text in app for text in _OTHERS) else None


def built_with_rollback(app: bytes) -> bool | None:
    """``CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE`` of an app: what its ``esp_ota_set_boot_partition`` writes.

    ``None`` where nothing of ``esp_ota_begin`` is linked, or no errors are printed.
    """
    if _ROLLBACK in app:
        return True
    return False if _WRITES in app else None
