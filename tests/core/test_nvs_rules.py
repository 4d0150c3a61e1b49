"""Rules of NVS one by one: limits, lookups, blobs at a page's end, garbage collection, damaged pages, releases."""

from __future__ import annotations

import random

import pytest
from nvs_bench import PAGE, Nvs, crc, cut, entry, header, page
from nvs_parser import parse

from py_esp_ota._core import Flash, NvsPartition, Partition
from py_esp_ota.errors import EspErr, FlashError, NvsError, PowerLoss

NAMESPACE = entry(0, 1, 1, b"app", b"\x01")


def refused(action, *words, **options) -> EspErr:
    with pytest.raises(NvsError) as error:
        action(*words, **options)
    return error.value.err


def text(ns: int, key: bytes, value: bytes) -> list[bytes]:
    """A text item: header and data entries."""
    body = value + b"\0"
    data = len(body).to_bytes(2, "little") + b"\xff\xff" + crc(body).to_bytes(4, "little")
    slices = [body[at : at + 32].ljust(32, b"\xff") for at in range(0, len(body), 32)]
    return [entry(ns, 0x21, 1 + len(slices), key, data), *slices]


# ------------------------------------------------------------------------------------------------------ sizes and pages


def test_init_of_an_empty_partition_writes_nothing():
    nvs = Nvs(3)
    assert nvs.operations(nvs.init) == []


def test_a_partition_without_pages_is_refused():
    assert refused(Nvs(0).init) is EspErr.ESP_ERR_NVS_NOT_ENOUGH_SPACE


def test_one_page_takes_125_values_and_then_no_second_init():
    nvs = Nvs(1)
    app = nvs.open()
    for number in range(125):
        app.set(f"k{number}", "u8", number)
    assert refused(app.set, "more", "u8", 1) is EspErr.ESP_ERR_NVS_INVALID_STATE
    assert refused(nvs.init) is EspErr.ESP_ERR_NVS_NO_FREE_PAGES
    nvs.part = Partition("nvs", 1, 2, nvs.part.offset, PAGE, readonly=True)
    assert nvs.open("app", "readonly").get("k124", "u8") == 124


def test_two_pages_take_125_values_and_no_update_until_one_is_erased():
    app = Nvs(2).open()
    for number in range(125):
        app.set(f"k{number}", "u8", number)
    assert refused(app.set, "more", "u8", 1) is EspErr.ESP_ERR_NVS_NOT_ENOUGH_SPACE
    assert refused(app.set, "k0", "u8", 1) is EspErr.ESP_ERR_NVS_NOT_ENOUGH_SPACE, "edge case 7"
    app.erase_key("k5")
    app.set("k0", "u8", 1)
    assert (app.get("k0", "u8"), app.get("k124", "u8")) == (1, 124)


def test_the_page_with_the_most_to_gain_is_moved_and_of_equals_the_oldest():
    nvs = Nvs(4)
    app = nvs.open()
    for number in range(3 * 126 - 1):
        app.set(f"k{number}", "u8", 1)
    app.erase_key("k200")
    app.erase_key("k300")
    operations = nvs.operations(app.set, "new", "u8", 1)
    assert (operations[0], operations[1]) == ((2 * PAGE, 4), (PAGE, 4)), "FULL, then FREEING of the second page"
    assert operations[2] == (3 * PAGE, 32)
    assert (PAGE, PAGE) in operations
    assert [page.seq for page in nvs.init().pages()] == [0, None, 2, 3]


def test_only_one_page_is_moved_for_a_text_that_does_not_fit_then():
    nvs = Nvs(4)
    app = nvs.open()
    for number in range(3 * 126 - 1):
        app.set(f"k{number}", "u8", 1)
    for number in range(0, 3 * 126 - 1, 2):
        app.erase_key(f"k{number}")
    assert nvs.init().stats().available_entries > 180
    assert refused(app.set, "t", "str", "x" * 2500) is EspErr.ESP_ERR_NVS_NOT_ENOUGH_SPACE
    app.set("t", "str", "x" * 1500)


