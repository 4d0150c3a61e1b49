"""What a rollback from here would land on: the app that starts when nobody confirms the update, looked at closely."""

from __future__ import annotations

from collections.abc import Iterator

from py_esp_ota._core import NvsPartition, Partition, PartitionTable
from py_esp_ota.errors import EspErr, EspError, NvsError
from py_esp_ota.field.preflight.finding import Fact, Finding
from py_esp_ota.field.preflight.play import Played
from py_esp_ota.field.preflight.rules import Case, description, named
from py_esp_ota.idf.efuse import read_secure_version
from py_esp_ota.releases import release_of, release_text

_DATA, _NVS = 0x01, 0x02
_LIVE = frozenset({"ACTIVE", "FULL", "FREEING"})
#: ``NVS_VERSION`` (components/nvs_flash/src/nvs_page.hpp) counts down; pages with 0xFE are of v3.2 and later.
_NVS_V2, _NVS_V2_SINCE = 0xFE, (3, 2, 0)
_FUNCTION = "bootloader_utility_load_boot_image"


def landing(case: Case) -> Partition | None:
    """Where the chip lands: by its bootloader, or, where that takes nothing back, by the new app's own call."""
    played = case.played
    return played.back.partition if played.back is not None and lands_by_itself(played) else played.asked


def lands_by_itself(played: Played) -> bool:
    """Whether the bootloader starts another app when nobody has confirmed the update."""
    back = None if played.back is None else played.back.partition
    return back is not None and played.slot is not None and back.offset != played.slot.offset


def audit(case: Case) -> list[Finding]:
    """The findings about the landing; none when the update does not run."""
    played = case.played
    if not played.runs or played.slot is None or played.back is None:
        return []
    target = landing(case)
    if target is None:
        dead = played.back.partition is None
        instead = "and nothing starts then" if dead else f"{played.slot.label} starts again"
        text = f"there is nothing to roll back to: {instead}"
        return [Finding("rollback-target", "risk", "esp_ota_check_rollback_is_possible", text, _whither(None, None))]
    return [*_target(case, target), *_image(case, target), *_nvs(case, target)]


def _whither(target: Partition | None, version: str | None) -> dict[str, Fact]:
    return {"partition": None if target is None else target.label, "version": version}


def _target(case: Case, target: Partition) -> Iterator[Finding]:
    desc, running = description(case.board.read(target)), case.played.running
    how = "a rollback lands on" if lands_by_itself(case.played) else "only a new app that rejects itself lands on"
    text, facts = f"{how} {named(desc)} in {target.label}", _whither(target, None if desc is None else desc.version)
    if running is not None and target.offset != running.offset:
        yield Finding("rollback-target", "risk", _FUNCTION, f"{text}, which is not the app that runs now", facts)
    else:
        yield Finding("rollback-target", "note", _FUNCTION, text, facts)


def _image(case: Case, target: Partition) -> Iterator[Finding]:
    """What the target is beside the new app: it starts, but what then."""
    info, new = case.board.look(target), case.info.app_desc
    desc, where = info.app_desc, target.label
    if info.faults:
        fault = info.faults[0]
        text = f"what lies in {where} is damaged: {fault.err.name}: {fault}"
        yield Finding("rollback-damaged", "risk", "esp_image_verify", text, {"err": fault.err.name})
    if desc is not None and new is not None:
        if desc.project_name_bytes != new.project_name_bytes:
            text = f"{where} holds another project: {named(desc)}"
            projects: dict[str, Fact] = {"found": desc.project_name, "expected": new.project_name}
            yield Finding("rollback-project", "risk", "esp_ota_get_partition_description", text, projects)
        yield from _secure_version(case, where, desc.secure_version, new.secure_version)
    if case.info.signature and not info.signature:
        text = f"{where} is not signed, and the new app is: an app that checks no signatures takes any update"
        yield Finding("rollback-signature", "risk", "esp_secure_boot_verify_sbv2_signature_block", text)


def _secure_version(case: Case, where: str, found: int, new: int) -> Iterator[Finding]:
    if found >= new:
        return
    loader, efuse = case.builds.loader, case.board.efuse
    burnt = read_secure_version(efuse, loader) if loader.bootloader_app_anti_rollback else None
    facts: dict[str, Fact] = {"found": found, "secure_version": new, "burnt": burnt}
    then = (
        f"it starts until the new app confirms itself, which burns {new}"
        if burnt is not None
        else "and nobody compares them: a rollback brings back what the number was raised for"
    )
    text = f"{where} has secure version {found}, the new app {new}: {then}"
    yield Finding("rollback-secure-version", "risk", "esp_efuse_check_secure_version", text, facts)


def _nvs(case: Case, target: Partition) -> Iterator[Finding]:
    """Whether the target's release reads the NVS pages that are here."""
    desc = description(case.board.read(target))
    release = None if desc is None else release_of(desc.idf_ver)
    offset = case.builds.loader.partition_table_offset
    try:
        rows = PartitionTable.load(case.board.flash, offset, md5=case.builds.loader.partition_table_md5)
    except EspError:
        return
    for row in rows:
        if (row.type, row.subtype) == (_DATA, _NVS) and (finding := _newer(case, row, release)) is not None:
            yield finding


def _newer(case: Case, row: Partition, release: tuple[int, int, int] | None) -> Finding | None:
    flash = case.board.flash.fork()  # init repairs what it finds
    version = None
    try:
        pages = NvsPartition(flash, row).pages()
        version = min((page.version for page in pages if page.state in _LIVE), default=None)
    except NvsError as error:
        if error.err != EspErr.ESP_ERR_NVS_NEW_VERSION_FOUND:
            return None
    except EspError:
        return None
    else:
        too_old = release is not None and release < _NVS_V2_SINCE
        if version is None or version > _NVS_V2 or not too_old:
            return None
    who = "the app there" if release is None else f"ESP-IDF {release_text(release)}"
    text = f"{row.label} has pages of a newer format than {who} knows: it refuses them, or erases all of them"
    facts: dict[str, Fact] = {"partition": row.label, "page_version": version}
    return Finding("rollback-nvs", "risk", "nvs_flash_init_partition", text, facts)
