"""The same few devices on shared lives and in a lab, and what was heard of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from py_esp_ota import Device, PartitionTable
from py_esp_ota.adapters.virtual_time import run_virtual
from py_esp_ota.cloud.jobs import OtaJob
from py_esp_ota.faults import parse
from py_esp_ota.firmware import Firmware
from py_esp_ota.lab import Lab
from py_esp_ota.lives.breed import Breed
from py_esp_ota.lives.crowd import open_crowd
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.world import EPOCH

SIZE = 64 << 10
OLD = Firmware("lamp", "1.0.0", size=SIZE).to_bytes()
NEW = Firmware("lamp", "1.1.0", size=SIZE).to_bytes()
TABLE = PartitionTable.builtin("two_ota")
CONFIG = Sdkconfig(esp_rmaker_mqtt_use_basic_ingest_topics=True)
FLASH = Device(TABLE, firmware=OLD, config=CONFIG).flash
JOB = "job"
POWER = 30.0  # seconds that a power cut lasts


def breed(plan="", **options) -> Breed:
    return Breed(TABLE, FLASH, OLD, replace(CONFIG, **options), parse(plan))


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


class Many:
    """Devices on shared lives. ``boots[i]`` is when the ith gets its power."""

    def __init__(self, plans, boots, **options):
        self.names = [f"lamp{number:05}" for number in range(len(plans))]
        self._breeds = {plan: breed(plan, **options) for plan in dict.fromkeys(plans)}
        self._plans, self._boots = plans, boots

    async def run(self, acts):
        async with open_crowd(epoch=EPOCH) as crowd:
            self.crowd, self.service, self.loop = crowd, crowd.service, asyncio.get_running_loop()
            self.members = []
            for plan, name, seconds in zip(self._plans, self.names, self._boots, strict=True):
                self.members.append(crowd.add(name, self._breeds[plan], power=POWER))
                self.loop.call_at(seconds, crowd.switch_on, self.members[-1])
            await acts(self)
            crowd.check()

    def switch_off(self, member):
        self.crowd.switch_off(member)

    def switch_on(self, member):
        self.crowd.switch_on(member)


def many(plans, boots, acts, **options) -> Many:
    made = Many(plans, boots, **options)
    run_virtual(made.run(acts))
    return made


class Few:
    """The same devices in a lab."""

    def __init__(self, plans, boots, **options):
        self.names = [f"lamp{number:05}" for number in range(len(plans))]
        self._plans, self._boots, self._options = plans, boots, options

    async def run(self, acts):
        async with Lab() as lab:
            self.loop, self.service, self.lab = asyncio.get_running_loop(), lab.service, lab
            self.members = []
            for plan, name, seconds in zip(self._plans, self.names, self._boots, strict=True):
                device = lab.device(TABLE, firmware=OLD, node_id=name, config=replace(CONFIG, **self._options))
                lab.faults(device, plan)
                device.on_power_loss = lambda device=device: self.loop.call_later(POWER, self.switch_on, device)
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