@pytest.mark.parametrize(
    ("used", "size", "index_page", "chunks"),
    [
        (123, 32, 0, 1),
        (123, 64, 1, 1),
        (124, 0, 0, 1),
        (124, 32, 1, 1),
        (125, 0, 1, 1),
        (110, 500, 1, 2),
        (113, 500, 1, 1),
    ],
)
def test_blobs_at_the_end_of_a_page(used, size, index_page, chunks):
    nvs = Nvs(4)
    app = nvs.open()
    for number in range(used - 1):
        app.set(f"k{number}", "u8", 1)
    app.set("b", "blob", b"b" * size)
    found = [(at // PAGE, nvs.image[at + 28]) for at in range(0, nvs.part.size, 32) if nvs.image[at + 1] == 0x48]
    assert found == [(index_page, chunks)]
    assert app.get("b", "blob") == b"b" * size
    assert parse(nvs.image)["app", "b"] == b"b" * size


def test_a_blob_that_cannot_be_completed_leaves_the_old_value_and_no_chunk():
    nvs = Nvs(3)
    app = nvs.open()
    for version in (b"0", b"1"):
        app.set("b", "blob", version * 3000)
        used = nvs.init().stats().used_entries
        assert refused(app.set, "b", "blob", bytes(7000)) is EspErr.ESP_ERR_NVS_NOT_ENOUGH_SPACE
        assert app.get("b", "blob") == version * 3000
        assert nvs.init().stats().used_entries == used
    assert refused(app.set, "b", "blob", bytes(8001)) is EspErr.ESP_ERR_NVS_VALUE_TOO_LONG


def test_an_unchanged_blob_of_one_chunk_is_not_written_and_one_of_two_is():
    nvs = Nvs(6)
    app = nvs.open()
    app.set("one", "blob", bytes(range(100)))
    assert nvs.operations(app.set, "one", "blob", bytes(range(100))) == []
    blob = bytes(range(250)) * 24
    app.set("two", "blob", blob)
    assert nvs.writes(app.set, "two", "blob", blob) == 44, "edge case 8"
    assert Nvs(6, nvs.image).open().get("two", "blob") == blob
    first_tag = Nvs(6, nvs.image, idf_version=(5, 4, 0))
    app = first_tag.open()
    assert first_tag.operations(app.set, "two", "blob", blob) == []


# --------------------------------------------------------------------------------------------------- names and lookups


def test_a_value_of_another_type_is_not_found():
    app = Nvs().open()
    app.set("k", "u8", 1)
    assert refused(app.get, "k", "u16") is EspErr.ESP_ERR_NVS_NOT_FOUND
    assert refused(app.get, "k", "blob") is EspErr.ESP_ERR_NVS_NOT_FOUND


@pytest.mark.parametrize("first", ["u8", "str", "blob"])
@pytest.mark.parametrize("second", ["u16", "str", "blob"])
def test_a_new_type_replaces_the_old_value(first, second):
    values = {"u8": 1, "u16": 2, "str": "text", "blob": b"blob" * 20}
    nvs = Nvs()
    app = nvs.open()
    app.set("k", first, values[first])
    app.set("k", second, values[second])
    assert parse(nvs.image) == {("app", "k"): values[second]}


@pytest.mark.parametrize("options", [{"legacy_dup_keys_compatibility": True}, {"idf_version": (5, 0, 9)}])
def test_legacy_keeps_a_value_of_each_type(options):
    nvs = Nvs(**options)
    app = nvs.open()
    app.set("k", "u8", 1)
    app.set("k", "u16", 2)
    assert app.get("k", "u8") == 1
    assert refused(app.get, "k", "u16") is EspErr.ESP_ERR_NVS_NOT_FOUND, "in one page the first hides the second"
    app.erase_key("k")
    assert app.get("k", "u16") == 2


def test_the_255th_namespace_is_refused():
    nvs = Nvs(4).init()
    for number in range(254):
        nvs.open(f"n{number}", "readwrite")
    assert refused(nvs.open, "more", "readwrite") is EspErr.ESP_ERR_NVS_NOT_ENOUGH_SPACE
    assert nvs.stats().namespace_count == 254


def test_edge_case_11_a_long_namespace_opens_its_15_character_namesake():
    nvs = Nvs().init()
    assert refused(nvs.open, "n" * 16, "readwrite") is EspErr.ESP_ERR_NVS_KEY_TOO_LONG
    nvs.open("n" * 15, "readwrite").set("k", "u8", 1)
    assert nvs.open("n" * 16, "readwrite").get("k", "u8") == 1


def test_edge_case_12_empty_names_and_an_empty_blob_are_legal():
    nvs = Nvs()
    nvs.init().open("", "readwrite").set("", "blob", b"")
    nvs.init().open("", "readwrite").set("s", "str", "")
    handle = nvs.init().open("")
    assert (handle.get("", "blob"), handle.get("s", "str")) == (b"", "")


def test_handles_and_partitions_that_only_read():
    nvs = Nvs()
    init = nvs.init()
    assert refused(init.open, "app") is EspErr.ESP_ERR_NVS_NOT_FOUND
    init.open("app", "readwrite").set("k", "u8", 1)
    app = init.open("app")
    for action in (
        lambda: app.set("k", "u8", 2),
        lambda: app.erase_key("k"),
        app.erase_all,
        app.purge_all,
    ):
        assert refused(action) is EspErr.ESP_ERR_NVS_READ_ONLY
    closed = Nvs(3, nvs.image, readonly=True)
    assert closed.open("app", "readonly").get("k", "u8") == 1
    assert refused(closed.init().open, "app", "readwrite") is EspErr.ESP_ERR_NOT_ALLOWED
    closed.put(64 + 2 * 32, b"\x01" + b"\xff" * 31)
    assert refused(closed.init) is EspErr.ESP_ERR_NOT_ALLOWED, "a torn entry would have to be marked"


def test_nan_is_no_value():
    app = Nvs().open()
    for kind in ("float", "double"):
        assert refused(app.set, "k", kind, float("nan")) is EspErr.ESP_ERR_INVALID_ARG
        app.set("k", kind, 0.5)
        assert app.get("k", kind) == 0.5
    assert refused(Nvs(idf_version=(6, 0, 2)).open().set, "k", "float", 1.0) is EspErr.ESP_ERR_NOT_SUPPORTED


@pytest.mark.parametrize(("kind", "value"), [("u8", 256), ("u8", -1), ("i8", 128), ("u64", 1 << 64), ("i64", 1 << 63)])
def test_a_number_that_does_not_fit_is_misuse(kind, value):
    with pytest.raises(ValueError, match="out of range"):
        Nvs().open().set("k", kind, value)


def test_misuse():
    nvs = Nvs()
    app = nvs.open()
    with pytest.raises(ValueError, match="u24"):
        app.get("k", "u24")
    with pytest.raises(ValueError, match="NUL"):
        app.get("k\0", "u8")
    with pytest.raises(ValueError, match="mode"):
        nvs.init().open("app", "append")
    with pytest.raises(TypeError, match="bytes"):
        app.set("k", "blob", "text")


# ------------------------------------------------------------------------------------------------------------- erasing


def test_erase_all_keeps_the_namespace():
    nvs = Nvs()
    app = nvs.open()
    app.set("a", "u8", 1)
    app.set("b", "blob", bytes(5000))
    nvs.init().open("other", "readwrite").set("a", "u8", 2)
    app = nvs.open()
    app.erase_all()
    assert parse(nvs.image) == {("other", "a"): 2}
    assert nvs.init().namespaces() == [("app", 1), ("other", 2)]
    assert app.used_entry_count() == 0


def test_a_long_erase_goes_from_the_last_word_to_the_first():
    nvs = Nvs()
    app = nvs.open()
    app.set("k", "str", "x" * 1000)
    assert nvs.operations(app.erase_key, "k") == [(0x20 + 4 * word, 4) for word in (2, 1, 0)]


def test_purge_all_overwrites_what_died_before():
    nvs = Nvs()
    app = nvs.open()
    app.set("k", "str", "secret" * 9)
    app.erase_key("k")
    assert b"secret" in nvs.image
    app.purge_all()
    assert b"secret" not in nvs.image
    assert nvs.image[0x60:0xC0] == bytes(0x60)
    old = Nvs(idf_version=(6, 0, 0))
    assert refused(old.open().purge_all) is EspErr.ESP_ERR_NOT_SUPPORTED
    app = old.open("app", "readwrite_purge")
    app.set("k", "u8", 1)
    app.erase_key("k")
    assert old.image[0x60] == 1, "v6.0 never purges"


# ------------------------------------------------------------------------------------------------------- damaged pages


def test_edge_case_4_a_payload_with_an_entry_in_it_comes_alive_when_its_header_is_damaged():
    forged = entry(1, 1, 1, b"forged", b"\x2a")
    rows = [NAMESPACE, *text(1, b"t", b"x" * 31 + b"y"), entry(1, 1, 1, b"keep", b"\x01")]
    rows[2] = forged
    rows[1] = rows[1][:4] + b"\0\0\0\0" + rows[1][8:]
    app = Nvs(3, page(rows)).open()
    assert app.get("forged", "u8") == 42
    assert app.get("keep", "u8") == 1
    assert refused(app.get, "t", "str") is EspErr.ESP_ERR_NVS_NOT_FOUND


def test_edge_case_6_a_hash_collision_in_the_active_page_erases_the_earlier_key():
    seen, rng = {}, random.Random(1)
    for _ in range(200_000):
        key = "".join(rng.choices("abcdefghijklmnop", k=12))
        hash24 = crc(b"\x01" + key.encode().ljust(16, b"\0") + b"\xff") & 0xFFFFFF
        if hash24 in seen:
            break
        seen[hash24] = key
    else:
        pytest.fail("no collision")
    nvs = Nvs()
    app = nvs.open()
    app.set(seen[hash24], "u8", 1)
    app.set(key, "u8", 2)
    assert app.get(key, "u8") == 2
    app = nvs.open()
    assert app.get(key, "u8") == 2
    assert refused(app.get, seen[hash24], "u8") is EspErr.ESP_ERR_NVS_NOT_FOUND


def test_edge_case_9_a_page_with_a_wrong_header_crc_is_free_and_erased_at_its_turn():
    good = page([NAMESPACE, entry(1, 1, 1, b"a", b"\x01")])
    bad = bytearray(good)
    bad[28] ^= 1
    nvs = Nvs(3, bytes(bad) + good)
    assert nvs.operations(nvs.init) == []
    stats = nvs.init().stats()
    assert (stats.used_entries, stats.free_entries, stats.total_entries) == (2, 376, 378)
    assert nvs.open().get("a", "u8") == 1
    alone = Nvs(3, bytes(bad))
    assert alone.operations(alone.init) == [(0, PAGE)], "nothing else is there: erased at init"


@pytest.mark.parametrize("version", [0xFE, 0xFF])
def test_edge_case_10_versions(version):
    nvs = Nvs(3, page([NAMESPACE, entry(1, 1, 1, b"a", b"\x01")], version=version))
    app = nvs.open()
    app.set("b", "blob", b"x")
    assert (app.get("a", "u8"), app.get("b", "blob"), nvs.image[8]) == (1, b"x", version)
    assert refused(Nvs(3, header(version=0xFD)).init) is EspErr.ESP_ERR_NVS_NEW_VERSION_FOUND


@pytest.mark.parametrize("state", [0xFFFFFFF0, 0, 0x12345678])
def test_a_page_in_an_unknown_state_is_corrupt(state):
    nvs = Nvs(3, page([NAMESPACE], state=state))
    assert [p.state for p in nvs.init().pages()] == ["UNINITIALIZED"] * 3
    assert nvs.flash.erase_counts()[9] == 1


def test_edge_case_13_sequence_numbers_do_not_wrap_well():
    first = page([NAMESPACE, *[entry(1, 1, 1, b"k%d" % n, b"\x01") for n in range(125)]], seq=0xFFFFFFFF)
    nvs = Nvs(3, first)
    nvs.open().set("new", "u8", 1)
    assert [p.seq for p in nvs.init().pages()] == [0xFFFFFFFF, 0, None]


def test_edge_case_14_of_equal_sequence_numbers_the_later_sector_is_current():
    nvs = Nvs(3, page([NAMESPACE], seq=5) + page([entry(1, 1, 1, b"a", b"\x01")], seq=5))
    app = nvs.open()
    assert nvs.operations(app.set, "b", "u8", 1) == [(PAGE + 0x60, 32), (PAGE + 0x20, 4)]


def test_a_text_whose_data_is_damaged_is_erased_when_it_is_read():
    nvs = Nvs()
    nvs.open().set("t", "str", "x" * 40)
    nvs.put(64 + 2 * 32, b"y")
    app = nvs.open()
    assert refused(app.get, "t", "str") is EspErr.ESP_ERR_NVS_NOT_FOUND
    assert nvs.image[0x60:0xC0] == bytes(0x60)
    assert nvs.init().stats().used_entries == 1


def test_a_blob_whose_chunk_is_damaged_goes_in_three_steps():
    nvs = Nvs()
    nvs.open().set("b", "blob", b"x" * 40)
    nvs.put(64 + 2 * 32, b"y")
    app = nvs.open()
    assert refused(app.get, "b", "blob") is EspErr.ESP_ERR_NVS_NOT_FOUND
    assert refused(app.get, "b", "blob") is EspErr.ESP_FAIL
    assert refused(nvs.open().get, "b", "blob") is EspErr.ESP_ERR_NVS_NOT_FOUND


def test_an_illegal_code_is_made_erased():
    nvs = Nvs(3, page([NAMESPACE, entry(1, 1, 1, b"a", b"\x01"), entry(1, 1, 1, b"b", b"\x02")]))
    nvs.put(0x20, bytes([nvs.image[0x20] & ~0b1100 | 0b0100]))
    app = nvs.open()
    assert app.get("b", "u8") == 2
    assert refused(app.get, "a", "u8") is EspErr.ESP_ERR_NVS_NOT_FOUND
    assert nvs.image[0x20] >> 2 & 3 == 0


@pytest.mark.parametrize("closed", [False, True])
def test_chunks_and_indexes_without_each_other_are_erased_at_init(closed):
    chunk = [
        entry(1, 0x42, 2, b"b", b"\x05\0\xff\xff" + crc(b"12345").to_bytes(4, "little"), chunk=0),
        b"12345".ljust(32, b"\xff"),
    ]
    index = entry(1, 0x48, 1, b"i", b"\x05\0\0\0\x01\0")
    state = 0xFFFFFFFC if closed else 0xFFFFFFFE
    nvs = Nvs(3, page([NAMESPACE, *chunk, index], state=state))
    assert nvs.init().stats().used_entries == 1
    before = Nvs(3, page([NAMESPACE, *chunk, index], state=state), idf_version=(5, 2, 0))
    assert before.init().stats().used_entries == 2, "older releases keep an index without chunks"


def test_version_1_and_version_2_of_a_blob_after_a_cut():
    blob = [
        entry(1, 0x41, 2, b"b", b"\x05\0\xff\xff" + crc(b"12345").to_bytes(4, "little")),
        b"12345".ljust(32, b"\xff"),
    ]
    start = Nvs(3, page([NAMESPACE, *blob], version=0xFF))
    values = []
    operation = 0
    while cut(nvs := start.fork(), lambda app: app.set("b", "blob", b"67890"), operation):
        values.append(nvs.open().get("b", "blob"))
        parse(nvs.image)
        operation += 1
    assert values == sorted(values)
    assert set(values) == {b"12345", b"67890"}


def test_an_encrypted_partition_of_the_flash_is_refused():
    part = Partition("nvs", 1, 2, 0x9000, 0x3000, encrypted=True)
    assert refused(NvsPartition, Flash(0x100000), part) is EspErr.ESP_ERR_NVS_WRONG_ENCRYPTION


def test_a_flash_that_refuses_makes_the_page_unusable_until_init():
    nvs = Nvs()
    app = nvs.open()
    app.set("a", "u8", 1)
    nvs.flash.program(nvs.part.offset + 64 + 2 * 32, bytes(32))
    with pytest.raises(FlashError):
        app.set("b", "u8", 2)
    assert refused(app.set, "c", "u8", 3) is EspErr.ESP_ERR_NVS_INVALID_STATE
    nvs.open().set("c", "u8", 3)


def test_a_dead_flash_ends_every_call():
    nvs = Nvs()
    init = nvs.init()
    app = init.open("app", "readwrite")
    nvs.flash.power_off()
    for call in (lambda: app.get("k", "u8"), lambda: app.set("k", "u8", 1), init.entries, init.stats, nvs.init):
        with pytest.raises(PowerLoss):
            call()


def test_each_entry_is_encrypted_by_itself():
    keys = random.Random(1).randbytes(64)
    nvs = Nvs(keys=keys)
    app = nvs.open()
    for name in "ab":
        app.set(name, "str", "x" * 31)
    rows = [nvs.image[64 + 32 * n : 96 + 32 * n] for n in range(5)]
    assert len(set(rows)) == 5
    assert refused(Nvs(3, nvs.image).init().open, "app") is EspErr.ESP_ERR_NVS_NOT_FOUND
    assert refused(Nvs(3, nvs.image, keys=bytes(64)).init().open, "app") is EspErr.ESP_ERR_NVS_NOT_FOUND
