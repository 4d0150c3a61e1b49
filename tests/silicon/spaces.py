"""Where random flashes put things: each chip's own addresses, and what lies around them."""

from __future__ import annotations

from dataclasses import dataclass


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
    #: The chip maps all 32 bits of an address, and reads on behind its flash, where our model stops.
    wide: bool = False
    #: Its eFuses tell the revision of their blocks, and may free images of their highest revision.
    has_block_fuses: bool = True
    #: MiB of flash that its bootloader's header promises, and that there are. Never more promised than there is: what
    #: lies beyond a chip is another question.
    flashes: tuple[tuple[int, int], ...] = (
        (1, 4), (2, 4), (2, 4), (2, 2), (8, 8), (4, 8), (16, 16), (4, 16), (2, 16),
    )  # fmt: skip


_EVERYWHERE = (0, 0x20000000, 0x7FFFFFFC, 0x80000000, 0xFFFFFFFC)
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
#: The same of the others like it: a page of RAM between the two pieces of the loader's code, the stack, the end.
_H2_BORDERS = (
    0x407FFFFC, 0x40800000, 0x4083E000, 0x40846000, 0x40847000, 0x4084B380, 0x4084F37C, 0x4084F380, 0x4084FFFC,
    0x40850000, 0x4FFFFFFC, 0x50000000, 0x50000FFC, 0x50001000, 0x41FFFFFC, 0x42FFFFFC, 0x43000000,
)  # fmt: skip
_C61_BORDERS = (
    0x407FFFFC, 0x40800000, 0x4083D000, 0x40845A00, 0x40846000, 0x4084A670, 0x4084E66C, 0x4084E670, 0x4084EA70,
    0x4084FFFC, 0x40850000, 0x4FFFFFFC, 0x50000000, 0x41FFFFFC, 0x42FFFFFC, 0x43000000, 0x43FFFFFC, 0x44000000,
)  # fmt: skip
_C5_BORDERS = (
    0x407FFFFC, 0x40800000, 0x4084D000, 0x40855600, 0x40856000, 0x4085A5A0, 0x4085E59C, 0x4085E5A0, 0x4085FFFC,
    0x40860000, 0x4FFFFFFC, 0x50000000, 0x50003FFC, 0x50004000, 0x41FFFFFC, 0x42FFFFFC, 0x43000000, 0x43FFFFFC,
    0x44000000,
)  # fmt: skip
_C2_BORDERS = (
    0x3FC9FFFC, 0x3FCA0000, 0x3FCAEB6C, 0x3FCAEB70, 0x3FCD5B70, 0x3FCD5C80, 0x3FCDAB60, 0x3FCDE400, 0x3FCDEB6C,
    0x3FCDEB70, 0x3FCDFFFC, 0x3FCE0000, 0x4037BFFC, 0x4037C000, 0x4037FFFC, 0x40380000, 0x403AC370, 0x403AEB6C,
    0x403AEB70, 0x403B5B70, 0x403B5B80, 0x403BEB70, 0x403BFFFC, 0x403C0000, 0x3BFFFFFC, 0x3C3FFFFC, 0x3C400000,
    0x41FFFFFC, 0x423FFFFC, 0x42400000,
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
        wide=True,
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
    "esp32h2": Space(
        drom=0x42000000,
        irom=0x42000000,
        last_page=255,
        ram=(0x40808000, 0x40800000, 0x50000000),
        iram=0x40800000,
        revisions=(0, 1, 2, 100, 101, 102),
        borders=(*_H2_BORDERS, *_EVERYWHERE),
    ),
    "esp32c61": Space(
        drom=0x42000000,
        irom=0x42000000,
        last_page=511,
        ram=(0x40808000, 0x40800000),
        iram=0x40800000,
        revisions=(3, 15, 100, 101, 115, 200),
        borders=(*_C61_BORDERS, *_EVERYWHERE),
    ),
    "esp32c5": Space(
        drom=0x42000000,
        irom=0x42000000,
        last_page=511,
        ram=(0x40808000, 0x40800000, 0x50000000),
        iram=0x40800000,
        revisions=(3, 15, 100, 101, 102, 115, 200),
        borders=(*_C5_BORDERS, *_EVERYWHERE),
        wide=True,
    ),
    "esp32c2": Space(
        drom=0x3C000000,
        irom=0x42000000,
        last_page=63,
        ram=(0x3FCA8000, 0x40380000, 0x4037C000),
        iram=0x40380000,
        revisions=(3, 15, 100, 101, 102, 115, 200, 202, 300),
        borders=(*_C2_BORDERS, *_EVERYWHERE),
        # Its cache shows 4 MiB; what released bootloaders do beyond that is absent.
        flashes=((1, 4), (2, 4), (2, 4), (2, 2), (4, 8), (4, 16), (2, 16)),
    ),
}
