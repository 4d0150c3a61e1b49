"""One device: a chip with its partitions, power that comes and goes, and the RainMaker app that runs on it.

``power_on()`` alone is the bootloader, synchronous and without a network. ``live()`` is the whole life on a world's
doors: boot, run the app, boot again after each restart, lie dead after a power cut until somebody pushes the button.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NoReturn

from py_esp_ota import html
from py_esp_ota._core import (
    AppDesc,
    EFuse,
    Flash,
    FlashCrypt,
    ImageHeader,
    OtaSelectEntry,
    PartitionTable,
    Target,
    read_otadata,
    whole,
)
from py_esp_ota.apps import App, AppRun, Apps, Booted, run_app
from py_esp_ota.chip import Chip, ResetReason, numbers_from
from py_esp_ota.errors import FlashError, OtaError, PartitionTableError, PowerLoss, Restart
from py_esp_ota.firmware import merge
from py_esp_ota.flash_clock import FlashClock, PayingFetch, PayingMqtt
from py_esp_ota.flash_timing import FlashTiming
from py_esp_ota.flash_timing import flash_timing as timing_of
from py_esp_ota.idf import rollback, startup
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.bootloader.start import BootReport, boot, state_of
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.nvs import FlashNvs
from py_esp_ota.idf.nvs_residents import write_residents
from py_esp_ota.ports import Bytes, Clock, Fetch, MqttConnect
from py_esp_ota.rainmaker.node import RmakerNode
from py_esp_ota.rainmaker.ota import DiagState, DiagStatus, OtaConfig, OtaType
from py_esp_ota.rainmaker.params import ParamDevice
from py_esp_ota.rainmaker.standard import lamp
from py_esp_ota.sdkconfig import Sdkconfig

Diagnostics = Callable[[AppDesc, DiagState], DiagStatus | bool]
Crashes = Callable[[AppDesc], float | None]

_BOOT_S = 1.0  # so long a boot takes when nothing else takes time
_FLASH_SIZES = tuple(1 << exponent for exponent in range(20, 28))


@dataclass(frozen=True)
class Doors:
    """What the world offers a device."""

    mqtt: MqttConnect
    fetch: Fetch
    clock: Clock


class Device:
    """An ESP32-family device with a RainMaker app.

    >>> from py_esp_ota import Device, Firmware
    >>> lamp = Device("two_ota_large", firmware=Firmware("lamp", "1.0.0").to_bytes())
    >>> lamp.power_on()
    <BootReport ota_0 runs, VALID>
    >>> lamp
    <Device 'node': esp32c3, 4 MiB, runs lamp 1.0.0 from ota_0, VALID>

    Its flash, eFuses and console are there to be looked at: ``lamp.flash``, ``lamp.chip.efuse``, ``lamp.console``.

    Args:
        partitions: a table, or the name of a built-in one.
        firmware: the app image to flash, into factory if the table has one, else into ota_0. ``None`` leaves it blank.
        bootloader: a second-stage bootloader image to flash beside it; its header then tells the flash size and its
            descriptor the version that the boot log prints. The boot itself needs none.
        target: the chip, ``"esp32s3"``; taken from the firmware's header when not given.
        flash_size: bytes; the smallest that holds the table when not given.
        efuse: the chip's eFuses; a factory-new chip of a common revision when not given. With flash encryption on
            everything here is flashed as ciphertext.
        config: the options of bootloader and app.
        node_id: the RainMaker node id.
        name: the node's name in its config.
        type: the node's type in its config.
        devices: what the node's app has, with their params as they are at each boot; a lamp when not given.
        connectivity: whether the node tells its presence by a param and a last will.
        groups: whether the cloud may put the node into a group.
        thread_partition_id: of the Thread network that the node is in; 0 for none.
        ota_type: whether OTA runs over topics (the default) or over params.
        ota_diag: the self-test of the first boot after an update; told which app is running and which phase it is.
        crashes: asked at each boot of a RainMaker app after how many seconds it panics, ``None`` for not at all. At 0
            it panics before it has done anything; a chip that resets for ever like that takes a second each time.
        apps: asked at each boot what the image does that booted: a function of Python, or machine code
            (``py_esp_ota.apps``); ``None`` is the RainMaker app, which all images are when this is not given.
        nvs_residents: whether the RainMaker app's NVS also holds what PHY, Wi-Fi and the time zone keep there, so that
            it is as full as in the field.
        flash_timing: the flash chip whose times ``live()`` takes (``py_esp_ota.flash_timing``), or its name; flash is
            instant when not given.
        console: called with each console line as it is printed.

    Raises:
        ValueError: the firmware does not fit its partition, or the table does not fit the flash; no times are known of
            the flash.
    """

    def __init__(
        self,
        partitions: PartitionTable | str = "two_ota_large",
        *,
        firmware: Bytes | None = None,
        bootloader: Bytes | None = None,
        target: str | None = None,
        flash_size: int | None = None,
        efuse: EFuse | None = None,
        config: Sdkconfig | None = None,
        node_id: str = "node",
        name: str = "ESP RainMaker Device",
        type: str = "Lightbulb",  # noqa: A002 - the reference's word
        devices: Sequence[ParamDevice] | None = None,
        connectivity: bool = False,
        groups: bool = False,
        thread_partition_id: int = 0,
        ota_type: OtaType = OtaType.TOPICS,
        ota_diag: Diagnostics | None = None,
        crashes: Crashes | None = None,
        apps: Apps | None = None,
        nvs_residents: bool = False,
        flash_timing: FlashTiming | str | None = None,
        console: Callable[[str], None] | None = None,
    ) -> None:
        table = PartitionTable.builtin(partitions) if isinstance(partitions, str) else partitions
        self.config = config or Sdkconfig()
        self.node_id = node_id
        self.boots: list[BootReport] = []
        #: What runs at each reset. Who plays very many devices may know already what comes of it.
        self.bootloader: Callable[[Chip, Sdkconfig], BootReport] = boot
        #: How each run of an app from ``apps`` ended.
        self.runs: list[AppRun] = []
        self.console: list[str] = []
        #: Called in ``live()`` when the device lies dead: who is to switch it on again learns it here.
        self.on_power_loss: Callable[[], object] = lambda: None
        self.name = name
        self.type = type
        self._connectivity = connectivity
        self._groups = groups
        self._thread_partition_id = thread_partition_id
        self._devices = (lamp(),) if devices is None else devices
        self._print = console
        self._ota_type = ota_type
        self._ota_diag = ota_diag
        self._crashes = crashes
        self._apps = apps
        self._nvs_residents = nvs_residents
        image, loader = (None if part is None else whole(part) for part in (firmware, bootloader))
        target = target or _target_of(image)
        engine = FlashCrypt.of_efuse(efuse) if efuse else None
        parts = (table, target, self.config.partition_table_offset, image, loader, flash_size)
        flash = _flashed(*parts, engine) if engine else _alike(*parts).fork()
        self.chip = Chip(target, flash=flash, efuse=efuse, fill_random=numbers_from(node_id.encode()))
        self.nvs = FlashNvs(self.chip, self.config)
        timing = timing_of(flash_timing) if isinstance(flash_timing, str) else flash_timing
        self._clock = None if timing is None else FlashClock(self.chip, timing)
        self._app: asyncio.Task[NoReturn] | None = None
        self._node: RmakerNode | None = None
        self._turned_on = asyncio.Event()

    def __repr__(self) -> str:
        size = f"{self.flash.size >> 20} MiB" if self.flash.size >> 20 else f"{self.flash.size >> 10} KiB"
        chip = f"<Device {self.node_id!r}: {self.chip.target.name}, {size}"
        if not self.flash.powered:
            return f"{chip}, without power>"
        if not (self.report and self.report.partition):
            return f"{chip}, {'nothing boots' if self.report else 'not switched on'}>"
        app = f"{self.running.project_name} {self.running.version}" if self.running else "an app"
        return f"{chip}, runs {app} from {self.report.partition.label}{self.state and f', {self.state}'}>"

    def _repr_html_(self) -> str:
        """Who it is, its otadata and its flash, for a notebook."""
        app = f"{self.running.project_name} {self.running.version}" if self.running else ""
        slot = self.report.partition.label if self.report and self.report.partition else ""
        known = (("chip", self.chip.target.name), ("runs", app), ("from", slot), ("state", self.state))
        otadata = [rollback.entry_words(entry) for entry in self._otadata()]
        heads = ("ota_seq", "ota_state", "crc")
        return (
            html.facts(f"Device {self.node_id}", known)
            + (html.table("otadata", heads, otadata) if otadata else "")
            + self.flash._repr_html_()
        )

    def _otadata(self) -> tuple[OtaSelectEntry, ...]:
        """Both entries of the table in flash; none where there is no table or no otadata."""
        looked_at = self.flash.fork()  # no fault of a plan falls on a look
        try:
            row = PartitionTable.load(looked_at, self.config.partition_table_offset).find(type=1, subtype=0)
            return read_otadata(looked_at, row.offset) if row else ()
        except (FlashError, PartitionTableError, PowerLoss):
            return ()

    @property
    def report(self) -> BootReport | None:
        """The latest boot."""
        return self.boots[-1] if self.boots else None

    @property
    def flash(self) -> Flash:
        """The chip's flash."""
        return self.chip.flash

    @property
    def running(self) -> AppDesc | None:
        """The descriptor of the app that runs now; ``None`` without power or without a bootable app."""
        return self.report.app_desc if self.report and self.flash.powered else None

    @property
    def state(self) -> str:
        """The otadata state of the running slot as it stands in flash now, ``""`` when it has none."""
        if not (self.report and self.report.partition and self.flash.powered):
            return ""
        return state_of(self.flash, self.report.partition, self.config)

    def power_on(self) -> BootReport:
        """Power comes, the bootloader runs. Raises ``PowerLoss`` when the armed fault falls into the boot."""
        self.flash.power_on()
        report = self._boot(ResetReason.POWERON)
        self._turned_on.set()
        return report

    def power_off(self) -> None:
        """Pull the plug: the app ends at its next breath, RAM and open connections are gone."""
        self.flash.power_off()
        self._turned_on.clear()
        if self._app:
            self._app.cancel()

    def run(self) -> AppRun | None:
        """Without network and time: the app from ``apps`` that was booted, and what boots after it, until one stays.

        The last run; ``None`` when nothing is booted that ``apps`` has an app for. Ends as well when the chip boots for
        ever and nothing changes any more. Raises ``PowerLoss``, and what a function of Python raises.
        """
        last, seen = None, set[tuple[ResetReason, bytes]]()
        while (app := self._booted_app()) is not None:
            last = self._run_once(*app)
            if last.reset is None:
                break
            left = (last.reset, self.flash.to_bytes())
            if left in seen:
                break
            seen.add(left)
            self._boot(last.reset)
        return last

    def map_user(self, user_id: str, secret_key: str) -> None:
        """Give the running RainMaker app its user, as provisioning does (``esp_rmaker_start_user_node_mapping``).

        The node tells the cloud, which believes it when the user names the same secret. Raises ``RuntimeError`` when no
        RainMaker app runs.
        """
        mapping = self._node.user_mapping if self._node else None
        if mapping is None:
            raise RuntimeError(f"no RainMaker app runs on {self.node_id}: switch it on, and give it a moment to start")
        mapping.start(user_id, secret_key)

    async def live(self, doors: Doors) -> NoReturn:
        """Run for ever: the app after each boot, the bootloader after each restart, nothing without power.

        An app from ``apps`` does all it does at its first moment; the time it took passes then.
        """
        if self._clock is not None:
            doors = Doors(PayingMqtt(doors.mqtt, self._clock), PayingFetch(doors.fetch, self._clock), doors.clock)
        while True:
            await self._turned_on.wait()
            try:
                await self._run_app(doors)
            except Restart as restart:
                with suppress(PowerLoss):
                    self._boot(restart.reason if isinstance(restart, _Reset) else ResetReason.SW)
            except PowerLoss:
                pass
            if not self.flash.powered:  # it may be back already: an app needs a moment to die
                self._turned_on.clear()
                self.on_power_loss()

    def _boot(self, reason: ResetReason) -> BootReport:
        self.chip.reset_reason = reason
        self.nvs.reset()
        report = self.bootloader(self.chip, self.config)
        self.boots.append(report)
        for line in report.log:
            self._write_line(line)
        return report

    def _write_line(self, line: str) -> None:
        self.console.append(line)
        if self._print:
            self._print(line)

    async def _run_app(self, doors: Doors) -> None:
        report = self.report
        if report is None or report.partition is None or report.app_desc is None:
            # Nothing bootable: the chip resets for ever and changes nothing, so one boot shows it all.
            # Or an app without a descriptor: no RainMaker app, and its own machine code does not run here.
            self._turned_on.clear()
            return
        app = self._booted_app()
        if app is not None:
            await self._live_as(self._run_through(*app))
            return
        loop = asyncio.get_running_loop()
        started = loop.time()
        log = Log(lambda: round((loop.time() - started) * 1000), self._write_line)
        startup.flash_encryption_init_checks(self.chip, self.config, log)
        try:
            startup.init_efuse_secure(self.chip, report.app_desc, self.config, log)
        except OtaError as error:
            before = self.boots[-2] if len(self.boots) > 1 else None
            if before and (before.partition, before.state) == (report.partition, report.state):
                self._turned_on.clear()  # it would go on like this for ever
                return
            raise Restart("init_efuse_secure") from error
        ops = OtaOps(self.chip, report.partition, self.config, log)
        diag, running = self._ota_diag, report.app_desc
        ota = OtaConfig(type=self._ota_type, ota_diag=(lambda state: diag(running, state)) if diag else None)
        node = RmakerNode(
            node_id=self.node_id,
            ops=ops,
            nvs=self.nvs,
            clock=doors.clock,
            mqtt=doors.mqtt,
            fetch=doors.fetch,
            log=log,
            ota=ota,
            name=self.name,
            type=self.type,
            devices=[one.at_boot() for one in self._devices],
            connectivity=self._connectivity,
            groups=self._groups,
            thread_partition_id=self._thread_partition_id,
        )
        crash = self._crashes(running) if self._crashes else None
        life = partial(self._live_as_node, node)
        await self._live_as(life() if crash is None else _until_panic(life, crash, log))

    async def _live_as_node(self, node: RmakerNode) -> NoReturn:
        if self._nvs_residents:
            write_residents(self.nvs)
        self._node = node
        try:
            await node.run()
        finally:
            self._node = None

    def _booted_app(self) -> tuple[App, Booted] | None:
        """The app from ``apps`` that is booted, and what it finds."""
        report = self.report
        if self._apps is None or report is None or report.partition is None or report.app_desc is None:
            return None
        app = self._apps(report.app_desc)
        if app is None:
            return None
        return app, Booted(self.chip, report.partition, report.app_desc, self.config, self._write_line)

    def _run_once(self, app: App, booted: Booted) -> AppRun:
        ended = run_app(app, booted)
        self.runs.append(ended)
        return ended

    async def _run_through(self, app: App, booted: Booted) -> NoReturn:
        """One run of an app from ``apps``. Raises ``Restart`` when it ends."""
        ended = self._run_once(app, booted)
        await asyncio.sleep(ended.seconds if ended.reset is None else max(ended.seconds, _BOOT_S))
        if ended.reset is not None:
            raise _Reset(ended.reset, ended.why)
        await asyncio.Event().wait()
        raise AssertionError("nobody sets this event")

    async def _live_as(self, life: Coroutine[object, object, NoReturn]) -> None:
        """Until the power goes, or the app ends by itself. Raises ``Restart``."""
        if self._clock is not None:
            life = _after(self._clock, life)
        self._app = asyncio.create_task(life, name=f"app of {self.node_id}")
        try:
            await self._app
        except asyncio.CancelledError:
            us = asyncio.current_task()
            if us is not None and us.cancelling():
                raise  # live() itself is being stopped, not only the app by a power_off()
        finally:
            self._app.cancel()
            self._app = None


