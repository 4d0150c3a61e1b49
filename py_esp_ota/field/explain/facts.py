"""What a console says, as values: facts in order, each with the line that shows it, and the boots they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from py_esp_ota.field.explain import said_by_app, said_by_bootloader
from py_esp_ota.field.explain.chips import chip_of_address, chip_of_rom, chip_of_tag, reset_cause
from py_esp_ota.field.explain.formats import Lines, Said, Values
from py_esp_ota.field.explain.reader import Row


class Fact(NamedTuple):
    """One thing that a line says.

    ``by`` is the function that printed it, ``line`` its number in the text that was given, ``text`` the line without
    what terminals have added. ``values`` are what stood in the format's holes.
    """

    kind: str
    by: str
    line: int
    text: str
    values: Values
    tag: str = ""
    level: str = ""

    def number(self, name: str) -> int | None:
        """A value that is a number; ``None`` where the line was cut before it."""
        value = self.values.get(name)
        return value if isinstance(value, int) else None

    def word(self, name: str) -> str:
        """A value as text, ``""`` where there is none."""
        return str(self.values.get(name, ""))


class TableRow(NamedTuple):
    """One row of the partition table as the bootloader shows it."""

    label: str
    usage: str
    type: int
    subtype: int
    offset: int
    size: int
    line: int

    @property
    def is_app(self) -> bool:
        """Whether an app may lie there that is started."""
        return self.type == 0 and (self.subtype in {0, 0x20} or self.ota_slot is not None)

    @property
    def ota_slot(self) -> int | None:
        """The number of an OTA slot."""
        return self.subtype & 0xF if self.type == 0 and 0x10 <= self.subtype < 0x20 else None


class Boot(NamedTuple):
    """From one reset to the next, as far as the console shows it.

    ``reset`` is ROM's reason, ``cause`` what kind of reset that is. ``others`` is how many lines nobody here knows: an
    app's own, most likely.
    """

    number: int
    facts: tuple[Fact, ...]
    table: tuple[TableRow, ...]
    reset: Fact | None
    cause: str
    others: int = 0

    def all(self, *kinds: str) -> list[Fact]:
        """The facts of these kinds in order."""
        return [fact for fact in self.facts if fact.kind in kinds]

    def first(self, *kinds: str) -> Fact | None:
        """The first of them."""
        return next((fact for fact in self.facts if fact.kind in kinds), None)

    @property
    def loaded(self) -> Fact | None:
        """The line of the app that was loaded."""
        return self.first("loaded", "fast_boot")

    @property
    def by_bootloader(self) -> list[Fact]:
        """The facts up to the jump into the app, or all when no app was started."""
        end = self.first("jump") or self.loaded
        return [fact for fact in self.facts if end is None or fact.line <= end.line]

    @property
    def by_app(self) -> list[Fact]:
        """The facts behind it."""
        end = self.first("jump") or self.loaded
        return [] if end is None else [fact for fact in self.facts if fact.line > end.line]


class Story(NamedTuple):
    """Everything that a console says. ``chip`` and ``version`` are ``None`` where it does not say them."""

    chip: str | None
    version: str | None
    app_version: str | None
    app_idf: str | None
    boots: tuple[Boot, ...]
    table: tuple[TableRow, ...]
    lines: int

    @property
    def facts(self) -> Iterator[Fact]:
        """The facts of all boots."""
        return (fact for boot in self.boots for fact in boot.facts)

    def all(self, *kinds: str) -> list[Fact]:
        """The facts of these kinds in order."""
        return [fact for fact in self.facts if fact.kind in kinds]

    def row_at(self, offset: int | None) -> TableRow | None:
        """The row of the table that begins there."""
        return next((row for row in self.table if row.offset == offset), None)


#: The beginnings of a tag's lines, in order: those at the start of a line, and those within it.
_Known = tuple[tuple[str, bool, Said], ...]


def _merged(*maps: Lines) -> Mapping[str, _Known]:
    """By tag, the lines of all maps, each with what it begins with: that is asked of every line of a log."""
    return {
        tag: tuple((one.start, one.within, one) for known in maps for one in known.get(tag, ()))
        for lines in maps
        for tag in lines
    }


_LINES = _merged(said_by_bootloader.LINES, said_by_app.LINES)

_USAGES = (
    "factory app|test app|OTA app|TEE app|Unknown app|OTA data|RF data|WiFi data|NVS keys|efuse|eFuse|TEE OTA data|"
    "Unknown data|primary bootloader|ota bootloader|recovery bootloader|primary partition_table|ota partition_table|"
    "unknown"
)
_ROW = re.compile(
    rf"\s*\d{{1,2}}\s+(.*?)\s+({_USAGES})\s+([0-9a-f]{{2}})\s+([0-9a-f]{{2}})\s+([0-9a-f]{{8}})\s+([0-9a-f]{{8}})"
)

#: With these a boot begins; ROM's name and reason belong to one.
_BEGINS = ("rom", "rom_esp8266", "reset", "bootloader")


def story_of(rows: Iterable[Row]) -> Story:
    """The facts of a console and the boots they belong to."""
    boots: list[Boot] = []
    facts: list[Fact] = []
    table: list[TableRow] = []
    chip: str | None = None
    number = others = 0
    for row in rows:
        number += 1
        chip = chip or chip_of_tag(row.tag)
        if row.tag == "boot" and (shown := _ROW.match(row.text)):
            label, usage, kind, subtype, offset, size = shown.groups()
            table.append(
                TableRow(label, usage, int(kind, 16), int(subtype, 16), int(offset, 16), int(size, 16), row.line)
            )
            continue
        fact = _fact(row)
        if fact is None:
            others += 1
            continue
        if fact.kind in _BEGINS and _is_another(fact.kind, facts):
            boots.append(_boot(len(boots) + 1, facts, table, others))
            facts, table, others = [], [], 0
        facts.append(fact)
        chip = chip or _chip_in(fact)
    if facts or table:
        boots.append(_boot(len(boots) + 1, facts, table, others))
    shown_table = next((boot.table for boot in reversed(boots) if any(row.is_app for row in boot.table)), ())
    every = [fact for boot in boots for fact in boot.facts]

    def last(kind: str) -> str | None:
        return next((fact.word("version") for fact in reversed(every) if fact.kind == kind), None) or None

    return Story(chip, last("bootloader"), last("app_version"), last("app_idf"), tuple(boots), shown_table, number)


def _fact(row: Row) -> Fact | None:
    said, tag = row.text, "boot" if row.tag.startswith("boot.") else row.tag
    for place in (tag, "*") if tag else ("",):
        for start, within, one in _LINES.get(place, ()):
            if start in said if within else said.startswith(start):
                values = one.read(said)
                if values is not None:
                    text = f"{row.tag}: {said}" if row.tag else said
                    return Fact(one.kind, one.by, row.line, text, values, row.tag, row.level)
    return None


def _is_another(kind: str, facts: list[Fact]) -> bool:
    """Whether a line begins another boot than the one whose facts these are."""
    if not facts:
        return False
    known = {fact.kind for fact in facts}
    if kind == "bootloader":
        return kind in known
    if kind == "reset":
        return "reset" in known or not known <= {"rom", "rom_pins"}
    return True


def _boot(number: int, facts: list[Fact], table: list[TableRow], others: int) -> Boot:
    reset = next((fact for fact in facts if fact.kind == "reset"), None)
    cause = "" if reset is None else reset_cause(reset.number("code") or 0, reset.word("name"))
    return Boot(number, tuple(facts), tuple(table), reset, cause, others)


def _chip_in(fact: Fact) -> str | None:
    if fact.kind == "rom":
        return chip_of_rom(fact.word("name")) if "name" in fact.values else "esp32"
    if fact.kind == "rom_load":
        return chip_of_address(fact.number("address") or 0)
    return None
