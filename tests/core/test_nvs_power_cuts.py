"""Power cuts in every operation of an update: the old value or the new one, and no other key is harmed."""

from __future__ import annotations

import pytest
from nvs_bench import PAGE, Nvs, cut
from nvs_parser import parse

from py_esp_ota.errors import EspErr, NvsError

UPDATES = {
    "u32": ("u32", 0x11111111, 0x22222222),
    "str": ("str", "o" * 300, "n" * 500),
    "blob": ("blob", b"o" * 1000, b"n" * 1000),
    "short blob": ("blob", b"o" * 40, b"n" * 70),
}


def filled(kind: str, old, fill: int, pages: int = 3) -> Nvs:
    """A partition with an old value, keys that must survive, and ``fill`` entries more, many of them dead."""
    nvs = Nvs(pages)
    app = nvs.open()
    app.set("k", kind, old)
    app.set("keep", "u32", 7)
    app.set("text", "str", "stays")
    for i in range(fill):
        app.set(f"f{i % 19}", "u32", i)
    return nvs


def outcome(nvs: Nvs, kind: str, **options):
    """The value after a reset; everything else must be whole."""
    init = nvs.init(**options)
    app = init.open("app", "readwrite")
    assert (app.get("keep", "u32"), app.get("text", "str")) == (7, "stays")
    parse(nvs.image, damaged=True)  # and nothing on flash is out of order
    found = value(app, "k", kind)
    app.set("after", "u8", 1)  # and the storage goes on working
    return found


def value(app, key: str, kind: str):
    """A value, or ``None`` when there is none."""
    try:
        return app.get(key, kind)
    except NvsError as error:
        if error.err is not EspErr.ESP_ERR_NVS_NOT_FOUND:
            raise
        return None


