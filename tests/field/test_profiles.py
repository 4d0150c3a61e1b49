"""Projects on top of ESP-IDF: how they write an update, what they answer, and what becomes of a bad one."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from py_esp_ota import Device, PartitionTable
from py_esp_ota.errors import EspErr, Restart
from py_esp_ota.field.profiles.apps import FieldApp, attempts
from py_esp_ota.field.profiles.fates import fates
from py_esp_ota.field.profiles.profile import Source
from py_esp_ota.field.profiles.profiles import PROFILES, named
from py_esp_ota.field.profiles.stories import bring, scene_of, story_of
from py_esp_ota.field.profiles.updaters import arduino_update, esphome_backend, micropython_partition, tasmota_safeboot
from py_esp_ota.field.profiles.updaters.answering import UpdaterError
from py_esp_ota.field.profiles.updaters.arduino_update import Update
from py_esp_ota.field.profiles.updaters.by_name import UPDATERS
from py_esp_ota.field.profiles.updaters.esphome_backend import IdfOtaBackend
from py_esp_ota.firmware import Firmware
from py_esp_ota.sweep import Share, Story, StoryError, replay, sweep
from py_esp_ota.sweep.record import record
from tools.profiles_page import PAGE, page

NAMES = list(PROFILES)
WRITERS = [name for name in NAMES if name != "rainmaker"]  # its writer is the agent's: tests/sweep


@cache
def scene(name, **options):
    found = scene_of(PROFILES[name], None)
    return replace(found, **options)


def ready(name, table=None):
    """A board of a project on which the old app runs."""
    played = scene(name) if table is None else scene(name, partitions=PartitionTable.from_csv(table))
    life = played.life()
    story_of(PROFILES[name]).prepare(life, played)
    life.power_on()
    life.confirm()
    return life


def told(life, act):
    """What ``act`` gives, of the app that runs."""
    found = []
    life.app(lambda ops: found.append(act(ops)))
    return found[0]


# -------------------------------------------------------------------------------------------------------------- writers


@pytest.mark.parametrize("name", WRITERS)
def test_a_whole_image_is_written_chosen_and_started(name):
    life, new = ready(name), scene(name).new
    assert not life.runs(new)
    bring(PROFILES[name], life, new)
    life.restart()
    assert life.runs(new)


def test_arduino_writes_the_first_16_bytes_last():
    life, new = ready("arduino"), scene("arduino").new
    writer = told(life, Update)
    slot = told(life, lambda ops: ops.get_next_update_partition())
    assert writer.begin(len(new))
    assert writer.write(new) == len(new)
    assert life.flash.read(slot.offset, len(new)) == b"\xff" * 16 + new[16:]
    assert writer.end()
    assert life.flash.read(slot.offset, len(new)) == new


@pytest.mark.parametrize(
    ("name", "erases"), [("arduino", [0x10000, *[0x1000] * 4]), ("tasmota", [0x1000] * 20), ("esphome", [0x14000])]
)
def test_each_updater_erases_in_its_own_steps(name, erases):
    life, new = ready(name), scene(name).new
    if name == "tasmota":
        life.app(tasmota_safeboot.erase_otadata)
        life.restart()
    slot = told(life, lambda ops: ops.get_next_update_partition())
    run = record(life, lambda life: life.app(lambda ops: UPDATERS[name](ops, new)))
    found = Counter(op.address for op in run.operations if op.kind == "erase" and slot.offset <= op.address)
    assert sorted(address - slot.offset for address in found) == [*range(0, 0x14000, 0x1000)]
    asked = []
    life.app(lambda ops: asked.extend(_asked(ops, UPDATERS[name], new)))
    assert [length for at, length in asked if at >= 0] == erases


def _asked(ops, update, image):
    """The erases of the slot that an updater asks for."""
    found = []
    erase = ops.partitions.erase_range

    def noted(partition, offset, length):
        if partition.type == 0:
            found.append((offset, length))
        erase(partition, offset, length)

    ops.partitions.erase_range = noted
    update(ops, image)
    return found


def test_arduino_does_not_program_a_sector_of_ff():
    life = ready("arduino")
    slot = told(life, lambda ops: ops.get_next_update_partition())
    image = b"\xe9" + bytes(0x0FFF) + b"\xff" * 0x1000 + bytes(0x1000) + b"\xff" * 0x101
    writer = told(life, Update)
    run = record(life, lambda _life: (writer.begin(len(image)), writer.write(image)))
    programmed = {op.address - slot.offset & ~0xFFF for op in run.operations if op.kind == "program"}
    assert programmed == {0, 0x2000, 0x3000}  # the last one is no whole number of words


@pytest.mark.parametrize(
    ("spoil", "code", "text"),
    [
        (lambda image: b"", 5, "Bad Size Given"),
        (lambda image: image + bytes(0x140000), 5, "Bad Size Given"),
        (lambda image: b"\0" + image[1:], 8, "Wrong Magic Byte"),
        (lambda image: image[:-1] + bytes((image[-1] ^ 1,)), 9, "Could Not Activate The Firmware"),
    ],
    ids=["empty", "too-large", "magic", "damaged"],
)
def test_arduino_answers_as_update_does(spoil, code, text):
    life = ready("arduino")
    with pytest.raises(UpdaterError) as refused:
        life.app(lambda ops: arduino_update.update(ops, spoil(scene("arduino").new)))
    assert refused.value.answer[::2] == (code, text)
    assert f"Update answers {code}, {text}" in str(refused.value)
    life.restart()
    assert life.runs(scene("arduino").old)


def test_arduino_says_no_partition_space_and_aborted():
    one_slot = "nvs,data,nvs,0x9000,0x5000\nfactory,app,factory,0x10000,1M\n"
    life = ready("idf-example", one_slot)
    writer = told(life, Update)
    assert not writer.begin(100)
    assert (writer.error, writer.error_string) == (10, "Partition Could Not be Found")
    life = ready("arduino")
    writer = told(life, Update)
    assert writer.begin(100)
    assert writer.write(bytes(101)) == 0
    assert writer.error_string == "Not Enough Space"
    assert not writer.end()
    assert writer.begin(100)
    assert writer.write(b"\xe9" + bytes(50)) == 51
    assert not writer.end()
    assert (writer.error, writer.error_string) == (12, "Aborted")


def test_arduinos_roll_back_looks_at_one_byte_and_fails_on_the_rest():
    life, new = ready("arduino"), scene("arduino").new
    slot = told(life, lambda ops: ops.get_next_update_partition())
    assert not told(life, lambda ops: Update(ops).can_roll_back())
    life.flash.program(slot.offset, new[:100])
    assert told(life, lambda ops: Update(ops).can_roll_back())
    assert not told(life, lambda ops: Update(ops).roll_back())
    life.flash.program(slot.offset + 100, new[100:])
    assert told(life, lambda ops: Update(ops).roll_back())
    life.restart()
    assert life.runs(new)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda image: b"\0" + image[1:], 0x80),
        (lambda image: image[:-1] + bytes((image[-1] ^ 1,)), 0x84),
        (lambda image: image + bytes(0x1C0000), 0x89),
    ],
    ids=["magic", "damaged", "too-large"],
)
def test_esphome_answers_as_its_backend_does(spoil, code):
    life = ready("esphome")
    with pytest.raises(UpdaterError) as refused:
        life.app(lambda ops: esphome_backend.update(ops, spoil(scene("esphome").new)))
    assert refused.value.answer.code == code
    assert refused.value.answer.name in str(refused.value)


def test_esphome_finds_no_slot_beside_a_factory_app_and_one_slot_that_runs():
    table = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nota_0,app,ota_0,0x10000,1M\n"
    life = ready("esphome", table)
    assert told(life, lambda ops: IdfOtaBackend(ops).begin(100)).name == "OTA_RESPONSE_ERROR_NO_UPDATE_PARTITION"


def test_esphome_confirms_the_running_app_when_an_update_begins():
    life, new = ready("esphome"), scene("esphome").new
    bring(PROFILES["esphome"], life, new)
    life.restart()
    assert life.state == "PENDING_VERIFY"
    assert told(life, lambda ops: IdfOtaBackend(ops).begin(0x1000)).code == 0
    assert life.state == "VALID"


def test_micropython_raises_os_error_with_the_number_of_esp_idf_or_of_posix():
    life, new = ready("micropython"), scene("micropython").new
    with pytest.raises(UpdaterError, match=r"OSError: \(-5379, 'ESP_ERR_OTA_VALIDATE_FAILED'\)") as refused:
        life.app(lambda ops: micropython_partition.update(ops, new[:-1] + bytes((new[-1] ^ 1,))))
    assert refused.value.err == EspErr.ESP_ERR_OTA_VALIDATE_FAILED
    with pytest.raises(UpdaterError, match=r"-260, 'ESP_ERR_INVALID_SIZE'"):
        life.app(lambda ops: micropython_partition.update(ops, new + bytes(0x180000)))
    plain = PROFILES["micropython"].tables[0].csv
    life = ready("micropython", plain)
    with pytest.raises(UpdaterError, match="ENOENT"):
        life.app(lambda ops: micropython_partition.update(ops, new))


def test_micropythons_blocks_must_be_whole():
    life = ready("micropython")
    target = told(life, lambda ops: micropython_partition.Esp32Partition(ops, ops.get_next_update_partition()))
    with pytest.raises(UpdaterError, match="ESP_ERR_INVALID_SIZE"):
        target.writeblocks(0, bytes(100))


def test_tasmota_steps_aside_and_safeboot_forgets_the_note_before_it_downloads():
    life, played = ready("tasmota"), scene("tasmota")
    assert told(life, tasmota_safeboot.single_ota_partition)
    assert not told(life, tasmota_safeboot.running_factory)
    bring(PROFILES["tasmota"], life, played.new)
    assert tasmota_safeboot.noted(life.nvs)
    life = ready("tasmota")
    life.flash.fault = "cut@200"
    with pytest.raises(BaseException, match="power lost"):
        story_of(PROFILES["tasmota"]).act(life, played)
    life.power_on()
    assert life.runs(played.recovery)
    assert not tasmota_safeboot.noted(life.nvs)


# --------------------------------------------------------------------------------------------------------------- sweeps


@pytest.mark.parametrize("name", WRITERS)
def test_no_power_cut_breaks_a_promise(name):
    share = Share(1, 6) if name == "esphome" else Share()
    report = sweep(story_of(PROFILES[name]), scene(name), share=share)
    assert report.ok
    assert report.outcomes["new"]
    lands = {ending.partition for ending in report.endings}
    assert lands == {"tasmota": {"safeboot", "app0"}}.get(name, lands)
    for case in report.cases[:: len(report.cases) // 5]:
        assert report.endings[case.ending] == replay(story_of(PROFILES[name]), scene(name), case.plan), case.plan


def test_a_sweep_finds_an_updater_that_chooses_before_it_has_written():
    def hasty(ops, image):
        slot = ops.get_next_update_partition()
        ops.partitions.erase_range(slot, 0, 0x14000)
        ops.partitions.write(slot, 0, image)
        ops.set_boot_partition(slot)
        ops.partitions.erase_range(slot, 0, 0x1000)  # one sector is enough to be cut in
        ops.partitions.write(slot, 0, image[:0x1000])

    def act(life, played):
        life.power_on()
        life.confirm()
        if not life.runs(played.new):
            life.app(lambda ops: hasty(ops, played.new))
            life.restart()
            life.confirm()

    report = sweep(Story("hasty", "", act), scene("arduino"))
    assert not report.ok


def test_a_program_that_never_confirms_has_no_update_to_tell():
    def act(life, played):
        life.power_on()
        if not life.runs(played.new):
            bring(PROFILES["micropython"], life, played.new)
            life.restart()
            life.restart()

    with pytest.raises(StoryError, match="without a cut ota_0 runs in the end"):
        sweep(Story("silent", "", act), scene("micropython"))


# ---------------------------------------------------------------------------------------------------------------- fates

FATES = {
    "arduino": """
        none on runs 1 app1 VALID
        early on rolled-back 1 app0 UNDEFINED
        setup on loop 40 app1 VALID
        late on loop 40 app1 VALID
        no-network on runs 1 app1 VALID
        none off runs 1 app1 NEW
        early off loop 40 app1 NEW
        setup off loop 40 app1 NEW
        late off loop 40 app1 NEW
        no-network off runs 1 app1 NEW
    """,
    "esphome": """
        none on runs 1 app1 VALID
        early on rolled-back 1 app0 VALID
        setup on rolled-back 1 app0 VALID
        late on loop 40 app1 VALID
        no-network on runs 1 app1 VALID
        none off runs 1 app1 VALID
        early off loop 40 app1 NEW
        setup off safe-mode 11 app1 NEW
        late off loop 40 app1 VALID
        no-network off runs 1 app1 VALID
    """,
    "wled": """
        none on runs 1 app1 VALID
        early on rolled-back 1 app0 UNDEFINED
        setup on swapped 6 app0 VALID
        late on loop 40 app1 VALID
        no-network on runs 1 app1 VALID
        none off runs 1 app1 UNDEFINED
        early off loop 40 app1 UNDEFINED
        setup off swapped 6 app0 UNDEFINED
        late off loop 40 app1 UNDEFINED
        no-network off runs 1 app1 UNDEFINED
    """,
    "tasmota": """
        none on runs 1 app0 VALID
        early on rolled-back 1 safeboot -
        setup on recovery 10 safeboot -
        late on loop 40 app0 VALID
        no-network on runs 1 app0 VALID
        none off runs 1 app0 UNDEFINED
        early off loop 40 app0 UNDEFINED
        setup off recovery 10 safeboot -
        late off loop 40 app0 UNDEFINED
        no-network off runs 1 app0 UNDEFINED
    """,
    "micropython": """
        none on runs 1 ota_1 VALID
        early on rolled-back 1 ota_0 VALID
        setup on rolled-back 1 ota_0 VALID
        late on loop 40 ota_1 VALID
        no-network on runs 1 ota_1 VALID
        unconfirmed on lost-at-reset 1 ota_0 VALID
        none off runs 1 ota_1 VALID
        early off loop 40 ota_1 NEW
        setup off loop 40 ota_1 NEW
        late off loop 40 ota_1 VALID
        no-network off runs 1 ota_1 VALID
        unconfirmed off runs 1 ota_1 NEW
    """,
    "rainmaker": """
        none on runs 1 ota_1 VALID
        early on rolled-back 1 ota_0 VALID
        setup on rolled-back 1 ota_0 VALID
        late on loop 40 ota_1 VALID
        no-network on rolled-back 1 ota_0 VALID
        none off runs 1 ota_1 NEW
        early off loop 40 ota_1 NEW
        setup off loop 40 ota_1 NEW
        late off loop 40 ota_1 NEW
        no-network off runs 1 ota_1 NEW
    """,
    "idf-example": """
        none off runs 1 ota_0 UNDEFINED
        early off loop 40 ota_0 UNDEFINED
        setup off loop 40 ota_0 UNDEFINED
        late off loop 40 ota_0 UNDEFINED
        no-network off runs 1 ota_0 UNDEFINED
    """,
}


@pytest.mark.parametrize("name", NAMES)
def test_what_becomes_of_a_bad_update(name):
    found = [
        f"{one.flaw} {'on' if one.rollback else 'off'} {one.outcome} {one.starts} {one.partition} {one.state or '-'}"
        for one in fates(PROFILES[name])
    ]
    assert found == [line.strip() for line in FATES[name].strip().splitlines()]


def test_an_app_of_a_project_lives_in_a_device():
    old, new = (Firmware("esphome", version).to_bytes() for version in ("1.0.0", "2.0.0"))
    bad, good = (FieldApp(PROFILES["esphome"], flaw) for flaw in ("setup", "none"))

    def updated(booted):
        esphome_backend.update(booted.ops, new)
        raise Restart("update complete")

    def app_of(desc):
        if desc.version == "2.0.0":
            return bad
        return updated if len(device.boots) == 1 else good

    device = Device("two_ota", firmware=old, apps=app_of)
    device.power_on()
    assert device.run().reset is None
    assert [report.app_desc.version for report in device.boots] == ["1.0.0", "2.0.0", "1.0.0"]
    assert [run.why for run in device.runs] == ["update complete", "it panics 1 s after its start", "it runs"]
    assert attempts(device.nvs) == 0


# ----------------------------------------------------------------------------------------------------------------- data


def sources(value):
    if isinstance(value, Source):
        yield value
    elif isinstance(value, tuple):
        for child in value:
            yield from sources(child)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=NAMES)
def test_every_claim_names_project_revision_and_path(profile):
    found = [*sources(profile)]
    assert len(found) > 5
    for source in found:
        assert re.fullmatch(r"[0-9a-f]{40}|\d+(\.\d+)+", source.revision), source
        assert re.search(r"\.\w+$", source.path), source
    for one in (profile.confirm, profile.rollback, *profile.habits, *filter(None, [profile.guard])):
        assert one.text


@pytest.mark.parametrize("profile", PROFILES.values(), ids=NAMES)
def test_every_table_is_one_that_gen_esp32part_takes(profile):
    assert profile.ota_tables
    for table in profile.tables:
        offset = 0xC000 if profile.name == "rainmaker" else 0x8000
        rows = PartitionTable.from_csv(table.csv, table_offset=offset)
        assert (table in profile.ota_tables) == (rows.find(type=1, subtype=0) is not None)


def test_answers_have_one_number_and_one_name_each():
    for profile in PROFILES.values():
        codes = [answer.code for answer in profile.answers.known]
        names = [answer.name for answer in profile.answers.known]
        assert len(set(codes)) == len(codes) == len(set(names))
        assert profile.answers.of(names[-1]).code == codes[-1]
    with pytest.raises(KeyError):
        PROFILES["arduino"].answers.of("UPDATE_ERROR_MOOD")


def test_a_name_that_no_profile_has():
    assert named("wled").title == "WLED"
    with pytest.raises(ValueError, match="no profile is called 'homie'; there are arduino, esphome"):
        named("homie")


def test_an_image_that_no_table_holds():
    old, new = (Firmware("x", version, size=0x800000).to_bytes() for version in "12")
    with pytest.raises(ValueError, match="no partition table of WLED has OTA slots for an image of 8388608 bytes"):
        scene_of(PROFILES["wled"], (old, new))


def test_the_page_is_made_of_the_data():
    assert PAGE.read_text() == page()
