"""A connection at QoS 1 as its owner sees it, whichever client is below: what may be asked, and how long one waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Protocol

from py_esp_ota.adapters.inbox import Inbox
from py_esp_ota.adapters.topics import check_filter, check_topic
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message


class Asked(Protocol):
    """The client below."""

    inbox: Inbox

    def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> Awaitable[None]:
        """Done at the PUBACK."""

    def subscribe(self, topic_filter: str) -> Awaitable[None]:
        """Done at the SUBACK."""

    def unsubscribe(self, topic_filter: str) -> Awaitable[None]:
        """Done at the UNSUBACK."""


class Connection:
    """``Mqtt``.

    Args:
        link: the client below.
        timeout: seconds for each answer of the broker.
        dollar_topics: whether the broker delivers topics that begin with ``$``; else publishing to them is refused.
    """

    __slots__ = ("_dollar_topics", "_link", "_timeout")

    def __init__(self, link: Asked, timeout: float, *, dollar_topics: bool) -> None:
        self._link = link
        self._timeout = timeout
        self._dollar_topics = dollar_topics

    async def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> None:
        """Publish at QoS 1, not retained; returns at the PUBACK, however long that takes.

        With ``dup`` it is sent again, as the client below can.
        """
        check_topic(topic)
        if topic.startswith("$") and not self._dollar_topics:
            raise MqttError(f"this broker does not deliver {topic}: use plain topics (basic ingest off)")
        await self._link.publish(topic, payload, dup=dup)

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe at QoS 1; returns at the SUBACK."""
        check_filter(topic_filter)
        await self._in_time(self._link.subscribe(topic_filter))

    async def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe; returns at the UNSUBACK."""
        check_filter(topic_filter)
        await self._in_time(self._link.unsubscribe(topic_filter))

    def messages(self) -> AsyncIterator[Message]:
        """What was received; what came before the connection was lost is still delivered."""
        return self._link.inbox

    async def _in_time(self, answer: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await answer
        except TimeoutError:
            raise MqttError(f"no answer of the broker for {self._timeout:g} s") from None