class _Reset(Restart):
    """The end of an app for a reason of its own."""

    def __init__(self, reason: ResetReason, why: str) -> None:
        super().__init__(why)
        self.reason = reason


async def _after(clock: FlashClock, life: Coroutine[object, object, NoReturn]) -> NoReturn:
    """An app that starts when the flash is through with the boot. Raises whatever ends its life."""
    try:
        await clock.pay()
        await life
    finally:
        life.close()
    raise AssertionError("a life does not end by itself")


async def _until_panic(life: Callable[[], Coroutine[object, object, NoReturn]], seconds: float, log: Log) -> NoReturn:
    """An app that panics after so many seconds. Raises ``Restart``, or whatever ends its life before."""
    if seconds > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await life()
    else:
        await asyncio.sleep(_BOOT_S)
    log.error("app", "Guru Meditation Error: the app panics, as planned")
    raise Restart("panic")


def _target_of(firmware: bytes | None) -> str:
    if firmware is None:
        raise ValueError("a device without firmware needs target=, for example target='esp32c3'")
    target = Target.from_chip_id(ImageHeader.from_bytes(firmware).chip_id)
    if target is None:
        raise ValueError("the firmware's chip id is unknown; name the chip with target=")
    return target.name


@lru_cache(maxsize=8)
def _alike(
    table: PartitionTable,
    target: str,
    table_offset: int,
    firmware: bytes | None,
    bootloader_image: bytes | None,
    flash_size: int | None,
) -> Flash:
    """What devices of one kind are made from: as forks of it they share what is equal, and the verdicts over it."""
    return _flashed(table, target, table_offset, firmware, bootloader_image, flash_size)


