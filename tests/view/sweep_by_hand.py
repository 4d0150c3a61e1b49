"""Reports of sweeps that nobody ran: every outcome, as many cases as wanted, and strings nobody should trust."""

from __future__ import annotations

from py_esp_ota import Flash
from py_esp_ota.sweep.result import Case, Ending, SweepReport

HOSTILE = "</script><img src=x onerror=alert(1)><!--<script>&amp;\u2028"

OLD = Ending("old", "", "factory", "1.0.0", "", ("-", "-"), ("I (30) boot: old", "I (40) boot: Loaded"), 1)
NEW = Ending("new", "", "ota_0", "1.1.0", "VALID", ("1/VALID", "-"), ("I (30) boot: new", "I (40) boot: Loaded"), 2)
CHIP = Ending(
    "as_the_chip",
    "the new image is lost; rewrite_ota_seq erases before it writes",
    "factory",
    "1.0.0",
    "",
    ("-", "2/NEW!"),
    ("E (31) boot: as the chip",),
    1,
)
BROKEN = Ending("violation", "nothing boots", None, None, "", ("1/NEW", "-"), ("E (99) boot: No bootable app",), 3)


def operations(sectors: int):
    """A real journal: each sector erased, then programmed page by page."""
    flash = Flash(0x400000)
    flash.record(True)
    for sector in range(sectors):
        flash.erase(0x10000 + sector * 0x1000, 0x1000)
        flash.program(0x10000 + sector * 0x1000, bytes(0x1000))
    return tuple(flash.journal())


def report(sectors: int = 2, *, endings=(OLD, NEW, CHIP, BROKEN), story: str = "first_ota") -> SweepReport:
    """Cut before, torn and after everywhere.

    The first half ends old, the rest new; operation 3 torn is as the chip does, operation 20 a violation before and
    after, and once more after a second cut.
    """
    done = operations(sectors)
    cases = []
    for index in range(len(done)):
        sound = int(2 * index >= len(done))
        for model in ("", ":torn", ":after"):
            ending = 2 if (index, model) == (3, ":torn") else 3 if index == 20 and model != ":torn" else sound
            cases.append(Case(f"cut@{index}{model}", index, ending))
        if index == 20:
            cases.append(Case("cut@20:torn+cut@1", 20, 3))
    return SweepReport(story, done, tuple(cases), tuple(endings), boots=7)
