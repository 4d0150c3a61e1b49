"""What a page of "Pull the plug" holds: the sweep's own endings, every life's console, and no more than was asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from py_esp_ota.firmware import Firmware
from py_esp_ota.sweep import STORIES, Scene, StoryError, replay, sweep
from py_esp_ota.sweep.cuts import tears_of
from py_esp_ota.view.teach import Limits, fragment, teach_page
from py_esp_ota.view.teach.pack import Blob, packed_lessons
from py_esp_ota.view.teach.told import LIVES
from py_esp_ota.view.teach.wrecks import learn

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))
SCENE = Scene(OLD, NEW)
SHORT = Limits(depth=1)


def rows(told):
    return [row for row, count in told.cuts for _ in range(count)]


@pytest.fixture(scope="module")
def confirm():
    """A lesson with its second cuts, of which there are not more than a page holds."""
    return learn(STORIES["confirm"], SCENE, Limits())


@pytest.mark.parametrize("name", ["first-ota", "confirm", "reject", "same-slot", "anti-rollback", "settings"])
def test_each_cut_ends_as_the_sweep_says(name):
    lesson = learn(STORIES[name], SCENE, SHORT)
    report = sweep(STORIES[name], SCENE)
    ends = [lesson.endings[lesson.wrecks[number].ending] for row in rows(lesson.first) for number in row]
    assert ends == [report.endings[case.ending] for case in report.cases]


def walked(lesson, plan):
    """The wreck at the end of a replay line."""
    told = lesson.first
    for part in plan.split("+"):
        at, colon, tear = part.removeprefix("cut@").partition(":")
        ways = tears_of(told.telling.run.operations[int(at)], "torn")
        wreck = lesson.wrecks[rows(told)[int(at)][ways.index(colon + tear)]]
        told = wreck.lives["story"]
    return wreck


def test_a_second_cut_ends_as_its_replay(confirm):
    story = STORIES["confirm"]
    second = [case.plan for case in sweep(story, SCENE, depth=2, limit=400).cases if "+" in case.plan]
    for plan in second[::40]:
        assert confirm.endings[walked(confirm, plan).ending] == replay(story, SCENE, plan), plan
    assert len(second) > 200


def test_every_life_begins_with_the_same_boot_and_goes_its_own_way():
    lesson = learn(STORIES["confirm"], SCENE, SHORT)
    trial = next(w for w in lesson.wrecks if w.lives["boot"].telling.boots[0].state == "PENDING_VERIFY")
    assert set(trial.lives) == {"boot", "story", "yes", "no"}
    boot = trial.lives["boot"].telling
    for told in trial.lives.values():
        assert told.telling.lines[: len(boot.lines)] == boot.lines
        assert told.telling.boots[0] == boot.boots[0]
    assert [boot.runs for boot in trial.lives["no"].telling.boots] == ["ota_0", "factory"]
    assert trial.lives["no"].telling.lines[-1].text.startswith("I (")
    sound = next(w for w in lesson.wrecks if w.lives["boot"].telling.boots[0].state == "VALID")
    assert set(sound.lives) == {"boot", "story", "back"}
    assert sound.lives["back"].telling.boots[-1].runs == "factory"
    assert set(LIVES) == {"boot", "yes", "no", "back"}


def test_a_line_stands_where_it_was_printed():
    telling = learn(STORIES["confirm"], SCENE, SHORT).first.telling
    written = next(line for line in telling.lines if "Loaded app from partition" in line.text)
    banner = next(line for line in telling.lines if "2nd stage bootloader" in line.text)
    assert (banner.at, written.at) == (0, 2)  # NEW became PENDING_VERIFY between them
    assert [line.at for line in telling.lines] == sorted(line.at for line in telling.lines)


def test_the_operations_of_a_page_make_the_same_flash():
    lesson = learn(STORIES["second-ota"], SCENE, SHORT)
    made, blob = packed_lessons([lesson])
    (data,) = made["stories"]
    cells = bytearray(b"\xff" * data["size"])
    for address, place, length in data["base"]:
        cells[address : address + length] = blob[place : place + length]
    assert cells == lesson.flash.to_bytes()
    for first, count in data["done"][data["tellings"][data["first"]][0]]:
        for erases, address, length, place, _ in data["operations"][first : first + count]:
            for at in range(length):
                cells[address + at] = 0xFF if erases else cells[address + at] & blob[place + at]
    run = lesson.first.telling.run
    assert cells == run.recording.flash_after(len(run.operations)).to_bytes()


def test_no_page_of_bytes_is_kept_twice():
    blob = Blob(bytes(range(256)) * 3)
    assert len(blob.data) == 768
    assert blob.places(0x1000, bytes(range(256)) + b"\xff" * 256 + b"new") == [[0x1000, 0, 256], [0x1200, 768, 3]]


def test_limits_are_kept_and_a_named_plan_is_there_in_any_case(confirm):
    assert confirm.whole
    none = learn(STORIES["confirm"], SCENE, Limits(wrecks=0))
    assert not none.whole
    assert {wreck.depth for wreck in none.wrecks} == {1}
    plan = "cut@73:torn-program+cut@0+cut@1:after"
    deep = learn(STORIES["first-ota"], SCENE, Limits(depth=1, plans=(plan,)))
    assert {wreck.depth for wreck in deep.wrecks} == {1, 2}
    assert walked(deep, plan).lives


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("cut@74", "there are 74 flash operations: there is no cut@74"),
        ("cut@0:weak-program", "cut@0:weak-program does not fit: operation 0 is erase"),
        ("stuck0@0x10.1", "no power cut that a page can show"),
        ("cut@1+cut@99", "there is no cut@99"),
    ],
)
def test_a_plan_that_leads_nowhere_is_named(plan, said):
    with pytest.raises(StoryError, match=said):
        teach_page(STORIES["first-ota"], SCENE, limits=Limits(depth=1, plans=(plan,)))


def test_what_does_not_fit_or_settle_is_a_sentence():
    with pytest.raises(StoryError, match="the new image has"):
        teach_page(STORIES["first-ota"], replace(SCENE, new=Firmware("lamp", "2", size=0x1FFFF0).to_bytes()))
    with pytest.raises(StoryError, match="cannot be told to its end"):
        teach_page(STORIES["first-ota"], replace(SCENE, new=NEW[:-1] + b"\0"))


def test_the_key_of_an_encrypted_flash_goes_along():
    made, _ = packed_lessons([learn(STORIES[name], SCENE, SHORT) for name in ("encrypted-ota", "reject")])
    assert [data["crypt"] for data in made["stories"]] == [["esp32c3", 0, bytes(range(32)).hex()], None]


def test_stories_of_one_page_share_their_bytes():
    one, two = (learn(STORIES[name], SCENE, SHORT) for name in ("confirm", "reject"))
    assert len(packed_lessons([one, two])[1]) < 1.1 * len(packed_lessons([one])[1])


def test_an_address_names_story_images_and_replay_line():
    assert fragment("confirm", OLD, NEW, "cut@1:torn+cut@3").endswith("&replay=cut@1:torn+cut@3")
    assert fragment("confirm", OLD, NEW) != fragment("confirm", NEW, OLD)
