"""Commands and their answers (CM components/rmaker_cmd_resp, ``esp_rmaker_cmd_resp_manager.c``).

A command comes on ``to-node``; its answer leaves on ``from-node``. Each connection begins with an empty answer: is
there a command that waits?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from py_esp_ota.rainmaker import json_text
from py_esp_ota.rainmaker.core import Core
from py_esp_ota.rainmaker.features import rmaker_features
from py_esp_ota.rainmaker.messages import FROM_NODE, TO_NODE, topic

TAG = "esp_rmaker_cmd_resp"
TAG_COMMON = "esp_rmaker_common_cmd_resp"
TAG_PARAM = "esp_rmaker_param_cmd_resp"
CMD_TYPE_SET_PARAMS = 1
_TOPIC_LIMIT = 99  # a buffer of 100 with its NUL
_REQ_ID_LEN = 32
_PIECE = 255


class Tlv(IntEnum):
    """``esp_rmaker_tlv_type_t``."""

    REQ_ID = 1
    USER_ROLE = 2
    STATUS = 3
    TIMESTAMP = 4
    CMD = 5
    DATA = 6


class CmdStatus(IntEnum):
    """``esp_rmaker_cmd_status_t``."""

    SUCCESS = 0
    FAILED = 1
    CMD_INVALID = 2
    AUTH_FAIL = 3
    NOT_FOUND = 4


class Role(IntFlag):
    """Who asks: ``ESP_RMAKER_USER_ROLE_*``."""

    SUPER_ADMIN = 1
    PRIMARY_USER = 2
    SECONDARY_USER = 4
    NODE = 8


EVERY_USER = Role.SUPER_ADMIN | Role.PRIMARY_USER | Role.SECONDARY_USER


class CommandFailed(Exception):
    """A handler's way to answer ``FAILED``."""


Handler = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Command:
    """``esp_rmaker_cmd_info_t``: who may ask for it, and what answers; it raises ``CommandFailed``."""

    access: Role
    handler: Handler


def tlv(kind: Tlv, value: bytes) -> bytes:
    """``esp_rmaker_add_tlv``: pieces of 255 bytes at most, one of them even if there is nothing."""
    pieces = [value[start : start + _PIECE] for start in range(0, len(value), _PIECE)] or [b""]
    return b"".join(bytes((kind, len(piece))) + piece for piece in pieces)


def get_value(data: bytes, kind: Tlv, size: int) -> bytes | None:
    """``esp_rmaker_get_value_from_tlv``: ``None`` when it is not there, longer than ``size`` or cut off."""
    at, found, value = 0, False, b""
    while at + 1 < len(data):
        length = data[at + 1]
        if data[at] == kind:
            piece = data[at + 2 : at + 2 + length]
            if size - len(value) < length or len(piece) < length:
                return None
            value, found = value + piece, True
            if length < _PIECE:
                return value
        elif found:
            return value
        at += 2 + length
    return value if found else None


def prepare_payload(req_id: bytes, status: CmdStatus, cmd: int, data: bytes = b"") -> bytes:
    """``esp_rmaker_cmd_prepare_payload`` of an answer."""
    said = tlv(Tlv.REQ_ID, req_id) + tlv(Tlv.STATUS, bytes((status,))) + tlv(Tlv.CMD, cmd.to_bytes(2, "little"))
    return said + tlv(Tlv.DATA, data) if data else said


EMPTY_RESPONSE = prepare_payload(b"", CmdStatus.SUCCESS, 0)
"""``esp_rmaker_cmd_prepare_empty_response``."""


class CmdResp:
    """``esp_rmaker_cmd_response_enable`` of one boot; ``commands`` are those that it knows."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._subscribed = False
        self.commands: dict[int, Command] = {}
        if core.config.esp_rmaker_param_cmd_resp_enable:
            self.commands[CMD_TYPE_SET_PARAMS] = Command(EVERY_USER, self._set_params)

    def on_connected(self) -> None:
        """``esp_rmaker_cmd_resp_check_pending``."""
        core = self._core
        polls = rmaker_features(core.config.rainmaker_version).polls_commands
        if polls:
            core.log.info(TAG, "Checking for pending commands.")
        if not self._subscribed:
            name = topic(core.node_id, TO_NODE)[:_TOPIC_LIMIT]
            if not core.mqtt.subscribe_topic(name, self._on_command):
                core.log.error(TAG, f"Failed to subscribe to {name}. Error -1")
                return
            self._subscribed = True
        if polls:
            self._publish(EMPTY_RESPONSE)

    def _on_command(self, payload: bytes) -> None:
        self._publish(self.respond(payload))

    def _publish(self, payload: bytes) -> None:
        if self._core.mqtt.publish(FROM_NODE, payload) is None:
            self._core.log.error(TAG, "Failed to publish reponse.")

    def respond(self, payload: bytes) -> bytes:
        """``esp_rmaker_cmd_response_handler``: the answer to a command."""
        log = self._core.log
        req_id = (get_value(payload, Tlv.REQ_ID, _REQ_ID_LEN) or b"").split(b"\0", 1)[0]
        role = (get_value(payload, Tlv.USER_ROLE, 1) or b"\0")[0]
        low, high = ((get_value(payload, Tlv.CMD, 2) or b"") + b"\0\0")[:2]
        cmd = low | high << 8
        if not req_id or not role or not cmd:
            log.error(TAG_COMMON, "Request id, user role or command id cannot be 0")
            return prepare_payload(req_id, CmdStatus.CMD_INVALID, cmd)
        command = self.commands.get(cmd)
        if command is None:
            log.error(TAG_COMMON, f"No handler found for command {cmd}.")
            return prepare_payload(req_id, CmdStatus.NOT_FOUND, cmd)
        if not command.access & role:
            return prepare_payload(req_id, CmdStatus.AUTH_FAIL, cmd)
        data = get_value(payload, Tlv.DATA, len(payload)) or b""
        if not data:
            log.warning(TAG_COMMON, "No data received for the command.")
        try:
            return prepare_payload(req_id, CmdStatus.SUCCESS, cmd, command.handler(data))
        except CommandFailed:
            return prepare_payload(req_id, CmdStatus.FAILED, cmd)

    def _set_params(self, data: bytes) -> bytes:
        """``esp_rmaker_set_params_cmd_handler``: what changed is in the answer, and not reported."""
        log = self._core.log
        if not data:
            log.error(TAG_PARAM, "No data received for set params command")
            raise CommandFailed
        try:
            params = json_text.parse(data).get_object("params")
        except ValueError:
            log.error(TAG_PARAM, "Failed to parse input JSON")
            raise CommandFailed from None
        if params is None:
            log.error(TAG_PARAM, "No 'params' object found in input or failed to get length")
            raise CommandFailed
        size = len(json_text.to_bytes(params.text)) + 1
        limit = self._core.config.esp_rmaker_param_cmd_resp_buffer_size
        if size > limit:
            log.error(TAG_PARAM, f"Params string too large for buffer ({size} > {limit})")
            raise CommandFailed
        self._core.handle_set_params(json_text.to_bytes(params.text), report=False)
        changed = self._core.params.take_changed()
        body = b'{"status":"success"' + (b',"params":' + changed if changed else b"") + b"}"
        return body[: limit - 1]
