"""What waits to be published. It takes messages only while the broker is there, so that nothing stale is sent later."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from py_esp_ota.ports import Mqtt

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to a node; what it is about, and what to do when it is not sent after all."""

    topic: str
    payload: bytes
    about: str = ""
    unsent: Callable[[], None] | None = None


class Outbox:
    """Between the rules, which never wait, and the broker, which has to be waited for."""

    def __init__(self) -> None:
        self.open = False
        self._letters: deque[Letter] = deque()
        self._in_flight: Letter | None = None  # the broker has not acknowledged it yet
        self._arrived = asyncio.Event()

    def start(self) -> None:
        """The broker is there: letters are taken from now on."""
        self._arrived = asyncio.Event()  # of the loop that runs now
        self.open = True

    def put(self, letter: Letter) -> bool:
        """Take a letter, or refuse it when there is no broker."""
        if self.open:
            self._letters.append(letter)
            self._arrived.set()
        else:
            _give_up([letter])
        return self.open

    def withdraw(self, about: str) -> None:
        """Take back the letters about something that is over; what is on its way already cannot be stopped."""
        withdrawn = [letter for letter in self._letters if letter.about == about]
        self._letters = deque(letter for letter in self._letters if letter.about != about)
        _give_up(withdrawn)

    async def deliver(self, mqtt: Mqtt) -> NoReturn:
        """Publish letters one by one as they come. Raises ``MqttError``."""
        while True:
            while self._letters:
                self._in_flight = self._letters.popleft()
                await mqtt.publish(self._in_flight.topic, self._in_flight.payload)
                self._in_flight = None
            self._arrived.clear()
            await self._arrived.wait()

    def close(self) -> None:
        """The broker is gone: everything that it has not acknowledged counts as unsent."""
        self.open = False
        left = [self._in_flight, *self._letters] if self._in_flight is not None else list(self._letters)
        self._in_flight = None
        self._letters.clear()
        _give_up(left)


def _give_up(letters: list[Letter]) -> None:
    for letter in letters:
        if letter.unsent is not None:
            try:
                letter.unsent()
            except Exception:
                log.exception("a message to %s was not sent, and that could not be noted", letter.topic)
