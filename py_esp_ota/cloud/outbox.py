"""What waits to be published: many letters are on their way at once, and what must arrive outlives the connection."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import NoReturn

from py_esp_ota.ports import MqttSession

log = logging.getLogger(__name__)

IN_FLIGHT = 256
"""Letters that the broker has not acknowledged, at a time."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to a node. ``payload`` may be made when it is sent; ``None`` then says that it need not go any more.

    A letter that is kept for a node is sent again when the broker has not acknowledged it on this connection, and the
    node is there on the next one; any other is for those who are there now, and nothing stale is sent later.
    """

    topic: str
    payload: bytes | Callable[[], bytes | None]
    about: str = ""
    kept_for: str = ""
    arrived: Callable[[], None] | None = None  # called when the broker has it
    unsent: Callable[[], None] | None = None  # called when it was withdrawn before it was sent


class Outbox:
    """Between the rules, which never wait, and the broker, which has to be waited for."""

    def __init__(self) -> None:
        self.open = False
        self._letters: deque[Letter] = deque()
        self._kept: list[Letter] = []  # until the node is there again
        self._flying: dict[asyncio.Task[None], Letter] = {}  # the broker has not acknowledged them yet
        self._wake = asyncio.Event()
        self._more: list[Callable[[], None]] = []

    def start(self) -> None:
        """The broker is there: letters are taken from now on."""
        self._wake = asyncio.Event()  # of the loop that runs now
        self._wake.set()
        self.open = True

    def look(self) -> None:
        """Somebody has something for when everything is sent."""
        self._wake.set()

    def on_room(self, callback: Callable[[], None]) -> None:
        """Have ``callback()`` called when everything is sent."""
        self._more.append(callback)

    def put(self, letter: Letter) -> bool:
        """Take a letter; whether it is going to be sent. Without a broker only those that are kept are taken."""
        if self.open:
            self._letters.append(letter)
            self._wake.set()
        elif letter.kept_for:
            self._kept.append(letter)
        return self.open or bool(letter.kept_for)

    def send_kept(self, node_ids: Container[str]) -> None:
        """These nodes are there: what is kept for them goes. Before, the broker would take it and nobody hear it."""
        self._letters.extend(letter for letter in self._kept if letter.kept_for in node_ids)
        self._kept = [letter for letter in self._kept if letter.kept_for not in node_ids]
        self._wake.set()

    def withdraw(self, about: str) -> None:
        """Take back the letters about something that is over; what is on its way already cannot be stopped."""
        withdrawn = [letter for letter in (*self._kept, *self._letters) if letter.about == about]
        self._kept = [letter for letter in self._kept if letter.about != about]
        self._letters = deque(letter for letter in self._letters if letter.about != about)
        for letter in withdrawn:
            if letter.unsent is not None:
                letter.unsent()

    async def deliver(self, mqtt: MqttSession) -> NoReturn:
        """Publish letters as they come, many at a time. Raises ``MqttError``."""
        try:
            while True:
                self._wake.clear()
                while self._letters and len(self._flying) < IN_FLIGHT:
                    letter = self._letters.popleft()
                    task = asyncio.create_task(self._send(mqtt, letter))
                    self._flying[task] = letter
                    task.add_done_callback(lambda _task: self._wake.set())
                if not self._letters and len(self._flying) < IN_FLIGHT:
                    for callback in self._more:
                        callback()
                await self._wake.wait()
                self._land()
        finally:
            for task in self._flying:
                task.cancel()
            await asyncio.gather(*self._flying, return_exceptions=True)

    async def _send(self, mqtt: MqttSession, letter: Letter) -> None:
        payload = letter.payload if isinstance(letter.payload, bytes) else letter.payload()
        if payload is not None:
            await mqtt.publish(letter.topic, payload)

    def _land(self) -> None:
        """Forget what has arrived. Raises what a letter met with."""
        for task in [task for task in self._flying if task.done()]:
            task.result()
            letter = self._flying.pop(task)
            if letter.arrived is not None:
                letter.arrived()

    def close(self) -> None:
        """The broker is gone: what is kept waits for its node, in its order, and the rest is forgotten."""
        self.open = False
        left = [*self._flying.values(), *self._letters]
        self._flying.clear()
        self._letters.clear()
        self._kept += [letter for letter in left if letter.kept_for]
