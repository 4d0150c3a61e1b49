"""Causes in the app: what ends it, what its update runs into, and how a slot was given up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from py_esp_ota.field.explain.cause import CONFIRM as _CONFIRM
from py_esp_ota.field.explain.cause import SLOT as _SLOT
from py_esp_ota.field.explain.cause import Found, Known, Rule, err_name, line, named
from py_esp_ota.field.explain.chips import BROWNOUT, BROWNOUT_IS_POWERON, LOCKUP, POWER, WATCHDOG
from py_esp_ota.field.explain.course import Step
from py_esp_ota.field.explain.facts import Fact

_OFTEN = 3


def _brownout(known: Known) -> Found | None:
    shown = known.story.all("brownout", "esphome_brownout")
    shown += [step.boot.reset for step in known.steps if step.boot.cause == BROWNOUT and step.boot.reset is not None]
    return Found(shown[:4], {"times": len(shown)}) if shown else None


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


def _panic(*kinds: str) -> Callable[[Known], Found | None]:
    def find(known: Known) -> Found | None:
        shown = known.story.all(*kinds)
        where = known.story.all("backtrace")
        return Found([*shown[:2], *where[:1]], dict(shown[0].values)) if shown else None

    return find


def _with(word: str, *kinds: str) -> Callable[[Known], Found | None]:
    def find(known: Known) -> Found | None:
        shown = [fact for fact in known.story.all(*kinds) if word in fact.text]
        return Found(shown[:2], dict(shown[0].values)) if shown else None

    return find


def _check_failed(known: Known) -> Found | None:
    shown = known.story.all("check_failed")
    return Found(shown[:2], {"name": err_name(shown[0]) or "an error"}) if shown else None


def _lockup(known: Known) -> Found | None:
    return _reset_by(known, LOCKUP, 1)


def _watchdog(known: Known) -> Found | None:
    return _reset_by(known, WATCHDOG, 1)


def _reset_by(known: Known, cause: str, least: int) -> Found | None:
    shown = [step.boot.reset for step in known.steps if step.boot.cause == cause and step.boot.reset is not None]
    return Found(shown[:3], {**shown[0].values, "times": len(shown)}) if len(shown) >= least else None


def _power(known: Known) -> Found | None:
    """Power-on resets in a row, behind apps that were at work."""
    shown = [
        step.boot.reset
        for before, step in zip(known.steps, known.steps[1:], strict=False)
        if step.boot.cause == POWER
        and step.boot.reset is not None
        and (before.offset is not None or before.boot.others)
    ]
    if len(shown) < _OFTEN:
        return None
    also = " (this chip says so of a brown-out, too)" if known.story.chip in BROWNOUT_IS_POWERON else ""
    return Found(shown[:3], {"times": len(shown), "also": also})


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


def _kinds(known: Known, kinds: Sequence[str]) -> list[Fact]:
    return known.story.all(*kinds)


def _not_confirming(known: Known) -> Found | None:
    """A first boot after an update, of which no confirmation follows in this log."""
    shown = _kinds(known, ("rmaker_first_boot",))
    if not shown or _kinds(known, ("confirmed", "self_test", "esphome_good")):
        return None
    return Found(shown[:1], {})


_POWER = (
    "Give it a supply that carries the current of the radio (500 mA and more), a shorter cable, a capacitor at 3V3."
)
_DECODE = "Decode the backtrace with the ELF of just this build (idf.py monitor, addr2line)."

RULES: tuple[Rule, ...] = (
    Rule(
        "brownout",
        "fault",
        _brownout,
        "the supply voltage breaks down: the brown-out detector resets the chip",
        _POWER,
        "rtc_brownout_isr_handler",
        1,
    ),
    Rule(
        "flash-size",
        "fault",
        line("flash_smaller"),
        "the image says that the flash has {header} KiB, and the chip that is there has {detected} KiB: the app "
        "stops in its start",
        "Build with the size that is there (CONFIG_ESPTOOLPY_FLASHSIZE) and write bootloader and app again; a "
        "size of 128 KiB or so means that the flash does not answer.",
        "",
        10,
    ),
    Rule(
        "app-secure-version",
        "fault",
        line("app_secure_version_low"),
        "the app's secure version is below the one that is burnt: it stops in its start",
        "Raise CONFIG_BOOTLOADER_APP_SECURE_VERSION.",
        "",
        10,
    ),
    Rule(
        "nvs-no-free-pages",
        "fault",
        named("ESP_ERR_NVS_NO_FREE_PAGES"),
        "NVS has no free page, so nvs_flash_init() fails: it was full, or its partition was made smaller or "
        "written over",
        "Call nvs_flash_erase() and nvs_flash_init() again, as ESP-IDF's examples do; `esp-ota nvs` shows what "
        "would be lost.",
        "nvs_flash_init",
        11,
    ),
    Rule(
        "nvs-new-version",
        "fault",
        named("ESP_ERR_NVS_NEW_VERSION_FOUND"),
        "NVS was written by a newer firmware than the one that reads it: usually after a rollback or a downgrade",
        "Erase it (nvs_flash_erase()), or keep to a firmware that knows the format.",
        "nvs_flash_init",
        11,
    ),
    Rule(
        "nvs-full",
        "fault",
        named("ESP_ERR_NVS_NOT_ENOUGH_SPACE"),
        "NVS has no room for another value",
        "Erase what is not needed, or give the partition more pages; `esp-ota nvs` counts them.",
        "nvs_set",
        11,
    ),
    Rule(
        "nvs-other",
        "fault",
        named(
            "ESP_ERR_NVS_CORRUPT_KEY_PART",
            "ESP_ERR_NVS_KEYS_NOT_INITIALIZED",
            "ESP_ERR_NVS_PART_NOT_FOUND",
            "ESP_ERR_NVS_NOT_INITIALIZED",
            "ESP_ERR_NVS_WRONG_ENCRYPTION",
        ),
        "NVS could not be opened: {name}",
        "See which partition it is, and whether its keys are there.",
        "nvs_flash_init",
        11,
    ),
    Rule(
        "factory-reset",
        "fault",
        line("factory_reset"),
        "the pin of the factory reset was held at reset: the bootloader has erased what its build names, and "
        "otadata perhaps",
        "Let go of the pin (CONFIG_BOOTLOADER_NUM_PIN_FACTORY_RESET), or take another one.",
        "bootloader_common_erase_part_type_data",
        12,
    ),
    Rule(
        "test-pin",
        "fault",
        line("test_pin", "no_test_app"),
        "the pin of the test app was held at reset, so the bootloader starts the test partition and nothing else",
        "Let go of the pin (CONFIG_BOOTLOADER_NUM_PIN_APP_TEST).",
        "",
        12,
    ),
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
        "stack-overflow",
        "fault",
        _panic("canary", "overflow", "stack_fault"),
        "a task has overflowed its stack: {task}",
        "Give that task more stack. " + _DECODE,
        "",
        15,
    ),
    Rule(
        "interrupt-watchdog",
        "fault",
        _with("Interrupt wdt", "panic"),
        "interrupts were off for too long: the interrupt watchdog bit",
        "Look for long critical sections, and for code that runs while the flash is busy. " + _DECODE,
        "",
        15,
    ),
    Rule(
        "task-watchdog",
        "fault",
        _panic("task_wdt"),
        "a task did not give way in time: the task watchdog bit",
        "Let long loops give way (vTaskDelay); erase and write the flash in smaller pieces while an update comes in.",
        "",
        15,
    ),
    Rule(
        "cache-disabled",
        "fault",
        _with("Cache", "panic"),
        "code or data in flash was asked for while the flash was busy with an erase or a write",
        "Put interrupt handlers and what they use into IRAM (IRAM_ATTR). " + _DECODE,
        "",
        15,
    ),
    Rule(
        "heap-corrupt",
        "fault",
        _panic("heap_corrupt"),
        "the heap is corrupt: something wrote behind its memory",
        "Switch on heap poisoning (CONFIG_HEAP_POISONING_COMPREHENSIVE). " + _DECODE,
        "",
        15,
    ),
    Rule(
        "error-check",
        "fault",
        _check_failed,
        "ESP_ERROR_CHECK ends the app: {name}",
        "See the call that it names, and treat its error.",
        "",
        15,
    ),
    Rule(
        "assertion",
        "fault",
        _panic("asserted"),
        "an assertion of the app or of ESP-IDF fails: {where}",
        _DECODE,
        "",
        15,
    ),
    Rule(
        "crash",
        "fault",
        _panic("panic"),
        "the app crashes: {reason}",
        _DECODE,
        "",
        15,
    ),
    Rule(
        "aborted",
        "fault",
        _panic("aborted"),
        "the app calls abort()",
        _DECODE,
        "",
        15,
    ),
    Rule(
        "lock-up",
        "fault",
        _lockup,
        "the CPU locked up: an exception within the handler of exceptions",
        "It is a crash whose handler crashed, too: look at the stack and the flash cache first.",
        "ROM",
        20,
    ),
    Rule(
        "watchdog-reset",
        "fault",
        _watchdog,
        "a watchdog reset the chip ({name}), and nothing was printed before",
        "No panic handler ran: interrupts were off, the bootloader took longer than 9 s, or the flash did not answer.",
        "ROM",
        21,
    ),
    Rule(
        "power-unstable",
        "fault",
        _power,
        "the power went and came again {times} times while an app was running{also}",
        _POWER,
        "ROM",
        21,
    ),
    Rule(
        "otadata-damaged",
        "fault",
        _of_last("otadata-damaged"),
        "no otadata entry has a good CRC, so the bootloader starts {to} by default",
        "It is a torn write or another partition's bytes; choose a slot again: `esp-ota otadata switch`, or the "
        "next update does.",
        "bootloader_utility_get_selected_boot_partition",
        22,
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
