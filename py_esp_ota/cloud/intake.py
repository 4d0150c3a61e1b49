"""MQTT as the cloud hears it: one table from topic to handler, and nothing a node sends can stop it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.mapping import Mappings
from py_esp_ota.cloud.nodes import CLIENT_ID, NODE_ID, Nodes
from py_esp_ota.cloud.otajobs import Jobs
from py_esp_ota.cloud.texts import JSON_LIMIT, heard
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker import messages
from py_esp_ota.rainmaker.messages import NodeConfig, OtaFetch, OtaStatusReport, UserMapping
from py_esp_ota.strict_json import read_json

log = logging.getLogger(__name__)

_Handler = Callable[["Intake", str, bytes], None]


class Intake:
    """Reads what nodes publish and hands it to the part it belongs to.

    The topic tells who speaks: the broker lets a node publish below its own prefix only. A ``node_id`` inside a
    payload is never looked at.
    """

    def __init__(self, ground: Ground, nodes: Nodes, mappings: Mappings, jobs: Jobs) -> None:
        self._ground = ground
        self._nodes = nodes
        self._mappings = mappings
        self._jobs = jobs

    def on_presence(self, node_id: str, connected: bool) -> None:
        """The broker saw a client come or go. Clients whose name no node can have are none of ours."""
        if not NODE_ID.fullmatch(node_id) or node_id == CLIENT_ID:
            return
        note = partial(self._nodes.note_presence, node_id, connected, self._ground.now_ms())
        self._ground.errands.do(f"the presence of node {node_id}", note)

    def handle(self, message: Message) -> None:
        """Take one message from a node; whatever it holds, the worst that happens is a line in the log.

        When the database fails the message waits for it.
        """
        parsed = messages.parse_topic(message.topic)
        handler = None if parsed is None else self._HANDLERS.get(parsed[1])
        if parsed is None or handler is None:
            return
        node_id, _ = parsed
        if not NODE_ID.fullmatch(node_id) or len(message.payload) > JSON_LIMIT:
            log.warning("ignored a message of node %s: %d bytes", heard(node_id, 64), len(message.payload))
            return
        try:
            act = partial(self._act, handler, node_id, message.payload)
            self._ground.errands.do(f"a message of node {node_id}", act)
        except Exception:
            log.exception("a message of node %s could not be handled", node_id)

    def _act(self, handler: _Handler, node_id: str, payload: bytes) -> None:
        try:
            handler(self, node_id, payload)
        except ValueError as error:
            log.warning("ignored a message of node %s: %s", node_id, error)

    def _config(self, node_id: str, payload: bytes) -> None:
        NodeConfig.decode(payload)  # says what is wrong, if anything
        self._nodes.on_config(node_id, read_json(payload))

    def _params(self, node_id: str, payload: bytes) -> None:
        self._nodes.on_params(node_id, messages.decode_params(payload))

    def _user_mapping(self, node_id: str, payload: bytes) -> None:
        said = UserMapping.decode(payload)
        with self._ground.store.begin() as tx:
            self._nodes.known(tx, node_id)
            self._mappings.hear(tx, node_id, said)
        self._ground.live.publish("node", node_id)

    def _otafetch(self, node_id: str, payload: bytes) -> None:
        self._jobs.on_fetch(node_id, OtaFetch.decode(payload).fw_version)

    def _otastatus(self, node_id: str, payload: bytes) -> None:
        self._jobs.on_status(node_id, OtaStatusReport.decode(payload))

    _HANDLERS = {  # noqa: RUF012 (a table of this class, never changed)
        messages.CONFIG: _config,
        messages.PARAMS_LOCAL_INIT: _params,
        messages.PARAMS_LOCAL: _params,
        messages.USER_MAPPING: _user_mapping,
        messages.OTAFETCH: _otafetch,
        messages.OTASTATUS: _otastatus,
    }

    TOPIC_FILTERS: Sequence[str] = tuple(
        topic_filter for suffix in _HANDLERS for topic_filter in messages.topic_filters(suffix)
    )
    """What the cloud subscribes to: every topic in both forms, plain and behind a rule."""
