"""Causes in the course of boots: which slot was chosen, given up, passed over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from py_esp_ota.field.explain.cause import CONFIRM as _CONFIRM
from py_esp_ota.field.explain.cause import SLOT as _SLOT
from py_esp_ota.field.explain.cause import Found, Known, Rule, line
from py_esp_ota.field.explain.course import Step
from py_esp_ota.field.explain.facts import Fact


def _called(step: Step | None) -> str:
    if step is None or step.offset is None:
        return "the app"
    return f"the app at 0x{step.offset:x}" if step.row is None else step.row.label


def _turned(turn: str) -> Callable[[Known], Found | None]:
    """The last boot at which the app changed in this way, and what ended the one before."""

    def find(known: Known) -> Found | None:
        for before, step in reversed(list(zip(known.steps, known.steps[1:], strict=False))):
            if step.turn == turn:
                earlier = before if before.offset is not None else _started_before(known, step)
                loads = [fact for fact in (earlier.boot.loaded if earlier else None, step.boot.loaded) if fact]
                words = {"from": _called(earlier), "to": _called(step), "because": _because(step)}
                return Found([*step.crash[:3], *loads, *step.shown[:2]], words)
        return None

    return find


def _started_before(known: Known, step: Step) -> Step | None:
    """The latest boot before it that started an app."""
    earlier = known.steps[: step.boot.number - 1]
    return next((one for one in reversed(earlier) if one.offset is not None), None)


_ENDS = (
    ("brownout", "its supply broke down"),
    ("canary", "a stack of its tasks overflowed"),
    ("overflow", "a stack of its tasks overflowed"),
    ("stack_fault", "a stack of its tasks overflowed"),
    ("task_wdt", "its task watchdog bit"),
    ("check_failed", "ESP_ERROR_CHECK ended it"),
    ("asserted", "an assertion ended it"),
    ("aborted", "it called abort()"),
    ("panic", "it crashed"),
    ("heap_corrupt", "its heap was corrupt"),
    ("reset", "the chip was reset"),
)


def _because(step: Step) -> str:
    kinds = {fact.kind for fact in step.crash}
    return next((words for kind, words in _ENDS if kind in kinds), "the chip was reset")


def _projects_rollback(known: Known) -> Found | None:
    """What the firmware itself says of a rollback, when it comes up again."""
    shown = known.story.all("esphome_rolled_back", "esphome_unmarked", "rmaker_rolled_back")
    return Found(shown[:3], {"label": shown[0].word("label") or "the other slot"}) if shown else None


def _rejected(known: Known) -> Found | None:
    shown = known.story.all("rejected", "self_test_failed", "rmaker_unverified", "rmaker_test")
    return Found(shown[:4], {}) if shown else None


def _fallback(known: Known) -> Found | None:
    for step in known.steps:
        if step.decision == "fallback":
            return Found(step.shown, {"to": _called(step)})
    return None


def _of_last(*decisions: str) -> Callable[[Known], Found | None]:
    """What decided the last boot that started an app."""

    def find(known: Known) -> Found | None:
        started = [step for step in known.steps if step.offset is not None]
        if not started or started[-1].decision not in decisions:
            return None
        return Found(started[-1].shown, {"to": _called(started[-1])})

    return find


def _otadata_damaged(known: Known) -> Found | None:
    """Damage that the last boot which says anything of otadata has seen."""
    seen = [
        step for step in known.steps if step.boot.first("otadata_damaged", "ota_invalid") or step.offset is not None
    ]
    if not seen or not (shown := seen[-1].boot.all("otadata_damaged", "ota_invalid")):
        return None
    to = "the factory app" if "to factory" in shown[0].text else "what is there"
    return Found(shown, {"to": to if seen[-1].offset is None else _called(seen[-1])})


def _kinds(known: Known, kinds: Sequence[str]) -> list[Fact]:
    return known.story.all(*kinds)


def _not_confirming(known: Known) -> Found | None:
    """A first boot after an update, of which no confirmation follows in this log."""
    shown = _kinds(known, ("rmaker_first_boot",))
    if not shown or _kinds(known, ("confirmed", "self_test", "esphome_good")):
        return None
    return Found(shown[:1], {})


RULES: tuple[Rule, ...] = (
    Rule(
        "rolled-back",
        "fault",
        _turned("rolled-back"),
        "{from} was not confirmed before {because}, so the bootloader gave it up (ABORTED) and started {to}; or "
        "its otadata entry was lost in a power cut",
        _CONFIRM,
        "bootloader_utility_get_selected_boot_partition",
        13,
    ),
    Rule(
        "rolled-back-earlier",
        "fault",
        _projects_rollback,
        "{label} was given up: it was reset before its firmware confirmed it",
        _CONFIRM,
        "bootloader_utility_get_selected_boot_partition",
        13,
    ),
    Rule(
        "self-test-failed",
        "fault",
        _rejected,
        "the new app rejected itself: its self-test was not content, so it was marked INVALID and the old one started",
        "See what the self-test asks for; a peripheral or a network that is not there counts as a failure.",
        "esp_ota_mark_app_invalid_rollback_and_reboot",
        14,
    ),
    Rule(
        "otadata-damaged",
        "fault",
        _otadata_damaged,
        "no otadata entry has a good CRC, so the bootloader starts {to} by default",
        "It is a torn write or another partition's bytes, of an older table for instance; choose a slot again: "
        "`esp-ota otadata switch`, or the next update does. A table without OTA slots needs no otadata.",
        "bootloader_utility_get_selected_boot_partition",
        12,
    ),
    Rule(
        "fallback",
        "fault",
        _fallback,
        "the app that otadata chose does not load, so the bootloader went on to {to}",
        _SLOT,
        "bootloader_utility_load_boot_image",
        22,
    ),
    Rule(
        "safe-mode",
        "fault",
        line("esphome_safe_mode", "esphome_loop", "esphome_quick"),
        "ESPHome has seen too many short boots and counts towards its safe mode",
        "See what ends the app: the lines before the resets. Safe mode takes an update over the air.",
        "ESPHome safe_mode",
        22,
    ),
    Rule(
        "test-app",
        "fault",
        _of_last("test-app"),
        "nothing but the test app loads, so that is what runs",
        _SLOT,
        "bootloader_utility_load_boot_image",
        22,
    ),
    Rule(
        "not-confirmed",
        "note",
        _not_confirming,
        "the first boot after an update; in this log nothing has confirmed it yet",
        _CONFIRM,
        "esp_ota_mark_app_valid_cancel_rollback",
        30,
    ),
    Rule(
        "updated",
        "note",
        _turned("updated"),
        "{from} chose another slot, and {to} runs now",
        "Nothing, if that was an update; with rollback it has yet to confirm itself.",
        "esp_ota_set_boot_partition",
        31,
    ),
    Rule(
        "woken",
        "note",
        _of_last("fast-boot"),
        "the chip woke from deep sleep, and {to} was started without being verified",
        "Nothing: otadata is not looked at then, CONFIG_BOOTLOADER_SKIP_VALIDATE_IN_DEEP_SLEEP.",
        "bootloader_utility_load_boot_image_from_deep_sleep",
        32,
    ),
    Rule(
        "defaulting",
        "note",
        _of_last("defaulting"),
        "otadata names no app that may be tried (it is erased, or its entries are INVALID or ABORTED), so the "
        "factory app {to} runs",
        "Nothing on a new device. If an update should run: was esp_ota_set_boot_partition called, and was it "
        "confirmed?",
        "bootloader_utility_get_selected_boot_partition",
        33,
    ),
    Rule(
        "no-factory",
        "note",
        _of_last("no-factory", "initial"),
        "otadata names no app that may be tried, so the first slot is: {to} runs",
        "Nothing on a new device. If an update should run: was esp_ota_set_boot_partition called, and was it "
        "confirmed?",
        "bootloader_utility_get_selected_boot_partition",
        33,
    ),
    Rule(
        "chosen",
        "note",
        _of_last("chosen"),
        "{to} runs, as otadata chose it, or the table where there is no otadata",
        "Nothing.",
        "bootloader_utility_get_selected_boot_partition",
        34,
    ),
    Rule(
        "flash-larger",
        "note",
        line("flash_larger"),
        "the flash is larger ({detected} KiB) than the image says ({header} KiB)",
        "Nothing, unless the room is needed: CONFIG_ESPTOOLPY_FLASHSIZE.",
        "",
        35,
    ),
    Rule(
        "rollback-support",
        "note",
        line("esphome_support"),
        "ESPHome says of the bootloader's rollback: {support}",
        "Its own bootloader tells for certain: `esp-ota boot FLASH --silicon`, the last line.",
        "",
        36,
    ),
    Rule(
        "bootloader-hash",
        "note",
        line("rom_hash", "rom_boots_anyway"),
        "the bootloader's own SHA-256 does not fit, and ROM starts it all the same",
        "esptool changed its header without a new hash; write it with --flash-mode keep, or with a newer esptool.",
        "ROM",
        36,
    ),
)
