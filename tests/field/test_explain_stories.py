"""Our own consoles: of every boot of every story, cut and uncut, the decision and the turn are told as they were.

What is true is taken from the flash and from what the device did, never from what it printed.
"""

from __future__ import annotations

import os
from functools import cache

import pytest

from py_esp_ota import PowerLoss
from py_esp_ota.errors import Restart
from py_esp_ota.field.explain.explain import explain
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep import STORIES, Scene
from py_esp_ota.sweep.cuts import tears_of
from py_esp_ota.sweep.engine import rehearse
from py_esp_ota.sweep.life import Life

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))


class Witness:
    """Keeps what a device printed, boots and apps, and what was true at each boot."""

    def __init__(self, monkeypatch):
        self.console, self.boots, self.asked = [], [], ""
        boot, app = Life._boot, Life.app
        reject, choose = OtaOps.mark_app_invalid_rollback_and_reboot, OtaOps.set_boot_partition

        def booted(life, reset):
            report = boot(life, reset)
            self.console += report.console
            self.boots.append((report, self.asked))
            self.asked = ""
            return report

        def acted(life, act):
            def heard(ops):
                act(OtaOps(life.chip, life.report.partition, life.config, Log(lambda: 5000, self.console.append)))

            app(life, heard)

        def rejected(ops):
            try:
                reject(ops)
            except Restart:  # it is written; a power cut before that is the bootloader's business
                self.asked = "reject"
                raise

        def chosen(ops, partition):
            self.asked = partition.label
            choose(ops, partition)

        monkeypatch.setattr(OtaOps, "set_boot_partition", chosen)
        monkeypatch.setattr(Life, "_boot", booted)
        monkeypatch.setattr(Life, "app", acted)
        monkeypatch.setattr(OtaOps, "mark_app_invalid_rollback_and_reboot", rejected)

    def truth(self, number):
        report, asked = self.boots[number]
        return _decision(report), _turn(report, asked, self.boots[:number])


def _decision(report):
    why = " ".join(report.why)
    if report.partition is None:
        return "nothing"
    if "is not bootable" in why:
        return "fallback"
    if "both otadata entries are blank or corrupt" in why:
        return "initial"
    if "both otadata entries are blank" in why or "no OTA slot" in why:
        return "defaulting" if "-> factory" in why else "no-factory"
    if "no otadata entry" in why:
        return "otadata-damaged"
    return "chosen"


def _turn(report, asked, earlier):
    ran = [one[0].partition for one in earlier if one[0].partition]
    if not ran:
        return "first"
    if report.partition == ran[-1]:
        return "same"
    if "is not bootable" in " ".join(report.why):
        return "refused"
    if asked == "reject":
        return "rejected"
    return "updated" if asked == report.partition.label else "rolled-back"


@cache
def scene(table="two_ota", **options):
    return Scene(OLD, NEW, table, config=Sdkconfig(**options))


def told(witness, story, played, plan=""):
    """The story with the plan's cuts, told again after each."""
    played = story.scene(played)
    life = played.life()
    story.prepare(life, played)
    life.flash.power_off()
    if plan:
        life.flash.fault = plan
        with pytest.raises(PowerLoss):
            story.act(life, played)
    story.act(life, played)
    return life


def compare(witness):
    found = explain("\n".join(witness.console).encode())
    assert len(found.steps) == len(witness.boots)
    mine = [(step.decision, step.turn) for step in found.steps]
    assert mine == [witness.truth(number) for number in range(len(witness.boots))]
    for step, (report, _) in zip(found.steps, witness.boots, strict=True):
        assert step.offset == (report.partition.offset if report.partition else None)
    return found


@pytest.mark.parametrize("story", STORIES)
def test_every_boot_of_every_story(story, monkeypatch):
    witness = Witness(monkeypatch)
    told(witness, STORIES[story], scene())
    compare(witness)


@pytest.mark.parametrize("story", [name for name in STORIES if not name.startswith("agent")])
def test_every_boot_after_every_kind_of_cut(story, monkeypatch):
    _, run, _ = rehearse(STORIES[story], scene())
    plans = [f"cut@{op.index}{tear}" for op in run.operations for tear in tears_of(op, "torn")]
    few = plans if "ESP_OTA_EVERY_CUT" in os.environ else plans[-40:]
    witness = Witness(monkeypatch)
    for plan in few:
        witness.console.clear()
        witness.boots.clear()
        witness.asked = ""
        told(witness, STORIES[story], scene(), plan)
        try:
            compare(witness)
        except AssertionError as error:
            raise AssertionError(plan) from error
