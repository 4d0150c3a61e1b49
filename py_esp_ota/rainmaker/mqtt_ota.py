"""An image block by block over MQTT (components/esp_rainmaker/src/ota/esp_rmaker_mqtt_ota.c, ``esp_mqtt_ota_*``).

Blocks are written as they come, where messages are received; who downloads only waits for them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, IntEnum

from py_esp_ota._core import AppDesc, ImageHeader, Partition
from py_esp_ota.errors import EspErr, EspError, ImageError, OtaError
from py_esp_ota.rainmaker import cbor
from py_esp_ota.rainmaker.core import Core
from py_esp_ota.rainmaker.features import rmaker_features
from py_esp_ota.rainmaker.messages import STREAM_DATA, STREAM_GET, STREAM_REJECTED, STREAM_TOPIC_LIMIT, stream_topic
from py_esp_ota.rainmaker.mqtt_blocks import Blocks, Place

TAG = "esp_rmaker_mqtt_ota"

IMAGE_HEADER_SIZE = 289  # image header, segment header, app descriptor, and one byte
_APP_DESC_OFFSET = 32
_FILE_ID = 1
_WAIT_FOR_DATA_S = 10  # before there was an option for it
_BLOCKS_PER_LINE = 20

BatchDone = Callable[[int], None]
Progress = Callable[[int, int], None]


class State(IntEnum):
    """``esp_rmaker_mqtt_ota_state``."""

    INVALID_STATE = -1
    INIT = 0
    BEGIN = 1
    IN_PROGRESS = 2
    SUCCESS = 3
    FAILED = 4


class Bit(Enum):
    """What who waits for blocks is told, in the order in which it looks."""

    FETCHED = 0
    DUPLICATE = 1
    ERROR = 2


_OF_HEADER = frozenset({Bit.FETCHED, Bit.ERROR})
_OF_BATCH = frozenset(Bit)


class _Bits:
    """The event group. Who waits has a turn after each message, as the write of a block gives him one."""

    def __init__(self) -> None:
        self._set: set[Bit] = set()
        self._queue: deque[Bit] = deque()
        self._waits: asyncio.Event | None = None

    def set(self, bit: Bit) -> None:
        if self._waits is None:
            self._set.add(bit)
        else:
            self._queue.append(bit)
            self._waits.set()

    def begin(self) -> None:
        """From now on somebody waits."""
        self._waits = asyncio.Event()

    def end(self) -> None:
        """Nobody waits any more: bits that are set twice are set."""
        self._set.update(self._queue)
        self._queue.clear()
        self._waits = None

    async def wait(self, wanted: frozenset[Bit], seconds: float) -> frozenset[Bit]:
        """``xEventGroupWaitBits``: what is set, cleared now; nothing when the time is over."""
        waits = self._waits
        if waits is None:
            raise ValueError("begin() comes before wait()")
        found = self._set & wanted
        if found:
            self._set -= found
            return frozenset(found)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    while self._queue:
                        bit = self._queue.popleft()
                        if bit in wanted:
                            return frozenset({bit})
                        self._set.add(bit)
                    waits.clear()
                    await waits.wait()
        return frozenset()


class MqttOta:
    """``esp_rmaker_mqtt_ota_t``: one attempt. ``begin`` subscribes, ``end`` unsubscribes.

    Args:
        core: of this boot.
        stream_id: as the message says it.
        filesize: the same, in bytes.
        resume: blocks that are in flash already.
        batch_done: told after each whole batch how many blocks from the first on are in flash.
    """

    def __init__(self, core: Core, stream_id: str, filesize: int, *, resume: int, batch_done: BatchDone) -> None:
        self._core = core
        self._asks_by_bitmap = rmaker_features(core.config.rainmaker_version).asks_by_bitmap
        self._wait = core.config.esp_rmaker_mqtt_ota_block_wait_sec if self._asks_by_bitmap else _WAIT_FOR_DATA_S
        self._stream_id = stream_id
        self._resume = resume
        self._batch_done = batch_done
        self.state = State.INIT
        self.image_length = filesize
        self.read_length = 0  # binary_file_len
        self.progress: Progress | None = None
        self._bits = _Bits()
        self._header: bytes | None = None
        self._update = 0
        self._retries = 0
        self._came = 0  # bytes, since the latest request
        self._written = 0  # blocks

    # ------------------------------------------------------------------------------------------------- begin and end

    async def begin(self) -> None:
        """``esp_mqtt_ota_begin``. Raises ``OtaError``: ESP_FAIL without a slot to write to, ESP_ERR_NO_MEM."""
        core, config = self._core, self._core.config
        if self._asks_by_bitmap:
            core.mqtt.on_disconnected.append(self._on_disconnected)
        core.mqtt.subscribe_topic(self._topic(STREAM_REJECTED), self._on_rejected)
        core.mqtt.subscribe_topic(self._topic(STREAM_DATA), self._on_data)
        core.log.info(TAG, f"Image length = {self.image_length} bytes.")
        core.log.info(TAG, "Starting OTA...")
        partition = core.ops.get_next_update_partition()
        if partition is None:
            core.log.error(TAG, "Passive OTA partition not found.")
            self._deaf()
            raise OtaError(EspErr.ESP_FAIL, "there is no slot to update")
        self._partition: Partition = partition
        text = f"Writing to partition subtype {partition.subtype} at offset 0x{partition.offset:x}"
        core.log.info(TAG, text)
        length, per_request = config.esp_rmaker_mqtt_ota_block_size, config.esp_rmaker_mqtt_ota_no_of_blocks
        try:
            self._blocks = Blocks(self.image_length, length, per_request, self._resume)
        except OtaError:
            core.log.error(TAG, "Failed to allocate memory to bitmap.")
            self._deaf()
            raise
        if self._resume >= self._blocks.count and self._resume > 0:
            text = f"Stored resume offset {self._resume} >= total blocks {self._blocks.count}; restarting from scratch."
            core.log.warning(TAG, text)
        self.read_length = self._blocks.first * length
        self.state = State.BEGIN

    async def end(self, *, set_boot_partition: bool) -> None:
        """``esp_mqtt_ota_end``: an update that was begun is verified in any case. Raises ``EspError`` if asked to boot.

        Without ``set_boot_partition`` this is ``esp_mqtt_ota_abort``.
        """
        ended, self.state = self.state, State.INVALID_STATE
        self._deaf()
        for what in (STREAM_REJECTED, STREAM_DATA):
            if not self._core.mqtt.unsubscribe(self._topic(what)):
                self._core.log.warning(TAG, f"Failed to unsubscribe from {self._topic(what)}")
        if ended is State.BEGIN:
            return
        try:
            self._core.ops.end(self._update)
            if set_boot_partition and ended is State.SUCCESS:
                self._set_boot_partition()
        except EspError:
            if set_boot_partition:
                raise

    def _set_boot_partition(self) -> None:
        try:
            self._core.ops.set_boot_partition(self._partition)
        except EspError as error:
            text = f"esp_ota_set_boot_partition failed! err=0x{error.err & 0xFFFFFFFF:x}"
            self._core.log.error(TAG, text)
            raise

    def _deaf(self) -> None:
        if self._asks_by_bitmap:
            self._core.mqtt.on_disconnected.remove(self._on_disconnected)

    # ------------------------------------------------------------------------------------------------------- download

    async def get_img_desc(self) -> AppDesc:
        """``esp_mqtt_ota_get_img_desc``. Raises ``OtaError``: ESP_FAIL."""
        try:
            await self._read_header()
        except EspError:
            raise OtaError(EspErr.ESP_FAIL, "no image header") from None
        try:
            return AppDesc.from_bytes((self._header or b"")[_APP_DESC_OFFSET:])
        except ImageError:
            self._core.log.error(TAG, "Incorrect app descriptor magic")
            raise OtaError(EspErr.ESP_FAIL, "no app descriptor") from None

    async def perform(self) -> None:
        """``esp_mqtt_ota_perform``: open the update, or one request of a batch. Raises ``EspError``."""
        try:
            if self.state is State.BEGIN:
                await self._open()
                self.state = State.IN_PROGRESS
            elif self.state is State.IN_PROGRESS:
                await self._fetch_file()
        except EspError:
            self.state = State.FAILED
            raise

    async def _open(self) -> None:
        """Raises what ``esp_ota_begin`` and ``esp_ota_resume`` say, ESP_FAIL, and ESP_ERR_INVALID_VERSION."""
        ops, log = self._core.ops, self._core.log
        length = self.image_length & 0xFFFFFFFF
        if self._blocks.resumes:
            try:
                self._update = ops.resume(self._partition, length, self.read_length)
            except EspError as error:
                log.error(TAG, f"esp_ota_resume failed ({error.err.name})")
                raise
            return
        try:
            self._update = ops.begin(self._partition, length)
        except EspError as error:
            opened = error.fact.get("handle")  # by a release that opens before it erases
            self._update = opened if isinstance(opened, int) else 0
            log.error(TAG, f"esp_ota_begin failed ({error.err.name})")
            raise
        try:
            await self._read_header()
        except EspError:
            log.error(TAG, "Failed to read header")
            raise OtaError(EspErr.ESP_FAIL, "no image header") from None
        header = ImageHeader.from_bytes((self._header or b"")[:24])
        self._header = None
        expected = ops.chip.target.chip_id
        if header.chip_id != expected:
            log.error(TAG, f"Mismatch chip id, expected {expected}, found {header.chip_id}")
            log.error(TAG, "Failed to verify chip ID.")
            raise OtaError(EspErr.ESP_ERR_INVALID_VERSION, "the image is for another chip")

    async def _read_header(self) -> None:
        """``read_header``: block 0, as long as a header. Raises ``OtaError``, which no caller tells from ESP_FAIL."""
        if self._header is not None:
            return
        log = self._core.log
        self._get(IMAGE_HEADER_SIZE, 0, 1)
        self._bits.begin()
        bits = await self._bits.wait(_OF_HEADER, self._wait)
        self._bits.end()
        if Bit.FETCHED in bits and self._header is not None:
            return
        if Bit.ERROR in bits:
            log.error(TAG, "Failed to fetch complete image header")
            raise OtaError(EspErr.ESP_FAIL, "the image header was refused")
        log.error(TAG, "Timed out waiting for image header data")
        raise OtaError(EspErr.ESP_FAIL, "the image header did not come")

    async def _fetch_file(self) -> None:
        """``esp_rmaker_mqtt_fetch_file``: ask for what is missing of the batch. Raises ``OtaError``: ESP_FAIL."""
        blocks = self._blocks
        bitmap, needed = blocks.request() if self._asks_by_bitmap else (None, blocks.batch)
        if needed == 0 and (self._asks_by_bitmap or not self._core.config.esp_rmaker_mqtt_enable_budgeting):
            if blocks.batch == 0:
                await self._for_ever()
            self._advance()
        else:
            self._get(blocks.length, blocks.first, blocks.batch, bitmap)
            self._bits.begin()
            try:
                await self._gather(needed)
            finally:
                self._bits.end()
            if blocks.complete():
                self._advance()
        if self._came:
            self._came = 0
            if blocks.remaining == 0:
                self._core.log.info(TAG, "Firmware Image fetched successfully.")
        if self.image_length == self.read_length:
            self.state = State.SUCCESS

    async def _gather(self, needed: int) -> None:
        config, received = self._core.config, 0
        while received < needed:
            bits = await self._bits.wait(_OF_BATCH, self._wait)
            if Bit.FETCHED in bits:
                received += 1
                self._retries = 0
            elif Bit.DUPLICATE in bits:
                received += 1
            elif Bit.ERROR in bits:
                raise OtaError(EspErr.ESP_FAIL, "the stream was refused, or lost")
            else:
                self._core.log.error(TAG, "Request timed out.")
                if self._retries < config.esp_rmaker_mqtt_ota_max_retries:
                    self._retries += 1
                    return
                self._core.log.error(TAG, "Out of retries. Aborting OTA...")
                raise OtaError(EspErr.ESP_FAIL, "blocks do not come")

    def _advance(self) -> None:
        self._blocks.advance()
        self._batch_done(self._blocks.first)

    @staticmethod
    async def _for_ever() -> None:
        """All blocks came, and they are not as long as the message said: upstream asks itself for none, for ever."""
        await asyncio.Event().wait()

    def _get(self, length: int, first: int, number: int, bitmap: bytes | None = None) -> None:
        """``esp_rmaker_fetch_block``. Raises ``OtaError``: ESP_FAIL, the MQTT budget is used up."""
        asked = [("f", _FILE_ID), ("l", length), ("o", first)]
        members: list[tuple[str, int | bytes]] = [*asked, *([] if bitmap is None else [("b", bitmap)]), ("n", number)]
        if self._core.mqtt.publish_topic(self._topic(STREAM_GET), cbor.encode_map(members)) is None:
            raise OtaError(EspErr.ESP_FAIL, "the request was not sent")

    def _topic(self, what: str) -> str:
        return stream_topic(self._core.node_id, self._stream_id, what)[:STREAM_TOPIC_LIMIT]

    # ------------------------------------------------------------------------------------- where messages are received

    def _on_disconnected(self) -> None:
        """``mqtt_disconnect_handler``."""
        self._core.log.warning(TAG, "MQTT disconnected during OTA. Aborting current attempt.")
        self._bits.set(Bit.ERROR)

    def _on_rejected(self, _payload: bytes) -> None:
        """``error_cb``."""
        self._core.log.error(TAG, f"Received error response on topic : {self._topic(STREAM_REJECTED)}")
        self._bits.set(Bit.ERROR)

    def _on_data(self, payload: bytes) -> None:
        """``stream_data_cb``: one block. Raises ``PowerLoss`` and ``Restart``."""
        if self.state not in (State.BEGIN, State.IN_PROGRESS):
            return
        try:
            cbor.find_int(payload, "f")
            block = cbor.find_int(payload, "i")
            cbor.find_int(payload, "l")
            data = cbor.find_bytes(payload, "p", self._blocks.length)
        except cbor.CborError:
            self._core.log.error(TAG, "Error in decoding cbor response.")
            self._core.log.error(TAG, "Failed to decode response.")
            return
        place = self._blocks.place(block)
        if place is Place.OUTSIDE:
            self._core.log.debug(TAG, "Received duplicate block. Discarding...")
        elif self.state is State.BEGIN:
            self._bits.set(self._take_header(block, data))
        elif place is Place.KNOWN:
            self._core.log.info(TAG, "Duplicate Block Received.")
            self._bits.set(Bit.DUPLICATE)
        else:
            self._blocks.take(block)
            self._bits.set(self._write(block, data))

    def _take_header(self, block: int, data: bytes) -> Bit:
        if block != 0:
            return Bit.ERROR
        if len(data) < IMAGE_HEADER_SIZE:
            self._core.log.error(TAG, f"Received only {len(data)} bytes of image header")
            return Bit.ERROR
        self._header = data[:IMAGE_HEADER_SIZE]
        return Bit.FETCHED

    def _write(self, block: int, data: bytes) -> Bit:
        """``_ota_write``, and what follows from it."""
        log = self._core.log
        self._came += len(data)
        if not data:
            log.error(TAG, "_ota_write: Invalid arguments.")
            return Bit.ERROR
        try:
            self._core.ops.write_with_offset(self._update, data, block * self._blocks.length)
        except EspError as error:
            log.error(TAG, f"Error: esp_ota_write failed! err=0x{error.err & 0xFFFFFFFF:x}")
            return Bit.ERROR
        self.read_length += len(data)
        if self.progress is not None:
            self.progress(self.read_length, self.image_length)
        self._written += 1
        if self._written % _BLOCKS_PER_LINE == 0:
            log.info(TAG, f"Image bytes read: {self.read_length}")
        return Bit.FETCHED
