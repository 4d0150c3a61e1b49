"""Chips drawn from a seed: tables, otadata in every state, and apps that are sound, damaged or strange.

Written as the lines that ``flash_text`` builds, so that whatever is drawn can be read, shrunk and kept.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from flash_text import Text

OTADATA_AT = 0xD000
_STATES = ("NEW", "PENDING_VERIFY", "VALID", "INVALID", "ABORTED", "UNDEFINED", "7", "0x80000002")
_SEQS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_WORDS = (0, 1, 3, 4, 0x20, 0xFFFC, 0x10000, 0xFFFFFF, 0xFFFFFFFC, 0xFFFFFFFF)


@dataclass(frozen=True)
class Space:
    """One chip's addresses: its windows of the flash, its RAM, and where segments are tried besides.

    ``borders`` lie around the end of each memory, and around what the bootloader keeps for itself.
    """

    drom: int
    irom: int
    last_page: int
    ram: tuple[int, ...]
    iram: int
    revisions: tuple[int, ...]
    borders: tuple[int, ...]
    #: Lengths end here: a chip that maps all 32 bits of an address reads on behind its flash, where our model stops.
    longest: int = 0xFFFFFFFF
    #: Its eFuses tell the revision of their blocks, and may free images of their highest revision.
    has_block_fuses: bool = True


_EVERYWHERE = (0, 0x7FFFFFFC, 0x80000000, 0xFFFFFFFC)
_C3_BORDERS = (
    0x3FC7FFFC, 0x3FC80000, 0x3FCA0000, 0x3FCCE70C, 0x3FCCE710, 0x3FCD5700, 0x3FCD5820, 0x3FCDA700, 0x3FCDE000,
    0x3FCDE700, 0x3FCDFFFC, 0x3FCE0000, 0x4037BFFC, 0x4037C000, 0x4037FFFC, 0x403CBF10, 0x403CE700, 0x403CE710,
    0x403D5700, 0x403D5710, 0x403DE700, 0x403DFFFC, 0x403E0000, 0x4FFFFFFC, 0x50000000, 0x50001FFC, 0x50002000,
    0x3BFFFFFC, 0x3C7FFFFC, 0x3C800000, 0x41FFFFFC, 0x427FFFFC, 0x42800000,
)  # fmt: skip
#: Not where the loader's code is: nothing protects it on this chip, and what a loader without it does nobody knows.
_C6_BORDERS = (
    0x407FFFFC, 0x40800000, 0x4086D000, 0x40875610, 0x40876000, 0x4087E610, 0x4087FFFC, 0x40880000,
    0x4FFFFFFC, 0x50000000, 0x50003FFC, 0x50004000, 0x41FFFFFC, 0x42FFFFFC, 0x43000000,
)  # fmt: skip
#: Not the beginning of RAM, where ROM keeps what it needs: whoever overwrites that is lost.
_ESP32_BORDERS = (
    0x3FFADFFC, 0x3FFB0000, 0x3FFDFFFC, 0x3FFE0000, 0x3FFE1320, 0x3FFE3F20, 0x3FFE4000, 0x3FFEFFFC,
    0x3FFF0000, 0x3FFF5FFC, 0x3FFF6000, 0x3FFFFFFC, 0x40077FFC, 0x40078000, 0x4007FFFC, 0x40080000, 0x40080400,
    0x4009FFFC, 0x400A0000, 0x400A9FFC, 0x400AA000, 0x400BFFFC, 0x400C0000, 0x400C1FFC, 0x400C2000, 0x400CFFFC,
    0x3FF7FFFC, 0x3FF80000, 0x3FF81FFC, 0x3FF82000, 0x50000000, 0x50001FFC, 0x50002000, 0x3F3FFFFC, 0x3F7FFFFC,
    0x3F800000, 0x403FFFFC, 0x40400000,
)  # fmt: skip
_S2_BORDERS = (
    0x3FFAFFFC, 0x3FFB0000, 0x3FFE4FFC, 0x3FFE5000, 0x3FFEAAFC, 0x3FFEAB00, 0x3FFFC400, 0x3FFFE708, 0x3FFFE70C,
    0x3FFFFFFC, 0x4001FFFC, 0x40020000, 0x4004DFFC, 0x4004E000, 0x40054FFC, 0x40055000, 0x4006FFFC, 0x40070000,
    0x40071FFC, 0x40072000, 0x3FF9DFFC, 0x3FF9E000, 0x3FF9FFFC, 0x3FFA0000, 0x50000000, 0x50001FFC, 0x50002000,
    0x3EFFFFFC, 0x3F3FFFFC, 0x3F400000, 0x4007FFFC, 0x407FFFFC, 0x40800000,
)  # fmt: skip
#: Nor what lies behind the stack, for the same reason.
_S3_BORDERS = (
    0x3FC87FFC, 0x3FC88000, 0x3FCE26FC, 0x3FCE2700, 0x3FCE76FC, 0x3FCE7700, 0x3FCE9704, 0x3FCEB70C,
    0x3FCF0000, 0x3FCFFFFC, 0x3FD00000, 0x4036FFFC, 0x40370000, 0x40377FFC, 0x40378000, 0x403CB6FC,
    0x403CB700, 0x403D26FC, 0x403D2700, 0x403DFFFC, 0x403E0000, 0x600FDFFC, 0x600FE000, 0x600FFFFC, 0x60100000,
    0x50000000, 0x50001FFC, 0x50002000, 0x3BFFFFFC, 0x3DFFFFFC, 0x3E000000, 0x41FFFFFC, 0x43FFFFFC, 0x44000000,
)  # fmt: skip
SPACES = {
    "esp32": Space(
        drom=0x3F400000,
        irom=0x400D0000,
        last_page=50,
        ram=(0x3FFB0000, 0x40081000, 0x40080000, 0x50000000),
        iram=0x40080000,
        revisions=(0, 1, 100, 101, 200, 203, 300, 301, 303),
        borders=(*_ESP32_BORDERS, *_EVERYWHERE),
        has_block_fuses=False,
    ),
    "esp32s2": Space(
        drom=0x3F000000,
        irom=0x40080000,
        last_page=55,
        ram=(0x3FFC0000, 0x40028000, 0x40030000, 0x50000000),
        iram=0x40028000,
        revisions=(0, 1, 100, 101, 115),
        borders=(*_S2_BORDERS, *_EVERYWHERE),
    ),
    "esp32s3": Space(
        drom=0x3C000000,
        irom=0x42000000,
        last_page=511,
        ram=(0x3FC90000, 0x40374000, 0x40378000, 0x50000000),
        iram=0x40374000,
        revisions=(0, 1, 2, 15, 100),
        borders=(*_S3_BORDERS, *_EVERYWHERE),
        longest=0x1FFFFF,
    ),
    "esp32c3": Space(
        drom=0x3C000000,
        irom=0x42000000,
        last_page=127,
        ram=(0x3FC88000, 0x40380000, 0x4037C000, 0x50000000),
        iram=0x40380000,
        revisions=(2, 3, 5, 15, 100, 101, 115, 201),
        borders=(*_C3_BORDERS, *_EVERYWHERE),
    ),
    "esp32c6": Space(
        drom=0x42000000,
        irom=0x42000000,
        last_page=255,
        ram=(0x40808000, 0x40800000, 0x50000000),
        iram=0x40800000,
        revisions=(0, 1, 3, 15, 100, 101),
        borders=(*_C6_BORDERS, *_EVERYWHERE),
    ),
}


def drawn(seed: str, chip: str = "esp32c3") -> Text:
    """One chip with its flash; the same seed draws the same."""
    rng, space = random.Random(seed), SPACES[chip]
    rows = _rows(rng)
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
        # Never a header that promises more than there is: what lies beyond a chip is another question.
        header, size = rng.choice([(1, 4), (2, 4), (2, 4), (2, 2), (8, 8), (4, 8), (16, 16), (4, 16), (2, 16)])
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


def _rows(rng: random.Random) -> list[Row]:
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
                ("chip_id", [0, 4, 6, 13, 0xFFFF]),
                ("min_chip_rev_full", [0, 3, 4, 5, 99, 100, 199, 0xFFFF]),
                ("max_chip_rev_full", [0, 3, 4, 5, 99, 199, 0xFFFF]),
                ("hash_appended", [0, 1, 2, 255]),
            ]
        )
        return f"{field}={rng.choice(values):#x}"
    if kind < 0.65:
        count = 4 if words[0] == "plain" else sum(word.startswith("0x") for word in words)
        field = rng.choice(["load_addr", "data_len"])
        value = rng.choice([*(space.borders if field == "load_addr" else _WORDS), *_WORDS, rng.getrandbits(32)])
        value = value if field == "load_addr" else value & space.longest
        return f"{field}[{rng.randrange(max(count, 1))}]={value:#x}"
    if kind < 0.85:
        return f"flip={rng.choice([rng.randrange(0x280), rng.randrange(0x18), rng.randrange(-64, 0)])}"
    return f"entry_addr={_entry_address(rng, space):#x}" if kind < 0.93 else f"cut={rng.randrange(24, 0x280):#x}"
