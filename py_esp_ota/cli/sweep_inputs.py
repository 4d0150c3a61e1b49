"""What ``esp-ota sweep`` and ``teach`` are given: images, a table, options, fuses, and how fast all of it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from py_esp_ota._core import ImageHeader, PartitionTable, Target, inspect_image
from py_esp_ota.adapters.link import Link
from py_esp_ota.cli.efuse import load
from py_esp_ota.cli.files import Unusable, read_app, read_input
from py_esp_ota.cli.inputs import read_config, refuse_other_chip
from py_esp_ota.cli.partition_table import read_table
from py_esp_ota.cli.release import Release, in_app, release
from py_esp_ota.faults import Plan, parse
from py_esp_ota.field.profiles.profile import Profile
from py_esp_ota.field.profiles.stories import scene_of as scene_by
from py_esp_ota.flash_timing import flash_timing
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep import Pace, Scene, Story

_HEADER = 24


def files_of(old: Path | None, new: Path | None, profile: Profile | None) -> tuple[Path, Path] | None:
    """Both, or none where a profile makes them. Raises ``Unusable``."""
    if old is not None and new is not None:
        return old, new
    if old is None and profile is not None:
        return None
    raise Unusable("OLD and NEW are needed" + ("" if profile is None else ", both or neither with --profile"))


def scene_of(
    files: tuple[Path, Path] | None,
    profile: Profile | None,
    partitions: str | None,
    config_file: Path | None,
    asked: str | None,
    efuse_file: Path | None,
) -> tuple[Scene, Release]:
    """What a story is played with, and of which release that is. Raises ``Unusable``."""
    images = None if files is None else (read_app(files[0]), read_app(files[1]))
    scene = _played(profile, images, None if partitions is None else _table(partitions))
    if files is not None and scene.old == scene.new:
        raise Unusable(f"{files[0]} and {files[1]} are the same image: nobody could tell which of them boots")
    said = None if config_file is None else read_config(config_file)
    if said is not None:
        target = Target.from_chip_id(ImageHeader.from_bytes(scene.old[:_HEADER]).chip_id)
        if target is not None:
            refuse_other_chip(said, target, files[0] if files else Path(str(config_file)))
        scene = replace(scene, config=_checked(said.config))
    found = None if files is None else in_app(scene.old, str(files[0]))
    meant = release(asked, said, found)
    scene = replace(scene, config=replace(scene.config, idf_version=meant.version))
    if efuse_file is not None:
        scene = replace(scene, efuse=load(efuse_file))
    return scene, meant


def _played(profile: Profile | None, images: tuple[bytes, bytes] | None, table: PartitionTable | None) -> Scene:
    """Images and table, and of a profile its build options."""
    if profile is not None:
        try:
            return scene_by(profile, images, table)
        except ValueError as error:
            raise Unusable(f"{error}; --partitions names another one") from error
    old, new = images or (b"", b"")
    return Scene(old, new, roomy(max(len(old), len(new))) if table is None else table)


def bootloader_of(file: Path | None, scene: Scene) -> bytes | None:
    """A sound bootloader image for the chip of the apps, if one is named. Raises ``Unusable``."""
    if file is None:
        return None
    data = read_input(file)
    info = inspect_image(data)
    if info.faults:
        raise Unusable(f"{file}: {info.faults[0].err.name}: {info.faults[0]}")
    if info.kind != "bootloader":
        raise Unusable(f"{file} is no bootloader image")
    chips = [Target.from_chip_id(ImageHeader.from_bytes(image[:_HEADER]).chip_id) for image in (data, scene.old)]
    names = [chip.name if chip else "an unknown chip" for chip in chips]
    if names[0] != names[1]:
        raise Unusable(f"{file} is for {names[0]}, the apps are for {names[1]}")
    return data


def pace_of(part: str | None, link: str | None) -> Pace | None:
    """How fast the device is; ``None`` when nobody asks how long anything takes."""
    if part is None:
        if link is not None:
            raise click.UsageError("--link goes with --flash-timing")
        return None
    try:
        return Pace(flash_timing(part), None if link is None else Link.parse(link))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--link") from error


def weather_of(text: str, story: Story) -> Plan:
    """Faults on the sides that the agent's job has."""
    try:
        plan = parse(text)
    except ValueError as error:
        raise Unusable(str(error)) from error
    if plan.parts and not story.reports:
        raise Unusable(f"{story.name} has no network: --weather goes with --story agent-job")
    wrong = [str(part) for part in plan.parts if part.side not in {"network", "mqtt", "clock"}]
    if wrong:
        raise Unusable(f"{wrong[0]} is no fault of the network, of MQTT or of the clock")
    return plan


def _checked(config: Sdkconfig) -> Sdkconfig:
    try:
        config.check()
    except ValueError as error:
        raise Unusable(str(error)) from error
    return config


def roomy(size: int) -> PartitionTable:
    """``two_ota``, its slots enlarged until an image of ``size`` bytes fits."""
    slot = max(1 << 20, -(-size // 0x10000) * 0x10000)
    data = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nphy_init,data,phy,0xf000,0x1000\n"
    apps = "".join(f"{name},app,{name},,0x{slot:x}\n" for name in ("factory", "ota_0", "ota_1"))
    return PartitionTable.from_csv(data + apps)


def _table(text: str) -> PartitionTable:
    """A built-in table by its name, or one in a file."""
    if text in PartitionTable.builtin_names():
        return PartitionTable.builtin(text)
    return read_table(Path(text))


def shard_of(text: str) -> tuple[int, int]:
    """``K/N``. Raises ``BadParameter``."""
    number, slash, count = text.partition("/")
    if not (slash and number.isascii() and number.isdigit() and count.isascii() and count.isdigit() and int(count)):
        raise click.BadParameter(f"{text!r} is no K/N, for example 1/4", param_hint="--shard")
    return int(number), int(count)
