"""Chips drawn from a seed: tables, otadata in every state, and apps that are sound, damaged or strange.

Written as the lines that ``flash_text`` builds, so that whatever is drawn can be read, shrunk and kept.
"""

from __future__ import annotations

import random
from functools import lru_cache

from flash_text import Text
from spaces import SPACES, Space

from py_esp_ota.firmware import CHIPS, layout_of

OTADATA_AT = 0xD000
_STATES = ("NEW", "PENDING_VERIFY", "VALID", "INVALID", "ABORTED", "UNDEFINED", "7", "0x80000002")
_SEQS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_WORDS = (0, 1, 3, 4, 0x20, 0xFFFC, 0x10000, 0xFFFFFF, 0xFFFFFFFC, 0xFFFFFFFF)


def drawn(seed: str, chip: str = "esp32c3") -> Text:
    """One chip with its flash; the same seed draws the same."""
    rng, space = random.Random(seed), SPACES[chip]
    rows = _rows(rng, space)
    lines = [
        _profile(chip, rng.choice((0, rng.randrange(48)))),
        *(f"row {' '.join(map(_spelled, row))}" for row in rows),
    ]
    if rng.random() < 0.12:
        lines.append(
            "table "
            + rng.choice(["md5=none", "md5=none", "md5=bad", f"flip={rng.randrange(0xC0):#x}", "gone", "flip=0x0"])
        )
    places = [row[3] for row in rows if row[1:3] == (1, 0)] or [OTADATA_AT]
    lines.append(f"otadata {places[-1]:#x} {_entry(rng)} {_entry(rng)}")
    offsets = sorted({int(row[3]) for row in rows if row[1] == 0})
    lines += [f"app {at:#x} {_app(rng, space)}" for at in offsets if at >= 0x10000 and rng.random() < 0.92]
    return tuple(lines)


def _spelled(value: object) -> str:
    return value if isinstance(value, str) else hex(value) if isinstance(value, int) and value > 99 else str(value)


@lru_cache(maxsize=64)
def _profile(chip: str, number: int) -> str:
    """One of some chips: so few that a machine can keep what comes before their flashes are looked at."""
    rng, name = random.Random(f"profile/{number}"), "chip" if chip == "esp32c3" else f"chip {chip}"
    return _chip(rng, name, SPACES[chip]) if number else name


def _chip(rng: random.Random, name: str, space: Space) -> str:
    words = [name]
    if rng.random() < 0.3:
        header, size = rng.choice(space.flashes)
        words += [f"header={header}", f"size={size}"]
    if rng.random() < 0.4:
        words.append(f"revision={rng.choice(space.revisions)}")
    fuses = [f"block={rng.choice([1, 3, 7, 100, 103, 200])}"] if rng.random() < 0.3 else []
    fuses += [f"{name}=1" for name in ("no_max_wafer", "no_max_block") if rng.random() < 0.15]
    words += fuses if space.has_block_fuses else []
    if rng.random() < 0.35:
        words.append(f"reset={rng.choice(['SW', 'SW_CPU', 'DEEPSLEEP', 'TG0WDT_SYS', 'RTCWDT_SYS', 'RTCWDT_RTC'])}")
    return " ".join(words)


# ------------------------------------------------------------------------------------------------- table and otadata

Row = tuple[str, int, int, int, int]


def _rows(rng: random.Random, space: Space) -> list[Row]:
    kind = rng.random()
    otadata: Row = ("otadata", 1, 0, OTADATA_AT, 0x2000)
    if kind < 0.72:
        names = [("factory", 0)] * (rng.random() < 0.5) + [("test", 0x20)] * (rng.random() < 0.1)
        names += [(f"ota_{index}", 0x10 + index) for index in range(rng.choice([0, 1, 2, 2, 2, 3, 3, 4]))]
        size = rng.choice([0x10000] * 4 + [0x20000])
        apps = [(name, 0, sub, 0x10000 + size * index, size) for index, (name, sub) in enumerate(names)]
        return [("nvs", 1, 2, 0x9000, 0x4000), otadata, *apps]
    rows: list[Row] = [("nvs", 1, 2, 0x9000, 0x4000)]
    if rng.random() < 0.9:
        at = rng.choice([OTADATA_AT, OTADATA_AT, OTADATA_AT, 0xE000, 0xD100, 0xD102, 0x3FF000, 0x400000, 0])
        rows.append(("otadata", 1, 0, at, rng.choice([0, 0x1000, 0x2000, 0x2000, 0x2000, 0x3000, 0x100000])))
    if rng.random() < 0.3:
        rows.append(("odd", rng.choice([1, 1, 2, 0x40, 0xFE]), rng.choice([1, 4, 5, 6, 0x81, 0xFE]), 0xF000, 0x1000))
    for index in range(rng.randrange(1, 5)):
        subtype = rng.choice([0, 0x10, 0x10, 0x11, 0x11, 0x12, 0x13, 0x1F, 0x20, 0x30])
        offset = 0x10000 * rng.randrange(1, 6)
        if rng.random() < 0.12:
            # No app that can end behind the flash, where a chip reads on from its beginning and our model stops.
            offset = rng.choice([0x1000, 0x8000, 0x11000, 0x12345, 0x200000, 0x3E0000, 0x400000, 0xFFFF0000])
        size = rng.choice(
            [0x10000] * 9 + [0, 0x200, 0x1000, 0x1000, 0x3B0000, 0x400000, 0x1000000, 0x1000001, 0xFFFF0000]
        )
        # Nor one that begins there, where no size is too large.
        size = 0x10000 if space.wide and offset + size > 1 << 32 else size
        rows.append((f"app{index}", 0, subtype, offset, size))
    rng.shuffle(rows)
    return rows