def _flashed(
    table: PartitionTable,
    target: str,
    table_offset: int,
    firmware: bytes | None,
    bootloader_image: bytes | None,
    flash_size: int | None,
    engine: FlashCrypt | None = None,
) -> Flash:
    parts = {table_offset: table.to_bytes()}
    if bootloader_image is not None:
        parts[Target(target).bootloader_offset] = bootloader_image
    if firmware is not None:
        slot = table.find(type=0, subtype=0x00) or table.find(type=0, subtype=0x10)
        if slot is None:
            raise ValueError("the partition table has neither app/factory nor app/ota_0 for the firmware")
        if len(firmware) > slot.size:
            raise ValueError(f"the firmware has {len(firmware)} bytes, partition {slot.label} only {slot.size}")
        parts[slot.offset] = firmware
    needed = max(row.offset + row.size for row in table) if len(table) else table_offset + 0x1000
    size = flash_size or next((size for size in _FLASH_SIZES if size >= needed), _FLASH_SIZES[-1])
    if size < needed:
        raise ValueError(f"the partition table needs 0x{needed:x} bytes of flash, there are 0x{size:x}")
    if engine is not None:
        # As a factory writes an encrypted device: what the chip will decrypt is ciphertext, blank otadata included.
        parts |= {row.offset: b"\xff" * row.size for row in table if row.type == 1 and row.subtype == 0}
        parts = {offset: engine.encrypt(offset, part + b"\xff" * (-len(part) % 16)) for offset, part in parts.items()}
    return Flash.from_bytes(merge(parts), size=size)
