"""What image and board say to each other, as findings. Each rule is a function; nobody but ``play`` writes a flash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from py_esp_ota._core import AppDesc, ImageInfo, PartitionTable, check_image_validity
from py_esp_ota.errors import EspErr, EspError, PartitionTableError
from py_esp_ota.field.preflight.board import Board, Builds
from py_esp_ota.field.preflight.finding import Fact, Finding, Severity
from py_esp_ota.field.preflight.play import BOOTS, Played
from py_esp_ota.field.preflight.refusals import not_in, of_fault, of_step
from py_esp_ota.field.preflight.texts import confirms
from py_esp_ota.idf.efuse import read_secure_version
from py_esp_ota.releases import release_text
from py_esp_ota.sdkconfig import Sdkconfig

_TABLE_LENGTH = 0xC00
_MIB, _SIZE_CODES = 0x100000, 8
_NO_BOUND = (0, 0xFFFF)
#: What people have at hand in the place of an app's .bin, by its first bytes.
_NO_IMAGES = {
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip file",
    b"\x7fELF": "an ELF file",
    b"<!": "a web page",
    b"<h": "a web page",
    b"\x89PNG": "a picture",
    b"\xaa\x50": "a partition table",
    b"UF2\n": "a UF2 file",
    b":0": "an Intel HEX file",
    b":1": "an Intel HEX file",
}
_GENERATOR = "gen_esp32part.py"


@dataclass(frozen=True, slots=True)
class Case:
    """All that the rules look at.

    ``app`` is how the running app was built, ``app_rollback`` what its bytes show of its rollback.
    """

    board: Board
    builds: Builds
    app: Sdkconfig
    app_rollback: bool | None
    image: bytes
    info: ImageInfo
    running: AppDesc | None
    played: Played


def findings_of(case: Case) -> list[Finding]:
    """Everything but what a rollback would land on."""
    found: list[Finding] = [*_files(case), *_refusal(case)]
    refused = {one.id for one in found if one.severity == "refused"}
    found += _faults(case, refused)
    refused |= {one.id for one in found if one.severity in {"refused", "risk"}}
    rules = (_running, _slot, _image, _chip, _secure_version, _signature, _encryption, _bootloader, _rollback)
    for rule in rules:
        found += (one for one in rule(case) if one.id not in refused)
    return found


# -------------------------------------------------------------------------------------------------------------- refused


def _refusal(case: Case) -> Iterator[Finding]:
    """Where the played update ended."""
    played, refusal = case.played, case.played.refusal
    if refusal is None:
        return
    facts: dict[str, Fact] = {"step": refusal.step, "err": refusal.err or None}
    name, function = of_step(refusal.step, refusal.err, refusal.field, refusal.expected)
    text = refusal.text if refusal.step in {function, BOOTS} else f"{refusal.step}: {refusal.text}"
    if refusal.step == BOOTS:
        report = played.before if played.running is None else played.after
        text += "" if report is None else _why(report.why, played)
        name = "running" if played.running is None else name
    elif case.info.kind == "unknown":
        text += next(
            (f"; the file is {known}" for begins, known in _NO_IMAGES.items() if case.image[:16].startswith(begins)), ""
        )
    yield Finding(name, "refused", function, text, facts)


def _why(why: tuple[str, ...], played: Played) -> str:
    """The decision of the bootloader that counted: about the new app, or the last one."""
    slot = None if played.slot is None else f"{played.slot.label} is not bootable: "
    about = next((line for line in why if slot is not None and slot in line), None)
    chosen = about or next((line for line in reversed(why) if not line.startswith("bootloader_reset")), "")
    return f" ({chosen})" if chosen else ""


def _faults(case: Case, said: set[str]) -> Iterator[Finding]:
    """What else is wrong with the image, whether or not the update ended before it."""
    runs = case.played.runs
    if case.info.kind == "unknown" and said:
        return  # what the other bytes would mean is noise
    for fault in not_in(case.info.faults, said):
        name, function = of_fault(fault)
        text = f"{fault.err.name}: {fault}"
        if runs:
            text += "; this bootloader does not look, the default one refuses it"
        yield Finding(name, "risk" if runs else "refused", function, text, {"err": fault.err.name})
    for sentence in case.info.findings:
        yield Finding("older-releases", "risk", "process_esp_app_desc_data", sentence)


# ---------------------------------------------------------------------------------------------------------------- files


def _files(case: Case) -> Iterator[Finding]:
    """What the user gave, and what is missing of it."""
    board = case.board
    if board.start:
        text = f"{board.name} does not begin at the flash's first byte: it is taken to begin at 0x{board.start:x}"
        yield Finding("dump", "note", "", text, {"start": board.start})
    if not board.parts and board.end < board.flash.size:
        text = f"{board.name} ends at 0x{board.end:x} of 0x{board.flash.size:x}: what lies behind is taken as erased"
        running = case.played.running
        cut = running is not None and board.end < running.offset + case.board.look(running).length
        yield Finding("dump", "unknown" if cut else "note", "", text, {"end": board.end, "size": board.flash.size})
    if not board.knows_efuse:
        efuse = board.efuse
        text = (
            "no eFuses are given: taken are those of a new chip, revision "
            f"{_revision(efuse.chip_revision)}, without Secure Boot, flash encryption and secure version"
        )
        yield Finding("efuse", "unknown", "", text, {"chip_revision": efuse.chip_revision})
    yield from _table(case)
    for option in case.builds.contradicts:
        text = f"{option} contradicts the bootloader in the flash, whose own texts are believed"
        yield Finding("config", "risk", "", text, {"option": option})


def _table(case: Case) -> Iterator[Finding]:
    board, offset = case.board, case.board.config.partition_table_offset
    try:
        table = PartitionTable.from_bytes(board.flash.mmap(offset, _TABLE_LENGTH))
        table.check(table_offset=offset, flash_size=board.flash.size)
    except PartitionTableError as error:
        yield Finding("table", "risk", _GENERATOR, f"the partition table would not be generated: {error}")


# ---------------------------------------------------------------------------------------------------------------- board


def _running(case: Case) -> Iterator[Finding]:
    played, desc = case.played, case.running
    if played.running is None:
        return
    label = played.running.label
    name = named(desc)
    facts: dict[str, Fact] = {"partition": label, "state": played.before.state or None}
    if not played.unconfirmed:
        yield Finding("running", "note", "esp_ota_get_running_partition", f"{name} runs in {label}", facts)
        return
    can = confirms(case.board.read(played.running))
    code = {
        True: "it has the code for it",
        False: "it has no code for it",
        None: "its bytes do not tell whether it has the code for it",
    }[can]
    text = (
        f"{name} runs in {label} and is PENDING_VERIFY: it takes no update before it has confirmed itself "
        f"(ESP_ERR_OTA_ROLLBACK_INVALID_STATE), and {code}; the answer is for when it has"
    )
    yield Finding("running", "risk", "esp_ota_begin", text, {**facts, "confirms": can})


def _slot(case: Case) -> Iterator[Finding]:
    slot, size = case.played.slot, len(case.image)
    if slot is None:
        return
    facts: dict[str, Fact] = {"partition": slot.label, "offset": slot.offset, "size": slot.size}
    text = f"the update goes to {slot.label} at 0x{slot.offset:x}"
    yield Finding("slot", "note", "esp_ota_get_next_update_partition", text, facts)
    if size <= slot.size:
        text = f"{size} of the {slot.size} bytes of {slot.label}"
        fit: dict[str, Fact] = {"length": size, "size": slot.size, "free": slot.size - size}
        yield Finding("fits", "note", "esp_partition_write", text, fit)


def _image(case: Case) -> Iterator[Finding]:
    info, desc = case.info, case.info.app_desc
    if info.kind == "bootloader":
        text = "the file begins with a bootloader, not with an app: what flashes a whole chip is no update"
        yield Finding("kind", "risk", "esp_ota_write", text, {"kind": info.kind})
    if desc is None:
        return
    text = f"{named(desc)}, ESP-IDF {desc.idf_ver or 'without a version'}, {info.length} bytes"
    facts: dict[str, Fact] = {"project": desc.project_name, "version": desc.version, "idf_version": desc.idf_ver}
    yield Finding("image", "note", "esp_image_verify", text, facts)
    running = case.running
    if running is None:
        return
    if running.project_name_bytes != desc.project_name_bytes:
        text = f"it is {named(desc)}, and {named(running)} runs: RainMaker, for one, rejects that"
        said: dict[str, Fact] = {"found": desc.project_name, "expected": running.project_name}
        yield Finding("project", "risk", "esp_ota_get_partition_description", text, said)
    elif running.version_bytes == desc.version_bytes:
        text = f"version {desc.version} runs already: RainMaker, for one, rejects that"
        yield Finding("version", "note", "esp_ota_get_partition_description", text, {"version": desc.version})
    yield from _flash_mode(case, desc, running)


def _flash_mode(case: Case, desc: AppDesc, running: AppDesc) -> Iterator[Finding]:
    """What ``esp_https_ota`` asks since v6.1, and ``esp_ota_begin`` does not."""
    header, efuse = case.info.header, case.board.efuse
    if header is None:
        return
    verdict = check_image_validity(
        header, desc, chip=efuse.chip, chip_revision=efuse.chip_revision, running=running, no_max_revision=True
    )
    if verdict.err == EspErr.ESP_ERR_OTA_SPI_MODE_MISMATCH and verdict.fault is not None:
        text = f"{verdict.fault}: esp_https_ota refuses that since v6.1, and a board may not start with it"
        yield Finding("spi-mode", "risk", "esp_ota_check_image_validity", text, {"err": verdict.err.name})


def _chip(case: Case) -> Iterator[Finding]:
    header, board = case.info.header, case.board
    if header is None or case.info.kind == "unknown":
        return
    if header.chip_id == board.target.chip_id:
        text = f"for {board.target.name}"
        yield Finding("chip", "note", "bootloader_common_check_chip_validity", text, {"chip": board.target.name})
    least, most, revision = header.min_chip_rev_full, header.max_chip_rev_full, board.efuse.chip_revision
    upper = "" if most in _NO_BOUND else f" to {_revision(most)}"
    who = "" if board.knows_efuse else ", as far as is known: no flash says it"
    text = f"for revisions {_revision(least)}{upper or ' and above'}; this chip has {_revision(revision)}{who}"
    facts: dict[str, Fact] = {"min": least, "max": None if most in _NO_BOUND else most, "chip_revision": revision}
    function = "bootloader_common_check_chip_revision_validity"
    yield Finding("chip-revision", "note" if board.knows_efuse else "unknown", function, text, facts)
    size = _MIB << header.spi_size if header.spi_size < _SIZE_CODES else 2 * _MIB
    if size > board.flash.size:
        text = f"it is built for {size // _MIB} MB of flash, and this one has {board.flash.size // _MIB} MB"
        sizes: dict[str, Fact] = {"found": size, "size": board.flash.size}
        yield Finding("flash-size", "risk", "esp_image_get_flash_size", text, sizes)


def _secure_version(case: Case) -> Iterator[Finding]:
    desc, board, loader = case.info.app_desc, case.board, case.builds.loader
    if desc is None:
        return
    burnt = read_secure_version(board.efuse, loader) if loader.bootloader_app_anti_rollback else 0
    facts: dict[str, Fact] = {"secure_version": desc.secure_version, "burnt": burnt}
    if not loader.bootloader_app_anti_rollback:
        text = f"secure version {desc.secure_version}; nobody compares it, as the bootloader has no anti-rollback"
        yield Finding("secure-version", "note", "esp_efuse_check_secure_version", text, {**facts, "burnt": None})
        return
    text = f"secure version {desc.secure_version}, the eFuses have {burnt}"
    severity: Severity = "note" if board.knows_efuse else "unknown"
    yield Finding("secure-version", severity, "esp_efuse_check_secure_version", text, facts)
    if desc.secure_version > board.efuse.secure_version_size:
        text = (
            f"secure version {desc.secure_version} does not fit the {board.efuse.secure_version_size} bits of the field"
        )
        yield Finding("secure-version-field", "risk", "esp_efuse_update_secure_version", text, facts)


def _signature(case: Case) -> Iterator[Finding]:
    board, loader, blocks = case.board, case.builds.loader, case.info.signature
    keys = ", ".join(block.key_digest.hex()[:16] for block in blocks if block.scheme is not None)
    facts: dict[str, Fact] = {"scheme": loader.signature_scheme, "keys": keys or None}
    function = "esp_secure_boot_verify_sbv2_signature_block"
    if board.efuse.secure_boot_en and loader.signature_scheme is None:
        text = "Secure Boot V1 is on: only its build has the public key, so that nobody here can check a signature"
        yield Finding("signature", "unknown", "esp_secure_boot_verify_ecdsa_signature_block", text, facts)
    elif loader.secure_signed_on_boot or loader.secure_signed_on_update:
        text = f"signed with {loader.signature_scheme} by a trusted key"
        yield Finding("signature", "note", function, text + (f": {keys}" if keys else ""), facts)
    elif (running := case.played.running) is not None and not blocks and board.look(running).signature:
        text = "the running app is signed and the new one is not: a build that checks updates refuses it"
        yield Finding("signature", "unknown", function, text, facts)


def _encryption(case: Case) -> Iterator[Finding]:
    if case.board.flash.encryption is not None:
        text = "flash encryption is on, the key is among the eFuses: the update is written encrypted"
        yield Finding("encryption", "note", "esp_flash_write_encrypted", text)


# ----------------------------------------------------------------------------------------------------------- afterwards


def _bootloader(case: Case) -> Iterator[Finding]:
    board, build = case.board, case.builds.compiled
    release = release_text(case.builds.loader.idf_version)
    if build is None:
        text = f"no bootloader lies at 0x{board.target.bootloader_offset:x}: a model of ESP-IDF {release} answers"
        yield Finding("bootloader", "unknown", "", text, {"release": release, "length": None})
        return
    length = board.loader_length
    facts: dict[str, Fact] = {"release": release, "length": length, "prints": build.prints or None}
    text = f"ESP-IDF {release}, {board.release}; {length} bytes"
    yield Finding("bootloader", "note", "bootloader_read_bootloader_header", text, facts)
    if case.played.runs and case.played.slot is not None:
        text = f"the bootloader loads {case.played.slot.label} and starts it"
        yield Finding("boots", "note", "bootloader_load_image", text)


def _rollback(case: Case) -> Iterator[Finding]:
    """Whether anybody takes the update back, and whether it keeps itself."""
    builds, can = case.builds, case.builds.rollback
    function = "bootloader_utility_get_selected_boot_partition"
    facts: dict[str, Fact] = {"answer": can, "asked": case.board.can is not None}
    if can is None:
        yield Finding(
            "can-roll-back", "unknown", function, f"whether this bootloader can is not known: {builds.why}", facts
        )
    elif can:
        yield Finding("can-roll-back", "note", function, f"yes: {builds.why}", facts)
    else:
        text = f"no: {builds.why}; an update that crashes starts for ever"
        yield Finding("can-roll-back", "risk", function, text, facts)
    if can is not False:
        yield from _monitored(case)
        yield from _confirms(case)


def _monitored(case: Case) -> Iterator[Finding]:
    shown, writes = case.app_rollback, "esp_ota_set_boot_partition"
    if case.played.running is None:
        return
    facts: dict[str, Fact] = {"answer": shown}
    if shown is None and not case.board.says_config:
        text = "whether the running app writes NEW, which is what a bootloader watches, its bytes do not tell"
        yield Finding("monitored", "unknown", writes, text, facts)
    elif not case.app.bootloader_app_rollback_enable:
        text = "the running app is built without rollback: it writes UNDEFINED, and no bootloader takes that back"
        yield Finding("monitored", "risk", writes, text, facts)
    else:
        yield Finding("monitored", "note", writes, "the running app writes NEW: one boot to confirm itself", facts)


def _confirms(case: Case) -> Iterator[Finding]:
    can, function = confirms(case.image), "esp_ota_mark_app_valid_cancel_rollback"
    facts: dict[str, Fact] = {"answer": can}
    if can is None:
        text = "whether the new app confirms itself its bytes do not tell: look for it in its source"
        yield Finding("confirms", "unknown", function, text, facts)
    elif can:
        yield Finding(
            "confirms", "note", function, "the new app has the code; when it calls it, its source says", facts
        )
    else:
        text = "the new app has no code to confirm itself: a bootloader with rollback takes it back at the next reset"
        yield Finding("confirms", "risk", function, text, facts)


def description(data: bytes) -> AppDesc | None:
    """``esp_ota_get_partition_description`` of the bytes of a partition."""
    try:
        return AppDesc.from_bytes(data[0x20:0x120])
    except EspError:
        return None


def named(desc: AppDesc | None) -> str:
    """An app by project and version, as a sentence needs it."""
    if desc is None:
        return "an app without a descriptor"
    return f"{desc.project_name} {desc.version}".strip() or "an app without a name"


def _revision(full: int) -> str:
    return f"v{full // 100}.{full % 100}"
