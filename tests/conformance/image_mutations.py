"""Mutated images of all chips, read by esptool in a process of its own and by us.

    python tests/conformance/image_mutations.py --images 20000 --seed 7

Image number N of a seed is always the same one, so blocks of them are shared out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mutations import images

from py_esp_ota._core import ImageInfo, inspect_image
from py_esp_ota.cli.work_options import executor
from py_esp_ota.work import Work, run

ORACLE = Path(__file__).parent / "oracles" / "esptool_images.py"
_BLOCK = 1000  # images that one process of esptool is asked about


def ask(cases: list[tuple[str, bytes]]) -> list[dict[str, object]]:
    lines = "".join(json.dumps({"chip": chip, "image": data.hex()}) + "\n" for chip, data in cases)
    done = subprocess.run([sys.executable, str(ORACLE)], input=lines, capture_output=True, text=True, check=False)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(cases), done.stderr[-2000:]
    return told


def ours(info: ImageInfo) -> dict[str, object]:
    """The same facts as the oracle's."""
    header = info.header
    assert header is not None
    return {
        "entry_addr": header.entry_addr,
        "spi_mode": header.spi_mode,
        "speed_and_size": header.spi_size << 4 | header.spi_speed,
        "wp_pin": header.wp_pin,
        "drives": [nibble for byte in header.spi_pin_drv for nibble in (byte & 0xF, byte >> 4)],
        "chip_id": header.chip_id,
        "min_chip_rev": header.min_chip_rev,
        "min_chip_rev_full": header.min_chip_rev_full,
        "max_chip_rev_full": header.max_chip_rev_full,
        "hash_appended": header.hash_appended != 0,
        # esptool fills a segment that is going somewhere up to whole words when it reads one.
        "segments": [
            [part.load_addr, part.length + (-part.length % 4 if part.load_addr else 0), part.offset]
            for part in info.segments
        ],
        "checksum_stored": info.checksum_stored,
        "checksum_calculated": info.checksum_calculated,
        "hash_stored": info.hash_stored.hex() if info.hash_stored is not None else None,
        "hash_calculated": info.hash_calculated.hex() if info.hash_calculated is not None else None,
    }


#: What esptool says when it gives up, and the field that must be among our faults then. A hash byte above 1 is the one
#: thing that esptool refuses and a chip does not: there the chip's rule counts.
REFUSALS = {
    "Invalid firmware image magic": ("magic", "image header"),
    "Invalid segment count": ("segment_count",),
    "End of file reading segment": (" data", " data_len"),
    "unpack requires a buffer of 8": (" header", "image header"),
    "unpack requires a buffer of 16": ("image header",),
    "ord() expected a character": ("checksum",),
}
HASH_BYTE = "Invalid value for append_digest"


def disagreement(info: ImageInfo, told: dict[str, object]) -> str | None:
    refused = str(told.get("refused", ""))
    if HASH_BYTE in refused:
        return None if info.header is not None and info.header.hash_appended > 1 else f"hash byte: {refused}"
    if refused:
        fields = [fault.field for fault in info.faults]
        for said, wanted in REFUSALS.items():
            if said in refused:
                named = any(field.endswith(wanted) for field in fields)
                return None if named else f"esptool: {refused}; our faults: {fields}"
        return f"esptool: {refused}, which is on no list"
    mine = ours(info)
    if told["hash_stored"] is not None and len(str(told["hash_stored"])) < 64:
        told = told | {"hash_stored": None}  # cut off: esptool keeps what there is
        mine["hash_calculated"] = told["hash_calculated"]
    # A length that is no multiple of 4, or too large, ends a chip's walk; ours goes on as far as there are bytes.
    return next((f"{key}: {mine[key]} here, {told[key]} there" for key in mine if mine[key] != told[key]), None)


# ------------------------------------------------------------------------------------------------------------- compared


@dataclass(frozen=True)
class Asked:
    """The first ``images`` images of a seed; shard ``n`` is their ``n``-th block."""

    seed: int
    images: int

    @property
    def shards(self) -> range:
        return range(-(-self.images // _BLOCK))


@dataclass(frozen=True)
class Compared:
    """How many images of which chip, what was said of them, and those on which the two do not agree, by number."""

    chips: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    differ: Mapping[int, str] = field(default_factory=dict)

    def __add__(self, other: Compared) -> Compared:
        return Compared(self.chips + other.chips, self.verdicts + other.verdicts, {**self.differ, **other.differ})


def block(asked: Asked, shard: int) -> Compared:
    """One block, as work that is shared out does it."""
    return compare(asked.seed, range(shard * _BLOCK, min((shard + 1) * _BLOCK, asked.images)))


def compare(seed: int, numbers: range) -> Compared:
    """The images of these numbers."""
    cases = list(images(seed, numbers))
    verdicts: Counter[str] = Counter()
    differ = {}
    for number, (chip, data), told in zip(numbers, cases, ask(cases), strict=True):
        info = inspect_image(data)
        verdicts["refused" if "refused" in told else "read"] += 1
        verdicts["valid"] += info.valid
        if found := disagreement(info, told):
            differ[number] = f"seed {seed}, image {number} of {chip}: {found}; it begins {data.hex()[:200]}"
    return Compared(Counter(chip for chip, _ in cases), +verdicts, differ)


def main() -> int:
    """The long run."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--images", type=int, default=20_000)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--jobs", type=int)
    words.add_argument("--on", default="here")
    said = words.parse_args()
    asked = Asked(said.seed, said.images)
    found = run(Work(block, asked, Compared.__add__, Compared()), asked.shards, executor(said.on, said.jobs))
    counts = ", ".join(f"{count} {name}" for name, count in sorted(found.report.verdicts.items()))
    differ = [line for _, line in sorted(found.report.differ.items())]
    sys.stdout.write("".join(f"{line}\n" for line in differ[:20]))
    sys.stdout.write(f"esptool: {len(differ)} of {found.report.chips.total()} differ ({counts})\n")
    if found.stopped:
        sys.stdout.write(f"not all of {said.images}: {found.stopped}\n")
    return 1 if differ or found.stopped else 0


if __name__ == "__main__":
    import image_mutations  # workers find functions of modules

    sys.exit(image_mutations.main())
