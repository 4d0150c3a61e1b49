"""MQTT as the cloud hears it: one table from topic to handler, and nothing a node sends can stop it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from py_esp_ota.cloud.nodes import NODE_ID
from py_esp_ota.cloud.otajobs import OtaJobs
from py_esp_ota.cloud.outbox import Letter
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.texts import JSON_LIMIT, heard, storable
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker import messages
from py_esp_ota.rainmaker.messages import NodeConfig, OtaFetch, OtaStatusReport
from py_esp_ota.strict_json import read_json

log = logging.getLogger(__name__)

_Handler = Callable[["Dispatch", str, bytes], None]


class Dispatch(OtaJobs):
    """Reads what nodes publish and hands it to the part it belongs to.

    The topic tells who speaks: the broker lets a node publish below its own prefix only. A ``node_id`` inside a
    payload is never looked at.
    """

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
            self.errands.do(f"a message of node {node_id}", act)
        except Exception:
            log.exception("a message of node %s could not be handled", node_id)

    def _act(self, handler: _Handler, node_id: str, payload: bytes) -> None:
        try:
            handler(self, node_id, payload)
        except ValueError as error:
            log.warning("ignored a message of node %s: %s", node_id, error)

    def _config(self, node_id: str, payload: bytes) -> None:
        NodeConfig.decode(payload)  # says what is wrong, if anything
        self.on_config(node_id, read_json(payload))

    def _params(self, node_id: str, payload: bytes) -> None:
        self.on_params(node_id, messages.decode_params(payload))

    def _otafetch(self, node_id: str, payload: bytes) -> None:
        self.on_fetch(node_id, OtaFetch.decode(payload).fw_version)

    def _otastatus(self, node_id: str, payload: bytes) -> None:
        self.on_status(node_id, OtaStatusReport.decode(payload))

    _HANDLERS = {  # noqa: RUF012 (a table of this class, never changed)
        messages.CONFIG: _config,
        messages.PARAMS_LOCAL_INIT: _params,
        messages.PARAMS_LOCAL: _params,
        messages.OTAFETCH: _otafetch,
        messages.OTASTATUS: _otastatus,
    }

    TOPIC_FILTERS: Sequence[str] = tuple(
        topic_filter for suffix in _HANDLERS for topic_filter in messages.topic_filters(suffix)
    )
    """What the cloud subscribes to: every topic in both forms, plain and behind a rule."""

    def set_params(self, node_id: str, params: Mapping[str, Mapping[str, Any]], user_id: str | None = None) -> None:
        """Send parameters to a node that is connected; what it makes of them it reports itself.

        Raises:
            CloudError: NODE_NOT_OF_USER, NODE_OFFLINE, PARAMS_NOT_SENT.
        """
        node = self.node(node_id, user_id)
        try:
            payload = messages.encode_set_params(storable(dict(params), "params"))
        except ValueError as error:
            raise CloudError(Refusal.PARAMS_NOT_SENT, str(error)) from None
        if not node.connected:
            raise CloudError(Refusal.NODE_OFFLINE, "the node is offline")
        if not self.outbox.put(Letter(messages.topic(node_id, messages.PARAMS_REMOTE), payload)):
            raise CloudError(Refusal.PARAMS_NOT_SENT, "the cloud has no connection to its broker")
