"""Images that are valid by construction: whatever is drawn, every look of the chip says yes."""

from __future__ import annotations

import random

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from py_esp_ota import Chip, Flash, PartitionTable, Sdkconfig, inspect_image
from py_esp_ota._core import EFuse, Target, signature_blocks, verify_image
from py_esp_ota.firmware import CHIPS, merge
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.strategies import bench_of, bootloaders, images
from py_esp_ota.strategies.sizes import SCHEMES

# Nobody reads an explanation of what find() gives, and it takes longer than to shrink it.
QUIET = settings(database=None, max_examples=2000, derandomize=True, phases=[Phase.generate, Phase.shrink])
THOROUGH = settings().max_examples > 100  # HYPOTHESIS_PROFILE=slow
FACTORY_ALONE = PartitionTable.from_csv("factory,app,factory,0x10000,2M")


def smallest(strategy, condition=lambda _: True, seed=0):
    return find(strategy, condition, settings=QUIET, random=random.Random(seed))


@given(images())
def test_every_look_says_yes(image):
    info = inspect_image(image)
    assert info.valid, [(fault.field, fault.found) for fault in info.faults]
    assert info.kind == "app"
    bench = bench_of(image)
    for verdict in (bench.verify(image), bench.load(image)):
        assert verdict.err == 0, verdict.fault and (verdict.fault.field, verdict.fault.found)
        assert verdict.assertion is None


@pytest.mark.parametrize("chip", CHIPS)
def test_on_every_chip_they_boot(chip):
    @settings(max_examples=max(1, settings().max_examples // 6))
    @given(images(chips=[chip], signed=False))
    def boots(image):
        assert inspect_image(image).chip == chip
        flash = Flash.from_bytes(merge({0x8000: FACTORY_ALONE.to_bytes(), 0x10000: image}), size=0x400000)
        report = boot(Chip(chip, flash=flash), Sdkconfig())
        assert report.ok, report.why

    boots()


@pytest.mark.parametrize("chip", [chip for chip in CHIPS if SCHEMES[chip]])
def test_signed_ones_are_signed_by_a_scheme_of_the_chip(chip):
    @settings(max_examples=5)
    @given(images(chips=[chip], signed=True))
    def holds(image):
        [block] = signature_blocks(image)
        assert block.verified
        assert block.scheme in SCHEMES[chip]
        assert bench_of(image).key_digests == (block.key_digest,)
        assert bench_of(image).verify(image).err == 0

    holds()


def test_what_is_varied_is_varied():
    seen = {"chips": set(), "segments": set(), "kinds": set(), "hash": set(), "trailing": set(), "signed": set()}
    versions, secure_versions, idf_versions, bounds, lengths = set(), set(), set(), set(), set()

    @settings(max_examples=600, derandomize=True)
    @given(images())
    def collect(image):
        info = inspect_image(image)
        seen["chips"].add(info.chip)
        seen["segments"].add(len(info.segments))
        seen["kinds"] |= {segment.kind for segment in info.segments}
        seen["hash"].add(info.header.hash_appended)
        seen["trailing"].add(info.trailing > 0)
        seen["signed"].add(bool(info.signature))
        versions.add(info.app_desc.version)
        secure_versions.add(info.app_desc.secure_version)
        idf_versions.add(info.app_desc.idf_ver)
        bounds.add((info.header.min_chip_rev_full, info.header.max_chip_rev_full))
        lengths.add(len(image))

    collect()
    assert seen == {
        "chips": set(CHIPS),
        "segments": {2, 3, 4},
        "kinds": {"map", "load", "padding"},
        "hash": {0, 1},
        "trailing": {False, True},
        "signed": {False, True},
    }
    assert len(versions) > 100
    assert secure_versions >= {0, 1, 16}
    assert len(idf_versions) == 3
    assert len(bounds) > 12
    assert len(lengths) > 30


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (336, {}),
        (304, {"hash_appended": False}),
        (0x1000, {}),
        (0x1001, {}),
        (0x10000, {}),
        (0xFFFF, {}),
        (0xFFF0, {"trailing": False}),
        (0xFFFF, {"trailing": True}),
        (0x2000, {"signed": True}),
        (0x3000, {"signed": True}),
        (0x10000, {"signed": True}),
        (0x11000, {}),
        (0x100000, {"max_segments": 16, "min_segments": 16}),
    ],
)
def test_one_size(size, options):
    @settings(max_examples=20)
    @given(images(min_size=size, max_size=size, **options))
    def holds(image):
        assert len(image) == size
        assert inspect_image(image).valid
        assert bench_of(image).load(image).err == 0

    holds()


