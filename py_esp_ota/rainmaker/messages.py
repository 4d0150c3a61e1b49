"""The wire: topics and payloads. Node and cloud share this module and nothing else.

Every payload is a value with ``encode`` for its sender and ``decode`` for its receiver. What a node writes keeps the
key order, the missing escapes and the cuts of its C code; what a node reads is read with that code's quirks. The
cloud's readers are tolerant and say in one sentence what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

from py_esp_ota.rainmaker import json_text
from py_esp_ota.strict_json import JsonError, read_json

CONFIG_VERSION = "2020-03-20"
OTASTATUS_LIMIT = 199
OTAFETCH_LIMIT = 149
USER_MAPPING_LIMIT = 199
TOPIC_LIMIT = 149

# --------------------------------------------------------------------------------------------------------------- topics

CONFIG = "config"
PARAMS_LOCAL_INIT = "params/local/init"
PARAMS_LOCAL = "params/local"
PARAMS_REMOTE = "params/remote"
OTAFETCH = "otafetch"
OTASTATUS = "otastatus"
OTAURL = "otaurl"
USER_MAPPING = "user/mapping"
ALERT = "alert"
FROM_NODE = "from-node"
TO_NODE = "to-node"

RULES = {
    CONFIG: "esp_node_config",
    PARAMS_LOCAL_INIT: "esp_init_params",
    PARAMS_LOCAL: "esp_set_params",
    OTAFETCH: "esp_node_otafetch",
    OTASTATUS: "esp_node_otastatus",
    USER_MAPPING: "esp_user_node_mapping",
    ALERT: "esp_node_alert",
    FROM_NODE: "esp_cmd_resp",
}
"""The AWS IoT rule behind each topic a node publishes (components/esp_rainmaker/src/core/esp_rmaker_mqtt_topics.h)."""


def topic(node_id: str, suffix: str, basic_ingest: bool = False) -> str:
    """``esp_rmaker_create_mqtt_topic``: ``node/<id>/<suffix>``, behind ``$aws/rules/<rule>/`` if there is a rule."""
    rule = RULES.get(suffix)
    plain = f"node/{node_id}/{suffix}"
    return f"$aws/rules/{rule}/{plain}" if basic_ingest and rule else plain


def topic_filters(suffix: str) -> tuple[str, str]:
    """The two filters a cloud subscribes to: wildcards at level one never match a topic that begins with ``$``."""
    return f"node/+/{suffix}", f"$aws/rules/+/node/+/{suffix}"


def parse_topic(name: str) -> tuple[str, str] | None:
    """Node id and suffix of a topic in either form; ``None`` for any other topic."""
    levels = name.split("/")
    if levels[:2] == ["$aws", "rules"]:
        if len(levels) < 3 or not levels[2]:
            return None
        levels = levels[3:]
    if len(levels) < 3 or levels[0] != "node" or not all(levels):
        return None
    return levels[1], "/".join(levels[2:])


# Streams of AWS IoT's file delivery, in CBOR. A topic's last part but one says what a message is.
STREAM_GET = "get"
STREAM_DATA = "data"
STREAM_REJECTED = "rejected"
STREAM_TOPIC_LIMIT = 99
STREAM_FILTER = f"$aws/things/+/streams/+/{STREAM_GET}/cbor"
"""What a cloud subscribes to that has streams."""


def stream_topic(node_id: str, stream_id: str, what: str) -> str:
    """``$aws/things/<id>/streams/<stream>/<what>/cbor``; a node has room for 99 characters of it."""
    return f"$aws/things/{node_id}/streams/{stream_id}/{what}/cbor"


def parse_stream_topic(name: str) -> tuple[str, str] | None:
    """Node id and stream id of a request; ``None`` for any other topic."""
    match name.split("/"):
        case ["$aws", "things", node_id, "streams", stream_id, what, "cbor"] if what == STREAM_GET:
            return (node_id, stream_id) if node_id and stream_id else None
    return None


# --------------------------------------------------------------------------------------------------------------- status


class OtaStatus(IntEnum):
    """``ota_status_t`` (components/esp_rainmaker/include/esp_rmaker_ota.h)."""

    IN_PROGRESS = 1
    SUCCESS = 2
    FAILED = 3
    DELAYED = 4
    REJECTED = 5


_STATUS_STRINGS = {
    OtaStatus.IN_PROGRESS: "in-progress",
    OtaStatus.SUCCESS: "success",
    OtaStatus.FAILED: "failed",
    OtaStatus.DELAYED: "delayed",
    OtaStatus.REJECTED: "rejected",
}
_STATUSES = {text: status for status, text in _STATUS_STRINGS.items()}


def ota_status_to_string(status: int) -> str:
    """``esp_rmaker_ota_status_to_string`` (components/esp_rainmaker/src/ota/esp_rmaker_ota.c)."""
    return {int(member): text for member, text in _STATUS_STRINGS.items()}.get(status, "invalid")


def ota_status_from_string(text: str) -> OtaStatus | None:
    """The status behind a word on the wire; ``None`` for ``invalid`` and any unknown word."""
    return _STATUSES.get(text)


# -------------------------------------------------------------------------------------------------------- cloud to node


JSON_PAYLOAD_ERROR = "Aborted. JSON Payload error"
ID_NOT_FOUND = "Aborted. OTA Updated ID not found in JSON"
URL_NOT_FOUND = "Aborted. URL not found in JSON"
STREAM_NOT_FOUND = "Aborted. Stream ID not found in JSON"


class OtaUrlError(ValueError):
    """An ``otaurl`` message that the node refuses: ``info`` is its report, the rest what it had read by then."""

    def __init__(
        self, info: str, ota_job_id: str | None = None, url: str | None = None, file_md5: str | None = None
    ) -> None:
        super().__init__(info)
        self.info = info
        self.ota_job_id = ota_job_id
        self.url = url
        self.file_md5 = file_md5


@dataclass(frozen=True, slots=True, kw_only=True)
class OtaUrl:
    """``otaurl``: download this. ``metadata`` is the raw text of a JSON object; an empty ``file_md5`` is one, too."""

    ota_job_id: str
    url: str
    fw_version: str | None = None
    file_size: int = 0
    file_md5: str | None = None
    stream_id: str | None = None
    metadata: str | None = None

    def encode(self) -> bytes:
        """As the cloud sends it. Raises ``ValueError`` when ``metadata`` is not a JSON object."""
        body: dict[str, object] = {"ota_job_id": self.ota_job_id, "url": self.url}
        optional = {
            "fw_version": self.fw_version,
            "file_size": self.file_size or None,
            "file_md5": self.file_md5,
            "stream_id": self.stream_id,
            "metadata": None if self.metadata is None else _object(self.metadata.encode(), "metadata"),
        }
        body.update({key: value for key, value in optional.items() if value is not None})
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def decode(cls, payload: bytes, *, needs_stream: bool = False) -> Self:
        """The parsing half of ``ota_url_handler`` (components/esp_rainmaker/src/ota/esp_rmaker_ota_using_topics.c).

        With ``needs_stream`` as a build with OTA over MQTT reads it.

        Raises:
            OtaUrlError: With the exact text that the node reports.
        """
        try:
            root = json_text.parse(payload)
        except ValueError:
            raise OtaUrlError(JSON_PAYLOAD_ERROR) from None
        ota_job_id = root.get_string("ota_job_id")
        if ota_job_id is None:
            raise OtaUrlError(ID_NOT_FOUND)
        url = root.get_string("url")
        if url is None:
            raise OtaUrlError(URL_NOT_FOUND, ota_job_id)
        file_md5, stream_id = root.get_string("file_md5"), root.get_string("stream_id")
        if needs_stream and stream_id is None:
            raise OtaUrlError(STREAM_NOT_FOUND, ota_job_id, url, file_md5)
        metadata = root.get_object("metadata")
        return cls(
            ota_job_id=ota_job_id,
            url=url,
            fw_version=root.get_string("fw_version") or None,
            file_size=root.get_int("file_size") or 0,
            file_md5=file_md5,
            stream_id=stream_id,
            metadata=None if metadata is None else metadata.text,
        )


# -------------------------------------------------------------------------------------------------------- node to cloud


@dataclass(frozen=True, slots=True, kw_only=True)
class OtaStatusReport:
    """``otastatus``: what the node says about a job. ``status`` is the word on the wire."""

    status: str
    additional_info: str
    ota_job_id: str | None = None
    network_id: str | None = None
    ts: int | None = None

    def encode(self, *, well_formed: bool = False) -> bytes:
        """As the node sends it: nothing escaped, cut at 199 bytes even in the middle of the JSON.

        When it is to be well-formed, the text is shortened instead.
        """
        text = self._text(self.additional_info, well_formed)
        for length in range(len(self.additional_info), -1, -1) if well_formed else ():
            text = self._text(self.additional_info[:length], well_formed)
            if len(json_text.to_bytes(text)) <= OTASTATUS_LIMIT:
                break
        return json_text.to_bytes(text, OTASTATUS_LIMIT)

    def _text(self, additional_info: str, well_formed: bool) -> str:
        return _in_order(
            well_formed,
            ota_job_id=self.ota_job_id,
            status=self.status,
            network_id=self.network_id,
            additional_info=additional_info,
            ts=self.ts,
        )

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """As the cloud reads it. Raises ``ValueError`` with a sentence; only ``status`` must be there."""
        body = _object(payload, OTASTATUS, OTASTATUS_LIMIT)
        return cls(
            status=_text(body, "status", OTASTATUS),
            additional_info=_text(body, "additional_info", OTASTATUS, ""),
            ota_job_id=_optional_text(body, "ota_job_id", OTASTATUS),
            network_id=_optional_text(body, "network_id", OTASTATUS),
            ts=body["ts"] if type(body.get("ts")) is int else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OtaFetch:
    """``otafetch``: is there anything for me? ``fw_version`` is the node-info version."""

    node_id: str
    fw_version: str
    network_id: str | None = None

    def encode(self, *, well_formed: bool = False) -> bytes:
        """As the node sends it: nothing escaped, cut at 149 bytes."""
        text = _in_order(well_formed, node_id=self.node_id, fw_version=self.fw_version, network_id=self.network_id)
        return json_text.to_bytes(text, OTAFETCH_LIMIT)

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """As the cloud reads it. Raises ``ValueError`` with a sentence."""
        body = _object(payload, OTAFETCH, OTAFETCH_LIMIT)
        return cls(
            node_id=_text(body, "node_id", OTAFETCH),
            fw_version=_text(body, "fw_version", OTAFETCH),
            network_id=_optional_text(body, "network_id", OTAFETCH),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """``config``: who the node is (components/esp_rainmaker/src/core/esp_rmaker_node_config.c)."""

    node_id: str
    name: str
    fw_version: str
    type: str
    model: str
    project_name: str
    platform: str
    subtype: str | None = None
    attributes: Sequence[Mapping[str, object]] = ()
    devices: Sequence[Mapping[str, object]] = ()
    services: Sequence[Mapping[str, object]] = ()

    def encode(self, *, well_formed: bool = False) -> bytes:
        """``esp_rmaker_get_node_config``: keys in upstream's order; what the node does not have, has no key."""
        info: dict[str, object] = {"name": self.name, "fw_version": self.fw_version, "type": self.type}
        if self.subtype is not None:
            info["subtype"] = self.subtype
        info |= {"model": self.model, "project_name": self.project_name, "platform": self.platform}
        body: dict[str, object] = {"node_id": self.node_id, "config_version": CONFIG_VERSION, "info": info}
        if self.attributes:
            body["attributes"] = list(self.attributes)
        if self.devices or self.services:
            body |= {"devices": list(self.devices), "services": list(self.services)}
        return json_text.to_bytes(json_text.generate(body, well_formed=well_formed))

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """As the cloud reads it. Raises ``ValueError`` with a sentence."""
        return cls.of(_object(payload, CONFIG))

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """What a config document says. Raises ``ValueError`` with a sentence."""
        info = body.get("info")
        if not isinstance(info, dict):
            raise ValueError("config: 'info' is not an object")  # noqa: TRY004 - the value came over the wire
        return cls(
            node_id=_text(body, "node_id", CONFIG),
            name=_text(info, "name", CONFIG, ""),
            fw_version=_text(info, "fw_version", CONFIG),
            type=_text(info, "type", CONFIG, ""),
            model=_text(info, "model", CONFIG, ""),
            project_name=_text(info, "project_name", CONFIG, ""),
            platform=_text(info, "platform", CONFIG, ""),
            subtype=_optional_text(info, "subtype", CONFIG),
            attributes=_objects(body, "attributes"),
            devices=_objects(body, "devices"),
            services=_objects(body, "services"),
        )


