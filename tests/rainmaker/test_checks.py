"""The header checks, one by one and in their order."""

from dataclasses import replace

import pytest

from py_esp_ota._core import AppDesc, EFuse
from py_esp_ota.errors import EspErr
from py_esp_ota.firmware import app_desc
from py_esp_ota.idf.efuse import read_secure_version
from py_esp_ota.rainmaker.checks import (
    HeaderVerdict,
    divides_by_zero,
    progress_to_report,
    validate_image_header,
)
from py_esp_ota.sdkconfig import Sdkconfig


def desc(project: str = "lamp", version: str = "1.0", secure_version: int = 0) -> AppDesc:
    return AppDesc.from_bytes(app_desc(project, version, secure_version=secure_version))


def judged(*args, **options) -> HeaderVerdict:
    """The verdict without its warning, which is in test_ota_console.py."""
    return replace(validate_image_header(*args, **options), warning=None)


OK = HeaderVerdict()
PROJECT = HeaderVerdict(EspErr.ESP_FAIL, "Project Name mismatch")
SAME = HeaderVerdict(EspErr.ESP_FAIL, "Same version received")
SECURE = HeaderVerdict(EspErr.ESP_FAIL, "Lower secure version received")


def test_null_new_app_info_is_an_invalid_argument_and_no_report():
    assert judged(None, desc(), Sdkconfig()) == HeaderVerdict(EspErr.ESP_ERR_INVALID_ARG, None)


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        (desc(version="1.1"), OK),
        (desc(version="0.9"), OK),  # lower is as good as higher
        (desc(version=""), OK),
        (desc(), SAME),
        (desc("fan", "1.1"), PROJECT),
        (desc("fan"), PROJECT),  # the project is looked at first
        (desc("Lamp", "1.1"), PROJECT),
        (desc("lamp2", "1.1"), PROJECT),
    ],
)
def test_project_must_be_equal_and_version_different(new, verdict):
    assert judged(new, desc(), Sdkconfig()) == verdict


def test_all_32_bytes_of_a_version_count():
    hidden = bytearray(app_desc("lamp", "1.0"))
    hidden[16 + 31] = 1  # the last byte of version[], behind the NUL
    assert judged(AppDesc.from_bytes(bytes(hidden)), desc(), Sdkconfig()) == OK


@pytest.mark.parametrize(
    ("options", "new", "verdict"),
    [
        ({"esp_rmaker_skip_version_check": True}, desc(), OK),
        ({"esp_rmaker_skip_project_name_check": True}, desc("fan", "1.1"), OK),
        ({"esp_rmaker_skip_project_name_check": True}, desc("fan"), SAME),
        ({"esp_rmaker_skip_version_check": True}, desc("fan"), PROJECT),
        ({"esp_rmaker_skip_version_check": True, "esp_rmaker_skip_project_name_check": True}, desc("fan"), OK),
    ],
)
def test_both_skip_options(options, new, verdict):
    assert judged(new, desc(), Sdkconfig(**options)) == verdict


@pytest.mark.parametrize(
    ("secure_version", "efuse", "skip", "verdict"),
    [(0, 0, False, OK), (1, 1, False, OK), (2, 1, False, OK), (0, 1, False, SECURE), (0, 1, True, OK)],
)
def test_the_secure_version_must_not_be_below_the_efuse(secure_version, efuse, skip, verdict):
    config = Sdkconfig(esp_rmaker_skip_secure_version_check=skip)
    new = desc(version="1.1", secure_version=secure_version)
    assert judged(new, desc(), config, efuse_secure_version=efuse) == verdict


@pytest.mark.parametrize(
    ("options", "burnt", "read"),
    [
        ({}, 3, 3),
        ({}, 9, 4),  # a build without anti-rollback knows of four bits
        ({"bootloader_app_anti_rollback": True, "bootloader_app_rollback_enable": True}, 9, 9),
        (
            {
                "bootloader_app_anti_rollback": True,
                "bootloader_app_rollback_enable": True,
                "bootloader_app_sec_ver_size_efuse_field": 6,
            },
            9,
            6,
        ),
    ],
)
def test_a_build_reads_the_bits_of_the_efuse_that_it_knows(options, burnt, read):
    assert read_secure_version(EFuse("esp32c3", secure_version=burnt), Sdkconfig(**options)) == read


@pytest.mark.parametrize(
    ("size", "target", "ends"),
    [(0, "esp32s3", True), (0, "esp32c3", False), (1, "esp32s3", False), (-1, "esp32", False)],
)
def test_progress_without_a_size_divides_by_zero(size, target, ends):
    assert divides_by_zero(size, target) is ends


@pytest.mark.parametrize(
    ("read", "size", "last", "interval", "reported"),
    [
        (100, 1000, 0, 10, 10),
        (109, 1000, 0, 10, 10),
        (110, 1000, 10, 10, None),
        (99, 1000, 0, 10, None),
        (0, 1000, 0, 10, None),
        (1000, 1000, 90, 10, None),
        (1100, 1000, 90, 10, 110),  # the message said less than the server sent
        (250, 1000, 0, 50, None),
        (500, 1000, 0, 50, 50),
        (500, 0, 0, 10, None),
        (500, -1, 0, 10, None),
    ],
)
def test_progress_is_reported_at_exact_multiples(read, size, last, interval, reported):
    assert progress_to_report(read, size, last, interval) == reported


@pytest.mark.parametrize(
    ("read", "size", "reported"),
    [
        (21_474_836, 42_949_672, 50),  # the last that fits: 2,147,483,600
        (21_474_837, 42_949_674, None),  # 2,147,483,700 is negative in 32 bits
        (42_949_673, 42_949_673, None),  # and 4,294,967,300 is 4
        (64_424_509, 107_374_180, 20),  # 6,442,450,900 is 2,147,483,604
        (21_474_837, -42_949_674, 49),  # less than nothing through less than nothing
    ],
)
def test_progress_above_21_mb_wraps(read, size, reported):
    assert progress_to_report(read, size, last=0, interval=1) == reported
