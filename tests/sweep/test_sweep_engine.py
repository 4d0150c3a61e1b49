"""The sweep against the long way: every cut armed in the flash, every device really booted, nothing remembered."""

from __future__ import annotations

import os
from functools import cache

import pytest

from py_esp_ota import PartitionTable, firmware
from py_esp_ota.firmware import Firmware
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep import STORIES, Scene, Share, Story, StoryError, SweepReport, replay, sweep
from py_esp_ota.sweep.cuts import tears_of
from py_esp_ota.sweep.engine import rehearse
from py_esp_ota.sweep.look import Look

# Small images, so that the long way is short: a dozen operations for a whole update.
OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))


@cache
def scene(**options: object) -> Scene:
    return Scene(OLD, NEW, config=Sdkconfig(**options))  # type: ignore[arg-type]


@cache
def swept(story: str) -> SweepReport:
    """The sweep of a story, which several tests look at."""
    return sweep(STORIES[story], scene())


@cache
def rehearsed(story: str):
    """The story without a cut, which is the same beside each plan that is replayed."""
    return rehearse(STORIES[story], scene())


def replayed(story, plan):
    return replay(STORIES[story], scene(), plan, rehearsed=rehearsed(story))


def plans(story, tears="torn"):
    _, run, _ = rehearsed(story)
    return [f"cut@{op.index}{tear}" for op in run.operations for tear in tears_of(op, tears)]


@pytest.mark.parametrize("story", STORIES)
def test_every_case_ends_as_when_it_is_really_played(story):
    report = swept(story)
    assert [case.plan for case in report.cases] == plans(story)
    # `make sweep` plays all; here the first and last operations are, and of stories that are not long each third case.
    ends = {*range(4), *range(len(report.operations) - 5, len(report.operations))}
    each = 3 if len(report.cases) <= 120 else len(report.cases)
    played = [case for number, case in enumerate(report.cases) if number % each == 0 or case.operation in ends]
    for case in report.cases if "ESP_OTA_EVERY_CUT" in os.environ else played:
        assert report.endings[case.ending] == replayed(story, case.plan), case.plan