def decode_config(payload: bytes) -> dict[str, Any]:
    """The whole document, as the cloud keeps it. Raises ``ValueError`` with a sentence."""
    body = _object(payload, CONFIG)
    NodeConfig.of(body)  # says what is wrong, if anything
    return body


# --------------------------------------------------------------------------------------------------------- user mapping

NO_USER = "esp-rmaker"
"""``USER_RESET_ID``: no user, but a node that was reset to what the factory made."""

NO_SECRET = "failed"  # noqa: S105 - USER_RESET_KEY
"""What stands beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMapping:
    """``user/mapping``: who the node's user is, proved by a secret. ``reset``: nobody before counts any more."""

    node_id: str
    user_id: str
    secret_key: str
    reset: bool = False

    def encode(self, *, well_formed: bool = False) -> bytes:
        """``esp_rmaker_user_mapping_cb``: ``reset`` only when it is true, nothing escaped, cut at 199 bytes."""
        body: dict[str, str | bool] = {
            "node_id": self.node_id,
            "user_id": self.user_id,
            "secret_key": self.secret_key,
        }
        if self.reset:
            body["reset"] = True
        return json_text.to_bytes(json_text.generate(body, well_formed=well_formed), USER_MAPPING_LIMIT)

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """As the cloud reads it. Raises ``ValueError`` with a sentence."""
        body = _object(payload, USER_MAPPING, USER_MAPPING_LIMIT)
        reset = body.get("reset", False)
        if not isinstance(reset, bool):
            raise ValueError(f"{USER_MAPPING}: 'reset' is neither true nor false")  # noqa: TRY004 - off the wire
        return cls(
            node_id=_text(body, "node_id", USER_MAPPING),
            user_id=_text(body, "user_id", USER_MAPPING),
            secret_key=_text(body, "secret_key", USER_MAPPING),
            reset=reset,
        )


