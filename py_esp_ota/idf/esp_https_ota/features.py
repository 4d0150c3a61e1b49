"""What ``esp_https_ota`` does differently from one ESP-IDF release to another: a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from py_esp_ota.idf.features import Version, since

#: The first release of each maintained line that has a feature, the newest line last.
SINCE: Mapping[str, tuple[Version, ...]] = {
    "trusts_by_any_option": ((4, 3, 4), (4, 4, 0)),
    "short_server_error": ((4, 3, 1), (4, 4, 0)),
    "refuses_every_error_status": ((4, 3, 1), (4, 4, 0)),
    "follows_303_and_308": ((4, 3, 3), (4, 4, 2), (5, 0, 0)),
    "reads_header_first": ((4, 3, 3), (4, 4, 1), (5, 0, 0)),
    "checks_chip_id": ((4, 3, 3), (4, 4, 1), (5, 0, 0)),
    "tells_read_error": ((4, 3, 2), (4, 4, 0)),
    "counts_header_once": ((4, 3, 3), (4, 4, 0)),
    "tells_boot_failure": ((4, 4, 7), (5, 0, 5), (5, 1, 3), (5, 2, 0)),
    "names_head_failure": ((4, 4, 1),),
    "whispers_end": ((4, 4, 0),),
    "init_cb_before_head": ((4, 4, 3), (5, 0, 0)),
    "prefixed_options": ((5, 0, 0),),
    "tells_timeout": ((5, 0, 0),),
    "long_header": ((5, 0, 0),),
    "events": ((5, 0, 1), (5, 1, 0)),
    "counts_what_it_reads": ((5, 0, 6), (5, 1, 3), (5, 2, 0)),
    "encrypted_header": ((5, 0, 6), (5, 1, 3), (5, 2, 0)),
    "limits_authorization": ((5, 1, 0),),
    "erases_image_alone": ((5, 3, 0),),
    "names_partition": ((5, 4, 0),),
    "tells_status": ((5, 0, 8), (5, 1, 5), (5, 2, 4), (5, 3, 2), (5, 4, 0)),
    "resumption": ((5, 5, 0),),
    "knows_304_and_416": ((5, 5, 0),),
    "checks_chip_revision": ((5, 5, 0),),
    "staging_partition": ((5, 5, 0),),
    "fails_without_answer": ((5, 5, 0),),
    "keeps_connection": ((5, 4, 4), (5, 5, 2), (6, 0, 0)),
    "wants_whole_blocks": ((5, 5, 2),),
    "rounds_resume_offset": ((5, 5, 3), (6, 0, 0)),
    "asks_range_always": ((5, 5, 4), (6, 0, 0)),
    "writes_data_as_it_comes": ((5, 5, 4), (6, 0, 0)),
    "head_fallback": ((6, 0, 0),),
    "partial_is_optional": ((6, 0, 0),),
    "asks_ota_ops": ((6, 1, 0),),
    "head_304": ((6, 2, 0),),
}


@dataclass(frozen=True, slots=True)
class HttpsOtaFeatures:
    """What one release has."""

    trusts_by_any_option: bool  # before: by cert_pem alone
    short_server_error: bool  # its text; before: "Server error occurred"
    refuses_every_error_status: bool  # before: 403, 404 and 500 alone
    follows_303_and_308: bool  # they are redirects, not images
    reads_header_first: bool  # before the first byte is written; before: only when the app asks for the descriptor
    checks_chip_id: bool  # before the first byte is written
    tells_read_error: bool  # a connection that breaks has a line
    counts_header_once: bool  # when the app has looked at it
    tells_boot_failure: bool  # finish fails when the boot slot cannot be chosen; before, it only prints that
    names_head_failure: bool  # its status or error; before: that there is no length
    whispers_end: bool  # "Connection closed" is for debugging
    init_cb_before_head: bool  # http_client_init_cb is called before any request
    prefixed_options: bool  # CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP; before: CONFIG_OTA_ALLOW_HTTP
    tells_timeout: bool  # of a read, to who debugs
    long_header: bool  # 1024 bytes and a look at the descriptor's magic word; before: 289 bytes and none
    events: bool  # ESP_HTTPS_OTA_EVENT
    counts_what_it_reads: (
        bool  # the header once also when no app has looked: before, the next range is asked too far on
    )
    encrypted_header: bool  # enc_img_header_size
    limits_authorization: bool  # max_authorization_retries; before, a 401 is asked again for ever
    erases_image_alone: bool  # with bulk_flash_erase; before, the whole partition
    names_partition: bool  # in "Writing to"
    tells_status: bool  # esp_https_ota_get_status_code
    resumption: bool  # ota_resumption
    knows_304_and_416: bool  # ESP_ERR_HTTP_NOT_MODIFIED, ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE
    checks_chip_revision: bool  # and posts ESP_HTTPS_OTA_VERIFY_CHIP_REVISION
    staging_partition: bool  # partition.staging, partition.final
    fails_without_answer: bool  # to a challenge; before, the request is sent again as it was
    keeps_connection: bool  # between two ranges
    wants_whole_blocks: bool  # a buffer of a multiple of 16 bytes, with flash encryption; until offsets are rounded
    rounds_resume_offset: bool  # to 16 bytes with flash encryption
    asks_range_always: bool  # a resumable download asks for bytes=0- too, wants 206, starts over with a new connection
    writes_data_as_it_comes: bool  # what is no image has no header; before, 1024 bytes are read first
    head_fallback: bool  # no HEAD: a GET of one byte tells the length
    partial_is_optional: bool  # ESP_HTTPS_OTA_ENABLE_PARTIAL_DOWNLOAD
    asks_ota_ops: bool  # esp_ota_check_image_validity judges the header, SPI mode included
    head_304: bool  # 304 to the HEAD is ESP_ERR_HTTP_NOT_MODIFIED; the GET of one byte has the statuses of any request


@lru_cache
def https_ota_features(version: Version) -> HttpsOtaFeatures:
    """The features of one release."""
    return HttpsOtaFeatures(**{name: since(version, releases) for name, releases in SINCE.items()})


NEWEST = https_ota_features(max(releases[-1] for releases in SINCE.values()))
