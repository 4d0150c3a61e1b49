"""Random flashes go to Espressif's compiled bootloaders and to our model: the same app, the same flash, the same lines.

A small number here; ``make conformance-silicon`` takes many more. What such flashes have shown stands below by name.
"""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace

import pytest
from conformance import Asked, Disagreement, Tally, compare
from flash_text import build as built
from hypothesis import strategies as st
from merging import obeys
from random_flashes import drawn
from rules_reached import ROLLBACK_RULES, RULES, shares
from shrinking import shrunk
from side_by_side import ALL_BUILDS, BUILDS, both, sized

from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.silicon import Machine

FLASHES = 30
ESPFLASH, ROLLBACK, V5_4_1, V5_1_2, V5_1_BETA1 = BUILDS
BUILD = pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)

SLOT = "row ota_0 0 16 0x10000 0x10000"
SOUND = "app 0x10000 made 0x3c000020+desc+0 0x42010128+16"


@pytest.fixture(scope="module")
def machines():
    return {build: Machine("esp32c3") for build in BUILDS}


@pytest.mark.parametrize("build", ALL_BUILDS, ids=str)
def test_both_decide_alike_on_random_flashes(build):
    sized(build)(4)  # skips when it cannot be had
    flashes = FLASHES if build in BUILDS else FLASHES // 2  # the C3's are the ones whose rules are all asked for below
    tally = compare(Asked((build,), "test", flashes), range(flashes))
    assert set(tally.outcomes) >= {"APP", "RESET"}
    assert tally.outcomes.keys() & {"ABORT", "BAD_ENTRY"} or flashes < FLASHES


def test_every_rule_is_reached_by_random_flashes():
    """Asked of our model alone, which is fast; that the bootloaders agree is the business of the others."""
    texts = [drawn(f"reached/{number}") for number in range(2500)]
    plain = shares(boot(built(text, _forged), ESPFLASH.config) for text in texts)
    rollback = shares(boot(built(text, _forged), ROLLBACK.config) for text in texts[:600])
    assert {name: plain[name] for name in RULES if plain[name] < 0.0005} == {}
    assert {name: rollback[name] for name in ROLLBACK_RULES if rollback[name] < 0.02} == {}
    assert plain["loaded"] > 0.3


def _forged(mib):
    from py_esp_ota.firmware import bootloader

    return bootloader(flash_size=mib << 20)


# ------------------------------------------------------------------------------- what such flashes have shown, by name


def agreed(machines, build, *lines):
    """Both sides agree on the flash of these lines; the pair, for what the test says besides."""
    pair = both(machines[build], build, built(("chip", *lines), sized(build)))
    assert pair.differences(logs=build.logs) == []
    return pair


@BUILD
def test_lines_about_segments_of_one_kind_come_in_the_order_of_the_segments(machines, build):
    twice = "app 0x10000 made 0x42000020+desc+0 0x3c010128+8 0x42000138+8 0x3c010148+8"
    pair = agreed(machines, build, SLOT, twice)
    assert pair.silicon.app == 0x10000
    if build.logs:
        assert [line.split()[5] for line in pair.silicon.log[-2:]] == ["IROM", "DROM"]


@BUILD
@pytest.mark.parametrize("base", ["0x3c000020", "0x42000020"], ids=["without IROM", "without DROM"])
def test_an_app_that_lacks_a_window_stops_a_bootloader_with_assertions_and_no_other(machines, build, base):
    pair = agreed(machines, build, SLOT, f"app 0x10000 made {base}+desc+0 0x40380000+16")
    asserts = build.config.compiler_optimization_assertion_level > 0
    assert pair.runs[-1].outcome == ("ABORT" if asserts else "APP")
    assert pair.model.app == (None if asserts else 0x10000)


@BUILD
def test_a_segment_across_the_end_of_its_window_stops_a_bootloader_with_assertions(machines, build):
    for length, inside in ((16, True), (20, False)):
        code = f"0x420{(0xFFF8 + length) >> 16:x}{(0xFFF8 + length) % 0x10000:04x}+16"
        lines = "row ota_0 0 16 0x10000 0x20000", f"app 0x10000 made 0x0+desc+0xfec8 0x3c7ffff0+{length} {code}"
        asserts = build.config.compiler_optimization_assertion_level > 0
        assert (agreed(machines, build, *lines).model.app is None) == (asserts and not inside)


