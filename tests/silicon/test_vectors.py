"""Our model does what compiled bootloaders did, as kept under tests/vectors: neither they nor Unicorn are needed."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from console_lines import essential, plain
from flash_text import build
from vectors import COUNT, FOLDER, Vectors, config_of, otadata, stored, told

from py_esp_ota import inspect_image
from py_esp_ota.firmware import image
from py_esp_ota.idf.bootloader.start import boot

NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def stand_in(vectors: Vectors):
    """A bootloader image without code that says the same as the real one: revision, flash size, where its code lies."""
    low, high = vectors["loader_text"]

    def sized(mib):
        return image(
            [(0x3FCD5820, bytes(16)), (low, bytes(high - low))],
            entry_addr=low,
            flash_size=mib << 20,
            min_chip_rev_full=vectors["min_chip_rev_full"],
        )

    return sized


@pytest.mark.parametrize("name", NAMES)
def test_the_model_does_what_silicon_did(name):
    vectors = stored(name)
    config, loader = config_of(vectors), stand_in(vectors)
    for number, vector in enumerate(vectors["vectors"]):
        chip = build(vector["flash"], loader)
        report = boot(chip, config)
        app = report.partition.offset if report.partition else None
        log = told(essential(plain(report.log))) if vector["log"] else []
        assert (app, otadata(vector["flash"], chip), log) == (vector["app"], vector["otadata"], vector["log"]), number


def test_there_are_some_of_every_kind():
    assert len(NAMES) == 5
    assert "rollback" in NAMES
    kinds: Counter[str] = Counter()
    for name in NAMES:
        vectors = stored(name)["vectors"]
        assert len(vectors) == COUNT
        kinds.update("dead" if vector["app"] is None else "boots" for vector in vectors)
        kinds.update("says why" for vector in vectors if any(line.startswith("E ") for line in vector["log"]))
    assert min(kinds["dead"], kinds["boots"], kinds["says why"]) > 60


def test_they_are_words_about_flashes_and_nothing_of_a_bootloader():
    for name in NAMES:
        text = (FOLDER / f"{name}.json").read_text()
        assert len(text) < 200_000
        assert set(json.loads(text)) == {"build", "config", "loader_text", "min_chip_rev_full", "vectors"}


def test_the_stand_in_is_taken_for_a_bootloader():
    info = inspect_image(stand_in(stored("espflash"))(4), kind="bootloader")
    assert info.valid
