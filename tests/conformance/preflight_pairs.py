"""Random pairs of a board and an update, and what comes of each by a way of its own: bytes put in place, then ``boot``.

    python tests/conformance/preflight_pairs.py --pairs 10000 --seed 7

The truth does not go through ``esp_ota_ops``: the slot is reckoned from the rows, the image is written as a programmer
writes it, otadata is made here, the app's own look at the image is asked for alone, and ``boot`` says what starts.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from zlib import crc32

from py_esp_ota import firmware, signing
from py_esp_ota._core import EFuse, Flash, FlashCrypt, Partition, PartitionTable, Target
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.cli.work_options import executor
from py_esp_ota.field.preflight.board import Board
from py_esp_ota.field.preflight.preflight import preflight
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.work import Work, run

CHIPS = ("esp32c3", "esp32c3", "esp32", "esp32s3", "esp32c6", "esp32c2", "esp32s2", "esp32h2", "esp32p4", "esp32c5")
RELEASES = (
    (4, 3, 7),
    (4, 4, 2),
    (4, 4, 8),
    (5, 0, 2),
    (5, 1, 3),
    (5, 3, 1),
    (5, 4, 0),
    (5, 5, 2),
    (6, 1, 0),
    (6, 2, 0),
)
NEW, PENDING, VALID, INVALID, ABORTED, UNDEFINED = 0, 1, 2, 3, 4, 0xFFFFFFFF
BLANK, SECTOR, SIZE = 0xFFFFFFFF, 0x1000, 0x200000
ROLLBACK = b"Running app has not confirmed state (ESP_OTA_IMG_PENDING_VERIFY)\0"
WRITES = b"OTA image has invalid magic byte (expected 0xE9, saw 0x%02x)\0"
SCHEMES = ("rsa3072", "ecdsa256")


@dataclass(frozen=True)
class Pair:
    """One board, and one update for it."""

    board: Board
    image: bytes
    kind: str


@cache
def key(scheme: str, number: int) -> bytes:
    return signing.generate_key(scheme) if number else signing.example_key(scheme)


@cache
def app(chip: str, secure_version: int = 0, release: str = "v6.1", texts: bytes = b"", size: int = 0x4000) -> bytes:
    made = Firmware("bench", f"v{secure_version}", chip=chip, secure_version=secure_version, idf_ver=release)
    return replace(made, payload=texts, size=size).to_bytes()


@cache
def signed(image: bytes, scheme: str, number: int) -> bytes:
    return signing.sign(image, key(scheme, number))


def some_entry(chance: random.Random, slots: int) -> bytes:
    if chance.random() < 0.25:
        return b"\xff" * 32
    seq = chance.choice([1, 1, 2, 2, 3, 4, 5, 6, chance.getrandbits(16) + slots])
    state = chance.choice([NEW, PENDING, VALID, VALID, VALID, INVALID, ABORTED, UNDEFINED])
    made = bytearray(firmware.ota_select_entry(seq, state))
    if chance.random() < 0.1:
        made[28] ^= 1
    return bytes(made)


def some_table(chance: random.Random) -> list[Partition]:
    kinds = [(0, 0, "factory")] * (chance.random() < 0.6)
    kinds += [(0, 0x10 + slot, f"ota_{slot}") for slot in range(chance.choice([0, 1, 2, 2, 2, 2, 2, 3, 4]))]
    if chance.random() < 0.05 and len(kinds) > 2:
        kinds.pop(chance.randrange(1, len(kinds)))  # a gap
    rows = [Partition("nvs", 1, 2, 0x11000, 0x4000)]
    if chance.random() < 0.95:
        rows.append(Partition("otadata", 1, 0, 0x15000, 0x2000))
    at = 0x20000
    for kind, subtype, label in kinds:
        size = chance.choice([0x10000, 0x10000, 0x20000, 0x4000, 0x6000])
        rows.append(Partition(label, kind, subtype, at, size))
        at += 0x20000
    return rows


def some_image(chance: random.Random, chip: str, scheme: str | None) -> tuple[bytes, str]:
    """An update for that chip, or one that is not."""
    sound = app(chip, chance.choice([0, 0, 1, 2, 3]), chance.choice(["v6.1", "v5.1.2", "v4.4.6", "mine"]))
    kinds = {
        "sound": lambda: sound,
        "large": lambda: app(chip, size=chance.choice([0x5000, 0x7000, 0xF000, 0x1F000, 0x21000])),
        "flipped": lambda: firmware.flipped(sound, chance.randrange(len(sound))),
        "cut": lambda: sound[: chance.randrange(1, len(sound))],
        "other chip": lambda: app(chance.choice([one for one in CHIPS if one != chip])),
        "revision": lambda: firmware.rewritten(sound, min_chip_rev_full=chance.choice([0, 1, 199, 301, 400])),
        "upper revision": lambda: firmware.rewritten(sound, max_chip_rev_full=chance.choice([0, 1, 3, 100, 65535])),
        "block": lambda: replace(
            Firmware("bench", "v0", chip=chip),
            min_efuse_blk_rev_full=chance.choice([0, 1, 100]),
            max_efuse_blk_rev_full=chance.choice([0, 1, 99, 199]),
        ).to_bytes(),
        "load address": lambda: firmware.rewritten(
            sound,
            load_addr={chance.randrange(3): chance.choice([0, 4, 0x40000000, 0x3FFF0000, 0x4037C000, 0x60000000])},
        ),
        "length": lambda: firmware.rewritten(sound, data_len={0: chance.choice([4, 255, 256, 0x10, 0xFFFFFFFC])}),
        "no hash": lambda: replace(Firmware("bench", "v0", chip=chip), hash_appended=False).to_bytes(),
        "bootloader": lambda: firmware.bootloader(chip=chip),
        "noise": lambda: chance.randbytes(chance.choice([1, 23, 24, 300, 5000])),
        "begins well": lambda: b"\xe9" + chance.randbytes(400),
        "more behind": lambda: sound + chance.choice([b"\xff", b"\0"]) * chance.choice([1, 16, 0x1000, 0x9000]),
        "other project": lambda: Firmware("other", "v0", chip=chip).to_bytes(),
    }
    name = chance.choice(["sound"] * 8 + list(kinds))
    image = kinds[name]()
    if scheme is not None and chance.random() < 0.85 and image[:1] == b"\xe9" and len(image) % 16 == 0:
        number = chance.choice([0, 0, 0, 1])
        try:
            return signed(image, scheme, number), f"{name}, signed by {number}"
        except ValueError:
            return image, name
    return image, name


def some_config(chance: random.Random, scheme: str | None) -> Sdkconfig:
    rollback = chance.random() < 0.7
    config = Sdkconfig(
        idf_version=chance.choice(RELEASES),
        partition_table_offset=0x10000,
        bootloader_app_rollback_enable=rollback,
        bootloader_app_anti_rollback=rollback and chance.random() < 0.4,
        bootloader_skip_validate_always=scheme is None and chance.random() < 0.1,
    )
    if scheme is None:
        return config
    scheme_of = "secure_signed_apps_rsa_scheme" if scheme == "rsa3072" else "secure_signed_apps_ecdsa_v2_scheme"
    return replace(config, secure_boot=True, secure_boot_v2_enabled=True, **{scheme_of: True})


def some_efuse(chance: random.Random, chip: str, scheme: str | None) -> EFuse:
    options: dict[str, object] = {}
    if scheme is not None:
        options |= {"secure_boot_en": True, "key_digests": [signing.public_key_digest(key(scheme, 0))]}
    elif chance.random() < 0.15 and chip not in {"esp32", "esp32c2"}:
        options |= {"flash_encryption_key": chance.randbytes(32), "flash_crypt_cnt": 1}
    return EFuse(
        chip,
        secure_version=chance.choice([0, 0, 0, 1, 2]),
        block_revision=chance.choice([0, 0, 0, 0, 1, 100]),
        chip_revision=chance.choice([*[None] * 9, 0, 3, 101, 301]),
        **options,
    )


def some_pair(chance: random.Random) -> Pair:
    chip = chance.choice(CHIPS)
    scheme = chance.choice(SCHEMES) if chip in {"esp32c3", "esp32c6"} and chance.random() < 0.25 else None
    if chip == "esp32c3" and scheme is not None:
        scheme = "rsa3072"
    rows, config, efuse = some_table(chance), some_config(chance, scheme), some_efuse(chance, chip, scheme)
    texts = chance.choice([b"", b"", ROLLBACK + WRITES, WRITES])
    parts = {0x10000: PartitionTable(rows).to_bytes()}
    for row in rows:
        if (row.type, row.subtype) == (1, 0):
            parts[row.offset] = some_entry(chance, 2)
            parts[row.offset + SECTOR] = some_entry(chance, 2)
        elif row.type == 0 and chance.random() < 0.92:
            held = app(chip, chance.choice([0, 1, 2]), chance.choice(["v6.1", "v5.1.2", "v4.4.6", "mine"]), texts)
            held = held if scheme is None or chance.random() < 0.1 else signed(held, scheme, 0)
            held = firmware.flipped(held, 0x300) if chance.random() < 0.1 else held
            if len(held) <= row.size:
                parts[row.offset] = held
    flash = Flash.from_bytes(_encrypted(firmware.merge(parts), efuse), size=SIZE)
    flash.encryption = FlashCrypt.of_efuse(efuse)
    image, kind = some_image(chance, chip, scheme)
    board = Board(
        name="dump", flash=flash, target=Target(chip), efuse=efuse, knows_efuse=True, config=config,
        says_config=True, says_rollback=True, release="said", end=SIZE,
    )  # fmt: skip
    return Pair(board, image, kind)


def _encrypted(plain: bytes, efuse: EFuse) -> bytes:
    crypt = FlashCrypt.of_efuse(efuse)
    if crypt is None:
        return plain
    padded = plain.ljust(-(-len(plain) // SECTOR) * SECTOR, b"\xff")
    return crypt.encrypt(0, padded)


# ---------------------------------------------------------------------------------------------------------------- truth


def truth(pair: Pair) -> str | None:
    """The label of the slot in which the update runs, ``None`` when it is refused."""
    board, config = pair.board, pair.board.config
    chip = Chip(board.target.name, flash=board.flash.fork(), efuse=board.efuse.copy())
    first = boot(chip, config)
    if first.partition is None:
        return None
    shown = _texts_of(board, first.partition)
    app_config = replace(config, idf_version=_release_of(board, first.partition) or config.idf_version)
    if shown is not None:
        anti = app_config.bootloader_app_anti_rollback and shown
        app_config = replace(app_config, bootloader_app_rollback_enable=shown, bootloader_app_anti_rollback=anti)
    slot = _next(board, first.partition.offset)
    if slot is None or len(pair.image) > slot.size or not pair.image.startswith(b"\xe9"):
        return None
    if (count := _gapless(board)) <= slot.subtype - 0x10 or (otadata := _otadata(board)) is None:
        return None
    _put(chip.flash, slot.offset, pair.image, slot.size)
    verdict = chip.verify_image(slot, build="app", mode="verify", config=app_config, running=first.partition)
    if verdict.err or verdict.assertion or verdict.crash:
        return None
    if app_config.bootloader_app_anti_rollback:
        chip.efuse.burn_secure_version(_burnt(chip, first, app_config))
        if _secure_version(pair.image) < chip.efuse.secure_version:
            return None
    if app_config.bootloader_app_rollback_enable and _stays_on_trial(chip.flash, otadata, first.partition, count):
        return None
    _choose(chip.flash, otadata, slot.subtype - 0x10, count, app_config)
    chip.reset_reason = ResetReason.SW
    second = boot(chip, config)
    started = second.partition
    return slot.label if started is not None and started.offset == slot.offset else None


def _rows(board: Board) -> list[Partition]:
    return list(PartitionTable.from_bytes(board.flash.mmap(0x10000, 0xC00)))


def _slots(board: Board) -> list[Partition]:
    return sorted(
        (row for row in _rows(board) if row.type == 0 and 0x10 <= row.subtype < 0x20), key=lambda r: r.subtype
    )


def _next(board: Board, running: int) -> Partition | None:
    """The slot behind the running one, else the first. An update of oneself is none."""
    slots = _slots(board)
    places = [row.offset for row in slots]
    if not slots or places == [running]:
        return None
    return slots[(places.index(running) + 1) % len(slots)] if running in places else slots[0]


def _gapless(board: Board) -> int:
    subtypes = {row.subtype for row in _slots(board)}
    return next(count for count in range(17) if 0x10 + count not in subtypes)


def _otadata(board: Board) -> int | None:
    return next((row.offset for row in _rows(board) if (row.type, row.subtype) == (1, 0)), None)


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _texts_of(board: Board, row: Partition) -> bool | None:
    data = board.flash.mmap(row.offset, row.size)
    return True if ROLLBACK in data else False if WRITES in data else None


def _release_of(board: Board, row: Partition) -> tuple[int, int, int] | None:
    text = board.flash.mmap(row.offset + 0x90, 32).split(b"\0")[0].decode()
    known = {"v6.1": (6, 1, 0), "v5.1.2": (5, 1, 2), "v4.4.6": (4, 4, 6)}
    return known.get(text)


def _secure_version(image: bytes) -> int:
    return _word(image, 0x24)


def _burnt(chip: Chip, first: object, config: Sdkconfig) -> int:
    """What is burnt when the update is chosen: an app that was on trial has confirmed itself, and burnt its own."""
    burnt = chip.efuse.secure_version
    partition, state = first.partition, first.state  # type: ignore[attr-defined]
    if state == "PENDING_VERIFY" and config.bootloader_app_rollback_enable:
        burnt = max(burnt, _secure_version(chip.flash.mmap(partition.offset, 0x40)))
    return burnt


def _put(flash: Flash, at: int, data: bytes, room: int) -> None:
    flash.erase(at, room)
    padded = data.ljust(-(-len(data) // 16) * 16, b"\xff")
    flash.program_encrypted(at, padded)


def _sound(entry: bytes) -> bool:
    seq = entry[:4]
    out = _word(entry, 0) == BLANK or _word(entry, 24) in {INVALID, ABORTED}
    return not out and crc32(seq, 0xFFFFFFFF) == _word(entry, 28)


def _choose(flash: Flash, otadata: int, slot: int, count: int, config: Sdkconfig) -> None:
    """An entry that wins: the least number not below the highest that counts, in the class of the slot."""
    entries = [flash.mmap(otadata + at, 32) for at in (0, SECTOR)]
    counts = [_sound(entry) for entry in entries]
    seqs = [_word(entry, 0) if sound else -1 for entry, sound in zip(entries, counts, strict=True)]
    active = None if not any(counts) else (1 if seqs[1] > seqs[0] else 0)
    base = 1 if active is None else seqs[active]
    number = next(seq for seq in range(base, base + count + 1) if (seq - 1) % count == slot)
    index = 0 if active is None else 1 - active
    if active is not None and number == base and config.idf_version >= (6, 0, 0):
        index = active
    rollback = config.bootloader_app_rollback_enable
    made = firmware.ota_select_entry(number, NEW if rollback else UNDEFINED)
    if rollback and active is not None and _word(entries[active], 24) == PENDING:  # confirmed before it took the update
        _write(flash, otadata + active * SECTOR, firmware.ota_select_entry(seqs[active], VALID))
    _write(flash, otadata + index * SECTOR, made)


def _stays_on_trial(flash: Flash, otadata: int, running: Partition, count: int) -> bool:
    """The running slot's own entry is PENDING_VERIFY and not the one that confirming makes VALID."""
    entries = [flash.mmap(otadata + at, 32) for at in (0, SECTOR)]
    counts = [_sound(entry) for entry in entries]
    best = max((_word(entry, 0) for entry, sound in zip(entries, counts, strict=True) if sound), default=None)
    for entry in entries:
        seq = _word(entry, 0)
        named = (
            crc32(entry[:4], 0xFFFFFFFF) == _word(entry, 28) and (seq - 1) % (1 << 32) % count == running.subtype - 0x10
        )
        if named and running.subtype >= 0x10:
            return _word(entry, 24) == PENDING and seq != best
    return False


