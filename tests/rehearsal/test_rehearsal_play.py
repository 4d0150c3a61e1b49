"""Rehearsals: a campaign on copies of its nodes comes to what the campaign itself comes to."""

from __future__ import annotations

import asyncio
import json
import shlex
from functools import partial

import pytest
from rehearsal_bench import SIZE, board, campaign, image, lamp, lamps

from py_esp_ota import PartitionTable
from py_esp_ota.cloud.boards import OtadataFact, TableRow
from py_esp_ota.cloud.event_log import Wanted
from py_esp_ota.cloud.events import Kind
from py_esp_ota.cloud.forecasts import headline
from py_esp_ota.cloud.jobs import NodeStatus
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.rehearsals import COPY, Copy
from py_esp_ota.errors import PowerLoss
from py_esp_ota.lab import Lab
from py_esp_ota.rehearsal import climate_of, rehearse, rehearse_one
from py_esp_ota.rehearsal.climate import deal
from py_esp_ota.rehearsal.play import BOOTS, _piece
from py_esp_ota.view.forecast_text import lone_text

PHASES = {"phases": ["4", "rest"], "gate": {"success": "1"}, "abort": {"rolled_back": "2"}}
MIXED = "10% drop@30000*1; 10% app-no; 10% cut@9:torn; 10% status@503*9; 10% flip@4096*1; 10% mqtt-cut@6; never 50%"
"""Weather in which eleven devices meet seven different things."""
_WATCHED_S = 12 * 3600  # of the campaign; all who come back have come


def told(forecast) -> str:
    return json.dumps(forecast.to_json())


def test_a_campaign_in_fine_weather_is_done():
    forecast = rehearse(campaign())
    assert (forecast.state, forecast.updated, forecast.missed, forecast.waiting) == ("completed", 3, 0, 0)
    assert forecast.ok
    assert 0 < forecast.seconds < 60
    assert forecast.odd == forecast.groups == []


def test_a_seed_says_who_meets_what_and_the_same_seed_the_same():
    many = campaign(*lamps(12, online=False))
    first, again, other = (rehearse(many, weather=MIXED, seed=seed) for seed in (1, 1, 2))
    assert told(first) == told(again)
    assert [each.node_id for each in first.odd] != [each.node_id for each in other.odd]


# ------------------------------------------------------------------------------------------- and the campaign itself


class _Truth:
    """A real cloud and real devices, driven the long way; and what a campaign there was foretold to be."""

    def __init__(self, plan, weather, seed=0):
        names = [f"lamp-{number:03}" for number in range(11)]
        words = {"nodes": names, "force_push": True, "timeout": 36_000, "plan": Plan.from_json(plan)}
        with Lab() as lab:
            lab.run(lab.upload(image("1.0.0"), name="old"))
            new = lab.run(lab.upload(image("1.1.0"), name="new"))
            devices = {name: lab.device("two_ota_large", firmware=image("1.0.0"), node_id=name) for name in names}
            lab.run(self._introduce(devices))
            away = names[3::4]
            lab.run(self._let_go(lab, devices, away))
            self.written = lab.service.rehearsing.of_draft("lamps", new, **words)
            self.before = self._all_of(lab)
            self.foretold = rehearse(self.written, weather=weather, seed=seed)
            assert self._all_of(lab) == self.before
            self.fates = deal(climate_of(weather), self.written.nodes, seed)
            lab.run(self._meet(lab, devices, away))
            self.began = lab.service.ground.now_ms()
            self.job = lab.service.jobs.create("lamps", new, **words).job.ota_job_id
            lab.run(asyncio.sleep(_WATCHED_S))
            self.view = lab.service.jobs.get(self.job)
            self.log = [*lab.service.log.all(Wanted(ota_job_id=self.job))]
            self.states = {
                state.node_id: state for state in lab.service.jobs.node_status(self.job, num_records=100).items
            }

    @staticmethod
    async def _introduce(devices):
        for device in devices.values():
            device.power_on()
        await asyncio.sleep(60)
        for device in devices.values():
            device.power_off()
        await asyncio.sleep(60)

    async def _let_go(self, lab, devices, away):
        for name, device in devices.items():
            if name not in away:
                device.power_on()
        await asyncio.sleep(60)

    async def _meet(self, lab, devices, away):
        """Each device has its weather from its last boot on, as its copy."""
        loop = asyncio.get_running_loop()

        def switch_on(device):
            try:
                device.power_on()
            except PowerLoss:
                loop.call_later(self.fates[device.node_id].power, switch_on, device)

        for device in devices.values():
            device.power_off()
        await asyncio.sleep(60)
        for name, device in devices.items():
            fate = self.fates[name]
            lab.faults(device, fate.plan)
            device.on_power_loss = partial(loop.call_later, fate.power, switch_on, device)
            if name not in away:
                device.power_on()
            elif fate.comes:
                loop.call_later(60 + fate.boots, switch_on, device)
        await asyncio.sleep(60)

    @staticmethod
    def _all_of(lab):
        """Everything that the cloud knows and has ever heard."""
        entries = [entry for piece in lab.service.log.all(Wanted()) for entry in piece]
        return entries, lab.service.nodes.find(num_records=100).items, lab.service.jobs.find(num_records=100).items


