"""The MQTT client below the agent: esp-mqtt's task (``mqtt_client.c``) with its default options, MQTT 3.1.1, QoS 1.

The task turns once for each thing that it receives and else once a second. A turn sends the first message that was
never sent, or, a second after the last look, the first one without a PUBACK again. What is published while there is a
connection does not wait for a turn: nothing blocks behind a lost PUBACK.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message, Mqtt, MqttConnect
from py_esp_ota.rainmaker.outbox import Outbox, Outgoing

MQTT_POLL_READ_TIMEOUT_MS = 1000
MQTT_DEFAULT_RETRANSMIT_TIMEOUT_MS = 1000
# MQTT_RECON_DEFAULT_MS are ten seconds, but the task looks every five whether they have passed, and they have to be
# over by then: at ten they are not.
RECONNECT_AFTER_S = 15.0


class EspMqtt:
    """``esp_mqtt_client``: one connection for ever, and an outbox that outlives it.

    Args:
        client_id: Who connects.
        connect: Opens connections.
        on_connected: Called once per connection.
        on_disconnected: Called with the reason when one is lost or did not come about.
        on_data: Called with each message that comes.
    """

    def __init__(
        self,
        client_id: str,
        connect: MqttConnect,
        *,
        on_connected: Callable[[], None],
        on_disconnected: Callable[[MqttError], None],
        on_data: Callable[[Message], None],
    ) -> None:
        self.will: Message | None = None  # told at the next connect
        self._client_id = client_id
        self._connect = connect
        self._on_connected = on_connected
        self._on_disconnected = on_disconnected
        self._on_data = on_data
        self._outbox = Outbox()
        self._link: Mqtt | None = None
        self._lost: asyncio.Future[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = self._again = False
        self._turned = 0  # when the task turned last
        self._retransmitted: int | None = None  # when it looked last for what to send again

    @property
    def connected(self) -> bool:
        """``MQTT_STATE_CONNECTED``."""
        return self._link is not None

    def publish(self, topic: str, payload: bytes) -> Outgoing:
        """``esp_mqtt_client_publish``: at once, or when there is a connection within half a minute."""
        item = Outgoing(topic, payload, _now())
        self._outbox.put(item)
        if self._link is None:
            self._outbox.delete_expired(_now())
        else:
            self._transmit(self._link, item)
            self._wait()
        return item

    def subscribe(self, topic: str, on_ack: Callable[[MqttError | None], None]) -> bool:
        """``esp_mqtt_client_subscribe``: ``False`` without a connection; ``on_ack`` is told why if it was refused."""
        return self._ask(lambda link: link.subscribe(topic), on_ack)

    def unsubscribe(self, topic: str) -> bool:
        """``esp_mqtt_client_unsubscribe``: ``False`` without a connection."""
        return self._ask(lambda link: link.unsubscribe(topic), lambda _refused: None)

    def stop(self) -> None:
        """``esp_mqtt_client_stop``: disconnect, and forget what was not acknowledged."""
        self._stopped = True
        self._leave()

    def reconnect(self) -> None:
        """The same, and connect anew at once; without a connection, as soon as it is time."""
        self._again = self._link is not None
        self._leave()

    def _leave(self) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    async def run(self) -> None:
        """``esp_mqtt_task``: connect, and again after each loss, until it is stopped."""
        while True:
            try:
                async with self._connect(self._client_id, self.will) as link:
                    await self._session(link)
            except MqttError as lost:
                self._on_disconnected(lost)
            if self._stopped or self._again:
                self._outbox = Outbox()
                self._retransmitted = None
            if self._stopped:
                return
            if not self._again:
                await asyncio.sleep(RECONNECT_AFTER_S)
            self._again = False

    async def _session(self, link: Mqtt) -> None:
        """One connection, from CONNACK to its end. Raises ``MqttError`` when it is lost, and what handlers raise."""
        # No TaskGroup: one that fails already swallows a cancellation, and a node that lost power and connection in the
        # same moment would live on.
        self._lost = asyncio.get_running_loop().create_future()
        tasks: list[asyncio.Future[None]] = [self._lost]
        self._link = link
        self._turned = _now()
        if self._retransmitted is None:
            self._retransmitted = self._turned
        try:
            self._on_connected()
            tasks.append(asyncio.create_task(self._receive(link), name=f"{self._client_id} receives"))
            self._wait()
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._link = self._lost = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            sending = tuple(self._sending)
            for task in (*tasks, *sending):
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        why = _worst([end for end in ends if end is not None])
        if (self._stopped or self._again) and isinstance(why, asyncio.CancelledError | MqttError):
            return
        raise why

    async def _receive(self, link: Mqtt) -> None:
        async for message in link.messages():
            self._on_data(message)
            self._turn()
        raise MqttError("the connection was closed")

    # ------------------------------------------------------------------------------------------------ the task turns

    def _turn(self) -> None:
        """What ``esp_mqtt_task`` does after it has received something, or nothing for a second."""
        now = _now()
        self._catch_up(now)
        self._turned = now
        self._outbox.delete_expired(now)
        link = self._link
        if link is None:
            return
        retransmitted = self._retransmitted or 0
        if (item := self._outbox.first(transmitted=False)) is not None:
            self._transmit(link, item)
        elif now - retransmitted >= MQTT_DEFAULT_RETRANSMIT_TIMEOUT_MS:
            self._retransmitted = now
            item = self._outbox.first(transmitted=True)
            if item is not None and now - item.tick > MQTT_DEFAULT_RETRANSMIT_TIMEOUT_MS:
                self._spawn(self._send(link, item, dup=True))
        self._wait()

    def _catch_up(self, now: int) -> None:
        """The turns that nobody needed: with an empty outbox they only look, and so here they do not happen."""
        idle = (now - self._turned) // MQTT_POLL_READ_TIMEOUT_MS * MQTT_POLL_READ_TIMEOUT_MS
        if idle > 0 and self._timer is None:
            self._turned += idle
            self._retransmitted = self._turned

    def _wait(self) -> None:
        """Turn again within a second of the last time, if there is something to send."""
        timer, self._timer = self._timer, None
        if len(self._outbox):
            self._catch_up(_now())
            due = (self._turned + MQTT_POLL_READ_TIMEOUT_MS) / 1000
            if timer is not None and timer.when() == due:
                self._timer = timer
                return
            self._timer = asyncio.get_running_loop().call_at(due, self._on_timer)
        if timer is not None:
            timer.cancel()

    def _on_timer(self) -> None:
        self._turn()

    # ------------------------------------------------------------------------------------------------------- sending

    def _transmit(self, link: Mqtt, item: Outgoing) -> None:
        """Send a message for the first time."""
        item.tick = _now()
        item.transmitted = True
        self._spawn(self._send(link, item, dup=False))

    async def _send(self, link: Mqtt, item: Outgoing, *, dup: bool) -> None:
        await link.publish(item.topic, item.payload, dup=dup)
        if self._outbox.delete(item):
            item.acked.set()
        self._turn()

    def _ask(
        self, ask: Callable[[Mqtt], Coroutine[Any, Any, None]], on_answer: Callable[[MqttError | None], None]
    ) -> bool:
        link = self._link
        if link is None:
            return False

        async def answered() -> None:
            refused = None
            try:
                await ask(link)
            except MqttError as error:
                refused = error
            on_answer(refused)
            self._turn()

        self._spawn(answered())
        return True

    def _spawn(self, coro: Coroutine[None, None, None]) -> None:
        """Let one packet out behind the others; what comes of it ends the connection when it is an error."""
        task = asyncio.create_task(coro, name=f"{self._client_id} sends")
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._lost is not None and not self._lost.done():
            self._lost.set_exception(error)


def _now() -> int:
    return round(asyncio.get_running_loop().time() * 1000)


def _worst(ends: Sequence[BaseException]) -> BaseException:
    """Why a connection is over: what ends the boot as well comes before its loss, and its loss before being stopped."""
    order = sorted(ends, key=lambda end: 2 * isinstance(end, asyncio.CancelledError) + isinstance(end, MqttError))
    return order[0]