@BUILD
@pytest.mark.parametrize(("page", "inside"), [("0x3c010000", True), ("0x3c000000", False)])
def test_no_bytes_at_the_beginning_of_a_page_end_before_it(machines, build, page, inside):
    """Which is in the window, or not, as it happens; the data of segment 1 begin at 0x20000 in flash."""
    data = f"made 0x0+desc+0xfed8 {page}+0 0x42000008+16"
    pair = agreed(machines, build, "row ota_0 0 16 0x10000 0x20000", f"app 0x10000 {data}")
    asserts = build.config.compiler_optimization_assertion_level > 0
    assert pair.model.app == (0x10000 if inside or not asserts else None)


@BUILD
def test_just_the_code_that_the_bootloader_needs_is_protected_and_not_all_its_room(machines, build):
    behind = {"espflash": 0x403D16E0, "rollback": 0x403D13C8}.get(build.name)
    for address, boots in ((0x403CE70C, True), (0x403CE710, False), (0x403D5000, True), (behind, True)):
        if address is not None:
            pair = agreed(machines, build, SLOT, f"{SOUND} {address:#x}+4")
            assert (pair.model.app == 0x10000) == boots, hex(address)
    if behind is not None:
        assert agreed(machines, build, SLOT, f"{SOUND} {behind - 4:#x}+4").model.app is None


@BUILD
def test_a_chip_older_than_the_bootloader_wants_resets(machines, build):
    pair = agreed(machines, build, "chip revision=2", SLOT, SOUND)
    assert (pair.runs[-1].outcome, pair.model.app) == ("RESET", None)


@BUILD
def test_otadata_off_a_sectors_border_is_written_all_the_same(machines, build):
    rows = "row otadata 1 0 0xd100 0x2000", SLOT, SOUND
    assert [write.address for write in agreed(machines, build, *rows).writes] == [0xD000, 0xD100]
    pair = agreed(machines, build, *rows, "otadata 0xd100 - 1/PENDING_VERIFY!")
    assert pair.model.app == 0x10000
    assert [write.address for write in pair.writes] == [0xE000, 0xE100, 0xD000, 0xD100] * (build is ROLLBACK)


@BUILD
def test_otadata_off_a_words_border_is_erased_and_not_written(machines, build):
    pair = agreed(machines, build, "row otadata 1 0 0xd102 0x2000", SLOT, SOUND)
    assert [(write.kind, write.address) for write in pair.writes] == [("erase", 0xD000)]


@BUILD
def test_an_app_off_a_words_border_is_not_read(machines, build):
    agreed(machines, build, "row ota_0 0 16 0x10002 0x10000", "app 0x10002 plain 1 0x280")


@BUILD
def test_an_app_in_the_middle_of_a_page_boots_when_its_addresses_fit(machines, build):
    pair = agreed(machines, build, "row ota_0 0 16 0x11000 0x10000", "app 0x11000 made 0x3c001020+desc+0 0x42011128+16")
    assert pair.silicon.app == 0x11000


@BUILD
def test_an_erased_table_is_one_without_rows_until_v5_5(machines, build):
    pair = agreed(machines, build, "table gone")
    assert pair.silicon.app is None
    if build.logs:
        assert ("I boot: End of partition table" in pair.silicon.log) == (build.config.idf_version < (5, 5, 0))


def test_a_header_that_promises_more_flash_than_there_is_shows_the_beginning_again(machines):
    """Not as in our model, which says that nothing is there: a difference that is left on purpose."""
    lines = "row otadata 1 0 0x40d000 0x2000", SLOT, "row ota_1 0 17 0x20000 0x10000"
    apps = SOUND, SOUND.replace("0x10000", "0x20000"), "otadata 0xd000 1/VALID 2/VALID"
    pair = both(machines[ESPFLASH], ESPFLASH, built(("chip header=8", *lines, *apps), sized(ESPFLASH)))
    assert (pair.silicon.app, pair.model.app) == (0x20000, None)


def test_an_app_that_ends_behind_the_flash_is_read_on_from_its_beginning(machines):
    """Our model stops at the end of the flash. Both refuse the app, the chip with one line more."""
    lines = "chip", "row app0 0 0 0x3f0000 0x10000", "app 0x3f0000 made 0x0+desc+0xfec8"
    pair = both(machines[ESPFLASH], ESPFLASH, built(lines, sized(ESPFLASH)))
    assert pair.silicon.app is pair.model.app is None
    assert pair.silicon.flash == pair.model.flash
    one_more = "E esp_image: Image length 65552 doesn't fit in partition length 65536"
    assert [line for line in pair.silicon.log if line != one_more] == list(pair.model.log)
    assert one_more in pair.silicon.log


C6 = next(build for build in ALL_BUILDS if build.chip == "esp32c6")
C6_SLOT = ("chip esp32c6", SLOT)