@pytest.mark.parametrize("story", ["second-ota", "confirm", "same-slot", "anti-rollback", "settings"])
def test_second_cuts_end_as_when_they_are_really_played(story):
    many, limit = (300, 4000) if "ESP_OTA_EVERY_CUT" in os.environ else (20, 600)
    report = sweep(STORIES[story], scene(), depth=2, limit=limit)
    seconds = [case for case in report.cases if "+" in case.plan]
    assert len(seconds) > 100
    for case in seconds[:: max(1, len(seconds) // many)]:
        assert report.endings[case.ending] == replayed(story, case.plan), case.plan


@pytest.mark.parametrize("story", STORIES)
def test_no_second_cut_breaks_a_promise_that_the_chip_keeps(story):
    every = "ESP_OTA_EVERY_CUT" in os.environ
    # Of the long stories each fourth cut is followed by another.
    share = Share(1, 4) if story.startswith("agent-") and not every else Share()
    report = sweep(STORIES[story], scene(), depth=2, limit=100_000 if every else 300, share=share)
    assert report.ok, [(case.plan, ending.why) for case, ending in report.findings("violation")][:5]


def test_a_remembered_look_never_stands_for_another_state(monkeypatch):
    """The same sweep with a memory that knows nothing: the same endings, only slower."""
    fast = swept("second-ota")
    monkeypatch.setattr(Look, "stands_for", lambda *_state: False)
    slow = sweep(STORIES["second-ota"], scene())
    assert [fast.endings[case.ending] for case in fast.cases] == [slow.endings[case.ending] for case in slow.cases]
    assert slow.boots > fast.boots


@pytest.mark.parametrize("story", STORIES)
def test_no_story_breaks_a_promise_that_the_chip_keeps(story):
    report = swept(story)
    assert report.ok, [(case.plan, ending.why) for case, ending in report.findings("violation")][:5]
    assert all(ending.partition for ending in report.endings)
    assert report.outcomes["old"] + report.outcomes["new"] + report.outcomes["as_the_chip"] == len(report.cases)


@pytest.mark.parametrize("rollback", [True, False])
@pytest.mark.parametrize("table", ["two_ota", "two_ota_large", "single_factory_ota"])
@pytest.mark.parametrize("story", ["first-ota", "second-ota", "resume"])
def test_other_tables_and_builds(story, table, rollback):
    tables = {
        "single_factory_ota": "nvs,data,nvs,0x9000,0x4000,\notadata,data,ota,0xd000,0x2000,\n"
        "factory,app,factory,0x10000,0x10000,\nota_0,app,ota_0,,0x10000,\nota_1,app,ota_1,,0x10000,\n",
    }
    partitions = PartitionTable.from_csv(tables[table]) if table in tables else table
    config = Sdkconfig(bootloader_app_rollback_enable=rollback)
    report = sweep(STORIES[story], Scene(OLD, NEW, partitions, config=config))
    assert report.ok, [(case.plan, ending.why) for case, ending in report.findings("violation")][:5]
    assert report.outcomes["new"] > 0


@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c2", "esp32c6", "esp32p4"])
@pytest.mark.parametrize("story", ["first-ota", "encrypted-ota"])
def test_other_chips(chip, story):
    old, new = (Firmware("lamp", version, chip=chip).to_bytes() for version in ("1.0.0", "1.1.0"))
    report = sweep(STORIES[story], Scene(old, new))
    assert report.ok
    assert report.outcomes["new"] > 0


def test_where_the_chip_breaks_a_promise_itself():
    """Data observed from ESP-IDF's own code: with two slots, the copy that is being rewritten is lost for a while."""
    same = swept("same-slot")
    lost = {case.plan: ending for case, ending in same.findings("as_the_chip")}
    assert lost["cut@1"].otadata == ("1/VALID", "-")
    assert lost["cut@1"].partition == "ota_0"
    assert "rewrite_ota_seq" in lost["cut@1"].why
    factory = swept("factory-reset")
    between = {case.plan: ending for case, ending in factory.findings("as_the_chip")}["cut@1"]
    assert (between.partition, between.otadata) == ("ota_1", ("-", "2/VALID"))


def test_a_blob_lost_between_its_chunks_and_its_index_is_as_the_chip_does():
    report = sweep(STORIES["settings"], scene())
    found = {case.plan: ending.why for case, ending in report.findings("as_the_chip")}
    assert all("NVS has None for ota_update" in why for why in found.values())
    between = [why for plan, why in found.items() if plan.endswith(":after")]
    assert between
    assert all("Page::mLoadEntryTable erases the chunks of a blob" in why for why in between)


def test_a_self_healed_entry_confirms_an_app_that_never_did():
    """Without a factory app, blank otadata is healed with VALID, whoever is in ota_0."""
    told = Story("first", "the new image is the only one that was ever chosen", _boot_the_new_image, _put_it_first)
    report = sweep(told, Scene(NEW, NEW, "two_ota_large"))
    healed = {ending.why for _, ending in report.findings("as_the_chip")}
    assert any("set_actual_ota_seq" in why for why in healed), healed
    assert report.ok


def _put_it_first(life, scene):
    life.power_on()  # blank otadata: entry 0 is made for ota_0
    life.app(lambda ops: ops.set_boot_partition(ops.get_running_partition()))


def _boot_the_new_image(life, scene):
    life.power_on()
    life.confirm()


def test_shards_are_the_whole():
    whole = sweep(STORIES["second-ota"], scene())
    parts = [sweep(STORIES["second-ota"], scene(), share=Share(number, 3)) for number in (1, 2, 3)]
    together = sorted((case for part in parts for case in part.cases), key=lambda case: case.operation)
    assert [case.plan for case in together] == [case.plan for case in whole.cases]
    assert sum(len(part.cases) for part in parts) == len(whole.cases)


def test_one_operation_alone():
    report = sweep(STORIES["first-ota"], scene(), share=Share(cut=3))
    assert {case.operation for case in report.cases} == {3}
    assert len(report.cases) == 6


def test_clean_cuts_are_a_part_of_all():
    clean, torn = (sweep(STORIES["first-ota"], scene(), tears=tears) for tears in ("clean", "torn"))
    assert {case.plan for case in clean.cases} < {case.plan for case in torn.cases}
    assert all(":torn" not in case.plan for case in clean.cases)


def test_the_seed_chooses_the_second_cuts():
    def drawn(seed):
        return [case.plan for case in sweep(STORIES["second-ota"], scene(), depth=2, limit=200, seed=seed).cases]

    assert drawn(1) == drawn(1) != drawn(2)


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        ("cut@9999", "cut@9999 does not fit first-ota"),
        ("cut@0:torn-program", "cut@0:torn-program does not fit first-ota"),
        ("cut@3+cut@9999", "cut@9999 is beyond the last flash operation"),
    ],
)
def test_a_plan_that_the_story_does_not_have(plan, sentence):
    with pytest.raises(StoryError, match=sentence):
        replay(STORIES["first-ota"], scene(), plan)


def test_a_plan_that_does_not_parse():
    with pytest.raises(ValueError, match="not a fault plan"):
        replay(STORIES["first-ota"], scene(), "cut@x")


