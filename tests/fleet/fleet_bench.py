"""The same few devices as a fleet and as a lab, and what was heard of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from py_esp_ota import PartitionTable
from py_esp_ota.adapters.repeatable import Repeatable
from py_esp_ota.adapters.virtual_time import run_virtual
from py_esp_ota.cloud.jobs import OtaJob
from py_esp_ota.cloud_world import open_cloud
from py_esp_ota.faults import parse
from py_esp_ota.firmware import Firmware
from py_esp_ota.fleet.breed import Breed
from py_esp_ota.fleet.lives import Lives
from py_esp_ota.fleet.member import Member
from py_esp_ota.fleet.sky import Sky
from py_esp_ota.fleet.words import Off, On
from py_esp_ota.lab import Lab
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.world import EPOCH, LAB_HOST

SIZE = 64 << 10
OLD = Firmware("lamp", "1.0.0", size=SIZE).to_bytes()
NEW = Firmware("lamp", "1.1.0", size=SIZE).to_bytes()
TABLE = PartitionTable.builtin("two_ota")
CONFIG = Sdkconfig(esp_rmaker_mqtt_use_basic_ingest_topics=True)
JOB = "job"


def breed(plan="", **options) -> Breed:
    return Breed(TABLE, OLD, replace(CONFIG, **options), parse(plan))


def start_job(service, names, **options):
    image = service.images.add("lamp-1.1.0", NEW, fw_version="1.1.0", model="lamp")
    job = OtaJob(
        ota_job_id=JOB,
        ota_job_name="campaign",
        ota_image_id=image.ota_image_id,
        fw_version="1.1.0",
        triggered_timestamp=service.ground.now_ms(),
        force_push=True,
        sizes=(len(names),),
        **options,
    )
    service.jobs.adopt(job, names)


def heard(service, names):
    return {name: service.jobs.history(JOB, name) for name in names}


class Crowd:
    """A fleet in a cloud of its own. ``boots[i]`` is when the ith device gets its power."""

    def __init__(self, plans, boots, *, power=30.0, **options):
        self.names = [f"lamp{number:05}" for number in range(len(plans))]
        self.lives = {plan: Lives(breed(plan, **options).make, epoch=EPOCH) for plan in dict.fromkeys(plans)}
        self._plans, self._boots, self._power = plans, boots, power

    async def run(self, acts):
        sky = self.sky = _Sky(self._power)
        cloud = open_cloud(
            sky.open,
            database="sqlite://",
            token_hex=Repeatable().token_hex,
            admin_password="a" * 20,
            made_up=True,
            deliver=lambda *_: None,
            allowed_hosts=[LAB_HOST],
        )
        async with cloud as opened:
            loop = asyncio.get_running_loop()
            self.service, self.loop = opened.service, loop
            self.members = [
                Member(self.lives[plan], name, sky, loop) for plan, name in zip(self._plans, self.names, strict=True)
            ]
            for member, seconds in zip(self.members, self._boots, strict=True):
                loop.call_at(seconds, sky.let, member, On())
            try:
                await acts(self)
                sky.check()
            finally:
                for member in self.members:
                    if member.walker is not None:
                        member.walker.close()

    def switch_off(self, member):
        self.sky.let(member, Off())

    def switch_on(self, member):
        self.sky.let(member, On())


class _Sky(Sky):
    def __init__(self, power):
        super().__init__(epoch=EPOCH)
        self._power = power

    def moved(self, member):
        if member.state.went_dark:
            self._loop.call_later(self._power, self.let, member, On())


def crowd(plans, boots, acts, **options) -> Crowd:
    made = Crowd(plans, boots, **options)
    run_virtual(made.run(acts))
    return made


class Few:
    """The same devices in a lab."""

    def __init__(self, plans, boots, *, power=30.0, **options):
        self.names = [f"lamp{number:05}" for number in range(len(plans))]
        self._plans, self._boots, self._power, self._options = plans, boots, power, options

    async def run(self, acts):
        async with Lab() as lab:
            self.loop, self.service, self.lab = asyncio.get_running_loop(), lab.service, lab
            self.members = []
            for plan, name, seconds in zip(self._plans, self.names, self._boots, strict=True):
                device = lab.device(TABLE, firmware=OLD, node_id=name, config=replace(CONFIG, **self._options))
                lab.faults(device, plan)
                device.on_power_loss = lambda device=device: self.loop.call_later(self._power, self.switch_on, device)
                self.members.append(device)
                self.loop.call_at(seconds, self.switch_on, device)
            await acts(self)
            lab.check()

    def switch_off(self, device):
        device.on_power_loss = lambda: None
        device.power_off()

    def switch_on(self, device):
        device.power_on()


def few(plans, boots, acts, **options) -> Few:
    made = Few(plans, boots, **options)
    run_virtual(made.run(acts))
    return made
