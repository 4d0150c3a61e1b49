"""Causes in the app: what ends it, and what it is reset by."""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota.field.explain.cause import Found, Known, Rule, err_name, line, named
from py_esp_ota.field.explain.chips import BROWNOUT, BROWNOUT_IS_POWERON, LOCKUP, POWER, WATCHDOG

_OFTEN = 3


def _brownout(known: Known) -> Found | None:
    shown = known.story.all("brownout", "esphome_brownout")
    shown += [step.boot.reset for step in known.steps if step.boot.cause == BROWNOUT and step.boot.reset is not None]
    return Found(shown[:4], {"times": len(shown)}) if shown else None


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


def _psram(known: Known) -> Found | None:
    """External RAM that does not answer, where the app does not go on without it."""
    shown = [
        fact
        for step in known.steps
        if not step.boot.first("psram_without")
        for fact in step.boot.all("psram_silent", "psram_needed")
    ]
    return Found(shown[:3], {}) if shown else None


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
        "psram",
        "fault",
        _psram,
        "the app is built for external RAM, and none answers as it was told to: the app stops in its start",
        "Take the build for this module: its PSRAM is quad (R2), octal (R8), or not there at all "
        "(CONFIG_SPIRAM_MODE_QUAD, CONFIG_SPIRAM_MODE_OCT); CONFIG_SPIRAM_IGNORE_NOTFOUND goes on without it.",
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
)
