"""The verifier once more, in the plainest Python: the second opinion that the Rust one is compared with.

Written from the decision table of components/bootloader_support/src/esp_image_format.c, for every mode, both builds and
the releases that differ. Of signatures it knows one scheme. It knows nothing of logs and fields: codes and numbers are
its whole answer.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

OK, FAIL, INVALID_ARG, INVALID, FLASH_OP_FAIL = 0, -1, 0x102, 0x2002, 0x6001


@dataclass(frozen=True)
class ModelChip:
    chip_id: int
    bootloader: int
    mapped: tuple[tuple[int, int], ...]
    configurable: bool
    wide: bool
    window: int
    iram: tuple[int, int]
    dram: tuple[int, int]
    others: tuple[tuple[int, int], ...]
    alias: tuple[int, int, int]  # instruction side, data side, length
    stack: int
    text: tuple[int, int]
    data: tuple[int, int]
    inverted: bool = False


MODEL_CHIPS = {
    "esp32": ModelChip(
        0,
        0x1000,
        ((0x3F400000, 0x3F800000), (0x400D0000, 0x40400000)),
        configurable=False,
        wide=False,
        window=0x320000,
        iram=(0x40080000, 0x400AA000),
        dram=(0x3FFAE000, 0x40000000),
        others=((0x400C0000, 0x400C2000), (0x3FF80000, 0x3FF82000), (0x50000000, 0x50002000)),
        alias=(0x400A0000, 0x3FFE0000, 0x20000),
        stack=0x3FFE3F20,
        text=(0x40078000, 0x40080000),
        data=(0x3FFF0000, 0x3FFF6000),
        inverted=True,
    ),
    "esp32c3": ModelChip(
        5,
        0,
        ((0x3C000000, 0x3C800000), (0x42000000, 0x42800000)),
        configurable=False,
        wide=False,
        window=0x800000,
        iram=(0x4037C000, 0x403E0000),
        dram=(0x3FC80000, 0x3FCE0000),
        others=((0x50000000, 0x50002000),),
        alias=(0x40380000, 0x3FC80000, 0x60000),
        stack=0x3FCDE710,
        text=(0x403CE710, 0x403D5710),
        data=(0x3FCD5710, 0x3FCDA710),
    ),
    "esp32c6": ModelChip(
        13,
        0,
        ((0x42000000, 0x43000000),),
        configurable=True,
        wide=False,
        window=0x1000000,
        iram=(0x40800000, 0x40880000),
        dram=(0x40800000, 0x40880000),
        others=((0x50000000, 0x50004000),),
        alias=(0x40800000, 0x40800000, 0x80000),
        stack=0x4087E610,
        text=(0x4086E610, 0x40875610),
        data=(0x40875610, 0x4087A610),
    ),
    "esp32p4": ModelChip(
        18,
        0x2000,
        ((0x40000000, 0x44000000), (0x48000000, 0x4C000000)),
        configurable=False,
        wide=True,
        window=0x4000000,
        iram=(0x4FF00000, 0x4FFC0000),
        dram=(0x4FF00000, 0x4FFC0000),
        others=((0x50108000, 0x50110000), (0x30100000, 0x30102000)),
        alias=(0x4FF00000, 0x4FF00000, 0xC0000),
        stack=0x4FFBCFC0,
        text=(0x4FFADFC0, 0x4FFB5FC0),
        data=(0x4FFB5FC0, 0x4FFBAFC0),
    ),
}


class Refused(Exception):
    """The answer is no; the code is its argument."""


class Asserted(Exception):
    """There is no answer: the chip resets."""


def need(holds: bool, code: int) -> None:
    if not holds:
        raise Refused(code)


def within(spans: tuple[tuple[int, int], ...], address: int) -> bool:
    return any(low <= address < high for low, high in spans)


def meets(a: tuple[int, int], low: int, high: int) -> bool:
    return a[0] < high and low < a[1]


def loadable(chip: ModelChip, low: int, high: int, stack_end: int = 0, *, again: bool = True) -> bool:
    def inside(span: tuple[int, int]) -> bool:
        return span[0] <= low and high <= span[1]

    iram, dram, length = chip.alias
    if low >= high:
        return False
    if inside(chip.dram):
        # the stack in use is this package's own assumption: 0x400 bytes
        if meets((chip.stack - 0x8400, stack_end or chip.stack), low, high) or meets(chip.data, low, high):
            return False
        here, there = dram, iram
    elif inside(chip.iram):
        if meets(chip.text, low, high):
            return False
        here, there = iram, dram
    else:
        return any(inside(span) for span in chip.others)
    if not again or not meets((here, here + length), low, high):
        return True
    ends = [max(low, here) - here, min(high, here + length) - here]
    if chip.inverted:
        ends = [length - end - 4 for end in reversed(ends)]
    return loadable(chip, there + ends[0], there + ends[1], stack_end, again=False)


@dataclass(frozen=True)
class Build:
    """Who looks: chip, fuses, options, mode."""

    chip: ModelChip
    bootloader: bool = False  # the build, not the image
    mode: str = "verify"
    revision: int = 0
    block_revision: int = 0
    no_max_revision: bool = False
    no_max_block: bool = False
    secure_version: int = 0
    secure_boot_en: bool = False
    fuse_digests: tuple[bytes, ...] = ()
    recovery_sector: int = 0
    version: tuple[int, int, int] = (6, 2, 0)
    page: int | None = None
    signed: bool = False  # apps are signed: room is kept
    checks: bool = False  # and this build looks
    v2: bool = False
    anti_rollback: bool = False
    debugger: bool = False
    deep_sleep: bool = False
    extra_bootloader: int | None = None
    running_digests: tuple[bytes, ...] = ()

    def has(self, *releases: tuple[int, int, int]) -> bool:
        """Whether the release has what these brought, the newest line last."""
        same = [release for release in releases if release[:2] == self.version[:2]]
        return self.version >= releases[-1] or any(self.version >= release for release in same)


@dataclass
class Answer:
    """What came of it."""

    code: int = OK
    asserted: bool = False
    image_len: int = 0
    secure_version: int = 0
    page: int = 0
    segments: list[tuple[int, int]] = field(default_factory=list)


def verify(flash: bytes, offset: int, size: int, build: Build) -> Answer:
    """``esp_image_verify``, ``bootloader_load_image`` or ``esp_image_get_metadata``."""
    walk = _Walk(flash, offset, size, build)
    try:
        walk.run()
    except Refused as refused:
        partial = walk.answer if build.mode == "metadata" else Answer()
        partial.code = refused.args[0]
        return partial
    except Asserted:
        return Answer(asserted=True)
    return walk.answer


class _Walk:
    def __init__(self, flash: bytes, offset: int, size: int, build: Build) -> None:
        self.flash, self.offset, self.size, self.build, self.chip = flash, offset, size, build, build.chip
        self.answer = Answer()
        self.loads = build.mode.startswith("load")
        self.verifies = build.mode in {"verify", "verify_silent", "load"}
        self.newest = build.has((6, 2, 0))
        wide = self.chip.wide and build.has((5, 3, 4), (5, 4, 2), (5, 5, 0))
        self.limit = 0xFFFFFFFF if wide else 0x1000000
        self.reach = len(flash) if wide else min(len(flash), 0x1000000)
        small = {1: 0x4000, 2: 0x8000}.get(len(flash) >> 20) if self.chip.chip_id in {12, 13} else None
        self.page = build.page or small or 0x10000
        self.mapped, self.window = self.chip.mapped, self.chip.window
        if self.chip.chip_id in {13, 16, 25}:  # 256 pages of whatever size
            low = self.chip.mapped[0][0]
            self.mapped, self.window = ((low, low + 256 * self.page),), 256 * self.page
        elsewhere = {build.extra_bootloader}
        if self.chip.chip_id == 18 and build.recovery_sector not in {0, 0xFFF}:
            elsewhere.add(build.recovery_sector * 0x1000)
        self.of_bootloader = offset == self.chip.bootloader or (build.has((5, 5, 0)) and offset in elsewhere)
        self.total = 0xEF

    def read(self, at: int, length: int) -> bytes:
        need(at + length <= len(self.flash), FLASH_OP_FAIL if self.build.bootloader else INVALID_ARG)
        return self.flash[at : at + length]

    def run(self) -> None:
        build, answer = self.build, self.answer
        need(self.size <= self.limit, INVALID_ARG)
        head = self.read(self.offset, 24)
        self.judge_header(head)
        at = self.offset + 24
        for index in range(head[1]):
            at = self.segment(index, at)
            answer.image_len = (at - self.offset) % 2**32
        answer.image_len = (at - self.offset) % 2**32
        need(at >= self.offset, INVALID)
        end = at + 16 - (at - self.offset) % 16
        if self.verifies:
            stored = self.read(at, end - at)[-1]
            need(build.debugger or stored == self.total, INVALID)
        answer.image_len = end - self.offset
        self.hash_and_signature(end, appended=head[23] != 0)
        if self.loads and self.rolls_back():
            need(answer.secure_version >= build.secure_version, FAIL)

    def rolls_back(self) -> bool:
        return self.build.anti_rollback and self.build.has((4, 4, 7), (5, 0, 7), (5, 1, 4), (5, 2, 1), (5, 3, 0))

    def judge_header(self, head: bytes) -> None:
        build = self.build
        chip_id, _, min_rev, max_rev = struct.unpack("<HBHH", head[12:19])
        need(head[0] == 0xE9 or not (self.verifies or self.newest), INVALID)
        if self.verifies:
            need(chip_id == self.chip.chip_id, FAIL)
            if build.has((4, 3, 5), (4, 4, 5), (5, 0, 1)):
                need(build.revision >= min_rev, FAIL)
                spared = self.of_bootloader and build.has((5, 5, 0))
                unbound = spared or build.no_max_revision or max_rev in {0, 0xFFFF}
                need(unbound or build.revision <= max_rev, FAIL)
            else:
                need(self.old_revision() >= head[14], FAIL)
        need(head[1] <= 16 or not (self.verifies or self.newest), INVALID)

    def old_revision(self) -> int:
        """The one number that a chip's revision once was: of these three the major, of the others the minor one."""
        major, minor = divmod(self.build.revision, 100)
        if self.chip.chip_id not in {0, 5} and not self.build.has((4, 4, 4)):
            return 0
        return major if self.chip.chip_id in {0, 2, 16} else minor

    def segment(self, index: int, at: int) -> int:
        address, length = struct.unpack("<II", self.read(at, 8))
        data = (at + 8) % 2**32
        need(length % 4 == 0 and length < self.limit, INVALID)
        if index == 0:
            self.answer.page = self.page
        app = index == 0 and not self.of_bootloader
        if app and self.newest:
            need(length >= 256, INVALID)
        if app and self.chip.configurable and self.build.has((5, 4, 0)):
            magic, exponent = self.read(data, 4), self.read(data + 180, 4)[0]
            need(magic == b"\x32\x54\xcd\xab", FAIL)
            if 13 <= exponent <= 18 or (exponent and not self.newest):
                self.answer.page = 1 << exponent % 32
        mapped = within(self.mapped, address)
        need(not mapped or data % self.answer.page == address % self.answer.page, INVALID)
        rtc = [span for span in self.chip.others if span[0] != 0x30100000]
        load = self.loads and not mapped and address >= 0x10000000
        load = load and not (self.build.deep_sleep and within(tuple(rtc), address))
        if load and length:
            self.judge_load(address, length)
        if (load or self.verifies) and length:
            self.process(data, length, app=app)
        self.answer.segments.append((address, length))
        return (data + length) % 2**32

    def judge_load(self, address: int, length: int) -> None:
        end = (address + length) % 2**32
        low, high = (number - 2**32 if number >= 2**31 else number for number in (address, end))
        if high <= low:
            raise Asserted
        # Before v4.4.3 the C3's release took the stack to end elsewhere.
        older = 0x3FCEBF10 if self.chip.chip_id == 5 and not self.build.has((4, 4, 3)) else 0
        need(loadable(self.chip, address, end, older), INVALID)

    def process(self, data: int, length: int, *, app: bool) -> None:
        first = min(length, self.window - (self.page if data % self.page else 0))
        need(data + first <= self.reach, FAIL)
        if app and self.verifies:
            self.judge_app_desc(self.flash[data : data + 256], length)
        need(data + length <= self.reach, FAIL)
        if self.verifies:
            for byte in self.flash[data : data + length]:
                self.total ^= byte

    def judge_app_desc(self, desc: bytes, length: int) -> None:
        build = self.build
        desc = desc + bytes(256 - len(desc))
        blocks = build.has((5, 1, 7), (5, 2, 3), (5, 3, 2), (5, 4, 0))
        if self.chip.chip_id and blocks:
            least, most = struct.unpack("<HH", desc[176:180])
            need(least in {0, 0xFFFF} or build.block_revision >= least, FAIL)
            need(most in {0, 0xFFFF} or build.no_max_block or build.block_revision <= most, FAIL)
        if self.rolls_back():
            if desc[:4] != b"\x32\x54\xcd\xab":
                raise Asserted
            if length < 8 and not self.newest:
                raise Asserted
            self.answer.secure_version = int.from_bytes(desc[4:8], "little")

    def hash_and_signature(self, end: int, *, appended: bool) -> None:
        build, answer, stored = self.build, self.answer, b""
        if appended:
            if self.verifies or build.mode == "metadata":
                stored = self.read(end, 32)
            end += 32
        length = answer.image_len = end - self.offset
        padded = (length + 0xFFF) // 0x1000 * 0x1000
        keeps_room = build.signed and build.has((4, 4, 3), (5, 0, 0)) and (build.v2 or not self.of_bootloader)
        need((padded + 0x1000 if keeps_room else length) <= self.size, INVALID)
        if not self.verifies or (self.of_bootloader and not build.v2):
            return
        if build.checks:
            if not (build.debugger and build.bootloader and not build.secure_boot_en):
                sector = self.read(self.offset + padded, 0x1000)
                need(self.is_signed(sector, self.flash[self.offset : self.offset + padded]), INVALID)
                answer.image_len = padded + 0x1000
        elif appended and not build.debugger:
            need(hashlib.sha256(self.flash[self.offset : end - 32]).digest() == stored, INVALID)

    def is_signed(self, sector: bytes, body: bytes) -> bool:
        """One block, ECDSA P-256."""
        block, build = sector[:1216], self.build
        if block[:2] != b"\xe7\x03" or block[36] != 2:
            return False
        if zlib.crc32(block[:1196]) != int.from_bytes(block[1196:1200], "little"):
            return False
        trusted = build.fuse_digests if build.bootloader or build.secure_boot_en else build.running_digests
        if not (build.bootloader or build.v2):
            trusted = trusted[:1]  # signed apps without hardware secure boot: the first key, and the first block, alone
        own = hashlib.sha256(block[36:101]).digest()
        # The first boot of a chip trusts the keys that come with the image.
        first_boot = build.bootloader and not trusted and not build.secure_boot_en
        if own not in trusted and not first_boot:
            return False
        x, y, r, s = (int.from_bytes(block[at : at + 32], "little") for at in (37, 69, 101, 133))
        digest = hashlib.sha256(body).digest()
        try:
            key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
            key.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        except (InvalidSignature, ValueError):
            return False
        return True
