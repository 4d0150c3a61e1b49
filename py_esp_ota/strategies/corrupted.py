"""Images with one fault, which they say: what was done, and what the judge has to answer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Literal

from hypothesis import strategies as st

from py_esp_ota import firmware
from py_esp_ota._core import Target, Verdict, inspect_image
from py_esp_ota.errors import EspErr
from py_esp_ota.firmware import CHIPS, flipped, resealed, rewritten
from py_esp_ota.strategies.apps import READS_PAGE_SIZE, App, apps, signing
from py_esp_ota.strategies.arguments import need, some_of
from py_esp_ota.strategies.bench import Bench
from py_esp_ota.strategies.shown import Image
from py_esp_ota.strategies.sizes import SCHEMES, AppOptions

FoundBy = Literal["inspect", "verify", "load"]


@dataclass(frozen=True, slots=True)
class ImageFault:
    """What is wrong with an image.

    ``what`` tells in words what was done; ``err`` is what the chip returns, and ``field`` what it means. ``found_by``
    is the first that can see it: a look at the file alone (``inspect_image``), an app's ``esp_image_verify`` on the
    chip of the bench, or the bootloader as it loads. With ``crashes`` the chip of the bench has a release that does not
    refuse it: it answers nothing and resets (``Verdict.crash``).
    """

    kind: str
    what: str
    err: EspErr
    field: str
    found_by: FoundBy
    crashes: bool = False

    def __repr__(self) -> str:
        """An expression: an ``EspErr`` shows itself with its number, and is none."""
        crashes = ", crashes=True" if self.crashes else ""
        seen = f"{self.field!r}, {self.found_by!r}{crashes}"
        return f"ImageFault({self.kind!r}, {self.what!r}, EspErr.{self.err.name}, {seen})"


@dataclass(frozen=True, slots=True)
class CorruptedImage:
    """``data`` with ``fault``, to be judged on ``bench``.

    It prints as an expression that gives exactly this one again, where ``EspErr`` and everything of
    ``py_esp_ota.strategies`` are imported.
    """

    data: bytes
    fault: ImageFault
    bench: Bench

    def __repr__(self) -> str:
        return f"CorruptedImage({Image(self.data)!r}, {self.fault!r}, {self.bench!r})"

    def faults(self) -> list[tuple[EspErr, str]]:
        """What our own judge says: codes and fields, by the first look that can see the fault.

        A look at the file names everything that is wrong, the chip's two looks stop at the first.
        """
        if self.fault.found_by == "inspect":
            return [(fault.err, fault.field) for fault in inspect_image(self.data, chip=self.bench.chip).faults]
        verdict = self.verdict()
        return [(verdict.fault.err, verdict.fault.field)] if verdict.fault else []

    def verdict(self) -> Verdict:
        """What the chip says: the bootloader where only it can see the fault, else the app."""
        look = self.bench.load if self.fault.found_by == "load" else self.bench.verify
        return look(self.data)


@dataclass(frozen=True, slots=True)
class _Spoiled:
    """One fault made: the file, the words, what is expected, and the bench when it is no ordinary one."""

    data: bytes
    what: str
    field: str
    err: EspErr = EspErr.ESP_ERR_IMAGE_INVALID
    found_by: FoundBy = "inspect"
    bench: Bench | None = None
    crashes: bool = False


_Spoiler = Callable[[st.DrawFn, App], _Spoiled]

_OTHER_BYTES = st.sampled_from([byte for byte in range(256) if byte != firmware.IMAGE_MAGIC])

# ----------------------------------------------------------------------------------------------------------- the header


def _magic(draw: st.DrawFn, app: App) -> _Spoiled:
    byte = draw(_OTHER_BYTES)
    data = app.file(_rehashed(app, rewritten(app.plain(), magic=byte)))
    return _Spoiled(data, f"the first byte is 0x{byte:02x}", "magic")


def _chip_id(draw: st.DrawFn, app: App) -> _Spoiled:
    own = firmware.layout_of(app.chip).chip_id
    others = [firmware.layout_of(chip).chip_id for chip in CHIPS if chip != app.chip]
    other = draw(st.sampled_from([*others, 1, 0x63, 0xFFFF]))
    what = f"the chip id is {other} instead of {own}"
    data = app.file(resealed(rewritten(app.plain(), chip_id=other)))
    return _Spoiled(data, what, "chip_id", EspErr.ESP_FAIL)


def _min_revision(draw: st.DrawFn, app: App) -> _Spoiled:
    revision = Target(app.chip).default_chip_revision
    least = draw(st.integers(revision + 1, 0xFFFF))
    data = app.file(resealed(rewritten(app.plain(), min_chip_rev_full=least)))
    what = f"it needs revision {least}, and the chip has {revision}"
    return _Spoiled(data, what, "min_chip_rev_full", EspErr.ESP_FAIL, "verify")


def _max_revision(draw: st.DrawFn, app: App) -> _Spoiled:
    most = draw(st.integers(1, 0xFFFD))
    data = app.file(resealed(rewritten(app.plain(), min_chip_rev_full=0, max_chip_rev_full=most)))
    what = f"it takes revisions up to {most}, and the chip has {most + 1}"
    return _Spoiled(
        data, what, "max_chip_rev_full", EspErr.ESP_FAIL, "verify", Bench(chip=app.chip, chip_revision=most + 1)
    )


def _segment_count(draw: st.DrawFn, app: App) -> _Spoiled:
    count = draw(st.integers(17, 255))
    data = app.file(rewritten(app.plain(), segment_count=count))
    return _Spoiled(data, f"the header counts {count} segments", "segment_count")


# --------------------------------------------------------------------------------------------------------- the segments


def _data_len(draw: st.DrawFn, app: App) -> _Spoiled:
    index = draw(st.integers(0, len(app.segments) - 1))
    lengths = st.integers(0, 0x3FFFFF).map(lambda words: 4 * words + 1) | st.sampled_from((0xFFFFFFFF, 0xFFFFFF, 2))
    length = draw(lengths)
    data = app.file(rewritten(app.plain(), data_len={index: length}))
    return _Spoiled(data, f"segment {index} says it is {length} bytes long", f"segment {index} data_len")


def _short_desc(draw: st.DrawFn, app: App) -> _Spoiled:
    address, desc = app.segments[0]
    words = draw(st.integers(1, 63))
    short = replace(app, segments=((address, desc[: 4 * words]),))
    what = f"the first segment ends after {4 * words} bytes, within the app descriptor"
    return _Spoiled(short.file(short.plain()), what, "segment 0 data_len")


#: Anti-rollback builds of these read past a first segment of one word: the first of each line, and the last of all.
_READ_PAST = ((4, 4, 7), (5, 0, 7), (5, 1, 4), (5, 2, 1), (5, 3, 0), (6, 1, 0))


def _one_word(draw: st.DrawFn, app: App) -> _Spoiled:
    address, desc = app.segments[0]
    # The next segment's header stands where the secure version does, and is one: an address that nobody loads to.
    version = draw(st.integers(0, 16))
    segments = ((address, desc[:4]), (version, desc[12:]), *app.segments[1:])
    short = replace(app, segments=segments)
    bench = Bench(chip=app.chip, anti_rollback=True, idf_version=draw(st.sampled_from(_READ_PAST)))
    what = f"the first segment is the descriptor's magic word, and the next one's address its secure version, {version}"
    return _Spoiled(short.file(short.plain()), what, "segment 0 data_len", bench=bench, crashes=True)


def _app_desc(draw: st.DrawFn, app: App) -> _Spoiled:
    place = firmware.DESC_OFFSET + draw(st.integers(0, 3))
    data = app.file(resealed(flipped(app.plain(), place)))
    return _Spoiled(
        data, f"byte {place}, of the descriptor's magic word, is wrong", "app_desc magic_word", EspErr.ESP_FAIL
    )


def _congruence(draw: st.DrawFn, app: App) -> _Spoiled:
    address, _ = app.segments[0]
    # Less than the smallest MMU page there is.
    moved = address + 4 * draw(st.integers(1, 0x7F0))
    data = app.file(resealed(rewritten(app.plain(), load_addr={0: moved})))
    what = f"segment 0 goes to 0x{moved:08x}, which is not where its data stands within a page"
    return _Spoiled(data, what, "segment 0 load_addr")


#: ``SOC_ROM_STACK_START``: below it is the stack that the bootloader runs on.
_STACKS = {
    "esp32": 0x3FFE3F20,
    "esp32s2": 0x3FFFE70C,
    "esp32c3": 0x3FCDE710,
    "esp32s3": 0x3FCEB710,
    "esp32c2": 0x3FCDEB70,
    "esp32c6": 0x4087E610,
    "esp32h2": 0x4084F380,
    "esp32p4": 0x4FFBCFC0,
    "esp32c61": 0x4084E670,
    "esp32c5": 0x4085E5A0,
    "esp32h21": 0x4084F380,
    "esp32h4": 0x4085D350,
    "esp32s31": 0x2F07CFB0,
}
#: Addresses above the reserved ones that no chip has anything at.
_NOWHERE = (0x10000000, 0x1FFF0000)


def _load_range(draw: st.DrawFn, app: App) -> _Spoiled:
    stack = _STACKS[app.chip]
    address, why = draw(
        st.integers(1, 0x2000).map(lambda words: (stack - 4 * words & ~3, "the bootloader's own stack"))
        | st.sampled_from([(address, "no memory at all") for address in _NOWHERE])
    )
    return _loaded_to(app, address, b"\0" * 4, f"a segment goes to 0x{address:08x}, which is {why}")


def _load_wrap(draw: st.DrawFn, app: App) -> _Spoiled:
    # Where numbers without a sign wrap, and where those with one do, which the verifier asserts.
    top = draw(st.sampled_from((0x100000000, 0x80000000)))
    before, behind = draw(st.integers(1, 16)), draw(st.integers(1, 16))
    address, size = top - 4 * before, 4 * (before + behind)
    what = f"a segment of {size} bytes goes to 0x{address:08x} and wraps at 0x{top & 0xFFFFFFFF:x}"
    return _loaded_to(app, address, bytes(size), what)


def _loaded_to(app: App, address: int, data: bytes, what: str) -> _Spoiled:
    segments = (app.segments[0], (address, data))
    moved = replace(app, segments=segments)
    return _Spoiled(moved.file(moved.plain()), what, "segment 1 load_addr", found_by="load")


# ------------------------------------------------------------------------------------------------------- the descriptor


def _block_revision(draw: st.DrawFn, app: App) -> _Spoiled:
    address, desc = app.segments[0]
    least = draw(st.integers(1, 0xFFFE))
    described = firmware.app_desc("0", "0", min_efuse_blk_rev_full=least, max_efuse_blk_rev_full=0)
    newer = replace(app, segments=((address, described + desc[len(described) :]), *app.segments[1:]))
    what = f"it needs eFuse blocks of revision {least}, and the chip has 0"
    return _Spoiled(newer.file(newer.plain()), what, "min_efuse_blk_rev_full", EspErr.ESP_FAIL, "verify")


def _secure_version(draw: st.DrawFn, app: App) -> _Spoiled:
    address, desc = app.segments[0]
    burnt = draw(st.integers(1, 4))
    older = draw(st.integers(0, burnt - 1))
    described = firmware.app_desc("0", "0", secure_version=older)
    old = replace(app, segments=((address, described + desc[len(described) :]), *app.segments[1:]))
    what = f"its secure version is {older}, and the chip's eFuses say {burnt}"
    bench = Bench(chip=app.chip, secure_version=burnt)
    return _Spoiled(old.file(old.plain()), what, "secure_version", EspErr.ESP_FAIL, "load", bench)


# ------------------------------------------------------------------------------------------------------ sums, signature


#: Bytes of the descriptor that are asked for before the sums are: eFuse block revisions and the size of an MMU page.
_ASKED = range(176, 181)


def _checksum(draw: st.DrawFn, app: App) -> _Spoiled:
    plain = app.plain()
    end = len(plain) - (32 if app.hash_appended else 0)
    data = firmware.DESC_OFFSET + draw(st.integers(4, len(app.segments[0][1]) - 1).filter(lambda at: at not in _ASKED))
    place = draw(st.sampled_from((end - 1, data)))
    what = "the checksum byte is wrong" if place == end - 1 else f"byte {place}, of a segment, is wrong"
    return _Spoiled(app.file(_rehashed(app, flipped(plain, place))), what, "checksum")


def _rehashed(app: App, plain: bytes) -> bytes:
    """With the hash of what stands there, so that the checksum alone is wrong."""
    return firmware.rehashed(plain) if app.hash_appended else plain


def _hash(draw: st.DrawFn, app: App) -> _Spoiled:
    hashed = replace(app, hash_appended=True, key=None)
    plain = hashed.plain()
    place = draw(st.integers(0, 31))
    if draw(st.booleans()):
        # Two wrong bits in one column: the checksum, an XOR of bytes, does not see them.
        at = firmware.DESC_OFFSET + 0x50 + place
        return _Spoiled(
            hashed.file(flipped(plain, at, at + 32)), f"bytes {at} and {at + 32} are wrong in the same bit", "hash"
        )
    return _Spoiled(hashed.file(flipped(plain, place - 32)), f"byte {place} of the SHA-256 is wrong", "hash")


def _truncated(draw: st.DrawFn, app: App) -> _Spoiled:
    plain = app.plain()
    length = draw(st.integers(0, len(plain) - 1))
    what = f"the file ends after {length} of {len(plain)} bytes"
    return _Spoiled(plain[:length], what, _field_at(app, length))


def _field_at(app: App, length: int) -> str:
    """What a file that ends after ``length`` bytes ends in."""
    position = 24
    if length < position:
        return "image header"
    for index, (_, data) in enumerate(app.segments):
        if length < position + 8:
            return f"segment {index} header"
        position += 8 + len(data)
        if length < position:
            return f"segment {index} data"
    return "checksum" if length < position + 16 - position % 16 else "hash"


def _too_large(draw: st.DrawFn, app: App) -> _Spoiled:
    plain = app.plain()
    size = len(plain) - draw(st.integers(1, len(plain) - 1))
    what = f"it has {len(plain)} bytes, and its partition {size}"
    # A build without signatures looks at it: room for one would be asked for as well.
    return _Spoiled(app.file(plain), what, "image_len", found_by="verify", bench=Bench(chip=app.chip, size=size))


def _signature(draw: st.DrawFn, app: App) -> _Spoiled:
    """Another key, a byte of the signed image, or one of the block."""
    scheme = draw(st.sampled_from(SCHEMES[app.chip]))
    signed = replace(app, key=(scheme, 0), trailing=b"")
    bench = Bench(
        chip=app.chip,
        scheme=scheme,
        key_digests=(signing().public_key_digest(signing().example_key(scheme)),),
    )
    data = signed.file(signed.plain())
    how = draw(st.sampled_from(("fill", "block", "key", "unsigned")))
    sector = len(data) - 0x1000
    if how == "unsigned":
        data, what = data[:sector] + b"\xff" * 0x1000, "the signature sector is blank"
    elif how == "key":
        data, what = (
            replace(signed, key=(scheme, 1)).file(signed.plain()),
            "it is signed with a key that is not trusted",
        )
    elif how == "block":
        place = sector + draw(st.integers(0, 1199))
        data, what = flipped(data, place), f"byte {place}, of the signature block, is wrong"
    else:
        # What is behind the image and before its signature is signed too; an image that ends with its sector has none.
        data = signing().sign(signed.plain() + b"\xff", signing().example_key(scheme))
        sector = len(data) - 0x1000
        data, what = flipped(data, sector - 1), f"byte {sector - 1}, of the fill behind the image, is wrong"
    return _Spoiled(data, what, "signature", found_by="verify", bench=bench)


_SPOILERS: dict[str, _Spoiler] = {
    "magic": _magic,
    "chip_id": _chip_id,
    "min_revision": _min_revision,
    "max_revision": _max_revision,
    "segment_count": _segment_count,
    "data_len": _data_len,
    "short_desc": _short_desc,
    "one_word": _one_word,
    "app_desc": _app_desc,
    "congruence": _congruence,
    "load_range": _load_range,
    "load_wrap": _load_wrap,
    "block_revision": _block_revision,
    "checksum": _checksum,
    "hash": _hash,
    "truncated": _truncated,
    "too_large": _too_large,
    "signature": _signature,
    "secure_version": _secure_version,
}
#: Every kind of fault: one for each rule of the verifier that bytes, and not only a place in flash, can break.
FAULT_KINDS: tuple[str, ...] = tuple(_SPOILERS)

#: Of these, those that a file alone does not show: they are faults on one chip, and none on another.
DEVICE_FAULT_KINDS: tuple[str, ...] = (
    "min_revision",
    "max_revision",
    "load_range",
    "load_wrap",
    "block_revision",
    "too_large",
    "signature",
    "secure_version",
)
_IN_THE_FILE = tuple(kind for kind in FAULT_KINDS if kind not in DEVICE_FAULT_KINDS)

#: The chips on which a rule exists; all of them for a kind that is not here.
_ONLY_ON = {
    "app_desc": READS_PAGE_SIZE,
    "block_revision": tuple(chip for chip in CHIPS if chip != "esp32"),
    "signature": tuple(chip for chip in CHIPS if SCHEMES[chip]),
}


@st.composite
def corrupted_images(
    draw: st.DrawFn,
    *,
    chips: Collection[str] | None = None,
    faults: Collection[str] | None = None,
    signed: bool | None = False,
) -> CorruptedImage:
    """App images that a chip must refuse, each with exactly one fault, which it carries.

    Everything but the fault is right: sums and signatures are made over what stands there, so that a judge who forgets
    one rule lets it pass. They shrink to the smallest valid image with the smallest fault.

    Args:
        chips: ESP-IDF's names; all of them when not given.
        faults: of ``FAULT_KINDS``; when not given, those that a validator of files can see: all but
            ``DEVICE_FAULT_KINDS``.
        signed: whether the other faults are in signed images; ``None`` is either. A wrong signature needs one anyway,
            and a wrong hash an unsigned image, for where a signature is asked for no one compares the hash.

    Raises ``InvalidArgument`` when drawn from arguments that no such image meets.
    """
    kinds = some_of("faults", _IN_THE_FILE if faults is None else faults, FAULT_KINDS)
    wanted = some_of("chips", chips, CHIPS)
    able = {kind: tuple(chip for chip in wanted if chip in _ONLY_ON.get(kind, CHIPS)) for kind in kinds}
    known = [kind for kind in kinds if able[kind]]
    need(bool(known), f"no chip of {', '.join(wanted)} has a rule that {', '.join(kinds)} would break")
    kind = draw(st.sampled_from(known))
    app = draw(apps(AppOptions(chips=able[kind], signed=signed and kind != "signature")))
    spoiled = _SPOILERS[kind](draw, app)
    fault = ImageFault(kind, spoiled.what, spoiled.err, spoiled.field, spoiled.found_by, spoiled.crashes)
    return CorruptedImage(Image(spoiled.data), fault, spoiled.bench or Bench(chip=app.chip))