def test_a_cut_that_the_story_does_not_have():
    with pytest.raises(StoryError, match="there is no cut@500"):
        sweep(STORIES["first-ota"], scene(), share=Share(cut=500))


def test_a_share_that_does_not_exist():
    with pytest.raises(StoryError, match="shard 3/2"):
        Share(3, 2)


def test_a_story_that_misses_its_goal():
    with pytest.raises(StoryError, match="reject misses its goal: without a cut ota_0 runs"):
        sweep(STORIES["reject"], scene(bootloader_app_rollback_enable=False))


def test_an_image_that_makes_the_app_reset_in_its_verifier():
    """The next segment's header stands where the descriptor's version does; releases before v6.2 read on and on."""
    desc = firmware.app_desc("lamp", "1.1.0")
    wild = firmware.image([(0x3C000020, desc[:4]), (0, desc[12:])])
    build = Sdkconfig(idf_version=(6, 1, 0), bootloader_app_rollback_enable=True, bootloader_app_anti_rollback=True)
    with pytest.raises(StoryError, match="factory runs in the end, not the new image: esp_image_verify runs wild"):
        sweep(STORIES["first-ota"], Scene(OLD, wild, config=build))
    with pytest.raises(StoryError, match="nothing runs in the end, not the new image: process_segment_data: runs wild"):
        sweep(STORIES["first-ota"], Scene(wild, NEW, config=build))


def test_an_image_that_does_not_fit_its_slot():
    big = Firmware("lamp", "2", size=0x1FFFF0).to_bytes()
    with pytest.raises(StoryError, match="partition ota_0 only 1048576"):
        sweep(STORIES["first-ota"], Scene(OLD, big))


def test_a_table_without_a_second_slot():
    with pytest.raises(StoryError, match="no second app partition"):
        sweep(STORIES["first-ota"], Scene(OLD, NEW, "singleapp"))


def test_an_image_for_another_chip():
    other = Firmware("lamp", "2", chip="esp32s3").to_bytes()
    with pytest.raises(StoryError, match="first-ota cannot be told to its end"):
        sweep(STORIES["first-ota"], Scene(OLD, other))


def test_a_device_that_never_settles_is_reported(monkeypatch):
    from py_esp_ota.sweep import look

    def restless(life):
        report = power_on(life)
        life.flash.erase(0x3F0000, 0x1000)
        return report

    power_on = look.Life.power_on
    monkeypatch.setattr(look.Life, "power_on", restless)
    report = sweep(STORIES["first-ota"], scene(), share=Share(cut=1))
    assert {ending.why for _, ending in report.findings("violation")} == {
        "the device does not settle: boot 8 still rewrites the flash"
    }


def test_progress_comes_to_its_end():
    told = []
    report = sweep(STORIES["first-ota"], scene(), progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (len(report.operations), len(report.operations))


SLOT = 0x40000


@pytest.mark.parametrize("size", [0x4000, SLOT - 0x1010, SLOT - 0x1000, SLOT - 0xFF0, SLOT - 16, SLOT])
def test_images_up_to_the_last_sector_of_their_slot(size):
    rows = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\n"
    rows += "".join(f"{name},app,{name},,0x{SLOT:x}\n" for name in ("factory", "ota_0", "ota_1"))
    new = Firmware("lamp", "1.1.0", size=size).to_bytes()
    assert len(new) == size
    report = sweep(STORIES["third-ota"], Scene(OLD, new, PartitionTable.from_csv(rows)))
    assert report.ok
    assert report.outcomes["new"] == 3


def high(chip, first, second):
    rows = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\n"
    rows += f"ota_0,app,ota_0,0x{first:x}00000,0x100000\nota_1,app,ota_1,0x{second:x}00000,0x100000\n"
    images = (Firmware("lamp", version, chip=chip).to_bytes() for version in ("1.0.0", "1.1.0"))
    return Scene(*images, PartitionTable.from_csv(rows))


@pytest.mark.parametrize(
    ("chip", "first", "second"), [("esp32c3", 8, 0xF), ("esp32p4", 0x11, 0x1F), ("esp32p4", 1, 0x1F)]
)
def test_slots_high_up_in_the_flash(chip, first, second):
    """Where an address has its fourth byte, and emulators have wrapped."""
    report = sweep(STORIES["first-ota"], high(chip, first, second))
    assert report.ok
    assert max(operation.address for operation in report.operations) >= second << 20
    last = f"cut@{len(report.operations) - 1}:after"
    assert replay(STORIES["first-ota"], high(chip, first, second), last).partition == "ota_1"


def test_a_narrow_cache_sees_no_app_above_16_mib():
    with pytest.raises(StoryError, match="without a cut nothing runs"):
        sweep(STORIES["first-ota"], high("esp32c3", 0x11, 0x1F))
