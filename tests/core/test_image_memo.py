"""A verdict is remembered while nothing under it changed: what was said is always what would be said now."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_bytes import flash_with, image, sample

from py_esp_ota._core import EFuse, Flash, FlashCrypt, VerifyOptions, verify_image
from py_esp_ota.errors import EspErr, PowerLoss

OFFSET, SIZE = 0x10000, 0x20000
DATA = sample("esp32c3")


@dataclass
class Asked:
    """One question, its parts changed one after the other."""

    offset: int = OFFSET
    size: int = SIZE
    build: str = "app"
    mode: str = "verify"
    fuses: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)

    def of(self, flash: Flash):
        efuse, options = EFuse("esp32c3", **self.fuses), VerifyOptions(**self.options)
        how = {"build": self.build, "mode": self.mode, "efuse": efuse, "options": options}
        return verify_image(flash, self.offset, self.size, **how)


def forgotten(flash: Flash) -> Flash:
    """The same bytes in a flash that remembers nothing."""
    fresh = Flash.from_bytes(flash.to_bytes(), size=flash.size)
    fresh.encryption = flash.encryption
    return fresh


CHANGES = st.one_of(
    st.tuples(st.just("program"), st.integers(0, 0x40000), st.binary(min_size=1, max_size=4)),
    st.tuples(st.just("program"), st.integers(OFFSET, OFFSET + len(DATA) + 40), st.binary(min_size=1, max_size=2)),
    st.tuples(st.just("erase"), st.integers(0, 0x3F), st.none()),
    st.tuples(st.just("torn"), st.integers(0, 0x3F), st.none()),
    st.tuples(st.just("restore"), st.none(), st.none()),
    st.tuples(st.just("fork"), st.none(), st.none()),
    st.tuples(st.just("crypt"), st.booleans(), st.none()),
    st.tuples(st.just("offset"), st.sampled_from([0, 0x1000, OFFSET, 0x20000]), st.none()),
    st.tuples(st.just("size"), st.sampled_from([SIZE, len(DATA), len(DATA) - 1]), st.none()),
    st.tuples(
        st.just("mode"),
        st.sampled_from(
            [("app", "verify"), ("app", "metadata"), ("bootloader", "load"), ("bootloader", "load_no_validate")]
        ),
        st.none(),
    ),
    st.tuples(
        st.just("fuses"),
        st.sampled_from([{}, {"chip_revision": 200}, {"secure_version": 1}, {"block_revision": 100}]),
        st.none(),
    ),
    st.tuples(
        st.just("options"),
        st.sampled_from([{}, {"debugger_attached": True}, {"anti_rollback": True}, {"idf_version": (5, 1, 0)}]),
        st.none(),
    ),
)


@settings(max_examples=2 * settings().max_examples)
@given(st.lists(CHANGES, min_size=1, max_size=8))
def test_no_verdict_outlives_what_it_was_made_of(changes):
    flash, asked = flash_with(DATA, size=0x100000), Asked()
    flash = Flash.from_bytes(flash.to_bytes(), size=flash.size, strict=False)
    asked.of(flash)
    for what, value, more in changes:
        match what:
            case "program":
                flash.program(value, more)
            case "erase":
                flash.erase(value * 0x1000, 0x1000)
            case "torn":
                flash.fault = "cut@0:torn"
                with pytest.raises(PowerLoss):
                    flash.erase(value * 0x1000, 0x1000)
                with pytest.raises(PowerLoss):
                    asked.of(flash)
                flash.power_on()
            case "restore":
                flash.erase(OFFSET, 0x1000)
                flash.program(OFFSET, DATA)
            case "fork":
                flash = flash.fork()
            case "crypt":
                flash.encryption = FlashCrypt("esp32c3", bytes(32)) if value else None
            case "mode":
                asked.build, asked.mode = value
            case _:
                setattr(asked, what, value)
        said = asked.of(flash)
        assert said == asked.of(forgotten(flash)) == asked.of(flash), what


@pytest.mark.parametrize("at", [0, 12, 0x20, len(DATA) - 33, len(DATA) - 1])
def test_one_byte_of_the_image_is_enough(at):
    flash = flash_with(DATA)
    assert Asked().of(flash).err == EspErr.ESP_OK
    flash.program(OFFSET + at, bytes([DATA[at] & DATA[at] - 1 if DATA[at] else 0]))
    assert Asked().of(flash) == Asked().of(forgotten(flash))
    if DATA[at]:
        assert Asked().of(flash).err != EspErr.ESP_OK


def test_bytes_beyond_the_partition_count_when_they_were_read():
    # The second segment reaches into the next partition: the checksum found there decides between two answers.
    data = image([(0x3C000020, DATA[0x20:0x120]), (0, bytes(0x2000))])
    flash, asked = flash_with(data), Asked(size=0x1000)
    assert asked.of(flash).fault.field == "image_len"
    flash.program(OFFSET + len(data) - 33, b"\0")
    assert asked.of(flash).fault.field == "checksum"


def test_forks_share_what_is_known_and_not_what_they_write():
    flash = flash_with(DATA)
    forks = [flash.fork() for _ in range(4)]
    assert {Asked().of(fork).err for fork in forks} == {EspErr.ESP_OK}
    forks[0].erase(OFFSET, 0x1000)
    assert [Asked().of(fork).err for fork in forks] == [EspErr.ESP_ERR_IMAGE_INVALID] + [EspErr.ESP_OK] * 3


def test_a_dead_flash_remembers_nothing():
    flash = flash_with(DATA)
    Asked().of(flash)
    flash.power_off()
    with pytest.raises(PowerLoss):
        Asked().of(flash)
    flash.power_on()
    assert Asked().of(flash).err == EspErr.ESP_OK


def test_looks_cost_no_time_on_the_boot_clock_whether_remembered_or_not():
    flash = flash_with(DATA)
    before = flash.stats
    Asked().of(flash)
    Asked().of(flash)
    assert flash.stats == before


def test_threads_get_the_verdicts_of_their_own_questions():
    flash, wrong = flash_with(DATA), []

    def ask(number: int) -> None:
        asked = Asked(offset=OFFSET if number % 2 else 0, size=SIZE - 4 * number)
        for _ in range(50):
            right = EspErr.ESP_OK if number % 2 else EspErr.ESP_ERR_IMAGE_INVALID
            if asked.of(flash).err != right:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
