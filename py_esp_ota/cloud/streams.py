"""Firmware block by block over MQTT, as AWS IoT's file delivery has it: ``GetStream``, in CBOR.

A stream is a job's, by its ``ota_job_id``, and has one file, number 1: the image. It is there for the nodes that got
the job, until they have a final result or the job is cancelled. What a request costs is bounded: 128 KiB of blocks, of
which the next request of the node takes back what was not sent, and so many requests in a while. Blocks are cut from
the image on the shelf when they are sent.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from io import BytesIO
from itertools import islice
from typing import Any, NoReturn, Self

from py_esp_ota.cloud.images import Images
from py_esp_ota.cloud.jobs import FINAL, NodeStatus
from py_esp_ota.cloud.outbox import Letter, Outbox
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.shelf import Firmware
from py_esp_ota.cloud.throttle import Rate, after, wait
from py_esp_ota.cloud.turn import Turn
from py_esp_ota.rainmaker.messages import STREAM_DATA, STREAM_REJECTED, stream_topic

log = logging.getLogger(__name__)

FILE_ID = 1
VERSION = 1

BLOCK_SIZE = range(256, 131_072 + 1)
BLOCKS = range(98_304 + 1)
"""Offsets and counts: 24 MB in the smallest blocks."""

BITMAP_LIMIT = 12_288
TOKEN_LIMIT = 64
ANSWER_LIMIT = 128 << 10
"""Bytes of blocks that one request is answered with."""

REQUEST_LIMIT = BITMAP_LIMIT + 256
"""Bytes of a request: a bitmap, and small things beside it."""

RATE = Rate(512, 0.125)
"""Requests of one node: 64 MiB at once, then 1 MiB a second. Who asks for more hears nothing."""

NODES = 20_000
"""Nodes whose requests are counted: as many as a broker has connections. The one that asked first is forgotten."""

AT_ONCE = 64
"""Blocks that are handed to the outbox at a time."""

_STREAM_ID = re.compile(r"[0-9A-Za-z]{1,64}")


class Code(StrEnum):
    """Why a request is refused, in the service's words."""

    INVALID_CBOR = "InvalidCbor"
    INVALID_REQUEST = "InvalidRequest"
    BLOCK_SIZE_OUT_OF_BOUNDS = "BlockSizeOutOfBounds"
    OFFSET_OUT_OF_BOUNDS = "OffsetOutOfBounds"
    BLOCK_COUNT_LIMIT_EXCEEDED = "BlockCountLimitExceeded"
    BLOCK_BITMAP_LIMIT_EXCEEDED = "BlockBitmapLimitExceeded"
    RESOURCE_NOT_FOUND = "ResourceNotFound"
    VERSION_MISMATCH = "VersionMismatch"


class StreamError(ValueError):
    """A request that is refused; the sentence goes to the node."""

    def __init__(self, code: Code, why: str, token: str | None = None) -> None:
        super().__init__(why)
        self.code = code
        self.token = token


