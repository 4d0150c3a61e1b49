"""A project's own update as a story for the sweep, and what it is played with.

Each is right when it is told again after a power cut: where a person has to begin anew, a person does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from py_esp_ota._core import PartitionTable, inspect_image
from py_esp_ota.field.profiles.apps import attempts, set_attempts
from py_esp_ota.field.profiles.profile import Profile, Table
from py_esp_ota.field.profiles.updaters import esphome_backend, tasmota_safeboot
from py_esp_ota.field.profiles.updaters.by_name import UPDATERS, Updater
from py_esp_ota.firmware import Firmware, ota_select_entry
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep import STORIES, Life, Scene, Story

#: Flashed by Arduino's tools, with boot_app0.bin in otadata.
_ARDUINO = frozenset({"arduino", "wled"})
_DATA, _OTADATA, _SECTOR = 1, 0, 0x1000
#: A block of 64 KiB, and a rest.
_SIZE = 0x14000


def bring(profile: Profile, life: Life, image: bytes) -> None:
    """The update up to the restart that starts ``image``: by the app that runs, or by the one it steps aside for."""
    if profile.updater == "tasmota" and life.slots == 1:
        _step_aside(life)
    life.app(lambda ops: UPDATERS[profile.updater](ops, image))


def story_of(profile: Profile) -> Story:
    """The update of a board that runs, by the project's own updater."""
    name, text = f"{profile.name}-update", f"an update of a board by {profile.title}'s own updater"
    if profile.updater == "rainmaker":
        return replace(STORIES["agent-job"], name=name, text=text)
    if profile.updater == "tasmota":
        return Story(name, text, _tasmota, _has_safeboot)
    if profile.updater == "esphome":
        return Story(name, text, _esphome)
    act = _acting(UPDATERS[profile.updater])
    return Story(name, text, act, _has_boot_app0) if profile.updater in _ARDUINO else Story(name, text, act)


def scene_of(profile: Profile, images: tuple[bytes, bytes] | None = None, table: PartitionTable | None = None) -> Scene:
    """What it is played with: ``images``, or two forged ones, ``table``, or the project's, and its build options.

    Where the source does not say whether there is rollback, there is none. Raises ``ValueError`` for images that no
    table of the project has room for.
    """
    old, new = images or (forged(profile.name, "1.0.0"), forged(profile.name, "2.0.0"))
    table = table_for(profile, max(len(old), len(new))) if table is None else table
    config = Sdkconfig(bootloader_app_rollback_enable=bool(profile.rollback.enabled))
    recovery = forged("safeboot", "1.0.0", chip_of(old)) if profile.updater == "tasmota" else b""
    return Scene(old, new, table, config, recovery=recovery)


def table_for(profile: Profile, size: int) -> PartitionTable:
    """The first of the project's tables whose OTA slots hold an image of ``size`` bytes. Raises ``ValueError``."""
    for table in profile.ota_tables:
        rows = PartitionTable.from_csv(table.csv, table_offset=_offset(table))
        if all(row.size >= size for row in rows if row.ota_slot is not None):
            return rows
    raise ValueError(f"no partition table of {profile.title} has OTA slots for an image of {size} bytes")


def chip_of(image: bytes) -> str:
    """The chip that an image is for. Raises ``ValueError`` when it names none."""
    return inspect_image(image).chip or "no known chip"


def forged(name: str, version: str, chip: str = "esp32c3") -> bytes:
    """A small image."""
    return Firmware(name, version, chip=chip, size=_SIZE).to_bytes()


def _offset(table: Table) -> int:
    """Where RainMaker's tables leave room for Secure Boot, ESP-IDF's default elsewhere."""
    return 0xC000 if "0xD000,0x2000,encrypted" in table.csv else 0x8000


# ---------------------------------------------------------------------------------------------------------------- tales


def _install(life: Life, image: bytes, updater: Updater) -> None:
    life.app(lambda ops: updater(ops, image))
    life.restart()


def _acting(updater: Updater) -> Callable[[Life, Scene], None]:
    """An app that confirms itself, and another one that comes by ``updater`` and does so, too."""

    def act(life: Life, scene: Scene) -> None:
        life.power_on()
        life.confirm()
        if not life.runs(scene.new):
            _install(life, scene.new, updater)
            life.confirm()

    return act


def _has_boot_app0(life: Life, _scene: Scene) -> None:
    """As ``esptool`` leaves a board: otadata is boot_app0.bin, which chooses the first slot."""
    life.power_on()
    entries = (ota_select_entry(1, 0xFFFFFFFF), ota_select_entry(0, 0xFFFFFFFF))

    def write(ops: OtaOps) -> None:
        otadata = ops.partitions.find_first(_DATA, _OTADATA)
        if otadata is not None:
            ops.partitions.erase_range(otadata, 0, 2 * _SECTOR)
            for number, entry in enumerate(entries):
                ops.partitions.write(otadata, number * _SECTOR, entry)

    life.app(write)
    life.restart()


def _esphome(life: Life, scene: Scene) -> None:
    """Each start is counted in NVS; after a minute it is a good one, and a new app is confirmed."""
    life.power_on()
    _one_good_minute(life)
    if not life.runs(scene.new):
        life.app(lambda ops: esphome_backend.update(ops, scene.new))
        set_attempts(life.nvs, 0)
        life.restart()
        _one_good_minute(life)


def _one_good_minute(life: Life) -> None:
    if life.report.partition is None:
        return
    set_attempts(life.nvs, attempts(life.nvs) + 1)
    life.confirm()
    set_attempts(life.nvs, 0)


def _has_safeboot(life: Life, scene: Scene) -> None:
    """The old app in app0, which runs, and safeboot in the factory partition."""
    life.power_on()
    life.confirm()
    _install(life, scene.old, tasmota_safeboot.update)
    life.confirm()


def _tasmota(life: Life, scene: Scene) -> None:
    """The app steps aside, safeboot writes; whoever finds safeboot waiting begins the upload by hand."""
    life.power_on()
    life.confirm()
    if life.runs(scene.new):
        return
    if not life.runs(scene.recovery) and life.slots == 1:
        _step_aside(life)
    if tasmota_safeboot.noted(life.nvs):
        tasmota_safeboot.note(life.nvs, wanted=False)
    _install(life, scene.new, tasmota_safeboot.update)
    life.confirm()


def _step_aside(life: Life) -> None:
    """The app notes that it wants an update, forgets which app was chosen, and restarts: safeboot runs."""
    tasmota_safeboot.note(life.nvs, wanted=True)
    life.app(tasmota_safeboot.erase_otadata)
    life.restart()
