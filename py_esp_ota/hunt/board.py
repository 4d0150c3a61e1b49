"""One board of a world: its device, its weather, and what the promises need to remember of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

from py_esp_ota._core import (
    AppDesc,
    EFuse,
    Flash,
    Partition,
    Sectors,
    active_otadata,
    ota_slot,
    read_otadata,
    verify_image,
)
from py_esp_ota.chip import Chip
from py_esp_ota.device import Device, Doors
from py_esp_ota.faults import Plan, Weather, parse
from py_esp_ota.faults.mqtt import budgeted
from py_esp_ota.hunt.boots import Boots
from py_esp_ota.hunt.kinds import forged, fuses, table
from py_esp_ota.hunt.tape import Tape
from py_esp_ota.hunt.world import World
from py_esp_ota.idf.bootloader.start import BootReport, boot
from py_esp_ota.idf.features import features
from py_esp_ota.idf.nvs import FlashNvs
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.ports import Clock, Fetch, MqttConnect, NvsValue
from py_esp_ota.rainmaker.ota import DiagState
from py_esp_ota.sdkconfig import Sdkconfig

USER = "user"
#: What the user of a board has set before the world begins.
SETTINGS: dict[str, NvsValue] = {"room": "kitchen", "level": 7, "scene": bytes(range(40))}

_TRIED = {OtaImgState.NEW, OtaImgState.PENDING_VERIFY}
_LOOKS = 6  # that are remembered
_PANICS_AFTER = 0.0  # before it has done anything, its confirmation included


@cache
def _as_made(
    name: str, chip: str, image: bytes, config: Sdkconfig, fuse: int, *, encrypted: bool
) -> tuple[Flash, Chip]:
    """A board as it leaves the factory with its user's settings: its flash, to fork, and its chip, for the eFuses."""
    made = Device(table(name), firmware=image, config=config, efuse=fuses(chip, fuse, encrypted=encrypted))
    flash = made.flash.fork(strict=False)  # bits only ever clear
    kept = Chip(chip, flash=flash, efuse=made.chip.efuse)
    nvs = FlashNvs(kept, config)
    for key, value in SETTINGS.items():
        nvs.set(USER, key, value)
    flash.power_off()
    return flash, kept


@dataclass(slots=True)
class Memory:
    """What is remembered of a board: which apps confirmed themselves, and what may stand where.

    ``met`` are the words of the faults it met. ``settings`` are the values that each setting may have now.
    """

    confirming: set[str] = field(default_factory=set)
    ran: set[str] = field(default_factory=set)
    met: set[str] = field(default_factory=set)
    settings: dict[str, set[NvsValue]] = field(
        default_factory=lambda: {key: {value} for key, value in SETTINGS.items()}
    )
    nvs_flaw: str = ""
    looked_at: int = -1
    boots_seen: int = 0
    boots_since: int = 0  # the last job began or ended
    boots_for_ever: bool = False
    cuts: int = 0
    fuse: int = 0  # the secure version, as it was seen last
    chosen: bool = False  # it says that it will boot into a new image
    offers: int = 0  # in this boot
    offered_twice: bool = False  # in some boot
    passed_over: bool = False  # what otadata names, in a glitch