@dataclass(frozen=True, slots=True, kw_only=True)
class GetStream:
    """One request: which blocks of which length."""

    length: int
    first: int = 0
    number: int
    bitmap: bytes | None = None
    token: str | None = None

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """As the service reads it. Raises ``StreamError``."""
        body = _read(payload)
        token = body.get("c")
        if token is not None and (not isinstance(token, str) or len(token.encode()) > TOKEN_LIMIT):
            raise StreamError(Code.INVALID_REQUEST, f"the client token is no text of at most {TOKEN_LIMIT} bytes")
        try:
            return cls(**_judged(body), token=token)
        except StreamError as error:
            error.token = token
            raise

    def blocks(self, size: int) -> Iterator[int]:
        """The blocks of a file of ``size`` bytes that are the answer, at most 128 KiB. Raises ``StreamError``."""
        last = -(-size // self.length)
        if self.first >= last:
            raise StreamError(Code.RESOURCE_NOT_FOUND, f"the file has {last} blocks of this length", self.token)
        wanted = range(self.first, last)
        found = iter(wanted) if self.bitmap is None else (wanted[bit] for bit in _bits(self.bitmap, len(wanted)))
        return islice(found, min(self.number, max(1, ANSWER_LIMIT // self.length)))


def _bits(bitmap: bytes, end: int) -> Iterator[int]:
    """The bits that are set, the lowest of the first byte first."""
    return (
        8 * place + bit
        for place, byte in enumerate(bitmap[: -(-end // 8)])
        if byte
        for bit in range(min(8, end - 8 * place))
        if byte >> bit & 1
    )


def _no_tag(*_of: object) -> NoReturn:
    raise ValueError("a request has no tags")


def _read(payload: bytes) -> dict[Any, Any]:
    """A CBOR map. Tags are refused: what they stand for may be costly."""
    import cbor2  # noqa: PLC0415 - for those who have streams

    if len(payload) > REQUEST_LIMIT:
        raise StreamError(Code.INVALID_REQUEST, f"{len(payload)} bytes are more than any request has")
    tags: defaultdict[int, Any] = defaultdict(lambda: _no_tag)
    try:
        decoder = cbor2.CBORDecoder(BytesIO(payload), semantic_decoders=tags, max_depth=4, strict_hashable_types=True)
        body = decoder.decode()
    except cbor2.CBORDecodeError:
        raise StreamError(Code.INVALID_CBOR, "the request is no CBOR document") from None
    if not isinstance(body, dict):
        raise StreamError(Code.INVALID_REQUEST, "the request is no map")
    return body


def _judged(body: dict[Any, Any]) -> dict[str, Any]:
    """The members that say which blocks, each within its bounds."""
    version, file_id = _number(body, "s", VERSION), _number(body, "f")
    length, first = _number(body, "l"), _number(body, "o", 0)
    number, bitmap = _number(body, "n", ANSWER_LIMIT // max(length, 1)), body.get("b")
    if bitmap is not None and not isinstance(bitmap, bytes):
        raise StreamError(Code.INVALID_REQUEST, "'b' is no byte string")
    for broken, code, why in (
        (version != VERSION, Code.VERSION_MISMATCH, f"the version of the stream is {VERSION}"),
        (file_id != FILE_ID, Code.RESOURCE_NOT_FOUND, f"the only file of the stream is {FILE_ID}"),
        (length not in BLOCK_SIZE, Code.BLOCK_SIZE_OUT_OF_BOUNDS, "a block has 256 to 131072 bytes"),
        (first not in BLOCKS, Code.OFFSET_OUT_OF_BOUNDS, "the offset is 0 to 98304"),
        (number not in BLOCKS, Code.BLOCK_COUNT_LIMIT_EXCEEDED, "the number of blocks is 0 to 98304"),
        (
            bitmap is not None and len(bitmap) > BITMAP_LIMIT,
            Code.BLOCK_BITMAP_LIMIT_EXCEEDED,
            f"a bitmap has at most {BITMAP_LIMIT} bytes",
        ),
    ):
        if broken:
            raise StreamError(code, why)
    return {"length": length, "first": first, "number": number, "bitmap": bitmap}


def _number(body: dict[Any, Any], key: str, default: int | None = None) -> int:
    value = body.get(key, default)
    if type(value) is not int:
        raise StreamError(Code.INVALID_REQUEST, f"{key!r} is {'missing' if key not in body else 'no integer'}")
    return value


@dataclass(slots=True, eq=False)
class _Delivery:
    """What the latest request of a node has not got yet."""

    node_id: str
    stream_id: str
    request: GetStream
    firmware: Firmware
    left: Iterator[int]


class Streams:
    """Answers ``GetStream``: the nodes in turns, a block each."""

    def __init__(self, images: Images, outbox: Outbox) -> None:
        self._images = images
        self._outbox = outbox
        self._deliveries: OrderedDict[str, _Delivery] = OrderedDict()
        self._full_at: OrderedDict[str, float] = OrderedDict()
        outbox.on_room(self._feed)

    def on_request(self, turn: Turn, node_id: str, stream_id: str, payload: bytes) -> None:
        """A node asks for blocks; what its request before this one has not got is not sent any more."""
        if not self._may_ask(node_id, turn.now / 1000):
            return
        try:
            request = GetStream.decode(payload)
            firmware = self._firmware(turn, node_id, stream_id, request.token)
            left = request.blocks(len(firmware.data))
        except StreamError as error:
            log.warning("refused a request of node %s for a stream: %s: %s", node_id, error.code, error)
            self._outbox.put(Letter(stream_topic(node_id, stream_id, STREAM_REJECTED), _rejected(error)))
            return
        self._deliveries[node_id] = _Delivery(node_id, stream_id, request, firmware, left)
        self._outbox.look()

    def gone(self, node_id: str) -> None:
        """A node is not connected any more: nobody would hear the rest."""
        self._deliveries.pop(node_id, None)

    def _may_ask(self, node_id: str, now: float) -> bool:
        full_at = self._full_at.pop(node_id, 0.0)
        allowed = wait(full_at, now, RATE) == 0
        self._full_at[node_id] = after(full_at, now, RATE) if allowed else full_at
        if len(self._full_at) > NODES:
            self._full_at.popitem(last=False)
        return allowed

    def _firmware(self, turn: Turn, node_id: str, stream_id: str, token: str | None) -> Firmware:
        """The file of a stream, for a node that got its job. Raises ``StreamError``."""
        try:
            if _STREAM_ID.fullmatch(stream_id):
                job, state = turn.standing(stream_id).job, turn.state(stream_id, node_id)
                over = {NodeStatus.TRIGGERED, *FINAL}
                if state is not None and state.status not in over and job.cancelled_timestamp is None:
                    return self._images.firmware(turn.tx, job.ota_image_id)
        except CloudError:  # no such job
            pass
        raise StreamError(Code.RESOURCE_NOT_FOUND, "this node has no such stream", token)

    def _feed(self) -> None:
        """Hand on what is wanted next, while there is room."""
        for _ in range(AT_ONCE):
            if not self._deliveries:
                return
            node_id, delivery = self._deliveries.popitem(last=False)
            block = next(delivery.left, None)
            if block is not None:
                self._deliveries[node_id] = delivery
                topic = stream_topic(node_id, delivery.stream_id, STREAM_DATA)
                self._outbox.put(Letter(topic, partial(_data, delivery.firmware, delivery.request, block)))


def _data(firmware: Firmware, request: GetStream, block: int) -> bytes:
    """One block as it is sent; the client token comes back."""
    import cbor2  # noqa: PLC0415 - for those who have streams

    part = firmware.data[block * request.length : (block + 1) * request.length]
    body: dict[str, object] = {"f": FILE_ID, "i": block, "l": len(part), "p": part}
    return cbor2.dumps(body if request.token is None else body | {"c": request.token})


def _rejected(error: StreamError) -> bytes:
    import cbor2  # noqa: PLC0415 - for those who have streams

    body = {"o": error.code.value, "m": str(error)}
    return cbor2.dumps(body if error.token is None else body | {"c": error.token})
