"""NOR flash: cells, operations, forks, power cuts and threads."""

from __future__ import annotations

import pickle
import resource
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota._core import Flash, FlashOp
from py_esp_ota.errors import EspErr, FlashError, PowerLoss

MIB = 1 << 20
SECTOR = 4096
PAGE = 256
#: Where the model test works: around the border of two chunks of the copy-on-write tree.
BASE = 0x40000 - 2 * SECTOR
SPAN = 4 * SECTOR


def pages(address: int, data: bytes) -> list[tuple[int, bytes]]:
    """The page programs of one call."""
    cuts = [address, *range(address - address % PAGE + PAGE, address + len(data), PAGE), address + len(data)]
    return [(a, data[a - address : b - address]) for a, b in pairwise(cuts) if b > a]


def program_cells(cells: bytearray, address: int, data: bytes) -> None:
    for at, byte in enumerate(data, address):
        cells[at] &= byte


# ------------------------------------------------------------------------------------------------------------ the chip


@pytest.mark.parametrize("size", [1 << shift for shift in range(20, 28)])
def test_a_new_flash_is_erased(size):
    flash = Flash(size)
    assert (flash.size, flash.strict, flash.powered, flash.operations, flash.fault) == (size, True, True, 0, "")
    assert flash.is_erased(0, size)
    assert flash.read(size - 3, 3) == b"\xff\xff\xff"
    assert flash.erase_counts() == [0] * (size // SECTOR)


def test_a_fork_is_as_strict_as_it_is_told():
    flash = Flash()
    flash.program(0, b"\x0f")
    plain = flash.fork(strict=False)
    plain.program(0, b"\xf1")
    assert (plain.read(0, 1), flash.read(0, 1)) == (b"\x01", b"\x0f")
    assert [each.strict for each in (flash.fork(), plain, plain.fork(), plain.fork(strict=True))] == [
        True,
        False,
        False,
        True,
    ]
    with pytest.raises(FlashError):
        plain.fork(strict=True).program(0, b"\xff")


def test_the_default_is_4_mib_and_strict():
    assert (Flash().size, Flash().strict, Flash(strict=False).strict) == (4 * MIB, True, False)


@pytest.mark.parametrize("size", [0, 1, SECTOR, MIB - 1, MIB + 1, 3 * MIB, 256 * MIB, 1 << 63, 1 << 64, -MIB])
def test_other_sizes_are_refused(size):
    with pytest.raises(ValueError):
        Flash(size)
    with pytest.raises(ValueError):
        Flash.from_bytes(b"", size=size)


@pytest.mark.parametrize(
    ("length", "size", "expected"),
    [(0, None, MIB), (1, None, MIB), (MIB, None, MIB), (MIB + 1, None, 2 * MIB), (5, 8 * MIB, 8 * MIB)],
)
def test_a_raw_image_is_loaded_at_0(length, size, expected):
    image = bytes(range(256)) * (length // 256) + b"\x55" * (length % 256)
    flash = Flash.from_bytes(image, size=size)
    assert flash.size == expected
    assert flash.to_bytes() == image + b"\xff" * (expected - length)
    assert (flash.operations, sum(flash.erase_counts())) == (0, 0)


def test_a_raw_image_must_fit():
    with pytest.raises(ValueError):
        Flash.from_bytes(bytes(MIB + 1), size=MIB)


# ------------------------------------------------------------------------------------------------- against a bytearray

ADDRESSES = st.integers(0, SPAN)
CALLS = st.one_of(
    st.tuples(
        st.just("program"),
        ADDRESSES,
        st.binary(max_size=40) | st.builds(lambda byte, n: bytes([byte]) * n, st.integers(0, 255), st.integers(0, 600)),
    ),
    st.tuples(st.just("erase"), st.integers(0, SPAN // SECTOR), st.integers(0, SPAN // SECTOR)),
    st.tuples(st.just("read"), ADDRESSES, st.integers(0, SPAN)),
)


def call_both(flash: Flash, cells: bytearray, call: tuple) -> None:
    """One call on the flash and on its model (``cells`` are those from BASE on)."""
    kind, at, what = call
    if kind == "read":
        assert flash.read(BASE + at, what)[: SPAN - at] == cells[at : at + what]
    elif kind == "erase":
        count = min(what, SPAN // SECTOR - at)
        flash.erase(BASE + at * SECTOR, count * SECTOR)
        cells[at * SECTOR : (at + count) * SECTOR] = b"\xff" * (count * SECTOR)
    else:
        data = what[: SPAN - at]
        for address, page in pages(BASE + at, data):
            start = address - BASE
            impossible = [i for i, byte in enumerate(page) if cells[start + i] & byte != byte]
            if flash.strict and impossible:
                with pytest.raises(FlashError) as caught:
                    flash.program(BASE + at, data)
                assert caught.value.err == EspErr.ESP_ERR_FLASH_OP_FAIL
                assert caught.value.fact["offset"] == address + impossible[0]
                return
            program_cells(cells, start, page)
        flash.program(BASE + at, data)  # on a strict flash: the same bytes may be programmed twice


@given(strict=st.booleans(), calls=st.lists(CALLS, max_size=12))
def test_a_flash_is_a_bytearray_with_erase_and_and(strict, calls):
    flash, cells = Flash(MIB, strict=strict), bytearray(b"\xff" * SPAN)
    for call in calls:
        call_both(flash, cells, call)
    assert flash.to_bytes() == b"\xff" * BASE + cells + b"\xff" * (MIB - BASE - SPAN)
    assert flash.is_erased(BASE, SPAN) == (cells.count(0xFF) == SPAN)
    assert flash.stats.erases == sum(flash.erase_counts())
    assert flash.operations == flash.stats.programs + flash.stats.erases


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("fork"), st.integers(0, 99), st.none()),
            st.tuples(st.just("call"), st.integers(0, 99), CALLS),
        ),
        max_size=24,
    )
)
def test_forks_are_independent(steps):
    flash = Flash(MIB, strict=False)
    family = [(flash, bytearray(b"\xff" * SPAN))]
    for kind, which, call in steps:
        flash, cells = family[which % len(family)]
        if kind == "fork":
            family.append((flash.fork(), bytearray(cells)))
        else:
            call_both(flash, cells, call)
    for flash, cells in family:
        assert flash.read(BASE, SPAN) == cells
        assert sum(flash.erase_counts()) == flash.stats.erases


# ---------------------------------------------------------------------------------------------------------- operations


def test_programs_are_split_at_pages_and_erases_at_sectors():
    flash = Flash(MIB)
    flash.erase(0, SECTOR)
    flash.record(True)
    flash.program(0x1F0, bytes(0x220))
    flash.erase(0x10000, 0x20000)
    found = [(op.index, op.kind, op.address, op.length) for op in flash.journal()]
    expected = [
        ("program", 0x1F0, 0x10),
        ("program", 0x200, 0x100),
        ("program", 0x300, 0x100),
        ("program", 0x400, 0x10),
    ]
    expected += [("erase", 0x10000 + n * SECTOR, SECTOR) for n in range(32)]
    assert found == [(index, *op) for index, op in enumerate(expected)]
    assert (flash.operations, flash.stats.programs, flash.stats.program_bytes, flash.stats.erases) == (37, 4, 0x220, 33)
    flash.record(True)
    assert flash.journal() == []
    flash.record(False)
    flash.erase(0, SECTOR)
    assert flash.journal() == []


def test_reads_are_counted_and_looking_is_not():
    flash = Flash(MIB)
    flash.read(0, 10)
    flash.read(5, 0)
    flash.is_erased(0, MIB)
    flash.to_bytes()
    assert (flash.stats.reads, flash.stats.read_bytes) == (2, 10)


def test_wear_belongs_to_the_sector():
    flash = Flash(MIB)
    flash.erase(0x3000, 2 * SECTOR)
    flash.erase(0x4000, SECTOR)
    child = flash.fork()
    child.erase(0x4000, SECTOR)
    assert flash.erase_counts()[:6] == [0, 0, 0, 1, 2, 0]
    assert child.erase_counts()[:6] == [0, 0, 0, 1, 3, 0]


def test_a_strict_flash_keeps_the_pages_before_the_refused_one():
    flash = Flash(MIB)
    flash.program(0x180, b"\x80")
    flash.record(True)
    with pytest.raises(FlashError) as caught:
        flash.program(0x0F0, b"\x33" * 0x120)
    assert str(caught.value).startswith("ESP_ERR_FLASH_OP_FAIL (0x6001): program at 0x180: found 0x80, expected 0x33")
    assert flash.read(0x0EF, 0x12) == b"\xff" + b"\x33" * 0x10 + b"\xff"
    assert [op.address for op in flash.journal()] == [0x0F0]


# -------------------------------------------------------------------------------------------------------- arguments

INVALID_ARG = [
    ("read", MIB + 1, 0),
    ("read", 1, MIB),
    ("read", 0, MIB + 1),
    ("read", 0xFFFFFFFF, 0x100),
    ("read", 4, 0xFFFFFFFF_FFFFFFFF),
    ("program", MIB, b"\0"),
    ("program", 1 << 40, b""),
    ("erase", MIB, SECTOR),
    ("erase", 1, SECTOR),
    ("erase", 0, SECTOR - 1),
    ("erase", 1, 0),
    ("erase", SECTOR, 0xFFFFFFFF_FFFFF000),
    ("is_erased", MIB, 1),
]


@pytest.mark.parametrize(("call", "address", "what"), INVALID_ARG)
def test_ranges_outside_the_chip_and_crooked_erases_are_invalid_arg(call, address, what):
    flash = Flash(MIB)
    with pytest.raises(FlashError) as caught:
        getattr(flash, call)(address, what)
    assert caught.value.err == EspErr.ESP_ERR_INVALID_ARG
    assert set(caught.value.fact) == {"field", "offset", "found", "expected"}
    assert caught.value.fact["offset"] == address
    assert flash.operations == flash.stats.reads == 0


def test_nothing_at_the_very_end_is_allowed():
    flash = Flash(MIB)
    flash.program(MIB, b"")
    flash.erase(MIB, 0)
    assert flash.read(MIB, 0) == b""
    assert flash.is_erased(MIB, 0)
    assert flash.operations == 0


MISUSE: list[tuple[type[Exception], Callable[[Flash], object]]] = [
    (ValueError, lambda flash: flash.read(-1, 1)),
    (ValueError, lambda flash: flash.read(0, -1)),
    (ValueError, lambda flash: flash.read(0, 1 << 64)),
    (ValueError, lambda flash: flash.erase(-SECTOR, SECTOR)),
    (ValueError, lambda flash: flash.program(-1, b"")),
    (TypeError, lambda flash: flash.read("0", 1)),
    (TypeError, lambda flash: flash.read(0.0, 1)),
    (TypeError, lambda flash: flash.program(0, "text")),
    (TypeError, lambda flash: flash.program(0, None)),
    (TypeError, lambda flash: setattr(flash, "fault", None)),
    (AttributeError, lambda flash: setattr(flash, "size", 1)),
]


@pytest.mark.parametrize(("error", "call"), MISUSE)
def test_misuse_is_pythons_own_error(error, call):
    with pytest.raises(error):
        call(Flash(MIB))


def test_a_flash_error_can_be_pickled():
    with pytest.raises(FlashError) as caught:
        Flash(MIB).read(MIB, 1)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), again.fact) == (FlashError, str(caught.value), caught.value.fact)


