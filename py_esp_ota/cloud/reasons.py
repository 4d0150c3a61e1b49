"""Why a node ended without its update: the words of firmware, sorted into reasons that somebody can act on. Pure.

The words are those of RainMaker's agent, of today's and of older ones, and the cloud's own. The first row of ``RULES``
whose pattern is found decides; what no row knows is ``OTHER``, and its words are shown as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Reason(StrEnum):
    """A reason, by its short name."""

    NONE = ""

    ROLLED_BACK = "rolled_back"
    NEVER_CONNECTED = "never_connected"
    TEST_ROLLBACK = "test_rollback"
    UNCONFIRMED = "unconfirmed"

    WRONG_PROJECT = "wrong_project"
    SAME_VERSION = "same_version"
    SECURE_VERSION = "secure_version"
    WRONG_CHIP = "wrong_chip"
    TOO_LARGE = "too_large"
    FLASH_MODE = "flash_mode"
    NO_APP = "no_app"
    DAMAGED = "damaged"

    UNREACHABLE = "unreachable"
    SERVER_REFUSED = "server_refused"
    INTERRUPTED = "interrupted"
    MQTT_LOST = "mqtt_lost"
    NO_MEMORY = "no_memory"
    NOT_BEGUN = "not_begun"
    NOT_WRITTEN = "not_written"

    WINDOW_LAPSED = "window_lapsed"
    WINDOW_WRONG = "window_wrong"
    MESSAGE = "message"

    NODE_TIMED_OUT = "node_timed_out"
    JOB_TIMED_OUT = "job_timed_out"
    REMOVED = "removed"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class About:
    """What there is to say of a reason."""

    title: str
    means: str
    do: str
    by: str  # the function of firmware that says so, or the cloud


ROLL_BACKS = frozenset({Reason.ROLLED_BACK, Reason.NEVER_CONNECTED, Reason.TEST_ROLLBACK})
"""The new firmware ran, and the node went back from it."""

_CLOUD = "the cloud"

ABOUT = {
    Reason.ROLLED_BACK: About(
        "Rolled back",
        "The new firmware started and was not confirmed: it crashed, its self-test failed, or it could not connect.",
        "Read the console of one such node while it boots the new image. Do not retry before that.",
        "esp_rmaker_ota_work_fn",
    ),
    Reason.NEVER_CONNECTED: About(
        "Rolled back: never connected",
        "The new firmware ran, but did not reach the broker in the time that it has for it.",
        "Look at Wi-Fi, certificates and the broker's address in the new image; a slow network needs a longer "
        "CONFIG_ESP_RMAKER_OTA_ROLLBACK_WAIT_PERIOD.",
        "esp_ota_rollback",
    ),
    Reason.TEST_ROLLBACK: About(
        "Test build",
        "The new firmware fails on purpose: it was built with CONFIG_ESP_RMAKER_OTA_TEST_ROLLBACK.",
        "Build without that option. This image must not go out.",
        "esp_rmaker_ota_test_handle_post_mqtt",
    ),
    Reason.UNCONFIRMED: About(
        "Running image not confirmed",
        "The firmware that runs now still waits for its own confirmation, and takes no other one before.",
        "Have it confirm itself (esp_rmaker_ota_mark_valid), or restart the node; then retry.",
        "esp_ota_begin",
    ),
    Reason.WRONG_PROJECT: About(
        "Other project",
        "The image was built from another project than the firmware that runs.",
        "Choose the image of this product, or start the job only for the nodes it was built for.",
        "validate_image_header",
    ),
    Reason.SAME_VERSION: About(
        "Same version",
        "The node runs this version already.",
        "Nothing, if that is the image. Else raise the version of the image and upload it again.",
        "validate_image_header",
    ),
    Reason.SECURE_VERSION: About(
        "Secure version too low",
        "The image's secure version is below the one burnt into the node's eFuses.",
        "Build it with CONFIG_BOOTLOADER_APP_SECURE_VERSION at least as high. There is no way back for such a node.",
        "validate_image_header",
    ),
    Reason.WRONG_CHIP: About(
        "Wrong chip",
        "The image is for another chip, or for another revision of it.",
        "Build it for the node's chip and for its lowest revision, or leave these nodes out.",
        "esp_https_ota_perform, esp_mqtt_ota_perform",
    ),
    Reason.TOO_LARGE: About(
        "Image too large",
        "The image does not fit into the node's app slot.",
        "Make the image smaller. A partition table cannot be changed by an update over the air.",
        "esp_ota_write, esp_ota_begin",
    ),
    Reason.FLASH_MODE: About(
        "Other flash mode",
        "The image was built for another SPI flash mode than the firmware that runs.",
        "Build it with the same CONFIG_ESPTOOLPY_FLASHMODE.",
        "esp_https_ota_perform",
    ),
    Reason.NO_APP: About(
        "No app image",
        "What was sent does not begin as an app image, or stopped before its description.",
        "Open the image's link yourself: a login page or an error page is no image. Upload it again if it is damaged.",
        "esp_https_ota_get_img_desc, esp_mqtt_ota_get_img_desc",
    ),
    Reason.DAMAGED: About(
        "Image damaged, or not signed for this node",
        "The image came whole, but its checksum, hash or signature does not hold.",
        "Upload it again and compare its MD5. With secure boot, sign it with the key that the node knows.",
        "esp_ota_end",
    ),
    Reason.UNREACHABLE: About(
        "Server not reached",
        "The node could not connect to where the image is: no route, no name, no TLS, or no answer in time.",
        "Check the address in the cloud's --public-url from the node's network, and its certificate; then retry.",
        "esp_http_client_open",
    ),
    Reason.SERVER_REFUSED: About(
        "Server said no",
        "Where the image is somebody answered, but not with the image: a redirect or a status that is no 200.",
        "Open the link yourself; look for a proxy in between. A link that has expired is made anew by a retry.",
        "_http_handle_response_code",
    ),
    Reason.INTERRUPTED: About(
        "Download interrupted",
        "The connection broke off before the image was whole.",
        "Retry. If it happens to many, send it to fewer nodes at a time: give the job a rate.",
        "esp_https_ota_perform, esp_https_ota_is_complete_data_received",
    ),
    Reason.MQTT_LOST: About(
        "MQTT not connected",
        "The node takes its images over MQTT, and was not connected when it began.",
        "Retry when the node is online.",
        "wait_for_mqtt",
    ),
    Reason.NO_MEMORY: About(
        "Out of memory",
        "The node had not enough memory left for a download.",
        "Free memory in the firmware, above all a second TLS connection; retry right after a restart.",
        "esp_https_ota_begin, ota_url_handler",
    ),
    Reason.NOT_BEGUN: About(
        "Could not begin",
        "The download could not begin; the words name no cause that is sure: no slot for it, or an answer that is "
        "none.",
        "Open the image's link yourself, and see that the node's partition table has two app slots.",
        "esp_https_ota_begin, esp_mqtt_ota_begin",
    ),
    Reason.NOT_WRITTEN: About(
        "Flash could not be written",
        "The image could not be written or made the one to boot.",
        "Retry once; a node that fails again has worn or protected flash, or a damaged otadata partition.",
        "esp_ota_write, esp_ota_set_boot_partition",
    ),
    Reason.WINDOW_LAPSED: About(
        "Validity was over",
        "The job's validity had ended when the node looked at it, by the node's own clock.",
        "Start a new job with a later end. A node whose clock is wrong needs time synchronisation.",
        "esp_rmaker_ota_handle_time",
    ),
    Reason.WINDOW_WRONG: About(
        "Download window without an end",
        "The job's download window has a start and no end.",
        "Start a new job with both.",
        "esp_rmaker_ota_handle_time",
    ),
    Reason.MESSAGE: About(
        "Job not understood",
        "The message with the job did not have what this firmware needs.",
        "Compare the node's RainMaker release with the cloud's; a build for MQTT needs a broker with streams.",
        "ota_url_handler, esp_rmaker_ota_use_mqtt",
    ),
    Reason.NODE_TIMED_OUT: About(
        "No result in the node's time",
        "The node had the URL and gave no result within the time that the job gives to each node.",
        "Look whether the node is online, and at its last words; then retry.",
        _CLOUD,
    ),
    Reason.JOB_TIMED_OUT: About(
        "No result in the job's time",
        "The job's time was over before the node had a result.",
        "Start a new job for these nodes, when they are online.",
        _CLOUD,
    ),
    Reason.REMOVED: About(
        "Node removed",
        "The node was removed from the cloud while the job ran.",
        "Nothing: it is no longer there.",
        _CLOUD,
    ),
    Reason.OTHER: About(
        "Something else",
        "The firmware gave a reason of its own.",
        "Read its words below, and the node's console.",
        "the application",
    ),
}
"""What each reason means, and what to do about it."""

# --------------------------------------------------------------------------------------------------------------- words

_HTTP_SAID_NO = r"ESP_ERR_NOT_SUPPORTED|ESP_ERR_HTTP_(NOT_MODIFIED|RANGE_NOT_SAT\w*|REDIRECT_\w*)|ESP_ERR_INVALID_ARG"
_HTTP_SILENT = r"ESP_ERR_HTTP_(CONNECT\w*|EAGAIN|FETCH_HEADER|CONNECTING|WRITE_DATA)|ERROR\b|ESP_ERR_ESP_TLS\w*"
_BEGIN = r"(OTA|ESP HTTPS OTA|ESP MQTT OTA) Begin failed"
_PERFORM = r"OTA failed: (Error )?"

RULES = (
    (r"^Firmware rolled back", Reason.ROLLED_BACK),
    (r"^MQTT did not connect within \d+ seconds|^Firmware verification failed", Reason.NEVER_CONNECTED),
    (r"^TEST_ROLLBACK: ", Reason.TEST_ROLLBACK),
    (r"^Project Name mismatch", Reason.WRONG_PROJECT),
    (r"^Same version received", Reason.SAME_VERSION),
    (r"^Lower secure version received", Reason.SECURE_VERSION),
    (r"^Chip revision mismatch", Reason.WRONG_CHIP),
    (r"^Aborted\. .*memory allocation failed", Reason.NO_MEMORY),
    (r"^Aborted\. |Missing stream_id or filesize", Reason.MESSAGE),
    (r"^OTA download window lapsed", Reason.WINDOW_LAPSED),
    (r"^Invalid download window", Reason.WINDOW_WRONG),
    # What an attempt says stands behind its number; before there were attempts it stood alone.
    (r"ESP_ERR_NO_MEM\b|ESP_ERR_HTTPS_OTA_NO_MEM", Reason.NO_MEMORY),
    (r"MQTT not connected", Reason.MQTT_LOST),
    (rf"({_BEGIN}|Failed to read image description): ({_HTTP_SILENT})", Reason.UNREACHABLE),
    (rf"{_BEGIN}: ({_HTTP_SAID_NO})", Reason.SERVER_REFUSED),
    (rf"{_BEGIN}: ESP_ERR_INVALID_SIZE", Reason.TOO_LARGE),
    (r"ESP_ERR_OTA_ROLLBACK_INVALID_STATE", Reason.UNCONFIRMED),
    (_BEGIN, Reason.NOT_BEGUN),
    (r"Failed to read image des?cription", Reason.NO_APP),
    (rf"{_PERFORM}ESP_ERR_INVALID_VERSI", Reason.WRONG_CHIP),
    (rf"{_PERFORM}ESP_ERR_INVALID_SIZE", Reason.TOO_LARGE),
    (rf"{_PERFORM}ESP_ERR_OTA_SPI_MODE_", Reason.FLASH_MODE),
    (rf"{_PERFORM}ESP_ERR_OTA_ROLLBACK_", Reason.UNCONFIRMED),
    (rf"{_PERFORM}ESP_ERR_OTA_VALIDATE_", Reason.NO_APP),
    (rf"{_PERFORM}ESP_ERR_(FLASH\w*|OTA_\w*|INVALID_STATE|INVALID_ARG|NOT_FOUND)", Reason.NOT_WRITTEN),
    (rf"{_PERFORM}|Complete data was not received", Reason.INTERRUPTED),
    (r"Image validation failed|OTA finish failed: ESP_ERR_(OTA_VALIDATE|IMAGE)", Reason.DAMAGED),
    (r"OTA finish failed", Reason.NOT_WRITTEN),
    (r"^No result within \d+ s of its URL", Reason.NODE_TIMED_OUT),
    (r"^No result within \d+ s|^No result before the validity ended", Reason.JOB_TIMED_OUT),
    (r"^The node was removed", Reason.REMOVED),
)
"""Patterns, and the reason where one is found. Of two that are, the first one counts."""

_COMPILED = tuple((re.compile(pattern), reason) for pattern, reason in RULES)
_READ = 192
"""Characters: as many as the longest failure text of the agent has."""


def reason_of(status: str, additional_info: str) -> Reason:
    """Why a node that says this is, or will be, without its update; ``NONE`` where nothing is wrong."""
    return _reason(additional_info[:_READ]) if status in {"failed", "rejected"} else Reason.NONE


@lru_cache(1024)  # a fleet that fails does so in the same few words
def _reason(words: str) -> Reason:
    return next((reason for pattern, reason in _COMPILED if pattern.search(words)), Reason.OTHER)