# --------------------------------------------------------------------------------------------------------------- params

ParamValue = bool | int | float | str
Params = Mapping[str, Mapping[str, ParamValue]]


def encode_params(params: Params, *, well_formed: bool = False) -> bytes:
    """``{"<device>":{"<param>":value,...},...}`` as the node sends it: nothing escaped."""
    return json_text.to_bytes(json_text.generate(params, well_formed=well_formed))


def encode_set_params(params: Params) -> bytes:
    """The same shape as the cloud sends it on ``params/remote``: ordinary JSON."""
    return json.dumps(params, separators=(",", ":"), ensure_ascii=False).encode()


def decode_params(payload: bytes) -> dict[str, dict[str, Any]]:
    """As the cloud reads a report. Raises ``ValueError`` with a sentence."""
    body = _object(payload, "params")
    for name, values in body.items():
        if not isinstance(values, dict):
            raise ValueError(f"params: {name!r} is not an object")  # noqa: TRY004 - the value came over the wire
    return body


# -------------------------------------------------------------------------------------------------------------- helpers


def _in_order(well_formed: bool, /, **members: str | int | None) -> str:
    """A flat JSON object in argument order, without what is ``None``."""
    body = {key: value for key, value in members.items() if value is not None}
    return json_text.generate(body, well_formed=well_formed)


def _object(payload: bytes, what: str, limit: int | None = None) -> dict[str, Any]:
    """Read a JSON object strictly, or say in one sentence why it is none."""
    try:
        body = read_json(payload)
    except JsonError as error:
        if limit is not None and len(payload) >= limit:
            raise ValueError(f"{what}: the JSON is cut off after {len(payload)} bytes, the node's limit") from None
        if error.pos is None:
            raise ValueError(f"{what}: {error}") from None
        raise ValueError(f"{what}: {len(payload)} bytes that are not JSON at byte {error.pos}") from None
    if not isinstance(body, dict):
        raise ValueError(f"{what}: the JSON is not an object")  # noqa: TRY004 - the value came over the wire
    return body


def _text(body: Mapping[str, Any], key: str, what: str, default: str | None = None) -> str:
    value = body.get(key, default)
    if not isinstance(value, str):
        problem = "is missing" if key not in body else "is not a string"
        raise ValueError(f"{what}: {key!r} {problem}")  # noqa: TRY004 - the value came over the wire
    return value


def _optional_text(body: Mapping[str, Any], key: str, what: str) -> str | None:
    return _text(body, key, what) if key in body else None


def _objects(body: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = body.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError(f"config: {key!r} is not a list of objects")
    return value
