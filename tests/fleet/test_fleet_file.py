"""A fleet's file: every word of it means something, and a wrong one is named, with the nearest right one."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota import PartitionTable, inspect_image
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.firmware import Firmware
from py_esp_ota.fleet.file import read_fleet
from py_esp_ota.rehearsal.climate import CLIMATES

EXAMPLES = Path(__file__).parents[2] / "examples/fleet"
KIND = '[[kind]]\nname = "lamp"\n'
JOB = '[job]\nversion = "1.1.0"\n'
OLD = Firmware("stove", "0.9", chip="esp32", size=0x8000, idf_ver="v4.4.4").to_bytes()


class Few:
    """Two files."""

    def app(self, name):
        return {"old.bin": OLD}[name]

    def table(self, name):
        return {"mine.csv": PartitionTable.builtin("two_ota")}[name]


def read(text):
    return read_fleet(text, Few())


def test_what_is_left_out_is_usual():
    fleet = read(JOB + KIND)
    (kind,), (job,) = fleet.population.kinds, fleet.jobs
    assert (fleet.population.devices, fleet.population.seed, fleet.population.shard) == (100, 0, (1, 1))
    assert datetime.fromtimestamp(fleet.population.begin, UTC).isoformat() == "2026-01-01T12:00:00+00:00"
    old, new = (inspect_image(image).app_desc for image in (kind.image, job.image))
    assert (old.project_name, old.version, new.project_name, new.version) == ("device", "1.0.0", "device", "1.1.0")
    assert len(job.image) == len(kind.image) == 0x10000
    assert (kind.chip, kind.share, kind.config.bootloader_app_rollback_enable) == ("esp32c3", 1, True)
    assert (kind.weather.climate.lines, kind.weather.climate.speed) == ((), (0, 0))
    assert (job.name, job.kinds, job.force_push, job.plan) == ("device 1.1.0", ("lamp",), True, Plan())


def test_everything_that_can_be_said():
    fleet = read("""
        devices = 7
        seed = 3
        begin = 2026-03-01T18:30:00+01:00
        [job]
        image = "old.bin"
        name = "spring"
        kinds = ["stove"]
        force_push = false
        metadata = { why = "because" }
        priority = 2
        timeout = 3600
        plan = { phases = ["50%", "rest"], gate = { success = "1", hold = 60 }, abort = { failed = "2" } }
        [[kind]]
        name = "stove"
        share = 2.5
        image = "old.bin"
        partitions = "mine.csv"
        idf = "v5.1.2"
        rollback = false
        config = { CONFIG_ESP_RMAKER_OTA_MAX_RETRIES = 1, esp_rmaker_ota_autofetch_period = 24 }
        [kind.weather]
        climate = "home-wifi"
        plans = [{ share = 0.02, plan = "cut@7" }]
        self_test_fails = 0.25
        offline = 0.5
        offline_at_night = 1
        night = [23, 5]
        """)
    (kind,), (job,), population = fleet.population.kinds, fleet.jobs, fleet.population
    assert (population.devices, population.seed) == (7, 3)
    assert datetime.fromtimestamp(population.begin, UTC).isoformat() == "2026-03-01T17:30:00+00:00"
    assert (kind.chip, kind.image, kind.share) == ("esp32", OLD, 2.5)
    config = kind.config
    assert (config.idf_version, config.bootloader_app_rollback_enable) == ((5, 1, 2), False)
    assert (config.esp_rmaker_ota_max_retries, config.esp_rmaker_ota_autofetch_period) == (1, 24)
    weather = kind.weather
    lines = [*CLIMATES["home-wifi"].lines, weather.climate.lines[-1]]
    assert [*weather.climate.lines] == lines
    assert (lines[-1].share, lines[-1].plan) == (2.0, "cut@7")
    assert (weather.self_test_fails, weather.offline, weather.offline_at_night) == (0.25, 0.5, 1)
    assert weather.night == (23, 5)
    assert (job.image, job.name, job.kinds, job.force_push) == (OLD, "spring", ("stove",), False)
    assert (job.metadata, job.priority, job.timeout) == ({"why": "because"}, 2, 3600)
    assert job.plan == Plan.from_json(
        {"phases": ["50%", "rest"], "gate": {"success": "1", "hold": 60}, "abort": {"failed": "2"}}
    )


def test_an_image_tells_its_release():
    fleet = read('[job]\nimage = "old.bin"\n' + KIND + 'image = "old.bin"\n')
    assert fleet.population.kinds[0].config.idf_version == (4, 4, 4)


def test_each_chip_has_its_job():
    fleet = read_fleet((EXAMPLES / "chips.toml").read_text(), Few())
    assert [order.kinds for order in fleet.jobs] == [("c3",), ("s3",), ("first-year",)]
    projects = {inspect_image(order.image).app_desc.project_name for order in fleet.jobs}
    assert projects == {"thermostat"}


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples_are_fleets(example):
    fleet = read_fleet(example.read_text(), Few())
    assert len(fleet.population.members()) == fleet.population.devices == tomllib.loads(example.read_text())["devices"]


WRONG = {
    "device = 3\n" + JOB + KIND: "device is no key; perhaps devices",
    JOB + KIND + "weathr = {}": "kind lamp: weathr is no key; perhaps weather",
    JOB + KIND + "weather = { self_test_fail = 0.1 }": (
        "kind lamp: weather.self_test_fail is no key; perhaps self_test_fails"
    ),
    '[job]\nverson = "1"\n' + KIND: "job: verson is no key; perhaps version",
    JOB + "plan = { phase = [] }\n" + KIND: "job: plan.phase is no key; perhaps phases",
    JOB + 'plan = { gate = { sucess = "1" } }\n' + KIND: "job: plan.gate.sucess is no key; perhaps success",
    JOB + 'plan = { abort = { xyz = "1" } }\n' + KIND: (
        "job: plan.abort.xyz is no key; there are failed, rolled_back, no_answer, least"
    ),
    JOB + 'plan = { phases = ["10", "often"] }\n' + KIND: (
        "job: plan.phases: phase 2: 'often' is neither a number of nodes, as 10, nor a share, as 10%"
    ),
    JOB + 'plan = { phases = ["group:x", "rest"] }\n' + KIND: (
        "job: plan.phases: a fleet has no groups; say how many, as 10, 5% or rest"
    ),
    JOB + KIND + 'chip = "esp32c33"': "kind lamp: chip: esp32c33 is no chip; perhaps esp32c3",
    JOB + KIND + 'partitions = "two_otta"': (
        "kind lamp: partitions: two_otta is no partition table here, nor a file's name; perhaps two_ota"
    ),
    JOB + KIND + 'idf = "latest"': "kind lamp: idf: 'latest' is no release, for example v5.5.1",
    JOB + KIND + "config = { ESP_RMAKER_OTA_RETRIES = 1 }": (
        "kind lamp: config.ESP_RMAKER_OTA_RETRIES is no option that anything here depends on; "
        "perhaps ESP_RMAKER_OTA_MAX_RETRIES"
    ),
    JOB + KIND + 'config = { ESP_RMAKER_OTA_MAX_RETRIES = "1" }': (
        "kind lamp: config: esp_rmaker_ota_max_retries is '1', of type str; expected int"
    ),
    JOB + KIND + "rollback = false\nconfig = { BOOTLOADER_APP_ANTI_ROLLBACK = true }": (
        "kind lamp: config: BOOTLOADER_APP_ANTI_ROLLBACK needs BOOTLOADER_APP_ROLLBACK_ENABLE"
    ),
    JOB + KIND + 'weather = { climate = "home-wify" }': "kind lamp: weather.climate: 'home-wify' is no fault: ",
    JOB + KIND + 'weather = { plans = [{ share = 0.1, plan = "cutt@4" }] }': (
        "kind lamp: weather.plans 1: plan: 'cutt@4' is no fault: "
    ),
    JOB + KIND + 'weather = { plans = [{ shares = 0.1, plan = "cut@4" }] }': (
        "kind lamp: weather.plans 1: shares is no key; perhaps share"
    ),
    JOB + KIND + 'weather = { plans = [{ share = 0.6, plan = "cut@4" }, { share = 0.6, plan = "cut@5" }] }': (
        "kind lamp: weather.plans: the shares make 1.2, more than all devices"
    ),
    JOB + KIND + "weather = { self_test_fails = 2 }": (
        "kind lamp: weather.self_test_fails: expected a share from 0 to 1, as 0.02, not 2"
    ),
    JOB + KIND + "weather = { night = [22] }": "kind lamp: weather.night: expected two hours in UTC, as [22, 6]",
    JOB + KIND + "weather = 3": "kind lamp: weather: expected a table, not 3",
    JOB + KIND + 'image = "old.bin"\nversion = "1"': (
        "kind lamp: version: an image says it itself; it is for one that is made up"
    ),
    JOB + KIND + "size = 100": "kind lamp: size: expected a whole number from 1024 to 16777216, not 100",
    JOB + KIND + "size = 1025": "kind lamp: the image cannot be made: size is 1025 bytes; it must be a multiple of 16",
    JOB + KIND + 'size = 0x200000\npartitions = "two_ota"': (
        "kind lamp: partitions: its image has 2097152 bytes, and partition factory only 1048576"
    ),
    JOB + KIND + "share = 0": "kind lamp: share: expected a number above 0 and up to 1e+09, not 0",
    JOB + KIND + KIND: "kind: two are called lamp",
    JOB + '[[kind]]\nname = "Lamp!"': "kind 1: name: expected small letters, digits and hyphens, at most 32",
    JOB + "[[kind]]\nshare = 3": "kind 1: name: expected small letters, digits and hyphens, at most 32",
    JOB + "[kind]\nname = 'x'": "kind: expected tables, not a table",
    JOB: "kind: there is none; begin one with [[kind]]",
    KIND: "job: there is none; begin it with [job]",
    "job = 3\n" + KIND: "job: expected tables, not 3",
    "[job]\n" + KIND: "job: what is brought? a file as image, or the version of an image that is made up",
    JOB + 'kinds = ["lump"]\n' + KIND: "job: kinds: lump is no kind; perhaps lamp",
    JOB + KIND + '[[kind]]\nname = "old"\nchip = "esp32"': (
        "kind old: no job is for it; an image for esp32 is, or name it in kinds"
    ),
    "[[job]]\nversion = '1'\n[[job]]\nversion = '2'\n" + KIND: (
        "kind lamp: jobs 1 and 2 are for it, and a device takes one"
    ),
    JOB + "priority = 10\n" + KIND: "job: priority: expected a whole number from 1 to 9, not 10",
    JOB + "metadata = { when = 2026-01-01 }\n" + KIND: "job: metadata: contains what JSON has not, a time perhaps",
    JOB + "metadata = { much = nan }\n" + KIND: "job: metadata: contains a number or a text that is not JSON",
    JOB + "metadata = { validity = 3 }\n" + KIND: "job: metadata.validity: start and end are seconds since 1970",
    JOB + f"metadata = {{ much = '{5000 * 'x'}' }}\n" + KIND: "job: metadata: at most 4096 bytes reach a node",
    JOB + KIND + "weather = { night = [true, false] }": "kind lamp: weather.night: expected two hours in UTC",
    JOB + "force_push = 1\n" + KIND: "job: force_push: expected true or false, not 1",
    "seed = -1\n" + JOB + KIND: "seed: expected a whole number from 0 to 4294967295, not -1",
    "devices = true\n" + JOB + KIND: "devices: expected a whole number from 1 to 10000000, not true",
    "begin = 12\n" + JOB + KIND: "begin: expected a time, as 2026-01-31T22:00:00Z",
    "begin = 1999-01-01T00:00:00Z\n" + JOB + KIND: "begin: 1999-01-01 00:00:00+00:00 is no time that a device knows",
    "devices = = 3": "no TOML: Invalid value (at line 1, column 11)",
}


@pytest.mark.parametrize("text", WRONG, ids=list(WRONG.values()))
def test_a_wrong_word_is_named(text):
    with pytest.raises(ValueError) as refused:
        read(text)
    assert str(refused.value).startswith(WRONG[text])
    assert "\n" not in str(refused.value)


_VALUES = st.recursive(
    st.one_of(st.integers(-3, 300), st.booleans(), st.sampled_from(["", "1.1.0", "esp32", "x" * 99, "cut@3", "rest"])),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["plan", "share", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)
_KEYS = (
    "name",
    "share",
    "chip",
    "partitions",
    "idf",
    "version",
    "size",
    "config",
    "weather",
    "kinds",
    "metadata",
    "plan",
)


def _toml(value):
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    return str(value)


@given(st.sampled_from(["job", "kind"]), st.sampled_from(_KEYS), _VALUES)
def test_no_value_is_worse_than_a_sentence(where, key, value):
    line = f"{key} = {_toml(value)}\n"
    job = JOB if where == "kind" or key != "version" else "[job]\n"
    kind = KIND if where == "job" or key != "name" else "[[kind]]\n"
    text = job + (line if where == "job" else "") + kind + (line if where == "kind" else "")
    said = ""
    try:
        read(text).population.members()
    except ValueError as error:
        said = str(error)
    assert "\n" not in said