def _write(flash: Flash, at: int, data: bytes) -> None:
    flash.erase(at, SECTOR)
    flash.program_encrypted(at, data)


# ------------------------------------------------------------------------------------------------------------- compared

_BLOCK = 100


@dataclass(frozen=True)
class Asked:
    """The first ``pairs`` pairs of a seed; shard ``n`` is their ``n``-th block."""

    seed: int
    pairs: int

    @property
    def shards(self) -> range:
        return range(-(-self.pairs // _BLOCK))


@dataclass(frozen=True)
class Compared:
    """How many pairs ended how, and those about which the two do not agree, by their number."""

    ends: Counter[str] = field(default_factory=Counter)
    differ: Mapping[int, str] = field(default_factory=dict)

    def __add__(self, other: Compared) -> Compared:
        return Compared(self.ends + other.ends, {**self.differ, **other.differ})


def block(asked: Asked, shard: int) -> Compared:
    """One block, as work that is shared out does it."""
    return compare(asked.seed, range(shard * _BLOCK, min((shard + 1) * _BLOCK, asked.pairs)))


def compare(seed: int, numbers: range) -> Compared:
    """The pairs of these numbers."""
    ends: Counter[str] = Counter()
    differ = {}
    for number in numbers:
        pair = some_pair(random.Random(f"{seed}/{number}"))
        found, true = preflight(pair.board, pair.image), truth(pair)
        said = found.partition if found.runs else None
        worst = found.findings[0]
        ends["runs" if found.runs else f"refused: {worst.id}"] += 1
        if said != true or found.runs is (worst.severity == "refused"):
            why = f"{worst.severity} {worst.id}: {worst.text}"
            differ[number] = f"seed {seed}, pair {number} ({pair.kind}): said {said}, true {true}; {why}"
    return Compared(ends, differ)


def main() -> int:
    """The long run."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--pairs", type=int, default=10_000)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--jobs", type=int)
    words.add_argument("--on", default="here")
    said = words.parse_args()
    asked = Asked(said.seed, said.pairs)
    found = run(Work(block, asked, Compared.__add__, Compared()), asked.shards, executor(said.on, said.jobs))
    for name, count in sorted(found.report.ends.items(), key=lambda end: (-end[1], end[0])):
        sys.stdout.write(f"{count:8d}  {name}\n")
    differ = [line for _, line in sorted(found.report.differ.items())]
    sys.stdout.write("".join(f"{line}\n" for line in differ[:20]))
    sys.stdout.write(f"{len(differ)} of {found.report.ends.total()} differ\n")
    if found.stopped:
        sys.stdout.write(f"not all of {said.pairs}: {found.stopped}\n")
    return 1 if differ or found.stopped else 0


if __name__ == "__main__":
    import preflight_pairs  # workers find functions of modules

    sys.exit(preflight_pairs.main())