# ---------------------------------------------------------------------------------------------------------- power cuts


@pytest.mark.parametrize(
    "plan", ["", "cut@0", "cut@37", "cut@0:torn", "cut@18446744073709551615:torn", "cut@1207:torn-erase+cut@3"]
)
def test_a_fault_plan_reads_back_as_it_was_written(plan):
    flash = Flash(MIB)
    flash.fault = plan
    assert flash.fault == plan
    assert flash.powered
    flash.fault = ""
    assert flash.fault == ""


@pytest.mark.parametrize(
    "plan",
    [
        "cut",
        "cut@",
        "cut@-1",
        "cut@+1",
        "cut@01",
        "cut@1:",
        "cut@1:half",
        " cut@1",
        "cut@1 ",
        "cut@1+",
        "cut@1:torn-erase/2",
        "stuck0@0x10.8",
        "drop@5",
        "cut@1e3",
    ],
)
def test_a_plan_that_does_not_parse_changes_nothing(plan):
    flash = Flash(MIB)
    flash.fault = "cut@5"
    with pytest.raises(ValueError, match="fault plan"):
        flash.fault = plan
    assert flash.fault == "cut@5"


STORY: list[tuple[str, int, bytes | int]] = [
    ("program", 0x1010, b"\x01" * 32),
    ("erase", 0x1000, 2 * SECTOR),
    ("program", 0x10F8, bytes(range(17)) * 20),
    ("program", 0x2000, b"\x7e"),
    ("erase", 0x2000, SECTOR),
    ("program", 0x2000, b"\xf0\x0f" * 16),
]


