"""Causes before any table is read: what ROM finds, and a bootloader that comes to no end."""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota.field.explain.cause import AGAIN as _AGAIN
from py_esp_ota.field.explain.cause import Found, Known, Rule, line
from py_esp_ota.field.explain.chips import is_mapped
from py_esp_ota.field.explain.facts import Boot, Fact

_BLANK = 0xFFFFFFFF


def _header(*, blank: bool) -> Callable[[Known], Found | None]:
    def find(known: Known) -> Found | None:
        heads = [fact for fact in known.story.all("bad_header") if fact.number("found") is not None]
        # The last bits of an erased flash are read wrongly by a chip that has little power, or a fast clock.
        erased = [fact for fact in heads if ((fact.number("found") or 0) ^ _BLANK).bit_count() <= 1]
        shown = erased if blank else [fact for fact in heads if fact not in erased]
        return Found(shown[:3], dict(shown[0].values)) if shown and (not blank or len(erased) == len(heads)) else None

    return find


def _app_as_bootloader(known: Known) -> Found | None:
    chip = known.story.chip
    first = [step.boot.first("rom_load") for step in known.steps]  # of an app it is what the cache shows
    shown = [fact for fact in first if fact is not None and is_mapped(chip, fact.number("address") or 0)]
    return Found(shown[:1], dict(shown[0].values)) if shown else None


def _nonsense(boot: Boot) -> list[Fact]:
    """What ROM reads of a bootloader whose header was good, and what cannot be."""
    wild = [
        fact
        for fact in boot.all("rom_load")
        if (fact.number("address") or 0) == _BLANK or not 0 <= (fact.number("length") or 0) < 0x80000
    ]
    return [*boot.all("rom_checksum", "rom_exception", "rom_segment"), *wild]


def _damaged_bootloader(known: Known) -> Found | None:
    shown = [fact for step in known.steps for fact in _nonsense(step.boot)]
    return Found(shown[:3], dict(shown[0].values)) if shown else None


def _quad(known: Known) -> Found | None:
    """Nonsense that is read with four data lines: two are wired in every module, four are not."""
    for step in known.steps:
        mode = step.boot.first("rom_mode")
        shown = _nonsense(step.boot)
        if mode is not None and shown and mode.word("mode") in {"QIO", "QOUT"}:
            return Found([mode, *shown[:2]], dict(mode.values))
    return None


#: What ROM says behind these is no other fault.
_REFUSED = ("rom_signature", "rom_chip", "rom_checksum", "rom_load")


def _unread(known: Known) -> tuple[list[Fact], bool]:
    """Where ROM got no header, and whether it has got one later."""
    shown: list[Fact] = []
    late = False
    for step in known.steps:
        if step.boot.first("rom_load"):
            late = bool(shown)
        elif silent := step.boot.all("flash_read_error"):
            shown, late = [*shown, *silent], False
        elif not step.boot.first(*_REFUSED):
            shown += step.boot.all("rom_assert")
    return shown, late


def _unreadable(known: Known) -> Found | None:
    shown, late = _unread(known)
    return Found(shown[:6], dict(shown[0].values)) if shown and not late else None


def _late(known: Known) -> Found | None:
    shown, late = _unread(known)
    return Found(shown[:2], {}) if late else None


def _download(known: Known) -> Found | None:
    shown = [
        fact
        for fact in known.story.all("reset", "download")
        if fact.kind == "download" or "DOWNLOAD" in fact.word("mode")
    ]
    return Found(shown[:3], {}) if shown else None


def _silent_bootloader(known: Known) -> Found | None:
    """ROM has loaded a bootloader, nothing more is heard, and a watchdog begins anew: twice at least."""
    shown = [
        step.boot.first("rom_load")
        for step, after in zip(known.steps, known.steps[1:], strict=False)
        if step.decision == "unseen"
        and step.boot.first("rom_load")
        and not step.boot.others
        and not step.boot.first("bad_header", "download")
        and after.boot.cause == "watchdog"
    ]
    facts = [fact for fact in shown if fact is not None]
    return Found([*facts[:2], *_resets(known)[:1]], {}) if len(facts) > 1 else None


def _hanging_bootloader(known: Known) -> Found | None:
    """A bootloader that begins, says nothing wrong, and is ended by a watchdog: twice at least."""
    cut = [
        step
        for step, after in zip(known.steps, known.steps[1:], strict=False)
        if step.decision == "cut" and after.boot.cause == "watchdog" and not step.boot.all("table_refused")
    ]
    shown = [fact for step in cut for fact in step.shown]
    return Found([*shown[:2], *_resets(known)[:1]], {}) if len(cut) > 1 else None


