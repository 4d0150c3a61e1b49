"""esptool, one process beside us, reads thousands of mutated images of all chips as we do.

``make conformance`` asks about 10,000 and more: ``ESP_OTA_IMAGES`` is how many, ``ESP_OTA_SEED`` where they start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from mutations import CHIPS, images

from py_esp_ota._core import ImageInfo, inspect_image

ORACLE = Path(__file__).parent / "oracles" / "esptool_images.py"
COUNT = int(os.environ.get("ESP_OTA_IMAGES", "400"))
SEED = int(os.environ.get("ESP_OTA_SEED", "1"))


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


def test_esptool_reads_mutated_images_as_we_do(capsys):
    cases = list(images(SEED, COUNT))
    start = time.perf_counter()
    told = ask(cases)
    theirs = time.perf_counter() - start
    start = time.perf_counter()
    infos = [inspect_image(data) for _, data in cases]
    mine = time.perf_counter() - start
    wrong = []
    verdicts: Counter[str] = Counter()
    for (chip, data), info, answer in zip(cases, infos, told, strict=True):
        verdicts["refused" if "refused" in answer else "read"] += 1
        verdicts["valid"] += info.valid
        found = disagreement(info, answer)
        if found:
            wrong.append((chip, found, data.hex()[:200]))
    assert {chip for chip, _ in cases} == set(CHIPS)
    assert verdicts["valid"] >= COUNT // 20
    assert verdicts["refused"] >= COUNT // 20
    with capsys.disabled():
        rate = f"{COUNT / mine:.0f} images/s here, {COUNT / theirs:.0f} images/s esptool"
        sys.stdout.write(
            f"\nesptool: {COUNT} images, seed {SEED}, {dict(verdicts)}, {len(wrong)} disagreements; {rate}\n"
        )
    assert not wrong, wrong[:5]
