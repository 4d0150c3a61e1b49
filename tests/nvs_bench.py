"""A bench for one NVS partition: a small flash, the operations of each action as address and bytes, power cuts."""

from __future__ import annotations

from itertools import pairwise
from zlib import crc32

from py_esp_ota._core import Flash, NvsHandle, NvsPartition, Partition
from py_esp_ota.errors import PowerLoss

PAGE = 4096
BASE = 0x9000


def crc(data: bytes) -> int:
    """The CRC of NVS."""
    return crc32(data, 0xFFFFFFFF)


def header(seq: int = 0, state: int = 0xFFFFFFFE, version: int = 0xFE) -> bytes:
    """A page's header."""
    body = seq.to_bytes(4, "little") + bytes([version]) + b"\xff" * 19
    return state.to_bytes(4, "little") + body + crc(body).to_bytes(4, "little")


def entry(ns: int, kind: int, span: int, key: bytes, data: bytes, chunk: int = 0xFF) -> bytes:
    """An entry that is a header, with its CRC."""
    head, rest = bytes([ns, kind, span, chunk]), key.ljust(16, b"\0") + data.ljust(8, b"\xff")
    return head + crc(head + rest).to_bytes(4, "little") + rest


def page(entries: list[bytes], **options: int) -> bytes:
    """A page whose entries are all written."""
    count = len(entries)
    codes = sum((2 if i < count else 3) << 2 * i for i in range(128)).to_bytes(32, "little")
    return (header(**options) + codes + b"".join(entries)).ljust(PAGE, b"\xff")


class Nvs:
    """A flash with one NVS partition of some pages; ``init()`` is what an app does after a reset."""

    def __init__(self, pages: int = 3, image: bytes = b"", *, strict: bool = True, readonly: bool = False, **options):
        self.part = Partition("nvs", 1, 2, BASE, pages * PAGE, readonly=readonly)
        self.flash = Flash.from_bytes(b"\xff" * BASE + image, size=0x100000, strict=strict)
        self.options = options

    def fork(self) -> Nvs:
        other = object.__new__(Nvs)
        other.part, other.flash, other.options = self.part, self.flash.fork(), self.options
        return other

    def init(self, **options) -> NvsPartition:
        return NvsPartition(self.flash, self.part, **(self.options | options))

    def open(self, namespace: str = "app", mode="readwrite") -> NvsHandle:
        return self.init().open(namespace, mode)

    @property
    def image(self) -> bytes:
        return self.part.read(self.flash, 0, self.part.size)

    def page(self, index: int = 0) -> bytes:
        return self.image[index * PAGE : (index + 1) * PAGE]

    def put(self, offset: int, data: bytes) -> None:
        """Change bytes past all rules of flash."""
        image = bytearray(self.flash.to_bytes())
        image[BASE + offset : BASE + offset + len(data)] = data
        self.flash = Flash.from_bytes(bytes(image), strict=self.flash.strict)

    def operations(self, action, *words) -> list[tuple[int, int]]:
        """What an action does to the flash: offset and length of each operation."""
        self.flash.record(True)
        try:
            action(*words)
            return [(op.address - BASE, op.length) for op in self.flash.journal()]
        finally:
            self.flash.record(False)

    def writes(self, action, *words) -> int:
        """How many writes and erases an action is to ``esp_partition``: a write that crosses a page of flash is one."""
        operations = self.operations(action, *words)
        joins = [a + n == b and b % 256 == 0 and b % PAGE > 0 for (a, n), (b, _) in pairwise(operations)]
        return len(operations) - sum(joins)

    def operations_of(self, action) -> list[tuple[int, int]]:
        """The same for an action on the open namespace."""
        return self.operations(action, self.open())


def cut(nvs: Nvs, action, operation: int, *, torn: bool = False) -> bool:
    """Let an action run until the power goes; power is back afterwards. True when the cut fell into it."""
    handle = nvs.open()
    nvs.flash.fault = f"cut@{operation}" + ":torn" * torn
    try:
        action(handle)
    except PowerLoss:
        return True
    finally:
        nvs.flash.fault = ""
        nvs.flash.power_on()
    return False