def share_a_page(nvs: Nvs) -> bool:
    """Whether a chunk of each version of the blob stands in one active page: the chip may lose both then."""
    for start in range(0, nvs.part.size, PAGE):
        page = nvs.image[start : start + PAGE]
        chunks = set()
        for i in range(126):
            entry = page[64 + 32 * i : 96 + 32 * i]
            if page[32 + i // 4] >> 2 * (i % 4) & 3 == 2 and entry[1] == 0x42 and entry[8:10] == b"k\0":
                chunks.add(entry[3] & 0x80)
        if len(chunks) == 2:
            return True
    return False


@pytest.mark.parametrize("torn", [False, True], ids=["clean", "torn"])
@pytest.mark.parametrize("name", UPDATES)
def test_power_cut_table(name, torn):
    """Every operation of an update over fill levels that take it through page changes and garbage collection."""
    kind, old, new = UPDATES[name]
    seen, lost, cuts = set(), 0, 0
    for fill in range(380) if kind == "u32" else [*range(0, 130, 13), *range(180, 380, 9)]:
        start = filled(kind, old, fill)
        operations = 0
        while cut(nvs := start.fork(), lambda app: app.set("k", kind, new), operations, torn=torn):
            cuts += 1
            shared = share_a_page(nvs)
            after = outcome(nvs.fork(), kind)
            if after is None:
                assert shared, (fill, operations)
                lost += 1
                assert outcome(nvs.fork(), kind, repaired=True) == old, (fill, operations)
            else:
                assert after in {old, new}, (fill, operations)
                seen.add(after)
            assert outcome(nvs, kind) == after, "a second init finds what the first one left"
            operations += 1
        assert outcome(nvs, kind) == new
    assert seen == {old, new}
    assert cuts > 300
    assert (lost > 0) == (kind == "blob")


def test_edge_case_1_an_update_cut_before_its_index_loses_both_versions():
    """One operation boundary of each update: the new chunk is complete, its index not begun."""
    start = Nvs(3)
    start.open().set("k", "blob", b"o" * 64)
    boundaries = []
    for operation in range(20):
        nvs = start.fork()
        if not cut(nvs, lambda app: app.set("k", "blob", b"n" * 64), operation):
            break
        if value(nvs.open(), "k", "blob") is None:
            boundaries.append(operation)
            assert parse(nvs.image) == {}
    # header, code, data, code - and then nothing of the index
    assert boundaries == [4]


def test_edge_case_1_is_not_met_when_the_index_has_begun():
    nvs = Nvs(3)
    nvs.open().set("k", "blob", b"o" * 64)
    assert cut(nvs, lambda app: app.set("k", "blob", b"n" * 64), 4, torn=True)
    assert nvs.open().get("k", "blob") == b"o" * 64


def test_edge_case_1_repaired_keeps_the_old_value():
    nvs = Nvs(3, repaired=True)
    nvs.open().set("k", "blob", b"o" * 64)
    assert cut(nvs, lambda app: app.set("k", "blob", b"n" * 64), 4)
    assert nvs.open().get("k", "blob") == b"o" * 64


def test_edge_case_2_a_torn_erase_that_leaves_the_header_loses_what_the_copy_had():
    """The erase of a moved page is cut with the header still there and the tail gone: init erases the good copy."""
    nvs = Nvs(2)
    app = nvs.open()
    for i in range(124):
        app.set(f"k{i}", "u8", i)
    app.erase_key("k0")
    cuts = nvs.fork().operations_of(lambda a: [a.set("new", "u8", i) for i in (1, 2)])
    erase = next(i for i, (_, length) in enumerate(cuts) if length == PAGE)
    assert cut(nvs, lambda a: [a.set("new", "u8", i) for i in (1, 2)], erase)
    victim = 0 if nvs.page(0)[0] == 0xF8 else 1
    damaged = nvs.fork()
    damaged.put(victim * PAGE + 2048, b"\xff" * 2048)
    whole = {entry.key for entry in nvs.init().entries()}
    left = {entry.key for entry in damaged.init().entries()}
    assert left < whole
    assert len(whole) == 124


@pytest.mark.parametrize("dirty", [b"\xff" * 4 + b"\x5a" * 28])
def test_edge_case_3_a_torn_entry_whose_first_word_is_blank(dirty):
    """Not noticed at init; the next value is written over it, reported as stored, and gone at the next look."""
    nvs = Nvs(3, strict=False)
    nvs.open().set("a", "u8", 1)
    nvs.put(64 + 2 * 32, dirty)
    app = nvs.open()
    app.set("a", "u8", 2)
    with pytest.raises(NvsError) as error:
        app.get("a", "u8")
    assert error.value.err is EspErr.ESP_ERR_NVS_NOT_FOUND


def test_edge_case_5_a_change_of_type_cut_across_pages_leaves_both():
    nvs = Nvs(3)
    app = nvs.open()
    app.set("k", "u8", 1)
    for i in range(124):
        app.set(f"f{i}", "u8", 0)
    operations = len(nvs.fork().operations_of(lambda a: a.set("k", "u16", 2)))
    assert cut(nvs, lambda a: a.set("k", "u16", 2), operations - 1)
    app = nvs.open()
    assert (app.get("k", "u8"), app.get("k", "u16")) == (1, 2)
    app.set("k", "u16", 3)
    assert (app.get("k", "u8"), app.get("k", "u16")) == (1, 3)
    app.erase_key("k")
    assert app.get("k", "u16") == 3


@pytest.mark.parametrize("torn", [False, True])
def test_a_long_erase_cut_half_way_is_an_erase(torn):
    for closed in (False, True):
        start = Nvs(3)
        app = start.open()
        app.set("k", "str", "x" * 2000)
        app.set("keep", "u8", 1)
        if closed:
            app.set("big", "str", "y" * 3000)
        operation = 0
        while cut(nvs := start.fork(), lambda a: a.erase_key("k"), operation, torn=torn):
            app = nvs.open()
            if operation or torn:
                with pytest.raises(NvsError):
                    app.get("k", "str")
            else:
                assert app.get("k", "str") == "x" * 2000
            assert app.get("keep", "u8") == 1
            operation += 1


@pytest.mark.parametrize("before_header", [True, False])
def test_a_freed_page_gets_a_new_sequence_number(before_header):
    """Victim 0: cut before the header of the copy gives number 1, after it 2."""
    nvs = Nvs(2)
    app = nvs.open()
    for i in range(124):
        app.set(f"k{i % 9}", "u8", i)
    app = nvs.open()
    ops = nvs.fork().operations_of(lambda a: [a.set("new", "u8", i) for i in range(1, 12)])
    freeing = next(i for i, op in enumerate(ops) if op == (0, 4) and ops[i + 1] == (PAGE, 32))
    assert cut(nvs, lambda a: [a.set("new", "u8", i) for i in range(1, 12)], freeing + (1 if before_header else 2))
    init = nvs.init()
    assert [page.seq for page in init.pages() if page.seq is not None] == [1 if before_header else 2]