@pytest.fixture(scope="module")
def truth():
    return _Truth({"phases": ["4", "rest"], "gate": {"success": "1"}}, MIXED)


def test_a_forecast_is_what_happens_device_for_device(truth):
    foretold = {name: (each.status, each.info) for each in truth.foretold.groups for name in each.named}
    real = {
        name: (state.status.value, state.additional_info)
        for name, state in truth.states.items()
        if state.status is not NodeStatus.SUCCESS
    }
    assert foretold == real
    assert len(foretold) == 3
    assert truth.foretold.updated == truth.view.standing.whole.updated == 8
    assert len({fate.plan for fate in truth.fates.values()}) == 7  # or the weather was no test


def test_phases_begin_when_they_were_foretold_to_begin(truth):
    entries = [entry.event for piece in truth.log for entry in piece if entry.event.kind is Kind.RELEASED]
    real = [round((event.time - truth.began) / 1000) for event in entries]
    assert [phase.began for phase in truth.foretold.phases] == pytest.approx(real, abs=1)


def test_a_campaign_is_aborted_in_the_phase_in_which_it_was_foretold():
    truth = _Truth(PHASES, "30% app-no; 10% drop@30000*1", seed=4)
    assert truth.foretold.state == truth.view.state == "aborted"
    assert truth.foretold.phase == truth.view.standing.job.progress.phase + 1 == 2
    assert truth.foretold.why == truth.view.standing.job.progress.why
    assert truth.foretold.rolled_back == truth.view.standing.whole.rolled_back
    assert truth.foretold.waiting == truth.view.standing.whole.total - truth.view.standing.whole.closed


# --------------------------------------------------------------------------------------------------------- odd devices


@pytest.fixture(scope="module")
def odd():
    """A campaign that ends badly in all kinds of ways, and its forecast."""
    away = tuple(lamp(f"away-{number}", online=False) for number in range(6))
    rehearsal = campaign(*lamps(10), *away, plan={"phases": ["8", "rest"], "gate": {"success": "1"}}, sizes=(8, 8))
    weather = (
        "20% app-no; 15% cut@9:torn; 10% app-crash@3; 10% drop@30000*1; 10% status@503*9; power 1h; speed 9000-90000"
    )
    return rehearsal, rehearse(rehearsal, weather=weather, seed=3, job="lamps.json")


def test_a_replay_line_plays_its_device_again_alone(odd):
    rehearsal, forecast = odd
    assert len({each.met for each in forecast.odd}) >= 5
    for each in forecast.odd:
        verb, group, rehearses, file, *options = shlex.split(each.replay)
        assert [verb, group, rehearses, file] == ["esp-ota", "cloud", "rehearse", "lamps.json"]
        given = dict(zip(options[::2], options[1::2], strict=True))
        times = {key: float(given[f"--{key}"]) for key in ("turn", "back", "stop") if f"--{key}" in given}
        weather, seed = given["--weather"], int(given["--seed"])
        alone = rehearse_one(rehearsal, given["--alone"], weather=weather, seed=seed, **times)
        assert (alone.status, alone.info, alone.boots) == (each.status, each.info, each.boots)
        said = [said for said in alone.said if said.who == "cloud" and each.info in said.text]
        assert said[-1].seconds == pytest.approx(each.seconds, abs=2)


