"""``preflight`` agrees with ``boot`` on boards and updates that chance makes, on what runs and on what is refused."""

from __future__ import annotations

import os

from preflight_pairs import compare

PAIRS = int(os.environ.get("ESP_OTA_PAIRS", "300"))
SEED = int(os.environ.get("ESP_OTA_SEED", "1"))


def test_chance_finds_no_update_of_which_preflight_says_something_else_than_boot():
    ends, differ = compare(SEED, PAIRS)
    assert not differ, differ[:5]
    assert ends["runs"] > PAIRS // 6
    assert len(ends) > 8  # the pairs would prove little if they were all alike
