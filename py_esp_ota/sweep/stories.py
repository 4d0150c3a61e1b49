"""Stories: what a device does, written so that it is right when it is started again after any power cut.

A story is told to a :class:`~py_esp_ota.sweep.life.Life` without power. It powers on, looks at what runs, and goes on
from there; told to the end, it always ends at its goal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from py_esp_ota._core import EFuse, FlashCrypt, Partition
from py_esp_ota.errors import OtaError
from py_esp_ota.firmware import patched
from py_esp_ota.idf.app_update.ota_ops import OTA_WITH_SEQUENTIAL_WRITES, OtaOps
from py_esp_ota.ports import NvsValue
from py_esp_ota.sweep.life import Life
from py_esp_ota.sweep.scene import Scene

_PIECE = 0x4000
_RESUME, _WRITTEN, _EVERY = "ota_resumption", "nvs_ota_wr_len", 0x10000
_AGENT = "esp_rmaker_ota"


Settings = Mapping[str, NvsValue | None]


@dataclass(frozen=True, slots=True)
class Story:
    """A story and what it promises.

    ``act`` tells it; ``prepare`` is what has happened before; ``scene`` changes what both are played with. ``goal`` is
    the image that runs in the end. With ``places`` the partition that runs must be the one from before or the one from
    the end, too; ``chip_loses_places`` where the chip itself does not keep that. ``settings`` reads what the app keeps
    in NVS: each value must be the one from before or the one from the end. With ``reports`` the cloud must hear of the
    success in the end.
    """

    name: str
    text: str
    act: Callable[[Life, Scene], None]
    prepare: Callable[[Life, Scene], None] = lambda _life, _scene: None
    goal: Literal["old", "new"] = "new"
    places: bool = False
    chip_loses_places: bool = False
    settings: Callable[[Life], Settings] | None = None
    reports: bool = False
    scene: Callable[[Scene], Scene] = lambda scene: scene

    def __repr__(self) -> str:
        return f"<Story {self.name}: {self.text}>"


# -------------------------------------------------------------------------------------------------------- what apps do


def _download(image: bytes, ops: OtaOps) -> None:
    """Write an image into the next slot and choose it."""
    slot = ops.get_next_update_partition()
    handle = ops.begin(slot, OTA_WITH_SEQUENTIAL_WRITES)
    for start in range(0, len(image), _PIECE):
        ops.write(handle, image[start : start + _PIECE])
    ops.end(handle)
    ops.set_boot_partition(slot)


def _install(life: Life, image: bytes) -> None:
    life.app(partial(_download, image))
    life.restart()


# ------------------------------------------------------------------------------------------------------------- stories


def _update(life: Life, scene: Scene) -> None:
    life.power_on()
    life.confirm()
    if not life.runs(scene.new):
        _install(life, scene.new)
        life.confirm()


def _download_twice(life: Life, scene: Scene) -> None:
    """The first time a bit is wrong: the app is told so, and nothing comes of it."""
    life.power_on()
    life.confirm()
    if life.runs(scene.new):
        return
    damaged = bytearray(scene.new)
    damaged[len(damaged) // 2] ^= 1
    with suppress(OtaError):
        life.app(partial(_download, bytes(damaged)))
    _install(life, scene.new)
    life.confirm()


def _has_updated_once(life: Life, scene: Scene) -> None:
    """The old image came by an update itself: both otadata entries are in use from the next one on."""
    life.power_on()
    life.confirm()
    _install(life, scene.old)
    life.confirm()


def _is_chosen(life: Life, scene: Scene) -> None:
    """The new image is written and chosen, and has not booted yet."""
    life.power_on()
    life.confirm()
    life.app(partial(_download, scene.new))


def _has_updated(life: Life, scene: Scene) -> None:
    _has_updated_once(life, scene)
    _install(life, scene.new)
    life.confirm()


def _has_updated_twice(life: Life, scene: Scene) -> None:
    """Both otadata entries are in use, and all slots hold the old image."""
    _has_updated_once(life, scene)
    _install(life, scene.old)
    life.confirm()


def _has_updated_often(life: Life, scene: Scene) -> None:
    """The first entry is the active one, and the second names a slot with the old image."""
    _has_updated_twice(life, scene)
    _install(life, scene.new)
    life.confirm()


def _fail_self_test(life: Life, _scene: Scene) -> None:
    life.power_on()
    life.reject()


def _go_back_to_factory(life: Life, _scene: Scene) -> None:
    life.power_on()
    factory = _factory(life)
    if life.report.partition != factory:
        life.app(lambda ops: ops.set_boot_partition(factory))
        life.restart()


def _factory(life: Life) -> Partition | None:
    rows: list[Partition] = []
    life.app(lambda ops: rows.extend(row for row in ops.table if row.type == 0 and row.subtype == 0))
    return rows[0] if rows else None


def _choose_the_same(life: Life, scene: Scene) -> None:
    life.power_on()
    life.confirm()
    if not life.runs(scene.new):
        _install(life, scene.new)
        life.confirm()
    life.app(lambda ops: ops.set_boot_partition(ops.get_running_partition()))
    life.restart()
    life.confirm()


def _resume(life: Life, scene: Scene) -> None:
    """Download with ``esp_ota_resume``: how far it came is kept in NVS, in KiB, after every 64 KiB."""
    life.power_on()
    life.confirm()
    if life.runs(scene.new):
        return
    life.app(lambda ops: _go_on(life, scene.new, ops))
    life.restart()
    life.confirm()


def _go_on(life: Life, image: bytes, ops: OtaOps) -> None:
    slot = ops.get_next_update_partition()
    kept = life.nvs.get(_RESUME, _WRITTEN)
    done = min(int(kept) * 1024, len(image)) if isinstance(kept, int) else 0
    erase = OTA_WITH_SEQUENTIAL_WRITES
    handle = ops.resume(slot, erase, done) if done else ops.begin(slot, erase)
    while done < len(image):
        piece = image[done : done + _EVERY]
        ops.write(handle, piece)
        done += len(piece)
        if len(piece) == _EVERY:
            life.nvs.set(_RESUME, _WRITTEN, done // 1024)
    ops.end(handle)
    life.nvs.erase(_RESUME, _WRITTEN)
    ops.set_boot_partition(slot)


_JOB: Mapping[str, NvsValue] = {"rmaker_ota_id": "job-2", "ota_update": b"\x01", "fetch_count": 7}
_JOB_BEFORE: Mapping[str, NvsValue] = {"rmaker_ota_id": "job-1", "ota_update": b"\x00", "fetch_count": 6}


def _write_settings(life: Life, _scene: Scene) -> None:
    life.power_on()
    for key, value in _JOB.items():
        life.nvs.set(_AGENT, key, value)


def _has_settings(life: Life, _scene: Scene) -> None:
    life.power_on()
    for key, value in _JOB_BEFORE.items():
        life.nvs.set(_AGENT, key, value)


def _settings(life: Life) -> Settings:
    return {key: life.nvs.get(_AGENT, key) for key in _JOB}


def _encrypted(scene: Scene) -> Scene:
    """The same on a chip whose flash is encrypted."""
    chip = scene.life().chip.target.name
    fuses = scene.efuse.copy() if scene.efuse else EFuse(chip)
    if FlashCrypt.of_efuse(fuses) is None:
        fuses.burn_flash_encryption_key(bytes(range(32)))
        fuses.burn_flash_crypt_cnt()
        if chip == "esp32":
            fuses.burn_flash_crypt_config(0xF)
    return replace(scene, efuse=fuses, config=replace(scene.config, secure_flash_enc_enabled=True))


def _guarded(scene: Scene) -> Scene:
    """The same with anti-rollback: the new image is of the next secure version, and confirming it burns an eFuse."""
    fuses = scene.efuse.copy() if scene.efuse else EFuse(scene.life().chip.target.name)
    now = fuses.secure_version
    config = replace(scene.config, bootloader_app_rollback_enable=True, bootloader_app_anti_rollback=True)
    old, new = patched(scene.old, secure_version=now), patched(scene.new, secure_version=now + 1)
    return replace(scene, efuse=fuses, config=config, old=old, new=new)


def _over_mqtt(scene: Scene) -> Scene:
    """The same with an agent that takes images over MQTT streams."""
    return replace(scene, config=replace(scene.config, esp_rmaker_ota_use_mqtt=True))


def _agents_job(life: Life, scene: Scene) -> None:
    from py_esp_ota.sweep.agent import whole_job  # noqa: PLC0415 - asyncio and the agent, for one story of many

    whole_job(life, scene)


STORIES: Mapping[str, Story] = {
    story.name: story
    for story in (
        Story("first-ota", "the first update of a device from the factory", _update),
        Story("second-ota", "an update of a device that was updated before", _update, _has_updated_once, places=True),
        Story("third-ota", "an update when both otadata entries are in use", _update, _has_updated_twice, places=True),
        Story("confirm", "the first boot of a new image, which confirms itself", _update, _is_chosen),
        Story("reject", "the first boot of a new image, which fails its self-test", _fail_self_test, _is_chosen, "old"),
        Story(
            "factory-reset",
            "back to the factory app",
            _go_back_to_factory,
            _has_updated_often,
            "old",
            places=True,
            chip_loses_places=True,
        ),
        Story(
            "same-slot",
            "the running slot is chosen once more",
            _choose_the_same,
            _has_updated,
            places=True,
            chip_loses_places=True,
        ),
        Story("resume", "an update that goes on where it stopped", _resume),
        Story("bad-download", "an image arrives damaged, and then whole", _download_twice),
        Story("encrypted-ota", "the first update of an encrypted device", _update, scene=_encrypted),
        Story("anti-rollback", "an update that raises the secure version", _update, scene=_guarded),
        Story("agent-job", "the RainMaker agent's whole job, from the fetch to the report", _agents_job, reports=True),
        Story(
            "agent-stream",
            "the same, with the image over an MQTT stream",
            _agents_job,
            reports=True,
            scene=_over_mqtt,
        ),
        Story("settings", "the agent's values in NVS", _write_settings, _has_settings, "old", settings=_settings),
    )
}
