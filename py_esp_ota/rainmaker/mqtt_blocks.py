"""Which blocks of a stream came and which are asked for: ``esp_rmaker_mqtt_file_params_t``, without any I/O."""

from __future__ import annotations

from enum import Enum

from py_esp_ota.errors import EspErr, OtaError

MAX_BITMAP_LEN = 64 << 10
"""Bytes: a file of 2 GiB in blocks of 4 KiB. A size that is negative has 2**32 more, and a chip no memory for that."""


class Place(Enum):
    """What a block is to those that are awaited."""

    OUTSIDE = 0  # not of this batch
    KNOWN = 1
    WANTED = 2


class Blocks:
    """The bitmap of all blocks, and the batch that is on its way.

    A batch is as long as the option says even where the file has fewer blocks left. Upstream then looks behind the
    bitmap's end; here there are zeros: blocks that came already.

    Args:
        size: of the file, as the message says it, in bytes; 32 bits of it count.
        length: of a block, in bytes.
        per_request: blocks of a batch.
        resume: blocks that are in flash already.

    Raises:
        OtaError: ESP_ERR_NO_MEM: the bitmap is larger than ``MAX_BITMAP_LEN``.
    """

    def __init__(self, size: int, length: int, per_request: int, resume: int = 0) -> None:
        self.length = length
        self.count = -(-(size & 0xFFFFFFFF) // length)
        bitmap_len = -(-self.count // 8)
        if bitmap_len > MAX_BITMAP_LEN:
            raise OtaError(EspErr.ESP_ERR_NO_MEM, "{found} bytes of bitmap are too many", found=bitmap_len)
        self.resumes = 0 < resume < self.count
        self.first = resume if self.resumes else 0
        self.remaining = self.count - self.first
        self.batch = min(per_request, self.remaining) if self.resumes else per_request
        self._wanted = bytearray(b"\xff" * bitmap_len + bytes(-(-per_request // 8) + 1))
        for block in (*range(self.first), *range(self.count, 8 * bitmap_len)):
            self._clear(block)

    def place(self, block: int) -> Place:
        """Where a block belongs."""
        if not self.first <= block < self.first + self.batch:
            return Place.OUTSIDE
        return Place.WANTED if self._is_wanted(block) else Place.KNOWN

    def take(self, block: int) -> None:
        """A wanted block came."""
        self._clear(block)
        self.remaining -= 1

    def request(self) -> tuple[bytes, int]:
        """The bitmap of this batch, relative to its first block, and how many blocks it asks for."""
        bitmap, needed = bytearray(-(-self.batch // 8)), 0
        for number in range(self.batch):
            if self._is_wanted(self.first + number):
                bitmap[number >> 3] |= 1 << number % 8
                needed += 1
        return bytes(bitmap), needed

    def complete(self) -> bool:
        """``_received_complete_response``: nothing of this batch is missing."""
        return not any(self._is_wanted(block) for block in range(self.first, self.first + self.batch))

    def advance(self) -> None:
        """Go on to the next batch."""
        self.first += self.batch
        self.batch = min(self.remaining, self.batch)

    def _is_wanted(self, block: int) -> bool:
        return bool(self._wanted[block >> 3] >> block % 8 & 1)

    def _clear(self, block: int) -> None:
        self._wanted[block >> 3] &= ~(1 << block % 8) & 0xFF
