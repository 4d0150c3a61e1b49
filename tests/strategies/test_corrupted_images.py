"""Images with one fault: the judge finds it, and names it as the image says."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import Phase, find, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from py_esp_ota import EspErr, inspect_image, strategies
from py_esp_ota.strategies import DEVICE_FAULT_KINDS, FAULT_KINDS, bench_of, corrupted_images, images

# Nobody reads an explanation of what find() gives, and it takes longer than to shrink it.
QUIET = settings(database=None, max_examples=3000, derandomize=True, phases=[Phase.generate, Phase.shrink])
THOROUGH = settings().max_examples > 100  # HYPOTHESIS_PROFILE=slow
ONLY = {"signature": 12, "app_desc": 7, "block_revision": 12}  # how many chips have the rule, where not all do


def smallest(strategy, condition=lambda _: True, seed=0):
    return find(strategy, condition, settings=QUIET, random=random.Random(seed))


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_the_judge_refuses_and_names_the_field(kind):
    @given(corrupted_images(faults=[kind], signed=None))
    def holds(corrupted):
        fault = corrupted.fault
        assert fault.kind == kind
        assert corrupted.faults()[0] == (fault.err, fault.field), fault
        assert fault.what

    holds()


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_a_chip_refuses_it_as_well(kind):
    """A look at a file knows a few things that a chip cannot see, such as where the file ends."""

    @settings(max_examples=max(1, settings().max_examples // 3))
    @given(corrupted_images(faults=[kind]))
    def holds(corrupted):
        verdict = corrupted.verdict()
        if kind != "truncated":
            assert verdict.err == corrupted.fault.err
            assert verdict.fault.field == corrupted.fault.field
            assert (verdict.assertion is not None) == ("wraps at 0x80000000" in corrupted.fault.what)
            assert (verdict.crash is not None) == corrupted.fault.crashes == (kind == "one_word")

    holds()


def test_an_image_that_makes_a_chip_reset_is_sound_to_the_same_release_without_anti_rollback():
    @settings(max_examples=max(1, settings().max_examples // 3))
    @given(corrupted_images(faults=["one_word"]))
    def holds(corrupted):
        assert corrupted.bench.load(corrupted.data).crash
        assert replace(corrupted.bench, anti_rollback=False).load(corrupted.data).err == 0
        assert len(inspect_image(corrupted.data).findings) == 1

    holds()


@pytest.mark.parametrize("kind", ["checksum", "hash", "congruence", "chip_id", "app_desc", "data_len", "segment_count"])
def test_nothing_but_the_fault_is_wrong(kind):
    """A walk that goes on finds no second fault, unless the first leaves no way on."""

    @settings(max_examples=max(1, settings().max_examples // 3))
    @given(corrupted_images(faults=[kind]))
    def holds(corrupted):
        found = corrupted.faults()
        assert found[0] == (corrupted.fault.err, corrupted.fault.field)
        if kind not in {"data_len", "segment_count"}:
            assert len(found) == 1

    holds()


def test_what_only_a_device_can_see_is_no_fault_of_the_file():
    @given(corrupted_images(faults=[kind for kind in FAULT_KINDS if kind not in ONLY]))
    def holds(corrupted):
        info = inspect_image(corrupted.data, chip=corrupted.bench.chip)
        assert info.valid == (corrupted.fault.found_by != "inspect")
        if corrupted.fault.found_by == "load":
            assert corrupted.bench.verify(corrupted.data).err == 0, "the app sees nothing wrong"

    holds()


def test_the_bench_makes_the_difference():
    """On another chip the same image is sound: revision, eFuse, partition."""

    @given(corrupted_images(faults=["max_revision", "secure_version", "too_large"]))
    def holds(corrupted):
        ordinary = replace(bench_of(corrupted.data), size=None, chip_revision=None, secure_version=0)
        if corrupted.fault.kind == "max_revision":
            most = int(corrupted.fault.what.split("up to ")[1].split(",")[0])
            ordinary = replace(ordinary, chip_revision=most)
        assert ordinary.load(corrupted.data).err == 0

    holds()


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_every_chip_that_has_the_rule_is_drawn(kind):
    """In a thousand images; once all were seen, there is nothing to wait for but a chip that has not got the rule."""
    chips, wanted = set(), ONLY.get(kind, 13)

    @settings(max_examples=25, database=None)
    @given(corrupted_images(faults=[kind]))
    def collect(corrupted):
        chips.add(corrupted.bench.chip)

    for number in range(40):
        if len(chips) < wanted or (kind in ONLY and number < 10):
            seed(number)(collect)()
    assert len(chips) == wanted


# --------------------------------------------------------------------------------------------------------- shrinking


def forgetful(*forgotten):
    """A validator as one finds them: right, but for the rules it forgets."""

    def accepts(corrupted):
        return all(any(word in field for word in forgotten) for _, field in corrupted.faults())

    return accepts


@pytest.mark.parametrize(
    ("forgotten", "kind", "what", "length"),
    [
        ("checksum", "checksum", "the checksum byte is wrong", 336),
        ("hash", "hash", "byte 0 of the SHA-256 is wrong", 336),
        ("chip_id", "chip_id", "the chip id is 2 instead of 0", 336),
        ("magic", "magic", "the first byte is 0x00", 336),
        ("segment_count", "segment_count", "the header counts 17 segments", 336),
        ("min_chip_rev_full", "min_revision", "it needs revision 302, and the chip has 301", 336),
        ("image_len", "too_large", "it has 336 bytes, and its partition 335", 336),
        ("secure_version", "secure_version", "its secure version is 0, and the chip's eFuses say 1", 336),
        ("image header", "truncated", "the file ends after 0 of 336 bytes", 0),
    ][:: 1 if THOROUGH else 2],
)
def test_a_found_bug_comes_down_to_the_smallest_image(forgotten, kind, what, length):
    # What follows from a wrong count or magic is forgotten with it.
    accepts = forgetful(forgotten, *(["segment", "checksum", "hash"] if kind == "segment_count" else []))
    found = smallest(corrupted_images(faults=[kind]), accepts)
    assert (found.bench.chip, found.fault.kind, found.fault.what, len(found.data)) == ("esp32", kind, what, length)


@pytest.mark.parametrize("seed", range(3 if THOROUGH else 1))
def test_among_all_faults_the_forgotten_one_is_found(seed):
    found = smallest(corrupted_images(), forgetful("checksum"), seed)
    assert found.fault.what == "the checksum byte is wrong"
    assert (found.bench.chip, len(found.data), found.data[1]) == ("esp32", 336, 2)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"faults": ["rust"]}, r"faults has 'rust'; known: magic, chip_id, "),
        ({"faults": []}, r"faults is empty"),
        ({"faults": ["block_revision"], "chips": ["esp32"]}, r"no chip of esp32 has a rule that block_revision would"),
        ({"chips": ["esp32h4"], "signed": True, "faults": ["magic"]}, r"no signature scheme is known for esp32h4"),
    ],
)
def test_what_cannot_be_corrupted(options, sentence):
    with pytest.raises(InvalidArgument, match=sentence):
        find(corrupted_images(**options), lambda _: True)


def test_a_failing_example_can_be_read():
    found = smallest(corrupted_images(faults=["checksum"]))
    words = "336 bytes, 2 segments, project '0', version '0', secure version 0, checksum is 0x"
    assert repr(found.data).startswith(f'rebuilt("esp32 image: {words}')
    assert len(repr(found)) < 600
    signed = smallest(corrupted_images(faults=["signature"]))
    assert len(repr(signed)) < 3000  # 1200 bytes of a key and its signature are random
    assert "signed" in repr(signed.data)
    assert bytes(found.data) == found.data


@given(corrupted_images(faults=FAULT_KINDS))
def test_a_failing_example_can_be_had_again(corrupted):
    again = eval(repr(corrupted), {**vars(strategies), "EspErr": EspErr})
    assert again == corrupted
    assert type(again.data) is type(corrupted.data)
    assert again.faults() == corrupted.faults()


@given(images())
def test_a_valid_one_too(image):
    assert eval(repr(image), vars(strategies)) == image


def test_a_text_that_no_image_printed_is_refused():
    for text in ("nonsense", "0" * 40, "'"):
        with pytest.raises(ValueError):
            strategies.rebuilt("words", text)


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_kinds_that_need_a_device_are_marked(kind):
    """Any image of the kind says so."""

    @settings(max_examples=5, database=None)
    @given(corrupted_images(faults=[kind]))
    def holds(corrupted):
        assert (kind in DEVICE_FAULT_KINDS) == (corrupted.fault.found_by != "inspect")

    holds()


@given(corrupted_images())
def test_a_validator_of_files_is_asked_only_for_what_a_file_shows(corrupted):
    assert corrupted.fault.kind not in DEVICE_FAULT_KINDS
    assert not inspect_image(corrupted.data, chip=corrupted.bench.chip).valid


@given(st.data())
def test_a_fault_is_a_value(data):
    corrupted = data.draw(corrupted_images())
    assert corrupted == replace(corrupted)
    assert hash(corrupted) == hash(replace(corrupted))
    assert corrupted.fault.err in EspErr
