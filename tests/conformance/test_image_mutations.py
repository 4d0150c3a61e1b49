"""esptool, in a process beside us, reads hundreds of mutated images of all chips as we do; thousands by ``make``."""

from __future__ import annotations

import os
from collections import Counter

from hypothesis import strategies as st
from image_mutations import Asked, Compared, block, compare
from merging import obeys
from mutations import CHIPS

COUNT = int(os.environ.get("ESP_OTA_IMAGES", "400"))
SEED = int(os.environ.get("ESP_OTA_SEED", "1"))


def test_esptool_reads_mutated_images_as_we_do():
    found = compare(SEED, range(COUNT))
    assert not found.differ, sorted(found.differ.items())[:5]
    assert {*found.chips} == {*CHIPS}
    assert found.verdicts["valid"] >= COUNT // 20
    assert found.verdicts["refused"] >= COUNT // 20


def test_blocks_of_images_merge_by_a_rule_and_are_all_images_once():
    counts = st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)).map(Counter)
    differ = st.sets(st.integers(0, 9)).map(lambda numbers: {number: f"image {number}" for number in numbers})
    obeys(Compared.__add__, Compared(), st.builds(Compared, counts, counts, differ))
    asked = Asked(SEED, 1012)
    assert [*asked.shards] == [0, 1]
    assert block(asked, 1) == compare(SEED, range(1000, 1012))
