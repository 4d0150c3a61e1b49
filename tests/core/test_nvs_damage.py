"""Pages that no finished write leaves: torn ones under an init that may not write, codes out of order, empty blobs."""

from __future__ import annotations

import pytest
from nvs_bench import PAGE, Nvs, cut, entry, page

from py_esp_ota._core import Partition
from py_esp_ota.errors import EspErr, NvsError

LONG = "x" * 199
LONG_BLOB = bytes(range(250)) * 24


def refused(action, *words) -> EspErr:
    with pytest.raises(NvsError) as error:
        action(*words)
    return error.value.err


# ----------------------------------------------------------------------------------------------------- a read-only init


def write_a_text(app) -> None:
    for number in range(13):
        app.set(f"k{number}", "u8", number)
    app.set("s", "str", LONG)


def readonly(nvs: Nvs) -> Nvs:
    other = nvs.fork()
    other.part = Partition("nvs", 1, 2, nvs.part.offset, nvs.part.size, readonly=True)
    return other


def test_a_read_only_init_goes_on_where_a_text_was_cut():
    """``Page::mLoadEntryTable`` drops the answer of an erase of what is not whole; an entry without code it refuses.

    The cuts after which it goes on are those of ``nvs_page.cpp`` itself: after every value, after the text's header
    (28) and after the first word of its data's codes (31).
    """
    start = Nvs(4)
    start.open()
    opened, operation = [], 0
    while cut(nvs := start.fork(), write_a_text, operation):
        before = nvs.image
        try:
            app = readonly(nvs).open("app", "readonly")
        except NvsError:
            assert refused(readonly(nvs).init) is EspErr.ESP_ERR_NOT_ALLOWED
        else:
            complete = range(min(operation // 2, 13))
            assert [app.get(f"k{number}", "u8") for number in complete] == list(complete)
            assert refused(app.get, "s", "str") is EspErr.ESP_ERR_NVS_NOT_FOUND
            opened.append(operation)
        assert nvs.image == before
        operation += 1
    assert operation == 33
    assert opened == [*range(0, 27, 2), 28, 31]


def test_a_read_only_init_forgets_the_old_value_that_it_cannot_erase():
    nvs = Nvs(4)
    app = nvs.open()
    app.set("s", "str", LONG)
    last = len(nvs.fork().operations_of(lambda app: app.set("s", "str", "new"))) - 1
    assert cut(nvs, lambda app: app.set("s", "str", "new"), last)
    assert readonly(nvs).open("app", "readonly").get("s", "str") == "new"
    assert nvs.open().get("s", "str") == "new"


@pytest.mark.parametrize(("release", "err"), [((5, 5, 0), None), ((5, 4, 4), EspErr.ESP_ERR_NVS_NO_FREE_PAGES)])
def test_before_v5_5_a_read_only_partition_is_recovered_too(release, err):
    """``PageManager::load`` did not ask whether it may write: a factory's partition without a free page is refused."""
    nvs = Nvs(1, idf_version=release)
    nvs.open().set("k", "u8", 1)
    closed = readonly(nvs)
    if err is None:
        assert closed.open("app", "readonly").get("k", "u8") == 1
    else:
        assert refused(closed.init) is err


def test_a_code_that_cannot_be_set_takes_the_page_out_of_use():
    """One entry, not a span: there ``Page::alterEntryState`` marks the page INVALID, and init still answers ESP_OK."""
    nvs = Nvs(4)
    app = nvs.open()
    app.set("k", "u8", 1)
    assert cut(nvs, lambda app: app.set("k", "u8", 2), 2)
    init = readonly(nvs).init()
    assert [page.state for page in init.pages()] == ["INVALID", *["UNINITIALIZED"] * 3]
    assert refused(init.open, "app", "readonly") is EspErr.ESP_ERR_NVS_NOT_FOUND


# ------------------------------------------------------------------------------------ an empty code before written ones


def out_of_order(keys: int, pages: int) -> Nvs:
    """One bit of a data entry's code went from WRITTEN to EMPTY; the entry is blank, so init takes the rest for free.

    What is written over entries that are written counts them twice. The figures below are those of ``nvs_page.cpp`` and
    ``nvs_pagemanager.cpp`` themselves.
    """
    nvs = Nvs(pages, strict=False)
    app = nvs.open()
    app.set("b", "blob", b"\xff" * 64)
    for number in range(keys):
        app.set(f"k{number}", "u8", 1)
    for number in range(0, keys, 2):
        app.erase_key(f"k{number}")
    assert nvs.image[32] == 0b10101010
    nvs.put(32, b"\xba")
    return nvs


def answer(nvs: Nvs, action, *words) -> tuple[EspErr, list[tuple[int, int]]]:
    """What an action is refused with, and what it did before."""
    nvs.flash.record(True)
    try:
        err = refused(action, *words)
        return err, [(op.address - nvs.part.offset, op.length) for op in nvs.flash.journal()]
    finally:
        nvs.flash.record(False)


def test_a_page_that_counts_more_entries_than_it_has_is_moved_and_does_not_fit():
    nvs = out_of_order(keys=100, pages=3)
    init = nvs.init()
    app = init.open("app", "readwrite")
    for blob in (bytes(range(100)) * 10, bytes(range(100)) * 20, bytes(range(50)) * 60):
        app.set("c", "blob", blob)
    assert init.pages()[0].used > 126
    err, operations = answer(nvs, app.set, "c", "blob", bytes(range(51)) * 60)
    assert err is EspErr.ESP_FAIL
    assert len(operations) == 272
    assert operations[:3] == [(6528, 32), (4144, 4), (6560, 96)]
    assert (0, PAGE) not in operations, "the copy broke off, so the old page stays"
    assert operations[-6:] == [(12256, 32), (8252, 4), (4156, 4), (4152, 4), (4148, 4), (4144, 4)]
    assert answer(nvs, app.set, "z", "u8", 3) == (EspErr.ESP_ERR_NVS_INVALID_STATE, [(2 * PAGE, 4)])
    assert answer(nvs, app.set, "c", "blob", bytes(510)) == (EspErr.ESP_ERR_NVS_INVALID_STATE, [])
    assert refused(nvs.init) is EspErr.ESP_ERR_NVS_NOT_ENOUGH_SPACE, "and no later init gets further"


def test_a_move_that_does_not_count_up_is_refused_when_it_is_done():
    """``PageManager::requestNewPage`` compares the counts after the old page is erased, and does not give it back."""
    nvs = out_of_order(keys=4, pages=2)
    app = nvs.open()
    for number in range(122):
        app.set(f"n{number % 5}", "u8", number)
    err, operations = answer(nvs, app.set, "n2", "u8", 122)
    assert err is EspErr.ESP_FAIL
    assert (len(operations), operations[:4]) == (16, [(0, 4), (0, 4), (PAGE, 32), (PAGE + 64, 32)])
    assert operations[-3:] == [(4320, 32), (4128, 4), (0, PAGE)]
    assert nvs.operations(app.set, "q", "u8", 1) == [(4352, 32), (4128, 4)]
    assert nvs.operations(nvs.init) == []


# ---------------------------------------------------------------------------------------- a last header that is damaged


def test_a_damaged_last_header_takes_the_old_value_with_it():
    """``Page::mLoadEntryTable`` erases the header and then still looks for an older namesake of what it says."""
    nvs = Nvs(3)
    app = nvs.open()
    app.set("k", "u8", 1)
    app.set("keep", "u8", 7)
    assert cut(nvs, lambda app: app.set("k", "u8", 2), 2)
    assert nvs.fork().open().get("k", "u8") == 2
    nvs.put(64 + 3 * 32 + 24, b"\0")
    assert nvs.operations(nvs.init) == [(32, 4), (64 + 3 * 32, 32), (32, 4), (64 + 32, 32)]
    app = nvs.open()
    assert refused(app.get, "k", "u8") is EspErr.ESP_ERR_NVS_NOT_FOUND
    assert app.get("keep", "u8") == 7


# ------------------------------------------------------------------------------------------------------ unchanged blobs

# The first patch of each branch that compares CRCs before it reads; newer branches do from their first release on.
COMPARES_CRCS = [(5, 1, 7), (5, 2, 7), (5, 3, 5), (5, 4, 4), (5, 5, 2), (6, 0, 0)]
BEFORE = [(4, 4, 8), (5, 0, 9), (5, 1, 6), (5, 2, 6), (5, 3, 4), (5, 4, 3), (5, 5, 1)]


@pytest.mark.parametrize(
    ("release", "again"), [*((v, True) for v in [*COMPARES_CRCS, (6, 1, 0)]), *((v, False) for v in BEFORE)]
)
def test_an_unchanged_empty_blob_is_written_again(release, again):
    """``Page::cmpItem`` compares a CRC that it never began to compute: GCC's code finds a difference."""
    nvs = Nvs(6, idf_version=release)
    app = nvs.open()
    app.set("none", "blob", b"")
    app.set("two", "blob", LONG_BLOB)
    assert len(nvs.operations(app.set, "none", "blob", b"")) == (6 if again else 0)
    assert app.get("none", "blob") == b""
    assert bool(nvs.operations(app.set, "two", "blob", LONG_BLOB)) == again, "the same releases, the same function"
    assert nvs.operations(app.set, "one", "blob", b"1")
    assert nvs.operations(app.set, "one", "blob", b"1") == []


@pytest.mark.parametrize(
    ("release", "checked"),
    [(v, True) for v in [(4, 4, 8), (5, 0, 7), (5, 1, 4), (5, 2, 2), (5, 3, 0)]]
    + [(v, False) for v in [(4, 4, 7), (5, 0, 6), (5, 1, 3), (5, 2, 1)]],
)
def test_init_compares_an_index_with_its_chunks_since(release, checked):
    """``Storage::eraseMismatchedBlobIndexes`` came to the branches at different times."""
    index = entry(1, 0x48, 1, b"b", b"\x05\0\0\0\x01\0")
    nvs = Nvs(3, page([entry(0, 1, 1, b"app", b"\x01"), index]), idf_version=release)
    assert nvs.init().stats().used_entries == (1 if checked else 2)
