"""Brings letters to webhooks: each on its own, so that one that is slow, or gone, holds up nobody else."""

from __future__ import annotations

import asyncio
import logging
from typing import NoReturn

from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.outage import outage
from py_esp_ota.cloud.webhooks import Letter, Webhooks
from py_esp_ota.errors import FetchError
from py_esp_ota.ports import Post

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""How often the log is looked at for what is new."""

_OK = range(200, 300)


class Calls:
    """Looks what is due, and has one call under way for each webhook at most."""

    def __init__(self, webhooks: Webhooks, ground: Ground, post: Post) -> None:
        self._webhooks = webhooks
        self._ground = ground
        self._post = post
        self._calls: dict[str, asyncio.Task[None]] = {}

    async def make(self) -> NoReturn:
        """For ever."""
        try:
            while True:
                try:
                    self._begin()
                except Exception as error:
                    if not (why := outage(error)):
                        raise
                    log.error("webhooks wait for the database: %s", why)
                await asyncio.sleep(LOOK_S)
        finally:
            for call in self._calls.values():
                call.cancel()
            await asyncio.gather(*self._calls.values(), return_exceptions=True)

    def _begin(self) -> None:
        self._calls = {hook: call for hook, call in self._calls.items() if not call.done()}
        for letter in self._webhooks.due(busy=self._calls):
            hook = letter.webhook.webhook_id
            self._calls[hook] = asyncio.create_task(self._bring(letter), name=f"webhook {hook}")

    async def _bring(self, letter: Letter | None) -> None:
        """A letter, and those after it while they arrive. What could not be noted comes again: at least once."""
        try:
            while letter is not None and await self._arrives(letter):
                letter = self._webhooks.after(letter)
        except Exception as error:
            if not outage(error):
                log.exception("a letter to a webhook met a mistake and comes again")

    async def _arrives(self, letter: Letter) -> bool:
        body = letter.body()
        try:
            status = await self._post(letter.webhook.url, letter.headers(body, self._ground.now_s()), body)
        except FetchError as error:
            arrived, answer = False, str(error)
        else:
            arrived, answer = status in _OK, f"HTTP {status}"
        if arrived:
            self._webhooks.arrived(letter, answer)
        else:
            log.warning("webhook %s did not take %d events: %s", letter.webhook.url, len(letter.events), answer)
            self._webhooks.in_vain(letter, answer)
        return arrived
