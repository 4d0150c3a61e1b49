"""The rules that random flashes must reach, each known by what our model says when it takes effect."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from py_esp_ota.idf.bootloader.start import BootReport

#: Rule: a pattern that is found in a line of the log or of the reasons.
RULES: Mapping[str, str] = {
    # the table
    "table without a magic": r"invalid magic number",
    "table with a wrong digest": r"MD5 checksum|md5 checksum",
    "row beyond the flash": r"exceeds flash chip size",
    "no bootable app": r"No bootable app partitions",
    "no otadata partition": r"no otadata partition",
    "otadata too small": r"is too small \(minimum",
    # the choice
    "factory by default": r"Defaulting to factory image",
    "first slot without factory": r"No factory image, trying OTA 0",
    "entry chosen": r"is active \(seq",
    "factory after bad otadata": r"ota data partition invalid, falling back to factory",
    "every slot after bad otadata": r"ota data partition invalid and no factory",
    "otadata healed": r"Set actual ota_seq",
    "slot that the table lacks": r"which the table does not have",
    "slot fell back": r"OTA app partition slot \d+ is not bootable",
    "factory fell back": r"Factory app partition is not bootable",
    "test app at last": r"Falling back to test app",
    # the image
    "magic": r"has invalid magic byte",
    "segment count": r"exceeds max 16",
    "chip id": r"mismatch chip ID",
    "least revision of an app": r"boot_comm: .*(>= v)",
    "greatest revision of an app": r"boot_comm: .*(<= v)",
    "eFuse block revision": r"efuse blk rev",
    "least revision of the bootloader": r"bootloader_check_bootloader_validity",
    "segment length": r"invalid segment length",
    "congruence": r"doesn't match data",
    "checksum": r"Checksum failed",
    "hash": r"Image hash failed",
    "image larger than its partition": r"doesn't fit in partition length",
    "partition too large": r"larger than 16MB",
    # memory
    "address that is no RAM": r"bad load address range",
    "bootloader's stack": r"overlaps bootloader stack",
    "bootloader's data": r"overlaps bootloader data",
    "bootloader's code": r"overlaps loader IRAM",
    "range that wraps": r"assertion: .*load_addr",
    # the end
    "loaded": r"Loaded app from partition",
    "two data segments": r"multiple DROM segments",
    "two code segments": r"multiple IROM segments",
    "no data window": r"assertion: DROM: the image has no segment",
    "no code window": r"assertion: IROM: the image has no segment",
    "segment across a window's end": r"are not in one window",
}

#: What only builds with rollback do.
ROLLBACK_RULES: Mapping[str, str] = {
    "on trial": r"NEW -> PENDING_VERIFY",
    "not confirmed": r"PENDING_VERIFY -> ABORTED",
}

_COMPILED = {name: re.compile(pattern) for name, pattern in {**RULES, **ROLLBACK_RULES}.items()}


def reached(report: BootReport) -> set[str]:
    """The rules that took effect in one boot."""
    text = "\n".join((*report.log, *report.why))
    return {name for name, pattern in _COMPILED.items() if pattern.search(text)}


def shares(reports: Iterable[BootReport]) -> dict[str, float]:
    """The share of boots that reached each rule."""
    counts = dict.fromkeys(_COMPILED, 0)
    number = 0
    for report in reports:
        number += 1
        for name in reached(report):
            counts[name] += 1
    return {name: count / max(number, 1) for name, count in counts.items()}