def _resets(known: Known) -> list[Fact]:
    return [step.boot.reset for step in known.steps if step.boot.cause == "watchdog" and step.boot.reset is not None]


RULES: tuple[Rule, ...] = (
    Rule(
        "not-this-family",
        "fault",
        line("rom_esp8266"),
        "this is an ESP8266: it has no ESP-IDF bootloader, and nothing here is about it",
        "Look for its own tools; esp-ota knows the ESP32 family.",
        "ROM",
        0,
    ),
    Rule(
        "bootloader-missing",
        "fault",
        _header(blank=True),
        "the flash is erased where ROM looks for a bootloader: it read 0x{found:08x}",
        _AGAIN + " The bootloader lies at 0x1000 on ESP32 and S2, at 0x2000 on C5 and P4, else at 0x0.",
        "ROM",
        2,
    ),
    Rule(
        "bootloader-garbage",
        "fault",
        _header(blank=False),
        "no bootloader lies where ROM looks for one: it read 0x{found:08x} in the place of a header",
        _AGAIN
        + (
            "If flash encryption is on, it has to be written encrypted; if it is off, a dump of an encrypted chip is "
            "of no use."
        ),
        "ROM",
        2,
    ),
    Rule(
        "flash-unreadable",
        "fault",
        _unreadable,
        "ROM gets no bootloader's header from the flash: nothing was ever written there, or the flash does not answer",
        _AGAIN + " If it stays, take away what hangs at the strapping pins (GPIO12 on ESP32 sets the flash's voltage), "
        "and check the supply; an older ROM says these words of an erased flash, too.",
        "ROM",
        2,
    ),
    Rule(
        "flash-late",
        "note",
        _late,
        "the flash did not answer when the power came: ROM tried again after its watchdog, and then it did",
        "Nothing, if a few tenths of a second at a cold start do no harm: a supply that rises slowly does it, and the "
        "first ESP32s do by themselves.",
        "ROM",
        30,
    ),
    Rule(
        "bootloader-chip",
        "fault",
        line("rom_chip"),
        "the bootloader is one for another chip: ROM read id {found} in its header, and is {expected}",
        "Build for this chip, and write bootloader, table and app by cable: an update over the air is only the app.",
        "ROM",
        2,
    ),
    Rule(
        "app-at-bootloader",
        "fault",
        _app_as_bootloader,
        "an app lies where the bootloader belongs: ROM was asked to load a segment to 0x{address:08x}, where "
        "only the cache shows something",
        _AGAIN + " A lone app .bin goes into an app partition, not to the beginning of the flash.",
        "ROM",
        2,
    ),
    Rule(
        "flash-mode",
        "fault",
        _quad,
        "ROM reads the flash in mode {mode} and gets nonsense: this flash, or how it is wired, knows no such mode",
        "Write the bootloader again with --flash-mode dio; build with CONFIG_ESPTOOLPY_FLASHMODE_DIO.",
        "ROM",
        2,
    ),
    Rule(
        "bootloader-damaged",
        "fault",
        _damaged_bootloader,
        "the bootloader itself is damaged: ROM loads nonsense, or its checksum is wrong",
        "Write the bootloader again, in mode DIO if the flash is not known to do more.",
        "ROM",
        2,
    ),
    Rule(
        "rom-signature",
        "fault",
        line("rom_signature"),
        "Secure Boot is on, and ROM refuses the bootloader's signature",
        "Write a bootloader that is signed with a key whose digest is burnt; `esp-ota sign --verify` tells which.",
        "ROM",
        2,
    ),
    Rule(
        "bootloader-silent",
        "fault",
        _silent_bootloader,
        "ROM loads the bootloader, and nothing is heard of it until the RTC watchdog resets the chip, again and again",
        "The flash mode is the usual reason: write the bootloader again with --flash-mode dio; else check the "
        "crystal's frequency and the supply.",
        "ROM",
        3,
    ),
    Rule(
        "download-mode",
        "fault",
        _download,
        "the chip is in download mode: its boot pin is held when it is reset",
        "Let go of BOOT (GPIO0, on RISC-V chips GPIO9), take away what pulls it low, and reset.",
        "ROM",
        3,
    ),
    Rule(
        "flash-chip",
        "fault",
        line("xmc", "flash_silent", "no_header"),
        "the flash chip does not answer as it should when the bootloader or the app asks it",
        "Check supply and soldering of the flash, its mode and its speed.",
        "",
        4,
    ),
    Rule(
        "bootloader-hangs",
        "fault",
        _hanging_bootloader,
        "the bootloader begins and comes to no end: a watchdog resets the chip, again and again",
        "Look at the last line before each reset: behind it the flash does not answer, or the log was cut. Try a "
        "lower flash speed and mode DIO.",
        "",
        9,
    ),
)
