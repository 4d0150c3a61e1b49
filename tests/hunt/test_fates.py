"""What a world comes to by upstream's own doing: it is counted as the chip's, and named, and is no finding."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from py_esp_ota._core import OtaSelectEntry
from py_esp_ota.hunt import play, read_world
from py_esp_ota.hunt.board import Memory
from py_esp_ota.hunt.promises.resumed import goes_on_behind_nothing, goes_on_elsewhere, goes_on_in_a_block
from py_esp_ota.hunt.promises.trial import new_beside_old
from py_esp_ota.idf.rollback import OtaImgState
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
    "likewise, and nothing stands where the rest goes, so that no later download has a beginning": (
        "chip=esp32 table=three sized=24576 options=skip-validate images=1g,2u,3g 20/job/1 25/0/drop@3519*3 25/job/2",
        "esp_rmaker_https_ota_get_len_and_md5_from_nvs knows how much",
    ),
    "of three slots the chosen one is overwritten in part and refused, and the download goes on in the third": (
        "table=three images=1g,2g,3g,4g 20/job/1 80/job/2 140/job/3 144/0/drop@2761*4 145/job/3",
        "esp_rmaker_https_ota_get_len_and_md5_from_nvs knows how much",
    ),
    "otadata is blank and the factory app read in a glitch: whoever boots is VALID, and boots so again": (
        "table=home fuse=1 sized=2048 options=anti-rollback images=1g.1,2g.2 9/0/glitch@2+cut@32:torn-program 20/job/1",
        "set_actual_ota_seq makes a VALID entry for the slot that boots when otadata is blank",
    ),
    "a glitch has the rejected app run, and who comes over the confirmed one is taken for it": (
        "idf=5.5.3 table=pair options=anti-rollback images=1g.2,3u.2 1220/job/1 1223/0/glitch@2",
        "esp_rewrite_ota_data counts on from the entry that counts",
    ),
    "a glitch has another slot boot than otadata names, which is overwritten, and raises the fuse": (
        "idf=5.4.4 table=three sized=2048 options=anti-rollback images=1g,2g.1,3g.1,4d.2 \
20/job/1 410/0/app-no 419/0/cut@19 420/job/2 424/0/cut@6:bits-erase+glitch@1 425/job/3",
        "update_anti_rollback",
    ),
    "the server knows no ranges, the slot is erased anew, and the power goes before NVS hears of it": (
        "table=pair images=1g,2g 10/0/cut@23 20/job/1 24/0/no-range*1+cut@1:torn-erase",
        "esp_https_ota_begin starts from the beginning",
    ),
    "an encrypted slot would have to be written on in the middle of a block, for ever": (
        "idf=5.5.1 rainmaker=1.7.4 table=pair encrypted=1 images=1g,3g 1219/0/drop@1025 1220/job/1",
        "esp_rmaker_https_ota_set_len_and_md5_to_nvs keeps bytes",
    ),
    "a glitch has half an image boot, from which the other half goes into the slot that was sound": (
        "table=pair images=1g,2g,3g 20/job/1 24/0/glitch@0+stall@1024 25/job/2",
        "bootloader_utility_load_boot_image: no app partition holds a sound image",
    ),
    "the bit is flipped on its way that says whether there is a hash": (
        "table=pair images=1g,3g 420/0/flip@23 420/job/1",
        "esp_image_verify compares a hash only where hash_appended says so",
    ),
    "a secure version is beyond the field of an ESP32-C2": (
        "chip=esp32c2 table=pair options=anti-rollback images=1g,4g.5",
        "esp_efuse_update_secure_version",
    ),
}


@pytest.mark.parametrize("fate", FATES)
def test_upstreams_own_doing_is_no_finding_and_named(fate):
    words, function = FATES[fate]
    chip = "" if words.startswith("chip=") else "chip=esp32c3 "
    run = play(read_world(f"hunt1 {chip}{words}"))
    assert run.breach is None
    assert [told for told in run.chips_own if told.startswith(function)]


def test_the_same_end_by_a_bootloader_of_ours_is_one():
    """From v6.0 on a slot that is chosen twice keeps the other entry, so that nobody is left without one."""
    world = read_world("hunt1 chip=esp32c3 table=pair images=1g,2g,3p 20/job/1 25/job/2")
    assert play(world).breach is None
    with MUTANTS["erases-both-entries"].on():
        assert play(world).breach is not None


def test_two_entries_of_one_number_are_an_excuse_only_where_a_glitch_passed_one_over(monkeypatch):
    words, _ = FATES["a glitch has the rejected app run, and who comes over the confirmed one is taken for it"]
    world = read_world(f"hunt1 chip=esp32c3 {words}")
    monkeypatch.setattr(Memory, "passed_over", property(lambda _memory: False, lambda _memory, _value: None))
    breach = play(world).breach
    assert breach is not None
    assert breach.promise == "trial"


@pytest.mark.parametrize(
    ("numbers", "states", "whole"),
    [
        ((1, 1), ("VALID", "NEW"), True),
        ((1, 1), ("NEW", "VALID"), False),
        ((1, 1), ("VALID", "PENDING_VERIFY"), False),
        ((1, 2), ("VALID", "NEW"), False),
        ((1,), ("VALID",), False),
    ],
)
def test_such_entries_are_the_confirmed_one_before_the_new_one(numbers, states, whole):
    entries = [OtaSelectEntry(number, OtaImgState[state]) for number, state in zip(numbers, states, strict=True)]
    assert new_beside_old(entries) is whole


def test_what_runs_until_the_next_reset_only_is_not_at_its_target_yet():
    """A glitch has the rejected app run; its job is offered again, and it comes back by that and not by chance."""
    words = "table=pair options=anti-rollback images=1g.2,2g.2 16/0/glitch@3+app-raises 20/job/1"
    run = play(read_world(f"hunt1 chip=esp32c3 {words}"))
    assert run.breach is None
    assert "target-by-itself" not in run.marks
    assert "rescue-needed" in run.marks


@pytest.mark.parametrize(
    ("excuse", "whole", "parts"),
    [
        (goes_on_elsewhere, "table=three", {"table=pair": {}, "options=no-resume": {}, "": {"offered_twice": False}}),
        (goes_on_elsewhere, "table=pair options=skip-validate", {"table=pair": {}, "": {"offered_twice": False}}),
        (goes_on_behind_nothing, "", {"options=no-resume": {}, "": {"cuts": 0}, "table=pair": {"met": set()}}),
        (goes_on_in_a_block, "rainmaker=1.7.4 encrypted=1", {"rainmaker=1.7.4": {}, "encrypted=1": {}}),
    ],
)
def test_an_excuse_wants_all_that_it_is_made_of(excuse, whole, parts):
    """A board that met less has no excuse, and stays a finding."""

    def excused(words, **less):
        world = read_world(f"hunt1 chip=esp32c3 images=1g,2g {words}")
        memory = Memory(**({"offered_twice": True, "cuts": 1, "met": {"no-range"}} | less))
        return excuse(SimpleNamespace(world=world, config=world.config(), memory=memory))

    assert excused(whole)
    assert [words for words, less in parts.items() if excused(words or whole, **less)] == []