def tell(flash: Flash) -> None:
    for call, address, what in STORY:
        getattr(flash, call)(address, what)


def old_flash() -> Flash:
    """A flash with something in it, so that a half erase shows."""
    return Flash.from_bytes(bytes([0x5B]) * (4 * SECTOR), size=MIB, strict=False)


def story_operations() -> list[FlashOp]:
    flash = old_flash()
    flash.record(True)
    tell(flash)
    return flash.journal()


def programmed(address: int) -> dict[int, list[bytes]]:
    """What the story programs at each page, in order."""
    found: dict[int, list[bytes]] = {}
    for call, start, what in STORY:
        if call == "program":
            for page, data in pages(start, what):
                found.setdefault(page, []).append(data)
    return found


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("cut", range(len(story_operations()) + 1))
def test_a_cut_at_every_operation_of_a_story(cut, torn):
    operations, data = story_operations(), programmed(0)
    cells = bytearray(old_flash().to_bytes())
    for op in operations[: cut + torn]:
        half = op.index == cut
        if op.kind == "erase":
            length = SECTOR // 2 if half else SECTOR
            cells[op.address : op.address + length] = b"\xff" * length
        else:
            page = data[op.address].pop(0)
            assert len(page) == op.length
            program_cells(cells, op.address, page[: op.length // 2] if half else page)

    flash = old_flash()
    flash.record(True)
    flash.fault = f"cut@{cut}:torn" if torn else f"cut@{cut}"
    if cut < len(operations):
        with pytest.raises(PowerLoss) as caught:
            tell(flash)
        assert caught.value.operation == cut
        assert (flash.powered, flash.fault) == (False, "")
    else:
        tell(flash)
        assert (flash.powered, flash.fault) == (True, f"cut@{cut}:torn" if torn else f"cut@{cut}")
    assert flash.to_bytes() == cells
    assert flash.operations == min(cut, len(operations))
    assert flash.journal() == operations[:cut]


def test_a_dead_flash_stays_dead_until_power_comes_back():
    flash = Flash(MIB)
    flash.program(0, b"\x12")
    flash.fault = "cut@3"
    flash.erase(0x1000, 2 * SECTOR)
    flash.power_off()
    calls: list[Callable[[], object]] = [
        lambda: flash.read(0, 1),
        lambda: flash.read(MIB + 1, 1),
        lambda: flash.program(0, b"\0"),
        lambda: flash.program(0, b""),
        lambda: flash.erase(0x1000, SECTOR),
        lambda: flash.is_erased(0, 1),
    ]
    for call in calls * 2:
        with pytest.raises(PowerLoss) as caught:
            call()
        assert caught.value.operation == 2
    assert not flash.powered
    assert flash.to_bytes()[:1] == b"\x12"
    assert (flash.operations, flash.fault) == (3, "cut@3")
    flash.power_on()
    assert flash.read(0, 1) == b"\x12"
    flash.erase(0x1000, SECTOR)
    with pytest.raises(PowerLoss):
        flash.erase(0x1000, SECTOR)
    assert flash.fault == ""
    flash.power_on()
    flash.erase(0x1000, 16 * SECTOR)


def test_counting_starts_when_the_plan_is_armed():
    flash = Flash(MIB)
    flash.erase(0, 8 * SECTOR)
    flash.fault = "cut@1"
    flash.erase(0, SECTOR)
    flash.fault = "cut@1"
    flash.erase(0, SECTOR)
    with pytest.raises(PowerLoss) as caught:
        flash.erase(0, SECTOR)
    assert caught.value.operation == 1


def test_what_is_refused_is_no_operation():
    flash = Flash.from_bytes(b"\0", size=MIB)
    flash.fault = "cut@0:torn"
    for call in (lambda: flash.program(0, b"\x01"), lambda: flash.erase(1, 1)):
        with pytest.raises(FlashError):
            call()
    assert flash.powered
    assert flash.fault == "cut@0:torn"


def test_a_fork_has_its_parents_power_counters_and_plan_but_no_journal():
    flash = Flash(MIB)
    flash.record(True)
    flash.fault = "cut@2"
    flash.erase(0, SECTOR)
    child = flash.fork()
    assert (child.operations, child.fault, child.journal(), len(flash.journal())) == (1, "cut@2", [], 1)
    child.erase(0, SECTOR)
    with pytest.raises(PowerLoss):
        child.erase(0, SECTOR)
    assert flash.powered
    assert not child.fork().powered
    flash.fault = ""
    flash.erase(0, 4 * SECTOR)


# -------------------------------------------------------------------------------------------------- cost and threads


def test_a_fork_costs_nothing_and_shares_its_sectors():
    flash = Flash.from_bytes(bytes(16 * MIB))
    best = min(_seconds(flash.fork) for _ in range(1000))
    assert best < 20e-6
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    forks = [flash.fork() for _ in range(200)]
    for number, fork in enumerate(forks):
        fork.erase(number * SECTOR, SECTOR)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 256 * 1024, "200 forks of 16 MiB in KiB"
    assert [fork.read(0, 1) for fork in forks[:2]] == [b"\xff", b"\0"]


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def test_long_work_releases_the_gil():
    data = bytes(32 * MIB)
    flash = Flash(32 * MIB, strict=False)

    def progress() -> int:
        """How often this thread gets to run while another one programs 32 MiB."""
        started, ended = threading.Event(), threading.Event()

        def work() -> None:
            started.set()
            flash.program(0, data)
            ended.set()

        worker = threading.Thread(target=work)
        worker.start()
        started.wait()
        count = 0
        while not ended.is_set():
            count += 1
            time.sleep(0)
        worker.join()
        return count

    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)  # nobody is asked to hand over the GIL: it moves only when it is released
    try:
        assert any(progress() for _ in range(5))
    finally:
        sys.setswitchinterval(interval)


def test_threads_share_a_flash_without_deadlock():
    flash, errors = Flash(8 * MIB), []
    interval = sys.getswitchinterval()

    def work(number: int) -> None:
        base = number * MIB
        try:
            for turn in range(20):
                flash.erase(base, MIB // 4)
                flash.program(base, bytes([turn]) * (MIB // 4))
                assert flash.read(base + turn, 32768) == bytes([turn]) * 32768
                assert len(flash.fork().to_bytes()) == 8 * MIB
                assert flash.stats.erases == flash.operations - flash.stats.programs or flash.powered
                flash.record(True)
        except BaseException as error:  # noqa: BLE001 - a failed assertion must reach the main thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert not errors
    assert not any(thread.is_alive() for thread in threads)
    assert flash.operations == 4 * 20 * (64 + 1024)