def test_a_device_that_simply_took_its_update_is_not_odd(odd):
    rehearsal, forecast = odd
    fine = {share.value: share for share in forecast.shares if share.what == "weather"}["fine"]
    assert fine.nodes == fine.updated > 3
    assert len(forecast.odd) == len(rehearsal.nodes) - fine.nodes


def test_a_device_alone_shows_what_it_prints(odd):
    rehearsal, _ = odd
    alone = rehearse_one(rehearsal, "lamp-001", weather="app-no")
    printed = [said.text for said in alone.said if said.who == "chip"]
    assert any("boot: Loaded app from partition at offset" in text for text in printed)
    assert alone.info == "Firmware rolled back"


def test_nobody_plays_a_device_that_is_none_of_the_job():
    with pytest.raises(ValueError, match="the job is not for node lamp-9"):
        rehearse_one(campaign(), "lamp-9")


# ------------------------------------------------------------------------------------------------------- what is known


def test_what_is_not_known_of_a_board_is_assumed_and_said():
    known, unknown = lamp("known"), Copy(node_id="unknown", online=True)
    forecast = rehearse(campaign(known, unknown))
    assert forecast.updated == 2
    said = {each.sentence: (each.nodes, each.named) for each in forecast.assumed}
    for what in ("the chip is not known", "what runs is not known", "the partition table", "the bootloader's release"):
        assert [named for sentence, named in said.items() if sentence.startswith(what)] == [(1, ["unknown"])]
    assert any("otadata" in sentence for sentence in said)
    assert any("code in it does not run" in sentence for sentence in forecast.simplified)
    assert any("200000 bytes per second" in sentence for sentence in forecast.conditions)


def test_a_copy_has_the_table_of_its_board():
    small = (
        TableRow(label="otadata", type=1, subtype=0, offset=0xD000, size=0x2000),
        TableRow(label="nvs", type=1, subtype=2, offset=0x9000, size=0x4000),
        TableRow(label="ota_0", type=0, subtype=0x10, offset=0x1_0000, size=0x1_0000),
        TableRow(label="ota_1", type=0, subtype=0x11, offset=0x2_0000, size=0x8000),
    )
    forecast = rehearse(campaign(lamp("small", board=board(partitions="", table=small)), lamp("large")))
    (group,) = forecast.groups
    assert group.named == ["small"]
    assert group.reason == "too_large"
    assert forecast.updated == 1


def test_a_copy_boots_from_where_its_otadata_says():
    facts = board(runs="", otadata=(OtadataFact(sequence=7, state="VALID"), OtadataFact(sequence=8, state="VALID")))
    alone = rehearse_one(campaign(lamp("second", board=facts)), "second")
    first = next(said.text for said in alone.said if "Loaded app" in said.text)
    second = next(row for row in PartitionTable.builtin("two_ota_large") if row.label == "ota_1")
    assert first.endswith(f"0x{second.offset:x}")


def test_without_rollback_a_bad_image_stays():
    without = campaign(lamp("without", board=board(rollback=False)))
    assert rehearse(without, weather="app-no").rolled_back == 0
    assert rehearse(campaign(lamp("with")), weather="app-no").rolled_back == 1


def test_another_chip_refuses_the_image():
    other = lamp("s3", chip="esp32s3", image="", board=board(chip="esp32s3"))
    forecast = rehearse(campaign(other, lamp("c3")))
    assert [(each.named, each.reason) for each in forecast.groups] == [(["s3"], "wrong_chip")]
    by_chip = {each.value: (each.nodes, each.updated) for each in forecast.shares if each.what == "chip"}
    assert by_chip == {"esp32s3": (1, 0), "esp32c3": (1, 1)}