@given(st.data(), st.integers(0, 0x3000), st.integers(0, 0x3000))
def test_sizes_between(data, one, other):
    low, high = sorted((one, other))
    try:
        image = data.draw(images(min_size=low, max_size=high, max_segments=16))
    except InvalidArgument as refused:
        assert "size" in str(refused)  # noqa: PT017
        assert high < 336 or high - low < 16
        return
    assert low <= len(image) <= high
    assert inspect_image(image).valid


@pytest.mark.parametrize("seed", range(3 if THOROUGH else 1))
def test_they_shrink_to_one_segment_on_the_first_chip(seed):
    image = smallest(images(), seed=seed)
    info = inspect_image(image)
    assert (info.chip, len(image), len(info.segments)) == ("esp32", 336, 2)
    assert (info.app_desc.project_name, info.app_desc.version, info.app_desc.secure_version) == ("0", "0", 0)
    assert not info.signature


@pytest.mark.parametrize(
    ("condition", "facts"),
    [
        (lambda info: len(info.segments) > 2, ("esp32", 3, 352)),
        (lambda info: info.app_desc.secure_version >= 3, ("esp32", 2, 336)),
        (lambda info: info.chip == "esp32c6", ("esp32c6", 2, 336)),
        (lambda info: not info.header.hash_appended, ("esp32", 2, 304)),
        (lambda info: any(s.kind == "load" and s.length > 99 for s in info.segments), ("esp32", 3, 448)),
    ],
)
def test_they_shrink_to_what_matters(condition, facts):
    info = inspect_image(smallest(images(), lambda image: condition(inspect_image(image))))
    assert (info.chip, len(info.segments), info.length) == facts


def test_a_bootloader_is_judged_as_one_where_it_belongs():
    @given(bootloaders())
    def holds(image):
        info = inspect_image(image)
        assert info.valid
        assert info.kind == "bootloader"
        offset = Target(info.chip).bootloader_offset
        flash = Flash.from_bytes(merge({offset: image}), size=0x400000)
        verdict = verify_image(flash, offset, 0x8000 - offset, efuse=EFuse(info.chip), build="bootloader")
        assert verdict.err == 0, verdict.fault and verdict.fault.field

    holds()
    assert inspect_image(smallest(bootloaders())).chip == "esp32"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"chips": ["esp8266"]}, r"chips has 'esp8266'; known: esp32, esp32s2, "),
        ({"chips": "esp32"}, r"chips is the text 'esp32', expected a collection of names, such as \['esp32'\]"),
        ({"chips": []}, r"chips is empty: there is nothing to draw from"),
        ({"signed": 1}, r"signed is 1, expected True, False, or None for either"),
        ({"signed": True, "trailing": True}, r"a signed image has no trailing bytes"),
        ({"signed": True, "chips": ["esp32h4"]}, r"no signature scheme is known for esp32h4"),
        ({"max_segments": 1, "min_segments": 1}, r"min_segments is 1, expected 2 to 16"),
        ({"max_segments": 17}, r"max_segments is 17, expected 2 to 16"),
        ({"min_segments": 5}, r"min_segments is 5 and max_segments is 4: nothing lies between"),
        ({"min_segments": 1.5}, r"min_segments is 1.5, expected a whole number"),
        ({"max_size": 303}, r"max_size is 303 bytes; the smallest such image has 304"),
        ({"max_size": 335, "hash_appended": True}, r"max_size is 335 bytes; the smallest such image has 336"),
        ({"max_size": 8191, "signed": True}, r"max_size is 8191 bytes; the smallest such image has 8192"),
        ({"min_size": 1001, "max_size": 1007, "trailing": False}, r"1001 to 1007 bytes: its size is a multiple of 16"),
        ({"min_size": 8193, "max_size": 9000, "signed": True}, r"8193 to 9000 bytes: its size is a multiple of 4096"),
        ({"min_size": 1 << 24}, r"min_size is 16777216, expected 0 to 8388608"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence_when_it_is_drawn(options, sentence):
    strategy = images(**options)
    with pytest.raises(InvalidArgument, match=sentence):
        find(strategy, lambda _: True)


def test_chips_and_bootloaders_that_there_are_not():
    with pytest.raises(InvalidArgument, match="chips has 'esp8266'"):
        find(bootloaders(chips=["esp8266"]), lambda _: True)
    with pytest.raises(ValueError, match="the image names no chip"):
        bench_of(b"")
