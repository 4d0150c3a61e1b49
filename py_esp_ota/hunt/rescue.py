"""What can be done for a board without a cable: its power, its pins, its cloud; and its life after that, faultless.

The agent in it is the real one, under virtual time. The cloud is one job, offered until the node has said its last.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from py_esp_ota._core import EFuse, Flash, PartitionTable, inspect_image
from py_esp_ota.adapters.body import WholeResponse
from py_esp_ota.adapters.memory import MemoryBroker, VirtualClock, run_virtual
from py_esp_ota.chip import Held
from py_esp_ota.device import Crashes, Device, Diagnostics, Doors
from py_esp_ota.errors import EspError, NvsError, PartitionTableError
from py_esp_ota.idf.bootloader.start import BootReport
from py_esp_ota.idf.nvs import nvs_flash_erase
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.ports import Mqtt, Response
from py_esp_ota.rainmaker.messages import (
    OTAFETCH,
    OTASTATUS,
    OTAURL,
    STREAM_DATA,
    STREAM_FILTER,
    OtaUrl,
    parse_stream_topic,
    parse_topic,
    stream_topic,
    topic,
)
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep.agent import blocks

_NODE, _STREAM = "wreck", "rescue"
_EPOCH = 1_767_225_600.0
#: Seconds: between two looks, of peace until an end is one, and at most; without a job nothing follows a rollback.
_LOOK, _QUIET, _PATIENCE, _PATIENCE_ALONE = 10.0, 30.0, 3600.0, 400.0
#: A board that boots so often in one life does so for ever; a job that failed in so many rounds of attempts goes on so.
_BOOTS, _ROUNDS = 12, 2
_SETTLED = frozenset({"", OtaImgState.VALID.name, OtaImgState.UNDEFINED.name})


@dataclass(frozen=True, slots=True)
class Wreck:
    """A board without power, and what the world still has for it.

    Attributes:
        flash: as the last fault left it.
        efuse: likewise.
        chip: ESP-IDF's name of it.
        config: how bootloader and apps were built.
        goal: the image that shall run.
        offers: the images that its cloud still has.
        ota_diag: the self-test of its images, as they are; by default each passes.
        crashes: after how many seconds an image panics, as it is; by default none does.
    """

    flash: Flash
    efuse: EFuse
    chip: str
    config: Sdkconfig
    goal: bytes
    offers: tuple[bytes, ...] = ()
    ota_diag: Diagnostics | None = None
    crashes: Crashes | None = None

    @classmethod
    def of(cls, device: Device, goal: bytes, offers: Sequence[bytes] = ()) -> Wreck:
        """A device as it is now, if its power went now."""
        chip = device.chip
        flash = chip.flash.fork()
        flash.power_off()
        return cls(flash, chip.efuse.copy(), chip.target.name, device.config, goal, tuple(offers))

    def board(self, flash: Flash, efuse: EFuse) -> Device:
        """A board like it with this flash and these fuses; no fault is armed in it."""
        device = Device(
            target=self.chip,
            efuse=efuse.copy(),
            config=self.config,
            node_id=_NODE,
            ota_diag=self.ota_diag,
            crashes=self.crashes,
        )
        device.chip.flash = flash.fork()
        device.chip.flash.fault = ""
        device.chip.flash.watch()
        return device


@dataclass(frozen=True, slots=True)
class Rescue:
    """Something that can be tried: ``text`` says it.

    ``offer`` is the image that the cloud offers meanwhile. ``pins`` are held from the reset on, and free again at the
    next one. ``forgets``: the app erases its NVS, as ``esp_rmaker_factory_reset`` does.
    """

    text: str
    offer: bytes | None = None
    pins: Mapping[int, Held] = field(default_factory=dict)
    forgets: bool = False


def rescues(wreck: Wreck) -> tuple[Rescue, ...]:
    """All that there are for a board, the plainest first."""
    config = wreck.config
    found = [Rescue("the power goes and comes back")]
    found += [
        Rescue("the cloud offers the target" if image == wreck.goal else f"the cloud offers {_name(image)}", image)
        for image in sorted(dict.fromkeys(wreck.offers), key=lambda image: image != wreck.goal)
    ]
    if config.bootloader_factory_reset:
        pin, high = config.bootloader_num_pin_factory_reset, config.bootloader_factory_reset_pin_high
        found.append(Rescue(f"pin {pin} is held for a factory reset", pins={pin: Held(int(high))}))
        found.append(Rescue(f"pin {pin} is kept from a factory reset", pins={pin: Held(int(not high))}))
    if config.bootloader_app_test:
        pin, high = config.bootloader_num_pin_app_test, config.bootloader_app_test_pin_high
        found.append(Rescue(f"pin {pin} is held for the test app", pins={pin: Held(int(high))}))
        found.append(Rescue(f"pin {pin} is kept from the test app", pins={pin: Held(int(not high))}))
    found.append(Rescue("the app is told to forget its NVS", forgets=True))
    return tuple(found)


def _name(image: bytes) -> str:
    desc = inspect_image(image).app_desc
    return f"{desc.project_name} {desc.version}" if desc else "another image"


@dataclass(frozen=True, slots=True)
class After:
    """A board after a rescue, and an hour of its life at most; without power again.

    ``reached``: the target ran, confirmed and in peace. ``boots`` are the latest ones, ``heard`` each status and its
    words, ``console`` what the board printed. ``ended`` is the error that its app died of.
    """

    flash: Flash
    efuse: EFuse
    reached: bool
    boots: tuple[BootReport, ...]
    heard: tuple[tuple[str, str], ...]
    console: tuple[str, ...]
    ended: str = ""


def try_rescue(wreck: Wreck, flash: Flash, efuse: EFuse, rescue: Rescue) -> After:
    """Do it to a board that is as ``flash`` and ``efuse`` say; both stay as they are."""
    return run_virtual(_Life(wreck, flash, efuse, rescue).live())


class _Life:
    def __init__(self, wreck: Wreck, flash: Flash, efuse: EFuse, rescue: Rescue) -> None:
        self._wreck, self._rescue = wreck, rescue
        self._device = wreck.board(flash, efuse)
        self._broker = MemoryBroker()
        self._heard: list[tuple[str, str]] = []
        self._offers = True

    async def live(self) -> After:
        """The rescue, and what follows."""
        device = self._device
        async with self._broker("cloud") as link:
            for name in ("#", "$aws/rules/#", STREAM_FILTER):
                await link.subscribe(name)
            ear = asyncio.create_task(self._listen(link))
            life = asyncio.create_task(device.live(Doors(self._broker, self._fetch, VirtualClock(_EPOCH))))
            try:
                self._begin()
                reached = await self._wait(life)
            finally:
                for task in (life, ear):
                    task.cancel()
                ends = await asyncio.gather(life, ear, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, EspError):
                raise end
        ended = next((str(end) for end in ends if isinstance(end, EspError)), "")
        device.flash.power_off()
        said = tuple(device.console)
        return After(
            device.flash, device.chip.efuse, reached, tuple(device.boots[-3:]), tuple(self._heard), said, ended
        )

    def _begin(self) -> None:
        device = self._device
        device.chip.pins.update(self._rescue.pins)
        report = device.power_on()
        device.chip.pins.clear()
        if self._rescue.forgets and report.partition is not None:
            with suppress(NvsError):
                nvs_flash_erase(device.chip, device.config)
            device.power_on()

    async def _wait(self, life: asyncio.Task[object]) -> bool:
        """Until the target runs in peace, nothing runs, or nothing more is to be hoped for."""
        device, loop = self._device, asyncio.get_running_loop()
        patience = _PATIENCE_ALONE if self._rescue.offer is None else _PATIENCE
        end, peaceful, told = loop.time() + patience, 0.0, False
        while loop.time() < end and not life.done() and len(device.boots) < _BOOTS:
            boots = len(device.boots)
            await asyncio.sleep(_LOOK)
            if device.report is None or device.report.partition is None:
                return False
            at_peace = self._is_at_goal() and len(device.boots) == boots
            peaceful = peaceful + _LOOK if at_peace else 0.0
            if peaceful >= _QUIET:
                return self._stays()
            if not told and self._is_hopeless():
                told, end = True, min(end, loop.time() + _PATIENCE_ALONE)
        return False

    def _is_hopeless(self) -> bool:
        said = [status for status, _ in self._heard]
        rounds = _ROUNDS * max(self._wreck.config.esp_rmaker_ota_max_retries, 1)
        return "rejected" in said or said.count("failed") >= rounds

    def _is_at_goal(self) -> bool:
        device = self._device
        partition = device.report.partition if device.report else None
        goal = self._wreck.goal
        if partition is None or device.state not in _SETTLED or partition.size < len(goal):
            return False
        return device.flash.mmap(partition.offset, len(goal)) == goal

    def _stays(self) -> bool:
        """Whether the target is still what runs after the next power-on."""
        self._device.power_on()
        return self._is_at_goal()

    async def _listen(self, link: Mqtt) -> None:
        async for message in link.messages():
            image = self._rescue.offer
            if image is not None and parse_stream_topic(message.topic) is not None:
                for block in blocks(image, message.payload):
                    await link.publish(stream_topic(_NODE, _STREAM, STREAM_DATA), block)
            place = parse_topic(message.topic)
            if place is None:
                continue
            if place[1] == OTASTATUS:
                said = json.loads(message.payload)
                self._heard.append((said["status"], said["additional_info"]))
            elif place[1] == OTAFETCH and image is not None and self._wants():
                await link.publish(topic(_NODE, OTAURL), self._offer(image).encode())

    def _wants(self) -> bool:
        """A job goes to a node until that has said its last word."""
        return not any(status in {"success", "rejected"} for status, _ in self._heard)

    def _offer(self, image: bytes) -> OtaUrl:
        job, url = "AbCdEfGhIjKlMnOpQrStUv", "https://cloud.lab/rescue.bin"
        if self._wreck.config.esp_rmaker_ota_use_mqtt:
            return OtaUrl(ota_job_id=job, url=url, stream_id=_STREAM, file_size=len(image), file_md5="rescue")
        return OtaUrl(ota_job_id=job, url=url, file_size=len(image))

    @asynccontextmanager
    async def _fetch(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:  # noqa: ARG002
        await asyncio.sleep(0)
        yield WholeResponse(self._rescue.offer or b"")


def loaded_table(flash: Flash, config: Sdkconfig) -> PartitionTable | None:
    """The table in a flash with power, ``None`` where it is refused."""
    try:
        return PartitionTable.load(flash, config.partition_table_offset, md5=config.partition_table_md5)
    except (PartitionTableError, EspError):
        return None