class Board:
    """One board in a world."""

    def __init__(
        self,
        world: World,
        number: int,
        *,
        mqtt: MqttConnect,
        fetch: Fetch,
        clock: Clock,
        told: Callable[[Board, str], None],
    ) -> None:
        self.world = world
        self.number = number
        self.node_id = f"board{number:02d}"
        self.config = world.config()
        self.memory = Memory(fuse=world.fuse)
        self.boots = Boots(self.config)
        self.armed = ""
        #: What records it, when somebody wants to know where it went wrong.
        self.tape: Tape | None = None
        self._looks: list[tuple[Flash, Sectors, EFuse, Partition | None]] = []
        self._images = {f"{image.version}.0.0": image for image in world.images}
        first = world.images[0]
        firmware = forged(world.chip, first.version, first.secure_version, world.sized)
        flash, made = _as_made(world.table, world.chip, firmware, self.config, world.fuse, encrypted=world.encrypted)
        rows = table(world.table)
        self.weather = Weather(
            mqtt=mqtt,
            fetch=fetch,
            clock=clock,
            ota_diag=self._self_test,
            judge=verify_image,
            slots=[row for row in rows if row.type == 0],
        )
        self.device = Device(
            rows,
            firmware=firmware,
            efuse=made.efuse.copy(),
            config=self.config,
            node_id=self.node_id,
            ota_diag=self.weather.app.ota_diag,
            crashes=self._crashes,
            console=partial(told, self),
            thread_partition_id=int(world.policy == "serialised"),
        )
        self.device.chip.flash = flash.fork()
        self.device.chip.latch_efuses()
        self.device.chip.judge = self.weather.judge
        self.device.bootloader = self._boot
        self.doors = Doors(mqtt=self.weather.mqtt, fetch=self.weather.fetch, clock=self.weather.clock)
        self.memory.ran.add(f"{first.version}.0.0")
        self.memory.confirming.add(f"{first.version}.0.0")

    def __repr__(self) -> str:
        return f"<board {self.number}: {self.device!r}>"

    # ------------------------------------------------------------------------------------------------------ its app

    def fit(self, app: AppDesc, _state: DiagState) -> bool:
        """What an image's own self-test says."""
        image = self._images.get(app.version)
        return image is None or image.quality != "u"

    def panics(self, app: AppDesc) -> float | None:
        """After how many seconds an image panics by itself."""
        image = self._images.get(app.version)
        return _PANICS_AFTER if image is not None and image.quality == "p" else None

    def _self_test(self, app: AppDesc, state: DiagState) -> bool:
        fit = self.fit(app, state)
        if fit and state is DiagState.POST_MQTT:
            self.memory.confirming.add(app.version)  # with this answer it does, at once
        return fit

    def _crashes(self, app: AppDesc) -> float | None:
        panics = self.panics(app)
        return self.weather.app.crashes(app) if panics is None else panics

    def _boot(self, chip: Chip, config: Sdkconfig) -> BootReport:
        return boot(chip, config) if self.weather.judge.plan.parts else self.boots.boot(chip).report

    # --------------------------------------------------------------------------------------------------------- weather

    def arm(self, plan: str | Plan) -> None:
        """Let a plan take the place of the one before it; ``""`` mends everything."""
        plan = parse(plan) if isinstance(plan, str) else plan
        device = self.device
        device.flash.fault = plan.flash
        self.armed = device.flash.fault
        if plan.flash and self.tape is None:
            device.flash.record(True)
        device.config = budgeted(self.config, plan)
        self.weather.change(plan, running=device.running)
        self.memory.met |= {str(part).partition("@")[0].partition("*")[0] for part in plan.parts}

    # ------------------------------------------------------------------------------------------------------------ looks

    def copy(self) -> Chip:
        """The chip as a programmer would take it off the board now: without power, and without its weather."""
        flash = self.device.flash.fork()
        flash.fault = ""
        flash.power_off()
        return Chip(self.world.chip, flash=flash, efuse=self.device.chip.efuse.copy())

    def runs(self, sound: Sequence[bytes]) -> bytes | None:
        """Which of these images runs, byte for byte."""
        return running_image(self.device.flash, self.device, sound)

    def was_looked_at(self) -> bool:
        """Whether a look now would depend on nothing that has changed since an earlier one."""
        flash, efuse = self.device.flash, self.device.chip.efuse
        runs = self.device.report.partition if self.device.report and flash.powered else None
        return any(
            runs == at and efuse == fuse and flash.same(before, needed) for before, needed, fuse, at in self._looks
        )

    def remember(self, needed: Sectors) -> None:
        """A look that nothing came of: on which sectors it depended."""
        runs = self.device.report.partition if self.device.report and self.device.flash.powered else None
        now = self.device.flash.fork(), needed, self.device.chip.efuse.copy(), runs
        self._looks = [now, *self._looks[: _LOOKS - 1]]

    @property
    def on_trial(self) -> bool:
        """Whether the entry that the next boot goes by, of two with one number the first, has what runs on trial."""
        rows, report = table(self.world.table), self.device.report
        otadata, slots = rows.find(type=1, subtype=0), sum(row.ota_slot is not None for row in rows)
        if report is None or report.partition is None or otadata is None or not self.device.flash.powered:
            return False
        entries = read_otadata(self.device.flash, otadata.offset)
        active = active_otadata(*entries)
        if active < 0:
            return False
        entry = entries[active]
        return entry.ota_state in _TRIED and ota_slot(entry.ota_seq, slots) == report.partition.ota_slot

    @property
    def stays(self) -> bool:
        """Whether the next boot comes to the app that runs."""
        copy, report = self.copy(), self.device.report
        copy.flash.power_on()
        return report is not None and self.boots.boot(copy).report.partition == report.partition

    @property
    def chose_twice(self) -> bool:
        """Whether both entries may have come to name one slot, as before v6.0 when it was chosen twice in one boot."""
        return self.memory.offered_twice and not features(self.config.idf_version).reselects_in_place

    @property
    def version(self) -> str:
        """What the app that runs calls itself, ``""`` when none does."""
        running = self.device.running
        return running.version if running else ""


def running_image(flash: Flash, device: Device, sound: Sequence[bytes]) -> bytes | None:
    """Which of these images stands in the partition that was booted last."""
    report = device.report
    partition = report.partition if report else None
    if partition is None:
        return None
    return next((image for image in sound if flash.mmap(partition.offset, len(image)) == image), None)