def test_one_board_whose_facts_fit_none_does_not_keep_the_others_from_being_played():
    odd_table = (TableRow(label="ota_0", type=0, subtype=0x10, offset=0x123, size=0x1000),)
    forecast = rehearse(campaign(lamp("odd", board=board(partitions="", table=odd_table)), lamp("even")))
    assert forecast.updated == 2
    (said,) = [each for each in forecast.assumed if "fits no board" in each.sentence]
    assert said.named == ["odd"]


def test_a_chip_that_nobody_knows_is_said():
    forecast = rehearse(campaign(lamp("strange", chip="esp99")))
    assert [each.sentence for each in forecast.assumed if "esp99" in each.sentence]


def test_a_node_that_never_comes_back_keeps_a_campaign_waiting():
    plan = {"phases": ["1", "rest"], "gate": {"success": "100%", "within": 3600}}
    away = campaign(lamp("away", online=False), lamp("there"), plan=plan, sizes=(1, 1))
    forecast = rehearse(away, weather="never 100%")
    assert (forecast.state, forecast.phase, forecast.seconds) == ("paused", 1, 3600)
    infos = {name: each.info for each in forecast.groups for name in each.named}
    assert infos == {"away": "it never came back", "there": "its turn never came"}


def test_a_download_that_hangs_and_an_app_that_crashes_for_ever_come_to_an_end():
    hanging = campaign(*lamps(2), timeout=86_400)
    forecast = rehearse(hanging, weather="50% mqtt-lose@3*99; 50% app-crash@1")
    assert forecast.state in {"completed", "unfinished"}
    assert max(each.boots for each in forecast.odd) == BOOTS


@pytest.mark.parametrize("size", [255, 3 << 20])
def test_a_flash_of_a_size_that_there_is_not_is_a_usual_one_and_said_to_be(size):
    forecast = rehearse(campaign(*lamps(2, board=board(flash_size=size))))
    assert forecast.ok
    (assumed, *_) = [each.sentence for each in forecast.assumed if "stands in" in each.sentence]
    assert assumed.endswith(f"no flash has {size} bytes")


def test_nodes_that_report_the_update_and_boot_for_ever_are_no_good_end():
    forecast = rehearse(campaign(), weather="app-crash@3")
    assert (forecast.state, forecast.updated, forecast.boot_loops, forecast.ok) == ("completed", 3, 3, False)
    told = headline(forecast.to_json())
    assert told.startswith("over after ")
    assert told.endswith(": 3 of 3 updated, 3 of them in a boot loop")
    alone = lone_text(rehearse_one(campaign(), "lamp-0", weather="app-crash@3"))
    assert alone[-1].endswith(f"; {BOOTS} boots, in a boot loop")


def test_what_needs_more_memory_than_there_is_is_refused_with_the_number_that_fits(monkeypatch):
    monkeypatch.setattr("py_esp_ota.cloud.rehearsals.ROOM", 3 * (SIZE + COPY))
    assert rehearse(campaign(*lamps(3))).ok
    with pytest.raises(ValueError, match=r"at most 3 nodes are rehearsed at once with an image of 65536 bytes, not 4:"):
        rehearse(campaign(*lamps(4)))
    assert rehearse_one(campaign(*lamps(4)), "lamp-000").status == "success"


def test_a_cut_that_counts_writes_finds_them_as_large_as_firmware_makes_them():
    pieces = {plan: _piece(plan) for plan in ("cut@40:torn+slow@200000", "slow@200000", "slow@9000", "slow@1", "")}
    assert list(pieces.values()) == [1024, 16_384, 9000, 1024, 16_384]


def test_pieces_that_copies_read_at_once_change_nothing(monkeypatch):
    many = campaign(*lamps(10))
    quick = rehearse(many, weather=MIXED, seed=5)
    monkeypatch.setattr("py_esp_ota.rehearsal.play._PIECE", 1)
    slow = rehearse(many, weather=MIXED, seed=5)
    assert quick.groups == slow.groups
    assert [(each.node_id, each.boots, each.info) for each in quick.odd] == [
        (each.node_id, each.boots, each.info) for each in slow.odd
    ]
    assert quick.seconds == pytest.approx(slow.seconds, abs=2)
