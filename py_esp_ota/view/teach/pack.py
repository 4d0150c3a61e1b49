"""A lesson as JSON, every repetition said once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import groupby
from typing import Any, Generic, TypeVar

from py_esp_ota._core import inspect_image, sha256
from py_esp_ota.errors import EspErr
from py_esp_ota.idf.rollback import BEFORE_SELECTION, OtaImgState
from py_esp_ota.sweep import Story
from py_esp_ota.sweep.cuts import tears_of
from py_esp_ota.sweep.result import OUTCOMES
from py_esp_ota.view.sweep_words import MEANING
from py_esp_ota.view.teach.told import Telling
from py_esp_ota.view.teach.wrecks import Lesson, Told

T = TypeVar("T", bound=Hashable)

#: What the page's scripts understand; an address that is made for a later one is not for them.
FORMAT = 1

_PAGE, _SECTOR = 256, 4096
_DATA, _OTADATA = 1, 0


class Numbers(Generic[T]):
    """Each different thing once, in the order in which it was met."""

    def __init__(self) -> None:
        self._of: dict[T, int] = {}

    def of(self, thing: T) -> int:
        """Its number."""
        return self._of.setdefault(thing, len(self._of))

    def things(self) -> list[T]:
        """All of them."""
        return list(self._of)


class Blob:
    """Bytes that operations refer to by where they stand, each page of them once."""

    def __init__(self, *wholes: bytes) -> None:
        self.data = bytearray()
        self._at: dict[bytes, int] = {}
        self._wholes: set[bytes] = set()
        self.add(*wholes)

    def add(self, *wholes: bytes) -> None:
        """Bytes that stand together, so that what is written of them one page after another is one piece."""
        for whole in wholes:
            if whole in self._wholes:
                continue
            self._wholes.add(whole)
            start = len(self.data)
            self.data += whole
            for at in range(0, len(whole), _PAGE):
                self._at.setdefault(whole[at : at + _PAGE], start + at)

    def at(self, data: bytes) -> int:
        """Where these bytes stand."""
        found = self._at.get(data)
        if found is None:
            found = self._at[data] = len(self.data)
            self.data += data
        return found

    def places(self, address: int, data: bytes) -> list[list[int]]:
        """``data`` in pieces ``[address, place, length]``, what is erased left out."""
        pieces: list[list[int]] = []
        for start in range(0, len(data), _PAGE):
            page = data[start : start + _PAGE]
            if page.count(0xFF) == len(page):
                continue
            here, place = address + start, self.at(page)
            last = pieces[-1] if pieces else None
            if last and last[0] + last[2] == here and last[1] + last[2] == place:
                last[2] += len(page)
            else:
                pieces.append([here, place, len(page)])
        return pieces


def packed_lessons(
    lessons: Iterable[Lesson], command: Callable[[Story], str] = lambda _: ""
) -> tuple[dict[str, Any], bytes]:
    """The JSON of a page's lessons, and the bytes that they refer to; each is taken when the one before is done."""
    blob = Blob()
    stories = [{**_packed(lesson, blob), "command": command(lesson.story)} for lesson in lessons]
    return {"format": FORMAT, "stories": stories}, bytes(blob.data)


