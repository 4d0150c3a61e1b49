"""What a world comes to by upstream's own doing: it is counted as the chip's, and named, and is no finding."""

from __future__ import annotations

import pytest

from py_esp_ota.hunt import play, read_world
from py_esp_ota.mutants import MUTANTS

#: Worlds that were findings once, each with what was nobody's mistake but upstream's.
FATES = {
    "ota_1 has both entries, goes, and the next one panics": (
        "idf=5.5.4 table=pair images=1g,2g,3g,4p 20/job/1 25/0/app-silent 25/job/2 78/0/mqtt-lose@0 85/job/3",
        "esp_rewrite_ota_data: the app panics, both entries were given up",
    ),
    "ota_1 has both entries and goes, and no entry names who comes back": (
        "idf=5.4.4 table=pair images=1g,2g,3p 20/job/1 25/job/2",
        "esp_rewrite_ota_data gives both entries to a slot that is chosen twice in one boot",
    ),
    "ota_0 has both entries, panics, and is tried first when none counts": (
        "idf=5.5.4 table=pair images=1g,2g,3g,4p 20/job/1 70/job/2 75/job/3",
        "esp_rewrite_ota_data gives both entries to a slot that is chosen twice in one boot",
    ),
    "the slot behind the valid entry is read in a glitch, and the aborted one is tried": (
        "table=pair options=anti-rollback images=1g.2,2p.3 12/0/glitch@3 20/job/1",
        "bootloader_utility_load_boot_image tries other slots, rejected or not",
    ),
    "likewise, and the other one has called itself invalid": (
        "table=pair options=anti-rollback images=1g.2,2u.2 20/job/1 28/0/glitch@2",
        "bootloader_utility_load_boot_image tries other slots, rejected or not",
    ),
    "a chosen slot is overwritten in part, boots unverified, and the download goes on in the other one": (
        "table=pair options=skip-validate images=1g,2g,3g 20/job/1 21/0/stall@1024 25/job/2",
        "esp_rmaker_https_ota_get_len_and_md5_from_nvs knows how much",
    ),
}


@pytest.mark.parametrize("fate", FATES)
def test_upstreams_own_doing_is_no_finding_and_named(fate):
    words, function = FATES[fate]
    run = play(read_world(f"hunt1 chip=esp32c3 {words}"))
    assert run.breach is None
    assert [told for told in run.chips_own if told.startswith(function)]


def test_the_same_end_by_a_bootloader_of_ours_is_one():
    """From v6.0 on a slot that is chosen twice keeps the other entry, so that nobody is left without one."""
    world = read_world("hunt1 chip=esp32c3 table=pair images=1g,2g,3p 20/job/1 25/job/2")
    assert play(world).breach is None
    with MUTANTS["erases-both-entries"].on():
        assert play(world).breach is not None
