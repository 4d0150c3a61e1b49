"""``preflight`` agrees with ``boot`` on boards and updates that chance makes, on what runs and on what is refused."""

from __future__ import annotations

import os
from collections import Counter

from hypothesis import strategies as st
from merging import obeys
from preflight_pairs import Compared, compare

PAIRS = int(os.environ.get("ESP_OTA_PAIRS", "300"))
SEED = int(os.environ.get("ESP_OTA_SEED", "1"))


def test_chance_finds_no_update_of_which_preflight_says_something_else_than_boot():
    found = compare(SEED, range(PAIRS))
    assert not found.differ, sorted(found.differ.items())[:5]
    assert found.ends["runs"] > PAIRS // 6
    assert len(found.ends) > 8  # the pairs would prove little if they were all alike


def test_blocks_of_pairs_merge_by_a_rule():
    ends = st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)).map(Counter)
    differ = st.sets(st.integers(0, 9)).map(lambda numbers: {number: f"pair {number}" for number in numbers})
    obeys(Compared.__add__, Compared(), st.builds(Compared, ends, differ))