def _packed(lesson: Lesson, blob: Blob) -> dict[str, Any]:
    """The JSON of a lesson.

    ``operations`` are ``[erases, address, length, place of the bytes, ways to tear]``. A telling is ``[operations,
    console, boots, trouble, cuts, end]``: operations as runs ``[first, count]`` of consecutive numbers, the console as
    ``[at, line, ...]``, cuts as runs ``[row, count]`` along the operations, or null. A row is the wreck of each tear.
    """
    blob.add(lesson.scene.old, lesson.scene.new)
    operations, lines = Numbers[tuple[int, ...]](), Numbers[str]()
    consoles, boots, rows = Numbers[tuple[int, ...]](), Numbers[tuple[Any, ...]](), Numbers[tuple[int, ...]]()
    tellings, done = Numbers[tuple[Any, ...]](), Numbers[tuple[tuple[int, int], ...]]()
    tears = Numbers[tuple[str, ...]]()

    def told_of(told: Told) -> int:
        telling = told.telling
        console = consoles.of(tuple(word for line in telling.lines for word in (line.at, lines.of(line.text))))
        marks = boots.of(tuple((*mark[:6], tuple(map(lines.of, mark.why))) for mark in telling.boots))
        numbers = (operations.of(each) for each in _operations(telling, blob, tears))
        cuts = None if told.cuts is None else tuple((rows.of(row), count) for row, count in told.cuts)
        return tellings.of((done.of(_runs(numbers)), console, marks, telling.trouble, cuts, told.end))

    first = told_of(lesson.first)
    wrecks = [[wreck.ending, {name: told_of(told) for name, told in wreck.lives.items()}] for wreck in lesson.wrecks]
    start = lesson.flash.fork()
    base = blob.places(0, start.to_bytes())
    return {
        "story": lesson.story.name,
        "text": lesson.story.text,
        "goal": lesson.story.goal,
        "images": [_image(image) for image in (lesson.named.old, lesson.named.new)],
        "chip": lesson.target,
        "size": lesson.flash.size,
        "table": lesson.scene.config.partition_table_offset,
        "rollback": lesson.scene.config.bootloader_app_rollback_enable,
        "anti_rollback": lesson.scene.config.bootloader_app_anti_rollback,
        "unconfirmed": _unconfirmed(lesson),
        "partitions": [
            {"label": row.label, "type": row.type, "subtype": row.subtype, "offset": row.offset, "size": row.size}
            for row in lesson.table
        ],
        "otadata": next((r.offset for r in lesson.table if (r.type, r.subtype) == (_DATA, _OTADATA)), None),
        "crypt": _crypt(lesson),
        "outcomes": [[name, MEANING[name]] for name in OUTCOMES],
        "states": {int(state): state.name for state in OtaImgState},
        "errors": {int(err): err.name for err in EspErr},
        "base": base,
        "tears": tears.things(),
        "operations": operations.things(),
        "done": done.things(),
        "lines": lines.things(),
        "consoles": consoles.things(),
        "boots": boots.things(),
        "rows": rows.things(),
        "tellings": tellings.things(),
        "depth": lesson.depth,
        "whole": lesson.whole,
        "first": first,
        "wrecks": wrecks,
        "endings": [
            [OUTCOMES.index(end.outcome), end.why, end.partition, end.version, end.state, end.otadata]
            for end in lesson.endings
        ],
    }


def _unconfirmed(lesson: Lesson) -> tuple[int, int]:
    """A state that the bootloader finds, and what it makes of it before it chooses; the same where it makes nothing."""
    if not lesson.scene.config.bootloader_app_rollback_enable:
        return 0, 0
    ((before, after),) = BEFORE_SELECTION.items()
    return before, after


def image_id(image: bytes) -> str:
    """How an address names an image: the beginning of its SHA-256."""
    return sha256(image).hex()[:8]


def _image(image: bytes) -> dict[str, Any]:
    desc = inspect_image(image).app_desc
    return {
        "id": image_id(image),
        "length": len(image),
        "name": desc.project_name if desc else "",
        "version": desc.version if desc else "",
    }


def _crypt(lesson: Lesson) -> list[Any] | None:
    fuses = lesson.crypt
    if fuses is None or fuses.flash_encryption_key is None:
        return None
    return [lesson.target, fuses.flash_crypt_config, fuses.flash_encryption_key.hex()]


def _operations(telling: Telling, blob: Blob, tears: Numbers[tuple[str, ...]]) -> Iterable[tuple[int, ...]]:
    """Each operation with what the cells hold behind it; a program that changes nothing has the same effect."""
    for operation in telling.run.operations:
        ways = tears.of(tears_of(operation, "torn"))
        if operation.kind == "erase":
            yield 1, operation.address, operation.length, 0, ways
            continue
        flash = telling.run.recording.flash_after(operation.index + 1)
        flash.encryption = None
        data = flash.read(operation.address, operation.length)
        yield 0, operation.address, operation.length, blob.at(data), ways


def _runs(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Consecutive numbers as ``(first, count)``."""
    runs: list[tuple[int, int]] = []
    for _, same in groupby(enumerate(numbers), key=lambda each: each[1] - each[0]):
        group: Sequence[tuple[int, int]] = list(same)
        runs.append((group[0][1], len(group)))
    return tuple(runs)
