"""Flashes of simulated devices that outlive the process: each is a file, as a programmer reads it from the chip.

Before anything leaves a device, what it did to its flash is written, operation by operation and in their order. So a
file is always the flash as a power cut leaves it, and never older than the last word that somebody heard of the device:
a process that is killed takes nothing along but RAM. Nothing is forced to the disk: the host's loss of power may take
the latest operations, and not in order.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from py_esp_ota._core import Flash, FlashOp, Recording
from py_esp_ota.ports import Fetch, Message, Mqtt, MqttConnect, Response

_log = logging.getLogger(__name__)

_ERASED = b"\xff"
_SECTOR = 0x1000
_AT_ONCE = 32  # writes of one flash, then others have their turn
_RETRY = 2.0  # seconds until a file that could not be written is tried again


class FlashFile:
    """One flash and its file. Behind the end of the file the flash is erased.

    Args:
        file: made with what the flash holds, if it is not there.
        flash: goes on with what the file holds, if it is there.

    Raises:
        ValueError: the file holds more than the flash.
        OSError: it cannot be read or made.
    """

    def __init__(self, file: Path, flash: Flash) -> None:
        self.file = file
        if file.exists():
            content = file.read_bytes()
            if len(content) > flash.size:
                raise ValueError(f"{file} has {len(content)} bytes, the flash only {flash.size}: move it away")
            flash = Flash.from_bytes(content, size=flash.size)
        else:
            _store(file, flash)
        self._failing = False
        self._begin(flash)

    def _begin(self, flash: Flash) -> None:
        self.flash = flash
        self._written = 0  # of the operations that are recorded
        flash.record(on=True)

    def renew(self, flash: Flash) -> Flash:
        """Another flash in its place, as a programmer leaves it. Raises ``OSError``, and all is as before."""
        _store(self.file, flash)
        self._begin(flash)
        return flash

    def save(self, at_once: int | None = None) -> bool:
        """Write what was done since the last time; whether it is all written.

        Raises ``OSError``; the next time goes on where this one ended.

        Args:
            at_once: stop after so many writes.
        """
        recording = Recording.of(self.flash)
        if not recording:
            return True
        ops = recording.ops()
        handle = os.open(self.file, os.O_RDWR)
        try:
            while self._written < len(ops) and at_once != 0:
                first, last = ops[self._written], _end_of_run(ops, self._written)
                length = ops[last].address + ops[last].length - first.address
                data = recording.flash_after(last + 1).read(first.address, length)
                gap = _ERASED * max(0, first.address - os.fstat(handle).st_size)
                _write(handle, gap + data, first.address - len(gap))
                self._written = last + 1
                at_once = None if at_once is None else at_once - 1
        finally:
            os.close(handle)
        if self._written < len(ops):
            return False
        self._begin(self.flash)
        return True

    async def saved(self) -> None:
        """``save``, as soon as it can be done."""
        while True:
            try:
                whole = self.save(_AT_ONCE)
            except OSError as error:
                if not self._failing:
                    _log.error("%s waits, its flash cannot be stored: %s", self.file.stem, error)
                self._failing = True
                await asyncio.sleep(_RETRY)
                continue
            self._failing = False
            if whole:
                return
            await asyncio.sleep(0)


def _end_of_run(ops: Sequence[FlashOp], start: int) -> int:
    """The last of the operations from ``start`` on that are alike and lie side by side: one write does for all."""
    last = start
    while last + 1 < len(ops):
        before, after = ops[last], ops[last + 1]
        if before.kind != after.kind or before.address + before.length != after.address:
            break
        last += 1
    return last


def _store(file: Path, flash: Flash) -> None:
    partial = file.with_name(f".{file.name}.new")
    written = len(flash.fill().rstrip(b"\0"))  # sectors: looking for the end byte by byte takes ten times as long
    try:
        partial.touch(0o600)
        partial.write_bytes(flash.to_bytes()[: written * _SECTOR].rstrip(_ERASED))
        partial.replace(file)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(file)) from error


def _write(handle: int, data: bytes, at: int) -> None:
    while data:
        done = os.pwrite(handle, data, at)
        data, at = data[done:], at + done


def heard_after(kept: FlashFile, mqtt: MqttConnect, fetch: Fetch) -> tuple[MqttConnect, Fetch]:
    """The doors of one device: nothing leaves it, nor comes more of a download, before its flash is stored."""

    @asynccontextmanager
    async def connected(client_id: str, will: Message | None = None) -> AsyncIterator[Mqtt]:
        await kept.saved()
        async with mqtt(client_id, will) as link:
            yield _Committing(link, kept)

    @asynccontextmanager
    async def sent(url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        await kept.saved()
        async with fetch(url, headers) as response:
            yield _Drawing(response, kept)

    return connected, sent


class KeptFlashes:
    """The flashes in one folder; when the context ends, all of them are written.

    Args:
        folder: made for its owner alone when the first flash comes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, FlashFile] = {}

    def __contains__(self, node_id: str) -> bool:
        return self._file(node_id).exists()

    def keep(self, node_id: str, flash: Flash) -> FlashFile:
        """The flash with which a device goes on: what is stored for it, or else the given one.

        Raises as ``FlashFile``.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._files[node_id] = kept = FlashFile(self._file(node_id), flash)
        return kept

    def drop(self, node_id: str) -> None:
        """Forget a flash, with its file."""
        self._files.pop(node_id, None)
        self._file(node_id).unlink(missing_ok=True)

    def _file(self, node_id: str) -> Path:
        return self._folder / f"{node_id}.bin"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for kept in self._files.values():
            try:
                kept.save()
            except OSError as failed:
                _log.error("the flash of %s is as it was a while ago: %s", kept.file.stem, failed)


class _Committing:
    """``Mqtt`` over another one: first the flash, then the word."""

    def __init__(self, mqtt: Mqtt, kept: FlashFile) -> None:
        self._mqtt = mqtt
        self._kept = kept
        self._turn = asyncio.Lock()

    async def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> None:
        await self._saved()
        await self._mqtt.publish(topic, payload, dup=dup)

    async def subscribe(self, topic_filter: str) -> None:
        await self._saved()
        await self._mqtt.subscribe(topic_filter)

    async def unsubscribe(self, topic_filter: str) -> None:
        await self._saved()
        await self._mqtt.unsubscribe(topic_filter)

    async def _saved(self) -> None:
        """One after the other, or words would overtake each other."""
        async with self._turn:
            await self._kept.saved()

    def messages(self) -> AsyncIterator[Message]:
        return self._mqtt.messages()


class _Drawing:
    """``Response`` over another one: what came is in the flash's file before more is asked for."""

    def __init__(self, response: Response, kept: FlashFile) -> None:
        self._response = response
        self._kept = kept
        self.status = response.status
        self.headers = response.headers

    async def read(self, limit: int) -> bytes:
        await self._kept.saved()
        return await self._response.read(limit)
