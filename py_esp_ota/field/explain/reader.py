"""A pasted console as clean lines: what terminals, monitors and forums have added to a chip's own words is taken away.

Nothing is understood here. What is left is the line, its number in the paste, and, where it is one of a log, its level,
time and tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Row(NamedTuple):
    """One line of a console; ``line`` counts from 1 in the text that was given, ``level`` and ``tag`` may be empty."""

    line: int
    level: str
    tag: str
    text: str
    ms: int | None = None


#: Escape sequences, and colours whose escape was lost on the way into a forum.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\[(?:\d{1,2};)*\d{1,2}m|\[0?K(?=[EWIDV]? ?\()")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]")
#: Marks of a quotation, and the time stamps of esptool's, IDF's, Arduino's, PlatformIO's, ESPHome's and other monitors.
_DAY = r"(?:\d{4}[-/]\d\d[-/]\d\d[T ]|\d{1,2}[./]\d{1,2}[./]\d{2,4},? (?:- )?)?"
_STAMP = re.compile(
    rf"[>|\s]*(?:\[?{_DAY}\d{{1,2}}:\d\d:\d\d(?:[.,:]\d{{1,6}})?(?:Z|[+-]\d\d:?\d\d)?\]?\s*(?:->|[>|])?[ \t]*)?"
)
_STAMPED = frozenset("0123456789[>|")
#: Where a line of its own begins within another: the one before it was cut, or line ends were lost.
_HEAD = re.compile(
    r"(?:\x1b\[[0-9;]*m)?[EWIDV] \(\d{1,10}\) [A-Za-z_][\w.\-]{0,31}: |rst:0x[0-9a-f]{1,2} \(|"
    r"ESP-ROM:esp|ets J(?:un|ul) "
    r"|(?<![\w.])(?:boot|esp_image): (?=[A-Za-z])"
)
_IDF = re.compile(r"([EWIDV]) \(([\d:. \-]{1,24})\) ([^:\n]{1,40}?) ?: ?(.*)")
_IDF_UNTIMED = re.compile(r"([EWIDV]) ([A-Za-z_][\w.\-]{1,31}): (.*)")
#: As people quote a line: its tag and its text.
_QUOTED = re.compile(r"(boot|boot_comm|esp_image|flash_parts|esp_ota_ops|esp_https_ota): (.*)")
_ESPHOME = re.compile(r"\[([EWIDVC])\]\[([\w.\-]{1,40})(?::\d{1,5})?\](?:\[[^\]]{0,40}\])?: ?(.*)")
_ARDUINO = re.compile(r"(?:\[ *(\d{1,10})\])?\[([EWIDV])\]\[([\w.\-]{1,60}):\d{1,5}\] ?(.*)")
#: As much as any terminal keeps; a line that is longer is no line.
_LONGEST = 4000


def rows_of(data: bytes) -> tuple[Row, ...]:
    """The lines of a console in order, the empty ones left out. Any bytes will do."""
    rows: list[Row] = []
    for number, line in enumerate(_text(data).split("\n"), 1):
        for piece in line.rstrip("\r")[:_LONGEST].split("\r"):
            rows += (_row(number, part) for part in _parts(piece))
    return tuple(rows)


def _text(data: bytes) -> str:
    """The bytes as text, whatever shell has written them: PowerShell's ``>`` makes UTF-16."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", errors="replace")
    else:
        text = data.decode("utf-8-sig", errors="replace")
    return text if "\n" in text else text.replace("\r", "\n")


def _parts(line: str) -> Iterator[str]:
    """The lines that are written in one."""
    if not line or line.isspace():
        return
    if "\x1b" in line or "m" in line:
        line = _ESCAPES.sub("", line)
    if not line.isprintable():
        line = _CONTROL.sub("", line)
    start = 0
    for head in _HEAD.finditer(line):
        if head.start() > start:
            yield from _stripped(line[start : head.start()])
            start = head.start()
    yield from _stripped(line[start:])


def _stripped(part: str) -> Iterator[str]:
    part = part.strip()
    if part and part[0] in _STAMPED:
        stamp = _STAMP.match(part)
        part = part[stamp.end() :] if stamp else part
    if part:
        yield part


def _row(number: int, text: str) -> Row:
    if text[0] in "EWIDV":
        found = _IDF.match(text)
        if found:
            stamp = found[2]
            return Row(number, found[1], found[3], found[4].rstrip(), int(stamp) if stamp.isdecimal() else None)
        found = _IDF_UNTIMED.match(text)
        if found:
            return Row(number, found[1], found[2], found[3].rstrip())
    elif text[0] == "[":
        found = _ESPHOME.match(text)
        if found:
            return Row(number, "I" if found[1] == "C" else found[1], found[2], found[3].strip())
        found = _ARDUINO.match(text)
        if found:
            return Row(number, found[2], found[3], found[4].strip(), int(found[1]) if found[1] else None)
    elif text[0] in "bef":
        found = _QUOTED.match(text)
        if found:
            return Row(number, "", found[1], found[2].rstrip())
    return Row(number, "", "", text)
