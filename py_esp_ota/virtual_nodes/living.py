"""One virtual node: a device with weather around it, what a hand does to it, and what can be seen of it."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from typing import NoReturn

from py_esp_ota._core import Flash, PartitionTable, read_otadata
from py_esp_ota.adapters.kept_flash import KeptFlashes, heard_after
from py_esp_ota.cloud.boards import AppFact, BoardFacts, OtadataFact, TableRow
from py_esp_ota.cloud.virtual_nodes import Boot, Dials, FlashLook, VirtualNode
from py_esp_ota.device import Device, Doors
from py_esp_ota.errors import PowerLoss
from py_esp_ota.exposed import Exposed
from py_esp_ota.faults import parse
from py_esp_ota.idf.efuse import read_secure_version
from py_esp_ota.idf.rollback import BLANK_SEQ, state_name
from py_esp_ota.releases import release_text
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.virtual_nodes.factory import flashed
from py_esp_ota.virtual_nodes.flash_look import SECTOR, Wear, look, table_row
from py_esp_ota.virtual_nodes.recipe import Recipe
from py_esp_ota.world import World

_OTADATA = 0x01, 0x00
_CUT = parse("cut@0:torn")
_LINES = 200  # of the console that are shown
_KEPT_LINES = 2 * _LINES
_KEPT_BOOTS = 4


class Living:
    """One node of a population.

    Args:
        recipe: what it is made of.
        image: what it leaves the factory with.
        world: the doors that work.
        flashes: where its flash is kept; it goes on with what is there.

    Raises:
        ValueError: the image does not fit, the weather does not parse, or the flash that is kept is another's.
        OSError: the flash cannot be kept.
    """

    def __init__(self, recipe: Recipe, image: bytes, world: World, flashes: KeptFlashes) -> None:
        self.recipe = recipe
        self._plan = parse(recipe.weather)
        table = PartitionTable.builtin(recipe.partitions)
        self._config = replace(
            Sdkconfig(),
            bootloader_app_rollback_enable=recipe.rollback,
            esp_rmaker_mqtt_use_basic_ingest_topics=world.basic_ingest,
        )
        chip, flash = flashed(recipe.partitions, image, self._config)
        make = partial(
            Device,
            recipe.partitions,
            target=chip,
            config=self._config,
            node_id=recipe.node_id,
            name=recipe.name,
            type=recipe.type,
        )
        outside = Doors(mqtt=world.mqtt, fetch=world.fetch, clock=world.clock)
        self._exposed = Exposed(table, outside, make)
        self.device = self._exposed.device
        self._kept = flashes.keep(recipe.node_id, flash)
        self.device.chip.flash = self._kept.flash
        doors = self._exposed.doors
        mqtt, fetch = heard_after(self._kept, doors.mqtt, doors.fetch)
        self._doors = replace(doors, mqtt=mqtt, fetch=fetch)
        self._armed = False
        self._boots = 0  # of the reports that are not kept any more
        self._before = Wear(0, [0] * (self.device.flash.size // SECTOR))  # until a programmer came
        self._arm()

    def life(self) -> Coroutine[object, object, NoReturn]:
        """What it does from now on, until it is cancelled."""
        return self.device.live(self._doors)

    # ---------------------------------------------------------------------------------------------------- what hands do

    def power_on(self) -> None:
        """Power comes, and it boots; one that has power stays as it is."""
        if self.device.flash.powered and self.device.report is not None:
            return
        self._disarm()
        with suppress(PowerLoss):  # its weather may cut it in the boot
            self.device.power_on()
        self.recipe = replace(self.recipe, power="on")

    def power_off(self) -> None:
        """Pull the plug between two flash operations."""
        self.device.power_off()
        self._disarm()
        self.recipe = replace(self.recipe, power="off")

    def power_cut(self) -> None:
        """Have the power go in the middle of the next flash operation."""
        self._armed = True
        self._arm()

    def reset(self) -> None:
        """``EN`` low and high again: what was armed stays so."""
        self.device.power_off()
        with suppress(PowerLoss):
            self.device.power_on()

    def erase_flash(self) -> None:
        """With the plug pulled, every sector. Raises ``OSError``; it has no power then, and its old flash."""
        self.power_off()
        self._program(Flash(self.device.flash.size))

    def reflash(self, image: bytes) -> None:
        """As it left the factory, with the power it has. Raises ``OSError`` likewise."""
        power = self.recipe.power
        self.power_off()
        self._program(flashed(self.recipe.partitions, image, self._config)[1])
        if power == "on":
            self.power_on()

    def turn(self, dials: Dials) -> None:
        """Other weather from now on. Raises ``ValueError`` for a plan that does not parse; nothing has changed then."""
        before = self._plan
        self._plan = parse(dials.weather)
        try:
            self._arm()
        except ValueError:
            self._plan = before
            self._arm()
            raise
        self.recipe = replace(self.recipe, weather=str(self._plan))

    def _program(self, flash: Flash) -> None:
        """Another content; a programmer erases every sector once before."""
        wear = self._wear()
        flash.power_off()
        self.device.chip.flash = self._kept.renew(flash)
        self._before = Wear(wear.operations + len(wear.erases), [count + 1 for count in wear.erases])
        self._arm()

    def _disarm(self) -> None:
        if self._armed:
            self._armed = False
            self._arm()

    def _arm(self) -> None:
        self._exposed.suffer(_CUT + self._plan if self._armed else self._plan)

    # ----------------------------------------------------------------------------------------------------- what is seen

    def shown(self) -> VirtualNode:
        """How it stands now."""
        device, report = self.device, self.device.report
        on = device.flash.powered and report is not None
        return VirtualNode(
            node_id=self.recipe.node_id,
            chip=device.chip.target.name,
            partitions=self.recipe.partitions,
            flash_size=device.flash.size,
            power="on" if on else "off",
            cut_armed=self._armed and on,
            dials=Dials(weather=self.recipe.weather),
            boots=self._boots + len(device.boots),
            running=f"{device.running.project_name} {device.running.version}" if device.running else "",
            slot=self._slot(),
            state=device.state,
        )

    def look(self) -> FlashLook:
        """Its flash now."""
        device, report = self.device, self.device.report
        lately = Boot(
            number=self._boots + len(device.boots),
            why=list(report.why) if report else [],
            console=device.console[-_LINES:],
        )
        return look(
            device.flash,
            device.chip.target,
            device.config,
            efuse=device.chip.efuse,
            runs=self._slot(),
            wear=self._wear(),
            now=lately,
        )

    def facts(self) -> BoardFacts:
        """What its board is: of its flash the two otadata entries are read and no more."""
        device, slot = self.device, self._slot()
        efuse, running = device.chip.efuse, device.running
        table, otadata_at = _table(self.recipe.partitions)
        apps = [AppFact(slot=slot, project=running.project_name, version=running.version)] if running and slot else []
        return BoardFacts(
            chip=device.chip.target.name,
            chip_revision=efuse.chip_revision,
            flash_size=device.flash.size,
            partitions=self.recipe.partitions,
            table=table,
            bootloader_idf=release_text(self._config.idf_version),
            rollback=self.recipe.rollback,
            secure_version=read_secure_version(efuse, self._config),
            secure_boot=efuse.secure_boot_en,
            flash_encryption=efuse.flash_encryption_enabled,
            otadata=() if otadata_at is None else _otadata(device.flash, otadata_at),
            apps=tuple(apps),
            runs=slot,
            virtual=True,
        )

    def mark(self) -> tuple[object, ...]:
        """Something that is equal as long as nothing of this has changed."""
        device, flash = self.device, self.device.flash
        return flash.operations, flash.powered, self._armed, self._boots + len(device.boots), device.console[-1:]

    def lost_power(self) -> bool:
        """Whether its power has gone by itself since somebody asked; then its flash is stored as the cut left it."""
        if self.device.flash.powered or self.recipe.power == "off":
            return False
        self._armed = False
        self.recipe = replace(self.recipe, power="off")
        self._kept.save()
        return True

    def tidy(self) -> None:
        """Drop what was printed and reported long ago: it may live for months."""
        device = self.device
        if len(device.console) > _KEPT_LINES:
            del device.console[:-_LINES]
        if len(device.boots) > _KEPT_BOOTS:
            self._boots += len(device.boots) - _KEPT_BOOTS
            del device.boots[:-_KEPT_BOOTS]

    def _slot(self) -> str:
        report = self.device.report
        return report.partition.label if report and report.partition and self.device.flash.powered else ""

    def _wear(self) -> Wear:
        flash = self.device.flash
        erases = [before + now for before, now in zip(self._before.erases, flash.erase_counts(), strict=True)]
        return Wear(self._before.operations + flash.operations, erases)


@lru_cache(maxsize=64)
def _table(partitions: str) -> tuple[tuple[TableRow, ...], int | None]:
    """The rows of a built-in table, and where its otadata is."""
    rows = list(PartitionTable.builtin(partitions))
    otadata = next((row.offset for row in rows if (row.type, row.subtype) == _OTADATA), None)
    return tuple(table_row(row) for row in rows), otadata


def _otadata(flash: Flash, offset: int) -> tuple[OtadataFact, ...]:
    copy = flash.fork()
    copy.fault = ""
    copy.power_on()
    return tuple(
        OtadataFact(sequence=None, state="")
        if entry.ota_seq == BLANK_SEQ
        else OtadataFact(sequence=entry.ota_seq, state=state_name(entry.ota_state))
        for entry in read_otadata(copy, offset)
    )
