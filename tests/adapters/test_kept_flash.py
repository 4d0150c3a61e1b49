"""The flash of a simulated device in a file: killed at any moment, it is the flash as a power cut leaves it."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_esp_ota import Flash
from py_esp_ota.adapters import kept_flash
from py_esp_ota.adapters.kept_flash import FlashFile, KeptFlashes, heard_after
from py_esp_ota.adapters.memory import run_virtual

SIZE = 1 << 20


def whole(file):
    """What a programmer would read."""
    return file.read_bytes().ljust(SIZE, b"\xff")


#: Few sectors and few values, so that the same bytes are programmed and erased again and again.
acts = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 15), st.sampled_from([None, b"\x00", b"\xf0" * 300, b"\x7f\xff"])),
    max_size=12,
)


def do(flash, moment):
    for sector, page, data in moment:
        if data is None:
            flash.erase(sector * 0x1000, 0x1000)
        else:
            flash.program(sector * 0x1000 + page * 256, data[: 0x1000 - page * 256])


def killed_after(writes, write=os.pwrite):
    left = [writes]

    def killed(handle, data, at):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return write(handle, data, at)

    return killed


@settings(max_examples=30)
@given(before=acts, later=acts, writes=st.lists(st.integers(0, 10), max_size=3))
def test_killed_at_any_write_the_file_is_the_flash_after_some_operation(tmp_path_factory, before, later, writes):
    file = tmp_path_factory.mktemp("flash") / "n1.bin"
    kept = FlashFile(file, Flash(SIZE, strict=False))
    do(kept.flash, before)
    kept.save()
    assert whole(file) == kept.flash.to_bytes()
    do(kept.flash, later)
    recording = kept_flash.Recording.of(kept.flash)
    states = [recording.flash_after(count).to_bytes() for count in range(len(recording) + 1)]
    reached = 0
    for count in writes:
        with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(os, "pwrite", killed_after(count))
            kept.save()
        alike = [number for number in range(reached, len(states)) if states[number] == whole(file)]
        assert alike, "no power cut leaves this"
        assert alike[-1] >= min(reached + count, len(states) - 1)  # a write does for several operations that are alike
        reached = alike[0]
    kept.save()  # what was not written is written now
    assert whole(file) == states[-1]
    assert FlashFile(file, Flash(SIZE)).flash.to_bytes() == states[-1]


def test_behind_its_end_a_file_is_erased_flash_and_so_it_is_short(tmp_path):
    file = tmp_path / "n1.bin"
    kept = FlashFile(file, Flash(SIZE))
    assert file.stat().st_size == 0
    kept.flash.program(0x2000, b"\x12")
    kept.save()
    assert file.read_bytes() == b"\xff" * 0x2000 + b"\x12"


def test_a_file_that_is_larger_than_the_flash_is_named(tmp_path):
    (tmp_path / "n1.bin").write_bytes(b"x" * (SIZE + 1))
    with pytest.raises(ValueError, match=r"n1\.bin has 1048577 bytes, the flash only 1048576: move it away"):
        KeptFlashes(tmp_path).keep("n1", Flash(SIZE))


class Wire:
    """An ``Mqtt`` and a ``Fetch`` that note what is in the file at the moment something goes out."""

    status, headers = 200, {}

    def __init__(self, file):
        self.file = file
        self.seen = []

    @asynccontextmanager
    async def __call__(self, *_request):
        self.seen.append(whole(self.file)[0])
        yield self

    async def publish(self, _topic, _payload, *, dup):
        assert not dup
        self.seen.append(whole(self.file)[0])

    async def subscribe(self, _topic_filter):
        self.seen.append(whole(self.file)[0])


def test_nothing_goes_out_before_the_flash_is_stored(tmp_path):
    async def story():
        wire = Wire(tmp_path / "n1.bin")
        kept = KeptFlashes(tmp_path).keep("n1", Flash(SIZE))
        mqtt_of, fetch = heard_after(kept, wire, wire)
        kept.flash.program(0, b"\x7f")
        async with mqtt_of("n1") as mqtt:
            kept.flash.program(0, b"\x3f")
            await mqtt.publish("node/n1/otastatus", b"")
            kept.flash.program(0, b"\x1f")
            await mqtt.subscribe("node/n1/otaurl")
            kept.flash.program(0, b"\x0f")
            async with fetch("https://cloud/", {}):
                pass
        return wire.seen

    assert run_virtual(story()) == [0x7F, 0x3F, 0x1F, 0x0F]


def test_of_one_device_nothing_goes_out_and_nothing_more_comes_in_before_its_flash_is_stored(tmp_path):
    class Body:
        status, headers = 200, {}

        async def read(self, _limit):
            wire.seen.append(wire.file.read_bytes()[0])
            return b"x"

    @asynccontextmanager
    async def fetch(_url, _headers):
        wire.seen.append(wire.file.read_bytes()[0])
        yield Body()

    async def story():
        kept = FlashFile(wire.file, Flash(SIZE))
        mqtt, https = heard_after(kept, wire, fetch)
        kept.flash.program(0, b"\x7f")
        async with mqtt("n1") as link, https("https://cloud/", {}) as body:
            kept.flash.program(0, b"\x3f")
            await link.publish("node/n1/otastatus", b"")
            kept.flash.program(0, b"\x1f")
            assert await body.read(1) == b"x"

    wire = Wire(tmp_path / "n1.bin")
    run_virtual(story())
    assert wire.seen == [0x7F, 0x7F, 0x3F, 0x1F]


def test_no_folder_is_made_for_nobody(tmp_path):
    with KeptFlashes(tmp_path / "devices") as kept:
        assert "n1" not in kept
        kept.drop("n1")
    assert not (tmp_path / "devices").exists()


def test_a_flash_that_is_dropped_is_gone_with_its_file(tmp_path):
    with KeptFlashes(tmp_path) as kept:
        kept.keep("n1", Flash(SIZE)).flash.program(0, b"\x00")
        assert "n1" in kept
        kept.drop("n1")
    assert list(tmp_path.iterdir()) == []


def test_a_programmer_changes_the_flash_behind_the_same_doors(tmp_path):
    async def story():
        wire = Wire(tmp_path / "n1.bin")
        kept = KeptFlashes(tmp_path).keep("n1", Flash(SIZE))
        mqtt_of, _fetch = heard_after(kept, wire, wire)
        kept.flash.program(0, b"\x00")
        kept.renew(Flash.from_bytes(b"\x77", size=SIZE))
        async with mqtt_of("n1") as mqtt:
            kept.flash.program(0, b"\x33")
            await mqtt.publish("node/n1/otastatus", b"")
        return wire.seen

    assert run_virtual(story()) == [0x77, 0x33]


def test_a_long_piece_of_writing_lets_others_have_their_turn(tmp_path):
    async def story():
        kept = KeptFlashes(tmp_path).keep("n1", Flash(SIZE))
        turns = []

        async def others():
            while True:
                turns.append(len(whole(kept.file).rstrip(b"\xff")))
                await asyncio.sleep(0)

        task = asyncio.create_task(others())
        for sector in range(100):
            kept.flash.erase(sector * 0x1000, 0x1000)
            kept.flash.program(sector * 0x1000, b"\x00" * 0x1000)
        await kept.saved()
        task.cancel()
        return turns

    turns = run_virtual(story())
    assert len(turns) > 3
    assert 0 < turns[1] < turns[2]


def test_a_flash_that_cannot_be_made_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_words):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kept_flash.Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as caught:
        FlashFile(tmp_path / "n1.flash", Flash(SIZE))
    assert caught.value.filename == str(tmp_path / "n1.flash")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_makes_a_device_wait_and_is_said_once(tmp_path, monkeypatch, caplog):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    async def story():
        wire = Wire(tmp_path / "n1.bin")
        kept = KeptFlashes(tmp_path).keep("n1", Flash(SIZE))
        mqtt_of, _fetch = heard_after(kept, wire, wire)
        async with mqtt_of("n1") as mqtt:
            kept.flash.program(0, b"\x00")
            with monkeypatch.context() as patch:
                patch.setattr(os, "pwrite", full)
                word = asyncio.create_task(mqtt.publish("node/n1/otastatus", b""))
                await asyncio.sleep(10)
                assert not word.done()
            await word
        return wire.seen

    assert run_virtual(story()) == [0xFF, 0x00]
    assert [record.message for record in caplog.records] == [
        "n1 waits, its flash cannot be stored: [Errno 28] No space left on device"
    ]


def test_the_end_stores_what_nobody_heard_of(tmp_path):
    with KeptFlashes(tmp_path) as kept:
        kept.keep("n1", Flash(SIZE)).flash.program(0, b"\x42")
    assert whole(tmp_path / "n1.bin")[0] == 0x42
