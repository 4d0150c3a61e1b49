"""Hypothesis strategies: images, flashes, faults and jobs to search with, and a device that is used at random.

They need the extra ``[test]``. Everything drawn is valid by construction unless its name says otherwise, comes from
the forge and never from the judge, and shrinks to the smallest of its kind: a found bug ends as one segment on the
first chip.

::

    @given(images())
    def test_my_validator_takes_what_a_chip_takes(image):
        assert my_validator(image)

    @given(corrupted_images())
    def test_my_validator_refuses_what_a_chip_refuses(corrupted):
        assert not my_validator(corrupted.data), corrupted.fault.what    # and prints as what rebuilds it

    TestDevice = DeviceMachine.TestCase    # random updates, cuts, reboots, confirmations and rollbacks
"""

from __future__ import annotations

from py_esp_ota.extras import missing

try:
    import hypothesis  # noqa: F401
except ModuleNotFoundError as error:
    raise missing("py_esp_ota.strategies", "test", error) from None

from py_esp_ota.strategies.bench import Bench, bench_of
from py_esp_ota.strategies.corrupted import (
    DEVICE_FAULT_KINDS,
    FAULT_KINDS,
    CorruptedImage,
    ImageFault,
    corrupted_images,
)
from py_esp_ota.strategies.images import bootloaders, images
from py_esp_ota.strategies.jobs import OtaJobRequest, ota_jobs, ota_urls
from py_esp_ota.strategies.machine import DeviceMachine
from py_esp_ota.strategies.nvs import NvsItem, nvs_contents, write_nvs
from py_esp_ota.strategies.otadata import OtaData, otadata
from py_esp_ota.strategies.plans import CUT_MODELS, FAULT_SIDES, fault_plans
from py_esp_ota.strategies.shown import rebuilt
from py_esp_ota.strategies.tables import partition_tables

__all__ = [
    "CUT_MODELS",
    "DEVICE_FAULT_KINDS",
    "FAULT_KINDS",
    "FAULT_SIDES",
    "Bench",
    "CorruptedImage",
    "DeviceMachine",
    "ImageFault",
    "NvsItem",
    "OtaData",
    "OtaJobRequest",
    "bench_of",
    "bootloaders",
    "corrupted_images",
    "fault_plans",
    "images",
    "nvs_contents",
    "ota_jobs",
    "ota_urls",
    "otadata",
    "partition_tables",
    "rebuilt",
    "write_nvs",
]