@pytest.mark.parametrize(("length", "boots"), [(16, True), (20, False)])
def test_a_segment_across_the_end_of_the_one_window_stops_the_bootloader_too(length, boots):
    data = f"made 0x0+desc+0xfec8 0x42fffff0+{length} 0x42{(0x1FFF8 + length) & 0xFFFFFF:06x}+16"
    lines = "chip esp32c6", "row ota_0 0 16 0x10000 0x20000", f"app 0x10000 {data}"
    pair = both(Machine(C6.chip), C6, built(lines, sized(C6)))
    assert pair.differences(logs=True) == []
    assert pair.model.app == (0x10000 if boots else None)


@pytest.mark.parametrize(("length", "boots"), [(12, True), (16, False)])
def test_v5_1_wants_a_byte_more_of_the_one_window_than_is_used(length, boots):
    """A build with pages of 32 KB, whose window ends at 0x42800000."""
    old = next(build for build in ALL_BUILDS if (build.name, build.config.mmu_page_size) == ("v5.1-beta1", 0x8000))
    data = f"made 0x0+desc+0x7ec8 0x427ffff0+{length} 0x42{(0x17FF8 + length) & 0xFFFFFF:06x}+16"
    lines = "chip esp32c6", "row ota_0 0 16 0x10000 0x20000", f"app 0x10000 {data}"
    pair = both(Machine(old.chip), old, built(lines, sized(old)))
    assert pair.differences(logs=True) == []
    assert pair.model.app == (0x10000 if boots else None)


def test_an_app_may_overwrite_the_bootloader_on_chips_with_one_address_for_ram():
    """Nothing protects the loader's code there: it breaks while it loads, which our model does not follow."""
    harm = "app 0x10000 made 0x42000020+desc+0 0x4086ed80+256 0x42010230+16"
    plain = "app 0x10000 plain 1 0x280"
    worn = Machine(C6.chip)
    fresh = worn.run(built((*C6_SLOT, plain), sized(C6)))
    for _ in range(3):
        pair = both(worn, C6, built((*C6_SLOT, harm), sized(C6)))
        assert pair.runs[-1].outcome == "ABORT"
        assert (pair.silicon.app, pair.model.app) == (None, 0x10000)
        # The next boot finds the loader whole again.
        assert worn.run(built((*C6_SLOT, plain), sized(C6))) == fresh


# -------------------------------------------------------------------------------------------------------- the shrinker


def test_a_disagreement_is_made_small():
    """Our model with the wrong options stands for a wrong model."""
    wrong = replace(ROLLBACK, config=replace(ROLLBACK.config, bootloader_app_rollback_enable=False), logs=False)
    sized(wrong)(4)
    with pytest.raises(Disagreement) as found:
        compare(Asked((wrong,), "wrong", 500), range(500))
    told = str(pickle.loads(pickle.dumps(found.value)))  # as it comes from a worker
    small = told.partition("made small:")[2].partition("where they still")[0].split("\n")
    assert 3 <= len([line for line in small if line.strip()]) <= 6, told
    assert "where they still disagree:\n  flash at 0x" in told


def test_blocks_of_flashes_merge_by_a_rule():
    counts = st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)).map(Counter)
    number = st.integers(0, 9)
    obeys(Tally.__add__, Tally(), st.builds(Tally, number, number, number, number, counts, counts, counts, counts))


def test_shrinking_keeps_what_is_shown_and_little_else():
    text = drawn("shrink/7")
    assert len(text) > 4
    small = shrunk(text, lambda lines: any(line.startswith("row") for line in lines))
    assert [line.split()[0] for line in small] == ["chip", "row"]
    assert shrunk(text, lambda _: False) == text


@BUILD
@pytest.mark.parametrize("flips", ["flip=0x1c", "flip=0x1c flip=0x1d flip=0x1e flip=0x1f", "flip=0x1d"])
def test_a_label_without_an_end_is_printed_on_into_the_flags_and_the_next_row(machines, build, flips):
    pair = agreed(machines, build, "row sixteen_letters_ 1 2 0x9000 0x4000", SLOT, SOUND, f"table md5=none {flips}")
    assert pair.silicon.app == 0x10000
    if build.logs:
        (row,) = [line for line in pair.silicon.log if "sixteen_letters_" in line]
        assert ("sixteen_letters_ WiFi data" in row) == (flips == "flip=0x1d")


def test_a_label_is_filled_up_by_its_bytes(machines):
    row = "row a\u00e9\u00e9b 1 2 0x9000 0x4000"
    pair = agreed(machines, ESPFLASH, row, SLOT, SOUND)
    assert any("a\u00e9\u00e9b" + " " * 10 + " WiFi data" in line for line in pair.silicon.log)