def _entry(rng: random.Random) -> str:
    if rng.random() < 0.15:
        return "-"
    seq = rng.choice(_SEQS) if rng.random() < 0.9 else rng.getrandbits(32)
    text = f"{seq}/{rng.choice(_STATES)}" + "!" * (rng.random() < 0.12)
    return text + (":" + rng.randbytes(20).hex() if rng.random() < 0.08 else "")


# --------------------------------------------------------------------------------------------------------------- apps


def _app(rng: random.Random, space: Space) -> str:
    words = _made(rng, space) if rng.random() < 0.4 else _plain(rng)
    if rng.random() < 0.65:
        words += [_change(rng, space, words) for _ in range(rng.choice([1, 1, 1, 2]))]
        words += [again for again in ("resealed", "rehashed") if rng.random() < 0.4]
    return " ".join(words)


def _plain(rng: random.Random) -> list[str]:
    size = 16 * rng.randrange(0x28, 0x40) if rng.random() < 0.98 else 0x10400
    words = ["plain", str(rng.randrange(40)), hex(size)]
    if rng.random() < 0.2:
        words.append(f"{rng.choice(['min', 'max'])}_blk={rng.choice([0, 1, 99, 100, 103, 199, 65535])}")
    return words


def _made(rng: random.Random, space: Space) -> list[str]:
    """Segments that no linker would make, with the sums made right."""
    words = ["made"]
    at = 24
    if rng.random() < 0.08:
        # Up to the last bytes of an MMU page, so that what comes next can reach beyond a window.
        words.append("0x0+desc+0xfec8")
        window, length = rng.choice([space.drom, space.irom]), rng.choice([0, 12, 16, 20, 64])
        other = space.drom + space.irom - window + (0xFFF8 + length) % 0x10000
        return [*words, f"{window + space.last_page * 0x10000 + 0xFFF0:#x}+{length}", f"{other:#x}+16"]
    for index in range(rng.randrange(1, 7)):
        at += 8
        length = 4 * rng.choice([0, 0, 1, 2, 4, 17, 64, rng.randrange(200)])
        desc = "+desc" if index == 0 and rng.random() < 0.8 else ""
        words.append(f"{_address(rng, space, at):#x}{desc}+{length}")
        at += length + (256 if desc else 0)
    words.append(f"entry={_entry_address(rng, space):#x}")
    if rng.random() < 0.2:
        words.append("hash=0")
    return words


def _address(rng: random.Random, space: Space, at: int) -> int:
    kind = rng.random()
    if kind < 0.6:
        crooked = rng.choice([0] * 12 + [4, 0x1000])
        page = rng.choice([0, 0, 1, 2, 3, space.last_page - 1, space.last_page])
        return rng.choice([space.drom, space.irom]) + page * 0x10000 + (at + crooked) % 0x10000
    if kind < 0.85:
        return rng.choice(space.ram) + 4 * rng.randrange(0x400)
    return rng.choice(space.borders)


def _entry_address(rng: random.Random, space: Space) -> int:
    iram, irom = space.iram, space.irom
    return rng.choice(
        [iram, iram, iram + 0x10, irom + 0x10020, irom + 0x7FFFF0, space.ram[0], space.drom, 0x12345678, 0]
    )


def _change(rng: random.Random, space: Space, words: list[str]) -> str:
    kind = rng.random()
    if kind < 0.4:
        field, values = rng.choice(
            [
                ("magic", [0, 0xE8, 0xFF]),
                ("segment_count", [0, 1, 2, 3, 5, 16, 17, 255]),
                ("chip_id", [*sorted(layout_of(name).chip_id for name in CHIPS), 6, 0xFFFF]),
                ("min_chip_rev_full", [0, 3, 4, 5, 99, 100, 199, 0xFFFF]),
                ("max_chip_rev_full", [0, 3, 4, 5, 99, 199, 0xFFFF]),
                ("hash_appended", [0, 1, 2, 255]),
                ("page", [0, 4, 12, 13, 14, 15, 16, 17, 18, 20, 31, 48, 255]),
            ]
        )
        return f"{field}={rng.choice(values):#x}"
    if kind < 0.65:
        count = 4 if words[0] == "plain" else sum(word.startswith("0x") for word in words)
        field = rng.choice(["load_addr", "data_len"])
        value = rng.choice([*(space.borders if field == "load_addr" else _WORDS), *_WORDS, rng.getrandbits(32)])
        value = value & 0x1FFFFF if space.wide and field == "data_len" else value
        return f"{field}[{rng.randrange(max(count, 1))}]={value:#x}"
    if kind < 0.85:
        return f"flip={rng.choice([rng.randrange(0x280), rng.randrange(0x18), rng.randrange(-64, 0)])}"
    return f"entry_addr={_entry_address(rng, space):#x}" if kind < 0.93 else f"cut={rng.randrange(24, 0x280):#x}"
