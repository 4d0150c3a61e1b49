"""The table of causes, asked in order."""

from __future__ import annotations

from collections.abc import Mapping

from py_esp_ota.field.explain import rules_of_apps, rules_of_courses, rules_of_images, rules_of_rom, rules_of_updates
from py_esp_ota.field.explain.cause import Cause, Known, Rule, made
from py_esp_ota.field.explain.course import Step
from py_esp_ota.field.explain.facts import Story

RULES: tuple[Rule, ...] = (
    *rules_of_rom.RULES,
    *rules_of_images.RULES,
    *rules_of_courses.RULES,
    *rules_of_apps.RULES,
    *rules_of_updates.RULES,
)

_TABLE = ("table-missing", "table-garbage", "table-exceeds-flash", "table-md5", "table-no-end")
_NVS = ("nvs-no-free-pages", "nvs-new-version", "nvs-full", "nvs-other")
_IMAGE = (
    "chip-id", "chip-revision", "efuse-block-revision", "image-too-long", "image-segments", "image-unreadable",
    "image-checksum", "image-hash", "image-signature", "secure-version", "no-app-partition", "image-missing",
)  # fmt: skip

#: What follows from another cause, and is not said beside it.
_FOLLOWS: Mapping[str, tuple[str, ...]] = {
    "table-refused": _TABLE,
    "nothing-bootable": _IMAGE,
    "fallback": _IMAGE,
    "image-invalid": _IMAGE,
    "rolled-back-earlier": ("rolled-back", "self-test-failed"),
    "aborted": ("assertion", "error-check", "stack-overflow", "task-watchdog", "flash-size", "psram", *_NVS),
    "crash": ("stack-overflow", "interrupt-watchdog", "cache-disabled"),
    "error-check": _NVS,
    "assertion": ("flash-size",),
    "watchdog-reset": ("task-watchdog", "interrupt-watchdog", "brownout", "bootloader-missing", "bootloader-garbage",
                       "flash-unreadable", "bootloader-silent", "bootloader-hangs", "app-at-bootloader",
                       "bootloader-damaged", "bootloader-chip", "rom-signature", "flash-mode", "flash-late", "crash",
                       "stack-overflow", "cache-disabled"),
    "efuse-block-revision": ("app-descriptor",),
    "bootloader-damaged": ("flash-mode",),
    "connection": ("certificate", "tls-memory", "tls-other", "not-verifying", "http-buffer"),
    "not-verifying": ("certificate",),
}  # fmt: skip


def causes_of(story: Story, steps: tuple[Step, ...]) -> tuple[Cause, ...]:
    """The likely causes, the one that brings about the others first. Notes stand behind the faults."""
    known = Known(story, steps)
    found = [(rule, made(rule, what)) for rule in RULES if (what := rule.find(known)) is not None]
    found.sort(key=lambda pair: (pair[0].rank, pair[1].shown[0].line if pair[1].shown else 0))
    names = [rule.name for rule, _ in found]
    causes: list[Cause] = []
    for _, cause in found:
        if any(other in names for other in _FOLLOWS.get(cause.name, ())):
            continue
        if cause.name not in {one.name for one in causes}:
            causes.append(cause)
    return tuple(causes)
