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
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from py_esp_ota._core import Flash, Recording
from py_esp_ota.ports import Fetch, Message, Mqtt, MqttConnect, Response

_log = logging.getLogger(__name__)

_ERASED = b"\xff"
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
            partial = file.with_name(f".{file.name}.new")
            partial.touch(0o600)
            partial.write_bytes(flash.to_bytes().rstrip(_ERASED))
            partial.replace(file)
        self.flash = flash
        self._failing = False
        self._written = 0  # of the operations that are recorded
        flash.record(on=True)

    def save(self) -> None:
        """Write what was done since the last time. Raises ``OSError``; the next time goes on where this one ended."""
        recording = Recording.of(self.flash)
        if not recording:
            return
        handle = os.open(self.file, os.O_RDWR)
        try:
            for op in recording.ops()[self._written :]:
                data = recording.flash_after(self._written + 1).read(op.address, op.length)
                gap = _ERASED * max(0, op.address - os.fstat(handle).st_size)
                _write(handle, gap + data, op.address - len(gap))
                self._written += 1
        finally:
            os.close(handle)
        self.flash.record(on=True)
        self._written = 0

    async def saved(self) -> None:
        """``save``, as soon as it can be done."""
        while True:
            try:
                self.save()
            except OSError as error:
                if not self._failing:
                    _log.error("%s waits, its flash cannot be stored: %s", self.file.stem, error)
                self._failing = True
            else:
                self._failing = False
                return
            await asyncio.sleep(_RETRY)


def _write(handle: int, data: bytes, at: int) -> None:
    while data:
        done = os.pwrite(handle, data, at)
        data, at = data[done:], at + done


class KeptFlashes:
    """The flashes in one folder; when the context ends, all of them are written.

    Args:
        folder: made for its owner alone when the first flash comes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, FlashFile] = {}

    def keep(self, node_id: str, flash: Flash) -> Flash:
        """The flash with which the device goes on: what is stored for it, or else the given one.

        Raises as ``FlashFile``.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._files[node_id] = kept = FlashFile(self._folder / f"{node_id}.bin", flash)
        return kept.flash

    def before_mqtt(self, connect: MqttConnect) -> MqttConnect:
        """The door through which nothing leaves a device before its flash is stored."""

        @asynccontextmanager
        async def connected(client_id: str) -> AsyncIterator[Mqtt]:
            kept = self._files.get(client_id)
            if kept is not None:
                await kept.saved()
            async with connect(client_id) as mqtt:
                yield mqtt if kept is None else _Committing(mqtt, kept)

        return connected

    def before_fetch(self, fetch: Fetch) -> Fetch:
        """The same for requests, which do not say whose they are."""

        @asynccontextmanager
        async def sent(url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:
            for kept in self._files.values():
                await kept.saved()
            async with fetch(url, headers) as response:
                yield response

        return sent

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

    async def publish(self, topic: str, payload: bytes) -> None:
        await self._kept.saved()
        await self._mqtt.publish(topic, payload)

    async def subscribe(self, topic_filter: str) -> None:
        await self._kept.saved()
        await self._mqtt.subscribe(topic_filter)

    async def unsubscribe(self, topic_filter: str) -> None:
        await self._kept.saved()
        await self._mqtt.unsubscribe(topic_filter)

    def messages(self) -> AsyncIterator[Message]:
        return self._mqtt.messages()
