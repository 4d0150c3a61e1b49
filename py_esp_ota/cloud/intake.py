"""MQTT as the cloud hears it: one table from topic to handler, many messages in one transaction.

A message is acknowledged when what it says is stored. Nothing that a node sends can stop the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.mapping import Mappings
from py_esp_ota.cloud.node_book import NodeBook
from py_esp_ota.cloud.nodes import CLIENT_ID, NODE_ID, Nodes
from py_esp_ota.cloud.outage import outage, pauses
from py_esp_ota.cloud.serving import Serving
from py_esp_ota.cloud.streams import Streams
from py_esp_ota.cloud.texts import JSON_LIMIT, heard
from py_esp_ota.cloud.turn import Turn
from py_esp_ota.cloud.turns import Turns
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message, MqttSession
from py_esp_ota.rainmaker import messages
from py_esp_ota.rainmaker.messages import OtaFetch, OtaStatusReport, UserMapping

log = logging.getLogger(__name__)

BATCH = 500
"""Messages of one transaction at most: a few hundredths of a second."""

PAUSE_S = 0.01
"""How long messages wait for others: so many fewer transactions, and nobody sees the delay."""

CHORE_PAUSE_S = 0.05
"""How long chores wait for a turn that somebody else takes, or for more of them."""

_PARAMS = {messages.PARAMS_LOCAL_INIT, messages.PARAMS_LOCAL}

_Handler = Callable[["Intake", Turn, str, bytes], None]


class Intake:
    """Reads what nodes publish and hands it to the part it belongs to.

    The topic tells who speaks: the broker lets a node publish below its own prefix only. A ``node_id`` inside a
    payload is never looked at.
    """

    def __init__(
        self,
        ground: Ground,
        turns: Turns,
        book: NodeBook,
        nodes: Nodes,
        mappings: Mappings,
        serving: Serving,
        streams: Streams,
    ) -> None:
        self._ground = ground
        self._turns = turns
        self._book = book
        self._nodes = nodes
        self._mappings = mappings
        self._serving = serving
        self._streams = streams

    def on_presence(self, node_id: str, connected: bool) -> None:
        """The broker saw a client come or go. Clients whose name no node can have are none of ours."""
        if not NODE_ID.fullmatch(node_id) or node_id == CLIENT_ID:
            return
        now = self._ground.now_ms()
        (self._book.online.add if connected else self._book.online.discard)(node_id)
        self._turns.later(partial(_presence, self._nodes, node_id, connected, now))
        if connected:
            self._book.gone.discard(node_id)
            self._serving.came([node_id])
        else:
            self._streams.gone(node_id)

    def handle(self, message: Message) -> None:
        """Take one message, whatever it holds. Raises what the database fails with."""
        self.take([message])

    def take(self, batch: Sequence[Message]) -> None:
        """Take messages in one transaction; when it is back, what they said is stored.

        What cannot be read is a line in the log, and so is what meets a mistake of the program: then each is taken
        alone, so that the others are not lost with it.

        Raises:
            DBAPIError: the database fails; nothing has happened.
        """
        try:
            self._turn(batch)
        except Exception as error:
            if outage(error):
                raise
            for message in batch:
                self._alone(message)

    def _turn(self, batch: Sequence[Message]) -> None:
        parsed = [messages.parse_topic(message.topic) for message in batch]
        with self._turns.take(asks=False) as turn:  # what does ask has nodes written first
            turn.nodes.read_params([of[0] for of in parsed if of is not None and of[1] in _PARAMS])
            for message, of in zip(batch, parsed, strict=True):
                if of is not None:
                    self._handle(turn, *of, message.payload)
                elif (stream := messages.parse_stream_topic(message.topic)) and NODE_ID.fullmatch(stream[0]):
                    self._streams.on_request(turn, *stream, message.payload)

    def _alone(self, message: Message) -> None:
        try:
            self._turn([message])
        except Exception as error:
            if outage(error):
                raise
            log.exception("a message to %.200r could not be handled", message.topic)

    # ------------------------------------------------------------------------------------------------------------ life

    async def listen(self, session: MqttSession) -> NoReturn:
        """Take what comes over a connection, until it is lost: raises ``MqttError``."""
        async for batch in session.batches(BATCH, PAUSE_S):
            await self._patiently(partial(self.take, batch), "messages of nodes")
            # Others have a turn; and while messages trickle in, the next ones gather instead of costing one each.
            await asyncio.sleep(0 if len(batch) == BATCH else PAUSE_S)
        raise MqttError("the broker ended the connection")

    async def do_chores(self) -> NoReturn:
        """Take turns for chores that no message came for."""
        self._turns.chores_wait = asyncio.Event()  # of the loop that runs now
        self._turns.chores_wait.set()
        while True:
            await self._turns.chores_wait.wait()
            await asyncio.sleep(CHORE_PAUSE_S)
            await self._patiently(self._turns.catch_up, "presence and acknowledgements")

    async def _patiently(self, act: Callable[[], None], what: str) -> None:
        """Do it, however long the database fails: nothing is acknowledged before it is stored."""
        retry, failed = pauses(), False
        while True:
            try:
                act()
            except Exception as error:
                if not (why := outage(error)):
                    raise
                seconds = next(retry)
                failed = True
                log.error("the database fails, %s wait for it, trying again in %g s: %s", what, seconds, why)
                await asyncio.sleep(seconds)
            else:
                if failed:
                    log.warning("the database works again, and the %s that waited are stored", what)
                return

    # -------------------------------------------------------------------------------------------------------- messages

    def _handle(self, turn: Turn, node_id: str, suffix: str, payload: bytes) -> None:
        handler = self._HANDLERS.get(suffix)
        if handler is None:
            return
        if not NODE_ID.fullmatch(node_id) or len(payload) > JSON_LIMIT:
            log.warning("ignored a message of node %s: %d bytes", heard(node_id, 64), len(payload))
            return
        if node_id in self._book.gone:
            return
        try:
            handler(self, turn, node_id, payload)
        except ValueError as error:
            log.warning("ignored a message of node %s: %s", node_id, error)

    def _config(self, turn: Turn, node_id: str, payload: bytes) -> None:
        self._nodes.on_config(turn, node_id, messages.decode_config(payload))

    def _params(self, turn: Turn, node_id: str, payload: bytes) -> None:
        self._nodes.on_params(turn, node_id, messages.decode_params(payload))

    def _user_mapping(self, turn: Turn, node_id: str, payload: bytes) -> None:
        self._mappings.hear(turn, node_id, UserMapping.decode(payload))

    def _otafetch(self, turn: Turn, node_id: str, payload: bytes) -> None:
        fetch = OtaFetch.decode(payload)
        self._serving.on_fetch(turn, node_id, fetch.fw_version, fetch.network_id)

    def _otastatus(self, turn: Turn, node_id: str, payload: bytes) -> None:
        self._serving.on_status(turn, node_id, OtaStatusReport.decode(payload))

    _HANDLERS = {  # noqa: RUF012 (a table of this class, never changed)
        messages.CONFIG: _config,
        messages.PARAMS_LOCAL_INIT: _params,
        messages.PARAMS_LOCAL: _params,
        messages.USER_MAPPING: _user_mapping,
        messages.OTAFETCH: _otafetch,
        messages.OTASTATUS: _otastatus,
    }

    TOPIC_FILTERS: Sequence[str] = (
        *(topic_filter for suffix in _HANDLERS for topic_filter in messages.topic_filters(suffix)),
        messages.STREAM_FILTER,
    )
    """What the cloud subscribes to: every topic in both forms, plain and behind a rule; and requests for streams."""


def _presence(nodes: Nodes, node_id: str, connected: bool, now: int, turn: Turn) -> None:
    nodes.note_presence(turn, node_id, connected, now)
